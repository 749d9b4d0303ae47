# Written by scripts/generate_functions.py from the op records; do not edit. It is long because
# every record has its function here.
# ruff: noqa: A001, RUF022  # names are those of ops, in their order
"""Every public op as a function of tensors.

An operand may be a tensor, a NumPy array, a list of numbers or a number; where none is a tensor,
all are made tensors. Inside a program that is being written the result is a traced value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from numpy.typing import ArrayLike

from glassgrad.ir import FLOATS
from glassgrad.ops import OPS, Array

from .tensor import Tensor, tensor

Operand: TypeAlias = "Array | ArrayLike"
_START = tensor(0)  # who is asked where no operand can be


def _apply(name: str, *operands: Any, **attributes: Any) -> Any:
    if not OPS[name].inputs:  # into the program that is being written, if one is
        return _START.emit(OPS[name], (), OPS[name].normal((), attributes))
    arrays = [x for x in operands if isinstance(x, Array)]
    numbers = not [x for x in operands if not isinstance(x, int | float)]
    real = [x.dtype for x in arrays if x.dtype in FLOATS]
    given = list(operands)
    for i, x in enumerate(operands):
        if isinstance(x, list | tuple):
            given[i] = tensor(x)
            if real and given[i].dtype in FLOATS:  # like a number, it takes its neighbour's dtype
                given[i] = given[i].astype(real[0])
        elif not arrays and (numbers or not isinstance(x, int | float)):
            given[i] = tensor(x)
    return OPS[name](*given, **attributes)


def add(x: Operand, y: Operand) -> Tensor:
    """Sum of two tensors.

    Formula: x + y.

    Shapes stretch to fit by NumPy's rule; one dtype for both. Raises ShapeError for shapes that do
    not stretch to fit, DTypeError for two dtypes.

    >>> import glassgrad as gg
    >>> gg.add([1.0, 2.0], 3.0)
    tensor([4., 5.])
    """
    found: Tensor = _apply("add", x, y)
    return found


def subtract(x: Operand, y: Operand) -> Tensor:
    """Difference of two tensors.

    Formula: x - y.

    Shapes stretch to fit by NumPy's rule; one dtype for both. Raises ShapeError for shapes that do
    not stretch to fit, DTypeError for two dtypes.

    >>> import glassgrad as gg
    >>> gg.subtract([1.0, 2.0], 3.0)
    tensor([-2., -1.])
    """
    found: Tensor = _apply("subtract", x, y)
    return found


def multiply(x: Operand, y: Operand) -> Tensor:
    r"""Product of two tensors, number by number; the second may be truth values.

    Formula: x\,y.

    Shapes stretch to fit by NumPy's rule; the second may be bool. Raises ShapeError for shapes that
    do not stretch to fit, DTypeError for two dtypes.

    >>> import glassgrad as gg
    >>> gg.multiply([1.0, 2.0], 3.0)
    tensor([3., 6.])
    """
    found: Tensor = _apply("multiply", x, y)
    return found


def divide(x: Operand, y: Operand) -> Tensor:
    """Quotient of two tensors.

    Formula: x / y.

    Shapes stretch to fit by NumPy's rule; one real dtype for both. Raises ShapeError for shapes
    that do not stretch to fit, DTypeError for two dtypes.

    >>> import glassgrad as gg
    >>> gg.divide([1.0, 2.0], 4.0)
    tensor([0.25, 0.5 ])
    """
    found: Tensor = _apply("divide", x, y)
    return found


def negative(x: Operand) -> Tensor:
    """The number with the other sign.

    Formula: -x.

    Shape and dtype are kept. Raises DTypeError for truth values.

    >>> import glassgrad as gg
    >>> gg.negative([1.0, -2.0])
    tensor([-1.,  2.])
    """
    found: Tensor = _apply("negative", x)
    return found


def power(x: Operand, y: Operand) -> Tensor:
    """The first tensor to the power of the second.

    Formula: x^y.

    Shapes stretch to fit by NumPy's rule; one real dtype for both. Raises ShapeError for shapes
    that do not stretch to fit, DTypeError for two dtypes.

    >>> import glassgrad as gg
    >>> gg.power([1.0, 2.0, 3.0], 2)
    tensor([1., 4., 9.])
    """
    found: Tensor = _apply("power", x, y)
    return found


def exp(x: Operand) -> Tensor:
    """E to the power of x.

    Formula: e^{x}.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.exp([0.0, 1.0])
    tensor([1.      , 2.718282])
    """
    found: Tensor = _apply("exp", x)
    return found


def expm1(x: Operand) -> Tensor:
    """Exp(x) - 1, accurate near zero.

    Formula: e^{x} - 1.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.expm1([0.0, 0.5])
    tensor([0.       , 0.6487213])
    """
    found: Tensor = _apply("expm1", x)
    return found


def log(x: Operand) -> Tensor:
    r"""Natural logarithm.

    Formula: \ln x.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.log([1.0, 10.0])
    tensor([0.       , 2.3025851])
    """
    found: Tensor = _apply("log", x)
    return found


def log2(x: Operand) -> Tensor:
    r"""Logarithm to the base 2.

    Formula: \log_2 x.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.log2([1.0, 8.0])
    tensor([0., 3.])
    """
    found: Tensor = _apply("log2", x)
    return found


def log10(x: Operand) -> Tensor:
    r"""Logarithm to the base 10.

    Formula: \log_{10} x.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.log10([1.0, 10.0])
    tensor([0., 1.])
    """
    found: Tensor = _apply("log10", x)
    return found


def log1p(x: Operand) -> Tensor:
    r"""Log(1 + x), accurate near zero.

    Formula: \ln(1 + x).

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.log1p([0.0, 1.0])
    tensor([0.       , 0.6931472])
    """
    found: Tensor = _apply("log1p", x)
    return found


def tanh(x: Operand) -> Tensor:
    r"""Hyperbolic tangent.

    Formula: \tanh x.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.tanh([0.0, 1.0])
    tensor([0.       , 0.7615942])
    """
    found: Tensor = _apply("tanh", x)
    return found


def sqrt(x: Operand) -> Tensor:
    r"""Square root.

    Formula: \sqrt{x}.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.sqrt([4.0, 9.0])
    tensor([2., 3.])
    """
    found: Tensor = _apply("sqrt", x)
    return found


def sin(x: Operand) -> Tensor:
    r"""Sine, x in radians.

    Formula: \sin x.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.sin([0.0, 1.0])
    tensor([0.      , 0.841471])
    """
    found: Tensor = _apply("sin", x)
    return found


def cos(x: Operand) -> Tensor:
    r"""Cosine, x in radians.

    Formula: \cos x.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.cos([0.0, 1.0])
    tensor([1.       , 0.5403023])
    """
    found: Tensor = _apply("cos", x)
    return found


def tan(x: Operand) -> Tensor:
    r"""Tangent, x in radians.

    Formula: \tan x.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.tan([0.5, 1.0])
    tensor([0.5463025, 1.5574077])
    """
    found: Tensor = _apply("tan", x)
    return found


def arcsin(x: Operand) -> Tensor:
    r"""Angle whose sine is x, in radians.

    Formula: \arcsin x.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.arcsin([0.5, 1.0])
    tensor([0.5235988, 1.5707964])
    """
    found: Tensor = _apply("arcsin", x)
    return found


def arccos(x: Operand) -> Tensor:
    r"""Angle whose cosine is x, in radians.

    Formula: \arccos x.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.arccos([0.5, 1.0])
    tensor([1.0471976, 0.       ])
    """
    found: Tensor = _apply("arccos", x)
    return found


def sinh(x: Operand) -> Tensor:
    r"""Hyperbolic sine.

    Formula: \frac{1}{2} (e^x - e^{-x}).

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.sinh([0.5, 1.0])
    tensor([0.5210953, 1.1752012])
    """
    found: Tensor = _apply("sinh", x)
    return found


def cosh(x: Operand) -> Tensor:
    r"""Hyperbolic cosine.

    Formula: \frac{1}{2} (e^x + e^{-x}).

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.cosh([-1.5, 0.0])
    tensor([2.3524096, 1.       ])
    """
    found: Tensor = _apply("cosh", x)
    return found


def erf(x: Operand) -> Tensor:
    r"""Error function, the share of a normal distribution near its middle.

    Formula: \frac{2}{\sqrt{\pi}} \int_0^x e^{-t^2}\,dt.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.erf([0.0, 1.0])
    tensor([0.       , 0.8427008])
    """
    found: Tensor = _apply("erf", x)
    return found


def abs(x: Operand) -> Tensor:
    """Size of the number without its sign; the derivative at 0 is 0.

    Formula: |x|.

    Shape and dtype are kept. Raises DTypeError for truth values.

    >>> import glassgrad as gg
    >>> gg.abs([-1.5, 2.0])
    tensor([1.5, 2. ])
    """
    found: Tensor = _apply("absolute", x)
    return found


def sign(x: Operand) -> Tensor:
    r"""-1, 0 or 1.

    Formula: \operatorname{sign} x.

    Shape and dtype are kept. Raises DTypeError for truth values.

    >>> import glassgrad as gg
    >>> gg.sign([-1.5, 0.0, 2.0])
    tensor([-1.,  0.,  1.])
    """
    found: Tensor = _apply("sign", x)
    return found


def maximum(x: Operand, y: Operand) -> Tensor:
    r"""The larger of two numbers; a tie gives the derivative to the first.

    Formula: \max(x, y).

    Shapes stretch to fit by NumPy's rule; one dtype for both. Raises ShapeError for shapes that do
    not stretch to fit, DTypeError for two dtypes.

    >>> import glassgrad as gg
    >>> gg.maximum([1.0, 5.0], 3.0)
    tensor([3., 5.])
    """
    found: Tensor = _apply("maximum", x, y)
    return found


def minimum(x: Operand, y: Operand) -> Tensor:
    r"""The smaller of two numbers; a tie gives the derivative to the first.

    Formula: \min(x, y).

    Shapes stretch to fit by NumPy's rule; one dtype for both. Raises ShapeError for shapes that do
    not stretch to fit, DTypeError for two dtypes.

    >>> import glassgrad as gg
    >>> gg.minimum([1.0, 5.0], 3.0)
    tensor([1., 3.])
    """
    found: Tensor = _apply("minimum", x, y)
    return found


def less(x: Operand, y: Operand) -> Tensor:
    """Whether x < y.

    Formula: x < y.

    Shapes stretch to fit by NumPy's rule; the result is bool. Raises ShapeError for shapes that do
    not stretch to fit, DTypeError for two dtypes.

    >>> import glassgrad as gg
    >>> gg.less([1.0, 2.0, 3.0], 2.0)
    tensor([ True, False, False], dtype=bool)
    """
    found: Tensor = _apply("less", x, y)
    return found


def less_equal(x: Operand, y: Operand) -> Tensor:
    r"""Whether x <= y.

    Formula: x \le y.

    Shapes stretch to fit by NumPy's rule; the result is bool. Raises ShapeError for shapes that do
    not stretch to fit, DTypeError for two dtypes.

    >>> import glassgrad as gg
    >>> gg.less_equal([1.0, 2.0, 3.0], 2.0)
    tensor([ True,  True, False], dtype=bool)
    """
    found: Tensor = _apply("less_equal", x, y)
    return found


def greater(x: Operand, y: Operand) -> Tensor:
    """Whether x > y.

    Formula: x > y.

    Shapes stretch to fit by NumPy's rule; the result is bool. Raises ShapeError for shapes that do
    not stretch to fit, DTypeError for two dtypes.

    >>> import glassgrad as gg
    >>> gg.greater([1.0, 2.0, 3.0], 2.0)
    tensor([False, False,  True], dtype=bool)
    """
    found: Tensor = _apply("greater", x, y)
    return found


def greater_equal(x: Operand, y: Operand) -> Tensor:
    r"""Whether x >= y.

    Formula: x \ge y.

    Shapes stretch to fit by NumPy's rule; the result is bool. Raises ShapeError for shapes that do
    not stretch to fit, DTypeError for two dtypes.

    >>> import glassgrad as gg
    >>> gg.greater_equal([1.0, 2.0, 3.0], 2.0)
    tensor([False,  True,  True], dtype=bool)
    """
    found: Tensor = _apply("greater_equal", x, y)
    return found


def equal(x: Operand, y: Operand) -> Tensor:
    """Whether x = y.

    Formula: x = y.

    Shapes stretch to fit by NumPy's rule; the result is bool. Raises ShapeError for shapes that do
    not stretch to fit, DTypeError for two dtypes.

    >>> import glassgrad as gg
    >>> gg.equal([1.0, 2.0, 3.0], 2.0)
    tensor([False,  True, False], dtype=bool)
    """
    found: Tensor = _apply("equal", x, y)
    return found


def not_equal(x: Operand, y: Operand) -> Tensor:
    r"""Whether x and y differ.

    Formula: x \ne y.

    Shapes stretch to fit by NumPy's rule; the result is bool. Raises ShapeError for shapes that do
    not stretch to fit, DTypeError for two dtypes.

    >>> import glassgrad as gg
    >>> gg.not_equal([1.0, 2.0, 3.0], 2.0)
    tensor([ True, False,  True], dtype=bool)
    """
    found: Tensor = _apply("not_equal", x, y)
    return found


def where(condition: Operand, x: Operand, y: Operand) -> Tensor:
    r"""X where the condition holds, y elsewhere.

    Formula: x \text{ if } c \text{ else } y.

    Shapes stretch to fit by NumPy's rule; condition bool, x and y of one dtype. Raises ShapeError
    for shapes that do not stretch to fit, DTypeError for two dtypes.

    >>> import glassgrad as gg
    >>> gg.where([True, False], [1.0, 2.0], 0.0)
    tensor([1., 0.])
    """
    found: Tensor = _apply("select", condition, x, y)
    return found


def astype(x: Operand, dtype: str) -> Tensor:
    """The values as another kind of number.

    Formula: x.

    The shape is kept. Raises DTypeError for an unknown dtype.

    >>> import glassgrad as gg
    >>> gg.astype([1.7, -1.7], "int64")
    tensor([ 1, -1], dtype=int64)
    """
    found: Tensor = _apply("cast", x, dtype=dtype)
    return found


def logical_and(x: Operand, y: Operand) -> Tensor:
    r"""Whether both hold.

    Formula: x \land y.

    Shapes stretch to fit by NumPy's rule; both bool, as the result. Raises ShapeError for shapes
    that do not fit, DTypeError for numbers.

    >>> import glassgrad as gg
    >>> gg.logical_and([True, True], [True, False])
    tensor([ True, False], dtype=bool)
    """
    found: Tensor = _apply("logical_and", x, y)
    return found


def logical_or(x: Operand, y: Operand) -> Tensor:
    r"""Whether one of the two holds, or both.

    Formula: x \lor y.

    Shapes stretch to fit by NumPy's rule; both bool, as the result. Raises ShapeError for shapes
    that do not fit, DTypeError for numbers.

    >>> import glassgrad as gg
    >>> gg.logical_or([True, False], [False, False])
    tensor([ True, False], dtype=bool)
    """
    found: Tensor = _apply("logical_or", x, y)
    return found


def logical_xor(x: Operand, y: Operand) -> Tensor:
    r"""Whether just one of the two holds.

    Formula: x \oplus y.

    Shapes stretch to fit by NumPy's rule; both bool, as the result. Raises ShapeError for shapes
    that do not fit, DTypeError for numbers.

    >>> import glassgrad as gg
    >>> gg.logical_xor([True, True], [True, False])
    tensor([False,  True], dtype=bool)
    """
    found: Tensor = _apply("logical_xor", x, y)
    return found


def logical_not(x: Operand) -> Tensor:
    r"""Whether it does not hold.

    Formula: \lnot x.

    The shape is kept; bool. Raises DTypeError for numbers.

    >>> import glassgrad as gg
    >>> gg.logical_not([True, False])
    tensor([False,  True], dtype=bool)
    """
    found: Tensor = _apply("logical_not", x)
    return found


def floor(x: Operand) -> Tensor:
    r"""The next whole number below; it has no derivative.

    Formula: \lfloor x \rfloor.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.floor([-1.5, 1.5])
    tensor([-2.,  1.])
    """
    found: Tensor = _apply("floor", x)
    return found


def ceil(x: Operand) -> Tensor:
    r"""The next whole number above; it has no derivative.

    Formula: \lceil x \rceil.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.ceil([-1.5, 1.5])
    tensor([-1.,  2.])
    """
    found: Tensor = _apply("ceil", x)
    return found


def trunc(x: Operand) -> Tensor:
    r"""The next whole number towards 0; it has no derivative.

    Formula: \operatorname{sign}(x) \lfloor |x| \rfloor.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.trunc([-1.5, 1.5])
    tensor([-1.,  1.])
    """
    found: Tensor = _apply("trunc", x)
    return found


def round(x: Operand) -> Tensor:
    r"""The nearest whole number, the even one of two; it has no derivative.

    Formula: \lfloor x \rceil.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.round([0.5, 1.5, 2.6])
    tensor([0., 2., 3.])
    """
    found: Tensor = _apply("round", x)
    return found


def remainder(x: Operand, y: Operand) -> Tensor:
    r"""What division leaves, with the sign of the divisor.

    Formula: x - y \lfloor x / y \rfloor.

    Shapes stretch to fit by NumPy's rule; one real dtype for both. Raises ShapeError for shapes
    that do not stretch to fit, DTypeError for two dtypes.

    >>> import glassgrad as gg
    >>> gg.remainder([-1.0, 4.5], 3.0)
    tensor([2. , 1.5])
    """
    found: Tensor = _apply("remainder", x, y)
    return found


def clip(x: Operand, low: float | None = None, high: float | None = None) -> Tensor:
    r"""The nearest number within bounds; at a bound the derivative is 1.

    Formula: \min(\max(x, a), b).

    Shape and dtype are kept; one of the bounds may be None. Raises ConfigError without a bound or
    for low above high, DTypeError for other numbers.

    >>> import glassgrad as gg
    >>> gg.clip([-2.0, 0.5, 2.0], -1.0, 1.0)
    tensor([-1. ,  0.5,  1. ])
    """
    found: Tensor = _apply("clip", x, low=low, high=high)
    return found


def sum(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
    r"""Sum over axes, all of them by default.

    Formula: \sum_i x_i.

    Without `axis` the result is one number; `keepdims` leaves axes of size 1. Raises ShapeError for
    an axis that is not there, DTypeError for truth values.

    >>> import glassgrad as gg
    >>> gg.sum([[1.0, 2.0], [3.0, 4.0]], axis=0)
    tensor([4., 6.])
    """
    found: Tensor = _apply("sum", x, axis=axis, keepdims=keepdims)
    return found


def mean(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
    r"""Mean over axes, all of them by default.

    Formula: \frac{1}{n} \sum_i x_i.

    Without `axis` the result is one number; `keepdims` leaves axes of size 1. Raises ShapeError for
    an axis that is not there, DTypeError for whole numbers.

    >>> import glassgrad as gg
    >>> gg.mean([[1.0, 2.0], [3.0, 4.0]])
    tensor(2.5)
    """
    found: Tensor = _apply("mean", x, axis=axis, keepdims=keepdims)
    return found


def max(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
    r"""Largest number over axes, all of them by default; a tie gives all to the first.

    Formula: \max_i x_i.

    Without `axis` the result is one number; `keepdims` leaves axes of size 1. Raises ShapeError for
    an axis that is not there or has no numbers.

    >>> import glassgrad as gg
    >>> gg.max([[1.0, 2.0], [3.0, 4.0]], axis=1)
    tensor([2., 4.])
    """
    found: Tensor = _apply("max", x, axis=axis, keepdims=keepdims)
    return found


def min(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
    r"""Smallest number over axes, all of them by default; a tie gives all to the first.

    Formula: \min_i x_i.

    Without `axis` the result is one number; `keepdims` leaves axes of size 1. Raises ShapeError for
    an axis that is not there or has no numbers.

    >>> import glassgrad as gg
    >>> gg.min([[1.0, 2.0], [3.0, 4.0]], axis=1)
    tensor([1., 3.])
    """
    found: Tensor = _apply("min", x, axis=axis, keepdims=keepdims)
    return found


def argmax(x: Operand, axis: int = -1) -> Tensor:
    r"""Position of the first largest number along an axis.

    Formula: \operatorname{argmax}_i x_i.

    The axis goes; the result is int64. Raises ShapeError for an axis that is not there or has no
    numbers.

    >>> import glassgrad as gg
    >>> gg.argmax([[1.0, 2.0], [4.0, 3.0]])
    tensor([1, 0], dtype=int64)
    """
    found: Tensor = _apply("argmax", x, axis=axis)
    return found


def argmin(x: Operand, axis: int = -1) -> Tensor:
    r"""Position of the first smallest number along an axis.

    Formula: \operatorname{argmin}_i x_i.

    The axis goes; the result is int64. Raises ShapeError for an axis that is not there or has no
    numbers.

    >>> import glassgrad as gg
    >>> gg.argmin([[1.0, 2.0], [4.0, 3.0]])
    tensor([0, 1], dtype=int64)
    """
    found: Tensor = _apply("argmin", x, axis=axis)
    return found


def prod(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
    r"""Product over axes, all of them by default; its derivative is right where factors are 0.

    Formula: \prod_i x_i.

    Without `axis` the result is one number; `keepdims` leaves axes of size 1. Raises ShapeError for
    an axis that is not there, DTypeError for truth values.

    >>> import glassgrad as gg
    >>> gg.prod([[1.0, 2.0], [3.0, 4.0]], axis=0)
    tensor([3., 8.])
    """
    found: Tensor = _apply("prod", x, axis=axis, keepdims=keepdims)
    return found


def cumsum(x: Operand, axis: int = -1) -> Tensor:
    r"""Running sums along an axis: each number and all before it.

    Formula: y_i = \sum_{j \le i} x_j.

    Shape and dtype are kept. Raises ShapeError for an axis that is not there, DTypeError for truth
    values.

    >>> import glassgrad as gg
    >>> gg.cumsum([1.0, 2.0, 3.0])
    tensor([1., 3., 6.])
    """
    found: Tensor = _apply("cumsum", x, axis=axis)
    return found


def var(
    x: Operand,
    axis: int | tuple[int, ...] | None = None,
    correction: int = 1,
    keepdims: bool = False,
) -> Tensor:
    r"""Mean square distance from the mean; the sum is divided by the count less the correction.

    Formula: \frac{1}{n - c} \sum_i (x_i - \bar x)^2.

    Without `axis` the result is one number; `keepdims` leaves axes of size 1. `correction` is
    PyTorch's, 1 by default (NumPy's ddof is 0). Raises ShapeError for an axis that is not there or
    has too few numbers, DTypeError for whole numbers.

    >>> import glassgrad as gg
    >>> gg.var([1.0, 2.0, 3.0])
    tensor(1.)
    """
    found: Tensor = _apply("var", x, axis=axis, correction=correction, keepdims=keepdims)
    return found


def std(
    x: Operand,
    axis: int | tuple[int, ...] | None = None,
    correction: int = 1,
    keepdims: bool = False,
) -> Tensor:
    r"""Square root of var: how far numbers spread around their mean.

    Formula: \sqrt{\frac{1}{n - c} \sum_i (x_i - \bar x)^2}.

    Without `axis` the result is one number; `keepdims` leaves axes of size 1. `correction` is
    PyTorch's, 1 by default (NumPy's ddof is 0). Raises ShapeError for an axis that is not there or
    has too few numbers, DTypeError for whole numbers.

    >>> import glassgrad as gg
    >>> gg.std([1.0, 2.0, 3.0])
    tensor(1.)
    """
    found: Tensor = _apply(
        "standard_deviation", x, axis=axis, correction=correction, keepdims=keepdims
    )
    return found


def logsumexp(
    x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False
) -> Tensor:
    r"""Logarithm of the sum of exponentials over axes, accurate for any size of x.

    Formula: \ln \sum_i e^{x_i}.

    Without `axis` the result is one number; `keepdims` leaves axes of size 1. Raises ShapeError for
    an axis that is not there or has no numbers, DTypeError for whole numbers.

    >>> import glassgrad as gg
    >>> gg.logsumexp([0.0, 0.0])
    tensor(0.6931472)
    """
    found: Tensor = _apply("logsumexp", x, axis=axis, keepdims=keepdims)
    return found


def any(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
    r"""Whether one of the values over axes holds.

    Formula: \bigvee_i x_i.

    Without `axis` the result is one number; `keepdims` leaves axes of size 1. Raises ShapeError for
    an axis that is not there, DTypeError unless x is bool.

    >>> import glassgrad as gg
    >>> gg.any([[True, False], [False, False]], axis=1)
    tensor([ True, False], dtype=bool)
    """
    found: Tensor = _apply("any", x, axis=axis, keepdims=keepdims)
    return found


def all(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
    r"""Whether all values over axes hold.

    Formula: \bigwedge_i x_i.

    Without `axis` the result is one number; `keepdims` leaves axes of size 1. Raises ShapeError for
    an axis that is not there, DTypeError unless x is bool.

    >>> import glassgrad as gg
    >>> gg.all([[True, True], [True, False]], axis=1)
    tensor([ True, False], dtype=bool)
    """
    found: Tensor = _apply("all", x, axis=axis, keepdims=keepdims)
    return found


def reshape(x: Operand, shape: tuple[int, ...]) -> Tensor:
    """The same elements in another shape, in row-major order.

    Formula: x.

    One size may be -1. Raises ShapeError where the elements do not fill it.

    >>> import glassgrad as gg
    >>> gg.reshape([1.0, 2.0, 3.0, 4.0], (2, -1))
    tensor([[1., 2.],
            [3., 4.]])
    """
    found: Tensor = _apply("reshape", x, shape=shape)
    return found


def permute(x: Operand, axes: tuple[int, ...]) -> Tensor:
    r"""The axes in another order.

    Formula: x^{\mathsf T}.

    Axis i of the result is axis axes[i] of x. Raises ShapeError for other orders.

    >>> import glassgrad as gg
    >>> gg.permute([[1.0, 2.0]], (1, 0))
    tensor([[1.],
            [2.]])
    """
    found: Tensor = _apply("permute", x, axes=axes)
    return found


def broadcast_to(x: Operand, shape: tuple[int, ...]) -> Tensor:
    """The tensor stretched to a larger shape, nothing copied.

    Formula: x.

    Sizes of 1 stretch, from the last axis on. Raises ShapeError otherwise.

    >>> import glassgrad as gg
    >>> gg.broadcast_to([1.0, 2.0], (2, 2))
    tensor([[1., 2.],
            [1., 2.]])
    """
    found: Tensor = _apply("broadcast_to", x, shape=shape)
    return found


def pad(x: Operand, widths: tuple[tuple[int, int, int], ...], value: float = 0) -> Tensor:
    r"""A border of one number: (before, after, between neighbours) for each axis.

    Formula: \operatorname{pad}(x).

    One (before, after, between neighbours) for each axis. Raises ShapeError for another count of
    widths or one below 0.

    >>> import glassgrad as gg
    >>> gg.pad([1.0, 2.0], ((1, 2, 0),))
    tensor([0., 1., 2., 0., 0.])
    """
    found: Tensor = _apply("pad", x, widths=widths, value=value)
    return found


def concatenate(xs: Sequence[Operand], axis: int = 0) -> Tensor:
    r"""Tensors side by side along an axis.

    Formula: [x_1, x_2, \dots].

    Equal shapes but along the axis, and one dtype. Raises ShapeError or DTypeError otherwise.

    >>> import glassgrad as gg
    >>> gg.concatenate([[1.0], [2.0, 3.0]])
    tensor([1., 2., 3.])
    """
    found: Tensor = _apply("concatenate", *xs, axis=axis)
    return found


def flip(x: Operand, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """The numbers in reverse order along axes, all of them by default.

    Formula: y_i = x_{n - 1 - i}.

    Shape and dtype are kept. Raises ShapeError for an axis that is not there.

    >>> import glassgrad as gg
    >>> gg.flip([1.0, 2.0, 3.0])
    tensor([3., 2., 1.])
    """
    found: Tensor = _apply("flip", x, axis=axis)
    return found


def roll(x: Operand, shift: int, axis: int = -1) -> Tensor:
    r"""The numbers moved on along an axis; what leaves at the end comes in at the start.

    Formula: y_{(i + s) \bmod n} = x_i.

    Shape and dtype are kept. Raises ShapeError for an axis that is not there.

    >>> import glassgrad as gg
    >>> gg.roll([1.0, 2.0, 3.0], 1)
    tensor([3., 1., 2.])
    """
    found: Tensor = _apply("roll", x, shift=shift, axis=axis)
    return found


def tril(x: Operand, diagonal: int = 0) -> Tensor:
    r"""Matrices with zeros above a diagonal: 0 the main one, above it from 1 on.

    Formula: x_{ij}\,[j \le i + k].

    (..., rows, columns), kept. Raises ShapeError for fewer than two axes.

    >>> import glassgrad as gg
    >>> gg.tril([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 0.],
            [3., 4.]])
    """
    found: Tensor = _apply("tril", x, diagonal=diagonal)
    return found


def triu(x: Operand, diagonal: int = 0) -> Tensor:
    r"""Matrices with zeros below a diagonal: 0 the main one, above it from 1 on.

    Formula: x_{ij}\,[j \ge i + k].

    (..., rows, columns), kept. Raises ShapeError for fewer than two axes.

    >>> import glassgrad as gg
    >>> gg.triu([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [0., 4.]])
    """
    found: Tensor = _apply("triu", x, diagonal=diagonal)
    return found


def matmul(a: Operand, b: Operand) -> Tensor:
    """Matrix product of the last two axes; the axes before them stretch.

    Formula: A B.

    (..., n, k) by (..., k, m) to (..., n, m); one real dtype. Raises ShapeError where inner sizes
    differ.

    >>> import glassgrad as gg
    >>> gg.matmul([[1.0, 2.0]], [[3.0], [4.0]])
    tensor([[11.]])
    """
    found: Tensor = _apply("matmul", a, b)
    return found


def conv(
    x: Operand,
    w: Operand,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    r"""Cross-correlation of images with kernels: every window's product with every kernel.

    Formula: y_{o,p} = \sum_{c,k} w_{o,c,k}\, x_{c,\,s p + d k}.

    x (n, in, *size), w (out, in / groups, *kernel) to (n, out, *size'). Raises ShapeError where
    channels or sizes do not fit.

    >>> import glassgrad as gg
    >>> gg.conv([[[1.0, 2.0, 4.0]]], [[[-1.0, 1.0]]])
    tensor([[[1., 2.]]])
    """
    found: Tensor = _apply(
        "conv", x, w, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    return found


def conv_transpose(
    x: Operand,
    w: Operand,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    output_padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    r"""Every number of the images spread by its kernel: a convolution seen from its output.

    Formula: y_{o,q} = \sum_{c,p,k:\,s p + d k = q} w_{c,o,k}\, x_{c,p}.

    x (n, in, *size), w (in, out / groups, *kernel) to (n, out, *size'). Raises ShapeError where
    channels or sizes do not fit.

    >>> import glassgrad as gg
    >>> gg.conv_transpose([[[1.0, 2.0]]], [[[1.0, 0.5]]], stride=2)
    tensor([[[1. , 0.5, 2. , 1. ]]])
    """
    found: Tensor = _apply(
        "conv_transpose",
        x,
        w,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
        groups=groups,
    )
    return found


def columns(
    x: Operand, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> Tensor:
    r"""Every window of the images as one column: (n, c, *size) to (n, c k, windows).

    Formula: X_{(c,k),\,p} = x_{c,\,s p + d k}.

    (n, c, *size) to (n, c * product(kernel), windows). Raises ShapeError where no window fits.

    >>> import glassgrad as gg
    >>> gg.columns([[[1.0, 2.0, 3.0]]], (2,), (1,), (1,))
    tensor([[[1., 2.],
             [2., 3.]]])
    """
    found: Tensor = _apply("columns", x, kernel=kernel, stride=stride, dilation=dilation)
    return found


def uncolumns(
    cols: Operand,
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Tensor:
    r"""Every column added back where it came from: the adjoint of columns.

    Formula: x_{c,q} = \sum_{p,k:\,s p + d k = q} X_{(c,k),\,p}.

    (n, c * product(kernel), windows) to (n, *shape). Raises ShapeError where the columns do not
    come from such images.

    >>> import glassgrad as gg
    >>> gg.uncolumns([[[1.0, 2.0], [2.0, 3.0]]], (1, 3), (2,), (1,), (1,))
    tensor([[[1., 4., 3.]]])
    """
    found: Tensor = _apply(
        "uncolumns", cols, shape=shape, kernel=kernel, stride=stride, dilation=dilation
    )
    return found


def max_pool(x: Operand, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    r"""The largest number of each window; a tie gives the derivative to the first.

    Formula: y_p = \max_k x_{s p + k}.

    (n, c, *size) to (n, c, *size'). Raises ShapeError where no window fits.

    >>> import glassgrad as gg
    >>> gg.max_pool([[[1.0, 3.0, 2.0, 0.0]]], (2,), (2,))
    tensor([[[3., 2.]]])
    """
    found: Tensor = _apply("max_pool", x, kernel=kernel, stride=stride)
    return found


def mean_pool(x: Operand, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    r"""The mean of each window.

    Formula: y_p = \tfrac{1}{|k|} \sum_k x_{s p + k}.

    (n, c, *size) to (n, c, *size'). Raises ShapeError where no window fits.

    >>> import glassgrad as gg
    >>> gg.mean_pool([[[1.0, 3.0, 2.0, 0.0]]], (2,), (2,))
    tensor([[[2., 1.]]])
    """
    found: Tensor = _apply("mean_pool", x, kernel=kernel, stride=stride)
    return found


def arange(size: int) -> Tensor:
    """The whole numbers from 0 on, as many as asked for, such as the positions of an axis.

    Formula: y_i = i.

    The result is (size,), int64. Raises ConfigError for a size below 0.

    >>> import glassgrad as gg
    >>> gg.arange(4)
    tensor([0, 1, 2, 3], dtype=int64)
    """
    found: Tensor = _apply("arange", size=size)
    return found


def take(x: Operand, index: Operand) -> Tensor:
    """Rows of a tensor at positions, as an embedding looks up its table.

    Formula: y_i = x_{k_i}.

    x (rows, ...), index int64 of any shape; the result is (*index.shape, ...). Raises DTypeError
    unless positions are int64, DataError for one outside 0 to rows - 1.

    >>> import glassgrad as gg
    >>> gg.take([[1.0, 2.0], [3.0, 4.0]], [1, 1])
    tensor([[3., 4.],
            [3., 4.]])
    """
    found: Tensor = _apply("take", x, index)
    return found


def add_at(x: Operand, index: Operand, values: Operand) -> Tensor:
    r"""X with rows of values added at positions; a repeated position adds up.

    Formula: y = x + \sum_i e_{k_i} v_i^{\mathsf T}.

    x (rows, ...), index int64, values (*index.shape, ...); the result has x's shape. Raises
    ShapeError where the values do not fit, DataError for a position outside.

    >>> import glassgrad as gg
    >>> gg.add_at([0.0, 0.0], [1, 1], [3.0, 4.0])
    tensor([0., 7.])
    """
    found: Tensor = _apply("add_at", x, index, values)
    return found


def pick(x: Operand, index: Operand) -> Tensor:
    """Of each row, the number at its position, as cross-entropy reads the right class.

    Formula: y_i = x_{i, k_i}.

    x (..., classes), index (...) int64; the result is (...). Raises ShapeError for another count of
    positions, DataError for a position outside.

    >>> import glassgrad as gg
    >>> gg.pick([[1.0, 2.0], [3.0, 4.0]], [1, 0])
    tensor([2., 3.])
    """
    found: Tensor = _apply("pick", x, index)
    return found


def put_at(index: Operand, values: Operand, size: int) -> Tensor:
    r"""Rows of zeros with one value each at its position: the adjoint of pick.

    Formula: y_{i,j} = v_i\,[j = k_i].

    index (...) int64, values (...); the result is (..., size). Raises ShapeError where the shapes
    differ, DataError for a position outside.

    >>> import glassgrad as gg
    >>> gg.put_at([1, 0], [5.0, 6.0], 2)
    tensor([[0., 5.],
            [6., 0.]])
    """
    found: Tensor = _apply("put_at", index, values, size=size)
    return found


def take_along_axis(x: Operand, index: Operand, axis: int = -1) -> Tensor:
    """Along an axis, the numbers at positions, which differ from row to row.

    Formula: y_{i,j} = x_{i, k_{i,j}}.

    x and index int64 have the same shape but along the axis; the result has index's. Raises
    ShapeError otherwise, DataError for a position outside.

    >>> import glassgrad as gg
    >>> gg.take_along_axis([[1.0, 2.0], [3.0, 4.0]], [[1], [0]])
    tensor([[2.],
            [3.]])
    """
    found: Tensor = _apply("take_along_axis", x, index, axis=axis)
    return found


def add_along_axis(index: Operand, values: Operand, size: int, axis: int = -1) -> Tensor:
    r"""Zeros with values added at positions along an axis: the adjoint of take_along_axis.

    Formula: y_{i,l} = \sum_j v_{i,j}\,[l = k_{i,j}].

    index int64 and values have one shape; the result has `size` numbers along the axis. Raises
    ShapeError otherwise, DataError for a position outside.

    >>> import glassgrad as gg
    >>> gg.add_along_axis([[1], [0]], [[5.0], [6.0]], 2)
    tensor([[0., 5.],
            [6., 0.]])
    """
    found: Tensor = _apply("add_along_axis", index, values, size=size, axis=axis)
    return found


def one_hot(index: Operand, classes: int, dtype: str = "float32") -> Tensor:
    """A row for each position, 1 there and 0 elsewhere.

    Formula: y_{i,j} = [j = k_i].

    index (...) int64 to (..., classes), float32 by default (PyTorch's is int64). Raises DTypeError
    unless positions are int64, DataError for one outside.

    >>> import glassgrad as gg
    >>> gg.one_hot([2, 0], 3)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    found: Tensor = _apply("one_hot", index, classes=classes, dtype=dtype)
    return found


def argsort(x: Operand, axis: int = -1, descending: bool = False) -> Tensor:
    r"""The positions that put numbers in order along an axis; equal numbers keep theirs.

    Formula: k \text{ with } x_{k_1} \le x_{k_2} \le \dots.

    The shape is kept; the result is int64. PyTorch promises no order of equal numbers. Raises
    ShapeError for an axis that is not there, DTypeError for truth values.

    >>> import glassgrad as gg
    >>> gg.argsort([3.0, 1.0, 2.0], descending=True)
    tensor([0, 2, 1], dtype=int64)
    """
    found: Tensor = _apply("argsort", x, axis=axis, descending=descending)
    return found


def sort(x: Operand, axis: int = -1, descending: bool = False) -> Tensor:
    r"""The numbers along an axis in order, the smallest first unless descending.

    Formula: x_{k_1} \le x_{k_2} \le \dots.

    Shape and dtype are kept. PyTorch's sort gives positions, too: see argsort. Raises ShapeError
    for an axis that is not there, DTypeError for truth values.

    >>> import glassgrad as gg
    >>> gg.sort([3.0, 1.0, 2.0])
    tensor([1., 2., 3.])
    """
    found: Tensor = _apply("sort", x, axis=axis, descending=descending)
    return found


def relu(x: Operand) -> Tensor:
    r"""Rectified linear unit; its derivative at 0 is 0.

    Formula: \max(0, x).

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.relu([-1.0, 2.0])
    tensor([0., 2.])
    """
    found: Tensor = _apply("relu", x)
    return found


def leaky_relu(x: Operand, slope: float = 0.01) -> Tensor:
    r"""ReLU with a small slope below 0.

    Formula: x \text{ if } x > 0 \text{ else } a x.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.leaky_relu([-1.0, 2.0], slope=0.5)
    tensor([-0.5,  2. ])
    """
    found: Tensor = _apply("leaky_relu", x, slope=slope)
    return found


def elu(x: Operand, alpha: float = 1.0) -> Tensor:
    r"""Exponential linear unit.

    Formula: x \text{ if } x > 0 \text{ else } \alpha (e^x - 1).

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.elu([-1.0, 2.0])
    tensor([-0.63212055,  2.        ])
    """
    found: Tensor = _apply("elu", x, alpha=alpha)
    return found


def sigmoid(x: Operand) -> Tensor:
    r"""Logistic function, which never overflows.

    Formula: \frac{1}{1 + e^{-x}}.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.sigmoid([0.0, 2.0])
    tensor([0.5     , 0.880797])
    """
    found: Tensor = _apply("sigmoid", x)
    return found


def silu(x: Operand) -> Tensor:
    r"""Sigmoid-weighted linear unit, also called swish.

    Formula: \frac{x}{1 + e^{-x}}.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.silu([0.0, 2.0])
    tensor([0.      , 1.761594])
    """
    found: Tensor = _apply("silu", x)
    return found


def gelu(x: Operand) -> Tensor:
    r"""Gaussian error linear unit, exact: x times the share of a normal below x.

    Formula: \tfrac{x}{2} \left(1 + \operatorname{erf} \tfrac{x}{\sqrt 2}\right).

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.gelu([0.0, 2.0])
    tensor([0.       , 1.9544997])
    """
    found: Tensor = _apply("gelu", x)
    return found


def softplus(x: Operand, beta: float = 1.0) -> Tensor:
    r"""Smooth ReLU, which never overflows; the larger beta, the sharper it bends.

    Formula: \frac{1}{\beta} \ln(1 + e^{\beta x}).

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64. Raises
    ConfigError for a beta of 0 or below.

    >>> import glassgrad as gg
    >>> gg.softplus([0.0, 2.0])
    tensor([0.6931472, 2.126928 ])
    """
    found: Tensor = _apply("softplus", x, beta=beta)
    return found


def selu(x: Operand) -> Tensor:
    r"""ELU scaled so that mean 0 and variance 1 are kept (Klambauer 2017).

    Formula: s x \text{ if } x > 0 \text{ else } s \alpha (e^x - 1).

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.selu([0.5, 1.0])
    tensor([0.5253505, 1.050701 ])
    """
    found: Tensor = _apply("selu", x)
    return found


def celu(x: Operand, alpha: float = 1.0) -> Tensor:
    r"""ELU whose slope is 1 at 0 for any alpha (Barron 2017).

    Formula: x \text{ if } x > 0 \text{ else } \alpha (e^{x / \alpha} - 1).

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64. Raises
    ConfigError for an alpha of 0.

    >>> import glassgrad as gg
    >>> gg.celu([-1.0, 2.0])
    tensor([-0.63212055,  2.        ])
    """
    found: Tensor = _apply("celu", x, alpha=alpha)
    return found


def softsign(x: Operand) -> Tensor:
    r"""From -1 to 1, slower than tanh.

    Formula: \frac{x}{1 + |x|}.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.softsign([0.5, 1.0])
    tensor([0.33333334, 0.5       ])
    """
    found: Tensor = _apply("softsign", x)
    return found


def log_sigmoid(x: Operand) -> Tensor:
    r"""Logarithm of the sigmoid, accurate for any size of x.

    Formula: -\ln(1 + e^{-x}).

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.log_sigmoid([-2.0, 0.0])
    tensor([-2.126928 , -0.6931472])
    """
    found: Tensor = _apply("log_sigmoid", x)
    return found


def tanhshrink(x: Operand) -> Tensor:
    r"""The number less its tanh.

    Formula: x - \tanh x.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.tanhshrink([0.5, 1.0])
    tensor([0.0378828 , 0.23840582])
    """
    found: Tensor = _apply("tanhshrink", x)
    return found


def mish(x: Operand) -> Tensor:
    r"""X times the tanh of its softplus (Misra 2019).

    Formula: x \tanh \ln(1 + e^x).

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.mish([0.5, 1.0])
    tensor([0.37524518, 0.8650984 ])
    """
    found: Tensor = _apply("mish", x)
    return found


def gelu_tanh(x: Operand) -> Tensor:
    r"""GELU by tanh, as GPT-2 has it: within 0.0005 of the exact one.

    Formula: \tfrac{x}{2} \left(1 + \tanh(\sqrt{2 / \pi}\,(x + 0.044715 x^3))\right).

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.gelu_tanh([0.5, 1.0])
    tensor([0.34571403, 0.841192  ])
    """
    found: Tensor = _apply("gelu_tanh", x)
    return found


def glu(x: Operand, axis: int = -1) -> Tensor:
    r"""Gated linear unit: the first half along an axis times the sigmoid of the second.

    Formula: x_1 \sigma(x_2).

    The axis is halved. Raises ShapeError for an axis that is not there or is odd, DTypeError for
    whole numbers.

    >>> import glassgrad as gg
    >>> gg.glu([1.0, 2.0, 0.0, 0.0])
    tensor([0.5, 1. ])
    """
    found: Tensor = _apply("glu", x, axis=axis)
    return found


def log_softmax(x: Operand, axis: int = -1) -> Tensor:
    r"""Logarithm of softmax, accurate for any size of x.

    Formula: x_i - \ln \sum_j e^{x_j}.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.log_softmax([0.0, 1.0])
    tensor([-1.3132616 , -0.31326166])
    """
    found: Tensor = _apply("log_softmax", x, axis=axis)
    return found


def softmax(x: Operand, axis: int = -1) -> Tensor:
    r"""Positive shares that sum to 1.

    Formula: \frac{e^{x_i}}{\sum_j e^{x_j}}.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.softmax([0.0, 1.0])
    tensor([0.2689414, 0.7310586])
    """
    found: Tensor = _apply("softmax", x, axis=axis)
    return found


def softmin(x: Operand, axis: int = -1) -> Tensor:
    r"""Softmax of the negative numbers: the smallest has the largest share.

    Formula: \frac{e^{-x_i}}{\sum_j e^{-x_j}}.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.softmin([0.5, 1.0])
    tensor([0.62245935, 0.37754068])
    """
    found: Tensor = _apply("softmin", x, axis=axis)
    return found


def relu6(x: Operand) -> Tensor:
    r"""ReLU that stays at 6; its derivative at 0 and at 6 is 0.

    Formula: \min(\max(0, x), 6).

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.relu6([0.5, 1.0])
    tensor([0.5, 1. ])
    """
    found: Tensor = _apply("relu6", x)
    return found


def hardtanh(x: Operand, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    r"""The number itself within bounds, and the bound beyond; the derivative there is 0.

    Formula: \min(\max(x, a), b).

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.hardtanh([-2.0, 0.5])
    tensor([-1. ,  0.5])
    """
    found: Tensor = _apply("hardtanh", x, min_val=min_val, max_val=max_val)
    return found


def hardsigmoid(x: Operand) -> Tensor:
    r"""Sigmoid in straight pieces: 0 below -3, 1 above 3.

    Formula: \min(\max(x / 6 + \tfrac{1}{2}, 0), 1).

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.hardsigmoid([0.5, 1.0])
    tensor([0.5833333, 0.6666667])
    """
    found: Tensor = _apply("hardsigmoid", x)
    return found


def hardswish(x: Operand) -> Tensor:
    r"""X times its hardsigmoid (Howard 2019).

    Formula: x \min(\max(x / 6 + \tfrac{1}{2}, 0), 1).

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.hardswish([0.5, 1.0])
    tensor([0.29166666, 0.6666667 ])
    """
    found: Tensor = _apply("hardswish", x)
    return found


def threshold(x: Operand, threshold: float, value: float) -> Tensor:
    r"""The number itself above a threshold, another number elsewhere.

    Formula: x \text{ if } x > t \text{ else } v.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.threshold([-1.0, 2.0], 0.0, -5.0)
    tensor([-5.,  2.])
    """
    found: Tensor = _apply("threshold", x, threshold=threshold, value=value)
    return found


def hardshrink(x: Operand, lambd: float = 0.5) -> Tensor:
    r"""0 between -lambda and lambda, the number itself elsewhere.

    Formula: x \text{ if } |x| > \lambda \text{ else } 0.

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64.

    >>> import glassgrad as gg
    >>> gg.hardshrink([0.5, 1.0])
    tensor([0., 1.])
    """
    found: Tensor = _apply("hardshrink", x, lambd=lambd)
    return found


def softshrink(x: Operand, lambd: float = 0.5) -> Tensor:
    r"""The number moved towards 0 by lambda, 0 where it is nearer.

    Formula: x - \min(\max(x, -\lambda), \lambda).

    Shape and dtype are kept. Raises DTypeError for anything but float32 and float64. Raises
    ConfigError for a lambda below 0.

    >>> import glassgrad as gg
    >>> gg.softshrink([-1.0, 0.2])
    tensor([-0.5,  0. ])
    """
    found: Tensor = _apply("softshrink", x, lambd=lambd)
    return found


def prelu(x: Operand, w: Operand) -> Tensor:
    r"""ReLU with a learnt slope below 0, one for all or one for each channel (He 2015).

    Formula: x \text{ if } x > 0 \text{ else } w x.

    x (n, channels, ...), w (1,) or (channels,); the result has x's shape. Raises ShapeError for
    other slopes, DTypeError for whole numbers.

    >>> import glassgrad as gg
    >>> gg.prelu([[-1.0, 2.0]], [0.5])
    tensor([[-0.5,  2. ]])
    """
    found: Tensor = _apply("prelu", x, w)
    return found


select = where

__all__ = [
    "abs",
    "add",
    "add_along_axis",
    "add_at",
    "all",
    "any",
    "arange",
    "arccos",
    "arcsin",
    "argmax",
    "argmin",
    "argsort",
    "astype",
    "broadcast_to",
    "ceil",
    "celu",
    "clip",
    "columns",
    "concatenate",
    "conv",
    "conv_transpose",
    "cos",
    "cosh",
    "cumsum",
    "divide",
    "elu",
    "equal",
    "erf",
    "exp",
    "expm1",
    "flip",
    "floor",
    "gelu",
    "gelu_tanh",
    "glu",
    "greater",
    "greater_equal",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "less",
    "less_equal",
    "log",
    "log10",
    "log1p",
    "log2",
    "log_sigmoid",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "matmul",
    "max",
    "max_pool",
    "maximum",
    "mean",
    "mean_pool",
    "min",
    "minimum",
    "mish",
    "multiply",
    "negative",
    "not_equal",
    "one_hot",
    "pad",
    "permute",
    "pick",
    "power",
    "prelu",
    "prod",
    "put_at",
    "relu",
    "relu6",
    "remainder",
    "reshape",
    "roll",
    "round",
    "select",
    "selu",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinh",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "sort",
    "sqrt",
    "std",
    "subtract",
    "sum",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tanhshrink",
    "threshold",
    "tril",
    "triu",
    "trunc",
    "uncolumns",
    "var",
    "where",
]
