"""Data as training needs it: arrays with rows, of the right kind, checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.errors import ConfigError, DataError, DTypeError, shown, whole_number
from glassgrad.ir import bind
from glassgrad.nn.losses import check_classes, check_signs, known
from glassgrad.tensors.random import order_of_rows
from glassgrad.tensors.tensor import Tensor

__all__ = [
    "CHUNK",
    "DRAWS",
    "as_array",
    "check_labels",
    "check_last",
    "checked_batch_size",
    "chunks",
    "inputs",
    "order_of_rows",
    "positions_inside",
    "real_numbers",
    "targets",
]

AnyArray = NDArray[Any]
CHUNK = 1024  # rows at a time in evaluation and prediction, whatever the machine
# For a network that draws in evaluation too, as a user's own dropout may: always the same numbers.
DRAWS = {"seed": 0, "step": 1}


def as_array(data: Any, what: str) -> AnyArray:
    """Numbers as a NumPy array. Raises DataError for anything else."""
    if isinstance(data, Tensor):
        return data.numpy()
    try:
        array = np.asarray(data)
    except ValueError:
        raise DataError(
            f"{what}: rows of different lengths",
            expected="as many numbers in every row",
            received=shown(data),
        ) from None
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{what} is not made of numbers",
            expected="real or whole numbers",
            received=f"{array.dtype} {shown(array.reshape(-1)[:3].tolist())}",
            hint="encode categories as numbers first",
        )
    return array


def inputs(
    x: Any, dtype: str, table: int | None, what: str = "x", one_of_several: bool = False
) -> AnyArray:
    """What goes into a network: real numbers of its dtype, pixels as bytes, or tokens.

    `table` is the size of the largest table of tokens, where the network has one. Of several
    inputs those of whole numbers are the tokens.
    """
    array = as_array(x, what)
    tokens = table is not None and (array.dtype.kind in "iu" or not one_of_several)
    if array.ndim < 2 and not tokens:
        raise DataError(
            f"{what} needs rows",
            expected="(n, features) or (n, channels, height, width)",
            received=str(array.shape),
            hint="one feature: x.reshape(-1, 1); one row: x.reshape(1, -1)",
        )
    _check_rows(array, what)
    if table is not None and tokens:
        return _tokens(array, table, what)
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    return real_numbers(array, dtype, what, getattr(x, "columns", ()))


def real_numbers(array: AnyArray, dtype: str, what: str, columns: Any = ()) -> AnyArray:
    """Finite numbers in a dtype that can hold them; `columns` are what a table calls them."""
    _check_finite(array, what, columns)
    with np.errstate(over="ignore"):
        cast = np.ascontiguousarray(array, dtype=dtype)
    if cast.dtype != array.dtype and not np.isfinite(cast).all():
        where = np.argwhere(~np.isfinite(cast))[0]
        raise DataError(
            f"{what} has a number that is too large for {dtype}",
            where=f"row {where[0]}",
            expected=f"at most {np.finfo(dtype).max:.3g}",
            received=f"{array[tuple(where)]!r}",
            hint="scale the data, or train in float64: nn.Linear(64, dtype='float64')",
        )
    return cast


def _tokens(array: AnyArray, limit: int, what: str) -> AnyArray:
    if array.dtype.kind not in "iu":
        raise DTypeError(
            f"{what}: an embedding takes whole numbers",
            expected="int64",
            received=str(array.dtype),
        )
    # Which column goes to which table is the network's business; a smaller table that is missed
    # by a token is found when it is looked up (`positions_inside`).
    if array.size and (array.min() < 0 or array.max() >= limit):
        bad = (array < 0) | (array >= limit)
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise DataError(
            f"{what}: a token is not in the table",
            where=f"position {where}",
            expected=f"0 to {limit - 1}",
            received=str(array[where]),
        )
    return np.ascontiguousarray(array, np.int64)


@contextmanager
def positions_inside() -> Iterator[None]:
    """A position outside its table, met by a program, as an error in four parts."""
    try:
        yield
    except IndexError as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is None or not trace.tb_frame.f_code.co_filename.startswith("<glassgrad"):
            raise
        raise DataError(
            "a position is outside the table it is looked up in",
            where="a row of this batch",
            expected="tokens and labels from 0 to the size of their own table less 1",
            received=str(error),
            hint="compare each column of x with the table (nn.Embedding) it goes to",
        ) from None


def targets(y: Any, loss: str, dtype: str, rows: int, what: str = "y") -> AnyArray:
    """What is to be learnt: class indices where the loss takes them, real numbers otherwise."""
    array = as_array(y, what)
    if array.ndim == 0 or len(array) != rows:
        raise DataError(
            "x and y have different numbers of rows",
            expected=f"{rows} rows in {what}",
            received=str(array.shape),
        )
    # Classes are counted; what a user's own function makes of whole numbers is its own matter.
    ours = known(loss)
    classes = ours is not None and ours.target == "classes"
    if array.dtype.kind in "biu" and (classes or ours is None):
        return np.ascontiguousarray(array, np.int64)
    if classes and array.ndim == 1:
        raise DTypeError(
            "classes are whole numbers",
            where=what,
            expected="int64 class indices",
            received=f"{array.dtype}, such as {array[0]!r}",
            hint='y.astype("int64")',
        )
    found = real_numbers(array, dtype, what)
    if ours is not None and ours.target == "signs":
        with _called(what):
            check_signs(found)
    return found


def check_labels(y: AnyArray, classes: tuple[int, int | None], what: str = "y") -> None:
    """Every class index has an output unit, but for the one that stands for no class."""
    with _called(what):
        check_classes(y, *classes)


@contextmanager
def _called(what: str) -> Iterator[None]:
    """An error that speaks of the target speaks of it by its name."""
    try:
        yield
    except DataError as error:
        error.where = error.where.replace("the target", what)
        raise


def _check_rows(array: AnyArray, what: str) -> None:
    if len(array) == 0:
        raise DataError(
            f"{what} has no rows", expected="at least one row", received=str(array.shape)
        )


def _check_finite(array: AnyArray, what: str, columns: Any = ()) -> None:
    if array.dtype.kind != "f" or not array.size:
        return
    # Both ends are finite exactly when all are (nan goes through): a third of the time of isfinite().all().
    with np.errstate(invalid="ignore"):
        if np.isfinite(array.min()) and np.isfinite(array.max()):
            return
    bad = ~np.isfinite(array)
    where = [int(i) for i in np.argwhere(bad)[0]]
    place = f"row {where[0]}"
    if len(where) > 1:
        named = array.ndim == 2 and len(columns) == array.shape[1]
        place += f", column {shown(str(columns[where[1]])) if named else where[1]}"
    raise DataError(
        f"{what} has {bad.sum():,} value{'s that are' if bad.sum() > 1 else ' that is'} not finite",
        where=f"first at {place}",
        expected="finite numbers",
        received=str(array[tuple(where)]),
        hint="remove those rows or fill them in first, for instance with the column's median",
    )


def checked_batch_size(value: Any, rows: int) -> int:
    """Rows per step: None for all of them."""
    if value is None:
        return rows
    number = whole_number(value)
    if number is None or number < 1:
        raise ConfigError(
            "batch_size is out of range",
            expected="a whole number from 1, or None for all rows",
            received=shown(value),
        )
    return min(number, rows)


def check_last(divisors: Sequence[tuple[str, Any]], rows: int, size: int) -> None:
    """Every batch has the rows that the step divides by: a batch norm needs two."""
    for layer, divisor in divisors:
        for count in {size, rows % size or size}:
            if bind(divisor, {"n": count}) == 0:
                raise DataError(
                    "a batch is too small for the network",
                    where=f"{layer}, a batch of {count} row",
                    expected="at least 2 rows: the variance of one number is not known",
                    received=f"{rows} rows in batches of {size}",
                    hint="choose a batch size that does not leave one row over",
                )


def chunks(rows: int) -> Iterator[slice]:
    """Fixed chunks and one remainder."""
    return (slice(start, start + CHUNK) for start in range(0, rows, CHUNK))
