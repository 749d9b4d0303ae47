"""Composites: what has a name in textbooks and is made of other ops.

A composite says itself in other ops (`expand`). Where a textbook prints its derivative in closed
form it carries that form, which tests prove against the composed one. A rule recomputes what it
needs of the forward pass; in a graph, equals are merged, so nothing is computed twice.
"""

from __future__ import annotations

import math
from typing import Any

from glassgrad.errors import ConfigError, ShapeError
from glassgrad.ir import Op, Type

from . import movement
from .contraction import matmul_type
from .elementwise import (
    absolute,
    cast,
    erf,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    negative,
    select,
    sqrt,
)
from .index import pick, subtract_one_at
from .random import uniform
from .record import (
    Draw,
    Mistake,
    Sample,
    Spelled,
    axis,
    need_float,
    number,
    one_dtype,
    text,
    unary_float,
    unary_samples,
)
from .trace import named

_F = "float32"
_COMPOSITE = frozenset({"composite"})
_ELEMENTWISE = frozenset({"composite", "elementwise"})


def _activation(name: str, says: str, formula: str, expand: Any, **rest: Any) -> Op:
    rest.setdefault("samples", unary_samples())
    rest.setdefault("roles", _ELEMENTWISE)
    rest.setdefault("attributes", ())
    attributes = rest.pop("attributes")
    return Op(
        name,
        ("x",),
        attributes,
        says,
        formula,
        unary_float,
        expand=expand,
        family="activation",
        errors=(
            Mistake(
                (Type((3,), "int64"),), {a.name: a.default for a in attributes}, "real numbers"
            ),
        ),
        **rest,
    )


# -- activations ------------------------------------------------------------------------------

_AWAY = unary_samples(apart=0.1, away_from=(0.0,))

relu = _activation(
    "relu",
    "Rectified linear unit; its derivative at 0 is 0.",
    r"\max(0, x)",
    lambda x: maximum(x, 0.0),
    vjp=(lambda g, y, x: g * (x > 0),),
    numpy="np.maximum(x, 0)",
    kinks="x = 0",
    samples=_AWAY,
    plain=("a = max(0, z)", "dz = da where z > 0"),
)


def _above(x: Any) -> Any:
    return named(x > 0, "above")


def _below(x: Any) -> Any:
    """What the exponential is taken of: the branch that is not taken must not overflow."""
    return named(minimum(x, 0.0), "below")


leaky_relu = _activation(
    "leaky_relu",
    "ReLU with a small slope below 0.",
    r"x \text{ if } x > 0 \text{ else } a x",
    lambda x, slope: select(_above(x), x, slope * x),
    vjp=(lambda g, y, x, slope: select(_above(x), g, slope * g),),
    attributes=(number("slope", 0.01),),
    kinks="x = 0",
    samples=tuple(Sample(s.operands, {"slope": 0.1}, s.about) for s in _AWAY),
    plain=("a = z where z > 0, else slope z", "dz = da where z > 0, else slope da"),
)


def _elu_vjp(g: Any, y: Any, x: Any, alpha: float) -> Any:
    return select(_above(x), g, g * (alpha * exp(_below(x))))


elu = _activation(
    "elu",
    "Exponential linear unit.",
    r"x \text{ if } x > 0 \text{ else } \alpha (e^x - 1)",
    lambda x, alpha: select(_above(x), x, alpha * expm1(_below(x))),
    vjp=(_elu_vjp,),
    attributes=(number("alpha", 1.0),),
    kinks="x = 0",
    samples=tuple(Sample(s.operands, {"alpha": 0.7}, s.about) for s in _AWAY),
    plain=("a = z where z > 0, else alpha (e^z - 1)", "dz = da where z > 0, else da alpha e^z"),
)


def _sigmoid(x: Any) -> Any:
    small = named(exp(-absolute(x)), "small")
    return select(x >= 0, 1.0, small) / (1 + small)


sigmoid = _activation(
    "sigmoid",
    "Logistic function, which never overflows.",
    r"\frac{1}{1 + e^{-x}}",
    _sigmoid,
    vjp=(lambda g, y, x: g * (y * (1 - y)),),
    numpy="sigmoid(x)",
    plain=("a = 1 / (1 + exp(-z))", "dz = da a (1 - a)"),
)


def _gate(x: Any) -> Any:
    return named(sigmoid(x), "gate")


silu = _activation(
    "silu",
    "Sigmoid-weighted linear unit, also called swish.",
    r"\frac{x}{1 + e^{-x}}",
    lambda x: x * _gate(x),
    vjp=(lambda g, y, x: g * (_gate(x) + y * (1 - _gate(x))),),
    plain=("a = z sigmoid(z)", "dz = da (gate + a (1 - gate)), gate = sigmoid(z)"),
)
ROOT_HALF = Spelled(math.sqrt(0.5), "math.sqrt(0.5)")
ROOT_TWO_PI = Spelled(math.sqrt(2 * math.pi), "math.sqrt(2 * math.pi)")


def _normal_share(x: Any) -> Any:
    return named(0.5 * (1 + erf(x * ROOT_HALF)), "share")


gelu = _activation(
    "gelu",
    "Gaussian error linear unit, exact: x times the share of a normal below x.",
    r"\tfrac{x}{2} \left(1 + \operatorname{erf} \tfrac{x}{\sqrt 2}\right)",
    lambda x: x * _normal_share(x),
    vjp=(lambda g, y, x: g * (_normal_share(x) + x * (exp(-0.5 * (x * x)) / ROOT_TWO_PI)),),
    plain=("a = z P(normal < z)", "dz = da (P + z density(z))"),
)
softplus = _activation(
    "softplus",
    "Smooth ReLU, which never overflows.",
    r"\ln(1 + e^x)",
    lambda x: maximum(x, 0.0) + log1p(exp(-absolute(x))),
    vjp=(lambda g, y, x: g * sigmoid(x),),
    plain=("a = log(1 + exp(z))", "dz = da sigmoid(z)"),
)

_ROWS = tuple(
    Sample((Draw(shape, order=order),), {"axis": a}, about)
    for shape, a, order, about in (
        ((4, 5), -1, "C", "rows"),
        ((4, 5), 0, "C", "columns"),
        ((2, 3, 4), 1, "C", "middle axis"),
        ((5,), 0, "C", "vector"),
        ((1, 1), -1, "C", "size-1 axes"),
        ((0, 3), -1, "C", "empty"),
        ((3, 4), -1, "F", "non-contiguous"),
    )
)


def _log_softmax(x: Any, axis: int) -> Any:
    shifted = named(x - x.max(axis=axis, keepdims=True), "shifted")
    return named(shifted - log(exp(shifted).sum(axis=axis, keepdims=True)), "log_probs")


log_softmax = _activation(
    "log_softmax",
    "Logarithm of softmax, accurate for any size of x.",
    r"x_i - \ln \sum_j e^{x_j}",
    _log_softmax,
    vjp=(lambda g, y, x, axis: g - exp(y) * g.sum(axis=axis, keepdims=True),),
    attributes=(axis(default=-1),),
    samples=_ROWS,
    roles=_COMPOSITE,
    plain=("l = z - max z - log sum exp(z - max z)", "dz = dl - softmax(z) sum dl"),
)


def _softmax(x: Any, axis: int) -> Any:
    powers = named(exp(x - x.max(axis=axis, keepdims=True)), "powers")
    return named(powers / powers.sum(axis=axis, keepdims=True), "probs")


softmax = _activation(
    "softmax",
    "Positive shares that sum to 1.",
    r"\frac{e^{x_i}}{\sum_j e^{x_j}}",
    _softmax,
    vjp=(lambda g, y, x, axis: y * (g - (g * y).sum(axis=axis, keepdims=True)),),
    attributes=(axis(default=-1),),
    samples=_ROWS,
    roles=_COMPOSITE,
    plain=("p = exp(z) / sum exp(z)", "dz = p (dp - sum dp p)"),
)

# -- layers -----------------------------------------------------------------------------------


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
    plain=("z = x W + b", "dW = x' dz   db = sum dz   dx = dz W'"),
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


def _normalised(x: Any, axes: tuple[int, ...], eps: float) -> tuple[Any, Any]:
    """(x - mean) / std and std, by the two-pass variance, which does not cancel."""
    centred = named(x - x.mean(axis=axes, keepdims=True), "centred")
    variance = named((centred * centred).mean(axis=axes, keepdims=True), "variance")
    std = named(sqrt(variance + eps), "std")
    return named(centred / std, "normal"), std


def _layer_norm(x: Any, w: Any, b: Any, eps: float) -> Any:
    normal, _ = _normalised(x, _last_axes(x, w), eps)
    return normal * w + b


def _normal_gradient(d: Any, normal: Any, std: Any, axes: tuple[int, ...]) -> Any:
    """Back through (x - mean) / std: what is left after mean and scale took their part."""
    shift = named(d.mean(axis=axes, keepdims=True), "d_shift")
    stretch = named((d * normal).mean(axis=axes, keepdims=True), "d_stretch")
    return (d - shift - normal * stretch) / std


def _layer_norm_dx(g: Any, y: Any, x: Any, w: Any, b: Any, eps: float) -> Any:
    axes = _last_axes(x, w)
    normal, std = _normalised(x, axes, eps)
    return _normal_gradient(named(g * w, "d_normal"), normal, std, axes)


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
        "y = (x - mean) / std w + b",
        "dx = (d - mean d - normal mean(d normal)) / std, d = dy w",
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


def _channel_axes(x: Any) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _channels(w: Any, x: Any) -> Any:
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


def batch_statistics(x: Any) -> tuple[Any, Any]:
    """Mean and (biased) variance of each channel, kept in a shape that stretches."""
    mean = named(x.mean(axis=_channel_axes(x), keepdims=True), "batch_mean")
    centred = named(x - mean, "centred")
    return mean, named((centred * centred).mean(axis=_channel_axes(x), keepdims=True), "variance")


def _batch_normal(x: Any, eps: float) -> tuple[Any, Any]:
    mean, variance = batch_statistics(x)
    std = named(sqrt(variance + eps), "std")
    return named(named(x - mean, "centred") / std, "normal"), std


def _batch_norm_dx(g: Any, y: Any, x: Any, w: Any, b: Any, eps: float) -> Any:
    normal, std = _batch_normal(x, eps)
    d = named(g * _channels(w, x), "d_normal")
    return _normal_gradient(d, normal, std, _channel_axes(x))


batch_norm = Op(
    "batch_norm",
    ("x", "w", "b"),
    (number("eps", 1e-5),),
    says="Each channel brought to mean 0 and variance 1 over the batch, then scaled and shifted.",
    formula=r"\frac{x - \mu_c}{\sqrt{\sigma_c^2 + \varepsilon}} w_c + b_c",
    type_rule=_batch_norm_type,
    vjp=(
        _batch_norm_dx,
        lambda g, y, x, w, b, eps: (g * _batch_normal(x, eps)[0]).sum(axis=_channel_axes(x)),
        lambda g, y, x, w, b, eps: g.sum(axis=_channel_axes(x)),
    ),
    expand=lambda x, w, b, eps: _batch_normal(x, eps)[0] * _channels(w, x) + _channels(b, x),
    roles=_COMPOSITE,
    family="layer",
    plain=(
        "y = (x - mean) / std w + b",
        "dx = (d - mean d - normal mean(d normal)) / std, d = dy w",
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
    expand=lambda x, b: x + _channels(b, x),
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
    plain=("y = x keep, keep = 0 or 1 / (1 - p)", "dx = dy keep"),
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

# -- losses -----------------------------------------------------------------------------------

_LOSS = frozenset({"composite", "loss"})


def _same_shape(prediction: Type, target: Type) -> Type:
    need_float(prediction, target)
    if prediction.shape != target.shape:
        raise ShapeError(
            "prediction and target have different shapes",
            expected=f"target {prediction.shape}",
            received=f"prediction {prediction.shape}, target {target.shape}",
            hint="a loss never stretches one to fit the other; reshape the target",
        )
    if 0 in prediction.shape:
        raise ShapeError("no numbers to take the mean of", received=repr(prediction))
    return Type((), prediction.dtype)


_PAIRS = tuple(
    Sample((Draw(shape, order=order), Draw(shape, order=order)), about=about)
    for shape, order, about in (
        ((4, 3), "C", "rows"),
        ((5,), "C", "vector"),
        ((), "C", "scalar"),
        ((1, 1), "C", "size-1 axes"),
        ((3, 4), "F", "non-contiguous"),
    )
)
_UNEQUAL = (Mistake((Type((4, 1), "float32"), Type((4,), "float32")), {}, "different shapes"),)

mse = Op(
    "mse",
    ("prediction", "target"),
    (),
    says="Mean squared error over all numbers.",
    formula=r"\tfrac{1}{n} \sum (p - t)^2",
    type_rule=_same_shape,
    vjp=(
        lambda g, y, p, t: g * (2 * (p - t) / p.size),
        lambda g, y, p, t: g * (2 * (t - p) / p.size),
    ),
    expand=lambda p, t: (named(p - t, "error") ** 2).mean(),
    roles=_LOSS,
    family="loss",
    samples=_PAIRS,
    errors=_UNEQUAL,
    plain=("L = mean (p - t)^2", "dp = 2 (p - t) / size"),
)


def _clipped(p: Any, eps: float) -> Any:
    return named(minimum(maximum(p, eps), Spelled(1 - eps, f"1 - {eps!r}")), "clipped")


def _rest(clipped: Any) -> Any:
    return named(1 - clipped, "rest")


def _bce_dp(g: Any, y: Any, p: Any, t: Any, eps: float) -> Any:
    c = _clipped(p, eps)
    return g * ((c - t) / (c * _rest(c)) / p.size) * (p == c)


def _bce_type(prediction: Type, target: Type, *, eps: float) -> Type:
    return _same_shape(prediction, target)


def _bce_probs(p: Any, t: Any, eps: float) -> Any:
    c = _clipped(p, eps)
    return -named((t * log(c) + (1 - t) * log(_rest(c))).mean(), "log_likelihood")


_PROBABILITIES = tuple(
    Sample(
        tuple(Draw(d.shape, 0.05, 0.95, order=d.order) for d in s.operands if isinstance(d, Draw)),
        {"eps": 1e-15},
        s.about,
    )
    for s in _PAIRS
)

bce = Op(
    "bce",
    ("prediction", "target"),
    (number("eps", 1e-15),),
    says="Binary cross-entropy of probabilities, clipped away from 0 and 1.",
    formula=r"-\tfrac{1}{n} \sum t \ln p + (1 - t) \ln(1 - p)",
    type_rule=_bce_type,
    vjp=(
        _bce_dp,
        lambda g, y, p, t, eps: g * ((log(1 - _clipped(p, eps)) - log(_clipped(p, eps))) / p.size),
    ),
    expand=_bce_probs,
    roles=_LOSS,
    family="loss",
    samples=_PROBABILITIES,
    kinks="p at a clipping bound",
    errors=(
        Mistake(
            (Type((4, 1), "float32"), Type((4,), "float32")), {"eps": 1e-15}, "different shapes"
        ),
    ),
    plain=("L = -mean(t log p + (1 - t) log(1 - p))", "dp = (p - t) / (p (1 - p)) / size"),
)

bce_logits = Op(
    "bce_logits",
    ("prediction", "target"),
    (),
    says="Binary cross-entropy of the sigmoid of the prediction, accurate for any size of it.",
    formula=r"\tfrac{1}{n} \sum \max(z, 0) - z t + \ln(1 + e^{-|z|})",
    type_rule=_same_shape,
    vjp=(
        lambda g, y, z, t: g * ((sigmoid(z) - t) / z.size),
        lambda g, y, z, t: g * (negative(z) / z.size),
    ),
    expand=lambda z, t: named(maximum(z, 0.0) - z * t + log1p(exp(-absolute(z))), "losses").mean(),
    roles=_LOSS,
    family="loss",
    samples=_PAIRS,
    errors=_UNEQUAL,
    plain=("L = mean(log(1 + exp(z)) - z t)", "dz = (sigmoid(z) - t) / size"),
)


def _cross_entropy_type(prediction: Type, target: Type) -> Type:
    need_float(prediction)
    if len(prediction.shape) != 2 or target.shape != prediction.shape[:1]:
        raise ShapeError(
            "one class for each row of scores is needed",
            expected=f"prediction (rows, classes), target {prediction.shape[:1]}",
            received=f"prediction {prediction.shape}, target {target.shape}",
            hint="a target of one class index for each row, or of one row of shares",
        )
    pick.type_rule(prediction, target)
    return Type((), prediction.dtype)


def _cross_entropy_dz(g: Any, y: Any, z: Any, target: Any) -> Any:
    probs = subtract_one_at(exp(log_softmax(z, axis=1)), target)
    return probs / z.shape[0] * g


cross_entropy = Op(
    "cross_entropy",
    ("prediction", "target"),
    (),
    says="Cross-entropy of scores against the index of the right class, mean over rows.",
    formula=r"-\tfrac{1}{n} \sum_i \ln \operatorname{softmax}(z_i)_{k_i}",
    type_rule=_cross_entropy_type,
    vjp=(_cross_entropy_dz, None),
    expand=lambda z, target: -pick(log_softmax(z, axis=1), target).mean(),
    roles=_LOSS,
    family="loss",
    samples=(
        Sample((Draw((4, 3)), Draw((4,), 0, 3, kind="int")), about="rows"),
        Sample((Draw((1, 1)), Draw((1,), 0, 1, kind="int")), about="size-1 axes"),
        Sample((Draw((4, 3), order="F"), Draw((4,), 0, 3, kind="int")), about="non-contiguous"),
    ),
    errors=(
        Mistake((Type((4, 3), "float32"), Type((3,), "int64")), {}, "one class for each row"),
        Mistake((Type((4, 3), "float32"), Type((4,), "float32")), {}, "whole numbers"),
    ),
    plain=("L = -mean log softmax(z)[y]", "dz = (softmax(z) - onehot(y)) / n"),
)


def _shares_type(prediction: Type, target: Type) -> Type:
    _same_shape(prediction, target)
    if len(prediction.shape) != 2:
        raise ShapeError("rows of scores are needed", received=repr(prediction))
    return Type((), prediction.dtype)


def _shares_dz(g: Any, y: Any, z: Any, t: Any) -> Any:
    probs = exp(log_softmax(z, axis=1))
    return (probs * t.sum(axis=1, keepdims=True) - t) / z.shape[0] * g


cross_entropy_shares = Op(
    "cross_entropy_shares",
    ("prediction", "target"),
    (),
    says="Cross-entropy of scores against one-hot rows or rows of probabilities, mean over rows.",
    formula=r"-\tfrac{1}{n} \sum_i t_i \cdot \ln \operatorname{softmax}(z_i)",
    type_rule=_shares_type,
    vjp=(
        _shares_dz,
        lambda g, y, z, t: -(log_softmax(z, axis=1) / z.shape[0]) * g,
    ),
    expand=lambda z, t: -(t * log_softmax(z, axis=1)).sum() / z.shape[0],
    roles=_LOSS,
    family="loss",
    samples=tuple(
        Sample((Draw(s, order=o), Draw(s, 0.0, 1.0, order=o)), about=about)
        for s, o, about in (((4, 3), "C", "rows"), ((1, 1), "C", "size-1"), ((4, 3), "F", "F"))
    ),
    errors=_UNEQUAL,
    plain=("L = -mean sum t log softmax(z)", "dz = (softmax(z) sum t - t) / n"),
)
