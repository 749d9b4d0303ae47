"""Numbers that are not finite: found before anybody sees them, and named.

The step itself looks at its loss and gradient and changes nothing where they are not finite. What
an update makes of finite ones, an overflow say, is looked at here, and not after every step: inf
and nan stay where they are, so a look at the end of some steps misses none. If there is one, the
state goes back to a copy from before these steps and they are done again, one by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.engine import first_not_finite
from glassgrad.errors import NonFiniteError
from glassgrad.ir import Graph

from . import batches

if TYPE_CHECKING:
    from glassgrad.engine import NotFinite

    from .trainer import Trainer

AnyArray = NDArray[Any]
_SECONDS = 0.05  # between two looks, where steps are called one by one
_BYTES = 1 << 25  # of batches that are kept meanwhile
_SHOWN = 6  # rows that a message counts


@dataclass(frozen=True, slots=True)
class Trouble:
    """What `NonFiniteError.trouble` knows: the step, and the first value that is not finite in it.

    `rows` are the numbers of rows in the user's data (of the batch, where they come as a stream):
    those that are not finite where `at` has rows, otherwise all of the batch. `at` is None where
    a replay on NumPy meets nothing. `parameter` is the one that was not finite to begin with, or
    that the update would have made so, and `checkpoint` the path of the last, where there is one.
    """

    step: int
    epoch: int
    rows: tuple[int, ...]
    exact: bool  # whether these rows are at fault, or merely the batch
    rate: float
    at: NotFinite | None
    place: str  # array, row and column, or parameter and index, where that is what is not finite
    parameter: str = ""
    checkpoint: str = ""


class Watch:
    """Weights, moments and running statistics: a copy, and whether all are finite still.

    A running statistic may begin with inf, a running minimum say: what was finite must stay so.
    """

    def __init__(self, own: Mapping[str, AnyArray], statistics: Mapping[str, AnyArray]) -> None:
        given = [(n, a.reshape(-1), False) for n, a in own.items()]
        given += [(n, a.reshape(-1), True) for n, a in statistics.items() if a.dtype.kind == "f"]
        self._held = [(name, array, array.copy(), loose) for name, array, loose in given]

    def keep(self) -> None:
        """Copy what there is now."""
        for _, array, copy, _ in self._held:
            copy[:] = array

    def undo(self) -> None:
        """What was kept is in force again."""
        for _, array, copy, _ in self._held:
            array[:] = copy

    def fine(self) -> bool:
        """Whether all is finite that must be."""
        for _, array, copy, loose in self._held:
            if not all_finite(array) and not (loose and not _became(array, copy).any()):
                return False
        return True

    def bad(self) -> tuple[str, int]:
        """The first array that is not fine, and where."""
        for name, array, copy, loose in self._held:
            wrong = _became(array, copy) if loose else ~np.isfinite(array)
            if wrong.any():
                return name, int(np.flatnonzero(wrong)[0])
        return "", 0


def _became(now: AnyArray, before: AnyArray) -> AnyArray:
    found: AnyArray = ~np.isfinite(now) & np.isfinite(before)
    return found


def all_finite(vector: AnyArray) -> bool:
    """Whether all numbers of a vector are finite, in one reading.

    Their sum of squares tells, but for what is finite and very large. BLAS takes vectors of some
    length to several threads, which a few numbers are not worth and native threads would feel.
    """
    small = vector.size <= 8192
    total = vector.dot(vector) if small else np.einsum("i,i->", vector, vector)
    return bool(total - total == 0) or bool(np.isfinite(vector).all())


def watched(trainer: Trainer) -> Watch | None:
    """What a step changes, watched; None where that is switched off."""
    if not trainer.record.guards.finite:
        return None
    changed = {n: a for n, a in trainer.buffers.items() if n in trainer.plan.graph.state}
    return Watch({"weights": trainer.weights, **trainer.moments}, changed)


def check_start(trainer: Trainer) -> None:
    """Parameters are finite before the first step. Raises NonFiniteError."""
    with np.errstate(all="ignore"):
        if not trainer.record.guards.finite or all_finite(trainer.weights):
            return
    at = np.flatnonzero(~np.isfinite(trainer.weights))
    raise NonFiniteError(
        "a parameter is not finite before the first step",
        where=_at(trainer, "weights", int(at[0])),
        expected="finite parameters",
        received=f"{trainer.weights[at[0]]!s}, and {len(at):,} such numbers in all"
        if len(at) > 1
        else f"{trainer.weights[at[0]]!s}",
        hint="load or draw the parameters anew",
    )


Step = Callable[[Sequence[AnyArray], int], Any]


class Window:
    """Steps called one by one, and a look at what they made from time to time.

    The batches of the steps since the last look are kept, so that these can be done again.
    """

    def __init__(self, trainer: Trainer, step: Step) -> None:
        self.trainer = trainer
        self.step = step
        self.watch = trainer.watch
        self.alone = trainer.record.stream is not None  # whoever makes batches may reuse memory
        self._batches: list[tuple[Sequence[AnyArray], int]] = []
        self._bytes = 0
        self._began = 0.0
        self._before: tuple[Any, ...] = ()
        self._flushed = 0

    def __call__(self, batch: Sequence[AnyArray], epoch: int) -> Any:
        """One step; its number is counted already."""
        if self.watch is None:
            return self.step(batch, epoch)
        if not self._batches:
            self.watch.keep()
            self._before = self._counts(-1)
            self._began = time.perf_counter()
            self._bytes = 0
        self._batches.append((batch, epoch))
        self._bytes += sum([a.nbytes for a in batch])
        try:
            found = self.step(batch, epoch)
        except BaseException:
            self.close()  # if the state was not finite before, that is what there is to say
            raise
        late = time.perf_counter() - self._began > _SECONDS
        if self.alone or late or self._bytes > _BYTES:
            self.close()
        return found

    def flush(self, epoch: int) -> None:
        """The update with gradients that were added up and are left at the end of an epoch."""
        if not self.trainer.added[0]:
            return
        if self.watch is not None and not self._batches:
            self.watch.keep()
            self._before = self._counts(0)
        self._flushed = epoch
        self.trainer.flush(epoch)
        self.close()

    def close(self) -> None:
        """Look at what the steps made. Raises NonFiniteError, the state that of before the step."""
        done, self._batches = self._batches, []
        flushed, self._flushed = self._flushed, 0
        if (done or flushed) and self.watch is not None and not self.watch.fine():
            self._again(done, flushed)

    def _counts(self, steps: int) -> tuple[Any, ...]:
        t = self.trainer
        return (t.seen.step + steps, t.seen.loss, t.updates, t.rate, t.added, t.dirty)

    def _restore(self, counts: tuple[Any, ...]) -> None:
        t = self.trainer
        t.seen.step, t.seen.loss, t.updates, rate, t.added, t.dirty = counts
        t.went_back(rate)

    def _again(self, done: list[tuple[Sequence[AnyArray], int]], flushed: int) -> None:
        """The same steps one by one, up to the one whose update is not finite."""
        trainer, watch = self.trainer, self.watch
        assert watch is not None
        watch.undo()
        self._restore(self._before)
        for batch, epoch in done:
            watch.keep()
            before = self._counts(0)
            trainer.seen.step += 1
            self.step(batch, epoch)
            self._look(before, batch)
        if flushed and done:
            watch.keep()
        before = self._counts(0)
        trainer.flush(flushed)
        self._look(before, None)

    def _look(self, before: tuple[Any, ...], batch: Sequence[AnyArray] | None) -> None:
        trainer, watch = self.trainer, self.watch
        assert watch is not None
        if watch.fine():
            return
        bad, rate = watch.bad(), trainer.rate
        watch.undo()
        self._restore(before)
        trainer.went_back(rate)  # that of the step which is told about
        raise trainer.update_not_finite(batch, bad)


def row_numbers(trainer: Trainer, step: int) -> AnyArray | None:
    """The rows of the data that step number `step` (from 0) is made on; None for a stream."""
    record = trainer.record
    if record.stream is not None:
        return None
    size = batches.checked_batch_size(record.batch_size, record.rows)
    epoch, place = divmod(step, -(-record.rows // size))
    chosen = np.arange(place * size, min((place + 1) * size, record.rows))
    if record.shuffle and size < record.rows:
        return batches.order_of_rows(record.rows, record.seed, epoch + 1)[chosen]
    return chosen


def error(
    trainer: Trainer,
    graph: Graph,
    arguments: list[Any],
    count: int = 0,
    bad: tuple[str, int] | None = None,
) -> NonFiniteError:
    """What went wrong in the step after those that are done, the state as it was before it.

    `count` is how many rows the batch has, 0 for the update after an epoch, which has none of its
    own; and `bad` where the update made a number that is not finite, if it was the update.
    """
    run, record = trainer.seen, trainer.record
    at = first_not_finite(graph, arguments)
    step = run.step + 1 if count else run.step
    numbers = row_numbers(trainer, step - 1)
    if numbers is None:
        numbers = np.arange(count)
    exact = at is not None and bool(at.rows)
    rows = numbers[list(at.rows)] if at is not None and exact else numbers
    if at is not None and at.role in ("parameter", "moment"):
        bad = (at.value.name, at.first[0] if at.first else 0)
    trouble = Trouble(
        step=step,
        epoch=len(trainer.history.seconds) + 1,
        rows=tuple(rows.tolist()),
        exact=exact,
        rate=trainer.rate,
        at=at,
        place=_place(trainer, at, numbers, bad),
        parameter=_parameter(trainer, *bad) if bad else "",
        checkpoint=str(record.last_checkpoint or ""),
    )
    found = NonFiniteError(
        "training met a number that is not finite and stopped before the update",
        where=_where(trouble, len(numbers), record.stream is not None),
        expected="finite loss, gradients and parameters",
        received=f"{_received(at)}; the model keeps the numbers it had before this step",
        hint=_hint(trouble),
    )
    found.trouble = trouble
    return found


def _where(trouble: Trouble, count: int, stream: bool) -> str:
    parts = [f"step {trouble.step}, epoch {trouble.epoch}"]
    of_batch = " of this batch" if stream else ""
    if trouble.exact:
        parts.append(_counted(trouble.rows) + of_batch)
    elif count:
        parts.append(f"a batch of {count} rows ({_counted(trouble.rows)}{of_batch})")
    at = trouble.at
    if trouble.place:
        parts.append(trouble.place)
    if at is not None and not at.role:
        line = f" ({at.line})" if at.line else ""
        layer = "" if at.layer == at.phase else f"first in {at.layer or 'the network'}, "
        parts.append(f"{layer}{at.phase}, op {at.op}{line}")
    return ", ".join(parts)


def _counted(rows: Sequence[int]) -> str:
    if len(rows) == 1:
        return f"row {rows[0]}"
    shown = ", ".join(map(str, rows[:_SHOWN]))
    return f"rows {shown}" + (" ..." if len(rows) > _SHOWN else "")


def _place(
    trainer: Trainer, at: NotFinite | None, numbers: AnyArray, bad: tuple[str, int] | None
) -> str:
    """What was not finite to begin with, or is after the update: where it stands."""
    if bad is not None:
        return _at(trainer, *bad)
    if at is None or not at.role:
        return ""
    if at.role != "data":
        return f"{at.role} {at.value.name}" + (f" at {_index(at.first)}" if at.first else "")
    place = f"input {at.value.name}, row {numbers[at.first[0]]}"
    return f"{place}, column {_index(at.first[1:])}" if len(at.first) > 1 else place


def _parameter(trainer: Trainer, name: str, at: int) -> str:
    """The parameter that a number of a vector is, or belongs to."""
    plan = trainer.plan
    vectors = {"weights", *[m.name for m in plan.moments if not m.scalar]}
    return next((p.name for p in plan.parts if name in vectors and p.start <= at < p.stop), name)


def _at(trainer: Trainer, name: str, at: int) -> str:
    """Where a number of a vector stands: the parameter, or its moment, and the index in it."""
    part = next((p for p in trainer.plan.parts if p.name == _parameter(trainer, name, at)), None)
    if part is None:
        return name
    index = np.unravel_index(at - part.start, part.shape) if part.shape else ()
    place = f" at {_index([int(i) for i in index])}" if index else ""
    return f"parameter {part.name}{place}" + ("" if name == "weights" else f", its {name}")


def _index(places: Sequence[int]) -> str:
    return str(places[0]) if len(places) == 1 else f"({', '.join(map(str, places))})"


def _received(at: NotFinite | None) -> str:
    if at is None:
        return "inf or nan, which the same step op by op on NumPy does not meet: it is at the edge"
    if at.role:
        return f"inf or nan in {at.value}"
    of = "; ".join(map(str, at.inputs))
    share = f"{at.value.not_finite:,} of {at.value.size:,} numbers" if at.value.size > 1 else "one"
    return f"inf or nan: {at.op} gave {share}" + (f", from {of}" if of else "")


def _hint(trouble: Trouble) -> str:
    at = trouble.at
    if at is not None and at.role == "data":
        told = "look at what makes these rows: an augmentation, or what changed them since"
    else:
        told = f"a smaller learning rate than {trouble.rate:g}, or scaled inputs"
    return f"{told}; the last checkpoint is {trouble.checkpoint}" if trouble.checkpoint else told
