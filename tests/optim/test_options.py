"""What every optimiser shares: clipping, accumulation, averages of the weights, groups, constraints."""

# mypy: disable-error-code="arg-type, list-item"

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.engine import compile_graph
from glassgrad.errors import ConfigError, NonFiniteError, UsageError
from glassgrad.ir import Type
from glassgrad.ops import traced_graph
from glassgrad.optim.base import moved_average
from glassgrad.optim.clipping import clip_values, scale_to_norm
from tests.conftest import require_torch

SHAPES: tuple[tuple[int, ...], ...] = ((4, 3), (3,), ())


def drawn(rng: np.random.Generator, dtype: str = "float64") -> list[Any]:
    return [np.asarray(rng.normal(size=shape), dtype) for shape in SHAPES]


def parameters(arrays: list[Any]) -> list[gg.Parameter]:
    return [gg.Parameter(a) for a in arrays]


def give(bound: list[gg.Parameter], gradients: list[Any]) -> None:
    for p, g in zip(bound, gradients, strict=True):
        p.grad = gg.tensor(g)


# -- clipping ----------------------------------------------------------------------------------


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_clipping_by_norm_is_pytorchs(max_norm: float, norm_type: float) -> None:
    torch = require_torch()
    gradients = drawn(np.random.default_rng(0))
    mine = parameters(gradients)
    theirs = [torch.nn.Parameter(torch.tensor(a)) for a in gradients]
    give(mine, gradients)
    for p, g in zip(theirs, gradients, strict=True):
        p.grad = torch.tensor(g)
    found = optim.clip_grad_norm_(mine, max_norm, norm_type)
    wanted = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-12)
    for p, q in zip(mine, theirs, strict=True):
        assert p.grad is not None
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-12)


def test_clipping_by_value_is_pytorchs() -> None:
    torch = require_torch()
    gradients = drawn(np.random.default_rng(0))
    mine = parameters(gradients)
    give(mine, gradients)
    theirs = [torch.nn.Parameter(torch.tensor(a)) for a in gradients]
    for p, g in zip(theirs, gradients, strict=True):
        p.grad = torch.tensor(g)
    optim.clip_grad_value_(mine, 0.4)
    torch.nn.utils.clip_grad_value_(theirs, 0.4)
    for p, q in zip(mine, theirs, strict=True):
        assert p.grad is not None
        np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())


def test_clipping_leaves_what_has_no_gradient_and_says_what_is_not_finite() -> None:
    p, q = parameters([np.ones(2), np.ones(2)])
    assert optim.clip_grad_norm_([p, q], 1.0).item() == 0
    p.grad = gg.tensor(np.array([np.inf, 1.0]))
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match="not finite"):
        optim.clip_grad_norm_([p, q], 1.0, error_if_nonfinite=True)
    assert p.grad.numpy().tolist() == [np.inf, 1.0]
    assert q.grad is None
    with pytest.raises(ConfigError, match="max_norm"):
        optim.clip_grad_norm_(p, 0)
    with pytest.raises(ConfigError, match="norm_type"):
        optim.clip_grad_norm_(p, 1.0, "two")
    with pytest.raises(ConfigError, match="clip_value"):
        optim.clip_grad_value_(p, -1)


CLIPS: dict[str, Callable[..., list[Any]]] = {
    "values": lambda *parts: [clip_values(g, 0.3) for g in parts],
    "norm": lambda *parts: scale_to_norm(parts, 0.7),
    "norm, short already": lambda *parts: scale_to_norm(parts, 70.0),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CLIPS)
def test_clipping_in_a_program_is_the_eager_one_and_keeps_the_dtype(name: str, dtype: str) -> None:
    rng, rule = np.random.default_rng(2), CLIPS[name]
    arrays = [rng.normal(size=s).astype(dtype) for s in ((3, 2), (4,))]
    types = {f"g{i}": Type(a.shape, dtype) for i, a in enumerate(arrays)}
    program = compile_graph(traced_graph(lambda *parts: tuple(rule(*parts)), types))
    eager = rule(*[gg.tensor(a) for a in arrays])
    for found, wanted in zip(program(*arrays), eager, strict=True):
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, wanted.numpy())


@pytest.mark.parametrize(
    ("settings", "lengths"),
    [
        ({"clipvalue": 0.25}, None),
        ({"clipnorm": 0.25}, "each"),
        ({"global_clipnorm": 0.25}, "all"),
    ],
)
def test_an_optimiser_clips_before_its_rule(settings: dict[str, float], lengths: Any) -> None:
    gradients = drawn(np.random.default_rng(0))
    mine = parameters([np.zeros_like(g) for g in gradients])
    optimizer = optim.SGD(1.0, **settings).bind(mine)
    give(mine, gradients)
    optimizer.step()
    moves = [-p.numpy() for p in mine]
    if lengths is None:
        wanted = [np.clip(g, -0.25, 0.25) for g in gradients]
    else:
        whole = np.concatenate([np.ravel(g) for g in gradients])
        norms = [np.linalg.norm(whole if lengths == "all" else np.ravel(g)) for g in gradients]
        wanted = [g * min(1.0, 0.25 / (n + 1e-6)) for g, n in zip(gradients, norms, strict=True)]
    for move, want in zip(moves, wanted, strict=True):
        np.testing.assert_allclose(move, want, rtol=1e-12)


# -- accumulation ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["SGD", "Adam", "NAdam"])
def test_k_accumulated_batches_are_one_step_with_the_mean_gradient(kind: str) -> None:
    rng = np.random.default_rng(4)
    start = drawn(rng)
    slow, fast = parameters(start), parameters(start)
    settings = {"global_clipnorm": 1.0}
    many = getattr(optim, kind)(0.1, gradient_accumulation_steps=3, **settings).bind(slow)
    once = getattr(optim, kind)(0.1, **settings).bind(fast)
    for _ in range(4):
        batches = [drawn(rng) for _ in range(3)]
        for i, batch in enumerate(batches):
            before = [p.numpy().copy() for p in slow]
            give(slow, batch)
            many.step()
            if i < 2:
                assert all(np.array_equal(a, p.numpy()) for a, p in zip(before, slow, strict=True))
        give(fast, [np.mean(parts, axis=0) for parts in zip(*batches, strict=True)])
        once.step()
        for p, q in zip(slow, fast, strict=True):
            np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=1e-12, atol=1e-15)


def test_a_parameter_with_a_gradient_in_one_batch_only_takes_its_share() -> None:
    p, q = parameters([np.zeros(2), np.zeros(2)])
    optimizer = optim.SGD(1.0, gradient_accumulation_steps=2).bind([p, q])
    p.grad, q.grad = gg.tensor(np.ones(2)), gg.tensor(np.ones(2))
    optimizer.step()
    q.grad = None
    optimizer.step()
    assert p.numpy().tolist() == [-1, -1]
    assert q.numpy().tolist() == [-0.5, -0.5]


def test_a_schedule_counts_updates_and_not_batches() -> None:
    p = gg.Parameter(np.zeros(1))
    optimizer = optim.SGD(optim.Exponential(1.0, 0.5), gradient_accumulation_steps=2).bind([p])
    for _ in range(4):
        p.grad = gg.tensor(-np.ones(1))
        optimizer.step()
    assert p.item() == 1.5


# -- averages ----------------------------------------------------------------------------------


def test_averages_follow_their_recurrence_in_exact_arithmetic() -> None:
    w = gg.Parameter(np.array([1.0]))
    optimizer = optim.SGD(0.25, use_ema=True, ema_momentum=0.5).bind([w])
    assert optimizer.average(w).numpy().tolist() == [1.0]
    exact: Fraction | None = None
    place = Fraction(1)
    for gradient in (2, -1, 3, 5, -2):
        w.grad = gg.tensor(np.array([float(gradient)]))
        optimizer.step()
        place -= Fraction(1, 4) * gradient
        exact = place if exact is None else exact / 2 + place / 2
        assert optimizer.average(w).item() == float(exact)


def test_averages_are_kerass(keras_in_doubles: Any) -> None:
    keras = keras_in_doubles
    rng = np.random.default_rng(6)
    start = rng.normal(size=(4, 3))
    mine = gg.Parameter(start)
    theirs = keras.Variable(start, dtype="float64")
    other = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)
    ours = optim.SGD(0.1, use_ema=True, ema_momentum=0.9).bind([mine])
    for _ in range(20):
        gradient = rng.normal(size=start.shape)
        mine.grad = gg.tensor(gradient)
        ours.step()
        other.apply([keras.ops.convert_to_tensor(gradient)], [theirs])
        (average,) = other._model_variables_moving_average
        np.testing.assert_allclose(
            ours.average(mine).numpy(), np.asarray(average.value.detach()), rtol=1e-10
        )
    other.finalize_variable_values([theirs])
    ours.finalize()
    np.testing.assert_allclose(mine.numpy(), np.asarray(theirs.value.detach()), rtol=1e-10)


def test_swapping_twice_puts_the_weights_back_and_finalising_keeps_the_averages() -> None:
    w = gg.Parameter(np.array([1.0, 2.0]))
    optimizer = optim.SGD(0.25, use_ema=True).bind([w])
    for _ in range(3):
        w.grad = gg.tensor(np.array([1.0, -1.0]))
        optimizer.step()
    now, average = w.numpy().copy(), optimizer.average(w).numpy().copy()
    optimizer.swap()
    np.testing.assert_array_equal(w.numpy(), average)
    optimizer.swap()
    np.testing.assert_array_equal(w.numpy(), now)
    optimizer.finalize()
    np.testing.assert_array_equal(w.numpy(), average)


def test_the_average_in_a_program_is_the_eager_one() -> None:
    types = {"average": Type((3,), "float32"), "w": Type((3,), "float32")}
    types["step"] = Type((), "float64")
    graph = traced_graph(lambda a, w, step: moved_average(a, w, 0.9, step), types, {"step": "host"})
    program = compile_graph(graph)
    a, w = np.array([1, 2, 3], "f"), np.array([4, 5, 7], "f")
    np.testing.assert_array_equal(program(a, w, 1), w)
    for step in (2, 3):
        found = program(a, w, step)
        assert found.dtype == np.float32
        eager = moved_average(gg.tensor(a), gg.tensor(w), 0.9, step)
        np.testing.assert_array_equal(found, eager.numpy())


# -- groups ------------------------------------------------------------------------------------


def net() -> nn.Module:
    return nn.Sequential(
        nn.Linear(3, 4, dtype="float64"), nn.Tanh(), nn.Linear(4, 2, dtype="float64")
    )


def test_groups_are_pytorchs() -> None:
    torch = require_torch()
    rng = np.random.default_rng(8)
    model = net()
    mine = list(model.parameters())
    theirs = [torch.nn.Parameter(torch.tensor(p.numpy().copy())) for p in mine]
    named = dict(zip([p.name for p in mine], theirs, strict=True))
    groups = [
        optim.Group("*.bias", weight_decay=0.0, lr=0.05),
        optim.Group([mine[2]], betas=(0.5, 0.6)),
    ]
    ours = optim.AdamW(0.01, weight_decay=0.3, groups=groups).bind(model)
    other = torch.optim.AdamW(
        [
            {
                "params": [named["linear1.bias"], named["linear2.bias"]],
                "weight_decay": 0.0,
                "lr": 0.05,
            },
            {"params": [named["linear2.weight"]], "betas": (0.5, 0.6)},
            {"params": [named["linear1.weight"]]},
        ],
        lr=0.01,
        weight_decay=0.3,
    )
    for _ in range(10):
        for p, q in zip(mine, theirs, strict=True):
            g = rng.normal(size=p.shape)
            p.grad, q.grad = gg.tensor(g), torch.tensor(g)
        ours.step()
        other.step()
    for p, q in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-11)


def test_the_first_group_that_matches_counts_and_the_rest_comes_last() -> None:
    names = ["a.weight", "a.bias", "b.weight", "b.bias"]
    optimizer = optim.Adam(
        1e-3,
        eps=1e-6,
        groups=[
            optim.Group("a.*", lr=1e-4),
            optim.Group("a.bias", eps=0.5),  # all taken by the first
            optim.Group("*.bias", weight_decay=0.1),
        ],
    )
    first, second, rest = optimizer.grouped(names)
    assert first[1] == pytest.approx(0.1)
    assert first[2] == ["a.weight", "a.bias"]
    assert (second[1], second[2]) == (1.0, ["b.bias"])
    assert rest == (optimizer, 1.0, ["b.weight"])
    assert isinstance(second[0], optim.Adam)
    assert second[0].settings() == {"eps": 1e-6, "weight_decay": 0.1}
    assert optim.Adam(1e-3).grouped(names)[0][2] == names


def test_a_group_shares_what_concerns_the_whole_step() -> None:
    shared: dict[str, Any] = {"clipnorm": 1.0, "use_ema": True, "gradient_accumulation_steps": 2}
    optimizer = optim.SGD(0.1, **shared, groups=[optim.Group("a", momentum=0.5)])
    (rule, _, _), rest = optimizer.grouped(["a", "b"])
    assert rule.settings() == {"momentum": 0.5, **shared}
    assert rest[0] is optimizer


def test_a_schedule_scales_the_rates_of_all_groups() -> None:
    p, q = parameters([np.zeros(1), np.zeros(1)])
    groups = [optim.Group([q], lr=0.25)]
    optimizer = optim.SGD(optim.Exponential(1.0, 0.5), groups=groups).bind([p, q])
    for _ in range(2):
        p.grad = q.grad = gg.tensor(-np.ones(1))
        optimizer.step()
    assert (p.item(), q.item()) == (1.5, 0.375)


def test_a_pattern_that_matches_nothing_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="matches no parameter") as caught:
        optim.SGD(0.1, groups=[optim.Group("linear1.weigth", lr=1.0)]).bind(net())
    assert "linear1.weight" in caught.value.hint
    assert "linear2.bias" in caught.value.expected
    other = gg.Parameter([1.0])
    with pytest.raises(ConfigError, match="matches no parameter"):
        optim.SGD(0.1, groups=[optim.Group([other], lr=1.0)]).bind(net())


# -- constraints -------------------------------------------------------------------------------


def test_constraints_hold_after_every_step_and_for_the_averages() -> None:
    model = nn.constrain(net(), "*.weight", nn.NonNeg())
    optimizer = optim.SGD(0.5, use_ema=True).bind(model)
    rng = np.random.default_rng(0)
    for _ in range(5):
        give(list(model.parameters()), [rng.normal(size=p.shape) for p in model.parameters()])
        optimizer.step()
        for p in model.parameters():
            if p.name.endswith("weight"):
                assert p.numpy().min() >= 0
                assert optimizer.average(p).numpy().min() >= 0
    assert min(p.numpy().min() for p in model.parameters()) < 0


# -- what is refused ---------------------------------------------------------------------------


def test_settings_show_what_is_not_as_usual() -> None:
    optimizer = optim.Adam(0.1, clipnorm=2, use_ema=True, gradient_accumulation_steps=4)
    shown = "Adam(0.1, clipnorm=2.0, use_ema=True, gradient_accumulation_steps=4)"
    assert repr(optimizer) == shown
    assert optim.Adam(0.1, ema_momentum=0.99, groups=()).settings() == {}


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: optim.SGD(0.1, clipnorm=0), "clipnorm"),
        (lambda: optim.SGD(0.1, clipvalue=-1), "clipvalue"),
        (lambda: optim.SGD(0.1, global_clipnorm="big"), "global_clipnorm"),
        (lambda: optim.SGD(0.1, clipnorm=1, clipvalue=1), "more than one way"),
        (lambda: optim.SGD(0.1, use_ema=1), "use_ema"),
        (lambda: optim.SGD(0.1, ema_momentum=1), "ema_momentum"),
        (lambda: optim.SGD(0.1, gradient_accumulation_steps=0), "gradient_accumulation_steps"),
        (lambda: optim.SGD(0.1, gradient_accumulation_steps=2.0), "gradient_accumulation_steps"),
        (lambda: optim.SGD(0.1, groups=["*.bias"]), "not groups"),
        (lambda: optim.Group("*.bias"), "changes nothing"),
        (lambda: optim.Group(3, lr=0.1), "nothing to bind"),
        (lambda: optim.SGD(0.1, groups=[optim.Group("*", lr=-1)]).bind(net()), "learning rate"),
        (
            lambda: optim.SGD(0.1, groups=[optim.Group("*", momentun=0.5)]).bind(net()),
            "did you mean 'momentum'",
        ),
        (
            lambda: optim.SGD(0.1, groups=[optim.Group("*", clipnorm=0.5)]).bind(net()),
            "unknown setting",
        ),
        (lambda: optim.SGD(0.1).bind(net()).average(None), "no averages"),
        (
            lambda: optim.SGD(0.1, use_ema=True).bind(net()).average(gg.Parameter([1.0])),
            "not bound",
        ),
    ],
)
def test_options_that_cannot_be_meant_are_refused(call: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        call()
    assert caught.value.expected
    assert caught.value.received


# -- the same in fit ---------------------------------------------------------------------------

IN_FIT: dict[str, dict[str, Any]] = {
    "rate": {"lr": 0.01},
    "schedule, clipping, averages": {
        "lr": optim.WarmUp(3, then=optim.CosineAnnealing(0.1, steps=9)),
        "clipnorm": 0.1,
        "use_ema": True,
    },
}


@pytest.mark.usefixtures("numpy_engine")
@pytest.mark.parametrize("options", IN_FIT)
@pytest.mark.parametrize("kind", [k for k in optim.NAMED if k != "lbfgs"])
def test_fit_is_the_eager_loop_bit_for_bit(kind: str, options: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 2))
    fitted, looped = net(), net()
    settings = IN_FIT[options]
    optimizer = optim.NAMED[kind](**settings)
    gg.fit(
        fitted,
        x,
        y,
        loss="mse",
        optimizer=optimizer,
        epochs=6,
        batch_size=10,
        shuffle=False,
        verbose=False,
    )
    optimizer = optim.NAMED[kind](**settings).bind(looped)
    for _ in range(6):
        for rows in (slice(0, 10), slice(10, 20)):
            optimizer.zero_grad()
            nn.losses.mse(looped(gg.tensor(x[rows])), gg.tensor(y[rows])).backward()
            optimizer.step()
    optimizer.finalize()
    for p, q in zip(fitted.parameters(), looped.parameters(), strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())
