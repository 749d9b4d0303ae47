"""Training that is killed (`kill -9`) at points of its own progress, and goes on.

A child says each step and each call to the disk through a pipe; after so many words it is killed.
`python -m tests.train.killing --count 20 --first 0` prints what went wrong, and nothing else. It
forks, so it stands in a process of its own that has not trained anything yet.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from glassgrad import optim
from glassgrad.files.disk import Disk
from glassgrad.train import Callback, Run, checkpoints

from .resuming import ENGINES, Case, everything, last_state, same

STEP, CALL = b"s", b"d"


class Says(Callback):
    """Each step, as a word into a pipe."""

    every = 1
    stateless = True

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    def on_interval(self, run: Run) -> None:
        os.write(self.pipe, STEP)


class Saying(Disk):
    """Each call that changes the disk, too."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    def make_folder(self, folder: Path, *, private: bool = False) -> None:
        os.write(self.pipe, CALL)
        super().make_folder(folder, private=private)

    def create(self, file: Path) -> int:
        os.write(self.pipe, CALL)
        return super().create(file)

    def sync(self, handle: int) -> None:
        os.write(self.pipe, CALL)
        super().sync(handle)

    def rename(self, old: Path, new: Path) -> None:
        os.write(self.pipe, CALL)
        super().rename(old, new)

    def remove(self, file: Path) -> None:
        os.write(self.pipe, CALL)
        super().remove(file)


def kinds() -> dict[str, tuple[Case, dict[str, Any]]]:
    """What is trained: all at once, and what runs in native code from the first step to the last."""
    usual = {"loss": "cross_entropy", "epochs": 3, "batch_size": 7, "seed": 1}
    found: dict[str, tuple[Case, dict[str, Any]]] = {}
    for engine in ENGINES:
        found[f"everything, {engine}"] = (Case(everything), {"backend": engine})
        plain = Case(lambda: {**usual, "optimizer": optim.Adam(1e-2)})
        found[f"plain, {engine}"] = (plain, {"backend": engine})
    return found


def child(work: Callable[[int], None]) -> tuple[int, int]:
    """A process that does this with the end of a pipe; its number, and the other end."""
    out, into = os.pipe()
    number = os.fork()
    if number:
        os.close(into)
        return number, out
    code = 1
    try:
        os.close(out)
        work(into)
        code = 0
    except BaseException:  # noqa: BLE001  # told, and the process ends with 1
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def train(kind: str, folder: Path, every: int, resume: str) -> Callable[[int], None]:
    def work(pipe: int) -> None:
        case, more = kinds()[kind]
        vars(checkpoints)["DISK"] = Saying(pipe)
        case.run(
            Says(pipe), checkpoint=folder, checkpoint_every=every, resume=resume, keep=2, **more
        )

    return work


def heard(work: Callable[[int], None], until: int | None = None) -> tuple[bytes, int]:
    """What a child said, killed after so many words; and how it ended."""
    number, out = child(work)
    said = b""
    while until is None or len(said) < until:
        piece = os.read(out, 1 if until is not None else 65536)
        if not piece:
            break
        said += piece
    if until is not None:
        os.kill(number, signal.SIGKILL)
    while piece := os.read(out, 65536):
        said += piece
    os.close(out)
    return said, os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


@cache
def expected(kind: str, every: int) -> tuple[dict[str, Any], int]:
    """The state that a run ends with which nobody kills, and how many words it says."""
    folder = Path(tempfile.mkdtemp())
    try:
        said, code = heard(train(kind, folder, every, "auto"))
        assert code == 0, said
        return last_state(folder), len(said)
    finally:
        shutil.rmtree(folder)


def kill(seed: int) -> list[str]:
    """One kill, and what is wrong after it."""
    drawn = random.Random(seed)
    kind = drawn.choice(sorted(kinds()))
    every = drawn.choice((1, 2, 5))
    wanted, words = expected(kind, every)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        said, code = heard(train(kind, folder, every, "auto"), drawn.randint(1, words))
        wrong = []
        done, found = said.count(STEP), steps_in(folder)
        if code not in (0, -signal.SIGKILL):
            wrong.append(f"the first process ended with {code}")
        if done - max(found, default=0) > 2 * every:
            wrong.append(f"{done} steps, saved every {every}, and the last one of {found}")
        after, code = heard(train(kind, folder, every, "auto"))
        if code:
            return [*wrong, f"the second process ended with {code}"]
        if found and after.count(STEP) > wanted["step"] - max(found):
            wrong.append(f"{after.count(STEP)} steps again, from {max(found)}")
        if not same(last_state(folder), wanted):
            wrong.append("other bits in the end")
        return [f"{kind}, every {every}, after {len(said)} words: {w}" for w in wrong]


def steps_in(folder: Path) -> list[int]:
    """The steps of the checkpoints that stand there, as they stand."""
    if not folder.is_dir():
        return []
    names = [p.name for p in folder.iterdir()]
    return sorted(int(n[5:]) for n in names if n.startswith("step-") and n[5:].isdigit())


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    failed = 0
    for seed in range(given.first, given.first + given.count):
        for wrong in kill(seed):
            failed += 1
            sys.stdout.write(f"seed {seed}: {wrong}\n")
            sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
