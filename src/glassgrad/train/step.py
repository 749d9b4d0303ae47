"""A training step as a graph: forward, loss, metrics, backward, update."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from glassgrad.engine import Step, check_backend, compile_step
from glassgrad.errors import ShapeError, TraceError, UsageError, shown
from glassgrad.ir import Dim, Graph, Ratio, Scope, Type, Value, print_graph
from glassgrad.nn import losses
from glassgrad.nn.penalties import cost
from glassgrad.nn.tracing import ModuleTracer, trace_forward
from glassgrad.ops import Symbol, named
from glassgrad.ops.movement import zeros
from glassgrad.optim import LBFGS, Optimizer
from glassgrad.passes.differentiate import add_gradients, continuing
from glassgrad.passes.flatten import Part, flatten, layout
from glassgrad.passes.lower import open_up
from glassgrad.passes.positions import index_limits
from glassgrad.tensors.tensor import Buffer, Parameter, tracing

from .guards import ALL, Guards
from .known import Known
from .task import WEIGHT, Head, Task, taken_name
from .update import (
    Group,
    Moment,
    accumulating,
    applying,
    constrained_text,
    evaluating,
    groups_of,
    updated,
)


@dataclass(slots=True)
class Plan:
    """A step ready to run: what it reads, what it changes, and its compiled form."""

    graph: Graph
    step: Step
    data: tuple[str, ...]  # the inputs that have rows; they come first
    parts: tuple[Part, ...]
    moments: tuple[Moment, ...]
    buffers: tuple[str, ...]
    frozen: tuple[str, ...]
    metrics: tuple[tuple[str, int], ...]  # name and count per row
    dtype: str
    outputs: tuple[Type, ...]
    apply: Step | None = None  # the update alone, where gradients are added up first
    divisors: tuple[Any, ...] = ()  # sizes that the step divides by, and the layers that do
    # For each target of class indices how many it may name, and the number that names none.
    classes: dict[str, tuple[int, int | None]] = field(default_factory=dict)

    checked: bool = False  # whether its derivatives were looked at: see `gradients`

    @property
    def size(self) -> int:
        """How many numbers are trained."""
        return self.parts[-1].stop if self.parts else 0


_PLANS: OrderedDict[Any, Plan] = OrderedDict()
_PLAN_LIMIT = 64


@dataclass(slots=True)
class _Written:
    """Forward, loss and metrics on a fresh tracer."""

    tracer: ModuleTracer
    predictions: tuple[Symbol, ...]
    outputs: dict[str, Any]  # loss, then what is counted
    counts: list[int]  # of what is counted, for each row

    @property
    def metrics(self) -> tuple[tuple[str, int], ...]:
        """What is counted beside the loss, and how often for each row."""
        return tuple(zip(list(self.outputs)[1:], self.counts, strict=True))


def written_loss(task: Task, training: bool) -> _Written:
    """Forward pass, loss and metrics of a task, on a fresh tracer."""
    tracer = ModuleTracer()
    inputs, found = trace_forward(tracer, task.model, task.inputs, training)
    _check_outputs(task, inputs[0], found)
    predictions = tuple([found[head.output] for head in task.heads])
    targets = [tracer.input(head.target, head.type) for head in task.heads]
    weight = None
    if task.weighted:
        weight = tracer.input(WEIGHT, Type(inputs[0].shape[:1], predictions[0].dtype))
    of_model = set(tracer.held)
    parts = [
        _loss_of(tracer, head, prediction, target, weight)
        for head, prediction, target in zip(task.heads, predictions, targets, strict=True)
    ]
    loss = _total(tracer, task, parts)
    loss.value.node.origin.name, loss.value.node.origin.inner = "loss", False
    written = _Written(tracer, predictions, {"loss": loss}, [])
    rows = inputs[0].shape[0]
    for head, part in zip(task.heads, parts, strict=True):
        if head.output:
            with tracer.inside(Scope(f"{head.output}_loss")):
                written.outputs[f"{head.output}_loss"] = named(part * rows, f"{head.output}_sum")
            written.counts.append(1)
    for head, prediction, target in zip(task.heads, predictions, targets, strict=True):
        _write_metrics(written, head, prediction, target)
    task.constants.update(
        {
            name: held
            for name, held in tracer.held.items()
            if isinstance(held, Buffer) and name not in of_model and id(held) not in tracer.names
        }
    )
    return written


def _loss_of(tracer: ModuleTracer, head: Head, prediction: Any, target: Any, weight: Any) -> Symbol:
    """What one output loses."""
    path = f"loss_{head.output}" if head.output else "loss"
    scope = Scope(path, *losses.heading(head.loss_name, head.loss))
    with tracer.inside(scope), tracing(tracer):
        if weight is None:
            found = head.loss(prediction, target)
        else:
            each = head.loss(prediction, target, reduction="none")
            found = _weighted(each, weight, losses.over(head.loss) == "sum")
    if not isinstance(found, Symbol) or found.shape != ():
        raise TraceError(
            "a loss gives one number",
            where=head.loss_name,
            expected="a scalar, such as a mean over the batch",
            received=f"shape {found.shape}" if isinstance(found, Symbol) else shown(found),
            hint="reduce it: (...).mean()",
        )
    if head.output:
        named(found, f"{head.output}_loss")
    return found


def _weighted(each: Any, weight: Any, summed: bool) -> Any:
    """The mean (or sum) over rows of each row's loss times its weight."""
    if each.ndim > 1:
        inner = tuple(range(1, each.ndim))
        each = each.sum(axis=inner) if summed else each.mean(axis=inner)
    found = named(named(each, "losses") * weight, "weighted")
    return found.sum() if summed else found.mean()


def _total(tracer: ModuleTracer, task: Task, parts: Sequence[Symbol]) -> Symbol:
    """The losses of all outputs, each with its weight, and what large weights cost."""
    loss = parts[0] if task.heads[0].weight == 1 else parts[0] * task.heads[0].weight
    with tracer.inside(Scope("loss", "the losses of all outputs")):
        for head, part in zip(task.heads[1:], parts[1:], strict=True):
            loss = loss + (part if head.weight == 1 else part * head.weight)
    penalised = [p for p in task.model.named_state().values() if p.regularizer is not None]
    if penalised:
        named(loss, "data_loss")
        with tracer.inside(Scope("penalty", "the cost of large weights")), tracing(tracer):
            costs = [named(cost(p), f"{p.name}_penalty") for p in penalised]
            for each in costs:
                loss = loss + each
    return loss


def _write_metrics(written: _Written, head: Head, prediction: Any, target: Any) -> None:
    for metric in head.metrics:
        name = f"{head.output}_{metric.name}" if head.output else metric.name
        says = "how many rows are right" if metric.name == "accuracy" else ""
        with written.tracer.inside(Scope(name, name, says)):
            total, count = metric.write(prediction, target, head.loss_name)
        origin = total.value.node.origin
        if not origin.name:
            sum_name = "correct" if metric.name == "accuracy" else f"{metric.name}_sum"
            origin.name = f"{head.output}_{sum_name}" if head.output else sum_name
        written.outputs[name] = total
        written.counts.append(count)


def _check_outputs(task: Task, x: Symbol, found: dict[str, Symbol]) -> None:
    """Every output has a target and the other way round, and a result for each row."""
    where = f"{type(task.model).__name__}.forward"
    wanted = [head.output for head in task.heads]
    if set(found) != set(wanted):
        raise ShapeError(
            "the outputs of the network and the targets differ",
            where=where,
            expected=", ".join(f"output {k}" if k else "one output" for k in wanted),
            received=", ".join(f"output {k}" if k else "one output" for k in found),
            hint="several outputs have several targets: y=(y1, y2), or dicts with the same names",
        )
    for output in found.values():
        if output.ndim == 0 or output.shape[0] != x.shape[0]:
            raise ShapeError(
                "the network does not keep one result for each row",
                where=where,
                expected="a result whose first axis is the rows",
                received=f"{x.shape} to {output.shape}",
            )


def _rule_settings(optimizer: Optimizer) -> tuple[Any, ...]:
    """Everything that an update may depend on but the rate, which is an input, and the groups."""
    of_rule = {**optimizer.settings(), **vars(optimizer)}
    names = sorted(k for k in of_rule if k not in ("lr", "schedule", "groups") and k[0] != "_")
    settings = [(name, of_rule[name]) for name in names]
    # A function is held itself: once it is gone, another may have its address, and so its repr.
    told = [(name, repr(v), v if callable(v) else None) for name, v in settings]
    return (type(optimizer), *told)


def _own_names(optimizer: Optimizer) -> set[str]:
    """What a step calls what it keeps beside data and parameters."""
    groups = range(1, len(optimizer.groups) + 2)
    single = optimizer.scalar_state_names
    states = {*optimizer.state_names, *single, *[f"{n}_{i}" for n in single for i in groups]}
    return {"weights", "rate", "rows", "gradient_sum", "average", *states}


_EVERYWHERE = {"step", "seed", "file", "allow_pickle"}  # of the host, and of `np.savez`


def _check_inputs(task: Task, optimizer: Optimizer) -> None:
    """The arguments of forward keep their names in the program and among the stored arrays."""
    of_step = _EVERYWHERE | _own_names(optimizer)
    for name in task.inputs:
        tested_on = name.endswith("_val") and name.removesuffix("_val") in task.data
        if name in of_step or tested_on:
            raise taken_name(f"argument {name} of {type(task.model).__name__}.forward", name)


def _check_names(task: Task, optimizer: Optimizer, state: dict[str, Parameter]) -> None:
    """What is not trained keeps its name in the program, and all are saved by name."""
    of_step = _own_names(optimizer)
    for name, p in state.items():
        if name in {"x", "y", *_EVERYWHERE, *task.data} or (
            name in of_step and not p.requires_grad
        ):
            raise taken_name(f"parameter {name} of {type(task.model).__name__}", name)


def training_plan(
    task: Task,
    optimizer: Optimizer,
    backend: str = "auto",
    recompute: bool = False,
    guards: Guards = ALL,
) -> Plan:
    """The compiled training step; equal structures share one."""
    backend = check_backend(backend)
    familiar = Known(
        task, "train", backend, recompute, guards.reach, guards.finite, optimizer=optimizer
    )
    plan = familiar.plan()
    if plan is None:
        tracer, plan = _traced_plan(task, optimizer, backend, recompute, guards)
        familiar.keep(plan, tracer)
    return plan


def _traced_plan(
    task: Task, optimizer: Optimizer, backend: str, recompute: bool, guards: Guards
) -> tuple[ModuleTracer, Plan]:
    """The plan of a network that is traced; equal graphs share one."""
    _check_inputs(task, optimizer)
    written = written_loss(task, training=True)
    forward = written.tracer.graph(written.outputs)
    state = task.state()
    _check_names(task, optimizer, state)
    trained = [n for n, p in state.items() if p.requires_grad and n in forward.inputs]
    _check_held(forward, state)
    if guards.reach:
        _check_reached(forward, trained, state)
    if not trained:
        raise _nothing_to_train(task)
    groups = groups_of(optimizer, {n: state[n] for n in trained})
    constraints = {n: c for n in trained if (c := state[n].constraint) is not None}
    key = (
        "train",
        backend,
        recompute,
        guards.reach,
        guards.finite,
        print_graph(forward),
        tuple(trained),
        tuple([(_rule_settings(g.optimizer), g.factor, g.names) for g in groups]),
        tuple([constrained_text(n, state[n].array_type, c) for n, c in constraints.items()]),
    )
    known = _PLANS.get(key)
    if known is not None:
        _PLANS.move_to_end(key)
        return written.tracer, known
    graph, parts = _differentiated(forward, groups, guards.reach)
    returns = tuple(written.outputs)
    apply = None
    moments: tuple[Moment, ...] = ()
    if isinstance(optimizer, LBFGS):
        graph = evaluating(graph, task.data, parts)
        returns = (*returns, "gradient")
    elif optimizer.gradient_accumulation_steps is None:
        graph, moments = updated(graph, task.data, parts, groups, constraints)
    else:
        graph, sum_of = accumulating(graph, task.data, parts)
        update, moments = applying(graph, parts, groups, constraints)
        moments = (sum_of, *moments)
        apply = compile_step(update, "update", returns=(), backend=backend)
    if not guards.finite:
        graph.guard = ()
    plan = Plan(
        graph=graph,
        step=compile_step(
            graph, "train_step", returns=returns, backend=backend, recompute=recompute
        ),
        data=task.data,
        parts=parts,
        moments=moments,
        buffers=_of_role(graph, "buffer"),
        frozen=tuple([n for n in _of_role(graph, "parameter") if n != "weights"]),
        metrics=written.metrics,
        dtype=graph.inputs["weights"].type.dtype,
        outputs=tuple([p.value.type for p in written.predictions]),
        apply=apply,
        divisors=_divisors(graph),
        classes=_classes(forward, task),
    )
    return written.tracer, _remembered(key, plan)


def _divisors(graph: Graph) -> tuple[tuple[str, Any], ...]:
    """What depends on the number of rows and is divided by, with the layers that do so."""
    found = []
    for node in graph.nodes():
        value = node.attributes.get("value")
        if isinstance(value, Ratio) and isinstance(value.divisor, Dim):
            found.append((node.origin.scope or "the step", value.divisor))
    return tuple(found)


def _classes(forward: Graph, task: Task) -> dict[str, tuple[int, int | None]]:
    """For each target of class indices how many it may name, and the number that names none."""
    targets = {head.target for head in task.heads}
    return {name: limit for name, limit in index_limits(forward).items() if name in targets}


def evaluation_plan(task: Task, parts: Sequence[Part], backend: str = "auto") -> Plan:
    """Loss and metrics in evaluation, on the same vector of weights."""
    backend = check_backend(backend)
    familiar = Known(task, "evaluate", backend, tuple(parts))
    plan = familiar.plan()
    if plan is None:
        tracer, plan = _traced_evaluation(task, parts, backend)
        familiar.keep(plan, tracer)
    return plan


def _traced_evaluation(
    task: Task, parts: Sequence[Part], backend: str
) -> tuple[ModuleTracer, Plan]:
    written = written_loss(task, training=False)
    forward = written.tracer.graph(written.outputs, training=False)
    key = ("evaluate", backend, print_graph(forward), tuple(parts))
    known = _PLANS.get(key)
    if known is not None:
        _PLANS.move_to_end(key)
        return written.tracer, known
    graph = _flat(forward, parts)
    # As the training step takes them: data, weights, then what layers keep, in their own order.
    order = [*task.data, "weights", *task.state()]
    names = [n for n in order if n in graph.inputs] + [n for n in graph.inputs if n not in order]
    graph.inputs = {name: graph.inputs[name] for name in names}
    returns = tuple(written.outputs)
    plan = Plan(
        graph=graph,
        step=compile_step(graph, "evaluate", returns=returns, backend=backend),
        data=task.data,
        parts=tuple(parts),
        moments=(),
        buffers=_of_role(graph, "buffer"),
        frozen=tuple([n for n in _of_role(graph, "parameter") if n != "weights"]),
        metrics=written.metrics,
        dtype=written.predictions[0].dtype,
        outputs=tuple([p.value.type for p in written.predictions]),
        classes=_classes(forward, task),
    )
    return written.tracer, _remembered(key, plan)


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


def _check_reached(forward: Graph, trained: Sequence[str], state: dict[str, Parameter]) -> None:
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


def _nothing_to_train(task: Task) -> UsageError:
    return UsageError(
        "there is nothing to train",
        where=type(task.model).__name__,
        expected="a model with at least one trainable parameter that forward uses",
        received="none",
    )


def _differentiated(
    forward: Graph, groups: Sequence[Group], reach: bool
) -> tuple[Graph, tuple[Part, ...]]:
    """The graph with its gradients, on a vector of weights in which each group is one piece.

    What does not reach the loss is an error, or has a gradient of zeros where that is allowed.
    """
    trained = [name for group in groups for name in group.names]
    graph = open_up(forward)
    gradients = add_gradients(
        graph, graph.outputs["loss"], [graph.inputs[name] for name in trained]
    )
    missing = [name for name, g in zip(trained, gradients, strict=True) if g is None]
    if missing and reach:
        raise UsageError(
            "some parameters do not reach the loss",
            where=", ".join(missing),
            expected="a way of derivatives from the loss to every trainable parameter",
            received="a dead end: comparisons, argmax and casts to whole numbers have none",
        )
    for name, gradient in zip(trained, gradients, strict=True):
        graph.outputs[f"gradient of {name}"] = gradient or _no_gradient(graph, graph.inputs[name])
    parts = layout(graph, [n for group in groups for n in _in_vector(graph, group.names)])
    return _flat(graph, parts), parts


def _no_gradient(graph: Graph, of: Value) -> Value:
    """Zeros, for what the loss does not depend on."""
    tracer = continuing(graph)
    with tracer.during("backward", ""):
        found: Value = zeros(of.type.shape, of.type.dtype, tracer.symbol(of)).value
    return found


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
