"""A scan as a loop of the plan: its steps, and where its readers find what it leaves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from glassgrad.ir import Graph, Node, Value
from glassgrad.ops.control import body_values
from glassgrad.passes.layout import SIZE_OF, Lay, sliced

from .step import Step, about_nodes

if TYPE_CHECKING:
    from .planner import Block, Planner

READY_FACTORS = True  # the off switch: factors are read where they lie
_ROUNDS = 4  # from which on a copy pays
_FACTOR_BYTES = 4096


class Loop:
    """A scan: its steps, and where its readers find what it leaves."""

    def __init__(self, block: Block, node: Node) -> None:
        self.block = block
        planner, sizes = block.planner, block.sizes
        a = node.attributes
        self.body: Graph = a["body"]
        self.length = sizes.number(a["length"])
        self.reverse = a["reverse"]
        self.number = planner.loops
        planner.loops += 1
        self.values = body_values(self.body)
        names = list(self.body.inputs)
        self.inputs = [self.body.inputs[n] for n in names]
        self.constants, self.carry = a["constants"], a["carry"]
        self.ends = list(self.body.outputs.values())[: self.carry]
        self.asked = self._asked(node)
        self.held: dict[int, Lay] = {}  # of a carry: all its values, one more than there are steps
        self.last: list[Lay] = []
        self.stacks: dict[Value, Lay] = {}
        self._write(node)

    def _asked(self, node: Node) -> list[Value]:
        wanted = self.block.asked.get(node.values[0], set())
        return [self.values[i] for i in sorted(wanted)]

    def _ready_factor(self, value: Value, lay: Lay) -> Lay:
        """The right factor of a product in every round, copied once to where its rows lie well.

        That is, end to end and then a gap: with a large power of two from row to row, they would
        all fall into a few lines of the cache.
        """
        bytes_ = SIZE_OF[lay.dtype]
        if (
            not READY_FACTORS
            or self.length < _ROUNDS
            or len(lay.shape) != 2
            or lay.size * bytes_ < _FACTOR_BYTES
        ):
            return lay
        for node in self.body.nodes():
            if node.op.name != "matmul":
                continue
            factor = node.inputs[1]
            turned = factor.node.op.name == "permute" and factor.node.inputs[0] is value
            if factor is not value and not turned:
                continue
            strides = lay.strides[::-1] if turned else lay.strides
            if strides[1] == 1 and strides[0] * bytes_ % 256:
                return lay
            rows, columns = lay.shape[::-1] if turned else lay.shape
            pitch = columns + 64 // bytes_
            memory = self.block.planner.memory(rows * pitch * bytes_)
            ready = replace(
                lay, memory=memory, offset=0, strides=(1, pitch) if turned else (pitch, 1)
            )
            self.block.planner.copy(lay, ready, "rows for the loop")
            return ready
        return lay

    def _moving(self, whole: Lay, begin: int, forward: bool) -> Lay:
        """One step's part of a stack, moving with the rounds."""
        stride = whole.strides[0]
        step = stride if forward else -stride
        return replace(
            whole,
            shape=whole.shape[1:],
            strides=whole.strides[1:],
            offset=whole.offset + begin * stride,
            loop=self.number,
            step=step * SIZE_OF[whole.dtype],
        )

    def _write(self, node: Node) -> None:
        block, planner, sizes = self.block, self.block.planner, self.block.sizes
        inner: dict[Value, Lay] = {}
        count_ = self.length
        first, forward = (count_ - 1, False) if self.reverse else (0, True)
        given = []
        for v in node.inputs:
            lay = block.lay(v)
            if lay.loop >= 0 and lay.loop != self.number:  # moves with a loop outside already
                fixed = planner.fresh(lay.shape, lay.dtype)
                planner.copy(lay, fixed)
                lay = fixed
            given.append(lay)
        carried = self.constants + self.carry
        wanted: dict[Value, list[Lay]] = {}
        copied: list[tuple[Value, Lay]] = []
        for i, (v, lay) in enumerate(zip(self.inputs, given, strict=True)):
            if i < self.constants:
                inner[v] = self._ready_factor(v, lay)
            elif i >= carried:
                inner[v] = self._moving(lay, first if count_ else 0, forward)
                self.stacks[v] = lay
        for i in range(self.carry):
            begin, end = self.inputs[self.constants + i], self.ends[i]
            shape, dtype = sizes.of(begin.type.shape), begin.type.dtype
            start = given[self.constants + i]
            if begin in self.asked or end in self.asked:
                whole = planner.fresh((count_ + 1, *shape), dtype)
                at = count_ if self.reverse else 0
                planner.copy(start, _one(whole, at), "first state")
                inner[begin] = self._moving(whole, at, forward)
                wanted.setdefault(end, []).append(
                    self._moving(whole, at - 1 if self.reverse else 1, forward)
                )
                earlier, later = _part(whole, 0, count_), _part(whole, 1, count_ + 1)
                self.stacks.setdefault(begin, later if self.reverse else earlier)
                self.stacks.setdefault(end, earlier if self.reverse else later)
                self.last.append(_one(whole, 0 if self.reverse else count_))
            else:
                state = planner.fresh(shape, dtype)
                planner.copy(start, state, "first state")
                inner[begin] = state
                copied.append((end, state))
                self.last.append(state)
        for v in self.asked:
            if v not in self.stacks:
                if v in inner:  # a constant of the loop, the same in every step
                    lay = inner[v]
                    self.stacks[v] = replace(
                        lay, shape=(count_, *lay.shape), strides=(0, *lay.strides)
                    )
                    continue
                whole = planner.fresh((count_, *sizes.of(v.type.shape)), v.type.dtype)
                self.stacks[v] = whole
                wanted.setdefault(v, []).append(self._moving(whole, first, forward))
        loop = Step("loop", [], [], [self.number, count_, 0, 0], about=about_nodes([node]))
        planner.steps.append(loop)
        at = len(planner.steps)
        body = block.inside(self.body, inner, self.number, node.origin.scope or block.within)
        # The next state goes to its place only when nothing reads the last one any more.
        kept: dict[Value, list[Lay]] = {end: [] for end, _ in copied}
        body.plan(self.body, {**kept, **wanted})
        states = [(body.lay(end), state) for end, state in copied]
        if len(states) > 1:
            states = [(self._apart(lay, states, planner), state) for lay, state in states]
        for lay, state in states:
            planner.copy(lay, state, "next state")
        loop.body = len(planner.steps) - at
        loop.ints[3] = loop.body

    @staticmethod
    def _apart(lay: Lay, states: list[tuple[Lay, Lay]], planner: Planner) -> Lay:
        """A next state that is itself a state, moved out of the way of the copies."""
        if all(lay.memory is not state.memory for _, state in states):
            return lay
        moved = planner.fresh(lay.shape, lay.dtype)
        planner.copy(lay, moved)
        return moved

    def read(self, node: Node) -> Lay:
        """Where a reader finds what it asks for."""
        if node.op.name == "last":
            which: int = node.attributes["which"]
            return self.last[which]
        return self.stacks[self.values[node.attributes["value"]]]


def asked_of(nodes: Iterable[Node]) -> dict[Value, set[int]]:
    """What readers want of each loop: positions among the values of its body."""
    found: dict[Value, set[int]] = {}
    for node in nodes:
        if node.op.name == "stack":
            found.setdefault(node.inputs[0], set()).add(node.attributes["value"])
    return found


def _part(lay: Lay, start: int, stop: int) -> Lay:
    return sliced(lay, [(start, stop, 1), *[(0, s, 1) for s in lay.shape[1:]]])


def _one(lay: Lay, at: int) -> Lay:
    return replace(
        lay,
        shape=lay.shape[1:],
        strides=lay.strides[1:],
        offset=lay.offset + at * lay.strides[0],
    )
