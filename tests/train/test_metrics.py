"""Metrics are a sum and a count: batches add up, whatever their sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.errors import GlassgradError

R = np.random.default_rng(0)
X = R.normal(size=(41, 4)).astype(np.float32)


class Given(nn.Module):
    """Gives its input back, plus a parameter that is nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.none = gg.Parameter(np.zeros(1, np.float32))

    def forward(self, x: Any) -> Any:
        return x + self.none


def measured(x: Any, y: Any, loss: Any, metrics: Any = None) -> dict[str, float]:
    """The metric by evaluate, and by an epoch of batches that changes nothing."""
    found = gg.evaluate(Given(), x, y, loss=loss, metrics=metrics)
    history = gg.fit(
        Given(), x, y, loss=loss, metrics=metrics, batch_size=7, optimizer=optim.SGD(1e-30),
        verbose=False, validation_data=(x, y),
    )  # fmt: skip
    for name, value in found.items():
        assert history[name][0] == pytest.approx(value, rel=1e-5)
        assert history[f"val_{name}"][0] == pytest.approx(value, rel=1e-5)
    return found


def share(right: NDArray[np.bool_]) -> float:
    return float(right.mean())


def test_classes_by_index() -> None:
    y = R.integers(0, 4, 41)
    assert measured(X, y, "cross_entropy")["accuracy"] == share(X.argmax(1) == y)


def test_classes_one_hot() -> None:
    y = R.integers(0, 4, 41)
    found = measured(X, np.eye(4)[y], "cross_entropy")
    assert found["accuracy"] == share(X.argmax(1) == y)


@pytest.mark.parametrize("columns", [1])
def test_two_classes_by_logits_and_by_probabilities(columns: int) -> None:
    x = X[:, :columns]
    y = R.integers(0, 2, (41, columns)).astype(np.float32)
    assert measured(x, y, "bce_logits")["accuracy"] == share((x > 0) == (y > 0.5))
    p = 1 / (1 + np.exp(-x))
    assert measured(p, y, "bce")["accuracy"] == share((p > 0.5) == (y > 0.5))


def test_errors_of_numbers() -> None:
    y = R.normal(size=(41, 4)).astype(np.float32)
    found = measured(X, y, "mse", ("mae", "mse"))
    assert found["mae"] == pytest.approx(np.abs(X - y).mean(), rel=1e-6)
    assert found["mse"] == pytest.approx(((X - y) ** 2).mean(), rel=1e-6)
    assert found["mse"] == pytest.approx(found["loss"], rel=1e-6)


def test_a_users_function_is_a_mean_over_rows() -> None:
    def largest(prediction: Any, target: Any) -> Any:
        return abs(prediction - target).max(axis=1).mean()

    y = R.normal(size=(41, 4)).astype(np.float32)
    found = measured(X, y, "mse", largest)
    assert found["largest"] == pytest.approx(np.abs(X - y).max(1).mean(), rel=1e-6)


def test_defaults_follow_the_loss() -> None:
    y = R.integers(0, 4, 41)
    assert list(gg.evaluate(Given(), X, y, loss="cross_entropy")) == ["loss", "accuracy"]
    assert list(gg.evaluate(Given(), X, X, loss="mse")) == ["loss"]
    assert list(gg.evaluate(Given(), X, y, loss="cross_entropy", metrics=())) == ["loss"]


def test_the_right_class_among_the_likeliest() -> None:
    y = R.integers(0, 4, 41)
    place = (X[np.arange(41), y][:, None] < X).sum(1)
    names = ("top_1_accuracy", "top_2_accuracy", "top_5_accuracy", "accuracy")
    found = measured(X, y, "cross_entropy", names)
    for name, k in zip(names, (1, 2, 5), strict=False):
        assert found[name] == share(place < k)
    assert found["top_1_accuracy"] == found["accuracy"]
    one_hot = measured(X, np.eye(4)[y], "cross_entropy", "top_2_accuracy")
    assert one_hot["top_2_accuracy"] == found["top_2_accuracy"]
    with pytest.raises(GlassgradError, match="rows of scores"):
        gg.evaluate(Given(), X, X[:, :2], loss=lambda p, t: p.mean(), metrics="top_2_accuracy")


def test_every_loss_is_a_metric_too() -> None:
    y = R.normal(size=(41, 4)).astype(np.float32)
    found = measured(X, y, "mse", ("huber", "log_cosh", nn.SmoothL1Loss(beta=0.5)))
    e = np.abs(X - y)
    assert found["huber"] == pytest.approx(np.where(e < 1, e * e / 2, e - 0.5).mean(), rel=1e-6)
    assert found["log_cosh"] == pytest.approx(np.log(np.cosh(e)).mean(), rel=1e-6)
    assert found["smooth_l1"] == pytest.approx(np.where(e < 0.5, e * e, e - 0.25).mean(), rel=1e-6)


def test_accuracy_is_not_taken_where_rows_are_ignored() -> None:
    loss, y = nn.CrossEntropyLoss(ignore_index=-1), R.integers(-1, 4, 41)
    assert list(gg.evaluate(Given(), X, y, loss=loss)) == ["loss"]
    with pytest.raises(GlassgradError, match="ignores some"):
        gg.evaluate(Given(), X, y, loss=loss, metrics=("accuracy",))


def _named(name: str) -> Any:
    def metric(prediction: Any, target: Any) -> Any:
        return abs(prediction).mean()

    metric.__name__ = name
    return metric


def _table(prediction: Any, target: Any) -> Any:
    return prediction


@pytest.mark.parametrize(
    "metrics",
    [
        ("acuracy",), ("mae", "mae"), (3,), (_named("loss"),), (_named("a"), _named("a")),
        (_table,), (_named("a,b"),), (_named("a\nb"),), (_named(""),), (_named("val_a"),),
        (_named("x" * 61),), (_named("epoch"),), (_named("\ud800"),), (lambda p, t: 3.0,),
    ],
)  # fmt: skip
def test_what_is_no_metric(metrics: Any) -> None:
    with pytest.raises(GlassgradError) as caught:
        gg.evaluate(Given(), X, X, loss="mse", metrics=metrics)
    assert caught.value.received


def test_accuracy_needs_targets_it_can_compare() -> None:
    def loss(prediction: Any, target: Any) -> Any:
        return prediction.mean() + target.mean() * 0

    with pytest.raises(GlassgradError, match="accuracy compares classes"):
        gg.evaluate(Given(), X, X[:, :2], loss=loss, metrics="accuracy")
