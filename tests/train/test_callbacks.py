"""Callbacks are called at their interval and only there, and see the training as it stands."""

from __future__ import annotations

import io
import os
import signal
import threading
from typing import Any, Literal

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.errors import GlassgradError, NonFiniteError, UsageError
from glassgrad.train import Callback, LambdaCallback, ProgressLines, Run
from glassgrad.train.fit import prepared
from glassgrad.train.trainer import Trainer

R = np.random.default_rng(0)
X = R.normal(size=(20, 3)).astype(np.float32)
Y = R.integers(0, 2, 20)


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(4), nn.BatchNorm1d(), nn.ReLU(), nn.Linear(2))


class Log(Callback):
    def __init__(self, every: int | Literal["epoch"] = "epoch") -> None:
        self.every = every
        self.calls: list[Any] = []

    def on_begin(self, run: Run) -> None:
        self.calls.append(("begin", run.step, run.epoch))

    def on_interval(self, run: Run) -> None:
        self.calls.append((run.step, run.epoch, run.history.epochs))

    def on_end(self, run: Run) -> None:
        self.calls.append(("end", run.step, run.epoch))


def fit(model: nn.Module, callbacks: Any, **settings: Any) -> gg.train.History:
    given: dict[str, Any] = {
        "loss": "cross_entropy", "optimizer": optim.SGD(0.1), "epochs": 3, "batch_size": 8,
        "verbose": False, **settings,
    }  # fmt: skip
    return gg.fit(model, X, Y, callbacks=callbacks, **given)


def test_after_every_epoch() -> None:
    log = Log()
    fit(net(), [log])
    assert log.calls == [("begin", 0, 0), (3, 1, 1), (6, 2, 2), (9, 3, 3), ("end", 9, 3)]


def test_after_every_second_step() -> None:
    log = Log(2)
    fit(net(), log)
    assert [c[0] for c in log.calls] == ["begin", 2, 4, 6, 8, "end"]
    assert [c[1] for c in log.calls[1:-1]] == [1, 2, 2, 3]  # the epoch that is under way


def test_several_are_called_in_their_order() -> None:
    order: list[str] = []

    class Named(Callback):
        def __init__(self, name: str) -> None:
            self.name = name

        def on_interval(self, run: Run) -> None:
            order.append(self.name)

    fit(net(), (Named("a"), Named("b")), epochs=2)
    assert order == ["a", "b", "a", "b"]


class StopAfter(Callback):
    def __init__(self, every: int | Literal["epoch"], at: int) -> None:
        self.every = every
        self.at = at

    def on_interval(self, run: Run) -> None:
        run.stop = run.step >= self.at


def test_stop_after_an_epoch() -> None:
    log = Log()
    history = fit(net(), [StopAfter("epoch", 6), log], epochs=10)
    assert history.epochs == 2
    assert log.calls[-1] == ("end", 6, 2)


def test_stop_within_an_epoch_keeps_the_means_of_what_was_seen() -> None:
    model = net()
    history = fit(model, [StopAfter(1, 2)], epochs=10, shuffle=False)
    assert history.epochs == 1
    other = net()
    short = gg.fit(
        other, X[:16], Y[:16], loss="cross_entropy", optimizer=optim.SGD(0.1), batch_size=8,
        shuffle=False, verbose=False,
    )  # fmt: skip
    assert history["loss"] == short["loss"]
    assert history["accuracy"] == short["accuracy"]
    assert all((a == b).all() for a, b in _pairs(model, other))


def _pairs(a: nn.Module, b: nn.Module) -> Any:
    return zip(a.state_dict().values(), b.state_dict().values(), strict=True)


def test_the_model_in_the_middle_has_the_numbers_of_the_moment() -> None:
    found: list[dict[str, Any]] = []

    class Keep(Callback):
        every: int | Literal["epoch"] = "epoch"

        def on_interval(self, run: Run) -> None:
            found.append(run.model.state_dict())
            assert run.loss > 0

    fit(net(), [Keep()])
    for epochs, state in enumerate(found, 1):
        model = net()
        fit(model, (), epochs=epochs)
        assert all((state[k] == v).all() for k, v in model.state_dict().items())


def test_a_callbacks_prediction_is_of_the_moment() -> None:
    values: list[float] = []

    class Evaluate(Callback):
        def on_interval(self, run: Run) -> None:
            values.append(gg.evaluate(run.model, X, Y, loss="cross_entropy")["loss"])

    history = fit(net(), [Evaluate()], validation_data=(X, Y))
    assert values == history["val_loss"]


@pytest.mark.parametrize("bad", [3, "x", [3], object(), Callback, [Log(0)], [Log(-1)], Log(True)])
def test_what_is_no_callback(bad: Any) -> None:
    with pytest.raises(GlassgradError, match="not a callback"):
        fit(net(), bad)


def test_progress_lines() -> None:
    stream = io.StringIO()
    fit(net(), [ProgressLines(stream, lines=3)], epochs=9)
    lines = stream.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == ["1/9", "3/9", "6/9", "9/9"]
    assert "loss" in lines[0]
    assert "accuracy" in lines[0]


# -- however it ends ----------------------------------------------------------------------------


class Raise(Callback):
    every: int | Literal["epoch"] = 1

    def __init__(self, error: type[BaseException], step: int) -> None:
        self.error, self.step = error, step

    def on_interval(self, run: Run) -> None:
        if run.step == self.step:
            raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_an_error_leaves_the_model_after_the_last_step(error: type[BaseException]) -> None:
    model, other = net(), net()
    with pytest.raises(error):
        fit(model, [Raise(error, 4)])
    fit(other, [StopAfter(1, 4)])
    assert all((a == b).all() for a, b in _pairs(model, other))


@pytest.mark.usefixtures("numpy_engine")
def test_an_interrupt_waits_for_the_end_of_the_step() -> None:
    model, other = net(), net()
    record = prepared(model, X, Y, loss="cross_entropy", optimizer=optim.SGD(0.1), batch_size=8)
    step = record.plan.step
    usual, calls = step.function, []

    def interrupted(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return usual(*arguments)

    step.function = interrupted
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            Trainer(record).run(())
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        step.function = usual
        signal.signal(signal.SIGINT, before)
    assert len(calls) == 2
    fit(other, [StopAfter(1, 2)])
    assert all((a == b).all() for a, b in _pairs(model, other))


@pytest.mark.usefixtures("numpy_engine")
def test_an_interrupt_after_the_last_step_is_not_lost() -> None:
    """As in an evaluation or a callback; whoever waits for the training is told."""
    done: list[Run] = []
    listener = LambdaCallback(
        on_interval=lambda run: os.kill(os.getpid(), signal.SIGINT), on_end=done.append
    )
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    model, other = net(), net()
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(model, listener, epochs=1)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    fit(other, (), epochs=1)
    assert done
    assert all((a == b).all() for a, b in _pairs(model, other))


def test_fit_works_in_another_thread() -> None:
    found: list[gg.train.History] = []
    thread = threading.Thread(target=lambda: found.append(fit(net(), ())))
    thread.start()
    thread.join()
    assert found[0].epochs == 3


def test_what_is_not_finite_stops_before_the_update() -> None:
    def made() -> nn.Module:
        return nn.Sequential(
            hidden=nn.Linear(3, 4, init=1.0), norm=nn.BatchNorm1d(), output=nn.Linear(2)
        )

    x = X.copy()
    x[13] = 3e38  # the sum of three of them is more than float32 holds
    model, other = made(), made()
    settings: dict[str, Any] = {"optimizer": optim.SGD(0.1), "batch_size": 8, "shuffle": False}
    with pytest.raises(NonFiniteError) as caught:
        gg.fit(model, x, Y, loss="cross_entropy", verbose=False, **settings)
    assert "step 2, epoch 1" in caught.value.where
    assert "hidden, forward" in caught.value.where
    assert "0.1" in caught.value.hint
    fit(other, [StopAfter(1, 1)], **settings)
    assert all((a == b).all() for a, b in _pairs(model, other))


def test_a_gradient_alone_that_is_not_finite_stops_too() -> None:
    def steep(prediction: Any, target: Any) -> Any:
        return gg.sqrt(prediction * 0).mean()

    with pytest.raises(NonFiniteError, match="not finite") as caught:
        gg.fit(nn.Linear(3, 1), X, X[:, :1], loss=steep, optimizer="sgd", verbose=False)
    assert "backward" in caught.value.where
    assert "step 1" in caught.value.where


def test_what_goes_wrong_in_a_loop_is_found() -> None:
    model = nn.Sequential(rnn=nn.RNN(2, sequences=True, init=0.1), wide=nn.Linear(2, init=3e38))
    x = np.ones((4, 5, 3), np.float32) * 50
    with pytest.raises(NonFiniteError) as caught:
        gg.fit(model, x, np.ones((4, 5, 2)), loss="mse", optimizer="sgd", verbose=False)
    assert "wide, forward" in caught.value.where

    class Exploding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.growth = gg.Parameter(np.array(1e30, np.float32))

        def forward(self, x: Any) -> Any:
            times = x[:, 1:4].transpose(1, 0, 2)
            last, _ = gg.scan(lambda r, h, z: (h * r + z, h), x[:, 0], times, self.growth)
            return last

    with pytest.raises(NonFiniteError) as caught:
        gg.fit(Exploding(), x, np.ones((4, 3)), loss="mse", optimizer="sgd", verbose=False)
    assert "step 1" in caught.value.where
    assert "op last" in caught.value.where


def _changed(name: str, value: Any) -> Any:
    return lambda state: {**state, name: value}


@pytest.mark.parametrize(
    "change",
    [
        _changed("linear2.bias", np.zeros(1, np.float32)),
        _changed("linear2.weight", np.zeros((2, 4), np.float32)),
        _changed("batchnorm1d1.running_mean", np.zeros((1, 4), np.float32)),
        _changed("linear2.bias", ["a", "b"]),
        _changed("linear2.bias", None),
        lambda state: {k: v for k, v in state.items() if k != "linear2.bias"},
        lambda state: None,
        list,
    ],
)
def test_numbers_of_another_network_are_not_put_back(change: Any) -> None:
    found: list[str] = []

    def put_back(run: Run) -> None:
        before = {name: array.tobytes() for name, array in run.state().items()}
        with pytest.raises(UsageError, match="numbers of this network"):
            run.restore(change(run.state()))
        assert {name: array.tobytes() for name, array in run.state().items()} == before
        found.append("refused")

    fit(net(), LambdaCallback(on_interval=put_back))
    assert found == ["refused"] * 3
