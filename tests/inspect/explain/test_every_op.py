"""Every op's numbers are what their forms show: samples of all records, forward and back."""

from __future__ import annotations

import math

import numpy as np
import pytest

from glassgrad.engine import compile_graph
from glassgrad.inspect.explain.forms import Form, form
from glassgrad.ir import FLOATS, INPUT, Graph
from tests.ops.harness import Case, cases, differentiable, gradient_graph, op_graph

TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
LOOPS = {"scan", "last", "stack", "call"}  # an explanation has them written out


def check(graph: Graph, arguments: list[object], dtype: str, seed: int) -> list[Form]:
    """A form for some numbers of every value of a graph."""
    nodes = [n for n in graph.nodes() if n.op is not INPUT]
    every = {f"v{i}_{v.index}": v for i, n in enumerate(nodes) for v in n.values}
    if not every:  # a derivative that is the one it was given
        return []
    with np.errstate(all="ignore"):
        found = compile_graph(Graph(graph.inputs, every))(*arguments)
    results = found if isinstance(found, tuple) else (found,)
    known = dict(zip(every.values(), results, strict=True))
    known.update(zip(graph.inputs.values(), arguments, strict=True))
    arrays = {
        v: np.broadcast_to(np.asarray(a, v.type.dtype), [int(str(s)) for s in v.type.shape])
        for v, a in known.items()
    }
    rng, forms = np.random.default_rng(seed), []
    for node in nodes:
        for value in node.values:
            array = arrays[value]
            if value.type.dtype not in FLOATS or not array.size:
                continue
            for _ in range(3):
                at = tuple([int(rng.integers(s)) for s in array.shape])
                made = form(node, [arrays[v] for v in node.inputs], array, at, value.index)
                forms.append(made)
                for each in (made, *made.steps):
                    if math.isfinite(each.value):
                        off = abs(each.recomputed - each.value)
                        room = TOLERANCE[dtype] * each.scale + float(np.finfo(dtype).tiny)
                        assert off <= room, (node.op.name, each.node.op.name, at, each)
    return forms


@pytest.mark.parametrize("case", cases("float32", "float64", only=lambda op: op.name not in LOOPS))
def test_a_number_of_any_op_is_recomputed_from_its_form(case: Case) -> None:
    check(op_graph(case), list(case.arrays), case.dtype, case.seed)


@pytest.mark.parametrize(
    "case",
    cases("float64", only=lambda op: op.name not in LOOPS and differentiable(op)),
)
def test_a_derivative_of_any_op_is_recomputed_from_its_forms(case: Case) -> None:
    graph = gradient_graph(case, opened=True)
    arguments: list[object] = [*case.arrays, case.cotangent]
    check(graph, arguments[: len(graph.inputs)], case.dtype, case.seed)
