"""A spot-check of derivatives: along random directions, the loss must change as they say.

The step's own graph, in float64, gives loss and gradient of some rows of the first batch near the
numbers that the run begins with. Along a direction d the loss rises by gradient . d, which is
compared with (loss(w + h d) - loss(w - h d)) / 2h. Where two lengths of h disagree there is a
kink, and the direction says nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.engine import compile_step
from glassgrad.errors import DataError, GradientError
from glassgrad.ir import Graph, reachable
from glassgrad.passes.widen import widened

from . import batches

if TYPE_CHECKING:
    from .step import Plan
    from .trainer import Record

AnyArray = NDArray[Any]

DIRECTIONS = 3
_EVALUATIONS = 2 * DIRECTIONS + 1  # where nothing is wrong
SHARE = 0.01  # of a run's seconds so far
AT_ONCE = 5e-2  # seconds that a check before the first step may take
_SHORT, _LONG = 2e-3, 5e-2  # seconds for the rows of the check: where a step is under 1 ms, or not
_TO_COMPILE = {"numpy": 4e-4, "native": 1.5e-4}  # seconds for a node, seldom more
_PER_NUMBER = 2e-7  # seconds for each number that is trained
_WIDER = 3  # times; a step in float64 takes seldom longer than so many in float32
_STEP = 1e-5  # of a parameter's own size
_ASIDE = 1e-3  # of it; the point of the check lies beside the first one, where no two numbers tie
_SOME = 4
_RELATIVE = 1e-4
_NOISE = 1e-6  # of the loss: differences are no finer


def is_due(record: Record, step: float, seconds: float) -> bool:
    """Whether a run that took so long, with so long a step, has time for its check."""
    return seconds >= cost(record, step) / SHARE


def cost(record: Record, step: float) -> float:
    """Seconds that the check of a run takes, seldom more, where a step takes `step`."""
    plan = record.plan
    rows = _rows(record, step) / record.batch_rows
    compiling = plan.step.count * _TO_COMPILE[plan.step.engine]
    return compiling + plan.size * _PER_NUMBER + _EVALUATIONS * _WIDER * rows * step


def _rows(record: Record, step: float) -> int:
    """As many rows of a batch as the time allows; a batch norm needs two.

    Where the time of a step is not known yet, 0, they are some.
    """
    if not step:
        return min(record.batch_rows, _SOME)
    allowed = _SHORT if step < 1e-3 else _LONG
    most = allowed / (_EVALUATIONS * _WIDER * step) * record.batch_rows
    return int(min(record.batch_rows, max(most, 2)))


def check_gradients(record: Record, step: float, seconds: float = math.inf) -> None:
    """Compare the derivatives of a run with differences of its loss.

    Raises GradientError where they are not the derivatives of the loss; a plan that passed is
    not checked again. Where so many `seconds` are too few to evaluate the loss often enough, the
    check is left for later.
    """
    batch = next(iter(record.source().epoch(1))) if record.stream is None else None
    first = [record.data[n] for n in record.plan.data] if batch is None else batch
    rows = _rows(record, step)
    point = _Point(record, [np.asarray(a[:rows]) for a in first])
    with np.errstate(all="ignore"), suppress(DataError), batches.positions_inside():
        wrong = point.mismatches(seconds)
        if wrong is None:
            return
        if wrong:
            raise _error(point, wrong)
    record.plan.checked = True


@dataclass(frozen=True, slots=True)
class _Slope:
    """Along one direction: what the gradient says, and what the loss does."""

    analytic: float
    numeric: float
    differs: bool


class _Point:
    """Loss and gradient of some rows in float64, as functions of the vector of weights."""

    def __init__(self, record: Record, data: list[AnyArray]) -> None:
        self.record = record
        self.plan = plan = record.plan
        self.rows = len(data[0])
        graph, self.gradient = checked_graph(plan)
        self.step = compile_step(
            graph, "derivatives", returns=("loss", self.gradient), backend=plan.step.engine
        )
        given: dict[str, Any] = {**dict(zip(plan.data, data, strict=True)), **record.initial}
        hosts: Mapping[str, Any] = {"seed": record.seed, "step": 1, "rate": 1.0}
        self.names = list(graph.inputs)
        parts = {p.name for p in plan.parts}
        self.trained = [name for name in record.task.state() if name in parts]
        self.sizes = _sizes(plan, record.initial)
        draw = np.random.Generator(np.random.Philox(0))
        begin = [record.initial[p.name].ravel().astype(np.float64) for p in plan.parts]
        self.weights = np.concatenate(begin) + _ASIDE * self.sizes * draw.normal(size=plan.size)
        self.directions = [self.sizes * draw.normal(size=plan.size) for _ in range(DIRECTIONS)]
        self.arguments: list[Any] = []
        for name, value in graph.inputs.items():
            if name in ("weights", "gradient_sum"):
                self.arguments.append(np.zeros(plan.size))
            elif name in hosts:
                self.arguments.append(hosts[name])
            else:
                self.arguments.append(np.ascontiguousarray(given[name], value.type.dtype))

    def at(self, weights: AnyArray) -> tuple[float, AnyArray]:
        """Loss and gradient."""
        self.arguments[self.names.index("weights")] = weights
        loss, gradient = self.step.function(*self.arguments)
        if self.gradient == "gradient_sum.next":
            gradient = gradient / self.rows
        return float(loss), gradient

    def mismatches(self, seconds: float) -> list[_Slope] | None:
        """The slopes that differ, if all of those that say anything do; None without the time."""
        if math.isfinite(seconds):
            times = [time.perf_counter()]
            for _ in range(3):  # the first time a plan is made
                self.at(self.weights)
                times.append(time.perf_counter())
            if _EVALUATIONS * min(times[2] - times[1], times[3] - times[2]) > seconds:
                return None
        loss, gradient = self.at(self.weights)
        gradient = np.array(gradient)
        if not (math.isfinite(loss) and np.isfinite(gradient).all()):
            return []  # the guard of finite numbers has more to say
        slopes = [self.slope(loss, gradient, d) for d in self.directions]
        said = [s for s in slopes if s is not None]
        return said if said and all(s.differs for s in said) else []

    def slope(self, loss: float, gradient: AnyArray, direction: AnyArray) -> _Slope | None:
        """What happens along one direction; None where a kink is in the way."""
        analytic = float(gradient @ direction)
        size = max(abs(analytic), math.sqrt(float(((gradient * direction) ** 2).sum())))
        numeric, bend = self.difference(loss, direction, _STEP)
        if not math.isfinite(numeric):
            return None
        size = max(size, abs(numeric))
        allowed = _RELATIVE * size + _NOISE * abs(loss)
        apart = abs(numeric - analytic)
        if apart <= allowed:
            return _Slope(analytic, numeric, False)
        again, bend_again = self.difference(loss, direction, _STEP / 2)
        unsure = max(abs(numeric - again), bend, bend_again)
        return None if not unsure < apart / 10 else _Slope(analytic, again, True)

    def difference(self, loss: float, direction: AnyArray, h: float) -> tuple[float, float]:
        """The slope by a central difference, and how far the slopes of both sides are apart."""
        above, _ = self.at(self.weights + h * direction)
        below, _ = self.at(self.weights - h * direction)
        return (above - below) / (2 * h), abs(above - 2 * loss + below) / h

    def wrong_parameters(self) -> list[str]:
        """The parameters whose own derivatives are wrong, in the order of the network."""
        loss, gradient = self.at(self.weights)
        gradient = np.array(gradient)
        return [
            name
            for name in self.trained
            if any(
                slope is not None and slope.differs
                for slope in [self.slope(loss, gradient, d) for d in self.alone(name)]
            )
        ]

    def alone(self, name: str) -> Iterator[AnyArray]:
        """The directions as far as they belong to one parameter."""
        part = next(p for p in self.plan.parts if p.name == name)
        for direction in self.directions:
            only = np.zeros_like(direction)
            only[part.start : part.stop] = direction[part.start : part.stop]
            yield only


def checked_graph(plan: Plan) -> tuple[Graph, str]:
    """Loss and gradient of a step in float64, and the name of the output that is the gradient."""
    outputs = plan.graph.outputs
    name = "gradient" if "gradient" in outputs else "gradient_sum.next"
    wanted = {"loss": outputs["loss"], name: outputs[name]}
    used = set(reachable(wanted.values()))
    inputs = {n: v for n, v in plan.graph.inputs.items() if v.node in used or n in plan.data}
    return widened(Graph(inputs, wanted, {}, plan.graph.scopes)), name


def _sizes(plan: Plan, initial: Mapping[str, AnyArray]) -> AnyArray:
    """How large the numbers of each parameter are, for each of its numbers."""
    sizes = np.empty(plan.size)
    for part in plan.parts:
        size = float(np.sqrt(np.mean(np.square(initial[part.name], dtype=np.float64))))
        sizes[part.start : part.stop] = size if 1e-2 < size < math.inf else 1e-2
    return sizes


def _error(point: _Point, wrong: list[_Slope]) -> GradientError:
    names = point.wrong_parameters()
    slope = max(wrong, key=lambda s: abs(s.analytic - s.numeric))
    where = f"{', '.join(names[:5])}{' and others' if len(names) > 5 else ''}" or "all parameters"
    layer = names[-1].rpartition(".")[0] or names[-1] if names else ""
    later = names and names[-1] != point.trained[-1]
    hint = "report this, with the network, unless a rule for a derivative is your own"
    if layer:
        after = ", or between it and the next layer" if later else " or in the loss"
        hint = f"look in {layer}{after}: what comes later has right derivatives; {hint}"
    return GradientError(
        "a derivative is not that of the loss",
        where=where,
        expected=f"a slope of {slope.numeric:.6g} along a random direction, as the loss itself has",
        received=f"{slope.analytic:.6g} by the derivatives of the step, in float64 on {point.rows} rows",
        hint=hint,
    )
