"""Attention and its derivatives as instructions (native/README.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassgrad.ir import Node
from glassgrad.passes.layout import Ints, Lay, Sizes, count, stretched

from .kernels import PRODUCT_SHARED
from .program import Program
from .step import Step, about_nodes

if TYPE_CHECKING:
    from .planner import Block, Planner

_SLOPES = ("attention_dq", "attention_dk", "attention_dv")


def plan(block: Block, nodes: Sequence[Node]) -> None:
    """Attention, or its derivatives by some of queries, keys and values, as one kernel.

    A result lies in the order of what it is like, so that heads are rows without being moved.
    """
    node = nodes[0]
    made = {n.op.name: n.values[0] for n in nodes}
    back = "attention" not in made
    operands = [block.lay(v) for v in node.inputs]
    count_of_matrices = 4 if back else 3
    matrices, masks = operands[:count_of_matrices], operands[count_of_matrices:]
    q, k, v = matrices[-3:]
    batch = block.sizes.of(node.types[0].shape)[:-2]
    reads = [stretched(lay, (*batch, *lay.shape[-2:])) for lay in matrices]
    scores = (*batch, q.shape[-2], k.shape[-2])
    if masks:
        reads.append(stretched(_one_mask(block.planner, masks), scores))
    like = {"attention": q, "attention_dq": q, "attention_dk": k, "attention_dv": v}
    writes = [block.place(made[name], like[name]) for name in like if name in made]
    ints = [int(node.attributes["causal"]), int(bool(masks))]
    if back:
        ints.append(sum(1 << i for i, name in enumerate(_SLOPES) if name in made))
    work = 2 * count(scores) * (q.shape[-1] + v.shape[-1])
    kernel = "attention_back" if back else "attention"
    step = Step(kernel, reads, writes, ints, [math.sqrt(q.shape[-1])], work >= PRODUCT_SHARED)
    step.about = about_nodes([*nodes], block.within)
    block.planner.steps.append(step)


def _one_mask(planner: Planner, masks: Sequence[Lay]) -> Lay:
    """What all masks allow."""
    if len(masks) == 1:
        return masks[0]
    rank = max(len(m.shape) for m in masks)
    padded = [stretched(m, (1,) * (rank - len(m.shape)) + m.shape) for m in masks]
    shape: Ints = tuple([max(sizes) for sizes in zip(*[m.shape for m in padded], strict=True)])
    program = Program(planner.operations, Sizes())
    allowed, *others = [program.input(i) for i in range(len(masks))]
    for other in others:
        allowed = program.do("logical_and", "bool", allowed, other)
    found = planner.fresh(shape, "bool")
    planner.map(program, [stretched(m, shape) for m in padded], [allowed], [found], "masks")
    return found
