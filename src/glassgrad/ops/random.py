"""Random numbers that are a function of (seed, stream, step): no hidden state."""

from __future__ import annotations

from glassgrad.errors import DTypeError
from glassgrad.ir import FLOATS, Op, Shape, Type

from .record import Draw, Mistake, Sample, dtype, sizes, text

_WORD = Type((), "int64")


def _uniform_type(seed: Type, step: Type, *, shape: Shape, stream: str, dtype: str) -> Type:
    if dtype not in FLOATS:
        raise DTypeError("this draws real numbers", expected=" or ".join(FLOATS), received=dtype)
    return Type(shape, dtype)


uniform = Op(
    "uniform",
    ("seed", "step"),
    (sizes("shape"), text("stream"), dtype()),
    says="Uniform numbers in [0, 1) from Philox4x64-10, numbered by seed, stream and step.",
    formula=r"u = \operatorname{philox}(\text{seed}, \text{stream}, \text{step})",
    type_rule=_uniform_type,
    vjp=(None, None),
    numpy="uniform(shape, dtype, seed, stream, step)",
    roles=frozenset({"random"}),
    family="random",
    samples=tuple(
        Sample(
            (Draw((), 0, 100, kind="int"), Draw((), 0, 100, kind="int")),
            {"shape": shape, "stream": stream, "dtype": kind},
            f"{about} {kind}",
        )
        for kind in ("float64", "float32")
        for shape, stream, about in (
            ((4, 5), "dropout1", "matrix"),
            ((3,), "", "odd number of words"),
            ((), "initial/layer.weight", "scalar"),
            ((0, 3), "empty", "empty"),
            ((1, 3, 1), "\u00e9", "size-1 axes"),
        )
    ),
    errors=(
        Mistake((_WORD, _WORD), {"shape": (2,), "stream": "", "dtype": "int64"}, "real numbers"),
    ),
)
