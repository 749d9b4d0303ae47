"""Callbacks that decide by a metric: stop, keep the best, change the learning rate.

Names and definitions are Keras's. Three things are stricter: a monitored name that does not exist and
an unknown `mode` are errors before the first step, and a value that is not finite never counts as an
improvement. Epochs are counted from 1, as the history counts them.
"""

from __future__ import annotations

import inspect
import math
import string
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from glassgrad.errors import (
    ConfigError,
    did_you_mean,
    real_number,
    shown,
    unknown_name,
    whole_number,
)
from glassgrad.files.atomic import write_atomically

from .callbacks import Callback, Run
from .trainer import State

MODES = ("auto", "min", "max")


def _number(name: str, value: Any, low: float = -math.inf, below: float = math.inf) -> float:
    number = real_number(value)
    if number is None or number < low or number >= below:
        span = f" from {low:g}" * (low > -math.inf) + f" to below {below:g}" * (below < math.inf)
        raise ConfigError(
            f"{name} is out of range", expected=f"a number{span}", received=shown(value)
        )
    return number


def _count(name: str, value: Any, low: int = 0) -> int:
    number = whole_number(value)
    if number is None or number < low:
        raise ConfigError(
            f"{name} is out of range", expected=f"a whole number from {low}", received=shown(value)
        )
    return number


class Monitor(Callback):
    """Base of those that watch one column of the history.

    A value v improves on the best so far, b, where v + min_delta < b (mode "min") or
    v - min_delta > b ("max"); the first value always does. Mode "auto" takes the direction from the
    metric: losses and errors down, accuracy up. Raises ConfigError before the first step where the
    history will have no such column, or where nobody knows its direction.
    """

    def __init__(self, monitor: str = "val_loss", mode: str = "auto", min_delta: float = 0) -> None:
        if mode not in MODES:
            raise unknown_name("mode", mode, MODES)
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(_number("min_delta", min_delta))
        self.best: float | None = None
        self._up = mode == "max"

    def on_begin(self, run: Run) -> None:
        who = type(self).__name__
        names = tuple(run.history.columns)
        if self.monitor not in names:
            hint = did_you_mean(self.monitor, names)
            if str(self.monitor).startswith("val_") and not any(n[:4] == "val_" for n in names):
                hint = f"validation_split=0.2, or monitor={names[0]!r}"
            raise ConfigError(
                "there is no such column to monitor",
                where=who,
                expected="one of " + ", ".join(names),
                received=shown(self.monitor),
                hint=hint,
            )
        direction = {"min": "down", "max": "up"}.get(self.mode) or run.direction(self.monitor)
        if not direction:
            raise ConfigError(
                "it is not known whether more is better",
                where=f"{who}, {self.monitor}",
                expected='mode="min" or mode="max" for a metric of your own',
                received=f"mode={self.mode!r}",
            )
        self._up = direction == "up"
        self.best = None

    def state(self) -> dict[str, Any]:
        return {"best": self.best}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.best = state["best"]

    def improves(self, value: float, best: float | None) -> bool:
        """Whether a value is better than the best so far by more than `min_delta`."""
        if not math.isfinite(value):
            return False
        if best is None:
            return True
        return value - self.min_delta > best if self._up else value + self.min_delta < best


class EarlyStopping(Monitor):
    """Stop when a metric has not improved for `patience` epochs.

    With v_e the monitored value after epoch e and b the best so far, epoch e improves where
    v_e + min_delta < b (or v_e - min_delta > b where more is better). Training stops after the first
    epoch e > 1 with wait(e) >= patience, where wait counts the epochs since the last improvement;
    with a `baseline` only improvements that beat it, too, set the count back to 0.

    `start_from_epoch` epochs go by before anything is counted. `restore_best_weights` gives the
    model the parameters and buffers of the best epoch in the end, however it ended, unless an error
    or interrupt ends it; otherwise it keeps the last. Afterwards `best`, `best_epoch` and
    `stopped_epoch` (0: not stopped) tell what happened. Raises ConfigError for settings out of range.

    Source: Keras, `keras.callbacks.EarlyStopping`.

    >>> import glassgrad as gg
    >>> from glassgrad import data, nn, train
    >>> x, y = data.spiral(seed=0)
    >>> stopping = train.EarlyStopping("loss", patience=3, min_delta=0.01)
    >>> history = gg.fit(
    ...     nn.Linear(3),
    ...     x,
    ...     y,
    ...     loss="cross_entropy",
    ...     optimizer="adam",
    ...     epochs=500,
    ...     verbose=False,
    ...     callbacks=stopping,
    ... )
    >>> history.epochs == stopping.stopped_epoch < 500
    True
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = _count("patience", patience)
        self.baseline = None if baseline is None else _number("baseline", baseline)
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = _count("start_from_epoch", start_from_epoch)
        self.wait = self.best_epoch = self.stopped_epoch = 0
        self._state: dict[str, Any] | None = None

    def on_begin(self, run: Run) -> None:
        super().on_begin(run)
        self.wait = self.best_epoch = self.stopped_epoch = 0
        self._state = None

    def state(self) -> dict[str, Any]:
        kept = self._state
        return {
            **super().state(),
            "wait": self.wait,
            "best_epoch": self.best_epoch,
            "stopped_epoch": self.stopped_epoch,
            "weights": None if kept is None else dict(kept),
            "weights_epoch": getattr(kept, "epoch", None),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self.wait, self.best_epoch = state["wait"], state["best_epoch"]
        self.stopped_epoch = state["stopped_epoch"]
        self._state = None
        if state["weights"] is not None:
            self._state = found = State(state["weights"])
            found.epoch = state["weights_epoch"]

    def on_interval(self, run: Run) -> None:
        if run.epoch <= self.start_from_epoch:
            return
        value = run.history.last[self.monitor]
        self.wait += 1
        improved = self.improves(value, self.best)
        if improved or self.best_epoch == 0:
            self.best_epoch = run.epoch
            if self.restore_best_weights:
                self._state = run.state()
        if improved:
            self.best = value
            if self.baseline is None or self.improves(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and run.epoch > 1:
            self.stopped_epoch = run.epoch
            run.stop = True

    def on_end(self, run: Run) -> None:
        if self._state is not None and self.best_epoch < run.epoch:
            run.restore(self._state)
        self._state = None


class ReduceLROnPlateau(Monitor):
    """Multiply the learning rate by `factor` when a metric has not improved for `patience` epochs.

    rate <- max(factor * rate, min_lr), above 0, as soon as `patience` epochs in a row did not improve (as in
    `EarlyStopping`, by more than `min_delta`). After a reduction `cooldown` epochs are not counted.
    Raises ConfigError for settings out of range, and where the optimiser has a schedule already.

    Source: Keras, `keras.callbacks.ReduceLROnPlateau`.

    >>> import glassgrad as gg
    >>> from glassgrad import nn, train
    >>> rates = []
    >>> x, y = [[1.0], [2.0]], [[1.0], [5.0]]
    >>> history = gg.fit(
    ...     nn.Linear(1),
    ...     x,
    ...     y,
    ...     loss="mse",
    ...     optimizer="sgd",
    ...     epochs=80,
    ...     verbose=False,
    ...     callbacks=[
    ...         train.ReduceLROnPlateau("loss", factor=0.5, patience=5, min_delta=0.05),
    ...         train.LambdaCallback(on_end=lambda run: rates.append(run.rate)),
    ...     ],
    ... )
    >>> rates[0] < 0.1
    True
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = _number("factor", factor, 0.0, 1.0)
        self.patience = _count("patience", patience)
        self.cooldown = _count("cooldown", cooldown)
        self.min_lr = _number("min_lr", min_lr, 0.0)
        self.wait = 0
        self._cooling = 0

    def on_begin(self, run: Run) -> None:
        super().on_begin(run)
        run.rate = run.rate  # raises where the optimiser has a schedule of its own
        self.wait = self._cooling = 0

    def state(self) -> dict[str, Any]:
        return {**super().state(), "wait": self.wait, "cooling": self._cooling}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self.wait, self._cooling = state["wait"], state["cooling"]

    def on_interval(self, run: Run) -> None:
        value = run.history.last[self.monitor]
        if self._cooling:
            self._cooling -= 1
            self.wait = 0
        if self.improves(value, self.best):
            self.best = value
            self.wait = 0
        elif not self._cooling:
            self.wait += 1
            rate = max(self.factor * run.rate, self.min_lr)
            if self.wait >= self.patience and 0 < rate < run.rate:
                run.rate = rate
                self._cooling, self.wait = self.cooldown, 0


class LearningRateScheduler(Callback):
    """Set the learning rate before each epoch: rate <- schedule(epoch, rate), epochs from 0.

    `schedule` takes the epoch, counted from 0 as in Keras, and the rate so far, or the epoch alone;
    it gives a number above 0. Raises ConfigError for anything else, and where the optimiser has a
    schedule (`optim.Step`, ...) already, which is the better way for a rate that is a formula.

    Source: Keras, `keras.callbacks.LearningRateScheduler`.

    >>> import glassgrad as gg
    >>> from glassgrad import nn, train
    >>> halved = train.LearningRateScheduler(lambda epoch, rate: rate if epoch < 2 else rate / 2)
    >>> say = train.LambdaCallback(on_interval=lambda run: print(run.logs["learning_rate"]))
    >>> settings = dict(loss="mse", optimizer="sgd", epochs=4, verbose=False)
    >>> history = gg.fit(nn.Linear(1), [[1.0]], [[2.0]], callbacks=[halved, say], **settings)
    0.1
    0.1
    0.05
    0.025
    """

    def __init__(self, schedule: Callable[..., Any]) -> None:
        self.schedule = schedule
        self._takes = _accepted(schedule)
        self._missed = False  # whether the last epoch ended the run, and no rate was set after it
        self._resumed: Run | None = None

    def on_begin(self, run: Run) -> None:
        self._missed = False
        self._resumed = run if run.resumed else None
        if run.epochs and not run.resumed:
            self._set(run)

    def on_interval(self, run: Run) -> None:
        self._missed = run.epoch >= run.epochs
        if not self._missed and not run.stop:
            self._set(run)

    def state(self) -> dict[str, Any]:
        return {"missed": self._missed}

    def restore(self, state: Mapping[str, Any]) -> None:
        run, self._resumed = self._resumed, None
        if run is not None and state["missed"] and run.epoch < run.epochs:  # longer than before
            self._set(run)

    def _set(self, run: Run) -> None:
        rate = self.schedule(*(run.epoch, run.rate)[: self._takes])
        if hasattr(rate, "item") and getattr(rate, "ndim", 1) == 0:  # a NumPy number
            rate = rate.item()
        try:
            run.rate = rate
        except ConfigError as error:
            error.where = f"LearningRateScheduler, epoch {run.epoch}"
            raise


def _accepted(schedule: Any) -> int:
    """Whether a schedule takes two arguments or one."""
    try:
        signature = inspect.signature(schedule)
        for count in (2, 1):
            try:
                signature.bind(*(0, 0.1)[:count])
            except TypeError:
                continue
            return count
    except ValueError:
        return 2  # a builtin that does not say
    except TypeError:
        pass  # not callable
    raise ConfigError(
        "this is not a schedule",
        where="LearningRateScheduler",
        expected="a function of (epoch, rate), or of the epoch",
        received=shown(schedule),
    )


class ModelCheckpoint(Monitor):
    """Save the model as a `.glass` file after every epoch, or only when it is the best so far.

    `path` ends in `.glass` and may have places to fill: `{epoch}`, `{step}` and any column of the
    history, such as `"best-{epoch:03d}-{val_loss:.2f}.glass"`. Each file is written whole or not at
    all; one of that name is replaced, its folder is made. `save_best_only` keeps only what improves
    on the best so far, at first on `initial_value_threshold` where there is one. `save_freq` is
    "epoch" or a number of steps, not together with `save_best_only`. `labels` is what `gg.save`
    keeps beside the network. `saved` is the file written last. Raises ConfigError before the first
    step for a path that cannot be filled, UsageError where it cannot be written.

    Source: Keras, `keras.callbacks.ModelCheckpoint` (whose files are `.keras`).

    >>> import tempfile, glassgrad as gg
    >>> from glassgrad import nn, train
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     best = train.ModelCheckpoint(f"{folder}/best.glass", "loss", save_best_only=True)
    ...     settings = dict(loss="mse", optimizer="sgd", epochs=3, verbose=False)
    ...     history = gg.fit(nn.Linear(1), [[1.0]], [[2.0]], callbacks=best, **settings)
    ...     gg.load(best.saved), best.best == min(history["loss"])
    (Linear(1, 1), True)
    """

    def __init__(
        self,
        path: str | Path,
        monitor: str = "val_loss",
        save_best_only: bool = False,
        mode: str = "auto",
        save_freq: int | Literal["epoch"] = "epoch",
        initial_value_threshold: float | None = None,
        labels: Any = None,
    ) -> None:
        super().__init__(monitor, mode)
        self.path = str(path)
        self.save_best_only = save_best_only
        self.labels = labels
        self.saved: Path | None = None
        if save_freq != "epoch":
            self.every = _count("save_freq", save_freq, 1)
            if save_best_only:
                raise ConfigError(
                    "the best is known only after an epoch",
                    where="ModelCheckpoint",
                    expected='save_freq="epoch" with save_best_only=True',
                    received=f"save_freq={save_freq}",
                )
        threshold = initial_value_threshold
        self.threshold = (
            None if threshold is None else _number("initial_value_threshold", threshold)
        )
        if Path(self.path).suffix != ".glass" or "\0" in self.path:
            raise ConfigError(
                "a model file ends in .glass",
                where="ModelCheckpoint",
                expected="a path such as best.glass or epoch-{epoch:03d}.glass",
                received=shown(self.path),
            )

    def on_begin(self, run: Run) -> None:
        if self.save_best_only:
            super().on_begin(run)
        self.best = self.threshold
        self._named(1, 1, dict.fromkeys(run.history.columns, 0.5))

    def state(self) -> dict[str, Any]:
        saved = None if self.saved is None else str(self.saved)
        return {**super().state(), "saved": saved}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self.saved = None if state["saved"] is None else Path(state["saved"])

    def on_interval(self, run: Run) -> None:
        from glassgrad.files.model import to_bytes

        values = run.history.last
        if self.save_best_only:
            value = values[self.monitor]
            if not self.improves(value, self.best):
                return
            self.best = value
        file = self._named(run.epoch, run.step, values)
        data = to_bytes(run.model, labels=self.labels)
        with suppress(OSError):  # `write_atomically` says so, with the file's name
            file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, data)
        self.saved = file

    def _named(self, epoch: int, step: int, values: Mapping[str, float]) -> Path:
        """The path with its places filled: names only, so that a path reads no attributes."""
        known: dict[str, float] = {**values, "epoch": epoch, "step": step}
        out = []
        try:
            for text, name, spec, conversion in string.Formatter().parse(self.path):
                out.append(text)
                if name is None:
                    continue
                if name not in known or conversion or "{" in (spec or ""):
                    raise KeyError(name)
                out.append(format(known[name], spec or ""))
        except (KeyError, ValueError) as error:
            reason = error.args[0] if isinstance(error, ValueError) else f"{{{error.args[0]}}}"
            raise ConfigError(
                "the path has a place that cannot be filled",
                where=f"ModelCheckpoint, {shown(self.path, 200)}",
                expected="places such as {epoch:03d}, of " + ", ".join(known),
                received=shown(reason),
            ) from None
        return Path("".join(out))
