"""Loops: `scan` runs a body once for each step, `last` and `stack` read what it leaves.

The body is a graph (constants..., carry..., xs...) -> (carry..., and any of its own values). A
scan has no value of its own: what it keeps is what its readers ask for, so that its derivative,
one scan backwards, finds every value of the body it needs, and a program stores no more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from glassgrad.errors import ShapeError
from glassgrad.ir import Graph, Op, Size, Type, Value

from .array import Array
from .record import flag, graph, integer, size
from .trace import Tracer


def _scan_type(
    *operands: Type, body: Graph, constants: int, carry: int, length: Size, reverse: bool
) -> Type:
    expected = [v.type for v in body.inputs.values()]
    if len(expected) != len(operands):
        raise ShapeError("the body and the scan have different operands")
    for i, (t, inner) in enumerate(zip(operands, expected, strict=True)):
        want = inner if i < constants + carry else Type((length, *inner.shape), inner.dtype)
        if t != want:
            raise ShapeError(
                "an operand of a scan does not fit its body",
                expected=repr(want),
                received=repr(t),
                hint="the first axis of a sequence is time",
            )
    new = [v.type for v in body.outputs.values()][:carry]
    if new != expected[constants : constants + carry]:
        raise ShapeError(
            "the carry changes its type from step to step",
            expected=str(expected[constants : constants + carry]),
            received=str(new),
        )
    return Type((), "loop")


def _last_type(loop: Type, *, which: int, type: Type) -> Type:
    return type


def _stack_type(loop: Type, *, value: int, type: Type) -> Type:
    return type


scan = Op(
    "scan",
    ("*operands",),
    (graph("body"), integer("constants"), integer("carry"), size("length"), flag("reverse")),
    says="A body run once for each step of a sequence, carrying values from step to step.",
    formula=r"h_t = f(c, h_{t-1}, x_t)",
    type_rule=_scan_type,
    roles=frozenset({"loop"}),
    family="control",
)


def _type_attribute() -> Any:
    from .record import data

    return data("type", "Type")


last = Op(
    "last",
    ("loop",),
    (integer("which"), _type_attribute()),
    says="A carried value after the last step of a scan.",
    formula=r"h_T",
    type_rule=_last_type,
    roles=frozenset({"reader"}),
    family="control",
)
stack = Op(
    "stack",
    ("loop",),
    (integer("value"), _type_attribute()),
    says="Any value of a scan's body, of all steps, time first.",
    formula=r"(v_1, \dots, v_T)",
    type_rule=_stack_type,
    roles=frozenset({"reader"}),
    family="control",
)


def body_values(body: Graph) -> list[Value]:
    """Every value of a body, in the order in which `stack` counts them."""
    return [value for node in body.nodes() for value in node.values]


class Loop:
    """A scan that has been written, and the readers of what it leaves."""

    def __init__(self, symbol: Any, body: Graph, carry: int, length: Size) -> None:
        self.symbol = symbol
        self.body = body
        self.length = length
        self.carry = [v.type for v in body.outputs.values()][:carry]

    def last(self, which: int) -> Any:
        """A carried value after the last step."""
        return last(self.symbol, which=which, type=self.carry[which])

    def stack(self, value: Value) -> Any:
        """A value of the body, of all steps."""
        position = next(i for i, v in enumerate(body_values(self.body)) if v is value)
        kind = Type((self.length, *value.type.shape), value.type.dtype)
        return stack(self.symbol, value=position, type=kind)


def write_body(
    step: Callable[..., tuple[Sequence[Any], Sequence[Any]]],
    constants: Sequence[Any],
    carry: Sequence[Any],
    xs: Sequence[Any],
) -> tuple[Graph, list[Value]]:
    """The body of a scan as a graph, and those of its values that the step gives out as ys."""
    tracer = Tracer()

    def declare(kind: str, arrays: Sequence[Any], skip: int) -> list[Any]:
        found = []
        for i, a in enumerate(arrays):
            symbol = tracer.input(f"{kind}{i + 1}", Type(tuple(a.shape[skip:]), a.dtype), kind)
            symbol.value.node.origin.name = ""
            found.append(symbol)
        return found

    inner = (
        declare("constant", constants, 0),
        declare("carry", carry, 0),
        declare("x", xs, 1),
    )
    new, ys = step(*inner)
    body = Graph(
        {s.value.node.attributes["name"]: s.value for part in inner for s in part},
        {f"carry{i + 1}": s.value for i, s in enumerate(new)},
    )
    return body, [y.value for y in ys]


def write_scan(
    step: Callable[..., tuple[Sequence[Any], Sequence[Any]]],
    constants: Sequence[Any],
    carry: Sequence[Any],
    xs: Sequence[Any],
    *,
    length: Size,
    reverse: bool = False,
) -> tuple[Loop, list[Value]]:
    """A scan over symbols, and the values of its body that the step gives out."""
    body, ys = write_body(step, constants, carry, xs)
    # What the step gives out must count among the body's values even if no carry needs it.
    body.outputs.update({f"y{i + 1}": y for i, y in enumerate(ys)})
    operands: list[Array] = [*constants, *carry, *xs]
    symbol = scan(
        *operands,
        body=body,
        constants=len(constants),
        carry=len(carry),
        length=length,
        reverse=reverse,
    )
    return Loop(symbol, body, len(carry), length), ys


# -- graphs as ops ----------------------------------------------------------------------------


def inline(graph: Graph, operands: Sequence[Any]) -> tuple[Any, ...]:
    """The graph written again on these symbols."""
    tracer: Tracer = operands[0].tracer
    new: dict[Value, Value] = {
        v: s.value for v, s in zip(graph.inputs.values(), operands, strict=True)
    }
    for node in graph.nodes():
        if node.values[0] not in new:
            made = tracer.node(node.op, tuple([new[v] for v in node.inputs]), node.attributes)
            made[0].node.origin.name = node.origin.name
            new.update(zip(node.values, made, strict=True))
    return tuple([tracer.symbol(new[v]) for v in graph.outputs.values()])


def _call_type(*operands: Type, graph: Graph) -> tuple[Type, ...]:
    expected = tuple([v.type for v in graph.inputs.values()])
    if operands != expected:
        raise ShapeError(
            "the operands are not what the graph takes",
            expected=str(expected),
            received=str(operands),
        )
    return tuple([v.type for v in graph.outputs.values()])


call = Op(
    "call",
    ("*operands",),
    (graph("graph"),),
    says="A whole graph as one op; eager work records loops this way.",
    formula=r"f(x_1, x_2, \dots)",
    type_rule=_call_type,
    expand=lambda *operands, graph: inline(graph, operands),
    roles=frozenset({"call", "composite"}),
    family="control",
)
