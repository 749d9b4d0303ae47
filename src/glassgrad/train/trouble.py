"""Numbers that are not finite: found before anybody sees them, and named.

The step itself looks at its loss and gradient and changes nothing where they are not finite. What
an update makes of finite ones, an overflow say, is looked at here: before somebody asks for the
numbers, before an evaluation, at the end, and now and then. Not after every step, for inf and nan
stay where they are. If there is one, the state goes back to a copy that is some steps old, and
these are done again, one by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
_SECONDS = 0.1  # between two copies of the state, at least
_SHARE = 0.01  # of the time that copies may take
_BYTES = 1 << 23  # of batches that are kept meanwhile, where they cannot be cut again
_PIECE = 8192  # numbers looked at together: BLAS takes more of them to several threads
_SHOWN = 6  # rows that a message counts

Step = Callable[[Sequence[AnyArray], int], Any]  # (batch, epoch) to what a step gives


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
    `block` is the memory that all of them lie in, where they have one.
    """

    def __init__(
        self,
        trainer: Trainer,
        own: Mapping[str, AnyArray],
        statistics: Mapping[str, AnyArray],
        block: AnyArray | None = None,
    ) -> None:
        self.trainer = trainer
        given = [(n, a.reshape(-1), False) for n, a in own.items()]
        given += [(n, a.reshape(-1), True) for n, a in statistics.items() if a.dtype.kind == "f"]
        self._held = [(n, a, np.empty_like(a), loose) for n, a, loose in given]
        blocks = [a for _, a, _ in given] if block is None else [block]
        self._pieces = [p for each in blocks for p in _pieces(each)]
        self.bytes = sum([a.nbytes for _, a, _ in given])
        self.stale = True  # whether the copy is of no use
        self.step: Step | None = None  # one step, where steps are called one by one
        # Of each step since the copy its batch and epoch; "flush" is an update without one. Not
        # of rows in memory as they are, which are cut anew.
        self._done: list[tuple[Sequence[AnyArray] | str, int]] = []
        self._kept_bytes = 0
        self._until = 0.0  # when the copy will have grown old
        self._before: tuple[Any, ...] = ()  # where the run stood
        self._looked = (-1, 0)  # where it stood, and what was noted, when all was fine

    def begin(self, counted: int = 0) -> None:
        """Steps come; `counted` says how many of them have their number already."""
        now = time.perf_counter()
        if self.stale or now > self._until:
            if not self.stale:
                self.look(counted)
            self.keep()
            done = time.perf_counter()
            self._until = done + max(_SECONDS, (done - now) / _SHARE)
            self._before = self._counts(counted)
            self._done.clear()
            self._looked = (self._before[0], 0)
            self._kept_bytes = 0
            self.stale = False

    def note(self, batch: Sequence[AnyArray], epoch: int) -> None:
        """A step comes whose batch cannot be had again."""
        self._done.append((batch, epoch))
        self._kept_bytes += sum([a.nbytes for a in batch])
        if self._kept_bytes > _BYTES:
            self._until = 0.0

    def failed(self) -> None:
        """The step that was noted last has changed nothing."""
        self._done.pop()

    def flushes(self, epoch: int) -> None:
        """An update without a step comes; after the last step of an epoch it is expected."""
        self.begin()
        if self.trainer.keeps_batches or self.trainer.seen.step == self._before[0]:
            self._done.append(("flush", epoch))

    def look(self, counted: int = 0) -> None:
        """Raises NonFiniteError where a step made what is not finite; the state is that before it.

        `counted` steps have their number already, but are not done yet.
        """
        if self.stale:
            return
        done = (self.trainer.seen.step - counted, len(self._done))
        if done == self._looked:
            return
        if not self.fine():
            self.trainer.seen.step -= counted
            self._again()
        self._looked = done

    def forget(self) -> None:
        """Something else than a step is going to change the state, or the rate."""
        self.look()
        self.stale = True

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
        with np.errstate(all="ignore"):
            for piece, zeros in self._pieces:
                if piece.dot(zeros) != 0:  # 0 times inf is nan
                    return self.bad() is None
        return True

    def bad(self) -> tuple[str, int] | None:
        """The first array that is not fine, and where."""
        for name, array, copy, loose in self._held:
            wrong = ~np.isfinite(array)
            if loose:
                wrong &= np.isfinite(copy)
            if wrong.any():
                return name, int(np.flatnonzero(wrong)[0])
        return None

    # -- steps once more -----------------------------------------------------------------------

    def _counts(self, counted: int = 0) -> tuple[Any, ...]:
        t = self.trainer
        return (t.seen.step - counted, t.seen.loss, t.updates, t.rate, t.added, t.dirty)

    def _restore(self, counts: tuple[Any, ...]) -> None:
        t = self.trainer
        t.seen.step, t.seen.loss, t.updates, rate, t.added, t.dirty = counts
        t.went_back(rate)

    def _steps(self, until: int) -> Iterator[tuple[Sequence[AnyArray] | None, int]]:
        """The batch and epoch of each step since the copy; no batch is the update after an epoch."""
        trainer, record = self.trainer, self.trainer.record
        for batch, epoch in self._done:
            yield (None if isinstance(batch, str) else batch), epoch
        if trainer.keeps_batches:
            return
        per_epoch = record.steps_per_epoch
        for step in range(self._before[0], until):
            yield cut(trainer, step), step // per_epoch + 1
            if (step + 1) % per_epoch == 0:
                yield None, step // per_epoch + 1

    def _again(self) -> None:
        """The same steps one by one, up to the one whose update is not finite."""
        trainer, bad = self.trainer, self.bad()
        steps = self._steps(trainer.seen.step)
        self.undo()
        self._restore(self._before)
        one = self.step or trainer.stepping()
        for batch, epoch in steps:
            self.keep()
            before = self._counts()
            if batch is None:
                trainer.flush(epoch)
            else:
                trainer.seen.step += 1
                one(batch, epoch)
            if not self.fine():
                bad, rate = self.bad(), trainer.rate
                self.undo()
                self._restore(before)
                trainer.went_back(rate)  # that of the step which is told about
                raise update_not_finite(trainer, batch, bad)
        self.stale = True
        raise changed_between(trainer, bad)


def together(
    arrays: dict[str, AnyArray], dtype: Any
) -> tuple[dict[str, AnyArray], AnyArray | None]:
    """The arrays, in one block of memory where they are few numbers: one look tells of all.

    Each begins a cache line of its own.
    """
    line = 16
    starts = [0]
    for array in arrays.values():
        starts.append(starts[-1] - (-array.size // line) * line)
    few = starts[-1] <= _PIECE and len(arrays) > 1
    if not few or any(a.dtype != dtype for a in arrays.values()):
        return arrays, None
    block = np.zeros(starts[-1], dtype)
    found = {}
    for (name, array), start in zip(arrays.items(), starts, strict=False):
        found[name] = block[start : start + array.size].reshape(array.shape)
        found[name][...] = array
    return found, block


def _pieces(vector: AnyArray) -> list[tuple[AnyArray, AnyArray]]:
    zeros = np.zeros(min(_PIECE, vector.size), vector.dtype)
    cuts = [vector[i : i + _PIECE] for i in range(0, vector.size, _PIECE)]
    return [(cut, zeros[: cut.size]) for cut in cuts]


def watched(trainer: Trainer) -> Watch | None:
    """What a step changes, watched, and moved together if small; None where that is off."""
    if not trainer.record.guards.finite:
        return None
    own = ("weights", *trainer.moments)
    changed = {"weights": trainer.weights, **trainer.moments}
    changed |= {n: a for n, a in trainer.buffers.items() if n in trainer.plan.graph.state}
    changed, block = together(changed, trainer.weights.dtype)
    trainer.weights = changed["weights"]
    trainer.moments |= {n: changed[n] for n in trainer.moments}
    trainer.buffers |= {n: changed[n] for n in trainer.buffers if n in changed}
    return Watch(
        trainer,
        {n: changed[n] for n in own},
        {n: a for n, a in changed.items() if n not in own},
        block,
    )


def check_start(trainer: Trainer) -> None:
    """Parameters are finite before the first step. Raises NonFiniteError."""
    if trainer.watch is None or trainer.watch.fine():
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


def stepping(trainer: Trainer, step: Step) -> Step:
    """The function that does one step, watched."""
    watch, record = trainer.watch, trainer.record
    if watch is None:
        return step
    watch.step = step
    # Whoever makes batches of a stream may use their memory again: they are copied, or the state
    # is for each step, whatever is less.
    stream = record.stream is not None
    alone = stream and sum([a.nbytes for a in record.data.values()]) > watch.bytes

    def watched(batch: Sequence[AnyArray], epoch: int) -> Any:
        watch.begin(1)
        if trainer.keeps_batches:
            copied = stream and not alone
            watch.note([a.copy() for a in batch] if copied else batch, epoch)
        try:
            found = step(batch, epoch)
        except BaseException as error:
            if trainer.keeps_batches and isinstance(error, NonFiniteError):
                watch.failed()
            watch.look()  # if the state was not finite before, that is what there is to say
            raise
        if alone:
            watch.forget()
        return found

    return watched


def cut(trainer: Trainer, step: int) -> list[AnyArray]:
    """The batch of step number `step` (from 0), of rows in memory."""
    record = trainer.record
    return [record.data[name][row_numbers(trainer, step)] for name in trainer.plan.data]


def changed_between(trainer: Trainer, bad: tuple[str, int] | None) -> NonFiniteError:
    """The error where no step made what is not finite; the state is as the steps made it."""
    return NonFiniteError(
        "a number of the training's state became inf or nan between two steps",
        where=f"after step {trainer.seen.step}" + (f", {_at(trainer, *bad)}" if bad else ""),
        expected="changes by steps, and by `restore` of a callback's run",
        received="the same steps, done again, make finite numbers",
        hint="look for code that writes into arrays of the training",
    )


def row_numbers(trainer: Trainer, step: int) -> AnyArray | None:
    """The rows of the data that step number `step` (from 0) is made on; None for a stream."""
    record = trainer.record
    if record.stream is not None:
        return None
    size = record.batch_rows
    epoch, place = divmod(step, record.steps_per_epoch)
    chosen = np.arange(place * size, min((place + 1) * size, record.rows))
    if record.shuffle and size < record.rows:
        return batches.order_of_rows(record.rows, record.seed, epoch + 1)[chosen]
    return chosen


def not_finite(
    trainer: Trainer, arguments: list[Any], bad: tuple[str, int] | None = None
) -> NonFiniteError:
    """The error that names the step after those done, and the first thing wrong in it."""
    return error(trainer, trainer.plan.graph, arguments, len(arguments[0]), bad)


def update_not_finite(
    trainer: Trainer, batch: Sequence[AnyArray] | None, bad: tuple[str, int] | None
) -> NonFiniteError:
    """The same where loss and gradient of a batch are finite, and what they lead to is not.

    No batch: the update after an epoch, with what its last batches left.
    """
    plan, watch = trainer.plan, trainer.watch
    names = list(plan.graph.inputs)
    arguments = trainer.arguments(names)
    if batch is not None:
        arguments[: len(batch)] = batch
        if "step" in names:
            arguments[names.index("step")] = trainer.seen.step + 1
    if plan.apply is None or watch is None:
        return not_finite(trainer, arguments, bad)
    added, count = trainer.added, 0 if batch is None else len(batch[0])
    watch.keep()
    if batch is not None:
        plan.step.function(*arguments)
        trainer.added = (added[0] + 1, added[1] + count)
    trainer.updates += 1
    found = error(trainer, plan.apply.source, trainer.of_apply(), count, bad)
    trainer.updates -= 1
    trainer.added = added
    watch.undo()
    return found


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
    if record.stream is None:
        trainer.forget_epochs((step - 1) // record.steps_per_epoch)
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
        checkpoint=str(trainer.last_checkpoint() or ""),
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
