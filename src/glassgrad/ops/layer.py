"""What layers compute: weighted sums with a bias, normalisation, dropout. See `activation` on composites."""

from __future__ import annotations

from typing import Any

from glassgrad.errors import ConfigError, ShapeError
from glassgrad.ir import Op, Type

from . import movement
from .contraction import matmul_type
from .elementwise import cast, sqrt
from .naming import named
from .random import uniform
from .record import Draw, Mistake, Sample, Spelled, axes, need_float, number, one_dtype, text
from .reduction import count_over

_F = "float32"
_COMPOSITE = frozenset({"composite"})


def _linear_type(x: Type, w: Type, b: Type) -> Type:
    y = matmul_type(x, w)
    need_float(x, b)
    if len(w.shape) != 2 or b.shape != w.shape[1:]:
        raise ShapeError(
            "the bias does not fit the weight", expected=str(w.shape[1:]), received=str(b.shape)
        )
    return y


def _weight_gradient(g: Any, y: Any, x: Any, w: Any, b: Any) -> Any:
    if x.ndim > 2:
        x, g = movement.as_rows(x), movement.as_rows(g)
    return x.T @ g


linear = Op(
    "linear",
    ("x", "w", "b"),
    (),
    says="Weighted sums of the last axis plus a bias, as a dense layer computes them.",
    formula=r"x W + b",
    type_rule=_linear_type,
    vjp=(
        lambda g, y, x, w, b: g @ w.T,
        _weight_gradient,
        lambda g, y, x, w, b: g.sum(axis=tuple(range(g.ndim - 1))),
    ),
    numpy="x @ w + b",
    expand=lambda x, w, b: x @ w + b,
    roles=_COMPOSITE,
    family="layer",
    plain=("z = x @ W + b", "dW = x.T @ dz   db = sum of dz   dx = dz @ W.T"),
    samples=(
        Sample((Draw((3, 4)), Draw((4, 5)), Draw((5,))), about="matrices"),
        Sample((Draw((2, 3, 4)), Draw((4, 5)), Draw((5,))), about="sequence"),
        Sample((Draw((1, 1)), Draw((1, 1)), Draw((1,))), about="size-1 axes"),
        Sample((Draw((0, 4)), Draw((4, 5)), Draw((5,))), about="empty"),
        Sample((Draw((3, 4), order="F"), Draw((4, 5), order="F"), Draw((5,))), about="transposed"),
    ),
    errors=(
        Mistake(
            (Type((3, 4), "float32"), Type((4, 5), "float32"), Type((4,), "float32")),
            {},
            "bias does not fit",
        ),
    ),
)


def _norm_type(x: Type, w: Type, b: Type, *, eps: float) -> Type:
    need_float(x, w, b)
    if w.shape != b.shape or x.shape[-len(w.shape) :] != w.shape or not w.shape:
        raise ShapeError(
            "the norm's weight does not fit the last axes",
            expected=str(x.shape[-1:]),
            received=f"{w.shape} for {x.shape}",
        )
    return x


def _last_axes(x: Any, w: Any) -> tuple[int, ...]:
    return tuple(range(x.ndim - w.ndim, x.ndim))


def _normalised(x: Any, axes: tuple[int, ...] | None, eps: float) -> tuple[Any, Any]:
    """(x - mean) / std and std, by the two-pass variance, which does not cancel."""
    centred = named(x - x.mean(axis=axes, keepdims=True), "centred")
    variance = named((centred * centred).mean(axis=axes, keepdims=True), "variance")
    std = named(sqrt(variance + eps), "std")
    return named(centred / std, "normalised"), std


def _layer_norm(x: Any, w: Any, b: Any, eps: float) -> Any:
    normal, _ = _normalised(x, _last_axes(x, w), eps)
    return normal * w + b


def _normal_gradient(d: Any, normal: Any, std: Any, axes: tuple[int, ...] | None) -> Any:
    """Back through (x - mean) / std: what is left after mean and scale took their part."""
    mean = named(d.mean(axis=axes, keepdims=True), "mean_d")
    along = named((d * normal).mean(axis=axes, keepdims=True), "mean_along")
    return (d - mean - normal * along) / std


def _layer_norm_dx(g: Any, y: Any, x: Any, w: Any, b: Any, eps: float) -> Any:
    axes = _last_axes(x, w)
    normal, std = _normalised(x, axes, eps)
    return _normal_gradient(named(g * w, "d_normalised"), normal, std, axes)


def _over_rows(array: Any, w: Any) -> Any:
    return array.sum(axis=tuple(range(array.ndim - w.ndim))) if array.ndim > w.ndim else array


layer_norm = Op(
    "layer_norm",
    ("x", "w", "b"),
    (number("eps", 1e-5),),
    says="Each row brought to mean 0 and variance 1 over the last axes, then scaled and shifted.",
    formula=r"\frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} w + b",
    type_rule=_norm_type,
    vjp=(
        _layer_norm_dx,
        lambda g, y, x, w, b, eps: _over_rows(g * _normalised(x, _last_axes(x, w), eps)[0], w),
        lambda g, y, x, w, b, eps: _over_rows(g, w),
    ),
    expand=_layer_norm,
    roles=_COMPOSITE,
    family="layer",
    plain=(
        "y = w * normalised + b, normalised = (x - mean) / std",
        "dx = (d - mean(d) - normalised * mean(d * normalised)) / std, d = dy * w",
    ),
    samples=tuple(
        Sample((Draw(x, order=o), Draw(w), Draw(w)), {"eps": 1e-5}, about)
        for x, w, o, about in (
            ((4, 5), (5,), "C", "rows"),
            ((2, 3, 4), (4,), "C", "sequence"),
            ((2, 3, 4), (3, 4), "C", "two axes"),
            ((0, 4), (4,), "C", "empty"),
            ((1, 4), (4,), "C", "size-1 axes"),
            ((4, 5), (5,), "F", "non-contiguous"),
        )
    ),
    errors=(Mistake((Type((4, 5), _F), Type((4,), _F), Type((4,), _F)), {}, "the last axes"),),
)


_NORMS: tuple[tuple[Any, ...], ...] = (
    ((), None, "C", "scalar"),
    ((3, 4), None, "C", "all"),
    ((4, 5), (1,), "C", "rows"),
    ((2, 3, 4), (1, 2), "C", "two axes"),
    ((2, 3, 4), (0, 2), "C", "axes apart"),
    ((0, 4), (1,), "C", "empty"),
    ((1, 4, 1), (1,), "C", "size-1 axes"),
    ((4, 5), (0,), "F", "non-contiguous"),
)


def _over_type(x: Type, *, axis: tuple[int, ...] | None, eps: float) -> Type:
    need_float(x)
    if count_over(x.shape, axis) == 0:
        raise ShapeError("no numbers to take the mean of", received=f"{x!r}, axes {axis}")
    return x


normalise = Op(
    "normalise",
    ("x",),
    (axes(), number("eps", 1e-5)),
    says="Numbers brought to mean 0 and variance 1 over axes.",
    formula=r"\frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}}",
    type_rule=_over_type,
    vjp=(lambda g, y, x, axis, eps: _normal_gradient(g, *_normalised(x, axis, eps), axis),),
    expand=lambda x, axis, eps: _normalised(x, axis, eps)[0],
    roles=_COMPOSITE,
    family="layer",
    plain=(
        "normalised = (x - mean) / std",
        "dx = (d - mean(d) - normalised * mean(d * normalised)) / std",
    ),
    samples=tuple(
        Sample((Draw(x, order=o),), {"axis": axis, "eps": 1e-5}, about)
        for x, axis, o, about in _NORMS
    ),
    errors=(
        Mistake((Type((4, 0), _F),), {"axis": (1,)}, "no numbers"),
        Mistake((Type((4, 3), "int64"),), {"axis": (1,)}, "real numbers"),
    ),
)


def _by_size(x: Any, axes: tuple[int, ...] | None, eps: float) -> tuple[Any, Any]:
    """Numbers over their rms, and that rms."""
    rms = named(sqrt((x * x).mean(axis=axes, keepdims=True) + eps), "rms")
    return named(x / rms, "normalised"), rms


def _rms_norm_dx(g: Any, y: Any, x: Any, axis: tuple[int, ...] | None, eps: float) -> Any:
    normal, rms = _by_size(x, axis, eps)
    along = named((g * normal).mean(axis=axis, keepdims=True), "mean_along")
    return (g - normal * along) / rms


rms_norm = Op(
    "rms_norm",
    ("x",),
    (axes(), number("eps", 1e-5)),
    says="Numbers divided by the root of their mean square over axes.",
    formula=r"\frac{x}{\sqrt{\overline{x^2} + \varepsilon}}",
    type_rule=_over_type,
    vjp=(_rms_norm_dx,),
    expand=lambda x, axis, eps: _by_size(x, axis, eps)[0],
    roles=_COMPOSITE,
    family="layer",
    plain=(
        "normalised = x / rms, rms = root of the mean of x * x",
        "dx = (d - normalised * mean(d * normalised)) / rms",
    ),
    samples=tuple(
        Sample((Draw(x, order=o),), {"axis": axis, "eps": 1e-5}, about)
        for x, axis, o, about in _NORMS[1:]  # of a single number only the rounding is left
    ),
    errors=(Mistake((Type((4, 0), _F),), {"axis": (1,)}, "no numbers"),),
)


def channel_axes(x: Any) -> tuple[int, ...]:
    """All axes but that of the channels: what a batch norm takes its means over."""
    return (0, *range(2, x.ndim))


def channels(w: Any, x: Any) -> Any:
    """One number for each channel, shaped so that it stretches over images."""
    return w.reshape((-1, *[1] * (x.ndim - 2))) if x.ndim > 2 else w


def _batch_norm_type(x: Type, w: Type, b: Type, *, eps: float) -> Type:
    need_float(x, w, b)
    if len(x.shape) < 2 or w.shape != x.shape[1:2] or b.shape != w.shape:
        raise ShapeError(
            "the norm's weight does not fit the channels",
            expected=str(x.shape[1:2]),
            received=f"{w.shape} for {x.shape}",
        )
    return x


def statistics(x: Any, axis: tuple[int, ...]) -> tuple[Any, Any]:
    """Mean and (biased) variance over axes, kept in a shape that stretches."""
    mean = named(x.mean(axis=axis, keepdims=True), "batch_mean" if 0 in axis else "mean")
    centred = named(x - mean, "centred")
    return mean, named((centred * centred).mean(axis=axis, keepdims=True), "variance")


def _batch_normal(x: Any, eps: float) -> tuple[Any, Any]:
    mean, variance = statistics(x, channel_axes(x))
    std = named(sqrt(variance + eps), "std")
    return named(named(x - mean, "centred") / std, "normalised"), std


def _batch_norm_dx(g: Any, y: Any, x: Any, w: Any, b: Any, eps: float) -> Any:
    normal, std = _batch_normal(x, eps)
    d = named(g * channels(w, x), "d_normalised")
    return _normal_gradient(d, normal, std, channel_axes(x))


batch_norm = Op(
    "batch_norm",
    ("x", "w", "b"),
    (number("eps", 1e-5),),
    says="Each channel brought to mean 0 and variance 1 over the batch, then scaled and shifted.",
    formula=r"\frac{x - \mu_c}{\sqrt{\sigma_c^2 + \varepsilon}} w_c + b_c",
    type_rule=_batch_norm_type,
    vjp=(
        _batch_norm_dx,
        lambda g, y, x, w, b, eps: (g * _batch_normal(x, eps)[0]).sum(axis=channel_axes(x)),
        lambda g, y, x, w, b, eps: g.sum(axis=channel_axes(x)),
    ),
    expand=lambda x, w, b, eps: _batch_normal(x, eps)[0] * channels(w, x) + channels(b, x),
    roles=_COMPOSITE,
    family="layer",
    plain=(
        "y = w * normalised + b, normalised = (x - mean) / std",
        "dx = (d - mean(d) - normalised * mean(d * normalised)) / std, d = dy * w",
    ),
    samples=tuple(
        Sample((Draw(x, order=o), Draw(x[1:2]), Draw(x[1:2])), {"eps": 1e-5}, about)
        for x, o, about in (
            ((8, 3), "C", "rows"),
            ((8, 1), "C", "size-1 axes"),
            ((4, 3, 5), "C", "1-d images"),
            ((2, 3, 4, 4), "C", "2-d images"),
            ((8, 3), "F", "non-contiguous"),
        )
    ),
    errors=(Mistake((Type((8, 3), _F), Type((8,), _F), Type((8,), _F)), {}, "the channels"),),
)


def _channel_bias_type(x: Type, b: Type) -> Type:
    one_dtype(x, b)
    if len(x.shape) < 3 or b.shape != x.shape[1:2]:
        raise ShapeError("one bias for each channel is needed", received=f"{b.shape} for {x.shape}")
    return x


channel_bias = Op(
    "channel_bias",
    ("x", "b"),
    (),
    says="A number added to each channel of images.",
    formula=r"x_c + b_c",
    type_rule=_channel_bias_type,
    vjp=(
        lambda g, y, x, b: g,
        # Row by row first: sums over a long last axis are pairwise, hence accurate, and quick.
        lambda g, y, x, b: g.flatten(2).sum(axis=2).sum(axis=0),
    ),
    expand=lambda x, b: x + channels(b, x),
    roles=_COMPOSITE,
    family="layer",
    samples=(
        Sample((Draw((2, 3, 4, 5)), Draw((3,))), about="2-d images"),
        Sample((Draw((2, 3, 5)), Draw((3,))), about="1-d images"),
        Sample((Draw((0, 3, 2, 2)), Draw((3,))), about="empty"),
        Sample((Draw((1, 1, 2, 1)), Draw((1,))), about="size-1 axes"),
        Sample((Draw((2, 3, 4, 5), order="F"), Draw((3,))), about="non-contiguous"),
    ),
    errors=(Mistake((Type((2, 3, 4), "float32"), Type((4,), "float32")), {}, "one bias"),),
)


def _dropout(x: Any, seed: Any, step: Any, p: float, stream: str) -> Any:
    return x * _kept(x, seed, step, p, stream)


def _kept(x: Any, seed: Any, step: Any, p: float, stream: str) -> Any:
    """The mask, scaled once so that the mean stays: 0, or 1 / (1 - p)."""
    settings = {"shape": x.shape, "stream": stream, "dtype": x.dtype}
    draws = x.emit(uniform, (seed, step), settings)
    return named(cast(draws >= p, dtype=x.dtype) / Spelled(1 - p, repr(round(1 - p, 12))), "keep")


def _dropout_type(x: Type, seed: Type, step: Type, *, p: float, stream: str) -> Type:
    need_float(x)
    if not 0 <= p < 1:
        raise ConfigError(
            "the share that is set to 0 is out of range", expected="0 <= p < 1", received=repr(p)
        )
    return x


dropout = Op(
    "dropout",
    ("x", "seed", "step"),
    (number("p"), text("stream")),
    says="A share p of the numbers set to 0, the others scaled by 1 / (1 - p).",
    formula=r"\frac{x\,[u \ge p]}{1 - p}",
    type_rule=_dropout_type,
    vjp=(
        lambda g, y, x, seed, step, p, stream: g * _kept(x, seed, step, p, stream),
        None,
        None,
    ),
    expand=_dropout,
    roles=frozenset({"composite", "random"}),
    family="layer",
    plain=("y = x * keep, keep = 0 or 1 / (1 - p)", "dx = dy * keep"),
    samples=tuple(
        Sample(
            (Draw(shape, order=order), Draw((), 0, 100, kind="int"), Draw((), 0, 9, kind="int")),
            {"p": p, "stream": "dropout1"},
            about,
        )
        for shape, p, order, about in (
            ((), 0.5, "C", "scalar"),
            ((4, 5), 0.3, "C", "matrix"),
            ((0, 3), 0.5, "C", "empty"),
            ((1, 3, 1), 0.5, "C", "size-1 axes"),
            ((3, 4), 0.0, "F", "nothing dropped, non-contiguous"),
        )
    ),
    errors=(
        Mistake(
            (Type((3,), "int64"), Type((), "int64"), Type((), "int64")),
            {"p": 0.5, "stream": ""},
            "real numbers",
        ),
        Mistake(
            (Type((3,), "float32"), Type((), "int64"), Type((), "int64")),
            {"p": 1.0, "stream": ""},
            "out of range",
        ),
    ),
)
