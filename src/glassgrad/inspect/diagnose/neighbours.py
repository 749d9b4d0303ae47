"""What rows like a row say about it: each is predicted from its neighbours, itself left out."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
FEW, MANY = 5, 20
# For shares of classes. Where classes overlap, only many rows tell 0.6 from 0.8.
SOME = (10, 20, 50, 100)
SMALL = 6  # such a neighbourhood is at most one in so many of the rows


class Neighbours:
    """Rows (n, d) and their targets: classes (n,) int64, or numbers (n, k) float64.

    Columns are brought to mean 0 and standard deviation 1 first; those that never change are 0.
    """

    def __init__(self, x: Array, y: Array) -> None:
        spread = x.std(0)
        self.x = (x - x.mean(0)) / np.where(spread > 0, spread, 1)
        self.y = np.unique(y, return_inverse=True)[1].ravel() if y.ndim == 1 else y
        self.classifies = y.ndim == 1

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def nearest(self) -> Array:
        """For every row the numbers of those nearest to it, nearest first (n, 100)."""
        return _nearest(self.x, min(SOME[-1], len(self) - 1))

    @cached_property
    def guess(self) -> float:
        """The score of giving every row the same."""
        return self.score_of_guess(self.y)

    def score_of_guess(self, y: Array) -> float:
        """The share of the most frequent class; 0 for numbers."""
        return float(np.bincount(y).max() / len(y)) if self.classifies else 0.0

    @cached_property
    def score(self) -> float:
        """How well neighbours predict: the share that is right, or R squared."""
        return self.score_with(self.y)

    def score_with(self, y: Array) -> float:
        """The same for other targets in the same order of rows."""
        if y.ndim == 1:
            y = np.unique(y, return_inverse=True)[1].ravel()
        return max(score(y, _mean_of(y, self.nearest[:, :k])) for k in (FEW, MANY))

    @cached_property
    def straight(self) -> float:
        """How well a linear fit predicts rows that it was not fitted to."""
        return linear_score(self.x, self.y)

    @property
    def error(self) -> float:
        """How far a score may be from that of guessing by chance alone (one standard error)."""
        g = self.guess if self.classifies else 0.5
        return float(np.sqrt(max(g * (1 - g), 0.05) / len(self)))

    @cached_property
    def shares(self) -> Array:
        """For every row the share of each class among its neighbours, by the best of SOME k."""
        ks = [k for k in SOME if k == SOME[0] or k * SMALL <= len(self)]
        found = [_mean_of(self.y, self.nearest[:, :k]) for k in ks]
        return max(found, key=lambda p: score(self.y, p))


def _nearest(x: Array, k: int) -> Array:
    squares = (x * x).sum(1)
    far = squares[:, None] + squares - 2 * (x @ x.T)
    np.fill_diagonal(far, np.inf)
    at = np.argpartition(far, k - 1, axis=1)[:, :k]
    order = np.take_along_axis(far, at, 1).argsort(1, kind="stable")
    return np.take_along_axis(at, order, 1)


def _mean_of(y: Array, at: Array) -> Array:
    """The mean target of these rows: shares of classes, or numbers."""
    each = np.eye(int(y.max()) + 1)[y] if y.ndim == 1 else y
    found: Array = each[at].mean(1)
    return found


def score(y: Array, found: Array) -> float:
    """The share of classes that are right, or R squared of numbers, the mean over columns."""
    if y.ndim == 1:
        return float((found.argmax(1) == y).mean())
    spread = y.var(0)
    keep = spread > 0
    if not keep.any():
        return 0.0
    return float(1 - (((found - y) ** 2).mean(0)[keep] / spread[keep]).mean())


def linear_score(x: Array, y: Array, folds: int = 4) -> float:
    """The score of ridge regression on rows that it did not see."""
    each = np.eye(int(y.max()) + 1)[y] if y.ndim == 1 else y
    if x.shape[1] > 256:  # the sum of products would be most of the work
        x = x @ np.random.Generator(np.random.Philox(0)).standard_normal((x.shape[1], 256)) / 16
    design = np.hstack([x, np.ones((len(x), 1))])
    found = np.empty_like(each, dtype=np.float64)
    part = np.arange(len(x)) % folds
    for i in range(folds):
        here, rest = part == i, part != i
        a = design[rest]
        gram = a.T @ a + 1e-2 * len(a) * np.eye(design.shape[1])
        found[here] = design[here] @ np.linalg.solve(gram, a.T @ each[rest])
    return score(y, found)


def column_score(column: Array, y: Array, k: int = FEW) -> float:
    """How well rows beside it in one column predict a row, itself left out."""
    order = column.argsort(kind="stable")
    at = np.arange(len(column))
    beside = np.stack([at + d for d in range(-k, k + 1) if d], 1)
    inside = beside.clip(0, len(column) - 1)
    inside = np.where(inside == at[:, None], np.where(at[:, None] > 0, at[:, None] - 1, 1), inside)
    sorted_y = y[order]
    return score(sorted_y, _mean_of(sorted_y, inside))
