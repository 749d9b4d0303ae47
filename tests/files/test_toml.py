"""TOML: what is written reads back; what is no TOML is refused with its place."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from glassgrad.errors import ConfigError, FormatError, GlassgradError
from glassgrad.files.toml import read_toml, write_toml

_PLAIN = st.one_of(
    st.booleans(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)  # fmt: skip


@settings(max_examples=200)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.one_of(
            _PLAIN,
            st.lists(_PLAIN, max_size=3),
            st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), _PLAIN, max_size=3),
        ),
        max_size=5,
    )
)
def test_toml_reads_back(table: dict[str, Any]) -> None:
    assert tomllib.loads(write_toml(table)) == table


def test_toml_refuses_what_it_cannot_hold() -> None:
    for value in (None, object(), {1, 2}):
        with pytest.raises(ConfigError):
            write_toml({"a": value})
    assert tomllib.loads(write_toml({"a": "\ud800\x00\x1b"})) == {"a": "\ufffd\x00\x1b"}


BAD: dict[str, tuple[bytes, str]] = {
    "no TOML": (b"epochs: 3\n", "line 1"),
    "a key twice": (b"a = 1\na = 2\n", "line 2"),
    "an open text": (b'a = "b\n', "line 1"),
    "a zero byte": (b"a = 1\0\n", "line 1"),
    "no text": (b"\xff\xfea = 1", "utf-8"),
    "nested too deeply": (b"a = " + b"[" * 100_000, ""),
    "too long a number": (b"a = " + b"9" * 10_000, ""),
    "a number too long to print": (b"seed = 0x" + b"F" * 20_000, "256 bits"),
    "a key of very many parts": (b".".join([b"a"] * 20_000) + b" = 1", "line 1"),
    "a table of very many parts": (b"x = 1\n[" + b".".join([b"1"] * 20_000) + b"]", "line 2"),
    "levels that nobody needs": (b"a = " + b"[" * 100 + b"]" * 100, "levels"),
    "too large": (b"#" * (2**20 + 1), "1,048,577"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_toml_is_refused(tmp_path: Path, name: str) -> None:
    content, word = BAD[name]
    file = tmp_path / "a.toml"
    file.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        read_toml(file)
    assert "a.toml" in caught.value.where
    assert word in str(caught.value)
    assert len(str(caught.value)) < 700


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "a\0b"):
        with pytest.raises(GlassgradError):
            read_toml(path)
    file = tmp_path / "marked.toml"
    file.write_bytes(b"\xef\xbb\xbfa = 1\r\n")
    assert read_toml(file) == {"a": 1}


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(ConfigError, match="no regular file"):
        read_toml(tmp_path / "pipe.toml")


def test_many_numbers_in_a_line_are_no_key(tmp_path: Path) -> None:
    table = {"rates": [0.125] * 5000, "columns": ["a.b"] * 400}
    (tmp_path / "a.toml").write_text(write_toml(table))
    assert read_toml(tmp_path / "a.toml") == table
