"""The elementary functions of the compiled module beside true values that others computed.

float32: every 256th of all numbers, against NumPy in float64. float64: NumPy's published test points
(hexadecimal, computed with MPFR), and mpmath where it has published none. The driver
native/tests/ulp.cpp does the same against the C library, in a soak for all float32
(docs/soak/functions.log).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

from glassgrad.backends import native
from glassgrad.errors import InternalError

if not native.available() and "GLASSGRAD_CI" not in os.environ:
    pytest.skip(f"no native executor: {native.why()}", allow_module_level=True)

Array = NDArray[Any]
ISAS = native.module().isas() if native.available() else []  # type: ignore[union-attr]  # it is there
PUBLISHED = Path(np.__file__).parent / "_core" / "tests" / "data"
NAMES = "exp expm1 log log2 log10 log1p tanh sin cos tan arcsin arccos sinh cosh".split()
STEP, CHUNK = 256, 1 << 20


def sigmoid(x: Array) -> Array:
    z = np.exp(-np.abs(x))
    small: Array = np.where(x < 0, z, 1) / (1 + z)
    return small


TRUE: dict[str, Callable[[Array], Array]] = {name: getattr(np, name) for name in NAMES} | {
    "sqrt": np.sqrt,
    "sigmoid": sigmoid,
}


def distance(found: Array, true: Array) -> float:
    """The largest error of float32 results, in units in the last place; the kind must be right."""
    nearest = true.astype(np.float32)
    with np.errstate(all="ignore"):
        unit = np.spacing(np.abs(np.minimum(nearest, np.float32(3e38)))).astype(np.float64)
        off = np.abs(found.astype(np.float64) - true) / unit
    infinite = np.isinf(found) | np.isinf(nearest)
    # What is beyond the largest number may come as that number or as inf, if it is near to it.
    near = np.isinf(found) == np.isinf(nearest)
    near |= np.minimum(np.abs(found), np.abs(true)) > 3.40282e38
    off[infinite] = np.where(near & (np.sign(found) == np.sign(true)), 0, np.inf)[infinite]
    both = np.isnan(found) & np.isnan(true)
    off[both] = 0
    off[np.isnan(found) != np.isnan(true)] = np.inf
    zeros = (found == 0) & (np.signbit(found) != np.signbit(true))
    off[zeros] = np.inf
    return float(off.max())


@pytest.mark.parametrize("name", TRUE)
def test_single_precision_is_within_three_units(name: str) -> None:
    worst = 0.0
    with np.errstate(all="ignore"):
        for begin in range(0, 1 << 32, STEP * CHUNK):
            bits = begin + STEP * np.arange(CHUNK, dtype=np.int64)
            x = bits.astype(np.uint32).view(np.float32)
            worst = max(worst, distance(native.unary(ISAS[0], name, x), TRUE[name](x.astype("f8"))))
    assert worst <= (0.51 if name == "sqrt" else 3), worst


def places_between(a: Array, b: Array) -> Array:
    """How many numbers apart: 0 for equals and for two NaN."""
    kind = np.dtype(f"i{a.itemsize}")
    ordered = []
    for x in (a, b):
        whole = x.view(kind)
        ordered.append(np.where(whole < 0, np.iinfo(kind).min - whole, whole).astype(object))
    apart: Array = np.abs(ordered[0] - ordered[1])
    apart[np.isnan(a) & np.isnan(b)] = 0
    apart[np.isnan(a) != np.isnan(b)] = 2**63
    return apart


def published(name: str, dtype: str) -> tuple[Array, Array]:
    """Inputs and true results, from their hexadecimal."""
    lines = (PUBLISHED / f"umath-validation-set-{name}.csv").read_text("ascii").splitlines()
    rows = [line.split(",") for line in lines if line.startswith(f"np.{dtype},")]
    kind = np.dtype(dtype)
    columns = [np.array([int(row[i], 16) for row in rows], f"u{kind.itemsize}") for i in (1, 2)]
    return columns[0].view(kind), columns[1].view(kind)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_published_points_are_met(name: str, dtype: str, isa: str) -> None:
    x, true = published(name, dtype)
    assert len(x) > 100
    apart = places_between(native.unary(isa, name, x), true)
    assert apart.max() <= (2 if dtype == "float64" else 3), x[apart.argmax()]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", ["erf", "sigmoid", "sqrt"])
def test_double_precision_is_that_of_mpmath(name: str, isa: str) -> None:
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.normal(size=300) * s for s in (1e-300, 1e-9, 0.3, 1, 3, 20, 400)])
    x = np.abs(x) if name == "sqrt" else x
    with mpmath.workprec(200):
        one: dict[str, Callable[[Any], Any]] = {
            "erf": mpmath.erf,
            "sqrt": mpmath.sqrt,
            "sigmoid": lambda v: 1 / (1 + mpmath.exp(-v)),
        }
        true = np.array([float(one[name](mpmath.mpf(float(v)))) for v in x])
    assert places_between(native.unary(isa, name, x), true).max() <= (name != "sqrt") * 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [*TRUE, "erf"])
def test_every_instruction_set_gives_the_same_bits(name: str, dtype: str) -> None:
    rng = np.random.default_rng(6)
    of_all = np.frombuffer(rng.bytes(40_001 * np.dtype(dtype).itemsize), dtype)
    of_use = [rng.normal(size=20_000) * size for size in (1, 50)]
    x = np.concatenate([of_all, *[part.astype(dtype) for part in of_use]])
    first, *others = [native.unary(isa, name, x) for isa in ISAS]
    number = ~np.isnan(first)
    for other in others:
        np.testing.assert_array_equal(other, first)
        np.testing.assert_array_equal(np.signbit(other[number]), np.signbit(first[number]))


@pytest.mark.parametrize("isa", ISAS)
def test_what_is_no_function_is_refused(isa: str) -> None:
    x, out = np.ones(4), np.zeros(4)
    module: Any = native.module()
    for number in (-1, 10**6, len(module.catalogue()["operations"])):
        with pytest.raises(InternalError):
            module.unary(isa, number, x, out)
    with pytest.raises(InternalError):
        module.unary(isa, module.catalogue()["operations"]["exp"], x, out[:3])
    assert not out.any()
