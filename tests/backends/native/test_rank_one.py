"""For one sample at a time a dense layer's gradient is not written: the same numbers without it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.backends import native
from glassgrad.backends.native import rank_one
from glassgrad.errors import GlassgradError
from tests.backends.native.training import forget

if not native.available() and "GLASSGRAD_CI" not in os.environ:
    pytest.skip(f"no native executor: {native.why()}", allow_module_level=True)

R = np.random.default_rng(0)
X, Y = R.standard_normal((12, 100)), R.integers(0, 70, 12)


@pytest.fixture(autouse=True)
def the_plans_of_others_are_left_alone() -> Iterator[None]:
    forget()
    yield
    forget()


def network(dtype: str) -> nn.Module:
    return nn.Sequential(nn.Linear(100, 80, dtype=dtype), nn.Tanh(), nn.Linear(80, 70, dtype=dtype))


def trained(optimizer: optim.Optimizer, dtype: str, **more: Any) -> tuple[list[float], Any]:
    model = network(dtype)
    found = gg.fit(
        model, X.astype(dtype), Y, loss="cross_entropy", optimizer=optimizer, epochs=2,
        batch_size=1, seed=0, backend="native", verbose=False, **more,
    )  # fmt: skip
    return found["loss"], [p.numpy() for p in model.parameters()]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: optim.SGD(0.1),
        lambda: optim.SGD(0.1, momentum=0.9),
        lambda: optim.Adam(1e-2),
        lambda: optim.AdamW(1e-2),
    ],
    ids=["sgd", "momentum", "adam", "adamw"],
)
def test_on_equals_off_bit_for_bit(make: Any, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    on = trained(make(), dtype)
    monkeypatch.setattr(rank_one, "ENABLED", False)
    forget()
    off = trained(make(), dtype)
    assert on[0] == off[0]
    for a, b in zip(on[1], off[1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_product_that_overflows_stops_before_the_update() -> None:
    model = nn.Sequential(nn.Linear(100, 80))
    x = np.full((1, 100), 1e30, np.float32)
    y = np.full((1, 80), 1e30, np.float32)
    before = [p.numpy().copy() for p in model.parameters()]
    with pytest.raises(GlassgradError):
        gg.fit(model, x, y, loss="mse", optimizer=optim.SGD(1e-3), epochs=1, batch_size=1,
               backend="native", verbose=False)  # fmt: skip
    for a, b in zip(before, model.parameters(), strict=True):
        np.testing.assert_array_equal(a, b.numpy())
