"""A network whose structure is known is not traced again, and gets the plan a trace would find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.errors import GlassgradError
from glassgrad.nn.structure import structure
from glassgrad.train import known, step
from glassgrad.train.fit import prepared
from tests.networks import random_network
from tests.networks.specs import built
from tests.networks.training import drawn_training

X = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
Y = X[:, :3] * X[:, 1:]


@pytest.fixture(autouse=True)
def _unknown() -> None:
    known._FOUND.clear()
    step._PLANS.clear()


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Grows by one with every trace."""
    found: list[Any] = []
    write = step.written_loss

    def noted(*given: Any, **named: Any) -> Any:
        found.append(given)
        return write(*given, **named)

    monkeypatch.setattr(step, "written_loss", noted)
    return found


def net(*middle: nn.Module, **settings: Any) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8, **settings), *(middle or (nn.Tanh(),)), nn.Linear(8, 3))


def plan(model: nn.Module, **settings: Any) -> Any:
    return prepared(model, X, Y, **{"loss": "mse", "optimizer": "adam", **settings}).plan


def prepared_network(seed: int, training: int) -> Any:
    """The record of a random network, nothing of it drawn before, and of a random training."""
    network = random_network(seed, fit=True, dtype="float32")
    network.model = built(network.spec, "float32")
    settings = drawn_training(training, network).prepared(network)
    del settings["verbose"]
    return prepared(network.model, network.x, network.y, **settings)


def _state(model: nn.Module) -> list[Any]:
    parts = [(m.path, m.training, m.input_types) for _, m in model.modules()]
    held = model.named_state()
    kinds = [(n, p.array_type, getattr(p, "drawn", True)) for n, p in held.items()]
    return [parts, kinds, [p.numpy().tobytes() for p in held.values()]]


@pytest.mark.parametrize("seed", range(50))
def test_random_networks_get_the_plan_of_their_graph(seed: int, traces: list[Any]) -> None:
    """Twice with what is known, then traced: one plan, and networks that look alike."""

    def run() -> tuple[Any, list[Any]]:
        record = prepared_network(seed, seed)
        return record.plan, _state(record.task.model)

    first = run()
    count = len(traces)
    second = run()
    if structure(random_network(seed, fit=True).model) is None:
        assert len(traces) == 2 * count
    known._FOUND.clear()
    third = run()
    assert first[0] is second[0] is third[0]
    assert first[1] == second[1] == third[1]


def test_no_two_of_many_networks_share_a_structure_but_not_a_graph(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every key that is met stands for one plan of a trace, whatever was met before."""
    plans: dict[Any, Any] = {}
    monkeypatch.setattr(step, "_PLAN_LIMIT", 10_000)
    seen: list[Any] = []

    def unknown(self: known.Known) -> None:
        seen.append(self)

    monkeypatch.setattr(known.Known, "plan", unknown)  # all are traced
    for seed in [*range(100, 150), *range(100, 150)]:
        record = prepared_network(seed, seed % 7)
        key = seen.pop().key
        if key is not None:
            assert plans.setdefault(key, record.plan) is record.plan
    assert len(plans) > 20


VARIANTS: dict[str, Callable[[], nn.Module]] = {
    "plain": net,
    "another activation": lambda: net(nn.ReLU()),
    "a slope": lambda: net(nn.LeakyReLU()),
    "another slope": lambda: net(nn.LeakyReLU(0.02)),
    "no bias": lambda: net(bias=False),
    "dropout": lambda: net(nn.Dropout(0.5)),
    "more dropout": lambda: net(nn.Dropout(0.25)),
    "two dropouts": lambda: net(nn.Dropout(0.5), nn.Dropout(0.25)),
    "softmax": lambda: net(nn.Softmax(1)),
    "softmax from the end": lambda: net(nn.Softmax(-1)),
    "reshaped": lambda: net(nn.Unflatten(1, (2, 4)), nn.Flatten()),
    "reshaped otherwise": lambda: net(nn.Unflatten(1, (4, 2)), nn.Flatten()),
    "a norm": lambda: net(nn.LayerNorm(8)),
    "a norm, eps": lambda: net(nn.LayerNorm(8, eps=1e-3)),
    "a norm of batches": lambda: net(nn.BatchNorm1d(8)),
    "its momentum": lambda: net(nn.BatchNorm1d(8, momentum=0.2)),
    "no statistics": lambda: net(nn.BatchNorm1d(8, track_running_stats=False)),
    "nested": lambda: net(nn.Sequential(nn.Tanh())),
    "residual": lambda: net(nn.Residual(nn.Tanh())),
    "named": lambda: nn.Sequential(a=nn.Linear(4, 8), b=nn.Tanh(), c=nn.Linear(8, 3)),
    "named otherwise": lambda: nn.Sequential(a=nn.Linear(4, 8), b=nn.Tanh(), d=nn.Linear(8, 3)),
    "wider": lambda: nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 3)),
    "frozen": lambda: net().freeze("linear1.*"),
    "frozen elsewhere": lambda: net().freeze("linear2.*"),
    "l1": lambda: nn.regularize(net(), "*.weight", nn.L1(0.1)),
    "l2": lambda: nn.regularize(net(), "*.weight", nn.L2(0.1)),
    "l2 of one": lambda: nn.regularize(net(), "linear1.weight", nn.L2(0.1)),
    "more l2": lambda: nn.regularize(net(), "*.weight", nn.L2(0.2)),
    "max-norm": lambda: nn.constrain(net(), "*.weight", nn.MaxNorm(1.0)),
    "a larger max-norm": lambda: nn.constrain(net(), "*.weight", nn.MaxNorm(2.0)),
    "of rows": lambda: nn.constrain(net(), "*.weight", nn.MaxNorm(1.0, axis=1)),
    "not negative": lambda: nn.constrain(net(), "*.weight", nn.NonNeg()),
    "one layer twice": lambda: _shared(True),
    "two layers": lambda: _shared(False),
    "one weight twice": lambda: _tied(nn.Linear(8, 8)),
}


def _shared(one: bool) -> nn.Module:
    layer = nn.Linear(8, 8)
    return net(layer, layer if one else nn.Linear(8, 8))


def _tied(first: nn.Linear) -> nn.Module:
    second = nn.Linear(8, 8)
    second.weight = first.weight
    return net(first, second)


RULES: dict[str, Callable[[], optim.Optimizer]] = {
    "adam": lambda: optim.Adam(0.1),
    "adam, eps": lambda: optim.Adam(0.1, eps=1e-3),
    "adam, betas": lambda: optim.Adam(0.1, betas=(0.8, 0.9)),
    "adamw": lambda: optim.AdamW(0.1),
    "sgd": lambda: optim.SGD(0.1),
    "momentum": lambda: optim.SGD(0.1, momentum=0.9),
    "clipped": lambda: optim.SGD(0.1, clipnorm=0.5),
    "averages": lambda: optim.SGD(0.1, use_ema=True),
    "accumulation": lambda: optim.SGD(0.1, gradient_accumulation_steps=2),
    "a group": lambda: optim.SGD(0.1, groups=[optim.Group("*.bias", weight_decay=0.1)]),
    "another group": lambda: optim.SGD(0.1, groups=[optim.Group("*.weight", weight_decay=0.1)]),
    "a group's rate": lambda: optim.SGD(0.1, groups=[optim.Group("*.bias", lr=0.2)]),
    "beside another": lambda: optim.SGD(0.2, groups=[optim.Group("*.bias", lr=0.2)]),
}
LOSSES: dict[str, dict[str, Any]] = {
    "mse": {"loss": "mse"},
    "huber": {"loss": nn.HuberLoss()},
    "huber, delta": {"loss": nn.HuberLoss(delta=2.0)},
    "a sum": {"loss": nn.MSELoss(reduction="sum")},
    "half": {"loss": "mse", "loss_weights": 0.5},
    "weighted": {"loss": "mse", "sample_weight": np.ones(12)},
    "a metric": {"loss": "mse", "metrics": "mae"},
    "two metrics": {"loss": "mse", "metrics": ["mae", "mse"]},
    "a metric that is a loss": {"loss": "mse", "metrics": "huber"},
    "numpy": {"loss": "mse", "backend": "numpy"},
}


def test_what_differs_in_any_setting_has_another_plan(traces: list[Any]) -> None:
    ways: list[tuple[Callable[[], nn.Module], dict[str, Any]]] = [
        *[(make, {}) for make in VARIANTS.values()],
        *[(net, {"optimizer": rule}) for n, rule in RULES.items() if n != "adam"],
        *[(net, loss) for n, loss in LOSSES.items() if n != "mse"],
    ]
    known_plans = []
    for make, settings in ways:
        given = {k: v() if k == "optimizer" else v for k, v in settings.items()}
        known_plans.append(plan(make(), **given))
    assert len(set(map(id, known_plans))) == len(ways)
    count = len(traces)
    assert count == len(ways)
    for (make, settings), expected in zip(ways, known_plans, strict=True):
        given = {k: v() if k == "optimizer" else v for k, v in settings.items()}
        assert plan(make(), **given) is expected
    assert len(traces) == count


CHANGES: dict[str, Callable[[Any], object]] = {
    "a slope": lambda m: setattr(m.leakyrelu1, "slope", 0.5),
    "a whole slope": lambda m: setattr(m.leakyrelu1, "slope", 1),
    "no bias": lambda m: setattr(m.linear1, "bias", None),
    "a share": lambda m: setattr(m.dropout1, "p", 0.5),
    "no dropout": lambda m: setattr(m.dropout1, "p", 0.0),
    "a layer": lambda m: setattr(m, "dropout1", nn.Identity()),
    "the order": lambda m: setattr(m, "_order", ("linear1", "dropout1", "leakyrelu1", "linear2")),
    "a frozen bias": lambda m: setattr(m.linear1.bias, "requires_grad", False),
    "a penalty": lambda m: setattr(m.linear1.weight, "regularizer", nn.L2(0.1)),
    "a bound": lambda m: setattr(m.linear1.weight, "constraint", nn.NonNeg()),
    "a formula": lambda m: setattr(m.linear1, "formula", ("a", "b")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_changed_after_construction_changes_the_plan(name: str) -> None:
    def make() -> nn.Module:
        return net(nn.LeakyReLU(), nn.Dropout(0.1))

    before = plan(make())
    model = make()
    plan(model)
    CHANGES[name](model)
    after = plan(model)
    known._FOUND.clear()
    assert plan(model) is after is not before


def test_the_rule_is_looked_at_anew() -> None:
    rule = optim.Adam(0.1)
    before = plan(net(), optimizer=rule)
    rule.eps = 1e-2
    assert plan(net(), optimizer=rule) is not before
    penalty = nn.L2(0.1)
    before = plan(nn.regularize(net(), "*", penalty))
    penalty.l2 = 0.2
    assert plan(nn.regularize(net(), "*", penalty)) is not before


def test_a_rate_and_a_schedule_are_not_part_of_a_plan(traces: list[Any]) -> None:
    rates = (0.1, 0.2, optim.Exponential(0.1, 0.5))
    assert len({id(plan(net(), optimizer=optim.SGD(rate))) for rate in rates}) == 1
    assert len(traces) == 1


class Own(nn.Module):
    """What a user writes: its forward looks at something outside."""

    factor = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        return self.inner(x) * Own.factor


class OwnLinear(nn.Linear):
    def forward(self, x: Any) -> Any:
        return super().forward(x) * Own.factor


def _patched() -> nn.Module:
    model = net()
    model.forward = lambda x: nn.Sequential.forward(model, x) * Own.factor  # type: ignore[method-assign]
    return model


def _with_rule(kind: str) -> Any:
    model: Any = net()
    rule: Any = (
        (lambda w: w.sum() * Own.factor) if kind == "regularizer" else (lambda w: w * Own.factor)
    )
    setattr(model.linear1.weight, kind, rule)
    return model


FOREIGN: dict[str, Callable[[], tuple[nn.Module, dict[str, Any]]]] = {
    "a module": lambda: (Own(), {}),
    "a module inside": lambda: (nn.Sequential(Own(), nn.Tanh()), {}),
    "a subclass": lambda: (nn.Sequential(OwnLinear(4, 3)), {}),
    "a method of one module": lambda: (_patched(), {}),
    "a penalty": lambda: (_with_rule("regularizer"), {}),
    "a bound": lambda: (_with_rule("constraint"), {}),
    "a loss": lambda: (net(), {"loss": lambda p, t: ((p - t) ** 2).mean() * Own.factor}),
    "a metric": lambda: (net(), {"metrics": lambda p, t: (p - t).mean() * Own.factor}),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_a_user_wrote_is_traced_each_time(
    name: str, traces: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = []
    for factor in (1.0, 2.0, 2.0):
        monkeypatch.setattr(Own, "factor", factor)
        model, settings = FOREIGN[name]()
        plans.append(plan(model, **settings))
    assert len(traces) == 3
    assert plans[0] is not plans[1] is plans[2]


def test_a_class_that_is_patched_is_traced_each_time(
    traces: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = plan(net())
    tanh = nn.Tanh.forward
    monkeypatch.setattr(nn.Tanh, "forward", lambda self, x: tanh(self, x) * Own.factor)
    assert plan(net()) is not before
    plan(net())
    assert len(traces) == 3


def test_open_sizes_are_settled_as_by_a_trace(traces: list[Any]) -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(8), nn.Tanh(), nn.Linear(3))

    models = [make(), make()]
    plans = [plan(model) for model in models]
    assert len(traces) == 1
    assert plans[0] is plans[1]
    assert _state(models[0]) == _state(models[1])
    with pytest.raises(GlassgradError, match="does not fit the layer"):
        prepared(models[1], X[:, :2], Y, loss="mse", optimizer="adam")


def test_an_error_of_an_initialiser_names_the_layer_also_when_the_structure_is_known() -> None:
    def make(value: float) -> nn.Module:
        return net(init=lambda shape, *_: np.full(shape, value))

    said = []
    for clear in (True, False):
        known._FOUND.clear()
        plan(make(1.0))
        if clear:
            known._FOUND.clear()
        with pytest.raises(GlassgradError) as error:
            plan(make(np.nan))
        said.append(str(error.value))
    assert said[0] == said[1]
    assert "linear1: Linear(4, 8)" in said[0]


def test_evaluation_is_known_too(traces: list[Any]) -> None:
    first, second = net(nn.Dropout(0.5)), net(nn.Dropout(0.5))
    one = gg.evaluate(first, X, Y, loss="mse")
    count = len(traces)
    assert gg.evaluate(second, X, Y, loss="mse") == one
    assert len(traces) == count
    settings: dict[str, Any] = {"loss": "mse", "optimizer": "sgd", "validation_split": 0.25}
    histories = [gg.fit(m, X, Y, **settings, verbose=False, epochs=2) for m in (first, second)]
    assert len(traces) == count + 2
    assert dict(histories[0]) == dict(histories[1])
