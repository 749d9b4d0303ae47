"""Activations: composites that work number by number, and softmax over an axis.

A composite says itself in other ops (`expand`). Where a textbook prints its derivative in closed
form it carries that form, which tests prove against the composed one. A rule recomputes what it
needs of the forward pass; in a graph, equals are merged, so nothing is computed twice.
"""

from __future__ import annotations

import math
from typing import Any

from glassgrad.errors import ConfigError, ShapeError
from glassgrad.ir import Op, Size, Type

from . import movement
from .elementwise import absolute, erf, exp, expm1, log, log1p, maximum, minimum, select, tanh
from .naming import named
from .record import (
    Draw,
    Mistake,
    Sample,
    Spelled,
    axis,
    need_float,
    number,
    unary_float,
    unary_samples,
)

_COMPOSITE = frozenset({"composite"})
_ELEMENTWISE = frozenset({"composite", "elementwise"})


def activation(name: str, says: str, formula: str, expand: Any, **rest: Any) -> Op:
    """A record of one operand, made of other ops; number by number unless it says otherwise."""
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
        rest.pop("type_rule", unary_float),
        expand=expand,
        family="activation",
        errors=(
            Mistake((Type((3,), "int64"),), dict(rest["samples"][0].attributes), "real numbers"),
            *rest.pop("errors", ()),
        ),
        **rest,
    )


_AWAY = unary_samples(apart=0.1, away_from=(0.0,))


def away_from(*places: float, low: float = -2.0, high: float = 2.0, **attributes: Any) -> Any:
    """Every shape class, away from the places where the derivative jumps."""
    found = unary_samples(low, high, apart=0.1, away_from=places)
    return tuple([Sample(s.operands, attributes, s.about) for s in found])


relu = activation(
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


def above(x: Any) -> Any:
    """Where the upper branch is taken."""
    return named(x > 0, "above")


def _below(x: Any) -> Any:
    """What the exponential is taken of: the branch that is not taken must not overflow."""
    return named(minimum(x, 0.0), "below")


leaky_relu = activation(
    "leaky_relu",
    "ReLU with a small slope below 0.",
    r"x \text{ if } x > 0 \text{ else } a x",
    lambda x, slope: select(above(x), x, slope * x),
    vjp=(lambda g, y, x, slope: select(above(x), g, slope * g),),
    attributes=(number("slope", 0.01),),
    kinks="x = 0",
    samples=tuple(Sample(s.operands, {"slope": 0.1}, s.about) for s in _AWAY),
    plain=("a = z where z > 0, else slope * z", "dz = da where z > 0, else slope * da"),
)


def _elu_vjp(g: Any, y: Any, x: Any, alpha: float) -> Any:
    return select(above(x), g, g * (alpha * exp(_below(x))))


elu = activation(
    "elu",
    "Exponential linear unit.",
    r"x \text{ if } x > 0 \text{ else } \alpha (e^x - 1)",
    lambda x, alpha: select(above(x), x, alpha * expm1(_below(x))),
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


sigmoid = activation(
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


silu = activation(
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


gelu = activation(
    "gelu",
    "Gaussian error linear unit, exact: x times the share of a normal below x.",
    r"\tfrac{x}{2} \left(1 + \operatorname{erf} \tfrac{x}{\sqrt 2}\right)",
    lambda x: x * _normal_share(x),
    vjp=(lambda g, y, x: g * (_normal_share(x) + x * (exp(-0.5 * (x * x)) / ROOT_TWO_PI)),),
    plain=("a = z * P(normal < z)", "dz = da * (P + z * density(z))"),
)


def _steeper(x: Any, beta: float) -> Any:
    return x if beta == 1 else named(x * beta, "steeper")


def _softplus(x: Any, beta: float) -> Any:
    z = _steeper(x, beta)
    found = maximum(z, 0.0) + log1p(exp(-absolute(z)))
    return found if beta == 1 else named(found, "soft") / beta


def _softplus_type(x: Type, *, beta: float) -> Type:
    if beta <= 0:
        raise ConfigError("beta says how steep it is", expected="above 0", received=str(beta))
    return unary_float(x)


softplus = activation(
    "softplus",
    "Smooth ReLU, which never overflows; the larger beta, the sharper it bends.",
    r"\frac{1}{\beta} \ln(1 + e^{\beta x})",
    _softplus,
    vjp=(lambda g, y, x, beta: g * sigmoid(_steeper(x, beta)),),
    attributes=(number("beta", 1.0),),
    type_rule=_softplus_type,
    samples=(
        *[Sample(s.operands, {"beta": 1.0}, s.about) for s in unary_samples()],
        Sample((Draw((4, 5)),), {"beta": 2.5}, "sharper"),
    ),
    errors=(Mistake((Type((3,), "float32"),), {"beta": 0.0}, "how steep"),),
    plain=("a = log(1 + exp(beta * z)) / beta", "dz = da * sigmoid(beta * z)"),
)


# -- curves -----------------------------------------------------------------------------------

# The numbers for which mean 0 and variance 1 stay as they are (Klambauer 2017).
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805

selu = activation(
    "selu",
    "ELU scaled so that mean 0 and variance 1 are kept (Klambauer 2017).",
    r"s x \text{ if } x > 0 \text{ else } s \alpha (e^x - 1)",
    lambda x: SELU_SCALE * select(above(x), x, SELU_ALPHA * expm1(_below(x))),
    vjp=(lambda g, y, x: SELU_SCALE * select(above(x), g, g * (SELU_ALPHA * exp(_below(x)))),),
    kinks="x = 0",
    samples=_AWAY,
    plain=(
        "a = scale * (z where z > 0, else alpha * (e^z - 1))",
        "dz = da * scale * (1 where z > 0, else alpha * e^z)",
    ),
)


def _celu_type(x: Type, *, alpha: float) -> Type:
    if alpha == 0:
        raise ConfigError("alpha divides, so it cannot be 0", received="0")
    return unary_float(x)


celu = activation(
    "celu",
    "ELU whose slope is 1 at 0 for any alpha (Barron 2017).",
    r"x \text{ if } x > 0 \text{ else } \alpha (e^{x / \alpha} - 1)",
    lambda x, alpha: select(above(x), x, alpha * expm1(_below(x) / alpha)),
    vjp=(lambda g, y, x, alpha: g * exp(_below(x) / alpha),),
    attributes=(number("alpha", 1.0),),
    type_rule=_celu_type,
    samples=tuple(Sample(s.operands, {"alpha": 0.7}, s.about) for s in _AWAY),
    kinks="x = 0, in the second derivative",
    errors=(Mistake((Type((3,), "float32"),), {"alpha": 0.0}, "cannot be 0"),),
    plain=(
        "a = z where z > 0, else alpha * (e^(z / alpha) - 1)",
        "dz = da where z > 0, else da * e^(z / alpha)",
    ),
)


def _softsign_size(x: Any) -> Any:
    return named(1 + absolute(x), "size")


softsign = activation(
    "softsign",
    "From -1 to 1, slower than tanh.",
    r"\frac{x}{1 + |x|}",
    lambda x: x / _softsign_size(x),
    vjp=(lambda g, y, x: g / _softsign_size(x) ** 2,),
    kinks="x = 0, in the second derivative",
    samples=_AWAY,
    plain=("a = z / (1 + |z|)", "dz = da / (1 + |z|)^2"),
)
log_sigmoid = activation(
    "log_sigmoid",
    "Logarithm of the sigmoid, accurate for any size of x.",
    r"-\ln(1 + e^{-x})",
    lambda x: minimum(x, 0.0) - log1p(exp(-absolute(x))),
    vjp=(lambda g, y, x: g * sigmoid(-x),),
    plain=("a = log(sigmoid(z))", "dz = da * sigmoid(-z)"),
)
tanhshrink = activation(
    "tanhshrink",
    "The number less its tanh.",
    r"x - \tanh x",
    lambda x: x - named(tanh(x), "bent"),
    vjp=(lambda g, y, x: g * named(tanh(x), "bent") ** 2,),
    plain=("a = z - tanh(z)", "dz = da * tanh(z)^2"),
)


def _mish_gate(x: Any) -> Any:
    return named(tanh(named(softplus(x), "soft")), "gate")


mish = activation(
    "mish",
    "x times the tanh of its softplus (Misra 2019).",
    r"x \tanh \ln(1 + e^x)",
    lambda x: x * _mish_gate(x),
    vjp=(lambda g, y, x: g * (_mish_gate(x) + x * (1 - _mish_gate(x) ** 2) * sigmoid(x)),),
    plain=(
        "a = z * tanh(softplus(z))",
        "dz = da * (gate + z * (1 - gate^2) * sigmoid(z)), gate = tanh(softplus(z))",
    ),
)

ROOT_TWO_OVER_PI = Spelled(math.sqrt(2 / math.pi), "math.sqrt(2 / math.pi)")


def _bent(x: Any) -> Any:
    return named(tanh(ROOT_TWO_OVER_PI * (x * (1 + 0.044715 * x**2))), "bent")  # not x**3: slow


def _tanh_share(x: Any) -> Any:
    return named(0.5 * (1 + _bent(x)), "share")


def _gelu_tanh_vjp(g: Any, y: Any, x: Any) -> Any:
    steep = ROOT_TWO_OVER_PI * (1 + 0.134145 * x**2)  # 3 * 0.044715
    return g * (_tanh_share(x) + 0.5 * x * (1 - _bent(x) ** 2) * steep)


gelu_tanh = activation(
    "gelu_tanh",
    "GELU by tanh, as GPT-2 has it: within 0.0005 of the exact one.",
    r"\tfrac{x}{2} \left(1 + \tanh(\sqrt{2 / \pi}\,(x + 0.044715 x^3))\right)",
    lambda x: x * _tanh_share(x),
    vjp=(_gelu_tanh_vjp,),
    plain=(
        "a = z * (1 + t) / 2, t = tanh(sqrt(2/pi) * (z + 0.044715 z^3))",
        "dz = da * ((1 + t) / 2 + z/2 * (1 - t^2) * dt), dt = sqrt(2/pi) * (1 + 0.134145 z^2)",
    ),
)


def _glu_type(x: Type, *, axis: int) -> Type:
    need_float(x)
    size = x.shape[axis]
    if isinstance(size, int) and size % 2:
        raise ShapeError(
            "two halves are needed",
            expected=f"an even size along axis {axis}",
            received=repr(x),
        )
    return Type((*x.shape[:axis], size // 2, *x.shape[axis + 1 :]), x.dtype)


def _halves(x: Any, axis: int) -> tuple[Any, Any]:
    half: Size = x.shape[axis] // 2

    def part(start: Size, stop: Size) -> Any:
        whole = [(0, s, 1) for s in x.shape]
        return movement.slice(x, spans=(*whole[:axis], (start, stop, 1), *whole[axis + 1 :]))

    return part(0, half), part(half, x.shape[axis])


def _glu(x: Any, axis: int) -> Any:
    first, second = _halves(x, axis)
    return first * named(sigmoid(second), "gate")


def _glu_vjp(g: Any, y: Any, x: Any, axis: int) -> Any:
    gate = named(sigmoid(_halves(x, axis)[1]), "gate")
    return movement.concatenate(g * gate, g * (y * (1 - gate)), axis=axis)


glu = activation(
    "glu",
    "Gated linear unit: the first half along an axis times the sigmoid of the second.",
    r"x_1 \sigma(x_2)",
    _glu,
    vjp=(_glu_vjp,),
    attributes=(axis(default=-1),),
    type_rule=_glu_type,
    roles=_COMPOSITE,
    samples=tuple(
        Sample((Draw(shape, order=order),), {"axis": a}, about)
        for shape, a, order, about in (
            ((4, 6), -1, "C", "rows"),
            ((4, 5), 0, "C", "columns"),
            ((2, 4, 3), 1, "C", "middle axis"),
            ((6,), 0, "C", "vector"),
            ((1, 2), -1, "C", "size-1 axes"),
            ((0, 4), -1, "C", "empty"),
            ((3, 4), -1, "F", "non-contiguous"),
        )
    ),
    errors=(Mistake((Type((2, 3), "float32"),), {"axis": 1}, "two halves"),),
    plain=("a = u * sigmoid(v), halves u and v of z", "du = da * gate, dv = da * a * (1 - gate)"),
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


log_softmax = activation(
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


softmax = activation(
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

softmin = activation(
    "softmin",
    "Softmax of the negative numbers: the smallest has the largest share.",
    r"\frac{e^{-x_i}}{\sum_j e^{-x_j}}",
    lambda x, axis: softmax(named(-x, "opposite"), axis=axis),
    vjp=(lambda g, y, x, axis: y * ((g * y).sum(axis=axis, keepdims=True) - g),),
    attributes=(axis(default=-1),),
    samples=_ROWS,
    roles=_COMPOSITE,
    plain=("p = exp(-z) / sum exp(-z)", "dz = p * (sum of dp * p - dp)"),
)
