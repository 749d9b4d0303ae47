"""`gg.diagnose`: the faults of a training in order, with evidence, and fixes that were tried."""

from __future__ import annotations

import copy
import math
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from glassgrad import optim
from glassgrad.data.batches import Batches
from glassgrad.errors import ConfigError, DataError, UsageError, shown, whole_number
from glassgrad.nn.module import Module, drawing_with
from glassgrad.optim.checks import positive
from glassgrad.tensors.random import checked_seed
from glassgrad.train.fit import prepared
from glassgrad.train.trainer import Record

from . import columns, labels, rate, structure, units
from .bounds import FEWEST, HELD, MOST_STEPS, NO_BETTER, TRAINED_ON
from .evidence import Evidence
from .faults import ORDER, Finding, Trial
from .forks import Fork, rows_of

FAMILIES = (structure, units, columns, labels, rate)


@dataclass(frozen=True, slots=True)
class LayerFigures:
    """A parameter in the short training: how far a step moves it, as a share of its size."""

    name: str
    shape: tuple[int, ...]
    size: float  # root mean square
    slope: float  # of the loss in it
    ratio: float  # update to weight, a step; nan where the weights are 0


@dataclass(frozen=True, slots=True, repr=False)
class Diagnosis:
    """What was found, most serious first; printed, it is `text()`.

    `table` has a line for each parameter. `before` and `after` are the mean losses at the two ends
    of the short training that it rests on, `held` that of rows held out after it (of all rows, where
    they are too few for that: `apart` is False), `guess` that of the best guess without looking at x,
    the same for all rows (nan where it is not known), `seconds` what all of it took.

    >>> import glassgrad as gg
    >>> from glassgrad import data, nn
    >>> x, y = data.spiral(seed=0)
    >>> model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 3))
    >>> found = gg.diagnose(model, x, y, loss="cross_entropy", optimizer="adam", batch_size=30)
    >>> found.healthy, found.steps, found.held < found.before
    (True, 200, True)
    >>> found.table[0].name, found.table[0].shape
    ('linear1.weight', (2, 32))
    """

    findings: tuple[Finding, ...]
    table: tuple[LayerFigures, ...]
    steps: int
    asked: int  # steps, of which some were left out where they would take too long
    seconds: float  # that it took
    before: float
    after: float
    held: float
    guess: float = math.nan
    apart: bool = True  # whether rows were held out: not of a few

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def text(self, width: int = 100) -> str:
        """The findings for a terminal so wide, and the table."""
        out = [*textwrap.wrap(self._summary(), width), ""]
        for i, finding in enumerate(self.findings, 1):
            heading = f"{i}. {finding.name}: {finding.where}"
            out += textwrap.wrap(heading, width, subsequent_indent="   ")
            fix = _fix(finding, "rows held out" if self.apart else "the same rows")
            for line in (finding.says, f"Evidence: {finding.evidence}.", fix):
                out += textwrap.wrap(line, width, initial_indent="   ", subsequent_indent="   ")
            out.append("")
        return "\n".join(out + self._table())

    def __repr__(self) -> str:
        return self.text()

    def _summary(self) -> str:
        found = len(self.findings)
        begin = f"{found} finding{'s' * (found > 1)}"
        if self.healthy:
            begin = "no fault found" if self._no_better() else "healthy: no fault found"
        return (
            f"{begin}; in {self.steps} step{'s' * (self.steps > 1)} of a copy the loss went from "
            f"{_loss(self.before)} to {_loss(self.after)}, on {self._rows()} to {_loss(self.held)}"
            f"{self._no_better()}{self._took()}"
        )

    def _rows(self) -> str:
        return "rows held out" if self.apart else "the same rows (too few to hold some out)"

    def _no_better(self) -> str:
        """Nothing found is not all well: perhaps it needs longer, or has a fault without a name."""
        if self.guess <= 0:
            return "; all targets are the same, so that nothing can be learned"
        if self.held < NO_BETTER * self.guess or math.isnan(self.guess):
            return ""
        guess = _loss(self.guess)
        return f", where giving all rows the same has {guess}: nothing was learned that helps there"

    def _took(self) -> str:
        fewer = self.steps < self.asked and math.isfinite(self.after)
        return f"; {self.asked} steps would have taken too long" if fewer else ""

    def _table(self) -> list[str]:
        heads = ("parameter", "shape", "size", "derivative", "update / size")
        cells = [
            (f.name, str(f.shape), f"{f.size:.2e}", f"{f.slope:.2e}", _ratio(f.ratio))
            for f in self.table
        ]
        widths = [max(map(len, each)) for each in zip(heads, *cells, strict=True)]
        return [
            "  ".join(
                c.ljust(w) if i < 2 else c.rjust(w)
                for i, (c, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in (heads, *cells)
        ]


def _ratio(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2e}"


def _loss(value: float) -> str:
    return "inf or nan" if not math.isfinite(value) else f"{value:.4g}"


def _fix(finding: Finding, rows: str) -> str:
    trial = finding.trial
    if trial is None:
        return f"{finding.fix} Not tried: {finding.untried}."
    said = (
        f"after {trial.steps} steps {trial.loss} on {rows} is {_loss(trial.after)} with it "
        f"and {_loss(trial.before)} without"
    )
    if trial.helps:
        return f"Fix: {finding.fix} Tried: {said}."
    return f"Tried without effect: {finding.fix} {said[0].upper()}{said[1:]}."


def diagnose(
    model: Module,
    x: Any,
    y: Any = None,
    *,
    loss: Any,
    optimizer: Any,
    batch_size: int | None = None,
    seed: int | None = 0,
    validation_data: Any = None,
    loss_weights: Any = None,
    columns: Sequence[str] = (),
    steps: int = 200,
    seconds: float = 120.0,
    try_fixes: bool = True,
) -> Diagnosis:
    """Look for what keeps a training from learning, and try what would help.

    Looks at the graph, at the numbers of a step, at the data and their labels, and at a copy
    trained for so many `steps`. Each finding names its evidence; a fix is tried on another copy
    for as many steps, with the same seed, and reported with the loss of both on rows held out:
    `validation_data`, or a quarter of the rows (none of fewer than 20: then on those trained on).
    Model, optimiser and data stay as they are; with `try_fixes` False no fix is tried. Without `y`,
    `x` is an iterable of batches (x, y), as `fit` takes it. `columns` are the names of the columns
    of a table x (n, columns), to be called by.

    Of large data sets 4,000 rows are trained on, and 1,200 compared with each other. Where
    `steps` in each of a dozen copies would take more than about so many `seconds` of the
    processor, fewer are done, and the diagnosis says so.

    What is not looked for: wrong targets that are numbers (they look like honest noise with heavy
    tails); label noise where classes overlap by a third and more, or where rows alike in their
    numbers say little, as in photographs; labels and leaks where nearly all rows are of one class;
    columns of rows that a table of embeddings reads; rates that are too low for a moment of a
    schedule; weights of rows and classes; numbers to be learned that are of another size than the
    network begins with, where they are several a row or the loss is not "mse". Where nothing is
    found and nothing was learned, the diagnosis says that, too.

    Raises what `fit` raises for data, losses and networks that do not fit, ConfigError for
    settings out of range, DataError for fewer than 4 rows.

    >>> import glassgrad as gg
    >>> from glassgrad import data, nn, optim
    >>> x, y = data.spiral(seed=0)
    >>> model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 3), nn.Softmax())
    >>> found = gg.diagnose(model, x, y, loss="cross_entropy", optimizer=optim.Adam(1e-2))
    >>> [(f.name, f.where) for f in found.findings]
    [('softmax applied twice', 'softmax1')]
    >>> found.findings[0].offered
    True
    """
    if not isinstance(model, Module):
        raise UsageError("this is not a model", expected="an nn.Module", received=shown(model))
    wanted = whole_number(steps)
    if wanted is None or not 1 <= wanted <= MOST_STEPS:
        raise ConfigError(
            "steps is out of range",
            expected=f"a whole number from 1 to {MOST_STEPS:,}",
            received=shown(steps),
        )
    seconds = positive("seconds", seconds)
    began = time.perf_counter()
    number = checked_seed(seed)
    model, optimizer = copy.deepcopy(model), copy.deepcopy(optim.find(optimizer))
    if isinstance(x, Batches):
        x = copy.copy(x)  # it counts its epochs
    with drawing_with(number):  # everything checked as `fit` checks it, parameters drawn
        record = prepared(
            model, x, y, loss=loss, optimizer=optimizer, batch_size=batch_size, metrics=(),
            validation_data=validation_data, loss_weights=loss_weights, seed=number,
        )  # fmt: skip
    if record.stream is not None:
        batch_size = batch_size or record.rows
    x, y = rows_and_targets(record, _all_rows(record))
    count = len(next(iter(x.values())))
    if count < 4:
        raise DataError("too few rows to judge by", expected="at least 4", received=f"{count}")
    order = np.random.Generator(np.random.Philox(number + 1)).permutation(count)
    apart = validation_data is not None or count >= FEWEST
    held = None if validation_data is not None or not apart else order[: min(count // 4, HELD)]
    if held is None:
        rows = order[:TRAINED_ON]
        measured = rows_and_targets(record, record.validation) if apart else (x, y)
        held_x, held_y = rows_of(measured, slice(0, HELD))
    else:
        rows = order[len(held) : len(held) + TRAINED_ON]
        held_x, held_y = rows_of((x, y), held)
    (shape, *more) = [each.shape for each in x.values()]
    if columns and (more or len(shape) != 2 or len(columns) != shape[1]):
        raise ConfigError(
            "columns do not fit x",
            expected=f"{shape[-1]} names" if len(shape) == 2 else "one x (n, columns)",
            received=f"{len(columns)} names",
        )
    fork = Fork(
        model, rows_of(x, rows), rows_of(y, rows), held_x, held_y, loss, optimizer,
        batch_size, number, loss_weights,
    )  # fmt: skip
    evidence = Evidence(fork, wanted, x, y, rows, held, seconds, columns)
    findings = _found(evidence, try_fixes)
    course = evidence.course
    return Diagnosis(
        findings, _figures(evidence), len(course.losses), fork.most(wanted),
        time.perf_counter() - began, course.first, course.last, course.held, evidence.guess, apart,
    )  # fmt: skip


def _all_rows(record: Record) -> dict[str, Any]:
    """The rows as they were given; of an iterable, of as many batches as are looked at."""
    if record.stream is None:
        return dict(record.data)
    batches, rows = [], 0
    for batch in record.stream.epoch(1):
        batches.append(batch)
        rows += len(batch[0])
        if rows >= TRAINED_ON + HELD:
            break
    parts = [np.concatenate(part) for part in zip(*batches, strict=True)]
    return dict(zip(record.plan.data, parts, strict=True))


def rows_and_targets(record: Record, data: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Inputs by name, and targets as `fit` takes them, from the arrays of a run."""
    x = {name: data[name] for name in record.task.inputs}
    y = {head.output: data[head.target] for head in record.task.heads}
    return x, y[""] if list(y) == [""] else y


def settings_of(record: Record) -> dict[str, Any]:
    """What `diagnose` takes beside the model, from a run."""
    heads = record.task.heads
    x, y = rows_and_targets(record, record.data)
    several = len(heads) > 1
    held = record.validation
    return {
        "x": x,
        "y": y,
        "loss": {h.output: h.loss for h in heads} if several else heads[0].loss,
        "loss_weights": {h.output: h.weight for h in heads} if several else None,
        "optimizer": record.optimizer,
        "batch_size": record.batch_size,
        "seed": record.seed,
        "validation_data": rows_and_targets(record, held) if held else None,
    }


def _found(evidence: Evidence, try_fixes: bool) -> tuple[Finding, ...]:
    found = [f for family in FAMILIES for check in family.CHECKS for f in check(evidence)]
    found.sort(key=lambda f: ORDER[f.name])
    for finding in found:
        _try(evidence, finding, try_fixes)
    return tuple(found)


def _try(evidence: Evidence, finding: Finding, wished: bool) -> None:
    """Train a copy with the fix, and one without, and compare them on rows held out."""
    if finding.change is None:
        return  # the check says why
    if not wished:
        finding.untried = "try_fixes is False"
        return
    fork = finding.change(evidence.fork)
    own, course = evidence.fork, evidence.course
    same = fork.held_x is own.held_x and fork.held_y is own.held_y and fork.yardstick is None
    if same or fork.rescaled or not course.finite:
        before = course.held
    else:
        before = fork.held_loss(course.model)
    after = fork.run(evidence.steps)
    name = fork.measure if isinstance(fork.measure, str) else "the loss"
    finding.trial = Trial(before, after.held, evidence.steps, name)
    finding.untried = ""


def _figures(evidence: Evidence) -> tuple[LayerFigures, ...]:
    course, recording = evidence.course, evidence.recording
    ratios = evidence.ratios
    slopes = {
        str(v.node.attributes["name"]): recording.arrays[g]
        for v, g in recording.gradients.items()
        if v.node.attributes.get("role") == "parameter"
    }
    return tuple(
        LayerFigures(
            p.name,
            tuple(p.numpy().shape),
            _rms(course.begin[p.name]),
            _rms(slopes.get(p.name, np.zeros(1))),
            ratios.get(p.name, math.nan),
        )
        for p in evidence.fork.model.parameters()
    )


def _rms(array: Any) -> float:
    return float(np.sqrt(np.mean(np.float64(array) ** 2))) if array.size else 0.0
