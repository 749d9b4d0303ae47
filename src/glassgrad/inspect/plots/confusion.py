"""Which classes a network takes for which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from glassgrad.errors import DataError, ShapeError, shown
from glassgrad.inspect.svg import Picture, coordinate, picture, text, words

from .raster import frame, numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["confusion_matrix"]

_MOST_CLASSES = 40


def confusion_matrix(y: Any, predicted: Any, title: str, *, classes: Sequence[str] = ()) -> Picture:
    """How many rows of each true class (down) a network gives each class (across).

    Blue is right, orange is wrong; the stronger, the larger the share of the row's class.

    Parameters
    ----------
    y : array (n,)
        True classes, whole numbers from 0 to 39.
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
        A class is not a whole number from 0 to 39.

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
    count = int(max(true.max(initial=0), said.max(initial=0), min(len(classes), 40) - 1)) + 1
    table = np.zeros((count, count), np.int64)
    np.add.at(table, (true, said), 1)
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    side = 44.0 if count <= 12 else max(12.0, 528 / count)
    names = [str(classes[i]) if i < len(classes) else str(i) for i in range(count)]
    left, top, c = 62.0 + 6.5 * min(13, max(map(len, names))), 116.0, coordinate
    body = []
    for i in range(count):
        for k in np.flatnonzero(table[i]).tolist():
            x, above = left + k * side, top + i * side
            look, strength = "gg-f0" if i == k else "gg-f1", 0.12 + 0.68 * share[i, k]
            place = f'd="M{c(x)} {c(above)}h{c(side)}v{c(side)}h-{c(side)}z"'
            body.append(f'<path class="{look}" fill-opacity="{c(float(strength))}" {place}/>')
            if side > 24:
                body.append(
                    words("gg-ink", x + side / 2, above + side / 2 + 4, f"{table[i, k]}", "middle")
                )
        name = text(names[i], 13)
        body.append(words("gg-ink", left - 8, top + (i + 0.5) * side + 4, name, "end"))
        shorter = text(names[i], max(2, int(side / 7)))
        body.append(words("gg-ink", left + (i + 0.5) * side, top - 8, shorter, "middle"))
    body.append(frame(left, top, count * side))
    right = int((true == said).sum())
    about = f"{right} of {len(true)} right (the diagonal); orange is wrong"
    body.insert(0, words("gg-soft", 20, 50, about))
    body.append(words("gg-soft", left + count * side / 2, top - 28, "the network says", "middle"))
    turned = f'transform="translate(34 {c(top + count * side / 2)}) rotate(-90)"'
    body.append(f"<g {turned}>{words('gg-soft', 0, 0, 'it is', 'middle')}</g>")
    wide = max(440, int(left + count * side + 24))
    return picture(wide, int(top + count * side + 24), title, about, body, colours=2)


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
