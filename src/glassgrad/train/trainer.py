"""The loop: a compiled step on batch after batch, and the arrays it moves."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad import optim
from glassgrad.engine import first_not_finite, is_small, on_one_thread
from glassgrad.errors import ConfigError, NonFiniteError, shown

from . import batches
from .callbacks import Callback, Run
from .history import History
from .step import Plan, Task

AnyArray = NDArray[Any]


@dataclass(slots=True)
class Record:
    """What a run was, so that it can be written down and run again."""

    task: Task
    plan: Plan
    evaluation: Plan | None
    optimizer: optim.Optimizer
    epochs: int
    batch_size: int | None
    shuffle: bool
    seed: int
    backend: str
    data: dict[str, AnyArray]
    initial: dict[str, AnyArray] = field(default_factory=dict)
    trained: int | None = None  # whole epochs that were done
    partial: bool = False  # whether it was stopped in the middle of one
    rates: list[tuple[int, float]] = field(default_factory=list)  # (first step, rate) of changes
    kept: int | None = None  # the epoch whose weights were put back at the end
    unwritable: str = ""  # why no program repeats the run, where none does

    @property
    def fixed(self) -> tuple[str, ...]:
        """What the run reads and never changes, in training or in evaluation."""
        also = (
            () if self.evaluation is None else (*self.evaluation.frozen, *self.evaluation.buffers)
        )
        names = [*self.plan.frozen, *[n for n in also if n not in self.plan.buffers]]
        return tuple(dict.fromkeys(names))


@contextmanager
def _whole_steps() -> Iterator[list[int]]:
    """An interrupt (Ctrl-C) is noted in the list that this gives, for after the step.

    A second one comes through at once. Only the main thread may do this.
    """
    noted: list[int] = []
    usual = signal.default_int_handler

    def note(number: int, frame: Any) -> None:
        if noted:
            usual(number, frame)
        noted.append(number)

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not usual:
        yield noted
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, usual)


class State(dict[str, AnyArray]):
    """Copies of parameters and buffers by path, and the epoch they are of (None within one)."""

    epoch: int | None = None


class Trainer:
    """The arrays of a run: weights as one vector, moments, buffers; and the step that moves them."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.task = record.task
        self.plan = plan = record.plan
        held = self.task.model.named_state()
        self.held = held
        self.weights = np.concatenate([held[p.name].numpy().ravel() for p in plan.parts])
        self.buffers = {name: held[name].numpy().copy() for name in plan.buffers}
        self.frozen = {name: held[name].numpy() for name in record.fixed}
        self.moments = {name: np.zeros_like(self.weights) for name in plan.moments}
        record.initial = {p.name: held[p.name].numpy().copy() for p in plan.parts}
        record.initial.update({n: a.copy() for n, a in {**self.buffers, **self.frozen}.items()})
        columns = ("loss", *[name for name, _ in plan.metrics])
        if record.evaluation is not None:
            columns += tuple(f"val_{name}" for name in columns)
        self.history = History(columns)
        self.history.record = record
        self.dirty = False
        self._rate = record.optimizer.lr
        self._epoch_step = 0
        self._run_of = Run(self, record.epochs)

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self._rate

    @rate.setter
    def rate(self, value: float) -> None:
        fine = isinstance(value, int | float) and not isinstance(value, bool)
        if not fine or not 0 < value < float("inf"):
            raise ConfigError(
                "the learning rate is out of range",
                where=f"after step {self._run_of.step}",
                expected="a number above 0",
                received=shown(value),
            )
        if float(value) != self._rate:
            self._rate = float(value)
            self.record.rates.append((self._run_of.step + 1, self._rate))

    def state(self) -> State:
        """Copies of all parameters and buffers."""
        self.write_back()
        found = State({name: p.numpy().copy() for name, p in self.held.items()})
        record, run = self.record, self._run_of
        whole = not record.partial and run.step == self._epoch_step
        found.epoch = (record.trained or 0) if whole else None
        return found

    def restore(self, state: Mapping[str, AnyArray]) -> None:
        """Put copies back; the moments of the optimiser stay as they are."""
        for part in self.plan.parts:
            self.weights[part.start : part.stop] = state[part.name].ravel()
        for name, array in self.buffers.items():
            array[...] = state[name]
        self.dirty = True
        self.write_back()
        epoch = getattr(state, "epoch", None)
        if epoch is None:
            self.record.unwritable = "weights from within an epoch were put back"
        else:
            self.record.kept = epoch

    def arguments(self, plan: Plan) -> list[Any]:
        """The step's arguments, data and step number left out."""
        fixed: dict[str, Any] = {
            "weights": self.weights,
            **self.buffers,
            **self.frozen,
            **self.moments,
            "rate": self._rate,
            "seed": self.record.seed,
        }
        return [fixed.get(name) for name in plan.graph.inputs]

    def write_back(self) -> None:
        """Give the model the numbers after the last step."""
        if not self.dirty:
            return
        for part in self.plan.parts:
            self.held[part.name].assign(self.weights[part.start : part.stop].reshape(part.shape))
        for name, array in self.buffers.items():
            self.held[name].assign(array)
        self.dirty = False

    def run(self, callbacks: tuple[Callback, ...]) -> History:
        """All epochs; however they end, the model has the numbers after the last step."""
        size = batches.checked_batch_size(self.record.batch_size, len(self.record.data["x"]))
        small = is_small(self.plan.step, size)
        try:
            # The step itself looks for inf and nan, where NumPy would warn how they came to be.
            with (
                _whole_steps() as interrupts,
                np.errstate(all="ignore"),
                on_one_thread(small),
                batches.positions_inside(),
            ):
                return self._run(callbacks, interrupts)
        finally:
            self.write_back()

    def _run(self, callbacks: tuple[Callback, ...], interrupts: list[int]) -> History:
        record, plan = self.record, self.plan
        x, y = record.data["x"], record.data["y"]
        rows = len(x)
        size = batches.checked_batch_size(record.batch_size, rows)
        step_function = plan.step.function
        arguments = self.arguments(plan)
        names = list(plan.graph.inputs)
        at_x, at_y = names.index("x"), names.index("y")
        at_step = names.index("step") if "step" in names else None
        counts = [each for _, each in plan.metrics]
        by_step = tuple(c for c in callbacks if c.every != "epoch")
        by_epoch = tuple(c for c in callbacks if c.every == "epoch")
        at_rate = names.index("rate")
        run = self._run_of
        for callback in callbacks:
            callback.on_begin(run)
        gathers = record.shuffle and size < rows
        for epoch in range(1, record.epochs + 1):
            if record.kept is not None:
                record.unwritable = "weights were put back in the middle of the run"
            began = time.perf_counter()
            order = batches.order_of_rows(rows, record.seed, epoch) if gathers else None
            total, seen = 0.0, 0
            sums = [0.0] * len(counts)
            for start in range(0, rows, size):
                if order is None:
                    batch_x, batch_y = x[start : start + size], y[start : start + size]
                else:
                    chosen = order[start : start + size]
                    batch_x, batch_y = x[chosen], y[chosen]
                run.step += 1
                arguments[at_x], arguments[at_y] = batch_x, batch_y
                if at_step is not None:
                    arguments[at_step] = run.step
                arguments[at_rate] = self._rate
                found = step_function(*arguments)
                if found is None:
                    run.step -= 1
                    raise self.not_finite(run, arguments)
                self.dirty = True
                loss, *values = found if isinstance(found, tuple) else (found,)
                run.loss = float(loss)
                total += run.loss * len(batch_x)
                seen += len(batch_x)
                for i, value in enumerate(values):
                    sums[i] += float(value)
                if interrupts:
                    raise KeyboardInterrupt
                if by_step:
                    run.epoch = epoch
                    for callback in by_step:
                        if run.step % int(callback.every) == 0:
                            callback.on_interval(run)
                    if run.stop:
                        break
            row = {"loss": total / seen}
            row.update(
                {
                    name: s / (seen * c)
                    for (name, _), s, c in zip(plan.metrics, sums, counts, strict=True)
                }
            )
            if record.evaluation is not None:
                tested = self.evaluate(
                    record.evaluation, record.data["x_val"], record.data["y_val"]
                )
                row.update({f"val_{name}": value for name, value in tested.items()})
            self.history.add(row, time.perf_counter() - began)
            record.partial = seen < rows
            record.trained = epoch - record.partial
            self._epoch_step = run.step
            run.epoch = epoch
            for callback in by_epoch:
                callback.on_interval(run)
            if run.stop:
                break
        for callback in callbacks:
            callback.on_end(run)
        return self.history

    def evaluate(self, plan: Plan, x: AnyArray, y: AnyArray) -> dict[str, float]:
        """Loss and metrics over all rows."""
        return evaluated(plan, self.arguments(plan), x, y)

    def not_finite(self, run: Run, arguments: list[Any]) -> NonFiniteError:
        """The error that names the step and the first thing that went wrong in it."""
        found = first_not_finite(self.plan.graph, arguments)
        where = f"step {run.step + 1}, epoch {len(self.history.seconds) + 1}"
        if found:
            where += f", {found}"
        return NonFiniteError(
            "training met a number that is not finite and stopped before the update",
            where=where,
            expected="finite loss and gradients",
            received="inf or nan; the model keeps the numbers it had before this step",
            hint=f"a smaller learning rate than {self._rate:g}, or scaled inputs",
        )


def evaluated(plan: Plan, arguments: list[Any], x: AnyArray, y: AnyArray) -> dict[str, float]:
    """Loss and metrics over all rows, chunk by chunk."""
    names = list(plan.graph.inputs)
    at_x, at_y = names.index("x"), names.index("y")
    total = 0.0
    sums = [0.0] * len(plan.metrics)
    for rows in batches.chunks(len(x)):
        arguments[at_x], arguments[at_y] = x[rows], y[rows]
        found = plan.step.function(*arguments)
        loss, *values = found if isinstance(found, tuple) else (found,)
        total += float(loss) * len(arguments[at_x])
        for i, value in enumerate(values):
            sums[i] += float(value)
    row = {"loss": total / len(x)}
    for (name, each), s in zip(plan.metrics, sums, strict=True):
        row[name] = s / (len(x) * each)
    return row
