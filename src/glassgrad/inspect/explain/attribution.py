"""Which inputs an output comes from: by gradient, integrated gradients and occlusion, each checked.

Every method splits a difference of outputs, $f(x) - f(x_0)$, among the numbers of the input; how
far its parts are from that sum is part of the result.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.errors import (
    ConfigError,
    DataError,
    DTypeError,
    UsageError,
    shown,
    unknown_name,
    whole_number,
)
from glassgrad.nn.module import Module
from glassgrad.nn.tracing import in_mode, input_names
from glassgrad.tensors.tensor import Tensor, derivatives, no_grad, tensor

from .words import number, place

Array = NDArray[Any]
METHODS = ("gradient", "integrated", "occlusion")
_SHOWN = 10  # parts in a printed list
_AT_ONCE = 256  # inputs that go through the network together
_MOST_STEPS = 1_000  # Gauss-Legendre points are found in a time that grows with their cube


@dataclass(frozen=True, slots=True, repr=False)
class Attribution:
    """The part of each number of one input row in one number of the output.

    `parts` has the shape of the row. `difference` is $f(x) - f(x_0)$, what the parts should sum to;
    `gap` is what is left. By gradient the gap is small only where the network is straight between
    the two; by integrated gradients it goes to 0 with the number of steps; by occlusion it is what
    the numbers do only together.

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> gg.attribute(nn.Linear(2, 1, init=3.0), [[1.0, 2.0]])
    Output [0] = 9, split among the inputs by integrated gradients:
                6  x[1]
                3  x[0]
                0  the gap: what the parts leave unexplained
                9  together: f(x) - f(baseline)
    """

    method: str
    parts: Array
    output: tuple[int, ...]
    value: float
    difference: float

    def __repr__(self) -> str:
        """The largest parts, and whether all of them add up to what is to be explained."""
        flat = self.parts.ravel()
        order = np.argsort(-np.abs(flat), kind="stable")[:_SHOWN]
        at = ", ".join(map(str, self.output))
        how = {"integrated": "integrated gradients"}.get(self.method, self.method)
        lines = [f"Output [{at}] = {number(self.value)}, split among the inputs by {how}:"]
        for i in order.tolist():
            index = tuple([int(k) for k in np.unravel_index(i, self.parts.shape)])
            lines.append(f"  {number(float(flat[i])):>11}  {place('x', index)}")
        left = math.fsum(flat.tolist()) - math.fsum(flat[order].tolist())
        if flat.size > len(order):
            lines.append(f"  {number(left):>11}  {flat.size - len(order):,} more")
        lines.append(f"  {number(self.gap):>11}  the gap: what the parts leave unexplained")
        lines.append(f"  {number(self.difference):>11}  together: f(x) - f(baseline)")
        return "\n".join(lines)

    @property
    def gap(self) -> float:
        """The difference of outputs that the parts leave unexplained."""
        return self.difference - float(self.parts.sum(dtype=np.float64))


def attribute(
    model: Module,
    x: Any,
    *,
    output: int | tuple[int, ...] | None = None,
    method: str = "integrated",
    baseline: Any = 0.0,
    steps: int = 64,
    window: tuple[int, ...] | int = 1,
) -> Attribution:
    r"""Split one number of the output among the numbers of one input row, in evaluation.

    `output` is the place of that number in the row's output, the largest if none is given.
    `baseline` is what stands for nothing: a number, or an array like the row.
    "gradient" is $(x - x_0)\,\partial f / \partial x$, "integrated" the mean of that derivative
    along the straight line from $x_0$ to x, at `steps` Gauss-Legendre points (Sundararajan, Taly
    and Yan, 2017), "occlusion" the fall of the output when a `window` of the last axes of the row
    is put back to the baseline, shared evenly by its numbers.

    Raises DataError for anything but one row of real numbers, ConfigError for settings that cannot
    be meant.

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> found = gg.attribute(nn.Linear(2, 1, init=3.0), [[1.0, 2.0]])
    >>> found.parts.tolist(), found.difference
    ([3.0, 6.0], 9.0)
    """
    if not isinstance(model, Module):
        raise UsageError("this is not a model", expected="an nn.Module", received=shown(model))
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    count = whole_number(steps)
    if count is None or not 1 <= count <= _MOST_STEPS:
        raise ConfigError(
            "steps is out of range",
            expected=f"a whole number from 1 to {_MOST_STEPS:,}",
            received=shown(steps),
        )
    if next(model.parameters(), None) is None:
        raise UsageError(
            "this network has no numbers of its own",
            expected="layers with parameters",
            received=model.title(),
        )
    row = _row(x, model.dtype())
    nothing = _nothing(baseline, row)
    sizes = _sizes(window, row.shape[1:])
    with in_mode(model, training=False):
        both = _outputs(model, np.concatenate([row, nothing]))
        place = _place(output, both[0])
        run = _METHODS[method]
        parts = run(model, row[0], nothing[0], place, count, sizes)
        value, start = float(both[0][place]), float(both[1][place])
    return Attribution(method, parts.reshape(row.shape[1:]), place, value, value - start)


def _row(x: Any, dtype: str) -> Array:
    """One row of finite numbers in the network's dtype."""
    try:
        given = np.asarray(x.numpy() if isinstance(x, Tensor) else x)
    except ValueError:  # lists that differ in length
        given = np.empty((), object)
    if given.ndim < 2 or len(given) != 1 or given.dtype.kind not in "iuf":
        raise DataError(
            "an attribution is of one row of numbers",
            where="x",
            expected="shape (1, ...)",
            received=f"{given.dtype} {given.shape}",
        )
    return _finite(given, dtype, "x")


def _nothing(baseline: Any, row: Array) -> Array:
    """What stands for nothing, in the shape of the row."""
    try:
        given = np.asarray(baseline.numpy() if isinstance(baseline, Tensor) else baseline)
        if given.dtype.kind not in "iuf":
            raise TypeError
        spread = np.broadcast_to(given, row.shape)
    except (TypeError, ValueError):
        raise ConfigError(
            "this cannot stand for nothing",
            where="baseline",
            expected=f"a number, or an array of shape {row.shape}",
            received=shown(baseline),
        ) from None
    return _finite(spread, row.dtype.name, "baseline")


def _finite(given: Array, dtype: str, where: str) -> Array:
    with np.errstate(over="ignore"):
        found = given.astype(dtype)
    if not np.isfinite(found).all():
        raise DataError(
            "a number is not finite",
            where=where,
            expected=f"finite numbers that {dtype} can hold",
            received=shown(given[~np.isfinite(found)].flat[0]),
        )
    return found


def _outputs(model: Module, rows: Array) -> Array:
    names, needed = input_names(model)
    if needed > 1:
        raise UsageError(
            "an attribution is of a network with one input",
            where=model.title(),
            expected="forward(x)",
            received=", ".join(names[:needed]),
        )
    try:
        with no_grad():
            found = [model(tensor(rows[i : i + _AT_ONCE])) for i in range(0, len(rows), _AT_ONCE)]
    except DTypeError as error:
        raise UsageError(
            "this network reads whole numbers, and there is no way from one to the next",
            where=model.title(),
            expected="a network of real numbers",
            received=error.what,
            hint="the part behind its embedding, as a network of its own",
        ) from None
    if not isinstance(found[0], Tensor):
        raise UsageError(
            "an attribution is of a network with one output",
            expected="a tensor",
            received=type(found[0]).__name__,
        )
    return np.concatenate([f.numpy() for f in found])


def _place(output: Any, found: Array) -> tuple[int, ...]:
    if output is None:
        return tuple([int(i) for i in np.unravel_index(int(found.argmax()), found.shape)])
    place = tuple(output) if isinstance(output, tuple | list) else (output,)
    whole = all(isinstance(i, int | np.integer) and not isinstance(i, bool) for i in place)
    if (
        len(place) != found.ndim
        or not whole
        or not all(0 <= i < s for i, s in zip(place, found.shape, strict=True))
    ):
        raise ConfigError(
            "there is no such number in the output",
            where="output",
            expected=f"a place in shape {found.shape}",
            received=shown(output),
        )
    return place


def _slopes(model: Module, rows: Array, place: tuple[int, ...]) -> Array:
    """The derivative of one number of each row's output in the row."""
    found = []
    for i in range(0, len(rows), _AT_ONCE):
        x = tensor(rows[i : i + _AT_ONCE], requires_grad=True)
        chosen = model(x)[(slice(None), *place)].sum()
        found.append(derivatives(chosen, wrt=[x])[x].numpy())
    return np.concatenate(found)


def _gradient(model: Module, row: Array, nothing: Array, place: tuple[int, ...], *_: Any) -> Array:
    return np.asarray((row - nothing) * _slopes(model, row[None], place)[0])


def _integrated(
    model: Module, row: Array, nothing: Array, place: tuple[int, ...], steps: int, _: Any
) -> Array:
    points, weights = np.polynomial.legendre.leggauss(steps)
    along = ((points + 1) / 2).reshape(-1, *[1] * row.ndim)
    rows = (nothing + along * (row.astype(np.float64) - nothing)).astype(row.dtype)
    slopes = _slopes(model, rows, place).astype(np.float64)
    mean = np.tensordot(weights / 2, slopes, axes=1)
    return np.asarray((row - nothing) * mean, row.dtype)


def _sizes(window: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """How many numbers of each axis a window holds: of those it does not name, all."""
    one = whole_number(window)
    given = [one] * len(shape) if one is not None else window
    listed = isinstance(given, tuple | list) and len(given) <= len(shape)
    sizes = [whole_number(s) for s in given] if listed else []
    if not listed or any(s is None or s < 1 for s in sizes):
        raise ConfigError(
            "a window is a few numbers of the row",
            where="window",
            expected=f"a size from 1, or at most {len(shape)} of them, of the last axes",
            received=shown(window),
        )
    return (*shape[: len(shape) - len(sizes)], *[s for s in sizes if s is not None])


def _occlusion(
    model: Module,
    row: Array,
    nothing: Array,
    place: tuple[int, ...],
    _: int,
    sizes: tuple[int, ...],
) -> Array:
    corners = [range(0, n, s) for n, s in zip(row.shape, sizes, strict=True)]
    cuts = [
        tuple([slice(c, c + s) for c, s in zip(corner, sizes, strict=True)])
        for corner in itertools.product(*corners)
    ]
    parts = np.zeros(row.shape)
    whole = float(_outputs(model, row[None])[0][place])
    for i in range(0, len(cuts), _AT_ONCE):
        some = cuts[i : i + _AT_ONCE]
        rows = np.repeat(row[None], len(some), axis=0)
        for each, cut in zip(rows, some, strict=True):
            each[cut] = nothing[cut]
        for found, cut in zip(_outputs(model, rows), some, strict=True):
            parts[cut] = (whole - float(found[place])) / parts[cut].size
    return parts.astype(row.dtype)


_METHODS: dict[str, Callable[..., Array]] = {
    "gradient": _gradient,
    "integrated": _integrated,
    "occlusion": _occlusion,
}
