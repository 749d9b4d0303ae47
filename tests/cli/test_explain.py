"""`glassgrad explain`: a row through a saved model, in every format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.cli import main
from glassgrad.files import Labels


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
    made(gg.tensor(np.zeros((1, 1, 8, 8), np.float32)))
    classes = tuple(map(str, range(10)))
    labels = Labels(classes=classes, task="classification", loss="cross_entropy", dataset="digits")
    file = tmp_path_factory.mktemp("explain") / "model.glass"
    gg.save(made, file, labels=labels)
    return file


def test_a_row_of_a_data_set_is_explained(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    follow = ["--follow", "linear1_weight[20, 3]"]
    assert main(["explain", str(model), "digits", "--row", "17", *follow]) == 0
    out = capsys.readouterr().out
    assert out.startswith("One step of ")
    assert "linear2  Linear(8, 10)" in out
    assert "together: d loss / d linear1_weight[20, 3]" in out


@pytest.mark.parametrize(
    ("ending", "begins"),
    [("html", "<!DOCTYPE html>"), ("md", "# One step"), ("tex", "\\documentclass"), ("txt", "One")],
)
def test_a_new_file_is_written_in_the_format_of_its_name(
    model: Path, tmp_path: Path, ending: str, begins: str
) -> None:
    out = tmp_path / f"row.{ending}"
    assert main(["explain", str(model), "digits", "--out", str(out)]) == 0
    assert out.read_text(encoding="utf-8").startswith(begins)
    before = out.read_bytes()
    assert main(["explain", str(model), "digits", "--row", "1", "--out", str(out)]) == 2
    assert out.read_bytes() == before


def test_rows_without_an_answer_need_one(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.csv"
    np.savetxt(rows, np.arange(64.0).reshape(1, 64) / 64, delimiter=",")
    assert main(["explain", str(model), str(rows)]) == 2
    assert "--answer" in capsys.readouterr().err
    assert main(["explain", str(model), str(rows), "--answer", "7"]) == 0
    assert "y (1) = [7]" in capsys.readouterr().out


@pytest.mark.parametrize(
    "given",
    [["--row", "999999"], ["--format", "pdf"], ["--follow", "x; y"], ["--follow", "nothing[0]"],
     ["--follow", "linear1_weight[99,0]"], ["--answer", "eleven"], ["--row", "-1"]],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_in_four_parts(
    model: Path, given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(model), "digits", *given]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "received:" in said
