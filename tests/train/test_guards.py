"""Each check of a run can be switched off by name; a healthy run has the same bits without it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.backends import native
from glassgrad.errors import ConfigError, DataError, NonFiniteError, UsageError
from glassgrad.train.guards import NAMES, Guards, checked_guards

BACKENDS = ["numpy", pytest.param("native", marks=pytest.mark.skipif(not native.available(), reason="no native executor"))]  # fmt: skip
X, Y = data.spiral(points_per_class=20, seed=0)
OFF: list[Any] = [False, (), *[{name: False} for name in NAMES]]
SETTINGS: dict[str, dict[str, Any]] = {
    "adam": {},
    "accumulation": {"optimizer": optim.Adam(1e-2, gradient_accumulation_steps=3, use_ema=True)},
    "l-bfgs": {"optimizer": optim.LBFGS(lr=0.1), "batch_size": None},
    "validation": {"validation_split": 0.2},
}


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3)
    )


def fit(model: nn.Module, x: Any = X, y: Any = Y, **settings: Any) -> gg.train.History:
    given: dict[str, Any] = {
        "loss": "cross_entropy", "optimizer": optim.Adam(1e-2), "epochs": 3, "batch_size": 12,
        "verbose": False,
    }  # fmt: skip
    return gg.fit(model, x, y, **given | settings)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_healthy_run_has_the_same_bits_without_its_guards(
    backend: str, settings: dict[str, Any]
) -> None:
    guarded = network()
    history = fit(guarded, backend=backend, **settings)
    for guard in OFF:
        model = network()
        other = fit(model, backend=backend, guard=guard, **settings)
        assert dict(other) == dict(history), guard
        for name, array in guarded.state_dict().items():
            assert array.tobytes() == model.state_dict()[name].tobytes(), (guard, name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_the_guard_of_finite_numbers_the_step_has_no_check(backend: str) -> None:
    model = nn.Sequential(nn.Linear(2, 3, init=1e30), nn.Linear(3, 1, init=1e30))
    y = X[:, :1]
    with pytest.raises(NonFiniteError):
        fit(model, y=y, loss="mse", backend=backend)
    history = fit(model, y=y, loss="mse", backend=backend, guard={"finite": False})
    assert not history.record.plan.graph.guard
    assert "isfinite" not in "\n".join(history.record.plan.step.text.lines)
    assert not np.isfinite(history["loss"][0])


class Half(nn.Module):
    """A network with one layer that nothing uses, and one that only decides."""

    def __init__(self, dead_end: bool = False) -> None:
        super().__init__()
        self.used = nn.Linear(2, 3)
        self.other = nn.Linear(2, 3)
        self.dead_end = dead_end

    def forward(self, x: Any) -> Any:
        found = self.used(x)
        if self.dead_end:
            found = found + (self.other(x) > 0).astype("float32")
        return found


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dead_end", [False, True])
def test_what_does_not_reach_the_loss_stays_as_it_is_where_that_is_allowed(
    dead_end: bool, backend: str
) -> None:
    model = Half(dead_end)
    with pytest.raises(UsageError, match="do not reach the loss"):
        fit(model, backend=backend)
    model(gg.tensor(X[:2]))
    before = model.state_dict()
    fit(model, backend=backend, guard={"reach": False})
    after = model.state_dict()
    for name, array in before.items():
        assert np.array_equal(array, after[name]) == name.startswith("other"), name


def test_labels_out_of_range_are_refused_unless_that_is_switched_off() -> None:
    labels = Y.copy()
    labels[7] = -1
    with pytest.raises(DataError):
        fit(network(), y=labels, backend="numpy")
    fit(network(), y=labels, backend="numpy", guard={"labels": False})


def test_names_are_those_that_stay_on() -> None:
    assert checked_guards(True) == Guards()
    assert checked_guards(["finite"]) == Guards(False, False, False, False, False, True)
    assert checked_guards({"finite": False}) == Guards(finite=False)


@pytest.mark.parametrize(
    ("guard", "says"),
    [
        (("finit",), "did you mean 'finite'"),
        ({"gradient": False}, "did you mean 'gradients'"),
        ({"gradients": 0}, "on or off"),
        ({3: True}, "unknown guard"),
        ([["finite"]], "unknown guard"),
        ("finite", "which checks are on"),
        (None, "which checks are on"),
        (1, "which checks are on"),
    ],
)
def test_a_guard_that_is_not_known_is_an_error(guard: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        fit(network(), guard=guard)
