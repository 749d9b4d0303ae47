"""Metrics: what is counted beside the loss, as a sum and a count, so that batches add up.

Only what adds up over batches is one: accuracy, among the likeliest k, and every loss. A root of
a mean, a precision, F1 or R2 is a function of sums over all rows: take it from `gg.predict`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from glassgrad.data.table import FORMULA
from glassgrad.errors import ConfigError, ShapeError, TraceError, shown, unknown_name
from glassgrad.ir import product
from glassgrad.nn import losses
from glassgrad.ops import OPS, Symbol


@dataclass(frozen=True, slots=True)
class Metric:
    """A name, and what to add up: (prediction, target, loss name) -> (sum, count per row).

    `direction` is "down" or "up", where it is better; "" where nobody has said. `says` and
    `formula` (LaTeX) are for the reference.
    """

    name: str
    write: Callable[[Any, Any, str], tuple[Any, int]]
    direction: str = ""
    says: str = ""
    formula: str = ""


def _accuracy(prediction: Any, target: Any, loss: str) -> tuple[Any, int]:
    """How many predictions are right: the likeliest class, or the right side of the middle."""
    p, t = prediction, target
    if t.ndim == p.ndim - 1:
        right = p.argmax(1) == t
    elif t.shape != p.shape:
        raise ShapeError(
            "accuracy compares classes",
            where="metric accuracy",
            expected=f"targets {p.shape[:1]} or {p.shape}",
            received=str(t.shape),
        )
    elif p.ndim > 1 and p.shape[1] != 1:
        right = p.argmax(1) == t.argmax(1)
    else:
        ours = losses.known(loss)
        middle = ours.middle if ours else 0.5
        right = (p > middle) == (t > 0.5)
    return right.astype("int64").sum(), int(product(right.shape[1:]))


_TOP = re.compile(r"top_([1-9][0-9]{0,5})_accuracy")


def _top(k: int) -> Callable[[Any, Any, str], tuple[Any, int]]:
    """How many of the right classes have fewer than k others above them."""

    def write(prediction: Any, target: Any, _: str) -> tuple[Any, int]:
        p, t = prediction, target
        if t.shape == p.shape and t.ndim == 2:
            t = t.argmax(1)
        if p.ndim != 2 or t.shape != p.shape[:1] or t.dtype != "int64":
            raise ShapeError(
                "accuracy among the likeliest needs rows of scores",
                where=f"metric top_{k}_accuracy",
                expected="scores (n, classes), and class indices (n,) or one-hot rows",
                received=f"{p.shape} and {t.dtype} {t.shape}",
            )
        right = OPS["pick"](p, t).reshape(-1, 1)
        above = (p > right).astype("int64").sum(axis=1)
        return (above < k).astype("int64").sum(), 1

    return write


def _mean_over(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any, str], tuple[Any, int]]:
    def write(prediction: Any, target: Any, _: str) -> tuple[Any, int]:
        found = function(prediction, target)
        if not isinstance(found, Symbol) or found.shape != ():
            raise TraceError(
                "a metric gives one number, the mean over the batch",
                expected="a scalar, such as a mean",
                where=getattr(function, "__name__", "metric"),
                received=shown(found),
            )
        return found * prediction.shape[0], 1

    return write


def _absolute(prediction: Any, target: Any) -> Any:
    return abs(prediction - target).mean()


def _squared(prediction: Any, target: Any) -> Any:
    return ((prediction - target) ** 2).mean()


NAMED = {
    "accuracy": Metric(
        "accuracy",
        _accuracy,
        "up",
        "Share of predictions that are right: the likeliest class, or the right side of the middle.",
        r"\tfrac{1}{n} \sum_i [\operatorname{argmax} p_i = t_i]",
    ),
    "mae": Metric(
        "mae",
        _mean_over(_absolute),
        "down",
        "Mean absolute error over all numbers.",
        r"\tfrac{1}{n} \sum |p - t|",
    ),
    "mse": Metric(
        "mse",
        _mean_over(_squared),
        "down",
        "Mean squared error over all numbers.",
        r"\tfrac{1}{n} \sum (p - t)^2",
    ),
}


@lru_cache(256)
def _named(name: str) -> Metric:
    if name in NAMED:
        return NAMED[name]
    if top := _TOP.fullmatch(name):
        says = "Share of rows whose right class is among the k likeliest: fewer than k above it."
        formula = r"\tfrac{1}{n} \sum_i [\#\{j : p_{ij} > p_{i,t_i}\} < k]"
        return Metric(name, _top(int(top[1])), "up", says, formula)
    if name in losses.NAMED:
        return Metric(name, _mean_over(losses.NAMED[name].function), "down")
    raise unknown_name("metric", name, (*NAMED, "top_5_accuracy", *losses.NAMED))


def ours(metric: Metric) -> bool:
    """Whether a metric is one that has a name here, and no function of the user's."""
    named = metric.name in NAMED or metric.name in losses.NAMED or _TOP.fullmatch(metric.name)
    return bool(named) and _named(metric.name) is metric


def _is_title(name: Any) -> bool:
    """Whether a name can head a column of a CSV file, and a number in a line of output.

    What a spreadsheet takes for a formula cannot: =, +, - or @ in front, of either width.
    """
    if not isinstance(name, str) or not 1 <= len(name) <= 60 or not name.isprintable():
        return False
    taken = name in ("epoch", "seconds") or name.startswith(("val_", *FORMULA))
    return not taken and name == name.strip() and not set(name) & set(",\"'\\")


def find(metrics: Sequence[Any]) -> tuple[Metric, ...]:
    """Metrics from names and functions of (prediction, target)."""
    if isinstance(metrics, str) or callable(metrics):
        metrics = (metrics,)
    found = []
    for metric in metrics:
        if isinstance(metric, str):
            found.append(_named(metric))
        elif callable(metric):
            ours = any(metric is r.function for r in losses.RECORDS)
            ours = ours or isinstance(metric, losses.Loss)
            direction = "down" if ours else ""
            name = getattr(metric, "__name__", "metric")
            if isinstance(metric, losses.Loss):
                name = metric.record.name
            found.append(Metric(name, _mean_over(metric), direction))
        else:
            raise ConfigError(
                "this is not a metric",
                expected="a name, or a function (prediction, target) -> mean over the batch",
                received=shown(metric),
            )
    names = [m.name for m in found]
    for name in names:
        if not _is_title(name):
            raise ConfigError(
                "a metric cannot be called this in a table",
                where="metrics",
                expected="at most 60 printable characters without commas, quotes and backslashes, and none of = + - @ in front",
                received=shown(name),
                hint="give the function another __name__",
            )
    if len(set(names)) != len(names) or "loss" in names:
        raise ConfigError(
            "two columns of the history have one name",
            expected="names that differ, and not loss",
            received=", ".join(names),
        )
    return tuple(found)
