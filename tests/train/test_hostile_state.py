"""A checkpoint whose every sum is right and whose state is not: refused, or a run that goes on."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from random import Random

import pytest

from glassgrad.errors import CheckpointWarning, GlassgradError, InternalError
from glassgrad.files.checkpoint import Store
from tests.files.hostile import mutate
from tests.train.resuming import Case

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
