"""Long runs of the same checks the tests do in short, with a log that is committed.

    python scripts/soak.py networks --count 5000      random networks against PyTorch
    python scripts/soak.py training --count 2000      trained by fit against PyTorch's optimisers
    python scripts/soak.py programs --count 200       program.py against the run, bit for bit
    python scripts/soak.py graphs --count 100000      mutated graph texts: refused, or equal
    python scripts/soak.py derivatives --count 200    the check before training: no false alarm
    python scripts/soak.py sameness --count 20        200 native steps: one hash, however they ran
    python scripts/soak.py disk --count 20000         kills, failures, losses of power: nothing saved is lost
    python scripts/soak.py kills --count 500          training killed at random: the same bits in the end
    python scripts/soak.py checkpoints --count 1000000  mutated checkpoints: refused, or as a save writes them
    python scripts/soak.py hostile --reader csv --count 1000000 --processes 2
                                                      mutated files: as a slow strict reader, or refused
    python scripts/soak.py names --count 100000       hostile names: refused, or mere text
    python scripts/soak.py diagnoses --first 0 --count 3  planted faults found, no alarm without one
    python scripts/soak.py tapes --count 300          recorded runs: steps and branches, bit for bit; a step explained
    python scripts/soak.py explanations --count 200 --processes 2
                                                      random networks explained: every number adds up
    python scripts/soak.py pictures --count 10000     random pictures: inert, legible, small, or refused

Each run appends one line to docs/soak/NAME.log: date, commit, first seed, count, seconds,
failures. The exit status is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import numpy as np  # noqa: E402  # this and the next need the paths above

import glassgrad as gg  # noqa: E402
from glassgrad.errors import FormatError, GradientError  # noqa: E402
from glassgrad.inspect.source import whole_program  # noqa: E402
from glassgrad.ir import Type, parse_graph, print_graph  # noqa: E402
from glassgrad.nn.tracing import forward_graph, input_names  # noqa: E402
from glassgrad.ops import Spelled, find  # noqa: E402
from glassgrad.train.fit import prepared  # noqa: E402
from glassgrad.train.gradients import check_gradients  # noqa: E402
from glassgrad.train.trainer import Trainer  # noqa: E402
from tests.networks import random_network  # noqa: E402
from tests.networks.training import drawn_training  # noqa: E402

FIRST = 1_000_000  # seeds the tests do not use


def networks(seed: int) -> list[str]:
    """One random network: loss, gradients and statistics as PyTorch's."""
    import torch

    from tests.agreement.test_random_networks import compare

    return compare(random_network(seed), torch)


def training(seed: int) -> list[str]:
    """One random network trained by fit: weights, statistics and losses as PyTorch's loop."""
    import torch

    from tests.agreement.test_random_training import compare

    torch.set_default_dtype(torch.float64)
    return compare(seed, torch)


def programs(seed: int) -> list[str]:
    """One random network, trained in a random way for two epochs; its program does it too."""
    network = random_network(seed, rows=22, dtype="float32", fit=True)
    settings = drawn_training(seed, network).prepared(network)
    history = gg.fit(network.model, network.x, network.y, **settings)
    record = history.record
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "program.py").write_text(whole_program(record), "utf-8")
        np.savez(place / "initial.npz", **record.initial)
        np.savez(place / "data.npz", **record.stored)
        bare = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(
            [sys.executable, str(place / "program.py")],
            env=bare,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return [done.stderr[-500:]]
        wrong = []
        if (place / "replayed.csv").read_text("utf-8") != history.to_csv(seconds=False):
            wrong.append("the history differs")
        final = np.load(place / "replayed.npz")
        wrong += [
            f"{name} differs"
            for name, value in network.model.state_dict().items()
            if name in final and not np.array_equal(final[name], value, equal_nan=True)
        ]
        return wrong


def tapes(seed: int) -> list[str]:
    """One random network, trained in a random way and recorded: every step, one explained, a branch."""
    from tests.inspect.taped import compare

    return [line for backend in ("auto", "numpy") for line in compare(seed, backend)]


def pictures(seed: int) -> list[str]:
    """One picture of random kind, numbers and names."""
    from tests.inspect.any_picture import wrong

    return wrong(seed)


def graphs(seed: int) -> list[str]:
    """One graph's text with a few characters changed: a FormatError, or a graph that prints so."""
    rng = np.random.default_rng(seed)
    network = random_network(FIRST + seed // 200)
    types = [Type(x.shape, x.dtype.name) for x in network.inputs]
    named = dict(zip(input_names(network.model)[0], types, strict=False))
    text = print_graph(forward_graph(network.model, named))
    letters = list(text)
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(len(letters)))
        kind = rng.integers(3)
        if kind == 0:
            del letters[at]
        elif kind == 1:
            letters[at] = chr(int(rng.integers(32, 127)))
        else:
            letters.insert(at, letters[int(rng.integers(len(letters)))])
    changed = "".join(letters)
    try:
        again = print_graph(parse_graph(changed, find, Spelled))
        same = print_graph(parse_graph(again, find, Spelled)) == again
        return [] if same else ["another graph when it is read back"]
    except FormatError:
        return []
    except Exception as error:  # noqa: BLE001  # whatever else comes out is the failure
        return [f"{type(error).__name__}: {error}"]


def derivatives(seed: int) -> list[str]:
    """One random network in float32: the spot-check of its derivatives raises no alarm."""
    network = random_network(seed, rows=15, dtype="float32", fit=True)
    record = prepared(
        network.model, network.x, network.y, **network.losses, optimizer="sgd", metrics=()
    )
    Trainer(record)
    try:
        check_gradients(record, 1e-4)
    except GradientError as error:
        return [str(error)]
    return []


_HASHES: dict[str, str] = {}  # of each network, from the first process on
_TRAINING = """
from tests.backends.native.training import made, trained
for name in ("mlp", "lstm", "norms", "attention", "few channels", "many channels"):
    print(name.replace(" ", "-"), made(*trained(name, 20)))
"""


def sameness(_: int) -> list[str]:
    """200 steps of an mlp, an LSTM, norms and dropout, attention, and two networks of images, on each
    instruction set but the reference with 1, 2 and 4 threads, in processes of their own: the
    parameters' hashes.
    """
    from glassgrad.backends import native

    module, wrong = native.module(), []
    assert module is not None
    for isa in [isa for isa in module.isas() if isa != "reference"]:
        for threads in (1, 2, 4):
            also = {"GLASSGRAD_ISA": isa, "GLASSGRAD_NUM_THREADS": str(threads)}
            also["PYTHONPATH"] = os.pathsep.join(sys.path[:2])
            done = subprocess.run(
                [sys.executable, "-c", _TRAINING],
                env=os.environ | also,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                return [done.stderr[-500:]]
            for line in done.stdout.splitlines():
                name, found = line.split()
                if _HASHES.setdefault(name, found) != found:
                    wrong.append(f"{name}, {isa}, {threads} threads: {found}")
    NOTES[:] = [f" {name} {found}" for name, found in _HASHES.items()]
    return wrong


def disk(seed: int) -> list[str]:
    """Six processes on one folder of checkpoints, killed, failing and without power at random."""
    from tests.files.test_disk import live

    with tempfile.TemporaryDirectory() as folder:
        try:
            live(Path(folder), seed)
        except Exception as error:  # noqa: BLE001  # whatever comes out is the failure
            return [f"{type(error).__name__}: {error}"]
    return []


def checkpoints(seed: int) -> list[str]:
    """One checkpoint with a few changes: refused, or byte for byte what a save of it writes."""
    from tests.files.checkpoint_mutations import mutated

    return mutated(seed)


NOTES: list[str] = []  # what the log says beside


def kills(seed: int) -> list[str]:
    """Training that is killed at one point of its progress, and goes on: final bits, what was lost."""
    from tests.train.killing import kill

    return kill(seed)


CHECKS: dict[str, Callable[[int], list[str]]] = {
    "networks": networks,
    "training": training,
    "programs": programs,
    "graphs": graphs,
    "derivatives": derivatives,
    "sameness": sameness,
    "disk": disk,
    "kills": kills,
    "checkpoints": checkpoints,
    "tapes": tapes,
    "pictures": pictures,
}


def hostile(given: argparse.Namespace) -> int:
    """Mutated files of one reader, in processes under limits; what fails is kept in build/hostile."""
    from tests.files.hostile.harness import run

    if not given.reader:
        raise SystemExit("which --reader?")
    NOTES[:] = [f" reader {given.reader}"]
    kept = ROOT / "build" / "hostile"
    found = run(given.reader, given.first, given.count, given.processes, kept)
    for failure in found:
        print(f"seed {failure.number}: {failure.what}", flush=True)
    return len(found)


def names(given: argparse.Namespace) -> int:
    """Hostile names, a hundred at a time: refused, or mere text wherever we write them."""
    from tests.hostile_names import hostile_names
    from tests.inert import wrong
    from tests.programs.test_hostile import wrong_programs

    failed = 0
    for seed in range(given.first, given.first + given.count, 100):
        drawn = hostile_names(min(100, given.first + given.count - seed), seed)
        for problem in [*wrong(drawn), *wrong_programs(drawn)]:
            failed += 1
            print(f"seed {seed}: {problem}", flush=True)
    return failed


# These count their failures themselves.
def diagnoses(given: argparse.Namespace) -> int:
    """Fifteen faults in five networks each and sound trainings, for so many seeds."""
    from tests.inspect.diagnose.harness import counted
    from tests.inspect.diagnose.planted import FAULTS

    counts = counted(range(given.first, given.first + given.count))
    print(counts.table())
    (ROOT / "docs" / "soak" / "diagnoses.txt").write_text(counts.table() + "\n", "utf-8")
    enough = sum(counts.found(f) * 15 >= 12 * counts.cases for f in FAULTS)
    NOTES[:] = [
        f" faults found {enough} of {len(FAULTS)} sound {counts.sound} alarms {len(counts.alarms)}"
    ]
    return counts.failures


def explanations(given: argparse.Namespace) -> int:
    """Random networks in both dtypes, explained: forms, print, parts and the step that is taken."""
    from tests.inspect.explain.adding_up import counted

    found = counted(range(given.first, given.first + given.count), given.processes)
    table = "\n\n".join([f"networks in {dtype}\n{c.table()}" for dtype, c in found.items()])
    print(table)
    for dtype, counts in found.items():
        print("".join([f"{dtype}: {failure}\n" for failure in counts.failures]), end="")
    first, last = given.first, given.first + given.count - 1
    head = f"{given.count} random networks, seeds {first} to {last}\n\n"
    (ROOT / "docs" / "soak" / "explanations.txt").write_text(f"{head}{table}\n", "utf-8")
    NOTES[:] = [f" numbers {sum(c.all.total() for c in found.values())}"]
    return sum(len(c.failures) for c in found.values())


WHOLE: dict[str, Callable[[argparse.Namespace], int]] = {
    "hostile": hostile,
    "names": names,
    "diagnoses": diagnoses,
    "explanations": explanations,
}


def one_by_one(given: argparse.Namespace) -> int:
    """How many of the seeds fail."""
    check, failed = CHECKS[given.check], 0
    for i in range(given.count):
        wrong = check(given.first + i)
        if wrong:
            failed += 1
            print(f"seed {given.first + i}: {'; '.join(wrong)}", flush=True)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("check", choices=sorted({*CHECKS, *WHOLE}))
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=FIRST)
    parser.add_argument("--reader", default="", help="of hostile: whose files")
    parser.add_argument("--processes", type=int, default=1, help="of hostile and explanations")
    given = parser.parse_args()
    began = time.perf_counter()
    failed = WHOLE.get(given.check, one_by_one)(given)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    dirty = subprocess.run(
        ["git", "status", "--porcelain", "src", "tests"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    date = dt.datetime.now(dt.UTC).date().isoformat()
    line = (
        f"{date} commit {commit}{'+changes' if dirty else ''} seeds {given.first}.."
        f"{given.first + given.count - 1} count {given.count} "
        f"seconds {time.perf_counter() - began:.0f} failures {failed}{''.join(NOTES)}"
    )
    print(line)
    log = ROOT / "docs" / "soak" / f"{given.check}.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
