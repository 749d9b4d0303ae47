"""Schedules: the learning rate as a function of how many steps, or epochs, are done.

A schedule is the text of a Python function, `def rate(t): ...`, with its numbers printed into it;
calling the schedule runs that text, and a printed program contains it, so the two cannot differ.
Values are PyTorch's (Keras's for `InverseTime` and `PiecewiseConstant`), written in closed form
where PyTorch multiplies the rate before by a factor.

>>> from glassgrad import optim
>>> schedule = optim.Step(0.1, every=30)
>>> schedule(0), schedule(30)
(0.1, 0.010000000000000002)
>>> print(schedule.source("rate"))
def rate(t):
    return 0.1 * 0.1 ** (t // 30)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal, TypeAlias

from glassgrad.errors import ConfigError, shown, unknown_name

from .checks import call_text, flag, positive, real, usual_settings, whole

Per: TypeAlias = Literal["step", "epoch"]
_ALLOWED = {"math": math, "__builtins__": {"min": min, "max": max, "int": int}}


class Schedule:
    """Base of schedules: `schedule(t)` is the rate after t steps (or epochs).

    `base` is the rate that others are seen against, `per` says what t counts. A schedule of one's
    own is an `optim.Lambda`.
    """

    def __init__(self, lr: float, per: Per = "step") -> None:
        if per not in ("step", "epoch"):
            raise unknown_name("unit of a schedule", per, ("step", "epoch"))
        self.base = positive("the learning rate", lr)
        self.per: Per = per
        self._compiled: Callable[[int], float] | None = None

    def __getstate__(self) -> dict[str, Any]:  # a copy compiles its text anew
        return {**vars(self), "_compiled": None}

    def body(self) -> list[str]:
        """The lines of the function of t."""
        raise NotImplementedError

    def source(self, name: str = "rate") -> str | None:
        """The function as Python text (with those it calls before it), or None if it has none."""
        return "\n".join([f"def {name}(t):", *[f"    {line}" for line in self.body()]])

    def __call__(self, t: int) -> float:
        """The rate when t steps (or epochs) are done."""
        if self._compiled is None:
            text = self.source("rate")
            assert text is not None
            names: dict[str, Any] = dict(_ALLOWED)
            # Only our own words and printed numbers are in the text.
            exec(compile(text, f"<{self!r}>", "exec"), names)  # noqa: S102  # see above
            self._compiled = names["rate"]
        try:
            return float(self._compiled(_plain(t)))  # NumPy's True + True is True, not 2
        except OverflowError:  # a factor above 1, too often
            return math.inf

    def settings(self) -> dict[str, Any]:
        """What differs from the defaults."""
        usual = usual_settings(type(self))
        return {k: getattr(self, k) for k, v in usual.items() if getattr(self, k) != v}

    def __repr__(self) -> str:
        return call_text(type(self).__name__, self.base, self.settings())


def as_schedule(value: Schedule | float, what: str) -> Schedule:
    """A schedule as it is, a number as the constant one."""
    if isinstance(value, Schedule):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Constant(value)
    raise ConfigError(
        f"{what} is not a schedule",
        expected="a rate or a schedule such as optim.Exponential(0.1, gamma=0.9)",
        received=shown(value),
    )


def _milestones(name: str, values: Any, low: int = 1) -> tuple[int, ...]:
    """Whole numbers, each larger than the one before."""
    fine = isinstance(values, Sequence) and not isinstance(values, str) and len(values) > 0
    found = tuple(whole(name, v, low) for v in values) if fine else ()
    if not found or any(a >= b for a, b in pairwise(found)):
        raise ConfigError(
            f"{name} must rise", expected="such as [30, 80, 100]", received=shown(values)
        )
    return found


class Constant(Schedule):
    """The same rate always; `factor` of it in the first `steps` (PyTorch's ConstantLR).

    >>> from glassgrad import optim
    >>> optim.Constant(0.5)(100)
    0.5
    """

    def __init__(self, lr: float, factor: float = 1.0, steps: int = 0, per: Per = "step") -> None:
        super().__init__(lr, per)
        self.factor = positive("factor", factor)
        self.steps = whole("steps", steps, 0)

    def body(self) -> list[str]:
        if not self.steps:
            return [f"return {self.base!r}"]
        return [
            f"if t < {self.steps}:",
            f"    return {self.base!r} * {self.factor!r}",
            f"return {self.base!r}",
        ]


class Step(Schedule):
    """Times gamma after every so many steps: lr gamma^floor(t / every) (PyTorch's StepLR).

    >>> from glassgrad import optim
    >>> [optim.Step(1.0, every=2, gamma=0.5)(t) for t in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, lr: float, every: int, gamma: float = 0.1, per: Per = "step") -> None:
        super().__init__(lr, per)
        self.every = whole("every", every)
        self.gamma = positive("gamma", gamma)

    def body(self) -> list[str]:
        return [f"return {self.base!r} * {self.gamma!r} ** (t // {self.every})"]


class MultiStep(Schedule):
    """Times gamma at each milestone (PyTorch's MultiStepLR).

    >>> from glassgrad import optim
    >>> [optim.MultiStep(1.0, [1, 3], gamma=0.5)(t) for t in range(5)]
    [1.0, 0.5, 0.5, 0.25, 0.25]
    """

    def __init__(
        self, lr: float, milestones: Sequence[int], gamma: float = 0.1, per: Per = "step"
    ) -> None:
        super().__init__(lr, per)
        self.milestones = _milestones("milestones", milestones)
        self.gamma = positive("gamma", gamma)

    def body(self) -> list[str]:
        passed = " + ".join(f"(t >= {m})" for m in self.milestones)
        return [f"passed = {passed}", f"return {self.base!r} * {self.gamma!r} ** passed"]


class Exponential(Schedule):
    """lr gamma^(t / steps); with `staircase` only at whole multiples of `steps`.

    With steps = 1 it is PyTorch's ExponentialLR, otherwise Keras's ExponentialDecay.

    >>> from glassgrad import optim
    >>> optim.Exponential(1.0, gamma=0.5)(3)
    0.125
    """

    def __init__(
        self,
        lr: float,
        gamma: float,
        steps: int = 1,
        staircase: bool = False,
        per: Per = "step",
    ) -> None:
        super().__init__(lr, per)
        self.gamma = positive("gamma", gamma)
        self.steps = whole("steps", steps)
        self.staircase = flag("staircase", staircase)

    def body(self) -> list[str]:
        sign = "//" if self.staircase else "/"
        t = "t" if self.steps == 1 else f"(t {sign} {self.steps})"
        return [f"return {self.base!r} * {self.gamma!r} ** {t}"]


class Polynomial(Schedule):
    """From lr to `end` in `steps`: end + (lr - end) (1 - t / steps)^power, then `end`.

    With end = 0 it is PyTorch's PolynomialLR, otherwise Keras's PolynomialDecay.

    >>> from glassgrad import optim
    >>> [optim.Polynomial(1.0, steps=4, power=2.0)(t) for t in (0, 2, 4, 5)]
    [1.0, 0.25, 0.0, 0.0]
    """

    def __init__(
        self, lr: float, steps: int = 5, power: float = 1.0, end: float = 0.0, per: Per = "step"
    ) -> None:
        super().__init__(lr, per)
        self.steps = whole("steps", steps)
        self.power = positive("power", power)
        self.end = positive("end", end, inclusive=True)

    def body(self) -> list[str]:
        left = f"left = 1 - min(t, {self.steps}) / {self.steps}"
        if not self.end:
            return [left, f"return {self.base!r} * left ** {self.power!r}"]
        span = f"({self.base!r} - {self.end!r})"
        return [left, f"return {self.end!r} + {span} * left ** {self.power!r}"]


class Linear(Schedule):
    """A straight line from lr start_factor to lr end_factor in `steps` (PyTorch's LinearLR).

    >>> from glassgrad import optim
    >>> [optim.Linear(1.0, start_factor=0.5, steps=2)(t) for t in range(4)]
    [0.5, 0.75, 1.0, 1.0]
    """

    def __init__(
        self,
        lr: float,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        steps: int = 5,
        per: Per = "step",
    ) -> None:
        super().__init__(lr, per)
        self.start_factor = positive("start_factor", start_factor, inclusive=True)
        self.end_factor = positive("end_factor", end_factor, inclusive=True)
        self.steps = whole("steps", steps)

    def body(self) -> list[str]:
        start, end = self.start_factor, self.end_factor
        return [
            f"done = min(t, {self.steps}) / {self.steps}",
            f"return {self.base!r} * ({start!r} + ({end!r} - {start!r}) * done)",
        ]


class CosineAnnealing(Schedule):
    """From lr to `end` as half a cosine: end + (lr - end) (1 + cos(pi t / steps)) / 2.

    PyTorch's CosineAnnealingLR (Loshchilov and Hutter 2017): after `steps` the rate rises again,
    with period 2 steps. `optim.Sequential` can hold it where it is.

    >>> from glassgrad import optim
    >>> [round(optim.CosineAnnealing(1.0, steps=2)(t), 3) for t in range(4)]
    [1.0, 0.5, 0.0, 0.5]
    """

    def __init__(self, lr: float, steps: int, end: float = 0.0, per: Per = "step") -> None:
        super().__init__(lr, per)
        self.steps = whole("steps", steps)
        self.end = positive("end", end, inclusive=True)

    def body(self) -> list[str]:
        return [_cosine(self.base, self.end, f"t / {self.steps}")]


def _cosine(lr: float, end: float, done: str) -> str:
    half = f"(1 + math.cos(math.pi * {done})) / 2"
    return f"return {end!r} + ({lr!r} - {end!r}) * {half}" if end else f"return {lr!r} * {half}"


class CosineAnnealingWarmRestarts(Schedule):
    """Half cosines from lr to `end`, each `factor` times as long as the one before.

    PyTorch's CosineAnnealingWarmRestarts (SGDR, Loshchilov and Hutter 2017): the first takes
    `steps`, the i-th steps factor^i.

    >>> from glassgrad import optim
    >>> schedule = optim.CosineAnnealingWarmRestarts(1.0, steps=2, factor=2)
    >>> [round(schedule(t), 3) for t in range(7)]
    [1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 1.0]
    """

    def __init__(
        self, lr: float, steps: int, factor: int = 1, end: float = 0.0, per: Per = "step"
    ) -> None:
        super().__init__(lr, per)
        self.steps = whole("steps", steps)
        self.factor = whole("factor", factor)
        self.end = positive("end", end, inclusive=True)

    def body(self) -> list[str]:
        first, by = self.steps, self.factor
        if by == 1:
            return [_cosine(self.base, self.end, f"(t % {first}) / {first}")]
        # The logarithm may miss by a rounding error: the next cycle is tried, and taken back.
        start = f"{first} * ({by} ** cycle - 1)" + (f" // {by - 1}" if by > 2 else "")
        return [
            f"cycle = int(math.log(1 + t * {by - 1} / {first}) / math.log({by}) + 0.5)",
            f"start = {start}",
            "if start > t:",
            "    cycle = cycle - 1",
            f"    start = {start}",
            _cosine(self.base, self.end, f"(t - start) / ({first} * {by} ** cycle)"),
        ]


class Cyclic(Schedule):
    """Up from lr to max_lr in `steps_up`, down in `steps_down`, again and again.

    PyTorch's CyclicLR (Smith 2017) without its cycling of momentum. `mode` "triangular" keeps the
    height, "triangular2" halves it after each cycle, "exp_range" multiplies it by gamma^t.

    >>> from glassgrad import optim
    >>> [optim.Cyclic(1.0, 3.0, steps_up=2)(t) for t in range(6)]
    [1.0, 2.0, 3.0, 2.0, 1.0, 2.0]
    """

    def __init__(
        self,
        lr: float,
        max_lr: float,
        steps_up: int = 2000,
        steps_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        per: Per = "step",
    ) -> None:
        super().__init__(lr, per)
        self.max_lr = positive("max_lr", max_lr)
        self.steps_up = whole("steps_up", steps_up)
        self.steps_down = None if steps_down is None else whole("steps_down", steps_down)
        if mode not in ("triangular", "triangular2", "exp_range"):
            raise unknown_name("mode", mode, ("triangular", "triangular2", "exp_range"))
        self.mode = mode
        self.gamma = positive("gamma", gamma)

    def body(self) -> list[str]:
        up = self.steps_up
        total = up + (up if self.steps_down is None else self.steps_down)
        scale = {
            "triangular": "",
            "triangular2": f" * 0.5 ** (t // {total})",
            "exp_range": f" * {self.gamma!r} ** t",
        }
        return [
            f"place = t % {total}",
            f"height = min(place / {up}, ({total} - place) / {total - up})",
            f"return {self.base!r} + ({self.max_lr!r} - {self.base!r}) * height{scale[self.mode]}",
        ]


class OneCycle(Schedule):
    """Up from lr / div_factor to lr, then down to lr / (div_factor final_div_factor).

    PyTorch's OneCycleLR (Smith and Topin 2018) without its cycling of momentum; after `steps` the
    last rate stays. The way up ends at step share_up steps - 1; with `three_phase` the way down to
    lr / div_factor takes as long, and the rest goes to the last rate. `shape` is "cos" or
    "linear". `base` is lr, the highest rate.

    >>> from glassgrad import optim
    >>> schedule = optim.OneCycle(1.0, steps=10)
    >>> [round(schedule(t), 3) for t in (0, 2, 9)]
    [0.04, 1.0, 0.0]
    """

    def __init__(
        self,
        lr: float,
        steps: int,
        share_up: float = 0.3,
        shape: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        per: Per = "step",
    ) -> None:
        super().__init__(lr, per)
        self.steps = whole("steps", steps, 2)
        self.share_up = positive("share_up", share_up)
        if shape not in ("cos", "linear"):
            raise unknown_name("shape", shape, ("cos", "linear"))
        self.shape = shape
        self.div_factor = positive("div_factor", div_factor)
        self.final_div_factor = positive("final_div_factor", final_div_factor)
        self.three_phase = flag("three_phase", three_phase)
        ends = [0.0, *[end for end, _ in self._phases()]]
        if any(a >= b for a, b in pairwise(ends)):
            raise ConfigError(
                "the phases of a cycle need a step each",
                expected="a way up of more than one step, and steps for the way down",
                received=f"share_up={self.share_up:g} of {self.steps} steps",
            )

    def _phases(self) -> list[tuple[float, float]]:
        """Where each phase ends, and at which rate."""
        low = self.base / self.div_factor
        up = self.share_up * self.steps - 1
        middle = [(2 * self.share_up * self.steps - 2, low)] if self.three_phase else []
        return [(up, self.base), *middle, (float(self.steps - 1), low / self.final_div_factor)]

    def body(self) -> list[str]:
        lines: list[str] = []
        start, rate = 0.0, self.base / self.div_factor
        *first, last = self._phases()
        for stop, then in first:
            lines += [f"if t <= {stop!r}:"]
            lines += [f"    {line}" for line in self._phase("t", start, stop, rate, then)]
            start, rate = stop, then
        return lines + self._phase(f"min(t, {self.steps - 1})", start, last[0], rate, last[1])

    def _phase(self, t: str, start: float, stop: float, rate: float, then: float) -> list[str]:
        since = f"({t} - {start!r})" if start else t
        done = f"done = {since} / {stop - start!r}"
        if self.shape == "linear":
            return [done, f"return {rate!r} + ({then!r} - {rate!r}) * done"]
        return [
            done,
            f"return {then!r} + ({rate!r} - {then!r}) * (1 + math.cos(math.pi * done)) / 2",
        ]


class InverseTime(Schedule):
    """lr / (1 + decay t / steps), Keras's InverseTimeDecay; with `staircase` floor(t / steps).

    >>> from glassgrad import optim
    >>> optim.InverseTime(1.0, decay=0.5, steps=10)(20)
    0.5
    """

    def __init__(
        self,
        lr: float,
        decay: float,
        steps: int = 1,
        staircase: bool = False,
        per: Per = "step",
    ) -> None:
        super().__init__(lr, per)
        self.decay = positive("decay", decay)
        self.steps = whole("steps", steps)
        self.staircase = flag("staircase", staircase)

    def body(self) -> list[str]:
        sign = "//" if self.staircase else "/"
        t = "t" if self.steps == 1 else f"(t {sign} {self.steps})"
        return [f"return {self.base!r} / (1 + {self.decay!r} * {t})"]


class PiecewiseConstant(Schedule):
    """values[i] up to and with boundaries[i], the last value after them all.

    Keras's PiecewiseConstantDecay. `base` is the first value.

    >>> from glassgrad import optim
    >>> [optim.PiecewiseConstant([1.0, 0.5], boundaries=[2])(t) for t in range(4)]
    [1.0, 1.0, 1.0, 0.5]
    """

    def __init__(
        self, values: Sequence[float], boundaries: Sequence[int], per: Per = "step"
    ) -> None:
        self.boundaries = _milestones("boundaries", boundaries, 0)
        if not isinstance(values, tuple | list) or len(values) != len(self.boundaries) + 1:
            raise ConfigError(
                "there is one value more than boundaries",
                expected=f"{len(self.boundaries) + 1} rates",
                received=shown(values),
            )
        self.values = tuple(positive("the learning rate", v) for v in values)
        super().__init__(self.values[0], per)

    def body(self) -> list[str]:
        lines = []
        for boundary, value in zip(self.boundaries, self.values, strict=False):
            lines += [f"if t <= {boundary}:", f"    return {value!r}"]
        return [*lines, f"return {self.values[-1]!r}"]

    def __repr__(self) -> str:
        return call_text(type(self).__name__, self.values, self.settings())


class Lambda(Schedule):
    """lr times what a function says of t (PyTorch's LambdaLR).

    A program cannot show the user's function: `source` is None.

    >>> from glassgrad import optim
    >>> optim.Lambda(1.0, lambda t: 0.5**t)(2)
    0.25
    """

    def __init__(self, lr: float, function: Callable[[int], float], per: Per = "step") -> None:
        super().__init__(lr, per)
        if not callable(function):
            raise ConfigError(
                "this is not a function of t", expected="t -> factor", received=shown(function)
            )
        self.function = function

    def source(self, name: str = "rate") -> str | None:
        return None

    def __call__(self, t: int) -> float:
        factor = real("the factor of a Lambda schedule", _plain(self.function(t)))
        return self.base * factor

    def __repr__(self) -> str:
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return f"Lambda({self.base!r}, {shown(name)[1:-1]})"


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") and getattr(value, "shape", None) == () else value


class Sequential(Schedule):
    """One schedule after another; each begins at its milestone with t = 0 (PyTorch's SequentialLR).

    `base` is that of the first. All count the same thing, steps or epochs.

    >>> from glassgrad import optim
    >>> parts = [optim.Linear(1.0, 0.5, steps=2), optim.Exponential(1.0, 0.5)]
    >>> [optim.Sequential(parts, milestones=[2])(t) for t in range(5)]
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(self, schedules: Sequence[Schedule], milestones: Sequence[int]) -> None:
        fine = isinstance(schedules, tuple | list) and len(schedules) > 0
        if not fine or not all(isinstance(s, Schedule) for s in schedules):
            raise ConfigError(
                "a sequence is made of schedules",
                expected="such as [optim.Linear(0.1), optim.Exponential(0.1, 0.9)]",
                received=shown(schedules),
            )
        self.schedules = tuple(schedules)
        self.milestones = _milestones("milestones", milestones)
        if len(self.milestones) != len(self.schedules) - 1:
            raise ConfigError(
                "there is one schedule more than milestones",
                expected=f"{len(self.schedules) - 1} milestones",
                received=shown(milestones),
            )
        if len({s.per for s in self.schedules}) > 1:
            raise ConfigError(
                "these schedules count different things",
                expected='per="step" in all of them, or per="epoch"',
                received=", ".join(s.per for s in self.schedules),
            )
        super().__init__(self.schedules[0].base, self.schedules[0].per)

    def source(self, name: str = "rate") -> str | None:
        parts = []
        lines = []
        for i, schedule in enumerate(self.schedules):
            text = schedule.source(f"{name}_{i + 1}")
            if text is None:
                return None
            parts.append(text)
            start = f"t - {self.milestones[i - 1]}" if i else "t"
            call = f"return {name}_{i + 1}({start})"
            if i < len(self.milestones):
                lines += [f"    if t < {self.milestones[i]}:", f"        {call}"]
            else:
                lines += [f"    {call}"]
        return "\n\n\n".join([*parts, "\n".join([f"def {name}(t):", *lines])])

    def __call__(self, t: int) -> float:
        if any(s.source() is None for s in self.schedules):
            passed = sum(t >= m for m in self.milestones)
            return self.schedules[passed](t - (0, *self.milestones)[passed])
        return super().__call__(t)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self.schedules)!r}, {list(self.milestones)!r})"


class WarmUp(Sequential):
    """A straight line from `start` times the first rate of `then` up to it, then `then`.

    `then` is a schedule or a rate; it begins with t = 0 when `steps` are done. With start = 0 the
    first step moves nothing.

    >>> from glassgrad import optim
    >>> [optim.WarmUp(2, then=optim.Exponential(1.0, 0.5))(t) for t in range(4)]
    [0.0, 0.5, 1.0, 0.5]
    """

    def __init__(self, steps: int, then: Schedule | float, start: float = 0.0) -> None:
        self.steps = whole("steps", steps)
        self.start = positive("start", start, inclusive=True)
        self.then = as_schedule(then, "then")
        rise = Linear(self.then(0), self.start, 1.0, self.steps, self.then.per)
        super().__init__([rise, self.then], [self.steps])
        self.base = self.then.base

    def __repr__(self) -> str:
        start = f", start={self.start!r}" if self.start else ""
        return f"WarmUp({self.steps}, then={self.then!r}{start})"
