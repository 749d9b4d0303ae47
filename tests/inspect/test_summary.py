"""The summary: counted here by hand."""

from __future__ import annotations

from typing import Any

import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import UsageError
from glassgrad.files.model import from_bytes, to_bytes
from glassgrad.inspect.summary import summary


def test_lenet_by_hand() -> None:
    model = nn.Sequential(
        nn.Conv2d(6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(120), nn.ReLU(), nn.Linear(84), nn.ReLU(), nn.Linear(10),
    )  # fmt: skip
    found = summary(model, (1, 28, 28))
    rows = {row.path: (row.shape, row.parameters, row.multiply_adds) for row in found.rows}
    assert rows["conv2d1"] == ((6, 24, 24), 6 * 25 + 6, 24 * 24 * 6 * 25)
    assert rows["conv2d2"] == ((16, 8, 8), 16 * 150 + 16, 64 * 16 * 150)
    assert rows["flatten1"] == ((256,), 0, 0)
    assert rows["linear1"] == ((120,), 256 * 120 + 120, 256 * 120)
    assert found.parameters == 44426
    assert str(summary(from_bytes(to_bytes(model)))) == str(found)


def test_buffers_loops_and_own_modules() -> None:
    norm = summary(nn.Sequential(nn.Linear(4), nn.BatchNorm1d()), (3,))
    assert (norm.parameters, norm.buffers) == (16 + 8, 8)
    rnn = summary(nn.Sequential(nn.RNN(16), nn.Linear(3)), (5, 4))
    assert rnn.rows[0].multiply_adds == 5 * (4 * 16 + 16 * 16)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = gg.Parameter([2.0])
            self.layer = nn.Linear(2)

        def forward(self, x: Any) -> Any:
            return self.layer(x) * self.scale

    own = summary(Net(), (3,))
    assert [(row.path, row.parameters) for row in own.rows] == [("layer", 8), ("Net", 1)]
    with pytest.raises(UsageError, match="not known"):
        summary(Net())
