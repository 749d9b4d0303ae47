"""From columns to inputs: what training rows teach, and what other rows then become."""

from __future__ import annotations

import json
import math
import statistics
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from glassgrad.data.preparation import Categorical, Numeric, TablePreparation, Target
from glassgrad.data.table import Table
from glassgrad.data.target import Question, answers_in, learnt_target, question
from glassgrad.errors import ConfigError, DataError, GlassgradError
from tests.conftest import require

TRAIN = Table(
    {
        "age": ["20", "", "30", "60", "50"],
        "town": ["Ulm", "", "Bonn", "Ulm", "Ulm"],
        "height": ["1.5", "1.6", "1.7", "1.8", "1.9"],
    }
)
HOW = TablePreparation.fit(TRAIN)


def test_an_empty_number_takes_the_median_and_is_marked() -> None:
    assert HOW.features == (
        "age", "age is empty", "town = empty", "town = Bonn", "town = Ulm", "height",
    )  # fmt: skip
    age = HOW.columns[0]
    assert isinstance(age, Numeric)
    assert age.median == statistics.median([20, 30, 60, 50]) == 40
    filled = [20, 40, 30, 60, 50]
    assert age.mean == statistics.fmean(filled)
    assert math.isclose(age.deviation, statistics.pstdev(filled))
    x = HOW(TRAIN)
    assert x.dtype == np.float32
    np.testing.assert_allclose(
        x[:, 0], [(v - 40) / statistics.pstdev(filled) for v in filled], rtol=1e-6
    )
    assert x[:, 1].tolist() == [0, 1, 0, 0, 0]
    other = HOW(Table({"height": ["1.7"], "age": [""], "more": ["7"], "town": ["Bonn"]}))
    assert other[0].tolist() == pytest.approx([0, 1, 0, 1, 0, 0], abs=1e-6)


def test_an_empty_category_is_its_own_class() -> None:
    assert HOW(TRAIN)[:, 2:5].tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]


def test_an_unseen_category_is_said_once_and_gives_zeros() -> None:
    rows = Table({"age": ["1"] * 4, "town": ["Rom", "Ulm", "Rom", "\x1b[2J"], "height": ["1"] * 4})
    prepared = HOW.apply(rows)
    assert prepared.x[:, 2:5].tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]
    (note,) = prepared.notes
    for word in ("'town'", "'Rom' and 1 more classes", "3 rows", "never seen", "are 0"):
        assert word in note
    with pytest.warns(UserWarning, match="'town': 'Rom' and 1 more"):
        HOW(rows)


def test_an_empty_cell_where_training_had_none_takes_the_median_and_is_said() -> None:
    prepared = HOW.apply(Table({"age": ["40"], "town": ["Ulm"], "height": [""]}))
    assert prepared.x[0, 5] == pytest.approx(0, abs=1e-6)
    assert "'height': 1 empty cell takes the median, 1.7" in prepared.notes[0]
    how = TablePreparation.fit(Table({"a": ["x", "y"]}))
    assert "an empty cell was never seen" in how.apply(Table({"a": [""]})).notes[0]


def test_any_other_cell_that_does_not_parse_is_an_error_by_line_and_column() -> None:
    with pytest.raises(DataError, match="row 1, column 'age'"):
        HOW(Table({"age": ["1", "abc"], "town": ["Ulm"] * 2, "height": ["1"] * 2}))
    with pytest.raises(DataError, match="row 0, column 'height'"):  # also the only one there is
        HOW(Table({"age": ["1"], "town": ["Ulm"], "height": ["tall"]}))
    with pytest.raises(DataError, match="too far from those of training"):
        HOW(Table({"age": ["1e300"], "town": ["Ulm"], "height": ["1"]}))


def test_3_missing_columns_are_named() -> None:
    with pytest.raises(DataError) as caught:
        HOW(Table({"age": ["1"], "Town": ["Ulm"]}))
    text = str(caught.value)
    for word in ("2 columns are missing", "town, height", "columns age, Town", "mean 'Town'"):
        assert word in text


def test_only_training_rows_teach_but_all_rows_are_checked() -> None:
    table = Table({"a": ["1", "3", "1000", ""], "b": ["x", "y", "z", "x"]})
    how = TablePreparation.fit(table, rows=np.array([0, 1]))
    assert how.columns == (Numeric("a", 2.0, 2.0, 1.0), Categorical("b", ("x", "y")))
    bad = Table({"a": ["1", "3", "1000", "q"], "b": ["x", "y", "z", "x"]})
    with pytest.raises(DataError, match="row 3, column 'a'"):
        TablePreparation.fit(bad, rows=np.array([0, 1]))


def test_columns_are_what_the_user_says() -> None:
    table = Table({"a": ["1", "2"], "b": ["x", "y"], "c": ["3", "4"]})
    how = TablePreparation.fit(table, target=Target("c"), categorical=["a"], drop=["b"])
    assert how.columns == (Categorical("a", ("1", "2")),)
    for settings in (
        {"drop": ["d"]}, {"categorical": ["d"]}, {"target": Target("d")},
        {"drop": ["a"], "categorical": ["a"]}, {"drop": ["a"], "target": Target("a")},
        {"drop": ["a", "b"], "target": Target("c")},
    ):  # fmt: skip
        with pytest.raises(GlassgradError):
            TablePreparation.fit(table, **settings)


def test_rarer_classes_share_one_input() -> None:
    cells = [f"c{i}" for i in range(60) for _ in range(2 + (i < 50))]
    how = TablePreparation.fit(Table({"a": cells}))
    (column,) = how.columns
    assert isinstance(column, Categorical)
    assert len(column.classes) == 50
    assert set(column.rare) == {f"c{i}" for i in range(50, 60)}
    assert how.features[-1] == "a = other"
    prepared = how.apply(Table({"a": ["c0", "c55", "never"]}))
    assert prepared.x.sum(axis=1).tolist() == [1, 1, 1]
    assert prepared.x[:, -1].tolist() == [0, 1, 1]
    assert "1 row): counted as other" in prepared.notes[0]


def test_columns_that_are_no_classes_are_refused_with_what_to_type() -> None:
    rows = 2000
    table = Table({
        "a": ["1"] * rows,
        "free text": [f"t{i}" for i in range(rows)],
        "b": [f"u{i // 2 + 1}" for i in range(rows - 4)] + ["x", "x", "y", "z"],
    })  # fmt: skip
    with pytest.raises(DataError) as caught:
        TablePreparation.fit(table)
    text = str(caught.value)
    for word in (
        "'free text' has 2,000 different texts",
        "so have b",
        "--drop 'free text' --drop b",
    ):
        assert word in text
    with pytest.raises(DataError, match="too long"):
        TablePreparation.fit(Table({"a": ["x" * 1001, "y"]}))


def test_it_is_what_scikit_learn_does() -> None:
    impute = require("sklearn.impute")
    processing = require("sklearn.preprocessing")
    rng = np.random.default_rng(0)
    numbers = rng.normal(10, 3, (200, 2))
    numbers[rng.random((200, 2)) < 0.2] = np.nan
    towns = rng.choice(["a", "b", "c"], 200)
    table = Table.of({"u": numbers[:, 0], "v": numbers[:, 1], "w": towns})
    how = TablePreparation.fit(table, rows=np.arange(150))
    imputer = impute.SimpleImputer(strategy="median", add_indicator=True).fit(numbers[:150])
    filled = imputer.transform(numbers)
    scaled = processing.StandardScaler().fit(filled[:150, :2]).transform(filled[:, :2])
    hot = processing.OneHotEncoder().fit(towns[:150, None]).transform(towns[:, None]).toarray()
    wanted = np.column_stack([scaled[:, 0], filled[:, 2], scaled[:, 1], filled[:, 3], hot])
    np.testing.assert_allclose(how(table), wanted, rtol=1e-5, atol=1e-6)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_any_finite_column_becomes_finite_inputs(values: list[float]) -> None:
    table = Table({"a": [repr(v) for v in values]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        how = TablePreparation.fit(table)
        x = how(table)
    assert np.isfinite(x).all()
    assert np.abs(x).max() <= math.sqrt(len(values)) * 1.001 or np.ptp(values) == 0
    (column,) = how.columns
    assert isinstance(column, Numeric)
    if max(map(abs, values)) < 1e300:
        assert column.median == pytest.approx(statistics.median(values), rel=1e-15)


def test_constant_and_empty_columns_are_fine() -> None:
    how = TablePreparation.fit(Table({"a": ["5", "5"], "b": ["", ""], "c": ["x", "x"]}))
    assert how(Table({"a": ["5"], "b": [""], "c": ["x"]})).tolist() == [[0, 1, 1]]


# ------------------------------------------------------------------------------------ plain data


def test_plain_data_and_back() -> None:
    how = TablePreparation.fit(TRAIN, target=Target("height", 1.5, 0.25))
    plain = json.loads(json.dumps(how.plain()))
    again = TablePreparation.from_plain(plain)
    assert again == how
    assert again.features == how.features
    np.testing.assert_array_equal(again(TRAIN), how(TRAIN))


PLAIN = TablePreparation(HOW.columns, Target("y", 1.5, 0.25)).plain


def _set(*path: Any) -> Any:
    *over, last, value = path

    def change() -> Any:
        found = PLAIN()
        place: Any = found
        for key in over:
            place = place[key]
        place[last] = value
        return found

    return change


@pytest.mark.parametrize(
    "change",
    [
        list, dict, lambda: None, lambda: {**PLAIN(), "more": 1},
        lambda: dict(reversed(PLAIN().items())),
        _set("columns", {}), _set("columns", []), _set("columns", 0, 3),
        _set("columns", 0, "kind", "text"), _set("columns", 0, "kind", ["numeric"]),
        _set("columns", 0, "name", ""), _set("columns", 0, "name", "town"),
        _set("columns", 0, "name", "x" * 1001), _set("columns", 0, "name", 3),
        _set("columns", 0, "median", 3), _set("columns", 0, "median", math.nan),
        _set("columns", 0, "mean", math.inf), _set("columns", 0, "mean", None),
        _set("columns", 0, "deviation", 0.0), _set("columns", 0, "deviation", -1.0),
        _set("columns", 0, "indicator", 1), _set("columns", 0, "more", 1),
        _set("columns", 1, "classes", []), _set("columns", 1, "classes", "abc"),
        _set("columns", 1, "classes", ["a", "a"]), _set("columns", 1, "classes", [3]),
        _set("columns", 1, "rare", ["Ulm"]), _set("columns", 1, "rare", ["x" * 1001]),
        _set("columns", 1, "rare", [f"{i:0999}" for i in range(600)]),
        _set("columns", 1, "rare", [f"{i}" for i in range(60_000)]),
        _set("target", []), _set("target", {}), _set("target", "name", "age"),
        _set("target", "deviation", 0.0), _set("target", "mean", True), _set("target", "x", 1),
    ],
)  # fmt: skip
def test_anything_else_is_no_preparation(change: Any) -> None:
    with pytest.raises(ConfigError):
        TablePreparation.from_plain(change())


# ---------------------------------------------------------------------------------------- target


@pytest.mark.parametrize(
    ("cells", "task", "found"),
    [
        (["1.5", "2", "3.5"], None, ("regression", ())),
        (["0", "1", "1"], None, ("binary", ("0", "1"))),
        (["1.0", "1", "0", "00"], None, ("binary", ("0", "1"))),
        (["0.5", "2.5"], None, ("binary", ("0.5", "2.5"))),
        ([str(i % 3) for i in range(15)], None, ("classification", ("0", "1", "2"))),
        ([str(i % 3) for i in range(14)], None, ("regression", ())),
        ([str(i % 11) for i in range(100)], None, ("regression", ())),
        ([str(i % 3 + 0.5) for i in range(100)], None, ("regression", ())),
        ([str(i % 3) for i in range(15)], "regression", ("regression", ())),
        ([str(i % 12) for i in range(12)], "classification", ("classification", tuple(map(str, range(12))))),
        (["b", "a", "c"], None, ("classification", ("a", "b", "c"))),
        (["b", "a"], "classification", ("classification", ("a", "b"))),
        (["10", "9", "10"], "binary", ("binary", ("9", "10"))),
    ],
)  # fmt: skip
def test_the_question_is_read_from_the_target(
    cells: list[str], task: str | None, found: tuple[str, tuple[str, ...]]
) -> None:
    asked = question(Table({"y": cells}), "y", task)
    assert (asked.task, asked.classes) == found


@pytest.mark.parametrize(
    ("cells", "task", "word"),
    [
        (["a", "a"], None, "one value only"),
        (["1", "1.0"], None, "one value only"),
        (["1", "1"], "regression", "one value only"),
        (["a", "", ""], None, "2 rows have no target"),
        (["a", "b", "c"], "binary", "3 different values"),
        (["a", "b"], "regression", "row 0, column 'y'"),
        (["1", "2", "q"], None, "row 2, column 'y'"),
        (["1", "2"], "regresion", "did you mean 'regression'"),
        ([str(i) for i in range(1001)], "classification", "1,001 different values"),
    ],
)
def test_2_a_target_that_cannot_be_learnt(cells: list[str], task: str | None, word: str) -> None:
    with pytest.raises(GlassgradError) as caught:
        question(Table({"y": cells}), "y", task)
    assert word in str(caught.value)


def test_answers_are_what_the_losses_take() -> None:
    table = Table({"y": ["b", "a", "b"], "z": ["1", "3", "5"], "w": ["1.0", "0", "1"]})
    rows = np.arange(2)
    asked = question(table, "y", "classification")
    y = answers_in(table, learnt_target(table, "y", asked, rows), asked)
    assert (y.dtype.name, y.tolist()) == ("int64", [1, 0, 1])
    asked = question(table, "w")
    y = answers_in(table, learnt_target(table, "w", asked, rows), asked)
    assert (y.dtype.name, y.tolist()) == ("float32", [[1], [0], [1]])
    asked = question(table, "z", "regression")
    target = learnt_target(table, "z", asked, rows)
    assert target == Target("z", 2.0, 1.0)
    assert answers_in(table, target, asked).tolist() == [[-1], [1], [3]]
    with pytest.raises(DataError) as caught:
        answers_in(Table({"y": ["a", "zebra"]}), Target("y"), Question("binary", ("a", "b")))
    for word in ("row 1, column 'y'", "one of a, b", "'zebra'"):
        assert word in str(caught.value)


def test_equal_numbers_are_one_class_and_others_never_are() -> None:
    same = ["1", "1.0", "+1", "01", "1e0", "10e-1"]
    long = ["9007199254740992", "9007199254740993", "1e400", "1e500", "-0", "0"]
    table = Table({"y": same + long})
    asked = question(table, "y", "classification")
    assert asked.classes == (
        "0", "1", "9007199254740992", "9007199254740993", "1e400", "1e500",
    )  # fmt: skip
    assert answers_in(table, Target("y"), asked).tolist() == [1] * 6 + [2, 3, 4, 5, 0, 0]


def test_classes_may_be_numbers_and_texts() -> None:
    table = Table({"y": ["1", "2", "x", "1.0"]})
    asked = question(table, "y", "classification")
    assert asked.classes == ("1", "1.0", "2", "x")  # as they are written: they are texts
    assert answers_in(table, Target("y"), asked).tolist() == [0, 2, 3, 1]
    with pytest.raises(DataError, match="not a number") as caught:
        question(table, "y")
    assert "--task classification" in caught.value.hint


def test_a_target_that_is_said_to_be_classes_is_not_measured() -> None:
    table = Table({"y": ["1.5", "2.5", "4.5"]})
    assert question(table, "y").task == "regression"
    assert question(table, "y", classes=True).task == "classification"
    with pytest.raises(ConfigError, match="classes and to be measured"):
        question(table, "y", "regression", classes=True)


def test_a_target_too_far_from_training_is_an_error_by_line() -> None:
    table = Table({"y": ["1", "2", "1e300"]})
    asked = question(table, "y", "regression")
    target = learnt_target(table, "y", asked, np.array([0, 1]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match="too far") as caught:
            answers_in(table, target, asked)
    assert "row 2, column 'y'" in caught.value.where


def test_a_class_with_too_long_a_name_is_an_error_by_line() -> None:
    with pytest.raises(DataError, match="too long") as caught:
        question(Table({"y": ["a", "b" * 1001]}), "y")
    assert "row 1" in caught.value.where
