"""Images changed a little each epoch, so that a network cannot learn them by heart.

What happens to a row is a function of (seed, epoch, row) alone: the same in any batch, in any
order, on any thread. What is done to images are plain functions that a run's program prints; `Augment`
says which of them, and how much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from glassgrad.engine import image_changes
from glassgrad.errors import ConfigError, DataError, ShapeError, shown
from glassgrad.tensors.random import checked_seed

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Images = NDArray[Any]
    Uniform = NDArray[np.float64]

__all__ = ["Augment", "mixup"]

_FLIP, _DOWN, _RIGHT, _LIGHT, _HOLE_Y, _HOLE_X, _PARTNER, _PART = range(8)
_EACH = 8  # numbers for each row, used or not: one setting more changes no other
Change = tuple[str, tuple[int, ...], tuple[Any, ...]]


class Augment:
    """Random changes of images, keyed by (seed, epoch, row).

    In this order: flip, shift, brightness, cutout.

    Parameters
    ----------
    flip : bool
        Swap left and right of half of the images.
    shift : int
        Move by up to so many pixels each way, zeros coming in: the random crop of an image padded
        by as much.
    brightness : float
        Multiply by a factor from 1 - brightness to 1 + brightness. Bytes stay in 0 to 255; real
        numbers are not cut (torchvision cuts them to 0 and 1; ours may be standardised).
    cutout : int
        The side of a square of zeros; 0 for none.

    Raises
    ------
    ConfigError
        A setting is out of its range.

    Source: shift and flip as in K. He et al., arXiv:1512.03385; brightness as torchvision's
    `ColorJitter`; T. DeVries and G. Taylor, "Cutout", arXiv:1708.04552.

    Examples
    --------
    >>> images = np.arange(2 * 4, dtype=np.uint8).reshape(2, 1, 2, 2)
    >>> change = Augment(flip=True)
    >>> change(images, [0, 1], seed=0, epoch=1)[:, 0].tolist()
    [[[1, 0], [3, 2]], [[5, 4], [7, 6]]]
    >>> change(images[1:], [1], seed=0, epoch=1)[:, 0].tolist()
    [[[5, 4], [7, 6]]]
    """

    def __init__(
        self, *, flip: bool = False, shift: int = 0, brightness: float = 0.0, cutout: int = 0
    ) -> None:
        if not isinstance(flip, bool):
            raise _out("flip", "True or False", flip)
        for name, number in (("shift", shift), ("cutout", cutout)):
            if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 10_000:
                raise _out(name, "a whole number of pixels from 0", number)
        real = isinstance(brightness, int | float) and not isinstance(brightness, bool)
        if not real or not 0 <= brightness <= 1:
            raise _out("brightness", "a number from 0 to 1", brightness)
        self.flip, self.shift, self.cutout = flip, shift, cutout
        self.brightness = float(brightness)
        self._kept: tuple[tuple[int, int], Uniform] = ((-1, -1), np.empty((0, _EACH)))

    def __repr__(self) -> str:
        settings = {
            "flip": self.flip, "shift": self.shift, "brightness": self.brightness,
            "cutout": self.cutout,
        }  # fmt: skip
        return f"Augment({', '.join(f'{k}={v!r}' for k, v in settings.items() if v)})"

    def __call__(
        self, images: ArrayLike, rows: ArrayLike, *, seed: int = 0, epoch: int = 1
    ) -> Images:
        """The images of these rows as they are seen in this epoch; dtype and shape kept.

        `images` is (n, channels, height, width), `rows` the n numbers that the images have in the
        whole set. Raises ShapeError and DataError where they do not fit.
        """
        given = np.asarray(images)
        if given.ndim != 4 or given.dtype.kind not in "fu":
            raise ShapeError(
                "these are no images",
                where="Augment",
                expected="(n, channels, height, width), bytes or real numbers",
                received=f"{given.dtype} of shape {given.shape}",
            )
        if self.shift >= min(given.shape[2:]):
            raise ShapeError(
                "the shift is as large as the images",
                where="Augment",
                expected=f"less than {min(given.shape[2:])} pixels",
                received=str(self.shift),
            )
        numbers = _checked_rows(rows, len(given))
        u = self._uniform(numbers, checked_seed(seed), epoch)
        plain = image_changes()
        for name, columns, how_much in self.changes():
            given = getattr(plain, name)(given, *[u[:, i] for i in columns], *how_much)
        return np.ascontiguousarray(given)

    def changes(self) -> tuple[Change, ...]:
        """What is done, in order: the function, which of a row's numbers it takes, how much."""
        found: list[Change] = []
        if self.flip:
            found.append(("flipped_images", (_FLIP,), ()))
        if self.shift:
            found.append(("shifted_images", (_DOWN, _RIGHT), (self.shift,)))
        if self.brightness:
            found.append(("brightened_images", (_LIGHT,), (self.brightness,)))
        if self.cutout:
            found.append(("images_with_hole", (_HOLE_Y, _HOLE_X), (self.cutout,)))
        return tuple(found)

    def _uniform(self, rows: NDArray[np.int64], seed: int, epoch: int) -> Uniform:
        """The numbers of these rows; an epoch's are drawn once and kept."""
        known, table = self._kept
        most = int(rows.max(initial=-1)) + 1
        if known != (seed, epoch) or len(table) < most:
            table = _drawn(max(most, 2 * len(table) if known == (seed, epoch) else 0), seed, epoch)
            self._kept = ((seed, epoch), table)
        return table[rows]


def mixup(
    x: NDArray[Any], y: NDArray[Any], rows: ArrayLike, *, seed: int = 0, epoch: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Each row mixed with another one of the whole set, its target likewise.

    (1 - t) x[row] + t x[partner], t uniform in [0, 1): Beta(1, 1); the partner is any row. Both are
    functions of (seed, epoch, row).

    Parameters
    ----------
    x : array (n, ...)
        All rows.
    y : array (n, classes) or (n, 1)
        All targets, as numbers that can be mixed: `one_hot` of classes.
    rows : array (m,)
        Which rows are wanted.

    Returns
    -------
    x, y : float32 arrays (m, ...)

    Raises
    ------
    ShapeError, DataError
        Rows and targets differ, classes are not one-hot, or a row is not there.

    Source: H. Zhang et al., "mixup: beyond empirical risk minimization", arXiv:1710.09412.

    Examples
    --------
    >>> x, y = np.array([[0.0], [10.0]]), np.eye(2)
    >>> mixed, target = mixup(x, y, [0, 1])
    >>> np.allclose(mixed[:, 0], 10 * target[:, 1])
    True
    """
    x, y = np.asarray(x), np.asarray(y)
    if len(x) != len(y) or y.ndim < 2:
        raise ShapeError(
            "mixup mixes targets, too",
            where="mixup",
            expected=f"y of shape ({len(x)}, classes)",
            received=str(y.shape),
            hint="data.one_hot(y)",
        )
    numbers = _checked_rows(rows, None)
    if numbers.max(initial=-1) >= len(x):
        raise DataError(
            "a row is not there",
            where="mixup",
            expected=f"0 to {len(x) - 1}",
            received=str(numbers.max()),
        )
    u = _drawn(int(numbers.max(initial=-1)) + 1, checked_seed(seed), epoch)[numbers]
    partner = np.floor(u[:, _PARTNER] * len(x)).astype(np.int64)
    t = u[:, _PART]

    def mixed(a: NDArray[Any]) -> NDArray[np.float32]:
        share = t.reshape(-1, *[1] * (a.ndim - 1))
        return np.asarray((1 - share) * a[numbers] + share * a[partner], np.float32)

    return mixed(x), mixed(y)


def _drawn(rows: int, seed: int, epoch: int) -> Uniform:
    """Uniform numbers in [0, 1), eight for each row: the first rows are the same for any count."""
    if isinstance(epoch, bool) or not isinstance(epoch, int) or not 0 <= epoch < 2**63:
        raise _out("epoch", "a whole number from 0", epoch)
    found: Uniform = image_changes().augment_numbers(rows, seed, epoch)
    return found


def _checked_rows(rows: ArrayLike, count: int | None) -> NDArray[np.int64]:
    numbers = np.asarray(rows)
    if numbers.ndim != 1 or (count is not None and len(numbers) != count):
        raise ShapeError(
            "images and their numbers differ",
            expected=f"{'n' if count is None else count} row numbers",
            received=str(numbers.shape),
        )
    if not len(numbers):
        return np.empty(0, np.int64)
    if numbers.dtype.kind not in "iu" or numbers.min() < 0 or numbers.max() >= 2**31:
        raise DataError(
            "row numbers say which images these are",
            expected="whole numbers from 0 to 2**31 - 1",
            received=shown(numbers[:3].tolist()),
        )
    return numbers.astype(np.int64)


def _out(name: str, expected: str, received: object) -> ConfigError:
    return ConfigError(
        f"{name} is out of range", where="Augment", expected=expected, received=shown(received)
    )
