"""The loop over the data: fit, evaluate, predict."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad import optim
from glassgrad.engine import chosen_backend, compiled, first_not_finite, is_small, on_one_thread
from glassgrad.errors import ConfigError, DataError, NonFiniteError, UsageError, shown
from glassgrad.ir import Type
from glassgrad.nn import losses
from glassgrad.nn.module import Module, drawing_with
from glassgrad.nn.tracing import forward_graph
from glassgrad.tensors.random import checked_seed

from . import batches, metrics as metric_list
from .callbacks import Callback, ProgressLines, Run, checked
from .history import History
from .step import ROWS, Plan, Task, evaluation_plan, training_plan

AnyArray = NDArray[Any]
_CLASSIFYING = {
    "cross_entropy",
    "bce",
    "binary_cross_entropy",
    "bce_logits",
    "binary_cross_entropy_with_logits",
}


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

    @property
    def fixed(self) -> tuple[str, ...]:
        """What the run reads and never changes, in training or in evaluation."""
        also = (
            () if self.evaluation is None else (*self.evaluation.frozen, *self.evaluation.buffers)
        )
        names = [*self.plan.frozen, *[n for n in also if n not in self.plan.buffers]]
        return tuple(dict.fromkeys(names))


def make_task(model: Module, x: AnyArray, y: AnyArray, loss: Any, metrics: Any) -> Task:
    """The types of the data with the number of rows left open, the loss and the metrics found."""
    name, function = found_loss(loss)
    if metrics is None:
        metrics = ("accuracy",) if name in _CLASSIFYING else ()
    return Task(
        model,
        Type((ROWS, *x.shape[1:]), x.dtype.name),
        Type((ROWS, *y.shape[1:]), y.dtype.name),
        name,
        function,
        metric_list.find(metrics),
    )


def found_loss(loss: Any) -> tuple[str, Any]:
    """A loss and its name; a user's own function keeps clear of the names of ours."""
    name, function = losses.find(loss)
    own = function not in losses.NAMED.values()
    return (f"own {name}" if own and name in losses.NAMED else name), function


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

    def arguments(self, plan: Plan) -> list[Any]:
        """The step's arguments, data and step number left out."""
        fixed: dict[str, Any] = {
            "weights": self.weights,
            **self.buffers,
            **self.frozen,
            **self.moments,
            "rate": self.record.optimizer.lr,
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
        run = Run(self, record.epochs)
        for callback in callbacks:
            callback.on_begin(run)
        gathers = record.shuffle and size < rows
        for epoch in range(1, record.epochs + 1):
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
        return _evaluated(plan, self.arguments(plan), x, y)

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
            hint=f"a smaller learning rate than {self.record.optimizer.lr:g}, or scaled inputs",
        )


def _evaluated(plan: Plan, arguments: list[Any], x: AnyArray, y: AnyArray) -> dict[str, float]:
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


def prepared(
    model: Module,
    x: Any,
    y: Any,
    *,
    loss: Any,
    optimizer: Any,
    epochs: int = 1,
    batch_size: int | None = None,
    shuffle: bool = True,
    metrics: Any = None,
    validation_split: float = 0.0,
    validation_data: tuple[Any, Any] | None = None,
    seed: int | None = 0,
    backend: str = "auto",
) -> Record:
    """Everything checked, the step written and compiled, nothing trained yet.

    Raises UsageError, ConfigError, DataError and ShapeError for what cannot be meant.
    """
    if not isinstance(model, Module):
        raise UsageError("this is not a model", expected="an nn.Module", received=shown(model))
    epochs = _checked_epochs(epochs)
    number = checked_seed(seed)
    optimizer = optim.find(optimizer)
    chosen = chosen_backend(backend)
    name, _ = found_loss(loss)
    dtype = model.dtype()
    x_all = batches.inputs(model, x, dtype)
    y_all = batches.targets(y, name, dtype, len(x_all))
    data = {"x": x_all, "y": y_all}
    if validation_data is not None and validation_split:
        raise ConfigError(
            "validation data and a validation split are both given",
            expected="one of them",
            received=f"validation_data and validation_split={shown(validation_split)}",
        )
    if validation_data is not None:
        if not isinstance(validation_data, tuple | list) or len(validation_data) != 2:
            raise ConfigError(
                "validation_data is a pair (x, y)",
                expected="two arrays with a row for each sample",
                received=shown(validation_data),
            )
        data["x_val"] = batches.inputs(model, validation_data[0], dtype, "validation x")
        data["y_val"] = batches.targets(
            validation_data[1], name, dtype, len(data["x_val"]), "validation y"
        )
        if data["x_val"].shape[1:] != x_all.shape[1:]:
            raise DataError(
                "validation rows differ from training rows",
                expected=str(x_all.shape[1:]),
                received=str(data["x_val"].shape[1:]),
            )
    elif validation_split:
        data = _split(data, validation_split)
    size = batches.checked_batch_size(batch_size, len(data["x"]))
    with drawing_with(number):
        task = make_task(model, data["x"], data["y"], loss, metrics)
        plan = training_plan(task, optimizer)
        evaluation = evaluation_plan(task, plan.parts) if "x_val" in data else None
    for key in ("y", "y_val"):
        if key in data and plan.classes:
            batches.check_labels(data[key], plan.classes, key)
    batches.check_last(plan.divisors, len(data["x"]), size)
    return Record(
        task, plan, evaluation, optimizer, epochs, batch_size, bool(shuffle), number, chosen, data
    )


def _checked_epochs(epochs: Any) -> int:
    if isinstance(epochs, bool) or not hasattr(epochs, "__index__") or int(epochs) < 0:
        raise ConfigError(
            "epochs is out of range", expected="a whole number from 0", received=shown(epochs)
        )
    return int(epochs)


def _split(data: dict[str, AnyArray], share: float) -> dict[str, AnyArray]:
    """The last share of the rows is kept for validation, as in Keras."""
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        raise ConfigError(
            "validation_split is a share", expected="0 to below 1", received=shown(share)
        )
    rows = len(data["x"])
    kept = rows - max(1, round(rows * share))
    if kept < 1:
        raise DataError(
            "too few rows for a validation split", expected="at least 2", received=str(rows)
        )
    return {
        "x": data["x"][:kept],
        "y": data["y"][:kept],
        "x_val": data["x"][kept:],
        "y_val": data["y"][kept:],
    }


def fit(
    model: Module,
    x: Any,
    y: Any,
    *,
    loss: Any,
    optimizer: Any,
    epochs: int = 1,
    batch_size: int | None = None,
    shuffle: bool = True,
    metrics: Any = None,
    validation_split: float = 0.0,
    validation_data: tuple[Any, Any] | None = None,
    callbacks: Sequence[Callback] = (),
    seed: int | None = 0,
    backend: str = "auto",
    verbose: bool = True,
) -> History:
    """Train a model and give back its history.

    `loss` is a name or a function of (prediction, target), `optimizer` an `optim` object or a
    name. `batch_size` None is all rows at once, 1 one sample at a time; the last, smaller batch
    is used. `metrics` are names or functions; by default accuracy where the loss classifies.
    `validation_split` keeps the last share of the rows. Everything random is a function of
    `seed` (None draws one, kept in `history.record.seed`). Raises DataError, ShapeError and
    ConfigError before the first step, NonFiniteError during it, the model left as it was before
    the step.

    >>> import glassgrad as gg
    >>> from glassgrad import data, nn, optim
    >>> x, y = data.spiral(seed=0)
    >>> model = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 3))
    >>> history = gg.fit(
    ...     model, x, y, loss="cross_entropy", optimizer=optim.Adam(1e-2), epochs=100, verbose=False
    ... )
    >>> history["accuracy"][-1] > 0.8
    True
    """
    record = prepared(
        model,
        x,
        y,
        loss=loss,
        optimizer=optimizer,
        epochs=epochs,
        batch_size=batch_size,
        shuffle=shuffle,
        metrics=metrics,
        validation_split=validation_split,
        validation_data=validation_data,
        seed=seed,
        backend=backend,
    )
    listeners = checked(callbacks) + ((ProgressLines(),) if verbose else ())
    return Trainer(record).run(listeners)


def evaluate(model: Module, x: Any, y: Any, *, loss: Any, metrics: Any = None) -> dict[str, float]:
    """Loss and metrics over all rows, in evaluation: no dropout, running statistics.

    Raises DataError and ShapeError where the data do not fit.

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> model = nn.Linear(1, 1, init=2.0)
    >>> gg.evaluate(model, [[1.0], [2.0]], [[2.0], [5.0]], loss="mse")
    {'loss': 0.5}
    """
    name, _ = found_loss(loss)
    dtype = model.dtype()
    x_all = batches.inputs(model, x, dtype)
    y_all = batches.targets(y, name, dtype, len(x_all))
    task = make_task(model, x_all, y_all, loss, metrics)
    plan = evaluation_plan(task, ())
    if plan.classes:
        batches.check_labels(y_all, plan.classes)
    held = model.named_state()
    arguments = [held[n].numpy() if n in held else None for n in plan.graph.inputs]
    small = is_small(plan.step, min(batches.CHUNK, len(x_all)))
    with on_one_thread(small), batches.positions_inside():
        return _evaluated(plan, arguments, x_all, y_all)


def predict(model: Module, x: Any) -> AnyArray:
    """What the model gives for every row, in evaluation, as a NumPy array.

    Rows go through in fixed chunks and one remainder. Raises DataError and ShapeError where the
    data do not fit.

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> gg.predict(nn.Linear(1, 1, init=2.0), [[1.0], [2.0]])
    array([[2.],
           [4.]], dtype=float32)
    """
    array = batches.inputs(model, x, model.dtype())
    graph = forward_graph(model, {"x": Type((ROWS, *array.shape[1:]), array.dtype.name)})
    step = compiled(graph)
    held = model.named_state()
    rest = [held[n].numpy() for n in graph.inputs if n != "x"]
    at = list(graph.inputs).index("x")
    small = is_small(step, min(batches.CHUNK, len(array)))
    with on_one_thread(small), batches.positions_inside():
        found = [
            step.function(*rest[:at], array[rows], *rest[at:])
            for rows in batches.chunks(len(array))
        ]
    return np.concatenate(found)
