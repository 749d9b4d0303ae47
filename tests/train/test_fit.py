"""What `fit` does: batches, order, history, randomness, what it leaves behind."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.errors import GlassgradError
from glassgrad.train import batches
from glassgrad.train.callbacks import Callback, Run
from glassgrad.train.fit import prepared
from glassgrad.train.trainer import Trainer

Array = NDArray[Any]
R = np.random.default_rng(0)
X = R.normal(size=(50, 4)).astype(np.float32)
Y = R.integers(0, 3, 50)
VALUES = R.normal(size=(50, 2)).astype(np.float32)


def net(outputs: int = 3, dtype: str = "float32") -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, dtype=dtype), nn.Tanh(), nn.Linear(outputs, dtype=dtype))


def fit(model: nn.Module, **settings: Any) -> gg.train.History:
    defaults: dict[str, Any] = {
        "loss": "cross_entropy", "optimizer": optim.SGD(0.1), "epochs": 3, "verbose": False,
    }  # fmt: skip
    x, y = settings.pop("x", X), settings.pop("y", Y)
    return gg.fit(model, x, y, **{**defaults, **settings})


def same(a: dict[str, Array], b: dict[str, Array]) -> bool:
    return a.keys() == b.keys() and all(a[k].tobytes() == b[k].tobytes() for k in a)


# -- fit beside the loop a user would write -----------------------------------------------------


def by_hand(
    model: nn.Module,
    optimizer: optim.Optimizer,
    loss: Callable[[Any, Any], Any],
    y: Array,
    size: int,
    order: Callable[[int], Array] = lambda epoch: np.arange(len(X)),
) -> list[float]:
    """Three epochs of eager tensors, backward and step; the history of the loss."""
    optimizer.bind(model)
    history = []
    for epoch in (1, 2, 3):
        rows = order(epoch)
        total = 0.0
        for start in range(0, len(X), size):
            chosen = rows[start : start + size]
            found = loss(model(gg.tensor(X[chosen])), gg.tensor(y[chosen]))
            total += found.item() * len(chosen)
            found.backward()
            optimizer.step()
            optimizer.zero_grad()
        history.append(total / len(X))
    return history


OPTIMIZERS: dict[str, Callable[[], optim.Optimizer]] = {
    "sgd": lambda: optim.SGD(0.1),
    "momentum": lambda: optim.SGD(0.05, momentum=0.9, weight_decay=1e-3),
    "adam": lambda: optim.Adam(1e-2),
    "adam with decay": lambda: optim.Adam(1e-2, weight_decay=1e-2),
    "adamw": lambda: optim.AdamW(1e-2),
}


@pytest.mark.usefixtures("numpy_engine")
@pytest.mark.parametrize("size", [50, 16, 1])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fit_is_the_eager_loop_bit_for_bit(name: str, size: int) -> None:
    fitted, looped = net(), net()
    history = fit(fitted, optimizer=OPTIMIZERS[name](), batch_size=size, shuffle=False)
    losses = by_hand(looped, OPTIMIZERS[name](), nn.losses.cross_entropy, Y, size)
    assert history["loss"] == losses
    assert same(fitted.state_dict(), looped.state_dict())


@pytest.mark.usefixtures("numpy_engine")
@pytest.mark.parametrize(
    ("loss", "y"), [("mse", VALUES), ("bce_logits", (VALUES > 0).astype(np.float32))]
)
def test_fit_is_the_eager_loop_for_other_losses(loss: str, y: Array) -> None:
    fitted, looped = net(2), net(2)
    history = fit(fitted, y=y, loss=loss, optimizer="adam", batch_size=16, shuffle=False)
    losses = by_hand(looped, optim.Adam(1e-3), nn.losses.NAMED[loss].function, y, 16)
    assert history["loss"] == losses
    assert same(fitted.state_dict(), looped.state_dict())


@pytest.mark.usefixtures("numpy_engine")
def test_shuffled_fit_is_the_eager_loop_over_the_same_orders() -> None:
    fitted, looped = net(), net()
    history = fit(fitted, batch_size=16, seed=0)
    losses = by_hand(
        looped, optim.SGD(0.1), nn.losses.cross_entropy, Y, 16,
        order=lambda epoch: batches.order_of_rows(50, 0, epoch),
    )  # fmt: skip
    assert history["loss"] == losses
    assert same(fitted.state_dict(), looped.state_dict())


# -- batches and their order --------------------------------------------------------------------


def seen(size: int | None, **settings: Any) -> list[Array]:
    """The rows of every batch, as the step is given them."""
    model = net()
    record = prepared(
        model, X, Y, loss="cross_entropy", optimizer="sgd", epochs=2, batch_size=size, **settings
    )
    step = record.plan.step
    usual, rows = step.function, []

    def spy(*arguments: Any) -> Any:
        rows.append(arguments[0].copy())
        return usual(*arguments)

    step.function = spy
    try:
        Trainer(record).run(())
    finally:
        step.function = usual
    return rows


@pytest.mark.usefixtures("numpy_engine")
@pytest.mark.parametrize(("size", "sizes"), [(None, [50]), (16, [16, 16, 16, 2]), (1, [1] * 50)])
def test_every_row_is_used_once_an_epoch(size: int | None, sizes: list[int]) -> None:
    rows = seen(size)
    assert [len(r) for r in rows] == sizes * 2
    for epoch in (rows[: len(sizes)], rows[len(sizes) :]):
        together = np.concatenate(epoch)
        assert {r.tobytes() for r in together} == {r.tobytes() for r in X}


@pytest.mark.usefixtures("numpy_engine")
def test_a_batch_size_above_the_rows_is_the_full_batch() -> None:
    assert [len(r) for r in seen(1000)] == [50, 50]


@pytest.mark.usefixtures("numpy_engine")
def test_orders_are_functions_of_seed_and_epoch() -> None:
    first, again, other = seen(16, seed=3), seen(16, seed=3), seen(16, seed=4)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not (first[0] == other[0]).all()
    assert not (first[0] == first[4]).all()  # the second epoch has another order
    assert sorted(batches.order_of_rows(50, 3, 1)) == list(range(50))


@pytest.mark.usefixtures("numpy_engine")
def test_without_shuffle_rows_come_as_they_are() -> None:
    rows = seen(16, shuffle=False)
    assert (np.concatenate(rows[:4]) == X).all()
    assert (np.concatenate(rows[4:]) == X).all()


@pytest.mark.usefixtures("numpy_engine")
def test_the_last_batch_has_the_mean_over_its_own_rows() -> None:
    model = net()
    history = fit(model, epochs=1, batch_size=49, shuffle=False)
    start = net()
    z = start(gg.tensor(X[:49]))
    first = nn.losses.cross_entropy(z, gg.tensor(Y[:49]))
    optimizer = optim.SGD(0.1).bind(start)
    first.backward()
    optimizer.step()
    second = nn.losses.cross_entropy(start(gg.tensor(X[49:])), gg.tensor(Y[49:]))
    assert history["loss"] == [(first.item() * 49 + second.item() * 1) / 50]


# -- history and validation ---------------------------------------------------------------------


def test_the_first_loss_is_that_of_the_untrained_model() -> None:
    model = net()
    with_seed = gg.evaluate(_drawn(model), X, Y, loss="cross_entropy")
    history = fit(model, epochs=1)
    assert history["loss"][0] == pytest.approx(with_seed["loss"], rel=1e-6)
    assert history["accuracy"][0] == with_seed["accuracy"]


def _drawn(model: nn.Module) -> nn.Module:
    """The model with its numbers drawn, with the seed that `fit` takes."""
    prepared(model, X, Y, loss="cross_entropy", optimizer="sgd")
    return model


def test_validation_comes_after_the_epoch() -> None:
    model = net()
    history = fit(model, validation_data=(X[:20], Y[:20]), batch_size=16)
    after = gg.evaluate(model, X[:20], Y[:20], loss="cross_entropy")
    assert history["val_loss"][-1] == after["loss"]
    assert history["val_accuracy"][-1] == after["accuracy"]
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"]


@pytest.mark.parametrize(
    ("rows", "share", "kept"),
    [(10, 0.25, 7), (10, 0.01, 9), (3, 0.5, 1), (50, 0.1, 45), (5, 1e-30, 4)],
)
def test_a_validation_split_keeps_as_many_rows_as_kerass(
    rows: int, share: float, kept: int
) -> None:
    x, y = X[:rows], Y[:rows]
    record = prepared(net(), x, y, loss="cross_entropy", optimizer="sgd", validation_split=share)
    assert (record.rows, len(record.validation["x"])) == (kept, rows - kept)


def test_a_validation_split_is_the_last_share_of_the_rows() -> None:
    split, given = net(), net()
    a = fit(split, validation_split=0.2, batch_size=16)
    b = fit(given, x=X[:40], y=Y[:40], validation_data=(X[40:], Y[40:]), batch_size=16)
    assert dict(a) == dict(b)
    assert same(split.state_dict(), given.state_dict())


def test_validation_uses_no_dropout_and_running_statistics() -> None:
    model = nn.Sequential(nn.Linear(8), nn.BatchNorm1d(), nn.Dropout(0.5), nn.Linear(3))
    history = fit(model, validation_data=(X, Y), batch_size=25)
    model.eval()
    z = model(gg.tensor(X))
    expected = nn.losses.cross_entropy(z, gg.tensor(Y)).item()
    assert history["val_loss"][-1] == pytest.approx(expected, rel=1e-5)


def test_zero_epochs_train_nothing() -> None:
    model = net()
    history = fit(model, epochs=0)
    assert history.epochs == 0
    assert dict(history) == {"loss": [], "accuracy": []}
    assert repr(history) == "History(0 epochs)"
    assert same(model.state_dict(), _drawn(net()).state_dict())


def test_history_as_a_table() -> None:
    history = fit(net(), epochs=2)
    lines = history.to_csv().splitlines()
    assert lines[0] == "epoch,loss,accuracy,seconds"
    assert lines[1].split(",")[1] == repr(history["loss"][0])
    assert history.to_csv(seconds=False).splitlines()[0] == "epoch,loss,accuracy"
    assert len(history.seconds) == 2
    assert "2 epochs" in repr(history)


# -- evaluate and predict -----------------------------------------------------------------------


def test_evaluation_in_chunks_is_that_of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.Linear(8), nn.BatchNorm1d(), nn.ReLU(), nn.Linear(3))
    fit(model)
    whole = gg.evaluate(model, X, Y, loss="cross_entropy")
    predicted = gg.predict(model, X)
    monkeypatch.setattr(batches, "CHUNK", 7)
    parts = gg.evaluate(model, X, Y, loss="cross_entropy")
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-6)
    assert parts["accuracy"] == whole["accuracy"]
    np.testing.assert_allclose(gg.predict(model, X), predicted, rtol=2e-6, atol=1e-7)


def test_prediction_is_the_eager_result_in_evaluation() -> None:
    model = nn.Sequential(nn.Linear(8), nn.Dropout(0.5), nn.Linear(3))
    fit(model)
    model.train()
    found = gg.predict(model, X)
    assert model.training  # as it was
    model.eval()
    np.testing.assert_allclose(found, model(gg.tensor(X)).numpy(), rtol=2e-6, atol=1e-7)
    assert found.dtype == np.float32
    assert found.shape == (50, 3)


# -- randomness ---------------------------------------------------------------------------------


def test_two_runs_of_a_seed_are_one() -> None:
    def run(seed: int) -> tuple[dict[str, Array], dict[str, list[float]]]:
        model = nn.Sequential(nn.Linear(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(3))
        history = fit(model, batch_size=16, seed=seed)
        return model.state_dict(), dict(history)

    (a, first), (b, again), (c, other) = run(1), run(1), run(2)
    assert first == again
    assert same(a, b)
    assert first != other
    assert not same(a, c)


def test_no_seed_draws_one_and_keeps_it() -> None:
    first = net()
    history = fit(first, seed=None, batch_size=16)
    other = fit(net(), seed=None, batch_size=16)
    seed = history.record.seed
    assert isinstance(seed, int)
    assert seed != other.record.seed
    again = net()
    assert dict(fit(again, seed=seed, batch_size=16)) == dict(history)
    assert same(again.state_dict(), first.state_dict())


def test_only_what_is_not_drawn_yet_is_drawn() -> None:
    model = net()
    given = np.full((4, 8), 0.25, np.float32)
    first: Any = next(iter(model))
    first.weight.assign(given)
    history = fit(model, epochs=1, optimizer=optim.SGD(1e-30))
    initial = history.record.initial
    assert (initial["linear1.weight"] == given).all()
    fresh = _drawn(net()).state_dict()
    assert (initial["linear2.weight"] == fresh["linear2.weight"]).all()
    fit(model, epochs=1, optimizer=optim.SGD(1e-30), seed=9)  # a second fit goes on from there
    assert (model.state_dict()["linear2.weight"] == fresh["linear2.weight"]).all()


def test_initial_numbers_are_those_before_the_first_step() -> None:
    model = net()
    before = {k: v.copy() for k, v in _drawn(model).state_dict().items()}
    history = fit(model)
    assert same(history.record.initial, before)
    assert not same(model.state_dict(), before)


def test_the_users_arrays_are_never_written() -> None:
    x, y = X.copy(), Y.copy()
    x.flags.writeable = y.flags.writeable = False
    model = nn.Sequential(nn.Tanh(), nn.Linear(8), nn.ReLU(), nn.Linear(3))
    fit(model, x=x, y=y, batch_size=16)
    assert (x == X).all()


# -- dtypes, frozen parameters, parts of other models --------------------------------------------


def test_float64_is_complete() -> None:
    model = net(dtype="float64")
    history = fit(model, optimizer="adam", batch_size=16)
    assert {v.dtype for v in model.state_dict().values()} == {np.dtype("float64")}
    assert history.record.data["x"].dtype == np.float64
    assert gg.predict(model, X).dtype == np.float64


def test_bytes_stay_bytes_until_the_step() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.output = nn.Linear(3)

        def forward(self, x: Any) -> Any:
            return self.output(x / 255)  # real numbers by now: the step begins with the cast

    pixels = R.integers(0, 256, (50, 6)).astype(np.uint8)
    a, b = Scaled(), nn.Sequential(output=nn.Linear(3))
    history = fit(a, x=pixels, batch_size=16)
    assert history.record.data["x"].dtype == np.uint8
    other = fit(b, x=pixels.astype(np.float32) / 255, batch_size=16)
    assert dict(history) == dict(other)
    assert same(a.state_dict(), b.state_dict())


def test_frozen_parameters_stay() -> None:
    model = net()
    layers: list[Any] = list(model)
    layers[0].weight.requires_grad = False
    before = _drawn(model).state_dict()
    history = fit(model, optimizer="adam", batch_size=16)
    after = model.state_dict()
    assert before["linear1.weight"].tobytes() == after["linear1.weight"].tobytes()
    assert before["linear1.bias"].tobytes() != after["linear1.bias"].tobytes()
    assert history.record.plan.frozen == ("linear1.weight",)
    layers[0].weight.requires_grad = True  # and free again: another plan
    fit(model, optimizer="adam", batch_size=16)
    assert after["linear1.weight"].tobytes() != model.state_dict()["linear1.weight"].tobytes()


def test_tied_weights_are_one_parameter() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(4, 4)
            self.two = nn.Linear(4, 4)
            self.two.weight = self.one.weight
            self.output = nn.Linear(3)

        def forward(self, x: Any) -> Any:
            return self.output(nn.tanh(self.two(nn.tanh(self.one(x)))))

    model = Tied()
    history = fit(model, optimizer="adam")
    assert sorted(p.name for p in history.record.plan.parts) == [
        "one.bias", "one.weight", "output.bias", "output.weight", "two.bias",
    ]  # fmt: skip
    looped = Tied()
    losses = by_hand(looped, optim.Adam(1e-3), nn.losses.cross_entropy, Y, 50)
    assert history["loss"] == pytest.approx(losses, rel=1e-6)


def test_layers_that_were_used_alone_can_be_trained() -> None:
    a, b = nn.Linear(4, 4), nn.Linear(4, 4)
    b(a(gg.tensor(X)))  # both are roots now, with parameters called `weight`
    model = nn.Sequential(a, nn.Tanh(), b)
    history = fit(model, y=R.normal(size=(50, 4)), loss="mse")
    assert history["loss"][-1] < history["loss"][0]
    assert {p.name for p in history.record.plan.parts[:2]} == {"linear1.weight", "linear1.bias"}


def test_a_layer_put_in_later_is_trained() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Linear(4, 8)
            self.output = nn.Linear(8, 2)

        def forward(self, x: Any) -> Any:
            return self.output(nn.tanh(self.hidden(x)))

    model = Net()
    fit(model, y=VALUES, loss="mse")
    hidden = model.state_dict()["hidden.weight"]
    model.output = nn.Linear(8, 3)
    for parameter in model.hidden.parameters():
        parameter.requires_grad = False
    history = fit(model)
    assert history["loss"][-1] < history["loss"][0]
    assert (model.state_dict()["hidden.weight"] == hidden).all()
    assert model.state_dict()["output.weight"].shape == (8, 3)


# -- the plan is used again ---------------------------------------------------------------------


def test_an_equal_structure_shares_its_step() -> None:
    first = prepared(net(), X, Y, loss="cross_entropy", optimizer=optim.Adam(1e-2), batch_size=16)
    equal: tuple[dict[str, Any], ...] = (
        {"optimizer": optim.Adam(1e-2)},
        {"optimizer": optim.Adam(0.5)},  # the rate is an argument
        {"optimizer": optim.Adam(1e-2), "batch_size": 7},  # one text for every size
        {"optimizer": optim.Adam(1e-2), "seed": 5, "epochs": 9},
    )
    for settings in equal:
        again = prepared(net(), X, Y, loss="cross_entropy", **settings)
        assert again.plan.step.function is first.plan.step.function
    different: tuple[dict[str, Any], ...] = (
        {"optimizer": optim.Adam(1e-2, eps=1e-6)},
        {"optimizer": optim.AdamW(1e-2)},
        {"optimizer": optim.Adam(1e-2), "metrics": ()},
    )
    for settings in different:
        other = prepared(net(), X, Y, loss="cross_entropy", **settings)
        assert other.plan.step.function is not first.plan.step.function


def test_a_users_own_rule_is_not_taken_for_another() -> None:
    class Scaled(optim.SGD):
        def __init__(self, lr: float, factor: float) -> None:
            super().__init__(lr)
            self.factor = factor

        def rule(self, w: Any, g: Any, state: Any, rate: Any, step: Any) -> Any:
            return super().rule(w, g * self.factor, state, rate, step)

    one, two = net(), net()
    fit(one, optimizer=Scaled(0.1, 1.0))
    fit(two, optimizer=Scaled(0.1, 0.5))
    half = net()
    fit(half, optimizer=optim.SGD(0.05))
    assert not same(one.state_dict(), two.state_dict())
    for name, array in two.state_dict().items():
        np.testing.assert_allclose(array, half.state_dict()[name], rtol=1e-5, atol=1e-7)


def test_momentum_starts_anew_with_every_fit() -> None:
    model, other = net(), net()
    fit(model, optimizer=optim.SGD(0.1, momentum=0.9), epochs=1)
    state = model.state_dict()
    other.load_state_dict(state)
    a = fit(model, optimizer=optim.SGD(0.1, momentum=0.9))
    b = fit(other, optimizer=optim.SGD(0.1, momentum=0.9))
    assert dict(a) == dict(b)


# -- the user's own modules ---------------------------------------------------------------------


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(3)

    def forward(self, x: Any) -> Any:
        if x.sum() > 0:  # the line that the message names
            x = -x
        return self.output(x)


def test_a_decision_on_data_names_the_line() -> None:
    with pytest.raises(GlassgradError, match="a decision on a value") as caught:
        fit(Branching())
    lines = Path(__file__).read_text(encoding="utf-8").split("\n")
    number = lines.index("        if x.sum() > 0:  # the line that the message names") + 1
    assert f"{__file__}:{number}" in str(caught.value)


def test_parameters_without_use_are_named() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.output = nn.Linear(3)
            self.idle = nn.Linear(4, 5)

        def forward(self, x: Any) -> Any:
            return self.output(x)

    with pytest.raises(GlassgradError, match="do not reach the loss") as caught:
        fit(Idle())
    assert "idle.weight" in str(caught.value)
    assert "idle.bias" in str(caught.value)


def test_parameters_behind_a_dead_end_are_named() -> None:
    class Dead(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.output = nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, x: Any) -> Any:
            return self.output((self.one(x) > 0).astype("float32"))

    with pytest.raises(GlassgradError, match="do not reach the loss") as caught:
        fit(Dead())
    assert "one.weight" in str(caught.value)
    assert "output.weight" not in str(caught.value)


def test_own_losses() -> None:
    def huber(prediction: Any, target: Any) -> Any:
        error = prediction - target
        return gg.where(abs(error) < 1, error**2 / 2, abs(error) - 0.5).mean()

    model = net(2)
    history = fit(model, y=VALUES, loss=huber, epochs=30)
    assert list(history) == ["loss"]
    assert history["loss"][-1] < history["loss"][0]

    def smoothed(prediction: Any, target: Any) -> Any:
        share = nn.losses.cross_entropy(prediction, target) * 0.9
        return share - nn.log_softmax(prediction).mean() * 0.1

    assert fit(net(), loss=smoothed, epochs=30)["loss"][-1] < 1.2
    with pytest.raises(GlassgradError, match="a label is not a class"):  # as with the named loss
        fit(net(), y=Y + 1, loss=smoothed)


def test_an_own_loss_may_have_the_name_of_ours() -> None:
    def mse(prediction: Any, target: Any) -> Any:
        return abs(prediction - target).mean()

    model = net(2)
    history = fit(model, y=VALUES, loss=mse)
    assert history.record.task.loss_name == "own mse"
    text = gg.source(net(2), X, VALUES, loss=mse, optimizer="sgd")
    assert "mean squared error" not in text


def test_a_loss_function_of_ours_is_known_by_name() -> None:
    history = fit(net(), loss=nn.losses.cross_entropy)
    assert history.record.task.loss_name == "cross_entropy"
    assert list(history) == ["loss", "accuracy"]


def test_what_a_run_held_is_freed_when_it_ends() -> None:
    """Not at the next collection of circles: that may be gigabytes later."""
    x, y = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    gc.collect()
    gc.disable()
    try:
        for callbacks in ((), (Callback(),)):
            gg.fit(
                nn.Linear(2, 1), x, y, loss="mse", optimizer=optim.Adam(), epochs=2,
                callbacks=callbacks, verbose=False,
            )  # fmt: skip
            # not isinstance: that asks objects of other libraries for their class, and some warn
            assert not [o for o in gc.get_objects() if type(o) in (Trainer, Run)]
    finally:
        gc.enable()
