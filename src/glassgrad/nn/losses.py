"""Losses: functions of (prediction, target) that give one number, the mean over the batch.

They refuse shapes that would stretch to fit each other. `RECORDS` is the one place where a loss is
described: its names, what it is called in print, and what the target has to look like; `find` turns
a name into a function, `known` into the record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from glassgrad.errors import ConfigError, DataError, ShapeError, shown, unknown_name
from glassgrad.ir import FLOATS
from glassgrad.ops import OPS, Array, named
from glassgrad.tensors.tensor import Tensor, tensor

Function = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class LossRecord:
    """What there is to know about a loss, beside what it computes."""

    name: str
    function: Function
    title: str  # in headings: "cross-entropy"
    of: str  # what it is the title of, where that needs saying: "softmax"
    op: str  # the composite whose two formula lines head it in a program
    target: Literal["numbers", "classes"]  # class indices are whole numbers, or rows of shares
    aliases: tuple[str, ...] = ()
    classifies: bool = False  # so that accuracy means something
    logits: bool = False  # predictions are scores: the even one is 0, not a half

    @property
    def about(self) -> str:
        """The title in full."""
        return f"{self.title} of {self.of}" if self.of else self.title


def _array(target: Any) -> Any:
    return target if isinstance(target, Array) else tensor(target)


def mse(prediction: Any, target: Any) -> Any:
    """Mean squared error: mean (p - t)^2 over all numbers.

    Shapes: prediction and target equal. Raises ShapeError otherwise.

    >>> import glassgrad as gg
    >>> gg.nn.losses.mse(gg.tensor([0.0, 1.0, 1.0]), gg.tensor([0.0, 1.0, 2.0])).item()
    0.3333333432674408
    """
    return OPS["mse"](prediction, _array(target))


def binary_cross_entropy(prediction: Any, target: Any) -> Any:
    """Cross-entropy of probabilities: -mean(t log p + (1 - t) log(1 - p)).

    Probabilities are clipped to [1e-15, 1 - 1e-15] in float64 and [1e-7, 1 - 1e-7] in float32,
    whose numbers are coarser than 1e-15 near 1. Shapes: equal, or ShapeError.

    >>> import glassgrad as gg
    >>> p, t = gg.tensor([0.9, 0.2], "float64"), gg.tensor([1.0, 0.0], "float64")
    >>> round(gg.nn.losses.binary_cross_entropy(p, t).item(), 6)
    0.164252
    """
    return OPS["bce"](
        prediction, _array(target), eps=1e-15 if prediction.dtype == "float64" else 1e-7
    )


def binary_cross_entropy_with_logits(prediction: Any, target: Any) -> Any:
    """Cross-entropy of the sigmoid of scores, accurate for any size of them.

    mean(max(z, 0) - z t + log(1 + e^-|z|)). Shapes: equal, or ShapeError.

    >>> import glassgrad as gg
    >>> z, t = gg.tensor([2.0, -1.0]), gg.tensor([1.0, 0.0])
    >>> round(gg.nn.losses.binary_cross_entropy_with_logits(z, t).item(), 6)
    0.220095
    """
    return OPS["bce_logits"](prediction, _array(target))


def cross_entropy(prediction: Any, target: Any) -> Any:
    """Cross-entropy of scores (logits): -mean log softmax(z)[k], the mean over rows.

    Shapes: prediction (n, classes) or (n, classes, ...); target class indices (n, ...) int64, or
    one-hot rows or probabilities of the prediction's shape. Raises ShapeError otherwise, and
    DataError for a class outside 0 to classes - 1.

    >>> import glassgrad as gg
    >>> scores = gg.tensor([[2.0, 1.0, 0.1]])
    >>> round(gg.nn.losses.cross_entropy(scores, gg.tensor([0])).item(), 5)
    0.41703
    """
    z, t = prediction, _array(target)
    if z.ndim < 2:
        raise ShapeError(
            "scores of classes need two axes",
            where="cross_entropy",
            expected="(n, classes)",
            received=str(z.shape),
            hint="one score for each class: a last layer of that many units",
        )
    if t.ndim == z.ndim and t.dtype not in FLOATS:
        raise ShapeError(
            "class indices have one axis less than the scores",
            where="cross_entropy",
            expected=f"indices {(z.shape[0], *z.shape[2:])}, or real shares {z.shape}",
            received=f"{t.dtype} {t.shape}",
            hint="a column of labels is y.reshape(-1); one-hot rows are real: y.astype(z.dtype)",
        )
    if z.ndim > 2:
        order = (0, *range(2, z.ndim), 1)
        if t.ndim == z.ndim:
            t = t.transpose(order).reshape(-1, t.shape[1])
        else:
            t = t.reshape(-1)
        z = named(z.transpose(order).reshape(-1, z.shape[1]), "scores")
        t = named(t, "targets")
    if t.ndim == z.ndim:
        return OPS["cross_entropy_shares"](z, t)
    if isinstance(t, Tensor):
        check_classes(t.numpy(), int(z.shape[1]))
    return OPS["cross_entropy"](z, t)


def check_classes(labels: Any, classes: int) -> None:
    """Raise DataError for the first label that is not a class."""
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        flat = labels.reshape(-1)
        row = int(((flat < 0) | (flat >= classes)).argmax())
        raise DataError(
            "a label is not a class",
            where=f"row {row} of the target",
            expected=f"0 to {classes - 1}, for {classes} outputs",
            received=str(flat[row]),
            hint="labels count from 0; the last layer needs one unit for each class",
        )


RECORDS = (
    LossRecord("mse", mse, "mean squared error", "", "mse", "numbers"),
    LossRecord(
        "bce",
        binary_cross_entropy,
        "binary cross-entropy",
        "probabilities",
        "bce",
        "numbers",
        aliases=("binary_cross_entropy",),
        classifies=True,
    ),
    LossRecord(
        "bce_logits",
        binary_cross_entropy_with_logits,
        "binary cross-entropy of the sigmoid",
        "the scores",
        "bce_logits",
        "numbers",
        aliases=("binary_cross_entropy_with_logits",),
        classifies=True,
        logits=True,
    ),
    LossRecord(
        "cross_entropy",
        cross_entropy,
        "cross-entropy",
        "softmax",
        "cross_entropy",
        "classes",
        classifies=True,
        logits=True,
    ),
)
NAMED: dict[str, LossRecord] = {n: r for r in RECORDS for n in (r.name, *r.aliases)}


def known(name: str) -> LossRecord | None:
    """The record of a name that `find` gave; None for a user's own function."""
    return NAMED.get(name)


def find(loss: Any) -> tuple[str, Function]:
    """A loss and its name, from a name or a function of (prediction, target).

    A user's own function keeps clear of the names of ours.
    """
    if isinstance(loss, str):
        if loss not in NAMED:
            raise unknown_name("loss", loss, tuple(NAMED))
        return NAMED[loss].name, NAMED[loss].function
    if not callable(loss):
        raise ConfigError(
            "this is not a loss",
            expected="a name or a function (prediction, target) -> number",
            received=shown(loss),
        )
    for record in RECORDS:
        if record.function is loss:
            return record.name, loss
    name = getattr(loss, "__name__", "loss")
    return (f"own {name}" if name in NAMED else name), loss
