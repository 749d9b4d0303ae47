"""Ops that read and write at positions. Positions are int64 and must lie inside the axis.

take / add_at work with rows, pick / put_at with one number of each row, take_along_axis /
add_along_axis with any numbers along an axis: three adjoint pairs.
"""

from __future__ import annotations

from typing import Any

from glassgrad.errors import DTypeError, ShapeError
from glassgrad.ir import Op, Size, Type

from .elementwise import cast, equal, select
from .movement import zeros
from .record import Draw, Mistake, Sample, axis, dtype, integer, one_dtype, size


def _arange_type(*, size: Size) -> Type:
    return Type((size,), "int64")


arange = Op(
    "arange",
    (),
    (size("size"),),
    says="The whole numbers from 0 on, as many as asked for, such as the positions of an axis.",
    formula=r"y_i = i",
    type_rule=_arange_type,
    numpy="np.arange(size)",
    family="index",
)


def positions(size: Size, writer: Any) -> Any:
    """0, 1, ..., size - 1, written by the same hand as `writer`."""
    return writer.emit(arange, (), {"size": size})


def _positions(index: Type) -> None:
    if index.dtype != "int64":
        raise DTypeError(
            "positions must be whole numbers",
            expected="int64",
            received=repr(index),
            hint='labels and tokens are int64: y.astype("int64")',
        )


def _take_type(x: Type, index: Type) -> Type:
    _positions(index)
    if not x.shape:
        raise ShapeError("a scalar has no rows to take", received=repr(x))
    return Type((*index.shape, *x.shape[1:]), x.dtype)


def _add_at_type(x: Type, index: Type, values: Type) -> Type:
    _positions(index)
    one_dtype(x, values)
    if not x.shape or values.shape != (*index.shape, *x.shape[1:]):
        raise ShapeError(
            "one row of values for each position is needed",
            expected=f"values {(*index.shape, *x.shape[1:])}",
            received=f"{x}, positions {index.shape}, values {values.shape}",
        )
    return x


def _rows(shape: tuple[int, ...], index: tuple[int, ...], order: str = "C") -> tuple[Draw, Draw]:
    return Draw(shape, order=order), Draw(index, 0, max(shape[0], 1), kind="int")


_TAKES = (
    ((5, 3), (4,), "rows"),
    ((5, 3), (2, 4), "table of positions"),
    ((5,), (3,), "vector"),
    ((5, 3), (), "one position"),
    ((1, 1), (3,), "size-1 axes, repeated"),
    ((5, 3), (0,), "empty"),
)

take = Op(
    "take",
    ("x", "index"),
    (),
    says="Rows of a tensor at positions, as an embedding looks up its table.",
    formula=r"y_i = x_{k_i}",
    type_rule=_take_type,
    vjp=(lambda g, y, x, index: add_at(zeros(x.shape, x.dtype, g), index, g), None),
    # One position gives a view, and a result must be the op's own.
    numpy=lambda types, _: "x[index]" if types[1].shape else "x[index].copy()",
    family="index",
    samples=(
        *(Sample(_rows(shape, index), about=about) for shape, index, about in _TAKES),
        Sample(_rows((5, 3), (4,), "F"), about="non-contiguous"),
    ),
    errors=(Mistake((Type((3,), "float32"), Type((2,), "float32")), {}, "whole numbers"),),
)
add_at: Op = Op(
    "add_at",
    ("x", "index", "values"),
    (),
    says="x with rows of values added at positions; a repeated position adds up.",
    formula=r"y = x + \sum_i e_{k_i} v_i^{\mathsf T}",
    type_rule=_add_at_type,
    vjp=(lambda g, y, x, index, values: g, None, lambda g, y, x, index, values: take(g, index)),
    numpy=("out = x.copy()", "add_at(out, index, values)"),
    roles=frozenset({"inplace"}),
    family="index",
    samples=tuple(
        Sample((*_rows(shape, index, order), Draw((*index, *shape[1:]), order=order)), about=about)
        for shape, index, about, order in (
            *[(*case, "C") for case in _TAKES],
            ((5, 3), (4,), "non-contiguous", "F"),
        )
    ),
    errors=(
        Mistake(
            (Type((3, 2), "float32"), Type((4,), "int64"), Type((4, 3), "float32")), {}, "one row"
        ),
    ),
)


def _pick_type(x: Type, index: Type) -> Type:
    _positions(index)
    if not x.shape or index.shape != x.shape[:-1]:
        raise ShapeError(
            "one position for each row is needed",
            expected=f"positions {x.shape[:-1]}",
            received=f"positions {index.shape} for {x.shape}",
        )
    return Type(index.shape, x.dtype)


def _put_type(index: Type, values: Type, *, size: int) -> Type:
    _positions(index)
    if values.shape != index.shape:
        raise ShapeError(
            "one value for each position is needed", received=f"{index.shape}, {values.shape}"
        )
    return Type((*index.shape, size), values.dtype)


def _place(types: tuple[Type, ...], array: str, index: Type) -> str:
    rank = len(index.shape)
    if rank == 0:
        return f"{array}[index]"
    if rank == 1:
        return f"{array}[np.arange({index.shape[0]}), index]"
    return f"{array}[*np.indices({index.shape}), index]"


_PICKS: tuple[tuple[tuple[int, ...], str], ...] = (
    ((4, 3), "rows"),
    ((2, 3, 4), "table of rows"),
    ((5,), "vector"),
    ((1, 1), "size-1 axes"),
    ((0, 3), "empty"),
)

pick = Op(
    "pick",
    ("x", "index"),
    (),
    says="Of each row, the number at its position, as cross-entropy reads the right class.",
    formula=r"y_i = x_{i, k_i}",
    type_rule=_pick_type,
    vjp=(lambda g, y, x, index: put_at(index, g, size=x.shape[-1]), None),
    numpy=lambda types, a: _place(types, "x", types[1]),
    family="index",
    samples=(
        *(
            Sample((Draw(shape), Draw(shape[:-1], 0, shape[-1], kind="int")), about=about)
            for shape, about in _PICKS
        ),
        Sample((Draw((4, 3), order="F"), Draw((4,), 0, 3, kind="int")), about="non-contiguous"),
    ),
    errors=(Mistake((Type((3, 2), "float32"), Type((4,), "int64")), {}, "one position"),),
)
put_at: Op = Op(
    "put_at",
    ("index", "values"),
    (size("size"),),
    says="Rows of zeros with one value each at its position: the adjoint of pick.",
    formula=r"y_{i,j} = v_i\,[j = k_i]",
    type_rule=_put_type,
    vjp=(None, lambda g, y, index, values, size: pick(g, index)),
    numpy=lambda types, a: (
        f"out = np.zeros({(*types[0].shape, a['size'])}, {types[1].dtype})",
        f"{_place(types, 'out', types[0])} = values",
    ),
    family="index",
    samples=tuple(
        Sample(
            (Draw(shape[:-1], 0, shape[-1], kind="int"), Draw(shape[:-1], order=order)),
            {"size": shape[-1]},
            about,
        )
        for shape, about, order in (
            *[(*case, "C") for case in _PICKS],
            ((3, 4, 2), "non-contiguous", "F"),
        )
    ),
    errors=(Mistake((Type((3,), "int64"), Type((4,), "float32")), {"size": 2}, "one value"),),
)


def _subtract_type(x: Type, index: Type) -> Type:
    _pick_type(x, index)
    return x


subtract_one_at = Op(
    "subtract_one_at",
    ("x", "index"),
    (),
    says="Each row less 1 at its position: probabilities less the right answer.",
    formula=r"y_{i,j} = x_{i,j} - [j = k_i]",
    type_rule=_subtract_type,
    vjp=(lambda g, y, x, index: g, None),
    numpy=lambda types, a: ("out = x.copy()", f"{_place(types, 'out', types[1])} -= 1"),
    roles=frozenset({"inplace"}),
    family="index",
    samples=pick.samples,
    errors=pick.errors,
)


# -- along an axis ----------------------------------------------------------------------------


def _along_type(x: Type, index: Type, *, axis: int) -> Type:
    _positions(index)
    rest = (*x.shape[:axis], *x.shape[axis + 1 :])
    if len(index.shape) != len(x.shape) or rest != (*index.shape[:axis], *index.shape[axis + 1 :]):
        raise ShapeError(
            "the positions do not fit",
            expected=f"positions {x.shape}, of any size along axis {axis}",
            received=f"positions {index.shape}",
        )
    return Type(index.shape, x.dtype)


def _add_along_type(index: Type, values: Type, *, size: Size, axis: int) -> Type:
    _put_type(index, values, size=0)
    return Type((*index.shape[:axis], size, *index.shape[axis + 1 :]), values.dtype)


def _add_along_text(types: tuple[Type, ...], attributes: dict[str, Any]) -> tuple[str, ...]:
    sizes, along = types[0].shape, attributes["axis"]
    places = [
        "index"
        if i == along
        else f"np.arange({s})" + f"[:{', None' * (len(sizes) - 1 - i)}]" * (i + 1 < len(sizes))
        for i, s in enumerate(sizes)
    ]
    shape = (*sizes[:along], attributes["size"], *sizes[along + 1 :])
    return (
        f"out = np.zeros({shape}, {types[1].dtype})",
        f"np.add.at(out, ({', '.join(places)},), values)",
    )


_ALONG: tuple[tuple[tuple[int, ...], int, int, str, str], ...] = (
    ((4, 3), 1, 5, "rows", "C"),
    ((4, 3), 0, 2, "columns", "C"),
    ((2, 3, 4), 1, 2, "middle axis", "C"),
    ((5,), 0, 7, "vector", "C"),
    ((1, 1), 0, 3, "size-1 axes", "C"),
    ((0, 3), 1, 2, "empty", "C"),
    ((3, 4), -1, 3, "non-contiguous", "F"),
)


def _along(shape: tuple[int, ...], axis: int, count: int) -> Draw:
    index = list(shape)
    index[axis] = count
    return Draw(tuple(index), 0, shape[axis], kind="int")


take_along_axis: Op = Op(
    "take_along_axis",
    ("x", "index"),
    (axis(default=-1),),
    says="Along an axis, the numbers at positions, which differ from row to row.",
    formula=r"y_{i,j} = x_{i, k_{i,j}}",
    type_rule=_along_type,
    vjp=(
        lambda g, y, x, index, axis: add_along_axis(index, g, size=x.shape[axis], axis=axis),
        None,
    ),
    numpy="np.take_along_axis(x, index, axis=axis)",
    family="index",
    samples=tuple(
        Sample((Draw(shape, order=order), _along(shape, a, count)), {"axis": a}, about)
        for shape, a, count, about, order in _ALONG
    ),
    errors=(
        Mistake((_REALS := Type((3, 2), "float32"), Type((4, 2), "int64")), {"axis": 1}, "not fit"),
        Mistake((_REALS, _REALS), {"axis": 1}, "whole numbers"),
    ),
)
add_along_axis: Op = Op(
    "add_along_axis",
    ("index", "values"),
    (size("size"), axis(default=-1)),
    says="Zeros with values added at positions along an axis: the adjoint of take_along_axis.",
    formula=r"y_{i,l} = \sum_j v_{i,j}\,[l = k_{i,j}]",
    type_rule=_add_along_type,
    vjp=(None, lambda g, y, index, values, size, axis: take_along_axis(g, index, axis=axis)),
    numpy=_add_along_text,
    family="index",
    samples=tuple(
        Sample(
            (_along(shape, a, count), Draw(_along(shape, a, count).shape, order=order)),
            {"size": shape[a], "axis": a},
            about,
        )
        for shape, a, count, about, order in _ALONG
    ),
    errors=(
        Mistake(
            (Type((3, 2), "int64"), Type((3, 4), "float32")), {"size": 2, "axis": 1}, "one value"
        ),
    ),
)

# -- made of comparisons ----------------------------------------------------------------------


def _one_hot_type(index: Type, *, classes: Size, dtype: str) -> Type:
    _positions(index)
    return Type((*index.shape, classes), dtype)


def _one_hot(index: Any, classes: Size, dtype: str) -> Any:
    here = equal(index.reshape((*index.shape, 1)), positions(classes, index))
    return cast(here, dtype=dtype)


one_hot = Op(
    "one_hot",
    ("index",),
    (size("classes"), dtype(default="float32")),
    says="A row for each position, 1 there and 0 elsewhere.",
    formula=r"y_{i,j} = [j = k_i]",
    type_rule=_one_hot_type,
    expand=_one_hot,
    roles=frozenset({"composite"}),
    family="index",
    samples=tuple(
        Sample((Draw(shape, 0, 3, kind="int", order=order),), {"classes": 3, "dtype": kind}, about)
        for shape, kind, about, order in (
            ((4,), "float32", "labels", "C"),
            ((2, 5), "float64", "table", "C"),
            ((), "float32", "scalar", "C"),
            ((0,), "int64", "empty", "C"),
            ((1, 1), "bool", "size-1 axes", "C"),
            ((3, 2), "float32", "non-contiguous", "F"),
        )
    ),
    errors=(Mistake((Type((3,), "float32"),), {"classes": 3}, "whole numbers"),),
)


def _triangle_type(x: Type, *, diagonal: int) -> Type:
    if len(x.shape) < 2:
        raise ShapeError("a triangle of a matrix needs a matrix", received=repr(x))
    return x


def _triangle(name: str, side: str, formula: str, keeps: Any) -> Op:
    def expand(x: Any, diagonal: int) -> Any:
        rows, columns = x.shape[-2:]
        kept = keeps(positions(columns, x), positions(rows, x).reshape(rows, 1) + diagonal)
        return select(kept, x, False if x.dtype == "bool" else 0)

    def vjp(g: Any, y: Any, x: Any, diagonal: int) -> Any:
        return op(g, diagonal=diagonal)

    op = Op(
        name,
        ("x",),
        (integer("diagonal", 0),),
        says=f"Matrices with zeros {side} a diagonal: 0 the main one, above it from 1 on.",
        formula=formula,
        type_rule=_triangle_type,
        vjp=(vjp,),
        numpy=f"np.{name}(x, diagonal)",
        expand=expand,
        roles=frozenset({"composite"}),
        family="movement",
        samples=tuple(
            Sample((Draw(shape, order=order),), {"diagonal": d}, about)
            for shape, d, about, order in (
                ((4, 5), 0, "main diagonal", "C"),
                ((5, 4), -1, "below", "C"),
                ((2, 3, 3), 1, "batch, above", "C"),
                ((0, 3, 2), 0, "empty", "C"),
                ((1, 1), 0, "size-1 axes", "C"),
                ((3, 4), 0, "non-contiguous", "F"),
            )
        ),
        errors=(Mistake((Type((3,), "float32"),), {"diagonal": 0}, "needs a matrix"),),
    )
    return op


tril = _triangle("tril", "above", r"x_{ij}\,[j \le i + k]", lambda columns, rows: columns <= rows)
triu = _triangle("triu", "below", r"x_{ij}\,[j \ge i + k]", lambda columns, rows: columns >= rows)
