"""Checkpoints of a run: when one is taken, by whom it is written, what happens if that fails."""

from __future__ import annotations

import re
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassgrad.errors import (
    CheckpointError,
    CheckpointWarning,
    ConfigError,
    FormatError,
    ResumeError,
    shown,
    told,
)
from glassgrad.files.checkpoint import LOCK, Store
from glassgrad.files.disk import DISK

from .between import NEVER, Between
from .callbacks import Callback, check_kept
from .identity import check_same, identity_of, other_arithmetic
from .state import Snapshot, put, put_callbacks, read, taken

if TYPE_CHECKING:
    from .signals import Noted
    from .trainer import Record, Trainer

_SECONDS = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)s")
_NOTHING = (-1, -1)


class Keeper(Between):
    """Takes a run's checkpoints between its steps and has them written beside the next ones.

    One save is in flight at a time: the next waits for it. `folder` is locked from here on until
    `close`. Raises ConfigError for settings that cannot be meant, ResumeError where the folder has
    a run and none is to be resumed, or the other way round, CheckpointError where it cannot be used.
    """

    def __init__(
        self,
        folder: Any,
        *,
        every: int | str = "30s",
        keep: int = 3,
        resume: bool | str = False,
        failure: str = "warn",
        full_hash: bool = False,
    ) -> None:
        self.steps, self.seconds = _interval(every)
        if resume is not False and not (isinstance(resume, str) and resume in ("auto", "must")):
            raise _choice("resume", 'False, "auto" or "must"', resume)
        if failure not in ("warn", "raise"):
            raise _choice("checkpoint_failure", '"warn" or "raise"', failure)
        if not isinstance(full_hash, bool):
            raise _choice("checkpoint_full_hash", "True or False", full_hash)
        if not isinstance(folder, str | Path) or not str(folder) or "\0" in str(folder):
            raise _choice("checkpoint", "the path of a folder", folder)
        self.folder = Path(folder)
        self.where = told(folder)
        if resume == "must" and not self.folder.is_dir():
            raise self._nothing("no such folder")
        self.failure, self.full_hash = failure, full_hash
        self.path: Path | None = None  # of the last checkpoint that was written or read
        self._last = _NOTHING  # steps and epochs when the last one was taken
        self._identity: dict[str, Any] = {}
        self._listeners: tuple[Callback, ...] = ()
        self._thread: threading.Thread | None = None
        self._error: CheckpointError | None = None
        self._next = time.monotonic() + self.seconds
        self.store = Store(self.folder, keep=keep, disk=DISK)
        try:
            self.state = self._found(resume)
        except BaseException:
            self.store.close()
            raise

    # -- what was there ------------------------------------------------------------------------

    def _found(self, resume: bool | str) -> dict[str, Any] | None:
        """The state to go on from, None for a new run."""
        if resume is False:
            if self.store.steps():
                raise ResumeError(
                    "there is a run in this folder",
                    where=self.where,
                    expected="an empty folder, or a wish to go on with it",
                    received=f"checkpoints up to step {self.store.steps()[-1]:,}",
                    hint='resume="auto" goes on; another folder starts over',
                )
            return None
        saved = self.store.newest()
        if saved is not None:
            where = told(saved.path)
            state = read(saved.members, where)
            if state["step"] != saved.step:
                raise FormatError(
                    "a checkpoint is of another step than it says",
                    where=where,
                    expected=str(saved.step),
                    received=str(state["step"]),
                )
            self.path, self._last = saved.path, (saved.step, len(state["seconds"]))
            return state
        if resume == "must":
            raise self._nothing("none")
        others = [p.name for p in self.folder.iterdir() if not p.name.startswith(LOCK)]
        if others:
            raise ResumeError(
                "the folder is not empty, and there is no checkpoint in it",
                where=self.where,
                expected="a folder that is empty or has checkpoints",
                received=shown(min(others), 80),
                hint="another folder",
            )
        return None

    def _nothing(self, received: str) -> ResumeError:
        return ResumeError(
            "there is no run to go on with",
            where=self.where,
            expected="a folder with a checkpoint",
            received=received,
            hint='resume="auto" starts where there is nothing',
        )

    def seed(self, given: int | None) -> int | None:
        """The seed of a run that goes on, where none is given."""
        return self.state["seed"] if given is None and self.state is not None else given

    def check(self, record: Record, callbacks: tuple[Callback, ...]) -> None:
        """Everything that can be wrong before step one: callbacks, and that it is the same run."""
        check_kept(callbacks)
        self._identity = identity_of(record, self.full_hash)
        if self.state is None:
            return
        check_same(self.state["identity"], self._identity, self.where)
        done = len(self.state["seconds"])
        if record.epochs < done:
            raise ResumeError(
                "the run is longer already",
                where=self.where,
                expected=f"epochs from {done}: all of them, those that are done included",
                received=str(record.epochs),
            )

    # -- while it runs -------------------------------------------------------------------------

    def begin(self, trainer: Trainer, callbacks: tuple[Callback, ...]) -> None:
        """Make the trainer what the run was, where one goes on."""
        self._listeners = callbacks
        if self.state is not None:
            try:
                put(trainer, self.state)
            except FormatError as error:
                error.where = f"{told(self.path)}, {error.where}"
                raise
            if note := other_arithmetic(self.state["identity"], self._identity):
                trainer.history.notes.append(note)

    def begun(self, trainer: Trainer) -> None:
        """After `on_begin`: callbacks have back what they kept; a new run is saved at once."""
        if self.state is not None:
            put_callbacks(self._listeners, self.state["callbacks"])
            self.state = None
        else:
            self.save(trainer)

    def written(self) -> Path | None:
        """The last checkpoint; one that is being written is waited for."""
        if self._thread is not None:
            self._thread.join()
        return self.path

    def until(self, step: int) -> int:
        """The next step after which a checkpoint may be due."""
        return (step // self.steps + 1) * self.steps if self.steps else NEVER

    def due(self, step: int) -> bool:
        """Whether there is something to do after this step: a save, or one that failed."""
        if self._error is not None:
            return True
        if self.steps:
            return step % self.steps == 0
        return time.monotonic() >= self._next and not self._in_flight()

    def pause(self, trainer: Trainer, noted: Noted) -> None:
        """Between two steps: save; and if there is a signal, end here once that is written."""
        self._tell()
        self.save(trainer)
        if noted:
            self.finish()
            noted.heed(self.path)

    def save(self, trainer: Trainer) -> None:
        """Copy the run and have it written; waits for the save before. Not twice at one place."""
        place = (trainer.seen.step, trainer.history.epochs)
        if place == self._last:
            return
        snapshot = taken(trainer, self._listeners, self._identity)
        self.finish()
        self._last = place
        self._next = time.monotonic() + self.seconds
        self._thread = threading.Thread(target=self._write, args=(snapshot,), daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Wait for the save that is in flight."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._tell()

    def close(self) -> None:
        """Wait for what is in flight and let another have the folder."""
        failure, self.failure = self.failure, "warn"  # something else is being raised, or nothing
        try:
            self.finish()
        finally:
            self.failure = failure
            self.store.close()

    def _in_flight(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _write(self, snapshot: Snapshot) -> None:
        """On the other thread."""
        try:
            self.path = self.store.save(snapshot.step, snapshot.members(), finite=snapshot.finite)
        except CheckpointError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001  # the other thread has nobody else to tell
            self._error = CheckpointError(
                "a checkpoint could not be written", where=self.where, received=shown(error, 200)
            )

    def _tell(self) -> None:
        """A save that failed is an error or a warning, as was asked for."""
        error, self._error = self._error, None
        if error is None:
            return
        self._last = _NOTHING  # it may be tried again at once
        if self.failure == "raise":
            raise error
        warnings.warn(
            f"a checkpoint was not written, and training goes on: {error}",
            CheckpointWarning,
            stacklevel=2,
        )


def _interval(every: Any) -> tuple[int, float]:
    """Steps between two checkpoints and 0, or 0 and seconds."""
    if isinstance(every, int) and not isinstance(every, bool) and every >= 1:
        return every, 0.0
    match = _SECONDS.fullmatch(every) if isinstance(every, str) else None
    if match is None or float(match[1]) <= 0:
        raise _choice(
            "checkpoint_every", 'a number of steps from 1, or a time such as "30s"', every
        )
    return 0, float(match[1])


def _choice(name: str, expected: str, received: Any) -> ConfigError:
    return ConfigError(f"{name} cannot be this", expected=expected, received=shown(received))
