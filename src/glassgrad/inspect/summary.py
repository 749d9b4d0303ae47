"""A network at a glance: its layers, the shapes between them, what they hold and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from glassgrad.errors import UsageError
from glassgrad.ir import INPUT, Dim, Graph, Node, Shape, Type, bind
from glassgrad.nn.module import Module
from glassgrad.nn.tracing import forward_graph, input_names
from glassgrad.passes.lower import primitives


@dataclass(frozen=True, slots=True)
class Row:
    """A layer: path, title, shape of its result for one row, numbers held, multiply-adds."""

    path: str
    title: str
    shape: tuple[int, ...]
    parameters: int
    buffers: int
    multiply_adds: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The layers in the order they run, and the sums. `str()` is a table."""

    title: str
    inputs: dict[str, tuple[tuple[int, ...], str]]  # by name: the shape of one row, the dtype
    dtype: str  # of the parameters
    rows: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(row.parameters for row in self.rows)

    @property
    def buffers(self) -> int:
        """How many numbers are kept but not trained."""
        return sum(row.buffers for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """Multiplications with additions, for one row, forward."""
        return sum(row.multiply_adds for row in self.rows)

    def table(self) -> list[tuple[str, ...]]:
        """Heading and cells as text."""
        out: list[tuple[str, ...]] = [("layer", "", "result", "parameters", "multiply-adds")]
        for name, (shape, dtype) in self.inputs.items():
            out.append(("input" if name == "x" else name, dtype, times(shape), "", ""))
        for row in self.rows:
            held, cost = (f"{n:,}" if n else "" for n in (row.parameters, row.multiply_adds))
            out.append((row.path, row.title, times(row.shape), held, cost))
        out.append(("all", "", "", f"{self.parameters:,}", f"{self.multiply_adds:,}"))
        return out

    def __str__(self) -> str:
        table = self.table()
        widths = [max(len(line[i]) for line in table) for i in range(5)]
        lines = []
        for line in table:
            left = [cell.ljust(w) for cell, w in zip(line[:3], widths[:3], strict=True)]
            right = [cell.rjust(w) for cell, w in zip(line[3:], widths[3:], strict=True)]
            lines.append("  ".join([*left, *right]).rstrip())
        return "\n".join(lines)


def times(shape: tuple[int, ...]) -> str:
    """A shape as people write it: `1 x 28 x 28`."""
    return " x ".join(map(str, shape)) or "1"


def summary(model: Module, x: Any = None) -> Summary:
    """Layers, shapes, parameters and multiply-adds of a network, for one row.

    `x` is the shape of one row where the model has not been called yet. Raises UsageError where
    neither is known.

    >>> from glassgrad import nn
    >>> print(summary(nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 3)), (2,)))
    layer                    result  parameters  multiply-adds
    input    float32         2
    linear1  Linear(2, 64)   64             192            128
    relu1    ReLU            64
    linear2  Linear(64, 3)   3              195            192
    all                                     387            320
    """
    graph, inputs = graph_of(model, x, "summary(model, (2,))")
    state = model.named_state()
    costs: dict[str, int] = {}
    for node in primitives(graph).nodes():
        costs[node.origin.scope] = costs.get(node.origin.scope, 0) + _cost(node)
    shapes = _shapes(graph)
    held = _owners(model, list(state))
    order = list(dict.fromkeys([*_in_order(graph), *[p for p in held if held[p]]]))
    found = []
    for path in order:
        names = held.get(path, [])
        sizes = [(prod(state[n].shape), state[n].requires_grad) for n in names]
        scope = graph.scopes.get(path)
        found.append(
            Row(
                path or model.title(),
                scope.title if scope and path else "",
                shapes.get(path, ()),
                sum(int(size) for size, trained in sizes if trained),
                sum(int(size) for size, trained in sizes if not trained),
                costs.get(path, 0),
            )
        )
    given = {name: (_one(t.shape), t.dtype) for name, t in inputs.items()}
    return Summary(model.title(), given, model.dtype(), tuple(found))


def graph_of(model: Module, x: Any, hint: str) -> tuple[Graph, dict[str, Type]]:
    """The way forward, and the types of what goes in; `x` is the shape of one row.

    Raises UsageError where that is not known, with this hint.
    """
    known = model.input_types
    if x is None and not known:
        raise UsageError(
            "what goes into the model is not known yet",
            where=type(model).__name__,
            expected="a model that was called or fitted, or the shape of one row",
            received="neither",
            hint=hint,
        )
    rows = Dim.named("n")
    kinds = [Type((rows, *t.shape[1:]), t.dtype) for t in known]
    if x is not None:
        kinds = [Type((rows, *x), model.dtype())]
    inputs = dict(zip(input_names(model)[0], kinds, strict=False))
    return forward_graph(model, inputs), inputs


def _owners(model: Module, names: list[str]) -> dict[str, list[str]]:
    """Parameter names by the path of the module that holds them."""
    paths = {path for path, _ in model.modules()}
    found: dict[str, list[str]] = {}
    for name in names:
        over = name.rpartition(".")[0]
        while over and over not in paths:
            over = over.rpartition(".")[0]
        found.setdefault(over, []).append(name)
    return found


def _in_order(graph: Graph) -> list[str]:
    """The scopes in which something is computed, in that order."""
    nodes = [n for n in graph.nodes() if n.op is not INPUT]
    nodes.sort(key=lambda n: n.origin.seq)
    return list(dict.fromkeys(n.origin.scope for n in nodes))


def _shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    """The shape of the last value that each scope computes, for one row."""
    found = {}
    for node in sorted(graph.nodes(), key=lambda n: n.origin.seq):
        if node.op is not INPUT and node.values[0].type.dtype != "loop":
            found[node.origin.scope] = _one(node.values[0].type.shape)
    return found


def _one(shape: Shape) -> tuple[int, ...]:
    """The shape of one row's part."""
    sizes = [bind(s, {"n": 1}) for s in shape]
    rest = sizes[1:] if shape and isinstance(shape[0], Dim) else sizes
    return tuple([int(str(s)) for s in rest])


def _cost(node: Node) -> int:
    """Multiply-adds of a product of matrices or a convolution, for one row; of a loop, all steps."""
    if node.op is INPUT:
        return 0
    if "loop" in node.op.roles:
        steps = bind(node.attributes["length"], {"n": 1})
        body = node.attributes["body"]
        return int(str(steps)) * sum(_cost(inner) for inner in primitives(body).nodes())
    if node.op.name not in ("matmul", "conv"):
        return 0
    outputs = prod(int(str(bind(s, {"n": 1}))) for s in node.values[0].type.shape)
    right = node.inputs[1].type.shape
    if node.op.name == "matmul":
        return outputs * int(str(bind(node.inputs[0].type.shape[-1], {"n": 1})))
    return outputs * prod(int(str(bind(s, {"n": 1}))) for s in right[1:])
