"""Cells as syntax: an op's NumPy text with its operands and attributes put in.

A cell's text is parsed once; operands and attributes replace names in the tree, so parentheses
are right by construction and no text from outside is ever pasted into a program.
"""

from __future__ import annotations

import ast
import copy
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from glassgrad.errors import InternalError
from glassgrad.ir import DTYPES, Dim, Node, Op, Ratio
from glassgrad.ops import Spelled

NUMPY_NAME = {**{d: d for d in DTYPES}, "bool": "bool_"}


def has_cell(op: Op) -> bool:
    """Whether programs write the op itself (loops are written by hand in `emit`)."""
    return op.numpy is not None or bool(op.roles & {"loop", "reader"})


def literal(value: Any) -> ast.expr:
    """An attribute as syntax; anything that is not data is refused."""
    if isinstance(value, Spelled | Dim | Ratio):
        return _parsed_expression(repr(value))
    if value is None or isinstance(value, bool | int | float):
        if isinstance(value, float) and not math.isfinite(value):
            name = "np.nan" if math.isnan(value) else "np.inf"
            return _parsed_expression(f"-{name}" if value < 0 else name)
        return ast.Constant(value)
    if isinstance(value, str):
        return ast.Constant(value)
    if isinstance(value, tuple | list):
        return ast.Tuple([literal(v) for v in value], ast.Load())
    raise InternalError("an attribute has no spelling in a program", where=repr(value))


def dtype_name(dtype: str) -> ast.expr:
    """`np.float32`."""
    return ast.Attribute(ast.Name("np", ast.Load()), NUMPY_NAME[dtype], ast.Load())


@lru_cache(4096)
def _parsed_expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


@lru_cache(4096)
def _parsed_lines(lines: tuple[str, ...]) -> tuple[ast.stmt, ...]:
    return tuple(ast.parse("\n".join(lines)).body)


def cell_text(node: Node) -> str | tuple[str, ...]:
    """The op's NumPy text for these types and attributes."""
    cell = node.op.numpy
    if cell is None:
        raise InternalError(f"{node.op.name} has no NumPy text and was not expanded")
    if callable(cell):
        return cell(tuple([v.type for v in node.inputs]), node.attributes)
    return cell


class _Fill:
    """Puts operands and attributes in for names, in a copy: a cell's own tree stays as it is."""

    def __init__(self, node: Node, operands: Sequence[ast.expr], out: ast.expr | None) -> None:
        self.out = out
        self.names: dict[str, ast.expr] = {}
        self.many: dict[str, list[ast.expr]] = {}
        for name, value in node.attributes.items():
            if name == "dtype":
                self.names[name] = dtype_name(value)
            elif isinstance(value, tuple):
                self.names[name] = literal(value)
                self.many[name] = [literal(v) for v in value]
            elif node.op.name != "scan":
                self.names[name] = literal(value) if _is_data(value) else ast.Constant(None)
        for i, name in enumerate(node.op.inputs):
            if name.startswith("*"):
                self.many[name[1:]] = list(operands[i:])
            else:
                self.names[name] = operands[i]

    def visit(self, node: Any) -> Any:
        """The syntax with names filled in; what has none in it is shared, not copied."""
        kind = type(node)
        if kind is ast.Name:
            return self._name(node)
        if kind is ast.Call:
            return self._call(node)
        if kind is ast.List:
            return ast.List(self._starred(node.elts), node.ctx)
        if kind is ast.Constant or not isinstance(node, ast.AST) or not node._fields:
            return node
        fields = {}
        for name in node._fields:
            value = getattr(node, name)
            fields[name] = (
                [self.visit(item) for item in value]
                if isinstance(value, list)
                else self.visit(value)
            )
        made = kind(**fields)
        return ast.copy_location(made, node) if isinstance(node, ast.stmt) else made

    def _name(self, node: ast.Name) -> ast.expr:
        if node.id == "out" and self.out is not None:
            out = copy.copy(self.out)
            if isinstance(out, ast.Name):
                out.ctx = node.ctx
            return out
        if node.id in self.names:
            return self.names[node.id]
        if node.id in DTYPES:
            return dtype_name(node.id)
        return node

    def _starred(self, items: list[ast.expr]) -> list[ast.expr]:
        found: list[ast.expr] = []
        for item in items:
            if (
                isinstance(item, ast.Starred)
                and isinstance(item.value, ast.Name)
                and item.value.id in self.many
            ):
                found += self.many[item.value.id]
            else:
                found.append(self.visit(item))
        return found

    def _call(self, node: ast.Call) -> ast.expr:
        given = self._starred(node.args) if node.args else []
        if node.args and not given:
            given = [ast.Tuple([], ast.Load())]  # x.reshape(()) for a scalar
        keywords = [ast.keyword(k.arg, self.visit(k.value)) for k in node.keywords]
        return ast.Call(self.visit(node.func), given, keywords)


def _is_data(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str | Dim | Ratio)


def fill_expression(node: Node, text: str, operands: Sequence[ast.expr]) -> ast.expr:
    """The cell as an expression of these operands."""
    return _one_index(_Fill(node, operands, None).visit(_parsed_expression(text)))


def _one_index(expression: ast.expr) -> ast.expr:
    """`z[:, t][:, 16:32]` as `z[:, t, 16:32]`: an index of an index, where both are plain."""
    if not isinstance(expression, ast.Subscript) or not isinstance(expression.value, ast.Subscript):
        return expression
    inner, outer = (
        e.slice.elts if isinstance(e.slice, ast.Tuple) else [e.slice]
        for e in (expression.value, expression)
    )
    whole = [isinstance(e, ast.Slice) and not (e.lower or e.upper or e.step) for e in inner]
    plain = all(w or isinstance(e, ast.Name) for w, e in zip(whole, inner, strict=True))
    if not plain or any(not isinstance(e, ast.Slice) for e in outer):
        return expression
    left = list(outer)
    index = [left.pop(0) if w and left else e for w, e in zip(whole, inner, strict=True)]
    return ast.Subscript(expression.value.value, ast.Tuple([*index, *left], ast.Load()), ast.Load())


def fill_lines(
    node: Node, lines: tuple[str, ...], operands: Sequence[ast.expr], out: ast.expr
) -> list[ast.stmt]:
    """The cell as statements that fill `out`."""
    fill = _Fill(node, operands, out)
    return [fill.visit(s) for s in _parsed_lines(tuple(lines))]


@lru_cache(4096)
def occurrences(text: str, name: str) -> int:
    """How often an operand is written in an expression cell."""
    tree = _parsed_expression(text)
    return sum(isinstance(n, ast.Name) and n.id == name for n in ast.walk(tree))
