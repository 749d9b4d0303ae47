"""Layers for images and signals: convolution and pooling, with PyTorch's definitions."""

from __future__ import annotations

from typing import Any, ClassVar

from glassgrad.errors import ConfigError, ShapeError, shown
from glassgrad.ops import OPS, movement, named, window

from .checks import check_array, check_float, known_size, numbers, short
from .init import How
from .module import Module, Weight, checked_dtype, flag, units


class _Conv(Module):
    rank: ClassVar[int]

    formula = (
        "z = W @ patches + b, where patches are the windows of x as columns",
        "db = sum of dz   dW = dz @ patches.T   dx = W.T @ dz, each patch added back",
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
        self.kernel = numbers(kernel_size, self.rank, "kernel_size", 1)
        self.stride = numbers(stride, self.rank, "stride", 1)
        self.dilation = numbers(dilation, self.rank, "dilation", 1)
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
        self.padding = numbers(0 if padding == "valid" else padding, self.rank, "padding", 0)
        if out % self.groups:
            raise ConfigError(
                "groups must divide the channels",
                expected=f"a divisor of {out}",
                received=f"{out} channels, {groups} groups",
            )
        inputs = units(given[0], "input channels") if len(given) == 2 else None
        if inputs is not None and inputs % self.groups:
            raise ConfigError(
                "groups must divide the channels",
                expected=f"a divisor of {inputs}",
                received=f"{inputs} channels, {groups} groups",
            )
        each = None if inputs is None else inputs // self.groups
        self.weight = Weight(out, each, *self.kernel, how=init, dtype=checked_dtype(dtype))
        self.bias = Weight(out, how=bias_init, dtype=dtype) if flag(bias, "bias") else None

    def prepare(self, x: Any) -> None:
        check_array(x)
        if x.ndim != self.rank + 2:
            raise ShapeError(
                f"{type(self).__name__} needs images of {self.rank + 2} axes",
                where=self.path,
                expected="(n, channels, " + ", ".join(["size"] * self.rank) + ")",
                received=str(x.shape),
                hint="add a channel axis: x.reshape(len(x), 1, *size)",
            )
        check_float(self, x)
        channels = known_size(x.shape[1], self.path)
        if channels % self.groups:
            raise ShapeError(
                "groups must divide the channels",
                where=self.path,
                expected=f"images with a multiple of {self.groups} channels",
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
        kernel = short(self.kernel)
        text = f"{out}, {kernel}" if each is None else f"{each * self.groups}, {out}, {kernel}"
        for name, value, usual in (
            ("stride", self.stride, 1),
            ("padding", self.padding, 0),
            ("dilation", self.dilation, 1),
        ):
            if set(value) != {usual}:
                text += f", {name}={short(value)}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text + ("" if self.bias is not None else ", bias=False")


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
        self.kernel = numbers(kernel_size, 2, "kernel_size", 1)
        self.stride = self.kernel if stride is None else numbers(stride, 2, "stride", 1)
        self.padding = numbers(padding, 2, "padding", 0)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel, strict=True)):
            raise ConfigError(
                "padding is at most half the window",
                expected=f"at most {tuple([k // 2 for k in self.kernel])}",
                received=f"padding {self.padding}, window {self.kernel}",
            )

    def prepare(self, x: Any) -> None:
        check_array(x)
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
        return named(movement.pad(x, widths=border, value=value), "padded")

    def settings(self) -> str:
        text = short(self.kernel)
        if self.stride != self.kernel:
            text += f", stride={short(self.stride)}"
        return text + (f", padding={short(self.padding)}" if any(self.padding) else "")


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
