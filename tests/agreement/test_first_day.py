"""The ops and activations of the first day against PyTorch, float64, kinks and ties included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from tests.agreement.test_torch import Pair, agree, close, same
from tests.conftest import require_torch

AXIS: dict[str, Any] = {"axis": 1, "keepdims": False}

PAIRS: dict[str, Pair] = {
    "tan": same("tan", lambda t, x: t.tan(x), low=-1.2, high=1.2),
    "arcsin": same("arcsin", lambda t, x: t.arcsin(x), low=-0.9, high=0.9),
    "arccos": same("arccos", lambda t, x: t.arccos(x), low=-0.9, high=0.9),
    "sinh": same("sinh", lambda t, x: t.sinh(x)),
    "cosh": same("cosh", lambda t, x: t.cosh(x)),
    "log2": same("log2", lambda t, x: t.log2(x), low=0.2),
    "log10": same("log10", lambda t, x: t.log10(x), low=0.2),
    "clip": Pair(
        "clip", {"low": -1, "high": 1}, ((9, 9),), lambda t, x: t.clamp(x, -1, 1), tie=True
    ),
    "clip, one bound": Pair(
        "clip", {"low": 0.5}, ((4, 5),), lambda t, x: t.clamp(x, min=0.5)
    ),
    "remainder": same("remainder", lambda t, x, y: t.remainder(x, y), (4, 5), (5,), low=0.3),
    "remainder below 0": same("remainder", lambda t, x, y: t.remainder(x, y), (4, 5), (5,)),
    "min": same("min", lambda t, x: t.min(x, 1).values, (4, 6), tie=True, **AXIS),
    "prod": same("prod", lambda t, x: t.prod(x, 1), (4, 6), **AXIS),
    "prod, some factors 0": same("prod", lambda t, x: t.prod(x, 1), (9, 4), tie=True, **AXIS),
    "prod of all": same("prod", lambda t, x: t.prod(x), (2, 3), axis=None),
    "var": same("var", lambda t, x: t.var(x, 1), (4, 6), axis=1),
    "var, not corrected": same(
        "var", lambda t, x: t.var(x, (0, 2), correction=0), (4, 6, 2), axis=(0, 2), correction=0
    ),
    "std": same(
        "standard_deviation", lambda t, x: t.std(x, 0, keepdim=True), (4, 6),
        axis=0, keepdims=True,
    ),
    "logsumexp": same("logsumexp", lambda t, x: t.logsumexp(x, 1), low=-50.0, high=50.0, **AXIS),
    "cumsum": same("cumsum", lambda t, x: t.cumsum(x, 1), (3, 5, 2), axis=1),
    "flip": same("flip", lambda t, x: t.flip(x, (0, 2)), (3, 5, 2), axis=(0, 2)),
    "roll": same("roll", lambda t, x: t.roll(x, -7, 1), (3, 5, 2), axis=1, shift=-7),
    "tril": same("tril", lambda t, x: t.tril(x, -1), (2, 4, 5), diagonal=-1),
    "triu": same("triu", lambda t, x: t.triu(x, 2), (4, 5), diagonal=2),
    "sort": same("sort", lambda t, x: t.sort(x, dim=0, stable=True).values, (6, 4), axis=0, tie=True),
    "sort, falling": same(
        "sort", lambda t, x: t.sort(x, dim=1, descending=True, stable=True).values, (4, 6),
        axis=1, descending=True, tie=True,
    ),
    # Rounded to whole numbers, operands meet every kink; second derivatives there are a matter of
    # taste, so those are compared between kinks.
    "relu6": same("relu6", lambda t, x: t.nn.functional.relu6(x), (9, 9), low=-1, high=7, tie=True),
    "hardtanh": same("hardtanh", lambda t, x: t.nn.functional.hardtanh(x), tie=True),
    # PyTorch's own hardsigmoid has 1/6 in single precision in its derivative.
    "hardsigmoid": same(
        "hardsigmoid", lambda t, x: t.nn.functional.relu6(x + 3) / 6, (9, 9),
        low=-5, high=5, tie=True,
    ),
    "hardswish": same(
        "hardswish", lambda t, x: t.nn.functional.hardswish(x), (9, 9), low=-5, high=5
    ),
    "hardswish at kinks": same(
        "hardswish", lambda t, x: t.nn.functional.hardswish(x), (9, 9),
        low=-5, high=5, tie=True, second=False,
    ),
    "threshold": same(
        "threshold", lambda t, x: t.nn.functional.threshold(x, 1, 7), tie=True,
        threshold=1.0, value=7.0,
    ),
    "hardshrink": same(
        "hardshrink", lambda t, x: t.nn.functional.hardshrink(x, 1), tie=True, lambd=1.0
    ),
    "softshrink": same(
        "softshrink", lambda t, x: t.nn.functional.softshrink(x, 1), tie=True, lambd=1.0
    ),
    "prelu": same("prelu", lambda t, x, w: t.nn.functional.prelu(x, w), (2, 3, 4), (3,)),
    "prelu, one slope": same("prelu", lambda t, x, w: t.nn.functional.prelu(x, w), (4, 3), (1,)),
    "prelu at kinks": same(
        "prelu", lambda t, x, w: t.nn.functional.prelu(x, w), (2, 3, 4), (3,),
        tie=True, second=False,
    ),
    "selu": same("selu", lambda t, x: t.nn.functional.selu(x)),
    "selu at kinks": same("selu", lambda t, x: t.nn.functional.selu(x), tie=True, second=False),
    # PyTorch rounds 1 / alpha to single precision in its derivative; that of 0.5 is exact.
    "celu": same("celu", lambda t, x: t.nn.functional.celu(x, 0.5), alpha=0.5),
    "celu at kinks": same(
        "celu", lambda t, x: t.nn.functional.celu(x, 0.5), alpha=0.5, tie=True, second=False
    ),
    "softsign": same("softsign", lambda t, x: t.nn.functional.softsign(x)),
    "log_sigmoid": same(
        "log_sigmoid", lambda t, x: t.nn.functional.logsigmoid(x), low=-30.0, high=30.0
    ),
    "tanhshrink": same("tanhshrink", lambda t, x: t.nn.functional.tanhshrink(x)),
    "mish": same("mish", lambda t, x: t.nn.functional.mish(x), low=-15.0, high=15.0),
    "gelu_tanh": same("gelu_tanh", lambda t, x: t.nn.functional.gelu(x, approximate="tanh")),
    "glu": same("glu", lambda t, x: t.nn.functional.glu(x, 1), (3, 6, 2), axis=1),
    "softmin": same("softmin", lambda t, x: t.nn.functional.softmin(x, 1), (3, 6, 2), axis=1),
}  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS.values(), ids=[n.replace(" ", "_") for n in PAIRS])
def test_value_gradient_and_second_derivative_are_pytorchs_here_too(pair: Pair) -> None:
    agree(pair)


REAL = np.array([[-2.5, -1.5, -0.5, -0.0, 0.2], [0.5, 0.5, 1.5, 2.5, 3.7]])
TRUTH = np.array([[True, False, True, True], [False, False, True, True]])

# name: (ours, theirs), of arrays whose results have no derivative
CHOICES: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = {
    "floor": (gg.floor, lambda t, x: t.floor(x), (REAL,)),
    "ceil": (gg.ceil, lambda t, x: t.ceil(x), (REAL,)),
    "trunc": (gg.trunc, lambda t, x: t.trunc(x), (REAL,)),
    "round": (gg.round, lambda t, x: t.round(x), (REAL,)),
    "argmin": (gg.argmin, lambda t, x: t.argmin(x, -1), (REAL,)),
    "argsort": (gg.argsort, lambda t, x: t.argsort(x, dim=-1, stable=True), (REAL,)),
    "argsort, falling": (
        lambda x: gg.argsort(x, 0, descending=True),
        lambda t, x: t.argsort(x, dim=0, descending=True, stable=True),
        (REAL,),
    ),
    "argsort of whole numbers": (
        lambda x: gg.argsort(x, descending=True),
        lambda t, x: t.argsort(x, dim=-1, descending=True, stable=True),
        (np.array([3, -(2**63), 2**63 - 1, 3, 0]),),
    ),
    "logical_and": (gg.logical_and, lambda t, x, y: t.logical_and(x, y), (TRUTH, TRUTH[:1])),
    "logical_or": (gg.logical_or, lambda t, x, y: t.logical_or(x, y), (TRUTH, TRUTH[:1])),
    "logical_xor": (gg.logical_xor, lambda t, x, y: t.logical_xor(x, y), (TRUTH, TRUTH[:1])),
    "logical_not": (gg.logical_not, lambda t, x: t.logical_not(x), (TRUTH,)),
    "any": (lambda x: gg.any(x, 1), lambda t, x: t.any(x, 1), (TRUTH,)),
    "all": (lambda x: gg.all(x, 0), lambda t, x: t.all(x, 0), (TRUTH,)),
    "arange": (lambda x: gg.arange(len(x)), lambda t, x: t.arange(len(x)), (REAL,)),
    "one_hot": (
        lambda i: gg.one_hot(i, 4, "int64"),
        lambda t, i: t.nn.functional.one_hot(i, 4),
        (np.array([[3, 0], [1, 1]]),),
    ),
}


@pytest.mark.parametrize("name", CHOICES)
def test_choices_are_pytorchs(name: str) -> None:
    torch = require_torch()
    ours, theirs, arrays = CHOICES[name]
    found = ours(*[gg.tensor(a) for a in arrays]).numpy()
    wanted = theirs(torch, *[torch.tensor(a) for a in arrays]).numpy()
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("axis", [0, 1])
def test_topk_and_its_gradient_are_pytorchs(axis: int, largest: bool) -> None:
    torch = require_torch()
    values = np.random.default_rng(3).normal(size=(5, 6))
    x, t = gg.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    found, where = gg.topk(x, 3, axis, largest)
    wanted, there = torch.topk(t, 3, axis, largest)
    close(found.numpy(), wanted.detach().numpy())
    np.testing.assert_array_equal(where.numpy(), there.numpy())
    (found * found).sum().backward()
    (wanted * wanted).sum().backward()
    assert x.grad is not None
    close(x.grad.numpy(), t.grad.numpy())


def test_numbers_taken_along_an_axis_are_pytorchs_gather_and_go_back_with_repeats_added() -> None:
    torch = require_torch()
    rng = np.random.default_rng(4)
    values, index = rng.normal(size=(3, 4, 2)), rng.integers(0, 4, (3, 7, 2))
    x, t = gg.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    y, z = gg.take_along_axis(x, index, 1), torch.gather(t, 1, torch.tensor(index))
    close(y.numpy(), z.detach().numpy())
    (y * y).sum().backward()
    (z * z).sum().backward()
    assert x.grad is not None
    close(x.grad.numpy(), t.grad.numpy())
