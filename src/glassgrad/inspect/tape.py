"""A recorded run: its model at any step, explained there, and gone on with in another way.

Whatever is random is a function of the seed and of counters. So a few snapshots are enough: the
nearest earlier one is put back, and the steps from there are done again, by the same engine.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from glassgrad.errors import ConfigError, ResumeError, UsageError, real_number, shown, whole_number
from glassgrad.train.between import NEVER, Between, Change
from glassgrad.train.callbacks import Callback
from glassgrad.train.fit import fit
from glassgrad.train.history import History
from glassgrad.train.rows import augmented
from glassgrad.train.state import Snapshot, taken
from glassgrad.train.task import WEIGHT
from glassgrad.train.trainer import Record, Trainer

from .explain.explanation import Explanation, explain
from .replay import KEEPING, SAME_BITS, Act, Place, ReachedError, Replay, state_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from glassgrad.nn.module import Module
    from glassgrad.train.signals import Noted

__all__ = ["Moment", "Tape"]

_TIMES = 48  # as long as a snapshot took is the least until the next: a fiftieth of the time
_BLOCK, _BLOCKS = 1 << 16, 64  # bytes by which rows are known again


@dataclass(frozen=True, slots=True)
class Moment:
    """A run between two steps: after `step` steps, before anything that comes at its end.

    `model` is a copy with the numbers of that moment, `history` has the epochs until then, `loss` is
    that of the last step (nan before the first).

    >>> import glassgrad as gg
    >>> from glassgrad import data, nn
    >>> x, y = data.spiral(seed=0)
    >>> tape, model = gg.Tape(), nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> settings = dict(loss="cross_entropy", optimizer="adam", epochs=5, verbose=False)
    >>> history = gg.fit(model, x, y, tape=tape, **settings)
    >>> there = tape.at(3)
    >>> there.step, gg.predict(there.model, x).shape
    (3, (300, 3))
    """

    step: int
    epoch: int
    loss: float
    rate: float
    model: Module = field(repr=False)
    history: History
    snapshot: Snapshot = field(repr=False)


class Tape(Between):
    """What a run was at each of its steps: `gg.fit(..., tape=tape)` records it.

    However the run ends, by Ctrl-C or an error too, one can go to each step that was done. Snapshots
    are taken when the processor time that one needs is a fiftieth of that since the last one, or every
    so many steps with `every`. At most `most` of them are kept, in at most so many `megabytes`,
    spread evenly over the run (two at least). The rows must stay as they are. A run that goes on with
    checkpoints is recorded from there on.

    Raises ConfigError for settings that cannot be meant. Rows must lie in memory: batches of an
    iterable are a UsageError.

    >>> import glassgrad as gg
    >>> from glassgrad import data, nn
    >>> x, y = data.spiral(seed=0)
    >>> tape, model = gg.Tape(), nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> settings = dict(loss="cross_entropy", optimizer="adam", epochs=50, verbose=False)
    >>> history = gg.fit(model, x, y, tape=tape, **settings)
    >>> tape.last, tape.at(20).loss == history["loss"][19]
    (50, True)
    >>> tape.branch(20).history["loss"] == history["loss"]
    True
    >>> tape.branch(20, optimizer=gg.optim.Adam(0.1)).history["loss"][-1] < history["loss"][-1]
    True
    """

    def __init__(self, *, every: int | None = None, most: int = 32, megabytes: float = 256) -> None:
        if every is not None:
            _check_count("every", every, 1)
        _check_count("most", most, 2)
        room = real_number(megabytes)
        if room is None or room <= 0:
            raise ConfigError(
                "megabytes is out of range", expected="a number above 0", received=shown(megabytes)
            )
        self.every, self.most, self.megabytes = every, most, room
        self.first = self.last = 0  # the steps that can be gone to
        self.seconds = 0.0  # that snapshots took
        self.kept: list[Snapshot] = []
        self._recent: Snapshot | None = None  # where one was last: going on is quick
        self._acts: list[Act] = []
        self._put_back: deque[Act] = deque()  # those of them that hold weights,
        self._put_back_bytes = 0  # so many
        self._ended = False
        self._model: Module | None = None
        self._record: Record | None = None  # of the run, with a model that stays as it was before
        self._marks: dict[str, str] = {}
        self._given: tuple[Any, Any] = (None, None)
        self._settings: dict[str, Any] = {}
        self._history = History()
        self._again: Replay | None = None  # the run that this one is a branch of
        self._listening = False
        self._next = self._began = 0.0

    # -- what was recorded ---------------------------------------------------------------------

    @property
    def history(self) -> History:
        """The history of the run."""
        return self._history

    @property
    def model(self) -> Module:
        """The model that was trained, with the numbers that it has now."""
        self._run()
        assert self._model is not None
        return self._model

    @property
    def nbytes(self) -> int:
        """The bytes of all snapshots, and of weights that callbacks put back."""
        return sum(map(_size, self.kept)) + self._put_back_bytes

    def __repr__(self) -> str:
        if self._record is None:
            return "<tape on which nothing was recorded>"
        count = len(self.kept)
        kept = f"{count} snapshot{'s' * (count != 1)}, {self.nbytes / 1e6:.1f} MB"
        return f"<tape of steps {self.first:,} to {self.last:,}: {kept}>"

    def at(self, step: int) -> Moment:
        """The run after so many steps, with the bits of one that is stopped there.

        Raises ConfigError for a step that was not recorded, ResumeError where the rows have
        changed since.
        """
        return self._reached(step)[0]

    def explain(self, step: int, rows: Any = None, *, training: bool = True) -> Explanation:
        """`gg.explain` of the step that comes after so many: its batch, its draws, its weights of rows.

        The loss that it shows is that of the step, and so is every derivative, but for rounding:
        it is in float64. With `rows`, numbers of rows of the data, the step is done on these instead.

        Raises ConfigError for rows or steps that are not there, and what `explain` raises.
        """
        moment, record = self._reached(step)
        batch, task = self._batch(step, rows), record.task
        x: Any = {name: batch[name] for name in task.inputs}
        y: Any = {head.output: batch[head.target] for head in task.heads}
        if len(x) == 1:
            (x,) = x.values()
        if not isinstance(self._given[1], Mapping):
            y = tuple(y.values()) if len(y) > 1 else next(iter(y.values()))
        return explain(
            moment.model,
            x,
            y,
            loss=self._settings["loss"],
            loss_weights=self._settings["loss_weights"],
            sample_weight=batch.get(WEIGHT),
            training=training,
            seed=record.seed,
            step=step + 1,
        )

    def branch(self, step: int, *, every: int | None = None, **changes: Any) -> Tape:
        """Go on from a step, with some settings of `fit` changed; gives the new run's tape.

        Without a change it ends in the bits of the recorded run: rates that callbacks set and
        weights that they put back are done again, the callbacks are not called. `callbacks=[...]` are
        called in their place. `model` is a copy of `at(step).model` with other numbers, `x` and `y`
        are other rows, as many. Where the optimiser is of another kind, or batches, loss or metrics
        are others, a new run begins with the model of that step, and the history's notes say so.

        Raises what `fit` raises, ConfigError for a step that was not recorded.
        """
        if changes.get("resume") or "tape" in changes:
            raise ConfigError(
                "a branch has a beginning and a tape already",
                where="branch",
                expected="other settings of fit",
                received="resume" if changes.get("resume") else "tape",
            )
        moment, record = self._reached(step)
        again = self._again_from(moment.snapshot)
        again.changes = frozenset(changes) - KEEPING - {"resume"}
        if again.changes <= SAME_BITS:
            if "epochs" not in changes and self._ended:
                again.until_step, again.ends = self.last, True
            _check_kept(again.acts)
        else:
            keeps_rates = not again.changes & {"optimizer", "callbacks"}
            again.acts = deque([a for a in again.acts if a.rate is not None and keeps_rates])
        settings = {**self._settings, "seed": record.seed, "optimizer": record.optimizer}
        settings |= {"verbose": False, **changes}
        model = copy.deepcopy(settings.pop("model")) if "model" in changes else moment.model
        x, y = [settings.pop(n, given) for n, given in zip("xy", self._given, strict=True)]
        found = Tape(every=every or self.every, most=self.most, megabytes=self.megabytes)
        found._again = again
        callbacks = settings.pop("callbacks", ())
        listeners = [*callbacks] if isinstance(callbacks, list | tuple) else [callbacks]
        fit(model, x, y, **settings, callbacks=[again, *listeners], tape=found)
        return found

    def _run(self) -> Record:
        if self._record is None:
            raise UsageError(
                "nothing was recorded on this tape",
                expected="gg.fit(..., tape=tape)",
                received="an empty tape",
            )
        return self._record

    def _reached(self, step: int) -> tuple[Moment, Record]:
        """The moment after a step, and the run with a model of its own."""
        again = self._from(step)
        again.until_step, again.raises = step, True
        _check_kept(
            [a for a in again.acts if a.step < step or (a.step == step and a.place != "end")]
        )
        if _marks(self._run()) != self._marks:
            raise _others(step)
        record = _copied(self._run())
        trainer = Trainer(record)
        with contextlib.suppress(ReachedError):
            trainer.run((again,), again)
        assert again.reached is not None
        if not _begins(self.history, trainer.history):
            raise _others(step)
        self._recent = again.reached
        state = state_of(again.reached)
        run = state["run"]
        place = (step, run["epoch"], run["loss"], state["rate"])
        return Moment(*place, record.task.model, trainer.history, again.reached), record

    def _batch(self, step: int, rows: Any) -> dict[str, NDArray[Any]]:
        """What the step after so many is done on; or these rows, as that epoch has them."""
        record = self._run()
        epoch, place = divmod(step, record.steps_per_epoch)
        names = record.plan.data
        if rows is None:
            return dict(zip(names, next(record.source().epoch(epoch + 1, place)), strict=True))
        numbers = np.atleast_1d(np.asarray(rows))
        whole = numbers.ndim == 1 and numbers.dtype.kind in "iu"
        if not whole or not ((numbers >= 0) & (numbers < record.rows)).all():
            raise ConfigError(
                "there are no such rows",
                where="rows",
                expected=f"whole numbers from 0 to {record.rows - 1}",
                received=shown(rows),
            )
        found = {name: record.data[name][numbers] for name in names}
        if record.augment is not None:
            changed = augmented(record.augment, found[names[0]], numbers, record.seed, epoch + 1)
            found[names[0]] = changed
        return found

    def _from(self, step: Any) -> Replay:
        """The nearest earlier snapshot, and what is to be done again after it."""
        self._run()
        number = whole_number(step)
        if not self.kept or number is None or not self.first <= number <= self.last:
            raise ConfigError(
                "there is no such step on the tape",
                expected=f"a whole number from {self.first} to {self.last}"
                if self.kept
                else "a run that was begun",
                received=shown(step),
            )
        there = [*self.kept, *([self._recent] if self._recent is not None else [])]
        return self._again_from(max([s for s in there if s.step <= step], key=lambda s: s.step))

    def _again_from(self, snapshot: Snapshot) -> Replay:
        step = snapshot.step
        over = (
            state_of(snapshot)["epoch_step"] == step
        )  # what came at the end of its epoch is in it
        now = ("end",) if over else ("epoch", "end")
        left = [a for a in self._acts if a.step > step or (a.step == step and a.place in now)]
        again = Replay(snapshot, left)
        again.rows = self._run().rows
        return again

    # -- between two steps ---------------------------------------------------------------------

    def takes(self, record: Record, x: Any, y: Any, settings: Mapping[str, Any]) -> None:
        """The run that is going to be recorded."""
        if self._record is not None:
            raise UsageError(
                "there is a run on this tape",
                where="tape",
                expected="a tape for each run: gg.Tape()",
                received=repr(self),
            )
        if record.stream is not None:
            raise UsageError(
                "batches of an iterable cannot be had again",
                where="tape",
                expected="fit(model, x, y), with all rows in memory",
                received="an iterable of batches",
                hint="checkpoints go on with such a run: fit(..., checkpoint=...)",
            )
        self._record, self._model = _copied(record), record.task.model
        self._given, self._settings, self._marks = (x, y), dict(settings), _marks(record)

    def begin(self, trainer: Trainer, callbacks: tuple[Callback, ...]) -> None:
        """A branch begins as the run was that it is one of."""
        self._history = trainer.history
        if self._again is not None:
            self._again.begin(trainer, callbacks)

    def begun(self, trainer: Trainer) -> None:
        """The first snapshot: whatever callbacks did before it is in it."""
        self._listening = True
        self._began = time.thread_time()
        self.first = trainer.seen.step
        self._keep(trainer)
        if self._again is not None:
            self._again.begun(trainer)

    def until(self, step: int) -> int:
        """The next step at which the native loop must end."""
        own = (step // self.every + 1) * self.every if self.every else NEVER
        return own if self._again is None else min(own, self._again.until(step))

    def due(self, step: int) -> bool:
        """Whether a snapshot is to be taken."""
        return self._is_time(step) or (self._again is not None and self._again.due(step))

    def pause(self, trainer: Trainer, noted: Noted) -> None:
        """Take it."""
        if self._again is not None and self._again.due(trainer.seen.step):
            self._again.pause(trainer, noted)
        if self._is_time(trainer.seen.step):
            self._keep(trainer)

    def changed(self, trainer: Trainer, what: Change) -> None:
        """A callback did something that no step does."""
        if not self._listening:
            return
        step = trainer.seen.step
        place: Place = "epoch" if trainer.epoch_step == step else "step"
        if self._ended:
            place = "end"
        weights = trainer.state() if what == "weights" else None
        act = Act(step, place, trainer.rate if weights is None else None, weights)
        self._acts.append(act)
        if weights is not None:
            weights.epoch = trainer.record.kept if trainer.kept_at == step else None
            self._put_back.append(act)
            self._put_back_bytes += act.nbytes
            while self._put_back_bytes > self.megabytes * 1e6:
                first = self._put_back.popleft()
                self._put_back_bytes -= first.nbytes
                first.weights = None

    def save(self, trainer: Trainer) -> None:
        """After the last step."""
        if not trainer.record.partial:  # an epoch that was cut short cannot be gone on with
            self._keep(trainer)

    def finish(self) -> None:
        """The run is over; callbacks may put weights back still."""
        self._ended = True

    def over(self, trainer: Trainer) -> None:
        """However it ended: these are the steps that can be gone to."""
        self._listening = False
        self.last = max(self.first, trainer.seen.step)
        if self._again is not None:
            self._again.over(trainer)

    def _is_time(self, step: int) -> bool:
        if self.every:
            return step % self.every == 0
        return time.thread_time() >= self._next

    def _keep(self, trainer: Trainer) -> None:
        """A snapshot more; and one less, where there are too many."""
        began = time.thread_time()
        snapshot = taken(trainer, (), {})
        self.kept = [s for s in self.kept if s.step < snapshot.step]
        self.kept.append(snapshot)
        room = self.megabytes * 1e6 / max(1, _size(snapshot))
        while len(self.kept) > max(2, min(self.most, room)):
            steps = [s.step for s in self.kept]
            gaps = [after - before for before, after in zip(steps, steps[2:], strict=False)]
            del self.kept[1 + gaps.index(min(gaps))]
        now = time.thread_time()
        self.seconds += now - began
        wait = max(_TIMES * (now - began), (now - self._began) / self.most)
        self._next = now + wait


def _size(snapshot: Snapshot) -> int:
    """The bytes that are its own."""
    own = [a for n, a in snapshot.arrays.items() if not n.startswith(("initial/", "fixed/"))]
    return sum([a.nbytes for a in own])


def _check_kept(acts: Any) -> None:
    """Raises ConfigError where weights that callbacks put back were too many to be kept."""
    for act in acts:
        if act.lost:
            raise ConfigError(
                "a callback put weights back, too often for all of them to be kept",
                where=f"step {act.step}",
                expected="a step before it, or one with a snapshot between them",
                received="steps that must be done again from before",
                hint="gg.Tape(megabytes=...) for more room, every=1 and most=... for more snapshots",
            )


def _others(step: int) -> ResumeError:
    return ResumeError(
        "the rows are others than in the run",
        where=f"step {step}",
        expected="the rows that the run was trained on, as they were",
        received="others: they were changed after it, or an augmentation changes them anew",
    )


def _marks(record: Record) -> dict[str, str]:
    """By what the rows of a run are known again: all bytes of few, blocks of many."""
    found = {}
    for name, array in record.stored.items():
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        mark = hashlib.sha256()
        step = max(_BLOCK, -(-flat.size // _BLOCKS))
        for start in range(0, flat.size, step):
            mark.update(flat[start : start + _BLOCK].data)
        found[name] = mark.hexdigest()
    return found


def _begins(whole: History, part: History) -> bool:
    """Whether a history goes on as a part of it does; what ended within a step may lack an epoch."""
    pairs = [(whole.columns.get(n, []), c) for n, c in part.columns.items()]
    return all(np.array_equal(a[: len(b)], b[: len(a)], equal_nan=True) for a, b in pairs)


def _copied(record: Record) -> Record:
    """The same run with a model of its own, and an optimiser that knows its parameters."""
    task = record.task
    try:
        model, held, constants, optimizer = copy.deepcopy(
            (task.model, task.held, task.constants, record.optimizer)
        )
    except Exception as error:  # whatever the classes of a model raise when they are copied
        raise UsageError(
            "a model that cannot be copied cannot be recorded",
            where="tape",
            expected="a model that copy.deepcopy takes",
            received=f"{type(error).__name__}: {shown(str(error), 200)}",
        ) from error
    task = replace(task, model=model, held=held, constants=constants)
    begun: dict[str, Any] = {"initial": {}, "rates": [], "kept": None, "fitted": None}
    return replace(record, task=task, optimizer=optimizer, partial=False, trained=None, **begun)


def _check_count(name: str, value: Any, least: int) -> None:
    number = whole_number(value)
    if number is None or number < least:
        raise ConfigError(
            f"{name} is out of range",
            where="Tape",
            expected=f"a whole number from {least}",
            received=shown(value),
        )
