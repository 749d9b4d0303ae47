"""Arrays as small squares: grey, or two colours for what has a sign. Shapes, so no image data."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.errors import DataError, ShapeError, shown
from glassgrad.inspect.svg import coordinate

Array = NDArray[Any]

LEVELS = 15  # of strength; what is weaker than half of one is not drawn
MOST_SIDE = 128  # a larger image is drawn from the means of its parts
_MOST_CELLS = 60_000  # of all images of a picture: about ten bytes each


def most_side(images: int) -> int:
    """How many rows and columns each of so many images may have, so that a picture stays small."""
    return min(MOST_SIDE, int((_MOST_CELLS / max(1, images)) ** 0.5))


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


def cells(
    values: Array,
    left: float,
    top: float,
    side: float,
    *,
    high: float = 0.0,
    most: int = MOST_SIDE,
) -> str:
    """A matrix as squares of `side` pixels: above 0 in the first colour, below in the second.

    What has no sign is grey. `high` is the size that is drawn in full, by default the largest one.
    Numbers that are not finite stay empty. More than `most` rows or columns are drawn as means.
    """
    values = _smaller(values, most)
    size = np.abs(np.where(np.isfinite(values), values, 0.0))
    high = high or float(size.max()) or 1.0
    level = np.rint(np.minimum(size / high, 1.0) * LEVELS).astype(np.int64)
    signed = bool((values < 0).any())
    kinds = np.where(values < 0, -level, level)
    looks = {1: "gg-f0" if signed else "gg-ink", -1: "gg-f1"}
    out = []
    for kind, path in rectangles(kinds).items():
        if kind:
            look, strength = looks[1 if kind > 0 else -1], abs(kind) / LEVELS
            out.append(f'<path class="{look}" fill-opacity="{coordinate(strength)}" d="{path}"/>')
    return scaled("".join(out), left, top, side / max(values.shape))


def scaled(body: str, left: float, top: float, step: float) -> str:
    """Shapes of whole numbers of cells, each cell `step` pixels wide and high."""
    c = coordinate
    place = f'transform="translate({c(left)} {c(top)}) scale({step + 0.0:.6g})"'
    return f'<g shape-rendering="crispEdges" {place}>{body}</g>'


def rectangles(kinds: Array) -> dict[int, str]:
    """A path for each number in a matrix, made of rectangles that are each as large as they can be."""
    found: dict[int, list[str]] = {}
    begun: dict[tuple[int, int, int], int] = {}  # (from, to, kind) -> the row where it began

    def close(run: tuple[int, int, int], end: int) -> None:
        (a, b, kind), begin = run, begun.pop(run)
        found.setdefault(kind, []).append(f"M{a} {begin}h{b - a}v{end - begin}h{a - b}z")

    for number, row in enumerate(kinds):
        cuts = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), len(row)]
        runs = {(a, b, int(row[a])) for a, b in pairwise(cuts)}
        for run in sorted(begun.keys() - runs):
            close(run, number)
        for run in runs:
            begun.setdefault(run, number)
    for run in sorted(begun):
        close(run, len(kinds))
    return {kind: "".join(found[kind]) for kind in sorted(found)}


def _smaller(values: Array, most: int) -> Array:
    """The same with at most so many rows and columns, each the mean of some."""
    for axis in (0, 1):
        count = values.shape[axis]
        if count > most:
            cuts = np.linspace(0, count, most + 1).astype(int)
            pieces = [np.take(values, range(a, b), axis).mean(axis) for a, b in pairwise(cuts)]
            values = np.stack(pieces, axis)
    return values


def frame(left: float, top: float, wide: float, high: float | None = None) -> str:
    """A thin line around a rectangle."""
    c = coordinate
    h = c(wide if high is None else high)
    return f'<path class="gg-grid" d="M{c(left)} {c(top)}h{c(wide)}v{h}h-{c(wide)}z"/>'
