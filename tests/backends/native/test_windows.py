"""Pooling and columns: native beside NumPy text, bit for bit, in any order of the images in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.backends import native
from glassgrad.backends.native import windows
from glassgrad.backends.native.build import lowered, planned
from glassgrad.backends.native.function import NativeFunction
from glassgrad.backends.native.planner import Block
from glassgrad.engine import compile_graph
from glassgrad.ir import Graph, Type, Value, verify
from glassgrad.ops import OPS, Tracer
from glassgrad.passes import formulas
from glassgrad.passes.differentiate import pull_back_values
from glassgrad.passes.layout import Ints, Lay, row_major
from tests.backends.native.interpreter import Interpreter
from tests.backends.native.test_planner import catalogue
from tests.backends.native.training import forget, made
from tests.ops.harness import Case, cases, gradient_graph, op_graph, second_graph

pytestmark = pytest.mark.usefixtures("own_plans")
Array = NDArray[Any]
built = pytest.mark.skipif(
    not native.available() and "GLASSGRAD_CI" not in os.environ, reason=f"native: {native.why()}"
)
OPS_HERE = "columns uncolumns max_pool max_unpool max_pick mean_pool mean_unpool".split()
CASES = cases("float64", "float32", only=lambda op: op.name in OPS_HERE)


def orders(rank: int) -> dict[str, tuple[int, ...]]:
    """How images may lie in memory: their axes, the one that moves slowest first."""
    space = tuple(range(2, rank))
    return {
        "as they are": (0, 1, *space),
        "channels last": (0, *space, 1),
        "images last": (1, *space, 0),
        "backwards": tuple(range(rank))[::-1],
    }


def in_order(lay: Lay, name: str) -> Lay:
    """The same room with the axes of images in another order."""
    if len(lay.shape) < 3:
        return lay
    axes = orders(len(lay.shape))[name]
    dense = row_major([lay.shape[i] for i in axes])
    return replace(lay, strides=tuple([dense[axes.index(i)] for i in range(len(axes))]))


@pytest.fixture(params=orders(4))
def order(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whatever a plan makes lies in this order."""
    place = Block.place

    def turned(self: Block, value: Value, like: Lay | None = None) -> Lay:
        lay = place(self, value, like)
        if value not in self.targets:
            lay = self.lays[value] = in_order(lay, request.param)
        return lay

    monkeypatch.setattr(Block, "place", turned)
    return str(request.param)


def text(graph: Graph, arrays: list[Array]) -> list[Array]:
    with np.errstate(all="ignore"):
        found = compile_graph(graph)(*arrays)
    return [*found] if isinstance(found, tuple) else [found]


def executed(graph: Graph, arrays: list[Array]) -> list[Array]:
    found = NativeFunction(graph, None)(*arrays)
    return [*found] if isinstance(found, tuple) else [found]


def graphs(case: Case) -> Iterator[tuple[Graph, list[Array]]]:
    """The op, its gradients, and the gradients of these."""
    yield op_graph(case), case.arrays
    arrays = [*case.arrays, case.cotangent]
    yield gradient_graph(case), arrays
    if case.dtype == "float64":
        draw = np.random.default_rng(case.seed)
        first = gradient_graph(case)
        us = [draw.standard_normal(case.arrays[int(k[1:]) - 1].shape) for k in first.outputs]
        if second_graph(case).outputs:
            yield second_graph(case), [*arrays, *us]


def same(found: list[Array], wanted: list[Array]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("case", CASES)
def test_a_plan_of_windows_computes_what_the_text_computes(case: Case, order: str) -> None:
    for graph, arrays in graphs(case):
        plan = planned(lowered(graph), {}, catalogue(), returns=list(graph.outputs), results=False)
        outs = [np.empty(p.shape, p.dtype) for p in plan.ports if p.name.startswith("out ")]
        given = [np.ascontiguousarray(a).reshape(a.shape) for a in arrays]
        assert Interpreter(plan.encoded, catalogue()).run([*given, *outs])
        same(outs, text(graph, arrays))


@built
@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_native_gives_the_bits_of_the_text(
    case: Case, order: str, noted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "NOTED", noted)
    for graph, arrays in graphs(case):
        same(executed(graph, arrays), text(graph, arrays))


def pooled_and_back(
    shape: Ints, kernel: Ints, stride: Ints, make: Callable[[Any], Any], dtype: str
) -> Graph:
    """What is made of x, its largest numbers, and the way back of c through both."""
    tracer = Tracer()
    x = tracer.input("x", Type(shape, dtype))
    pooled = OPS["max_pool"](make(x), kernel=kernel, stride=stride)
    c = tracer.input("c", pooled.value.type)
    found = pull_back_values(tracer, [(pooled.value, c.value)], [x.value])
    inputs: dict[str, Value] = {"x": x.value, "c": c.value}
    return verify(Graph(inputs, {"y": pooled.value, "d": found[x.value]}))


FORMS: dict[str, tuple[Ints, Ints, Ints]] = {
    "side by side": ((5, 3, 8, 6), (2, 2), (2, 2)),
    "many": ((17, 20, 8, 8), (2, 2), (2, 2)),
    "overlapping": ((5, 3, 9, 7), (3, 3), (2, 2)),
    "gaps and a rest": ((2, 9, 9, 8), (2, 1), (3, 2)),
    "one row": ((3, 4, 21), (3,), (1,)),
    "three axes": ((2, 3, 5, 4, 6), (2, 2, 3), (1, 2, 2)),
    "more places than a byte has": ((2, 3, 17, 18), (16, 16), (1, 2)),
}


@built
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", FORMS)
def test_ties_and_nan_are_those_of_the_text(form: str, dtype: str, order: str) -> None:
    """A tie goes to the first, a window with a NaN gives nothing back."""
    shape, kernel, stride = FORMS[form]
    draw = np.random.default_rng(3)
    x = draw.integers(-2, 3, shape).astype(dtype)
    x.ravel()[draw.permutation(x.size)[: x.size // 50 + 1]] = np.nan
    x.ravel()[draw.permutation(x.size)[: x.size // 50 + 1]] = -np.inf
    graph = pooled_and_back(shape, kernel, stride, lambda x: x, dtype)
    c = draw.standard_normal(graph.outputs["y"].type.shape).astype(dtype)
    same(executed(graph, [x, c]), text(graph, [x, c]))


def kernels_of(graph: Graph) -> list[str]:
    plan = planned(lowered(graph), {}, catalogue(), returns=list(graph.outputs), results=False)
    return [step.kernel for step in plan.steps]


@built
@pytest.mark.parametrize("form", FORMS)
def test_the_way_back_through_relu_is_in_the_places(
    form: str, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, kernel, stride = FORMS[form]
    graph = pooled_and_back(shape, kernel, stride, OPS["relu"], "float32")
    draw = np.random.default_rng(4)
    x = draw.integers(-3, 3, shape).astype("float32")
    c = draw.standard_normal(graph.outputs["y"].type.shape).astype("float32")
    wanted = text(graph, [x, c])
    assert "max_unpool" in kernels_of(graph)
    assert len(kernels_of(graph)) == 3
    same(executed(graph, [x, c]), wanted)
    monkeypatch.setattr(windows, "NOTED", False)
    assert "max_place" in kernels_of(graph)
    same(executed(graph, [x, c]), wanted)
    monkeypatch.setattr(formulas, "ENABLED", False)
    assert len(kernels_of(graph)) == 5
    same(executed(graph, [x, c]), wanted)


def test_relu_stays_apart_where_others_undo_the_pooling_too() -> None:
    """Its own number at each place is asked for, also where it is 0."""
    tracer = Tracer()
    x, d = (tracer.input(n, Type((2, 2, 4, 4), "float64")) for n in "xd")
    c = tracer.input("c", Type((2, 2, 2, 2), "float64"))
    settings: dict[str, Any] = {"kernel": (2, 2), "stride": (2, 2)}
    y = OPS["max_pool"](x, **settings)
    gated = OPS["max_unpool"](c, x, y, **settings) * (x > 0)
    picked = OPS["max_pick"](d, x, y, **settings)
    inputs = {"x": x.value, "d": d.value, "c": c.value}
    graph = verify(Graph(inputs, {"y": y.value, "back": gated.value, "picked": picked.value}))
    plan = planned(lowered(graph), {}, catalogue(), returns=list(graph.outputs), results=False)
    assert [step.ints[-1] for step in plan.steps if step.kernel == "max_pool"] == [0]
    draw = np.random.default_rng(5)
    arrays = [draw.integers(-3, 2, v.type.shape).astype("float64") for v in inputs.values()]
    outs = [np.empty(p.shape, p.dtype) for p in plan.ports if p.name.startswith("out ")]
    assert Interpreter(plan.encoded, catalogue()).run([*arrays, *outs])
    same(outs, text(graph, arrays))


# -- networks ----------------------------------------------------------------------------------


def network(dtype: str) -> nn.Module:
    return nn.Sequential(
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.AvgPool2d(3, 2),
        nn.MaxPool2d(3, 1),
        nn.Flatten(),
        nn.Linear(10, dtype=dtype),
    )


def images_of_a_layer(dtype: str) -> nn.Module:
    """Images that the network itself makes, so that its derivatives go through the pooling."""
    return nn.Sequential(
        nn.Linear(3 * 12 * 12, dtype=dtype),
        nn.Unflatten(1, (3, 12, 12)),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(10, dtype=dtype),
    )


def fitted(
    make: Callable[[str], nn.Module], dtype: str, backend: str = "native"
) -> tuple[nn.Module, gg.History]:
    gg.seed(0)
    draw = np.random.default_rng(6)
    x = draw.standard_normal((200, 3, 20, 20) if make is network else (200, 40)).astype(dtype)
    model = make(dtype)
    history = gg.fit(
        model, x, np.arange(200) * 7 % 10, loss="cross_entropy", optimizer=optim.SGD(0.05),
        epochs=2, batch_size=64, backend=backend, verbose=False, seed=1,
    )  # fmt: skip
    return model, history


MAKERS = [network, images_of_a_layer]


@built
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("dtype", "near"), [("float32", 1e-4), ("float64", 1e-11)])
def test_networks_that_pool_train_as_the_text_does(
    make: Callable[[str], nn.Module], dtype: str, near: float, order: str
) -> None:
    found, _ = fitted(make, dtype)
    wanted, _ = fitted(make, dtype, "numpy")
    for name, value in wanted.state_dict().items():
        np.testing.assert_allclose(found.state_dict()[name], value, rtol=near, atol=near)


@built
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_threads_and_instruction_set_leave_the_same_bits(
    make: Callable[[str], nn.Module], dtype: str, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = set()
    for isa in native.module().isas():  # type: ignore[union-attr]  # it is there
        for threads in (1, 2, 4):
            monkeypatch.setenv("GLASSGRAD_ISA", isa)
            gg.set_threads(threads)
            forget()
            found.add(made(*fitted(make, dtype)))
    assert len(found) == 1


@built
def test_places_off_are_places_on_and_the_images_need_not_be_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, arenas = set(), []
    for noted in (True, False):
        monkeypatch.setattr(windows, "NOTED", noted)
        forget()
        model, history = fitted(images_of_a_layer, "float32")
        found.add(made(model, history))
        arenas.append(history.record.plan.step.native.plan(64).plan.arena)
    assert len(found) == 1
    assert arenas[0] < arenas[1]
