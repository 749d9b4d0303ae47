"""JAX at its best here: many steps in one jitted `lax.scan`, images with channels last."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

THREADS = int(os.environ.get("BENCHMARKS_THREADS", "1"))
_EIGEN = f"--xla_cpu_multi_thread_eigen={'true' if THREADS > 1 else 'false'}"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_EIGEN}".strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # noqa: E402  # after its flags
import jax.numpy as jnp  # noqa: E402  # so are the next
from jax import lax  # noqa: E402

from benchmarks.inputs import Array, inputs  # noqa: E402
from benchmarks.workloads import LEARNING_RATE  # noqa: E402

from . import Job  # noqa: E402

Weights = dict[str, Any]
# Steps in one call where an epoch has fewer: a scan's own cost vanishes.
_STEPS = {"neuron": 1000, "circles": 50, "spiral": 50, "rnn": 10, "lstm": 10, "resnet": 2, "gpt": 2}
_STEPS["articlecnn"] = 192


def about() -> str:
    """JAX's version."""
    return f"JAX {jax.__version__}"


def _dense(p: Weights, name: str, x: Any) -> Any:
    return x @ p[f"{name}.weight"] + p[f"{name}.bias"]


def _conv(p: Weights, name: str, x: Any, stride: int = 1, padding: Any = "VALID") -> Any:
    layout = ("NHWC", "HWIO", "NHWC")
    weight = p[f"{name}.weight"]
    if padding == "SAME":  # one on each side of a 3 x 3 kernel, as everywhere else
        padding = [(n // 2, n // 2) for n in weight.shape[:2]]
    z = lax.conv_general_dilated(x, weight, (stride, stride), padding, dimension_numbers=layout)
    return z + p[f"{name}.bias"]


def _pool(x: Any) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def _two_layers(p: Weights, x: Any) -> Any:
    return _dense(p, "output", jax.nn.relu(_dense(p, "hidden", x)))


def _neuron(p: Weights, x: Any) -> Any:
    return jax.nn.sigmoid(_dense(p, "output", jax.nn.sigmoid(_dense(p, "hidden", x))))


def _flat(x: Any) -> Any:
    """Rows of numbers in the order channel, row, column, which the dense weights expect."""
    return x.transpose(0, 3, 1, 2).reshape(len(x), -1)


def _article(p: Weights, x: Any) -> Any:
    a = _flat(jnp.tanh(_conv(p, "conv2", jnp.tanh(_conv(p, "conv1", x)))))
    return jax.nn.softmax(_dense(p, "output", jnp.tanh(_dense(p, "hidden", a))))


def _lenet(p: Weights, x: Any) -> Any:
    x = _pool(jax.nn.relu(_conv(p, "conv1", x)))
    x = _flat(_pool(jax.nn.relu(_conv(p, "conv2", x))))
    for name in ("dense1", "dense2"):
        x = jax.nn.relu(_dense(p, name, x))
    return _dense(p, "output", x)


def _resnet(p: Weights, x: Any) -> Any:
    x = jax.nn.relu(_conv(p, "first", x, 1, "SAME"))
    for k in (1, 2, 3):
        stride = 1 if k == 1 else 2
        h = jax.nn.relu(_conv(p, f"block{k}.one", x, stride, "SAME"))
        h = _conv(p, f"block{k}.two", h, 1, "SAME")
        known = f"block{k}.short.weight" in p
        short = _conv(p, f"block{k}.short", x, stride) if known else x
        x = jax.nn.relu(h + short)
    return _dense(p, "output", x.mean((1, 2)))


def _recurrent(gates: int, units: int) -> Callable[[Weights, Any], Any]:
    def net(p: Weights, x: Any) -> Any:
        def cell(carry: Any, row: Any) -> Any:
            h, c = carry
            z = _dense(p, "recurrent", row) + h @ p["recurrent.recurrent"]
            if gates == 1:
                return (jnp.tanh(z), c), 0
            i, f, g, o = jnp.split(z, 4, 1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), 0

        zero = jnp.zeros((x.shape[0], units))
        (last, _), _ = lax.scan(cell, (zero, zero), x.swapaxes(0, 1))
        return _dense(p, "output", last)

    return net


def _norm(p: Weights, name: str, x: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5)
    return scaled * p[f"{name}.weight"] + p[f"{name}.bias"]


def _gpt(p: Weights, tokens: Any, heads: int = 4) -> Any:
    x = p["embedding.weight"][tokens] + p["positions.weight"]
    n, time, width = x.shape
    seen = jnp.tril(jnp.ones((time, time), bool))
    split = lambda v: v.reshape(n, time, heads, width // heads).swapaxes(1, 2)
    for k in range(1, 5):
        h = _norm(p, f"block{k}.norm1", x)
        parts = ("query", "key", "value")
        q, key, v = (split(_dense(p, f"block{k}.attention.{part}", h)) for part in parts)
        scores = q @ key.swapaxes(-1, -2) / np.sqrt(width // heads).astype(np.float32)
        mixed = jax.nn.softmax(jnp.where(seen, scores, -1e9)) @ v
        mixed = mixed.swapaxes(1, 2).reshape(n, time, width)
        x = x + _dense(p, f"block{k}.attention.out", mixed)
        wide = jax.nn.gelu(_dense(p, f"block{k}.wide", _norm(p, f"block{k}.norm2", x)))
        x = x + _dense(p, f"block{k}.narrow", wide)
    scores = _norm(p, "norm", x) @ p["head.weight"]
    return scores.reshape(-1, scores.shape[-1])


def _cross_entropy(z: Any, y: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(z), y.reshape(-1, 1), 1).mean()


def _mse(p: Any, y: Any) -> Any:
    return ((p - y) ** 2).mean()


def _bce(z: Any, y: Any) -> Any:
    return (jnp.logaddexp(0, z) - y * z).mean()


Rule = tuple[Callable[[Weights], Any], Callable[[Weights, Weights, Any], tuple[Weights, Any]]]


def _sgd(lr: float) -> Rule:
    return lambda p: (), lambda p, g, s: (jax.tree.map(lambda a, b: a - lr * b, p, g), s)


def _momentum(lr: float) -> Rule:
    def update(p: Weights, g: Weights, s: Any) -> tuple[Weights, Any]:
        s = jax.tree.map(lambda m, b: 0.9 * m + b, s, g)
        return jax.tree.map(lambda a, m: a - lr * m, p, s), s

    return lambda p: jax.tree.map(jnp.zeros_like, p), update


def _adam(lr: float, decay: float = 0.0) -> Rule:
    def first(p: Weights) -> Any:
        return jax.tree.map(jnp.zeros_like, p), jax.tree.map(jnp.zeros_like, p), 0

    def update(p: Weights, g: Weights, s: Any) -> tuple[Weights, Any]:
        m, v, t = s
        t = t + 1
        m = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, m, g)
        v = jax.tree.map(lambda a, b: 0.999 * a + 0.001 * b * b, v, g)

        def one(w: Any, a: Any, b: Any) -> Any:
            step = (a / (1 - 0.9**t)) / (jnp.sqrt(b / (1 - 0.999**t)) + 1e-8)
            return w - lr * (step + decay * w)

        return jax.tree.map(one, p, m, v), (m, v, t)

    return first, update


_NETWORKS: dict[str, tuple[Callable[[Weights, Any], Any], Any, Any]] = {
    "neuron": (_neuron, _mse, _sgd),
    "circles": (_two_layers, _bce, _sgd),
    "spiral": (_two_layers, _cross_entropy, _adam),
    "mlp": (_two_layers, _cross_entropy, _adam),
    "rnn": (_recurrent(1, 16), _cross_entropy, _sgd),
    "lstm": (_recurrent(4, 64), _cross_entropy, _adam),
    "articlecnn": (_article, _mse, _sgd),
    "lenet": (_lenet, _cross_entropy, _adam),
    "infer1": (_lenet, None, None),
    "resnet": (_resnet, _cross_entropy, _momentum),
    "gpt": (_gpt, _cross_entropy, lambda lr: _adam(lr, 0.01)),
}


def _channels_last(x: Array) -> Array:
    return x.transpose(0, 2, 3, 1) if x.ndim == 4 else x


def _weights(name: str) -> Weights:
    """The common first weights; kernels of convolutions turned to (rows, columns, in, out)."""
    turned = lambda w: w.transpose(2, 3, 1, 0) if w.ndim == 4 else w
    return {key: jnp.asarray(turned(w)) for key, w in inputs(name).weights.items()}


class _Scan(Job):
    def __init__(self, name: str) -> None:
        self.name, self.at = name, inputs(name)
        net, loss, rule = _NETWORKS[name]
        self.first, update = rule(LEARNING_RATE[name])
        whole = lambda p, x, y: loss(net(p, x), y)

        def train(gradient: Callable[..., Any], p: Weights, s: Any, xs: Any, ys: Any) -> Any:
            def body(carry: Any, batch: Any) -> Any:
                p, s = carry
                g, value = gradient(p, *batch)
                return update(p, g, s), value

            return lax.scan(body, (p, s), (xs, ys))

        def alone(*operands: Any) -> Any:
            return jax.grad(whole)(*operands), 0

        def valued(*operands: Any) -> Any:
            value, g = jax.value_and_grad(whole)(*operands)
            return g, value

        self.many = jax.jit(lambda p, s, xs, ys: train(alone, p, s, xs, ys)[0])
        self.valued = jax.jit(lambda *operands: train(valued, *operands))
        batches = self.at.batches
        self.rounds = max(1, _STEPS.get(name, 1) // batches)
        self.steps = self.rounds * batches
        size = self.at.size or len(self.at.x)
        self.pass_ = [
            v.reshape(batches, size, *v.shape[1:]) for v in (_channels_last(self.at.x), self._y())
        ]
        self.operands = [jnp.asarray(np.concatenate([v] * self.rounds)) for v in self.pass_]
        self.reset()

    def _y(self) -> Array:
        return self.at.y.astype(np.int32) if self.at.y.dtype == np.int64 else self.at.y

    def reset(self) -> None:
        p = _weights(self.name)
        self.state = jax.block_until_ready((p, self.first(p)))

    def call(self) -> None:
        self.state = jax.block_until_ready(self.many(*self.state, *self.operands))

    def losses(self, passes: int) -> list[float]:
        self.reset()
        found, state = [], self.state
        for _ in range(passes):
            state, values = self.valued(*state, *self.pass_)
            found.append(float(np.mean(np.asarray(values, np.float64))))
        return found


class _Predict(Job):
    steps = 20

    def __init__(self, name: str) -> None:
        self.function = jax.jit(_NETWORKS[name][0])
        self.p, self.x = _weights(name), jnp.asarray(_channels_last(inputs(name).x))

    def call(self) -> None:
        for _ in range(self.steps):
            jax.block_until_ready(self.function(self.p, self.x))

    def losses(self, passes: int) -> list[float]:
        return [float(v) for v in np.asarray(self.function(self.p, self.x)).ravel()]


def job(name: str, threads: int) -> Job:  # noqa: ARG001  # as every side
    """A workload made ready; its threads were set when the process started."""
    return _Predict(name) if name == "infer1" else _Scan(name)
