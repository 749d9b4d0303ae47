"""A whole small step as one kernel, number by number.

Where a step is a few hundred operations on single numbers, calling a kernel for each layer costs
more than the arithmetic. Here every element of every value is a register, what only moves numbers
costs nothing, and what is left is straight-line code (native/README.md, `tiny`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.ir import FLOATS, Graph, Node, Value
from glassgrad.passes.layout import Lay, Sizes

from .cells import OPERATIONS
from .program import DTYPES, bits
from .step import Step

ENABLED = True  # the off switch: a kernel for each layer, as for larger networks
_MOST = 400  # operations: beyond, kernels that work on whole vectors are quicker
_NOT_HERE = frozenset("remainder sign floor ceil trunc round".split())
_MOST_NUMBERS = 2_048

Registers = NDArray[np.int64]


class _TooMuchError(Exception):
    """The step is not small, or has what this kernel does not do."""


class Tiny:
    """Straight-line code on single numbers."""

    def __init__(self, operations: Mapping[str, int], sizes: Sizes) -> None:
        self.operations = operations
        self.sizes = sizes
        self.constants: dict[tuple[int, int], int] = {}
        self.code: list[tuple[int, ...]] = []
        self.places: dict[Value, Registers] = {}
        self._count = 0

    def fresh(self, shape: tuple[int, ...]) -> Registers:
        """New registers, one for each element."""
        size = int(np.prod(shape, dtype=np.int64))
        begin, self._count = self._count, self._count + size
        if self._count > _MOST_NUMBERS:
            raise _TooMuchError
        return np.arange(begin, self._count).reshape(shape)

    def constant(self, value: Any, dtype: str) -> Registers:
        """The register of a number written in the program."""
        key = (DTYPES[dtype], bits(self.sizes.number(value), dtype))
        if key not in self.constants:
            self.constants[key] = int(self.fresh(())[()])
        return np.array(self.constants[key])

    def do(self, name: str, dtype: str, *operands: Registers) -> Registers:
        """One operation for every element."""
        shape = np.broadcast_shapes(*[o.shape for o in operands])
        out = self.fresh(shape)
        if len(self.code) + out.size > _MOST:
            raise _TooMuchError
        flat = [np.broadcast_to(o, shape).ravel().tolist() for o in operands]
        flat += [[-1] * out.size] * (3 - len(flat))
        number = self.operations[name]
        for to, a, b, c in zip(out.ravel().tolist(), *flat, strict=True):
            self.code.append((number, DTYPES[dtype], to, a, b, c))
        return out

    def of(self, value: Value) -> Registers:
        """The registers of a value."""
        return self.places[value]

    # -- nodes ---------------------------------------------------------------------------------

    def node(self, node: Node) -> Registers:
        """What a node computes."""
        name, a = node.op.name, node.attributes
        kind = node.types[0]
        if kind.dtype not in (*FLOATS, "bool"):
            raise _TooMuchError
        if name == "constant":
            return self.constant(a["value"], kind.dtype)
        given = [self.of(v) for v in node.inputs]
        dtype = node.inputs[-1 if name == "select" else 0].type.dtype if given else kind.dtype
        if name in ("cast", "scalar"):
            return self._cast(node, given[0])
        if name == "relu":
            return self.do("maximum", dtype, given[0], self.constant(0, dtype))
        if name in OPERATIONS:
            if dtype not in FLOATS or name in _NOT_HERE:
                raise _TooMuchError
            return self.do(name, dtype, *given)
        found = self._moved(node, given)
        if found is not None:
            return found
        if name in ("sum", "mean"):
            return self._summed(node, given[0])
        if name in ("matmul", "linear"):
            return self._product(node, given)
        raise _TooMuchError

    def _cast(self, node: Node, x: Registers) -> Registers:
        before, after = node.inputs[0].type.dtype, node.types[0].dtype
        if before == after:
            return x
        if before not in FLOATS or after not in FLOATS:
            raise _TooMuchError
        return self.do("cast", before, x, np.array(-1), np.array(DTYPES[after]))

    def _moved(self, node: Node, given: list[Registers]) -> Registers | None:
        name, a = node.op.name, node.attributes
        if name == "reshape":
            return given[0].reshape(self.sizes.of(a["shape"]))
        if name == "permute":
            return given[0].transpose(a["axes"])
        if name == "broadcast_to":
            return np.broadcast_to(given[0], self.sizes.of(a["shape"]))
        if name == "slice":
            return given[0][tuple([slice(*self.sizes.of(span)) for span in a["spans"]])]
        if name == "concatenate":
            return np.concatenate(given, axis=a["axis"])
        return None

    def _summed(self, node: Node, x: Registers) -> Registers:
        dtype = node.types[0].dtype
        if dtype not in FLOATS or x.size == 0:
            raise _TooMuchError
        axis, keep = node.attributes["axis"], node.attributes["keepdims"]
        axes = tuple(range(x.ndim)) if axis is None else axis
        kept = [i for i in range(x.ndim) if i not in axes]
        rows = x.transpose([*kept, *axes]).reshape(*[x.shape[i] for i in kept], -1)
        found = rows[..., 0]
        for i in range(1, rows.shape[-1]):
            found = self.do("add", dtype, found, rows[..., i])
        if node.op.name == "mean" and rows.shape[-1] > 1:
            found = self.do("divide", dtype, found, self.constant(float(rows.shape[-1]), dtype))
        return (
            found.reshape([1 if i in axes else s for i, s in enumerate(x.shape)]) if keep else found
        )

    def _product(self, node: Node, given: list[Registers]) -> Registers:
        dtype = node.types[0].dtype
        a, b = given[:2]
        found: Registers | None = None
        for k in range(a.shape[-1]):
            left, right = a[..., :, k : k + 1], b[..., k : k + 1, :]
            if found is None:
                found = self.do("multiply", dtype, left, right)
            else:
                found = self.do("multiply_add", dtype, left, right, found)
        if found is None:
            raise _TooMuchError
        return self.do("add", dtype, found, given[2]) if len(given) > 2 else found


def tiny_step(
    graph: Graph,
    sizes: Sizes,
    lays: Mapping[Value, Lay],
    wanted: Mapping[Value, list[Lay]],
    operations: Mapping[str, int],
) -> Step | None:
    """All of a graph as one instruction, None where it is not small."""
    if not ENABLED:
        return None
    tiny = Tiny(operations, sizes)
    reads: list[Lay] = []
    loads: list[int] = []
    try:
        used = {v for n in graph.nodes() for v in n.inputs} | set(wanted)
        for value, lay in lays.items():
            if value not in used:
                continue
            if value.type.dtype not in FLOATS:
                return None
            tiny.places[value] = tiny.fresh(lay.shape)
            reads.append(lay)
            loads.append(int(tiny.places[value].ravel()[0]) if lay.size else 0)
        for node in graph.nodes():
            if node.values[0] not in tiny.places:
                tiny.places[node.values[0]] = tiny.node(node)
        guard = [r for name in graph.guard for r in tiny.of(graph.outputs[name]).ravel().tolist()]
        writes: list[Lay] = []
        stores: list[int] = []
        for value, places in wanted.items():
            for lay in places:
                found = tiny.of(value)
                if value.type.dtype != lay.dtype:
                    if value.type.dtype not in FLOATS or lay.dtype not in FLOATS:
                        return None
                    to = np.array(DTYPES[lay.dtype])
                    found = tiny.do("cast", value.type.dtype, found, np.array(-1), to)
                writes.append(lay)
                stores += found.ravel().tolist()
    except _TooMuchError:
        return None
    constants = [x for key, register in tiny.constants.items() for x in (*key, register)]
    code = [x for line in tiny.code for x in line]
    ints = [
        tiny.fresh(()).item(), len(reads), len(writes), len(tiny.constants), len(tiny.code),
        len(guard), *loads, *constants, *code, *guard, *stores,
    ]  # fmt: skip
    return Step("tiny", reads, writes, ints, about="the whole step, number by number")
