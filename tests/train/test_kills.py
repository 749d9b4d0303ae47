"""A run that is killed at any point of its progress goes on and ends with the same bits."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and kill -9")
def test_killed_at_twenty_random_points_every_run_goes_on_with_the_same_bits() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.train.killing", "--count", "20"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
