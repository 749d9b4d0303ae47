"""The NumPy text that the library itself writes: of an op, a layer, an optimiser, forward and back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from glassgrad import nn, optim
from glassgrad.backends.numpy_source import build
from glassgrad.errors import GlassgradError, UsageError
from glassgrad.ir import FLOATS, Dim, Graph, Op, Type, Value
from glassgrad.nn.tracing import ModuleTracer, input_names, trace_forward
from glassgrad.ops import Draw, Sample, Symbol, Tracer
from glassgrad.passes.differentiate import continuing, pull_back_values
from glassgrad.passes.lower import open_up, primitives

DTYPE = "float32"


@dataclass(frozen=True)
class Program:
    """A text, and which of the inputs have a derivative in it."""

    text: str
    helpers: tuple[str, ...]  # what it calls beside NumPy
    derived: tuple[str, ...]
    same: tuple[str, ...] = ()  # those whose derivative is that of the result, as it is


def _written(graph: Graph, name: str, derived: Sequence[str] = (), banners: bool = True) -> Program:
    function = build.write_function(build.lowered(graph), name, banners=banners)
    text = build.function_text(function)
    return Program(text, tuple(build.helpers_used(text)), tuple(derived))


# -- ops ---------------------------------------------------------------------------------------


def types_of(sample: Sample) -> tuple[Type | float, ...]:
    """What the operands of a sample are."""
    kinds = {"bool": "bool", "int": "int64"}
    return tuple(
        Type(d.shape, kinds.get(d.kind, DTYPE)) if isinstance(d, Draw) else d
        for d in sample.operands
    )


def plain_sample(op: Op) -> Sample | None:
    """The first sample without anything special about it; else the first of all."""

    def plain(sample: Sample) -> bool:
        draws = [d for d in sample.operands if isinstance(d, Draw)]
        usual = all(d.order == "C" and 0 not in d.shape and 1 not in d.shape for d in draws)
        return usual and bool(draws) and draws[0].shape != () and len(draws) == len(sample.operands)

    samples: tuple[Sample, ...] = op.samples
    return next((s for s in samples if plain(s)), samples[0] if samples else None)


def operand_names(op: Op, count: int) -> list[str]:
    """A name for each operand; those there may be many of are numbered."""
    fixed = [n for n in op.inputs if not n.startswith("*")]
    if len(op.inputs) == len(fixed):
        return fixed
    many = op.inputs[-1][1:].removesuffix("s")
    more = count - len(fixed)
    return fixed + ([many] if more == 1 else [f"{many}{i + 1}" for i in range(more)])


def result_name(op: Op) -> str:
    """What the result is called: y, unless an operand is."""
    return next(n for n in ("y", "z", "out") if n not in op.inputs)


def op_graph(op: Op, sample: Sample) -> Graph:
    """The op on inputs like the sample's, and nothing else."""
    tracer = Tracer()
    names = operand_names(op, len(sample.operands))
    operands = [
        tracer.input(name, kind) if isinstance(kind, Type) else kind
        for name, kind in zip(names, types_of(sample), strict=True)
    ]
    y = op(*operands, **sample.attributes)
    y.value.node.origin.name = result_name(op)
    return Graph(
        {s.value.node.attributes["name"]: s.value for s in tracer.declared},
        {result_name(op): y.value},
    )


def result_type(op: Op, sample: Sample) -> Type:
    """What the type rule says of a sample."""
    (value,) = op_graph(op, sample).outputs.values()
    return value.type


def op_program(op: Op, sample: Sample) -> Program:
    """The op and the derivatives of its operands, as one function."""
    graph = op_graph(op, sample)
    name, y = next(iter(graph.outputs.items()))
    tracer = continuing(graph)
    seed = f"d_{name}"
    real = [n for n, v in graph.inputs.items() if v.type.dtype in FLOATS]
    derived: dict[str, Value] = {}
    inputs = dict(graph.inputs)
    if y.type.dtype in FLOATS and op.vjp is not None and any(op.vjp):
        with tracer.during("backward"):
            d_y = tracer.input(seed, y.type).value
        opened = open_up(Graph({**inputs, seed: d_y}, dict(graph.outputs)))
        inputs = dict(opened.inputs)
        y = opened.outputs[name]
        tracer = continuing(opened)
        with tracer.during("backward"):
            found = pull_back_values(tracer, [(y, inputs[seed])], [inputs[n] for n in real])
        derived = {n: found[inputs[n]] for n in real if inputs[n] in found}
        if not derived:
            del inputs[seed]
    for n, value in derived.items():
        value.node.origin.name = value.node.origin.name or f"d_{n}"
    outputs = {name: y, **{f"d_{n}": v for n, v in derived.items()}}
    same = tuple([n for n, value in derived.items() if value is inputs.get(seed)])
    return replace(_written(Graph(inputs, outputs), op.name, list(derived)), same=same)


def expansion(op: Op, sample: Sample) -> Program:
    """The forward pass in primitives alone."""
    return _written(primitives(op_graph(op, sample)), op.name, banners=False)


def made_of(op: Op, sample: Sample) -> list[str]:
    """The ops that a composite writes, one level down, each once."""
    if op.expand is None:
        return []
    tracer = Tracer()
    names = operand_names(op, len(sample.operands))
    operands = [
        tracer.input(name, kind) if isinstance(kind, Type) else tracer.constant(kind, DTYPE)
        for name, kind in zip(names, types_of(sample), strict=True)
    ]
    attributes = op.normal(tuple(operands), sample.attributes) if op.attributes else {}
    found = op.expand(*operands, **attributes)
    nodes = Graph({}, {"y": found.value}).nodes()
    roles = {n.op.name: n.op.roles for n in nodes if n.op.family}
    return [name for name, r in roles.items() if "constant" not in r]


def refusals(op: Op) -> list[tuple[str, GlassgradError]]:
    """The calls that must be refused, with what is said to them."""
    found = []
    for mistake in op.errors:
        try:
            op.resolve(mistake.types, op.normal(mistake.types, mistake.attributes))
        except GlassgradError as error:
            defaults = {a.name: a.default for a in op.attributes}
            told = [
                f"{k}={v!r}" for k, v in mistake.attributes.items() if defaults.get(k, ...) != v
            ]
            call = ", ".join([*map(repr, mistake.types), *told])
            found.append((f"{op.name}({call})", error))
    return found


# -- layers ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """A layer met with an input that it takes."""

    inputs: tuple[Type, ...]
    outputs: tuple[Type, ...]
    program: Program
    held: dict[str, Type]  # parameters and buffers, by name
    ops: tuple[Op, ...]  # of the forward pass, each once

    @property
    def only_moves(self) -> bool:
        """Whether no number is changed."""
        return all(op.family == "movement" for op in self.ops)


def layer(make: Callable[[], nn.Module]) -> Layer | None:
    """The layer on the first inputs, of those one might try, that it takes; None if on none.

    Inputs that it gives back as they are say little: others are tried first. Each try has a layer
    of its own, for one that reads its sizes from its input keeps them.
    """
    unchanged = None
    for inputs in _tries(make()):
        try:
            found = _traced(make(), inputs)
        except (GlassgradError, TypeError, IndexError):
            continue
        if len(found.program.text.split("\n")) > 4:
            return found
        unchanged = unchanged or found
    return unchanged


def _tries(model: nn.Module) -> list[tuple[Type, ...]]:
    """Rows, sequences, images, volumes, tokens, with as many features as the layer speaks of."""
    held = [s for p in model.parameters() for s in getattr(p, "sizes", ())]
    told = [v for v in vars(model).values() if isinstance(v, int) and not isinstance(v, bool)]
    likely = [*([8] if None in held else []), *[s for s in held if s]]
    features = list(dict.fromkeys([*likely, *[v for v in told if v > 1], 4, 3, 12, 16]))
    n = Dim.named("n")
    found: list[Type] = []
    for rank in (2, 3, 4, 5):
        for size in features:
            images = Type((n, size, *[10] * (rank - 2)), DTYPE)
            rows = Type((n, *[6] * (rank - 2), size), DTYPE)
            found += [rows] if rank == 2 else [rows, images] if held else [images, rows]
    tokens = Type((n, 6), "int64")
    count = input_names(model)[1]
    kinds = [p.kind for p in inspect.signature(model.forward).parameters.values()]
    counts = (count, count + 1) if inspect.Parameter.VAR_POSITIONAL in kinds else (count,)
    return [(kind,) * c for c in counts for kind in (*found, tokens)]


def _traced(model: nn.Module, inputs: tuple[Type, ...]) -> Layer:
    tracer = ModuleTracer()
    names = list(input_names(model)[0])
    names += [f"x{i + 1}" for i in range(len(names), len(inputs))]
    given = dict(zip(names, inputs, strict=False))
    symbols, found = trace_forward(tracer, model, given, training=True)
    outputs = {("y" if k == "" else k): v for k, v in found.items()}
    for key, value in outputs.items():
        if any(value.value is s.value for s in symbols):
            continue
        value.value.node.origin.name = key
    forward = Graph({}, {k: v.value for k, v in outputs.items()}).nodes()
    ops = {n.op.name: n.op for n in forward if n.op.family and "constant" not in n.op.roles}
    real = {k: v for k, v in outputs.items() if v.dtype in FLOATS}
    wanted = [
        s.value
        for s in tracer.declared
        if s.dtype in FLOATS and s.value.node.attributes["role"] in ("data", "parameter")
    ]
    with tracer.during("backward"):
        seeds = {k: tracer.input(f"d_{k}", v.value.type).value for k, v in real.items()}
        pairs = [(v.value, seeds[k]) for k, v in real.items()]
        gradients = pull_back_values(tracer, pairs, wanted)
    derived = [v for v in wanted if v in gradients]
    every = dict(outputs)
    for source in derived:
        label = source.node.attributes["name"]
        gradient = gradients[source]
        if gradient not in seeds.values():
            gradient.node.origin.name = f"d_{label}"
        every[f"d_{label}"] = Symbol(gradient, tracer)
    program = _written(tracer.graph(every), "layer", [v.node.attributes["name"] for v in derived])
    results = tuple([v.value.type for v in outputs.values()])
    held = {name: p.array_type for name, p in model.named_state().items()}
    return Layer(inputs, results, program, held, tuple(ops.values()))


# -- optimisers --------------------------------------------------------------------------------


def update_program(optimizer: optim.Optimizer) -> Program | None:
    """The update of a vector of weights; None where the rule is no text of ops."""
    tracer = Tracer()
    kind = Type((Dim.named("n"),), DTYPE)
    weights = tracer.input("weights", kind, "parameter")
    gradient = tracer.input("gradient", kind)
    states = {n: tracer.input(n, kind, "moment") for n in optimizer.state_names}
    states |= {n: tracer.input(n, Type((), DTYPE), "moment") for n in optimizer.scalar_state_names}
    rate, step = tracer.host("rate", "float64"), tracer.host("step", "float64")
    try:
        with tracer.during("update"):
            new, after = optimizer.rule(weights, gradient, tuple(states.values()), rate, step)
    except UsageError:  # it looks at the loss at several points: a helper has its text
        return None
    outputs = {"weights.next": new.value}
    outputs |= {f"{n}.next": v.value for n, v in zip(states, after, strict=True)}
    inputs = {s.value.node.attributes["name"]: s.value for s in tracer.declared}
    read = {v for node in Graph(inputs, outputs).nodes() for v in node.inputs}
    inputs = {n: v for n, v in inputs.items() if v in read}
    state = {n.removesuffix(".next"): n for n in outputs}
    return _written(Graph(inputs, outputs, state), "update", banners=False)
