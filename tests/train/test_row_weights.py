"""Weights of rows and classes: each row's loss counts as often as its weight says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.data import spiral
from glassgrad.errors import ConfigError, DataError, UsageError

X, Y = spiral(seed=0)
X = X[::5].astype(np.float64)
Y = Y[::5]
N = len(X)
RNG = np.random.default_rng(0)
WEIGHTS = RNG.uniform(0.0, 2.0, N)


def net(outputs: int = 3) -> nn.Module:
    return nn.Sequential(
        hidden=nn.Linear(2, 8, dtype="float64"),
        act=nn.Tanh(),
        output=nn.Linear(8, outputs, dtype="float64"),
    )


def trained(model: nn.Module, x: Any, y: Any, **settings: Any) -> Any:
    usual = {"loss": "cross_entropy", "optimizer": optim.SGD(0.1), "verbose": False}
    return gg.fit(model, x, y, **{**usual, **settings})


def same(a: nn.Module, b: nn.Module) -> None:
    for name, array in a.state_dict().items():
        np.testing.assert_allclose(b.state_dict()[name], array, rtol=1e-12, atol=1e-13)


def test_a_weight_of_2_is_the_row_twice() -> None:
    """Whole weights against rows that are there so often; the mean is over the rows given."""
    counts = RNG.integers(0, 4, N)
    weighted, repeated = net(), net()
    trained(weighted, X, Y, sample_weight=counts, epochs=5)
    rows = np.repeat(np.arange(N), counts)
    # sum(w l) / n is the mean over the repeated rows, times how many they are.
    scale = len(rows) / N
    trained(repeated, X[rows], Y[rows], optimizer=optim.SGD(0.1 * scale), epochs=5)
    same(weighted, repeated)


LOSSES: dict[str, tuple[int, NDArray[Any]]] = {
    "cross_entropy": (3, Y),
    "mse": (2, RNG.normal(size=(N, 2))),
    "bce_logits": (1, (Y[:, None] > 0).astype(float)),
    "huber": (2, RNG.normal(size=(N, 2))),
    "hinge": (1, np.where(Y[:, None] > 0, 1.0, -1.0)),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_is_the_weighted_sum_over_the_number_of_rows(loss: str) -> None:
    outputs, y = LOSSES[loss]
    model = net(outputs)
    history = trained(model, X, y, loss=loss, sample_weight=WEIGHTS, metrics=())
    first = net(outputs)
    gg.seed(0)
    each = [
        gg.evaluate(first, X[i : i + 1], y[i : i + 1], loss=loss, metrics=())["loss"]
        for i in range(N)
    ]
    assert history["loss"][0] == pytest.approx(np.dot(WEIGHTS, each) / N, rel=1e-12)
    scores = gg.evaluate(model, X, y, loss=loss, sample_weight=WEIGHTS, metrics=())
    again = [
        gg.evaluate(model, X[i : i + 1], y[i : i + 1], loss=loss, metrics=())["loss"]
        for i in range(N)
    ]
    assert scores["loss"] == pytest.approx(np.dot(WEIGHTS, again) / N, rel=1e-12)


@pytest.mark.parametrize(
    "given",
    [
        {0: 1.0, 1: 2.5, 2: 0.25},
        [1.0, 2.5, 0.25],
        np.array([1.0, 2.5, 0.25]),
        {2: 0.25, 0: 1, 1: 2.5},
    ],
)
def test_a_class_weight_is_the_weight_of_each_of_its_rows(given: Any) -> None:
    by_class, by_row = net(), net()
    trained(by_class, X, Y, class_weight=given, epochs=3)
    trained(by_row, X, Y, sample_weight=np.array([1.0, 2.5, 0.25])[Y], epochs=3)
    same(by_class, by_row)


def test_both_weights_are_multiplied() -> None:
    both, one = net(), net()
    trained(both, X, Y, class_weight=[1.0, 2.5, 0.25], sample_weight=WEIGHTS, epochs=3)
    trained(one, X, Y, sample_weight=WEIGHTS * np.array([1.0, 2.5, 0.25])[Y], epochs=3)
    same(both, one)


def test_balanced_classes_weigh_the_same_in_all() -> None:
    y = np.where(np.arange(N) % 6 == 0, 1, 0)
    balanced, by_row = net(), net()
    trained(balanced, X, y, class_weight="balanced", epochs=3)
    share = np.where(y == 1, N / (2 * (y == 1).sum()), N / (2 * (y == 0).sum()))
    trained(by_row, X, y, sample_weight=share, epochs=3)
    same(balanced, by_row)


def test_weights_follow_their_rows_through_batches_and_the_validation_split() -> None:
    """A row of weight 0 changes nothing, wherever the order puts it."""
    x, y = X.copy(), Y.copy()
    weights = np.ones(N)
    weights[::4] = 0
    x[::4], y[::4] = 100.0, 0
    odd, even = net(), net()
    settings = {"batch_size": 7, "epochs": 2, "validation_split": 0.2, "metrics": ()}
    first = trained(odd, x, y, sample_weight=weights, **settings)
    x[::4], y[::4] = -50.0, 2
    second = trained(even, x, y, sample_weight=weights, **settings)
    same(odd, even)
    assert first["val_loss"] == second["val_loss"]
    third = trained(net(), x, y, sample_weight=weights, metrics=(), validation_data=(x, y, weights))
    assert third["val_loss"][0] != first["val_loss"][0]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sample_weight": np.ones(N - 1)}, "one weight for each row"),
        ({"sample_weight": np.ones((N, 1))}, "one weight for each row"),
        ({"sample_weight": np.where(np.arange(N) == 3, -1.0, 1.0)}, "row 3"),
        ({"sample_weight": np.where(np.arange(N) == 3, np.nan, 1.0)}, "row 3"),
        ({"sample_weight": np.zeros(N)}, "every row has the weight 0"),
        ({"sample_weight": ["a"] * N}, "not made of numbers"),
        ({"class_weight": {0: 1.0, 1: 1.0}}, "none for class 2"),
        ({"class_weight": {0: 1.0, 1: 1.0, "2": 1.0}}, "differ"),
        ({"class_weight": [1.0, 1.0]}, "at least 3 weights"),
        ({"class_weight": [1.0, -1.0, 1.0]}, "out of range"),
        ({"class_weight": [1.0, "a", 1.0]}, "out of range"),
        ({"class_weight": "equal"}, "not known"),
        ({"class_weight": 3.0}, "class"),
    ],
)
def test_weights_that_cannot_be_meant_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises((ConfigError, DataError), match=says):
        trained(net(), X, Y, **settings)


def test_class_weights_need_classes() -> None:
    with pytest.raises(DataError, match="one class for each row"):
        trained(net(2), X, RNG.normal(size=(N, 2)), loss="mse", class_weight=[1.0, 2.0])


def test_a_loss_of_the_user_is_weighted_if_it_can_give_one_for_each_row() -> None:
    def whole(prediction: Any, target: Any) -> Any:
        return ((prediction - target) ** 2).mean()

    def by_row(prediction: Any, target: Any, reduction: str = "mean") -> Any:
        found = (prediction - target) ** 2
        return found if reduction == "none" else found.mean()

    y = RNG.normal(size=(N, 2))
    with pytest.raises(UsageError, match="row by row"):
        trained(net(2), X, y, loss=whole, sample_weight=WEIGHTS)
    own, ours = net(2), net(2)
    trained(own, X, y, loss=by_row, sample_weight=WEIGHTS)
    trained(ours, X, y, loss="mse", sample_weight=WEIGHTS)
    same(own, ours)


def test_class_weights_are_for_training_alone() -> None:
    """As in Keras: rows to test on have the weights of their own, split off or given."""
    split, given, plain = net(), net(), net()
    tail = round(N * 0.8)
    settings = {"class_weight": [1.0, 2.5, 0.25], "epochs": 2}
    first = trained(split, X, Y, validation_split=0.2, **settings)
    rows = (X[tail:], Y[tail:])
    second = trained(given, X[:tail], Y[:tail], validation_data=rows, **settings)
    same(split, given)
    assert first["val_loss"] == second["val_loss"]
    scores = gg.evaluate(split, *rows, loss="cross_entropy")
    assert scores == {k: first[f"val_{k}"][-1] for k in scores}
    trained(plain, X[:tail], Y[:tail], sample_weight=np.array([1.0, 2.5, 0.25])[Y[:tail]], epochs=2)
    same(split, plain)


@pytest.mark.parametrize("number", [np.float32(2.5), np.float64(2.5), np.int64(2)])
def test_numbers_of_numpy_are_class_weights(number: Any) -> None:
    one, other = net(), net()
    trained(one, X, Y, class_weight={0: 1, 1: number, 2: 1})
    trained(other, X, Y, class_weight=[1.0, float(number), 1.0])
    same(one, other)


@pytest.mark.parametrize(("weight", "says"), [(1e40, "too large"), (1e-50, "every row")])
def test_weights_that_the_dtype_cannot_hold(weight: float, says: str) -> None:
    with pytest.raises(DataError, match=says):
        trained(nn.Linear(2, 3), X, Y, sample_weight=np.full(N, weight))


def test_rows_of_a_summed_loss_are_summed_with_their_weights() -> None:
    one, other = net(), net()
    summed = nn.CrossEntropyLoss(reduction="sum")
    first = trained(one, X, Y, loss=summed, sample_weight=WEIGHTS, optimizer=optim.SGD(0.1 / N))
    second = trained(other, X, Y, sample_weight=WEIGHTS)
    same(one, other)
    assert first["loss"][0] == pytest.approx(N * second["loss"][0], rel=1e-12)
