"""What the checks of a run cost: each workload trained with and without them, in turns.

    python -m benchmarks.guards [--seconds 10] [--threads 1] [NAME ...]

A pair is two fits of equal length, one with all guards and one with none, in an order that alternates; the
share is that of the medians of pairs. A first pair is not counted, so the check of derivatives, which
is made once for a structure, stands beside it: its time, and that of training after which it is
made, in per cent. Seconds are the processor's, so that other jobs of the machine disturb less; with one
thread, and nothing else to do, they are those of the clock.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any

from benchmarks.sides.ours import job
from benchmarks.worker import scale
from benchmarks.workloads import ALL

NAMES = tuple(w.name for w in ALL if not w.name.startswith("infer"))


def pair(one: Any, switch: Callable[[bool], None], on_first: bool) -> tuple[float, float]:
    """Processor's seconds of a call with what is measured, and without."""
    found = {}
    for on in (True, False) if on_first else (False, True):
        switch(on)
        one.reset()
        began = time.process_time()
        one.call()
        found[on] = time.process_time() - began
    return found[True], found[False]


def pairs(
    one: Any, switch: Callable[[bool], None], seconds: float
) -> tuple[list[float], list[float]]:
    """Pair after pair, for so long: what each costs, as a share, and the seconds without."""
    pair(one, switch, True)
    ratios, plain = [], []
    end = time.perf_counter() + seconds
    while len(ratios) < 5 or time.perf_counter() < end:
        on, off = pair(one, switch, bool(len(ratios) % 2))
        ratios.append(on / off)
        plain.append(off)
    return ratios, plain


def in_percent(ratios: list[float]) -> str:
    """The median, and where half of them are."""
    low, _, high = quantiles(ratios, n=4)
    middle = median(ratios)
    return f"{100 * (middle - 1):+.1f} % ({100 * (low - 1):+.1f} to {100 * (high - 1):+.1f})"


def derivatives(fit: Any, step: float) -> tuple[float, float]:
    """Seconds of the check of derivatives, and those of training before it is made."""
    from glassgrad.train.gradients import SHARE, check_gradients, cost
    from glassgrad.train.trainer import Trainer

    record = fit.fit(1).record
    Trainer(record)
    due = cost(record, step) / SHARE
    began = time.process_time()
    check_gradients(record, step)
    return time.process_time() - began, due


def measured(name: str, seconds: float, threads: int) -> str:
    one: Any = job(name, threads)
    fit = getattr(one, "one", one)
    fit.guard = False
    scale(one, threads)
    one.reset()

    def switch(on: bool) -> None:
        fit.guard = on

    ratios, plain = pairs(one, switch, seconds)
    steps = one.steps * one.epochs * (20 if name == "fits" else 1)
    step = median(plain) / steps
    check, due = derivatives(fit, step)
    return (
        f"| {name} | {1e6 * step:,.3g} | {in_percent(ratios)} | {len(ratios)} "
        f"| {1e3 * check:.0f} ms after {due:.2g} s ({100 * check / due:.1f} %) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guards")
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each workload")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    print("| workload | step us | guards cost (half of the pairs) | pairs | derivatives |")
    print("|---|---|---|---|---|")
    for name in given.names or NAMES:
        print(measured(name, given.seconds, given.threads), flush=True)


if __name__ == "__main__":
    main()
