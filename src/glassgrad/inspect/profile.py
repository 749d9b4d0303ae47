"""Where the time of a training step goes: the native plan, kernel by kernel."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from glassgrad.engine import KernelLine, peak_flop, plan_lines
from glassgrad.errors import UsageError
from glassgrad.nn.module import Module
from glassgrad.train.fit import prepared
from glassgrad.train.signals import Noted
from glassgrad.train.trainer import Trainer
from glassgrad.train.whole import Whole

_ROUNDS = 7  # of which the quickest counts: whatever else the machine does only adds
_PLACE = ("phase", "layer", "operations")


@dataclass(frozen=True, slots=True)
class Profile:
    """A step's kernels in order, with their work, and their times where they were measured.

    `seconds` is the whole step, calls from Python left out; `peak` the flop a second that the
    machine was measured to do in fused multiply-adds, on the threads that may be used. `str()` is
    `text()`, a table.
    """

    rows: int
    threads: int
    isa: str
    lines: tuple[KernelLine, ...]
    arena: int
    seconds: float = 0.0
    peak: float = 0.0

    @property
    def flop(self) -> float:
        """Floating-point operations of a step, a fused multiply-add counted as two."""
        return sum(line.flop * line.times for line in self.lines)

    def table(self) -> list[tuple[str, ...]]:
        """Heading and cells as text; the last three are phase, layers and operations."""
        timed = self.seconds > 0
        times, shares = (("us", "%"), ("% of peak",)) if timed else ((), ())
        out = [(*times, "kernel", "shapes", "kflop", "kB", *shares, *_PLACE)]
        for line in self.lines:
            kernel = (_kernel(line), line.shapes)
            work = (_number(line.flop * line.times / 1e3), _number(line.bytes * line.times / 1e3))
            if timed:
                spent, done = line.seconds, line.flop * line.times
                times = (f"{spent * 1e6:.2f}", f"{100 * spent / self.seconds:.0f}")
                known = done and spent and self.peak
                shares = (f"{100 * done / spent / self.peak:.0f}" if known else "",)
            out.append((*times, *kernel, *work, *shares, *_place(line.about)))
        return out

    def text(self, width: int = 120) -> str:
        """The table for a screen so wide: what would not fit on a line is cut.

        Below 100 columns a kernel shows its layers alone, operations only where it has none.
        """
        head, *rows = self.table()
        wide, left = width >= 100, {head.index("kernel"), head.index("shapes"), len(head) - 3}
        shown: list[tuple[str, ...]] = [(*head[:-3], "layer: operations" if wide else "layer")]
        for row in rows:
            layer, does = row[-2:]
            both = f"{layer}: {does}" if wide and layer else layer or does
            shown.append((*row[:-3], both))
        widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
        out, phase = self._summary(), ""
        for row, cells in zip((head, *rows), shown, strict=True):
            line = "  ".join(
                cell.ljust(w) if i in left else cell.rjust(w)
                for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
            ).rstrip()
            if row is head or row[-3] not in ("", phase):
                phase = "" if row is head else row[-3]
                out.append(phase)
            fits = len(line) <= width - 2
            out.append("  " + (line if fits else line[: width - 5].rstrip() + "..."))
        return "\n".join(out)

    def __str__(self) -> str:
        return self.text()

    def _summary(self) -> list[str]:
        kernels = f"{len(self.lines)} kernel{'s' * (len(self.lines) != 1)}"
        batch = f"{self.rows} row{'s' * (self.rows != 1)}"
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}"
        memory = f"{_number(self.arena / 1e3) or 0} kB of memory for what is computed"
        first = f"{kernels} for {batch}; {self.isa}, at most {threads}; {memory}"
        if not self.seconds:
            return [first, f"{_number(self.flop / 1e3)} kflop a step"]
        rate = self.flop / self.seconds
        share = f", {100 * rate / self.peak:.0f} % of the measured peak" if self.peak else ""
        return [first, f"{self.seconds * 1e6:.2f} us a step, {rate / 1e9:.1f} GFLOP/s{share}"]


def _kernel(line: KernelLine) -> str:
    """Which kernel, and which of its ways; how often, where a loop runs it."""
    own = line.variant.split(",")[0].split(" ")[0] == line.kernel
    name = (
        line.variant if own else f"{line.kernel}, {line.variant}" if line.variant else line.kernel
    )
    name = re.sub(r"\b1 steps", "1 step", name)
    return f"{name} x {line.times}" if line.times > 1 else name


def _number(value: float) -> str:
    """A quantity of work; nothing for none."""
    return "" if not value else f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _place(about: str) -> tuple[str, str, str]:
    """Phase, layers and operations of a kernel; operations that are there twice are counted."""
    where, colon, names = about.partition(": ")
    if not colon:
        return "", "", about
    layers, _, phase = where.rpartition(", ")
    counted = Counter(names.split())
    each = [name if n == 1 else f"{n} {name}" for name, n in counted.items()]
    return phase, "" if layers in ("-", phase) else layers, ", ".join(each)


def plan(record: Any, rows: int | None = None) -> Profile:
    """The plan of a run's training step, for so many rows, nothing measured."""
    return _described(record, 0.0, rows)


def profile(
    model: Module,
    x: Any,
    y: Any = None,
    *,
    loss: Any,
    optimizer: Any,
    steps: int = 300,
    **settings: Any,
) -> Profile:
    """Where the time of a training step of this model goes; the model stays as it is.

    `settings` are those of `fit`, and mean what they mean there. Runs `steps` steps several times,
    with and without measuring each kernel, and keeps the quickest: a measurement costs about 40
    nanoseconds, so times of tiny kernels are too large by that, and the whole step is measured
    apart. docs/performance.md says how to read it.

    Raises UsageError where no native plan runs the step.

    >>> import glassgrad as gg
    >>> from glassgrad import nn, optim
    >>> found = gg.profile(
    ...     nn.Linear(2, 1), [[1.0, 2.0]], [[3.0]], loss="mse", optimizer=optim.SGD(0.1), steps=5
    ... )
    >>> found.rows
    1
    """
    record = prepared(model, x, y, loss=loss, optimizer=optimizer, **settings)
    trainer = Trainer(record)
    loop = trainer.loop()
    if loop is None:
        raise UsageError(
            "there is no native plan to measure",
            expected="a step that the native executor runs, on rows in memory",
            received=record.plan.step.why or "a step that runs as NumPy text",
            hint="profile NumPy text with cProfile, or see `glassgrad info`",
        )
    whole = Whole(trainer, loop, Noted())
    rows, step = _batch(record), trainer.plan.step
    whole.steps(min(steps, 5))  # warm
    times = []
    for _ in range(_ROUNDS):
        begin = perf_counter()
        done = whole.steps(steps)
        times.append((perf_counter() - begin) / done)
    rounds = []
    for _ in range(_ROUNDS):
        step.profile(rows, True)
        whole.steps(steps)
        rounds.append(plan_lines(step, rows)[0])
    found = _described(record, min(times))
    step.profile(rows, False)
    least = [min(line.seconds for line in each) for each in zip(*rounds, strict=True)]
    lines = [replace(line, seconds=s) for line, s in zip(found.lines, least, strict=True)]
    return replace(found, lines=tuple(lines))


def _batch(record: Any) -> int:
    return int(min(record.batch_size or record.rows, record.rows))


def _described(record: Any, seconds: float, rows: int | None = None) -> Profile:
    rows = rows or _batch(record)
    lines, about = plan_lines(record.plan.step, rows)
    return Profile(
        rows=rows,
        threads=about["threads"],
        isa=about["isa"],
        lines=tuple(lines),
        arena=about["arena"],
        seconds=seconds,
        peak=peak_flop(record.plan.dtype, about["threads"]) if seconds else 0.0,
    )
