"""Borders, and images made larger: padding, upsampling, pixels from channels and back.

Definitions are PyTorch's; negative padding, which would cut, is refused, and `Upsample` repeats
numbers a whole number of times ("nearest").
"""

from __future__ import annotations

from typing import Any, ClassVar

from glassgrad.errors import ConfigError, ShapeError, shown, unknown_name
from glassgrad.ops import OPS, movement

from .checks import check_array, check_images, known_size, numbers, real, short, units
from .module import Module


class _Pad(Module):
    """A border; what stands in it is said by `sides`, axis by axis."""

    rank: ClassVar[int]
    looked_through = True

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__()
        given = numbers(padding, 2 * self.rank, "padding", 0)
        self.padding = given
        # PyTorch's order: before and after the last axis, then the one before it.
        self.borders = tuple(zip(given[-2::-2], given[::-2], strict=True))

    def prepare(self, x: Any) -> None:
        check_images(self, x, self.rank)
        for size, border in zip(x.shape[2:], self.borders, strict=True):
            if max(border) > self.most(known_size(size, self.path)):
                raise ShapeError(
                    "the border is wider than the image gives",
                    where=self.path,
                    expected=f"at most {max(0, self.most(size))} for an axis of {size}",
                    received=f"padding {short(self.padding)}, images {x.shape}",
                )

    def most(self, size: int) -> int:
        """The widest border that an axis of this size has numbers for."""
        raise NotImplementedError

    def sides(self, x: Any, axis: int, before: int, after: int) -> tuple[list[Any], list[Any]]:
        """What stands before the image along an axis, and what behind it."""
        raise NotImplementedError

    def forward(self, x: Any) -> Any:
        for axis, (before, after) in enumerate(self.borders, 2):
            if before or after:
                first, last = self.sides(x, axis, before, after)
                x = OPS["concatenate"](*first, x, *last, axis=axis)
        return x

    def settings(self) -> str:
        return short(self.padding)


def _cut(x: Any, axis: int, start: int, stop: int) -> Any:
    spans: list[Any] = [(0, size, 1) for size in x.shape]
    spans[axis] = (start, stop, 1)
    return movement.slice(x, spans=tuple(spans))


class _ConstantPad(_Pad):
    formula = ("y = x with a border", "dx = dy without its border")
    value: float

    def __init__(self, padding: int | tuple[int, ...], value: float) -> None:
        super().__init__(padding)
        self.value = real(value, "value")

    def most(self, size: int) -> int:
        return 10**6

    def forward(self, x: Any) -> Any:
        widths = ((0, 0, 0), (0, 0, 0), *[(b, a, 0) for b, a in self.borders])
        return movement.pad(x, widths=widths, value=self.value) if any(self.padding) else x

    def settings(self) -> str:
        return f"{short(self.padding)}, {self.value:g}"


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__(padding, 0.0)

    def settings(self) -> str:
        return short(self.padding)


class _ReflectionPad(_Pad):
    formula = ("y = x, mirrored at its outermost numbers", "dx = dy, the mirrored part added back")

    def most(self, size: int) -> int:
        return size - 1

    def sides(self, x: Any, axis: int, before: int, after: int) -> tuple[list[Any], list[Any]]:
        size = x.shape[axis]
        first = _cut(x, axis, 1, before + 1) if before else None
        last = _cut(x, axis, size - 1 - after, size - 1) if after else None
        return _mirrored(first, axis), _mirrored(last, axis)


def _mirrored(x: Any, axis: int) -> list[Any]:
    """One piece in reverse order, or none."""
    if x is None:
        return []
    return [x if x.shape[axis] == 1 else movement.flip(x, axis=axis)]


class _ReplicationPad(_Pad):
    formula = ("y = x, its outermost numbers repeated", "dx = dy, the repeated part added back")

    def most(self, size: int) -> int:
        return 10**6 if size else 0

    def sides(self, x: Any, axis: int, before: int, after: int) -> tuple[list[Any], list[Any]]:
        size = x.shape[axis]
        found: list[list[Any]] = []
        for start, width in ((0, before), (size - 1, after)):
            shape = (*x.shape[:axis], width, *x.shape[axis + 1 :])
            edge = _cut(x, axis, start, start + 1) if width else None
            found.append([] if edge is None else [movement.broadcast_to(edge, shape=shape)])
        return found[0], found[1]


class _CircularPad(_Pad):
    formula = ("y = x, going on at its other end", "dx = dy, what went on added back")

    def most(self, size: int) -> int:
        return size

    def sides(self, x: Any, axis: int, before: int, after: int) -> tuple[list[Any], list[Any]]:
        size = x.shape[axis]
        return (
            [_cut(x, axis, size - before, size)] if before else [],
            [_cut(x, axis, 0, after)] if after else [],
        )


class ZeroPad1d(_ZeroPad):
    """A border of zeros: one width for all sides, or (left, right).

    Shapes: (n, c, length) to (n, c, length + left + right). Raises ConfigError for a width below
    0, ShapeError for anything but signals.

    >>> from glassgrad import nn
    >>> nn.ZeroPad1d((1, 2))([[[5.0]]]).numpy().tolist()
    [[[0.0, 5.0, 0.0, 0.0]]]
    """

    rank = 1


class ZeroPad2d(_ZeroPad):
    """A border of zeros: one width for all sides, or (left, right, top, bottom).

    Shapes: (n, c, height, width) to (n, c, height', width'). Otherwise as ZeroPad1d.

    >>> from glassgrad import nn
    >>> nn.ZeroPad2d(1)
    ZeroPad2d(1)
    """

    rank = 2


class ZeroPad3d(_ZeroPad):
    """A border of zeros: one width for all sides, or (left, right, top, bottom, front, back).

    Shapes: (n, c, depth, height, width) to (n, c, depth', height', width'). Otherwise as
    ZeroPad1d.

    >>> from glassgrad import nn
    >>> nn.ZeroPad3d((1, 1, 0, 0, 2, 2))
    ZeroPad3d((1, 1, 0, 0, 2, 2))
    """

    rank = 3


class ConstantPad1d(_ConstantPad):
    """A border of one number; otherwise as ZeroPad1d.

    >>> from glassgrad import nn
    >>> nn.ConstantPad1d(1, 7.0)([[[5.0]]]).numpy().tolist()
    [[[7.0, 5.0, 7.0]]]
    """

    rank = 1


class ConstantPad2d(_ConstantPad):
    """A border of one number; otherwise as ZeroPad2d.

    >>> from glassgrad import nn
    >>> nn.ConstantPad2d(1, 7.0)
    ConstantPad2d(1, 7)
    """

    rank = 2


class ConstantPad3d(_ConstantPad):
    """A border of one number; otherwise as ZeroPad3d.

    >>> from glassgrad import nn
    >>> nn.ConstantPad3d(1, 7.0)
    ConstantPad3d(1, 7)
    """

    rank = 3


class ReflectionPad1d(_ReflectionPad):
    """A border that mirrors the image at its outermost numbers, which are not repeated.

    Shapes as ZeroPad1d. Raises ShapeError for a border as wide as the image.

    >>> from glassgrad import nn
    >>> nn.ReflectionPad1d(2)([[[1.0, 2.0, 3.0]]]).numpy().tolist()
    [[[3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]]]
    """

    rank = 1


class ReflectionPad2d(_ReflectionPad):
    """A border that mirrors the image; otherwise as ReflectionPad1d and ZeroPad2d.

    >>> from glassgrad import nn
    >>> nn.ReflectionPad2d(1)
    ReflectionPad2d(1)
    """

    rank = 2


class ReflectionPad3d(_ReflectionPad):
    """A border that mirrors the volume; otherwise as ReflectionPad1d and ZeroPad3d.

    >>> from glassgrad import nn
    >>> nn.ReflectionPad3d(1)
    ReflectionPad3d(1)
    """

    rank = 3


class ReplicationPad1d(_ReplicationPad):
    """A border that repeats the outermost numbers. Shapes as ZeroPad1d.

    >>> from glassgrad import nn
    >>> nn.ReplicationPad1d(2)([[[1.0, 2.0]]]).numpy().tolist()
    [[[1.0, 1.0, 1.0, 2.0, 2.0, 2.0]]]
    """

    rank = 1


class ReplicationPad2d(_ReplicationPad):
    """A border that repeats the outermost numbers. Shapes as ZeroPad2d.

    >>> from glassgrad import nn
    >>> nn.ReplicationPad2d(1)
    ReplicationPad2d(1)
    """

    rank = 2


class ReplicationPad3d(_ReplicationPad):
    """A border that repeats the outermost numbers. Shapes as ZeroPad3d.

    >>> from glassgrad import nn
    >>> nn.ReplicationPad3d(1)
    ReplicationPad3d(1)
    """

    rank = 3


class CircularPad1d(_CircularPad):
    """A border that goes on at the other end. Shapes as ZeroPad1d.

    Raises ShapeError for a border wider than the image.

    >>> from glassgrad import nn
    >>> nn.CircularPad1d(1)([[[1.0, 2.0, 3.0]]]).numpy().tolist()
    [[[3.0, 1.0, 2.0, 3.0, 1.0]]]
    """

    rank = 1


class CircularPad2d(_CircularPad):
    """A border that goes on at the other end. Otherwise as CircularPad1d and ZeroPad2d.

    >>> from glassgrad import nn
    >>> nn.CircularPad2d(1)
    CircularPad2d(1)
    """

    rank = 2


class CircularPad3d(_CircularPad):
    """A border that goes on at the other end. Otherwise as CircularPad1d and ZeroPad3d.

    >>> from glassgrad import nn
    >>> nn.CircularPad3d(1)
    CircularPad3d(1)
    """

    rank = 3


# -- larger images -----------------------------------------------------------------------------


class Upsample(Module):
    """Every number repeated along each axis: by `scale_factor` times, or until `size` is full.

    Shapes: (n, c, *size) to (n, c, *size'), for signals, images and volumes; one factor for all
    axes, or one for each. Only `mode="nearest"`, and whole factors. Raises ConfigError for other
    settings, ShapeError for a size that is no multiple of the image's.

    >>> from glassgrad import nn
    >>> nn.Upsample(scale_factor=2)([[[1.0, 2.0]]]).numpy().tolist()
    [[[1.0, 1.0, 2.0, 2.0]]]
    """

    formula = ("every number repeated", "dx = sum of dy over its repetitions")
    looked_through = True

    def __init__(
        self,
        size: int | tuple[int, ...] | None = None,
        scale_factor: float | tuple[float, ...] | None = None,
        mode: str = "nearest",
    ) -> None:
        super().__init__()
        if mode != "nearest":
            raise unknown_name("mode", mode, ("nearest",))
        if (size is None) == (scale_factor is None):
            raise ConfigError(
                "either a size or a factor",
                expected="Upsample(scale_factor=2) or Upsample(size=(28, 28))",
                received=f"size {shown(size)}, scale_factor {shown(scale_factor)}",
            )
        what = "scale_factor" if size is None else "size"
        given: Any = scale_factor if size is None else size
        many = isinstance(given, tuple | list)
        whole = [
            int(v) if isinstance(v, float) and v.is_integer() else v
            for v in (given if many else (given,))
        ]
        found = numbers(whole, len(whole), what, 1)
        self.size = None if size is None else found
        self.scale_factor = None if scale_factor is None else found
        self.many = many

    def prepare(self, x: Any) -> None:
        check_array(x)
        rank = len(self.size or self.scale_factor or ()) if self.many else max(1, x.ndim - 2)
        check_images(self, x, rank)
        sizes = [known_size(s, self.path) for s in x.shape[2:]]
        if self.size and any(
            s == 0 or w % s for s, w in zip(sizes, self.each(self.size, x), strict=True)
        ):
            raise ShapeError(
                "numbers are repeated a whole number of times",
                where=self.path,
                expected=f"a size that is a multiple of {x.shape[2:]}",
                received=short(self.size),
            )

    def each(self, values: tuple[int, ...], x: Any) -> tuple[int, ...]:
        """One number for each axis of the image."""
        return values if self.many else values * (x.ndim - 2)

    def forward(self, x: Any) -> Any:
        lead, image = x.shape[:2], x.shape[2:]
        if self.size is not None:
            times = [w // s for s, w in zip(image, self.each(self.size, x), strict=True)]
        else:
            times = list(self.each(self.scale_factor or (), x))
        if set(times) == {1}:
            return x
        apart = [part for s in image for part in (s, 1)]
        wide = [part for pair in zip(image, times, strict=True) for part in pair]
        stretched = movement.broadcast_to(x.reshape((*lead, *apart)), shape=(*lead, *wide))
        return stretched.reshape((*lead, *[s * t for s, t in zip(image, times, strict=True)]))

    def settings(self) -> str:
        name = "size" if self.size is not None else "scale_factor"
        values = self.size or self.scale_factor or ()
        return f"{name}={values if self.many else values[0]}"


class PixelShuffle(Module):
    """Channels become pixels: each block of r x r channels one block of r x r pixels.

    Shapes: (n, c r^2, height, width) to (n, c, r height, r width). Raises ShapeError where r^2
    does not divide the channels (Shi et al. 2016).

    >>> from glassgrad import nn
    >>> nn.PixelShuffle(2)([[[[1.0]], [[2.0]], [[3.0]], [[4.0]]]]).numpy().tolist()
    [[[[1.0, 2.0], [3.0, 4.0]]]]
    """

    looked_through = True

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.factor = units(upscale_factor, "upscale_factor", 10**4)

    def prepare(self, x: Any) -> None:
        check_images(self, x, 2)
        if known_size(x.shape[1], self.path) % self.factor**2:
            raise ShapeError(
                "the channels do not fill the pixels",
                where=self.path,
                expected=f"a multiple of {self.factor**2} channels",
                received=str(x.shape),
            )

    def forward(self, x: Any) -> Any:
        (n, channels, height, width), r = x.shape, self.factor
        blocks = x.reshape((n, channels // r**2, r, r, height, width))
        spread = blocks.transpose(0, 1, 4, 2, 5, 3)
        return spread.reshape((n, channels // r**2, height * r, width * r))

    def settings(self) -> str:
        return f"{self.factor}"


class PixelUnshuffle(Module):
    """Pixels become channels: each block of r x r pixels one block of r x r channels.

    Shapes: (n, c, r height, r width) to (n, c r^2, height, width); undoes PixelShuffle. Raises
    ShapeError where r does not divide the size.

    >>> from glassgrad import nn
    >>> nn.PixelUnshuffle(2)([[[[1.0, 2.0], [3.0, 4.0]]]]).shape
    (1, 4, 1, 1)
    """

    looked_through = True

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.factor = units(downscale_factor, "downscale_factor", 10**4)

    def prepare(self, x: Any) -> None:
        check_images(self, x, 2)
        if any(known_size(s, self.path) % self.factor for s in x.shape[2:]):
            raise ShapeError(
                "the pixels do not fill the channels",
                where=self.path,
                expected=f"height and width a multiple of {self.factor}",
                received=str(x.shape),
            )

    def forward(self, x: Any) -> Any:
        (n, channels, height, width), r = x.shape, self.factor
        blocks = x.reshape((n, channels, height // r, r, width // r, r))
        gathered = blocks.transpose(0, 1, 3, 5, 2, 4)
        return gathered.reshape((n, channels * r**2, height // r, width // r))

    def settings(self) -> str:
        return f"{self.factor}"
