"""Norms as kernels of their own, over any axes, in any order of memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.backends import native
from glassgrad.passes import formulas
from tests.backends.native.training import forget

if not native.available() and "GLASSGRAD_CI" not in os.environ:
    pytest.skip(f"no native executor: {native.why()}", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("own_plans")

CHANNELS, SIZE = 18, (3, 5)
NORMS: dict[str, Callable[[str], nn.Module]] = {
    "batch": lambda dtype: nn.BatchNorm2d(dtype=dtype),
    "batch without weights": lambda dtype: nn.BatchNorm2d(affine=False, dtype=dtype),
    "group": lambda dtype: nn.GroupNorm(3, dtype=dtype),
    "instance": lambda dtype: nn.InstanceNorm2d(affine=True, dtype=dtype),
    "layer": lambda dtype: nn.LayerNorm(dtype=dtype),
    "rms": lambda dtype: nn.RMSNorm(dtype=dtype),
}
# How the axes (n, channels, rows, columns) lie, the slowest first; and how that is undone.
ORDERS = {"as they are": (0, 1, 2, 3), "channels last": (0, 2, 3, 1), "batch last": (1, 2, 3, 0)}


class Normed(nn.Module):
    """Images made of rows, in some order of memory; normalised; and read by a dense layer."""

    def __init__(self, norm: nn.Module, order: tuple[int, ...], dtype: str) -> None:
        super().__init__()
        self.first = nn.Linear(CHANNELS * SIZE[0] * SIZE[1], dtype=dtype)
        self.norm, self.order = norm, order
        self.last = nn.Linear(4, dtype=dtype)

    def forward(self, x: Any) -> Any:
        shape = (x.shape[0], CHANNELS, *SIZE)
        lying = self.first(x).reshape(*[shape[axis] for axis in self.order])
        images = lying.transpose(*[self.order.index(axis) for axis in range(4)])
        return self.last(gg.tanh(self.norm(images)).flatten(1))


def fitted(kind: str, order: str, dtype: str, backend: str) -> tuple[list[float], Any, Any]:
    gg.seed(0)
    model = Normed(NORMS[kind](dtype), ORDERS[order], dtype)
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(20, 6)).astype(dtype), draw.integers(0, 4, 20)
    history = gg.fit(
        model, x, y, loss="cross_entropy", optimizer=optim.SGD(0.1), epochs=3, batch_size=20,
        shuffle=False, backend=backend, verbose=False, seed=1,
    )  # fmt: skip
    return history["loss"], model.state_dict(), history


def used(history: Any) -> list[str]:
    plan = history.record.plan.step.native.plan(20).plan
    return [line["kernel"] for line in plan.describe()]


@pytest.mark.parametrize(("dtype", "near"), [("float32", 2e-4), ("float64", 1e-10)])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", NORMS)
def test_training_is_what_the_text_gives(kind: str, order: str, dtype: str, near: float) -> None:
    losses, state, history = fitted(kind, order, dtype, "native")
    assert {"normalise", "normalise_back"} <= set(used(history))
    wanted_losses, wanted, _ = fitted(kind, order, dtype, "numpy")
    np.testing.assert_allclose(losses, wanted_losses, rtol=near)
    for name, value in wanted.items():
        np.testing.assert_allclose(state[name], value, rtol=near, atol=near)


@pytest.mark.parametrize("kind", NORMS)
def test_off_is_on(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    losses, state, history = fitted(kind, "channels last", "float64", "native")
    monkeypatch.setattr(formulas, "ENABLED", False)
    forget()
    apart, apart_state, apart_history = fitted(kind, "channels last", "float64", "native")
    assert {"normalise", "normalise_back"} <= set(used(history)) - set(used(apart_history))
    np.testing.assert_allclose(losses, apart, rtol=1e-12)
    for name, value in apart_state.items():
        np.testing.assert_allclose(state[name], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", NORMS)
def test_threads_change_no_bit(kind: str, order: str) -> None:
    found = []
    for threads in (1, 2, 4):
        gg.set_threads(threads)
        forget()
        losses, state, _ = fitted(kind, order, "float32", "native")
        found.append((losses, {name: value.tobytes() for name, value in state.items()}))
    assert found[0] == found[1] == found[2]


def test_where_relu_lets_through_is_no_derivative() -> None:
    """What comes back to relu is stretched over places here, and smaller than its yes and no."""
    found = []
    for backend in ("native", "numpy"):
        layers = (
            nn.InstanceNorm1d(3, affine=False),
            nn.ReLU(),
            nn.GlobalAvgPool(),
            nn.Linear(3, 2),
        )
        model = nn.Sequential(nn.Conv1d(1, 3, 1), *layers)
        draw = np.random.default_rng(0)
        x, y = draw.normal(size=(21, 1, 5)).astype(np.float32), draw.integers(0, 2, 21)
        gg.fit(
            model, x, y, loss="cross_entropy", optimizer=optim.SGD(0.1), epochs=3,
            backend=backend, verbose=False,
        )  # fmt: skip
        found.append(model.state_dict())
    for name, value in found[1].items():
        np.testing.assert_allclose(found[0][name], value, rtol=2e-5, atol=2e-6, err_msg=name)
