"""Every value of a step and its derivative, kept: what an explanation is made from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.engine import compile_graph, fresh_names
from glassgrad.errors import ConfigError, UsageError, shown, whole_number
from glassgrad.ir import FLOATS, INPUT, Graph, Node, Scope, Value
from glassgrad.nn.module import Module, drawing_with
from glassgrad.passes.differentiate import continuing, pull_back_values
from glassgrad.passes.lower import lower, open_up
from glassgrad.passes.unroll import unrolled
from glassgrad.passes.widen import widened
from glassgrad.tensors.random import checked_seed
from glassgrad.tensors.room import check_room
from glassgrad.train import batches
from glassgrad.train.step import written_loss
from glassgrad.train.task import Intake, Task, checked_data, make_task, wish

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Recording:
    """The graph of a step with sizes that are numbers, and the array of every value in it.

    `gradients` says which value is the derivative of the loss in another. `names` are what both are
    called; a derivative is `d_` and the name of what it is of.
    """

    task: Task
    graph: Graph
    loss: Value
    predictions: tuple[Value, ...]  # of the outputs that have a target
    arguments: dict[str, Any]  # what the inputs of the graph were
    arrays: dict[Value, Array]
    gradients: dict[Value, Value]
    names: dict[Value, str]
    rows: int

    def gradient(self, value: Value) -> Array | None:
        """The derivative of the loss in every number of a value; None where there is none."""
        found = self.gradients.get(value)
        return None if found is None else self.arrays[found]

    @property
    def scopes(self) -> dict[str, Scope]:
        """Layers by their paths."""
        return self.graph.scopes

    def forward(self) -> list[Node]:
        """The nodes of the way forward, in the order they were written."""
        nodes = [n for n in self.graph.nodes() if n.origin.phase == "forward"]
        return sorted(nodes, key=lambda n: n.origin.seq)

    def readers(self) -> dict[Value, list[Node]]:
        """The nodes of the way forward that read a value, in the same order."""
        found: dict[Value, list[Node]] = {}
        for node in self.forward():
            for value in dict.fromkeys(node.inputs):
                found.setdefault(value, []).append(node)
        return found


def recorded(
    model: Module,
    x: Any,
    y: Any,
    *,
    loss: Any,
    loss_weights: Any = None,
    sample_weight: Any = None,
    training: bool = True,
    seed: int | None = 0,
    step: int = 1,
    held: Mapping[str, Any] | None = None,
) -> Recording:
    """Run one step on these rows, forward and backward, and keep everything.

    What is `held` by name, as in the `arguments` of an earlier recording, stands for what the model
    and the data hold now.
    What it draws is what step number `step` of a run with this seed draws. Raises what `fit` raises
    for data, losses and networks that do not fit, NoMemoryError for more rows than there is room for.
    """
    if not isinstance(model, Module):
        raise UsageError("this is not a model", expected="an nn.Module", received=shown(model))
    count = whole_number(step)
    if count is None or not 1 <= count < 2**62:
        raise ConfigError(
            "step is out of range", expected="a whole number from 1", received=shown(step)
        )
    wished = wish(y, loss, loss_weights, ())
    taken = Intake(model)
    data = checked_data(taken, x, y, wished, sample_weight=sample_weight)
    rows = len(next(iter(data.values())))
    number = checked_seed(seed)
    with drawing_with(number):
        task = make_task(taken, wished, data)
        written = written_loss(task, training)
    by_head = {f"prediction{i}": p for i, p in enumerate(written.predictions)}
    outputs = {"loss": written.outputs["loss"], **by_head}
    traced = unrolled(written.tracer.graph(outputs), {"n": rows})
    drawn = lower(open_up(traced), lambda op: "random" not in op.roles)
    # In float64, from the network's own numbers: then every sum that is shown adds up.
    graph = widened(drawn, same_draws=True)
    of = graph.outputs["loss"]
    tracer = continuing(graph)
    wanted = [v for n in graph.nodes() for v in n.values if v.type.dtype in FLOATS]
    with tracer.during("backward", of.node.origin.scope):
        one = tracer.constant(1, of.type.dtype).value
    found = pull_back_values(tracer, [(of, one)], wanted)
    gradients = {v: found[v] for v in wanted if v in found}
    ends = {f"d{i}": v for i, v in enumerate(gradients.values())}
    predictions = tuple([graph.outputs[name] for name in by_head])
    graph = Graph(graph.inputs, {**graph.outputs, **ends}, scopes=tracer.scopes)
    own = {n: p.numpy() for n, p in task.state().items()}
    by_name = {"seed": number, "step": step, **own, **data, **(held or {})}
    arguments = [
        np.asarray(by_name[n], v.type.dtype) if v.type.shape else by_name[n]
        for n, v in graph.inputs.items()
    ]
    names = _names(graph, gradients)
    _check_room(graph, rows)
    with batches.positions_inside():
        arrays = _run(graph, arguments)
    called = dict(zip(graph.inputs, arguments, strict=True))
    return Recording(task, graph, of, predictions, called, arrays, gradients, names, rows)


def _check_room(graph: Graph, rows: int) -> None:
    """Every value is kept: raises NoMemoryError where that is more than there is."""
    own = [n for n in graph.nodes() if n.op is not INPUT and n.op.result == "fresh"]
    types = [v.type for n in own for v in n.values]
    size = sum(
        [math.prod([int(str(s)) for s in t.shape]) * np.dtype(t.dtype).itemsize for t in types]
    )
    check_room(size, f"explain, {rows:,} rows", "every value of the step and its derivative")


def _run(graph: Graph, arguments: list[Any]) -> dict[Value, Array]:
    """The array of every value of a graph."""
    every = [v for n in graph.nodes() if n.op is not INPUT for v in n.values]
    with np.errstate(all="ignore"):
        found = compile_graph(Graph(graph.inputs, {f"v{i}": v for i, v in enumerate(every)}))(
            *arguments
        )
    results = found if isinstance(found, tuple) else (found,)
    arrays = {}
    for value, result in itertools.chain(
        zip(every, results, strict=True), zip(graph.inputs.values(), arguments, strict=True)
    ):
        array = np.asarray(result, value.type.dtype)
        shape = tuple([int(str(s)) for s in value.type.shape])
        arrays[value] = array if array.shape == shape else np.broadcast_to(array, shape)
    return arrays


def _names(graph: Graph, gradients: dict[Value, Value]) -> dict[Value, str]:
    """A name for every value: its own, or that of its op with a number where nobody has it."""
    names = fresh_names()
    found: dict[Value, str] = {}
    derivatives = set(gradients.values())
    for node in sorted(graph.nodes(), key=lambda n: (not n.origin.name, n.origin.seq)):
        for value in node.values:
            if value not in derivatives:
                wished = node.origin.name or node.op.name
                found[value] = names.take(wished if len(node.values) == 1 else f"{wished}_part")
    # Two values may share one derivative, as a sum and what is added do: the last gives the name.
    for value in reversed(gradients):
        if gradients[value] not in found:
            found[gradients[value]] = names.take(f"d_{found[value]}")
    return found
