"""Why a number does not act on the loss: where each of its ways ends.

A derivative is nought where every product in it has a factor that is. Such factors are followed,
from one derivative to the next, to those that stand for themselves: a comparison that does not
hold, a weight or a mask that is 0, a place that nothing was taken from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glassgrad.ir import INPUT, Node, Value

from .cards import Cards
from .forms import Form, Index, Number, operand_of
from .words import Labels, number

_MOST = 10  # ends that are told; others are counted
_LOOKED_AT = 400  # numbers on the way to them
_DEEPEST = 6  # steps from a mask to the comparison that it comes from

_HOLDS = {
    "greater": "is above", "greater_equal": "is not below", "less": "is below",
    "less_equal": "is not above", "equal": "is", "not_equal": "is not",
}  # fmt: skip
_FAILS = {
    "greater": "is not above", "greater_equal": "is below", "less": "is not below",
    "less_equal": "is above", "equal": "is not",
}  # fmt: skip
_CHOOSING = frozenset(
    ("max_pool", "max", "min", "max_pick", "sort", "take", "take_along_axis", "pick", "slice")
)
_LINEAR = frozenset(("add", "subtract", "negative", "multiply", "divide", "cast", "select"))


@dataclass(frozen=True, slots=True)
class End:
    """Where a way ends: the number in which it does, and why, in words."""

    value: Value
    index: Index
    words: str


@dataclass(frozen=True, slots=True)
class _Place:
    """A derivative that is 0, and the last number before it that a reader knows by name."""

    value: Value
    index: Index
    known: str


def ends(
    cards: Cards, value: Value, index: Index, most: int = _MOST
) -> tuple[tuple[End, ...], int | None]:
    """Where the ways of a number end whose derivative is 0, and how many more ends there are.

    None stands for more than were looked for.
    """
    finding = _Finding(cards)
    gradient = cards.recording.gradients.get(value)
    if gradient is None:
        return (finding.without(value, index),), 0
    found, complete = finding.all(gradient, index)
    return tuple(found[:most]), max(0, len(found) - most) if complete else None


class _Finding:
    def __init__(self, cards: Cards) -> None:
        self.cards = cards
        self.recording = cards.recording
        self.labels = Labels(cards.recording.names, cards.source)
        self.of = {g: v for v, g in self.recording.gradients.items()}
        self.readers = self.recording.readers()

    def all(self, gradient: Value, index: Index) -> tuple[list[End], bool]:
        """Ends of all sorts; that a place is not taken is told only where nothing else is."""
        found: dict[str, End] = {}
        not_taken: dict[str, End] = {}
        seen: set[tuple[Value, Index]] = set()
        todo = [_Place(gradient, index, "")]
        while todo and len(seen) < _LOOKED_AT:
            at = self.source(todo.pop())
            if (at.value, at.index) in seen:
                continue
            seen.add((at.value, at.index))
            form = self.cards.form(at.value, at.index)
            if form.kind == "sum" and not self.products(form):
                end = self.not_taken(at)
                not_taken.setdefault(end.words, end)
                continue
            behind = self.behind(form, at)
            for each in behind:
                if isinstance(each, End):
                    found.setdefault(each.words, each)
            todo += [each for each in reversed(behind) if isinstance(each, _Place)]
        return list((found or not_taken).values()), not todo

    def source(self, at: _Place) -> _Place:
        value, index = self.cards.source(at.value, at.index)
        known = self.labels.of(value, index) if self.cards.is_shown(value) else at.known
        return _Place(value, index, known)

    def behind(self, form: Form, at: _Place) -> list[End | _Place]:
        """Why one derivative is 0: ends, or other derivatives that are."""
        name, inputs = form.node.op.name, form.node.inputs
        if form.kind == "sum":
            return [e for numbers in self.products(form) for e in self.factor(form, numbers, at)]
        if form.kind == "steps":
            return self.inside(form, at)
        if form.kind != "apply":
            return [End(at.value, at.index, f"{at.known} = 0")]
        if name == "select":
            chosen = form.numbers[1 if form.numbers[0].value else 2]
            if self.is_constant(form, chosen):
                condition = form.numbers[0]
                return [self.shut(form, condition, bool(condition.value))]
            return [_Place(inputs[chosen.operand], chosen.index, at.known)]
        if name in ("add", "subtract"):
            x, y = form.numbers
            if name == "subtract" and x.value == y.value != 0:
                left, right = [self.labels.of(inputs[n.operand], n.index) for n in (x, y)]
                return [End(at.value, at.index, f"{left} and {right} are both {number(x.value)}")]
            return [e for n in (x, y) for e in self.factor(form, (n,), at)]
        return self.factor(form, form.numbers[:1] if name == "divide" else form.numbers, at)

    def factor(self, form: Form, numbers: Sequence[Number], at: _Place) -> list[End | _Place]:
        """Which of the factors of one product is 0; one of the way forward is told first."""
        noughts = [n for n in numbers if n.value == 0]
        inputs = form.node.inputs
        gates = [n for n in noughts if self.is_gate(form, n)]
        if gates:
            return [self.shut(form, gates[0], False)]
        places = [self.cards.source(inputs[n.operand], n.index) for n in noughts]
        here = [(v, i) for v, i in places if v.node.origin.phase == "forward"]
        if here:
            return [self.nothing(*here[0])]
        if places:
            return [_Place(*places[0], at.known)]
        return [End(at.value, at.index, f"the parts of {at.known} cancel to 0")]

    def inside(self, form: Form, at: _Place) -> list[End | _Place]:
        """The same through the steps of a composite, to its operands."""
        outer = form.node.inputs
        assert form.inside is not None
        found: list[End | _Place] = []
        seen: set[tuple[Value, Index]] = set()
        todo = [(form.last.node.values[form.last.output], form.last.index)]
        while todo:
            place = todo.pop()
            if place in seen:
                continue
            seen.add(place)
            step = form.inside.step(*place)
            if not _is_linear(step):
                what = place[0].node.op.name
                found.append(End(at.value, at.index, f"{what} is 0 on the way to {at.known}"))
                continue
            noughts = self.noughts(step)
            if not noughts:
                words = f"the parts of {at.known} cancel to 0"
                found.append(End(at.value, at.index, words))
            for n in noughts:
                inner = step.node.inputs[n.operand]
                if inner.node.op is not INPUT:
                    todo.append((inner, n.index))
                    continue
                value, index = self.cards.source(outer[operand_of(inner)], n.index)
                forward = value.node.origin.phase == "forward"
                found.append(
                    self.nothing(value, index) if forward else _Place(value, index, at.known)
                )
        return found

    def noughts(self, step: Form) -> list[Number]:
        """A factor that is 0 of each product in a step, one of the way forward if there is one."""
        chosen = []
        for numbers in self.products(step):
            zeros = [n for n in numbers if n.value == 0]
            given = [n for n in zeros if step.node.inputs[n.operand].node.op is INPUT]
            chosen += (given or zeros)[:1]
        return chosen

    # -- what is known of a number ------------------------------------------------------------

    def products(self, form: Form) -> list[Sequence[Number]]:
        """What is added in a form: products of numbers, without those of constants alone."""
        if form.kind == "sum":
            each: list[Sequence[Number]] = [t.numbers for t in form.terms]
        elif form.node.op.name == "select":
            each = [(form.numbers[1 if form.numbers[0].value else 2],)]
        elif form.node.op.name in ("add", "subtract"):
            each = [(n,) for n in form.numbers]
        else:
            each = [form.numbers[:1] if form.node.op.name == "divide" else form.numbers]
        return [ns for ns in each if not all(self.is_constant(form, n) for n in ns)]

    def is_constant(self, form: Form, n: Number) -> bool:
        """Whether a number was only written down, such as the 0 that sums begin with."""
        value = form.node.inputs[n.operand]
        while value.node.op.family == "movement" and len(value.node.inputs) == 1:
            (value,) = value.node.inputs
        return "constant" in value.node.op.roles

    def is_gate(self, form: Form, n: Number) -> bool:
        value, _ = self.cards.source(form.node.inputs[n.operand], n.index)
        return value.type.dtype == "bool" or _compares(value.node)

    # -- words --------------------------------------------------------------------------------

    def nothing(self, value: Value, index: Index) -> End:
        """A number of the way forward that is 0, with the comparison that makes a mask so."""
        value, index = self.cards.source(value, index)
        words = f"{self.labels.of(value, index)} = 0"
        why = self.mask(value, index)
        return End(value, index, f"{words}: {why}" if why else words)

    def mask(self, value: Value, index: Index) -> str:
        """The comparison that a number was made of alone, if it was."""
        for _ in range(_DEEPEST):
            if _compares(value.node):
                return self.comparison(value, index, False)
            if value.node.op is INPUT:
                break
            form = self.cards.form(value, index)
            some = [n for n in form.parts if n.value == 0 and not self.is_constant(form, n)]
            if len(some) != 1 or form.kind == "steps":
                break
            value, index = form.node.inputs[some[0].operand], some[0].index
        return ""

    def shut(self, form: Form, gate: Number, holds: bool) -> End:
        """A condition that keeps a derivative from passing."""
        value = form.node.inputs[gate.operand]
        why = self.comparison(value, gate.index, holds)
        beside = [(form.node.inputs[n.operand], n.index) for n in form.parts if n != gate]
        behind = [(self.of[v], at) for v, at in beside if v in self.of]
        words = f"{self.labels.of(*behind[0])} is shut: {why}" if behind else why
        return End(value, gate.index, words)

    def comparison(self, value: Value, index: Index, holds: bool) -> str:
        """Of several conditions the one that decides; what is compared, and with what."""
        value, index = self.cards.source(value, index)
        form = self.cards.form(value, index)
        name = value.node.op.name
        operands = [(value.node.inputs[n.operand], n.index) for n in form.numbers]
        if name == "logical_not":
            return self.comparison(*operands[0], not holds)
        if name in ("logical_and", "logical_or"):
            each = zip(operands, form.numbers, strict=True)
            deciding = [o for o, n in each if bool(n.value) is holds]
            return self.comparison(*(deciding or operands)[0], holds)
        if not _compares(value.node):
            return f"{self.labels.of(value, index)} = {number(form.value)}"
        left, right = [_before_cast(*o) for o in operands]
        x, y = [number(n.value) for n in form.numbers]
        if name == "not_equal" and not holds:
            return f"{self.labels.of(*left)} = {x}, which is left out"
        words = (_HOLDS if holds else _FAILS)[name]
        other = "" if self.is_constant(form, form.numbers[1]) else f"{self.labels.of(*right)} = "
        return f"{self.labels.of(*left)} = {x} {words} {other}{y}"

    def not_taken(self, at: _Place) -> End:
        """Nothing reads the number: another was taken, or none at all."""
        what = self.of.get(at.value)
        if what is None:
            return End(at.value, at.index, f"nothing after it goes into {at.known}")
        label = self.labels.of(what, at.index)
        choosing = [n for n in self.readers.get(what, ()) if n.op.name in _CHOOSING]
        if not choosing:
            return End(what, at.index, f"{label} is read nowhere")
        chooser = self.recording.names[choosing[0].values[0]]
        size = number(float(self.recording.arrays[what][at.index]))
        return End(what, at.index, f"{label} = {size} is not among what {chooser} takes")

    def without(self, value: Value, index: Index) -> End:
        """A number that has no derivative at all."""
        label = self.labels.of(value, index)
        if value not in _read_for(self.recording.loss.node):
            return End(value, index, f"nothing that leads to the loss reads {label}")
        words = f"{label} only chooses, compares or counts: that has no derivative"
        return End(value, index, words)


def _is_linear(step: Form) -> bool:
    return step.kind == "sum" or (step.kind == "apply" and step.node.op.name in _LINEAR)


def _compares(node: Node) -> bool:
    return node.op.name in _HOLDS or node.op.name.startswith("logical_")


def _before_cast(value: Value, index: Index) -> tuple[Value, Index]:
    while value.node.op.name == "cast":
        (value,) = value.node.inputs
    return value, index


def _read_for(last: Node) -> set[Value]:
    """All that a node is computed from."""
    found: set[Value] = set()
    todo = [last]
    while todo:
        new = [v for v in todo.pop().inputs if v not in found]
        found.update(new)
        todo += [v.node for v in new]
    return found
