"""When checkpoints are taken, what happens where they cannot be, and signals that ask for an end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glassgrad import errors, train
from glassgrad.errors import CheckpointError, CheckpointWarning, TrainingStopped
from glassgrad.files.checkpoint import Store
from glassgrad.files.disk import Disk
from glassgrad.train import checkpoints

from .resuming import ENGINES, STEPS, Case, Interrupt, last_state, same_numbers

pytestmark = pytest.mark.parametrize("backend", ENGINES)


class Full(Disk):
    """A disk that is full at some of the files."""

    def __init__(self) -> None:
        self.files = 0
        self.broken: range = range(0)

    def create(self, file: Path) -> int:
        self.files += 1
        if self.files in self.broken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().create(file)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Full:
    disk = Full()
    monkeypatch.setattr(checkpoints, "DISK", disk)
    return disk


@pytest.fixture
def handlers() -> Iterator[dict[int, Any]]:
    """Those of a program in a terminal; and they are back afterwards."""
    usual: dict[int, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield dict(usual)
    after = {number: signal.getsignal(number) for number in usual}
    for number, handler in before.items():
        signal.signal(number, handler)
    assert after == usual


def steps(folder: Path) -> list[int]:
    with Store(folder) as store:
        return store.steps()


def test_the_last_ones_are_kept_and_the_end_is_one_of_them(backend: str, tmp_path: Path) -> None:
    Case().run(backend=backend, checkpoint=tmp_path, checkpoint_every=5, keep=2)
    assert steps(tmp_path) == [25, STEPS]


def test_a_run_has_a_checkpoint_from_the_beginning(backend: str, tmp_path: Path) -> None:
    Case().run(backend=backend, checkpoint=tmp_path, checkpoint_every=100)
    assert steps(tmp_path) == [0, STEPS]


def test_where_the_disk_is_full_training_goes_on_and_says_so(
    backend: str, tmp_path: Path, full: Full
) -> None:
    full.broken = range(4, 7)
    with pytest.warns(CheckpointWarning, match="(?s)training goes on: .*No space left"):
        found = Case().run(backend=backend, checkpoint=tmp_path, checkpoint_every=4)
    assert same_numbers(found, Case().run(backend=backend))
    assert last_state(tmp_path)["step"] == STEPS


def test_where_the_disk_is_full_training_stops_if_that_was_asked_for(
    backend: str, tmp_path: Path, full: Full
) -> None:
    full.broken = range(10, 1000)
    settings = {"backend": backend, "checkpoint": tmp_path, "checkpoint_every": 4}
    with pytest.raises(CheckpointError, match="No space left"):
        Case().run(checkpoint_failure="raise", **settings)
    full.broken = range(0)
    assert last_state(tmp_path)["step"] in (4, 8)
    assert same_numbers(Case().run(resume="must", **settings), Case().run(backend=backend))


def test_a_run_that_is_being_written_is_not_written_twice(backend: str, tmp_path: Path) -> None:
    class Again(train.Callback):
        stateless = True

        def on_begin(self, run: train.Run) -> None:
            with pytest.raises(CheckpointError, match="somebody else writes"):
                Case().run(checkpoint=tmp_path, resume="auto")

    Case().run(Again(), backend=backend, checkpoint=tmp_path)
    assert steps(tmp_path)[-1] == STEPS


def test_an_error_leaves_the_folder_to_whoever_comes_next(backend: str, tmp_path: Path) -> None:
    class Fail(train.Callback):
        every = 5
        stateless = True

        def on_interval(self, run: train.Run) -> None:
            raise RuntimeError

    settings = {"backend": backend, "checkpoint": tmp_path, "checkpoint_every": 2}
    with pytest.raises(RuntimeError):
        Case().run(Fail(), **settings)
    assert steps(tmp_path)[-1] == 4
    assert same_numbers(Case().run(resume="must", **settings), Case().run(backend=backend))


def test_a_damaged_one_is_passed_over(backend: str, tmp_path: Path) -> None:
    settings = {"backend": backend, "checkpoint": tmp_path, "checkpoint_every": 6}
    with pytest.raises(RuntimeError):
        Case().run(train.LambdaCallback(on_interval=_fail, stateless=True, every=13), **settings)
    damaged = tmp_path / "step-00000012" / "state.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.warns(CheckpointWarning, match="step 6 is used"):
        found = Case().run(resume="auto", **settings)
    assert same_numbers(found, Case().run(backend=backend))


def _fail(run: train.Run) -> None:
    if run.step:
        raise RuntimeError


# -- signals -----------------------------------------------------------------------------------


def test_sigterm_ends_with_a_checkpoint_and_an_error_that_names_it(
    backend: str, tmp_path: Path, handlers: Any
) -> None:
    settings = {"backend": backend, "checkpoint": tmp_path}
    with pytest.raises(TrainingStopped) as caught:
        Case().run(Interrupt(5, signal.SIGTERM), **settings)
    assert caught.value.checkpoint == tmp_path / "step-00000005"
    assert caught.value.checkpoint.is_dir()
    assert caught.value.exit_code == 143
    found = Case().run(resume="must", **settings)
    assert same_numbers(found, Case().run(backend=backend))


def test_control_c_ends_with_a_checkpoint(backend: str, tmp_path: Path, handlers: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        Case().run(Interrupt(5), backend=backend, checkpoint=tmp_path)
    assert steps(tmp_path) == [0, 5]


def test_a_signal_after_the_last_step_finds_everything_saved(
    backend: str, tmp_path: Path, handlers: Any
) -> None:
    last = train.LambdaCallback(
        on_end=lambda run: os.kill(os.getpid(), signal.SIGTERM), stateless=True
    )
    with pytest.raises(TrainingStopped) as caught:
        Case().run(last, backend=backend, checkpoint=tmp_path)
    assert caught.value.checkpoint == tmp_path / f"step-{STEPS:08d}"


def test_handlers_of_others_stay(backend: str, tmp_path: Path, handlers: Any) -> None:
    came: list[int] = []
    for number in handlers:
        signal.signal(number, lambda n, _: came.append(n))
    ours = {number: signal.getsignal(number) for number in handlers}
    found = Case().run(
        Interrupt(3), Interrupt(7, signal.SIGTERM), backend=backend, checkpoint=tmp_path
    )
    assert came == [signal.SIGINT, signal.SIGTERM]
    assert {number: signal.getsignal(number) for number in handlers} == ours
    assert same_numbers(found, Case().run(backend=backend))
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_outside_the_main_thread_no_handler_is_set(
    backend: str, tmp_path: Path, handlers: Any
) -> None:
    seen: list[Any] = []
    look = train.LambdaCallback(
        on_begin=lambda run: seen.extend(map(signal.getsignal, handlers)), stateless=True
    )
    thread = threading.Thread(target=lambda: Case().run(look, backend=backend, checkpoint=tmp_path))
    thread.start()
    thread.join()
    assert seen == [*handlers.values()]
    assert steps(tmp_path)[-1] == STEPS


def test_without_checkpoints_sigterm_is_the_systems(backend: str, handlers: Any) -> None:
    seen: list[Any] = []
    look = train.LambdaCallback(on_begin=lambda run: seen.append(signal.getsignal(signal.SIGTERM)))
    Case().run(look, backend=backend)
    assert seen == [signal.SIG_DFL]


_TWICE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from tests.train.resuming import Case
from glassgrad import train

def twice(run):
    if run.step:
        os.kill(os.getpid(), NUMBER)
        print("once", flush=True)
        os.kill(os.getpid(), NUMBER)
        for _ in range(10):
            pass
        print("still there", flush=True)

Case().run(
    train.LambdaCallback(on_interval=twice, every=3, stateless=True),
    checkpoint=sys.argv[1], backend=sys.argv[2],
)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_it_at_once(backend: str, tmp_path: Path, number: int) -> None:
    done = subprocess.run(
        [
            sys.executable, "-c", _TWICE.replace("NUMBER", str(int(number))),
            str(tmp_path / "run"), backend,
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout == "once\n", done.stderr
    assert done.returncode == -number
    assert errors.TrainingStopped.__name__ not in done.stderr
