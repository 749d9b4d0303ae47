"""Pooling: one number for each window, with PyTorch's definitions; over everything; adaptive.

PyTorch's `return_indices`, `divisor_override` and inputs without rows are not offered.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from glassgrad.errors import ConfigError, ShapeError
from glassgrad.ops import OPS, movement, named, window

from .checks import check_array, check_float, check_images, flag, known_size, numbers, short
from .module import Module

_Sizes = int | tuple[int, ...]
MOST_WINDOWS = 1000  # of different kinds along an axis: each is a line of the program


class _Pool(Module):
    rank: ClassVar[int]
    looked_through = True
    dilation: tuple[int, ...]

    def __init__(
        self, kernel_size: _Sizes, stride: _Sizes | None, padding: _Sizes, ceil_mode: bool
    ) -> None:
        super().__init__()
        self.kernel = numbers(kernel_size, self.rank, "kernel_size", 1)
        self.stride = self.kernel if stride is None else numbers(stride, self.rank, "stride", 1)
        self.padding = numbers(padding, self.rank, "padding", 0)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel, strict=True)):
            raise ConfigError(
                "padding is at most half the window",
                expected=f"at most {tuple([k // 2 for k in self.kernel])}",
                received=f"padding {self.padding}, window {self.kernel}",
            )
        self.ceil_mode = flag(ceil_mode, "ceil_mode")
        self.dilation = (1,) * self.rank

    def _span(self) -> tuple[int, ...]:
        """What a window reaches over, gaps included."""
        return tuple([d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True)])

    def prepare(self, x: Any) -> None:
        check_images(self, x, self.rank)
        check_float(self, x)

    def after(self, image: tuple[Any, ...]) -> tuple[int, ...]:
        """The border behind the image: in ceil mode wide enough for the last window.

        A window that would start behind the image and its border is left out.
        """
        if not self.ceil_mode:
            return self.padding
        found = []
        for size, span, s, p in zip(image, self._span(), self.stride, self.padding, strict=True):
            last = -(-(size + 2 * p - span) // s) * s  # where the last window starts
            last = last - s if last >= size + p else last
            found.append(max(p, last + span - size - p))
        return tuple(found)

    def padded(self, x: Any, value: float, after: tuple[int, ...], before: Any = None) -> Any:
        """The image with a border, if it has one."""
        before = self.padding if before is None else before
        if not any((*before, *after)):
            return x
        sides = [(b, a, 0) for b, a in zip(before, after, strict=True)]
        border = ((0, 0, 0), (0, 0, 0), *sides)
        return named(movement.pad(x, widths=border, value=value), "padded")

    def settings(self) -> str:
        text = short(self.kernel)
        if self.stride != self.kernel:
            text += f", stride={short(self.stride)}"
        if any(self.padding):
            text += f", padding={short(self.padding)}"
        if set(self.dilation) != {1}:
            text += f", dilation={short(self.dilation)}"
        return text + (", ceil_mode=True" if self.ceil_mode else "")


class _MaxPool(_Pool):
    formula = ("the largest number of each window", "dx = dy at each window's first largest")

    def __init__(
        self,
        kernel_size: _Sizes,
        stride: _Sizes | None = None,
        padding: _Sizes = 0,
        dilation: _Sizes = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.dilation = numbers(dilation, self.rank, "dilation", 1)

    def forward(self, x: Any) -> Any:
        x = self.padded(x, float("-inf"), self.after(x.shape[2:]))
        if set(self.dilation) == {1}:
            return window.max_pool(x, kernel=self.kernel, stride=self.stride)
        setting = {"kernel": self.kernel, "stride": self.stride, "dilation": self.dilation}
        patches = named(window.columns(x, **setting), "patches")
        n, channels, *image = x.shape
        size = window.output_size(
            tuple(image), self.kernel, self.stride, (0,) * self.rank, self.dilation
        )
        each = patches.reshape(n, channels, math.prod(self.kernel), patches.shape[-1])
        return each.max(axis=2).reshape((n, channels, *size))


class MaxPool1d(_MaxPool):
    """The largest number of each window; a tie gives the derivative to the first.

    Shapes: (n, c, length) to (n, c, length'), length' = (length + 2 padding - dilation
    (kernel - 1) - 1) / stride + 1, rounded down, or up with `ceil_mode`. The stride is the window
    by default; a border made by `padding` never wins. Raises ConfigError for padding of more than
    half a window, ShapeError where no window fits.

    >>> from glassgrad import nn
    >>> nn.MaxPool1d(3, stride=2)
    MaxPool1d(3, stride=2)
    """

    rank = 1


class MaxPool2d(_MaxPool):
    """The largest number of each window; a tie gives the derivative to the first.

    Shapes: (n, c, height, width) to (n, c, height', width'). The first of a window is counted
    row by row. Otherwise as MaxPool1d.

    >>> from glassgrad import nn
    >>> nn.MaxPool2d(2)
    MaxPool2d(2)
    """

    rank = 2


class MaxPool3d(_MaxPool):
    """The largest number of each window; a tie gives the derivative to the first.

    Shapes: (n, c, depth, height, width) to (n, c, depth', height', width'). Otherwise as
    MaxPool2d.

    >>> from glassgrad import nn
    >>> nn.MaxPool3d(2)
    MaxPool3d(2)
    """

    rank = 3


class _AvgPool(_Pool):
    formula = ("the mean of each window", "dx = dy / size in every place of the window")

    def __init__(
        self,
        kernel_size: _Sizes,
        stride: _Sizes | None = None,
        padding: _Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = flag(count_include_pad, "count_include_pad")

    def forward(self, x: Any) -> Any:
        after = self.after(x.shape[2:])
        mean = self._mean(self.padded(x, 0.0, after))
        counted = self.padding if self.count_include_pad else (0,) * self.rank
        beyond = tuple([a - c for a, c in zip(after, counted, strict=True)])
        before = tuple([p - c for p, c in zip(self.padding, counted, strict=True)])
        if not any((*before, *beyond)):
            return mean
        # Zeros that do not count: the mean over the window's share of what does.
        size = [s + 2 * c for s, c in zip(x.shape[2:], counted, strict=True)]
        ones = movement.full(1, (1, 1, *size), x.dtype, x)
        share = self._mean(named(self.padded(ones, 0.0, beyond, before), "counted"))
        return named(mean, "mean") / named(share, "share")

    def _mean(self, x: Any) -> Any:
        return window.mean_pool(x, kernel=self.kernel, stride=self.stride)

    def settings(self) -> str:
        return super().settings() + ("" if self.count_include_pad else ", count_include_pad=False")


class AvgPool1d(_AvgPool):
    """The mean of each window; a border made by `padding` counts as zeros.

    With `count_include_pad=False` the border does not count: the mean is that of the numbers
    of the image. What `ceil_mode` adds never counts. Shapes: (n, c, length) to (n, c, length'),
    length' = (length + 2 padding - kernel) / stride + 1, rounded down, or up with `ceil_mode`.
    The stride is the window by default. Raises ConfigError for padding of more than half a
    window, ShapeError where no window fits.

    >>> from glassgrad import nn
    >>> nn.AvgPool1d(3, stride=2)
    AvgPool1d(3, stride=2)
    """

    rank = 1


class AvgPool2d(_AvgPool):
    """The mean of each window; a border made by `padding` counts as zeros.

    Shapes: (n, c, height, width) to (n, c, height', width'). Otherwise as AvgPool1d.

    >>> from glassgrad import nn
    >>> nn.AvgPool2d(3, stride=2)
    AvgPool2d(3, stride=2)
    """

    rank = 2


class AvgPool3d(_AvgPool):
    """The mean of each window; a border made by `padding` counts as zeros.

    Shapes: (n, c, depth, height, width) to (n, c, depth', height', width'). Otherwise as
    AvgPool1d.

    >>> from glassgrad import nn
    >>> nn.AvgPool3d(2, padding=1, count_include_pad=False)
    AvgPool3d(2, padding=1, count_include_pad=False)
    """

    rank = 3


# -- over everything ---------------------------------------------------------------------------


class _GlobalPool(Module):
    looked_through = True
    over: ClassVar[str]

    def __init__(self, keepdims: bool = False) -> None:
        super().__init__()
        self.keepdims = flag(keepdims, "keepdims")

    def prepare(self, x: Any) -> None:
        check_array(x)
        if x.ndim < 3:
            raise ShapeError(
                f"{type(self).__name__} needs images",
                where=self.path,
                expected="(n, channels, *size), at least three axes",
                received=str(x.shape),
            )
        check_float(self, x)

    def forward(self, x: Any) -> Any:
        return OPS[self.over](x, axis=tuple(range(2, x.ndim)), keepdims=self.keepdims)

    def settings(self) -> str:
        return "keepdims=True" if self.keepdims else ""


class GlobalAvgPool(_GlobalPool):
    """The mean of each channel, over all of its image.

    Shapes: (n, c, *size) to (n, c), for signals, images and volumes; with `keepdims` to
    (n, c, 1, ...). Raises ShapeError for less than three axes. Keras calls it
    GlobalAveragePooling1D, 2D and 3D (Lin et al. 2013).

    >>> from glassgrad import nn
    >>> nn.GlobalAvgPool()(nn.Conv2d(3, 2)([[[[1.0, 2.0], [3.0, 4.0]]]])).shape
    (1, 3)
    """

    over = "mean"
    formula = ("the mean of each channel", "dx = dy / size everywhere")


class GlobalMaxPool(_GlobalPool):
    """The largest number of each channel; a tie gives the derivative to the first.

    Shapes: (n, c, *size) to (n, c), for signals, images and volumes; with `keepdims` to
    (n, c, 1, ...). Raises ShapeError for less than three axes. Keras calls it
    GlobalMaxPooling1D, 2D and 3D.

    >>> from glassgrad import nn
    >>> nn.GlobalMaxPool()([[[1.0, 5.0, 2.0]]]).numpy().tolist()
    [[5.0]]
    """

    over = "max"
    formula = ("the largest number of each channel", "dx = dy at each channel's first largest")


# -- to a wanted size --------------------------------------------------------------------------


class _AdaptivePool(Module):
    rank: ClassVar[int]
    over: ClassVar[str]
    looked_through = True

    def __init__(self, output_size: int | tuple[int | None, ...]) -> None:
        super().__init__()
        many = isinstance(output_size, tuple | list)
        wanted: Any = output_size if many else (output_size,) * self.rank
        # None keeps the size of its axis, as in PyTorch.
        filled = [1 if many and w is None else w for w in wanted]
        found = numbers(filled, self.rank, "output_size", 1)
        self.wanted = tuple([None if w is None else f for w, f in zip(wanted, found, strict=True)])

    def prepare(self, x: Any) -> None:
        check_images(self, x, self.rank)
        check_float(self, x)
        for size in x.shape[2:]:
            if known_size(size, self.path) < 1:
                raise ShapeError(
                    "there is nothing to pool",
                    where=self.path,
                    expected="images of at least 1 along each axis",
                    received=str(x.shape),
                )

    def forward(self, x: Any) -> Any:
        image = x.shape[2:]
        sizes = [s if w is None else w for w, s in zip(self.wanted, image, strict=True)]
        if set(sizes) == {1}:
            return OPS[self.over](x, axis=tuple(range(2, x.ndim)), keepdims=True)
        if all(s % w == 0 for s, w in zip(image, sizes, strict=True)):
            return self._pool(x, tuple([s // w for s, w in zip(image, sizes, strict=True)]))
        # Axis by axis, the last first: so the first of a window's largest is that row by row.
        for axis in range(x.ndim - 1, 1, -1):
            x = named(self._along(x, axis, sizes[axis - 2]), "pooled")
        return x

    def _pool(self, x: Any, kernel: tuple[int, ...], stride: tuple[int, ...] | None = None) -> Any:
        return OPS[f"{self.over}_pool"](x, kernel=kernel, stride=stride or kernel)

    def _along(self, x: Any, axis: int, wanted: int) -> Any:
        """Window i of an axis goes from floor(i size / wanted) to ceil((i + 1) size / wanted).

        Windows a `period` apart are alike, moved by a `step`: each kind is one pooling.
        """
        size = x.shape[axis]
        count = math.gcd(size, wanted)  # windows of each kind
        step, period = size // count, wanted // count
        if size == wanted:
            return x
        if period > MOST_WINDOWS:
            raise ShapeError(
                "too many different windows",
                where=self.path,
                expected=f"at most {MOST_WINDOWS:,} along an axis",
                received=f"{size} numbers to {wanted}",
                hint="choose an output size that divides the image's",
            )
        kinds = []
        for i in range(period):
            start, stop = i * size // wanted, -(-(i + 1) * size // wanted)
            end = stop + (count - 1) * step
            length = stop - start
            spans = [(0, s, 1) for s in x.shape]
            spans[axis] = (start, end, 1 if length > 1 or count == 1 else step)
            whole = all(span == (0, s, 1) for span, s in zip(spans, x.shape, strict=True))
            kind = x if whole else movement.slice(x, spans=tuple(spans))
            if length > 1:
                one = (1,) * self.rank
                at = axis - 2
                kernel = (*one[:at], length, *one[at + 1 :])
                stride = (*one[:at], step if count > 1 else length, *one[at + 1 :])
                kind = self._pool(kind, kernel, stride)
            kinds.append(named(kind, "windows"))
        if period == 1:
            return kinds[0]
        if count == 1:
            return OPS["concatenate"](*kinds, axis=axis)
        before, rest = x.shape[:axis], x.shape[axis + 1 :]
        apart = [kind.reshape((*before, count, 1, *rest)) for kind in kinds]
        together = OPS["concatenate"](*apart, axis=axis + 1)
        return together.reshape((*before, wanted, *rest))

    def settings(self) -> str:
        return str(self.wanted) if None in self.wanted else short(self.wanted)


class _AdaptiveAvgPool(_AdaptivePool):
    over = "mean"
    formula = ("the mean of each window", "dx = dy / size in every place of the window")


class _AdaptiveMaxPool(_AdaptivePool):
    over = "max"
    formula = ("the largest number of each window", "dx = dy at each window's first largest")


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The means of as many windows as are asked for, whatever the length.

    Window i goes from floor(i length / wanted) to ceil((i + 1) length / wanted), as in PyTorch.
    Shapes: (n, c, length) to (n, c, wanted); None keeps the length. Raises ShapeError for an
    image without numbers or with more than 1,000 kinds of window along an axis.

    >>> from glassgrad import nn
    >>> nn.AdaptiveAvgPool1d(2)([[[1.0, 2.0, 6.0]]]).numpy().tolist()
    [[[1.5, 4.0]]]
    """

    rank = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The means of as many windows as are asked for, whatever the size.

    Shapes: (n, c, height, width) to (n, c, *wanted). Otherwise as AdaptiveAvgPool1d.

    >>> from glassgrad import nn
    >>> nn.AdaptiveAvgPool2d((7, None))
    AdaptiveAvgPool2d((7, None))
    """

    rank = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The means of as many windows as are asked for, whatever the size.

    Shapes: (n, c, depth, height, width) to (n, c, *wanted). Otherwise as AdaptiveAvgPool1d.

    >>> from glassgrad import nn
    >>> nn.AdaptiveAvgPool3d(2)
    AdaptiveAvgPool3d(2)
    """

    rank = 3


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest numbers of as many windows as are asked for, whatever the length.

    The windows are those of AdaptiveAvgPool1d; a tie gives the derivative to the first. Shapes:
    (n, c, length) to (n, c, wanted). Raises ShapeError as AdaptiveAvgPool1d.

    >>> from glassgrad import nn
    >>> nn.AdaptiveMaxPool1d(2)([[[1.0, 2.0, 6.0]]]).numpy().tolist()
    [[[2.0, 6.0]]]
    """

    rank = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest numbers of as many windows as are asked for, whatever the size.

    Shapes: (n, c, height, width) to (n, c, *wanted). Otherwise as AdaptiveMaxPool1d.

    >>> from glassgrad import nn
    >>> nn.AdaptiveMaxPool2d(3)
    AdaptiveMaxPool2d(3)
    """

    rank = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest numbers of as many windows as are asked for, whatever the size.

    Shapes: (n, c, depth, height, width) to (n, c, *wanted). Otherwise as AdaptiveMaxPool1d.

    >>> from glassgrad import nn
    >>> nn.AdaptiveMaxPool3d((1, 2, 2))
    AdaptiveMaxPool3d((1, 2, 2))
    """

    rank = 3
