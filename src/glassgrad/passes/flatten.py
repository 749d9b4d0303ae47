"""Several inputs as parts of one vector, so that an update is one line for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from glassgrad.ir import INPUT, Graph, Node, Scope, Type, Value
from glassgrad.ops import OPS, Tracer

from .rewrite import rewrite


@dataclass(frozen=True, slots=True)
class Part:
    """Where an input lies in the vector."""

    name: str
    shape: tuple[int, ...]
    start: int
    stop: int


def layout(graph: Graph, names: Sequence[str]) -> tuple[Part, ...]:
    """The inputs of these names, end to end."""
    parts = []
    start = 0
    for name in names:
        kind = graph.inputs[name].type
        stop = start + int(kind.size)
        parts.append(Part(name, tuple([int(s) for s in kind.shape]), start, stop))
        start = stop
    return tuple(parts)


def flatten(graph: Graph, parts: Sequence[Part], vector: str, scope: Scope) -> Graph:
    """The graph with these inputs read from one vector."""
    by_name = {part.name: part for part in parts}
    dtype = next(graph.inputs[p.name].type.dtype for p in parts if p.name in graph.inputs)
    whole = Type((parts[-1].stop,), dtype)
    views: dict[str, Value] = {}
    vectors: list[Value] = []

    def visit(node: Node, _: tuple[Value, ...], tracer: Tracer) -> tuple[Value, ...] | None:
        if not vectors:  # all parts first, where a reader looks for them
            vectors.append(tracer.input(vector, whole, "parameter").value)
            with tracer.during("forward", scope.path):
                for part in parts:
                    view = _part(tracer.symbol(vectors[0]), part)
                    view.value.node.origin.name = part.name
                    views[part.name] = view.value
        if node.op is INPUT and node.attributes["name"] in by_name:
            return (views[node.attributes["name"]],)
        return None

    flat = rewrite(graph, visit, with_inputs=True)
    inputs: dict[str, Value] = {}
    for name, value in flat.inputs.items():
        if value.node.op is INPUT:
            inputs[name] = value
        elif vector not in inputs:
            inputs[vector] = vectors[0]
    flat.inputs = inputs
    flat.scopes[scope.path] = scope
    return flat


def _part(vector: Any, part: Part) -> Any:
    cut = OPS["slice"](vector, spans=((part.start, part.stop, 1),))
    return cut if part.shape == cut.shape else cut.reshape(part.shape)
