"""What a run is a run of: model, settings and data, so that no other goes on in its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.engine import is_small, matrix_products
from glassgrad.errors import ResumeError, shown, told
from glassgrad.files import fingerprint
from glassgrad.ir import print_graph

from .settings import settings_of

if TYPE_CHECKING:
    from .trainer import Record

_MAY_CHANGE = ("epochs", "recompute")  # how long; and what gives the same bits either way
_MOST_LINES = 12


def identity_of(record: Record, full_hash: bool = False) -> dict[str, Any]:
    """Fingerprints of a run: settings, model, the formulas of its step, data; plain data.

    And what its last digits depend on, which may be another where it goes on: see
    `other_arithmetic`.

    Rows that lie in a mapped file are known by its size, time and a part of its bytes; by all
    of them with `full_hash`, as arrays in memory always are.
    """
    settings = settings_of(record)
    held = record.task.state()
    graphs = [record.plan.graph, *([record.plan.apply.graph] if record.plan.apply else [])]
    lines = [line for graph in graphs for line in print_graph(graph).split("\n")]
    # What is only looked at before the update changes no bit, and guards may be switched.
    text = "\n".join(line for line in lines if not line.startswith("guard "))
    return {
        "settings": {k: v for k, v in settings.items() if k not in _MAY_CHANGE},
        "model": {
            "kind": type(record.task.model).__name__,
            "arrays": {
                name: f"{p.array_type.dtype} {tuple(p.array_type.shape)}, "
                + ("trained" if p.requires_grad else "not trained")
                for name, p in held.items()
            },
        },
        "step": sha256(text.encode()).hexdigest(),
        "data": {name: of_rows(array, full_hash) for name, array in record.stored.items()},
        "arithmetic": _arithmetic(record),
    }


def _arithmetic(record: Record) -> str:
    """What the last digits depend on beside the run; nothing for native, the same everywhere."""
    step = record.plan.step
    if step.engine != "numpy":
        return ""
    kernel, threads = matrix_products()
    if threads and is_small(step, record.batch_rows):
        threads = 1
    products = f", products for {kernel} on {threads} threads" if kernel and threads else ""
    return f"NumPy {np.__version__}{products}"


def other_arithmetic(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """A note where a run goes on with other last digits than it was begun with, or nothing."""
    was, found = before.get("arithmetic"), now["arithmetic"]
    if not isinstance(was, str) or was == found:
        return ""
    return (
        f"the run was begun with {told(was, 100)} and goes on with {found}: its last digits may be "
        "others than those of a run that was never stopped"
    )


def of_rows(array: NDArray[Any], full: bool = False) -> Any:
    """The fingerprint of rows: of their bytes, or of the file they are mapped from."""
    base: Any = array
    while base is not None and not isinstance(base, np.memmap):
        base = getattr(base, "base", None)
    file = getattr(base, "filename", None)
    if base is None or full or file is None:
        return fingerprint.of_array(array)
    start = array.ctypes.data - base.ctypes.data + base.offset
    kind = f"{array.dtype} {array.shape}, from byte {start} by {array.strides}"
    return {"rows": kind, **fingerprint.of_file(file)}


def check_same(before: Mapping[str, Any], now: Mapping[str, Any], where: str) -> None:
    """Raises ResumeError, field by field, unless a run may go on as another one."""
    found = [
        line
        for part in ("settings", "model", "data")
        for line in differences(before.get(part), now[part], part)
    ]
    if not found and before.get("step") != now["step"]:
        found = ["model: the formulas of the step are others, with the same arrays and settings"]
    if found:
        more = len(found) - _MOST_LINES
        lines = found[:_MOST_LINES] + ([f"and {more} more"] if more > 0 else [])
        raise ResumeError(
            "this is not the run that was begun here",
            where=where,
            expected="the same model, data and settings; only epochs may be raised",
            received="\n            ".join(lines),
            hint="as before, or another folder to start over",
        )


def differences(before: Any, now: Any, name: str) -> Iterator[str]:
    """A line for each field that differs: its path, what it was, what it is."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            yield from differences(before.get(key, _NONE), now.get(key, _NONE), f"{name}.{key}")
    elif type(before) is not type(now) or before != now:
        yield f"{shown(name, 120)[1:-1]}: was {_told(before)}, is {_told(now)}"


class _Missing:
    def __repr__(self) -> str:
        return "not there"


_NONE = _Missing()


def _told(value: Any) -> str:
    return "not there" if value is _NONE else shown(value, 80)
