"""split, standardise, min_max, one_hot: every row once, shares kept, training statistics only."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from glassgrad import data
from glassgrad.errors import ConfigError, DataError, GlassgradError, ShapeError
from tests.conftest import require


@given(
    labels=st.lists(st.integers(-2, 4), min_size=2, max_size=60),
    test=st.floats(0.05, 0.9),
    seed=st.integers(0, 2**64 - 1),
    stratify=st.booleans(),
)
def test_every_row_is_in_one_part(
    labels: list[int], test: float, seed: int, stratify: bool
) -> None:
    n = len(labels)
    x, y = np.arange(n), np.array(labels)
    held = math.ceil(test * n - 1e-9)
    if held >= n:
        with pytest.raises(DataError):
            data.split(x, y, test, seed, stratify)
        return
    x_train, x_test, y_train, y_test = data.split(x, y, test, seed, stratify)
    assert sorted([*x_train.tolist(), *x_test.tolist()]) == list(range(n))
    assert len(x_test) == held
    np.testing.assert_array_equal(y_train, y[x_train])
    np.testing.assert_array_equal(y_test, y[x_test])
    if stratify:
        in_test = Counter(y_test.tolist())
        for label, count in Counter(labels).items():
            assert abs(in_test[label] - held * count / n) < 1


def test_the_seed_names_the_split() -> None:
    x, y = np.arange(100), np.repeat([0, 1], 50)
    a, b, c = (data.split(x, y, seed=seed)[1] for seed in (0, 0, 1))
    assert a.tolist() == b.tolist() != c.tolist()


def test_columns_of_classes_are_split_too() -> None:
    _, y = data.circles()
    y_train, y_test = data.split(y, y)[2:]
    assert (y_train.mean(), y_test.mean(), y_test.shape) == (0.5, 0.5, (200, 1))


@pytest.mark.parametrize(
    ("x", "y", "settings", "kind"),
    [
        (np.zeros((4, 2)), np.zeros(3), {}, ShapeError),
        (np.zeros((4, 2)), np.zeros((4, 3)), {}, ShapeError),
        (np.zeros((4, 2)), np.array([0.1, 0.2, 0.3, 0.4]), {}, DataError),
        (np.zeros((4, 2)), np.array([0, 1, math.nan, 1]), {}, DataError),
        (np.zeros((0, 2)), np.zeros(0), {}, DataError),
        (np.zeros((1, 2)), np.zeros(1), {}, DataError),
        (np.zeros((4, 2)), np.zeros(4), {"test": 0}, ConfigError),
        (np.zeros((4, 2)), np.zeros(4), {"test": 1.0}, ConfigError),
        (np.zeros((4, 2)), np.zeros(4), {"test": True}, ConfigError),
        (np.zeros((4, 2)), np.zeros(4), {"test": math.nan}, ConfigError),
        (np.zeros((4, 2)), np.zeros(4), {"test": "a"}, ConfigError),
        (np.zeros((4, 2)), np.zeros(4), {"test": 0.9}, DataError),
        (np.zeros((4, 2)), np.zeros(4), {"seed": -1}, ConfigError),
    ],
)
def test_what_cannot_be_split(
    x: Any, y: Any, settings: dict[str, Any], kind: type[GlassgradError]
) -> None:
    with pytest.raises(kind):
        data.split(x, y, **settings)


def test_measurements_split_without_strata() -> None:
    x, y = data.noisy_line(10)
    assert len(data.split(x, y, stratify=False)[1]) == 2


def test_standardise_is_scikit_learns() -> None:
    scaler = require("sklearn.preprocessing").StandardScaler()
    rng = np.random.default_rng(0)
    train = rng.normal(5, [1, 100, 0.001], (50, 3))
    test = rng.normal(5, 3, (20, 3))
    train[:, 2] = 3.0  # a constant column
    ours_train, ours_test = data.standardise(train, test)
    np.testing.assert_allclose(ours_train, scaler.fit_transform(train), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours_test, scaler.transform(test), rtol=1e-5, atol=1e-6)
    assert ours_train.dtype == ours_test.dtype == np.float32


def test_standardise_takes_any_number() -> None:
    (only,) = data.standardise(np.array([[1], [3]]))
    assert only.tolist() == [[-1.0], [1.0]]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_standardise_names_the_bad_cell(bad: float) -> None:
    rows = np.zeros((5, 3))
    rows[3, 1] = bad
    with pytest.raises(DataError, match="array 2, first at row 3, column 1"):
        data.standardise(np.zeros((2, 3)), rows)


@pytest.mark.parametrize(
    ("tables", "kind"),
    [
        ((np.zeros(3),), ShapeError),
        ((np.zeros((3, 2)), np.zeros((3, 1))), ShapeError),
        ((np.zeros((3, 2)), np.zeros((3, 2, 1))), ShapeError),
        ((np.zeros((0, 2)),), DataError),
    ],
)
def test_what_cannot_be_standardised(tables: tuple[Any, ...], kind: type[GlassgradError]) -> None:
    with pytest.raises(kind):
        data.standardise(*tables)


def test_min_max_is_scikit_learns() -> None:
    scaler = require("sklearn.preprocessing").MinMaxScaler()
    rng = np.random.default_rng(0)
    train, test = rng.normal(5, [1, 100, 0.001], (50, 3)), rng.normal(5, 3, (20, 3))
    train[:, 2] = 3.0  # a constant column
    ours_train, ours_test = data.min_max(train, test)
    np.testing.assert_allclose(ours_train, scaler.fit_transform(train), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours_test, scaler.transform(test), rtol=1e-5, atol=1e-6)
    for wrong in (np.zeros(3), np.zeros((0, 2)), np.full((2, 2), math.nan)):
        with pytest.raises(GlassgradError) as caught:
            data.min_max(wrong)
        assert "min_max" in caught.value.where


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(10, 12))
def test_one_hot_has_one_1_in_each_row(labels: list[int], classes: int) -> None:
    found = data.one_hot(np.array(labels, np.int64), classes)
    assert found.shape == (len(labels), classes)
    assert [row.index(1.0) for row in found.tolist()] == labels
    assert found.sum() == len(labels)


@pytest.mark.parametrize(
    ("y", "classes", "kind"),
    [
        ([0, 3], 3, DataError), ([-1], 3, DataError), ([0.5], None, DataError),
        ([1.0], None, DataError), (["a"], None, DataError), ([], None, DataError),
        ([[0]], None, ShapeError), (0, None, ShapeError), ([0], 0, ConfigError),
        ([0], True, ConfigError), ([0], 2.0, ConfigError),
    ],
)  # fmt: skip
def test_5_what_is_no_class_number(y: Any, classes: Any, kind: type[GlassgradError]) -> None:
    with pytest.raises(kind) as caught:
        data.one_hot(y, classes)
    assert caught.value.expected
    assert caught.value.received
