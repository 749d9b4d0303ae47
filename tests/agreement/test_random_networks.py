"""2,000 random networks against PyTorch in float64: the loss, every gradient, every statistic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.nn.losses import records
from glassgrad.tensors import random
from tests.conftest import require_torch
from tests.networks import FAMILIES, LOSSES, MODULES, Network, drawn, random_network

COUNT = 2000
PARTS = 40
COMPILED = 200
EPS = float(np.finfo(np.float64).eps)


def compare(network: Network, torch: Any) -> list[str]:
    """What differs by more than it may."""
    wrong = []
    leaves = network.torch_leaves(torch)
    expected = network.torch_loss(torch, leaves, seed=network.seed)
    expected.backward()
    gg.seed(network.seed)
    loss = network.loss_of(*network.operands())
    loss.backward()
    if not abs(loss.item() - expected.item()) <= 1e-9 * abs(expected.item()):
        wrong.append(f"loss {loss.item()!r}, PyTorch {expected.item()!r}")
    want = {
        p.name: np.zeros(p.shape) if leaves[p.name].grad is None else leaves[p.name].grad.numpy()
        for p in network.model.parameters()
    }
    total = float(np.sqrt(sum(np.sum(g**2) for g in want.values())))
    for p in network.model.parameters():
        have = np.zeros(p.shape) if p.grad is None else p.grad.numpy()
        norm = float(np.linalg.norm(want[p.name]))
        error = float(np.linalg.norm(have - want[p.name]))
        if not error <= max(1e-9 * norm, 1000 * EPS * total):
            wrong.append(f"{p.name}: off by {error:.3g}, norm {norm:.3g}, all {total:.3g}")
    wrong += [
        f"{b.name}: {b.numpy()} and PyTorch {leaves[b.name].numpy()}"
        for b in network.model.buffers()
        if not np.allclose(b.numpy(), leaves[b.name].numpy(), rtol=1e-9, atol=1e-12)
    ]
    return wrong


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.filterwarnings("ignore:reduction. .mean. divides")  # PyTorch's, on kl_div
def test_random_networks_agree_with_pytorch_in_loss_gradients_and_statistics(part: int) -> None:
    torch = require_torch()
    failures = {}
    for seed in range(part, COUNT, PARTS):
        network = random_network(seed)
        wrong = compare(network, torch)
        if wrong:
            failures[seed] = (network.spec, [(g.name, g.settings) for g in network.goals], wrong)
    assert not failures, "\n".join(f"{k}: {v}" for k, v in failures.items())


def compared(network: Network, run: Callable[..., Any]) -> tuple[list[Any], list[Any]]:
    """Loss and new statistics, and the gradients, of one step; the model is as it was afterwards."""
    before = network.model.state_dict()
    network.model.zero_grad()
    gg.seed(network.seed)
    loss = run(*network.operands())
    loss.backward()
    values = [loss.numpy(), *[b.numpy() for b in network.model.buffers()]]
    gradients = [None if p.grad is None else p.grad.numpy() for p in network.model.parameters()]
    network.model.load_state_dict(before)
    return values, gradients


def draw_once(network: Network) -> None:
    """Eager work counts every draw, a program every call: leave one dropout, if it draws once."""
    dropouts = [m for _, m in network.model.modules() if isinstance(m, nn.Dropout)]
    for dropout in dropouts[1:]:
        dropout.p = 0.0
    gg.seed(network.seed)
    with gg.no_grad():
        network.loss_of(*network.operands())
    if random.STATE.step > 1:
        dropouts[0].p = 0.0


@pytest.mark.parametrize("part", range(PARTS // 4))
def test_compiled_networks_give_the_bits_of_eager_ones(part: int) -> None:
    for seed in range(10_000 + part, 10_000 + COMPILED, PARTS // 4):
        network = random_network(seed)
        before = network.model.state_dict()
        draw_once(network)
        network.model.load_state_dict(before)
        one, d_one = compared(network, network.loss_of)
        two, d_two = compared(network, gg.compile(network.loss_of))
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"{seed}: {network.spec}")
        scale = max(float(np.max(np.abs(g), initial=0)) for g in d_one if g is not None)
        for a, b in zip(d_one, d_two, strict=True):
            assert (a is None) == (b is None)
            if a is not None:  # sums of several gradients may be added in another order
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-13 * scale)


def test_everything_that_nn_has_is_in_at_least_20_of_the_networks() -> None:
    modules: Counter[str] = Counter()
    families: Counter[str] = Counter()
    losses: Counter[str] = Counter()
    made = {r.name: r.made for r in records.RECORDS}
    for seed in range(COUNT):
        network, _ = drawn(seed)
        modules.update(set(network.spec.kinds()))
        families[network.family] += 1
        losses.update({made[wish.name] for wish in network.wishes})
    print("networks by module:", dict(modules.most_common()))  # noqa: T201  # the coverage
    print("by loss:", dict(losses.most_common()), "by kind:", dict(families))  # noqa: T201
    assert set(modules) == set(MODULES)
    assert set(losses) == set(LOSSES)
    assert set(families) == set(FAMILIES)
    assert min(modules.values()) >= 20, modules
    assert min(losses.values()) >= 20, losses
    assert min(families.values()) >= 100, families
