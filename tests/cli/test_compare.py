"""`glassgrad compare`: runs that differ in the seed together, the best in sight, files never replaced."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any
from xml.etree import ElementTree as ET

import pytest


def last(folder: str, column: str) -> float:
    rows = list(csv.DictReader(Path(folder, "history.csv").read_text().splitlines()))
    return float(rows[-1][column])


@pytest.fixture
def runs(run: Any) -> list[str]:
    for seed in ("0", "1", "2"):
        assert run("train", "xor", "--epochs", "5", "--seed", seed, "--quiet").code == 0
    assert run("train", "xor", "--epochs", "5", "--lr", "0.01", "--quiet").code == 0
    return [f"runs/xor-{n}" for n in (1, 2, 3, 4)]


def test_seeds_are_taken_together(run: Any, runs: list[str]) -> None:
    said = run("compare", *runs, "--json")
    assert said.code == 0
    assert said.err == ""
    found = json.loads(said)
    assert found["differ"] == {"lr": [0.5, 0.01]}
    first, second = found["groups"]
    assert first["seeds"] == [0, 1, 2]
    assert first["runs"] == runs[:3]
    assert second["runs"] == runs[3:]
    for column in ("loss", "accuracy"):
        values = [last(folder, column) for folder in runs[:3]]
        assert first["last"][column]["mean"] == pytest.approx(mean(values), rel=1e-12)
        assert first["last"][column]["deviation"] == pytest.approx(stdev(values), rel=1e-12)
        assert second["last"][column] == {"mean": last(runs[3], column), "deviation": None}


def test_the_tables(run: Any, runs: list[str]) -> None:
    said = run("compare", *runs)
    assert said.code == 0
    blocks = said.split("\n\n")
    assert [b.strip().split("\n")[0] for b in blocks] == [
        "settings that differ",
        "loss",
        "accuracy",
    ]
    assert "xor-1 +2  0.5" in blocks[0]
    assert "±" in blocks[1].split("\n")[2]
    assert "±" not in blocks[1].split("\n")[3]


def test_the_picture_is_a_new_file(run: Any, runs: list[str]) -> None:
    said = run("compare", *runs, "--svg", "a.svg")
    assert said.code == 0
    assert "a.svg" in said.err
    before = Path("a.svg").read_bytes()
    ET.fromstring(before)
    again = run("compare", *runs, "--svg", "a.svg")
    assert again.code == 2
    assert "nothing is overwritten" in again.err
    assert again == ""
    assert Path("a.svg").read_bytes() == before


def test_what_is_no_run(run: Any, runs: list[str]) -> None:
    said = run("compare")
    assert said.code == 2
    assert "RUN..." in said.err
    said = run("compare", runs[0], "runs/xor-9")
    assert (said.code, said) == (2, "")
    assert "no such run" in said.err
    Path(runs[1], "history.csv").write_text("epoch,loss\n1,\x1b[31m\n")
    said = run("compare", *runs)
    assert said.code == 2
    assert "runs/xor-2/history.csv, line 2" in said.err
    Path(runs[1], "config.toml").write_text("epochs: 3")
    assert "config.toml" in run("compare", *runs).err


def test_names_from_files_are_only_shown(run: Any, runs: list[str]) -> None:
    folder = Path(runs[0])
    text = (folder / "config.toml").read_text()
    evil = text.replace(
        'layers = "4-tanh"', 'layers = "\\u001b[31m\\u202e"\n"\\u001b]0;x\\u0007" = 3'
    )
    assert evil != text
    (folder / "config.toml").write_text(evil)
    said = run("compare", *runs)  # the fixture refuses control characters
    assert said.code == 0
    assert "\\x1b[31m" in said
