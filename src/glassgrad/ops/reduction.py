"""Ops that make fewer numbers out of many."""

from __future__ import annotations

from typing import Any

from glassgrad.errors import ShapeError
from glassgrad.ir import Op, Shape, Type, product

from . import index, movement
from .record import (
    Draw,
    Mistake,
    Sample,
    axes,
    axis,
    flag,
    need_float,
    unary_number,
)


def reduced_shape(shape: Shape, axis: tuple[int, ...] | None, keepdims: bool) -> Shape:
    """The shape left when axes are reduced."""
    gone = set(range(len(shape))) if axis is None else set(axis)
    if keepdims:
        return tuple([1 if i in gone else s for i, s in enumerate(shape)])
    return tuple([s for i, s in enumerate(shape) if i not in gone])


_UNSIGNED = ("uint8", "uint32")  # their sums need more room


def _kept_type(x: Type, *, axis: tuple[int, ...] | None, keepdims: bool) -> Type:
    unary_number(x)
    return Type(reduced_shape(x.shape, axis, keepdims), x.dtype)


def _sum_type(x: Type, *, axis: tuple[int, ...] | None, keepdims: bool) -> Type:
    found = _kept_type(x, axis=axis, keepdims=keepdims)
    return Type(found.shape, "int64") if x.dtype in _UNSIGNED else found


def _mean_type(x: Type, *, axis: tuple[int, ...] | None, keepdims: bool) -> Type:
    need_float(x)
    if count_over(x.shape, axis) == 0:
        raise ShapeError("no numbers to take the mean of", received=repr(x))
    return _sum_type(x, axis=axis, keepdims=keepdims)


def _stretch(g: Any, x: Any, axis: tuple[int, ...] | None, keepdims: bool) -> Any:
    """A reduced gradient, back in the shape of what was reduced."""
    if not keepdims and g.ndim != x.ndim and g.ndim:
        g = g.reshape(reduced_shape(x.shape, axis, keepdims=True))
    return movement.broadcast_to(g, shape=x.shape)


def _reduction_text(call: str) -> Any:
    def text(types: Any, attributes: dict[str, Any]) -> str:
        settings = []
        if attributes["axis"] is not None:
            axes = attributes["axis"]
            settings.append("axis=axis" if len(axes) > 1 or not axes else f"axis={axes[0]}")
        if attributes["keepdims"]:
            settings.append("keepdims=True")
        if call == "sum" and types[0].dtype in _UNSIGNED:
            settings.append("dtype=int64")
        return f"x.{call}({', '.join(settings)})"

    return text


_SAMPLES = (
    Sample((Draw(()),), {"axis": None, "keepdims": False}, "scalar"),
    Sample((Draw((4, 5)),), {"axis": None, "keepdims": False}, "all"),
    Sample((Draw((4, 5)),), {"axis": 0, "keepdims": False}, "rows"),
    Sample((Draw((4, 5)),), {"axis": -1, "keepdims": True}, "columns kept"),
    Sample((Draw((2, 3, 4)),), {"axis": (0, 2), "keepdims": False}, "two axes"),
    Sample((Draw((1, 3, 1)),), {"axis": (0, 2), "keepdims": True}, "size-1 axes"),
    Sample((Draw((3, 4), order="F"),), {"axis": 1, "keepdims": False}, "transposed"),
    Sample((Draw((5, 3), order="strided"),), {"axis": 0, "keepdims": False}, "strided"),
)
_EMPTY_RESULT = (Sample((Draw((2, 0)),), {"axis": 0, "keepdims": False}, "empty result"),)
_EMPTY = (Sample((Draw((0, 3)),), {"axis": 0, "keepdims": False}, "empty"), *_EMPTY_RESULT)

sum = Op(
    "sum",
    ("x",),
    (axes(default=None), flag("keepdims", False)),
    says="Sum over axes, all of them by default.",
    formula=r"\sum_i x_i",
    type_rule=_sum_type,
    vjp=(lambda g, y, x, axis, keepdims: _stretch(g, x, axis, keepdims),),
    numpy=_reduction_text("sum"),
    roles=frozenset({"reduction"}),
    family="reduction",
    samples=_SAMPLES + _EMPTY,
    errors=(Mistake((Type((3,), "bool"),), {"axis": None, "keepdims": False}, "no arithmetic"),),
)


def count_over(shape: Shape, axis: tuple[int, ...] | None) -> Any:
    """How many numbers a reduction over these axes takes together."""
    return product(shape) if axis is None else product(shape[a] for a in axis)


mean = Op(
    "mean",
    ("x",),
    (axes(default=None), flag("keepdims", False)),
    says="Mean over axes, all of them by default.",
    formula=r"\frac{1}{n} \sum_i x_i",
    type_rule=_mean_type,
    vjp=(
        lambda g, y, x, axis, keepdims: _stretch(g / count_over(x.shape, axis), x, axis, keepdims),
    ),
    numpy=_reduction_text("mean"),
    expand=lambda x, axis, keepdims: (
        sum(x, axis=axis, keepdims=keepdims) / count_over(x.shape, axis)
    ),
    roles=frozenset({"reduction", "composite"}),
    family="reduction",
    samples=_SAMPLES + _EMPTY_RESULT,
    errors=(
        Mistake((Type((3,), "int64"),), {"axis": None, "keepdims": False}, "real numbers"),
        Mistake((Type((0, 3), "float32"),), {"axis": (0,), "keepdims": False}, "no numbers"),
    ),
)


def _max_type(x: Type, *, axis: tuple[int, ...] | None, keepdims: bool) -> Type:
    if count_over(x.shape, axis) == 0:
        raise ShapeError("no numbers to take the largest of", received=repr(x))
    return _kept_type(x, axis=axis, keepdims=keepdims)


def _max_vjp(g: Any, y: Any, x: Any, axis: tuple[int, ...] | None, keepdims: bool) -> Any:
    """All of it to the first largest: axes go last, become one, and come back."""
    gone = tuple(range(x.ndim)) if axis is None else axis
    kept = tuple([a for a in range(x.ndim) if a not in gone])
    order = (*kept, *gone)
    outer, inner = [x.shape[a] for a in kept], [x.shape[a] for a in gone]
    rows = movement.permute(x, axes=order).reshape((*outer, product(inner)))
    placed = index.put_at(argmax(rows, axis=-1), g.reshape(tuple(outer)), size=product(inner))
    back = tuple([order.index(a) for a in range(x.ndim)])
    return movement.permute(placed.reshape((*outer, *inner)), axes=back)


max = Op(
    "max",
    ("x",),
    (axes(default=None), flag("keepdims", False)),
    says="Largest number over axes, all of them by default; a tie gives all to the first.",
    formula=r"\max_i x_i",
    type_rule=_max_type,
    vjp=(_max_vjp,),
    numpy=_reduction_text("max"),
    roles=frozenset({"reduction"}),
    family="reduction",
    kinks="two largest numbers are equal",
    samples=tuple(
        Sample(
            tuple(
                Draw(d.shape, kind="distinct", order=d.order)
                for d in s.operands
                if isinstance(d, Draw)
            ),
            s.attributes,
            s.about,
        )
        for s in _SAMPLES + _EMPTY_RESULT
    ),
    errors=(Mistake((Type((0, 3), "float32"),), {"axis": (0,), "keepdims": False}, "no numbers"),),
)


def _argmax_type(x: Type, *, axis: int) -> Type:
    if x.shape[axis] == 0:
        raise ShapeError("no numbers to take the largest of", received=repr(x))
    unary_number(x)
    return Type(reduced_shape(x.shape, (axis,), keepdims=False), "int64")


argmax = Op(
    "argmax",
    ("x",),
    (axis(default=-1),),
    says="Position of the first largest number along an axis.",
    formula=r"\operatorname{argmax}_i x_i",
    type_rule=_argmax_type,
    vjp=(None,),
    numpy="x.argmax(axis=axis)",
    roles=frozenset({"reduction"}),
    family="reduction",
    kinks="two largest numbers are equal",
    samples=(
        Sample((Draw((4, 5), kind="distinct"),), {"axis": 1}, "rows"),
        Sample((Draw((4, 5, 2), kind="distinct", order="F"),), {"axis": 0}, "transposed"),
        Sample((Draw((1, 1)),), {"axis": 1}, "size-1 axes"),
        Sample((Draw((0, 3)),), {"axis": 1}, "empty"),
    ),
    errors=(Mistake((Type((3, 0), "float32"),), {"axis": 1}, "no numbers"),),
)
