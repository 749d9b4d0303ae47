"""Ops that make fewer numbers out of many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from glassgrad.errors import DTypeError, ShapeError
from glassgrad.ir import Op, Shape, Size, Type, product

from . import index, movement
from .elementwise import equal, exp, log, select, sqrt
from .naming import named
from .record import (
    Draw,
    Mistake,
    Sample,
    axes,
    axis,
    flag,
    integer,
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
        if call in ("sum", "prod") and types[0].dtype in _UNSIGNED:
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


# -- the largest and the smallest -------------------------------------------------------------


def _extreme_type(x: Type, *, axis: tuple[int, ...] | None, keepdims: bool) -> Type:
    if count_over(x.shape, axis) == 0:
        raise ShapeError("no numbers to choose from", received=repr(x))
    return _kept_type(x, axis=axis, keepdims=keepdims)


def _as_rows(x: Any, axis: tuple[int, ...] | None, work: Callable[[Any, Shape, Size], Any]) -> Any:
    """`work` on rows of what is reduced together, and its result in the shape of x again.

    The axes go last, become one, and come back.
    """
    gone = tuple(range(x.ndim)) if axis is None else axis
    kept = tuple([a for a in range(x.ndim) if a not in gone])
    order = (*kept, *gone)
    outer, inner = tuple([x.shape[a] for a in kept]), tuple([x.shape[a] for a in gone])
    rows = movement.permute(x, axes=order).reshape((*outer, product(inner)))
    found = work(rows, outer, product(inner))
    back = tuple([order.index(a) for a in range(x.ndim)])
    return movement.permute(found.reshape((*outer, *inner)), axes=back)


def _extreme(name: str, says: str, formula: str, position: Callable[[Any], Any]) -> Op:
    def vjp(g: Any, y: Any, x: Any, axis: tuple[int, ...] | None, keepdims: bool) -> Any:
        """All of it to the first of the largest, or smallest."""
        return _as_rows(
            x,
            axis,
            lambda rows, outer, count: index.put_at(position(rows), g.reshape(outer), size=count),
        )

    return Op(
        name,
        ("x",),
        (axes(default=None), flag("keepdims", False)),
        says=says,
        formula=formula,
        type_rule=_extreme_type,
        vjp=(vjp,),
        numpy=_reduction_text(name),
        roles=frozenset({"reduction"}),
        family="reduction",
        kinks="two of these numbers are equal",
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
        errors=(
            Mistake((Type((0, 3), "float32"),), {"axis": (0,), "keepdims": False}, "no numbers"),
        ),
    )


max = _extreme(
    "max",
    "Largest number over axes, all of them by default; a tie gives all to the first.",
    r"\max_i x_i",
    lambda rows: argmax(rows, axis=-1),
)
min = _extreme(
    "min",
    "Smallest number over axes, all of them by default; a tie gives all to the first.",
    r"\min_i x_i",
    lambda rows: argmin(rows, axis=-1),
)


def _position_type(x: Type, *, axis: int) -> Type:
    if x.shape[axis] == 0:
        raise ShapeError("no numbers to choose from", received=repr(x))
    unary_number(x)
    return Type(reduced_shape(x.shape, (axis,), keepdims=False), "int64")


def _position(name: str, says: str) -> Op:
    return Op(
        name,
        ("x",),
        (axis(default=-1),),
        says=says,
        formula=rf"\operatorname{{{name}}}_i x_i",
        type_rule=_position_type,
        vjp=(None,),
        numpy=f"x.{name}(axis=axis)",
        roles=frozenset({"reduction"}),
        family="reduction",
        kinks="two of these numbers are equal",
        samples=(
            Sample((Draw((4, 5), kind="distinct"),), {"axis": 1}, "rows"),
            Sample((Draw((4, 5, 2), kind="distinct", order="F"),), {"axis": 0}, "transposed"),
            Sample((Draw((1, 1)),), {"axis": 1}, "size-1 axes"),
            Sample((Draw((0, 3)),), {"axis": 1}, "empty"),
        ),
        errors=(Mistake((Type((3, 0), "float32"),), {"axis": 1}, "no numbers"),),
    )


argmax: Op = _position("argmax", "Position of the first largest number along an axis.")
argmin: Op = _position("argmin", "Position of the first smallest number along an axis.")

# -- products and running sums ----------------------------------------------------------------


_BLOCK = 32  # longer rows are cut: their table would take the square of their count


def _others(rows: Any, outer: Shape, count: Size) -> Any:
    """For each number of a row the product of the others.

    A table of rows in each of which another number is 1; of a long row one for each of its
    blocks, times the product of the other blocks.
    """
    if not isinstance(count, int) or count <= _BLOCK:
        place = index.positions(count, rows)
        own = equal(place.reshape(count, 1), place)
        return prod(select(own, 1.0, rows.reshape((*outer, 1, count))), axis=-1)
    blocks = -(-count // _BLOCK)
    beside = ((0, 0, 0),) * len(outer)
    if missing := blocks * _BLOCK - count:
        rows = movement.pad(rows, widths=(*beside, (0, missing, 0)), value=1.0)
    table = rows.reshape((*outer, blocks, _BLOCK))
    within = _others(table, (*outer, blocks), _BLOCK)
    beyond = _others(prod(table, axis=-1), outer, blocks)
    found = (within * beyond.reshape((*outer, blocks, 1))).reshape((*outer, blocks * _BLOCK))
    return movement.slice(found, spans=tuple([(0, s, 1) for s in (*outer, count)]))


def _prod_vjp(g: Any, y: Any, x: Any, axis: tuple[int, ...] | None, keepdims: bool) -> Any:
    """For each factor the product of the others, not y / x: factors may be 0."""
    return _as_rows(
        x,
        axis,
        lambda rows, outer, count: g.reshape((*outer, 1)) * _others(rows, outer, count),
    )


prod: Op = Op(
    "prod",
    ("x",),
    (axes(default=None), flag("keepdims", False)),
    says="Product over axes, all of them by default; its derivative is right where factors are 0.",
    formula=r"\prod_i x_i",
    type_rule=_sum_type,
    vjp=(_prod_vjp,),
    numpy=_reduction_text("prod"),
    roles=frozenset({"reduction"}),
    family="reduction",
    samples=(*_SAMPLES, *_EMPTY, Sample((Draw((3, 4), 0, 0),), {"axis": 1}, "zeros")),
    errors=(Mistake((Type((3,), "bool"),), {"axis": None, "keepdims": False}, "no arithmetic"),),
)


def _cumsum_type(x: Type, *, axis: int) -> Type:
    unary_number(x)
    return Type(x.shape, "int64") if x.dtype in _UNSIGNED else x


def _cumsum_text(types: tuple[Type, ...], attributes: dict[str, Any]) -> str:
    kind = ", dtype=int64" if types[0].dtype in _UNSIGNED else ""
    return f"np.cumsum(x, axis=axis{kind})"


def _cumsum_vjp(g: Any, y: Any, x: Any, axis: int) -> Any:
    """The sums of what comes at each place and after it."""
    return movement.flip(cumsum(movement.flip(g, axis=axis), axis=axis), axis=axis)


cumsum: Op = Op(
    "cumsum",
    ("x",),
    (axis(default=-1),),
    says="Running sums along an axis: each number and all before it.",
    formula=r"y_i = \sum_{j \le i} x_j",
    type_rule=_cumsum_type,
    vjp=(_cumsum_vjp,),
    numpy=_cumsum_text,
    roles=frozenset({"reduction"}),
    family="reduction",
    samples=(
        Sample((Draw((4, 5)),), {"axis": 1}, "rows"),
        Sample((Draw((4, 5)),), {"axis": 0}, "columns"),
        Sample((Draw((2, 3, 4)),), {"axis": 1}, "middle axis"),
        Sample((Draw((7,)),), {"axis": 0}, "vector"),
        Sample((Draw((0, 3)),), {"axis": 0}, "empty"),
        Sample((Draw((1, 4, 1)),), {"axis": 1}, "size-1 axes"),
        Sample((Draw((3, 4), order="F"),), {"axis": 1}, "non-contiguous"),
    ),
    errors=(Mistake((Type((3,), "bool"),), {"axis": 0}, "no arithmetic"),),
)

# -- spread -----------------------------------------------------------------------------------


def _var_type(x: Type, *, axis: tuple[int, ...] | None, correction: int, keepdims: bool) -> Type:
    need_float(x)
    count = count_over(x.shape, axis)
    if isinstance(count, int) and count <= correction:
        raise ShapeError(
            "too few numbers to tell how far they spread",
            expected=f"more than {correction}",
            received=repr(x),
            hint="correction=0 divides by their count",
        )
    return _kept_type(x, axis=axis, keepdims=keepdims)


def _centred(x: Any, axis: tuple[int, ...] | None) -> Any:
    return named(x - mean(x, axis=axis, keepdims=True), "centred")


def _var(x: Any, axis: tuple[int, ...] | None, correction: int, keepdims: bool) -> Any:
    squares = _centred(x, axis) ** 2
    return sum(squares, axis=axis, keepdims=keepdims) / (count_over(x.shape, axis) - correction)


def _var_vjp(
    g: Any, y: Any, x: Any, axis: tuple[int, ...] | None, correction: int, keepdims: bool
) -> Any:
    share = 2 * g / (count_over(x.shape, axis) - correction)
    return _stretch(share, x, axis, keepdims) * _centred(x, axis)


def _std_vjp(
    g: Any, y: Any, x: Any, axis: tuple[int, ...] | None, correction: int, keepdims: bool
) -> Any:
    share = g / (y * (count_over(x.shape, axis) - correction))
    return _stretch(share, x, axis, keepdims) * _centred(x, axis)


def _spread(name: str, says: str, formula: str, expand: Any, vjp: Any) -> Op:
    return Op(
        name,
        ("x",),
        (axes(default=None), integer("correction", 1), flag("keepdims", False)),
        says=says,
        formula=formula,
        type_rule=_var_type,
        vjp=(vjp,),
        expand=expand,
        roles=frozenset({"reduction", "composite"}),
        family="reduction",
        kinks="all numbers are equal" if name != "var" else "",
        samples=(
            Sample((Draw((4, 5)),), {"axis": None}, "all"),
            Sample((Draw((4, 5)),), {"axis": 0, "correction": 0}, "rows, not corrected"),
            Sample((Draw((4, 5)),), {"axis": -1, "keepdims": True}, "columns kept"),
            Sample((Draw((2, 3, 4)),), {"axis": (0, 2)}, "two axes"),
            Sample((Draw((1, 3, 1)),), {"axis": 1, "keepdims": True}, "size-1 axes"),
            Sample((Draw((2, 0)),), {"axis": 0}, "empty result"),
            Sample((Draw((3, 4), order="F"),), {"axis": 1}, "transposed"),
        ),
        errors=(
            Mistake((Type((3,), "int64"),), {}, "real numbers"),
            Mistake((Type((1, 3), "float32"),), {"axis": 0}, "too few numbers"),
        ),
    )


var = _spread(
    "var",
    "Mean square distance from the mean; the sum is divided by the count less the correction.",
    r"\frac{1}{n - c} \sum_i (x_i - \bar x)^2",
    _var,
    _var_vjp,
)
std = _spread(
    "standard_deviation",  # users call it std, and so do programs the one of a norm
    "Square root of var: how far numbers spread around their mean.",
    r"\sqrt{\frac{1}{n - c} \sum_i (x_i - \bar x)^2}",
    lambda x, axis, correction, keepdims: sqrt(
        var(x, axis=axis, correction=correction, keepdims=keepdims)
    ),
    _std_vjp,
)


def _logsumexp_type(x: Type, *, axis: tuple[int, ...] | None, keepdims: bool) -> Type:
    need_float(x)
    return _extreme_type(x, axis=axis, keepdims=keepdims)


def _logsumexp(x: Any, axis: tuple[int, ...] | None, keepdims: bool) -> Any:
    top = named(max(x, axis=axis, keepdims=True), "top")
    found = log(sum(exp(x - top), axis=axis, keepdims=True)) + top
    return found if keepdims else found.reshape(reduced_shape(x.shape, axis, keepdims))


logsumexp = Op(
    "logsumexp",
    ("x",),
    (axes(default=None), flag("keepdims", False)),
    says="Logarithm of the sum of exponentials over axes, accurate for any size of x.",
    formula=r"\ln \sum_i e^{x_i}",
    type_rule=_logsumexp_type,
    vjp=(
        lambda g, y, x, axis, keepdims: (
            _stretch(g, x, axis, keepdims) * exp(x - _stretch(y, x, axis, keepdims))
        ),
    ),
    expand=_logsumexp,
    roles=frozenset({"reduction", "composite"}),
    family="reduction",
    samples=_SAMPLES + _EMPTY_RESULT,
    errors=(
        Mistake((Type((3,), "int64"),), {"axis": None, "keepdims": False}, "real numbers"),
        Mistake((Type((0, 3), "float32"),), {"axis": (0,), "keepdims": False}, "no numbers"),
    ),
)

# -- truth values -----------------------------------------------------------------------------


def _truth_type(x: Type, *, axis: tuple[int, ...] | None, keepdims: bool) -> Type:
    if x.dtype != "bool":
        raise DTypeError(
            "truth values are needed",
            expected="bool",
            received=repr(x),
            hint="compare first: x > 0",
        )
    return Type(reduced_shape(x.shape, axis, keepdims), "bool")


def _truth(name: str, says: str, formula: str) -> Op:
    return Op(
        name,
        ("x",),
        (axes(default=None), flag("keepdims", False)),
        says=says,
        formula=formula,
        type_rule=_truth_type,
        vjp=(None,),
        numpy=_reduction_text(name),
        roles=frozenset({"reduction"}),
        family="reduction",
        samples=tuple(
            Sample(
                tuple(
                    Draw(d.shape, kind="bool", order=d.order)
                    for d in s.operands
                    if isinstance(d, Draw)
                ),
                s.attributes,
                s.about,
            )
            for s in _SAMPLES + _EMPTY
        ),
        errors=(Mistake((Type((3,), "float32"),), {"axis": None}, "truth values are needed"),),
    )


any = _truth("any", "Whether one of the values over axes holds.", r"\bigvee_i x_i")
all = _truth("all", "Whether all values over axes hold.", r"\bigwedge_i x_i")
