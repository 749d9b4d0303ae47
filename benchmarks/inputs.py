"""Data and first weights of every workload: the same numbers in every process.

Weights have glassgrad's names and layouts: dense (in, out), convolution (out, in, rows, columns),
recurrent (in, gates * units). A side that keeps them otherwise turns them.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .sweeps import TOKENS, Dense, point

Array = NDArray[Any]
BATCH, BATCHES = 128, 40  # of MNIST


@dataclass(frozen=True)
class Inputs:
    """What a workload is trained on, from where it starts. `size` None is the full batch."""

    x: Array
    y: Array
    weights: dict[str, Array]
    size: int | None = None

    @property
    def batches(self) -> int:
        """How many steps one pass over the data takes."""
        return 1 if self.size is None else len(self.x) // self.size

    def fingerprint(self) -> int:
        """A checksum of every number: equal wherever the same work is done."""
        sum_ = 0
        for array in (self.x, self.y, *self.weights.values()):
            sum_ = zlib.crc32(np.ascontiguousarray(array).tobytes(), sum_)
        return sum_


def mnist(rows: int, part: str = "train") -> tuple[Array, Array]:
    """The first images of a part ("train", "t10k") as float32 from 0 to 1, and their digits as int64.

    Where the files are not found: noise of the same kind, whose zeros are as many.
    """
    folder = Path(os.environ.get("GLASSGRAD_DATA", "data")) / "mnist"
    try:
        with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as images:
            raw = np.frombuffer(images.read(16 + 784 * rows), np.uint8, offset=16)
        with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as labels:
            digits = np.frombuffer(labels.read(8 + rows), np.uint8, offset=8)
    except FileNotFoundError:
        r = np.random.default_rng(0)
        kept = (r.random(784 * rows) >= 0.8).astype(np.uint8)
        raw = kept * r.integers(0, 256, 784 * rows, np.uint8)
        digits = r.integers(0, 10, rows, np.uint8)
    x = raw.reshape(-1, 784).astype(np.float32)
    x /= np.float32(255)
    return x, digits.astype(np.int64)


def spiral(points: int = 100, classes: int = 3) -> tuple[Array, Array]:
    r = np.random.default_rng(0)
    x = np.zeros((points * classes, 2), np.float32)
    y = np.repeat(np.arange(classes), points)
    for k in range(classes):
        angle = np.linspace(k * 4, (k + 1) * 4, points) + r.standard_normal(points) * 0.2
        radius = np.linspace(0, 1, points)
        x[y == k] = np.c_[radius * np.sin(angle), radius * np.cos(angle)]
    return x, y


def circles(points: int = 800) -> tuple[Array, Array]:
    r = np.random.default_rng(0)
    angle = r.uniform(0, 2 * np.pi, points)
    y = np.arange(points) % 2
    radius = np.where(y, 0.8, 1.0)
    x = np.c_[radius * np.cos(angle), radius * np.sin(angle)] + r.normal(0, 0.1, (points, 2))
    return x.astype(np.float32), y.astype(np.float32)[:, None]


def people() -> tuple[Array, Array]:
    x = np.array([[-2, -1], [25, 6], [17, 4], [-15, -6]], np.float32)
    return x, np.array([[1], [0], [0], [1]], np.float32)


class _Draw:
    """Weights drawn one after the other."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(1)
        self.weights: dict[str, Array] = {}

    def normal(self, name: str, *shape: int, scale: float) -> None:
        drawn: Array = self.random.standard_normal(shape)
        self.weights[name] = (drawn * scale).astype(np.float32)

    def zeros(self, name: str, *shape: int) -> None:
        self.weights[name] = np.zeros(shape, np.float32)

    def dense(self, name: str, inputs: int, outputs: int, *, bias: bool = True) -> None:
        self.normal(f"{name}.weight", inputs, outputs, scale=math.sqrt(2 / inputs))
        if bias:
            self.zeros(f"{name}.bias", outputs)

    def conv(self, name: str, inputs: int, outputs: int, kernel: int = 3) -> None:
        """`inputs` counts the channels that one output reads."""
        scale = math.sqrt(2 / (inputs * kernel * kernel))
        self.normal(f"{name}.weight", outputs, inputs, kernel, kernel, scale=scale)
        self.zeros(f"{name}.bias", outputs)

    def transposed(self, name: str, inputs: int, outputs: int, kernel: int) -> None:
        self.normal(f"{name}.weight", inputs, outputs, kernel, kernel, scale=math.sqrt(1 / inputs))
        self.zeros(f"{name}.bias", outputs)

    def recurrent(self, name: str, inputs: int, wide: int, units: int) -> None:
        self.normal(f"{name}.weight", inputs, wide, scale=math.sqrt(1 / inputs))
        self.normal(f"{name}.recurrent", units, wide, scale=math.sqrt(1 / units))
        self.zeros(f"{name}.bias", wide)

    def norm(self, name: str, width: int) -> None:
        self.weights[f"{name}.weight"] = np.ones(width, np.float32)
        self.zeros(f"{name}.bias", width)


def _lenet(draw: _Draw) -> None:
    draw.conv("conv1", 1, 6, 5)
    draw.conv("conv2", 6, 16, 5)
    for name, inputs, outputs in (("dense1", 256, 120), ("dense2", 120, 84), ("output", 84, 10)):
        draw.dense(name, inputs, outputs)


def _residual(draw: _Draw) -> None:
    draw.conv("first", 3, 16)
    for k, (a, b) in enumerate(((16, 16), (16, 32), (32, 64)), 1):
        draw.conv(f"block{k}.one", a, b)
        draw.conv(f"block{k}.two", b, b)
        if a != b:
            draw.conv(f"block{k}.short", a, b, 1)
    draw.dense("output", 64, 10)


def _gpt(draw: _Draw, tokens: int = 65, width: int = 128, context: int = 128) -> None:
    draw.normal("embedding.weight", tokens, width, scale=1.0)
    draw.zeros("positions.weight", context, width)
    for k in range(1, 5):
        draw.norm(f"block{k}.norm1", width)
        for part in ("query", "key", "value", "out"):
            draw.dense(f"block{k}.attention.{part}", width, width)
        draw.norm(f"block{k}.norm2", width)
        draw.dense(f"block{k}.wide", width, 4 * width)
        draw.dense(f"block{k}.narrow", 4 * width, width)
    draw.norm("norm", width)
    draw.dense("head", width, tokens, bias=False)


def _unet(draw: _Draw) -> None:
    def double(name: str, inputs: int, outputs: int) -> None:
        draw.conv(f"{name}.one", inputs, outputs)
        draw.conv(f"{name}.two", outputs, outputs)

    double("down1", 3, 32)
    double("down2", 32, 64)
    double("bottom", 64, 128)
    draw.transposed("up2", 128, 64, 2)
    double("wide2", 128, 64)
    draw.transposed("up1", 64, 32, 2)
    double("wide1", 64, 32)
    draw.conv("output", 32, 2, 1)


def _separable(draw: _Draw) -> None:
    draw.conv("first", 3, 32)
    for k, (a, b) in enumerate(((32, 64), (64, 128), (128, 128)), 1):
        draw.conv(f"depth{k}", 1, a)
        draw.conv(f"point{k}", a, b, 1)
    draw.dense("output", 128, 10)


def _layers(draw: _Draw, *widths: int) -> None:
    names = ("hidden", "output")
    for name, inputs, outputs in zip(names, widths, widths[1:], strict=False):
        draw.dense(name, inputs, outputs)


def inputs(name: str) -> Inputs:
    """The data and first weights of a workload, or of a point of a sweep."""
    r, draw, size = np.random.default_rng(0), _Draw(), None

    def noise(*shape: int) -> Array:
        return np.asarray(r.standard_normal(shape), np.float32)

    def classes(most: int, *shape: int) -> Array:
        return r.integers(0, most, shape)

    match name:
        case "neuron":
            (x, y), size = people(), 1
            _layers(draw, 2, 2, 1)
        case "circles" | "fits":
            x, y = circles()
            _layers(draw, 2, 8 if name == "circles" else 16, 1)
        case "spiral":
            x, y = spiral()
            _layers(draw, 2, 64, 3)
        case "norms":
            x, y = spiral()
            draw.dense("hidden", 2, 64)
            draw.norm("norm1", 64)
            draw.dense("second", 64, 64)
            draw.norm("norm2", 64)
            draw.dense("output", 64, 3)
        case "mlp" | "infer":
            x, y = mnist(BATCH * BATCHES if name == "mlp" else 1)
            size = BATCH if name == "mlp" else None
            _layers(draw, 784, 128, 10)
        case "rnn" | "lstm":
            x, y = noise(32, 32, 8), classes(3, 32)
            units, gates = (16, 1) if name == "rnn" else (64, 4)
            draw.recurrent("recurrent", 8, gates * units, units)
            draw.dense("output", units, 3)
        case "articlecnn":
            x, digits = mnist(64)
            x, size = x.reshape(-1, 1, 28, 28), 1
            y = np.eye(10, dtype=np.float32)[digits]
            draw.conv("conv1", 1, 1)
            draw.conv("conv2", 1, 1)
            draw.dense("hidden", 576, 100)
            draw.dense("output", 100, 10)
        case "lenet" | "infer1":
            x, y = mnist(BATCH * BATCHES if name == "lenet" else 1)
            x, size = x.reshape(-1, 1, 28, 28), BATCH if name == "lenet" else None
            _lenet(draw)
        case "resnet":
            x, y = noise(128, 3, 32, 32), classes(10, 128)
            _residual(draw)
        case "gpt":
            x, y = classes(65, 16, 128), classes(65, 16, 128)
            _gpt(draw)
        case "unet":
            x, y = noise(16, 3, 64, 64), classes(2, 16, 64, 64)
            _unet(draw)
        case "dwsep":
            x, y = noise(64, 3, 32, 32), classes(10, 64)
            _separable(draw)
        case _:
            at = point(name)
            if isinstance(at, Dense):
                x, y = noise(at.rows, at.widths[0]), classes(at.widths[-1], at.rows)
                for k, (before, after) in enumerate(pairwise(at.widths), 1):
                    draw.dense(f"dense{k}", before, after)
            else:
                x, y = (classes(TOKENS, at.rows, at.context) for _ in range(2))
                _gpt(draw, context=at.context)
    return Inputs(x, y, draw.weights, size)
