"""The drawn and the tabulated sets: values by other ways, distributions by scikit-learn, bytes pinned."""

from __future__ import annotations

import hashlib
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from glassgrad import data
from glassgrad.data.draws import Draws
from glassgrad.errors import ConfigError, DataError
from tests.conftest import require

Arrays = tuple[NDArray[Any], NDArray[Any]]


def kind(array: NDArray[Any]) -> tuple[tuple[int, ...], str]:
    return array.shape, array.dtype.name


@pytest.mark.parametrize("name", data.GATES)
def test_gates(name: str) -> None:
    rule: dict[str, Callable[[int, int], int]] = {
        "and": operator.and_,
        "or": operator.or_,
        "xor": operator.xor,
        "nand": lambda a, b: 1 - (a & b),
        "nor": lambda a, b: 1 - (a | b),
        "xnor": lambda a, b: int(a == b),
    }
    x, y = data.gate(name)
    assert (kind(x), kind(y)) == (((4, 2), "float32"), ((4, 1), "float32"))
    assert sorted(map(tuple, x.tolist())) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert y[:, 0].tolist() == [rule[name](int(a), int(b)) for a, b in x]


def test_an_unknown_gate_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'xor'"):
        data.gate("xorr")


def test_people() -> None:
    x, y = data.people()
    assert np.add(x, [135, 66]).tolist() == [[133, 65], [160, 72], [152, 70], [120, 60]]
    assert y.tolist() == [[1], [0], [0], [1]]
    assert (kind(x), kind(y)) == (((4, 2), "float32"), ((4, 1), "float32"))


def test_people_row_uses_the_articles_constants() -> None:
    (pounds, inches), *_ = data.people_row(kg=73, cm=182)
    assert pounds == np.float32(73 * 2.20462 - 135)
    assert inches == np.float32(182 * 0.393701 - 66)
    assert data.people_row(kg=50, cm=160).shape == (1, 2)
    with pytest.raises(TypeError):
        data.people_row(73, 182)  # type: ignore[call-arg]


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, 1e300, "70", True, None])
def test_people_row_refuses(value: Any) -> None:
    with pytest.raises(DataError, match="kg"):
        data.people_row(kg=value, cm=170)
    with pytest.raises(DataError, match="cm"):
        data.people_row(kg=70, cm=value)


def test_spiral_by_points() -> None:
    """One point at a time, by complex numbers: x2 + i x1 is r exp(i t)."""
    classes, n, noise, seed = 4, 7, 0.3, 11
    x, y = data.spiral(classes, n, noise, seed)
    z = Draws(seed, "spiral").normal(classes * n)
    for row in range(classes * n):
        arm, i = divmod(row, n)
        r = i / (n - 1)
        start, end = 4 * arm, 4 * (arm + 1)
        point = r * complex(math.e) ** (1j * (start + (end - start) * r + noise * z[row]))
        assert y[row] == arm
        assert x[row] == pytest.approx([point.imag, point.real], rel=1e-6, abs=1e-7)
    assert (kind(x), kind(y)) == (((28, 2), "float32"), ((28,), "int64"))


def test_spiral_has_the_articles_loss_when_untrained() -> None:
    """2-3-3 from NumPy's seed 42 as in the first article: 1.0987351566171433, any draw within 1e-4."""
    random = np.random.RandomState(42)
    w1, w2 = 0.1 * random.rand(2, 3), 0.1 * random.rand(3, 3)
    for seed in range(10):
        x, y = data.spiral(seed=seed)
        z = np.maximum(x @ w1, 0) @ w2
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(300), y]).mean()
        assert loss == pytest.approx(1.0987351566171433, abs=1e-4)


def rows(x: NDArray[Any]) -> NDArray[Any]:
    """The rows in an order of their own, to compare sets."""
    return x[np.lexsort(np.round(x, 5).T)]


@pytest.mark.parametrize("n", [2, 5, 100, 101])
def test_circles_without_noise_are_scikit_learns(n: int) -> None:
    sklearn = require("sklearn.datasets")
    x, y = data.circles(n, noise=0.0, factor=0.6)
    theirs, labels = sklearn.make_circles(n, noise=None, factor=0.6, shuffle=False)
    for label in (0, 1):
        np.testing.assert_allclose(
            rows(x[y[:, 0] == label]), rows(theirs[labels == label]), atol=1e-6
        )


@pytest.mark.parametrize("n", [2, 5, 100, 101])
def test_moons_without_noise_are_scikit_learns(n: int) -> None:
    sklearn = require("sklearn.datasets")
    x, y = data.moons(n, noise=0.0)
    theirs, labels = sklearn.make_moons(n, noise=None, shuffle=False)
    for label in (0, 1):
        np.testing.assert_allclose(
            rows(x[y[:, 0] == label]), rows(theirs[labels == label]), atol=1e-6
        )


@pytest.mark.parametrize("name", ["circles", "moons"])
@pytest.mark.parametrize("noise", [0.05, 0.3])
def test_noise_is_distributed_as_scikit_learns(name: str, noise: float) -> None:
    """Kolmogorov-Smirnov on ten projections of each class, 20,000 points each."""
    sklearn, stats = require("sklearn.datasets"), require("scipy.stats")
    x, y = getattr(data, name)(20_000, noise=noise, seed=1)
    theirs, labels = getattr(sklearn, f"make_{name}")(20_000, noise=noise, random_state=1)
    for label in (0, 1):
        ours, other = x[y[:, 0] == label], theirs[labels == label]
        assert len(ours) == len(other) == 10_000
        for angle in np.linspace(0, math.pi, 10, endpoint=False):
            direction = [math.cos(angle), math.sin(angle)]
            assert stats.ks_2samp(ours @ direction, other @ direction).pvalue > 1e-4
        radius = stats.ks_2samp(np.hypot(*ours.T), np.hypot(*other.T))
        assert radius.pvalue > 1e-4


def test_circles_and_moons_are_shuffled() -> None:
    for _, y in (data.circles(), data.moons(1000, 0.1, 0)):
        assert 400 < np.flatnonzero(y[:, 0] == 1).mean() < 600
        assert kind(y) == ((1000, 1), "float32")


def test_noisy_line() -> None:
    x, y = data.noisy_line(50_000, slope=-3.0, intercept=0.5, noise=0.25, seed=4)
    assert kind(x) == kind(y) == ((50_000, 1), "float32")
    slope, intercept = np.polyfit(x[:, 0].astype(float), y[:, 0].astype(float), 1)
    assert (slope, intercept) == pytest.approx((-3.0, 0.5), abs=0.02)
    rest = y - (slope * x + intercept)
    assert rest.std() == pytest.approx(0.25, rel=0.02)
    assert 0 <= x.min() < 0.001
    assert 0.999 < x.max() < 1


PINNED: dict[str, tuple[Callable[[], Arrays], str]] = {
    "spiral": (data.spiral, "6bde664892b9a68e"),
    "spiral 7": (lambda: data.spiral(5, 30, 0.1, seed=7), "d555475e2ccc3705"),
    "circles": (data.circles, "cdb84dec32536cd5"),
    "moons": (lambda: data.moons(500, 0.2, seed=3), "aa8ed16ffc114fd2"),
    "line": (lambda: data.noisy_line(64, 2.0, 1.0, 0.1, seed=2), "5e73cd8e26302070"),
}


@pytest.mark.parametrize("name", PINNED)
def test_bytes_never_change(name: str) -> None:
    """Little-endian bytes of x and y. A change here moves every published figure."""
    make, expected = PINNED[name]
    x, y = make()
    stored = x.astype("<f4").tobytes() + y.astype("<f4").tobytes()
    assert hashlib.sha256(stored).hexdigest()[:16] == expected


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: data.spiral(classes=0), "classes"),
        (lambda: data.spiral(classes=True), "classes"),
        (lambda: data.spiral(points_per_class=1), "points_per_class"),
        (lambda: data.spiral(points_per_class=2.5), "points_per_class"),  # type: ignore[arg-type]
        (lambda: data.spiral(noise=-0.1), "noise"),
        (lambda: data.spiral(noise=math.nan), "noise"),
        (lambda: data.spiral(seed=-1), "seed"),
        (lambda: data.circles(n=1), "n is"),
        (lambda: data.circles(n=10**12), "n is"),
        (lambda: data.circles(factor=1.0), "factor"),
        (lambda: data.circles(factor="big"), "factor"),  # type: ignore[arg-type]
        (lambda: data.moons(0, 0.1, 0), "n is"),
        (lambda: data.moons(10, math.inf, 0), "noise"),
        (lambda: data.noisy_line(10, slope=math.inf), "slope"),
        (lambda: data.noisy_line(10, intercept=1e300), "intercept"),
        (lambda: data.noisy_line(0), "n is"),
    ],
)
def test_settings_out_of_range(make: Callable[[], Arrays], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        make()
