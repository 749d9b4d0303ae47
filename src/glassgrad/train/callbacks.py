"""What can listen to training, and how often it is called."""

from __future__ import annotations

import sys
import time
from typing import Any, ClassVar, Literal, TextIO

from glassgrad.errors import ConfigError, shown


class Callback:
    """Base of callbacks. `every` says when `on_interval` is called, and only then.

    "epoch" is after each epoch, a number n after every n-th step. `run` shows the training: see
    `Run`. Setting `run.stop` ends it after the current epoch (or step).
    """

    every: ClassVar[int | Literal["epoch"]] = "epoch"

    def on_begin(self, run: Run) -> None:
        """Called once before the first step."""

    def on_interval(self, run: Run) -> None:
        """Called at every interval."""

    def on_end(self, run: Run) -> None:
        """Called once after the last step."""


class Run:
    """Training as a callback sees it: where it stands, its history, and the model on request."""

    def __init__(self, trainer: Any, epochs: int) -> None:
        self._trainer = trainer
        self.epochs = epochs
        self.epoch = 0
        self.step = 0
        self.loss = float("nan")
        self.stop = False
        self.began = time.perf_counter()

    @property
    def history(self) -> Any:
        """The epochs so far."""
        return self._trainer.history

    @property
    def model(self) -> Any:
        """The model with the numbers of this moment."""
        self._trainer.write_back()
        return self._trainer.task.model


class ProgressLines(Callback):
    """A line about every tenth of the way, on standard error."""

    def __init__(self, stream: TextIO | None = None, lines: int = 10) -> None:
        self.stream = stream
        self.lines = lines

    def on_interval(self, run: Run) -> None:
        mark = max(1, -(-run.epochs // self.lines))
        if run.epoch % mark and run.epoch not in (1, run.epochs):
            return
        parts = "   ".join(f"{name} {value:.4f}" for name, value in run.history.last.items())
        width = len(str(run.epochs))
        stream = self.stream or sys.stderr
        stream.write(f"epoch {run.epoch:>{width}}/{run.epochs}   {parts}\n")
        stream.flush()


def checked(callbacks: Any) -> tuple[Callback, ...]:
    """Callbacks that say their interval."""
    found = tuple(callbacks) if isinstance(callbacks, list | tuple) else (callbacks,)
    for callback in found:
        every = getattr(callback, "every", None)
        counts = isinstance(every, int) and not isinstance(every, bool) and every >= 1
        if not isinstance(callback, Callback) or not (every == "epoch" or counts):
            raise ConfigError(
                "this is not a callback",
                expected='a train.Callback whose `every` is "epoch" or a number of steps',
                received=shown(callback),
            )
    return found
