"""Losses of numbers, and what all losses share: a term for each pair, and a reduction.

A loss is a composite of (prediction, target) that gives one number, their mean by default. What
is its own is its term and the slope of that; `pairwise` makes the record. See `activation` on
composites.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from glassgrad.errors import ConfigError, ShapeError
from glassgrad.ir import Attribute, Op, Type

from .elementwise import absolute, exp, expm1, log, log1p, maximum, minimum, select, sign, tanh
from .naming import named
from .record import Draw, Mistake, Sample, Spelled, choice, flag, need_float, number

LOSS = frozenset({"composite", "loss"})


def reduction(*more: str) -> Attribute:
    """What becomes of the terms: their mean, their sum, or nothing."""
    return choice("reduction", ("mean", "sum", "none", *more), "mean")


def reduced(terms: Any, how: str) -> Any:
    """The terms of a loss as it gives them; `batchmean` is their sum for each row."""
    if how == "none":
        return terms
    if how == "batchmean":
        return terms.sum() / terms.shape[0]
    return terms.mean() if how == "mean" else terms.sum()


def shared(g: Any, slope: Any, like: Any, how: str) -> Any:
    """The derivative of `reduced`: the slope of a term, times what the term counts for."""
    if how == "mean":
        return g * (slope / like.size)
    return g * (slope / like.shape[0]) if how == "batchmean" else g * slope


def loss_type(shape: tuple[Any, ...], dtype: str, how: str) -> Type:
    """One number, or a term for each of this shape. Raises ShapeError for a mean of nothing."""
    if how == "none":
        return Type(shape, dtype)
    if how == "batchmean" and not shape:
        raise ShapeError("a scalar has no rows to take the mean of", received=f"{dtype}{shape}")
    if how != "sum" and 0 in shape:
        raise ShapeError("no numbers to take the mean of", received=f"{dtype}{list(shape)}")
    return Type((), dtype)


def same_shape(*operands: Type) -> None:
    """Raise ShapeError or DTypeError for operands that are not numbers of one shape."""
    need_float(*operands)
    prediction, *others = operands
    for other in others:
        if prediction.shape != other.shape:
            raise ShapeError(
                "prediction and target have different shapes",
                expected=f"target {prediction.shape}",
                received=f"prediction {prediction.shape}, target {other.shape}",
                hint="a loss never stretches one to fit the other; reshape the target",
            )


def _pair_type(*operands: Type, reduction: str, **_: Any) -> Type:
    same_shape(*operands)
    return loss_type(operands[0].shape, operands[0].dtype, reduction)


def pair_samples(
    settings: dict[str, Any], *draws: dict[str, Any], hows: tuple[str, ...] = ("mean", "sum")
) -> tuple[Sample, ...]:
    """Every shape class and reduction for operands of one shape, drawn as each entry says."""
    shapes: tuple[tuple[tuple[int, ...], str, str, str], ...] = (
        ((4, 3), "C", "mean", "rows"),
        ((5,), "C", "sum", "vector, sum"),
        ((), "C", "mean", "scalar"),
        ((1, 1), "C", "mean", "size-1 axes"),
        ((3, 4), "F", "mean", "non-contiguous"),
        ((2, 3), "reversed", "none", "term by term"),
        ((0, 3), "C", "none", "empty"),
        *[((2, 3), "C", how, how) for how in hows if how not in ("mean", "sum")],
    )
    return tuple(
        Sample(
            tuple(Draw(shape, order=order, **draw) for draw in draws),
            {**settings, "reduction": how},
            about,
        )
        for shape, order, how, about in shapes
    )


Rule = Callable[..., Any]


def pairwise(
    name: str,
    says: str,
    formula: str,
    term: Rule,
    slope: Rule,
    target_slope: Rule | None,
    plain: tuple[str, str],
    *,
    likelihood: bool = False,
    attributes: tuple[Attribute, ...] = (),
    reductions: tuple[str, ...] = (),
    draws: tuple[dict[str, Any], ...] = ({}, {}),
    variants: tuple[dict[str, Any], ...] = (),
    kinks: str = "",
) -> Op:
    """The record of a loss whose terms are functions of corresponding numbers.

    Where the term is a `likelihood`, the loss is less that. `slope` and `target_slope` are the
    derivatives of what is lost, None for a target that is a choice rather than a number.
    `draws` say where samples come from, `variants` which other settings need some.
    """

    def expand(p: Any, t: Any, reduction: str, **settings: Any) -> Any:
        found = term(p, t, **settings)
        if likelihood:
            return -named(reduced(found, reduction), "log_likelihood")
        return reduced(found, reduction)

    def rule(function: Rule) -> Rule:
        return lambda g, y, p, t, reduction, **settings: shared(
            g, function(p, t, **settings), p, reduction
        )

    settings = {a.name: a.default for a in attributes}
    f32, f64 = Type((4,), "float32"), Type((4,), "float64")
    return Op(
        name,
        ("prediction", "target"),
        (*attributes, reduction(*reductions)),
        says,
        formula,
        _pair_type,
        vjp=(rule(slope), None if target_slope is None else rule(target_slope)),
        expand=expand,
        roles=LOSS,
        family="loss",
        plain=plain,
        samples=(
            *pair_samples(settings, *draws, hows=reductions),
            *(
                Sample(
                    tuple(Draw((3, 2), **draw) for draw in draws), {**settings, **v}, ", ".join(v)
                )
                for v in variants
            ),
        ),
        errors=(
            Mistake((Type((4, 1), "float32"), f32), settings, "different shapes"),
            Mistake((f32, f64), settings, "different kinds of number"),
            Mistake((f32, f32), {**settings, "reduction": "average"}, "is not one of"),
        ),
        kinks=kinks,
    )


def above(name: str, default: float, least: bool = False) -> Attribute:
    """A finite number above 0, or from 0 where it may be that."""
    return _bounded(
        name, default, "from 0" if least else "above 0", lambda v: v >= 0 if least else v > 0
    )


def within(name: str, default: float) -> Attribute:
    """A number from 0 to 1."""
    return _bounded(name, default, "from 0 to 1", lambda v: 0 <= v <= 1)


def _bounded(name: str, default: float, where: str, fits: Callable[[Any], bool]) -> Attribute:
    inner = number(name, default)

    def normal(value: Any, inputs: tuple[Any, ...]) -> Any:
        found = inner.normal(value, inputs)
        if not math.isfinite(found) or not fits(found):
            raise ConfigError(
                "a setting of a loss is out of range",
                expected=f"a number {where}",
                received=repr(found),
            )
        return found

    return replace(inner, normal=normal)


# -- losses of the error ----------------------------------------------------------------------


def _error(p: Any, t: Any) -> Any:
    return named(p - t, "error")


mse = pairwise(
    "mse",
    "Mean squared error over all numbers.",
    r"\tfrac{1}{n} \sum (p - t)^2",
    lambda p, t: _error(p, t) ** 2,
    lambda p, t: 2 * (p - t),
    lambda p, t: 2 * (t - p),
    ("L = mean of (p - t)^2", "dp = 2 * (p - t) / size"),
)
_APART = (
    {"low": 0.0, "high": 1.0},
    {"low": 1.2, "high": 2.5},
)  # errors of one sign, not of one size


mae = pairwise(
    "mae",
    "Mean absolute error over all numbers; its derivative at 0 is 0.",
    r"\tfrac{1}{n} \sum |p - t|",
    lambda p, t: absolute(_error(p, t)),
    lambda p, t: sign(_error(p, t)),
    lambda p, t: -sign(_error(p, t)),
    ("L = mean of |p - t|", "dp = sign(p - t) / size"),
    kinks="p = t",
    draws=_APART,
)


def _near(p: Any, t: Any, delta: float) -> tuple[Any, Any]:
    """The size of the error, and as much of it as lies within delta."""
    size = named(absolute(_error(p, t)), "error_size")
    return size, named(minimum(size, delta), "near")


def _bent(p: Any, t: Any, delta: float) -> Any:
    """e^2 / 2 up to delta, a straight line beyond: near * (e - near / 2) is both."""
    size, near = _near(p, t, delta)
    return near * (size - 0.5 * near)


def _within(p: Any, t: Any, delta: float) -> Any:
    return maximum(minimum(_error(p, t), delta), -delta)


huber = pairwise(
    "huber",
    "Squared error up to delta (halved), absolute error beyond.",
    r"\tfrac{1}{n} \sum m \left(|e| - \tfrac{m}{2}\right),\quad"
    r" e = p - t,\ m = \min(|e|, \delta)",
    _bent,
    _within,
    lambda p, t, delta: -_within(p, t, delta),
    (
        "L = mean of m * (|p - t| - m / 2), where m = min(|p - t|, delta)",
        "dp = (p - t, cut to -delta .. delta) / size",
    ),
    attributes=(above("delta", 1.0),),
    kinks="|p - t| = delta, in the second derivative",
)


def _smooth(p: Any, t: Any, beta: float) -> Any:
    return _bent(p, t, beta) / beta if beta else absolute(_error(p, t))


def _smooth_dp(p: Any, t: Any, beta: float) -> Any:
    return _within(p, t, beta) / beta if beta else sign(_error(p, t))


smooth_l1 = pairwise(
    "smooth_l1",
    "Squared error up to beta (over 2 beta), absolute error less beta / 2 beyond.",
    r"\tfrac{1}{n} \sum \tfrac{m}{\beta} \left(|e| - \tfrac{m}{2}\right),\quad"
    r" e = p - t,\ m = \min(|e|, \beta)",
    _smooth,
    _smooth_dp,
    lambda p, t, beta: -_smooth_dp(p, t, beta),
    (
        "L = mean of m * (|p - t| - m / 2) / beta, where m = min(|p - t|, beta)",
        "dp = (p - t, cut to -beta .. beta) / beta / size",
    ),
    attributes=(above("beta", 1.0, least=True),),
    kinks="|p - t| = beta, in the second derivative",
)


def _log_cosh(p: Any, t: Any) -> Any:
    """|e| + log((1 + exp(-2 |e|)) / 2): nothing overflows, and the loss of no error is 0."""
    size = named(absolute(_error(p, t)), "error_size")
    return named(size + log1p(0.5 * expm1(-2 * size)), "losses")


log_cosh = pairwise(
    "log_cosh",
    "Logarithm of the hyperbolic cosine of the error, accurate for any size of it.",
    r"\tfrac{1}{n} \sum \ln \cosh(p - t)",
    _log_cosh,
    lambda p, t: tanh(_error(p, t)),
    lambda p, t: -tanh(_error(p, t)),
    ("L = mean of log cosh(p - t)", "dp = tanh(p - t) / size"),
    draws=_APART,  # as composed, |e| has no derivative at 0
)


# -- likelihoods and distances of distributions -----------------------------------------------


def _log_or_zero(t: Any) -> Any:
    """The logarithm of t, and 0 where t is not above 0: 0 log 0 is 0."""
    return log(select(t > 0, t, 1.0))


def _kl(x: Any, t: Any, log_target: bool) -> Any:
    terms = exp(t) * (t - x) if log_target else t * (_log_or_zero(t) - x)
    return named(terms, "losses")


def _kl_dt(x: Any, t: Any, log_target: bool) -> Any:
    if log_target:
        return exp(t) * (t - x + 1)
    return _log_or_zero(t) - x + (t > 0).astype(t.dtype)


kl_div = pairwise(
    "kl_div",
    "Divergence of Kullback and Leibler, of log-probabilities from the target's distribution.",
    r"\tfrac{1}{n} \sum t (\ln t - x)",
    _kl,
    lambda x, t, log_target: -(exp(t) if log_target else t),
    _kl_dt,
    ("L = mean of t * (log t - x), where x = log of the prediction", "dx = -t / size"),
    attributes=(flag("log_target", False),),
    reductions=("batchmean",),
    draws=({"low": -3.0, "high": -0.1}, {"low": 0.05, "high": 0.95}),
    variants=({"log_target": True},),
    kinks="t = 0",
)


def _stirling(t: Any) -> Any:
    """The logarithm of t! as t log t - t + log(2 pi t) / 2, for t above 1; 0 below, as PyTorch has it."""
    large = named(select(t > 1, t, 1.0), "counts")
    return (large * log(large) - large + 0.5 * log(_TWO_PI * large)) * (t > 1)


_TWO_PI = Spelled(2 * math.pi, "2 * math.pi")


def _poisson(x: Any, t: Any, log_input: bool, full: bool, eps: float) -> Any:
    terms = exp(x) - t * x if log_input else x - t * log(x + eps)
    return terms + _stirling(t) if full else terms


def _poisson_dx(x: Any, t: Any, log_input: bool, full: bool, eps: float) -> Any:
    return exp(x) - t if log_input else 1.0 - t / (x + eps)


def _poisson_dt(x: Any, t: Any, log_input: bool, full: bool, eps: float) -> Any:
    slope = -x if log_input else -log(x + eps)
    if not full:
        return slope
    large = named(select(t > 1, t, 1.0), "counts")
    return slope + (log(large) + 0.5 / large) * (t > 1)


poisson_nll = pairwise(
    "poisson_nll",
    "Negative log-likelihood of counts, the prediction being the logarithm of their mean.",
    r"\tfrac{1}{n} \sum e^x - t x",
    _poisson,
    _poisson_dx,
    _poisson_dt,
    ("L = mean of exp(x) - t * x", "dx = (exp(x) - t) / size"),
    attributes=(flag("log_input", True), flag("full", False), above("eps", 1e-8)),
    draws=({"low": 0.3}, {"low": 0.0, "high": 4.0, "apart": 0.1, "away_from": (1.0,)}),
    variants=({"log_input": False, "full": True}, {"full": True}),
    kinks="t = 1, where full",
)


def _spread(var: Any, eps: float) -> Any:
    return named(maximum(var, eps), "variance")


def _gaussian(p: Any, t: Any, var: Any, full: bool, eps: float, reduction: str) -> Any:
    v = _spread(var, eps)
    terms = 0.5 * (log(v) + _error(p, t) ** 2 / v)
    return reduced(terms + _HALF_LOG if full else terms, reduction)


_HALF_LOG = Spelled(0.5 * math.log(2 * math.pi), "0.5 * math.log(2 * math.pi)")


def _gaussian_dp(
    g: Any, y: Any, p: Any, t: Any, var: Any, full: bool, eps: float, reduction: str
) -> Any:
    return shared(g, _error(p, t) / _spread(var, eps), p, reduction)


def _gaussian_dvar(
    g: Any, y: Any, p: Any, t: Any, var: Any, full: bool, eps: float, reduction: str
) -> Any:
    v = _spread(var, eps)
    return shared(g, 0.5 * (v - _error(p, t) ** 2) / (v * v), p, reduction)


gaussian_nll = Op(
    "gaussian_nll",
    ("prediction", "target", "variance"),
    (flag("full", False), above("eps", 1e-6), reduction()),
    says="Negative log-likelihood of numbers about a predicted mean, with a predicted variance.",
    formula=r"\tfrac{1}{2n} \sum \ln v + \frac{(p - t)^2}{v}",
    type_rule=_pair_type,
    vjp=(
        _gaussian_dp,
        lambda g, y, p, t, var, **settings: -_gaussian_dp(g, y, p, t, var, **settings),
        _gaussian_dvar,
    ),
    expand=_gaussian,
    roles=LOSS,
    family="loss",
    samples=pair_samples({"full": True, "eps": 1e-6}, {}, {}, {"low": 0.3, "high": 2.0}),
    errors=(
        Mistake(
            (Type((4,), "float32"), Type((4,), "float32"), Type((1,), "float32")),
            {"full": False, "eps": 1e-6},
            "different shapes",
        ),
    ),
    kinks="variance = eps",
    plain=(
        "L = mean of (log v + (p - t)^2 / v) / 2",
        "dp = (p - t) / v / size   dv = (v - (p - t)^2) / v^2 / 2 / size",
    ),
)
