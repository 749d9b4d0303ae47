"""Graphs as plans: lowered once, planned for each number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from glassgrad.ir import Graph, Value
from glassgrad.passes.cheap_again import cheap_again
from glassgrad.passes.formulas import formulas
from glassgrad.passes.fuse import reuse_relu
from glassgrad.passes.layout import SIZE_OF, Lay, Memory, Sizes, count, row_major
from glassgrad.passes.lower import lower
from glassgrad.passes.recompute import recompute
from glassgrad.passes.rewrite import scheduled
from glassgrad.passes.simplify import simplify

from . import rank_one
from .cells import has_cell, missing
from .encode import Encoded, encoded
from .loops import asked_of
from .planner import Block, Planner
from .step import Step
from .tiny import tiny_step
from .windows import spared


def lowered(graph: Graph) -> Graph:
    """The graph in what the executor has kernels for, nothing computed twice."""
    return cheap_again(reuse_relu(simplify(lower(simplify(graph), has_cell))))


def recomputed(graph: Graph, returns: Sequence[str]) -> Graph:
    """A lowered graph that keeps less of its way forward, and does it again on the way back."""
    order = scheduled(graph)
    names = {*returns, *graph.state.values(), *graph.guard}
    found = formulas(order, [graph.outputs[name] for name in graph.outputs if name in names])
    each = list({id(f): f for f in found.values()}.values())
    return recompute(graph, [f.nodes for f in each], spared(order, each))


def why_not(graph: Graph) -> str:
    """What of a lowered graph has no native kernel; empty where everything has."""
    return missing(graph.nodes())


@dataclass(frozen=True, slots=True)
class Port:
    """An array of the caller: an input of the graph, or a place for results."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    written: bool

    @property
    def bytes(self) -> int:
        """How large it is."""
        return count(self.shape) * SIZE_OF[self.dtype]


HOST = "host"  # all numbers of the host, eight bytes each
RESULTS = "results"  # what a training step gives: float64 each


@dataclass(slots=True)
class Planned:
    """A plan and what it wants of the caller, base after base from 1."""

    encoded: Encoded
    ports: tuple[Port, ...]
    hosts: tuple[tuple[str, str], ...]  # name and dtype of each number of the host
    outputs: tuple[str, ...]  # those that are ports, or results in order
    steps: list[Step]


def planned(
    graph: Graph,
    sizes: dict[str, int],
    catalogue: dict[str, dict[str, int]],
    *,
    returns: Sequence[str],
    results: bool,
) -> Planned:
    """A plan for a lowered graph with these sizes.

    With `results` the outputs named in `returns` are single numbers and go to one array of
    float64, otherwise each has an array of its own.
    """
    known = Sizes(sizes)
    planner = Planner(catalogue["operations"], catalogue["reductions"])
    ports: list[Port] = []
    lays: dict[Value, Lay] = {}
    hosts: list[tuple[str, str]] = []
    changed = set(graph.state)

    def port(name: str, dtype: str, shape: tuple[int, ...], written: bool) -> Lay:
        ports.append(Port(name, dtype, shape, written))
        memory = Memory(ports[-1].bytes, len(ports), 0)
        return Lay(memory, dtype, shape, row_major(shape))

    for name, value in graph.inputs.items():
        kind, role = value.type, value.node.attributes["role"]
        if role == "host":
            hosts.append((name, kind.dtype))
        else:
            lays[value] = port(name, kind.dtype, known.of(kind.shape), name in changed)
    if hosts:
        place = port(HOST, "float64", (len(hosts),), False)
        for i, (name, dtype) in enumerate(hosts):
            lays[graph.inputs[name]] = replace(place, dtype=dtype, shape=(), strides=(), offset=i)
    wanted: dict[Value, list[Lay]] = {}
    for source, out in graph.state.items():
        wanted.setdefault(graph.outputs[out], []).append(lays[graph.inputs[source]])
    if results:
        place = port(RESULTS, "float64", (len(returns),), True)
        for i, name in enumerate(returns):
            wanted.setdefault(graph.outputs[name], []).append(
                replace(place, shape=(), strides=(), offset=i)
            )
    else:
        for name in returns:
            value = graph.outputs[name]
            lay = port(f"out {name}", value.type.dtype, known.of(value.type.shape), True)
            wanted.setdefault(value, []).append(lay)
    whole = tiny_step(graph, known, lays, wanted, catalogue["operations"])
    if whole is not None:
        planner.steps.append(whole)
    else:
        block = Block(planner, known, lays)
        block.asked = asked_of(graph.nodes())
        block.plan(graph, wanted, graph.state)
        rank_one.fold(planner)
    numbers = encoded(
        planner.steps,
        planner.pieces,
        [(p.bytes, p.written) for p in ports],
        catalogue["kernels"],
    )
    return Planned(numbers, tuple(ports), tuple(hosts), tuple(returns), planner.steps)
