"""Short names for data, to tell at a later time whether it is still the same."""

from __future__ import annotations

import hashlib
import os
import stat
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.errors import ConfigError, UsageError, shown, told

BLOCKS = 64
BLOCK = 65536
_ROWS_AT_ONCE = 2**24  # bytes of an array in another order that are copied at a time
_KINDS = "biufcSUmM"  # numbers, times and texts: what has bytes of its own


def of_array(array: NDArray[Any]) -> str:
    """An array's dtype and shape, and the SHA-256 of these and of its bytes.

    Equal arrays of one dtype have one fingerprint, whatever their order in memory and order of
    bytes. Raises UsageError for objects and records.

    >>> of_array(np.arange(3, dtype="uint8"))[:40]
    'uint8 (3,) 8b80dc0799bfbc3b2bb1e1d6f9b45'
    """
    array = np.asarray(array)
    if array.dtype.kind not in _KINDS:
        raise UsageError(
            "this array has no fingerprint",
            expected="numbers, truth values, times or texts",
            received=f"dtype {shown(str(array.dtype))}",
        )
    little = array.dtype.newbyteorder("<")
    name = f"{little.str if little.kind in 'SUmM' else little.name} {array.shape}"
    found = hashlib.sha256(name.encode())
    flat = array.reshape(1) if array.ndim == 0 else array
    for rows in _rows(flat):
        found.update(np.ascontiguousarray(rows, dtype=little).reshape(-1).view(np.uint8).data)
    return f"{name} {found.hexdigest()}"


def _rows(array: NDArray[Any]) -> list[NDArray[Any]]:
    """The array itself where its bytes stand in order, else pieces of it, to be copied in turn."""
    if array.nbytes == 0:
        return []
    if array.flags.c_contiguous and array.dtype.isnative:
        return [array]
    step = max(1, _ROWS_AT_ONCE * len(array) // array.nbytes)
    return [array[i : i + step] for i in range(0, len(array), step)]


def of_file(file: str | Path, *, full: bool = False) -> dict[str, Any]:
    """A file's size, time of change and SHA-256: of its head, its tail and 64 blocks between.

    With `full`, of all of it. Raises ConfigError where it cannot be read or is no regular file.
    """
    file = Path(file)
    where = told(file)
    expected = "a file that can be read"
    try:
        # Asked before opening: opening a pipe would wait for a writer, a device never ends.
        if not stat.S_ISREG(file.stat().st_mode):
            raise ConfigError(
                "no fingerprint of this file",
                where=where,
                expected=expected,
                received="no regular file",
            )
        with file.open("rb", buffering=0) as stream:
            about = os.fstat(stream.fileno())
            return {
                "size": about.st_size,
                "mtime_ns": about.st_mtime_ns,
                "full": full,
                "sha256": _whole(stream) if full else _sampled(stream, about.st_size),
            }
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            "no fingerprint of this file",
            where=where,
            expected=expected,
            received=getattr(error, "strerror", None) or str(error),
        ) from error


def _whole(stream: FileIO) -> str:
    return hashlib.file_digest(stream, "sha256").hexdigest()


def _sampled(stream: FileIO, size: int) -> str:
    """The hash of blocks at even distances, the first at the head and the last at the tail.

    A file that is no larger than these blocks together is hashed whole.
    """
    if size <= (BLOCKS + 2) * BLOCK:
        return _whole(stream)
    found = hashlib.sha256()
    for i in range(BLOCKS + 2):
        stream.seek((size - BLOCK) * i // (BLOCKS + 1))
        found.update(stream.read(BLOCK))
    return found.hexdigest()
