"""Slow, strict readers of the same formats, written from their descriptions and nothing else.

They share no code with the library: no `json`, no `csv`, no `tomllib`, no NumPy. What they accept
they give as plain values; whatever they refuse is `Refused`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from math import isinf, prod
from typing import Any


class Refused(Exception):  # noqa: N818  # a verdict, not a failure
    """The bytes are not what the format's description allows."""


# One character of UTF-8 in the shortest form, no halves of pairs, nothing above U+10FFFF (RFC 3629).
_UTF8 = re.compile(
    rb"(?:[\x00-\x7f]++|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]"
    rb"|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})*+"
)


def characters(data: bytes) -> str:
    """Bytes as text."""
    if not _UTF8.fullmatch(data):
        raise Refused("not UTF-8")
    return data.decode("utf-8")


# ------------------------------------------------------------------------------------------- JSON

_SPACE = " \t\n\r"
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_ESCAPES = {
    '"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
}  # fmt: skip
_HEX = frozenset("0123456789abcdefABCDEF")
MOST_DEPTH = 16
MOST_DIGITS = 4300  # of a whole number: what Python converts


def json_value(data: bytes) -> Any:
    """A value from JSON (RFC 8259): unique keys, finite numbers, whole characters, 16 levels."""
    text = characters(data)
    value, at = _value(text, _space(text, 0), 1)
    if _space(text, at) != len(text):
        raise Refused("text after the value")
    return value


def _space(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _value(text: str, at: int, depth: int) -> tuple[Any, int]:
    first = text[at : at + 1]
    if first in ("{", "[") and depth > MOST_DEPTH:
        raise Refused("too deep")
    if first == "{":
        return _object(text, _space(text, at + 1), depth)
    if first == "[":
        return _list(text, _space(text, at + 1), depth)
    if first == '"':
        return _string(text, at + 1)
    for word, meant in (("true", True), ("false", False), ("null", None)):
        if text.startswith(word, at):
            return meant, at + len(word)
    return _number(text, at)


def _object(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    if text[at : at + 1] == "}":
        return found, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise Refused("no key")
        key, at = _string(text, at + 1)
        at = _space(text, at)
        if text[at : at + 1] != ":":
            raise Refused("no colon")
        if key in found:
            raise Refused("a key twice")
        found[key], at = _value(text, _space(text, at + 1), depth + 1)
        at = _space(text, at)
        if text[at : at + 1] == "}":
            return found, at + 1
        if text[at : at + 1] != ",":
            raise Refused("no comma")
        at = _space(text, at + 1)


def _list(text: str, at: int, depth: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    if text[at : at + 1] == "]":
        return found, at + 1
    while True:
        item, at = _value(text, at, depth + 1)
        found.append(item)
        at = _space(text, at)
        if text[at : at + 1] == "]":
            return found, at + 1
        if text[at : at + 1] != ",":
            raise Refused("no comma")
        at = _space(text, at + 1)


def _string(text: str, at: int) -> tuple[str, int]:
    out: list[str] = []
    while True:
        if at >= len(text) or text[at] < " ":
            raise Refused("a text without end")
        letter = text[at]
        if letter == '"':
            return "".join(out), at + 1
        if letter != "\\":
            out.append(letter)
            at += 1
        elif text[at + 1 : at + 2] == "u":
            code = _hex4(text, at + 2)
            at += 6
            if 0xD800 <= code < 0xDC00 and text[at : at + 2] == "\\u":
                low = _hex4(text, at + 2)
                if not 0xDC00 <= low < 0xE000:
                    raise Refused("half a character")
                code, at = 0x10000 + (code - 0xD800) * 0x400 + low - 0xDC00, at + 6
            if 0xD800 <= code < 0xE000:
                raise Refused("half a character")
            out.append(chr(code))
        else:
            if text[at + 1 : at + 2] not in _ESCAPES or at + 1 == len(text):
                raise Refused("no such escape")
            out.append(_ESCAPES[text[at + 1]])
            at += 2


def _hex4(text: str, at: int) -> int:
    digits = text[at : at + 4]
    if len(digits) != 4 or not set(digits) <= _HEX:
        raise Refused("no such escape")
    return int(digits, 16)


def _number(text: str, at: int) -> tuple[int | float, int]:
    found = _JSON_NUMBER.match(text, at)
    if found is None:
        raise Refused("no value")
    if found[2] is None and found[3] is None:
        if len(found[1]) > MOST_DIGITS:
            raise Refused("too many digits")
        return int(found[0]), found.end()
    value = float(found[0])
    if isinf(value):
        raise Refused("not finite")
    return value, found.end()


def json_text(value: Any, level: int = 0) -> str:
    """A value in the one form we write: a space for each level, ASCII, keys in their order."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return '"' + "".join(map(_letter, value)) + '"'
    pad = "\n" + " " * (level + 1)
    if isinstance(value, dict):
        items = [f"{json_text(k)}: {json_text(v, level + 1)}" for k, v in value.items()]
        opening, closing = "{}"
    else:
        items = [json_text(v, level + 1) for v in value]
        opening, closing = "[]"
    if not items:
        return opening + closing
    return opening + pad + ("," + pad).join(items) + "\n" + " " * level + closing


_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f", "\b": "\\b"}


def _letter(letter: str) -> str:
    if letter in _SHORT:
        return _SHORT[letter]
    code = ord(letter)
    if 0x20 <= code < 0x7F:
        return letter
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\u{0xD800 + (code - 0x10000 >> 10):04x}\\u{0xDC00 + (code - 0x10000 & 0x3FF):04x}"


def canonical_json(data: bytes) -> Any:
    """A value from JSON in the one form we write."""
    value = json_value(data)
    if json_text(value).encode() != data:
        raise Refused("written in another way")
    return value


# ------------------------------------------------------------------------------------ safetensors

_SIZES = {"F32": 4, "F64": 8, "I64": 8, "U32": 4, "U8": 1, "BOOL": 1}


def tensors(data: bytes) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Name to (dtype, shape, bytes): the tensors cover the body exactly, from 0, without a gap."""
    if len(data) < 10:
        raise Refused("no header")
    size = sum(byte << 8 * i for i, byte in enumerate(data[:8]))
    if not 2 <= size <= min(len(data) - 8, 2**24) or data[8:9] != b"{":
        raise Refused("no header")
    text = data[8 : 8 + size].rstrip(b" ")
    if not text.endswith(b"}"):
        raise Refused("padding is spaces")
    header = json_value(text)
    body = data[8 + size :]
    note = header.pop("__metadata__", {})
    if type(note) is not dict or any(type(v) is not str for v in note.values()):
        raise Refused("metadata")
    found, spans = {}, []
    for name, entry in header.items():
        dtype, shape, begin, end = _tensor(name, entry)
        spans.append((begin, end))
        raw = body[begin:end]
        if dtype == "BOOL" and any(byte > 1 for byte in raw):
            raise Refused("a truth value")
        found[name] = (dtype, shape, raw)
    at = 0
    for begin, end in sorted(spans):
        if begin != at:
            raise Refused("gap or overlap")
        at = end
    if at != len(body):
        raise Refused("other bytes than the tensors'")
    return found


def _tensor(name: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    if type(entry) is not dict or sorted(entry) != ["data_offsets", "dtype", "shape"]:
        raise Refused("fields")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if len(name) > 1000 or type(dtype) is not str or dtype not in _SIZES:
        raise Refused("name or dtype")
    for counts in (shape, offsets):
        if type(counts) is not list or any(type(c) is not int or c < 0 for c in counts):
            raise Refused("no counts")
    if len(shape) > 32 or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise Refused("shape or offsets")
    # No array has more than 2^63 - 1 bytes, not even one of which a size is 0.
    if prod(s for s in shape if s) * _SIZES[dtype] >= 2**63 or any(c >= 2**62 for c in shape):
        raise Refused("too large")
    if prod(shape) * _SIZES[dtype] != offsets[1] - offsets[0]:
        raise Refused("shape and offsets")
    return dtype, tuple(shape), offsets[0], offsets[1]


# --------------------------------------------------------------------------------------- gzip, IDX


def plain(data: bytes) -> bytes:
    """What a gzip file of one member holds (RFC 1952), or the bytes of any other file."""
    if data[:2] != b"\x1f\x8b":
        return data
    if len(data) < 18 or data[2] != 8 or data[3] & 0xE0:
        raise Refused("gzip header")
    flags, at = data[3], 10
    if flags & 4:
        at += 2 + int.from_bytes(data[at : at + 2], "little")
    for text in (8, 16):
        if flags & text:
            at = data.find(b"\0", at) + 1
            if not at:
                raise Refused("gzip header")
    if flags & 2:
        if zlib.crc32(data[:at]) & 0xFFFF != int.from_bytes(data[at : at + 2], "little"):
            raise Refused("gzip header")
        at += 2
    inflate = zlib.decompressobj(-15)
    try:
        body = inflate.decompress(data[at:]) if at <= len(data) else b""
    except zlib.error:
        raise Refused("deflate") from None
    tail = inflate.unused_data
    if not inflate.eof or len(tail) != 8:
        raise Refused("gzip trailer")
    if tail != (zlib.crc32(body) | (len(body) % 2**32) << 32).to_bytes(8, "little"):
        raise Refused("gzip trailer")
    return body


_IDX = {8: ("uint8", 1), 9: ("int8", 1), 11: ("int16", 2), 12: ("int32", 4), 13: ("float32", 4),
        14: ("float64", 8)}  # fmt: skip


def idx(data: bytes) -> tuple[str, tuple[int, ...], bytes]:
    """(dtype, shape, big-endian bytes) of an IDX file, plain or gzip."""
    data = plain(data)
    if len(data) < 8 or data[:2] != b"\0\0" or data[2] not in _IDX or not 1 <= data[3] <= 8:
        raise Refused("header")
    kind, width = _IDX[data[2]]
    start = 4 + 4 * data[3]
    sizes = tuple(int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4))
    values = data[start:]
    if len(data) < start or not prod(sizes) or prod(sizes) * width != len(values):
        raise Refused("sizes")
    return kind, sizes, values


def cifar(data: bytes) -> tuple[list[int], bytes]:
    """(labels, pixels) of a batch of CIFAR-10, plain or gzip."""
    data = plain(data)
    records = [data[i : i + 3073] for i in range(0, len(data), 3073)]
    if not records or len(records) > 100_000 or any(len(r) != 3073 or r[0] > 9 for r in records):
        raise Refused("records")
    return [r[0] for r in records], b"".join(r[1:] for r in records)


def text(data: bytes) -> str:
    """A text: UTF-8 with or without a mark, at least one character, no zero."""
    found = characters(data.removeprefix(b"\xef\xbb\xbf"))
    if not found or "\0" in found:
        raise Refused("no text")
    return found


# -------------------------------------------------------------------------------------------- CSV

_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?", re.ASCII)


def csv_records(letters: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The records of a CSV file (RFC 4180), with the line each begins at; empty lines left out.

    A quote counts at the beginning of a cell only. A carriage return outside of quotes is part of a
    line's end, and nothing but another one may stand between it and the line's end.
    """
    line, at = 1, 0
    while at < len(letters):
        begin, cells, blank = line, [], True
        while True:
            cell, at, passed, quoted = _csv_cell(letters, at, separator)
            line += passed
            if len(cell) > 131_072:
                raise Refused("a long cell")
            cells.append(cell)
            blank = blank and not cell and not quoted
            if letters[at : at + 1] != separator:
                break
            blank, at = False, at + 1
        while letters[at : at + 1] == "\r":
            at += 1
        if at < len(letters) and letters[at] != "\n":
            raise Refused("a line's end within a line")
        at, line = at + 1, line + 1
        if not blank:
            yield begin, cells


def _csv_cell(letters: str, at: int, separator: str) -> tuple[str, int, int, bool]:
    """(cell, where it ends, line ends in it, whether it is quoted)."""
    if letters[at : at + 1] != '"':
        end = at
        while end < len(letters) and letters[end] not in (separator, "\r", "\n"):
            end += 1
        return letters[at:end], end, 0, False
    out = []
    at += 1
    while True:
        end = letters.find('"', at)
        if end < 0:
            raise Refused("an open quote")
        out.append(letters[at:end])
        at = end + 1
        if letters[at : at + 1] != '"':
            break
        out.append('"')
        at += 1
    if letters[at : at + 1] not in ("", separator, "\r", "\n"):
        raise Refused("something after a quote")
    cell = "".join(out)
    return cell, at, cell.count("\n"), True


def _csv_text(data: bytes) -> str:
    letters = characters(data.removeprefix(b"\xef\xbb\xbf"))
    if "\0" in letters:
        raise Refused("a zero")
    return letters


def _separator(letters: str) -> str:
    """What the first line has most of outside of quotes; the comma where there is none."""
    counts, quoted = dict.fromkeys(",;\t", 0), False
    for letter in letters.partition("\n")[0]:
        if letter == '"':
            quoted = not quoted
        elif letter in counts and not quoted:
            counts[letter] += 1
    return max(counts, key=lambda s: (counts[s], -",;\t".index(s)))


def table(data: bytes) -> dict[str, Any]:
    """A table: cells and numbers by column, and the line each row begins at."""
    letters = _csv_text(data)
    rows = list(csv_records(letters, _separator(letters)))
    if len(rows) < 2:
        raise Refused("no rows")
    heading = [name.strip() for name in rows[0][1]]
    if len(heading) > 10_000 or len(set(heading)) != len(heading):
        raise Refused("heading")
    if any(not 1 <= len(name) <= 1000 for name in heading):
        raise Refused("heading")
    if all(_DECIMAL.fullmatch(name) for name in heading):
        raise Refused("heading")
    if any(len(cells) != len(heading) for _, cells in rows):
        raise Refused("a ragged row")
    columns = {}
    for i, name in enumerate(heading):
        cells = [row[i].strip() for _, row in rows[1:]]
        columns[name] = (cells, _numbers(cells))
    return {"lines": [line for line, _ in rows[1:]], "columns": columns}


def _numbers(cells: list[str]) -> list[str] | None:
    """The numbers, in hexadecimal; None where a cell is none."""
    out = []
    for cell in cells:
        if cell and not _DECIMAL.fullmatch(cell):
            return None
        value = float(cell or "nan")
        if isinf(value):
            return None
        out.append(value.hex())
    return out


def rows(data: bytes, features: tuple[str, ...]) -> list[list[str]]:
    """The rows a model takes, in the order of its columns, numbers in hexadecimal."""
    letters = _csv_text(data)
    found = [r for _, r in csv_records(letters, _separator(letters)) if any(c.strip() for c in r)]
    if not found:
        raise Refused("no rows")
    first, chosen, width = [c.strip() for c in found[0]], list(range(len(features))), len(features)
    numbers = sum(1 for c in found[0] if _python_number(c))
    if 2 * numbers < len(first) and not all(_DECIMAL.fullmatch(c) for c in first):
        found, width = found[1:], len(first)
        named = [c for c in first if c]
        if len(set(named)) != len(named):
            raise Refused("a name twice")
        if set(features) <= set(first):
            chosen = [first.index(name) for name in features]
        elif len(first) != len(features):
            raise Refused("other columns")
    if not found or any(len(r) != width for r in found):
        raise Refused("a ragged row")
    out = [[r[i].strip() for i in chosen] for r in found]
    if any(not _DECIMAL.fullmatch(c) or isinf(float(c)) for r in out for c in r):
        raise Refused("no number")
    return [[float(c).hex() for c in r] for r in out]


def _python_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


_IN_HISTORY = re.compile(r"(-?[0-9]{1,40}(\.[0-9]{1,40})?(e[+-]?[0-9]{1,4})?|-?inf|nan)", re.ASCII)


def history(data: bytes) -> dict[str, list[str]]:
    """The columns of a run's history.csv but for epoch and seconds, numbers in hexadecimal."""
    letters = characters(data)
    if any(len(line) >= 100_000 for line in letters.split("\n")):
        raise Refused("a long line")
    found = list(_every_record(letters))
    if not found or found[0][:1] != ["epoch"] or len(set(found[0])) != len(found[0]):
        raise Refused("heading")
    head = found[0]
    if len(head) > 1000 or any(not 1 <= len(n) <= 70 or not n.isprintable() for n in head):
        raise Refused("heading")
    for number, cells in enumerate(found[1:], 1):
        if len(cells) != len(head) or cells[0] != str(number):
            raise Refused("a ragged row, or another epoch")
        if not all(_IN_HISTORY.fullmatch(cell) for cell in cells):
            raise Refused("no number")
    columns = {name: [float(r[i]).hex() for r in found[1:]] for i, name in enumerate(head)}
    return {n: v for n, v in columns.items() if n not in ("epoch", "seconds")}


def _every_record(letters: str) -> Iterator[list[str]]:
    """Records with the empty lines, which are none of a history."""
    last = 0
    for line, cells in csv_records(letters, ","):
        if line != last + 1:
            raise Refused("an empty line")
        last = line + sum(c.count("\n") for c in cells)
        yield cells
    ends = letters.count("\n") + (not letters.endswith("\n")) if letters else 0
    if last != ends:
        raise Refused("an empty line")
