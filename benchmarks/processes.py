"""Starting workers, one for each side and number of threads, in a clean environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
# Settings of a caller's shell that would pin a library to an old kernel, or to some threads.
PINNED = (
    "OPENBLAS_",
    "MKL_",
    "OMP_",
    "GOMP_",
    "KMP_",
    "BLIS_",
    "XLA_",
    "GLASSGRAD_NUM_THREADS",
    "GLASSGRAD_BACKEND",
)
PAUSE = 0.03  # seconds; pools of threads that spin between two pieces of work go to sleep


class Failed(Exception):  # noqa: N818  # it is what became of a request
    """A side could not do what was asked; the run shows why and goes on."""


def environment(threads: int, backend: str, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of a worker: what pins libraries unset, so many threads for all of them."""
    kept = {name: value for name, value in given.items() if not name.startswith(PINNED)}
    path = [str(ROOT), *filter(None, [given.get("PYTHONPATH")])]
    return kept | {
        "OMP_NUM_THREADS": str(threads),
        "BENCHMARKS_THREADS": str(threads),
        "BENCHMARKS_BACKEND": backend,
        "PYTHONPATH": os.pathsep.join(path),
    }


def interpreter(side: str, peer_python: str | None) -> str:
    """Ours runs in this interpreter, peers perhaps in another."""
    return peer_python if peer_python and side != "ours" else sys.executable


class Process:
    """A worker that is running."""

    def __init__(self, side: str, threads: int, backend: str, peer_python: str | None) -> None:
        self.side, self.threads = side, threads
        self._popen = subprocess.Popen(
            [interpreter(side, peer_python), "-m", "benchmarks.worker", side, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(threads, backend, os.environ),
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._popen.terminate()
        self._popen.wait()
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream is not None:
                stream.close()

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """A request and its answer. Raises Failed if there is none, or an error."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        time.sleep(PAUSE)
        try:
            self._popen.stdin.write(json.dumps({"do": do, **request}) + "\n")
            line = self._popen.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Failed(f"the process of {self.side} ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer


class Processes(ExitStack):
    """All workers of a run, each started when it is first asked for."""

    def __init__(self, backend: str, peer_python: str | None) -> None:
        super().__init__()
        self.backend, self.peer_python = backend, peer_python
        self._started: dict[tuple[str, int], Process] = {}
        self._running: dict[tuple[str, int], Process] = {}
        self.absent: dict[str, str] = {}
        self.about: dict[str, str] = {}

    def start(self, side: str, threads: int) -> Process:
        """A worker of its own, for what must not see an earlier workload's memory."""
        return self.enter_context(Process(side, threads, self.backend, self.peer_python))

    def begin(self, sides: Iterable[str], threads: Iterable[int]) -> None:
        """Start workers at once: while one is used, the others load their frameworks."""
        for side, n in product(sides, threads):
            self._started[side, n] = self.start(side, n)

    def get(self, side: str, threads: int) -> Process:
        """The worker of a side. Raises Failed where its framework is absent, at once if known."""
        if side in self.absent:
            raise Failed(self.absent[side])
        key = (side, threads)
        if key not in self._running:
            process = self._started.pop(key, None) or self.start(side, threads)
            try:
                self.about[side] = process.ask("about")["about"]
            except Failed as error:
                self.absent[side] = str(error)
                raise
            self._running[key] = process
        return self._running[key]

    def forget(self) -> None:
        """Every worker drops the workload it holds."""
        for process in self._running.values():
            process.ask("forget")
