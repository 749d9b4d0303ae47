"""Text for character models: a vocabulary, and windows of tokens with the next token for each."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glassgrad.errors import ConfigError, DataError, shown, told

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Text", "decode", "encode", "read_text"]

_MOST_BYTES = 2**30


def encode(text: str, vocabulary: Sequence[str]) -> NDArray[np.int64]:
    """Characters as tokens, their positions in the vocabulary.

    Raises DataError for a character that is not in it.

    >>> encode("abba", ("a", "b")).tolist()
    [0, 1, 1, 0]
    """
    place = {c: i for i, c in enumerate(vocabulary)}
    try:
        return np.array([place[c] for c in text], np.int64)
    except KeyError:
        at = next(i for i, c in enumerate(text) if c not in place)
        raise DataError(
            "a character is not in the vocabulary",
            where=f"character {at + 1} of {shown(text, 40)}",
            expected=f"only characters of {shown(''.join(vocabulary), 120)}",
            received=shown(text[at]),
        ) from None


def decode(tokens: Iterable[int], vocabulary: Sequence[str]) -> str:
    """Tokens as characters: the inverse of `encode`. Raises DataError for a token outside.

    >>> decode([0, 1, 1, 0], ("a", "b"))
    'abba'
    """
    found = [int(t) for t in tokens]
    bad = next((t for t in found if not 0 <= t < len(vocabulary)), None)
    if bad is not None:
        raise DataError(
            "a token is not in the vocabulary",
            expected=f"0 to {len(vocabulary) - 1}",
            received=str(bad),
        )
    return "".join([vocabulary[t] for t in found])


@dataclass(frozen=True, eq=False)
class Text:
    """A text as tokens: each character is its place among the sorted characters that occur.

    Attributes
    ----------
    tokens : array
        int64, one for each character.
    vocabulary : tuple of str
        The characters, sorted.
    name, source : str
        What it is called, where it comes from.

    >>> text = Text.of("hello world")
    >>> text
    Text 'text': 11 characters, 8 of them different
    >>> text.decode(text.encode("world"))
    'world'
    """

    tokens: NDArray[np.int64]
    vocabulary: tuple[str, ...]
    name: str = "text"
    source: str = ""

    @staticmethod
    def of(text: str, name: str = "text", source: str = "") -> Text:
        """A text from its characters. Raises DataError for an empty one."""
        if not isinstance(text, str) or not text:
            raise DataError(
                "there is no text", where=name, expected="at least one character", received="none"
            )
        vocabulary = tuple(sorted(set(text)))
        return Text(encode(text, vocabulary), vocabulary, name, source)

    def encode(self, text: str) -> NDArray[np.int64]:
        """Characters as tokens. Raises DataError for one that does not occur in the text."""
        return encode(text, self.vocabulary)

    def decode(self, tokens: Iterable[int]) -> str:
        """Tokens as characters."""
        return decode(tokens, self.vocabulary)

    def windows(
        self, context: int = 64, *, validation: float = 0.1, stride: int | None = None
    ) -> tuple[NDArray[np.int64], ...]:
        """Windows of tokens x and, for each token, the next one y: (x, y, x_val, y_val).

        The last share of the text is for validation (none for 0: the arrays are empty), so that
        no window of it overlaps one for training. A window begins every `stride` characters,
        `context` of them if nothing is said; all are (n, context) int64. Raises ConfigError for
        settings out of range, DataError for a text that is too short.

        >>> x, y, _, _ = Text.of("abcabcabc").windows(4, validation=0)
        >>> x.tolist(), y.tolist()
        ([[0, 1, 2, 0], [1, 2, 0, 1]], [[1, 2, 0, 1], [2, 0, 1, 2]])
        """
        step = context if stride is None else stride
        for name, value in (("context", context), ("stride", step)):
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10**6:
                raise ConfigError(
                    f"{name} is out of range",
                    expected="a whole number from 1 to 1,000,000",
                    received=shown(value),
                )
        if (
            isinstance(validation, bool)
            or not isinstance(validation, int | float)
            or not 0 <= validation < 1
        ):
            raise ConfigError(
                "validation is a share", expected="0 to below 1", received=shown(validation)
            )
        held = round(len(self.tokens) * validation)
        kept = len(self.tokens) - held
        found: list[NDArray[np.int64]] = []
        for part, tokens in (
            ("train on", self.tokens[:kept]),
            ("validate with", self.tokens[kept:]),
        ):
            if len(tokens) <= context and (part == "train on" or held):
                raise DataError(
                    f"the text is too short to {part}",
                    where=self.name,
                    expected=f"more than {context} characters, the length of a window",
                    received=f"{len(tokens):,} of {len(self.tokens):,}",
                    hint="a longer text, or a smaller context",
                )
            starts = np.arange(0, len(tokens) - context, step).reshape(-1, 1)
            places = starts + np.arange(context)
            found += [tokens[places], tokens[places + 1]] if len(tokens) else [places, places]
        return tuple(found)

    def __repr__(self) -> str:
        return (
            f"Text {self.name!r}: {len(self.tokens):,} characters, "
            f"{len(self.vocabulary)} of them different"
        )


def read_text(path: str | os.PathLike[str], *, characters: int | None = None) -> Text:
    """A text file as tokens: UTF-8, strictly; a byte order mark at its beginning is left out.

    Parameters
    ----------
    path : str or path
        A regular file of at most 1 GiB.
    characters : int, optional
        Only so many from the beginning.

    Returns
    -------
    Text
        Named after the file. Line ends are kept as they are.

    Raises
    ------
    DataError
        The file cannot be read, is empty, is too large, or is not text as UTF-8; zero bytes are
        no text. The message names the file, and the byte where there is one.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "tiny.txt")
    ...     _ = file.write_text("to be or not to be")
    ...     read_text(file)
    Text 'tiny': 18 characters, 7 of them different
    """
    file = Path(path)
    where = told(file)
    text = _characters(file, where)
    if characters is not None:
        if isinstance(characters, bool) or not isinstance(characters, int) or characters < 1:
            raise ConfigError(
                "characters is out of range",
                expected="a whole number from 1",
                received=shown(characters),
            )
        text = text[:characters]
    if not text:
        raise DataError(
            "there is no text", where=where, expected="at least one character", received="none"
        )
    return Text.of(text, file.stem, where)


def _characters(file: Path, where: str) -> str:
    wanted = "a text file in UTF-8"
    try:
        about = file.stat()
        if not stat.S_ISREG(about.st_mode):  # asked before opening: a pipe would wait
            raise DataError("not a regular file", where=where, expected=wanted)
        if about.st_size > _MOST_BYTES:
            raise DataError(
                "the text is too large",
                where=where,
                expected=f"at most {_MOST_BYTES:,} bytes",
                received=f"{about.st_size:,}",
            )
        data = file.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise DataError(
            "a text cannot be read",
            where=where,
            expected=wanted,
            received=error.strerror or str(error),
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            "this is not text as UTF-8",
            where=f"{where}, byte {error.start}",
            expected=wanted,
            received=_hex(error.object[error.start : error.start + 4]),
            hint="save it again as UTF-8",
        ) from None
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError("not a file's name", where=where, received=str(error)) from error
    if "\0" in text:
        raise DataError(
            "the text holds a zero byte",
            where=f"{where}, byte {data.index(0)}",
            expected=wanted,
            received="bytes that are not text",
        )
    return text


def _hex(data: Any) -> str:
    return bytes(data).hex(" ")
