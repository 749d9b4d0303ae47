"""Dense layers, changes of shape, dropout, embeddings. Definitions are PyTorch's; weights of `Linear` are (in, out)."""

from __future__ import annotations

import math
from typing import Any

from glassgrad.errors import ConfigError, DTypeError, ShapeError, shown
from glassgrad.ir import product
from glassgrad.ops import OPS, Symbol
from glassgrad.ops.record import normal_axis, whole
from glassgrad.tensors.random import next_draw

from .checks import check_array, check_float, checked_dtype, flag, known_size, units
from .init import How
from .module import Module, Weight


class Linear(Module):
    """Dense layer: z = x W + b on the last axis.

    Shapes: x (..., in), weight (in, out), bias (out,), result (..., out). `Linear(out)` reads
    the input size from the first input, `Linear(in, out)` checks it. `init` "auto" is He's where
    a Sequential feeds a ReLU-like activation and Glorot's elsewhere; the bias starts at 0.
    Raises ShapeError where the input does not fit.

    >>> from glassgrad import nn
    >>> nn.Linear(2, 64)
    Linear(2, 64)
    """

    formula = OPS["linear"].plain

    def __init__(
        self,
        *sizes: int,
        bias: bool = True,
        init: How = "auto",
        bias_init: How = "zeros",
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        if not 1 <= len(sizes) <= 2:
            raise ConfigError(
                "a dense layer has one or two sizes",
                expected="Linear(out) or Linear(in, out)",
                received=shown(sizes),
            )
        out = units(sizes[-1], "units")
        inputs = units(sizes[0], "input size") if len(sizes) == 2 else None
        self.weight = Weight(inputs, out, how=init, dtype=checked_dtype(dtype))
        self.bias = Weight(out, how=bias_init, dtype=dtype) if flag(bias, "bias") else None

    def prepare(self, x: Any) -> None:
        check_array(x)
        if x.ndim < 2:
            raise ShapeError(
                "a dense layer needs rows",
                where=self.path,
                expected="(n, features)",
                received=str(x.shape),
                hint="one row is x.reshape(1, -1)",
            )
        check_float(self, x)
        self.weight.settle(int(known_size(x.shape[-1], self.path)), self.weight.sizes[1] or 0)

    def forward(self, x: Any) -> Any:
        if self.bias is None:
            return x @ self.weight
        return OPS["linear"](x, self.weight, self.bias)

    def settings(self) -> str:
        inputs, out = self.weight.sizes
        sizes = f"{inputs}, {out}" if inputs is not None else f"{out}"
        return sizes + ("" if self.bias is not None else ", bias=False")


class Flatten(Module):
    """All axes after the first as one: (n, ...) to (n, features).

    >>> from glassgrad import nn
    >>> nn.Flatten()
    Flatten()
    """

    looked_through = True

    def prepare(self, x: Any) -> None:
        check_array(x)
        if not x.ndim:
            raise ShapeError("a single number has no rows", expected="(n, ...)", received="()")

    def forward(self, x: Any) -> Any:
        return x.flatten(1)


class Unflatten(Module):
    """One axis as several: the inverse of Flatten.

    Shapes: (..., size, ...) to (..., *sizes, ...), where `sizes` multiply to size; one may be -1.
    The axis of the rows stays. Raises ShapeError where the numbers do not fit.

    >>> from glassgrad import nn
    >>> nn.Unflatten(1, (3, 4))([[0.0] * 12]).shape
    (1, 3, 4)
    """

    looked_through = True

    def __init__(self, axis: int, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.axis = whole(axis, "axis")
        self.sizes = _sizes(sizes)

    def forward(self, x: Any) -> Any:
        axis = normal_axis(self.axis, x.ndim)
        if axis == 0:
            raise ShapeError(
                "the rows stay rows", expected="an axis from 1 on", received=f"axis {self.axis}"
            )
        sizes = _filled(self.sizes, known_size(x.shape[axis], self.path))
        return x.reshape((*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))

    def settings(self) -> str:
        return f"{self.axis}, {self.sizes}"


class Reshape(Module):
    """Each row in another shape: (n, ...) to (n, *shape), as in Keras.

    One size may be -1. Raises ShapeError where the numbers of a row do not fit.

    >>> from glassgrad import nn
    >>> nn.Reshape(3, -1)([[0.0] * 12]).shape
    (1, 3, 4)
    """

    looked_through = True

    def __init__(self, *shape: int | tuple[int, ...]) -> None:
        super().__init__()
        one = len(shape) == 1 and isinstance(shape[0], tuple | list)
        self.shape = _sizes(shape[0] if one else shape)

    def prepare(self, x: Any) -> None:
        check_array(x)
        if not x.ndim:
            raise ShapeError("a single number has no rows", expected="(n, ...)", received="()")

    def forward(self, x: Any) -> Any:
        row = known_size(product(x.shape[1:]), self.path)
        return x.reshape((x.shape[0], *_filled(self.shape, row)))

    def settings(self) -> str:
        return ", ".join(map(str, self.shape))


def _sizes(given: Any) -> tuple[int, ...]:
    """Sizes from 1 on; one of them may be -1, which is then found from the others."""
    if not isinstance(given, tuple | list) or not given:
        raise ConfigError("a shape is needed", expected="sizes such as 3, 4", received=shown(given))
    found = tuple([-1 if type(s) is int and s == -1 else units(s, "a size") for s in given])
    if found.count(-1) > 1:
        raise ConfigError("more than one size is left open", received=shown(given))
    return found


def _filled(sizes: tuple[int, ...], count: int) -> tuple[int, ...]:
    """The sizes, with what was left open; they must hold `count` numbers."""
    rest = math.prod([s for s in sizes if s != -1])
    if count % rest or (-1 not in sizes and count != rest):
        raise ShapeError(
            "the numbers do not fill the new shape",
            expected=f"{'a multiple of ' * (-1 in sizes)}{rest} numbers",
            received=f"{count} for {sizes}",
        )
    return tuple([count // rest if s == -1 else s for s in sizes])


class Identity(Module):
    """What comes in: a place that does nothing.

    >>> from glassgrad import nn
    >>> nn.Identity()
    Identity()
    """

    looked_through = True

    def prepare(self, x: Any) -> None:
        check_array(x)

    def forward(self, x: Any) -> Any:
        return x


class Dropout(Module):
    """In training, a share p of the numbers is set to 0 and the others are scaled by 1 / (1 - p).

    What is dropped is a function of the seed, this module's path and the step (Srivastava 2014).

    >>> from glassgrad import nn
    >>> nn.Dropout(0.2)
    Dropout(0.2)
    """

    formula = OPS["dropout"].plain
    looked_through = True

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p < 1:
            raise ConfigError("a share to drop", expected="0 <= p < 1", received=shown(p))
        self.p = float(p)

    def forward(self, x: Any) -> Any:
        if not self.training or self.p == 0:
            return x
        stream = self.path or "dropout"
        seed: Any
        step: Any
        if isinstance(x, Symbol):
            seed, step = x.tracer.host("seed", "int64"), x.tracer.host("step", "float64")
            stream = x.tracer.stream(stream)
        else:
            seed, step = next_draw()
        return OPS["dropout"](x, seed, step, p=self.p, stream=stream)

    def settings(self) -> str:
        return f"{self.p}"


class Embedding(Module):
    """A row of numbers for each token: positions (...) int64 to (..., features).

    The table (tokens, features) starts normal with standard deviation 1. A token outside
    0 to tokens - 1 is an error, found where the data enter.

    >>> from glassgrad import nn
    >>> nn.Embedding(65, 128)
    Embedding(65, 128)
    """

    formula = ("y = W[tokens]", "dW[tokens] += dy")

    def __init__(
        self, tokens: int, features: int, init: How = "normal", dtype: str = "float32"
    ) -> None:
        super().__init__()
        self.tokens, self.features = units(tokens, "tokens"), units(features, "features")
        self.weight = Weight(self.tokens, self.features, how=init, dtype=checked_dtype(dtype))

    def prepare(self, x: Any) -> None:
        check_array(x)
        if x.dtype != "int64":
            raise DTypeError(
                "an embedding takes whole numbers",
                where=self.path,
                expected="int64",
                received=x.dtype,
                hint='x.astype("int64")',
            )

    def forward(self, x: Any) -> Any:
        return OPS["take"](self.weight, x)

    def settings(self) -> str:
        return f"{self.tokens}, {self.features}"
