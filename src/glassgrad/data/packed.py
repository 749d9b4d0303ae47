"""Bytes of a data file, plain or gzip, a piece at a time: never more than was asked for."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from glassgrad.errors import DataError, FormatError, told

_CHUNK = 1 << 16
# The deflate format turns one byte into at most 1032 (RFC 1951: 258 bytes for two bits).
_DEFLATE_MOST = 1032
_FREE = 32 * 2**20


@contextmanager
def opened(path: str | os.PathLike[str], what: str) -> Iterator[tuple[Plain | Gzip, int]]:
    """The bytes of a regular file, unpacked where it is gzip (told by content), and its size.

    Raises DataError where it cannot be read, FormatError where it is no file or damaged.
    """
    file = Path(path)
    try:
        # Asked before opening: opening a pipe would wait for a writer.
        if not stat.S_ISREG(file.stat().st_mode):
            raise FormatError("not a regular file", where=told(file), expected=what)
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            magic = stream.read(2)
            stream.seek(0)
            yield Gzip(stream, file) if magic == b"\x1f\x8b" else Plain(stream), size
    except OSError as error:
        raise DataError(
            "a data file cannot be read", where=told(file), received=error.strerror or str(error)
        ) from error
    except ValueError as error:
        if isinstance(error, DataError | FormatError):
            raise
        raise DataError("not a file's name", where=repr(path), received=str(error)) from error


def looks_packed_tight(count: int, size: int) -> bool:
    """Whether so many bytes out of a file of this size are worth a first look that keeps nothing.

    A few hundred kilobytes may unpack to hundreds of megabytes, and be damaged at the end.
    """
    return count > 4 * size + _FREE


class Plain:
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


class Gzip:
    """The unpacked bytes of one gzip member, drawn a piece at a time; CRC and length checked."""

    def __init__(self, stream: IO[bytes], file: Path) -> None:
        self._stream = stream
        self._file = file
        self.restart()

    def restart(self) -> None:
        """Begin again at the file's beginning."""
        self._stream.seek(0)
        self._unpack = zlib.decompressobj(wbits=31)  # 31: a gzip header and trailer, checked

    def pieces(self) -> Iterator[bytes]:
        """Everything from the file's beginning, a piece at a time, checked to its end."""
        self.restart()
        while piece := self.take(1 << 20):
            yield piece
        self.close()

    def length(self, most: int) -> int:
        """How many bytes come out, none of them kept, or more than `most`; then it begins again."""
        count = 0
        for piece in self.pieces():
            count += len(piece)
            if count > most:
                break
        self.restart()
        return count

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
                    where=told(self._file),
                    received=f"{len(out)} bytes of this part, then: {error}",
                    hint="fetch the file again",
                ) from error
            out += piece
            if not packed and not piece and not self._unpack.eof:
                raise FormatError(
                    "the gzip stream is cut short",
                    where=told(self._file),
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
                where=told(self._file),
                expected="one gzip member and the file's end",
                received=f"at least {left} bytes more",
            )
