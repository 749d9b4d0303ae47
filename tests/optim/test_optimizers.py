"""Optimisers against PyTorch, step by step from equal gradients, and what they refuse."""

# mypy: disable-error-code="arg-type"

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.errors import ConfigError, UsageError
from tests.conftest import require_torch

CASES: list[tuple[Any, str, dict[str, Any]]] = [
    (optim.SGD(0.1), "SGD", {"lr": 0.1}),
    (optim.SGD(0.1, momentum=0.9), "SGD", {"lr": 0.1, "momentum": 0.9}),
    (optim.SGD(0.05, weight_decay=0.1), "SGD", {"lr": 0.05, "weight_decay": 0.1}),
    (optim.SGD(0.05, 0.8, 0.1), "SGD", {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.1}),
    (optim.Adam(), "Adam", {}),
    (optim.Adam(0.01, (0.8, 0.95), 1e-6), "Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6}),
    (optim.Adam(0.01, weight_decay=0.1), "Adam", {"lr": 0.01, "weight_decay": 0.1}),
    (optim.AdamW(), "AdamW", {}),
    (
        optim.AdamW(0.02, (0.7, 0.9), weight_decay=0.3),
        "AdamW",
        {"lr": 0.02, "betas": (0.7, 0.9), "weight_decay": 0.3},
    ),
]


@pytest.mark.parametrize(("ours", "name", "settings"), CASES, ids=[repr(c[0]) for c in CASES])
def test_twenty_steps_from_equal_gradients_are_pytorchs(
    ours: Any, name: str, settings: Any
) -> None:
    torch = require_torch()
    rng = np.random.default_rng(3)
    start = [rng.normal(size=(4, 3)), rng.normal(size=(3,))]
    mine = [gg.Parameter(a) for a in start]
    theirs = [torch.nn.Parameter(torch.tensor(a)) for a in start]
    ours.bind(mine)
    other = getattr(torch.optim, name)(theirs, **settings)
    for step in range(20):
        for p, q in zip(mine, theirs, strict=True):
            gradient = rng.normal(size=p.shape) * 10.0 ** rng.integers(-3, 2)
            p.grad = gg.tensor(gradient)
            q.grad = torch.tensor(gradient)
        if step == 10:
            mine[1].grad = theirs[1].grad = None  # a parameter without a gradient stays
        ours.step()
        other.step()
        for p, q in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-12, atol=1e-14)


def test_bind_step_zero_grad_is_a_training_loop() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2)).astype("f")
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    optimizer = optim.Adam(0.02).bind(model)
    losses = []
    for _ in range(200):
        loss = nn.losses.cross_entropy(model(gg.tensor(x)), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.1 < losses[0]
    assert not any(p.requires_grad is False or p.grad is not None for p in model.parameters())


def test_float32_parameters_stay_float32() -> None:
    for optimizer in (optim.SGD(0.1, momentum=0.9), optim.Adam(), optim.AdamW()):
        p = gg.Parameter([1.0, 2.0])
        p.grad = gg.tensor([0.1, 0.2])
        optimizer.bind([p]).step()
        assert p.dtype == "float32"
        assert p.version == 1


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), "fast", True, None])
@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW])
def test_rates_that_cannot_be_meant_are_refused(kind: Any, rate: Any) -> None:
    with pytest.raises(ConfigError, match="learning rate is out of range"):
        kind(rate)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: optim.SGD(0.1, momentum=1), ConfigError, "momentum"),
        (lambda: optim.SGD(0.1, momentum=-0.1), ConfigError, "momentum"),
        (lambda: optim.SGD(0.1, weight_decay=-1), ConfigError, "weight_decay"),
        (lambda: optim.Adam(betas=(0.9, 1)), ConfigError, "beta2"),
        (lambda: optim.Adam(betas=0.9), ConfigError, "betas are two numbers"),
        (lambda: optim.Adam(eps=0), ConfigError, "eps"),
        (lambda: optim.SGD(0.1).step(), UsageError, "no parameters"),
        (lambda: optim.SGD(0.1).bind(3), UsageError, "nothing to bind"),
        (lambda: optim.SGD(0.1).bind([]), UsageError, "nothing to bind"),
        (lambda: optim.SGD(0.1).bind([3]), UsageError, "nothing to bind"),
        (lambda: optim.adam, AttributeError, "did you mean 'Adam'"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(call: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        call()
