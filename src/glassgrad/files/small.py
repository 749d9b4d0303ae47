"""Files that are read whole: regular ones only, and none that is too large."""

from __future__ import annotations

import stat
from pathlib import Path

from glassgrad.errors import ConfigError, FormatError, told


def read_small(file: Path, most: int, what: str, expected: str) -> bytes:
    """The bytes of a file, `what` in messages.

    Raises ConfigError where it cannot be read or is not a regular file, FormatError where it has
    more than `most` bytes.
    """
    where = told(file)
    try:
        about = file.stat()
        # Asked before opening: opening a pipe would wait for a writer, a device never ends.
        if not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
            raise ConfigError(
                f"{what} cannot be read", where=where, expected=expected, received="no regular file"
            )
        if about.st_size > most and stat.S_ISREG(about.st_mode):
            raise FormatError(
                f"{what}: the file is too large",
                where=where,
                expected=f"at most {most:,} bytes",
                received=f"{about.st_size:,}",
            )
        return file.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError | FormatError):
            raise
        raise ConfigError(
            f"{what} cannot be read",
            where=where,
            expected=expected,
            received=getattr(error, "strerror", None) or str(error),
        ) from error
