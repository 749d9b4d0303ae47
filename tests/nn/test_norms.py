"""Norms with all their settings: PyTorch's numbers and running statistics, and what is refused."""

# mypy: disable-error-code="arg-type"
# What cannot be meant is what is passed here.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import GlassgradError
from tests.conftest import require_torch
from tests.nn.twins import agree, close, compiled_is_eager, learns, normal

D: dict[str, Any] = {"dtype": "float64"}
STEPS = "tttete"
SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"affine": True, "track_running_stats": True},
    {"affine": False, "track_running_stats": True, "momentum": 0.3},
    {"affine": True, "track_running_stats": False, "eps": 1e-2},
    {"affine": True, "track_running_stats": True, "bias": False},
)
SHAPES: dict[str, list[tuple[int, ...]]] = {
    "BatchNorm1d": [(6, 3), (4, 3, 5), (2, 3)],
    "BatchNorm2d": [(3, 2, 4, 3), (1, 2, 2, 2)],
    "BatchNorm3d": [(3, 2, 2, 3, 2), (1, 1, 1, 1, 2)],
    "InstanceNorm1d": [(3, 2, 5), (1, 1, 2)],
    "InstanceNorm2d": [(3, 2, 4, 3), (2, 1, 1, 2)],
    "InstanceNorm3d": [(3, 2, 2, 3, 2)],
}
TRACKING = [
    (name, shape, settings)
    for name, shapes in SHAPES.items()
    for shape in shapes
    for settings in SETTINGS
]


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("name", "shape", "settings"), TRACKING)
def test_norms_of_channels_are_pytorchs(name: str, shape: Any, settings: Any, lazy: bool) -> None:
    torch = require_torch()
    ours = getattr(nn, name)(*([] if lazy else [shape[1]]), **settings, **D)
    fresh(ours, shape)
    agree(ours, getattr(torch.nn, name)(shape[1], **settings), normal(*shape), torch, STEPS)


def fresh(layer: nn.Module, shape: Any) -> None:
    """Settle open sizes without a step of the running statistics."""
    with gg.no_grad():
        layer.eval()(gg.tensor(normal(*shape)))


@pytest.mark.parametrize("affine", [False, True])
def test_without_momentum_every_batch_counts_the_same(affine: bool) -> None:
    torch = require_torch()
    ours = nn.BatchNorm2d(3, momentum=None, affine=affine, **D)
    theirs = torch.nn.BatchNorm2d(3, momentum=None, affine=affine).double()
    means = []
    for step in range(4):
        x = normal(4, 3, 2, 2, seed=step)
        close(ours(gg.tensor(x)).numpy(), theirs(torch.tensor(x)).detach().numpy())
        means.append(x.mean(axis=(0, 2, 3)))
    for name in ("running_mean", "running_var"):
        close(ours.named_state()[name].numpy(), dict(theirs.named_buffers())[name].numpy())
    close(ours.running_mean.numpy(), np.mean(means, axis=0))
    assert ours.num_batches_tracked.item() == theirs.num_batches_tracked.item() == 4


def test_a_fit_moves_statistics_without_momentum_as_eager_steps_do() -> None:
    x, y = normal(12, 2, 3, 3).astype("f"), np.arange(12) % 2
    model = nn.Sequential(norm=nn.BatchNorm2d(momentum=None), flat=nn.Flatten(), out=nn.Linear(2))
    settings: dict[str, Any] = {"loss": "cross_entropy", "optimizer": gg.optim.SGD(1e-9)}
    gg.fit(model, x, y, **settings, epochs=2, batch_size=4, shuffle=False, verbose=False)
    eager = nn.BatchNorm2d(2, momentum=None)
    for _ in range(2):
        for i in range(0, 12, 4):
            eager(gg.tensor(x[i : i + 4]))
    state = model.state_dict()
    assert state["norm.num_batches_tracked"] == 6
    np.testing.assert_allclose(state["norm.running_mean"], eager.running_mean.numpy(), rtol=1e-5)
    np.testing.assert_allclose(state["norm.running_var"], eager.running_var.numpy(), rtol=1e-5)


ROWS: list[tuple[Callable[[], nn.Module], Callable[[Any], Any], Any]] = [
    (lambda: nn.GroupNorm(2, 4, **D), lambda t: t.GroupNorm(2, 4), (3, 4, 5)),
    (lambda: nn.GroupNorm(2, **D), lambda t: t.GroupNorm(2, 6), (3, 6)),
    (lambda: nn.GroupNorm(1, 3, **D), lambda t: t.GroupNorm(1, 3), (2, 3, 4, 2)),
    (lambda: nn.GroupNorm(3, 3, eps=1e-2, **D), lambda t: t.GroupNorm(3, 3, 1e-2), (2, 3, 2, 2, 2)),
    (
        lambda: nn.GroupNorm(2, affine=False, **D),
        lambda t: t.GroupNorm(2, 4, affine=False),
        (3, 4, 5),
    ),
    (lambda: nn.GroupNorm(2, bias=False, **D), lambda t: t.GroupNorm(2, 4, bias=False), (1, 4, 5)),
    (lambda: nn.GroupNorm(2, **D), lambda t: t.GroupNorm(2, 4), (0, 4, 5)),
    (lambda: nn.RMSNorm(5, **D), lambda t: t.RMSNorm(5), (3, 5)),
    (lambda: nn.RMSNorm(**D), lambda t: t.RMSNorm(5), (2, 3, 5)),
    (lambda: nn.RMSNorm((3, 4), eps=1e-3, **D), lambda t: t.RMSNorm((3, 4), 1e-3), (2, 3, 4)),
    (
        lambda: nn.RMSNorm(4, elementwise_affine=False, **D),
        lambda t: t.RMSNorm(4, elementwise_affine=False),
        (2, 3, 4),
    ),
    (lambda: nn.RMSNorm(4, **D), lambda t: t.RMSNorm(4), (0, 4)),
    (lambda: nn.LayerNorm(5, bias=False, **D), lambda t: t.LayerNorm(5, bias=False), (3, 5)),
    (
        lambda: nn.LayerNorm((3, 4), elementwise_affine=False, **D),
        lambda t: t.LayerNorm((3, 4), elementwise_affine=False),
        (2, 3, 4),
    ),
    (lambda: nn.LocalResponseNorm(3), lambda t: t.LocalResponseNorm(3), (2, 5, 4)),
    (
        lambda: nn.LocalResponseNorm(4, alpha=0.5, beta=0.6, k=2.0),
        lambda t: t.LocalResponseNorm(4, 0.5, 0.6, 2.0),
        (2, 3, 2, 3),
    ),
    (lambda: nn.LocalResponseNorm(5, 1.0), lambda t: t.LocalResponseNorm(5, 1.0), (1, 2, 1, 2, 2)),
]


@pytest.mark.parametrize(("make", "twin", "shape"), ROWS)
def test_norms_of_rows_are_pytorchs(make: Any, twin: Any, shape: Any) -> None:
    torch = require_torch()
    agree(make(), twin(torch.nn), normal(*shape), torch, "te")


def test_rms_norm_without_eps_takes_that_of_its_dtype() -> None:
    torch = require_torch()
    x = (1e-8 * normal(3, 4)).astype("float32")
    found = nn.RMSNorm(4)(gg.tensor(x)).numpy()
    np.testing.assert_allclose(found, torch.nn.RMSNorm(4)(torch.tensor(x)).detach(), rtol=1e-6)


LAYERS: list[tuple[nn.Module, tuple[int, ...], str]] = [
    (nn.BatchNorm3d(), (2, 2, 3, 2), "/ std"),
    (nn.BatchNorm1d(affine=False), (4,), "normalised"),
    (nn.BatchNorm2d(track_running_stats=False), (2, 3, 3), "/ std"),
    (nn.InstanceNorm1d(affine=True), (2, 5), "/ std"),
    (nn.InstanceNorm2d(track_running_stats=True), (2, 3, 3), "running_var"),
    (nn.InstanceNorm3d(bias=False, affine=True), (2, 2, 3, 2), "/ std"),
    (nn.GroupNorm(2), (4, 3, 3), "/ std"),
    (nn.GroupNorm(2, affine=False), (4,), "normalised"),
    (nn.LayerNorm(elementwise_affine=False), (4,), "/ std"),
    (nn.LayerNorm(bias=False), (4,), "/ std"),
    (nn.RMSNorm(), (4,), "/ rms"),
    (nn.RMSNorm((2, 3), elementwise_affine=False), (2, 3), "/ rms"),
    (nn.LocalResponseNorm(2), (3, 2, 2), "** 0.75"),
]


@pytest.mark.parametrize(("layer", "shape", "word"), LAYERS, ids=[repr(c[0]) for c in LAYERS])
def test_fit_trains_with_it_and_programs_are_eager_work(
    layer: nn.Module, shape: tuple[int, ...], word: str
) -> None:
    text = learns(layer, shape)
    assert word in text
    assert layer.formula[0] in text
    compiled_is_eager(layer, normal(3, *shape).astype("f"))


def test_a_network_says_the_settings_that_are_not_the_usual_ones() -> None:
    for layer, text in (
        (nn.BatchNorm1d(3, 1e-3, None, bias=False), "3, eps=0.001, bias=False, momentum=None"),
        (nn.BatchNorm2d(affine=False, track_running_stats=False),
         "affine=False, track_running_stats=False"),
        (nn.InstanceNorm2d(3, affine=True, track_running_stats=True, momentum=0.2),
         "3, momentum=0.2, affine=True, track_running_stats=True"),
        (nn.GroupNorm(2, 4, eps=1e-6), "2, 4, eps=1e-06"),
        (nn.GroupNorm(2), "2"),
        (nn.LayerNorm((2, 3), bias=False), "(2, 3), bias=False"),
        (nn.LayerNorm(elementwise_affine=False), "elementwise_affine=False"),
        (nn.RMSNorm(), ""),
        (nn.RMSNorm(4, 1e-6, False), "4, eps=1e-06, elementwise_affine=False"),
        (nn.LocalResponseNorm(5, beta=0.5), "5, beta=0.5"),
    ):  # fmt: skip
        assert repr(layer) == f"{type(layer).__name__}({text})"


def test_open_sizes_are_read_from_the_first_input_and_kept() -> None:
    norm = nn.GroupNorm(2)
    norm(gg.tensor(normal(3, 4, 2).astype("f")))
    assert repr(norm) == "GroupNorm(2, 4)"
    with pytest.raises(GlassgradError, match="does not fit the layer"):
        norm(gg.tensor(normal(3, 6, 2).astype("f")))
    bare = nn.LayerNorm(4, elementwise_affine=False)
    with pytest.raises(GlassgradError, match="does not fit the layer"):
        bare(gg.tensor(normal(3, 5).astype("f")))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: nn.BatchNorm1d(3, affine=1), "affine is a choice"),
        (lambda: nn.BatchNorm1d(3, bias=None), "bias is a choice"),
        (lambda: nn.BatchNorm1d(3, track_running_stats=0), "track_running_stats is a choice"),
        (lambda: nn.BatchNorm1d(3, momentum="x"), "momentum is out of range"),
        (lambda: nn.InstanceNorm1d(3, momentum=None), "momentum is out of range"),
        (lambda: nn.InstanceNorm2d(0), "features is out of range"),
        (lambda: nn.GroupNorm(0), "groups is out of range"),
        (lambda: nn.GroupNorm(3, 4), "groups must divide"),
        (lambda: nn.GroupNorm(2, eps=0), "eps is out of range"),
        (lambda: nn.GroupNorm(2, dtype="int64"), "real numbers"),
        (lambda: nn.LayerNorm(3, elementwise_affine=0), "elementwise_affine is a choice"),
        (lambda: nn.RMSNorm(()), "needs an axis"),
        (lambda: nn.RMSNorm(4, eps=-1), "eps is out of range"),
        (lambda: nn.LocalResponseNorm(0), "size is out of range"),
        (lambda: nn.LocalResponseNorm(2, k=0), "k is out of range"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(make: Any, says: str) -> None:
    with pytest.raises(GlassgradError, match=says):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "says"),
    [
        (nn.BatchNorm3d(2), (3, 2, 4, 4), "does not take this"),
        (nn.BatchNorm1d(2, track_running_stats=False), (1, 2), "more than one row"),
        (nn.InstanceNorm1d(2), (3, 2), "does not take this"),
        (nn.InstanceNorm2d(2), (3, 2, 1, 1), "more than one number"),
        (nn.InstanceNorm2d(2), (3, 3, 2, 2), "does not fit the layer"),
        (nn.InstanceNorm2d(2), (3, 2, 0, 2), "no numbers"),
        (nn.GroupNorm(2), (3, 3, 2), "groups must divide"),
        (nn.GroupNorm(2), (3,), "groups must divide"),
        (nn.GroupNorm(2, 4), (3, 6, 2), "does not fit the layer"),
        (nn.RMSNorm(4), (3, 5), "does not fit the layer"),
        (nn.RMSNorm((4, 4)), (4,), "more axes than there are"),
        (nn.LocalResponseNorm(2), (3, 4), "needs images"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    layer: nn.Module, shape: tuple[int, ...], says: str
) -> None:
    with pytest.raises(GlassgradError, match=says):
        layer(np.ones(shape, "f"))
