"""Which classes a network takes for which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from glassgrad.errors import DataError, ShapeError, shown
from glassgrad.inspect.svg import Picture, coordinate, fitted, picture, upwards, width_of, words

from .raster import LEVELS, frame, numbers, rectangles, scaled

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["confusion_matrix"]

_MOST_CLASSES = 100
_STRONGEST = 0.5  # of a colour under a number, so that it can be read in a light and a dark scheme
_NAME = 110.0  # pixels that a name has at most


def confusion_matrix(y: Any, predicted: Any, title: str, *, classes: Sequence[str] = ()) -> Picture:
    """How many rows of each true class (down) a network gives each class (across).

    Blue is right, orange is wrong; the stronger, the larger the share of the row's class. Where cells
    are small, numbers are left out, and of more than 40 classes some are named.

    Parameters
    ----------
    y : array (n,)
        True classes, whole numbers from 0 to 99.
    predicted : array (n,) or (n, k)
        Classes, or a score for each class: the highest one counts.
    title : str
        Any text; it is escaped.
    classes : sequence of str
        Names of the classes; their numbers by default.

    Raises
    ------
    ShapeError
        The arrays differ in their number of rows.
    DataError
        A class is not a whole number from 0 to 99.

    Examples
    --------
    >>> svg = confusion_matrix([0, 0, 1], [0, 1, 1], "three rows")
    >>> "2 of 3 right" in svg
    True
    """
    true, said = _classes(y, "y"), _classes(predicted, "predicted")
    if true.shape != said.shape:
        raise ShapeError(
            "true and predicted classes differ in number",
            where="predicted",
            expected=str(true.shape),
            received=str(said.shape),
        )
    count = int(max(true.max(initial=0), said.max(initial=0))) + 1
    count = max(count, min(len(classes), _MOST_CLASSES))
    table = np.zeros((count, count), np.int64)
    np.add.at(table, (true, said), 1)
    names = [str(classes[i]) if i < len(classes) else str(i) for i in range(count)]
    return _drawn(table, names, title)


def _drawn(table: Any, names: list[str], title: str) -> Picture:
    count = len(table)
    side = 44.0 if count <= 12 else max(5.0, 528 / count)
    every = int(np.ceil(12 / side))  # of how many classes one is named
    longest = min(_NAME, max(map(width_of, names)))
    turned = longest > side * every - 4
    left, top = 56 + longest, 92.0 + (longest if turned else 12)
    right, rows = int(table.trace()), int(table.sum())
    about = f"{right:,} of {rows:,} right (the diagonal); orange is wrong"
    about += f"; one class of {every} is named" if every > 1 else ""
    middle = count * side / 2
    body = [
        words("gg-soft", 20, 50, about),
        words("gg-soft", left + middle, 76, "the network says", "middle"),
        upwards("gg-soft", 34, top + middle, "it is", "middle"),
        scaled(_cells(table), left, top, side),
        *(_counts(table, left, top, side) if side > 24 else []),
    ]
    for i in range(0, count, every):
        x, y = left + (i + 0.5) * side, top + (i + 0.5) * side + 4
        body.append(words("gg-ink", left - 8, y, fitted(names[i], longest + 2), "end"))
        if turned:
            body.append(upwards("gg-ink", x + 4, top - 8, fitted(names[i], longest + 2)))
        else:
            body.append(words("gg-ink", x, top - 8, fitted(names[i], side * every), "middle"))
    body.append(frame(left, top, count * side))
    wide = max(440, int(left + count * side + 24))
    return picture(wide, int(top + count * side + 24), title, about, body, colours=2)


def _cells(table: Any) -> str:
    """A square for each pair of classes that is there, by its share of the true class."""
    level = np.ceil(table / np.maximum(table.sum(axis=1, keepdims=True), 1) * LEVELS)
    kinds = np.where(np.eye(len(table), dtype=bool), level, -level).astype(np.int64)
    out = []
    for kind, path in rectangles(kinds).items():
        if kind:
            strength = coordinate(_STRONGEST * (0.25 + 0.75 * abs(kind) / LEVELS))
            look = "gg-f0" if kind > 0 else "gg-f1"
            out.append(f'<path class="{look}" fill-opacity="{strength}" d="{path}"/>')
    return "".join(out)


def _counts(table: Any, left: float, top: float, side: float) -> list[str]:
    """The numbers in the squares."""
    out = []
    for i, k in zip(*(index.tolist() for index in np.nonzero(table)), strict=True):
        x, y = left + (k + 0.5) * side, top + (i + 0.5) * side + 4
        n = int(table[i, k])
        shown_ = f"{n}" if n < 10_000 else f"{n / 1e3:.3g}k" if n < 999_500 else f"{n / 1e6:.3g}M"
        out.append(words("gg-ink", x, y, shown_, "middle"))
    return out


def _classes(given: Any, where: str) -> Any:
    found = numbers(given, where)
    if found.ndim == 2:
        found = found.argmax(axis=1).astype(float) if found.shape[1] > 1 else found[:, 0]
    if found.ndim != 1:
        raise ShapeError(
            "classes are one for each row", where=where, expected="(n,)", received=str(found.shape)
        )
    bad = np.flatnonzero(~((found >= 0) & (found < _MOST_CLASSES) & (found == np.floor(found))))
    if len(bad):
        raise DataError(
            f"{len(bad)} classes are not usable",
            where=f"{where}, first at row {bad[0]}",
            expected=f"whole numbers from 0 to {_MOST_CLASSES - 1}",
            received=shown(found[bad[0]].item()),
        )
    return found.astype(np.int64)
