"""A strict reader of IDX, the format of MNIST and Fashion-MNIST, plain or gzip.

A file is two zero bytes, a type byte, the number of dimensions, each dimension as a big-endian
32-bit number, and the values, big-endian, the last dimension fastest. Nothing else is accepted:
what the header promises is compared with the bytes there are before anything is allocated, and a
compressed file is unpacked only until it has broken its promise.
"""

from __future__ import annotations

import os
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glassgrad.data.packed import Gzip, Plain, looks_packed_tight, opened
from glassgrad.errors import FormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read_idx"]

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_DIMENSIONS = 8


def read_idx(path: str | os.PathLike[str], *, limit: int = 1 << 30) -> NDArray[Any]:
    """The array stored in an IDX file, plain or gzip (told apart by content, not by name).

    Parameters
    ----------
    path : str or path
        A regular file.
    limit : int
        The most bytes of values to accept.

    Returns
    -------
    array
        uint8, int8, int16, int32, float32 or float64, of the shape in the header; a fresh,
        writable array in the machine's byte order.

    Raises
    ------
    DataError
        There is no such file, or it cannot be read.
    FormatError
        Its bytes are not exactly one IDX array: wrong magic, an unknown type, more than 8
        dimensions, an empty one, a declared size above `limit`, too few bytes, bytes left over, or
        a damaged compressed stream. The message names the file, the expected and the actual bytes.

    Source: the format's description at http://yann.lecun.com/exdb/mnist/; RFC 1951 and 1952.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "tiny")
    ...     _ = file.write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 7, 8, 9]))
    ...     read_idx(file).tolist()
    [[7, 8, 9]]
    """
    with opened(path, "an IDX file") as (source, size):
        return _read(source, Path(path), size, limit)


def _read(source: Plain | Gzip, file: Path, size: int, limit: int) -> NDArray[Any]:
    where = str(file)
    head = source.take(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _TYPES:
        raise FormatError(
            "not an IDX file",
            where=where,
            expected="the first bytes 00 00, a type (08 09 0b 0c 0d 0e), a number of dimensions",
            received=f"{head.hex(' ') or 'nothing'} ({len(head)} bytes)",
        )
    dtype, rank = np.dtype(_TYPES[head[2]]), head[3]
    if not 1 <= rank <= _MOST_DIMENSIONS:
        raise FormatError(
            "an IDX file with an unusable number of dimensions",
            where=where,
            expected=f"1 to {_MOST_DIMENSIONS}",
            received=str(rank),
        )
    sizes = source.take(4 * rank)
    if len(sizes) < 4 * rank:
        raise FormatError(
            "the IDX header is cut short",
            where=where,
            expected=f"{4 + 4 * rank} bytes",
            received=f"{4 + len(sizes)} bytes",
        )
    shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, 4 * rank, 4))
    declared = prod(shape) * dtype.itemsize
    what = f"{4 + 4 * rank + declared} bytes ({' x '.join(map(str, shape))} of {dtype.name})"
    if not declared:
        raise FormatError("an IDX file without values", where=where, received=f"sizes {shape}")
    if declared > limit:
        raise FormatError(
            "an IDX file above the limit",
            where=where,
            expected=f"at most {limit} bytes of values",
            received=f"{declared} declared",
        )
    most = source.most_from(size)
    if declared > most:
        raise FormatError(
            "the IDX file is shorter than its header says",
            where=where,
            expected=what,
            received=f"{size} bytes stored"
            + ("" if most == size else f", which cannot unpack to more than {most}"),
        )
    start, body = 4 + 4 * rank, b""
    held = wanted = start + declared
    if isinstance(source, Gzip) and looks_packed_tight(declared, size):
        held = source.length(wanted)
        source.take(start)
    if held == wanted:
        body = source.take(declared)
        held = start + len(body) + len(source.take(1))
    if held < wanted:
        raise FormatError(
            "the IDX file is shorter than its header says",
            where=where,
            expected=what,
            received=f"{held} bytes",
        )
    if held > wanted:
        raise FormatError(
            "the IDX file goes on past the size its header declares",
            where=where,
            expected=what,
            received="more; reading stopped there" if isinstance(source, Gzip) else f"{size} bytes",
        )
    source.close()
    stored = np.frombuffer(body, dtype=dtype).reshape(shape)
    return stored.astype(dtype.newbyteorder("="))
