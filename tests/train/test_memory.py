"""The memory of a step is known before any of it is taken, and what does not fit is refused."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.engine import executor, step_memory
from glassgrad.errors import NoMemoryError
from glassgrad.tensors import room
from glassgrad.train.fit import prepared
from glassgrad.train.memory import check_memory, largest
from glassgrad.train.trainer import Trainer

R = np.random.default_rng(0)
MB = 10**6


def images(rows: int, channels: int, side: int) -> Any:
    return R.normal(size=(rows, channels, side, side)).astype(np.float32)


class Words(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.words, self.inner = nn.Embedding(20, 32), inner
        self.norm, self.out = nn.LayerNorm(), nn.Linear(5)

    def forward(self, x: Any) -> Any:
        return self.out(self.norm(self.inner(self.words(x))).mean(axis=1))


def dense() -> nn.Module:
    return nn.Sequential(nn.Linear(256), nn.GELU(), nn.Dropout(0.3), nn.Linear(128), nn.Linear(5))


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(8, 3, padding=1), nn.BatchNorm2d(), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 3),
        nn.ReLU(), nn.Flatten(), nn.Linear(5),
    )  # fmt: skip


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any]]] = {
    "dense": (dense, lambda: R.normal(size=(512, 100)).astype(np.float32)),
    "convolutions": (convolutions, lambda: images(64, 3, 24)),
    "lstm": (lambda: Words(nn.LSTM(32, sequences=True)), lambda: R.integers(0, 20, (256, 24))),
    "attention": (
        lambda: Words(nn.MultiheadAttention(32, 4)),
        lambda: R.integers(0, 20, (256, 24)),
    ),
}


def record_of(name: str, backend: str, **settings: Any) -> Any:
    if backend == "native" and executor()[0] != "native":
        pytest.skip("the native executor is not there")
    make, rows = NETWORKS[name]
    x = rows()
    given = {"loss": "cross_entropy", "optimizer": "adam", "backend": backend, **settings}
    return prepared(make(), x, R.integers(0, 5, len(x)), **given)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_predicted_of_a_text_is_a_bound_and_not_far_off(name: str, recompute: bool) -> None:
    trainer = Trainer(record_of(name, "numpy", recompute=recompute))
    step = trainer.stepping()
    batch = [trainer.record.data[n] for n in trainer.plan.data]
    with np.errstate(all="ignore"):
        trainer.seen.step = 1
        step(batch, 1)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        step(batch, 1)
        peak = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
    predicted = step_memory(trainer.plan.step, len(batch[0])).bytes
    assert peak <= predicted <= 2 * peak


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_predicted_of_a_plan_is_its_arena(name: str, recompute: bool) -> None:
    record = record_of(name, "native", recompute=recompute)
    found = step_memory(record.plan.step, record.rows)
    native = record.plan.step.native
    assert native is not None
    assert native.plan(record.rows).plan.arena == found.bytes
    assert 0 < found.arrays[0][0] <= found.bytes
    assert [size for size, _ in found.arrays] == sorted([s for s, _ in found.arrays], reverse=True)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_what_does_not_fit_is_refused_and_what_would_is_named(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred million rows of nothing: they take no memory, the step would take terabytes."""
    monkeypatch.setattr(room, "available", lambda: 2_000 * MB)
    x = np.broadcast_to(np.zeros(1, np.uint8), (10**8, 4))
    y = np.broadcast_to(np.zeros(1, np.int64), (10**8,))
    model = nn.Sequential(wide=nn.Linear(4, 1000), out=nn.Linear(1000, 3))
    settings: dict[str, Any] = {"loss": "cross_entropy", "optimizer": "sgd", "backend": backend}
    small = record_of("dense", backend)  # skips where there is no such engine
    assert small.rows == 512
    record = prepared(model, x[:1000], y[:1000], **settings)
    record.data = {"x": x, "y": y}
    tracemalloc.start()
    with pytest.raises(NoMemoryError, match="more memory") as caught:
        check_memory(record)
    assert tracemalloc.get_traced_memory()[1] < 50 * MB
    tracemalloc.stop()
    error = caught.value
    assert isinstance(error, MemoryError)
    assert "wide, " in error.received
    assert "GB" in error.received
    assert error.hint.startswith(f"batch_size={error.batch_size}")
    assert 10_000 < error.batch_size < 10**8
    record.batch_size = error.batch_size
    check_memory(record)
    record.batch_size = error.batch_size * 2
    with pytest.raises(NoMemoryError):
        check_memory(record)


def test_fit_refuses_and_can_be_told_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = R.normal(size=(2000, 4)).astype(np.float32), R.integers(0, 3, 2000)
    given: dict[str, Any] = {"loss": "cross_entropy", "optimizer": "sgd", "verbose": False}
    monkeypatch.setattr(room, "available", lambda: 5 * MB)
    monkeypatch.setattr(room, "NOT_WORTH_ASKING", MB)
    model = nn.Sequential(nn.Linear(4, 2000), nn.ReLU(), nn.Linear(2000, 3))
    with pytest.raises(NoMemoryError) as caught:
        gg.fit(model, x, y, **given)
    fits = caught.value.batch_size
    assert 0 < fits < 2000
    unasked = gg.fit(model, x, y, guard={"memory": False}, **given)
    assert unasked.epochs == 1
    assert gg.fit(model, x, y, batch_size=fits, **given).epochs == 1


def test_parameters_that_do_not_fit_are_refused_before_they_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "available", lambda: 2_000 * MB)
    model = nn.Sequential(huge=nn.Linear(10**5, 10**5))
    with pytest.raises(NoMemoryError, match="a parameter needs") as caught:
        model.state_dict()
    assert caught.value.where == "huge.weight"


@pytest.mark.parametrize("slope", [1, 7, 1000])
def test_the_largest_number_of_rows_is_found(slope: int) -> None:
    for fits in (1, 2, 17, 998):
        asked: list[int] = []

        def need(rows: int, asked: list[int] = asked) -> int:
            asked.append(rows)
            return 500 + slope * rows + (rows > 300) * 10 * slope

        assert largest(need, 999, need(fits)) == fits
        assert len(asked) < 60
    assert largest(lambda rows: 100 * rows, 50, 99) == 0


def test_what_a_container_and_a_limit_leave_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    inner = groups / "pod" / "box"
    (proc / "self").mkdir(parents=True)
    inner.mkdir(parents=True)
    monkeypatch.setattr(room, "_PROC", proc)
    monkeypatch.setattr(room, "_CGROUP", groups)
    monkeypatch.setattr(room, "_below_limit", lambda: None)
    assert room.available() is None
    (proc / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:   8000 kB\n")
    assert room.available() == 8000 * 1024
    (proc / "self" / "cgroup").write_text("0::/pod/box\n")
    assert room.available() == 8000 * 1024
    (groups / "pod" / "memory.max").write_text("5000000\n")
    (groups / "pod" / "memory.current").write_text("4000000\n")
    (groups / "pod" / "memory.stat").write_text("anon 1\ninactive_file 500000\n")
    (inner / "memory.max").write_text("max\n")
    assert room.available() == 1_500_000
    monkeypatch.setattr(room, "_below_limit", lambda: 1000)
    assert room.available() == 1000
