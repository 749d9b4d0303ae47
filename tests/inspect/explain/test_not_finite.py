"""A step that gave inf or nan is explained as well as any other: that is when one looks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.inspect.explain.expressions import constant, summed
from glassgrad.inspect.explain.story import numbers

LARGE = (1.0, 1e150, 1e300)


class Of(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


@pytest.mark.parametrize("size", LARGE)
@pytest.mark.parametrize("function", [gg.log, gg.exp, gg.sqrt, lambda x: 1 / x, nn.relu])
def test_inf_and_nan_are_shown_as_what_they_are(function: Any, size: float) -> None:
    """No error, no warning, and no finite number where the step has none."""
    rng = np.random.default_rng(0)
    kind: dict[str, Any] = {"dtype": "float64"}
    model = nn.Sequential(nn.Linear(8, 20, **kind), Of(function), nn.Linear(20, 3, **kind))
    for loss, y in (("cross_entropy", np.arange(24) % 3), ("mse", rng.normal(size=(24, 3)))):
        found = gg.explain(model, rng.normal(size=(24, 8)) * size, y, loss=loss)
        for steps in (False, True):
            for text in (found.text, found.to_markdown, found.to_latex, found.to_html):
                assert text(steps=steps)
        assert all(map(repr, found.samples().values()))
        ways = found.follow("linear1_weight", (0, 0))
        assert repr(ways)
        gradient = found["linear1_weight"].gradient
        assert gradient is not None
        assert math.isfinite(ways.total) == math.isfinite(gradient[0, 0])


def test_a_sum_of_nan_is_not_shown_as_0() -> None:
    model = nn.Sequential(nn.Linear(2, 4, init=-1.0), Of(gg.log), nn.Linear(4, 1))
    text = gg.explain(model, [[1.0, 2.0]], [[1.0]], loss="mse").text()
    assert "d_linear1_weight[0, 0] = x[0, 0] * d_linear1[0, 0] = 1 * nan = nan" in text
    assert "    = nan * -1 + nan * -1 + nan * -1 + nan * -1\n      = nan\n" in text


def test_the_rest_of_a_long_sum_may_hold_both_infinities() -> None:
    values = [math.inf, -math.inf] * 20 + [math.nan] + [1.0] * 5
    found = summed(values, lambda i: constant(values[i]))
    assert math.isnan(found.evaluated())
    assert math.isnan(found.parts[0].value)  # nan is shown first


def test_numbers_say_how_many_of_them_are_not_finite() -> None:
    array = np.arange(20.0)
    array[3:5] = math.nan, math.inf
    assert numbers(array).endswith("root mean square 11.7, 1 of 20 are 0, 2 are inf or nan")
    assert numbers(np.full(20, math.nan)) == "20 numbers, all inf or nan"
    assert "from -1e+300 to 1e+300, root mean square 1e+300" in numbers(
        np.array([-1e300, 1e300] * 9)
    )
