"""Every error glassgrad raises, and the four parts each one has.

    GlassgradError
    ├── UsageError        a call, a setting or a program that cannot be meant
    │   ├── ShapeError    sizes that do not fit together
    │   ├── DTypeError    kinds of number that do not go together
    │   ├── ConfigError   a setting outside its range, or an unknown name
    │   ├── TraceError    Python that cannot become a graph
    │   └── ResumeError   a run that cannot go on as it was begun
    ├── DataError         values in the user's data: labels, rows, cells
    ├── FormatError       bytes of a file that are not what they claim to be
    ├── TrainingStopped   a signal ended training after a whole step
    ├── NoMemoryError     a step needs more memory than there is, and did not begin
    ├── NonFiniteError    training met inf or nan and stopped before the update
    ├── CheckpointError   a checkpoint that cannot be written, or none that can be read
    ├── GradientError     derivatives that are not those of the loss
    └── InternalError     glassgrad broke one of its own rules: a bug, please report

    CheckpointWarning     a checkpoint that cannot be used or written, where work goes on

A message says where, what was expected, what was received and what to do. Inner code raises
with the parts it knows; the boundary that knows the place adds `where` once, with `at`.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from operator import index
from pathlib import Path
from typing import Any, Self


class GlassgradError(Exception):
    """An error in four parts: where, expected, received, what to do.

    >>> print(ShapeError("inner sizes differ", where="matmul", expected="784 rows", received="512"))
    inner sizes differ
      where:    matmul
      expected: 784 rows
      received: 512
    """

    exit_code = 2

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        expected: str = "",
        received: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.expected = expected
        self.received = received
        self.hint = hint
        self.layer = ""  # the innermost layer it passed through

    def at(self, where: str) -> Self:
        """Add the place, unless an inner boundary already did."""
        if not self.where:
            self.where = where
        return self

    def __str__(self) -> str:
        parts = (
            ("where:", self.where),
            ("expected:", self.expected),
            ("received:", self.received),
            ("try:", self.hint),
        )
        lines = [f"  {label:<9} {text}" for label, text in parts if text]
        return "\n".join([self.what, *lines])


class UsageError(GlassgradError, ValueError):
    """A call, a setting or a program that cannot be meant."""


class ShapeError(UsageError):
    """Sizes that do not fit together."""


class DTypeError(UsageError, TypeError):
    """Kinds of number that do not go together."""


class ConfigError(UsageError):
    """A setting outside its range, or an unknown name."""


class TraceError(UsageError):
    """Python that cannot become a graph."""


class ResumeError(UsageError):
    """A run that cannot go on as it was begun: other settings, another model, other data."""


class DataError(GlassgradError, ValueError):
    """Values in the user's data that cannot be used."""


class FormatError(GlassgradError, ValueError):
    """Bytes of a file that are not what they claim to be."""


class NoMemoryError(GlassgradError, MemoryError):
    """A step needs more memory than there is, and did not begin.

    `batch_size` is the largest that fits, 0 where none does.
    """

    batch_size = 0

    def fitting(self, batch_size: int) -> Self:
        """Add the batch size."""
        self.batch_size = batch_size
        return self


class NonFiniteError(GlassgradError, ArithmeticError):
    """Training met inf or nan and stopped before the update.

    `trouble` is what is known of it, a `glassgrad.train.Trouble`, where `fit` raised it.
    """

    exit_code = 1
    trouble: Any = None


class TrainingStopped(GlassgradError):  # noqa: N818  # nothing went wrong
    """The system asked for an end (SIGTERM): the step was finished, then a checkpoint written.

    `checkpoint` is its folder, None where there is none.
    """

    exit_code = 143
    checkpoint: Path | None = None


class CheckpointError(GlassgradError, RuntimeError):
    """A checkpoint that cannot be written, or a folder of them of which none can be read."""

    exit_code = 1


class CheckpointWarning(UserWarning):
    """A checkpoint that cannot be used, or written, where work goes on all the same."""


class GradientError(GlassgradError, ArithmeticError):
    """Derivatives that are not those of the loss; training stopped before the next update."""

    exit_code = 1


class InternalError(GlassgradError, RuntimeError):
    """glassgrad broke one of its own rules: a bug, please report it."""

    exit_code = 1


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The nearest known name as a question, or nothing.

    >>> did_you_mean("Relu", ["ReLU"]), did_you_mean("adma", ["adam", "adamax"])
    ("did you mean 'ReLU'?", "did you mean 'adam'?")
    """
    from difflib import get_close_matches

    lower = {k.lower(): k for k in sorted(known)}
    word = str(name).lower()
    near = [lower[k] for k in lower if sorted(k) == sorted(word)]  # letters that changed places
    near = near or get_close_matches(str(name), list(lower.values()), n=1)
    near = near or [lower[k] for k in get_close_matches(word, list(lower), n=1)]
    return f"did you mean {near[0]!r}?" if near else ""


def unknown_name(kind: str, name: object, known: tuple[str, ...]) -> ConfigError:
    """The error for a name that is not in a list, with the nearest one that is.

    Of a long list only the first names are shown.
    """
    names = list(dict.fromkeys(known))
    listed = ", ".join(names)
    if len(listed) > 220:
        first = names[: max(1, listed[:200].count(", "))]
        listed = f"{', '.join(first)} and {len(names) - len(first)} more"
    return ConfigError(
        f"unknown {kind}",
        expected=f"one of {listed}",
        received=shown(name),
        hint=did_you_mean(name, known),
    )


def whole_number(value: Any) -> int | None:
    """The whole number that a value is, None for what merely looks like one.

    >>> whole_number(3), whole_number(3.0), whole_number(True), whole_number("3")
    (3, None, None, None)
    """
    try:
        return None if isinstance(value, bool) else index(value)
    except TypeError:
        return None


def real_number(value: Any) -> float | None:
    """The finite number that a value is, None for anything else, whole ones past 1e308 too.

    >>> real_number(3), real_number(True), real_number("3"), real_number(10**400)
    (3.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if isfinite(value) else None
    except OverflowError:
        return None


def shown(value: object, limit: int = 60) -> str:
    """A value as a message may show it: one line, control characters escaped, short.

    >>> shown("a" * 100, limit=8)
    "'aaaaaa..."
    """
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a whole number of more digits than Python prints
        text = f"a {type(value).__name__} that is too long to show"
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= limit else text[: limit - 1] + "..."


def told(text: object, limit: int = 200) -> str:
    r"""A path or a text as a message may tell it: as `shown`, without the quotes.

    >>> print(told("runs/a\nb"))
    runs/a\nb
    """
    return shown(str(text), limit)[1:-1]
