"""Faults of columns: of another size than a network learns from, or telling the target."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.nn.module import Module

from .bounds import (
    AS_TELLING,
    COMMON,
    COPIES,
    LARGE,
    MADE_OF_IT,
    MUCH_BETTER,
    NAMED,
    NO_BETTER,
    OPEN,
    OTHERS_LACK,
    PROMISING,
    TELLING,
)
from .evidence import Evidence
from .faults import Finding
from .forks import Fork
from .neighbours import Neighbours, column_score, score

Array = NDArray[Any]


def unscaled(evidence: Evidence) -> Iterator[Finding]:
    """Columns, or channels, far larger than others, read by a layer as they are."""
    given = evidence.inputs
    if given is None or not evidence.walk.reads_data():
        return
    x: Array = np.asarray(given[evidence.looked_at], np.float64)
    axis = 1 if x.ndim != 3 else 2
    rest = tuple([i for i in range(x.ndim) if i != axis])
    size, middle, spread = np.sqrt((x**2).mean(rest)), x.mean(rest), x.std(rest)
    usual = float(np.median(size[size > 0])) if (size > 0).any() else 0.0
    # Of two columns the median is between them, so that the smaller one is what is usual.
    relative = usual if len(size) > 2 else float(size[size > 0].min(initial=1.0))
    large = (size > LARGE) & ((size > LARGE * relative) | (usual > LARGE))
    if not large.any():
        return
    at = np.flatnonzero(large)
    worst = int(at[size[at].argmax()])
    what = "column" if x.ndim < 4 else "channel"
    others = ""
    if len(at) < len(size):
        others = f"; the size (root mean square) of the others is {np.median(size[~large]):.3g}"

    def change(fork: Fork) -> Fork:
        (name,) = fork.x
        shape = [1] * x.ndim
        shape[axis] = -1
        off = np.where(large, middle, 0).reshape(shape)
        by = np.where(large & (spread > 0), spread, 1).reshape(shape)
        scaled = [
            {name: ((each[name] - off) / by).astype(fork.model.dtype())}
            for each in (fork.x, fork.held_x)
        ]
        return fork.but(x=scaled[0], held_x=scaled[1], rescaled=True)

    yield Finding(
        "unscaled column",
        _named(what, at, evidence),
        f"{what} {evidence.column(worst)} has mean {middle[worst]:.3g} and standard deviation {spread[worst]:.3g}"
        f"{others}",
        ""
        if spread[at].all()
        else "Leave out what never changes; of the rest subtract the mean and divide by the standard "
        "deviation.",
        change=change,
    )


class _InUnits(Module):
    """A network whose outputs are brought to the size of the targets."""

    def __init__(self, inner: Module, middle: float, spread: float) -> None:
        super().__init__()
        self.inner, self.middle, self.spread = inner, middle, spread

    def forward(self, *given: Any) -> Any:
        return self.inner(*given) * self.spread + self.middle


def unscaled_target(evidence: Evidence) -> Iterator[Finding]:
    """Targets far larger than what a network begins with, of which it learns next to nothing.

    Only where it learns them once they are scaled: with another rate large ones are no trouble.
    """
    y, course = evidence.targets.numbers, evidence.course
    if y is None or y.shape[1] != 1 or not course.held >= NO_BETTER * evidence.guess:
        return  # also where the guess is not known
    middle, spread = float(y.mean()), float(y.std())
    if math.hypot(middle, spread) < LARGE or not spread:
        return

    def loss(prediction: Any, target: Any) -> Any:
        return (((prediction - target) * (1 / spread)) ** 2).mean()

    def change(fork: Fork) -> Fork:
        """Trained in units of the spread, measured in those of the targets."""
        fork = fork.copied()
        model = _InUnits(fork.model, middle, spread)
        return fork.but(model=model, loss=loss, yardstick=fork.loss)

    if not change(evidence.fork).run(evidence.steps).held < MUCH_BETTER * course.held:
        return
    about = f"y has mean {middle:.3g} and standard deviation {spread:.3g}"
    given = evidence.predictions
    if given is not None:
        about += f"; the network begins with numbers from {given.min():.3g} to {given.max():.3g}"
    yield Finding(
        "unscaled column",
        "y",
        about,
        f"Train on (y - {middle:.4g}) / {spread:.4g}, and bring predictions back.",
        change=change,
    )


def _named(what: str, at: Iterable[int], evidence: Evidence) -> str:
    """Columns in words: "columns 0, 3 and 4", "columns 0, 1, 2, 3, 4 and 10 more"."""
    names = [evidence.column(i) for i in sorted(at)]
    if len(names) == 1:
        return f"{what} {names[0]}"
    if len(names) > NAMED:
        names[NAMED:] = [f"{len(names) - NAMED} more"]
    return f"{what}s {', '.join(names[:-1])} and {names[-1]}"


def leaking(evidence: Evidence) -> Iterator[Finding]:
    """One column from which the target is nearly known, while the others do not give it."""
    near = evidence.neighbours
    if near is None or near.x.shape[1] < 2 or near.guess > COMMON:
        return
    scores = {j: column_score(near.x[:, j], near.y) for j in _promising(near)}
    if not scores:
        return  # no column ever changes
    best = max(scores, key=lambda j: scores[j])
    found = scores[best]
    if found < TELLING[near.classifies]:
        return
    telling = [j for j, s in scores.items() if s > found - AS_TELLING]
    if len(telling) > max(COPIES, near.x.shape[1] // 4):
        return  # most columns tell it, as the last moments of a slow series tell the next
    others = np.delete(near.x, telling, axis=1)
    rest = Neighbours(others, near.y) if others.shape[1] else None
    left = max(rest.score, rest.straight, near.guess) if rest else near.guess
    alone = max([s for j, s in scores.items() if j not in telling], default=near.guess)
    # A column that a boundary runs through varies inside a class; one made of the target does not.
    by_next, by_all = [lack + OPEN * (1 - found) for lack in OTHERS_LACK]
    told = _told(near, best)
    copied = told > MADE_OF_IT and 1 - alone > by_next
    if not copied and 1 - left < by_all:
        return
    what = "right for {:.1%} of rows" if near.classifies else "R squared {:.4f}"
    beside = "from all others together" if rest else "by giving all rows the same"
    made = f"; the target in turn tells the column with R squared {told:.4f}" if copied else ""
    yield Finding(
        "leaking column",
        _named("column", telling, evidence),
        f"from column {evidence.column(best)} alone: {what.format(found)}; {beside}: {what.format(left)}{made}",
        untried="the rows held out have the column too, so that their loss cannot tell",
    )


def _told(near: Neighbours, column: int) -> float:
    """How much of a column the target tells: R squared."""
    values = near.x[:, [column]]
    if not near.classifies:
        return column_score(near.y[:, 0], values)
    each = np.eye(int(near.y.max()) + 1)[near.y]
    means = each.T @ values / np.maximum(each.sum(0), 1)[:, None]
    return score(values, means[near.y])


def _promising(near: Neighbours) -> list[int]:
    """The columns that the target is seen in best: by its groups, the spread between them."""
    groups = near.y if near.classifies else _tenths(near.y[:, 0])
    between = np.zeros(near.x.shape[1])
    for g in np.unique(groups):
        here = near.x[groups == g]
        between += len(here) * here.mean(0) ** 2
    return [int(j) for j in between.argsort()[::-1][:PROMISING] if near.x[:, j].any()]


def _tenths(y: Array) -> Array:
    order = y.argsort(kind="stable").argsort(kind="stable")
    found: Array = order * 10 // len(y)
    return found


CHECKS = (unscaled, unscaled_target, leaking)
