"""The few calls to the file system that a durable write makes; what only POSIX has stands here.

Everything that must survive a loss of power goes through `DISK`: files are made where none was,
links are not followed, and nothing counts as written before it is synchronised. Tests put another
`Disk` in its place: one that fails, or one that forgets.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from glassgrad.errors import FormatError, told

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]  # not POSIX

_MOST_AT_ONCE = 2**30  # some systems refuse 2 GiB in one call
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_AT_ONCE = getattr(os, "O_NONBLOCK", 0)  # opening a pipe would wait for its writer


class Disk:
    """The file system as the operating system offers it; every call may raise OSError."""

    def make_folder(self, folder: Path, *, private: bool = False) -> None:
        """A new folder, which others may not look into if it is `private`."""
        folder.mkdir(mode=0o700 if private else 0o777)

    def create(self, file: Path) -> int:
        """A handle to a new file; what is there already, a link too, is an error."""
        return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS | _BINARY, 0o666)

    def put(self, handle: int, data: memoryview) -> int:
        """How many of these bytes the system took: perhaps not all of them."""
        return os.write(handle, data[:_MOST_AT_ONCE])

    def sync(self, handle: int) -> None:
        """Wait until a file's bytes are on the disk."""
        os.fsync(handle)

    def close(self, handle: int) -> None:
        """Give a handle back."""
        os.close(handle)

    def sync_folder(self, folder: Path) -> None:
        """Wait until a folder's entries are on the disk, where the system has a way to ask."""
        if os.name != "posix":
            return
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def rename(self, old: Path, new: Path) -> None:
        """Another name for a file, which replaces a file there, or for a folder."""
        old.replace(new)

    def remove(self, file: Path) -> None:
        """Take a file's name away."""
        file.unlink()

    def remove_folder(self, folder: Path) -> None:
        """Take away a folder that is empty."""
        folder.rmdir()

    def list(self, folder: Path) -> dict[str, bool]:
        """The names in a folder, each with whether it is a folder itself (a link is none)."""
        with os.scandir(folder) as entries:
            return {e.name: e.is_dir(follow_symlinks=False) for e in entries}

    def open(self, file: Path) -> tuple[int, int]:
        """A handle to an existing file and its size; FormatError unless it is a plain file.

        A link, a second name for another file, a pipe or a device is none.
        """
        about = os.lstat(file)
        _check_plain(about, file)
        handle = os.open(file, os.O_RDONLY | _NO_LINKS | _AT_ONCE | _BINARY)
        try:
            about = os.fstat(handle)
            _check_plain(about, file)
        except BaseException:
            os.close(handle)
            raise
        return handle, about.st_size

    def get(self, handle: int, most: int) -> bytes:
        """The next bytes of a file, none at its end."""
        return os.read(handle, min(most, _MOST_AT_ONCE))

    def forget(self, handle: int) -> None:
        """Let the next read of a file come from the disk, where the system has a way to ask."""
        if hasattr(os, "posix_fadvise"):
            with suppress(OSError):  # advice only
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)

    def free(self, folder: Path) -> int:
        """The bytes that may still be written there."""
        return shutil.disk_usage(folder).free

    # What follows is made of the calls above.

    def write(self, file: Path, parts: Iterable[bytes | memoryview]) -> None:
        """A new file of these bytes, synchronised; its name lasts once its folder is."""
        handle = self.create(file)
        try:
            for part in parts:
                rest = memoryview(part)
                while rest:
                    taken = self.put(handle, rest)
                    if taken <= 0:
                        raise OSError(5, "the system took none of the bytes")
                    rest = rest[taken:]
            self.sync(handle)
        finally:
            self.close(handle)

    def blocks(
        self, file: Path, size: int, at_once: int, *, fresh: bool = False
    ) -> Iterator[bytes]:
        """The bytes of a plain file, a part at a time.

        With `fresh` they come from the disk rather than from memory, where the system can do so.
        Raises FormatError, before anything is read, unless the file has just this size.
        """
        handle, found = self.open(file)
        try:
            if found != size:
                raise FormatError(
                    "a file has another size",
                    where=told(file),
                    expected=f"{size:,} bytes",
                    received=f"{found:,}",
                )
            if fresh:
                self.forget(handle)
            while size > 0:
                block = self.get(handle, min(size, at_once))
                if not block:
                    raise FormatError("a file ends early", where=told(file))
                yield block
                size -= len(block)
        finally:
            self.close(handle)

    def size(self, file: Path) -> int:
        """The size of a plain file in bytes."""
        handle, size = self.open(file)
        self.close(handle)
        return size

    def make_folders(self, folder: Path) -> None:
        """A folder and those above it that are missing, each made to last."""
        if folder.is_dir():
            return
        self.make_folders(folder.parent)
        with suppress(FileExistsError):  # somebody else was quicker
            self.make_folder(folder)
            self.sync_folder(folder.parent)


def _check_plain(about: os.stat_result, file: Path) -> None:
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        link = stat.S_ISLNK(about.st_mode)
        raise FormatError(
            "this is no plain file",
            where=told(file),
            expected="a file with one name: no link, pipe or device",
            received="a link" if link or stat.S_ISREG(about.st_mode) else "no file",
        )


def lock_handle(handle: int) -> bool:
    """Lock an open file until this process ends or closes it; False if another holds it.

    The system itself lets go of it when the process dies. Raises OSError where there is no such
    lock, on this system or in this folder.
    """
    if fcntl is None:
        raise OSError(38, "this system has no such locks")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


DISK = Disk()
