"""What a model's numbers mean: classes, columns, and what happens to a row before it goes in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from glassgrad.data.preparation import TablePreparation
from glassgrad.errors import ConfigError, DataError, ShapeError, real_number, shown

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
            fine = isinstance(values, tuple) and 1 <= len(values) <= _MOST
            fine = fine and all(real_number(v) is not None for v in values)
            if not fine or (name == "scale" and any(v <= 0 for v in values)):
                raise ConfigError(
                    f"the {name} of a preparation",
                    expected="a tuple of finite numbers" + (" above 0" if name == "scale" else ""),
                    received=shown(values),
                )
        if len(self.shift) != len(self.scale):
            raise ConfigError(
                "shift and scale of a preparation differ in length",
                received=f"{len(self.shift)} and {len(self.scale)}",
            )

    def __call__(self, rows: Any, dtype: str = "float32") -> NDArray[Any]:
        """Raw rows, prepared.

        Raises DataError where they are no numbers, ShapeError where the columns are not as many.
        """
        try:
            table = np.asarray(rows, np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(
                "these rows are not a table of numbers",
                expected="(rows, columns)",
                received=shown(rows),
            ) from error
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
            isinstance(v, list | tuple) and all(real_number(n) is not None for n in v)
            for v in plain.values()
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
    units: tuple[str, ...] = ()  # of the features, "" for those that have none
    unit: str = ""  # of what is predicted

    def __post_init__(self) -> None:
        for name in ("classes", "features", "units"):
            value = getattr(self, name)
            if not isinstance(value, tuple) or not all(isinstance(v, str) for v in value):
                raise ConfigError(f"{name} of labels", expected="texts", received=shown(value))
        for name in ("task", "loss", "dataset", "unit"):
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
        made = how.features if isinstance(how, TablePreparation) else ()
        if made and self.features not in ((), made):
            raise ConfigError(
                "features of labels are not those that the preparation makes",
                expected=f"none, or {shown(made)}",
                received=shown(self.features),
            )
        if self.units and len(self.units) != len(made or self.features):
            raise ConfigError(
                "there is one unit for each feature",
                where="units of labels",
                expected=f"{len(made or self.features)}, empty texts for those without",
                received=shown(self.units),
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

    @classmethod
    def from_plain(cls, plain: Any) -> Self:
        """Labels from plain data, their parts by name. Raises ConfigError for anything else."""
        names = [field.name for field in fields(cls)]
        if not isinstance(plain, dict) or not set(plain) <= set(names):
            raise ConfigError(
                "these are not labels", expected="only " + ", ".join(names), received=shown(plain)
            )
        given = dict(plain)
        for name in ("classes", "features", "units"):
            if isinstance(given.get(name), list | tuple):
                given[name] = tuple(given[name])
        how = given.get("preparation")
        if isinstance(how, dict):
            given["preparation"] = preparation_from(how)
        return cls(**given)

    def but(self, **changes: Any) -> Self:
        """The same labels with some parts changed."""
        return replace(self, **changes)


def preparation_from(plain: Any) -> Preparation | TablePreparation | None:
    """A preparation from plain data, None from None. Raises ConfigError for anything else."""
    if plain is None:
        return None
    if not isinstance(plain, dict):
        raise ConfigError("preparation of labels", expected="its parts", received=shown(plain))
    return (TablePreparation if "columns" in plain else Preparation).from_plain(plain)
