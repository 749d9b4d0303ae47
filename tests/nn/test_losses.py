"""Losses against PyTorch in float64, and the shapes and labels they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad.errors import DataError, DTypeError, ShapeError
from glassgrad.nn import losses
from tests.conftest import require_torch

RNG = np.random.default_rng(5)
SCORES, IMAGES = RNG.normal(size=(6, 4)) * 3, RNG.normal(size=(3, 4, 2, 5))
P = RNG.uniform(0.01, 0.99, (6, 4))
CASES: list[tuple[str, Any, Any, Any]] = [
    ("mse", "mse_loss", SCORES, RNG.normal(size=(6, 4))),
    ("bce", "binary_cross_entropy", P, RNG.uniform(size=(6, 4))),
    ("bce_logits", "binary_cross_entropy_with_logits", SCORES * 20, RNG.uniform(size=(6, 4))),
    ("cross_entropy", "cross_entropy", SCORES * 50, RNG.integers(0, 4, 6)),
    ("cross_entropy", "cross_entropy", SCORES, np.eye(4)[RNG.integers(0, 4, 6)]),
    ("cross_entropy", "cross_entropy", SCORES, RNG.dirichlet(np.ones(4), 6)),
    ("cross_entropy", "cross_entropy", IMAGES, RNG.integers(0, 4, (3, 2, 5))),
    (
        "cross_entropy",
        "cross_entropy",
        IMAGES,
        np.moveaxis(RNG.dirichlet(np.ones(4), (3, 2, 5)), -1, 1).copy(),
    ),
]


@pytest.mark.parametrize(("name", "theirs", "prediction", "target"), CASES)
def test_values_and_gradients_are_pytorchs(
    name: str, theirs: str, prediction: Any, target: Any
) -> None:
    torch = require_torch()
    a, b = gg.tensor(prediction, requires_grad=True), torch.tensor(prediction, requires_grad=True)
    one = losses.find(name)[1](a, target)
    two = getattr(torch.nn.functional, theirs)(b, torch.tensor(target))
    one.backward()
    two.backward()
    assert one.shape == ()
    assert abs(one.item() - two.item()) <= 1e-13 * max(1, abs(two.item()))
    assert a.grad is not None
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-11, atol=1e-14)


def test_probabilities_of_exactly_0_and_1_are_clipped_as_the_article_does() -> None:
    for dtype, eps in (("float64", 1e-15), ("float32", 1e-7)):
        p = gg.tensor([0.0, 1.0], dtype, requires_grad=True)
        loss = losses.binary_cross_entropy(p, gg.tensor([1.0, 0.0], dtype))
        assert loss.item() == pytest.approx(-np.log(eps), rel=2e-2)
        loss.backward()
        assert p.grad is not None
        assert np.isfinite(p.grad.numpy()).all()


Z, Z64 = gg.tensor([[1.0, 2.0], [3.0, 4.0]]), gg.tensor([[1.0, 2.0]], "float64")


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: losses.mse(gg.tensor([1.0, 2.0]), [[1.0], [2.0]]), ShapeError, "never stretches"),
        (lambda: losses.mse(gg.tensor([1.0, 2.0]), 1.0), ShapeError, "different shapes"),
        (
            lambda: losses.binary_cross_entropy(Z, gg.tensor([1.0, 0.0])),
            ShapeError,
            "different shapes",
        ),
        (
            lambda: losses.binary_cross_entropy_with_logits(Z, [[1.0]]),
            ShapeError,
            "different shapes",
        ),
        (lambda: losses.mse(Z, np.ones((2, 2))), DTypeError, "different kinds of number"),
        (lambda: losses.cross_entropy(gg.tensor([1.0]), [0]), ShapeError, "two axes"),
        (lambda: losses.cross_entropy(Z, [0, 1, 1]), ShapeError, "one class for each row"),
        (lambda: losses.cross_entropy(Z, [[0], [1]]), ShapeError, r"y.reshape\(-1\)"),
        (lambda: losses.cross_entropy(Z, [0.0, 1.0]), DTypeError, "whole numbers"),
        (lambda: losses.cross_entropy(Z, [0, 2]), DataError, "row 1 of the target"),
        (lambda: losses.cross_entropy(Z, [-1, 0]), DataError, "0 to 1, for 2 outputs"),
        (lambda: losses.cross_entropy(Z, np.array([0, 7])), DataError, "row 1 of the target"),
        (lambda: losses.cross_entropy(Z, [[1.0, 0.0]]), ShapeError, "different shapes"),
    ],
)
def test_targets_that_do_not_fit_are_refused(call: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        call()
