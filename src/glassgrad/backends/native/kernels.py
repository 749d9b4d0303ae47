"""Kernels that are not programs or products: how their instructions are written.

The whole numbers and reals of each are laid down in native/README.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from glassgrad.ir import Node
from glassgrad.passes.formulas import Formula
from glassgrad.passes.layout import Lay, Sizes, count, in_memory, permuted, reshaped, stretched

from .program import DTYPES, Program
from .step import Step

if TYPE_CHECKING:
    from .planner import Planner

# From so much work on an instruction is divided among threads: numbers times instructions, and flop.
MAP_SHARED = 16_384
PRODUCT_SHARED = 200_000
NUMBERS_SHARED = 8_192

_ALONG_AXIS = frozenset(
    "log_softmax softmax argmax argmin cumsum take_along_axis add_along_axis".split()
)


def encoded(node: Node, reads: list[Lay], writes: list[Lay]) -> Step:
    """The instruction of a node that is a kernel by itself: operands, then the result."""
    name, a = node.op.name, node.attributes
    ints: list[int] = []
    if name in _ALONG_AXIS:
        ints = [a["axis"]]
    elif name == "argsort":
        ints = [a["axis"], int(a["descending"])]
    elif name == "uniform":
        ints = [stream_number(a["stream"]), DTYPES[a["dtype"]]]
    numbers = max(count(lay.shape) for lay in (*reads, *writes))
    return Step(name, reads, writes, ints, split=numbers >= NUMBERS_SHARED)


def formula_steps(
    formula: Formula, reads: Mapping[str, Lay], writes: Mapping[str, Lay], planner: Planner
) -> list[Step]:
    """The instructions of a formula that has a kernel of its own."""
    if not writes:
        return []
    if formula.kind == "cross_entropy":
        return _cross_entropy(reads, dict(writes), planner)
    return [_normalise(formula, reads, writes)]


def _normalise(formula: Formula, reads: Mapping[str, Lay], writes: Mapping[str, Lay]) -> Step:
    """One kernel, its axes in the order of memory: the shape as it lies fixes the order of sums."""
    back = formula.kind == "normalise_back"
    whole = reads["d" if back else "x"]
    given = {
        k: stretched(v, whole.shape) if k in ("scale", "shift") else v for k, v in reads.items()
    }
    if not back and "result" not in writes:  # what it would be made of
        given = {"x": given["x"]}
    order = in_memory([whole])
    given = {name: permuted(lay, order) for name, lay in given.items()}
    made = {name: permuted(lay, order) for name, lay in writes.items()}
    axes = sorted(order.index(axis) for axis in formula.settings["axes"])
    ints, reals = [len(axes), *axes], []
    names: Sequence[str] = ("d", "scale", "normalised", "std")
    if back:
        ints.append(int("scale" in given))
    else:
        every = ("scale", "shift", "normalised", "result", "mean", "variance", "std")
        ints.append(sum(1 << i for i, name in enumerate(every) if name in given or name in made))
        names, reals = ("x", *every), [formula.settings["eps"]]
    ints.append(int(formula.settings["centred"]))
    operands = [given[name] for name in names if name in given]
    results = [made[name] for name in (*names, "dx") if name in made]
    split = count(whole.shape) >= NUMBERS_SHARED
    return Step(formula.kind, operands, results, ints, reals, split)


def _cross_entropy(
    reads: Mapping[str, Lay], writes: dict[str, Lay], planner: Planner
) -> list[Step]:
    """One kernel; where there is much to do, the mean of the rows' losses is one more."""
    z, steps = reads["z"], []
    split = count(z.shape) >= NUMBERS_SHARED
    which = 2 if "loss" in writes else 0
    if which and split:
        which, loss, per_row = 1, writes["loss"], planner.fresh(z.shape[:1], z.dtype)
        writes["loss"] = per_row
        program = Program(planner.operations, Sizes())
        encoded = program.encoded([program.input(0)])
        ints = [planner.reductions["sum"], 1, z.shape[0], 1, 0, *encoded]
        out = replace(loss, shape=(1,), strides=(0,))
        steps.append(Step("reduce", [per_row], [out], ints, [float(z.shape[0])]))
    made = [writes[name] for name in ("loss", "d") if name in writes]
    ints = [which, 2 if "d" in writes else 0, 0, 0]
    kernel = Step("cross_entropy", [z, reads["target"]], made, ints, [0.0], split)
    return [kernel, *steps]


def as_rows(lay: Lay) -> Lay | None:
    """All axes but the last as one, where they lie at one stride."""
    return reshaped(lay, (count(lay.shape[:-1]), lay.shape[-1]))


def stream_number(stream: str) -> int:
    """The 64 bits that stand for a stream of random numbers, as a signed number."""
    found = hashlib.blake2b(stream.encode(), digest_size=8).digest()
    return int.from_bytes(found, "little", signed=True)
