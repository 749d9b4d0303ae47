"""A good checkpoint is always found: after a loss of power, a failed call or a kill at any point.

The power fails after each call of a save, and of what was done since the last synchronising any
part may be lost: blocks of a file, a name in a folder. Then each call fails in every way.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, combinations
from pathlib import Path

import pytest

from glassgrad.errors import CheckpointError, CheckpointWarning, UsageError
from glassgrad.files.atomic import write_atomically
from glassgrad.files.checkpoint import Saved, Store, read_checkpoint
from glassgrad.files.disk import DISK, Disk
from tests.files.disks import FAULTS, Fault, FaultyDisk, Killed, MemoryDisk, Sync

MOST_SUBSETS = 600


def content(step: int, turn: int = 0) -> dict[str, bytes]:
    """The members of a checkpoint, larger than a block of the disk and other for each step."""
    return {
        "weights.safetensors": random.Random(100 * step + turn).randbytes(1100),
        "training.json": b'{"step": %d}' % step,
    }


def filled(root: Path, *steps: int, keep: int = 2) -> MemoryDisk:
    """A disk with these checkpoints on it, none of it unsure."""
    disk = MemoryDisk(root)
    with Store(root, keep=keep, disk=disk) as store:
        for step in steps:
            store.save(step, content(step), finite=True)
    return MemoryDisk(root, disk.now)


def subsets(unsure: list[int], seed: int) -> Iterator[tuple[int, ...]]:
    """All subsets where they are few; else none, all, each one, all but one, and random ones."""
    if 2 ** len(unsure) <= MOST_SUBSETS:
        yield from chain.from_iterable(combinations(unsure, n) for n in range(len(unsure) + 1))
        return
    yield from ((), tuple(unsure))
    for one in unsure:
        yield (one,)
        yield tuple(u for u in unsure if u != one)
    rng = random.Random(seed)
    for _ in range(MOST_SUBSETS):
        share = rng.random()
        yield tuple(u for u in unsure if rng.random() < share)


def losses(disk: MemoryDisk) -> Iterator[tuple[int, MemoryDisk]]:
    """Each disk that may come back, with the number of calls after which the power failed."""
    for upto in range(len(disk.log) + 1):
        for lost in subsets(disk.unsure(upto), upto):
            yield upto, disk.after(upto, lost)


def newest(disk: Disk, root: Path) -> Saved | None:
    with Store(root, keep=2, disk=disk) as store:
        return store.newest()


def goes_on(disk: MemoryDisk, keep: int = 2) -> None:
    """The next save works, as if nothing had been."""
    with Store(disk.root, keep=keep, disk=disk) as store:
        store.save(900, content(900), finite=True)
    found = newest(disk, disk.root)
    assert found is not None
    assert found.members == content(900)
    assert all("." not in name for name in disk.list(disk.root))


def placed_at(disk: MemoryDisk) -> int:
    """After how many calls the new checkpoint's name was synchronised."""
    return next(i for i, call in enumerate(disk.log, 1) if call == Sync(0))


def test_after_a_loss_of_power_the_new_checkpoint_or_the_one_before_is_found(
    tmp_path: Path,
) -> None:
    disk = filled(tmp_path, 100, 200)
    with Store(tmp_path, keep=2, disk=disk) as store:
        store.save(300, content(300), finite=True)
        assert store.steps() == [200, 300]
    count = 0
    for upto, back in losses(disk):
        found = newest(back, tmp_path)
        assert found is not None
        assert found.members == content(found.step)
        assert found.step == 300 if upto >= placed_at(disk) else found.step in {200, 300}
        if count % 7 == 0:
            goes_on(back)
        count += 1
    assert count > 200


def test_after_a_loss_of_power_in_the_first_save_there_is_one_or_none(tmp_path: Path) -> None:
    disk = MemoryDisk(tmp_path)
    with Store(tmp_path, disk=disk) as store:
        store.save(100, content(100), finite=True)
    for upto, back in losses(disk):
        found = newest(back, tmp_path)
        assert found is None or found.members == content(100)
        assert found is not None or upto < placed_at(disk)
        goes_on(back)


def test_after_a_loss_of_power_a_replaced_checkpoint_is_the_old_or_the_new(tmp_path: Path) -> None:
    disk = filled(tmp_path, 100, 200)
    with Store(tmp_path, keep=2, disk=disk) as store:
        store.save(200, content(200, 1), finite=True)
    seen = set()
    for upto, back in losses(disk):
        found = newest(back, tmp_path)
        assert found is not None
        assert found.step == 200
        turn = [content(200, 0), content(200, 1)].index(found.members)
        assert turn == 1 or upto < placed_at(disk)
        seen.add(turn)
    assert seen == {0, 1}


def test_the_last_finite_checkpoint_outlives_a_loss_of_power(tmp_path: Path) -> None:
    disk = filled(tmp_path, 100)
    with Store(tmp_path, keep=1, disk=disk) as store:
        for step in (200, 300):
            store.save(step, content(step), finite=False)
        assert store.steps() == [100, 300]
    for n, (_, back) in enumerate(losses(disk)):
        if n % 3:
            continue
        with Store(tmp_path, keep=1, disk=back) as store:
            found = [store.folder / f"step-{s:08d}" for s in store.steps()]
            assert found[0].name == "step-00000100"
            assert store.newest() is not None
        assert content(100) == _members(back, 100)


def _members(disk: MemoryDisk, step: int) -> dict[str, bytes]:
    folder = disk.now.folders[disk.now.folders[0][f"step-{step:08d}"]]
    return {n: bytes(disk.now.files[i]) for n, i in folder.items() if n != "manifest.json"}


@pytest.mark.parametrize("block", range(4))
def test_kills_and_losses_of_power_in_any_order_lose_nothing_that_was_saved(
    tmp_path: Path, block: int
) -> None:
    for seed in range(100 * block, 100 * block + 100):
        live(tmp_path, seed)


def live(root: Path, seed: int) -> None:
    """Some processes after another, each killed or failing somewhere, some losing power too."""
    rng = random.Random(seed)
    disk = MemoryDisk(root)
    tried: dict[int, list[dict[str, bytes]]] = {}
    sure = 0  # the last step of which a save came back
    finite = 0  # and of which a finite one did
    for turn in range(6):
        faults = rng.choice([(), (rng.randrange(1, 120),), (rng.randrange(1, 60),)])
        fault = rng.choice(list(FAULTS.values()))
        with suppress(Killed, CheckpointError), warnings.catch_warnings():
            # With a call that fails, something old may not be removed, or not read.
            warnings.simplefilter("ignore" if faults else "error", CheckpointWarning)
            shaky = FaultyDisk(disk, fault, faults)
            with Store(root, keep=rng.choice([1, 2, 3]), disk=shaky) as store:
                found = store.newest()
                if not faults:
                    assert sure == 0 or found is not None
                    if found is not None:
                        assert found.members in tried[found.step]
                        assert found.step >= sure
                step = found.step if found else 0
                for _ in range(rng.randrange(1, 4)):
                    step += rng.choice([0, 100, 100]) if step else 100
                    members = content(step, turn)
                    tried.setdefault(step, []).append(members)
                    good = rng.random() < 0.6
                    with suppress(CheckpointError):
                        store.save(step, members, finite=good)
                        sure = max(sure, step)
                        finite = max(finite, step) if good else finite
        if rng.random() < 0.5:
            unsure = disk.unsure(len(disk.log))
            share = rng.random()
            disk = disk.after(len(disk.log), [u for u in unsure if rng.random() < share])
    found = newest(disk, disk.root)
    assert found is not None or sure == 0
    if found is not None:
        assert found.members in tried[found.step]
        assert found.step >= sure
    there = [read_checkpoint(root / n, disk=disk) for n in disk.list(root)]
    assert finite == 0 or any(saved.finite and saved.step >= finite for saved in there)


# --------------------------------------------------------------------- a call that goes wrong


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_failure_at_any_call_of_a_save_is_said_and_loses_nothing(
    tmp_path: Path, fault: Fault, lasting: bool
) -> None:
    number = 0
    while _fails_at(number, MemoryDisk(tmp_path), fault, lasting, tmp_path):
        number += 1
    assert number > 40


@pytest.mark.parametrize("name", ["broken", "killed_late"])
def test_a_failure_at_any_call_of_a_save_loses_nothing_on_a_real_disk(
    tmp_path: Path, name: str
) -> None:
    number = 0
    while _fails_at(number, DISK, FAULTS[name], False, tmp_path / str(number)):
        number += 1
    assert number > 40


def _fails_at(number: int, inner: Disk, fault: Fault, lasting: bool, root: Path) -> bool:
    """Whether there was such a call in a save: all is well after its failure in any case."""
    disk = FaultyDisk(inner)
    store = Store(root, keep=2, disk=disk)
    for step in (100, 200):
        store.save(step, content(step), finite=True)
    disk.fault = fault
    first = len(disk.calls) + number
    disk.at = range(first, first + 10**6) if lasting else (first,)
    error: BaseException | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CheckpointWarning)  # what is old cannot be removed
        try:
            store.save(300, content(300), finite=True)
        except (CheckpointError, Killed) as e:
            error = e
    disk.fault = None
    reached = len(disk.calls) > first
    if isinstance(error, CheckpointError):
        assert error.what.startswith(("cannot ", "there is no room"))
        assert error.received
        if "No space left" in error.received:
            assert "bytes free" in error.received
            assert "bytes and a tenth more" in error.expected
        assert _verified(root, inner, 100, 200)
    assert _verified(root, inner, 200) if error else _verified(root, inner, 200, 300)
    store.save(400, content(400), finite=True)  # the same process goes on
    store.close()
    found = newest(inner, root)
    assert found is not None
    assert found.members == content(400)
    assert all("." not in name for name in inner.list(root))
    return reached


def _verified(root: Path, disk: Disk, *steps: int) -> bool:
    paths = {step: root / f"step-{step:08d}" for step in steps}
    return all(read_checkpoint(p, disk=disk).members == content(s) for s, p in paths.items())


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_failure_at_any_call_of_a_replacement_loses_nothing(tmp_path: Path, fault: Fault) -> None:
    number = 0
    while True:
        disk = filled(tmp_path, 100, 200)
        shaky = FaultyDisk(disk)
        with (
            warnings.catch_warnings(),
            suppress(CheckpointError, Killed),
            Store(tmp_path, disk=shaky) as store,
        ):
            warnings.simplefilter("ignore", CheckpointWarning)
            shaky.fault, shaky.at = fault, (len(shaky.calls) + number,)
            store.save(200, content(200, 1), finite=True)
        found = newest(disk, disk.root)
        assert found is not None
        assert found.step == 200
        assert found.members in (content(200, 0), content(200, 1))
        goes_on(disk)
        number += 1
        if shaky.at[0] >= len(shaky.calls):
            break
    assert number > 40


# ------------------------------------------------------------------------------ one model file


def test_after_a_loss_of_power_a_file_is_the_old_or_the_new(tmp_path: Path) -> None:
    old, new = content(1)["weights.safetensors"], content(2)["weights.safetensors"] + bytes(600)
    file = tmp_path / "model.glass"
    disk = MemoryDisk(tmp_path)
    write_atomically(file, old, disk=disk)
    disk = MemoryDisk(tmp_path, disk.now)
    write_atomically(file, new, disk=disk)
    seen = set()
    for upto, back in losses(disk):
        data = bytes(back.now.files[back.now.folders[0]["model.glass"]])
        assert data == new if upto == len(disk.log) else data in {old, new}
        seen.add(data)
    assert seen == {old, new}


@pytest.mark.parametrize("name", ["full", "broken", "late", "short", "killed", "killed_late"])
def test_a_failure_at_any_call_leaves_the_old_file_or_the_new(tmp_path: Path, name: str) -> None:
    file = tmp_path / "model.glass"
    for number in range(6):
        file.write_bytes(b"old")
        with suppress(UsageError, Killed):
            write_atomically(file, b"new", disk=FaultyDisk(DISK, FAULTS[name], (number,)))
            assert file.read_bytes() == b"new"
        assert file.read_bytes() in {b"old", b"new"}
        if not name.startswith("killed"):
            assert [p.name for p in tmp_path.iterdir()] == ["model.glass"]
