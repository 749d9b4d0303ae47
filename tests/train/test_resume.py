"""A run that was stopped goes on as if it had not been: the same bits, on both engines."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import data, nn, optim, train
from glassgrad.errors import ConfigError, FormatError, ResumeError, UsageError
from glassgrad.files.checkpoint import Store
from glassgrad.inspect.run import write_run
from glassgrad.train import state, whole
from glassgrad.train.packing import pack

from .resuming import (
    BATCH,
    ENGINES,
    EPOCHS,
    STEPS,
    Case,
    Interrupt,
    Settings,
    X,
    Y,
    everything,
    last_state,
    net,
    same,
    same_numbers,
)

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """As in a terminal, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def check(case: Case, folder: Path, steps: Any, **more: Any) -> None:
    """Stopped after any of the steps, the run ends as the one that was not stopped."""
    expected = case.run(checkpoint=folder / "whole", **more)
    for step in steps:
        case.stopped(folder / str(step), step, **more)
        found = case.resumed(folder / str(step), **more)
        assert same_numbers(found, expected), step
        assert same(last_state(folder / str(step)), last_state(folder / "whole")), step


@pytest.mark.parametrize("backend", ENGINES)
def test_stopped_after_every_step_it_ends_with_the_same_bits(backend: str, tmp_path: Path) -> None:
    check(Case(), tmp_path, range(1, STEPS + 1), backend=backend)


@pytest.mark.parametrize("backend", ENGINES)
def test_checkpoints_change_nothing(backend: str, tmp_path: Path) -> None:
    expected = Case().run(backend=backend)
    for every in (1, 4, STEPS, "0.001s"):
        found = Case().run(
            backend=backend, checkpoint=tmp_path / str(every), checkpoint_every=every
        )
        assert same_numbers(found, expected), every


@pytest.mark.skipif("native" not in ENGINES, reason="needs the native executor")
@pytest.mark.parametrize("step", [1, 4, 9, 10])
def test_the_loop_in_native_code_and_the_loop_around_it_take_over_from_each_other(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(
        lambda: {
            **everything(), "optimizer": optim.Adam(1e-2), "metrics": ["accuracy"],
            "backend": "native",
        }
    )  # fmt: skip
    expected = case.run()
    for first in (True, False):
        folder = tmp_path / str(first)
        monkeypatch.setattr(whole, "ENABLED", first)
        case.stopped(folder, step)
        monkeypatch.setattr(whole, "ENABLED", not first)
        assert same_numbers(case.resumed(folder), expected)


# -- other kinds of run ------------------------------------------------------------------------


def plain(**more: Any) -> Settings:
    return {
        "loss": "cross_entropy", "epochs": EPOCHS, "batch_size": BATCH, "optimizer": "adam", **more,
    }  # fmt: skip


def lists() -> tuple[Any, ...]:
    return ([(X[i : i + 12], Y[i : i + 12]) for i in range(0, 60, 12)],)


def own_batches() -> tuple[Any, ...]:
    return (data.Batches((X, Y), 12, seed=5),)


def generated() -> tuple[Any, ...]:
    def numbers() -> Iterator[Any]:
        found = np.random.default_rng(1)
        while True:
            rows = found.integers(0, 60, 12)
            yield X[rows], Y[rows]

    return (numbers(),)


def streamed(**more: Any) -> Settings:
    return {"loss": "cross_entropy", "epochs": EPOCHS, "optimizer": "adam", **more}


def grouped() -> Settings:
    groups = [optim.Group("*.bias", lr=0.1, momentum=0.5)]
    return plain(optimizer=optim.SGD(0.05, momentum=0.9, groups=groups))


def constrained() -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))
    return nn.constrain(model, "*.weight", nn.MaxNorm(0.5))


def images() -> tuple[Any, ...]:
    found = np.random.default_rng(0)
    return found.standard_normal((60, 1, 6, 6)).astype(np.float32), Y


def flat() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 3))


def decided() -> list[train.Callback]:
    return [
        train.EarlyStopping("val_loss", patience=1, restore_best_weights=True),
        train.ReduceLROnPlateau("loss", patience=1, min_delta=0.5),
    ]


def rates() -> list[train.Callback]:
    return [train.LearningRateScheduler(lambda epoch, rate: rate * 0.9)]


CASES = {
    "L-BFGS": (Case(lambda: plain(optimizer=optim.LBFGS(max_iter=3), batch_size=None)), (1, 2, 3)),
    "a list of batches": (Case(streamed, rows=lists), (1, 4, 5, 6, 15)),
    "data.Batches": (Case(streamed, rows=own_batches), (1, 5, 7, 12, 15)),
    "a generator": (Case(lambda: streamed(steps_per_epoch=4), rows=generated), (1, 4, 5, 12)),
    "validation": (Case(lambda: plain(validation_split=0.2)), (2, 7, 8)),
    "callbacks that decide": (
        Case(lambda: plain(validation_split=0.2, epochs=12), callbacks=decided),
        (3, 7, 8, 12),
    ),
    "a rate for each epoch": (
        Case(lambda: plain(optimizer=optim.SGD(0.1)), callbacks=rates),
        (8, 9, 10),
    ),
    "augmented rows": (
        Case(
            lambda: plain(augment=data.Augment(shift=1, flip=True)), model=flat, rows=images
        ),
        (2, 9),
    ),
    "groups": (Case(grouped), (5, 9)),
    "recompute": (Case(lambda: plain(recompute=True)), (5, 9)),
    "constraints": (Case(plain, model=constrained), (5, 9)),
    "one row at a time": (Case(lambda: plain(batch_size=1, epochs=2), model=constrained), (7, 61)),
    "no seed": (Case(lambda: plain(batch_size=None, optimizer=optim.SGD(0.1))), (2,)),
}  # fmt: skip


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_the_same_for(name: str, backend: str, tmp_path: Path) -> None:
    case, steps = CASES[name]
    check(case, tmp_path, steps, backend=backend)


def test_a_run_without_a_seed_goes_on_with_the_seed_it_drew(tmp_path: Path) -> None:
    case = Case(lambda: plain(seed=None), callbacks=list)
    case.stopped(tmp_path / "a", 4)
    drawn = last_state(tmp_path / "a")["seed"]
    found = case.resumed(tmp_path / "a")
    assert found[1].record.seed == drawn
    assert same_numbers(found, Case(lambda: plain(seed=drawn)).run())


def test_more_epochs_continue_a_run_that_ended(tmp_path: Path) -> None:
    for name, callbacks in (("plain", list), ("scheduled", rates)):
        case = Case(lambda: plain(optimizer=optim.SGD(0.1)), callbacks=callbacks)
        expected = case.run(epochs=6)
        case.run(checkpoint=tmp_path / name)
        assert same_numbers(case.resumed(tmp_path / name, epochs=6), expected)


@pytest.mark.parametrize("backend", ENGINES)
def test_recompute_may_change_and_guards_may(backend: str, tmp_path: Path) -> None:
    Case(plain).stopped(tmp_path / "a", 5, backend=backend)
    found = Case(plain).resumed(tmp_path / "a", backend=backend, recompute=True, guard=False)
    assert same_numbers(found, Case(plain).run(backend=backend))


def test_a_run_that_ended_gives_the_same_again_without_a_step(tmp_path: Path) -> None:
    case = Case(lambda: plain(validation_split=0.2, epochs=12), callbacks=decided)
    expected = case.run(checkpoint=tmp_path / "a")
    found = case.resumed(tmp_path / "a")
    assert same_numbers(found, expected)
    assert found[1].seconds == expected[1].seconds


def test_the_program_of_a_run_that_went_on_is_that_of_the_whole_run(tmp_path: Path) -> None:
    case = Case(lambda: plain(optimizer=optim.SGD(0.1)), callbacks=rates)
    _, expected = case.run()
    case.stopped(tmp_path / "a", 13)
    _, found = case.resumed(tmp_path / "a")
    texts = []
    for name, history in (("one", expected), ("two", found)):
        folder = write_run(history, tmp_path / name)
        texts.append((folder / "program.py").read_text())
        texts.append((folder / "initial.npz").read_bytes().hex())
    assert texts[:2] == texts[2:]


def test_logs_have_each_epoch_once(tmp_path: Path) -> None:
    def logged(folder: Path) -> list[train.Callback]:
        return [train.CSVLogger(folder / "log.csv"), train.JSONLogger(folder / "log.jsonl")]

    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    Case(plain, callbacks=lambda: logged(tmp_path / "whole")).run()
    case = Case(plain, callbacks=lambda: logged(tmp_path / "parts"))

    # Killed in epoch 3, after checkpoints of epoch 2 alone: what came after them is written again.
    class Die(train.Callback):
        every = STEPS - 1
        stateless = True

        def on_interval(self, run: train.Run) -> None:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        case.run(Die(), checkpoint=tmp_path / "run", checkpoint_every=STEPS // 3 + 2)
    case.resumed(tmp_path / "run")
    for name in ("log.csv", "log.jsonl"):
        assert (tmp_path / "parts" / name).read_text() == (tmp_path / "whole" / name).read_text()


# -- what may not change -----------------------------------------------------------------------


@dataclass
class Change:
    settings: Settings
    named: str
    rows: tuple[Any, ...] = (X, Y)


CHANGES = {
    "the rate": Change({"optimizer": optim.Adam(0.5)}, "optimizer.lr"),
    "a setting of the optimiser": Change({"optimizer": optim.Adam(eps=1e-3)}, "optimizer.eps"),
    "the optimiser": Change({"optimizer": "sgd"}, "optimizer.kind"),
    "the schedule": Change({"optimizer": optim.Adam(optim.Step(1e-3, every=3))}, "schedule"),
    "the loss": Change({"loss": nn.CrossEntropyLoss(label_smoothing=0.1)}, "losses"),
    "the batch size": Change({"batch_size": 8}, "batch_size"),
    "the order": Change({"shuffle": False}, "shuffle"),
    "the seed": Change({"seed": 1}, "seed"),
    "the metrics": Change({"metrics": []}, "metrics"),
    "rows held out": Change({"validation_split": 0.1}, "validation_rows"),
    "a number of the data": Change({}, "data.x", (X + np.float32(1e-3), Y)),
    "a label": Change({}, "data.y", (X, np.roll(Y, 1))),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changed_is_named(name: str, tmp_path: Path) -> None:
    Case(plain).stopped(tmp_path / "a", 3)
    change = CHANGES[name]
    with pytest.raises(ResumeError, match="not the run that was begun") as caught:
        Case(lambda: plain(**change.settings), rows=lambda: change.rows).resumed(tmp_path / "a")
    assert change.named in caught.value.received
    assert "was " in caught.value.received


def test_another_network_is_named(tmp_path: Path) -> None:
    Case(plain).stopped(tmp_path / "a", 3)
    wide = nn.Sequential(
        nn.Linear(2, 17), nn.BatchNorm1d(17), nn.ReLU(), nn.Dropout(0.2), nn.Linear(17, 3)
    )
    with pytest.raises(ResumeError) as caught:
        Case(plain, model=lambda: wide).resumed(tmp_path / "a")
    assert "(2, 16)" in caught.value.received
    assert "(2, 17)" in caught.value.received
    tanh = nn.Sequential(
        nn.Linear(2, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 3)
    )
    with pytest.raises(ResumeError, match="formulas"):
        Case(plain, model=lambda: tanh).resumed(tmp_path / "a")


@pytest.mark.skipif("native" not in ENGINES, reason="needs the native executor")
def test_another_engine_is_named(tmp_path: Path) -> None:
    Case(plain).stopped(tmp_path / "a", 3, backend="numpy")
    with pytest.raises(ResumeError, match=r"settings\.backend"):
        Case(plain).resumed(tmp_path / "a", backend="native")


def test_another_iterable_is_noticed(tmp_path: Path) -> None:
    Case(streamed, rows=lists).stopped(tmp_path / "a", 8)

    def other() -> tuple[Any, ...]:
        ((first, *rest),) = lists()
        return ([first, *rest[::-1]],)

    with pytest.raises(ResumeError, match="other batches"):
        Case(streamed, rows=other).resumed(tmp_path / "a")


def test_fewer_epochs_than_are_done_are_refused(tmp_path: Path) -> None:
    Case(plain).stopped(tmp_path / "a", 20)
    with pytest.raises(ResumeError, match="longer already"):
        Case(plain).resumed(tmp_path / "a", epochs=1)


def test_rows_of_a_mapped_file_are_known_by_the_file(tmp_path: Path) -> None:
    file = tmp_path / "x.npy"
    np.save(file, X)

    def mapped() -> tuple[Any, ...]:
        return np.load(file, mmap_mode="r"), Y

    case = Case(plain, rows=mapped)
    case.stopped(tmp_path / "a", 3)
    assert same_numbers(case.resumed(tmp_path / "a"), Case(plain).run())
    np.save(file, X + 1)
    with pytest.raises(ResumeError, match=r"data\.x"):
        case.resumed(tmp_path / "a")


def test_a_numpy_run_that_goes_on_elsewhere_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for backend in ("numpy", ENGINES[-1]):
        Case(plain).stopped(tmp_path / backend, 3, backend=backend)
    _, history = Case(plain).resumed(tmp_path / "numpy", backend="numpy")
    assert history.notes == []
    Case(plain).stopped(tmp_path / "again", 3, backend="numpy")
    monkeypatch.setattr("numpy.__version__", "1.2.3")
    _, history = Case(plain).resumed(tmp_path / "again", backend="numpy")
    assert len(history.notes) == 1
    assert "NumPy 1.2.3" in history.notes[0]
    assert "last digits" in history.notes[0]
    if "native" in ENGINES:  # which has the same bits everywhere
        _, history = Case(plain).resumed(tmp_path / "native", backend="native")
        assert history.notes == []


# -- what resume means -------------------------------------------------------------------------


def test_a_folder_with_a_run_is_not_begun_anew(tmp_path: Path) -> None:
    Case(plain).stopped(tmp_path / "a", 3)
    with pytest.raises(ResumeError, match="another folder starts over"):
        Case(plain).run(checkpoint=tmp_path / "a")


def test_auto_begins_where_nothing_is_and_must_does_not(tmp_path: Path) -> None:
    with pytest.raises(ResumeError, match="no run to go on with"):
        Case(plain).resumed(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    assert same_numbers(Case(plain).resumed(tmp_path / "a", resume="auto"), Case(plain).run())
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    with pytest.raises(ResumeError, match="not empty"):
        Case(plain).resumed(tmp_path / "b", resume="auto")


@pytest.mark.parametrize(
    "wrong",
    [
        {"checkpoint_every": 0}, {"checkpoint_every": "30"}, {"checkpoint_every": "0s"},
        {"checkpoint_every": True}, {"resume": True}, {"resume": 0}, {"resume": "yes"},
        {"keep": 0}, {"checkpoint_failure": "stop"}, {"checkpoint_full_hash": 1},
        {"checkpoint": ""}, {"checkpoint": 3}, {"checkpoint": "a\0b"},
    ],
)  # fmt: skip
def test_settings_out_of_range(wrong: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Case(plain).run(**{"checkpoint": tmp_path / "a", **wrong})
    if "checkpoint" not in wrong:
        with pytest.raises(ConfigError, match="no folder"):
            Case(plain).run(**wrong)


# -- callbacks ---------------------------------------------------------------------------------


class Counting(train.Callback):
    def __init__(self) -> None:
        self.count = 0

    def on_interval(self, run: train.Run) -> None:
        self.count += 1


class Kept(Counting):
    def state(self) -> dict[str, Any]:
        return {"count": self.count, "nan": float("nan"), "array": np.arange(3)}

    def restore(self, state: Any) -> None:
        assert np.isnan(state["nan"])
        assert state["array"].tolist() == [0, 1, 2]
        self.count = state["count"]


class Foreign(Counting):
    def state(self) -> dict[str, Any]:
        return {"object": object()}


def test_a_callback_that_does_not_say_what_it_keeps_is_refused_before_step_one(
    tmp_path: Path,
) -> None:
    model = net()
    for callback, message in (
        (Counting(), "does not say what it keeps"),
        (train.LambdaCallback(), "stateless=True"),
        (Foreign(), "not plain data"),
    ):
        with pytest.raises(UsageError, match=message):
            gg.fit(
                model, X, Y, verbose=False, callbacks=[callback],
                **plain(checkpoint=tmp_path / message[:4]),
            )  # fmt: skip
        assert not getattr(callback, "count", 0)


def test_a_callback_has_back_what_it_kept(tmp_path: Path) -> None:
    case = Case(plain, callbacks=lambda: [Kept()])
    case.stopped(tmp_path / "a", 20)
    kept = Kept()
    Case(plain, callbacks=lambda: [kept]).resumed(tmp_path / "a")
    assert kept.count == EPOCHS
    with pytest.raises(ResumeError, match="other callbacks"):
        Case(plain).resumed(tmp_path / "a")


def test_every_callback_of_ours_can_be_kept() -> None:
    from glassgrad.train.callbacks import check_kept

    ours = (
        train.ProgressLines(), train.CSVLogger("a.csv"), train.JSONLogger("a.jsonl"),
        train.EarlyStopping(), train.ReduceLROnPlateau(), train.ModelCheckpoint("a.glass"),
        train.LearningRateScheduler(lambda epoch: 0.1),
        train.LambdaCallback(stateless=True), Interrupt(1),
    )  # fmt: skip
    check_kept(ours)


# -- states that no run has --------------------------------------------------------------------


KEYS = {
    "version", "identity", "seed", "step", "run", "updates", "rate", "rates", "added", "under_way",
    "given", "last_batch", "epoch_step", "kept", "kept_at", "unwritable", "partial", "trained",
    "history", "seconds", "memory", "weights", "buffers", "moments", "fixed", "initial", "callbacks",
}  # fmt: skip


def damaged(folder: Path, change: Any) -> None:
    """The newest checkpoint with another state and right checksums."""
    with Store(folder) as store:
        saved = store.newest()
        assert saved is not None
        found = state.read(saved.members, "")
        found = change(found) or found
        arrays: dict[str, Any] = {}
        about = pack(found, arrays)
        members = state.Snapshot(saved.step, about, arrays).members()
        store.save(saved.step, members, finite=True)


def _without(name: str) -> Any:
    return lambda found: {k: v for k, v in found.items() if k != name}


def _with(**changes: Any) -> Any:
    return lambda found: {**found, **changes}


@pytest.mark.parametrize(
    "change",
    [
        *[_without(name) for name in sorted(KEYS)],
        *[_with(**{name: None}) for name in sorted(KEYS - {"given", "kept", "last_batch", "trained"})],
        *[_with(**{name: "x"}) for name in sorted(KEYS - {"unwritable", "last_batch"})],
        _with(more=1), _with(step=4), _with(weights=np.zeros(3, np.float32)),
        _with(moments={}), _with(rates=[1]), _with(added=[1]), _with(callbacks=[["a"]]),
        _with(run={}), _with(under_way={}), _with(seconds=np.zeros((2, 2))), _with(version=2),
        _with(history={"loss": 1}), _with(history={"loss": np.zeros(7)}), _with(history={"loss": np.zeros((1, 1))}),
        _with(memory=[1]),
    ],
)  # fmt: skip
def test_a_state_that_no_run_has_is_refused(change: Any, tmp_path: Path) -> None:
    Case(plain).stopped(tmp_path / "a", 3, backend="numpy")
    damaged(tmp_path / "a", change)
    with pytest.raises((FormatError, ResumeError)):
        Case(plain).resumed(tmp_path / "a", backend="numpy")
