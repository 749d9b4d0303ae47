"""What users call: fit, evaluate, predict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad import optim
from glassgrad.engine import chosen_backend, compiled, is_small, on_one_thread
from glassgrad.errors import ConfigError, DataError, UsageError, shown
from glassgrad.ir import Type
from glassgrad.nn import losses
from glassgrad.nn.module import Module, drawing_with
from glassgrad.nn.tracing import forward_graph
from glassgrad.tensors.random import checked_seed

from . import batches, metrics as metric_list
from .callbacks import Callback, ProgressLines, checked
from .history import History
from .step import ROWS, Task, evaluation_plan, training_plan
from .trainer import Record, Trainer, evaluated

AnyArray = NDArray[Any]


def make_task(model: Module, x: AnyArray, y: AnyArray, loss: Any, metrics: Any) -> Task:
    """The types of the data with the number of rows left open, the loss and the metrics found."""
    name, function = losses.find(loss)
    if metrics is None:
        ours = losses.known(name)
        metrics = ("accuracy",) if ours and ours.classifies else ()
    return Task(
        model,
        Type((ROWS, *x.shape[1:]), x.dtype.name),
        Type((ROWS, *y.shape[1:]), y.dtype.name),
        name,
        function,
        metric_list.find(metrics),
    )


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
    name, _ = losses.find(loss)
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
    name, _ = losses.find(loss)
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
        return evaluated(plan, arguments, x_all, y_all)


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
