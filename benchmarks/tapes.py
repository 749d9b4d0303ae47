"""What recording a run costs, and how long it takes to go to a step of it.

    python -m benchmarks.tapes [--seconds 20] [--fit 0.5] [--threads 1] [NAME ...]

Pairs of fits of equal length, at least `--fit` seconds, with a tape and without, in turns; shares and seconds as
`benchmarks.guards` has them. Then one goes to twenty random steps of the last tape, to and fro; these seconds are
the clock's. `BENCHMARKS_BACKEND=numpy` measures the other engine.
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from typing import Any

import numpy as np

import glassgrad as gg
from benchmarks.guards import NAMES, in_percent, pairs
from benchmarks.sides.ours import job
from benchmarks.worker import scale

USUAL = ("spiral", "mlp", "lenet", "rnn")
VISITS = 20


def measured(name: str, seconds: float, fit_seconds: float, threads: int) -> str:
    one: Any = job(name, threads)
    fit = getattr(one, "one", one)
    scale(one, threads)
    began = time.process_time()
    one.call()
    one.epochs *= max(1, round(fit_seconds / (time.process_time() - began)))
    last: list[gg.Tape] = []

    def switch(on: bool) -> None:
        fit.tape = gg.Tape() if on else None
        last[:] = [fit.tape] if fit.tape is not None else last

    ratios, plain = pairs(one, switch, seconds)
    (tape,) = last
    took = []
    for step in np.random.default_rng(0).integers(tape.first, tape.last + 1, VISITS).tolist():
        start = time.perf_counter()
        tape.at(step)
        took.append(time.perf_counter() - start)
    return (
        f"| {name} | {median(plain):.2g} | {in_percent(ratios)} | {len(ratios)} | {len(tape.kept)} of "
        f"{tape.nbytes / len(tape.kept) / 1e6:.2g} MB | {1e3 * median(took):,.0f} | {1e3 * max(took):,.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tapes")
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each workload")
    parser.add_argument("--fit", type=float, default=0.5, help="seconds of one fit, at least")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    print(
        "| workload | fit s | recording costs (half of the pairs) | pairs | snapshots | to a step ms | at most |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in given.names or USUAL:
        print(measured(name, given.seconds, given.fit, given.threads), flush=True)


if __name__ == "__main__":
    main()
