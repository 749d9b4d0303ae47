"""`glassgrad compare`: runs side by side."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import click

from glassgrad.cli.config import check_new
from glassgrad.cli.screen import columns, name, note, say
from glassgrad.files.atomic import write_atomically
from glassgrad.inspect.compare import Comparison, compare


def compare_command(folders: Sequence[str], picture: Path | None, as_json: bool) -> None:
    """What differs, how well each went, and the curves in one picture."""
    if picture is not None:
        check_new(picture)
    found = compare(list(folders))
    if picture is not None:
        write_atomically(picture, found.svg().encode())
    if as_json:
        say(json.dumps(found.to_dict(), allow_nan=False))
        return
    for line in report(found):
        say(line)
    if picture is not None:
        note(f"curves written to {name(picture)}", dim=True)


def report(found: Comparison) -> list[str]:
    """The tables, the best line of each column in green."""
    out = []
    for title, lines in found.tables():
        right = range(1, len(lines[0])) if title in found.columns else ()
        head, *rows = columns([[name(c) for c in line] for line in lines], right, indent="  ")
        best = _best(found, title)
        out += ["", click.style(name(title), bold=True), click.style(head, dim=True)]
        out += [
            click.style(row, fg="green", bold=True) if i == best else row
            for i, row in enumerate(rows)
        ]
    return out[1:]


def _best(found: Comparison, column: str) -> int | None:
    """The group with the best mean of best values, where there are several to choose from."""
    direction = found.directions.get(column, "") if column in found.columns else ""
    means = [g.best(column, direction)[0] for g in found.groups] if direction else []
    if len(means) < 2 or not all(map(math.isfinite, means)) or len(set(means)) < 2:
        return None
    return means.index(max(means) if direction == "up" else min(means))
