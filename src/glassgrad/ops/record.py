"""How records are written: kinds of attributes, type rules that many ops share, samples.

A sample describes one call as data, with no arrays in it: shapes (or integer ranges) of the
operands and the attributes. Tests, documentation and benchmarks draw the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from glassgrad.errors import ConfigError, DTypeError, ShapeError, real_number, shown, whole_number
from glassgrad.ir import DTYPES, FLOATS, Attribute, Dim, Graph, Ratio, Size, Type, broadcast


class Spelled(float):
    """A number that remembers how a person writes it.

    >>> Spelled(1 - 0.9, "1 - 0.9")
    1 - 0.9
    """

    __slots__ = ("text",)
    text: str

    def __new__(cls, value: float, text: str) -> Self:
        number = super().__new__(cls, value)
        number.text = text
        return number

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Draw:
    """An operand of a sample: its shape and where its numbers come from."""

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    # "float", "bool", "int": whole numbers in [low, high), "distinct", or "pooled": the max_pool,
    # with the sample's attributes, of the operand before.
    kind: str = "float"
    apart: float = 0.0  # at least this far from each of `away_from`
    away_from: tuple[float, ...] = ()
    order: str = "C"  # "C", "F", "strided" or "reversed": how it lies in memory


@dataclass(frozen=True)
class Sample:
    """One call: operands, attributes, and what shape class it stands for."""

    operands: tuple[Draw | float, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    about: str = ""


@dataclass(frozen=True)
class Mistake:
    """A call that must be refused: types of the operands, attributes, and a part of the message."""

    types: tuple[Type, ...]
    attributes: dict[str, Any]
    says: str


def unary_samples(low: float = -2.0, high: float = 2.0, **draw: Any) -> tuple[Sample, ...]:
    """Every shape class for one operand."""
    shapes: dict[str, tuple[tuple[int, ...], str]] = {
        "scalar": ((), "C"),
        "vector": ((7,), "C"),
        "empty": ((0, 3), "C"),
        "size-1 axes": ((1, 3, 1), "C"),
        "matrix": ((4, 5), "C"),
        "transposed": ((3, 4), "F"),
        "strided": ((5, 3), "strided"),
        "reversed": ((6,), "reversed"),
    }
    return tuple(
        Sample((Draw(shape, low, high, order=order, **draw),), about=about)
        for about, (shape, order) in shapes.items()
    )


def binary_samples(
    first: tuple[float, float] = (-2.0, 2.0),
    second: tuple[float, float] = (-2.0, 2.0),
    **draw: Any,
) -> tuple[Sample, ...]:
    """Every shape class for two operands that broadcast."""
    cases: tuple[tuple[str, tuple[int, ...], tuple[int, ...], str], ...] = (
        ("scalars", (), (), "C"),
        ("equal shapes", (4, 5), (4, 5), "C"),
        ("empty", (0, 3), (3,), "C"),
        ("row", (4, 5), (5,), "C"),
        ("column", (4, 1), (1, 5), "C"),
        ("scalar on the left", (), (2, 3), "C"),
        ("size-1 axes", (1, 3, 1), (2, 1, 4), "C"),
        ("non-contiguous", (4, 5), (4, 5), "F"),
    )
    return tuple(
        Sample(
            (Draw(a, *first, order=order, **draw), Draw(b, *second, order=order, **draw)),
            about=about,
        )
        for about, a, b, order in cases
    )


# -- type rules -------------------------------------------------------------------------------


def need_float(*types: Type) -> str:
    """The one float dtype of these operands."""
    for t in types:
        if t.dtype not in FLOATS:
            raise DTypeError(
                "this needs real numbers",
                expected="float32 or float64",
                received=repr(t),
                hint='cast first: x.astype("float32")',
            )
    return one_dtype(*types)


def one_dtype(*types: Type) -> str:
    """The one dtype that all these operands have."""
    first = types[0].dtype
    for t in types[1:]:
        if t.dtype != first:
            raise DTypeError(
                "the operands have different kinds of number",
                expected=f"{first} everywhere",
                received=" and ".join(x.dtype for x in types),
                hint=f'cast one of them: x.astype("{first}")',
            )
    return first


def unary_float(x: Type, **_: Any) -> Type:
    """Same shape, same float dtype."""
    need_float(x)
    return x


def unary_number(x: Type) -> Type:
    """Same shape, same dtype, anything but truth values."""
    if x.dtype == "bool":
        raise DTypeError("truth values have no arithmetic", received=repr(x))
    return x


def binary_number(x: Type, y: Type) -> Type:
    """Broadcast shape of two operands of one dtype."""
    dtype = one_dtype(x, y)
    unary_number(x)
    return Type(broadcast(x.shape, y.shape), dtype)


def binary_float(x: Type, y: Type) -> Type:
    """Broadcast shape of two operands of one float dtype."""
    return Type(broadcast(x.shape, y.shape), need_float(x, y))


def comparison(x: Type, y: Type) -> Type:
    """Broadcast truth values of two operands of one dtype."""
    one_dtype(x, y)
    return Type(broadcast(x.shape, y.shape), "bool")


# -- attributes -------------------------------------------------------------------------------


def _rank(inputs: tuple[Any, ...]) -> int:
    return len(getattr(inputs[0], "shape", ()))


def whole(value: Any, what: str, low: int | None = None) -> int:
    """A whole number, and nothing that merely looks like one."""
    number = None if isinstance(value, Dim) else whole_number(value)
    if number is None:
        raise ConfigError(
            f"{what} must be a whole number", expected="such as 0 or 2", received=shown(value)
        )
    if low is not None and number < low:
        raise ConfigError(f"{what} is too small", expected=f"at least {low}", received=str(number))
    return number


def normal_axis(value: Any, rank: int) -> int:
    """An axis counted from the first."""
    axis = whole(value, "an axis")
    if not -rank <= axis < rank:
        raise ShapeError(
            "no such axis",
            expected=f"-{rank} to {rank - 1}" if rank else "a tensor with axes",
            received=str(axis),
        )
    return axis % rank


def axis(name: str = "axis", default: Any = ...) -> Attribute:
    """One axis."""
    return Attribute(name, lambda v, inputs: normal_axis(v, _rank(inputs)), "int", default)


def _axes(value: Any, inputs: tuple[Any, ...]) -> tuple[int, ...] | None:
    rank = _rank(inputs)
    if value is None:
        return None
    given = value if isinstance(value, tuple | list) else (value,)
    found = tuple(sorted(normal_axis(a, rank) for a in given))
    if len(set(found)) != len(found):
        raise ShapeError("an axis is named twice", received=str(value))
    return found if len(found) < rank or not rank else None


def axes(name: str = "axis", default: Any = ...) -> Attribute:
    """Some axes, or None for all of them."""
    return Attribute(name, _axes, "int | tuple[int, ...] | None", default)


def flag(name: str, default: Any = ...) -> Attribute:
    """True or False."""
    return Attribute(name, lambda v, _: bool(v), "bool", default)


def number(name: str, default: Any = ...) -> Attribute:
    """A real number."""

    def normal(value: Any, _: tuple[Any, ...]) -> Any:
        small = not isinstance(value, int) or real_number(value) is not None
        if isinstance(value, bool) or not isinstance(value, int | float | Dim | Ratio) or not small:
            raise ConfigError(
                "a number is needed", expected="such as 0.5, up to 1.8e308", received=shown(value)
            )
        return value if isinstance(value, Spelled | Dim | Ratio | int) else float(value)

    return Attribute(name, normal, "float", default)


def integer(name: str, default: Any = ...) -> Attribute:
    """A whole number."""
    return Attribute(name, lambda v, _: whole(v, name), "int", default)


def size(name: str, default: Any = ...) -> Attribute:
    """A size: a whole number, or an expression in named sizes."""

    def normal(value: Any, _: tuple[Any, ...]) -> Size:
        return value if isinstance(value, Dim) else whole(value, name, 0)

    return Attribute(name, normal, "int", default)


def sizes(name: str, low: int = 0, default: Any = ...) -> Attribute:
    """Several sizes."""

    def normal(value: Any, _: tuple[Any, ...]) -> tuple[Size, ...]:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ConfigError(f"{name} must be a tuple of sizes", received=shown(value))
        return tuple([v if isinstance(v, Dim) else whole(v, name, low) for v in value])

    return Attribute(name, normal, "tuple[int, ...]", default)


def text(name: str, default: Any = ...) -> Attribute:
    """A text."""

    def normal(value: Any, _: tuple[Any, ...]) -> str:
        if not isinstance(value, str):
            raise ConfigError(f"{name} must be a text", received=shown(value))
        return value

    return Attribute(name, normal, "str", default)


def choice(name: str, options: Sequence[str], default: Any = ...) -> Attribute:
    """One of a few words."""

    def normal(value: Any, _: tuple[Any, ...]) -> str:
        if not isinstance(value, str) or value not in options:
            raise ConfigError(
                f"this {name} is not one of those there are",
                expected=", ".join(options),
                received=shown(value),
            )
        return value

    return Attribute(name, normal, "str", default)


def dtype(name: str = "dtype", default: Any = ...) -> Attribute:
    """The name of a kind of number."""

    def normal(value: Any, _: tuple[Any, ...]) -> str:
        if value not in DTYPES:
            raise DTypeError(
                "unknown dtype", expected="one of " + ", ".join(DTYPES), received=shown(value)
            )
        return str(value)

    return Attribute(name, normal, "str", default)


def data(name: str, annotation: str = "Any", default: Any = ...) -> Attribute:
    """Anything that the op's own rule checks."""
    return Attribute(name, lambda v, _: v, annotation, default)


def graph(name: str) -> Attribute:
    """A graph, such as the body of a loop."""

    def normal(value: Any, _: tuple[Any, ...]) -> Graph:
        if not isinstance(value, Graph):
            raise ConfigError(f"{name} must be a graph", received=shown(value))
        return value

    return Attribute(name, normal, "Graph")
