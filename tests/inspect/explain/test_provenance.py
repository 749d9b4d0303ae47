"""Derivatives split by ways, uses and rows: the parts sum to the whole."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import ConfigError, DataError, UsageError
from glassgrad.inspect.explain.attribution import METHODS, attribute
from glassgrad.inspect.explain.explanation import Explanation
from glassgrad.inspect.explain.uses import by_place
from glassgrad.ir import Value
from tests.networks import random_network

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
SEEDS = range(12)


def explained(seed: int, dtype: str) -> Explanation:
    net = random_network(seed, rows=3, fit=True, dtype=dtype)
    found: Explanation = gg.explain(net.model, net.x, net.y, **net.losses)
    return found


def noise(found: Explanation) -> float:
    """What rounding leaves of numbers that cancel, anywhere in the network."""
    sizes = [
        np.abs(found.recording.arrays[g]).max(initial=0) for g in found.recording.gradients.values()
    ]
    return float(np.finfo("float64").eps) * max(map(float, sizes))


def trained(found: Explanation) -> dict[str, Value]:
    """Parameters that have a derivative, by the names of their cards."""
    recording = found.recording
    return {
        recording.names[v]: v
        for v in recording.graph.inputs.values()
        if v.node.attributes["role"] == "parameter" and v in recording.gradients and v.type.size
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", SEEDS)
def test_ways_and_uses_of_a_weight_sum_to_its_derivative(seed: int, dtype: str) -> None:
    found, rng = explained(seed, dtype), random.Random(seed)
    parameters = trained(found)
    for name in rng.sample(sorted(parameters), min(3, len(parameters))):
        gradient = found.recording.gradient(parameters[name])
        assert gradient is not None
        at = tuple([rng.randrange(s) for s in gradient.shape])
        each = [u.value for u in found.uses(name, at)]
        scale = math.fsum(map(abs, each))
        assert abs(math.fsum(each) - gradient[at]) <= TOLERANCE[dtype] * scale + noise(found)
        places = by_place(found.cards, found.uses(name, at))
        assert abs(math.fsum(places.values()) - gradient[at]) <= TOLERANCE[dtype] * scale + noise(
            found
        )
        ways = found.follow(name, at)
        total = math.fsum([abs(w.part) for w in ways.ways]) + abs(ways.rest) + scale
        assert ways.error <= 2 * TOLERANCE[dtype] * total + noise(found)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", [0, 1, 2, 5, 6, 13, 40])
def test_each_rows_part_sums_to_the_derivative(seed: int, dtype: str) -> None:
    found = explained(seed, dtype)
    for name, samples in found.samples().items():
        whole = np.abs(samples.parts).sum(axis=0) + np.abs(samples.rest)
        off = np.abs(samples.parts.sum(axis=0) + samples.rest - samples.total)
        assert off.max() <= TOLERANCE[dtype] * whole.max() + noise(found), name


def test_a_row_under_batch_norm_has_the_derivative_of_its_own_term() -> None:
    model = nn.Sequential(
        nn.Linear(2, 4, dtype="float64"),
        nn.BatchNorm1d(4, dtype="float64"),
        nn.Linear(4, 1, dtype="float64"),
    )
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(5, 2)), rng.normal(size=(5, 1))
    samples = gg.explain(model, x, y, loss="mse").samples("linear1_weight")["linear1_weight"]
    weight = model.named_state()["linear1.weight"]
    for row in range(5):
        for at in np.ndindex(2, 4):
            h, sides = 1e-6, []
            for sign in (1, -1):
                moved = weight.numpy().copy()
                moved[at] += sign * h
                kept = weight.numpy().copy()
                weight.assign(gg.tensor(moved))
                out = model.train()(gg.tensor(x)).numpy()
                weight.assign(gg.tensor(kept))
                sides.append(float((out[row, 0] - y[row, 0]) ** 2) / 5)
            assert samples.parts[(row, *at)] == pytest.approx(
                (sides[0] - sides[1]) / (2 * h), abs=1e-8
            )


def test_the_largest_ways_of_a_small_network_are_all_of_it() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    found = gg.explain(model, [[0.5, -1.0]], [[1.0]], loss="mse").follow("x", (0, 1))
    assert len(found.ways) == 3
    assert found.rest == 0
    assert found.error < 1e-7


@pytest.mark.parametrize("method", METHODS)
def test_attributions_say_what_they_leave_unexplained(method: str) -> None:
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
    found = attribute(model, [[0.2, -0.4, 1.0]], output=1, method=method)
    both = gg.predict(model, np.array([[0.2, -0.4, 1.0], [0, 0, 0]], np.float32))
    assert found.difference == pytest.approx(both[0, 1] - both[1, 1], abs=1e-6)
    assert found.gap == pytest.approx(found.difference - found.parts.sum(), abs=1e-6)
    if method == "integrated":
        assert abs(found.gap) < 1e-5


def test_questions_that_cannot_be_meant_are_refused() -> None:
    model = nn.Linear(2, 1)
    found = gg.explain(model, [[1.0, 2.0]], [[1.0]], loss="mse")
    with pytest.raises(UsageError, match="no value of this name"):
        found["nothing"]
    with pytest.raises(ConfigError, match="no such number"):
        found.follow("weight", (2, 0))
    with pytest.raises(DataError, match="of one row"):
        attribute(model, [[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(ConfigError, match="no such number in the output"):
        attribute(model, [[1.0, 2.0]], output=7)
