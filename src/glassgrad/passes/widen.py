"""The same program in float64."""

from __future__ import annotations

from typing import Any

from glassgrad.ir import Graph, Node, Type, Value
from glassgrad.ops import OPS, Tracer

from .rewrite import copied, rewrite


def widened(graph: Graph, *, same_draws: bool = False) -> Graph:
    """The graph with float64 wherever it has float32.

    Random numbers of another dtype are other numbers; with `same_draws` they stay those of the
    graph, cast.
    """

    def visit(node: Node, inputs: tuple[Value, ...], tracer: Tracer) -> tuple[Value, ...]:
        if same_draws and node.op is OPS["uniform"]:
            drawn = tracer.symbol(copied(node, inputs, tracer).values[0])
            return (drawn.astype("float64").value,)
        loop = "loop" in node.op.roles  # its body is done, and its readers know the places in it
        attributes = {k: v if loop else _wide(v) for k, v in node.attributes.items()}
        types = tuple([_wide(t) for t in node.types])
        origin = copied(node, inputs, tracer).origin
        return Node(node.op, inputs, attributes, types, origin).values

    def inside(body: Graph) -> Graph:
        return widened(body, same_draws=same_draws)

    return rewrite(graph, visit, inside, with_inputs=True)


def _wide(value: Any) -> Any:
    if isinstance(value, Type):
        return Type(value.shape, "float64") if value.dtype == "float32" else value
    if isinstance(value, Graph):
        return widened(value)
    if isinstance(value, tuple):
        return tuple([_wide(each) for each in value])
    return "float64" if type(value) is str and value == "float32" else value
