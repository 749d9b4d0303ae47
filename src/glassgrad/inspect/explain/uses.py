"""A derivative by the places where a weight is used: rows, places of an image, steps of a sequence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from glassgrad.errors import ConfigError, shown, whole_number
from glassgrad.ir import Value

from .cards import Cards
from .forms import Form, Index, Number, sum_of
from .words import Labels, number, place

_SHOWN = 10  # products in a printed list


@dataclass(frozen=True, slots=True)
class Use:
    """One product in the derivative of a weight, and the numbers it is of: values with indices.

    For a weight of a convolution these are a pixel and the derivative in one place of its result.

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> model, x = nn.Linear(2, 1, init=0.5), [[1.0, 2.0]]
    >>> (use,) = gg.explain(model, x, [[1.0]], loss="mse").uses("weight[1, 0]")
    >>> use.value, [index for _, index in use.numbers]
    (2.0, [(0, 1), (0, 0)])
    """

    value: float
    numbers: tuple[tuple[Value, Index], ...]
    product: bool = True  # otherwise what an op makes of these numbers


class Uses(Sequence[Use]):
    """All products of a derivative, in the order in which they are added; printed, the largest.

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> model, x = nn.Linear(2, 1, init=0.5), [[1.0, 2.0]]
    >>> gg.explain(model, x, [[1.0]], loss="mse").uses("weight[1, 0]")
    d loss / d weight[1, 0] = 2, the sum of 1 product:
      2  x[0, 1] * d_linear[0, 0]
    """

    def __init__(self, cards: Cards, of: str, found: Sequence[Use]) -> None:
        self._cards, self._of, self._found = cards, of, found

    @overload
    def __getitem__(self, i: int) -> Use: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[Use]: ...
    def __getitem__(self, i: int | slice) -> Use | Sequence[Use]:
        return self._found[i]

    def __len__(self) -> int:
        return len(self._found)

    @property
    def total(self) -> float:
        """The derivative."""
        return sum_of([use.value for use in self])

    def by_place(self, *axes: int) -> dict[tuple[str, Index], float]:
        """What is added at each place: the value that the weight is used in, and where in it.

        A place is an index of that value, of which only these axes are kept: 2 and 3 of images, 1 of
        sequences, so that rows are summed; without any, all are. In a recurrent layer what comes from
        below has its steps in axis 0, and what is carried is a value of its own for each step. A penalty
        is a value of its own, too; what stands in no value is at ("", ()). Raises ConfigError for axes
        that no such value has.

        >>> import glassgrad as gg
        >>> from glassgrad import nn
        >>> model = nn.Sequential(nn.Conv1d(1, 1, 1, init=1.0), nn.Flatten())
        >>> x, y = [[[1.0, 2.0]], [[3.0, 4.0]]], [[0.0, 0.0], [0.0, 0.0]]
        >>> found = gg.explain(model, x, y, loss="mse").uses("conv1d1_weight[0, 0, 0]")
        >>> found.by_place(2)
        {('conv1d1', (0,)): 5.0, ('conv1d1', (1,)): 10.0}
        """
        called = self._cards.recording.names
        of = {g: called[v] for v, g in self._cards.recording.gradients.items()}
        places = [[(of[v], at) for v, at in use.numbers if v in of] for use in self]
        ends: list[tuple[str, Index]] = [each[-1] if each else ("", ()) for each in places]
        kept = _axes(axes, max([len(at) for _, at in ends], default=0))
        sums: dict[tuple[str, Index], list[float]] = {}
        for use, (name, at) in zip(self, ends, strict=True):
            if name or use.value:
                key = name, tuple([at[a] for a in kept if a < len(at)])
                sums.setdefault(key, []).append(use.value)
        return {key: sum_of(parts) for key, parts in sums.items()}

    def __repr__(self) -> str:
        """The largest products, and what the others come to."""
        largest = sorted([u for u in self if u.value], key=lambda u: -abs(u.value))
        lines = [(number(u.value), self._words(u)) for u in largest[:_SHOWN]]
        if others := largest[_SHOWN:]:
            lines.append((number(sum_of([u.value for u in others])), f"{len(others):,} more"))
        if zeros := len(self) - len(largest):
            lines.append(("0", f"{zeros:,} that are 0"))
        width = max([len(value) for value, _ in lines], default=0)
        many = f"{len(self):,} product{'s' * (len(self) != 1)}"
        head = f"d loss / d {self._of} = {number(self.total)}, the sum of {many}:"
        return "\n".join([head, *[f"  {value:>{width}}  {words}" for value, words in lines]])

    def _words(self, use: Use) -> str:
        labels = Labels(self._cards.recording.names)
        names = [labels.of(*place) for place in use.numbers]
        if not use.product:
            return f"from {', '.join(names)}" if names else "by itself"
        arrays = self._cards.recording.arrays
        factor = use.value / math.prod([float(arrays[value][at]) for value, at in use.numbers])
        also = [] if math.isclose(factor, 1) else [number(factor)]
        return " * ".join([*also, *names])


def uses(cards: Cards, value: Value, index: Index) -> Uses:
    """The derivative of the loss in one number of a parameter, as the products it is the sum of.

    Sums are opened until a product is met, or a value that has a name.
    """
    gradient = cards.recording.gradients.get(value)
    found = [] if gradient is None else _opened(cards, gradient, index, 1.0, first=True)
    return Uses(cards, place(cards.recording.names[value], index), found)


def _axes(given: tuple[int, ...], below: int) -> Sequence[int]:
    """Axes of a place; all of them where none is named."""
    whole = [whole_number(a) for a in given]
    found = [a for a in whole if a is not None and 0 <= a < below]
    if len(found) < len(whole):
        raise ConfigError(
            "a place has no such axis",
            where="by_place",
            expected=f"whole numbers from 0, below {below}",
            received=shown(given),
        )
    return found or range(below)


def _opened(
    cards: Cards, value: Value, index: Index, factor: float, *, first: bool = False
) -> list[Use]:
    value, index = cards.source(value, index) if not first else (value, index)
    leaf = Use(factor * float(cards.recording.arrays[value][index]), ((value, index),))
    if not first and cards.is_shown(value):
        return [leaf]
    form = cards.form(value, index)
    parts = _added(form)
    if parts is None:
        return [Use(factor * form.value, _numbers(cards, form), product=False)]
    found: list[Use] = []
    for coefficient, numbers in parts:
        if len(numbers) == 1:
            (n,) = numbers
            found += _opened(cards, form.node.inputs[n.operand], n.index, factor * coefficient)
        else:
            product = math.prod([n.value for n in numbers], start=factor * coefficient)
            places = [cards.source(form.node.inputs[n.operand], n.index) for n in numbers]
            found.append(Use(product, tuple(places)))
    return found


def _added(form: Form) -> list[tuple[float, tuple[Number, ...]]] | None:
    """What a number is the sum of, if it is one: coefficients and numbers."""
    if form.kind == "sum":
        return [(t.coefficient, t.numbers) for t in form.terms]
    if form.kind == "apply" and form.node.op.name == "multiply":
        return [(1.0, form.numbers)]
    signs = {"add": (1.0, 1.0), "subtract": (1.0, -1.0), "negative": (-1.0,), "cast": (1.0,)}
    if form.kind == "apply" and form.node.op.name in signs:
        each = zip(signs[form.node.op.name], form.numbers, strict=True)
        return [(sign, (n,)) for sign, n in each]
    return None


def _numbers(cards: Cards, form: Form) -> tuple[tuple[Value, Index], ...]:
    return tuple([cards.source(form.node.inputs[n.operand], n.index) for n in form.parts])
