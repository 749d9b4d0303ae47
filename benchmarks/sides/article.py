"""NumPy as the articles write it: every formula by hand, float64; and matrix products alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.inputs import Array, inputs

from . import Job

RATE = 0.1
# One pass over the data, giving something for each step; and the loss, from that something.
Made = tuple[Callable[[], Iterator[Any]], Callable[[Any], Any]]


def about() -> str:
    """NumPy's version."""
    return f"NumPy {np.__version__}"


def sigmoid(v: Any) -> Any:
    return 1 / (1 + np.exp(-v))


def _neuron(x: Array, y: Array, weights: dict[str, Array]) -> Made:
    h, o = weights["hidden.weight"], weights["output.weight"]
    (b1, b2), (b3,) = weights["hidden.bias"], weights["output.bias"]
    w = [h[0, 0], h[1, 0], h[0, 1], h[1, 1], o[0, 0], o[1, 0], b1, b2, b3]
    w = [np.float64(v) for v in w]
    flat = y[:, 0]

    def slope(s: Any) -> Any:
        return sigmoid(s) * (1 - sigmoid(s))

    def one_pass() -> Iterator[Any]:
        for row, wanted in zip(x, flat, strict=True):
            s1 = w[0] * row[0] + w[1] * row[1] + w[6]
            h1 = sigmoid(s1)
            s2 = w[2] * row[0] + w[3] * row[1] + w[7]
            h2 = sigmoid(s2)
            s3 = w[4] * h1 + w[5] * h2 + w[8]
            out = sigmoid(s3)
            g = -2 * (wanted - out)
            a, b = w[4] * slope(s3), w[5] * slope(s3)
            gradients = (
                g * a * row[0] * slope(s1), g * a * row[1] * slope(s1),
                g * b * row[0] * slope(s2), g * b * row[1] * slope(s2),
                g * h1 * slope(s3), g * h2 * slope(s3),
                g * a * slope(s1), g * b * slope(s2), g * slope(s3),
            )  # fmt: skip
            for i, gradient in enumerate(gradients):
                w[i] -= RATE * gradient
            yield g

    return one_pass, lambda g: g * g / 4


def _circles(x: Array, y: Array, weights: dict[str, Array]) -> Made:
    x = x.astype(float)
    a, b, c, d = (weights[n].astype(float) for n in weights)
    m = len(x)

    def one_pass() -> Iterator[Any]:
        nonlocal a, b, c, d
        z = x @ a + b
        h = np.maximum(0, z)
        s = h @ c + d
        g = sigmoid(s) - y
        dc = h.T @ g / m
        dz = (g @ c.T) * (z > 0)
        da = x.T @ dz / m
        c -= RATE * dc
        d -= RATE * g.mean(0)
        a -= RATE * da
        b -= RATE * dz.mean(0)
        yield s

    return one_pass, lambda s: np.mean(np.logaddexp(0, s) - y * s)


def _article(x: Array, y: Array, weights: dict[str, Array]) -> Made:
    from scipy import signal

    x = x[:, 0].astype(float)
    k1, b1, k2, b2, w1, c1, w2, c2 = (weights[n].astype(float) for n in weights)
    k1, k2 = k1[0, 0], k2[0, 0]

    def one_pass() -> Iterator[Any]:
        nonlocal k1, b1, k2, b2, w1, c1, w2, c2
        for a0, wanted in zip(x, y, strict=True):
            a1 = np.tanh(signal.correlate2d(a0, k1, "valid") + b1)
            a2 = np.tanh(signal.correlate2d(a1, k2, "valid") + b2)
            f = a2.reshape(1, -1)
            a3 = np.tanh(f @ w1 + c1)
            z = a3 @ w2 + c2
            e = np.exp(z - z.max())
            p = e / e.sum()
            difference = p - wanted
            g = 2 * difference / 10
            g = p * (g - (g * p).sum())
            dw2 = a3.T @ g
            d3 = (g @ w2.T) * (1 - a3**2)
            dw1 = f.T @ d3
            d2 = (d3 @ w1.T).reshape(24, 24) * (1 - a2**2)
            dk2 = signal.correlate2d(a1, d2, "valid")
            d1 = signal.convolve2d(d2, k2, "full") * (1 - a1**2)
            dk1 = signal.correlate2d(a0, d1, "valid")
            w2 -= RATE * dw2
            c2 -= RATE * g[0]
            w1 -= RATE * dw1
            c1 -= RATE * d3[0]
            k2 -= RATE * dk2
            b2 -= RATE * d2.sum()
            k1 -= RATE * dk1
            b1 -= RATE * d1.sum()
            yield difference

    return one_pass, lambda difference: np.mean(difference**2)


_MAKE = {"neuron": _neuron, "circles": _circles, "articlecnn": _article}


class _Hand(Job):
    def __init__(self, name: str) -> None:
        self.make, self.inputs = _MAKE[name], inputs(name)
        self.steps = self.inputs.batches
        self.reset()

    def reset(self) -> None:
        self.run, self.loss = self.make(self.inputs.x, self.inputs.y, self.inputs.weights)

    def call(self) -> None:
        for _ in self.run():
            pass

    def losses(self, passes: int) -> list[float]:
        self.reset()
        return [float(np.mean([self.loss(v) for v in self.run()])) for _ in range(passes)]


class _Product(Job):
    """NumPy left alone: its own choice of kernel, the result in an array that is there."""

    def __init__(self, a: Array, b: Array, bias: Array | None) -> None:
        self.a, self.b, self.bias = a, b, bias
        self.out = np.empty((len(a), b.shape[1]), np.float32)

    def call(self) -> None:
        np.matmul(self.a, self.b, out=self.out)
        if self.bias is not None:
            self.out += self.bias
            np.maximum(self.out, 0, out=self.out)

    def losses(self, passes: int) -> list[float]:
        self.call()
        return [float(v) for v in self.out.ravel()[:50]]


def product(a: Array, b: Array, bias: Array | None) -> Job:
    """A matrix product made ready."""
    return _Product(a, b, bias)


def job(name: str, threads: int) -> Job:  # noqa: ARG001  # as every side
    """A workload made ready; its threads were set when the process started."""
    return _Hand(name)
