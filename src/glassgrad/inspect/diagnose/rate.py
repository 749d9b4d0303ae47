"""Faults of the learning rate, found by forks with other rates."""

from __future__ import annotations

from collections.abc import Callable, Iterator

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
    begin, last = fork.held_loss(fork.model), course.last
    step = evidence.step_size
    if course.finite and course.held < 0.5 * begin and step < 0.3:
        return
    if course.finite and last < 0.3 * evidence.guess:
        return  # most is learned, perhaps before: what is left is no matter of the rate
    if not course.finite or step > 1e-3:
        found = _lower(evidence, begin)
        if found is not None:
            yield found
            return
    if course.finite and step < 1e-3 and len(course.losses) >= ENOUGH:
        higher = {f: fork.with_rate(f).run(evidence.steps) for f in (100.0, 1000.0)}
        by = min(higher, key=lambda f: higher[f].last)
        best = higher[by]
        if begin - course.held < 0.2 * (begin - best.held) and best.held < 0.9 * course.held:
            yield Finding(
                "rate too low",
                "optimizer",
                f"{_went(course)} with the rate {fork.optimizer.lr:g} (a step moves weights "
                f"by {step:.1e} of their size), and comes to {best.last:.3g} with "
                f"{fork.optimizer.lr * by:g}",
                f"Raise the learning rate to about {fork.optimizer.lr * by:g}.",
                change=_with(by),
            )


def _lower(evidence: Evidence, begin: float) -> Finding | None:
    """Rates of a tenth and a hundredth; far smaller ones, if the loss explodes."""
    fork, course = evidence.fork, evidence.course
    explodes = not course.finite or course.held > begin
    factors = (0.1, 0.01, 1e-4, 1e-6) if explodes else (0.1, 0.01)
    about = (
        f"{_went(course)} with the rate {fork.optimizer.lr:g} (a step moves weights by "
        f"{evidence.step_size:.1e} of their size)"
    )
    for some in (factors[:2], factors[2:]):
        tried = {f: fork.with_rate(f).run(evidence.steps) for f in some}
        by = min(tried, key=lambda f: tried[f].last, default=0.0)
        if by and tried[by].last < 0.6 * course.last and tried[by].held < 0.8 * course.held:
            rate = fork.optimizer.lr * by
            return Finding(
                "rate too high",
                "optimizer",
                f"{about}, and comes to {tried[by].last:.3g} with {rate:g}",
                f"Lower the learning rate to about {rate:g}.",
                change=_with(by),
            )
    if course.finite:
        return None
    return Finding(
        "rate too high",
        "optimizer",
        about,
        untried=f"rates down to {factors[-1]:g} of it do no better",
    )


def _went(course: Course) -> str:
    if not course.finite:
        return f"the loss goes from {course.first:.3g} to inf or nan in {len(course.losses)} steps"
    return (
        f"the loss goes from {course.first:.3g} to {course.last:.3g} in {len(course.losses)} steps"
    )


def _with(factor: float) -> Callable[[Fork], Fork]:
    def change(fork: Fork) -> Fork:
        return fork.with_rate(factor)

    return change


CHECKS = (rate,)
