"""A derivative by the places where a weight is used: rows, places of an image, steps of a sequence."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

from glassgrad.ir import Value

from .cards import Cards
from .forms import Form, Index, Number


@dataclass(frozen=True, slots=True)
class Use:
    """One product in the derivative of a weight, and the numbers it is of: values with indices.

    For a weight of a convolution these are a pixel and the derivative in one place of its result.
    """

    value: float
    numbers: tuple[tuple[Value, Index], ...]


def uses(cards: Cards, name: str, index: Index) -> list[Use]:
    """The derivative of the loss in one number of a parameter, as the products it is the sum of.

    Sums are opened until a product is met, or a value that has a name. Raises UsageError for a
    name that no value has.
    """
    value = cards.find(name)
    gradient = cards.recording.gradients.get(value)
    return [] if gradient is None else _opened(cards, gradient, index, 1.0, first=True)


def by_place(cards: Cards, found: list[Use]) -> dict[tuple[str, Index], float]:
    """What each place contributes: a value whose derivative stands in the products, and an index.

    The index is that of the derivative without its unit or channel: the axes that a place has.
    """
    of = {g: v for v, g in cards.recording.gradients.items()}
    names = cards.recording.names
    sums: dict[tuple[str, Index], list[float]] = defaultdict(list)
    for use in found:
        key: tuple[str, Index] = ("", ())
        for value, index in use.numbers:
            if value in of:
                key = (names[of[value]], index)
        sums[key].append(use.value)
    return {key: math.fsum(parts) for key, parts in sums.items()}


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
        return [Use(factor * form.value, _numbers(cards, form))]
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
    signs = {"add": (1.0, 1.0), "subtract": (1.0, -1.0), "negative": (-1.0,), "cast": (1.0,)}
    if form.kind == "apply" and form.node.op.name in signs:
        each = zip(signs[form.node.op.name], form.numbers, strict=True)
        return [(sign, (n,)) for sign, n in each]
    return None


def _numbers(cards: Cards, form: Form) -> tuple[tuple[Value, Index], ...]:
    return tuple([cards.source(form.node.inputs[n.operand], n.index) for n in form.parts])
