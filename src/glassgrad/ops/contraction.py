"""Products that sum over an axis: matrix product and the convolution family.

Convolution is three records, each the derivative of the other two, so that derivatives of any
order stay inside the family. A backend without a cell for them takes the `expand`: patches as
columns, a matrix product, and the way back; what they share is then computed once. Transposed
convolution is a name for the second, asked for by what it adds instead of by its size.
"""

from __future__ import annotations

from typing import Any

from glassgrad.errors import ShapeError
from glassgrad.ir import Attribute, Op, Shape, Type, Value, broadcast, product

from . import movement, window
from .naming import named
from .record import Draw, Mistake, Sample, need_float, sizes, whole


def matmul_type(a: Type, b: Type) -> Type:
    """Rows times columns, the axes before them stretched."""
    dtype = need_float(a, b)
    if len(a.shape) < 2 or len(b.shape) < 2:
        raise ShapeError(
            "a matrix product needs matrices",
            expected="at least two axes on both sides",
            received=f"{a.shape} @ {b.shape}",
        )
    if a.shape[-1] != b.shape[-2]:
        raise ShapeError(
            "inner sizes differ",
            expected=f"second operand with {a.shape[-1]} rows",
            received=f"{a.shape} @ {b.shape}",
            hint="check the width of the layer that made the first operand",
        )
    batch = broadcast(a.shape[:-2], b.shape[:-2])
    return Type((*batch, a.shape[-2], b.shape[-1]), dtype)


def _matmul_first(g: Any, y: Any, a: Any, b: Any) -> Any:
    return g @ b.swapaxes(-1, -2)


def _matmul_second(g: Any, y: Any, a: Any, b: Any) -> Any:
    if a.ndim > 2 and b.ndim == 2:
        # One product over all rows of all batches, instead of many summed afterwards.
        a, g = movement.as_rows(a), movement.as_rows(g)
    return a.swapaxes(-1, -2) @ g


matmul = Op(
    "matmul",
    ("a", "b"),
    (),
    says="Matrix product of the last two axes; the axes before them stretch.",
    formula=r"A B",
    type_rule=matmul_type,
    vjp=(_matmul_first, _matmul_second),
    numpy="a @ b",
    family="contraction",
    samples=(
        Sample((Draw((3, 4)), Draw((4, 5))), about="matrices"),
        Sample((Draw((1, 1)), Draw((1, 1))), about="size-1 axes"),
        Sample((Draw((0, 4)), Draw((4, 5))), about="empty"),
        Sample((Draw((3, 0)), Draw((0, 5))), about="empty sum"),
        Sample((Draw((2, 3, 4)), Draw((2, 4, 5))), about="batch"),
        Sample((Draw((2, 1, 3, 4)), Draw((5, 4, 2))), about="batch, broadcast"),
        Sample((Draw((2, 3, 4)), Draw((4, 5))), about="batch by matrix"),
        Sample((Draw((2, 3)), Draw((4, 3, 5))), about="matrix by batch"),
        Sample((Draw((3, 4), order="F"), Draw((4, 5), order="F")), about="transposed"),
    ),
    errors=(
        Mistake((Type((3, 4), "float32"), Type((5, 2), "float32")), {}, "inner sizes differ"),
        Mistake((Type((4,), "float32"), Type((4, 2), "float32")), {}, "needs matrices"),
    ),
)


# -- convolution ------------------------------------------------------------------------------


def _per_axis(name: str, low: int, default: int) -> Attribute:
    """One whole number for each axis of the image, or one for all."""

    def normal(value: Any, inputs: tuple[Any, ...]) -> tuple[int, ...]:
        spatial = len(inputs[0].shape) - 2
        given = tuple(value) if isinstance(value, tuple | list) else (value,) * spatial
        if len(given) != spatial:
            raise ShapeError(f"{name} needs {spatial} numbers", received=str(value))
        return tuple([whole(v, name, low) for v in given])

    return Attribute(name, normal, "int | tuple[int, ...]", default)


_SETTINGS = (
    _per_axis("stride", 1, 1),
    _per_axis("padding", 0, 0),
    _per_axis("dilation", 1, 1),
    Attribute("groups", lambda v, _: whole(v, "groups", 1), "int", 1),
)
_Ints = tuple[int, ...]


def _conv_type(
    x: Type, w: Type, *, stride: _Ints, padding: _Ints, dilation: _Ints, groups: int
) -> Type:
    dtype = need_float(x, w)
    if len(x.shape) < 3 or len(w.shape) != len(x.shape):
        raise ShapeError(
            "a convolution needs images and kernels of equal rank",
            expected="images (n, channels, *size), weight (out, channels / groups, *kernel)",
            received=f"{x.shape} and {w.shape}",
            hint="add a channel axis: x.reshape(n, 1, height, width)",
        )
    out, inner = w.shape[:2]
    if x.shape[1] != inner * groups or not isinstance(out, int) or out % groups:
        raise ShapeError(
            "the channels do not fit the kernels",
            expected=f"{inner * groups} channels, outputs a multiple of {groups} groups",
            received=f"images {x.shape}, weight {w.shape}",
        )
    size = window.output_size(x.shape[2:], w.shape[2:], stride, padding, dilation)
    return Type((x.shape[0], out, *size), dtype)


def _named(array: Any, name: str) -> Any:
    """The name it has in a textbook: on the way back it is a gradient."""
    value = getattr(array, "value", None)
    back = isinstance(value, Value) and value.node.origin.phase == "backward"
    return named(array, f"d_{name}" if back else name)


def _patches(
    x: Any, kernel: Shape, stride: _Ints, padding: _Ints, dilation: _Ints, groups: int
) -> Any:
    """Every window of the padded images as one column."""
    if any(padding):
        border = ((0, 0, 0), (0, 0, 0), *[(p, p, 0) for p in padding])
        x = _named(movement.pad(x, widths=border, value=0), "padded")
    patches = window.columns(x, kernel=kernel, stride=stride, dilation=dilation)
    _named(patches, "patches")
    if groups == 1:
        return patches
    n, rows, positions = patches.shape
    return patches.reshape(n, groups, rows // groups, positions)


def _conv_expand(
    x: Any, w: Any, stride: _Ints, padding: _Ints, dilation: _Ints, groups: int
) -> Any:
    n, out, kernel = x.shape[0], w.shape[0], w.shape[2:]
    size = window.output_size(x.shape[2:], kernel, stride, padding, dilation)
    patches = _patches(x, kernel, stride, padding, dilation, groups)
    if groups == 1:
        return (w.flatten(1) @ patches).reshape((n, out, *size))
    by_group = _named(w.reshape(groups, out // groups, -1) @ patches, "by_group")
    return by_group.reshape((n, out, *size))


def _conv_dx_type(
    g: Type, w: Type, *, stride: _Ints, padding: _Ints, dilation: _Ints, groups: int, size: Shape
) -> Type:
    x = Type((*g.shape[:1], *[s * groups for s in w.shape[1:2]], *size), need_float(g, w))
    settings: Any = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
    if len(x.shape) != len(g.shape) or _conv_type(x, w, **settings) != g:
        raise ShapeError("not the gradient of such images", received=f"{g}, weight {w.shape}, {x}")
    return x


def _conv_dx_expand(
    g: Any, w: Any, stride: _Ints, padding: _Ints, dilation: _Ints, groups: int, size: Shape
) -> Any:
    n, out, *image = g.shape
    channels, kernel = w.shape[1] * groups, w.shape[2:]
    if groups == 1:
        patches = w.flatten(1).T @ g.flatten(2)
    else:
        kernels = w.reshape(groups, out // groups, -1).swapaxes(-1, -2)
        patches = kernels @ _by_group(g, groups)
        patches = patches.reshape(n, channels * product(kernel), product(image))
    _named(patches, "patches")
    padded = tuple([s + 2 * p for s, p in zip(size, padding, strict=True)])
    whole_image = window.uncolumns(
        patches, shape=(channels, *padded), kernel=kernel, stride=stride, dilation=dilation
    )
    if not any(padding):
        return whole_image
    spans = (
        (0, n, 1),
        (0, channels, 1),
        *[(p, p + s, 1) for s, p in zip(size, padding, strict=True)],
    )
    return movement.slice(whole_image, spans=spans)


def _conv_dw_type(
    g: Type, x: Type, *, stride: _Ints, padding: _Ints, dilation: _Ints, groups: int, kernel: _Ints
) -> Type:
    w = Type((*g.shape[1:2], *[s // groups for s in x.shape[1:2]], *kernel), need_float(g, x))
    settings: Any = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
    if len(w.shape) != len(g.shape) or _conv_type(x, w, **settings) != g:
        raise ShapeError("not the gradient of such kernels", received=f"{g}, images {x.shape}, {w}")
    return w


def _by_group(g: Any, groups: int) -> Any:
    n, out, *image = g.shape
    return _named(g.reshape(n, groups, out // groups, product(image)), "by_group")


def _conv_dw_expand(
    g: Any, x: Any, stride: _Ints, padding: _Ints, dilation: _Ints, groups: int, kernel: _Ints
) -> Any:
    out = g.shape[1]
    patches = _patches(x, kernel, stride, padding, dilation, groups).swapaxes(-1, -2)
    if groups == 1:
        by_image = g.flatten(2) @ patches
    else:
        by_image = _by_group(g, groups) @ patches
    return named(by_image, "by_image").sum(axis=0).reshape((out, x.shape[1] // groups, *kernel))


_PLAIN = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}


def _conv_sample(x: _Ints, w: _Ints, about: str, order: str = "C", **settings: Any) -> Sample:
    full = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **settings}
    return Sample((Draw(x, order=order), Draw(w)), full, about)


CONV_SAMPLES = (
    _conv_sample((2, 3, 7), (4, 3, 3), "1-d"),
    _conv_sample(
        (2, 2, 9), (4, 1, 3), "1-d, all settings", stride=2, padding=1, dilation=2, groups=2
    ),
    _conv_sample((2, 3, 6, 5), (4, 3, 3, 2), "2-d"),
    _conv_sample((2, 1, 5, 5), (1, 1, 3, 3), "size-1 axes"),
    _conv_sample((2, 2, 6, 7), (4, 2, 3, 3), "stride", stride=2),
    _conv_sample((2, 2, 5, 5), (3, 2, 3, 3), "padding", padding=(1, 2)),
    _conv_sample((1, 2, 7, 7), (2, 2, 3, 3), "dilation", dilation=2),
    _conv_sample((2, 4, 5, 5), (6, 2, 3, 3), "groups", groups=2),
    _conv_sample((2, 3, 5, 5), (3, 1, 3, 3), "depthwise", groups=3, padding=1),
    _conv_sample(
        (2, 4, 8, 7),
        (4, 2, 3, 2),
        "all settings",
        stride=(2, 1),
        padding=(1, 1),
        dilation=(2, 1),
        groups=2,
    ),
    _conv_sample((2, 2, 4, 5, 3), (3, 2, 2, 3, 2), "3-d"),
    _conv_sample(
        (1, 2, 5, 4, 5),
        (2, 1, 2, 3, 2),
        "3-d, all settings",
        stride=(2, 1, 2),
        padding=(1, 1, 0),
        dilation=(1, 1, 2),
        groups=2,
    ),
    _conv_sample((0, 2, 5, 5), (3, 2, 3, 3), "empty"),
    _conv_sample((3, 2, 5, 5), (3, 2, 3, 3), "non-contiguous", order="F"),
)


def _adjoint_samples(which: str) -> tuple[Sample, ...]:
    """The same calls, seen from the output: gradient first."""
    found = []
    for sample in CONV_SAMPLES:
        x, w = (d for d in sample.operands if isinstance(d, Draw))
        spatial = len(x.shape) - 2
        full: dict[str, Any] = {
            k: v if k == "groups" or isinstance(v, tuple) else (v,) * spatial
            for k, v in sample.attributes.items()
        }
        out = _conv_type(Type(x.shape, "float64"), Type(w.shape, "float64"), **full).shape
        g = Draw(tuple([int(s) for s in out]), order=x.order)
        if which == "dx":
            found.append(Sample((g, w), {**full, "size": x.shape[2:]}, sample.about))
        else:
            found.append(Sample((g, x), {**full, "kernel": w.shape[2:]}, sample.about))
    return tuple(found)


conv = Op(
    "conv",
    ("x", "w"),
    _SETTINGS,
    says="Cross-correlation of images with kernels: every window's product with every kernel.",
    formula=r"y_{o,p} = \sum_{c,k} w_{o,c,k}\, x_{c,\,s p + d k}",
    type_rule=_conv_type,
    vjp=(
        lambda g, y, x, w, **s: conv_dx(g, w, **s, size=x.shape[2:]),
        lambda g, y, x, w, **s: conv_dw(g, x, **s, kernel=w.shape[2:]),
    ),
    expand=_conv_expand,
    family="contraction",
    samples=CONV_SAMPLES,
    errors=(
        Mistake(
            (Type((2, 3, 5, 5), "float32"), Type((4, 2, 3, 3), "float32")),
            _PLAIN,
            "do not fit the kernels",
        ),
        Mistake(
            (Type((2, 3, 2, 2), "float32"), Type((4, 3, 3, 3), "float32")),
            _PLAIN,
            "larger than the image",
        ),
    ),
)
conv_dx: Op = Op(
    "conv_dx",
    ("g", "w"),
    (*_SETTINGS, sizes("size")),
    says="Gradient of a convolution in its images; `size` is the images' own.",
    formula=r"\bar x_{c,q} = \sum_{o,p,k:\,s p + d k = q} w_{o,c,k}\, \bar y_{o,p}",
    type_rule=_conv_dx_type,
    vjp=(
        lambda h, y, g, w, size, **s: conv(h, w, **s),
        lambda h, y, g, w, size, **s: conv_dw(g, h, **s, kernel=w.shape[2:]),
    ),
    expand=_conv_dx_expand,
    family="contraction",
    samples=_adjoint_samples("dx"),
    errors=(
        Mistake(
            (Type((2, 4, 3, 3), "float32"), Type((4, 3, 3, 3), "float32")),
            {**_PLAIN, "size": (6, 5)},
            "not the gradient",
        ),
    ),
)
conv_dw: Op = Op(
    "conv_dw",
    ("g", "x"),
    (*_SETTINGS, sizes("kernel", 1)),
    says="Gradient of a convolution in its kernels; `kernel` is the kernels' own size.",
    formula=r"\bar w_{o,c,k} = \sum_{n,p} \bar y_{o,p}\, x_{c,\,s p + d k}",
    type_rule=_conv_dw_type,
    vjp=(
        lambda h, y, g, x, kernel, **s: conv(x, h, **s),
        lambda h, y, g, x, kernel, **s: conv_dx(g, h, **s, size=x.shape[2:]),
    ),
    expand=_conv_dw_expand,
    family="contraction",
    samples=_adjoint_samples("dw"),
    errors=(
        Mistake(
            (Type((2, 4, 3, 3), "float32"), Type((2, 3, 5, 5), "float32")),
            {**_PLAIN, "kernel": (2, 3)},
            "not the gradient",
        ),
    ),
)


# -- transposed convolution ---------------------------------------------------------------------


def _spread_size(
    x: Type, w: Type, stride: _Ints, padding: _Ints, output_padding: _Ints, dilation: _Ints
) -> Shape:
    """The size of images whose convolution has the size of x, and `output_padding` more."""
    found = []
    for size, k, s, p, o, d in zip(
        x.shape[2:], w.shape[2:], stride, padding, output_padding, dilation, strict=True
    ):
        if o >= max(s, d):
            raise ShapeError(
                "output_padding is too large",
                expected=f"less than the stride or the dilation, {max(s, d)}",
                received=str(o),
            )
        found.append((size - 1) * s - 2 * p + d * (k - 1) + o + 1)
        if isinstance(size, int) and min(size, found[-1]) < 1:
            raise ShapeError(
                "nothing is left of the images",
                expected="images of at least 1 along each axis, before and after",
                received=f"images {x.shape}, kernel {w.shape[2:]}, padding {padding}",
            )
    return tuple(found)


def _conv_transpose_type(
    x: Type,
    w: Type,
    *,
    stride: _Ints,
    padding: _Ints,
    output_padding: _Ints,
    dilation: _Ints,
    groups: int,
) -> Type:
    dtype = need_float(x, w)
    if len(x.shape) < 3 or len(w.shape) != len(x.shape):
        raise ShapeError(
            "a transposed convolution needs images and kernels of equal rank",
            expected="images (n, channels, *size), weight (channels, out / groups, *kernel)",
            received=f"{x.shape} and {w.shape}",
        )
    channels = w.shape[0]
    if x.shape[1] != channels or not isinstance(channels, int) or channels % groups:
        raise ShapeError(
            "the channels do not fit the kernels",
            expected=f"{channels} channels, a multiple of {groups} groups",
            received=f"images {x.shape}, weight {w.shape}",
        )
    size = _spread_size(x, w, stride, padding, output_padding, dilation)
    return Type((x.shape[0], w.shape[1] * groups, *size), dtype)


def _further(x: Any, stride: _Ints, output_padding: _Ints) -> Any:
    """The images with zeros where further numbers would reach what `output_padding` adds."""
    more = [o // t for o, t in zip(output_padding, stride, strict=True)]
    if not any(more):
        return x
    return movement.pad(x, widths=((0, 0, 0), (0, 0, 0), *[(0, m, 0) for m in more]), value=0)


def _conv_transpose_expand(x: Any, w: Any, output_padding: _Ints, **s: Any) -> Any:
    size = _spread_size(x, w, s["stride"], s["padding"], output_padding, s["dilation"])
    return conv_dx(_further(x, s["stride"], output_padding), w, **s, size=size)


def _conv_transpose_dx(g: Any, y: Any, x: Any, w: Any, output_padding: _Ints, **s: Any) -> Any:
    found = conv(g, w, **s)
    if found.shape == x.shape:
        return found
    return movement.slice(found, spans=tuple([(0, size, 1) for size in x.shape]))


def _conv_transpose_dw(g: Any, y: Any, x: Any, w: Any, output_padding: _Ints, **s: Any) -> Any:
    return conv_dw(_further(x, s["stride"], output_padding), g, **s, kernel=w.shape[2:])


_SPREADS: tuple[tuple[_Ints, _Ints, str, str, dict[str, Any]], ...] = (
    ((2, 3, 4), (3, 2, 3), "1-d", "C", {}),
    ((2, 2, 3, 2), (2, 3, 2, 3), "2-d", "C", {}),
    ((1, 2, 2, 3, 2), (2, 1, 2, 1, 3), "3-d", "C", {"stride": 2, "padding": (1, 0, 1)}),
    ((1, 1, 1, 1), (1, 1, 2, 2), "size-1 axes", "C", {}),
    ((2, 4, 3), (4, 2, 3), "groups", "C", {"groups": 2, "stride": 3, "output_padding": 2}),
    (
        (2, 2, 4, 3),
        (2, 2, 3, 2),
        "all settings",
        "C",
        {"stride": (2, 1), "padding": (2, 1), "output_padding": (1, 2), "dilation": (1, 3)},
    ),
    ((0, 2, 3, 3), (2, 3, 2, 2), "empty", "C", {}),
    ((2, 2, 3, 3), (2, 3, 2, 2), "non-contiguous", "F", {"stride": 2}),
)

conv_transpose = Op(
    "conv_transpose",
    ("x", "w"),
    (*_SETTINGS[:2], _per_axis("output_padding", 0, 0), *_SETTINGS[2:]),
    says="Every number of the images spread by its kernel: a convolution seen from its output.",
    formula=r"y_{o,q} = \sum_{c,p,k:\,s p + d k = q} w_{c,o,k}\, x_{c,p}",
    type_rule=_conv_transpose_type,
    vjp=(_conv_transpose_dx, _conv_transpose_dw),
    expand=_conv_transpose_expand,
    roles=frozenset({"composite"}),
    family="contraction",
    samples=tuple(
        _conv_sample(x, w, about, order, **{"output_padding": 0, **settings})
        for x, w, about, order, settings in _SPREADS
    ),
    errors=(
        Mistake(
            (Type((2, 3, 5, 5), "float32"), Type((4, 2, 3, 3), "float32")),
            {},
            "do not fit the kernels",
        ),
        Mistake((Type((2, 3, 5), "float32"), Type((3, 2, 3, 3), "float32")), {}, "equal rank"),
        Mistake(
            (Type((2, 3, 5), "float32"), Type((3, 2, 3), "float32")),
            {"output_padding": 1},
            "output_padding is too large",
        ),
        Mistake(
            (Type((2, 3, 1), "float32"), Type((3, 2, 3), "float32")),
            {"padding": 2},
            "nothing is left",
        ),
    ),
)
