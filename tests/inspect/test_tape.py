"""A recorded run: any step of it has the bits of a run that was stopped there."""

from __future__ import annotations

import copy
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.backends import native
from glassgrad.errors import ConfigError, NoMemoryError, NonFiniteError, ResumeError, UsageError
from glassgrad.inspect.explain.explanation import Explanation
from glassgrad.inspect.tape import Moment, Tape
from glassgrad.tensors import room
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
    assert repr(gg.Tape()) == "<tape on which nothing was recorded>"
    assert (tape.at(0).epoch, tape.at(1).epoch, tape.at(PER_EPOCH + 1).epoch) == (0, 1, 2)


def test_a_step_is_explained_with_the_numbers_it_had() -> None:
    tape, _, _ = recorded()
    found = tape.explain(11, [4, 2])
    how: dict[str, Any] = {"loss": "cross_entropy", "seed": 3, "step": 12}
    with_model = gg.explain(tape.at(11).model, X[[4, 2]], Y[[4, 2]], **how)
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


class Raising(Callback):
    """Ctrl-C after a step."""

    every: int = PER_EPOCH + 4
    stateless = True

    def on_interval(self, run: Run) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_that_was_interrupted_can_be_gone_on_with(engine: str, tmp_path: Path) -> None:
    _, whole, history = recorded(backend=engine)
    for keeping in ({}, {"checkpoint": tmp_path, "checkpoint_every": 10**9}):
        tape, model = Tape(every=1 if keeping else None), net()
        how = settings(backend=engine, callbacks=[Raising()], **keeping)
        with pytest.raises(KeyboardInterrupt):
            gg.fit(model, X, Y, tape=tape, **how)
        assert tape.last == PER_EPOCH + 4
        assert bits(tape.at(tape.last).model) == bits(model)
        branch = tape.branch(tape.last)
        assert bits(branch.model) == bits(whole)
        assert dict(branch.history) == dict(history)
    assert last_state(tmp_path)["step"] == PER_EPOCH + 4


@pytest.mark.parametrize("engine", ENGINES)
def test_an_interruption_at_the_end_of_an_epoch_loses_nothing(engine: str) -> None:
    _, whole, _ = recorded(backend=engine)
    tape, last = Tape(every=4), Raising()
    last.every = 2 * PER_EPOCH
    with pytest.raises(KeyboardInterrupt):
        recorded(tape, backend=engine, callbacks=[last])
    assert tape.at(tape.last).history.epochs == 2
    assert bits(tape.branch(tape.last).model) == bits(whole)


@pytest.mark.parametrize("seed", [2, 7, 11, 23])
def test_tapes_of_random_networks_give_back_every_step(seed: int) -> None:
    from .taped import compare

    for engine in ENGINES:
        assert compare(seed, engine) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_one_can_stand_before_the_step_that_failed_and_explain_it(engine: str) -> None:
    def trained(tape: Tape | None, rate: float) -> nn.Module:
        model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
        how: dict[str, Any] = {"optimizer": optim.SGD(rate), "loss": "mse", "epochs": 9}
        gg.fit(model, X, 3 * X[:, :1], tape=tape, **settings(backend=engine, **how))
        return model

    tape = Tape()
    with pytest.raises(NonFiniteError) as raised:
        trained(tape, 30.0)
    assert raised.value.trouble.step == tape.last + 1
    assert bits(tape.at(tape.last).model) == bits(tape.model)
    before, failing = [tape.explain(step) for step in (tape.last - 1, tape.last)]
    assert set(raised.value.trouble.rows) <= set(
        np.flatnonzero(np.isin(X, in_batch(failing))[:, 0])
    )
    assert float(before.recording.arrays[before.recording.loss]) == pytest.approx(
        tape.at(tape.last).loss, rel=1e-5
    )
    calmer = tape.branch(1, optimizer=optim.SGD(1e-3), epochs=1)
    assert calmer.last == PER_EPOCH


def in_batch(found: Explanation) -> Any:
    return np.asarray(found.recording.arguments["x"], np.float32)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_tape_knows_the_run_whatever_becomes_of_its_model(engine: str) -> None:
    base, head = nn.Sequential(nn.Linear(2, 8), nn.Tanh()), nn.Linear(8, 3)
    model, optimizer = nn.Sequential(base, head), optim.SGD(0.1, 0.9)
    model.state_dict()
    for p in base.parameters():
        p.requires_grad = False
    tape = Tape(every=4)
    gg.fit(model, X, Y, tape=tape, **settings(backend=engine, optimizer=optimizer))
    steps = (0, 3, PER_EPOCH, 20)
    wanted = {step: bits(tape.at(step).model) for step in steps}
    for p in base.parameters():
        p.requires_grad = True
    optimizer.lr = 7.0  # type: ignore[misc, assignment, unused-ignore]
    gg.fit(model, X, Y, **settings(backend=engine))
    for p in model.parameters():
        p.assign(gg.tensor(np.full(p.shape, np.nan), dtype="float32"))
    assert {step: bits(tape.at(step).model) for step in steps} == wanted
    assert dict(tape.branch(3).history) == dict(tape.history)
    assert all(np.isnan(p.numpy()).all() for p in model.parameters())


@pytest.mark.parametrize("engine", ENGINES)
def test_a_branch_knows_the_parameters_that_a_group_was_made_of(engine: str) -> None:
    def trained(**more: Any) -> tuple[nn.Module, nn.Module]:
        head = nn.Linear(8, 3)
        model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), head)
        groups = [optim.Group(head.parameters(), weight_decay=0.0)]
        adamw = optim.AdamW(0.05, weight_decay=0.5, groups=groups)
        gg.fit(model, X, Y, **settings(backend=engine, optimizer=adamw, **more))
        return model, head

    tape = Tape(every=4)
    model, _ = trained(tape=tape)
    for step in (0, 7, tape.last):
        assert bits(tape.branch(step).model) == bits(model)


def test_weights_that_are_put_back_all_the_time_take_bounded_memory() -> None:
    class Clipping(Callback):
        every = 1
        stateless = True

        def on_interval(self, run: Run) -> None:
            run.restore({name: np.clip(a, -0.3, 0.3) for name, a in run.state().items()})

    tape, model, _ = recorded(Tape(every=5, megabytes=0.01), callbacks=[Clipping()], epochs=10)
    assert tape.nbytes < 0.02e6
    assert bits(tape.at(tape.last).model) == bits(model)
    assert bits(tape.branch(tape.last - 2).model) == bits(model)
    for call in (tape.at, tape.branch):
        with pytest.raises(ConfigError, match="too often"):
            call(3)
    assert tape.branch(0, optimizer=optim.Adam(0.02)).last == tape.last
    roomy, model, _ = recorded(Tape(every=5), callbacks=[Clipping()], epochs=10)
    assert bits(roomy.branch(3).model) == bits(model)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_branch_goes_on_with_numbers_changed_by_hand(engine: str) -> None:
    tape, recorded_model, _ = recorded(backend=engine)
    before = bits(recorded_model)
    model = tape.at(11).model
    assert bits(tape.branch(11, model=model).model) == before
    weight = next(iter(model.parameters()))
    changed = weight.numpy().copy()
    changed[0] = 0
    weight.assign(gg.tensor(changed))
    edited = bits(model)

    class Editing(Callback):
        every = 11

        def on_interval(self, run: Run) -> None:
            if run.step == 11:
                state = run.state()
                state[str(weight.name)][0] = 0
                run.restore(state)

    branch = tape.branch(11, model=model)
    _, wanted, _ = recorded(backend=engine, callbacks=[Editing()])
    assert bits(branch.at(11).model) == edited == bits(model)
    assert bits(branch.model) == bits(wanted)
    assert (
        bits(recorded_model) == before == bits(tape.branch(11, model=recorded_model).at(11).model)
    )
    (note,) = tape.branch(11, model=plain()).history.notes
    assert "another network" in note or "another kind" in note


@pytest.mark.parametrize("engine", ENGINES)
def test_a_branch_goes_on_with_other_rows(engine: str) -> None:
    tape, _, history = recorded(backend=engine)
    noisy = Y.copy()
    noisy[:10] = (noisy[:10] + 1) % 3
    branch = tape.branch(11, y=noisy)
    assert (branch.first, branch.last, branch.history.notes) == (11, tape.last, [])
    assert bits(branch.at(11).model) == bits(tape.at(11).model)
    assert branch.history["loss"][0] == history["loss"][0]
    assert branch.history["loss"][-1] != history["loss"][-1]
    assert bits(branch.branch(12).model) == bits(branch.model)
    (note,) = tape.branch(11, x=X[:30], y=Y[:30]).history.notes
    assert "another number of rows" in note


def test_the_program_of_a_branch_is_its_run_or_there_is_none() -> None:
    tape, _, _ = recorded()
    assert not tape.branch(11).history.record.unwritable
    for change in ({"optimizer": optim.Adam(0.05)}, {"y": Y[::-1].copy()}, {"seed": 9}):
        assert "another run" in tape.branch(11, **change).history.record.unwritable


def loss_of(found: Explanation) -> float:
    return float(found.recording.arrays[found.recording.loss])


def as_float64() -> nn.Module:
    kind: dict[str, Any] = {"dtype": "float64"}
    return nn.Sequential(
        nn.Linear(2, 16, **kind), nn.BatchNorm1d(16, **kind), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(16, 3, **kind),
    )  # fmt: skip


def filters() -> nn.Module:
    kind: dict[str, Any] = {"dtype": "float64"}
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, **kind), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(3, **kind)
    )


EXPLAINED: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "dropout and batch norm": (as_float64, X, {}),
    "rows with weights": (
        as_float64, X, {"sample_weight": np.linspace(0.1, 2, 60), "class_weight": "balanced"},
    ),
    "all rows": (as_float64, X, {"batch_size": None, "epochs": 9}),
    "some rows held back, in order": (as_float64, X, {"validation_split": 0.3, "shuffle": False}),
    "augmented": (filters, PIXELS.astype("float64"), {"augment": data.Augment(shift=1)}),
    "two inputs, float32": (Two, {"left": X, "right": X[::-1].copy()}, {}),
}  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", EXPLAINED)
def test_a_step_is_explained_as_it_was(name: str, engine: str) -> None:
    """Its batch, its draws: loss and derivatives are those of the run."""
    make, x, more = EXPLAINED[name]
    tape = Tape(every=3)
    gg.fit(make(), x, Y, tape=tape, **settings(backend=engine, optimizer=optim.SGD(0.5), **more))
    single = make is Two
    assert tape.last
    for step in range(tape.last):
        found, before, after = tape.explain(step), tape.at(step), tape.at(step + 1)
        if engine == "numpy" and not single:
            assert loss_of(found) == after.loss
        assert loss_of(found) == pytest.approx(after.loss, rel=1e-6 if single else 1e-14)
        old, new = before.model.state_dict(), after.model.state_dict()
        for path, value in found.recording.graph.inputs.items():
            gradient = found.recording.gradient(value)
            if gradient is not None and path in old:
                moved = (old[path] - new[path]) / before.rate
                np.testing.assert_allclose(moved, gradient, atol=1e-5 if single else 1e-13)


class Always(nn.Dropout):
    """Drops in evaluation, too."""

    def forward(self, x: Any) -> Any:
        was, self.training = self.training, True
        try:
            return super().forward(x)
        finally:
            self.training = was


def test_what_is_drawn_in_evaluation_is_the_same_on_every_engine_and_in_every_replay() -> None:
    """In many chunks of rows, too."""
    kind: dict[str, Any] = {"dtype": "float64"}
    x = np.random.default_rng(0).random((3000, 2))
    found = []
    for engine in ENGINES:
        tape, model = (
            Tape(every=3),
            nn.Sequential(nn.Linear(2, 8, **kind), Always(), nn.Linear(8, 3, **kind)),
        )
        how = settings(backend=engine, batch_size=50, validation_split=0.8)
        history = gg.fit(model, x, np.arange(3000) % 3, tape=tape, **how)
        assert tape.at(tape.last).history["val_loss"] == history["val_loss"]
        assert tape.branch(5).history["val_loss"] == history["val_loss"]
        found.append(history["val_loss"])
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-12)


def test_the_rows_of_a_step_share_its_derivative_by_their_weights() -> None:
    tape, weights = Tape(), np.linspace(0, 2, 60)
    model = nn.Sequential(nn.Linear(2, 4, dtype="float64"), nn.Linear(4, 3, dtype="float64"))
    gg.fit(model, X, Y, tape=tape, **settings(sample_weight=weights, shuffle=False))
    found = tape.explain(0)
    for samples in found.samples().values():
        assert samples.error < 1e-12
        assert not samples.parts[0].any()  # of weight 0


def test_rows_that_were_changed_after_the_run_are_noticed() -> None:
    for change in (X, np.r_[X[1:], X[:1]]):
        x = X.copy()
        tape = Tape(every=100)
        gg.fit(net(), x, Y, tape=tape, **settings())
        x[...] = change + 1
        for step in (2, 2 * PER_EPOCH):
            with pytest.raises(ResumeError, match="rows are others"):
                tape.at(step)


def test_rows_that_an_augmentation_draws_anew_are_noticed() -> None:
    rng = np.random.default_rng(0)

    def noise(rows: Any, numbers: Any, *, seed: int, epoch: int) -> Any:
        return (rows + rng.random(rows.shape)).astype(rows.dtype)

    tape = Tape(every=100)
    gg.fit(net(), X, Y, tape=tape, augment=noise, **settings())
    with pytest.raises(ResumeError, match="augmentation"):
        tape.at(2 * PER_EPOCH)


def test_a_model_that_cannot_be_copied_is_refused_before_the_first_step() -> None:
    model = plain()
    model.lock = threading.Lock()  # type: ignore[assignment, unused-ignore]
    with pytest.raises(UsageError, match="cannot be copied"):
        gg.fit(model, X, Y, tape=Tape(), **settings())


@pytest.mark.parametrize("step", [0, -1, 1.5, True, "3", None, 2**70])
def test_explain_is_told_the_number_of_a_step(step: Any) -> None:
    with pytest.raises(ConfigError, match="step is out of range"):
        gg.explain(net(), X, Y, loss="cross_entropy", step=step)


def test_more_rows_than_there_is_room_for_are_refused_before_they_are_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "available", lambda: 10**6)
    monkeypatch.setattr(room, "NOT_WORTH_ASKING", 1000)
    with pytest.raises(NoMemoryError, match="explain, 5,000 rows"):
        gg.explain(net(), np.zeros((5000, 2)), np.zeros(5000, int), loss="cross_entropy")
    assert len(gg.explain(net(), X[:2], Y[:2], loss="cross_entropy"))


@pytest.mark.parametrize("step", [-1, 28, 1.5, True, "3", None])
def test_a_step_that_was_not_recorded_is_an_error(step: Any) -> None:
    tape, _, _ = recorded()
    with pytest.raises(ConfigError, match="no such step"):
        tape.at(step)


def test_what_cannot_be_meant_is_an_error() -> None:
    tape, _, _ = recorded()
    for wrong in (
        {"every": 0},
        {"most": 1},
        {"megabytes": 0},
        {"megabytes": True},
        {"most": 2.5},
        {"megabytes": 10**400},
        {"megabytes": np.inf},
    ):
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
    with pytest.raises(ConfigError, match="no such rows"):
        tape.explain(3, [[1, 2]])
    with pytest.raises(ConfigError, match="longer already"):
        tape.branch(PER_EPOCH + 1, epochs=1)
    with pytest.raises(ConfigError, match="a beginning and a tape"):
        tape.branch(3, resume="auto")
