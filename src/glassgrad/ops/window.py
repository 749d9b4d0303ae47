"""Ops on windows that slide over images (n, channels, *size): patches as columns, pooling.

Each comes with its adjoint: columns / uncolumns, max_unpool / max_pick, mean_pool / mean_unpool.
"""

from __future__ import annotations

from typing import Any

from glassgrad.errors import ShapeError
from glassgrad.ir import Op, Shape, Size, Type, product

from .record import Draw, Mistake, Sample, need_float, one_dtype, sizes

_Ints = tuple[int, ...]


def output_size(
    image: Shape, kernel: Shape, stride: _Ints, padding: _Ints, dilation: _Ints
) -> Shape:
    """How many windows fit along each axis: (size + 2p - d(k - 1) - 1) // s + 1."""
    found: list[Size] = []
    for size, k, s, p, d in zip(image, kernel, stride, padding, dilation, strict=True):
        room = size + 2 * p - d * (k - 1) - 1
        if isinstance(room, int) and room < 0:
            raise ShapeError(
                "the window is larger than the image",
                expected=f"at least {d * (k - 1) + 1} along each axis",
                received=f"image {image}, window {kernel}, padding {padding}",
            )
        found.append(room // s + 1)
    return tuple(found)


def _spatial(x: Type, kernel: _Ints, stride: _Ints, dilation: _Ints | None = None) -> Shape:
    need_float(x)
    count = len(x.shape) - 2
    if count < 1 or len(kernel) != count or len(stride) != count:
        raise ShapeError(
            "windows and images have different ranks",
            expected="images (n, channels, *size), one window size for each of *size",
            received=f"images {x.shape}, window {kernel}, stride {stride}",
        )
    return output_size(x.shape[2:], kernel, stride, (0,) * count, dilation or (1,) * count)


_WINDOW = (sizes("kernel", 1), sizes("stride", 1))
_F = "float32"

# -- patches as columns -----------------------------------------------------------------------


def _columns_type(x: Type, *, kernel: _Ints, stride: _Ints, dilation: _Ints) -> Type:
    size = _spatial(x, kernel, stride, dilation)
    return Type((x.shape[0], x.shape[1] * product(kernel), product(size)), x.dtype)


def _uncolumns_type(
    cols: Type, *, shape: Shape, kernel: _Ints, stride: _Ints, dilation: _Ints
) -> Type:
    x = Type((cols.shape[0], *shape), cols.dtype)
    if _columns_type(x, kernel=kernel, stride=stride, dilation=dilation) != cols:
        raise ShapeError("these columns do not come from such images", received=f"{cols}, {x}")
    return x


_IMAGES = (
    ((2, 3, 7), (3,), (1,), (1,), "1-d"),
    ((2, 2, 6, 5), (3, 2), (1, 1), (1, 1), "2-d"),
    ((2, 2, 7, 6), (2, 2), (2, 2), (1, 1), "stride"),
    ((1, 1, 7, 7), (2, 3), (1, 2), (3, 1), "dilation, size-1"),
    ((2, 2, 4, 3, 5), (2, 1, 2), (1, 2, 2), (1, 1, 2), "3-d"),
    ((0, 2, 4, 4), (2, 2), (2, 2), (1, 1), "empty"),
)


def _columns_samples(adjoint: bool) -> tuple[Sample, ...]:
    found = []
    for shape, kernel, stride, dilation, about in _IMAGES:
        settings: dict[str, Any] = {"kernel": kernel, "stride": stride, "dilation": dilation}
        draw = Draw(shape)
        if adjoint:
            cols = _columns_type(Type(shape, "float64"), **settings).shape
            draw = Draw(tuple([int(s) for s in cols]))
            settings = {"shape": shape[1:], **settings}
        found.append(Sample((draw,), settings, about))
    first = found[1].operands[0]
    assert isinstance(first, Draw)
    found.append(Sample((Draw(first.shape, order="F"),), found[1].attributes, "non-contiguous"))
    return tuple(found)


columns = Op(
    "columns",
    ("x",),
    (*_WINDOW, sizes("dilation", 1)),
    says="Every window of the images as one column: (n, c, *size) to (n, c k, windows).",
    formula=r"X_{(c,k),\,p} = x_{c,\,s p + d k}",
    type_rule=_columns_type,
    vjp=(
        lambda g, y, x, kernel, stride, dilation: uncolumns(
            g, shape=x.shape[1:], kernel=kernel, stride=stride, dilation=dilation
        ),
    ),
    numpy="columns(x, kernel, stride, dilation)",
    family="window",
    samples=_columns_samples(adjoint=False),
    errors=(
        Mistake(
            (Type((1, 1, 2, 2), _F),),
            {"kernel": (3, 3), "stride": (1, 1), "dilation": (1, 1)},
            "larger than the image",
        ),
    ),
)
uncolumns: Op = Op(
    "uncolumns",
    ("cols",),
    (sizes("shape"), *_WINDOW, sizes("dilation", 1)),
    says="Every column added back where it came from: the adjoint of columns.",
    formula=r"x_{c,q} = \sum_{p,k:\,s p + d k = q} X_{(c,k),\,p}",
    type_rule=_uncolumns_type,
    vjp=(
        lambda g, y, cols, shape, kernel, stride, dilation: columns(
            g, kernel=kernel, stride=stride, dilation=dilation
        ),
    ),
    numpy=lambda types, a: (
        f"uncolumns(cols, {(types[0].shape[0], *a['shape'])}, kernel, stride, dilation)"
    ),
    family="window",
    samples=_columns_samples(adjoint=True),
    errors=(
        Mistake(
            (Type((1, 4, 5), _F),),
            {"shape": (1, 3, 3), "kernel": (2, 2), "stride": (1, 1), "dilation": (1, 1)},
            "do not come from",
        ),
    ),
)

# -- largest of each window --------------------------------------------------------------------


def _pool_type(x: Type, *, kernel: _Ints, stride: _Ints) -> Type:
    return Type((*x.shape[:2], *_spatial(x, kernel, stride)), x.dtype)


def _unpool_type(d: Type, x: Type, y: Type, *, kernel: _Ints, stride: _Ints) -> Type:
    one_dtype(d, x, y)
    if d.shape != y.shape or _pool_type(x, kernel=kernel, stride=stride) != y:
        raise ShapeError("not the pooling of these images", received=f"{d}, {x}, {y}")
    return x


def _pick_type(v: Type, x: Type, y: Type, *, kernel: _Ints, stride: _Ints) -> Type:
    one_dtype(v, x, y)
    if v.shape != x.shape or _pool_type(x, kernel=kernel, stride=stride) != y:
        raise ShapeError("not the pooling of these images", received=f"{v}, {x}, {y}")
    return y


POOLS: tuple[tuple[_Ints, _Ints, _Ints, str], ...] = (
    ((2, 3, 8), (2,), (2,), "1-d"),
    ((2, 2, 6, 4), (2, 2), (2, 2), "2-d"),
    ((2, 1, 7, 7), (3, 3), (2, 2), "overlapping, size-1"),
    ((1, 2, 7, 5), (2, 2), (3, 2), "gaps and a rest"),
    ((2, 2, 4, 3, 5), (2, 1, 2), (2, 2, 1), "3-d"),
    ((0, 2, 4, 4), (2, 2), (2, 2), "empty"),
)


def _pool_samples(kind: str) -> tuple[Sample, ...]:
    return tuple(
        Sample((Draw(shape, kind=kind, order=order),), {"kernel": k, "stride": s}, about + tail)
        for order, tail in (("C", ""), ("F", ", non-contiguous"))
        for shape, k, s, about in POOLS
    )


def _pooled_shape(shape: _Ints, kernel: _Ints, stride: _Ints) -> _Ints:
    pooled = _pool_type(Type(shape, "float64"), kernel=kernel, stride=stride)
    return tuple([int(s) for s in pooled.shape])


def _pooled_samples(first: str) -> tuple[Sample, ...]:
    """Gradients d of the pooled images, or images v: each with images x and their pooling y."""
    found = []
    for order, tail in (("C", ""), ("F", ", non-contiguous")):
        for shape, k, s, about in POOLS:
            pooled = _pooled_shape(shape, k, s)
            operands = (
                Draw(pooled if first == "d" else shape, order=order),
                Draw(shape, kind="distinct", order=order),
                Draw(pooled, kind="pooled", order=order),
            )
            found.append(Sample(operands, {"kernel": k, "stride": s}, about + tail))
    return tuple(found)


_X, _Y = Type((1, 1, 4), _F), Type((1, 1, 2), _F)

max_pool = Op(
    "max_pool",
    ("x",),
    _WINDOW,
    says="The largest number of each window; a tie gives the derivative to the first.",
    formula=r"y_p = \max_k x_{s p + k}",
    type_rule=_pool_type,
    vjp=(lambda g, y, x, kernel, stride: max_unpool(g, x, y, kernel=kernel, stride=stride),),
    numpy="max_pool(x, kernel, stride)",
    family="window",
    kinks="two largest numbers of a window are equal",
    samples=_pool_samples("distinct"),
    errors=(
        Mistake((Type((1, 1, 2), _F),), {"kernel": (3,), "stride": (1,)}, "larger than"),
        Mistake((Type((1, 1, 4, 4), _F),), {"kernel": (2,), "stride": (2,)}, "different ranks"),
    ),
)
max_unpool: Op = Op(
    "max_unpool",
    ("d", "x", "y"),
    _WINDOW,
    says="Gradient of max pooling y of x: each window's first largest number takes all of it.",
    formula=r"\bar x_q = \sum_{p:\,\operatorname{argmax}_p = q} \bar y_p",
    type_rule=_unpool_type,
    vjp=(
        lambda h, out, d, x, y, kernel, stride: max_pick(h, x, y, kernel=kernel, stride=stride),
        None,
        None,
    ),
    numpy="unpool(d, x, y, kernel, stride)",
    family="window",
    kinks="two largest numbers of a window are equal",
    samples=_pooled_samples("d"),
    errors=(Mistake((_Y, _X, _X), {"kernel": (2,), "stride": (2,)}, "not the pooling"),),
)
max_pick: Op = Op(
    "max_pick",
    ("v", "x", "y"),
    _WINDOW,
    says="Of v, the number at each window's first largest in x: the adjoint of max_unpool.",
    formula=r"y_p = v_{\operatorname{argmax}_p}",
    type_rule=_pick_type,
    vjp=(
        lambda h, out, v, x, y, kernel, stride: max_unpool(h, x, y, kernel=kernel, stride=stride),
        None,
        None,
    ),
    numpy="pool_take(v, x, y, kernel, stride)",
    family="window",
    kinks="two largest numbers of a window are equal",
    samples=_pooled_samples("v"),
    errors=(Mistake((_Y, _X, _Y), {"kernel": (2,), "stride": (2,)}, "not the pooling"),),
)

# -- mean of each window -----------------------------------------------------------------------


def _mean_unpool_type(d: Type, *, shape: Shape, kernel: _Ints, stride: _Ints) -> Type:
    x = Type((*d.shape[:2], *shape), d.dtype)
    if _pool_type(x, kernel=kernel, stride=stride) != d:
        raise ShapeError("not the pooling of such images", received=f"{d}, size {shape}")
    return x


mean_pool = Op(
    "mean_pool",
    ("x",),
    _WINDOW,
    says="The mean of each window.",
    formula=r"y_p = \tfrac{1}{|k|} \sum_k x_{s p + k}",
    type_rule=_pool_type,
    vjp=(
        lambda g, y, x, kernel, stride: mean_unpool(
            g, shape=x.shape[2:], kernel=kernel, stride=stride
        ),
    ),
    numpy="mean_pool(x, kernel, stride)",
    family="window",
    samples=_pool_samples("float"),
    errors=(Mistake((Type((1, 1, 2), _F),), {"kernel": (3,), "stride": (1,)}, "larger than"),),
)
mean_unpool: Op = Op(
    "mean_unpool",
    ("d",),
    (sizes("shape"), *_WINDOW),
    says="Gradient of mean pooling: each window's share goes to all of it.",
    formula=r"\bar x_q = \tfrac{1}{|k|} \sum_{p,k:\,s p + k = q} \bar y_p",
    type_rule=_mean_unpool_type,
    vjp=(lambda h, y, d, shape, kernel, stride: mean_pool(h, kernel=kernel, stride=stride),),
    numpy=lambda types, a: f"mean_unpool(d, {(*types[0].shape[:2], *a['shape'])}, kernel, stride)",
    family="window",
    samples=tuple(
        Sample(
            (Draw(_pooled_shape(shape, k, s), order=order),),
            {"shape": shape[2:], "kernel": k, "stride": s},
            about + tail,
        )
        for order, tail in (("C", ""), ("F", ", non-contiguous"))
        for shape, k, s, about in POOLS
    ),
    errors=(
        Mistake((Type((1, 1, 3), _F),), {"shape": (4,), "kernel": (2,), "stride": (2,)}, "not the"),
    ),
)
