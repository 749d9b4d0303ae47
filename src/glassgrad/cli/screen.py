"""What people see: safe text, colour on a terminal only, progress on standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from glassgrad.errors import GlassgradError
    from glassgrad.train.callbacks import Callback


_QUIET = "glassgrad.quiet"


def _be_quiet(context: click.Context, _: click.Parameter, asked: bool) -> None:
    context.meta[_QUIET] = asked


QUIET = click.option(
    "--quiet",
    "-q",
    is_flag=True,
    expose_value=False,
    callback=_be_quiet,
    help="Show no progress; results as ever.",
)


def plain(text: object) -> str:
    """Text that a terminal only shows: control characters escaped, lines kept."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape", "replace").decode()
        for c in str(text)
    )


def name(text: object) -> str:
    """A name on one line: as `plain`, line ends escaped, too."""
    return plain(text).replace("\n", "\\n")


def coloured(stream: Any) -> bool:
    """Whether to use colour: on a terminal that has some, unless NO_COLOR is set."""
    return bool(
        stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def say(text: str = "", **style: Any) -> None:
    """A line of results, on standard output."""
    _write(sys.stdout, text, style)


def note(text: str = "", **style: Any) -> None:
    """A line about the results, on standard error."""
    _write(sys.stderr, text, style)


def _write(stream: Any, text: str, style: dict[str, Any]) -> None:
    styled = click.style(text, **style) if style else text
    click.echo(styled, file=stream, color=coloured(stream))


def complain(error: GlassgradError) -> None:
    """An error in its four parts, on standard error."""
    first, *rest = plain(error).split("\n")
    note(click.style("error: ", fg="red", bold=True) + click.style(first, bold=True))
    for line in rest:
        head, text = line[:12], line[12:]
        note(click.style(head, dim=True) + text if head.strip().endswith(":") else line)


def columns(
    lines: Sequence[Sequence[str]], right: Sequence[int] = (), indent: str = ""
) -> list[str]:
    """Cells in columns, those numbered in `right` to the right."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    out = []
    for line in lines:
        cells = [
            cell.rjust(w) if i in right else cell.ljust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        ]
        out.append((indent + "  ".join(cells)).rstrip())
    return out


def number(value: float | None) -> str:
    """A loss or a share as a table shows it."""
    if value is None:
        return "-"
    return (
        f"{value:.4f}"
        if abs(value) < 1e4 and (value == 0 or abs(value) >= 5e-4)
        else f"{value:.3g}"
    )


def duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


@contextmanager
def progress(
    title: str, steps: int, epochs: int, quiet: bool = False
) -> Iterator[tuple[Callback, ...]]:
    """Callbacks that show how far training is: live on a terminal, about ten lines elsewhere."""
    from glassgrad.train.callbacks import ProgressLines

    context = click.get_current_context(silent=True)
    if quiet or not epochs or (context is not None and context.meta.get(_QUIET)):
        yield ()
    elif not sys.stderr.isatty() or os.environ.get("TERM") in ("dumb", None, ""):
        yield (ProgressLines(sys.stderr),)
    else:
        from glassgrad.cli.live import live

        with live(title, steps, epochs) as callbacks:
            yield callbacks


def engine_lines(record: Any) -> list[tuple[str, str]]:
    """What computes, and what less memory costs where it was asked for."""
    cost = record.recompute_cost()
    memory = [] if cost is None else [("memory", f"{cost}")]
    return [("engine", engine_line(record.backend)), *memory]


def engine_line(backend: str) -> str:
    """What computed, and what that makes of the run's program."""
    if backend == "numpy":
        return "numpy: what runs is the text of program.py"
    return f"{backend}: compiled kernels; program.py is the same training as NumPy text"
