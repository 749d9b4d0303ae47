"""The compiled executor, by plans written number by number: threads, forks, errors, leaks, batches."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad.backends import native
from glassgrad.errors import ConfigError, InternalError

if not native.available() and "GLASSGRAD_CI" not in os.environ:
    pytest.skip(f"no native executor: {native.why()}", allow_module_level=True)

_native: Any = native.module()
NAMES = _native.catalogue()
FLOAT, DOUBLE, INT = (NAMES["dtypes"][n] for n in ("float32", "float64", "int64"))


@pytest.fixture(autouse=True)
def default_threads() -> Iterator[None]:
    yield
    gg.set_threads(0)


def dense(slot: int, dtype: int, *shape: int) -> list[int]:
    strides = [int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape))]
    return [slot, dtype, len(shape), *shape, *strides]


def step(
    kernel: str, operands: list[list[int]], ints: tuple[int, ...] = (), split: int = 1
) -> list[int]:
    flat = [number for x in operands for number in x]
    return [NAMES["kernels"][kernel], split, len(operands), len(ints), 0, *flat, *ints]


def numbers(bases: Any, slots: Any, code: list[int]) -> tuple[Any, ...]:
    return (*[np.array(x, np.int64) for x in (bases, slots, code)], np.zeros(0))


def plan(bases: Any, slots: Any, code: list[int], **settings: Any) -> Any:
    return _native.Plan(*numbers(bases, slots, code), **settings)


def looked_up(rows: int, columns: int, taken: int) -> tuple[Any, ...]:
    """Rows of base 1 at the positions in base 2, into base 3; all of these must be finite."""
    size = columns * 4
    code = step(
        "take",
        [dense(0, FLOAT, rows, columns), dense(1, INT, taken), dense(2, FLOAT, taken, columns)],
    )
    code += step("guard", [dense(2, FLOAT, taken, columns)])
    bases = [[0, 0], [1, rows * size], [1, taken * 8], [2, taken * size]]
    return numbers(bases, [[1, 0, -1, 0], [2, 0, -1, 0], [3, 0, -1, 0]], code)


def lookup(rows: int, columns: int, taken: int, **settings: Any) -> Any:
    return _native.Plan(*looked_up(rows, columns, taken), **settings)


def arrays(rows: int = 8, columns: int = 4, taken: int = 3) -> list[Any]:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(rows, columns)).astype(np.float32)
    return [table, rng.integers(0, rows, taken), np.zeros((taken, columns), np.float32)]


# -- running -----------------------------------------------------------------------------------


@pytest.mark.parametrize("isa", _native.isas() if _native else [])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_plan_gives_what_numpy_gives_on_any_threads(isa: str, threads: int) -> None:
    gg.set_threads(threads)
    table, order, out = arrays(500, 512, 700)
    for careful in (False, True):
        out[:] = 0
        assert lookup(500, 512, 700, isa=isa, careful=careful).run([table, order, out]) == 0
        np.testing.assert_array_equal(out, table[order])


def test_a_bound_plan_sees_what_its_arrays_hold_now() -> None:
    table, order, out = arrays()
    bound = lookup(8, 4, 3).bind([table, order, out])
    for i in range(3):
        order[:] = i
        assert bound.run() == 0
        np.testing.assert_array_equal(out, table[[i] * 3])
    other = np.zeros_like(out)
    bound.set(3, other)
    out[:] = 0
    assert bound.run() == 0
    np.testing.assert_array_equal(other, table[order])
    assert not out.any()


def test_a_guard_and_a_position_outside_end_a_run_with_their_status() -> None:
    made = lookup(8, 4, 3)
    table, order, out = arrays()
    table[order[1], 2] = np.nan
    assert made.run([table, order, out]) == 1
    table[:] = 0
    order[2] = 8
    assert made.run([table, order, out]) == 2
    assert made.fault == (8, 8)
    order[2] = -1
    assert made.run([table, order, out]) == 2
    assert made.fault == (-1, 8)


def test_a_profile_counts_runs_and_measures_instructions() -> None:
    made = lookup(8, 4, 3)
    made.profile(True)
    for _ in range(5):
        made.run(arrays())
    assert made.runs == 5
    assert len(made.times()) == len(made.describe()) == 2
    assert all(t > 0 for t in made.times())
    assert [d["kernel"] for d in made.describe()] == ["take", "guard"]
    made.profile(False)
    made.run(arrays())
    assert made.times() == [0, 0]


@pytest.mark.parametrize("workers", [2, 4])
def test_python_threads_may_share_a_plan(workers: int) -> None:
    gg.set_threads(2)
    made = lookup(200, 512, 300)
    wrong: list[int] = []

    def work(seed: int) -> None:
        table, order, out = arrays(200, 512, 300)
        table += seed
        for _ in range(30):
            out[:] = 0
            if made.run([table, order, out]) != 0 or not (out == table[order]).all():
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(workers)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


# -- batches -----------------------------------------------------------------------------------


def first_row(batch: int) -> Any:
    """The row of the batch that a table names, into another table."""
    code = step("take", [dense(0, DOUBLE, batch, 3), dense(1, INT, 1), dense(2, DOUBLE, 1, 3)])
    bases = [[0, 0], [1, batch * 24], [1, 8], [2, 24]]
    return plan(bases, [[1, 0, -1, 0], [2, 0, -1, 0], [3, 0, -1, 0]], code)


def looped(rows: int, batch: int) -> tuple[Any, Any]:
    x = np.random.default_rng(1).normal(size=(rows, 3))
    rest = first_row(rows % batch) if rows % batch else None
    return _native.Loop(first_row(batch), rest, [x, None, None], [1], [2, 3], rows, batch), x


@pytest.mark.parametrize(("rows", "batch"), [(10, 4), (8, 4), (5, 1), (3, 3)])
@pytest.mark.parametrize("shuffled", [False, True])
def test_steps_see_the_rows_of_their_batch(rows: int, batch: int, shuffled: bool) -> None:
    loop, x = looped(rows, batch)
    per_epoch = -(-rows // batch)
    assert loop.steps_per_epoch == per_epoch
    rng = np.random.default_rng(2)
    order = np.array([rng.permutation(rows) if shuffled else np.arange(rows) for _ in range(4)])
    which = np.zeros((4 * per_epoch, 1), np.int64)
    wanted = [x[o[i * batch]] for o in order for i in range(per_epoch)]
    given = order if shuffled else None
    out = np.zeros((4 * per_epoch, 3))
    assert loop.advance(given, 0, 2, [which[:2], out[:2]]) == (2, 0)
    assert loop.advance(given, 2, len(out) - 2, [which[2:], out[2:]]) == (len(out) - 2, 0)
    np.testing.assert_array_equal(out, wanted)


def test_a_loop_stops_at_the_step_that_does_not_end_well() -> None:
    loop, _ = looped(10, 4)
    which, out = np.zeros((9, 1), np.int64), np.zeros((9, 3))
    which[5] = 2  # the rest has two rows
    assert loop.advance(None, 0, 9, [which, out]) == (5, 2)
    which[5] = 0
    order = np.tile(np.arange(10), (3, 1))
    order[1, 6] = 10
    assert loop.advance(order, 0, 9, [which, out]) == (4, 2)


def test_a_loop_comes_back_when_its_time_is_up() -> None:
    loop, _ = looped(10, 4)
    which, out = np.zeros((200_000, 1), np.int64), np.zeros((200_000, 3))
    done, status = loop.advance(None, 0, 200_000, [which, out], 1e-5)
    assert status == 0
    assert 0 < done < 200_000


def test_what_does_not_fit_a_loop_is_refused() -> None:
    loop, x = looped(10, 4)
    which, out = np.zeros((3, 1), np.int64), np.zeros((3, 3))
    order = np.arange(10)
    for arguments in (
        (order, 0, 4, [which, out]),  # tables of three steps
        (order, 1, 3, [which, out]),  # an epoch of three steps
        (order[:9], 0, 3, [which, out]),
        (order, 0, 3, [which]),
        (order, -1, 3, [which, out]),
    ):
        with pytest.raises(InternalError):
            loop.advance(*arguments)
    with pytest.raises(InternalError, match="rows"):
        _native.Loop(first_row(4), None, [x, None, None], [1], [2, 3], 7, 4)
    with pytest.raises(InternalError):
        _native.Loop(first_row(4), None, [x, None, None], [1], [2], 10, 4)


# -- what does not fit -------------------------------------------------------------------------


def refused(cause: str, make: Callable[[], Any]) -> None:
    with pytest.raises(InternalError, match=cause):
        make()


def test_a_plan_that_does_not_hold_together_is_refused() -> None:
    slots = [[0, 0, -1, 0], [1, 0, -1, 0], [2, 0, -1, 0]]
    bases = [[0, 64], [1, 64], [2, 64]]
    into = step("arange", [dense(0, INT, 8)])
    refused("lies outside", lambda: plan(bases, slots, step("arange", [dense(0, INT, 9)])))
    refused("only read", lambda: plan(bases, slots, step("arange", [dense(1, INT, 8)])))
    refused("not from", lambda: plan(bases, slots, step("arange", [dense(3, INT, 8)])))
    refused("ends", lambda: plan(bases, slots, into[:-1]))
    refused("not from 0", lambda: plan([[1, 64]], slots, into))
    refused("aligned", lambda: plan(bases, [[0, 4, -1, 0]], step("arange", [dense(0, INT, 4)])))
    refused("loop", lambda: plan(bases, [[0, 0, 1, 8]], step("arange", [dense(0, INT, 4)])))
    twice = [0, INT, 1, 4, 0]
    refused("twice|stretched", lambda: plan(bases, slots, step("arange", [twice])))
    over = step("cumsum", [dense(0, INT, 4), dense(1, INT, 4)], (0,))
    refused("over|overlap", lambda: plan(bases, [[0, 0, -1, 0], [0, 8, -1, 0]], over))
    loop = step("loop", [], (0, 4, 0, 2)) + into
    refused("middle of a loop", lambda: plan(bases, slots, loop))


def test_arrays_that_do_not_fit_are_refused() -> None:
    made = lookup(8, 4, 3)
    table, order, out = arrays()
    refused("fewer arrays", lambda: made.run([table, order]))
    refused("more arrays", lambda: made.run([table, order, out, out]))
    refused("bytes", lambda: made.run([table[:7], order, out]))
    refused("contiguous", lambda: made.run([table[:, ::2], order, out]))
    fixed = out.copy()
    fixed.flags.writeable = False
    refused("write", lambda: made.run([table, order, fixed]))
    both = np.zeros(40, np.float32)
    refused("share memory", lambda: made.run([both[:32], order, both[28:]]))
    shifted = np.zeros(4 * 8 * 4 + 4, np.uint8)[1:129]
    refused("aligned", lambda: made.run([shifted, order, out]))
    assert made.run([table, order, out]) == 0


def test_a_number_of_threads_has_to_be_one() -> None:
    for wrong in (-1, 257, 1.5, True, "2"):
        with pytest.raises(ConfigError, match="threads"):
            gg.set_threads(wrong)  # type: ignore[arg-type]  # on purpose
    gg.set_threads(3)
    assert gg.get_threads() == 3


# -- the process -------------------------------------------------------------------------------


def output_of(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_the_environment_says_how_many_threads_and_which_instructions() -> None:
    threads = "import glassgrad as gg; print(gg.get_threads())"
    for name in ("GLASSGRAD_NUM_THREADS", "OMP_NUM_THREADS"):
        assert (
            output_of(threads, **{"GLASSGRAD_NUM_THREADS": "7", "OMP_NUM_THREADS": "9", name: "3"})
            == "3"
        )
    isa = "from glassgrad.backends import native as n; print(n.available(), n.isa(), n.why())"
    assert output_of(isa, GLASSGRAD_ISA="reference") == "True reference GLASSGRAD_ISA=reference"
    assert output_of(isa, GLASSGRAD_ISA="mmx").startswith(
        "False  GLASSGRAD_ISA=mmx, and this machine"
    )


PROCESS = """
import os, signal, threading
def state():
    with open("/proc/self/status") as f:
        kept = [line for line in f if line.startswith(("Threads", "Sig", "Shd"))]
    return [kept, [signal.getsignal(s) for s in signal.valid_signals()], 5e-324 * 1.0 == 0.0]
import numpy
before = state()
from glassgrad.backends.native import _native
assert state() == before, (before, state())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_import_starts_no_thread_and_changes_no_signal_or_floating_point_mode() -> None:
    output_of(PROCESS)


FORK = f"""
import os, sys
sys.path.insert(0, {os.fspath(Path(__file__).parents[3])!r})
import numpy as np, glassgrad as gg
from tests.backends.native.test_executor import arrays, lookup
gg.set_threads(2)
made, (table, order, out) = lookup(500, 512, 700), arrays(500, 512, 700)
def right():
    out[:] = 0
    return made.run([table, order, out]) == 0 and (out == table[order]).all()
assert right()
for _ in range(5):
    child = os.fork()
    if child == 0:
        os._exit(0 if right() and right() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert right()
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_after_a_fork_has_threads_of_its_own() -> None:
    assert output_of(FORK) == "done"


def test_denormal_numbers_count_whatever_mode_the_caller_is_in() -> None:
    table, order, out = arrays(500, 512, 700)
    table[:] = 1e-40
    gg.set_threads(2)
    assert lookup(500, 512, 700).run([table, order, out]) == 0
    assert (out == np.float32(1e-40)).all()
