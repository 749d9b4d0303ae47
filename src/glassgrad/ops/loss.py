"""Losses: composites of (prediction, target) that give one number. See `activation` on composites."""

from __future__ import annotations

from typing import Any

from glassgrad.errors import ShapeError
from glassgrad.ir import Op, Type

from .activation import log_softmax, sigmoid
from .elementwise import absolute, exp, log, log1p, maximum, minimum, negative
from .index import pick, subtract_one_at
from .naming import named
from .record import Draw, Mistake, Sample, Spelled, need_float, number

_LOSS = frozenset({"composite", "loss"})


def _same_shape(prediction: Type, target: Type) -> Type:
    need_float(prediction, target)
    if prediction.shape != target.shape:
        raise ShapeError(
            "prediction and target have different shapes",
            expected=f"target {prediction.shape}",
            received=f"prediction {prediction.shape}, target {target.shape}",
            hint="a loss never stretches one to fit the other; reshape the target",
        )
    if 0 in prediction.shape:
        raise ShapeError("no numbers to take the mean of", received=repr(prediction))
    return Type((), prediction.dtype)


_PAIRS = tuple(
    Sample((Draw(shape, order=order), Draw(shape, order=order)), about=about)
    for shape, order, about in (
        ((4, 3), "C", "rows"),
        ((5,), "C", "vector"),
        ((), "C", "scalar"),
        ((1, 1), "C", "size-1 axes"),
        ((3, 4), "F", "non-contiguous"),
    )
)


_UNEQUAL = (Mistake((Type((4, 1), "float32"), Type((4,), "float32")), {}, "different shapes"),)


mse = Op(
    "mse",
    ("prediction", "target"),
    (),
    says="Mean squared error over all numbers.",
    formula=r"\tfrac{1}{n} \sum (p - t)^2",
    type_rule=_same_shape,
    vjp=(
        lambda g, y, p, t: g * (2 * (p - t) / p.size),
        lambda g, y, p, t: g * (2 * (t - p) / p.size),
    ),
    expand=lambda p, t: (named(p - t, "error") ** 2).mean(),
    roles=_LOSS,
    family="loss",
    samples=_PAIRS,
    errors=_UNEQUAL,
    plain=("L = mean of (p - t)^2", "dp = 2 * (p - t) / size"),
)


def _clipped(p: Any, eps: float) -> Any:
    return named(minimum(maximum(p, eps), Spelled(1 - eps, f"1 - {eps!r}")), "clipped")


def _rest(clipped: Any) -> Any:
    return named(1 - clipped, "rest")


def _bce_dp(g: Any, y: Any, p: Any, t: Any, eps: float) -> Any:
    c = _clipped(p, eps)
    return g * ((c - t) / (c * _rest(c)) / p.size) * (p == c)


def _bce_type(prediction: Type, target: Type, *, eps: float) -> Type:
    return _same_shape(prediction, target)


def _bce_probs(p: Any, t: Any, eps: float) -> Any:
    c = _clipped(p, eps)
    return -named((t * log(c) + (1 - t) * log(_rest(c))).mean(), "log_likelihood")


_PROBABILITIES = tuple(
    Sample(
        tuple(Draw(d.shape, 0.05, 0.95, order=d.order) for d in s.operands if isinstance(d, Draw)),
        {"eps": 1e-15},
        s.about,
    )
    for s in _PAIRS
)


bce = Op(
    "bce",
    ("prediction", "target"),
    (number("eps", 1e-15),),
    says="Binary cross-entropy of probabilities, clipped away from 0 and 1.",
    formula=r"-\tfrac{1}{n} \sum t \ln p + (1 - t) \ln(1 - p)",
    type_rule=_bce_type,
    vjp=(
        _bce_dp,
        lambda g, y, p, t, eps: g * ((log(1 - _clipped(p, eps)) - log(_clipped(p, eps))) / p.size),
    ),
    expand=_bce_probs,
    roles=_LOSS,
    family="loss",
    samples=_PROBABILITIES,
    kinks="p at a clipping bound",
    errors=(
        Mistake(
            (Type((4, 1), "float32"), Type((4,), "float32")), {"eps": 1e-15}, "different shapes"
        ),
    ),
    plain=("L = -mean of t * log p + (1 - t) * log(1 - p)", "dp = (p - t) / (p * (1 - p)) / size"),
)


bce_logits = Op(
    "bce_logits",
    ("prediction", "target"),
    (),
    says="Binary cross-entropy of the sigmoid of the prediction, accurate for any size of it.",
    formula=r"\tfrac{1}{n} \sum \max(z, 0) - z t + \ln(1 + e^{-|z|})",
    type_rule=_same_shape,
    vjp=(
        lambda g, y, z, t: g * ((sigmoid(z) - t) / z.size),
        lambda g, y, z, t: g * (negative(z) / z.size),
    ),
    expand=lambda z, t: named(maximum(z, 0.0) - z * t + log1p(exp(-absolute(z))), "losses").mean(),
    roles=_LOSS,
    family="loss",
    samples=_PAIRS,
    errors=_UNEQUAL,
    plain=("L = mean of log(1 + exp(z)) - z * t", "dz = (sigmoid(z) - t) / size"),
)


def _cross_entropy_type(prediction: Type, target: Type) -> Type:
    need_float(prediction)
    if len(prediction.shape) != 2 or target.shape != prediction.shape[:1]:
        raise ShapeError(
            "one class for each row of scores is needed",
            expected=f"prediction (rows, classes), target {prediction.shape[:1]}",
            received=f"prediction {prediction.shape}, target {target.shape}",
            hint="a target of one class index for each row, or of one row of shares",
        )
    pick.type_rule(prediction, target)
    return Type((), prediction.dtype)


def _cross_entropy_dz(g: Any, y: Any, z: Any, target: Any) -> Any:
    probs = subtract_one_at(exp(log_softmax(z, axis=1)), target)
    return probs / z.shape[0] * g


cross_entropy = Op(
    "cross_entropy",
    ("prediction", "target"),
    (),
    says="Cross-entropy of scores against the index of the right class, mean over rows.",
    formula=r"-\tfrac{1}{n} \sum_i \ln \operatorname{softmax}(z_i)_{k_i}",
    type_rule=_cross_entropy_type,
    vjp=(_cross_entropy_dz, None),
    expand=lambda z, target: -pick(log_softmax(z, axis=1), target).mean(),
    roles=_LOSS,
    family="loss",
    samples=(
        Sample((Draw((4, 3)), Draw((4,), 0, 3, kind="int")), about="rows"),
        Sample((Draw((1, 1)), Draw((1,), 0, 1, kind="int")), about="size-1 axes"),
        Sample((Draw((4, 3), order="F"), Draw((4,), 0, 3, kind="int")), about="non-contiguous"),
    ),
    errors=(
        Mistake((Type((4, 3), "float32"), Type((3,), "int64")), {}, "one class for each row"),
        Mistake((Type((4, 3), "float32"), Type((4,), "float32")), {}, "whole numbers"),
    ),
    plain=(
        "L = -mean of log softmax(z)[y]; z less its largest first, so that exp cannot overflow",
        "dz = (softmax(z) - onehot(y)) / n",
    ),
)


def _shares_type(prediction: Type, target: Type) -> Type:
    _same_shape(prediction, target)
    if len(prediction.shape) != 2:
        raise ShapeError("rows of scores are needed", received=repr(prediction))
    return Type((), prediction.dtype)


def _shares_dz(g: Any, y: Any, z: Any, t: Any) -> Any:
    probs = exp(log_softmax(z, axis=1))
    return (probs * t.sum(axis=1, keepdims=True) - t) / z.shape[0] * g


cross_entropy_shares = Op(
    "cross_entropy_shares",
    ("prediction", "target"),
    (),
    says="Cross-entropy of scores against one-hot rows or rows of probabilities, mean over rows.",
    formula=r"-\tfrac{1}{n} \sum_i t_i \cdot \ln \operatorname{softmax}(z_i)",
    type_rule=_shares_type,
    vjp=(
        _shares_dz,
        lambda g, y, z, t: -(log_softmax(z, axis=1) / z.shape[0]) * g,
    ),
    expand=lambda z, t: -(t * log_softmax(z, axis=1)).sum() / z.shape[0],
    roles=_LOSS,
    family="loss",
    samples=tuple(
        Sample((Draw(s, order=o), Draw(s, 0.0, 1.0, order=o)), about=about)
        for s, o, about in (((4, 3), "C", "rows"), ((1, 1), "C", "size-1"), ((4, 3), "F", "F"))
    ),
    errors=_UNEQUAL,
    plain=("L = -mean of sum t * log softmax(z)", "dz = (softmax(z) * sum of t - t) / n"),
)
