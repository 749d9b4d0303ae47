"""The draws are Philox4x64-10's bits and a few exact steps, whatever NumPy does elsewhere."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pytest

from glassgrad.data.draws import Draws
from glassgrad.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

MASK = 2**64 - 1


def philox(counter: tuple[int, ...], key: tuple[int, int]) -> tuple[int, ...]:
    """One block of Philox4x64-10, from the paper, in Python's whole numbers."""
    (a, b, c, d), (k, m) = counter, key
    for _ in range(10):
        high0, low0 = divmod(a * 0xD2E7470EE14C6C93, 2**64)
        high1, low1 = divmod(c * 0xCA5A826395121157, 2**64)
        a, b, c, d = high1 ^ b ^ k, low1, high0 ^ d ^ m, low0
        k, m = (k + 0x9E3779B97F4A7C15) & MASK, (m + 0xBB67AE8584CAA73B) & MASK
    return a, b, c, d


def stream(seed: int, name: str) -> Iterator[int]:
    number = sum(ord(letter) << 8 * place for place, letter in enumerate(reversed(name)))
    counter = 0
    while True:
        counter += 1  # NumPy counts before each block
        yield from philox((counter, 0, 0, 0), (seed, number))


def test_the_oracle_gives_random123s_test_vector() -> None:
    expected = (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B)
    assert philox((0, 0, 0, 0), (0, 0)) == expected


@pytest.mark.parametrize("seed", [0, 1, 42, MASK])
@pytest.mark.parametrize("name", ["spiral", "split", "eightltr"])
def test_raw_bits(seed: int, name: str) -> None:
    assert Draws(seed, name).raw(41).tolist() == list(islice(stream(seed, name), 41))


def test_uniform_is_the_upper_53_bits() -> None:
    expected = [(raw >> 11) / 2**53 for raw in islice(stream(3, "line"), 500)]
    assert Draws(3, "line").uniform(500).tolist() == expected


@pytest.mark.parametrize("count", [0, 1, 2, 7, 500])
def test_normal_is_box_muller(count: int) -> None:
    half = (count + 1) // 2
    u = [(raw >> 11) / 2**53 for raw in islice(stream(3, "line"), 2 * half)]
    pairs = list(zip(u[:half], u[half:], strict=True))
    expected = [math.sqrt(-2 * math.log(1 - a)) * math.cos(2 * math.pi * b) for a, b in pairs]
    expected += [math.sqrt(-2 * math.log(1 - a)) * math.sin(2 * math.pi * b) for a, b in pairs]
    got = Draws(3, "line").normal(count)
    np.testing.assert_allclose(got, expected[:count], rtol=1e-12, atol=1e-14)


def test_permutation_sorts_the_draws() -> None:
    raw = list(islice(stream(9, "split"), 100))
    assert Draws(9, "split").permutation(100).tolist() == sorted(range(100), key=raw.__getitem__)


def test_successive_draws_continue_the_stream() -> None:
    draws = Draws(5, "moons")
    parts = [draws.raw(3), draws.raw(5), draws.raw(1)]
    np.testing.assert_array_equal(np.concatenate(parts), Draws(5, "moons").raw(9))


def test_numpy_integers_are_seeds() -> None:
    assert Draws(np.int64(7), "moons").raw(1) == Draws(7, "moons").raw(1)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, True, "0", None, float("nan")])
def test_other_seeds_are_refused(seed: object) -> None:
    with pytest.raises(ConfigError, match="seed"):
        Draws(seed, "moons")  # type: ignore[arg-type]
