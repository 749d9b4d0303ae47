"""The picture of a small network in which every number is a box: its value and its derivative.

Numbers run from left to right. Each line to a number that is computed from one leaves it in a row of
its own, on which the local derivative stands: labels cannot meet, however many lines there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from glassgrad.errors import ConfigError
from glassgrad.inspect.svg import Picture, coordinate, picture, text, width_of, words
from glassgrad.ir import INPUT, Value

from .cards import Cards
from .scalars import Line, Scalar, how_many, lines, scalars
from .story import checked_row
from .words import number, place

MOST = 60
_LEFT, _TOP, _GAP = 20.0, 74.0, 10.0
_HIGH = 36.0  # of a box, at least
_ROW = 14.0  # of a line that leaves, with its label
_ENTRY = 5.0  # between lines that enter
_BEND = 96.0  # from the end of the labels to the next column
_LANE = 10.0  # between lines that go by columns, below their boxes
_LABEL = 10  # pixels, the size of a label's letters


@dataclass(slots=True, eq=False)
class _Box:
    """A number as it is drawn: its texts, its lines, its place."""

    scalar: Scalar
    name: str
    value: str
    slope: str
    column: int
    out: list[_Edge] = field(default_factory=list)
    into: list[_Edge] = field(default_factory=list)
    x: float = 0.0
    y: float = 0.0
    wide: float = 0.0

    @property
    def high(self) -> float:
        return max(_HIGH, _ROW * len(self.out) + 4, _ENTRY * len(self.into) + 6)

    @property
    def room(self) -> float:
        """What the texts need."""
        numbers = width_of(self.value) + width_of(self.slope) + 14 * bool(self.slope)
        return 16 + max(width_of(self.name), numbers)

    def leaves(self, edge: _Edge) -> tuple[float, float]:
        """Where a line begins."""
        top = self.y + (self.high - _ROW * len(self.out)) / 2
        return self.x + self.wide, top + _ROW * (self.out.index(edge) + 1) - 2

    def enters(self, edge: _Edge) -> tuple[float, float]:
        """Where a line ends."""
        k, count = self.into.index(edge), len(self.into)
        return self.x, self.y + self.high / 2 + _ENTRY * (k - (count - 1) / 2)


@dataclass(slots=True, eq=False)
class _Edge:
    start: _Box
    end: _Box
    slope: float

    @property
    def label(self) -> str:
        return number(self.slope, 3)


def drawn(cards: Cards, row: int | None = None) -> Picture:
    """The picture as SVG. Raises ConfigError for more numbers than one can look at."""
    checked_row(cards, row)
    count = how_many(cards, row)
    if count > MOST:
        raise ConfigError(
            "this network has too many numbers for a picture of each",
            expected=f"at most {MOST}, parameters and losses among them",
            received=f"{count:,}",
            hint="fewer rows, or row=0" if row is None and cards.recording.rows > 1 else "",
        )
    nodes = scalars(cards, row)
    boxes = _boxes(cards, nodes)
    edges = _joined(boxes, lines(cards, nodes))
    ends = _place(boxes)
    lowest = max(b.y + b.high for b in boxes)
    body = _edges(edges, ends, lowest)
    body += [part for edge in edges for part in _label(edge)]
    body += [part for box in boxes for part in _drawn(box)]
    of = "" if row is None else f", row {row}"
    loss = number(float(cards.recording.arrays[cards.recording.loss]))
    return picture(
        int(max(620, max(b.x + b.wide for b in boxes) + _LEFT)),
        int(lowest + _LANE * len(_long(edges)) + 20),
        f"{cards.recording.task.model.title()}: every number of a step{of}",
        f"{len(nodes)} numbers, {len(edges)} local derivatives, loss {loss}",
        [*_legend(), *body],
        colours=2,
    )


def _boxes(cards: Cards, nodes: list[Scalar]) -> list[_Box]:
    """A box for each number, its column the longest way from the inputs."""
    depth: dict[Value, int] = {}
    order = cards.recording.forward()
    for node in order:
        if node.op is not INPUT:
            below = max([depth.get(v, 0) for v in node.inputs], default=0)
            depth.update(dict.fromkeys(node.values, below + 1))
    for node in reversed(order):  # a parameter stands just before what it is used in
        for v in node.inputs:
            if v.node.op is INPUT and v.node.attributes["role"] != "data":
                depth[v] = min(depth.get(v, 10**6), depth[node.values[0]] - 1)
    for v in cards.recording.loss.node.inputs:
        if v.node.op is INPUT:
            depth[v] = depth[cards.recording.loss] - 1
    levels = sorted({depth.get(v, 0) for v, _ in nodes})
    found = []
    for value, index in nodes:
        array, slopes = cards.recording.arrays[value], cards.recording.gradient(value)
        slope = "" if slopes is None else f"d {number(float(slopes[index]), 4)}"
        found.append(
            _Box(
                (value, index),
                place(cards.recording.names[value], index),
                number(float(array[index]), 4),
                slope,
                levels.index(depth.get(value, 0)),
            )
        )
    return found


def _joined(boxes: list[_Box], every: Iterator[Line]) -> list[_Edge]:
    """The lines, in each box in the order of the boxes at their other ends."""
    of = {box.scalar: box for box in boxes}
    edges = [_Edge(of[e.start], of[e.end], e.slope) for e in every]
    rank = {box: i for i, box in enumerate(boxes)}
    for edge in edges:
        edge.start.out.append(edge)
        edge.end.into.append(edge)
    for box in boxes:
        box.out.sort(key=lambda e: rank[e.end])
        box.into.sort(key=lambda e: rank[e.start])
    return edges


def _place(boxes: list[_Box]) -> list[float]:
    """Columns from left to right, evenly filled; gives where the labels of each column end."""
    columns = [[b for b in boxes if b.column == c] for c in range(boxes[-1].column + 1)]
    tall = max(sum(b.high + _GAP for b in column) for column in columns)
    x, ends = _LEFT, []
    for column in columns:
        wide = max(110.0, *[b.room for b in column])
        labels = [width_of(e.label, _LABEL) + 8 for b in column for e in b.out]
        spare = (tall - sum(b.high for b in column)) / len(column)
        y = _TOP + spare / 2
        for box in column:
            box.x, box.y, box.wide = x, y, wide
            y += box.high + spare
        ends.append(x + wide + max(labels, default=0.0))
        x = ends[-1] + _BEND
    return ends


def _long(edges: list[_Edge]) -> list[_Edge]:
    """Those that go by columns: each has a lane below the boxes."""
    return [e for e in edges if e.end.column - e.start.column > 1]


def _edges(edges: list[_Edge], ends: list[float], lowest: float) -> list[str]:
    top = max([abs(e.slope) for e in edges], default=1.0) or 1.0
    long = _long(edges)
    found = []
    for e in edges:
        (x1, y1), (x2, y2) = e.start.leaves(e), e.end.enters(e)
        path = f"M{coordinate(x1)} {coordinate(y1)}H{coordinate(ends[e.start.column])}"
        at = ends[e.start.column], y1
        if e in long:
            lane = lowest + _LANE * (long.index(e) + 1)
            path += _bend(*at, at[0] + _BEND, lane)
            at = ends[e.end.column - 1], lane
            path += f"H{coordinate(at[0])}"
        path += _bend(*at, x2, y2)
        look = "gg-axis" if not e.slope else "gg-s0" if e.slope > 0 else "gg-s1"
        dashed = "" if e.slope else ' stroke-dasharray="2 4"'
        wide = coordinate(0.8 + 2.2 * (abs(e.slope) / top) ** 0.5)
        found.append(
            f'<path class="{look}" fill="none" stroke-opacity="0.65"{dashed} '
            f'style="stroke-width:{wide}" d="{path}"/>'
        )
    return found


def _bend(x1: float, y1: float, x2: float, y2: float) -> str:
    """A curve that begins and ends level."""
    half = coordinate((x1 + x2) / 2)
    return f"C{half} {coordinate(y1)} {half} {coordinate(y2)} {coordinate(x2)} {coordinate(y2)}"


def _label(e: _Edge) -> Iterator[str]:
    """The local derivative, on the beginning of its line."""
    x, y = e.start.leaves(e)
    at = f'x="{coordinate(x + 4)}" y="{coordinate(y - 3)}"'
    yield f'<text class="gg-ink" style="font-size:{_LABEL}px" {at}>{e.label}</text>'


def _drawn(box: _Box) -> Iterator[str]:
    node = box.scalar[0].node
    role = node.attributes["role"] if node.op is INPUT else ""
    corner = f'x="{coordinate(box.x)}" y="{coordinate(box.y)}"'
    size = f'width="{coordinate(box.wide)}" height="{coordinate(box.high)}"'
    dashed = ' stroke-dasharray="4 3"' if role == "data" else ""
    wide = ' style="stroke-width:2"' if role == "parameter" else ""
    yield f'<rect class="gg-page" {corner} {size} rx="6"/>'
    yield f'<rect class="gg-axis" {corner} {size} rx="6"{dashed}{wide}/>'
    middle, first = box.x + box.wide / 2, box.y + box.high / 2 - 4
    yield words("gg-soft", middle, first, text(box.name), "middle")
    if not box.slope:
        yield words("gg-ink", middle, first + 15, box.value, "middle")
        return
    yield words("gg-ink", box.x + 8, first + 15, box.value)
    yield words("gg-f1", box.x + box.wide - 8, first + 15, box.slope, "end")


def _legend() -> list[str]:
    return [
        words("gg-soft", _LEFT, 47, "box: a value, and d, the derivative of the loss in it"),
        words(
            "gg-soft",
            _LEFT,
            62,
            "line: the derivative of its end in its beginning; blue above 0, orange below, dotted 0",
        ),
    ]
