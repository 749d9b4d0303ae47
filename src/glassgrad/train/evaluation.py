"""Loss and metrics of a network as it is: no step, no update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from . import batches
from .step import Plan

AnyArray = NDArray[Any]


def evaluated(plan: Plan, arguments: list[Any], data: Mapping[str, AnyArray]) -> dict[str, float]:
    """Loss and metrics over all rows, chunk by chunk."""
    arrays = [data[name] for name in plan.data]
    for i, name in enumerate(plan.graph.inputs):
        if arguments[i] is None:
            arguments[i] = batches.DRAWS.get(name)
    count = len(arrays[0])
    total = 0.0
    sums = [0.0] * len(plan.metrics)
    for rows in batches.chunks(count):
        arguments[: len(arrays)] = batch = [array[rows] for array in arrays]
        found = plan.step.function(*arguments)
        loss, *values = found if isinstance(found, tuple) else (found,)
        total += float(loss) * len(batch[0])
        for i, value in enumerate(values):
            sums[i] += float(value)
    row = {"loss": total / count}
    for (name, each), s in zip(plan.metrics, sums, strict=True):
        row[name] = s / (count * each)
    return row
