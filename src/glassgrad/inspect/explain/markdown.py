"""An explanation as Markdown: formulas as LaTeX between dollars, derivations as code."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

from .story import Entry, Section, Story
from .text import derivation, shape
from .words import visible

_WIDTH = 96


def markdown(told: Story) -> str:
    """The whole step."""
    out = [f"# {escaped(told.heading)}", ""]
    for line in told.about:
        out += [escaped(line), ""]
    for section in told.sections:
        out += [*_section(section), ""]
    if told.followed:
        out += ["```text", told.followed, "```", ""]
    return "\n".join(out)


def escaped(text: str) -> str:
    """What a user wrote, as Markdown that shows just that: every mark has a backslash."""
    return "".join(f"\\{c}" if c in string.punctuation else c for c in visible(text))


def plain(formula: str) -> str:
    r"""A formula without `\,`, of which Markdown would leave a comma."""
    return formula.replace(r"\,", r"\thinspace ")


def code(text: str) -> str:
    """The same as code, between more backticks than it holds."""
    plain = visible(text)
    ticks = "`" * (1 + max([len(t) for t in re.findall("`+", plain)], default=0))
    space = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{ticks}{space}{plain}{space}{ticks}"


def _section(section: Section) -> Iterator[str]:
    both = (section.path, section.title) if section.title != section.path else (section.path,)
    yield f"## {escaped(', '.join([b for b in both if b]))}"
    yield ""
    for formula in section.formulas:
        yield f"- {code(formula)}"
    if section.formulas:
        yield ""
    for entry in section.entries:
        yield from _entry(entry)


def _entry(entry: Entry) -> Iterator[str]:
    formula = f", {entry.op}: ${plain(entry.formula)}$" if entry.formula else ""
    yield f"**{code(entry.name)}**{shape(entry.shape)}{formula}"
    yield ""
    also = f" = {entry.shared}" if entry.shared else ""
    lines = [f"{entry.name} = {entry.numbers}"]
    for made in entry.forward:
        lines += derivation(made, _WIDTH, "  ")
    if entry.gradient:
        lines.append(f"d_{entry.name}{also} = {entry.gradient}")
        for made in entry.backward:
            lines += derivation(made, _WIDTH, "  ")
    yield "```text"
    yield from lines
    yield "```"
    yield ""
