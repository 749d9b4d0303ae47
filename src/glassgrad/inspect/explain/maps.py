"""Large arrays as small pictures in a page: each number a square, blue above 0, orange below."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.inspect.plots.raster import cells
from glassgrad.inspect.svg import coordinate

Array = NDArray[Any]
_MOST_MAPS = 6  # channels, kernels or rows of which each is a picture
_IMAGE, _SEVERAL = 112, 64  # pixels of the longer side of an image, alone or beside others
_WIDE, _HIGH = 280, 110  # pixels of a matrix, at most
_MOST_SIDE = 64  # rows and columns; of more, means are drawn
_CELL = 12  # pixels of a number, at most


def maps(array: Array) -> str:
    """Pictures of the last two axes of an array, as many as are looked at, and how many there are.

    Nothing for an array that is empty or has no number to scale by.
    """
    known = np.where(np.isfinite(array), array, 0).astype(np.float64)
    high = float(np.abs(known).max(initial=0.0))
    if not high:
        return ""
    flat = known.reshape(-1, *known.shape[-2:]) if known.ndim > 1 else known.reshape(1, 1, -1)
    images = known.ndim > 2
    shown = [_picture(one, high, images, len(flat)) for one in flat[:_MOST_MAPS]]
    more = f" <small>{len(shown)} of {len(flat):,}</small>" if len(flat) > len(shown) else ""
    return f'<div class="maps">{"".join(shown)}{more}</div>'


def _picture(matrix: Array, high: float, image: bool, count: int) -> str:
    rows, columns = [min(size, _MOST_SIDE) for size in matrix.shape]
    if image:
        cell = min(_CELL, (_IMAGE if count == 1 else _SEVERAL) / max(rows, columns))
        wide, tall = columns * cell, rows * cell
    else:
        wide, tall = min(_WIDE, columns * _CELL), min(_HIGH, rows * _CELL)
    size = f'width="{coordinate(wide)}" height="{coordinate(tall)}"'
    box = f'viewBox="0 0 {columns} {rows}" preserveAspectRatio="none"'
    body = cells(matrix, 0, 0, max(rows, columns), high=high, most=_MOST_SIDE)
    return f'<svg aria-hidden="true" {size} {box}>{body}</svg>'
