"""Ops that work number by number. Two operands stretch to a common shape by NumPy's rule.

Derivative rules get (gradient, result, operands) and are written in the library's own ops; the
walker sums a gradient over stretched axes, so no rule here knows about broadcasting.
"""

from __future__ import annotations

import math
from typing import Any

from glassgrad.errors import DTypeError
from glassgrad.ir import FLOATS, Dim, Op, Ratio, Type, broadcast

from .record import (
    Draw,
    Mistake,
    Sample,
    Spelled,
    binary_float,
    binary_number,
    binary_samples,
    comparison,
    data,
    dtype,
    one_dtype,
    unary_float,
    unary_number,
    unary_samples,
)

_F = Type((3,), "float32")
_WRONG_DTYPE = (Mistake((Type((3,), "int64"),), {}, "needs real numbers"),)
_WRONG_PAIR = (
    Mistake((_F, Type((3,), "float64")), {}, "different kinds of number"),
    Mistake((_F, Type((2,), "float32")), {}, "do not broadcast"),
)


def unary(name: str, says: str, formula: str, vjp: Any, numpy: str, **rest: Any) -> Op:
    """A record of one operand, real numbers unless it says otherwise."""
    rest.setdefault("type_rule", unary_float)
    rest.setdefault("samples", unary_samples())
    rest.setdefault("errors", _WRONG_DTYPE)
    rest["roles"] = frozenset({"elementwise", *rest.get("roles", ())})
    return Op(
        name, ("x",), (), says, formula, vjp=(vjp,), numpy=numpy, family="elementwise", **rest
    )


def binary(
    name: str, says: str, formula: str, vjp: tuple[Any, Any] | None, numpy: str, **rest: Any
) -> Op:
    """A record of two operands that stretch to fit, real numbers unless it says otherwise."""
    rest.setdefault("type_rule", binary_float)
    rest.setdefault("samples", binary_samples())
    rest.setdefault("errors", _WRONG_PAIR)
    rest["roles"] = frozenset({"elementwise", *rest.get("roles", ())})
    return Op(
        name, ("x", "y"), (), says, formula, vjp=vjp, numpy=numpy, family="elementwise", **rest
    )


def _constant_type(*, value: Any, dtype: str) -> Type:
    kinds: tuple[type, ...] = (int, Dim) if dtype not in FLOATS else (int, float, Dim, Ratio)
    if not isinstance(value, bool if dtype == "bool" else kinds):
        raise DTypeError("this number cannot be of this dtype", received=f"{value!r}, {dtype}")
    return Type((), dtype)


constant = Op(
    "constant",
    (),
    (data("value", "float"), dtype()),
    says="a number written in the program",
    formula="c",
    type_rule=_constant_type,
    numpy="value",
    roles=frozenset({"constant"}),
    family="elementwise",
)

# -- arithmetic -------------------------------------------------------------------------------


def _product_type(x: Type, y: Type) -> Type:
    # A mask times a number is the number or nothing: `d * (z > 0)`.
    if x.dtype in FLOATS and y.dtype == "bool":
        return Type(broadcast(x.shape, y.shape), x.dtype)
    return binary_number(x, y)


add = binary(
    "add",
    "Sum of two tensors.",
    r"x + y",
    (lambda g, y, a, b: g, lambda g, y, a, b: g),
    "x + y",
    type_rule=binary_number,
    roles=("commutative",),
)
subtract = binary(
    "subtract",
    "Difference of two tensors.",
    r"x - y",
    (lambda g, y, a, b: g, lambda g, y, a, b: -g),
    "x - y",
    type_rule=binary_number,
)
multiply = binary(
    "multiply",
    "Product of two tensors, number by number; the second may be truth values.",
    r"x\,y",
    (lambda g, y, a, b: g * b, lambda g, y, a, b: None if b.dtype == "bool" else g * a),
    "x * y",
    type_rule=_product_type,
    roles=("commutative",),
)
divide = binary(
    "divide",
    "Quotient of two tensors.",
    r"x / y",
    (lambda g, y, a, b: g / b, lambda g, y, a, b: -(g * y) / b),
    "x / y",
    samples=binary_samples(second=(0.5, 2.0)),
)
negative = unary(
    "negative",
    "The number with the other sign.",
    r"-x",
    lambda g, y, x: -g,
    "-x",
    type_rule=unary_number,
    errors=(Mistake((Type((3,), "bool"),), {}, "no arithmetic"),),
)


def _power_base(g: Any, y: Any, x: Any, p: Any) -> Any:
    number = literal(p)
    if number is None:
        # Where the exponent is 0 the power is constant, also at x = 0.
        less = select(p == 0.0, 1.0, p - 1.0)
        return select(p == 0.0, 0.0 * g, g * p * x**less)
    if number == 1:
        return g
    if number == 2:
        return g * (2 * x)
    if number == 0:
        return 0.0 * g
    return g * (number * x ** (number - 1))


def _power_exponent(g: Any, y: Any, x: Any, p: Any) -> Any:
    number = literal(x)
    if number is not None:
        if number > 0:
            return g * (y * Spelled(math.log(number), f"math.log({number!r})"))
        x = x + 0.0 * p
    return g * select(x == 0.0, 0.0 * y, y * log(select(x == 0.0, 1.0, x)))


power = binary(
    "power",
    "The first tensor to the power of the second.",
    r"x^y",
    (_power_base, _power_exponent),
    "x ** y",
    samples=(
        *binary_samples(first=(0.5, 2.0)),
        Sample((Draw((4, 5)), 2.0), about="square"),
        Sample((Draw((4, 5)), 3.0), about="cube"),
        Sample((Draw((3,), 0.5, 2.0), -1.5), about="negative exponent"),
    ),
    kinks="x = 0 with an exponent below 1; negative bases with a fractional exponent",
)

# -- functions --------------------------------------------------------------------------------

exp = unary("exp", "e to the power of x.", r"e^{x}", lambda g, y, x: g * y, "np.exp(x)")
expm1 = unary(
    "expm1",
    "exp(x) - 1, accurate near zero.",
    r"e^{x} - 1",
    lambda g, y, x: g * (y + 1),
    "np.expm1(x)",
)
log = unary(
    "log",
    "Natural logarithm.",
    r"\ln x",
    lambda g, y, x: g / x,
    "np.log(x)",
    samples=unary_samples(0.2, 4.0),
    kinks="x = 0",
)
LN_2 = Spelled(math.log(2), "math.log(2)")
LN_10 = Spelled(math.log(10), "math.log(10)")
log2 = unary(
    "log2",
    "Logarithm to the base 2.",
    r"\log_2 x",
    lambda g, y, x: g / (x * LN_2),
    "np.log2(x)",
    samples=unary_samples(0.2, 4.0),
    kinks="x = 0",
)
log10 = unary(
    "log10",
    "Logarithm to the base 10.",
    r"\log_{10} x",
    lambda g, y, x: g / (x * LN_10),
    "np.log10(x)",
    samples=unary_samples(0.2, 4.0),
    kinks="x = 0",
)
log1p = unary(
    "log1p",
    "log(1 + x), accurate near zero.",
    r"\ln(1 + x)",
    lambda g, y, x: g / (1 + x),
    "np.log1p(x)",
    samples=unary_samples(-0.7, 3.0),
    kinks="x = -1",
)
tanh = unary(
    "tanh",
    "Hyperbolic tangent.",
    r"\tanh x",
    lambda g, y, x: g * (1 - y**2),
    "np.tanh(x)",
    plain=("a = tanh(z)", "dz = da * (1 - a^2)"),
)
sqrt = unary(
    "sqrt",
    "Square root.",
    r"\sqrt{x}",
    lambda g, y, x: g / (2 * y),
    "np.sqrt(x)",
    samples=unary_samples(0.2, 4.0),
    kinks="x = 0",
)
sin = unary("sin", "Sine, x in radians.", r"\sin x", lambda g, y, x: g * cos(x), "np.sin(x)")
cos: Op = unary("cos", "Cosine, x in radians.", r"\cos x", lambda g, y, x: g * -sin(x), "np.cos(x)")
tan = unary(
    "tan",
    "Tangent, x in radians.",
    r"\tan x",
    lambda g, y, x: g * (1 + y * y),
    "np.tan(x)",
    samples=unary_samples(-1.2, 1.2),
)
arcsin = unary(
    "arcsin",
    "Angle whose sine is x, in radians.",
    r"\arcsin x",
    lambda g, y, x: g / sqrt((1 - x) * (1 + x)),
    "np.arcsin(x)",
    samples=unary_samples(-0.9, 0.9),
    kinks="x = -1 and 1",
)
arccos = unary(
    "arccos",
    "Angle whose cosine is x, in radians.",
    r"\arccos x",
    lambda g, y, x: -g / sqrt((1 - x) * (1 + x)),
    "np.arccos(x)",
    samples=unary_samples(-0.9, 0.9),
    kinks="x = -1 and 1",
)
sinh = unary(
    "sinh",
    "Hyperbolic sine.",
    r"\frac{1}{2} (e^x - e^{-x})",
    lambda g, y, x: g * cosh(x),
    "np.sinh(x)",
)
cosh: Op = unary(
    "cosh",
    "Hyperbolic cosine.",
    r"\frac{1}{2} (e^x + e^{-x})",
    lambda g, y, x: g * sinh(x),
    "np.cosh(x)",
)
TWO_OVER_ROOT_PI = Spelled(2 / math.sqrt(math.pi), "2 / math.sqrt(math.pi)")
erf = unary(
    "erf",
    "Error function, the share of a normal distribution near its middle.",
    r"\frac{2}{\sqrt{\pi}} \int_0^x e^{-t^2}\,dt",
    lambda g, y, x: g * (TWO_OVER_ROOT_PI * exp(-(x * x))),
    "erf(x)",
)
absolute = unary(
    "absolute",
    "Size of the number without its sign; the derivative at 0 is 0.",
    r"|x|",
    lambda g, y, x: g * sign(x),
    "np.abs(x)",
    type_rule=unary_number,
    kinks="x = 0",
    samples=unary_samples(apart=0.1, away_from=(0.0,)),
    errors=(Mistake((Type((3,), "bool"),), {}, "no arithmetic"),),
)
sign: Op = unary(
    "sign",
    "-1, 0 or 1.",
    r"\operatorname{sign} x",
    None,
    "np.sign(x)",
    type_rule=unary_number,
    kinks="x = 0",
    samples=unary_samples(apart=0.1, away_from=(0.0,)),
    errors=(Mistake((Type((3,), "bool"),), {}, "no arithmetic"),),
)

# -- choice -----------------------------------------------------------------------------------

_APART = binary_samples((-2.0, -0.1), (0.1, 2.0)) + binary_samples((0.1, 2.0), (-2.0, -0.1))

maximum = binary(
    "maximum",
    "The larger of two numbers; a tie gives the derivative to the first.",
    r"\max(x, y)",
    (lambda g, y, a, b: g * (a >= b), lambda g, y, a, b: g * (a < b)),
    "np.maximum(x, y)",
    type_rule=binary_number,
    roles=("commutative",),
    kinks="x = y",
    samples=_APART,
)
minimum = binary(
    "minimum",
    "The smaller of two numbers; a tie gives the derivative to the first.",
    r"\min(x, y)",
    (lambda g, y, a, b: g * (a <= b), lambda g, y, a, b: g * (a > b)),
    "np.minimum(x, y)",
    type_rule=binary_number,
    roles=("commutative",),
    kinks="x = y",
    samples=_APART,
)
_COMPARED: dict[str, Any] = {
    "type_rule": comparison,
    "vjp": (None, None),
    "kinks": "x = y",
    "samples": _APART,
}
less = binary("less", "Whether x < y.", r"x < y", numpy="x < y", **_COMPARED)
less_equal = binary("less_equal", "Whether x <= y.", r"x \le y", numpy="x <= y", **_COMPARED)
greater = binary("greater", "Whether x > y.", r"x > y", numpy="x > y", **_COMPARED)
greater_equal = binary("greater_equal", "Whether x >= y.", r"x \ge y", numpy="x >= y", **_COMPARED)
equal = binary("equal", "Whether x = y.", r"x = y", numpy="x == y", **_COMPARED)
not_equal = binary("not_equal", "Whether x and y differ.", r"x \ne y", numpy="x != y", **_COMPARED)


def _select_type(condition: Type, x: Type, y: Type) -> Type:
    if condition.dtype != "bool":
        raise DTypeError("a condition is needed", expected="bool", received=repr(condition))
    return Type(broadcast(condition.shape, x.shape, y.shape), one_dtype(x, y))


select: Op = Op(
    "select",
    ("condition", "x", "y"),
    (),
    says="x where the condition holds, y elsewhere.",
    formula=r"x \text{ if } c \text{ else } y",
    type_rule=_select_type,
    # A choice, not a product: what was not chosen may be inf or nan and still gets 0.
    vjp=(
        None,
        lambda g, y, c, a, b: select(c, g, 0.0),
        lambda g, y, c, a, b: select(c, 0.0, g),
    ),
    numpy="np.where(condition, x, y)",
    roles=frozenset({"elementwise"}),
    family="elementwise",
    samples=(
        Sample((Draw((4, 5), kind="bool"), Draw((4, 5)), Draw((4, 5))), about="equal shapes"),
        Sample((Draw((4, 1), kind="bool"), Draw((5,)), Draw(())), about="broadcast"),
        Sample((Draw((0, 2), kind="bool"), Draw((0, 2)), Draw((2,))), about="empty"),
        Sample((Draw((), kind="bool"), Draw(()), Draw(())), about="scalar"),
        Sample(
            (Draw((3, 4), kind="bool"), Draw((3, 4), order="F"), 0.5), about="number, transposed"
        ),
    ),
    errors=(Mistake((_F, _F, _F), {}, "a condition is needed"),),
)


def _cast_type(x: Type, *, dtype: str) -> Type:
    return Type(x.shape, dtype)


cast: Op = Op(
    "cast",
    ("x",),
    (dtype(),),
    says="The values as another kind of number.",
    formula=r"x",
    type_rule=_cast_type,
    vjp=(lambda g, y, x, dtype: cast(g, dtype=x.dtype) if x.dtype in FLOATS else None,),
    numpy=lambda types, a: "x.astype(dtype)" if types[0].shape else "np.asarray(x, dtype)",
    roles=frozenset({"elementwise"}),
    family="elementwise",
    samples=tuple(
        Sample(s.operands, {"dtype": kind}, f"{s.about} to {kind}")
        for kind in ("float64", "float32")
        for s in unary_samples()
    ),
    errors=(Mistake((_F,), {"dtype": "float16"}, "unknown dtype"),),
)


def _scalar_type(x: Type, *, dtype: str) -> Type:
    return Type((), dtype)


scalar = Op(
    "scalar",
    ("x",),
    (dtype(),),
    says="A number of the host, such as a learning rate, beside tensors of this dtype.",
    formula=r"x",
    type_rule=_scalar_type,
    vjp=(None,),
    numpy="x",
    roles=frozenset({"elementwise", "host"}),
    family="elementwise",
)


def literal(array: Any) -> Any:
    """The Python number an operand is, or None if it is not known yet."""
    if isinstance(array, int | float):
        return array
    value = getattr(array, "value", None)
    if value is not None and value.node.op is constant:
        found = value.node.attributes["value"]
        return found if isinstance(found, int | float) else None
    return None
