"""Formulas that a backend has one kernel for, found in the nodes they are written in.

Softmax with cross-entropy, a normalisation and its derivative are several sums and several maps.
Where nobody else reads what lies between, one kernel goes over the numbers once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from glassgrad.ir import Node, Value

ENABLED = True  # the off switch: every node is then planned by itself


@dataclass(frozen=True, slots=True)
class Formula:
    """One formula: its nodes, what it reads, by name, and what others may read of it, by name."""

    kind: str  # cross_entropy, normalise, normalise_back, max_unpool or attention_back
    nodes: tuple[Node, ...]
    reads: dict[str, Value]
    writes: dict[str, Value]
    settings: dict[str, Any] = field(default_factory=dict)


class Readers:
    """Who reads each value of a graph."""

    def __init__(self, order: Sequence[Node], leaving: Iterable[Value]) -> None:
        self.of: dict[Value, list[Node]] = {}
        for node in order:
            for value in node.inputs:
                self.of.setdefault(value, []).append(node)
        self.leaving = frozenset(leaving)

    def only(self, value: Value, op: str) -> Node | None:
        """The one reader of a value, if it is this op."""
        readers = self.of.get(value, [])
        fits = len(readers) == 1 and readers[0].op.name == op and value not in self.leaving
        return readers[0] if fits else None

    def some(self, value: Value, op: str) -> list[Node]:
        """Readers that are this op."""
        return [n for n in self.of.get(value, []) if n.op.name == op]

    def enclosed(self, formula: Formula) -> bool:
        """Whether only what it writes is read outside, and nothing it reads is made inside."""
        inside, given = set(formula.nodes), set(formula.writes.values())
        for node in formula.nodes:
            for value in node.values:
                if value in given:
                    continue
                if value in self.leaving or any(n not in inside for n in self.of.get(value, [])):
                    return False
        return all(v.node not in inside for v in formula.reads.values())


def formulas(order: Sequence[Node], leaving: Iterable[Value]) -> dict[Node, Formula]:
    """Each node that belongs to a formula, with the formula."""
    found: dict[Node, Formula] = {}
    if not ENABLED:
        return found
    readers = Readers(order, leaving)
    place = {node: i for i, node in enumerate(order)}
    for node in order:
        look = _LOOKS.get(node.op.name)
        formula = look(node, readers) if look and node not in found else None
        if (
            formula is None
            or not readers.enclosed(formula)
            or any(n in found for n in formula.nodes)
        ):
            continue
        first = min(place[n] for n in formula.nodes)
        if all(_there(v, place, first) for v in formula.reads.values()):
            found |= dict.fromkeys(formula.nodes, formula)
    return found


def _there(value: Value, place: dict[Node, int], first: int) -> bool:
    """Whether a value is made before the formula begins; what only shows an input always is."""
    node = value.node
    while node.op.name in ("slice", "reshape", "permute", "broadcast_to") and place[node] > first:
        node = node.inputs[0].node
    return node.op.name in ("input", "constant") or place[node] < first


def _cross_entropy(head: Node, readers: Readers) -> Formula | None:
    """The mean of -log_softmax(z)[target] over all rows, and (softmax(z) - one-hot) / n."""
    z, scores = head.inputs[0], head.values[0]
    picks = readers.some(scores, "pick")
    if len(z.type.shape) != 2 or head.attributes["axis"] not in (1, -1) or len(picks) != 1:
        return None
    pick = picks[0]
    target, rows = pick.inputs[1], z.type.shape[0]
    mean = readers.only(pick.values[0], "mean")
    loss = readers.only(mean.values[0], "negative") if mean else None
    if not mean or not loss or target.type.dtype != "int64":
        return None
    nodes, writes = [head, pick, mean, loss], {"loss": loss.values[0]}
    for exp in readers.some(scores, "exp"):
        less = readers.only(exp.values[0], "subtract_one_at")
        share = readers.only(less.values[0], "divide") if less else None
        if less and share and less.inputs[1] is target and _constant(share.inputs[1]) == rows:
            nodes += [exp, less, share]
            writes["d"] = share.values[0]
    return Formula("cross_entropy", tuple(nodes), {"z": z, "target": target}, writes)


def _normalise(head: Node, readers: Readers) -> Formula | None:
    """(x - mean) / sqrt(variance + eps), and that times a scale, plus a shift."""
    x = head.inputs[0]
    if not head.attributes["keepdims"] or not x.type.shape:
        return None
    for centred in readers.some(head.values[0], "subtract"):
        if centred.inputs[0] is not x:
            continue
        squares = [n for n in readers.some(centred.values[0], "multiply") if _square(n)]
        variance = readers.only(squares[0].values[0], "mean") if squares else None
        if variance is None or variance.attributes != head.attributes:
            continue
        found = _over_root(variance, centred.values[0], readers)
        if found is None:
            continue
        nodes = (head, centred, squares[0], *found.nodes)
        writes = {**found.writes, "mean": head.values[0]}
        settings = {**found.settings, "centred": True}
        return Formula("normalise", nodes, {**found.reads, "x": x}, writes, settings)
    return None


def _by_size(head: Node, readers: Readers) -> Formula | None:
    """A quotient x / sqrt(mean of x * x + eps), and that times a scale."""
    square = head.inputs[0].node
    if not head.attributes["keepdims"] or square.op.name != "multiply" or not _square(square):
        return None
    x = square.inputs[0]
    found = _over_root(head, x, readers) if x.type.shape else None
    if found is None:
        return None
    settings = {**found.settings, "centred": False}
    reads = {**found.reads, "x": x}
    return Formula("normalise", (square, *found.nodes), reads, found.writes, settings)


def _over_root(variance: Node, centred: Value, readers: Readers) -> Formula | None:
    """What is centred over sqrt(variance + eps), and that times a scale, plus a shift."""
    for more in readers.some(variance.values[0], "add"):
        eps, root = _constant(more.inputs[1]), readers.only(more.values[0], "sqrt")
        over = readers.some(root.values[0], "divide") if root else []
        over = [n for n in over if n.inputs[0] is centred]
        if not isinstance(eps, float | int) or root is None or not over:
            continue
        result = over[0].values[0]
        nodes = [variance, more, root, over[0]]
        reads: dict[str, Value] = {}
        writes = {
            "normalised": result, "variance": variance.values[0], "std": root.values[0]
        }  # fmt: skip
        for name, op in (("scale", "multiply"), ("shift", "add")):
            step = next((n for n in readers.some(result, op) if is_forward(n)), None)
            if step is None:
                continue
            other = step.inputs[1 - step.inputs.index(result)]
            if other is result or other.type.dtype != centred.type.dtype:
                continue
            if _is_data(other, centred) or step.types != centred.node.types:
                continue
            nodes.append(step)
            reads[name] = other
            result = writes["result"] = step.values[0]
        settings = {"axes": _axes(variance), "eps": float(eps)}
        return Formula("normalise", tuple(nodes), reads, writes, settings)
    return None


def _normalise_back(head: Node, readers: Readers) -> Formula | None:
    """(d - mean(d) - normalised * mean(d * normalised)) / std."""
    d = head.inputs[0]
    less = readers.only(head.values[0], "subtract") if head.attributes["keepdims"] else None
    final = readers.only(less.values[0], "subtract") if less else None
    if less is None or final is None or less.inputs[0] is not d:
        return None
    if final.inputs[0] is not less.values[0] or final.inputs[1].node.op.name != "multiply":
        return None
    for average in final.inputs[1].node.inputs:
        mean = average.node
        if mean.op.name == "mean" and mean.attributes == head.attributes:
            found = _along(mean, d, final, readers)
            if found is not None:
                nodes = (head, less, *found.nodes)
                settings = {**found.settings, "centred": True}
                return _scaled_back(
                    Formula(found.kind, nodes, found.reads, found.writes, settings), readers
                )
    return None


def _by_size_back(head: Node, readers: Readers) -> Formula | None:
    """(d - normalised * mean(d * normalised)) / rms."""
    product = head.inputs[0].node
    back = readers.only(head.values[0], "multiply") if head.attributes["keepdims"] else None
    final = readers.only(back.values[0], "subtract") if back else None
    if final is None or product.op.name != "multiply" or final.inputs[0] not in product.inputs:
        return None
    found = _along(head, final.inputs[0], final, readers)
    return found and _scaled_back(found, readers)


def _along(mean: Node, d: Value, final: Node, readers: Readers) -> Formula | None:
    """(... - normalised * mean(d * normalised)) / std, where `final` subtracts."""
    product, back = mean.inputs[0].node, final.inputs[1].node
    share = readers.only(final.values[0], "divide")
    if share is None or share.inputs[0] is not final.values[0] or product.op.name != "multiply":
        return None
    if back.op.name != "multiply" or mean.values[0] not in back.inputs or d not in product.inputs:
        return None
    normalised = product.inputs[1 - product.inputs.index(d)]
    if set(back.inputs) != {mean.values[0], normalised}:
        return None
    if not _is_data(d, normalised):  # a mean's derivative, the same all along: it is stretched
        return None
    reads = {"d": d, "normalised": normalised, "std": share.inputs[1]}
    nodes = (product, mean, back, final, share)
    settings = {"axes": _axes(mean), "centred": False}
    return Formula("normalise_back", nodes, reads, {"dx": share.values[0]}, settings)


def _scaled_back(formula: Formula, readers: Readers) -> Formula:
    """The same, where d is a derivative times the scale and nothing else reads it.

    What relu's way back multiplies by is no derivative: it says yes or no.
    """
    product = formula.reads["d"].node
    inside = set(formula.nodes)
    if product.op.name != "multiply" or formula.reads["d"] in readers.leaving:
        return formula
    if any(n not in inside for n in readers.of[formula.reads["d"]]):
        return formula
    whole = formula.reads["d"].type
    for d, scale in (product.inputs, product.inputs[::-1]):
        same = d.type == whole and scale.type.dtype == whole.dtype
        if same and scale.type.shape != whole.shape:
            reads = {**formula.reads, "d": d, "scale": scale}
            nodes = (product, *formula.nodes)
            return Formula(formula.kind, nodes, reads, formula.writes, formula.settings)
    return formula


def _max_unpool(head: Node, readers: Readers) -> Formula | None:
    """What goes back through max pooling y of x, times x > 0, where nothing else undoes it."""
    d, x, y = head.inputs
    gated = readers.only(head.values[0], "multiply")
    if gated is None or y.node.op.name != "max_pool" or y.node.inputs[0] is not x:
        return None
    undone = readers.some(y, "max_unpool") + readers.some(y, "max_pick")
    gate = gated.inputs[1].node
    if len(undone) > 1 or y.node.attributes != head.attributes or gate.op.name != "greater":
        return None
    if gate.inputs[0] is not x or _constant(gate.inputs[1]) != 0:
        return None
    nodes = (head, gate, gated)
    return Formula("max_unpool", nodes, {"d": d, "y": y}, {"dx": gated.values[0]})


def _axes(mean: Node) -> tuple[int, ...]:
    """The axes that a mean goes over."""
    axes, rank = mean.attributes["axis"], len(mean.inputs[0].type.shape)
    return tuple(range(rank)) if axes is None else axes


def _is_data(value: Value, x: Value) -> bool:
    """Whether it is as large as what is normalised, so that it is no scale or shift."""
    return value.type.shape == x.type.shape


def _square(node: Node) -> bool:
    return node.inputs[0] is node.inputs[1]


def is_forward(node: Node) -> bool:
    """Whether a node is of the way forward, done for the first time or again."""
    return node.origin.phase == "forward" or node.origin.again


def _constant(value: Value) -> Any:
    while value.node.op.name in ("broadcast_to", "reshape"):
        value = value.node.inputs[0]
    return value.node.attributes["value"] if value.node.op.name == "constant" else None


def _mean(head: Node, readers: Readers) -> Formula | None:
    looks = (_normalise, _normalise_back, _by_size, _by_size_back)
    return next((found for look in looks if (found := look(head, readers))), None)


def _attention_back(head: Node, readers: Readers) -> Formula:
    """The derivatives of one attention by its queries, keys and values."""
    g, *others = head.inputs
    nodes = [
        n
        for n in readers.of[g]
        if n.op.name in _SLOPES and n.inputs == head.inputs and n.attributes == head.attributes
    ]
    reads = {"g": g} | {f"operand{i}": v for i, v in enumerate(others)}
    writes = {n.op.name: n.values[0] for n in nodes}
    return Formula("attention_back", tuple(dict.fromkeys(nodes)), reads, writes)


_SLOPES = ("attention_dq", "attention_dk", "attention_dv")
_LOOKS: dict[str, Callable[[Node, Readers], Formula | None]] = {
    "log_softmax": _cross_entropy,
    "mean": _mean,
    "max_unpool": _max_unpool,
    **dict.fromkeys(_SLOPES, _attention_back),
}
