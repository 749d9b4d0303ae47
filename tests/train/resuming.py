"""Runs that are stopped and go on, for the tests of resume."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.backends import native
from glassgrad.files.checkpoint import Store
from glassgrad.train import Callback, History, Run, state

ENGINES = ("numpy", "native") if native.available() else ("numpy",)
X, Y = data.spiral(classes=3, points_per_class=20, seed=0)
EPOCHS, BATCH = 3, 7
STEPS = EPOCHS * -(-len(X) // BATCH)
Settings = dict[str, Any]


def net() -> nn.Module:
    return nn.Sequential(
        nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3)
    )


def everything() -> Settings:
    """Shuffle, dropout, batch norm, a schedule, Adam, averages and accumulation."""
    return {
        "loss": "cross_entropy",
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "seed": 3,
        "optimizer": optim.Adam(
            optim.Exponential(1e-2, 0.99), use_ema=True, gradient_accumulation_steps=4
        ),
    }


class Interrupt(Callback):
    """Sends a signal in the middle of a run."""

    stateless = True

    def __init__(self, step: int, number: int = signal.SIGINT) -> None:
        self.step, self.number = step, number
        self.every = step

    def on_interval(self, run: Run) -> None:
        if run.step == self.step:
            os.kill(os.getpid(), self.number)


class Case:
    """A run: how its model, rows and settings are made, the same each time."""

    def __init__(
        self,
        settings: Callable[[], Settings] = everything,
        model: Callable[[], nn.Module] = net,
        rows: Callable[[], tuple[Any, ...]] = lambda: (X, Y),
        callbacks: Callable[[], list[Callback]] = list,
    ) -> None:
        self.settings, self.model, self.rows, self.callbacks = settings, model, rows, callbacks

    def run(self, *others: Callback, **more: Any) -> tuple[nn.Module, History]:
        model = self.model()
        settings = {"verbose": False, **self.settings(), **more}
        history = gg.fit(model, *self.rows(), callbacks=[*self.callbacks(), *others], **settings)
        return model, history

    def stopped(self, folder: Path, step: int, **more: Any) -> None:
        """Begin, and stop after a step."""
        settings = {"checkpoint": folder, "checkpoint_every": 10_000, **more}
        with pytest.raises(KeyboardInterrupt):
            self.run(Interrupt(step), **settings)

    def resumed(self, folder: Path, **more: Any) -> tuple[nn.Module, History]:
        settings = {"checkpoint": folder, "checkpoint_every": 10_000, "resume": "must", **more}
        return self.run(**settings)


def last_state(folder: Path) -> dict[str, Any]:
    with Store(folder) as store:
        saved = store.newest()
    assert saved is not None
    return state.read(saved.members, "")


def same(a: Any, b: Any) -> bool:
    """Whether two states are equal bit for bit, seconds left out."""
    return not state.differing(a, b)


def same_numbers(a: tuple[nn.Module, History], b: tuple[nn.Module, History]) -> bool:
    return same(a[0].state_dict(), b[0].state_dict()) and same(a[1].columns, b[1].columns)
