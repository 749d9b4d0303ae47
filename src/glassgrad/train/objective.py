"""The loss that a model was trained with, from what it says of its run: the inverse of `settings`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.errors import DataError, FormatError, GlassgradError, UsageError, shown
from glassgrad.nn import losses
from glassgrad.nn.module import Module
from glassgrad.nn.penalties import L1L2

_PENALTIES = ("L1", "L2", "L1L2")


@dataclass(frozen=True, slots=True)
class Objective:
    """What was to become small: a loss, or one for each output by name, and what is added to it.

    `unknown` says in words which parts of it no file holds.
    """

    loss: Any
    loss_weights: Any = None
    class_weight: NDArray[Any] | None = None  # of each class
    penalties: Mapping[str, L1L2] = field(default_factory=dict)  # by parameter
    unknown: tuple[str, ...] = ()

    def weights_of(self, y: Any) -> NDArray[Any] | None:
        """The weight of each of these rows, None where all weigh the same.

        Raises DataError for a class that has none.
        """
        if self.class_weight is None:
            return None
        classes = np.asarray(y).reshape(len(y)).astype(np.int64)
        if not ((classes >= 0) & (classes < len(self.class_weight))).all():
            raise DataError(
                "a row is of a class that had no weight in training",
                where="class_weight",
                expected=f"classes from 0 to {len(self.class_weight) - 1}",
                received=shown(classes),
            )
        return np.asarray(self.class_weight[classes])

    def penalise(self, model: Module) -> None:
        """Give the model's parameters the penalties they had in training."""
        held = model.named_state()
        for name, rule in self.penalties.items():
            if name in held:
                held[name].regularizer = rule


def objective_of(model: Module) -> Objective | None:
    """What a model was trained for; None where it does not say so.

    Raises UsageError where the loss was a function of the user, or has more numbers than a file
    keeps, and FormatError for what `fit` does not leave on a model.

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> model = nn.Linear(2, 1)
    >>> history = gg.fit(
    ...     model,
    ...     [[1.0, 2.0]],
    ...     [[1.0]],
    ...     loss=nn.HuberLoss(delta=2.0),
    ...     optimizer="sgd",
    ...     verbose=False,
    ... )
    >>> objective_of(model).loss
    HuberLoss(delta=2.0)
    """
    run = getattr(model, "_fitted", None)
    if run is None:
        return None
    settings = run.settings
    try:
        heads = [(head["output"], _loss(head), head["weight"]) for head in settings["losses"]]
        several = bool(heads[0][0])
        found = Objective(
            loss={name: loss for name, loss, _ in heads} if several else heads[0][1],
            loss_weights={n: w for n, _, w in heads} if several else heads[0][2],
            class_weight=_array(settings.get("class_weight"), "class_weight"),
            penalties=dict(_penalties(settings)),
            unknown=tuple(_unknown(settings)),
        )
    except GlassgradError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FormatError(
            "the loss of a run is described otherwise",
            where="training.json, losses",
            received=shown(settings.get("losses"), 200),
        ) from error
    return found


def _loss(head: Mapping[str, Any]) -> Any:
    """A loss by its name, or with its settings."""
    name, said = head["name"], head["loss"]
    if losses.known(name) is None:
        raise UsageError(
            "the model was trained with a loss of the user's own, and no file holds that",
            where=f"loss {shown(name, 80)[1:-1]}",
            expected="a loss of nn.losses",
            received=shown(said.get("kind"), 80),
        )
    made = losses.CLASSES.get(said["kind"])
    if made is None:  # a function, so without settings
        return name
    own = {k: _setting(v, k) for k, v in said.items() if k != "kind"}
    return made(**own)


def _setting(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return _array(value, name)
    return float(value) if value in ("inf", "-inf", "nan") else value


def _array(said: Any, name: str) -> NDArray[Any] | None:
    if said is None:
        return None
    if "values" not in said:
        raise UsageError(
            "the loss of training has more numbers than a file keeps of them",
            where=name,
            expected="64 numbers at most",
            received=f"shape {shown(said.get('shape'), 80)}",
        )
    numbers = [float(v) for v in said["values"]]
    return np.array(numbers, np.float64).reshape([int(n) for n in said["shape"]])


def _penalties(settings: Mapping[str, Any]) -> Iterator[tuple[str, L1L2]]:
    for name, said in settings.get("penalties", {}).items():
        if said["kind"] in _PENALTIES:
            yield name, L1L2(said["l1"], said["l2"])


def _unknown(settings: Mapping[str, Any]) -> Iterator[str]:
    if settings["weighted"] and "class_weight" not in settings:
        yield "rows had weights of their own, which no file holds: here each weighs 1"
    for name, said in settings.get("penalties", {}).items():
        if said["kind"] not in _PENALTIES:
            kind = shown(said["kind"], 80)[1:-1]
            yield f"the penalty {kind} of {shown(name, 80)[1:-1]} is a function of the user's own: left out"
