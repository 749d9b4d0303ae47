"""Faults of the learning rate, found by forks with other rates."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .evidence import Evidence
from .faults import Finding
from .forks import Course, Fork
from .structure import Walk

ENOUGH = 50  # steps; in fewer of them no usual rate comes far


def rate(evidence: Evidence, _: Walk) -> Iterator[Finding]:
    """The loss falls with a rate a tenth or less, or ten times and more, and not with this one."""
    fork, course = evidence.fork, evidence.course
    if fork.optimizer.schedule is not None:
        return  # what a schedule does later is not seen in a few steps
    first, last = float(np.mean(course.losses[:3])) if course.losses else np.inf, course.last
    step = evidence.step_size
    if course.finite and last < 0.5 * first and step < 0.3:
        return
    if course.finite and last < 0.3 * evidence.guess:
        return  # most is learned, perhaps before: what is left is no matter of the rate
    if not course.finite or step > 1e-3:
        lower = {f: fork.with_rate(f).run(evidence.steps) for f in (0.1, 0.01)}
        by = min(lower, key=lambda f: lower[f].last)
        best = lower[by]
        if best.last < 0.6 * last and best.held < 0.8 * course.held:
            yield Finding(
                "rate too high",
                "optimizer",
                f"{_went(first, course)} with the rate {fork.optimizer.lr:g} (a step moves weights "
                f"by {step:.1e} of their size), and comes to {best.last:.3g} with "
                f"{fork.optimizer.lr * by:g}",
                f"Lower the learning rate to about {fork.optimizer.lr * by:g}.",
                change=_with(by),
            )
            return
    if course.finite and step < 1e-3 and len(course.losses) >= ENOUGH:
        higher = {f: fork.with_rate(f).run(evidence.steps) for f in (100.0, 1000.0)}
        by = min(higher, key=lambda f: higher[f].last)
        best = higher[by]
        begin = fork.held_loss(fork.model)  # a mean over batches would differ by the batches
        if begin - course.held < 0.2 * (begin - best.held) and best.held < 0.9 * course.held:
            yield Finding(
                "rate too low",
                "optimizer",
                f"{_went(first, course)} with the rate {fork.optimizer.lr:g} (a step moves weights "
                f"by {step:.1e} of their size), and comes to {best.last:.3g} with "
                f"{fork.optimizer.lr * by:g}",
                f"Raise the learning rate to about {fork.optimizer.lr * by:g}.",
                change=_with(by),
            )


def _went(first: float, course: Course) -> str:
    if not course.finite:
        return f"the loss goes from {first:.3g} to inf or nan in {len(course.losses)} steps"
    return f"the loss goes from {first:.3g} to {course.last:.3g} in {len(course.losses)} steps"


def _with(factor: float) -> Callable[[Fork], Fork]:
    def change(fork: Fork) -> Fork:
        return fork.with_rate(factor)

    return change


CHECKS = (rate,)
