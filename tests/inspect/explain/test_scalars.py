"""The picture of every number: its lines are the chain rule, and it is a picture only."""

from __future__ import annotations

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import ConfigError
from glassgrad.inspect.explain.cards import Cards
from glassgrad.inspect.explain.explanation import Explanation
from glassgrad.inspect.explain.scalars import lines, scalars
from tests.hostile_names import SIX
from tests.inert import inert_svg


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
    found = list(lines(cards, set(nodes)))
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


def test_the_picture_has_every_number_once() -> None:
    found = small(nn.ReLU())
    svg = found.picture()
    assert inert_svg(svg)
    for value, index in scalars(found.cards):
        name = found.recording.names[value]
        label = f"{name}[{', '.join(map(str, index))}]" if index else name
        assert svg.count(f">{label}<") == 1
    assert svg in found.to_html()


def test_a_network_that_is_too_large_to_look_at_is_refused_and_its_page_has_no_picture() -> None:
    found = gg.explain(nn.Linear(30, 3), np.ones((1, 30)), [1], loss="cross_entropy")
    with pytest.raises(ConfigError, match="too many numbers"):
        found.picture()
    assert "<svg" not in found.to_html()
    several = small(nn.ReLU(), rows=2)
    assert several.picture(row=1).count("linear1[1, ") == 3
    assert several.picture(row=1).count("linear1[0, ") == 0
    with pytest.raises(ConfigError, match="no such row"):
        several.picture(row=2)


@pytest.mark.parametrize("name", SIX)
def test_a_hostile_class_name_is_only_text_in_the_picture(name: str) -> None:
    model = type(name.replace("\0", ""), (nn.Sequential,), {})(nn.Linear(1, 1))
    svg = gg.explain(model, [[1.0]], [[0.0]], loss="mse").picture()
    assert inert_svg(svg)
