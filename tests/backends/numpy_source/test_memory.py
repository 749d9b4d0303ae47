"""Keeping freed memory: one call, guarded, and a no that is a no."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys

import pytest


def answer(**settings: str) -> str:
    """What keep_memory says, twice, in a process of its own."""
    code = "from glassgrad.backends.numpy_source.memory import keep_memory as k; print(k(), k())"
    environment = {**os.environ, "GLASSGRAD_KEEP_MEMORY": "", **settings}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_memory_is_kept_where_the_c_library_is_glibc() -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the C library is not glibc")
    assert answer() == "True True"


def test_the_user_may_say_no() -> None:
    assert answer(GLASSGRAD_KEEP_MEMORY="0") == "False False"


def test_another_platform_is_a_quiet_no(monkeypatch: pytest.MonkeyPatch) -> None:
    from glassgrad.backends.numpy_source import memory

    monkeypatch.delenv("GLASSGRAD_KEEP_MEMORY", raising=False)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory.keep_memory.__wrapped__() is False
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert memory.keep_memory.__wrapped__() is False
