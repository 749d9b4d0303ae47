"""Each way of training holds its defining equation."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.data import spiral
from glassgrad.errors import ConfigError, DataError, NonFiniteError, ShapeError, UsageError
from glassgrad.train import Callback, LambdaCallback, LearningRateScheduler, Run

X, Y = spiral(seed=0)
X = X.astype(np.float64)
Array = NDArray[Any]


def net(dtype: str = "float64") -> nn.Module:
    return nn.Sequential(
        hidden=nn.Linear(2, 16, dtype=dtype), act=nn.Tanh(), output=nn.Linear(16, 3, dtype=dtype)
    )


def trained(model: nn.Module, *data: Any, **settings: Any) -> Any:
    settings = {"loss": "cross_entropy", "verbose": False, **settings}
    return gg.fit(model, *data, **settings)


def close(a: nn.Module, b: nn.Module, within: float = 1e-12) -> None:
    for name, array in a.state_dict().items():
        np.testing.assert_allclose(b.state_dict()[name], array, rtol=within, atol=within)


@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_k_accumulated_batches_equal_one_large_batch(rule: str) -> None:
    """Also where the last ones are smaller: 300 rows are 3 times 96, and 12."""
    one, other = net(), net()
    together = {"sgd": optim.SGD, "adam": optim.Adam}[rule]
    trained(one, X, Y, optimizer=together(0.05), batch_size=96, epochs=4)
    trained(
        other,
        X,
        Y,
        optimizer=together(0.05, gradient_accumulation_steps=4),
        batch_size=24,
        epochs=4,
    )
    close(one, other)


class _Weights(Callback):
    """Keeps the weights after every step."""

    every = 1

    def __init__(self) -> None:
        self.seen: list[dict[str, Array]] = []

    def on_interval(self, run: Run) -> None:
        self.seen.append(run.model.state_dict())


def test_averages_follow_their_recurrence_and_end_in_the_model() -> None:
    watch, model, momentum = _Weights(), net(), 0.7
    trained(
        model,
        X,
        Y,
        optimizer=optim.SGD(0.5, use_ema=True, ema_momentum=momentum),
        batch_size=100,
        epochs=2,
        callbacks=[watch],
    )
    average = watch.seen[0]
    for state in watch.seen[1:]:
        average = {k: momentum * average[k] + (1 - momentum) * w for k, w in state.items()}
    for name, array in model.state_dict().items():
        np.testing.assert_allclose(array, average[name], rtol=1e-13)


def test_a_frozen_parameter_stays_and_the_others_move() -> None:
    model = net()
    before = model.state_dict()
    model.freeze("hidden.*")
    trained(model, X, Y, optimizer="adam", epochs=3)
    after = model.state_dict()
    assert np.array_equal(before["hidden.weight"], after["hidden.weight"])
    assert not np.array_equal(before["output.weight"], after["output.weight"])


def test_a_penalty_is_part_of_the_loss_and_of_its_gradient() -> None:
    plain, model = net(), net()
    nn.regularize(model, "hidden.weight", nn.L2(0.01))
    first = trained(plain, X, Y, optimizer=optim.SGD(0.1))
    second = trained(model, X, Y, optimizer=optim.SGD(0.1))
    gg.seed(0)
    w = net().state_dict()["hidden.weight"]
    assert second["loss"][0] == pytest.approx(first["loss"][0] + 0.01 * (w**2).sum(), rel=1e-12)
    moved = model.state_dict()["hidden.weight"] - plain.state_dict()["hidden.weight"]
    np.testing.assert_allclose(moved, -0.1 * 2 * 0.01 * w, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rule", [optim.Rprop, optim.Adagrad])
def test_a_group_begins_as_its_own_settings_say(rule: Any) -> None:
    """In fit as in the eager loop."""
    own = {"lr": 0.002} if rule is optim.Rprop else {"initial_accumulator_value": 0.5}
    fitted, eager = net(), net()
    trained(fitted, X, Y, optimizer=rule(0.01, groups=[optim.Group("*.bias", **own)]), epochs=3)
    gg.seed(0)
    optimizer = rule(0.01, groups=[optim.Group("*.bias", **own)]).bind(eager)
    eager(gg.tensor(X[:1]))
    for _ in range(3):
        optimizer.zero_grad()
        nn.losses.cross_entropy(eager(gg.tensor(X)), gg.tensor(Y)).backward()
        optimizer.step()
    close(fitted, eager)


# -- batches of an iterable ---------------------------------------------------------------------


class _Batches:
    """The rows in their order, anew in every epoch."""

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        return iter([(X[i : i + 50], Y[i : i + 50]) for i in range(0, 300, 50)])


def test_batches_of_an_iterable_train_as_the_same_rows_in_memory() -> None:
    one, other = net(), net()
    first = trained(one, X, Y, optimizer="adam", batch_size=50, shuffle=False, epochs=3)
    second = trained(other, _Batches(), optimizer="adam", epochs=3)
    assert first["loss"] == second["loss"]
    close(one, other, 0.0)


def test_an_endless_generator_is_read_on_in_every_epoch() -> None:
    def endless() -> Iterator[tuple[Array, Array]]:
        while True:
            yield from _Batches()

    model, plain = net(), net()
    history = trained(model, endless(), optimizer="adam", steps_per_epoch=3, epochs=4)
    trained(plain, X, Y, optimizer="adam", batch_size=50, shuffle=False, epochs=2)
    assert history.epochs == 4
    close(plain, model, 0.0)


def test_an_iterator_trains_for_one_epoch_and_loses_no_batch() -> None:
    one, other = net(), net()
    trained(one, iter(_Batches()), optimizer="sgd")
    trained(other, _Batches(), optimizer="sgd")
    close(one, other, 0.0)


@pytest.mark.parametrize(
    ("source", "settings", "says"),
    [
        (lambda: iter(_Batches()), {"epochs": 2}, "read only once"),
        (lambda: iter(_Batches()), {"steps_per_epoch": 4, "epochs": 2}, "ended early"),
        (list, {}, "no batches"),
        (lambda: [(X, Y, Y, Y)], {}, "a batch is a pair"),
        (lambda: [(X[:5], Y[:5]), (X[:5, :1], Y[:5])], {}, "differs from the first"),
        (lambda: [(X[:5], Y[:5]), (X[:5], Y[:5] + 7)], {}, "not a class"),
        (lambda: [(X[:5], Y[:5]), (X[:5] * np.nan, Y[:5])], {}, "not finite"),
        (lambda: X, {}, "targets are missing"),
        (_Batches, {"validation_split": 0.1}, "no rows to split"),
        (_Batches, {"steps_per_epoch": 0}, "out of range"),
        (_Batches, {"class_weight": "balanced"}, "no rows to weight"),
        (_Batches, {"sample_weight": np.ones(300)}, "no rows to weight"),
        (_Batches, {"augment": lambda rows, numbers, seed, epoch: rows}, "no rows to augment"),
    ],
)
def test_what_is_no_stream_of_batches_is_refused(
    source: Any, settings: dict[str, Any], says: str
) -> None:
    with pytest.raises((ConfigError, DataError, UsageError, ShapeError), match=says):
        trained(net(), source(), optimizer="sgd", **settings)


# -- several inputs and outputs -----------------------------------------------------------------


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(2, 4)
        self.right = nn.Linear(3, 4)
        self.output = nn.Linear(4, 3)

    def forward(self, a: Any, b: Any) -> Any:
        return self.output(nn.relu(self.left(a) + self.right(b)))


def test_several_inputs_come_as_a_tuple_or_by_name() -> None:
    b = np.stack([X[:, 0], X[:, 1], X[:, 0] * X[:, 1]], 1)
    one, other = Pair(), Pair()
    first = trained(one, (X, b), Y, optimizer="adam", epochs=5)
    second = trained(other, {"b": b, "a": X}, Y, optimizer="adam", epochs=5)
    assert first["loss"] == second["loss"]
    assert np.array_equal(gg.predict(one, (X, b)), gg.predict(other, {"a": X, "b": b}))
    scores = gg.evaluate(one, (X, b), Y, loss="cross_entropy")
    assert 0 <= scores["accuracy"] <= 1


@pytest.mark.parametrize(
    ("x", "y", "settings", "says"),
    [
        (X, Y, {}, "takes several inputs"),
        ((X,), Y, {}, "takes several inputs"),
        ({"a": X, "c": X}, Y, {}, "not those of the network"),
        ((X, np.zeros((7, 3))), Y, {}, "different numbers of rows"),
        ((X, np.zeros((300, 3))), (Y, Y), {}, "outputs of the network and the targets differ"),
        ((X, np.zeros((300, 3))), {"k": Y}, {"loss": {"j": "mse"}}, "different names"),
        ((X, np.zeros((300, 3))), (Y, Y), {"loss": ("mse",)}, "differ in number"),
        ((X, np.zeros((300, 3))), Y, {"loss_weights": -1.0}, "loss weight is out of range"),
    ],
)
def test_inputs_and_outputs_that_do_not_fit_are_refused(
    x: Any, y: Any, settings: dict[str, Any], says: str
) -> None:
    with pytest.raises((ConfigError, DataError, UsageError, ShapeError), match=says):
        trained(Pair(), x, y, optimizer="sgd", **settings)


def _two_inputs(name: str) -> nn.Module:
    """A network whose second argument has this name."""
    names: dict[str, Any] = {"nn": nn}
    text = f"""
class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.left = nn.Linear(2, 3)
        self.right = nn.Linear(2, 3)

    def forward(self, a, {name}):
        return self.left(a) + self.right({name})
"""
    exec(text, names)
    made: nn.Module = names["Two"]()
    return made


OWN = ["y", "sample_weight", "weights", "rate", "step", "seed", "rows", "file", "allow_pickle"]
OWN += ["a_val", "y_val", "average", "gradient_sum", *optim.Adam(0.1).state_names]


@pytest.mark.parametrize("name", OWN)
def test_an_argument_that_is_called_as_a_part_of_the_step_is_refused(name: str) -> None:
    model = _two_inputs(name)
    rule = optim.Adam(0.1, use_ema=True, gradient_accumulation_steps=2)
    with pytest.raises(ConfigError, match="variable of this name") as error:
        trained(model, {"a": X, name: X}, Y, optimizer=rule)
    assert f"argument {name} of Two.forward" in error.value.where


def test_evaluate_takes_no_input_for_a_target() -> None:
    with pytest.raises(ConfigError, match="variable of this name"):
        gg.evaluate(_two_inputs("y"), (X, X), Y, loss="cross_entropy")


def test_batches_are_read_from_the_first_epoch_on_and_each_only_once() -> None:
    """`data.Batches` takes its rows in the order that fit would."""
    one, other = net(), net()
    batches = data.Batches((X, Y), batch_size=50, seed=3)
    first = trained(one, X, Y, optimizer="adam", batch_size=50, epochs=3, seed=3)
    second = trained(other, batches, optimizer="adam", epochs=3, seed=3)
    assert first["loss"] == second["loss"]
    close(one, other, 0.0)
    assert batches.epoch == 3


def test_an_iterable_that_ends_is_begun_anew_where_steps_are_counted() -> None:
    one, other = net(), net()
    batches = data.Batches((X, Y), batch_size=50, seed=0)
    trained(one, batches, optimizer="adam", steps_per_epoch=4, epochs=3)
    trained(other, X, Y, optimizer="adam", batch_size=50, epochs=2)
    close(one, other, 0.0)


def test_arrays_that_a_generator_fills_anew_are_read_in_time() -> None:
    def filled() -> Iterator[tuple[Array, Array]]:
        x, y = np.empty((50, 2)), np.empty(50, np.int64)
        for i in range(0, 300, 50):
            x[:], y[:] = X[i : i + 50], Y[i : i + 50]
            yield x, y

    one, other = net(), net()
    trained(one, filled(), optimizer="adam")
    trained(other, _Batches(), optimizer="adam")
    close(one, other, 0.0)


def test_weights_that_only_later_batches_have_are_refused() -> None:
    batches = [(X[:5], Y[:5]), (X[:5], Y[:5], np.full(5, 3.0))]
    with pytest.raises(DataError, match="differs from the first") as error:
        trained(net(), batches, optimizer="sgd")
    assert error.value.where == "epoch 1, batch 2, sample_weight"


def test_what_raises_in_a_generator_leaves_the_numbers_after_the_last_step() -> None:
    def broken() -> Iterator[tuple[Array, Array]]:
        yield from list(_Batches())[:2]
        raise OSError("the disk is gone")

    one, other = net(), net()
    with pytest.raises(OSError, match="disk"):
        trained(one, broken(), optimizer="adam")
    trained(other, list(_Batches())[:2], optimizer="adam")
    close(one, other, 0.0)


# -- rows that are changed ----------------------------------------------------------------------


def test_augment_that_works_in_place_leaves_the_users_rows_alone() -> None:
    def louder(rows: Array, numbers: Array, *, seed: int, epoch: int) -> Array:
        rows *= 3.0
        return rows

    one, other, x = net(), net(), X.copy()
    trained(one, x, Y, optimizer="sgd", augment=louder, epochs=2)
    assert np.array_equal(x, X)
    trained(other, 3.0 * X, Y, optimizer="sgd", epochs=2)
    close(one, other, 0.0)


@pytest.mark.parametrize(
    "change", [lambda r: r[:1], lambda r: r.astype("float32"), lambda r: r.tolist(), lambda r: None]
)
def test_augment_that_changes_the_kind_of_later_rows_is_refused(change: Any) -> None:
    def augment(rows: Array, numbers: Array, *, seed: int, epoch: int) -> Any:
        return change(rows) if epoch == 2 else rows

    with pytest.raises(DataError, match="changes the kind") as error:
        trained(net(), X, Y, optimizer="sgd", augment=augment, epochs=3, batch_size=64)
    assert error.value.where.startswith("epoch 2, 64 rows from row ")


@pytest.mark.parametrize("name", ["val", "val_loss", "val_kind"])
def test_an_output_is_not_called_like_a_column_of_validation_rows(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot have this name"):
        trained(Pair(), (X, np.zeros((300, 3))), {name: Y, "kind": Y}, optimizer="sgd")


def test_only_outputs_without_names_of_their_own_are_a_tuple() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.output = nn.Linear(2, 3)

        def forward(self, x: Any) -> Any:
            z = self.output(x)
            return {"out1": z, "kind": z}

    assert list(gg.predict(Named(), X)) == ["out1", "kind"]


@pytest.mark.parametrize("rule", [lambda run: run.rate / 100, lambda run: 0.1])
def test_a_rate_set_by_a_callback_counts_in_l_bfgs_too(rule: Any) -> None:
    def first_steps(rate: float, **settings: Any) -> nn.Module:
        model = net()
        optimizer = optim.LBFGS(rate, max_iter=1)
        trained(model, X, Y, optimizer=optimizer, epochs=1, **settings)
        return model

    def setting(run: Run) -> None:
        run.rate = rule(run)

    plain = first_steps(0.5)
    other = first_steps(0.5, callbacks=LambdaCallback(on_begin=setting))
    expected = first_steps(rule(SimpleNamespace(rate=0.5)))
    close(expected, other, 0.0)
    with pytest.raises(AssertionError):
        close(plain, other)


def test_l_bfgs_that_meets_what_is_not_finite_leaves_buffers_as_they_were() -> None:
    def settings(epochs: int) -> dict[str, Any]:
        rates = LearningRateScheduler(lambda epoch: 0.1 if epoch == 0 else 1e38)
        rule = optim.LBFGS(0.1, max_iter=3)
        return {"loss": "mse", "optimizer": rule, "epochs": epochs, "callbacks": rates}

    def normed() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(), nn.Tanh(), nn.Linear(4, 1))

    model, other = normed(), normed()
    x = X.astype(np.float32)
    with pytest.raises(NonFiniteError, match="step 2"):
        trained(model, x, X[:, :1], **settings(2))
    trained(other, x, X[:, :1], **settings(1))
    close(model, other, 0.0)
