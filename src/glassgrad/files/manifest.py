"""The members of a `.glass` file, and the first of them: what the others must be, byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from glassgrad.errors import ConfigError, FormatError, shown

from .archive import check_names, pack, unpack
from .strict_json import read_json, write_json

FORMAT = "glassgrad model"
VERSION = 1
MANIFEST = "manifest.json"
# In this order, each with the most bytes that are read of it; a zip without its 64-bit extension
# holds no more than the last.
MEMBERS = {
    "graph.json": 2 * 2**20,
    "weights.safetensors": 2**32,
    "training.json": 2**20,
    "signature.json": 16 * 2**20,
    "preparation.json": 16 * 2**20,
    "history.csv": 64 * 2**20,
    "check.safetensors": 2**30,
}
_MOST_MANIFEST = 2**16


def manifest(members: Mapping[str, bytes | memoryview]) -> bytes:
    """Format, version, and size and SHA-256 of every other member."""
    listed = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in members.items()
    }
    return write_json({"format": FORMAT, "version": VERSION, "members": listed})


def sealed(members: Mapping[str, bytes]) -> bytes:
    """The bytes of a `.glass` file with these members. Raises ConfigError for one too large."""
    assert tuple(members) == tuple(MEMBERS)
    for name, most in MEMBERS.items():
        if len(members[name]) > most:
            raise ConfigError(
                "a part of the model is too large for a file",
                where=name,
                expected=f"at most {most:,} bytes",
                received=f"{len(members[name]):,}",
            )
    return pack({MANIFEST: manifest(members), **members})


def opened(data: bytes) -> dict[str, memoryview]:
    """The members of a `.glass` file, each as the manifest says. Raises FormatError otherwise."""
    found = unpack(data)
    first = next(iter(found), "")
    if first != MANIFEST:
        raise FormatError(
            "this zip is not a .glass file",
            expected=f"{MANIFEST} as its first member",
            received=shown(first) if first else "no member",
        )
    stored = bytes(found.pop(MANIFEST))
    listed = _listed(read_json(stored, MANIFEST, _MOST_MANIFEST))
    check_names(found, tuple(MEMBERS))
    check_names(listed, tuple(MEMBERS))
    for name, member in found.items():
        _check(name, member, listed[name])
    if manifest(found) != stored:
        raise FormatError(
            "the manifest is not as we write it", where=MANIFEST, expected="one form only"
        )
    return found


def _listed(description: Any) -> dict[str, Any]:
    """What the manifest says of the members, if it is one of this version."""
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise FormatError(
            "another format", where=MANIFEST, expected=FORMAT, received=shown(description)
        )
    version = description.get("version")
    if type(version) is not int or version != VERSION:
        newer = type(version) is int and version > VERSION
        raise FormatError(
            "another version of the format",
            where=MANIFEST,
            expected=f"version {VERSION}",
            received=shown(version),
            hint="a newer glassgrad reads it" if newer else "",
        )
    members = description.get("members")
    if list(description) != ["format", "version", "members"] or not isinstance(members, dict):
        raise FormatError(
            "the manifest has other parts",
            where=MANIFEST,
            expected="format, version, members",
            received=shown(list(description)),
        )
    return members


def _check(name: str, member: memoryview, said: Any) -> None:
    most = MEMBERS[name]
    if len(member) > most:
        raise FormatError(
            "a part of the file is too large",
            where=name,
            expected=f"at most {most:,} bytes",
            received=f"{len(member):,}",
        )
    actual = {"bytes": len(member), "sha256": hashlib.sha256(member).hexdigest()}
    if said != actual:
        raise FormatError(
            "a member is not the one that the manifest describes",
            where=name,
            expected=shown(said, 120),
            received=shown(actual, 120),
            hint="copy the file again from where it came",
        )
