"""What goes into a loss: targets and weights as tensors, checked where their numbers are known."""

from __future__ import annotations

from typing import Any

import numpy as np

from glassgrad.errors import ConfigError, DataError, ShapeError, shown
from glassgrad.ir import Type, broadcast
from glassgrad.ops import Array, Symbol
from glassgrad.ops.loss import reduced, same_shape
from glassgrad.tensors.tensor import Buffer, Tensor, tensor


def array(given: Any) -> Any:
    """A tensor from whatever holds numbers."""
    return given if isinstance(given, Array) else tensor(given)


def alike(*operands: Any) -> None:
    """Raise ShapeError or DTypeError for operands that are not numbers of one shape."""
    same_shape(*[Type(a.shape, a.dtype) for a in operands])


def constants(given: Any, name: str, dtype: str) -> Any:
    """A weight's numbers, as an array of this dtype. Raises ConfigError for anything else."""
    try:
        found = np.asarray(given.numpy() if isinstance(given, Tensor) else given)
    except ValueError:
        found = np.asarray(None)
    if found.dtype.kind not in "biuf" or not np.isfinite(found).all():
        raise ConfigError(
            "the weights of a loss are finite numbers", where=name, received=shown(given)
        )
    return found.astype(dtype)


def weights(given: Any, name: str, like: Any) -> Any:
    """A weight as an operand beside a prediction, whose dtype it takes.

    In a program that is being written, plain numbers become a buffer: an input that is kept with
    the run, as no array can stand in a program.
    """
    if isinstance(given, Symbol | Buffer):
        return given
    if isinstance(given, Tensor) and (given.requires_grad or isinstance(like, Symbol)):
        return given  # the tape's own, or the tracer's to refuse
    numbers = constants(given, name, like.dtype)
    if isinstance(like, Symbol):
        return Buffer(numbers, name=f"loss.{name}")
    return tensor(numbers)


def weighted(terms: Any, weight: Any, name: str) -> Any:
    """Terms times weights that stretch to them, never the other way round."""
    w = weights(weight, name, terms)
    if len(w.shape) > len(terms.shape) or broadcast(terms.shape, w.shape) != terms.shape:
        raise ShapeError(
            "the weights do not fit what they weigh",
            where=name,
            expected=f"a shape that stretches to {terms.shape}",
            received=str(w.shape),
        )
    return terms * w


def summed(terms: Any, weight: Any, reduction: str) -> Any:
    """Weighted terms, reduced; the mean is over their number, not their weights."""
    return reduced(weighted(terms, weight, "weight"), reduction)


def check_classes(labels: Any, classes: int, ignore_index: int | None = None) -> None:
    """Raise DataError for the first label that is not a class, nor the one that is ignored."""
    outside = (labels < 0) | (labels >= classes)
    if ignore_index is not None:
        outside &= labels != ignore_index
    if outside.any():
        flat = labels.reshape(-1)
        row = int(outside.reshape(-1).argmax())
        raise DataError(
            "a label is not a class",
            where=f"row {row} of the target",
            expected=f"0 to {classes - 1}, for {classes} outputs"
            + (f", or {ignore_index}, which is ignored" if ignore_index is not None else ""),
            received=str(flat[row]),
            hint="labels count from 0; the last layer needs one unit for each class",
        )


def check_signs(target: Any) -> None:
    """Raise DataError for the first number that is neither 1 nor -1."""
    outside = np.abs(target) != 1
    if outside.any():
        place = tuple(int(i) for i in np.argwhere(outside)[0])
        raise DataError(
            "a sign is 1 or -1",
            where=f"row {place[0]} of the target" if place else "the target",
            expected="-1 or 1 for each number",
            received=f"{target[place]!s}",
            hint="from 0 and 1: 2 * y - 1",
        )


def signs(given: Any) -> Any:
    """A target of signs."""
    target = array(given)
    if isinstance(target, Tensor):
        check_signs(target.numpy())
    return target
