"""Pictures of networks, images and numbers: well-formed, true to what they show, honest about the rest."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from glassgrad import inspect as looking, nn
from glassgrad.errors import ConfigError, DataError, ShapeError, UsageError
from glassgrad.inspect import (
    Picture,
    confusion_matrix,
    feature_maps,
    filters,
    graph,
    histograms,
    images,
    network,
    neuron,
    scatter,
)
from tests.hostile_names import SIX
from tests.inert import inert_svg, pictures
from tests.inspect.laid_out import finite

SVG = "{http://www.w3.org/2000/svg}"
RNG = np.random.default_rng(0)


def said(svg: str) -> list[str]:
    assert inert_svg(svg)
    return ["".join(e.itertext()) for e in ET.fromstring(svg).iter(f"{SVG}text")]


def shapes(svg: str, tag: str, look: str) -> list[ET.Element]:
    found = ET.fromstring(svg).iter(f"{SVG}{tag}")
    return [e for e in found if look in e.get("class", "").split()]


def dense(*sizes: int) -> nn.Module:
    return nn.Sequential(*[nn.Linear(a, b) for a, b in pairwise(sizes)])


def test_a_picture_is_text_that_is_saved_and_shown(tmp_path: Path) -> None:
    svg = scatter([[0, 0], [1, 1]], [0, 1], "two")
    assert isinstance(svg, Picture)
    svg.save(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text("utf-8") == svg == svg._repr_svg_()


def test_edges_have_the_sign_and_width_of_their_weights() -> None:
    model = nn.Linear(2, 2)
    model.load_state_dict({"weight": [[1.0, -2.0], [0.0, 0.5]], "bias": [0.25, 0.0]})
    svg = network(model, "four weights")
    edges = shapes(svg, "path", "gg-edge")
    widths = [float(e.attrib["stroke-width"]) for e in edges]
    assert ["gg-s1" in e.attrib["class"] for e in edges] == [False, True, False, False]
    assert np.argsort(widths).tolist() == [2, 3, 0, 1]
    assert {
        "1.00",
        "−2.00",
        "0.00",
        "0.50",
        "b 0.25",
        "4 weights: blue above 0, orange below, the widest is 2",
    } <= {*said(svg)}


def test_a_wide_layer_says_how_many_units_are_not_drawn() -> None:
    svg = network(dense(3, 100, 2), "wide")
    words = said(svg)
    assert "90 more" in words
    assert "500 weights, 50 drawn: blue above 0, orange below" in next(
        w for w in words if "drawn" in w
    )
    assert len(shapes(svg, "path", "gg-edge")) == 50
    assert len(shapes(svg, "circle", "gg-node")) == 3 + 10 + 2
    assert "90 more" not in said(network(dense(3, 12, 2), "whole"))


def test_a_network_that_is_no_chain_of_dense_layers_is_an_error() -> None:
    for model in (nn.ReLU(), nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2))):
        with pytest.raises(UsageError, match="dense layers, one after the other"):
            network(model)
    with pytest.raises(UsageError, match="not a model"):
        network("model")  # type: ignore[arg-type]


def test_a_neuron_shows_its_sum_and_what_becomes_of_it() -> None:
    words = said(neuron([2, 3], [0, 1], 4, "sigmoid"))
    assert "2 × 0 + 3 × 1 + 4 = 7, then sigmoid: 0.9991" in words
    assert {"7", "0.9991", "× 0", "× 1", "bias 4"} <= {*words}
    assert "0" in said(neuron([1.0], [-2.0], 0.5, "relu"))
    assert "−1.5" in said(neuron([1.0], [-2.0], 0.5, "linear"))


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (([1, 2], [1]), ShapeError),
        (([], []), ShapeError),
        (([1] * 13, [1] * 13), ShapeError),
        (([1], [np.nan]), ConfigError),
        (([1], [1], np.inf), ConfigError),
        (([1e200], [1e200]), ConfigError),
        (([1e3], [1.0], 0, "exp"), ConfigError),
        (([1], [1], 0, "no such"), ConfigError),
        (([1], [1], 0, "matmul"), ConfigError),
        (([1], [1], 0, None), ConfigError),
        ((["a"], [1]), DataError),
    ],
)
def test_a_neuron_that_cannot_be_meant_is_an_error(given: tuple[Any, ...], error: Any) -> None:
    with pytest.raises(error):
        neuron(*given)


class Skip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.second = nn.Linear(8, 8)

    def forward(self, x: Any) -> Any:
        h = nn.relu(self.first(x))
        return h + self.second(nn.relu(self.second(h)))


def test_a_graph_has_a_box_for_each_step_and_the_shapes_of_one_row() -> None:
    svg = graph(nn.Sequential(skip=Skip(), output=nn.Linear(8, 3)), (4,), "a skip")
    words = said(svg)
    assert words.count("skip.second") == 2, "a layer that is used twice has two boxes"
    assert {"x", "skip.first", "relu", "add", "output", "prediction"} <= {*words}
    assert {"4", "8", "3"} <= {*words}
    rows = {t.text: float(t.attrib["y"]) for t in shapes(svg, "text", "gg-head")}
    assert rows["x"] < rows["skip.first"] < rows["relu"] < rows["add"] < rows["output"]


def test_boxes_do_not_lie_on_each_other() -> None:
    svg = graph(nn.Sequential(Skip(), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)), (4,))
    boxes = shapes(svg, "rect", "gg-node")
    places = [(float(b.attrib["x"]), float(b.attrib["y"])) for b in boxes]
    for i, (x, y) in enumerate(places):
        assert all(abs(x - u) >= 178 or abs(y - v) >= 40 for u, v in places[:i])


def test_a_graph_of_a_network_of_unknown_input_is_an_error() -> None:
    with pytest.raises(UsageError, match="not known yet"):
        graph(nn.Linear(2))


def test_images_say_what_they_are_taken_for() -> None:
    x = RNG.random((30, 1, 5, 4))
    scores = np.eye(3)[np.arange(30) % 3]
    words = said(images(x, scores, "thirty", y=np.zeros(30), classes=["cat", "dog"]))
    assert "10 of 30 right, the first 24 drawn" in words
    assert {"says cat", "says dog, is cat", "says 2, is cat"} <= {*words}


def test_a_filter_is_blue_above_zero_and_orange_below() -> None:
    svg = filters(np.array([[[[1.0, -0.5], [0.0, np.nan]]]]), "one")
    blue, orange = shapes(svg, "path", "gg-f0"), shapes(svg, "path", "gg-f1")
    assert [p.get("fill-opacity") for p in blue] == ["1", None]
    assert [p.get("fill-opacity") for p in orange] == ["0.53", None]
    assert "40 filters of 3 x 3 on 9 channels, 32 and 8 drawn" in " ".join(
        said(filters(RNG.normal(size=(40, 9, 3, 3)), "many"))
    )


def test_feature_maps_name_their_layers_and_shapes() -> None:
    svg = feature_maps({"image": np.ones((4, 6)), "conv": RNG.normal(size=(20, 3, 3))}, "one")
    assert {"image", "1 x 4 x 6", "conv", "20 x 3 x 3", "the first 12"} <= {*said(svg)}


def test_a_large_image_is_drawn_from_means() -> None:
    svg = feature_maps({"image": np.ones((1000, 700))}, "large")
    assert len(svg) < 20_000


def test_a_confusion_matrix_counts() -> None:
    y, predicted = [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 0]
    svg = confusion_matrix(y, predicted, "six", classes=["a", "b", "c"])
    words = said(svg)
    assert "4 of 6 right (the diagonal); orange is wrong" in words
    assert sorted(w for w in words if w.isdigit()) == ["1", "1", "2", "2"]
    assert len(shapes(svg, "path", "gg-f0")) == 2
    assert len(shapes(svg, "path", "gg-f1")) == 2


def test_histograms_show_what_is_there() -> None:
    over: dict[str, Any] = {
        "w": {t: RNG.normal(size=500) for t in range(30)},
        "none": {0: [np.nan]},
    }
    svg = histograms(over, "two")
    assert len(shapes(svg, "path", "gg-ridge")) == 14
    words = said(svg)
    assert {"0", "29", "no numbers", "w"} <= {*words}
    far = histograms({"w": {0: [*RNG.normal(size=1000), 1e6]}}, "far")
    assert "1 of 1,001 numbers beyond" in said(far)
    assert "3 more not drawn" in said(histograms({str(i): {0: [1.0]} for i in range(9)}, "nine"))[1]


def test_zeros_that_would_hide_all_else_stand_beside_their_curve() -> None:
    r = np.random.default_rng(0)
    half = np.concatenate([np.zeros(300), r.normal(size=100)])
    svg = histograms({"relu": {0: half, 9: half[200:]}, "bias": {0: half[290:]}}, "zeros")
    assert {"are 0", "75%", "50%"} <= {*said(svg)}
    assert said(svg).count("are 0") == 1, "a few zeros are numbers like others"
    one, other = (
        re.findall(r"[ML](\S+) ([\d.]+)", p.get("d", ""))
        for p in shapes(svg, "path", "gg-ridge")[:2]
    )
    assert min(float(y) for _, y in one) < 188 - 60, "the curve is that of the numbers beside 0"
    assert len(one) == len(other)
    assert "are 0" not in said(histograms({"dead": {0: np.zeros(9)}}, "dead"))


@pytest.mark.parametrize("kind", pictures(SIX))
def test_a_picture_says_what_it_is_to_those_who_cannot_see_it(kind: str) -> None:
    root = ET.fromstring(pictures(["one", "two", "three"])[kind])
    assert root.get("role") == "img"
    assert [child.tag for child in root[:2]] == [f"{SVG}title", f"{SVG}desc"]
    assert (root[0].text or "").strip()
    assert len((root[1].text or "").split()) >= 3, root[1].text


def test_numbers_that_are_not_finite_are_counted() -> None:
    assert "3 not finite" in said(
        histograms({"w": {0: [1, np.nan], 1: [np.inf, np.nan, 2]}}, "lost")
    )


WRONG: list[tuple[Any, tuple[Any, ...], type[Exception]]] = [
    (images, (np.ones((2, 3)), [0, 1], ""), ShapeError),
    (images, (np.ones((2, 3, 3)), [0], ""), ShapeError),
    (images, ("text", [0], ""), DataError),
    (filters, (np.ones((2, 3, 3)), ""), ShapeError),
    (filters, (np.ones((0, 1, 3, 3)), ""), ShapeError),
    (feature_maps, ({"<a>": np.ones(3)}, ""), ShapeError),
    (confusion_matrix, ([0, 1], [0], ""), ShapeError),
    (confusion_matrix, ([0, 100], [0, 1], ""), DataError),
    (confusion_matrix, ([0, 0.5], [0, 1], ""), DataError),
    (confusion_matrix, ([0, np.nan], [0, 1], ""), DataError),
    (histograms, ({"a": {"step": [1]}}, ""), ConfigError),
    (histograms, ({"a": {0: "text"}}, ""), DataError),
    (scatter, (np.ones((2, 3)), [0, 1], ""), ShapeError),
    (scatter, (np.ones((2, 2)), [0, -1], ""), DataError),
]


@pytest.mark.parametrize(("draw", "given", "error"), WRONG)
def test_what_cannot_be_drawn_is_an_error(draw: Any, given: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        draw(*given)


def test_numbers_that_are_not_finite_never_reach_a_picture() -> None:
    bad = np.array([np.nan, np.inf, -np.inf, 1e308, -1e308, 0.0, 1.0, 2.0])
    made = [
        images(bad.reshape(1, 2, 4), bad[-1:], "a"),
        images(np.ones((8, 2, 2)), bad, "b"),
        filters(bad.reshape(1, 1, 2, 4), "c"),
        feature_maps({"a": bad.reshape(1, 2, 4)}, "d"),
        histograms({"a": {0: bad}}, "e"),
        network(
            nn.Linear(2, 4, dtype="float64").load_state_dict(
                {"weight": bad.reshape(2, 4), "bias": bad[:4]}
            ),
            "f",
        ),
    ]
    for svg in made:
        said(svg)
        assert finite(svg)


def test_every_kind_of_picture_is_in_the_gallery() -> None:
    page = (Path(__file__).parents[2] / "docs/gallery.md").read_text("utf-8")
    kinds = {n for n in dir(looking.plots) if callable(getattr(looking.plots, n))}
    assert kinds - {n for n in kinds if n.startswith("_")} == {
        *re.findall(r"gg\.inspect\.(\w+)\(", page)
    }
