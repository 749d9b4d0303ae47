"""Random numbers that are a function of (seed, stream, step): no hidden state."""

from __future__ import annotations

from ..ir import Op, Shape, Type
from .record import dtype, sizes, text


def _uniform_type(seed: Type, step: Type, *, shape: Shape, stream: str, dtype: str) -> Type:
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
)
