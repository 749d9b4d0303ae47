"""The picture of growth: what a step costs beside the size of four things, both axes logarithmic.

Drawn from the rows of a run with --growth. All panels share the axis of time, so that a level in
one is the same level in another. Lines carry their names, and their points have a shape for each
side; the dotted line is the time that the products alone need at the machine's measured peak.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from glassgrad.inspect.svg import Scale, axes, coordinate as c, picture, text, words

from .picture import COLOUR
from .report import number
from .results import Row
from .sides import TITLES
from .sweeps import SWEEPS, Sweep

OURS, PEER, PEAK = 1, COLOUR["torch"], 7  # colours; PyTorch's is that of the other picture
WIDTH, COLUMN, TOP, LINE = 860, 420, 92, 330  # pixels: of all, a panel, down to the first, a row
LEFT, WIDE, DOWN, HIGH = 74, 332, 44, 222  # where a panel's axes begin in it, and their size
ROOM = 42  # pixels between two numbers of an axis
_KEY = (
    "forward, backward and Adam in float32; both axes are logarithmic, lower is faster",
    "bold: how many times as long PyTorch takes; dotted: the products alone, at the machine's peak",
)
Pixels = list[tuple[float, float]]


@dataclass(frozen=True)
class _Line:
    """One panel's numbers: rows, and the size of each."""

    sweep: Sweep
    rows: tuple[Row, ...]
    sizes: tuple[int, ...]

    def times(self, field: str) -> list[tuple[int, float]]:
        found = [(n, getattr(row, field)) for n, row in zip(self.sizes, self.rows, strict=True)]
        return [(n, float(us)) for n, us in found if us]

    def floor(self) -> list[tuple[int, float]]:
        """Where the share of the peak is known: what the products would take at all of it."""
        pairs = zip(self.sizes, self.rows, strict=True)
        return [(n, row.ours * row.share) for n, row in pairs if row.ours and row.share]


def _lines(rows: Sequence[Row]) -> list[_Line]:
    found = []
    for sweep in SWEEPS:
        known = {f"{sweep.name} {size}": size for size in sweep.sizes}
        own = [row for row in rows if row.work in known and row.peer == "torch" and row.ours]
        own.sort(key=lambda row: known[row.work])
        if own:
            found.append(_Line(sweep, tuple(own), tuple(known[row.work] for row in own)))
    return found


def duration(us: float) -> str:
    """Microseconds in the unit in which they are read: 12 µs, 3.4 ms, 1 s."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if us >= size * 0.9995:
            return f"{number(us / size)} {unit}"
    return f"{number(us)} µs"


def _up(lines: Sequence[_Line], start: float, end: float) -> Scale:
    """The axis of time: as far as there are numbers, and a tick at each power of ten."""
    times = [us for line in lines for key in ("ours", "theirs") for _, us in line.times(key)]
    low, high = min(times) / 1.8, max(times) * 2.2
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    ticks = tuple((10.0**k, text(duration(10.0**k))) for k in powers)
    return Scale(low, high, start, end, ticks, log=True)


def _across(sizes: Sequence[int], start: float, end: float) -> Scale:
    """The axis of sizes: the first and the last have their number, others where there is room."""
    low, high = sizes[0] / 1.3, sizes[-1] * 1.3
    place = Scale(low, high, start, end, (), log=True)
    kept = [sizes[0]]
    for size in sizes[1:-1]:
        if place(size) - place(kept[-1]) >= ROOM and place(sizes[-1]) - place(size) >= ROOM:
            kept.append(size)
    if sizes[-1] != sizes[0]:
        kept.append(sizes[-1])
    return Scale(low, high, start, end, tuple((n, f"{n:,}") for n in kept), log=True)


def drawn(rows: Sequence[Row], under: str) -> str:
    """The picture of the rows of sweeps, with a line below of where they were measured."""
    lines = _lines(rows)
    body = [words("gg-soft", 20, 49 + 16 * k, said) for k, said in enumerate(_KEY)]
    for k, line in enumerate(lines):
        body += _panel(line, lines, (k % 2) * COLUMN, TOP + (k // 2) * LINE)
    bottom = TOP + math.ceil(len(lines) / 2) * LINE
    body.append(words("gg-soft", 20, bottom + 14, text(under, 130)))
    about = "; ".join(_said(line) for line in lines)
    return picture(WIDTH, bottom + 30, "What a training step costs as a network grows", about, body)


def _said(line: _Line) -> str:
    """A panel for those who cannot see it."""
    parts = []
    for field, title in (("ours", TITLES["ours"]), ("theirs", TITLES["torch"])):
        if times := line.times(field):
            parts.append(f"{title} {duration(times[0][1])} to {duration(times[-1][1])}")
    return f"{line.sweep.name} {line.sizes[0]} to {line.sizes[-1]}: {', '.join(parts)}"


def _panel(line: _Line, lines: Sequence[_Line], left: float, top: float) -> list[str]:
    x = _across(line.sizes, left + LEFT, left + LEFT + WIDE)
    y = _up(lines, top + DOWN + HIGH, top + DOWN)
    ours, theirs, floor = (
        [(x(n), y(us)) for n, us in times]
        for times in (line.times("ours"), line.times("theirs"), line.floor())
    )
    floor = _above(floor, y.start)
    body = [
        words("gg-head gg-ink", left + LEFT, top + 14, text(line.sweep.name.capitalize())),
        words("gg-soft", left + LEFT, top + 30, text(line.sweep.about, 60)),
        *axes(x, y, line.sweep.axis),
    ]
    if len(theirs) == len(ours) > 1:
        around = _path([*ours, *reversed(theirs)])
        body.append(f'<path class="gg-f{OURS}" fill-opacity="0.08" d="{around}z"/>')
    if floor:
        look = f'class="gg-line gg-s{PEAK}" stroke-dasharray="0.1 4.6"'
        body.append(f'<path {look} d="{_path(floor)}"/>')
    for points, colour in ((theirs, PEER), (ours, OURS)):
        if points:
            body.append(f'<path class="gg-line gg-s{colour}" d="{_path(points)}"/>')
            body.append(_marks(points, colour))
    taken = [ours, theirs]
    for place in (0, -1)[: len(line.rows)]:
        if value := line.rows[place].value:
            body += _ratio(value, ours[place], theirs[place], place == 0, taken)
    over = bool(theirs) and _middle(theirs) <= _middle(ours)  # pixels grow downwards
    body += _name(TITLES["torch"], f"gg-head gg-f{PEER}", theirs, not over, taken, floor, y.start)
    body += _name(TITLES["ours"], f"gg-head gg-f{OURS}", ours, over, taken, floor, y.start)
    body += _name("products at peak", "gg-soft", floor, True, taken, floor, y.start)
    return body


def _above(points: Pixels, bottom: float) -> Pixels:
    """The part of a line above the axis, from where it crosses it."""
    kept = [p for p in points if p[1] <= bottom]
    for (ax, ay), (bx, by) in pairwise(points):
        if (ay > bottom) != (by > bottom):
            kept.append((ax + (bx - ax) * (bottom - ay) / (by - ay), bottom))
    return sorted(kept)


def _path(points: Pixels) -> str:
    return "M" + "L".join(f"{c(px)} {c(py)}" for px, py in points)


def _marks(points: Pixels, colour: int) -> str:
    """A point's shape tells the sides apart where colours do not."""
    shape = "m-2.7 0a2.7 2.7 0 1 0 5.4 0a2.7 2.7 0 1 0-5.4 0z" if colour == OURS else "m-2.4-2.4h4.8v4.8h-4.8z"  # fmt: skip
    path = "".join(f"M{c(px)} {c(py)}{shape}" for px, py in points)
    return f'<path class="gg-f{colour} gg-rim" stroke-width="0.8" d="{path}"/>'


def _at(points: Pixels, px: float) -> float:
    """The height of a line at a place between its ends."""
    for (ax, ay), (bx, by) in pairwise(points):
        if ax <= px <= bx:
            return ay + (by - ay) * (px - ax) / (bx - ax)
    return points[0][1] if px < points[0][0] else points[-1][1]


def _middle(points: Pixels) -> float:
    return _at(points, (points[0][0] + points[-1][0]) / 2) if points else 0.0


def _name(
    title: str,
    look: str,
    points: Pixels,
    below: bool,
    taken: list[Pixels],
    dotted: Pixels,
    bottom: float,
) -> list[str]:
    """A line's name along it, on the side and at the place where what is drawn leaves most room.

    `below` is the side that is preferred. The dotted line, of least weight, may be written over: a
    rim of the page's colour keeps the name readable. A line too short for its name has none.
    """
    half = 3.5 * len(title)
    if not points or points[-1][0] - points[0][0] < 2 * half:
        return []
    start, end = points[0][0], points[-1][0]
    found = []
    for side in (below, not below):
        for k in range(21):
            middle = start + half + (end - start - 2 * half) * k / 20
            samples = [middle + half * (j / 4 - 1) for j in range(9)]
            heights = [_at(points, px) for px in samples]
            base = max(heights) + 16 if side else min(heights) - 8
            rooms = [_room(other, samples, base) for other in taken if other is not points]
            room = 3 * min(rooms) + (0 if points is dotted else _room(dotted, samples, base))
            if base < bottom - 8:
                found.append((room - 4 * (side != below), -abs(k - 10), middle, base))
    _, _, middle, base = max(found)
    taken.append([(middle - half, base - 4), (middle + half, base - 4)])
    name = words(look, middle, base, text(title), "middle")
    rim = '<g class="gg-rim" stroke-width="3" stroke-linejoin="round" paint-order="stroke">'
    return [f"{rim}{name}</g>"]


def _room(other: Pixels, samples: list[float], base: float) -> float:
    """Pixels between a line and a text above `base`, no more than are of use."""
    between = [
        max(_at(other, px) - base - 3, base - 10 - _at(other, px), 0.0)
        for px in samples
        if other and other[0][0] <= px <= other[-1][0]
    ]
    return min([10.0, *between])


def _ratio(
    value: float, ours: tuple[float, float], theirs: tuple[float, float], first: bool,
    taken: list[Pixels],
) -> list[str]:  # fmt: skip
    """How many times as long PyTorch takes, above the two points, and a rule between them."""
    px, high, low = ours[0], min(ours[1], theirs[1]), max(ours[1], theirs[1])
    shown = f"{value:.2g}×" if value < 100 else f"{value:,.0f}×"
    edge, anchor = (px - 6, "start") if first else (px + 6, "end")
    wide = 8 * len(shown) * (1 if first else -1)
    taken.append(sorted([(edge, high - 14), (edge + wide, high - 14)]))
    label = words("gg-head gg-ink", edge, high - 9, shown, anchor)
    if low - high < 20:
        return [label]
    rule = f'<path class="gg-axis" d="M{c(round(px) + 0.5)} {c(high + 5)}V{c(low - 5)}"/>'
    return [rule, label]
