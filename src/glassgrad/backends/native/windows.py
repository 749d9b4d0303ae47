"""Windows over images: pooling, its derivatives, columns.

Max pooling notes where in each window the first largest number is, if something asks later. What
asks then reads one byte for each window and needs neither the images nor what was made of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from glassgrad.ir import Node, Value
from glassgrad.passes.formulas import Formula
from glassgrad.passes.layout import Lay, count, reshaped, row_major, strides_like, windowed

from .kernels import NUMBERS_SHARED
from .step import Step

if TYPE_CHECKING:
    from .planner import Block

NOTED = True  # the off switch: places are looked for where they are asked for
_MOST_IN_A_BYTE = 255


class Windows:
    """The windows of one block: which places are asked for, and where they lie."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self._asked: set[Value] = set()  # the results of max pooling whose places are read later
        self._positive: set[Value] = set()  # and of these, only where they are above 0
        self._noted: dict[Value, Lay] = {}

    def look(self, order: list[Node], formulas: list[Formula]) -> None:
        """Find out before anything is planned what will be asked."""
        for node in order:
            if node.op.name in ("max_unpool", "max_pick") and noted_by(node) is not None and NOTED:
                self._asked.add(node.inputs[2])
        for formula in formulas:
            if formula.kind == "max_unpool":
                self._positive.add(formula.reads["y"])

    def emit(self, node: Node, about: str) -> None:
        """The steps of a node."""
        name = node.op.name
        if name == "columns":
            self._columns(node)
            return
        block = self.block
        value = node.values[0]
        if name == "max_pool":
            reads = [block.lay(node.inputs[0])]
            writes = [block.place(value)]
            if value in self._asked:
                self._noted[value] = self._fresh_places(node, writes[0])
                writes.append(self._noted[value])
            choice = self._choosing(node, value) if value in self._asked else [*numbers(node), 0]
            self._step(name, reads, writes, choice, about)
        elif name in ("max_unpool", "max_pick"):
            places = self._places(node, about)
            reads = [block.lay(node.inputs[0]), places]
            self._step(name, reads, [block.place(value)], numbers(node), about)
        else:
            reads = [block.lay(node.inputs[0])]
            self._step(name, reads, [block.place(value)], numbers(node), about)

    def emit_gated(self, formula: Formula, about: str) -> None:
        """What goes back through max pooling to where the images are above 0.

        A window's largest number is, or no number of it is: so its place says it.
        """
        block, head = self.block, formula.nodes[0]
        target = block.place(formula.writes["dx"])
        reads = [block.lay(formula.reads["d"]), self._places(head, about)]
        self._step("max_unpool", reads, [target], numbers(head), about)

    def _places(self, node: Node, about: str) -> Lay:
        _, x, y = node.inputs
        if y in self._noted and noted_by(node) is not None:
            return self._noted[y]
        reads = [self.block.lay(x), self.block.lay(y)]
        found = self._fresh_places(node, reads[1])
        self._step("max_place", reads, [found], self._choosing(node, y), about)
        return found

    def _choosing(self, node: Node, y: Value) -> list[int]:
        return [*numbers(node), int(y in self._positive)]

    def _fresh_places(self, node: Node, y: Lay) -> Lay:
        """Room for a place of each window, in the order of what lies beside it."""
        wide = count(node.attributes["kernel"]) > _MOST_IN_A_BYTE
        fresh = self.block.planner.fresh(y.shape, "uint32" if wide else "uint8")
        return replace(fresh, strides=strides_like(y))

    def _columns(self, node: Node) -> None:
        """A copy: what several windows have is read several times."""
        block, a = self.block, node.attributes
        source = windowed(block.lay(node.inputs[0]), a["kernel"], a["stride"], a["dilation"])
        place = block.place(node.values[0])
        target = reshaped(place, source.shape)
        if target is not None:
            block.planner.copy(source, target, "columns")
            return
        fresh = block.planner.fresh(source.shape, source.dtype)
        block.planner.copy(source, fresh, "columns")
        whole = replace(fresh, shape=place.shape, strides=row_major(place.shape))
        block.planner.copy(whole, place, "columns")

    def _step(
        self, kernel: str, reads: list[Lay], writes: list[Lay], ints: list[int], about: str
    ) -> None:
        split = max(lay.size for lay in (*reads, *writes)) >= NUMBERS_SHARED
        self.block.planner.steps.append(Step(kernel, reads, writes, ints, [], split, about))


def noted_by(node: Node) -> Node | None:
    """The max pooling that makes what is undone here, if it is of the same images and windows."""
    _, x, y = node.inputs
    pool = y.node
    fits = pool.op.name == "max_pool" and pool.inputs[0] is x
    return pool if fits and pool.attributes == node.attributes else None


def spared(order: list[Node], formulas: list[Formula]) -> frozenset[tuple[Node, Value]]:
    """Nodes with the operands that they never read, because pooling notes places instead."""
    found: set[tuple[Node, Value]] = set()
    for node in order:
        if node.op.name in ("max_unpool", "max_pick") and NOTED and noted_by(node) is not None:
            found |= {(node, v) for v in node.inputs[1:]}
    for formula in formulas:
        if formula.kind == "max_unpool" and (formula.nodes[0], formula.reads["y"]) in found:
            images = formula.nodes[0].inputs[1]
            found |= {(node, images) for node in formula.nodes}
    return frozenset(found)


def numbers(node: Node) -> list[int]:
    """The whole numbers of its windows."""
    a = node.attributes
    return [len(a["kernel"]), *a["kernel"], *a["stride"], *a.get("dilation", ())]
