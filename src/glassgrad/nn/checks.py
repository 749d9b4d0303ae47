"""What layers look at before they work: kinds of input, sizes, settings of one number per axis."""

from __future__ import annotations

from typing import Any

from glassgrad.errors import ConfigError, DTypeError, ShapeError, UsageError, shown

from .module import Module, is_array


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
    for v in given:
        whole = not isinstance(v, bool) and hasattr(v, "__index__")
        if not whole or not low <= int(v) <= 10**6:
            raise ConfigError(
                f"{what} is out of range",
                expected=f"whole numbers from {low} to 1,000,000",
                received=shown(value),
            )
    return tuple([int(v) for v in given])


def short(values: tuple[int | None, ...]) -> str:
    """Numbers per axis as a person writes them: `5` for (5, 5)."""
    return str(values[0]) if len(set(values)) == 1 else str(values)
