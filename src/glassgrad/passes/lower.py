"""Composites expanded for those who have no cell for them."""

from __future__ import annotations

from collections.abc import Callable

from glassgrad.ir import Graph, Node, Op, Value
from glassgrad.ops import Tracer, is_primitive

from .rewrite import inherit, rewrite


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
    if not any(expands(n.op) or "loop" in n.op.roles for n in graph.nodes()):
        return graph

    def visit(node: Node, inputs: tuple[Value, ...], tracer: Tracer) -> tuple[Value, ...] | None:
        if not expands(node.op):
            return None
        return _deep(expand_node(node, inputs, tracer), inputs, tracer, expands)

    return rewrite(graph, visit, lambda body: _expanded(body, expands))


def _deep(
    values: tuple[Value, ...],
    inputs: tuple[Value, ...],
    tracer: Tracer,
    expands: Callable[[Op], bool],
) -> tuple[Value, ...]:
    """What an expansion wrote, with the composites in it expanded in turn."""
    order: list[Node] = []
    seen: set[Node] = {v.node for v in inputs}

    def collect(node: Node) -> None:
        if node not in seen:
            seen.add(node)
            for v in node.inputs:
                collect(v.node)
            order.append(node)

    for value in values:
        collect(value.node)
    if not any(expands(node.op) for node in order):
        return values
    new: dict[Value, Value] = {}
    for node in order:
        operands = tuple([new.get(v, v) for v in node.inputs])
        if expands(node.op):
            made = _deep(expand_node(node, operands, tracer), operands, tracer, expands)
        else:
            made = tracer.node(node.op, operands, node.attributes)
        if len(made) == 1:
            inherit(made[0], node.values[0])
        new.update(zip(node.values, made, strict=True))
    return tuple([new.get(v, v) for v in values])
