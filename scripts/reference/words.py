"""The few words of Markdown that the pages are written in, and what GitHub makes of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# GitHub refuses \operatorname; this has the same spacing.
_OPERATOR = re.compile(r"\\operatorname\{(\w+)\}")
_CODE = re.compile(r"(?P<ticks>`+).+?(?P=ticks)|\$(?P<formula>\S[^$`]*)\$", re.DOTALL)
_SPECIAL = re.compile(
    r"(?<!\s)\*|\*(?!\s)"  # emphasis, but not the sign in a product
    r"|(?<!\w)_|_(?!\w)"
    r"|<(?=[A-Za-z/!?])"
    r"|\[(?=[^\]]*\]\()"
    r"|[$\\]|~(?=~)"
)


def prose(text: str) -> str:
    """Text as it is meant: nothing outside backticks and formulas is taken for Markdown."""
    parts: list[str] = []
    end = 0
    for code in _CODE.finditer(text):
        formula = code["formula"]
        shown = f"$`{' '.join(formula.split())}`$" if formula else code.group()
        parts += [_escaped(text[end : code.start()]), shown]
        end = code.end()
    return "".join([*parts, _escaped(text[end:])])


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda found: "\\" + found.group(), text)


def math(formula: str) -> str:
    """A formula in LaTeX. Between dollars and backticks GitHub leaves it to the typesetter."""
    shown = _OPERATOR.sub(r"\\mathop{\\mathrm{\1}}", formula)
    return f"$`\\displaystyle {shown}`$"


def code(text: str) -> str:
    """A few words of code."""
    ticks = "``" if "`" in text else "`"
    return f"{ticks}{text}{ticks}"


def block(text: str, language: str = "python") -> str:
    """Lines of code."""
    return f"```{language}\n{text.rstrip()}\n```"


def details(summary: str, text: str) -> str:
    """What is folded until somebody asks."""
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; bars in its cells are escaped."""
    lines = [list(head), ["---"] * len(head), *[list(row) for row in rows]]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )


def link(text: str, target: str) -> str:
    return f"[{text}]({target})"


class Anchors:
    """The anchors GitHub gives to the headings of one page, in their order."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def take(self, heading: str) -> str:
        """The anchor of the next heading."""
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = self._taken.get(slug, 0)
        self._taken[slug] = count + 1
        return f"{slug}-{count}" if count else slug


def joined(parts: Iterable[str]) -> str:
    """Paragraphs, with the empty ones left out."""
    return "\n\n".join(part.strip("\n") for part in parts if part)
