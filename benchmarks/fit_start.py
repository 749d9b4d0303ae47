"""What a second `fit` of an equal network costs before its first step, and with it.

    python benchmarks/fit_start.py

Each figure is the least of many: making the model, `fit` of a new instance with no epochs (checks,
first weights, the plan, writing back), and with one epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

import glassgrad as gg
from glassgrad import nn, optim


class Own(nn.Module):
    """A user's module: `fit` traces it each time, as its forward may depend on anything."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(2, 16)
        self.output = nn.Linear(16, 1)

    def forward(self, x: Any) -> Any:
        return self.output(nn.relu(self.hidden(x)))


def dense(*sizes: int) -> nn.Sequential:
    """Dense layers with ReLU between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


# Name, model, rows, loss, batch size: of `shared/bench`, and the smallest network of a regression.
CASES: tuple[tuple[str, Callable[[], nn.Module], tuple[int, int, int], str, int | None], ...] = (
    ("2-16-1", lambda: dense(2, 16, 1), (100, 2, 0), "mse", None),
    ("user's module, 2-16-1", Own, (100, 2, 0), "mse", None),
    ("spiral, 2-64-3", lambda: dense(2, 64, 3), (300, 2, 3), "cross_entropy", None),
    ("mlp, 784-128-10", lambda: dense(784, 128, 10), (64, 784, 10), "cross_entropy", 64),
)


def least(run: Callable[[], object], seconds: float = 0.5) -> float:
    """The time of the fastest of many calls, in microseconds."""
    best, end = float("inf"), time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        run()
        best = min(best, time.perf_counter() - began)
    return best * 1e6


def measured(
    make: Callable[[], nn.Module], kind: tuple[int, int, int], loss: str, batch: int | None
) -> tuple[float, float, float]:
    """Making a model, and `fit` of it with no epochs and with one."""
    rows, features, classes = kind
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, features)).astype(np.float32)
    y: Any = rng.integers(0, classes, rows) if classes else x[:, :1] * x[:, 1:2]

    def fit(epochs: int) -> None:
        optimizer = optim.Adam(1e-3)
        settings: dict[str, Any] = {"loss": loss, "batch_size": batch, "verbose": False}
        gg.fit(make(), x, y, optimizer=optimizer, epochs=epochs, **settings)

    fit(1)
    making = least(make)
    return making, least(lambda: fit(0)) - making, least(lambda: fit(1)) - making


def main() -> None:
    """Print a table."""
    print(f"{'microseconds':24}{'model':>10}{'fit, 0 epochs':>16}{'1 epoch':>10}")
    for name, make, kind, loss, batch in CASES:
        making, start, epoch = measured(make, kind, loss, batch)
        print(f"{name:24}{making:10.0f}{start:16.0f}{epoch:10.0f}")


if __name__ == "__main__":
    main()
