"""A checkpoint whose every sum is right and whose state is not: refused, or a run that goes on."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from glassgrad.errors import CheckpointWarning, FormatError, GlassgradError, InternalError
from glassgrad.files.checkpoint import Saved, Store
from glassgrad.files.strict_json import write_json
from glassgrad.files.weights import write_tensors
from glassgrad.train.packing import pack
from glassgrad.train.state import ABOUT, ARRAYS, read
from tests.files.hostile import mutate
from tests.train.resuming import ENGINES, Case

_WORDS = mutate.words(
    b'{"array": "weights"}', b'{"float": "nan"}', b'{"dict": {}}', b"true", b"null", b"[]", b"{}", b'"x"', b"-1", b"1.5",
)  # fmt: skip


def _changed(r: Random, name: str, data: bytes) -> bytes:
    if name.endswith(".safetensors"):
        return r.choice((mutate.tensor_entries, mutate.tensor_header))(r, data, data)
    for _ in range(r.choice((1, 1, 2))):
        data = _WORDS(r, data, data)
    try:
        return json.dumps(json.loads(data), indent=1).encode()  # in the one form, where it is JSON
    except ValueError:
        return data


def _with(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(state: dict[str, Any]) -> None:
        for name in path[:-1]:
            state = state[name]
        state[path[-1]] = value

    return change


def _columns(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Any], None]:
    def changed(state: dict[str, Any]) -> None:
        state["history"] = change(state["history"])

    return changed


FORGED: dict[str, Callable[[Any], None]] = {
    "columns of another name": _columns(lambda h: {f"{name}_": v for name, v in h.items()}),
    "a column less": _columns(lambda h: dict([*h.items()][1:])),
    "a column more": _columns(lambda h: {**h, "other": h["loss"]}),
    "columns in another order": _columns(lambda h: dict([*h.items()][::-1])),
    "no sums": _with("under_way", "sums", value=[]),
    "a sum more": _with("under_way", "sums", value=[1.0] * 3),
    "rows seen before the first": _with("under_way", "seen", value=-5),
    "more rows seen than there are": _with("under_way", "seen", value=10**9),
    "batches before the first": _with("under_way", "batches", value=-1),
    "more batches than there are": _with("under_way", "batches", value=10**9),
    "steps of other columns": _with("given", value=np.zeros((3, 7))),
    "steps in one row": _with("given", value=np.zeros(3)),
    "updates before the first": _with("updates", value=-1),
    "updates past counting": _with("updates", value=2**70),
    "a rate below 0": _with("rate", value=-1.0),
    "a rate that is none": _with("rate", value=float("nan")),
    "rates below 0": _with("rates", value=[[1, -1.0]]),
    "three counts of what was added": _with("added", value=[1, 2, 3]),
    "less than nothing added": _with("added", value=[-1, -1]),
    "an epoch kept that never was": _with("kept", value=99),
    "an epoch that ends before the first": _with("epoch_step", value=-4),
    "an epoch that ends later": _with("epoch_step", value=10**6),
    "epochs trained before the first": _with("trained", value=-1),
    "other first numbers": _with("initial", value={"x": np.zeros(3)}),
    "no first numbers": _with("initial", value={}),
}


@pytest.fixture(scope="module", params=ENGINES)
def stopped(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Saved]:
    folder = tmp_path_factory.mktemp("stopped")
    Case().stopped(folder, 9, backend=request.param)
    with Store(folder) as store:
        saved = store.newest()
    assert saved is not None
    return request.param, saved


@pytest.mark.parametrize("name", [None, *FORGED])
def test_counts_that_no_run_has_are_refused(
    name: str | None, stopped: tuple[str, Saved], tmp_path: Path
) -> None:
    backend, saved = stopped
    state = read(saved.members, "")
    if name is not None:
        FORGED[name](state)
    arrays: dict[str, Any] = {}
    about = write_json(pack(state, arrays))
    with Store(tmp_path / "forged") as store:
        store.save(saved.step, {ABOUT: about, ARRAYS: write_tensors(arrays)}, finite=True)
    if name is None:
        Case().resumed(tmp_path / "forged", backend=backend)
        return
    with pytest.raises(FormatError, match="value that no run has") as caught:
        Case().resumed(tmp_path / "forged", backend=backend)
    assert "step-00000009" in caught.value.where


@pytest.mark.parametrize("span", range(4))
def test_a_mutated_state_is_refused_or_goes_on(span: int, tmp_path: Path) -> None:
    case = Case()
    case.stopped(tmp_path / "good", 9, backend="numpy")
    with Store(tmp_path / "good") as store:
        saved = store.newest()
    assert saved is not None
    refused: list[str] = []
    for number in range(40 * span, 40 * span + 40):
        r = Random(number)
        members = dict(saved.members)
        name = r.choice(sorted(members))
        members[name] = _changed(r, name, members[name])
        folder = tmp_path / str(number)
        with Store(folder) as store:
            store.save(saved.step, members, finite=True)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CheckpointWarning)
                case.resumed(folder, backend="numpy")
        except InternalError:
            raise
        except GlassgradError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert all(said.replace("\n", "").isprintable() for said in refused)
