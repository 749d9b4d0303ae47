"""A zip of stored members in one form only: what is written, and nothing else, is read.

Every field of every header is fixed by the members' names and bytes (no date, no flags, no extra
field, no comment), so that one model is one sequence of bytes, and a reader can compare instead
of interpret: local headers must be what the central directory implies, each member must begin
where the last one ended, and the directory must end the file.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence

from glassgrad.errors import FormatError, UsageError, shown

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_VERSION = 20
_DATE = 0x21  # 1 January 1980, the first day a zip can name
_MOST_MEMBERS = 1_000
_MOST_BYTES = 2**32 - 2**20  # what a zip without its 64-bit extension can hold


def pack(members: Mapping[str, bytes]) -> bytes:
    """The archive with these members, in this order."""
    if sum(map(len, members.values())) > _MOST_BYTES:
        raise UsageError(
            "the model is too large for a file of this version",
            expected=f"at most {_MOST_BYTES:,} bytes",
            received=f"{sum(map(len, members.values())):,}",
        )
    parts, directory, at = [], [], 0
    for name, data in members.items():
        local, central = _headers(name.encode("ascii"), len(data), zlib.crc32(data), at)
        parts += [local, data]
        directory.append(central)
        at += len(local) + len(data)
    return b"".join([*parts, *directory, _end(len(directory), sum(map(len, directory)), at)])


def unpack(data: bytes, names: Sequence[str] | None = None) -> dict[str, memoryview]:
    """The members of an archive; nothing is copied.

    Where `names` are given, exactly these, in this order. Raises FormatError for anything else.
    """
    view = memoryview(data)
    if len(data) < _END.size or bytes(view[-_END.size :][:4]) != b"PK\5\6":
        raise FormatError(
            "this is not a whole .glass file",
            expected="a zip whose directory ends the file",
            received=f"{len(data):,} bytes that begin {data[:8].hex(' ') or 'with nothing'}",
            hint="the file may have been cut short, or something was added to it: copy it again",
        )
    at = len(data) - _END.size
    _, disk, first, here, count, size, start, comment = _END.unpack(view[at:])
    if disk or first or here != count or comment or start + size != at:
        raise FormatError(
            "the zip's directory is not where it says",
            where=f"byte {at:,}",
            expected="one disk, no comment, and the directory right before the end",
            received=f"{size:,} bytes at {start:,} of {len(data):,}",
        )
    if count > _MOST_MEMBERS:
        raise FormatError(
            "too many members", expected=f"at most {_MOST_MEMBERS}", received=f"{count:,}"
        )
    found: dict[str, memoryview] = {}
    position, entry, crcs = 0, start, []
    for _ in range(count):
        name, length, crc = _entry(view, entry, at)
        if name in found:
            raise FormatError(
                "a member is there twice",
                where=f"byte {entry:,}",
                expected="each name once",
                received=shown(name),
            )
        local, central = _headers(name.encode("ascii"), length, crc, position)
        if bytes(view[entry : entry + len(central)]) != central:
            raise FormatError(
                "a member's entry in the zip's directory is not as we write it",
                where=f"{name}, byte {entry:,}",
                expected="stored (not compressed or encrypted), no date, no extra field, in order",
                received=_difference(view[entry : entry + len(central)]),
            )
        begin = position + len(local)
        if begin + length > start or bytes(view[position:begin]) != local:
            raise FormatError(
                "a member's own header differs from the zip's directory",
                where=f"{name}, byte {position:,}",
                expected=f"{length:,} stored bytes, as the directory says",
                received=bytes(view[position : min(begin, start)][:30]).hex(" "),
            )
        found[name] = view[begin : begin + length]
        crcs.append(crc)
        position, entry = begin + length, entry + len(central)
    if position != start or entry != at:
        raise FormatError(
            "bytes that belong to no member",
            where=f"byte {position if position != start else entry:,}",
            expected="members and directory side by side",
            received=f"{start - position + at - entry:,} bytes",
        )
    if names is not None:
        check_names(found, names)
    for (name, member), crc in zip(found.items(), crcs, strict=True):
        if zlib.crc32(member) != crc:
            raise FormatError(
                "the file is damaged: a member's bytes differ from their checksum",
                where=name,
                expected=f"crc32 {crc:08x}",
                received=f"{zlib.crc32(member):08x}",
                hint="copy the file again from where it came",
            )
    return found


def check_names(found: Iterable[str], names: Sequence[str]) -> None:
    """Raise FormatError unless the members are these, in this order."""
    there = list(found)
    if there == list(names):
        return
    extra = [n for n in there if n not in names]
    raise FormatError(
        "a member that has no business here" if extra else "a member is missing or out of order",
        expected=", ".join(names),
        received=shown(extra[0]) if extra else ", ".join(there) or "none",
    )


def _entry(view: memoryview, at: int, end: int) -> tuple[str, int, int]:
    if at + _CENTRAL.size > end:
        raise FormatError(
            "the zip's directory is cut short",
            where=f"byte {at:,}",
            expected=f"an entry of at least {_CENTRAL.size} bytes",
        )
    fields = _CENTRAL.unpack(view[at : at + _CENTRAL.size])
    raw = bytes(view[at + _CENTRAL.size : at + _CENTRAL.size + fields[10]])
    if fields[0] != b"PK\1\2" or at + _CENTRAL.size + len(raw) > end or len(raw) > 64:
        raise FormatError(
            "this is no entry of a zip's directory",
            where=f"byte {at:,}",
            expected="the name of a member, of at most 64 characters",
        )
    if not all(0x20 <= byte < 0x7F for byte in raw):
        raise FormatError(
            "a member's name is not plain ASCII", where=f"byte {at:,}", received=shown(raw)
        )
    return raw.decode("ascii"), fields[9], fields[7]


def _difference(entry: memoryview) -> str:
    """What an entry says about itself, as far as it matters to a reader."""
    fields = _CENTRAL.unpack(entry[: _CENTRAL.size])
    flags, method, stored, length = fields[3], fields[4], fields[8], fields[9]
    said = []
    if flags & 1:
        said.append("encrypted")
    if method:
        said.append(f"compressed by method {method}")
    if stored != length:
        said.append(f"{stored:,} bytes for {length:,}")
    if fields[11] or fields[12]:
        said.append("an extra field or a comment")
    if fields[15] >> 16 & 0o170000 == 0o120000:
        said.append("a link")
    return ", ".join(said) or "other flags, dates, attributes or offset"


def _headers(name: bytes, length: int, crc: int, at: int) -> tuple[bytes, bytes]:
    sizes = (crc, length, length)
    local = _LOCAL.pack(b"PK\3\4", _VERSION, 0, 0, 0, _DATE, *sizes, len(name), 0)
    central = _CENTRAL.pack(
        b"PK\1\2", _VERSION, _VERSION, 0, 0, 0, _DATE, *sizes, len(name), 0, 0, 0, 0, 0, at
    )
    return local + name, central + name


def _end(count: int, size: int, at: int) -> bytes:
    return _END.pack(b"PK\5\6", 0, 0, count, count, size, at, 0)
