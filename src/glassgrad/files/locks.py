"""One writer to a folder: a lock that the system lets go of when its holder dies."""

from __future__ import annotations

import os
import platform
import weakref
from contextlib import suppress
from pathlib import Path

from glassgrad.errors import CheckpointError, shown, told

from .disk import lock_handle

_MOST_TOLD = 300
_held: weakref.WeakSet[Lock] = weakref.WeakSet()


class Lock:
    """The only one to hold this file, from its making until `release` or the process's end.

    The file says who holds it. Where the system has no such locks the file itself is the lock:
    then what a killed process left behind has to be removed by hand.
    Raises CheckpointError, naming the holder, if another process, or this one, holds it.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.process = os.getpid()
        self._is_file = False  # whether the file itself is the lock
        holder = f"process {self.process} on {platform.node() or 'this machine'}"
        try:
            self._handle = _opened(file, os.O_CREAT)
            try:
                self._take()
                os.ftruncate(self._handle, 0)
                os.write(self._handle, holder.encode("utf-8", "replace"))
            except BaseException:
                os.close(self._handle)
                raise
        except OSError as error:
            raise CheckpointError(
                "the folder cannot be locked",
                where=told(file),
                expected="a folder that may be written to",
                received=error.strerror or str(error),
            ) from error
        _held.add(self)

    def _take(self) -> None:
        try:
            free = lock_handle(self._handle)
        except OSError:  # no locks here
            self._take_by_making()
            return
        if not free:
            raise _taken(self.file, _holder(self._handle))

    def _take_by_making(self) -> None:
        mark = self.file.with_name(f"{self.file.name}.held")
        try:
            made = _opened(mark, os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            with mark.open("rb") as stream:
                holder = _holder(stream.fileno())
            raise _taken(mark, holder, by_hand=True) from None
        os.close(self._handle)
        self._handle, self.file, self._is_file = made, mark, True

    @property
    def released(self) -> bool:
        """Whether this process does not hold it (any more)."""
        return self._handle < 0 or os.getpid() != self.process

    def release(self) -> None:
        """Let another have it; again, or in a forked process, this does nothing."""
        if self.released:
            return
        # First emptied, while still ours: a file that names nobody is not held.
        with suppress(OSError):
            os.ftruncate(self._handle, 0)
            if self._is_file:
                self.file.unlink()
        os.close(self._handle)
        self._handle = -1


def _opened(file: Path, how: int) -> int:
    extra = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(file, os.O_RDWR | how | extra, 0o600)


def _holder(handle: int) -> str:
    with suppress(OSError):
        holder = os.read(handle, _MOST_TOLD).decode("utf-8", "replace")
        return told(holder) if holder else "another process"
    return "another process"


def _taken(file: Path, holder: str, *, by_hand: bool = False) -> CheckpointError:
    return CheckpointError(
        "somebody else writes to this folder",
        where=told(file.parent),
        expected="one writer at a time",
        received=f"held by {holder}",
        hint=f"if that process is gone, remove {shown(file.name)} from the folder"
        if by_hand
        else "wait for it, or give another folder",
    )


def _let_go() -> None:
    """A forked child has the parent's handles: while it lived, the lock would not end."""
    for lock in list(_held):
        if lock._handle >= 0:
            with suppress(OSError):
                os.close(lock._handle)
            lock._handle = -1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
