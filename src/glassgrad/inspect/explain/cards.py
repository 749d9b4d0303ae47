"""Cards: one for each value of the step, with where it comes from and what it does to the loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.errors import UsageError, did_you_mean, shown
from glassgrad.ir import INPUT, Node, Value

from .forms import Form, Index, form
from .recording import Recording

Array = NDArray[Any]
_DEEPEST = 8  # forms that one derivation may take


@dataclass(frozen=True, slots=True, repr=False)
class Card:
    """One value: its op, its numbers, its derivative, and both derived at one place.

    `forward` says how number `index` of the value comes about, `backward` how the derivative of
    the loss in it does: the first form is that number, later ones are of numbers in the first
    that have no card. Both are empty where there is nothing to derive. `array` and `gradient` are all
    numbers of the value and the derivatives of the loss in them.

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> model, x = nn.Linear(2, 1, init=0.5), [[1.0, 2.0]]
    >>> step = gg.explain(model, x, [[1.0]], loss="mse")
    >>> step["weight[1, 0]"]
    weight (2 x 1) = [[0.5], [0.5]]
      weight[1, 0] = 0.5
    d_weight = [[1], [2]]
      d_weight[1, 0] = x[0, 1] * d_linear[0, 0] = 2 * 1 = 2
    """

    name: str
    layer: str
    title: str
    op: str
    formula: str
    role: str  # of an input: data, parameter, buffer, host; "" for what is computed
    index: Index
    array: Array
    gradient: Array | None
    forward: tuple[Form, ...]
    backward: tuple[Form, ...]
    of: tuple[Cards, Value]

    def __repr__(self) -> str:
        """The card as an explanation prints it, and this number of the value."""
        from .text import card  # here, for the text is made of cards

        return card(*self.of, self.index)


class Cards:
    """The cards of a recording, made as they are asked for."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.order = [n.values[0] for n in recording.forward() if _has_card(n)]
        self._shown = {*self.order, *recording.gradients.values()}
        self.by_name = {recording.names[v]: v for v in self.order}
        self._of_data = _of_data(recording)
        self._by_path = {path: v for path, v in recording.graph.inputs.items() if v in self._shown}

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Card]:
        return (self.card(v) for v in self.order)

    def knows(self, name: str) -> bool:
        """Whether a value has this name, or a parameter this path."""
        return name in self.by_name or name in self._by_path

    def find(self, name: str) -> Value:
        """The value of this name, a parameter's also by its path. Raises UsageError for any other."""
        found = self.by_name.get(name, self._by_path.get(name)) if isinstance(name, str) else None
        if found is None:
            names = [*self.by_name]
            more = f" and {len(names) - 12} more" if len(names) > 12 else ""
            raise UsageError(
                "no value of this name in the step",
                expected=", ".join(names[:12]) + more,
                received=shown(name),
                hint=did_you_mean(name, (*names, *self._by_path)),
            )
        return found

    def chosen(self, value: Value, row: int | None = None) -> Index | None:
        """The number that stands for a value: that of the largest derivative, in this row if one."""
        array, gradient = self.recording.arrays[value], self.recording.gradient(value)
        sizes = array if gradient is None else gradient
        if row is None or not self.has_rows(value):
            return _largest(sizes)
        at = _largest(sizes[row])
        return None if at is None else (row, *at)

    def has_rows(self, value: Value) -> bool:
        """Whether the first axis of a value is that of the rows: it comes of data and is as long."""
        return value in self._of_data and value.type.shape[:1] == (self.recording.rows,)

    def card(self, value: Value, index: Index | None = None) -> Card:
        """The card of a value, derived at `index`: at the largest derivative, if none is given."""
        recording, node = self.recording, value.node
        array, gradient = recording.arrays[value], recording.gradient(value)
        at = self.chosen(value) if index is None else index
        backward: tuple[Form, ...] = ()
        if at is not None and gradient is not None and value is not recording.loss:
            backward = self.derivation(recording.gradients[value], at)
        scope = recording.scopes.get(node.origin.scope)
        return Card(
            name=recording.names[value],
            layer=node.origin.scope,
            title=scope.title if scope else "",
            op=node.op.name,
            formula=node.op.formula,
            role=str(node.attributes["role"]) if node.op is INPUT else "",
            index=at or (),
            array=array,
            gradient=gradient,
            forward=() if at is None or node.op is INPUT else self.derivation(value, at),
            backward=backward,
            of=(self, value),
        )

    def source(self, value: Value, index: Index) -> tuple[Value, Index]:
        """Where a number without a card was copied from: a transposed weight is that weight."""
        while not self.is_shown(value) and value.node.op.family == "movement":
            made = self.form(value, index)
            if len(made.terms) != 1 or made.terms[0].coefficient != 1:
                break
            (number,) = made.terms[0].numbers
            value, index = value.node.inputs[number.operand], number.index
        return value, index

    def is_shown(self, value: Value) -> bool:
        """Whether a reader knows this value: it has a card, or is the derivative of one that has."""
        return value in self._shown

    def derivation(self, value: Value, index: Index) -> tuple[Form, ...]:
        """How one number comes about; numbers without a card of their own are derived, too."""
        found: dict[tuple[Value, Index], Form] = {}
        todo = [(value, index)]
        while todo and len(found) < _DEEPEST:
            of, at = todo.pop(0)
            if (of, at) in found:
                continue
            made = found[of, at] = self.form(of, at)
            for number in made.parts:
                inner, where = self.source(of.node.inputs[number.operand], number.index)
                plain = inner.node.op is INPUT or "constant" in inner.node.op.roles
                if not plain and not self.is_shown(inner) and len(made.parts) <= _DEEPEST:
                    todo.append((inner, where))
        return tuple(found.values())

    def form(self, value: Value, index: Index) -> Form:
        """How one number of one value comes about."""
        arrays = self.recording.arrays
        operands = [arrays[v] for v in value.node.inputs]
        return form(value.node, operands, arrays[value], index, value.index)


def _has_card(node: Node) -> bool:
    return "constant" not in node.op.roles and len(node.values) == 1


def _of_data(recording: Recording) -> set[Value]:
    """Data, and all that is computed from them."""
    found: set[Value] = set()
    for node in recording.forward():
        given = node.op is INPUT and node.attributes["role"] == "data"
        if given or any(v in found for v in node.inputs):
            found.update(node.values)
    return found


def _largest(array: Array) -> Index | None:
    """Where the number of the largest size is; None in an array of none."""
    if array.size == 0:
        return None
    sizes = np.nan_to_num(np.abs(array.astype(np.float64)), nan=np.inf)
    return tuple(int(i) for i in np.unravel_index(int(sizes.argmax()), array.shape))
