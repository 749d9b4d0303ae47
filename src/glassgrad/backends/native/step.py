"""One instruction of a plan, before places are numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

from glassgrad.ir import Node
from glassgrad.passes.layout import Lay


@dataclass(eq=False, slots=True)
class Step:
    """A kernel, what it reads and writes, and its settings as native/README.md has them."""

    kernel: str
    reads: list[Lay]
    writes: list[Lay]
    ints: list[int]
    reals: list[float] = field(default_factory=list)
    split: bool = False
    about: str = ""  # the layer and the ops, for people
    body: int = 0  # of a loop: how many of the following steps it repeats


def about_nodes(nodes: list[Node], within: str = "") -> str:
    """The layer and the ops of a kernel, for people; `within` is the layer whose loop it is in."""
    scopes = dict.fromkeys(n.origin.scope or within for n in nodes if n.origin.scope or within)
    phase = nodes[0].origin.phase
    where = ", ".join([*scopes][:2])
    return f"{where or '-'}, {phase}: {' '.join(n.op.name for n in nodes)}"
