"""The points of a plane, and what a network says about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glassgrad.errors import DataError, ShapeError, shown
from glassgrad.inspect.svg import (
    COLOURS,
    Picture,
    Scale,
    axes,
    coordinate,
    fitted,
    linear,
    picture,
    text,
    width_of,
    words,
)

from .raster import rectangles, scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["decision_boundary", "scatter"]

_FAR = 1e30  # a point beyond is left out: its neighbours could not be float32
_MOST_POINTS = 2000
_MOST_CLASSES = 24  # that have a line in the legend
_MOST_RECTANGLES = 15_000  # of a decision picture; where there are more, larger cells are drawn
_CELLS = 240  # cells of a decision picture along one side, two pixels each
_CORNER = (66.0, 68.0)  # left and top of the plane
_HIGH = 610


def decision_boundary(
    score: Callable[[NDArray[np.float32]], ArrayLike],
    x: ArrayLike,
    y: ArrayLike,
    title: str,
    *,
    classes: Sequence[str] = (),
    feature_names: Sequence[str] = (),
) -> Picture:
    """What a network says about each point of the plane, with the points it was given.

    The plane is cut into 240 by 240 cells; each takes the colour of the class with the highest
    score at its centre, stronger where the scores are probabilities and the highest is nearer to 1.
    Cells whose scores are not finite stay empty, and where a picture of all would be large, cells of
    two or four times the side are drawn. Points have their own class's colour and shape.

    Parameters
    ----------
    score : function from float32 (m, 2) to (m,), (m, 1) or (m, k)
        One column: the probability of class 1, decided at 1/2. Several: a score for each class.
    x, y, title, classes, feature_names
        As for `scatter`.

    Returns
    -------
    Picture
        An SVG document, 660 by 610 CSS pixels (wider where names are long).

    Raises
    ------
    ShapeError
        x is not (n, 2), y has another number of rows, or `score` answers in another shape.
    DataError
        A class is not a whole number from 0.

    Source: the picture of the second article (`contourf` over a mesh), drawn without a library.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> svg = decision_boundary(lambda p: p[:, :1] > p[:, 1:], x, [0, 0, 1, 1], "x1 > x2")
    >>> "x1 &gt; x2" in svg
    True
    """
    points, labels = _points(x, y, "decision_boundary")
    across, up = _scales(points)
    winner, strength = _decide(score, across, up)
    sure = "; paler where it is less sure" if (strength < 3).any() else ""
    about = f"the ground has the colour of the class that the network says{sure}"
    count = int(max(winner.max(initial=0), labels.max(initial=0))) + 1
    ground = [_ground(winner, strength, across.start)]
    return _plane(points, labels, (across, up), title, count, classes, feature_names, about, ground)


def scatter(
    x: ArrayLike,
    y: ArrayLike,
    title: str,
    *,
    classes: Sequence[str] = (),
    feature_names: Sequence[str] = (),
) -> Picture:
    """The points of a data set in the plane, each in the colour and shape of its class.

    Parameters
    ----------
    x : array (n, 2)
        Points; those that are not finite (or beyond 1e30) are left out, and beyond 2,000 an even choice is drawn.
    y : array (n,) or (n, 1)
        Classes, whole numbers from 0.
    title : str
        Any text; it is escaped.
    classes, feature_names : sequence of str
        Names for the legend and the axes.

    Returns
    -------
    Picture
        An SVG document, 660 by 610 CSS pixels (wider where names are long).

    Raises
    ------
    ShapeError
        x is not (n, 2), or y has another number of rows.
    DataError
        A class is not a whole number from 0.

    Examples
    --------
    >>> scatter([[0, 0], [1, 1]], [0, 1], "two points").count("<path")
    5
    """
    points, labels = _points(x, y, "scatter")
    count = int(labels.max(initial=0)) + 1
    return _plane(points, labels, _scales(points), title, count, classes, feature_names)


def _plane(
    points: NDArray[np.float64],
    labels: NDArray[np.int64],
    scales: tuple[Scale, Scale],
    title: str,
    count: int,
    classes: Sequence[str],
    feature_names: Sequence[str],
    about: str = "each point has the colour and shape of its class",
    ground: Sequence[str] = (),
) -> Picture:
    """The points with axes and legend, on a ground."""
    across, up = scales
    count = max(count, len(classes))
    shown = range(min(count, _MOST_CLASSES))
    names = [str(classes[i]) if i < len(classes) else f"class {i}" for i in shown]
    room = min(200.0, max(82.0, *map(width_of, names)))
    seen = f"{len(points):,} points"
    if len(points) > _MOST_POINTS:
        chosen = np.linspace(0, len(points) - 1, _MOST_POINTS).astype(int)
        points, labels = points[chosen], labels[chosen]
        seen = f"{_MOST_POINTS:,} of {seen}"
    wide = int(across.end + 31 + room + 10)
    body = [
        words("gg-soft", 20, 50, fitted(f"{seen}; {about}", wide - 40)),
        *ground,
        *axes(across, up, *_two(feature_names), grid=False),
        _marks(points, labels, across, up),
        *_legend(names, count, across.end + 20, room),
    ]
    return picture(wide, _HIGH, title, f"{seen} of {count} classes; {about}", body)


def _points(
    x: ArrayLike, y: ArrayLike, where: str
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points that can be drawn, and their classes."""
    points = np.asarray(x, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ShapeError(
            "a picture needs points of a plane",
            where=where,
            expected="x of shape (n, 2)",
            received=str(points.shape),
        )
    labels = _labels(y, len(points), where)
    seen = (np.abs(points) < _FAR).all(axis=1)
    return points[seen], labels[seen]


def _scales(points: NDArray[np.float64]) -> tuple[Scale, Scale]:
    left, top = _CORNER
    side = 2.0 * _CELLS
    (x_low, x_high), (y_low, y_high) = _frame(points)
    up = linear(y_low, y_high, top + side, top)
    left += max(0.0, up.room() - 34)
    return linear(x_low, x_high, left, left + side), up


def _two(feature_names: Sequence[str]) -> tuple[str, str]:
    """The names of both axes."""
    first, second = (*feature_names[:2], *("x1", "x2")[len(feature_names[:2]) :])
    return first, second


def _labels(y: ArrayLike, rows: int, where: str) -> NDArray[np.int64]:
    raw = np.asarray(y)
    if raw.ndim == 2 and raw.shape[1] == 1:
        raw = raw[:, 0]
    if raw.shape != (rows,):
        raise ShapeError(
            "points and classes differ in number",
            where=where,
            expected=f"y of shape ({rows},) or ({rows}, 1)",
            received=str(np.shape(y)),
        )
    try:
        numbers = raw.astype(np.float64)
    except (TypeError, ValueError):
        numbers = np.full(rows, np.nan)
    bad = np.flatnonzero(~((numbers >= 0) & (numbers < 2**31) & (numbers == np.floor(numbers))))
    if len(bad):
        raise DataError(
            f"{len(bad)} classes are not usable",
            where=f"{where}, first at row {bad[0]}",
            expected="whole numbers from 0",
            received=shown(raw[bad[0]].item()),
        )
    return numbers.astype(np.int64)


def _frame(points: NDArray[np.float64]) -> list[tuple[float, float]]:
    """The ranges to show: the points and a tenth around them; square where they nearly are."""
    if not len(points):
        return [(-1.0, 1.0), (-1.0, 1.0)]
    low, high = points.min(axis=0), points.max(axis=0)
    span = high - low
    span[span == 0] = span.max() or 1.0
    if span.max() < 2 * span.min():
        span[:] = span.max()
    middle, half = (low + high) / 2, span * 0.58
    return [(float(m - h), float(m + h)) for m, h in zip(middle, half, strict=True)]


def _decide(
    score: Callable[[NDArray[np.float32]], ArrayLike], across: Scale, up: Scale
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each cell's class (-1: none) and strength (0 to 3), rows from the top."""
    places = (np.arange(_CELLS) + 0.5) / _CELLS
    xs = across.low + places * (across.high - across.low)
    ys = up.high - places * (up.high - up.low)
    centres = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2).astype(np.float32)
    answer = np.asarray(score(centres), dtype=np.float64)
    if answer.ndim == 1:
        answer = answer[:, None]
    if answer.ndim != 2 or len(answer) != len(centres) or answer.shape[1] == 0:
        raise ShapeError(
            "the score function answers in another shape",
            where="decision_boundary",
            expected=f"({len(centres)}, 1) or ({len(centres)}, classes)",
            received=str(answer.shape),
        )
    finite = np.isfinite(answer).all(axis=1)
    answer[~finite] = 0.0
    if answer.shape[1] == 1:
        winner = (answer[:, 0] >= 0.5).astype(np.int64)
        best, chance = np.where(winner == 1, answer[:, 0], 1 - answer[:, 0]), 0.5
        probable = bool(((answer >= 0) & (answer <= 1)).all())
    else:
        winner = answer.argmax(axis=1)
        best, chance = answer.max(axis=1), 1 / answer.shape[1]
        with np.errstate(over="ignore"):
            sums = answer[finite].sum(axis=1)
        probable = bool((answer >= 0).all() and (np.abs(sums - 1) < 1e-3).all())
    strength = np.full(len(best), 3)
    if probable:
        strength = np.clip(np.floor(4 * (best - chance) / (1 - chance)), 0, 3).astype(np.int64)
    winner = np.where(finite, winner, -1)
    return winner.reshape(_CELLS, _CELLS), strength.reshape(_CELLS, _CELLS)


def _ground(winner: NDArray[np.int64], strength: NDArray[np.int64], left: float) -> str:
    """Cells of one class and strength as one path of rectangles, each as large as it can be."""
    kinds, side = np.where(winner < 0, -1, winner * 4 + strength), 2.0
    paths = rectangles(kinds)
    while sum(path.count("M") for path in paths.values()) > _MOST_RECTANGLES:
        kinds, side = kinds[::2, ::2], 2 * side
        paths = rectangles(kinds)
    out = []
    for kind, path in paths.items():
        if kind >= 0:
            colour, opacity = kind // 4 % len(COLOURS), (0.12, 0.2, 0.28, 0.36)[kind % 4]
            out.append(f'<path class="gg-f{colour}" fill-opacity="{opacity}" d="{path}"/>')
    return scaled("\n".join(out), left, _CORNER[1], side)


_SHAPES = (  # of about equal area, around the point
    "m-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0-7.2 0z",
    "m-3.2-3.2h6.4v6.4h-6.4z",
    "m0-4.6l4.2 7.4h-8.4z",
    "m0-4.6l4.6 4.6l-4.6 4.6l-4.6-4.6z",
)


def _mark(label: int, at: str) -> str:
    """A shape; where colours begin again, another one."""
    return f"M{at}{_SHAPES[(label + label // len(COLOURS)) % len(_SHAPES)]}"


def _marks(points: NDArray[np.float64], labels: NDArray[np.int64], across: Scale, up: Scale) -> str:
    out = []
    for (px, py), label in zip(points.tolist(), labels.tolist(), strict=True):
        path = _mark(label, f"{coordinate(across(px))} {coordinate(up(py))}")
        out.append(f'<path class="gg-f{label % len(COLOURS)}" d="{path}"/>')
    return '<g class="gg-rim" stroke-width="0.9">' + "\n".join(out) + "</g>"


def _legend(names: Sequence[str], count: int, left: float, room: float) -> list[str]:
    out, top = [], _CORNER[1] + 10
    for label, name in enumerate(names):
        y = top + 19.5 * label
        mark = _mark(label, f"{coordinate(left)} {coordinate(y)}")
        out.append(f'<path class="gg-f{label % len(COLOURS)}" d="{mark}"/>')
        out.append(words("gg-ink", left + 11, y + 4, fitted(name, room)))
    if count > len(names):
        y = top + 19.5 * len(names)
        out.append(words("gg-soft", left - 4, y + 4, text(f"{count - len(names):,} more")))
    return out
