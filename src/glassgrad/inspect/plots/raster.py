"""Arrays as small squares: grey, or two colours for what has a sign. Shapes, so no image data."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.errors import DataError, ShapeError, shown
from glassgrad.inspect.svg import coordinate

Array = NDArray[Any]

LEVELS = 15  # of strength, nothing left out
MOST_SIDE = 128  # a larger image is drawn from the means of its parts


def numbers(given: Any, where: str) -> NDArray[np.float64]:
    """An array of real numbers. Raises DataError for anything else."""
    try:
        array = np.asarray(given.numpy() if hasattr(given, "numpy") else given)
        if array.dtype.kind not in "biuf":
            raise TypeError
    except (TypeError, ValueError):
        raise DataError(
            "a picture needs numbers", where=where, expected="an array", received=shown(given)
        ) from None
    return array.astype(np.float64)


def check_axes(array: Array, axes: int, where: str, expected: str) -> None:
    """Raises ShapeError unless the array has so many axes, none of them empty."""
    if array.ndim != axes or 0 in array.shape:
        raise ShapeError(
            "this cannot be drawn", where=where, expected=expected, received=str(array.shape)
        )


def cells(values: Array, left: float, top: float, side: float, *, high: float = 0.0) -> str:
    """A matrix as squares of `side` pixels: above 0 in the first colour, below in the second.

    What has no sign is grey. `high` is the size that is drawn in full, by default the largest one.
    Numbers that are not finite stay empty.
    """
    values = _smaller(values)
    size = np.abs(np.where(np.isfinite(values), values, 0.0))
    high = high or float(size.max()) or 1.0
    level = np.rint(np.minimum(size / high, 1.0) * LEVELS).astype(np.int64)
    signed = bool((values < 0).any())
    kinds = np.where(values < 0, -level, level)
    looks = {1: "gg-f0" if signed else "gg-ink", -1: "gg-f1"}
    step = side / max(values.shape)
    out = []
    for kind, path in sorted(_paths(kinds, left, top, step).items()):
        look, strength = looks[1 if kind > 0 else -1], abs(kind) / LEVELS
        out.append(f'<path class="{look}" fill-opacity="{coordinate(strength)}" d="{path}"/>')
    return '<g shape-rendering="crispEdges">' + "".join(out) + "</g>"


def _smaller(values: Array) -> Array:
    """The same with at most 128 rows and columns, each the mean of some."""
    for axis in (0, 1):
        count = values.shape[axis]
        if count > MOST_SIDE:
            cuts = np.linspace(0, count, MOST_SIDE + 1).astype(int)
            pieces = [np.take(values, range(a, b), axis).mean(axis) for a, b in pairwise(cuts)]
            values = np.stack(pieces, axis)
    return values


def _paths(kinds: Array, left: float, top: float, step: float) -> dict[int, str]:
    """For each kind but 0 a path of rectangles, runs along a row as one."""
    found: dict[int, list[str]] = {}
    for number, row in enumerate(kinds):
        y = coordinate(top + number * step)
        high = coordinate(step)
        cuts = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), len(row)]
        for a, b in pairwise(cuts):
            if row[a]:
                wide = coordinate((b - a) * step)
                at = coordinate(left + a * step)
                found.setdefault(int(row[a]), []).append(f"M{at} {y}h{wide}v{high}h-{wide}z")
    return {kind: "".join(parts) for kind, parts in found.items()}


def frame(left: float, top: float, wide: float, high: float | None = None) -> str:
    """A thin line around a rectangle."""
    c = coordinate
    h = c(wide if high is None else high)
    return f'<path class="gg-grid" d="M{c(left)} {c(top)}h{c(wide)}v{h}h-{c(wide)}z"/>'
