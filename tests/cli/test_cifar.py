"""CIFAR-10 and the command, with a few rows of noise in the published format."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from tests.conftest import replay


@pytest.fixture(autouse=True)
def files(run: Any) -> None:
    """The published files where commands run, with few rows."""
    rng = np.random.default_rng(0)
    for name, count in (("data_batch_1.bin", 40), ("test_batch.bin", 10)):
        rows = rng.integers(0, 256, (count, 3073)).astype("u1")
        rows[:, 0] %= 10
        Path(name).write_bytes(rows.tobytes())


@pytest.mark.usefixtures("numpy_engine")
@pytest.mark.parametrize("network", [("--model", "cnn"), ("--layers", "8-relu"), ()])
def test_bytes_train_predict_and_replay(run: Any, network: tuple[str, ...]) -> None:
    words = ("train", "cifar10", "--data", ".", "--epochs", "1", "--batch-size", "20", *network)
    said = run(*words)
    assert said.code == 0
    assert "40 training rows, 10 test rows, 3 x 32 x 32 pixels, 10 classes (1 of 5" in said
    place = Path("runs/cifar10-1")
    replay(place)
    said = run("predict", str(place), "cifar10", "--data", ".")
    wanted = [row["class"] for row in csv.DictReader(StringIO(said))]
    assert len(wanted) == 10
    pixels = np.frombuffer(Path("test_batch.bin").read_bytes(), np.uint8).reshape(10, 3073)[:, 1:]
    np.savetxt("rows.csv", pixels, delimiter=",", fmt="%d")
    said = run("predict", str(place), "rows.csv")
    assert [row["class"] for row in csv.DictReader(StringIO(said))] == wanted
    said = run("evaluate", str(place), "cifar10", "--data", ".", "--json")
    assert set(json.loads(said)["test"]) == {"loss", "accuracy"}
    assert gg.load(place / "model.glass").labels.classes[3] == "cat"


def test_what_cannot_be_meant(run: Any) -> None:
    assert "cnn reads images" in run("train", "spiral", "--model", "cnn").err
    assert "28 x 28" in run("train", "cifar10", "--model", "lenet", "--data", ".").err
    Path("test_batch.bin").unlink()
    said = run("train", "cifar10", "--data", ".")
    assert said.code == 2
    assert "glassgrad download cifar10" in said.err
    assert "uint8" in run("source", "cifar10")
