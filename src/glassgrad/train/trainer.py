"""The loop: a compiled step on batch after batch, and the arrays it moves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glassgrad import optim
from glassgrad.engine import RecomputeCost, is_small, on_one_thread, recompute_cost
from glassgrad.errors import ConfigError, real_number, shown
from glassgrad.files.fitted import Fitted, versions
from glassgrad.tensors.tensor import Tensor

from . import batches, trouble, whole
from .callbacks import Callback, Run
from .evaluation import evaluated
from .guards import Guards
from .history import History
from .once import Once
from .rows import Rows, Stream
from .settings import settings_of
from .signals import Noted, noted_signals
from .state import check_fits
from .step import Plan
from .task import Task
from .update import Moment

if TYPE_CHECKING:
    from .between import Between

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
    data: dict[
        str, AnyArray
    ]  # by the names of the plan; a first batch, where rows come as a stream
    validation: dict[str, AnyArray] = field(default_factory=dict)
    stream: Stream | None = None
    augment: Any = None
    recompute: bool = False
    guards: Guards = field(default_factory=Guards)
    class_weight: AnyArray | None = None  # of each class, where rows have no other weight
    initial: dict[str, AnyArray] = field(default_factory=dict)
    trained: int | None = None  # whole epochs that were done
    partial: bool = False  # whether it was stopped in the middle of one
    rates: list[tuple[int, float]] = field(default_factory=list)  # (first update, rate) of changes
    kept: int | None = None  # the epoch whose weights were put back at the end
    verified: dict[str, Any] | None = None  # `verify.keep_figure` has it
    fitted: Fitted | None = None  # what the model keeps of the run
    unwritable: str = ""  # why no program repeats the run, where none does

    @property
    def rows(self) -> int:
        """How many rows there are to train on."""
        return len(next(iter(self.data.values())))

    def recompute_cost(self, rows: int | None = None) -> RecomputeCost | None:
        """What doing the way forward again saves and costs; None where that was not asked for.

        For a step on so many rows; a batch of the run, if nothing is said.
        """
        rows = rows or self.batch_rows
        return recompute_cost(self.plan.step, rows) if self.recompute else None

    @property
    def batch_rows(self) -> int:
        """How many rows a batch has; the last of an epoch may have fewer."""
        return batches.checked_batch_size(self.batch_size, self.rows)

    @property
    def steps_per_epoch(self) -> int:
        """How many batches the rows in memory make."""
        return -(-self.rows // self.batch_rows)

    def source(self) -> Any:
        """Where the batches of each epoch come from, in the order of the run."""
        return self.stream or Rows(
            [self.data[name] for name in self.plan.data],
            self.batch_rows,
            self.shuffle,
            self.seed,
            self.augment,
        )

    @property
    def stored(self) -> dict[str, AnyArray]:
        """All arrays that the run reads, as its folder keeps them."""
        return self.data | {f"{name}_val": array for name, array in self.validation.items()}

    @property
    def fixed(self) -> tuple[str, ...]:
        """What the run reads and never changes, in training or in evaluation."""
        also = (
            () if self.evaluation is None else (*self.evaluation.frozen, *self.evaluation.buffers)
        )
        names = [*self.plan.frozen, *[n for n in also if n not in self.plan.buffers]]
        return tuple(dict.fromkeys(names))


class State(dict[str, AnyArray]):
    """Copies of parameters and buffers by path, and the epoch they are of (None within one)."""

    epoch: int | None = None


class Trainer:
    """The arrays of a run: weights as one vector, moments, buffers; and the step that moves them."""

    def __init__(self, record: Record, initial: Mapping[str, AnyArray] | None = None) -> None:
        """Begin with the model's numbers, or with other `initial` ones, by their names."""
        self.record = record
        self.task = record.task
        self.plan = plan = record.plan
        self.held = self.task.state()
        begin = {n: p.numpy() for n, p in self.held.items()} if initial is None else initial
        self.weights = np.concatenate([begin[p.name].ravel() for p in plan.parts])
        self.buffers = {name: begin[name].copy() for name in plan.buffers}
        self.frozen = {name: begin[name] for name in record.fixed}
        self.moments = {m.name: _first(m, self.weights) for m in plan.moments}
        record.initial = {p.name: begin[p.name].copy() for p in plan.parts}
        record.initial.update({n: a.copy() for n, a in {**self.buffers, **self.frozen}.items()})
        columns = ("loss", *[name for name, _ in plan.metrics])
        if record.evaluation is not None:
            columns += tuple(f"val_{name}" for name in columns)
        self.history = History(columns)
        self.history.record = record
        self.once = Once(record, self.history)
        self.dirty = False
        self.updates = 0  # steps of the optimiser; those of the run are batches
        self._rate = record.optimizer.rate_at(0, 0)
        self.epoch_step = 0  # the step that ended the last whole epoch
        self.kept_at = 0  # the step after which weights were put back
        self.memory: dict[str, Any] = {}  # of L-BFGS
        # The epoch that is under way: sums of loss and metrics, rows and batches seen; or what the
        # steps in native code gave.
        self.under_way = self._nothing_yet()
        self.given: list[AnyArray] = []
        self._averaged = False  # whether the averages have taken the place of the weights
        self.added = (0, 0)  # batches and rows whose gradients wait for their update
        self.seen = Run(self, record.epochs)
        self._settings: dict[str, Any] = {}
        self.last_checkpoint: Callable[[], Any] = lambda: None  # its path, all of it finite
        self.between: Between | None = None  # who acts between two steps
        self.watch = trouble.watched(self)
        trouble.check_start(self)

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self._rate

    @rate.setter
    def rate(self, value: float) -> None:
        where = f"after step {self.seen.step}"
        rate = real_number(value)
        if rate is None or rate <= 0:
            raise ConfigError(
                "the learning rate is out of range",
                where=where,
                expected="a number above 0",
                received=shown(value),
            )
        if self.record.optimizer.schedule is not None:
            raise ConfigError(
                "the learning rate follows a schedule already",
                where=where,
                expected="a schedule, or a callback that sets the rate",
                received="both",
            )
        if rate != self._rate:
            self._changing()
            self._rate = rate
            self.record.rates.append((self.updates + 1, self._rate))
            if self.between is not None:
                self.between.changed(self, "rate")

    def state(self) -> State:
        """Copies of all parameters and buffers."""
        self.write_back()
        found = State({name: p.numpy().copy() for name, p in self.held.items()})
        whole = not self.record.partial and self.seen.step == self.epoch_step
        whole = whole and not self._averaged
        found.epoch = (self.record.trained or 0) if whole else None
        return found

    def restore(self, state: Mapping[str, AnyArray]) -> None:
        """Put copies back; the moments of the optimiser stay as they are."""
        check_fits(state, self.held)
        self._changing()
        for part in self.plan.parts:
            self.weights[part.start : part.stop] = state[part.name].ravel()
        for name, array in self.buffers.items():
            array[...] = state[name]
        self.dirty = True
        self.write_back()
        epoch = getattr(state, "epoch", None)
        if epoch:
            self.record.kept = epoch
            self.kept_at = self.seen.step
        else:
            self.record.unwritable = "weights were put back that no epoch ended with"
        if self.between is not None:
            self.between.changed(self, "weights")

    def look(self) -> None:
        """Look at the state. Raises NonFiniteError where a step made what is not finite."""
        if self.watch is not None:
            self.watch.look()

    def _changing(self) -> None:
        """Something else than a step changes the training: steps before cannot be done again."""
        if self.watch is not None:
            self.watch.forget()

    @property
    def keeps_batches(self) -> bool:
        """Whether batches cannot be cut again of rows in memory."""
        return self.record.stream is not None or self.record.augment is not None

    def arguments(self, inputs: Iterable[str]) -> list[Any]:
        """The arguments of a step; the data, which come first, and the step number left out."""
        fixed: dict[str, Any] = {
            "weights": self.weights,
            **self.buffers,
            **self.frozen,
            **self.moments,
            "rate": self._rate,
            "seed": self.record.seed,
        }
        return [fixed.get(name) for name in inputs]

    def write_back(self) -> None:
        """Give the model the numbers after the last step."""
        if not self.dirty:
            return
        self.look()
        new = {p.name: self.weights[p.start : p.stop].reshape(p.shape) for p in self.plan.parts}
        for name, array in {**new, **self.buffers}.items():
            held = self.held[name]
            held.assign(Tensor(array, held.array_type))
        self.dirty = False
        self._say()

    def _say(self) -> None:
        """Leave on the model how it came to its numbers."""
        record = self.record
        if not self._settings:
            self._settings = settings_of(record)
        columns, used = self.history.columns, versions()
        record.fitted = self.task.model._fitted = Fitted(
            self._settings, columns, record.partial, record.kept, used, record.verified
        )

    def run(self, callbacks: tuple[Callback, ...], between: Between | None = None) -> History:
        """All epochs; however they end, the model has the numbers after the last step.

        `between` acts between steps: it keeps or records the run, and may begin it in the middle.
        """
        record = self.record
        small = is_small(self.plan.step, record.batch_rows)
        if between is not None:
            between.begin(self, callbacks)
            self.between, self.last_checkpoint = between, between.written
        native = self.loop() if whole.ENABLED and not self.under_way[2] else None
        try:
            # The step itself looks for inf and nan, where NumPy would warn how they came to be.
            with (
                noted_signals(between is not None) as noted,
                np.errstate(all="ignore"),
                on_one_thread(small),
                batches.positions_inside(),
            ):
                self.once.begin(self.seen.step)
                for callback in callbacks:
                    callback.on_begin(self.seen)
                if between is not None:
                    between.begun(self)
                if native is not None:
                    whole.Whole(self, native, noted, between).run(callbacks)
                else:
                    self._run(record.source(), self.stepping(), callbacks, noted, between)
                if between is not None:
                    between.save(self)
                    between.finish()
                history = self._end(callbacks)
            if noted:  # after the last step, in an evaluation or a callback
                noted.heed(None if between is None else between.written())
            return history
        finally:
            try:
                self.write_back()
                if self.updates:
                    self._say()
            finally:
                if between is not None:
                    between.over(self)
                # They know this trainer, whose arrays would wait for the next collection.
                self.watch = None
                del self.seen

    def loop(self) -> Any:
        """The native loop over batches, for a run whose batches are rows in memory as they are."""
        record, native = self.record, self.plan.step.native
        plain = record.stream is None and record.augment is None and self.plan.apply is None
        if native is None or not plain or isinstance(record.optimizer, optim.LBFGS):
            return None
        arrays = {**record.data, "weights": self.weights, **self.buffers, **self.frozen}
        held = {**arrays, **self.moments}
        return native.loop(held, self.plan.data, record.batch_rows, record.seed)

    def pause(self, between: Between | None, noted: Noted) -> None:
        """Between two steps, where a checkpoint is due or a signal came."""
        if between is not None:
            between.pause(self, noted)
        if noted:
            noted.heed()

    def _nothing_yet(self) -> tuple[list[float], int, int]:
        return [0.0] * (1 + len(self.plan.metrics)), 0, 0

    def _one_by_one(self) -> None:
        """The steps that the native loop did of an epoch, as the other loop counts them."""
        sums, seen, count = self.under_way
        size = self.record.batch_rows
        for loss, *values in [row for piece in self.given for row in piece.tolist()]:
            rows = min(size, self.record.rows - seen)
            sums = [sums[0] + loss * rows, *[a + b for a, b in zip(sums[1:], values, strict=True)]]
            seen, count = seen + rows, count + 1
        self.given, self.under_way = [], (sums, seen, count)

    def _run(
        self,
        source: Any,
        step: Callable[[Sequence[AnyArray], int], Any],
        callbacks: Any,
        noted: Noted,
        between: Between | None,
    ) -> None:
        """Epoch after epoch; `step` runs one batch and gives what it returned."""
        record, run = self.record, self.seen
        by_step = tuple(c for c in callbacks if c.every != "epoch")
        by_epoch = tuple(c for c in callbacks if c.every == "epoch")
        step = trouble.stepping(self, step)
        self._one_by_one()
        for epoch in range(self.history.epochs + 1, record.epochs + 1):
            began = time.perf_counter()
            sums, seen, count = self.under_way
            if run.stop and not count:
                break
            for batch in () if run.stop else source.epoch(epoch, count):
                run.step += 1
                count += 1
                rows = len(batch[0])
                found = step(batch, epoch)
                loss, *values = found if isinstance(found, tuple) else (found,)
                run.loss = float(loss)
                if run.step >= self.once.next:
                    self.look()
                    self.once.look(run.step, run.loss)
                sums[0] += run.loss * rows
                seen += rows
                for i, value in enumerate(values, 1):
                    sums[i] += float(value)
                if by_step:
                    run.epoch = epoch
                    for callback in by_step:
                        if run.step % int(callback.every) == 0:
                            callback.on_interval(run)
                if noted or (between is not None and between.due(run.step)):
                    self.look()
                    run.epoch = epoch
                    self.under_way = (sums, seen, count)
                    self.pause(between, noted)
                if run.stop:
                    break
            self.under_way = self._nothing_yet()
            if record.stream is not None or seen == record.rows:
                self._flush_rest(epoch)
            seconds = [time.perf_counter() - began]
            self.end_epochs(np.array([sums]), seen, seconds, run.step, began)
            run.epoch = epoch
            for callback in by_epoch:
                callback.on_interval(run)
            if run.stop:
                break

    def end_epochs(
        self,
        sums: AnyArray,
        seen: int,
        seconds: list[float],
        step: int,
        began: float | None = None,
    ) -> None:
        """Write epochs down: `sums` of loss and metrics over the `seen` rows of each.

        `step` is the last of them; with `began` the time of testing counts, too.
        """
        record, plan = self.record, self.plan
        record.partial = record.stream is None and seen < record.rows
        counts = [1, *[each for _, each in plan.metrics]]
        names = ["loss", *[name for name, _ in plan.metrics]]
        columns = {name: (sums[:, i] / (seen * counts[i])).tolist() for i, name in enumerate(names)}
        if record.evaluation is not None:
            self.look()
            tested = self.evaluate(record.evaluation, record.validation)
            columns.update({f"val_{name}": [value] for name, value in tested.items()})
        if began is not None:
            seconds = [time.perf_counter() - began]
        self.history.extend(columns, seconds)
        record.trained = len(self.history.seconds) - record.partial
        self.epoch_step = step

    def _end(self, callbacks: Any) -> History:
        """What comes after the last epoch."""
        record, run = self.record, self.seen
        self.look()
        averages = "average" in self.moments and bool(self.updates)
        if record.kept is not None and (averages or self.kept_at < run.step):
            record.unwritable = "weights were put back in the middle of the run"
        if averages:
            self.weights[...] = self.moments["average"]
            self.dirty = self._averaged = True
        for callback in callbacks:
            callback.on_end(run)
        return self.history

    def updated(self, steps: int, rate: float) -> None:
        """So many updates were made, the last with this rate."""
        self.updates += steps
        self._rate = rate
        self.dirty = True

    # -- what happens with a batch -------------------------------------------------------------

    def stepping(self) -> Callable[[Sequence[AnyArray], int], Any]:
        """What does one step with a batch of an epoch, and gives what the step returned."""
        return self._closures() if isinstance(self.record.optimizer, optim.LBFGS) else self._steps()

    def _steps(self) -> Callable[[Sequence[AnyArray], int], Any]:
        """Forward, backward and update; or the update only when enough batches were added up."""
        plan, run, optimizer = self.plan, self.seen, self.record.optimizer
        function = plan.step.function
        names = list(plan.graph.inputs)
        arguments = self.arguments(names)
        count = len(plan.data)
        at_step = names.index("step") if "step" in names else None
        at_rate = names.index("rate") if "rate" in names else None
        scheduled = optimizer.schedule is not None
        together = optimizer.gradient_accumulation_steps or 0

        def step(batch: Sequence[AnyArray], epoch: int) -> Any:
            arguments[:count] = batch
            if at_step is not None:
                arguments[at_step] = run.step
            if at_rate is not None:
                if scheduled:
                    self._rate = optimizer.rate_at(self.updates, epoch - 1)
                arguments[at_rate] = self._rate
            found = function(*arguments)
            if found is None:
                run.step -= 1
                raise trouble.not_finite(self, arguments)
            self.dirty = True
            if not together:
                self.updates += 1
            else:
                self.added = (self.added[0] + 1, self.added[1] + len(batch[0]))
                if self.added[0] == together:
                    self.flush(epoch)
            return found

        return step

    def _closures(self) -> Callable[[Sequence[AnyArray], int], Any]:
        """L-BFGS: loss and gradient at several points, then one move."""
        plan, run, record = self.plan, self.seen, self.record
        optimizer = record.optimizer
        assert isinstance(optimizer, optim.LBFGS)
        function = plan.step.function
        names = list(plan.graph.inputs)
        arguments = self.arguments(names)
        count = len(plan.data)
        at_step = names.index("step") if "step" in names else None
        at_weights = names.index("weights")
        memory = self.memory
        looked_at = [self.weights]  # the last point: where it went wrong, if it does

        def objective(w: AnyArray) -> tuple[Any, AnyArray]:
            arguments[at_weights] = looked_at[0] = w
            loss, *_, gradient = function(*arguments)
            return loss, gradient

        def step(batch: Sequence[AnyArray], _: int) -> Any:
            arguments[:count] = batch
            if at_step is not None:
                arguments[at_step] = run.step
            arguments[at_weights] = self.weights
            before = {name: array.copy() for name, array in self.buffers.items()}
            remembered = dict(memory)
            found = function(*arguments)
            weights, loss = optimizer.advance(objective, self.weights, memory, self._rate)
            bad = None if self.watch is None else self.watch.bad()
            if record.guards.finite and (bad or not np.isfinite(loss)):
                for name, array in before.items():
                    self.buffers[name][...] = array
                memory.clear()
                memory.update(remembered)
                run.step -= 1
                arguments[at_weights] = looked_at[0]
                raise trouble.not_finite(self, arguments, bad)
            self.weights[...] = weights
            self.dirty = True
            self.updates += 1
            return found[:-1]

        return step

    def _flush_rest(self, epoch: int) -> None:
        """The update with gradients that are left at the end of an epoch."""
        if self.watch is not None and self.added[0]:
            self.watch.flushes(epoch)
        self.flush(epoch)
        if self.record.stream is not None:
            self._changing()

    def flush(self, epoch: int) -> None:
        """The update with the gradients that were added up, if there are any."""
        if self.plan.apply is None or not self.added[0]:
            return
        optimizer = self.record.optimizer
        if optimizer.schedule is not None:
            self._rate = optimizer.rate_at(self.updates, epoch - 1)
        self.updates += 1
        self.plan.apply.function(*self.of_apply())
        self.added = (0, 0)
        self.dirty = True

    def of_apply(self) -> list[Any]:
        """The arguments of the update that follows added gradients."""
        assert self.plan.apply is not None
        names = list(self.plan.apply.inputs)
        arguments = self.arguments(names)
        hosts = {"rows": self.added[1], "rate": self._rate, "step": self.updates}
        for name, value in hosts.items():
            if name in names:
                arguments[names.index(name)] = value
        return arguments

    def evaluate(self, plan: Plan, data: Mapping[str, AnyArray]) -> dict[str, float]:
        """Loss and metrics over all rows."""
        return evaluated(plan, self.arguments(plan.graph.inputs), data)

    def forget_epochs(self, kept: int) -> None:
        """The history of epochs that ended with a step which was undone goes, too."""
        if kept >= len(self.history.seconds):
            return
        for column in self.history.columns.values():
            del column[kept:]
        del self.history.seconds[kept:]
        self.record.trained = kept

    def went_back(self, rate: float) -> None:
        """Steps were undone: this is the rate of the next."""
        self._rate = rate


def _first(moment: Moment, weights: AnyArray) -> AnyArray:
    """What a state of the optimiser begins as."""
    if moment.start is None:
        return weights.copy()
    if isinstance(moment.start, tuple):
        counts, values = zip(*moment.start, strict=True)
        return np.repeat(values, counts).astype(weights.dtype)
    if moment.scalar:
        return np.full((), moment.start, weights.dtype)
    return np.full_like(weights, moment.start)
