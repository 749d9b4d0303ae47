"""Equal nodes merged, and arithmetic that changes nothing left out.

Merging keeps the earlier node, so that what backward shares with forward is computed forward.
Nothing here changes a bit of any result: only exact identities are used.
"""

from __future__ import annotations

from typing import Any

from glassgrad.ir import Graph, Node, Value, node_key
from glassgrad.ops import OPS, Tracer

from .rewrite import copied, inherit, rewrite

ENABLED = True  # the off switch; off must equal on, bit for bit


def simplify(graph: Graph) -> Graph:
    """The graph without repetition; the same values to the last bit."""
    if not ENABLED:
        return graph
    known: dict[Any, tuple[Value, ...]] = {}

    def visit(node: Node, inputs: tuple[Value, ...], tracer: Tracer) -> tuple[Value, ...] | None:
        same = _identity(node, inputs)
        if same is not None:
            return (same,)
        op, attributes = node.op, node.attributes
        changed = _shorter(node, inputs)
        if changed is not None:
            op, inputs, attributes = changed
            same = _identity(Node(op, inputs, attributes, node.types), inputs)
            if same is not None:
                return (same,)
        key = node_key(op, inputs, attributes)
        if key in known:
            inherit(known[key][0], node.values[0])
            return known[key]
        made = (
            copied(node, inputs, tracer).values
            if changed is None
            else tracer.node(op, inputs, attributes)
        )
        known[key] = made
        return made

    return rewrite(graph, visit, simplify)


def _number(value: Value) -> Any:
    return value.node.attributes["value"] if value.node.op is OPS["constant"] else None


def _identity(node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """The operand that a node leaves as it is."""
    name = node.op.name
    if name in ("reshape", "broadcast_to"):
        return inputs[0] if inputs[0].type == node.types[0] else None
    if name == "permute" and node.attributes["axes"] == tuple(range(len(node.attributes["axes"]))):
        return inputs[0]
    if name == "cast" and inputs[0].type == node.types[0]:
        return inputs[0]
    if name in ("multiply", "divide"):
        for i in (1, 0) if name == "multiply" else (1,):
            one = _number(inputs[i])
            if type(one) in (int, float) and one == 1 and inputs[1 - i].type == node.types[0]:
                return inputs[1 - i]
    if name == "negative" and inputs[0].node.op is node.op:
        return inputs[0].node.inputs[0]
    if name == "sum" and node.attributes["axis"] == ():
        return inputs[0]
    return None


def _shorter(
    node: Node, inputs: tuple[Value, ...]
) -> tuple[Any, tuple[Value, ...], dict[str, Any]] | None:
    """Two moves in one: a view of a view, a negative added, a needless stretch."""
    if node.op is OPS["add"]:
        for i in (1, 0):
            inner = inputs[i].node
            if inner.op is OPS["negative"] and not inner.origin.name:  # x + (-y) is x - y
                return OPS["subtract"], (inputs[1 - i], inner.inputs[0]), {}
    if "elementwise" in node.op.roles and len(inputs) > 1:
        return _unstretched(node, inputs)
    if node.op.name not in ("reshape", "permute", "broadcast_to"):
        return None
    inner = inputs[0].node
    if inner.op is OPS["broadcast_to"] and _number(inner.inputs[0]) is not None:
        return inner.op, inner.inputs, {"shape": node.types[0].shape}
    if _has_name(inner):
        return None  # a reader knows it by its name
    if inner.op is node.op is OPS["reshape"]:
        return node.op, inner.inputs, node.attributes
    if inner.op is node.op is OPS["permute"]:
        first, then = inner.attributes["axes"], node.attributes["axes"]
        return node.op, inner.inputs, {"axes": tuple([first[a] for a in then])}
    return None


def _has_name(node: Node) -> bool:
    """Whether a value has a name, or is the gradient of one that has."""
    while not node.origin.name and node.origin.gradient_of is not None:
        node = node.origin.gradient_of.node
    return bool(node.origin.name)


def _unstretched(
    node: Node, inputs: tuple[Value, ...]
) -> tuple[Any, tuple[Value, ...], dict[str, Any]] | None:
    """An operand stretched by hand, where the op stretches it anyway."""
    for i, value in enumerate(inputs):
        if value.node.op is OPS["broadcast_to"]:
            shorter = (*inputs[:i], value.node.inputs[0], *inputs[i + 1 :])
            kept = node.op.resolve(tuple([v.type for v in shorter]), node.attributes)
            if kept == node.types:
                return node.op, shorter, node.attributes
    return None
