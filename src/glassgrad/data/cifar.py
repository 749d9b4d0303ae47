"""CIFAR-10 in its binary version, plain or gzip, read strictly.

A file is records of 3,073 bytes and nothing else: a label from 0 to 9, then 32 x 32 pixels of red,
of green and of blue, rows from the top.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glassgrad.data.packed import Gzip, Plain, looks_packed_tight, opened
from glassgrad.errors import DataError, FormatError, told

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read_cifar10"]

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
TRAINING = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST = "test_batch.bin"
_RECORD = 1 + 3 * 32 * 32


def read_cifar10(
    path: str | os.PathLike[str], *, limit: int = 100_000
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images and labels of one batch of CIFAR-10, binary version, plain or gzip.

    Parameters
    ----------
    path : str or path
        A regular file.
    limit : int
        The most records to accept.

    Returns
    -------
    images, labels : array
        uint8 (n, 3, 32, 32), channels first, and int64 (n,).

    Raises
    ------
    DataError
        There is no such file, it cannot be read, or a label is not 0 to 9.
    FormatError
        Its bytes are not whole records, there are none or more than `limit`, or the compressed
        stream is damaged.

    Source: https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version".

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "tiny.bin")
    ...     _ = file.write_bytes(bytes([7]) + bytes(range(256)) * 12)
    ...     images, labels = read_cifar10(file)
    >>> images.shape, labels.tolist(), images[0, 2, 31, 31]
    ((1, 3, 32, 32), [7], np.uint8(255))
    """
    with opened(path, "a batch of CIFAR-10") as (source, size):
        wanted = min(limit * _RECORD, source.most_from(size))
        if isinstance(source, Plain) and size > limit * _RECORD:
            raise _too_many(path, limit, f"{size} bytes")
        if isinstance(source, Gzip) and looks_packed_tight(wanted, size):
            wanted = _looked_through(source, path, limit)
        body = source.take(wanted)
        if source.take(1):
            raise _too_many(path, limit, "more")
        source.close()
    _check_length(path, len(body))
    records = np.frombuffer(body, np.uint8).reshape(-1, _RECORD)
    labels = _checked(path, records[:, 0])
    return records[:, 1:].reshape(-1, 3, 32, 32).copy(), labels


def _looked_through(source: Gzip, path: str | os.PathLike[str], limit: int) -> int:
    """The bytes that come out, once it is known that they are records; only labels are kept."""
    labels, count = bytearray(), 0
    for piece in source.pieces():
        labels += piece[-count % _RECORD :: _RECORD]
        count += len(piece)
        if count > limit * _RECORD:
            raise _too_many(path, limit, "more")
    _check_length(path, count)
    _checked(path, np.frombuffer(labels, np.uint8))
    source.restart()
    return count


def _check_length(path: str | os.PathLike[str], length: int) -> None:
    count, rest = divmod(length, _RECORD)
    if rest or not count:
        raise FormatError(
            "not a batch of CIFAR-10 in its binary version",
            where=told(Path(path)),
            expected=f"one or more records of {_RECORD:,} bytes",
            received=f"{length:,} bytes: {count:,} records and {rest:,} bytes over",
            hint="fetch the file again: glassgrad download cifar10",
        )


def _checked(path: str | os.PathLike[str], labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    bad = np.flatnonzero(labels > 9)
    if len(bad):
        raise DataError(
            f"{len(bad)} labels are out of range",
            where=f"{Path(path)}, first at record {bad[0]}",
            expected="0 to 9",
            received=str(labels[bad[0]]),
        )
    return labels.astype(np.int64)


def _too_many(path: str | os.PathLike[str], limit: int, received: str) -> FormatError:
    return FormatError(
        "a batch of CIFAR-10 above the limit",
        where=told(Path(path)),
        expected=f"at most {limit:,} records of {_RECORD:,} bytes",
        received=received,
    )
