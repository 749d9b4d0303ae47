"""Losses of classes: of probabilities and scores, of margins, and of rows of them.

See `loss` on what a loss is; here the target says which class, by an index, a share or a sign.
"""

from __future__ import annotations

from typing import Any

from glassgrad.errors import ConfigError, ShapeError, shown
from glassgrad.ir import Attribute, Op, Type

from .activation import log_softmax, sigmoid, softplus
from .elementwise import (
    absolute,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    negative,
    not_equal,
    select,
)
from .index import pick, put_at, subtract_one_at
from .loss import LOSS, above, loss_type, pairwise, reduced, reduction, same_shape, within
from .movement import broadcast_to
from .naming import named
from .record import Draw, Mistake, Sample, Spelled, need_float, number, whole

# -- two classes, number by number ------------------------------------------------------------


def _clipped(p: Any, eps: float) -> Any:
    return named(minimum(maximum(p, eps), Spelled(1 - eps, f"1 - {eps!r}")), "clipped")


def _rest(clipped: Any) -> Any:
    return named(1 - clipped, "rest")


def _bce_dp(p: Any, t: Any, eps: float) -> Any:
    c = _clipped(p, eps)
    return (c - t) / (c * _rest(c)) * (p == c)


def _bce(p: Any, t: Any, eps: float) -> Any:
    c = _clipped(p, eps)
    return t * log(c) + (1 - t) * log(_rest(c))


bce = pairwise(
    "bce",
    "Binary cross-entropy of probabilities, clipped away from 0 and 1.",
    r"-\tfrac{1}{n} \sum t \ln p + (1 - t) \ln(1 - p)",
    _bce,
    _bce_dp,
    lambda p, t, eps: log(1 - _clipped(p, eps)) - log(_clipped(p, eps)),
    ("L = -mean of t * log p + (1 - t) * log(1 - p)", "dp = (p - t) / (p * (1 - p)) / size"),
    likelihood=True,
    attributes=(number("eps", 1e-15),),
    draws=({"low": 0.05, "high": 0.95}, {"low": 0.05, "high": 0.95}),
    kinks="p at a clipping bound",
)
bce_logits = pairwise(
    "bce_logits",
    "Binary cross-entropy of the sigmoid of the prediction, accurate for any size of it.",
    r"\tfrac{1}{n} \sum \max(z, 0) - z t + \ln(1 + e^{-|z|})",
    lambda z, t: named(maximum(z, 0.0) - z * t + log1p(exp(-absolute(z))), "losses"),
    lambda z, t: sigmoid(z) - t,
    lambda z, t: negative(z),
    ("L = mean of log(1 + exp(z)) - z * t", "dz = (sigmoid(z) - t) / size"),
)


_ALPHA = within("alpha", 0.25)


def _share(value: Any, inputs: tuple[Any, ...]) -> Any:
    """The weight of the positive class, or None where both weigh the same."""
    return None if value is None else _ALPHA.normal(value, inputs)


def _missed(z: Any, t: Any) -> Any:
    """The probability of what is not so: 1 - p where t is 1, p where t is 0."""
    yes, no = _answers(z)
    return named(yes * (1 - t) + no * t, "missed")


def _answers(z: Any) -> tuple[Any, Any]:
    """The probabilities of 1 and of 0, each as exact as the other."""
    return named(sigmoid(z), "yes"), named(sigmoid(-z), "no")


def _fade(missed: Any, power: float) -> Any:
    """missed^power. It may be exactly 0, where a power below 0 would be infinite."""
    if power in (0, 1):
        return missed if power else 1.0
    if power > 0:
        return missed**power
    return select(missed > 0, missed, 1.0) ** power


def _balance(t: Any, alpha: float | None) -> Any:
    """What a number's class weighs."""
    if alpha is None:
        return 1.0
    return named(alpha * t + Spelled(1 - alpha, f"(1 - {alpha!r})") * (1 - t), "balance")


def _logits_loss(z: Any, t: Any) -> Any:
    return bce_logits(z, t, reduction="none")


def _focal(z: Any, t: Any, alpha: float | None, gamma: float) -> Any:
    return _balance(t, alpha) * _fade(_missed(z, t), gamma) * _logits_loss(z, t)


def _focal_dz(z: Any, t: Any, alpha: float | None, gamma: float) -> Any:
    m = _missed(z, t)
    yes, no = _answers(z)
    slope = _fade(m, gamma) * (yes - t)
    if gamma:
        turn = yes * no * (1 - 2 * t)
        slope = slope + gamma * _fade(m, gamma - 1) * turn * _logits_loss(z, t)
    return _balance(t, alpha) * slope


def _focal_dt(z: Any, t: Any, alpha: float | None, gamma: float) -> Any:
    m, lost = _missed(z, t), _logits_loss(z, t)
    yes, no = _answers(z)
    slope = _fade(m, gamma) * -z
    if gamma:
        slope = slope + gamma * _fade(m, gamma - 1) * (no - yes) * lost
    slope = _balance(t, alpha) * slope
    return slope if alpha is None else slope + (2 * alpha - 1) * _fade(m, gamma) * lost


focal = pairwise(
    "focal",
    "Binary cross-entropy of the sigmoid in which what is nearly right counts little.",
    r"\tfrac{1}{n} \sum \alpha_t\, m^\gamma \ell,\quad"
    r" m = \sigma(z)(1 - t) + \sigma(-z)\,t,\ \ell = \ln(1 + e^z) - z t",
    _focal,
    _focal_dz,
    _focal_dt,
    (
        "L = mean of a * m^gamma * l: cross-entropy l, missed share m, a = alpha or 1 - alpha",
        "dz = a * (m^gamma * dl + gamma * m^(gamma - 1) * dm * l) / size",
    ),
    attributes=(
        Attribute("alpha", _share, "float | None", 0.25),
        above("gamma", 2.0, least=True),
    ),
    draws=({}, {"low": 0.0, "high": 1.0}),
    variants=({"alpha": None, "gamma": 0.5}, {"gamma": 0.0}),
)

# -- two classes by sign ----------------------------------------------------------------------

_SIGNS = ({"apart": 0.1, "away_from": (0.0,)}, {"low": 1.2, "high": 2.0})


def _short(p: Any, t: Any, margin: float) -> Any:
    """How far a prediction is short of its margin, on the right side of 0."""
    return named(maximum(margin - _agreement(p, t), 0.0), "short")


def _agreement(p: Any, t: Any) -> Any:
    return named(t * p, "agreement")


hinge = pairwise(
    "hinge",
    "How far predictions are short of a margin on the side that the target's sign says.",
    r"\tfrac{1}{n} \sum \max(0,\ m - t p)",
    _short,
    lambda p, t, margin: -t * (_agreement(p, t) <= margin),
    lambda p, t, margin: -p * (_agreement(p, t) <= margin),
    ("L = mean of max(0, margin - t * p)", "dp = -t * (t * p <= margin) / size"),
    attributes=(number("margin", 1.0),),
    draws=({"low": -2.0, "high": 0.4}, {"low": 1.2, "high": 2.0}),
    variants=({"margin": -5.0},),
    kinks="t p = margin",
)
squared_hinge = pairwise(
    "squared_hinge",
    "Squares of how far predictions are short of a margin of 1 on the target's side.",
    r"\tfrac{1}{n} \sum \max(0,\ 1 - t p)^2",
    lambda p, t: _short(p, t, 1.0) ** 2,
    lambda p, t: -2 * t * _short(p, t, 1.0),
    lambda p, t: -2 * p * _short(p, t, 1.0),
    ("L = mean of max(0, 1 - t * p)^2", "dp = -2 * t * max(0, 1 - t * p) / size"),
    draws=({"low": -2.0, "high": 0.4}, {"low": 1.2, "high": 2.0}),
    kinks="t p = 1, in the second derivative",
)
soft_margin = pairwise(
    "soft_margin",
    "Logistic loss of predictions and signs: a hinge without a corner.",
    r"\tfrac{1}{n} \sum \ln(1 + e^{-t p})",
    lambda p, t: softplus(-t * p),
    lambda p, t: -t * sigmoid(-t * p),
    lambda p, t: -p * sigmoid(-t * p),
    ("L = mean of log(1 + exp(-t * p))", "dp = -t * sigmoid(-t * p) / size"),
)


def _far(p: Any, margin: float) -> Any:
    return named(maximum(margin - p, 0.0), "short")


hinge_embedding = pairwise(
    "hinge_embedding",
    "Distances of what belongs together (1), and how far others (-1) are short of a margin.",
    r"\tfrac{1}{n} \sum p \text{ if } t > 0 \text{ else } \max(0,\ m - p)",
    lambda p, t, margin: select(t > 0, p, _far(p, margin)),
    lambda p, t, margin: select(t > 0, 1.0, -(p <= margin).astype(p.dtype)),
    None,
    (
        "L = mean of p where t is 1, max(0, margin - p) where t is -1",
        "dp = (1 where t is 1, -(p <= margin) where t is -1) / size",
    ),
    attributes=(number("margin", 1.0),),
    draws=({"low": 0.1, "high": 0.9}, {"apart": 0.5, "away_from": (0.0,)}),
    kinks="p = margin, or t = 0",
)

# -- rows of scores ---------------------------------------------------------------------------


def _index(value: Any, _: tuple[Any, ...]) -> int | None:
    return None if value is None else whole(value, "ignore_index")


IGNORED = Attribute("ignore_index", _index, "int | None", None)


def _rows_type(prediction: Type, target: Type, *, reduction: str, **_: Any) -> Type:
    need_float(prediction)
    if len(prediction.shape) != 2 or target.shape != prediction.shape[:1]:
        raise ShapeError(
            "one class for each row of scores is needed",
            expected=f"prediction (rows, classes), target {prediction.shape[:1]}",
            received=f"prediction {prediction.shape}, target {target.shape}",
            hint="a target of one class index for each row, or of one row of shares",
        )
    pick.type_rule(prediction, target)
    return loss_type(target.shape, prediction.dtype, reduction)


def _kept(target: Any, ignore_index: int) -> Any:
    return named(not_equal(target, ignore_index), "kept")


def _classes(target: Any, ignore_index: int | None) -> Any:
    """The class of each row; one that is ignored has the first, which then counts nothing."""
    if ignore_index is None:
        return target
    return named(select(_kept(target, ignore_index), target, 0), "classes")


def _count(target: Any, ignore_index: int | None, dtype: str) -> Any:
    """How many rows are not ignored."""
    if ignore_index is None:
        return target.shape[0]
    return named(_kept(target, ignore_index).astype(dtype).sum(), "count")


def _reduced_rows(rows: Any, target: Any, ignore_index: int | None, reduction: str) -> Any:
    """The log-likelihoods of rows as a loss, without those that are ignored."""
    if ignore_index is None:
        return -reduced(rows, reduction)
    rows = select(_kept(target, ignore_index), rows, 0.0)
    if reduction == "mean":
        return -(rows.sum() / _count(target, ignore_index, rows.dtype))
    return -reduced(rows, reduction)


def _shared_rows(g: Any, slope: Any, target: Any, ignore_index: int | None, reduction: str) -> Any:
    """The derivative of `_reduced_rows`: the slope of each row, times what the row counts for."""
    if ignore_index is not None:
        slope = select(_kept(target, ignore_index).reshape(-1, 1), slope, 0.0)
    if reduction == "mean":
        return slope / _count(target, ignore_index, slope.dtype) * g
    return slope * (g.reshape(-1, 1) if reduction == "none" else g)


def _cross_entropy(
    z: Any, target: Any, label_smoothing: float, ignore_index: int | None, reduction: str
) -> Any:
    log_probs = log_softmax(z, axis=1)
    rows = pick(log_probs, _classes(target, ignore_index))
    if label_smoothing:
        sure = Spelled(1 - label_smoothing, f"(1 - {label_smoothing!r})")
        rows = sure * rows + label_smoothing * log_probs.mean(axis=1)
    return _reduced_rows(rows, target, ignore_index, reduction)


def _cross_entropy_dz(
    g: Any,
    y: Any,
    z: Any,
    target: Any,
    label_smoothing: float,
    ignore_index: int | None,
    reduction: str,
) -> Any:
    """Softmax less the target, which smoothing mixes with equal shares."""
    probs = exp(log_softmax(z, axis=1))
    slope = subtract_one_at(probs, _classes(target, ignore_index))
    if label_smoothing:
        sure = Spelled(1 - label_smoothing, f"(1 - {label_smoothing!r})")
        slope = sure * slope + label_smoothing * (named(probs, "probs") - 1 / z.shape[1])
    return _shared_rows(g, slope, target, ignore_index, reduction)


def _row_samples(*settings: dict[str, Any]) -> tuple[Sample, ...]:
    """Rows of scores and indices, with the first settings, and once with each of the others."""
    first, *others = settings
    cases: tuple[tuple[tuple[int, int], str, str], ...] = (
        ((4, 3), "C", "rows"),
        ((1, 1), "C", "size-1 axes"),
        ((4, 3), "F", "non-contiguous"),
    )
    return (
        *(
            Sample((Draw(s, order=o), Draw(s[:1], 0, s[1], kind="int")), first, about)
            for s, o, about in cases
        ),
        Sample(
            (Draw((0, 3)), Draw((0,), 0, 3, kind="int")), {**first, "reduction": "none"}, "empty"
        ),
        *(
            Sample((Draw((5, 4)), Draw((5,), 0, 4, kind="int")), {**first, **more}, str(more))
            for more in others
        ),
    )


_Z, _K = Type((4, 3), "float32"), Type((4,), "int64")
_BAD_ROWS = (
    Mistake((Type((4, 3), "float32"), Type((3,), "int64")), {}, "one class for each row"),
    Mistake((Type((4, 3), "float32"), Type((4,), "float32")), {}, "whole numbers"),
)

cross_entropy = Op(
    "cross_entropy",
    ("prediction", "target"),
    (within("label_smoothing", 0.0), IGNORED, reduction()),
    says="Cross-entropy of scores against the index of the right class, mean over rows.",
    formula=r"-\tfrac{1}{n} \sum_i \ln \operatorname{softmax}(z_i)_{k_i}",
    type_rule=_rows_type,
    vjp=(_cross_entropy_dz, None),
    expand=_cross_entropy,
    roles=LOSS,
    family="loss",
    samples=_row_samples(
        {},
        {"reduction": "sum"},
        {"reduction": "none", "ignore_index": 1},
        {"label_smoothing": 0.1},
        {"label_smoothing": 0.3, "ignore_index": 2},
    ),
    errors=(*_BAD_ROWS, Mistake((_Z, _K), {"label_smoothing": 1.5}, "out of range")),
    plain=(
        "L = -mean of log softmax(z)[y]; z less its largest first, so that exp cannot overflow",
        "dz = (softmax(z) - onehot(y)) / n",
    ),
)


def _nll_dx(g: Any, y: Any, x: Any, target: Any, ignore_index: int | None, reduction: str) -> Any:
    each = g if reduction != "mean" else g / _count(target, ignore_index, x.dtype)
    rows = broadcast_to(-each, shape=target.shape)
    if ignore_index is not None:
        rows = select(_kept(target, ignore_index), rows, 0.0)
    return put_at(_classes(target, ignore_index), rows, size=x.shape[1])


nll = Op(
    "nll",
    ("prediction", "target"),
    (IGNORED, reduction()),
    says="Negative log-likelihood: log-probabilities read at the right class, mean over rows.",
    formula=r"-\tfrac{1}{n} \sum_i x_{i, k_i}",
    type_rule=_rows_type,
    vjp=(_nll_dx, None),
    expand=lambda x, target, ignore_index, reduction: _reduced_rows(
        pick(x, _classes(target, ignore_index)), target, ignore_index, reduction
    ),
    roles=LOSS,
    family="loss",
    samples=_row_samples(
        {}, {"reduction": "sum"}, {"ignore_index": 1}, {"reduction": "none", "ignore_index": 2}
    ),
    errors=_BAD_ROWS,
    plain=("L = -mean of x[y], where x = log of probabilities", "dx = -onehot(y) / n"),
)


def _power(value: Any, _: tuple[Any, ...]) -> int:
    if isinstance(value, bool) or value not in (1, 2):
        raise ConfigError("the power of a hinge", expected="1 or 2", received=shown(value))
    return int(value)


def _over(z: Any, target: Any, margin: float) -> Any:
    """How far each other class comes within the margin of the right one, which itself has 0."""
    right = named(pick(z, target).reshape(-1, 1), "right")
    over = maximum(z - right + margin, 0.0)
    return named(over - put_at(target, pick(over, target), size=z.shape[1]), "over")


def _multi_margin(z: Any, target: Any, p: int, margin: float, reduction: str) -> Any:
    over = _over(z, target, margin)
    rows = (over if p == 1 else over**2).sum(axis=1)
    return reduced(named(rows / z.shape[1], "losses"), reduction)


def _multi_margin_dz(
    g: Any, y: Any, z: Any, target: Any, p: int, margin: float, reduction: str
) -> Any:
    """The others' slopes, and at the right class less their sum."""
    over = _over(z, target, margin)
    others = ((over > 0).astype(z.dtype) if p == 1 else 2 * over) / z.shape[1]
    slope = others - put_at(target, others.sum(axis=1), size=z.shape[1])
    return _shared_rows(g, slope, target, None, reduction)


multi_margin = Op(
    "multi_margin",
    ("prediction", "target"),
    (Attribute("p", _power, "int", 1), number("margin", 1.0), reduction()),
    says="How far other classes come within a margin of the right one, mean over rows and classes.",
    formula=r"\tfrac{1}{n c} \sum_i \sum_{j \ne k_i} \max(0,\ m - z_{i,k_i} + z_{i,j})^p",
    type_rule=_rows_type,
    vjp=(_multi_margin_dz, None),
    expand=_multi_margin,
    roles=LOSS,
    family="loss",
    samples=_row_samples(
        {"margin": 1.0},
        {"p": 2},
        {"reduction": "none", "margin": 0.5},
        {"p": 2, "reduction": "sum"},
    ),
    errors=(*_BAD_ROWS, Mistake((_Z, _K), {"p": 3}, "1 or 2")),
    kinks="a class exactly at the margin",
    plain=(
        "L = mean of sum over others of max(0, margin - z[y] + z)^p / classes",
        "dz = (s - onehot(y) * sum of s) / n, where s = p * max(0, ...)^(p - 1) / classes",
    ),
)

# -- rows of shares ---------------------------------------------------------------------------


def _shares_type(prediction: Type, target: Type, *, reduction: str, **_: Any) -> Type:
    same_shape(prediction, target)
    if len(prediction.shape) != 2:
        raise ShapeError("rows of scores are needed", received=repr(prediction))
    return loss_type(prediction.shape[:1], prediction.dtype, reduction)


def _reduced_shares(terms: Any, reduction: str) -> Any:
    """Terms for each row and class, added up over the classes."""
    if reduction == "none":
        return -terms.sum(axis=1)
    return -terms.sum() / terms.shape[0] if reduction == "mean" else -terms.sum()


def _share_rows(g: Any, slope: Any, reduction: str) -> Any:
    return _shared_rows(g, slope, slope, None, reduction)


def _shares_dz(g: Any, y: Any, z: Any, t: Any, reduction: str) -> Any:
    probs = exp(log_softmax(z, axis=1))
    return _share_rows(g, probs * t.sum(axis=1, keepdims=True) - t, reduction)


_SHARES = tuple(
    Sample((Draw(s, order=o), Draw(s, 0.0, 1.0, order=o)), {"reduction": how}, about)
    for s, o, how, about in (
        ((4, 3), "C", "mean", "rows"),
        ((1, 1), "C", "mean", "size-1"),
        ((4, 3), "F", "mean", "F"),
        ((2, 3), "C", "sum", "sum"),
        ((2, 3), "strided", "none", "row by row"),
        ((0, 3), "C", "none", "empty"),
    )
)
_UNEQUAL = (Mistake((Type((4, 1), "float32"), Type((4,), "float32")), {}, "different shapes"),)

cross_entropy_shares = Op(
    "cross_entropy_shares",
    ("prediction", "target"),
    (reduction(),),
    says="Cross-entropy of scores against one-hot rows or rows of probabilities, mean over rows.",
    formula=r"-\tfrac{1}{n} \sum_i t_i \cdot \ln \operatorname{softmax}(z_i)",
    type_rule=_shares_type,
    vjp=(
        _shares_dz,
        lambda g, y, z, t, reduction: -_share_rows(g, log_softmax(z, axis=1), reduction),
    ),
    expand=lambda z, t, reduction: _reduced_shares(t * log_softmax(z, axis=1), reduction),
    roles=LOSS,
    family="loss",
    samples=_SHARES,
    errors=_UNEQUAL,
    plain=("L = -mean of sum t * log softmax(z)", "dz = (softmax(z) * sum of t - t) / n"),
)


def _categorical_focal(z: Any, t: Any, alpha: float, gamma: float, reduction: str) -> Any:
    log_probs = log_softmax(z, axis=1)
    missed = named(-expm1(log_probs), "missed")
    terms = _fade(missed, gamma) * (t * log_probs)
    return alpha * _reduced_shares(terms, reduction)


def _categorical_focal_slope(z: Any, gamma: float) -> tuple[Any, Any]:
    """The term of a share of 1, and its derivative in the logarithm of its probability."""
    log_probs = log_softmax(z, axis=1)
    missed = named(-expm1(log_probs), "missed")
    slope = _fade(missed, gamma)
    if gamma:
        slope = slope - gamma * _fade(missed, gamma - 1) * exp(log_probs) * log_probs
    return _fade(missed, gamma) * log_probs, slope


def _categorical_focal_dz(
    g: Any, y: Any, z: Any, t: Any, alpha: float, gamma: float, reduction: str
) -> Any:
    _, slope = _categorical_focal_slope(z, gamma)
    each = named(alpha * t * slope, "pulls")
    probs = exp(log_softmax(z, axis=1))
    return _share_rows(g, probs * each.sum(axis=1, keepdims=True) - each, reduction)


def _categorical_focal_dt(
    g: Any, y: Any, z: Any, t: Any, alpha: float, gamma: float, reduction: str
) -> Any:
    term, _ = _categorical_focal_slope(z, gamma)
    return -_share_rows(g, alpha * term, reduction)


categorical_focal = Op(
    "categorical_focal",
    ("prediction", "target"),
    (above("alpha", 0.25), above("gamma", 2.0, least=True), reduction()),
    says="Cross-entropy of scores in which classes that are nearly right count little.",
    formula=r"-\tfrac{\alpha}{n} \sum_i t_i \cdot (1 - q_i)^\gamma \ln q_i,\quad"
    r" q_i = \operatorname{softmax}(z_i)",
    type_rule=_shares_type,
    vjp=(_categorical_focal_dz, _categorical_focal_dt),
    expand=_categorical_focal,
    roles=LOSS,
    family="loss",
    samples=tuple(
        Sample(s.operands, {"alpha": 0.25, "gamma": gamma, **s.attributes}, s.about)
        for gamma in (2.0, 0.5)
        for s in _SHARES
        if (1, 1) not in [d.shape for d in s.operands if isinstance(d, Draw)] or gamma == 2
    ),
    errors=_UNEQUAL,
    plain=(
        "L = -mean of alpha * sum t * (1 - q)^gamma * log q, where q = softmax(z)",
        "dz = (q * sum of s - s) / n; s = alpha * t * slope of (1 - q)^gamma * log q in log q",
    ),
)
