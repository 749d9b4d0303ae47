"""TOML: plain settings written, and files of settings read with care."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glassgrad.errors import ConfigError, FormatError, shown, told

from .small import read_small

MOST_BYTES = 2**20


# A number with a fraction, whose point parts no key.
_FRACTION = re.compile(r"(?<![\w.+-])[+-]?[0-9]+\.[0-9]+(?![\w.])", re.ASCII)
# Points in one line, whose square is the standard library's time and memory; points in the file, and
# lines that may open a table: each may be a dict of its own.
_MOST_POINTS = 500
_MOST_TABLES = 20_000
_MOST_DEPTH = 32
_MOST_BITS = 256


def read_toml(file: Path) -> dict[str, Any]:
    """The tables of a TOML file of at most 1 MB.

    Raises ConfigError where it cannot be read; FormatError, with line and column, where it is no
    TOML, and for what no settings have: whole numbers of more than 256 bits, more than 32 levels.
    """
    where = told(file)
    data = read_small(file, MOST_BYTES, "the settings", "a TOML file")
    try:
        text = data.decode("utf-8-sig")
        _check_effort(text)
        found = tomllib.loads(text)
        _check_sane(found)
    except (ValueError, RecursionError) as error:
        raise FormatError(
            "the settings are not TOML",
            where=where,
            expected='tables such as [train], and in them lines such as epochs = 30 and optimizer = "adam"',
            received=told(error),
        ) from None
    return found


def _check_effort(text: str) -> None:
    """Raises ValueError for what would take the parser much time or memory."""
    points = tables = 0
    for number, line in enumerate(_FRACTION.sub("", text).split("\n"), 1):
        here = line.count(".")
        points += here
        tables += line.lstrip(" \t").startswith("[")
        if here > _MOST_POINTS:
            raise ValueError(f"more than {_MOST_POINTS} points (at line {number})")
        if points > _MOST_TABLES or tables > _MOST_TABLES:
            raise ValueError(f"more than {_MOST_TABLES:,} points or tables (at line {number})")


def _check_sane(value: Any, depth: int = 0) -> None:
    """Raises ValueError for nesting and numbers that would be trouble to print."""
    if depth > _MOST_DEPTH:
        raise ValueError(f"more than {_MOST_DEPTH} levels")
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise ValueError(f"a whole number of more than {_MOST_BITS} bits")
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_sane(inner, depth + 1)


_BARE = re.compile(r"[A-Za-z0-9_-]+")


def write_toml(table: Mapping[str, Any]) -> str:
    """Plain settings as TOML: texts, numbers, truth values, lists of them; tables last.

    >>> print(write_toml({"seed": 0, "layers": ["64-relu"], "training": {"lr": 0.1}}), end="")
    seed = 0
    layers = ["64-relu"]
    <BLANKLINE>
    [training]
    lr = 0.1
    """
    lines = [f"{_key(k)} = {_value(v)}" for k, v in table.items() if not isinstance(v, Mapping)]
    for name, inner in table.items():
        if isinstance(inner, Mapping):
            lines += ["", f"[{_key(name)}]"]
            lines += [f"{_key(k)} = {_value(v)}" for k, v in inner.items()]
    return "\n".join(lines).lstrip("\n") + "\n"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return {math.inf: "inf", -math.inf: "-inf"}.get(value, repr(float(value)))
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    raise ConfigError(
        "a setting that TOML cannot hold here",
        expected="texts, numbers, truth values and lists of them",
        received=shown(value),
    )


def _text(value: str) -> str:
    """A basic string: quotes, backslashes, half characters and all that is not visible escaped."""
    out = []
    for c in value:
        code = ord(c)
        if c in '"\\':
            out.append("\\" + c)
        elif 0xD800 <= code < 0xE000:
            out.append("\\ufffd")  # TOML has no half characters
        elif not c.isprintable():
            out.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
        else:
            out.append(c)
    return f'"{"".join(out)}"'
