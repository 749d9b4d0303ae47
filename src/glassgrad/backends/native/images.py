"""Convolutions as instructions (native/README.md): what follows one in registers, and sums in chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from glassgrad.ir import Node, Value
from glassgrad.passes.layout import SIZE_OF, Ints, Lay, Memory, Sizes, count, reshaped, row_major

from .program import Program
from .step import Step, about_nodes

if TYPE_CHECKING:
    from .planner import Block

CHUNKS = 8  # of the images, each summed by itself; fixed, so that threads change no bit
_PARTIAL_BYTES = 8 << 20  # that all chunks together may take
_BLOCK = 16  # samples at once


@dataclass(slots=True)
class Tail:
    """What is done to a convolution's numbers before they are stored."""

    value: Value  # the result
    bias: Value | None = None
    relu: bool = False
    gate: Value | None = None
    nodes: int = 0  # how many of the nodes that follow are part of it


def _tail_of(head: Node, nodes: Sequence[Node], needed: Sequence[Value], sizes: Sizes) -> Tail:
    """As much of what follows as can be done at once: a bias, relu, relu's derivative."""
    tail = Tail(head.values[0])
    shape = sizes.of(head.types[0].shape)
    for done in range(len(nodes)):
        here = tail.value
        if here in needed or tail.gate is not None:
            break
        node = nodes[done]
        name = node.op.name
        if name == "greater":  # of the gate: the product comes next
            continue
        others = [v for v in node.inputs if v is not here]
        if len(others) != len(node.inputs) - 1 or any(here in n.inputs for n in nodes[done + 1 :]):
            break
        if name == "add" and done == 0 and _is_bias(others[0], shape, sizes):
            tail.bias = others[0]
        elif name == "relu" and not tail.relu:
            tail.relu = True
        elif name == "multiply" and not tail.relu and _gate(others[0], shape, sizes) is not None:
            greater = others[0].node
            if others[0] in needed or any(others[0] in n.inputs for n in nodes[done + 1 :]):
                break
            tail.gate = greater.inputs[0]
        else:
            break
        tail.value, tail.nodes = node.values[0], done + 1
    return tail


def _is_bias(value: Value, shape: Ints, sizes: Sizes) -> bool:
    own = sizes.of(value.type.shape)
    return len(own) == len(shape) - 1 and own[0] == shape[1] and count(own) == shape[1]


def _gate(value: Value, shape: Ints, sizes: Sizes) -> Value | None:
    """x, where the value is x > 0."""
    node = value.node
    if node.op.name != "greater" or sizes.of(node.inputs[0].type.shape) != shape:
        return None
    other = node.inputs[1].node
    zero = other.op.name == "constant" and other.attributes["value"] == 0
    return node.inputs[0] if zero else None


def plan(block: Block, head: Node, nodes: list[Node], needed: list[Value]) -> None:
    """A convolution with what it does to its result before that is written, then the rest."""
    tail = _tail_of(head, nodes, needed, block.sizes)
    reads = [block.lay(v) for v in head.inputs]
    if tail.bias is not None:
        reads.append(_bias_lay(block.lay(tail.bias)))
    if tail.gate is not None:
        reads.append(block.lay(tail.gate))
    settings = (tail.bias is not None, tail.relu, tail.gate is not None)
    ints = _encoded(head, bias=settings[0], relu=settings[1], gate=settings[2])
    step = Step(head.op.name, reads, [block.place(tail.value)], ints, split=True)
    step.about = about_nodes([head, *nodes[: tail.nodes]], block.within)
    block.planner.steps.append(step)
    rest, left = nodes[tail.nodes :], [v for v in needed if v is not tail.value]
    if left:
        block.numbers(rest, left, about_nodes(rest, block.within))


def plan_weights(block: Block, node: Node) -> None:
    """The derivative of a convolution by its weights: sums of chunks of the images, then their sum."""
    d, x = (block.lay(v) for v in node.inputs)
    target, planner = block.place(node.values[0]), block.planner
    partial = _partial_sums(node, d, target)
    about = about_nodes([node], block.within)
    writes = _as_one_chunk(target) if partial is None else partial
    planner.steps.append(Step("conv_dw", [d, x], [writes], _encoded(node), split=True, about=about))
    if partial is None:
        return
    planner.pieces.append(partial.memory)
    program = Program(planner.operations, block.sizes)
    result, out = program.input(partial), _as_one_chunk(target)
    planner.reduce("sum", program, result, partial.shape, (0,), out, 1.0, about)


def _encoded(
    node: Node, *, bias: bool = False, relu: bool = False, gate: bool = False
) -> list[int]:
    """The whole numbers of a convolution."""
    a = node.attributes
    settings = [*a["stride"], *a["padding"], *a["dilation"]]
    return [len(a["stride"]), *settings, a["groups"], bias, relu, gate]


def _bias_lay(lay: Lay) -> Lay:
    """(channels, 1, ...) as one axis."""
    return replace(lay, shape=lay.shape[:1], strides=lay.strides[:1])


def _neighbours(lay: Lay, axis: int) -> bool:
    return lay.strides[axis] == 1 and lay.shape[axis] > 1


def _partial_sums(node: Node, d: Lay, target: Lay) -> Lay | None:
    """Where sums of chunks of the images go: (chunks, out, in, *window). None: to the target itself.

    They lie as native/prepare/conv.cpp wants them: channels of the derivative innermost if its own
    are, otherwise in the order of the kernels.
    """
    shape, n = target.shape, d.shape[0]
    batch = _neighbours(d, 0)
    row = not batch and not _neighbours(d, 1) and _neighbours(d, -1)
    row = row and node.attributes["stride"][-1] == 1
    size = count(shape) * SIZE_OF[d.dtype]
    blocks = -(-n // _BLOCK) if batch else n
    chunks = max(1, min(blocks, CHUNKS, _PARTIAL_BYTES // max(size, 1)))
    if (batch or row) and chunks == 1:
        return None
    memory = Memory(chunks * max(size, 1))
    if batch or row:
        return Lay(memory, d.dtype, (chunks, *shape), row_major((chunks, *shape)))
    out, *inner = shape
    order = row_major((chunks, *inner[1:], inner[0], out))
    strides = (order[0], order[-1], order[-2], *order[1:-2])
    return Lay(memory, d.dtype, (chunks, *shape), strides)


def _as_one_chunk(target: Lay) -> Lay:
    """The target as the sums of a single chunk."""
    found = reshaped(target, (1, *target.shape))
    assert found is not None  # an axis of size 1 never moves anything
    return found
