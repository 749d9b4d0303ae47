"""The machine's peak in float32, GFLOP/s: what one and what all cores do at most.

A loop of fused multiply-adds in registers, compiled here; where there is no C compiler, NumPy's
product of 2048 cubed stands in and the run says so.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("peak.c")
ROUNDS = 400_000


@dataclass(frozen=True)
class Peak:
    """GFLOP/s by number of threads, and how they were found."""

    by_threads: dict[int, float]
    how: str

    @property
    def machine(self) -> float:
        """Of as many cores as were measured together."""
        return max(self.by_threads.values())


def _compiled(folder: str) -> ctypes.CDLL | None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    target = Path(folder) / "peak.so"
    flags = ["-O3", "-march=native", "-ffp-contract=fast", "-funroll-loops", "-shared", "-fPIC"]
    command = [compiler, *flags, str(SOURCE), "-o", str(target)]
    done = subprocess.run(command, check=False, capture_output=True)
    return ctypes.CDLL(str(target)) if done.returncode == 0 else None


def _of_registers(library: ctypes.CDLL, threads: int, seconds: float) -> float:
    library.chains.restype, library.chains.argtypes = ctypes.c_float, [ctypes.c_long]
    library.flop.restype, library.flop.argtypes = ctypes.c_double, [ctypes.c_long]
    work = threads * library.flop(ROUNDS)
    best, end = 0.0, time.perf_counter() + seconds
    with ThreadPoolExecutor(threads) as pool:
        while time.perf_counter() < end:
            began = time.perf_counter()
            list(pool.map(library.chains, [ROUNDS] * threads))
            best = max(best, work / (time.perf_counter() - began) / 1e9)
    return best


def measured(threads: tuple[int, ...], seconds: float = 0.7) -> Peak | None:
    """The best of many short runs for each number of threads; None without a compiler."""
    with tempfile.TemporaryDirectory() as folder:
        library = _compiled(folder)
        if library is None:
            return None
        found = {n: _of_registers(library, n, seconds) for n in threads}
    return Peak(found, "fused multiply-adds in registers")
