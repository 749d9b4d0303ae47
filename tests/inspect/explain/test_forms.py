"""What a card shows adds up: every op, and random networks of every family."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np

import glassgrad as gg
from glassgrad import nn
from glassgrad.inspect.explain.forms import Form, form, is_known
from glassgrad.inspect.explain.recording import Recording, recorded
from glassgrad.ir import FLOATS, INPUT
from glassgrad.ops import OPS, is_primitive
from tests.networks import random_network

SEEDS = range(12)
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}


def network(seed: int, dtype: str) -> Recording:
    drawn = random_network(seed, rows=3, fit=True, dtype=dtype)
    return recorded(drawn.model, drawn.x, drawn.y, **drawn.losses)


def forms_of(recording: Recording, seed: int) -> Iterator[Form]:
    """A form for one number of every value, forward and backward."""
    rng = random.Random(seed)
    for node in recording.graph.nodes():
        operands = [recording.arrays[v] for v in node.inputs]
        for value in node.values:
            array = recording.arrays[value]
            if node.op is not INPUT and array.size and value.type.dtype in FLOATS:
                at = tuple([rng.randrange(s) for s in array.shape])
                yield form(node, operands, array, at, value.index)


def test_every_op_that_computes_has_a_form() -> None:
    without = {
        name
        for name, op in OPS.items()
        if is_primitive(op) and "elementwise" in op.roles and not is_known(op)
    }
    assert without == set()


def test_only_what_is_drawn_counted_or_chosen_is_given() -> None:
    given: set[str] = set()
    for seed in SEEDS:
        given |= {
            f.node.op.name for f in forms_of(network(seed, "float64"), seed) if f.kind == "given"
        }
    assert given <= {"constant", "uniform", "arange"}


def test_a_step_with_dropout_and_batch_norm_is_the_one_that_training_takes() -> None:
    model = nn.Sequential(
        nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2)
    )
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    y = np.array([0, 1, 0, 1, 1, 0])
    found = gg.explain(model, x, y, loss="cross_entropy", seed=5)
    before = {n: p.numpy().copy() for n, p in model.named_state().items()}
    gg.fit(
        model, x, y, loss="cross_entropy", optimizer=gg.optim.SGD(1.0), epochs=1, seed=5,
        backend="numpy", verbose=False,
    )  # fmt: skip
    for name, p in ((n, p) for n, p in model.named_state().items() if p.requires_grad):
        value = found.recording.graph.inputs[name]
        step = before[name] - p.numpy()
        gradient = found.recording.gradient(value)
        assert gradient is not None
        np.testing.assert_allclose(step, gradient, rtol=1e-4, atol=1e-6)
