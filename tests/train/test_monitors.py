"""Callbacks that decide by a metric: Keras's own decide the same, and each keeps its rule."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.errors import ConfigError, GlassgradError
from glassgrad.inspect.run import write_run
from glassgrad.train import (
    Callback,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    Run,
)
from tests.conftest import replay, require_keras

R = np.random.default_rng(0)
X = R.normal(size=(24, 3)).astype(np.float32)
Y = R.integers(0, 2, 24)


def fit(callbacks: Any, model: nn.Module | None = None, **changes: Any) -> gg.train.History:
    how: dict[str, Any] = {
        "loss": "cross_entropy", "optimizer": optim.SGD(0.1), "epochs": 4, "batch_size": 8, "verbose": False,
        **changes,
    }  # fmt: skip
    return gg.fit(model or nn.Linear(2), X, Y, callbacks=callbacks, **how)


# -- beside Keras, on the same numbers ---------------------------------------------------------


class Stub:
    """A trainer whose epochs are given: its state is the number of the epoch."""

    def __init__(self, name: str, rate: float = 0.5) -> None:
        self.history = History((name,))
        accuracy = SimpleNamespace(name="accuracy", direction="up")
        self.task = SimpleNamespace(heads=(SimpleNamespace(output="", metrics=(accuracy,)),))
        self.rate = rate
        self.restored: int | None = None
        self.epoch = 0

    def state(self) -> dict[str, int]:
        return {"epoch": self.epoch}

    def restore(self, state: dict[str, int]) -> None:
        self.restored = state["epoch"]


def ours(callback: Callback, name: str, values: list[float]) -> tuple[int, int, list[float]]:
    """Epochs trained, the epoch whose weights are there in the end, the rate after each epoch."""
    stub = Stub(name)
    run = Run(stub, len(values))
    rates = []
    callback.on_begin(run)
    for epoch, value in enumerate(values, 1):
        stub.history.extend({name: [value]}, [0.0])
        run.epoch = stub.epoch = epoch
        callback.on_interval(run)
        rates.append(stub.rate)
        if run.stop:
            break
    callback.on_end(run)
    return run.epoch, stub.restored or run.epoch, rates


def theirs(callback: Any, name: str, values: list[float]) -> tuple[int, int, list[float]]:
    """The same of a Keras callback."""
    model: Any = SimpleNamespace(stop_training=False, epoch=0, kept=None)
    model.optimizer = SimpleNamespace(learning_rate=0.5)
    model.get_weights = lambda: model.epoch
    model.set_weights = lambda weights: setattr(model, "kept", weights)
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, value in enumerate(values):
        model.epoch = epoch + 1
        callback.on_epoch_end(epoch, {name: value})
        rates.append(float(model.optimizer.learning_rate))
        if model.stop_training:
            break
    callback.on_train_end()
    return model.epoch, model.kept or model.epoch, rates


EIGHTHS = st.integers(-8, 8).map(lambda k: k / 8)  # ties are frequent, sums exact


@settings(max_examples=300)
@given(
    values=st.lists(EIGHTHS, min_size=1, max_size=14),
    name=st.sampled_from(["loss", "val_loss", "accuracy"]),
    how=st.fixed_dictionaries(
        {
            "min_delta": st.sampled_from([0, 0.125, -0.25]),
            "patience": st.integers(0, 4),
            "baseline": st.none() | EIGHTHS,
            "restore_best_weights": st.booleans(),
            "start_from_epoch": st.integers(0, 3),
        }
    ),
)
def test_early_stopping_is_keras(values: list[float], name: str, how: dict[str, Any]) -> None:
    keras = require_keras()
    mode = "max" if name == "accuracy" else "min"
    wanted = theirs(keras.callbacks.EarlyStopping(name, mode=mode, **how), name, values)
    stopping = EarlyStopping(name, **how)
    assert ours(stopping, name, values) == wanted
    assert ours(stopping, name, values) == wanted  # a second run starts afresh


@settings(max_examples=300)
@given(
    values=st.lists(EIGHTHS, min_size=1, max_size=14),
    name=st.sampled_from(["loss", "val_loss", "accuracy"]),
    how=st.fixed_dictionaries(
        {
            "min_delta": st.sampled_from([0, 0.125, 1e-4]),
            "patience": st.integers(0, 3),
            "factor": st.sampled_from([0.5, 0.25]),
            "cooldown": st.integers(0, 3),
            "min_lr": st.sampled_from([0.0, 0.0625, 0.09375]),
        }
    ),
)
def test_reduce_on_plateau_is_keras(values: list[float], name: str, how: dict[str, Any]) -> None:
    keras = require_keras()
    mode = "max" if name == "accuracy" else "min"
    wanted = theirs(keras.callbacks.ReduceLROnPlateau(name, mode=mode, **how), name, values)
    assert ours(ReduceLROnPlateau(name, **how), name, values) == wanted


@settings(max_examples=100)
@given(
    values=st.lists(EIGHTHS, min_size=1, max_size=10),
    name=st.sampled_from(["loss", "accuracy"]),
    threshold=st.none() | EIGHTHS,
)
def test_what_is_the_best_so_far_is_keras(
    values: list[float], name: str, threshold: float | None
) -> None:
    keras = require_keras()
    mode = "max" if name == "accuracy" else "min"
    model: Any = SimpleNamespace(saved=[], epoch=0)
    model.save = lambda path, overwrite: model.saved.append(model.epoch)
    theirs = keras.callbacks.ModelCheckpoint(
        "best.keras", name, save_best_only=True, mode=mode, initial_value_threshold=threshold
    )
    theirs.set_model(model)
    mine = ModelCheckpoint(
        "best.glass", name, save_best_only=True, initial_value_threshold=threshold
    )
    run = Run(Stub(name), len(values))
    mine.on_begin(run)
    saved = []
    for epoch, value in enumerate(values):
        model.epoch = epoch
        theirs.on_epoch_begin(epoch)
        theirs.on_epoch_end(epoch, {name: value})
        if mine.improves(value, mine.best):
            mine.best = value
            saved.append(epoch)
    assert saved == model.saved


def test_the_scheduler_is_keras() -> None:
    keras = require_keras()
    schedule = lambda epoch, rate: rate * 0.9 if epoch % 2 else 1 / (epoch + 1)
    model = SimpleNamespace(optimizer=SimpleNamespace(learning_rate=0.5))
    callback = keras.callbacks.LearningRateScheduler(schedule)
    callback.set_model(model)
    wanted = []
    for epoch in range(6):
        callback.on_epoch_begin(epoch)
        wanted.append(float(model.optimizer.learning_rate))
    found: list[float] = []
    see = LambdaCallback(on_interval=lambda run: found.append(run.logs["learning_rate"]))
    fit([LearningRateScheduler(schedule), see], epochs=6)
    assert found == wanted


# -- each by its own rule ----------------------------------------------------------------------


def test_the_best_weights_are_those_of_the_best_epoch() -> None:
    kept: list[dict[str, Any]] = []

    class Keep(Callback):
        def on_interval(self, run: Run) -> None:
            kept.append(run.state())

    model = nn.Sequential(nn.Linear(4), nn.BatchNorm1d(), nn.Linear(2))
    rough: dict[str, Any] = {"optimizer": optim.SGD(3.0), "epochs": 40, "batch_size": 4}
    stopping = EarlyStopping("val_loss", patience=4, restore_best_weights=True)
    history = fit([Keep(), stopping], model, validation_data=(X[:9], Y[:9]), **rough)
    best = int(np.argmin(history["val_loss"])) + 1
    assert stopping.best_epoch == best < stopping.stopped_epoch == history.epochs == best + 4
    assert stopping.best == min(history["val_loss"])
    for name, value in model.state_dict().items():
        assert value.tobytes() == kept[best - 1][name].tobytes()
        assert name.endswith("weight") <= (value != kept[-1][name]).any()
    again = gg.evaluate(model, X[:9], Y[:9], loss="cross_entropy")["loss"]
    assert again == stopping.best


def test_a_state_is_a_copy() -> None:
    model = nn.Linear(2)
    states: list[dict[str, Any]] = []
    fit(LambdaCallback(on_interval=lambda run: states.append(run.state())), model)
    assert not (states[0]["weight"] == states[1]["weight"]).all()
    assert (states[-1]["weight"] == model.state_dict()["weight"]).all()


def test_a_value_that_is_not_finite_never_improves() -> None:
    nan = math.nan
    stopping = EarlyStopping("loss", patience=2, restore_best_weights=True)
    assert ours(stopping, "loss", [nan, 3.0, nan, 2.0, math.inf, nan])[:2] == (6, 4)
    assert stopping.best == 2.0
    assert (
        ours(EarlyStopping("accuracy", patience=2), "accuracy", [0.5, math.inf, math.inf])[0] == 3
    )


def test_the_rate_moves_the_weights() -> None:
    """With SGD on a fixed gradient every step is rate * gradient."""
    weights: list[float] = []
    rates: list[float] = []

    def see(run: Run) -> None:
        weights.append(float(run.model.state_dict()["weight"][0, 0]))
        rates.append(run.logs["learning_rate"])

    model = nn.Linear(1, 1, init=0.0, dtype="float64")
    halve = LearningRateScheduler(lambda epoch: 0.5**epoch)
    slope = lambda p, t: (p * t).mean()
    gg.fit(
        model, [[1.0]], [[1.0]], loss=slope, optimizer=optim.SGD(9.0), epochs=5, verbose=False,
        callbacks=[halve, LambdaCallback(on_interval=see)],
    )  # fmt: skip
    assert rates == [1, 0.5, 0.25, 0.125, 0.0625]
    assert weights == [-1, -1.5, -1.75, -1.875, -1.9375]


def test_logs_have_the_rate_an_epoch_began_with_whatever_the_order() -> None:
    seen: dict[str, list[float]] = {"before": [], "after": []}

    def see(name: str) -> LambdaCallback:
        return LambdaCallback(on_interval=lambda run: seen[name].append(run.logs["learning_rate"]))

    halve = LambdaCallback(on_interval=lambda run: setattr(run, "rate", run.rate / 2))
    fit([see("before"), halve, halve, see("after")])
    assert seen["before"] == seen["after"] == [0.1, 0.025, 0.00625, 0.0015625]


def test_a_rate_that_is_none_is_refused() -> None:
    bad: list[Any] = [0, -1, math.nan, math.inf, "fast", None, True]
    while bad:
        with pytest.raises(ConfigError, match="learning rate") as caught:
            fit(LearningRateScheduler(lambda epoch: bad.pop()))
        assert "LearningRateScheduler, epoch 0" in str(caught.value)
    fit(LearningRateScheduler(lambda epoch: np.float32(0.5)))


def test_an_optimisers_own_schedule_goes_alone() -> None:
    scheduled = optim.SGD(optim.Step(0.1, every=2))
    for callback in (ReduceLROnPlateau("loss"), LearningRateScheduler(lambda epoch: 0.1)):
        model = nn.Linear(3, 2, init=1.0)
        with pytest.raises(ConfigError, match="schedule already"):
            fit(callback, model, optimizer=scheduled)
        assert (model.state_dict()["weight"] == 1).all()


@pytest.mark.usefixtures("numpy_engine")
def test_the_program_replays_what_callbacks_did(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4), nn.BatchNorm1d(), nn.Linear(2))
    callbacks = [
        LearningRateScheduler(lambda epoch, rate: rate * (0.5 if epoch == 2 else 1)),
        ReduceLROnPlateau("val_loss", factor=0.3, patience=1, min_delta=0.05),
        EarlyStopping("val_loss", patience=4, restore_best_weights=True),
    ]
    how: dict[str, Any] = {
        "optimizer": optim.SGD(2.0),
        "epochs": 40,
        "validation_data": (X[:9], Y[:9]),
    }
    history = fit(callbacks, model, **how)
    assert 4 < history.epochs < 40
    place = write_run(history, tmp_path / "run")
    replay(place)
    with np.load(place / "replayed.npz") as replayed:
        for name, value in model.state_dict().items():
            assert replayed[name].tobytes() == value.tobytes()


# -- checkpoints -------------------------------------------------------------------------------


def test_every_epoch_is_saved_as_it_was(tmp_path: Path) -> None:
    states: list[dict[str, Any]] = []
    see = LambdaCallback(on_interval=lambda run: states.append(run.state()))
    keep = ModelCheckpoint(
        tmp_path / "new" / "{epoch:02d}-{loss:.2f}.glass", labels={"task": "binary"}
    )
    history = fit([see, keep])
    files = sorted((tmp_path / "new").iterdir())
    assert [f.name for f in files] == [
        f"{e:02d}-{v:.2f}.glass" for e, v in enumerate(history["loss"], 1)
    ]
    assert keep.saved == files[-1]
    for file, state in zip(files, states, strict=True):
        loaded = gg.load(file)
        assert loaded.labels.task == "binary"
        assert all((loaded.state_dict()[k] == v).all() for k, v in state.items())


def test_only_the_best_is_kept(tmp_path: Path) -> None:
    states: list[dict[str, Any]] = []
    see = LambdaCallback(on_interval=lambda run: states.append(run.state()))
    best = ModelCheckpoint(tmp_path / "best.glass", "val_loss", save_best_only=True)
    rough: dict[str, Any] = {"optimizer": optim.SGD(3.0), "epochs": 12, "batch_size": 4}
    history = fit([see, best], validation_data=(X[:9], Y[:9]), **rough)
    at = int(np.argmin(history["val_loss"]))
    assert 0 < at < 11
    assert [p.name for p in tmp_path.iterdir()] == ["best.glass"]
    loaded = gg.load(tmp_path / "best.glass").state_dict()
    assert all((loaded[k] == v).all() for k, v in states[at].items())


def test_by_steps(tmp_path: Path) -> None:
    fit(ModelCheckpoint(tmp_path / "{step}.glass", save_freq=5))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["10.glass", "5.glass"]


def test_a_checkpoint_that_cannot_be_written_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(100))

    def full(_: int) -> None:
        if next(calls) >= 2:  # a file and its folder are synchronised for each
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    model = nn.Linear(2)
    states: list[dict[str, Any]] = []
    see = LambdaCallback(on_interval=lambda run: states.append(run.state()))
    with pytest.raises(GlassgradError, match="cannot be written") as caught:
        fit([see, ModelCheckpoint(tmp_path / "m.glass")], model)
    assert caught.value.exit_code == 1
    assert [p.name for p in tmp_path.iterdir()] == ["m.glass"]
    loaded = gg.load(tmp_path / "m.glass").state_dict()
    assert all((loaded[k] == v).all() for k, v in states[0].items())
    assert all((model.state_dict()[k] == v).all() for k, v in states[1].items())


# -- what cannot be meant ----------------------------------------------------------------------


def own(prediction: Any, target: Any) -> Any:
    return prediction.mean()


BAD: dict[str, tuple[Any, dict[str, Any], tuple[str, ...]]] = {
    "no validation": (EarlyStopping, {}, ("val_loss", "loss, accuracy", "validation_split")),
    "a typing error": (lambda: EarlyStopping("acuracy"), {}, ("did you mean 'accuracy'?",)),
    "no name": (lambda: EarlyStopping(3), {}, ("3", "one of loss")),  # type: ignore[arg-type]
    "plateau of nothing": (lambda: ReduceLROnPlateau("nothing"), {}, ("nothing", "ReduceLROnPlateau")),
    "best of nothing": (
        lambda: ModelCheckpoint("a.glass", "x", save_best_only=True), {}, ("ModelCheckpoint", "'x'"),
    ),
    "a metric of one's own": (lambda: EarlyStopping("own"), {"metrics": own}, ("mode=", "own")),
    "mode": (lambda: EarlyStopping(mode="mni"), {}, ("did you mean 'min'?",)),
    "patience below 0": (lambda: EarlyStopping(patience=-1), {}, ("patience", "-1")),
    "half patience": (lambda: EarlyStopping(patience=0.5), {}, ("patience", "0.5")),  # type: ignore[arg-type]
    "patience as truth": (lambda: ReduceLROnPlateau(patience=True), {}, ("patience", "True")),
    "delta nan": (lambda: EarlyStopping(min_delta=math.nan), {}, ("min_delta", "nan")),
    "baseline text": (lambda: EarlyStopping(baseline="1"), {}, ("baseline", "'1'")),  # type: ignore[arg-type]
    "factor 1": (lambda: ReduceLROnPlateau(factor=1.0), {}, ("factor", "below 1")),
    "negative factor": (lambda: ReduceLROnPlateau(factor=-0.1), {}, ("factor", "-0.1")),
    "cooldown": (lambda: ReduceLROnPlateau(cooldown=-1), {}, ("cooldown", "-1")),
    "least rate": (lambda: ReduceLROnPlateau(min_lr=-1), {}, ("min_lr", "-1")),
    "no schedule": (lambda: LearningRateScheduler(0.1), {}, ("schedule", "0.1")),  # type: ignore[arg-type]
    "a schedule of three": (lambda: LearningRateScheduler(lambda a, b, c: 1.0), {}, ("schedule",)),
    "not .glass": (lambda: ModelCheckpoint("best.pt"), {}, (".glass", "best.pt")),
    "a zero byte": (lambda: ModelCheckpoint("a\0.glass"), {}, (".glass", "x00")),
    "unknown place": (lambda: ModelCheckpoint("{epok}.glass"), {}, ("{epok}", "epoch")),
    "an attribute": (lambda: ModelCheckpoint("{epoch.__class__}.glass"), {}, ("__class__", "epoch")),
    "a nested place": (lambda: ModelCheckpoint("{epoch:{step}}.glass"), {}, ("epoch",)),
    "a bad format": (lambda: ModelCheckpoint("{epoch:x^z}.glass"), {}, ("ormat", "epoch:x^z")),
    "an open brace": (lambda: ModelCheckpoint("{epoch.glass"), {}, ("{epoch.glass",)),
    "best by steps": (
        lambda: ModelCheckpoint("a.glass", save_best_only=True, save_freq=3), {}, ("save_freq",),
    ),
    "no steps": (lambda: ModelCheckpoint("a.glass", save_freq=0), {}, ("save_freq", "0")),
    "no function": (lambda: LambdaCallback(on_end=3), {}, ("on_end", "3")),  # type: ignore[arg-type]
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_meant_is_said_before_the_first_step(name: str) -> None:
    make, how, words = BAD[name]
    model = nn.Linear(3, 2, init=1.0)
    with pytest.raises(ConfigError) as caught:
        fit(make(), model, **how)
    text = str(caught.value)
    assert all(word in text for word in words), text
    assert caught.value.received
    assert caught.value.expected
    assert (model.state_dict()["weight"] == 1).all()


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kind, self.size = nn.Linear(2), nn.Linear(1)

    def forward(self, x: Any) -> Any:
        return {"kind": self.kind(x), "size": self.size(x)}


def test_losses_and_known_metrics_have_their_direction() -> None:
    seen: list[str] = []
    see = LambdaCallback(
        on_begin=lambda run: seen.extend(run.direction(n) for n in run.history.columns)
    )
    gg.fit(
        nn.Linear(1), [[1.0]], [[2.0]], loss="mse", optimizer="sgd", metrics=["mae", nn.losses.mse, own],
        validation_data=([[1.0]], [[2.0]]), verbose=False, callbacks=[see],
    )  # fmt: skip
    assert seen == ["down", "down", "down", ""] * 2
    two = Two()
    seen.clear()
    gg.fit(
        two, X, {"kind": Y, "size": X[:, :1]}, loss={"kind": "cross_entropy", "size": "mse"},
        optimizer="sgd", metrics={"kind": "accuracy", "size": "mae"}, verbose=False, callbacks=[see],
    )  # fmt: skip
    names = ("loss", "kind_loss", "size_loss", "kind_accuracy", "size_mae")
    assert seen == ["down", "down", "down", "up", "down"], names
    stopping = EarlyStopping("own", mode="max")
    fit(stopping, metrics=own)
    assert stopping.best is not None
