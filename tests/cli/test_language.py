"""`glassgrad train FILE.txt` and `glassgrad sample`: a text is learnt, written down and continued."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn

TEXT = "to be or not to be, that is the question:\n" * 30
QUICK = ("--context", "8", "--width", "8", "--depth", "1", "--epochs", "2")


@pytest.fixture(autouse=True)
def play(run: Any) -> None:
    Path("Play.txt").write_text(TEXT)  # where commands run


@pytest.mark.parametrize("model", ["gpt", "lstm"])
def test_a_run_says_what_it_does_keeps_all_settings_and_can_be_done_again(
    run: Any, model: str
) -> None:
    heads = ("--heads", "2") * (model == "gpt")
    said = run("train", "Play.txt", "--model", model, *QUICK, *heads)
    assert said.code == 0, said.err
    for part in (
        "1,260 characters", "16 different", "windows of 8", "width=8", "parameters", "2 epochs",
        "batches of 16", "Adam(", "cross-entropy", "seed 0", "validation", "runs/play-1",
        "glassgrad sample", "glassgrad explain runs/play-1 Play.txt --row 0",
    ):  # fmt: skip
        assert part in said, part
    assert "epoch 1/2" in said.err
    place = Path("runs/play-1")
    config = tomllib.loads((place / "config.toml").read_text())
    settings = config["train"]
    assert (settings["model"], settings["context"], settings["width"]) == (model, 8, 8)
    assert config["result"]["validation_loss"] > 0
    assert run(*config["command"].split()[1:]).code == 0
    for file in ("model.glass", "program.py", "initial.npz"):
        assert (place / file).read_bytes() == Path("runs/play-2", file).read_bytes()
    found = gg.load(place / "model.glass")
    assert found.labels.task == "text"
    assert "".join(found.labels.classes) == "".join(sorted(set(TEXT)))


def test_settings_of_a_run_are_a_configuration_for_the_next(run: Any) -> None:
    assert run("train", "Play.txt", "--model", "lstm", *QUICK, "--lr", "0.02").code == 0
    assert run("train", "Play.txt", "--config", "runs/play-1/config.toml").code == 0
    first, second = (Path(f"runs/play-{i}/model.glass").read_bytes() for i in (1, 2))
    assert first == second


@pytest.mark.usefixtures("numpy_engine")
@pytest.mark.parametrize("model", ["gpt", "lstm"])
def test_the_program_of_a_run_gives_its_parameters_bit_for_bit(run: Any, model: str) -> None:
    assert run("train", "Play.txt", "--model", model, *QUICK).code == 0
    done = subprocess.run(
        [sys.executable, "runs/play-1/program.py"], check=True, capture_output=True, text=True
    )
    assert "epoch" in done.stdout
    replayed = np.load("runs/play-1/replayed.npz")
    for name, value in gg.load("runs/play-1/model.glass").state_dict().items():
        np.testing.assert_array_equal(replayed[name], value)


def test_sample_continues_a_prompt_and_the_seed_decides_how(run: Any) -> None:
    found = json.loads(run("train", "Play.txt", "--json", *QUICK))
    assert found["epochs"] == 2
    settings = ("--length", "30", "--temperature", "0.7", "--top-k", "5")
    first = run("sample", found["run"], "--prompt", "to be", *settings, "--seed", "3")
    assert first.code == 0
    assert first.startswith("to be")
    assert len(first) == 5 + 30 + 1
    assert run("sample", found["model"], "--prompt", "to be", *settings, "--seed", "3") == first
    assert run("sample", found["model"], "--prompt", "to be", *settings, "--seed", "4") != first
    assert len(run("sample", found["model"], "--length", "9")) == 1 + 9 + 1


def test_characters_that_command_a_terminal_are_shown_not_sent(run: Any) -> None:
    Path("loud.txt").write_text("\x1b[31m\x07" * 40)
    found = json.loads(run("train", "loud.txt", "--json", *QUICK))
    said = run("sample", found["run"], "--prompt", "\x1b", "--length", "20")
    assert said.code == 0
    assert "\x1b" not in said
    assert "\\x1b" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("train", "none.txt"), "cannot be read"),
        (("train", "Play.txt", "--model", "mlp"), "unknown character model"),
        (("train", "Play.txt", "--layers", "64-relu"), "--layers does not belong to --model gpt"),
        (("train", "Play.txt", "--model", "lstm", "--heads", "2"), "--heads does not belong"),
        (("train", "Play.txt", "--heads", "3"), "do not divide the width"),
        (("train", "Play.txt", "--context", "0"), "--context is out of range"),
        (("train", "Play.txt", "--context", "500"), "too short to validate"),
        (("train", "Play.txt", "--optimizer", "adm"), "did you mean 'adam'"),
        (("train", "digits", "--context", "8"), "--context belongs to character models"),
        (("sample", "nothing"), "no such model"),
        (("sample", "other.glass"), "not a character model"),
        (("sample", "other.glass", "--temperature", "0"), "--temperature is out of range"),
        (("sample", "other.glass", "--top-k", "x"), "--top-k is out of range"),
    ],
)
def test_what_cannot_be_meant_is_an_error_with_code_2(
    run: Any, words: tuple[str, ...], says: str
) -> None:
    gg.save(nn.Linear(2, 3), "other.glass", x=(2,))
    said = run(*words)
    assert said.code == 2
    assert says in said.err


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_a_character_model_is_sent_to_sample(run: Any, verb: str) -> None:
    assert run("train", "Play.txt", "--model", "lstm", *QUICK).code == 0
    said = run(verb, "runs/play-1", "digits")
    assert said.code == 2
    assert "this is a character model" in said.err
    assert "glassgrad sample runs/play-1/model.glass" in said.err


def test_another_optimiser_has_its_own_rate(run: Any) -> None:
    said = run("train", "Play.txt", *QUICK, "--optimizer", "rmsprop")
    assert said.code == 0, said.err
    assert "RMSprop(0.01)" in said
