"""Files of every version that was ever released: they load, and predict what they predicted."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad.data.preparation import TablePreparation
from glassgrad.files.archive import unpack
from glassgrad.files.manifest import MANIFEST, MEMBERS
from glassgrad.files.model import fitted_of, from_bytes, to_bytes
from glassgrad.files.weights import read_tensors

FOLDER = Path(__file__).parent / "corpus"
FILES = sorted(FOLDER.glob("*.glass"))
NAMES = [file.stem for file in FILES]
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def rows(name: str) -> tuple[Any, dict[str, Any]]:
    """What went in when the file was written, and what came out."""
    arrays = read_tensors((FOLDER / f"{name}.safetensors").read_bytes(), name)
    x = {k.removeprefix("input."): v for k, v in arrays.items() if k.startswith("input.")}
    y = {k.removeprefix("output."): v for k, v in arrays.items() if k.startswith("output.")}
    return x["x"] if list(x) == ["x"] else x, y


def test_the_corpus_is_whole_and_nobody_changed_it() -> None:
    lines = (FOLDER / "sums.txt").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    there = {f.name for f in FOLDER.iterdir() if f.suffix in (".glass", ".safetensors")}
    assert there == set(sums)
    assert len(FILES) >= 9
    for name, digest in sums.items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest, name


@pytest.mark.parametrize("name", NAMES)
def test_an_old_file_loads_and_predicts_what_it_did(name: str) -> None:
    model = gg.load(FOLDER / f"{name}.glass", check=True)
    x, wanted = rows(name)
    found = gg.predict(model, x)
    found = found if isinstance(found, dict) else {"": found}
    assert found.keys() == wanted.keys()
    for output, numbers in wanted.items():
        assert found[output].dtype == numbers.dtype
        scale = 1 + np.abs(numbers).max()
        np.testing.assert_allclose(
            found[output], numbers, rtol=0, atol=TOLERANCE[numbers.dtype.name] * scale
        )


@pytest.mark.parametrize("name", NAMES)
def test_an_old_file_is_written_again_as_the_same_bytes(name: str) -> None:
    """All but the outputs that are computed anew: another engine adds in another order."""
    data = (FOLDER / f"{name}.glass").read_bytes()
    old, new = unpack(data), unpack(to_bytes(from_bytes(data)))
    assert list(old) == list(new) == [MANIFEST, *MEMBERS]
    for member in MEMBERS:
        if member != "check.safetensors":
            assert old[member] == new[member], member
    before, after = (read_tensors(m["check.safetensors"], name) for m in (old, new))
    assert before.keys() == after.keys()
    for key, numbers in before.items():
        if key.startswith("input."):
            assert after[key].tobytes() == numbers.tobytes()


def test_what_was_said_of_a_model_is_still_said() -> None:
    table = gg.load(FOLDER / "v1-table.glass")
    assert isinstance(table.labels.preparation, TablePreparation)
    assert table.labels.preparation.features[:2] == ("age", "age is empty")
    assert (table.labels.unit, table.labels.dataset) == ("EUR", "homes.csv")
    assert gg.load(FOLDER / "v1-cnn.glass").labels.classes == ("cat", "dog", "=1+1")
    assert gg.load(FOLDER / "v1-lstm.glass").labels.classes == tuple("\nab\u00e4\u8a9e<\x1b")
    mlp = fitted_of(gg.load(FOLDER / "v1-mlp.glass"))
    assert mlp is not None
    assert (mlp.kept, mlp.epochs, mlp.settings["schedule"]["kind"]) == (1, 2, "WarmUp")
    assert list(mlp.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert fitted_of(gg.load(FOLDER / "v1-unfitted.glass")) is None
