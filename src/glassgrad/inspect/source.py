"""Programs to read: a training step, or a whole run, as plain NumPy."""

from __future__ import annotations

from typing import Any

from glassgrad.engine import is_small, program_source, step_source
from glassgrad.errors import UsageError
from glassgrad.nn import losses
from glassgrad.nn.module import Module
from glassgrad.train.batches import CHUNK
from glassgrad.train.fit import prepared
from glassgrad.train.step import Task
from glassgrad.train.trainer import Record

_ROWS = "n is the number of rows, whatever it is"


def source(
    model: Module,
    x: Any,
    y: Any,
    *,
    loss: Any,
    optimizer: Any,
    whole: bool = False,
    epochs: int = 1,
    batch_size: int | None = None,
    shuffle: bool = True,
    metrics: Any = None,
    validation_data: tuple[Any, Any] | None = None,
    seed: int = 0,
) -> str:
    """The NumPy program that trains this model on data like these.

    The step alone, or with `whole` the run: it reads `initial.npz` and `data.npz` beside it,
    trains, prints each loss and writes `replayed.csv` and `replayed.npz`.

    >>> import glassgrad as gg
    >>> from glassgrad import nn, optim
    >>> model = nn.Sequential(output=nn.Linear(1, 1))
    >>> text = gg.source(model, [[1.0]], [[2.0]], loss="mse", optimizer=optim.SGD(0.1))
    >>> print(text[text.index("    # output") : text.index("    # loss")])
        # output: Linear(1, 1)             z = x @ W + b
        output = x @ output_weight + output_bias
    <BLANKLINE>
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
        validation_data=validation_data,
        seed=seed,
    )
    if whole:
        return whole_program(record)
    return step_source(record.plan.step, about(record, "One training step, as NumPy."))


def about(record: Record, title: str) -> list[tuple[str, str]]:
    """What stands at the top of a program."""
    task = record.task
    rows = ", ".join(["n", *map(str, task.x.shape[1:])])
    targets = ", ".join(["n", *map(str, task.y.shape[1:])])
    targets = f"({targets},)" if len(task.y.shape) == 1 else f"({targets})"
    classes = record.plan.outputs.shape[1:]
    ours = losses.known(task.loss_name)
    kind = f", {classes[0]} classes" if task.y.dtype == "int64" and classes else ""
    return [
        ("", title),
        ("data", f"x ({rows}) {task.x.dtype}   y {targets} {task.y.dtype}{kind}; {_ROWS}"),
        ("network", network(task)),
        ("loss", (ours.about if ours else task.loss_name) + ", mean over the batch"),
        ("optimiser", repr(record.optimizer)),
    ]


def network(task: Task) -> str:
    """The layers in a row."""
    layers = [
        module.title()
        for path, module in task.model.modules()
        if path and not list(module.children())
    ]
    text = " -> ".join(layers) or type(task.model).__name__
    return text if len(text) < 90 else f"{text[:86]} ..."


def whole_program(record: Record, data: dict[str, Any] | None = None) -> str:
    """The run of a record as a file; `data` describes IDX files where they are too large to copy.

    `data` holds `folder`, `files` ((name, sha256) of images and labels, training then
    validation) and the `shape` of one row.
    """
    if record.partial:
        raise UsageError(
            "a run that was stopped in the middle of an epoch has no program",
            where="run.stop at a step",
            expected="whole epochs",
            received=f"a stop in epoch {(record.trained or 0) + 1}",
            hint='stop at the end of an epoch: a callback whose `every` is "epoch"',
        )
    plan = record.plan
    title = f"A training run of {record.epochs} epochs, as NumPy; it needs nothing else."
    lines = about(record, title)
    lines.append(("start", "the numbers in initial.npz; seed " + str(record.seed)))
    held = [*plan.buffers, *record.fixed]
    recipe: dict[str, Any] = {
        "about": lines,
        "parts": [(p.name, p.shape, p.start, p.stop) for p in plan.parts],
        "moments": plan.moments,
        "held": held,
        "metrics": plan.metrics,
        "epochs": record.epochs if record.trained is None else record.trained,
        "batch_size": _batch(record),
        "shuffle": record.shuffle,
        "seed": record.seed,
        "rate": record.optimizer.lr,
        "data": data,
        "chunk": CHUNK,
        "one_thread": is_small(plan.step, _batch(record) or len(record.data["x"])),
    }
    evaluation = None if record.evaluation is None else record.evaluation.step
    return program_source(plan.step, evaluation, recipe)


def _batch(record: Record) -> int | None:
    size = record.batch_size
    return None if size is None or size >= len(record.data["x"]) else size
