"""Ops number by number whose results jump: truth values, rounding, and staying within bounds."""

from __future__ import annotations

from typing import Any

from glassgrad.errors import ConfigError, DTypeError
from glassgrad.ir import FLOATS, Attribute, Op, Type, broadcast

from .elementwise import binary, maximum, minimum, unary
from .record import (
    Draw,
    Mistake,
    Sample,
    binary_samples,
    number,
    unary_number,
    unary_samples,
)

_F = Type((3,), "float32")

# -- truth values -----------------------------------------------------------------------------


def _need_truth(*types: Type) -> None:
    for t in types:
        if t.dtype != "bool":
            raise DTypeError(
                "truth values are needed",
                expected="bool",
                received=repr(t),
                hint="compare first: x > 0",
            )


def _not_type(x: Type) -> Type:
    _need_truth(x)
    return x


def _truth_type(x: Type, y: Type) -> Type:
    _need_truth(x, y)
    return Type(broadcast(x.shape, y.shape), "bool")


def _truth(name: str, says: str, formula: str, numpy: str) -> Op:
    return binary(
        name,
        says,
        formula,
        None,
        numpy,
        type_rule=_truth_type,
        roles=("commutative",),
        samples=binary_samples(kind="bool"),
        errors=(Mistake((_F, _F), {}, "truth values are needed"),),
    )


logical_and = _truth("logical_and", "Whether both hold.", r"x \land y", "x & y")
logical_or = _truth("logical_or", "Whether one of the two holds, or both.", r"x \lor y", "x | y")
logical_xor = _truth("logical_xor", "Whether just one of the two holds.", r"x \oplus y", "x ^ y")
logical_not = unary(
    "logical_not",
    "Whether it does not hold.",
    r"\lnot x",
    None,
    "np.logical_not(x)",
    type_rule=_not_type,
    samples=unary_samples(kind="bool"),
    errors=(Mistake((_F,), {}, "truth values are needed"),),
)

# -- rounding ---------------------------------------------------------------------------------


def _rounding(name: str, says: str, formula: str) -> Op:
    return unary(name, says, formula, None, f"np.{name}(x)", kinks="where the result jumps")


floor = _rounding(
    "floor", "The next whole number below; it has no derivative.", r"\lfloor x \rfloor"
)
ceil = _rounding("ceil", "The next whole number above; it has no derivative.", r"\lceil x \rceil")
trunc = _rounding(
    "trunc",
    "The next whole number towards 0; it has no derivative.",
    r"\operatorname{sign}(x) \lfloor |x| \rfloor",
)
round = _rounding(
    "round",
    "The nearest whole number, the even one of two; it has no derivative.",
    r"\lfloor x \rceil",
)
remainder = binary(
    "remainder",
    "What division leaves, with the sign of the divisor.",
    r"x - y \lfloor x / y \rfloor",
    (lambda g, y, a, b: g, lambda g, y, a, b: -(g * round((a - y) / b))),
    "np.remainder(x, y)",
    samples=(
        *binary_samples((2.1, 2.9), (1.6, 2.0)),
        Sample((Draw((4, 5), -2.9, -2.1), Draw((5,), 0.9, 1.0)), about="below 0"),
    ),
    kinks="x is a multiple of y",
)

# -- bounds -----------------------------------------------------------------------------------


def _bound(name: str) -> Attribute:
    real = number(name)

    def normal(value: Any, inputs: tuple[Any, ...]) -> Any:
        return None if value is None else real.normal(value, inputs)

    return Attribute(name, normal, "float | None", None)


def _clip_type(x: Type, *, low: Any, high: Any) -> Type:
    unary_number(x)
    given = [b for b in (low, high) if b is not None]
    if not given:
        raise ConfigError("a bound is needed", expected="low, high or both", received="neither")
    if x.dtype not in FLOATS and (x.dtype != "int64" or any(type(b) is not int for b in given)):
        raise DTypeError(
            "these numbers and these bounds do not go together",
            expected="real numbers, or int64 between whole numbers",
            received=f"{x}, {low} to {high}",
            hint='cast first: x.astype("float32")',
        )
    if len(given) == 2 and low > high:
        raise ConfigError("no number lies between these bounds", received=f"{low} to {high}")
    return x


def _clip(x: Any, low: Any, high: Any) -> Any:
    above = x if low is None else maximum(x, low)
    return above if high is None else minimum(above, high)


def _clip_vjp(g: Any, y: Any, x: Any, low: Any, high: Any) -> Any:
    if low is None or high is None:
        return g * (x <= high if low is None else x >= low)
    return g * logical_and(x >= low, x <= high)


clip = Op(
    "clip",
    ("x",),
    (_bound("low"), _bound("high")),
    says="The nearest number within bounds; at a bound the derivative is 1.",
    formula=r"\min(\max(x, a), b)",
    type_rule=_clip_type,
    vjp=(_clip_vjp,),
    numpy="np.clip(x, low, high)",
    expand=_clip,
    roles=frozenset({"composite", "elementwise"}),
    family="elementwise",
    kinks="x = low and x = high",
    samples=(
        *[
            Sample(s.operands, {"low": -0.5, "high": 1}, s.about)
            for s in unary_samples(apart=0.1, away_from=(-0.5, 1.0))
        ],
        Sample((Draw((4, 5), apart=0.1, away_from=(0.5,)),), {"low": 0.5}, "from below"),
        Sample((Draw((4, 5), apart=0.1, away_from=(0.5,)),), {"high": 0.5}, "from above"),
    ),
    errors=(
        Mistake((_F,), {}, "a bound is needed"),
        Mistake((_F,), {"low": 1.0, "high": 0.0}, "between these bounds"),
        Mistake((Type((3,), "int64"),), {"low": 0.5}, "do not go together"),
    ),
)
