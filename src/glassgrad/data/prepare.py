"""Two steps that come before training: split rows, standardise columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from glassgrad.data.draws import Draws
from glassgrad.errors import ConfigError, DataError, ShapeError, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["split", "standardise"]

X = TypeVar("X", bound=np.generic)
Y = TypeVar("Y", bound=np.generic)


def split(
    x: NDArray[X], y: NDArray[Y], test: float = 0.2, seed: int = 0, stratify: bool = True
) -> tuple[NDArray[X], NDArray[X], NDArray[Y], NDArray[Y]]:
    """Two random parts of the rows: one to train on, one to test on.

    The test part has ceil(test n) rows. With `stratify` each class has its share of them: the
    whole part of its share, and the rows left go to the largest remainders (ties: the lower
    class). Both parts are in random order.

    Parameters
    ----------
    x : array (n, ...)
        Inputs.
    y : array (n,) or (n, 1)
        Targets; classes where `stratify` is set.
    test : float
        The test part's fraction, between 0 and 1.
    seed : int
        Names the draw.
    stratify : bool
        Keep the classes' proportions.

    Returns
    -------
    x_train, x_test, y_train, y_test
        In scikit-learn's order; copies of rows, dtypes kept.

    Raises
    ------
    ShapeError
        x and y differ in rows, or y has several columns where classes are wanted.
    DataError
        There are not rows enough for two parts, or y holds measurements where classes are wanted.
    ConfigError
        `test` is not between 0 and 1, or the seed is not usable.

    Source: largest remainders (Hamilton's method), as scikit-learn's stratified split.

    Examples
    --------
    >>> x, y = np.arange(10).reshape(10, 1), np.repeat([0, 1], 5)
    >>> x_train, x_test, y_train, y_test = split(x, y, test=0.4)
    >>> len(x_train), sorted(y_test.tolist())
    (6, [0, 0, 1, 1])
    """
    n = len(x)
    if len(y) != n:
        raise ShapeError(
            "inputs and targets differ in rows",
            where="split",
            expected=f"{n} targets, one for each row of x",
            received=str(len(y)),
        )
    if isinstance(test, bool) or not isinstance(test, int | float) or not 0 < test < 1:
        raise ConfigError(
            "the test part is out of range",
            where="split",
            expected="a number between 0 and 1",
            received=shown(test),
        )
    held = int(np.ceil(test * n - 1e-9))  # 0.7 * 10 is 7.000000000000001
    if n < 2 or held >= n:
        raise DataError(
            "too few rows to split",
            where="split",
            expected="at least one row in each part",
            received=f"{n} rows, {held} of them to test on",
        )
    order = Draws(seed, "split").permutation(n)
    is_test = np.zeros(n, dtype=bool)
    if not stratify:
        is_test[order[:held]] = True
    else:
        labels, row_class = _classes(y)
        for label, quota in enumerate(_quotas(np.bincount(row_class, minlength=labels), held)):
            of_class = order[row_class[order] == label]
            is_test[of_class[:quota]] = True
    for_test = is_test[order]
    train_rows, test_rows = order[~for_test], order[for_test]
    return x[train_rows], x[test_rows], y[train_rows], y[test_rows]


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
    tables = [np.asarray(table, dtype=np.float64) for table in (train, *others)]
    for number, table in enumerate(tables):
        where = f"standardise, array {number + 1}"
        if table.ndim != 2 or table.shape[1] != tables[0].shape[1]:
            raise ShapeError(
                "the columns do not match",
                where=where,
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
                where=f"{where}, first at row {row}, column {column}",
                expected="finite numbers",
                received=shown(float(table[row, column])),
                hint="fill or drop these rows first",
            )
    if not len(tables[0]):
        raise DataError("no samples", where="standardise", expected="at least one training row")
    mean = tables[0].mean(axis=0)
    deviation = tables[0].std(axis=0)
    deviation[np.ptp(tables[0], axis=0) == 0] = 1.0
    return tuple(((table - mean) / deviation).astype(np.float32) for table in tables)


def _classes(y: NDArray[Any]) -> tuple[int, NDArray[np.int64]]:
    """How many classes there are, and each row's, from 0."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise ShapeError(
            "a stratified split needs one class a row",
            where="split",
            expected="y of shape (n,) or (n, 1)",
            received=str(y.shape),
            hint="pass stratify=False",
        )
    if y.dtype.kind == "f" and not bool(np.all(np.isfinite(y) & (y == np.round(y)))):
        raise DataError(
            "a stratified split needs classes, not measurements",
            where="split",
            expected="whole numbers in y",
            received="fractions or values that are not finite",
            hint="pass stratify=False",
        )
    names, row_class = np.unique(y, return_inverse=True)
    return len(names), row_class.reshape(-1).astype(np.int64)


def _quotas(sizes: NDArray[np.int64], held: int) -> list[int]:
    """`held` seats for classes of these sizes, by largest remainders, in whole numbers only."""
    total = int(sizes.sum())
    shares = [divmod(held * int(size), total) for size in sizes]
    quotas = [whole for whole, _ in shares]
    by_remainder = sorted(range(len(shares)), key=lambda label: (-shares[label][1], label))
    for label in by_remainder[: held - sum(quotas)]:
        quotas[label] += 1
    return quotas
