"""A recorded run: any step of it has the bits of a run that was stopped there."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.backends import native
from glassgrad.errors import ConfigError, ResumeError, UsageError
from glassgrad.inspect.tape import Moment, Tape
from glassgrad.train import Callback, EarlyStopping, History, LearningRateScheduler, Run, whole
from glassgrad.train.packing import unpack
from glassgrad.train.state import differing
from tests.train.resuming import last_state

ENGINES = ("numpy", "native") if native.available() else ("numpy",)
X, Y = data.spiral(classes=3, points_per_class=20, seed=0)
EPOCHS, BATCH = 3, 7
PER_EPOCH = -(-len(X) // BATCH)


def net() -> nn.Module:
    return nn.Sequential(
        nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3)
    )


def settings(**more: Any) -> dict[str, Any]:
    """Shuffle, dropout, batch norm, Adam."""
    usual = {"loss": "cross_entropy", "optimizer": optim.Adam(1e-2), "epochs": EPOCHS, "seed": 3}
    return {**usual, "batch_size": BATCH, "verbose": False, **more}


def recorded(tape: Tape | None = None, **more: Any) -> tuple[Tape, nn.Module, History]:
    tape, model = tape or Tape(every=5), net()
    history = gg.fit(model, X, Y, tape=tape, **settings(**more))
    return tape, model, history


def bits(model: nn.Module) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in model.state_dict().items()}


def state_of(moment: Moment) -> dict[str, Any]:
    found: dict[str, Any] = unpack(moment.snapshot.about, moment.snapshot.arrays, "a tape")
    return found


MOVED = ("weights", "buffers", "moments", "updates", "rate")


class Looking(Callback):
    """Copies of all that a step moves, after every step."""

    every = 1

    def __init__(self) -> None:
        self.seen: dict[int, dict[str, Any]] = {}

    def on_interval(self, run: Run) -> None:
        trainer = run._trainer
        self.seen[run.step] = copy.deepcopy({name: getattr(trainer, name) for name in MOVED})


class Steering(Callback):
    """Sets rates after steps and epochs, and puts weights back in the middle of an epoch."""

    stateless = True

    def __init__(self, every: int | str) -> None:
        self.every = every  # type: ignore[assignment]
        self.there: Any = None

    def on_interval(self, run: Run) -> None:
        run.rate = run.rate * 0.9
        if run.step == 10:
            self.there = run.state()
        if run.step == 20:
            run.restore(self.there)


class Stopping(Callback):
    every = 1
    stateless = True

    def __init__(self, step: int) -> None:
        self.step = step

    def on_interval(self, run: Run) -> None:
        run.stop = run.step >= self.step


SETTINGS: dict[str, dict[str, Any]] = {
    "adam": {},
    "averages, accumulation and a schedule": {
        "optimizer": optim.Adam(
            optim.Exponential(1e-2, 0.99), use_ema=True, gradient_accumulation_steps=4
        )
    },
    "all rows, momentum": {"batch_size": None, "epochs": 25, "optimizer": optim.SGD(0.1, 0.9)},
    "with validation": {"validation_split": 0.2, "shuffle": False},
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", SETTINGS)
def test_every_step_has_the_bits_of_a_run_stopped_there(
    name: str, engine: str, tmp_path: Path
) -> None:
    more: dict[str, Any] = {**SETTINGS[name], "backend": engine}
    tape, _, history = recorded(**more)
    looking = Looking()
    recorded(callbacks=[looking], **more)
    per_epoch = tape.last // history.epochs
    steps = np.random.default_rng(0).permutation(tape.last + 1).tolist()  # to and fro
    for step in steps:
        found = state_of(tape.at(step))
        if step % per_epoch:
            wanted = looking.seen[step]
            found = {name: found[name] for name in wanted}
        else:  # what comes at the end of an epoch is done
            ended = settings(**{**more, "epochs": step // per_epoch})
            folder = tmp_path / str(step)
            gg.fit(net(), X, Y, **ended, checkpoint=folder, checkpoint_every=10**9)
            wanted = {**last_state(folder), "identity": {}}
        assert differing(wanted, found) == [], step


@pytest.mark.parametrize("engine", ENGINES)
def test_recording_changes_no_bit(engine: str) -> None:
    tape, model, history = recorded(backend=engine)
    plain = net()
    assert dict(gg.fit(plain, X, Y, **settings(backend=engine))) == dict(history)
    assert bits(plain) == bits(model) == bits(tape.at(tape.last).model)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "callback",
    [
        lambda: Steering(1),
        lambda: Steering("epoch"),
        lambda: LearningRateScheduler(lambda epoch, rate: rate / (1 + epoch)),
        lambda: EarlyStopping("loss", patience=1, min_delta=0.05, restore_best_weights=True),
        lambda: Stopping(PER_EPOCH + 3),
        lambda: Stopping(2 * PER_EPOCH),
    ],
)
def test_an_unchanged_branch_ends_in_the_same_bits(engine: str, callback: Any) -> None:
    more: dict[str, Any] = {"backend": engine, "epochs": 6}
    tape, model, history = recorded(callbacks=[callback()], **more)
    seen: dict[int, dict[str, bytes]] = {}

    class Watching(Callback):
        every = 1

        def on_interval(self, run: Run) -> None:
            seen[run.step] = bits(run.model)

    recorded(callbacks=[callback(), Watching()], **more)
    for step in (0, 1, 7, PER_EPOCH, PER_EPOCH + 2, tape.last - 1, tape.last):
        branch = tape.branch(step)
        assert branch.last == tape.last
        assert bits(branch.model) == bits(model), step
        assert dict(branch.history) == dict(history)
        assert bits(branch.branch(max(step, tape.last - 1)).model) == bits(model)
    for step in (3, PER_EPOCH + 2, tape.last - 1):
        assert bits(tape.at(step).model) == seen[step], step


class Two(nn.Module):
    """Two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.both = nn.Linear(2, 4), nn.Linear(2, 4), nn.Linear(8, 3)

    def forward(self, left: Any, right: Any) -> Any:
        return self.both(gg.concatenate([self.left(left), self.right(right)], axis=1))


def plain() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))


def images() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(3))


PIXELS = np.random.default_rng(0).random((60, 1, 6, 6), dtype=np.float32)
OTHERS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "L-BFGS": (plain, X, {"optimizer": optim.LBFGS(), "epochs": 9}),
    "augmented": (images, PIXELS, {"augment": data.Augment(shift=1), "batch_size": 16}),
    "recomputed, weighted": (images, PIXELS, {"recompute": True, "class_weight": "balanced"}),
    "two inputs": (Two, {"left": X, "right": X[::-1].copy()}, {"batch_size": 16}),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", OTHERS)
def test_other_ways_to_train_are_recorded_too(name: str, engine: str) -> None:
    make, x, more = OTHERS[name]
    usual: dict[str, Any] = {"loss": "cross_entropy", "optimizer": "adam", "epochs": 2}
    how = {**usual, **more, "backend": engine, "verbose": False}
    tape, model, looking = gg.Tape(every=4), make(), Looking()
    gg.fit(model, x, Y, tape=tape, **how)
    gg.fit(make(), x, Y, callbacks=[looking], **how)
    for step in range(tape.last, 0, -1):
        found = state_of(tape.at(step))
        wanted = looking.seen[step]
        assert differing(wanted, {name: found[name] for name in wanted}) == []
    assert bits(tape.branch(tape.last // 2).model) == bits(model)
    assert len(tape.explain(1, [3, 4])) > 5


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_with_checkpoints_is_recorded_and_goes_on(engine: str, tmp_path: Path) -> None:
    first = Tape(every=3)
    keeping = {"checkpoint": tmp_path, "checkpoint_every": 5, "backend": engine}
    recorded(first, **keeping)
    tape, model, _ = recorded(Tape(every=3), epochs=5, resume="must", **keeping)
    _, longer, _ = recorded(epochs=5, backend=engine)
    assert tape.first == first.last
    assert bits(model) == bits(longer) == bits(tape.branch(tape.first + 2).model)
    assert bits(first.branch(4, epochs=5).model) == bits(longer)


def test_off_the_native_loop_the_bits_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tape, model, _ = recorded()
    wanted = {step: bits(tape.at(step).model) for step in range(0, tape.last + 1, 4)}
    monkeypatch.setattr(whole, "ENABLED", False)
    assert {step: bits(tape.at(step).model) for step in wanted} == wanted
    other, slower, _ = recorded()
    assert {step: bits(other.at(step).model) for step in wanted} == wanted
    assert bits(slower) == bits(model) == bits(tape.branch(3).model)


def test_a_branch_with_another_rate_goes_on_from_the_step() -> None:
    class Another(Callback):
        every = 11

        def on_interval(self, run: Run) -> None:
            run.rate = 0.05

    tape, _, _ = recorded()
    branch = tape.branch(11, optimizer=optim.Adam(0.05))
    _, model, _ = recorded(callbacks=[Another()])
    assert (branch.first, bits(branch.model)) == (11, bits(model))
    assert not branch.history.notes


def test_a_branch_that_goes_on_longer_is_the_longer_run() -> None:
    tape, _, _ = recorded()
    _, longer, history = recorded(epochs=EPOCHS + 2)
    branch = tape.branch(tape.last, epochs=EPOCHS + 2)
    assert bits(branch.model) == bits(longer)
    assert dict(branch.history) == dict(history)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"optimizer": optim.SGD(0.1)}, "an optimiser of another kind"),
        ({"batch_size": 9}, "batch_size"),
        ({"metrics": ()}, "metrics"),
    ],
)
def test_what_cannot_go_on_in_the_middle_begins_anew_and_says_so(
    change: dict[str, Any], reason: str
) -> None:
    tape, _, _ = recorded()
    branch = tape.branch(11, **change)
    (note,) = [n for n in branch.history.notes if "new run" in n]
    assert reason in note
    assert branch.first == 0
    assert branch.history.epochs == EPOCHS
    assert bits(branch.at(0).model) == bits(tape.at(11).model)


def test_a_branch_of_another_seed_leaves_the_recorded_run_as_it_was() -> None:
    tape, model, _ = recorded()
    before = bits(model)
    branch = tape.branch(11, seed=4)
    assert bits(branch.model) != before
    assert bits(model) == before == bits(tape.branch(11).model)


def test_a_tape_keeps_few_snapshots_spread_over_the_run() -> None:
    tape, _, _ = recorded(Tape(every=1, most=8), epochs=20)
    steps = [s.step for s in tape.kept]
    assert len(steps) == 8
    assert (steps[0], steps[-1]) == (0, tape.last)
    assert max(np.diff(steps)) <= 4 * tape.last / 8
    small, _, _ = recorded(Tape(every=1, megabytes=1e-3), epochs=20)
    assert len(small.kept) == 2
    assert bits(small.at(100).model) == bits(tape.at(100).model)


def test_a_tape_and_a_moment_say_what_they_are_in_a_line() -> None:
    tape, _, _ = recorded()
    assert repr(tape).startswith("<tape of steps 0 to 27: 7 snapshots, ")
    moment = tape.at(PER_EPOCH)
    assert repr(moment).startswith("Moment(step=9, epoch=1, loss=")
    assert len(repr(moment)) < 200
    assert (tape.at(0).epoch, tape.at(1).epoch, tape.at(PER_EPOCH + 1).epoch) == (0, 1, 2)


def test_a_step_is_explained_with_the_numbers_it_had() -> None:
    tape, _, _ = recorded()
    found = tape.explain(11, [4, 2])
    with_model = gg.explain(tape.at(11).model, X[[4, 2]], Y[[4, 2]], loss="cross_entropy", seed=3)
    assert found.text() == with_model.text()
    assert found.recording.rows == 2


def test_a_run_that_failed_can_be_gone_back_in() -> None:
    class FailingError(Exception):
        pass

    class Failing(Callback):
        every = 12

        def on_interval(self, run: Run) -> None:
            raise FailingError

    tape = Tape(every=5)
    with pytest.raises(FailingError):
        recorded(tape, callbacks=[Failing()])
    assert tape.last in (10, 11, 12)
    other, _, _ = recorded()
    assert bits(tape.at(tape.last).model) == bits(other.at(tape.last).model)


def test_rows_that_were_changed_after_the_run_are_noticed() -> None:
    x = X.copy()
    tape = Tape(every=100)
    gg.fit(net(), x, Y, tape=tape, **settings())
    x += 1
    with pytest.raises(ResumeError, match="another history"):
        tape.at(2 * PER_EPOCH)


@pytest.mark.parametrize("step", [-1, 28, 1.5, True, "3", None])
def test_a_step_that_was_not_recorded_is_an_error(step: Any) -> None:
    tape, _, _ = recorded()
    with pytest.raises(ConfigError, match="no such step"):
        tape.at(step)


def test_what_cannot_be_meant_is_an_error() -> None:
    tape, _, _ = recorded()
    for wrong in ({"every": 0}, {"most": 1}, {"megabytes": 0}, {"megabytes": True}, {"most": 2.5}):
        with pytest.raises(ConfigError, match="out of range"):
            Tape(**wrong)
    with pytest.raises(UsageError, match="there is a run on this tape"):
        recorded(tape)
    with pytest.raises(UsageError, match="nothing was recorded"):
        Tape().at(0)
    batches = data.Batches((X, Y), BATCH)
    with pytest.raises(UsageError, match="iterable"):
        gg.fit(net(), batches, tape=Tape(), loss="cross_entropy", optimizer="adam", verbose=False)
    with pytest.raises(ConfigError, match="not a tape"):
        gg.fit(net(), X, Y, tape="tape", **settings())
    with pytest.raises(ConfigError, match="no such rows"):
        tape.explain(3, [60])
    with pytest.raises(ConfigError, match="a beginning and a tape"):
        tape.branch(3, resume="auto")
