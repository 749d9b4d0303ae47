"""An explanation in the order in which it is told, whatever it is written in.

The one place that decides what is shown: the data first, then each layer with its own parameters,
in the order they run. What a module does between the layers inside it stands between them, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.errors import ConfigError, shown
from glassgrad.ir import INPUT, Value

from .cards import Cards
from .derivations import Derivation, Deriving
from .forms import Index
from .words import number

Array = NDArray[Any]
Stretch = tuple[str, int]  # a layer's path, and how often it went on after others
_DATA: Stretch = ("", -1)
LEGEND = (
    "d_v is the derivative of the loss in v. Of each v the number with the largest d_v is derived."
)
_MOST_SHOWN = 12  # numbers of an array that are printed; of a larger one statistics


@dataclass(frozen=True, slots=True)
class Entry:
    """A value: what it is called, its op, its numbers and its derivative in words, both derived.

    `kind` is "data", "parameter" or "value"; `formula` is the op's, in LaTeX. `shared` names the
    value whose derivative this one's is, where nothing but a sum lies between. `by_row`: the first
    axis is that of the rows.
    """

    name: str
    kind: str
    op: str
    formula: str
    shape: tuple[int, ...]
    numbers: str
    forward: tuple[Derivation, ...]
    gradient: str
    backward: tuple[Derivation, ...]
    shared: str
    array: Array
    slopes: Array | None
    by_row: bool


@dataclass(frozen=True, slots=True)
class Section:
    """The data, or a layer with its parameters: its path, what it is, and its formulas in words.

    Path, title and formulas may hold what users wrote: they are escaped by whoever writes them.
    """

    path: str
    title: str
    formulas: tuple[str, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """The whole step."""

    title: str
    rows: int
    row: int | None
    loss: str
    sections: tuple[Section, ...]
    followed: str = ""  # one number's ways to the loss, where asked for
    about: tuple[str, ...] = ()  # lines of whoever asked; they may hold what users wrote

    @property
    def heading(self) -> str:
        """What is explained, in one sentence."""
        rows = f"{self.rows} row{'s' * (self.rows != 1)}"
        chosen = "" if self.row is None else f", numbers of row {self.row}"
        return f"One step of {self.title} on {rows}{chosen}: loss {self.loss}"


def story(
    cards: Cards,
    row: int | None = None,
    *,
    steps: bool = False,
    followed: str = "",
    about: tuple[str, ...] = (),
) -> Story:
    """The step in order. Raises ConfigError for a row that is not there."""
    recording = cards.recording
    checked_row(cards, row)
    deriving = Deriving(cards, steps=steps)
    by_layer: dict[Stretch, list[Value]] = {}
    for stretch, value in _placed(cards):
        by_layer.setdefault(stretch, []).append(value)
    return Story(
        recording.task.model.title(),
        recording.rows,
        None if row is None else int(row),
        number(float(recording.arrays[recording.loss])),
        tuple([_section(deriving, s, vs, row) for s, vs in by_layer.items()]),
        followed,
        (*about, LEGEND),
    )


def checked_row(cards: Cards, row: int | None) -> None:
    """Raise ConfigError for a row that is not there."""
    recording = cards.recording
    whole = isinstance(row, int | np.integer) and not isinstance(row, bool)
    if row is not None and not (whole and 0 <= row < recording.rows):
        raise ConfigError(
            "there is no such row",
            where="row",
            expected=f"a whole number from 0 to {recording.rows - 1}",
            received=shown(row),
        )


def _placed(cards: Cards) -> Iterator[tuple[Stretch, Value]]:
    """Every value and its layer: that of a parameter, or of what is right, is the one that reads it."""
    recording = cards.recording
    read: dict[Value, str] = {}
    inside: dict[str, list[Value]] = {}
    computed = []
    for node in recording.forward():
        for value in node.inputs:
            if value.node.op is INPUT and node.op is not INPUT:
                read.setdefault(value, node.origin.scope)
    targets = {v for v, path in read.items() if path == recording.loss.node.origin.scope}
    for value in cards.order:
        role = value.node.attributes["role"] if value.node.op is INPUT else ""
        if role == "data" and value not in targets:
            yield _DATA, value
        elif role in ("data", "parameter"):
            inside.setdefault(read.get(value, ""), []).append(value)
        elif not role:
            computed.append(value)
    for stretch, value in zip(_stretches(computed), computed, strict=True):
        for given in inside.pop(stretch[0], []):
            yield stretch, given
        yield stretch, value
    for path, values in inside.items():
        for value in values:
            yield (path, 0), value


def _stretches(values: list[Value]) -> Iterator[Stretch]:
    """The layer of each value; one that goes on after others, or runs again, begins another stretch."""
    count: dict[str, int] = {}
    last: str | None = None
    for value in values:
        path = value.node.origin.scope
        if path != last:
            count[path] = count.get(path, -1) + 1
        last = path
        yield path, count[path]


def _section(deriving: Deriving, stretch: Stretch, values: list[Value], row: int | None) -> Section:
    path, again = stretch
    scope = deriving.cards.recording.scopes.get(path)
    formulas = (scope.forward, scope.backward) if scope and again < 1 else ()
    title = "data" if stretch == _DATA else scope.title if scope else ""
    title = title or ("" if path else "in the network itself")
    entries = tuple([entry(deriving, v, deriving.cards.chosen(v, row)) for v in values])
    return Section(path, title, tuple([f for f in formulas if f]), entries)


def entry(deriving: Deriving, value: Value, at: Index | None) -> Entry:
    """One value, derived at this number of it."""
    cards, recording, node = deriving.cards, deriving.cards.recording, value.node
    array, slopes = recording.arrays[value], recording.gradient(value)
    forward = deriving.derivations(value, at) if at is not None and node.op is not INPUT else []
    backward, shared = [], ""
    name = recording.names[value]
    if slopes is not None:
        gradient = recording.gradients[value]
        of = recording.names[gradient]
        if of != f"d_{name}" and cards.is_shown(gradient) and value is not recording.loss:
            shared = of
        elif at is not None and value is not recording.loss:
            backward = deriving.derivations(gradient, at)
    given = node.op is INPUT
    return Entry(
        name=name,
        kind=str(node.attributes["role"]) if given else "value",
        op="" if given else node.op.name,
        formula="" if given else node.op.formula,
        shape=array.shape,
        numbers=numbers(array),
        forward=tuple(forward),
        gradient="" if slopes is None else numbers(slopes),
        backward=tuple(backward),
        shared=shared,
        array=array,
        slopes=slopes,
        by_row=cards.has_rows(value),
    )


def numbers(array: Array) -> str:
    """All numbers of a small array, of a large one where they lie."""
    if array.size == 0:
        return "none"
    if array.ndim == 0:
        return number(float(array))
    if array.size <= _MOST_SHOWN:
        return _nested(array)
    wide = array.astype(np.float64)
    finite = wide[np.isfinite(wide)]
    if finite.size == 0:
        return f"{wide.size:,} numbers, all inf or nan"
    low, high = float(finite.min()), float(finite.max())
    if low == high and finite.size == wide.size:
        return f"{wide.size:,} numbers, all {number(low)}"
    zeros, others = int(np.count_nonzero(wide == 0)), wide.size - finite.size
    also = f", {zeros:,} of {wide.size:,} are 0" if zeros else ""
    also += f", {others:,} are inf or nan" if others else ""
    top = max(abs(low), abs(high)) or 1.0  # squares of what is large are not finite
    size = top * math.sqrt(float(np.square(finite / top).mean()))
    ends = f"from {number(low, 3)} to {number(high, 3)}"
    return f"{wide.size:,} numbers {ends}, root mean square {number(size, 3)}{also}"


def _nested(array: Array) -> str:
    if array.ndim == 0:
        return number(float(array), 4)
    return f"[{', '.join(_nested(a) for a in array)}]"
