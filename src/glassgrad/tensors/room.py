"""Memory that is there to be taken.

Linux says what is free, what a container leaves and what a limit allows; elsewhere nothing is
known, and nothing is refused. This module alone reads these files.
"""

from __future__ import annotations

from pathlib import Path

from glassgrad.errors import NoMemoryError

_PROC, _CGROUP = Path("/proc"), Path("/sys/fs/cgroup")
NOT_WORTH_ASKING = 1 << 26  # bytes: to read what is free takes longer than a small step


def available() -> int | None:
    """Bytes this process may still take; None where the system does not say."""
    found = [_free(), *_of_containers(), _below_limit()]
    known = [n for n in found if n is not None]
    return max(0, min(known)) if known else None


def _free() -> int | None:
    """MemAvailable: what is free or can be had by dropping caches."""
    for line in _text(_PROC / "meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _of_containers() -> list[int]:
    """What each control group that this process is in leaves, caches counted as free."""
    found = []
    for line in _text(_PROC / "self" / "cgroup").splitlines():
        _, kinds, path = line.split(":", 2)
        if kinds == "":
            root, names = _CGROUP, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in kinds.split(","):
            root = _CGROUP / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        folder = root / path.lstrip("/")
        for here in (folder, *folder.parents):
            if not here.is_relative_to(root):
                break
            limit, used = _number(here / names[0]), _number(here / names[1])
            if limit is not None and used is not None:
                stat = dict(line.split(" ", 1) for line in _text(here / "memory.stat").splitlines())
                found.append(limit - used + int(stat.get(names[2], 0)))
    return found


def _below_limit() -> int | None:
    """What RLIMIT_AS leaves of the address space."""
    try:
        import resource
    except ImportError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    used = _text(_PROC / "self" / "statm").split()
    if limit == resource.RLIM_INFINITY or not used:
        return None
    return limit - int(used[0]) * resource.getpagesize()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def check_room(size: int, where: str, what: str) -> None:
    """Raises NoMemoryError where so many bytes are not there."""
    room = available() if size > NOT_WORTH_ASKING else None
    if room is not None and size > room:
        raise NoMemoryError(
            f"{what} needs more memory than there is",
            where=where,
            expected=f"at most {gigabytes(room)}, which is free",
            received=gigabytes(size),
        )


def gigabytes(size: int) -> str:
    """Bytes as people read them."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return (
                f"{size / unit:,.3g} {name}" if size < 1000 * unit else f"{size / unit:,.0f} {name}"
            )
    return f"{size} bytes"
