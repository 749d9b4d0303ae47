"""Where one number comes from: the op's formula at one place, with the numbers that went in.

Three kinds of form cover every op. A *sum* is a list of products: what a matrix product, a
convolution, a mean, a slice or the largest of several gives is the sum of its inputs times its
derivatives in them (Euler: such a function has no other part), so the terms come from the op's own
derivative rule. A function of the numbers at one place is *applied*. A composite is a few *steps*
in simpler ops, each with a form of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.engine import compile_graph
from glassgrad.ir import INPUT, Graph, Node, Op, Type, Value
from glassgrad.ops import Tracer, is_primitive
from glassgrad.passes.differentiate import rules
from glassgrad.passes.lower import expand_node
from glassgrad.tensors.tensor import Tensor

Array = NDArray[Any]
Index = tuple[int, ...]
Step = tuple[Value, Index]  # a value inside a composite, and which number of it

# The operands in which an op is a sum of its inputs times its derivatives in them.
_SUMS: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("sum", "mean", "max", "min", "cumsum", "reshape", "permute", "slice"), (0,)),
    **dict.fromkeys(("broadcast_to", "pad", "flip", "roll", "columns", "uncolumns"), (0,)),
    **dict.fromkeys(("max_pool", "mean_pool", "mean_unpool", "max_unpool", "max_pick"), (0,)),
    **dict.fromkeys(("take", "pick", "take_along_axis", "subtract_one_at", "tril", "triu"), (0,)),
    **dict.fromkeys(("matmul", "conv", "conv_dx", "conv_dw", "conv_transpose", "sort"), (0,)),
    "put_at": (1,), "add_along_axis": (1,), "add_at": (0, 2), "linear": (0, 2),
    "channel_bias": (0, 1),
}  # fmt: skip
# The factor that stands beside an input in such a sum, where it is one of another operand.
_BESIDE: Mapping[str, int] = {
    "matmul": 1, "conv": 1, "conv_dx": 1, "conv_dw": 1, "conv_transpose": 1, "linear": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Number:
    """One number of an operand: which operand, where in it, how much."""

    operand: int
    index: Index
    value: float


@dataclass(frozen=True, slots=True)
class Term:
    """A product: a coefficient times some numbers."""

    numbers: tuple[Number, ...]
    coefficient: float = 1.0

    @property
    def value(self) -> float:
        """The product."""
        return math.prod([n.value for n in self.numbers], start=self.coefficient)


@dataclass(frozen=True, slots=True)
class Form:
    """One number of a node, and how it comes about.

    `kind` is "sum" (of `terms`), "apply" (the op, of `numbers` at one place), "steps" (of a
    composite, written out `inside`) or "given": drawn, counted or chosen, with nothing to compute.
    """

    node: Node
    output: int
    index: Index
    value: float
    kind: str
    terms: tuple[Term, ...] = ()
    numbers: tuple[Number, ...] = ()
    inside: Inside | None = None

    @property
    def last(self) -> Form:
        """The step of a composite that gives its number."""
        assert self.inside is not None
        return self.inside.step(self.inside.results[self.output], self.index)

    @property
    def steps(self) -> tuple[Form, ...]:
        """Every step that leads to the number of a composite, in the order they are done."""
        return () if self.inside is None else self.inside.order(self.last)

    @property
    def parts(self) -> tuple[Number, ...]:
        """Every number of the operands that stands in the form."""
        return (*self.numbers, *[n for t in self.terms for n in t.numbers])

    @property
    def read(self) -> tuple[Number, ...]:
        """The numbers of the operands that it is computed from, through the steps of a composite."""
        if self.kind != "steps":
            return self.parts
        found: dict[tuple[int, Index], Number] = {}
        for step in self.steps:
            for n in step.read:
                given = step.node.inputs[n.operand]
                if given.node.op is INPUT:
                    operand = operand_of(given)
                    found[operand, n.index] = Number(operand, n.index, n.value)
        return tuple(found.values())

    @property
    def recomputed(self) -> float:
        """The number once more, from what the form shows alone."""
        if self.kind == "sum":
            return sum_of(t.value for t in self.terms)
        if self.kind == "apply":
            return applied(self.node, [n.value for n in self.numbers])
        if self.kind == "steps":
            return self.last.recomputed
        return self.value

    @property
    def scale(self) -> float:
        """The sum of the sizes of what is added: what rounding is measured by."""
        if self.kind == "sum":
            return sum_of(abs(t.value) for t in self.terms)
        if self.kind == "steps":
            return max(s.scale for s in self.steps)
        added = self.kind == "apply" and self.node.op.name in ("add", "subtract", "remainder")
        return sum_of(abs(n.value) for n in self.numbers) if added else abs(self.value)


def sum_of(values: Iterable[float]) -> float:
    """The sum, rounded once; of inf and nan, and beyond the largest number, as floats add up."""
    each = list(values)
    try:
        return math.fsum(each)
    except (OverflowError, ValueError):
        return float(sum(each))


@np.errstate(all="ignore")  # what is not finite here has been so in the step
def form(
    node: Node, operands: Sequence[Array], value: Array, index: Index, output: int = 0
) -> Form:
    """How number `index` of a result comes about, from the arrays the node was given."""
    number = float(value[index])
    op = node.op
    if op.name in _SUMS:
        terms = _terms(node, operands, value, index)
        return Form(node, output, index, number, "sum", terms=terms)
    if op.name == "prod":
        return Form(node, output, index, number, "sum", terms=(_product(node, operands, index),))
    if op.name == "concatenate":
        return Form(node, output, index, number, "sum", terms=(_joined(node, operands, index),))
    if "elementwise" in op.roles and is_primitive(op):
        return Form(node, output, index, number, "apply", numbers=_here(operands, index))
    if op.expand is not None:
        return Form(node, output, index, number, "steps", inside=Inside(node, operands))
    return Form(node, output, index, number, "given")


def _here(operands: Sequence[Array], index: Index) -> tuple[Number, ...]:
    """The numbers at one place of operands that stretch."""
    found = []
    for i, x in enumerate(operands):
        at = index[len(index) - x.ndim :]
        at = tuple([0 if size == 1 else k for k, size in zip(at, x.shape, strict=True)])
        found.append(Number(i, at, float(x[at])))
    return tuple(found)


def _terms(node: Node, operands: Sequence[Array], value: Array, index: Index) -> tuple[Term, ...]:
    """The products that a sum is made of, from the op's own derivative rule."""
    wide = [x.astype(np.float64) if x.dtype.kind == "f" else x for x in operands]
    beside = _BESIDE.get(node.op.name)
    found = []
    for i in _SUMS[node.op.name]:
        slopes = _slope(node, wide, value, index, i)
        factor = beside if i == 0 else None
        codes = None
        if factor is not None:
            coded = list(wide)
            coded[factor] = np.arange(1.0, wide[factor].size + 1).reshape(wide[factor].shape)
            codes = _slope(node, coded, value, index, i)
        for at in np.argwhere(slopes if codes is None else codes):
            place = tuple(at.tolist())
            number = Number(i, place, float(operands[i][place]))
            if codes is None or factor is None:
                found.append(Term((number,), float(slopes[place])))
                continue
            other = np.unravel_index(int(codes[place]) - 1, wide[factor].shape)
            where = tuple([int(k) for k in other])
            found.append(Term((number, Number(factor, where, float(operands[factor][where])))))
    rest = _added(node, index, operands)
    return (*found, *([Term((), rest)] if rest else ()))


def _added(node: Node, index: Index, operands: Sequence[Array]) -> float:
    """What a few ops add that no operand holds."""
    if node.op.name == "subtract_one_at":
        return -1.0 if int(operands[1][index[:-1]]) == index[-1] else 0.0
    if node.op.name == "pad":
        places = zip(index, node.attributes["widths"], operands[0].shape, strict=True)
        inside = all(
            0 <= k - low <= (size - 1) * (between + 1) and (k - low) % (between + 1) == 0
            for k, (low, _, between), size in places
        )
        return 0.0 if inside else float(node.attributes["value"])
    return 0.0


def _slope(node: Node, operands: Sequence[Array], value: Array, index: Index, i: int) -> Array:
    """The derivative of one number of the result in every number of one operand."""
    one = np.zeros(value.shape)
    one[index] = 1.0
    rule = rules(node.op, len(operands))[i]
    assert rule is not None
    tensors = [_tensor(x) for x in operands]
    found = rule(_tensor(one), _tensor(value.astype(np.float64)), *tensors, **node.attributes)
    array = np.asarray(found.numpy())
    if array.shape != operands[i].shape:  # a stretched operand: summed, as the walker does
        extra = array.ndim - operands[i].ndim
        array = array.sum(axis=tuple(range(extra)))
        axes = tuple([k for k, s in enumerate(operands[i].shape) if s == 1 != array.shape[k]])
        array = array.sum(axis=axes, keepdims=True)
    return array


def _tensor(array: Array) -> Tensor:
    return Tensor(array, Type(array.shape, array.dtype.name))


def _product(node: Node, operands: Sequence[Array], index: Index) -> Term:
    x = operands[0]
    axis = node.attributes["axis"]
    axes = range(x.ndim) if axis is None else axis
    rest = iter(index)
    kept = node.attributes["keepdims"]
    cut: list[Any] = []
    for k in range(x.ndim):
        if k in axes:
            cut.append(range(x.shape[k]))
            if kept:
                next(rest)
        else:
            cut.append([next(rest)])
    places = [
        tuple(int(c[j]) for c, j in zip(cut, at, strict=True)) for at in np.ndindex(*map(len, cut))
    ]
    return Term(tuple([Number(0, at, float(x[at])) for at in places]))


def _joined(node: Node, operands: Sequence[Array], index: Index) -> Term:
    axis, k = node.attributes["axis"], index[node.attributes["axis"]]
    for i, x in enumerate(operands):
        if k < x.shape[axis]:
            at = (*index[:axis], k, *index[axis + 1 :])
            return Term((Number(i, at, float(x[at])),))
        k -= x.shape[axis]
    raise IndexError(index)


# -- composites ---------------------------------------------------------------------------------


class Inside:
    """A composite written out in simpler ops and run: the form of any number in it, once it is asked for."""

    def __init__(self, node: Node, operands: Sequence[Array]) -> None:
        tracer = Tracer()
        inputs = [
            tracer.input(f"x{i}", Type(x.shape, x.dtype.name)) for i, x in enumerate(operands)
        ]
        alone = Node(node.op, tuple([s.value for s in inputs]), node.attributes)
        self.results = expand_node(alone, alone.inputs, tracer)
        given = {f"x{i}": s.value for i, s in enumerate(inputs)}
        graph = Graph(given, {f"out{i}": v for i, v in enumerate(self.results)})
        self.nodes = [n for n in graph.nodes() if n.op is not INPUT]
        every = {f"v{i}_{v.index}": v for i, n in enumerate(self.nodes) for v in n.values}
        found = compile_graph(Graph(given, every))(*operands)
        arrays = found if isinstance(found, tuple) else (found,)
        self._arrays: dict[Value, Array] = dict(
            zip(every.values(), map(np.asarray, arrays), strict=True)
        )
        self._arrays.update(zip(given.values(), operands, strict=True))
        self._made: dict[Step, Form] = {}

    def step(self, value: Value, index: Index) -> Form:
        """How one number of a value that is no operand comes about."""
        made = self._made.get((value, index))
        if made is None:
            operands = [self._arrays[v] for v in value.node.inputs]
            made = form(value.node, operands, self._arrays[value], index, value.index)
            self._made[value, index] = made
        return made

    def order(self, last: Form, within: Container[Step] | None = None) -> tuple[Form, ...]:
        """A step and all that lead to it, or those of them in `within`, in the order they are done."""
        found: dict[Step, Form] = {}

        def need(made: Form) -> None:
            for at in behind(made):
                if at not in found and (within is None or at in within):
                    need(self.step(*at))
            found[made.node.values[made.output], made.index] = made

        need(last)
        return tuple(found.values())


def operand_of(given: Value) -> int:
    """Which operand of a composite an input inside it stands for."""
    return int(str(given.node.attributes["name"])[1:])


def behind(step: Form) -> list[Step]:
    """The steps of a composite whose numbers stand in one of them, if it is no very long sum."""
    if len(step.parts) > _FOLLOWED:
        return []
    places = [(step.node.inputs[n.operand], n.index) for n in step.read]
    return [(value, index) for value, index in places if value.node.op is not INPUT]


_FOLLOWED = 64  # terms of a sum whose own steps are followed

# -- functions of numbers -----------------------------------------------------------------------


def _power(x: float, y: float) -> float:
    return math.pow(x, y)


_FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "negative": lambda x: -x,
    "power": _power,
    **{name: getattr(math, name) for name in (
        "exp", "expm1", "log", "log2", "log10", "log1p", "tanh", "sqrt", "sin", "cos", "tan",
        "sinh", "cosh", "erf", "floor", "ceil", "trunc",
    )},
    "arcsin": math.asin,
    "arccos": math.acos,
    "absolute": abs,
    "sign": lambda x: float((x > 0) - (x < 0)),
    "maximum": max,
    "minimum": min,
    "less": lambda x, y: float(x < y),
    "less_equal": lambda x, y: float(x <= y),
    "greater": lambda x, y: float(x > y),
    "greater_equal": lambda x, y: float(x >= y),
    "equal": lambda x, y: float(x == y),
    "not_equal": lambda x, y: float(x != y),
    "select": lambda c, x, y: x if c else y,
    "cast": lambda x: x,
    "scalar": lambda x: x,
    "logical_and": lambda x, y: float(bool(x) and bool(y)),
    "logical_or": lambda x, y: float(bool(x) or bool(y)),
    "logical_xor": lambda x, y: float(bool(x) != bool(y)),
    "logical_not": lambda x: float(not x),
    "round": lambda x: float(round(x)),
    "remainder": lambda x, y: x - y * math.floor(x / y),
}  # fmt: skip


def applied(node: Node, numbers: Sequence[float]) -> float:
    """The op on plain numbers; what NumPy calls inf or nan is that here."""
    try:
        return float(_FUNCTIONS[node.op.name](*numbers))
    except (OverflowError, ZeroDivisionError, ValueError):
        return math.nan


def is_known(op: Op) -> bool:
    """Whether `applied` knows this op."""
    return op.name in _FUNCTIONS
