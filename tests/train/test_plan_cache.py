"""Equal networks share a compiled step; whatever changes the step gives another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.data import spiral
from glassgrad.errors import ConfigError, GlassgradError
from glassgrad.train import known, step

X, Y = spiral(seed=0)
State = dict[str, NDArray[Any]]


def forget() -> None:
    step._PLANS.clear()
    known._FOUND.clear()


def net() -> nn.Module:
    return nn.Sequential(hidden=nn.Linear(2, 8), act=nn.Tanh(), output=nn.Linear(8, 3))


def trained(model: nn.Module, **settings: Any) -> State:
    usual = {"loss": "cross_entropy", "optimizer": "sgd", "verbose": False, "batch_size": 100}
    gg.fit(model, X, Y, **{**usual, **settings})
    return model.state_dict()


def regularized(rule: Any) -> nn.Module:
    return nn.regularize(net(), "*.weight", rule)


def constrained(rule: Any) -> nn.Module:
    return nn.constrain(net(), "*.weight", rule)


def frozen() -> nn.Module:
    model = net()
    model.freeze("hidden.*")
    return model


def _group(rate: float, **settings: Any) -> optim.Optimizer:
    return optim.SGD(rate, groups=[optim.Group("output.*", **settings)])


WAYS: dict[str, Callable[[], State]] = {
    "plain": lambda: trained(net()),
    "another rate": lambda: trained(net(), optimizer=optim.SGD(0.03)),
    "momentum": lambda: trained(net(), optimizer=optim.SGD(0.1, momentum=0.9)),
    "nesterov": lambda: trained(net(), optimizer=optim.SGD(0.1, momentum=0.9, nesterov=True)),
    "a group of rate 0.01 beside 0.1": lambda: trained(net(), optimizer=_group(0.1, lr=0.01)),
    "a group of rate 0.01 beside 0.01": lambda: trained(net(), optimizer=_group(0.01, lr=0.01)),
    "a group of rate 0.02 beside 0.1": lambda: trained(net(), optimizer=_group(0.1, lr=0.02)),
    "a group that decays": lambda: trained(net(), optimizer=_group(0.1, weight_decay=0.1)),
    "a schedule": lambda: trained(net(), optimizer=optim.SGD(optim.Exponential(0.1, 0.5))),
    "clipped": lambda: trained(net(), optimizer=optim.SGD(0.1, clipnorm=0.01)),
    "clipped together": lambda: trained(net(), optimizer=optim.SGD(0.1, global_clipnorm=0.01)),
    "averages": lambda: trained(net(), optimizer=optim.SGD(0.1, use_ema=True)),
    "other averages": lambda: trained(
        net(), optimizer=optim.SGD(0.1, use_ema=True, ema_momentum=0.5)
    ),
    "accumulation": lambda: trained(net(), optimizer=optim.SGD(0.1, gradient_accumulation_steps=2)),
    "lbfgs": lambda: trained(net(), optimizer=optim.LBFGS(0.1, max_iter=2), batch_size=None),
    "l1": lambda: trained(regularized(nn.L1(0.1))),
    "more l1": lambda: trained(regularized(nn.L1(0.2))),
    "l2": lambda: trained(regularized(nn.L2(0.1))),
    "max-norm": lambda: trained(constrained(nn.MaxNorm(0.5))),
    "a smaller max-norm": lambda: trained(constrained(nn.MaxNorm(0.25))),
    "max-norm of rows": lambda: trained(constrained(nn.MaxNorm(0.5, axis=1))),
    "frozen": lambda: trained(frozen()),
    "class weights": lambda: trained(net(), class_weight=[1.0, 2.0, 3.0]),
    "other class weights": lambda: trained(net(), class_weight=[3.0, 2.0, 1.0]),
    "weights in the loss": lambda: trained(net(), loss=nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0])),
    "other weights in the loss": lambda: trained(
        net(), loss=nn.CrossEntropyLoss(weight=[3.0, 2.0, 1.0])
    ),
    "smoothing": lambda: trained(net(), loss=nn.CrossEntropyLoss(label_smoothing=0.1)),
    "more smoothing": lambda: trained(net(), loss=nn.CrossEntropyLoss(label_smoothing=0.2)),
    "half of the loss": lambda: trained(net(), loss_weights=0.5),
    "a third of the loss": lambda: trained(net(), loss_weights=1 / 3),
    "dropout": lambda: trained(nn.Sequential(nn.Dropout(0.2), nn.Linear(3))),
    "another seed": lambda: trained(nn.Sequential(nn.Dropout(0.2), nn.Linear(3)), seed=1),
    "more dropout": lambda: trained(nn.Sequential(nn.Dropout(0.3), nn.Linear(3))),
}


def test_what_was_trained_before_changes_nothing() -> None:
    """Each alone, then all with one cache, twice; and no two of them give the same weights."""
    alone = {}
    for name, way in WAYS.items():
        forget()
        alone[name] = way()
    forget()
    for _ in range(2):
        for name, way in WAYS.items():
            for key, array in way().items():
                assert np.array_equal(array, alone[name][key]), (name, key)
    seen: dict[bytes, str] = {}
    for name, state in alone.items():
        numbers = b"".join(a.tobytes() for a in state.values())
        assert seen.setdefault(numbers, name) == name


def test_an_equal_network_is_served_from_the_cache() -> None:
    for way in (WAYS["more l1"], WAYS["max-norm"], WAYS["a group that decays"]):
        way()
        count = len(step._PLANS)
        way()
        assert len(step._PLANS) == count


def test_functions_that_come_and_go_are_not_mistaken_for_each_other() -> None:
    """Python gives a new function the address of one that is gone, and its repr says no more."""
    for k in range(20):
        state = trained(constrained(lambda w, k=k: w * 0 + float(k)))
        assert np.array_equal(state["output.weight"], np.full((8, 3), float(k), np.float32))


def test_parameters_of_another_network_are_no_group_whatever_is_in_the_cache() -> None:
    one, other = net(), net()
    trained(
        one,
        optimizer=optim.SGD(
            0.1, groups=[optim.Group([one.named_state()["output.weight"]], lr=0.01)]
        ),
    )
    wrong = optim.SGD(0.1, groups=[optim.Group([one.named_state()["output.weight"]], lr=0.01)])
    with pytest.raises(ConfigError, match="matches no parameter"):
        trained(other, optimizer=wrong)


@pytest.mark.parametrize(
    "rule", [lambda w: w.sum(), lambda w: w.T, lambda w: 3.0, lambda w: w > 0, lambda w: None]
)
def test_a_constraint_gives_weights_of_the_same_kind(rule: Any) -> None:
    with pytest.raises(GlassgradError, match="a constraint"):
        trained(nn.constrain(net(), "output.weight", rule))


@pytest.mark.parametrize("rule", [lambda w: w * w, lambda w: 3.0, lambda w: None])
def test_a_penalty_gives_one_number(rule: Any) -> None:
    with pytest.raises(GlassgradError, match="a penalty is one number"):
        trained(nn.regularize(net(), "output.weight", rule))
