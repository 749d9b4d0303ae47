"""Every optimisation can be turned off, and what training makes is then the same.

Bit for bit, except where one says otherwise: a step as one small kernel adds numbers one after the
other, which is another order than that of the kernels for whole vectors; and a formula with a
kernel of its own takes means in the order of that kernel.

Not here because each has its own test: plans that are known by their structure
(tests/train/test_plan_cache.py), threads and instruction sets (test_sameness.py), and in C++ two
operations in one and the ways of a product (native/tests/map.cpp, matmul.cpp).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.backends import native
from glassgrad.backends.native import loops, planner, tiny
from glassgrad.passes import cheap_again, formulas, fuse, image_order, plan_memory, simplify
from glassgrad.train import whole
from tests.backends.native.training import NETWORKS, forget, made, trained

if not native.available() and "GLASSGRAD_CI" not in os.environ:
    pytest.skip(f"no native executor: {native.why()}", allow_module_level=True)

_native: Any = native.module()
Switch = Callable[[pytest.MonkeyPatch], None]
SWITCHES: dict[str, Switch] = {
    "fusion": lambda patch: patch.setattr(fuse, "ENABLED", False),
    "cheap values made again": lambda patch: patch.setattr(cheap_again, "ENABLED", False),
    "epilogues of products": lambda patch: patch.setattr(planner, "_TAKES_NODES", frozenset()),
    "sharing of memory": lambda patch: patch.setattr(plan_memory, "SHARING", False),
    "threads that meet only where they must": lambda patch: patch.setattr(
        _native, "Plan", functools.partial(_native.Plan, careful=True)
    ),
    "factors laid out for a loop": lambda patch: patch.setattr(loops, "READY_FACTORS", False),
    "the loop over batches": lambda patch: patch.setattr(whole, "ENABLED", False),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "Adam": {},
    "clipped, decayed, in doubles": {
        "dtype": "float64",
        "optimizer": optim.AdamW(1e-3, global_clipnorm=0.5),
    },
    "momentum and metrics": {
        "optimizer": optim.SGD(1e-2, momentum=0.9, nesterov=True, weight_decay=1e-4)
    },
}


@pytest.fixture(autouse=True)
def the_plans_of_others_are_left_alone() -> Iterator[None]:
    forget()
    gg.set_threads(2)
    yield
    gg.set_threads(0)
    forget()


def arena(history: gg.History, name: str) -> int:
    size: int = history.record.plan.step.native.plan(NETWORKS[name]("float32")[2]).plan.arena
    return size


def kernels(history: gg.History, name: str) -> int:
    return len(history.record.plan.step.native.plan(NETWORKS[name]("float32")[2]).plan.describe())


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", NETWORKS)
def test_off_is_on_bit_for_bit(name: str, settings: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "small":  # in kernels of its own, so that these switches are about something
        monkeypatch.setattr(tiny, "ENABLED", False)
    epochs = 3 if name == "small" else 1
    wanted = made(*trained(name, epochs, **SETTINGS[settings]))
    found = {}
    for switch, off in SWITCHES.items():
        with monkeypatch.context() as patch:
            off(patch)
            forget()
            found[switch] = made(*trained(name, epochs, **SETTINGS[settings]))
        forget()
    assert {k for k, v in found.items() if v != wanted} == set()
    assert made(*trained(name, epochs, **SETTINGS[settings])) == wanted


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", NETWORKS)
def test_simplification_off_is_on_bit_for_bit(
    name: str, settings: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With formulas in many kernels: they are found, or not, in what simplification leaves."""
    monkeypatch.setattr(formulas, "ENABLED", False)
    found, nodes = [], []
    for on in (True, False):
        monkeypatch.setattr(simplify, "ENABLED", on)
        forget()
        model, history = trained(name, 1, **SETTINGS[settings])
        found.append(made(model, history))
        nodes.append(len(history.record.plan.step.native.graph.nodes()))
    assert found[0] == found[1]
    assert nodes[0] < nodes[1]


@pytest.mark.parametrize("name", ["few channels", "many channels"])
def test_images_in_another_order_of_memory_are_the_same_images(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order decides in which order sums are taken: the same but for rounding."""
    on, history = trained(name, 1, dtype="float64")
    monkeypatch.setattr(image_order, "ENABLED", False)
    forget()
    off, plain = trained(name, 1, dtype="float64")
    np.testing.assert_allclose(history["loss"], plain["loss"], rtol=1e-9)
    for (path, a), b in zip(on.state_dict().items(), off.state_dict().values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8, err_msg=path)


def test_switches_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they turn off was on, and is off."""
    _, usual = trained("norms", 1)
    seen = {}
    for switch, off in SWITCHES.items():
        with monkeypatch.context() as patch:
            off(patch)
            forget()
            _, seen[switch] = trained("norms", 1)
            seen[switch].record.plan.step.native.plan(256)
    assert kernels(seen["fusion"], "norms") > 2 * kernels(usual, "norms")
    assert kernels(seen["epilogues of products"], "norms") > kernels(usual, "norms")
    assert arena(seen["sharing of memory"], "norms") > 1.5 * arena(usual, "norms")
    _, usual = trained("bent", 1)
    with monkeypatch.context() as patch:
        SWITCHES["cheap values made again"](patch)
        forget()
        two_more = 2 * 64 * 64 * 4  # z**2 and (1 + t) / 2 of a batch
        assert arena(trained("bent", 1)[1], "bent") >= arena(usual, "bent") + two_more
    forget()
    _, usual = trained("lstm", 1)
    with monkeypatch.context() as patch:
        SWITCHES["factors laid out for a loop"](patch)
        forget()
        assert kernels(trained("lstm", 1)[1], "lstm") < kernels(usual, "lstm")
    _, usual = trained("norms", 1)
    meets = [
        sum(line["meet"] for line in h.record.plan.step.native.plan(256).plan.describe())
        for h in (seen["threads that meet only where they must"], usual)
    ]
    assert meets[0] > meets[1]


@pytest.mark.parametrize(("dtype", "near"), [(np.float32, 1e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("kind", ["rows", "layer", "batch", "both", "alone"])
@pytest.mark.parametrize("rows", [64, 4096])
def test_a_formula_as_one_kernel_is_the_formula_in_many(
    kind: str, rows: int, dtype: type, near: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Softmax with cross-entropy, and normalisations, both ways."""
    draw = np.random.default_rng(0)
    x: Any = draw.normal(size=(rows, 12)).astype(dtype)
    y = draw.integers(0, 5, rows)
    norms: dict[str, list[Callable[..., nn.Module]]] = {
        "rows": [],
        "layer": [nn.LayerNorm],
        "batch": [nn.BatchNorm1d],
        "both": [nn.BatchNorm1d, nn.LayerNorm],
        "alone": [functools.partial(nn.LayerNorm, elementwise_affine=False)],
    }

    def fitted() -> tuple[list[float], dict[str, Any], set[str]]:
        gg.seed(0)
        kept = np.dtype(dtype).name
        layers = [make(dtype=kept) for make in norms[kind]]
        first, last = nn.Linear(8, dtype=kept), nn.Linear(5, dtype=kept)
        model = nn.Sequential(first, *layers, nn.ReLU(), last)
        history = gg.fit(
            model, x, y, loss="cross_entropy", optimizer=optim.SGD(0.1), epochs=5,
            batch_size=rows, shuffle=False, verbose=False, seed=1,
        )  # fmt: skip
        plan = history.record.plan.step.native.plan(rows).plan
        return history["loss"], model.state_dict(), {k["kernel"] for k in plan.describe()}

    losses, state, used = fitted()
    monkeypatch.setattr(formulas, "ENABLED", False)
    forget()
    apart_losses, apart_state, apart_used = fitted()
    assert "cross_entropy" in used - apart_used
    assert {"normalise", "normalise_back"} & (used - apart_used) or kind == "rows"
    np.testing.assert_allclose(losses, apart_losses, rtol=near)
    for name, value in apart_state.items():
        np.testing.assert_allclose(state[name], value, rtol=near, atol=near)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_small_step_as_one_kernel_is_the_step_in_many(
    dtype: str, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, history = trained("small", 20, dtype=dtype, batch_size=batch)
    native_step = history.record.plan.step.native
    assert [line["kernel"] for line in native_step.plan(batch).plan.describe()] == ["tiny"]
    monkeypatch.setattr(tiny, "ENABLED", False)
    forget()
    many, history = trained("small", 20, dtype=dtype, batch_size=batch)
    native_step = history.record.plan.step.native
    assert "tiny" not in [line["kernel"] for line in native_step.plan(batch).plan.describe()]
    near = 1e-5 if dtype == "float32" else 1e-13
    for name, value in one.state_dict().items():
        np.testing.assert_allclose(many.state_dict()[name], value, rtol=near, atol=near)


def test_a_predictor_that_knows_its_rows_gives_what_predict_gives() -> None:
    x = np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
    model, _ = trained("norms", 1)
    predictor = gg.Predictor(model)
    wanted = gg.predict(model, x)
    for _ in range(3):
        np.testing.assert_array_equal(predictor(x), wanted)
        x = x.copy()


def test_a_predictor_takes_what_it_gave() -> None:
    model = nn.Linear(4, 4)
    predictor = gg.Predictor(model)
    x = np.ones((2, 4), np.float32)
    predictor(x)
    for _ in range(3):
        x, before = predictor(x), x
        np.testing.assert_array_equal(x, gg.predict(model, before))
