"""A pass may change how a program is written, never a bit of what it gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad.backends.numpy_source.build import compile_function
from glassgrad.ir import Graph, Type, print_graph, reachable, verify
from glassgrad.ops import OPS, Tracer, named, traced_graph
from glassgrad.passes import simplify
from glassgrad.passes.differentiate import add_gradients, sum_to
from glassgrad.passes.lower import open_up, primitives
from glassgrad.passes.rewrite import rewrite, scheduled
from tests.graphs import Array, arrays_for, op_by_op, random_graph

SEEDS = range(150)


def results(graph: Graph) -> list[Array]:
    found = compile_function(graph)(*arrays_for(graph))
    return [np.asarray(a) for a in (found if isinstance(found, tuple) else (found,))]


def equal(left: list[Array], right: list[Array]) -> None:
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_program_gives_the_bits_of_its_ops_done_one_by_one(seed: int) -> None:
    graph = random_graph(seed)
    equal(results(graph), op_by_op(graph, arrays_for(graph)))


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_float32_program_is_float32_throughout(seed: int) -> None:
    graph = random_graph(seed, dtype="float32")
    assert {a.dtype.name for a in results(graph)} == {"float32"}
    equal(results(graph), op_by_op(graph, arrays_for(graph)))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_simplifying_changes_no_bit(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_graph(seed)
    on = results(graph)
    monkeypatch.setattr(simplify, "ENABLED", False)
    equal(on, results(graph))


@pytest.mark.parametrize("seed", range(60))
def test_every_pass_leaves_a_graph_that_keeps_its_promises(seed: int) -> None:
    graph = random_graph(seed)
    for changed in (
        simplify.simplify(graph),
        open_up(graph),
        primitives(graph),
        simplify.simplify(primitives(graph)),
        rewrite(graph, lambda node, inputs, tracer: None),
    ):
        verify(changed)
        assert list(changed.inputs) == list(graph.inputs)
        assert list(changed.outputs) == list(graph.outputs)
        types = [v.type for v in changed.outputs.values()]
        assert types == [v.type for v in graph.outputs.values()]


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_expanding_every_composite_changes_values_by_rounding_only(seed: int) -> None:
    graph = random_graph(seed, gradients=False)
    for a, b in zip(results(graph), results(primitives(graph)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12 * np.max(np.abs(b), initial=1))


@pytest.mark.parametrize("seed", range(40))
def test_simplifying_twice_is_simplifying_once(seed: int) -> None:
    once = simplify.simplify(random_graph(seed))
    assert simplify.simplify(once).structure() == once.structure()


@pytest.mark.parametrize("seed", range(20))
def test_a_pass_leaves_its_graph_as_it_was(seed: int) -> None:
    graph = random_graph(seed)
    before = print_graph(graph)
    simplify.simplify(primitives(graph))
    assert print_graph(graph) == before


def test_equals_are_merged_and_the_earlier_one_stays() -> None:
    graph = traced_graph(
        lambda x: (OPS["tanh"](x) * 2, OPS["tanh"](x) * 3), {"x": Type((3,), "float64")}
    )
    names = [n.op.name for n in simplify.simplify(graph).nodes()]
    assert names.count("tanh") == 1


@pytest.mark.parametrize(
    ("function", "left"),
    [
        (lambda x: x * 1, []),
        (lambda x: x / 1, []),
        (lambda x: OPS["negative"](-x), []),
        (lambda x: x.T.T, []),
        (lambda x: x.reshape(12).reshape(4, 3), []),
        (lambda x: x.astype("float64"), []),
        (lambda x: x.reshape(2, 6).reshape(6, 2), ["reshape"]),
        (lambda x: x + 0, ["constant", "add"]),  # -0 + 0 is not -0
        (lambda x: x * 0, ["constant", "multiply"]),  # nan * 0 is not 0
    ],
)
def test_only_what_changes_no_bit_is_left_out(function: Any, left: list[str]) -> None:
    graph = simplify.simplify(traced_graph(function, {"x": Type((4, 3), "float64")}))
    assert [n.op.name for n in graph.nodes() if n.op.name != "input"] == left


def test_lines_come_by_phase_then_by_creation() -> None:
    graph = open_up(
        traced_graph(lambda x, w: ((x @ w) ** 2).sum(), {"x": Type((2, 3), "float64"),
                                                        "w": Type((3, 4), "float64")})
    )  # fmt: skip
    (loss,) = graph.outputs.values()
    (d,) = add_gradients(graph, loss, [graph.inputs["w"]])
    assert d is not None
    order = scheduled(Graph(graph.inputs, {"d": d, "loss": loss}))
    phases = [n.origin.phase for n in order]
    assert phases == sorted(phases, key=["forward", "backward", "update"].index)
    assert {"forward", "backward"} == set(phases)


def test_a_gradient_is_summed_over_the_axes_that_were_stretched() -> None:
    tracer = Tracer()
    g = tracer.input("g", Type((2, 4, 3), "float64"))
    for shape in [(3,), (4, 1), (1, 1, 3), (), (2, 4, 3), (1,), (4, 3)]:
        assert sum_to(g, shape).shape == shape


def test_an_input_that_the_result_does_not_need_has_no_gradient() -> None:
    graph = traced_graph(
        lambda x, y: (x * 2).sum(), {"x": Type((3,), "float64"), "y": Type((3,), "float64")}
    )
    (loss,) = graph.outputs.values()
    found = add_gradients(graph, loss, list(graph.inputs.values()))
    assert found[0] is not None
    assert found[1] is None


def test_a_name_given_by_a_layer_survives_expansion() -> None:
    graph = traced_graph(
        lambda x: named(OPS["mse"](x, x * 2), "loss"), {"x": Type((3,), "float64")}
    )
    (loss,) = primitives(graph).outputs.values()
    assert loss.node.origin.name == "loss"


@pytest.mark.parametrize(
    ("cuts", "joined"),
    [
        ((slice(0, 2), slice(2, 5), slice(5, 7)), True),
        ((slice(5, 7), slice(0, 2), slice(2, 5)), True),  # in whatever order they were made
        ((slice(0, 3), slice(3, 6)), False),  # something is left out
        ((slice(0, 4), slice(3, 7)), False),  # something is in both
        ((slice(0, 7, 2), slice(1, 7, 2)), False),
        ((slice(0, 7), slice(0, 7)), False),
    ],
)
def test_slices_that_cut_a_value_give_their_gradients_back_side_by_side(
    cuts: tuple[slice, ...], joined: bool
) -> None:
    x = np.random.default_rng(0).normal(size=(3, 7))

    def loss(x: Any) -> Any:
        return sum(((i + 1) * (x[:, cut] ** 3).sum() for i, cut in enumerate(cuts)), start=x.sum())

    want = np.ones_like(x)
    for i, cut in enumerate(cuts):
        want[:, cut] += 3 * (i + 1) * x[:, cut] ** 2
    np.testing.assert_allclose(gg.grad(loss)(gg.tensor(x)).numpy(), want, rtol=1e-14)
    graph = open_up(traced_graph(loss, {"x": Type((3, 7), "float64")}))
    (gradient,) = add_gradients(graph, graph.outputs["out"], [graph.inputs["x"]])
    assert gradient is not None
    names = {node.op.name for node in reachable([gradient])}
    assert ("concatenate" in names) == joined
    assert not (joined and "pad" in names)
