"""What an explanation shows adds up: some of what `scripts/soak.py explanations` does for many."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.inspect.explain.derivations import derived
from glassgrad.inspect.explain.expressions import Expression, named
from tests.inspect.explain import adding_up
from tests.inspect.explain.adding_up import (
    PARTS,
    PRODUCTS,
    TERMS,
    Counts,
    arithmetic,
    checked,
    last_place,
)

SEEDS = range(4)  # with the steps of all composites in the first


@pytest.mark.parametrize("dtype", PARTS)
def test_every_number_of_random_networks_adds_up(dtype: str) -> None:
    counts = Counts()
    for seed in SEEDS:
        checked(seed, dtype, counts)
    assert counts.failures == []
    kinds = Counter({k.split()[-1]: n for k, n in counts.others.items() if k.startswith("forms")})
    assert min(kinds["sum"], kinds["apply"], 20 * kinds["steps"]) > 300
    for kind in ("numbers", "full precision", "printed digits", f"rows {PRODUCTS}"):
        assert counts.held[kind] == counts.all[kind] > 300
    # Places hold by the sum of their own terms: nothing in them cancels unseen.
    assert counts.held[f"places {TERMS}"] == counts.all[f"places {TERMS}"] > 5


def test_what_is_off_is_a_failure() -> None:
    """The check itself: one weight's derivative changed by a ten-thousandth."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    found = gg.explain(model, np.ones((2, 3)), np.ones((2, 2)), loss="mse")
    recording = found.recording
    gradient = recording.gradients[found.cards.find("linear1_weight")]
    recording.arrays[gradient] = recording.arrays[gradient] * 1.0001
    for check in ("forms", "printed", "parts"):
        counts, rng = Counts(), random.Random(0)
        if check == "forms":
            adding_up.check_forms(found.cards, counts, rng, "")
        elif check == "printed":
            adding_up.check_printed(found.cards, counts, "", steps=False)
        else:
            sizes = adding_up.products(recording)
            adding_up.check_parts(found, sizes, counts, rng, PARTS["float32"], "")
        assert counts.failures, check


def test_the_sum_of_products_is_that_of_the_network_written_out() -> None:
    layers = nn.Linear(2, 3, dtype="float64"), nn.Linear(3, 1, dtype="float64")
    model = nn.Sequential(*layers)
    x, y = np.array([[1.0, -2.0]]), np.array([[0.5]])
    found = gg.explain(model, x, y, loss="mse")
    sizes = adding_up.products(found.recording)
    given = found.recording.gradients[found.cards.find("x")]
    first, second = (abs(p.numpy()) for p in (layers[0].weight, layers[1].weight))
    off = 2 * (abs(gg.predict(model, x)) + abs(y))  # p - t, and nothing cancels in it
    got = sizes[given]
    assert got.shape == (1, 2)
    np.testing.assert_allclose(got, off @ second.T @ first.T, rtol=1e-12)


def test_a_reader_computes_as_python_does() -> None:
    assert arithmetic("1 / 3 * 3 - 1") == 0  # of 40 digits; a double's are off
    assert arithmetic("where((0.5 > -3) & (0.5 < 3), 2, 4) ** 2") == 4
    assert last_place("1.2664e-14") == pytest.approx(1e-18)
    assert last_place("-0.5") == pytest.approx(1e-3)


def test_what_is_left_of_nearly_equal_numbers_has_the_digits_that_decimals_give() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        x = float(rng.uniform(1, 4))
        y = x + float(rng.uniform(1, 9)) * 10.0 ** -int(rng.integers(9, 12))
        made = derived("d", Expression("-", (named("x", x), named("y", y))), x - y)
        assert made.expression is not None
        said = arithmetic(made.expression.in_numbers(made.digits))
        assert abs(said - float(made.result)) <= 0.5 * last_place(made.result)
