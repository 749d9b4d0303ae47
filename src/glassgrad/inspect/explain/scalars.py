"""The picture of a small network in which every number is a node: its value and its derivative.

Numbers run from left to right, each line from one to another bears the local derivative. The
derivative in a number is the sum over the lines that leave it: local derivative times the
derivative at the other end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from glassgrad.engine import compiled
from glassgrad.errors import ConfigError
from glassgrad.inspect.svg import coordinate, picture, text, words
from glassgrad.ir import FLOATS, INPUT, Value

from .cards import Cards
from .forms import Index
from .paths import forward_slope
from .story import checked_row
from .words import number, place

MOST = 60
_WIDE, _HIGH, _ACROSS, _DOWN = 138, 36, 150, 46
_LEFT, _TOP = 20, 62
Scalar = tuple[Value, Index]


@dataclass(frozen=True, slots=True)
class Line:
    """A number, one that is computed from it, and the local derivative of that in it."""

    start: Scalar
    end: Scalar
    slope: float


def scalars(cards: Cards, row: int | None = None) -> list[Scalar]:
    """Every number of the step that has a name; of the values that have rows, those of one row."""
    found: list[Scalar] = []
    for value in cards.order:
        role = value.node.attributes["role"] if value.node.op is INPUT else ""
        if role in ("host", "buffer"):
            continue
        every = [tuple(map(int, i)) for i in np.ndindex(*cards.recording.arrays[value].shape)]
        chosen = row is not None and cards.has_rows(value)
        found += [(value, index) for index in every if not chosen or index[0] == row]
    return found


def drawn(cards: Cards, row: int | None = None) -> str:
    """The picture as SVG. Raises ConfigError for more numbers than one can look at."""
    checked_row(cards, row)
    nodes = scalars(cards, row)
    if len(nodes) > MOST:
        raise ConfigError(
            "this network has too many numbers for a picture of each",
            expected=f"at most {MOST}, parameters and losses among them",
            received=f"{len(nodes):,}",
            hint="fewer rows, or row=0" if row is None and cards.recording.rows > 1 else "",
        )
    at = _placed(cards, nodes)
    every = list(lines(cards, set(nodes)))
    of = "" if row is None else f", row {row}"
    loss = number(float(cards.recording.arrays[cards.recording.loss]))
    right = max([x for x, _ in at.values()]) + _WIDE + _LEFT
    low = max([y for _, y in at.values()]) + _HIGH + 16
    return picture(
        int(right),
        int(low),
        f"{cards.recording.task.model.title()}: every number of a step{of}",
        f"{len(nodes)} numbers, {len(every)} local derivatives, loss {loss}",
        [*_edges(every, at), *_labels(every, at), *_nodes(cards, at), _legend()],
        2,
    )


def _placed(cards: Cards, nodes: list[Scalar]) -> dict[Scalar, tuple[float, float]]:
    """The upper left corner of each: columns by the longest way from the inputs, evenly filled."""
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
    targets = {v for v in cards.recording.loss.node.inputs if v.node.op is INPUT}
    for v in targets:
        depth[v] = depth[cards.recording.loss] - 1
    levels = sorted({depth.get(v, 0) for v, _ in nodes})
    columns = [[s for s in nodes if depth.get(s[0], 0) == d] for d in levels]
    height = max(map(len, columns)) * _DOWN
    found = {}
    for i, column in enumerate(columns):
        step = height / len(column)
        for k, scalar in enumerate(column):
            y = _TOP + step * (k + 0.5) - _HIGH / 2
            found[scalar] = (float(_LEFT + i * (_WIDE + _ACROSS)), y)
    return found


def lines(cards: Cards, nodes: set[Scalar]) -> Iterator[Line]:
    """Every local derivative that is not 0; where an op is done place by place, those that are 0 too."""
    recording = cards.recording
    by_value: dict[Value, list[Index]] = {}
    for value, index in nodes:
        by_value.setdefault(value, []).append(index)
    for node in recording.forward():
        result = node.values[0]
        if result not in by_value or node.op is INPUT:
            continue
        arrays = [recording.arrays[v] for v in node.inputs]
        zero = np.zeros(recording.arrays[result].shape)
        for value in dict.fromkeys(node.inputs):
            if value.type.dtype not in FLOATS or value not in by_value:
                continue
            graph = forward_slope(node, result, value)
            if graph is None:
                continue
            run = compiled(graph, "numpy").function
            here = "elementwise" in node.op.roles and value.type.shape == result.type.shape
            for index in by_value[value]:
                one = np.zeros(recording.arrays[value].shape)
                one[index] = 1.0
                slopes = np.broadcast_to(np.asarray(run(*arrays, zero, one)), zero.shape)
                for end in by_value[result]:
                    slope = float(slopes[end])
                    if slope or (here and end == index):
                        yield Line((value, index), (result, end), slope)


def _ends(line: Line, at: dict[Scalar, tuple[float, float]]) -> tuple[float, float, float, float]:
    (x1, y1), (x2, y2) = at[line.start], at[line.end]
    return x1 + _WIDE, y1 + _HIGH / 2, x2, y2 + _HIGH / 2


def _edges(every: list[Line], at: dict[Scalar, tuple[float, float]]) -> Iterator[str]:
    top = max([abs(e.slope) for e in every], default=1.0) or 1.0
    for e in every:
        x1, y1, x2, y2 = _ends(e, at)
        bend = coordinate((x2 - x1) / 3)
        path = (
            f"M{coordinate(x1)} {coordinate(y1)}c{bend} 0 {coordinate(2 * (x2 - x1) / 3)} "
            f"{coordinate(y2 - y1)} {coordinate(x2 - x1)} {coordinate(y2 - y1)}"
        )
        look = "gg-axis" if not e.slope else "gg-s0" if e.slope > 0 else "gg-s1"
        dashed = "" if e.slope else ' stroke-dasharray="2 4"'
        wide = coordinate(0.8 + 2.2 * (abs(e.slope) / top) ** 0.5)
        yield (
            f'<path class="{look}" fill="none" stroke-opacity="0.65"{dashed} '
            f'style="stroke-width:{wide}" d="{path}"/>'
        )


def _labels(every: list[Line], at: dict[Scalar, tuple[float, float]]) -> Iterator[str]:
    """Each line's derivative, at its beginning where it leaves alone, else along its fan."""
    leaving: dict[Scalar, list[Line]] = {}
    entering: dict[Scalar, list[Line]] = {}
    for e in every:
        leaving.setdefault(e.start, []).append(e)
        entering.setdefault(e.end, []).append(e)
    for e in every:
        x1, y1, x2, y2 = _ends(e, at)
        out, into = leaving[e.start], entering[e.end]
        k = out.index(e)
        # Where many lines meet, their labels stand where they are far apart.
        t = 0.14 + 0.11 * k if len(into) > len(out) else 0.5 + 0.28 * ((k + 0.5) / len(out) - 0.5)
        x = x1 + (x2 - x1) * t
        y = y1 + (y2 - y1) * _smooth(t) - 2
        look = "gg-soft gg-rim"
        yield (
            f'<text class="{look}" x="{coordinate(x)}" y="{coordinate(y)}" text-anchor="middle" '
            f'style="font-size:9px;paint-order:stroke;stroke-width:3px">{number(e.slope, 3)}</text>'
        )


def _smooth(t: float) -> float:
    """How far up a line has come: the height of its curve."""
    return 3 * t * t * (1 - t) + t**3


def _nodes(cards: Cards, at: dict[Scalar, tuple[float, float]]) -> Iterator[str]:
    for (value, index), (x, y) in at.items():
        size = f'width="{_WIDE}" height="{_HIGH}"'
        corner = f'x="{coordinate(x)}" y="{coordinate(y)}"'
        role = value.node.attributes["role"] if value.node.op is INPUT else ""
        dashed = ' stroke-dasharray="4 3"' if role == "data" else ""
        wide = ' style="stroke-width:2"' if role == "parameter" else ""
        yield f'<rect class="gg-page" {corner} {size} rx="6"/>'
        yield f'<rect class="gg-axis" {corner} {size} rx="6"{dashed}{wide}/>'
        label = text(place(cards.recording.names[value], index), 24)
        yield words("gg-soft", x + _WIDE / 2, y + 14, label, "middle")
        array, slopes = cards.recording.arrays[value], cards.recording.gradient(value)
        shown = number(float(array[index]), 4)
        if slopes is None:
            yield words("gg-ink", x + _WIDE / 2, y + 29, shown, "middle")
            continue
        yield words("gg-ink", x + 8, y + 29, shown)
        yield words("gg-f1", x + _WIDE - 8, y + 29, f"d {number(float(slopes[index]), 4)}", "end")


def _legend() -> str:
    said = "value, and d: the derivative of the loss; on a line the local derivative, blue above 0"
    return words("gg-soft", _LEFT, 47, text(said, 120))
