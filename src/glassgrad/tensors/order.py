"""`topk`: the largest numbers along an axis and where they are."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from glassgrad.ops import Array, order

from .tensor import Tensor, tensor


def topk(
    x: Array | ArrayLike, k: int, axis: int = -1, largest: bool = True
) -> tuple[Tensor, Tensor]:
    """The k largest numbers along an axis, in order, and their positions; or the k smallest.

    Formula: x_{i_1} >= x_{i_2} >= ... >= x_{i_k}. The results have k numbers along the axis, the
    positions are int64. Of equal numbers the first comes first (PyTorch promises no order).
    Raises ShapeError where the axis has fewer than k numbers or is not there, DTypeError for
    truth values.

    >>> import glassgrad as gg
    >>> gg.topk([1.0, 5.0, 3.0], 2)
    (tensor([5., 3.]), tensor([1, 2], dtype=int64))
    """
    given: Any = x if isinstance(x, Array) else tensor(x)
    return order.topk(given, k, axis, largest)
