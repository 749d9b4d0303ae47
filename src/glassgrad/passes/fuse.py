"""Nodes in groups: each group is one kernel, and what works number by number follows its operands.

A node that works number by number joins the group that makes an operand of it, where the group's
numbers have the same shape and all its other operands are there by then. It is computed earlier
than it was written, never later, so no order has to be checked. Sums take what is only summed
into themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from glassgrad.ir import INPUT, Graph, Node, Value
from glassgrad.ops import OPS, Tracer

from .layout import Ints, Sizes
from .rewrite import rewrite

ENABLED = True  # the off switch: every node is then a kernel of its own
_MOST_NODES = 48  # of a program: registers and code stay small
_MOST_INPUTS = 24


@dataclass(eq=False, slots=True)
class Group:
    """One kernel: a head, if there is one, and nodes that work number by number."""

    kind: str  # "map", or what the backend calls the head's kernel
    space: Ints
    head: Node | None = None
    nodes: list[Node] = field(default_factory=list)
    before: bool = False  # the nodes come before the head: a sum of products, say

    @property
    def everything(self) -> list[Node]:
        """Head and nodes."""
        head = [] if self.head is None else [self.head]
        return self.nodes + head if self.before else head + self.nodes


def looked_through(value: Value, is_view: Callable[[Node], bool]) -> Value:
    """The value that a chain of views shows."""
    while is_view(value.node):
        value = value.node.inputs[0]
    return value


class Fuser:
    """Groups for the nodes of one graph, or of one body."""

    def __init__(
        self,
        kind: Callable[[Node], str],
        takes_nodes: frozenset[str],
        sizes: Sizes,
        guarded: Iterable[Value] = (),
    ) -> None:
        self.kind = kind
        self.takes_nodes = takes_nodes  # kinds of heads that nodes may follow in one kernel
        self.sizes = sizes
        self.groups: list[Group] = []
        self.made_by: dict[Value, int] = {}  # number of the group; -1 is there from the start
        self.guard = -1
        self._guarded = tuple(guarded)
        self._cone: set[Node] = set()
        todo = [v.node for v in self._guarded]
        while todo:
            node = todo.pop()
            if node not in self._cone:
                self._cone.add(node)
                todo += [v.node for v in node.inputs]

    def run(self, order: Sequence[Node]) -> list[Group]:
        """The groups, in an order in which they can run."""
        for node in order:
            kind = self.kind(node)
            if self._guarded and self.guard < 0 and self._is_update(node):
                self._make_guard()
            if kind in ("input", "constant"):
                found = -1
            elif kind == "view":
                found = self.made_by[node.inputs[0]]
            elif kind == "map":
                found = self._joined(node)
            else:
                found = len(self.groups)
                shape = self.sizes.of(node.types[0].shape) if kind in self.takes_nodes else ()
                self.groups.append(Group(kind, shape, node))
            for value in node.values:
                self.made_by[value] = found
        if self._guarded and self.guard < 0:
            self._make_guard()
        return self.groups

    def _is_update(self, node: Node) -> bool:
        return node.origin.phase == "update" and node not in self._cone and node.op is not INPUT

    def _make_guard(self) -> None:
        if all(v in self.made_by for v in self._guarded):
            self.guard = len(self.groups)
            self.groups.append(Group("guard", ()))

    def _joined(self, node: Node) -> int:
        space = self.sizes.of(node.types[0].shape)
        ready = max((self.made_by[v] for v in node.inputs), default=-1)
        low = max(ready, 0, self.guard + 1 if node.origin.phase == "update" else 0)
        if ENABLED:
            for number in range(low, len(self.groups)):
                group = self.groups[number]
                if self._fits(group, number, node, space) and (
                    number == ready or self._shares(group, node)
                ):
                    group.nodes.append(node)
                    return number
        self.groups.append(Group("map", space, None, [node]))
        return len(self.groups) - 1

    def _fits(self, group: Group, number: int, node: Node, space: Ints) -> bool:
        if group.space != space or not (group.kind == "map" or group.kind in self.takes_nodes):
            return False
        if len(group.nodes) >= _MOST_NODES:
            return False
        own = {v for n in group.everything for v in n.values}
        if any(self.made_by[v] == number and v not in own for v in node.inputs):
            return False  # it would need a finished value, moved or stretched
        inputs = {v for n in [*group.nodes, node] for v in n.inputs} - own
        return len(inputs) <= _MOST_INPUTS

    def _shares(self, group: Group, node: Node) -> bool:
        """Whether a group reads or makes something that the node reads."""
        if not space_matters(group.space):
            return True
        known = {v for n in group.everything for v in (*n.inputs, *n.values)}
        return any(v in known for v in node.inputs if self.kind(v.node) != "constant")


def space_matters(space: Ints) -> bool:
    """Whether there is more than one number to work on."""
    return any(size != 1 for size in space)


def fold_into_sums(groups: list[Group], needed: Callable[[Value], int], kind: str) -> list[Group]:
    """The groups with what is only summed computed inside the sum that reads it.

    `needed` counts the groups and outputs that read a value.
    """
    if not ENABLED:
        return groups
    maker = {v: g for g in groups if g.kind == "map" for n in g.nodes for v in n.values}
    for group in groups:
        if group.kind != kind or group.head is None:
            continue
        value = group.head.inputs[0]
        source = maker.get(value)
        if source is None or needed(value) != 1:
            continue
        if any(needed(v) for n in source.nodes for v in n.values if v is not value):
            continue
        group.nodes, group.before, group.space = source.nodes, True, source.space
        source.nodes = []
    return [g for g in groups if g.kind != "map" or g.nodes]


def reuse_relu(graph: Graph) -> Graph:
    """The graph with `z > 0` asked of max(z, 0), which says the same: z need not be kept."""
    if not ENABLED:
        return graph
    rectified: dict[Value, Value] = {}

    def visit(node: Node, inputs: tuple[Value, ...], tracer: Tracer) -> tuple[Value, ...] | None:
        if node.op is OPS["relu"]:
            made = tracer.node(node.op, inputs, node.attributes)
            rectified.setdefault(inputs[0], made[0])
            return made
        if node.op is OPS["greater"] and inputs[0] in rectified:
            other = inputs[1].node
            if other.op is OPS["constant"] and other.attributes["value"] == 0:
                return tracer.node(node.op, (rectified[inputs[0]], inputs[1]), node.attributes)
        return None

    return rewrite(graph, visit, reuse_relu)
