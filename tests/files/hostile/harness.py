"""Mutations in processes under limits: a crash, a hang, too much memory, an error that is not ours,
or another result than the slow reader's is a failure, saved and made smaller.

    python -m tests.files.hostile.harness csv --first 0 --count 1000 --at FILE

runs one worker, which prints a line of JSON for each failure and keeps in FILE the number it is at.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import mmap
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 2.0  # of the processor's time for one file; of the clock's, thirty times as many
MEMORY = 64 * 2**20  # beside four times the file
MOST_COMPARED = 100_000  # bytes of a file that the slow readers are given


@dataclass(frozen=True)
class Failure:
    """One file that was read in a way it must not be."""

    reader: str
    number: int
    what: str
    data: bytes


def verdict(form: Any, data: bytes) -> str:
    """What is wrong with how a file is read; nothing where all is well."""
    found, problem = _outcome(form, data)
    return problem or _compared(form, data, found)


def _outcome(form: Any, data: bytes) -> tuple[Any, str]:
    """What the reader gives (`Refused` for an error of ours), and what is wrong already."""
    from glassgrad.errors import GlassgradError, InternalError

    from .readers import Refused

    try:
        return form.read(data), ""
    except InternalError as error:
        return Refused, f"InternalError: {error.what}"
    except GlassgradError as error:
        said = str(error)
        if len(said) > 3000 or not (error.what and error.where):
            return Refused, "an error without its parts, or a long one"
        if not said.replace("\n", "").isprintable():
            return Refused, "an error that a terminal may act upon"
        return Refused, ""
    except Exception as error:  # noqa: BLE001  # every other one is what is looked for
        return Refused, f"{type(error).__name__}: {str(error)[:200]}"


def _compared(form: Any, data: bytes, found: Any) -> str:
    from .readers import Refused

    try:
        wanted = form.reference(data)
    except Refused as why:
        return "" if found is Refused else f"accepted; the slow reader refuses: {why}"
    if found is Refused:
        shallow = not form.deep or data in form.seeds
        return "refused; the slow reader accepts" if shallow else ""
    return "" if found == wanted else "another result than the slow reader's"


def _as_foretold(form: Any, data: bytes, found: Any, read: bool) -> str:
    """As `_compared`, for a case made by hand, which says itself what is right."""
    from .readers import Refused

    if (found is not Refused) != read:
        return "refused" if read else "accepted"
    return _compared(form, data, found) if len(data) < MOST_COMPARED else ""


def _is(form: Any, kind: str, data: bytes) -> bool:
    return verdict(form, data).split(":")[0] == kind


def smaller(data: bytes, still: Callable[[bytes], bool]) -> bytes:
    """The file with pieces left out as long as the failure stays."""
    size = len(data) // 2
    while size:
        at = 0
        while at < len(data):
            shorter = data[:at] + data[at + size :]
            if still(shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data


def _work(name: str, first: int, count: int, at: Path, cases: bool) -> None:
    """Go through the numbers; print what fails. A hang or a crash ends the process at its number."""
    from .formats import FORMATS

    form = FORMATS[name]
    known = _cases(name) if cases else []
    for seed in form.seeds:
        problem = verdict(form, seed)
        if problem:
            raise SystemExit(f"{name}: a seed is no valid file: {problem}")
    for number in range(first, first + 200):
        verdict(form, form.mutated(number))  # what is loaded on the way is no file's fault
    with at.open("r+b") as stream:
        place = mmap.mmap(stream.fileno(), 8)
    largest = max([len(data) for data, _ in known], default=200_000)
    _limit_memory(4 * largest + MEMORY + 32 * 2**20)
    before = _forget_most()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for number in range(first, first + count):
        place[:8] = number.to_bytes(8, "little")
        data = known[number][0] if cases else form.mutated(number)
        # The system ends the process: Python's own handlers wait for C code that may never return.
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.setitimer(signal.ITIMER_REAL, 30 * SECONDS)
        found, problem = _outcome(form, data)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if _most_memory() > before:  # it was this file: what files before it took is forgotten
            most, start = _most_memory(), before
            before = _forget_most()
            if most - start > 4 * len(data) + MEMORY:
                problem = problem or f"{(most - start) >> 20} MiB of memory for {len(data)} bytes"
        if not problem and cases:
            problem = _as_foretold(form, data, found, known[number][1])
        elif not problem:
            problem = _compared(form, data, found)
        if problem:
            small = data if cases else smaller(data, partial(_is, form, problem.split(":")[0]))
            print(json.dumps([number, problem, small[:200_000].hex()]), flush=True)  # noqa: T201
    place[:8] = (first + count).to_bytes(8, "little")


def _cases(name: str) -> list[tuple[bytes, bool]]:
    from .cases import cases_of

    return list(cases_of(name).values())


def _forget_most() -> int:
    """What the process has now, which is the most it has had from here on."""
    with suppress(OSError, AttributeError):  # free memory that is kept would hide what a file takes
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    return _most_memory()


def _most_memory() -> int:
    """The most memory the process has had; getrusage would count that of the one it came from."""
    status = os.pread(_status(), 8192, 0)
    at = status.index(b"VmHWM:") + 6
    return int(status[at : status.index(b"kB", at)]) * 1024


@lru_cache(None)
def _status() -> int:
    return os.open("/proc/self/status", os.O_RDONLY)


def _limit_memory(more: int) -> None:
    """No more than so many bytes beside what the process has now."""
    now = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + more, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _span(name: str, first: int, count: int, cases: bool = False) -> Iterator[Failure]:
    """A span of numbers in processes of its own: a new one goes on after each crash."""
    from .formats import FORMATS

    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder, "at")
        end = first + count
        while first < end:
            at.write_bytes(first.to_bytes(8, "little"))
            command = [sys.executable, "-m", __name__, name, "--at", str(at)]
            command += ["--cases"] if cases else []
            done = subprocess.run(
                [*command, "--first", str(first), "--count", str(end - first)],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": f"{ROOT}/src{os.pathsep}{ROOT}"},
                capture_output=True,
                text=True,
                check=False,
            )
            for line in done.stdout.splitlines():
                number, what, data = json.loads(line)
                yield Failure(name, number, what, bytes.fromhex(data))
            reached = int.from_bytes(at.read_bytes()[:8], "little")
            if reached >= end:
                return
            if done.returncode >= 0:
                raise RuntimeError(f"the worker gave up: {done.stderr[-2000:]}")
            how = {-signal.SIGPROF: "a hang", -signal.SIGALRM: "a hang"}
            what = how.get(done.returncode, f"a crash by signal {-done.returncode}")
            yield Failure(name, reached, what, b"" if cases else FORMATS[name].mutated(reached))
            first = reached + 1


def run_cases(name: str) -> list[tuple[str, str]]:
    """Of the cases made by hand for one reader, those that fail, and how."""
    from .cases import cases_of

    names = list(cases_of(name))
    return [(names[f.number], f.what) for f in _span(name, 0, len(names), cases=True)]


def run(
    name: str, first: int, count: int, processes: int = 1, save: Path | None = None
) -> list[Failure]:
    """All failures among so many mutations of one reader's files; each saved under its name."""
    share = -(-count // processes)
    starts = range(first, first + count, share)
    with ThreadPoolExecutor(processes) as pool:
        spans = pool.map(lambda s: list(_span(name, s, min(share, first + count - s))), starts)
        found = [failure for span in spans for failure in span]
    if save is not None and found:
        save.mkdir(parents=True, exist_ok=True)
        for failure in found[:100]:
            (save / f"{name}-{failure.number}").write_bytes(failure.data)
            (save / f"{name}-{failure.number}.txt").write_text(failure.what + "\n", "utf-8")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--at", type=Path, required=True)
    parser.add_argument("--cases", action="store_true")
    given = parser.parse_args()
    _work(given.name, given.first, given.count, given.at, given.cases)
