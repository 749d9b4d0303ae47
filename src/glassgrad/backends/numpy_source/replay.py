"""A graph op by op, to find where the first number came from that is not finite.

Not every inf is trouble: a mask holds -inf on purpose. What is named is the first node that makes
a number that is not finite out of finite ones, and from which such numbers lead on to what was
asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.ir import INPUT, Graph, Node, Value
from glassgrad.passes.rewrite import scheduled

from .build import compile_function, lowered

AnyArray = NDArray[Any]
_MOST_ROWS = 8


@dataclass(frozen=True, slots=True)
class Operand:
    """An array of a replay: its name, its range over what is finite, how much of it is not."""

    name: str
    shape: tuple[int, ...]
    low: float
    high: float
    mean: float
    not_finite: int
    size: int

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.shape)) or "1"
        if self.not_finite == self.size:
            return f"{self.name} ({shape}): nothing finite"
        bad = f", {self.not_finite:,} not finite" if self.not_finite else ""
        if self.size == 1:
            return f"{self.name}: {self.mean:.4g}"
        return (
            f"{self.name} ({shape}): {self.low:.4g} to {self.high:.4g}, mean {self.mean:.4g}{bad}"
        )


@dataclass(frozen=True, slots=True)
class NotFinite:
    """The first value of a program that is not finite, and what it was made of.

    `role` is that of an input that was not finite to begin with, "" for what an op made; `first`
    the place of the first such number in it, and `rows` the rows of the batch that have one.
    """

    layer: str
    phase: str
    op: str
    role: str
    value: Operand
    first: tuple[int, ...]
    rows: tuple[int, ...] = ()
    inputs: tuple[Operand, ...] = ()
    line: str = ""


@dataclass(slots=True)
class _Replay:
    """What is known while the nodes run one after the other."""

    arrays: dict[Value, Any]
    rows: frozenset[Any]  # sizes that are numbers of rows
    bad: set[Value] = field(default_factory=set)
    found: dict[Node, NotFinite] = field(default_factory=dict)


def first_not_finite(graph: Graph, arguments: Sequence[Any]) -> NotFinite | None:
    """Where a program's state, or what is guarded in it, first stops being finite; None if nowhere."""
    low = lowered(graph)
    sources = [low.inputs[name] for name, _ in low.sizes.values()]
    firsts = [low.inputs[name].type.shape[0] for name, axis in low.sizes.values() if axis == 0]
    given = dict(zip(low.inputs.values(), arguments, strict=True))
    replay = _Replay(given, frozenset(firsts))
    order = scheduled(low)
    last = _last_readers(order)
    with np.errstate(all="ignore"):
        for value, array in given.items():
            if not np.isfinite(_floats(array)).all():
                replay.bad.add(value)
                replay.found[value.node] = _told(value.node, replay, value)
        for node in order:
            if node.op is not INPUT and "loop" not in node.op.roles:
                _run(node, replay, sources)
            for value in last.get(node, ()):
                if value.node.op is not INPUT:
                    replay.arrays.pop(value, None)
    names = dict.fromkeys([*low.guard, *low.state.values()] or low.outputs)
    return _origin([low.outputs[name] for name in names], order, replay)


def _run(node: Node, replay: _Replay, sources: list[Value]) -> None:
    results = _on_its_own(node, replay.arrays, sources)
    for value, result in zip(node.values, results, strict=True):
        # A number of the host is a Python float in the text, and takes an array's dtype there.
        narrow = value.type.dtype == "float32" and not isinstance(result, np.ndarray)
        replay.arrays[value] = np.float32(result) if narrow else result
    bad = [v for v in node.values if not np.isfinite(_floats(replay.arrays[v])).all()]
    replay.bad.update(bad)
    if bad:
        replay.found[node] = _told(node, replay, bad[0])


def _floats(given: Any) -> AnyArray:
    array = np.asarray(given)
    return array if array.dtype.kind == "f" else np.zeros(1)


def _last_readers(order: Sequence[Node]) -> dict[Node, list[Value]]:
    """What nobody reads any more after a node. What a loop reads is read by its readers."""
    last: dict[Value, Node] = {}
    for node in order:
        for value in node.inputs:
            last[value] = node
            if "reader" in node.op.roles:
                last |= dict.fromkeys(value.node.inputs, node)
    found: dict[Node, list[Value]] = {}
    for value, node in last.items():
        found.setdefault(node, []).append(value)
    return found


def _operands(node: Node) -> tuple[Value, ...]:
    """What a node reads; the reader of a loop reads what the loop reads."""
    return node.inputs[0].node.inputs if "reader" in node.op.roles else node.inputs


def _origin(ends: Iterable[Value], order: Sequence[Node], replay: _Replay) -> NotFinite | None:
    """The first node that made a number that is not finite, on the way to these values."""
    seen: set[Node] = set()
    todo = [v.node for v in ends if v in replay.bad]
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            todo += [v.node for v in _operands(node) if v in replay.bad]
    born = [n for n in order if n in seen and not any(v in replay.bad for v in _operands(n))]
    of_numbers = [n for n in born if n.op.name != "constant"]
    first = (of_numbers or born or [n for n in order if n in seen])[:1]
    return replay.found[first[0]] if first else None


def _told(node: Node, replay: _Replay, value: Value) -> NotFinite:
    """What there is to say about a node's value that is not finite."""
    array, origin = np.asarray(replay.arrays[value]), node.origin
    bad = ~np.isfinite(array)
    with_rows = bool(value.type.shape) and value.type.shape[0] in replay.rows
    rows = np.flatnonzero(bad.reshape(len(array), -1).any(axis=1)) if with_rows else np.arange(0)
    return NotFinite(
        layer=origin.scope,
        phase=origin.phase,
        op=node.op.name,
        role=str(node.attributes["role"]) if node.op is INPUT else "",
        value=_operand(_name(value), array),
        first=tuple([int(i) for i in np.argwhere(bad)[0]]),
        rows=tuple(rows[:_MOST_ROWS].tolist()),
        inputs=tuple([_operand(_name(v), replay.arrays[v]) for v in _operands(node)]),
        line=origin.line,
    )


def _name(value: Value) -> str:
    node = value.node
    if node.op is INPUT:
        return str(node.attributes["name"])
    return node.origin.name or node.op.name


def _operand(name: str, given: Any) -> Operand:
    array = np.asarray(given)
    finite = array[np.isfinite(array)].astype(np.float64)
    low, high, mean = (
        (float(finite.min()), float(finite.max()), float(finite.mean()))
        if finite.size
        else (np.nan, np.nan, np.nan)
    )
    return Operand(name, array.shape, low, high, mean, array.size - finite.size, array.size)


_FUNCTIONS: dict[str, Callable[..., Any]] = {}
_MOST_FUNCTIONS = 4096


def _on_its_own(node: Node, known: Mapping[Value, Any], sources: list[Value]) -> tuple[Any, ...]:
    """What one node gives for known operands; what is read of a loop runs the loop with it.

    `sources` are the inputs that say how many rows there are.
    """
    loop = node.inputs[0].node if "reader" in node.op.roles else None
    operands = [*(node if loop is None else loop).inputs]
    inputs = {
        f"x{i}": Node(INPUT, (), {"name": f"x{i}", "type": v.type, "role": "data"}, (v.type,))
        for i, v in enumerate([*operands, *sources])
    }
    given = tuple([n.values[0] for n in inputs.values()])[: len(operands)]
    if loop is not None:
        given = Node(loop.op, given, loop.attributes, loop.types).values
    alone = Node(node.op, given, node.attributes, node.types)
    outputs = {f"out{i}": v for i, v in enumerate(alone.values)}
    graph = Graph({k: n.values[0] for k, n in inputs.items()}, outputs)
    key = graph.structure()
    function = _FUNCTIONS.get(key)
    if function is None:
        if len(_FUNCTIONS) >= _MOST_FUNCTIONS:
            _FUNCTIONS.clear()
        function = _FUNCTIONS[key] = compile_function(graph)
    found = function(*[known[v] for v in (*operands, *sources)])
    return found if isinstance(found, tuple) else (found,)
