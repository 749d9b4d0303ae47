"""Losses of two or three predictions: what belongs together, and what does not.

They take other operands than (prediction, target), so they are functions and objects to call, not
names for `fit`: use them in a loss function of your own.
"""

from __future__ import annotations

import math
from typing import Any

from glassgrad.errors import ConfigError, ShapeError, shown
from glassgrad.ops import OPS
from glassgrad.ops.loss import reduced

from .operands import alike, array, signs


def margin_ranking(
    first: Any, second: Any, target: Any, *, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """Whether the first ranks above the second (1) or below it (-1), by a margin.

    mean of max(0, margin - t (a - b)). Shapes: all equal, or ShapeError; DataError for a target
    other than 1 and -1. Definition: torch.nn.MarginRankingLoss.

    >>> import glassgrad as gg
    >>> a, b = gg.tensor([2.0, 1.0]), gg.tensor([1.0, 3.0])
    >>> gg.nn.losses.margin_ranking(a, b, [1.0, 1.0], margin=0.5).item()
    1.25
    """
    a, b, t = array(first), array(second), signs(target)
    alike(a, b, t)
    return OPS["hinge"](a - b, t, margin=margin, reduction=reduction)


def cosine_embedding(
    first: Any, second: Any, target: Any, *, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """1 - cos of the angle of vectors that belong together (1); of others (-1) cos above a margin.

    Shapes: vectors (n, d) and target (n), or (d) and one number. ShapeError otherwise, DataError
    for a target other than 1 and -1, ConfigError for a margin outside -1 to 1. A vector of zeros
    is at a right angle to all. Definition: torch.nn.CosineEmbeddingLoss.

    >>> import glassgrad as gg
    >>> a, b = gg.tensor([[1.0, 0.0], [1.0, 1.0]]), gg.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> round(gg.nn.losses.cosine_embedding(a, b, [1.0, -1.0]).item(), 5)
    0.35355
    """
    a, b, t = array(first), array(second), signs(target)
    alike(a, b)
    _check_rows(a, t)
    if not -1 <= _number(margin, "margin") <= 1:
        raise ConfigError(
            "no cosine is outside -1 to 1", where="margin", expected="-1 to 1", received=f"{margin}"
        )
    tiny = 1e-12  # PyTorch's
    lengths = OPS["sqrt"](((a * a).sum(axis=-1) + tiny) * ((b * b).sum(axis=-1) + tiny))
    cos = (a * b).sum(axis=-1) / lengths
    return reduced(OPS["select"](t > 0, 1 - cos, OPS["maximum"](cos - margin, 0.0)), reduction)


def triplet_margin(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """How much nearer the positive is to its anchor than the negative, short of a margin.

    mean of max(0, d(a, p) - d(a, n) + margin), d the p-norm of a - b + eps. With `swap` the
    negative's distance is the smaller one of those from anchor and positive. Shapes: all equal
    (n, d) or (d), or ShapeError. Balntas and others 2016; definition: torch.nn.TripletMarginLoss.

    >>> import glassgrad as gg
    >>> a, p, n = gg.tensor([[0.0, 0.0]]), gg.tensor([[3.0, 4.0]]), gg.tensor([[0.0, 5.5]])
    >>> round(gg.nn.losses.triplet_margin(a, p, n).item(), 4)
    0.5
    """
    a, near, far = array(anchor), array(positive), array(negative)
    alike(a, near, far)
    if not a.ndim:
        raise ShapeError("a distance is between vectors", received=f"{a.dtype}{a.shape}")
    if not _number(p, "p") >= 1 or p == float("inf"):
        raise ConfigError("no norm", where="p", expected="a number from 1", received=shown(p))
    to_far = _distance(a, far, p, eps)
    if swap:
        to_far = OPS["minimum"](to_far, _distance(near, far, p, eps))
    over = _distance(a, near, p, eps) - to_far + _number(margin, "margin")
    return reduced(OPS["maximum"](over, 0.0), reduction)


def _distance(a: Any, b: Any, p: float, eps: float) -> Any:
    """The p-norm of the difference; eps keeps it away from 0, where a norm has a corner."""
    difference = a - b + eps
    if p == 2:
        return OPS["sqrt"]((difference**2).sum(axis=-1))
    size = OPS["absolute"](difference)
    return size.sum(axis=-1) if p == 1 else (size**p).sum(axis=-1) ** (1 / p)


def contrastive(
    first: Any, second: Any, target: Any, *, margin: float = 1.0, reduction: str = "mean"
) -> Any:
    """Pulls alike pairs (0) together and pushes others (1) apart until their distance is a margin.

    mean of (1 - y) d^2 / 2 + y max(0, margin - d)^2 / 2, d = |a - b|. Shapes: vectors (n, e) and
    target (n), or (e) and one number; ShapeError otherwise. The derivative of a distance of 0 is
    taken as 0. Hadsell, Chopra and LeCun 2006, whose y is 1 for pairs that are *not* alike.

    >>> import glassgrad as gg
    >>> a, b = gg.tensor([[0.0, 0.0], [0.0, 0.0]]), gg.tensor([[0.6, 0.8], [0.3, 0.4]])
    >>> round(gg.nn.losses.contrastive(a, b, [0.0, 1.0], margin=2.0).item(), 4)
    0.8125
    """
    a, b, y = array(first), array(second), array(target)
    alike(a, b)
    _check_rows(a, y)
    squared = ((a - b) ** 2).sum(axis=-1)
    distance = OPS["sqrt"](OPS["maximum"](squared, 1e-24))
    short = OPS["maximum"](_number(margin, "margin") - distance, 0.0)
    return reduced(0.5 * ((1 - y) * squared + y * short**2), reduction)


def _check_rows(a: Any, t: Any) -> None:
    if not a.ndim or t.shape != a.shape[:-1]:
        raise ShapeError(
            "one target for each pair of vectors is needed",
            expected=f"target {a.shape[:-1]}" if a.ndim else "vectors (n, size)",
            received=f"vectors {a.shape}, target {t.shape}",
        )


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise ConfigError("a number is needed", where=what, received=shown(value))
    return value
