"""What a card shows adds up: every op, and random networks of every family."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.inspect.explain.derivations import derived, expression_of
from glassgrad.inspect.explain.expressions import named
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


def adds_up(found: Form, dtype: str) -> bool:
    if not math.isfinite(found.value):
        return True  # where inf is padded, there is nothing to add
    smallest = float(np.finfo(dtype).tiny)  # below it, digits are lost
    return abs(found.recomputed - found.value) <= TOLERANCE[dtype] * found.scale + smallest


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_number_of_a_random_network_is_recomputed_from_what_its_form_shows(
    dtype: str,
) -> None:
    kinds: Counter[str] = Counter()
    for seed in SEEDS:
        for found in forms_of(network(seed, dtype), seed):
            kinds[found.kind] += 1
            for each in (found, *found.steps):
                assert adds_up(each, dtype), (seed, each.node.op.name, each)
    assert min(kinds["sum"], kinds["apply"], 10 * kinds["steps"]) > 500


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


@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_printed_digits_recompute_to_the_last_one_shown(seed: int) -> None:
    recording = network(seed, "float32")
    for found in forms_of(recording, seed):
        if found.kind in ("sum", "apply") and math.isfinite(found.value):
            shown = expression_of(found, lambda n: named("x", n.value))
            made = derived("y", shown, found.value)
            value = arithmetic(shown.in_numbers(made.digits))
            last = made.result.partition("e")[0].lstrip("-").replace(".", "").lstrip("0")
            size = abs(float(made.result))
            unit = 10.0 ** (math.floor(math.log10(size)) - max(len(last), 3) + 1) if size else 0
            assert abs(value - float(made.result)) <= 0.5 * unit + 1e-12 * found.scale, made


def arithmetic(text: str) -> float:
    """What a reader with a pocket calculator gets."""
    names: dict[str, Any] = {n: getattr(math, n) for n in ("exp", "log", "tanh", "sqrt", "sin")}
    names |= {n: getattr(math, n) for n in ("cos", "tan", "expm1", "log1p", "erf", "floor")}
    names |= {n: getattr(math, n) for n in ("log2", "log10", "ceil", "trunc", "sinh", "cosh")}
    names |= {"maximum": max, "minimum": min, "abs": abs, "absolute": abs, "asin": math.asin}
    names |= {"arcsin": math.asin, "arccos": math.acos, "inf": math.inf, "nan": math.nan}
    names |= {"where": lambda c, x, y: x if c else y, "sign": lambda x: (x > 0) - (x < 0)}
    names |= {"rint": round, "round": round, "logical_and": lambda x, y: bool(x) and bool(y)}
    names |= {"logical_or": lambda x, y: bool(x) or bool(y), "logical_not": lambda x: not x}
    names |= {"remainder": lambda x, y: x - y * math.floor(x / y)}
    return float(eval(text, {"__builtins__": {}}, names))  # of a test's own making


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
