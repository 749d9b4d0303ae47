"""A strict reader of IDX, the format of MNIST and Fashion-MNIST, plain or gzip.

A file is two zero bytes, a type byte, the number of dimensions, each dimension as a big-endian
32-bit number, and the values, big-endian, the last dimension fastest. Nothing else is accepted:
what the header promises is compared with the bytes there are before anything is allocated, and a
compressed file is unpacked only until it has broken its promise.
"""

from __future__ import annotations

import os
import stat
import zlib
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from glassgrad.errors import DataError, FormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read_idx"]

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_DIMENSIONS = 8
_CHUNK = 1 << 16
# The deflate format turns one byte into at most 1032 (RFC 1951: 258 bytes for two bits).
_DEFLATE_MOST = 1032


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
    file = Path(path)
    try:
        # Asked before opening: opening a pipe would wait for a writer.
        if not stat.S_ISREG(file.stat().st_mode):
            raise FormatError("not a regular file", where=str(file), expected="an IDX file")
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            magic = stream.read(2)
            stream.seek(0)
            source = _Gzip(stream, file) if magic == b"\x1f\x8b" else _Plain(stream)
            return _read(source, file, size, limit)
    except OSError as error:
        raise DataError(
            "a data file cannot be read", where=str(file), received=error.strerror or str(error)
        ) from error
    except ValueError as error:
        if isinstance(error, FormatError):
            raise
        raise DataError("not a file's name", where=repr(path), received=str(error)) from error


class _Plain:
    """The bytes of a file as they are; at most `most_from(size)` come out."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    @staticmethod
    def most_from(size: int) -> int:
        return size

    def take(self, count: int) -> bytes:
        """Up to `count` bytes: fewer only at the end."""
        return self._stream.read(count)

    def close(self) -> None:
        """A plain file needs no closing check."""


class _Gzip:
    """The unpacked bytes of one gzip member, drawn a piece at a time; CRC and length checked."""

    def __init__(self, stream: IO[bytes], file: Path) -> None:
        self._stream = stream
        self._file = file
        self._unpack = zlib.decompressobj(wbits=31)  # 31: a gzip header and trailer, checked

    @staticmethod
    def most_from(size: int) -> int:
        return size * _DEFLATE_MOST

    def take(self, count: int) -> bytes:
        """Up to `count` unpacked bytes: fewer only at the end of the member."""
        out = bytearray()
        while len(out) < count and not self._unpack.eof:
            packed = self._unpack.unconsumed_tail or self._stream.read(_CHUNK)
            wanted = min(count - len(out), 1 << 20)
            try:
                piece = self._unpack.decompress(packed, wanted)
            except zlib.error as error:
                raise FormatError(
                    "the gzip stream is damaged",
                    where=str(self._file),
                    received=f"{len(out)} bytes of this part, then: {error}",
                    hint="fetch the file again",
                ) from error
            out += piece
            if not packed and not piece and not self._unpack.eof:
                raise FormatError(
                    "the gzip stream is cut short",
                    where=str(self._file),
                    expected="a gzip trailer at the end",
                    received=f"the file's end after {self._stream.tell()} bytes",
                    hint="fetch the file again",
                )
        return bytes(out)

    def close(self) -> None:
        """Run to the trailer (nothing may be unpacked on the way) and see that the file ends."""
        left = len(self._unpack.unused_data) + len(self._stream.read(_CHUNK))
        if left:
            raise FormatError(
                "bytes after the gzip stream",
                where=str(self._file),
                expected="one gzip member and the file's end",
                received=f"at least {left} bytes more",
            )


def _read(source: _Plain | _Gzip, file: Path, size: int, limit: int) -> NDArray[Any]:
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
    body = source.take(declared)
    if len(body) < declared:
        raise FormatError(
            "the IDX file is shorter than its header says",
            where=where,
            expected=what,
            received=f"{4 + 4 * rank + len(body)} bytes",
        )
    if source.take(1):
        raise FormatError(
            "the IDX file goes on past the size its header declares",
            where=where,
            expected=what,
            received="more; reading stopped there"
            if isinstance(source, _Gzip)
            else f"{size} bytes",
        )
    source.close()
    stored = np.frombuffer(body, dtype=dtype).reshape(shape)
    return stored.astype(dtype.newbyteorder("="))
