"""What the writer of functions and the writer of loops share: pieces of text, and blocks of nodes."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

from glassgrad.ir import Dim, Graph, Node, Value

from .cells import dtype_name


@dataclass(slots=True)
class Piece:
    """How a value is written: an expression, its length and depth."""

    expression: ast.expr
    length: int
    depth: int = 0

    @property
    def simple(self) -> bool:
        return self.depth == 0


@dataclass(slots=True)
class Block:
    """Where nodes are being written: the function, or the body of a loop."""

    graph: Graph
    indent: str
    uses: dict[Value, list[Node]]
    kept: set[Value]  # values that must have a line: outputs, and what loops store
    stored: dict[Value, ast.expr] = field(default_factory=dict)  # value -> place it is stored at
    owner: dict[Node, Value] = field(default_factory=dict)  # in-place node -> the state it changes


def piece_of(expression: ast.expr, depth: int = 0) -> Piece:
    """An expression with its length."""
    return Piece(expression, len(ast.unparse(expression)), depth)


def uses_in(nodes: Iterable[Node]) -> dict[Value, list[Node]]:
    """Who reads each value."""
    found: dict[Value, list[Node]] = {}
    for node in nodes:
        for value in node.inputs:
            found.setdefault(value, []).append(node)
    return found


def stretched_number(node: Node) -> str | None:
    """`np.zeros(...)` for a constant stretched to a shape."""
    if node.op.name != "broadcast_to" or node.inputs[0].node.op.name != "constant":
        return None
    value = node.inputs[0].node.attributes["value"]
    kind = ast.unparse(dtype_name(node.types[0].dtype))
    if not isinstance(value, Dim) and value == 0:
        return f"np.zeros(shape, {kind})"
    if not isinstance(value, Dim) and value == 1:
        return f"np.ones(shape, {kind})"
    return f"np.full(shape, x, {kind})"
