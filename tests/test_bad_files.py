"""Bad data files and weights, by the rows of the table of bad inputs: in Python, and as a command."""

from __future__ import annotations

import gzip
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import data, nn
from glassgrad.cli import main
from glassgrad.errors import GlassgradError
from glassgrad.files.weights import read_tensors, write_tensors
from tests.files.hostile.cases import entry, idx, tensors
from tests.test_bad_inputs import X, checked, fit

FOUR = bytes(4)
WEIGHTS = np.ones(len(X))


def _weight(row: int, value: float) -> Callable[[], Any]:
    given = WEIGHTS.copy()
    given[row] = value
    return lambda: fit(sample_weight=given)


# The number of the row, what is done, words of the message.
CASES: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "6 weights of 0": (lambda: fit(sample_weight=WEIGHTS * 0), ("sample_weight", "above 0", "30")),
    "6 a negative weight": (_weight(7, -1), ("sample_weight", "row 7", "-1.0")),
    "6 a weight nan": (_weight(7, np.nan), ("sample_weight", "row 7", "nan")),
    "6 an infinite weight": (_weight(7, np.inf), ("sample_weight", "row 7", "inf")),
    "6 class weights of 0": (
        lambda: fit(class_weight={0: 0, 1: 0, 2: 0}), ("class_weight", "above 0", "30"),
    ),
    "18 overlap": (
        lambda: read_tensors(tensors({"a": entry(), "b": entry()}, FOUR), "w.safetensors"),
        ("overlap", "w.safetensors", "'b'", "offset 4", "0 to 4"),
    ),
    "18 a gap": (
        lambda: read_tensors(tensors({"a": entry(), "b": entry(offsets=[8, 12])}, FOUR * 3), "w.safetensors"),
        ("gap", "w.safetensors", "'b'", "offset 4", "8 to 12"),
    ),
    "18 twice": (
        lambda: read_tensors(tensors(b'{"a": 1, "a": 2}'), "w.safetensors"),
        ("w.safetensors", "'a'", "twice"),
    ),
    "18 a tail": (
        lambda: read_tensors(tensors({"a": entry()}, FOUR + b"x"), "w.safetensors"),
        ("do not fill", "4 bytes", "5"),
    ),
    "19 weights of another network": (
        lambda: nn.Sequential(a=nn.Linear(3, 4), b=nn.Linear(4, 2)).load_state_dict(
            {"a.weight": np.zeros((9, 9), np.float32), "a.bias": np.zeros(4, np.float32), "b.weight": np.zeros((4, 2), np.float32),
             "zz": np.zeros(1, np.float32)}
        ),
        ("nothing was changed", "a.weight", "(9, 9)", "(3, 4)", "b.bias: missing", "zz: not in the model"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_bad_weight_or_file_gets_its_error(name: str) -> None:
    run, words = CASES[name]
    with pytest.raises(GlassgradError) as caught:
        run()
    checked(caught.value, words)


def test_19_weights_that_do_not_fit_change_nothing() -> None:
    model = nn.Sequential(a=nn.Linear(3, 4), b=nn.Linear(4, 2))
    before = model.state_dict()
    with pytest.raises(GlassgradError):
        model.load_state_dict({**before, "a.weight": np.ones((3, 4)), "b.bias": np.ones(3)})
    after = model.state_dict()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)


def _mnist(folder: Path, images: int, labels: int, cut: int = 0) -> None:
    pixels, classes = (
        idx(sizes=(images, 28, 28), body=bytes(images * 784)),
        idx(sizes=(labels,), body=bytes(labels)),
    )
    for part in ("train", "t10k"):
        for name, raw in (("images-idx3", pixels[: len(pixels) - cut]), ("labels-idx1", classes)):
            place = folder / "mnist" / f"{part}-{name}-ubyte.gz"
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(gzip.compress(raw))


@pytest.mark.parametrize(
    ("labels", "cut", "words"),
    [(3, 0, ("labels", "2", "3")), (2, 9, ("shorter", "images-idx3-ubyte.gz", "1584 bytes", "1575 bytes"))],
)  # fmt: skip
def test_16_images_and_labels_that_differ(
    tmp_path: Path, labels: int, cut: int, words: tuple[str, ...]
) -> None:
    _mnist(tmp_path, 2, labels, cut)
    with pytest.raises(GlassgradError) as caught:
        data.load("mnist", tmp_path)
    checked(caught.value, words)


def _bomb(folder: Path) -> tuple[str, ...]:
    _mnist(folder, 2, 2)
    bomb = gzip.compress(idx(sizes=(2, 28, 28), body=bytes(10**7)))
    (folder / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(bomb)
    return ("train", "mnist", "--data", ".", "--model", "mlp")


def _csv(text: str, *words: str) -> Callable[[Path], tuple[str, ...]]:
    def make(folder: Path) -> tuple[str, ...]:
        (folder / "t.csv").write_text(text, encoding="utf-8")
        return ("train", "t.csv", *words)

    return make


def _model(name: str, content: bytes) -> Callable[[Path], tuple[str, ...]]:
    def make(folder: Path) -> tuple[str, ...]:
        (folder / name).write_bytes(content)
        return ("show", name)

    return make


def _fewer(folder: Path) -> tuple[str, ...]:
    model = nn.Sequential(nn.Linear(4, 2))
    gg.save(
        model, folder / "m.glass", x=(4,), labels={"features": list("abcd"), "task": "regression"}
    )
    (folder / "rows.csv").write_text("a,b,c\n1,2,3\n")
    return ("predict", "m.glass", "rows.csv")


TARGET = ("--target", "y")
PICKLE = pickle.dumps({"a": 1})
COMMANDS: dict[str, tuple[Callable[[Path], tuple[str, ...]], tuple[str, ...]]] = {
    "1 nan in a column": (_csv("age,y\n1,3\n" + "1,2\n" * 16 + "nan,2\n", *TARGET), ("line 19", "'age'", "'nan'")),
    "3 three columns for four": (_fewer, ("3 columns", "expects 4", "missing", "d")),
    "12 no rows": (_csv("x,y\n", *TARGET), ("no samples", "t.csv")),
    "13 a row of 7 for 8": (
        _csv("a,b,c,d,e,f,g,y\n" + "1,2,3,4,5,6,7,8\n" * 810 + "1,2,3,4,5,6,7\n", *TARGET), ("line 812", "8", "7"),
    ),
    "14 a separator in a number": (_csv('x,y\n1,1\n"1,234",2\n3,4\n', *TARGET), ("line 3", "'x'", "'1,234'")),
    "14 an escape in a number": (_csv("x,y\n1,1\n\x1b[31m,2\n3,4\n", *TARGET), ("line 3", "'x'", "\\x1b[31m")),
    "15 no target": (_csv("x,z\n1,2\n", *TARGET), ("'y'", "x, z")),
    "17 gzip that goes on": (_bomb, ("goes on past", "1584 bytes", "reading stopped")),
    "22 pkl": (_model("m.pkl", PICKLE), ("refused", "pickle", "run code", "safetensors")),
    "22 pt": (_model("m.pt", b"PK\3\4" + bytes(26) + b"archive/data.pkl"), ("refused", "PyTorch", "run code")),
    "22 h5": (_model("m.h5", b"\x89HDF\r\n\x1a\n"), ("refused", "HDF5")),
    "22 joblib": (_model("m.joblib", PICKLE), ("refused", "run code")),
    "22 pickle by another name": (_model("m.glass", PICKLE), ("refused", "pickle")),
    "22 safetensors": (_model("m.safetensors", write_tensors({})), ("refused", "safetensors")),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_says_it_without_a_traceback(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make, words = COMMANDS[name]
    monkeypatch.chdir(tmp_path)
    asked = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main(asked) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert all(word in said.err for word in words), said.err
    heads = {line[:11].strip() for line in said.err.split("\n")[1:]}
    assert {"expected:", "received:"} <= heads, said.err
    assert "Traceback" not in said.err
    assert said.err.replace("\n", "").isprintable()
    assert sorted(tmp_path.rglob("*")) == before  # nothing is left behind


def test_17_a_packed_file_that_lies_is_read_no_further(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(struct.pack(">HBBI", 0, 8, 1, 9) + bytes(10**7)))
    with pytest.raises(GlassgradError) as caught:
        data.read_idx(path)
    checked(caught.value, ("a.gz", "17 bytes", "reading stopped"))
