"""What can listen to training, and how often it is called.

`monitors.py` has what decides by a metric, `loggers.py` what writes down. Keras's TerminateOnNaN has
no counterpart: every training step looks for inf and nan itself, before the update.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, TextIO

from glassgrad.errors import ConfigError, UsageError, shown


class Callback:
    """Base of callbacks. `every` says when `on_interval` is called, and only then.

    "epoch" is after each epoch, a number n after every n-th step. `run` shows the training: see
    `Run`. Setting `run.stop` ends it after the current epoch (or step). What a callback raises ends
    it at once: the model keeps the numbers after the last step, and no `on_end` is called.

    Under `fit(checkpoint=...)` a callback either keeps nothing from call to call and says so
    (`stateless = True`), or gives what it keeps as plain data and takes it back.
    """

    every: int | Literal["epoch"] = "epoch"
    stateless = False

    def state(self) -> dict[str, Any]:
        """What is kept from call to call: None, truth values, numbers, texts, arrays, lists, dicts.

        Asked for between two steps; arrays are copied then.
        """
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave; called after `on_begin` of a run that goes on."""

    def on_begin(self, run: Run) -> None:
        """Called once before the first step; `run.resumed` says whether the run goes on."""

    def on_interval(self, run: Run) -> None:
        """Called at every interval."""

    def on_end(self, run: Run) -> None:
        """Called once after the last step."""


class Run:
    """Training as a callback sees it: where it stands, its history, and the model on request."""

    def __init__(self, trainer: Any, epochs: int) -> None:
        self._trainer = trainer
        self._changed = -1  # the epoch in which the rate was last changed
        self._before = math.nan  # the rate before the first change in that epoch
        self.epochs = epochs
        self.epoch = 0
        self.step = 0
        self.loss = float("nan")
        self.stop = False
        self.resumed = False  # whether it goes on from a checkpoint
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

    @property
    def logs(self) -> dict[str, float]:
        """The last epoch's values by name, and `learning_rate`, the base rate it began with."""
        rate = self._before if self._changed == self.epoch else self.rate
        return {**self.history.last, "learning_rate": rate}

    @property
    def rate(self) -> float:
        """The base learning rate, above 0; a new one counts from the next step on."""
        return float(self._trainer.rate)

    @rate.setter
    def rate(self, rate: float) -> None:
        before = self.rate
        self._trainer.rate = rate
        if self._changed != self.epoch:
            self._changed, self._before = self.epoch, before

    def state(self) -> dict[str, Any]:
        """Copies of all parameters and buffers, by their paths."""
        found: dict[str, Any] = self._trainer.state()
        return found

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put parameters and buffers back as `state()` gave them.

        Raises UsageError, and changes nothing, for what is not the numbers of this network.
        """
        self._trainer.restore(state)

    def place(self) -> dict[str, Any]:
        """Where the run stands, but for its step, as plain data."""
        return {
            "epoch": self.epoch,
            "loss": self.loss,
            "stop": self.stop,
            "changed": self._changed,
            "before": self._before,
        }

    def go_to(self, step: int, place: Mapping[str, Any]) -> None:
        """Stand where another run stood."""
        self.resumed, self.step = True, step
        self.epoch, self.loss, self.stop = place["epoch"], place["loss"], place["stop"]
        self._changed, self._before = place["changed"], place["before"]

    def direction(self, name: str) -> str:
        """Whether a column of the history is better "down" or "up", "" where nobody has said."""
        known: dict[str, str] = {"loss": "down"}
        for head in self._trainer.task.heads:
            before = f"{head.output}_" if head.output else ""
            known[f"{before}loss"] = "down"
            known |= {before + metric.name: metric.direction for metric in head.metrics}
        return known.get(name.removeprefix("val_"), "")


class LambdaCallback(Callback):
    """A callback from functions of the run, for what is needed once.

    Each may be left out; `every` is the interval of `on_interval`. Keras's class has a function for
    each of its own hooks (`on_epoch_end(epoch, logs)`, ...); here they are those of `Callback`.
    `stateless` says that the functions keep nothing that a run which is resumed would miss.

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> from glassgrad.train import LambdaCallback
    >>> say = LambdaCallback(on_interval=lambda run: print(run.epoch, run.logs["learning_rate"]))
    >>> settings = dict(loss="mse", optimizer="sgd", epochs=2, verbose=False)
    >>> history = gg.fit(nn.Linear(1), [[1.0]], [[2.0]], callbacks=say, **settings)
    1 0.1
    2 0.1
    """

    def __init__(
        self,
        on_begin: Callable[[Run], object] | None = None,
        on_interval: Callable[[Run], object] | None = None,
        on_end: Callable[[Run], object] | None = None,
        *,
        every: int | Literal["epoch"] = "epoch",
        stateless: bool = False,
    ) -> None:
        given = {"on_begin": on_begin, "on_interval": on_interval, "on_end": on_end}
        for name, function in given.items():
            if function is not None and not callable(function):
                raise ConfigError(
                    f"{name} is not a function",
                    where="LambdaCallback",
                    expected="a function of the run",
                    received=shown(function),
                )
        self.functions = given
        self.every = every
        self.stateless = bool(stateless)

    def _call(self, name: str, run: Run) -> None:
        function = self.functions[name]
        if function is not None:
            function(run)

    def on_begin(self, run: Run) -> None:
        self._call("on_begin", run)

    def on_interval(self, run: Run) -> None:
        self._call("on_interval", run)

    def on_end(self, run: Run) -> None:
        self._call("on_end", run)


class ProgressLines(Callback):
    """A line about every tenth of the way, on standard error."""

    stateless = True

    def __init__(self, stream: TextIO | None = None, lines: int = 10) -> None:
        self.stream = stream
        self.lines = lines
        self._notes = 0  # that were written

    def on_begin(self, run: Run) -> None:
        self._notes = 0

    def on_interval(self, run: Run) -> None:
        for note in run.history.notes[self._notes :]:
            (self.stream or sys.stderr).write(f"note: {note}\n")
        self._notes = len(run.history.notes)
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


def check_kept(callbacks: tuple[Callback, ...]) -> None:
    """Raises UsageError for a callback that has not said what it keeps from call to call."""
    for callback in callbacks:
        if not keeps(callback) and not callback.stateless:
            raise UsageError(
                "a callback does not say what it keeps, so that a checkpoint would lose it",
                where=type(callback).__name__,
                expected="methods state() and restore(state), or stateless = True",
                received="neither",
                hint="LambdaCallback(..., stateless=True)"
                if isinstance(callback, LambdaCallback)
                else "stateless = True in the class, if it keeps nothing between two calls",
            )


def keeps(callback: Callback) -> bool:
    """Whether a callback has a state that is kept."""
    return type(callback).state is not Callback.state and not callback.stateless
