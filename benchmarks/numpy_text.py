"""One training step as printed NumPy text beside PyTorch eager, one thread each, in one run.

    env -u OPENBLAS_CORETYPE OMP_NUM_THREADS=1 python benchmarks/numpy_text.py [--seconds 2]

Prints a table: microseconds a step (median), the ratio torch / ours, and the ratio that is asked
for (0.9 of the one measured for hand-written text). Both run in this process by turns, so that a
machine whose speed drifts slows both. PyTorch uses Adam's fused form; ours is the text that
`gg.source` prints.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable

for name in [n for n in os.environ if n.startswith(("OPENBLAS_", "MKL_"))]:
    del os.environ[name]
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402  # after the thread settings
import torch  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from glassgrad import data, nn, optim  # noqa: E402
from glassgrad.train.fit import prepared  # noqa: E402
from glassgrad.train.trainer import Trainer  # noqa: E402

Step = Callable[[], object]
RNG = np.random.default_rng(0)


def ours(model: nn.Module, x: np.ndarray, y: np.ndarray, optimizer: optim.Optimizer) -> Step:
    record = prepared(model, x, y, loss="cross_entropy", optimizer=optimizer, metrics=())
    trainer = Trainer(record)
    arguments = trainer.arguments(record.plan.graph.inputs)
    names = list(record.plan.graph.inputs)
    arguments[names.index("x")] = record.data["x"]
    arguments[names.index("y")] = record.data["y"]
    if "step" in names:
        arguments[names.index("step")] = 1
    function = record.plan.step.function

    def step() -> object:
        return function(*arguments)

    return step


def theirs(
    model: torch.nn.Module, x: np.ndarray, y: np.ndarray, make: Callable[..., torch.optim.Optimizer]
) -> Step:
    tx, ty = torch.from_numpy(x), torch.from_numpy(y)
    optimizer = make(model.parameters())

    def step() -> object:
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(tx), ty)
        loss.backward()
        optimizer.step()
        return loss

    return step


class _Last(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = torch.nn.RNN(8, 16, batch_first=True)
        self.output = torch.nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.rnn(x)[0][:, -1])


def sgd(parameters: object) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, 0.01)  # type: ignore[arg-type]


def adam(parameters: object) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, 1e-3, fused=True)  # type: ignore[arg-type]


def workloads() -> dict[str, tuple[Step, Step, float]]:
    """Name -> (ours, PyTorch's, ratio that is asked for)."""
    t = torch.nn
    sx, sy = data.spiral()
    dense = lambda: nn.Sequential(hidden=nn.Linear(64), relu=nn.ReLU(), output=nn.Linear(3))
    t_dense = lambda: t.Sequential(t.Linear(2, 64), t.ReLU(), t.Linear(64, 3))
    mx, my = RNG.random((128, 784), np.float32), RNG.integers(0, 10, 128)
    mlp = lambda: nn.Sequential(hidden=nn.Linear(128), relu=nn.ReLU(), output=nn.Linear(10))
    t_mlp = lambda: t.Sequential(t.Linear(784, 128), t.ReLU(), t.Linear(128, 10))
    norm = nn.Sequential(
        hidden=nn.Linear(64),
        norm=nn.BatchNorm1d(),
        relu=nn.ReLU(),
        drop=nn.Dropout(0.5),
        output=nn.Linear(3),
    )
    t_norm = t.Sequential(
        t.Linear(2, 64), t.BatchNorm1d(64), t.ReLU(), t.Dropout(0.5), t.Linear(64, 3)
    )
    layer = nn.Sequential(
        hidden=nn.Linear(64), norm=nn.LayerNorm(), relu=nn.ReLU(), output=nn.Linear(3)
    )
    t_layer = t.Sequential(t.Linear(2, 64), t.LayerNorm(64), t.ReLU(), t.Linear(64, 3))
    rx, ry = RNG.random((20, 12, 8), np.float32), RNG.integers(0, 3, 20)
    rnn = nn.Sequential(rnn=nn.RNN(16), output=nn.Linear(3))
    lx, ly = RNG.random((128, 1, 28, 28), np.float32), RNG.integers(0, 10, 128)
    lenet = nn.Sequential(
        conv1=nn.Conv2d(6, 5),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(16, 5),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),
        flat=nn.Flatten(),
        dense1=nn.Linear(120),
        relu3=nn.ReLU(),
        dense2=nn.Linear(84),
        relu4=nn.ReLU(),
        output=nn.Linear(10),
    )
    t_lenet = t.Sequential(
        t.Conv2d(1, 6, 5),
        t.ReLU(),
        t.MaxPool2d(2),
        t.Conv2d(6, 16, 5),
        t.ReLU(),
        t.MaxPool2d(2),
        t.Flatten(),
        t.Linear(256, 120),
        t.ReLU(),
        t.Linear(120, 84),
        t.ReLU(),
        t.Linear(84, 10),
    )
    s, a = (lambda: optim.SGD(0.01)), (lambda: optim.Adam(1e-3))
    return {
        "spiral 2-64-3, 300 rows, SGD": (
            ours(dense(), sx, sy, s()),
            theirs(t_dense(), sx, sy, sgd),
            1.8,
        ),
        "spiral, Adam": (ours(dense(), sx, sy, a()), theirs(t_dense(), sx, sy, adam), 2.2),
        "mlp 784-128-10, batch 128, SGD": (
            ours(mlp(), mx, my, s()),
            theirs(t_mlp(), mx, my, sgd),
            1.3,
        ),
        "mlp, Adam": (ours(mlp(), mx, my, a()), theirs(t_mlp(), mx, my, adam), 1.3),
        "MLP + batch norm + dropout, Adam": (
            ours(norm, sx, sy, a()),
            theirs(t_norm, sx, sy, adam),
            2.0,
        ),
        "MLP + layer norm, SGD": (ours(layer, sx, sy, s()), theirs(t_layer, sx, sy, sgd), 1.6),
        "RNN 12 x 20 x 8-16, SGD": (ours(rnn, rx, ry, s()), theirs(_Last(), rx, ry, sgd), 2.6),
        "LeNet batch 128, SGD": (ours(lenet, lx, ly, s()), theirs(t_lenet, lx, ly, sgd), 0.63),
    }


def measure(first: Step, second: Step, seconds: float) -> tuple[float, float]:
    """Median seconds of each, in turns of a few milliseconds."""
    times: tuple[list[float], list[float]] = ([], [])
    for step in (first, second):
        for _ in range(5):
            step()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for step, found in zip((first, second), times, strict=True):
            stop = time.perf_counter() + 0.02
            while True:
                began = time.perf_counter()
                step()
                now = time.perf_counter()
                found.append(now - began)
                if now > stop:
                    break
    return statistics.median(times[0]), statistics.median(times[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    seconds = parser.parse_args().seconds
    torch.set_num_threads(1)
    short = 0
    print(f"{'step':<34} {'ours us':>9} {'torch us':>9} {'torch/ours':>11} {'asked':>7}")
    for name, (mine, peer, known) in workloads().items():
        a, b = measure(mine, peer, seconds)
        short += b / a < 0.9 * known
        mark = "" if b / a >= 0.9 * known else "  <"
        print(
            f"{name:<34} {a * 1e6:>9.0f} {b * 1e6:>9.0f} {b / a:>11.2f} {0.9 * known:>7.2f}{mark}"
        )
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
