"""The one place where a loss is described: its names, its settings, its words, its target.

`RECORDS` has a record for every loss; `find` turns a name into a function, `known` into the record.
A loss with its settings is an object of a class that the record makes: `HuberLoss(delta=2.0)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np

from glassgrad.errors import ConfigError, UsageError, shown, unknown_name
from glassgrad.ops import OPS, Array
from glassgrad.tensors.tensor import Buffer

from . import classification, distance, regression
from .operands import constants

Function = Callable[..., Any]
PAIR = ("prediction", "target")
ARRAYS = ("weight", "pos_weight")


@dataclass(frozen=True, slots=True)
class LossRecord:
    """What there is to know about a loss, beside what it computes."""

    name: str
    function: Function
    made: str  # the class of the loss with its settings: "HuberLoss"
    title: str  # in headings: "cross-entropy"
    op: str = ""  # the composite whose two formula lines head it in a program
    # What a target holds: real numbers, class indices (or rows of shares), or 1 and -1.
    target: Literal["numbers", "classes", "signs"] = "numbers"
    of: str = ""  # what it is the title of, where that needs saying: "softmax"
    aliases: tuple[str, ...] = ()
    classifies: bool = False  # so that accuracy means something
    # What predictions are; sigmoid or softmax makes probabilities of logits alone.
    outputs: Literal["numbers", "logits", "margins", "probabilities"] = "numbers"
    operands: tuple[str, ...] = PAIR

    @property
    def about(self) -> str:
        """The title in full."""
        return f"{self.title} of {self.of}" if self.of else self.title

    @property
    def middle(self) -> float:
        """What a prediction of one of two classes is compared with."""
        return 0.0 if self.outputs in ("logits", "margins") else 0.5

    @property
    def by_rows(self) -> bool:
        """Whether it is of (prediction, target): a name for `fit`, whose rows can be weighted.

        Unreduced, such a loss has the rows as its first axis.
        """
        return self.operands == PAIR

    @property
    def defaults(self) -> dict[str, Any]:
        """Its settings, as they are when nothing is said."""
        return dict(self.function.__kwdefaults__ or {})


class Loss:
    """A loss with its settings: call it as its function, or give it to `fit`.

    Raises ConfigError for a setting that it does not have, or a value that cannot be meant.
    """

    record: ClassVar[LossRecord]

    def __init__(self, **settings: Any) -> None:
        defaults = self.record.defaults
        rules = {a.name: a for a in OPS[self.record.op].attributes} if self.record.op else {}
        for name, value in settings.items():
            if name not in defaults:
                raise unknown_name(f"setting of {self.record.made}", name, tuple(defaults))
            if name in ARRAYS and value is not None:
                settings[name] = constants(value, name, "float64")
                settings[name].flags.writeable = False
            elif name in rules:
                try:
                    settings[name] = rules[name].normal(value, ())
                except ConfigError as error:
                    raise error.at(f"{self.record.made}, setting {name!r}") from None
        self.settings = {**defaults, **settings}
        self._held: dict[tuple[str, str], Buffer] = {}

    @property
    def changed(self) -> dict[str, Any]:
        """The settings that are not the defaults."""
        defaults = self.record.defaults
        return {
            k: v for k, v in self.settings.items() if isinstance(v, np.ndarray) or v != defaults[k]
        }

    def but(self, **settings: Any) -> Self:
        """The same loss with some settings changed."""
        return type(self)(**{**self.settings, **settings})

    def __call__(self, *operands: Any, reduction: str | None = None) -> Any:
        names = self.record.operands
        if len(operands) != len(names):
            raise UsageError(
                "a loss is called with other operands",
                where=repr(self),
                expected=", ".join(names),
                received=f"{len(operands)} operand{'s' * (len(operands) != 1)}",
                hint="settings are given when the loss is made",
            )
        dtype = next((a.dtype for a in operands if isinstance(a, Array)), "float32")
        held = {
            name: self._buffer(name, dtype)
            for name in ARRAYS
            if self.settings.get(name) is not None
        }
        given = {} if reduction is None else {"reduction": reduction}
        return self.record.function(*operands, **{**self.settings, **held, **given})

    def _buffer(self, name: str, dtype: str) -> Buffer:
        """A weight in the prediction's dtype; in a program it becomes an input, stored as such."""
        known = self._held.get((name, dtype))
        if known is None:
            numbers = self.settings[name].astype(dtype)
            known = self._held[name, dtype] = Buffer(numbers, name=f"loss.{name}")
        return known

    def __repr__(self) -> str:
        return f"{self.record.made}({_listed(self.changed)})"


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{k}={_value(v)}" for k, v in settings.items())


def _value(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return repr(value)
    return repr(value.tolist()) if value.size <= 8 else f"<{value.size} numbers>"


_R, _C, _D = regression, classification, distance
_SCORES: dict[str, Any] = {"classifies": True, "outputs": "logits"}
_SIGNS: dict[str, Any] = {"target": "signs", "classifies": True, "outputs": "margins"}
_TWO = ("first", "second", "target")

RECORDS = (
    LossRecord(
        "mse", _R.mse, "MSELoss", "mean squared error", "mse", aliases=("mean_squared_error",)
    ),
    LossRecord(
        "mae", _R.mae, "L1Loss", "mean absolute error", "mae",
        aliases=("l1", "mean_absolute_error"),
    ),
    LossRecord("huber", _R.huber, "HuberLoss", "Huber's loss", "huber"),
    LossRecord("smooth_l1", _R.smooth_l1, "SmoothL1Loss", "smooth absolute error", "smooth_l1"),
    LossRecord("log_cosh", _R.log_cosh, "LogCoshLoss", "log cosh of the error", "log_cosh"),
    LossRecord(
        "poisson_nll", _R.poisson_nll, "PoissonNLLLoss", "negative log-likelihood of counts",
        "poisson_nll",
    ),
    LossRecord(
        "gaussian_nll", _R.gaussian_nll, "GaussianNLLLoss", "negative log-likelihood of numbers",
        "gaussian_nll", operands=("prediction", "target", "variance"),
    ),
    LossRecord(
        "cosine_similarity", _R.cosine_similarity, "CosineSimilarityLoss", "cosine similarity",
        of="rows, negative",
    ),
    LossRecord(
        "bce", _C.binary_cross_entropy, "BCELoss", "binary cross-entropy", "bce",
        of="probabilities", aliases=("binary_cross_entropy",), classifies=True,
        outputs="probabilities",
    ),
    LossRecord(
        "bce_logits", _C.binary_cross_entropy_with_logits, "BCEWithLogitsLoss",
        "binary cross-entropy of the sigmoid", "bce_logits", of="the scores",
        aliases=("binary_cross_entropy_with_logits",), **_SCORES,
    ),
    LossRecord(
        "cross_entropy", _C.cross_entropy, "CrossEntropyLoss", "cross-entropy", "cross_entropy",
        "classes", of="softmax", **_SCORES,
    ),
    LossRecord(
        "nll", _C.nll, "NLLLoss", "negative log-likelihood of classes", "nll", "classes",
        of="log-probabilities", **_SCORES,
    ),
    LossRecord(
        "kl_div", _C.kl_div, "KLDivLoss", "Kullback-Leibler divergence", "kl_div",
        of="log-probabilities",
    ),
    LossRecord(
        "focal", _C.focal, "FocalLoss", "focal loss of the sigmoid", "focal", of="the scores",
        **_SCORES,
    ),
    LossRecord(
        "categorical_focal", _C.categorical_focal, "CategoricalFocalLoss", "focal loss",
        "categorical_focal", "classes", of="softmax", **_SCORES,
    ),
    LossRecord("hinge", _C.hinge, "HingeLoss", "hinge", "hinge", **_SIGNS),
    LossRecord(
        "squared_hinge", _C.squared_hinge, "SquaredHingeLoss", "squared hinge", "squared_hinge",
        **_SIGNS,
    ),
    LossRecord(
        "soft_margin", _C.soft_margin, "SoftMarginLoss", "soft margin", "soft_margin",
        target="signs", **_SCORES,
    ),
    LossRecord(
        "hinge_embedding", _C.hinge_embedding, "HingeEmbeddingLoss", "hinge of distances",
        "hinge_embedding", "signs",
    ),
    LossRecord(
        "multi_margin", _C.multi_margin, "MultiMarginLoss", "hinge of classes", "multi_margin",
        "classes", classifies=True, outputs="margins",
    ),
    LossRecord(
        "multilabel_soft_margin", _C.multilabel_soft_margin, "MultiLabelSoftMarginLoss",
        "binary cross-entropy of each class", of="the sigmoid of the scores",
    ),
    LossRecord(
        "margin_ranking", _D.margin_ranking, "MarginRankingLoss", "margin of ranks",
        operands=_TWO,
    ),
    LossRecord(
        "cosine_embedding", _D.cosine_embedding, "CosineEmbeddingLoss", "cosine of pairs",
        operands=_TWO,
    ),
    LossRecord(
        "triplet_margin", _D.triplet_margin, "TripletMarginLoss", "margin of triplets",
        operands=("anchor", "positive", "negative"),
    ),
    LossRecord(
        "contrastive", _D.contrastive, "ContrastiveLoss", "distance of pairs", operands=_TWO
    ),
)  # fmt: skip
NAMED: dict[str, LossRecord] = {n: r for r in RECORDS if r.by_rows for n in (r.name, *r.aliases)}


def _class(record: LossRecord) -> type[Loss]:
    summary = (record.function.__doc__ or "").split("\n\n")[0]
    settings = ", ".join(f"{k}={v!r}" for k, v in record.defaults.items())
    call = f"{record.function.__name__}({', '.join(record.operands)})"
    text = f"{summary}\n\n    {record.made}({settings}); called as `losses.{call}`, which says more.\n    "
    place = f"{__package__}.objects"
    return type(record.made, (Loss,), {"record": record, "__doc__": text, "__module__": place})


CLASSES: dict[str, type[Loss]] = {r.made: _class(r) for r in RECORDS}


def known(name: str) -> LossRecord | None:
    """The record of a name that `find` gave; None for a user's own function."""
    return NAMED.get(name)


def find(loss: Any) -> tuple[str, Function]:
    """A loss and its name, from a name, an object or a function of (prediction, target).

    A user's own function keeps clear of the names of ours.
    """
    if isinstance(loss, str):
        if loss not in NAMED:
            raise unknown_name("loss", loss, tuple(NAMED))
        return NAMED[loss].name, NAMED[loss].function
    if not callable(loss) or isinstance(loss, type):
        raise ConfigError(
            "this is not a loss",
            expected="a name, a loss such as nn.HuberLoss(), or a function (prediction, target) "
            "-> number",
            received=shown(loss),
            hint=f"make it: {loss.__name__}()" if isinstance(loss, type) else "",
        )
    for record in RECORDS:
        if record.function is loss or getattr(loss, "record", None) is record:
            if not record.by_rows:
                raise ConfigError(
                    "this loss is not of (prediction, target)",
                    where=record.name,
                    expected=f"a call with {', '.join(record.operands)}",
                    received="its name or function alone",
                    hint="write a function (prediction, target) that calls it",
                )
            return record.name, loss
    name = getattr(loss, "__name__", "loss")
    return (f"own {name}" if name in NAMED else name), loss


def settings_of(loss: Any) -> dict[str, Any]:
    """What an object changes; nothing for a function."""
    return loss.changed if isinstance(loss, Loss) else {}


def heading(name: str, loss: Any) -> tuple[str, str, str]:
    """The title of a loss in a program, and its two formula lines where they hold."""
    record, changed = known(name), settings_of(loss)
    if record is None:
        return name.strip("<>"), "", ""
    title = ", ".join([record.title, *([_listed(changed)] if changed else [])])
    lines = OPS[record.op].plain if record.op else ("", "")
    how = changed.pop("reduction", "mean")
    said = all(re.search(rf"\b{key}\b", " ".join(lines)) for key in changed)
    if not said or how not in ("mean", "sum"):
        return title, "", ""
    if how == "sum":
        forward, backward = lines
        return title, forward.replace("mean of", "sum of", 1), _each(backward)
    return title, *lines


def _each(line: str) -> str:
    """A line of derivatives without the division by how many numbers, or rows, there are."""
    return re.sub(r" / (size|n)\b", "", line)


def described(name: str, loss: Any) -> str:
    """The loss in words, as a program begins with them."""
    record, changed = known(name), settings_of(loss)
    changed.pop("reduction", None)
    return (record.about if record else name) + (f", {_listed(changed)}" if changed else "")


def over(loss: Any) -> str:
    """What a loss gives of a batch: its mean or its sum."""
    return "sum" if settings_of(loss).get("reduction") == "sum" else "mean"


def label(name: str, loss: Any) -> str:
    """The loss in one word, as settings of a run keep it: its name, or the object's repr."""
    return repr(loss) if settings_of(loss) else name
