"""The machine's peak in float32, GFLOP/s: what one and what all cores do at most.

Fused multiply-adds on registers, by the native executor; where it is not there, NumPy's product of
2048 cubed stands in and the run says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from .processes import Failed, Processes


@dataclass(frozen=True)
class Peak:
    """GFLOP/s by number of threads, and how they were found."""

    by_threads: dict[int, float]
    how: str

    @property
    def machine(self) -> float:
        """Of as many cores as were measured together."""
        return max(self.by_threads.values())


def measured(processes: Processes, threads: tuple[int, ...]) -> Peak | None:
    """The best of many short runs for each number of threads; None where nothing can tell."""
    try:
        found = {n: processes.get("ours", n).ask("peak", threads=n)["peak"] for n in threads}
    except Failed:
        return None
    if None not in found.values():
        return Peak(found, "fused multiply-adds on registers")
    return _stand_in(processes, threads)


def _stand_in(processes: Processes, threads: tuple[int, ...]) -> Peak | None:
    found = {}
    for n in threads:
        try:
            process = processes.get("numpy", n)
            process.ask("product", m=2048, k=2048, n=2048, fused=False)
            runs = [process.ask("run", seconds=0.5)["microseconds"] for _ in range(3)]
        except Failed:
            return None
        found[n] = 2 * 2048**3 / min(runs) / 1e3
    return Peak(found, "NumPy's product of 2048 cubed")
