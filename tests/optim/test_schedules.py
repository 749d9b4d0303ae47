"""Schedules against PyTorch's and Keras's, step by step, and as the text that programs contain."""

# mypy: disable-error-code="arg-type, list-item, return-value"

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import optim
from glassgrad.errors import ConfigError, GlassgradError, UsageError
from tests.conftest import require_torch

STEPS = 60


def pytorchs(make: Callable[[Any, Any], Any], lr: float, count: int = STEPS) -> list[float]:
    """The rates that a PyTorch scheduler gives at its first steps."""
    torch = require_torch()
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it wants optimizer.step() in between
        scheduler = make(torch.optim.lr_scheduler, optimizer)
        found = []
        for _ in range(count):
            found.append(float(optimizer.param_groups[0]["lr"]))
            scheduler.step()
    return found


S = optim
PAIRS: dict[str, tuple[Any, Callable[[Any, Any], Any]]] = {
    "constant": (S.Constant(0.3, factor=0.5, steps=7), lambda m, o: m.ConstantLR(o, 0.5, 7)),
    "step": (S.Step(0.3, every=7, gamma=0.4), lambda m, o: m.StepLR(o, 7, 0.4)),
    "multi-step": (
        S.MultiStep(0.3, [3, 10, 11, 40], gamma=0.6),
        lambda m, o: m.MultiStepLR(o, [3, 10, 11, 40], 0.6),
    ),
    "one milestone": (S.MultiStep(0.3, [5]), lambda m, o: m.MultiStepLR(o, [5])),
    "exponential": (S.Exponential(0.3, gamma=0.9), lambda m, o: m.ExponentialLR(o, 0.9)),
    "linear": (S.Linear(0.3), lambda m, o: m.LinearLR(o)),
    "linear down": (
        S.Linear(0.3, 1.0, 0.1, steps=20),
        lambda m, o: m.LinearLR(o, 1.0, 0.1, 20),
    ),
    "polynomial": (
        S.Polynomial(0.3, steps=30, power=2.5),
        lambda m, o: m.PolynomialLR(o, 30, 2.5),
    ),
    "polynomial of degree 1": (S.Polynomial(0.3), lambda m, o: m.PolynomialLR(o)),
    "cosine": (S.CosineAnnealing(0.3, steps=50), lambda m, o: m.CosineAnnealingLR(o, 50)),
    "cosine beyond its end": (
        S.CosineAnnealing(0.3, steps=13, end=0.01),
        lambda m, o: m.CosineAnnealingLR(o, 13, 0.01),
    ),
    "restarts": (
        S.CosineAnnealingWarmRestarts(0.3, steps=7, end=0.001),
        lambda m, o: m.CosineAnnealingWarmRestarts(o, 7, eta_min=0.001),
    ),
    "longer restarts": (
        S.CosineAnnealingWarmRestarts(0.3, steps=2, factor=3),
        lambda m, o: m.CosineAnnealingWarmRestarts(o, 2, 3),
    ),
    "cyclic": (
        S.Cyclic(0.1, 0.9, steps_up=7),
        lambda m, o: m.CyclicLR(o, 0.1, 0.9, 7, cycle_momentum=False),
    ),
    "cyclic, triangular2": (
        S.Cyclic(0.1, 0.9, steps_up=4, steps_down=9, mode="triangular2"),
        lambda m, o: m.CyclicLR(o, 0.1, 0.9, 4, 9, mode="triangular2", cycle_momentum=False),
    ),
    "cyclic, exp_range": (
        S.Cyclic(0.1, 0.9, steps_up=5, mode="exp_range", gamma=0.97),
        lambda m, o: m.CyclicLR(o, 0.1, 0.9, 5, mode="exp_range", gamma=0.97, cycle_momentum=False),
    ),
    "one cycle": (
        S.OneCycle(0.9, steps=STEPS),
        lambda m, o: m.OneCycleLR(o, 0.9, STEPS, cycle_momentum=False),
    ),
    "one cycle, linear": (
        S.OneCycle(0.9, steps=STEPS, share_up=0.21, shape="linear", div_factor=10.0),
        lambda m, o: m.OneCycleLR(
            o,
            0.9,
            STEPS,
            pct_start=0.21,
            anneal_strategy="linear",
            div_factor=10.0,
            cycle_momentum=False,
        ),
    ),
    "one cycle of three phases": (
        S.OneCycle(0.9, steps=STEPS, share_up=0.4, three_phase=True, final_div_factor=100.0),
        lambda m, o: m.OneCycleLR(
            o,
            0.9,
            STEPS,
            pct_start=0.4,
            three_phase=True,
            final_div_factor=100.0,
            cycle_momentum=False,
        ),
    ),
    "lambda": (
        S.Lambda(0.3, lambda t: 1 / (1 + t)),
        lambda m, o: m.LambdaLR(o, lambda t: 1 / (1 + t)),
    ),
    "sequence": (
        S.Sequential(
            [S.Linear(0.3, 0.1, steps=5), S.CosineAnnealing(0.3, 20), S.Exponential(0.3, 0.9)],
            milestones=[5, 25],
        ),
        lambda m, o: m.SequentialLR(
            o,
            [m.LinearLR(o, 0.1, 1.0, 5), m.CosineAnnealingLR(o, 20), m.ExponentialLR(o, 0.9)],
            [5, 25],
        ),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_rates_are_pytorchs_step_for_step(name: str) -> None:
    ours, theirs = PAIRS[name]
    lr = 0.1 if name.startswith("cyclic") else ours.base
    for t, wanted in enumerate(pytorchs(theirs, lr)):
        assert ours(t) == pytest.approx(wanted, rel=1e-12, abs=1e-17), t


def test_every_restart_is_found_exactly_however_late() -> None:
    for first, factor in ((1, 2), (3, 2), (7, 3), (10, 10)):
        schedule = optim.CosineAnnealingWarmRestarts(1.0, steps=first, factor=factor)
        start, length = 0, first
        for _ in range(9):
            assert schedule(start) == 1.0
            if length > 1:
                last = 0.5 * (1 + math.cos(math.pi * (length - 1) / length))
                assert schedule(start + length - 1) == pytest.approx(last, rel=1e-12)
            start, length = start + length, length * factor


KERAS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "exponential": (
        S.Exponential(0.3, gamma=0.7, steps=10),
        lambda k: k.ExponentialDecay(0.3, 10, 0.7),
    ),
    "staircase": (
        S.Exponential(0.3, gamma=0.7, steps=10, staircase=True),
        lambda k: k.ExponentialDecay(0.3, 10, 0.7, staircase=True),
    ),
    "polynomial": (
        S.Polynomial(0.3, steps=25, power=2.0, end=0.01),
        lambda k: k.PolynomialDecay(0.3, 25, 0.01, 2.0),
    ),
    "inverse time": (
        S.InverseTime(0.3, decay=0.5, steps=10),
        lambda k: k.InverseTimeDecay(0.3, 10, 0.5),
    ),
    "inverse time in stairs": (
        S.InverseTime(0.3, decay=0.5, steps=10, staircase=True),
        lambda k: k.InverseTimeDecay(0.3, 10, 0.5, staircase=True),
    ),
    "pieces": (
        S.PiecewiseConstant([1.0, 0.5, 0.1], boundaries=[10, 20]),
        lambda k: k.PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.1]),
    ),
    "warm-up": (
        S.WarmUp(6, then=S.Polynomial(0.3, steps=20)),
        lambda k: k.CosineDecay(0.0, 20, warmup_target=0.3, warmup_steps=6),
    ),
}


@pytest.mark.parametrize("name", KERAS)
def test_rates_are_kerass(keras_in_doubles: Any, name: str) -> None:
    keras = keras_in_doubles
    ours, make = KERAS[name]
    theirs = make(keras.optimizers.schedules)
    for t in range(6 if name == "warm-up" else 40):  # what follows is another curve
        assert ours(t) == pytest.approx(float(theirs(t)), rel=1e-12, abs=1e-17), t


EVERY = {f"pytorch: {k}": v[0] for k, v in PAIRS.items()} | {
    f"keras: {k}": v[0] for k, v in KERAS.items()
}


@pytest.mark.parametrize("name", EVERY)
def test_the_text_of_a_schedule_gives_the_very_same_numbers(name: str) -> None:
    schedule = EVERY[name]
    text = schedule.source("rate_of")
    if isinstance(schedule, optim.Lambda):
        assert text is None
        return
    names: dict[str, Any] = {"math": math}
    exec(text, names)
    for t in (*range(STEPS), 10**6):
        found = names["rate_of"](t)
        assert type(found) is float
        assert found == schedule(t)


@pytest.mark.parametrize("name", EVERY)
def test_a_schedule_prints_as_the_call_that_makes_it(name: str) -> None:
    schedule = EVERY[name]
    if isinstance(schedule, optim.Lambda):
        assert repr(schedule).startswith("Lambda(0.3, ")
        return
    again = eval(repr(schedule), {k: getattr(optim, k) for k in dir(optim)})
    assert repr(again) == repr(schedule)
    assert [again(t) for t in range(40)] == [schedule(t) for t in range(40)]


def test_steps_may_be_counted_in_numpys_numbers() -> None:
    for schedule, _ in PAIRS.values():
        for t in range(STEPS):
            assert schedule(np.int64(t)) == schedule(t)


def test_a_schedule_is_a_rate_and_eager_steps_follow_it() -> None:
    w = gg.Parameter([0.0])
    schedule = optim.Step(1.0, every=2, gamma=0.5)
    optimizer = optim.SGD(schedule).bind([w])
    assert optimizer.lr == 1.0
    assert optimizer.schedule is schedule
    assert repr(optimizer) == "SGD(Step(1.0, every=2, gamma=0.5))"
    moves = []
    for _ in range(6):
        before = w.item()
        w.grad = gg.tensor([-1.0])
        optimizer.step()
        moves.append(w.item() - before)
    assert moves == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    assert optimizer.rate_at(4) == 0.25


def test_a_schedule_of_epochs_counts_epochs() -> None:
    w = gg.Parameter([0.0])
    optimizer = optim.SGD(optim.Exponential(1.0, 0.5, per="epoch")).bind([w])
    moves = []
    for _ in range(2):
        for _ in range(3):
            before = w.item()
            w.grad = gg.tensor([-1.0])
            optimizer.step()
            moves.append(w.item() - before)
        optimizer.epoch_done()
    assert moves == [1.0] * 3 + [0.5] * 3
    assert optimizer.rate_at(100, 2) == 0.25


def test_the_rate_of_a_schedule_is_not_changed_by_hand() -> None:
    optimizer = optim.SGD(optim.Constant(0.1))
    with pytest.raises(UsageError, match="follows a schedule"):
        optimizer.lr = 0.2
    plain = optim.SGD(0.1)
    plain.lr = 0.2
    assert plain.lr == plain.rate_at(7) == 0.2
    with pytest.raises(ConfigError, match="learning rate"):
        plain.lr = 0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: S.Constant(0), "learning rate"),
        (lambda: S.Constant("fast"), "learning rate"),
        (lambda: S.Constant(0.1, per="steps"), "unit of a schedule"),
        (lambda: S.Step(0.1, every=0), "every"),
        (lambda: S.Step(0.1, every=1.5), "every"),
        (lambda: S.Step(0.1, every=2, gamma=0), "gamma"),
        (lambda: S.MultiStep(0.1, []), "milestones must rise"),
        (lambda: S.MultiStep(0.1, [3, 3]), "milestones must rise"),
        (lambda: S.MultiStep(0.1, 3), "milestones must rise"),
        (lambda: S.Exponential(0.1, gamma=-1), "gamma"),
        (lambda: S.Exponential(0.1, gamma=0.5, staircase=1), "staircase"),
        (lambda: S.Linear(0.1, start_factor=-1), "start_factor"),
        (lambda: S.Polynomial(0.1, power=0), "power"),
        (lambda: S.CosineAnnealing(0.1, steps=-5), "steps"),
        (lambda: S.CosineAnnealing(0.1, steps=5, end=float("nan")), "end"),
        (lambda: S.Cyclic(0.1, 0.2, mode="square"), "unknown mode"),
        (lambda: S.OneCycle(0.1, steps=5, share_up=0.1), "need a step each"),
        (lambda: S.OneCycle(0.1, steps=5, share_up=1.5), "need a step each"),
        (lambda: S.OneCycle(0.1, steps=50, share_up=0.6, three_phase=True), "need a step each"),
        (lambda: S.OneCycle(0.1, steps=50, shape="cosine"), "unknown shape"),
        (lambda: S.PiecewiseConstant([0.1], boundaries=[2]), "one value more"),
        (lambda: S.Lambda(0.1, 0.5), "not a function"),
        (lambda: S.Lambda(0.1, lambda t: "x")(0), "factor"),
        (lambda: S.Sequential([], []), "made of schedules"),
        (lambda: S.Sequential([S.Constant(0.1), 0.2], [3]), "made of schedules"),
        (lambda: S.Sequential([S.Constant(0.1)] * 2, [3, 4]), "one schedule more"),
        (
            lambda: S.Sequential([S.Constant(0.1), S.Constant(0.1, per="epoch")], [3]),
            "different things",
        ),
        (lambda: S.WarmUp(0, then=0.1), "steps"),
        (lambda: S.WarmUp(5, then="cosine"), "not a schedule"),
        (lambda: S.Lambdas, "did you mean 'Lambda'"),
    ],
)
def test_schedules_that_cannot_be_meant_are_refused(call: Any, says: str) -> None:
    with pytest.raises((GlassgradError, AttributeError), match=says) as caught:
        call()
    if isinstance(caught.value, GlassgradError):
        assert caught.value.expected
        assert caught.value.received


def test_a_lambda_within_a_sequence_still_counts() -> None:
    halves = optim.Lambda(1.0, lambda t: 0.5**t)
    schedule = optim.Sequential([optim.Constant(3.0), halves], [2])
    assert schedule.source() is None
    assert [schedule(t) for t in range(5)] == [3.0, 3.0, 1.0, 0.5, 0.25]
    assert [optim.WarmUp(2, then=halves)(t) for t in range(4)] == [0.0, 0.5, 1.0, 0.5]
