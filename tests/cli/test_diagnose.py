"""`glassgrad diagnose`: takes what train takes, keeps nothing, and says what it found by its exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., Any]
_SHORT = ("spiral", "--layers", "16-relu")


def test_a_sound_training_is_said_to_be_healthy(run: Command) -> None:
    said = run("diagnose", *_SHORT)
    assert said.code == 0
    assert "healthy: no fault found" in said
    assert "linear1.weight" in said


def test_a_finding_is_told_with_its_evidence_and_what_its_fix_did(run: Command) -> None:
    said = run("diagnose", *_SHORT, "--lr", "1e-6")
    assert said.code == 1
    assert "1. rate too low: optimizer" in said
    assert "Evidence: the loss goes from" in said
    assert "Fix: Raise the learning rate to about" in said
    assert not list(Path.cwd().iterdir())  # nothing is kept


def test_machines_get_the_same(run: Command) -> None:
    said = run("diagnose", *_SHORT, "--lr", "1e5", "--optimizer", "sgd", "--json", "--steps", "60")
    found = json.loads(said)
    assert said.code == 1
    assert not found["healthy"]
    assert found["steps"] <= 60
    assert found["findings"][0]["name"] == "rate too high"
    assert found["findings"][0]["offered"] is True
    assert "NaN" not in said
    assert "Infinity" not in said


def test_the_settings_of_a_run_are_taken_from_its_folder(run: Command) -> None:
    settings = ("--epochs", "1", "--lr", "1e-6", "--out", "run")
    assert run("train", *_SHORT, *settings).code == 0
    said = run("diagnose", "spiral", "--config", "run/config.toml", "--json")
    assert [f["name"] for f in json.loads(said)["findings"]] == ["rate too low"]


def test_a_table_and_a_text_are_taken_as_train_takes_them(run: Command) -> None:
    rows = "".join(f"{i % 7},{i % 5},{i % 7 + 2 * (i % 5)}\n" for i in range(80))
    Path("table.csv").write_text("a,b,c\n" + rows, "utf-8")
    said = run("diagnose", "table.csv", "--target", "c", "--steps", "30", "--json")
    assert json.loads(said)["steps"] == 30
    Path("text.txt").write_text("to be or not to be\n" * 60, "utf-8")
    small = ("--model", "lstm", "--context", "8", "--width", "8")
    said = run("diagnose", "text.txt", *small, "--steps", "5", "--json")
    assert json.loads(said)["steps"] == 5


def test_columns_of_a_table_have_their_names(run: Command) -> None:
    kinds = "xyz"
    rows = "".join(
        f"{i * 7 % 11},{kinds[i % 3]},{(i * i % 97) * 3},{i * i % 97}\n" for i in range(200)
    )
    Path("table.csv").write_text("a,kind,tax\x1b,price\n" + rows, "utf-8")
    said = run("diagnose", "table.csv", "--target", "price", "--steps", "30", "--json")
    (found, *_) = json.loads(said)["findings"]
    assert (found["name"], found["where"]) == ("leaking column", r"column 'tax\x1b'")
    assert r"from column 'tax\x1b' alone" in found["evidence"]


def test_mistakes_are_those_of_train(run: Command) -> None:
    assert run("diagnose", "nowhere").code == 2
    assert run("diagnose", "spiral", "--steps", "0").code == 2
    assert run("diagnose", "spiral", "--seconds", "-1").code == 2
    assert run("diagnose", "spiral", "--layers", "16-what").code == 2
