"""A lowered graph as a plan: kernels in order, each with the places it reads and writes.

Sizes are known here. What only shows numbers becomes strides; what is made for a place of its own
(a piece of the vector of gradients, the next weights, a step of a stack) is written there at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from glassgrad.errors import InternalError
from glassgrad.ir import INPUT, Graph, Node, Value
from glassgrad.passes import image_order
from glassgrad.passes.formulas import Formula
from glassgrad.passes.fuse import Fuser, Group, fold_into_sums
from glassgrad.passes.layout import (
    SIZE_OF,
    Ints,
    Lay,
    Memory,
    Sizes,
    count,
    in_memory,
    in_order,
    permuted,
    reshaped,
    row_major,
    sliced,
    stretched,
    view,
)
from glassgrad.passes.rewrite import scheduled

from . import attention, images, kernels
from .cells import ATTENTION, REDUCTIONS, is_view, kind
from .loops import Loop, asked_of
from .program import Program
from .step import Step, about_nodes
from .windows import Windows

_TAKES_NODES = frozenset({"matmul", "conv"})
_MOST_OUTPUTS = 8  # of one program


class Planner:
    """Writes the steps of a graph."""

    def __init__(self, operations: Mapping[str, int], reductions: Mapping[str, int]) -> None:
        self.operations = operations
        self.reductions = reductions
        self.steps: list[Step] = []
        self.pieces: list[Memory] = []
        self.loops = 0

    def memory(self, size: int) -> Memory:
        """A new piece of the arena."""
        self.pieces.append(Memory(max(size, 1)))
        return self.pieces[-1]

    def fresh(self, shape: Ints, dtype: str, strides: Ints | None = None) -> Lay:
        """A new place for numbers that lie end to end, in row-major order unless strides are given."""
        memory = self.memory(count(shape) * SIZE_OF[dtype])
        return Lay(memory, dtype, shape, row_major(shape) if strides is None else strides)

    def copy(self, source: Lay, target: Lay, about: str = "copy") -> None:
        """Numbers moved, in another dtype if the places differ in it."""
        program = Program(self.operations, Sizes())
        value = program.input(0)
        if source.dtype != target.dtype:
            value = program.do("cast", source.dtype, value, to=target.dtype)
        self.map(program, [stretched(source, target.shape)], [value], [target], about)

    def fill(self, value: Any, target: Lay, sizes: Sizes) -> None:
        """One number everywhere."""
        program = Program(self.operations, sizes)
        self.map(program, [], [program.constant(value, target.dtype)], [target], "fill")

    def map(
        self,
        program: Program,
        reads: list[Lay],
        results: list[tuple[str, int]],
        writes: list[Lay],
        about: str,
    ) -> None:
        """A program over the shape of what it writes."""
        shape = writes[0].shape or (1,)
        reads = [stretched(lay, shape) for lay in reads]
        writes = [stretched(lay, shape) for lay in writes]
        ints = [len(shape), *shape, *program.encoded(results)]
        work = count(shape) * (program.length + 1)
        self.steps.append(
            Step("map", reads, writes, ints, split=work >= kernels.MAP_SHARED, about=about)
        )

    def reduce(
        self,
        name: str,
        program: Program,
        result: tuple[str, int],
        shape: Ints,
        axes: Ints,
        out: Lay,
        divisor: float,
        about: str,
    ) -> None:
        """A program's numbers summed, or the like, over some axes; `out` has size 1 there."""
        reads = [stretched(lay, shape) for lay in program.inputs]
        order = in_memory([*reads, out])
        reads, (out,) = [permuted(v, order) for v in reads], [permuted(out, order)]
        axes = tuple(sorted(order.index(i) for i in axes))
        space = reads[0].shape if reads else shape
        code = [self.reductions[name], len(space), *space, len(axes), *axes]
        split = count(shape) * (program.length + 1) >= kernels.MAP_SHARED
        ints = [*code, *program.encoded([result])]
        self.steps.append(Step("reduce", reads, [out], ints, [divisor], split, about))


@dataclass(slots=True)
class _Uses:
    """Who reads a value: numbers of groups, and whether it leaves the block."""

    groups: set[int] = field(default_factory=set)
    leaves: bool = False

    @property
    def count(self) -> int:
        return len(self.groups) + self.leaves


class Block:
    """One graph, or one body of a loop, being planned."""

    def __init__(
        self,
        planner: Planner,
        sizes: Sizes,
        lays: dict[Value, Lay],
        loop: int = -1,
        within: str = "",  # the layer whose loop this is
    ) -> None:
        self.planner = planner
        self.sizes = sizes
        self.lays = lays  # where values lie
        self.targets: dict[Value, Lay] = {}  # where values are to be made
        self.loop = loop
        self.within = within
        self.asked: dict[Value, set[int]] = {}  # of each loop, what its readers want
        self._loops: dict[Value, Loop] = {}
        self._images: frozenset[Value] = frozenset()
        self._innermost: str | None = None  # axis of images
        self._windows = Windows(self)
        self._uses: dict[Value, _Uses] = {}
        self._maker: dict[Value, Group] = {}
        self._number: dict[Group, int] = {}

    def inside(self, body: Graph, lays: dict[Value, Lay], loop: int, layer: str) -> Block:
        """The body of a layer's loop, to be planned."""
        block = Block(self.planner, self.sizes, lays, loop, layer)
        block.asked = asked_of(body.nodes())
        return block

    # -- the walk ------------------------------------------------------------------------------

    def plan(
        self,
        graph: Graph,
        wanted: Mapping[Value, list[Lay]],
        states: Mapping[str, str] | None = None,
    ) -> None:
        """All steps. `wanted` says where values must be in the end; states come after the guard."""
        order = scheduled(graph) if states is not None else graph.nodes()
        guarded = [graph.outputs[name] for name in graph.guard]
        self._innermost = image_order.innermost(order, self.sizes)
        if self._innermost is not None:
            self._images = image_order.images(order, kind)
        fuser = Fuser(kind, _TAKES_NODES, self.sizes, guarded, wanted)
        groups = fuser.run(order)
        leaving = [*wanted, *guarded]
        self._note_uses(groups, fuser, leaving, guarded)
        groups = fold_into_sums(groups, lambda v: self._uses_of(v).count, "reduce")
        self._number = {g: i for i, g in enumerate(groups)}
        self._maker = {v: g for g in groups for n in g.everything for v in n.values}
        self._note_uses(groups, fuser, leaving, guarded)
        late = self._aim(order, wanted, graph, states or {}, groups)
        self._windows.look(order, [g.formula for g in groups if g.formula is not None])
        for group in groups:
            if group.kind == "guard":
                lays = [self.lay(v) for v in guarded]
                split = sum(lay.size for lay in lays) >= kernels.MAP_SHARED
                guard_step = Step("guard", lays, [], [], split=split, about="all finite")
                self.planner.steps.append(guard_step)
            else:
                self._emit(group)
        # What is itself a state is read before any is overwritten.
        found = [(self._apart(self.lay(value)), lay) for value, lay in late]
        for source, lay in found:
            self.planner.copy(source, lay)

    def _apart(self, lay: Lay) -> Lay:
        if lay.memory.whole()[0].base == 0:
            return lay
        moved = self.planner.fresh(lay.shape, lay.dtype)
        self.planner.copy(lay, moved)
        return moved

    def _note_uses(
        self, groups: list[Group], fuser: Fuser, leaving: Iterable[Value], guarded: list[Value]
    ) -> None:
        self._uses = {}
        for number, group in enumerate(groups):
            own = {v for n in group.everything for v in n.values}
            for node in group.everything:
                for v in node.inputs:
                    shown = self._root(v)
                    if v not in own or v.node.op is INPUT:
                        self._uses_of(shown).groups.add(number)
        for v in leaving:
            self._uses_of(self._root(v)).leaves = True

    def _uses_of(self, value: Value) -> _Uses:
        return self._uses.setdefault(value, _Uses())

    def _root(self, value: Value) -> Value:
        while is_view(value.node):
            value = value.node.inputs[0]
        return value

    # -- where values are made -----------------------------------------------------------------

    def _aim(
        self,
        order: list[Node],
        wanted: Mapping[Value, list[Lay]],
        graph: Graph,
        states: Mapping[str, str],
        groups: list[Group],
    ) -> list[tuple[Value, Lay]]:
        """Aim values at the places they must end in; what cannot be aimed is copied at the end."""
        late: list[tuple[Value, Lay]] = []
        guard = next((i for i, g in enumerate(groups) if g.kind == "guard"), -1)
        state_places = {graph.outputs[out]: graph.inputs[name] for name, out in states.items()}
        for value, lays in wanted.items():
            for lay in lays:
                source = state_places.get(value)
                safe = source is None or self._safe(value, source, lay, guard, groups)
                if not (safe and self._aimed(value, lay)):
                    late.append((value, lay))
        for node in reversed(order):
            if kind(node) == "concatenate" and node.values[0] in self._maker:
                self._aim_pieces(node)
        return late

    def _aimed(self, value: Value, lay: Lay) -> bool:
        """Whether a value will be made there: a kernel makes it, whole, and for nothing else."""
        while value.node.op.name == "reshape" and value not in self._maker:
            inner = value.node.inputs[0]
            shape = self.sizes.of(inner.type.shape)
            back = reshaped(lay, shape)
            if back is None:
                return False
            value, lay = inner, back
        if value not in self._maker or value in self.targets or is_view(value.node):
            return False
        if kind(value.node) == "scan" or lay.dtype != value.type.dtype:
            return False
        self.targets[value] = lay
        return True

    def _safe(self, value: Value, source: Value, lay: Lay, guard: int, groups: list[Group]) -> bool:
        """Whether the next value of a state can be written over the last one.

        It is made after the guard, nothing later reads the last one, and the kernel that makes it
        reads each number where it writes it.
        """
        if is_view(value.node) or value not in self._maker:
            return False
        makers = [self._maker[value]]
        if makers[0].kind == "concatenate":
            return False
        here = self._number[makers[0]]
        uses = self._uses_of(source)
        readers = uses.groups
        if here <= guard or uses.leaves or any(r > here for r in readers):
            return False
        group = makers[0]
        if group.kind != "map":
            return here not in readers
        own = {v for n in group.nodes for v in n.values}
        for v in {v for n in group.nodes for v in n.inputs} - own:
            if self._root(v) is source and self.lay(v) != lay:
                return False
        return True

    def _aim_pieces(self, node: Node) -> None:
        """What is put end to end is made in its place."""
        value = node.values[0]
        if value not in self.targets:
            self.targets[value] = self._fresh(value)
        for part, lay in self._pieces(node, self.targets[value]):
            self._aimed(part, lay)

    def _pieces(self, node: Node, whole: Lay) -> list[tuple[Value, Lay]]:
        axis = node.attributes["axis"]
        found = []
        begin = 0
        for part in node.inputs:
            shape = self.sizes.of(part.type.shape)
            spans = [(0, s, 1) for s in whole.shape]
            spans[axis] = (begin, begin + shape[axis], 1)
            begin += shape[axis]
            found.append((part, sliced(whole, spans)))
        return found

    def place(self, value: Value, like: Lay | None = None) -> Lay:
        """Where a value is made: where it must be, or a new place, its axes in the order of others."""
        lay = self.targets.get(value)
        if lay is None and like is not None and len(like.shape) == len(value.type.shape):
            shape = self.sizes.of(value.type.shape)
            strides = in_order(shape, in_memory([like]))
            lay = self.planner.fresh(shape, value.type.dtype, strides)
        elif lay is None:
            lay = self._fresh(value)
        self.lays[value] = lay
        return lay

    def _fresh(self, value: Value) -> Lay:
        """A new place for a value: images lie in the order that suits the graph."""
        shape, strides = self.sizes.of(value.type.shape), None
        if self._innermost is not None and value in self._images:
            strides = image_order.strides(shape, self._innermost)
        return self.planner.fresh(shape, value.type.dtype, strides)

    # -- where values are read -----------------------------------------------------------------

    def number(self, value: Value) -> Any:
        """The one number that a value shows everywhere, or None."""
        while value.node.op.name in ("broadcast_to", "reshape", "permute"):
            value = value.node.inputs[0]
        if value.node.op.name == "constant":
            return self.sizes.number(value.node.attributes["value"])
        return None

    def lay(self, value: Value) -> Lay:
        """Where a value lies; one that lies nowhere yet is written down now."""
        found = self.lays.get(value)
        if found is not None:
            return found
        node = value.node
        fixed = self.number(value)
        if fixed is not None:
            found = self.planner.fresh(self.sizes.of(value.type.shape), value.type.dtype)
            self.planner.fill(fixed, found, self.sizes)
        elif node.op.name in ("last", "stack"):
            found = self._loops[node.inputs[0]].read(node)
        elif is_view(node):
            inner = self.lay(node.inputs[0])
            found = view(node, inner, self.sizes)
            if found is None:
                moved = self.planner.fresh(inner.shape, inner.dtype)
                self.planner.copy(inner, moved, f"copy for {node.op.name}")
                found = view(node, moved, self.sizes)
        if found is None:
            raise InternalError("a value is read before it is made", where=repr(value))
        self.lays[value] = found
        return found

    def whole(self, lay: Lay) -> Lay:
        """Numbers as int64."""
        if lay.dtype == "int64":
            return lay
        found = self.planner.fresh(lay.shape, "int64")
        self.planner.copy(lay, found, "whole numbers")
        return found

    # -- kernels -------------------------------------------------------------------------------

    def _emit(self, group: Group) -> None:
        node = group.head
        if group.formula is not None and group.formula.kind == "attention_back":
            attention.plan(self, group.formula.nodes)
        elif group.formula is not None:
            self._emit_formula(group.formula, set(self._needed(group)))
        elif node is None or group.kind in ("reduce", "matmul"):
            self._emit_program(group)
        elif group.kind == "conv":
            images.plan(self, node, group.nodes, self._needed(group))
        elif group.kind == "conv_dw":
            images.plan_weights(self, node)
        elif group.kind == "scan":
            self._loops[node.values[0]] = Loop(self, node)
        elif group.kind in ATTENTION:
            attention.plan(self, [node])
        elif group.kind == "concatenate":
            self._emit_concatenate(node)
        elif group.kind == "pad":
            self._emit_pad(node)
        elif group.kind == "roll":
            self._emit_roll(node)
        elif group.kind == "windows":
            self._windows.emit(node, about_nodes([node], self.within))
        else:
            reads = [self.lay(v) for v in node.inputs]
            if group.kind == "uniform":  # seed and step are whole numbers
                reads = [self.whole(lay) for lay in reads]
            step = kernels.encoded(node, reads, [self.place(v) for v in node.values])
            step.about = about_nodes([node], self.within)
            self.planner.steps.append(step)

    def _needed(self, group: Group) -> list[Value]:
        """The values of a group that others read."""
        found = []
        number = self._number[group]
        for node in group.everything:
            for v in node.values:
                uses = self._uses.get(v)
                if (uses is not None and (uses.leaves or uses.groups - {number})) or (
                    uses is not None and v in self.targets
                ):
                    found.append(v)
        return found

    def _emit_program(self, group: Group) -> None:
        head, about = group.head, about_nodes(group.everything, self.within)
        if group.kind == "reduce" and head is not None:
            program, (result,) = self._program(group.nodes, [head.inputs[0]], None)
            self._emit_reduce(head, program, result, about)
            return
        needed = self._needed(group)
        # The next state is written last: it may lie where what the others read lies now.
        needed.sort(key=lambda v: v in self.targets and self.targets[v].memory.base > 0)
        product = head.values[0] if head is not None else None
        if head is not None and len(needed) > _MOST_OUTPUTS:
            self._emit_part(group.nodes, [head.values[0]], head, about)
            needed, head = [v for v in needed if v is not product], None
        self.numbers(group.nodes, needed, about, head)

    def numbers(
        self, nodes: list[Node], needed: list[Value], about: str, head: Node | None = None
    ) -> None:
        """What these nodes make of others, or of a product, number by number."""
        for i in range(0, len(needed), _MOST_OUTPUTS):
            self._emit_part(nodes, needed[i : i + _MOST_OUTPUTS], head, about)

    def _emit_part(
        self, nodes: list[Node], needed: list[Value], head: Node | None, about: str
    ) -> None:
        program, results = self._program(nodes, needed, head)
        writes = [self.place(v) for v in needed]
        if head is None:
            self.planner.map(program, program.inputs, results, writes, about)
        else:
            self._emit_product(head, program, results, writes, about)

    def _program(
        self, nodes: list[Node], needed: list[Value], head: Node | None
    ) -> tuple[Program, list[tuple[str, int]]]:
        """What computes these values, and which values of the program they are."""
        program = Program(self.planner.operations, self.sizes)
        known: dict[Value, tuple[str, int]] = {}

        def operand(value: Value) -> tuple[str, int]:
            if value in known:
                return known[value]
            fixed = self.number(value)
            if fixed is not None:
                return program.constant(fixed, value.type.dtype)
            return program.input(self.lay(value))

        if head is not None:
            found = program.input("product")
            if head.op.name == "linear":
                found = program.do("add", head.types[0].dtype, found, operand(head.inputs[2]))
            known[head.values[0]] = found
        wanted = set(needed)
        for node in reversed(nodes):
            if wanted & set(node.values):
                wanted.update(node.inputs)
        for node in nodes:
            if node.values[0] in wanted and node.values[0] not in known:
                known[node.values[0]] = program.node(node, operand)
        return program, [operand(v) for v in needed]

    def _emit_reduce(
        self, head: Node, program: Program, result: tuple[str, int], about: str
    ) -> None:
        shape = self.sizes.of(head.inputs[0].type.shape)
        axis = head.attributes["axis"]
        axes = tuple(range(len(shape))) if axis is None else axis
        target = self.place(head.values[0])
        kept = tuple([1 if i in axes else s for i, s in enumerate(shape)])
        out = reshaped(target, kept)
        if out is None:
            raise InternalError("a sum has no place to go to", where=about)
        number = count([shape[i] for i in axes])
        divisor = float(number) if head.op.name == "mean" else 1.0
        if not shape:
            out, axes = replace(out, shape=(1,), strides=(0,)), (0,)
        name = REDUCTIONS[head.op.name]
        self.planner.reduce(name, program, result, shape or (1,), axes, out, divisor, about)

    def _emit_product(
        self,
        head: Node,
        program: Program,
        results: list[tuple[str, int]],
        writes: list[Lay],
        about: str,
    ) -> None:
        a, b = (self.lay(v) for v in head.inputs[:2])
        shape = self.sizes.of(head.types[0].shape)
        others = [stretched(lay, shape) for lay in program.inputs if lay != "product"]
        if program.inputs[0] != "product":
            raise InternalError("value 0 of a product's program is the product", where=about)
        if len(b.shape) == 2 and len(shape) > 2:
            # One product over all rows, where the rows of all batches are one series of rows.
            flat = [kernels.as_rows(lay) for lay in (a, *others, *writes)]
            if all(lay is not None for lay in flat):
                found = [lay for lay in flat if lay is not None]
                a, others, writes = found[0], found[1 : 1 + len(others)], found[1 + len(others) :]
                shape = writes[0].shape
        batch = shape[:-2]
        a = stretched(a, (*batch, *a.shape[-2:]))
        b = stretched(b, (*batch, *b.shape[-2:]))
        ints = [len(batch), *program.encoded(results)]
        flop = 2 * count(shape) * a.shape[-1]
        split = flop >= kernels.PRODUCT_SHARED
        self.planner.steps.append(Step("matmul", [a, b, *others], writes, ints, [], split, about))

    def _emit_formula(self, formula: Formula, needed: set[Value]) -> None:
        if formula.kind == "max_unpool":
            if needed:
                self._windows.emit_gated(formula, about_nodes([*formula.nodes], self.within))
            return
        reads = {name: self.lay(v) for name, v in formula.reads.items()}
        like = reads.get("x", reads.get("d"))
        writes = {name: self.place(v, like) for name, v in formula.writes.items() if v in needed}
        if formula.kind == "cross_entropy":
            reads["target"] = self.whole(reads["target"])
        for step in kernels.formula_steps(formula, reads, writes, self.planner):
            step.about = about_nodes([*formula.nodes], self.within)
            self.planner.steps.append(step)

    def _emit_concatenate(self, node: Node) -> None:
        value = node.values[0]
        whole = self.place(value)
        for part, lay in self._pieces(node, whole):
            if not self._is_there(part, lay):
                self.planner.copy(self.lay(part), lay, "concatenate")

    def _is_there(self, part: Value, lay: Lay) -> bool:
        found = self.lays.get(part)
        if found is None and self.number(part) is not None:
            self.planner.fill(self.number(part), lay, self.sizes)
            return True
        found = self.lay(part)
        return found == lay

    def _emit_pad(self, node: Node) -> None:
        out = self.place(node.values[0])
        inner = self.lay(node.inputs[0])
        self.planner.fill(node.attributes["value"], out, self.sizes)
        spans = []
        for (before, _, between), size in zip(node.attributes["widths"], inner.shape, strict=True):
            start, step = self.sizes.number(before), between + 1
            spans.append((start, start + max(0, (size - 1) * step + 1), step))
        self.planner.copy(inner, sliced(out, spans), "pad")

    def _emit_roll(self, node: Node) -> None:
        out, x = self.place(node.values[0]), self.lay(node.inputs[0])
        axis, size = node.attributes["axis"], x.shape[node.attributes["axis"]]
        shift = self.sizes.number(node.attributes["shift"]) % size if size else 0
        for start, stop, to in ((0, size - shift, shift), (size - shift, size, 0)):
            if stop > start:
                spans = [(0, s, 1) for s in x.shape]
                source, target = [*spans], [*spans]
                source[axis], target[axis] = (start, stop, 1), (to, to + stop - start, 1)
                self.planner.copy(sliced(x, source), sliced(out, target), "roll")
