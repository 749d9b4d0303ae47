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

from glassgrad.errors import ConfigError, real_number, shown, unknown_name
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

    def draw(shape: tuple[int, ...], seed: int, name: str) -> Numbers:
        return _moved(random.uniform(math.prod(shape), seed, name), high - low, low, shape)

    return draw


def normal(mean: float = 0.0, std: float = 1.0) -> Initializer:
    """Normal with a mean and a standard deviation."""

    def draw(shape: tuple[int, ...], seed: int, name: str) -> Numbers:
        return _moved(random.normal(math.prod(shape), seed, name), std, mean, shape)

    return draw


def _moved(numbers: Numbers, times: float, plus: float, shape: tuple[int, ...]) -> Numbers:
    """Numbers times one number plus another, in their memory."""
    numbers *= times
    numbers += plus
    return numbers.reshape(shape)


def truncated_normal(
    mean: float = 0.0, std: float = 1.0, low: float = -2.0, high: float = 2.0
) -> Initializer:
    """Normal with a mean and a standard deviation, but only between two bounds.

    The bounds are numbers, not multiples of `std`, and the deviation is that of the whole normal
    distribution, as in PyTorch's `trunc_normal_`. Raises ConfigError for a deviation that is not
    above 0, and for bounds in the wrong order or beyond 37 deviations.
    """
    if not (std > 0 and low < high):
        raise ConfigError(
            "a truncated normal distribution needs room",
            expected="std above 0 and low below high",
            received=f"std={std!r}, low={low!r}, high={high!r}",
        )
    # Shares of the normal distribution below a number are exact far below its mean, not above it.
    mirrored = low + high > 2 * mean
    a, b = (mean - high, mean - low) if mirrored else (low - mean, high - mean)
    first, last = [0.5 * math.erfc(-end / std / math.sqrt(2)) for end in (a, b)]
    if first >= last:
        raise ConfigError(
            "a truncated normal distribution has almost nothing between its bounds",
            expected="bounds within 37 standard deviations of the mean",
            received=f"mean={mean!r}, std={std!r}, low={low!r}, high={high!r}",
        )

    def draw(shape: tuple[int, ...], seed: int, name: str) -> Numbers:
        import statistics

        shares = first + (last - first) * random.uniform(math.prod(shape), seed, name)
        shares = np.clip(shares, 2.0**-1022, 1 - 2.0**-53)
        inverse = statistics.NormalDist().inv_cdf
        z = np.array([inverse(share) for share in shares.tolist()], np.float64)
        return np.clip(mean + (-std if mirrored else std) * z, low, high).reshape(shape)

    return draw


def variance_scaling(
    scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal"
) -> Initializer:
    """Variance scale / fan, where fan is "fan_in", "fan_out" or their mean, "fan_avg".

    The distribution is "normal", "uniform", or "truncated_normal", cut at two of its own
    deviations and as much wider that its variance is what was asked for (Keras's
    VarianceScaling).
    """
    modes: dict[str, Callable[[int, int], float]] = {
        "fan_in": lambda fan_in, fan_out: fan_in,
        "fan_out": lambda fan_in, fan_out: fan_out,
        "fan_avg": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
    }
    if mode not in modes:
        raise unknown_name("mode", mode, tuple(modes))
    if (real_number(scale) or 0) <= 0:
        raise ConfigError(
            "scale is out of range", expected="a number above 0", received=shown(scale)
        )
    return _scaled(distribution, lambda fan_in, fan_out: scale / modes[mode](fan_in, fan_out))


def glorot(distribution: str = "uniform", gain: float = 1.0) -> Initializer:
    """Variance gain^2 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""
    return _scaled(distribution, lambda fan_in, fan_out: gain**2 * 2 / (fan_in + fan_out))


def he(distribution: str = "normal", mode: str = "fan_in", slope: float = 0.0) -> Initializer:
    """Variance 2 / (1 + slope^2) / fan, for layers that feed a ReLU (He et al. 2015).

    `slope` is that of a leaky ReLU below 0, `mode` "fan_in" or "fan_out".
    """
    return variance_scaling(2 / (1 + slope**2), mode, distribution)


def lecun(distribution: str = "normal") -> Initializer:
    """Variance 1 / fan_in, for layers that feed a SELU or nothing (LeCun et al. 1998)."""
    return variance_scaling(1.0, "fan_in", distribution)


_DISTRIBUTIONS = ("normal", "uniform", "truncated_normal")
_CUT = 0.87962566103423978  # the deviation of a standard normal between -2 and 2


def _scaled(distribution: str, variance: Callable[[int, int], float]) -> Initializer:
    if distribution not in _DISTRIBUTIONS:
        raise unknown_name("distribution", distribution, _DISTRIBUTIONS)

    def draw(shape: tuple[int, ...], seed: int, name: str) -> Numbers:
        std = math.sqrt(variance(*[max(1, fan) for fan in fans(shape)]))
        if distribution == "normal":
            return normal(0.0, std)(shape, seed, name)
        if distribution == "truncated_normal":
            wider = std / _CUT
            return truncated_normal(0.0, wider, -2 * wider, 2 * wider)(shape, seed, name)
        bound = math.sqrt(3) * std
        return uniform(-bound, bound)(shape, seed, name)

    return draw


def orthogonal(gain: float = 1.0) -> Initializer:
    """Rows, or columns if there are fewer of them, at right angles and of length `gain`.

    All axes but the first count as one. The orthogonal factor of a matrix of normal numbers, its
    signs those that make it uniform among all such (Saxe et al. 2014, PyTorch's `orthogonal_`).
    Raises ConfigError for a parameter of fewer than two axes.
    """

    def draw(shape: tuple[int, ...], seed: int, name: str) -> Numbers:
        _need_axes("orthogonal", shape, name)
        if not math.prod(shape):
            return np.zeros(shape)
        flat = normal()(shape, seed, name).reshape(shape[0], -1)
        wide = flat.shape[0] < flat.shape[1]
        q, r = np.linalg.qr(flat.T if wide else flat)
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
        return gain * np.ascontiguousarray(q.T if wide else q).reshape(shape)

    return draw


def identity(gain: float = 1.0) -> Initializer:
    """What gives its input back times `gain`: ones on the diagonal (PyTorch's `eye_`).

    For a convolution, a one in the middle of the kernel from each channel to itself (`dirac_`).
    Raises ConfigError for a parameter of fewer than two axes.
    """

    def draw(shape: tuple[int, ...], seed: int, name: str) -> Numbers:  # noqa: ARG001  # as every Initializer
        _need_axes("identity", shape, name)
        found = np.zeros(shape)
        diagonal = np.arange(min(shape[:2]))
        middle: tuple[Any, ...] = tuple([size // 2 for size in shape[2:]])
        found[(diagonal, diagonal, *middle)] = gain
        return found

    return draw


def sparse(sparsity: float, std: float = 0.01) -> Initializer:
    """Normal, but of the weights that each input goes to, this share is 0 (Martens 2010).

    Of each row of (in, out), ceil(sparsity out) weights, as in PyTorch's `sparse_` for its
    (out, in). Raises ConfigError for a share outside 0 to 1, or a parameter without two axes.
    """
    if isinstance(sparsity, bool) or not 0 <= sparsity <= 1:
        raise ConfigError("sparsity is a share", expected="0 to 1", received=shown(sparsity))

    def draw(shape: tuple[int, ...], seed: int, name: str) -> Numbers:
        if len(shape) != 2:
            raise ConfigError(
                "sparse is for matrices", where=name, expected="two axes", received=str(shape)
            )
        found = normal(0.0, std)(shape, seed, name)
        order = random.uniform(math.prod(shape), seed, f"{name} sparse").reshape(shape)
        zeros = order.argsort(axis=1)[:, : math.ceil(sparsity * shape[1])]
        np.put_along_axis(found, zeros, 0.0, axis=1)
        return found

    return draw


def _need_axes(what: str, shape: tuple[int, ...], name: str) -> None:
    if len(shape) < 2:
        raise ConfigError(
            f"{what} is for parameters of two axes and more",
            where=name,
            expected="the weight of a Linear or of a convolution",
            received=f"shape {shape}",
        )


def calculate_gain(nonlinearity: str, slope: float = 0.01) -> float:
    """By how much the weights before an activation should be larger, as PyTorch says.

    >>> from glassgrad.nn import init
    >>> init.calculate_gain("relu") == 2**0.5, init.calculate_gain("tanh")
    (True, 1.6666666666666667)
    """
    gains = {
        **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d", "sigmoid"), 1.0),
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + slope**2)),
        "selu": 3 / 4,
    }
    if nonlinearity not in gains:
        raise unknown_name("activation", nonlinearity, tuple(gains))
    return gains[nonlinearity]


NAMED: dict[str, Initializer] = {
    "auto": glorot(),
    "glorot": glorot(),
    "glorot_normal": glorot("normal"),
    "glorot_uniform": glorot(),
    "he": he(),
    "he_normal": he(),
    "he_uniform": he("uniform"),
    "lecun": lecun(),
    "lecun_normal": lecun(),
    "lecun_uniform": lecun("uniform"),
    "orthogonal": orthogonal(),
    "identity": identity(),
    "truncated_normal": truncated_normal(),
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

        def given(shape: tuple[int, ...], seed: int, name: str) -> Numbers:  # noqa: ARG001  # likewise
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
