"""Curves and boundaries: well-formed, true to their numbers, and inert whatever the names say."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from glassgrad import data
from glassgrad.errors import DataError, GlassgradError, ShapeError
from glassgrad.inspect.plots import curves, decision_boundary
from glassgrad.inspect.svg import coordinate, linear, text, value_scale
from tests.inert import inert_svg
from tests.inspect.laid_out import finite

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    "<script>alert(1)</script>",
    "</title></svg><img src=x onerror=alert(1)>",
    '" onload="alert(1)',
    "' onload='alert(1)",
    "]]><!--",
    "&lt;&#x3c;&amp;",
    "&nosuch;",
    "a\0b\x01\x1b[31mc\r\n\td",
    "\ud800 alone",
    "\ufffe\uffff",
    "\u202eright to left\u2066",
    "url(javascript:alert(1))",
    "x:expression(alert(1))",
    "</style><style>*{display:none}",
    "long " * 500,
    "日本語 ελληνικά 🙂",
    "",
)


def parsed(svg: str) -> ET.Element:
    """The picture as XML, which does nothing and has a place for everything."""
    assert inert_svg(svg)
    assert finite(svg)
    assert svg.count("<style>") == 1
    return ET.fromstring(svg.encode("utf-8"))


def all_text(root: ET.Element) -> list[str]:
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]


def lines(root: ET.Element) -> list[ET.Element]:
    return [path for path in root.iter(f"{SVG}path") if "gg-line" in path.get("class", "")]


# ------------------------------------------------------------------------------------ curves


def test_train_and_validation() -> None:
    history = {
        "loss": [0.9, 0.5, 0.3],
        "val_loss": [1.0, 0.7, 0.6],
        "accuracy": [0.5, 0.7, 0.9],
        "val_accuracy": [0.4, 0.6, 0.8125],
        "seconds": [1.0, 1.0, 1.0],
    }
    root = parsed(curves(history, "digits"))
    words = all_text(root)
    assert {"digits", "loss", "accuracy", "epoch"} <= set(words)
    assert {"train 0.3", "val 0.6", "train 0.9", "val 0.8125"} <= set(words)
    assert not any("seconds" in word for word in words)
    looks = [path.get("class", "").split() for path in lines(root)]
    assert [("gg-val" in look, "gg-s1" in look) for look in looks] == [
        (False, False),
        (True, True),
    ] * 2
    assert root.get("width") == "860"


def test_points_stand_where_their_numbers_say() -> None:
    """Read the picture back: y by two ticks of the axis, x by two ticks of the other."""
    loss = [0.93, 0.41, 0.37, 0.12, 0.3]
    root = parsed(curves({"loss": loss}, "t"))
    ticks: dict[str, list[tuple[float, float]]] = {"x": [], "y": []}
    for word in root.iter(f"{SVG}text"):
        shown = "".join(word.itertext())
        if re.fullmatch(r"[\d.]+", shown):
            if word.get("text-anchor") == "end":
                ticks["y"].append((float(word.get("y", "")) - 4, float(shown)))
            else:
                ticks["x"].append((float(word.get("x", "")), float(shown)))
    (line,) = lines(root)
    points = np.array([pair.split() for pair in line.get("d", "")[1:].split("L")], dtype=float)
    for axis, expected in (("x", [1, 2, 3, 4, 5]), ("y", loss)):
        pixels, values = np.array(ticks[axis]).T
        slope, offset = np.polyfit(pixels, values, 1)
        np.testing.assert_allclose(
            slope * points[:, "xy".index(axis)] + offset, expected, atol=2e-3
        )


def test_logarithm_only_where_loss_spans_two_decades() -> None:
    for history, expected in (
        ({"loss": [1.0, 0.1, 0.009]}, True),
        ({"loss": [1.0, 0.1, 0.011]}, False),
        ({"loss": [1.0, 0.1, 0.0]}, False),
        ({"loss": [1.0, 0.001, -1.0]}, False),
        ({"loss": [1.0], "val_loss": [1e-7]}, True),
        ({"mae": [1.0, 0.0001]}, False),
        ({"loss": [1e-320, 1.0]}, False),
        ({"loss": [1e-299, 1e299]}, True),
    ):
        assert ("log scale" in curves(history, "t")) == expected, history
        parsed(curves(history, "t"))


@pytest.mark.parametrize(
    "history",
    [
        {},
        {"loss": []},
        {"loss": [], "accuracy": []},
        {"seconds": [1.0, 2.0]},
        {"loss": [np.nan, np.inf]},
    ],
)
def test_nothing_to_draw(history: dict[str, list[float]]) -> None:
    root = parsed(curves(history, "empty"))
    assert "nothing to draw yet" in all_text(root)
    assert not lines(root)


def test_one_epoch_is_a_dot() -> None:
    root = parsed(curves({"loss": [0.7], "accuracy": [0.5]}, "one"))
    assert len(list(root.iter(f"{SVG}circle"))) == 2
    assert not lines(root)


def test_what_is_not_finite_is_a_gap() -> None:
    root = parsed(curves({"loss": [1.0, 0.9, np.nan, 0.8, np.inf, 0.7, 0.6, 1e305, -np.inf]}, "t"))
    (line,) = lines(root)
    assert line.get("d", "").count("M") == 2
    assert len(list(root.iter(f"{SVG}circle"))) == 1
    assert "train 0.6" in all_text(root)


def test_long_histories_stay_small_and_keep_their_peaks() -> None:
    loss = np.linspace(1.0, 0.5, 200_000)
    loss[123_456] = 3.0
    svg = curves({"loss": loss}, "long")  # type: ignore[dict-item]
    assert len(svg) < 40_000
    (line,) = lines(parsed(svg))
    heights = [float(pair.split()[1]) for pair in line.get("d", "")[1:].split("L")]
    assert min(heights) == 88.0


def test_epoch_column_gives_the_axis_unless_it_is_unusable() -> None:
    loss: list[float] = [4, 3, 2, 1]
    assert "14" in all_text(parsed(curves({"epoch": [11, 12, 13, 14], "loss": loss}, "t")))
    unusable: list[list[float]] = [[1], [1, 1, 1, 1], [4, 3, 2, 1], [1, 2, np.nan, 4]]
    for bad in unusable:
        assert "4" in all_text(parsed(curves({"epoch": bad, "loss": loss}, "t")))


def test_several_metrics_have_a_colour_each() -> None:
    history = {"loss": [1.0, 2.0], "mae": [1.0, 2.0], "val_mae": [1.5, 2.5], "r2": [0.5, 0.6]}
    root = parsed(curves(history, "t"))
    assert {"metrics", "mae 2", "val mae 2.5", "r2 0.6"} <= set(all_text(root))


def test_end_labels_do_not_overlap() -> None:
    history = {f"m{i}": [0.5, 0.5 + i * 1e-4] for i in range(12)}
    root = parsed(curves(history, "t"))
    ends = [word for word in root.iter(f"{SVG}text") if "gg-f" in word.get("class", "")]
    heights = sorted(float(word.get("y", "")) for word in ends)
    assert len(heights) == 12
    assert min(np.diff(heights)) >= 14.9
    assert heights[0] - 4 >= 88
    assert heights[-1] - 4 <= 304.01


@pytest.mark.parametrize("bad", ["text", [[1.0, 2.0]], ["a"], [[None]], 3.0, [10**400]])
def test_histories_that_are_not_numbers(bad: Any) -> None:
    with pytest.raises(ShapeError, match="'loss'"):
        curves({"loss": bad}, "t")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_inert_in_curves(name: str) -> None:
    one = [1.0, 2.0]
    history = {"loss": [1.0, 0.5], name: one, "val_" + name: one, name + "2": one}
    svg = curves(history, name)
    root = parsed(svg)
    assert max(map(len, all_text(root))) <= 200
    assert root[0].text is None or root[0].text.isprintable()
    parsed(curves({name: [1.0, 2.0]}, name))  # a single metric: the name is a heading


@given(
    history=st.dictionaries(
        st.one_of(st.sampled_from(["loss", "val_loss", "epoch", "accuracy"]), st.text()),
        st.lists(st.floats() | st.integers(-3, 3), max_size=6),
        max_size=5,
    ),
    title=st.text(),
)
@settings(max_examples=300)
def test_any_history(history: dict[str, list[float]], title: str) -> None:
    parsed(curves(history, title))


# ------------------------------------------------------------------------- decision boundary


def cells(root: ET.Element) -> NDArray[np.int64]:
    """The colour of each of the 240 x 240 cells, read back from the rectangles; -1 where none."""
    out = np.full((240, 240), -1)
    assert any(g.get("transform") == "translate(66 68) scale(2)" for g in root.iter(f"{SVG}g"))
    for path in root.iter(f"{SVG}path"):
        if path.get("fill-opacity"):
            number = int(re.findall(r"gg-f(\d+)", path.get("class", ""))[0])
            for corner in re.findall(r"M(\S+) (\S+)h(\d+)v(\d+)h-\d+z", path.get("d", "")):
                b, a, w, h = (int(v) for v in corner)
                block = out[a : a + h, b : b + w]
                assert (block == -1).all()  # no cell is painted twice
                block[...] = number
    return out


SQUARE = np.array([[-1.0, -1.0], [1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]])


def test_every_cell_has_the_class_of_its_centre() -> None:
    asked: list[NDArray[np.float32]] = []

    def score(points: NDArray[np.float32]) -> NDArray[np.float32]:
        asked.append(points)
        x, y = points.T
        return np.stack([x, y, -x - y], axis=1)

    root = parsed(decision_boundary(score, SQUARE, [0, 1, 2, 0], "three"))
    (points,) = asked
    assert (points.shape, points.dtype.name) == ((240 * 240, 2), "float32")
    winner = np.stack([points[:, 0], points[:, 1], -points.sum(axis=1)], axis=1).argmax(axis=1)
    np.testing.assert_array_equal(cells(root), winner.reshape(240, 240))
    assert (points[0][0], points[0][1]) == pytest.approx((-1.155, 1.155), abs=0.01)  # top left


@pytest.mark.parametrize("column", [False, True])
def test_one_column_is_the_probability_of_class_1(column: bool) -> None:
    def score(points: NDArray[np.float32]) -> NDArray[Any]:
        p = 1 / (1 + np.exp(-5 * points[:, 0]))
        return p[:, None] if column else p

    root = parsed(decision_boundary(score, SQUARE, [[0], [1], [1], [0]], "two"))
    expected = np.repeat([[0] * 120 + [1] * 120], 240, axis=0)
    np.testing.assert_array_equal(cells(root), expected)
    shades = {path.get("fill-opacity") for path in root.iter(f"{SVG}path")} - {None}
    assert len(shades) == 4  # stronger where it is surer


def test_scores_that_are_not_finite_leave_their_cells_empty() -> None:
    def score(points: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.where(points[:, :1] > 0, np.nan, np.array([[0.25, 0.75]]))

    picture = cells(parsed(decision_boundary(score, SQUARE, [0, 1, 0, 1], "t")))
    assert (picture[:, :120] == 1).all()
    assert (picture[:, 120:] == -1).all()


def test_points_and_legend() -> None:
    x, y = data.spiral()
    root = parsed(
        decision_boundary(
            lambda p: np.zeros((len(p), 3)), x, y, "t", classes=("a", "b"), feature_names=["w", "h"]
        )
    )
    groups = [g for g in root.iter(f"{SVG}g") if g.get("class") == "gg-rim"]
    assert [len(group) for group in groups] == [300]
    assert {"a", "b", "class 2", "w", "h"} <= set(all_text(root))


def test_many_points_are_thinned_and_bad_ones_left_out() -> None:
    def drawn(x: NDArray[Any]) -> int:
        svg = decision_boundary(lambda p: p[:, 0] * 0, x, np.zeros(len(x)), "t")
        return sum(len(g) for g in parsed(svg).iter(f"{SVG}g") if g.get("class") == "gg-rim")

    assert drawn(np.random.default_rng(0).normal(size=(5000, 2))) == 2000
    assert drawn(np.array([[0, 0], [np.nan, 0], [1, np.inf], [1e200, 0], [1, 1]])) == 2
    assert drawn(np.zeros((0, 2))) == 0
    assert drawn(np.ones((3, 2))) == 3
    assert drawn(np.array([[1e29, -1e29], [0, 1e-320]])) == 2


@pytest.mark.parametrize(
    ("x", "y", "answer", "kind"),
    [
        (np.zeros(4), [0] * 4, (1,), ShapeError),
        (np.zeros((4, 3)), [0] * 4, (1,), ShapeError),
        (SQUARE, [0] * 3, (1,), ShapeError),
        (SQUARE, np.zeros((4, 2)), (1,), ShapeError),
        (SQUARE, [0, 1, 2, 0.5], (1,), DataError),
        (SQUARE, [0, 1, 2, -1], (1,), DataError),
        (SQUARE, [0, 1, 2, np.nan], (1,), DataError),
        (SQUARE, ["a", "b", "a", "b"], (1,), DataError),
        (SQUARE, [0, 1, 2, 10**15], (1,), DataError),
        (SQUARE, [0] * 4, (0,), ShapeError),
        (SQUARE, [0] * 4, (2, 2), ShapeError),
    ],
)
def test_what_cannot_be_drawn(
    x: Any, y: Any, answer: tuple[int, ...], kind: type[GlassgradError]
) -> None:
    with pytest.raises(kind):
        decision_boundary(lambda p: np.zeros((len(p), *answer)), x, y, "t")


def test_an_answer_for_other_points_than_were_asked_is_an_error() -> None:
    with pytest.raises(ShapeError, match="another shape"):
        decision_boundary(lambda _: np.zeros(3), SQUARE, [0] * 4, "t")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_inert_in_boundaries(name: str) -> None:
    svg = decision_boundary(
        lambda p: p, SQUARE, [0, 1, 0, 1], name, classes=(name, name), feature_names=(name, name)
    )
    assert max(map(len, all_text(parsed(svg)))) <= 200


# ------------------------------------------------------------------------------------- parts


@given(st.text())
def test_text_is_one_visible_line(name: str) -> None:
    shown = ET.fromstring(f"<t a='{text(name)}' b=\"{text(name)}\">{text(name)}</t>")
    assert shown.text is None or (shown.text.isprintable() and len(shown.text) <= 60)
    assert shown.get("a") == shown.get("b") == (shown.text or "")


@given(
    st.floats(-1e300, 1e300, allow_subnormal=False),
    st.floats(-1e300, 1e300, allow_subnormal=False),
    st.booleans(),
)
def test_scales_have_a_few_ticks_inside(a: float, b: float, values: bool) -> None:
    low, high = min(a, b), max(a, b)
    if low and high and max(abs(low), abs(high)) < 1e-290:
        return
    scale = (
        value_scale(np.array([low, high]), 0, 100, False) if values else linear(low, high, 0, 100)
    )
    assert 2 <= len(scale.ticks) <= 7
    assert len({label for _, label in scale.ticks}) == len(scale.ticks)
    for value, _ in scale.ticks:
        assert -0.01 <= scale(value) <= 100.01
    assert -0.01 <= scale(low) <= scale(high) <= 100.01


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (-0.001, "0"), (1.5, "1.5"), (2.004, "2"), (-3.256, "-3.26"), (100, "100")],
)
def test_coordinates_are_short(value: float, shown: str) -> None:
    assert coordinate(value) == shown
