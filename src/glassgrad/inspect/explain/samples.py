"""Whose doing a derivative is: each row's own part of it, and which rows pull against each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.engine import compile_graph
from glassgrad.ir import Graph
from glassgrad.nn.module import Module
from glassgrad.train.task import WEIGHT

from .recording import Recording, recorded

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Samples:
    """The derivative of the loss in one parameter, row by row.

    $d = p + \\sum_n d_n$, where $d_n$ is the derivative of row n's own term of the loss. Layers
    that look at all rows, such as batch normalisation, see all of them: $d_n$ is what term n does
    by every way. `parts` has the rows as its first axis; `rest` is what belongs to no row: what
    large weights cost.
    """

    name: str
    parts: Array
    rest: Array
    total: Array

    @property
    def error(self) -> float:
        """The largest difference of parts and rest from the derivative, beside the sum of sizes."""
        off = np.abs(self.parts.sum(axis=0) + self.rest - self.total)
        scale = np.abs(self.parts).sum(axis=0) + np.abs(self.rest)
        return float(np.max(off / np.maximum(scale, np.finfo(scale.dtype).tiny), initial=0.0))

    @property
    def pushes(self) -> Array:
        """How far each row moves the parameter along the whole derivative: $d_n \\cdot d / |d|$."""
        flat, whole = self.parts.reshape(len(self.parts), -1), self.total.ravel()
        size = float(np.linalg.norm(whole))
        return np.asarray(flat @ whole / size if size else np.zeros(len(flat)))

    def against(self) -> list[tuple[int, int, float]]:
        """Pairs of rows by the cosine between their parts, those that disagree most first."""
        flat = self.parts.reshape(len(self.parts), -1).astype(np.float64)
        sizes = np.linalg.norm(flat, axis=1)
        unit = flat / np.where(sizes, sizes, 1)[:, None]
        angles = unit @ unit.T
        rows, columns = np.triu_indices(len(flat), 1)
        order = np.argsort(angles[rows, columns], kind="stable")
        return [(int(rows[i]), int(columns[i]), float(angles[rows[i], columns[i]])) for i in order]


def by_sample(
    model: Module, x: Any, y: Any, names: tuple[str, ...] = (), **settings: Any
) -> dict[str, Samples]:
    """Each row's part of the derivative in these parameters, in all that are trained if none is named.

    Each row's term is weighted with 1 and all others with 0, one after the other: the loss is
    linear in the weights of its terms. Raises UsageError for a loss that has no term for each row.
    """
    plain = recorded(model, x, y, **settings)
    weights = np.ones(plain.rows)
    record = recorded(model, x, y, sample_weight=weights, **settings)
    graph = record.graph
    wanted = {
        n: record.gradients[v]
        for n, v in graph.inputs.items()
        if v in record.gradients and v.node.attributes["role"] == "parameter"
    }
    if names:
        wanted = {n: wanted[n] for n in names}
    outputs = {"loss": record.loss, **{f"d{i}": v for i, v in enumerate(wanted.values())}}
    step = compile_graph(Graph(graph.inputs, outputs))

    def run(weight: Array) -> list[Array]:
        given = {**record.arguments, WEIGHT: weight}
        with np.errstate(all="ignore"):
            found = step(*given.values())
        return [np.array(a) for a in found]

    dtype = record.arguments[WEIGHT].dtype
    rest = run(np.zeros(plain.rows, dtype))
    each = []
    for row in range(plain.rows):
        one = np.zeros(plain.rows, dtype)
        one[row] = 1
        each.append([a - b for a, b in zip(run(one), rest, strict=True)])
    scale = _scale(plain, record, float(rest[0]))
    found = {}
    for i, name in enumerate(wanted, 1):
        parts = np.array([found[i] for found in each]) * scale
        total = plain.gradient(plain.graph.inputs[name])
        assert total is not None
        found[name] = Samples(name, parts, rest[i], total)
    return found


def _scale(plain: Recording, weighted: Recording, rest: float) -> float:
    """A mean over weights of classes, or over rows that count, divides by less than all rows."""
    whole = float(plain.arrays[plain.loss]) - rest
    by_rows = float(weighted.arrays[weighted.loss]) - rest
    return 1.0 if whole == by_rows or not by_rows else whole / by_rows
