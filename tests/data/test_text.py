"""Text as tokens: a round trip, windows by position, and files that are no text."""

# mypy: disable-error-code="arg-type"
# What cannot be meant is what is passed here.

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from glassgrad.data import Text, decode, encode, read_text
from glassgrad.errors import ConfigError, DataError, GlassgradError


@given(st.text(min_size=1))
def test_a_text_comes_back_from_its_tokens(text: str) -> None:
    found = Text.of(text)
    assert found.decode(found.tokens) == text
    assert list(found.vocabulary) == sorted(set(text))
    assert found.tokens.dtype == np.int64
    assert sorted(set(found.tokens.tolist())) == list(range(len(found.vocabulary)))


@given(
    st.integers(1, 60), st.integers(1, 9), st.integers(1, 9), st.sampled_from([0, 0.1, 0.25, 0.5])
)
def test_windows_are_the_text_and_the_text_one_later(
    length: int, context: int, stride: int, validation: float
) -> None:
    text = Text.of("".join(chr(97 + i) for i in range(length)))  # character i is token i
    held = round(length * validation)
    if length - held <= context or (held and held <= context):
        with pytest.raises(DataError, match="too short"):
            text.windows(context, validation=validation, stride=stride)
        return
    x, y, x_val, y_val = text.windows(context, validation=validation, stride=stride)
    for part, first, stop in ((x, 0, length - held), (x_val, length - held, length)):
        starts = range(first, stop - context, stride) if stop > first else ()
        assert part.tolist() == [list(range(s, s + context)) for s in starts]
        assert part.dtype == np.int64
    np.testing.assert_array_equal(y, x + 1)
    np.testing.assert_array_equal(y_val, x_val + 1)
    if held:
        assert y.max() < x_val.min()  # nothing that is validated with was trained on


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "story.txt"
    file.write_bytes("\ufeffna\u00efve\r\n\U0001f600\u2028\x07".encode())
    text = read_text(file)
    assert text.decode(text.tokens) == "na\u00efve\r\n\U0001f600\u2028\x07"
    assert (text.name, text.source) == ("story", str(file))
    assert read_text(file, characters=2).decode([0, 1]) == "an"


@pytest.mark.parametrize(
    ("content", "says", "place"),
    [
        (b"", "there is no text", ""),
        (b"\xef\xbb\xbf", "there is no text", ""),
        (b"caf\xe9 au lait", "not text as UTF-8", "byte 3"),
        (b"ab\xed\xa0\x80", "not text as UTF-8", "byte 2"),  # half a character
        (b"ab\xc0\x80", "not text as UTF-8", "byte 2"),  # zero in two bytes
        ("wide".encode("utf-16"), "not text as UTF-8", "byte 0"),
        (b"ab\0cd", "zero byte", "byte 2"),
        (b"PK\3\4\0\0", "zero byte", "byte 4"),
    ],
)
def test_a_file_that_is_no_text_is_refused_with_its_name_and_byte(
    tmp_path: Path, content: bytes, says: str, place: str
) -> None:
    file = tmp_path / "a\x1b[31m.txt"
    file.write_bytes(content)
    with pytest.raises(DataError, match=says) as error:
        read_text(file)
    assert place in error.value.where
    assert "\x1b" not in str(error.value)


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "none.txt", "a\0b"):
        with pytest.raises(DataError):
            read_text(path)


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "large.txt"
    with file.open("wb") as stream:
        stream.truncate(2**30 + 1)
    with pytest.raises(DataError, match="too large"):
        read_text(file)


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda: encode("abc", ("a", "b")), DataError, "not in the vocabulary"),
        (lambda: decode([0, 2], ("a", "b")), DataError, "0 to 1"),
        (lambda: decode([-1], ("a", "b")), DataError, "0 to 1"),
        (lambda: Text.of(""), DataError, "no text"),
        (lambda: Text.of("abc").windows(0), ConfigError, "context is out of range"),
        (lambda: Text.of("abc").windows(True), ConfigError, "context is out of range"),
        (lambda: Text.of("abc").windows(1, stride=0), ConfigError, "stride is out of range"),
        (lambda: Text.of("abc").windows(1, validation=1.0), ConfigError, "is a share"),
        (lambda: Text.of("abc").windows(3, validation=0), DataError, "too short to train"),
        (lambda: Text.of("a" * 20).windows(3, validation=0.1), DataError, "too short to validate"),
        (lambda: read_text(__file__, characters=0), ConfigError, "characters is out of range"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    call: Callable[[], Any], kind: type[GlassgradError], says: str
) -> None:
    with pytest.raises(kind, match=says):
        call()
