"""Attributions against their definitions, computed in plain NumPy, and what they say is left."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import ConfigError, DataError, GlassgradError, UsageError
from glassgrad.inspect.explain.attribution import METHODS

Array = NDArray[Any]
RNG = np.random.default_rng(7)
W1, B1 = RNG.normal(size=(4, 6)), RNG.normal(size=6)
W2, B2 = RNG.normal(size=(6, 3)), RNG.normal(size=3)
ROW, START = RNG.normal(size=(1, 4)), RNG.normal(size=(1, 4))


def network(activation: nn.Module, *, bias: bool = True) -> nn.Module:
    model = nn.Sequential(
        nn.Linear(4, 6, bias=bias, dtype="float64"), activation,
        nn.Linear(6, 3, bias=bias, dtype="float64"),
    )  # fmt: skip
    given = (W1, B1, W2, B2) if bias else (W1, W2)
    for p, array in zip(model.parameters(), given, strict=True):
        p.assign(gg.tensor(array, dtype="float64"))
    return model


def tanh_output(rows: Array) -> Array:
    return np.asarray(np.tanh(rows @ W1 + B1) @ W2 + B2)


def tanh_slope(rows: Array, output: int) -> Array:
    """Of the network above, by hand."""
    hidden = np.tanh(rows @ W1 + B1)
    return np.asarray(((1 - hidden**2) * W2[:, output]) @ W1.T)


@pytest.mark.parametrize("output", [0, 1, 2])
def test_integrated_gradients_are_the_integral_and_sum_to_the_difference(output: int) -> None:
    found = gg.attribute(network(nn.Tanh()), ROW, output=output, baseline=START)
    # A trapezoid rule with very many points: another rule than the one under test.
    steps = 200_001
    along = START + np.linspace(0, 1, steps)[:, None] * (ROW - START)
    slopes = tanh_slope(along, output)
    mean = (slopes[1:] + slopes[:-1]).sum(axis=0) / 2 / (steps - 1)
    np.testing.assert_allclose(found.parts, ((ROW - START) * mean)[0], rtol=1e-8, atol=1e-10)
    whole = (tanh_output(ROW) - tanh_output(START))[0, output]
    assert found.difference == pytest.approx(whole, rel=1e-12)
    assert found.value == pytest.approx(tanh_output(ROW)[0, output], rel=1e-12)
    assert abs(found.gap) < 1e-12


def test_integrated_gradients_share_a_product_evenly() -> None:
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(1, 1, bias=False, init=1.0, dtype="float64")

        def forward(self, x: Any) -> Any:
            return self.one(x[:, 0:1] * x[:, 1:2] + 0 * x[:, 2:3])

    found = gg.attribute(Product(), [[3.0, 5.0, 7.0]], steps=2)
    np.testing.assert_allclose(found.parts, [7.5, 7.5, 0.0], rtol=1e-14)
    # From 1: the integral of (1 + t 2)(1 + t 4)'s two derivatives along the line.
    found = gg.attribute(Product(), [[3.0, 5.0, 7.0]], steps=2, baseline=1.0)
    np.testing.assert_allclose(found.parts, [6.0, 8.0, 0.0], rtol=1e-14)
    assert found.difference == pytest.approx(14)


def test_more_steps_leave_less_of_a_network_with_kinks() -> None:
    model = network(nn.ReLU())
    gaps = [
        abs(gg.attribute(model, ROW, output=1, baseline=START, steps=n).gap) for n in (1, 64, 256)
    ]
    assert max(gaps[1:]) < 1e-2 * gaps[0]


def test_the_gradient_is_input_times_derivative() -> None:
    found = gg.attribute(network(nn.Tanh()), ROW, output=2, baseline=START, method="gradient")
    by_hand = ((ROW - START) * tanh_slope(ROW, 2))[0]
    np.testing.assert_allclose(found.parts, by_hand, rtol=1e-12)
    left = found.difference - by_hand.sum()
    assert found.gap == pytest.approx(left, rel=1e-9)
    assert abs(found.gap) > 1e-3  # it is not straight, and that is said


def test_the_gradient_is_all_of_a_network_of_kinks_without_bias() -> None:
    model = network(nn.ReLU(), bias=False)
    for output in range(3):
        found = gg.attribute(model, ROW, output=output, method="gradient")
        assert abs(found.gap) < 1e-12
        assert found.difference == pytest.approx(
            (np.maximum(ROW @ W1, 0) @ W2)[0, output], rel=1e-12
        )


@pytest.mark.parametrize("window", [1, 2, 3, (1, 2), (2, 3), (7,)])
def test_occlusion_is_the_fall_of_the_output_shared_evenly(window: Any) -> None:
    image, start = RNG.normal(size=(1, 1, 5, 4)), RNG.normal(size=(1, 1, 5, 4))
    w = RNG.normal(size=(20, 2))
    model = nn.Sequential(nn.Flatten(), nn.Linear(20, 2, bias=False, dtype="float64"), nn.Tanh())
    next(model.parameters()).assign(gg.tensor(w, dtype="float64"))
    found = gg.attribute(
        model, image, output=1, method="occlusion", window=window, baseline=start
    )  # fmt: skip

    def output(x: Array) -> float:
        return float(np.tanh(x.reshape(1, 20) @ w)[0, 1])

    sizes = (window,) * 3 if isinstance(window, int) else (1,) * (3 - len(window)) + window
    if not isinstance(window, int) and len(window) < 3:
        sizes = (1, 5, 4)[: 3 - len(window)] + window
    wanted = np.zeros((1, 5, 4))
    for corner in itertools.product(
        *[range(0, n, s) for n, s in zip((1, 5, 4), sizes, strict=True)]
    ):
        cut = tuple([slice(c, c + s) for c, s in zip(corner, sizes, strict=True)])
        hidden = image.copy()
        hidden[0][cut] = start[0][cut]
        wanted[cut] = (output(image) - output(hidden)) / wanted[cut].size
    np.testing.assert_allclose(found.parts, wanted, rtol=1e-10, atol=1e-14)
    assert found.gap == pytest.approx(output(image) - output(start) - wanted.sum(), abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_all_methods_agree_where_the_network_is_straight(method: str) -> None:
    model = network(nn.Identity())
    found = gg.attribute(model, ROW, output=0, method=method, baseline=START)
    np.testing.assert_allclose(found.parts, ((ROW - START) * (W1 @ W2)[:, 0])[0], rtol=1e-10)
    assert abs(found.gap) < 1e-12


@pytest.mark.parametrize("method", METHODS)
def test_a_number_that_nothing_reads_has_no_part(method: str) -> None:
    model = network(nn.Tanh())
    first = next(model.parameters())
    first.assign(gg.tensor(np.where(np.arange(4)[:, None] == 2, 0.0, W1), dtype="float64"))
    assert gg.attribute(model, ROW, output=0, method=method, baseline=START).parts[2] == 0


@pytest.mark.parametrize("method", METHODS)
def test_the_model_stays_as_it_is(method: str) -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))
    model(gg.tensor(RNG.normal(size=(8, 4)).astype("f4")))
    before, mode = model.state_dict(), model.training
    first = gg.attribute(model, ROW, method=method)
    np.testing.assert_array_equal(first.parts, gg.attribute(model, ROW, method=method).parts)
    assert model.training == mode
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


class Both(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, left: Any, right: Any) -> Any:
        return self.linear(left + right)


class Two(Both):
    def forward(self, x: Any) -> Any:  # type: ignore[override]  # another network
        return {"a": self.linear(x), "b": self.linear(x)}


@pytest.mark.parametrize(
    ("model", "row", "settings"),
    [
        (Both(), [[1.0, 2.0]], {}), (Two(), [[1.0, 2.0]], {}),
        (nn.GPT(9, 4, 1, 1, 4), [[1, 2, 3, 4]], {}), (nn.ReLU(), [[1.0]], {}),
        *[(nn.Linear(2, 1), row, {}) for row in
          ([[np.nan, 1.0]], [[1e39, 1.0]], [["a", "b"]], [1.0, 2.0], [[1.0], [1.0, 2.0]], [[None, 1]],
           [[1.0, 2.0, 3.0]], [[True, False]])],
        *[(nn.Linear(2, 1), [[1.0, 2.0]], settings) for settings in
          ({"baseline": "a"}, {"baseline": [1, 2, 3]}, {"baseline": np.nan}, {"baseline": None},
           {"window": None, "method": "occlusion"}, {"window": (1, 2, 3), "method": "occlusion"},
           {"window": "a", "method": "occlusion"}, {"window": True, "method": "occlusion"},
           {"window": 0, "method": "occlusion"}, {"steps": 10_000}, {"steps": 0}, {"output": -1},
           {"output": "a"}, {"method": "saliency"})],
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(model: Any, row: Any, settings: Any) -> None:
    with pytest.raises(GlassgradError) as caught:
        gg.attribute(model, row, **settings)
    assert isinstance(caught.value, UsageError | DataError | ConfigError | gg.errors.ShapeError)
    assert caught.value.expected
    assert caught.value.received
