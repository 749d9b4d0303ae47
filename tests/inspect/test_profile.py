"""The table of a plan: what it says, and that it fits a screen."""

from __future__ import annotations

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.engine import KernelLine, executor
from glassgrad.inspect.profile import Profile

LINES = (
    KernelLine("map", "map of 1 steps", "1", 9.0, 8.0, 1, 1e-8, "update, update: power power scalar"),
    KernelLine(
        "matmul", "matmul, plain + bias", "32 x 64 @ 64 x 10", 4e4, 1e4, 1, 2e-6,
        "linear1, relu1, forward: linear relu",
    ),
    KernelLine("map", "copy", "32 x 64", 100.0, 2e3, 32, 1e-6, "-, forward: add"),
    KernelLine("guard", "", "1", 1e3, 4e3, 1, 1e-6, "all finite"),
)  # fmt: skip
FOUND = Profile(32, 2, "avx2", LINES, 1000, 5e-6, 100e9)


def test_kernels_stand_under_their_phase_with_layers_and_operations() -> None:
    lines = str(FOUND).splitlines()
    assert lines[0].startswith("4 kernels for 32 rows; avx2, at most 2 threads")
    assert [v for v in lines[3:] if v and v[0] != " "] == ["update", "forward"]
    assert "linear1, relu1: linear, relu" in str(FOUND)
    assert "2 power, scalar" in str(FOUND)
    assert "map of 1 step " in str(FOUND)
    assert "map, copy x 32" in str(FOUND)


def test_times_and_shares_are_those_of_the_lines() -> None:
    product = next(v for v in str(FOUND).splitlines() if "plain + bias" in v).split()
    assert product[:2] == ["2.00", "40"]
    assert "20" in product  # 4e4 flop in 2 us of 100 GFLOP/s


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_no_line_of_kernels_is_wider_than_the_screen(width: int) -> None:
    assert max(map(len, FOUND.text(width).splitlines()[2:])) <= width


def test_without_times_there_are_no_columns_for_them() -> None:
    found = Profile(32, 1, "avx2", LINES, 1000)
    assert "us" not in found.table()[0]
    assert "us a step" not in str(found)


@pytest.mark.skipif(executor()[0] != "native", reason="the native executor is not in use here")
def test_a_profile_leaves_the_model_as_it_is_and_its_kernels_take_time() -> None:
    x, y = np.ones((16, 40), np.float32), np.arange(16) % 3
    model = nn.Sequential(nn.Linear(40, 64), nn.ReLU(), nn.Linear(64, 3))
    before = model.state_dict()
    found = gg.profile(model, x, y, loss="cross_entropy", optimizer=optim.Adam(1e-3), steps=20)
    assert found.rows == 16
    assert found.seconds > 0
    assert found.flop >= 2 * 16 * (2 * 40 * 64 + 3 * 64 * 3)
    assert all(line.seconds > 0 for line in found.lines)
    for name, numbers in model.state_dict().items():
        np.testing.assert_array_equal(numbers, before[name])
