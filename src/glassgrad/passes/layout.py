"""Where numbers lie: a place in memory, and strides. What only shows numbers moves none.

Sizes have to be known here: a plan is made for each number of rows. Strides count elements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from glassgrad.errors import InternalError
from glassgrad.ir import Dim, Node, Ratio, Size, bind

Ints = tuple[int, ...]

SIZE_OF = {"float32": 4, "float64": 8, "int64": 8, "uint32": 4, "uint8": 1, "bool": 1}


@dataclass(eq=False, slots=True)
class Memory:
    """A stretch of memory: a piece of the arena, or what the caller hands in.

    `inside` says that it is a part of another one, `start` bytes from its beginning.
    """

    bytes: int
    base: int = 0  # 0 is the arena; others are the caller's
    start: int = -1  # in bytes; of the arena it is found by `plan_memory`
    inside: Memory | None = None
    first: int = -1  # the steps of the plan that touch it
    last: int = -1

    def whole(self) -> tuple[Memory, int]:
        """The memory it is a part of in the end, and where."""
        found, start = self, 0
        while found.inside is not None:
            start += found.start
            found = found.inside
        return found, start


@dataclass(frozen=True, slots=True)
class Lay:
    """How a value lies: which memory, where in it, with what shape and strides.

    Inside a loop it may move: `step` bytes for each round of loop number `loop`.
    """

    memory: Memory
    dtype: str
    shape: Ints
    strides: Ints
    offset: int = 0  # in elements
    loop: int = -1
    step: int = 0

    @property
    def size(self) -> int:
        """How many elements it shows."""
        return count(self.shape)

    @property
    def contiguous(self) -> bool:
        """Whether the elements lie end to end, in order."""
        return _tight(self.shape, self.strides)


def count(shape: Sequence[int]) -> int:
    """The number of elements of a shape."""
    total = 1
    for size in shape:
        total *= size
    return total


def row_major(shape: Sequence[int]) -> Ints:
    """Strides of elements that lie end to end."""
    strides = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def in_order(shape: Ints, order: Sequence[int]) -> Ints:
    """Strides of elements that lie end to end, the axes from the slowest to the fastest."""
    strides, step = [0] * len(shape), 1
    for axis in reversed(order):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def _tight(shape: Ints, strides: Ints) -> bool:
    step = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != step:
            return 0 in shape
        step *= size
    return True


def strides_like(lay: Lay) -> Ints:
    """Strides of elements that lie end to end, the axes in the order in which these lie."""
    order = sorted(range(len(lay.shape)), key=lambda i: -abs(lay.strides[i]) * (lay.shape[i] > 1))
    dense = row_major([lay.shape[i] for i in order])
    return tuple([dense[order.index(i)] for i in range(len(order))])


@dataclass(slots=True)
class Sizes:
    """Named sizes with their values."""

    values: Mapping[str, int] = field(default_factory=dict)

    def of(self, shape: Sequence[Size]) -> Ints:
        """A shape in plain numbers."""
        return tuple([s if type(s) is int else self.number(s) for s in shape])

    def number(self, value: Any) -> Any:
        """A size, a quotient of sizes or a number, as a plain number."""
        if isinstance(value, Dim):
            found = bind(value, self.values)
            if not isinstance(found, int):
                raise InternalError(f"the size {value} has no value")
            return found
        if isinstance(value, Ratio):
            return float(self.number(value.top)) / float(self.number(value.divisor))
        return value


# -- views ------------------------------------------------------------------------------------


def view(node: Node, lay: Lay, sizes: Sizes) -> Lay | None:
    """What a view shows of what lies so, None where the elements would have to be moved."""
    name, a = node.op.name, node.attributes
    if name == "reshape":
        return reshaped(lay, sizes.of(a["shape"]))
    if name == "permute":
        return permuted(lay, a["axes"])
    if name == "broadcast_to":
        return stretched(lay, sizes.of(a["shape"]))
    if name == "slice":
        return sliced(lay, [tuple(sizes.of(span)) for span in a["spans"]])
    if name == "flip":
        axes = a["axis"] if isinstance(a["axis"], tuple) else (a["axis"],)
        return flipped(lay, range(len(lay.shape)) if a["axis"] is None else axes)
    raise InternalError(f"{name} is not a view")


def permuted(lay: Lay, axes: Sequence[int]) -> Lay:
    """The axes in another order."""
    return replace(
        lay,
        shape=tuple([lay.shape[i] for i in axes]),
        strides=tuple([lay.strides[i] for i in axes]),
    )


def in_memory(lays: Sequence[Lay]) -> Ints:
    """Axes in the order of the memory of what lies whole, the slowest first; as they are for others."""
    for lay in lays:
        steps = {i: abs(lay.strides[i]) for i, size in enumerate(lay.shape) if size > 1}
        if 0 in steps.values():
            continue
        order = sorted(steps, key=lambda i: -steps[i])
        if order == [*steps]:
            break
        return (*[i for i in range(len(lay.shape)) if i not in steps], *order)
    return tuple(range(len(lays[0].shape)))


def stretched(lay: Lay, shape: Ints) -> Lay:
    """Stretched to a shape by NumPy's rule: stride 0 where it is repeated."""
    if lay.shape == shape:
        return lay
    missing = len(shape) - len(lay.shape)
    old = (1,) * missing + lay.shape
    strides = (0,) * missing + lay.strides
    fit = [0 if o == 1 and s != 1 else t for o, s, t in zip(old, shape, strides, strict=True)]
    return replace(lay, shape=shape, strides=tuple(fit))


def sliced(lay: Lay, spans: Sequence[Sequence[int]]) -> Lay:
    """From, to and step along each axis; all three as the IR has them, never negative."""
    offset, shape, strides = lay.offset, [], []
    for (start, stop, step), stride in zip(spans, lay.strides, strict=True):
        size = max(0, -(-(stop - start) // step))
        shape.append(size)
        offset += start * stride if size else 0
        strides.append(stride * step)
    return replace(lay, shape=tuple(shape), strides=tuple(strides), offset=offset)


def windowed(lay: Lay, kernel: Ints, stride: Ints, dilation: Ints) -> Lay:
    """Images (n, c, *size) as (n, c, *kernel, *windows): what windows share is shown in each."""
    size, steps = lay.shape[2:], lay.strides[2:]
    every = tuple(zip(size, kernel, stride, dilation, strict=True))
    windows = tuple([(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in every])
    between = tuple([step * d for step, d in zip(steps, dilation, strict=True)])
    apart = tuple([step * s for step, s in zip(steps, stride, strict=True)])
    shape = (*lay.shape[:2], *kernel, *windows)
    return replace(lay, shape=shape, strides=(*lay.strides[:2], *between, *apart))


def flipped(lay: Lay, axes: Any) -> Lay:
    """Some axes from the end."""
    offset, strides = lay.offset, list(lay.strides)
    for axis in axes:
        offset += max(lay.shape[axis] - 1, 0) * strides[axis]
        strides[axis] = -strides[axis]
    return replace(lay, strides=tuple(strides), offset=offset)


def reshaped(lay: Lay, shape: Ints) -> Lay | None:
    """The elements in another shape, in row-major order, where no element has to move."""
    if lay.shape == shape:
        return lay
    if lay.contiguous:
        return replace(lay, shape=shape, strides=row_major(shape))
    old = [(s, t) for s, t in zip(lay.shape, lay.strides, strict=True) if s != 1]
    strides: list[int] = []
    i = 0
    axes = [s for s in shape if s != 1]
    found: list[int] = []
    at = 0
    while at < len(axes):
        # The fewest old and new axes that hold as many elements.
        first, begin = i, at
        have, want = old[i][0], axes[at]
        i, at = i + 1, at + 1
        while have != want:
            if have < want:
                have *= old[i][0]
                i += 1
            else:
                want *= axes[at]
                at += 1
        for (_, outer), (size, inner) in zip(old[first : i - 1], old[first + 1 : i], strict=True):
            if outer != size * inner:
                return None
        stride = old[i - 1][1]
        inner_strides = []
        for size in reversed(axes[begin:at]):
            inner_strides.append(stride)
            stride *= size
        found += reversed(inner_strides)
    left = iter(found)
    strides = [0 if s == 1 else next(left) for s in shape]
    return replace(lay, shape=shape, strides=tuple(strides))
