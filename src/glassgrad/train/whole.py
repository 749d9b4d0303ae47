"""The loop in native code: as many steps at a call as callbacks, epochs and signals allow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from . import batches, trouble
from .callbacks import Callback

if TYPE_CHECKING:
    from .between import Between
    from .signals import Noted
    from .trainer import Trainer

AnyArray = NDArray[Any]
ENABLED = True  # the off switch: a call for each step; off must equal on, bit for bit
_BUDGET = 0.04  # seconds in native code between two looks at signals
_MOST_STEPS = 16_384  # at a call: what they gave must be kept
_MOST_ROWS = 1 << 20  # of orders at a call


class Loop(Protocol):
    """What the engine gives for a step that can run so."""

    columns: int

    def advance(
        self,
        orders: AnyArray | None,
        first: int,
        rates: AnyArray,
        step: int,
        out: AnyArray,
        budget: float,
    ) -> tuple[int, bool]:
        """Steps done, and whether all were finite; see `NativeLoop`."""


class Whole:
    """A run of whole epochs: batches are cut, and steps done, in native code."""

    def __init__(
        self, trainer: Trainer, loop: Loop, noted: Noted, between: Between | None = None
    ) -> None:
        record = trainer.record
        self.trainer = trainer
        self.loop = loop
        self.noted = noted
        self.between = between
        self.rows = record.rows
        self.batch = record.batch_rows
        self.per_epoch = record.steps_per_epoch
        self.shuffle = record.shuffle and self.batch < self.rows
        last = self.rows - (self.per_epoch - 1) * self.batch
        self.sizes = np.array([self.batch] * (self.per_epoch - 1) + [last], np.float64)
        self._orders: AnyArray | None = None
        self._first_epoch = 0  # of the orders
        self._began = 0.0

    def run(self, callbacks: tuple[Callback, ...]) -> None:
        """All epochs, or until a callback stops them; callbacks at their own intervals."""
        trainer, run, between = self.trainer, self.trainer.seen, self.between
        by_step = [(int(c.every), c) for c in callbacks if c.every != "epoch"]
        by_epoch = tuple([c for c in callbacks if c.every == "epoch"])
        alone = not by_epoch and trainer.record.evaluation is None
        total = trainer.record.epochs * self.per_epoch
        self._began = time.perf_counter()
        while run.step < total and not run.stop:
            until = total if alone else (run.step // self.per_epoch + 1) * self.per_epoch
            until = min([until, *[(run.step // n + 1) * n for n, _ in by_step]])
            if between is not None:
                until = min(until, between.until(run.step))
            self._advance(min(until, run.step + _MOST_STEPS), by_epoch)
            run.epoch = max(1, -(-run.step // self.per_epoch))
            for n, callback in by_step:
                if run.step % n == 0:
                    callback.on_interval(run)
            if self.noted or (between is not None and between.due(run.step)):
                trainer.pause(between, self.noted)
        if trainer.given:
            self._end_epochs(by_epoch)

    def steps(self, count: int) -> int:
        """So many steps and nothing else: no epochs, no history; for measurements."""
        self.trainer.seen.step = 0
        if self.trainer.watch is not None:
            self.trainer.watch.stale = True
        total = min(count, self.trainer.record.epochs * self.per_epoch, _MOST_STEPS)
        while self.trainer.seen.step < total:
            self._advance(total, ())
        self.trainer.given = []
        return total

    def _advance(self, until: int, by_epoch: tuple[Callback, ...]) -> None:
        """Steps up to number `until`, or fewer where the time is up."""
        trainer, run = self.trainer, self.trainer.seen
        begin = run.step
        orders, first = self._orders_from(begin)
        if orders is not None:
            until = min(until, begin - first + len(orders) * self.per_epoch)
        rates = self._rates(until - begin)
        out = np.empty((until - begin, self.loop.columns))
        number = begin + 1
        if trainer.watch is not None:
            trainer.watch.begin()
        done, finite = self.loop.advance(orders, first, rates, number, out, _BUDGET)
        if done:
            run.step += done
            trainer.updated(done, float(rates[done - 1]))
            run.loss = float(out[done - 1, 0])
            if run.step >= trainer.once.next:
                trainer.once.look(run.step, float(out[0, 0]))
            trainer.given.append(out[:done])
            if sum(map(len, trainer.given)) >= self.per_epoch:
                self._end_epochs(by_epoch)
        if not finite:
            trainer.look()  # if the state was not finite before, that is what there is to say
            trainer.went_back(float(rates[done]))
            raise trouble.not_finite(trainer, self._arguments())

    def _orders_from(self, step: int) -> tuple[AnyArray | None, int]:
        """The orders of some epochs, and where among their batches this step is."""
        epoch, place = divmod(step, self.per_epoch)
        if not self.shuffle:
            return None, place
        held = self._orders
        if held is None or epoch >= self._first_epoch + len(held):
            left = self.trainer.record.epochs - epoch
            some = max(1, min(left, _MOST_STEPS // self.per_epoch, _MOST_ROWS // self.rows))
            seed = self.trainer.record.seed
            each = [batches.order_of_rows(self.rows, seed, epoch + i + 1) for i in range(some)]
            held = self._orders = np.array(each, np.int64)
            self._first_epoch = epoch
        return held, (epoch - self._first_epoch) * self.per_epoch + place

    def _rates(self, steps: int) -> AnyArray:
        """The rate of each of the next steps."""
        trainer = self.trainer
        optimizer, done = trainer.record.optimizer, self.trainer.seen.step
        if optimizer.schedule is None:
            return np.full(steps, trainer.rate)
        at: Callable[[int, int], float] = optimizer.rate_at
        found = [at(trainer.updates + i, (done + i) // self.per_epoch) for i in range(steps)]
        return np.array(found, np.float64)

    def _end_epochs(self, by_epoch: tuple[Callback, ...]) -> None:
        """Write down the epochs that are over, or the one in which a callback stopped."""
        trainer, run = self.trainer, self.trainer.seen
        gave = trainer.given[0] if len(trainer.given) == 1 else np.concatenate(trainer.given)
        epochs = len(gave) // self.per_epoch
        if epochs == 0:  # stopped within
            if not run.stop:
                return
            epochs, rows = 1, self.sizes[: len(gave)]
        else:
            rows = self.sizes
        used = gave[: epochs * len(rows)].reshape(epochs, len(rows), -1)
        weights = np.ones_like(used)
        weights[:, :, 0] = rows
        sums = (used * weights).cumsum(axis=1)[:, -1]  # one after the other, as a loop adds them
        left = gave[epochs * len(rows) :]
        trainer.given = [left] if len(left) else []
        now = time.perf_counter()
        each = (now - self._began) / epochs
        self._began = now
        seen = int(rows.sum())
        done = run.step - len(left)
        trainer.end_epochs(sums, seen, [each] * epochs, done)
        run.epoch = len(trainer.history.seconds)
        for callback in by_epoch:
            callback.on_interval(run)

    def _arguments(self) -> list[Any]:
        """The arguments of the next step, if it were called by itself."""
        trainer = self.trainer
        names, step = list(trainer.plan.graph.inputs), trainer.seen.step
        arguments = trainer.arguments(names)
        batch = trouble.cut(trainer, step)
        arguments[: len(batch)] = batch
        if "step" in names:
            arguments[names.index("step")] = step + 1
        return arguments
