"""One picture of a run: how many times as fast as each peer, on a logarithmic scale.

A bar from "as fast" to the median of the runs, pale between the median and the worst run. Each bar
names its peer and its number, so colour only helps the eye.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from glassgrad.inspect.svg import coordinate as c, picture, text, words

from .report import number
from .results import Row
from .sides import TITLES
from .workloads import WORKLOADS

WIDTH, LEFT, RIGHT = 760, 300, 690
TOP, LANE, GAP = 88, 19, 13
COLOUR = {"torch": 0, "jax": 1, "sklearn": 2, "onnx": 3, "numpy": 4, "torch.compile": 5}


def _scale(values: Sequence[float]) -> tuple[float, float, list[float]]:
    """Ends of the axis and its ticks: powers of ten, and 1 always."""
    low, high = min([1.0, *values]), max([2.0, *values])
    ticks = [10.0**k for k in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    return low * 0.85, high * 1.5, [t for t in ticks if low * 0.85 <= t <= high * 1.5]


def _tick(value: float) -> str:
    return "as fast" if value == 1 else f"{value:g}×"


def drawn(rows: Sequence[Row], under: str) -> str:
    """The picture of the rows of workloads, with a line below of where they were measured."""
    shown = [row for row in rows if row.group == "workloads" and row.value and row.worst]
    low, high, ticks = _scale([v for row in shown for v in (row.value, row.worst) if v])

    def at(value: float) -> float:
        part = (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
        return LEFT + part * (RIGHT - LEFT)

    bars: list[str] = []
    y, before, first = TOP - GAP, "", 0
    for k, row in enumerate(shown):
        if row.work != before:
            y += GAP
            bars.append(words("gg-head gg-ink", 20, y + 13, text(row.work)))
            about = WORKLOADS[row.work].about.split(", ")
            bars.append(words("gg-soft", 20, y + 28, text(about[0], 34)))
            before, first = row.work, y
        bars += _bar(row, y, at)
        y += LANE
        if k + 1 == len(shown) or shown[k + 1].work != row.work:  # room for the name's two lines
            y = max(y, first + 2 * LANE - 4)
    bottom = y + 8
    rules = "".join(f"M{c(round(at(t)) + 0.5)} {TOP - 8}V{c(bottom)}" for t in ticks if t != 1)
    back = [f'<path class="gg-grid" d="{rules}"/>'] if rules else []
    back.append(f'<path class="gg-axis" d="M{c(round(at(1)) + 0.5)} {TOP - 8}V{c(bottom)}"/>')
    back += [words("gg-soft", at(t), TOP - 15, _tick(t), "middle") for t in ticks]
    key = "bar: the median of several runs; its pale end: from there to the worst run"
    back.append(words("gg-soft", 20, 49, text(key, 120)))
    foot = words("gg-soft", 20, bottom + 24, text(under, 130))
    return picture(
        WIDTH,
        round(bottom + 40),
        "glassgrad on a CPU: how many times as fast as others",
        "; ".join(
            f"{row.work}: {number(row.value)} times as fast as {TITLES[row.peer]}" for row in shown
        ),
        [*back, *bars, foot],
        len(COLOUR),
    )


def _bar(row: Row, y: float, at: Callable[[float], float]) -> list[str]:
    """The peer's name, the bar, its pale end between the median and the worst run, the ratio."""
    assert row.value is not None
    assert row.worst is not None
    one, end, worst = at(1.0), at(row.value), at(row.worst)
    colour = COLOUR[row.peer]
    near = worst if one <= worst < end else min(one, end)

    def part(start: float, stop: float, look: str = "") -> str:
        left, wide = min(start, stop), max(abs(stop - start), 1.0)
        size = f'x="{c(left)}" y="{c(y + 3)}" width="{c(wide)}" height="13"'
        return f'<rect class="gg-f{colour}" {size}{look}/>'

    return [
        words("gg-soft", LEFT - 12, y + 13, text(TITLES[row.peer]), "end"),
        part(one, near),
        part(near, worst if end < one else end, ' opacity="0.5"'),
        words("gg-head gg-ink", max(end, one) + 6, y + 14, f"{number(row.value)}×"),
    ]
