"""A number that does not act: the text says where each of its ways to the loss ends, and why."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.inspect.explain.explanation import Explanation
from tests.networks import random_network


def explained(*layers: nn.Module, x: Any, y: Any, loss: Any = "mse") -> Explanation:
    found: Explanation = gg.explain(nn.Sequential(*layers), x, y, loss=loss)
    return found


def why(found: Explanation, name: str, *index: int) -> list[str]:
    ways = found.follow(name, index)
    assert ways.total == ways.rest == 0
    assert not ways.ways
    head, *lines = str(ways).split("\n")
    assert (
        head
        == f"{ways.called(ways.value, ways.index)} does not act on the loss: its derivative is 0."
    )
    return [line.strip() for line in lines]


def linear(*weights: list[float]) -> nn.Linear:
    layer = nn.Linear(len(weights), len(weights[0]), bias=False)
    layer.weight.assign(np.array(weights, np.float32))
    return layer


def test_a_unit_that_is_shut_is_named_with_its_number() -> None:
    found = explained(linear([1, -0.25]), nn.ReLU(), linear([1], [1]), x=[[1.0]], y=[[0.0]])
    wanted = ["relu1[0, 1] is shut: linear1[0, 1] = -0.25 is not above 0"]
    assert why(found, "linear1_weight", 0, 1) == wanted
    assert why(found, "linear1", 0, 1) == wanted
    assert why(found, "linear2_weight", 1, 0) == ["relu1[0, 1] = 0"]


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.ReLU6(), "relu61[0, 0] is shut: linear1[0, 0] = 8 is not below 6"),
        (nn.Hardtanh(), "hardtanh1[0, 0] is shut: linear1[0, 0] = 8 is not below 1"),
    ],
)
def test_a_number_that_is_cut_off_is_named_with_its_bound(layer: nn.Module, words: str) -> None:
    found = explained(linear([8]), layer, linear([1]), x=[[1.0]], y=[[0.0]])
    assert why(found, "x", 0, 0) == [words]


def test_a_number_that_was_dropped_is_told_so() -> None:
    found = explained(
        linear([1] * 20), nn.Dropout(0.5), linear(*[[1.0]] * 20), x=[[1.0]], y=[[0.0]]
    )
    keep = found["keep"].array
    dropped = int(np.argmin(keep[0]))
    (words,) = why(found, "linear1", 0, dropped)
    at = rf"\[0, {dropped}\]"
    assert re.fullmatch(rf"keep{at} = 0: uniform{at} = 0\.\d+ is below 0\.5", words)


def test_a_pixel_that_is_not_the_largest_is_told_so() -> None:
    image = np.array([[[[1.0, 2.0], [0.5, -3.0]]]])
    found = explained(nn.MaxPool2d(2), nn.Flatten(), linear([1]), x=image, y=[[0.0]])
    assert why(found, "x", 0, 0, 1, 0) == ["x[0, 0, 1, 0] = 0.5 is not among what maxpool2d1 takes"]


def test_a_row_that_is_not_looked_up_is_told_so() -> None:
    found = explained(nn.Embedding(4, 1), nn.Flatten(), linear([1], [1]), x=[[1, 3]], y=[[0.0]])
    (words,) = why(found, "embedding1_weight", 2, 0)
    assert words.startswith("embedding1_weight[2, 0] = ")
    assert words.endswith(" is not among what embedding1 takes")
    assert why(found, "x", 0, 0) == [
        "x[0, 0] only chooses, compares or counts: that has no derivative"
    ]


def test_a_weight_or_an_input_of_0_is_where_a_way_ends() -> None:
    found = explained(linear([0, 2], [1, 1]), linear([1], [0]), x=[[3.0, 0.0]], y=[[5.0]])
    assert why(found, "linear1", 0, 1) == ["linear2_weight[1, 0] = 0"]
    assert why(found, "linear1_weight", 1, 0) == ["x[0, 1] = 0"]
    assert why(found, "x", 0, 0) == ["linear1_weight[0, 0] = 0", "linear2_weight[1, 0] = 0"]


def test_a_place_that_attention_may_not_look_at_is_told_so() -> None:
    x = np.random.default_rng(0).normal(size=(1, 3, 2))
    for dropout in (0.0, 0.5):  # in one op, and written out
        layer = nn.MultiheadAttention(2, 1, causal=True, dropout=dropout)
        found = explained(layer, x=x, y=np.zeros((1, 3, 2)))
        gradient = found["query"].gradient
        assert gradient is not None
        assert not gradient[0, 0].any()  # the first step sees itself alone
        for words in why(found, "query", 0, 0, 0):
            assert re.search("cancel to 0|are both|is 0 on the way to|= 0$", words), words


def test_what_cancels_is_not_called_shut() -> None:
    found = explained(linear([1, 1]), linear([1], [-1]), x=[[2.0]], y=[[1.0]])
    ways = found.follow("x", (0, 0))
    assert ways.total == 0
    assert [w.part for w in ways.ways] == [-w.part for w in reversed(ways.ways)]
    assert not ways.ends


def test_a_loss_that_a_row_does_not_count_in_is_told_so() -> None:
    found = explained(linear([1, 2]), x=[[1.0], [3.0]], y=[[1.0, 1.0]] * 2, loss="hinge")
    assert why(found, "linear1", 1, 0) == ["agreement[1, 0] = 3 is above 1"]


def test_a_loss_that_nothing_is_left_of_is_told_so() -> None:
    found = explained(linear([2]), x=[[1.5]], y=[[3.0]])
    assert why(found, "linear1_weight", 0, 0) == ["linear1[0, 0] and y[0, 0] are both 3"]


def test_many_ends_are_ten_and_a_count() -> None:
    found = explained(linear([-1.0] * 40), nn.ReLU(), linear(*[[1.0]] * 40), x=[[1.0]], y=[[1.0]])
    lines = why(found, "x", 0, 0)
    assert len(lines) == 11
    assert lines[-1] == "and 30 more"


def test_reasons_are_folded_where_a_terminal_is_narrow() -> None:
    found = explained(linear([1, -0.25]), nn.ReLU(), linear([1], [1]), x=[[1.0]], y=[[0.0]])
    ways = found.follow("linear1_weight[0, 1]")
    lines = ways.text(40).split("\n")
    assert max(map(len, lines)) <= 40
    assert " ".join(" ".join(lines).split()) == " ".join(ways.text().split())


def test_it_is_told_in_every_output() -> None:
    found = explained(linear([1, -0.25]), nn.ReLU(), linear([1], [1]), x=[[1.0]], y=[[0.0]])
    place = ("linear1_weight", (0, 1))
    for document in (found.text(follow=place), found.to_markdown(follow=place)):
        assert "relu1[0, 1] is shut: linear1[0, 1] = -0.25 is not above 0" in document
    assert "relu1[0, 1] is shut: linear1[0, 1] = {-}0.25" in found.to_latex(follow=place)
    assert "is shut: linear1[0, 1] = -0.25 is not above 0" in found.to_html(follow=place)


@pytest.mark.parametrize("seed", range(0, 24, 3))
def test_every_number_that_does_not_act_is_given_a_reason(seed: int) -> None:
    net = random_network(seed, rows=3, fit=True)
    found = gg.explain(net.model, net.x, net.y, **net.losses)
    for name in found.names:
        gradient = found[name].gradient
        if gradient is None or not gradient.size or gradient.all():
            continue
        at = tuple(np.argwhere(gradient == 0)[0].tolist())
        ways = found.follow(name, at)
        text = str(ways)
        assert ways.ways or ways.ends, text
        # Never that a derivative is 0 because it is 0.
        assert not re.search(r"^  d_\w+(\[[^]]*\])? = 0$", text, re.MULTILINE), text
