"""Whole data sets by name: what the command trains on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from glassgrad.data import cifar, fetch, toys
from glassgrad.data.idx import read_idx
from glassgrad.data.prepare import standardise
from glassgrad.data.splits import split
from glassgrad.errors import DataError, FormatError, ShapeError, told, unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["NAMES", "Dataset", "cifar10", "digits", "fashion_mnist", "load", "mnist"]

Folder = str | os.PathLike[str] | None


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set ready to train on.

    Images are kept as (n, channels, height, width), float32 in [0, 1] (CIFAR-10: uint8, as they
    are stored), because a convolution reads them so; a dense network begins with `nn.Flatten()` (or `x.reshape(len(x), -1)`). Tables are (n, d).

    Attributes
    ----------
    name : str
        As `load` knows it.
    x, y : array
        Training inputs (float32; CIFAR-10 uint8) and targets: int64 (n,) where the task is "classification",
        float32 (n, 1) where it is "binary" or "regression".
    x_test, y_test : array or None
        Rows never trained on; None where the set has none.
    classes : tuple of str
        Names by class number; empty for regression.
    task : "classification", "binary" or "regression"
        What the target is.
    feature_names : tuple of str
        Names by column; empty for images.
    source : str
        Where the rows come from.

    Raises
    ------
    ShapeError
        Inputs and targets differ in rows.

    Examples
    --------
    >>> digits()
    Dataset 'digits': classification, 1437 training rows of 1 x 8 x 8, 360 test rows, 10 classes
    """

    name: str
    x: NDArray[np.float32] | NDArray[np.uint8]
    y: NDArray[Any]
    x_test: NDArray[np.float32] | NDArray[np.uint8] | None
    y_test: NDArray[Any] | None
    classes: tuple[str, ...]
    task: Literal["classification", "binary", "regression"]
    feature_names: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        for part, x, y in (("training", self.x, self.y), ("test", self.x_test, self.y_test)):
            if (x is None) != (y is None) or (x is not None and y is not None and len(x) != len(y)):
                raise ShapeError(
                    "inputs and targets differ in rows",
                    where=f"{part} rows of data set {self.name!r}",
                    expected=f"{0 if x is None else len(x)} targets",
                    received=str(0 if y is None else len(y)),
                )

    def __repr__(self) -> str:
        rows = " x ".join(map(str, self.x.shape[1:]))
        held = "no" if self.x_test is None else str(len(self.x_test))
        text = f"Dataset {self.name!r}: {self.task}, {len(self.x)} training rows of {rows}, {held} test rows"
        return text + (f", {len(self.classes)} classes" if self.classes else "")


def load(name: str, folder: Folder = None, seed: int = 0) -> Dataset:
    """A data set by its name.

    Parameters
    ----------
    name : str
        digits, spiral, circles, moons, xor, people, mnist, fashion-mnist, cifar10, or another
        gate (and, or, nand, nor, xnor).
    folder : path, optional
        Where MNIST, Fashion-MNIST or CIFAR-10 is; otherwise GLASSGRAD_DATA, or what `glassgrad
        download` fetched. Other sets need none.
    seed : int
        Names the draw of spiral, circles and moons and their split; the other sets are fixed.

    Returns
    -------
    Dataset
        circles and moons: 1,000 points, an 80/20 split, standardised by the training rows.
        spiral, people and the gates have no test rows.

    Raises
    ------
    ConfigError
        No set has this name, or the seed is not usable.
    DataError, FormatError
        As `mnist`.

    Source: each function's own.

    Examples
    --------
    >>> load("circles")
    Dataset 'circles': binary, 800 training rows of 2, 200 test rows, 2 classes
    >>> load("spiral")
    Dataset 'spiral': classification, 300 training rows of 2, no test rows, 3 classes
    """
    if name not in NAMES:
        raise unknown_name("data set", name, NAMES)
    if name in toys.GATES:
        return _gate(name)
    if name in _FROM_FILES:
        return _FROM_FILES[name](folder)
    if name in _DRAWN:
        return _DRAWN[name](seed)
    return _FIXED[name]()


def digits() -> Dataset:
    """The 1,797 handwritten digits of 8 by 8 pixels, shipped with the library.

    Each pixel is the count of ink in a 4 by 4 block, 0 to 16, divided by 16. The split is fixed:
    stratified, 1,437 rows to train on and 360 to test on, whatever any seed.

    Returns
    -------
    Dataset
        x float32 (n, 1, 8, 8) in [0, 1], y int64 (n,).

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository (1998), doi:10.24432/C50P49, CC BY 4.0; as distributed with scikit-learn.
    `DIGITS.txt` beside this module says more.

    Examples
    --------
    >>> d = digits()
    >>> d.x.shape, d.x_test.shape, float(d.x.max()), d.classes[3]
    ((1437, 1, 8, 8), (360, 1, 8, 8), 1.0, '3')
    """
    images, labels = _stored_digits()
    x, x_test, y, y_test = split(images, labels, test=0.2, seed=0)
    return Dataset(
        "digits",
        np.divide(x[:, None], 16, dtype=np.float32),
        y.astype(np.int64),
        np.divide(x_test[:, None], 16, dtype=np.float32),
        y_test.astype(np.int64),
        tuple("0123456789"),
        "classification",
        (),
        "UCI Optical Recognition of Handwritten Digits (CC BY 4.0), shipped with glassgrad",
    )


def mnist(folder: Folder = None) -> Dataset:
    """MNIST: handwritten digits of 28 by 28 pixels, read from IDX files you have.

    Each pixel, 0 to 255, is divided by 255. The files are the published four
    (`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`,
    `t10k-labels-idx1-ubyte`), plain or `.gz`. Fewer rows than the published ones are accepted.

    Parameters
    ----------
    folder : path, optional
        The folder that contains `mnist/`, or the one with the files; otherwise what the
        environment variable GLASSGRAD_DATA names, or what `glassgrad download` fetched.

    Returns
    -------
    Dataset
        x float32 (n, 1, 28, 28) in [0, 1], y int64 (n,); usually 60,000 and 10,000 rows.

    Raises
    ------
    DataError
        No folder is named, the folder or a file is missing, or a label is not 0 to 9.
    FormatError
        A file is not what it claims to be, or images and labels differ in number.

    Source: Y. LeCun, C. Cortes and C. Burges, http://yann.lecun.com/exdb/mnist/.

    Examples
    --------
    >>> mnist("/no/such/folder")
    Traceback (most recent call last):
        ...
    glassgrad.errors.DataError: mnist is not there
      where:    /no/such/folder
      expected: a folder that contains mnist/, or the files themselves (train-images-idx3-ubyte, plain or .gz, and so on)
      received: no such folder
      try:      glassgrad download mnist; or pass folder=..., --data DIR, or set GLASSGRAD_DATA
    """
    return _from_idx("mnist", folder, tuple("0123456789"), "MNIST (LeCun, Cortes, Burges)")


def fashion_mnist(folder: Folder = None) -> Dataset:
    """Fashion-MNIST: articles of clothing, 28 by 28 pixels, read from IDX files you have.

    As `mnist`, in a folder named `fashion-mnist/` or `fashion_mnist/`. On Debian the package
    `dataset-fashion-mnist` puts it under /usr/share/datasets.

    Parameters
    ----------
    folder : path, optional
        The folder that contains `fashion-mnist/`, or the one with the files; otherwise what the
        environment variable GLASSGRAD_DATA names, or what `glassgrad download` fetched.

    Returns
    -------
    Dataset
        x float32 (n, 1, 28, 28) in [0, 1], y int64 (n,); usually 60,000 and 10,000 rows.

    Raises
    ------
    DataError, FormatError
        As `mnist`.

    Source: H. Xiao, K. Rasul and R. Vollgraf, arXiv:1708.07747 (2017), MIT licence.

    Examples
    --------
    >>> fashion_mnist("/no/such/folder")
    Traceback (most recent call last):
        ...
    glassgrad.errors.DataError: fashion-mnist is not there
      ...
    """
    names = (
        "T-shirt/top", "trouser", "pullover", "dress", "coat",
        "sandal", "shirt", "sneaker", "bag", "ankle boot",
    )  # fmt: skip
    return _from_idx("fashion-mnist", folder, names, "Fashion-MNIST (Xiao, Rasul, Vollgraf)")


def cifar10(folder: Folder = None) -> Dataset:
    """CIFAR-10: colour photographs of 32 by 32 pixels in ten classes, from files you have.

    The files are those of the binary version (`data_batch_1.bin` to `data_batch_5.bin`,
    `test_batch.bin`), plain or `.gz`. Fewer training batches than five are accepted, and `source`
    says how many there were.

    Parameters
    ----------
    folder : path, optional
        The folder that contains `cifar10/`, or the one with the files; otherwise what the
        environment variable GLASSGRAD_DATA names, or what `glassgrad download cifar10` fetched.

    Returns
    -------
    Dataset
        x uint8 (n, 3, 32, 32), channels first, as they are stored: a network takes them as numbers
        from 0 to 255, so let it begin with a `BatchNorm2d`; y int64 (n,); at most 50,000 and
        10,000 rows.

    Raises
    ------
    DataError
        No folder is named, the folder or the test batch is missing, or a label is not 0 to 9.
    FormatError
        A file is not what it claims to be.

    Source: A. Krizhevsky, "Learning multiple layers of features from tiny images" (2009).

    Examples
    --------
    >>> cifar10("/no/such/folder")
    Traceback (most recent call last):
        ...
    glassgrad.errors.DataError: cifar10 is not there
      ...
    """
    place = find_folder("cifar10", folder)
    found = [files[0] for (stem,) in _BATCHES[:-1] if (files := _candidates(place, stem))]
    test = _candidates(place, *_BATCHES[-1])
    if not found or not test:
        raise DataError(
            "a file of cifar10 is missing",
            where=told(place),
            expected="data_batch_1.bin or another training batch, and test_batch.bin; plain or .gz",
            received="no training batch" if not found else "no test batch",
            hint="put the batches into this folder, or: glassgrad download cifar10",
        )
    batches = [cifar.read_cifar10(file) for file in found]
    x_test, y_test = cifar.read_cifar10(test[0])
    of = "" if len(found) == 5 else f", {len(found)} of 5 training batches"
    return Dataset(
        "cifar10",
        np.concatenate([images for images, _ in batches]),
        np.concatenate([labels for _, labels in batches]),
        x_test,
        y_test,
        cifar.CLASSES,
        "classification",
        (),
        f"CIFAR-10 (Krizhevsky){of}, read from {place}",
    )


# ------------------------------------------------------------------------------- without files


def _gate(name: str) -> Dataset:
    x, y = toys.gate(name)
    return Dataset(
        name, x, y, None, None, ("0", "1"), "binary", ("a", "b"), f"the truth table of {name}"
    )


def _people() -> Dataset:
    x, y = toys.people()
    return Dataset(
        "people",
        x,
        y,
        None,
        None,
        ("male", "female"),
        "binary",
        ("weight - 135 lb", "height - 66 in"),
        "four people of the neuron article",
    )


def _spiral(seed: int) -> Dataset:
    x, y = toys.spiral(seed=seed)
    return Dataset(
        "spiral",
        x,
        y,
        None,
        None,
        ("arm 0", "arm 1", "arm 2"),
        "classification",
        ("x1", "x2"),
        f"drawn: 3 arms of 100 points, noise 0.2, seed {seed}",
    )


def _circles(seed: int) -> Dataset:
    x, y = toys.circles(seed=seed)
    about = f"drawn: 1000 points, noise 0.1, factor 0.8, seed {seed}"
    return _split_and_standardised("circles", x, y, ("outer", "inner"), about, seed)


def _moons(seed: int) -> Dataset:
    x, y = toys.moons(noise=0.1, seed=seed)
    about = f"drawn: 1000 points, noise 0.1, seed {seed}"
    return _split_and_standardised("moons", x, y, ("upper", "lower"), about, seed)


def _split_and_standardised(
    name: str,
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    classes: tuple[str, ...],
    about: str,
    seed: int,
) -> Dataset:
    train, test, y_train, y_test = split(x, y, test=0.2, seed=seed)
    train, test = standardise(train, test)
    return Dataset(
        name,
        train,
        y_train,
        test,
        y_test,
        classes,
        "binary",
        ("x1, standardised", "x2, standardised"),
        about,
    )


@cache
def _stored_digits() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The shipped images and labels, in scikit-learn's order."""
    here = Path(__file__).parent
    return read_idx(here / "digits-images.idx3.gz"), read_idx(here / "digits-labels.idx1.gz")


# ---------------------------------------------------------------------------------- from files

_FOLDERS = {
    "mnist": ("mnist",),
    "fashion-mnist": ("fashion-mnist", "fashion_mnist"),
    "cifar10": ("cifar10", "cifar-10", "cifar-10-batches-bin"),
}
_IDX = (
    ("train-images", "idx3-ubyte"),
    ("train-labels", "idx1-ubyte"),
    ("t10k-images", "idx3-ubyte"),
    ("t10k-labels", "idx1-ubyte"),
)
_BATCHES = tuple([(Path(name).stem,) for name in (*cifar.TRAINING, cifar.TEST)])
_FILES: dict[str, tuple[tuple[str, ...], ...]] = {
    "mnist": _IDX,
    "fashion-mnist": _IDX,
    "cifar10": _BATCHES,
}


def _from_idx(name: str, folder: Folder, classes: tuple[str, ...], source: str) -> Dataset:
    place = find_folder(name, folder)
    train_images, train_labels, test_images, test_labels = (
        _find_file(name, place, stem, kind) for stem, kind in _IDX
    )
    x, y = _images_and_labels(train_images, train_labels, len(classes))
    x_test, y_test = _images_and_labels(test_images, test_labels, len(classes))
    return Dataset(
        name, x, y, x_test, y_test, classes, "classification", (), f"{source}, read from {place}"
    )


def find_folder(name: str, folder: Folder) -> Path:
    """The folder with a set's files: the named one, or the one in it with the set's name.

    Where none is named, GLASSGRAD_DATA and then what `glassgrad download` fills are looked
    through. Raises DataError if they are not there.
    """
    environment = os.environ.get("GLASSGRAD_DATA")
    named = folder or environment
    tops = [Path(named)] if named else []
    if folder is None or os.fspath(folder) == environment:
        tops.append(fetch.cache())
    for top in tops:
        # Sets share names of files, so a folder that says it is another one's is refused.
        others = {word for other, words in _FOLDERS.items() if other != name for word in words}
        candidates = [top / word for word in _FOLDERS[name]]
        for candidate in candidates + ([] if top.resolve().name in others else [top]):
            if _is_there(name, candidate):
                return candidate
    first = _FILES[name][0]
    example = f"{first[0]}.bin" if len(first) == 1 else "-".join(first)
    named = folder or environment
    raise DataError(
        f"{name} is not there",
        where=os.fspath(named)
        if named
        else "neither an argument nor GLASSGRAD_DATA names a folder",
        expected=f"a folder that contains {name}/, or the files themselves "
        f"({example}, plain or .gz, and so on)",
        received="no folder"
        if not named
        else "a folder without them"
        if Path(named).is_dir()
        else "no such folder",
        hint=f"glassgrad download {name}; or pass folder=..., --data DIR, or set GLASSGRAD_DATA",
    )


def _is_there(name: str, folder: Path) -> bool:
    return any(_candidates(folder, *file) for file in _FILES[name])


def _candidates(folder: Path, stem: str, kind: str = "") -> list[Path]:
    """The files that may hold one part: both spellings found in the wild, plain before `.gz`."""
    dots = ("-", ".") if kind else (".bin",)
    names = [f"{stem}{dot}{kind}{end}" for end in ("", ".gz") for dot in dots]
    return [folder / name for name in names if (folder / name).is_file()]


def _find_file(name: str, folder: Path, stem: str, kind: str) -> Path:
    found = _candidates(folder, stem, kind)
    if not found:
        raise DataError(
            f"a file of {name} is missing",
            where=told(folder),
            expected=f"{stem}-{kind} or {stem}-{kind}.gz",
            received="neither",
            hint=f"put all four files into this folder, or: glassgrad download {name}",
        )
    return found[0]


def _images_and_labels(
    image_file: Path, label_file: Path, classes: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    images, labels = read_idx(image_file), read_idx(label_file)
    for file, array, shape in (
        (image_file, images, (len(images), 28, 28)),
        (label_file, labels, (len(labels),)),
    ):
        if array.dtype != np.uint8 or array.shape != shape:
            raise FormatError(
                "an IDX file of another kind",
                where=told(file),
                expected=f"uint8 of shape {shape}",
                received=f"{array.dtype} of shape {array.shape}",
            )
    if len(images) != len(labels):
        raise FormatError(
            "images and labels differ in number",
            where=told(label_file),
            expected=f"{len(images)} labels ({8 + len(images)} bytes) for {image_file.name}",
            received=f"{len(labels)} labels ({8 + len(labels)} bytes)",
        )
    bad = np.flatnonzero(labels >= classes)
    if len(bad):
        raise DataError(
            f"{len(bad)} labels are out of range",
            where=f"{label_file}, first at row {bad[0]}",
            expected=f"0 to {classes - 1}",
            received=str(labels[bad[0]]),
        )
    return np.divide(images[:, None], 255, dtype=np.float32), labels.astype(np.int64)


_FIXED: dict[str, Callable[[], Dataset]] = {"digits": digits, "people": _people}
_DRAWN: dict[str, Callable[[int], Dataset]] = {
    "spiral": _spiral,
    "circles": _circles,
    "moons": _moons,
}
_FROM_FILES: dict[str, Callable[[Folder], Dataset]] = {
    "mnist": mnist,
    "fashion-mnist": fashion_mnist,
    "cifar10": cifar10,
}

NAMES: tuple[str, ...] = (
    "digits",
    "spiral",
    "circles",
    "moons",
    "xor",
    "people",
    "mnist",
    "fashion-mnist",
    "cifar10",
    *(name for name in toys.GATES if name != "xor"),
)
"""The names `load` knows, in the order the command lists them."""
