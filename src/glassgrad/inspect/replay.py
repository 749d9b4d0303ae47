"""Steps of a recorded run done again: up to one of them, or on from there in another way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from glassgrad.errors import ConfigError
from glassgrad.train.between import NEVER, Between
from glassgrad.train.callbacks import Callback, Run
from glassgrad.train.packing import unpack
from glassgrad.train.state import Snapshot, put, taken
from glassgrad.train.trainer import Trainer

if TYPE_CHECKING:
    from glassgrad.train.signals import Noted

Place = Literal["step", "epoch", "end"]  # when a callback acted: after a step, an epoch, the last
# What may change and leave the numbers of each step; another backend nearly.
SAME_BITS = frozenset({"verbose", "guard", "recompute", "backend", "epochs"})
KEEPING = frozenset(
    {"checkpoint", "checkpoint_every", "keep", "checkpoint_failure", "checkpoint_full_hash"}
)
# With these changed a run goes on in the middle, with others a new one begins.
_GOES_ON = frozenset(
    {"optimizer", "seed", "shuffle", "augment", "class_weight", "sample_weight", "callbacks"}
) | {"model", "x", "y"}  # fmt: skip


@dataclass(slots=True)
class Act:
    """What a callback did to a run: another rate, or weights put back; neither, if they were let go."""

    step: int
    place: Place
    rate: float | None
    weights: Mapping[str, Any] | None

    @property
    def lost(self) -> bool:
        """Whether it cannot be done again."""
        return self.rate is None and self.weights is None

    @property
    def nbytes(self) -> int:
        """The bytes of the weights."""
        return sum([a.nbytes for a in (self.weights or {}).values()])


class ReachedError(Exception):
    """The step that somebody wants to see."""


class Replay(Between, Callback):
    """A run made what it was at a snapshot, with what callbacks did to it after that.

    Between steps and, for what was done at the ends of epochs, as a callback. `changes` are the
    settings in which it differs from the recorded run, `rows` how many that one had.
    """

    stateless = True

    def __init__(self, start: Snapshot, acts: Iterable[Act]) -> None:
        self.start = start
        self.acts = deque(acts)  # in the order in which they were done
        self.until_step = NEVER
        self.raises = False  # at that step
        self.ends = False  # with that step
        self.changes: frozenset[str] = frozenset()
        self.rows = 0  # of the recorded run
        self.reached: Snapshot | None = None
        self._trainer: Trainer | None = None

    def begin(self, trainer: Trainer, callbacks: tuple[Callback, ...]) -> None:
        state = state_of(self.start)
        if reason := self._other(trainer, state):
            self.acts.clear()
            self.until_step = NEVER
            note = (
                f"a new run begins with the model after step {state['step']:,}: a run cannot go on "
                f"in the middle with {reason}"
            )
            trainer.history.notes.append(note)
            return
        done = -(-state["step"] // trainer.record.steps_per_epoch)
        if trainer.record.epochs < done:
            raise ConfigError(
                "the run is longer already",
                where="epochs",
                expected=f"at least {done}: all epochs, those that were begun included",
                received=str(trainer.record.epochs),
            )
        if "model" in self.changes:  # with the numbers that it was given
            state["weights"] = trainer.weights.copy()
            state["buffers"] = {n: a.copy() for n, a in trainer.buffers.items()}
            state["fixed"] = dict(trainer.frozen)
        self._trainer = trainer
        put(trainer, state)
        trainer.seen.stop = False
        if "optimizer" in self.changes:
            epoch = state["run"]["epoch"]
            trainer.went_back(trainer.record.optimizer.rate_at(trainer.updates, epoch))
        if self.changes - SAME_BITS:
            trainer.record.unwritable = "it goes on from another run, with other settings"

    def _other(self, trainer: Trainer, state: Mapping[str, Any]) -> str:
        """Why a trainer cannot go on as the run was, or ""."""
        if named := self.changes - SAME_BITS - _GOES_ON:
            return f"other settings: {', '.join(sorted(named))}"
        if trainer.record.rows != self.rows:
            return "another number of rows"
        if _shapes(trainer.moments) != _shapes(state["moments"]):
            return "an optimiser of another kind"
        if _shapes({"": trainer.weights, **trainer.buffers}) != _shapes(
            {"": state["weights"], **state["buffers"]}
        ) or _shapes(trainer.frozen) != _shapes(state["fixed"]):
            return "another network"
        return "" if list(trainer.history.columns) == list(state["history"]) else "other columns"

    def begun(self, trainer: Trainer) -> None:
        self._arrive(trainer)

    def until(self, step: int) -> int:
        later = next((a.step for a in self.acts if a.step > step), NEVER)
        return min(later, self.until_step if self.until_step > step else NEVER)

    def due(self, step: int) -> bool:
        return step == self.until_step or (bool(self.acts) and self.acts[0].step == step)

    def pause(self, trainer: Trainer, noted: Noted) -> None:
        self._act("step", trainer.seen)
        self._arrive(trainer)

    def on_interval(self, run: Run) -> None:
        if self._trainer is not None:
            self._act("epoch", run)
            self._arrive(self._trainer)

    def on_end(self, run: Run) -> None:
        if self.ends:
            self._act("end", run)

    def over(self, trainer: Trainer) -> None:
        self._trainer = None

    def _act(self, place: Place, run: Run) -> None:
        while self.acts and (self.acts[0].step, self.acts[0].place) == (run.step, place):
            act = self.acts.popleft()
            if act.rate is not None:
                run.rate = act.rate
            elif act.weights is not None:
                run.restore(act.weights)

    def _arrive(self, trainer: Trainer) -> None:
        """At the step that is wanted, if nothing comes after it but the next one."""
        record, step = trainer.record, trainer.seen.step
        ends = step % record.steps_per_epoch == 0
        if step != self.until_step or (ends and trainer.epoch_step != step):
            return
        if self.raises:
            self.reached = taken(trainer, (), {})
            raise ReachedError
        if self.ends:
            trainer.seen.stop = True


def state_of(snapshot: Snapshot) -> dict[str, Any]:
    """The run as `put` takes it."""
    found: dict[str, Any] = unpack(snapshot.about, snapshot.arrays, "a tape")
    return found


def _shapes(arrays: Mapping[str, Any]) -> dict[str, tuple[Any, np.dtype[Any]]]:
    return {name: (a.shape, a.dtype) for name, a in arrays.items()}
