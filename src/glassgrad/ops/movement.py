"""Ops that move numbers and change none: the adjoint of each is among them."""

from __future__ import annotations

import builtins
from typing import Any

from glassgrad.errors import ConfigError, ShapeError, shown
from glassgrad.ir import Attribute, Dim, Op, Shape, Size, Type, broadcast, product

from .elementwise import constant
from .record import (
    Draw,
    Mistake,
    Sample,
    axes,
    axis,
    data,
    integer,
    number,
    one_dtype,
    sizes,
    whole,
)

_MOVEMENT = frozenset({"movement"})


# -- reshape ----------------------------------------------------------------------------------


def _reshape_type(x: Type, *, shape: Shape) -> Type:
    if product(shape) != product(x.shape):
        raise ShapeError(
            "the elements do not fill the new shape",
            expected=f"a shape of {product(x.shape)} elements",
            received=f"{x.shape} to {shape}",
        )
    return Type(shape, x.dtype)


def _normal_shape(value: Any, inputs: tuple[Any, ...]) -> Shape:
    given = tuple(value) if isinstance(value, tuple | list) else (value,)
    holes = [i for i, s in enumerate(given) if isinstance(s, int) and s == -1]
    if len(holes) > 1:
        raise ShapeError("more than one size is left open", received=str(given))
    if not holes:
        return tuple([s if isinstance(s, Dim) else whole(s, "a size", 0) for s in given])
    rest = product(s for s in given if not (isinstance(s, int) and s == -1))
    total = inputs[0].size
    if isinstance(rest, int) and (rest == 0 or (isinstance(total, int) and total % rest)):
        raise ShapeError(
            "the elements do not fill the new shape",
            expected=f"a multiple of {rest} elements",
            received=f"{inputs[0].shape} to {given}",
        )
    return tuple([total // rest if i in holes else s for i, s in enumerate(given)])


def _reshape_text(types: tuple[Type, ...], attributes: dict[str, Any]) -> str:
    (x,) = types
    if not x.shape:  # a single number may be a plain Python one, which has no methods
        return f"np.full(shape, x, {x.dtype})"
    return "x.ravel()" if len(attributes["shape"]) == 1 else "x.reshape(*shape)"


reshape = Op(
    "reshape",
    ("x",),
    (Attribute("shape", _normal_shape, "tuple[int, ...]"),),
    says="The same elements in another shape, in row-major order.",
    formula=r"x",
    type_rule=_reshape_type,
    vjp=(lambda g, y, x, shape: g.reshape(x.shape),),
    numpy=_reshape_text,
    result="view",
    roles=_MOVEMENT,
    family="movement",
    samples=(
        Sample((Draw((4, 6)),), {"shape": (2, 12)}, "matrix"),
        Sample((Draw(()),), {"shape": (1, 1)}, "scalar"),
        Sample((Draw((0, 3)),), {"shape": (3, 0)}, "empty"),
        Sample((Draw((2, 3, 4)),), {"shape": (-1, 4)}, "open size"),
        Sample((Draw((3, 4), order="F"),), {"shape": (12,)}, "transposed"),
        Sample((Draw((1, 5, 1)),), {"shape": (5,)}, "size-1 axes"),
    ),
    errors=(Mistake((Type((2, 3), "float32"),), {"shape": (4,)}, "do not fill"),),
)


def as_rows(x: Any) -> Any:
    """All axes but the last merged into one; also where a size is 0, which -1 cannot tell."""
    return x.reshape(product(x.shape[:-1]), x.shape[-1])


# -- permute ----------------------------------------------------------------------------------


def _permute_type(x: Type, *, axes: tuple[int, ...]) -> Type:
    if sorted(axes) != list(range(len(x.shape))):
        raise ShapeError(
            "not an order of the axes",
            expected=f"each of 0 to {len(x.shape) - 1} once",
            received=str(axes),
        )
    return Type(tuple([x.shape[a] for a in axes]), x.dtype)


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple([axes.index(i) for i in range(len(axes))])


def _permute_text(types: tuple[Type, ...], attributes: dict[str, Any]) -> str:
    axes: tuple[int, ...] = attributes["axes"]
    rank = len(axes)
    if axes == tuple(reversed(range(rank))):
        return "x.T"
    moved = [i for i, a in enumerate(axes) if i != a]
    if len(moved) == 2:
        first, second = moved
        if first == rank - 2:
            return "x.swapaxes(-1, -2)"
        return f"x.swapaxes({first}, {second})"
    return f"x.transpose({', '.join(map(str, axes))})"


def _normal_order(value: Any, inputs: tuple[Any, ...]) -> tuple[int, ...]:
    rank = len(inputs[0].shape)
    if not isinstance(value, tuple | list):
        raise ConfigError("an order of the axes is needed", received=shown(value))
    return tuple([whole(a, "an axis") % rank if rank else 0 for a in value])


permute: Op = Op(
    "permute",
    ("x",),
    (Attribute("axes", _normal_order, "tuple[int, ...]"),),
    says="The axes in another order.",
    formula=r"x^{\mathsf T}",
    type_rule=_permute_type,
    vjp=(lambda g, y, x, axes: permute(g, axes=_inverse(axes)),),
    numpy=_permute_text,
    result="view",
    roles=_MOVEMENT,
    family="movement",
    samples=(
        Sample((Draw((3, 4)),), {"axes": (1, 0)}, "transpose"),
        Sample((Draw((2, 3, 4)),), {"axes": (2, 0, 1)}, "rotate"),
        Sample((Draw((2, 3, 4)),), {"axes": (0, 2, 1)}, "last two"),
        Sample((Draw(()),), {"axes": ()}, "scalar"),
        Sample((Draw((0, 3)),), {"axes": (1, 0)}, "empty"),
        Sample((Draw((3, 1, 2), order="F"),), {"axes": (1, 0, 2)}, "non-contiguous, size-1"),
    ),
    errors=(Mistake((Type((2, 3), "float32"),), {"axes": (0, 0)}, "not an order"),),
)


# -- broadcast --------------------------------------------------------------------------------


def _broadcast_type(x: Type, *, shape: Shape) -> Type:
    if broadcast(x.shape, shape) != shape:
        raise ShapeError("cannot stretch to this shape", received=f"{x.shape} to {shape}")
    return Type(shape, x.dtype)


broadcast_to = Op(
    "broadcast_to",
    ("x",),
    (sizes("shape"),),
    says="The tensor stretched to a larger shape, nothing copied.",
    formula=r"x",
    type_rule=_broadcast_type,
    vjp=(lambda g, y, x, shape: g,),  # the walker sums over the stretched axes
    numpy="np.broadcast_to(x, shape)",
    result="view",
    roles=_MOVEMENT,
    family="movement",
    samples=(
        Sample((Draw(()),), {"shape": (2, 3)}, "scalar"),
        Sample((Draw((3,)),), {"shape": (2, 3)}, "row"),
        Sample((Draw((2, 1)),), {"shape": (2, 4)}, "column, size-1"),
        Sample((Draw((1, 3)),), {"shape": (0, 3)}, "to empty"),
        Sample((Draw((0, 1)),), {"shape": (2, 0, 3)}, "empty"),
        Sample((Draw((3, 2), order="F"),), {"shape": (2, 3, 2)}, "non-contiguous"),
    ),
    errors=(Mistake((Type((2,), "float32"),), {"shape": (3,)}, "do not broadcast"),),
)


def full(value: float, shape: Shape, dtype: str, writer: Any) -> Any:
    """One number everywhere, by the same hand as `writer`: in its graph, or an eager tensor."""
    return broadcast_to(writer.emit(constant, (), {"value": value, "dtype": dtype}), shape=shape)


def zeros(shape: Shape, dtype: str, writer: Any) -> Any:
    """Zeros, by the same hand as `writer`."""
    return full(0, shape, dtype, writer)


# -- slice and pad, each the adjoint of the other ----------------------------------------------

Span = tuple[Size, Size, int]  # start, stop, step: 0 <= start <= stop, step >= 1


def normal_span(cut: Any, size: Size) -> Span:
    """A Python slice as (start, stop, step) within an axis."""
    step = 1 if cut.step is None else whole(cut.step, "a step", 1)
    if isinstance(size, Dim):
        start = 0 if cut.start is None else cut.start
        stop = size if cut.stop is None else cut.stop
        start = size + start if isinstance(start, int) and start < 0 else start
        stop = size + stop if isinstance(stop, int) and stop < 0 else stop
        return (start, stop, step)
    start, stop, _ = builtins.slice(cut.start, cut.stop, step).indices(size)
    return (start, max(start, stop), step)


def one_span(position: int, size: Size) -> Span:
    """The span of a single position."""
    if isinstance(size, Dim):
        at: Size = size + position if position < 0 else position
        return (at, at + 1, 1)
    if not -size <= position < size:
        raise ShapeError(
            "an index outside the axis",
            expected=f"-{size} to {size - 1}" if size else "an axis that is not empty",
            received=str(position),
        )
    return (position % size, position % size + 1, 1)


def span_size(span: Span) -> Size:
    """How many positions a span has."""
    start, stop, step = span
    return stop - start if step == 1 else (stop - start + (step - 1)) // step


def _slice_type(x: Type, *, spans: tuple[Span, ...]) -> Type:
    if len(spans) != len(x.shape):
        raise ShapeError("one span for each axis is needed", received=f"{len(spans)} for {x}")
    for span, size in zip(spans, x.shape, strict=True):
        _check_span(span, size)
    return Type(tuple([span_size(s) for s in spans]), x.dtype)


def _check_span(span: Any, size: Size) -> None:
    good = isinstance(span, tuple) and len(span) == 3 and all(type(v) in (int, Dim) for v in span)
    if good:
        start, stop, step = span
        good = type(step) is int and step >= 1
        for room in (start, stop - start, size - stop):
            good = good and not (isinstance(room, int) and room < 0)
    if not good:
        raise ShapeError(
            "not a span of this axis",
            expected=f"(start, stop, step), 0 <= start <= stop <= {size}, step at least 1",
            received=shown(span),
        )


def _slice_text(types: tuple[Type, ...], attributes: dict[str, Any]) -> str:
    (x,) = types
    spans = list(zip(attributes["spans"], x.shape, strict=True))
    while len(spans) > 1 and spans[-1][0] == (0, spans[-1][1], 1):
        spans.pop()
    return f"x[{', '.join(_span_text(s, size) for s, size in spans) or '...'}]"


def _span_text(span: Span, size: Size) -> str:
    start, stop, step = span
    begin = "" if start == 0 else str(start)
    end = "" if stop == size else str(stop)
    return f"{begin}:{end}" + (f":{step}" if step != 1 else "")


def _slice_vjp(g: Any, y: Any, x: Any, spans: tuple[Span, ...]) -> Any:
    widths = []
    for (start, stop, step), size in zip(spans, x.shape, strict=True):
        if step == 1:
            widths.append((start, size - stop, 0))
        else:
            last = start + (span_size((start, stop, step)) - 1) * step + 1
            empty = span_size((start, stop, step)) == 0
            widths.append((start, size - start if empty else size - last, step - 1))
    return pad(g, widths=tuple(widths), value=0)


slice: Op = Op(
    "slice",
    ("x",),
    (data("spans", "tuple[tuple[int, int, int], ...]"),),
    says="A block of the tensor: (start, stop, step) for each axis.",
    formula=r"x_{a:b}",
    type_rule=_slice_type,
    vjp=(_slice_vjp,),
    numpy=_slice_text,
    result="view",
    roles=_MOVEMENT,
    family="movement",
    samples=(
        Sample((Draw((5, 6)),), {"spans": ((1, 4, 1), (0, 6, 1))}, "rows"),
        Sample((Draw((5, 6)),), {"spans": ((0, 5, 2), (1, 6, 3))}, "steps"),
        Sample((Draw((5,)),), {"spans": ((2, 2, 1),)}, "to empty"),
        Sample((Draw((5, 0)),), {"spans": ((1, 3, 1), (0, 0, 1))}, "empty"),
        Sample((Draw((1, 4)),), {"spans": ((0, 1, 1), (3, 4, 1))}, "size-1 axes"),
        Sample((Draw((4, 3), order="F"),), {"spans": ((1, 3, 1), (0, 2, 1))}, "transposed"),
        Sample((Draw(()),), {"spans": ()}, "scalar"),
    ),
    errors=(Mistake((Type((2, 3), "float32"),), {"spans": ((0, 1, 1),)}, "one span"),),
)

Width = tuple[Size, Size, int]  # before, after, between neighbours


def _pad_type(x: Type, *, widths: tuple[Width, ...], value: float) -> Type:
    if len(widths) != len(x.shape):
        raise ShapeError("widths for each axis are needed", received=f"{len(widths)} for {x}")
    for width in widths:
        if len(width) != 3 or any(type(w) not in (int, Dim) for w in width):
            raise ShapeError("a width is (before, after, between)", received=shown(width))
        if any(isinstance(w, int) and w < 0 for w in width) or isinstance(width[2], Dim):
            raise ShapeError("a width is negative", received=str(widths))
    return Type(tuple([_padded(s, w) for s, w in zip(x.shape, widths, strict=True)]), x.dtype)


def _padded(size: Size, width: Width) -> Size:
    before, after, between = width
    inner = size if between == 0 or size == 0 else (size - 1) * (between + 1) + 1
    return inner + before + after


def _pad_vjp(g: Any, y: Any, x: Any, widths: tuple[Width, ...], value: float) -> Any:
    spans = tuple(
        [
            (before, before if size == 0 else before + (size - 1) * (between + 1) + 1, between + 1)
            for size, (before, after, between) in zip(x.shape, widths, strict=True)
        ]
    )
    return slice(g, spans=spans)


def _pad_text(types: tuple[Type, ...], attributes: dict[str, Any]) -> tuple[str, ...]:
    (x,) = types
    places = []
    for size, (before, after, between) in zip(x.shape, attributes["widths"], strict=True):
        end = "" if after == 0 else f"{before + _padded(size, (0, 0, between))}"
        span = ("" if before == 0 else f"{before}") + ":" + end
        places.append(span + (f":{between + 1}" if between else ""))
    while len(places) > 1 and places[-1] == ":":
        places.pop()
    shape = tuple([_padded(s, w) for s, w in zip(x.shape, attributes["widths"], strict=True)])
    fill = attributes["value"]
    new = f"np.zeros({shape}, {x.dtype})" if fill == 0 else f"np.full({shape}, value, {x.dtype})"
    if not x.shape:
        return ("out = x.copy()",)
    return (f"out = {new}", f"out[{', '.join(places)}] = x")


pad = Op(
    "pad",
    ("x",),
    (data("widths", "tuple[tuple[int, int, int], ...]"), number("value", 0)),
    says="A border of one number: (before, after, between neighbours) for each axis.",
    formula=r"\operatorname{pad}(x)",
    type_rule=_pad_type,
    vjp=(_pad_vjp,),
    numpy=_pad_text,
    roles=_MOVEMENT,
    family="movement",
    samples=(
        Sample((Draw((2, 3)),), {"widths": ((1, 2, 0), (0, 0, 0)), "value": 0}, "rows"),
        Sample((Draw((2, 3)),), {"widths": ((0, 1, 1), (2, 0, 2)), "value": 1.5}, "between"),
        Sample((Draw((0, 3)),), {"widths": ((1, 1, 0), (0, 0, 0)), "value": 0}, "empty"),
        Sample((Draw((1, 1)),), {"widths": ((1, 1, 0), (1, 1, 0)), "value": 0}, "size-1 axes"),
        Sample((Draw((3, 2), order="F"),), {"widths": ((1, 0, 0), (0, 1, 0)), "value": 0}, "F"),
        Sample((Draw(()),), {"widths": (), "value": 0}, "scalar"),
    ),
    errors=(Mistake((Type((2,), "float32"),), {"widths": ((-1, 0, 0),), "value": 0}, "negative"),),
)


# -- concatenate ------------------------------------------------------------------------------


def _concatenate_type(*xs: Type, axis: int) -> Type:
    if not xs:
        raise ShapeError("nothing to join")
    first = xs[0]
    total: Size = 0
    for x in xs:
        if (
            len(x.shape) != len(first.shape)
            or x.shape[:axis] != first.shape[:axis]
            or x.shape[axis + 1 :] != first.shape[axis + 1 :]
        ):
            raise ShapeError(
                "the parts do not fit side by side",
                expected=f"equal sizes but along axis {axis}",
                received=" and ".join(str(t.shape) for t in xs),
            )
        total = x.shape[axis] + total
    return Type((*first.shape[:axis], total, *first.shape[axis + 1 :]), one_dtype(*xs))


def _concatenate_vjp(which: int, g: Any, y: Any, *xs: Any, axis: int) -> Any:
    start: Size = 0
    for x in xs[:which]:
        start = x.shape[axis] + start
    spans: list[Span] = [(0, s, 1) for s in xs[which].shape]
    spans[axis] = (start, xs[which].shape[axis] + start, 1)
    return slice(g, spans=tuple(spans))


def _concatenate_text(types: tuple[Type, ...], attributes: dict[str, Any]) -> str:
    where = f", axis={attributes['axis']}" if attributes["axis"] else ""
    return f"np.concatenate([*xs]{where})"


concatenate = Op(
    "concatenate",
    ("*xs",),
    (axis(default=0),),
    says="Tensors side by side along an axis.",
    formula=r"[x_1, x_2, \dots]",
    type_rule=_concatenate_type,
    vjp=(_concatenate_vjp,),
    numpy=_concatenate_text,
    roles=_MOVEMENT,
    family="movement",
    samples=(
        Sample((Draw((2, 3)), Draw((4, 3))), {"axis": 0}, "rows"),
        Sample((Draw((2, 3)), Draw((2, 1)), Draw((2, 2))), {"axis": 1}, "columns, size-1"),
        Sample((Draw((0, 3)), Draw((2, 3))), {"axis": 0}, "empty"),
        Sample((Draw((3,)),), {"axis": 0}, "one part"),
        Sample((Draw((3, 2), order="F"), Draw((3, 2))), {"axis": 1}, "non-contiguous"),
    ),
    errors=(
        Mistake((Type((2, 3), "float32"), Type((2, 4), "float32")), {"axis": 0}, "side by side"),
    ),
)


# -- flip and roll ----------------------------------------------------------------------------


def _flip_type(x: Type, *, axis: tuple[int, ...] | None) -> Type:
    return x


def _flip_text(types: tuple[Type, ...], attributes: dict[str, Any]) -> str:
    over: tuple[int, ...] | None = attributes["axis"]
    if over is None:
        return "np.flip(x)"
    return f"np.flip(x, axis={over[0] if len(over) == 1 else over})"


flip: Op = Op(
    "flip",
    ("x",),
    (axes(default=None),),
    says="The numbers in reverse order along axes, all of them by default.",
    formula=r"y_i = x_{n - 1 - i}",
    type_rule=_flip_type,
    vjp=(lambda g, y, x, axis: flip(g, axis=axis),),
    numpy=_flip_text,
    result="view",
    roles=_MOVEMENT,
    family="movement",
    samples=(
        Sample((Draw((4, 5)),), {"axis": None}, "all axes"),
        Sample((Draw((4, 5)),), {"axis": 0}, "rows"),
        Sample((Draw((2, 3, 4)),), {"axis": (0, -1)}, "two axes"),
        Sample((Draw(()),), {"axis": None}, "scalar"),
        Sample((Draw((0, 3)),), {"axis": 0}, "empty"),
        Sample((Draw((1, 5, 1)),), {"axis": 1}, "size-1 axes"),
        Sample((Draw((3, 4), order="F"),), {"axis": 1}, "non-contiguous"),
    ),
    errors=(Mistake((Type((2, 3), "float32"),), {"axis": (0, 0)}, "named twice"),),
)


def _roll_type(x: Type, *, shift: int, axis: int) -> Type:
    return x


roll: Op = Op(
    "roll",
    ("x",),
    (integer("shift"), axis(default=-1)),
    says="The numbers moved on along an axis; what leaves at the end comes in at the start.",
    formula=r"y_{(i + s) \bmod n} = x_i",
    type_rule=_roll_type,
    vjp=(lambda g, y, x, shift, axis: roll(g, shift=-shift, axis=axis),),
    numpy="np.roll(x, shift, axis=axis)",
    roles=_MOVEMENT,
    family="movement",
    samples=(
        Sample((Draw((4, 5)),), {"shift": 2, "axis": 1}, "rows"),
        Sample((Draw((4, 5)),), {"shift": -9, "axis": 0}, "back, more than once around"),
        Sample((Draw((0, 3)),), {"shift": 1, "axis": 0}, "empty"),
        Sample((Draw((1, 5, 1)),), {"shift": 3, "axis": 1}, "size-1 axes"),
        Sample((Draw((3, 4), order="F"),), {"shift": 1, "axis": 1}, "non-contiguous"),
    ),
    errors=(Mistake((Type((), "float32"),), {"shift": 1, "axis": 0}, "no such axis"),),
)
