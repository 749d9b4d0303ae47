"""Recurrent layers: a step repeated over time."""

from __future__ import annotations

from typing import Any

from glassgrad.errors import ConfigError, ShapeError, shown
from glassgrad.ops import OPS, movement, named
from glassgrad.tensors.functions import tanh

from .checks import check_array, check_float, known_size
from .init import How
from .module import Module, Weight, checked_dtype, flag, units


class RNN(Module):
    """A simple recurrent layer: h[t] = tanh(x[t] W + h[t-1] U + b), h[-1] = 0 (Elman 1990).

    Shapes: x (n, time, features), weight (features, units), recurrent (units, units), bias
    (units,); the result is the last state (n, units), or all of them (n, time, units) with
    `sequences=True`.

    >>> from glassgrad import nn
    >>> nn.RNN(8, 16)
    RNN(8, 16)
    """

    formula = (
        "h[t + 1] = tanh(x[t] @ W + h[t] @ U + b), h[0] = 0, U is the recurrent weight",
        "dz[t] = dh[t + 1] * (1 - h[t + 1]^2)   dh[t] = dz[t] @ U.T   dU = sum of h[t].T @ dz[t]",
    )

    def __init__(
        self,
        *sizes: int,
        sequences: bool = False,
        init: How = "glorot",
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        if not 1 <= len(sizes) <= 2:
            raise ConfigError(
                "a recurrent layer has one or two sizes",
                expected="RNN(units) or RNN(in, units)",
                received=shown(sizes),
            )
        out = units(sizes[-1], "units")
        inputs = units(sizes[0], "input size") if len(sizes) == 2 else None
        self.sequences = flag(sequences, "sequences")
        self.weight = Weight(inputs, out, how=init, dtype=checked_dtype(dtype))
        self.recurrent = Weight(out, out, how=init, dtype=dtype)
        self.bias = Weight(out, how="zeros", dtype=dtype)

    def prepare(self, x: Any) -> None:
        check_array(x)
        if x.ndim != 3:
            raise ShapeError(
                "a recurrent layer needs sequences",
                where=self.path,
                expected="(n, time, features)",
                received=str(x.shape),
            )
        check_float(self, x)
        self.weight.settle(known_size(x.shape[2], self.path), self.weight.sizes[1] or 0)

    def forward(self, x: Any) -> Any:
        from glassgrad.tensors.loops import scan

        n, _, _ = x.shape
        driven = named(OPS["linear"](x, self.weight, self.bias), "driven").transpose(1, 0, 2)
        start = movement.zeros((n, self.recurrent.shape[0]), x.dtype, x)

        def step(recurrent: Any, h: Any, z: Any) -> Any:
            z = named(z + h @ recurrent, "z")
            h = named(tanh(z), "h")
            return h, h

        last, states = scan(step, start, driven, self.recurrent)
        return states.transpose(1, 0, 2) if self.sequences else last

    def settings(self) -> str:
        inputs, out = self.weight.sizes
        text = f"{out}" if inputs is None else f"{inputs}, {out}"
        return text + (", sequences=True" if self.sequences else "")
