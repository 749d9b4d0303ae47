"""Names that would be code, markup, a formula or an escape anywhere else are mere text."""

from __future__ import annotations

import ast
import csv
import io
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad.backends.numpy_source.check import check_program
from glassgrad.cli import main
from glassgrad.errors import ConfigError
from glassgrad.train import CSVLogger
from tests.hostile_names import MARKUP, SIX, hostile_names
from tests.inert import CONTROL, inert_cell, inert_html, inert_line, inert_svg, wrong


def test_a_share_of_the_hostile_names_is_mere_text() -> None:
    names = [*MARKUP, *hostile_names(400, seed=3)]
    for i in range(0, len(names), 100):
        assert wrong(names[i : i + 100]) == []


@pytest.mark.slow
def test_two_thousand_names_are_mere_text() -> None:
    for seed in range(20):
        assert wrong(hostile_names(100, seed=seed + 100)) == []


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Columns and classes with the six names, of which one can be learnt."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    with Path("a [red] <b>.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*SIX, "=target()"])
        for i in range(90):
            writer.writerow([i % 7, *[SIX[int(rng.integers(6))] for _ in SIX[1:]], SIX[i % 6]])
    return Path("a [red] <b>.csv")


def command(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(words) == 0
    said = capsys.readouterr()
    assert not CONTROL.search(said.out + said.err)
    return said.out


def test_six_columns_and_classes_come_out_as_text(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("train", str(table), "--target", "=target()", "--epochs", "2", "--batch-size", "32")
    command(capsys, *words, "--out", "one")
    command(capsys, *words, "--out", "two", "--seed", "1")
    for shown in ("show", "evaluate"):
        rows = [str(table)] if shown == "evaluate" else []
        text = command(capsys, shown, "one", *rows)
        assert all(map(inert_line, text.split("\n")))
    cells = list(csv.reader(io.StringIO(command(capsys, "predict", "one", str(table)))))
    assert len(cells) == 91
    assert all(inert_cell(cell) for row in cells for cell in row)
    assert {"'=1+1", "[red]", "<img src=x onerror=alert(1)>"} <= {row[0] for row in cells}
    command(capsys, "compare", "one", "two", "--svg", "both.svg")
    assert inert_svg(Path("both.svg").read_text("utf-8"))
    assert inert_html(gg.compare(["one", "two"])._repr_html_())
    assert inert_svg(Path("one/curves.svg").read_text("utf-8"))
    history = list(csv.reader(io.StringIO(Path("one/history.csv").read_text("utf-8"))))
    assert all(inert_cell(cell) for row in history for cell in row)
    settings = Path("one/config.toml").read_text("utf-8")
    assert not CONTROL.search(settings)
    assert tomllib.loads(settings)["train"]["dataset"] == str(table)
    program = Path("one/program.py").read_text("utf-8")
    assert not CONTROL.search(program)
    check_program(ast.parse(program), whole=True)
    done = subprocess.run(
        [sys.executable, "-I", "program.py"], cwd="one", capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    model = gg.load("one/model.glass")
    assert set(model.labels.classes) == set(SIX)


def _called(name: str) -> Any:
    def metric(prediction: Any, target: Any) -> Any:
        return abs(prediction - target).mean()

    metric.__name__ = name
    return metric


@pytest.mark.parametrize("name", ["=1+1", "+1", "-x", "@SUM(A1)", "\uff1d1+1", "\tx", "\x1b[31m"])
def test_a_metric_that_a_spreadsheet_would_compute_is_refused(name: str) -> None:
    x = np.zeros((4, 1), np.float32)
    with pytest.raises(ConfigError, match="cannot be called this in a table"):
        gg.fit(gg.nn.Linear(1), x, x, loss="mse", optimizer="sgd", metrics=_called(name))


def test_a_log_and_a_history_of_markup_are_text(tmp_path: Path) -> None:
    x = np.zeros((4, 1), np.float32)
    history = gg.fit(
        gg.nn.Linear(1), x, x, loss="mse", optimizer="sgd", epochs=2, verbose=False,
        metrics=(_called("<img src=x onerror=alert(1)>"), _called("[red]")), callbacks=[CSVLogger(tmp_path / "log.csv")],
    )  # fmt: skip
    for text in (history.to_csv(), (tmp_path / "log.csv").read_text("utf-8")):
        rows = list(csv.reader(io.StringIO(text), strict=True))
        assert all(inert_cell(cell) for row in rows for cell in row)
        assert "<img src=x onerror=alert(1)>" in rows[0]
