"""The way forward of any network as boxes and arrows; no Graphviz."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from glassgrad.errors import UsageError, shown
from glassgrad.inspect.summary import graph_of, times
from glassgrad.inspect.svg import Picture, coordinate, fitted, picture, text, width_of, words
from glassgrad.ir import INPUT, Graph, Node, Shape, bind
from glassgrad.nn.module import Module

__all__ = ["graph"]

_WIDE, _WIDEST, _WAY, _HIGH, _DOWN, _APART = 150.0, 260.0, 16.0, 40.0, 74.0, 34.0
_TOP = 66.0
_MOST_BOXES = 120
_DATA = ("data", "target", "")


@dataclass(slots=True, eq=False)
class _Box:
    """A layer, an input or the result; or the place where a long arrow goes by a row."""

    name: str
    note: str = ""
    kind: str = "layer"
    row: int = 0
    x: float = 0.0
    wide: float = _WAY
    into: list[tuple[_Box, str]] = field(default_factory=list)  # from where, and what shape
    leaving: int = 0  # arrows


def graph(model: Module, x: Any = None, title: str = "") -> Picture:
    """The way forward of a network: a box for each layer, arrows with the shapes of one row.

    Ops between the layers have boxes of their own, one for those that follow each other in a module.
    A layer that is used again after others has a box more. The first 120 boxes are drawn, and the
    picture says so.

    Parameters
    ----------
    model : Module
    x : tuple of int
        The shape of one row, where the model has not been called yet.
    title : str
        Any text; the model's own title by default.

    Raises
    ------
    UsageError
        What goes into the model is not known.

    Examples
    --------
    >>> from glassgrad import nn
    >>> model = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 3))
    >>> svg = graph(model, (2,), "spiral")
    >>> svg.count('class="gg-node'), "Linear(2, 64)" in svg
    (5, True)
    """
    if not isinstance(model, Module):
        raise UsageError("this is not a model", expected="an nn.Module", received=shown(model))
    boxes, every = _boxes(graph_of(model, x, "graph(model, (2,))")[0])
    rows = _rows(boxes)
    _place(rows)
    wide = int(max(420, max(box.x + box.wide / 2 for row in rows for box in row) + 30))
    count = f"{every} boxes"
    count += f", the first {len(boxes)} drawn" if len(boxes) < every else ""
    body = [words("gg-soft", 20, 50, f"{count}; beside an arrow the shape of one row")]
    labels = []
    for box in [box for row in rows for box in row]:
        for source, shape in box.into:
            body.append(_arrow(source, box))
            labels += [_shape(source, box, shape)] if shape else []
    body += [line for row in rows for box in row for line in _drawn(box)]
    high = int(_TOP + len(rows) * _DOWN - (_DOWN - _HIGH) + 20)
    about = f"{len(boxes)} boxes from {boxes[0].name} to the result"
    return picture(wide, high, title or model.title(), about, body + labels, colours=1, shapes=True)


def _drawn(box: _Box) -> list[str]:
    """A box with its name and, below that, what it is."""
    if box.kind == "way":
        return []
    c, y = coordinate, _TOP + box.row * _DOWN
    look = "gg-node" if box.kind == "layer" else "gg-node gg-end"
    place = f'x="{c(box.x - box.wide / 2)}" y="{c(y)}" width="{c(box.wide)}" height="{c(_HIGH)}"'
    out = [f'<rect class="{look}" {place} rx="{6 if box.kind == "layer" else 20}"/>']
    at = y + (17 if box.note else 24)
    out.append(words("gg-ink gg-head", box.x, at, fitted(box.name, box.wide - 14, 13), "middle"))
    if box.note:
        out.append(words("gg-soft", box.x, y + 32, fitted(box.note, box.wide - 14), "middle"))
    return out


def _boxes(found: Graph) -> tuple[list[_Box], int]:
    """Boxes in the order in which they are computed; steps of one layer are one box."""
    inputs = [n for n in found.nodes() if n.op is INPUT and n.attributes.get("role") in _DATA]
    steps = sorted((n for n in found.nodes() if n.op is not INPUT), key=lambda n: n.origin.seq)
    held = {id(n) for n in found.nodes() if n.op is INPUT} - {id(n) for n in inputs}
    of: dict[int, _Box] = {}
    boxes = []
    for node in inputs:
        of[id(node)] = _Box(str(node.attributes.get("name", "x")), "input", "end")
        boxes.append(of[id(node)])
    last, scope = None, ""
    outer = {path.rpartition(".")[0] for path in found.scopes}  # those that have layers in them
    for node in steps:
        if not any(id(v.node) in of for v in node.inputs) and not _is_first(node, held):
            continue  # a constant
        own = node.origin.scope
        if last is None or not own or own != scope:
            last = _Box(own, found.scopes[own].title) if own in found.scopes else _Box(own)
            if own in outer or not own:
                last = _Box("", own)
            boxes.append(last)
        if own in outer or not own:  # between the layers
            last.name += ", " * bool(last.name) + node.op.name
        scope = own
        of[id(node)] = last
        for value in node.inputs:
            source = of.get(id(value.node))
            if source is not None and source is not last:
                pair = (source, _one(value.type.shape))
                if source not in [s for s, _ in last.into]:
                    last.into.append(pair)
    for name, value in found.outputs.items():
        source = of.get(id(value.node))
        if source is not None:
            boxes.append(_Box(name, "result", "end", into=[(source, _one(value.type.shape))]))
    every = len(boxes)
    return boxes[:_MOST_BOXES], every


def _is_first(node: Node, held: set[int]) -> bool:
    """Whether it begins with a parameter."""
    return any(id(v.node) in held for v in node.inputs)


def _one(shape: Shape) -> str:
    sizes = [str(bind(s, {"n": 1})) for s in shape]
    rows = shape and not isinstance(shape[0], int)
    return times(tuple([int(s) for s in (sizes[1:] if rows else sizes)]))


def _rows(boxes: list[_Box]) -> list[list[_Box]]:
    """Each box one row below the lowest it needs; long arrows have a place in each row they pass."""
    known = set(map(id, boxes))
    for box in boxes:
        box.into = [pair for pair in box.into if id(pair[0]) in known]
        box.row = max([source.row + 1 for source, _ in box.into], default=0)
    rows: list[list[_Box]] = [[] for _ in range(max(box.row for box in boxes) + 1)]
    needed = [max(width_of(box.name, 13), width_of(box.note)) + 16 for box in boxes]
    wide = min(_WIDEST, max(_WIDE, *needed))
    for box in boxes:
        rows[box.row].append(box)
        box.wide = wide  # one for all, so that what follows each other stands in a line
    for box in boxes:
        ways = []
        for origin, shape in box.into:
            source, said = origin, shape
            while box.row - source.row > 1:
                way = _Box("", kind="way", row=source.row + 1, into=[(source, said)])
                rows[way.row].append(way)
                source, said = way, ""
            ways.append((source, said))
        box.into = ways
    return rows


def _place(rows: list[list[_Box]]) -> None:
    """From left to right in the order of what they come from, so that few arrows cross."""
    for row in rows:
        for box in row:
            sources = [s.x for s, _ in box.into]
            box.x = sum(sources) / len(sources) if sources else 0.0
        row.sort(key=lambda b: (b.x, b.kind == "way"))
        for box in row:
            for source, _ in box.into:
                source.leaving += 1
        spaces = [(a.wide + b.wide) / 2 + _APART for a, b in pairwise(row)]
        middle = sum(b.x for b in row) / len(row)
        at = middle - sum(spaces) / 2
        for box, space in zip(row, [*spaces, 0.0], strict=True):
            box.x = at
            at += space
    least = min(box.x - box.wide / 2 for row in rows for box in row)
    for row in rows:
        for box in row:
            box.x += 30 - least


def _arrow(source: _Box, box: _Box) -> str:
    """A curve down from one row to the next; by a way it goes straight past the boxes of the row."""
    c, begin, end = coordinate, _TOP + source.row * _DOWN + _HIGH, _TOP + box.row * _DOWN
    half = (begin + end) / 2
    curve = f"M{c(source.x)} {c(begin)}C{c(source.x)} {c(half)} {c(box.x)} {c(half)} {c(box.x)} {c(end)}"
    if box.kind == "way":
        curve += f"v{c(_HIGH)}"
    else:
        curve += f"M{c(box.x - 4)} {c(end - 6)}L{c(box.x)} {c(end)}L{c(box.x + 4)} {c(end - 6)}"
    return f'<path class="gg-line gg-many gg-dots" d="{curve}"/>'


def _shape(source: _Box, box: _Box, shape: str) -> str:
    """The shape beside an arrow, on the side where no other arrow comes or goes."""
    half = _TOP + source.row * _DOWN + (_HIGH + _DOWN) / 2
    middle, shown_ = (source.x + box.x) / 2, text(shape, 24)
    if abs(source.x - box.x) < 1:
        return words("gg-soft", middle + 7, half + 4, shown_)
    fans_out = source.leaving > 1
    right = (box.x > source.x) == fans_out
    y = half - 3 if fans_out else half + 11
    return words("gg-soft", middle + (9 if right else -9), y, shown_, "start" if right else "end")
