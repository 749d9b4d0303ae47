"""A side is glassgrad or a peer: a module with `job(name, threads)` and `about()`.

Each runs in processes of its own, perhaps of another interpreter, so a side imports nothing but
the standard library, NumPy, its own framework, and the data and names beside this folder.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from importlib import import_module
from typing import Any

MODULES = {
    "ours": "ours",
    "numpy": "article",
    "torch": "pytorch",
    "torch.compile": "pytorch_compiled",
    "jax": "with_jax",
    "sklearn": "scikit",
    "onnx": "onnx_runtime",
}
TITLES = {
    "ours": "glassgrad",
    "reference": "reference",
    "numpy": "NumPy",
    "torch": "PyTorch",
    "torch.compile": "torch.compile",
    "jax": "JAX",
    "sklearn": "scikit-learn",
    "onnx": "ONNX Runtime",
}


class Job(ABC):
    """A workload made ready. One call trains `epochs` passes of `steps` steps each.

    Where `scales` is true the worker raises `epochs` until a call takes long enough for what a
    call costs by itself to vanish, as it does in training of any length.
    """

    steps = 1
    epochs = 1
    scales = False
    engine = ""  # of ours, where there is a choice: known once losses are
    short = True  # a call takes so little that one more to warm up costs nothing

    def reset(self) -> None:  # noqa: B027  # prediction and products have nothing to go back to
        """Back to the first weights."""

    @abstractmethod
    def call(self) -> None:
        """Train on."""

    def timed(self) -> float:
        """Seconds of a step, by one call."""
        began = time.perf_counter()
        self.call()
        return (time.perf_counter() - began) / (self.steps * self.epochs)

    @abstractmethod
    def losses(self, passes: int) -> list[float]:
        """The mean loss of each pass from the first weights on, each step's before its update.

        Of a workload that only predicts: the numbers predicted.
        """


def side(name: str) -> Any:
    """The module of a side. Raises ImportError where its framework is absent."""
    return import_module(f"benchmarks.sides.{MODULES[name]}")
