"""Settings from files: the same run again, flags first, and every mistake named by file and key."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest

from glassgrad.cli import main
from glassgrad.cli.app import command

QUICK = ("--epochs", "2")


def same_run(one: str, other: str) -> bool:
    names = ("model.glass", "initial.npz", "program.py")
    return all((Path(one) / n).read_bytes() == (Path(other) / n).read_bytes() for n in names)


@pytest.mark.parametrize(
    "words",
    [
        ("digits", "--layers", "8-tanh,dropout:0.1", "--lr", "0.0123456789", "--seed", "7"),
        ("xor", "--optimizer", "adamw", "--batch-size", "3", "--dtype", "float64"),
        ("circles", "--model", "mlp", "--batch-size", "all"),
        ("moons",),
        (
            "moons",
            "--no-guard",
            "gradients,chance",
            "--recompute",
            "--layers",
            "8-tanh,8-tanh,8-tanh,8-tanh",
        ),
    ],
)
def test_saved_settings_and_a_runs_own_give_the_run_again(run: Any, words: tuple[str, ...]) -> None:
    said = run("train", *words, *QUICK, "--save-config", "a.toml", "--out", "first")
    assert said.code == 0, said.err
    assert tomllib.loads(Path("a.toml").read_text())["train"]["epochs"] == 2
    assert run("train", "--config", "a.toml", "--out", "second").code == 0
    assert run("train", "--config", "first/config.toml", "--out", "third").code == 0
    assert same_run("first", "second")
    assert same_run("first", "third")
    assert (
        tomllib.loads(Path("a.toml").read_text())["train"]
        == (tomllib.loads(Path("third/config.toml").read_text())["train"])
    )
    again = tomllib.loads(Path("third/config.toml").read_text())["command"].split()
    assert run(*again[1:], "--out", "fourth").code == 0
    assert same_run("first", "fourth")


def test_flags_go_before_the_file_and_the_file_before_defaults(run: Any) -> None:
    text = '[train]\ndataset = "xor"\nepochs = 3\nlayers = "5-relu"\nseed = 4\n'
    Path("a.toml").write_text(text)
    assert run("train", "--config", "a.toml", "--seed", "9", "--json").code == 0
    config = tomllib.loads(Path("runs/xor-1/config.toml").read_text())
    assert config["train"]["layers"] == "5-relu"
    assert (config["training"]["epochs"], config["training"]["seed"]) == (3, 9)
    assert config["train"]["optimizer"] == "momentum"  # the data set's default
    # Other words in another order, and a flag in the place of a setting that excludes it.
    assert run("train", "nand", *QUICK, "--model", "mlp", "--config", "a.toml").code == 0
    config = tomllib.loads(Path("runs/nand-1/config.toml").read_text())
    assert config["train"]["model"] == "mlp"
    assert "layers" not in config["train"]
    assert config["train"]["seed"] == 4
    assert run("train", "--config", "runs/nand-1/config.toml", "--json").code == 0
    assert same_run("runs/nand-1", "runs/nand-2")


def test_the_environment_goes_before_the_file_and_after_flags(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.toml").write_text('[train]\ndataset = "mnist"\ndata = "/from/file"\n')
    assert "/from/file" in run("train", "--config", "a.toml").err
    monkeypatch.setenv("GLASSGRAD_DATA", "/from/environment")
    assert "/from/environment" in run("train", "--config", "a.toml").err
    assert "/from/flag" in run("train", "--config", "a.toml", "--data", "/from/flag").err


def test_source_reads_the_settings_of_train(run: Any) -> None:
    assert run("train", "spiral", "--layers", "7-tanh", *QUICK).code == 0
    said = run("source", "--config", "runs/spiral-1/config.toml")
    assert "Linear(2, 7)" in said
    whole = run("source", "--whole", "--config", "runs/spiral-1/config.toml")
    assert whole.code == 0
    assert "Linear(2, 7)" in whole


def test_every_setting_of_train_can_stand_in_a_file(run: Any) -> None:
    """Whatever options the command has or gets: no list of them is kept."""
    from glassgrad.cli.config import _settings, read_config

    train = command.commands["train"]
    known = _settings(train)
    declared = {p.name for p in train.params if p.expose_value} - {"out", "as_json"}
    assert {p.name for p in known.values()} == declared
    assert {"dataset", "layers", "epochs", "batch_size", "lr", "seed", "data", "backend"} <= set(
        known
    )
    samples = {"dataset": "xor", "epochs": 3, "batch_size": "all", "lr": 1, "seed": 2**64 - 1}
    Path("a.toml").write_text("[train]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in samples.items() if k != "seed") + f"seed = {2**63 - 1}\n")  # fmt: skip
    with click.Context(command) as parent, click.Context(train, parent=parent) as context:
        found = read_config(Path("a.toml"), context)
    assert found == {
        "dataset": "xor", "epochs": "3", "batch_size": "all", "lr": "1", "seed": str(2**63 - 1),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["list", "flag", "choice", "number"])
def test_other_kinds_of_options_need_no_further_lines(tmp_path: Path, kind: str) -> None:
    from glassgrad.cli.config import CONFIG
    from glassgrad.errors import ConfigError

    seen: list[Any] = []

    @click.group()
    def group() -> None: ...

    @group.command()
    @click.option("--drop", multiple=True)
    @click.option("--fast", is_flag=True)
    @click.option("--task", type=click.Choice(["a", "b"]))
    @click.option("--heads", type=click.IntRange(1, 8))
    @CONFIG
    def train(**given: Any) -> None:
        seen.append(given)

    good = {
        "list": 'drop = ["x", "y,z"]',
        "flag": "fast = true",
        "choice": 'task = "b"',
        "number": "heads = 8",
    }
    bad = {"list": 'drop = "x"', "flag": "fast = 1", "choice": 'task = "c"', "number": "heads = 9"}
    file = tmp_path / "a.toml"
    file.write_text("[train]\n" + good[kind])
    group.main(["train", "--config", str(file)], standalone_mode=False)
    empty = {"drop": (), "fast": False, "task": None, "heads": None}
    wanted = {"drop": ("x", "y,z"), "fast": True, "task": "b", "heads": 8}
    changed = {k: v for k, v in seen[0].items() if v != empty[k]}
    assert len(changed) == 1
    assert changed.items() <= wanted.items()
    file.write_text("[train]\n" + bad[kind])
    with pytest.raises(ConfigError) as caught:
        group.main(["train", "--config", str(file)], standalone_mode=False)
    assert "a.toml, [train]" in caught.value.where


def test_nothing_is_overwritten(run: Any) -> None:
    Path("a.toml").write_text("mine")
    said = run("train", "xor", *QUICK, "--save-config", "a.toml")
    assert said.code == 2
    assert "nothing is overwritten" in said.err
    assert Path("a.toml").read_text() == "mine"
    assert not Path("runs").exists()
    for place in ("no/such/folder.toml", ".", "a.toml/b", "a\0b"):
        said = run("train", "xor", *QUICK, "--save-config", place)
        assert said.code == 2
        assert not Path("runs").exists()


def test_settings_are_saved_before_training(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("glassgrad.cli.train.fit", stop)
    assert run("train", "xor", "--save-config", "a.toml").code == 130
    assert tomllib.loads(Path("a.toml").read_text())["train"]["dataset"] == "xor"


TRAIN = '[train]\ndataset = "xor"\n'
BAD: dict[str, tuple[str, str, str]] = {
    "an unknown key": (TRAIN + "epohcs = 3", "[train] epohcs", "did you mean 'epochs'?"),
    "a key of another command": (TRAIN + 'model_file = "a"', "model_file", "one of dataset"),
    "the flag --out": (TRAIN + 'out = "a"', "[train] out", "one of dataset"),
    "a text for a number": (TRAIN + 'epochs = "3"', "[train] epochs", "without quotes"),
    "a truth value for a number": (TRAIN + "epochs = true", "[train] epochs", "a number"),
    "half a number": (TRAIN + "epochs = 2.5", "[train] epochs", "whole number"),
    "a number out of range": (TRAIN + "epochs = -1", "[train] epochs", "whole number from 0"),
    "a rate of 0": (TRAIN + "lr = 0", "[train] lr", "above 0"),
    "a rate of nan": (TRAIN + "lr = nan", "[train] lr", "above 0"),
    "a rate as a word": (TRAIN + 'lr = "fast"', "[train] lr", "above 0"),
    "a seed below 0": (TRAIN + "seed = -1", "[train] seed", "whole number"),
    "a number for a text": (TRAIN + "layers = 64", "[train] layers", "in quotes"),
    "a zero byte": (TRAIN + 'data = "a\\u0000b"', "[train] data", "zero byte"),
    "a list for a text": (TRAIN + 'layers = ["64-relu"]', "[train] layers", "in quotes"),
    "a date": (TRAIN + "epochs = 2026-01-01", "[train] epochs", "a number"),
    "a table for a number": (TRAIN + "epochs = {a = 1}", "[train] epochs", "a number"),
    "a key twice": (TRAIN + "batch_size = 3\nbatch-size = 4", "batch-size", "twice"),
    "a key at the top": ("epochs = 3", "a.toml, epochs", "[train]"),
    "an unknown table": ("[trian]\nepochs = 3", "[trian]", "did you mean 'train'?"),
    "no TOML": ("epochs: 3", "a.toml", "line 1"),
    "an escape sequence": (TRAIN + '"\\u001b[31m" = 3', "x1b", "one of dataset"),
    "no data set": ("[train]\nepochs = 3", "DATASET", "glassgrad train digits"),
    "an unknown data set": ('[train]\ndataset = "digts"', "digts", "did you mean 'digits'?"),
    "a run of a program": ('[engine]\nbackend = "numpy"\n', "[train]", "engine"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_named_by_file_and_key(run: Any, name: str) -> None:
    content, first, second = BAD[name]
    Path("a.toml").write_text(content)
    said = run("train", "--config", "a.toml")
    assert said.code == 2
    assert said == ""
    assert first in said.err
    assert second in said.err
    assert len(said.err) < 1500
    assert not Path("runs").exists()


def test_a_file_that_is_not_there(run: Any) -> None:
    said = run("train", "--config", "nothing.toml")
    assert said.code == 2
    assert "nothing.toml" in said.err
    assert main(["train", "--config", "a\0b"]) == 2


def test_quiet_shows_no_progress(run: Any) -> None:
    said = run("train", "xor", *QUICK, "--quiet")
    assert said.code == 0
    assert said.err == ""
    assert "runs/xor-1" in said


def test_an_unknown_guard_is_an_error(run: Any) -> None:
    said = run("train", "xor", *QUICK, "--no-guard", "gradient")
    assert said.code == 2
    assert "did you mean 'gradients'" in said.err
    assert "--no-guard" in said.err
