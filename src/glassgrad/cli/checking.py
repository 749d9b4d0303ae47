"""`glassgrad check-resume`: on one's own configuration, a run that is stopped goes on with the same bits."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from glassgrad.cli.saving import CHECKPOINTS, Saving
from glassgrad.cli.screen import columns, say
from glassgrad.cli.train import fitted
from glassgrad.files.checkpoint import Store
from glassgrad.train.callbacks import Callback, Run
from glassgrad.train.state import differing, read
from glassgrad.train.trainer import Record

_SECONDS = 5.0  # of the run that is not stopped
_BEYOND = 3  # steps of the second epoch
_FEW = 12


class _End(Callback):
    """Ends a run after so many steps, or when its time is up."""

    every = 1
    stateless = True

    def __init__(self, step: int, seconds: float = float("inf")) -> None:
        self.step, self.seconds = step, seconds

    def on_interval(self, run: Run) -> None:
        run.stop = run.step >= self.step or time.perf_counter() - run.began > self.seconds


class _StoppedError(Exception):
    """In the middle of a run, as if somebody had pulled the plug."""


class _Stop(Callback):
    stateless = True

    def __init__(self, step: int) -> None:
        self.every = step

    def on_interval(self, run: Run) -> None:
        raise _StoppedError


class Checking(Saving):
    """In the place of a run's folder: the run is not kept but checked, and the command ends."""

    def __init__(self) -> None:
        super().__init__(None, None)

    def begin(self, title: str, settings: Mapping[str, Any], record: Record) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            code = checked(record, Path(folder))
        raise click.exceptions.Exit(code)


def checked(record: Record, folder: Path) -> int:
    """Run a few steps; then stop after some of them, go on, and compare. 1 if anything differs."""
    model = record.task.model
    start = {name: array.copy() for name, array in model.state_dict().items()}
    per_epoch = record.steps_per_epoch

    def run(part: str, *callbacks: Callback, **more: Any) -> None:
        keeping = {"checkpoint": folder / part / CHECKPOINTS, "keep": 1, **more}
        fitted(record, callbacks=callbacks, checkpoint_failure="raise", **keeping)

    def begun(part: str, *callbacks: Callback, **more: Any) -> None:
        model.load_state_dict(start)
        run(part, *callbacks, **more)

    most = min(max(per_epoch + _BEYOND, _FEW), per_epoch * record.epochs)
    begun("whole", _End(most, _SECONDS), checkpoint_every=10**9)
    wanted = _last(folder / "whole")
    steps = int(wanted["step"])
    places = {1, per_epoch - 1, per_epoch, per_epoch + 1, steps // 2, steps - 1}
    lines = [("stopped after", "what the run was in the end")]
    wrong = False
    for step in sorted(p for p in places if 1 <= p < steps):
        part = f"stopped-{step}"
        try:
            begun(part, _Stop(step + 1), _End(steps), checkpoint_every=step)
        except _StoppedError:
            run(part, _End(steps), checkpoint_every=10**9, resume="must")
        apart = differing(wanted, _last(folder / part))
        wrong = wrong or bool(apart)
        lines.append((f"step {step:,}", _told(apart)))
    say()
    for line in columns(lines):
        say(line)
    say()
    if len(lines) == 1:
        say(f"A run of {steps} steps cannot be stopped in between.")
    elif wrong:
        say(click.style("Stopping changes this run.", fg="red", bold=True))
    else:
        counted = f"{record.plan.size:,} parameters, moments, statistics and losses"
        say(f"{steps:,} steps in one go and in two: {counted} have the same bits.")
    return 1 if wrong else 0


def _last(folder: Path) -> dict[str, Any]:
    with Store(folder / CHECKPOINTS) as store:
        saved = store.newest()
    assert saved is not None
    return read(saved.members, str(saved.path))


def _told(apart: list[str]) -> str:
    if not apart:
        return click.style("the same bits", fg="green")
    more = f" and {len(apart) - 3} more" if len(apart) > 3 else ""
    return f"differs in {', '.join(apart[:3])}{more}"
