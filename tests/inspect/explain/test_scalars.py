"""The picture of every number: its lines are the chain rule, and it is a picture only."""

from __future__ import annotations

from types import SimpleNamespace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import Tensor, nn
from glassgrad.errors import ConfigError
from glassgrad.inspect.explain.cards import Cards
from glassgrad.inspect.explain.explanation import Explanation
from glassgrad.inspect.explain.scalars import how_many, lines, scalars
from glassgrad.inspect.svg import Picture, text
from tests.hostile_names import SIX
from tests.inert import inert_svg
from tests.inspect.laid_out import Box, clipped, meeting, texts


def small(activation: nn.Module, rows: int = 1, loss: str = "mse") -> Explanation:
    model = nn.Sequential(nn.Linear(2, 3), activation, nn.Linear(3, 1))
    x = np.array([[0.5, -1.0], [1.0, 2.0]])[:rows]
    found: Explanation = gg.explain(model, x, [[1.0], [0.0]][:rows], loss=loss)
    return found


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Sigmoid(), nn.Tanh(), nn.Softmax()])
@pytest.mark.parametrize("rows", [1, 2])
def test_every_derivative_is_the_sum_over_the_lines_that_leave(
    activation: nn.Module, rows: int
) -> None:
    cards: Cards = small(activation, rows).cards
    nodes = scalars(cards)
    found = list(lines(cards, nodes))
    assert len(found) > 10
    for value, index in nodes:
        whole = cards.recording.gradient(value)
        if whole is None or value is cards.recording.loss:
            continue
        leaving = [e for e in found if e.start == (value, index)]
        total = 0.0
        for e in leaving:
            behind = cards.recording.gradient(e.end[0])
            assert behind is not None
            total += e.slope * float(behind[e.end[1]])
        assert total == pytest.approx(float(whole[index]), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("row", [None, 0, 1])
def test_numbers_are_counted_as_they_would_be_listed(row: int | None) -> None:
    cards = small(nn.ReLU(), 2).cards
    assert how_many(cards, row) == len(scalars(cards, row))


def test_a_page_of_a_large_step_lists_none_of_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def listed(*_: object) -> None:
        raise AssertionError("every number was listed")

    model = nn.Sequential(nn.Linear(2, 40), nn.Linear(40, 1))
    found: Explanation = gg.explain(model, np.ones((8, 2)), np.ones((8, 1)), loss="mse")
    listing = SimpleNamespace(ndindex=listed)
    monkeypatch.setattr("glassgrad.inspect.explain.scalars.np", listing)
    assert "<h1>" in found.to_html()
    with pytest.raises(ConfigError, match="too many numbers"):
        found.picture()


def test_the_picture_has_every_number_once() -> None:
    found = small(nn.ReLU())
    svg = found.picture()
    assert inert_svg(svg)
    for value, index in scalars(found.cards):
        name = found.recording.names[value]
        label = f"{name}[{', '.join(map(str, index))}]" if index else name
        assert svg.count(f">{label}<") == 1
    assert svg in found.to_html()


class Skip(nn.Module):
    """A line that goes by two columns."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        way: Tensor = self.second(nn.relu(self.first(x)))
        return x + way


def drawings() -> dict[str, Picture]:
    """Networks of few and of nearly sixty numbers, and numbers that take much room."""

    def explained(model: nn.Module, rows: int, loss: str, scale: float = 1.0) -> Picture:
        x = scale * np.linspace(-1.23456, 1.1, 2 * rows).reshape(rows, 2)
        y = np.arange(rows) % 2
        target = y if loss == "cross_entropy" else np.stack([y, 1 - y], 1)[:, :1].astype(float)
        found: Explanation = gg.explain(model, x, target, loss=loss)
        return found.picture()

    def dense(*sizes: int) -> nn.Module:
        return nn.Sequential(nn.Linear(2, sizes[0]), nn.Tanh(), nn.Linear(*sizes))

    return {
        "2-2-1": explained(dense(2, 1), 1, "mse"),
        "2-3-1 with two rows": explained(dense(3, 1), 2, "mse"),
        "2-5-3, 50 numbers": explained(dense(5, 3), 1, "cross_entropy"),
        "2-6-3, 58 numbers": explained(dense(6, 3), 1, "cross_entropy"),
        "a way around": explained(Skip(), 1, "cross_entropy"),
        "tiny numbers": explained(dense(2, 1), 1, "mse", 1.23e-17),
        "huge numbers": explained(dense(2, 1), 1, "mse", -1.23e17),
        "one number beside another": explained(nn.Linear(2, 1), 1, "mse"),
    }


def rectangles(svg: str) -> list[Box]:
    """The boxes of the numbers."""
    found = ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}rect")
    places = [
        [float(e.get(k, "")) for k in ("x", "y", "width", "height")] for e in found if e.get("x")
    ]
    return [
        Box("", x, y, x + wide, y + high) for x, y, wide, high in dict.fromkeys(map(tuple, places))
    ]


@pytest.mark.parametrize(("name", "svg"), drawings().items())
def test_every_label_can_be_read(name: str, svg: str) -> None:
    boxes, labels = rectangles(svg), texts(svg)
    assert len(boxes) > 5, name
    assert not meeting(labels)
    assert not meeting(boxes)
    assert not clipped(svg)
    for label in labels:
        over = [box for box in boxes if label.meets(box)]
        assert all(label.inside(box) for box in over), label


def test_a_label_stands_on_its_own_line() -> None:
    svg = small(nn.Tanh(), rows=2).picture()
    paths = [e.get("d", "") for e in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")]
    begins = sorted([tuple(map(float, d[1 : d.index("H")].split())) for d in paths])
    assert len(set(begins)) == len(begins), "no two lines begin at one place"
    boxes = rectangles(svg)
    said = [t for t in texts(svg)[3:] if not any(t.inside(box) for box in boxes)]
    assert sorted([(round(t.left - 4, 2), round(t.bottom + 1, 2)) for t in said]) == begins


def test_a_line_by_a_column_goes_below_its_boxes() -> None:
    svg = drawings()["a way around"]
    lowest = max(box.bottom for box in rectangles(svg))
    paths = [e.get("d", "") for e in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")]
    long = [d for d in paths if d.count("H") == 2]
    assert len(long) == 2
    for d in long:
        bend, _, after = d.partition("C")[2].partition("H")
        assert float(bend.split()[-1]) > lowest
        assert after


def test_a_network_that_is_too_large_to_look_at_is_refused_and_its_page_has_no_picture() -> None:
    found = gg.explain(nn.Linear(30, 3), np.ones((1, 30)), [1], loss="cross_entropy")
    with pytest.raises(ConfigError, match="too many numbers"):
        found.picture()
    assert "every number of a step" in small(nn.ReLU()).to_html()
    assert "every number of a step" not in found.to_html()
    several = small(nn.ReLU(), rows=2)
    assert several.picture(row=1).count("linear1[1, ") == 3
    assert several.picture(row=1).count("linear1[0, ") == 0
    with pytest.raises(ConfigError, match="no such row"):
        several.picture(row=2)


@pytest.mark.parametrize("name", SIX)
def test_a_hostile_class_name_is_only_text_in_the_picture(name: str) -> None:
    model = type(name, (nn.Linear,), {})(1, 1)
    svg = gg.explain(model, [[1.0]], [[0.0]], loss="mse").picture()
    assert inert_svg(svg)
    assert text(f"{name}(1, 1)", 200).removesuffix(")") in svg


def test_the_same_step_gives_the_same_bytes() -> None:
    made = [small(nn.Tanh(), rows=2).picture() for _ in range(3)]
    assert made[0] == made[1] == made[2]
