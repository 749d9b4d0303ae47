"""A run's first steps once more on both engines, side by side: how far they differ, and where."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.engine import is_small, on_one_thread
from glassgrad.errors import ConfigError, GlassgradError, UsageError, shown, whole_number

from . import batches
from .history import History
from .trainer import Record, Trainer

AnyArray = NDArray[Any]
_ROUNDING = 1000  # roundings of a number that a few steps may well gather
_NUDGED = 100  # times what one rounding of each first number does
_OTHER = {"native": "numpy", "numpy": "native"}


@dataclass(frozen=True, slots=True)
class Difference:
    """The largest difference of an array between two engines, and that beside its own size."""

    absolute: float = 0.0
    relative: float = 0.0

    def or_larger(self, a: Any, b: Any) -> Difference:
        """The larger of this one and that of two arrays."""
        if np.asarray(a).dtype.kind != "f":  # truth values have no difference, counts wrap around
            a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        apart = float(np.max(np.abs(a - b), initial=0.0))
        if apart <= self.absolute:
            return self
        if not math.isfinite(apart):  # with the guard off, both may hold inf or nan
            return self if np.array_equal(a, b, equal_nan=True) else Difference(math.inf, math.inf)
        size = float(max(np.max(np.abs(a), initial=0.0), np.max(np.abs(b), initial=0.0)))
        return Difference(apart, apart / size)


class Verified:
    """What `gg.verify` found; it prints as a table, the widest difference first.

    `engines` are the two that ran, `steps` how many steps each did, `by_parameter` the largest
    `Difference` of each parameter and buffer after any of these steps, by name, and `loss` that
    of the losses. What rounding does not explain stands first.
    """

    def __init__(
        self,
        engines: tuple[str, str],
        steps: int,
        by_parameter: Mapping[str, Difference],
        loss: Difference,
        *,
        dtype: str,
        explained: Mapping[str, Difference] | None = None,
        note: str = "",
    ) -> None:
        self.engines = engines
        self.steps = steps
        self.loss = loss
        self.explained = explained  # by rounding, where that was measured
        self.note = note
        self.dtype = dtype
        few = _ROUNDING * float(np.finfo(dtype).eps)
        self.wide = [  # by more than a few roundings, and by more than these steps make of one
            name
            for name, found in by_parameter.items()
            if found.relative > few
            and not found.absolute <= _NUDGED * (explained or {}).get(name, Difference()).absolute
        ]
        self.by_parameter = dict(
            sorted(
                by_parameter.items(),
                key=lambda item: (item[0] not in self.wide, -item[1].absolute),
            )
        )

    @property
    def parameter(self) -> str:
        """The parameter or buffer that stands first; "" where none differs."""
        name = next(iter(self.by_parameter), "")
        return name if name and self.by_parameter[name].absolute else ""

    @property
    def largest(self) -> float:
        """The largest difference of any parameter or buffer."""
        return max([d.absolute for d in self.by_parameter.values()], default=0.0)

    @property
    def alike(self) -> bool:
        """Whether rounding explains all differences."""
        return not self.wide

    @property
    def verdict(self) -> str:
        """What the figures mean, in one sentence."""
        if self.note:
            return self.note
        if not self.largest:
            return "The same bits in every parameter."
        said = f"The largest difference is {self.largest:.2g}, in {self.parameter}"
        if self.alike and self.explained is None:
            return f"{said}: that is rounding."
        if self.alike:
            return f"{said}: that is rounding, which these steps enlarge."
        first, *others = self.wide_first
        also = f", and so do {', '.join(others[:4])}" if others else ""
        apart = self.by_parameter[first].absolute
        return f"{first} differs by {apart:.2g}, more than rounding explains{also}."

    @property
    def wide_first(self) -> list[str]:
        """What rounding does not explain, the widest first."""
        return [name for name in self.by_parameter if name in self.wide]

    def __str__(self) -> str:
        one, other = self.engines
        steps = f"{self.steps} step{'' if self.steps == 1 else 's'}"
        if one == other:
            return f"{steps} of this run on {one}.\n{self.verdict}"
        lines = [("parameter", "largest difference", "of its size")]
        for name, found in [*self.by_parameter.items(), ("loss", self.loss)]:
            lines.append((name, f"{found.absolute:.2g}", f"{found.relative:.2g}"))
        wide = max(len(line[0]) for line in lines)
        table = [f"{a:<{wide}}  {b:>18}  {c:>11}" for a, b, c in lines]
        head = f"The first {steps} of this run on {one} and on {other}, side by side."
        return "\n".join([head, "", *table, "", self.verdict])

    __repr__ = __str__


def verify(run: History, steps: int = 10) -> Verified:
    """Run the first steps of a run again on NumPy beside the engine that ran it.

    Both begin with the run's first numbers and take its batches in their order, so that they
    differ by what the engines differ; a NumPy run is compared with the native executor, if there
    is one. Callbacks are not called, but the rates they set are. Nothing of the run changes, and
    its model stays as it is.

    Raises UsageError where the run cannot be done again: its rows came from an iterable, or the
    history was copied or unpickled; ConfigError where `steps` is no number from 1.

    >>> import glassgrad as gg
    >>> from glassgrad import data, nn
    >>> x, y = data.spiral(seed=0)
    >>> model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))
    >>> history = gg.fit(model, x, y, loss="cross_entropy", optimizer="adam", verbose=False)
    >>> gg.verify(history, steps=1).largest < 1e-6
    True
    """
    record = _checked(run)
    number = whole_number(steps)
    if number is None or number < 1:
        raise ConfigError(
            "steps is out of range", expected="a whole number from 1", received=shown(steps)
        )
    found = compare_engines(record, number)
    return found if found.alike else _explained(record, found)


def _checked(run: Any) -> Record:
    """The record of a run that can be done again."""
    if not isinstance(run, History):
        raise UsageError(
            "this is not a run",
            where="verify",
            expected="the history that fit gave",
            received=shown(run),
            hint="program.py in the folder of a run does it again on NumPy",
        )
    record: Record | None = run.record
    if record is None:
        raise UsageError(
            "this history came without its run",
            where="verify",
            expected="the history that fit gave, in the same process",
            received="a copy or a pickle, which leaves data and compiled step behind",
        )
    if record.stream is not None:
        raise UsageError(
            "this run cannot be done again",
            where="verify",
            expected="rows in memory",
            received="rows that came from an iterable and are gone",
            hint="fit on arrays of some of these rows, and verify that run",
        )
    return record


def compare_engines(record: Record, steps: int) -> Verified:
    """The first steps of a run on its own engine and on the other one."""
    own = record.backend
    try:
        other = on_engine(record, _OTHER[own])
    except ConfigError as error:
        note = f"This run was NumPy's, and native cannot run it: {error.received}."
        none = Difference()
        same = dict.fromkeys(record.initial, none)
        return Verified((own, own), 0, same, none, dtype=record.plan.dtype, note=note)
    runs = [_Replay(record), _Replay(other)]
    by_parameter = {name: Difference() for name in runs[0].held}
    loss, done = Difference(), 0
    with _as_in_fit(record, other):
        for losses in _side_by_side(record, runs, steps):
            loss = loss.or_larger(*np.asarray(losses, np.float64))
            one, two = runs
            for name, found in by_parameter.items():
                by_parameter[name] = found.or_larger(one.held[name], two.held[name])
            done = runs[0].trainer.seen.step
    return Verified((own, other.backend), done, by_parameter, loss, dtype=record.plan.dtype)


def _explained(record: Record, found: Verified) -> Verified:
    """What was found, beside what rounding alone does."""
    return Verified(
        found.engines,
        found.steps,
        found.by_parameter,
        found.loss,
        dtype=found.dtype,
        explained=_rounded(record, found.steps),
    )


def _rounded(record: Record, steps: int) -> dict[str, Difference]:
    """What these steps make of one rounding of each number they begin with, on NumPy alone."""
    plain = record if record.backend == "numpy" else on_engine(record, "numpy")
    names = [part.name for part in record.plan.parts]
    up = np.random.Generator(np.random.Philox(0))
    nudged = dict(record.initial)
    for name in names:
        towards = np.where(up.random(nudged[name].shape) < 0.5, -np.inf, np.inf)
        nudged[name] = np.nextafter(nudged[name], towards.astype(nudged[name].dtype))
    runs = [_Replay(plain), _Replay(plain, nudged)]
    found = {name: Difference() for name in runs[0].held}
    with _as_in_fit(plain):
        for _ in _side_by_side(plain, runs, steps):
            for name, before in found.items():
                found[name] = before.or_larger(runs[0].held[name], runs[1].held[name])
    return found


def on_engine(record: Record, engine: str) -> Record:
    """The same run for another engine. Raises ConfigError where that cannot run it."""
    plan = record.plan
    apply = None if plan.apply is None else plan.apply.on(engine)
    there = replace(plan, step=plan.step.on(engine), apply=apply)
    return replace(record, plan=there, evaluation=None, backend=engine)


class _Replay:
    """A run that is done again, step by step; it has arrays of its own."""

    def __init__(self, record: Record, initial: Mapping[str, AnyArray] | None = None) -> None:
        begin = record.initial if initial is None else initial
        self.trainer = Trainer(replace(record, rates=[], evaluation=None), begin)
        self.rates = dict(record.rates)
        self.held = {
            **{p.name: self.trainer.weights[p.start : p.stop] for p in record.plan.parts},
            **self.trainer.buffers,
        }
        self._step = self.trainer.stepping()

    def step(self, batch: Sequence[AnyArray], epoch: int) -> float:
        """One batch; what it loses before the update."""
        trainer = self.trainer
        self.set_rate()
        trainer.seen.step += 1
        found = self._step(batch, epoch)
        return float(found[0] if isinstance(found, tuple) else found)

    def set_rate(self) -> None:
        """The rate that a callback had set for the next update, if one had."""
        set_now = self.rates.get(self.trainer.updates + 1)
        if set_now is not None:
            self.trainer.updated(0, set_now)


def _side_by_side(
    record: Record, runs: Sequence[_Replay], steps: int
) -> Iterator[tuple[float, ...]]:
    """The losses of each step of all runs, which take the same batches."""
    source = record.source()
    for epoch in range(1, record.epochs + 1):
        losses: tuple[float, ...] = ()
        for batch in source.epoch(epoch):
            losses = tuple([run.step(batch, epoch) for run in runs])
            yield losses
            if runs[0].trainer.seen.step >= steps:
                return
        for run in runs:
            run.trainer.flush(epoch)
        yield losses


@contextmanager
def _as_in_fit(*records: Record) -> Iterator[None]:
    """Warnings, threads and positions as they are while `fit` runs."""
    small = any(is_small(r.plan.step, r.batch_rows) for r in records)
    with np.errstate(all="ignore"), on_one_thread(small), batches.positions_inside():
        yield


# -- what fit keeps of it ----------------------------------------------------------------------

_STEPS = 3  # always as many: equal runs give equal files
_SHARE = 0.01  # of the training's own seconds
FOR_A_FILE = 5.0  # seconds at the very most, where a run is written down anyway
_TO_COMPILE = {"numpy": 4e-4, "native": 1.5e-4}  # seconds for a node, seldom more
_SLOWER = 20  # times; the other engine's step is seldom slower by more, most often by far less


def keep_figure(history: History, seconds: float | None = None) -> None:
    """Put into the record of a run how far its engine is from the other one in its first steps.

    Only where that takes less than so many `seconds`, by default a hundredth of those of the run
    itself; otherwise the record says why there is no figure. A figure that is there stays.
    """
    record: Record = history.record
    if record.verified is not None and record.verified["steps"]:
        return
    record.verified = _figure(record, history, seconds)
    if record.fitted is not None:
        record.fitted.verified = record.verified


def _figure(record: Record, history: History, seconds: float | None) -> dict[str, Any]:
    def without(reason: str) -> dict[str, Any]:
        return {
            "steps": 0,
            "largest_difference": None,
            "parameter": None,
            "alike": None,
            "reason": reason,
        }

    spent = sum(history.seconds)
    if record.stream is not None:
        return without("the rows came from an iterable and are gone")
    if not history.seconds:
        return without("no epoch was trained")
    allowed = _SHARE * spent if seconds is None else seconds
    other = _OTHER[record.backend]
    steps = [each for each in (record.plan.step, record.plan.apply) if each is not None]
    nodes = sum(s.count for s in steps if not s.is_ready(other))
    # Of the fastest whole epoch: the first of a run is slow.
    whole = history.seconds[: record.trained] or history.seconds
    own_step = min(whole) / record.steps_per_epoch
    # Thrice the other engine's steps: where rounding has to be looked at, NumPy does them twice more.
    most = nodes * _TO_COMPILE[other] + _STEPS * (1 + 3 * _SLOWER) * own_step
    if most > allowed:
        return without("the run was too short for it" if seconds is None else "it would take long")
    try:
        found = compare_engines(record, _STEPS)
        alike = found.alike or _explained(record, found).alike
    except (GlassgradError, ArithmeticError, MemoryError) as error:
        return without(f"the other engine stopped: {error.args[0] if error.args else error}")
    if found.note:
        return without(found.note)
    return {
        "steps": found.steps,
        "largest_difference": found.largest if math.isfinite(found.largest) else None,
        "parameter": found.parameter,
        "alike": alike,
        "reason": "" if math.isfinite(found.largest) else "one engine met inf or nan",
    }
