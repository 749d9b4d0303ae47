"""The column that is learnt: what kind of question it asks, and its cells as numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from glassgrad.data.preparation import (
    MOST_DISTINCT,
    Target,
    check_class_length,
    check_near,
    location_and_scale,
    standardised,
)
from glassgrad.data.table import NUMBER, Table, listed
from glassgrad.errors import ConfigError, DataError, shown, unknown_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Question", "answers_in", "learnt_target", "question"]

TASKS = ("classification", "binary", "regression")
FEW = 10
"""Whole numbers of at most so many values are classes, where each has five rows on average."""
_ROWS_A_CLASS = 5


@dataclass(frozen=True, slots=True)
class Question:
    """What a target asks: "regression", "binary" or "classification"; its classes; why so."""

    task: str
    classes: tuple[str, ...] = ()
    why: str = ""


def question(
    table: Table, target: str, task: str | None = None, *, classes: bool = False
) -> Question:
    """The question a target column asks, from all its cells, or as `task` says.

    Texts are classes. Numbers are measurements, unless there are two values, or up to 10 whole
    ones with five rows each on average: then they are classes, and with `classes` always. Two
    classes are "binary", more "classification".

    Raises
    ------
    DataError
        There is no such column; a cell of it is empty (by line) or no number; there is one value
        only, too many classes or one with too long a name, or not two where the task is "binary".
    ConfigError
        The task is unknown, or "regression" of `classes`.

    Examples
    --------
    >>> question(Table({"town": ["Ulm", "Bonn", "Ulm"]}), "town")
    Question(task='binary', classes=('Bonn', 'Ulm'), why='2 classes')
    >>> question(Table({"age": ["31", "4.5", "7"]}), "age").task
    'regression'
    """
    if task is not None and task not in TASKS:
        raise unknown_name("task", task, TASKS)
    if task == "regression" and classes:
        raise ConfigError(
            f"column {shown(target)} is to be classes and to be measured",
            where=table.where,
            expected="one of the two",
            received="--categorical and --task regression",
        )
    cells = _all_there(table, target)
    if task == "regression" or (table.is_numeric(target) and task is None and not classes):
        numbers = _measurements(table, target)
        values = np.unique(numbers)
        if len(values) < 2:
            raise _nothing_to_learn(table, target, cells[0])
        whole = bool((values == np.round(values)).all())
        few = len(values) <= FEW and whole and len(values) * _ROWS_A_CLASS <= len(table)
        if task or not (few or len(values) == 2):
            return Question("regression", why="numbers" if task is None else "as asked")
    numeric = all(map(NUMBER.fullmatch, cells))
    names = {named(c, numeric) for c in cells}
    if len(names) < 2:
        raise _nothing_to_learn(table, target, cells[0])
    if len(names) > MOST_DISTINCT or (task == "binary" and len(names) != 2):
        raise DataError(
            f"column {shown(target)} has {len(names):,} different values",
            where=f"{table.where}, the target",
            expected="2 for a binary task" if task == "binary" else f"at most {MOST_DISTINCT:,}",
            received=f"{len(names):,}: {listed(sorted(names), 5)}",
            hint="--task classification" if task == "binary" else "--task regression, for numbers",
        )
    check_class_length(table, target)
    # Exactly by size: as floats 2**53 and 2**53 + 1 are one, and a set has no order of its own.
    order = sorted(names, key=lambda n: (Decimal(n), n)) if numeric else sorted(names)
    count = f"{len(order)} classes"
    if numeric and task is None and not classes and len(order) > 2:
        count += ", whole numbers (--task regression makes them measurements)"
    return Question(
        task or ("binary" if len(order) == 2 else "classification"),
        tuple(order),
        count if task is None else "as asked",
    )


def learnt_target(table: Table, target: str, asked: Question, rows: NDArray[np.int64]) -> Target:
    """The target with, for measurements, mean and deviation of the training rows."""
    if asked.classes:
        return Target(target)
    return Target(target, *location_and_scale(table.numbers(target)[rows]))


def answers_in(table: Table, target: Target, asked: Question) -> NDArray[Any]:
    """The target's cells as a network learns them.

    int64 (n,) for "classification", float32 (n, 1) for "binary" (0, 1) and for "regression"
    (standardised). Raises DataError by line for an empty cell, one that is no number or too far
    from those of training, or a class that training never saw.
    """
    cells = _all_there(table, target.name)
    if not asked.classes:
        z = standardised(_measurements(table, target.name), target.mean, target.deviation)
        check_near(table, target, z)
        return z.astype(np.float32)[:, None]
    numeric = all(map(NUMBER.fullmatch, asked.classes))
    places = {c: i for i, c in enumerate(asked.classes)}
    codes = np.fromiter((places.get(named(c, numeric), -1) for c in cells), np.int64, len(cells))
    unseen = np.flatnonzero(codes < 0)
    if len(unseen):
        raise DataError(
            f"{len(unseen):,} rows have a class that is none of the model's",
            where=f"{table.line(int(unseen[0]))}, column {shown(target.name)}",
            expected="one of " + listed(asked.classes),
            received=shown(cells[unseen[0]]),
        )
    return codes if asked.task == "classification" else codes.astype(np.float32)[:, None]


def named(cell: str, numeric: bool) -> str:
    """A class's name; equal numbers have one name, however they are written.

    >>> named("1.0", True), named("01", False), named("2.50", True)
    ('1', '01', '2.5')
    """
    if not numeric or not NUMBER.fullmatch(cell):
        return cell
    if cell.lstrip("+-").isdecimal() and len(cell) < 1000:
        return str(int(cell))  # of any length: two identifiers are never one class
    value = float(cell)
    if math.isinf(value):
        return cell
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _measurements(table: Table, target: str) -> NDArray[np.float64]:
    try:
        return table.numbers(target)
    except DataError as error:
        error.hint = "mend the cell or leave the row out; for classes: --task classification"
        raise


def _all_there(table: Table, target: str) -> list[str]:
    cells = table.cells(target)
    empty = [i for i, c in enumerate(cells) if not c]
    if empty:
        raise DataError(
            f"{len(empty):,} row{'s have' if len(empty) > 1 else ' has'} no target",
            where=f"{table.line(empty[0])}, column {shown(target)}",
            expected="a value in every row",
            received="an empty cell",
            hint="leave those rows out: there is nothing to learn from them",
        )
    return cells


def _nothing_to_learn(table: Table, target: str, value: str) -> DataError:
    return DataError(
        f"column {shown(target)} has one value only",
        where=f"{table.where}, the target",
        expected="two classes, or numbers that differ",
        received=f"{shown(value)} in all {len(table):,} rows",
        hint="another --target",
    )
