"""From measured numbers to rows: medians, ratios, what is met. No process, no clock."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from .workloads import Bound

Runs = Sequence[float]  # microseconds, one number for each run


@dataclass(frozen=True)
class Best:
    """A side at its best number of threads."""

    threads: int
    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.runs)


def best(by_threads: Mapping[int, Runs]) -> Best:
    """The number of threads whose median is least; the smaller number where they are equal."""
    threads = min(sorted(by_threads), key=lambda n: median(by_threads[n]))
    return Best(threads, tuple(by_threads[threads]))


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as a peer: the ratio of medians, and the worst of the runs.

    Run k of both sides was measured one after the other, so each run has a ratio of its own.
    """

    median: float
    worst: float


def ratio(ours: Best, peer: Best) -> Ratio:
    """Peer's time by our time."""
    each = [theirs / own for own, theirs in zip(ours.runs, peer.runs, strict=True)]
    return Ratio(peer.median / ours.median, min(each))


def share_of_peak(flop: float, microseconds: float, peak: float) -> float:
    """The part of the machine's peak (GFLOP/s) that so many operations in that time are."""
    return flop / (microseconds * 1e3) / peak


def farthest(ours: Runs, theirs: Runs) -> float:
    """The largest difference: relative, or of the numbers themselves where they are below 1."""
    if len(ours) != len(theirs):
        return float("inf")
    pairs = zip(ours, theirs, strict=True)
    found = [abs(a - b) / max(1.0, abs(b)) for a, b in pairs]
    return float("nan") if any(map(math.isnan, found)) else max(found, default=float("inf"))


@dataclass(frozen=True)
class Row:
    """A line of the table. `value` is a ratio, a share, or a number in `unit` where less is better.

    `note` says why there is no value, or what a reader must know.
    """

    group: str
    work: str
    peer: str = ""
    ours: float | None = None  # microseconds, or what `unit` says
    theirs: float | None = None
    threads: tuple[int, int] | None = None  # ours, the peer's
    value: float | None = None
    worst: float | None = None
    bound: Bound | None = None
    unit: str = "x"
    less: bool = False
    share: float | None = None  # of the measured peak
    difference: float | None = None  # of losses
    note: str = ""

    @property
    def verdict(self) -> str:
        """ "aim", "must", "not met"; nothing where nothing is asked or known."""
        if self.bound is None or self.value is None:
            return ""
        if self.less:
            return "aim" if self.value <= self.bound.aim else (
                "must" if self.value <= self.bound.must else "not met"
            )  # fmt: skip
        return self.bound.judged(self.value)

    def as_json(self) -> dict[str, Any]:
        """Plain data, what is not there left out."""
        found = {k: v for k, v in self.__dict__.items() if v not in (None, "", False)}
        if self.bound is not None:
            found["bound"] = {"must": self.bound.must, "aim": self.bound.aim}
            found["verdict"] = self.verdict or "not measured"
        return found


def not_met(rows: Sequence[Row]) -> list[Row]:
    """The rows whose must is not met, in order."""
    return [row for row in rows if row.verdict == "not met"]
