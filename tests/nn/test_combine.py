"""Residual blocks: what they add, how they are named, what they refuse."""

# mypy: disable-error-code="arg-type"
# What cannot be meant is what is passed here.

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import GlassgradError
from tests.conftest import require_torch
from tests.nn.twins import close, compiled_is_eager, learns, normal


def test_a_residual_block_is_pytorchs_sum() -> None:
    torch = require_torch()
    block = nn.Residual(
        nn.Linear(4, 3, dtype="float64"),
        nn.Tanh(),
        shortcut=nn.Linear(4, 3, bias=False, dtype="float64"),
    )
    assert list(block.state_dict()) == ["linear1.weight", "linear1.bias", "shortcut.weight"]
    w, b, s = (torch.tensor(v, requires_grad=True) for v in block.state_dict().values())
    x, given = normal(5, 4), normal(5, 3, seed=1)
    a, v = gg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = block(a), v @ s + torch.tanh(v @ w + b)
    close(y.numpy(), z.detach().numpy())
    (y * gg.tensor(given)).sum().backward()
    (z * torch.tensor(given)).sum().backward()
    found: Any = [a, *block.parameters()]
    for mine, theirs in zip(found, (v, w, b, s), strict=True):
        close(mine.grad.numpy(), theirs.grad.numpy())
    compiled_is_eager(block, x)


def test_fit_trains_it_and_the_program_says_what_is_added() -> None:
    text = learns(nn.Residual(nn.Linear(4), nn.ReLU(), nn.Linear(4)), (4,))
    assert "y = x + f(x)" in text
    assert "residual1 = x + linear2" in text


def test_blocks_in_blocks_are_named_by_their_place_and_drawn_for_what_they_feed() -> None:
    model = nn.Sequential(
        first=nn.Residual(inner=nn.Residual(nn.Linear(4, 4), nn.Linear(4, 4))), relu=nn.ReLU()
    )
    assert [p.name for p in model.parameters()][:2] == [
        "first.inner.linear1.weight",
        "first.inner.linear1.bias",
    ]
    plain, fed = (p for p in model.parameters() if p.name.endswith("weight"))
    assert (plain.how, fed.how) == ("glorot", "he")  # type: ignore[attr-defined]
    assert repr(nn.Residual(nn.ReLU(), shortcut=nn.Tanh())) == (
        "Residual(relu1=ReLU(), shortcut=Tanh())"
    )
    model.eval()
    assert not dict(model.modules())["first.inner"].training


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (nn.Residual, "nothing to add"),
        (lambda: nn.Residual(3), "made of modules"),
        (lambda: nn.Residual(nn.ReLU(), shortcut=nn.relu), "a shortcut is a module"),
        (lambda: nn.Residual(nn.Linear(3))(np.ones((2, 4), "f")), "adds arrays of one shape"),
        (lambda: nn.Residual(nn.Linear(1))(np.ones((2, 4), "f")), "adds arrays of one shape"),
    ],
)
def test_what_cannot_be_added_is_refused(make: Any, says: str) -> None:
    with pytest.raises(GlassgradError, match=says):
        make()
