"""The same program in float64."""

from __future__ import annotations

from typing import Any

from glassgrad.ir import Graph, Node, Type, Value
from glassgrad.ops import Tracer

from .rewrite import copied, rewrite


def widened(graph: Graph) -> Graph:
    """The graph with float64 wherever it has float32."""

    def visit(node: Node, inputs: tuple[Value, ...], tracer: Tracer) -> tuple[Value, ...]:
        loop = "loop" in node.op.roles  # its body is done, and its readers know the places in it
        attributes = {k: v if loop else _wide(v) for k, v in node.attributes.items()}
        types = tuple([_wide(t) for t in node.types])
        origin = copied(node, inputs, tracer).origin
        return Node(node.op, inputs, attributes, types, origin).values

    return rewrite(graph, visit, widened, with_inputs=True)


def _wide(value: Any) -> Any:
    if isinstance(value, Type):
        return Type(value.shape, "float64") if value.dtype == "float32" else value
    if isinstance(value, Graph):
        return widened(value)
    if isinstance(value, tuple):
        return tuple([_wide(each) for each in value])
    return "float64" if type(value) is str and value == "float32" else value
