"""Every number of a step as a node, and the local derivatives as lines between them.

The derivative in a number is the sum over the lines that leave it: local derivative times the
derivative at the other end. `diagram` draws them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from glassgrad.engine import compiled
from glassgrad.ir import FLOATS, INPUT, Value

from .cards import Cards
from .forms import Index
from .paths import forward_slope

Scalar = tuple[Value, Index]


@dataclass(frozen=True, slots=True)
class Line:
    """A number, one that is computed from it, and the local derivative of that in it."""

    start: Scalar
    end: Scalar
    slope: float


def how_many(cards: Cards, row: int | None = None) -> int:
    """How many numbers `scalars` gives: known before millions of them are listed."""
    arrays, rows = cards.recording.arrays, cards.recording.rows
    return sum([arrays[v].size // (rows if _cut(cards, v, row) else 1) for v in _named(cards)])


def scalars(cards: Cards, row: int | None = None) -> list[Scalar]:
    """Every number of the step that has a name; of the values that have rows, those of one row."""
    found: list[Scalar] = []
    for value in _named(cards):
        every = [tuple(map(int, i)) for i in np.ndindex(*cards.recording.arrays[value].shape)]
        chosen = _cut(cards, value, row)
        found += [(value, index) for index in every if not chosen or index[0] == row]
    return found


def _named(cards: Cards) -> list[Value]:
    """Values without what a run is told and what a layer has counted."""
    roles = [(v, v.node.attributes["role"] if v.node.op is INPUT else "") for v in cards.order]
    return [v for v, role in roles if role not in ("host", "buffer")]


def _cut(cards: Cards, value: Value, row: int | None) -> bool:
    return row is not None and cards.has_rows(value)


def lines(cards: Cards, nodes: Iterable[Scalar]) -> Iterator[Line]:
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
