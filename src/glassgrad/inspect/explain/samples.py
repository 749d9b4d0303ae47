"""Whose doing a derivative is: each row's own part of it, and which rows pull against each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.engine import compile_graph
from glassgrad.ir import Graph
from glassgrad.nn.module import Module
from glassgrad.train.task import WEIGHT

from .recording import Recording, recorded
from .words import number, visible

Array = NDArray[Any]
_SHOWN = 10  # rows in a printed list


@dataclass(frozen=True, slots=True, repr=False)
class Samples:
    r"""The derivative of the loss in one parameter, row by row.

    $d = p + \sum_n d_n$, where $d_n$ is the derivative of row n's own term of the loss. Layers
    that look at all rows, such as batch normalisation, see all of them: $d_n$ is what term n does
    by every way. `parts` has the rows as its first axis; `rest` is what belongs to no row: what
    large weights cost.

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> model, x, y = nn.Linear(1, 1, init=1.0), [[1.0], [2.0]], [[0.0], [3.0]]
    >>> gg.explain(model, x, y, loss="mse").samples("weight")["weight"]
    Each row's part of the derivative in weight, along its direction (length 1):
      row 1            2   200.0 %
      row 0           -1  -100.0 %
      rows 0 and 1 pull against each other: cosine -1.000
      the parts sum to the derivative exactly
    """

    name: str
    parts: Array
    rest: Array
    total: Array

    @property
    @np.errstate(all="ignore")  # of a step that was not finite
    def error(self) -> float:
        """The largest difference of parts and rest from the derivative, beside the sum of sizes."""
        off = np.abs(self.parts.sum(axis=0) + self.rest - self.total)
        scale = np.abs(self.parts).sum(axis=0) + np.abs(self.rest)
        return float(np.max(off / np.maximum(scale, np.finfo(scale.dtype).tiny), initial=0.0))

    @property
    @np.errstate(all="ignore")
    def pushes(self) -> Array:
        r"""How far each row moves the parameter along the whole derivative: $d_n \cdot d / |d|$."""
        flat, whole = self.parts.reshape(len(self.parts), -1), self.total.ravel()
        size = float(np.linalg.norm(whole))
        return np.asarray(flat @ whole / size if size else np.zeros(len(flat)))

    @np.errstate(all="ignore")
    def __repr__(self) -> str:
        """The rows that push hardest, those that pull most against each other, and what is left."""
        pushes = self.pushes
        order = np.argsort(-np.abs(pushes), kind="stable")[:_SHOWN]
        size = float(np.linalg.norm(self.total))
        of = f"the derivative in {visible(self.name)}, along its direction"
        lines = [f"Each row's part of {of} (length {number(size)}):"]
        width = len(str(max(0, len(pushes) - 1)))
        for row in order.tolist():
            share = f"  {100 * pushes[row] / size:6.1f} %" if size else ""
            lines.append(f"  row {row:>{width}}  {number(float(pushes[row])):>11}{share}")
        if len(pushes) > len(order):
            left = float(pushes.sum() - pushes[order].sum())
            lines.append(f"  {len(pushes) - len(order):,} more rows  {number(left)}")
        if size and self.rest.any():
            push = float(self.rest.ravel() @ self.total.ravel()) / size
            lines.append(
                f"  of no row, as what large weights cost  {number(push)}  {100 * push / size:.1f} %"
            )
        for a, b, cosine in self.against()[:3]:
            if cosine < 0:
                lines.append(f"  rows {a} and {b} pull against each other: cosine {cosine:.3f}")
        exactly = f", but for {self.error:.1g} of their sizes" if self.error else " exactly"
        lines.append(f"  the parts sum to the derivative{exactly}")
        return "\n".join(lines)

    @np.errstate(all="ignore")
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
    plain: Recording,
    model: Module,
    x: Any,
    y: Any,
    *,
    loss: Any,
    names: tuple[str, ...],
    loss_weights: Any = None,
    sample_weight: Any = None,
    training: bool = True,
    seed: int | None = 0,
    step: int = 1,
) -> dict[str, Samples]:
    """Each row's part of the derivatives of a recorded step in these parameters, by their paths.

    Each row's term keeps its weight (1 if none is given) while all others have 0, one after the
    other: the loss is linear in the weights of its terms. Numbers are those of the recording, though
    the model may have been trained on since. Raises UsageError for a loss that has no term for each row.
    """
    settings: dict[str, Any] = {"loss": loss, "training": training, "seed": seed, "step": step}
    own = np.ones(plain.rows) if sample_weight is None else sample_weight
    given = tuple([head.weight for head in plain.task.heads])
    found: dict[str, Samples] = {}
    for i in range(len(given)):
        one = tuple([w if j == i else 0.0 for j, w in enumerate(given)])
        of_head = one if plain.task.heads[0].output else None
        settings["loss_weights"] = of_head if len(given) > 1 else loss_weights
        weighted = recorded(model, x, y, sample_weight=own, held=plain.arguments, **settings)
        for name, parts, rest in _row_by_row(weighted, names, _scale(plain, weighted, i)):
            total = plain.gradient(plain.graph.inputs[name])
            assert total is not None
            before = found[name].parts if name in found else 0
            found[name] = Samples(name, before + parts, rest, total)
    return found


def _row_by_row(
    record: Recording, names: tuple[str, ...], scale: float
) -> Iterator[tuple[str, Array, Array]]:
    """For each parameter its name, what each row does to it, and what no row does."""
    graph = record.graph
    wanted = {n: record.gradients[graph.inputs[n]] for n in names}
    step = compile_graph(Graph(graph.inputs, {f"d{i}": v for i, v in enumerate(wanted.values())}))
    dtype = record.arguments[WEIGHT].dtype

    def run(weight: Array) -> list[Array]:
        with np.errstate(all="ignore"):
            found = step(*{**record.arguments, WEIGHT: weight.astype(dtype)}.values())
        return [np.array(a) for a in (found if isinstance(found, tuple) else (found,))]

    rest = run(np.zeros(record.rows))
    each = [run(row) for row in np.diag(record.arguments[WEIGHT])]
    for i, name in enumerate(wanted):
        yield name, np.array([found[i] - rest[i] for found in each]) * scale, rest[i]


def _scale(plain: Recording, weighted: Recording, head: int) -> float:
    """A mean over weights of classes, or over rows that count, divides by less than all rows.

    The two losses then differ by one factor, and so do their derivatives in the prediction.
    """
    whole = plain.gradient(plain.predictions[head])
    by_rows = weighted.gradient(weighted.predictions[head])
    if whole is None or by_rows is None or not by_rows.size:
        return 1.0
    at = np.unravel_index(int(np.abs(by_rows).argmax()), by_rows.shape)
    return float(whole[at] / by_rows[at]) if by_rows[at] else 1.0
