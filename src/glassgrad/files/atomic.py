"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from glassgrad.errors import UsageError


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file by these bytes: written beside it, synchronised, renamed into place.

    Whatever happens on the way, `path` holds either what it held before or all of `data`.
    Raises UsageError, naming the file, where the system refuses.
    """
    beside = path.with_name(f".{path.name[:80]}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        try:
            with beside.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        synchronise_folder(path.parent)
    except (OSError, ValueError) as error:
        failure = UsageError(
            "a file cannot be written",
            where=str(path),
            expected="a folder that exists and may be written to, with room for the file",
            received=getattr(error, "strerror", None) or str(error),
        )
        failure.exit_code = 1  # the system's doing, not the caller's
        raise failure from error


def synchronise_folder(folder: Path) -> None:
    """Make a rename last through a loss of power, where the system has a way to ask for that."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
