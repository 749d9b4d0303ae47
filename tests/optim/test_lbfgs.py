"""L-BFGS against PyTorch's, step by step, and what it does where the loss is not finite."""

# mypy: disable-error-code="arg-type"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.backends.numpy_source import lbfgs as printed
from glassgrad.errors import ConfigError, GlassgradError, NonFiniteError, UsageError
from tests.conftest import require_torch

lbfgs: Any = printed.lbfgs  # as it stands in programs, without types
cubic_minimum: Any = printed.cubic_minimum

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3))
Y = np.sin(X @ np.array([[1.0], [-2.0], [0.5]])) + 0.1 * rng.normal(size=(40, 1))
W = [rng.normal(size=(3, 6)), rng.normal(size=6), rng.normal(size=(6, 1)), rng.normal(size=1)]


def closure_of(optimizer: optim.Optimizer, ps: list[gg.Parameter]) -> Callable[[], gg.Tensor]:
    def closure() -> gg.Tensor:
        optimizer.zero_grad()
        hidden = gg.tanh(gg.tensor(X) @ ps[0] + ps[1])
        loss: gg.Tensor = nn.losses.mse(hidden @ ps[2] + ps[3], gg.tensor(Y))
        loss.backward()
        return loss

    return closure


@pytest.mark.parametrize(
    "settings",
    [
        {"line_search_fn": "strong_wolfe", "max_iter": 4},
        {"line_search_fn": "strong_wolfe", "max_iter": 3, "history_size": 2},
        {"line_search_fn": "strong_wolfe", "max_iter": 5, "max_eval": 4, "lr": 0.7},
        {"line_search_fn": "strong_wolfe", "max_iter": 2, "lr": 30.0},
        {"max_iter": 4, "lr": 0.3},
        {"max_iter": 3, "lr": 0.3, "history_size": 3},
        {"max_iter": 1, "lr": 0.5},
        {"max_iter": 4, "lr": 0.2, "tolerance_change": 0.02},
    ],
    ids=str,
)
def test_ten_steps_on_a_small_network_are_pytorchs(settings: dict[str, Any]) -> None:
    torch = require_torch()
    mine = [gg.Parameter(w) for w in W]
    ours = optim.LBFGS(**settings).bind(mine)
    closure = closure_of(ours, mine)
    theirs = [torch.nn.Parameter(torch.tensor(w)) for w in W]
    other = torch.optim.LBFGS(theirs, **settings)
    x, y = torch.tensor(X), torch.tensor(Y)

    def other_closure() -> Any:
        other.zero_grad()
        hidden = torch.tanh(x @ theirs[0] + theirs[1])
        loss = torch.nn.functional.mse_loss(hidden @ theirs[2] + theirs[3], y)
        loss.backward()
        return loss

    for _ in range(10):
        loss = ours.step(closure)
        wanted = other.step(other_closure)
        assert loss is not None
        assert loss.item() == pytest.approx(wanted.item(), rel=1e-9)
        for p, q in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-9, atol=1e-11)


def test_the_line_search_reaches_the_bottom_of_rosenbrocks_valley() -> None:
    w = gg.Parameter(np.array([-1.2, 1.0]))
    optimizer = optim.LBFGS(
        max_iter=100, tolerance_change=1e-18, line_search_fn="strong_wolfe"
    ).bind([w])

    def closure() -> gg.Tensor:
        optimizer.zero_grad()
        loss = (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(w.numpy(), [1, 1], atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_keep_their_dtype(dtype: str) -> None:
    mine = [gg.Parameter(w.astype(dtype)) for w in W]
    optimizer = optim.LBFGS(line_search_fn="strong_wolfe").bind(mine)

    def closure() -> gg.Tensor:
        optimizer.zero_grad()
        loss = gg.tensor(0.0, dtype)
        for p in mine:
            loss = loss + (p * p).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert {p.dtype for p in mine} == {dtype}
    assert max(np.abs(p.numpy()).max() for p in mine) < 1e-3


def test_a_trial_step_to_infinity_is_taken_back_by_the_line_search() -> None:
    def evaluate(w: Any) -> Any:  # log is not finite below 0
        with np.errstate(all="ignore"):
            return float(np.sum(w - np.log(w))), 1 - 1 / w

    w, loss = np.array([0.02, 30.0]), 0.0
    memory: dict[str, Any] = {}
    for _ in range(5):
        w, loss = lbfgs(evaluate, w, memory, 50.0, 20, 25, 1e-7, 1e-9, 10, True)
    np.testing.assert_allclose(w, 1, rtol=1e-4)
    assert loss == pytest.approx(2)


def test_a_loss_that_is_not_finite_leaves_weights_and_memory_as_they_were() -> None:
    w = gg.Parameter(np.array([1.0, 2.0]))
    optimizer = optim.LBFGS(lr=1e3, max_iter=8).bind([w])

    def closure() -> gg.Tensor:
        optimizer.zero_grad()
        loss = gg.exp(w * w).sum()
        loss.backward()
        return loss

    with (
        np.errstate(all="ignore"),
        pytest.raises(NonFiniteError, match="weights are as they were"),
    ):
        optimizer.step(closure)
    assert w.numpy().tolist() == [1.0, 2.0]

    def nowhere(w: Any) -> Any:
        return float("nan"), w

    memory: dict[str, Any] = {}
    found, loss = lbfgs(nowhere, np.ones(2), memory, 1.0, 5, 6, 0.0, 0.0, 5, True)
    assert found.tolist() == [1, 1]
    assert not np.isfinite(loss)
    assert memory == {}


def test_at_the_bottom_nothing_moves() -> None:
    w = gg.Parameter(np.zeros(3))
    optimizer = optim.LBFGS().bind([w])

    def closure() -> gg.Tensor:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert w.numpy().tolist() == [0, 0, 0]


def test_the_cubic_through_two_points_has_its_least_value_there() -> None:
    """Of t^3 - 3 t, whose valley is at 1, from points on both sides."""

    def point(t: float) -> tuple[float, float, None, float]:
        return (t, t**3 - 3 * t, None, 3 * t**2 - 3)

    assert cubic_minimum(point(0.2), point(1.9), 0.2, 1.9) == pytest.approx(1)
    assert cubic_minimum(point(1.9), point(0.2), 0.2, 1.9) == pytest.approx(1)
    assert cubic_minimum(point(0.2), point(0.8), 0.2, 0.8) == 0.8
    assert cubic_minimum(point(0.2), point(0.2), 0.2, 0.4) == pytest.approx(0.3)


def test_a_second_call_goes_on_with_what_the_first_has_learnt() -> None:
    def evaluate(w: Any) -> Any:
        return float((w * w * np.array([1.0, 50.0])).sum()), 2 * w * np.array([1.0, 50.0])

    memory: dict[str, Any] = {}
    w = np.array([5.0, 1.0])
    losses = []
    for _ in range(12):
        w, loss = lbfgs(evaluate, w, memory, 1.0, 1, 10, 0.0, 0.0, 5, True)
        losses.append(loss)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-8
    assert len(memory["changes"]) <= 5


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: optim.LBFGS(max_iter=0), "max_iter"),
        (lambda: optim.LBFGS(max_eval=-1), "max_eval"),
        (lambda: optim.LBFGS(history_size=1.5), "history_size"),
        (lambda: optim.LBFGS(tolerance_grad=-1), "tolerance_grad"),
        (lambda: optim.LBFGS(line_search_fn="wolfe"), "unknown line search"),
        (lambda: optim.LBFGS(optim.Constant(0.1)), "finds its steps itself"),
        (lambda: optim.LBFGS().bind([gg.Parameter([1.0])]).step(), "evaluates the loss"),
        (lambda: optim.LBFGS().rule(0, 0, (), 0, 0), "has no rule"),
        (lambda: optim.LBFGS().step(lambda: gg.tensor(0.0)), "no parameters"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(call: Any, says: str) -> None:
    with pytest.raises((ConfigError, UsageError), match=says) as caught:
        call()
    assert isinstance(caught.value, GlassgradError)
    assert caught.value.expected
