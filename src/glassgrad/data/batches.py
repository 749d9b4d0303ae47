"""Rows a few at a time, in the order that `fit` would take them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from glassgrad.errors import ConfigError, DataError, ShapeError, shown
from glassgrad.tensors.random import checked_seed, order_of_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from glassgrad.data.augment import Augment

__all__ = ["Batches"]


class Batches:
    """Batches of some arrays with as many rows; each time round is the next epoch.

    The order of the rows is a function of (seed, epoch) and is the order `gg.fit` takes with the
    same seed, so that a loop of one's own sees the same batches. The last, smaller batch is used.

    Parameters
    ----------
    arrays : sequence of arrays (n, ...)
        Such as (x, y), or (x, y, weights).
    batch_size : int or None
        Rows at a time; None is all rows at once.
    shuffle : bool
        Another order each epoch; batches of all rows keep theirs, as in `fit`.
    seed : int
        Names the draw.
    augment : Augment, optional
        What happens to the first of the arrays on its way, keyed by seed, epoch and row.

    Attributes
    ----------
    epoch : int
        How many epochs were begun; set it to go on from there.

    Raises
    ------
    ConfigError
        The batch size or the seed is out of range.
    ShapeError
        The arrays differ in rows.
    DataError
        There are none, or they have no rows.

    Examples
    --------
    >>> batches = Batches((np.arange(5), np.arange(5) * 10), batch_size=2, seed=1)
    >>> for x, y in batches:
    ...     print(x, y)
    [4 1] [40 10]
    [2 3] [20 30]
    [0] [0]
    >>> len(batches), batches.epoch
    (3, 1)
    """

    def __init__(
        self,
        arrays: Sequence[Any],
        batch_size: int | None = 32,
        shuffle: bool = True,
        seed: int = 0,
        *,
        augment: Augment | None = None,
    ) -> None:
        if isinstance(arrays, np.ndarray) or not isinstance(arrays, Sequence) or not len(arrays):
            raise DataError(
                "batches are made of several arrays",
                where="Batches",
                expected="a tuple such as (x, y)",
                received=shown(type(arrays).__name__),
            )
        self.arrays: tuple[NDArray[Any], ...] = tuple([np.asarray(a) for a in arrays])
        counts = [a.shape[0] if a.ndim else 0 for a in self.arrays]
        if len(set(counts)) != 1:
            raise ShapeError(
                "the arrays differ in rows",
                where="Batches",
                expected=f"{counts[0]} rows in each",
                received=str(counts),
            )
        if not counts[0]:
            raise DataError(
                "no samples", where="Batches", expected="at least one row", received="none"
            )
        self.rows = counts[0]
        if batch_size is not None and (
            isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1
        ):
            raise ConfigError(
                "batch_size is out of range",
                where="Batches",
                expected="a whole number from 1, or None for all rows",
                received=shown(batch_size),
            )
        self.batch_size = self.rows if batch_size is None else min(batch_size, self.rows)
        self.shuffle = bool(shuffle)
        self.seed = checked_seed(seed)
        self.augment = augment
        self.epoch = 0

    def __len__(self) -> int:
        return (self.rows + self.batch_size - 1) // self.batch_size

    def __iter__(self) -> Iterator[tuple[NDArray[Any], ...]]:
        self.epoch += 1
        return self.at(self.epoch)

    def at(self, epoch: int) -> Iterator[tuple[NDArray[Any], ...]]:
        """The batches of an epoch, counted from 1; nothing is remembered of it."""
        order = np.arange(self.rows)
        if self.shuffle and self.batch_size < self.rows:
            order = order_of_rows(self.rows, self.seed, epoch)
        for start in range(0, self.rows, self.batch_size):
            rows = order[start : start + self.batch_size]
            first, *others = [a[rows] for a in self.arrays]
            if self.augment is not None:
                first = self.augment(first, rows, seed=self.seed, epoch=epoch)
            yield (first, *others)
