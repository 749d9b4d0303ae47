"""Disks for tests: one in memory that keeps a log and forgets, and one whose calls fail."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glassgrad.errors import FormatError
from glassgrad.files.disk import Disk

BLOCK = 512  # what of a write reaches a disk or does not


@dataclass(frozen=True)
class Entry:
    """Names in a folder: each stands for something else from now on, or for nothing."""

    inode: int
    names: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True)
class Data:
    """A block of a file's bytes."""

    inode: int
    start: int
    data: bytes


@dataclass(frozen=True)
class Sync:
    """What was done before to this file or folder is on the disk now."""

    inode: int


Call = Entry | Data | Sync
Places = list[int]  # of calls in a log


@dataclass
class State:
    """What stands on a disk: folders and files by number; folder 0 is the root."""

    folders: dict[int, dict[str, int]] = field(default_factory=lambda: {0: {}})
    files: dict[int, bytearray] = field(default_factory=dict)

    def copy(self) -> State:
        return State(
            {n: dict(names) for n, names in self.folders.items()},
            {n: bytearray(data) for n, data in self.files.items()},
        )

    def apply(self, call: Call) -> None:
        if isinstance(call, Entry):
            names = self.folders.setdefault(call.inode, {})
            for name, target in call.names:
                if target is None:
                    names.pop(name, None)
                else:
                    names[name] = target
        elif isinstance(call, Data):
            data = self.files.setdefault(call.inode, bytearray())
            if len(data) < call.start:
                data.extend(bytes(call.start - len(data)))  # a hole reads as zeros
            data[call.start : call.start + len(call.data)] = call.data


class MemoryDisk(Disk):
    """A disk in memory below one root, with a log of what was asked of it."""

    _numbers = itertools.count(1)

    def __init__(self, root: Path, state: State | None = None) -> None:
        self.root = root
        self.start = state.copy() if state else State()
        self.now = self.start.copy()
        self.log: list[Call] = []
        self.kinds: dict[int, bool] = {}  # whether a number is a folder's
        self.handles: dict[int, list[int]] = {}

    def __deepcopy__(self, _: object) -> MemoryDisk:
        return MemoryDisk(self.root, self.now)

    def _do(self, call: Call) -> None:
        self.log.append(call)
        self.now.apply(call)

    def _find(self, path: Path) -> int:
        inode = 0
        for part in path.relative_to(self.root).parts:
            if part not in self.now.folders.get(inode, {}):
                raise FileNotFoundError(errno.ENOENT, "No such file or directory")
            inode = self.now.folders[inode][part]
        return inode

    def _new(self, path: Path, *, folder: bool) -> int:
        parent = self._find(path.parent)
        if path.name in self.now.folders[parent]:
            raise FileExistsError(errno.EEXIST, "File exists")
        inode = next(self._numbers)
        if folder:
            self.now.folders[inode] = {}
        else:
            self.now.files[inode] = bytearray()
        self.kinds[inode] = folder
        self._do(Entry(parent, ((path.name, inode),)))
        return inode

    def make_folder(self, folder: Path, *, private: bool = False) -> None:
        self._new(folder, folder=True)

    def _handle(self, inode: int) -> int:
        handle = next(self._numbers)
        self.handles[handle] = [inode, 0]
        return handle

    def create(self, file: Path) -> int:
        return self._handle(self._new(file, folder=False))

    def put(self, handle: int, data: memoryview) -> int:
        inode, at = self.handles[handle]
        rest = bytes(data)
        while rest:  # by the disk's blocks
            size = BLOCK - at % BLOCK
            self._do(Data(inode, at, rest[:size]))
            at, rest = at + len(rest[:size]), rest[size:]
        self.handles[handle][1] = at
        return len(data)

    def sync(self, handle: int) -> None:
        self._do(Sync(self.handles[handle][0]))

    def close(self, handle: int) -> None:
        del self.handles[handle]

    def sync_folder(self, folder: Path) -> None:
        self._do(Sync(self._find(folder)))

    def rename(self, old: Path, new: Path) -> None:
        parent, inode = self._find(old.parent), self._find(old)
        assert parent == self._find(new.parent)
        there = self.now.folders[parent].get(new.name)
        if there is not None and self.now.folders.get(there):
            raise OSError(errno.ENOTEMPTY, "Directory not empty")
        self._do(Entry(parent, ((old.name, None), (new.name, inode))))

    def remove(self, file: Path) -> None:
        assert self._find(file) in self.now.files
        self._do(Entry(self._find(file.parent), ((file.name, None),)))

    def remove_folder(self, folder: Path) -> None:
        if self.now.folders[self._find(folder)]:
            raise OSError(errno.ENOTEMPTY, "Directory not empty")
        self._do(Entry(self._find(folder.parent), ((folder.name, None),)))

    def list(self, folder: Path) -> dict[str, bool]:
        names = self.now.folders[self._find(folder)]
        return {name: inode in self.now.folders for name, inode in names.items()}

    def open(self, file: Path) -> tuple[int, int]:
        inode = self._find(file)
        if inode not in self.now.files:
            raise FormatError("this is no plain file")
        return self._handle(inode), len(self.now.files[inode])

    def get(self, handle: int, most: int) -> bytes:
        inode, at = self.handles[handle]
        data = bytes(self.now.files[inode][at : at + most])
        self.handles[handle][1] += len(data)
        return data

    def forget(self, handle: int) -> None:
        assert handle in self.handles

    def free(self, folder: Path) -> int:
        self._find(folder)
        return 2**40

    # ------------------------------------------------------------------------------- forgetting

    def unsure(self, upto: int) -> Places:
        """Which of the first calls the disk may have lost, if the power failed after them."""
        synced: set[int] = set()
        found = []
        for place in reversed(range(upto)):
            call = self.log[place]
            if isinstance(call, Sync):
                synced.add(call.inode)
            elif call.inode not in synced:
                found.append(place)
        return found[::-1]

    def after(self, upto: int, lost: Iterable[int]) -> MemoryDisk:
        """The disk as it comes back if the power failed after these calls and lost some of them."""
        gone = set(lost)
        state = self.start.copy()
        for inode, folder in self.kinds.items():  # empty until something in them is on the disk
            if folder:
                state.folders[inode] = {}
            else:
                state.files[inode] = bytearray()
        for place, call in enumerate(self.log[:upto]):
            if place not in gone:
                state.apply(call)
        return MemoryDisk(self.root, state)


class Killed(BaseException):
    """The process is gone: nobody catches this."""


Fault = Callable[[str, "Callable[[], Any]"], Any]


class FaultyDisk(Disk):
    """Another disk, whose calls with certain numbers go wrong; `calls` lists their names."""

    def __init__(self, inner: Disk, fault: Fault | None = None, at: Sequence[int] = ()) -> None:
        self.inner = inner
        self.fault = fault
        self.at = at
        self.calls: list[str] = []

    def _call(self, name: str, *arguments: Any, **settings: Any) -> Any:
        number = len(self.calls)
        self.calls.append(name)

        def do() -> Any:
            return getattr(self.inner, name)(*arguments, **settings)

        if self.fault is not None and number in self.at:
            if name == "put" and self.fault is short:
                return self.inner.put(arguments[0], arguments[1][: len(arguments[1]) // 2])
            return self.fault(name, do)
        return do()

    def make_folder(self, folder: Path, *, private: bool = False) -> None:
        self._call("make_folder", folder, private=private)

    def create(self, file: Path) -> int:
        return int(self._call("create", file))

    def put(self, handle: int, data: memoryview) -> int:
        return int(self._call("put", handle, data))

    def sync(self, handle: int) -> None:
        self._call("sync", handle)

    def close(self, handle: int) -> None:
        self._call("close", handle)

    def sync_folder(self, folder: Path) -> None:
        self._call("sync_folder", folder)

    def rename(self, old: Path, new: Path) -> None:
        self._call("rename", old, new)

    def remove(self, file: Path) -> None:
        self._call("remove", file)

    def remove_folder(self, folder: Path) -> None:
        self._call("remove_folder", folder)

    def list(self, folder: Path) -> dict[str, bool]:
        return dict(self._call("list", folder))

    def open(self, file: Path) -> tuple[int, int]:
        handle, size = self._call("open", file)
        return handle, size

    def get(self, handle: int, most: int) -> bytes:
        return bytes(self._call("get", handle, most))

    def forget(self, handle: int) -> None:
        self._call("forget", handle)

    def free(self, folder: Path) -> int:
        return int(self._call("free", folder))


def full(name: str, do: Callable[[], Any]) -> Any:
    """No space left on the device, for what needs some."""
    if name in {"make_folder", "create", "put", "sync", "sync_folder", "rename"}:
        raise OSError(errno.ENOSPC, "No space left on device")
    return do()


def broken(name: str, do: Callable[[], Any]) -> Any:
    """An error of the device, the call not done (but a handle is always given back)."""
    if name == "close":
        do()
    raise OSError(errno.EIO, "Input/output error")


def late(_: str, do: Callable[[], Any]) -> Any:
    """An error of the device, though the call was done."""
    do()
    raise OSError(errno.EIO, "Input/output error")


def short(name: str, do: Callable[[], Any]) -> Any:
    """Half of the bytes are read; `put` takes half of them."""
    found = do()
    return found[: (len(found) + 1) // 2] if name == "get" else found


def rotten(name: str, do: Callable[[], Any]) -> Any:
    """Other bytes are read than were written."""
    found = do()
    return bytes([found[0] ^ 4]) + found[1:] if name == "get" else found


def killed(_: str, __: Callable[[], Any]) -> Any:
    """The process dies before the call."""
    raise Killed


def killed_late(_: str, do: Callable[[], Any]) -> Any:
    """The process dies after the call."""
    do()
    raise Killed


FAULTS: dict[str, Fault] = {
    f.__name__: f for f in (full, broken, late, short, rotten, killed, killed_late)
}
