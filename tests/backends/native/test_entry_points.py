"""Every function and method of the compiled module, 10,000 times, with good and with hostile arguments.

Memory does not grow, nothing crashes, what does not fit is refused, and what was refused leaves
everything as it was.
"""

from __future__ import annotations

import ast
import copy
import gc
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glassgrad.backends import native
from glassgrad.errors import InternalError
from tests.backends.native.test_executor import (
    NAMES,
    arrays,
    first_row,
    looked_up,
    lookup,
    looped,
)

if not native.available() and "GLASSGRAD_CI" not in os.environ:
    pytest.skip(f"no native executor: {native.why()}", allow_module_level=True)

_native: Any = native.module()
CALLS = 10_000
EXP = NAMES["operations"]["exp"]
FAST = _native.isas()[0] if _native else ""
NAN, INF = float("nan"), float("inf")


def read_only(array: Any) -> Any:
    fixed = array.copy()
    fixed.flags.writeable = False
    return fixed


def closed() -> memoryview:
    view = memoryview(bytearray(4096))
    view.release()
    return view


def shifted(array: Any) -> Any:
    """The same numbers one byte beside where they should be."""
    room = np.zeros(array.nbytes + 1, np.uint8)
    room[1:] = array.view(np.uint8).ravel()
    return room[1:]


def stops() -> Iterator[Any]:
    yield arrays()[0]
    raise ValueError("no more of these")


class Point:
    """A call that goes well, and those that are refused."""

    def __init__(self, good: Callable[[], Any], *hostile: Callable[[], Any]) -> None:
        self.good = good
        self.hostile = hostile


def functions() -> dict[str, Point]:
    x, out = np.linspace(-1, 1, 37), np.zeros(37)
    whole, single = np.arange(37), np.zeros(37, np.float32)

    def unary(**named: Any) -> Callable[[], Any]:
        usual = {"isa": FAST, "operation": EXP, "x": x, "out": out} | named
        return lambda: _native.unary(**usual)

    return {
        "catalogue": Point(_native.catalogue, lambda: _native.catalogue(1)),
        "isas": Point(_native.isas, lambda: _native.isas(None)),
        "isa": Point(_native.isa, lambda: _native.isa("avx2")),
        "set_threads": Point(
            lambda: _native.set_threads(0),
            lambda: _native.set_threads(None),
            lambda: _native.set_threads("2"),
            lambda: _native.set_threads(1.5),
            lambda: _native.set_threads(2**40),
        ),
        "get_threads": Point(_native.get_threads, lambda: _native.get_threads(1)),
        "usable_cpus": Point(_native.usable_cpus, lambda: _native.usable_cpus(1)),
        "peak": Point(
            lambda: _native.peak("float32", 1),
            lambda: _native.peak("int64", 1),
            lambda: _native.peak("float64", 1, "mmx"),
            lambda: _native.peak(None, 1),
            lambda: _native.peak("float32", 2**40),
            lambda: _native.peak("float32"),
        ),
        "unary": Point(
            unary(),
            unary(isa="mmx"),
            unary(isa=None),
            unary(operation=-1),
            unary(operation=len(NAMES["operations"])),
            unary(operation=2**70),
            unary(x=None),
            unary(x=x[:-1]),
            unary(x=np.zeros(74)[::2]),
            unary(x=x.reshape(1, -1)),
            unary(x=whole),
            unary(x=single),
            unary(x=x.astype(">f8")),
            unary(x=list(x)),
            unary(out=read_only(out)),
            unary(out=single),
            unary(out=whole),
            unary(out=np.zeros(74)[::2]),
            unary(out=bytes(37 * 8)),
            unary(out=None),
        ),
    }


def plans() -> dict[str, Point]:
    table, order, out = arrays()
    made = lookup(8, 4, 3)
    usual = dict(zip(("bases", "slots", "code", "reals"), looked_up(8, 4, 3), strict=True))
    bound = made.bind([table, order, out])
    nowhere = np.array([0, 1, 99])

    def plan(**changed: Any) -> Callable[[], Any]:
        return lambda: _native.Plan(**(usual | changed))

    code = usual["code"]
    numbers = [np.concatenate([code[:i], [v], code[i + 1 :]]) for i in range(len(code))
               for v in (-1, 2**62, -(2**63))]  # fmt: skip
    # A number that is wrong in every place, but for those where no number is: how it is divided.
    wrong_code = [plan(code=c) for c in numbers if refuses(plan(code=c))]
    cut_code = [plan(code=code[:i]) for i in range(1, len(code)) if refuses(plan(code=code[:i]))]
    wrong_arrays = [
        [table, order],
        [table, order, out, out],
        [table[:7], order, out],
        [table[:, ::2], order, out],
        [table, order, read_only(out)],
        [table, order, table[:3]],
        [shifted(table), order, out],
        [table, None, out],
        [table, "order", out],
        [table, order, bytes(out.nbytes)],
        [table, closed(), out],
        [object(), order, out],
        [table, [0, 1, 2], out],
        [],
        None,
        7,
    ]
    return {
        "Plan": Point(
            plan(),
            *wrong_code,
            *cut_code,
            *[plan(**{name: None}) for name in usual],
            *[plan(**{name: array.astype(np.complex128)}) for name, array in usual.items()],
            *[plan(**{name: array[None, None]}) for name, array in usual.items()],
            plan(bases=usual["bases"][:0]),
            plan(bases=usual["bases"][:2]),
            plan(bases=usual["bases"] * 2**60),
            plan(bases=-usual["bases"] - 1),
            plan(slots=usual["slots"][:0]),
            plan(slots=usual["slots"] + 2**61),
            plan(slots=usual["slots"] - 5),
            plan(isa="mmx"),
            plan(isa=3),
            plan(careful="yes"),
            _native.Plan,
        ),
        "Plan.run": Point(
            lambda: made.run([table, order, out]),
            *[lambda w=w: made.run(w) for w in wrong_arrays],
            lambda: made.run(stops()),
        ),
        "Plan.run, stopped": Point(lambda: made.run([table, nowhere, out])),
        "Plan.bind": Point(
            lambda: made.bind([table, order, out]),
            *[lambda w=w: made.bind(w) for w in wrong_arrays],
        ),
        "Bound": Point(lambda: made.bind((table, order, out)), _native.Bound),
        "Bound.run": Point(bound.run, lambda: bound.run(1)),
        "Bound.set": Point(
            lambda: bound.set(1, table),
            *[lambda b=b: bound.set(b, table) for b in (0, -1, 4, 2**62, 2**70, None)],
            *[lambda x=x: bound.set(1, x)
              for x in (None, table[:2], table[:, ::2], shifted(table), closed(), 7)],
            lambda: bound.set(3, read_only(out)),
            lambda: bound.set(3, table[:3]),
        ),
        "Bound.call": Point(
            lambda: bound.call(1, table, 3, out),
            *[lambda b=b: bound.call(b, table, 3, out) for b in (0, -1, 4, 2**62, 2**70, None)],
            *[lambda b=b: bound.call(1, table, b, out) for b in (0, -1, 4, 1, 2**70, None)],
            *[lambda x=x: bound.call(1, x, 3, out)
              for x in (None, table[:2], table[:, ::2], shifted(table), closed(), 7)],
            *[lambda x=x: bound.call(1, table, 3, x)
              for x in (None, out[:2], read_only(out), table, table[:3], shifted(out), closed())],
            lambda: bound.call(1, table),
        ),
        "Plan.describe": Point(made.describe, lambda: made.describe(1)),
        "Plan.profile": Point(lambda: made.profile(False), lambda: made.profile("on")),
        "Plan.times": Point(made.times, lambda: made.times(1)),
        "Plan.isa": Point(lambda: made.isa, lambda: setattr(made, "isa", "avx2")),
        "Plan.fault": Point(lambda: made.fault, lambda: setattr(made, "fault", None)),
        "Plan.runs": Point(lambda: made.runs, lambda: setattr(made, "runs", 1)),
        "Plan.seconds": Point(lambda: made.seconds, lambda: setattr(made, "seconds", 1)),
        "Plan.arena": Point(lambda: made.arena, lambda: setattr(made, "arena", 1)),
    }  # fmt: skip


def loops() -> dict[str, Point]:
    loop, x = looped(10, 4)
    main, rest = first_row(4), first_row(2)
    which, out, order = np.zeros((3, 1), np.int64), np.zeros((3, 3)), np.arange(10)
    nowhere = np.full(10, 10)
    usual = {
        "plan": main, "rest": rest, "arrays": [x, None, None], "data": [1], "tables": [2, 3],
        "rows": 10, "batch": 4,
    }  # fmt: skip

    def make(**changed: Any) -> Callable[[], Any]:
        return lambda: _native.Loop(**(usual | changed))

    def advance(**named: Any) -> Callable[[], Any]:
        given = {"order": order, "first": 0, "count": 3, "tables": [which, out]} | named
        return lambda: loop.advance(**given)

    return {
        "Loop": Point(
            make(),
            make(plan=None),
            make(plan=loop),
            make(rest=main),
            make(rest=7),
            make(rest=lookup(2, 4, 3)),
            make(arrays=[x, None]),
            make(arrays=None),
            make(arrays=[None, None, None]),
            make(arrays=[x[:, ::2], None, None]),
            make(arrays=[x[:9], None, None]),
            make(arrays=[shifted(x), None, None]),
            make(arrays=[closed(), None, None]),
            make(data=[1, 2]),
            make(data=[3]),
            make(data=[-1]),
            make(tables=[2]),
            make(tables=[2, 3, 3]),
            make(tables=[2, 9]),
            make(tables=[2, -(2**62)]),
            *[make(rows=n) for n in (0, -1, 7, 2**62, None)],
            *[make(batch=n) for n in (0, -1, 5, 2**62, None)],
            make(casts={1: (7, 1.0)}),
            make(casts=None),
            make(casts={1: "float32"}),
        ),
        "Loop.advance": Point(
            advance(),
            *[advance(order=o) for o in (order[:9], order[:0], order.astype("i4"), order[::2],
                                         shifted(order), "order", closed(), 7)],
            *[advance(first=n) for n in (-1, 1, 3, 2**63 - 1, 2**70, None)],
            *[advance(count=n) for n in (-1, 4, 2**62, 2**63 - 1, None)],
            *[advance(tables=t) for t in ([which], [which, out, out], [None, out], [which, None],
                                          [which, read_only(out)], [which[:2], out], None,
                                          [which, out[:2]], [out, out], [which, shifted(out)],
                                          [which, closed()], [which, np.zeros((3, 6))[:, ::2]])],
            *[advance(budget=b) for b in (NAN, -1.0, -INF, None, "soon")],
            advance(order=None, tables=[x[:1], x[1:4]]),  # its own data
        ),
        "Loop.advance, without an order": Point(advance(order=None)),
        "Loop.advance, for ever": Point(advance(budget=INF)),
        "Loop.advance, stopped": Point(advance(order=nowhere)),
        "Loop.steps_per_epoch": Point(
            lambda: loop.steps_per_epoch, lambda: setattr(loop, "steps_per_epoch", 1)
        ),
    }  # fmt: skip


REFUSALS = (InternalError, TypeError, ValueError, OverflowError, AttributeError)


def refuses(call: Callable[[], Any]) -> bool:
    try:
        call()
    except REFUSALS:
        return True
    return False


POINTS = functions() | plans() | loops() if _native else {}


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def grows(call: Callable[[], Any], calls: int) -> int:
    """By how many bytes the process is larger after so many calls, once it is warm."""
    for _ in range(500):
        call()
    before = resident()
    for _ in range(calls):
        call()
    return resident() - before


def test_every_entry_point_is_here() -> None:
    stub = ast.parse((Path(native.__file__).parent / "_native.pyi").read_text("utf-8"))
    named = set()
    for node in stub.body:
        if isinstance(node, ast.FunctionDef):
            named.add(node.name)
        elif isinstance(node, ast.ClassDef) and node.name != "Described":
            named.add(node.name)
            inner = {n.name for n in node.body if isinstance(n, ast.FunctionDef)} - {"__init__"}
            named |= {f"{node.name}.{name}" for name in inner}
    assert named == {name.split(",")[0] for name in POINTS}
    there = {name for name in dir(_native) if not name.startswith("_")}
    assert there == {name for name in named if "." not in name}


@pytest.mark.parametrize("name", POINTS)
def test_hostile_arguments_are_refused_and_change_nothing(name: str) -> None:
    point = POINTS[name]
    before = point.good()
    taken = [i for i, call in enumerate(point.hostile) if not refuses(call)]
    assert taken == []
    after = point.good()
    if isinstance(before, int | str | list | dict | tuple) and name != "Plan.times":
        assert after == before or name == "Plan.runs"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
@pytest.mark.parametrize("name", POINTS)
def test_ten_thousand_calls_keep_no_memory(name: str) -> None:
    assert grows(POINTS[name].good, CALLS) < 1 << 20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
@pytest.mark.parametrize("name", [name for name, point in POINTS.items() if point.hostile])
def test_ten_thousand_refusals_keep_no_memory(name: str) -> None:
    hostile = POINTS[name].hostile

    def refused_all() -> None:
        for call in hostile:
            refuses(call)

    assert grows(refused_all, CALLS // len(hostile) + 1) < 1 << 20


def test_arrays_are_let_go() -> None:
    """After calls that go well, and after refusals."""
    table, order, out = arrays()
    made, (loop, x) = lookup(8, 4, 3), looped(10, 4)
    which, kept = np.zeros((3, 1), np.int64), np.zeros((3, 3))
    held = (table, order, out, which, kept, x)
    before = [sys.getrefcount(array) for array in held]
    for _ in range(20):
        made.run([table, order, out])
        made.bind([table, order, out]).run()
        refuses(lambda: made.run([table, order, out, out]))
        refuses(lambda: made.run([table, order, table]))
        loop.advance(None, 0, 3, [which, kept])
        refuses(lambda: loop.advance(None, 0, 4, [which, kept]))
        refuses(lambda: _native.Loop(first_row(4), None, [x, None, None], [1], [2, 3], 7, 4))
    gc.collect()
    assert [sys.getrefcount(array) for array in held] == before


def test_a_bound_array_stays_as_large_as_it_was() -> None:
    table, order, out = arrays()
    room = bytearray(table.tobytes())
    bound = lookup(8, 4, 3).bind([room, order, out])
    with pytest.raises(BufferError):
        room.clear()
    assert bound.run() == 0
    np.testing.assert_array_equal(out, table[order])
    del bound
    gc.collect()
    room.clear()


def test_what_was_the_result_may_be_the_input() -> None:
    table, order, out = arrays(3, 4, 3)
    bound = lookup(3, 4, 3).bind([table, order, out])
    other = np.zeros_like(out)
    assert bound.run() == 0
    assert bound.call(1, out, 3, other) == 0
    np.testing.assert_array_equal(other, table[order][order])
    with pytest.raises(InternalError, match="share memory"):
        bound.set(1, other)
    assert bound.run() == 0  # with what it had


def test_a_bound_plan_outlives_its_names() -> None:
    table, order, out = arrays()
    bound = lookup(8, 4, 3).bind([a := table.copy(), b := order.copy(), out])
    del a, b
    gc.collect()
    assert bound.run() == 0
    np.testing.assert_array_equal(out, table[order])
    loop, _ = looped(10, 4)
    gc.collect()
    assert loop.advance(None, 0, 3, [np.zeros((3, 1), np.int64), np.zeros((3, 3))]) == (3, 0)


@pytest.mark.filterwarnings("ignore:nanobind")
def test_what_was_never_made_is_not_used() -> None:
    for kind in (_native.Plan, _native.Bound, _native.Loop):
        empty = kind.__new__(kind)
        for name in set(dir(kind)) - set(dir(object)):
            arguments: list[Any] = [[]] * (name in ("run", "bind")) if kind is _native.Plan else []
            assert refuses(lambda: getattr(empty, name)(*arguments)), name  # noqa: B023  # called at once


def test_what_is_made_is_not_made_anew() -> None:
    made, (table, order, out) = lookup(8, 4, 3), arrays()
    with pytest.warns(RuntimeWarning, match="already-initialized"), pytest.raises(TypeError):
        made.__init__(*looked_up(2, 4, 3))
    assert made.run([table, order, out]) == 0
    np.testing.assert_array_equal(out, table[order])


def test_plans_are_made_again_not_copied() -> None:
    made = lookup(8, 4, 3)
    for way in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="pickle"):
            way(made)
