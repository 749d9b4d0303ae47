"""The run: every side of a workload made ready, then measured in turns; losses compared."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

from .peak import Peak
from .processes import ROOT, Failed, Process, Processes, environment, interpreter
from .results import Best, Row, best, farthest, ratio, share_of_peak
from .sides import TITLES
from .workloads import PRODUCT_PEERS, PRODUCTS, STRUCTURES, Bound, Workload

Raw = dict[str, dict[int, list[float]]]  # side -> threads -> microseconds of each run


@dataclass(frozen=True)
class Settings:
    """How long to measure, and beside whom."""

    runs: int = 5
    seconds: float = 0.4  # of one side in one run
    starts: int = 5  # first steps
    imports: int = 5
    threads: tuple[int, ...] = (1, 2)
    peers: tuple[str, ...] = ()  # only these; all where empty
    shapes: tuple[tuple[int, int, int], ...] = PRODUCTS
    structures: tuple[str, ...] = STRUCTURES
    kernels: int = 1  # 1 is all of them, 3 every third
    fixed: bool = True  # what a fit costs beside its steps, too

    def chosen(self, peers: tuple[str, ...]) -> tuple[str, ...]:
        """The peers of a workload that take part; torch.compile everywhere if it was asked for."""
        if "torch.compile" in self.peers and "torch" in peers and "torch.compile" not in peers:
            peers = (*peers, "torch.compile")
        return tuple(p for p in peers if not self.peers or p in self.peers)


class Suite:
    """One run on one machine. `raw` keeps every number that was measured."""

    def __init__(
        self,
        processes: Processes,
        settings: Settings,
        peak: Peak | None,
        say: Callable[[str], None],
    ) -> None:
        self.processes, self.settings, self.peak, self.say = processes, settings, peak, say
        self.raw: dict[str, Raw] = {}

    # -------------------------------------------------------------------------------- turns

    def _ready(
        self, sides: tuple[str, ...], prepare: Callable[[Process], dict[str, Any]]
    ) -> tuple[dict[tuple[str, int], Process], dict[str, list[dict[str, Any]]], dict[str, str]]:
        """Workers with their job, what each answered, and why others have none."""
        ready: dict[tuple[str, int], Process] = {}
        answers, missing = {}, {}
        for side in sides:
            try:
                found = [(n, self.processes.get(side, n)) for n in self.settings.threads]
                answers[side] = [prepare(process) for _, process in found]
            except Failed as error:
                missing[side] = str(error)
                continue
            ready |= {(side, n): process for n, process in found}
        return ready, answers, missing

    def _in_turns(self, name: str, ready: dict[tuple[str, int], Process]) -> dict[str, Best]:
        """Each worker measured once in every run: A, B, A, B; each side's best number of threads."""
        raw: Raw = {}
        for _ in range(self.settings.runs):
            for (side, threads), process in ready.items():
                found = process.ask("run", seconds=self.settings.seconds)["microseconds"]
                raw.setdefault(side, {}).setdefault(threads, []).append(found)
        self.raw[name] = raw
        return {side: best(by_threads) for side, by_threads in raw.items()}

    # ---------------------------------------------------------------------------- workloads

    def workload(self, work: Workload) -> Iterator[Row]:
        """A row for each peer, and one of what a fit costs beside its steps."""
        peers = self.settings.chosen(work.peers)
        if not peers:
            return
        self.say(work.name)
        sides = ("ours", *peers)
        ready, answers, missing = self._ready(sides, lambda p: p.ask("prepare", work=work.name))
        if "ours" in missing:
            yield Row("workloads", work.name, note=missing["ours"])
            return
        losses, engine = {}, ""
        for side in set(sides) - set(missing):
            process = ready[side, self.settings.threads[0]]
            answer = process.ask("losses", passes=work.passes)
            losses[side], engine = answer["losses"], answer["engine"] or engine
        times = self._in_turns(work.name, ready)
        fixed = None
        if self.settings.fixed:
            fixed = ready["ours", self.settings.threads[0]].ask("fixed")["microseconds"]
        self.processes.forget()
        ours = times["ours"]
        share = None
        if self.peak is not None and work.flop:
            share = share_of_peak(work.flop, ours.median, self.peak.machine)
        for peer in peers:
            if peer in missing:
                note = missing[peer]
                yield Row("workloads", work.name, peer, ours.median, note=note, bound=work.bounds.get(peer))  # fmt: skip
                continue
            apart = farthest(losses["ours"], losses[peer])
            same = answers["ours"][0]["inputs"] == answers[peer][0]["inputs"]
            note = "ran as NumPy text" if engine == "numpy" else ""
            note = note if same else "not the same data"
            if not apart <= work.tolerance:
                note = f"losses differ by {apart:.2g}, allowed are {work.tolerance:g}"
            beside = ratio(ours, times[peer])
            yield Row(
                "workloads", work.name, peer, ours.median, times[peer].median,
                (ours.threads, times[peer].threads), beside.median, beside.worst,
                work.bounds.get(peer), share=share, difference=apart, note=note,
            )  # fmt: skip
        if work.peak is not None:
            note = "" if share is not None else "the peak could not be measured"
            yield Row("peak", work.name, ours=ours.median, value=share, bound=work.peak, unit="of peak", note=note)  # fmt: skip
        if fixed is not None:
            yield Row("fixed cost", work.name, value=fixed, unit="us a fit")

    # ----------------------------------------------------------------------------- products

    def products(self) -> Iterator[Row]:
        """Matrix products beside NumPy left alone and PyTorch; without and with bias and relu."""
        for fused in (False, True):
            ratios: dict[str, list[float]] = {}
            for shape in self.settings.shapes:
                yield from self._product(shape, fused, ratios)
            six = [v for v in ratios.get("numpy", []) if v > 0]
            if six:
                asked = Bound(1.3, 1.3) if fused else Bound(1.1, 1.1)
                work = f"{len(six)} shapes{', bias, relu' if fused else ''}: geometric mean"
                yield Row("products", work, "numpy", value=geometric_mean(six), bound=asked)

    def _product(
        self, shape: tuple[int, int, int], fused: bool, ratios: dict[str, list[float]]
    ) -> Iterator[Row]:
        m, k, n = shape
        name = f"{m} x {k} x {n}" + (", bias, relu" if fused else "")
        largest = shape == PRODUCTS[0]
        if largest and fused:
            return
        peers = self.settings.chosen(PRODUCT_PEERS)
        self.say(name)
        ask = lambda process: process.ask("product", m=m, k=k, n=n, fused=fused)
        ready, answers, missing = self._ready(("ours", *peers), ask)
        if "ours" in missing:
            yield Row("products", name, note=missing["ours"])
            return
        times = self._in_turns(name, ready)
        self.processes.forget()
        ours, flop = times["ours"], 2.0 * m * k * n
        gflops = f"{flop / ours.median / 1e3:.0f} GFLOP/s"
        for peer in peers:
            if peer in missing:
                yield Row("products", name, peer, ours.median, note=missing[peer])
                continue
            apart = farthest(answers["ours"][0]["numbers"], answers[peer][0]["numbers"])
            note = gflops if apart < 1e-3 else f"results differ by {apart:.2g}"
            beside = ratio(ours, times[peer])
            asked = Bound(0.9, 0.9) if peer == "numpy" and not (largest or fused) else None
            if not largest:
                ratios.setdefault(peer, []).append(beside.median)
            yield Row(
                "products", name, peer, ours.median, times[peer].median,
                (ours.threads, times[peer].threads), beside.median, beside.worst, asked, note=note,
            )  # fmt: skip
        by_threads = {t: median(runs) for t, runs in self.raw[name]["ours"].items()}
        if largest and 1 in by_threads and self.peak is not None:
            share = share_of_peak(flop, by_threads[1], self.peak.by_threads[1])
            yield Row("peak", f"{name}, 1 thread", ours=by_threads[1], value=share, bound=Bound(0.8, 0.8), unit="of peak")  # fmt: skip
        if largest and {1, 2} <= set(by_threads):
            faster = by_threads[1] / by_threads[2]
            yield Row("peak", f"{name}, 2 threads beside 1", ours=by_threads[2], value=faster, bound=Bound(1.8, 1.8))  # fmt: skip

    # ------------------------------------------------------------------------------ kernels

    def kernels(self) -> Iterator[Row]:
        """Kernels of this machine's instruction set beside the portable reference kernels."""
        self.say("kernels")
        process = self.processes.get("ours", 1)
        names = process.ask("kernels")["names"][:: self.settings.kernels]
        if not names:
            yield Row("kernels", "kernels", note="no native executor here")
        ratios = []
        for name in names:
            found = process.ask(
                "kernel", name=name, runs=self.settings.runs, seconds=self.settings.seconds / 10
            )
            ours, reference = Best(1, tuple(found["ours"])), Best(1, tuple(found["reference"]))
            self.raw[f"kernel: {name}"] = {"ours": {1: found["ours"]}, "reference": {1: found["reference"]}}  # fmt: skip
            beside = ratio(ours, reference)
            ratios.append(beside.median)
            yield Row(
                "kernels", name, "reference", ours.median, reference.median, (1, 1), beside.median,
                beside.worst, Bound(1, 1), note="same bits" if found["same"] else "bits differ",
            )  # fmt: skip
        if ratios:
            yield Row("kernels", "geometric mean", "reference", value=geometric_mean(ratios))

    # ---------------------------------------------------------------------- whole processes

    def starts(self) -> Iterator[Row]:
        """First steps of structures new to a warm process, and how soon a second fit starts."""
        self.say("first steps")
        must = {"spiral": 15.0, "mlp": 25.0}
        process = self.processes.get("ours", self.settings.threads[0])
        for work in self.settings.structures:
            try:
                found = process.ask("first", work=work, repeats=self.settings.starts)
            except Failed as error:
                yield Row("starts", work, note=str(error))
                continue
            bound = Bound(must[work], must[work]) if work in must else None
            pairs = (("first step", "first", bound), ("second fit", "again", Bound(1.0, 1.0)))
            for title, key, asked in pairs:
                times = found[key]
                yield Row(
                    "starts", f"{work}: {title}", value=median(times), worst=max(times),
                    bound=asked, unit="ms", less=True,
                )  # fmt: skip

    def imports(self) -> Iterator[Row]:
        """Seconds of `import`, less those of an interpreter that imports nothing."""
        self.say("imports")
        modules = {
            "ours": "glassgrad", "numpy": "numpy", "torch": "torch", "jax": "jax.numpy",
            "sklearn": "sklearn.neural_network", "onnx": "onnxruntime",
        }  # fmt: skip

        def once(side: str, code: str) -> float:
            command = [interpreter(side, self.processes.peer_python), "-c", code]
            began = time.perf_counter()
            done = subprocess.run(
                command, check=False, env=environment(1, "auto", os.environ), capture_output=True
            )
            if done.returncode:
                raise Failed(done.stderr.decode().strip().splitlines()[-1])
            return time.perf_counter() - began

        for side, module in modules.items():
            if side != "ours" and side not in self.settings.chosen(tuple(modules)):
                continue
            try:
                if self.settings.imports > 1:  # its files are read and compiled
                    once(side, f"import {module}")
                turns = range(self.settings.imports)
                pairs = [(once(side, f"import {module}"), once(side, "pass")) for _ in turns]
            except Failed as error:
                yield Row("import", module, side, note=str(error))
                continue
            times = [(a - b) * 1e3 for a, b in pairs]
            yield Row("import", module, side, value=median(times), worst=max(times), unit="ms", less=True)  # fmt: skip

    def memory(self) -> Iterator[Row]:
        """The peak of a process that trains the mlp for 40 batches: ours as a part of PyTorch's."""
        self.say("memory")
        found = {}
        for side in ("ours", *self.settings.chosen(("torch",))):
            try:
                with self.processes.start(side, 1) as process:
                    found[side] = process.ask("memory")["bytes"]
            except Failed as error:
                yield Row("memory", "mlp process", side, note=str(error))
        for side, size in found.items():
            yield Row("memory", f"mlp process, {TITLES[side]}", value=size / 2**20, unit="MiB")
        if len(found) == 2:
            part = found["ours"] / found["torch"]
            yield Row("memory", "mlp process", "torch", value=part, bound=Bound(0.35, 0.35), unit="of peer's", less=True)  # fmt: skip

    def wheel(self, file: Path | None) -> Iterator[Row]:
        """The size of a wheel that was built before."""
        built = sorted((ROOT / "dist").glob("glassgrad-*.whl"), key=lambda p: p.stat().st_mtime)
        file = file or (built[-1] if built else None)
        if file is None:
            note = "none in dist/: pip wheel --no-deps -w dist ."
            yield Row("wheel", "size", note=note)
            return
        size = file.stat().st_size / 2**20
        kind = "pure" if file.name.endswith("none-any.whl") else "native"
        yield Row("wheel", file.name, value=size, bound=Bound(3, 3), unit="MiB", less=True, note=kind)  # fmt: skip


def machine() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else sys.platform
