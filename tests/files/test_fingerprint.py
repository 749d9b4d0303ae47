"""Fingerprints: one for equal data, another for data that differ where it was looked at."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from glassgrad.errors import ConfigError, UsageError
from glassgrad.files.fingerprint import BLOCK, BLOCKS, of_array, of_file

X = np.arange(24, dtype=np.float32).reshape(4, 3, 2)


@pytest.mark.parametrize(
    "same",
    [
        np.asfortranarray(X),
        X[::-1][::-1],
        np.repeat(X, 2, axis=0)[::2],
        X.astype(">f4"),
        np.asfortranarray(X.astype(">f4")),
    ],
)
def test_equal_arrays_have_one_fingerprint(same: np.ndarray) -> None:
    assert of_array(same) == of_array(X)


@pytest.mark.parametrize(
    "other",
    [X.astype(np.float64), X.reshape(3, 4, 2), X.view(np.int32), X[:, :, ::-1], -X, X[:3], X[:0]],
)
def test_other_arrays_have_another(other: np.ndarray) -> None:
    assert of_array(other) != of_array(X)


def test_one_changed_bit_changes_it() -> None:
    x = np.random.default_rng(0).standard_normal((50, 7))
    was = of_array(x)
    for row in range(50):
        changed = x.copy()
        changed.view(np.uint64)[row, row % 7] ^= 1
        assert of_array(changed) != was
    assert of_array(np.array(0.0)) != of_array(np.array(-0.0))


@pytest.mark.parametrize(
    "array",
    [np.array(3), np.array([True]), np.array(["a", ""]), np.array([""])[:0], np.zeros((0, 3)),
     np.array([1 + 2j]), np.array(["2020-01-01"], "datetime64[D]"), np.array([b"x"])],
)  # fmt: skip
def test_every_plain_kind_has_one(array: np.ndarray) -> None:
    assert json.loads(json.dumps(of_array(array))) == of_array(array.copy())


@pytest.mark.parametrize("array", [np.array([None]), np.zeros(2, [("a", "f4")])])
def test_objects_have_none(array: np.ndarray) -> None:
    with pytest.raises(UsageError):
        of_array(array)


def test_an_array_is_not_copied_whole() -> None:
    x = np.zeros((2000, 10_000))
    for view in (x, x[::-1]):
        tracemalloc.start()
        of_array(view)
        assert tracemalloc.get_traced_memory()[1] < 40e6
        tracemalloc.stop()


def test_a_small_file_is_hashed_whole(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(b"a,b\n1,2\n")
    was = of_file(file)
    assert was == json.loads(json.dumps(was)) == of_file(str(file))
    assert (was["size"], was["full"]) == (8, False)
    file.write_bytes(b"a,b\n1,3\n")
    assert of_file(file)["sha256"] != was["sha256"]


def test_a_large_file_is_looked_at_in_places_or_in_full(tmp_path: Path) -> None:
    file = tmp_path / "data.bin"
    size = 3 * (BLOCKS + 2) * BLOCK + 17
    file.write_bytes(bytes(size))

    def changed_at(place: int, *, full: bool = False) -> bool:
        was = of_file(file, full=full)["sha256"]
        with file.open("r+b") as stream:
            stream.seek(place)
            stream.write(b"x")
        now = of_file(file, full=full)["sha256"]
        file.write_bytes(bytes(size))
        return bool(was != now)

    blocks = [(size - BLOCK) * i // (BLOCKS + 1) for i in range(BLOCKS + 2)]
    assert blocks[0] == 0
    assert blocks[-1] == size - BLOCK
    for place in (0, size - 1, blocks[7], blocks[40] + BLOCK - 1):
        assert changed_at(place)
    between = blocks[7] + BLOCK + 5
    assert not changed_at(between)
    assert changed_at(between, full=True)


def test_what_is_no_file_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", tmp_path / "a\0b"):
        with pytest.raises(ConfigError):
            of_file(path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ConfigError):
            of_file(tmp_path / "pipe")
