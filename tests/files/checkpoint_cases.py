"""Ways in which a checkpoint's folder can be wrong: each turns a good one into one to refuse."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from glassgrad.files.strict_json import write_json

Change = Callable[[Path], object]

MEMBERS = {
    "weights.safetensors": bytes(range(256)),
    "training.json": b"{}",
    "history.csv": b"epoch,loss\n0,1.5\n",
}


def signed(value: dict[str, Any]) -> bytes:
    """A manifest with the right checksum, whatever it says."""
    value = {k: v for k, v in value.items() if k != "sha256"}
    return write_json({**value, "sha256": hashlib.sha256(write_json(value)).hexdigest()})


def manifest(**changes: Any) -> Change:
    """Other fields in the manifest, its checksum right."""

    def change(folder: Path) -> None:
        file = folder / "manifest.json"
        file.write_bytes(signed({**json.loads(file.read_bytes()), **changes}))

    return change


def members(edit: Callable[[dict[str, Any]], Any]) -> Change:
    """Other members in the manifest, its checksum right."""

    def change(folder: Path) -> None:
        found = json.loads((folder / "manifest.json").read_bytes())["members"]
        edit(found)
        manifest(members=found)(folder)

    return change


def manifest_turned(folder: Path) -> None:
    found = json.loads((folder / "manifest.json").read_bytes())["members"]
    manifest(members=dict(reversed(found.items())))(folder)


def text(old: bytes, new: bytes) -> Change:
    """The manifest's text changed, its checksum as it was."""

    def change(folder: Path) -> None:
        data = (folder / "manifest.json").read_bytes()
        assert old in data
        (folder / "manifest.json").write_bytes(data.replace(old, new, 1))

    return change


def put(name: str, data: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(data)


def moved(make: Callable[[Path, Path], object], name: str = "weights.safetensors") -> Change:
    """A member moved out, and something else made of it in its place."""

    def change(folder: Path) -> None:
        outside = folder.parent / "outside"
        (folder / name).rename(outside)
        make(outside, folder / name)

    return change


def folder_is_link(folder: Path) -> None:
    folder.rename(folder.parent / "elsewhere")
    folder.symlink_to("elsewhere")


def in_a_folder(folder: Path) -> None:
    (folder / "more").mkdir()
    shutil.copy(folder / "history.csv", folder / "more")


def renamed(edit: dict[str, Any], old: str, new: str) -> None:
    edit[new] = edit.pop(old)


def cases() -> dict[str, Change]:
    """Named mutations of a good checkpoint's folder, each of which must be refused."""
    fact = {"size": 2, "sha256": hashlib.sha256(b"{}").hexdigest()}
    return {
        "missing member": lambda f: (f / "training.json").unlink(),
        "missing manifest": lambda f: (f / "manifest.json").unlink(),
        "missing everything": lambda f: [p.unlink() for p in f.iterdir()],
        "extra file": put("extra.json", b"{}"),
        "extra hidden file": put(".extra", b""),
        "extra folder": in_a_folder,
        "wrong bytes": put("weights.safetensors", bytes(256)),
        "zero length": put("weights.safetensors", b""),
        "zero length manifest": put("manifest.json", b""),
        "a byte less": put("weights.safetensors", bytes(range(255))),
        "a byte more": put("weights.safetensors", bytes(range(256)) + b"\0"),
        "members exchanged": lambda f: [
            (f / "training.json").write_bytes(MEMBERS["history.csv"]),
            (f / "history.csv").write_bytes(MEMBERS["training.json"]),
        ],
        "another step's manifest": manifest(step=400),
        "newer version": manifest(version=2),
        "older version": manifest(version=0),
        "version as a truth value": manifest(version=True),
        "version as text": manifest(version="1"),
        "another format": manifest(format="glassgrad model"),
        "step as a fraction": manifest(step=500.0),
        "negative step": manifest(step=-500),
        "finite as a number": manifest(finite=1),
        "unknown field": manifest(note="hello"),
        "field missing": lambda f: (f / "manifest.json").write_bytes(
            signed({"format": "glassgrad checkpoint", "version": 1, "step": 500, "members": {}})
        ),
        "no members": manifest(members={}),
        "members as a list": manifest(members=["training.json"]),
        "too many members": members(lambda m: m.update({f"a{i}.json": fact for i in range(40)})),
        "path upwards": members(lambda m: renamed(m, "training.json", "../training.json")),
        "absolute path": members(lambda m: renamed(m, "training.json", "/etc/passwd")),
        "path downwards": members(lambda m: renamed(m, "training.json", "more/training.json")),
        "backslash": members(lambda m: renamed(m, "training.json", "..\\training.json")),
        "name with a zero": members(lambda m: renamed(m, "training.json", "training\0.json")),
        "name with a line end": members(lambda m: renamed(m, "training.json", "training.json\n")),
        "pickle": members(lambda m: renamed(m, "training.json", "training.pkl")),
        "itself a member": members(lambda m: m.update({"manifest.json": fact})),
        "huge size": members(lambda m: m["history.csv"].update(size=2**61)),
        "negative size": members(lambda m: m["history.csv"].update(size=-1)),
        "size as a truth value": members(lambda m: m["history.csv"].update(size=True)),
        "checksum in capitals": members(
            lambda m: m["history.csv"].update(sha256=m["history.csv"]["sha256"].upper())
        ),
        "checksum too short": members(lambda m: m["history.csv"].update(sha256="00")),
        "checksum missing": members(lambda m: m["history.csv"].pop("sha256")),
        "member described by nothing": members(lambda m: m.update({"history.csv": None})),
        "members in another order": manifest_turned,
        "own checksum wrong": text(b'"step": 500', b'"step": 501'),
        "own checksum missing": lambda f: (f / "manifest.json").write_bytes(
            write_json({**json.loads((f / "manifest.json").read_bytes()), "sha256": None})
        ),
        "own checksum first": lambda f: (f / "manifest.json").write_bytes(
            write_json(
                dict(sorted(json.loads((f / "manifest.json").read_bytes()).items(), reverse=True))
            )
        ),
        "a space more": text(b'"step": 500', b'"step":  500'),
        "a line end at the end": lambda f: put(
            "manifest.json", (f / "manifest.json").read_bytes() + b"\n"
        )(f),
        "key twice": text(b'"step": 500', b'"step": 500,\n "step": 500'),
        "manifest cut short": lambda f: put(
            "manifest.json", (f / "manifest.json").read_bytes()[:-40]
        )(f),
        "manifest not JSON": put("manifest.json", b"\x80\x04K\x01."),
        "manifest of 20 MB": put("manifest.json", b" " * 20_000_000),
        "manifest nested deeply": put("manifest.json", b"[" * 15_000),
        "member a link": moved(lambda outside, file: file.symlink_to(outside)),
        "member a link to nothing": moved(lambda _, file: file.symlink_to("nothing")),
        "member a second name": moved(os.link),
        "member a pipe": moved(lambda _, file: os.mkfifo(file)),
        "member a folder": moved(lambda _, file: file.mkdir()),
        "manifest a link": moved(lambda outside, file: file.symlink_to(outside), "manifest.json"),
        "manifest a pipe": moved(lambda _, file: os.mkfifo(file), "manifest.json"),
        "folder a link": folder_is_link,
        "folder a file": lambda f: (f.rename(f.parent / "elsewhere"), f.write_bytes(b"step")),
    }
