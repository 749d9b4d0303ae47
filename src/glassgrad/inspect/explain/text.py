"""An explanation for a terminal: layer by layer, what each gives, and what that does to the loss."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cards import Card, Cards
from .forms import Form
from .words import Labels, Line, line, number

Array = NDArray[Any]
_MOST_SHOWN = 12  # numbers of an array that are printed; of a larger one statistics


def text(cards: Cards, width: int = 100) -> str:
    """The whole step as lines no wider than this, where words allow it."""
    recording = cards.recording
    labels = Labels(recording.names, cards.source)
    rows = f"{recording.rows} row{'s' * (recording.rows != 1)}"
    loss = number(float(recording.arrays[recording.loss]))
    out = [f"One step of {recording.task.model.title()} on {rows}: loss {loss}"]
    layer = None
    for card in cards:
        if card.role in ("host", "buffer"):
            continue
        if card.layer != layer:
            layer = card.layer
            out += ["", *_heading(cards, layer)]
        out += _card(card, labels, width)
    return "\n".join(out)


def _heading(cards: Cards, layer: str) -> Iterator[str]:
    scope = cards.recording.scopes.get(layer)
    if scope is None:
        yield "data and parameters"
        return
    yield f"{layer}  {scope.title}" if scope.title != layer else layer
    for formula in (scope.forward, scope.backward):
        if formula:
            yield f"  {formula}"


def _card(card: Card, labels: Labels, width: int) -> list[str]:
    out = [f"  {card.name}{_shape(card.array)} = {_numbers(card.array)}"]
    for form in card.forward:
        out += _derivation(form, labels, width, "    ")
    if card.gradient is not None:
        out.append(f"  d_{card.name} = {_numbers(card.gradient)}")
        for form in card.backward:
            out += _derivation(form, labels, width, "    ")
    return out


def _derivation(form: Form, labels: Labels, width: int, indent: str) -> list[str]:
    made = line(form, labels)
    if form.kind == "given":
        return []
    if form.kind == "steps":
        inner = Labels({**labels.names, **form.inside})
        out = [f"{indent}{made.of} = {made.value}, in steps:"]
        for step in form.steps:
            if step.kind != "given":
                out += _derivation(step, inner, width, indent + "  ")
        return out
    return _wrapped(made, width, indent)


def _wrapped(made: Line, width: int, indent: str) -> list[str]:
    """In one line if it fits, else a line for the names, the numbers and the value."""
    copied = made.numbers == made.value
    whole = [made.of, made.symbols, *([] if copied else [made.numbers]), made.value]
    one = indent + " = ".join(whole)
    if len(one) <= width:
        return [one]
    pad = indent + " " * min(len(made.of), 24)
    return [f"{indent}{made.of} = {made.symbols}", *[f"{pad} = {t}" for t in whole[2:]]]


def _shape(array: Array) -> str:
    return f" ({' x '.join(map(str, array.shape))})" if array.ndim else ""


def _numbers(array: Array) -> str:
    """All numbers of a small array, of a large one where they lie."""
    if array.size == 0:
        return "none"
    if array.ndim == 0:
        return number(float(array))
    if array.size <= _MOST_SHOWN:
        return _nested(array)
    wide = array.astype(np.float64)
    low, high = number(float(wide.min()), 3), number(float(wide.max()), 3)
    zeros = int(np.count_nonzero(wide == 0))
    also = f", {zeros:,} of {wide.size:,} are 0" if zeros else ""
    size = math.sqrt(float((wide * wide).mean()))
    return f"{wide.size:,} numbers from {low} to {high}, root mean square {number(size, 3)}{also}"


def _nested(array: Array) -> str:
    if array.ndim == 0:
        return number(float(array), 4)
    return f"[{', '.join(_nested(a) for a in array)}]"
