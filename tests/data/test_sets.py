"""Whole data sets: load, digits, and MNIST from a folder."""

from __future__ import annotations

import gzip
import hashlib
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from glassgrad import data
from glassgrad.data import sets
from glassgrad.errors import ConfigError, DataError, FormatError, ShapeError
from tests.conftest import data_dir, require

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx(array: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_set(folder: Path, train: int = 12, test: int = 5, packed: bool = False) -> Path:
    """Four small files in the published layout."""
    folder.mkdir(parents=True)
    for name in FILES:
        n = train if name.startswith("train") else test
        values = (
            np.arange(n * 784).reshape(n, 28, 28) % 256 if "images" in name else np.arange(n) % 10
        )
        stored = idx(values)
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(stored))
        else:
            (folder / name).write_bytes(stored)
    return folder


# ------------------------------------------------------------------------------------- load

WITHOUT_FILES = {  # rows, test rows, columns, task, classes
    "digits": (1437, 360, (1, 8, 8), "classification", 10),
    "spiral": (300, None, (2,), "classification", 3),
    "circles": (800, 200, (2,), "binary", 2),
    "moons": (800, 200, (2,), "binary", 2),
    "people": (4, None, (2,), "binary", 2),
    **dict.fromkeys(data.GATES, (4, None, (2,), "binary", 2)),
}


@pytest.mark.parametrize("name", WITHOUT_FILES)
def test_load(name: str) -> None:
    rows, test_rows, columns, task, classes = WITHOUT_FILES[name]
    d = data.load(name, seed=5)
    assert (d.name, d.x.shape, d.task, len(d.classes)) == (name, (rows, *columns), task, classes)
    assert d.x.dtype == np.float32
    target = ((rows,), "int64") if task == "classification" else ((rows, 1), "float32")
    assert (d.y.shape, d.y.dtype.name) == target
    if test_rows is None:
        assert d.x_test is None
        assert d.y_test is None
    else:
        assert d.x_test is not None
        assert d.y_test is not None
        assert (d.x_test.shape, d.x_test.dtype.name) == ((test_rows, *columns), "float32")
        assert (len(d.y_test), d.y_test.dtype.name) == (test_rows, target[1])
    assert len(d.feature_names) == (columns[0] if len(columns) == 1 else 0)
    assert d.source
    assert np.unique(d.y).tolist() == list(range(classes))


def test_every_name_is_covered() -> None:
    assert set(data.NAMES) == {*WITHOUT_FILES, "mnist", "fashion-mnist", "cifar10"}
    with pytest.raises(ConfigError, match="did you mean 'spiral'"):
        data.load("spirals")
    with pytest.raises(ConfigError, match="unknown data set"):
        data.load("../../etc/passwd")


@pytest.mark.parametrize("name", ["spiral", "circles", "moons"])
def test_the_seed_names_the_draw(name: str) -> None:
    first, again, other = data.load(name, seed=1), data.load(name, seed=1), data.load(name, seed=2)
    np.testing.assert_array_equal(first.x, again.x)
    assert not np.array_equal(first.x, other.x)


@pytest.mark.parametrize("name", ["circles", "moons"])
def test_training_rows_alone_set_the_scale(name: str) -> None:
    d = data.load(name)
    np.testing.assert_allclose(d.x.mean(axis=0, dtype=float), 0, atol=1e-6)
    np.testing.assert_allclose(d.x.std(axis=0, dtype=float), 1, rtol=1e-6)
    assert d.x_test is not None
    assert (abs(d.x_test.mean(axis=0)) > 1e-3).any()
    assert (d.y.mean(), d.y_test.mean()) == (0.5, 0.5)  # type: ignore[union-attr]


def test_a_dataset_has_a_target_for_each_row() -> None:
    d = data.load("xor")
    with pytest.raises(ShapeError, match="training rows of data set 'mine'"):
        data.Dataset("mine", d.x, d.y[:3], None, None, (), "regression", (), "")
    with pytest.raises(ShapeError, match="test rows"):
        data.Dataset("mine", d.x, d.y, d.x, None, (), "regression", (), "")


# ----------------------------------------------------------------------------------- digits


def test_digits_are_scikit_learns() -> None:
    theirs = require("sklearn.datasets").load_digits()
    images, labels = sets._stored_digits()
    np.testing.assert_array_equal(images, theirs.images)
    np.testing.assert_array_equal(labels, theirs.target)


def test_digits_split_is_fixed_and_stratified() -> None:
    first, other = data.load("digits", seed=0), data.load("digits", seed=99)
    np.testing.assert_array_equal(first.x, other.x)
    np.testing.assert_array_equal(first.y_test, other.y_test)
    assert first.x_test is not None
    assert first.y_test is not None
    everything = np.concatenate([first.x, first.x_test])[:, 0] * 16
    images, labels = sets._stored_digits()
    assert sorted(map(bytes, everything.astype(np.uint8))) == sorted(map(bytes, images))
    share = np.bincount(first.y_test) / np.bincount(labels)
    np.testing.assert_allclose(share, 0.2, atol=0.006)
    assert np.bincount(first.y_test).sum() == 360


def test_digits_bytes_never_change() -> None:
    d = data.digits()
    assert d.x_test is not None
    assert d.y_test is not None
    parts = (d.x.astype("<f4"), d.y.astype("<i8"), d.x_test.astype("<f4"), d.y_test.astype("<i8"))
    stored = b"".join(part.tobytes() for part in parts)
    assert hashlib.sha256(stored).hexdigest()[:16] == "4b3cfe6fb7bb4ea0"


def test_digits_are_fresh_arrays() -> None:
    data.digits().x[:] = -1
    assert data.digits().x.min() == 0


# ------------------------------------------------------------------------------ from folders


def test_mnist_as_supplied(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = data_dir("mnist")
    monkeypatch.setenv("GLASSGRAD_DATA", str(folder))
    d = data.load("mnist")
    assert (d.x.shape, d.x.dtype.name) == ((60_000, 1, 28, 28), "float32")
    assert (float(d.x.min()), float(d.x.max())) == (0.0, 1.0)
    # The published counts and first labels.
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(d.y).tolist() == counts
    assert d.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert d.x_test is not None
    assert d.y_test is not None
    assert len(d.x_test) == len(d.y_test) == 3000  # fewer than the 10,000 published
    assert d.y_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    # The mean and deviation everybody quotes; values of 1 became 0 in these files.
    assert float(d.x.mean(dtype=float)) == pytest.approx(0.1307, abs=2e-4)
    assert float(d.x.std(dtype=float)) == pytest.approx(0.3081, abs=2e-4)
    own = data.mnist(folder / "mnist")  # the folder with the files themselves
    np.testing.assert_array_equal(own.x_test, d.x_test)


@pytest.mark.parametrize("packed", [False, True])
def test_plain_and_packed(tmp_path: Path, packed: bool) -> None:
    write_set(tmp_path / "mnist", packed=packed)
    d = data.mnist(tmp_path)
    assert (d.x.shape, d.y.tolist()) == ((12, 1, 28, 28), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1])
    np.testing.assert_array_equal(
        d.x.ravel()[:300], (np.arange(300) % 256 / 255).astype(np.float32)
    )
    assert d.x_test is not None
    assert len(d.x_test) == 5


def test_spelling_with_a_dot(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "mnist")
    for name in FILES:
        (folder / name).rename(folder / name.replace("-idx", ".idx"))
    assert len(data.mnist(tmp_path).x) == 12


@pytest.mark.parametrize("word", ["fashion-mnist", "fashion_mnist"])
def test_fashion_mnist(tmp_path: Path, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path / word)
    assert data.fashion_mnist(tmp_path).classes[9] == "ankle boot"
    monkeypatch.setenv("GLASSGRAD_DATA", str(tmp_path / word))
    assert data.load("fashion-mnist").name == "fashion-mnist"


def test_one_set_is_not_taken_for_the_other(tmp_path: Path) -> None:
    """Their files have the same names, so the folder's name is all that tells them apart."""
    write_set(tmp_path / "mnist")
    with pytest.raises(DataError, match="fashion-mnist is not there"):
        data.fashion_mnist(tmp_path / "mnist")
    with pytest.raises(DataError, match="fashion-mnist is not there"):
        data.fashion_mnist(tmp_path)


def test_without_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GLASSGRAD_DATA", raising=False)
    with pytest.raises(DataError, match=r"glassgrad download mnist; .* set GLASSGRAD_DATA"):
        data.mnist()
    for folder, received in ((tmp_path / "no", "no such folder"), (tmp_path, "a folder without")):
        with pytest.raises(DataError, match=received) as caught:
            data.mnist(folder)
        assert "glassgrad download mnist" in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (write_set(tmp_path / "mnist") / name).unlink()
    with pytest.raises(DataError, match=name):
        data.mnist(tmp_path)


def test_what_does_not_fit_together(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "mnist")

    def refused(name: str, stored: bytes, kind: type[Exception], words: str) -> None:
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(stored)
        with pytest.raises(kind, match=words):
            data.mnist(folder)
        (folder / name).write_bytes(kept)

    refused(
        FILES[1], idx(np.zeros(11)), FormatError, r"12 labels \(20 bytes\)(.|\n)*11 labels \(19"
    )
    refused(FILES[3], idx(np.zeros(6)), FormatError, "differ in number")
    refused(FILES[1], idx(np.array([0, 1, 10] * 4)), DataError, "first at row 2(.|\n)*received: 10")
    refused(FILES[0], idx(np.zeros((12, 28, 27))), FormatError, r"\(12, 28, 27\)")
    refused(FILES[0], idx(np.zeros((12, 784))), FormatError, "another kind")
    refused(FILES[1], idx(np.zeros((12, 1))), FormatError, "another kind")
    refused(FILES[1], idx(np.zeros((12, 28, 28))), FormatError, "another kind")  # swapped
    signed = bytearray(idx(np.zeros(12)))
    signed[2] = 9
    refused(FILES[1], bytes(signed), FormatError, "int8")
    assert len(data.mnist(folder).x) == 12


def test_importing_data_loads_only_numpy_and_the_standard_library() -> None:
    code = """
import sys, numpy
before = set(sys.modules)
import glassgrad.data
new = {name.partition('.')[0] for name in set(sys.modules) - before}
print(sorted(new - set(sys.stdlib_module_names) - {'numpy', 'glassgrad'}), 'numpy.random' in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "False"]
