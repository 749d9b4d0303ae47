"""A whole training on both sides: the same digits, the same network."""

from __future__ import annotations

import numpy as np
from benchmarks.inputs import mnist

from benchmarks import digits
from glassgrad import data
from tests.conftest import data_dir, require_torch


def test_both_sides_learn_digits_in_processes_of_their_own() -> None:
    require_torch()
    data_dir("mnist")
    found = digits.main(["--rows", "3200", "--epochs", "2"])
    assert set(found) == {"ours", "torch"}
    for side in found.values():
        assert 0.85 < side["right"] < 1
        assert side["seconds"] > 0


def test_the_digits_are_those_of_the_library() -> None:
    folder = data_dir("mnist")
    known = data.mnist(folder)
    for part, x, y in (("train", known.x, known.y), ("t10k", known.x_test, known.y_test)):
        images, labels = mnist(50, part)
        np.testing.assert_array_equal(images, np.asarray(x, np.float32).reshape(-1, 784)[:50])
        np.testing.assert_array_equal(labels, np.asarray(y)[:50])
