"""Which operands are positions in something: NumPy would take a negative one from the end."""

from __future__ import annotations

from dataclasses import dataclass

from glassgrad.ir import INPUT, Graph, Node, Size, Value


@dataclass(frozen=True, slots=True)
class Positions:
    """What a node asks of an operand: numbers from 0 to below size, or the one that is ignored."""

    operand: int
    size: Size
    ignored: int | None = None


def positions_of(node: Node) -> Positions | None:
    """The positions that a node reads or writes at, None for one that has none."""
    op = node.op
    if "index" in op.inputs:
        operand = op.inputs.index("index")
        held = node.inputs[0] if operand else node.values[0]
        axis = node.attributes.get("axis", 0 if op.name in ("take", "add_at") else -1)
        return Positions(operand, held.type.shape[axis])
    if "target" in op.inputs and node.inputs[1].type.dtype == "int64":  # a loss of class indices
        return Positions(1, node.inputs[0].type.shape[-1], node.attributes.get("ignore_index"))
    return None


def index_limits(graph: Graph) -> dict[str, tuple[int, int | None]]:
    """For each input of positions the smallest size they must be below.

    And the number that all who read the input ignore.
    """
    names = {value: name for name, value in graph.inputs.items()}
    read: dict[str, list[Positions]] = {}
    for node in graph.nodes():
        found = None if node.op is INPUT else positions_of(node)
        if found is None or not isinstance(found.size, int):
            continue
        name = names.get(_looked_through(node.inputs[found.operand]))
        if name is not None:
            read.setdefault(name, []).append(found)
    limits = {}
    for name, each in read.items():
        ignored = {p.ignored for p in each}
        limits[name] = (
            min(int(str(p.size)) for p in each),
            ignored.pop() if len(ignored) == 1 else None,
        )
    return limits


def _looked_through(value: Value) -> Value:
    """What a view shows."""
    while value.node.inputs and value.node.op.result == "view":
        value = value.node.inputs[0]
    return value
