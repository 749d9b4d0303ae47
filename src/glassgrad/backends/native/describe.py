"""What is in a plan, for people."""

from __future__ import annotations

from typing import Any

from glassgrad.passes.layout import Lay

from .function import NativeFunction, made
from .step import Step


def described(function: NativeFunction, rows: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Each kernel of the plan for so many rows, and what holds for all."""
    from . import _native

    bound = function.plan(rows)
    plan, steps = bound.plan, bound.planned.steps
    runs = max(plan.runs, 1)
    lines = []
    for step, info, spent in zip(steps, plan.describe(), plan.times(), strict=True):
        if step.kernel == "loop":
            continue
        lines.append(
            {
                "kernel": info["kernel"],
                "variant": info["name"],
                "shapes": shapes(step),
                "flop": info["flop"],
                "bytes": info["bytes"],
                "times": info["times"],
                "seconds": spent / runs * 1e-9,
                "about": step.about,
            }
        )
    about = {"arena": plan.arena, "isa": plan.isa, "threads": _native.get_threads()}
    return lines, about


def weighed(function: NativeFunction, rows: int) -> tuple[tuple[int, float], tuple[int, float]]:
    """Bytes and flop of the plan for so many rows, and of the one that keeps what it computes."""
    bound = function.plan(rows)
    plain = bound.plan if bound.plain is bound.planned else made(bound.plain)
    return _weight(bound.plan), _weight(plain)


def _weight(plan: Any) -> tuple[int, float]:
    return plan.arena, sum(info["flop"] * info["times"] for info in plan.describe())


def shapes(step: Step) -> str:
    """The sizes that matter: of both factors, of what is summed, of what is made."""
    made = step.writes[0] if step.writes else step.reads[0]
    if step.kernel == "matmul":
        return f"{_shape(step.reads[0])} @ {_shape(step.reads[1])}"
    if step.kernel in ("reduce", "take", "add_at"):
        return f"{_shape(step.reads[0])} -> {_shape(made)}"
    return _shape(made)


def _shape(lay: Lay) -> str:
    return " x ".join(map(str, lay.shape)) or "1"
