"""Where the time of a training step goes: the native plan, kernel by kernel."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

from glassgrad.engine import KernelLine, peak_flop, plan_lines
from glassgrad.errors import UsageError
from glassgrad.nn.module import Module
from glassgrad.train.fit import prepared
from glassgrad.train.trainer import Trainer
from glassgrad.train.whole import Whole

_ROUNDS = 7  # of which the median is taken


@dataclass(frozen=True, slots=True)
class Profile:
    """A step's kernels in order, with their work, and their times where they were measured.

    `seconds` is the whole step, calls from Python left out; `peak` the flop a second that the
    machine was measured to do in fused multiply-adds, on the threads that were used. `str()` is a
    table.
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
        """Heading and cells as text."""
        timed = self.seconds > 0
        head = ("kernel", "shapes", "kflop", "kB")
        out: list[tuple[str, ...]] = [
            (*(("us", "%") if timed else ()), *head, *(("% of peak",) if timed else ()), "what")
        ]
        for line in self.lines:
            times = f" x {line.times}" if line.times > 1 else ""
            kernel = (
                line.kernel
                if line.variant in ("", line.kernel)
                else f"{line.kernel}, {line.variant}"
            )
            cells = [
                kernel + times,
                line.shapes,
                f"{line.flop * line.times / 1e3:,.1f}" if line.flop else "",
                f"{line.bytes * line.times / 1e3:,.1f}" if line.bytes else "",
            ]
            if timed:
                share = line.flop * line.times / line.seconds / self.peak if line.seconds else 0.0
                cells = [
                    f"{line.seconds * 1e6:.2f}",
                    f"{100 * line.seconds / self.seconds:.0f}",
                    *cells,
                    f"{100 * share:.0f}" if line.flop and self.peak else "",
                ]
            out.append((*cells, line.about))
        return out

    def __str__(self) -> str:
        rows = self.table()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        left = {rows[0].index(name) for name in ("kernel", "shapes", "what")}
        lines = [
            "  ".join(
                cell.ljust(w) if i in left else cell.rjust(w)
                for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join([*self._summary(), "", *lines])

    def _summary(self) -> list[str]:
        batch = f"{self.rows} row{'s' * (self.rows != 1)}"
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}"
        first = f"{len(self.lines)} kernels for {batch}, {self.isa}, {threads}; arena {self.arena / 1e3:,.1f} kB"
        if not self.seconds:
            return [first, f"{self.flop / 1e3:,.1f} kflop a step"]
        rate = self.flop / self.seconds
        share = f", {100 * rate / self.peak:.0f} % of the measured peak" if self.peak else ""
        return [
            first,
            f"{self.seconds * 1e6:.2f} us a step, {rate / 1e9:.1f} GFLOP/s{share}",
        ]


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
    with and without measuring each kernel: a measurement costs about 40 nanoseconds, so times of
    tiny kernels are too large by that, and the time of the whole step is measured apart.

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
    whole = Whole(trainer, loop, [])
    times = []
    trainer.plan.step.profile(_batch(record), False)
    for _ in range(_ROUNDS):
        begin = perf_counter()
        done = whole.steps(steps)
        times.append((perf_counter() - begin) / done)
    trainer.plan.step.profile(_batch(record), True)
    whole.steps(steps)
    found = _described(record, median(times))
    trainer.plan.step.profile(_batch(record), False)
    return found


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
