"""Activations computed again on the way back instead of being kept: less memory, more work.

The forward pass is cut where few bytes cross. What crosses a cut is kept; what the derivatives of a
segment read beside it is computed again just before the first of them, from what is kept
(https://arxiv.org/abs/1604.06174). The last segment keeps everything: it is asked for at once.

This comes last, on a lowered graph: nothing can join the copies with their originals any more.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from glassgrad.ir import INPUT, Graph, Node, Size, Value
from glassgrad.ops import Tracer

from .layout import SIZE_OF, Sizes, count
from .rewrite import copied, rewrite, scheduled

Spared = frozenset[tuple[Node, Value]]
_ROWS = 64  # of every named size, where bytes are weighed against each other
_LIMITS = 48  # how many limits of memory are tried
_SMALL = 16  # a result so many times smaller than what it is made of is kept: a mean, a deviation


def recompute(
    graph: Graph, units: Iterable[Sequence[Node]] = (), spared: Spared = frozenset()
) -> Graph:
    """The graph with the forward pass done again, segment by segment, where that saves memory.

    `units` are nodes that one kernel does together, so that they are copied together; `spared` are
    (node, operand) that derivatives name and the backend does not read. All results keep their
    bits: a copy is the same op on the same numbers.
    """
    forward = _Forward(graph, units, spared)
    cuts = _best_cuts(forward)
    if not cuts:
        return graph
    segments = forward.segments(cuts)
    wanted = {v: s for s in segments for v in s.wanted}
    new: dict[Value, Value] = {}
    waiting = set(segments)

    def write(segment: _Segment, tracer: Tracer) -> None:
        waiting.discard(segment)
        for node in segment.nodes:
            inputs = tuple([segment.again.get(v, new[v]) for v in node.inputs])
            made = copied(node, inputs, tracer)
            made.origin.phase, made.origin.again, made.origin.gradient_of = "backward", True, None
            segment.again.update(zip(node.values, made.values, strict=True))

    def visit(node: Node, inputs: tuple[Value, ...], tracer: Tracer) -> tuple[Value, ...]:
        if node.origin.phase == "backward":
            for one in forward.unit.get(node, (node,)):  # all that the kernel reads comes first
                for value in one.inputs:
                    if wanted.get(value) in waiting and (one, value) not in spared:
                        write(wanted[value], tracer)
            inputs = tuple(
                [
                    wanted[v].again[v] if v in wanted and (node, v) not in spared else i
                    for v, i in zip(node.inputs, inputs, strict=True)
                ]
            )
        made = copied(node, inputs, tracer).values
        new.update(zip(node.values, made, strict=True))
        return made

    return rewrite(graph, visit, with_inputs=True)


@dataclass(eq=False, slots=True)
class _Segment:
    """What is done again together: its nodes, in order, and what derivatives want of them."""

    wanted: set[Value] = field(default_factory=set)
    nodes: list[Node] = field(default_factory=list)
    again: dict[Value, Value] = field(default_factory=dict)  # where its values are made again


class _Forward:
    """The forward pass as what may be kept of it: how large, made when, last read when.

    A view is worth nothing by itself: what counts is its root, which it shows.
    """

    def __init__(self, graph: Graph, units: Iterable[Sequence[Node]], spared: Spared) -> None:
        order = scheduled(graph)
        self.order = [n for n in order if n.origin.phase == "forward" and n.op is not INPUT]
        self.place = {node: i for i, node in enumerate(self.order)}
        self.unit: dict[Node, Sequence[Node]] = {}
        self.closed: set[int] = set()  # where no cut may be: within a unit
        names = {name for n in order for t in n.types for s in t.shape for name in _names(s)}
        sizes = Sizes(dict.fromkeys(names, _ROWS))
        self.bytes = {
            v: count(sizes.of(v.type.shape)) * SIZE_OF.get(v.type.dtype, 0)
            for node in order
            for v in node.values
        }
        self.grows = {v for v in self.bytes if any(not isinstance(s, int) for s in v.type.shape)}
        self.fixed = self._needed_anyway(graph, order)
        self.small: set[Value] = set()
        for node in self.order:
            if self._is_small(node):
                self.small.update(node.values)
        for unit in units:
            self._add_unit(unit)
        self.wanted = {  # forward values that derivatives read
            v: None
            for node in order
            if node.origin.phase == "backward"
            for v in node.inputs
            if v.node in self.place and (node, v) not in spared
        }
        self.saved = {v for v in map(root, self.wanted) if not self.is_fixed(v)}
        self.crossing = self._crossings()

    def _needed_anyway(self, graph: Graph, order: Sequence[Node]) -> set[Value]:
        """What an update reads, or the caller gets, is there to the end."""
        read = {v for n in order if n.origin.phase == "update" for v in n.inputs}
        return {shown for v in {*read, *graph.outputs.values()} for shown in (v, root(v))}

    def _add_unit(self, unit: Sequence[Node]) -> None:
        places = [self.place[n] for n in unit if n in self.place]
        self.unit |= dict.fromkeys(unit, sorted(unit, key=lambda n: n.origin.seq))
        if not places:
            return
        self.closed.update(range(min(places) + 1, max(places) + 1))
        if len(places) < len(unit):  # a derivative is made by the same kernel
            self.fixed.update(v for n in unit for v in n.values)

    def _is_small(self, node: Node) -> bool:
        """Whether a result is much smaller than what it sums up, as means are, or made of such."""
        if node.op.family == "reduction":
            return _SMALL * self.bytes[node.values[0]] <= self.bytes[node.inputs[0]]
        made_of = self.grows.intersection(node.inputs)
        return "elementwise" in node.op.roles and bool(made_of) and made_of <= self.small

    def is_fixed(self, value: Value) -> bool:
        """Whether a value is kept, wherever cuts are."""
        node = value.node
        if node not in self.place or value in self.fixed or value in self.small:
            return True
        if value not in self.grows:
            return True
        if node.op.roles & {"loop", "reader", "call", "constant"}:
            return True
        source = root(value)
        return source is not value and bool(source.node.op.roles & {"constant", "reader"})

    def _crossings(self) -> list[set[Value]]:
        """For each place in the order, what is made before it and read from there on."""
        last_read = {root(v): i for i, node in enumerate(self.order) for v in node.inputs}
        found: list[set[Value]] = [set() for _ in self.order]
        for value, last in last_read.items():
            if not self.is_fixed(value):
                for i in range(self.place[value.node] + 1, last + 1):
                    found[i].add(value)
        return found

    def segments(self, cuts: Sequence[int]) -> list[_Segment]:
        """What is done again for derivatives of each segment, the last one left out."""
        kept = {v for cut in cuts for v in self.crossing[cut]}
        found = []
        for start, stop in zip([0, *cuts], cuts, strict=False):
            segment = _Segment()
            nodes: set[Node] = set()
            todo = []
            for value in self.wanted:
                inside = start <= self.place[value.node] < stop
                if inside and value not in kept and not self.is_fixed(value):
                    segment.wanted.add(value)
                    todo.append(value)
            while todo:
                value = todo.pop()
                if value in kept or value.node in nodes or self.is_fixed(value):
                    continue
                unit = self.unit.get(value.node, (value.node,))
                nodes.update(unit)
                todo += [v for n in unit for v in n.inputs if v.node not in unit]
            segment.nodes = sorted(nodes, key=lambda n: self.place[n])
            found.append(segment)
        return [segment for segment in found if segment.nodes]


def root(value: Value) -> Value:
    """What a chain of views shows."""
    while value.node.op.result == "view":
        value = value.node.inputs[0]
    return value


def _names(size: Size) -> frozenset[str]:
    return frozenset() if isinstance(size, int) else size.names


def _best_cuts(forward: _Forward) -> list[int]:
    """The cuts with which the least memory is held at any time; none where none help."""
    saved = [0] * len(forward.order)
    for value in forward.saved:
        saved[forward.place[value.node]] += forward.bytes[value]
    before = [0, *itertools.accumulate(saved)]
    for share in range(1, _LIMITS):
        cuts = _cuts_within(forward, before, before[-1] * share // _LIMITS)
        if cuts:
            return cuts
    return []


def _cuts_within(forward: _Forward, before: Sequence[int], limit: int) -> list[int]:
    """Cuts for which a limit of memory is enough; none where it is not.

    While a segment is on its way back there is what crosses its end and all cuts before, and what
    its derivatives read beside. `before` counts the bytes that these read of all before a place.
    Each segment is the one that saves most, of those within the limit.
    """
    cuts: list[int] = []
    kept: set[Value] = set()
    start, held = 0, 0
    while held + before[-1] - before[start] > limit:
        best, chosen = (0, 0), 0
        for cut in range(start + 1, len(forward.order)):
            if cut in forward.closed:
                continue
            inside, added, beside = before[cut] - before[start], 0, 0
            for value in forward.crossing[cut] - kept:
                size = forward.bytes[value]
                added += size
                if value in forward.saved:
                    inside -= size
                else:
                    beside += size
            if inside > limit - held:
                break
            gain = (inside - beside, -added)
            if held + added + inside <= limit and gain > best:
                best, chosen = gain, cut
        if not chosen:
            return []
        kept |= forward.crossing[chosen]
        held = sum(forward.bytes[v] for v in kept)
        cuts.append(chosen)
        start = chosen
    return cuts
