"""The command, run inside a test's process and folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from glassgrad.cli import main

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


class Said(str):  # noqa: SLOT000  a text with two notes on it
    """What a command printed, and how it ended."""

    code: int
    err: str


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Said]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GLASSGRAD_DATA", raising=False)

    def command(*words: str) -> Said:
        capsys.readouterr()
        code = main(words)
        captured = capsys.readouterr()
        said = Said(captured.out)
        said.code, said.err = code, captured.err
        assert not CONTROL.search(captured.out + captured.err)  # no colour, nothing hostile
        assert "Traceback" not in captured.err
        return said

    return command
