"""Every reader under mutation: refused with our error, or read as a slow, strict reader reads it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.files.checkpoint_cases import cases as checkpoint_cases
from tests.files.hostile import harness
from tests.files.hostile.cases import READERS, cases_of
from tests.files.hostile.formats import FORMATS, Format
from tests.files.hostile.harness import ROOT, run, run_cases, verdict
from tests.files.hostile.readers import Refused

IN_ALL = 20_000
FIRST = 0  # the long runs begin elsewhere


@pytest.mark.parametrize("name", FORMATS)
def test_mutations_are_refused_or_read_as_the_slow_reader_reads_them(
    name: str, tmp_path: Path
) -> None:
    count = -(-IN_ALL // len(FORMATS))
    found = run(name, FIRST, count, save=tmp_path)
    assert not found, [(f.number, f.what, f.data[:200]) for f in found[:5]]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_seeds_are_read_and_mutations_are_not_all_refused(name: str) -> None:
    form = FORMATS[name]
    assert [verdict(form, seed) for seed in form.seeds] == [""] * len(form.seeds)
    read = different = 0
    for number in range(400):
        data = form.mutated(number)
        different += data not in form.seeds
        try:
            form.reference(data)
        except Refused:
            continue
        read += 1
    assert read > 20  # both sides of the border are reached
    assert different > 300


@pytest.mark.parametrize("name", READERS)
def test_cases_made_by_hand_are_refused_or_read_as_they_should_be(name: str) -> None:
    assert run_cases(name) == []


def test_there_are_as_many_cases_as_promised() -> None:
    assert set(READERS) <= set(FORMATS)
    counts = {name: len(cases_of(name)) for name in READERS}
    assert counts["safetensors"] >= 59
    assert counts["idx"] >= 14
    assert counts["csv"] >= 18
    assert len(checkpoint_cases()) >= 12  # folders: test_checkpoint.py has them refused
    assert counts.pop("glass") >= 50
    assert sum(counts.values()) >= 150
    everything = [data for name in READERS for data, _ in cases_of(name).values()]
    assert all(len(data) < 20 * 2**20 for data in everything)


def _planted(read: Callable[[bytes], Any]) -> Format:
    return Format("planted", (b"seed",), read, lambda data: data, ())


def test_the_verdict_tells_what_is_wrong() -> None:
    from glassgrad.errors import FormatError

    def raises(error: Exception) -> Callable[[bytes], Any]:
        def read(data: bytes) -> Any:
            raise error

        return read

    assert verdict(_planted(lambda data: data), b"x") == ""
    assert verdict(_planted(lambda data: b"y"), b"x").startswith("another result")
    assert verdict(_planted(raises(KeyError("x"))), b"x").startswith("KeyError")
    assert verdict(_planted(raises(MemoryError())), b"x").startswith("MemoryError")
    assert verdict(_planted(raises(FormatError("a", where="b"))), b"x").startswith("refused;")
    assert verdict(_planted(raises(FormatError("a"))), b"x").startswith("an error without")
    assert verdict(_planted(raises(FormatError("\x1b", where="b"))), b"x").startswith(
        "an error that"
    )


_WORKER = """
import os, re, sys
from pathlib import Path
from tests.files.hostile import formats, harness

def read(data):
    if data != b"seed" and len(data) % 7 == 0:
        {bad}
    return data

harness.SECONDS = 0.2
formats.FORMATS["planted"] = formats.Format("planted", (b"seed",), read, lambda data: data, ())
whole = harness.verdict
harness.verdict = lambda form, data: whole(form, data) if ARMED else ""
ARMED = False
real = harness.signal.setitimer
def armed(*given):
    global ARMED
    ARMED = True
    real(*given)
harness.signal.setitimer = armed
harness._work("planted", 0, 400, Path(sys.argv[1]), False)
"""
BAD = {
    "hang": ("while True: pass", -signal.SIGPROF, ""),
    "hang in C": ("re.fullmatch('(a*)*b', 'a' * 40)", -signal.SIGPROF, ""),
    "crash": ("os.abort()", -signal.SIGABRT, ""),
    "memory": ("global kept; kept = b'x' * (72 * 2**20)", 0, "MiB of memory"),
    "more memory": ("bytearray(2**30)", 0, "MemoryError"),
    "other error": ("{}['x']", 0, "KeyError"),
}


@pytest.mark.skipif(os.name != "posix", reason="limits of processes are POSIX's")
@pytest.mark.parametrize("name", BAD)
def test_the_harness_sees(name: str, tmp_path: Path) -> None:
    bad, code, said = BAD[name]
    at = tmp_path / "at"
    at.write_bytes(bytes(8))
    done = subprocess.run(
        [sys.executable, "-c", _WORKER.replace("{bad}", bad), str(at)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}/src{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr[-1000:]
    reached = int.from_bytes(at.read_bytes(), "little")
    if code:
        assert 0 <= reached < 400
    else:
        assert reached == 400
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert found
        assert said in found[0][1], (found[:5], done.stderr)


def test_a_failing_file_is_made_smaller() -> None:
    data = b"x" * 500 + b"needle" + b"y" * 700
    assert harness.smaller(data, lambda d: b"needle" in d) == b"needle"
