"""Convolutions of signals, images and volumes, and transposed ones, with PyTorch's definitions."""

from __future__ import annotations

from typing import Any, ClassVar

from glassgrad.errors import ConfigError, ShapeError, shown
from glassgrad.ops import OPS

from .checks import (
    check_float,
    check_images,
    checked_dtype,
    flag,
    known_size,
    numbers,
    short,
    units,
)
from .init import How
from .module import Module, Weight


class _Convolution(Module):
    """Channels, kernel and settings: what the two directions share."""

    rank: ClassVar[int]
    weight: Weight
    bias: Weight | None
    padding: tuple[int, ...]

    def __init__(
        self,
        channels: tuple[int | tuple[int, ...], ...],
        kernel_size: int | tuple[int, ...] | None,
        stride: int | tuple[int, ...],
        dilation: int | tuple[int, ...],
        groups: int,
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
        inputs = units(given[0], "input channels") if len(given) == 2 else None
        for count in (out, inputs):
            if count is not None and count % self.groups:
                raise ConfigError(
                    "groups must divide the channels",
                    expected=f"a divisor of {count}",
                    received=f"{count} channels, {groups} groups",
                )
        self.given = inputs, out

    def sizes(self, inputs: int | None, out: int) -> tuple[int | None, ...]:
        """The weight's shape; None where the input channels are not known."""
        raise NotImplementedError

    def channels(self) -> tuple[int | None, int]:
        """Input and output channels, as the weight has them now."""
        raise NotImplementedError

    def declare(self, bias: bool, init: How, bias_init: How, dtype: str) -> None:
        """The parameters."""
        sizes = self.sizes(*self.given)
        self.weight = Weight(*sizes, how=init, dtype=checked_dtype(dtype))
        out = self.given[1]
        self.bias = Weight(out, how=bias_init, dtype=dtype) if flag(bias, "bias") else None

    def prepare(self, x: Any) -> None:
        check_images(self, x, self.rank)
        check_float(self, x)
        channels = known_size(x.shape[1], self.path)
        if channels % self.groups:
            raise ShapeError(
                "groups must divide the channels",
                where=self.path,
                expected=f"images with a multiple of {self.groups} channels",
                received=f"{channels} channels, {self.groups} groups",
            )
        self.weight.settle(*[s or 0 for s in self.sizes(channels, self.channels()[1])])

    def with_bias(self, y: Any) -> Any:
        """Each channel with its bias added."""
        return y if self.bias is None else OPS["channel_bias"](y, self.bias)

    def settings(self) -> str:
        inputs, out = self.channels()
        text = f"{out}, {short(self.kernel)}"
        text = text if inputs is None else f"{inputs}, {text}"
        for name, usual in (("stride", 1), ("padding", 0), ("output_padding", 0), ("dilation", 1)):
            value = getattr(self, name, (usual,))
            if set(value) != {usual}:
                text += f", {name}={short(value)}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text + ("" if self.bias is not None else ", bias=False")


class _Conv(_Convolution):
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
        super().__init__(channels, kernel_size, stride, dilation, groups)
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
        self.declare(bias, init, bias_init, dtype)

    def sizes(self, inputs: int | None, out: int) -> tuple[int | None, ...]:
        return (out, None if inputs is None else inputs // self.groups, *self.kernel)

    def channels(self) -> tuple[int | None, int]:
        out, each = self.weight.sizes[:2]
        return None if each is None else each * self.groups, out or 0

    def forward(self, x: Any) -> Any:
        return self.with_bias(
            OPS["conv"](
                x,
                self.weight,
                stride=self.stride,
                padding=self.padding,
                dilation=self.dilation,
                groups=self.groups,
            )
        )


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


class Conv3d(_Conv):
    """Convolution of volumes: every kernel's product with every window, plus a bias.

    Shapes: x (n, in, depth, height, width), weight (out, in / groups, *kernel), result
    (n, out, depth', height', width'). Otherwise as Conv2d.

    >>> from glassgrad import nn
    >>> nn.Conv3d(1, 6, 3)
    Conv3d(1, 6, 3)
    """

    rank = 3


class _ConvTranspose(_Convolution):
    formula = (
        "z = W.T @ x as patches, each added where its window lies, + b",
        "db = sum of dz   dx = W @ d_patches, the windows of dz   dW = x @ d_patches.T",
    )

    def __init__(
        self,
        *channels: int | tuple[int, ...],
        kernel_size: int | tuple[int, ...] | None = None,
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] = 0,
        output_padding: int | tuple[int, ...] = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        bias: bool = True,
        init: How = "auto",
        bias_init: How = "zeros",
        dtype: str = "float32",
    ) -> None:
        super().__init__(channels, kernel_size, stride, dilation, groups)
        self.padding = numbers(padding, self.rank, "padding", 0)
        self.output_padding = numbers(output_padding, self.rank, "output_padding", 0)
        most = [max(pair) - 1 for pair in zip(self.stride, self.dilation, strict=True)]
        if any(o > m for o, m in zip(self.output_padding, most, strict=True)):
            raise ConfigError(
                "output_padding is too large",
                expected=f"at most {short(tuple(most))}: less than the stride or the dilation",
                received=short(self.output_padding),
            )
        self.declare(bias, init, bias_init, dtype)

    def sizes(self, inputs: int | None, out: int) -> tuple[int | None, ...]:
        return (inputs, out // self.groups, *self.kernel)

    def channels(self) -> tuple[int | None, int]:
        inputs, each = self.weight.sizes[:2]
        return inputs, (each or 0) * self.groups

    def forward(self, x: Any) -> Any:
        return self.with_bias(
            OPS["conv_transpose"](
                x,
                self.weight,
                stride=self.stride,
                padding=self.padding,
                output_padding=self.output_padding,
                dilation=self.dilation,
                groups=self.groups,
            )
        )


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution of signals: every number spreads its kernel, plus a bias.

    It is the gradient of a convolution in its input, hence makes images larger by its stride:
    length' = (length - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1.
    Shapes: x (n, in, length), weight (in, out / groups, kernel), result (n, out, length').
    `ConvTranspose1d(out, kernel)` reads the input channels from the first input. Raises
    ShapeError where the input does not fit. Definition: PyTorch's (Zeiler et al. 2010).

    >>> from glassgrad import nn
    >>> nn.ConvTranspose1d(8, 3, 4, stride=2, padding=1)
    ConvTranspose1d(8, 3, 4, stride=2, padding=1)
    """

    rank = 1


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution of images: every number spreads its kernel, plus a bias.

    Shapes: x (n, in, height, width), weight (in, out / groups, *kernel), result
    (n, out, height', width'). Otherwise as ConvTranspose1d.

    >>> from glassgrad import nn
    >>> nn.ConvTranspose2d(16, 8, 2, stride=2)
    ConvTranspose2d(16, 8, 2, stride=2)
    """

    rank = 2


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution of volumes: every number spreads its kernel, plus a bias.

    Shapes: x (n, in, depth, height, width), weight (in, out / groups, *kernel), result
    (n, out, depth', height', width'). Otherwise as ConvTranspose1d.

    >>> from glassgrad import nn
    >>> nn.ConvTranspose3d(4, 2, 2, stride=2)
    ConvTranspose3d(4, 2, 2, stride=2)
    """

    rank = 3
