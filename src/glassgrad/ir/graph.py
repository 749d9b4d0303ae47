"""Programs as data: types, ops, nodes, values and graphs.

A graph is pure. What a program changes (parameters, running statistics, moments) is a named
input together with the output that holds its next value. Nodes are immutable but for their
`origin`, which says where a node came from and never takes part in comparing two nodes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from glassgrad.errors import GlassgradError, InternalError, UsageError

from .sizes import Shape, Size, product

FLOATS = ("float32", "float64")
DTYPES = (*FLOATS, "int64", "uint32", "uint8", "bool")

Attributes: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Type:
    """Shape and dtype of a value; `dtype` "loop" marks what only readers of a scan can use."""

    shape: Shape
    dtype: str

    @property
    def size(self) -> Size:
        """Number of elements."""
        return product(self.shape)

    def __repr__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


TypeRule: TypeAlias = Callable[..., "Type | tuple[Type, ...]"]
Rule: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One static setting of an op: how it is brought to its one form, and its default."""

    name: str
    normal: Callable[[Any, tuple[Any, ...]], Any]
    annotation: str
    default: Any = ...


@dataclass(frozen=True, eq=False, slots=True)
class Op:
    """What a node does. `glassgrad.ops` holds one record of this form for every op.

    `inputs` are the operands' names, the last one starred where there may be any number, and
    `attributes` the names of what is fixed when a node is made. `vjp` has one rule per input,
    called with (gradient, result, *inputs, **attributes), or None where the input has no
    derivative. `numpy` is the text of the op: an expression in the names of its inputs and
    attributes, several lines that fill `out`, a function (types, attributes) -> text, or None
    where `expand` says the op in others.
    """

    name: str
    inputs: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    says: str
    formula: str
    type_rule: TypeRule
    vjp: tuple[Rule | None, ...] | None = None
    numpy: str | tuple[str, ...] | Callable[..., str | tuple[str, ...]] | None = None
    expand: Rule | None = None
    result: str = "fresh"  # or "view": of the first input
    roles: frozenset[str] = frozenset()
    family: str = ""
    plain: tuple[str, str] = ("", "")  # forward and backward formula, as headings of a program
    samples: tuple[Any, ...] = ()
    errors: tuple[Any, ...] = ()
    kinks: str = ""

    def __call__(self, *inputs: Any, **attributes: Any) -> Any:
        """Apply the op: the call goes to the operand that knows best what to do."""
        best = None
        for operand in inputs:
            rank = getattr(operand, "emit_rank", 0)
            if rank > (best.emit_rank if best is not None else 0):
                best = operand
        if best is None:
            raise UsageError(
                f"{self.name}: no operand is a tensor",
                expected="at least one tensor",
                received=", ".join(type(operand).__name__ for operand in inputs) or "nothing",
                hint="wrap the data: gg.tensor(...)",
            )
        if self.attributes:
            attributes = self.normal(inputs, attributes)
        return best.emit(self, inputs, attributes)

    def normal(self, inputs: tuple[Any, ...], given: dict[str, Any]) -> dict[str, Any]:
        """Every attribute in its one form, in the order of the record."""
        found = {}
        for attribute in self.attributes:
            value = given.get(attribute.name, attribute.default)
            if value is ...:
                raise UsageError(f"{self.name}: the setting {attribute.name!r} is missing")
            try:
                found[attribute.name] = attribute.normal(value, inputs)
            except GlassgradError as error:
                raise error.at(f"{self.name}, setting {attribute.name!r}") from None
        if len(given) > len(found) or not given.keys() <= found.keys():
            extra = ", ".join(sorted(set(given) - set(found)))
            raise UsageError(f"{self.name}: unknown setting {extra}")
        return found

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def resolve(self, types: tuple[Type, ...], attributes: Attributes) -> tuple[Type, ...]:
        """The types of the results; raises a four-part error where the operands do not fit."""
        try:
            found = self.type_rule(*types, **attributes)
        except GlassgradError as error:
            raise error.at(f"{self.name}({', '.join(map(repr, types))})") from None
        return found if isinstance(found, tuple) else (found,)


@dataclass(slots=True)
class Scope:
    """A layer or a composite as a reader meets it: its title and its formulas."""

    path: str
    title: str = ""
    forward: str = ""
    backward: str = ""


@dataclass(slots=True)
class Origin:
    """Where a node came from. Never compared, and the only part of a node that may change."""

    name: str = ""
    scope: str = ""
    phase: str = "forward"
    line: str = ""
    seq: int = 0
    gradient_of: Value | None = None
    inner: bool = False  # named by a composite's body: the layer's own name may replace it
    again: bool = False  # of the way forward, done again for the way back (passes/recompute)

    def moved(self, seq: int) -> Origin:
        """The same at another place in the order; `dataclasses.replace` takes six times as long."""
        return Origin(
            self.name,
            self.scope,
            self.phase,
            self.line,
            seq,
            self.gradient_of,
            self.inner,
            self.again,
        )


class Value:
    """One result of a node."""

    __slots__ = ("index", "node", "type")

    def __init__(self, node: Node, index: int, type: Type) -> None:
        self.node = node
        self.index = index
        self.type = type

    def __repr__(self) -> str:
        return f"<{self.node.op.name}:{self.index} {self.type}>"


class Node:
    """An op applied to values, with its resolved types."""

    __slots__ = ("attributes", "inputs", "op", "origin", "values")

    def __init__(
        self,
        op: Op,
        inputs: tuple[Value, ...],
        attributes: dict[str, Any],
        types: tuple[Type, ...] | None = None,
        origin: Origin | None = None,
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.attributes = attributes
        if types is None:
            types = op.resolve(tuple([v.type for v in inputs]), attributes)
        self.values = tuple([Value(self, i, t) for i, t in enumerate(types)])
        self.origin = origin or Origin()

    @property
    def types(self) -> tuple[Type, ...]:
        """The types of the results."""
        return tuple([value.type for value in self.values])

    def __repr__(self) -> str:
        return f"<node {self.op.name} {self.types}>"


def node_key(op: Op, inputs: tuple[Value, ...], attributes: Attributes) -> tuple[Any, ...]:
    """What two nodes must share to be the same node, wherever they came from."""
    return (
        op.name,
        tuple([(id(v.node), v.index) for v in inputs]),
        tuple([(k, attribute_key(v)) for k, v in attributes.items()]),
    )


def attribute_key(value: Any) -> Any:
    """A hashable stand-in for an attribute; 1, 1.0 and True are three different attributes."""
    if isinstance(value, tuple):
        return tuple([attribute_key(v) for v in value])
    if isinstance(value, Graph):
        return ("graph", value.structure())
    if isinstance(value, float):
        return ("float", value.hex(), repr(value))  # a spelling is kept, too
    return (type(value).__name__, value)


def _input_type(*, type: Type, **_: Any) -> Type:
    return type


INPUT = Op(
    "input",
    (),
    tuple(Attribute(name, lambda value, _: value, "str") for name in ("name", "type", "role")),
    says="a value that is handed to the program",
    formula="x",
    type_rule=_input_type,
)


@dataclass(eq=False, slots=True)
class Graph:
    """A program: inputs, named outputs, and which output is the next value of which input."""

    inputs: dict[str, Value]
    outputs: dict[str, Value]
    state: dict[str, str] = field(default_factory=dict)  # input name -> output name
    scopes: dict[str, Scope] = field(default_factory=dict)
    guard: tuple[str, ...] = ()  # outputs that must be finite before any state changes
    _structure: str = field(default="", repr=False)

    def nodes(self) -> list[Node]:
        """Every node the outputs need, each after the nodes it uses, inputs included."""
        return reachable(self.outputs.values(), first=[v.node for v in self.inputs.values()])

    @property
    def sizes(self) -> dict[str, tuple[str, int]]:
        """Where each named size is read from: name -> (input, axis)."""
        found: dict[str, tuple[str, int]] = {}
        for name, value in self.inputs.items():
            for axis, size in enumerate(value.type.shape):
                if not isinstance(size, int) and len(size.terms) == 1:
                    ((powers, count),) = size.terms
                    if len(powers) == 1 and count == 1:
                        found.setdefault(powers[0], (name, axis))
        return found

    def structure(self) -> str:
        """A text that two graphs share exactly where they compute the same in the same order."""
        if not self._structure:
            from .text import print_graph

            self._structure = print_graph(self, origins=False)
        return self._structure


def reachable(outputs: Iterable[Value], first: Iterable[Node] = ()) -> list[Node]:
    """Nodes in an order in which each comes after those it uses."""
    done: set[Node] = set()
    order: list[Node] = []
    stack: list[tuple[Node, Iterator[Value]]] = []
    for root in itertools.chain(first, (value.node for value in outputs)):
        if root in done:
            continue
        done.add(root)
        stack.append((root, iter(root.inputs)))
        while stack:
            node, rest = stack[-1]
            for value in rest:
                inner = value.node
                if inner not in done:
                    done.add(inner)
                    stack.append((inner, iter(inner.inputs)))
                    break
            else:
                stack.pop()
                order.append(node)
    return order


def verify(graph: Graph) -> Graph:
    """Check every promise a graph makes, and give it back.

    Raises InternalError where types differ from what the ops' rules say, an input is not
    declared, a state pair changes its type, or a name repeats.
    """

    def wrong(what: str, where: object = "") -> InternalError:
        return InternalError(f"invalid graph: {what}", where=str(where))

    declared = {id(v.node) for v in graph.inputs.values()}
    for name, value in graph.inputs.items():
        if value.node.op is not INPUT or value.node.attributes["name"] != name:
            raise wrong(f"input {name!r} is not an input node of that name", value)
    for node in graph.nodes():
        if node.op is INPUT:
            if id(node) not in declared:
                raise wrong("an input is used but not declared", node.attributes["name"])
            if node.types != (node.attributes["type"],):
                raise wrong("an input has another type than it declares", node)
            continue
        if [*node.attributes] != [a.name for a in node.op.attributes]:
            raise wrong(f"attributes {sorted(node.attributes)} of {node.op.name}", node)
        fixed = [name for name in node.op.inputs if not name.startswith("*")]
        if len(node.inputs) < len(fixed) or (
            len(node.inputs) > len(fixed) and len(fixed) == len(node.op.inputs)
        ):
            raise wrong(f"{len(node.inputs)} operands for {node.op.name}", node)
        if node.op.resolve(tuple(v.type for v in node.inputs), node.attributes) != node.types:
            raise wrong("types differ from the op's rule", node)
        for attribute in node.attributes.values():
            if isinstance(attribute, Graph):
                verify(attribute)
        if "reader" in node.op.roles and _read_type(node) != node.types[0]:
            raise wrong("a reader of a loop expects what the loop does not have", node)
    for source, target in graph.state.items():
        if source not in graph.inputs or target not in graph.outputs:
            raise wrong("a state pair names what is not there", (source, target))
        if graph.inputs[source].type != graph.outputs[target].type:
            raise wrong(
                "the next value of a state has another type",
                (source, graph.inputs[source].type, graph.outputs[target].type),
            )
    for name in graph.guard:
        if name not in graph.outputs:
            raise wrong("what is guarded is no output", name)
    for name, output in graph.outputs.items():
        if output.type.dtype == "loop":
            raise wrong("an output is a scan itself, not a reader of it", name)
    return graph


def _read_type(node: Node) -> Type | None:
    """The type of what a reader asks of its loop, None where there is no such thing."""
    loop = node.inputs[0].node
    body = loop.attributes.get("body")
    if "loop" not in loop.op.roles or not isinstance(body, Graph):
        return None
    if "which" in node.attributes:
        carried = [v.type for v in body.outputs.values()][: loop.attributes["carry"]]
        which = node.attributes["which"]
        return carried[which] if 0 <= which < len(carried) else None
    values = [v.type for n in body.nodes() for v in n.values]
    at = node.attributes["value"]
    if not 0 <= at < len(values):
        return None
    return Type((loop.attributes["length"], *values[at].shape), values[at].dtype)
