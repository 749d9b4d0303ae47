"""Changed checkpoints: each is refused, or is byte for byte what a save of its contents writes."""

from __future__ import annotations

import hashlib
import json
import random
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from glassgrad.errors import FormatError
from glassgrad.files.checkpoint import read_checkpoint
from tests.files.checkpoint_cases import MEMBERS, signed
from tests.files.disks import MemoryDisk, State

ROOT = Path("/run")
PLACE = ROOT / "step-00000500"
MOST_SECONDS = 2.0
Files = dict[str, bytes]

TOKENS = (
    b"true", b"null", b"NaN", b"1e3", b"-1", b"0", b"500", b"500.0", b"2", b"99999999999999999999",
    b'""', b'"finite"', b'"members"', b'"size"', b'"sha256"', b"[]", b"{}", b"[[", b",", b":", b"\\u0000",
    b"\\ud800", b"\xff", b"\xef\xbb\xbf", b"\0", b"\n", b"  ", b'"../x.json"', b'"a.json"', b"manifest.json",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 500, 501, 500.0, 2**63, "", "500", "glassgrad checkpoint", [], {}, [500],
    {"size": 0, "sha256": "0" * 64}, "0" * 64, "../x", "history.csv", "manifest.json",
)  # fmt: skip
NAMES = ("a.json", "history.csv", "training.json", "weights.safetensors", "manifest.json",
         "x.pkl", ".x", "A.json", "b_2.csv")  # fmt: skip


class Listed(MemoryDisk):
    """A disk in memory that holds one checkpoint's folder."""

    def __init__(self, files: Files) -> None:
        names = {name: 10 + i for i, name in enumerate(files)}
        contents = {10 + i: bytearray(data) for i, data in enumerate(files.values())}
        super().__init__(ROOT, State({0: {PLACE.name: 1}, 1: names}, contents))


def save(step: int, members: Files, *, finite: bool) -> Files:
    """The files that a save writes, by other code than the library's."""
    facts = {
        name: {"size": len(members[name]), "sha256": hashlib.sha256(members[name]).hexdigest()}
        for name in sorted(members)
    }
    about = {"format": "glassgrad checkpoint", "version": 1, "step": step, "finite": finite}
    return {**members, "manifest.json": signed({**about, "members": facts})}


@cache
def written() -> Files:
    return save(500, MEMBERS, finite=True)


def mutated(seed: int) -> list[str]:
    """What is wrong with how this changed checkpoint is read: nothing."""
    rng = random.Random(seed)
    files = dict(written())
    again = False
    for _ in range(rng.randrange(1, 4)):
        rng.choice((change_bytes, change_bytes, change_manifest, change_names))(files, rng)
    if rng.random() < 0.5:
        again = sign(files)
    began = time.perf_counter()
    try:
        saved = read_checkpoint(PLACE, disk=Listed(files))
    except FormatError:
        return [] if files != written() else ["what a save wrote is refused"]
    except Exception as error:  # noqa: BLE001  # whatever else comes out is the failure
        return [f"{type(error).__name__}: {error}"]
    finally:
        slow = time.perf_counter() - began > MOST_SECONDS
    wrong = ["it took more than two seconds"] if slow else []
    if save(saved.step, saved.members, finite=saved.finite) != files:
        wrong.append("it was read, but a save would write it otherwise")
    if files != written() and not again:
        wrong.append("it was read though its bytes had changed")
    return wrong


def change_bytes(files: Files, rng: random.Random) -> None:
    if not files:
        return
    name = rng.choice(sorted(files))
    data = bytearray(files[name])
    at = rng.randrange(len(data) + 1)
    kind = rng.randrange(7)
    if kind == 0 and at < len(data):
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data[at:at] = rng.randbytes(rng.randrange(1, 4))
    elif kind == 2:
        del data[at : at + rng.randrange(1, 9)]
    elif kind == 3:
        del data[at:]
    elif kind == 4:
        data[at:at] = data[at : at + rng.randrange(1, 200)]
    elif kind == 5:
        data[at : at + rng.randrange(6)] = rng.choice(TOKENS)
    else:
        data += bytes(rng.randrange(1, 5))
    files[name] = bytes(data)


def change_names(files: Files, rng: random.Random) -> None:
    name, other = rng.choice(sorted(files) or ["a.json"]), rng.choice(NAMES)
    kind = rng.randrange(4)
    if kind == 0:
        files.pop(name, None)
    elif kind == 1:
        files[other] = files.get(name, b"")
    elif kind == 2:
        files[other] = files.pop(name, b"")
    else:
        files[name], files[other] = files.get(other, b""), files.get(name, b"")


def change_manifest(files: Files, rng: random.Random) -> None:
    """A value or a key somewhere in the manifest, changed; the form as it should be."""
    with suppress(ValueError, KeyError, RecursionError):
        value = json.loads(files["manifest.json"])
        places: list[tuple[Any, Any]] = []
        _collect(value, places)
        if places:
            holder, key = rng.choice(places)
            kind = rng.randrange(4)
            if kind == 0:
                del holder[key]
            elif kind == 1 and isinstance(holder, dict):
                holder[rng.choice(NAMES)] = holder.pop(key)
            elif kind == 2 and isinstance(holder, dict):
                holder[key] = holder.pop(key)  # to the end
            else:
                holder[key] = rng.choice(VALUES)
        files["manifest.json"] = json.dumps(value, indent=1).encode("ascii")


def _collect(value: Any, places: list[tuple[Any, Any]]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            places.append((value, key))
            _collect(inner, places)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            places.append((value, i))
            _collect(inner, places)


def sign(files: Files) -> bool:
    """Whether the manifest could be given the right checksum for what it says, and was."""
    with suppress(ValueError, KeyError, RecursionError, AttributeError):
        files["manifest.json"] = signed(json.loads(files["manifest.json"]))
        return True
    return False
