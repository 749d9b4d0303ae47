"""Write src/glassgrad/tensors/functions.py from the op records.

    python scripts/generate_functions.py

The test tests/tensors/test_functions.py fails when the committed file is not what this writes.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from types import SimpleNamespace

from glassgrad.errors import InternalError
from glassgrad.ir import Attribute, Op
from glassgrad.ops import OPS
from glassgrad.ops.record import (
    binary_float,
    binary_number,
    comparison,
    unary_float,
    unary_number,
)

PATH = Path(__file__).parent.parent / "src" / "glassgrad" / "tensors" / "functions.py"
FAMILIES = (
    "elementwise",
    "reduction",
    "movement",
    "contraction",
    "window",
    "index",
    "order",
    "activation",
)

# The one table of names: what NumPy or PyTorch call it, where the record is called otherwise.
NAMES = {"absolute": "abs", "cast": "astype", "select": "where", "standard_deviation": "std"}
ALIASES = {"select": "where"}

# Records that are not for users: the way to write them is another.
PRIVATE = {
    "constant": "a number in a program",
    "scalar": "a number of the host",
    "slice": "x[a:b]",
    "subtract_one_at": "a step of cross_entropy's derivative",
    "conv_dx": "the derivative of conv",
    "conv_dw": "the derivative of conv",
    "max_unpool": "the derivative of max_pool",
    "max_pick": "the derivative of max_unpool",
    "mean_unpool": "the derivative of mean_pool",
}

_REAL = "Raises DTypeError for anything but float32 and float64."
_FIT = "Raises ShapeError for shapes that do not stretch to fit, DTypeError for two dtypes."

# Shapes, dtypes and errors, by type rule or by name.
RULES = {
    unary_float: ("Shape and dtype are kept.", _REAL),
    unary_number: ("Shape and dtype are kept.", "Raises DTypeError for truth values."),
    binary_number: ("Shapes stretch to fit by NumPy's rule; one dtype for both.", _FIT),
    binary_float: ("Shapes stretch to fit by NumPy's rule; one real dtype for both.", _FIT),
    comparison: ("Shapes stretch to fit by NumPy's rule; the result is bool.", _FIT),
}
_AXES = "Without `axis` the result is one number; `keepdims` leaves axes of size 1."
_NO_AXIS = "Raises ShapeError for an axis that is not there"
SHAPES = {
    "multiply": ("Shapes stretch to fit by NumPy's rule; the second may be bool.", _FIT),
    "select": (
        "Shapes stretch to fit by NumPy's rule; condition bool, x and y of one dtype.",
        _FIT,
    ),
    "cast": ("The shape is kept.", "Raises DTypeError for an unknown dtype."),
    "sum": (_AXES, f"{_NO_AXIS}, DTypeError for truth values."),
    "mean": (_AXES, f"{_NO_AXIS}, DTypeError for whole numbers."),
    **dict.fromkeys(("max", "min"), (_AXES, f"{_NO_AXIS} or has no numbers.")),
    **dict.fromkeys(
        ("argmax", "argmin"),
        ("The axis goes; the result is int64.", f"{_NO_AXIS} or has no numbers."),
    ),
    "prod": (_AXES, f"{_NO_AXIS}, DTypeError for truth values."),
    "logsumexp": (_AXES, f"{_NO_AXIS} or has no numbers, DTypeError for whole numbers."),
    **dict.fromkeys(
        ("var", "standard_deviation"),
        (
            f"{_AXES} `correction` is PyTorch's, 1 by default (NumPy's ddof is 0).",
            f"{_NO_AXIS} or has too few numbers, DTypeError for whole numbers.",
        ),
    ),
    **dict.fromkeys(("any", "all"), (_AXES, f"{_NO_AXIS}, DTypeError unless x is bool.")),
    "cumsum": ("Shape and dtype are kept.", f"{_NO_AXIS}, DTypeError for truth values."),
    "flip": ("Shape and dtype are kept.", f"{_NO_AXIS}."),
    "roll": ("Shape and dtype are kept.", f"{_NO_AXIS}."),
    **dict.fromkeys(
        ("tril", "triu"),
        ("(..., rows, columns), kept.", "Raises ShapeError for fewer than two axes."),
    ),
    "sort": (
        "Shape and dtype are kept. PyTorch's sort gives positions, too: see argsort.",
        f"{_NO_AXIS}, DTypeError for truth values.",
    ),
    "argsort": (
        "The shape is kept; the result is int64. PyTorch promises no order of equal numbers.",
        f"{_NO_AXIS}, DTypeError for truth values.",
    ),
    **dict.fromkeys(
        ("logical_and", "logical_or", "logical_xor"),
        (
            "Shapes stretch to fit by NumPy's rule; both bool, as the result.",
            "Raises ShapeError for shapes that do not fit, DTypeError for numbers.",
        ),
    ),
    "logical_not": ("The shape is kept; bool.", "Raises DTypeError for numbers."),
    "clip": (
        "Shape and dtype are kept; one of the bounds may be None.",
        "Raises ConfigError without a bound or for low above high, DTypeError for other numbers.",
    ),
    "take_along_axis": (
        "x and index int64 have the same shape but along the axis; the result has index's.",
        "Raises ShapeError otherwise, DataError for a position outside.",
    ),
    "add_along_axis": (
        "index int64 and values have one shape; the result has `size` numbers along the axis.",
        "Raises ShapeError otherwise, DataError for a position outside.",
    ),
    "one_hot": (
        "index (...) int64 to (..., classes), float32 by default (PyTorch's is int64).",
        "Raises DTypeError unless positions are int64, DataError for one outside.",
    ),
    "prelu": (
        "x (n, channels, ...), w (1,) or (channels,); the result has x's shape.",
        "Raises ShapeError for other slopes, DTypeError for whole numbers.",
    ),
    "glu": ("The axis is halved.", f"{_NO_AXIS} or is odd, DTypeError for whole numbers."),
    "celu": ("Shape and dtype are kept.", f"{_REAL} Raises ConfigError for an alpha of 0."),
    "softplus": (
        "Shape and dtype are kept.",
        f"{_REAL} Raises ConfigError for a beta of 0 or below.",
    ),
    "softshrink": (
        "Shape and dtype are kept.",
        f"{_REAL} Raises ConfigError for a lambda below 0.",
    ),
    "reshape": ("One size may be -1.", "Raises ShapeError where the elements do not fill it."),
    "permute": (
        "Axis i of the result is axis axes[i] of x.",
        "Raises ShapeError for other orders.",
    ),
    "broadcast_to": ("Sizes of 1 stretch, from the last axis on.", "Raises ShapeError otherwise."),
    "pad": (
        "One (before, after, between neighbours) for each axis.",
        "Raises ShapeError for another count of widths or one below 0.",
    ),
    "concatenate": (
        "Equal shapes but along the axis, and one dtype.",
        "Raises ShapeError or DTypeError otherwise.",
    ),
    "matmul": (
        "(..., n, k) by (..., k, m) to (..., n, m); one real dtype.",
        "Raises ShapeError where inner sizes differ.",
    ),
    "conv": (
        "x (n, in, *size), w (out, in / groups, *kernel) to (n, out, *size').",
        "Raises ShapeError where channels or sizes do not fit.",
    ),
    "conv_transpose": (
        "x (n, in, *size), w (in, out / groups, *kernel) to (n, out, *size').",
        "Raises ShapeError where channels or sizes do not fit.",
    ),
    "columns": (
        "(n, c, *size) to (n, c * product(kernel), windows).",
        "Raises ShapeError where no window fits.",
    ),
    "uncolumns": (
        "(n, c * product(kernel), windows) to (n, *shape).",
        "Raises ShapeError where the columns do not come from such images.",
    ),
    "max_pool": ("(n, c, *size) to (n, c, *size').", "Raises ShapeError where no window fits."),
    "mean_pool": ("(n, c, *size) to (n, c, *size').", "Raises ShapeError where no window fits."),
    "arange": ("The result is (size,), int64.", "Raises ConfigError for a size below 0."),
    "take": (
        "x (rows, ...), index int64 of any shape; the result is (*index.shape, ...).",
        "Raises DTypeError unless positions are int64, DataError for one outside 0 to rows - 1.",
    ),
    "add_at": (
        "x (rows, ...), index int64, values (*index.shape, ...); the result has x's shape.",
        "Raises ShapeError where the values do not fit, DataError for a position outside.",
    ),
    "pick": (
        "x (..., classes), index (...) int64; the result is (...).",
        "Raises ShapeError for another count of positions, DataError for a position outside.",
    ),
    "put_at": (
        "index (...) int64, values (...); the result is (..., size).",
        "Raises ShapeError where the shapes differ, DataError for a position outside.",
    ),
}

# The call for an op that has no line of its own below.
USUAL = {
    unary_float: "gg.{}([0.5, 1.0])",
    unary_number: "gg.{}([0.5, 1.0])",
    binary_float: "gg.{}([1.0, 2.0], 3.0)",
    binary_number: "gg.{}([1.0, 2.0], 3.0)",
    comparison: "gg.{}([1.0, 2.0], 2.0)",
}
# One call for each function; this script writes down what it gives. NumPy's last bit in float32 is not
# the same on every processor: at these numbers it is (NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL
# AVX512_SPR" shows the other side).
EXAMPLES = {
    "cosh": "gg.cosh([-1.5, 0.0])",
    "log_sigmoid": "gg.log_sigmoid([-2.0, 0.0])",
    "add": "gg.add([1.0, 2.0], 3.0)",
    "subtract": "gg.subtract([1.0, 2.0], 3.0)",
    "multiply": "gg.multiply([1.0, 2.0], 3.0)",
    "divide": "gg.divide([1.0, 2.0], 4.0)",
    "negative": "gg.negative([1.0, -2.0])",
    "power": "gg.power([1.0, 2.0, 3.0], 2)",
    "exp": "gg.exp([0.0, 1.0])",
    "expm1": "gg.expm1([0.0, 0.5])",
    "log": "gg.log([1.0, 10.0])",
    "log1p": "gg.log1p([0.0, 1.0])",
    "tanh": "gg.tanh([0.0, 1.0])",
    "sqrt": "gg.sqrt([4.0, 9.0])",
    "sin": "gg.sin([0.0, 1.0])",
    "cos": "gg.cos([0.0, 1.0])",
    "erf": "gg.erf([0.0, 1.0])",
    "absolute": "gg.abs([-1.5, 2.0])",
    "log2": "gg.log2([1.0, 8.0])",
    "log10": "gg.log10([1.0, 10.0])",
    "logical_and": "gg.logical_and([True, True], [True, False])",
    "logical_or": "gg.logical_or([True, False], [False, False])",
    "logical_xor": "gg.logical_xor([True, True], [True, False])",
    "logical_not": "gg.logical_not([True, False])",
    "floor": "gg.floor([-1.5, 1.5])",
    "ceil": "gg.ceil([-1.5, 1.5])",
    "trunc": "gg.trunc([-1.5, 1.5])",
    "round": "gg.round([0.5, 1.5, 2.6])",
    "remainder": "gg.remainder([-1.0, 4.5], 3.0)",
    "clip": "gg.clip([-2.0, 0.5, 2.0], -1.0, 1.0)",
    "sign": "gg.sign([-1.5, 0.0, 2.0])",
    "maximum": "gg.maximum([1.0, 5.0], 3.0)",
    "minimum": "gg.minimum([1.0, 5.0], 3.0)",
    "less": "gg.less([1.0, 2.0, 3.0], 2.0)",
    "less_equal": "gg.less_equal([1.0, 2.0, 3.0], 2.0)",
    "greater": "gg.greater([1.0, 2.0, 3.0], 2.0)",
    "greater_equal": "gg.greater_equal([1.0, 2.0, 3.0], 2.0)",
    "equal": "gg.equal([1.0, 2.0, 3.0], 2.0)",
    "not_equal": "gg.not_equal([1.0, 2.0, 3.0], 2.0)",
    "select": "gg.where([True, False], [1.0, 2.0], 0.0)",
    "cast": 'gg.astype([1.7, -1.7], "int64")',
    "sum": "gg.sum([[1.0, 2.0], [3.0, 4.0]], axis=0)",
    "mean": "gg.mean([[1.0, 2.0], [3.0, 4.0]])",
    "max": "gg.max([[1.0, 2.0], [3.0, 4.0]], axis=1)",
    "argmax": "gg.argmax([[1.0, 2.0], [4.0, 3.0]])",
    "min": "gg.min([[1.0, 2.0], [3.0, 4.0]], axis=1)",
    "argmin": "gg.argmin([[1.0, 2.0], [4.0, 3.0]])",
    "prod": "gg.prod([[1.0, 2.0], [3.0, 4.0]], axis=0)",
    "var": "gg.var([1.0, 2.0, 3.0])",
    "standard_deviation": "gg.std([1.0, 2.0, 3.0])",
    "logsumexp": "gg.logsumexp([0.0, 0.0])",
    "any": "gg.any([[True, False], [False, False]], axis=1)",
    "all": "gg.all([[True, True], [True, False]], axis=1)",
    "cumsum": "gg.cumsum([1.0, 2.0, 3.0])",
    "flip": "gg.flip([1.0, 2.0, 3.0])",
    "roll": "gg.roll([1.0, 2.0, 3.0], 1)",
    "tril": "gg.tril([[1.0, 2.0], [3.0, 4.0]])",
    "triu": "gg.triu([[1.0, 2.0], [3.0, 4.0]])",
    "sort": "gg.sort([3.0, 1.0, 2.0])",
    "argsort": "gg.argsort([3.0, 1.0, 2.0], descending=True)",
    "take_along_axis": "gg.take_along_axis([[1.0, 2.0], [3.0, 4.0]], [[1], [0]])",
    "add_along_axis": "gg.add_along_axis([[1], [0]], [[5.0], [6.0]], 2)",
    "one_hot": "gg.one_hot([2, 0], 3)",
    "reshape": "gg.reshape([1.0, 2.0, 3.0, 4.0], (2, -1))",
    "permute": "gg.permute([[1.0, 2.0]], (1, 0))",
    "broadcast_to": "gg.broadcast_to([1.0, 2.0], (2, 2))",
    "pad": "gg.pad([1.0, 2.0], ((1, 2, 0),))",
    "concatenate": "gg.concatenate([[1.0], [2.0, 3.0]])",
    "matmul": "gg.matmul([[1.0, 2.0]], [[3.0], [4.0]])",
    "conv": "gg.conv([[[1.0, 2.0, 4.0]]], [[[-1.0, 1.0]]])",
    "conv_transpose": "gg.conv_transpose([[[1.0, 2.0]]], [[[1.0, 0.5]]], stride=2)",
    "columns": "gg.columns([[[1.0, 2.0, 3.0]]], (2,), (1,), (1,))",
    "uncolumns": "gg.uncolumns([[[1.0, 2.0], [2.0, 3.0]]], (1, 3), (2,), (1,), (1,))",
    "max_pool": "gg.max_pool([[[1.0, 3.0, 2.0, 0.0]]], (2,), (2,))",
    "mean_pool": "gg.mean_pool([[[1.0, 3.0, 2.0, 0.0]]], (2,), (2,))",
    "arange": "gg.arange(4)",
    "take": "gg.take([[1.0, 2.0], [3.0, 4.0]], [1, 1])",
    "add_at": "gg.add_at([0.0, 0.0], [1, 1], [3.0, 4.0])",
    "pick": "gg.pick([[1.0, 2.0], [3.0, 4.0]], [1, 0])",
    "put_at": "gg.put_at([1, 0], [5.0, 6.0], 2)",
    "hardtanh": "gg.hardtanh([-2.0, 0.5])",
    "threshold": "gg.threshold([-1.0, 2.0], 0.0, -5.0)",
    "prelu": "gg.prelu([[-1.0, 2.0]], [0.5])",
    "celu": "gg.celu([-1.0, 2.0])",
    "softshrink": "gg.softshrink([-1.0, 0.2])",
    "glu": "gg.glu([1.0, 2.0, 0.0, 0.0])",
    "relu": "gg.relu([-1.0, 2.0])",
    "leaky_relu": "gg.leaky_relu([-1.0, 2.0], slope=0.5)",
    "elu": "gg.elu([-1.0, 2.0])",
    "sigmoid": "gg.sigmoid([0.0, 2.0])",
    "silu": "gg.silu([0.0, 2.0])",
    "gelu": "gg.gelu([0.0, 2.0])",
    "softplus": "gg.softplus([0.0, 2.0])",
    "softmax": "gg.softmax([0.0, 1.0])",
    "log_softmax": "gg.log_softmax([0.0, 1.0])",
}

HEADER = '''\
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
'''


def public() -> list[Op]:
    """The records that become functions, in the order of the families."""
    found = [op for family in FAMILIES for op in OPS.values() if op.family == family]
    return [op for op in found if op.name not in PRIVATE]


def name_of(op: Op) -> str:
    """What users call it."""
    return NAMES.get(op.name, op.name)


def _parameter(attribute: Attribute) -> str:
    text = f"{attribute.name}: {attribute.annotation}"
    if attribute.default is ...:
        return text
    default = repr(attribute.default)
    return f"{text} = {default.replace(chr(39), chr(34))}"


def _facts(op: Op) -> tuple[str, str]:
    found = SHAPES.get(op.name) or RULES.get(op.type_rule)
    if found is None:
        raise InternalError(
            "scripts/generate_functions.py says nothing about shapes", where=op.name
        )
    return found


def _example(op: Op) -> list[str]:
    from glassgrad.tensors import functions  # what was just written, without examples
    from glassgrad.tensors.tensor import tensor

    gg = SimpleNamespace(**{**vars(functions), "tensor": tensor})
    call = EXAMPLES.get(op.name) or USUAL[op.type_rule].format(name_of(op))
    result = eval(call, {"gg": gg})
    return [">>> import glassgrad as gg", f">>> {call}", *repr(result).split("\n")]


def function_text(op: Op, example: bool = True) -> str:
    """The function of one record."""
    many = [n[1:] for n in op.inputs if n.startswith("*")]
    operands = [
        f"{n[1:]}: Sequence[Operand]" if n[0] == "*" else f"{n}: Operand" for n in op.inputs
    ]
    parameters = [*operands, *[_parameter(a) for a in op.attributes]]
    passed = [
        f'"{op.name}"',
        *[f"*{n}" if n in many else n for n in (i.lstrip("*") for i in op.inputs)],
    ]
    passed += [f"{a.name}={a.name}" for a in op.attributes]
    name = name_of(op)
    head = f"def {name}({', '.join(parameters)}) -> Tensor:"
    if len(head) > 100:
        inner = f"    {', '.join(parameters)}"
        if len(inner) > 100:
            inner = "\n".join(f"    {p}," for p in parameters)
        head = f"def {name}(\n{inner}\n) -> Tensor:"
    body = f"    found: Tensor = _apply({', '.join(passed)})"
    if len(body) > 100:
        inner = f"        {', '.join(passed)}"
        if len(inner) > 100:
            inner = "\n".join(f"        {p}," for p in passed)
        body = f"    found: Tensor = _apply(\n{inner}\n    )"
    shapes, errors = _facts(op)
    says = op.says[0].upper() + op.says[1:]
    doc = [says, "", f"Formula: {op.formula}.", ""]
    doc += textwrap.wrap(f"{shapes} {errors}", 96)
    if example:
        doc += ["", *_example(op)]
    raw = "r" if any("\\" in line for line in doc) else ""
    lines = "\n".join(f"    {line}".rstrip() for line in doc[1:])
    return f'{head}\n    {raw}"""{doc[0]}\n{lines}\n    """\n{body}\n    return found\n'


def generate(example: bool = True) -> str:
    """The whole file."""
    parts = [HEADER, *[function_text(op, example) for op in public()]]
    names = [name_of(op) for op in public()] + list(ALIASES)
    aliases = "".join(f"{alias} = {name}\n" for alias, name in ALIASES.items())
    listed = "".join(f'    "{name}",\n' for name in sorted(names))
    return "\n\n".join(parts) + f"\n\n{aliases}\n__all__ = [\n{listed}]\n"


def names() -> str:
    """The list of their names, which the package reads without loading them."""
    listed = textwrap.wrap(" ".join(sorted([*map(name_of, public()), *ALIASES])), 92)
    text = "\n".join(f"    {line}" for line in listed)
    return (
        '"""The public functions by name. Written by scripts/generate_functions.py."""\n\n'
        f'FUNCTIONS = """\n{text}\n""".split()\n'
    )


if __name__ == "__main__":
    (PATH.parent.parent / "_names.py").write_text(names(), encoding="utf-8")
    PATH.write_text(generate(example=False), encoding="utf-8")  # so that the examples can run
    PATH.write_text(generate(), encoding="utf-8")
    print(f"{PATH}: {len(public())} functions")
