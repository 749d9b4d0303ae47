"""Initialisers: how the first numbers of a parameter are drawn.

An initialiser is called with (shape, seed, name) and gives float64 numbers; fan-in and fan-out
follow the layouts (in, out) of `Linear` and (out, in, *kernel) of convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from glassgrad.errors import ConfigError, shown, unknown_name
from glassgrad.tensors import random

Numbers = NDArray[np.float64]
Initializer: TypeAlias = Callable[[tuple[int, ...], int, str], Numbers]
How: TypeAlias = "Initializer | str | float | Numbers | list[Any]"  # what `find` understands


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many numbers go into and come out of one sum."""
    if len(shape) < 2:
        return max(1, math.prod(shape)), max(1, math.prod(shape))
    if len(shape) == 2:
        return shape[0], shape[1]
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def constant(value: float = 0.0) -> Initializer:
    """The same number everywhere."""
    return lambda shape, seed, name: np.full(shape, float(value))


def uniform(low: float = 0.0, high: float = 1.0) -> Initializer:
    """Uniform between two bounds."""
    return lambda shape, seed, name: (
        low + (high - low) * random.uniform(math.prod(shape), seed, name).reshape(shape)
    )


def normal(mean: float = 0.0, std: float = 1.0) -> Initializer:
    """Normal with a mean and a standard deviation."""
    return lambda shape, seed, name: (
        mean + std * random.normal(math.prod(shape), seed, name).reshape(shape)
    )


def glorot(distribution: str = "uniform") -> Initializer:
    """Variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""
    return _scaled(distribution, lambda fan_in, fan_out: 2 / (fan_in + fan_out))


def he(distribution: str = "normal") -> Initializer:
    """Variance 2 / fan_in, for layers that feed a ReLU (He et al. 2015)."""
    return _scaled(distribution, lambda fan_in, fan_out: 2 / fan_in)


def _scaled(distribution: str, variance: Callable[[int, int], float]) -> Initializer:
    if distribution not in ("normal", "uniform"):
        raise unknown_name("distribution", distribution, ("normal", "uniform"))

    def draw(shape: tuple[int, ...], seed: int, name: str) -> Numbers:
        std = math.sqrt(variance(*[max(1, fan) for fan in fans(shape)]))
        if distribution == "normal":
            return normal(0.0, std)(shape, seed, name)
        bound = math.sqrt(3) * std
        return uniform(-bound, bound)(shape, seed, name)

    return draw


NAMED: dict[str, Initializer] = {
    "auto": glorot(),
    "glorot": glorot(),
    "glorot_normal": glorot("normal"),
    "glorot_uniform": glorot(),
    "he": he(),
    "he_normal": he(),
    "he_uniform": he("uniform"),
    "normal": normal(),
    "uniform": uniform(),
    "zeros": constant(0.0),
    "ones": constant(1.0),
}


def find(how: Any) -> Initializer:
    """The initialiser of a name, a number (constant), an array, or a function."""
    if isinstance(how, str):
        if how not in NAMED:
            raise unknown_name("initialiser", how, tuple(NAMED))
        return NAMED[how]
    if isinstance(how, int | float) and not isinstance(how, bool):
        return constant(how)
    if isinstance(how, np.ndarray | list):
        array = np.asarray(how, np.float64)

        def given(shape: tuple[int, ...], seed: int, name: str) -> Numbers:  # noqa: ARG001
            if array.shape != shape:
                raise ConfigError(
                    "the first numbers do not fit the parameter",
                    where=name,
                    expected=str(shape),
                    received=str(array.shape),
                )
            return array.copy()

        return given
    if callable(how):
        found: Initializer = how
        return found
    raise ConfigError(
        "this is not an initialiser",
        expected="a name, a number, an array or a function (shape, seed, name) -> numbers",
        received=shown(how),
    )
