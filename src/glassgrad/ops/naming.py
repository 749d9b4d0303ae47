"""Names that values carry into programs."""

from __future__ import annotations

from typing import Any

from glassgrad.ir import Value


def named(array: Any, name: str) -> Any:
    """Give a traced value the name it has in a textbook; anything else is left alone."""
    value = getattr(array, "value", None)
    if isinstance(value, Value) and not value.node.origin.name:
        value.node.origin.name = name
        value.node.origin.inner = True
    return array
