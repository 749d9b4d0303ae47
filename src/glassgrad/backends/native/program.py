"""Nodes that work number by number, as a program of the executor (native/README.md)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from glassgrad.errors import InternalError
from glassgrad.ir import Node, Value
from glassgrad.passes.layout import Sizes

DTYPES = {"float32": 0, "float64": 1, "int64": 2, "uint32": 3, "uint8": 4, "bool": 5}
_PACK = {
    "float32": "<f",
    "float64": "<d",
    "int64": "<q",
    "uint32": "<I",
    "uint8": "<B",
    "bool": "<B",
}


def bits(value: Any, dtype: str) -> int:
    """A number's bits in this dtype, as a whole number."""
    if dtype in ("float32", "float64"):
        value = float(value)
        if dtype == "float32" and abs(value) > 3.4028235677973366e38:
            value = float("inf") if value > 0 else float("-inf")
    raw = struct.pack(_PACK[dtype], value)
    return int.from_bytes(raw.ljust(8, b"\0"), "little", signed=True)


@dataclass(slots=True)
class Program:
    """Straight-line code: inputs, then constants, then one value for each instruction."""

    operations: Mapping[str, int]
    sizes: Sizes
    inputs: list[Any] = field(default_factory=list)  # whatever tells operands apart
    _constants: list[tuple[int, int]] = field(default_factory=list)
    _code: list[tuple[int, int, Any, Any, Any]] = field(default_factory=list)
    _known: dict[Any, tuple[str, int]] = field(default_factory=dict)  # ("in" | "const" | "do", i)

    def input(self, key: Any) -> tuple[str, int]:
        """An operand, the same one for the same key."""
        if ("in", key) not in self._known:
            self.inputs.append(key)
            self._known["in", key] = ("in", len(self.inputs) - 1)
        return self._known["in", key]

    def constant(self, value: Any, dtype: str) -> tuple[str, int]:
        """A number written in the program."""
        pair = (DTYPES[dtype], bits(self.sizes.number(value), dtype))
        if pair not in self._constants:
            self._constants.append(pair)
        return ("const", self._constants.index(pair))

    def do(self, operation: str, dtype: str, *operands: Any, to: str = "") -> tuple[str, int]:
        """One instruction."""
        abc = [*operands, None, None][:3]
        if to:
            abc[2] = DTYPES[to]
        self._code.append((self.operations[operation], DTYPES[dtype], *abc))
        return ("do", len(self._code) - 1)

    def node(self, node: Node, operand: Callable[[Value], tuple[str, int]]) -> tuple[str, int]:
        """The instruction, or the few, that compute what a node does."""
        name = node.op.name
        given = [operand(v) for v in node.inputs]
        dtype = node.inputs[-1 if name == "select" else 0].type.dtype
        if name == "relu":
            return self.do("maximum", dtype, given[0], self.constant(0, dtype))
        if name in ("cast", "scalar"):
            to = node.types[0].dtype
            return given[0] if to == dtype else self.do("cast", dtype, given[0], to=to)
        if name == "multiply" and dtype == "bool" and node.types[0].dtype != "bool":
            raise InternalError("a truth value times a number: the number comes first")
        return self.do(name, dtype, *given)

    def encoded(self, outputs: list[tuple[str, int]]) -> list[int]:
        """The whole numbers of the program."""
        starts = {"in": 0, "const": len(self.inputs)}
        starts["do"] = starts["const"] + len(self._constants)

        def number(value: Any) -> int:
            if value is None:
                return -1
            return value if isinstance(value, int) else starts[value[0]] + value[1]

        found = [len(self.inputs), len(self._constants), len(self._code), len(outputs)]
        for constant in self._constants:
            found += constant
        for operation, dtype, *abc in self._code:
            found += [operation, dtype, *map(number, abc)]
        return found + [number(v) for v in outputs]

    @property
    def length(self) -> int:
        """How many instructions there are."""
        return len(self._code)
