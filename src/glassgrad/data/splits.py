"""Rows in parts, to train on and to test on: by chance, by class, by group or by time.

Which row goes where is a function of the seed and of the labels, groups or times alone.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from glassgrad.data.draws import Draws
from glassgrad.errors import ConfigError, DataError, ShapeError, shown

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["folds", "split"]

X = TypeVar("X", bound=np.generic)
Y = TypeVar("Y", bound=np.generic)


def split(
    x: NDArray[X],
    y: NDArray[Y],
    test: float = 0.2,
    seed: int = 0,
    stratify: bool = True,
    *,
    groups: ArrayLike | None = None,
    times: ArrayLike | None = None,
) -> tuple[NDArray[X], NDArray[X], NDArray[Y], NDArray[Y]]:
    """Two parts of the rows: one to train on, one to test on.

    By chance, the test part has ceil(test n) rows. With `stratify` each class has its share of
    them: the whole part of its share, and the rows left go to the largest remainders (ties: the
    lower class). With `groups` whole groups are drawn, ceil(test g) of g. With `times` nothing is
    drawn: the latest rows are the test part, at least ceil(test n) of them, and rows of one time
    stay together. Groups and times leave `stratify` aside.

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
    groups : array (n,), optional
        The group of each row, such as a patient: none is in both parts.
    times : array (n,), optional
        When each row was: no training row is later than a test row.

    Returns
    -------
    x_train, x_test, y_train, y_test
        In scikit-learn's order; copies of rows in random order, with `times` from early to late;
        dtypes kept.

    Raises
    ------
    ShapeError
        x, y, groups or times differ in rows, or y has several columns where classes are wanted.
    DataError
        There are not rows (groups, times) enough for two parts, y holds measurements where classes
        are wanted, or a time is not a number.
    ConfigError
        `test` is not between 0 and 1, the seed is not usable, or groups and times are both given.

    Source: largest remainders (Hamilton's method), as scikit-learn's stratified split; groups as
    its `GroupShuffleSplit`.

    Examples
    --------
    >>> x, y = np.arange(10).reshape(10, 1), np.repeat([0, 1], 5)
    >>> x_train, x_test, y_train, y_test = split(x, y, test=0.4)
    >>> len(x_train), sorted(y_test.tolist())
    (6, [0, 0, 1, 1])
    >>> split(x, y, test=0.4, times=y)[1].ravel().tolist()
    [5, 6, 7, 8, 9]
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
    if groups is not None and times is not None:
        raise _both("split", "groups and times")
    if times is not None:
        train_rows, test_rows = _by_time(_column(times, n, "times"), test)
    else:
        order = Draws(seed, "split").permutation(n)
        if groups is not None:
            is_test = _by_group(_column(groups, n, "groups"), test, seed)
        else:
            is_test = _by_chance(order, test, y if stratify else None)
        for_test = is_test[order]
        train_rows, test_rows = order[~for_test], order[for_test]
    return x[train_rows], x[test_rows], y[train_rows], y[test_rows]


def folds(
    n: int,
    k: int = 5,
    *,
    seed: int = 0,
    stratify: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    times: ArrayLike | None = None,
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Cross-validation: k times the rows to train on and the rows to test on.

    By chance, each row is tested once, and folds differ by at most one row. With `stratify` (the
    classes) each fold also has its share of each class, within one row. With `groups` a group is
    never in two folds: the largest goes first, each to the fold with the fewest rows. With
    `times` the rows are cut in k + 1 stretches, early to late, and fold i trains on the first i
    and tests on the next; rows of one time stay in the earlier stretch.

    Parameters
    ----------
    n : int
        How many rows there are.
    k : int
        How many folds, from 2.
    seed : int
        Names the draw.
    stratify, groups, times : array (n,), optional
        At most one of them.

    Returns
    -------
    list of (train_rows, test_rows)
        int64, in increasing order.

    Raises
    ------
    ConfigError
        k is not a whole number from 2, the seed is not usable, or two ways are asked for.
    ShapeError
        The labels are not one a row.
    DataError
        There are fewer rows (groups, times) than folds, or labels are measurements.

    Source: scikit-learn's `KFold(shuffle=True)`, `StratifiedKFold`, `GroupKFold` and
    `TimeSeriesSplit`; the draws are our own.

    Examples
    --------
    >>> for train, test in folds(6, 3, groups=["a", "a", "b", "b", "c", "c"]):
    ...     print(train.tolist(), test.tolist())
    [2, 3, 4, 5] [0, 1]
    [0, 1, 4, 5] [2, 3]
    [0, 1, 2, 3] [4, 5]
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 2:
        raise ConfigError(
            "the number of folds is out of range",
            where="folds",
            expected="a whole number from 2",
            received=shown(k),
        )
    if sum(way is not None for way in (stratify, groups, times)) > 1:
        raise _both("folds", "several of stratify, groups and times")
    if times is not None:
        return _folds_of_time(_column(times, n, "times"), k)
    _check_enough("rows", n, k)
    if groups is not None:
        fold = _folds_of_groups(_column(groups, n, "groups"), k)
    else:
        order = Draws(seed, "folds").permutation(n)
        if stratify is not None:
            # Dealt like cards, class after class, so that neither rows nor classes pile up.
            labels = _classes(_column(stratify, n, "stratify"))[1]
            order = order[np.argsort(labels[order], kind="stable")]
        fold = np.empty(n, np.int64)
        fold[order] = np.arange(n) % k
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k)]


# ---------------------------------------------------------------------------------- ways to split


def _by_chance(order: NDArray[np.int64], test: float, y: NDArray[Any] | None) -> NDArray[np.bool_]:
    n = len(order)
    held = _share(test, n, "rows")
    is_test = np.zeros(n, dtype=bool)
    if y is None:
        is_test[order[:held]] = True
        return is_test
    labels, row_class = _classes(y)
    for label, quota in enumerate(_quotas(np.bincount(row_class, minlength=labels), held)):
        of_class = order[row_class[order] == label]
        is_test[of_class[:quota]] = True
    return is_test


def _by_group(groups: NDArray[Any], test: float, seed: int) -> NDArray[np.bool_]:
    names, group = np.unique(groups, return_inverse=True)
    held = _share(test, len(names), "groups")
    drawn = Draws(seed, "groups").permutation(len(names))[:held]
    return np.isin(group, drawn)


def _by_time(times: NDArray[Any], test: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order, time = _in_time(times)
    first = len(time) - _share(test, len(time), "rows")
    first = int(np.searchsorted(time, time[first]))  # all rows of that time
    if first == 0:
        raise DataError(
            "too few different times to split",
            where="split",
            expected="a time before the test part",
            received=f"{shown(str(time[0]))} in all rows that would be left",
        )
    return order[:first], order[first:]


def _folds_of_groups(groups: NDArray[Any], k: int) -> NDArray[np.int64]:
    names, group = np.unique(groups, return_inverse=True)
    _check_enough("groups", len(names), k)
    sizes = np.bincount(group)
    filled = [0] * k
    fold_of = np.empty(len(names), np.int64)
    for name in np.argsort(-sizes, kind="stable").tolist():
        fold = filled.index(min(filled))
        fold_of[name] = fold
        filled[fold] += int(sizes[name])
    return fold_of[group]


def _folds_of_time(
    times: NDArray[Any], k: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    order, time = _in_time(times)
    _check_enough("rows", len(time), k + 1)
    cuts = [len(part) for part in np.array_split(time, k + 1)]
    ends = [int(np.searchsorted(time, time[end - 1], side="right")) for end in np.cumsum(cuts)]
    if len(set(ends)) != k + 1:
        raise DataError(
            "too few different times for these folds",
            where="folds",
            expected=f"{k + 1} stretches of time with rows in each",
            received=f"{len(np.unique(time))} different times in {len(time)} rows",
        )
    return [(np.sort(order[:start]), np.sort(order[start:end])) for start, end in pairwise(ends)]


def _in_time(times: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The rows from early to late, and their times."""
    kind = times.dtype.kind
    unknown = np.isnan(times) if kind == "f" else np.isnat(times) if kind in "mM" else []
    bad = np.flatnonzero(unknown)
    if kind not in "iufMmU" or len(bad):
        raise DataError(
            "times cannot be put in order",
            where=f"times, row {bad[0]}" if len(bad) else "times",
            expected="numbers, dates, or texts such as 2024-05-31",
            received=shown(str(times[bad[0]])) if len(bad) else str(times.dtype),
        )
    order = np.argsort(times, kind="stable")
    return order, times[order]


# ------------------------------------------------------------------------------------------ checks


def _column(values: ArrayLike, n: int, what: str) -> NDArray[Any]:
    found = np.asarray(values)
    if found.shape != (n,):
        raise ShapeError(
            f"{what} and rows differ",
            where=what,
            expected=f"shape ({n},), one for each row",
            received=str(found.shape),
        )
    return found


def _share(test: float, n: int, what: str) -> int:
    held = int(np.ceil(test * n - 1e-9))  # 0.7 * 10 is 7.000000000000001
    if n < 2 or held >= n:
        raise DataError(
            f"too few {what} to split",
            where="split",
            expected=f"at least one of the {what} in each part",
            received=f"{n} {what}, {held} of them to test on",
        )
    return held


def _check_enough(what: str, n: int, k: int) -> None:
    if n < k:
        raise DataError(
            f"too few {what} for these folds",
            where="folds",
            expected=f"at least {k} {what}",
            received=str(n),
        )


def _both(where: str, what: str) -> ConfigError:
    return ConfigError(
        f"{what} are given", where=where, expected="one way to part the rows", received=what
    )


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
            hint="leave stratify out; for split: stratify=False",
        )
    if y.dtype.kind == "f" and not bool(np.all(np.isfinite(y) & (y == np.round(y)))):
        raise DataError(
            "a stratified split needs classes, not measurements",
            where="split",
            expected="whole numbers in y",
            received="fractions or values that are not finite",
            hint="leave stratify out; for split: stratify=False",
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
