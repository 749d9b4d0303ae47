"""Steps between raw numbers and training: columns to a common scale, classes to rows of 0 and 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glassgrad.errors import ConfigError, DataError, ShapeError, shown

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["min_max", "one_hot", "standardise"]


def standardise(
    train: NDArray[np.generic], *others: NDArray[np.generic]
) -> tuple[NDArray[np.float32], ...]:
    """Columns with mean 0 and deviation 1 on the training rows; the others by the same numbers.

    (x - mean) / deviation, both of the training rows alone, in float64 with the divisor n; a
    constant column becomes 0 (its deviation counts as 1).

    Parameters
    ----------
    train : array (n, d)
        Training rows.
    *others : array (m, d)
        Rows to treat alike: test rows, for example.

    Returns
    -------
    tuple of float32 arrays
        One for each argument, in order, shapes kept.

    Raises
    ------
    ShapeError
        An array is not a table, or the columns differ in number.
    DataError
        There are no training rows, or a value is not finite: the row and column are named.

    Source: scikit-learn's `StandardScaler`.

    Examples
    --------
    >>> train, test = standardise(np.array([[1.0, 5.0], [3.0, 5.0]]), np.array([[2.0, 6.0]]))
    >>> train.tolist(), test.tolist()
    ([[-1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0]])
    """
    tables = _tables("standardise", train, others)
    mean = tables[0].mean(axis=0)
    deviation = tables[0].std(axis=0)
    deviation[np.ptp(tables[0], axis=0) == 0] = 1.0
    return tuple(((table - mean) / deviation).astype(np.float32) for table in tables)


def min_max(
    train: NDArray[np.generic], *others: NDArray[np.generic]
) -> tuple[NDArray[np.float32], ...]:
    """Columns from 0 to 1 on the training rows; the others by the same numbers.

    (x - min) / (max - min), both of the training rows alone; a constant column becomes 0 (its range
    counts as 1). Other rows may lie outside: they are not cut.

    Parameters
    ----------
    train : array (n, d)
        Training rows.
    *others : array (m, d)
        Rows to treat alike: test rows, for example.

    Returns
    -------
    tuple of float32 arrays
        One for each argument, in order, shapes kept.

    Raises
    ------
    ShapeError
        An array is not a table, or the columns differ in number.
    DataError
        There are no training rows, or a value is not finite: the row and column are named.

    Source: scikit-learn's `MinMaxScaler`.

    Examples
    --------
    >>> train, test = min_max(np.array([[1.0, 5.0], [3.0, 5.0]]), np.array([[4.0, 6.0]]))
    >>> train.tolist(), test.tolist()
    ([[0.0, 0.0], [1.0, 0.0]], [[1.5, 1.0]])
    """
    tables = _tables("min_max", train, others)
    low = tables[0].min(axis=0)
    width = np.ptp(tables[0], axis=0)
    width[width == 0] = 1.0
    return tuple(((table - low) / width).astype(np.float32) for table in tables)


def one_hot(y: ArrayLike, classes: int | None = None) -> NDArray[np.float32]:
    """A row for each class number: 1 in its column, 0 elsewhere.

    Parameters
    ----------
    y : array of whole numbers (n,)
        From 0 to classes - 1.
    classes : int, optional
        How many columns; by default one more than the largest number.

    Returns
    -------
    array (n, classes)
        float32.

    Raises
    ------
    ShapeError
        y has more axes than one.
    ConfigError
        `classes` is not a whole number from 1.
    DataError
        y is empty without `classes`, is not made of whole numbers, or one is out of range: the
        row is named.

    Examples
    --------
    >>> one_hot([2, 0]).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    labels = np.asarray(y)
    if labels.ndim != 1:
        raise ShapeError(
            "classes are one number a row",
            where="one_hot",
            expected="y of shape (n,)",
            received=str(labels.shape),
        )
    if labels.dtype.kind not in "iu" and (len(labels) or classes is None):
        raise DataError(
            "classes are whole numbers",
            where="one_hot",
            expected="an array of integers with at least one row",
            received=f"{labels.dtype}, {len(labels)} rows",
            hint='y.astype("int64")' if labels.dtype.kind == "f" else "",
        )
    if classes is None:
        classes = int(labels.max()) + 1 if len(labels) else 0
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 1:
        raise ConfigError(
            "the number of classes is out of range",
            where="one_hot",
            expected="a whole number from 1",
            received=shown(classes),
        )
    bad = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(bad):
        raise DataError(
            f"{len(bad)} labels are out of range",
            where=f"one_hot, first at row {bad[0]}",
            expected=f"0 to {classes - 1}",
            received=str(labels[bad[0]]),
        )
    found = np.zeros((len(labels), classes), np.float32)
    found[np.arange(len(labels)), labels.astype(np.int64)] = 1
    return found


def _tables(
    where: str, train: NDArray[np.generic], others: tuple[NDArray[np.generic], ...]
) -> list[NDArray[np.float64]]:
    """The arrays as tables of as many columns, all finite."""
    tables = [np.asarray(table, dtype=np.float64) for table in (train, *others)]
    for number, table in enumerate(tables):
        place = f"{where}, array {number + 1}"
        if table.ndim != 2 or table.shape[1] != tables[0].shape[1]:
            raise ShapeError(
                "the columns do not match",
                where=place,
                expected=f"(rows, {tables[0].shape[1]})"
                if tables[0].ndim == 2
                else "a table (rows, columns)",
                received=str(table.shape),
            )
        bad = np.argwhere(~np.isfinite(table))
        if len(bad):
            row, column = bad[0].tolist()
            raise DataError(
                f"{len(bad)} values are not finite",
                where=f"{place}, first at row {row}, column {column}",
                expected="finite numbers",
                received=shown(float(table[row, column])),
                hint="fill or drop these rows first",
            )
    if not len(tables[0]):
        raise DataError("no samples", where=where, expected="at least one training row")
    return tables
