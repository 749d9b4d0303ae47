"""What layers look at before they work: settings, kinds of input, sizes."""

from __future__ import annotations

import math
from typing import Any

from glassgrad.errors import (
    ConfigError,
    DTypeError,
    ShapeError,
    UsageError,
    real_number,
    shown,
    whole_number,
)
from glassgrad.ir import FLOATS

from .module import Module, is_array


def checked_dtype(dtype: str) -> str:
    """A float dtype that layers can have."""
    if dtype not in FLOATS:
        raise DTypeError(
            "layers have real numbers", expected=" or ".join(FLOATS), received=shown(dtype)
        )
    return dtype


def units(value: Any, what: str, limit: int = 10**9) -> int:
    """A number of units: whole, at least 1, and small enough to be meant."""
    number = whole_number(value)
    if number is None:
        raise ConfigError(
            f"{what} must be a whole number", expected="1, 2, ...", received=shown(value)
        )
    if not 1 <= number <= limit:
        raise ConfigError(
            f"{what} is out of range",
            expected=f"1 to {limit:,}",
            received=f"{number:,}" if abs(number) < 10**18 else shown(number),
            hint=f"{number * 4 / 1e9:,.1f} GB for one number each"
            if limit < number < 10**18
            else "",
        )
    return number


def real(value: Any, what: str, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite real number between two bounds, the bounds included."""
    number = real_number(value)
    if number is None or not low <= number <= high:
        bounds = f" from {low:g}" * (low > -math.inf) + f" to {high:g}" * (high < math.inf)
        raise ConfigError(
            f"{what} is out of range", expected=f"a number{bounds}", received=shown(value)
        )
    return number


def flag(value: Any, what: str) -> bool:
    """True or False, and nothing that merely counts as one."""
    if not isinstance(value, bool):
        raise ConfigError(f"{what} is a choice", expected="True or False", received=shown(value))
    return value


def check_array(x: Any) -> None:
    """Refuse what is not a tensor."""
    if not is_array(x):
        raise UsageError(
            "a layer takes a tensor",
            expected="a tensor, a NumPy array or a list of rows",
            received=shown(x),
        )


def check_float(module: Module, x: Any) -> None:
    """Refuse what is not real numbers."""
    if x.dtype not in ("float32", "float64"):
        raise DTypeError(
            "a layer needs real numbers",
            where=module.path or type(module).__name__,
            expected="float32 or float64",
            received=x.dtype,
            hint='cast first: x.astype("float32")',
        )


def check_images(module: Module, x: Any, rank: int) -> None:
    """Refuse what is not images with this many axes of their own."""
    check_array(x)
    if x.ndim != rank + 2:
        raise ShapeError(
            f"{type(module).__name__} needs images of {rank + 2} axes",
            where=module.path,
            expected="(n, channels, " + ", ".join(["size"] * rank) + ")",
            received=str(x.shape),
            hint="add a channel axis: x.reshape(len(x), 1, *size)" if x.ndim < rank + 2 else "",
        )


def known_size(size: Any, path: str) -> int:
    """A size that a parameter can have: one that does not depend on the number of rows."""
    if not isinstance(size, int):
        raise ShapeError(
            "a layer's width cannot depend on the number of rows", where=path, received=str(size)
        )
    return size


def numbers(value: Any, rank: int, what: str, low: int) -> tuple[int, ...]:
    """One whole number per axis of the image, from one for all or one for each."""
    given = tuple(value) if isinstance(value, tuple | list) else (value,) * rank
    if len(given) != rank:
        raise ConfigError(f"{what} needs {rank} numbers", received=shown(value))
    found = [whole_number(v) for v in given]
    if not all(v is not None and low <= v <= 10**6 for v in found):
        raise ConfigError(
            f"{what} is out of range",
            expected=f"whole numbers from {low} to 1,000,000",
            received=shown(value),
        )
    return tuple([v for v in found if v is not None])


def short(values: tuple[int | None, ...]) -> str:
    """Numbers per axis as a person writes them: `5` for (5, 5)."""
    return str(values[0]) if len(set(values)) == 1 else str(values)
