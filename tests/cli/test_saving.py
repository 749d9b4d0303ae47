"""`train --checkpoint-every`, `--resume` and `check-resume`: stopped runs go on from their folder alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad.train import state
from tests.cli.test_process import COMMAND, clean

SPIRAL = ("train", "spiral", "--epochs", "60", "--batch-size", "100", "--backend", "numpy")
SAVED = ("--checkpoint-every", "7")


def files(folder: Path) -> dict[str, Any]:
    """What is the same in two runs that are the same, seconds and dates left out."""
    model = gg.load(folder / "model.glass").state_dict()
    history = (folder / "history.csv").read_text().splitlines()
    return {
        "program": (folder / "program.py").read_text(),
        "model": {name: array.tobytes() for name, array in model.items()},
        "history": [line.rsplit(",", 1)[0] for line in history],
        "initial": {k: v.tobytes() for k, v in np.load(folder / "initial.npz").items()},
    }


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "stopped")],
)
def test_a_signal_ends_with_its_code_and_resume_needs_nothing_else(
    run: Any, number: int, code: int, word: str
) -> None:
    long = ["train", "spiral", "--epochs", "20000", "--batch-size", "100", "--backend", "numpy"]
    process = subprocess.Popen(
        [*COMMAND, *long, "--checkpoint-every", "5"], env=clean(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert "epoch" in process.stderr.readline()
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert f"{word}, and saved: glassgrad train --resume runs/spiral-1 goes on" in said
    assert "Traceback" not in said
    assert sorted(p.name for p in Path("runs/spiral-1").iterdir()) == ["checkpoints", "config.toml"]


def stopped(run: Any, monkeypatch: pytest.MonkeyPatch, after: int, *words: str) -> None:
    """A run of the command that dies after so many steps."""
    import glassgrad.train.checkpoints as module

    usual = module.Keeper.due

    def due(self: Any, step: int) -> bool:
        if step == after:
            raise KeyboardInterrupt
        return usual(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(module.Keeper, "due", due)
        assert run(*words).code == 130


def test_a_run_that_was_stopped_leaves_the_files_of_one_that_was_not(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(*SPIRAL, "--out", "whole").code == 0
    stopped(run, monkeypatch, 100, *SPIRAL, *SAVED, "--out", "parts")
    said = run("train", "--resume", "parts")
    assert said.code == 0
    assert "written to parts/" in said
    assert files(Path("parts")) == files(Path("whole"))


def test_more_epochs_go_on_from_the_end(run: Any) -> None:
    assert run(*SPIRAL, "--out", "whole").code == 0
    assert run(*SPIRAL, "--epochs", "20", *SAVED, "--out", "parts").code == 0
    assert run("train", "--resume", "parts", "--epochs", "60").code == 0
    assert files(Path("parts")) == files(Path("whole"))
    assert run("train", "--resume", "parts").code == 0  # with 60 epochs, as it has them now


def test_tables_and_texts_go_on_too(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = "".join(f"{a:.3f},{b:.3f},{a + b:.3f}\n" for a, b in rng.normal(size=(80, 2)))
    Path("t.csv").write_text("a,b,c\n" + rows)
    Path("t.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 20)
    table = ("train", "t.csv", "--target", "c", "--epochs", "4", "--backend", "numpy")
    text = (
        "train", "t.txt", "--model", "lstm", "--width", "8", "--context", "8", "--epochs", "2",
        "--backend", "numpy",
    )  # fmt: skip
    for name, words in (("table", table), ("text", text)):
        assert run(*words, "--out", f"{name}-whole").code == 0
        stopped(run, monkeypatch, 5, *words, *SAVED, "--out", name)
        assert run("train", "--resume", name).code == 0
        assert files(Path(name)) == files(Path(f"{name}-whole"))


def test_what_cannot_be_meant_is_said(run: Any) -> None:
    assert run(*SPIRAL, "--epochs", "3", *SAVED, "--out", "a").code == 0
    for words, message in (
        (("train", "--resume", "nowhere"), "there is no such run"),
        (("train", "--resume", "a", "--out", "b"), "--out and --resume"),
        (("train", "--resume", "a", "--config", "a/config.toml"), "settings come from two places"),
        (("train", "--resume", "a", "--lr", "0.5"), "settings.optimizer.lr: was"),
        (("train", "--resume", "a", "--epochs", "1"), "longer already"),
        ((*SPIRAL, "--checkpoint-every", "0"), "--checkpoint-every is out of range"),
        ((*SPIRAL, "--checkpoint-every", "5m"), "--checkpoint-every is out of range"),
        ((*SPIRAL, *SAVED, "--out", "a"), "not empty"),
    ):
        said = run(*words)
        assert said.code == 2, words
        assert message in said.err, said.err


def test_json_says_where_the_run_is(run: Any) -> None:
    said = run(*SPIRAL, "--epochs", "3", *SAVED, "--json")
    assert json.loads(said)["run"] == "runs/spiral-1"
    again = run("train", "--resume", "runs/spiral-1", "--json")
    assert json.loads(again)["epochs"] == 3


def test_check_resume_compares_runs_in_parts_with_one_in_one_go(run: Any) -> None:
    words = ("check-resume", "spiral", "--batch-size", "30", "--layers", "8-relu,dropout:0.1")
    said = run(*words)
    assert said.code == 0
    assert "13 steps in one go and in two" in said
    assert said.count("the same bits\n") == 6
    assert list(Path.cwd().iterdir()) == []
    assert "cannot be stopped" in run("check-resume", "xor", "--epochs", "1")


def test_check_resume_notices_what_is_not_the_same(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = state.put

    def forgets(trainer: Any, found: Any) -> None:
        usual(trainer, found)
        trainer.moments["grad_mean"][:] = 0

    monkeypatch.setattr("glassgrad.train.checkpoints.put", forgets)
    said = run("check-resume", "spiral", "--optimizer", "adam", "--backend", "numpy")
    assert said.code == 1
    assert "Stopping changes this run" in said
    assert "differs in" in said
    assert "weights" in said


def test_the_module_runs_as_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "glassgrad", "check-resume", "and"],
        capture_output=True, text=True, check=False, env=clean(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
