"""Small data sets that need no file: gates, people, spiral, circles, moons, a noisy line.

Each is a function from its settings and a seed to arrays; `draws.py` says why its values never
change. Inputs are float32. Targets are float32 columns (n, 1) where one output unit answers
(gates, people, circles, moons, line) and int64 class numbers (n,) where there is one unit a class.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import numpy as np

from glassgrad.data.draws import Draws
from glassgrad.errors import ConfigError, DataError, shown, unknown_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GATES", "circles", "gate", "moons", "noisy_line", "people", "people_row", "spiral"]

POUNDS_PER_KG = 2.20462  # the article's constants, to its digits
INCHES_PER_CM = 0.393701

_TRUTH: dict[str, tuple[int, int, int, int]] = {  # outputs for (0,0), (0,1), (1,0), (1,1)
    "and": (0, 0, 0, 1),
    "or": (0, 1, 1, 1),
    "nand": (1, 1, 1, 0),
    "nor": (1, 0, 0, 0),
    "xor": (0, 1, 1, 0),
    "xnor": (1, 0, 0, 1),
}

GATES: tuple[str, ...] = tuple(_TRUTH)
"""The names `gate` knows."""


def gate(name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The truth table of a logic gate of two inputs.

    Parameters
    ----------
    name : str
        One of and, or, nand, nor, xor, xnor.

    Returns
    -------
    x : float32 (4, 2)
        (0, 0), (0, 1), (1, 0), (1, 1).
    y : float32 (4, 1)
        The gate's output, 0 or 1.

    Raises
    ------
    ConfigError
        The name is none of the six.

    Source: Boolean algebra; Minsky and Papert, "Perceptrons" (1969), for why xor matters.

    Examples
    --------
    >>> x, y = gate("xor")
    >>> np.hstack([x, y]).astype(int).tolist()
    [[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]]
    """
    if name not in _TRUTH:
        raise unknown_name("gate", name, GATES)
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
    return x, np.array(_TRUTH[name], dtype=np.float32)[:, None]


def people() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Four people by weight and height, and whether each is a woman: the neuron article's rows.

    Returns
    -------
    x : float32 (4, 2)
        Weight minus 135 lb, height minus 66 in.
    y : float32 (4, 1)
        1 female, 0 male.

    Source: the third article (`people_row` makes a fifth row from one's own kg and cm).

    Examples
    --------
    >>> x, y = people()
    >>> x.tolist()
    [[-2.0, -1.0], [25.0, 6.0], [17.0, 4.0], [-15.0, -6.0]]
    >>> y.ravel().tolist()
    [1.0, 0.0, 0.0, 1.0]
    """
    x = np.array([[-2, -1], [25, 6], [17, 4], [-15, -6]], dtype=np.float32)
    y = np.array([[1], [0], [0], [1]], dtype=np.float32)
    return x, y


def people_row(*, kg: float, cm: float) -> NDArray[np.float32]:
    """One person's weight and height as a row that a network trained on `people` can read.

    (2.20462 kg - 135, 0.393701 cm - 66). Both arguments must be named, because they are easily
    swapped: the article's own example passes 182 as kg and 73 as cm, which describes a person
    of 182 kg and 73 cm where 73 kg and 182 cm were meant.

    Parameters
    ----------
    kg, cm : float
        Weight in kilograms and height in centimetres, above 0 and at most 1000.

    Returns
    -------
    x : float32 (1, 2)
        Pounds minus 135, inches minus 66.

    Raises
    ------
    DataError
        A value is not in that range.

    Source: the third article and its two constants.

    Examples
    --------
    >>> people_row(kg=73, cm=182).round(2).tolist()
    [[25.940000534057617, 5.650000095367432]]
    """
    for unit, value in (("kg", kg), ("cm", cm)):
        if not _is_number(value) or not 0 < value <= 1000:
            raise DataError(
                f"{unit} is not usable",
                where="people_row",
                expected="a number above 0, at most 1000",
                received=shown(value),
            )
    return np.array([[kg * POUNDS_PER_KG - 135, cm * INCHES_PER_CM - 66]], dtype=np.float32)


def spiral(
    classes: int = 3, points_per_class: int = 100, noise: float = 0.2, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Points on spiral arms, one arm a class.

    For point i of n on arm j: r = i / (n - 1), t = 4 (j + r) + noise z with z standard normal,
    x = (r sin t, r cos t). Rows stand arm by arm; angles are in radians.

    Parameters
    ----------
    classes, points_per_class : int
        At least 1 and at least 2.
    noise : float
        Standard deviation of the angle, in radians.
    seed : int
        Names the draw.

    Returns
    -------
    x : float32 (classes * points_per_class, 2)
        Points in the unit disc.
    y : int64 (classes * points_per_class,)
        The arm, from 0.

    Raises
    ------
    ConfigError
        A setting is outside its range.

    Source: https://cs231n.github.io/neural-networks-case-study/, as in the first article.

    Examples
    --------
    >>> x, y = spiral(classes=3, points_per_class=100, seed=0)
    >>> x.shape, y.shape, np.bincount(y).tolist()
    ((300, 2), (300,), [100, 100, 100])
    """
    arms = _count("classes", classes, 1)
    n = _count("points_per_class", points_per_class, 2)
    _spread("noise", noise)
    radius = np.tile(np.linspace(0.0, 1.0, n), arms)
    y = np.repeat(np.arange(arms, dtype=np.int64), n)
    angle = 4.0 * (y + radius) + noise * Draws(seed, "spiral").normal(arms * n)
    x = radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return x.astype(np.float32), y


def circles(
    n: int = 1000, noise: float = 0.1, factor: float = 0.8, seed: int = 42
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points on two circles around the origin, one inside the other.

    The outer circle has radius 1, the inner one `factor`; angles are evenly spaced; normal noise is
    added to both coordinates; rows are shuffled.

    Parameters
    ----------
    n : int
        Points in all, at least 2; half (rounded down) on the outer circle.
    noise : float
        Standard deviation of each coordinate's noise, in radii of the outer circle.
    factor : float
        The inner radius, from 0 up to and without 1.
    seed : int
        Names the draw.

    Returns
    -------
    x : float32 (n, 2)
        Points.
    y : float32 (n, 1)
        0 outer, 1 inner.

    Raises
    ------
    ConfigError
        A setting is outside its range.

    Source: scikit-learn's `make_circles`, with which the second article makes its data; equal to
    it in distribution, not draw by draw.

    Examples
    --------
    >>> x, y = circles(n=200, noise=0.0, factor=0.5)
    >>> np.hypot(x[:, 0], x[:, 1])[y[:, 0] == 1].round(3).max().item()
    0.5
    """
    total = _count("n", n, 2)
    _spread("noise", noise)
    if not _is_number(factor) or not 0 <= factor < 1:
        raise ConfigError(
            "factor is out of range", expected="from 0 up to and without 1", received=shown(factor)
        )
    outer, inner = total // 2, total - total // 2
    angle = 2 * np.pi * np.concatenate([np.arange(outer) / outer, np.arange(inner) / inner])
    radius = np.repeat([1.0, factor], [outer, inner])
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _noisy_and_shuffled(points, outer, noise, Draws(seed, "circles"))


def moons(
    n: int = 1000, noise: float = 0.1, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points on two half circles that reach into each other.

    Upper: (cos t, sin t); lower: (1 - cos t, 1/2 - sin t); t evenly from 0 to pi; normal noise is
    added to both coordinates; rows are shuffled.

    Parameters
    ----------
    n : int
        Points in all, at least 2; half (rounded down) on the upper moon.
    noise : float
        Standard deviation of each coordinate's noise, in radii.
    seed : int
        Names the draw.

    Returns
    -------
    x : float32 (n, 2)
        Points.
    y : float32 (n, 1)
        0 upper, 1 lower.

    Raises
    ------
    ConfigError
        A setting is outside its range.

    Source: scikit-learn's `make_moons`; equal to it in distribution, not draw by draw.

    Examples
    --------
    >>> x, y = moons(n=102, noise=0.0)
    >>> x.min(axis=0).tolist(), x.max(axis=0).tolist()
    ([-1.0, -0.5], [2.0, 1.0])
    """
    total = _count("n", n, 2)
    _spread("noise", noise)
    upper, lower = total // 2, total - total // 2
    t = np.pi * np.linspace(0, 1, upper)
    s = np.pi * np.linspace(0, 1, lower)
    points = np.concatenate(
        [
            np.stack([np.cos(t), np.sin(t)], axis=1),
            np.stack([1 - np.cos(s), 0.5 - np.sin(s)], axis=1),
        ]
    )
    return _noisy_and_shuffled(points, upper, noise, Draws(seed, "moons"))


def noisy_line(
    n: int = 100,
    slope: float = 2.0,
    intercept: float = 1.0,
    noise: float = 0.1,
    seed: int = 0,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points near a straight line.

    y = slope x + intercept + noise z, with x uniform in [0, 1) and z standard normal.

    Parameters
    ----------
    n : int
        Points, at least 1.
    slope, intercept : float
        The line, each from -1e6 to 1e6.
    noise : float
        Standard deviation of the noise, in the unit of y.
    seed : int
        Names the draw.

    Returns
    -------
    x : float32 (n, 1)
        Uniform draws.
    y : float32 (n, 1)
        The line's value and the noise.

    Raises
    ------
    ConfigError
        A setting is outside its range.

    Source: the linear regression of the third article.

    Examples
    --------
    >>> x, y = noisy_line(n=50, slope=2.0, intercept=1.0, noise=0.0)
    >>> bool(np.allclose(y, 2 * x + 1))
    True
    """
    total = _count("n", n, 1)
    _spread("noise", noise)
    for name, value in (("slope", slope), ("intercept", intercept)):
        if not _is_number(value) or abs(value) > 1e6:
            raise ConfigError(
                f"{name} is out of range",
                expected="a number from -1000000 to 1000000",
                received=shown(value),
            )
    draws = Draws(seed, "line")
    x = draws.uniform(total)
    y = slope * x + intercept + noise * draws.normal(total)
    return x.astype(np.float32)[:, None], y.astype(np.float32)[:, None]


def _noisy_and_shuffled(
    points: NDArray[np.float64], zeros: int, noise: float, draws: Draws
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points with noise, in random order; the first `zeros` are labelled 0, the rest 1."""
    total = len(points)
    points = points + noise * draws.normal(2 * total).reshape(total, 2)
    labels = np.repeat(np.array([0, 1], dtype=np.float32), [zeros, total - zeros])
    order = draws.permutation(total)
    return points[order].astype(np.float32), labels[order, None]


def _count(name: str, value: int, least: int) -> int:
    try:
        number = least - 1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = least - 1
    if not least <= number <= 10**8:
        raise ConfigError(
            f"{name} is out of range",
            expected=f"a whole number from {least} to 100000000",
            received=shown(value),
        )
    return number


def _spread(name: str, value: float) -> None:
    if not _is_number(value) or not 0 <= value <= 1e6:
        raise ConfigError(
            f"{name} is out of range", expected="a number from 0 to 1000000", received=shown(value)
        )


def _is_number(value: object) -> bool:
    return (
        isinstance(value, int | float | np.integer | np.floating)
        and not isinstance(value, bool)
        and bool(np.isfinite(value))
    )
