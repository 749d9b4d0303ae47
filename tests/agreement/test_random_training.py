"""Random networks trained by `fit` in every way, and by PyTorch in a loop of its own."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import optim
from glassgrad.errors import NonFiniteError
from tests.networks import random_network
from tests.networks.training import ROWS, Training, drawn_training

COUNT = 96
PARTS = 12
FIRST = 20_000


def drawn(seed: int, torch: Any) -> tuple[Any, Training]:
    """A network and its training, without the parameters that nothing pulls.

    A bias before a softmax has a gradient of 0, of which rounding makes noise; a rule that divides
    a gradient by its own size would make steps of that.
    """
    network = random_network(seed, rows=ROWS, fit=True)
    training = drawn_training(seed, network)
    leaves = network.torch_leaves(torch)
    training.loss(network, torch, leaves, np.arange(ROWS), 1).backward()
    sizes = {k: float(v.grad.norm()) for k, v in leaves.items() if v.grad is not None}
    most = max(sizes.values())
    training.frozen = [k for k, size in sizes.items() if 0 < size < 1e-9 * most]
    return network, training


def compare(seed: int, torch: Any) -> list[str]:
    """What differs by more than it may."""
    network, training = drawn(seed, torch)
    wanted, losses = training.by_torch(network, torch)
    try:
        history = gg.fit(network.model, network.x, network.y, **training.prepared(network))
    except NonFiniteError as error:
        reached = np.isfinite(losses).all() and all(v.isfinite().all() for v in wanted.values())
        return [f"{training}", str(error)] if reached else []
    wrong = []
    if not np.allclose(history["loss"], losses, rtol=1e-9, atol=1e-12):
        wrong.append(f"losses {history['loss']}, PyTorch {losses}")
    for name, value in network.model.state_dict().items():
        off = float(np.linalg.norm(value - wanted[name].numpy()))
        if not off <= 1e-8 * max(float(np.linalg.norm(value)), 1e-3):
            wrong.append(f"{name}: off by {off:.3g}, norm {np.linalg.norm(value):.3g}")
    return [f"{training}", *wrong] if wrong else []


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.filterwarnings("ignore:reduction. .mean. divides")  # PyTorch's, on kl_div
def test_fit_ends_where_pytorchs_optimisers_end(torch_in_doubles: Any, part: int) -> None:
    seeds = range(FIRST + part, FIRST + COUNT, PARTS)
    found = {seed: compare(seed, torch_in_doubles) for seed in seeds}
    assert not any(found.values()), "\n".join(f"{k}: {v}" for k, v in found.items() if v)


def test_every_way_of_training_is_drawn() -> None:
    seen: Counter[str] = Counter()
    for seed in range(FIRST, FIRST + COUNT):
        training = drawn_training(seed, random_network(seed, rows=ROWS, fit=True))
        lr = training.lr
        seen.update(
            [training.kind, type(lr).__name__ if isinstance(lr, optim.Schedule) else "rate"]
        )
        seen.update([training.clip[0] if training.clip else "free", f"{training.batch_size}"])
        options = ("every", "momentum", "group", "penalty")
        seen.update([name for name in options if getattr(training, name) is not None])
    kinds = {"SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta"}
    ways = {"clipvalue", "clipnorm", "global_clipnorm", "every", "momentum", "group", "penalty"}
    assert min(seen[name] for name in kinds) >= 3, seen
    assert min(seen[name] for name in ways) >= 8, seen
