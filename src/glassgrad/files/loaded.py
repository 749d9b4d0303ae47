"""A network without its class: the graph of its forward pass, and its parameters by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glassgrad.errors import DTypeError, ShapeError, UsageError
from glassgrad.ir import (
    INPUT,
    Graph,
    Scope,
    Size,
    Value,
    parse_graph,
    print_graph,
)
from glassgrad.nn.layers import Embedding
from glassgrad.nn.module import Module
from glassgrad.nn.tracing import gathered
from glassgrad.ops import OPS, Array, Spelled, Symbol, Tracer, find
from glassgrad.passes.positions import index_limits
from glassgrad.passes.unroll import bound
from glassgrad.tensors.tensor import Buffer, Parameter, check_positions

from .labels import Labels


@dataclass(frozen=True, slots=True)
class Place:
    """A module of the saved network: its path, its title, the parameters it holds."""

    path: str
    title: str
    parameters: tuple[str, ...] = ()


class Part(Module):
    """A layer of a loaded network: its name and title, no code of its own."""

    def __init__(self, title: str) -> None:
        Module.__init__(self)  # not that of a layer that a subclass also is
        self._title = title
        self._parts: dict[str, Part] = {}

    def children(self) -> Iterator[tuple[str, Module]]:
        yield from self._parts.items()

    def title(self) -> str:
        return self._title

    def __repr__(self) -> str:
        return self._title

    def forward(self, *_: Any) -> Any:
        raise UsageError(
            "a layer of a loaded network cannot run alone",
            where=self.path,
            expected="model(x), the whole network",
            received=self._title,
        )


class TokenPart(Part, Embedding):
    """A layer whose table is read by tokens: it knows how many there are."""

    def __init__(self, title: str, tokens: int) -> None:
        Part.__init__(self, title)
        self.tokens = tokens


class GraphModule(Part):
    """A network read from a file: a module that runs a graph.

    What `gg.load` gives. It takes the rows its graph was traced for, in evaluation (no dropout,
    running statistics); `labels` says what its numbers mean. Predictions equal those of the
    network that was saved, bit for bit.
    """

    def __init__(
        self,
        graph: Graph,
        state: Mapping[str, Parameter],
        places: Sequence[Place] = (),
        title: str = "GraphModule",
        labels: Labels | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(title)
        self.graph = graph
        self.labels = labels or Labels()
        self.trainable = trainable
        self.places = tuple(places)
        self._state = dict(state)
        for name, parameter in self._state.items():
            parameter.name = name
        tables = _tables(graph)
        parts: dict[str, Part] = {"": self}
        for place in self.places:
            over, _, name = place.path.rpartition(".")
            tokens = [tables[p] for p in place.parameters if p in tables]
            part = TokenPart(place.title, min(tokens)) if tokens else Part(place.title)
            if place.path in parts or over not in parts:
                raise UsageError("the module tree has a hole or a name twice", received=place.path)
            parts[over]._parts[name] = parts[place.path] = part
        data = {n: v for n, v in graph.inputs.items() if v.node.attributes["role"] == "data"}
        self._limits = {n: limit for n, limit in index_limits(graph).items() if n in data}
        self.input_order = tuple(data)
        self.input_types = tuple([v.type for v in data.values()])
        self.eval()

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles keep: the graph as its text, which refers to no code."""
        return {**vars(self), "graph": print_graph(self.graph)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, graph=parse_graph(state["graph"], find, Spelled))

    # -- what is inside ------------------------------------------------------------------------

    def named_state(self) -> dict[str, Parameter]:
        self._settle_names()
        return dict(self._state)

    def _held(self, kind: type[Parameter]) -> Iterator[tuple[str, Parameter]]:
        for name, value in self._state.items():
            if isinstance(value, Buffer) == (kind is Buffer):
                yield name, value

    # -- use -----------------------------------------------------------------------------------

    def forward(self, *xs: Any) -> Any:
        if self.training and not self.trainable:
            raise UsageError(
                "this loaded network cannot be trained: in training its layers act otherwise",
                where=self.title(),
                expected="evaluation, for which its file was written",
                received="training, with dropout or the statistics of batches",
                hint="build the network again and give it model.load_state_dict(gg.load(...).state_dict())",
            )
        given = dict(zip(self.input_order, xs, strict=False))
        if len(xs) != len(self.input_order):
            raise UsageError(
                "the model takes another number of inputs",
                where=self.title(),
                expected=", ".join(self.input_order),
                received=str(len(xs)),
            )
        sizes = self._sizes(given)
        if isinstance(xs[0], Symbol):
            return gathered(_write(self.graph, xs[0].tracer, {**given, **self._state}, sizes))
        for name, limit in self._limits.items():
            check_positions(f"{self.title()}, {name}", given[name].numpy(), *limit)
        tracer = Tracer()
        used = {id(v.node) for n in self.graph.nodes() for v in n.inputs}
        used |= {id(v.node) for v in self.graph.outputs.values()}
        names = [n for n, v in self.graph.inputs.items() if n in given or id(v.node) in used]
        symbols = {n: tracer.input(n, bound(self.graph.inputs[n].type, sizes)) for n in names}
        found = _write(self.graph, tracer, symbols, sizes)
        graph = Graph({n: symbols[n].value for n in names}, {k: v.value for k, v in found.items()})
        results = OPS["call"](*[given.get(n, self._state.get(n)) for n in names], graph=graph)
        results = results if isinstance(results, tuple) else (results,)
        return gathered(dict(zip(found, results, strict=True)))

    def _sizes(self, given: Mapping[str, Any]) -> dict[str, Size]:
        """What the named sizes are for these inputs. Raises ShapeError where they do not fit."""
        rows: Size | None = None
        for name, x in given.items():
            wanted = self.graph.inputs[name].type
            shape = tuple(x.shape) if isinstance(x, Array) else ()
            if len(shape) != len(wanted.shape) or shape[1:] != wanted.shape[1:]:
                counts = f"{shape[1]} features" if len(shape) == 2 else f"rows of {shape[1:]}"
                many = (
                    f"{wanted.shape[1]} features"
                    if len(wanted.shape) == 2
                    else f"{wanted.shape[1:]}"
                )
                raise ShapeError(
                    f"{name} has {counts}, the model expects {many}",
                    where=self.title(),
                    expected=f"shape {wanted.shape}",
                    received=str(shape),
                )
            if x.dtype != wanted.dtype:
                raise DTypeError(
                    "the model was saved for another kind of number",
                    where=f"{self.title()}, {name}",
                    expected=wanted.dtype,
                    received=x.dtype,
                    hint=f'x.astype("{wanted.dtype}")',
                )
            rows = shape[0] if rows is None else rows
            if shape[0] != rows:
                raise ShapeError(
                    "the inputs have different numbers of rows",
                    where=self.title(),
                    expected=f"{rows}",
                    received=f"{shape[0]} in {name}",
                )
        return {"n": rows if rows is not None else 0}


def _tables(graph: Graph) -> dict[str, int]:
    """Parameters whose rows are read by the input's own numbers, and how many rows they have."""
    found: dict[str, int] = {}
    data = [
        v
        for v in graph.inputs.values()
        if v.node.attributes["role"] == "data" and v.type.dtype == "int64"
    ]
    for node in graph.nodes():
        if node.op is OPS["take"] and len(node.inputs) == 2 and node.inputs[1] in data:
            table = node.inputs[0]
            if table.node.op is INPUT and isinstance(table.type.shape[0], int):
                found[table.node.attributes["name"]] = table.type.shape[0]
    return found


def _write(
    graph: Graph, tracer: Tracer, inputs: Mapping[str, Any], sizes: Mapping[str, Any]
) -> dict[str, Any]:
    """The graph's nodes, written once more by another tracer; its outputs by name."""
    known: dict[Value, Any] = {graph.inputs[name]: given for name, given in inputs.items()}
    for node in sorted(graph.nodes(), key=lambda n: n.origin.seq):
        if node.op is INPUT:
            continue
        attributes = {k: bound(v, sizes) for k, v in node.attributes.items()}
        scope = graph.scopes.get(node.origin.scope, Scope(node.origin.scope))
        with tracer.inside(scope):
            found = tracer.emit(node.op, tuple([known[v] for v in node.inputs]), attributes)
        results = found if isinstance(found, tuple) else (found,)
        known.update(zip(node.values, results, strict=True))
        results[0].value.node.origin.name = node.origin.name
    return {name: known[value] for name, value in graph.outputs.items()}
