"""What the checks read, collected once: the data, one recorded step, and a short training."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.inspect.explain.recording import Recording, recorded
from glassgrad.nn import losses
from glassgrad.nn.layers import Embedding
from glassgrad.nn.losses import LossRecord

from .forks import Course, Fork, rows_of
from .neighbours import Neighbours

Array = NDArray[Any]
FIRST_STEPS = 5  # few enough that steps still point one way
RECORDED = 256  # rows that go through the network together, every value kept
LOOKED_AT = 1200  # rows that are compared with each other
WIDEST = 4096  # numbers of a row that are compared


@dataclass(slots=True)
class Targets:
    """What the rows are to give: class numbers, or columns of numbers."""

    classes: Array | None = None  # (n,) int64
    numbers: Array | None = None  # (n, k) float64


class Evidence:
    """A training as given, with what was found out about it; nothing in it is the user's own."""

    def __init__(
        self, fork: Fork, steps: int, x: dict[str, Any], y: Any, rows: Array, held: Array | None
    ) -> None:
        """A fork, and all rows as they were given: it trains on `rows`, and others are held out.

        `held` is None where the rows held out were given apart.
        """
        self.fork = fork
        self.steps = steps
        self.all_x, self.all_y, self.rows, self.held = x, y, rows, held
        self._loss_name = losses.find(fork.loss)[0] if not _several(fork.y) else ""

    # -- the step ------------------------------------------------------------------------------

    @cached_property
    def recording(self) -> Recording:
        """One step in evaluation on the first rows, every value and derivative kept."""
        return self._recorded(self.fork.seed)

    def evaluated_with(self, seed: int) -> Array:
        """What the network gives for the same rows with another seed."""
        found = self._recorded(seed)
        return found.arrays[found.predictions[0]]

    def _recorded(self, seed: int) -> Recording:
        at = slice(0, RECORDED)
        return recorded(
            copy.deepcopy(self.fork.model),
            rows_of(self.fork.x, at),
            rows_of(self.fork.y, at),
            loss=self.fork.loss,
            loss_weights=self.fork.loss_weights,
            training=False,
            seed=seed,
        )

    @property
    def loss(self) -> LossRecord | None:
        """What is known about the loss, where there is one loss and it is the library's own."""
        return losses.known(self._loss_name) if self._loss_name else None

    @cached_property
    def predictions(self) -> Array | None:
        """What the network gives in evaluation for the rows recorded, of a single output."""
        found = self.recording.predictions
        return self.recording.arrays[found[0]] if len(found) == 1 else None

    # -- the data ------------------------------------------------------------------------------

    @cached_property
    def inputs(self) -> Array | None:
        """The only input as it was given, if it is of real numbers."""
        if len(self.all_x) != 1:
            return None
        (x,) = self.all_x.values()
        tokens = any(isinstance(m, Embedding) for _, m in self.fork.model.modules())
        return None if tokens or x.ndim < 2 else np.asarray(x)

    @cached_property
    def targets(self) -> Targets:
        """The only target as classes or as numbers, if it is one of both for each row."""
        if _several(self.all_y):
            return Targets()
        y, record = np.asarray(self.all_y), self.loss
        if y.ndim == 2 and y.shape[1] > 1 and record is not None and record.target == "classes":
            return Targets(classes=y.argmax(1))
        if y.ndim > 2 or (y.ndim == 2 and y.shape[1] > 8) or not np.isfinite(y).all():
            return Targets()
        whole = bool((y == np.round(y)).all())
        if y.size == len(y) and whole and record is not None and record.classifies:
            return Targets(classes=y.ravel().astype(np.int64))
        return Targets(numbers=np.float64(y).reshape(len(y), -1))

    @cached_property
    def neighbours(self) -> Neighbours | None:
        """The rows compared with each other, where there are enough that can be."""
        x, targets = self.inputs, self.targets
        if x is None or (targets.classes is None and targets.numbers is None):
            return None
        if len(x) < 60 or math.prod(x.shape[1:]) > WIDEST:
            return None
        at = self.looked_at
        y = targets.classes if targets.classes is not None else targets.numbers
        assert y is not None
        return Neighbours(np.float64(x[at]).reshape(len(at), -1), y[at])

    @cached_property
    def looked_at(self) -> Array:
        """The rows that are compared with each other, in no order of theirs."""
        count = len(next(iter(self.all_x.values())))
        order = np.random.Generator(np.random.Philox(self.fork.seed)).permutation(count)
        return order[:LOOKED_AT]

    # -- a short training ----------------------------------------------------------------------

    @cached_property
    def course(self) -> Course:
        """A copy trained for some steps, as it would be."""
        return self.fork.run(self.steps)

    @cached_property
    def ratios(self) -> dict[str, float]:
        """By parameter, by what share of its size each of the first steps moves it."""
        return self.fork.run(FIRST_STEPS).ratios()

    @cached_property
    def step_size(self) -> float:
        """The median of that over all matrices of weights."""
        state = self.fork.model.named_state()
        weights = [r for n, r in self.ratios.items() if state[n].ndim > 1]
        return float(np.median(weights or list(self.ratios.values()) or [0.0]))

    def with_targets(self, fork: Fork, y: Any) -> Fork:
        """The fork with other targets for all rows; for rows that are held out by ourselves."""
        assert self.held is not None
        return fork.but(y=rows_of(y, self.rows), held_y=rows_of(y, self.held))

    @cached_property
    def guess(self) -> float:
        """The loss on rows held out of what gives all rows the same; nan where it is not known."""
        return _guess(self.loss, self.targets, self.fork)


def _several(y: Any) -> bool:
    return isinstance(y, dict | tuple | list)


def _guess(record: LossRecord | None, targets: Targets, fork: Fork) -> float:
    if record is None:
        return math.nan
    held = np.asarray(fork.held_y)
    if record.name in ("cross_entropy", "bce_logits", "bce") and targets.classes is not None:
        here = held.argmax(1) if held.ndim == 2 and held.shape[1] > 1 else held.ravel()
        counts = np.bincount(targets.classes, minlength=int(here.max()) + 1) + 0.5
        shares = counts / counts.sum()
        return float(-np.log(shares[here.astype(np.int64)]).mean())
    if record.name == "mse" and targets.numbers is not None:
        middle = targets.numbers.mean(0)
        return float(((held.reshape(len(held), -1) - middle) ** 2).mean())
    return math.nan
