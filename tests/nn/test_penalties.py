"""Penalties and constraints against Keras's, what they are attached to, and freezing."""

# mypy: disable-error-code="arg-type"

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.engine import compile_graph
from glassgrad.errors import UsageError
from glassgrad.ir import Type
from glassgrad.ops import traced_graph

W = np.random.default_rng(0).normal(size=(4, 3)) * np.array([0.1, 1.0, 10.0])


def net() -> nn.Module:
    return nn.Sequential(
        nn.Linear(3, 4, dtype="float64"), nn.Tanh(), nn.Linear(4, 2, dtype="float64")
    )


@pytest.mark.parametrize(
    ("ours", "kind", "settings"),
    [
        (nn.L1(), "L1", {}),
        (nn.L1(0.3), "L1", {"l1": 0.3}),
        (nn.L2(), "L2", {}),
        (nn.L2(0.3), "L2", {"l2": 0.3}),
        (nn.L1L2(), "L1L2", {}),
        (nn.L1L2(0.3, 0.2), "L1L2", {"l1": 0.3, "l2": 0.2}),
    ],
    ids=repr,
)
def test_penalties_are_kerass(keras_in_doubles: Any, ours: Any, kind: str, settings: Any) -> None:
    keras = keras_in_doubles
    wanted = getattr(keras.regularizers, kind)(**settings)(keras.ops.convert_to_tensor(W))
    assert ours(gg.tensor(W)).item() == pytest.approx(float(wanted), rel=1e-12)


@pytest.mark.parametrize(
    ("ours", "kind", "settings"),
    [
        (nn.MaxNorm(), "MaxNorm", {}),
        (nn.MaxNorm(1.5, axis=1), "MaxNorm", {"max_value": 1.5, "axis": 1}),
        (nn.MaxNorm(1.5, axis=(0, 1)), "MaxNorm", {"max_value": 1.5, "axis": [0, 1]}),
        (nn.UnitNorm(), "UnitNorm", {}),
        (nn.UnitNorm(axis=1), "UnitNorm", {"axis": 1}),
        (nn.NonNeg(), "NonNeg", {}),
    ],
    ids=repr,
)
def test_constraints_are_kerass(keras_in_doubles: Any, ours: Any, kind: str, settings: Any) -> None:
    keras = keras_in_doubles
    wanted = getattr(keras.constraints, kind)(**settings)(keras.ops.convert_to_tensor(W))
    # Its maximum of a float64 array and the whole number 0 is float32.
    rtol = 1e-6 if kind == "NonNeg" else 1e-12
    np.testing.assert_allclose(ours(gg.tensor(W)).numpy(), wanted.numpy(), rtol=rtol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "rule", [nn.L1L2(0.3, 0.2), nn.MaxNorm(1.0), nn.UnitNorm(), nn.NonNeg()], ids=repr
)
def test_in_a_program_they_are_the_eager_ones_and_keep_the_dtype(rule: Any, dtype: str) -> None:
    w = W.astype(dtype)
    found = compile_graph(traced_graph(rule, {"w": Type(w.shape, dtype)}))(w)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, rule(gg.tensor(w)).numpy())


def test_a_penalty_is_the_sum_over_the_parameters_that_have_one() -> None:
    model = nn.regularize(net(), "*.weight", nn.L2(0.5))
    nn.regularize(model, "linear2.bias", nn.L1(0.1))
    total = nn.penalty(model)
    state = model.state_dict()
    wanted = 0.1 * np.abs(state["linear2.bias"]).sum()
    wanted += 0.5 * sum((state[f"linear{i}.weight"] ** 2).sum() for i in (1, 2))
    assert total.item() == pytest.approx(wanted, rel=1e-12)
    total.backward()
    held = {p.name: p for p in model.parameters()}
    weight = held["linear1.weight"]
    assert weight.grad is not None
    np.testing.assert_allclose(weight.grad.numpy(), 2 * 0.5 * weight.numpy(), rtol=1e-12)
    assert held["linear1.bias"].grad is None
    assert nn.penalty(net()) == 0.0
    nn.regularize(model, "*", None)
    assert nn.penalty(model) == 0.0


def test_l2_is_weight_decay_of_twice_its_size() -> None:
    x, y = np.random.default_rng(1).normal(size=(2, 20, 3))
    y = y[:, :2]
    first, second = net(), net()
    nn.regularize(first, "*", nn.L2(0.05))
    one, two = optim.SGD(0.1).bind(first), optim.SGD(0.1, weight_decay=0.1).bind(second)
    for _ in range(5):
        for model, optimizer in ((first, one), (second, two)):
            loss = nn.losses.mse(model(gg.tensor(x)), gg.tensor(y)) + nn.penalty(model)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    for p, q in zip(first.parameters(), second.parameters(), strict=True):
        np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=1e-12, atol=1e-15)


def test_constraints_are_attached_by_pattern_and_taken_away_again() -> None:
    model = nn.constrain(net(), "*.weight", nn.MaxNorm(0.1))
    assert [p.name for p in model.parameters() if p.constraint] == [
        "linear1.weight",
        "linear2.weight",
    ]
    nn.constrain(model, "linear1.*", None)
    assert [p.name for p in model.parameters() if p.constraint] == ["linear2.weight"]


def test_what_is_frozen_stays_in_fit_and_in_eager_steps() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10, 3)), rng.normal(size=(10, 2))
    model = net().freeze("linear1.*")
    before = model.state_dict()
    gg.fit(model, x, y, loss="mse", optimizer=optim.SGD(0.1), epochs=2, verbose=False)
    optimizer = optim.SGD(0.1).bind(model)
    nn.losses.mse(model(gg.tensor(x)), gg.tensor(y)).backward()
    optimizer.step()
    after = model.state_dict()
    for name, value in before.items():
        assert np.array_equal(value, after[name]) == name.startswith("linear1")
    model.unfreeze("*.weight")
    trained = [p.name for p in model.parameters() if p.requires_grad]
    assert trained == ["linear1.weight", "linear2.weight", "linear2.bias"]
    assert all(p.requires_grad for p in model.unfreeze().parameters())


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: net().freeze("*.wieght"), "fits no parameter"),
        (lambda: net().unfreeze(""), "fits no parameter"),
        (lambda: nn.regularize(net(), "linear3.*", nn.L2()), "did you mean"),
        (lambda: nn.regularize(net(), "*", 0.1), "not a regulariser"),
        (lambda: nn.constrain(net(), "*", nn.NonNeg), "not a constraint"),
        (lambda: nn.penalty(nn.regularize(net(), "*", lambda w: w)), "one number"),
        (lambda: nn.L2(-1), "l2"),
        (lambda: nn.L1("much"), "l1"),
        (lambda: nn.L1L2(float("nan")), "l1"),
        (lambda: nn.MaxNorm(-1.0), "max"),
        (lambda: nn.MaxNorm(1.0, axis="rows"), "axis"),
        (lambda: nn.UnitNorm(axis=()), "axis"),
    ],
)
def test_what_cannot_be_meant_is_refused(call: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        call()
    assert caught.value.expected
    assert caught.value.received
