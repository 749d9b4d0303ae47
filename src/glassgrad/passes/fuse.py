"""Nodes in groups: each group is one kernel, and what works number by number follows its operands.

A node that works number by number joins the group that makes an operand of it, where the group's
numbers have the same shape and all its other operands are there by then. It is computed earlier
than it was written, never later, so no order has to be checked. Sums take what is only summed
into themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from glassgrad.ir import Graph, Node, Value
from glassgrad.ops import OPS, Tracer

from .formulas import Formula, formulas, is_forward
from .layout import Ints, Sizes
from .rewrite import rewrite

ENABLED = True  # the off switch: every node is then a kernel of its own
_MOST_NODES = 48  # of a program: registers and code stay small
_MOST_INPUTS = 24
CHEAP = frozenset(
    """add subtract multiply divide negative maximum minimum less less_equal greater greater_equal
    equal not_equal select cast absolute sign logical_and logical_or logical_not""".split()
)


@dataclass(eq=False, slots=True)
class Group:
    """One kernel: a head, if there is one, and nodes that work number by number."""

    kind: str  # "map", or what the backend calls the head's kernel
    space: Ints
    head: Node | None = None
    nodes: list[Node] = field(default_factory=list)
    before: bool = False  # the nodes come before the head: a sum of products, say
    formula: Formula | None = None  # that it is, with a kernel of its own

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
        leaving: Iterable[Value] = (),
    ) -> None:
        self.kind = kind
        self.takes_nodes = takes_nodes  # kinds of heads that nodes may follow in one kernel
        self.sizes = sizes
        self.groups: list[Group] = []
        self.made_by: dict[Value, int] = {}  # number of the group; -1 is there from the start
        self.guard = -1
        self._waiting: set[Value] = set()  # cheap to make: made where it is read
        self._leaving = tuple(leaving)
        self._guarded = tuple(guarded)
        self._formulas: dict[Node, Formula] = {}
        self._cone: set[Node] = set()
        self._again = False  # whether the last node was done again
        self._floor = 0  # the first group since then that a node of the way back may join
        todo = [v.node for v in self._guarded]
        while todo:
            node = todo.pop()
            if node not in self._cone:
                self._cone.add(node)
                todo += [v.node for v in node.inputs]

    def run(self, order: Sequence[Node]) -> list[Group]:
        """The groups, in an order in which they can run."""
        early, rest = self._hosts(order)
        self._formulas = formulas(order, (*self._leaving, *self._guarded))
        for node in [*early, *rest]:
            if self._guarded and self.guard < 0 and self._is_update(node):
                self._make_guard()
            self._visit(node)
        for value in (*self._leaving, *self._guarded):
            self._settle(value)
        if self._guarded and self.guard < 0:
            self._make_guard()
        return self.groups

    def _hosts(self, order: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        """Arithmetic with numbers of the host alone, which can come first; and the rest."""
        of_host: set[Node] = set()
        early: list[Node] = []
        rest: list[Node] = []
        for node in order:
            kind = self.kind(node)
            if (
                kind == "constant"
                or (kind == "input" and node.attributes.get("role") == "host")
                or (kind == "map" and all(v.node in of_host for v in node.inputs))
            ):
                of_host.add(node)
                early.append(node)
            else:
                rest.append(node)
        return early, rest

    def _visit(self, node: Node) -> None:
        kind = self.kind(node)
        if node.origin.again and not self._again:
            self._floor = len(self.groups)  # earlier, it would be kept meanwhile
        self._again = node.origin.again
        if node in self._formulas:
            self._visit_formula(self._formulas[node])
            return
        if kind in ("input", "constant"):
            found = -1
        elif kind == "map":
            if self._can_wait(node):
                self._waiting.add(node.values[0])
                return
            found = self._joined(node)
        else:
            for value in node.inputs:
                self._settle(value)
            if kind == "view":
                found = self.made_by[node.inputs[0]]
            else:
                found = len(self.groups)
                shape = self.sizes.of(node.types[0].shape) if kind in self.takes_nodes else ()
                self.groups.append(Group(kind, shape, node))
        for value in node.values:
            self.made_by[value] = found

    def _visit_formula(self, formula: Formula) -> None:
        if formula.nodes[0].values[0] in self.made_by:
            return  # with the first of its nodes
        for value in formula.reads.values():
            self._settle(value)
        self.made_by |= {v: len(self.groups) for n in formula.nodes for v in n.values}
        self.groups.append(Group(formula.kind, (), None, list(formula.nodes), formula=formula))

    def _can_wait(self, node: Node) -> bool:
        """Whether a node of the way back is quicker to do where it is read than to be kept.

        It reads only what the way forward keeps anyway.
        """
        return (
            ENABLED
            and node.origin.phase == "backward"
            and not node.origin.again
            and (node.op.name in CHEAP or is_square(node))
            and all(
                v in self._waiting
                or self.made_by[v] < 0
                or self._is_forward(self.groups[self.made_by[v]])
                for v in node.inputs
            )
        )

    @staticmethod
    def _is_forward(group: Group) -> bool:
        return bool(group.everything) and is_forward(group.everything[0])

    def _settle(self, value: Value) -> None:
        """Make a value that waits: somebody reads it as a whole."""
        if value in self._waiting:
            self._waiting.discard(value)
            self.made_by[value] = self._joined(value.node)

    def _is_update(self, node: Node) -> bool:
        return (
            node.origin.phase == "update"
            and node not in self._cone
            and self.kind(node) not in ("input", "constant")
        )

    def _make_guard(self) -> None:
        for value in self._guarded:
            self._settle(value)
        if all(v in self.made_by for v in self._guarded):
            self.guard = len(self.groups)
            self.groups.append(Group("guard", ()))

    def _joined(self, node: Node) -> int:
        """The number of the group that a node joins, with those it waited for."""
        space = self.sizes.of(node.types[0].shape)
        joining = self._with_waiting(node, space)
        outside = [v for n in joining for v in n.inputs if v not in self._waiting]
        ready = max((self.made_by[v] for v in outside if v.node not in joining), default=-1)
        late = node.origin.phase == "update" and space_matters(space)
        back = node.origin.phase == "backward"
        low = max(ready, 0, self.guard + 1 if late else 0, self._floor if back else 0)
        if ENABLED:
            for number in range(low, len(self.groups)):
                group = self.groups[number]
                if self._fits(group, number, joining, space) and (
                    group.kind == "map" or number == ready
                ):
                    group.nodes += [n for n in joining if n not in group.nodes]
                    return number
        self.groups.append(Group("map", space, None, joining))
        return len(self.groups) - 1

    def _with_waiting(self, node: Node, space: Ints) -> list[Node]:
        """The node after those that wait and are of its shape; others are made now."""
        found: list[Node] = []
        for value in node.inputs:
            if value not in self._waiting:
                continue
            if self.sizes.of(value.type.shape) == space:
                found += [n for n in self._with_waiting(value.node, space) if n not in found]
            else:
                self._settle(value)
        return [*found, node]

    def _fits(self, group: Group, number: int, joining: list[Node], space: Ints) -> bool:
        if group.space != space or not (group.kind == "map" or group.kind in self.takes_nodes):
            return False
        if len(group.nodes) + len(joining) > _MOST_NODES:
            return False
        own = {v for n in [*group.everything, *joining] for v in n.values}
        read = {v for n in [*group.nodes, *joining] for v in n.inputs} - own
        if any(self.made_by[v] == number for v in read):
            return False  # it would need a finished value, moved or stretched
        return len(read) <= _MOST_INPUTS


def is_square(node: Node) -> bool:
    """Whether it is x**2."""
    return node.op.name == "power" and node.inputs[1].node.attributes.get("value") == 2


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
