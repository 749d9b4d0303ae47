"""CSV tables: what is read, and each way a file can be wrong, by line and column."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from glassgrad.data.table import Table, read_csv
from glassgrad.errors import DataError

GOOD = [
    b"age,town\n31,Ulm\n,Bonn\n",
    b"\xef\xbb\xbfage,town\r\n31,Ulm\r\n,Bonn",
    b'"age","town"\n"31","Ulm"\n"","Bonn"\n',
    b"age;town\n31;Ulm\n;Bonn\n",
    b"age\ttown\n31\tUlm\n\tBonn\n",
    b" age , town \n 31 , Ulm \n\n  ,Bonn\n\n",
]


def written(folder: Path, content: bytes) -> Path:
    path = folder / "people.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("content", GOOD)
def test_every_way_to_write_the_same_table(tmp_path: Path, content: bytes) -> None:
    table = read_csv(written(tmp_path, content))
    assert table.names == ("age", "town")
    assert table.cells("age") == ["31", ""]
    assert table.cells("town") == ["Ulm", "Bonn"]
    np.testing.assert_array_equal(table.numbers("age"), [31.0, np.nan])
    assert table.is_numeric("age")
    assert not table.is_numeric("town")


def test_the_separator_is_the_headings(tmp_path: Path) -> None:
    for content, word in zip(GOOD, ["commas"] * 3 + ["semicolons", "tabs", "commas"], strict=True):
        assert read_csv(written(tmp_path, content)).separator == word
    table = read_csv(written(tmp_path, b'"a,b,c";d\n1;"2,5"\n'))
    assert table.names == ("a,b,c", "d")


BAD: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "13 seven fields for eight": (
        b"a,b,c,d,e,f,g,h\n" + b"1,2,3,4,5,6,7,8\n" * 810 + b"1,2,3,4,5,6,7\n",
        ("line 812", "expected: 8", "received: 7", "separators"),
    ),
    "nine fields for eight": (b"a,b\n1,2\n1,2,3\n", ("line 3", "expected: 2", "received: 3", "quotes")),
    "after a cell of three lines": (
        b'a,b\n"1\n2\n3",4\n5\n', ("line 5", "expected: 2", "received: 1"),
    ),
    "an empty file": (b"", ("no samples", "an empty file", "heading")),
    "12 a heading only": (b"a,b\n", ("no samples", "rows below the heading")),
    "blank lines only": (b"\n\n\n", ("no samples",)),
    "a name twice": (b"a,b,a\n1,2,3\n", ("two columns", "line 1", "'a'")),
    "no name": (b"a,,b\n1,2,3\n", ("no name", "line 1, column 2")),
    "a heading of numbers": (b"1,2\n3,4\n", ("names are expected", "line 1", "['1', '2']")),
    "a zero byte": (b"a,b\n1,2\n3,\x00\n", ("zero byte", "line 3, character 3", "UTF-8")),
    "not UTF-8": (b"a,b\n1,2\n3,K\xf6ln\n", ("UTF-8", "line 3, byte 3", "f6 6c 6e 0a")),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), ("UTF-8", "line 1, byte 0")),
    "an open quote": (b'a,b\n1,2\n"3,4\n5,6\n', ("not CSV", "line 3", "never closed")),
    "a quote within": (b'a,b\n"1"x,2\n', ("not CSV", "line 2")),
    "a quote within, and tabs": (b'a\tb\n"1"x\t2\n', ("not CSV", "line 2", "\\t")),
    "old line ends": (b"a,b\r1,2\r", ("not CSV", "line 1", "carriage return")),
    "a cell of a million": (b"a,b\n1," + b"x" * 10**6 + b"\n", ("not CSV", "line 2", "131,072")),
    "a heading of a million": (b"a," + b"x" * 10**6 + b"\n", ("not CSV", "line 1")),
    "a name of 2,000": (b"a," + b"x" * 2000 + b"\n1,2\n", ("too long", "column 2", "2,000")),
    "10,001 columns": (b",".join(b"c%d" % i for i in range(10_001)) + b"\n", ("10,001", "10,000")),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_by_line(tmp_path: Path, name: str) -> None:
    content, words = BAD[name]
    with pytest.raises(DataError) as caught:
        read_csv(written(tmp_path, content))
    text = str(caught.value)
    for word in ("people.csv", *words):
        assert word in text, text
    assert len(text) < 700
    assert all(c.isprintable() or c == "\n" for c in text)
    assert caught.value.expected
    assert caught.value.received


CELLS: dict[str, tuple[str, ...]] = {
    "abc": ("not a number", "'abc'"),
    '"1,234"': ("not a number", "'1,234'"),
    '"1,5"': ("not a number", "a point before the decimals"),
    "1_000": ("not a number", "'1_000'"),
    "nan": ("not a number", "'nan'"),
    "-inf": ("not a number", "'-inf'"),
    "0x1F": ("not a number", "'0x1F'"),
    "1e999": ("too large", "'1e999'"),
    "\u0663": ("not a number", "'\u0663'"),
    "1 2": ("not a number",),
    "--1": ("not a number",),
    "=cmd()": ("not a number", "'=cmd()'"),
    "\x1b[31mred": ("not a number", "\\x1b[31mred"),
    "9" * 500 + "x": ("not a number", "9..."),
}


@pytest.mark.parametrize("cell", CELLS)
def test_14_a_cell_that_is_no_number_is_named_by_line_and_column(tmp_path: Path, cell: str) -> None:
    content = f'age,town\n1,a\n"2","two\nlines"\n{cell},b\n3,c\n4,d\n'.encode()
    table = read_csv(written(tmp_path, content))
    assert table.is_numeric("age")  # one slip does not make it a column of classes
    with pytest.raises(DataError) as caught:
        table.numbers("age")
    text = str(caught.value)
    for word in ("people.csv, line 5, column 'age'", "12.5", "--categorical", *CELLS[cell]):
        assert word in text, text
    assert "\x1b" not in text
    assert len(text) < 500


@pytest.mark.parametrize(
    "cells", [["1,5", "2,5", "3,5"], ["nan", "nan", "1"], ["0x1", "0x2", "3"], ["1_0", "2_0"]]
)
def test_what_was_meant_as_numbers_never_becomes_classes(cells: list[str]) -> None:
    table = Table({"a": cells})
    assert table.is_numeric("a")
    with pytest.raises(DataError, match="not a number"):
        table.numbers("a")


@pytest.mark.parametrize(
    "cells", [["2024-01-02", "2024-01-03"], ["1.2.3", "1.2.4"], ["", ""], ["a", "1"], ["-", "+"]]
)
def test_what_is_no_number_at_all_is_a_class(cells: list[str]) -> None:
    assert not Table({"a": cells}).is_numeric("a")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_every_number_comes_back_exactly(values: list[float]) -> None:
    table = Table({"a": [repr(v) for v in values]})
    assert table.numbers("a").tolist() == values
    assert Table.of({"a": values}).numbers("a").tolist() == values


@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=2, max_size=2),
        min_size=1,
    )
)  # fmt: skip
def test_what_csv_writes_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    import csv

    path = tmp_path_factory.mktemp("t") / "t.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows])
    table = read_csv(path)
    assert table.cells("a") == [row[0].strip() for row in rows]
    assert table.cells("b") == [row[1].strip() for row in rows]


def test_places_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for place, words in (
        (tmp_path, ("not a regular file", "a folder")),
        (tmp_path / "pipe.csv", ("not a regular file",)),
        (tmp_path / "none.csv", ("cannot be read", "No such file")),
        (tmp_path / "a\0b", ("cannot be read", "null byte")),
    ):
        with pytest.raises(DataError) as caught:
            read_csv(place)
        assert all(word in str(caught.value) for word in words), caught.value


def test_a_gigabyte_in_one_line_is_refused_without_reading_it(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "people.csv"
    with path.open("wb") as stream:
        stream.write(b"a,b\n1,")
        stream.truncate(10**9)
    tracemalloc.start()
    with pytest.raises(DataError, match="a line is too long"):
        read_csv(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2**26
    with path.open("wb") as stream:
        stream.truncate(2**30 + 1)
    with pytest.raises(DataError, match="too large"):
        read_csv(path)


def test_rows_taken_keep_their_lines(tmp_path: Path) -> None:
    table = read_csv(written(tmp_path, b"a,b\n1,x\n2,y\nq,z\n4,w\n"))
    part = table.take(np.array([3, 2, 0]))
    assert part.cells("b") == ["w", "z", "x"]
    with pytest.raises(DataError, match=r"line 4, column 'a'"):
        part.numbers("a")


class Column:
    """A column of a data frame, as far as a table looks at it."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def to_numpy(self) -> Any:
        return self._values


class Frame:
    def __init__(self, **columns: Any) -> None:
        self.columns = list(columns)
        self._columns = columns

    def __getitem__(self, name: str) -> Column:
        return Column(self._columns[name])


def test_a_data_frame_is_a_table() -> None:
    frame = Frame(
        a=np.array([1.5, np.nan, 0.1]),
        b=np.array(["x", None, "z"], object),
        c=np.array([1, 2, 3]),
        d=np.array([True, False, True]),
    )
    table = Table.of(frame)
    assert table.cells("a") == ["1.5", "", "0.1"]
    assert table.cells("b") == ["x", "", "z"]
    assert table.cells("c") == ["1", "2", "3"]
    assert table.cells("d") == ["True", "False", "True"]
    with pytest.raises(DataError, match="row 1, column 'b'"):
        Table.of({"b": [1, "x", 3, 4]}).numbers("b")
    wrong: Any
    for wrong in (3, {}, {"a": [[1, 2]]}, {"a": [1], "b": [1, 2]}, {"a": []}, {1: [1], "1": [2]}):
        with pytest.raises(DataError):
            Table.of(wrong)


def test_15_a_column_that_is_missing_lists_those_there_are() -> None:
    table = Table({"age": ["1"], "town\x1b[31m": ["b"]})
    with pytest.raises(DataError) as caught:
        table.cells("agee")
    text = str(caught.value)
    assert "age, town\\x1b[31m" in text
    assert "did you mean 'age'?" in text
