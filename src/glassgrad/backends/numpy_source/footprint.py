"""How much memory a text takes: a bound from the names it gives to arrays, before it runs.

What has a name stays until the function returns, or to the end of the layer that reads it last
where the text says `del`. What has none lasts for a line. To these come the arrays that ops make
for themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glassgrad.ir import INPUT, Graph, Node, Type, bind
from glassgrad.passes.layout import SIZE_OF

from .emit import Function

_COLUMNS = frozenset({"columns", "uncolumns"})  # what they make, or read, is the large one
_MOVED = frozenset({"permute", "slice", "broadcast_to", "flip", "concatenate"})
_LINES = 3  # arrays of its own size that an op of several operations has for a moment
_MANY = 12  # the same of an error function, or a draw of random numbers


Sizes = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Array:
    """One array of the text."""

    bytes: int
    shape: tuple[int, ...]
    about: str


def arrays(function: Function, rows: Sizes) -> tuple[int, list[Array]]:
    """Bytes at the worst moment for these sizes, an upper bound; and every array with a name."""
    again = any(node.origin.again for node, _ in function.named)
    names: dict[str, Array] = {}
    begins: dict[str, int] = {}
    ends: dict[str, int] = {}
    moments: list[int] = []  # by node: what lasts for a line
    called: dict[Any, str] = {}
    passing = 0
    for i, (node, given) in enumerate(function.named):
        for value in node.inputs:
            if value in called:
                ends[called[value]] = i
        size = _own(node, rows)
        scratch = _scratch(node, rows)
        name = given or (f"reader {i}" if "reader" in node.op.roles else "")
        if name:
            called |= dict.fromkeys(node.values, name)
            begins.setdefault(name, i)
            if size >= names.get(name, _NOTHING).bytes:
                shape = _shape(node.types[0], rows)
                names[name] = Array(size, shape, _about(node))
            ends[name] = i
            moments.append(passing + scratch)
            passing = 0
        else:
            passing += size
            moments.append(passing + scratch)
    if not again:
        ends = dict.fromkeys(ends, len(moments))
    else:
        of_layer = _last_of_layer(function)
        ends = {name: of_layer[i] for name, i in ends.items()}
    changes = [0] * (len(moments) + 2)
    for name, array in names.items():
        changes[begins[name]] += array.bytes
        changes[ends[name] + 1] -= array.bytes
    worst = held = 0
    for change, moment in zip(changes, moments, strict=False):
        held += change
        worst = max(worst, held + moment)
    return worst, [*names.values()]


_NOTHING = Array(-1, (), "")


def _last_of_layer(function: Function) -> list[int]:
    """For each node the last one of the same stretch of its layer."""
    keys = [(n.origin.scope, n.origin.phase, n.origin.again) for n, _ in function.named]
    found, last = [0] * len(keys), len(keys) - 1
    for i in range(len(keys) - 1, -1, -1):
        if i + 1 < len(keys) and keys[i] != keys[i + 1]:
            last = i
        found[i] = last
    return found


def _about(node: Node) -> str:
    return f"{node.origin.scope or 'the step'}, {node.origin.phase}: {node.origin.name or node.op.name}"


def _shape(kind: Type, rows: Sizes) -> tuple[int, ...]:
    return tuple([int(bind(s, rows)) for s in kind.shape])


def _bytes(kind: Type, rows: Sizes) -> int:
    return math.prod(_shape(kind, rows)) * SIZE_OF.get(kind.dtype, 0)


def _own(node: Node, rows: Sizes) -> int:
    """Bytes of what a node makes; a view is no array, but for what NumPy has to copy for it."""
    if node.op is INPUT or "constant" in node.op.roles or "loop" in node.op.roles:
        return 0
    if node.op.result == "view":
        moved = node.op.name == "reshape" and node.inputs[0].node.op.name in _MOVED
        return _bytes(node.types[0], rows) if moved else 0
    return sum([_bytes(kind, rows) for kind in node.types])


def _scratch(node: Node, rows: Sizes) -> int:
    """Bytes of what the text of one op holds for a moment, beside what it makes."""
    name = node.op.name
    if node.op is INPUT or node.op.result == "view" or "constant" in node.op.roles:
        return 0
    if "loop" in node.op.roles:
        body: Graph = node.attributes["body"]
        return sum([_own(n, rows) + _scratch(n, rows) for n in body.nodes()])
    sizes = [_bytes(v.type, rows) for v in (*node.inputs, *node.values)]
    largest = max(sizes, default=0)
    if name in _COLUMNS:
        return largest
    made = sum([_bytes(kind, rows) for kind in node.types])
    if name == "erf" or "random" in node.op.roles:
        return _MANY * made
    if "map" in node.op.roles or not isinstance(node.op.numpy, str):
        return _LINES * largest
    return made
