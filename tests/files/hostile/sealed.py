"""What carries checksums: `.glass` files and checkpoints, read and written by their descriptions.

Any change is refused, unless whoever made it also made every sum right. Then the file is another
one: what is read of it must be just what stands in it, or it is refused for what it says.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from random import Random
from typing import Any

from . import mutate
from .readers import Refused, canonical_json, json_text

GLASS = (
    "manifest.json", "graph.json", "weights.safetensors", "training.json", "signature.json",
    "preparation.json", "history.csv", "check.safetensors",
)  # fmt: skip
Members = list[tuple[str, bytes]]


# ------------------------------------------------------------------------------------------- .glass


def _facts(name: bytes, data: bytes) -> bytes:
    """What local header and directory both say: no flags, stored, 1 January 1980, sum, sizes."""
    return (
        b"\x14\0\0\0\0\0\0\0\x21\0"
        + struct.pack("<3L", zlib.crc32(data), len(data), len(data))
        + struct.pack("<2H", len(name), 0)
    )


def zipped(members: Members) -> bytes:
    """A zip of stored members, in the one form that `.glass` has."""
    files, directory, at = [], [], 0
    for text, data in members:
        name = text.encode("latin-1")
        files.append(b"PK\3\4" + _facts(name, data) + name + data)
        place = struct.pack("<HHHLL", 0, 0, 0, 0, at)
        directory.append(b"PK\1\2\x14\0" + _facts(name, data) + place + name)
        at += len(files[-1])
    size = sum(map(len, directory))
    end = b"PK\5\6" + struct.pack("<4H2LH", 0, 0, len(members), len(members), size, at, 0)
    return b"".join([*files, *directory, end])


def unzipped(data: bytes) -> Members:
    """The members of such a zip: found by walking from the beginning, then written anew."""
    members: Members = []
    at = 0
    while data[at : at + 4] == b"PK\3\4":
        head = data[at + 4 : at + 30]
        if len(head) < 26:
            raise Refused("cut short")
        size = int.from_bytes(head[14:18], "little")
        begin = at + 30 + int.from_bytes(head[22:24], "little")
        members.append((data[at + 30 : begin].decode("latin-1"), data[begin : begin + size]))
        at = begin + size
    if zipped(members) != data:
        raise Refused("another form of zip")
    return members


def manifest(members: Members) -> bytes:
    """What the first member says of the others."""
    listed = {n: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in members}
    return json_text({"format": "glassgrad model", "version": 1, "members": listed}).encode()


def glass(data: bytes) -> dict[str, bytes]:
    """The members of a `.glass` file but for the manifest, every sum of which is right.

    The rows to check by follow from graph and weights, and are left out.
    """
    members = unzipped(data)
    if tuple(n for n, _ in members) != GLASS or members[0][1] != manifest(members[1:]):
        raise Refused("members or manifest")
    return dict(members[1:-1])


def _resealed(members: Members) -> bytes:
    inner = [(n, d) for n, d in members if n != GLASS[0]]
    return zipped([(GLASS[0], manifest(inner)), *inner])


def _members(r: Random, data: bytes, other: bytes) -> tuple[Members, Members]:
    try:
        return unzipped(data), unzipped(other)
    except Refused:
        return [], []


def _inner(name: str, r: Random, data: bytes, other: bytes) -> bytes:
    """A member changed as files of its kind are."""
    changes: tuple[mutate.Change, ...]
    if name.endswith(".safetensors"):
        changes = (mutate.tensor_header, mutate.tensor_entries, mutate.anywhere)
    elif name.endswith(".csv"):
        changes = (mutate.cells, mutate.lines, mutate.anywhere)
    else:
        changes = (_glass_words, _glass_words, mutate.lines)
    return r.choice(changes)(r, data or b"{}", other or b"{}")


_glass_words = mutate.words(
    b"relu", b"tanh", b"matmul", b"float32", b"float64", b"int64", b"[n, 2]", b"%1", b"%2", b"forward", b"backward", b"input", b"output",
    b'"data"', b'"parameter"', b"[]", b"{}", b'""', b"false", b"null", b"1.0", b"n", b"(", b")",
)  # fmt: skip


def glass_member(r: Random, data: bytes, other: bytes) -> bytes:
    """One member changed, or that of another file in its place, and every sum made right."""
    members, theirs = _members(r, data, other)
    if not members:
        return mutate.anywhere(r, data, other)
    at = r.randrange(len(members))
    name, old = members[at]
    taken = dict(theirs).get(name, b"")
    members[at] = (name, taken if r.random() < 0.1 else _inner(name, r, old, taken))
    return _resealed(members) if name != GLASS[0] else zipped(members)


def glass_archive(r: Random, data: bytes, other: bytes) -> bytes:
    """Members left out, doubled, renamed, in another order, or changed without the manifest."""
    members, _ = _members(r, data, other)
    if not members:
        return mutate.anywhere(r, data, other)
    at, kind = r.randrange(len(members)), r.randrange(7)
    name, old = members[at]
    if kind == 0:
        del members[at]
    elif kind == 1:
        members.insert(r.randrange(len(members)), members[at])
    elif kind == 2:
        new = r.choice(
            ("", "../" + name, "/" + name, name.upper(), name + "\0", "a.py", "é", "x" * 70)
        )
        members[at] = (new, old)
    elif kind == 3:
        r.shuffle(members)
    elif kind == 4:
        members[at] = (name, mutate.anywhere(r, old, old))
        return zipped(members)
    elif kind == 5:
        members.append(
            (r.choice(("evil.py", "graph.json", "a/b", "graph.jso\xee")), r.choice((b"", b"{}")))
        )
    else:
        members[0] = (name if kind == 6 else GLASS[0], _glass_words(r, members[0][1], b"{}"))
        return zipped(members)
    return _resealed(members) if r.random() < 0.7 else zipped(members)


def glass_header(r: Random, data: bytes, other: bytes) -> bytes:
    """A field of one of the zip's headers another, or bytes between its parts."""
    changed = bytearray(data)
    places = [i for mark in (b"PK\3\4", b"PK\1\2", b"PK\5\6") for i in _found(data, mark)]
    if not places:
        return mutate.anywhere(r, data, other)
    at = r.choice(places)
    if r.random() < 0.1:
        changed[at:at] = r.choice((b"\0", b"PK\3\4", bytes(26), data[at : at + 50]))
        return bytes(changed)
    field, width = r.choice(((4, 2), (6, 2), (8, 2), (10, 2), (12, 2), (14, 4), (18, 4), (20, 4), (22, 4), (26, 2), (28, 2), (30, 2),
                             (32, 2), (34, 2), (38, 4), (42, 4)))  # fmt: skip
    old = int.from_bytes(data[at + field : at + field + width], "little")
    new = r.choice(
        (0, 1, 8, 2**31, 0xFFFF, 0xFFFFFFFF, old + 1, old - 1, old ^ 1, old ^ 8, 0o120777 << 16)
    )
    changed[at + field : at + field + width] = (new % 256**width).to_bytes(width, "little")
    return bytes(changed)


def _found(data: bytes, mark: bytes) -> list[int]:
    places, at = [], data.find(mark)
    while at >= 0:
        places.append(at)
        at = data.find(mark, at + 1)
    return places


# ------------------------------------------------------------------------------------- checkpoints

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
_KINDS = ("json", "safetensors", "csv")


def together(files: Members) -> bytes:
    """The files of a folder as one row of bytes."""
    return b"".join(struct.pack("<2L", len(n), len(d)) + n.encode("latin-1") + d for n, d in files)


def apart(data: bytes) -> Members:
    """The files again, as far as they go."""
    files: Members = []
    at = 0
    while at + 8 <= len(data):
        name, size = struct.unpack("<2L", data[at : at + 8])
        begin = at + 8 + name
        files.append((data[at + 8 : begin].decode("latin-1"), data[begin : begin + size]))
        at = begin + size
    return files


def checkpoint(data: bytes) -> Any:
    """(step, finite, files) of the checkpoint of step 500, by docs/checkpoints.md."""
    files = dict(apart(data))
    told = canonical_json(files.pop("manifest.json", b""))
    if type(told) is not dict or list(told) != [
        "format",
        "version",
        "step",
        "finite",
        "members",
        "sha256",
    ]:
        raise Refused("fields")
    own = told.pop("sha256")
    if hashlib.sha256(json_text(told).encode()).hexdigest() != own:
        raise Refused("the manifest's own sum")
    head = [told["format"], told["version"], told["step"], told["finite"]]
    if repr(head[:3]) != "['glassgrad checkpoint', 1, 500]" or type(head[3]) is not bool:
        raise Refused("format, version, step or finite")
    members = told["members"]
    if type(members) is not dict or not 1 <= len(members) <= 32 or set(members) != set(files):
        raise Refused("members")
    if list(members) != sorted(members):
        raise Refused("members in another order")
    for name, fact in members.items():
        stem, _, kind = name.rpartition(".")
        plain = kind in _KINDS and 1 <= len(stem) <= 60 and set(stem) <= _LETTERS
        if not plain or not stem[0].isalpha() or type(fact) is not dict:
            raise Refused("a name")
        right = {"size": len(files[name]), "sha256": hashlib.sha256(files[name]).hexdigest()}
        if repr(fact) != repr(right):
            raise Refused("a sum")
    return 500, head[3], files


def signed(files: Members, **changes: Any) -> bytes:
    """A checkpoint with these files, every sum right, and some of what the manifest says changed."""
    facts = {n: {"size": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in files}
    told = {
        "format": "glassgrad checkpoint", "version": 1, "step": 500, "finite": True, "members": facts, **changes,
    }  # fmt: skip
    own = hashlib.sha256(json_text(told).encode()).hexdigest()
    return together([("manifest.json", json_text({**told, "sha256": own}).encode()), *files])


def checkpoint_file(r: Random, data: bytes, other: bytes) -> bytes:
    """Bytes of one of the files changed, no sum made right."""
    files = apart(data)
    if not files:
        return data
    at = r.randrange(len(files))
    name, old = files[at]
    change = _glass_words if name.endswith(".json") and r.random() < 0.6 else mutate.anywhere
    files[at] = (name, change(r, old, r.choice(files)[1] or b"{}"))
    return together(files)


def checkpoint_signed(r: Random, data: bytes, other: bytes) -> bytes:
    """Files changed, left out, added or renamed, or another manifest, with every sum right."""
    files = [f for f in apart(data) if f[0] != "manifest.json"]
    if not files:
        return data
    at, kind = r.randrange(len(files)), r.randrange(6)
    name, old = files[at]
    if kind == 0:
        files[at] = (name, mutate.anywhere(r, old, old or b"{}"))
    elif kind == 1:
        del files[at]
    elif kind == 2:
        files.append(
            (r.choice(("a.json", "z9_.csv", "lock", "a.py", "A.json", "é.json", "a.b.json")), b"x")
        )
    elif kind == 3:
        files[at] = (
            r.choice(("new.json", "_a.json", "9.json", "x" * 60 + ".csv", "x" * 61 + ".csv")),
            old,
        )
    elif kind == 4:
        r.shuffle(files)
    else:
        return signed(files, **r.choice((
            {"step": 501}, {"step": 500.0}, {"step": True}, {"finite": False}, {"finite": 0}, {"version": 2}, {"version": True},
            {"format": "glassgrad model"}, {"more": 1}, {"members": {}}, {"members": []},
        )))  # fmt: skip
    return signed(files)
