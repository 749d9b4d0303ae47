"""Every fault in its five networks with some seeds, and sound trainings: what is found, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import glassgrad as gg
from glassgrad.inspect.diagnose.diagnosis import Diagnosis

from .healthy import HEALTHY
from .planted import FAULTS, FIVE, SPARE, Case, Plant, planted, where


@dataclass(slots=True)
class Counts:
    """How often a fault was named first, by fault and network, and what fixes did."""

    seeds: tuple[int, ...]
    faults: tuple[str, ...] = tuple(FAULTS)
    first: Counter[tuple[str, str]] = field(default_factory=Counter)
    sound: int = 0
    alarms: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    tried: Counter[str] = field(default_factory=Counter)  # fixes of findings named rightly
    offered: Counter[str] = field(default_factory=Counter)  # those that lowered the loss

    def found(self, fault: str) -> int:
        """In how many of its cases a fault was named first."""
        return sum(self.first[fault, name] for name in where(fault))

    @property
    def cases(self) -> int:
        """How many cases a fault has."""
        return len(FIVE) * len(self.seeds)

    @property
    def failures(self) -> int:
        """Faults that are found in less than 12 of 15 cases, and alarms where nothing is wrong."""
        return sum(self.found(f) * 15 < 12 * self.cases for f in self.faults) + len(self.alarms)

    def table(self) -> str:
        """Faults against networks: how often each was named first, and what its fix did."""
        names = (*FIVE, *SPARE)
        width = max(map(len, self.faults))
        heads = "  ".join([f"{'fault':<{width}}", *names, "found", "fix lowers the loss"])
        lines = [heads]
        for fault in self.faults:
            cells = [
                (f"{self.first[fault, n]}/{len(self.seeds)}" if n in where(fault) else "-").rjust(
                    len(n)
                )
                for n in names
            ]
            tried = self.tried[fault]
            fix = f"{self.offered[fault]} of {tried} tried" if tried else "cannot be tried"
            total = f"{self.found(fault)}/{self.cases}"
            lines.append("  ".join([f"{fault:<{width}}", *cells, f"{total:>5}", fix]))
        lines.append(f"{self.sound} sound trainings, alarms in {len(self.alarms)}")
        return "\n".join([*lines, *self.alarms, *self.missed])


def _diagnosed(case: Case) -> Diagnosis:
    return gg.diagnose(case.model, case.x, case.y, **case.settings)


def counted(
    seeds: Iterable[int],
    faults: Mapping[str, Plant] = FAULTS,
    healthy: Mapping[str, Callable[[int], Case]] = HEALTHY,
) -> Counts:
    """Plant every fault in its five networks with these seeds, and look at as many sound trainings.

    `faults` has by the name that is to be found first what plants it.
    """
    counts = Counts(tuple(seeds), tuple(faults))
    for fault, plant in faults.items():
        for network in where(fault):
            for seed in counts.seeds:
                _count(counts, fault, network, planted(plant, network, seed), seed)
    for network, make in healthy.items():
        for seed in counts.seeds:
            found = _diagnosed(make(seed))
            counts.sound += 1
            counts.alarms += [
                f"alarm: {network}, seed {seed}: {f.name}: {f.evidence}" for f in found.findings
            ]
    return counts


def _count(counts: Counts, fault: str, network: str, case: Case, seed: int) -> None:
    found = _diagnosed(case).findings
    if not found or found[0].name != fault:
        named = ", ".join(f.name for f in found) or "nothing"
        counts.missed.append(f"missed: {fault}, {network}, seed {seed}: {named}")
        return
    counts.first[fault, network] += 1
    counts.tried[fault] += found[0].trial is not None
    counts.offered[fault] += found[0].offered
