"""Recurrent layers: a step repeated over time. Several layers are several modules."""

from __future__ import annotations

from typing import Any

from glassgrad.errors import ConfigError, ShapeError, shown, unknown_name
from glassgrad.ops import OPS, movement, named
from glassgrad.tensors.functions import relu, sigmoid, tanh

from .checks import check_array, check_float, checked_dtype, flag, known_size, units
from .init import How
from .module import Module, Weight

_NONLINEARITIES = {"tanh": tanh, "relu": relu}


class Recurrent(Module):
    """What recurrent layers share: sizes, the walk over time, what they give back.

    `gates` is how many numbers a unit takes from the input and from the state of the step before:
    weight (features, gates * units), recurrent (units, gates * units), bias (gates * units,).
    """

    gates = 1
    carried: tuple[str, ...] = ("h",)  # the parts of the state

    def __init__(
        self,
        *sizes: int,
        sequences: bool = False,
        reverse: bool = False,
        return_state: bool = False,
        init: How = "glorot",
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        if not 1 <= len(sizes) <= 2:
            name = type(self).__name__
            raise ConfigError(
                "a recurrent layer has one or two sizes",
                expected=f"{name}(units) or {name}(in, units)",
                received=shown(sizes),
            )
        self.units = units(sizes[-1], "units")
        inputs = units(sizes[0], "input size") if len(sizes) == 2 else None
        self.sequences = flag(sequences, "sequences")
        self.reverse = flag(reverse, "reverse")
        self.return_state = flag(return_state, "return_state")
        wide = self.gates * self.units
        self.weight = Weight(inputs, wide, how=init, dtype=checked_dtype(dtype))
        self.recurrent = Weight(self.units, wide, how=init, dtype=dtype)
        self.bias = Weight(wide, how="zeros", dtype=dtype)

    def prepare(self, x: Any, *state: Any) -> None:
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
        wanted = (x.shape[0], self.units)
        for name, given in zip(self.carried, state, strict=False):
            check_array(given)
            if given.shape != wanted:
                raise ShapeError(
                    f"the first state {name} does not fit",
                    where=self.path,
                    expected=f"(n, units), {wanted}",
                    received=str(given.shape),
                )
        if len(state) not in (0, len(self.carried)):
            raise ShapeError(
                "a part of the first state is missing or too many",
                where=self.path,
                expected=", ".join(self.carried),
                received=f"{len(state)} of them",
            )

    def forward(self, x: Any, *state: Any) -> Any:
        from glassgrad.tensors.loops import scan

        # Time first, before the product: what every step reads, and its gradient, lie in one piece.
        driven = named(OPS["linear"](x.transpose(1, 0, 2), self.weight, self.bias), "driven")
        zero = movement.zeros((x.shape[0], self.units), x.dtype, x)
        start = state or (zero,) * len(self.carried)
        last, states = scan(self._step, start, driven, *self.constants(), reverse=self.reverse)
        found = states.transpose(1, 0, 2) if self.sequences else last[0]
        return (found, *last) if self.return_state else found

    def constants(self) -> tuple[Any, ...]:
        """What every step reads."""
        return (self.recurrent,)

    def _step(self, *operands: Any) -> tuple[tuple[Any, ...], Any]:
        """One step: (constants, state, driven input) -> (new state, what it gives out)."""
        new = self.step(*operands)
        return new, new[0]

    def step(self, *operands: Any) -> tuple[Any, ...]:
        """The new state."""
        raise NotImplementedError

    def settings(self) -> str:
        inputs = self.weight.sizes[0]
        text = f"{self.units}" if inputs is None else f"{inputs}, {self.units}"
        for name in ("sequences", "reverse", "return_state"):
            text += f", {name}=True" if getattr(self, name) else ""
        return text


class RNN(Recurrent):
    """A simple recurrent layer: h[t] = tanh(x[t] W + h[t-1] U + b), h[-1] = 0 (Elman 1990).

    Shapes: x (n, time, features), weight (features, units), recurrent (units, units), bias
    (units,); the result is the last state (n, units), or all of them (n, time, units) with
    `sequences=True`. `nonlinearity="relu"` takes max(0, z) for tanh. With `reverse=True` time
    runs from the end: the last state is the one at the first step. `return_state=True` gives
    (result, h), and layer(x, h) starts from another state than zeros. PyTorch's `RNN` has two
    biases, whose sum is `bias`. Raises ShapeError for anything but sequences.

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
        reverse: bool = False,
        return_state: bool = False,
        nonlinearity: str = "tanh",
        init: How = "glorot",
        dtype: str = "float32",
    ) -> None:
        if nonlinearity not in _NONLINEARITIES:
            raise unknown_name("nonlinearity", nonlinearity, tuple(_NONLINEARITIES))
        super().__init__(
            *sizes,
            sequences=sequences,
            reverse=reverse,
            return_state=return_state,
            init=init,
            dtype=dtype,
        )
        self.nonlinearity = nonlinearity
        if nonlinearity == "relu":
            self.formula = (
                "h[t + 1] = max(0, x[t] @ W + h[t] @ U + b), h[0] = 0, U is the recurrent weight",
                "dz[t] = dh[t + 1] * (z[t] > 0)   dh[t] = dz[t] @ U.T   dU = sum of h[t].T @ dz[t]",
            )

    def step(self, recurrent: Any, h: Any, driven: Any) -> tuple[Any, ...]:
        z = named(driven + h @ recurrent, "z")
        return (named(_NONLINEARITIES[self.nonlinearity](z), "h"),)

    def settings(self) -> str:
        text = super().settings()
        return text + (", nonlinearity='relu'" if self.nonlinearity == "relu" else "")


class LSTM(Recurrent):
    """Long short-term memory: a cell that gates keep, fill and read (Hochreiter, Schmidhuber 1997).

    z = x[t] W + h[t-1] U + b is cut in four; i = sigmoid(z1), f = sigmoid(z2), g = tanh(z3),
    o = sigmoid(z4); c[t] = f c[t-1] + i g and h[t] = o tanh(c[t]), with h[-1] = c[-1] = 0.

    Shapes: x (n, time, features), weight (features, 4 units), recurrent (units, 4 units), bias
    (4 units,), the gates in PyTorch's order; the result is the last h (n, units), or all of them
    (n, time, units) with `sequences=True`. With `reverse=True` time runs from the end.
    `return_state=True` gives (result, h, c), and layer(x, h, c) starts there. Every PyTorch LSTM
    layer can be written so: weight = weight_ih.T, recurrent = weight_hh.T, bias = bias_ih +
    bias_hh, of which only the sum is ever used. Raises ShapeError for anything but sequences.

    >>> import numpy as np
    >>> from glassgrad import nn
    >>> nn.LSTM(16, sequences=True)(np.zeros((2, 5, 8), "float32")).shape
    (2, 5, 16)
    """

    gates = 4
    carried = ("h", "c")
    formula = (
        "(i, f, g, o) = x[t] @ W + h[t] @ U + b   c = s(f) * c + s(i) * tanh(g)   h = s(o) * tanh(c)",
        "dc += dh * output_gate * (1 - tanh(c)^2), then dc * forget_gate   dh = dz[t] @ U.T",
    )

    def step(self, recurrent: Any, h: Any, c: Any, driven: Any) -> tuple[Any, ...]:
        z, size = named(driven + h @ recurrent, "z"), self.units
        input_gate = named(sigmoid(z[:, :size]), "input_gate")
        forget_gate = named(sigmoid(z[:, size : 2 * size]), "forget_gate")
        candidate = named(tanh(z[:, 2 * size : 3 * size]), "candidate")
        output_gate = named(sigmoid(z[:, 3 * size :]), "output_gate")
        c = named(forget_gate * c + input_gate * candidate, "c")
        return named(output_gate * named(tanh(c), "tanh_c"), "h"), c


class GRU(Recurrent):
    """Gated recurrent unit, the variant of PyTorch and cuDNN (Cho et al. 2014).

    With (a1, a2, a3) = x[t] W + b and (p1, p2, p3) = h[t-1] U: r = sigmoid(a1 + p1),
    z = sigmoid(a2 + p2), g = tanh(a3 + r (p3 + d)), h[t] = (1 - z) g + z h[t-1], h[-1] = 0. The
    reset gate r works on the recurrent product, after it, with its own bias d.

    Shapes: x (n, time, features), weight (features, 3 units), recurrent (units, 3 units), bias
    (3 units,), recurrent_bias d (units,), the gates in PyTorch's order; results, `sequences`,
    `reverse` and `return_state` as `RNN`. Every PyTorch GRU layer can be written so: weight =
    weight_ih.T, recurrent = weight_hh.T, bias = bias_ih + (bias_hh but 0 in its last third),
    recurrent_bias = the last third of bias_hh. Raises ShapeError for anything but sequences.

    >>> import numpy as np
    >>> from glassgrad import nn
    >>> nn.GRU(16)(np.zeros((2, 5, 8), "float32")).shape
    (2, 16)
    """

    gates = 3
    formula = (
        "r = s(a1 + p1), z = s(a2 + p2), g = tanh(a3 + r * (p3 + d)), h = g + z * (h - g)   p = h @ U",
        "dg = dh * (1 - z)   dz = dh * (h - g)   dr = da3 * (p3 + d)   dh = dh * z + dp @ U.T",
    )

    def __init__(self, *sizes: int, **settings: Any) -> None:
        super().__init__(*sizes, **settings)
        self.recurrent_bias = Weight(self.units, how="zeros", dtype=self.weight.dtype)

    def constants(self) -> tuple[Any, ...]:
        return (self.recurrent, self.recurrent_bias)

    def step(self, recurrent: Any, recurrent_bias: Any, h: Any, driven: Any) -> tuple[Any, ...]:
        named(driven, "drive")
        past, size = named(h @ recurrent, "past"), self.units
        reset = named(driven[:, :size] + past[:, :size], "reset")
        reset_gate = named(sigmoid(reset), "reset_gate")
        update = named(driven[:, size : 2 * size] + past[:, size : 2 * size], "update")
        update_gate = named(sigmoid(update), "update_gate")
        kept = named(past[:, 2 * size :] + recurrent_bias, "kept")
        candidate = named(
            tanh(named(driven[:, 2 * size :] + reset_gate * kept, "fresh")), "candidate"
        )
        return (named(candidate + update_gate * named(h - candidate, "difference"), "h"),)


class Bidirectional(Module):
    """A recurrent layer that reads forwards and another that reads backwards, side by side.

    Shapes: x (n, time, features) to (n, 2 units), or (n, time, 2 units) with `sequences=True`.
    Both layers are made by `make`, called with the setting `reverse`. As PyTorch's
    `bidirectional=True` (Schuster and Paliwal 1997).

    >>> from glassgrad import nn
    >>> nn.Bidirectional(lambda reverse: nn.LSTM(8, 16, reverse=reverse))
    Bidirectional(LSTM(8, 16))
    """

    def __init__(self, make: Any) -> None:
        super().__init__()
        ready = isinstance(make, Module) or not callable(make)
        made = [make] if ready else [make(reverse=reverse) for reverse in (False, True)]
        fine = all(isinstance(m, Recurrent) for m in made)
        if not fine or [getattr(m, "reverse", None) for m in made] != [False, True]:
            raise ConfigError(
                "two recurrent layers are needed, one for each direction",
                expected="a function such as lambda reverse: nn.LSTM(64, reverse=reverse)",
                received=shown(make),
            )
        self.forwards, self.backwards = made
        if self.forwards.return_state or self.backwards.return_state:
            raise ConfigError(
                "Bidirectional gives back no state", expected="layers without return_state"
            )

    def forward(self, x: Any) -> Any:
        return OPS["concatenate"](self.forwards(x), self.backwards(x), axis=-1)

    def settings(self) -> str:
        return repr(self.forwards)
