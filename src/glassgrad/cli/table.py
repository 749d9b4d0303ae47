"""A CSV file of numbers, read strictly: every complaint names the line and the column."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glassgrad.data.table import NUMBER, records
from glassgrad.errors import DataError, shown, told


def read_table(path: Path, features: Sequence[str], count: int) -> NDArray[np.float64]:
    """The numbers of a CSV file, a row each, in the order of the model's columns.

    A first line that is not all numbers is a heading. Where it has all the model's column names,
    those columns are taken, whatever their order; otherwise there must be as many as the model
    takes. Raises DataError, with line and column, for anything else.
    """
    where = told(path)
    lines = [(line, cells) for line, cells in records(path)[1] if any(c.strip() for c in cells)]
    if not lines:
        raise DataError(
            "no samples", where=where, expected="rows of numbers", received="an empty file"
        )
    heading = None
    if not all(NUMBER.fullmatch(cell.strip()) for cell in lines[0][1]) and not _nearly(lines[0][1]):
        heading = [cell.strip() for cell in lines.pop(0)[1]]
    chosen = _chosen(heading, features, count, where)
    width = len(heading) if heading is not None else count
    if not lines:
        raise DataError(
            "no samples", where=where, expected="rows below the heading", received="none"
        )
    rows = np.empty((len(lines), len(chosen)))
    for i, (line, cells) in enumerate(lines):
        if len(cells) != width:
            raise DataError(
                "a line has another number of columns"
                if i or heading
                else f"these rows have {_many(len(cells))}, the model expects {width}",
                where=f"{where}, line {line}",
                expected=str(width),
                received=str(len(cells)),
            )
        for j, column in enumerate(chosen):
            rows[i, j] = _cell(cells[column], where, line, column, heading)
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        i, j = bad[0].tolist()
        raise DataError(
            f"{len(bad)} value{'s' * (len(bad) > 1)} that are not finite",
            where=f"{where}, first at line {lines[i][0]}, {_column(chosen[j], heading)}",
            expected="finite numbers",
            received=shown(lines[i][1][chosen[j]]),
            hint="remove those rows or fill them in first, for instance with the column's median",
        )
    return rows


def _nearly(cells: Sequence[str]) -> bool:
    """Whether a first line is rows with a mistake rather than a heading: most cells are numbers."""
    numbers = sum(_numeric(cell) for cell in cells)
    return 2 * numbers >= len(cells)


def _numeric(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _chosen(
    heading: list[str] | None, features: Sequence[str], count: int, where: str
) -> list[int]:
    """Which columns the model takes, in its order."""
    if heading is None:
        return list(range(count))
    commonest = Counter([n for n in heading if n]).most_common(1)
    if commonest and commonest[0][1] > 1:
        raise DataError(
            "two columns have one name", where=f"{where}, line 1", received=shown(commonest[0][0])
        )
    if features and set(features) <= set(heading):
        return [heading.index(n) for n in features]
    if len(heading) == count:
        return list(range(count))
    missing = [n for n in features if n not in heading]
    extra = [n for n in heading if n not in features]
    raise DataError(
        f"the table has {_many(len(heading))}, the model expects {count}",
        where=f"{where}, line 1",
        expected=shown(list(features), 200) if features else f"{count} columns",
        received=shown(heading, 200),
        hint=(f"missing: {shown(missing)}; " if missing else "")
        + (f"not known: {shown(extra)}" if extra else ""),
    )


def _cell(cell: str, where: str, line: int, column: int, heading: list[str] | None) -> float:
    text = cell.strip()
    if NUMBER.fullmatch(text):
        return float(text)
    if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        return math.nan
    raise DataError(
        "this is not a number" if text else "a cell is empty",
        where=f"{where}, line {line}, {_column(column, heading)}",
        expected="a number such as 12.5, a point before the decimals, no separators",
        received=shown(cell),
    )


def _many(columns: int) -> str:
    return "1 column" if columns == 1 else f"{columns} columns"


def _column(column: int, heading: list[str] | None) -> str:
    return f"column {shown(heading[column])}" if heading else f"column {column + 1}"
