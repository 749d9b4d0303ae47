"""Tables: CSV files (or frames) as columns of text, read strictly, each cell with its line.

`read_csv` gives a `Table`; `preparation.py` turns one into numbers. Every complaint names the file,
the line (as an editor counts, after cells of several lines, too), the column and the value.
"""

from __future__ import annotations

import csv
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from glassgrad.errors import DataError, did_you_mean, shown, told

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Table", "read_csv"]

NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
"""A finite decimal number: no separators, no names, no other digits."""

# What was meant as a number and is none: decimal commas, separators, hexadecimal, nan and inf.
_NEARLY = re.compile(
    r"[+-]?(?:[0-9]{1,3}(?:[,'_ ][0-9]{3})+(?:\.[0-9]+)?|[0-9]+[,_][0-9]+|0x[0-9a-f]+|nan|inf(?:inity)?)",
    re.ASCII | re.IGNORECASE,
)
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for a formula in front of a cell, of either width (OWASP, CSV injection)."""

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_MOST_BYTES = 2**30
_MOST_LINE = 2**24
_MOST_COLUMNS = 10_000
_LONGEST_NAME = 1000
_HOW = "a number such as 12.5, a point before the decimals, no separators"


class Table:
    """Columns of text by name; an empty text is an empty cell.

    Parameters
    ----------
    columns : mapping from str to texts
        As many cells in each; spaces around a cell do not count.
    where : str
        What the rows are called in messages: a file's name.
    lines : array (n,), optional
        The line each row begins at; without them messages count rows, from 0.
    delimiter : str
        What stood between the cells.

    Raises
    ------
    DataError
        No columns, no rows, a name that is empty, too long or there twice.

    Examples
    --------
    >>> table = Table({"age": ["31", ""], "town": ["Ulm", "Bonn"]})
    >>> len(table), table.names, table.numbers("age").tolist(), table.is_numeric("town")
    (2, ('age', 'town'), [31.0, nan], False)
    """

    def __init__(
        self,
        columns: Mapping[str, Sequence[str]],
        *,
        where: str = "table",
        lines: NDArray[np.int64] | None = None,
        delimiter: str = ",",
    ) -> None:
        _check_names(list(columns), where)
        self.names = tuple(columns)
        self.where = where
        self.delimiter = delimiter
        self._word = "row" if lines is None else "line"
        self._cells = {name: [c.strip() for c in cells] for name, cells in columns.items()}
        self._numbers: dict[str, NDArray[np.float64]] = {}
        counts = {len(cells) for cells in self._cells.values()}
        if len(counts) > 1:
            raise DataError(
                "columns of different lengths",
                where=where,
                expected="as many cells in every column",
                received=shown({n: len(c) for n, c in self._cells.items()}),
            )
        self._count = counts.pop()
        self._lines = np.arange(self._count) if lines is None else lines
        if not self._count:
            raise DataError(
                "no samples", where=where, expected="rows below the heading", received="none"
            )

    @classmethod
    def of(cls, frame: Any) -> Table:
        """A table from a mapping of columns or a data frame (pandas, polars, ...).

        Numbers stay exact; None and nan are empty cells. No frame library is imported: a frame has
        `columns`, and each of them `to_numpy()` or is an array.

        >>> Table.of({"age": [31, None], "town": ["Ulm", "Bonn"]}).cells("age")
        ['31', '']
        """
        if isinstance(frame, Table):
            return frame
        names = list(frame) if isinstance(frame, Mapping) else list(getattr(frame, "columns", ()))
        if not names:
            raise DataError(
                "this is no table",
                expected="a Table, a mapping of columns or a data frame",
                received=shown(frame),
            )
        columns: dict[str, list[str]] = {}
        for name in names:
            if str(name) in columns:
                raise _twice(str(name), "table")
            column = frame[name]
            plain = column.to_numpy() if hasattr(column, "to_numpy") else column
            values = np.asarray(plain, dtype=object if isinstance(plain, list | tuple) else None)
            if values.ndim != 1:
                raise DataError(
                    "a column holds more than one value a row",
                    where=f"column {shown(str(name))}",
                    expected="shape (n,)",
                    received=str(values.shape),
                )
            columns[str(name)] = [_text(v) for v in values.tolist()]
        return cls(columns)

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"Table of {self._count:,} rows: {', '.join(self.names)}"

    @property
    def separator(self) -> str:
        """What stood between the cells, as a word."""
        return _DELIMITERS[self.delimiter]

    def line(self, row: int) -> str:
        """The place of a row: `data.csv, line 812`."""
        return f"{self.where}, {self._word} {self._lines[row]}"

    def cells(self, name: str) -> list[str]:
        """The texts of a column."""
        if name not in self._cells:
            raise DataError(
                f"there is no column {shown(name)}",
                where=self.where,
                expected="one of the columns " + listed(self.names),
                received=shown(name),
                hint=did_you_mean(name, self.names),
            )
        return self._cells[name]

    def is_numeric(self, name: str) -> bool:
        """Whether a column is meant as numbers: more than half of its cells that are not empty.

        A few cells that are none do not make it a column of classes: `numbers` refuses them by
        line, so that one slip of the keyboard cannot change what a column means.
        """
        if name in self._numbers:
            return True
        cells = [c for c in self.cells(name) if c]
        meant = sum(1 for c in cells if NUMBER.fullmatch(c) or _NEARLY.fullmatch(c))
        return 2 * meant > len(cells)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column as numbers, nan where a cell is empty. Raises DataError by line and column."""
        if name not in self._numbers:
            cells = self.cells(name)
            fits = NUMBER.fullmatch
            values = np.fromiter(
                (float(c) if fits(c) else math.nan if not c else math.inf for c in cells),
                np.float64,
                self._count,
            )
            bad = np.flatnonzero(np.isinf(values))  # 1e999, too
            if len(bad):
                cell = cells[bad[0]]
                more = f" (and {len(bad) - 1:,} more cells)" if len(bad) > 1 else ""
                raise DataError(
                    "this number is too large" if fits(cell) else "this is not a number",
                    where=f"{self.line(int(bad[0]))}, column {shown(name)}",
                    expected=_HOW,
                    received=shown(cell) + more,
                    hint=f"mend the cell or leave it empty; for a column of classes: --categorical {shown(name)}",
                )
            self._numbers[name] = values
        return self._numbers[name]

    def take(self, rows: NDArray[np.int64]) -> Table:
        """The table of some of the rows, in that order; lines stay known."""
        order = rows.tolist()
        found = Table(
            {n: [cells[i] for i in order] for n, cells in self._cells.items()},
            where=self.where,
            lines=self._lines[rows],
            delimiter=self.delimiter,
        )
        found._word = self._word
        found._numbers = {n: values[rows] for n, values in self._numbers.items()}
        return found


def read_csv(path: str | os.PathLike[str]) -> Table:
    r"""The table in a CSV file: a heading, then rows of as many cells.

    UTF-8, with or without a mark at its beginning; cells separated by commas, semicolons or tabs,
    whichever the first line has most of; quoted cells may hold separators and line ends.

    Parameters
    ----------
    path : str or path
        A regular file of at most 1 GiB.

    Returns
    -------
    Table
        Columns of text; nothing is guessed from them yet.

    Raises
    ------
    DataError
        The file cannot be read, is not UTF-8, holds a zero byte or a line above 16 MiB, is empty or
        has a heading only; a name in the heading is empty or there twice; a row has another number
        of cells than the heading. Each with its line.

    Source: RFC 4180, read by Python's `csv`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "people.csv")
    ...     _ = file.write_text('age;town\n31;"Ulm"\n;Bonn\n')
    ...     table = read_csv(file)
    >>> table, table.separator
    (Table of 2 rows: age, town, 'semicolons')
    """
    where = told(path)
    delimiter, found = records(path)
    first, heading = next(found, (1, []))
    if not heading:
        raise DataError(
            "no samples",
            where=where,
            expected="a heading with the columns' names, then rows",
            received="an empty file",
        )
    names = [name.strip() for name in heading]
    _check_names(names, f"{where}, line {first}")
    if all(NUMBER.fullmatch(name) for name in names):
        raise DataError(
            "the first line has numbers where names are expected",
            where=f"{where}, line {first}",
            expected="a heading with the columns' names",
            received=shown(names),
            hint="put a line of names above the rows",
        )
    width = len(names)
    rows: list[list[str]] = []
    lines: list[int] = []
    for line, cells in found:
        if len(cells) != width:
            raise DataError(
                f"a row has {_many(len(cells))}, the heading has {width}",
                where=f"{where}, line {line}",
                expected=str(width),
                received=str(len(cells)),
                hint="a cell that holds the separator needs quotes"
                if len(cells) > width
                else "every row needs all its separators, for empty cells, too",
            )
        rows.append(cells)
        lines.append(line)
    columns = zip(*rows, strict=True) if rows else [()] * width
    return Table(
        dict(zip(names, columns, strict=True)),
        where=where,
        lines=np.array(lines, np.int64),
        delimiter=delimiter,
    )


def records(path: str | os.PathLike[str]) -> tuple[str, Iterator[tuple[int, list[str]]]]:
    """A CSV file's separator, and its records: (the line it begins at, its cells).

    Empty lines are left out. Raises DataError as `read_csv`, some of it only while reading.
    """
    where = told(path)
    try:
        file = Path(path)
        # Asked before opening: opening a pipe would wait for a writer.
        if not stat.S_ISREG(file.stat().st_mode):
            raise DataError(
                "not a regular file",
                where=where,
                expected="a CSV file",
                received="a folder" if file.is_dir() else "something else",
            )
        size = file.stat().st_size
        if size > _MOST_BYTES:
            raise DataError(
                "the table is too large",
                where=where,
                expected=f"at most {_MOST_BYTES:,} bytes",
                received=f"{size:,}",
            )
        with file.open("rb") as stream:
            first = next(_lines(stream, where), "")
    except (OSError, ValueError) as error:
        raise _unreadable(error, where) from error
    unquoted = re.sub(r'"[^"]*"?', "", first)
    delimiter = max(_DELIMITERS, key=unquoted.count)  # the first of equals: the comma
    return delimiter, _records(file, where, delimiter)


def _records(file: Path, where: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    try:
        with file.open("rb") as stream:
            reader = csv.reader(_lines(stream, where), delimiter=delimiter, strict=True)
            before = 0
            try:
                for cells in reader:
                    if len(cells) > _MOST_COLUMNS:
                        raise DataError(
                            "a line has too many cells",
                            where=f"{where}, line {before + 1}",
                            expected=f"at most {_MOST_COLUMNS:,}",
                            received=f"{len(cells):,}",
                        )
                    if cells:
                        yield before + 1, cells
                    before = reader.line_num
            except csv.Error as error:
                raise DataError(
                    "this is not CSV",
                    where=f"{where}, line {before + 1}",
                    expected=f"cells separated by {_DELIMITERS[delimiter]}, a quote for each quote",
                    received=_reason(str(error)),
                ) from None
    except OSError as error:
        raise _unreadable(error, where) from error


def _reason(text: str) -> str:
    """What `csv` says, in words for people."""
    if "field larger" in text:
        return "a cell of more than 131,072 characters, or a quote that is never closed"
    if "unexpected end" in text:
        return "a quote that is never closed"
    if "new-line character" in text:
        return "a line end (carriage return) within a line"
    return shown(text)[1:-1]  # it quotes the separator, which may be a tab


def _lines(stream: IO[bytes], where: str) -> Iterator[str]:
    """Physical lines as text, none of them longer than is sane."""
    number = 0
    while raw := stream.readline(_MOST_LINE + 1):
        number += 1
        if len(raw) > _MOST_LINE:
            raise DataError(
                "a line is too long",
                where=f"{where}, line {number}",
                expected=f"at most {_MOST_LINE:,} bytes",
                received="more",
            )
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                "the table is not text as UTF-8",
                where=f"{where}, line {number}, byte {error.start}",
                expected="a CSV file in UTF-8",
                received=raw[error.start : error.start + 4].hex(" "),
                hint="save it again as 'CSV UTF-8'",
            ) from None
        if "\0" in text:
            raise DataError(
                "the table holds a zero byte",
                where=f"{where}, line {number}, character {text.index(chr(0)) + 1}",
                expected="a CSV file in UTF-8",
                received=shown(text[text.index("\0") :], 20),
            )
        yield text


def _unreadable(error: Exception, where: str) -> Exception:
    if isinstance(error, DataError):
        return error
    reason = getattr(error, "strerror", None) or str(error)
    return DataError("a table cannot be read", where=where, expected="a CSV file", received=reason)


def _check_names(names: list[str], where: str) -> None:
    if not 1 <= len(names) <= _MOST_COLUMNS:
        raise DataError(
            "a table has columns",
            where=where,
            expected=f"1 to {_MOST_COLUMNS:,}",
            received=f"{len(names):,}",
        )
    for number, name in enumerate(names, 1):
        if not 1 <= len(name) <= _LONGEST_NAME:
            raise DataError(
                "a column has no name" if not name else "a column's name is too long",
                where=f"{where}, column {number}",
                expected=f"1 to {_LONGEST_NAME:,} characters",
                received=f"{len(name):,}" if name else "an empty cell in the heading",
                hint="" if name else "name it; --drop NAME leaves it out",
            )
    if len(set(names)) != len(names):
        raise _twice(Counter(names).most_common(1)[0][0], where)


def _twice(name: str, where: str) -> DataError:
    return DataError(
        "two columns have one name",
        where=where,
        expected="a name of its own for each column",
        received=shown(name),
    )


def _text(value: Any) -> str:
    """A value of a frame as a cell: what reads back as the same number, empty where missing."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # pandas' own
        return ""
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return str(value)


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names as a message may list them."""
    every = [shown(n, 40)[1:-1] for n in names]
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def _many(cells: int) -> str:
    return "1 cell" if cells == 1 else f"{cells} cells"
