"""What a run was asked to do, as plain data: texts, numbers, truth values, None, lists and dicts.

A model file keeps it in `training.json`, and a run that goes on compares it field by field with
what it was begun with. Functions and objects of the user are known by their names alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from glassgrad.errors import shown
from glassgrad.nn.losses import Loss
from glassgrad.optim import Group, Optimizer, Schedule
from glassgrad.tensors.tensor import Tensor

if TYPE_CHECKING:
    from .task import Head
    from .trainer import Record

_MOST_VALUES = 64  # of an array that is written out; of a larger one its hash stands
_PACKAGE = f"{__name__.split('.', maxsplit=1)[0]}."


def settings_of(record: Record) -> dict[str, Any]:
    """Every setting of a run, whoever chose it, as plain data that JSON can hold.

    Equal settings give equal values; the numbers of the data and of the model are not settings.
    """
    optimizer, task = record.optimizer, record.task
    penalised = {n: p.regularizer for n, p in task.state().items() if p.regularizer is not None}
    return {
        "losses": [_head(head) for head in task.heads],
        **({"penalties": plain(penalised)} if penalised else {}),
        **_by_class(record),
        "metrics": [name for name, _ in record.plan.metrics],
        "optimizer": plain(optimizer),
        "schedule": plain(optimizer.schedule),
        "epochs": record.epochs,
        "batch_size": plain(record.batch_size),
        "shuffle": record.shuffle,
        "seed": record.seed,
        "dtype": record.plan.dtype,
        "backend": record.backend,
        "recompute": record.recompute,
        "weighted": task.weighted,
        "augment": plain(record.augment),
        "rows": None if record.stream is not None else record.rows,
        "steps_per_epoch": None if record.stream is None else plain(record.stream.steps),
        "validation_rows": len(next(iter(record.validation.values()), ())),
    }


def _by_class(record: Record) -> dict[str, Any]:
    """The weight of each class, where rows have weights and these are all there is to them."""
    return {} if record.class_weight is None else {"class_weight": plain(record.class_weight)}


def _head(head: Head) -> dict[str, Any]:
    """What one output is to learn."""
    return {
        "output": head.output,
        "name": head.loss_name,
        "loss": plain(head.loss),
        "weight": head.weight,
    }


def plain(value: Any, deep: int = 6) -> Any:
    """A setting as plain data. An object of ours is its kind and its settings, by name.

    What is nested deeper than so many levels is one text, its repr.

    >>> from glassgrad import optim
    >>> plain(optim.Step(0.1, every=30))
    {'kind': 'Step', 'base': 0.1, 'per': 'step', 'every': 30, 'gamma': 0.1}
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, np.ndarray | Tensor):
        return _array(value.numpy() if isinstance(value, Tensor) else value)
    if deep == 0:
        return shown(value, 1000)
    if isinstance(value, tuple | list):
        return [plain(item, deep - 1) for item in value]
    if isinstance(value, Mapping):
        return {str(k): plain(v, deep - 1) for k, v in value.items()}
    return _object(value, deep)


def _array(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"dtype": array.dtype.name, "shape": list(array.shape)}
    if array.dtype.kind in "biuf" and array.size <= _MOST_VALUES:
        return found | {"values": plain(array.ravel().tolist())}
    return found | {"sha256": sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}


def _object(value: Any, deep: int) -> dict[str, Any]:
    kind = type(value)
    if isinstance(value, Loss):
        return {"kind": value.record.made, **plain(value.settings, deep)}
    if isinstance(value, Group):
        whole = isinstance(value.pattern, str)
        names = value.pattern if whole else [getattr(p, "name", "") for p in value.pattern]
        return {"parameters": names, **plain(value.overrides, deep)}
    if isinstance(value, Optimizer):
        # The schedule is a setting of the run; names of states follow from the others.
        apart = ("schedule", "state_names", "scalar_state_names")
        own = {k: v for k, v in _own(value).items() if k not in apart}
        return {"kind": _kind(kind), "lr": plain(value.lr), **plain(own, deep)}
    if isinstance(value, Schedule) or kind.__module__.startswith(_PACKAGE):
        named = not hasattr(value, "__qualname__")  # functions have one
        return (
            {"kind": _kind(kind), **plain(_own(value), deep)} if named else {"kind": _name(value)}
        )
    return {"kind": _name(value if hasattr(value, "__qualname__") else kind)}


def _own(value: Any) -> dict[str, Any]:
    """What an object of ours was made with: what it holds under a public name."""
    held = vars(value) if hasattr(value, "__dict__") else {}
    return {k: v for k, v in held.items() if not k.startswith("_")}


def _kind(kind: type) -> str:
    return kind.__name__ if kind.__module__.startswith(_PACKAGE) else _name(kind)


def _name(value: Any) -> str:
    """What a function or class is called, and where it stands."""
    module = getattr(value, "__module__", None) or ""
    name = getattr(value, "__qualname__", None) or type(value).__qualname__
    return f"{module}.{name}" if module else str(name)
