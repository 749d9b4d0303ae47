"""Penalties on weights, and bounds that they are kept within. Definitions are Keras's.

    nn.regularize(model, "*.weight", nn.L2(1e-4))
    nn.constrain(model, "*.weight", nn.MaxNorm(3.0))

`fit` adds the penalties to the loss; an eager loop adds `nn.penalty(model)`. Constraints are applied
after each update.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from glassgrad.errors import ConfigError, UsageError, shown
from glassgrad.ops import OPS, Array, named
from glassgrad.tensors.tensor import Parameter

from .checks import real
from .module import Module

Rule = Callable[[Any], Any]
Model = TypeVar("Model", bound=Module)
_TINY = 1e-7  # Keras's epsilon


class L1L2:
    """l1 sum |w| + l2 sum w^2.

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> nn.L1L2(l1=0.5, l2=0.25)(gg.tensor([1.0, -2.0]))
    tensor(2.75)
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = real(l1, "l1", 0.0)
        self.l2 = real(l2, "l2", 0.0)

    def __call__(self, w: Any) -> Any:
        """The penalty of these weights."""
        parts = []
        if self.l1:
            parts.append(self.l1 * abs(w).sum())
        if self.l2:
            parts.append(self.l2 * (w * w).sum())
        if not parts:
            return 0.0 * w.sum()
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    def __repr__(self) -> str:
        return f"L1L2(l1={self.l1!r}, l2={self.l2!r})"


class L1(L1L2):
    """l1 sum |w|, which makes weights 0 (Tibshirani 1996).

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> nn.L1(0.5)(gg.tensor([1.0, -2.0]))
    tensor(1.5)
    """

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)

    def __repr__(self) -> str:
        return f"L1({self.l1!r})"


class L2(L1L2):
    """l2 sum w^2, which keeps weights small; its gradient is 2 l2 w.

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> nn.L2(0.5)(gg.tensor([1.0, -2.0]))
    tensor(2.5)
    """

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)

    def __repr__(self) -> str:
        return f"L2({self.l2!r})"


class _ByLength:
    """Those that look at the length of the weights along some axes."""

    def __init__(self, axis: int | tuple[int, ...]) -> None:
        axes = axis if isinstance(axis, tuple | list) else (axis,)
        if not axes or any(isinstance(a, bool) or not isinstance(a, int) for a in axes):
            raise ConfigError(
                "axis names the axes of one unit's weights",
                expected="a whole number, or a tuple of them",
                received=shown(axis),
            )
        self.axis = tuple(axes) if isinstance(axis, tuple | list) else axis

    def length(self, w: Any) -> Any:
        """The square root of the sum of squares along the axes, which are kept with size 1."""
        return named(OPS["sqrt"]((w * w).sum(axis=self.axis, keepdims=True)), "length")


class MaxNorm(_ByLength):
    """The weights of a unit no longer than `max`: w min(|w|, max) / (|w| + 1e-7).

    `axis` are the axes along which the weights of one unit lie: 0 for `Linear`, whose weights are
    (in, out); (1, 2, 3) for `Conv2d`, (out, in, *kernel) (Srebro et al. 2005).

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> nn.MaxNorm(1.0)(gg.tensor([[3.0, 0.1], [4.0, 0.2]])).numpy().round(3)
    array([[0.6, 0.1],
           [0.8, 0.2]], dtype=float32)
    """

    def __init__(self, max: float = 2.0, axis: int | tuple[int, ...] = 0) -> None:
        super().__init__(axis)
        self.max = real(max, "max", 0.0)

    def __call__(self, w: Any) -> Any:
        """The weights, shortened."""
        length = self.length(w)
        return w * (OPS["minimum"](length, self.max) / (_TINY + length))

    def __repr__(self) -> str:
        return f"MaxNorm({self.max!r}, axis={self.axis!r})"


class UnitNorm(_ByLength):
    """The weights of a unit of length 1: w / (|w| + 1e-7); `axis` as in `MaxNorm`.

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> nn.UnitNorm()(gg.tensor([[3.0], [4.0]])).numpy().round(3)
    array([[0.6],
           [0.8]], dtype=float32)
    """

    def __init__(self, axis: int | tuple[int, ...] = 0) -> None:
        super().__init__(axis)

    def __call__(self, w: Any) -> Any:
        """The weights, of length 1."""
        return w / (_TINY + self.length(w))

    def __repr__(self) -> str:
        return f"UnitNorm(axis={self.axis!r})"


class NonNeg:
    """No weight below 0: max(w, 0).

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> nn.NonNeg()(gg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def __call__(self, w: Any) -> Any:
        """The weights, the negative ones 0."""
        return OPS["maximum"](w, 0.0)

    def __repr__(self) -> str:
        return "NonNeg()"


def regularize(model: Model, pattern: str, regularizer: Rule | None) -> Model:
    """Give the parameters whose path fits a pattern a penalty, a function w -> number.

    * in the pattern stands for anything; None takes the penalty away. Gives the model back.
    Raises ConfigError for a pattern that fits nothing or what is not a function.

    >>> from glassgrad import nn
    >>> model = nn.regularize(nn.Linear(2, 1), "weight", nn.L2(0.5))
    >>> model.weight.regularizer, model.bias.regularizer
    (L2(0.5), None)
    """
    for parameter in model.matching(pattern):
        parameter.regularizer = _checked(regularizer, "regulariser", "nn.L2(1e-4)")
    return model


def constrain(model: Model, pattern: str, constraint: Rule | None) -> Model:
    """Give the parameters whose path fits a pattern a constraint, a function w -> w.

    * in the pattern stands for anything; None takes the constraint away. Gives the model back.
    Raises ConfigError for a pattern that fits nothing or what is not a function.

    >>> from glassgrad import nn
    >>> nn.constrain(nn.Linear(2, 1), "*", nn.NonNeg()).weight.constraint
    NonNeg()
    """
    for parameter in model.matching(pattern):
        parameter.constraint = _checked(constraint, "constraint", "nn.MaxNorm(3.0)")
    return model


def _checked(rule: Any, what: str, example: str) -> Rule | None:
    if rule is not None and (not callable(rule) or isinstance(rule, type)):
        raise ConfigError(
            f"this is not a {what}",
            expected=f"a function of the weights such as {example}, or None",
            received=shown(rule),
        )
    found: Rule | None = rule
    return found


def penalty(model: Module) -> Any:
    """The sum of the penalties of all parameters, to be added to a loss; 0.0 without any.

    >>> from glassgrad import nn
    >>> model = nn.regularize(nn.Linear(2, 1, init=3.0), "weight", nn.L2(0.5))
    >>> nn.penalty(model)
    tensor(9., requires_grad=True)
    """
    total: Any = None
    for parameter in model.parameters():
        if parameter.regularizer is not None:
            part = cost(parameter)
            total = part if total is None else total + part
    return 0.0 if total is None else total


def cost(parameter: Parameter) -> Any:
    """The penalty of one parameter that has one."""
    assert parameter.regularizer is not None
    found = parameter.regularizer(parameter)
    if not isinstance(found, Array) or found.shape != ():
        raise UsageError(
            "a penalty is one number",
            where=parameter.name,
            expected="a scalar, such as a sum over the weights",
            received=f"shape {found.shape}" if isinstance(found, Array) else shown(found),
        )
    return found


def bounded(constraint: Rule, w: Any, name: str) -> Any:
    """Weights within their constraint."""
    found = constraint(w)
    alike = isinstance(found, Array) and (found.shape, found.dtype) == (w.shape, w.dtype)
    if not alike:
        kind = f"{found.dtype} {found.shape}" if isinstance(found, Array) else shown(found)
        raise UsageError(
            "a constraint gives weights of the same kind",
            where=name,
            expected=f"{w.dtype} {w.shape}",
            received=kind,
        )
    return found
