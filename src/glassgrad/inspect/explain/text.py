"""An explanation for a terminal: layer by layer, what each gives, and what that does to the loss."""

from __future__ import annotations

import re
from collections.abc import Iterator

from glassgrad.ir import INPUT, Value

from . import formulas
from .cards import Cards
from .derivations import Derivation, Deriving
from .expressions import Expression, terms
from .forms import Index
from .story import Entry, Section, Story, entry
from .words import broken, number, place, visible

NARROWEST = 40


def text(told: Story, width: int = 100) -> str:
    """The whole step as lines no wider than this, where words allow it."""
    width = max(NARROWEST, width)
    out = [line for t in (told.heading, *told.about) for line in _folded(visible(t), width, "")]
    for section in told.sections:
        out += ["", *_heading(section, width)]
        for each in section.entries:
            out += _entry(each, width)
    if told.followed:
        out += ["", told.followed]
    return "\n".join(out)


def card(cards: Cards, value: Value, index: Index, width: int = 100) -> str:
    """One value alone, both of its derivations at this number of it."""
    told = entry(Deriving(cards), value, index)
    own = ""
    if value.node.op is INPUT and index:
        own = f"    {place(told.name, index)} = {number(float(told.array[index]))}"
    return "\n".join([line.removeprefix("  ") for line in _entry(told, width, own)])


def shape(sizes: tuple[int, ...]) -> str:
    """The sizes of an array as people write them."""
    return f" ({' x '.join(map(str, sizes))})" if sizes else ""


def _heading(section: Section, width: int) -> Iterator[str]:
    both = (section.path, section.title) if section.title != section.path else (section.path,)
    yield from _folded(visible("  ".join([b for b in both if b])), width, "")
    for formula in section.formulas:
        yield from _folded(visible(formula), width, "  ")


def _entry(entry: Entry, width: int, own: str = "") -> Iterator[str]:
    what = f"  {entry.name}{shape(entry.shape)}"
    if entry.formula:
        yield from _folded(
            f"{entry.name}{shape(entry.shape)}, {entry.op}: {formulas.plain(entry.formula)}",
            width,
            "  ",
        )
        yield from _folded(entry.numbers, width, "    ")
    else:
        yield from _folded(f"{what.strip()} = {entry.numbers}", width, "  ")
    if own:
        yield own
    for made in entry.forward:
        yield from derivation(made, width, "    ")
    if entry.gradient:
        also = f" = {entry.shared}" if entry.shared else ""
        yield from _folded(f"d_{entry.name}{also} = {entry.gradient}", width, "  ")
        for made in entry.backward:
            yield from derivation(made, width, "    ")


def derivation(made: Derivation, width: int, indent: str) -> Iterator[str]:
    """In one line if it fits, else one for the names, one for the numbers, one for the value."""
    if made.expression is None:
        words = f"{made.of} = {made.result}{made.many}{':' if made.steps else ''}"
        yield from _folded(words, width, indent)
    else:
        each = pieces(made, made.expression)
        line = indent + " = ".join([made.of, *map(" ".join, each), made.result])
        if len(line) <= width:
            yield line
        else:
            yield f"{indent}{made.of}"
            for part in (*each, [made.result]):
                yield from broken(part, width, f"{indent}  = ", f"{indent}    ")
    for step in made.steps:
        yield from derivation(step, width, indent + "  ")


def pieces(made: Derivation, expression: Expression) -> list[list[str]]:
    """The expression in names and in numbers, in pieces between which a line may end.

    What would only repeat the result is left out, and the numbers of what was copied.
    """
    both = [terms(expression, lambda e: e.name)]
    if expression.parts:
        both.append(terms(expression, lambda e: number(e.value, made.digits)))
    return [each for each in both if each != [made.result]]


def _folded(words: str, width: int, indent: str) -> Iterator[str]:
    rows = re.split(r"(?<=\],) ", words)  # of an array: a line ends between them where it can
    yield from broken(rows, width, indent, f"{indent}  ")
