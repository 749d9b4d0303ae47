"""What the checks read, collected once: the data, one recorded step, and a short training."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.errors import shown
from glassgrad.inspect.explain.recording import Recording, recorded
from glassgrad.nn import losses
from glassgrad.nn.layers import Embedding
from glassgrad.nn.losses import LossRecord
from glassgrad.tensors.tensor import Buffer

from . import bounds
from .bounds import COMPARED, FIRST_STEPS, FORKS, LEARNED, NEIGHBOURS, PER_CLASS, RECORDED, WIDEST
from .forks import Fork, rows_of
from .neighbours import Neighbours
from .walk import Walk, count

Array = NDArray[Any]


@dataclass(slots=True)
class Targets:
    """What the rows are to give: class numbers, or columns of numbers."""

    classes: Array | None = None  # (n,) int64
    numbers: Array | None = None  # (n, k) float64


class Evidence:
    """A training as given, with what was found out about it; nothing in it is the user's own."""

    def __init__(
        self,
        fork: Fork,
        steps: int,
        x: dict[str, Any],
        y: Any,
        rows: Array,
        held: Array | None,
        seconds: float = math.inf,
        columns: Sequence[str] = (),
    ) -> None:
        """A fork, and all rows as they were given: it trains on `rows`, and others are held out.

        `held` is None where the rows held out were given apart, or where none are. Of `steps` those
        are done that do not take more than a share of the `seconds`.
        """
        self.fork = fork
        self.course = fork.run(steps, seconds / FORKS)  # a copy trained as it would be
        self.steps = self.course.affordable(steps, seconds / FORKS)  # of every other fork
        self.all_x, self.all_y, self.rows, self.held = x, y, rows, held
        self.columns = columns
        self._loss_name = losses.find(fork.loss)[0] if not _several(fork.y) else ""

    # -- the step ------------------------------------------------------------------------------

    @cached_property
    def recording(self) -> Recording:
        """One step in evaluation on the first rows, every value and derivative kept."""
        return self._recorded(self.fork.seed, self._fitting)

    @cached_property
    def walk(self) -> Walk:
        """The way of the data through that step."""
        return Walk(self.recording)

    @cached_property
    def walk_in_training(self) -> Walk:
        """The same as training sees it, where norms have the statistics of these rows.

        Before training their running statistics say nothing about the data.
        """
        state = self.fork.model.named_state().values()
        if not any(isinstance(p, Buffer) for p in state):
            return self.walk
        return Walk(self._recorded(self.fork.seed, self._fitting, training=True))

    def evaluated_with(self, seed: int) -> Array:
        """What the network gives for the same rows with another seed."""
        found = self._recorded(seed, self._fitting)
        return found.arrays[found.predictions[0]]

    @cached_property
    def _fitting(self) -> int:
        """How many rows can be recorded: one row's numbers are those that two of them bring."""
        walk = Walk(self._recorded(self.fork.seed, 2))
        forward = sum(count(v) for v in walk.moving) / 2
        each = max(2 * forward, 1)  # with their derivatives
        return int(min(max(2, bounds.KEPT // each), RECORDED))

    def _recorded(self, seed: int, rows: int, training: bool = False) -> Recording:
        at = slice(0, rows)
        return recorded(
            copy.deepcopy(self.fork.model),
            rows_of(self.fork.x, at),
            rows_of(self.fork.y, at),
            loss=self.fork.loss,
            loss_weights=self.fork.loss_weights,
            training=training,
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

    def column(self, number: int) -> str:
        """A column as a person calls it: by its name, or its number."""
        return shown(self.columns[number], 40) if self.columns else str(number)

    @cached_property
    def targets(self) -> Targets:
        """The only target as classes or as numbers, if it is one of both for each row."""
        if _several(self.all_y):
            return Targets()
        y, record = np.asarray(self.all_y), self.loss
        if record is not None and record.target == "classes":
            if y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind == "f":  # shares of classes
                return Targets(classes=y.argmax(1))
            one_each = y.size == len(y) and y.min() >= 0  # below 0 are classes to be ignored
            return Targets(classes=y.ravel().astype(np.int64)) if one_each else Targets()
        if y.ndim > 2 or (y.ndim == 2 and y.shape[1] > 8) or not np.isfinite(y).all():
            return Targets()
        if y.size == len(y) and record is not None and record.classifies:
            kinds, classes = np.unique(y, return_inverse=True)
            if len(kinds) <= 2:
                return Targets(classes=classes.ravel())
        return Targets(numbers=np.float64(y).reshape(len(y), -1))

    @cached_property
    def neighbours(self) -> Neighbours | None:
        """The rows compared with each other, where there are enough that can be."""
        x, targets = self.inputs, self.targets
        if x is None or (targets.classes is None and targets.numbers is None):
            return None
        if len(x) < NEIGHBOURS or math.prod(x.shape[1:]) > WIDEST:
            return None
        at = self.looked_at
        y = targets.classes if targets.classes is not None else targets.numbers
        assert y is not None
        if y.ndim == 1 and len(np.unique(y[at])) > len(at) / PER_CLASS:
            return None  # next to no row has one of its class to be compared with
        return Neighbours(np.float64(x[at]).reshape(len(at), -1), y[at])

    @cached_property
    def looked_at(self) -> Array:
        """The rows that are compared with each other, in no order of theirs."""
        count = len(next(iter(self.all_x.values())))
        order = np.random.Generator(np.random.Philox(self.fork.seed)).permutation(count)
        return order[:COMPARED]

    # -- a short training ----------------------------------------------------------------------

    @property
    def learned(self) -> bool:
        """Whether the network tells most of the targets, of rows held out, too."""
        course = self.course
        return course.finite and max(course.last, course.held) < LEARNED * self.guess

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
        return _guess(self.loss, self.fork)


def _several(y: Any) -> bool:
    return isinstance(y, dict | tuple | list)


def _guess(record: LossRecord | None, fork: Fork) -> float:
    if record is None or losses.settings_of(losses.find(fork.loss)[1]):
        return math.nan
    y, held = np.asarray(fork.y), np.asarray(fork.held_y)
    if record.name == "cross_entropy" and len(held):
        if y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind == "f":
            y, held = y.argmax(1), held.argmax(1)
        y, held = y.ravel().astype(np.int64), held.ravel().astype(np.int64)
        counts = np.bincount(y, minlength=int(held.max()) + 1) + 0.5
        return float(-np.log(counts / counts.sum())[held].mean())
    y = np.float64(y).reshape(len(y), -1)
    held = np.float64(held).reshape(len(held), -1)
    if record.name == "mse":
        return float(((held - y.mean(0)) ** 2).mean())
    if record.name in ("bce", "bce_logits"):
        share = (y.sum(0) + 0.5) / (len(y) + 1)
        with np.errstate(all="ignore"):  # targets that are no shares of 1 have no such guess
            return float(-(held * np.log(share) + (1 - held) * np.log1p(-share)).mean())
    return math.nan
