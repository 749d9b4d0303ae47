"""Plain data as JSON beside arrays by name, and back: nothing else goes into a checkpoint.

What JSON has no word for is an object of one key: `{"array": name}`, `{"float": "inf"}`; a dict is
`{"dict": {...}}`, so that the two cannot be taken for each other. Tuples become lists.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.errors import FormatError, UsageError, shown

Arrays = dict[str, NDArray[Any]]
_LONGEST = 500  # of a name that is a path


def pack(value: Any, arrays: Arrays, path: str = "") -> Any:
    """A value as JSON can hold it; its arrays go into `arrays`, as they are.

    Raises UsageError for anything that is no plain data.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, list | tuple):
        return [pack(v, arrays, f"{path}/{i}") for i, v in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(k, str) for k in value):
        inner = {k: pack(v, arrays, f"{path}/{k}" if path else k) for k, v in value.items()}
        return {"dict": inner}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        name = path if len(path) <= _LONGEST and path not in arrays else f"array/{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    raise UsageError(
        "this is not plain data, and cannot be kept",
        where=path,
        expected="None, truth values, numbers, texts, arrays, lists, and dicts by name",
        received=shown(value),
    )


def unpack(value: Any, arrays: Mapping[str, NDArray[Any]], what: str) -> Any:
    """The value that `pack` was given. Raises FormatError for what it never gives."""
    if isinstance(value, list):
        return [unpack(v, arrays, what) for v in value]
    if not isinstance(value, dict):
        return value
    kind, inner = next(iter(value.items())) if len(value) == 1 else ("", None)
    if kind == "dict" and isinstance(inner, dict):
        return {k: unpack(v, arrays, what) for k, v in inner.items()}
    if kind == "array" and isinstance(inner, str) and inner in arrays:
        return arrays[inner]
    if kind == "float" and inner in ("inf", "-inf", "nan"):
        return float(inner)
    raise FormatError(
        "this is not a value as we write it",
        where=what,
        expected='{"dict": ...}, {"array": name} or {"float": "inf"}',
        received=shown(value),
    )
