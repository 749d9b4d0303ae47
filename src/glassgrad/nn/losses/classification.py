"""Losses of classes: of probabilities, of scores, of margins."""

from __future__ import annotations

from typing import Any

from glassgrad.errors import ConfigError, ShapeError
from glassgrad.ir import FLOATS
from glassgrad.ops import OPS, named
from glassgrad.ops.loss import reduced
from glassgrad.tensors.tensor import Tensor

from .operands import alike, array, check_classes, signs, summed, weighted, weights


def binary_cross_entropy(
    prediction: Any, target: Any, *, weight: Any = None, reduction: str = "mean"
) -> Any:
    """Cross-entropy of probabilities: -mean(t log p + (1 - t) log(1 - p)).

    Probabilities are clipped to [1e-15, 1 - 1e-15] in float64 and [1e-7, 1 - 1e-7] in float32,
    whose numbers are coarser than 1e-15 near 1; PyTorch clips the logarithm at -100 instead.
    `weight` stretches to the terms and multiplies them. Shapes: equal, or ShapeError. Definition:
    torch.nn.BCELoss.

    >>> import glassgrad as gg
    >>> p, t = gg.tensor([0.9, 0.2], "float64"), gg.tensor([1.0, 0.0], "float64")
    >>> round(gg.nn.losses.binary_cross_entropy(p, t).item(), 6)
    0.164252
    """
    eps = 1e-15 if prediction.dtype == "float64" else 1e-7
    if weight is None:
        return OPS["bce"](prediction, array(target), eps=eps, reduction=reduction)
    terms = OPS["bce"](prediction, array(target), eps=eps, reduction="none")
    return summed(terms, weight, reduction)


def binary_cross_entropy_with_logits(
    prediction: Any,
    target: Any,
    *,
    weight: Any = None,
    pos_weight: Any = None,
    reduction: str = "mean",
) -> Any:
    """Cross-entropy of the sigmoid of scores, accurate for any size of them.

    mean(max(z, 0) - z t + log(1 + e^-|z|)). `pos_weight` multiplies what a target of 1 costs,
    `weight` the terms; both stretch to them. Shapes: equal, or ShapeError. Definition:
    torch.nn.BCEWithLogitsLoss.

    >>> import glassgrad as gg
    >>> z, t = gg.tensor([2.0, -1.0]), gg.tensor([1.0, 0.0])
    >>> round(gg.nn.losses.binary_cross_entropy_with_logits(z, t).item(), 6)
    0.220095
    """
    z, t = prediction, array(target)
    if weight is None and pos_weight is None:
        return OPS["bce_logits"](z, t, reduction=reduction)
    if pos_weight is None:
        terms = OPS["bce_logits"](z, t, reduction="none")
    else:
        alike(z, t)
        cost = named(
            1 + weighted(t, weights(pos_weight, "pos_weight", z) - 1, "pos_weight"), "cost"
        )
        terms = named((1 - t) * z + cost * OPS["softplus"](named(-z, "opposite")), "losses")
    return reduced(terms, reduction) if weight is None else summed(terms, weight, reduction)


def cross_entropy(
    prediction: Any,
    target: Any,
    *,
    weight: Any = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Any:
    """Cross-entropy of scores (logits): -mean log softmax(z)[k], the mean over rows.

    Shapes: prediction (n, classes) or (n, classes, ...); target class indices (n, ...) int64, or
    one-hot rows or probabilities of the prediction's shape. `weight` has a number for each class;
    with class indices the mean is then over the weights of the targets, as in PyTorch.
    `label_smoothing` mixes the target with equal shares of all classes. Targets equal to
    `ignore_index` count nothing (PyTorch's default, -100, has to be asked for here); the mean of
    no target at all is nan. Raises ShapeError otherwise, and DataError for a class outside 0 to
    classes - 1. Definition: torch.nn.CrossEntropyLoss.

    >>> import glassgrad as gg
    >>> scores = gg.tensor([[2.0, 1.0, 0.1]])
    >>> round(gg.nn.losses.cross_entropy(scores, gg.tensor([0])).item(), 5)
    0.41703
    """
    z, t, shape = _rows(prediction, target, "cross_entropy", ignore_index)
    classes = z.shape[1]
    settings = {"label_smoothing": label_smoothing, "ignore_index": ignore_index}
    if t.ndim == z.ndim:
        if ignore_index is not None:
            raise ConfigError(
                "shares of classes have no index to ignore",
                where="cross_entropy",
                expected="class indices, or no ignore_index",
                received=f"ignore_index={ignore_index}, target {t.dtype} {t.shape}",
            )
        OPS["cross_entropy"].normal((), settings)  # a share may be refused
        if label_smoothing:
            t = (1 - label_smoothing) * t + label_smoothing / classes
        if weight is not None:
            t = weighted(t, _of_classes(weight, z), "weight")
        found = OPS["cross_entropy_shares"](z, t, reduction=reduction)
    elif weight is None:
        found = OPS["cross_entropy"](z, t, **settings, reduction=reduction)
    else:
        w = _of_classes(weight, z)
        each, kept = _of_rows(w, t, ignore_index)
        rows = OPS["cross_entropy"](z, t, ignore_index=ignore_index, reduction="none") * each
        if label_smoothing:
            OPS["cross_entropy"].normal((), settings)
            shares = OPS["broadcast_to"](w, shape=z.shape)
            others = OPS["cross_entropy_shares"](z, shares, reduction="none")
            others = others if kept is None else OPS["select"](kept, others, 0.0)
            rows = (1 - label_smoothing) * rows + label_smoothing / classes * others
        found = _mean_by_weight(rows, each, reduction)
    return found.reshape(shape) if reduction == "none" else found


def nll(
    prediction: Any,
    target: Any,
    *,
    weight: Any = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Any:
    """Negative log-likelihood of log-probabilities: -mean x[k], the mean over rows.

    Shapes, `weight`, `ignore_index` and errors as with `cross_entropy`, which is this after
    log_softmax; targets are class indices. Definition: torch.nn.NLLLoss.

    >>> import glassgrad as gg
    >>> x = gg.log_softmax(gg.tensor([[2.0, 1.0, 0.1]]), axis=1)
    >>> round(gg.nn.losses.nll(x, gg.tensor([0])).item(), 5)
    0.41703
    """
    x, t, shape = _rows(prediction, target, "nll", ignore_index)
    if weight is None:
        found = OPS["nll"](x, t, ignore_index=ignore_index, reduction=reduction)
    else:
        each, _ = _of_rows(_of_classes(weight, x), t, ignore_index)
        rows = OPS["nll"](x, t, ignore_index=ignore_index, reduction="none") * each
        found = _mean_by_weight(rows, each, reduction)
    return found.reshape(shape) if reduction == "none" else found


def _rows(
    prediction: Any, target: Any, name: str, ignore_index: int | None
) -> tuple[Any, Any, tuple[Any, ...]]:
    """Rows of scores, an index or a row of shares for each, and the shape of a number for each."""
    z, t = prediction, array(target)
    if z.ndim < 2:
        raise ShapeError(
            "scores of classes need two axes",
            where=name,
            expected="(n, classes)",
            received=str(z.shape),
            hint="one score for each class: a last layer of that many units",
        )
    if t.ndim == z.ndim and t.dtype not in FLOATS:
        raise ShapeError(
            "class indices have one axis less than the scores",
            where=name,
            expected=f"indices {(z.shape[0], *z.shape[2:])}, or real shares {z.shape}",
            received=f"{t.dtype} {t.shape}",
            hint="a column of labels is y.reshape(-1); one-hot rows are real: y.astype(z.dtype)",
        )
    shape = (z.shape[0], *z.shape[2:])
    if z.ndim > 2:
        order = (0, *range(2, z.ndim), 1)
        if t.ndim == z.ndim:
            t = t.transpose(order).reshape(-1, t.shape[1])
        else:
            t = t.reshape(-1)
        z = named(z.transpose(order).reshape(-1, z.shape[1]), "scores")
        t = named(t, "targets")
    if isinstance(t, Tensor) and t.ndim < z.ndim:
        check_classes(t.numpy(), int(z.shape[1]), ignore_index)
    return z, t, shape


def _of_classes(weight: Any, z: Any) -> Any:
    """Weights with one number for each class."""
    w = weights(weight, "weight", z)
    if w.shape != z.shape[1:]:
        raise ShapeError(
            "one weight for each class is needed",
            where="weight",
            expected=str(z.shape[1:]),
            received=str(w.shape),
        )
    return w


def _of_rows(w: Any, target: Any, ignore_index: int | None) -> tuple[Any, Any]:
    """The weight of each row's class, 0 where it is ignored; and which rows are not."""
    if ignore_index is None:
        return named(OPS["take"](w, target), "row_weight"), None
    kept = OPS["not_equal"](target, ignore_index)
    each = OPS["take"](w, OPS["select"](kept, target, 0))
    return named(OPS["select"](kept, each, 0.0), "row_weight"), kept


def _mean_by_weight(rows: Any, each: Any, reduction: str) -> Any:
    """Weighted rows, reduced; the mean is over the sum of their weights."""
    if reduction == "mean":
        return rows.sum() / named(each.sum(), "weight_sum")
    return reduced(named(rows, "losses"), reduction)


def kl_div(
    prediction: Any, target: Any, *, log_target: bool = False, reduction: str = "mean"
) -> Any:
    """Divergence of log-probabilities x from a distribution t: mean of t (log t - x).

    The mean is over all numbers; `reduction="batchmean"`, the sum for each row, is the divergence
    as it is defined. With `log_target` the target is log t. A share of 0 costs nothing. Shapes:
    equal, or ShapeError. Definition: torch.nn.KLDivLoss.

    >>> import glassgrad as gg
    >>> x, t = gg.log(gg.tensor([[0.5, 0.5]])), gg.tensor([[1.0, 0.0]])
    >>> round(gg.nn.losses.kl_div(x, t, reduction="batchmean").item(), 5)
    0.69315
    """
    return OPS["kl_div"](prediction, array(target), log_target=log_target, reduction=reduction)


def focal(
    prediction: Any,
    target: Any,
    *,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    reduction: str = "mean",
) -> Any:
    """Cross-entropy of the sigmoid of scores in which what is nearly right counts little.

    mean of a (1 - q)^gamma l: l the cross-entropy, q the share of the right answer, a = alpha
    where t is 1 and 1 - alpha where it is 0; None for no balance. Shapes: equal, or ShapeError.
    ConfigError for an alpha outside 0 to 1, a gamma below 0. Lin and others 2017; definition:
    torchvision.ops.sigmoid_focal_loss, whose default reduction is "none".

    >>> import glassgrad as gg
    >>> round(gg.nn.losses.focal(gg.tensor([0.0]), gg.tensor([1.0]), alpha=None).item(), 5)
    0.17329
    """
    return OPS["focal"](prediction, array(target), alpha=alpha, gamma=gamma, reduction=reduction)


def categorical_focal(
    prediction: Any,
    target: Any,
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
    reduction: str = "mean",
) -> Any:
    """Cross-entropy of scores (logits) in which rows that are nearly right count little.

    mean over rows of -alpha sum t (1 - q)^gamma log q, q = softmax(z). Shapes and errors as with
    `cross_entropy`. Definition: keras.losses.CategoricalFocalCrossentropy(from_logits=True), but
    for its clipping of q to 1e-7; class indices are one-hot rows.

    >>> import glassgrad as gg
    >>> z, t = gg.tensor([[0.0, 0.0]]), gg.tensor([1])
    >>> round(gg.nn.losses.categorical_focal(z, t, alpha=1.0).item(), 5)
    0.17329
    """
    z, t, shape = _rows(prediction, target, "categorical_focal", None)
    if t.ndim < z.ndim:
        ones = OPS["broadcast_to"](
            z.emit(OPS["constant"], (), {"value": 1, "dtype": z.dtype}), shape=t.shape
        )
        t = named(OPS["put_at"](t, ones, size=z.shape[1]), "one_hot")
    found = OPS["categorical_focal"](z, t, alpha=alpha, gamma=gamma, reduction=reduction)
    return found.reshape(shape) if reduction == "none" else found


def hinge(prediction: Any, target: Any, *, margin: float = 1.0, reduction: str = "mean") -> Any:
    """How far scores are short of a margin on the side the sign says: mean of max(0, m - t p).

    Targets are 1 and -1, or DataError: Keras would take 0 for -1, here it is said. Shapes: equal,
    or ShapeError. Definition: keras.losses.Hinge, whose margin is 1.

    >>> import glassgrad as gg
    >>> gg.nn.losses.hinge(gg.tensor([2.0, 0.5]), gg.tensor([1.0, -1.0])).item()
    0.75
    """
    return OPS["hinge"](prediction, signs(target), margin=margin, reduction=reduction)


def squared_hinge(prediction: Any, target: Any, *, reduction: str = "mean") -> Any:
    """Mean of max(0, 1 - t p)^2: targets, shapes and errors as with `hinge`.

    Definition: keras.losses.SquaredHinge.

    >>> import glassgrad as gg
    >>> gg.nn.losses.squared_hinge(gg.tensor([2.0, 0.5]), gg.tensor([1.0, -1.0])).item()
    1.125
    """
    return OPS["squared_hinge"](prediction, signs(target), reduction=reduction)


def soft_margin(prediction: Any, target: Any, *, reduction: str = "mean") -> Any:
    """Logistic loss of scores and signs: mean of log(1 + exp(-t p)).

    Targets, shapes and errors as with `hinge`. Definition: torch.nn.SoftMarginLoss.

    >>> import glassgrad as gg
    >>> round(gg.nn.losses.soft_margin(gg.tensor([2.0]), gg.tensor([1.0])).item(), 5)
    0.12693
    """
    return OPS["soft_margin"](prediction, signs(target), reduction=reduction)


def hinge_embedding(
    prediction: Any, target: Any, *, margin: float = 1.0, reduction: str = "mean"
) -> Any:
    """Of distances p: p itself for what belongs together (1), max(0, m - p) for the rest (-1).

    Targets, shapes and errors as with `hinge`. Definition: torch.nn.HingeEmbeddingLoss.

    >>> import glassgrad as gg
    >>> gg.nn.losses.hinge_embedding(gg.tensor([0.5, 0.25]), gg.tensor([1.0, -1.0])).item()
    0.625
    """
    return OPS["hinge_embedding"](prediction, signs(target), margin=margin, reduction=reduction)


def multi_margin(
    prediction: Any,
    target: Any,
    *,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    reduction: str = "mean",
) -> Any:
    """Hinge of classes: how far other scores come within a margin of the right one's.

    mean over rows of sum over j != k of max(0, m - z[k] + z[j])^p / classes, p 1 or 2. `weight`
    has a number for each class and multiplies the rows of it. Shapes: prediction (n, classes),
    target class indices (n). Raises ShapeError otherwise, DataError for a class that is not
    there. Crammer and Singer 2001; definition: torch.nn.MultiMarginLoss.

    >>> import glassgrad as gg
    >>> gg.nn.losses.multi_margin(gg.tensor([[2.0, 1.5, 0.0]]), gg.tensor([0])).item()
    0.1666666716337204
    """
    z, t = prediction, array(target)
    if isinstance(t, Tensor) and z.ndim == 2 and t.ndim == 1 and t.dtype == "int64":
        check_classes(t.numpy(), int(z.shape[1]))
    if weight is None:
        return OPS["multi_margin"](z, t, p=p, margin=margin, reduction=reduction)
    rows = OPS["multi_margin"](z, t, p=p, margin=margin, reduction="none")
    return reduced(rows * OPS["take"](_of_classes(weight, z), t), reduction)


def multilabel_soft_margin(
    prediction: Any, target: Any, *, weight: Any = None, reduction: str = "mean"
) -> Any:
    """Each class yes (1) or no (0): the binary cross-entropy of scores, mean over the last axis.

    `weight` has a number for each class. Shapes: equal (n, classes) or (classes), or ShapeError;
    unreduced, one number for each row. Definition: torch.nn.MultiLabelSoftMarginLoss.

    >>> import glassgrad as gg
    >>> z, t = gg.tensor([[2.0, -1.0]]), gg.tensor([[1.0, 0.0]])
    >>> round(gg.nn.losses.multilabel_soft_margin(z, t).item(), 6)
    0.220095
    """
    terms = OPS["bce_logits"](prediction, array(target), reduction="none")
    if weight is not None:
        terms = weighted(terms, weight, "weight")
    return reduced(terms.mean(axis=-1) if terms.ndim else terms, reduction)
