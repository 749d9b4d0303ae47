"""Convolutions of every rank and transposed ones: PyTorch's numbers, and what is refused."""

# mypy: disable-error-code="arg-type"
# What cannot be meant is what is passed here.

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import ConfigError, ShapeError, UsageError
from glassgrad.ops import OPS
from tests.conftest import require_torch
from tests.nn.twins import agree, compiled_is_eager, learns, normal

D: dict[str, Any] = {"dtype": "float64"}
CONVS: list[tuple[tuple[int, ...], tuple[Any, ...], dict[str, Any]]] = [
    ((2, 2, 5, 6, 7), (2, 3, 3), {}),
    ((2, 2, 5, 6, 7), (2, 3, (1, 2, 3)), {"stride": (1, 2, 3), "padding": (0, 1, 2)}),
    ((1, 4, 5, 4, 6), (4, 6, 2), {"groups": 2, "dilation": (2, 1, 3)}),
    ((2, 3, 4, 4, 4), (3, 3, 3), {"groups": 3, "padding": 1, "bias": False}),
    ((2, 1, 1, 1, 1), (1, 2, 1), {}),
    ((0, 2, 3, 3, 3), (2, 3, 2), {}),
    ((2, 2, 3, 4, 5), (2, 2, 3), {"padding": "same", "dilation": (1, 2, 1)}),
]
SPREAD: list[tuple[tuple[int, ...], tuple[Any, ...], dict[str, Any]]] = [
    ((2, 3, 5), (3, 2, 3), {}),
    ((2, 3, 5), (3, 4, 4), {"stride": 2, "padding": 1}),
    ((2, 4, 5), (4, 6, 3), {"stride": 3, "output_padding": 2, "groups": 2}),
    ((2, 2, 5), (2, 3, 3), {"stride": 2, "padding": 2, "dilation": 2, "output_padding": 1}),
    ((2, 2, 4), (2, 2, 2), {"dilation": 3, "output_padding": 2, "padding": 1}),
    ((2, 2, 4), (2, 2, 2), {"dilation": 4, "output_padding": 3, "stride": 2}),
    ((1, 1, 1), (1, 1, 1), {}),
    ((0, 2, 3), (2, 3, 2), {}),
    ((2, 3, 4, 3), (3, 2, (3, 2)), {"bias": False}),
    ((2, 3, 4, 3), (3, 2, 2), {"stride": 2}),
    ((3, 4, 3, 5), (4, 4, 3), {"stride": (2, 1), "padding": (1, 0), "groups": 4}),
    ((1, 4, 3, 4), (4, 6, (3, 2)), {"stride": (2, 3), "output_padding": (1, 2), "groups": 2}),
    ((2, 2, 3, 3), (2, 3, 3), {"dilation": (1, 2), "output_padding": (0, 1), "padding": (1, 2)}),
    ((2, 2, 2, 3, 2), (2, 3, 2), {}),
    ((1, 2, 2, 3, 2), (2, 4, (1, 2, 3)), {"stride": 2, "padding": (0, 1, 1), "groups": 2}),
    ((2, 2, 2, 2, 2), (2, 1, 3), {"stride": 2, "padding": 1, "output_padding": (1, 0, 1)}),
]


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("shape", "sizes", "settings"), CONVS)
def test_convolution_of_volumes_is_pytorchs(
    shape: Any, sizes: Any, settings: Any, lazy: bool
) -> None:
    torch = require_torch()
    ours = nn.Conv3d(*sizes[lazy:], **settings, **D)
    agree(ours, torch.nn.Conv3d(*sizes, **settings), normal(*shape), torch, "t")
    assert repr(ours).startswith(f"Conv3d({sizes[0]}, {sizes[1]}, ")


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("shape", "sizes", "settings"), SPREAD)
def test_transposed_convolution_is_pytorchs(
    shape: Any, sizes: Any, settings: Any, lazy: bool
) -> None:
    torch = require_torch()
    name = f"ConvTranspose{len(shape) - 2}d"
    ours = getattr(nn, name)(*sizes[lazy:], **settings, **D)
    agree(ours, getattr(torch.nn, name)(*sizes, **settings), normal(*shape), torch, "t")
    assert repr(ours).startswith(f"{name}({sizes[0]}, {sizes[1]}, ")


def test_a_transposed_convolution_is_the_adjoint_of_the_convolution() -> None:
    settings: dict[str, Any] = {"stride": (2, 3), "padding": (1, 0), "dilation": (1, 2)}
    x, w = gg.tensor(normal(2, 4, 8, 9)), gg.tensor(normal(6, 4, 3, 2))
    y = OPS["conv"](x, w, **settings)
    g = gg.tensor(normal(*y.shape, seed=1))
    back = OPS["conv_transpose"](g, w, output_padding=(1, 0), **settings)
    assert back.shape == x.shape
    np.testing.assert_allclose((y * g).sum().item(), (x * back).sum().item(), rtol=1e-12)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv3d(2, 3, 2, stride=2, padding=1, **D), (3, 2, 4, 5, 3)),
        (nn.ConvTranspose1d(2, 4, 3, stride=2, groups=2, **D), (3, 2, 5)),
        (nn.ConvTranspose2d(2, 3, 2, dilation=3, output_padding=2, **D), (3, 2, 4, 5)),
        (nn.ConvTranspose3d(2, 3, 2, stride=2, padding=1, **D), (2, 2, 2, 3, 2)),
    ],
    ids=repr,
)
def test_programs_give_the_bits_of_eager_work(layer: nn.Module, shape: tuple[int, ...]) -> None:
    compiled_is_eager(layer, normal(*shape))


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (nn.Conv3d(3, 2), (2, 4, 3, 4), ["patches = columns(x, (2, 2, 2), (1, 1, 1), (1, 1, 1))"]),
        (nn.ConvTranspose1d(3, 2, stride=2), (2, 5), ["patches = ", "d_patches = columns("]),
        (nn.ConvTranspose2d(3, 2, padding=1), (2, 4, 4), ["patches = ", "d_patches = columns("]),
        (nn.ConvTranspose3d(2, 2, groups=1), (2, 2, 3, 2), ["uncolumns(", "d_patches = columns("]),
    ],
    ids=repr,
)
def test_fit_trains_it_and_the_program_names_its_patches(
    layer: nn.Module, shape: tuple[int, ...], words: list[str]
) -> None:
    text = learns(layer, shape)
    for word in words:
        assert word in text
    assert layer.formula[0] in text


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: nn.Conv3d(3), "channels and a kernel size"),
        (lambda: nn.Conv3d(3, (2, 2)), "needs 3 numbers"),
        (lambda: nn.ConvTranspose2d(3), "channels and a kernel size"),
        (lambda: nn.ConvTranspose2d(3, 0), "kernel_size is out of range"),
        (lambda: nn.ConvTranspose2d(4, 3, groups=3), "groups must divide"),
        (lambda: nn.ConvTranspose2d(4, 3, 2, groups=2), "groups must divide"),
        (lambda: nn.ConvTranspose2d(3, 2, output_padding=1), "output_padding is too large"),
        (lambda: nn.ConvTranspose1d(3, 2, stride=2, output_padding=2), "is too large"),
        (lambda: nn.ConvTranspose1d(3, 2, padding="same"), "padding is out of range"),
        (lambda: nn.ConvTranspose3d(3, 2, bias=0), "bias is a choice"),
        (lambda: nn.ConvTranspose3d(3, 2, dtype="int64"), "real numbers"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(make: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        make()
    assert isinstance(error.value, ConfigError) or error.value.expected


@pytest.mark.parametrize(
    ("layer", "shape", "says"),
    [
        (nn.Conv3d(2, 3), (4, 2, 5, 5), "needs images of 5 axes"),
        (nn.Conv3d(2, 3, 3), (4, 3, 5, 5, 5), "does not fit the layer"),
        (nn.Conv3d(2, 3), (1, 2, 2, 5, 5), "larger than the image"),
        (nn.ConvTranspose1d(2, 3), (4, 2), "needs images of 3 axes"),
        (nn.ConvTranspose2d(3, 2, 2), (4, 2, 5, 5), "does not fit the layer"),
        (nn.ConvTranspose2d(4, 2, groups=2), (4, 3, 5, 5), "groups must divide"),
        (nn.ConvTranspose1d(1, 2, padding=3), (4, 2, 5), "nothing is left"),
        (nn.ConvTranspose1d(1, 2), (4, 2, 0), "nothing is left"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    layer: nn.Module, shape: tuple[int, ...], says: str
) -> None:
    with pytest.raises(ShapeError, match=says):
        layer(np.ones(shape, "f"))
