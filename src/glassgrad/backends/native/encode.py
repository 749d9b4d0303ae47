"""Steps as the numbers that the executor reads (native/README.md), and places in its arena."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glassgrad.passes import plan_memory
from glassgrad.passes.layout import SIZE_OF, Lay, Memory

from .program import DTYPES
from .step import Step

Whole = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(slots=True)
class Encoded:
    """A plan in numbers."""

    bases: Whole
    slots: Whole
    code: Whole
    reals: Reals

    @property
    def arena(self) -> int:
        """Bytes of the arena."""
        return int(self.bases[0, 1])


def encoded(
    steps: Sequence[Step],
    pieces: Sequence[Memory],
    caller: Sequence[tuple[int, bool]],
    kernels: Mapping[str, int],
) -> Encoded:
    """The numbers of a plan; `caller` has bytes and whether they are written, base after base."""
    _live(steps)
    if plan_memory.SHARING:
        _in_place(steps)
    used = [piece for piece in pieces if piece.first >= 0 and piece.inside is None]
    arena = plan_memory.plan_memory(used)
    bases = [(0, arena), *[(2 if written else 1, size) for size, written in caller]]
    slots: dict[tuple[int, int, int, int], int] = {}
    code: list[int] = []
    reals: list[float] = []
    for step in steps:
        lays = [*step.reads, *step.writes]
        code += [kernels[step.kernel], step.split, len(lays), len(step.ints), len(step.reals)]
        for lay in lays:
            memory, start = lay.memory.whole()
            begin = memory.start + start + lay.offset * SIZE_OF[lay.dtype]
            key = (memory.base, begin, lay.loop, lay.step)
            code += [slots.setdefault(key, len(slots)), DTYPES[lay.dtype], len(lay.shape)]
            code += [*lay.shape, *lay.strides]
        code += step.ints
        reals += step.reals
    return Encoded(
        np.array(bases, np.int64).reshape(-1, 2),
        np.array(list(slots), np.int64).reshape(-1, 4),
        np.array(code, np.int64),
        np.array(reals, np.float64),
    )


def _live(steps: Sequence[Step]) -> None:
    """From which to which step each memory is needed; all of a loop, where it outlives a round."""
    touched: dict[Memory, list[int]] = {}
    for i, step in enumerate(steps):
        for lay in (*step.reads, *step.writes):
            touched.setdefault(lay.memory.whole()[0], []).append(i)
    for memory, times in touched.items():
        memory.first, memory.last = times[0], times[-1]
    for begin, step in enumerate(steps):
        if step.kernel != "loop":
            continue
        end = begin + step.body
        for memory, times in touched.items():
            inside = [t for t in times if begin < t <= end]
            if inside and len(inside) < len(times):
                memory.first = min(memory.first, begin)
                memory.last = max(memory.last, end)


def _in_place(steps: Sequence[Step]) -> None:
    """What a program writes takes the place of what it reads for the last time."""
    for i, step in enumerate(steps):
        if step.kernel != "map":
            continue
        for out in step.writes:
            new, at = out.memory.whole()
            if new.base or new.first != i or at or not out.contiguous or out.loop >= 0:
                continue
            for lay in step.reads:
                old, start = lay.memory.whole()
                fits = old.base == 0 and old.last == i and old.bytes == new.bytes
                same = (lay.shape, lay.strides, lay.offset) == (out.shape, out.strides, out.offset)
                if fits and same and not start and lay.loop < 0 and lay.dtype == out.dtype:
                    if old is new or _others_read(step, old, lay):
                        continue
                    new.inside, new.start = old, 0
                    old.last = max(old.last, new.last)
                    break


def _others_read(step: Step, memory: Memory, lay: Lay) -> bool:
    """Whether the same memory is also read, or written, in another way."""
    every = [x for x in (*step.reads, *step.writes) if x.memory.whole()[0] is memory]
    return any(x != lay for x in every)
