"""Activations as layers."""

from __future__ import annotations

from typing import Any

from glassgrad.ops import OPS
from glassgrad.ops.record import whole
from glassgrad.tensors.functions import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)

from .module import Module, real


class _Activation(Module):
    def settings(self) -> str:
        return ""


def _layer(name: str, function: Any, op: str, relu_like: bool = False) -> type[Module]:
    says = OPS[op].says
    doc = f"""{says[0].upper()}{says[1:]}

    Formula: {OPS[op].formula}. Any shape, kept.

    >>> from glassgrad import nn
    >>> nn.{name}()
    {name}()
    """
    body = {
        "__doc__": doc,
        "__module__": __name__,
        "formula": OPS[op].plain,
        "relu_like": relu_like,
        "forward": lambda self, x: function(x),
    }
    return type(name, (_Activation,), body)


ReLU = _layer("ReLU", relu, "relu", relu_like=True)
GELU = _layer("GELU", gelu, "gelu", relu_like=True)
SiLU = _layer("SiLU", silu, "silu", relu_like=True)
Sigmoid = _layer("Sigmoid", sigmoid, "sigmoid")
Tanh = _layer("Tanh", tanh, "tanh")
Softplus = _layer("Softplus", softplus, "softplus", relu_like=True)


class LeakyReLU(Module):
    """ReLU with a small slope below 0 (0.01 by default).

    >>> from glassgrad import nn
    >>> nn.LeakyReLU(0.2)
    LeakyReLU(0.2)
    """

    formula = OPS["leaky_relu"].plain
    relu_like = True

    def __init__(self, slope: float = 0.01) -> None:
        super().__init__()
        self.slope = real(slope, "slope")

    def forward(self, x: Any) -> Any:
        return leaky_relu(x, self.slope)

    def settings(self) -> str:
        return f"{self.slope}"


class ELU(Module):
    """Exponential linear unit: x above 0, alpha (e^x - 1) below (Clevert 2016).

    >>> from glassgrad import nn
    >>> nn.ELU()
    ELU(1.0)
    """

    formula = OPS["elu"].plain
    relu_like = True

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = real(alpha, "alpha")

    def forward(self, x: Any) -> Any:
        return elu(x, self.alpha)

    def settings(self) -> str:
        return f"{self.alpha}"


class Softmax(Module):
    """Positive shares that sum to 1 along an axis, the last by default.

    >>> from glassgrad import nn
    >>> nn.Softmax()
    Softmax()
    """

    formula = OPS["softmax"].plain

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = whole(axis, "axis")

    def forward(self, x: Any) -> Any:
        return softmax(x, self.axis)

    def settings(self) -> str:
        return "" if self.axis == -1 else f"{self.axis}"


class LogSoftmax(Module):
    """Logarithm of softmax along an axis, the last by default, accurate for any size of x.

    >>> from glassgrad import nn
    >>> nn.LogSoftmax()
    LogSoftmax()
    """

    formula = OPS["log_softmax"].plain

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = whole(axis, "axis")

    def forward(self, x: Any) -> Any:
        return log_softmax(x, self.axis)

    def settings(self) -> str:
        return "" if self.axis == -1 else f"{self.axis}"
