"""Batches: every row once an epoch, in the order that fit takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.errors import GlassgradError
from glassgrad.train import batches as of_fit


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 2**64 - 1), st.booleans())
def test_every_row_once_an_epoch(rows: int, size: int, seed: int, shuffle: bool) -> None:
    x = np.arange(rows)
    batches = data.Batches((x, 10 * x, x), size, shuffle, seed)
    for epoch in (1, 2, 3):
        found = list(batches)
        assert len(found) == len(batches)
        assert [len(b[0]) for b in found[:-1]] == [min(size, rows)] * (len(found) - 1)
        seen = np.concatenate([b[0] for b in found])
        assert sorted(seen.tolist()) == x.tolist()
        assert all((b[1] == 10 * b[0]).all() for b in found)
        shuffled = shuffle and size < rows
        order = of_fit.order_of_rows(rows, seed, epoch) if shuffled else x
        np.testing.assert_array_equal(seen, order)
        assert batches.epoch == epoch


def test_an_epoch_can_be_asked_for_and_gone_on_from() -> None:
    batches = data.Batches((np.arange(9),), 2)
    first, second = list(batches), list(batches)
    for epoch, wanted in ((1, first), (2, second)):
        for (a,), (b,) in zip(batches.at(epoch), wanted, strict=True):
            np.testing.assert_array_equal(a, b)
    batches.epoch = 1
    np.testing.assert_array_equal(next(iter(batches))[0], second[0][0])


def test_a_loop_of_ones_own_learns_what_fit_learns() -> None:
    x, y = data.spiral(seed=0)
    settings: dict[str, Any] = {"batch_size": 32, "seed": 4}
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))
    gg.fit(
        model, x, y, loss="cross_entropy", optimizer=optim.SGD(0.1), epochs=2, verbose=False, **settings
    )  # fmt: skip
    gg.seed(4)
    mine = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))
    gg.fit(mine, x, y, loss="cross_entropy", optimizer="sgd", epochs=0, verbose=False, **settings)
    optimizer = optim.SGD(0.1).bind(mine)
    batches = data.Batches((x, y), **settings)
    for _ in range(2):
        for rows, classes in batches:
            optimizer.zero_grad()
            nn.losses.cross_entropy(mine(gg.tensor(rows)), gg.tensor(classes)).backward()
            optimizer.step()
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(mine.state_dict()[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "settings"),
    [
        ((), {}), (np.zeros(3), {}), (3, {}), ((np.zeros(3), np.zeros(2)), {}),
        ((np.zeros(0),), {}), ((np.zeros(()),), {}), ((np.zeros(3),), {"batch_size": 0}),
        ((np.zeros(3),), {"batch_size": 1.5}), ((np.zeros(3),), {"batch_size": True}),
        ((np.zeros(3),), {"seed": -1}),
    ],
)  # fmt: skip
def test_12_what_gives_no_batches(arrays: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(GlassgradError) as caught:
        data.Batches(arrays, **settings)
    assert caught.value.expected
    assert caught.value.received
