"""Compiled functions as plans bound once to their arrays, also of another instruction set.

What is left of a call is one into C++, as of `numpy.matmul` into an array that is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

import glassgrad as gg
from benchmarks.inputs import Array
from glassgrad.engine import compiled

Function = Callable[..., Any]


class Plan:
    """A function of arrays as the native executor runs it; `isa` is the best unless it is said."""

    def __init__(self, function: Function, arrays: list[Array], isa: str | None = None) -> None:
        from glassgrad.backends.native import _native

        program = gg.compile(function)
        program(*[gg.tensor(a) for a in arrays])
        assert program._last is not None
        step = compiled(program._last.graph, "native")
        assert step.native is not None
        planned = step.native.plan(1).planned
        code = planned.encoded
        plan = _native.Plan(code.bases, code.slots, code.code, code.reals, isa)
        given, places = iter(arrays), []
        for port in planned.ports:
            result = np.empty(port.shape, port.dtype)
            places.append(result if port.written else np.ascontiguousarray(next(given), port.dtype))
        self.out, self.isa, self._arrays = places[-1], plan.isa, places
        self.run = plan.bind(places).run


def _random(*shape: int) -> Array:
    return np.asarray(np.random.default_rng(0).standard_normal(shape), np.float32)


def _adam(w: Any, m: Any, v: Any, g: Any) -> Any:
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * (g * g)
    return w - 1e-3 * m / (gg.sqrt(v) + 1e-8)


def _norm(x: Any) -> Any:
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / gg.sqrt((centred * centred).mean(axis=1, keepdims=True) + 1e-5)


_MANY = _random(100_000)
_FOUR = [_MANY, _MANY, abs(_MANY), _MANY]
# Of every family of kernels some, at sizes that networks have.
KERNELS: dict[str, tuple[Function, list[Array]]] = {
    "product 128 x 784 x 128": (lambda a, b: a @ b, [_random(128, 784), _random(784, 128)]),
    "product 784 x 128 x 128": (lambda a, b: a @ b, [_random(784, 128), _random(128, 128)]),
    "product 64 x 64 x 64": (lambda a, b: a @ b, [_random(64, 64), _random(64, 64)]),
    "product 8192 x 144 x 16": (lambda a, b: a @ b, [_random(8192, 144), _random(144, 16)]),
    "product 300 x 2 x 64, bias, relu": (
        lambda a, b, c: gg.relu(a @ b + c), [_random(300, 2), _random(2, 64), _random(64)],
    ),
    "product 1 x 784 x 128": (lambda a, b: a @ b, [_random(1, 784), _random(784, 128)]),
    "Adam's update, 100,000": (_adam, _FOUR),
    "exp, 100,000": (gg.exp, [_MANY]),
    "log, 100,000": (gg.log, [abs(_MANY) + 1e-3]),
    "tanh, 100,000": (gg.tanh, [_MANY]),
    "sigmoid, 100,000": (gg.sigmoid, [_MANY]),
    "erf, 100,000": (gg.erf, [_MANY]),
    "sin, 100,000": (gg.sin, [_MANY]),
    "sums of 1000 rows of 100": (lambda x: x.sum(axis=1), [_random(1000, 100)]),
    "sums of 100 columns of 1000": (lambda x: x.sum(axis=0), [_random(1000, 100)]),
    "softmax of 1000 rows of 10": (gg.softmax, [_random(1000, 10)]),
    "log-softmax of 100 rows of 1000": (gg.log_softmax, [_random(100, 1000)]),
    "layer norm of 128 rows of 512": (_norm, [_random(128, 512)]),
}  # fmt: skip


def beside_reference(name: str, runs: int, seconds: float) -> dict[str, Any]:
    """Microseconds of the reference kernels and of those in use, in turns; whether bits agree."""
    gg.set_threads(1)
    function, arrays = KERNELS[name]
    plans = [Plan(function, arrays, "reference"), Plan(function, arrays)]
    times: list[list[float]] = [[], []]
    for _ in range(runs):
        for plan, found in zip(plans, times, strict=True):
            plan.run()
            each, end = [], time.perf_counter() + seconds
            while not each or time.perf_counter() < end:
                began = time.perf_counter()
                plan.run()
                each.append(time.perf_counter() - began)
            found.append(median(each) * 1e6)
    same = plans[0].out.tobytes() == plans[1].out.tobytes()
    return {"isa": plans[1].isa, "reference": times[0], "ours": times[1], "same": same}
