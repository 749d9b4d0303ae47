"""Splits by group and by time, and folds: nothing leaks, every row has its place."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from glassgrad import data
from glassgrad.errors import ConfigError, DataError, GlassgradError, ShapeError
from tests.conftest import require

SEEDS = st.integers(0, 2**64 - 1)


@given(st.lists(st.integers(0, 9), min_size=2, max_size=60), st.floats(0.05, 0.9), SEEDS)
def test_no_group_is_in_both_parts(groups: list[int], test: float, seed: int) -> None:
    n, names = len(groups), set(groups)
    held = int(np.ceil(test * len(names) - 1e-9))
    rows = np.arange(n)
    if len(names) < 2 or held >= len(names):
        with pytest.raises(DataError, match="too few groups"):
            data.split(rows, rows, test, seed, groups=groups)
        return
    train, held_out, _, _ = data.split(rows, rows, test, seed, groups=groups)
    assert sorted([*train, *held_out]) == list(range(n))
    in_test = {groups[i] for i in held_out}
    assert not in_test & {groups[i] for i in train}
    assert len(in_test) == held


@given(st.lists(st.integers(0, 20), min_size=2, max_size=60), st.floats(0.05, 0.9))
def test_no_training_row_is_as_late_as_a_test_row(times: list[int], test: float) -> None:
    rows, time = np.arange(len(times)), np.array(times)
    held = int(np.ceil(test * len(times) - 1e-9))
    if held >= len(times) or sorted(times)[len(times) - held] == min(times):
        with pytest.raises(DataError, match="too few"):
            data.split(rows, rows, test, times=times)
        return
    train, late, _, _ = data.split(rows, rows, test, times=times)
    assert sorted([*train, *late]) == list(range(len(times)))
    assert time[train].max() < time[late].min()
    assert len(late) >= held
    assert (np.diff(time[train]) >= 0).all()
    assert (np.diff(time[late]) >= 0).all()


def test_dates_and_texts_are_times() -> None:
    days = np.array(["2024-03-01", "2024-01-01", "2024-02-01", "2024-04-01"])
    for times in (days, days.astype("M8[D]")):
        assert data.split(days, days, 0.25, times=times)[1].tolist() == ["2024-04-01"]


@given(st.lists(st.integers(0, 3), min_size=2, max_size=60), st.integers(2, 8), SEEDS)
def test_every_row_is_tested_once(labels: list[int], k: int, seed: int) -> None:
    n = len(labels)
    for given_ in ({}, {"stratify": labels}):
        if n < k:
            with pytest.raises(DataError, match="too few rows"):
                data.folds(n, k, seed=seed, **given_)
            continue
        found = data.folds(n, k, seed=seed, **given_)
        assert len(found) == k
        assert sorted(i for _, test in found for i in test) == list(range(n))
        for train, test in found:
            assert sorted([*train, *test]) == list(range(n))
        sizes = [len(test) for _, test in found]
        assert max(sizes) - min(sizes) <= 1
        if given_:
            for label in set(labels):
                each = [Counter(labels[i] for i in test)[label] for _, test in found]
                assert max(each) - min(each) <= 1


@given(st.lists(st.integers(0, 9), min_size=2, max_size=60), st.integers(2, 5))
def test_folds_of_groups_keep_groups_whole_and_fill_evenly(groups: list[int], k: int) -> None:
    sizes = Counter(groups)
    if len(sizes) < k:
        with pytest.raises(DataError, match="too few"):
            data.folds(len(groups), k, groups=groups)
        return
    found = data.folds(len(groups), k, groups=groups)
    assert sorted(i for _, test in found for i in test) == list(range(len(groups)))
    for train, test in found:
        assert not {groups[i] for i in train} & {groups[i] for i in test}
    # Greedy filling: no fold exceeds another by more than the largest group.
    filled = [len(test) for _, test in found]
    assert max(filled) - min(filled) <= max(sizes.values())


def test_folds_of_groups_are_scikit_learns() -> None:
    selection = require("sklearn.model_selection")
    groups = np.repeat(np.arange(7), [9, 1, 5, 4, 2, 8, 3])
    theirs = selection.GroupKFold(3).split(groups, groups=groups)
    ours = data.folds(len(groups), 3, groups=groups)
    assert {tuple(t) for _, t in theirs} == {tuple(t.tolist()) for _, t in ours}


@given(st.lists(st.integers(0, 30), min_size=3, max_size=60), st.integers(2, 5))
def test_folds_of_time_never_look_ahead(times: list[int], k: int) -> None:
    time = np.array(times)
    try:
        found = data.folds(len(times), k, times=times)
    except DataError:
        assert len(times) < k + 1 or len(set(times)) < len(times)
        return
    assert len(found) == k
    before: set[int] = set(found[0][0].tolist())
    for train, test in found:
        assert set(train.tolist()) == before
        assert time[train].max() < time[test].min()
        before |= set(test.tolist())
    assert before == set(range(len(times)))


def test_folds_of_different_times_are_scikit_learns() -> None:
    selection = require("sklearn.model_selection")
    theirs = list(selection.TimeSeriesSplit(3).split(np.zeros(20)))
    for (train, test), (a, b) in zip(data.folds(20, 3, times=np.arange(20)), theirs, strict=True):
        np.testing.assert_array_equal(train, a)
        np.testing.assert_array_equal(test, b)


def test_the_seed_names_the_folds() -> None:
    a, b, c = (np.concatenate([t for _, t in data.folds(50, seed=s)]) for s in (0, 0, 1))
    assert a.tolist() == b.tolist() != c.tolist()
    # What was drawn once is drawn for ever.
    assert [t.tolist() for _, t in data.folds(6, 3)] == [[0, 2], [3, 4], [1, 5]]
    assert data.split(np.arange(6), np.arange(6), groups=[0, 0, 1, 1, 2, 2])[1].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"k": 1}, ConfigError), ({"k": 2.0}, ConfigError), ({"k": True}, ConfigError),
        ({"k": 11}, DataError), ({"seed": -1}, ConfigError), ({"seed": "a"}, ConfigError),
        ({"stratify": [1] * 9}, ShapeError), ({"stratify": [0.5] * 10}, DataError),
        ({"groups": [1] * 10}, DataError), ({"groups": [[1]] * 10}, ShapeError),
        ({"times": [1] * 10}, DataError), ({"times": [float("nan"), *range(9)]}, DataError),
        ({"times": [None] * 10}, DataError), ({"times": np.array(["NaT"] * 10, "M8[s]")}, DataError),
        ({"times": range(10), "groups": range(10)}, ConfigError),
        ({"stratify": range(10), "groups": range(10)}, ConfigError),
    ],
)  # fmt: skip
def test_what_cannot_be_folded(settings: dict[str, Any], kind: type[GlassgradError]) -> None:
    with pytest.raises(kind) as caught:
        data.folds(10, **settings)
    assert caught.value.expected
    assert caught.value.received


def test_groups_and_times_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="groups and times"):
        data.split(np.arange(4), np.arange(4), groups=[0, 0, 1, 1], times=[1, 2, 3, 4])
