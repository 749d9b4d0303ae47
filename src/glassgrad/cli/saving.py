"""`glassgrad train --checkpoint-every`, `--resume`: a run's folder that is there from the beginning.

It holds `config.toml`, which says everything `--resume` needs, and `checkpoints/`; the files of a run
that ended come beside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glassgrad.cli.config import CONFIG_FILE, Place, settings_from
from glassgrad.cli.screen import name, note
from glassgrad.errors import ConfigError, TrainingStopped, UsageError, shown, told

if TYPE_CHECKING:
    from glassgrad.train.trainer import Record

CHECKPOINTS = "checkpoints"
INTERRUPTED, TERMINATED = 130, 143
_RUN = "glassgrad.resume"


class Interval(click.ParamType[Any]):
    """A number of steps, or seconds: 500, 30s."""

    name = "interval"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, int):
            return value
        text = str(value)
        if re.fullmatch(r"[1-9][0-9]{0,11}", text, re.ASCII):
            return int(text)
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?s", text, re.ASCII) and float(text[:-1]) > 0:
            return text
        raise ConfigError(
            "--checkpoint-every is out of range",
            expected="a number of steps from 1, such as 500, or a time, such as 30s",
            received=shown(value),
        )


def _go_on(context: click.Context, _: click.Parameter, run: Path | None) -> None:
    """The settings of a run that is to go on stand in the place of defaults."""
    if run is None:
        return
    if not run.is_dir():
        raise UsageError(
            "there is no such run",
            where=told(run),
            expected="the folder of a run that was begun with --checkpoint-every",
            received="no folder",
        )
    settings_from(run / CONFIG_FILE, context, "--resume")
    context.meta[_RUN] = run


CHECKPOINT_EVERY = click.option(
    "--checkpoint-every",
    type=Interval(),
    metavar="N|30s",
    help="Save the run every N steps, or so many seconds, so that it can be resumed.",
)
RESUME = click.option(
    "--resume",
    type=Place(),
    metavar="RUN",
    is_eager=True,
    expose_value=False,
    callback=_go_on,
    help="Go on with a run that was stopped; its folder has all settings.",
)


class Saving:
    """Where a run goes: into a folder when it ends, or into one that is there from the beginning."""

    features: tuple[str, ...] = ()  # of a table, as the network reads it

    def __init__(self, out: Path | None, every: int | str | None) -> None:
        context = click.get_current_context(silent=True)
        self.resumed: Path | None = None if context is None else context.meta.get(_RUN)
        self.out = out
        self.every = every
        if self.resumed is not None:
            if out is not None:
                raise ConfigError(
                    "--out and --resume are both given",
                    expected="one of them: a run that goes on stays in its folder",
                    received=shown(str(out), 200),
                )
            self.out = self.resumed
            self.every = every or "30s"

    def check(self) -> None:
        """Raises UsageError before anything is done where the folder cannot be used."""
        from glassgrad.inspect.run import check_free

        if self.out is not None and self.resumed is None:
            check_free(self.out)

    def begin(self, title: str, settings: Mapping[str, Any], record: Record) -> dict[str, Any]:
        """What `fit` is told of checkpoints; the run's folder with its settings is there then."""
        from glassgrad.files.atomic import write_atomically
        from glassgrad.files.toml import write_toml
        from glassgrad.inspect.run import made_free
        from glassgrad.train.callbacks import LambdaCallback

        if self.every is None:
            return {}
        if self.resumed is None:
            self.out = made_free(self.out, title)
        assert self.out is not None
        file, text = self.out / CONFIG_FILE, write_toml({"train": settings["train"]}).encode()
        if self.resumed is None:
            write_atomically(file, text)
        # Of a run that goes on only once it is known to be the same, perhaps with more epochs.
        write = LambdaCallback(on_begin=lambda run: write_atomically(file, text), stateless=True)
        return {
            "checkpoint": self.out / CHECKPOINTS,
            "checkpoint_every": self.every,
            "resume": "auto" if self.resumed is not None else False,
            "callbacks": (write,),
        }

    def end(self, history: Any, **about: Any) -> Path:
        """Write the files of a run that ended."""
        from glassgrad.inspect.run import write_run

        return write_run(history, self.out, begun=self.every is not None, **about)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """An end by a signal says what to type next, and becomes an exit code."""
        if self.every is None:
            yield
            return
        try:
            yield
        except (KeyboardInterrupt, TrainingStopped) as error:
            asked = isinstance(error, TrainingStopped)
            if self.out is None or not any(self.out.glob(f"{CHECKPOINTS}/step-*")):
                note(
                    "\nstopped: nothing was saved" if asked else "\ninterrupted: nothing was saved"
                )
            else:
                what = "stopped" if asked else "interrupted"
                note(f"\n{what}, and saved: glassgrad train --resume {name(self.out)} goes on")
            raise click.exceptions.Exit(TERMINATED if asked else INTERRUPTED) from None
