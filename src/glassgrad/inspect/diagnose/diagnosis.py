"""`gg.diagnose`: the faults of a training in order, with evidence, and fixes that were tried."""

from __future__ import annotations

import copy
import math
import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np

from glassgrad import optim
from glassgrad.errors import ConfigError, DataError, UsageError, shown
from glassgrad.nn.module import Module, drawing_with
from glassgrad.tensors.random import checked_seed
from glassgrad.train.fit import prepared
from glassgrad.train.task import Intake, named_inputs

from . import columns, labels, rate, structure, units
from .evidence import Evidence
from .faults import ORDER, Finding, Trial
from .forks import Fork, rows_of

MOST_ROWS = 4000  # that a fork trains on
MOST_HELD = 1000
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
    of the short training that it rests on, `held` that of rows held out after it.
    """

    findings: tuple[Finding, ...]
    table: tuple[LayerFigures, ...]
    steps: int
    before: float
    after: float
    held: float

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
            for line in (finding.says, f"Evidence: {finding.evidence}.", _fix(finding)):
                out += textwrap.wrap(line, width, initial_indent="   ", subsequent_indent="   ")
            out.append("")
        return "\n".join(out + self._table())

    def __repr__(self) -> str:
        return self.text()

    def _summary(self) -> str:
        found = len(self.findings)
        begin = "healthy: no fault found" if not found else f"{found} finding{'s' * (found > 1)}"
        return (
            f"{begin}; in {self.steps} steps of a copy the loss went from {_loss(self.before)} to "
            f"{_loss(self.after)}, on rows held out to {_loss(self.held)}"
        )

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


def _fix(finding: Finding) -> str:
    trial = finding.trial
    if trial is None:
        return f"{finding.fix} Not tried: {finding.untried}."
    said = (
        f"after {trial.steps} steps {trial.loss} on rows held out is {_loss(trial.after)}, and "
        f"{_loss(trial.before)} without it"
    )
    if trial.helps:
        return f"Fix: {finding.fix} Tried: {said}."
    return f"Tried without effect: {finding.fix} {said[0].upper()}{said[1:]}."


def diagnose(
    model: Module,
    x: Any,
    y: Any,
    *,
    loss: Any,
    optimizer: Any,
    batch_size: int | None = None,
    seed: int | None = 0,
    validation_data: Any = None,
    loss_weights: Any = None,
    steps: int = 200,
    try_fixes: bool = True,
) -> Diagnosis:
    """Look for what keeps a training from learning, and try what would help.

    Looks at the graph, at the numbers of a step, at the data and their labels, and at a copy
    trained for so many `steps`. Each finding names its evidence; a fix is tried on another copy
    for as many steps, with the same seed, and reported with the loss of both on rows held out:
    `validation_data`, or a quarter of the rows. Model, optimiser and data stay as they are; with
    `try_fixes` False no fix is tried. Of large data sets 4,000 rows are used.

    Raises what `fit` raises for data, losses and networks that do not fit.

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
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= 100_000:
        raise ConfigError("steps is out of range", expected="1 to 100,000", received=shown(steps))
    if y is None:
        raise DataError("targets are missing", expected="rows x and targets y", received="no y")
    number = checked_seed(seed)
    model = copy.deepcopy(model)
    optimizer = copy.deepcopy(optim.find(optimizer))
    settings = {"loss": loss, "loss_weights": loss_weights, "seed": number}
    with drawing_with(number):  # everything checked as `fit` checks it, parameters drawn
        record = prepared(
            model, x, y, optimizer=optimizer, batch_size=batch_size, metrics=(),
            validation_data=validation_data, **settings,
        )  # fmt: skip
    count = record.rows
    if count < 4:
        raise DataError("too few rows to hold some out", expected="at least 4", received=f"{count}")
    taken = Intake(model)
    by_name = {name: np.asarray(each) for name, each in named_inputs(taken, x).items()}
    y = _as_arrays(y)
    order = np.random.Generator(np.random.Philox(number + 1)).permutation(count)
    if validation_data is None:
        cut = min(max(1, count // 4), MOST_HELD)
        rows, held = order[cut : cut + MOST_ROWS], order[:cut]
        held_x, held_y = rows_of(by_name, held), rows_of(y, held)
    else:
        rows, held = order[:MOST_ROWS], None
        held_x = {
            n: np.asarray(each) for n, each in named_inputs(taken, validation_data[0]).items()
        }
        held_y = _as_arrays(validation_data[1])
    fork = Fork(
        model, rows_of(by_name, rows), rows_of(y, rows), held_x, held_y, loss, optimizer,
        batch_size, number, loss_weights,
    )  # fmt: skip
    evidence = Evidence(fork, steps, by_name, y, rows, held)
    return _diagnosed(evidence, try_fixes)


def _as_arrays(y: Any) -> Any:
    if isinstance(y, dict):
        return {name: np.asarray(each) for name, each in y.items()}
    if isinstance(y, tuple):
        return tuple([np.asarray(each) for each in y])
    return np.asarray(y)


def _diagnosed(evidence: Evidence, try_fixes: bool) -> Diagnosis:
    walk = structure.Walk(evidence.recording)
    found = [f for family in FAMILIES for check in family.CHECKS for f in check(evidence, walk)]
    found.sort(key=lambda f: ORDER[f.name])
    for finding in found:
        _try(evidence, finding, try_fixes)
    course = evidence.course
    return Diagnosis(
        tuple(found), _figures(evidence), len(course.losses), course.first, course.last, course.held
    )


def _try(evidence: Evidence, finding: Finding, wished: bool) -> None:
    """Train a copy with the fix, and one without, and compare them on rows held out."""
    if finding.change is None or not wished:
        finding.untried = finding.untried or "try_fixes is False"
        if finding.change is not None:
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
