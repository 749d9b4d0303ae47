"""The same bits for any number of threads, every instruction set, and each time again.

scripts/soak.py sameness does it with other seeds and in processes of their own.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import glassgrad as gg
from glassgrad.backends import native
from glassgrad.train.callbacks import Callback, Run
from tests.backends.native.training import NETWORKS, forget, made, trained

if not native.available() and "GLASSGRAD_CI" not in os.environ:
    pytest.skip(f"no native executor: {native.why()}", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("own_plans")

FAST = [isa for isa in native.module().isas() if isa != "reference"]  # type: ignore[union-attr]
LARGE = [name for name in NETWORKS if name != "small"]


def choose(monkeypatch: pytest.MonkeyPatch, isa: str, threads: int) -> None:
    monkeypatch.setenv("GLASSGRAD_ISA", isa)
    gg.set_threads(threads)
    forget()


@pytest.mark.parametrize("name", LARGE)
def test_200_steps_leave_one_hash(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for isa in FAST:
        for threads in (1, 2, 4):
            choose(monkeypatch, isa, threads)
            found.add(made(*trained(name, 20)))
    assert len(found) == 1


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, "float32") for name in NETWORKS] + [("mlp", "float64"), ("small", "float64")],
)
def test_the_reference_gives_the_same_bits(
    name: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which does everything number by number: so tiles, registers and shortcuts change nothing."""
    found = set()
    for isa in (*FAST, "reference"):
        choose(monkeypatch, isa, 2)
        found.add(made(*trained(name, 1, dtype=dtype)))
    assert len(found) == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize("name", LARGE)
def test_four_threads_are_at_work_in_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the tests above would say nothing about threads."""
    choose(monkeypatch, FAST[0], 4)
    _, history = trained(name, 1)
    step = history.record.plan.step
    assert any(
        line["split"] for line in step.native.plan(NETWORKS[name]("float32")[2]).plan.describe()
    )
    threads = [
        line for line in Path("/proc/self/status").read_text().splitlines() if "Threads" in line
    ]
    assert int(threads[0].split()[1]) >= 4


@pytest.mark.parametrize("name", NETWORKS)
def test_another_seed_leaves_another_hash(name: str) -> None:
    """Or a hash would say nothing."""
    assert made(*trained(name, 1)) != made(*trained(name, 1, seed=1))


def test_numbers_of_threads_may_change_between_epochs() -> None:
    class Change(Callback):
        def on_interval(self, run: Run) -> None:
            gg.set_threads(gg.get_threads() % 4 + 1)

    wanted = made(*trained("mlp", 8))
    assert made(*trained("mlp", 8, callbacks=[Change()])) == wanted
