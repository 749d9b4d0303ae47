"""What every test may use: the oracles that may be absent, and settings for property tests.

    from tests.conftest import data_dir, require_torch

A missing oracle is a skip with a reason on a contributor's machine and a failure in `.ci/run`,
which sets GLASSGRAD_CI=1.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import settings

import glassgrad  # the installed copy, before doctest collection could find src

# A shell that begins us in the background has us ignore Ctrl-C, and our children too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("house", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("GLASSGRAD_CI") else "house")


def absent(reason: str) -> NoReturn:
    """End the test because something is missing: a skip, or a failure in CI."""
    if os.environ.get("GLASSGRAD_CI"):
        pytest.fail(f"{reason} (GLASSGRAD_CI is set, so this is a failure)")
    pytest.skip(reason)


def require(module: str) -> Any:
    """An optional module, or a skip that says how to get it (a failure in CI)."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        absent(f"needs {module}: {error}")


def require_torch() -> Any:
    """PyTorch on one thread, or a skip that says how to get it (a failure in CI)."""
    torch = require("torch")
    torch.set_num_threads(1)
    return torch


def require_keras() -> Any:
    """Keras on PyTorch, or a skip that says how to get it (a failure in CI)."""
    require_torch()
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():  # what its own dependencies say while it loads
        warnings.simplefilter("ignore")
        return require("keras")


def data_dir(*needed: str) -> Path:
    """The folder GLASSGRAD_DATA names, with the wanted subfolders, or a skip (a failure in CI)."""
    named = os.environ.get("GLASSGRAD_DATA")
    if not named:
        absent("needs data: set GLASSGRAD_DATA to the folder that contains mnist/")
    folder = Path(named)
    missing = [name for name in needed if not (folder / name).is_dir()]
    if missing:
        absent(f"needs data: {folder} has no {', '.join(missing)}")
    return folder


def replay(folder: Path) -> None:
    """Run a run's program by itself: its losses are the run's to the last digit."""
    words = [sys.executable, "-I", "program.py"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kept = [line.rsplit(",", 1)[0] for line in (folder / "history.csv").read_text().split()]
    assert (folder / "replayed.csv").read_text().split() == kept


@pytest.fixture(autouse=True, scope="session")
def no_downloads_are_found(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What somebody downloaded on this machine changes no test."""
    os.environ["GLASSGRAD_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def eager_work_starts_afresh() -> None:
    """The seed of eager work is the process's: each test finds it as a new process would."""
    glassgrad.seed(0)


@pytest.fixture
def torch_in_doubles() -> Iterator[Any]:
    """PyTorch with float64 as its usual dtype: NAdam keeps a number of its own in that one."""
    torch = require_torch()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(before)


@pytest.fixture
def keras_in_doubles() -> Iterator[Any]:
    """Keras with float64 as its usual dtype, also for what it makes itself, such as rates."""
    keras = require_keras()
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield keras
    keras.config.set_floatx(before)


@pytest.fixture
def numpy_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs compute by the NumPy text, here and in what is started from here.

    For promises of that text: a run's program repeats the run bit for bit.
    """
    monkeypatch.setenv("GLASSGRAD_BACKEND", "numpy")
