"""Loops in programs: a scan and what is read of it, as a `for` over time."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import TYPE_CHECKING

from glassgrad.ir import INPUT, Graph, Node, Size, Value, reachable
from glassgrad.ops.control import body_values

from .cells import cell_text, dtype_name, fill_expression, literal
from .layout import WIDTH
from .pieces import Block, piece_of, stretched_number, uses_in

if TYPE_CHECKING:
    from .emit import Writer


def write_loop(writer: Writer, node: Node, outer: Block) -> None:
    """Write the loop, and bind everything that is read of it.

    A carry whose values of all steps are read lives in one array with a place for the start:
    `h[t + 1] = f(h[t])`; one that only adds up is added to in place; one of which only the last
    matters is a variable. Nothing here changes an array that anybody else can see.
    """
    body: Graph = node.attributes["body"]
    first, carry = node.attributes["constants"], node.attributes["carry"]
    length: Size = node.attributes["length"]
    reverse: bool = node.attributes["reverse"]
    inputs = list(body.inputs.values())
    results = list(body.outputs.values())[:carry]
    values = body_values(body)
    lasts: list[Node] = []
    stacks: dict[Value, list[Node]] = {}
    for reader in outer.uses.get(node.values[0], ()):
        if "which" in reader.attributes:
            lasts.append(reader)
        else:
            stacks.setdefault(values[reader.attributes["value"]], []).append(reader)
    needed = set(reachable([*results, *stacks]))
    todo = sorted([n for n in body.nodes() if n in needed], key=lambda n: n.origin.seq)
    step = "t" if outer.graph is writer.graph else writer.names.take("step")

    def at(name: str, offset: int) -> ast.expr:
        place = f"{name}[{step} + {offset}]" if offset else f"{name}[{step}]"
        return ast.parse(place, mode="eval").body

    def place(value: Value, expression: ast.expr) -> None:
        writer.pieces[value] = piece_of(expression)

    writer._head(node, outer)
    for value, operand in zip(inputs[:first], node.inputs[:first], strict=True):
        writer.pieces[value] = writer._piece(operand)
        if operand in writer.identifier:
            writer.identifier[value] = writer.identifier[operand]

    stored: dict[Value, ast.expr] = {}
    block = Block(body, outer.indent + "    ", uses_in(todo), set(results), stored)
    names: dict[int, str] = {}
    histories: list[int] = []
    before, after = (1, 0) if reverse else (0, 1)
    for i in range(carry):
        start, new = inputs[first + i], results[i]
        operand = node.inputs[first + i]
        names[i] = writer.names.take(writer._wish(new) or writer._wish(start) or "state")
        asked = start in stacks or new in stacks
        if asked and new.node.op is not INPUT and results.count(new) == 1:
            histories.append(i)
            total = ast.unparse(literal((length + 1, *start.type.shape)))
            kind = ast.unparse(dtype_name(start.type.dtype))
            writer._line(f"{names[i]} = np.zeros({total}, {kind})", outer)
            if not _is_zero(operand):
                at_start = f"{length}" if reverse else "0"
                text = ast.unparse(writer._piece(operand).expression)
                writer._line(f"{names[i]}[{at_start}] = {text}", outer)
            place(start, at(names[i], before))
            stored[new] = at(names[i], after)
        else:
            own = _own(writer, operand, added_to=_is_sum(start, new, results, block, stacks))
            writer._line(f"{names[i]} = {own}", outer)
            writer.identifier[start] = names[i]
            place(start, ast.Name(names[i], ast.Load()))
    for value, operand in zip(inputs[first + carry :], node.inputs[first + carry :], strict=True):
        place(value, _of_step(writer, operand, step))
    for value, asking in stacks.items():
        if value in stored or _of_history(value, inputs, first, histories):
            continue
        if value in inputs[first + carry :]:  # a sequence is its own stack
            whole = writer._piece(node.inputs[inputs.index(value)])
            for reader in asking:
                writer.pieces[reader.values[0]] = whole
            continue
        name = writer._take_name(value)
        total = ast.unparse(literal((length, *value.type.shape)))
        kind = ast.unparse(dtype_name(value.type.dtype))
        writer._line(f"{name} = np.empty({total}, {kind})", outer)
        stored[value] = at(name, 0)
        for reader in asking:
            writer._bind(reader.values[0], name)

    steps = f"range({length})"
    writer._line(f"for {step} in {f'reversed({steps})' if reverse else steps}:", outer)
    mark = len(writer.lines)
    for value, target in stored.items():
        if value.node.op is INPUT:  # as it is before the step changes it
            text = ast.unparse(writer.pieces[value].expression)
            writer._line(f"{ast.unparse(target)} = {text}", block)
    variables = [i for i in range(carry) if i not in histories]
    sums = [i for i in variables if _is_sum(inputs[first + i], results[i], results, block, stacks)]
    for i in sums:
        block.owner[results[i].node] = inputs[first + i]
    changed = [i for i in variables if i not in sums and results[i] is not inputs[first + i]]
    late = {results[i].node for i in changed if _is_late(results[i], results, block)}
    for inner in todo:
        if inner not in late:
            writer._write_node(inner, block)
    for value, target in stored.items():
        if value.node.op.roles & {"reader", "constant"}:  # these have no line of their own
            text = ast.unparse(writer.pieces[value].expression)
            writer._line(f"{ast.unparse(target)} = {text}", block)
    if changed:
        targets = [names[i] for i in changed]
        news = [ast.unparse(_new_value(writer, results[i], late)) for i in changed]
        if len(news) > 1 and len(", ".join(targets + news)) > WIDTH - len(block.indent):
            for k, i in enumerate(changed):  # too much for one line: only names change places
                if results[i].node in late:
                    name = writer._take_name(results[i])
                    writer._line(f"{name} = {news[k]}", block)
                    news[k] = name
        if targets != news:
            writer._line(f"{', '.join(targets)} = {', '.join(news)}", block)
    if len(writer.lines) == mark:
        writer._line("pass", block)

    for reader in lasts:
        i = reader.attributes["which"]
        name = names[i]
        text = name if i not in histories else f"{name}[{'0' if reverse else '-1'}]"
        writer.pieces[reader.values[0]] = piece_of(ast.parse(text, mode="eval").body)
        if i not in histories:
            writer.identifier[reader.values[0]] = name
    for i in histories:
        for value in (inputs[first + i], results[i]):
            early = (value is inputs[first + i]) != reverse
            text = f"{names[i]}[:-1]" if early else f"{names[i]}[1:]"
            for reader in stacks.get(value, ()):
                writer.pieces[reader.values[0]] = piece_of(ast.parse(text, mode="eval").body)


def only_starts(value: Value, users: Iterable[Node]) -> bool:
    """Whether a value is nothing but where carries of loops begin."""
    for user in users:
        if "loop" not in user.op.roles:
            return False
        first, carry = user.attributes["constants"], user.attributes["carry"]
        if value in user.inputs[:first] or value in user.inputs[first + carry :]:
            return False
    return True


def _is_zero(value: Value) -> bool:
    node = value.node
    if node.op.name == "broadcast_to":
        node = node.inputs[0].node
    if "constant" not in node.op.roles:
        return False
    zero = node.attributes["value"]
    return type(zero) in (int, float) and zero == 0


def _own(writer: Writer, operand: Value, added_to: bool) -> str:
    """What a carry starts as: an array of its own where it will be added to in place."""
    shape = ast.unparse(literal(operand.type.shape))
    kind = ast.unparse(dtype_name(operand.type.dtype))
    if _is_zero(operand):
        return f"np.zeros({shape}, {kind})"
    text = ast.unparse(writer._piece(operand).expression)
    node = operand.node
    if "constant" in node.op.roles:
        return f"np.full({shape}, {text}, {kind})"
    # What nobody writes to may have two names; inputs are the caller's, and views lead to them.
    shared = node.op is INPUT or node.op.result == "view" or "reader" in node.op.roles
    if not (added_to or shared):
        return text
    return f"{text}.copy()" if operand.type.shape else f"np.full((), {text}, {kind})"


def _of_step(writer: Writer, operand: Value, step: str) -> ast.expr:
    """`x[t]`; `x[:, t]` where time is the second axis of what is there anyway."""
    node = operand.node
    t = ast.Name(step, ast.Load())
    if node.op.name == "permute":
        axes = node.attributes["axes"]
        if axes[:2] == (1, 0) and axes[2:] == tuple(range(2, len(axes))):
            inner = writer._piece(node.inputs[0])
            if isinstance(inner.expression, ast.Name):
                index = ast.Tuple([ast.Slice(), t], ast.Load())
                return ast.Subscript(inner.expression, index, ast.Load())
    whole = writer._piece(operand).expression
    # `h[1:][t]` is `h[t + 1]`, and `h[:-1][t]` is `h[t]`.
    spelled = ast.unparse(whole)
    if isinstance(whole, ast.Subscript) and isinstance(whole.value, ast.Name):
        for text, place in (("[1:]", f"[{step} + 1]"), ("[:-1]", f"[{step}]")):
            if spelled.endswith(text):
                return ast.parse(spelled.removesuffix(text) + place, mode="eval").body
    return ast.Subscript(whole, t, ast.Load())


def _of_history(value: Value, inputs: list[Value], first: int, histories: list[int]) -> bool:
    return any(value is inputs[first + i] for i in histories)


def _is_sum(
    start: Value,
    new: Value,
    results: list[Value],
    block: Block,
    stacks: dict[Value, list[Node]],
) -> bool:
    """Whether a carry only adds up, so that its array may be added to in place."""
    node = new.node
    return (
        node.op.name == "add"
        and start in node.inputs
        and node.inputs[0] is not node.inputs[1]
        and len(block.uses.get(start, ())) == 1
        and not block.uses.get(new)
        and start not in stacks
        and new not in stacks
        and start not in results
        and results.count(new) == 1
    )


def _is_late(new: Value, results: list[Value], block: Block) -> bool:
    """Whether a new carry can be written where it is assigned: no other line reads it."""
    node = new.node
    return (
        node.op is not INPUT
        and not block.uses.get(new)
        and new not in block.stored
        and results.count(new) == 1
        and "reader" not in node.op.roles
        and "constant" not in node.op.roles
        and node.op.numpy is not None
        and isinstance(cell_text(node), str)
    )


def _new_value(writer: Writer, new: Value, late: set[Node]) -> ast.expr:
    node = new.node
    if node not in late:
        return writer._piece(new).expression
    text = stretched_number(node) or cell_text(node)
    assert isinstance(text, str)
    operands = [writer._piece(v).expression for v in node.inputs]
    return fill_expression(node, text, operands)
