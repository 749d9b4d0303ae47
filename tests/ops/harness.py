"""From the samples in the op records to numbers, graphs and programs: what the tests here share."""

from __future__ import annotations

import hashlib
import math
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import scipy.special
from numpy.typing import NDArray

from glassgrad.backends.numpy_source import build, helpers
from glassgrad.engine import compile_graph
from glassgrad.ir import FLOATS, Graph, Op, Type, Value, verify
from glassgrad.ops import OPS, Draw, Sample, Tracer
from glassgrad.passes.differentiate import continuing, pull_back_values
from glassgrad.passes.lower import open_up, primitives
from glassgrad.tensors.tensor import Tensor, tensor
from tests.oracles import ORACLES

AnyArray = NDArray[Any]
Program = Callable[..., Any]
SMALL = 24  # inputs with at most so many numbers get their whole Jacobian, larger ones directions


# Images and their pooling belong together; moving one of them alone means nothing.
FIXED = {"max_unpool": (1, 2), "max_pick": (1, 2)}


# -- samples as numbers -----------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One sample of one op, in one dtype."""

    op: Op
    sample: Sample
    dtype: str
    seed: int

    def __hash__(self) -> int:
        return hash((self.op.name, self.seed, self.dtype))

    @property
    def arrays(self) -> list[AnyArray]:
        """The operands that are arrays, read-only, laid out in memory as the sample says."""
        return _drawn(self.op.name, self.seed, self.dtype)

    @property
    def operands(self) -> list[Any]:
        """All operands: the arrays, and the plain numbers of the sample."""
        arrays = iter(self.arrays)
        return [next(arrays) if isinstance(d, Draw) else d for d in self.sample.operands]

    @property
    def floats(self) -> list[int]:
        """Which of the arrays are real numbers that may be moved."""
        fixed = FIXED.get(self.op.name, ())
        return [i for i, a in enumerate(self.arrays) if a.dtype.name in FLOATS and i not in fixed]

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes in their one form."""
        return op_graph(self).outputs["y"].node.attributes

    @property
    def cotangent(self) -> AnyArray:
        """Fixed weights that make one number of the result."""
        y = op_graph(self).outputs["y"].type
        shape = tuple(int(s) for s in y.shape)
        rng = np.random.default_rng([7, self.seed])
        return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape), y.dtype)


@lru_cache(4096)
def _drawn(name: str, seed: int, dtype: str) -> list[AnyArray]:
    rng = np.random.default_rng([3, seed])
    sample = OPS[name].samples[seed]
    found: list[AnyArray] = []
    for d in sample.operands:
        if isinstance(d, Draw) and d.kind == "pooled":
            values = ORACLES["max_pool"](found[-1], **sample.attributes).astype(dtype)
            found.append(laid_out(values, d.order))
        elif isinstance(d, Draw):
            found.append(numbers(d, dtype, rng))
    return found


def numbers(draw: Draw, dtype: str, rng: np.random.Generator) -> AnyArray:
    """What a Draw asks for, read-only. Float32 and float64 are the same numbers, rounded once."""
    if draw.kind == "bool":
        values: AnyArray = rng.random(draw.shape) < 0.5
    elif draw.kind == "int":
        values = rng.integers(int(draw.low), max(int(draw.high), 1), draw.shape)
    elif draw.kind == "distinct":
        size = math.prod(draw.shape)
        values = rng.permutation(np.linspace(draw.low, draw.high, size)).reshape(draw.shape)
    else:
        values = np.asarray(rng.uniform(draw.low, draw.high, draw.shape))
        for place in draw.away_from:
            near = np.abs(values - place) < draw.apart
            values = np.where(near, place + np.copysign(draw.apart, values - place), values)
    if values.dtype == np.float64:
        values = values.astype(np.float32).astype(dtype)
    return laid_out(values, draw.order)


def laid_out(values: AnyArray, order: str) -> AnyArray:
    """The same numbers in another place of memory: "C", "F", "strided" or "reversed"."""
    if values.ndim == 0:
        values = np.array(values)
    elif order == "F":
        values = np.asfortranarray(values)
    elif order == "strided":
        wide = np.zeros(tuple(2 * s for s in values.shape), values.dtype)
        wide[tuple(slice(None, None, 2) for _ in values.shape)] = values
        values = wide[tuple(slice(None, None, 2) for _ in values.shape)]
    elif order == "reversed":
        back = tuple(slice(None, None, -1) for _ in values.shape)
        values = np.ascontiguousarray(values[back]).reshape(values.shape)[back]
    else:
        values = np.ascontiguousarray(values).reshape(values.shape)
    values.flags.writeable = False
    return values


def cases(*dtypes: str, only: Callable[[Op], bool] = lambda op: True) -> list[Any]:
    """Every sample of every op, as pytest parameters that say op, shape class and dtype."""
    return [
        pytest.param(
            Case(op, sample, dtype, i),
            id=f"{op.name}-{i}-{sample.about.replace(' ', '_')}" + f"-{dtype}" * (len(dtypes) > 1),
        )
        for op in OPS.values()
        if only(op)
        for i, sample in enumerate(op.samples)
        for dtype in dtypes
    ]


def differentiable(op: Op) -> bool:
    """Whether any operand has a derivative."""
    return op.vjp is not None and any(op.vjp)


# -- graphs -----------------------------------------------------------------------------------


@lru_cache(1024)
def op_graph(case: Case) -> Graph:
    """The op on its operands; a second input, the cotangent, waits to be used."""
    tracer = Tracer()
    arrays = iter(case.arrays)
    operands: list[Any] = []
    inputs: dict[str, Value] = {}
    for d in case.sample.operands:
        if isinstance(d, Draw):
            array = next(arrays)
            name = f"x{len(inputs) + 1}"
            operands.append(tracer.input(name, Type(array.shape, array.dtype.name)))
            inputs[name] = operands[-1].value
        else:
            operands.append(d)
    y = case.op(*operands, **case.sample.attributes).value
    return verify(Graph(inputs, {"y": y}))


@lru_cache(1024)
def gradient_graph(case: Case, opened: bool = False) -> Graph:
    """The gradients of <c, y> in every real operand: d1, d2, ... for those that have one.

    `opened` expands composites first, so that their own derivatives are not used.
    """
    graph = op_graph(case)
    tracer = continuing(graph)
    c = tracer.input("c", graph.outputs["y"].type).value
    graph = Graph({**graph.inputs, "c": c}, dict(graph.outputs), scopes=graph.scopes)
    graph = primitives(graph) if opened else open_up(graph)
    return with_gradients(graph, [(graph.outputs["y"], graph.inputs["c"])], case.floats, "d")


def with_gradients(
    graph: Graph, seeds: list[tuple[Value, Value]], wanted: list[int], letter: str
) -> Graph:
    """The graph whose outputs are the gradients of <seed, value> in the wanted inputs x1, ..."""
    tracer = continuing(graph)
    values = {i: graph.inputs[f"x{i + 1}"] for i in wanted}
    found = pull_back_values(tracer, seeds, list(values.values()))
    outputs = {f"{letter}{i + 1}": found[v] for i, v in values.items() if v in found}
    return verify(Graph(graph.inputs, outputs, scopes=graph.scopes))


@lru_cache(1024)
def second_graph(case: Case) -> Graph:
    """The gradients of <u, d>, d the first gradients, in every real operand: s1, s2, ..."""
    graph = open_up(gradient_graph(case))
    tracer = continuing(graph)
    inputs = dict(graph.inputs)
    seeds = []
    for name, value in graph.outputs.items():
        inputs[f"u{name[1:]}"] = tracer.input(f"u{name[1:]}", value.type).value
        seeds.append((value, inputs[f"u{name[1:]}"]))
    return with_gradients(
        Graph(inputs, dict(graph.outputs), scopes=graph.scopes), seeds, case.floats, "s"
    )


def run(graph: Graph, *arrays: Any) -> dict[str, AnyArray]:
    """The outputs of a graph by name, through the compiled program."""
    return _named(graph, compile_graph(graph)(*arrays)) if graph.outputs else {}


def run_complex(graph: Graph, *arrays: Any) -> dict[str, AnyArray]:
    """The outputs of a graph by name; the program's float64 is complex128."""
    return _named(graph, complex_program(graph)(*arrays)) if graph.outputs else {}


def _named(graph: Graph, found: Any) -> dict[str, AnyArray]:
    names = list(graph.outputs)
    return dict(zip(names, (found,) if len(names) == 1 else found, strict=True))


# -- the complex step -------------------------------------------------------------------------


class ComplexNumpy:
    """NumPy as a program sees it, with complex128 for float64 and choices by the real part."""

    float64 = np.complex128

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def abs(x: Any) -> Any:
        return np.where(np.real(x) < 0, -x, x)

    @staticmethod
    def sign(x: Any) -> Any:
        return np.sign(np.real(x)) + 0j

    @staticmethod
    def maximum(x: Any, y: Any, out: Any = None) -> Any:
        return _put(np.where(np.real(x) >= np.real(y), x, y), out)

    @staticmethod
    def minimum(x: Any, y: Any, out: Any = None) -> Any:
        return _put(np.where(np.real(x) <= np.real(y), x, y), out)

    @classmethod
    def clip(cls, x: Any, low: Any, high: Any) -> Any:
        above = x if low is None else cls.maximum(x, low)
        return above if high is None else cls.minimum(above, high)

    @staticmethod
    def round(x: Any) -> Any:
        return np.round(np.real(x)) + 0j

    @staticmethod
    def remainder(x: Any, y: Any) -> Any:
        return x - np.floor(np.real(x) / np.real(y)) * y


def _put(found: AnyArray, out: Any) -> AnyArray:
    if out is None:
        return found
    out[...] = found
    return found


def complex_program(graph: Graph) -> Program:
    """The program of a graph, over complex numbers: x + ih gives y + ih y'(x), without rounding."""
    text = build.function_text(build.write_function(build.lowered(graph), "program"))
    shim = ComplexNumpy()
    space: dict[str, Any] = {
        "np": shim,
        "math": math,
        "hashlib": hashlib,
        "sliding_window_view": np.lib.stride_tricks.sliding_window_view,
    }
    for source in build.helper_sources().values():
        exec(source, space)
    # The helper reads a table at |x|, which no complex number can: SciPy's is analytic.
    space["erf"] = scipy.special.erf
    exec(text, space)
    found: Program = space["program"]
    return found


def helper_names() -> list[str]:
    """The functions a program may call."""
    return [k for k, v in vars(helpers).items() if isinstance(v, types.FunctionType)]


# -- directions -------------------------------------------------------------------------------


def directions(arrays: Sequence[AnyArray], floats: Sequence[int], seed: int) -> list[list[Any]]:
    """Directions in the space of all real operands: each unit vector, or four random ones."""
    total = sum(arrays[i].size for i in floats)
    found = []
    rng = np.random.default_rng([11, seed])
    for k in range(total if total <= SMALL else 4):
        flat = np.eye(total)[k] if total <= SMALL else rng.standard_normal(total)
        step: list[Any] = [None] * len(arrays)
        start = 0
        for i in floats:
            size = arrays[i].size
            step[i] = flat[start : start + size].reshape(arrays[i].shape)
            start += size
        found.append(step)
    return found


def moved(arrays: Sequence[AnyArray], step: Sequence[Any], by: complex) -> list[AnyArray]:
    """The operands moved along a direction."""
    return [a if v is None else np.asarray(a + by * v) for a, v in zip(arrays, step, strict=True)]


def dot(left: dict[int, AnyArray], right: Sequence[Any]) -> Any:
    """The sum of products of gradients with a direction."""
    return sum(np.sum(g * right[i]) for i, g in left.items())


def by_operand(found: dict[str, AnyArray]) -> dict[int, AnyArray]:
    """d1, d2, ... by the position of their operand."""
    return {int(name[1:]) - 1: np.asarray(g) for name, g in found.items()}


# -- eager ------------------------------------------------------------------------------------


def eager(case: Case, requires_grad: bool = False) -> tuple[list[Tensor], Tensor]:
    """The operands as tensors, and the op's result, done eagerly."""
    arrays = iter(case.arrays)
    tensors = []
    operands: list[Any] = []
    for i, d in enumerate(case.sample.operands):
        if isinstance(d, Draw):
            array = next(arrays)
            wants = requires_grad and array.dtype.name in FLOATS
            operands.append(tensor(array, requires_grad=wants))
            tensors.append(operands[i])
        else:
            operands.append(d)
    return tensors, case.op(*operands, **case.sample.attributes)
