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

    kind: str  # cross_entropy, normalise, normalise_back or max_unpool
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
    x, axes = head.inputs[0], head.attributes["axis"]
    if not head.attributes["keepdims"] or not _rows_or_columns(x, axes):
        return None
    for centred in readers.some(head.values[0], "subtract"):
        if centred.inputs[0] is not x:
            continue
        squares = [n for n in readers.some(centred.values[0], "multiply") if _square(n)]
        variance = readers.only(squares[0].values[0], "mean") if squares else None
        if variance is None or variance.attributes != head.attributes:
            continue
        for more in readers.some(variance.values[0], "add"):
            eps, root = _constant(more.inputs[1]), readers.only(more.values[0], "sqrt")
            over = readers.some(root.values[0], "divide") if root else []
            over = [n for n in over if n.inputs[0] is centred.values[0]]
            if not isinstance(eps, float | int) or root is None or not over:
                continue
            result = over[0].values[0]
            nodes = [head, centred, squares[0], variance, more, root, over[0]]
            reads, writes = {"x": x}, {
                "normalised": result, "mean": head.values[0],
                "variance": variance.values[0], "std": root.values[0],
            }  # fmt: skip
            for name, op in (("scale", "multiply"), ("shift", "add")):
                step = next((n for n in readers.some(result, op) if _is_forward(n)), None)
                if step is None:
                    continue
                other = step.inputs[1 - step.inputs.index(result)]
                if other is result or other.type.dtype != x.type.dtype or _is_data(other, x):
                    continue
                nodes.append(step)
                reads[name] = other
                result = writes["result"] = step.values[0]
            settings = {"axes": axes, "eps": float(eps)}
            return Formula("normalise", tuple(nodes), reads, writes, settings)
    return None


def _normalise_back(head: Node, readers: Readers) -> Formula | None:
    """(d - mean(d) - normalised * mean(d * normalised)) / std."""
    d, axes = head.inputs[0], head.attributes["axis"]
    if not head.attributes["keepdims"] or not _rows_or_columns(d, axes):
        return None
    less = readers.only(head.values[0], "subtract")
    final = readers.only(less.values[0], "subtract") if less else None
    share = readers.only(final.values[0], "divide") if final else None
    if less is None or final is None or share is None or less.inputs[0] is not d:
        return None
    back = final.inputs[1].node
    if final.inputs[0] is not less.values[0] or back.op.name != "multiply":
        return None
    for normalised, average in (back.inputs, back.inputs[::-1]):
        mean = average.node
        if mean.op.name != "mean" or mean.attributes != head.attributes:
            continue
        product = mean.inputs[0].node
        if product.op.name != "multiply" or set(product.inputs) != {d, normalised}:
            continue
        nodes = [head, less, product, mean, back, final, share]
        reads = {"d": d, "normalised": normalised, "std": share.inputs[1]}
        formula = Formula(
            "normalise_back", tuple(nodes), reads, {"dx": share.values[0]}, {"axes": axes}
        )
        return _scaled_back(formula, readers)
    return None


def _scaled_back(formula: Formula, readers: Readers) -> Formula:
    """The same, where d is a derivative times the scale and nothing else reads it."""
    product = formula.reads["d"].node
    inside = set(formula.nodes)
    if product.op.name != "multiply" or formula.reads["d"] in readers.leaving:
        return formula
    if any(n not in inside for n in readers.of[formula.reads["d"]]):
        return formula
    shape = formula.reads["d"].type.shape
    for d, scale in (product.inputs, product.inputs[::-1]):
        if d.type.shape == shape and scale.type.shape != shape:
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


def _rows_or_columns(x: Value, axes: Any) -> bool:
    """The last axes, or the first of two: what layer and 1-d batch normalisation go over."""
    rank = len(x.type.shape)
    return isinstance(axes, tuple) and (
        axes == tuple(range(rank - len(axes), rank)) or (rank == 2 and axes == (0,))
    )


def _is_data(value: Value, x: Value) -> bool:
    """Whether it is as large as what is normalised, so that it is no scale or shift."""
    return value.type.shape == x.type.shape


def _square(node: Node) -> bool:
    return node.inputs[0] is node.inputs[1]


def _is_forward(node: Node) -> bool:
    return node.origin.phase == "forward"


def _constant(value: Value) -> Any:
    while value.node.op.name in ("broadcast_to", "reshape"):
        value = value.node.inputs[0]
    return value.node.attributes["value"] if value.node.op.name == "constant" else None


def _mean(head: Node, readers: Readers) -> Formula | None:
    return _normalise(head, readers) or _normalise_back(head, readers)


_LOOKS: dict[str, Callable[[Node, Readers], Formula | None]] = {
    "log_softmax": _cross_entropy,
    "mean": _mean,
    "max_unpool": _max_unpool,
}
