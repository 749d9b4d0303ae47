"""What numbers are called and how they are printed, and what users wrote as a line that is inert."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from glassgrad.ir import Value

from .forms import Index

DIGITS = 5  # significant ones of a result
_PLACE = re.compile(r"(.+?)\s*\[([-0-9, ]*)\]")


class Labels:
    """What numbers are called: by their values' names, or by where they were copied from."""

    def __init__(
        self,
        names: Mapping[Value, str],
        source: Callable[[Value, Index], tuple[Value, Index]] = lambda value, index: (value, index),
    ) -> None:
        self.names = names
        self.source = source

    def of(self, value: Value, index: Index) -> str:
        """A name with its index: `w[0, 3]`."""
        value, index = self.source(value, index)
        return place(self.names.get(value, value.node.op.name), index)


def place(name: str, index: tuple[int, ...]) -> str:
    """A name with an index: `w[0, 3]`."""
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def read_place(text: str) -> tuple[str, Index]:
    """What `place` writes: a name and an index, of which there may be none.

    >>> read_place("w[0, 3]"), read_place("loss")
    (('w', (0, 3)), ('loss', ()))
    """
    found = _PLACE.fullmatch(text.strip())
    each = found[2].replace(",", " ").split() if found else []
    if not found or not all(re.fullmatch("-?[0-9]{1,9}", i) for i in each):
        return text.strip(), ()
    return found[1], tuple(map(int, each))


def broken(parts: Sequence[str], width: int, first: str, others: str) -> Iterator[str]:
    """Pieces in as many lines as it takes, none wider than this where a piece has a space."""
    line = first + parts[0]
    for part in parts[1:]:
        if len(line) + 1 + len(part) > width:
            yield from cut(line, width, others)
            line = others + part
        else:
            line = f"{line} {part}"
    yield from cut(line, width, others)


def cut(line: str, width: int, indent: str) -> Iterator[str]:
    """A line that is too long ends at a space near the edge."""
    while len(line) > width:
        at = _space(line, len(indent) + 4, width + 1)
        if at < 0:
            break
        yield line[:at]
        line = f"{indent}  {line[at + 1 :]}"
    yield line


def _space(line: str, start: int, end: int) -> int:
    """The last space there, in the second half rather none within an index; -1 if there is none."""
    masked = re.sub(r"\[[-0-9, ]*\]", lambda index: index[0].replace(" ", "_"), line)
    found = masked.rfind(" ", max(start, end // 2), end)
    return found if found >= 0 else line.rfind(" ", start, end)


def number(value: float, digits: int = DIGITS) -> str:
    """A number with so many significant digits, as Python reads it."""
    if math.isfinite(value) and value == int(value) and abs(value) < 10**digits:
        return str(int(value))
    return f"{value:.{digits}g}"


def visible(text: str) -> str:
    """One line that a terminal only shows, whatever a user wrote."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text
    )
