"""Many ways of training in one run, beside the same loop written by hand in PyTorch, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from tests.conftest import require_torch

RNG = np.random.default_rng(1)
N, KEPT, BATCH, EPOCHS = 53, 45, 10, 5
A, B = RNG.normal(size=(N, 3)), RNG.normal(size=(N, 2))
KIND, SIZE, WEIGHT = RNG.integers(0, 3, N), RNG.normal(size=(N, 2)), RNG.uniform(0, 2, N)


class Two(nn.Module):
    """Two inputs, two outputs, running statistics between them."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(3, 5, dtype="float64")
        self.b = nn.Linear(2, 5, dtype="float64", bias=False)
        self.norm = nn.BatchNorm1d(5, dtype="float64")
        self.kind = nn.Linear(5, 3, dtype="float64")
        self.size = nn.Linear(5, 2, dtype="float64")

    def forward(self, a: Any, b: Any) -> Any:
        h = gg.tanh(self.norm(self.a(a) + self.b(b)))
        return {"kind": self.kind(h), "size": self.size(h)}


def ours(model: nn.Module) -> gg.train.History:
    nn.regularize(model, "a.weight", nn.L2(0.01))
    nn.constrain(model, "kind.weight", nn.MaxNorm(0.6))
    model.freeze("b.weight")
    rule = optim.AdamW(
        optim.Step(0.02, 2, gamma=0.5, per="epoch"),
        weight_decay=0.1,
        clipvalue=0.05,
        gradient_accumulation_steps=2,
        use_ema=True,
        ema_momentum=0.8,
        groups=[optim.Group("*.bias", weight_decay=0.0), optim.Group("size.*", lr=0.002)],
    )
    return gg.fit(
        model,
        {"b": B, "a": A},
        {"size": SIZE, "kind": KIND},
        loss={"kind": nn.CrossEntropyLoss(label_smoothing=0.1), "size": "huber"},
        loss_weights={"kind": 1.0, "size": 0.3},
        metrics={"kind": ["accuracy"], "size": ["mae"]},
        sample_weight=WEIGHT,
        optimizer=rule,
        batch_size=BATCH,
        epochs=EPOCHS,
        shuffle=False,
        validation_split=(N - KEPT) / N,
        verbose=False,
    )


def theirs(torch: Any, start: dict[str, Any]) -> tuple[list[dict[str, float]], dict[str, Any]]:
    """The history, and the averages of the weights with the running statistics."""
    functional = torch.nn.functional
    p = {
        name: torch.tensor(array, requires_grad=not name.startswith(("b.", "norm.running")))
        for name, array in start.items()
    }
    groups: dict[str, list[Any]] = {"bias": [], "size": [], "rest": []}
    for name, value in p.items():
        if value.requires_grad:
            group = "bias" if name.endswith("bias") else "size" if "size" in name else "rest"
            groups[group].append(value)
    shares = {"bias": 1.0, "size": 0.1, "rest": 1.0}
    rule = torch.optim.AdamW(
        [{"params": v, "weight_decay": 0.1 * (k != "bias")} for k, v in groups.items()]
    )
    average: dict[str, Any] = {}
    history = []

    def losses(rows: Any, training: bool) -> dict[str, Any]:
        x, y = torch.tensor(A[rows]), torch.tensor(B[rows])
        z = x @ p["a.weight"] + p["a.bias"] + y @ p["b.weight"]
        statistics = (p["norm.running_mean"], p["norm.running_var"])
        scale = (p["norm.weight"], p["norm.bias"])
        h = torch.tanh(functional.batch_norm(z, *statistics, *scale, training=training))
        kind = h @ p["kind.weight"] + p["kind.bias"]
        size = h @ p["size.weight"] + p["size.bias"]
        k, s, w = torch.tensor(KIND[rows]), torch.tensor(SIZE[rows]), torch.tensor(WEIGHT[rows])
        first = functional.cross_entropy(kind, k, reduction="none", label_smoothing=0.1)
        second = functional.huber_loss(size, s, reduction="none").mean(1)
        found = {"kind_loss": (first * w).mean(), "size_loss": (second * w).mean()}
        penalty = 0.01 * (p["a.weight"] ** 2).sum()
        found["loss"] = found["kind_loss"] + 0.3 * found["size_loss"] + penalty
        found["kind_accuracy"] = (kind.argmax(1) == k).double().mean()
        found["size_mae"] = (size - s).abs().mean()
        return found

    for epoch in range(EPOCHS):
        for group, share in zip(rule.param_groups, shares.values(), strict=True):
            group["lr"] = 0.02 * 0.5 ** (epoch // 2) * share
        row: dict[str, float] = {}
        starts = range(0, KEPT, BATCH)
        added = 0
        for number, first in enumerate(starts, 1):
            rows = slice(first, min(first + BATCH, KEPT))
            count = rows.stop - rows.start
            found = losses(rows, training=True)
            (found["loss"] * count).backward()
            added += count
            for name, value in found.items():
                row[name] = row.get(name, 0.0) + value.item() * count / KEPT
            if number % 2 and number < len(starts):
                continue
            for value in p.values():
                if value.grad is not None:
                    value.grad = (value.grad / added).clamp(-0.05, 0.05)
            rule.step()
            rule.zero_grad()
            added = 0
            with torch.no_grad():
                w = p["kind.weight"]
                length = w.norm(dim=0, keepdim=True)
                w.copy_(w * length.clamp(max=0.6) / (length + 1e-7))
                for name, value in p.items():
                    old = average.get(name, value)
                    average[name] = (0.8 * old + 0.2 * value).detach().clone()
        with torch.no_grad():
            tested = losses(slice(KEPT, N), training=False)
        history.append(row | {f"val_{name}": value.item() for name, value in tested.items()})
    kept = {n: p[n] for n in p if not p[n].requires_grad}
    return history, {n: v.numpy() for n, v in (average | kept).items()}


def test_everything_at_once_is_what_a_loop_by_hand_does() -> None:
    """Inputs and outputs by name, weights of rows and losses, groups, a schedule, clipping,
    accumulation, averages, a penalty, a constraint, a frozen parameter, running statistics."""
    torch = require_torch()
    model = Two()
    gg.predict(model, {"a": A, "b": B})
    start = model.state_dict()
    history = ours(model)
    expected, weights = theirs(torch, start)
    assert set(history) == set(expected[0])
    for i, row in enumerate(expected):
        for name, value in row.items():
            assert history[name][i] == pytest.approx(value, rel=1e-9), (i, name)
    for name, array in model.state_dict().items():
        # A bias before batch norm has no gradient but rounding, which Adam makes large.
        within = 1e-6 if name == "a.bias" else 1e-9
        np.testing.assert_allclose(array, weights[name], rtol=1e-9, atol=within, err_msg=name)
