"""What a model's numbers mean: classes, columns, and what happens to a row before it goes in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from glassgrad.data.preparation import TablePreparation
from glassgrad.errors import ConfigError, ShapeError, shown

# "text": a character model, whose classes are its characters
TASKS = ("", "classification", "binary", "regression", "text")
_MOST = 100_000


@dataclass(frozen=True, slots=True)
class Preparation:
    """Each column of a raw row is moved and scaled: (x - shift) / scale.

    One number for all columns, or one for each.

    >>> Preparation((0.0,), (16.0,))([[0, 8, 16]])
    array([[0. , 0.5, 1. ]], dtype=float32)
    """

    shift: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        for name, values in (("shift", self.shift), ("scale", self.scale)):
            fine = 1 <= len(values) <= _MOST and all(_number(v) for v in values)
            if not fine or (name == "scale" and any(v <= 0 for v in values)):
                raise ConfigError(
                    f"the {name} of a preparation",
                    expected="finite numbers" + (" above 0" if name == "scale" else ""),
                    received=shown(values),
                )
        if len(self.shift) != len(self.scale):
            raise ConfigError(
                "shift and scale of a preparation differ in length",
                received=f"{len(self.shift)} and {len(self.scale)}",
            )

    def __call__(self, rows: Any, dtype: str = "float32") -> NDArray[Any]:
        """Raw rows, prepared. Raises ShapeError where the columns are not as many."""
        table = np.asarray(rows, np.float64)
        if len(self.shift) > 1 and table.shape[1:] != (len(self.shift),):
            raise ShapeError(
                "these rows cannot be prepared as the training rows were",
                expected=f"{len(self.shift)} columns",
                received=str(table.shape),
            )
        return ((table - self.shift) / self.scale).astype(dtype)

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {"shift": list(self.shift), "scale": list(self.scale)}

    @classmethod
    def from_plain(cls, plain: Any) -> Self:
        """The inverse of `plain`. Raises ConfigError for anything else."""
        if set(plain) != {"shift", "scale"} or not all(
            isinstance(v, list | tuple) and all(_number(n) for n in v) for v in plain.values()
        ):
            raise ConfigError(
                "preparation of labels",
                expected="lists of numbers, shift and scale; or the columns of a table",
                received=shown(plain),
            )
        return cls(
            tuple([float(v) for v in plain["shift"]]), tuple([float(v) for v in plain["scale"]])
        )


@dataclass(frozen=True, slots=True)
class Labels:
    """What a model's numbers mean; every part is optional.

    >>> Labels(classes=("male", "female"), task="binary").classes
    ('male', 'female')
    """

    classes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    task: str = ""
    loss: str = ""
    dataset: str = ""
    preparation: Preparation | TablePreparation | None = None

    def __post_init__(self) -> None:
        for name in ("classes", "features"):
            value = getattr(self, name)
            if not isinstance(value, tuple) or not all(isinstance(v, str) for v in value):
                raise ConfigError(f"{name} of labels", expected="texts", received=shown(value))
        for name in ("task", "loss", "dataset"):
            if not isinstance(getattr(self, name), str):
                raise ConfigError(
                    f"{name} of labels", expected="a text", received=shown(getattr(self, name))
                )
        if self.task not in TASKS:
            raise ConfigError(
                "task of labels", expected=", ".join(TASKS[1:]), received=shown(self.task)
            )
        how = self.preparation
        if how is not None and not isinstance(how, Preparation | TablePreparation):
            raise ConfigError(
                "preparation of labels",
                expected="a Preparation or a TablePreparation",
                received=shown(how),
            )

    @classmethod
    def of(cls, given: Any) -> Self:
        """Labels from labels, from a data set, or from a mapping of their parts."""
        if given is None:
            return cls()
        if isinstance(given, cls):
            return given
        if isinstance(given, Mapping):
            return cls.from_plain(dict(given))
        if hasattr(given, "feature_names") and hasattr(given, "classes"):
            return cls(tuple(given.classes), tuple(given.feature_names), given.task, "", given.name)
        raise ConfigError(
            "these are not labels",
            expected="a Labels, a data set, or a mapping such as {'classes': ('no', 'yes')}",
            received=shown(given),
        )

    def plain(self) -> dict[str, Any]:
        """The parts that are there, as plain data."""
        found: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Preparation | TablePreparation):
                value = value.plain()
            if value:
                found[field.name] = list(value) if isinstance(value, tuple) else value
        return found

    @classmethod
    def from_plain(cls, plain: Any) -> Self:
        """The inverse of `plain`. Raises ConfigError for anything else."""
        names = [field.name for field in fields(cls)]
        if not isinstance(plain, dict) or not set(plain) <= set(names):
            raise ConfigError(
                "these are not labels", expected="only " + ", ".join(names), received=shown(plain)
            )
        given = dict(plain)
        for name in ("classes", "features"):
            if isinstance(given.get(name), list | tuple):
                given[name] = tuple(given[name])
        how = given.get("preparation")
        if isinstance(how, dict):
            kind = TablePreparation if "columns" in how else Preparation
            given["preparation"] = kind.from_plain(how)
        return cls(**given)

    def but(self, **changes: Any) -> Self:
        """The same labels with some parts changed."""
        return replace(self, **changes)


def _number(value: Any) -> bool:
    fine = isinstance(value, int | float) and not isinstance(value, bool)
    return fine and math.isfinite(value)
