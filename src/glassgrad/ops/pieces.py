"""Activations made of straight pieces: composites, with PyTorch's derivative at each kink."""

from __future__ import annotations

from typing import Any

from glassgrad.errors import ConfigError, ShapeError
from glassgrad.ir import Op, Type

from .activation import above, activation, away_from
from .discrete import clip, logical_and
from .elementwise import absolute, select
from .naming import named
from .record import Draw, Mistake, Sample, need_float, number, unary_float


def _between(x: Any, low: float, high: float) -> Any:
    return named(logical_and(x > low, x < high), "between")


relu6 = activation(
    "relu6",
    "ReLU that stays at 6; its derivative at 0 and at 6 is 0.",
    r"\min(\max(0, x), 6)",
    lambda x: clip(x, low=0, high=6),
    vjp=(lambda g, y, x: g * _between(x, 0, 6),),
    kinks="x = 0 and x = 6",
    samples=away_from(0.0, 6.0, low=-2.0, high=8.0),
    plain=("a = min(max(0, z), 6)", "dz = da * (0 < z < 6)"),
)
hardtanh = activation(
    "hardtanh",
    "The number itself within bounds, and the bound beyond; the derivative there is 0.",
    r"\min(\max(x, a), b)",
    lambda x, min_val, max_val: clip(x, low=min_val, high=max_val),
    vjp=(lambda g, y, x, min_val, max_val: g * _between(x, min_val, max_val),),
    attributes=(number("min_val", -1.0), number("max_val", 1.0)),
    kinks="x = min_val and x = max_val",
    samples=away_from(-0.5, 1.0, min_val=-0.5, max_val=1.0),
    plain=("a = min(max(low, z), high)", "dz = da * (low < z < high)"),
)


def _part(x: Any) -> Any:
    """From 0 to 1 on a straight line between -3 and 3."""
    return named(clip(x / 6 + 0.5, low=0, high=1), "part")


hardsigmoid = activation(
    "hardsigmoid",
    "Sigmoid in straight pieces: 0 below -3, 1 above 3.",
    r"\min(\max(x / 6 + \tfrac{1}{2}, 0), 1)",
    _part,
    vjp=(lambda g, y, x: g * _between(x, -3, 3) / 6,),
    kinks="x = -3 and x = 3",
    samples=away_from(-3.0, 3.0, low=-5.0, high=5.0),
    plain=("a = min(max(0, z / 6 + 1/2), 1)", "dz = da / 6 * (-3 < z < 3)"),
)
hardswish = activation(
    "hardswish",
    "x times its hardsigmoid (Howard 2019).",
    r"x \min(\max(x / 6 + \tfrac{1}{2}, 0), 1)",
    lambda x: x * _part(x),
    vjp=(lambda g, y, x: g * select(_between(x, -3, 3), x / 3 + 0.5, _part(x)),),
    kinks="x = -3 and x = 3",
    samples=away_from(-3.0, 3.0, low=-5.0, high=5.0),
    plain=("a = z * hardsigmoid(z)", "dz = da * (z / 3 + 1/2 where -3 < z < 3, else 0 or 1)"),
)


def _under(x: Any, threshold: float) -> Any:
    return named(x <= threshold, "under")


threshold = activation(
    "threshold",
    "The number itself above a threshold, another number elsewhere.",
    r"x \text{ if } x > t \text{ else } v",
    lambda x, threshold, value: select(_under(x, threshold), value, x),  # so that nan stays nan
    vjp=(lambda g, y, x, threshold, value: select(_under(x, threshold), 0.0, g),),
    attributes=(number("threshold"), number("value")),
    kinks="x = threshold",
    samples=away_from(0.5, threshold=0.5, value=-1.0),
    plain=("a = z where z > threshold, else value", "dz = da where z > threshold, else 0"),
)


def _within(x: Any, lambd: float) -> Any:
    return named(absolute(x) <= lambd, "within")


hardshrink = activation(
    "hardshrink",
    "0 between -lambda and lambda, the number itself elsewhere.",
    r"x \text{ if } |x| > \lambda \text{ else } 0",
    lambda x, lambd: select(_within(x, lambd), 0.0, x),
    vjp=(lambda g, y, x, lambd: select(_within(x, lambd), 0.0, g),),
    attributes=(number("lambd", 0.5),),
    kinks="|x| = lambda",
    samples=away_from(-0.5, 0.5, lambd=0.5),
    plain=("a = z where |z| > lambda, else 0", "dz = da where |z| > lambda, else 0"),
)


def _softshrink_type(x: Type, *, lambd: float) -> Type:
    if lambd < 0:
        raise ConfigError("lambda is a distance", expected="at least 0", received=str(lambd))
    return unary_float(x)


softshrink = activation(
    "softshrink",
    "The number moved towards 0 by lambda, 0 where it is nearer.",
    r"x - \min(\max(x, -\lambda), \lambda)",
    lambda x, lambd: x - clip(x, low=-lambd, high=lambd),
    vjp=(lambda g, y, x, lambd: select(_within(x, lambd), 0.0, g),),
    attributes=(number("lambd", 0.5),),
    type_rule=_softshrink_type,
    kinks="|x| = lambda",
    samples=away_from(-0.5, 0.5, lambd=0.5),
    errors=(Mistake((Type((3,), "float32"),), {"lambd": -1.0}, "is a distance"),),
    plain=("a = z - min(max(-lambda, z), lambda)", "dz = da where |z| > lambda, else 0"),
)


def _prelu_type(x: Type, w: Type) -> Type:
    need_float(x, w)
    if len(w.shape) != 1 or (w.shape != (1,) and w.shape != x.shape[1:2]):
        raise ShapeError(
            "one slope for all, or one for each channel, is needed",
            expected="(1,)" + (f" or ({x.shape[1]},)" if len(x.shape) > 1 else ""),
            received=f"{w.shape} for {x.shape}",
        )
    return x


def _slope(w: Any, x: Any) -> Any:
    """The slopes along the channels, axis 1."""
    return w.reshape((-1, *[1] * (x.ndim - 2))) if x.ndim > 2 and w.shape != (1,) else w


def _prelu_slope_vjp(g: Any, y: Any, x: Any, w: Any) -> Any:
    below = select(above(x), 0.0, g * x)
    if w.shape == (1,):
        return below.sum().reshape(1)
    # Row by row first: sums over a long last axis are pairwise, hence accurate, and quick.
    return (below.flatten(2).sum(axis=2) if x.ndim > 2 else below).sum(axis=0)


prelu = Op(
    "prelu",
    ("x", "w"),
    (),
    says="ReLU with a learnt slope below 0, one for all or one for each channel (He 2015).",
    formula=r"x \text{ if } x > 0 \text{ else } w x",
    type_rule=_prelu_type,
    vjp=(lambda g, y, x, w: select(above(x), g, _slope(w, x) * g), _prelu_slope_vjp),
    expand=lambda x, w: select(above(x), x, _slope(w, x) * x),
    roles=frozenset({"composite"}),
    family="activation",
    kinks="x = 0",
    plain=(
        "a = z where z > 0, else w * z",
        "dz = da where z > 0, else w * da   dw = sum of da * z",
    ),
    samples=tuple(
        Sample(
            (Draw(shape, apart=0.1, away_from=(0.0,), order=order), Draw((count,), 0.1, 0.5)),
            about=about,
        )
        for shape, count, order, about in (
            ((4, 5), 1, "C", "one slope"),
            ((4, 5), 5, "C", "rows"),
            ((2, 3, 4, 5), 3, "C", "images"),
            ((2, 3, 4), 1, "C", "signals, one slope"),
            ((0, 3), 3, "C", "empty"),
            ((1, 1, 2), 1, "C", "size-1 axes"),
            ((2, 3, 4), 3, "F", "non-contiguous"),
        )
    ),
    errors=(
        Mistake((Type((2, 3), "float32"), Type((2,), "float32")), {}, "one slope for all"),
        Mistake((Type((2, 3), "int64"), Type((1,), "float32")), {}, "real numbers"),
    ),
)
