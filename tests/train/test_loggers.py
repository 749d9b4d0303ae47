"""Logs: every number reads back as it was, each line is there at once, nothing is overwritten."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.errors import ConfigError, GlassgradError, UsageError
from glassgrad.train import (
    CSVLogger,
    History,
    JSONLogger,
    LambdaCallback,
    LearningRateScheduler,
    Run,
)

R = np.random.default_rng(0)
X = R.normal(size=(24, 3)).astype(np.float32)
Y = R.integers(0, 2, 24)


def fit(callbacks: Any, model: nn.Module | None = None, **changes: Any) -> History:
    how: dict[str, Any] = {
        "loss": "cross_entropy", "optimizer": optim.SGD(0.1), "epochs": 4, "batch_size": 8, "verbose": False,
        "validation_split": 0.25, **changes,
    }  # fmt: skip
    return gg.fit(model or nn.Linear(2), X, Y, callbacks=callbacks, **how)


def both(folder: Path) -> list[Any]:
    return [CSVLogger(folder / "log.csv"), JSONLogger(folder / "log.jsonl")]


def test_every_epoch_reads_back(tmp_path: Path) -> None:
    halve = LearningRateScheduler(lambda epoch: 0.1 * 0.5**epoch)
    history = fit([*both(tmp_path), halve])
    rates = [0.1, 0.05, 0.025, 0.0125]
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert list(rows[0]) == [
        "epoch",
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "learning_rate",
    ]
    assert [int(r["epoch"]) for r in rows] == [1, 2, 3, 4]
    objects = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    for name in history:
        assert [float(r[name]) for r in rows] == history[name]
        assert [o[name] for o in objects] == history[name]
    assert [float(r["learning_rate"]) for r in rows] == rates
    assert [o["learning_rate"] for o in objects] == rates
    assert all(type(v) in (int, float) for o in objects for v in o.values())


def test_a_line_is_there_as_soon_as_its_epoch_is_over(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def count(run: Run) -> None:
        texts = [(tmp_path / name).read_text() for name in ("log.csv", "log.jsonl")]
        seen.append((texts[0].count("\n"), texts[1].count("\n")))

    fit([*both(tmp_path), LambdaCallback(on_interval=count)])
    assert seen == [(2, 1), (3, 2), (4, 3), (5, 4)]


def test_an_error_elsewhere_leaves_whole_lines_and_the_last_weights(tmp_path: Path) -> None:
    states: list[dict[str, Any]] = []

    def fail(run: Run) -> None:
        states.append(run.state())
        if run.epoch == 3:
            raise RuntimeError("mine")

    model = nn.Linear(2)
    with pytest.raises(RuntimeError, match="mine"):
        fit([*both(tmp_path), LambdaCallback(on_interval=fail)], model)
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 4
    assert [json.loads(s)["epoch"] for s in (tmp_path / "log.jsonl").read_text().splitlines()] == [
        1,
        2,
        3,
    ]
    assert all((model.state_dict()[k] == v).all() for k, v in states[-1].items())


@pytest.mark.parametrize("kind", [CSVLogger, JSONLogger])
def test_nothing_is_overwritten_and_append_goes_on(tmp_path: Path, kind: Any) -> None:
    path = tmp_path / "log"
    fit(kind(path), epochs=2)
    before = path.read_text()
    with pytest.raises(UsageError, match="a file of this name") as caught:
        fit(kind(path))
    assert "append=True" in str(caught.value)
    assert path.read_text() == before
    fit(kind(path, append=True), epochs=1)
    after = path.read_text()
    assert after.startswith(before)
    assert len(after.splitlines()) == len(before.splitlines()) + 1
    path.write_text(before + '{"epo')  # killed in the middle of a line
    fit(kind(path, append=True), epochs=1)
    lines = path.read_text().splitlines()
    assert lines[-2] == '{"epo'
    assert lines[-1].startswith(("1,", '{"epoch": 1,'))
    (tmp_path / "empty").touch()
    fit(kind(tmp_path / "empty"), epochs=1)
    assert (tmp_path / "empty").read_text() == before.replace(before.splitlines()[-1] + "\n", "", 1)


def test_append_to_other_columns_is_refused(tmp_path: Path) -> None:
    fit(CSVLogger(tmp_path / "log"))
    before = (tmp_path / "log").read_text()
    with pytest.raises(ConfigError, match="other columns"):
        fit(CSVLogger(tmp_path / "log", append=True), validation_split=0.0)
    with pytest.raises(ConfigError, match="other columns"):
        fit(CSVLogger(tmp_path / "log", separator=";", append=True))
    assert (tmp_path / "log").read_text() == before


@pytest.mark.parametrize("kind", [CSVLogger, JSONLogger])
def test_a_place_that_cannot_be_written_is_said_before_the_first_step(
    tmp_path: Path, kind: Any
) -> None:
    for path in (tmp_path / "no" / "log", tmp_path, tmp_path / "a\0b", tmp_path / ("x" * 300)):
        model = nn.Linear(3, 2, init=1.0)
        with pytest.raises(GlassgradError) as caught:
            fit(kind(path), model)
        assert kind.__name__ in caught.value.where
        assert str(caught.value).isprintable() or "\n" in str(caught.value)
        assert (model.state_dict()["weight"] == 1).all()


def test_what_is_not_finite_is_strict_json(tmp_path: Path) -> None:
    log = JSONLogger(tmp_path / "log")
    text = log.line({"epoch": 1, "loss": math.nan, 'a"\u2028\n': -math.inf})
    assert json.loads(text, parse_constant=pytest.fail) == {
        "epoch": 1, "loss": None, 'a"\u2028\n': None,
    }  # fmt: skip
    assert text.count("\n") == 1
    assert text.isascii()


def test_other_separators(tmp_path: Path) -> None:
    history = fit(CSVLogger(tmp_path / "log", separator="\t"))
    rows = list(csv.reader((tmp_path / "log").read_text().splitlines(), delimiter="\t"))
    assert float(rows[-1][1]) == history["loss"][-1]
    for bad in ("", ",,", "\n", '"', "\0", None):
        with pytest.raises(ConfigError, match="separator"):
            CSVLogger(tmp_path / "other", separator=bad)  # type: ignore[arg-type]
