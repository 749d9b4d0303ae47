"""Attention as one kernel: what the text gives, and no scores of everybody to everybody in memory."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.backends import native
from glassgrad.backends.native import cells
from glassgrad.passes import formulas
from tests.backends.native.training import forget

if not native.available() and "GLASSGRAD_CI" not in os.environ:
    pytest.skip(f"no native executor: {native.why()}", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("own_plans")


class Masked(nn.Module):
    """Attention to oneself, where keys whose first number is high are ignored; or in two ways."""

    def __init__(self, dtype: str, masks: int, causal: bool = False) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(12, 3, causal=causal, dtype=dtype)
        self.output = nn.Linear(12, 4, dtype=dtype)
        self.masks = masks

    def forward(self, x: Any) -> Any:
        hidden = x[:, :, 0] > 0.8
        later = gg.arange(x.shape[1]).reshape(1, -1) > gg.arange(x.shape[1]).reshape(-1, 1) + 3
        masks = (None, None, hidden, later)[: 2 + self.masks] if self.masks else ()
        return self.output(self.attention(x, *masks))


class Crossed(nn.Module):
    """A decoder: attention to oneself, then to a memory with another number of rows."""

    def __init__(self, dtype: str) -> None:
        super().__init__()
        self.decoder = nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0, dtype=dtype)
        self.output = nn.Linear(8, 4, dtype=dtype)

    def forward(self, x: Any) -> Any:
        return self.output(self.decoder(x[:, :, :8], x[:, 2:7, 4:]))


MODELS = {
    "all keys": lambda dtype: Masked(dtype, 0),
    "causal": lambda dtype: Masked(dtype, 0, causal=True),
    "padding": lambda dtype: Masked(dtype, 1),
    "two masks, causal": lambda dtype: Masked(dtype, 2, causal=True),
    "decoder": Crossed,
}


def fitted(kind: str, dtype: str, backend: str, time: int = 19) -> tuple[list[float], Any, Any]:
    gg.seed(0)
    model = MODELS[kind](dtype)
    draw = np.random.default_rng(0)
    x = draw.normal(size=(6, time, 12)).astype(dtype)
    y = draw.normal(size=(6, time, 4)).astype(dtype)
    history = gg.fit(
        model, x, y, loss="mse", optimizer=optim.SGD(0.1), epochs=3, batch_size=4, shuffle=False,
        backend=backend, verbose=False, seed=1,
    )  # fmt: skip
    return history["loss"], model.state_dict(), history


def used(history: Any, rows: int = 4) -> list[str]:
    plan = history.record.plan.step.native.plan(rows).plan
    return [line["kernel"] for line in plan.describe()]


@pytest.mark.parametrize(("dtype", "near"), [("float32", 1e-4), ("float64", 1e-10)])
@pytest.mark.parametrize("kind", MODELS)
def test_training_is_what_the_text_gives(kind: str, dtype: str, near: float) -> None:
    losses, state, history = fitted(kind, dtype, "native")
    assert {"attention", "attention_back"} <= set(used(history))
    wanted_losses, wanted, _ = fitted(kind, dtype, "numpy")
    np.testing.assert_allclose(losses, wanted_losses, rtol=near)
    for name, value in wanted.items():
        np.testing.assert_allclose(state[name], value, rtol=near, atol=near)


@pytest.mark.parametrize("kind", MODELS)
def test_one_derivative_kernel_serves_queries_keys_and_values(kind: str) -> None:
    kernels = used(fitted(kind, "float32", "native")[2])
    assert kernels.count("attention_back") == kernels.count("attention") == 1 + (kind == "decoder")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", MODELS)
def test_off_is_on(kind: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit where three kernels take the place of one, but for the decoder's norms, which are
    formulas too; as near as the order of operations allows where attention is products and sums."""
    losses, state, _ = fitted(kind, dtype, "native")
    with monkeypatch.context() as patch:
        patch.setattr(formulas, "ENABLED", False)
        forget()
        in_three, in_three_state, history = fitted(kind, dtype, "native")
        assert used(history).count("attention_back") == 3 * used(history).count("attention")
    monkeypatch.setattr(cells, "ATTENTION_WHOLE", False)
    forget()
    apart, apart_state, history = fitted(kind, dtype, "native")
    assert not {"attention", "attention_back"} & set(used(history))
    near = 1e-5 if dtype == "float32" else 1e-13
    in_three_near = near if kind == "decoder" else 0
    np.testing.assert_allclose(losses, in_three, rtol=in_three_near)
    np.testing.assert_allclose(losses, apart, rtol=near)
    for name, value in state.items():
        np.testing.assert_allclose(
            value, in_three_state[name], rtol=in_three_near, atol=in_three_near
        )
        np.testing.assert_allclose(value, apart_state[name], rtol=near, atol=near)


@pytest.mark.parametrize("kind", MODELS)
def test_threads_change_no_bit(kind: str) -> None:
    found = []
    for threads in (1, 2, 4):
        gg.set_threads(threads)
        forget()
        losses, state, _ = fitted(kind, "float32", "native", time=70)
        found.append((losses, {name: value.tobytes() for name, value in state.items()}))
    assert found[0] == found[1] == found[2]


def test_a_step_holds_no_scores_of_all_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, heads, time = 2, 4, 512
    x = np.random.default_rng(0).normal(size=(rows, time, 16)).astype(np.float32)

    def arena() -> int:
        forget()
        model = nn.MultiheadAttention(16, heads, causal=True)
        history = gg.fit(
            model, x, x, loss="mse", optimizer=optim.SGD(0.1), epochs=1, backend="native",
            verbose=False,
        )  # fmt: skip
        size: int = history.record.plan.step.native.plan(rows).plan.arena
        return size

    scores = rows * heads * time * time * 4
    assert arena() < scores / 4
    monkeypatch.setattr(cells, "ATTENTION_WHOLE", False)
    assert arena() > scores


def test_a_head_lies_in_its_rows_and_is_not_moved() -> None:
    steps = fitted("causal", "float32", "native")[2].record.plan.step.native.plan(4).planned.steps
    assert "attention" in [step.kernel for step in steps]
    assert not [step.about for step in steps if step.about.startswith("copy for")]
