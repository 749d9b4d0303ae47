"""The run folder: complete, readable without glassgrad, never overwritten, whole or not there."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.engine import executor
from glassgrad.errors import ConfigError, UsageError
from glassgrad.inspect.run import check_free, next_free, npz, write_run

FILES = {
    "model.glass", "history.csv", "config.toml", "initial.npz", "data.npz", "program.py", "curves.svg",
}  # fmt: skip


def a_run(**changes: Any) -> Any:
    x, y = data.spiral(points_per_class=20)
    model = nn.Sequential(nn.Linear(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(3))
    how = {"epochs": 4, "batch_size": 16, "seed": 3, **changes}
    return gg.fit(
        model, x, y, loss="cross_entropy", optimizer=optim.Adam(0.01), verbose=False, **how
    )


def test_a_run_is_written_down_completely(tmp_path: Path) -> None:
    history = a_run()
    d = data.load("spiral")
    place = write_run(history, tmp_path / "run", settings={"note": 'a "b"'}, labels=d)
    assert {p.name for p in place.iterdir()} == FILES
    record = history.record
    rows = list(csv.DictReader((place / "history.csv").read_text().splitlines()))
    assert [float(r["loss"]) for r in rows] == history["loss"]
    config = tomllib.loads((place / "config.toml").read_text())
    assert config["note"] == 'a "b"'
    assert config["training"]["seed"] == 3
    assert config["training"]["batch_size"] == 16
    assert config["optimizer"] == {"name": "Adam", "lr": 0.01}
    assert config["engine"]["backend"] == executor()[0]
    assert config["engine"]["numpy"] == np.__version__
    with np.load(place / "initial.npz", allow_pickle=False) as initial:
        assert set(initial) == set(record.initial)
    with np.load(place / "data.npz", allow_pickle=False) as stored:
        np.testing.assert_array_equal(stored["x"], record.data["x"])
    assert (place / "curves.svg").read_text().startswith("<svg")
    loaded = gg.load(place / "model.glass")
    x = record.data["x"]
    assert gg.predict(loaded, x).tobytes() == gg.predict(record.task.model, x).tobytes()
    assert loaded.labels.dataset == "spiral"


@pytest.mark.usefixtures("numpy_engine")
def test_the_program_replays_the_run_bit_for_bit(tmp_path: Path) -> None:
    history = a_run()
    place = write_run(history, tmp_path / "run")
    done = subprocess.run(
        [sys.executable, "-I", "program.py"], cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((place / "replayed.csv").read_text().splitlines()))
    assert [float(r["loss"]) for r in rows] == history["loss"]
    with np.load(place / "replayed.npz") as replayed:
        for name, value in history.record.task.model.state_dict().items():
            assert replayed[name].tobytes() == value.tobytes()


def test_nothing_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    history = a_run(epochs=1)
    labels = {"dataset": "../Spi ral"}
    first, second = write_run(history, labels=labels), write_run(history, labels=labels)
    assert (str(first), str(second)) == ("runs/spi-ral-1", "runs/spi-ral-2")
    (tmp_path / "runs" / "spi-ral-7").touch()
    assert write_run(history, labels=labels).name == "spi-ral-8"
    before = {p.name: p.read_bytes() for p in first.iterdir()}
    with pytest.raises(UsageError, match="not empty"):
        write_run(history, first)
    with pytest.raises(UsageError, match="a file of this name"):
        write_run(history, "runs/spi-ral-7")
    assert {p.name: p.read_bytes() for p in first.iterdir()} == before
    (tmp_path / "empty").mkdir()
    assert {p.name for p in write_run(history, "empty").iterdir()} == FILES
    assert not list(tmp_path.rglob(".*"))


def test_a_run_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = a_run(epochs=1)
    for error, kind in (
        (OSError(28, "No space left on device"), UsageError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ):
        count = iter(range(100))

        def failing(_: int, count: Any = count, error: BaseException = error) -> None:
            if next(count) == 3:
                raise error

        monkeypatch.setattr(os, "fsync", failing)
        with pytest.raises(kind):
            write_run(history, tmp_path / "run")
        assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(UsageError):
        write_run(history, tmp_path / "file" / "run")
    with pytest.raises(UsageError):
        check_free("a\0b")


def test_large_sets_are_described_instead_of_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glassgrad.inspect.run.MOST_DATA", 10)
    history = a_run(epochs=1)
    files = (("train-images.gz", "0" * 64), ("train-labels.gz", "1" * 64))
    where = {"folder": "/data/mnist", "files": files, "shape": (2,)}
    place = write_run(history, tmp_path / "run", data_files=where)
    assert "data.npz" not in {p.name for p in place.iterdir()}
    assert "/data/mnist" in (place / "program.py").read_text()
    assert "data.npz" in {p.name for p in write_run(history, tmp_path / "run2").iterdir()}


def test_objects_are_never_stored() -> None:
    with pytest.raises(ConfigError, match="objects"):
        npz({"a": np.array([{}], dtype=object)})


def test_the_next_number_counts_from_the_last(tmp_path: Path) -> None:
    assert next_free(tmp_path, "a").name == "a-1"
    for name in ("a-2", "a-10", "a-x", "b-99", "a-1.old"):
        (tmp_path / name).mkdir()
    assert next_free(tmp_path, "a").name == "a-11"
