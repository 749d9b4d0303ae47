"""Loops in programs: a scan and what is read of it, as a `for` over time."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from ...ir import INPUT, Graph, Node, Size, Value
from ...ops.control import body_values
from .cells import dtype_name, literal

if TYPE_CHECKING:
    from .emit import Piece, Writer, _Block


def write_loop(writer: Writer, node: Node, outer: _Block) -> None:
    """Write the loop, and bind everything that is read of it.

    A carry whose values of all steps are read lives in one array with a place for the start:
    `h[t + 1] = f(h[t])`; one of which only the last matters is a variable.
    """
    from .emit import _Block as Block
    from .emit import _uses

    body: Graph = node.attributes["body"]
    first, carry = node.attributes["constants"], node.attributes["carry"]
    length: Size = node.attributes["length"]
    reverse: bool = node.attributes["reverse"]
    inputs = list(body.inputs.values())
    results = list(body.outputs.values())[:carry]
    values = body_values(body)
    readers = [u for u in outer.uses.get(node.values[0], ())]
    lasts = [r for r in readers if "which" in r.attributes]
    stacks = {values[r.attributes["value"]]: r for r in readers if "value" in r.attributes}

    def at(name: str, offset: int) -> ast.expr:
        step: ast.expr = ast.Name("t", ast.Load())
        if offset:
            step = ast.BinOp(step, ast.Add(), ast.Constant(offset))
        return ast.Subscript(ast.Name(name, ast.Load()), step, ast.Load())

    def place(value: Value, expression: ast.expr) -> None:
        writer.pieces[value] = _piece(expression)

    writer._head(node, outer)
    for value, operand in zip(inputs[:first], node.inputs[:first], strict=True):
        writer.pieces[value] = writer._piece(operand)
        if operand in writer.identifier:
            writer.identifier[value] = writer.identifier[operand]

    kept = set(results)
    stored: dict[Value, ast.expr] = {}
    names: dict[int, str] = {}
    histories: set[int] = set()
    before, after = (1, 0) if reverse else (0, 1)
    for i in range(carry):
        start, new = inputs[first + i], results[i]
        wish = writer._wish(new) or writer._wish(start) or "state"
        names[i] = writer.names.take(wish)
        history = (start in stacks or new in stacks) and new.node.op is not INPUT
        history = history and results.count(new) == 1
        operand = node.inputs[first + i]
        text = ast.unparse(writer._piece(operand).expression)
        if history:
            histories.add(i)
            total = ast.unparse(literal((length + 1, *start.type.shape)))
            kind = ast.unparse(dtype_name(start.type.dtype))
            writer._line(f"{names[i]} = np.zeros({total}, {kind})", outer)
            if not _is_zero(operand):
                at_start = f"{length}" if reverse else "0"
                writer._line(f"{names[i]}[{at_start}] = {text}", outer)
            place(start, at(names[i], before))
            stored[new] = at(names[i], after)
        else:
            own = text if _is_zero(operand) else f"{text}.copy()"
            writer._line(f"{names[i]} = {own}", outer)
            writer.identifier[start] = names[i]
            place(start, ast.Name(names[i], ast.Load()))
    for value, reader in stacks.items():
        if value in stored or value.node.op is INPUT:
            continue
        name = writer._take_name(value)
        total = ast.unparse(literal((length, *value.type.shape)))
        kind = ast.unparse(dtype_name(value.type.dtype))
        writer._line(f"{name} = np.empty({total}, {kind})", outer)
        stored[value] = at(name, 0)
        writer._bind(reader.values[0], name)
    for value, operand in zip(inputs[first + carry :], node.inputs[first + carry :], strict=True):
        place(value, _of_step(writer, operand))

    steps = f"range({length})"
    writer._line(f"for t in {f'reversed({steps})' if reverse else steps}:", outer)
    mark = len(writer.lines)
    block = Block(body, outer.indent + "    ", _uses(body, kept), kept, stored)
    variables = [i for i in range(carry) if i not in histories]
    sums = [i for i in variables if _is_sum(inputs[first + i], results[i], block)]
    for i in sums:
        block.owner[results[i].node] = inputs[first + i]
    for inner in body.nodes():
        writer._write_node(inner, block)
    changed = [i for i in variables if i not in sums and results[i] is not inputs[first + i]]
    if changed:
        targets = ", ".join(names[i] for i in changed)
        news = ", ".join(ast.unparse(writer._piece(results[i]).expression) for i in changed)
        if targets != news:
            writer._line(f"{targets} = {news}", block)
    for value, target in stored.items():
        piece = writer.pieces[value].expression
        if ast.unparse(piece) != ast.unparse(target) and value.node.op is INPUT:
            writer._line(f"{ast.unparse(target)} = {ast.unparse(piece)}", block)
    if len(writer.lines) == mark:
        writer._line("pass", block)

    for reader in lasts:
        i = reader.attributes["which"]
        name = names[i]
        text = name if i not in histories else f"{name}[{'0' if reverse else '-1'}]"
        writer.pieces[reader.values[0]] = _piece(ast.parse(text, mode="eval").body)
        if i not in histories:
            writer.identifier[reader.values[0]] = name
    for value, reader in stacks.items():
        for i in histories:
            start, new = inputs[first + i], results[i]
            if value in (start, new):
                early = (value is start) != reverse
                text = f"{names[i]}[:-1]" if early else f"{names[i]}[1:]"
                writer.pieces[reader.values[0]] = _piece(ast.parse(text, mode="eval").body)


def _piece(expression: ast.expr) -> Piece:
    from .emit import Piece

    return Piece(expression, len(ast.unparse(expression)))


def _is_zero(value: Value) -> bool:
    node = value.node
    if node.op.name != "broadcast_to" or node.inputs[0].node.op.name != "constant":
        return False
    number = node.inputs[0].node.attributes["value"]
    return type(number) in (int, float) and number == 0


def _of_step(writer: Writer, operand: Value) -> ast.expr:
    """`x[t]`, or `x[:, t]` where time is the second axis of what is there anyway."""
    node = operand.node
    t = ast.Name("t", ast.Load())
    if node.op.name == "permute":
        axes = node.attributes["axes"]
        if axes[:2] == (1, 0) and axes[2:] == tuple(range(2, len(axes))):
            inner = writer._piece(node.inputs[0])
            if isinstance(inner.expression, ast.Name):
                index = ast.Tuple([ast.Slice(), t], ast.Load())
                return ast.Subscript(inner.expression, index, ast.Load())
    return ast.Subscript(writer._piece(operand).expression, t, ast.Load())


def _is_sum(start: Value, new: Value, block: _Block) -> bool:
    """Whether a carry only adds up, so that its array may be added to in place."""
    node = new.node
    return (
        node.op.name == "add"
        and start in node.inputs
        and node.inputs[0] is not node.inputs[1]
        and len(block.uses.get(start, ())) == 1
        and len(block.uses.get(new, ())) == 0
        and new not in block.stored
    )
