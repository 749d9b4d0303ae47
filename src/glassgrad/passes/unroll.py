"""A graph for a known number of rows, its loops written out step by step.

What explains a network shows every number, so it wants sizes that are numbers and no values
hidden in the body of a loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glassgrad.ir import INPUT, Dim, Graph, Node, Origin, Ratio, Type, Value, bind
from glassgrad.ops import OPS, Tracer
from glassgrad.ops.control import body_values

from .rewrite import scheduled


def unrolled(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """The same computation with numbers for sizes, and each step of a loop as nodes of its own.

    Steps of a loop are told apart by their names: `h` of the third step is `h_3`.
    """
    tracer = Tracer()
    tracer.scopes = dict(graph.scopes)
    new: dict[Value, Value] = {}
    loops: dict[Value, _Steps] = {}
    for node in scheduled(graph):
        tracer.scope, tracer.phase = node.origin.scope, node.origin.phase
        attributes = {k: bound(v, sizes) for k, v in node.attributes.items()}
        if "loop" in node.op.roles:
            operands = tuple([new[v] for v in node.inputs])
            loops[node.values[0]] = _Steps(tracer, node, attributes, operands)
            continue
        if "reader" in node.op.roles:
            new[node.values[0]] = loops[node.inputs[0]].read(tracer, attributes)
            continue
        made = _written(tracer, node, tuple([new[v] for v in node.inputs]), attributes)
        new.update(zip(node.values, made, strict=True))
    return Graph(
        {name: new[v] for name, v in graph.inputs.items()},
        {name: new[v] for name, v in graph.outputs.items()},
        dict(graph.state),
        dict(graph.scopes),
    )


def bound(value: Any, sizes: Mapping[str, Any]) -> Any:
    """An attribute with values put in for the names of sizes; bodies of loops, too."""
    if isinstance(value, Dim):
        return bind(value, sizes)
    if isinstance(value, Ratio):
        top, divisor = bound(value.top, sizes), bound(value.divisor, sizes)
        known = isinstance(top, int | float) and isinstance(divisor, int | float)
        return top / divisor if known else Ratio(top, divisor)
    if isinstance(value, Type):
        return Type(tuple([bind(s, sizes) for s in value.shape]), value.dtype)
    if isinstance(value, tuple):
        return tuple([bound(v, sizes) for v in value])
    if isinstance(value, Graph):
        return _with_sizes(value, sizes)
    return value


def _with_sizes(body: Graph, sizes: Mapping[str, Any]) -> Graph:
    tracer = Tracer()
    new: dict[Value, Value] = {}
    for node in body.nodes():
        attributes = {k: bound(v, sizes) for k, v in node.attributes.items()}
        made = _written(tracer, node, tuple([new[v] for v in node.inputs]), attributes)
        new.update(zip(node.values, made, strict=True))
    return Graph(
        {name: new[v] for name, v in body.inputs.items()},
        {name: new[v] for name, v in body.outputs.items()},
    )


def _written(
    tracer: Tracer, node: Node, inputs: tuple[Value, ...], attributes: dict[str, Any]
) -> tuple[Value, ...]:
    """The node once more, with the name and the line it had."""
    tracer.seq += 1
    origin: Origin = node.origin.moved(tracer.seq)
    origin.gradient_of = None
    types = (attributes["type"],) if node.op is INPUT else None
    return Node(node.op, inputs, attributes, types, origin).values


class _Steps:
    """A loop that was written out: the values of each of its steps."""

    def __init__(
        self, tracer: Tracer, loop: Node, attributes: dict[str, Any], operands: tuple[Value, ...]
    ) -> None:
        body: Graph = attributes["body"]
        count, carried = attributes["constants"], attributes["carry"]
        self.order = body_values(body)
        self.carry = operands[count : count + carried]
        self.steps: list[dict[Value, Value]] = [{}] * attributes["length"]
        times = range(attributes["length"])
        for t in reversed(times) if attributes["reverse"] else times:
            rows = [_row(tracer, v, t) for v in operands[count + carried :]]
            given = (*operands[:count], *self.carry, *rows)
            known = dict(zip(body.inputs.values(), given, strict=True))
            for node in body.nodes():
                if node.op is INPUT:
                    continue
                inputs = tuple([known[v] for v in node.inputs])
                made = _written(tracer, node, inputs, dict(node.attributes))
                origin = made[0].node.origin
                origin.scope, origin.phase = loop.origin.scope, loop.origin.phase
                origin.name = f"{origin.name}_{t + 1}" if origin.name else ""
                known.update(zip(node.values, made, strict=True))
            self.carry = tuple([known[v] for v in body.outputs.values()][:carried])
            self.steps[t] = known

    def read(self, tracer: Tracer, attributes: dict[str, Any]) -> Value:
        """What a reader asks for."""
        if "which" in attributes:
            carried: Value = self.carry[attributes["which"]]
            return carried
        asked = self.order[attributes["value"]]
        rows = [tracer.symbol(step[asked]) for step in self.steps]
        if not rows:
            return tracer.constant(0, attributes["type"].dtype).value
        shaped = [OPS["reshape"](r, shape=(1, *r.shape)) for r in rows]
        found: Value = OPS["concatenate"](*shaped, axis=0).value
        return found


def _row(tracer: Tracer, sequence: Value, t: int) -> Value:
    x = tracer.symbol(sequence)
    spans = ((t, t + 1, 1), *[(0, size, 1) for size in x.shape[1:]])
    found: Value = OPS["reshape"](OPS["slice"](x, spans=spans), shape=x.shape[1:]).value
    return found
