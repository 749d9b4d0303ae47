"""How a pass makes a new graph: nodes are visited in order and written again."""

from __future__ import annotations

from collections.abc import Callable

from glassgrad.errors import InternalError
from glassgrad.ir import INPUT, Graph, Node, Value
from glassgrad.ops import Tracer
from glassgrad.ops.control import body_values

PHASES = ("forward", "backward", "update")
Visit = Callable[[Node, tuple[Value, ...], Tracer], "tuple[Value, ...] | None"]


def scheduled(graph: Graph) -> list[Node]:
    """Nodes by phase, then by creation: an order a person can read, each after what it uses."""
    phase = {name: i for i, name in enumerate(PHASES)}
    order = sorted(graph.nodes(), key=lambda n: (phase[n.origin.phase], n.origin.seq))
    done: set[int] = set()
    for node in order:
        if any(id(v.node) not in done for v in node.inputs):
            raise InternalError("a node is scheduled before one it uses", where=repr(node))
        done.add(id(node))
    return order


def rewrite(
    graph: Graph,
    visit: Visit,
    body_pass: Callable[[Graph], Graph] | None = None,
    with_inputs: bool = False,
) -> Graph:
    """The graph with every node replaced by what `visit` makes of it, None for a copy.

    `visit` gets the node, its operands in the new graph, and a tracer that writes in the node's
    own layer and phase. `body_pass` does the same to the bodies of loops; readers of a loop are
    pointed at where the values they read went. Inputs are visited only `with_inputs`.
    """
    tracer = Tracer()
    tracer.scopes = dict(graph.scopes)
    new: dict[Value, Value] = {}
    order = scheduled(graph)
    asked: dict[Node, set[int]] = {}
    moved: dict[Value, dict[int, int]] = {}  # new loop -> old positions in its body -> new ones
    for node in order:
        if "reader" in node.op.roles and "value" in node.attributes:
            asked.setdefault(node.inputs[0].node, set()).add(node.attributes["value"])
    for node in order:
        origin = node.origin
        tracer.scope, tracer.phase = origin.scope, origin.phase
        inputs = tuple([new[v] for v in node.inputs])
        changed = node
        if body_pass is not None and "loop" in node.op.roles:
            body, places = _rewritten_body(
                node.attributes["body"], asked.get(node, set()), body_pass
            )
            changed = Node(node.op, inputs, {**node.attributes, "body": body}, node.types, origin)
            made = visit(changed, inputs, tracer) or _copy(changed, inputs, tracer)
            moved[made[0]] = places
        else:
            if "value" in node.attributes and inputs and inputs[0] in moved:
                place = moved[inputs[0]][node.attributes["value"]]
                changed = Node(
                    node.op, inputs, {**node.attributes, "value": place}, node.types, origin
                )
            wanted = with_inputs or node.op is not INPUT
            found = visit(changed, inputs, tracer) if wanted else None
            made = found or _copy(changed, inputs, tracer)
        if len(made) == 1 and made[0].node.origin is not origin:
            inherit(made[0], node.values[0])
        new.update(zip(node.values, made, strict=True))
    made_values = list(dict.fromkeys(new.values()))
    for value in made_values:
        of = value.node.origin.gradient_of
        if of is not None:
            value.node.origin.gradient_of = new.get(of, of)
    for value in made_values:
        _uncircle(value)
    return Graph(
        {name: new[v] for name, v in graph.inputs.items()},
        {name: new[v] for name, v in graph.outputs.items()},
        dict(graph.state),
        dict(graph.scopes),
        graph.guard,
    )


def _uncircle(value: Value) -> None:
    """Merging can make a gradient that of its own gradient: it then has no name to take."""
    seen = {value}
    of = value.node.origin.gradient_of
    while of is not None:
        if of in seen:
            value.node.origin.gradient_of = None
            return
        seen.add(of)
        of = of.node.origin.gradient_of


def _copy(node: Node, inputs: tuple[Value, ...], tracer: Tracer) -> tuple[Value, ...]:
    return copied(node, inputs, tracer).values


def copied(node: Node, inputs: tuple[Value, ...], tracer: Tracer) -> Node:
    """The same op on other operands, with the same origin."""
    tracer.seq += 1
    origin = node.origin.moved(tracer.seq)
    return Node(node.op, inputs, node.attributes, node.types, origin)


def inherit(fresh: Value, old: Value) -> None:
    """The value that stands for `old` takes over its name, unless it has one of its own."""
    here, there = fresh.node.origin, old.node.origin
    if there.name and (not here.name or (here.inner and not there.inner)):
        here.name, here.inner = there.name, there.inner
    if there.gradient_of is not None and here.gradient_of is None and not here.name:
        here.gradient_of = there.gradient_of


def _rewritten_body(
    body: Graph, asked: set[int], body_pass: Callable[[Graph], Graph]
) -> tuple[Graph, dict[int, int]]:
    values = body_values(body)
    kept = {f"keep{i}": values[i] for i in sorted(asked)}
    plain = {k: v for k, v in body.outputs.items() if not k.startswith("keep")}
    changed = body_pass(Graph(body.inputs, {**plain, **kept}, {}, body.scopes))
    position = {v: i for i, v in enumerate(body_values(changed))}
    return changed, {i: position[changed.outputs[f"keep{i}"]] for i in asked}
