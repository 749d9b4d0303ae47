"""One side in a process of its own: it reads a request for each line and answers with a line.

    python -m benchmarks.worker torch 2

Requests and answers are JSON objects. `prepare` makes a workload ready, `run` measures it once,
for so many seconds; sides take turns so that a machine whose speed drifts slows all of them.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.inputs import inputs
from benchmarks.sides import Job, side

WARM = 3
LONG_CALL = 0.05  # seconds a thread; a job that scales is scaled until one call takes as long


def measured(job: Job, seconds: float, enough: int = 20_000) -> list[float]:
    """Seconds per step of call after call, from the first weights on."""
    job.reset()
    if job.short:
        job.call()
    found: list[float] = []
    end = time.perf_counter() + seconds
    while not found or (time.perf_counter() < end and len(found) < enough):
        found.append(job.timed())
    return found


def scale(job: Job, threads: int) -> None:
    """Warm up, and raise the epochs of a call until its own cost is small beside its steps'.

    By processor time: a call that only waited for others would end it too early.
    """

    def took() -> float:
        began = time.process_time()
        job.call()
        return time.process_time() - began

    found = [took()]
    while found[-1] < 1 and len(found) < WARM:
        found.append(took())
    job.short = found[-1] < 1
    least = min(found)
    enough = LONG_CALL * threads
    while job.scales and least < enough:
        job.epochs *= max(2, min(10, int(enough / max(least, 1e-9))))
        least = min(took(), took())


def peak_memory() -> int:
    """The most bytes this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would count what the process that started us held
        line = next(v for v in status.read_text().splitlines() if v.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024


class Worker:
    """What is ready here, and the answers."""

    def __init__(self, name: str, threads: int) -> None:
        self.side, self.threads = side(name), threads
        self.job: Any = None

    def about(self) -> dict[str, Any]:
        return {"about": self.side.about(), "python": sys.version.split()[0]}

    def prepare(self, work: str) -> dict[str, Any]:
        self.job = self.side.job(work, self.threads)
        scale(self.job, self.threads)
        return {"steps": self.job.steps * self.job.epochs, "inputs": inputs(work).fingerprint()}

    def product(self, m: int, k: int, n: int, fused: bool) -> dict[str, Any]:
        if hasattr(self.side, "torch"):
            self.side.torch.set_num_threads(self.threads)
        r = np.random.default_rng(0)
        a, b = (r.standard_normal(shape).astype(np.float32) for shape in ((m, k), (k, n)))
        bias = r.standard_normal(n).astype(np.float32) if fused else None
        self.job = self.side.product(a, b, bias)
        scale(self.job, self.threads)
        return {"numbers": self.job.losses(1)}

    def run(self, seconds: float) -> dict[str, Any]:
        times = measured(self.job, seconds)
        return {"microseconds": median(times) * 1e6, "calls": len(times)}

    def losses(self, passes: int) -> dict[str, Any]:
        return {"losses": self.job.losses(passes), "engine": self.job.engine}

    def fixed(self) -> dict[str, Any]:
        """What a fit costs beside its steps; nothing where there is no fit."""
        cost = getattr(self.job, "fixed", None)
        return {"microseconds": None if cost is None else cost() * 1e6}

    def peak(self, threads: int) -> dict[str, Any]:
        return {"peak": self.side.peak(threads)}

    def kernels(self) -> dict[str, Any]:
        return {"names": self.side.kernels()}

    def kernel(self, name: str, runs: int, seconds: float) -> dict[str, Any]:
        return dict(self.side.kernel(name, runs, seconds))

    def first(self, work: str, repeats: int) -> dict[str, Any]:
        first, again = self.side.first_steps(work, repeats)
        return {"first": [v * 1e3 for v in first], "again": [v * 1e3 for v in again]}

    def memory(self) -> dict[str, Any]:
        """The peak of this process after one pass over the mlp's data."""
        job = self.side.job("mlp", self.threads)
        job.call()
        return {"bytes": peak_memory()}

    def forget(self) -> dict[str, Any]:
        self.job = None
        return {}


def main() -> None:
    """Answer until the requests end."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a framework prints is no answer
    worker: Worker | None = None
    with suppress(Exception):  # tried again below, where there is somebody to tell
        worker = Worker(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        request = json.loads(line)
        action = request.pop("do")
        try:
            if worker is None:
                worker = Worker(sys.argv[1], int(sys.argv[2]))
            answer = getattr(worker, action)(**request)
        except Exception as error:  # noqa: BLE001  # whatever it is, the run goes on and shows it
            if not isinstance(error, ImportError):
                traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        out.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
