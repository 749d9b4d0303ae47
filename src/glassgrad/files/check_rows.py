"""`check.safetensors`: three rows that went in when the file was written, and what came out.

Whoever reads the file on another machine, or with another program, can see that the network still
says the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from glassgrad.engine import compiled
from glassgrad.errors import FormatError, GlassgradError, shown
from glassgrad.ir import Graph, Type, bind
from glassgrad.passes.positions import index_limits
from glassgrad.tensors.random import normal, words
from glassgrad.tensors.tensor import Parameter

from .weights import AnyArray

COUNT = 3
# How far an output may be from the stored one, as a share of 1 + the largest number stored: engines
# add in other orders. Whole numbers and truth values must be equal.
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}


def check_rows(graph: Graph, state: Mapping[str, Parameter]) -> dict[str, AnyArray]:
    """Inputs and outputs by name, `input.x` and `output.prediction`.

    The inputs follow from the graph alone. Empty where the network refuses them.
    """
    inputs = {f"input.{name}": array for name, array in _inputs(graph).items()}
    try:
        outputs = _outputs(graph, state, inputs)
    except GlassgradError:  # what a network demands of its rows cannot be read off its graph
        return {}
    return {**inputs, **outputs}


def compare(graph: Graph, state: Mapping[str, Parameter], stored: Mapping[str, AnyArray]) -> None:
    """Compute the rows again. Raises FormatError where an output is not the stored one."""
    if not stored:
        raise FormatError(
            "the file holds no rows to check by",
            where="check.safetensors",
            expected=f"{COUNT} rows and what the network gave for them",
            received="none: the network refused the rows that were tried",
            hint="load it with check=False",
        )
    for name, found in _outputs(graph, state, stored).items():
        wanted = stored[name]
        far, allowed = _difference(found, wanted)
        if not far <= allowed:
            raise FormatError(
                "the network does not give what it gave when it was saved",
                where=f"check.safetensors, {shown(name)[1:-1]}",
                expected=f"the stored numbers, to {allowed:g}",
                received=f"a difference of {far:g}",
                hint="load it with check=False, and compare predictions of your own",
            )


def checked_rows(graph: Graph, arrays: dict[str, AnyArray]) -> dict[str, AnyArray]:
    """The arrays, if they are three rows of the graph's inputs and outputs, or none."""
    kinds = {f"input.{name}": kind for name, kind in _data(graph).items()}
    kinds.update({f"output.{name}": _three(v.type) for name, v in graph.outputs.items()})
    stored = {name: Type(a.shape, a.dtype.name) for name, a in arrays.items()}
    if arrays and stored != kinds:
        raise FormatError(
            "the rows to check by are not those of the graph",
            where="check.safetensors",
            expected=shown(kinds, 200),
            received=shown(stored, 200),
        )
    return arrays


def _data(graph: Graph) -> dict[str, Type]:
    every = graph.inputs.items()
    return {n: _three(v.type) for n, v in every if v.node.attributes["role"] == "data"}


def _three(kind: Type) -> Type:
    return Type(tuple([bind(s, {"n": COUNT}) for s in kind.shape]), kind.dtype)


def _inputs(graph: Graph) -> dict[str, AnyArray]:
    """Rows of standard normal numbers; of whole numbers, such as may stand there."""
    limits = index_limits(graph)
    found = {}
    for name, kind in _data(graph).items():
        shape = tuple([int(str(s)) for s in kind.shape])
        count = int(np.prod(shape, dtype=object))
        if kind.dtype.startswith("float"):
            numbers: Any = normal(count, 0, f"check {name}")
        else:
            size = limits[name][0] if name in limits else 256 if kind.dtype == "uint8" else 2
            numbers = words(count, 0, f"check {name}") % np.uint64(size)
        found[name] = np.asarray(numbers).astype(kind.dtype).reshape(shape)
    return found


def _outputs(
    graph: Graph, state: Mapping[str, Parameter], rows: Mapping[str, AnyArray]
) -> dict[str, AnyArray]:
    step = compiled(graph)
    arguments = [
        rows[f"input.{name}"] if f"input.{name}" in rows else state[name].numpy()
        for name in graph.inputs
    ]
    with np.errstate(all="ignore"):
        found = step.function(*arguments)
    each = found if isinstance(found, tuple) else (found,)
    return {
        f"output.{name}": np.asarray(array) for name, array in zip(graph.outputs, each, strict=True)
    }


def _difference(found: AnyArray, wanted: AnyArray) -> tuple[float, float]:
    """The largest difference, and how large it may be; nan where one is finite and one is not."""
    if found.dtype.kind != "f":
        return float((found != wanted).sum()), 0.0
    finite = np.isfinite(wanted)
    if not np.array_equal(found[~finite], wanted[~finite], equal_nan=True):
        return float("nan"), 0.0
    if not finite.any():
        return 0.0, 0.0
    a, b = found[finite].astype(np.float64), wanted[finite].astype(np.float64)
    return float(np.abs(a - b).max()), TOLERANCE[wanted.dtype.name] * (1 + float(np.abs(b).max()))
