"""Ops that put numbers in order along an axis. Equal numbers keep the order they came in."""

from __future__ import annotations

from typing import Any

from glassgrad.errors import ShapeError
from glassgrad.ir import FLOATS, Op, Type

from . import movement
from .index import take_along_axis
from .record import Draw, Mistake, Sample, axis, flag, normal_axis, unary_number, whole


def _sort_type(x: Type, *, axis: int, descending: bool) -> Type:
    return unary_number(x)


def _argsort_type(x: Type, *, axis: int, descending: bool) -> Type:
    return Type(unary_number(x).shape, "int64")


def _last(x: Type, axis: int) -> str:
    return "" if axis == len(x.shape) - 1 else ", axis=axis"


def _sort_text(types: tuple[Type, ...], attributes: dict[str, Any]) -> str:
    (x,) = types
    text = f"np.sort(x{_last(x, attributes['axis'])})"
    return f"np.flip({text}, axis=axis)" if attributes["descending"] else text


def _argsort_text(types: tuple[Type, ...], attributes: dict[str, Any]) -> str:
    (x,) = types
    # Of whole numbers, ~x is -x - 1: the same order, and there is one for the smallest, too.
    falling = "-x" if x.dtype in FLOATS else "~x"
    key = falling if attributes["descending"] else "x"
    return f"np.argsort({key}{_last(x, attributes['axis'])}, kind='stable')"


def _sort_vjp(g: Any, y: Any, x: Any, axis: int, descending: bool) -> Any:
    """Each gradient goes back to where its number came from: the inverse of the order."""
    order = argsort(x, axis=axis, descending=descending)
    return take_along_axis(g, argsort(order, axis=axis), axis=axis)


_SAMPLES = tuple(
    Sample((Draw(shape, kind="distinct", order=order),), {"axis": a, "descending": falling}, about)
    for shape, a, falling, about, order in (
        ((4, 5), -1, False, "rows", "C"),
        ((4, 5), 0, True, "columns, falling", "C"),
        ((2, 3, 4), 1, False, "middle axis", "C"),
        ((7,), 0, True, "vector, falling", "C"),
        ((1, 4, 1), 1, False, "size-1 axes", "C"),
        ((0, 3), 1, False, "empty", "C"),
        ((3, 4), -1, False, "non-contiguous", "F"),
    )
)
_ERRORS = (Mistake((Type((3,), "bool"),), {"axis": 0, "descending": False}, "no arithmetic"),)

argsort: Op = Op(
    "argsort",
    ("x",),
    (axis(default=-1), flag("descending", False)),
    says="The positions that put numbers in order along an axis; equal numbers keep theirs.",
    formula=r"k \text{ with } x_{k_1} \le x_{k_2} \le \dots",
    type_rule=_argsort_type,
    vjp=(None,),
    numpy=_argsort_text,
    family="order",
    kinks="two numbers are equal",
    samples=_SAMPLES,
    errors=_ERRORS,
)
sort = Op(
    "sort",
    ("x",),
    (axis(default=-1), flag("descending", False)),
    says="The numbers along an axis in order, the smallest first unless descending.",
    formula=r"x_{k_1} \le x_{k_2} \le \dots",
    type_rule=_sort_type,
    vjp=(_sort_vjp,),
    numpy=_sort_text,
    expand=lambda x, axis, descending: take_along_axis(
        x, argsort(x, axis=axis, descending=descending), axis=axis
    ),
    roles=frozenset({"composite"}),
    family="order",
    kinks="two numbers are equal",
    samples=_SAMPLES,
    errors=_ERRORS,
)


def topk(x: Any, k: int, axis: int = -1, largest: bool = True) -> tuple[Any, Any]:
    """The k largest (or smallest) numbers along an axis, in order, and their positions."""
    axis = normal_axis(axis, x.ndim)
    count, size = whole(k, "k", 0), x.shape[axis]
    if isinstance(size, int) and count > size:
        raise ShapeError(
            "there are not so many numbers",
            where="topk",
            expected=f"k from 0 to {size}",
            received=str(count),
        )
    order = argsort(x, axis=axis, descending=bool(largest))
    spans = tuple([(0, count if a == axis else s, 1) for a, s in enumerate(x.shape)])
    first = movement.slice(order, spans=spans)
    return take_along_axis(x, first, axis=axis), first
