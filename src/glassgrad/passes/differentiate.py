"""Reverse-mode differentiation: one walk, from results back to inputs.

The walk works on records of what was done (op, operands, results), whether those are symbols of
a graph or eager tensors. Every op has one rule per operand in the library's own ops; the walk
calls only the rules it needs, sums a gradient over axes that were stretched, and adds up what
reaches a value by several ways. A line of the backward phase belongs to the layer whose rule
made it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from glassgrad.errors import UsageError
from glassgrad.ir import FLOATS, INPUT, Graph, Node, Op, Shape, Type, Value, reachable
from glassgrad.ops import OPS, Array, Symbol, Tracer, movement
from glassgrad.ops.control import Loop, body_values


@dataclass(slots=True)
class Step:
    """One op that was carried out."""

    op: Op
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    attributes: dict[str, Any]
    node: Any = None


def sum_to(gradient: Any, shape: Shape) -> Any:
    """The gradient of a stretched operand: summed over the axes that were stretched."""
    if gradient.shape == shape:
        return gradient
    extra = gradient.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        [extra + i for i, s in enumerate(shape) if s == 1 and gradient.shape[extra + i] != 1]
    )
    summed = gradient.sum(axis=axes) if axes else gradient
    return summed if summed.shape == shape else summed.reshape(shape)


def rules(op: Op, count: int) -> tuple[Callable[..., Any] | None, ...]:
    """One derivative rule per operand."""
    if op.vjp is None:
        return (None,) * count
    if op.inputs and op.inputs[-1].startswith("*"):
        *single, rule = op.vjp  # the last one is for as many operands as there are
        many = range(count - len(single))
        return (*single, *[None if rule is None else partial(rule, i) for i in many])
    return op.vjp


def pull_back(
    steps: Sequence[Step],
    seeds: Iterable[tuple[Any, Any]],
    wanted: Callable[[Any], bool],
    key: Callable[[Any], Any],
    entering: Callable[[Step], Any],
    found: Callable[[Any, Any], None] = lambda value, gradient: None,
    leaves: frozenset[Any] = frozenset(),
) -> dict[Any, Any]:
    """Gradients of everything on the way from the seeds back to the wanted values, by `key`.

    `steps` are in the order they were done, `seeds` are (value, gradient). `wanted` says whether
    a value needs a gradient, `entering` opens a step's layer, `found` hears of each gradient.
    """
    gradients: dict[Any, Any] = {}
    readers: dict[Any, list[tuple[Step, Any]]] = {}  # of a scan: what was read, its gradient
    blocks: dict[Any, list[tuple[Step, Any]]] = {}  # of a value: its slices, their gradients

    def accumulate(value: Any, gradient: Any) -> None:
        before = gradients.get(key(value))
        total = gradient if before is None else before + gradient
        gradients[key(value)] = total
        found(value, total)

    def settle(value: Any) -> Any:
        """The gradient of a value, what its slices give back included.

        Slices that are the whole value cut along one axis, such as the gates of an LSTM, are put
        side by side again; any other is padded with zeros.
        """
        found = blocks.pop(key(value), None)
        if found is None:
            return gradients.get(key(value))
        axis, order = _cut_along([s.attributes["spans"] for s, _ in found], value)
        if order:
            with entering(found[0][0]):
                joined = OPS["concatenate"](*[found[i][1] for i in order], axis=axis)
                accumulate(value, joined)
        for step, gradient in () if order else found:
            with entering(step):
                (rule,) = rules(step.op, 1)
                assert rule is not None
                accumulate(value, rule(gradient, None, value, **step.attributes))
        return gradients.get(key(value))

    for value, gradient in seeds:
        accumulate(value, gradient)
    for step in reversed(steps):
        if "loop" in step.op.roles:
            asked = readers.get(key(step.outputs[0]), [])
            with entering(step):
                for operand, gradient in scan_gradients(step, asked, wanted):
                    accumulate(operand, gradient)
            continue
        outgoing = [settle(v) for v in step.outputs]
        if all(g is None for g in outgoing):
            continue
        if step.op is OPS["slice"]:
            if wanted(step.inputs[0]):
                blocks.setdefault(key(step.inputs[0]), []).append((step, outgoing[0]))
            continue
        if "reader" in step.op.roles:
            readers.setdefault(key(step.inputs[0]), []).append((step, outgoing[0]))
            continue
        if "call" in step.op.roles:
            for operand, gradient in call_gradients(step, outgoing, wanted):
                accumulate(operand, gradient)
            continue
        with entering(step):
            given: Any = outgoing if len(outgoing) > 1 else outgoing[0]
            results: Any = step.outputs if len(step.outputs) > 1 else step.outputs[0]
            todo = list(zip(step.inputs, rules(step.op, len(step.inputs)), strict=True))
            # Parameters first: dW, db, then dx, as a person writes it.
            todo.sort(key=lambda item: key(item[0]) not in leaves)
            for operand, rule in todo:
                if rule is None or not isinstance(operand, Array) or not wanted(operand):
                    continue
                gradient = rule(given, results, *step.inputs, **step.attributes)
                if gradient is not None:
                    accumulate(operand, sum_to(gradient, operand.shape))
    for (step, _), *_ in list(blocks.values()):
        settle(step.inputs[0])
    return gradients


def _cut_along(cuts: list[tuple[Any, ...]], whole: Any) -> tuple[int, list[int]]:
    """The one axis along which these blocks lie end to end, and their order; none if they do not."""
    across = [
        axis
        for axis, size in enumerate(whole.shape)
        if any(spans[axis] != (0, size, 1) for spans in cuts)
    ]
    if len(across) != 1 or len(cuts) < 2:
        return 0, []
    (axis,) = across
    spans = [spans[axis] for spans in cuts]
    if not all(isinstance(n, int) for span in spans for n in span):
        return 0, []
    order = sorted(range(len(spans)), key=lambda i: spans[i])
    starts = [0, *[spans[i][1] for i in order]]
    fit = all(
        spans[i][0] == start and spans[i][2] == 1 for start, i in zip(starts, order, strict=False)
    )
    return (axis, order) if fit and starts[-1] == whole.shape[axis] else (0, [])


def add_gradients(
    graph: Graph,
    of: Value,
    wrt: Sequence[Value],
    seed: Value | None = None,
    tracer: Tracer | None = None,
) -> list[Value | None]:
    """Write the gradients of one value in others into the same nodes; None where there is none.

    The graph must have no composite without a derivative of its own (`lower.open_up`).
    `seed` is the gradient of the result, 1 if it is a scalar.
    """
    tracer = tracer or continuing(graph)
    if seed is None:
        if of.type.shape != ():
            raise UsageError(
                "a derivative starts from one number",
                expected="a scalar, such as a mean or a sum",
                received=repr(of.type),
                hint="reduce it first: y.sum()",
            )
        with tracer.during("backward", of.node.origin.scope):
            seed = tracer.constant(1, of.type.dtype).value
    found = pull_back_values(tracer, [(of, seed)], wrt)
    return [found.get(v) for v in wrt]


def continuing(graph: Graph) -> Tracer:
    """A tracer that writes after everything the graph has."""
    tracer = Tracer()
    tracer.scopes = graph.scopes
    tracer.seq = max((n.origin.seq for n in graph.nodes()), default=0)
    return tracer


def pull_back_values(
    tracer: Tracer, seeds: Sequence[tuple[Value, Value]], wrt: Sequence[Value]
) -> dict[Value, Value]:
    """Gradients of `wrt`, given gradients of later values, as new nodes."""
    nodes = [n for n in reachable([v for v, _ in seeds]) if n.op is not INPUT]
    needed = _depends(nodes, wrt)
    steps = [
        Step(
            node.op,
            tuple([tracer.symbol(v) for v in node.inputs]),
            tuple([tracer.symbol(v) for v in node.values]),
            node.attributes,
            node,
        )
        for node in nodes
    ]

    def found(symbol: Symbol, gradient: Symbol) -> None:
        origin = gradient.value.node.origin
        if origin.phase != "backward" or origin.name:
            return
        for operand in gradient.value.node.inputs:  # a sum of several takes the name over
            if operand.node.origin.gradient_of is symbol.value:
                operand.node.origin.gradient_of = None
        if origin.gradient_of is None:
            origin.gradient_of = symbol.value

    gradients = pull_back(
        steps,
        [(tracer.symbol(v), tracer.symbol(g)) for v, g in seeds],
        lambda s: s.value in needed,
        lambda s: s.value if type(s) is Symbol else id(s),
        lambda step: tracer.during("backward", step.node.origin.scope),
        found,
        frozenset(wrt),
    )
    return {v: g.value for v, g in gradients.items() if isinstance(v, Value)}


def _depends(nodes: Sequence[Node], wrt: Sequence[Value]) -> set[Value]:
    """Values through which a change of `wrt` can be felt."""
    needed = set(wrt)
    for node in nodes:
        if any(v in needed for v in node.inputs):
            needed.update(v for v in node.values if v.type.dtype in (*FLOATS, "loop"))
    return needed


def call_gradients(
    step: Step, outgoing: list[Any], wanted: Callable[[Any], bool]
) -> list[tuple[Any, Any]]:
    """The derivative of a whole graph: another graph, as one op again."""
    graph: Graph = step.attributes["graph"]
    wants = tuple([isinstance(x, Array) and wanted(x) for x in step.inputs])
    given = tuple([g is not None for g in outgoing])
    key = (graph.structure(), wants, given)
    if key not in _DERIVED:
        if len(_DERIVED) >= 256:
            _DERIVED.pop(next(iter(_DERIVED)))
        _DERIVED[key] = _derived(graph, wants, given)
    derived, reached = _DERIVED[key]
    if not reached:
        return []
    gradients = OPS["call"](*step.inputs, *[g for g in outgoing if g is not None], graph=derived)
    results = gradients if isinstance(gradients, tuple) else (gradients,)
    return [(step.inputs[i], g) for i, g in zip(reached, results, strict=True)]


_DERIVED: dict[Any, tuple[Graph, list[int]]] = {}


def _derived(graph: Graph, wants: Sequence[bool], given: Sequence[bool]) -> tuple[Graph, list[int]]:
    """The graph of the wanted gradients, and which inputs they belong to."""
    inputs = list(graph.inputs.values())
    tracer = continuing(graph)
    new: dict[str, Value] = {}
    seeds = []
    for i, (value, is_given) in enumerate(zip(graph.outputs.values(), given, strict=True)):
        if is_given:
            name = f"d{i + 1}"
            while name in graph.inputs:
                name += "_"
            new[name] = tracer.input(name, value.type).value
            seeds.append((value, new[name]))
    found = pull_back_values(tracer, seeds, [v for v, w in zip(inputs, wants, strict=True) if w])
    reached = [i for i, v in enumerate(inputs) if wants[i] and v in found]
    outputs = {f"out{i + 1}": found[inputs[i]] for i in reached}
    return Graph({**graph.inputs, **new}, outputs), reached


# -- loops ------------------------------------------------------------------------------------


def scan_gradients(
    step: Step, asked: list[tuple[Step, Any]], wanted: Callable[[Any], bool]
) -> list[tuple[Any, Any]]:
    """The derivative of a scan: one scan the other way round, as (operand, gradient).

    The body is differentiated like any graph; where its derivative uses a value of the forward
    body, it reads the stack of it. What reaches a constant is summed after the loop where it is
    a matrix product or a sum over rows, and carried along otherwise.
    """
    if not asked:
        return []
    body: Graph = step.attributes["body"]
    first, carry = step.attributes["constants"], step.attributes["carry"]
    length, reverse = step.attributes["length"], step.attributes["reverse"]
    outer: Tracer = step.outputs[0].tracer
    loop = Loop(step.outputs[0], body, carry, length)
    inputs = list(body.inputs.values())
    results = list(body.outputs.values())[:carry]
    values = body_values(body)
    wants = [wanted(operand) for operand in step.inputs]

    tracer = continuing(body)
    tracer.phase = "backward"

    def given(name: str, like: Type) -> Value:
        return tracer.input(name, like, "given").value

    # Gradients that come in: of the carry from the step done before, of stacks from outside.
    called = [v.node.origin.name for v in results]
    incoming = [
        given(f"d_{name}_later" if name else "later", v.type)
        for name, v in zip(called, results, strict=True)
    ]
    stacked = [(s, g) for s, g in asked if s.op is OPS["stack"]]
    outside = [
        given(f"outside{i + 1}", values[s.attributes["value"]].type)
        for i, (s, _) in enumerate(stacked)
    ]
    for value, of in zip(incoming, results, strict=True):
        value.node.origin.gradient_of = of
    seeds = list(zip(results, incoming, strict=True))
    seeds += [
        (values[s.attributes["value"]], v) for (s, _), v in zip(stacked, outside, strict=True)
    ]
    wrt = [v for i, v in enumerate(inputs) if wants[i] or first <= i < first + carry]
    gradient = pull_back_values(tracer, seeds, wrt)

    def zero(like: Type) -> Value:
        found: Value = movement.zeros(like.shape, like.dtype, tracer.symbol(inputs[0])).value
        return found

    next_carry = [gradient.get(v) or zero(v.type) for v in inputs[first : first + carry]]
    hoisted: dict[int, list[Hoist]] = {}
    carried: list[int] = []
    for i, value in enumerate(inputs[:first]):
        if wants[i] and value in gradient:
            parts = _hoistable(gradient[value], set(inputs[:first]))
            if parts is None:
                carried.append(i)
            else:
                hoisted[i] = parts
    totals = [given(f"total{i + 1}", inputs[i].type) for i in carried]
    sums = [
        (tracer.symbol(t) + tracer.symbol(gradient[inputs[i]])).value
        for t, i in zip(totals, carried, strict=True)
    ]
    give = [gradient.get(v) for v in inputs[first + carry :]]
    kept = [v for parts in hoisted.values() for part in parts for v in part.stacked]

    # Cut where the derivative meets the forward body.
    targets = [*next_carry, *sums, *[v for v in give if v is not None]]
    targets += [v for v in kept if v.node.origin.phase == "backward"]
    own = {*incoming, *outside, *totals}
    cut = _frontier(targets, set(values), own)
    constants = [v for v in cut if v in set(inputs[:first])]
    stacks = [v for v in cut if v not in set(constants)]

    order = [*constants, *incoming, *totals, *stacks, *outside]
    new_body, moved = _cut_body(order, [*next_carry, *sums], targets)
    source = dict(zip(inputs, step.inputs, strict=True))
    last = {s.attributes["which"]: g for s, g in asked if s.op is not OPS["stack"]}
    operands = [
        *[source[v] for v in constants],
        *[
            last.get(i) if i in last else outer.symbol(_outer_zero(outer, v.type))
            for i, v in enumerate(results)
        ],
        *[outer.symbol(_outer_zero(outer, inputs[i].type)) for i in carried],
        *[
            loop.stack(v) if v not in source else _whole(loop, v, source, first + carry)
            for v in stacks
        ],
        *[g for _, g in stacked],
    ]
    symbol = OPS["scan"](
        *operands,
        body=new_body,
        constants=len(constants),
        carry=len(incoming) + len(totals),
        length=length,
        reverse=not reverse,
    )
    back = Loop(symbol, new_body, len(incoming) + len(totals), length)

    def stack_of(value: Value) -> Any:
        if value in moved and value not in cut:
            return back.stack(moved[value])
        return _whole(loop, value, source, first + carry) if value in source else loop.stack(value)

    found: list[tuple[Any, Any]] = []
    for i, parts in hoisted.items():
        found += [
            (step.inputs[i], part.after(*[stack_of(v) for v in part.stacked])) for part in parts
        ]
    for j, i in enumerate(carried):
        found.append((step.inputs[i], back.last(len(incoming) + j)))
    sequences = step.inputs[first + carry :]
    for operand, v, want in zip(sequences, give, wants[first + carry :], strict=True):
        if v is not None and want:
            found.append((operand, stack_of(v)))
    found += [(step.inputs[first + i], back.last(i)) for i in range(carry) if wants[first + i]]
    return found


def _outer_zero(outer: Tracer, like: Type) -> Value:
    found: Value = movement.broadcast_to(outer.constant(0, like.dtype), shape=like.shape).value
    return found


def _whole(loop: Loop, value: Value, source: dict[Value, Any], sequences: int) -> Any:
    """A sequence is its own stack; the carry before each step is a stack of the body's input."""
    position = list(loop.body.inputs.values()).index(value)
    return source[value] if position >= sequences else loop.stack(value)


@dataclass(slots=True)
class Hoist:
    """A sum over steps that one op after the loop computes from stacks."""

    stacked: tuple[Value, ...]
    after: Callable[..., Any]


def _hoistable(value: Value, constants: set[Value]) -> list[Hoist] | None:
    node = value.node
    if node.op is OPS["add"]:
        parts = [_hoistable(v, constants) for v in node.inputs]
        return None if None in parts else [h for p in parts if p is not None for h in p]
    if node.op is OPS["matmul"] and len(value.type.shape) == 2:
        left, right = node.inputs
        if left.node.op is OPS["permute"] and len(left.type.shape) == 2:
            (rows,) = left.node.inputs
            if rows not in constants and right not in constants:
                return [Hoist((rows, right), _product_of_rows)]
    if node.op is OPS["sum"] and node.attributes["axis"] == (0,):
        (rows,) = node.inputs
        if rows not in constants and len(rows.type.shape) == 2:
            return [Hoist((rows,), lambda s: movement.as_rows(s).sum(axis=0))]
    return None


def _product_of_rows(a: Any, b: Any) -> Any:
    return movement.as_rows(a).T @ movement.as_rows(b)


def _frontier(targets: Iterable[Value], forward: set[Value], own: set[Value]) -> list[Value]:
    """Forward values the derivative reads; what costs nothing is redone, not read."""
    cut: dict[Value, None] = {}
    seen: set[Value] = set()
    todo = list(targets)
    while todo:
        value = todo.pop()
        if value in seen or value in own:
            continue
        seen.add(value)
        node = value.node
        if value in forward:
            cheap = node.op.result == "view" or node.op.roles & {"constant", "loop", "reader"}
            if node.op is INPUT or not cheap:
                cut[value] = None
                continue
        todo.extend(node.inputs)
    return list(cut)


def _cut_body(
    order: list[Value], carry: list[Value], targets: list[Value]
) -> tuple[Graph, dict[Value, Value]]:
    """A body of its own, in which the values of `order` are inputs."""
    tracer = Tracer()
    new: dict[Value, Value] = {}
    inputs: dict[str, Value] = {}
    for i, value in enumerate(order):
        origin = value.node.origin
        name = f"in{i + 1}"
        new[value] = tracer.input(name, value.type, "given").value
        new[value].node.origin.name = "" if origin.gradient_of else origin.name
        new[value].node.origin.gradient_of = origin.gradient_of
        inputs[name] = new[value]
    todo = [n for n in reachable(targets) if n.op is not INPUT]
    for node in todo:
        if all(v in new for v in node.values) or any(v not in new for v in node.inputs):
            continue  # an input of the new body, or only needed for one
        tracer.scope, tracer.phase = node.origin.scope, "backward"
        made = tracer.node(node.op, tuple([new[v] for v in node.inputs]), node.attributes)
        for old, fresh in zip(node.values, made, strict=True):
            new.setdefault(old, fresh)
            fresh.node.origin.name = node.origin.name
            fresh.node.origin.inner = node.origin.inner
            fresh.node.origin.gradient_of = node.origin.gradient_of
    outputs = {f"carry{i + 1}": new[v] for i, v in enumerate(carry)}
    outputs.update({f"y{i + 1}": new[v] for i, v in enumerate(targets)})
    return Graph(inputs, outputs), {v: new[v] for v in targets}
