"""Composites expanded for those who have no cell for them."""

from __future__ import annotations

from collections.abc import Callable

from glassgrad.ir import Graph, Node, Op, Value
from glassgrad.ops import Tracer, is_primitive

from .rewrite import rewrite


def lower(graph: Graph, has_cell: Callable[[Op], bool]) -> Graph:
    """The graph in ops that a backend has a cell for, bodies of loops included."""
    return _expanded(graph, lambda op: op.expand is not None and not has_cell(op))


def open_up(graph: Graph) -> Graph:
    """The graph with every composite expanded that has no derivative of its own."""
    return _expanded(graph, lambda op: op.expand is not None and op.vjp is None)


def primitives(graph: Graph) -> Graph:
    """The graph with every composite expanded."""
    return _expanded(graph, lambda op: not is_primitive(op))


def expand_node(node: Node, inputs: tuple[Value, ...], tracer: Tracer) -> tuple[Value, ...]:
    """What the body of a composite writes for this node."""
    assert node.op.expand is not None
    found = node.op.expand(*[tracer.symbol(v) for v in inputs], **node.attributes)
    values = found if isinstance(found, tuple) else (found,)
    return tuple([v.value for v in values])


def _expanded(graph: Graph, expands: Callable[[Op], bool]) -> Graph:
    def inside(body: Graph) -> Graph:
        return _expanded(body, expands)

    def visit(node: Node, inputs: tuple[Value, ...], tracer: Tracer) -> tuple[Value, ...] | None:
        return expand_node(node, inputs, tracer) if expands(node.op) else None

    while _has(graph, expands):  # what a composite is made of may be composites, and loops
        graph = rewrite(graph, visit, inside)
    return graph


def _has(graph: Graph, expands: Callable[[Op], bool]) -> bool:
    """Whether anything is left to expand, in bodies of loops too."""
    return any(
        expands(n.op)
        or any(_has(a, expands) for a in n.attributes.values() if isinstance(a, Graph))
        for n in graph.nodes()
    )
