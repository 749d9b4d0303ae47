"""A run's first steps on both engines: small where they agree, named where they do not."""

from __future__ import annotations

import copy
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.backends import native
from glassgrad.errors import ConfigError, UsageError
from glassgrad.inspect.run import write_run
from glassgrad.train import verify as verifying
from glassgrad.train.history import History
from glassgrad.train.verify import keep_figure, on_engine

needs_native = pytest.mark.skipif(not native.available(), reason="no native executor")
X, Y = data.spiral(points_per_class=20, seed=0)


def network(dtype: str = "float32") -> nn.Sequential:
    return nn.Sequential(
        hidden=nn.Linear(2, 16, dtype=dtype), act=nn.Tanh(), output=nn.Linear(16, 3, dtype=dtype)
    )


def run(model: nn.Module | None = None, x: Any = X, **settings: Any) -> History:
    given: dict[str, Any] = {
        "loss": "cross_entropy", "optimizer": optim.Adam(1e-2), "epochs": 3, "batch_size": 8,
        "verbose": False,
    }  # fmt: skip
    return gg.fit(model or network(), x, Y, **given | settings)


def wrong_on_the_other_engine(monkeypatch: pytest.MonkeyPatch, name: str, by: float) -> None:
    """Each step of the engine that did not run moves one parameter too far."""

    def on(record: Any, engine: str) -> Any:
        there = on_engine(record, engine)
        part = next(p for p in record.plan.parts if p.name == name)
        at = list(there.plan.step.inputs).index("weights")
        step = copy.copy(there.plan.step)
        right = step.function

        def function(*arguments: Any) -> Any:
            found = right(*arguments)
            arguments[at][part.start : part.stop] += by
            return found

        step.function = function
        return replace(there, plan=replace(there.plan, step=step))

    monkeypatch.setattr(verifying, "on_engine", on)


@needs_native
@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"validation_split": 0.2, "optimizer": optim.SGD(0.1, momentum=0.9)},
        {"optimizer": optim.Adam(1e-2, gradient_accumulation_steps=3, use_ema=True)},
        {"optimizer": optim.LBFGS(lr=0.1), "batch_size": None},
    ],
    ids=["adam", "validation", "accumulation and average", "l-bfgs"],
)
def test_engines_that_agree_differ_by_rounding(backend: str, settings: dict[str, Any]) -> None:
    found = gg.verify(run(backend=backend, **settings), steps=3)
    assert set(found.engines) == {"numpy", "native"}
    assert found.engines[0] == backend
    assert found.steps == 3
    assert found.alike
    # L-BFGS divides differences of gradients by one another.
    assert found.largest < (1e-2 if "batch_size" in settings else 1e-5)
    assert next(iter(found.by_parameter)) == found.parameter or not found.largest
    assert set(found.by_parameter) == {f"{p}.{n}" for p in ("hidden", "output") for n in ("weight", "bias")}  # fmt: skip


@needs_native
def test_float64_agrees_to_its_own_rounding() -> None:
    found = gg.verify(run(network("float64"), X.astype(np.float64)), steps=5)
    assert found.alike
    assert found.largest < 1e-13


@needs_native
def test_a_number_that_only_rounding_moves_is_no_difference() -> None:
    """A bias in front of a batch norm has no derivative but rounding, which Adam makes a step of."""
    model = nn.Sequential(
        nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3)
    )
    found = gg.verify(run(model, batch_size=20, backend="native"))
    assert found.by_parameter["linear1.bias"].relative > 1e-3
    assert found.alike
    assert "which these steps enlarge" in found.verdict


@needs_native
@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("name", ["hidden.bias", "output.weight"])
def test_a_difference_is_named_with_its_parameter_first(
    backend: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = run(backend=backend)
    wrong_on_the_other_engine(monkeypatch, name, 1e-2)
    found = gg.verify(history, steps=1)
    assert found.parameter == name
    assert not found.alike
    assert found.largest == pytest.approx(1e-2, rel=1e-3)
    later = gg.verify(history, steps=10)
    assert name in later.wide
    assert f"{later.parameter} differs by" in str(later)


@needs_native
def test_rates_that_a_callback_set_are_set_again() -> None:
    class Slower(gg.train.Callback):
        every = 2

        def on_interval(self, run: Any) -> None:
            run.rate = run.rate / 2

    assert gg.verify(run(callbacks=(Slower(),))).alike


@needs_native
def test_a_run_that_was_resumed_is_done_again_from_its_beginning(tmp_path: Path) -> None:
    kept: dict[str, Any] = {"checkpoint": tmp_path / "run", "checkpoint_every": 2}
    begun = run(epochs=2, **kept)
    resumed = run(epochs=4, resume="must", **kept)
    first, again = gg.verify(begun, steps=5), gg.verify(resumed, steps=5)
    assert again.steps == 5
    assert again.by_parameter == first.by_parameter


@needs_native
def test_verifying_changes_neither_run_nor_model() -> None:
    history = run()
    model = history.record.task.model
    before = model.state_dict()
    began, rates = dict(history.record.initial), list(history.record.rates)
    gg.verify(history)
    after = model.state_dict()
    assert all(np.array_equal(before[k], after[k]) for k in before)
    assert history.record.rates == rates
    assert all(np.array_equal(began[k], v) for k, v in history.record.initial.items())


def test_a_numpy_run_without_the_native_executor_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    history = run(nn.Sequential(nn.Linear(2, 7), nn.Linear(7, 3)), backend="numpy")
    monkeypatch.setattr(native, "available", lambda: False)
    found = gg.verify(history)
    assert found.largest == 0
    assert found.engines == ("numpy", "numpy")
    assert "native cannot run it" in str(found)


def test_more_steps_than_the_run_had_are_not_done() -> None:
    history = run(epochs=1, batch_size=30, backend="numpy")
    assert gg.verify(history, steps=99).steps in (0, 2)


def test_what_cannot_be_done_again_is_refused_with_the_reason() -> None:
    with pytest.raises(UsageError, match="came from an iterable"):
        gg.verify(gg.fit(
            network(), [(X, Y)], loss="cross_entropy", optimizer="adam", verbose=False
        ))  # fmt: skip
    with pytest.raises(UsageError, match="without its run"):
        gg.verify(copy.copy(run()))
    with pytest.raises(UsageError, match="not a run"):
        gg.verify("runs/one")  # type: ignore[arg-type]
    for steps in (0, -1, True, 2.5, "3"):
        with pytest.raises(ConfigError, match="steps is out of range"):
            gg.verify(run(), steps=steps)  # type: ignore[arg-type]


# -- what fit keeps ----------------------------------------------------------------------------


def test_a_short_run_keeps_the_reason_for_no_figure() -> None:
    found = run().record.verified
    assert found["steps"] == 0
    assert found["largest_difference"] is None
    assert "too short" in found["reason"]


@needs_native
def test_a_run_with_time_for_it_keeps_the_figure_of_its_first_steps() -> None:
    history = run()
    keep_figure(history, 60.0)
    found = history.record.verified
    assert found["steps"] == 3
    assert found["largest_difference"] < 1e-5
    assert found["parameter"] in gg.verify(history).by_parameter
    assert found["alike"] is True


@needs_native
def test_a_figure_that_is_rounding_made_large_says_so() -> None:
    model = nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
    history = run(model, batch_size=20)
    keep_figure(history, 60.0)
    found = history.record.verified
    assert found["parameter"] == "linear1.bias"
    assert found["largest_difference"] > 1e-3
    assert found["alike"] is True


@needs_native
def test_writing_a_run_keeps_the_figure(tmp_path: Any) -> None:
    from glassgrad.inspect.run import write_run

    history = run()
    place = write_run(history, tmp_path / "run")
    found = history.record.verified
    assert found["steps"] == 3
    with zipfile.ZipFile(place / "model.glass") as file:
        assert json.loads(file.read("training.json"))["run"]["verified"] == found


def test_a_run_of_no_epochs_and_a_stream_have_no_figure() -> None:
    assert "no epoch" in run(epochs=0).record.verified["reason"]
    history = gg.fit(network(), [(X, Y)], loss="cross_entropy", optimizer="adam", verbose=False)
    assert "iterable" in history.record.verified["reason"]


class _Flags(nn.Module):
    """A buffer of another kind of number, which training changes."""

    def __init__(self, dtype: str) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)
        self.seen = nn.Buffer(np.zeros(2, dtype))

    def forward(self, x: Any) -> Any:
        if self.training:
            positive = (x > 0).any(axis=0)
            self.seen.assign(positive if self.seen.dtype == "bool" else positive.astype("uint8"))
        return self.layer(x)


@needs_native
@pytest.mark.parametrize("dtype", ["bool", "uint8"])
def test_buffers_that_are_no_real_numbers_are_compared(dtype: str, tmp_path: Path) -> None:
    history = run(_Flags(dtype))
    assert gg.verify(history).by_parameter["seen"].absolute == 0
    write_run(history, tmp_path / "run")
    apart = verifying.Difference().or_larger(np.array([0, 1], dtype), np.array([1, 1], dtype))
    assert apart == verifying.Difference(1.0, 1.0)


@needs_native
def test_a_first_epoch_that_took_long_does_not_cost_the_figure() -> None:
    history = run()
    history.seconds[0] = 3600.0
    keep_figure(history, 60.0)
    assert history.record.verified["steps"] == 3
