"""The second half of a step: how the vector of weights follows its gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glassgrad.ir import Graph, Scope, Type, print_graph
from glassgrad.nn.penalties import bounded
from glassgrad.ops import OPS, Symbol, Tracer, named
from glassgrad.optim import Optimizer
from glassgrad.optim.base import host, moved_average
from glassgrad.passes.differentiate import continuing
from glassgrad.passes.flatten import Part
from glassgrad.tensors.tensor import Parameter


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that follow one rule."""

    optimizer: Optimizer
    factor: float  # its rate, as a multiple of the main one
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """A state of the optimiser: a vector like the weights, or one number."""

    name: str
    # What it begins as: None is a copy of the weights, pieces are (how many, what) end to end.
    start: float | tuple[tuple[int, float], ...] | None = 0.0
    scalar: bool = False


Constraint = Callable[[Any], Any]


def groups_of(optimizer: Optimizer, held: Mapping[str, Parameter]) -> tuple[Group, ...]:
    """The groups that are in use."""
    found = optimizer.grouped(list(held), list(held.values()))
    return tuple([Group(rule, factor, tuple(names)) for rule, factor, names in found])


def constrained_text(name: str, kind: Type, constraint: Constraint) -> str:
    """What a constraint does, whatever it is called."""
    tracer = Tracer()
    w = tracer.input(name, kind, "parameter")
    found = bounded(constraint, w, name)
    return print_graph(Graph({name: w.value}, {"new": found.value}))


def updated(
    graph: Graph,
    data: Sequence[str],
    parts: Sequence[Part],
    groups: Sequence[Group],
    constraints: Mapping[str, Constraint],
) -> tuple[Graph, tuple[Moment, ...]]:
    """The graph of a whole step: what it had, and the weights and moments after it."""
    tracer = continuing(graph)
    hosts = _hosts(graph, tracer)
    with tracer.during("update", "update"):
        gradient = _gradient(graph, tracer, parts)
    update = _Update(tracer, tracer.symbol(graph.inputs["weights"]), parts, groups, constraints)
    with tracer.during("update", "update"):
        update.write(gradient, hosts["rate"], hosts["step"])
    tracer.scopes["update"] = _scope(groups)
    outputs = {**graph.outputs, "gradient": gradient.value, **update.outputs}
    return (
        _step(graph, data, update, hosts, outputs, ("loss", "gradient"), tracer),
        update.moments,
    )


def evaluating(graph: Graph, data: Sequence[str], parts: Sequence[Part]) -> Graph:
    """The graph of loss and gradient alone, for an optimiser that looks at several points."""
    tracer = continuing(graph)
    hosts = {n: tracer.symbol(v) for n, v in graph.inputs.items() if _role(v) == "host"}
    with tracer.during("backward", "gradient"):
        gradient = named(_gradient(graph, tracer, parts), "gradient")
    tracer.scopes["gradient"] = Scope("gradient", "", "all derivatives as one vector")
    inputs = _in_order(graph, data, {}, hosts)
    outputs = {**graph.outputs, "gradient": gradient.value}
    return Graph(inputs, outputs, graph.state, tracer.scopes)


def accumulating(graph: Graph, data: Sequence[str], parts: Sequence[Part]) -> tuple[Graph, Moment]:
    """The graph of a step that only adds its gradient, times its rows, to a sum."""
    tracer = continuing(graph)
    rows = graph.inputs[data[0]].type.shape[0]
    total = tracer.input("gradient_sum", graph.inputs["weights"].type, "moment")
    with tracer.during("update", "update"):
        gradient = _gradient(graph, tracer, parts)
        new = named(total + gradient * rows, "total")
    tracer.scopes["update"] = Scope(
        "update", "sum of gradients", "the update comes when enough rows have been seen"
    )
    hosts = {n: tracer.symbol(v) for n, v in graph.inputs.items() if _role(v) == "host"}
    inputs = _in_order(graph, data, {"gradient_sum": total.value}, hosts)
    outputs = {**graph.outputs, "gradient_sum.next": new.value}
    changes = {**graph.state, "gradient_sum": "gradient_sum.next"}
    guard = ("loss", "gradient_sum.next")
    return Graph(inputs, outputs, changes, tracer.scopes, guard=guard), Moment("gradient_sum")


def applying(
    graph: Graph,
    parts: Sequence[Part],
    groups: Sequence[Group],
    constraints: Mapping[str, Constraint],
) -> tuple[Graph, tuple[Moment, ...]]:
    """The graph of the update that follows: the mean gradient over `rows` rows."""
    tracer = Tracer()
    kind = graph.inputs["weights"].type
    weights = tracer.input("weights", kind, "parameter")
    total = tracer.input("gradient_sum", kind, "moment")
    hosts = {
        name: tracer.input(name, Type((), "float64"), "host") for name in ("rows", "rate", "step")
    }
    update = _Update(tracer, weights, parts, groups, constraints)
    with tracer.during("update", "update"):
        gradient = named(total / host(hosts["rows"], total), "gradient")
        update.write(gradient, hosts["rate"], hosts["step"])
        empty = named(
            OPS["broadcast_to"](tracer.constant(0, kind.dtype), shape=kind.shape), "empty"
        )
    tracer.scopes["update"] = _scope(groups)
    outputs = {**update.outputs, "gradient_sum.next": empty.value}
    moments = {"gradient_sum": total.value, **update.inputs}
    inputs = {"weights": weights.value, **moments, **{n: s.value for n, s in hosts.items()}}
    inputs = _used(inputs, outputs, ("step",))
    changes = {**update.changes, "gradient_sum": "gradient_sum.next"}
    return Graph(inputs, outputs, changes, tracer.scopes), update.moments


class _Update:
    """The rule of each group on its piece of the vector; then constraints and averages."""

    def __init__(
        self,
        tracer: Tracer,
        weights: Symbol,
        parts: Sequence[Part],
        groups: Sequence[Group],
        constraints: Mapping[str, Constraint],
    ) -> None:
        self.tracer = tracer
        self.weights = weights
        self.parts = parts
        self.groups = groups
        self.constraints = constraints
        self.moments: tuple[Moment, ...] = ()
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}
        self.changes: dict[str, str] = {}
        self._vectors: dict[str, Symbol] = {}

    def _moment(self, name: str, start: Any, scalar: bool = False) -> Symbol:
        kind = self.weights.value.type
        symbol = self.tracer.input(name, Type((), kind.dtype) if scalar else kind, "moment")
        self.moments += (Moment(name, start, scalar),)
        self.inputs[name] = symbol.value
        return symbol

    def _follow(self, name: str, new: Any) -> None:
        self.outputs[f"{name}.next"] = new.value
        self.changes[name] = f"{name}.next"

    def write(self, gradient: Any, rate: Any, step: Any) -> None:
        """Everything that the update changes."""
        main = self.groups[0].optimizer
        if len(self.groups) == 1:
            new = self._one(self._clipped(gradient, main), rate, step)
        else:
            new = self._several(self._clipped(gradient, main), rate, step)
        new = self._constrained(new)
        self._follow("weights", new)
        if main.use_ema:
            average = self._moment("average", None)
            self._follow("average", moved_average(average, new, main.ema_momentum, step))

    def _one(self, gradient: Any, rate: Any, step: Any) -> Any:
        optimizer = self.groups[0].optimizer
        names = (*optimizer.state_names, *optimizer.scalar_state_names)
        state = [
            self._moment(n, optimizer.initial(n), n in optimizer.scalar_state_names) for n in names
        ]
        if self.groups[0].factor != 1:
            rate = named(rate * self.groups[0].factor, "own_rate")
        new, after = optimizer.rule(self.weights, gradient, tuple(state), rate, step)
        for name, value in zip(names, after, strict=True):
            self._follow(name, value)
        return new

    def _several(self, gradient: Any, rate: Any, step: Any) -> Any:
        """Each group's rule on its own piece; a state that only some have is there for all."""
        pieces: list[Any] = []
        states: dict[str, list[Any]] = {}
        names = dict.fromkeys(n for group in self.groups for n in group.optimizer.state_names)
        vectors = {name: self._moment(name, self._beginnings(name)) for name in names}
        begin = 0
        for number, group in enumerate(self.groups, 1):
            own = [p for p in self.parts if p.name in group.names]
            end = own[-1].stop
            cut = ((begin, end, 1),)
            optimizer = group.optimizer
            state = [OPS["slice"](vectors[n], spans=cut) for n in optimizer.state_names]
            scalars = [
                self._moment(f"{n}_{number}", optimizer.initial(n), scalar=True)
                for n in optimizer.scalar_state_names
            ]
            label = f"group_{number}"
            w = named(OPS["slice"](self.weights, spans=cut), f"{label}_weights")
            g = named(OPS["slice"](gradient, spans=cut), f"{label}_gradient")
            own_rate = rate if group.factor == 1 else named(rate * group.factor, f"{label}_rate")
            new, after = optimizer.rule(w, g, (*state, *scalars), own_rate, step)
            for name, value in zip(optimizer.state_names, after, strict=False):
                named(value, f"{label}_{name}")
            pieces.append(named(new, f"{label}_new"))
            count = len(state)
            by_name = dict(zip(optimizer.state_names, after[:count], strict=True))
            for name, vector in vectors.items():
                new_state = by_name.get(name)
                if new_state is None:
                    new_state = OPS["slice"](vector, spans=cut)
                states.setdefault(name, []).append(new_state)
            for symbol, value in zip(scalars, after[count:], strict=True):
                self._follow(symbol.value.node.attributes["name"], value)
            begin = end
        for name, values in states.items():
            self._follow(name, named(OPS["concatenate"](*values, axis=0), f"new_{name}"))
        return named(OPS["concatenate"](*pieces, axis=0), "new_weights")

    def _beginnings(self, name: str) -> float | tuple[tuple[int, float], ...]:
        """What a state begins as, which may differ from group to group."""
        found = []
        for group in self.groups:
            count = sum(p.stop - p.start for p in self.parts if p.name in group.names)
            held = name in group.optimizer.state_names
            found.append((count, group.optimizer.initial(name) if held else 0.0))
        values = {value for _, value in found}
        return values.pop() if len(values) == 1 else tuple(found)

    def _clipped(self, gradient: Any, optimizer: Optimizer) -> Any:
        """Gradients no larger than asked for: number by number, by parameter, or all together."""
        if optimizer.clipnorm is not None and len(self.parts) > 1:
            cuts = [
                named(OPS["slice"](gradient, spans=((p.start, p.stop, 1),)), f"d_{p.name}")
                for p in self.parts
            ]
            return named(OPS["concatenate"](*optimizer.clipped(cuts), axis=0), "clipped")
        (clipped,) = optimizer.clipped([gradient])
        return gradient if clipped is gradient else named(clipped, "clipped")

    def _constrained(self, new: Any) -> Any:
        if not self.constraints:
            return new
        new = named(new, "free")
        pieces = []
        for part in self.parts:
            cut = OPS["slice"](new, spans=((part.start, part.stop, 1),))
            if part.name in self.constraints:
                whole = cut if len(part.shape) == 1 else cut.reshape(part.shape)
                named(whole, f"free_{part.name}")
                cut = bounded(self.constraints[part.name], whole, part.name).reshape(-1)
            pieces.append(cut)
        held = OPS["concatenate"](*pieces, axis=0) if len(pieces) > 1 else pieces[0]
        return named(held, "new_weights")


def _gradient(graph: Graph, tracer: Tracer, parts: Sequence[Part]) -> Any:
    """All gradients as one vector; they leave the graph's outputs."""
    each = [
        tracer.symbol(graph.outputs.pop(f"gradient of {part.name}")).reshape(-1) for part in parts
    ]
    gradient = OPS["concatenate"](*each, axis=0) if len(each) > 1 else each[0]
    if gradient.value.node.origin.phase == "update":
        gradient.value.node.origin.name = "gradient"
    return gradient


def _role(value: Any) -> str:
    return str(value.node.attributes["role"])


def _hosts(graph: Graph, tracer: Tracer) -> dict[str, Symbol]:
    """The numbers of the host: those of the forward pass, the rate and the step."""
    known = {n: tracer.symbol(v) for n, v in graph.inputs.items() if _role(v) == "host"}
    rate = tracer.input("rate", Type((), "float64"), "host")
    step = known.pop("step") if "step" in known else tracer.input("step", rate.value.type, "host")
    return {"rate": rate, "step": step, **known}


def _step(
    graph: Graph,
    data: Sequence[str],
    update: _Update,
    hosts: Mapping[str, Symbol],
    outputs: dict[str, Any],
    guard: tuple[str, ...],
    tracer: Tracer,
) -> Graph:
    inputs = _used(_in_order(graph, data, update.inputs, hosts), outputs, ("step",))
    changes = {**graph.state, **update.changes}
    return Graph(inputs, outputs, changes, tracer.scopes, guard=guard)


def _in_order(
    graph: Graph, data: Sequence[str], moments: Mapping[str, Any], hosts: Mapping[str, Symbol]
) -> dict[str, Any]:
    """Data first, then weights and buffers, moments, numbers of the host."""
    rest = {n: v for n, v in graph.inputs.items() if n not in hosts and n not in data}
    return {
        **{n: graph.inputs[n] for n in data},
        **rest,
        **moments,
        **{n: s.value for n, s in hosts.items()},
    }


def _used(
    inputs: dict[str, Any], outputs: Mapping[str, Any], names: Sequence[str]
) -> dict[str, Any]:
    """The inputs without those of these names that nothing reads."""
    nodes = Graph(dict(inputs), dict(outputs)).nodes()
    read = {v for node in nodes for v in node.inputs}
    return {n: v for n, v in inputs.items() if n not in names or v in read}


def _scope(groups: Sequence[Group]) -> Scope:
    main = groups[-1].optimizer
    title = main.title if len(groups) == 1 else f"{main.title}, {len(groups)} groups"
    return Scope("update", title, main.formula)
