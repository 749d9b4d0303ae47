"""Programs to read: a training step, or a whole run, as plain NumPy."""

from __future__ import annotations

from typing import Any

from glassgrad.engine import is_small, program_source, step_source
from glassgrad.errors import UsageError
from glassgrad.ir import Type
from glassgrad.nn import losses
from glassgrad.nn.module import Module, Sequential
from glassgrad.optim import LBFGS
from glassgrad.train.batches import CHUNK
from glassgrad.train.fit import prepared
from glassgrad.train.task import ROWS, WEIGHT, Task
from glassgrad.train.trainer import Record

_ROWS = "n is the number of rows, whatever it is"


def source(
    model: Module,
    x: Any,
    y: Any = None,
    *,
    loss: Any,
    optimizer: Any,
    whole: bool = False,
    **settings: Any,
) -> str:
    """The NumPy program that trains this model on data like these.

    `settings` are those of `fit`, and mean what they mean there. The step alone, or with `whole`
    the run: it reads `initial.npz` and `data.npz` beside it,
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
    record = prepared(model, x, y, loss=loss, optimizer=optimizer, **settings)
    if whole:
        return whole_program(record)
    return step_source(record.plan.step, about(record, "One training step, as NumPy."))


def about(record: Record, title: str) -> list[tuple[str, str]]:
    """What stands at the top of a program."""
    task, plan = record.task, record.plan
    kinds = [(name, kind, "") for name, kind in task.inputs.items()]
    for head, outputs in zip(task.heads, plan.outputs, strict=True):
        classes = outputs.shape[1:] if head.type.dtype == "int64" else ()
        kinds.append((head.target, head.type, f", {classes[0]} classes" if classes else ""))
    if task.weighted:
        kinds.append((WEIGHT, Type((ROWS,), plan.dtype), ""))
    each = [f"{name} {_shape(kind)} {kind.dtype}{more}" for name, kind, more in kinds]
    return [
        ("", title),
        ("data", f"{'   '.join(each)}; {_ROWS}"),
        ("network", network(task)),
        ("loss", _losses(task)),
        ("optimiser", repr(record.optimizer)),
    ]


def _shape(kind: Type) -> str:
    inner = ", ".join(map(str, kind.shape))
    return f"({inner},)" if len(kind.shape) == 1 else f"({inner})"


def _losses(task: Task) -> str:
    each = []
    for head in task.heads:
        weight = "" if head.weight == 1 else f"{head.weight:g} times "
        of = f" of {head.output}" if head.output else ""
        each.append(weight + losses.described(head.loss_name, head.loss) + of)
    over = {losses.over(head.loss) for head in task.heads}
    return " + ".join(each) + f", {', '.join(sorted(over))} over the batch"


def network(task: Task) -> str:
    """The layers in a row."""
    text = " -> ".join(_layers(task.model)) or type(task.model).__name__
    return text if len(text) < 90 else f"{text[:86]} ..."


def _layers(module: Module) -> list[str]:
    """What a module is made of: itself if it says its settings, otherwise its parts."""
    inner = [child for _, child in module.children()]
    if not inner or (module.settings() and not isinstance(module, Sequential)):
        return [module.title()]
    return [layer for child in inner for layer in _layers(child)]


def whole_program(record: Record, data: dict[str, Any] | None = None) -> str:
    """The run of a record as a file; `data` describes IDX files where they are too large to copy.

    `data` holds `folder`, `files` ((name, sha256) of images and labels, training then
    validation) and the `shape` of one row.
    """
    why = _unwritable(record)
    if why is not None:
        raise why
    plan = record.plan
    title = f"A training run of {record.epochs} epochs, as NumPy; it needs nothing else."
    lines = about(record, title)
    lines.append(("start", "the numbers in initial.npz; seed " + str(record.seed)))
    held = [*plan.buffers, *record.fixed]
    optimizer = record.optimizer
    schedule = optimizer.schedule
    recipe: dict[str, Any] = {
        "about": lines,
        "inputs": plan.data,
        "tested": () if record.evaluation is None else record.evaluation.data,
        "parts": [(p.name, p.shape, p.start, p.stop) for p in plan.parts],
        "moments": [(m.name, m.start, m.scalar) for m in plan.moments],
        "held": held,
        "metrics": plan.metrics,
        "epochs": record.epochs if record.trained is None else record.trained,
        "batch_size": _batch(record),
        "shuffle": record.shuffle,
        "seed": record.seed,
        "rate": optimizer.lr,
        "schedule": None if schedule is None else (schedule.per, schedule.source("rate_at")),
        "rates": record.rates,
        "together": optimizer.gradient_accumulation_steps or 0,
        "kept": record.kept,
        "augment": () if record.augment is None else record.augment.changes(),
        "lbfgs": optimizer.arguments() if isinstance(optimizer, LBFGS) else (),
        "data": data,
        "chunk": CHUNK,
        "one_thread": is_small(plan.step, _batch(record) or record.rows),
    }
    evaluation = None if record.evaluation is None else record.evaluation.step
    return program_source(plan.step, plan.apply, evaluation, recipe)


def _unwritable(record: Record) -> UsageError | None:
    """Why no program can repeat this run, if none can."""
    if record.partial:
        return UsageError(
            "a run that was stopped in the middle of an epoch has no program",
            where="run.stop at a step",
            expected="whole epochs",
            received=f"a stop in epoch {(record.trained or 0) + 1}",
            hint='stop at the end of an epoch: a callback whose `every` is "epoch"',
        )
    schedule = record.optimizer.schedule
    why = record.unwritable
    if schedule is not None and schedule.source("rate_at") is None:
        why = "its learning rate came from a function of the user"
    if not why:
        return None
    return UsageError(
        "this run has no program that repeats it",
        expected="arrays, and a schedule of optim",
        received=why,
        hint="gg.source prints the step",
    )


def _batch(record: Record) -> int | None:
    size = record.batch_size
    return None if size is None or size >= record.rows else size
