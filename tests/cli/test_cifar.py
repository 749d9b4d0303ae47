"""CIFAR-10 and the command, with a few rows of noise in the published format."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

import glassgrad as gg
from glassgrad.cli import main


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> object:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GLASSGRAD_DATA", raising=False)
    rng = np.random.default_rng(0)
    for name, count in (("data_batch_1.bin", 40), ("test_batch.bin", 10)):
        rows = rng.integers(0, 256, (count, 3073)).astype("u1")
        rows[:, 0] %= 10
        Path(name).write_bytes(rows.tobytes())

    def command(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(words)
        found = capsys.readouterr()
        assert "Traceback" not in found.err
        return code, found.out, found.err

    return command


@pytest.mark.usefixtures("numpy_engine")
@pytest.mark.parametrize("network", [("--model", "cnn"), ("--layers", "8-relu"), ()])
def test_bytes_train_predict_and_replay(run: object, network: tuple[str, ...]) -> None:
    assert callable(run)
    words = ("train", "cifar10", "--data", ".", "--epochs", "1", "--batch-size", "20", *network)
    code, said, _ = run(*words)
    assert code == 0
    assert "40 training rows, 10 test rows, 3 x 32 x 32 pixels, 10 classes (1 of 5" in said
    place = Path("runs/cifar10-1")
    done = subprocess.run(
        [sys.executable, "-I", "program.py"], cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    kept = [line.rsplit(",", 1)[0] for line in (place / "history.csv").read_text().split()]
    assert (place / "replayed.csv").read_text().split() == kept
    code, said, _ = run("predict", str(place), "cifar10", "--data", ".")
    wanted = [row["class"] for row in csv.DictReader(StringIO(said))]
    assert len(wanted) == 10
    pixels = np.frombuffer(Path("test_batch.bin").read_bytes(), np.uint8).reshape(10, 3073)[:, 1:]
    np.savetxt("rows.csv", pixels, delimiter=",", fmt="%d")
    code, said, _ = run("predict", str(place), "rows.csv")
    assert [row["class"] for row in csv.DictReader(StringIO(said))] == wanted
    code, said, _ = run("evaluate", str(place), "cifar10", "--data", ".", "--json")
    assert set(json.loads(said)["test"]) == {"loss", "accuracy"}
    assert gg.load(place / "model.glass").labels.classes[3] == "cat"


def test_what_cannot_be_meant(run: object) -> None:
    assert callable(run)
    assert "cnn reads images" in run("train", "spiral", "--model", "cnn")[2]
    assert "28 x 28" in run("train", "cifar10", "--model", "lenet", "--data", ".")[2]
    Path("test_batch.bin").unlink()
    code, _, error = run("train", "cifar10", "--data", ".")
    assert code == 2
    assert "glassgrad download cifar10" in error
    assert "uint8" in run("source", "cifar10")[1]
