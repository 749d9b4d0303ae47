"""What users call: fit, evaluate, predict."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glassgrad import optim
from glassgrad.engine import check_backend, compiled, is_small, on_one_thread
from glassgrad.errors import ConfigError, DataError, UsageError, shown, whole_number
from glassgrad.ir import Type
from glassgrad.nn.module import Module, drawing_with
from glassgrad.nn.tracing import forward_graph, gathered
from glassgrad.tensors.random import checked_seed

from . import batches
from .between import Between, Together
from .callbacks import Callback, ProgressLines, checked
from .evaluation import evaluated
from .guards import checked_guards
from .history import History
from .memory import check_memory
from .rows import Source, Stream, augmented, parts_of
from .step import evaluation_plan, training_plan
from .task import ROWS, Intake, checked_data, checked_inputs, make_task, wish, with_class_weights
from .trainer import Record, Trainer
from .verify import keep_figure

if TYPE_CHECKING:
    from .checkpoints import Keeper

AnyArray = NDArray[Any]


def prepared(
    model: Module,
    x: Any,
    y: Any = None,
    *,
    loss: Any,
    optimizer: Any,
    epochs: int = 1,
    batch_size: int | None = None,
    shuffle: bool = True,
    metrics: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    class_weight: Any = None,
    sample_weight: Any = None,
    loss_weights: Any = None,
    augment: Any = None,
    steps_per_epoch: int | None = None,
    seed: int | None = 0,
    recompute: bool = False,
    guard: Any = True,
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
    guards = checked_guards(guard)
    check_backend(backend)
    if not isinstance(recompute, bool):
        raise ConfigError(
            "recompute is a choice", expected="True or False", received=shown(recompute)
        )
    stream = None
    if y is None:
        given = (validation_split or None, sample_weight, class_weight, augment)
        stream = _streamed(x, steps_per_epoch, dict(zip(_ON_ROWS, given, strict=True)))
        x, y, sample_weight = parts_of(stream.first)
    elif steps_per_epoch is not None:
        raise ConfigError(
            "steps_per_epoch counts batches of an iterable",
            expected="fit(model, batches, steps_per_epoch=...)",
            received="arrays, whose rows are all seen in every epoch",
        )
    wished = wish(y, loss, loss_weights, metrics)

    taken = Intake(model)

    def arrays(x: Any, y: Any, weight: Any, what: str = "") -> dict[str, AnyArray]:
        return checked_data(taken, x, y, wished, sample_weight=weight, what=what)

    data = arrays(x, y, sample_weight)
    held = _validation(data, validation_split, validation_data, arrays)
    table = None
    if class_weight is not None:
        data, table = with_class_weights(data, wished, class_weight, taken.dtype)
    rows = len(next(iter(data.values())))
    size = batches.checked_batch_size(batch_size, rows)
    with drawing_with(number):
        task = make_task(taken, wished, data)
        plan = training_plan(task, optimizer, backend, recompute, guards)
        tested = make_task(taken, wished, held) if held else None
        evaluation = None if tested is None else evaluation_plan(tested, plan.parts, backend)
    for part, what in ((data, ""), (held, "validation ")):
        for name, classes in plan.classes.items():
            if part and guards.labels:
                batches.check_labels(part[name], classes, f"{what}{name}")
    batches.check_last(plan.divisors, rows, size)
    record = Record(
        task,
        plan,
        evaluation,
        optimizer,
        epochs,
        batch_size,
        bool(shuffle),
        number,
        plan.step.engine,
        data,
        held,
        augment=augment,
        recompute=recompute,
        guards=guards,
        class_weight=table if sample_weight is None else None,
    )
    if stream is not None:
        record.stream = Stream(stream, _batch_check(record, arrays), steps_per_epoch, epochs)
        record.unwritable = "its rows came from an iterable, which no file holds"
    if augment is not None:
        _check_augment(augment, data[next(iter(data))], number)
        if not hasattr(augment, "changes"):
            record.unwritable = "its rows were changed by a function of the user"
    if isinstance(optimizer, optim.LBFGS) and (size < rows or stream is not None):
        raise ConfigError(
            "L-BFGS needs all rows in every step",
            where="batch_size",
            expected="None",
            received="batches of an iterable" if stream is not None else f"{batch_size}",
        )
    return record


def _check_augment(augment: Any, rows: AnyArray, seed: int) -> None:
    """One row is changed to try it: what comes out must be a row of the same kind."""
    if not callable(augment):
        raise ConfigError(
            "augment changes rows",
            expected="data.Augment, or a function (rows, numbers, seed=, epoch=) -> rows",
            received=shown(augment),
        )
    augmented(augment, rows[:1].copy(), np.arange(1), seed, 1)


def _streamed(x: Any, steps: Any, for_arrays: Mapping[str, Any]) -> Source:
    """Batches to read. `for_arrays` are settings that only rows in memory can have."""
    given = [name for name, value in for_arrays.items() if value is not None]
    if given:
        raise ConfigError(
            f"batches of an iterable have no rows to {_ON_ROWS[given[0]]}",
            expected="validation_data, weights as the third part of each batch, and batches that "
            "are augmented already",
            received=given[0],
        )
    count = whole_number(steps)
    if steps is not None and (count is None or count < 1):
        raise ConfigError(
            "steps_per_epoch is out of range",
            expected="a whole number from 1",
            received=shown(steps),
        )
    if not isinstance(x, Iterable) or isinstance(x, np.ndarray | str | bytes | Mapping):
        raise DataError(
            "targets are missing",
            expected="fit(model, x, y), or an iterable of batches (x, y)",
            received=type(x).__name__,
        )
    return Source(x)


_ON_ROWS = {
    "validation_split": "split",
    "sample_weight": "weight",
    "class_weight": "weight",
    "augment": "augment",
}


def _batch_check(record: Record, arrays: Any) -> Any:
    """A batch as the arrays of the plan, of the types the step was written for."""
    data, names = record.data, record.plan.data

    def check(batch: Any) -> list[AnyArray]:
        x, y, weight = parts_of(batch)
        found = arrays(x, y, weight)
        for name in dict.fromkeys([*names, *found]):
            have, want = (_kind_of_rows(each.get(name)) for each in (found, data))
            if have != want:
                raise DataError(
                    "a batch differs from the first one", where=name, expected=want, received=have
                )
        for name, classes in record.plan.classes.items() if record.guards.labels else ():
            batches.check_labels(found[name], classes, name)
        batches.check_last(record.plan.divisors, len(found[names[0]]), len(found[names[0]]))
        return [found[name] for name in names]

    return check


def _kind_of_rows(array: AnyArray | None) -> str:
    return "nothing" if array is None else f"{array.dtype} rows of shape {array.shape[1:]}"


def _validation(
    data: dict[str, AnyArray], split: float, given: Any, arrays: Any
) -> dict[str, AnyArray]:
    """Rows to test on after every epoch; a split takes them from the data."""
    if given is not None and split:
        raise ConfigError(
            "validation data and a validation split are both given",
            expected="one of them",
            received=f"validation_data and validation_split={shown(split)}",
        )
    if split:
        return _split(data, split)
    if given is None:
        return {}
    if not isinstance(given, tuple | list) or len(given) not in (2, 3):
        raise ConfigError(
            "validation_data is a pair (x, y)",
            expected="arrays with a row for each sample, and weights as a third if rows have them",
            received=shown(given),
        )
    held: dict[str, AnyArray] = arrays(*parts_of(given), "validation ")
    for name, array in held.items():
        if name in data and array.shape[1:] != data[name].shape[1:]:
            raise DataError(
                "validation rows differ from training rows",
                where=name,
                expected=str(data[name].shape[1:]),
                received=str(array.shape[1:]),
            )
    return held


def _checked_epochs(epochs: Any) -> int:
    number = whole_number(epochs)
    if number is None or number < 0:
        raise ConfigError(
            "epochs is out of range", expected="a whole number from 0", received=shown(epochs)
        )
    return number


def _split(data: dict[str, AnyArray], share: float) -> dict[str, AnyArray]:
    """The last share of the rows, taken out of the data for validation, as in Keras."""
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        raise ConfigError(
            "validation_split is a share", expected="0 to below 1", received=shown(share)
        )
    rows = len(next(iter(data.values())))
    kept = min(math.floor(rows * (1 - share)), rows - 1)  # Keras's rule, and at least one
    if kept < 1:
        raise DataError(
            "too few rows for a validation split", expected="at least 2", received=str(rows)
        )
    held = {name: array[kept:] for name, array in data.items()}
    data.update({name: array[:kept] for name, array in data.items()})
    return held


def fit(
    model: Module,
    x: Any,
    y: Any = None,
    *,
    loss: Any,
    optimizer: Any,
    epochs: int = 1,
    batch_size: int | None = None,
    shuffle: bool = True,
    metrics: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    class_weight: Any = None,
    sample_weight: Any = None,
    loss_weights: Any = None,
    augment: Any = None,
    steps_per_epoch: int | None = None,
    callbacks: Sequence[Callback] = (),
    seed: int | None = 0,
    recompute: bool = False,
    guard: Any = True,
    backend: str = "auto",
    checkpoint: str | Path | None = None,
    checkpoint_every: int | str = "30s",
    keep: int = 3,
    resume: bool | str = False,
    checkpoint_failure: str = "warn",
    checkpoint_full_hash: bool = False,
    tape: Any = None,
    verbose: bool = True,
) -> History:
    """Train a model and give back its history.

    `loss` is a name, a function of (prediction, target) or an object such as
    `nn.HuberLoss(delta=2.0)`, `optimizer` an `optim` object or a name. `batch_size` None is all
    rows at once, 1 one sample at a time; the last, smaller batch is used. `metrics` are names or
    functions; by default accuracy where the loss classifies. `validation_split` keeps the last
    share of the rows.

    `sample_weight` (n,) multiplies each row's loss before the mean over rows, `class_weight` (a
    dict, a list or "balanced") that of each row's class, in training alone. A network of several inputs takes a
    tuple or dict for x; one of several outputs takes a tuple or dict for y, one loss for all or
    one for each, and `loss_weights`. Without y, x is an iterable of batches (x, y) or (x, y,
    sample_weight), read anew in every epoch, or `steps_per_epoch` of them. `augment` changes the
    rows of every batch: see `data.Augment`.

    `recompute` keeps less of the way forward for the way back, and does parts of it again: less
    memory, more work, the same bits. What that saves and costs is printed, and is
    `history.record.recompute_cost()`.

    `guard` False leaves all checks of the run out; a dict such as `{"finite": False}` single ones,
    and names such as `("reach", "labels")` are those that stay: see
    [running.md](../running.md#guards).

    `checkpoint` is a folder for checkpoints, one every so many steps or seconds (`"30s"`), the last
    `keep` of them. `resume="auto"` goes on with the run in that folder if there is one, "must" only
    then, and gives the bits of a run that was never stopped; with False there must be none. `epochs`
    is the total, and may be raised; what else differs is a ResumeError. Where a save fails,
    `checkpoint_failure` is "warn" (training goes on) or "raise"; `checkpoint_full_hash` compares
    all bytes of rows that are mapped from a file. See docs/checkpoints.md.

    `tape` is a `gg.Tape()` that records the run, so that one can go to any of its steps afterwards.

    Everything random is a function of `seed` (None draws one, kept in `history.record.seed`).
    Raises DataError, ShapeError and ConfigError before the first step, NonFiniteError during it,
    the model left as it was before the step.

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
    keeping: dict[str, Any] = {
        "every": checkpoint_every, "keep": keep, "resume": resume,
        "failure": checkpoint_failure, "full_hash": checkpoint_full_hash,
    }  # fmt: skip
    with _kept(checkpoint, keeping) as keeper:
        settings: dict[str, Any] = {
            "loss": loss,
            "optimizer": optimizer,
            "epochs": epochs,
            "batch_size": batch_size,
            "shuffle": shuffle,
            "metrics": metrics,
            "validation_split": validation_split,
            "validation_data": validation_data,
            "class_weight": class_weight,
            "sample_weight": sample_weight,
            "loss_weights": loss_weights,
            "augment": augment,
            "steps_per_epoch": steps_per_epoch,
            "seed": seed if keeper is None else keeper.seed(seed),
            "recompute": recompute,
            "guard": guard,
            "backend": backend,
        }
        record = prepared(model, x, y, **settings)
        listeners = checked(callbacks) + ((ProgressLines(),) if verbose else ())
        if record.guards.memory:
            check_memory(record)
        if verbose and recompute:
            sys.stderr.write(f"recompute: {record.recompute_cost()}\n")
        if keeper is not None:
            keeper.check(record, listeners)
        between = keeper if tape is None else _taped(tape, record, (x, y), settings, keeper)
        history = Trainer(record).run(listeners, between)
    keep_figure(history)
    return history


def _taped(
    tape: Any, record: Record, rows: tuple[Any, Any], settings: Any, keeper: Keeper | None
) -> Between:
    """A tape for the run, beside what keeps its checkpoints."""
    if not hasattr(tape, "takes"):
        raise ConfigError(
            "this is not a tape", where="tape", expected="gg.Tape()", received=shown(tape)
        )
    tape.takes(record, *rows, settings)
    return tape if keeper is None else Together((tape, keeper))


@contextmanager
def _kept(folder: Any, settings: dict[str, Any]) -> Iterator[Keeper | None]:
    """What keeps the run, or None where nothing is to be kept."""
    if folder is None:
        usual = {"every": "30s", "keep": 3, "resume": False, "failure": "warn", "full_hash": False}
        for name, value in settings.items():
            if type(value) is not type(usual[name]) or value != usual[name]:
                raise ConfigError(
                    "there is a setting of checkpoints and no folder for them",
                    expected='fit(..., checkpoint="run/")',
                    received=f"{name}={shown(value)}",
                )
        yield None
        return
    from .checkpoints import Keeper

    keeper = Keeper(folder, **settings)
    try:
        yield keeper
    finally:
        keeper.close()


def evaluate(
    model: Module,
    x: Any,
    y: Any,
    *,
    loss: Any,
    metrics: Any = None,
    sample_weight: Any = None,
    loss_weights: Any = None,
) -> dict[str, float]:
    """Loss and metrics over all rows, in evaluation: no dropout, running statistics.

    Arguments as in `fit`. Raises DataError and ShapeError where the data do not fit.

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> model = nn.Linear(1, 1, init=2.0)
    >>> gg.evaluate(model, [[1.0], [2.0]], [[2.0], [5.0]], loss="mse")
    {'loss': 0.5}
    """
    wished = wish(y, loss, loss_weights, metrics)
    taken = Intake(model)
    data = checked_data(taken, x, y, wished, sample_weight=sample_weight)
    rows = len(next(iter(data.values())))
    task = make_task(taken, wished, data)
    plan = evaluation_plan(task, ())
    for name, classes in plan.classes.items():
        batches.check_labels(data[name], classes, name)
    held = task.state()
    arguments = [held[n].numpy() if n in held else None for n in plan.graph.inputs]
    small = is_small(plan.step, min(batches.CHUNK, rows))
    with on_one_thread(small), batches.positions_inside():
        return evaluated(plan, arguments, data)


def predict(model: Module, x: Any) -> Any:
    """What the model gives for every row, in evaluation, as a NumPy array.

    A network of several outputs gives a tuple of arrays, or a dict if its forward does. Rows go
    through in fixed chunks and one remainder. Raises DataError and ShapeError where the data do
    not fit.

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> gg.predict(nn.Linear(1, 1, init=2.0), [[1.0], [2.0]])
    array([[2.],
           [4.]], dtype=float32)
    """
    data = checked_inputs(Intake(model), x)
    kinds = {name: Type((ROWS, *a.shape[1:]), a.dtype.name) for name, a in data.items()}
    graph = forward_graph(model, kinds)
    step = compiled(graph)
    held = model.named_state()
    arguments = [held[n].numpy() if n in held else batches.DRAWS.get(n) for n in graph.inputs]
    at = [(i, data[n]) for i, n in enumerate(graph.inputs) if n in data]
    rows = len(at[0][1])
    small = is_small(step, min(batches.CHUNK, rows))
    found = []
    with on_one_thread(small), batches.positions_inside():
        for chunk in batches.chunks(rows):
            for place, array in at:
                arguments[place] = array[chunk]
            found.append(step.function(*arguments))
    if len(graph.outputs) == 1:
        found = [(part,) for part in found]
    each = [np.concatenate([part[i] for part in found]) for i in range(len(graph.outputs))]
    return gathered(dict(zip(graph.outputs, each, strict=True)))
