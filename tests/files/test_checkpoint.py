"""Checkpoints on disk: what is kept, what is refused, and who may write."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glassgrad.errors import CheckpointError, CheckpointWarning, FormatError, UsageError
from glassgrad.files import locks
from glassgrad.files.checkpoint import Store, read_checkpoint
from glassgrad.files.disk import Disk
from tests.files.checkpoint_cases import MEMBERS, Change, cases
from tests.files.checkpoint_mutations import PLACE, Listed, mutated, save, written

posix = pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name != "lock")


def damage(folder: Path, step: int) -> None:
    (folder / f"step-{step:08d}" / "history.csv").write_bytes(b"epoch,loss\n0,2.5\n")


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    big = np.arange(3 * 10**6, dtype=np.float32).reshape(3, -1)
    with Store(tmp_path / "a" / "b") as store:
        assert store.newest() is None
        assert store.steps() == []
        path = store.save(
            7,
            {
                "weights.safetensors": [
                    b"head",
                    big,
                    np.empty((0, 3)),
                    np.array(1.5),
                ],
                "training.json": bytearray(b"{}"),
                "history.csv": b"",
            },
            finite=True,
        )
        found = store.newest()
    assert found is not None
    assert found.path == path == tmp_path / "a" / "b" / "step-00000007"
    assert (found.step, found.finite) == (7, True)
    assert found.members == {
        "history.csv": b"",
        "training.json": b"{}",
        "weights.safetensors": b"head" + big.tobytes() + np.float64(1.5).tobytes(),
    }
    assert read_checkpoint(path) == found
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o700


def test_a_large_array_is_not_copied(tmp_path: Path) -> None:
    big = np.ones(5 * 10**6)
    with Store(tmp_path) as store:
        tracemalloc.start()
        store.save(1, {"weights.safetensors": [b"head", big]}, finite=True)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4e6


# ------------------------------------------------------------------------------- what is kept


def test_the_last_ones_are_kept(tmp_path: Path) -> None:
    with Store(tmp_path, keep=2) as store:
        for step in (100, 200, 300, 400):
            store.save(step, MEMBERS, finite=True)
        assert store.steps() == [300, 400]
    assert names(tmp_path) == ["step-00000300", "step-00000400"]


def test_the_last_finite_one_is_never_removed(tmp_path: Path) -> None:
    finite = {100: True, 200: True, 300: False, 400: False, 500: False}
    with Store(tmp_path, keep=2) as store:
        for step, value in finite.items():
            store.save(step, MEMBERS, finite=value)
        assert store.steps() == [200, 400, 500]
    with Store(tmp_path, keep=1) as store:  # one that knows nothing of those before
        store.save(600, MEMBERS, finite=False)
        assert store.steps() == [200, 600]
        store.save(700, MEMBERS, finite=True)
        assert store.steps() == [700]


def test_a_damaged_one_counts_as_none_of_those_kept(tmp_path: Path) -> None:
    with Store(tmp_path, keep=2) as store:
        for step in (100, 200):
            store.save(step, MEMBERS, finite=True)
    damage(tmp_path, 200)
    with Store(tmp_path, keep=2) as store:
        store.save(300, MEMBERS, finite=True)
        assert store.steps() == [100, 200, 300]
        store.save(400, MEMBERS, finite=True)
        assert store.steps() == [300, 400]


def test_an_older_step_than_the_newest_stays_when_it_is_saved(tmp_path: Path) -> None:
    with Store(tmp_path, keep=1) as store:
        store.save(300, MEMBERS, finite=True)
        store.save(100, MEMBERS, finite=True)
        assert 100 in store.steps()


def test_a_save_of_the_same_step_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.save(100, MEMBERS, finite=False)
        store.save(100, {"training.json": b"[]"}, finite=True)
        found = store.newest()
        assert found is not None
        assert found.members == {"training.json": b"[]"}
        assert found.finite
        with pytest.raises(CheckpointError, match="a checkpoint of this step"):
            store.save(100, MEMBERS, finite=False)
        assert read_checkpoint(found.path) == found
    assert names(tmp_path) == ["step-00000100"]


def test_what_others_put_in_the_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "step-1").mkdir()
    (tmp_path / "step-000000001").mkdir()
    (tmp_path / "step-00000009.tmp-0123abcd").write_text("a file, not a folder of ours")
    before = names(tmp_path)
    with Store(tmp_path, keep=1) as store:
        assert store.newest() is None
        for step in (1, 2):
            store.save(step, MEMBERS, finite=True)
    assert names(tmp_path) == sorted([*before, "step-00000002"])


def test_what_a_dead_writer_left_is_cleared_away(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        path = store.save(100, MEMBERS, finite=True)
    shutil.copytree(path, tmp_path / "step-00000200.tmp-0123abcd")
    shutil.copytree(path, tmp_path / "step-00000100.old-0123abcd")
    (tmp_path / "step-00000300.tmp-89abcdef").mkdir()
    with Store(tmp_path) as store:
        assert store.steps() == [100]
    assert names(tmp_path) == ["step-00000100"]


@pytest.mark.parametrize("there", ["nothing", "a damaged one"])
def test_a_replacement_that_was_cut_short_is_undone(tmp_path: Path, there: str) -> None:
    with Store(tmp_path) as store:
        path = store.save(100, MEMBERS, finite=True)
    shutil.copytree(path, tmp_path / "step-00000100.old-0123abcd")
    if there == "nothing":
        shutil.rmtree(path)
    else:
        damage(tmp_path, 100)
    with Store(tmp_path) as store:
        found = store.newest()
    assert found is not None
    assert found.members == MEMBERS
    assert names(tmp_path) == ["step-00000100"]


# ---------------------------------------------------------------------------- falling back


def test_a_damaged_one_is_named_and_the_one_before_is_used(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for step in (100, 200, 300):
            store.save(step, MEMBERS, finite=True)
        damage(tmp_path, 300)
        (tmp_path / "step-00000200" / "manifest.json").unlink()
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            found = store.newest()
    assert found is not None
    assert found.step == 100
    assert [w.category for w in heard] == [CheckpointWarning] * 2
    assert "step-00000300: a checksum does not match" in str(heard[0].message)
    assert "step-00000200: the manifest is missing" in str(heard[1].message)


def test_none_that_verifies_is_an_error(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.save(100, MEMBERS, finite=True)
        damage(tmp_path, 100)
        with pytest.raises(CheckpointError, match="no checkpoint in this folder can be used") as e:
            store.newest()
    assert "step-00000100: a checksum does not match" in e.value.received
    assert names(tmp_path) == ["step-00000100"]


# --------------------------------------------------------------------------- who may write


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        with pytest.raises(CheckpointError, match="somebody else writes") as error:
            Store(tmp_path)
        assert f"process {os.getpid()} on " in error.value.received
        store.save(1, MEMBERS, finite=True)
    with Store(tmp_path) as store:
        assert store.steps() == [1]


@posix
def test_the_lock_ends_with_the_process_that_was_killed(tmp_path: Path) -> None:
    program = (
        "import os, sys; from glassgrad.files.checkpoint import Store; s = Store(sys.argv[1]);"
        "s.save(1, {'training.json': b'{}'}, finite=True); print('held', flush=True); input()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline() == "held\n"
    with pytest.raises(CheckpointError, match="somebody else writes") as error:
        Store(tmp_path)
    assert f"process {child.pid} on " in error.value.received
    child.kill()
    child.wait()
    child.stdin.close()
    child.stdout.close()
    with Store(tmp_path) as store:
        assert store.steps() == [1]


@posix
def test_a_forked_child_neither_writes_nor_holds_the_lock(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                store.save(1, MEMBERS, finite=True)
            except CheckpointError:
                store.close()
                os.write(write, b"refused")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert os.read(read, 100) == b"refused"
        with pytest.raises(CheckpointError):
            Store(tmp_path)
        os.close(read)
        os.close(write)


def test_without_locks_of_the_system_the_file_itself_is_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_: int) -> bool:
        raise OSError(38, "no locks")

    monkeypatch.setattr(locks, "lock_handle", none)
    with Store(tmp_path):
        with pytest.raises(CheckpointError, match="somebody else writes") as error:
            Store(tmp_path)
        assert f"process {os.getpid()} on " in error.value.received
        assert "remove 'lock.held'" in error.value.hint
    with Store(tmp_path) as store:
        store.save(1, MEMBERS, finite=True)
    assert not (tmp_path / "lock.held").exists()


def test_a_closed_store_saves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.close()
    store.close()
    with pytest.raises(CheckpointError, match="closed"):
        store.save(1, MEMBERS, finite=True)


# ----------------------------------------------------------------------------- strictness


@posix
@pytest.mark.parametrize("change", cases().values(), ids=cases().keys())
def test_a_checkpoint_that_is_not_as_written_is_refused(tmp_path: Path, change: Change) -> None:
    with Store(tmp_path) as store:
        path = store.save(500, MEMBERS, finite=True)
        change(path)
        with pytest.raises(FormatError):
            read_checkpoint(path)
        assert names(path.parent) == names(tmp_path)
        if path.name in names(tmp_path):
            with pytest.raises(CheckpointError):
                store.newest()


def test_any_changed_byte_is_refused(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        path = store.save(500, MEMBERS, finite=True)
    for file in sorted(path.iterdir()):
        data = file.read_bytes()
        for place, byte in enumerate(data):
            changed = bytes([byte ^ (1, 0x20, 0x80)[place % 3]])  # a bit, or capital and small
            file.write_bytes(data[:place] + changed + data[place + 1 :])
            with pytest.raises(FormatError):
                read_checkpoint(path)
        file.write_bytes(data)
    assert read_checkpoint(path).members == MEMBERS


@pytest.mark.parametrize("block", range(4))
def test_what_was_changed_is_refused_or_is_what_a_save_writes(block: int) -> None:
    for seed in range(5000 * block, 5000 * block + 5000):
        assert mutated(seed) == [], f"seed {seed}"


def test_a_save_writes_what_the_mutations_take_for_it(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        path = store.save(500, MEMBERS, finite=True)
    assert {p.name: p.read_bytes() for p in path.iterdir()} == written()
    assert read_checkpoint(PLACE, disk=Listed(written())).members == MEMBERS


def test_a_change_with_a_right_checksum_can_be_read() -> None:
    other = save(500, MEMBERS, finite=False)
    assert not read_checkpoint(PLACE, disk=Listed(other)).finite
    assert other != written()


def test_sizes_are_compared_before_anything_is_read(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        path = store.save(500, MEMBERS, finite=True)
    os.truncate(path / "weights.safetensors", 2**40)  # takes no room on the disk
    tracemalloc.start()
    with pytest.raises(FormatError, match="another size"):
        read_checkpoint(path)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"../a.json": b""},
        {"a.pkl": b""},
        {"A.json": b""},
        {"manifest.json": b""},
        {"a/b.json": b""},
        {"a.json\n": b""},
        {f"a{i}.json": b"" for i in range(33)},
    ],
)
def test_members_that_could_not_be_read_are_not_written(
    tmp_path: Path, members: dict[str, bytes]
) -> None:
    with Store(tmp_path) as store:
        with pytest.raises(UsageError):
            store.save(1, members, finite=True)
        assert names(tmp_path) == []


@pytest.mark.parametrize("step", [-1, 1.0, True, 10**15])
def test_a_step_is_a_whole_number(tmp_path: Path, step: Any) -> None:
    with Store(tmp_path) as store, pytest.raises(UsageError):
        store.save(step, MEMBERS, finite=True)


@pytest.mark.parametrize("keep", [0, -1, 1.5, True, None])
def test_at_least_one_is_kept(tmp_path: Path, keep: Any) -> None:
    with pytest.raises(UsageError):
        Store(tmp_path, keep=keep)


# ---------------------------------------------------------------- folders that cannot be used


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    class Small(Disk):
        def free(self, folder: Path) -> int:
            return 1000

    with Store(tmp_path, disk=Small()) as store:
        with pytest.raises(CheckpointError, match="no room") as error:
            store.save(1, {"training.json": bytes(950)}, finite=True)
        assert error.value.received == "1,000 bytes free"
        assert "bytes and a tenth more" in error.value.expected
        assert names(tmp_path) == []
        store.save(1, {"training.json": bytes(100)}, finite=True)


def test_a_folder_that_vanished_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Store(folder) as store:
        store.save(1, MEMBERS, finite=True)
        shutil.rmtree(folder)
        with pytest.raises(CheckpointError):
            store.save(2, MEMBERS, finite=True)
        with pytest.raises(CheckpointError):
            store.newest()
    assert not folder.exists()


@pytest.mark.parametrize("name", ["file/run", "file", "a\0b", "x" * 300])
def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError):
        Store(tmp_path / name)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder none may write to")
def test_a_read_only_folder_is_an_error() -> None:
    with pytest.raises(CheckpointError):
        Store("/proc/self/run")
    with pytest.raises(CheckpointError):
        Store("/proc/self")


def test_a_checkpoint_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        read_checkpoint(tmp_path / "step-00000001")
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "none" / "step-00000001")
