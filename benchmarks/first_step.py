"""How long it takes until the first step runs: trace to compiled text, and a second fit.

    python benchmarks/first_step.py [--repeats 15]

"first" is a network of a structure that is new to a warm process: traced, differentiated,
lowered, written, checked and compiled. "again" is a second `fit` of equal structure, up to its
first step: checks of the data, the trace that finds the plan, the run's own arrays. Medians and
the least of several, in milliseconds, on whatever machine this is, with its load beside them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from glassgrad import nn, optim
from glassgrad.train import step as step_module
from glassgrad.train.fit import prepared
from glassgrad.train.trainer import Trainer

FIRST, AGAIN = 40.0, 2.0  # the bounds, in milliseconds: the first for LeNet with Adam


def lenet() -> nn.Module:
    return nn.Sequential(
        conv1=nn.Conv2d(6, 5), relu1=nn.ReLU(), pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(16, 5), relu2=nn.ReLU(), pool2=nn.MaxPool2d(2), flat=nn.Flatten(),
        dense1=nn.Linear(120), relu3=nn.ReLU(), dense2=nn.Linear(84), relu4=nn.ReLU(),
        output=nn.Linear(10),
    )  # fmt: skip


def spiral() -> nn.Module:
    return nn.Sequential(hidden=nn.Linear(64), relu=nn.ReLU(), output=nn.Linear(3))


def normed() -> nn.Module:
    return nn.Sequential(
        *(nn.Linear(64), nn.BatchNorm1d(), nn.ReLU(), nn.Dropout(0.2), nn.Linear(10))
    )


def recurrent() -> nn.Module:
    return nn.Sequential(rnn=nn.RNN(16), output=nn.Linear(3))


def deep() -> nn.Module:
    return nn.Sequential(*[m for _ in range(12) for m in (nn.Linear(32), nn.GELU())], nn.Linear(3))


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], optim.Optimizer]] = {
    "spiral 2-64-3, SGD": (spiral, (2,), optim.SGD(0.1)),
    "spiral 2-64-3, Adam": (spiral, (2,), optim.Adam(1e-2)),
    "LeNet, Adam": (lenet, (1, 28, 28), optim.Adam(1e-3)),
    "batch norm + dropout, Adam": (normed, (20,), optim.Adam(1e-3)),
    "RNN 8-16, SGD": (recurrent, (12, 8), optim.SGD(0.1)),
    "12 x (dense + GELU), Adam": (deep, (32,), optim.Adam(1e-3)),
}


def milliseconds(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1e3


def measure(name: str, repeats: int) -> tuple[list[float], list[float]]:
    """Times of a first and of a second fit up to the first step, drawing of weights left out."""
    make, shape, optimizer = CASES[name]
    x, y = np.zeros((32, *shape), np.float32), np.zeros(32, np.int64)

    def begin(model: nn.Module) -> None:
        Trainer(prepared(model, x, y, loss="cross_entropy", optimizer=optimizer))

    first, again = [], []
    for _ in range(repeats):
        model = make()
        begin(model)  # weights drawn
        step_module._PLANS.clear()
        first.append(milliseconds(lambda model=model: begin(model)))
        again.append(milliseconds(lambda model=model: begin(model)))
    return first, again


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    print(f"{'':28}{'first':>16}{'again':>18}   ms, median (least)")
    for name in CASES:
        first, again = measure(name, repeats)
        bound = f"   bounds {FIRST:g} and {AGAIN:g}" if name.startswith("LeNet") else ""
        cells = [f"{statistics.median(t):8.2f} ({min(t):.2f})" for t in (first, again)]
        print(f"{name:28}{cells[0]:>16}{cells[1]:>18}{bound}")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
