"""Borders, larger images and other shapes: PyTorch's numbers, and what is refused."""

# mypy: disable-error-code="arg-type"
# What cannot be meant is what is passed here.

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from glassgrad import nn
from glassgrad.errors import GlassgradError
from tests.conftest import require_torch
from tests.nn.twins import agree, compiled_is_eager, learns, normal

SHAPES = {1: (2, 3, 5), 2: (1, 2, 4, 5), 3: (2, 1, 4, 3, 5)}
WIDTHS: dict[int, list[Any]] = {
    1: [0, 1, 2, (1, 3), (0, 2)],
    2: [1, (2, 0, 1, 3), (0, 0, 0, 1)],
    3: [1, (2, 0, 1, 2, 3, 0)],
}
PADS = [(rank, width) for rank, widths in WIDTHS.items() for width in widths]


@pytest.mark.parametrize(("rank", "width"), PADS)
@pytest.mark.parametrize("kind", ["Zero", "Constant", "Reflection", "Replication", "Circular"])
def test_borders_are_pytorchs(kind: str, rank: int, width: Any) -> None:
    torch = require_torch()
    given = (width, 1.5) if kind == "Constant" else (width,)
    name = f"{kind}Pad{rank}d"
    ours, theirs = getattr(nn, name)(*given), getattr(torch.nn, name)(*given)
    agree(ours, theirs, normal(*SHAPES[rank]), torch, "t")
    compiled_is_eager(ours, normal(*SHAPES[rank]))


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({"scale_factor": 2}, (2, 3, 4)),
        ({"scale_factor": 3.0}, (1, 2, 2, 3)),
        ({"scale_factor": (2.0, 1.0)}, (1, 2, 2, 3)),
        ({"scale_factor": 2}, (1, 2, 2, 1, 3)),
        ({"scale_factor": 1}, (1, 2, 2)),
        ({"size": 8}, (2, 3, 4)),
        ({"size": (6, 3)}, (0, 1, 2, 3)),
    ],
)
def test_upsampling_is_pytorchs(settings: dict[str, Any], shape: tuple[int, ...]) -> None:
    torch = require_torch()
    ours = nn.Upsample(**settings)
    agree(ours, torch.nn.Upsample(**settings), normal(*shape), torch, "t")


def test_pixels_from_channels_and_back_are_pytorchs() -> None:
    torch = require_torch()
    agree(nn.PixelShuffle(2), torch.nn.PixelShuffle(2), normal(2, 8, 3, 2), torch, "t")
    agree(nn.PixelShuffle(3), torch.nn.PixelShuffle(3), normal(1, 9, 1, 2), torch, "t")
    agree(nn.PixelUnshuffle(2), torch.nn.PixelUnshuffle(2), normal(2, 2, 4, 6), torch, "t")
    x = normal(2, 4, 3, 5)
    np.testing.assert_array_equal(nn.PixelUnshuffle(2)(nn.PixelShuffle(2)(x)).numpy(), x)


def test_other_shapes_are_pytorchs() -> None:
    torch = require_torch()
    agree(nn.Unflatten(1, (2, 3)), torch.nn.Unflatten(1, (2, 3)), normal(2, 6), torch, "t")
    agree(nn.Unflatten(-1, (2, -1)), torch.nn.Unflatten(-1, (2, -1)), normal(3, 1, 6), torch, "t")
    agree(nn.Identity(), torch.nn.Identity(), normal(3, 2), torch, "t")
    for shape in ((3, 4), ((3, 4),), (-1, 4), (2, 6, 1)):
        x = normal(5, 2, 6)
        found = nn.Reshape(*shape)(x).numpy()
        flat = shape[0] if isinstance(shape[0], tuple) else shape
        np.testing.assert_array_equal(found, x.reshape(5, *flat))
    assert nn.Reshape(2, -1)(np.zeros((0, 6), "f")).shape == (0, 2, 3)


@pytest.mark.parametrize(
    ("layer", "shape", "word"),
    [
        (nn.ZeroPad2d((1, 0, 2, 1)), (1, 3, 2), "np.zeros((n, 1, 6, 3), np.float32)"),
        (nn.ConstantPad1d(1, 2.0), (2, 3), "np.full((n, 2, 5), 2.0, np.float32)"),
        (
            nn.ReflectionPad1d(2),
            (2, 4),
            "np.concatenate([reflectionpad1d1_part, x, reflectionpad1d1_part], axis=2)",
        ),
        (
            nn.ReplicationPad2d(1),
            (1, 3, 2),
            "np.concatenate([x[:, :, :1], x, x[:, :, 2:]], axis=2)",
        ),
        (nn.CircularPad1d(2), (2, 3), "np.concatenate([x[:, :, 1:], x, x[:, :, :2]], axis=2)"),
        (nn.Upsample(scale_factor=2), (1, 2, 3), "np.broadcast_to(x.reshape(n, 1, 2, 1, 3, 1)"),
        (nn.PixelShuffle(2), (4, 2, 3), ".transpose(0, 1, 4, 2, 5, 3)"),
        (nn.PixelUnshuffle(2), (1, 2, 4), ".transpose(0, 1, 3, 5, 2, 4)"),
        (nn.Unflatten(1, (2, 3)), (6,), "x.reshape(n, 2, 3)"),
        (nn.Reshape(3, 2), (6,), "x.reshape(n, 3, 2)"),
        (nn.Identity(), (3,), "x @ linear1_weight"),
    ],
    ids=repr,
)
def test_fit_trains_with_it_and_the_program_says_what_it_does(
    layer: nn.Module, shape: tuple[int, ...], word: str
) -> None:
    assert word in learns(layer, shape)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: nn.ZeroPad1d(-1), "padding is out of range"),
        (lambda: nn.ZeroPad2d((1, 2)), "needs 4 numbers"),
        (lambda: nn.ConstantPad1d(1, float("nan")), "value is out of range"),
        (lambda: nn.ReflectionPad3d(1.5), "padding is out of range"),
        (lambda: nn.Upsample(), "either a size or a factor"),  # noqa: PLW0108  # as its neighbours
        (lambda: nn.Upsample(2, 2), "either a size or a factor"),
        (lambda: nn.Upsample(scale_factor=1.5), "scale_factor is out of range"),
        (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), "unknown mode"),
        (lambda: nn.PixelShuffle(0), "upscale_factor is out of range"),
        (lambda: nn.PixelUnshuffle(2.0), "downscale_factor must be a whole number"),
        (lambda: nn.Unflatten(1, 6), "a shape is needed"),
        (lambda: nn.Unflatten(1, (-1, -1)), "more than one size"),
        (lambda: nn.Unflatten("channel", (2, 3)), "axis must be a whole number"),
        (lambda: nn.Reshape(), "a shape is needed"),  # noqa: PLW0108  # as its neighbours
        (lambda: nn.Reshape(0), "a size is out of range"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(make: Any, says: str) -> None:
    with pytest.raises(GlassgradError, match=says):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "says"),
    [
        (nn.ZeroPad2d(1), (2, 3, 4), "needs images of 4 axes"),
        (nn.ReflectionPad1d(3), (2, 3, 3), "wider than the image"),
        (nn.ReplicationPad1d(1), (2, 3, 0), "wider than the image"),
        (nn.CircularPad2d(3), (2, 3, 2, 4), "wider than the image"),
        (nn.Upsample(scale_factor=(2, 2)), (2, 3, 2), "needs images of 4 axes"),
        (nn.Upsample(scale_factor=2), (2, 3), "needs images of 3 axes"),
        (nn.Upsample(7), (2, 3, 2), "a whole number of times"),
        (nn.Upsample(4), (2, 3, 0), "a whole number of times"),
        (nn.PixelShuffle(2), (1, 6, 2, 2), "do not fill the pixels"),
        (nn.PixelUnshuffle(2), (1, 6, 3, 2), "do not fill the channels"),
        (nn.Unflatten(1, (2, 3)), (2, 5), "do not fill the new shape"),
        (nn.Unflatten(0, (2, 3)), (6, 5), "rows stay rows"),
        (nn.Unflatten(3, (2, 3)), (6, 5), "no such axis"),
        (nn.Reshape(4, -1), (2, 6), "do not fill the new shape"),
        (nn.Reshape(2), (), "no rows"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    layer: nn.Module, shape: tuple[int, ...], says: str
) -> None:
    with pytest.raises(GlassgradError, match=says):
        layer(np.ones(shape, "f"))
