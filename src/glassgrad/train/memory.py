"""Whether a run's step fits into memory, asked before any of it is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from glassgrad.engine import StepMemory, step_memory
from glassgrad.errors import NoMemoryError
from glassgrad.optim import LBFGS
from glassgrad.tensors import room
from glassgrad.tensors.room import gigabytes

from . import batches

if TYPE_CHECKING:
    from .trainer import Record

_SHOWN = 4
_TRIES = 40


def check_memory(record: Record) -> None:
    """Raises NoMemoryError where the steps of a run need more memory than there is."""
    size = record.batch_rows
    need = _needs(record)
    if need(size) <= room.NOT_WORTH_ASKING:
        return
    free = room.available()
    if free is None or need(size) <= free:
        return
    fits = largest(need, size, free)
    raise NoMemoryError(
        "the training step needs more memory than there is",
        where=f"batches of {size:,} rows, {record.backend} engine",
        expected=f"at most {gigabytes(free)}, which is free",
        received=f"{gigabytes(need(size))}; the largest: {_largest(record, size)}",
        hint=_hint(record, fits),
    ).fitting(fits)


def _needs(record: Record) -> Callable[[int], int]:
    """The bytes a run takes for batches of so many rows."""
    plan, known = record.plan, {0: 0}
    dtype = 8 if plan.dtype == "float64" else 4
    vectors = 2 + sum(not m.scalar for m in plan.moments)
    # Weights and moments; a copy of each to go back to; the numbers that the run began with.
    state = plan.size * dtype * 2 * vectors

    if plan.apply is not None:
        state += step_memory(plan.apply, 1, called=True).bytes
    called = _is_called(record)

    def step(rows: int) -> int:
        if rows not in known:
            known[rows] = step_memory(plan.step, rows, called).bytes
        return known[rows]

    def need(rows: int) -> int:
        rest = record.rows % rows if record.stream is None else 0
        # A native plan keeps its arena, so that of the last, smaller batch comes on top.
        both = step(rows) + step(rest) if plan.step.engine == "native" else step(rows)
        tested = min(batches.CHUNK, len(next(iter(record.validation.values()), ())))
        if record.evaluation is not None and tested:
            both += step_memory(record.evaluation.step, tested, called=True).bytes
        return both + state

    return need


def _is_called(record: Record) -> bool:
    """Whether steps are called one by one; rows in memory are otherwise the loop's."""
    special = (record.stream, record.augment, record.plan.apply)
    return any(each is not None for each in special) or isinstance(record.optimizer, LBFGS)


def largest(need: Callable[[int], int], rows: int, free: int) -> int:
    """The most rows below `rows` that need no more than what is free; 0 where one row does."""
    if need(1) > free:
        return 0
    low, high = 1, rows
    for tries in range(_TRIES):
        if high - low < 2:
            break
        # Nearly a straight line: where it meets what is free; then halves, so that it ends.
        slope = (need(high) - need(low)) / (high - low)
        guess = int(low + (free - need(low)) / slope) if slope > 0 and tries % 3 else 0
        middle = min(max(guess, low + 1), high - 1) if guess else (low + high) // 2
        if need(middle) <= free:
            low = middle
        else:
            high = middle
    return low


def _largest(record: Record, rows: int) -> str:
    found: StepMemory = step_memory(record.plan.step, rows, _is_called(record))
    return "; ".join(f"{gigabytes(size)} {what}" for size, what in found.arrays[:_SHOWN])


def _hint(record: Record, fits: int) -> str:
    again = "" if record.recompute else ", or recompute=True"
    if fits:
        return f"batch_size={fits}{again}"
    return "a smaller network: one row at a time does not fit"
