"""Why a number does not act on the loss: where each of its ways ends.

A derivative is nought where every product in it has a factor that is. Such factors are followed,
from one derivative to the next, to those that stand for themselves: a comparison that does not
hold, a weight or a mask that is 0, a place that nothing was taken from.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from glassgrad.ir import INPUT, Node, Value

from .cards import Cards
from .forms import Form, Index, Number
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
    "less_equal": "is above", "equal": "is not", "not_equal": "is",
}  # fmt: skip
_CHOOSING = frozenset(
    ("max_pool", "max", "min", "max_pick", "sort", "take", "take_along_axis", "pick")
)


@dataclass(frozen=True, slots=True)
class End:
    """Where a way ends: the number in which it does, and why, in words."""

    value: Value
    index: Index
    words: str


def ends(cards: Cards, value: Value, index: Index, most: int = _MOST) -> tuple[list[End], int]:
    """Where the ways of a number end whose derivative is 0, and how many ends are not told.

    The number of those not told counts what was met: behind it there may be more.
    """
    gradient = cards.recording.gradients.get(value)
    if gradient is None:
        return [_Finding(cards).without(value, index)], 0
    return _Finding(cards).all(gradient, index, most)


class _Finding:
    def __init__(self, cards: Cards) -> None:
        self.cards = cards
        self.recording = cards.recording
        self.labels = Labels(cards.recording.names, cards.source)
        self.of = {g: v for v, g in self.recording.gradients.items()}
        self.readers: dict[Value, list[Node]] = {}
        for node in self.recording.forward():
            for v in node.inputs:
                self.readers.setdefault(v, []).append(node)

    def all(self, gradient: Value, index: Index, most: int) -> tuple[list[End], int]:
        found: dict[str, End] = {}
        seen: set[tuple[Value, Index]] = set()
        todo = deque([(gradient, index)])
        while todo and len(seen) < _LOOKED_AT:
            at = self.cards.source(*todo.popleft())
            if at in seen:
                continue
            seen.add(at)
            for each in self.behind(*at):
                if isinstance(each, End):
                    found.setdefault(each.words, each)
                else:
                    todo.append(each)
        told = list(found.values())[:most]
        return told, len(found) - len(told) + len(todo)

    def behind(self, value: Value, index: Index) -> list[End | tuple[Value, Index]]:
        """Why one derivative is 0: ends, or other derivatives that are."""
        form = self.cards.form(value, index)
        name, inputs = value.node.op.name, value.node.inputs
        if form.kind == "sum":
            terms = [t.numbers for t in form.terms if not self.is_constant(form, t.numbers)]
            if not terms:
                return [self.not_taken(value, index)]
            return [e for numbers in terms for e in self.factor(form, numbers)]
        if form.kind == "apply" and name == "select":
            chosen = form.numbers[1 if form.numbers[0].value else 2]
            if self.is_constant(form, (chosen,)):
                condition = form.numbers[0]
                return [self.shut(form, condition, bool(condition.value))]
            return [(inputs[chosen.operand], chosen.index)]
        if name == "subtract" and form.numbers[0].value == form.numbers[1].value != 0:
            left, right = [self.labels.of(inputs[n.operand], n.index) for n in form.numbers]
            same = f"{left} and {right} are both {number(form.numbers[0].value)}"
            return [End(value, index, same)]
        if form.kind == "apply" and name in ("add", "subtract"):
            return [e for n in form.numbers for e in self.factor(form, (n,))]
        if form.kind == "apply":
            return self.factor(form, form.numbers[:1] if name == "divide" else form.numbers)
        if form.kind == "steps":
            given = self.moved(form)
            if given and not any(n.value for n in given):
                return [(inputs[n.operand], n.index) for n in given]
        return [End(value, index, f"{self.labels.of(value, index)} = 0")]

    def factor(self, form: Form, numbers: Sequence[Number]) -> list[End | tuple[Value, Index]]:
        """Which of the factors of one product is 0; one of the way forward is told first."""
        noughts = [n for n in numbers if n.value == 0]
        here = [n for n in noughts if form.node.inputs[n.operand].node.origin.phase == "forward"]
        gates = [n for n in noughts if self.is_gate(form, n)]
        if gates:
            return [self.shut(form, gates[0], False)]
        if here:
            return [self.nothing(form.node.inputs[here[0].operand], here[0].index)]
        if noughts:
            return [(form.node.inputs[noughts[0].operand], noughts[0].index)]
        value = form.node.values[form.output]
        what = self.labels.of(value, form.index)
        return [End(value, form.index, f"the parts of {what} cancel to 0")]

    # -- what is known of a number ------------------------------------------------------------

    def is_constant(self, form: Form, numbers: Sequence[Number]) -> bool:
        """Whether a term is nothing but a number that was written down, such as 0."""
        each = [self.cards.source(form.node.inputs[n.operand], n.index)[0] for n in numbers]
        return all("constant" in v.node.op.roles for v in each)

    def is_gate(self, form: Form, n: Number) -> bool:
        value, _ = self.cards.source(form.node.inputs[n.operand], n.index)
        return value.type.dtype == "bool" or _compared(value.node) is not None

    def moved(self, form: Form) -> list[Number]:
        """Operands of a composite on the way back that are derivatives, as far as steps read them."""
        outer = form.node.inputs
        found = {}
        for step in form.steps:
            for n in step.parts:
                inner = step.node.inputs[n.operand].node
                if inner.op is INPUT:
                    operand = int(str(inner.attributes["name"])[1:])
                    if outer[operand].node.origin.phase != "forward":
                        found[operand, n.index] = Number(operand, n.index, n.value)
        return list(found.values())

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
            if _compared(value.node) is not None or value.node.op is INPUT:
                break
            form = self.cards.form(value, index)
            some = [n for n in form.parts if not self.is_constant(form, (n,))]
            if len(some) != 1 or form.kind == "steps":
                return ""
            value, index = form.node.inputs[some[0].operand], some[0].index
        return "" if _compared(value.node) is None else self.comparison(value, index, False)

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
            deciding = [
                o for o, n in zip(operands, form.numbers, strict=True) if bool(n.value) is holds
            ]
            return self.comparison(*(deciding or operands)[0], holds)
        words = _HOLDS if holds else _FAILS
        if name not in words:
            return f"{self.labels.of(value, index)} = {number(form.value)}"
        left, right = [self.before_cast(*o) for o in operands]
        x, y = form.numbers
        named = f"{self.labels.of(*left)} = {number(x.value)}"
        plain = "constant" in right[0].node.op.roles
        other = "" if plain else f"{self.labels.of(*right)} = "
        return f"{named} {words[name]} {other}{number(y.value)}"

    def before_cast(self, value: Value, index: Index) -> tuple[Value, Index]:
        while value.node.op.name == "cast":
            (value,) = value.node.inputs
        return value, index

    def not_taken(self, value: Value, index: Index) -> End:
        """Nothing reads the number: another was taken, or none at all."""
        of = self.of.get(value, value.node.origin.gradient_of)
        what = value if of is None else of
        label = self.labels.of(what, index)
        choosing = [n for n in self.readers.get(what, ()) if n.op.name in _CHOOSING]
        if not choosing:
            return End(what, index, f"{label} is read nowhere")
        chooser = self.recording.names[choosing[0].values[0]]
        size = number(float(self.recording.arrays[what][index]))
        return End(what, index, f"{label} = {size} is not among what {chooser} takes")

    def without(self, value: Value, index: Index) -> End:
        """A number that has no derivative at all."""
        label = self.labels.of(value, index)
        if value not in {v for n in _until(self.recording.loss.node) for v in n.inputs}:
            return End(value, index, f"nothing that leads to the loss reads {label}")
        return End(
            value, index, f"{label} only chooses, compares or counts: that has no derivative"
        )


def _compared(node: Node) -> str | None:
    """The op's name if it gives yes or no."""
    name = node.op.name
    return name if name in _HOLDS or name.startswith("logical_") else None


def _until(last: Node) -> list[Node]:
    """A node and all that it is computed from."""
    found, todo = {last}, [last]
    while todo:
        for v in todo.pop().inputs:
            if v.node not in found:
                found.add(v.node)
                todo.append(v.node)
    return list(found)
