"""Pooling of every rank: PyTorch's numbers over a grid of settings, and what is refused."""

# mypy: disable-error-code="arg-type"
# What cannot be meant is what is passed here.

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import GlassgradError
from tests.conftest import require_torch
from tests.nn.twins import agree, close, compiled_is_eager, learns, normal

IMAGES: dict[int, list[tuple[int, ...]]] = {
    1: [(2, 3, 9), (1, 2, 8), (2, 1, 4)],
    2: [(2, 3, 7, 8), (1, 2, 6, 5)],
    3: [(2, 2, 5, 6, 4)],
}
WINDOWS: dict[int, list[tuple[Any, Any, Any]]] = {  # kernel, stride, padding
    1: [(2, None, 0), (3, 2, 1), (3, 1, 0), (4, 3, 2), (2, 3, 1), (1, 1, 0), (3, 5, 1)],
    2: [(2, None, 0), ((3, 2), (2, 3), (1, 0)), (3, 2, 1), ((1, 4), 2, (0, 2)), (2, 3, 1)],
    3: [(2, None, 0), ((3, 2, 1), (2, 1, 3), (1, 1, 0)), (3, 2, 1)],
}
GRID = [
    (shape, *window, up)
    for rank in (1, 2, 3)
    for shape, window, up in itertools.product(IMAGES[rank], WINDOWS[rank], (False, True))
]


def pair(torch: Any, name: str, shape: Any, *given: Any, **settings: Any) -> tuple[nn.Module, Any]:
    rank = len(shape) - 2
    ours = getattr(nn, f"{name}{rank}d")(*given, **settings)
    return ours, getattr(torch.nn, f"{name}{rank}d")(*given, **settings)


@pytest.mark.parametrize(("shape", "kernel", "stride", "padding", "up"), GRID)
def test_pooling_is_pytorchs(shape: Any, kernel: Any, stride: Any, padding: Any, up: bool) -> None:
    torch = require_torch()
    given: dict[str, Any] = {"stride": stride, "padding": padding, "ceil_mode": up}
    for ours, theirs in (
        pair(torch, "MaxPool", shape, kernel, **given),
        pair(torch, "AvgPool", shape, kernel, **given),
        pair(torch, "AvgPool", shape, kernel, **given, count_include_pad=False),
    ):
        agree(ours, theirs, normal(*shape), torch, "t")
        agree(ours, theirs, np.round(normal(*shape)), torch, "t")  # ties


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((2, 3, 11), {"kernel_size": 3, "dilation": 2}),
        ((2, 3, 11), {"kernel_size": 2, "dilation": 3, "stride": 2, "padding": 1}),
        ((2, 3, 10), {"kernel_size": 3, "dilation": 3, "stride": 2, "ceil_mode": True}),
        ((2, 2, 9, 8), {"kernel_size": (3, 2), "dilation": (2, 3), "stride": (1, 2)}),
        ((2, 2, 9, 8), {"kernel_size": 3, "dilation": (1, 2), "padding": (1, 0)}),
        ((1, 2, 6, 5, 7), {"kernel_size": 2, "dilation": (2, 1, 3), "stride": 2, "padding": 1}),
    ],
)
def test_pooling_with_gaps_in_its_windows_is_pytorchs(shape: Any, settings: Any) -> None:
    torch = require_torch()
    ours, theirs = pair(torch, "MaxPool", shape, **settings)
    agree(ours, theirs, normal(*shape), torch, "t")
    agree(ours, theirs, np.round(normal(*shape)), torch, "t")


def test_an_image_smaller_than_its_window_is_pooled_where_the_count_is_rounded_up() -> None:
    torch = require_torch()
    for name in ("MaxPool", "AvgPool"):
        ours, theirs = pair(torch, name, (1, 1, 2, 2), 3, stride=2, ceil_mode=True)
        agree(ours, theirs, normal(1, 1, 2, 2), torch, "t")


ADAPTIVE = [
    ((2, 3, 10), 4),
    ((2, 3, 7), 3),
    ((2, 3, 6), 3),
    ((2, 3, 6), 1),
    ((1, 2, 5), 5),
    ((1, 2, 3), 6),
    ((1, 1, 3), 7),
    ((1, 2, 1), 4),
    ((1, 2, 4, 3), None),
    ((2, 2, 7, 5), 3),
    ((2, 2, 6, 8), (3, 2)),
    ((2, 2, 9, 6), (6, 4)),
    ((2, 2, 5, 7), (None, 3)),
    ((2, 2, 5, 7), (2, None)),
    ((1, 1, 4, 4), (7, 3)),
    ((2, 2, 3, 4), 1),
    ((1, 2, 4, 5, 6), (2, 3, 4)),
    ((1, 2, 4, 2, 6), (2, 1, 3)),
    ((1, 2, 3, 5, 2), 2),
]


@pytest.mark.parametrize(("shape", "wanted"), ADAPTIVE)
@pytest.mark.parametrize("name", ["AdaptiveAvgPool", "AdaptiveMaxPool"])
def test_adaptive_pooling_is_pytorchs(name: str, shape: Any, wanted: Any) -> None:
    torch = require_torch()
    if wanted is None:
        wanted = (None,) * (len(shape) - 2)
    ours, theirs = pair(torch, name, shape, wanted)
    agree(ours, theirs, normal(*shape), torch, "t")
    agree(ours, theirs, np.round(normal(*shape)), torch, "t")


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5), (1, 2, 3, 2, 4)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_global_pooling_is_the_mean_and_the_largest_of_each_channel(
    shape: Any, keepdims: bool
) -> None:
    torch = require_torch()
    axes = tuple(range(2, len(shape)))
    for values in (normal(*shape), np.round(normal(*shape))):
        for layer in (nn.GlobalAvgPool(keepdims), nn.GlobalMaxPool(keepdims)):
            a, b = gg.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
            mean = isinstance(layer, nn.GlobalAvgPool)
            y, z = layer(a), b.mean(axes, keepdims) if mean else largest(b, len(axes), keepdims)
            close(y.numpy(), z.detach().numpy())
            weight = normal(*y.shape, seed=4)
            (y * gg.tensor(weight)).sum().backward()
            (z * torch.tensor(weight)).sum().backward()
            assert a.grad is not None
            close(a.grad.numpy(), b.grad.numpy())


def largest(x: Any, rank: int, keepdims: bool) -> Any:
    """The largest of each channel by PyTorch, whose derivative goes to the first."""
    found = x.flatten(2).max(-1).values
    return found.reshape(*found.shape, *[1] * rank) if keepdims else found


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.MaxPool1d(3, stride=2, padding=1, ceil_mode=True), (2, 3, 8)),
        (nn.AvgPool1d(3, stride=2, padding=1, count_include_pad=False), (2, 3, 8)),
        (nn.MaxPool2d(2, dilation=2), (2, 3, 5, 6)),
        (nn.MaxPool3d(2, stride=1), (2, 2, 3, 4, 3)),
        (nn.AvgPool3d(2, ceil_mode=True), (2, 2, 3, 4, 3)),
        (nn.GlobalAvgPool(), (2, 3, 4, 5)),
        (nn.GlobalMaxPool(), (2, 3, 4, 5)),
        (nn.AdaptiveAvgPool1d(4), (2, 3, 10)),
        (nn.AdaptiveMaxPool2d((3, 2)), (2, 3, 7, 4)),
        (nn.AdaptiveAvgPool3d(2), (2, 2, 4, 3, 5)),
        (nn.AdaptiveMaxPool3d((1, 2, 2)), (2, 2, 4, 3, 5)),
    ],
    ids=repr,
)
def test_programs_give_the_bits_of_eager_work_and_none_and_one_row_are_pooled(
    layer: nn.Module, shape: tuple[int, ...]
) -> None:
    x = normal(*shape)
    compiled_is_eager(layer, x)
    y = layer(gg.tensor(x)).numpy()
    np.testing.assert_array_equal(layer(gg.tensor(x[:1])).numpy(), y[:1])
    assert layer(gg.tensor(x[:0])).shape == (0, *y.shape[1:])


@pytest.mark.parametrize(
    ("layer", "shape", "word"),
    [
        (nn.MaxPool1d(2), (2, 6), "max_pool(x, (2,), (2,))"),
        (nn.MaxPool2d(2, dilation=2, stride=1), (1, 5, 5), ".max(axis=2)"),
        (nn.AvgPool1d(3, padding=1, count_include_pad=False), (2, 7), "mean / "),
        (nn.MaxPool3d(2), (1, 4, 4, 2), "max_pool(x, (2, 2, 2), (2, 2, 2))"),
        (nn.AvgPool3d(2), (1, 4, 4, 2), "mean_pool(x, (2, 2, 2), (2, 2, 2))"),
        (nn.GlobalAvgPool(), (4, 4, 3), "x.mean(axis=(2, 3))"),
        (nn.GlobalMaxPool(), (4, 4, 3), "x.max(axis=(2, 3))"),
        (nn.AdaptiveAvgPool2d(2), (2, 4, 6), "mean_pool(x, (2, 3), (2, 3))"),
        (nn.AdaptiveMaxPool2d((2, 3)), (2, 5, 6), "np.concatenate("),
    ],
    ids=repr,
)
def test_fit_trains_with_it_and_the_program_says_what_it_pools(
    layer: nn.Module, shape: tuple[int, ...], word: str
) -> None:
    text = learns(layer, shape)
    assert word in text


def test_a_network_made_of_pooling_says_its_settings() -> None:
    assert repr(nn.MaxPool2d((2, 3), stride=1, padding=1, dilation=2, ceil_mode=True)) == (
        "MaxPool2d((2, 3), stride=1, padding=1, dilation=2, ceil_mode=True)"
    )
    assert repr(nn.AvgPool1d(4, 2, 1, True, False)) == (
        "AvgPool1d(4, stride=2, padding=1, ceil_mode=True, count_include_pad=False)"
    )
    assert repr(nn.AdaptiveMaxPool3d((1, None, 2))) == "AdaptiveMaxPool3d((1, None, 2))"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: nn.MaxPool1d(0), "kernel_size is out of range"),
        (lambda: nn.MaxPool3d((2, 2)), "needs 3 numbers"),
        (lambda: nn.MaxPool1d(2, padding=2), "half the window"),
        (lambda: nn.MaxPool1d(2, dilation=2, padding=2), "half the window"),
        (lambda: nn.MaxPool2d(2, dilation=0), "dilation is out of range"),
        (lambda: nn.AvgPool1d(2, ceil_mode=1), "ceil_mode is a choice"),
        (lambda: nn.AvgPool1d(2, count_include_pad="yes"), "count_include_pad is a choice"),
        (lambda: nn.AvgPool3d(2, stride=-1), "stride is out of range"),
        (lambda: nn.GlobalAvgPool(1), "keepdims is a choice"),
        (lambda: nn.AdaptiveAvgPool1d(0), "output_size is out of range"),
        (lambda: nn.AdaptiveAvgPool2d((1, 2, 3)), "needs 2 numbers"),
        (lambda: nn.AdaptiveMaxPool2d(None), "output_size is out of range"),
        (lambda: nn.AdaptiveMaxPool2d(2.0), "output_size is out of range"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(make: Any, says: str) -> None:
    with pytest.raises(GlassgradError, match=says):
        make()


@pytest.mark.parametrize(
    ("layer", "x", "says"),
    [
        (nn.MaxPool1d(3), np.ones((1, 1, 2), "f"), "larger than the image"),
        (nn.AvgPool3d(2), np.ones((1, 2, 3, 4), "f"), "needs images of 5 axes"),
        (nn.MaxPool2d(2), np.ones((1, 1, 4, 4), int), "real numbers"),
        (nn.MaxPool2d(2, ceil_mode=True), np.ones((1, 1, 0, 4), "f"), "larger than the image"),
        (nn.GlobalAvgPool(), np.ones((4, 3), "f"), "needs images"),
        (nn.GlobalMaxPool(), np.ones((4, 3, 0), "f"), "no numbers"),
        (nn.AdaptiveAvgPool2d(2), np.ones((4, 3, 2), "f"), "needs images of 4 axes"),
        (nn.AdaptiveAvgPool2d(2), np.ones((4, 3, 0, 2), "f"), "nothing to pool"),
        (nn.AdaptiveAvgPool1d(1999), np.ones((1, 1, 2000), "f"), "too many different windows"),
        (nn.AdaptiveMaxPool1d(2), np.ones((4, 3, 2), int), "real numbers"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(layer: nn.Module, x: Any, says: str) -> None:
    with pytest.raises(GlassgradError, match=says):
        layer(x)
