"""The same numbers in PyTorch, float64: values, gradients, and gradients of gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from glassgrad.ops import OPS
from glassgrad.tensors.tensor import derivatives, tensor
from tests.conftest import require_torch

Array = NDArray[Any]


@dataclass(frozen=True)
class Pair:
    """One op, its attributes, its operands, and the same in PyTorch."""

    op: str
    attributes: dict[str, Any]
    shapes: tuple[tuple[int, ...], ...]
    theirs: Callable[..., Any]  # (torch, *tensors)
    tie: bool = False  # whether operands repeat numbers
    low: float = -2.0
    high: float = 2.0
    second: bool = True  # whether the second derivative is compared, too


def conv(x: Sequence[int], w: Sequence[int], **settings: Any) -> Pair:
    full = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **settings}
    name = "conv1d" if len(x) == 3 else "conv2d"
    return Pair(
        "conv", full, (tuple(x), tuple(w)),
        lambda torch, a, b: getattr(torch.nn.functional, name)(a, b, **full),
    )  # fmt: skip


def pool(kind: str, shape: Sequence[int], kernel: Any, stride: Any, tie: bool = False) -> Pair:
    theirs = f"{'max' if kind == 'max_pool' else 'avg'}_pool{len(kernel)}d"
    return Pair(
        kind, {"kernel": kernel, "stride": stride}, (tuple(shape),),
        lambda torch, x: getattr(torch.nn.functional, theirs)(x, kernel, stride), tie,
    )  # fmt: skip


def same(op: str, theirs: Callable[..., Any], *shapes: tuple[int, ...], **rest: Any) -> Pair:
    settings = {k: rest.pop(k) for k in list(rest) if k not in ("low", "high", "second", "tie")}
    return Pair(op, settings, shapes or ((4, 5),), theirs, **rest)


PAIRS: dict[str, Pair] = {
    "conv1d": conv((2, 3, 9), (4, 3, 3)),
    "conv1d, all settings": conv((2, 4, 11), (6, 2, 3), stride=2, padding=3, dilation=2, groups=2),
    "conv2d": conv((2, 3, 6, 5), (4, 3, 3, 2)),
    "conv2d, stride": conv((2, 2, 7, 8), (3, 2, 3, 3), stride=2),
    "conv2d, stride leaves a rest": conv((1, 2, 8, 7), (3, 2, 3, 2), stride=(3, 2)),
    "conv2d, padding": conv((2, 2, 5, 5), (3, 2, 3, 3), padding=(2, 1)),
    "conv2d, padding larger than the kernel": conv((1, 1, 3, 3), (2, 1, 2, 2), padding=3),
    "conv2d, dilation": conv((1, 2, 9, 8), (2, 2, 3, 2), dilation=(2, 3)),
    "conv2d, groups": conv((2, 6, 5, 5), (4, 3, 3, 3), groups=2),
    "conv2d, depthwise": conv((2, 3, 5, 5), (6, 1, 3, 3), groups=3, padding=1),
    "conv2d, 1 x 1": conv((2, 3, 4, 4), (5, 3, 1, 1)),
    "conv2d, all settings": conv(
        (2, 4, 9, 8), (4, 2, 3, 2), stride=(2, 3), padding=(2, 1), dilation=(2, 1), groups=2
    ),
    "conv2d, as large as the image": conv((2, 2, 4, 4), (3, 2, 4, 4)),
    "max_pool2d": pool("max_pool", (2, 3, 6, 8), (2, 2), (2, 2)),
    "max_pool2d, overlapping": pool("max_pool", (2, 2, 7, 7), (3, 2), (2, 1)),
    "max_pool2d, gaps": pool("max_pool", (1, 2, 9, 8), (2, 2), (3, 3)),
    "max_pool2d, ties": pool("max_pool", (2, 3, 6, 6), (2, 2), (2, 2), tie=True),
    "max_pool2d, ties in overlapping windows": pool(
        "max_pool", (2, 3, 7, 7), (3, 3), (1, 1), tie=True
    ),
    "max_pool1d": pool("max_pool", (2, 3, 9), (3,), (2,), tie=True),
    "avg_pool2d": pool("mean_pool", (2, 3, 6, 8), (2, 2), (2, 2)),
    "avg_pool2d, overlapping": pool("mean_pool", (2, 2, 7, 7), (3, 2), (2, 1)),
    "avg_pool1d": pool("mean_pool", (2, 3, 9), (3,), (2,)),
    "relu": same("relu", lambda t, x: t.relu(x)),
    "leaky_relu": same(
        "leaky_relu", lambda t, x: t.nn.functional.leaky_relu(x, 0.2), slope=0.2
    ),
    "elu": same("elu", lambda t, x: t.nn.functional.elu(x, 1.3), alpha=1.3),
    "gelu": same("gelu", lambda t, x: t.nn.functional.gelu(x)),
    "silu": same("silu", lambda t, x: t.nn.functional.silu(x)),
    "sigmoid": same("sigmoid", lambda t, x: t.sigmoid(x), low=-30.0, high=30.0),
    "tanh": same("tanh", lambda t, x: t.tanh(x)),
    "softplus": same("softplus", lambda t, x: t.nn.functional.softplus(x, threshold=1e9)),
    "softmax": same("softmax", lambda t, x: t.softmax(x, 0), axis=0),
    "log_softmax": same("log_softmax", lambda t, x: t.log_softmax(x, 1), (3, 4, 2), axis=1),
    "erf": same("erf", lambda t, x: t.erf(x)),
    "power": same("power", lambda t, x, y: x**y, (4, 1), (5,), low=0.5),
    "maximum": same("maximum", lambda t, x, y: t.maximum(x, y), (4, 1), (5,)),
    "max": same(
        "max", lambda t, x: t.max(x, 1).values, (4, 6), axis=1, keepdims=False, tie=True
    ),
    "layer_norm": same(
        "layer_norm", lambda t, x, w, b: t.nn.functional.layer_norm(x, w.shape, w, b, 1e-5),
        (2, 3, 4), (3, 4), (3, 4), eps=1e-5,
    ),
    "batch_norm": same(
        "batch_norm",
        lambda t, x, w, b: t.nn.functional.batch_norm(x, None, None, w, b, True, eps=1e-5),
        (8, 3), (3,), (3,), eps=1e-5,
    ),
    "batch_norm of images": same(
        "batch_norm",
        lambda t, x, w, b: t.nn.functional.batch_norm(x, None, None, w, b, True, eps=1e-3),
        (3, 2, 4, 5), (2,), (2,), eps=1e-3,
    ),
    "linear": same(
        "linear", lambda t, x, w, b: t.nn.functional.linear(x, w.T, b), (2, 3, 4), (4, 5), (5,)
    ),
    "mse": same("mse", lambda t, p, y: t.nn.functional.mse_loss(p, y), (4, 3), (4, 3)),
    "bce": same(
        "bce", lambda t, p, y: -(y * t.log(p) + (1 - y) * t.log(1 - p)).mean(),
        (4, 3), (4, 3), low=0.05, high=0.95, eps=1e-15,
    ),
    "bce_logits": same(
        "bce_logits",
        lambda t, p, y: t.nn.functional.binary_cross_entropy_with_logits(p, y),
        (4, 3), (4, 3), low=-30.0, high=30.0,
    ),
    "cross_entropy_shares": same(
        "cross_entropy_shares", lambda t, p, y: t.nn.functional.cross_entropy(p, y),
        (6, 3), (6, 3), low=0.1,
    ),
}  # fmt: skip


def operands(pair: Pair) -> list[Array]:
    rng = np.random.default_rng(5)
    found = []
    for shape in pair.shapes:
        x = rng.uniform(pair.low, pair.high, shape)
        found.append(np.round(x) if pair.tie else x)
    return found


def close(found: Any, wanted: Any) -> None:
    a, b = np.asarray(found), np.asarray(wanted)
    assert a.shape == b.shape
    scale = max(float(np.max(np.abs(b), initial=0)), 1e-3)
    np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13 * scale)


def agree(pair: Pair) -> None:
    """Value, gradient and second derivative are PyTorch's."""
    torch = require_torch()
    rng = np.random.default_rng(6)
    arrays = operands(pair)
    ours = [tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = OPS[pair.op](*ours, **pair.attributes), pair.theirs(torch, *theirs)
    close(y.numpy(), z.detach().numpy())
    c = rng.standard_normal(y.shape)
    first = derivatives(y, tensor(c), create_graph=True)
    wanted = torch.autograd.grad(z, theirs, torch.tensor(c), create_graph=True)
    for x, g in zip(ours, wanted, strict=True):
        close(first[x].numpy(), g.detach().numpy())
    us = [rng.standard_normal(a.shape) for a in arrays]
    total = tensor(np.array(0.0))
    for x, u in zip(ours, us, strict=True):
        total = total + (first[x] * tensor(u)).sum()
    sums = sum((g * torch.tensor(u)).sum() for g, u in zip(wanted, us, strict=True))
    if not pair.second or not getattr(sums, "requires_grad", False):
        return
    second = derivatives(total) if total.requires_grad else {}
    ends = torch.autograd.grad(sums, theirs, allow_unused=True)
    for x, g in zip(ours, ends, strict=True):
        zero = np.zeros(x.shape)
        close(second[x].numpy() if x in second else zero, zero if g is None else g.numpy())


@pytest.mark.parametrize("pair", PAIRS.values(), ids=[n.replace(" ", "_") for n in PAIRS])
def test_value_gradient_and_second_derivative_are_pytorchs(pair: Pair) -> None:
    agree(pair)


def test_cross_entropy_against_classes_is_pytorchs() -> None:
    torch = require_torch()
    rng = np.random.default_rng(7)
    scores, labels = rng.standard_normal((6, 4)) * 30, rng.integers(0, 4, 6)
    x, t = tensor(scores, requires_grad=True), torch.tensor(scores, requires_grad=True)
    loss = OPS["cross_entropy"](x, tensor(labels))
    theirs = torch.nn.functional.cross_entropy(t, torch.tensor(labels))
    close(loss.numpy(), theirs.item())
    loss.backward()
    theirs.backward()
    assert x.grad is not None
    close(x.grad.numpy(), t.grad.numpy())


def test_an_embedding_and_its_gradient_are_pytorchs() -> None:
    torch = require_torch()
    rng = np.random.default_rng(8)
    table, index = rng.standard_normal((7, 3)), rng.integers(0, 7, (4, 5))
    x, t = tensor(table, requires_grad=True), torch.tensor(table, requires_grad=True)
    y = OPS["take"](x, tensor(index))
    z = torch.nn.functional.embedding(torch.tensor(index), t)
    close(y.numpy(), z.detach().numpy())
    (y * y).sum().backward()
    (z * z).sum().backward()
    assert x.grad is not None
    close(x.grad.numpy(), t.grad.numpy())
