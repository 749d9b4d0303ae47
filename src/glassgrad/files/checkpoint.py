"""Checkpoints on disk: folders of checked files, of which a good one is always to be found.

What is in them is for others to say; here they are bytes by name. The layout and the order of
calls, and why that order, stand in docs/checkpoints.md.
"""

from __future__ import annotations

import errno
import hashlib
import re
import secrets
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from numpy.typing import NDArray

from glassgrad.errors import (
    CheckpointError,
    CheckpointWarning,
    FormatError,
    UsageError,
    shown,
    told,
)

from .disk import DISK, Disk
from .locks import Lock
from .strict_json import read_json, write_json

FORMAT = "glassgrad checkpoint"
VERSION = 1
MANIFEST = "manifest.json"
LOCK = "lock"
MOST_MEMBERS = 32
MOST_MANIFEST = 16384  # bytes; 32 members take less than 8000
Buffer = bytes | bytearray | memoryview | NDArray[Any]
Member = Buffer | Sequence[Buffer]

_MEMBER = re.compile(r"[a-z][a-z0-9_]{0,59}\.(json|safetensors|csv)")
_STEP = re.compile(r"step-([0-9]{8,15})")
_LEFT = re.compile(r"(step-[0-9]{8,15})\.(tmp|old)-[0-9a-f]{8}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_BLOCK = 2**20  # bytes read at once to be checked
_NO_ROOM = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_DAMAGE = (FormatError, CheckpointError)


@dataclass(frozen=True, slots=True)
class Saved:
    """One verified checkpoint, in memory: files by name, and whether all its numbers are finite."""

    step: int
    path: Path
    members: dict[str, bytes]
    finite: bool


@dataclass(frozen=True, slots=True)
class _Manifest:
    step: int
    finite: bool
    members: dict[str, tuple[int, str]]  # size and SHA-256 by name


class Store:
    """A folder of checkpoints and the only writer to it.

    Keeps the last `keep` of them, and the last finite one besides. The folder is made where it is
    missing; what a killed process left half done in it is cleared away.
    Raises CheckpointError where the folder cannot be used, or another process writes to it.
    """

    def __init__(self, folder: str | Path, *, keep: int = 3, disk: Disk = DISK) -> None:
        if type(keep) is not int or keep < 1:
            raise UsageError(
                "keep is no number of checkpoints",
                expected="a whole number from 1",
                received=shown(keep),
            )
        self.folder = Path(folder)
        self.keep = keep
        self.disk = disk
        self._finite: dict[int, bool | None] = {}  # of those looked at; None: it does not verify
        with _doing("make the folder of checkpoints", self.folder):
            disk.make_folders(self.folder)
        self._lock = Lock(self.folder / LOCK)
        try:
            with _doing("clear away what was left half done", self.folder):
                self._tidy()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let another write to the folder."""
        self._lock.release()

    def steps(self) -> list[int]:
        """The steps of the checkpoints in the folder, verified or not, ascending."""
        with _doing("list the checkpoints", self.folder):
            names = self.disk.list(self.folder)
        return sorted(step for name in names if (step := _step_of(name)) is not None)

    def newest(self) -> Saved | None:
        """The newest checkpoint that verifies, or None where there are none.

        For each newer one there is a CheckpointWarning with the reason.
        Raises CheckpointError if there are some and none of them verifies.
        """
        steps = self.steps()
        failures: list[str] = []
        for step in reversed(steps):
            try:
                saved = read_checkpoint(self.folder / _name(step), disk=self.disk)
            except _DAMAGE as error:
                self._finite[step] = None
                failures.append(f"{_name(step)}: {_cause(error)}")
                continue
            self._finite[step] = saved.finite
            for failure in failures:
                _warn(
                    f"the checkpoint of step {step:,} is used, as a newer one cannot be: {failure}"
                )
            return saved
        if steps:
            raise CheckpointError(
                "no checkpoint in this folder can be used",
                where=told(self.folder),
                expected="at least one that is as it was written",
                received="; ".join(failures[:3]) + ("; ..." if len(failures) > 3 else ""),
                hint="start afresh in another folder",
            )
        return None

    def save(self, step: int, members: Mapping[str, Member], *, finite: bool) -> Path:
        """Write a checkpoint, read it back, then let go of those no longer kept; its folder.

        A list of buffers is written as one file. Raises CheckpointError, saying what was being
        done, if anything fails: then the checkpoints that were there are as they were.
        """
        parts = {name: _parts(data) for name, data in members.items()}
        _check_names(step, parts)
        if self._lock.released:
            raise CheckpointError(
                "this store of checkpoints is closed", where=told(self.folder), received="a save"
            )
        self._check_worth(step, finite=finite)
        facts = {name: (_size(p), _digest(p)) for name, p in sorted(parts.items())}
        about = _Manifest(step, bool(finite), facts)
        manifest = _manifest_bytes(about)
        needed = sum(size for size, _ in facts.values()) + len(manifest)
        self._check_room(needed)
        with _doing(f"write the checkpoint of step {step:,}", self.folder):
            try:
                self._place(about, {**parts, MANIFEST: [memoryview(manifest)]})
            except OSError as error:
                if error.errno in _NO_ROOM:  # others write there too, or there is a quota
                    free = self.disk.free(self.folder)
                    raise self._no_room(needed, free, _reason(error)) from error
                raise
        self._finite[step] = about.finite
        try:
            self._prune(step)
        except CheckpointError as error:  # the new one stands all the same
            _warn(f"older checkpoints stay: {error.what}: {error.received}")
        return self.folder / _name(step)

    # ---------------------------------------------------------------------------------- writing

    def _check_worth(self, step: int, *, finite: bool) -> None:
        """No checkpoint that is finite, or may be, makes way for one that is not."""
        place = self.folder / _name(step)
        if not finite and step in self.steps() and self._look(place) is not False:
            raise CheckpointError(
                "a checkpoint of this step is there already",
                where=told(place),
                expected="a finite one, or one of another step",
                received="one that is not finite",
            )

    def _check_room(self, needed: int) -> None:
        with _doing("ask how much room there is", self.folder):
            free = self.disk.free(self.folder)
        if free * 10 < needed * 11:
            raise self._no_room(needed, free)

    def _no_room(self, needed: int, free: int, why: str = "") -> CheckpointError:
        return CheckpointError(
            "there is no room for a checkpoint",
            where=told(self.folder),
            expected=f"{needed:,} bytes and a tenth more",
            received=f"{free:,} bytes free" + (f": {why}" if why else ""),
            hint="make room, keep fewer checkpoints, or give a folder on another disk",
        )

    def _place(self, about: _Manifest, files: Mapping[str, Sequence[memoryview]]) -> None:
        disk, final = self.disk, self.folder / _name(about.step)
        beside = _aside(final, "tmp")
        old: Path | None = None
        placed = False
        try:
            disk.make_folder(beside, private=True)
            for name, parts in files.items():  # the manifest is the last
                disk.write(beside / name, parts)
            disk.sync_folder(beside)
            if final.name in disk.list(self.folder):
                # One of this step that was not used, or of a run done again: kept until the new
                # one is verified, and put back by the next to come if this process dies.
                old = _aside(final, "old")
                disk.rename(final, old)
            disk.rename(beside, final)
            placed = True
            disk.sync_folder(self.folder)
            if _verify(final, disk, final.name) != about:
                raise FormatError("the manifest is read otherwise than it was written")
        except BaseException:
            self._undo(beside, final if placed else None, old)
            raise
        if old is not None:
            self._discard(old)

    def _undo(self, beside: Path, placed: Path | None, old: Path | None) -> None:
        """After a failure: what was made goes, what was there comes back, as far as can be."""
        with suppress(OSError):
            if old is not None:
                # Names that change back before the change has reached the disk may be lost there.
                # Where it cannot, all stays in place: the next to open the folder puts it right.
                self.disk.sync_folder(self.folder)
            if placed is not None:
                self.disk.rename(placed, beside)
            if old is not None:
                self.disk.rename(old, old.with_name(old.name.partition(".")[0]))
            if placed is not None:
                self.disk.sync_folder(self.folder)
            self._empty(beside)

    def _prune(self, new: int) -> None:
        """Remove what is older than the last `keep` that verify, but for the last finite one.

        A damaged one counts as none of these, and stays until they are complete: what cannot be
        read today may be the only finite one. So does one of a later step than the new one: work
        fell back behind it because it could not be read.
        """
        kept, finite = 1, bool(self._finite[new])
        for step in reversed(self.steps()):
            if step >= new:
                continue
            if kept >= self.keep and finite:
                self._let_go(step)
                continue
            if step not in self._finite:
                self._finite[step] = self._look(self.folder / _name(step))
            good = self._finite[step]
            if good is None:
                continue
            if kept < self.keep or good:
                kept, finite = kept + 1, finite or good
            else:
                self._let_go(step)

    def _let_go(self, step: int) -> None:
        self._discard(self.folder / _name(step))
        self._finite.pop(step, None)

    def _look(self, folder: Path, place: Path | None = None) -> bool | None:
        """Whether a checkpoint is finite, or None where it would not verify in this place."""
        try:
            return _verify(folder, self.disk, (place or folder).name).finite
        except (OSError, *_DAMAGE):
            return None

    def _discard(self, folder: Path) -> None:
        """Remove a checkpoint: first from among the good names, in one go, then its files."""
        try:
            aside = folder
            if ".tmp-" not in folder.name:  # else it might come back, its files half gone
                aside = _aside(folder.with_name(folder.name.partition(".")[0]), "tmp")
                self.disk.rename(folder, aside)
                self.disk.sync_folder(self.folder)
            self._empty(aside)
        except OSError as error:
            _warn(f"what is no longer kept cannot be removed: {told(folder)}: {_reason(error)}")

    def _empty(self, folder: Path) -> None:
        for name in self.disk.list(folder):
            self.disk.remove(folder / name)
        self.disk.remove_folder(folder)

    def _tidy(self) -> None:
        """Finish what writers that died were doing: we hold the lock, so none of them lives."""
        left = self._left()
        if left:
            # The names that writer gave may not have reached the disk, and must before they change.
            self.disk.sync_folder(self.folder)
        for name, match in left.items():
            if match[2] == "old":
                self._put_back(self.folder / name, self.folder / match[1])
                self.disk.sync_folder(self.folder)
        for name in self._left():
            self._discard(self.folder / name)

    def _left(self) -> dict[str, re.Match[str]]:
        names = self.disk.list(self.folder).items()
        return {n: m for n, folder in names if folder and (m := _LEFT.fullmatch(n))}

    def _put_back(self, old: Path, final: Path) -> None:
        """Undo a replacement, unless what replaced it is good or what was there is not."""
        if final.name in self.disk.list(self.folder):
            if self._look(final) is not None or self._look(old, final) is None:
                return
            self.disk.rename(final, _aside(final, "tmp"))
        self.disk.rename(old, final)


def read_checkpoint(path: str | Path, *, disk: Disk = DISK) -> Saved:
    """One checkpoint's files, read as if they were hostile.

    Raises FormatError unless the folder holds exactly what was written there, byte for byte, and
    CheckpointError where it cannot be read.
    """
    folder = Path(path)
    with _doing("read a checkpoint", folder):
        about = _read_manifest(folder, disk, folder.name)
        found = {}
        for name, (size, digest) in about.members.items():
            data = b"".join(disk.blocks(folder / name, size, max(size, 1)))
            _check_digest(hashlib.sha256(data).hexdigest(), digest, folder / name)
            found[name] = data
    return Saved(about.step, folder, found, about.finite)


# --------------------------------------------------------------------------------------- reading


def _read_manifest(folder: Path, disk: Disk, called: str) -> _Manifest:
    """What a folder says of itself, once it is known to hold that and to be one of this name."""
    step = _step_of(called)
    if step is None or not disk.list(folder.parent).get(folder.name):
        raise FormatError(
            "this is no checkpoint",
            where=told(folder),
            expected="a folder, no link, with a name like step-00000500",
        )
    where = folder / MANIFEST
    names = sorted(disk.list(folder))
    if MANIFEST not in names:
        raise FormatError("the manifest is missing", where=told(folder))
    size = disk.size(where)
    if size > MOST_MANIFEST:
        raise FormatError(
            "the manifest is too large",
            where=told(where),
            expected=f"at most {MOST_MANIFEST:,} bytes",
            received=f"{size:,}",
        )
    about = _parse(b"".join(disk.blocks(where, size, MOST_MANIFEST)), told(where))
    if about.step != step:
        raise FormatError(
            "the manifest is another checkpoint's",
            where=told(where),
            expected=f"step {step:,}",
            received=f"step {about.step:,}",
        )
    wanted = sorted([*about.members, MANIFEST])
    if names != wanted:
        odd = min(set(names) ^ set(wanted))
        raise FormatError(
            "a file is missing" if odd in wanted else "a file is there that does not belong",
            where=told(folder),
            expected="the files of the manifest and no others",
            received=f"{'no ' if odd in wanted else ''}{shown(odd)}",
        )
    for name, (bytes_, _) in about.members.items():  # all sizes, before any is read
        if (found := disk.size(folder / name)) != bytes_:
            raise FormatError(
                "a file has another size",
                where=told(folder / name),
                expected=f"{bytes_:,} bytes",
                received=f"{found:,}",
            )
    return about


def _parse(data: bytes, where: str) -> _Manifest:
    value = read_json(data, where, MOST_MANIFEST)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise FormatError("this is no checkpoint's manifest", where=where, received=shown(value))
    version = value.get("version")
    if type(version) is not int or version != VERSION:
        newer = type(version) is int and version > VERSION
        raise FormatError(
            "a checkpoint of a newer glassgrad" if newer else "an unknown version of checkpoint",
            where=where,
            expected=f"version {VERSION}",
            received=shown(version),
            hint="update glassgrad" if newer else "",
        )
    last = list(value)[-1]
    digest = value.pop("sha256", None)
    if last != "sha256" or digest != hashlib.sha256(write_json(value)).hexdigest():
        raise FormatError("the manifest's own checksum does not match", where=where)
    if list(value) != ["format", "version", "step", "finite", "members"]:
        raise FormatError("the manifest has other fields", where=where, received=shown(list(value)))
    step, finite, members = value["step"], value["finite"], value["members"]
    if type(step) is not int or not 0 <= step < 10**15 or type(finite) is not bool:
        raise FormatError("step or finite is wrong", where=where, received=shown([step, finite]))
    if (
        not isinstance(members, dict)
        or not 1 <= len(members) <= MOST_MEMBERS
        or list(members) != sorted(members)
    ):
        raise FormatError(
            "the members are wrong",
            where=where,
            expected=f"1 to {MOST_MEMBERS} of them, in the order of their names",
            received=shown(members),
        )
    return _Manifest(step, finite, {n: _fact(n, fact, where) for n, fact in members.items()})


def _fact(name: str, fact: Any, where: str) -> tuple[int, str]:
    if not _is_member(name):
        raise FormatError(
            "a member's name is wrong",
            where=where,
            expected="small letters, digits, _ and .json, .safetensors or .csv",
            received=shown(name),
        )
    if not isinstance(fact, dict) or list(fact) != ["size", "sha256"]:
        raise FormatError(f"{name} is described wrongly", where=where, received=shown(fact))
    size, digest = fact["size"], fact["sha256"]
    if type(size) is not int or not 0 <= size < 2**62:
        raise FormatError(f"{name} has no size", where=where, received=shown(size))
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise FormatError(f"{name} has no checksum", where=where, received=shown(digest))
    return size, digest


def _verify(folder: Path, disk: Disk, called: str) -> _Manifest:
    """Read a checkpoint from the disk a part at a time: FormatError unless it is as written."""
    about = _read_manifest(folder, disk, called)
    for name, (size, digest) in about.members.items():
        found = hashlib.sha256()
        for block in disk.blocks(folder / name, size, _BLOCK, fresh=True):
            found.update(block)
        _check_digest(found.hexdigest(), digest, folder / name)
    return about


def _check_digest(found: str, digest: str, file: Path) -> None:
    if found != digest:
        raise FormatError(
            "a checksum does not match",
            where=told(file),
            expected=f"SHA-256 {digest[:16]}...",
            received=f"{found[:16]}...",
        )


# ------------------------------------------------------------------------------------- the parts


def _parts(data: Member) -> list[memoryview]:
    """The buffers of a member as bytes, none of them copied."""
    pieces: Sequence[Any] = data if isinstance(data, list | tuple) else [data]
    views = [memoryview(piece) for piece in pieces]
    return [view.cast("B") for view in views if view.nbytes]


def _size(parts: Sequence[memoryview]) -> int:
    return sum(part.nbytes for part in parts)


def _digest(parts: Sequence[memoryview]) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def _manifest_bytes(about: _Manifest) -> bytes:
    """The manifest, whose last line is the checksum of what it says before."""
    value = {
        "format": FORMAT,
        "version": VERSION,
        "step": about.step,
        "finite": about.finite,
        "members": {n: {"size": s, "sha256": digest} for n, (s, digest) in about.members.items()},
    }
    return write_json({**value, "sha256": hashlib.sha256(write_json(value)).hexdigest()})


def _check_names(step: int, names: Mapping[str, object]) -> None:
    if type(step) is not int or not 0 <= step < 10**15:
        raise UsageError("this is no step", expected="a whole number from 0", received=shown(step))
    if not 1 <= len(names) <= MOST_MEMBERS:
        raise UsageError(
            "a checkpoint cannot have these members",
            expected=f"1 to {MOST_MEMBERS} of them",
            received=str(len(names)),
        )
    for name in names:
        if not _is_member(name):
            raise UsageError(
                "a member of a checkpoint cannot have this name",
                expected="small letters, digits, _ and .json, .safetensors or .csv",
                received=shown(name),
            )


def _aside(final: Path, kind: str) -> Path:
    return final.with_name(f"{final.name}.{kind}-{secrets.token_hex(4)}")


def _is_member(name: str) -> bool:
    return name != MANIFEST and _MEMBER.fullmatch(name) is not None


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _step_of(name: str) -> int | None:
    match = _STEP.fullmatch(name)
    return int(match[1]) if match and _name(int(match[1])) == name else None


@contextmanager
def _doing(what: str, where: Path) -> Iterator[None]:
    """An error of the system, or of bytes read back, as one that says what was being done."""
    try:
        yield
    except (OSError, ValueError, MemoryError) as error:
        if isinstance(error, FormatError) and what.startswith("read"):
            raise
        raise CheckpointError(
            f"cannot {what}", where=told(where), received=_reason(error)
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, FormatError):
        return f"{_cause(error)} ({error.where})" if error.where else _cause(error)
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return told(reason)


def _warn(what: str) -> None:
    warnings.warn(what, CheckpointWarning, stacklevel=3)


def _cause(error: FormatError | CheckpointError) -> str:
    return f"{error.what}: {error.received}" if error.received else error.what
