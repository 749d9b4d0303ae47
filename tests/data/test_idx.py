"""The IDX reader: what it reads, and forty ways a file can lie to it."""

from __future__ import annotations

import gzip
import os
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from glassgrad.data import read_idx
from glassgrad.errors import DataError, FormatError

CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}
LETTERS = {8: "B", 9: "b", 11: "h", 12: "i", 13: "f", 14: "d"}


def idx(array: NDArray[Any]) -> bytes:
    """An array as an IDX file."""
    kind = array.dtype.str[1:]
    head = bytes([0, 0, CODES[kind], array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(">" + kind).tobytes()


def head(*sizes: int, code: int = 8) -> bytes:
    """A header alone."""
    return bytes([0, 0, code, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def to_file(stored: bytes) -> Path:
        path = tmp_path / "file"
        path.write_bytes(stored)
        return path

    return to_file


# --------------------------------------------------------------------------- what is read


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 4), (2, 3, 4), (1, 1, 1, 1, 1, 1, 1, 2)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reads_every_type(
    write: Callable[[bytes], Path],
    kind: str,
    shape: tuple[int, ...],
    pack: Callable[[bytes], bytes],
) -> None:
    stored = np.arange(prod(shape)).reshape(shape).astype(kind) - np.array(1).astype(kind)
    got = read_idx(write(pack(idx(stored))))
    assert (got.dtype, got.shape) == (np.dtype(kind), shape)
    assert got.dtype.isnative
    np.testing.assert_array_equal(got, stored)
    got[...] = 0  # writable and our own


def test_levels_and_headers_of_gzip(write: Callable[[bytes], Path]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 28, 28)).astype("u1")
    for level in (0, 1, 9):
        np.testing.assert_array_equal(read_idx(write(gzip.compress(idx(image), level))), image)
    named = write(b"")
    with named.open("wb") as stream, gzip.GzipFile("a name", "wb", fileobj=stream) as packed:
        packed.write(idx(image))
    np.testing.assert_array_equal(read_idx(named), image)


def test_a_long_run_of_zeros_is_no_bomb(write: Callable[[bytes], Path]) -> None:
    """The densest honest file: 4 MB of zeros in 4 kB."""
    zeros = np.zeros((4096, 1024), "u1")
    packed = gzip.compress(idx(zeros))
    assert len(packed) < 5000
    np.testing.assert_array_equal(read_idx(write(packed)), zeros)


# ------------------------------------------------------------------------ what is refused

GOOD = idx(np.arange(12, dtype="u1").reshape(3, 4))
PACKED = gzip.compress(GOOD, mtime=0)


def changed(stored: bytes, at: int, value: int) -> bytes:
    out = bytearray(stored)
    out[at] = value
    return bytes(out)


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "one byte": b"\0",
    "three bytes": b"\0\0\x08",
    "magic: first byte": changed(GOOD, 0, 1),
    "magic: second byte": changed(GOOD, 1, 1),
    "type 0": changed(GOOD, 2, 0),
    "type 7": changed(GOOD, 2, 7),
    "type 10, never given out": changed(GOOD, 2, 10),
    "type 15": changed(GOOD, 2, 15),
    "type 255": changed(GOOD, 2, 255),
    "no dimensions": b"\0\0\x08\0" + b"\x05",
    "nine dimensions": head(*[1] * 9) + b"\x05",
    "255 dimensions": b"\0\0\x08\xff" + bytes(1020),
    "header cut in the sizes": GOOD[:7],
    "header cut before the sizes": GOOD[:4],
    "header without values": GOOD[:12],
    "one value short": GOOD[:-1],
    "one value over": GOOD + b"\0",
    "a second array": GOOD + GOOD,
    "a size of zero": head(0, 4),
    "zero times huge": head(0, 2**32 - 1, 2**32 - 1),
    "huge: one dimension": head(2**32 - 1) + bytes(100),
    "huge: product of 2**64": head(2**16, 2**16, 2**16, 2**16) + bytes(100),
    "huge: product wraps to 12": head(2**31, 2, 2**31, 2) + bytes(12),
    "huge: eight dimensions": head(*[2**32 - 1] * 8) + bytes(100),
    "huge: eight-byte values": head(2**29 + 1, code=14) + bytes(8),
    "wider type than stored": changed(GOOD, 2, 14),
    "little-endian sizes": GOOD[:4] + struct.pack("<2I", 3, 4) + GOOD[12:],
    "text": b"label,pixel\n5,0\n",
    "npy": b"\x93NUMPY\x01\x00",
    "zip": b"PK\x03\x04" + bytes(26),
    "pickle": b"\x80\x04\x95" + bytes(20),
    "gzip: magic alone": b"\x1f\x8b",
    "gzip: header alone": PACKED[:10],
    "gzip: cut in the middle": PACKED[: len(PACKED) // 2],
    "gzip: no trailer": PACKED[:-8],
    "gzip: trailer cut": PACKED[:-1],
    "gzip: CRC wrong": changed(PACKED, -8, PACKED[-8] ^ 1),
    "gzip: length wrong": changed(PACKED, -4, PACKED[-4] ^ 1),
    "gzip: method unknown": changed(PACKED, 2, 7),
    "gzip: reserved flags": changed(PACKED, 3, 0xE0),
    "gzip: bytes after": PACKED + b"\0",
    "gzip: second member": PACKED + PACKED,
    "gzip: of gzip": gzip.compress(PACKED),
    "gzip: of nothing": gzip.compress(b""),
    "gzip: of a header": gzip.compress(GOOD[:12]),
    "gzip: one value short": gzip.compress(GOOD[:-1]),
    "gzip: one value over": gzip.compress(GOOD + b"\0"),
    "gzip: expands past the size": gzip.compress(GOOD + bytes(10**6)),
    "gzip: huge size": gzip.compress(head(2**31, 2**31) + bytes(1000)),
    "gzip: more than deflate can": gzip.compress(head(2**20) + bytes(1000)),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("limit", [1 << 30, 1 << 100])
def test_refused(write: Callable[[bytes], Path], name: str, limit: int) -> None:
    path = write(HOSTILE[name])
    with pytest.raises(FormatError) as caught:
        read_idx(path, limit=limit)
    assert caught.value.where == str(path)
    assert caught.value.received


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(HOSTILE) >= 30
    assert len(set(HOSTILE.values())) == len(HOSTILE)


def test_messages_name_expected_and_actual_bytes(write: Callable[[bytes], Path]) -> None:
    with pytest.raises(FormatError, match=r"24 bytes \(3 x 4 of uint8\)(.|\n)*23 bytes"):
        read_idx(write(HOSTILE["one value short"]))
    with pytest.raises(FormatError, match=r"24 bytes \(3 x 4 of uint8\)(.|\n)*25 bytes"):
        read_idx(write(HOSTILE["one value over"]))
    with pytest.raises(FormatError, match=r"24 bytes \(3 x 4 of uint8\)(.|\n)*stopped there"):
        read_idx(write(HOSTILE["gzip: expands past the size"]))


def test_the_limit(write: Callable[[bytes], Path]) -> None:
    assert read_idx(write(GOOD), limit=12).shape == (3, 4)
    with pytest.raises(FormatError, match="12 declared"):
        read_idx(write(GOOD), limit=11)


@pytest.mark.parametrize(
    "stored",
    [
        head(2**31) + bytes(50),
        head(2**20, 2**20, 2**20) + bytes(50),
        gzip.compress(head(2**31) + bytes(50)),
        gzip.compress(head(50) + bytes(200 * 2**20), 9),
    ],
    ids=["2 GB plain", "1 EB plain", "2 GB packed", "200 MB bomb"],
)
def test_nothing_is_allocated_for_a_lie(write: Callable[[bytes], Path], stored: bytes) -> None:
    path = write(stored)
    tracemalloc.start()
    with pytest.raises(FormatError):
        read_idx(path, limit=1 << 100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * 2**20


def test_what_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_idx(tmp_path / "none")
    with pytest.raises(FormatError, match="not a regular file"):
        read_idx(tmp_path)
    with pytest.raises(DataError, match="not a file's name"):
        read_idx("a\0b")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(FormatError, match="not a regular file"):
            read_idx(tmp_path / "pipe")  # and does not wait for a writer


# ---------------------------------------------------------------------- random mutations


class RefusedError(Exception):
    """What the reference raises."""


def demand(condition: bool) -> None:
    if not condition:
        raise RefusedError


def slow_unpack(stored: bytes) -> bytes:
    """One gzip member by RFC 1952, field by field."""
    demand(len(stored) >= 10 and stored[2] == 8 and not stored[3] & 0xE0)
    flags, at = stored[3], 10
    if flags & 4:
        demand(len(stored) >= at + 2)
        at += 2 + int.from_bytes(stored[at : at + 2], "little")
    for flag in (8, 16):
        if flags & flag:
            end = stored.find(b"\0", at)
            demand(end >= 0)
            at = end + 1
    if flags & 2:
        demand(stored[at : at + 2] == (zlib.crc32(stored[:at]) & 0xFFFF).to_bytes(2, "little"))
        at += 2
    unpack = zlib.decompressobj(wbits=-15)
    try:
        out = unpack.decompress(stored[at:], 1 << 20)
    except zlib.error:
        raise RefusedError from None
    demand(unpack.eof)
    trailer = zlib.crc32(out).to_bytes(4, "little") + len(out).to_bytes(4, "little")
    demand(unpack.unused_data == trailer)
    return out


def slow_read(stored: bytes) -> tuple[int, tuple[int, ...], list[bytes]]:
    """IDX, one value at a time: the type, the sizes, each value's bytes in native order."""
    if stored[:2] == b"\x1f\x8b":
        stored = slow_unpack(stored)
    demand(len(stored) >= 4 and stored[0] == stored[1] == 0 and stored[2] in LETTERS)
    code, rank = stored[2], stored[3]
    demand(1 <= rank <= 8 and len(stored) >= 4 + 4 * rank)
    sizes = tuple(struct.unpack_from(">I", stored, 4 + 4 * i)[0] for i in range(rank))
    letter = LETTERS[code]
    width = struct.calcsize(">" + letter)
    count = 1
    for size in sizes:
        count *= size
    demand(count > 0 and len(stored) == 4 + 4 * rank + count * width)
    values = stored[4 + 4 * rank :]
    step = -1 if np.little_endian else 1
    return code, sizes, [values[i : i + width][::step] for i in range(0, len(values), width)]


def mutated(stored: bytes, rng: random.Random) -> bytes:
    out = bytearray(stored)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at = rng.randrange(len(out)) if out else 0
        early = min(at, rng.randrange(16))  # most lies are told in the header
        match rng.randrange(7):
            case 0 | 1 if out:
                out[early] = rng.randrange(256)
            case 2 if out:
                out[at] ^= 1 << rng.randrange(8)
            case 3:
                del out[at : at + rng.randrange(1, 4)]
            case 4:
                out[at:at] = rng.randbytes(rng.randrange(1, 4))
            case 5:
                out = out[:at]
            case 6 if out:
                out[early] = rng.choice([0, 1, 2, 8, 9, 11, 13, 14, 31, 139, 255])
    return bytes(out)


def test_two_thousand_mutations(write: Callable[[bytes], Path]) -> None:
    """Refused with FormatError exactly where the reference refuses; equal where it reads."""
    rng = random.Random(20261121)
    arrays = [
        np.arange(24, dtype="u1").reshape(4, 6),
        np.arange(8, dtype="i2"),
        np.arange(12, dtype="f4").reshape(2, 3, 2) / 7,
        np.arange(3, dtype="f8").reshape(3, 1) / 7,
    ]
    seeds = [idx(array) for array in arrays] + [gzip.compress(idx(array)) for array in arrays]
    read = refused = 0
    for _ in range(2000):
        stored = mutated(rng.choice(seeds), rng)
        path = write(stored)
        try:
            code, sizes, values = slow_read(stored)
        except RefusedError:
            with pytest.raises(FormatError):
                read_idx(path)
            refused += 1
            continue
        got = read_idx(path)
        assert (CODES[got.dtype.str[1:]], got.shape) == (code, sizes)
        assert got.tobytes() == b"".join(values)
        read += 1
    assert read > 200  # both sides of the line were walked
    assert refused > 1000
