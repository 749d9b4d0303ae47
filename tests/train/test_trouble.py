"""What is not finite stops training before the update, and the error says where it came from."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.engine import executor
from glassgrad.errors import NonFiniteError
from glassgrad.files.checkpoint import Store
from glassgrad.tensors.random import order_of_rows
from glassgrad.train import Callback, LambdaCallback, Run
from glassgrad.train.state import read
from glassgrad.train.trouble import Trouble

ROWS, BATCH = 24, 5
PER_EPOCH = math.ceil(ROWS / BATCH)
BACKENDS = ("numpy", "native")


def backend_or_skip(name: str) -> str:
    if name == "native" and executor()[0] != "native":
        pytest.skip("the native executor is not there")
    return name


class Trip(nn.Module):
    """Lets numbers through, until a row whose fuse is 1 comes."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, h: Any, fuse: Any) -> Any:
        fuse = fuse.reshape(-1, *[1] * (h.ndim - 1))
        if self.how == "activation":
            return h * gg.exp(fuse * 200)
        if self.how == "gradient":  # the square root of 0 has no slope
            return h + gg.sqrt((1 - fuse) * (2 + gg.tanh(h)))
        return h


def layers(kind: str) -> tuple[list[nn.Module], tuple[int, ...]]:
    """Three layers of a kind, and the shape of a row; no shape is one of tokens."""
    if kind == "dense":
        return [nn.Linear(6), nn.LayerNorm(), nn.Linear(5)], (3,)
    if kind == "image":
        return [nn.Conv2d(3, 3), nn.BatchNorm2d(), nn.Conv2d(2, 2)], (1, 6, 6)
    if kind == "series":
        return [nn.LSTM(4, sequences=True), nn.MultiheadAttention(4, 2), nn.Linear(3)], (4, 3)
    return [nn.Embedding(7, 4), nn.GRU(4, sequences=True), nn.RMSNorm()], ()


class Net(nn.Module):
    def __init__(self, kind: str, how: str, depth: int) -> None:
        super().__init__()
        (self.first, self.second, self.third), _ = layers(kind)
        self.trip1, self.trip2, self.trip3 = (
            Trip(how if depth == at else "nothing") for at in (1, 2, 3)
        )
        self.out = nn.Linear(1)

    def forward(self, x: Any, fuse: Any) -> Any:
        for layer, trip in ((self.first, self.trip1), (self.second, self.trip2)):
            x = trip(gg.tanh(layer(x)), fuse)
        x = self.trip3(self.third(x), fuse)
        return self.out(x.reshape(x.shape[0], -1))


class Poison(Callback):
    """After so many steps does something to a run, and keeps what its state is then."""

    def __init__(self, after: int, what: Any) -> None:
        self.every = max(after, 1)
        self.after, self.what = after, what
        self.trainer: Any = None
        self.held: dict[str, bytes] = {}

    def on_begin(self, run: Run) -> None:
        self.trainer = run._trainer
        if not self.after:
            self.on_interval(run)

    def on_interval(self, run: Run) -> None:
        if run.step == self.after:
            self.what(self.trainer, run)
            self.held = state_of(self.trainer)


def state_of(trainer: Any) -> dict[str, bytes]:
    held = {"weights": trainer.weights, **trainer.moments, **trainer.buffers}
    return {name: array.tobytes() for name, array in held.items()}


KINDS = ("dense", "image", "series", "tokens")
WAYS = ("input", "activation", "gradient", "parameter", "moment", "update")


@lru_cache(1)
def points() -> list[tuple[Any, ...]]:
    """Fifty places: (network, what is injected, layer, step, optimiser, a number to choose with)."""
    r = np.random.default_rng(6)
    found = []
    for i in range(50):
        kind, way = KINDS[i % len(KINDS)], WAYS[i % len(WAYS)]
        rule = "adam" if way == "moment" else ("sgd", "adam")[int(r.integers(2))]
        depth, step = int(r.integers(1, 4)), int(r.integers(1, 13))
        found.append((kind, way, depth, step, rule, int(r.integers(1 << 30))))
    return found


def rows_of_step(step: int, seed: int) -> Any:
    epoch, place = divmod(step - 1, PER_EPOCH)
    return order_of_rows(ROWS, seed, epoch + 1)[place * BATCH : (place + 1) * BATCH]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("point", range(50))
def test_an_injected_number_is_stopped_before_the_update_and_named(
    point: int, backend: str
) -> None:
    kind, way, depth, step, rule, choice = points()[point]
    r = np.random.default_rng(choice)
    shape = layers(kind)[1]
    x: Any = r.normal(size=(ROWS, *shape)).astype(np.float32)
    if not shape:
        x = r.integers(0, 7, (ROWS, 4))
    row = int(r.choice(rows_of_step(step, 3)))
    value = (np.nan, np.inf, -np.inf)[int(r.integers(3))]
    model = Net(kind, way if way in ("activation", "gradient") else "nothing", depth)
    poisoned: dict[str, Any] = {}

    def inject(trainer: Any, run: Run) -> None:
        if way == "input":
            name = "x" if shape else "fuse"
            flat = trainer.record.data[name][row].reshape(-1)
            flat[int(r.integers(flat.size))] = value
            poisoned["input"] = name
        elif way in ("activation", "gradient"):
            trainer.record.data["fuse"][row] = 1
        elif way in ("parameter", "moment"):
            layer = ("first", "second", "third")[depth - 1]
            own = [p for p in trainer.plan.parts if p.name.startswith(layer)]
            part = own[int(r.integers(len(own)))]
            at = int(r.integers(part.start, part.stop))
            if way == "parameter":
                state = run.state()
                state[part.name].flat[at - part.start] = value
                run.restore(state)
            else:
                trainer.moments["grad_mean"][at] = value
                trainer.watch.stale = True
            poisoned["parameter"] = part.name
        else:
            run.rate = 1e39

    poison = Poison(step - 1, inject)
    fuse = np.zeros((ROWS, 1), np.float32)
    with pytest.raises(NonFiniteError) as caught:
        gg.fit(
            model, {"x": x, "fuse": fuse}, r.normal(size=(ROWS, 1)), loss="mse",
            optimizer=optim.SGD(0.01, momentum=0.9) if rule == "sgd" else optim.Adam(0.01),
            epochs=3, batch_size=BATCH, seed=3, callbacks=[poison], verbose=False,
            backend=backend_or_skip(backend),
        )  # fmt: skip
    told: Trouble = caught.value.trouble
    text = str(caught.value)
    assert state_of(poison.trainer) == poison.held
    assert (told.step, told.epoch) == (step, (step - 1) // PER_EPOCH + 1)
    assert text.count(f"step {step}, epoch {told.epoch}") == 1
    assert poison.trainer.history.epochs == told.epoch - 1
    at = told.at
    assert at is not None
    if way == "input":
        assert (at.role, at.value.name, told.rows) == ("data", poisoned["input"], (row,))
        assert f"input {poisoned['input']}, row {row}, column" in text
    elif way in ("activation", "gradient"):
        phase = "forward" if way == "activation" else "backward"
        assert (at.layer, at.phase) == (f"trip{depth}", phase)
        assert f"trip{depth}, {phase}, op" in text
        assert told.rows == (row,)
        assert all(operand.not_finite == 0 for operand in at.inputs)
        assert at.inputs
    elif way in ("parameter", "moment"):
        assert told.parameter == poisoned["parameter"]
        assert f"parameter {told.parameter}" in text
    else:
        assert at.phase == "update"
        assert told.parameter in {p.name for p in poison.trainer.plan.parts}
    for p in poison.trainer.plan.parts:
        held = model.named_state()[p.name].numpy().ravel()
        assert held.tobytes() == poison.trainer.weights[p.start : p.stop].tobytes()


def small(**settings: Any) -> dict[str, Any]:
    return {"loss": "mse", "verbose": False, "batch_size": 4, "epochs": 3, **settings}


def data() -> tuple[Any, Any]:
    r = np.random.default_rng(1)
    return r.normal(size=(20, 3)).astype(np.float32), r.normal(size=(20, 1)).astype(np.float32)


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(), nn.Tanh(), nn.Linear(4, 1))


class StopAt(Callback):
    """Ends a run after so many steps."""

    stateless = True

    def __init__(self, step: int, found: list[Any]) -> None:
        self.every = step
        self.found = found

    def on_begin(self, run: Run) -> None:
        self.found.append(run._trainer)

    def on_interval(self, run: Run) -> None:
        run.stop = True


def keeping(found: list[Any]) -> Callback:
    return LambdaCallback(on_begin=lambda run: found.append(run._trainer))


def steep(at: int) -> optim.Schedule:
    """A rate that is too large for one step, when `at` updates are done."""
    return optim.Lambda(0.01, lambda t: 1e41 if t == at else 1.0)


def stream() -> Any:
    x, y = data()
    return [(x[i : i + 4], y[i : i + 4]) for i in range(0, 20, 4)]


def twice(rule: Any, at: int, given: Any, **settings: Any) -> tuple[NonFiniteError, Any, Any]:
    """The error of a run, its trainer, and that of a run which ends before that step."""
    found: list[Any] = []
    with pytest.raises(NonFiniteError) as caught:
        gg.fit(net(), *given, optimizer=rule(), callbacks=[keeping(found)], **small(**settings))

    ended = [StopAt(at, found)]
    gg.fit(net(), *given, optimizer=rule(), callbacks=ended, **small(**settings))
    return caught.value, *found


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "way", ["arrays", "stream", "wide stream", "recompute", "augment", "by one"]
)
def test_an_update_that_overflows_is_undone_in_the_middle_of_a_run(way: str, backend: str) -> None:
    backend_or_skip(backend)
    x, y = data()
    given: Any = (stream(),) if way == "stream" else (x, y)
    if way == "wide stream":
        given = ([(np.roll(x, i, axis=0), np.roll(y, i, axis=0)) for i in range(5)],)
    ways: dict[str, dict[str, Any]] = {
        "recompute": {"recompute": True},
        "augment": {"augment": lambda rows, numbers, seed, epoch: rows},
        "by one": {"batch_size": 5, "shuffle": False},
    }
    settings = ways.get(way, {})
    error, stopped, control = twice(
        lambda: optim.SGD(steep(7), momentum=0.9), 7, given, backend=backend, **settings
    )
    assert error.trouble.step == 8
    assert error.trouble.at.phase == "update"
    assert error.trouble.rate > 1e38
    assert state_of(stopped) == state_of(control)
    assert stopped.history["loss"] == control.history["loss"][: stopped.history.epochs]
    per_epoch = 4 if way == "by one" else 5
    assert stopped.history.epochs == 7 // per_epoch == error.trouble.epoch - 1
    assert stopped.updates == control.updates == 7


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("at", "step"), [(1, 4), (3, 7)])
def test_an_update_with_added_gradients_that_overflows_is_undone(
    at: int, step: int, backend: str
) -> None:
    """Two batches an update, and at the end of an epoch one that is left."""
    backend_or_skip(backend)
    error, stopped, control = twice(
        lambda: optim.Adam(steep(at), gradient_accumulation_steps=2),
        step - 1,
        data(),
        backend=backend,
    )
    assert (error.trouble.step, error.trouble.at.phase) == (step, "update")
    assert error.trouble.parameter
    assert state_of(stopped) == state_of(control)
    assert stopped.updates == control.updates == at


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_update_that_ends_an_epoch_is_undone(backend: str) -> None:
    found: list[Any] = []
    rule = optim.Adam(steep(2), gradient_accumulation_steps=2)
    with pytest.raises(NonFiniteError) as caught:
        gg.fit(
            net(), *data(), optimizer=rule, backend=backend_or_skip(backend),
            callbacks=[keeping(found)], **small()
        )  # fmt: skip
    told, (stopped,) = caught.value.trouble, found
    assert (told.step, told.epoch, told.at.phase) == (5, 1, "update")
    assert stopped.updates == 2
    assert stopped.added == (1, 4)
    assert all(np.isfinite(a).all() for a in (stopped.weights, *stopped.moments.values()))
    assert stopped.moments["gradient_sum"].any()


def test_l_bfgs_names_the_node_at_the_point_it_looked_at() -> None:
    x, y = data()
    model = net()
    with pytest.raises(NonFiniteError) as caught:
        gg.fit(
            model, x, y, optimizer=optim.LBFGS(1e38, line_search_fn=None), **small(batch_size=None)
        )
    at = caught.value.trouble.at
    assert at is not None
    assert at.phase == "forward"
    assert all(np.isfinite(array).all() for array in model.state_dict().values())


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_moment_and_a_running_statistic_that_overflow_stop_too(backend: str) -> None:
    backend_or_skip(backend)
    x, y = data()
    line = nn.Linear(3, 1, init=1.0)
    with pytest.raises(NonFiniteError) as caught:  # the square of a slope is too large
        gg.fit(line, 1e25 * x, y, optimizer="adam", backend=backend, **small(loss="mae"))
    assert caught.value.trouble.at.phase == "update"
    assert "parameter weight at (0, 0), its grad_square" in caught.value.where
    norm = nn.Sequential(nn.BatchNorm1d(), nn.Linear(3, 1))
    with pytest.raises(NonFiniteError) as caught:  # a variance is, and a norm divides by it
        gg.fit(norm, 1e25 * x, y, optimizer="sgd", backend=backend, **small())
    assert "norm" in caught.value.where


@pytest.mark.parametrize("backend", BACKENDS)
def test_off_equals_on(backend: str) -> None:
    backend_or_skip(backend)
    states = []
    for on in (True, False):
        for given, rule in (
            (data(), optim.Adam(0.01)),
            ((stream(),), optim.SGD(0.01, momentum=0.9)),
            (data(), optim.SGD(0.01, gradient_accumulation_steps=3)),
        ):
            found: list[Any] = []
            history = gg.fit(
                net(),
                *given,
                optimizer=rule,
                backend=backend,
                callbacks=[keeping(found)],
                guard={"finite": on},
                **small(),
            )
            states.append((state_of(found[0]), history["loss"]))
    assert states[:3] == states[3:]


class Masked(nn.Module):
    """Holds -inf on purpose, and a running minimum that begins with inf."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4)
        self.mask = nn.Buffer(np.array([0, -np.inf, 0, 0], np.float32))
        self.least = nn.Buffer(np.array(np.inf, np.float32))

    def forward(self, x: Any) -> Any:
        h = self.layer(x)
        if self.training:
            self.least.assign(gg.minimum(self.least, h.min()))
        return gg.softmax(h + self.mask).sum(axis=1, keepdims=True) + h[:, :1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_infinity_on_purpose_is_no_trouble_and_is_not_blamed(backend: str) -> None:
    backend_or_skip(backend)
    x, y = data()
    model = Masked()
    history = gg.fit(model, x, y, optimizer="adam", backend=backend, **small())
    assert np.isfinite(history["loss"]).all()
    with pytest.raises(NonFiniteError) as caught:
        gg.fit(model, x, y * 0 + 3e38, optimizer="adam", backend=backend, **small())
    assert caught.value.trouble.at.layer == "loss"


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_no_step_made_is_told_so(backend: str) -> None:
    def spoil(run: Run) -> None:
        run._trainer.weights[3] = np.inf

    x, y = data()
    listening = LambdaCallback(on_interval=spoil, every=7)
    with pytest.raises(NonFiniteError, match="between two steps") as caught:
        gg.fit(
            net(), x, y, optimizer="sgd", callbacks=[LambdaCallback(every=1), listening],
            backend=backend_or_skip(backend), **small()
        )  # fmt: skip
    assert re.match("after step [78], parameter linear1.", caught.value.where)


def test_a_parameter_that_is_not_finite_before_the_first_step_is_named() -> None:
    x, y = data()
    model = nn.Sequential(hidden=nn.Linear(3, 4), out=nn.Linear(4, 1))
    weight = model.state_dict()["hidden.weight"].copy()
    weight[2, 1] = np.nan
    dict(model.named_state())["hidden.weight"].assign(gg.tensor(weight))
    with pytest.raises(NonFiniteError, match="before the first step") as caught:
        gg.fit(model, x, y, optimizer="sgd", **small())
    assert caught.value.where == "parameter hidden.weight at (2, 1)"


def test_losses_of_rows_held_out_that_are_not_finite_stand_in_the_history() -> None:
    x, y = data()
    far = np.full_like(y[:3], 3e38)
    history = gg.fit(net(), x, y, optimizer="sgd", validation_data=(x[:3], far), **small())
    assert history.epochs == 3
    assert not np.isfinite(history["val_loss"]).any()
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_checkpoint_is_not_finite_and_the_error_says_where_the_last_is(
    backend: str, tmp_path: Path
) -> None:
    """Step 10, after which one is due, is the one that overflows."""
    x, y = data()
    run = tmp_path / "run"
    found: list[Any] = []
    with pytest.raises(NonFiniteError, match=r"step-0*5") as caught:
        gg.fit(
            net(), x, y, optimizer=optim.SGD(steep(9), momentum=0.9),
            backend=backend_or_skip(backend), checkpoint=run, checkpoint_every=5, **small()
        )  # fmt: skip
    assert caught.value.trouble.step == 10
    saved = Store(run).newest()
    assert saved is not None
    assert str(saved.path) == caught.value.trouble.checkpoint
    gg.fit(
        net(), x, y, optimizer=optim.SGD(steep(9), momentum=0.9), backend=backend,
        checkpoint=tmp_path / "other", checkpoint_every=5, callbacks=[StopAt(5, found)], **small()
    )  # fmt: skip
    state = read(saved.members, "saved")
    assert state["weights"].tobytes() == found[0].weights.tobytes()
