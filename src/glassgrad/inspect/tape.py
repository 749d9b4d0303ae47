"""A recorded run: its model at any step, explained there, and gone on with in another way.

Whatever is random is a function of the seed and of counters. So a few snapshots are enough: the
nearest earlier one is put back, and the steps from there are done again, by the same engine.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from glassgrad.errors import ConfigError, ResumeError, UsageError, shown
from glassgrad.tensors.tensor import Tensor
from glassgrad.train.between import NEVER, Change
from glassgrad.train.callbacks import Callback, Run
from glassgrad.train.fit import fit
from glassgrad.train.history import History
from glassgrad.train.packing import unpack
from glassgrad.train.state import Snapshot, put, taken
from glassgrad.train.trainer import Record, Trainer

from .explain.explanation import Explanation, explain

if TYPE_CHECKING:
    from glassgrad.nn.module import Module
    from glassgrad.train.signals import Noted

__all__ = ["Moment", "Tape"]

Place = Literal["step", "epoch", "end"]  # when a callback acted: after a step, an epoch, the last
_TIMES = 48  # what a snapshot takes, and the least time until the next one
_NEVER_DIFFERS = frozenset({"verbose", "guard", "recompute", "backend", "epochs"})  # in its bits
_KEEPING = frozenset(
    {"checkpoint", "checkpoint_every", "keep", "checkpoint_failure", "checkpoint_full_hash"}
)
_GOES_ON = frozenset(
    {"optimizer", "seed", "shuffle", "augment", "class_weight", "sample_weight", "callbacks"}
)


@dataclass(frozen=True, slots=True)
class Moment:
    """A run between two steps: after `step` steps, before anything that comes at its end.

    `model` is a copy with the numbers of that moment, `history` has the epochs until then, `loss` is
    that of the last step (nan before the first).
    """

    step: int
    epoch: int
    loss: float
    rate: float
    model: Module = field(repr=False)
    history: History
    snapshot: Snapshot = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Act:
    """What a callback did to a run: another rate, or weights put back."""

    step: int
    place: Place
    rate: float | None
    weights: Mapping[str, Any] | None


class Tape:
    """What a run was at each of its steps: `gg.fit(..., tape=tape)` records it.

    Snapshots are taken when the processor time that one needs is a fiftieth of that since the last
    one, or every so many steps with `every`. At most `most` of them are kept, in at most so many
    `megabytes`, spread evenly over the run (two at least). The rows must stay as they are. A run that
    goes on with checkpoints is recorded from there on.

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
        if isinstance(megabytes, bool) or not isinstance(megabytes, int | float) or megabytes <= 0:
            raise ConfigError(
                "megabytes is out of range", expected="a number above 0", received=shown(megabytes)
            )
        self.every, self.most, self.megabytes = every, most, float(megabytes)
        self.first = self.last = 0  # the steps that can be gone to
        self.seconds = 0.0  # that snapshots took
        self.kept: list[Snapshot] = []
        self._recent: Snapshot | None = None  # where one was last: going on is quick
        self._acts: list[_Act] = []
        self._ended = False
        self._record: Record | None = None
        self._rows: tuple[Any, Any] = (None, None)
        self._settings: dict[str, Any] = {}
        self._history = History()
        self._again: _Again | None = None  # the run that this one is a branch of
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
        return self._run().task.model

    @property
    def nbytes(self) -> int:
        """The bytes of all snapshots."""
        return sum(map(_size, self.kept))

    def __repr__(self) -> str:
        kept = f"{len(self.kept)} snapshots, {self.nbytes / 1e6:.1f} MB"
        return f"<tape of steps {self.first:,} to {self.last:,}: {kept}>"

    def at(self, step: int) -> Moment:
        """The run after so many steps, with the bits of one that is stopped there.

        Raises ConfigError for a step that was not recorded, ResumeError where the rows have
        changed since.
        """
        again = self._from(step)
        again.until_step, again.raises = step, True
        record = _copied(self._run())
        trainer = Trainer(record)
        with contextlib.suppress(_ReachedError):
            trainer.run((again,), again)
        assert again.reached is not None
        history = trainer.history
        if not _begins(self.history, history):
            raise ResumeError(
                "the same steps give another history",
                where=f"step {step}",
                expected="the rows that the run was trained on",
                received="others, or they were changed after the run",
            )
        self._recent = again.reached
        state = _state(again.reached)
        run, model = state["run"], record.task.model
        return Moment(step, run["epoch"], run["loss"], state["rate"], model, history, again.reached)

    def explain(self, step: int, rows: Any = (0,), *, training: bool = True) -> Explanation:
        """`gg.explain` of the model after so many steps, on these rows of its data.

        Raises ConfigError for rows or steps that are not there.
        """
        loss = {name: self._settings.get(name) for name in ("loss", "loss_weights")}
        count = self._run().rows
        numbers = np.atleast_1d(np.asarray(rows))
        if numbers.dtype.kind not in "iu" or not ((numbers >= 0) & (numbers < count)).all():
            raise ConfigError(
                "there are no such rows",
                where="rows",
                expected=f"whole numbers from 0 to {count - 1}",
                received=shown(rows),
            )
        x, y = [_chosen(part, numbers) for part in self._rows]
        seed = self._run().seed
        return explain(self.at(step).model, x, y, **loss, training=training, seed=seed)

    def branch(self, step: int, *, every: int | None = None, **changes: Any) -> Tape:
        """Go on from a step, with some settings of `fit` changed; gives the new run's tape.

        Without a change it ends in the bits of the recorded run: rates that callbacks set and
        weights that they put back are done again, the callbacks are not called. `callbacks=[...]` are
        called in their place. Where the optimiser is of another kind, or batches, loss or metrics are
        others, a new run begins with the model of that step, and the history's notes say so.

        Raises what `fit` raises, ConfigError for a step that was not recorded.
        """
        if changes.get("resume") or "tape" in changes:
            raise ConfigError(
                "a branch has a beginning and a tape already",
                where="branch",
                expected="other settings of fit",
                received="resume" if changes.get("resume") else "tape",
            )
        self._check(step)
        moment = self.at(step)
        changed = set(changes) - _KEEPING - {"resume"}
        again = self._again_from(moment.snapshot)
        if changed <= _NEVER_DIFFERS:
            if "epochs" not in changed and self._ended:
                again.until_step, again.ends = self.last, True
        else:
            keeps_rates = not changed & {"optimizer", "callbacks"}
            again.acts = [a for a in again.acts if a.rate is not None and keeps_rates]
        again.new_rate = "optimizer" in changed
        again.anew = ", ".join(sorted(changed - _NEVER_DIFFERS - _GOES_ON))
        found = Tape(every=every or self.every, most=self.most, megabytes=self.megabytes)
        found._again = again
        settings = {**self._settings, "seed": self._run().seed, "verbose": False, **changes}
        callbacks = settings.pop("callbacks", ())
        listeners = [*callbacks] if isinstance(callbacks, list | tuple) else [callbacks]
        fit(moment.model, *self._rows, **settings, callbacks=[again, *listeners], tape=found)
        return found

    def _run(self) -> Record:
        if self._record is None:
            raise UsageError(
                "nothing was recorded on this tape",
                expected="gg.fit(..., tape=tape)",
                received="an empty tape",
            )
        return self._record

    def _check(self, step: Any) -> None:
        self._run()
        whole = hasattr(step, "__index__") and not isinstance(step, bool)
        if not self.kept or not whole or not self.first <= step <= self.last:
            raise ConfigError(
                "there is no such step on the tape",
                expected=f"{self.first} to {self.last}" if self.kept else "a run that was begun",
                received=shown(step),
            )

    def _from(self, step: int) -> _Again:
        """The nearest earlier snapshot, and what is to be done again after it."""
        self._check(step)
        there = [*self.kept, *([self._recent] if self._recent is not None else [])]
        return self._again_from(max([s for s in there if s.step <= step], key=lambda s: s.step))

    def _again_from(self, snapshot: Snapshot) -> _Again:
        step = snapshot.step
        over = _state(snapshot)["epoch_step"] == step  # what came at the end of its epoch is in it
        now = ("end",) if over else ("epoch", "end")
        left = [a for a in self._acts if a.step > step or (a.step == step and a.place in now)]
        return _Again(snapshot, left)

    # -- between two steps ---------------------------------------------------------------------

    path: Path | None = None

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
        self._record, self._rows, self._settings = record, (x, y), dict(settings)

    def begin(self, trainer: Trainer, callbacks: tuple[Callback, ...]) -> None:
        """A branch begins as the run was that it is one of."""
        self._history = trainer.history
        if self._again is not None:
            self._again.begin(trainer, callbacks)

    def begun(self, trainer: Trainer) -> None:
        """The first snapshot: whatever callbacks did before it is in it."""
        self._listening = True
        self._began = time.thread_time()
        self.first = self.last = trainer.seen.step
        self._keep(trainer)
        if self._again is not None:
            self._again.begun(trainer)

    def written(self) -> Path | None:
        """There is none."""

    def until(self, step: int) -> int:
        """The next step at which the native loop must end."""
        own = (step // self.every + 1) * self.every if self.every else NEVER
        return own if self._again is None else min(own, self._again.until(step))

    def due(self, step: int) -> bool:
        """Whether a snapshot is to be taken."""
        self.last = step
        return self._is_time(step) or (self._again is not None and self._again.due(step))

    def pause(self, trainer: Trainer, noted: Noted) -> None:
        """Take it."""
        if self._again is not None and self._again.due(trainer.seen.step):
            self._again.pause(trainer, noted)
        if self._is_time(trainer.seen.step):
            self._keep(trainer)
        if noted:
            noted.heed()

    def changed(self, trainer: Trainer, what: Change) -> None:
        """A callback did something that no step does."""
        if not self._listening:
            return
        step = trainer.seen.step
        place: Place = "epoch" if trainer.epoch_step == step else "step"
        if self._ended:
            place = "end"
        weights = trainer.state() if what == "weights" else None
        if weights is not None:
            weights.epoch = trainer.record.kept if trainer.kept_at == step else None
        self._acts.append(_Act(step, place, trainer.rate if weights is None else None, weights))

    def save(self, trainer: Trainer) -> None:
        """After the last step."""
        self.last = trainer.seen.step
        if not trainer.record.partial:  # an epoch that was cut short cannot be gone on with
            self._keep(trainer)

    def finish(self) -> None:
        """The run is over; callbacks may put weights back still."""
        self._ended = True

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
        room = int(self.megabytes * 1e6) // max(1, _size(snapshot))
        while len(self.kept) > max(2, min(self.most, room)):
            steps = [s.step for s in self.kept]
            gaps = [after - before for before, after in zip(steps, steps[2:], strict=False)]
            del self.kept[1 + gaps.index(min(gaps))]
        now = time.thread_time()
        self.seconds += now - began
        wait = max(_TIMES * (now - began), (now - self._began) / self.most)
        self._next = now + wait


class _ReachedError(Exception):
    """The step that somebody wants to see."""


class _Again(Callback):
    """Steps of a recorded run done again, with what its callbacks did to them.

    Between steps and, for what was done at the ends of epochs, as a callback.
    """

    stateless = True
    path: Path | None = None

    def __init__(self, start: Snapshot, acts: list[_Act]) -> None:
        self.start, self.acts = start, acts
        self.until_step = NEVER
        self.raises = False  # at that step
        self.ends = False  # with that step
        self.new_rate = False
        self.anew = ""  # the changes for which a new run begins
        self.reached: Snapshot | None = None
        self._trainer: Trainer | None = None

    def begin(self, trainer: Trainer, callbacks: tuple[Callback, ...]) -> None:
        state = _state(self.start)
        reason = self.anew or _other(trainer, state)
        if reason:
            self.acts, self.until_step = [], NEVER
            note = f"a new run begins with the model after step {state['step']:,}: {reason}"
            trainer.history.notes.append(f"{note} cannot go on in the middle")
            return
        self._trainer = trainer
        put(trainer, state)
        trainer.seen.stop = False
        if self.new_rate:
            trainer.went_back(
                trainer.record.optimizer.rate_at(trainer.updates, state["run"]["epoch"])
            )

    def begun(self, trainer: Trainer) -> None:
        if trainer.seen.step == self.until_step and self._whole(trainer):
            self._arrive(trainer)

    def written(self) -> Path | None:
        return None

    def until(self, step: int) -> int:
        later = [a.step for a in self.acts if a.step > step]
        return min([*later, self.until_step if self.until_step > step else NEVER])

    def due(self, step: int) -> bool:
        return step == self.until_step or any(a.step == step for a in self.acts)

    def pause(self, trainer: Trainer, noted: Noted) -> None:
        self._act("step", trainer.seen)
        if trainer.seen.step == self.until_step and self._whole(trainer):
            self._arrive(trainer)
        if noted:
            noted.heed()

    def changed(self, trainer: Trainer, what: Change) -> None:
        pass

    def save(self, trainer: Trainer) -> None:
        pass

    def finish(self) -> None:
        pass

    def on_interval(self, run: Run) -> None:
        if self._trainer is None:
            return
        self._act("epoch", run)
        if run.step == self.until_step:
            self._arrive(self._trainer)

    def on_end(self, run: Run) -> None:
        if self.ends:
            self._act("end", run)
        self._trainer = None

    def _act(self, place: Place, run: Run) -> None:
        for act in [a for a in self.acts if a.place == place and a.step == run.step]:
            if act.rate is not None:
                run.rate = act.rate
            elif act.weights is not None:
                run.restore(act.weights)
            self.acts.remove(act)

    def _whole(self, trainer: Trainer) -> bool:
        """Whether nothing comes after this step but the next one."""
        record, step = trainer.record, trainer.seen.step
        ends = step % -(-record.rows // record.batch_rows) == 0
        return not ends or trainer.epoch_step == step

    def _arrive(self, trainer: Trainer) -> None:
        if self.raises:
            self._reach(trainer)
        elif self.ends:
            trainer.seen.stop = True

    def _reach(self, trainer: Trainer) -> None:
        self.reached = taken(trainer, (), {})
        raise _ReachedError


def _state(snapshot: Snapshot) -> dict[str, Any]:
    """The run as `put` takes it."""
    found: dict[str, Any] = unpack(snapshot.about, snapshot.arrays, "a tape")
    return found


def _size(snapshot: Snapshot) -> int:
    """The bytes that are its own."""
    own = [a for n, a in snapshot.arrays.items() if not n.startswith(("initial/", "fixed/"))]
    return sum([a.nbytes for a in own])


def _other(trainer: Trainer, state: Mapping[str, Any]) -> str:
    """Why a trainer cannot go on as a run was, or ""."""
    moments = {name: (a.shape, a.dtype) for name, a in trainer.moments.items()}
    if moments != {name: (a.shape, a.dtype) for name, a in state["moments"].items()}:
        return "an optimiser of another kind"
    return "" if list(trainer.history.columns) == list(state["history"]) else "other columns"


def _begins(whole: History, part: History) -> bool:
    """Whether a history goes on as a part of it does."""
    pairs = [(whole.columns.get(n, [])[: len(c)], c) for n, c in part.columns.items()]
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def _copied(record: Record) -> Record:
    """The same run with a model of its own."""
    task = record.task
    model, held, constants = copy.deepcopy((task.model, task.held, task.constants))
    task = replace(task, model=model, held=held, constants=constants)
    begun: dict[str, Any] = {"initial": {}, "rates": [], "kept": None, "fitted": None}
    return replace(record, task=task, partial=False, trained=None, **begun)


def _chosen(given: Any, numbers: Any) -> Any:
    """Rows of what a user gave: an array, or several by name or in order."""
    if isinstance(given, Mapping):
        return {name: _chosen(part, numbers) for name, part in given.items()}
    if isinstance(given, tuple):
        return tuple([_chosen(part, numbers) for part in given])
    return np.asarray(given.numpy() if isinstance(given, Tensor) else given)[numbers]


def _check_count(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
        raise ConfigError(
            f"{name} is out of range",
            where="Tape",
            expected=f"a whole number from {least}",
            received=shown(value),
        )
