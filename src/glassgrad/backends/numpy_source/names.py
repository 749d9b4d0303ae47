"""Identifiers: every name in a program comes from here, whatever a user called things."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable

RESERVED = frozenset(
    {*keyword.kwlist, *keyword.softkwlist, *dir(builtins)}
    | {"np", "math", "hashlib", "gzip", "os", "sys", "sliding_window_view", "t", "i", "j", "self"}
)


def plain(raw: str) -> str:
    """Raw text as `[a-z][a-z0-9_]*`: letters, digits and single underscores are all that is left.

    >>> plain("block.2 Hidden-Layer"), plain("layer; import os"), plain("")
    ('block_2_hidden_layer', 'layer_import_os', 'value')
    """
    kept = re.sub(r"[^a-z0-9]+", "_", raw.lower()).strip("_")[:60].strip("_")
    if not kept:
        return "value"
    return kept if kept[0].isalpha() else f"v{kept}"


class Names:
    """Hands out identifiers, each once."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self.taken: set[str] = {*RESERVED, *reserved}

    def take(self, *wishes: str) -> str:
        """The first wish that is free, or the last one with a number."""
        for wish in wishes:
            name = plain(wish)
            if name not in self.taken:
                self.taken.add(name)
                return name
        base = plain(wishes[-1])
        # h1_2 reads better than h12 where a name ends in a digit already
        joint = "_" if base[-1].isdigit() else ""
        number = 2
        while f"{base}{joint}{number}" in self.taken:
            number += 1
        name = f"{base}{joint}{number}"
        self.taken.add(name)
        return name
