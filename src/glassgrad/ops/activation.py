"""Activations: composites that work number by number, and softmax over an axis.

A composite says itself in other ops (`expand`). Where a textbook prints its derivative in closed
form it carries that form, which tests prove against the composed one. A rule recomputes what it
needs of the forward pass; in a graph, equals are merged, so nothing is computed twice.
"""

from __future__ import annotations

import math
from typing import Any

from glassgrad.ir import Op, Type

from .elementwise import absolute, erf, exp, expm1, log, log1p, maximum, minimum, select
from .naming import named
from .record import Draw, Mistake, Sample, Spelled, axis, number, unary_float, unary_samples

_COMPOSITE = frozenset({"composite"})
_ELEMENTWISE = frozenset({"composite", "elementwise"})


def _activation(name: str, says: str, formula: str, expand: Any, **rest: Any) -> Op:
    rest.setdefault("samples", unary_samples())
    rest.setdefault("roles", _ELEMENTWISE)
    rest.setdefault("attributes", ())
    attributes = rest.pop("attributes")
    return Op(
        name,
        ("x",),
        attributes,
        says,
        formula,
        unary_float,
        expand=expand,
        family="activation",
        errors=(
            Mistake(
                (Type((3,), "int64"),), {a.name: a.default for a in attributes}, "real numbers"
            ),
        ),
        **rest,
    )


_AWAY = unary_samples(apart=0.1, away_from=(0.0,))


relu = _activation(
    "relu",
    "Rectified linear unit; its derivative at 0 is 0.",
    r"\max(0, x)",
    lambda x: maximum(x, 0.0),
    vjp=(lambda g, y, x: g * (x > 0),),
    numpy="np.maximum(x, 0)",
    kinks="x = 0",
    samples=_AWAY,
    plain=("a = max(0, z)", "dz = da * (z > 0)"),
)


def _above(x: Any) -> Any:
    return named(x > 0, "above")


def _below(x: Any) -> Any:
    """What the exponential is taken of: the branch that is not taken must not overflow."""
    return named(minimum(x, 0.0), "below")


leaky_relu = _activation(
    "leaky_relu",
    "ReLU with a small slope below 0.",
    r"x \text{ if } x > 0 \text{ else } a x",
    lambda x, slope: select(_above(x), x, slope * x),
    vjp=(lambda g, y, x, slope: select(_above(x), g, slope * g),),
    attributes=(number("slope", 0.01),),
    kinks="x = 0",
    samples=tuple(Sample(s.operands, {"slope": 0.1}, s.about) for s in _AWAY),
    plain=("a = z where z > 0, else slope * z", "dz = da where z > 0, else slope * da"),
)


def _elu_vjp(g: Any, y: Any, x: Any, alpha: float) -> Any:
    return select(_above(x), g, g * (alpha * exp(_below(x))))


elu = _activation(
    "elu",
    "Exponential linear unit.",
    r"x \text{ if } x > 0 \text{ else } \alpha (e^x - 1)",
    lambda x, alpha: select(_above(x), x, alpha * expm1(_below(x))),
    vjp=(_elu_vjp,),
    attributes=(number("alpha", 1.0),),
    kinks="x = 0",
    samples=tuple(Sample(s.operands, {"alpha": 0.7}, s.about) for s in _AWAY),
    plain=(
        "a = z where z > 0, else alpha * (e^z - 1)",
        "dz = da where z > 0, else da * alpha * e^z",
    ),
)


def _sigmoid(x: Any) -> Any:
    small = named(exp(-absolute(x)), "small")
    return select(x >= 0, 1.0, small) / (1 + small)


sigmoid = _activation(
    "sigmoid",
    "Logistic function, which never overflows.",
    r"\frac{1}{1 + e^{-x}}",
    _sigmoid,
    vjp=(lambda g, y, x: g * (y * (1 - y)),),
    numpy="sigmoid(x)",
    plain=("a = 1 / (1 + exp(-z))", "dz = da * a * (1 - a)"),
)


def _gate(x: Any) -> Any:
    return named(sigmoid(x), "gate")


silu = _activation(
    "silu",
    "Sigmoid-weighted linear unit, also called swish.",
    r"\frac{x}{1 + e^{-x}}",
    lambda x: x * _gate(x),
    vjp=(lambda g, y, x: g * (_gate(x) + y * (1 - _gate(x))),),
    plain=("a = z * sigmoid(z)", "dz = da * (gate + a * (1 - gate)), gate = sigmoid(z)"),
)


ROOT_HALF = Spelled(math.sqrt(0.5), "math.sqrt(0.5)")


ROOT_TWO_PI = Spelled(math.sqrt(2 * math.pi), "math.sqrt(2 * math.pi)")


def _normal_share(x: Any) -> Any:
    return named(0.5 * (1 + erf(x * ROOT_HALF)), "share")


gelu = _activation(
    "gelu",
    "Gaussian error linear unit, exact: x times the share of a normal below x.",
    r"\tfrac{x}{2} \left(1 + \operatorname{erf} \tfrac{x}{\sqrt 2}\right)",
    lambda x: x * _normal_share(x),
    vjp=(lambda g, y, x: g * (_normal_share(x) + x * (exp(-0.5 * (x * x)) / ROOT_TWO_PI)),),
    plain=("a = z * P(normal < z)", "dz = da * (P + z * density(z))"),
)


softplus = _activation(
    "softplus",
    "Smooth ReLU, which never overflows.",
    r"\ln(1 + e^x)",
    lambda x: maximum(x, 0.0) + log1p(exp(-absolute(x))),
    vjp=(lambda g, y, x: g * sigmoid(x),),
    plain=("a = log(1 + exp(z))", "dz = da * sigmoid(z)"),
)


_ROWS = tuple(
    Sample((Draw(shape, order=order),), {"axis": a}, about)
    for shape, a, order, about in (
        ((4, 5), -1, "C", "rows"),
        ((4, 5), 0, "C", "columns"),
        ((2, 3, 4), 1, "C", "middle axis"),
        ((5,), 0, "C", "vector"),
        ((1, 1), -1, "C", "size-1 axes"),
        ((0, 3), -1, "C", "empty"),
        ((3, 4), -1, "F", "non-contiguous"),
    )
)


def _log_softmax(x: Any, axis: int) -> Any:
    shifted = named(x - x.max(axis=axis, keepdims=True), "shifted")
    return named(shifted - log(exp(shifted).sum(axis=axis, keepdims=True)), "log_probs")


log_softmax = _activation(
    "log_softmax",
    "Logarithm of softmax, accurate for any size of x.",
    r"x_i - \ln \sum_j e^{x_j}",
    _log_softmax,
    vjp=(lambda g, y, x, axis: g - exp(y) * g.sum(axis=axis, keepdims=True),),
    attributes=(axis(default=-1),),
    samples=_ROWS,
    roles=_COMPOSITE,
    plain=("l = z - max z - log sum exp(z - max z)", "dz = dl - softmax(z) * sum of dl"),
)


def _softmax(x: Any, axis: int) -> Any:
    powers = named(exp(x - x.max(axis=axis, keepdims=True)), "powers")
    return named(powers / powers.sum(axis=axis, keepdims=True), "probs")


softmax = _activation(
    "softmax",
    "Positive shares that sum to 1.",
    r"\frac{e^{x_i}}{\sum_j e^{x_j}}",
    _softmax,
    vjp=(lambda g, y, x, axis: y * (g - (g * y).sum(axis=axis, keepdims=True)),),
    attributes=(axis(default=-1),),
    samples=_ROWS,
    roles=_COMPOSITE,
    plain=("p = exp(z) / sum exp(z)", "dz = p * (dp - sum of dp * p)"),
)
