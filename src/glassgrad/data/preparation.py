"""From a table's columns to a network's inputs: learnt on training rows, kept as plain data.

A number is filled, marked and standardised; a class becomes a column of its own. What was learnt is
a `TablePreparation`: it travels in a model's file, so that raw rows of another day are treated as
the training rows were.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from glassgrad.data.table import Table, listed
from glassgrad.errors import ConfigError, DataError, did_you_mean, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Categorical", "Numeric", "Prepared", "TablePreparation", "Target"]

MOST_CLASSES = 50
"""Categories of a column that get an input of their own; rarer ones share one, "other"."""
MOST_DISTINCT = 1000
"""A column of more different texts is no column of classes."""
_LONGEST_CLASS = 1000
_MOST_TEXT = 500_000  # characters of all classes together: a model's labels stay small
_MOST_COLUMNS = 10_000


@dataclass(frozen=True, slots=True)
class Numeric:
    """A column of numbers: an empty cell takes the median; then (x - mean) / deviation.

    `indicator` says that training rows had empty cells: then a second input is 1 where a cell is
    empty and 0 elsewhere.
    """

    name: str
    median: float = 0.0
    mean: float = 0.0
    deviation: float = 1.0
    indicator: bool = False

    def __post_init__(self) -> None:
        _check_text("name of a column", self.name)
        for what in ("median", "mean", "deviation"):
            _check_number(f"{what} of column {shown(self.name)}", getattr(self, what))
        if self.deviation <= 0 or not isinstance(self.indicator, bool):
            raise ConfigError(
                f"column {shown(self.name)} of a preparation",
                expected="a deviation above 0, a truth value for the indicator",
                received=f"{self.deviation!r}, {self.indicator!r}",
            )

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs it becomes."""
        return (self.name, f"{self.name} is empty") if self.indicator else (self.name,)

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "name": self.name,
            "kind": "numeric",
            "median": self.median,
            "mean": self.mean,
            "deviation": self.deviation,
            "indicator": self.indicator,
        }

    def __str__(self) -> str:
        marked = ", empty cells marked" if self.indicator else ""
        return f"median {self.median:.6g}, mean {self.mean:.6g}, deviation {self.deviation:.6g}{marked}"


@dataclass(frozen=True, slots=True)
class Categorical:
    """A column of classes: an input for each, 1 where a cell is that class (an empty one may be).

    `rare` are training classes without an input of their own: they share a last one, "other".
    """

    name: str
    classes: tuple[str, ...]
    rare: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_text("name of a column", self.name)
        for part in (self.classes, self.rare):
            if not isinstance(part, tuple):
                raise ConfigError("classes of a column", expected="texts", received=shown(part))
            for text in part:
                _check_text(f"a class of column {shown(self.name)}", text, least=0)
        every = [*self.classes, *self.rare]
        if not self.classes or len(set(every)) != len(every):
            raise ConfigError(
                f"the classes of column {shown(self.name)}",
                expected="at least one, each once",
                received=shown(every),
            )

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs it becomes."""
        found = tuple([f"{self.name} = {c or 'empty'}" for c in self.classes])
        return (*found, f"{self.name} = other") if self.rare else found

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "name": self.name,
            "kind": "categorical",
            "classes": list(self.classes),
            "rare": list(self.rare),
        }

    def __str__(self) -> str:
        count = f"{len(self.classes)} class" + "es" * (len(self.classes) != 1)
        other = f" and {len(self.rare)} rarer ones as other" if self.rare else ""
        return f"{count}{other}: {listed([c or 'empty' for c in self.classes], 8)}"


@dataclass(frozen=True, slots=True)
class Target:
    """The column that is learnt: its name and, for measurements, what makes them standard.

    A network's output times `deviation`, plus `mean`, is in the column's own units.
    """

    name: str
    mean: float = 0.0
    deviation: float = 1.0

    def __post_init__(self) -> None:
        _check_text("name of a target", self.name)
        _check_number("mean of a target", self.mean)
        _check_number("deviation of a target", self.deviation)
        if self.deviation <= 0:
            raise ConfigError(
                "deviation of a target", expected="above 0", received=shown(self.deviation)
            )

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {"name": self.name, "mean": self.mean, "deviation": self.deviation}


@dataclass(frozen=True, eq=False)
class Prepared:
    """Inputs, and what should be said about them."""

    x: NDArray[np.float32]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TablePreparation:
    """What was learnt about a table's columns; called with a table, it gives a network's inputs.

    Columns are found by name, whatever their order; others are left alone. An empty cell of a
    numeric column takes the median of the training rows, and is marked in an input of its own
    where training rows had empty cells; an empty category is a class like any other; a category
    that no training row had gives 0 in all inputs of its column ("other", where there is one) and
    a warning; any other cell that is no number in a numeric column is an error.

    Parameters
    ----------
    columns : tuple of Numeric and Categorical
        In the order of the inputs.
    target : Target, optional
        The column that is learnt.

    Raises
    ------
    ConfigError
        Two columns have one name, there are none or too many, or their classes are too long.

    Examples
    --------
    >>> table = Table({"age": ["31", "", "35"], "town": ["Ulm", "Bonn", "Ulm"]})
    >>> how = TablePreparation.fit(table)
    >>> how.features
    ('age', 'age is empty', 'town = Bonn', 'town = Ulm')
    >>> how(Table({"town": ["Ulm"], "age": ["33"]})).tolist()
    [[0.0, 0.0, 0.0, 1.0]]
    """

    columns: tuple[Numeric | Categorical, ...]
    target: Target | None = None
    _of: tuple[str, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        names = [c.name for c in self.columns]
        if self.target is not None:
            names.append(self.target.name)
        texts = [t for c in self.columns if isinstance(c, Categorical) for t in c.classes + c.rare]
        length = sum(map(len, [*names, *texts]))
        if (
            not 1 <= len(self.columns) <= _MOST_COLUMNS
            or len(set(names)) != len(names)
            or length > _MOST_TEXT
            or len(texts) > _MOST_TEXT // 10
        ):
            raise ConfigError(
                "the columns of a preparation",
                expected=f"1 to {_MOST_COLUMNS:,}, each name once, classes of at most "
                f"{_MOST_TEXT:,} characters and {_MOST_TEXT // 10:,} in number together",
                received=f"{len(self.columns):,} columns, {len(texts):,} classes, "
                f"{length:,} characters: {shown(names)}",
                hint="leave out columns of free text: --drop NAME",
            )
        object.__setattr__(self, "_of", tuple([f for c in self.columns for f in c.features]))

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return self._of

    @classmethod
    def fit(
        cls,
        table: Table,
        *,
        rows: NDArray[np.int64] | None = None,
        target: Target | None = None,
        categorical: Sequence[str] = (),
        drop: Sequence[str] = (),
    ) -> Self:
        """Learn medians, means, deviations and classes.

        Parameters
        ----------
        table : Table
            Every row of it decides which columns are numeric, and is checked.
        rows : array, optional
            The training rows, from which everything else is learnt; all by default.
        target : Target, optional
            What is learnt from the inputs: never one of them.
        categorical : names
            Columns of classes, even where they look like numbers.
        drop : names
            Columns to leave out.

        Raises
        ------
        DataError
            A column is not there; a cell is no number; a column has too many different texts, or
            one too long.
        ConfigError
            A column is both dropped and categorical, or is the target; none is left.

        Source: median, indicator and order of the steps as scikit-learn's `SimpleImputer(strategy=
        "median", add_indicator=True)` and `StandardScaler`; "other" as its infrequent categories.
        """
        names = chosen_columns(table, target.name if target else None, categorical, drop)
        kinds = {n: n not in categorical and table.is_numeric(n) for n in names}
        for name in names:
            if kinds[name]:
                table.numbers(name)  # checked here, so that an error names the line
        train = table if rows is None else table.take(rows)
        _check_classes(train, [n for n in names if not kinds[n]])
        columns = tuple(
            [
                _numeric(name, train.numbers(name)) if kinds[name] else _categorical(name, train)
                for name in names
            ]
        )
        return cls(columns, target)

    def __call__(self, table: Any) -> NDArray[np.float32]:
        """The inputs of a table, float32 (n, features); warns where `apply` has something to say."""
        prepared = self.apply(table)
        for note in prepared.notes:
            warnings.warn(note, stacklevel=2)
        return prepared.x

    def apply(self, table: Any) -> Prepared:
        """The inputs of a table or a data frame, and notes on cells that training never saw.

        Raises DataError for missing columns and, by line and column, for cells.
        """
        table = Table.of(table)
        missing = [c.name for c in self.columns if c.name not in table.names]
        if missing:
            raise DataError(
                f"{len(missing)} column{'s are' if len(missing) > 1 else ' is'} missing",
                where=table.where,
                expected=f"the {len(self.columns)} columns of training, with " + listed(missing),
                received="columns " + listed(table.names),
                hint=did_you_mean(missing[0], table.names),
            )
        x = np.zeros((len(table), len(self.features)), np.float32)
        notes = []
        start = 0
        for column in self.columns:
            part = x[:, start : start + len(column.features)]
            if isinstance(column, Numeric):
                notes += _fill_numbers(column, table, part)
            else:
                notes += _fill_classes(column, table, part)
            start += len(column.features)
        return Prepared(x, tuple(notes))

    def plain(self) -> dict[str, Any]:
        """As plain data: texts, numbers, truth values, lists and mappings."""
        target = None if self.target is None else self.target.plain()
        return {"columns": [c.plain() for c in self.columns], "target": target}

    @classmethod
    def from_plain(cls, plain: Any) -> Self:
        """The inverse of `plain`. Raises ConfigError for anything else."""
        _check_keys(plain, ("columns", "target"), "a preparation")
        if not isinstance(plain["columns"], list):
            raise ConfigError(
                "columns of a preparation", expected="a list", received=shown(plain["columns"])
            )
        target = None
        if plain["target"] is not None:
            _check_keys(plain["target"], ("name", "mean", "deviation"), "a target")
            target = Target(**plain["target"])
        return cls(tuple([_column(entry) for entry in plain["columns"]]), target)


# ------------------------------------------------------------------------------------------- fit


def chosen_columns(
    table: Table, target: str | None, categorical: Sequence[str], drop: Sequence[str]
) -> list[str]:
    """The input columns, in the table's order; every name that was given is checked."""
    for name in (*categorical, *drop, *([] if target is None else [target])):
        table.cells(name)
    for name in drop:
        if name == target or name in categorical:
            raise ConfigError(
                f"column {shown(name)} is to be dropped and to be used",
                where=table.where,
                expected="one of the two",
                received="--drop and " + ("--target" if name == target else "--categorical"),
            )
    names = [n for n in table.names if n != target and n not in drop]
    if not names:
        raise ConfigError(
            "no column is left to learn from",
            where=table.where,
            expected="a column besides the target",
            received="columns " + listed(table.names),
        )
    return names


def location_and_scale(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and deviation (divisor n), 1 for a constant; no overflow on the way."""
    if not len(values) or values.min() == values.max():
        return float(values[0]) if len(values) else 0.0, 1.0
    most = float(np.abs(values).max())
    # Halved and doubled without rounding: squares of the largest numbers would overflow.
    size = 2.0 ** max(math.frexp(most)[1] - 1, -1000) if not 1e-100 < most < 1e100 else 1.0
    scaled = values / size
    mean, deviation = float(scaled.mean()) * size, float(scaled.std()) * size
    return mean, deviation if deviation > 0 else 1.0


def standardised(values: NDArray[np.float64], mean: float, deviation: float) -> NDArray[np.float64]:
    """(x - mean) / deviation; in halves, so that the largest numbers do not overflow."""
    with np.errstate(over="ignore", under="ignore"):
        if max(abs(mean), deviation) < 1e300:
            return (values - mean) / deviation
        return (values / 2 - mean / 2) / (deviation / 2)


def _numeric(name: str, values: NDArray[np.float64]) -> Numeric:
    empty = np.isnan(values)
    present = values[~empty]
    if not len(present):  # numbers in other rows only
        return Numeric(name, indicator=True)
    middle = np.sort(present)[[(len(present) - 1) // 2, len(present) // 2]]
    median = float(middle[0] / 2 + middle[1] / 2) if np.ptp(middle / 2) else float(middle[0])
    mean, deviation = location_and_scale(np.where(empty, median, values))
    return Numeric(name, median, mean, deviation, bool(empty.any()))


def _categorical(name: str, table: Table) -> Categorical:
    counts = Counter(table.cells(name))
    if len(counts) <= MOST_CLASSES:
        return Categorical(name, tuple(sorted(counts)))
    ranked = sorted(counts, key=lambda c: (-counts[c], c))
    return Categorical(
        name, tuple(sorted(ranked[:MOST_CLASSES])), tuple(sorted(ranked[MOST_CLASSES:]))
    )


def _check_classes(table: Table, names: Sequence[str]) -> None:
    """Columns whose texts are classes indeed: not names, identifiers or sentences."""
    free = []
    for name in names:
        cells = table.cells(name)
        different = len(set(cells))
        if different > MOST_DISTINCT or (different > MOST_CLASSES and different == len(cells)):
            free.append((name, different))
    if free:
        name, different = free[0]
        raise DataError(
            f"column {shown(name)} has {different:,} different texts in {len(table):,} rows",
            where=table.where,
            expected=f"at most {MOST_DISTINCT:,} classes, fewer than there are rows",
            received="a name, an identifier, a date or free text, it seems"
            + (f"; so have {listed([n for n, _ in free[1:]])}" if free[1:] else ""),
            hint="leave out what cannot be learnt from: "
            + " ".join([f"--drop {_word(n)}" for n, _ in free[:10]]),
        )
    for name in names:
        check_class_length(table, name)


def check_class_length(table: Table, name: str) -> None:
    """Raises DataError, by line, for a cell that is too long for the name of a class."""
    for row, cell in enumerate(table.cells(name)):
        if len(cell) > _LONGEST_CLASS:
            raise DataError(
                "a cell is too long for the name of a class",
                where=f"{table.line(row)}, column {shown(name)}",
                expected=f"at most {_LONGEST_CLASS:,} characters",
                received=f"{len(cell):,}: {shown(cell)}",
                hint=f"--drop {_word(name)}",
            )


def _word(name: str) -> str:
    """A name as a shell's word."""
    safe = shown(name)[1:-1]
    return safe if all(c.isalnum() or c in "-_." for c in safe) else f"'{safe}'"


# ----------------------------------------------------------------------------------------- apply


def check_near(table: Table, column: Numeric | Target, z: NDArray[np.float64]) -> None:
    """Raises DataError, by line, for a standardised number that float32 cannot hold."""
    far = np.flatnonzero(np.abs(z) > np.finfo(np.float32).max)
    if len(far):
        raise DataError(
            "this number is too far from those of training",
            where=f"{table.line(int(far[0]))}, column {shown(column.name)}",
            expected=f"numbers about {column.mean:.6g}, give or take {column.deviation:.6g}",
            received=shown(table.cells(column.name)[far[0]]),
        )


def _fill_numbers(column: Numeric, table: Table, x: NDArray[np.float32]) -> list[str]:
    values = table.numbers(column.name)
    empty = np.isnan(values)
    z = standardised(np.where(empty, column.median, values), column.mean, column.deviation)
    check_near(table, column, z)
    x[:, 0] = z
    if column.indicator:
        x[:, 1] = empty
    elif empty.any():
        count = int(empty.sum())
        cells = "1 empty cell takes" if count == 1 else f"{count:,} empty cells take"
        why = "training rows had none"
        return [f"column {shown(column.name)}: {cells} the median, {column.median:.6g}; {why}"]
    return []


def _fill_classes(column: Categorical, table: Table, x: NDArray[np.float32]) -> list[str]:
    places = {c: i for i, c in enumerate(column.classes)}
    places |= dict.fromkeys(column.rare, len(column.classes))
    cells = table.cells(column.name)
    codes = np.fromiter((places.get(c, -1) for c in cells), np.int64, len(cells))
    unseen = np.flatnonzero(codes < 0)
    if column.rare:
        codes[unseen] = len(column.classes)
    known = np.flatnonzero(codes >= 0)
    x[known, codes[known]] = 1
    if not len(unseen):
        return []
    different = len({cells[i] for i in unseen})
    first = shown(cells[unseen[0]], 40) if cells[unseen[0]] else "an empty cell"
    what = f"{first} was" if different == 1 else f"{first} and {different - 1:,} more classes were"
    rows = "1 row" if len(unseen) == 1 else f"{len(unseen):,} rows"
    means = "counted as other" if column.rare else "all its inputs are 0 there"
    return [f"column {shown(column.name)}: {what} never seen in training ({rows}): {means}"]


# ---------------------------------------------------------------------------------------- reading

_FIELDS = {
    "numeric": ("name", "kind", "median", "mean", "deviation", "indicator"),
    "categorical": ("name", "kind", "classes", "rare"),
}


def _column(entry: Any) -> Numeric | Categorical:
    kind = entry.get("kind") if isinstance(entry, dict) else None
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise ConfigError(
            "a column of a preparation",
            expected="kind numeric or categorical",
            received=shown(entry),
        )
    _check_keys(entry, _FIELDS[kind], "a column of a preparation")
    given = {k: v for k, v in entry.items() if k != "kind"}
    if kind == "numeric":
        return Numeric(**given)
    for part in ("classes", "rare"):
        if not isinstance(given[part], list):
            raise ConfigError("classes of a column", expected="a list", received=shown(given[part]))
        given[part] = tuple(given[part])
    return Categorical(**given)


def _check_keys(plain: Any, keys: tuple[str, ...], what: str) -> None:
    if not isinstance(plain, dict) or tuple(plain) != keys:
        raise ConfigError(
            f"the parts of {what}", expected=", ".join(keys), received=shown(plain, 200)
        )


def _check_text(what: str, text: Any, least: int = 1) -> None:
    if not isinstance(text, str) or not least <= len(text) <= _LONGEST_CLASS:
        raise ConfigError(
            what,
            expected=f"a text of {least} to {_LONGEST_CLASS:,} characters",
            received=shown(text),
        )


def _check_number(what: str, value: Any) -> None:
    if not isinstance(value, float) or not math.isfinite(value):
        raise ConfigError(what, expected="a finite real number", received=shown(value))
