"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from glassgrad.errors import UsageError, told

from .disk import DISK, Disk


def write_atomically(path: Path, data: bytes, *, disk: Disk = DISK) -> None:
    """Replace a file by these bytes: written beside it, synchronised, renamed into place.

    Whatever happens on the way, `path` holds either what it held before or all of `data`.
    Raises UsageError, naming the file, where the system refuses.
    """
    beside = path.with_name(f".{os.getpid()}-{secrets.token_hex(8)}.part")
    try:
        try:
            disk.write(beside, [data])
            disk.rename(beside, path)
        except BaseException:
            with suppress(OSError, ValueError):
                disk.remove(beside)
            raise
        disk.sync_folder(path.parent)
    except (OSError, ValueError) as error:
        failure = UsageError(
            "a file cannot be written",
            where=told(path),
            expected="a folder that exists and may be written to, with room for the file",
            received=getattr(error, "strerror", None) or str(error),
        )
        failure.exit_code = 1  # the system's doing, not the caller's
        raise failure from error
