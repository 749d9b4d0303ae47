"""Random graphs for the tests of passes, text and programs: the same seed, the same graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.ir import FLOATS, INPUT, Graph, Scope, Type, Value, verify
from glassgrad.ops import OPS, Tracer, named
from glassgrad.passes.differentiate import continuing, pull_back_values
from glassgrad.passes.lower import open_up
from glassgrad.tensors.tensor import Tensor, tensor

Array = NDArray[Any]
SHAPES = [(), (3,), (4, 3), (3, 4), (4, 1), (2, 4, 3), (1, 3), (0, 3)]
UNARY = ["negative", "exp", "expm1", "tanh", "sin", "cos", "erf", "absolute", "sign", "relu",
         "sigmoid", "silu", "gelu", "softplus"]  # fmt: skip
BINARY = ["add", "subtract", "multiply", "maximum", "minimum"]


def random_graph(seed: int, gradients: bool = True, dtype: str = "float64") -> Graph:
    """Some thirty nodes over a few inputs, with names and layers, and half the time gradients."""
    rng = np.random.default_rng([23, seed])
    tracer = Tracer()
    known: list[Any] = []
    inputs: dict[str, Value] = {}
    for i in range(rng.integers(2, 5)):
        symbol = tracer.input(f"x{i + 1}", Type(SHAPES[rng.integers(len(SHAPES))], dtype))
        known.append(symbol)
        inputs[f"x{i + 1}"] = symbol.value
    makers = _makers(rng, known)
    for _ in range(rng.integers(6, 20)):
        layer = Scope(f"layer{rng.integers(3)}", "Layer", "y = f(x)", "dx = f' dy")
        with tracer.inside(layer):
            made = makers[rng.integers(len(makers))]()
            if made is None:
                continue
            if rng.random() < 0.3:
                named(made, ["hidden", "score", "w", "b; import os", "class"][rng.integers(5)])
            known.append(made)
    results = [k for k in known if k.dtype in FLOATS]
    picks = {int(i) for i in rng.integers(0, len(results), 3)} | {len(results) - 1}
    outputs = {f"y{i}": results[i].value for i in sorted(picks)}
    graph = verify(Graph(inputs, outputs, scopes=tracer.scopes))
    if not gradients or rng.random() < 0.5:
        return graph
    graph = open_up(graph)
    tracer = continuing(graph)
    inputs = dict(graph.inputs)
    seeds = []
    for name, value in graph.outputs.items():
        inputs[f"c_{name}"] = tracer.input(f"c_{name}", value.type).value
        seeds.append((value, inputs[f"c_{name}"]))
    wrt = [v for k, v in graph.inputs.items() if v.type.dtype in FLOATS]
    found = pull_back_values(tracer, seeds, wrt)
    outputs = {f"d{i}": found[v] for i, v in enumerate(wrt) if v in found}
    return verify(Graph(inputs, {**graph.outputs, **outputs}, scopes=graph.scopes))


def _makers(rng: np.random.Generator, known: list[Any]) -> list[Callable[[], Any]]:
    def one(rank: int = 0) -> Any:
        fits = [k for k in known if k.ndim >= rank and k.dtype in FLOATS]
        return fits[rng.integers(len(fits))] if fits else None

    def unary() -> Any:
        return OPS[UNARY[rng.integers(len(UNARY))]](one() * 0.5)

    def binary() -> Any:
        a, b = one(), one()
        try:
            np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            b = a
        return OPS[BINARY[rng.integers(len(BINARY))]](a, b)

    def number() -> Any:
        return [one() * 2, 1 - one(), one() / 3.0, one() * 1, one() + 0.25, one() ** 2][
            rng.integers(6)
        ]

    def again() -> Any:
        a = one()  # the same thing twice, for who merges equals
        return OPS["tanh"](a) * OPS["tanh"](a) - OPS["tanh"](a)

    def reduced() -> Any:
        a = one(1)
        if a is None:
            return None
        axis = int(rng.integers(a.ndim))
        name = ["sum", "mean", "max"][rng.integers(3)]
        if a.shape[axis] == 0:
            name = "sum"
        return OPS[name](a, axis=axis, keepdims=bool(rng.integers(2)))

    def softened() -> Any:
        a = one(1)
        if a is None or a.shape[-1] == 0:
            return None
        return OPS[["softmax", "log_softmax"][rng.integers(2)]](a, axis=-1)

    def turned() -> Any:
        a = one()
        order = tuple(int(v) for v in rng.permutation(a.ndim))
        return OPS["permute"](a, axes=order)

    def reshaped() -> Any:
        a = one()
        return a.reshape(tuple(reversed(a.shape))).reshape((1, *a.shape) if a.ndim < 3 else a.shape)

    def stretched() -> Any:
        a = one()
        return OPS["broadcast_to"](a, shape=(2, *a.shape)) * 0.5 if a.ndim < 3 else None

    def cut() -> Any:
        a = one(1)
        return None if a is None else a[int(a.shape[0] > 1) :: int(rng.integers(1, 3))]

    def padded() -> Any:
        a = one(1)
        if a is None:
            return None
        widths = ((1, 0, int(rng.integers(2))), *[(0, 0, 0)] * (a.ndim - 1))
        return OPS["pad"](a, widths=widths, value=0) if a.size < 60 else None

    def joined() -> Any:
        a = one(1)
        return None if a is None or a.size > 60 else OPS["concatenate"](a, a * 2.0, a, axis=0)

    def product() -> Any:
        a = one(2)
        return None if a is None else a @ a.swapaxes(-1, -2) * 0.2

    def chosen() -> Any:
        a = one()
        return OPS["select"](a > 0.1, a, 0.3 * a)

    return [unary, unary, binary, binary, number, again, reduced, softened, turned, reshaped,
            stretched, cut, padded, joined, product, chosen]  # fmt: skip


def arrays_for(graph: Graph, seed: int = 0) -> list[Array]:
    """Read-only numbers for the inputs."""
    rng = np.random.default_rng([29, seed])
    found = []
    for v in graph.inputs.values():
        shape = tuple(int(s) for s in v.type.shape)
        a = np.asarray(rng.uniform(-1, 1, shape), v.type.dtype)
        a.flags.writeable = False
        found.append(a)
    return found


def op_by_op(graph: Graph, given: list[Array]) -> list[Array]:
    """The outputs of a graph, each node done eagerly by itself: no text is shared by two."""
    done: dict[Value, Any] = {
        v: tensor(a) for v, a in zip(graph.inputs.values(), given, strict=True)
    }
    for node in graph.nodes():
        if node.op is INPUT:
            continue
        operands = [done[v] for v in node.inputs]
        if "constant" in node.op.roles:
            done[node.values[0]] = node.attributes["value"]
            continue
        if not any(isinstance(x, Tensor) for x in operands):
            operands[0] = tensor(np.array(operands[0], node.inputs[0].type.dtype))
        done[node.values[0]] = node.op(*operands, **node.attributes)
    found = [done[v] for v in graph.outputs.values()]
    return [x.numpy() if isinstance(x, Tensor) else np.asarray(x) for x in found]
