"""CIFAR-10 in its binary version: what is read, and what is refused."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from glassgrad import data
from glassgrad.data import read_cifar10
from glassgrad.errors import DataError, FormatError
from tests.conftest import data_dir


def batch(count: int, seed: int = 0) -> tuple[bytes, np.ndarray, np.ndarray]:
    """Records written one number at a time."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 3, 32, 32)).astype("u1")
    labels = rng.integers(0, 10, count)
    out = bytearray()
    for image, label in zip(images, labels, strict=True):
        out.append(label)
        for colour in range(3):
            for row in range(32):
                out += bytes(image[colour, row].tolist())
    return bytes(out), images, labels


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_records_are_a_label_and_channels_first(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    stored, images, labels = batch(5)
    (tmp_path / "b").write_bytes(pack(stored))
    x, y = read_cifar10(tmp_path / "b")
    assert (x.dtype.name, y.dtype.name) == ("uint8", "int64")
    np.testing.assert_array_equal(x, images)
    np.testing.assert_array_equal(y, labels)
    x[...] = 0  # our own


GOOD = batch(3)[0]


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (b"", ("0 bytes", "3,073")),
        (GOOD[:-1], ("9,218 bytes: 2 records and 3,072 bytes over",)),
        (GOOD + b"\0", ("3 records and 1 bytes over",)),
        (gzip.compress(GOOD, mtime=0)[:-1], ("cut short",)),
        (gzip.compress(GOOD, mtime=0) + b"\0", ("bytes after the gzip stream",)),
        (gzip.compress(GOOD[:-1], mtime=0), ("3,072 bytes over",)),
        (gzip.compress(GOOD, mtime=0)[:10] + b"\xff" * 50, ("damaged",)),
        (batch(5)[0], ("above the limit", "at most 4 records")),
        (gzip.compress(batch(5)[0], mtime=0), ("above the limit", "more")),
        (gzip.compress(bytes(10**8), mtime=0), ("above the limit",)),
    ],
)
def test_16_17_anything_but_whole_records_is_refused(
    tmp_path: Path, stored: bytes, words: tuple[str, ...]
) -> None:
    (tmp_path / "batch").write_bytes(stored)
    with pytest.raises(FormatError) as caught:
        read_cifar10(tmp_path / "batch", limit=4)
    for word in ("batch", *words):
        assert word in str(caught.value)


def test_5_a_label_out_of_range_is_named(tmp_path: Path) -> None:
    bad = bytearray(GOOD)
    bad[2 * 3073] = 10
    (tmp_path / "batch").write_bytes(bad)
    with pytest.raises(DataError, match="first at record 2"):
        read_cifar10(tmp_path / "batch")
    for place in (tmp_path, tmp_path / "none", "a\0b"):
        with pytest.raises((DataError, FormatError)):
            read_cifar10(place)


def test_fewer_batches_than_five_are_accepted_and_said(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    (folder / "data_batch_2.bin").write_bytes(batch(3, 1)[0])
    with pytest.raises(DataError, match="no test batch"):
        data.cifar10(tmp_path)
    (folder / "test_batch.bin.gz").write_bytes(gzip.compress(batch(2, 2)[0], mtime=0))
    (folder / "data_batch_4.bin").write_bytes(batch(4, 3)[0])
    found = data.load("cifar10", tmp_path)
    assert "2 of 5 training batches" in found.source
    np.testing.assert_array_equal(found.x[3:], batch(4, 3)[1])
    assert found.x.shape == (7, 3, 32, 32)
    assert found.x_test is not None
    assert len(found.x_test) == 2
    assert found.classes[3] == "cat"
    with pytest.raises(DataError, match="glassgrad download cifar10"):
        data.cifar10(tmp_path / "none")


def test_the_real_files_are_read() -> None:
    found = data.load("cifar10", data_dir("cifar10"))
    assert found.x.shape[1:] == (3, 32, 32)
    assert np.bincount(found.y, minlength=10).min() > 900  # ten classes, about alike
    assert found.y[:5].tolist() == [6, 9, 9, 4, 1]  # frog, truck, truck, deer, automobile
