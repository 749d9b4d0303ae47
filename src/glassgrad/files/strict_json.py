"""JSON in one form only: written here, read only if it is exactly what would be written."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any, NoReturn

from glassgrad.errors import ConfigError, FormatError, shown, told

MOST_DEPTH = 16
MOST_BYTES = 16 * 2**20
MOST_VALUES = 250_000  # three bytes of an empty list are eighty in memory
# Signs outside texts: a text, even one that does not end, is passed over as a whole.
_SIGNS = re.compile(rb'[][{},]|"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


def write_json(value: Any) -> bytes:
    """A value as JSON bytes, keys in their order."""
    return json.dumps(value, indent=1, allow_nan=False).encode("ascii")


def written(value: Any, what: str) -> bytes:
    """As `write_json`. Raises ConfigError for a value that `read_json` would refuse."""
    try:
        data = write_json(value)
        read_json(data, what)
    except (FormatError, ValueError, TypeError, RecursionError) as error:
        received = error.received or error.what if isinstance(error, FormatError) else str(error)
        raise ConfigError(
            "this cannot be kept in a file",
            where=what,
            expected=f"finite numbers, whole characters, at most {MOST_DEPTH} levels",
            received=told(received),
        ) from None
    return data


def read_json(data: bytes, what: str, limit: int = MOST_BYTES, *, canonical: bool = True) -> Any:
    """A value from JSON bytes.

    Raises FormatError for duplicate keys, NaN and infinity, depth beyond 16, more than 250,000
    values, text that is not UTF-8 or has half a character, and, where `canonical`, anything
    `write_json` would write otherwise.
    """
    if len(data) > limit:
        raise FormatError(
            "a part of the file is too large",
            where=what,
            expected=f"at most {limit:,} bytes",
            received=f"{len(data):,}",
        )
    _check_size(data, what)
    try:
        text = data.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite
        )
        if canonical and write_json(value) != data:
            raise ValueError("it is written in another way than we write it")
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError, OverflowError) as error:
        raise FormatError(
            "a part of the file is not JSON as we write it",
            where=what,
            expected="unique keys, finite numbers, whole characters",
            received=f"{_reason(error)}, in {shown(data[:40])}",
        ) from None
    return value


def _reason(error: Exception) -> str:
    return told(error)


def _check_size(data: bytes, what: str) -> None:
    """Raises FormatError for too many levels or values, before any of them takes memory."""
    depth = values = 0
    for found in _SIGNS.finditer(data):
        sign = found[0]
        if sign in b"]}":
            depth -= 1
        elif sign in b"[{,":
            values += 1
            depth += sign != b","
            if depth > MOST_DEPTH or values > MOST_VALUES:
                deep = depth > MOST_DEPTH
                most = f"{MOST_DEPTH} levels" if deep else f"{MOST_VALUES:,}"
                raise FormatError(
                    "JSON is nested too deeply" if deep else "JSON has too many values",
                    where=what,
                    expected=f"at most {most}",
                    received=f"more, up to byte {found.start():,}",
                )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter([key for key, _ in pairs]).most_common(1)[0][0]
        raise ValueError(f"the key {shown(twice)} is there twice")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not finite")
    return value
