"""Wrong derivatives stop a run before the next update; right ones never do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.backends import native
from glassgrad.errors import GradientError
from glassgrad.ir import verify
from glassgrad.ops import OPS
from glassgrad.train import gradients
from glassgrad.train.fit import prepared
from glassgrad.train.gradients import check_gradients, checked_graph
from glassgrad.train.trainer import Trainer
from tests.networks import random_network

BACKENDS = ["numpy", pytest.param("native", marks=pytest.mark.skipif(not native.available(), reason="no native executor"))]  # fmt: skip
X, Y = data.spiral(points_per_class=20, seed=0)


@pytest.fixture(autouse=True)
def any_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow: what would be checked before the first step is."""
    monkeypatch.setattr("glassgrad.train.once.AT_ONCE", 60.0)


@contextmanager
def wrong_rule(name: str, factor: float) -> Iterator[None]:
    """The derivative of an op is wrong by a factor meanwhile."""
    op = OPS[name]
    right = op.vjp
    assert right is not None
    rules = tuple([
        None if rule is None else lambda *a, rule=rule, **k: rule(*a, **k) * factor
        for rule in right
    ])  # fmt: skip
    object.__setattr__(op, "vjp", rules)  # a record is frozen
    try:
        yield
    finally:
        object.__setattr__(op, "vjp", right)


class Own(nn.Module):
    """A network that the library does not know whole."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(2, width)
        self.middle = nn.Linear(width, width)
        self.last = nn.Linear(width, 3)

    def forward(self, x: Any) -> Any:
        return self.last(nn.relu(self.middle(gg.tanh(self.first(x)))))


def fit(model: nn.Module, **settings: Any) -> gg.train.History:
    given: dict[str, Any] = {
        "loss": "cross_entropy", "optimizer": optim.Adam(1e-2), "epochs": 3, "batch_size": 12,
        "verbose": False,
    }  # fmt: skip
    return gg.fit(model, X, Y, **given | settings)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("factor", [1.01, 0.0, -1.0])
def test_a_wrong_rule_is_named_before_the_first_step(backend: str, factor: float) -> None:
    model = Own(20 + int(factor * 5) + 20 * (backend == "numpy"))  # a plan is kept by structure
    model(gg.tensor(X[:2]))
    before = model.state_dict()
    with wrong_rule("tanh", factor), pytest.raises(GradientError) as caught:
        fit(model, backend=backend)
    with pytest.raises(GradientError):  # and again
        fit(model, backend=backend)
    assert caught.value.where == "first.weight, first.bias"  # behind it, and nothing after it
    assert "look in first, or between it and the next layer" in caught.value.hint
    assert all(np.array_equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": optim.SGD(0.1, gradient_accumulation_steps=2)},
        {"optimizer": optim.LBFGS(), "batch_size": None},
        {"sample_weight": np.linspace(0.5, 1, len(Y))},
    ],
    ids=["adam", "accumulation", "l-bfgs", "weights of rows"],
)
def test_the_check_of_a_known_network_comes_between_two_steps(
    backend: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def network() -> nn.Sequential:
        return nn.Sequential(nn.Linear(2, 17), nn.Tanh(), nn.Linear(17, 3))

    fit(network(), epochs=1, backend=backend, **settings)  # too short for a check
    monkeypatch.setattr(gradients, "SHARE", 1e9)  # now there is time for it
    healthy = fit(network(), backend=backend, **settings)
    assert healthy.record.plan.checked
    assert not healthy.notes
    model = nn.Sequential(nn.Linear(2, 19), nn.Tanh(), nn.Linear(19, 3))
    steps: list[int] = []
    count = gg.train.LambdaCallback(on_interval=lambda run: steps.append(run.step), every=1)
    with wrong_rule("tanh", 1.5), pytest.raises(GradientError):
        fit(model, backend=backend, callbacks=(count,), **settings)
    assert len(steps) <= 1


def test_a_structure_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[float] = []

    def check(record: Any, step: float, seconds: float) -> None:
        calls.append(step)
        record.plan.checked = True

    monkeypatch.setattr("glassgrad.train.once.check_gradients", check)
    fit(Own(6), backend="numpy")
    fit(Own(6), backend="numpy")
    assert calls == [0.0]


def test_the_check_is_off_where_it_is_switched_off() -> None:
    with wrong_rule("tanh", 2.0):
        fit(Own(7), backend="numpy", guard={"gradients": False})


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_has_the_same_bits_with_the_check(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(width: int, guard: Any) -> dict[str, Any]:
        model = nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.3), nn.Linear(width, 3))  # fmt: skip
        history = fit(model, backend=backend, guard=guard)
        assert history.record.plan.checked == bool(guard)
        return model.state_dict() | {k: np.array(v) for k, v in history.items()}

    monkeypatch.setattr(gradients, "SHARE", 1e9)
    off = run(9, False)
    on = run(9, True)
    assert all(np.array_equal(off[k], on[k]) for k in on)


def test_a_check_without_the_time_for_it_is_left_for_later() -> None:
    record = prepared(Own(5), X, Y, loss="cross_entropy", optimizer="adam", backend="numpy")
    Trainer(record)
    check_gradients(record, 0.0, 0.0)
    assert not record.plan.checked
    check_gradients(record, 0.0)
    assert record.plan.checked


def test_numbers_that_tie_raise_no_alarm() -> None:
    """Rows of zeros and biases of zero put every unit on its kink; max-pooling meets equals."""
    x = np.zeros((12, 1, 8, 8), np.float32)
    x[6:, :, 2:5, 2:5] = 1
    y = np.arange(12) % 3
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
    )
    record = prepared(model, x, y, loss="cross_entropy", optimizer="adam", backend="numpy")
    Trainer(record)
    check_gradients(record, 1e-4)


class Stepped(nn.Module):
    """Its loss jumps; where it does not, the derivative of what jumps is none."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Linear(2, 3)

    def forward(self, x: Any) -> Any:
        found = self.scale(x)
        return found + gg.round(100 * found)


def test_a_loss_that_jumps_raises_no_alarm() -> None:
    fit(Stepped(), backend="numpy")


def test_a_check_that_cannot_be_made_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(record: Any, step: float, seconds: float) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("glassgrad.train.once.check_gradients", fails)
    assert "not checked: no room" in fit(Own(8), backend="numpy").notes[0]


def test_the_copy_is_float64_throughout() -> None:
    """In bodies of loops, too."""
    model = nn.Sequential(nn.Embedding(9, 4), nn.LSTM(4, 5), nn.Linear(5, 3))
    tokens, classes = np.zeros((4, 6), np.int64), np.zeros(4, np.int64)
    record = prepared(model, tokens, classes, loss="cross_entropy", optimizer="adam")
    graph, _ = checked_graph(record.plan)
    assert "float32" not in graph.structure()
    assert "scan" in graph.structure()
    verify(graph)


def check_networks(seeds: range, backend: str) -> None:
    for seed in seeds:
        network = random_network(seed, rows=15, dtype="float32", fit=True)
        record = prepared(
            network.model, network.x, network.y, **network.losses, optimizer=optim.SGD(0.1),
            metrics=(), backend=backend,
        )  # fmt: skip
        Trainer(record)
        check_gradients(record, 1e-4)
        assert record.plan.checked, seed


def test_some_random_networks_raise_no_alarm() -> None:
    check_networks(range(500, 510), "auto")


@pytest.mark.slow
def test_thirty_random_networks_raise_no_alarm() -> None:
    check_networks(range(500, 530), "numpy")


# -- the first loss ----------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("begin", "scale", "says"),
    [(None, 1e3, "not scaled"), (0.0, 1.0, "gives every class the same"), (None, 1.0, "")],
    ids=["far above", "at chance", "as usual"],
)
def test_a_first_loss_that_says_something_is_a_note(
    begin: Any, scale: float, says: str, backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.random.Generator(np.random.Philox(0)).normal(size=(60, 2)).astype(np.float32)
    model = nn.Linear(2, 3) if begin is None else nn.Linear(2, 3, init=begin)
    history = gg.fit(
        model, rows * scale, Y, loss="cross_entropy", optimizer=optim.SGD(1e-3), backend=backend
    )
    assert len(history.notes) == bool(says)
    err = capsys.readouterr().err
    assert says in err
    assert ("note: loss" in err) == bool(says)
    if says:
        assert "guessing evenly among 3 classes costs 1.099" in history.notes[0]
    quiet = gg.fit(
        model, rows, Y, loss="cross_entropy", optimizer="sgd", backend=backend, verbose=False,
        guard={"chance": False},
    )  # fmt: skip
    assert not quiet.notes
