"""The workloads: names, sizes, who takes part, and what is asked of the ratios.

Only the standard library: every process of a run reads this file, also in a peer's interpreter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True)
class Bound:
    """How many times as fast as a peer we must be, and aim to be."""

    must: float
    aim: float

    def judged(self, ratio: float) -> str:
        """What a ratio is: "aim", "must" or "not met"."""
        return "aim" if ratio >= self.aim else "must" if ratio >= self.must else "not met"


@dataclass(frozen=True)
class Workload:
    """One row of the table for each peer.

    `flop` counts the matrix products (or convolutions) of one step; `passes` is how many times
    the data are gone through where losses are compared, within `tolerance` (relative, or of
    numbers themselves below 1). `unit` is what microseconds are given for.
    """

    name: str
    about: str
    peers: tuple[str, ...]
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    flop: float = 0.0
    peak: Bound | None = None  # of the share of the measured peak
    passes: int = 1
    tolerance: float = 1e-4
    unit: str = "step"
    later: bool = False  # norms, convolutions, attention: in the full run, or when named


def dense_flop(rows: int, *widths: int) -> float:
    """Products of one training step: forward, weights', and inputs' but for the first layer."""
    pairs = list(pairwise(widths))
    return 2.0 * rows * (3 * sum(a * b for a, b in pairs) - pairs[0][0] * pairs[0][1])


def recurrent_flop(rows: int, steps: int, inputs: int, wide: int, units: int) -> float:
    """Products of a recurrent layer's step: of the inputs two, of the state three for each time."""
    return 2.0 * rows * steps * (2 * inputs * wide + 3 * units * wide)


_LSTM = recurrent_flop(32, 32, 8, 256, 64)
_RNN = recurrent_flop(32, 32, 8, 16, 16)

ALL = (
    Workload(
        "neuron", "2-2-1 sigmoid, MSE, one sample at a time, SGD", ("numpy", "torch", "jax"),
        {"torch": Bound(250, 600), "jax": Bound(0.25, 1), "numpy": Bound(25, 60)},
        passes=50, tolerance=1e-5,
    ),
    Workload(
        "circles", "2-8-1, full batch of 800, gradient descent", ("numpy", "torch", "jax"),
        {"torch": Bound(25, 45), "jax": Bound(2, 4)}, dense_flop(800, 2, 8, 1),
        passes=200, tolerance=1e-5,
    ),
    Workload(
        "spiral", "2-64-3, full batch of 300, Adam", ("torch", "jax", "sklearn"),
        {"torch": Bound(12, 22), "jax": Bound(2, 3.5), "sklearn": Bound(15, 25)},
        dense_flop(300, 2, 64, 3), passes=200,
    ),
    Workload(
        "mlp", "784-128-10, batches of 128, Adam", ("torch", "jax", "sklearn"),
        {"torch": Bound(2.2, 2.7), "jax": Bound(1.0, 1.2), "sklearn": Bound(3, 4)},
        dense_flop(128, 784, 128, 10), Bound(0.5, 0.65), passes=5, tolerance=1e-3,
    ),
    Workload(
        "rnn", "16 units, 32 steps, batch of 32, SGD", ("torch", "jax"),
        {"torch": Bound(8, 20), "jax": Bound(1.3, 4)}, _RNN, passes=100, tolerance=1e-5,
    ),
    Workload(
        "lstm", "64 units, 32 steps, batch of 32, Adam", ("torch", "jax"),
        {"torch": Bound(2, 3), "jax": Bound(2, 3)}, _LSTM, Bound(0.4, 0.6), passes=60,
    ),
    Workload(
        "infer", "784-128-10 forward, one row", ("onnx", "torch"),
        {"onnx": Bound(1.1, 1.6)}, 2.0 * (784 * 128 + 128 * 10), tolerance=1e-5, unit="call",
    ),
    Workload(
        "fits", "50 fits of 20 steps, 2-16-1, full batch of 800, Adam", ("sklearn",),
        {"sklearn": Bound(10, 30)}, unit="fit", passes=20,
    ),
    Workload(
        "norms", "2-64-64-3, batch norm and layer norm, full batch of 300, Adam", ("torch",),
        flop=dense_flop(300, 2, 64, 64, 3), passes=50, tolerance=1e-3, later=True,
    ),
    Workload(
        "articlecnn", "28x28 conv conv 100-10, one sample at a time, SGD", ("numpy", "torch", "jax"),
        {"torch": Bound(15, 28), "jax": Bound(4, 7)},
        flop=0.42e6, passes=3, later=True,
    ),
    Workload(
        "lenet", "LeNet-5, batches of 128, Adam", ("torch", "jax"),
        {"torch": Bound(2.5, 4)},
        flop=194e6, passes=1, later=True,
    ),
    Workload(
        "resnet", "ResNet-8 without norm, 32x32x3, batch of 128, SGD", ("torch", "jax"),
        {"torch": Bound(1.25, 1.8)},
        flop=9.4e9, passes=3, later=True,
    ),
    Workload(
        "gpt", "4 layers, width 128, context 128, batch of 16, AdamW", ("torch", "torch.compile", "jax"),
        {"torch": Bound(1.4, 2), "torch.compile": Bound(1.4, 2), "jax": Bound(2, 3)},
        flop=11.3e9, passes=3, later=True,
    ),
    Workload(
        "unet", "U-Net 32-64-128, 64x64x3, batch of 16, SGD", ("torch",),
        {"torch": Bound(0.95, 1.25)},
        flop=38e9, passes=3, later=True,
    ),
    Workload(
        "dwsep", "depthwise-separable, 32x32x3, batch of 64, SGD", ("torch",),
        {"torch": Bound(2, 3.5)},
        flop=3.8e9, passes=3, later=True,
    ),
    Workload(
        "infer1", "LeNet-5 forward, one image", ("onnx", "torch", "jax"),
        {"onnx": Bound(1.2, 2)},
        flop=0.56e6, unit="call", later=True,
    ),
)  # fmt: skip
WORKLOADS = {work.name: work for work in ALL}

# Rows, depth, columns. The first is judged by the share of peak, the others beside NumPy.
PRODUCTS = (
    (2048, 2048, 2048), (128, 784, 128), (784, 128, 128), (2048, 128, 512), (64, 64, 64),
    (8192, 144, 16), (300, 2, 64),
)  # fmt: skip
PRODUCT_PEERS = ("numpy", "torch")
# Networks whose first step is timed, in a process that is warm.
STRUCTURES = (
    "spiral", "mlp", "a user's module, 2-16-3", "batch norm, dropout", "12 x (dense, GELU)",
    "RNN of 16", "lenet",
)  # fmt: skip
LEARNING_RATE = {
    "neuron": 0.1, "circles": 0.1, "spiral": 0.01, "mlp": 1e-3, "rnn": 0.01, "lstm": 0.01,
    "fits": 0.01, "norms": 1e-3, "articlecnn": 0.1, "lenet": 1e-3, "resnet": 0.01, "gpt": 1e-3, "unet": 0.01,
    "dwsep": 0.01,
}  # fmt: skip
