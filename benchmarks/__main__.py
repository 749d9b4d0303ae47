"""The command: python -m benchmarks [--quick] [--growth] [--only mlp,rnn] [--json FILE] [--picture FILE]."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import peak as peaks
from .measure import Settings, Suite, machine
from .processes import Failed, Processes
from .report import as_json, from_json, number, summary, table
from .results import Row, not_met
from .sides import MODULES
from .sweeps import SWEEPS
from .workloads import ALL, PRODUCTS, WORKLOADS, Workload

GROUPS = ("products", "kernels", "starts", "import", "memory", "wheel")


def _words(given: str) -> list[str]:
    return [word for word in given.split(",") if word]


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="glassgrad beside its peers on the same work, in turns, in one run.",
        epilog="docs/performance.md says how to read it. Exit code 1 with --strict if a must is not met.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="under two minutes: fewer and shorter runs")
    add("--full", action="store_true", help="norms, convolutions and attention too")
    add("--growth", action="store_true", help="instead: steps of growing networks, beside PyTorch")
    sweeps = tuple(sweep.name for sweep in SWEEPS)
    names = f"{', '.join((*WORKLOADS, *GROUPS))}; with --growth of {', '.join(sweeps)}"
    add("--only", type=_words, default=[], metavar="NAMES", help=f"of {names}")
    add("--peers", type=_words, default=[], metavar="NAMES", help=f"of {', '.join(MODULES)}; all by default, but torch.compile")  # fmt: skip
    add("--peer-python", metavar="FILE", help="an interpreter that has the peers; default this one")
    add("--backend", default="auto", help="glassgrad's")
    add("--threads", type=_words, default=["1", "2"], metavar="N,N", help="each side's best of these counts; default 1,2")  # fmt: skip
    add("--runs", type=int, help="default 5, quick 3")
    add("--seconds", type=float, help="of one side in one run; default 0.4, growth 0.1, quick 0.04")
    add("--wheel", type=Path, metavar="FILE", help="default the newest in dist/")
    add("--json", type=Path, metavar="FILE", help="write every number")
    add("--picture", type=Path, metavar="FILE", help="draw the ratios as SVG")
    add("--show", type=Path, metavar="FILE", help="measure nothing: print, or draw, what --json wrote")  # fmt: skip
    add("--strict", action="store_true", help="exit code 1 if a must is not met or losses differ")
    given = parser.parse_args(argv)
    for name in given.only:
        if name not in (sweeps if given.growth else (*WORKLOADS, *GROUPS)):
            parser.error(f"--only: {name} is none of {names}")
    for name in given.peers:
        if name not in MODULES:
            parser.error(f"--peers: {name} is none of {', '.join(MODULES)}")
    if not all(n.isdigit() and int(n) for n in given.threads):
        parser.error("--threads: numbers from 1, as in 1,2")
    return given


def _settings(given: argparse.Namespace) -> Settings:
    settings = Settings(threads=tuple(map(int, given.threads)), peers=tuple(given.peers))
    if given.growth:
        settings = replace(settings, seconds=0.1, fixed=False)
    if given.quick:
        few = (PRODUCTS[1], PRODUCTS[4], PRODUCTS[6])
        shorter = replace(settings, runs=3, seconds=0.04, starts=3, imports=1, kernels=3)
        settings = replace(shorter, shapes=few, structures=("spiral", "mlp"))
    if given.runs is not None:
        settings = replace(settings, runs=given.runs)
    if given.seconds is not None:
        settings = replace(settings, seconds=given.seconds)
    return settings


_BEGAN = time.perf_counter()


def _say(what: str) -> None:
    print(f"{time.perf_counter() - _BEGAN:6.1f} s  {what}", file=sys.stderr, flush=True)


def _chosen(given: argparse.Namespace) -> list[Workload]:
    wanted = given.only
    if given.growth:
        sweeps = [s for s in SWEEPS if not wanted or s.name in wanted]
        return [w for s in sweeps for w in s.points(given.quick)]
    return [w for w in ALL if (w.name in wanted if wanted else given.full or not w.later)]


def _measured(suite: Suite, given: argparse.Namespace) -> Iterable[Row]:
    wanted = given.only
    for work in _chosen(given):
        yield from suite.workload(work)
    for name in () if given.growth else GROUPS:
        if not wanted or name in wanted:
            group = getattr(suite, {"import": "imports"}.get(name, name))
            try:
                yield from group(given.wheel) if name == "wheel" else group()
            except Failed as error:
                yield Row(name, name, note=str(error))


def _run(given: argparse.Namespace) -> dict[str, Any]:
    settings, began = _settings(given), time.perf_counter()
    with Processes(given.backend, given.peer_python) as processes:
        sides = {peer: None for work in _chosen(given) for peer in settings.chosen(work.peers)}
        if sides:
            processes.begin(["ours", *sides], settings.threads)
        peak = peaks.measured(processes, settings.threads)
        suite = Suite(processes, settings, peak, _say)
        rows = list(_measured(suite, given))
        again = peaks.measured(processes, settings.threads)
        about = {
            "growth": given.growth, "machine": machine(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2),
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - began, 1), "runs": settings.runs,
            "seconds a run": settings.seconds, "backend": given.backend, "sides": processes.about,
            "peak GFLOP/s": peak and {str(n): round(v, 1) for n, v in peak.by_threads.items()},
            "peak GFLOP/s afterwards": again and {str(n): round(v, 1) for n, v in again.by_threads.items()},
            "peak is": peak and peak.how,
        }  # fmt: skip
    return as_json(rows, suite.raw, about)


def _heading(about: dict[str, object]) -> str:
    sides, peak = about["sides"], about["peak GFLOP/s"]
    assert isinstance(sides, dict)
    lines = [
        f"{about['machine']}, {about['cores']} cores, load {about['load']}; {about['when']}, {about['seconds']:.0f} s"
    ]
    lines.append("; ".join(sides.values()))
    if isinstance(peak, dict):
        each = ", ".join(f"{n}: {number(v)}" for n, v in peak.items())
        lines.append(f"peak GFLOP/s by threads: {each} ({about['peak is']})")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Measure, print, write what was asked for; the exit code."""
    given = _arguments(argv)
    document = json.loads(given.show.read_text()) if given.show else _run(given)
    rows = from_json(document)
    if document["about"].get("backend") == "numpy":  # what is asked is asked of native code
        rows = [replace(row, bound=None) for row in rows]
    print(f"{_heading(document['about'])}\n\n{table(rows)}\n\n{summary(rows)}")
    if given.json:
        given.json.write_text(json.dumps(document, indent=1) + "\n")
    if given.picture:
        from . import growth_picture, picture

        about = document["about"]
        drawn = growth_picture.drawn if about.get("growth") else picture.drawn
        under = f"{about['machine']}, {about['cores']} cores, {about['when'][:10]}; each at its best number of threads"
        given.picture.write_text(drawn(rows, under), encoding="utf-8")
    differ = any("differ" in row.note for row in rows)
    return int(given.strict and (bool(not_met(rows)) or differ))


if __name__ == "__main__":
    sys.exit(main())
