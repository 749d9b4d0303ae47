"""How one number comes about, as a reader meets it: an expression, and steps where it takes some.

Numbers that have no card of their own are put into the expression where it stays short, and are
derived on a line of their own otherwise. Of a composite, the closed form stands for its steps
where it gives the same number; without one it is told in its steps, where they are many in the
last of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glassgrad.ir import INPUT, Node, Value

from .cards import Cards
from .expressions import Expression, constant, named, parsed, product, summed, total
from .forms import Form, Index, Inside, Number, Step, behind, operand_of
from .words import DIGITS, Labels, number

_INLINE = 4  # numbers that may be put in place of one
_DEEPEST = 8  # lines that one derivation may take
_MOST_STEPS = 16  # of a composite that are shown unasked
_LAST_STEPS = 8  # that are, of one with more
_LOST = 1e-12  # of what is added: a result below this is what rounding left
_UNIT = 2.0**-52  # of what is added: what two roundings of it come to
_ALIKE = 1e-9  # how near a closed form must come to what its steps give


@dataclass(frozen=True, slots=True)
class Derivation:
    """One number: what it is called, what it is computed from, its value, and its steps.

    `result` are the digits of the value that are shown, `digits` how many the operands need so
    that computing with what is printed gives it. `expression` is None where only steps are known.
    """

    of: str
    expression: Expression | None
    value: float
    result: str
    digits: int
    steps: tuple[Derivation, ...] = ()
    whole: bool = True  # whether all its steps are here

    @property
    def many(self) -> str:
        """How many steps lead to a number that has no expression, if they are here, else how many are."""
        here = sum(1 for s in self.inner() if s.expression is not None)
        if self.expression is not None or not here:
            return ""
        if self.whole:
            return f", in {here:,} step{'s' * (here != 1)}"
        return f", in many steps, the last{f' {here}' * (here > 1)} here"

    def inner(self) -> Iterator[Derivation]:
        """The steps that are kept, and theirs."""
        for step in self.steps:
            yield step
            yield from step.inner()


class Deriving:
    """Derivations of numbers of one recording; forms are made once."""

    def __init__(self, cards: Cards, *, steps: bool = False) -> None:
        self.cards = cards
        self.labels = Labels(cards.recording.names, cards.source)
        self.steps = steps
        self._taken = frozenset(cards.recording.names.values())
        self._forms: dict[tuple[Value, Index], Form] = {}

    def derivations(self, value: Value, index: Index) -> list[Derivation]:
        """The number itself first, then those in it that a reader has not met."""
        found: dict[tuple[Value, Index], Derivation] = {}
        todo = [(value, index)]
        while todo and len(found) < _DEEPEST:
            of = todo.pop(0)
            if of not in found:
                made = self._derivation(*of, todo)
                if made is not None:
                    found[of] = made
        return list(found.values())

    def _form(self, value: Value, index: Index) -> Form:
        made = self._forms.get((value, index))
        if made is None:
            made = self._forms[value, index] = self.cards.form(value, index)
        return made

    def _derivation(
        self, value: Value, index: Index, todo: list[tuple[Value, Index]]
    ) -> Derivation | None:
        form = self._form(value, index)
        label = self.labels.of(value, index)
        if form.kind == "given":
            return None
        if form.kind != "steps":
            return derived(label, self._plain(form, todo), form.value)
        closed = self._closed(form)
        if closed is not None and not self.steps:
            inner = self._worst_row(form, closed)
        else:
            whole = self.steps or _count(form, _MOST_STEPS) <= _MOST_STEPS
            inner = self._stepped(form, self.labels.of, None if whole else _LAST_STEPS)
            return derived(label, closed, form.value, inner, whole=whole)
        return derived(label, closed, form.value, inner)

    def _plain(self, form: Form, todo: list[tuple[Value, Index]], deep: int = 0) -> Expression:
        """A sum or a function, its operands named, or put in where they have no name."""
        size = len(form.parts)
        copied = size == 1 and form.kind == "sum" and form.terms[0].coefficient == 1

        def operand(n: Number) -> Expression:
            value = form.node.inputs[n.operand]
            value, index = self.cards.source(value, n.index)
            if "constant" in value.node.op.roles:
                return constant(n.value)
            leaf = named(self.labels.of(value, index), n.value)
            if value.node.op is INPUT or self.cards.is_shown(value) or size > _DEEPEST:
                return leaf
            inner = self._form(value, index)
            short = copied or len(inner.parts) <= _INLINE
            if inner.kind in ("sum", "apply") and short and deep < _INLINE:
                kept = len(todo)
                made = self._plain(inner, todo, deep + 1)
                if copied or sum(e.kind == "number" for e in made.leaves()) <= _INLINE:
                    return made
                del todo[kept:]
            todo.append((value, index))
            return leaf

        return expression_of(form, operand)

    # -- composites -----------------------------------------------------------------------------

    def _closed(self, form: Form) -> Expression | None:
        """The closed form of a composite, where there is one and it gives this number."""
        node = form.node
        make = _CLOSED.get(node.op.name)
        if make is None:
            return None
        arrays = [self.cards.recording.arrays[v] for v in node.inputs]

        def number_of(operand: int, index: Index) -> Expression:
            label = self.labels.of(node.inputs[operand], index)
            return named(label, float(arrays[operand][index]))

        try:
            made = make(node, arrays, form.index, number_of)
        except (ArithmeticError, ValueError):
            return None
        if made is None:
            return None
        off = abs(made.evaluated() - form.value)
        return made if off <= _ALIKE * max(made.scale, abs(form.value)) else None

    def _worst_row(self, form: Form, closed: Expression | None) -> tuple[Derivation, ...]:
        """Of a mean over rows that are named only, the row that the loss owes most to."""
        if closed is None or form.node.op.name != "cross_entropy":
            return ()
        rows = [e for e in closed.leaves() if e.kind == "number" and e.name.startswith("log_soft")]
        if not rows:
            return ()
        worst = min(rows, key=lambda e: e.value)
        index = tuple([int(i) for i in worst.name[len("log_softmax[") : -1].split(",")])
        z = form.node.inputs[0]
        array = self.cards.recording.arrays[z]

        def at(_: int, place: Index) -> Expression:
            return named(self.labels.of(z, place), float(array[place]))

        places = [(*index[:-1], k) for k in range(array.shape[-1])]
        inside = Expression("-", (at(0, index), _log(_exponentials(places, at))))
        return (derived(worst.name, inside, worst.value),)

    def _stepped(
        self,
        form: Form,
        outer: Callable[[Value, Index], str],
        most: int | None = None,
        taken: frozenset[str] = frozenset(),
    ) -> tuple[Derivation, ...]:
        """The steps of a composite, or so many of the last; operands have their names outside."""
        assert form.inside is not None
        called = _called(form.inside, taken or self._taken)
        inner = Labels(called)

        def label(value: Value, index: Index) -> str:
            if value.node.op is INPUT:
                return outer(form.node.inputs[operand_of(value)], index)
            return inner.of(value, index)

        chosen = form.steps if most is None else _last(form, most)
        found = []
        for step in chosen:
            of = label(step.node.values[step.output], step.index)
            if step.kind == "steps":
                left = None if most is None else max(1, most - len(chosen) + 1)
                whole = left is None or _count(step, left) <= left
                names = (taken or self._taken).union(called.values())
                nested = self._stepped(step, label, None if whole else left, names)
                found.append(derived(of, None, step.value, nested, whole=whole))
            elif step.kind != "given":
                made = expression_of(step, _operands(step, label))
                found.append(derived(of, made, step.value))
        return tuple(found)


def _last(form: Form, most: int) -> tuple[Form, ...]:
    """The steps that are nearest to the result, in the order they are done.

    Of a long sum only the largest term is followed: the sum shows what the others come to.
    """
    inside = form.inside
    assert inside is not None
    chosen: set[Step] = set()
    todo = [form.last]
    while todo and len(chosen) < most:
        step = todo.pop(0)
        at = step.node.values[step.output], step.index
        if at in chosen:
            continue
        chosen.add(at)
        found = behind(step)
        if len(step.read) > _INLINE and step.kind == "sum":
            largest = max(step.terms, key=lambda t: abs(t.value)).numbers
            wanted = [(step.node.inputs[n.operand], n.index) for n in largest]
            found = [p for p in found if p in wanted]
        todo += [s for s in (inside.step(*p) for p in found) if s.kind != "given"]
    return inside.order(form.last, chosen)


def _count(form: Form, most: int) -> int:
    """How many numbers are computed on the way to one of a composite; more than `most` are not counted."""
    inside = form.inside
    assert inside is not None
    seen: set[Step] = set()
    todo = [form.last]
    count = 0
    while todo and count <= most:
        step = todo.pop()
        at = step.node.values[step.output], step.index
        if at not in seen:
            seen.add(at)
            nested = step.kind == "steps"
            count += _count(step, most - count) if nested else step.kind != "given"
            todo += [inside.step(*p) for p in behind(step)]
    return count


def _called(inside: Inside, taken: Container[str]) -> Mapping[Value, str]:
    """What the values inside a composite are called: by their ops, numbered where several.

    No name is one of those outside that are `taken`: in a text each is of one value.
    """
    values = [v for node in inside.nodes for v in node.values]
    many = Counter([v.node.op.name for v in values])
    last: Counter[str] = Counter()
    names = {}
    for v in values:
        op = v.node.op.name
        name = op
        while name in taken or (name == op and many[op] > 1):
            last[op] += 1
            name = f"{op}{last[op]}"
        names[v] = name
    return names


def expression_of(form: Form, operand: Callable[[Number], Expression]) -> Expression:
    """A sum or a function of operands, each made by `operand`."""
    if form.kind == "apply":
        op = form.node.op
        given = [operand(n) for n in form.numbers]
        if not isinstance(op.numpy, str):  # a cast changes nothing that is shown
            return given[0]
        return parsed(op.numpy, dict(zip([n.lstrip("*") for n in op.inputs], given, strict=False)))

    def term(i: int) -> Expression:
        coefficient = form.terms[i].coefficient
        factors = [operand(n) for n in form.terms[i].numbers]
        if coefficient == -1 and factors:
            return Expression("neg", (product(*factors),))
        return product(*factors, constant(coefficient))

    return summed([t.value for t in form.terms], term)


def derived(
    of: str,
    expression: Expression | None,
    value: float,
    steps: Sequence[Derivation] = (),
    *,
    whole: bool = True,
) -> Derivation:
    """A derivation with as many digits as it takes to recompute its result from what is printed."""
    if expression is None:
        return Derivation(of, None, value, number(value), DIGITS, tuple(steps), whole)
    scale = expression.scale
    exact = 0.0 if abs(value) <= _LOST * scale else value
    if not math.isfinite(exact) or not math.isfinite(scale):
        return Derivation(of, expression, value, number(value), DIGITS, tuple(steps), whole)
    for places in (DIGITS, DIGITS - 1, DIGITS - 2):
        wanted = number(exact, places)
        last = 10.0 ** (math.floor(math.log10(abs(exact))) - places + 1) if exact else scale
        # Floats compute here what a reader does in decimals: where much cancels, that differs.
        near = 0.49 * last - _UNIT * scale if exact else _LOST * last
        for digits in range(DIGITS, 18):
            if abs(expression.evaluated(digits) - float(wanted)) <= near:
                return Derivation(of, expression, value, wanted, digits, tuple(steps), whole)
    return Derivation(of, expression, value, repr(exact), 17, tuple(steps), whole)


def _operands(form: Form, label: Callable[[Value, Index], str]) -> Callable[[Number], Expression]:
    def operand(n: Number) -> Expression:
        value = form.node.inputs[n.operand]
        if "constant" in value.node.op.roles:
            return constant(n.value)
        return named(label(value, n.index), n.value)

    return operand


# -- closed forms -------------------------------------------------------------------------------

_Numbers = Callable[[int, Index], Expression]
_Arrays = Sequence[NDArray[np.generic]]

_AT_ONE_PLACE = {
    "relu": "maximum(0, x)",
    "relu6": "minimum(maximum(0, x), 6)",
    "leaky_relu": "where(x > 0, x, slope * x)",
    "elu": "where(x > 0, x, alpha * (exp(x) - 1))",
    "sigmoid": "1 / (1 + exp(-x))",
    "silu": "x / (1 + exp(-x))",
    "log_sigmoid": "-log(1 + exp(-x))",
    "softplus": "log(1 + exp(beta * x)) / beta",
    "softsign": "x / (1 + abs(x))",
    "tanhshrink": "x - tanh(x)",
    "mish": "x * tanh(log(1 + exp(x)))",
    "celu": "where(x > 0, x, alpha * (exp(x / alpha) - 1))",
    "hardtanh": "minimum(maximum(x, min_val), max_val)",
    "hardsigmoid": "minimum(maximum(x / 6 + 0.5, 0), 1)",
    "hardswish": "x * minimum(maximum(x / 6 + 0.5, 0), 1)",
    "threshold": "where(x > threshold, x, value)",
    "hardshrink": "where(abs(x) > lambd, x, 0)",
    "softshrink": "x - minimum(maximum(x, -lambd), lambd)",
    "gelu": "x / 2 * (1 + erf(x / sqrt(2)))",
    "gelu_tanh": "x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3)))",
}


def _here(node: Node, _: _Arrays, index: Index, at: _Numbers) -> Expression | None:
    """A function of the number at the same place; attributes are numbers in it."""
    settings = {k: constant(float(v)) for k, v in node.attributes.items()}
    return parsed(_AT_ONE_PLACE[node.op.name], {"x": at(0, index), **settings})


def _along(node: Node, arrays: _Arrays, index: Index) -> list[Index]:
    axis = node.attributes["axis"] % arrays[0].ndim
    return [(*index[:axis], k, *index[axis + 1 :]) for k in range(arrays[0].shape[axis])]


def _exponentials(places: Sequence[Index], at: _Numbers) -> Expression:
    return total([Expression("call", (at(0, i),), "exp") for i in places])


def _log(x: Expression) -> Expression:
    return Expression("call", (x,), "log")


def _softmax(node: Node, arrays: _Arrays, index: Index, at: _Numbers) -> Expression | None:
    own = Expression("call", (at(0, index),), "exp")
    return Expression("/", (own, _exponentials(_along(node, arrays, index), at)))


def _log_softmax(node: Node, arrays: _Arrays, index: Index, at: _Numbers) -> Expression | None:
    places = _along(node, arrays, index)
    return Expression("-", (at(0, index), _log(_exponentials(places, at))))


def _averaged(node: Node, terms: Sequence[Expression]) -> Expression:
    whole = total(terms)
    how = node.attributes.get("reduction", "mean")
    if how == "sum" or len(terms) == 1:
        return whole
    count = int(str(node.inputs[0].type.shape[0])) if how == "batchmean" else len(terms)
    return Expression("/", (whole, constant(count)))


def _cross_entropy(node: Node, arrays: _Arrays, index: Index, at: _Numbers) -> Expression | None:
    z, k = arrays[0], arrays[1]
    plain = (
        not node.attributes.get("label_smoothing") and node.attributes.get("ignore_index") is None
    )
    if index or not plain or z.ndim != 2 or len(node.inputs) != 2 or z.size > 10_000:
        return None
    rows = []
    for row, answer in enumerate(k.tolist()):
        places = [(row, j) for j in range(z.shape[1])]
        sure = at(0, (row, answer))
        inside = Expression("-", (sure, _log(_exponentials(places, at))))
        rows.append((f"log_softmax[{row}, {answer}]", inside))
    if len(rows) == 1:
        return Expression("neg", (rows[0][1],))
    terms = [named(name, inside.evaluated()) for name, inside in rows]
    return Expression("neg", (_averaged(node, terms),))


def _pairs(text: str) -> Callable[[Node, _Arrays, Index, _Numbers], Expression | None]:
    """The mean of a function of predictions p and targets t, and of the loss's settings."""

    def make(node: Node, arrays: _Arrays, index: Index, at: _Numbers) -> Expression | None:
        p, t = arrays[0], arrays[1]
        if index or p.shape != t.shape or len(node.inputs) != 2 or p.size > 1000:
            return None
        places = [tuple(map(int, i)) for i in np.ndindex(*p.shape)]
        plain = {k: v for k, v in node.attributes.items() if isinstance(v, int | float)}
        settings = {k: constant(float(v)) for k, v in plain.items()}
        terms = [parsed(text, {**settings, "p": at(0, i), "t": at(1, i)}) for i in places]
        return _averaged(node, terms)

    return make


_CLOSED: Mapping[str, Callable[[Node, _Arrays, Index, _Numbers], Expression | None]] = {
    **dict.fromkeys(_AT_ONE_PLACE, _here),
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "cross_entropy": _cross_entropy,
    "mse": _pairs("(p - t) ** 2"),
    "mae": _pairs("abs(p - t)"),
    "bce_logits": _pairs("maximum(p, 0) - p * t + log(1 + exp(-abs(p)))"),
    "log_cosh": _pairs("log((exp(p - t) + exp(t - p)) / 2)"),
    "kl_div": _pairs("t * (log(t) - p)"),
    "poisson_nll": _pairs("exp(p) - t * p"),
    "hinge": _pairs("maximum(0, margin - t * p)"),
    "squared_hinge": _pairs("maximum(0, 1 - t * p) ** 2"),
    "soft_margin": _pairs("log(1 + exp(-(t * p)))"),
    "bce": _pairs("-(t * log(p) + (1 - t) * log(1 - p))"),
}
