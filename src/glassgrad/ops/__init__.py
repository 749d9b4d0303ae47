"""The vocabulary: one record for each op, by family. Records are data; nothing here computes.

`OPS` lists every record by name. A record that cannot be composed of others is a primitive;
one with an `expand` and the role "composite" is a name for a small graph.
"""

from __future__ import annotations

from glassgrad.errors import unknown_name
from glassgrad.ir import Op

from . import (
    activation as activation,
    attention as attention,
    classification as classification,
    contraction as contraction,
    control as control,
    discrete as discrete,
    elementwise as elementwise,
    index as index,
    layer as layer,
    loss as loss,
    movement as movement,
    order as order,
    pieces as pieces,
    random as random,
    reduction as reduction,
    window as window,
)
from .array import Array as Array
from .naming import named as named
from .record import Draw as Draw, Mistake as Mistake, Sample as Sample, Spelled as Spelled
from .trace import (
    Symbol as Symbol,
    Tracer as Tracer,
    checked_number as checked_number,
    number_dtype as number_dtype,
    traced_graph as traced_graph,
    user_line as user_line,
)

_FAMILIES = (
    elementwise,
    discrete,
    reduction,
    movement,
    contraction,
    window,
    index,
    order,
    random,
    control,
    activation,
    pieces,
    attention,
    layer,
    loss,
    classification,
)

OPS: dict[str, Op] = {
    value.name: value
    for family in _FAMILIES
    for value in vars(family).values()
    if isinstance(value, Op)
}


# The number of this vocabulary, written into files: one more for every change by which a graph that
# was written before could no longer be read, or would mean something else, and for every op added.
OPSET = 1


def find(name: str) -> Op:
    """The record of this name; an error with the nearest name otherwise."""
    if name not in OPS:
        raise unknown_name("op", name, tuple(OPS))
    return OPS[name]


def is_primitive(op: Op) -> bool:
    """Whether the op is not made of others (a convolution is one, for all that it can be)."""
    return "composite" not in op.roles
