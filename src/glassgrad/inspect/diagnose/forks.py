"""Copies of a training that run for a few steps, so that what a change does can be measured."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glassgrad.errors import NonFiniteError
from glassgrad.nn.module import Module
from glassgrad.optim import LBFGS, Lambda, Optimizer
from glassgrad.train.callbacks import Callback, Run
from glassgrad.train.fit import evaluate, fit

from .bounds import LBFGS_STEPS

WORST = math.inf  # the loss of a training that left the finite numbers


class _Losses(Callback):
    """The loss of every step, and the end of the run after so many steps, or so much time.

    Time is that of the processor: what else the machine does changes nothing.
    """

    every = 1

    def __init__(self, steps: int, seconds: float) -> None:
        self.steps, self.seconds = steps, seconds
        self.losses: list[float] = []
        self.took = 0.0

    def on_begin(self, run: Run) -> None:
        self._began = time.process_time()

    def on_interval(self, run: Run) -> None:
        self.losses.append(float(run.loss))
        self.took = time.process_time() - self._began
        if len(self.losses) >= self.steps or self.took > self.seconds:
            run.stop = True


@dataclass(frozen=True, slots=True)
class Fork:
    """Everything a training needs, of which `run` trains a copy."""

    model: Module
    x: dict[str, Any]
    y: Any
    held_x: dict[str, Any]
    held_y: Any
    loss: Any
    optimizer: Optimizer
    batch_size: int | None
    seed: int
    loss_weights: Any = None
    yardstick: Any = None  # the loss that rows held out are measured by, where it is another
    rescaled: bool = False  # whether its inputs are other numbers than those of the user

    def but(self, **changes: Any) -> Fork:
        """The same with something else."""
        return replace(self, **changes)

    def copied(self) -> Fork:
        """The same with a model of its own, to be changed."""
        return self.but(model=copy.deepcopy(self.model))

    @property
    def rows(self) -> int:
        """How many rows it trains on."""
        return len(next(iter(self.x.values())))

    @property
    def measure(self) -> Any:
        """The loss that rows held out are measured by."""
        return self.loss if self.yardstick is None else self.yardstick

    def held_loss(self, model: Module) -> float:
        """The loss of a model on the rows held out; infinite where it is not a number."""
        try:
            found = evaluate(
                model,
                self.held_x,
                self.held_y,
                loss=self.measure,
                metrics=(),
                loss_weights=self.loss_weights,
            )["loss"]
        except NonFiniteError:
            return WORST
        return found if math.isfinite(found) else WORST

    def with_rate(self, factor: float) -> Fork:
        """The same with a learning rate, or a whole schedule, so many times as large."""
        given = self.optimizer.schedule
        if given is None:
            return self.but(optimizer=at_rate(self.optimizer, self.optimizer.lr * factor))
        optimizer = copy.deepcopy(self.optimizer)
        optimizer.schedule = Lambda(factor, given, per=given.per)
        return self.but(optimizer=optimizer)

    def most(self, steps: int) -> int:
        """So many steps, or fewer where each is many."""
        return min(steps, LBFGS_STEPS) if isinstance(self.optimizer, LBFGS) else steps

    def run(self, steps: int, seconds: float = math.inf) -> Course:
        """Train a copy for so many steps, or so long, whatever comes first."""
        model = copy.deepcopy(self.model)
        begin = {name: p.numpy().copy() for name, p in model.named_state().items()}
        count = self.rows
        size = count if self.batch_size is None else min(self.batch_size, count)
        if size > 1 and count % size == 1:
            count -= 1  # norms refuse a batch of one row; the user's data need not end in one
        steps = self.most(steps)
        epochs = -(-steps // -(-count // size))
        watching = _Losses(steps, seconds)
        finite = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fork that explodes says so by its loss
            try:
                fit(
                    model,
                    rows_of(self.x, slice(count)),
                    rows_of(self.y, slice(count)),
                    loss=self.loss,
                    optimizer=copy.deepcopy(self.optimizer),
                    epochs=epochs,
                    batch_size=None if size == count else size,
                    metrics=(),
                    loss_weights=self.loss_weights,
                    seed=self.seed,
                    callbacks=(watching,),
                    verbose=False,
                )
            except NonFiniteError:
                finite = False
            held = self.held_loss(model) if finite else WORST
        return Course(model, begin, watching.losses, watching.took, held, finite)


@dataclass(slots=True)
class Course:
    """How a fork went: its losses step by step, and that of the rows held out at its end."""

    model: Module
    begin: dict[str, Any]
    losses: list[float]
    seconds: float  # of the processor, for its steps
    held: float
    finite: bool

    @property
    def first(self) -> float:
        """The loss that it began with."""
        return self.losses[0] if self.losses else WORST

    @property
    def last(self) -> float:
        """The mean loss of the last tenth of its steps."""
        if not self.finite or not self.losses:
            return WORST
        return float(np.mean(self.losses[-max(1, len(self.losses) // 10) :]))

    def affordable(self, steps: int, seconds: float) -> int:
        """The steps that others do beside it: as many, or more where it left the finite numbers."""
        done = max(1, len(self.losses))
        if self.finite:
            return done
        each = self.seconds / done
        return int(max(1, min(steps, seconds / each if each else steps)))

    def ratios(self) -> dict[str, float]:
        """By parameter, how far it moved, as a share of its size (root mean square) and a step."""
        found = {}
        for name, p in self.model.named_state().items():
            before, after = np.float64(self.begin[name]), np.float64(p.numpy())
            size = float(np.sqrt(np.mean(before**2))) if before.size else 0.0
            moved = float(np.sqrt(np.mean((after - before) ** 2))) if before.size else 0.0
            if size > 0 and self.losses:
                found[name] = moved / size / len(self.losses)
        return found


def at_rate(optimizer: Optimizer, rate: float) -> Optimizer:
    """A copy of an optimiser without a schedule, at another rate."""
    optimizer = copy.deepcopy(optimizer)
    optimizer.lr = rate
    return optimizer


def rows_of(given: Any, at: Any) -> Any:
    """These rows of arrays, however they are held together."""
    if isinstance(given, Mapping):
        return {name: rows_of(each, at) for name, each in given.items()}
    if isinstance(given, tuple):
        return tuple([rows_of(each, at) for each in given])
    return np.asarray(given)[at]
