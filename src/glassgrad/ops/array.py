"""What every array-like thing can do: the operators shared by tensors and traced symbols.

A class that derives from `Array` says its shape and dtype and how it carries out an op (`emit`).
Derivative rules and composites are written on arrays, so the same rule serves eager tensors,
graphs, and derivatives of derivatives.
"""

from __future__ import annotations

from typing import Any, Self, TypeAlias

from glassgrad.errors import ShapeError, UsageError, shown
from glassgrad.ir import Op, Shape, Size, product

Operand: TypeAlias = "Array | float | int | bool | Size"


class Array:
    """Base of tensors and symbols: shape, dtype and operators."""

    __slots__ = ()
    emit_rank = 0
    __array_ufunc__ = None  # NumPy leaves mixed operators to us; np.exp(x) would lose the past

    @property
    def shape(self) -> Shape:
        """Size of each axis."""
        raise NotImplementedError

    @property
    def dtype(self) -> str:
        """Name of the kind of number."""
        raise NotImplementedError

    def emit(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
        """Carry out an op on these operands."""
        raise NotImplementedError

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> Size:
        """Number of elements."""
        return product(self.shape)

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError("a scalar has no length")
        return self.shape[0].__index__()

    def __add__(self, other: Operand) -> Self:
        return elementwise.add(self, other)

    def __radd__(self, other: Operand) -> Self:
        return elementwise.add(other, self)

    def __sub__(self, other: Operand) -> Self:
        return elementwise.subtract(self, other)

    def __rsub__(self, other: Operand) -> Self:
        return elementwise.subtract(other, self)

    def __mul__(self, other: Operand) -> Self:
        return elementwise.multiply(self, other)

    def __rmul__(self, other: Operand) -> Self:
        return elementwise.multiply(other, self)

    def __truediv__(self, other: Operand) -> Self:
        return elementwise.divide(self, other)

    def __rtruediv__(self, other: Operand) -> Self:
        return elementwise.divide(other, self)

    def __pow__(self, other: Operand) -> Self:
        return elementwise.power(self, other)

    def __rpow__(self, other: Operand) -> Self:
        return elementwise.power(other, self)

    def __mod__(self, other: Operand) -> Self:
        return discrete.remainder(self, other)

    def __rmod__(self, other: Operand) -> Self:
        return discrete.remainder(other, self)

    def __and__(self, other: Array | bool) -> Self:
        return discrete.logical_and(self, other)

    __rand__ = __and__

    def __or__(self, other: Array | bool) -> Self:
        return discrete.logical_or(self, other)

    __ror__ = __or__

    def __xor__(self, other: Array | bool) -> Self:
        return discrete.logical_xor(self, other)

    __rxor__ = __xor__

    def __invert__(self) -> Self:
        return discrete.logical_not(self)

    def __neg__(self) -> Self:
        return elementwise.negative(self)

    def __abs__(self) -> Self:
        return elementwise.absolute(self)

    def __matmul__(self, other: Array) -> Self:
        return contraction.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Self:
        return contraction.matmul(other, self)

    def __lt__(self, other: Operand) -> Self:
        return elementwise.less(self, other)

    def __le__(self, other: Operand) -> Self:
        return elementwise.less_equal(self, other)

    def __gt__(self, other: Operand) -> Self:
        return elementwise.greater(self, other)

    def __ge__(self, other: Operand) -> Self:
        return elementwise.greater_equal(self, other)

    def __eq__(self, other: object) -> Self:  # type: ignore[override]  # elementwise, as in NumPy
        return elementwise.equal(self, other)

    def __ne__(self, other: object) -> Self:  # type: ignore[override]  # elementwise, as in NumPy
        return elementwise.not_equal(self, other)

    __hash__ = object.__hash__

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Self:
        """Sum over axes, all of them by default."""
        return reduction.sum(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Self:
        """Mean over axes, all of them by default."""
        return reduction.mean(self, axis=axis, keepdims=keepdims)

    def max(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Self:
        """Largest value over axes, all of them by default."""
        return reduction.max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Self:
        """Smallest value over axes, all of them by default."""
        return reduction.min(self, axis=axis, keepdims=keepdims)

    def prod(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Self:
        """Product over axes, all of them by default."""
        return reduction.prod(self, axis=axis, keepdims=keepdims)

    def var(
        self,
        axis: int | tuple[int, ...] | None = None,
        correction: int = 1,
        keepdims: bool = False,
    ) -> Self:
        """Mean square distance from the mean; `correction` as in PyTorch."""
        return reduction.var(self, axis=axis, correction=correction, keepdims=keepdims)

    def std(
        self,
        axis: int | tuple[int, ...] | None = None,
        correction: int = 1,
        keepdims: bool = False,
    ) -> Self:
        """Square root of the variance; `correction` as in PyTorch."""
        return reduction.std(self, axis=axis, correction=correction, keepdims=keepdims)

    def any(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Self:
        """Whether one of the truth values over axes holds."""
        return reduction.any(self, axis=axis, keepdims=keepdims)

    def all(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Self:
        """Whether all truth values over axes hold."""
        return reduction.all(self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int = -1) -> Self:
        """Position of the first largest value along an axis."""
        return reduction.argmax(self, axis=axis)

    def argmin(self, axis: int = -1) -> Self:
        """Position of the first smallest value along an axis."""
        return reduction.argmin(self, axis=axis)

    def cumsum(self, axis: int = -1) -> Self:
        """Running sums along an axis."""
        return reduction.cumsum(self, axis=axis)

    def sort(self, axis: int = -1, descending: bool = False) -> Self:
        """The values along an axis in order, as a new tensor."""
        return order.sort(self, axis=axis, descending=descending)

    def argsort(self, axis: int = -1, descending: bool = False) -> Self:
        """The positions that put the values along an axis in order."""
        return order.argsort(self, axis=axis, descending=descending)

    def topk(self, k: int, axis: int = -1, largest: bool = True) -> tuple[Self, Self]:
        """The k largest (or smallest) values along an axis, and their positions."""
        return order.topk(self, k, axis, largest)

    def clip(self, low: float | None = None, high: float | None = None) -> Self:
        """The nearest values within bounds."""
        return discrete.clip(self, low=low, high=high)

    def round(self) -> Self:
        """The nearest whole numbers, even ones of two."""
        return discrete.round(self)

    def reshape(self, *shape: Any) -> Self:
        """The same elements in another shape; one size may be -1."""
        return movement.reshape(self, shape=shape[0] if _is_tuple(shape) else shape)

    def transpose(self, *axes: Any) -> Self:
        """Axes in another order, reversed by default."""
        order = (axes[0] if _is_tuple(axes) else axes) or tuple(reversed(range(self.ndim)))
        return movement.permute(self, axes=order)

    def swapaxes(self, first: int, second: int) -> Self:
        """Two axes exchanged."""
        order = list(range(self.ndim))
        first, second = normal_axis(first, self.ndim), normal_axis(second, self.ndim)
        order[first], order[second] = order[second], order[first]
        return movement.permute(self, axes=tuple(order))

    @property
    def T(self) -> Self:  # noqa: N802  # NumPy's name
        """The axes reversed."""
        return self.transpose()

    def flatten(self, start: int = 0) -> Self:
        """Axes from `start` on merged into one."""
        if self.ndim == start:
            return self.reshape(*self.shape, 1)
        return self.reshape(*self.shape[:start], product(self.shape[start:]))

    def astype(self, dtype: str) -> Self:
        """The values as another kind of number."""
        return self if dtype == self.dtype else elementwise.cast(self, dtype=dtype)

    def __getitem__(self, key: Any) -> Self:
        if isinstance(key, Array) or hasattr(key, "__array_ufunc__"):  # a NumPy array
            return index.take(self, key)
        keys = list(key) if isinstance(key, tuple) else [key]
        if any(k is Ellipsis for k in keys):
            at = next(i for i, k in enumerate(keys) if k is Ellipsis)
            given = sum(k is not None for k in keys) - 1
            keys[at : at + 1] = [slice(None)] * (self.ndim - given)
        if sum(k is not None for k in keys) > self.ndim:
            raise ShapeError("too many indices", received=f"{len(keys)} for shape {self.shape}")
        spans: list[tuple[Any, Any, int]] = []
        final: list[Size] = []
        axis = 0
        for k in [*keys, *[slice(None)] * (self.ndim - sum(k is not None for k in keys))]:
            if k is None:
                final.append(1)
                continue
            size = self.shape[axis]
            axis += 1
            if isinstance(k, slice):
                span = movement.normal_span(k, size)
                spans.append(span)
                final.append(movement.span_size(span))
            elif isinstance(k, int) and not isinstance(k, bool):
                spans.append(movement.one_span(k, size))
            else:
                raise UsageError(
                    "an index of this kind is not supported",
                    expected="whole numbers, slices, None, ... or one integer tensor",
                    received=shown(k),
                )
        cut = self
        if any(s != (0, size, 1) for s, size in zip(spans, self.shape, strict=True)):
            cut = movement.slice(self, spans=tuple(spans))
        return cut if cut.shape == tuple(final) else cut.reshape(tuple(final))


def _is_tuple(arguments: tuple[Any, ...]) -> bool:
    return len(arguments) == 1 and isinstance(arguments[0], tuple | list)


from . import (  # noqa: E402  # they build on Array
    contraction,
    discrete,
    elementwise,
    index,
    movement,
    order,
    reduction,
)
from .record import normal_axis  # noqa: E402  # likewise
