"""A training step as a graph: forward, loss, metrics, backward, update."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from glassgrad.engine import Step, compile_step
from glassgrad.errors import ConfigError, ShapeError, TraceError, UsageError, shown
from glassgrad.ir import Dim, Graph, Ratio, Scope, Type, print_graph
from glassgrad.nn import losses
from glassgrad.nn.module import Module
from glassgrad.nn.tracing import ModuleTracer, trace_forward
from glassgrad.ops import OPS, Symbol
from glassgrad.optim import Optimizer
from glassgrad.passes.differentiate import add_gradients, continuing
from glassgrad.passes.flatten import Part, flatten, layout
from glassgrad.passes.lower import open_up
from glassgrad.tensors.tensor import Parameter, tracing

from .metrics import Metric

ROWS = Dim.named("n")


@dataclass(slots=True)
class Task:
    """What is trained: the model, the types of its data, the loss, the metrics."""

    model: Module
    x: Type  # with the number of rows as a name
    y: Type
    loss_name: str
    loss: Callable[[Any, Any], Any]
    metrics: tuple[Metric, ...]


@dataclass(slots=True)
class Plan:
    """A step ready to run: what it reads, what it changes, and its compiled form."""

    graph: Graph
    step: Step
    parts: tuple[Part, ...]
    moments: tuple[str, ...]
    buffers: tuple[str, ...]
    frozen: tuple[str, ...]
    metrics: tuple[tuple[str, int], ...]  # name and count per row
    dtype: str
    outputs: Type
    divisors: tuple[Any, ...] = ()  # sizes that the step divides by, and the layers that do
    classes: int = 0  # how many classes the target's whole numbers may name; 0 for no limit

    @property
    def size(self) -> int:
        """How many numbers are trained."""
        return self.parts[-1].stop if self.parts else 0


_PLANS: OrderedDict[Any, Plan] = OrderedDict()
_PLAN_LIMIT = 64


def _write_loss(
    task: Task, training: bool
) -> tuple[ModuleTracer, Symbol, Symbol, dict[str, Any], list[int]]:
    """Forward, loss and metrics on a fresh tracer."""
    tracer = ModuleTracer()
    (x,), prediction = trace_forward(tracer, task.model, {"x": task.x}, training)
    _check_rows(task, x, prediction)
    y = tracer.input("y", task.y)
    ours = losses.known(task.loss_name)
    title, plain = (ours.title, OPS[ours.op].plain) if ours else (task.loss_name, ("", ""))
    scope = Scope("loss", title.strip("<>"), *plain)
    with tracer.inside(scope), tracing(tracer):
        loss = task.loss(prediction, y)
    if not isinstance(loss, Symbol) or loss.shape != ():
        raise TraceError(
            "a loss gives one number",
            where=task.loss_name,
            expected="a scalar, such as a mean over the batch",
            received=f"shape {loss.shape}" if isinstance(loss, Symbol) else shown(loss),
            hint="reduce it: (...).mean()",
        )
    loss.value.node.origin.name, loss.value.node.origin.inner = "loss", False
    outputs: dict[str, Any] = {"loss": loss}
    counts = []
    for metric in task.metrics:
        says = "how many rows are right" if metric.name == "accuracy" else ""
        with tracer.inside(Scope(metric.name, metric.name, says)):
            total, count = metric.write(prediction, y, task.loss_name)
        origin = total.value.node.origin
        if not origin.name:
            origin.name = "correct" if metric.name == "accuracy" else f"{metric.name}_sum"
        outputs[metric.name] = total
        counts.append(count)
    return tracer, prediction, loss, outputs, counts


def _check_rows(task: Task, x: Symbol, prediction: Symbol) -> None:
    if prediction.ndim == 0 or prediction.shape[0] != x.shape[0]:
        raise ShapeError(
            "the network does not keep one result for each row",
            where=f"{type(task.model).__name__}.forward",
            expected="a result whose first axis is the rows",
            received=f"{x.shape} to {prediction.shape}",
        )


def _rule_settings(optimizer: Optimizer) -> tuple[tuple[str, str], ...]:
    """Everything but the rate that an optimiser's rule may depend on."""
    held = {**optimizer.settings(), **vars(optimizer)}
    return tuple(sorted((k, repr(v)) for k, v in held.items() if k != "lr" and k[0] != "_"))


def _check_names(task: Task, optimizer: Optimizer, state: dict[str, Parameter]) -> None:
    """What is not trained keeps its name in the program, and all are saved by name."""
    of_step = {"weights", "rate", *optimizer.state_names}
    for name, p in state.items():
        if name in ("x", "y", "step", "seed", "file", "allow_pickle") or (
            name in of_step and not p.requires_grad
        ):
            raise ConfigError(
                "a training step has a variable of this name already",
                where=f"parameter {name} of {type(task.model).__name__}",
                expected="another name for an attribute of the network itself",
                received=name,
                hint=f"call it {name}_ or my_{name}",
            )


def training_plan(task: Task, optimizer: Optimizer) -> Plan:
    """The compiled training step; equal structures share one."""
    tracer, prediction, _, outputs, counts = _write_loss(task, training=True)
    forward = tracer.graph(outputs)
    state = task.model.named_state()
    _check_names(task, optimizer, state)
    trained = [n for n, p in state.items() if p.requires_grad and n in forward.inputs]
    _check_held(forward, state)
    _check_reached(task, forward, trained, state)
    key = (
        "train",
        print_graph(forward),
        tuple(trained),
        type(optimizer),
        _rule_settings(optimizer),
    )
    known = _PLANS.get(key)
    if known is not None:
        _PLANS.move_to_end(key)
        return known
    graph, parts = _differentiated(forward, trained)
    graph, moments = _updated(graph, parts, optimizer)
    plan = Plan(
        graph=graph,
        step=compile_step(graph, "train_step", returns=("loss", *[m.name for m in task.metrics])),
        parts=parts,
        moments=moments,
        buffers=_of_role(graph, "buffer"),
        frozen=tuple([n for n in _of_role(graph, "parameter") if n != "weights"]),
        metrics=tuple(zip([m.name for m in task.metrics], counts, strict=True)),
        dtype=graph.inputs["weights"].type.dtype,
        outputs=prediction.value.type,
        divisors=_divisors(graph),
        classes=_classes(forward),
    )
    return _remembered(key, plan)


def _divisors(graph: Graph) -> tuple[tuple[str, Any], ...]:
    """What depends on the number of rows and is divided by, with the layers that do so."""
    found = []
    for node in graph.nodes():
        value = node.attributes.get("value")
        if isinstance(value, Ratio) and isinstance(value.divisor, Dim):
            found.append((node.origin.scope or "the step", value.divisor))
    return tuple(found)


def _classes(forward: Graph) -> int:
    """The smallest number of scores that a target is an index into, 0 where it is none."""
    target = forward.inputs.get("y")
    if target is None or target.type.dtype != "int64":
        return 0
    found = []
    for node in forward.nodes():
        if node.op.name in ("cross_entropy", "pick") and len(node.inputs) > 1:
            index = node.inputs[1]
            while index.node.inputs and index.node.op.result == "view":
                index = index.node.inputs[0]
            size = node.inputs[0].type.shape[-1]
            if index is target and isinstance(size, int):
                found.append(size)
    return min(found, default=0)


def evaluation_plan(task: Task, parts: Sequence[Part]) -> Plan:
    """Loss and metrics in evaluation, on the same vector of weights."""
    tracer, prediction, _, outputs, counts = _write_loss(task, training=False)
    forward = tracer.graph(outputs, training=False)
    key = ("evaluate", print_graph(forward), tuple(parts))
    known = _PLANS.get(key)
    if known is not None:
        return known
    graph = _flat(forward, parts)
    # As the training step takes them: data, weights, then what layers keep, in their own order.
    order = ["x", "y", "weights", *task.model.named_state()]
    names = [n for n in order if n in graph.inputs] + [n for n in graph.inputs if n not in order]
    graph.inputs = {name: graph.inputs[name] for name in names}
    plan = Plan(
        graph=graph,
        step=compile_step(graph, "evaluate", returns=tuple(outputs)),
        parts=tuple(parts),
        moments=(),
        buffers=_of_role(graph, "buffer"),
        frozen=tuple([n for n in _of_role(graph, "parameter") if n != "weights"]),
        metrics=tuple(zip([m.name for m in task.metrics], counts, strict=True)),
        dtype=prediction.dtype,
        outputs=prediction.value.type,
        classes=_classes(forward),
    )
    return _remembered(key, plan)


def _remembered(key: Any, plan: Plan) -> Plan:
    if len(_PLANS) >= _PLAN_LIMIT:
        _PLANS.popitem(last=False)
    _PLANS[key] = plan
    return plan


def _of_role(graph: Graph, role: str) -> tuple[str, ...]:
    return tuple([n for n, v in graph.inputs.items() if v.node.attributes["role"] == role])


def _check_held(forward: Graph, state: dict[str, Parameter]) -> None:
    """Every parameter and buffer of the step is the model's own, and only buffers are assigned."""
    for role in ("parameter", "buffer"):
        for name in _of_role(forward, role):
            if name not in state:
                raise UsageError(
                    "a parameter is used that the model does not hold",
                    where=name,
                    expected="parameters and modules kept as attributes, or in a list or tuple of "
                    "modules",
                    received="one that named_state() does not know",
                    hint="keep it as self.name, and what a loss needs in the model",
                )
    for name in forward.state:
        if state[name].requires_grad:
            raise UsageError(
                "a parameter that is trained is assigned to in forward",
                where=name,
                expected="buffers, which training does not change",
                received="an assignment beside the optimiser's",
                hint="make it an nn.Buffer, or set requires_grad = False",
            )


def _check_reached(
    task: Task, forward: Graph, trained: Sequence[str], state: dict[str, Parameter]
) -> None:
    """Every parameter that is to be trained takes part in the forward pass."""
    unused = [name for name, p in state.items() if p.requires_grad and name not in forward.inputs]
    if unused:
        raise UsageError(
            "some parameters do not reach the loss",
            where=", ".join(unused),
            expected="every trainable parameter used by forward",
            received=f"{len(unused)} of {len(unused) + len(trained)} unused",
            hint="use them, remove them, or set requires_grad = False",
        )
    if not trained:
        raise UsageError(
            "there is nothing to train",
            where=type(task.model).__name__,
            expected="a model with at least one trainable parameter",
            received="none",
        )


def _differentiated(forward: Graph, trained: Sequence[str]) -> tuple[Graph, tuple[Part, ...]]:
    graph = open_up(forward)
    gradients = add_gradients(
        graph, graph.outputs["loss"], [graph.inputs[name] for name in trained]
    )
    missing = [name for name, g in zip(trained, gradients, strict=True) if g is None]
    if missing:
        raise UsageError(
            "some parameters do not reach the loss",
            where=", ".join(missing),
            expected="a way of derivatives from the loss to every trainable parameter",
            received="a dead end: comparisons, argmax and casts to whole numbers have none",
        )
    for name, gradient in zip(trained, gradients, strict=True):
        assert gradient is not None
        graph.outputs[f"gradient of {name}"] = gradient
    parts = layout(graph, _in_vector(graph, trained))
    return _flat(graph, parts), parts


def _in_vector(graph: Graph, names: Sequence[str]) -> list[str]:
    """The order in the vector of weights: layer by layer, in a layer the smaller first.

    A large gradient that begins the vector is copied to an array that glibc puts just behind it,
    at the same place of its pages but for 16 bytes: loads then wait for stores they have nothing
    to do with (4 KiB aliasing), and 784 x 128 numbers take 140 microseconds instead of 11. A
    bias in front of the weight is all it takes.
    """
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    return sorted(
        names,
        key=lambda n: (layers.index(n.rpartition(".")[0]), int(graph.inputs[n].type.size)),
    )


def _flat(graph: Graph, parts: Sequence[Part]) -> Graph:
    present = [p for p in parts if p.name in graph.inputs]
    if not present:
        return graph
    scope = Scope("parameters", "views into one vector: what updates it updates them all")
    return flatten(graph, parts, "weights", scope)


def _updated(
    graph: Graph, parts: Sequence[Part], optimizer: Optimizer
) -> tuple[Graph, tuple[str, ...]]:
    tracer = continuing(graph)
    w = tracer.symbol(graph.inputs["weights"])
    moments = {name: tracer.input(name, w.value.type, "moment") for name in optimizer.state_names}
    hosts = {n: v for n, v in graph.inputs.items() if v.node.attributes["role"] == "host"}
    rate = tracer.input("rate", Type((), "float64"), "host")
    step = (
        tracer.symbol(hosts["step"])
        if "step" in hosts
        else tracer.input("step", Type((), "float64"), "host")
    )
    with tracer.during("update", "update"):
        each = [
            tracer.symbol(graph.outputs.pop(f"gradient of {part.name}")).reshape(-1)
            for part in parts
        ]
        gradient = OPS["concatenate"](*each, axis=0) if len(each) > 1 else each[0]
        if gradient.value.node.origin.phase == "update":
            gradient.value.node.origin.name = "gradient"
        new, state = optimizer.rule(w, gradient, tuple(moments.values()), rate, step)
    tracer.scopes["update"] = Scope("update", optimizer.title, optimizer.formula)
    outputs = {**graph.outputs, "gradient": gradient.value, "weights.next": new.value}
    changes = {**graph.state, "weights": "weights.next"}
    for name, value in zip(moments, state, strict=True):
        outputs[f"{name}.next"] = value.value
        changes[name] = f"{name}.next"
    data = {n: v for n, v in graph.inputs.items() if n not in hosts}
    inputs = {
        **data,
        **{n: s.value for n, s in moments.items()},
        "rate": rate.value,
        "step": step.value,
        **{n: v for n, v in hosts.items() if n != "step"},
    }
    if not any(step.value in node.inputs for node in Graph(inputs, outputs).nodes()):
        del inputs["step"]
    order = {k: inputs[k] for k in ("x", "y", *[k for k in inputs if k not in ("x", "y")])}
    return (
        Graph(order, outputs, changes, tracer.scopes, guard=("loss", "gradient")),
        tuple(moments),
    )
