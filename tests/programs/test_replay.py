"""`program.py` alone, with nothing but NumPy, gives the run's history and final parameters."""

from __future__ import annotations

import gzip
import hashlib
import os
import site
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.inspect.source import whole_program
from tests.programs.cases import Case, drawn, spiral_net

# A path of its own with nothing in it but NumPy: -I leaves out the folder, PYTHONPATH and users'
# packages, and a finder in front refuses everything that is not NumPy or Python's own.
GUARD = """
import sys, runpy
class OnlyNumPy:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top not in sys.stdlib_module_names and top not in ("numpy", "charset_normalizer"):
            raise ImportError(f"a replay imports {name}")
sys.meta_path.insert(0, OnlyNumPy())
program = sys.argv.pop(1)
runpy.run_path(program, run_name="__main__")
assert not [m for m in sys.modules if m.split(".")[0] in ("glassgrad", "torch", "safetensors")]
"""


def replay(case: Case, folder: Path) -> tuple[Any, bytes, dict[str, Any], str]:
    """Train, write what a run writes, run the program there; history, its CSV and npz, output."""
    history = case.fit()
    record = history.record
    (folder / "program.py").write_text(whole_program(record), encoding="utf-8")
    np.savez(folder / "initial.npz", **record.initial)
    np.savez(folder / "data.npz", **record.stored)
    # What sets the number of threads here sets it there, unless the program does.
    kept = ("PATH", "SYSTEMROOT", "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
    environment = {k: v for k, v in os.environ.items() if k in kept}
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", GUARD, str(folder / "program.py")],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(folder / "replayed.npz") as file:
        final = dict(file)
    return history, (folder / "replayed.csv").read_bytes(), final, done.stdout


def check(case: Case, folder: Path) -> None:
    history, table, final, printed = replay(case, folder)
    assert table.decode() == history.to_csv(seconds=False)
    state = case.model.state_dict()
    assert final.keys() == state.keys()
    for name, array in final.items():
        assert array.dtype == state[name].dtype
        assert array.tobytes() == state[name].tobytes(), name
    assert printed.count("epoch") == history.epochs


def test_spiral(tmp_path: Path) -> None:
    x, y = data.spiral(seed=0)
    settings = {"loss": "cross_entropy", "optimizer": optim.Adam(1e-2), "epochs": 30}
    check(Case(spiral_net(), x, y, {**settings, "batch_size": 32}), tmp_path)


def test_spiral_full_batch_sgd(tmp_path: Path) -> None:
    x, y = data.spiral(seed=0)
    settings = {"loss": "cross_entropy", "optimizer": optim.SGD(0.5), "epochs": 30}
    check(Case(spiral_net(), x, y, settings), tmp_path)


def test_digits_with_a_convolution(tmp_path: Path) -> None:
    digits = data.digits()
    model = nn.Sequential(
        *(nn.Conv2d(8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.1), nn.Flatten()),
        nn.Linear(10),
    )
    settings = {
        "loss": "cross_entropy",
        "optimizer": optim.Adam(1e-2),
        "epochs": 2,
        "batch_size": 64,
        "validation_data": (digits.x_test, digits.y_test),
    }
    check(Case(model, digits.x[:500], digits.y[:500], settings), tmp_path)


def test_recurrent(tmp_path: Path) -> None:
    r = np.random.default_rng(0)
    x = r.normal(size=(50, 12, 8)).astype(np.float32)
    y = r.integers(0, 3, 50)
    model = nn.Sequential(rnn=nn.RNN(16), output=nn.Linear(3))
    settings = {"loss": "cross_entropy", "optimizer": optim.SGD(0.1), "epochs": 4}
    check(Case(model, x, y, {**settings, "batch_size": 16}), tmp_path)


def test_bytes_are_cast_in_the_step(tmp_path: Path) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.output = nn.Linear(3)

        def forward(self, x: Any) -> Any:
            return self.output(x.astype("float32").flatten(1) / 255)

    r = np.random.default_rng(0)
    x, y = r.integers(0, 256, (30, 2, 4, 4)).astype(np.uint8), r.integers(0, 3, 30)
    settings = {"loss": "cross_entropy", "optimizer": optim.SGD(0.1), "batch_size": 8, "epochs": 2}
    case = Case(Scaled(), x, y, settings)
    check(case, tmp_path)
    with np.load(tmp_path / "data.npz") as file:
        assert file["x"].dtype == np.uint8


def test_frozen_parameters_and_own_functions(tmp_path: Path) -> None:
    def steepness(prediction: Any, target: Any) -> Any:
        return (abs(prediction) * 2).mean() + target.mean() * 0

    def huber(prediction: Any, target: Any) -> Any:
        error = prediction - target
        return gg.where(abs(error) < 1, error**2 / 2, abs(error) - 0.5).mean()

    r = np.random.default_rng(0)
    x, y = r.normal(size=(33, 4)), r.normal(size=(33, 2))
    model = nn.Sequential(hidden=nn.Linear(4, 8), act=nn.GELU(), output=nn.Linear(8, 2))
    model.named_state()["hidden.weight"].requires_grad = False
    settings = {
        "loss": huber,
        "optimizer": optim.AdamW(1e-2),
        "metrics": (steepness, "mae"),
        "validation_data": (x[:5], y[:5]),
        "batch_size": 8,
        "epochs": 3,
    }
    check(Case(model, x, y, settings), tmp_path)


def test_evaluation_reads_what_training_does_not(tmp_path: Path) -> None:
    class Calibrated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.output = nn.Linear(2, 2)
            self.offset = gg.Buffer(np.array([0.5, -0.5], np.float32))

        def forward(self, x: Any) -> Any:
            z = self.output(x)
            return z if self.training else z + self.offset

    r = np.random.default_rng(0)
    x, y = r.normal(size=(12, 2)).astype(np.float32), r.integers(0, 2, 12)
    settings = {
        "loss": "cross_entropy",
        "optimizer": optim.SGD(0.1),
        "validation_data": (x, y),
        "epochs": 2,
    }
    check(Case(Calibrated(), x, y, settings), tmp_path)


@pytest.mark.parametrize("seed", range(20))
def test_drawn_networks(seed: int, tmp_path: Path) -> None:
    check(drawn(seed, dtype="float64" if seed % 5 == 4 else "float32"), tmp_path)


def test_drawn_networks_have_what_is_promised() -> None:
    cases = [drawn(seed) for seed in range(20)]
    kinds = [{type(m).__name__ for _, m in case.model.modules()} for case in cases]
    assert sum("Dropout" in k for k in kinds) >= 5
    assert sum(any("BatchNorm" in n for n in k) for k in kinds) >= 5
    assert sum("validation_data" in case.settings for case in cases) >= 5
    sizes = [(len(c.x), c.settings["batch_size"] or len(c.x)) for c in cases]
    assert sum(rows % size > 0 for rows, size in sizes) >= 5


def test_the_guard_refuses_other_packages(tmp_path: Path) -> None:
    assert site.getsitepackages()
    (tmp_path / "program.py").write_text("import hypothesis\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", "-c", GUARD, str(tmp_path / "program.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "a replay imports" in done.stderr


@pytest.mark.parametrize("hostile", ["data", "it's", 'a "quoted" one', "a\nb", "{x}", "é变"])
def test_a_set_that_is_not_copied_is_read_from_its_files(tmp_path: Path, hostile: str) -> None:
    r = np.random.default_rng(0)
    pixels = r.integers(0, 256, (40, 4, 4)).astype(np.uint8)
    labels = r.integers(0, 3, 40).astype(np.uint8)
    folder, files = tmp_path / hostile, []
    folder.mkdir()
    for name, array in (("images.gz", pixels), ("labels.gz", labels)):
        head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
        packed = gzip.compress(head + array.tobytes())
        (folder / name).write_bytes(packed)
        files.append((name, hashlib.sha256(packed).hexdigest()))
    x = np.divide(pixels, 255, dtype=np.float32).reshape(-1, 1, 4, 4)
    model = nn.Sequential(flat=nn.Flatten(), output=nn.Linear(3))
    settings = {"loss": "cross_entropy", "optimizer": optim.Adam(1e-2), "batch_size": 16}
    case = Case(model, x, labels.astype(np.int64), settings)
    history = case.fit()
    where = {"folder": str(folder), "files": tuple(files), "shape": (1, 4, 4)}
    program = tmp_path / "program.py"
    program.write_text(whole_program(history.record, where), encoding="utf-8")
    np.savez(tmp_path / "initial.npz", **history.record.initial)
    command = [sys.executable, "-I", "-X", "utf8", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1500:]
    assert (tmp_path / "replayed.csv").read_text() == history.to_csv(seconds=False)
    (folder / "labels.gz").write_bytes(gzip.compress(b"other"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is not the file this run was made with" in done.stderr
