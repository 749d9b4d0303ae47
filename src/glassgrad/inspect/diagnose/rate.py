"""Faults of the learning rate, found by forks with other rates."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .bounds import (
    BY_HEART,
    ENOUGH,
    FALLEN,
    FAR_LOWER,
    FAST,
    HELD_BETTER,
    HIGHER,
    LITTLE,
    LOWER,
    MUCH_BETTER,
    SLOW,
    WORTH,
)
from .evidence import Evidence
from .faults import Finding
from .forks import Course, Fork


def rate(evidence: Evidence) -> Iterator[Finding]:
    """The loss falls with a rate a tenth or less, or ten times and more, and not with this one."""
    fork, course = evidence.fork, evidence.course
    scheduled = fork.optimizer.schedule is not None  # what it does later is not seen here
    begin = fork.held_loss(fork.model)
    step = evidence.step_size
    if course.finite and course.held < FALLEN * begin and step < FAST:
        return
    if evidence.learned:
        return  # perhaps before: what is left is no matter of the rate
    if not course.finite or step > (FAST if scheduled else SLOW):
        found = _lower(evidence, begin)
        if found is not None:
            yield found
            return
    if course.finite and not scheduled and step < SLOW and len(course.losses) >= ENOUGH:
        higher = {f: fork.with_rate(f).run(evidence.steps) for f in HIGHER}
        by = min(higher, key=lambda f: higher[f].last)
        best = higher[by]
        if begin - course.held < LITTLE * (begin - best.held) and best.held < WORTH * course.held:
            yield Finding(
                "rate too low",
                "optimizer",
                f"{_went(course)} with {_named(fork)} (a step moves weights by {step:.1e} of their "
                f"size), and comes to {best.last:.3g} with {_named(fork, by)}",
                f"Raise the learning rate to about {_rate(fork, by)}.",
                change=_with(by),
            )


def _lower(evidence: Evidence, begin: float) -> Finding | None:
    """Rates of a tenth and a hundredth; far smaller ones, if the loss explodes."""
    fork, course = evidence.fork, evidence.course
    explodes = not course.finite or course.held > begin
    about = (
        f"{_went(course)} with {_named(fork)} (a step moves weights by {evidence.step_size:.1e} of "
        f"their size)"
    )
    tried: dict[float, Course] = {}
    found = None
    for some in (LOWER, FAR_LOWER) if explodes else (LOWER,):
        tried |= {f: fork.with_rate(f).run(evidence.steps) for f in some}
        by = min(tried, key=lambda f: tried[f].last)
        best = tried[by]
        learns = best.last < MUCH_BETTER * course.last and best.held < HELD_BETTER * course.held
        if not learns and course.held > BY_HEART * begin:
            by = min(tried, key=lambda f: tried[f].held)
            learns = tried[by].held < FALLEN * begin
        if learns:
            found = Finding(
                "rate too high",
                "optimizer",
                f"{about}, and comes to {tried[by].last:.3g} with {_named(fork, by)}",
                f"Lower the learning rate to about {_rate(fork, by)}.",
                change=_with(by),
            )
            if tried[by].held < begin:  # otherwise it explodes as well, only less
                break
    if found or course.finite:
        return found
    return Finding(
        "rate too high",
        "optimizer",
        about,
        "Look for another cause, too: in the data, the loss or the first weights.",
        untried=f"no smaller rate, down to {FAR_LOWER[-1]:g} times this one, does better",
    )


def _named(fork: Fork, factor: float = 1.0) -> str:
    return f"{'' if fork.optimizer.schedule else 'the rate '}{_rate(fork, factor)}"


def _rate(fork: Fork, factor: float = 1.0) -> str:
    if fork.optimizer.schedule is not None:
        return "its schedule" if factor == 1 else f"{factor:g} times its schedule"
    return f"{fork.optimizer.lr * factor:g}"


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
