"""Callbacks that write each epoch to a file, readable while training goes on.

The file is open only while a line is written, so whatever ends the training leaves it complete. It
is never overwritten: one that is there is an error before the first step, or is continued with
`append=True` (Keras's CSVLogger overwrites it). Epochs are counted from 1. A run that goes on from a
checkpoint takes back the lines that were written after it, and writes them again.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glassgrad.errors import ConfigError, UsageError, shown, told

from .callbacks import Callback, Run


class _Log(Callback):
    """A file of lines: perhaps a heading, then one line for each epoch."""

    def __init__(self, path: str | Path, append: bool) -> None:
        self.path = Path(path)
        self.append = append
        self._heading = ""
        self.where = f"{type(self).__name__}, {told(path)}"

    def heading(self, names: Sequence[str]) -> str:
        """The first line of a new file, if there is one."""
        return ""

    def line(self, values: Mapping[str, float]) -> str:
        """An epoch's line."""
        raise NotImplementedError

    def on_begin(self, run: Run) -> None:
        heading = self.heading(["epoch", *run.history.columns, "learning_rate"])
        if run.resumed:  # `restore` follows, and knows how far the file went
            self._heading = heading
        else:
            self._begin(heading)

    def state(self) -> dict[str, Any]:
        try:
            return {"path": str(self.path.absolute()), "bytes": self.path.stat().st_size}
        except OSError as error:
            raise self._failure(error) from error

    def restore(self, state: Mapping[str, Any]) -> None:
        size = state["bytes"]
        if state["path"] != str(self.path.absolute()):
            self._begin(self._heading)
            return
        try:
            with self.path.open("r+b") as stream:
                there = stream.seek(0, 2)
                if there >= size:
                    stream.truncate(size)
        except (OSError, ValueError) as error:
            raise self._failure(error) from error
        if there < size:
            raise UsageError(
                "the log is shorter than when the checkpoint was written",
                where=self.where,
                expected=f"at least {size:,} bytes",
                received=f"{there:,} bytes",
                hint="another name begins another log",
            )
        if size:
            self._check_heading(self._heading)

    def _begin(self, heading: str) -> None:
        """A new file, or one that is continued."""
        try:
            size = self.path.stat().st_size if self.path.exists() else 0
            # Of a run that was killed before its first epoch only the heading is there.
            if size and not self.append and size != len(heading.encode()):
                raise UsageError(
                    "there is a file of this name",
                    where=self.where,
                    expected="a new file; nothing is overwritten",
                    received=f"{size:,} bytes",
                    hint="another name, or append=True to continue it",
                )
        except (OSError, ValueError) as error:
            if isinstance(error, UsageError):
                raise
            raise self._failure(error) from error
        if size:
            self._check_heading(heading)
        else:
            self._write(heading)

    def _check_heading(self, heading: str) -> None:
        """The file has our columns and ends with a whole line."""
        try:
            with self.path.open("rb") as stream:
                first = stream.read(len(heading.encode()))
                stream.seek(-1, 2)
                whole = stream.read(1) == b"\n"
        except (OSError, ValueError) as error:
            raise self._failure(error) from error
        if first != heading.encode():
            raise ConfigError(
                "the log has other columns",
                where=self.where,
                expected=shown(heading.strip(), 200),
                received=shown(first.decode("utf-8", "replace").split("\n")[0], 200),
                hint="another name",
            )
        if not whole:
            self._write("\n")  # what was killed in the middle of a line stays as it is

    def on_interval(self, run: Run) -> None:
        self._write(self.line({"epoch": run.epoch, **run.logs}))

    def _write(self, text: str) -> None:
        try:
            with self.path.open("a", encoding="utf-8", newline="") as stream:
                stream.write(text)
        except (OSError, ValueError) as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> UsageError:
        failure = UsageError(
            "a log cannot be written",
            where=self.where,
            expected="a folder that exists and may be written to, with room for the file",
            received=getattr(error, "strerror", None) or str(error),
        )
        failure.exit_code = 1  # the system's doing, not the caller's
        return failure


class CSVLogger(_Log):
    """Write a line of CSV after each epoch: epoch, the history's columns, learning_rate.

    Numbers in full, so that they read back as they were. `separator` is one character. Raises
    UsageError where the file is there (without `append`) or cannot be written, ConfigError where
    `append` finds other columns.

    Source: Keras, `keras.callbacks.CSVLogger` (which sorts the columns and counts epochs from 0).

    >>> import tempfile, glassgrad as gg
    >>> from glassgrad import nn, train
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = train.CSVLogger(f"{folder}/log.csv")
    ...     settings = dict(loss="mse", optimizer="sgd", epochs=2, verbose=False)
    ...     history = gg.fit(nn.Linear(1, init=0.0), [[1.0]], [[2.0]], callbacks=log, **settings)
    ...     print(log.path.read_text(), end="")
    epoch,loss,learning_rate
    1,4.0,0.1
    2,1.44...,0.1
    """

    def __init__(self, path: str | Path, separator: str = ",", append: bool = False) -> None:
        super().__init__(path, append)
        if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n\0':
            raise ConfigError(
                "a separator is one character",
                where=self.where,
                expected="such as , or ;",
                received=shown(separator),
            )
        self.separator = separator

    def heading(self, names: Sequence[str]) -> str:
        return self._row(names)

    def line(self, values: Mapping[str, float]) -> str:
        return self._row([repr(v) for v in values.values()])

    def _row(self, cells: Sequence[str]) -> str:
        out = io.StringIO()
        csv.writer(out, delimiter=self.separator, lineterminator="\n").writerow(cells)
        return out.getvalue()


class JSONLogger(_Log):
    """Write a JSON object after each epoch, a line each: epoch, the history's columns, learning_rate.

    Strict JSON: a number that is not finite, which JSON has no word for, is `null`. Raises UsageError
    where the file is there (without `append`) or cannot be written.

    Source: JSON Lines, https://jsonlines.org.

    >>> import json, tempfile, glassgrad as gg
    >>> from glassgrad import nn, train
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = train.JSONLogger(f"{folder}/log.jsonl")
    ...     settings = dict(loss="mse", optimizer="sgd", epochs=2, verbose=False)
    ...     history = gg.fit(nn.Linear(1, init=0.0), [[1.0]], [[2.0]], callbacks=log, **settings)
    ...     json.loads(log.path.read_text().splitlines()[0])
    {'epoch': 1, 'loss': 4.0, 'learning_rate': 0.1}
    """

    def __init__(self, path: str | Path, append: bool = False) -> None:
        super().__init__(path, append)

    def line(self, values: Mapping[str, float]) -> str:
        strict = {k: v if math.isfinite(v) else None for k, v in values.items()}
        return json.dumps(strict, allow_nan=False) + "\n"
