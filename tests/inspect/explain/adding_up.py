"""Whether what an explanation shows adds up, by other arithmetic than the code that made it.

    counts = checked(7, "float32")
    counts.failures

Forms are computed once more from their own numbers: products and sums as fractions, functions by
the oracles of ops in 40 digits. What is printed is read as a person reads it, and computed in 40
digits. The parts of a derivative are measured by three yardsticks, `GRADIENT`, `TERMS` and
`PRODUCTS`; docs/soak/README.md says why there are three.
"""

from __future__ import annotations

import ast
import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from multiprocessing import get_context
from typing import Any

import numpy as np
from mpmath import mp, mpf
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad.backends import native
from glassgrad.engine import compile_graph
from glassgrad.errors import GlassgradError
from glassgrad.inspect.explain.cards import Cards
from glassgrad.inspect.explain.derivations import Derivation
from glassgrad.inspect.explain.explanation import Explanation
from glassgrad.inspect.explain.forms import Form, Index
from glassgrad.inspect.explain.recording import Recording
from glassgrad.inspect.explain.story import story
from glassgrad.ir import FLOATS, INPUT, Graph, Node, Type, Value
from glassgrad.ops import Symbol, Tracer
from glassgrad.optim import SGD
from glassgrad.passes.lower import primitives
from glassgrad.train import batches
from tests.networks import random_network
from tests.oracles import ORACLES

mp.dps = 40
Array = NDArray[Any]
SHOWN = 1e-6  # of the sum of |terms|: what an explanation may be off, whatever the network's dtype
PARTS = {"float32": 1e-5, "float64": 1e-12}  # what parts may leave of the derivative they are of
GRADIENT, TERMS, PRODUCTS = "of the derivative", "of |terms|", "of |products|"
ROWS = 4
PLACES = 2  # numbers of each value: the one that is shown, and others drawn
RATE = 2.0**24  # of a step that leaves nothing of a weight but its derivative
_TINY = float(np.finfo(np.float64).tiny)  # below it digits are lost


@dataclass
class Counts:
    """What was checked, how often it held, the largest miss of each sort, and what failed."""

    held: Counter[str] = field(default_factory=Counter)
    all: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)  # what there is nothing to check of
    worst: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, kind: str, off: Any, scale: Any, bound: float, what: object) -> None:
        """Numbers that are off by so much: at most this part of their scale, or it is a failure."""
        within = np.asarray(self.look(kind, off, scale, bound))
        if not within.all():
            at = tuple(np.argwhere(~within)[0].tolist())
            miss, size = float(np.asarray(off)[at]), float(np.asarray(scale)[at])
            place = list(at) if at else ""
            words = f"{miss:.3g} beside {size:.3g}, {int((~within).sum())} such"
            self.failures.append(f"{kind}, {what}{place}: off by {words}")

    def look(self, kind: str, off: Any, scale: Any, bound: float) -> Array:
        """Whether each is, counted, without a failure."""
        off, scale = np.asarray(off, float), np.asarray(scale, float)
        within = np.asarray(off <= bound * scale + _TINY)
        self.all[kind] += within.size
        self.held[kind] += int(within.sum())
        if within.size:
            share = float(np.max(np.where(off <= _TINY, 0.0, off / np.maximum(scale, _TINY))))
            self.worst[kind] = max(self.worst.get(kind, 0.0), share)
        return within

    def merge(self, others: Counts) -> None:
        """Take those of another network, too."""
        self.held.update(others.held)
        self.all.update(others.all)
        self.others.update(others.others)
        self.failures += others.failures
        for kind, share in others.worst.items():
            self.worst[kind] = max(self.worst.get(kind, 0.0), share)

    def table(self) -> str:
        """A line for each sort: how many held of how many, and the largest miss of its scale."""
        width, lines = max(map(len, self.all)), []
        for kind, count in sorted(self.all.items()):
            worst = f"{self.worst[kind]:.1e}" if self.worst[kind] <= 1 else "more than it"
            lines.append(f"{kind:{width}}  {self.held[kind]:>9,} of {count:>9,}  worst {worst}")
        return "\n".join([*lines, *[f"{n:,} {what}" for what, n in sorted(self.others.items())]])


def checked(seed: int, dtype: str, counts: Counts | None = None) -> Counts:
    """Explain the random network of a seed, and check all that is shown."""
    counts = Counts() if counts is None else counts
    drawn = random_network(seed, rows=ROWS, fit=True, dtype=dtype)
    found: Explanation = gg.explain(drawn.model, drawn.x, drawn.y, **drawn.losses)
    rng = random.Random(seed)
    check_forms(found.cards, counts, rng, f"seed {seed}")
    check_printed(found.cards, counts, f"seed {seed}", steps=seed % 4 == 0)
    sizes = products(found.recording)
    check_parts(found, sizes, counts, rng, PARTS[dtype], f"seed {seed}")
    check_step(seed, dtype, found, sizes, counts)
    return counts


def counted(seeds: range, processes: int = 1) -> dict[str, Counts]:
    """The networks of these seeds in both dtypes, in so many processes; an error is a failure."""
    found = {dtype: Counts() for dtype in PARTS}
    each = [(seed, dtype) for seed in seeds for dtype in PARTS]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for (_, dtype), counts in zip(each, pool.map(_counted, each), strict=True):
            found[dtype].merge(counts)
    return found


def _counted(which: tuple[int, str]) -> Counts:
    counts = Counts()
    try:
        checked(*which, counts)
    except Exception as error:  # noqa: BLE001  # whatever comes out is the failure
        counts.failures.append(f"seed {which[0]}: {type(error).__name__}: {error}")
    return counts


# -- forms --------------------------------------------------------------------------------------


def check_forms(cards: Cards, counts: Counts, rng: random.Random, what: str) -> None:
    """Every value and derivative at the place its card shows, and at drawn ones."""
    recording = cards.recording
    for node in recording.graph.nodes():
        for value in node.values:
            array = recording.arrays[value]
            if node.op is INPUT or not array.size or value.type.dtype not in FLOATS:
                continue
            drawn = [tuple([rng.randrange(s) for s in array.shape]) for _ in range(PLACES - 1)]
            at = cards.chosen(value)
            for index in dict.fromkeys([*([at] if at is not None else []), *drawn]):
                made = cards.form(value, index)
                check_form(recording, value, index, made, counts, what)


def check_form(
    recording: Recording, value: Value, index: Index, made: Form, counts: Counts, what: str
) -> None:
    """A form gives the number that is shown, and is made of numbers that are shown."""
    node, arrays = value.node, recording.arrays
    name = f"{what} {recording.names.get(value, node.op.name)}{list(index)}"
    shown = float(arrays[value][index])
    for n in made.parts:
        if not same(n.value, float(arrays[node.inputs[n.operand]][n.index])):
            counts.failures.append(f"{name} holds {n.value!r} that is not operand {n.operand}")
    counts.others[f"forms of kind {made.kind}"] += 1
    if not math.isfinite(shown) or made.kind == "given":
        return
    for step in [s for s in made.steps if math.isfinite(s.value)]:
        again, scale = recomputed(step)
        counts.add("numbers", abs(again - step.value), scale, SHOWN, f"{name}, {step.node.op.name}")
    again, scale = recomputed(made)
    counts.look("numbers of themselves", abs(again - shown), abs(shown), SHOWN)
    counts.add("numbers", abs(again - shown), scale, SHOWN, f"{name}, {node.op.name}")


def recomputed(made: Form) -> tuple[float, float]:
    """The number from what its form shows, and the sum of |terms|; nan is as it is shown."""
    if made.kind == "steps":
        return recomputed(made.steps[-1])
    if made.kind == "given":
        return made.value, abs(made.value)
    if made.kind == "sum":
        products = []
        for t in made.terms:
            product = Fraction(t.coefficient)
            for n in t.numbers:
                product *= Fraction(n.value)
            products.append(product)
        return float(sum(products, Fraction(0))), float(sum(map(abs, products), Fraction(0)))
    name, given = made.node.op.name, [n.value for n in made.numbers]
    if name in ("cast", "scalar"):
        return given[0], abs(given[0])
    if not all(map(math.isfinite, given)):  # a mask of -inf: there is nothing to compute
        return made.value, abs(made.value)
    operands = [
        np.array(v, value.type.dtype) for v, value in zip(given, made.node.inputs, strict=True)
    ]
    if name == "exp":  # the oracle's series is for the numbers of samples
        return float(mp.exp(given[0])), float(mp.exp(given[0]))
    found = float(ORACLES[name](*operands, **made.node.attributes))
    added = math.fsum(map(abs, given)) if name in ("add", "subtract", "remainder") else 0.0
    return found, max(abs(found), added)


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


# -- print --------------------------------------------------------------------------------------


def check_printed(cards: Cards, counts: Counts, what: str, *, steps: bool) -> None:
    """Every derivation as it is printed, and with all digits."""
    told = story(cards, steps=steps)
    for entry in [e for s in told.sections for e in s.entries]:
        for made in flat([*entry.forward, *entry.backward]):
            check_derivation(made, counts, f"{what} {made.of}")


def flat(each: list[Derivation] | tuple[Derivation, ...]) -> Iterator[Derivation]:
    for made in each:
        yield made
        yield from flat(made.steps)


def check_derivation(made: Derivation, counts: Counts, what: str) -> None:
    """The digits that are printed give the digits that are printed, to the last one."""
    if made.expression is None:
        counts.others["numbers told in steps"] += 1
        if not made.steps:
            counts.failures.append(f"{what} = {made.result} is told without a reason")
        return
    if not math.isfinite(made.value):
        return
    scale = made.expression.scale
    exact = arithmetic(made.expression.in_numbers(17))
    counts.look("full precision of themselves", abs(exact - made.value), abs(made.value), SHOWN)
    counts.add("full precision", abs(exact - made.value), scale, SHOWN, what)
    printed = arithmetic(made.expression.in_numbers(made.digits))
    if made.result == "0":
        counts.others["printed as 0, being rounding of larger terms"] += made.value != 0
        counts.add("printed digits", abs(printed), scale, 1e-12, what)
        return
    off = abs(printed - float(made.result))
    counts.add("printed digits", off, last_place(made.result), 0.5, f"{what} = {made.result}")


def last_place(text: str) -> float:
    """One unit of the last digit of a number as it is printed; %g leaves out noughts behind."""
    mantissa, _, _power = text.partition("e")
    digits = mantissa.lstrip("-").replace(".", "").lstrip("0")
    size = math.floor(math.log10(abs(float(text))))
    return 10.0 ** (size - max(len(digits), 3) + 1)


_NAMES: Mapping[str, Any] = {
    **{n: getattr(mp, n) for n in ("exp", "log", "tanh", "sqrt", "sin", "cos", "tan", "expm1")},
    **{n: getattr(mp, n) for n in ("log1p", "erf", "floor", "ceil", "sinh", "cosh", "sign")},
    "log2": lambda x: mp.log(x, 2), "log10": mp.log10, "abs": abs, "maximum": max, "minimum": min,
    "arcsin": mp.asin, "arccos": mp.acos, "inf": mp.inf, "nan": mp.nan, "round": mp.nint,
    "trunc": lambda x: mp.floor(x) if x > 0 else mp.ceil(x),
    "where": lambda c, x, y: x if c else y, "logical_not": lambda x: not x,
    "remainder": lambda x, y: x - y * mp.floor(x / y), "mpf": mpf,
    "both": lambda x, y: bool(x) and bool(y), "either": lambda x, y: bool(x) or bool(y),
    "one": lambda x, y: bool(x) != bool(y),
}  # fmt: skip


def arithmetic(text: str) -> float:
    """What a reader with a calculator of 40 digits gets."""
    tree = ast.fix_missing_locations(_Wide().visit(ast.parse(text, mode="eval")))
    try:
        found = eval(compile(tree, "", "eval"), {"__builtins__": {}}, _NAMES)  # of our own making
    except (ZeroDivisionError, ValueError):
        return math.nan
    return float(mp.re(found))


class _Wide(ast.NodeTransformer):
    """Numbers with 40 digits, and `and` of numbers as it is meant."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return ast.Call(ast.Name("mpf", ast.Load()), [ast.Constant(repr(node.value))], [])

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        word = {ast.BitAnd: "both", ast.BitOr: "either", ast.BitXor: "one"}.get(type(node.op))
        return ast.Call(ast.Name(word, ast.Load()), [node.left, node.right], []) if word else node


# -- parts --------------------------------------------------------------------------------------


def check_parts(
    found: Explanation, sizes: Mapping[Value, Array], counts: Counts, rng: random.Random,
    bound: float, what: str,
) -> None:  # fmt: skip
    """Places, ways and rows each sum to the derivative they split."""
    parameters = trained(found.recording)
    for name in rng.sample(sorted(parameters), min(3, len(parameters))):
        value = parameters[name]
        gradient = found.recording.gradient(value)
        assert gradient is not None
        at = tuple([rng.randrange(s) for s in gradient.shape])
        size = float(sizes[found.recording.gradients[value]][at])
        used = found.uses(name, at)
        terms = math.fsum([abs(u.value) for u in used])
        whole = math.fsum(used.by_place().values())
        label = f"{what} {name}{list(at)}"
        split("places", counts, whole, label, float(gradient[at]), terms, size, bound)
        ways = found.follow(name, at)
        whole = math.fsum([w.part for w in ways.ways]) + ways.rest
        split("ways", counts, whole, label, ways.total, ways.scale, size, bound)
        if not same(ways.total, float(gradient[at])):
            counts.failures.append(f"{label} is followed to another derivative")
    try:
        by_row = found.samples()
    except GlassgradError as error:
        counts.others[f"no rows: {error}"] += 1
        return
    for name, samples in by_row.items():
        parts = samples.parts.sum(axis=0) + samples.rest
        sums = np.abs(samples.parts).sum(axis=0) + np.abs(samples.rest)
        every = sizes[found.recording.gradients[parameters[name]]]
        split("rows", counts, parts, f"{what} {name}", samples.total, sums, every, bound)


def split(
    kind: str, counts: Counts, whole: Any, what: str, gradient: Any, terms: Any, size: Any,
    bound: float,
) -> None:  # fmt: skip
    """Parts that sum to `whole`, by all three yardsticks; the last one decides."""
    off = np.abs(whole - gradient)
    counts.look(f"{kind} {GRADIENT}", off, np.abs(gradient), bound)
    counts.look(f"{kind} {TERMS}", off, terms, bound)
    counts.add(f"{kind} {PRODUCTS}", off, np.maximum(size, terms), bound, what)


def trained(recording: Recording) -> dict[str, Value]:
    """Parameters that have a derivative, by the names of their cards."""
    return {
        recording.names[v]: v
        for v in recording.graph.inputs.values()
        if v.node.attributes["role"] == "parameter" and v in recording.gradients and v.type.size
    }


# Both operands are factors; of other ops the second one says where, not how much.
_FACTORS = frozenset(
    ("multiply", "divide", "matmul", "linear", "conv", "conv_dx", "conv_dw", "conv_transpose")
)


def products(recording: Recording) -> dict[Value, Array]:
    """The sum of |products| of every derivative: the way back once more with nothing cancelling.

    The way back is linear in the derivative of the loss. With every composite opened, every factor
    taken by its size and every difference made a sum, each number is the sum of the sizes of all
    products it is written out to: what rounding on the way is measured by (Higham, 2002, 3.1).
    """
    derivatives = list(recording.gradients.values())
    opened = primitives(recording.graph)
    ends = [opened.outputs[f"d{i}"] for i in range(len(derivatives))]
    arrays = _run(opened, recording)
    tracer, given = Tracer(), dict[str, Array]()
    sizes: dict[Value, Symbol] = {}
    seed = ends[derivatives.index(recording.gradients[recording.loss])]
    moved = {seed}

    def leaf(value: Value, array: Array) -> Symbol:
        name = f"x{len(given)}"
        given[name] = array
        return tracer.input(name, Type(array.shape, array.dtype.name))

    for node in opened.nodes():
        if node.origin.phase == "forward" or not moved & set(node.inputs):
            continue
        operands = []
        for v in node.inputs:
            if v in moved and v is not seed:
                operands.append(sizes[v])
                continue
            by_size = node.op.name in _FACTORS or v is seed
            operands.append(leaf(v, np.abs(arrays[v]) if by_size else arrays[v]))
        moved |= set(node.values)
        for value in node.values:
            sizes[value] = _sized(tracer, node, operands, value.index)
    wanted = {f"y{i}": s.value for i, s in enumerate(sizes.values())}
    with np.errstate(all="ignore"):
        run = compile_graph(
            Graph({s.value.node.attributes["name"]: s.value for s in tracer.declared}, wanted)
        )(*given.values())
    every = run if isinstance(run, tuple) else (run,)
    by_value = {v: np.asarray(a, np.float64) for v, a in zip(sizes, every, strict=True)}
    return {
        d: np.broadcast_to(by_value.get(end, np.abs(arrays[end])), recording.arrays[d].shape)
        for d, end in zip(derivatives, ends, strict=True)
    }


def _run(graph: Graph, recording: Recording) -> dict[Value, Array]:
    """The array of every value of a graph with the recording's inputs."""
    every = [v for n in graph.nodes() if n.op is not INPUT for v in n.values]
    wanted = Graph(graph.inputs, {f"v{i}": v for i, v in enumerate(every)})
    with batches.positions_inside(), np.errstate(all="ignore"):
        found = compile_graph(wanted)(*recording.arguments.values())
    arrays = {
        v: np.broadcast_to(np.asarray(a, v.type.dtype), [int(str(s)) for s in v.type.shape])
        for v, a in zip(every, found, strict=True)
    }
    given = zip(graph.inputs.values(), recording.arguments.values(), strict=True)
    return arrays | {v: np.asarray(a, v.type.dtype) for v, a in given}


def _sized(tracer: Tracer, node: Node, operands: list[Symbol], output: int) -> Symbol:
    if node.op.name == "subtract":
        return operands[0] + operands[1]
    if node.op.name == "negative":
        return operands[0]
    made = tracer.node(node.op, tuple([o.value for o in operands]), node.attributes)
    return tracer.symbol(made[output])


# -- the step that training takes ---------------------------------------------------------------


def check_step(
    seed: int, dtype: str, found: Explanation, sizes: Mapping[Value, Array], counts: Counts
) -> None:
    """The derivative by which `fit` moves each weight is the one that is shown, on both backends.

    At a rate of 2**24 nothing is left of a weight but its derivative, times a power of two. A number
    may be off by `PARTS` of its |products|, or by 4 times what rounding every number of the step does.
    """
    recording = found.recording
    parameters = {str(v.node.attributes["name"]): v for v in trained(recording).values()}
    bound, unsure = PARTS[dtype], moved_by_rounding(recording, dtype)
    for backend in ("numpy", *(["native"] if native.module() is not None else [])):
        drawn = random_network(seed, rows=ROWS, fit=True, dtype=dtype)
        before = {n: p.numpy().copy() for n, p in drawn.model.named_state().items()}
        gg.fit(
            drawn.model, drawn.x, drawn.y, **drawn.losses, optimizer=SGD(RATE), epochs=1,
            seed=0, backend=backend, metrics=(), verbose=False,
        )  # fmt: skip
        after = drawn.model.named_state()
        kind = f"step on {backend}"
        for name, value in parameters.items():
            moved = (before[name].astype(np.float64) - after[name].numpy()) / RATE
            shown = recording.gradient(value)
            assert shown is not None
            size = sizes[recording.gradients[value]]
            off, rounding = np.abs(moved - shown), 4.0 / bound * unsure[value]
            counts.look(f"{kind} {GRADIENT}", off, np.abs(shown), bound)
            either = np.maximum(np.abs(shown), rounding)
            counts.look(f"{kind} {GRADIENT}, or rounding", off, either, bound)
            label = f"seed {seed} {name}"
            counts.add(
                f"{kind} {PRODUCTS}, or rounding", off, np.maximum(size, rounding), bound, label
            )


def moved_by_rounding(recording: Recording, dtype: str) -> dict[Value, Array]:
    """How far each derivative goes when every number of the step is moved by half its last digit.

    Data, weights and the result of every primitive op are each made larger or smaller at random, as
    rounding does (Parker's Monte Carlo arithmetic, 1997).
    """
    unit, rng = float(np.finfo(dtype).eps) / 2, np.random.default_rng(0)
    opened = primitives(recording.graph)
    ends = {v: opened.outputs[f"d{i}"] for i, v in enumerate(recording.gradients)}
    of = {v: ends[v] for v in trained(recording).values()}
    tracer, moved = Tracer(), dict[Value, Symbol]()
    shapes: dict[str, tuple[int, ...]] = {}  # of what numbers are multiplied by
    for node in opened.nodes():
        if node.op is INPUT:
            name, role = str(node.attributes["name"]), str(node.attributes["role"])
            made: tuple[Value, ...] = (tracer.input(name, node.values[0].type, role).value,)
        else:
            given = tuple([moved[v].value for v in node.inputs])
            made = tracer.node(node.op, given, node.attributes)
        exact = "constant" in node.op.roles or node.op.family == "movement"
        exact = exact or (node.op is INPUT and node.attributes["role"] == "host")
        for value, new in zip(node.values, made, strict=True):
            moved[value] = tracer.symbol(new)
            if not exact and value.type.dtype in FLOATS:
                name = f"rounded{len(shapes)}"
                shapes[name] = tuple([int(str(n)) for n in value.type.shape])
                by = tracer.input(name, Type(shapes[name], value.type.dtype))
                moved[value] = moved[value] * by
    inputs = {str(s.value.node.attributes["name"]): s.value for s in tracer.declared}
    run = compile_graph(Graph(inputs, {f"d{i}": moved[g].value for i, g in enumerate(of.values())}))
    far = {v: np.zeros(recording.arrays[recording.gradients[v]].shape) for v in of}
    for _ in range(8):
        rounded = {n: 1 + unit * rng.choice([-1.0, 1.0], shape) for n, shape in shapes.items()}
        arguments = {**recording.arguments, **rounded}
        with batches.positions_inside(), np.errstate(all="ignore"):
            found = run(*[arguments[n] for n in inputs])
        every = found if isinstance(found, tuple) else (found,)
        for v, new in zip(of, every, strict=True):
            shown = recording.arrays[recording.gradients[v]]
            far[v] = np.maximum(far[v], np.abs(np.asarray(new) - shown))
    return far
