"""What numbers are called and how they are printed, and what users wrote as a line that is inert."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from glassgrad.ir import Value

from .forms import Index

_DIGITS = 5  # significant ones of a result


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


def number(value: float, digits: int = _DIGITS) -> str:
    """A number with so many significant digits, as Python reads it."""
    if math.isfinite(value) and value == int(value) and abs(value) < 10**digits:
        return str(int(value))
    return f"{value:.{digits}g}"


def visible(text: str) -> str:
    """One line that a terminal only shows, whatever a user wrote."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text
    )
