"""Activations as layers. Definitions, and derivatives where a curve has a kink, are PyTorch's."""

from __future__ import annotations

from typing import Any, ClassVar

from glassgrad.errors import ConfigError, unknown_name
from glassgrad.ops import OPS
from glassgrad.ops.record import whole

from .checks import check_array, check_float, checked_dtype, real, units
from .module import Module, Weight

# -- without settings --------------------------------------------------------------------------


class _Activation(Module):
    def settings(self) -> str:
        return ""


def _layer(name: str, op: str, relu_like: bool = False) -> type[Module]:
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
        "forward": lambda self, x: OPS[op](x),
    }
    return type(name, (_Activation,), body)


ReLU = _layer("ReLU", "relu", relu_like=True)
ReLU6 = _layer("ReLU6", "relu6", relu_like=True)
SiLU = _layer("SiLU", "silu", relu_like=True)
Hardswish = _layer("Hardswish", "hardswish", relu_like=True)
Mish = _layer("Mish", "mish", relu_like=True)
SELU = _layer("SELU", "selu")
Sigmoid = _layer("Sigmoid", "sigmoid")
Hardsigmoid = _layer("Hardsigmoid", "hardsigmoid")
LogSigmoid = _layer("LogSigmoid", "log_sigmoid")
Tanh = _layer("Tanh", "tanh")
Softsign = _layer("Softsign", "softsign")
Tanhshrink = _layer("Tanhshrink", "tanhshrink")

# -- with numbers to choose --------------------------------------------------------------------


class _Tuned(Module):
    """A layer of one op, which takes its numbers from attributes of the same names."""

    op: ClassVar[str]

    def numbers(self) -> dict[str, float]:
        return {a.name: getattr(self, a.name) for a in OPS[self.op].attributes}

    def forward(self, x: Any) -> Any:
        return OPS[self.op](x, **self.numbers())

    def settings(self) -> str:
        return ", ".join(str(v) for v in self.numbers().values())


class LeakyReLU(_Tuned):
    """ReLU with a small slope below 0 (0.01 by default).

    >>> from glassgrad import nn
    >>> nn.LeakyReLU(0.2)
    LeakyReLU(0.2)
    """

    op = "leaky_relu"
    formula = OPS["leaky_relu"].plain
    relu_like = True

    def __init__(self, slope: float = 0.01) -> None:
        super().__init__()
        self.slope = real(slope, "slope")


class ELU(_Tuned):
    """Exponential linear unit: x above 0, alpha (e^x - 1) below (Clevert 2016).

    >>> from glassgrad import nn
    >>> nn.ELU()
    ELU(1.0)
    """

    op = "elu"
    formula = OPS["elu"].plain
    relu_like = True

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = real(alpha, "alpha")


class CELU(_Tuned):
    """ELU whose slope is 1 at 0: x above 0, alpha (e^(x / alpha) - 1) below (Barron 2017).

    Raises ConfigError for an alpha of 0.

    >>> from glassgrad import nn
    >>> nn.CELU(0.5)
    CELU(0.5)
    """

    op = "celu"
    formula = OPS["celu"].plain
    relu_like = True

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = real(alpha, "alpha")
        if not self.alpha:
            raise ConfigError("alpha divides, so it cannot be 0", received="0")


class Hardtanh(_Tuned):
    """min(max(x, min_val), max_val); the derivative at the bounds and beyond is 0.

    Raises ConfigError unless min_val is below max_val.

    >>> from glassgrad import nn
    >>> nn.Hardtanh()
    Hardtanh(-1.0, 1.0)
    """

    op = "hardtanh"
    formula = OPS["hardtanh"].plain

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        super().__init__()
        self.min_val, self.max_val = real(min_val, "min_val"), real(max_val, "max_val")
        if not self.min_val < self.max_val:
            raise ConfigError(
                "no number lies between these bounds",
                expected="min_val below max_val",
                received=f"{self.min_val} and {self.max_val}",
            )


class Threshold(_Tuned):
    """x where it is above the threshold, `value` elsewhere.

    >>> from glassgrad import nn
    >>> nn.Threshold(0.1, 20)
    Threshold(0.1, 20.0)
    """

    op = "threshold"
    formula = OPS["threshold"].plain

    def __init__(self, threshold: float, value: float) -> None:
        super().__init__()
        self.threshold, self.value = real(threshold, "threshold"), real(value, "value")


class Hardshrink(_Tuned):
    """x where |x| > lambd, 0 elsewhere.

    >>> from glassgrad import nn
    >>> nn.Hardshrink()
    Hardshrink(0.5)
    """

    op = "hardshrink"
    formula = OPS["hardshrink"].plain

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = real(lambd, "lambd")


class Softshrink(_Tuned):
    """x moved towards 0 by lambd, 0 where it is nearer. Raises ConfigError for a lambd below 0.

    >>> from glassgrad import nn
    >>> nn.Softshrink()
    Softshrink(0.5)
    """

    op = "softshrink"
    formula = OPS["softshrink"].plain

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = real(lambd, "lambd", 0)


class Softplus(_Tuned):
    """Smooth ReLU: ln(1 + e^(beta x)) / beta. Raises ConfigError for a beta of 0 or below.

    It never overflows, so it has no use for PyTorch's threshold, above which that takes x itself:
    at 20, the default, the two differ by 2e-9.

    >>> from glassgrad import nn
    >>> nn.Softplus()
    Softplus()
    """

    op = "softplus"
    formula = OPS["softplus"].plain
    relu_like = True

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = real(beta, "beta", 1e-300)

    def settings(self) -> str:
        return "" if self.beta == 1 else f"{self.beta}"


class GELU(Module):
    """Gaussian error linear unit: x times the share of a normal below x (Hendrycks 2016).

    Exact, or with `approximate="tanh"` as GPT-2 has it. Raises ConfigError for other names.

    >>> from glassgrad import nn
    >>> nn.GELU(approximate="tanh")
    GELU(approximate='tanh')
    """

    relu_like = True

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        known = {"none": "gelu", "tanh": "gelu_tanh"}
        if approximate not in known:
            raise unknown_name("approximation", approximate, tuple(known))
        self.approximate, self.op = approximate, known[approximate]
        self.formula = OPS[self.op].plain

    def forward(self, x: Any) -> Any:
        return OPS[self.op](x)

    def settings(self) -> str:
        return "" if self.approximate == "none" else f"approximate={self.approximate!r}"


class PReLU(Module):
    """ReLU with a learnt slope below 0, one for all or one for each channel, axis 1 (He 2015).

    Shapes: x (n, channels, ...), weight (num_parameters,), result as x. The slopes start at
    `init`. Raises ShapeError where there are neither 1 nor as many slopes as channels.

    >>> from glassgrad import nn
    >>> nn.PReLU()
    PReLU(1)
    """

    formula = OPS["prelu"].plain
    relu_like = True

    def __init__(self, num_parameters: int = 1, init: float = 0.25, dtype: str = "float32") -> None:
        super().__init__()
        count = units(num_parameters, "num_parameters")
        self.weight = Weight(count, how=real(init, "init"), dtype=checked_dtype(dtype))

    def prepare(self, x: Any) -> None:
        check_array(x)
        check_float(self, x)

    def forward(self, x: Any) -> Any:
        return OPS["prelu"](x, self.weight)

    def settings(self) -> str:
        return f"{self.weight.sizes[0]}"


# -- along an axis -----------------------------------------------------------------------------


class _AlongAxis(Module):
    op: ClassVar[str]

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = whole(axis, "axis")

    def forward(self, x: Any) -> Any:
        return OPS[self.op](x, axis=self.axis)

    def settings(self) -> str:
        return "" if self.axis == -1 else f"{self.axis}"


class Softmax(_AlongAxis):
    """Positive shares that sum to 1 along an axis, the last by default.

    >>> from glassgrad import nn
    >>> nn.Softmax()
    Softmax()
    """

    op = "softmax"
    formula = OPS["softmax"].plain


class LogSoftmax(_AlongAxis):
    """Logarithm of softmax along an axis, the last by default, accurate for any size of x.

    >>> from glassgrad import nn
    >>> nn.LogSoftmax()
    LogSoftmax()
    """

    op = "log_softmax"
    formula = OPS["log_softmax"].plain


class Softmin(_AlongAxis):
    """Softmax of -x along an axis, the last by default: the smallest has the largest share.

    >>> from glassgrad import nn
    >>> nn.Softmin()
    Softmin()
    """

    op = "softmin"
    formula = OPS["softmin"].plain


class GLU(_AlongAxis):
    """The first half along an axis times the sigmoid of the second half (Dauphin 2017).

    The axis, the last by default, is halved. Raises ShapeError where its size is odd.

    >>> from glassgrad import nn
    >>> nn.GLU()
    GLU()
    """

    op = "glu"
    formula = OPS["glu"].plain
