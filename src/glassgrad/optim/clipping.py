"""Gradients kept small: by value, and by length."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from glassgrad.errors import NonFiniteError
from glassgrad.ops import OPS, named
from glassgrad.tensors.tensor import Parameter, Tensor, no_grad, tensor

from .checks import positive


def clip_values(g: Any, clipvalue: float) -> Any:
    """Every number of a gradient between -clipvalue and clipvalue."""
    return OPS["maximum"](OPS["minimum"](g, clipvalue), -clipvalue)


def scale_to_norm(parts: Sequence[Any], norm: float) -> list[Any]:
    """Gradients that together are no longer than `norm`, their direction kept.

    Each part is multiplied by min(norm / (|all parts| + 1e-6), 1), as in
    `torch.nn.utils.clip_grad_norm_`.
    """
    total = named(OPS["sqrt"](_sum([(part * part).sum() for part in parts])), "gradient_norm")
    kept = named(OPS["minimum"](norm / (total + 1e-6), 1.0), "kept_gradient")
    return [part * kept for part in parts]


def _sum(numbers: Sequence[Any]) -> Any:
    first, *rest = numbers
    for number in rest:
        first = first + number
    return first


def clip_grad_value_(parameters: Parameter | Iterable[Parameter], clip_value: float) -> None:
    """Cut every number of the gradients to [-clip_value, clip_value], as in PyTorch.

    Raises ConfigError for a value that is not above 0.

    >>> import glassgrad as gg
    >>> from glassgrad import optim
    >>> p = gg.Parameter([1.0, 2.0])
    >>> p.grad = gg.tensor([0.5, -3.0])
    >>> optim.clip_grad_value_(p, 1.0)
    >>> p.grad
    tensor([ 0.5, -1. ])
    """
    bound = positive("clip_value", clip_value)
    with no_grad():
        for parameter in _with_gradients(parameters):
            parameter.grad = clip_values(parameter.grad, bound)


def clip_grad_norm_(
    parameters: Parameter | Iterable[Parameter],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Shorten the gradients so that together they are no longer than `max_norm`.

    Gives their length before: (sum |g|^p)^(1/p) with p = `norm_type`, the largest |g| for
    infinity. All are multiplied by min(max_norm / (length + 1e-6), 1), as in PyTorch. Raises
    ConfigError for a norm or type that is not above 0, and NonFiniteError for a length of inf or
    nan if `error_if_nonfinite`.

    >>> import glassgrad as gg
    >>> from glassgrad import optim
    >>> p = gg.Parameter([1.0, 2.0])
    >>> p.grad = gg.tensor([3.0, 4.0])
    >>> optim.clip_grad_norm_([p], 1.0), p.grad.numpy().round(3)
    (tensor(5.), array([0.6, 0.8], dtype=float32))
    """
    bound = positive("max_norm", max_norm)
    power = math.inf if norm_type == math.inf else positive("norm_type", norm_type)
    held = _with_gradients(parameters)
    with no_grad():
        if not held:
            return tensor(0.0)
        sizes = [abs(p.grad) for p in held if p.grad is not None]
        if power == math.inf:
            total = sizes[0].max()
            for size in sizes[1:]:
                total = OPS["maximum"](total, size.max())
        elif power == 2:
            total = OPS["sqrt"](_sum([(size * size).sum() for size in sizes]))
        else:
            total = _sum([(size**power).sum() for size in sizes]) ** (1 / power)
        if error_if_nonfinite and not math.isfinite(total.item()):
            raise NonFiniteError(
                "the gradients are not finite",
                where="clip_grad_norm_",
                expected="a finite length",
                received=f"{total.item():g}",
                hint="a smaller learning rate, or scaled inputs",
            )
        kept = OPS["minimum"](bound / (total + 1e-6), 1.0)
        for parameter in held:
            assert parameter.grad is not None
            parameter.grad = parameter.grad * kept
    found: Tensor = total
    return found


def _with_gradients(parameters: Parameter | Iterable[Parameter]) -> list[Parameter]:
    every = [parameters] if isinstance(parameters, Parameter) else parameters
    return [p for p in every if p.grad is not None]
