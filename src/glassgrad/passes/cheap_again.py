"""Cheap values of the way forward, made again where derivatives read them.

x**2 and (1 + t) / 2 are done in less time than it takes to write them to memory and read them back.
They are made again where that loads nothing more: from constants and one value that the derivatives
read anyway.
"""

from __future__ import annotations

from glassgrad.ir import INPUT, Graph, Node, Value
from glassgrad.ops import Tracer

from .fuse import CHEAP, is_square
from .rewrite import copied, rewrite, scheduled

ENABLED = True  # the off switch: everything that derivatives read is then kept
_MOST_STEPS = 3  # from a value that is kept


def cheap_again(graph: Graph) -> Graph:
    """The graph in which fewer values of the way forward are read on the way back.

    All results keep their bits: a copy is the same op on the same numbers.
    """
    chosen = _chosen(graph) if ENABLED else {}
    if not chosen:
        return graph
    new: dict[Value, Value] = {}
    again: dict[Value, Value] = {}

    def made_again(value: Value, tracer: Tracer) -> Value:
        if value not in chosen:
            return new[value]
        if value not in again:
            inputs = tuple([made_again(v, tracer) for v in value.node.inputs])
            made = copied(value.node, inputs, tracer)
            made.origin.phase, made.origin.gradient_of = "backward", None
            again[value] = made.values[0]
        return again[value]

    def visit(node: Node, inputs: tuple[Value, ...], tracer: Tracer) -> tuple[Value, ...]:
        if node.origin.phase == "backward":
            inputs = tuple([made_again(v, tracer) if v in chosen else new[v] for v in node.inputs])
        made = copied(node, inputs, tracer).values
        new.update(zip(node.values, made, strict=True))
        return made

    return rewrite(graph, visit, with_inputs=True)


def _chosen(graph: Graph) -> dict[Value, int]:
    """What is made again, and in how many steps from a value that is kept."""
    order = scheduled(graph)
    readers: dict[Value, list[Node]] = {}
    for node in order:
        for value in node.inputs:
            readers.setdefault(value, []).append(node)
    leaving = set(graph.outputs.values())
    chosen: dict[Value, int] = {}

    def read_back(value: Value) -> bool:
        return any(n.origin.phase == "backward" for n in readers.get(value, ()))

    def steps(node: Node) -> int:
        """How many steps make a value from what is kept; 0: it cannot be made so."""
        if node.origin.phase != "forward" or not (node.op.name in CHEAP or is_square(node)):
            return 0
        kind = node.types[0]
        if kind.dtype not in ("float32", "float64") or all(isinstance(s, int) for s in kind.shape):
            return 0
        sources = {v for v in node.inputs if v.node.op.name != "constant"}
        if len(sources) != 1 or node.values[0] in leaving:
            return 0
        source = sources.pop()
        if source.type != kind:
            return 0
        if any("elementwise" not in n.op.roles for n in readers[node.values[0]]):
            return 0  # it is written to memory anyway
        count = chosen.get(source, 0)
        if count == 0 and not (read_back(source) or source.node.op is INPUT):
            return 0
        return count + 1 if count < _MOST_STEPS else 0

    for node in order:
        if len(node.values) == 1 and node.values[0] in readers:
            count = steps(node)
            if count:
                chosen[node.values[0]] = count
    return chosen
