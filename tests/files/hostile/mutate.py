"""A number becomes a changed file: bytes anywhere, or the format's own pieces."""

from __future__ import annotations

import gzip
import json
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random
from typing import Any, Literal

Change = Callable[[Random, bytes, bytes], bytes]
"""(random numbers, the file, another one of its kind) to the changed file."""

_NUMBERS = (
    0, 1, 2, 3, 7, 8, 9, 10, 11, 16, 31, 32, 33, 64, 65, 100, 127, 128, 255, 256, 1000, 1032, 4096,
    2**15, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**53, 2**62 - 1, 2**62,
    2**63 - 1, 2**63, 2**64 - 1, 2**64, -1, -2, -128,
)  # fmt: skip
_BYTES = (
    b"\0\1\2\7\x08\t\n\r\x1a\x1b \"#%',-./09:;<=@AZ[\\]_`az{}\x7f\x80\xbf\xc0\xc2\xe0\xed\xf4\xff"
)


# ------------------------------------------------------------------------------------- any bytes


def _flip(r: Random, data: bytearray, other: bytes) -> None:
    at = r.randrange(len(data))
    data[at] ^= 1 << r.randrange(8)


def _put(r: Random, data: bytearray, other: bytes) -> None:
    data[r.randrange(len(data))] = r.choice(_BYTES)


def _insert(r: Random, data: bytearray, other: bytes) -> None:
    at = r.randrange(len(data) + 1)
    data[at:at] = bytes(r.choice(_BYTES) for _ in range(r.choice((1, 1, 2, 4, 8))))


def _cut(r: Random, data: bytearray, other: bytes) -> None:
    at = r.randrange(len(data))
    del data[at : at + r.choice((1, 1, 2, 4, 8, 16))]


def _double(r: Random, data: bytearray, other: bytes) -> None:
    at = r.randrange(len(data))
    piece = data[at : at + r.choice((1, 2, 4, 8, 32, 1000))]
    data[at:at] = piece * r.choice((1, 1, 1, 2, 20))


def _end(r: Random, data: bytearray, other: bytes) -> None:
    del data[r.randrange(len(data)) :]


def _splice(r: Random, data: bytearray, other: bytes) -> None:
    at = r.randrange(len(data))
    data[at:] = other[at if r.random() < 0.5 else r.randrange(len(other) + 1) :]


def _copy(r: Random, data: bytearray, other: bytes) -> None:
    size, at, here = r.choice((1, 2, 4, 8, 30)), r.randrange(len(other) + 1), r.randrange(len(data))
    data[here : here + size] = other[at : at + size]


def _move(r: Random, data: bytearray, other: bytes) -> None:
    at, size = r.randrange(len(data)), r.choice((1, 2, 4, 8, 30))
    piece = data[at : at + size]
    del data[at : at + size]
    here = r.randrange(len(data) + 1)
    data[here:here] = piece


def _field(r: Random, data: bytearray, other: bytes) -> None:
    """A field of 1, 2, 4 or 8 bytes, of either order: another number, or a little more or less."""
    width = r.choice((1, 2, 4, 8))
    at = r.randrange(max(1, len(data) - width + 1))
    order: Literal["little", "big"] = "little" if r.random() < 0.5 else "big"
    old = int.from_bytes(data[at : at + width], order)
    new = r.choice(_NUMBERS) if r.random() < 0.4 else old + r.choice((-8, -4, -1, 1, 4, 8))
    data[at : at + width] = (new % 256**width).to_bytes(width, order)


_ANY = (
    _flip,
    _flip,
    _put,
    _put,
    _insert,
    _cut,
    _double,
    _end,
    _splice,
    _copy,
    _move,
    _field,
    _field,
)


def anywhere(r: Random, data: bytes, other: bytes) -> bytes:
    """Bytes changed without any idea of what they mean."""
    changed = bytearray(data)
    if not changed:
        return other
    r.choice(_ANY)(r, changed, other)
    return bytes(changed)


# ------------------------------------------------------------------------------------------ words

_TOKEN = re.compile(rb"[A-Za-z_]+|[0-9]+|[\x80-\xff]+|[ \t]+|.", re.DOTALL)
_EVERYWHERE = (
    b"", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"\t", b"\0", b"\x0c", b"\x1b[31m", b"\x7f", b'"', b"'",
    b"\\", b",", b".", b":", b"=", b"#", b"-", b"+", b"[", b"]", b"{", b"}", b"\xef\xbb\xbf", b"\xff\xfe",
    b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc2\x85", b"\xe2\x80\xa8", b"\xc3\xa9", b"\xd9\xa1",
    b"0", b"1", b"-0", b"+1", b"00", b"01", b"1_0", b"1e5", b"1E5", b"1e+05", b"1.", b".5", b"1.5", b"-1.5e-3", b"1e999",
    b"1e-999", b"1e99999", b"nan", b"NaN", b"inf", b"-inf", b"Infinity", b"0x10", b"true", b"True", b"null", b"None",
    b"4294967296", b"4611686018427387904", b"9223372036854775808", b"18446744073709551616", b"9" * 80,
    b"=1+1", b"@x", b"<img>", b"import os",
)  # fmt: skip


@lru_cache(64)
def _tokens(data: bytes) -> tuple[bytes, ...]:
    return tuple(_TOKEN.findall(data))


def words(*own: bytes) -> Change:
    """Changes of a text by its words and signs: left out, doubled, swapped, replaced, taken over."""
    known = (*_EVERYWHERE, *own, *own)

    def change(r: Random, data: bytes, other: bytes) -> bytes:
        parts = list(_tokens(data)) or [b""]
        at, kind = r.randrange(len(parts)), r.randrange(8)
        if kind == 0:
            del parts[at : at + r.choice((1, 1, 2, 5))]
        elif kind == 1:
            parts[at:at] = parts[at : at + r.choice((1, 1, 2, 3, 5, 9, 20))]
        elif kind == 2:
            there = r.randrange(len(parts))
            parts[at], parts[there] = parts[there], parts[at]
        elif kind == 3:
            parts[at] = r.choice(known)
        elif kind == 4:
            parts.insert(at, r.choice(known))
        elif kind == 5:
            theirs = _tokens(other)
            there = r.randrange(len(theirs) or 1)
            parts[at : at + r.choice((0, 1, 3))] = theirs[there : there + r.choice((1, 2, 4, 9))]
        else:
            places = [i for i, part in enumerate(parts) if part.isdigit()]
            if places:
                place = r.choice(places)
                near = int(parts[place][:30]) + r.choice((-4, -1, 1, 4))
                new = r.choice(_NUMBERS) if r.random() < 0.3 else near
                parts[place] = b"%d" % new
        return b"".join(parts)

    return change


def lines(r: Random, data: bytes, other: bytes) -> bytes:
    """Whole lines left out, doubled, swapped, taken over, or ended in another way."""
    parts, kind = data.split(b"\n"), r.randrange(6)
    at, there = r.randrange(len(parts)), r.randrange(len(parts))
    if kind == 0:
        del parts[at]
    elif kind == 1:
        parts.insert(there, parts[at])
    elif kind == 2:
        parts[at], parts[there] = parts[there], parts[at]
    elif kind == 3:
        parts.insert(at, r.choice(other.split(b"\n")))
    elif kind == 4:
        parts[at] += r.choice((b"\r", b"\r\r", b" ", b"\n", b",", b";", b"\t", b"#"))
    else:
        return data.replace(b"\n", r.choice((b"\r\n", b"\r", b"\n\n")))
    return b"\n".join(parts)


def cells(r: Random, data: bytes, other: bytes) -> bytes:
    """One cell of a table another, or quoted, or beside quotes; a column left out or doubled."""
    rows = [line.split(b",") for line in data.split(b"\n")]
    row = r.choice(rows)
    at, kind = r.randrange(len(row)), r.randrange(7)
    if kind == 0:
        row[at] = r.choice(_EVERYWHERE)
    elif kind == 1:
        row[at] = b'"' + row[at].replace(b'"', b'""') + b'"'
    elif kind == 2:
        row[at] = r.choice((b'"', b" ", b'""', b'"\n"', b'"\r\n"', b'"a,b"', b"'")) + row[at]
    elif kind == 3:
        row[at] += r.choice((b'"', b" ", b'""', b"\t", b"\r"))
    elif kind == 4:
        row[at] = r.choice(r.choice(rows))
    elif kind == 5:
        rows = [line[:at] + line[at + 1 :] for line in rows]
    else:
        rows = [line[: at + 1] + line[at:] for line in rows]
    return b"\n".join(b",".join(line) for line in rows)


def separated(r: Random, data: bytes, other: bytes) -> bytes:
    """The same table with other separators."""
    return data.replace(b",", r.choice((b";", b"\t", b",,", b"|", b"; ")))


# --------------------------------------------------------------------------------- safetensors

_JSON_WORDS = (
    b'{"a":1}', b"[]", b"{}", b'""', b'"a":', b"\\u0000", b"\\ud800", b"\\ud83d\\ude00", b"\\u00e9", b"\\x", b"\\/",
    b"false", b"-", b"1.0", b"[[[[[[[[[[[[[[[[", b"]]]]]]]]]]]]]]]]",
)  # fmt: skip
json_words = words(*_JSON_WORDS)
_header_words = words(
    *_JSON_WORDS, b"F32", b"F64", b"I64", b"U32", b"U8", b"BOOL", b"F16", b"f32", b"dtype", b"shape", b"data_offsets",
    b"__metadata__", b'"__metadata__":{"a":"b"},', b'"z":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},',
)  # fmt: skip


def _parts(data: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(data[:8], "little")
    return data[8 : 8 + size], data[8 + size :]


def tensor_header(r: Random, data: bytes, other: bytes) -> bytes:
    """The header's words changed; its length mostly right again."""
    header, body = _parts(data)
    theirs = _parts(other)[0]
    header = _header_words(r, header, theirs)
    if r.random() < 0.1:
        header += b" " * r.randrange(9)
    length = len(header) + (r.choice((-1, 1, 8)) if r.random() < 0.15 else 0)
    return struct.pack("<Q", length % 2**64) + header + body


_WIDTHS = {"F32": 4, "F64": 8, "I64": 8, "U32": 4, "U8": 1, "BOOL": 1}


@lru_cache(64)
def _entries(data: bytes) -> str:
    try:
        header = json.loads(_parts(data)[0])
    except (ValueError, RecursionError):
        header = {}
    return json.dumps(header if isinstance(header, dict) else {})


def _whole(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, int) for v in value)


def tensor_entries(r: Random, data: bytes, other: bytes) -> bytes:
    """Changes that leave the file consistent, or nearly: entries renamed, reshaped, added, moved."""
    header: dict[str, Any] = json.loads(_entries(data))
    body = _parts(data)[1]
    names = [n for n, e in header.items() if isinstance(e, dict) and {"shape", "dtype"} <= set(e)]
    names = [n for n in names if _whole(header[n].get("data_offsets"))]
    if not names:
        return anywhere(r, data, other)
    name, kind = r.choice(names), r.randrange(8)
    entry = header[name]
    if kind == 0:
        header[r.choice(("", "\0", "../x", "é", "x" * 1000, "x" * 1001, "a\nb", name + "2"))] = (
            header.pop(name)
        )
    elif kind == 1 and isinstance(entry["shape"], list):
        entry["shape"] = r.choice(([*entry["shape"], 1], entry["shape"][::-1], [1, *entry["shape"]],
                                   [0, *entry["shape"]], [1] * 33, [2**61, 0]))  # fmt: skip
    elif kind == 2:
        entry["dtype"] = r.choice([*_WIDTHS, "F16", "I8", "f32"])
    elif kind == 3:
        header = dict(r.sample(sorted(header.items(), key=lambda p: p[0]), len(header)))
    elif kind == 4:
        dtype = r.choice(list(_WIDTHS))
        size = r.choice((0, 1, 2, 3))
        extra = bytes(r.choice((0, 1, 1, 2, 255)) for _ in range(size * _WIDTHS[dtype]))
        ends = [len(body), len(body) + len(extra)]
        header[f"new{r.randrange(3)}"] = {"dtype": dtype, "shape": [size], "data_offsets": ends}
        body += extra
    elif kind == 5:
        header["__metadata__"] = r.choice(({"a": "b"}, {}, None, {"a": 1}, [], {"a": {"b": "c"}}))
    elif kind == 6:
        a, b = r.choice(names), r.choice(names)
        header[a], header[b] = header[b], header[a]
    else:
        entry["data_offsets"] = [
            max(0, o + r.choice((-4, -1, 0, 0, 1, 4))) for o in entry["data_offsets"]
        ]
    text = json.dumps(header, ensure_ascii=r.random() < 0.5).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + body


# ------------------------------------------------------------------------------- IDX, gzip, CIFAR


def within(change: Change) -> Change:
    """A change of what a gzip file holds; the file is packed again with the right checksum."""

    def changed(r: Random, data: bytes, other: bytes) -> bytes:
        if data[:2] != b"\x1f\x8b":
            return change(r, data, _unpacked(other))
        inner = change(r, _unpacked(data), _unpacked(other))
        return gzip.compress(inner, r.choice((0, 1, 9)), mtime=0)

    return changed


@lru_cache(64)
def _unpacked(data: bytes) -> bytes:
    try:
        return zlib.decompress(data, 31) if data[:2] == b"\x1f\x8b" else data
    except zlib.error:
        return data


def _header(r: Random, data: bytes, other: bytes) -> bytes:
    """Type, number of dimensions or one of the dimensions another; the values mostly follow."""
    changed = bytearray(data)
    if len(changed) < 8:
        return anywhere(r, data, other)
    kind, rank = r.randrange(5), min(changed[3], 8)
    if kind == 0:
        changed[2] = r.choice((0, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255))
    elif kind == 1:
        changed[3] = r.choice((0, 1, 2, 3, 4, 8, 9, 255))
    elif kind == 2:
        at = 4 + 4 * r.randrange(max(1, rank))
        old = int.from_bytes(changed[at : at + 4], "big")
        new = r.choice(_NUMBERS) if r.random() < 0.5 else old + r.choice((-1, 1))
        changed[at : at + 4] = (new % 2**32).to_bytes(4, "big")
    elif kind == 3:
        sizes = [r.randrange(4) for _ in range(r.choice((1, 2, 3, 8)))]
        count = 1
        for size in sizes:
            count *= size
        width = {8: 1, 9: 1, 11: 2, 12: 4, 13: 4, 14: 8}.get(changed[2], 1)
        head = bytes(changed[:3]) + bytes([len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)
        changed = bytearray(head + r.randbytes(min(count, 500) * width))
    else:
        changed += r.randbytes(r.choice((1, 2, 4)))
    return bytes(changed)


idx_header = within(_header)
inside = within(anywhere)


def gzip_header(r: Random, data: bytes, other: bytes) -> bytes:
    """Flags and optional fields of the header, checksum and length of the trailer, more members."""
    packed = data[:2] == b"\x1f\x8b" and len(data) >= 18
    changed = bytearray(data if packed else gzip.compress(data, 1, mtime=0))
    kind = r.randrange(7)
    if kind == 0:
        changed[3] = r.choice((1, 2, 4, 8, 16, 31, 32, 128))
    elif kind == 1:
        changed[3] |= 8
        changed[10:10] = r.choice((b"name\0", b"\0", b"name", b"x" * 300 + b"\0"))
    elif kind == 2:
        changed[3] |= 4
        changed[10:10] = r.choice((b"\0\0", b"\4\0abcd", b"\xff\xff", b"\4\0ab"))
    elif kind == 3:
        changed[3] |= 2
        check = zlib.crc32(changed[:10]) & 0xFFFF
        changed[10:10] = (check ^ r.choice((0, 0, 1))).to_bytes(2, "little")
    elif kind == 4:
        at = len(changed) - r.choice((8, 4))
        changed[at : at + 4] = r.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", r.randbytes(4)))
    elif kind == 5:
        changed += r.choice((data, b"\0", b"\0" * 512, gzip.compress(b"x", mtime=0)))
    else:
        changed[2] = r.choice((0, 7, 9))
    return bytes(changed)


def _record(r: Random, data: bytes, other: bytes) -> bytes:
    records = [data[i : i + 3073] for i in range(0, len(data), 3073)] or [b""]
    at, kind = r.randrange(len(records)), r.randrange(5)
    if kind == 0:
        records[at] = bytes([r.choice((0, 1, 8, 9, 10, 11, 255))]) + records[at][1:]
    elif kind == 1:
        records.insert(at, records[r.randrange(len(records))])
    elif kind == 2:
        del records[at]
    elif kind == 3:
        records[at] = records[at][: r.choice((-1, 1, 3072))]
    else:
        records[at] += r.choice((b"\0", b"\0\0"))
    return b"".join(records)


cifar_record = within(_record)


def mutated(seeds: Sequence[bytes], aware: Sequence[Change], unaware: Change, number: int) -> bytes:
    """The file of this number: one of the seeds after one to three changes, most of them aware."""
    r = Random(number)
    data = r.choice(seeds)
    for _ in range(r.choice((1, 1, 1, 2, 3))):
        change = r.choice(aware) if aware and r.random() < 0.7 else unaware
        data = change(r, data, r.choice(seeds))
        if len(data) > 100_000:
            break
    return data
