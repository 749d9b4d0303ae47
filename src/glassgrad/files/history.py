"""`history.csv`: the columns of a run, a line for each epoch; written here, and read strictly."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from glassgrad.errors import FormatError, shown

_MOST_ROWS = 1_000_000
_MOST_COLUMNS = 1_000
_LONGEST_LINE = 100 * _MOST_COLUMNS
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?(e[+-]?[0-9]{1,4})?|-?inf|nan", re.ASCII)


def write_history(
    columns: Mapping[str, Sequence[float]], seconds: Sequence[float] | None = None
) -> str:
    """Columns by name as CSV, numbers in full; the time of each epoch last, where it is given."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["epoch", *columns, *([] if seconds is None else ["seconds"])])
    for i, values in enumerate(zip(*columns.values(), strict=True)):
        time = [] if seconds is None else [f"{seconds[i]:.6f}"]
        writer.writerow([i + 1, *map(repr, values), *time])
    return out.getvalue()


def read_history(data: bytes, where: str) -> dict[str, list[float]]:
    """The columns by name, `epoch` and `seconds` left out.

    Raises FormatError, with the line, for what `write_history` would not write.
    """

    def wrong(what: str, line: int, expected: str, received: Any) -> FormatError:
        place = f"{where}, line {line}"
        return FormatError(what, where=place, expected=expected, received=shown(received))

    most = f"at most {_MOST_ROWS:,} lines of {_MOST_COLUMNS:,} columns"
    lines: list[list[str]] = []
    try:
        for cells in csv.reader(_short_lines(data.decode("utf-8")), strict=True):
            lines.append(cells)
            if len(lines) > _MOST_ROWS or len(cells) > _MOST_COLUMNS:
                raise wrong("the history is too large", len(lines), most, f"{len(cells):,} columns")
    except (ValueError, csv.Error) as error:
        if isinstance(error, FormatError):
            raise
        raise wrong(
            "the history is not CSV", len(lines) + 1, "lines of numbers", str(error)
        ) from None
    head = lines[0] if lines else []
    titles = all(1 <= len(n) <= 70 and n.isprintable() for n in head)
    if head[:1] != ["epoch"] or len(set(head)) != len(head) or not titles:
        raise wrong("these are no columns of a history", 1, "epoch, and names that differ", head)
    for number, cells in enumerate(lines[1:], 2):
        if len(cells) != len(head):
            raise wrong("a line has another number of columns", number, str(len(head)), len(cells))
        if cells[0] != str(number - 1):
            raise wrong("the epochs are not in their order", number, str(number - 1), cells[0])
        bad = next((c for c in cells if not _NUMBER.fullmatch(c)), None)
        if bad is not None:
            raise wrong("this is not a number", number, "a number such as 0.25", bad)
    columns = {n: [float(line[i]) for line in lines[1:]] for i, n in enumerate(head)}
    return {n: v for n, v in columns.items() if n not in ("epoch", "seconds")}


def _short_lines(text: str) -> Iterator[str]:
    """The lines of a text; ValueError for one that is longer than all columns together."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        if end - start > _LONGEST_LINE:
            raise ValueError(f"a line of more than {_LONGEST_LINE:,} characters")
        yield text[start:end]
        start = end
