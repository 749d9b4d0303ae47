"""A slow, strict reader of TOML 1.0.0, from its text at https://toml.io and nothing else."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from .readers import Refused, characters

_BARE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_CONTROL = frozenset(chr(c) for c in (*range(9), *range(10, 32), 127))
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}
_HEX = frozenset("0123456789abcdefABCDEF")
_CLOCK = r"(\d\d):(\d\d):(\d\d)(\.\d+)?"
_MOMENT = re.compile(
    rf"(\d{{4}})-(\d\d)-(\d\d)(?:[Tt ]{_CLOCK}([Zz]|[+-]\d\d:\d\d)?)?|{_CLOCK}", re.ASCII
)
_INTEGER = re.compile(r"[+-]?(0|[1-9](_?[0-9])*)", re.ASCII)
_BASED = re.compile(r"0x[0-9A-Fa-f](_?[0-9A-Fa-f])*|0o[0-7](_?[0-7])*|0b[01](_?[01])*", re.ASCII)
_FLOAT = re.compile(
    r"[+-]?(0|[1-9](_?[0-9])*)(?=[.eE])(\.[0-9](_?[0-9])*)?([eE][+-]?[0-9](_?[0-9])*)?", re.ASCII
)
_WORDS = re.compile(r"true|false|[+-]?inf|[+-]?nan")
_MOST_DEPTH = 32
_MOST_BITS = 256


class _Table:
    """A table, and who made it: a heading, a deeper heading ("path"), a dotted key, or braces."""

    def __init__(self, made: str, by: object = None) -> None:
        self.made, self.by = made, by
        self.items: dict[str, Any] = {}


class _Tables(list[_Table]):
    """Tables of a heading in double brackets."""


def toml(data: bytes) -> dict[str, Any]:
    """The tables of a TOML file, with or without a mark, as our settings take them: at most 32
    levels, whole numbers of at most 256 bits.
    """
    letters = characters(data.removeprefix(b"\xef\xbb\xbf")).replace("\r\n", "\n")
    root = _Table("heading")
    reader = _Reader(letters)
    here, at = root, 0
    while True:
        at = reader.space(at)
        first = letters[at : at + 1]
        if first == "[":
            here, at = reader.heading(root, at)
        elif first and first not in "\n#":
            at = reader.pair(here, at, here)
        at = reader.rest_of_line(at)
        if at >= len(letters):
            return {k: _plain(v, 1) for k, v in root.items.items()}


def _plain(value: Any, depth: int) -> Any:
    if depth > _MOST_DEPTH:
        raise Refused("too deep")
    if isinstance(value, _Table):
        return {k: _plain(v, depth + 1) for k, v in value.items.items()}
    if isinstance(value, list):
        return [_plain(v, depth + 1) for v in value]
    if isinstance(value, int) and abs(value) >= 2**_MOST_BITS:
        raise Refused("too large")
    return value


class _Reader:
    """Where the characters are; every method begins at a place and gives the place after."""

    def __init__(self, letters: str) -> None:
        self.letters = letters

    def space(self, at: int) -> int:
        while self.letters[at : at + 1] in (" ", "\t"):
            at += 1
        return at

    def rest_of_line(self, at: int) -> int:
        """Nothing but space and a comment up to the line's end."""
        at = self.comment(self.space(at))
        if at < len(self.letters) and self.letters[at] != "\n":
            raise Refused("more in a line")
        return at + 1

    def comment(self, at: int) -> int:
        if self.letters[at : at + 1] == "#":
            while at < len(self.letters) and self.letters[at] != "\n":
                if self.letters[at] in _CONTROL:
                    raise Refused("a control character")
                at += 1
        return at

    def lines(self, at: int) -> int:
        """Space, line ends and comments, as between the items of a list."""
        while True:
            after = self.comment(self.space(at))
            if self.letters[after : after + 1] == "\n":
                after += 1
            if after == at:
                return at
            at = after

    def expect(self, at: int, word: str) -> int:
        if not self.letters.startswith(word, at):
            raise Refused(f"no {word}")
        return at + len(word)

    # ---- keys and tables

    def key(self, at: int) -> tuple[list[str], int]:
        parts = []
        while True:
            at = self.space(at)
            first = self.letters[at : at + 1]
            if first == '"':
                part, at = self.basic(at + 1, '"')
            elif first == "'":
                part, at = self.literal(at + 1, "'")
            else:
                end = at
                while end < len(self.letters) and self.letters[end] in _BARE:
                    end += 1
                part, at = self.letters[at:end], end
                if not part:
                    raise Refused("no key")
            parts.append(part)
            at = self.space(at)
            if self.letters[at : at + 1] != ".":
                return parts, at
            at += 1

    def heading(self, root: _Table, at: int) -> tuple[_Table, int]:
        many = self.letters.startswith("[[", at)
        parts, at = self.key(at + 1 + many)
        at = self.expect(at, "]]" if many else "]")
        table = root
        for part in parts[:-1]:
            inner = table.items.setdefault(part, _Table("path"))
            table = inner[-1] if isinstance(inner, _Tables) else inner
            if not isinstance(table, _Table) or table.made == "braces":
                raise Refused("no table")
        last = table.items.get(parts[-1])
        if many:
            made = _Table("heading")
            if last is None:
                last = table.items[parts[-1]] = _Tables()
            if not isinstance(last, _Tables):
                raise Refused("another kind of value")
            last.append(made)
            return made, at
        if last is None:
            last = table.items[parts[-1]] = _Table("heading")
        elif not isinstance(last, _Table) or last.made != "path":
            raise Refused("a table twice")
        last.made = "heading"
        return last, at

    def pair(self, table: _Table, at: int, by: object, depth: int = 1) -> int:
        """key = value, put into a table; `by` is the heading or the braces it stands under."""
        parts, at = self.key(at)
        at = self.space(self.expect(at, "="))
        value, at = self.value(at, depth)
        for part in parts[:-1]:
            inner = table.items.setdefault(part, _Table("dotted", by))
            if not isinstance(inner, _Table) or inner.made in ("heading", "braces"):
                raise Refused("no table of this line's")
            if inner.made == "dotted" and inner.by is not by:
                raise Refused("a table of another heading")
            inner.made, inner.by = "dotted", by
            table = inner
        if parts[-1] in table.items:
            raise Refused("a key twice")
        table.items[parts[-1]] = value
        return at

    # ---- values

    def value(self, at: int, depth: int) -> tuple[Any, int]:
        if depth > 200:
            raise Refused("too deep")
        rest = self.letters[at : at + 3]
        if rest == '"""':
            return self.basic(self.after_line(at + 3), rest)
        if rest == "'''":
            return self.literal(self.after_line(at + 3), rest)
        if rest[:1] == '"':
            return self.basic(at + 1, '"')
        if rest[:1] == "'":
            return self.literal(at + 1, "'")
        if rest[:1] == "[":
            return self.items(at + 1, depth)
        if rest[:1] == "{":
            return self.braces(at + 1, depth)
        return self.scalar(at)

    def after_line(self, at: int) -> int:
        return at + (self.letters[at : at + 1] == "\n")

    def items(self, at: int, depth: int) -> tuple[list[Any], int]:
        found: list[Any] = []
        while True:
            at = self.lines(at)
            if self.letters[at : at + 1] == "]":
                return found, at + 1
            item, at = self.value(at, depth + 1)
            found.append(item)
            at = self.lines(at)
            if self.letters[at : at + 1] != "]":
                at = self.expect(at, ",")

    def braces(self, at: int, depth: int) -> tuple[_Table, int]:
        table = _Table("braces")
        at = self.space(at)
        if self.letters[at : at + 1] == "}":
            return table, at + 1
        while True:
            at = self.space(self.pair(table, at, table, depth + 1))
            if self.letters[at : at + 1] == "}":
                return table, at + 1
            at = self.space(self.expect(at, ","))

    def literal(self, at: int, quote: str) -> tuple[str, int]:
        end = self.letters.find(quote, at)
        found = self.letters[at:end]
        if end < 0 or not _fine(found, len(quote) == 3):
            raise Refused("a text")
        return self.longer(found, end, quote)

    def longer(self, found: str, end: int, quote: str) -> tuple[str, int]:
        """A text of several lines may end in one or two quotes of its own."""
        end += len(quote)
        extra = 0
        while len(quote) == 3 and extra < 2 and self.letters[end : end + 1] == quote[0]:
            found, end, extra = found + quote[0], end + 1, extra + 1
        return found, end

    def basic(self, at: int, quote: str) -> tuple[str, int]:
        many = len(quote) == 3
        out: list[str] = []
        while True:
            letter = self.letters[at : at + 1]
            if not letter or not _fine(letter, many):
                raise Refused("a text")
            if self.letters.startswith(quote, at):
                return self.longer("".join(out), at, quote)
            if letter != "\\":
                out.append(letter)
                at += 1
                continue
            escape = self.letters[at + 1 : at + 2]
            if escape in ("u", "U"):
                digits = self.letters[at + 2 : at + (6 if escape == "u" else 10)]
                if len(digits) != (4 if escape == "u" else 8) or not set(digits) <= _HEX:
                    raise Refused("an escape")
                code = int(digits, 16)
                if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                    raise Refused("an escape")
                out.append(chr(code))
                at += 2 + len(digits)
            elif escape and escape in _ESCAPES:
                out.append(_ESCAPES[escape])
                at += 2
            elif many and self.letters[self.space(at + 1) :][:1] == "\n":
                at += 1
                while self.letters[at : at + 1] in (" ", "\t", "\n"):
                    at += 1
            else:
                raise Refused("an escape")

    def scalar(self, at: int) -> tuple[Any, int]:
        if found := _MOMENT.match(self.letters, at):
            return _moment(found), found.end()
        if found := _BASED.match(self.letters, at):
            return int(found[0].replace("_", ""), 0), found.end()
        if found := _FLOAT.match(self.letters, at):
            text = found[0]
            # A point or an exponent without digits is no part of a number.
            if any(c in text for c in ".eE"):
                return float(text.replace("_", "")), found.end()
        if found := _INTEGER.match(self.letters, at):
            digits = found[0].replace("_", "")
            if len(digits.lstrip("+-")) > 4300:
                raise Refused("too many digits")
            return int(digits), found.end()
        if found := _WORDS.match(self.letters, at):
            word = found[0]
            return (word == "true" if word in ("true", "false") else float(word)), found.end()
        raise Refused("no value")


def _fine(text: str, lines: bool) -> bool:
    return not any(c in _CONTROL and not (lines and c == "\n") for c in text)


def _moment(found: re.Match[str]) -> dt.date | dt.time:
    year, month, day, *clock, zone = found.groups()[:8]
    if year is None:
        clock = list(found.groups()[8:])
    try:
        if clock[0] is None:
            return dt.date(int(year), int(month), int(day))
        micros = int((clock[3] or ".")[1:7].ljust(6, "0"))
        time = dt.time(int(clock[0]), int(clock[1]), int(clock[2]), micros, _zone(zone))
        if year is None:
            return time
        return dt.datetime.combine(dt.date(int(year), int(month), int(day)), time)
    except ValueError:
        raise Refused("no moment") from None


def _zone(text: str | None) -> dt.tzinfo | None:
    if text is None:
        return None
    hours, minutes = (0, 0) if text in ("Z", "z") else (int(text[1:3]), int(text[4:6]))
    if hours > 23 or minutes > 59:
        raise Refused("a zone")
    return dt.timezone((-1 if text[0] == "-" else 1) * dt.timedelta(hours=hours, minutes=minutes))
