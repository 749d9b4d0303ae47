"""The run folder: everything a run was, as files that need no glassgrad to be read.

`model.glass` is the network, `history.csv` every epoch, `curves.svg` a picture of them,
`config.toml` the settings that were in effect, `program.py` the run as one NumPy program, and
`initial.npz` and `data.npz` what that program starts from.
"""

from __future__ import annotations

import io
import os
import platform
import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from glassgrad import __version__
from glassgrad.errors import ConfigError, UsageError, told
from glassgrad.files.atomic import write_atomically
from glassgrad.files.disk import DISK
from glassgrad.files.history import read_history
from glassgrad.files.labels import Labels
from glassgrad.files.model import to_bytes
from glassgrad.files.small import read_small
from glassgrad.files.toml import read_toml, write_toml
from glassgrad.inspect.plots import curves
from glassgrad.inspect.source import network, whole_program
from glassgrad.train.history import History
from glassgrad.train.trainer import Record
from glassgrad.train.verify import FOR_A_FILE, keep_figure

MOST_DATA = 64 * 2**20  # bytes of data that a run folder copies


def write_run(
    history: History,
    folder: str | os.PathLike[str] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    labels: Any = None,
    data_files: Mapping[str, Any] | None = None,
    begun: bool = False,
) -> Path:
    """Write the folder of a run, whole or not at all; nothing there is ever overwritten.

    Parameters
    ----------
    history : History
        What `fit` gave.
    folder : path, optional
        A folder that is empty or not there yet; by default the next free one of
        `runs/<data set>-1`, `-2`, ...
    settings : mapping, optional
        Further lines of `config.toml`: texts, numbers, truth values, lists of them, and tables
        of these.
    labels : Labels, Dataset or mapping, optional
        What `gg.save` keeps beside the network.
    data_files : mapping, optional
        Where the rows can be read again (`folder`, `files`, `shape`), for a set of more than
        64 MB: it is not copied to `data.npz`, and `program.py` reads those files instead.
    begun : bool
        The folder is that of this run already, with its checkpoints: the files come beside them,
        each whole, in the place of those from a time when it had fewer epochs.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UsageError
        The folder is not empty, or cannot be written.
    """
    record: Record = history.record
    about = Labels.of(labels)
    keep_figure(history, FOR_A_FILE)
    files = _contents(history, record, dict(settings or {}), about, data_files)
    if folder is not None and begun:
        for name, data in files.items():
            write_atomically(Path(folder) / name, data)
        return Path(folder)
    if folder is not None:
        return _placed(check_free(folder), files)
    return _numbered(about.dataset, files)


def made_free(folder: str | os.PathLike[str] | None, title: str) -> Path:
    """A run's empty folder, made now; the next free one of `runs/TITLE-1`, ... by default.

    Raises UsageError where it cannot be used.
    """
    return _numbered(title, {}) if folder is None else _placed(check_free(folder), {})


def _numbered(title: str, files: Mapping[str, bytes]) -> Path:
    """The files in the next free folder of `runs`."""
    stem = re.sub(r"[^a-z0-9-]+", "-", title.lower()).strip("-") or "run"
    while True:
        try:
            return _placed(next_free(Path("runs"), stem), files)
        except _TakenError:  # another run was quicker
            continue


def next_free(base: Path, stem: str) -> Path:
    """The first of `stem-1`, `stem-2`, ... after the last one that is there."""
    taken = [0]
    if base.is_dir():
        pattern = re.compile(re.escape(stem) + r"-([0-9]{1,9})")
        taken += [int(m[1]) for p in base.iterdir() if (m := pattern.fullmatch(p.name))]
    return base / f"{stem}-{max(taken) + 1}"


def check_free(folder: str | os.PathLike[str]) -> Path:
    """The folder, if a run may be written there. Raises UsageError otherwise."""
    path = Path(folder)
    name = told(path)
    try:
        if "\0" in str(path):
            raise ValueError("a zero byte in the name")
        if path.is_dir() and not any(path.iterdir()):
            return path
        there = path.exists() or path.is_symlink()
        over = next(p for p in path.absolute().parents if p.exists())
        if not there and not (over.is_dir() and os.access(over, os.W_OK)):
            raise NotADirectoryError(20, f"{over} is no folder that may be written to")
    except (OSError, ValueError) as error:
        raise UsageError(
            "the run's folder cannot be used",
            where=name,
            expected="a folder that is empty or not there yet",
            received=getattr(error, "strerror", None) or str(error),
        ) from error
    if there:
        raise UsageError(
            "the run's folder is not empty" if path.is_dir() else "there is a file of this name",
            where=name,
            expected="a folder that is empty or not there yet; nothing is overwritten",
            received=f"{len(list(path.iterdir()))} files" if path.is_dir() else "a file",
            hint="give another folder, or none: then the next free number is taken",
        )
    return path


class _TakenError(UsageError):
    """Somebody else made the folder in the meantime."""


def _placed(folder: Path, files: Mapping[str, bytes]) -> Path:
    """The files written beside the folder's place, and moved there as one."""
    beside = folder.parent / f".{folder.name[:80]}.{os.getpid()}.{secrets.token_hex(4)}.part"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside.mkdir()
        try:
            for name, data in files.items():
                DISK.write(beside / name, [data])
            DISK.sync_folder(beside)
            if folder.is_dir():
                folder.rmdir()  # only an empty one goes
            try:
                if folder.exists():
                    raise FileExistsError
                beside.rename(folder)
            except FileExistsError:
                raise _TakenError("the run's folder was just taken", where=told(folder)) from None
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        DISK.sync_folder(folder.parent)
    except OSError as error:
        failure = UsageError(
            "the run's folder cannot be written",
            where=told(folder),
            expected="a place where folders may be made, with room for the run",
            received=error.strerror or str(error),
        )
        failure.exit_code = 1  # the system's doing, not the caller's
        raise failure from error
    return folder


def _contents(
    history: History,
    record: Record,
    settings: dict[str, Any],
    labels: Labels,
    data_files: Mapping[str, Any] | None,
) -> dict[str, bytes]:
    copied = sum(a.nbytes for a in record.stored.values()) <= MOST_DATA or data_files is None
    program = whole_program(record, None if copied else dict(data_files or {}))
    files = {
        "model.glass": to_bytes(record.task.model, labels=labels),
        "history.csv": history.to_csv().encode(),
        "config.toml": write_toml({**settings, **effective(history, record)}).encode(),
        "initial.npz": npz(record.initial),
        "program.py": program.encode(),
        "curves.svg": curves(history, _title(record, labels)).encode(),
    }
    if copied:
        files["data.npz"] = npz(record.stored)
    return files


def _title(record: Record, labels: Labels) -> str:
    name = labels.dataset or type(record.task.model).__name__
    return f"{name}: {record.epochs} epochs of {record.optimizer!r}, seed {record.seed}"


def effective(history: History, record: Record) -> dict[str, Any]:
    """What was in effect, whoever chose it."""
    optimizer = record.optimizer
    return {
        "training": {
            "network": network(record.task),
            "loss": record.task.loss_label,
            "metrics": [name for name, _ in record.plan.metrics],
            "epochs": record.epochs,
            "epochs_done": history.epochs,
            "batch_size": min(record.batch_size or 2**62, record.rows),
            "shuffle": record.shuffle,
            "seed": record.seed,
            "dtype": record.plan.dtype,
        },
        "optimizer": {
            "name": optimizer.title,
            "lr": optimizer.lr,
            **{k: list(v) if isinstance(v, tuple) else v for k, v in optimizer.settings().items()},
        },
        "engine": {
            "backend": record.backend,
            "glassgrad": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
        },
    }


def npz(arrays: Mapping[str, Any]) -> bytes:
    """Arrays by name as the bytes of an uncompressed `.npz`; arrays of objects are refused."""
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise ConfigError("an array of objects cannot be stored", where=name)
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **arrays)
    return out.getvalue()


# ---------------------------------------------------------------------------------------- reading


def read_run(
    folder: str | os.PathLike[str],
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """The settings and the history of a run's folder, both read strictly.

    The history's columns are by name, `epoch` and `seconds` left out. Raises FormatError, with file
    and line, for what `write_run` would not write, ConfigError where a file cannot be read.
    """
    path = Path(folder)
    where = told(path)
    try:
        there = path.is_dir()
    except (OSError, ValueError):  # a name that is too long, or has a zero byte
        there = False
    if not there:
        raise UsageError(
            "there is no such run",
            where=where,
            expected="the folder of a run, with config.toml and history.csv",
            received="no folder",
        )
    config = read_toml(path / "config.toml")
    file = path / "history.csv"
    data = read_small(file, MOST_DATA, "the history", "the history.csv of a run")
    return config, read_history(data, told(file))
