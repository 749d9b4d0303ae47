"""The layers. Definitions and defaults are PyTorch's; weights of `Linear` are (in, out)."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, ClassVar

from glassgrad.errors import ConfigError, DTypeError, ShapeError, UsageError, shown
from glassgrad.ops import OPS, Symbol, movement, named, window
from glassgrad.ops.composite import batch_statistics
from glassgrad.ops.record import whole
from glassgrad.tensors.functions import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from glassgrad.tensors.random import next_draw
from glassgrad.tensors.tensor import Buffer

from . import init
from .module import Module, Weight, checked_dtype, flag, is_array, real, units

How = init.How


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
        _check_array(x)
        if x.ndim < 2:
            raise ShapeError(
                "a dense layer needs rows",
                where=self.path,
                expected="(n, features)",
                received=str(x.shape),
                hint="one row is x.reshape(1, -1)",
            )
        _check_float(self, x)
        self.weight.settle(int(_known(x.shape[-1], self.path)), self.weight.sizes[1] or 0)

    def forward(self, x: Any) -> Any:
        if self.bias is None:
            return x @ self.weight
        return OPS["linear"](x, self.weight, self.bias)

    def settings(self) -> str:
        inputs, out = self.weight.sizes
        sizes = f"{inputs}, {out}" if inputs is not None else f"{out}"
        return sizes + ("" if self.bias is not None else ", bias=False")


def _check_array(x: Any) -> None:
    if not is_array(x):
        raise UsageError(
            "a layer takes a tensor",
            expected="a tensor, a NumPy array or a list of rows",
            received=shown(x),
        )


def _check_float(module: Module, x: Any) -> None:
    if x.dtype not in ("float32", "float64"):
        raise DTypeError(
            "a layer needs real numbers",
            where=module.path or type(module).__name__,
            expected="float32 or float64",
            received=x.dtype,
            hint='cast first: x.astype("float32")',
        )


def _known(size: Any, path: str) -> int:
    if not isinstance(size, int):
        raise ShapeError(
            "a layer's width cannot depend on the number of rows", where=path, received=str(size)
        )
    return size


def _tuple(value: Any, rank: int, what: str, low: int) -> tuple[int, ...]:
    given = tuple(value) if isinstance(value, tuple | list) else (value,) * rank
    if len(given) != rank:
        raise ConfigError(f"{what} needs {rank} numbers", received=shown(value))
    for v in given:
        whole = not isinstance(v, bool) and hasattr(v, "__index__")
        if not whole or not low <= int(v) <= 10**6:
            raise ConfigError(
                f"{what} is out of range",
                expected=f"whole numbers from {low} to 1,000,000",
                received=shown(value),
            )
    return tuple([int(v) for v in given])


class _Conv(Module):
    rank: ClassVar[int]

    formula = (
        "z = W patches + b, where patches are the windows of x as columns",
        "db = sum dz   dW = dz patches'   dx = W' dz, each patch added back where it was",
    )

    def __init__(
        self,
        *channels: int | tuple[int, ...],
        kernel_size: int | tuple[int, ...] | None = None,
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] | str = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        bias: bool = True,
        init: How = "auto",
        bias_init: How = "zeros",
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        given: list[Any] = list(channels)
        if kernel_size is None and len(given) >= 2:
            kernel_size = given.pop()
        if kernel_size is None or not 1 <= len(given) <= 2:
            raise ConfigError(
                "a convolution needs channels and a kernel size",
                expected=f"{type(self).__name__}(out, kernel) or (in, out, kernel)",
                received=shown(channels),
            )
        out = units(given[-1], "output channels")
        self.kernel = _tuple(kernel_size, self.rank, "kernel_size", 1)
        self.stride = _tuple(stride, self.rank, "stride", 1)
        self.dilation = _tuple(dilation, self.rank, "dilation", 1)
        self.groups = units(groups, "groups")
        if padding == "same":
            if set(self.stride) != {1} or any(
                (k - 1) * d % 2 for k, d in zip(self.kernel, self.dilation, strict=True)
            ):
                raise ConfigError(
                    "padding='same' needs stride 1 and odd kernels",
                    received=f"kernel {self.kernel}, stride {self.stride}",
                )
            padding = tuple(
                [(k - 1) * d // 2 for k, d in zip(self.kernel, self.dilation, strict=True)]
            )
        self.padding = _tuple(0 if padding == "valid" else padding, self.rank, "padding", 0)
        if out % self.groups:
            raise ConfigError(
                "groups must divide the channels", received=f"{out} channels, {groups} groups"
            )
        inputs = units(given[0], "input channels") if len(given) == 2 else None
        if inputs is not None and inputs % self.groups:
            raise ConfigError(
                "groups must divide the channels", received=f"{inputs} channels, {groups} groups"
            )
        each = None if inputs is None else inputs // self.groups
        self.weight = Weight(out, each, *self.kernel, how=init, dtype=checked_dtype(dtype))
        self.bias = Weight(out, how=bias_init, dtype=dtype) if flag(bias, "bias") else None

    def prepare(self, x: Any) -> None:
        _check_array(x)
        if x.ndim != self.rank + 2:
            raise ShapeError(
                f"{type(self).__name__} needs images of {self.rank + 2} axes",
                where=self.path,
                expected="(n, channels, " + ", ".join(["size"] * self.rank) + ")",
                received=str(x.shape),
                hint="add a channel axis: x.reshape(len(x), 1, *size)",
            )
        _check_float(self, x)
        channels = _known(x.shape[1], self.path)
        if channels % self.groups:
            raise ShapeError(
                "groups must divide the channels",
                where=self.path,
                received=f"{channels} channels, {self.groups} groups",
            )
        self.weight.settle(self.weight.sizes[0] or 0, channels // self.groups, *self.kernel)

    def forward(self, x: Any) -> Any:
        y = OPS["conv"](
            x,
            self.weight,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )
        return y if self.bias is None else OPS["channel_bias"](y, self.bias)

    def settings(self) -> str:
        out, each = self.weight.sizes[:2]
        kernel = _short(self.kernel)
        text = f"{out}, {kernel}" if each is None else f"{each * self.groups}, {out}, {kernel}"
        for name, value, usual in (
            ("stride", self.stride, 1),
            ("padding", self.padding, 0),
            ("dilation", self.dilation, 1),
        ):
            if set(value) != {usual}:
                text += f", {name}={_short(value)}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text + ("" if self.bias is not None else ", bias=False")


def _short(values: tuple[int, ...]) -> str:
    return str(values[0]) if len(set(values)) == 1 else str(values)


class Conv1d(_Conv):
    """Convolution of signals: every kernel's product with every window, plus a bias.

    Shapes: x (n, in, length), weight (out, in / groups, kernel), result (n, out, length').
    `Conv1d(out, kernel)` reads the input channels from the first input. `padding="same"` keeps
    the length. Raises ShapeError where the input does not fit.

    >>> from glassgrad import nn
    >>> nn.Conv1d(3, 8, 5, padding=2)
    Conv1d(3, 8, 5, padding=2)
    """

    rank = 1


class Conv2d(_Conv):
    """Convolution of images: every kernel's product with every window, plus a bias.

    Shapes: x (n, in, height, width), weight (out, in / groups, *kernel), result
    (n, out, height', width'). `Conv2d(out, kernel)` reads the input channels from the first
    input. `padding="same"` keeps the size. Raises ShapeError where the input does not fit.

    >>> from glassgrad import nn
    >>> nn.Conv2d(1, 6, 5)
    Conv2d(1, 6, 5)
    """

    rank = 2


class _Pool2d(Module):
    looked_through = True

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.kernel = _tuple(kernel_size, 2, "kernel_size", 1)
        self.stride = self.kernel if stride is None else _tuple(stride, 2, "stride", 1)
        self.padding = _tuple(padding, 2, "padding", 0)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel, strict=True)):
            raise ConfigError(
                "padding is at most half the window",
                received=f"padding {self.padding}, window {self.kernel}",
            )

    def prepare(self, x: Any) -> None:
        _check_array(x)
        if x.ndim != 4:
            raise ShapeError(
                "pooling needs images",
                where=self.path,
                expected="(n, channels, height, width)",
                received=str(x.shape),
            )

    def padded(self, x: Any, value: float) -> Any:
        """The image with a border, if one was asked for."""
        if not any(self.padding):
            return x
        border = ((0, 0, 0), (0, 0, 0), *[(p, p, 0) for p in self.padding])
        return movement.pad(x, widths=border, value=value)

    def settings(self) -> str:
        text = _short(self.kernel)
        if self.stride != self.kernel:
            text += f", stride={_short(self.stride)}"
        return text + (f", padding={_short(self.padding)}" if any(self.padding) else "")


class MaxPool2d(_Pool2d):
    """The largest number of each window; a tie gives the derivative to the first.

    Shapes: (n, c, height, width) to (n, c, height', width'). The stride is the window by
    default; a border made by `padding` never wins.

    >>> from glassgrad import nn
    >>> nn.MaxPool2d(2)
    MaxPool2d(2)
    """

    formula = ("the largest number of each window", "dx = dy at each window's first largest")

    def forward(self, x: Any) -> Any:
        x = self.padded(x, float("-inf"))
        return window.max_pool(x, kernel=self.kernel, stride=self.stride)


class AvgPool2d(_Pool2d):
    """The mean of each window; a border made by `padding` counts as zeros.

    Shapes: (n, c, height, width) to (n, c, height', width'). The stride is the window by default.

    >>> from glassgrad import nn
    >>> nn.AvgPool2d(3, stride=2)
    AvgPool2d(3, stride=2)
    """

    formula = ("the mean of each window", "dx = dy / size in every place of the window")

    def forward(self, x: Any) -> Any:
        return window.mean_pool(self.padded(x, 0.0), kernel=self.kernel, stride=self.stride)


class Flatten(Module):
    """All axes after the first as one: (n, ...) to (n, features).

    >>> from glassgrad import nn
    >>> nn.Flatten()
    Flatten()
    """

    looked_through = True

    def prepare(self, x: Any) -> None:
        _check_array(x)
        if not x.ndim:
            raise ShapeError("a single number has no rows", expected="(n, ...)", received="()")

    def forward(self, x: Any) -> Any:
        return x.flatten(1)


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


class _BatchNorm(Module):
    ranks: ClassVar[tuple[int, ...]]
    looked_through = True
    formula = OPS["batch_norm"].plain

    def __init__(
        self,
        features: int | None = None,
        eps: float = 1e-5,
        momentum: float = 0.1,
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        count = None if features is None else units(features, "features")
        self.eps = real(eps, "eps", 1e-300)
        self.momentum = real(momentum, "momentum", 0, 1)
        self.weight = Weight(count, how="ones", dtype=checked_dtype(dtype))
        self.bias = Weight(count, how="zeros", dtype=dtype)
        self.running_mean = Statistic(count, how="zeros", dtype=dtype)
        self.running_var = Statistic(count, how="ones", dtype=dtype)

    def prepare(self, x: Any) -> None:
        _check_array(x)
        if x.ndim not in self.ranks:
            raise ShapeError(
                f"{type(self).__name__} does not take this",
                where=self.path,
                expected=" or ".join(f"{r} axes" for r in self.ranks),
                received=str(x.shape),
            )
        _check_float(self, x)
        channels = _known(x.shape[1], self.path)
        for held in (self.weight, self.bias, self.running_mean, self.running_var):
            held.settle(channels)
            held.draw()

    def forward(self, x: Any) -> Any:
        shape = (-1, *[1] * (x.ndim - 2))
        if not self.training:
            scale = named(self.weight / OPS["sqrt"](self.running_var + self.eps), "scale")
            shift = named(self.bias - self.running_mean * scale, "shift")
            if x.ndim == 2:
                return x * scale + shift
            return x * scale.reshape(shape) + shift.reshape(shape)
        if x.shape[0] == 1 and x.size == x.shape[1]:
            raise ShapeError(
                "batch norm in training needs more than one row",
                expected="at least 2 numbers for each feature",
                received=str(x.shape),
                hint="model.eval() uses the running statistics",
            )
        y = OPS["batch_norm"](x, self.weight, self.bias, eps=self.eps)
        rows = x.size // x.shape[1]
        mean, variance = batch_statistics(x)
        # The running variance is the unbiased one, as in PyTorch.
        scale = rows / (rows - 1) if rows != 1 else 1.0
        with x.tracer.during("update") if isinstance(x, Symbol) else nullcontext():
            self.running_mean.follow(mean.reshape(-1), self.momentum)
            self.running_var.follow(variance.reshape(-1) * scale, self.momentum)
        return y

    def settings(self) -> str:
        return "" if self.weight.sizes[0] is None else f"{self.weight.sizes[0]}"


class Statistic(Weight, Buffer):
    """A running mean that a norm keeps: (1 - momentum) old + momentum new, after each step."""

    __slots__ = ()

    def __init__(self, *sizes: int | None, how: How, dtype: str) -> None:
        Weight.__init__(self, *sizes, how=how, dtype=dtype)
        self.requires_grad = False

    def follow(self, new: Any, momentum: float) -> None:
        """Take a step towards a new value: at once in eager work, after the step in a program."""
        from glassgrad.ops import Spelled

        kept = Spelled(1 - momentum, f"1 - {momentum!r}")
        if isinstance(new, Symbol):
            following: Any = self * kept + new * momentum
            new.tracer.updates.append((self, following))
        else:
            self.assign((self * kept + new.detach() * momentum).detach())


class BatchNorm1d(_BatchNorm):
    """Each feature brought to mean 0 and variance 1 over the batch, then scaled and shifted.

    Shapes: (n, features) or (n, features, length). In training the batch's own mean and biased
    variance are used, and running ones (unbiased variance) kept for evaluation: (1 - momentum)
    old + momentum new (Ioffe and Szegedy 2015).

    >>> from glassgrad import nn
    >>> nn.BatchNorm1d(64)
    BatchNorm1d(64)
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Each channel brought to mean 0 and variance 1 over the batch, then scaled and shifted.

    Shapes: (n, channels, height, width). As BatchNorm1d otherwise.

    >>> from glassgrad import nn
    >>> nn.BatchNorm2d(16)
    BatchNorm2d(16)
    """

    ranks = (4,)


class LayerNorm(Module):
    """Each row brought to mean 0 and variance 1 over its last axes, then scaled and shifted.

    Shapes: (..., *shape) to the same. `LayerNorm()` takes the last axis (Ba et al. 2016).

    >>> from glassgrad import nn
    >>> nn.LayerNorm(64)
    LayerNorm(64)
    """

    formula = OPS["layer_norm"].plain
    looked_through = True

    def __init__(
        self,
        shape: int | tuple[int, ...] | None = None,
        eps: float = 1e-5,
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        many = isinstance(shape, tuple | list)
        given: Any = (None,) if shape is None else (shape if many else (shape,))
        if not given:
            raise ConfigError("a norm needs an axis", expected="LayerNorm(64)", received="()")
        sizes = tuple([None if s is None else units(s, "features") for s in given])
        self.eps = real(eps, "eps", 1e-300)
        self.weight = Weight(*sizes, how="ones", dtype=checked_dtype(dtype))
        self.bias = Weight(*sizes, how="zeros", dtype=dtype)

    def prepare(self, x: Any) -> None:
        _check_array(x)
        rank = len(self.weight.sizes)
        _check_float(self, x)
        if x.ndim < rank:
            raise ShapeError("a norm over more axes than there are", received=str(x.shape))
        sizes = [_known(s, self.path) for s in x.shape[-rank:]]
        self.weight.settle(*sizes)
        self.bias.settle(*sizes)

    def forward(self, x: Any) -> Any:
        return OPS["layer_norm"](x, self.weight, self.bias, eps=self.eps)

    def settings(self) -> str:
        sizes = self.weight.sizes
        if sizes == (None,):
            return ""
        return f"{sizes[0]}" if len(sizes) == 1 else str(sizes)


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
        _check_array(x)
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


class RNN(Module):
    """A simple recurrent layer: h[t] = tanh(x[t] W + h[t-1] U + b), h[-1] = 0 (Elman 1990).

    Shapes: x (n, time, features), weight (features, units), recurrent (units, units), bias
    (units,); the result is the last state (n, units), or all of them (n, time, units) with
    `sequences=True`.

    >>> from glassgrad import nn
    >>> nn.RNN(8, 16)
    RNN(8, 16)
    """

    formula = ("h[t] = tanh(x[t] W + h[t-1] U + b)", "dz[t] = dh[t] (1 - h[t]^2)")

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
        _check_array(x)
        if x.ndim != 3:
            raise ShapeError(
                "a recurrent layer needs sequences",
                where=self.path,
                expected="(n, time, features)",
                received=str(x.shape),
            )
        _check_float(self, x)
        self.weight.settle(_known(x.shape[2], self.path), self.weight.sizes[1] or 0)

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


# -- activations as layers --------------------------------------------------------------------


class _Activation(Module):
    def settings(self) -> str:
        return ""


def _layer(name: str, function: Any, op: str, relu_like: bool = False) -> type[Module]:
    says = OPS[op].says
    doc = f"""{says[0].upper()}{says[1:]}

    Formula: {OPS[op].formula}. Any shape, kept.

    >>> from glassgrad import nn
    >>> nn.{name}()
    {name}()
    """
    body = {
        "__doc__": doc,
        "__module__": __name__,
        "formula": OPS[op].plain,
        "relu_like": relu_like,
        "forward": lambda self, x: function(x),
    }
    return type(name, (_Activation,), body)


ReLU = _layer("ReLU", relu, "relu", relu_like=True)
GELU = _layer("GELU", gelu, "gelu", relu_like=True)
SiLU = _layer("SiLU", silu, "silu", relu_like=True)
Sigmoid = _layer("Sigmoid", sigmoid, "sigmoid")
Tanh = _layer("Tanh", tanh, "tanh")
Softplus = _layer("Softplus", softplus, "softplus", relu_like=True)


class LeakyReLU(Module):
    """ReLU with a small slope below 0 (0.01 by default).

    >>> from glassgrad import nn
    >>> nn.LeakyReLU(0.2)
    LeakyReLU(0.2)
    """

    formula = OPS["leaky_relu"].plain
    relu_like = True

    def __init__(self, slope: float = 0.01) -> None:
        super().__init__()
        self.slope = real(slope, "slope")

    def forward(self, x: Any) -> Any:
        return leaky_relu(x, self.slope)

    def settings(self) -> str:
        return f"{self.slope}"


class ELU(Module):
    """Exponential linear unit: x above 0, alpha (e^x - 1) below (Clevert 2016).

    >>> from glassgrad import nn
    >>> nn.ELU()
    ELU(1.0)
    """

    formula = OPS["elu"].plain
    relu_like = True

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = real(alpha, "alpha")

    def forward(self, x: Any) -> Any:
        return elu(x, self.alpha)

    def settings(self) -> str:
        return f"{self.alpha}"


class Softmax(Module):
    """Positive shares that sum to 1 along an axis, the last by default.

    >>> from glassgrad import nn
    >>> nn.Softmax()
    Softmax()
    """

    formula = OPS["softmax"].plain

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = whole(axis, "axis")

    def forward(self, x: Any) -> Any:
        return softmax(x, self.axis)

    def settings(self) -> str:
        return "" if self.axis == -1 else f"{self.axis}"


class LogSoftmax(Module):
    """Logarithm of softmax along an axis, the last by default, accurate for any size of x.

    >>> from glassgrad import nn
    >>> nn.LogSoftmax()
    LogSoftmax()
    """

    formula = OPS["log_softmax"].plain

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = whole(axis, "axis")

    def forward(self, x: Any) -> Any:
        return log_softmax(x, self.axis)

    def settings(self) -> str:
        return "" if self.axis == -1 else f"{self.axis}"
