"""TOML: plain settings written, and files of settings read with care."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glassgrad.errors import ConfigError, FormatError, GlassgradError, shown

MOST_BYTES = 2**20


def read_toml(file: Path) -> dict[str, Any]:
    """The tables of a TOML file of at most 1 MB.

    Raises ConfigError where it cannot be read, FormatError, with line and column, where it is no TOML.
    """
    where = shown(str(file), 200)[1:-1]
    try:
        size = file.stat().st_size
        if size > MOST_BYTES:
            raise FormatError(
                "the settings are too large",
                where=where,
                expected=f"at most {MOST_BYTES:,} bytes",
                received=f"{size:,}",
            )
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(
            "the settings cannot be read",
            where=where,
            expected="a TOML file",
            received=error.strerror or str(error),
        ) from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, GlassgradError):
            raise
        raise FormatError(
            "the settings are not TOML",
            where=where,
            expected='tables such as [train], and in them lines such as epochs = 30 and optimizer = "adam"',
            received=shown(str(error), 200)[1:-1],
        ) from None


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
    """A basic string: quotes, backslashes, control characters and half characters escaped."""
    out = []
    for c in value:
        code = ord(c)
        if c in '"\\':
            out.append("\\" + c)
        elif code < 0x20 or 0x7F <= code < 0xA0 or code in (0x2028, 0x2029):
            out.append(f"\\u{code:04x}")
        elif 0xD800 <= code < 0xE000:
            out.append("\\ufffd")  # TOML has no half characters
        else:
            out.append(c)
    return f'"{"".join(out)}"'
