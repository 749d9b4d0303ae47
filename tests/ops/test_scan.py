"""A scan is the unrolled program: value, first and second derivative, whatever the body does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from glassgrad import ops
from glassgrad.engine import compile_graph
from glassgrad.errors import ShapeError
from glassgrad.ir import Graph, Type, Value, parse_graph, print_graph, verify
from glassgrad.ops import OPS, Tracer
from glassgrad.ops.control import write_scan
from glassgrad.passes import simplify
from glassgrad.passes.differentiate import continuing, pull_back_values
from glassgrad.passes.lower import open_up
from glassgrad.tensors.loops import scan
from glassgrad.tensors.tensor import Tensor, derivatives, tensor
from tests.graphs import arrays_for

Step = Callable[[Sequence[Any], Sequence[Any], Sequence[Any]], tuple[list[Any], list[Any]]]
Array = NDArray[Any]
tanh, sigmoid, exp = OPS["tanh"], OPS["sigmoid"], OPS["exp"]
layer_norm, take, select = OPS["layer_norm"], OPS["take"], OPS["select"]


@dataclass(frozen=True)
class Body:
    """What happens at each step, and the shapes of constants, carry and one step of xs."""

    step: Step
    constants: tuple[tuple[int, ...], ...]
    carry: tuple[tuple[int, ...], ...]
    xs: tuple[tuple[int, ...], ...]


def recurrent(c: Any, h: Any, x: Any) -> Any:
    new = ops.named(tanh(ops.named(x[0] @ c[0] + h[0] @ c[1] + c[2], "z")), "h")
    return [new], [new]


def gated(c: Any, h: Any, x: Any) -> Any:
    both = x[0] @ c[0] + h[0] @ c[1] + c[2]
    gate, fill = sigmoid(both[:, :3]), tanh(both[:, 3:])
    cell = h[1] * gate + fill * (1 - gate)
    return [tanh(cell) * gate, cell], [gate, cell, both]


def scaled(c: Any, h: Any, x: Any) -> Any:
    # A constant used number by number, as a sum, and twice in one product.
    new = h[0] * c[0] + exp(-(x[0] * x[0])) * c[1] * c[0]
    return [new], [new * c[0], x[0] + h[0]]


def swapping(c: Any, h: Any, x: Any) -> Any:
    # Carries that change places, and one that goes on as it is.
    return [h[1] * 0.5 + x[0], h[0], h[2]], [h[0] * h[2], h[1]]


def summing(c: Any, h: Any, x: Any) -> Any:
    return [h[0] + x[0] * c[0], h[1] + h[0]], [h[1]]


def copying(c: Any, h: Any, x: Any) -> Any:
    # What is given out is what came in; both carries are one value.
    new = h[0] + x[0]
    return [new, new], [x[0], h[0], new]


def normed(c: Any, h: Any, x: Any) -> Any:
    rows = layer_norm(x[0] @ c[0] + h[0], c[1], c[2], eps=1e-5)
    return [select(rows > 0, rows, 0.1 * h[0])], [rows.sum(axis=1), rows.T]


def narrow(c: Any, h: Any, x: Any) -> Any:
    # Scalars, a product of the carry with itself, and shapes that stretch.
    new = h[0] * h[0] * 0.1 + x[0].sum() + c[0]
    return [new], [new * x[0]]


def still(c: Any, h: Any, x: Any) -> Any:
    # The carry knows nothing of the sequence, the outputs nothing of the carry.
    return [h[0] * c[0]], [x[0] * x[0]]


BODIES = {
    "recurrent": Body(recurrent, ((2, 3), (3, 3), (3,)), ((4, 3),), ((4, 2),)),
    "gated": Body(gated, ((2, 6), (3, 6), (6,)), ((4, 3), (4, 3)), ((4, 2),)),
    "scaled": Body(scaled, ((3,), (2, 1)), ((2, 3),), ((2, 3),)),
    "swapping": Body(swapping, (), ((2,), (2,), (2,)), ((2,),)),
    "summing": Body(summing, ((3,),), ((2, 3), (2, 3)), ((2, 3),)),
    "copying": Body(copying, (), ((3,), (3,)), ((3,),)),
    "normed": Body(normed, ((2, 3), (3,), (3,)), ((4, 3),), ((4, 2),)),
    "narrow": Body(narrow, ((),), ((),), ((3,),)),
    "still": Body(still, ((2,),), ((2,),), ((3,),)),
}


def looped(body: Body, length: int, reverse: bool, parts: list[list[Any]]) -> list[Any]:
    loop, ys = write_scan(body.step, *parts, length=length, reverse=reverse)
    return [*[loop.last(i) for i in range(len(body.carry))], *[loop.stack(y) for y in ys]]


def unrolled(body: Body, length: int, reverse: bool, parts: list[list[Any]]) -> list[Any]:
    constants, carry, xs = parts
    found: list[list[Any]] = [[] for _ in range(length)]
    for t in reversed(range(length)) if reverse else range(length):
        carry, found[t] = body.step(constants, carry, [x[t] for x in xs])
    stacked = [
        OPS["concatenate"](*[y.reshape((1, *y.shape)) for y in series], axis=0)
        for series in zip(*found, strict=True)
    ]
    return [*carry, *stacked]


def traced(way: Any, body: Body, length: int, reverse: bool, dtype: str = "float64") -> Graph:
    tracer = Tracer()
    shapes = [body.constants, body.carry, tuple((length, *s) for s in body.xs)]
    inputs: dict[str, Value] = {}

    def given(shape: tuple[int, ...]) -> Any:
        symbol = tracer.input(f"x{len(inputs) + 1}", Type(shape, dtype))
        inputs[f"x{len(inputs) + 1}"] = symbol.value
        return symbol

    parts = [[given(s) for s in group] for group in shapes]
    found = way(body, length, reverse, parts)
    return verify(Graph(inputs, {f"y{i + 1}": y.value for i, y in enumerate(found)}))


def with_gradients(graph: Graph, seeds: str, names: list[str]) -> Graph:
    """Every output's seed as an input, and the gradients of their sum in the inputs x1, ..."""
    graph = open_up(graph)
    tracer = continuing(graph)
    inputs = dict(graph.inputs)
    given = []
    for i, value in enumerate(graph.outputs.values()):
        inputs[f"{seeds}{i + 1}"] = tracer.input(f"{seeds}{i + 1}", value.type).value
        given.append((value, inputs[f"{seeds}{i + 1}"]))
    wanted = {name: inputs[name] for name in names if name in inputs}
    found = pull_back_values(tracer, given, list(wanted.values()))
    outputs = {
        f"{name}_{seeds}": found[v] if v in found else zeros(tracer, v)
        for name, v in wanted.items()
    }
    return verify(Graph(inputs, outputs, scopes=graph.scopes))


def zeros(tracer: Tracer, like: Value) -> Value:
    zero: Value = ops.movement.zeros(like.type.shape, like.type.dtype, tracer.symbol(like)).value
    return zero


def results(graph: Graph, given: list[Array]) -> list[Array]:
    found = compile_graph(graph)(*given)
    return [np.asarray(a) for a in (found if isinstance(found, tuple) else (found,))]


def agree(left: Graph, right: Graph, relative: float = 1e-12) -> None:
    given = arrays_for(left)
    pairs = zip(results(left, given), results(right, given), strict=True)
    for (found, wanted), name in zip(pairs, left.outputs, strict=True):
        assert found.shape == wanted.shape, name
        scale = max(1.0, float(np.max(np.abs(wanted), initial=0)))
        assert np.max(np.abs(found - wanted), initial=0) <= relative * scale, name


def agree_twice(loop: Graph, plain: Graph) -> None:
    """In value, first and second derivative."""
    agree(loop, plain)
    names = list(loop.inputs)
    loop, plain = (with_gradients(g, "c", names) for g in (loop, plain))
    agree(loop, plain)
    loop, plain = (with_gradients(g, "u", names) for g in (loop, plain))
    agree(loop, plain, relative=1e-11)


WAYS = [
    pytest.param(body, length, reverse, id=f"{name}-{length}{'-reverse' * reverse}")
    for name, body in BODIES.items()
    for length in (1, 2, 17)
    for reverse in (False, True)
]


@pytest.mark.parametrize(("body", "length", "reverse"), WAYS)
def test_scan_is_the_unrolled_program_in_value_first_and_second_derivative(
    body: Body, length: int, reverse: bool
) -> None:
    loop, plain = (traced(way, body, length, reverse) for way in (looped, unrolled))
    agree_twice(loop, plain)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_no_steps_leave_the_carry_as_it_was(body: Body, reverse: bool) -> None:
    graph = traced(looped, body, 0, reverse)
    given = arrays_for(graph)
    carries = given[len(body.constants) : len(body.constants) + len(body.carry)]
    found = results(graph, given)
    for last, start in zip(found, carries, strict=False):
        np.testing.assert_array_equal(last, start)
    for series in found[len(carries) :]:
        assert series.shape[0] == 0
    first = with_gradients(graph, "c", list(graph.inputs))
    weights = arrays_for(first)[len(graph.inputs) :]
    for name, gradient in zip(graph.inputs, results(first, arrays_for(first)), strict=True):
        place = list(graph.inputs).index(name) - len(body.constants)
        if 0 <= place < len(carries):
            np.testing.assert_array_equal(gradient, weights[place])
        else:
            assert not gradient.any()
    second = with_gradients(first, "u", list(graph.inputs))
    assert not any(g.any() for g in results(second, arrays_for(second)))


@pytest.mark.parametrize(("body", "length", "reverse"), [w for w in WAYS if w.values[1] == 2])
def test_simplifying_changes_no_bit_of_a_scan_or_its_derivatives(
    body: Body, length: int, reverse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from glassgrad.backends.numpy_source.build import compile_function

    graph = traced(looped, body, length, reverse)
    first = with_gradients(graph, "c", list(graph.inputs))
    second = with_gradients(first, "u", list(graph.inputs))
    for g in (graph, first, second):
        monkeypatch.setattr(simplify, "ENABLED", True)
        on = compile_function(g)(*arrays_for(g))
        monkeypatch.setattr(simplify, "ENABLED", False)
        off = compile_function(g)(*arrays_for(g))
        for a, b in zip(on, off, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_scan_and_its_derivatives_read_back_from_text(body: Body) -> None:
    graph = traced(looped, body, 3, reverse=True)
    first = with_gradients(graph, "c", list(graph.inputs))
    for g in (graph, first):
        for origins in (False, True):
            text = print_graph(g, origins)
            back = parse_graph(text, ops.find)
            assert print_graph(back, origins) == text
            agree(back, g, 0.0)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_no_input_is_written(body: Body) -> None:
    for length in (0, 1, 3):
        graph = traced(looped, body, length, reverse=False)
        for g in (graph, with_gradients(graph, "c", list(graph.inputs))):
            given = arrays_for(g)  # read-only: a write would raise
            results(g, given)


def test_eager_float32_keeps_its_dtype_in_carry_and_stacks() -> None:
    graph = traced(looped, BODIES["gated"], 3, reverse=False, dtype="float32")
    for g in (graph, with_gradients(graph, "c", list(graph.inputs))):
        assert {a.dtype.name for a in results(g, arrays_for(g))} == {"float32"}


def chance(seed: int) -> Body:
    """A body of random arithmetic: two constants, two carries, one sequence, three outputs."""

    def step(c: Any, h: Any, x: Any) -> Any:
        rng = np.random.default_rng(seed)
        known = [h[0], h[1], x[0], c[0]]

        def one() -> Any:
            return known[rng.integers(len(known))]

        makers = [
            lambda: one() + one(),
            lambda: one() * one() * 0.5,
            lambda: one() - 0.3 * one(),
            lambda: tanh(one()),
            lambda: one() @ c[1] * 0.4,
            lambda: one().T @ one() @ one().T,
            lambda: one().sum(axis=0, keepdims=True) * 0.3 + one(),
            lambda: one().mean(axis=1, keepdims=True) * one(),
            lambda: select(one() > 0, one(), 0.1 * one()),
            lambda: OPS["concatenate"](one()[:1], one()[1:], axis=0),
            lambda: sigmoid(one().reshape(3, 2)).reshape(2, 3),
        ]
        for _ in range(rng.integers(2, 8)):
            new = makers[rng.integers(len(makers))]()
            known.append(new.T if new.shape == (3, 2) else new)
        known = [k for k in known if k.shape == (2, 3)]
        # Bounded, so that seventeen steps stay finite; now and then a carry passes through.
        news = [one() if rng.random() < 0.2 else tanh(one()) for _ in range(2)]
        return news, [one(), one(), one()]

    return Body(step, ((2, 3), (3, 3)), ((2, 3), (2, 3)), ((2, 3),))


@pytest.mark.parametrize("seed", range(40))
def test_random_bodies_are_their_unrolled_programs(seed: int) -> None:
    body, reverse = chance(seed), bool(seed % 2)
    loop, plain = (traced(way, body, 3, reverse) for way in (looped, unrolled))
    agree(loop, plain)
    # Derivatives in some of the operands only: what is not wanted must not be in the way.
    names = [n for i, n in enumerate(loop.inputs) if (seed + 1) >> i & 1] or list(loop.inputs)
    loop, plain = (with_gradients(g, "c", names) for g in (loop, plain))
    agree(loop, plain)
    names = list(loop.inputs)
    loop, plain = (with_gradients(g, "u", names) for g in (loop, plain))
    agree(loop, plain, relative=1e-10)


def test_a_scan_inside_a_scan_is_two_loops() -> None:
    def inner(c: Any, h: Any, x: Any) -> Any:
        new = h[0] * c[0] + x[0] * x[0]
        return [new], [new * h[0]]

    def outer(way: Any) -> Step:
        def step(c: Any, h: Any, x: Any) -> Any:
            found = way(Body(inner, ((2,),), ((2,),), ((2,),)), 4, False, [[c[0]], [h[0]], [x[0]]])
            return [found[0] + x[0].sum(axis=0)], [found[1], found[0] * h[0]]

        return step

    shapes = ((2,),), ((2,),), ((4, 2),)
    loop = traced(looped, Body(outer(looped), *shapes), 3, reverse=True)
    plain = traced(unrolled, Body(outer(unrolled), *shapes), 3, reverse=True)
    agree_twice(loop, plain)


def test_a_carried_counter_is_no_part_of_the_derivative() -> None:
    def counting(c: Any, h: Any, x: Any) -> Any:
        row = take(c[0], h[1])
        return [h[0] * row + x[0], h[1] + 1], [h[0] * row]

    def graph(way: Any) -> Graph:
        tracer = Tracer()
        table = tracer.input("x1", Type((5, 3), "float64"))
        h = tracer.input("x2", Type((3,), "float64"))
        k = tracer.input("x3", Type((), "int64"))
        xs = tracer.input("x4", Type((4, 3), "float64"))
        body = Body(counting, ((5, 3),), ((3,), ()), ((3,),))
        found = way(body, 4, False, [[table], [h, k], [xs]])
        inputs = {f"x{i + 1}": s.value for i, s in enumerate([table, h, k, xs])}
        return verify(Graph(inputs, {"y1": found[0].value, "y2": found[2].value}))

    loop, plain = graph(looped), graph(unrolled)
    agree(loop, plain)
    names = ["x1", "x2", "x4"]
    loop, plain = (with_gradients(g, "c", names) for g in (loop, plain))
    agree(loop, plain)
    loop, plain = (with_gradients(g, "u", names) for g in (loop, plain))
    agree(loop, plain)


@pytest.mark.parametrize("reverse", [False, True])
def test_an_eager_scan_is_the_loop_written_out(reverse: bool) -> None:
    rng = np.random.default_rng(3)
    shapes = ((3, 3), (2, 3), (5, 2, 3))

    def leaves() -> list[Tensor]:
        return [tensor(rng.uniform(-1, 1, s), requires_grad=True) for s in shapes]

    w, start, xs = leaves()

    def step(w: Any, h: Any, x: Any) -> Any:
        new = tanh(x + h @ w)
        return new, new * x

    last, ys = scan(step, start, xs, w, reverse=reverse)
    found = derivatives((last * last).sum() + ys.sum())
    h, total = start, None
    for t in reversed(range(5)) if reverse else range(5):
        h, y = step(w, h, xs[t])
        np.testing.assert_allclose(ys[t].numpy(), y.numpy(), rtol=1e-14)
        total = y.sum() if total is None else total + y.sum()
    np.testing.assert_allclose(last.numpy(), h.numpy(), rtol=1e-14)
    assert total is not None
    wanted = derivatives((h * h).sum() + total)
    for leaf in (w, start, xs):
        np.testing.assert_allclose(
            found[leaf].numpy(), wanted[leaf].numpy(), rtol=1e-12, atol=1e-14
        )


def test_a_called_graph_is_its_nodes() -> None:
    inner = traced(looped, BODIES["recurrent"], 3, reverse=False)
    tracer = Tracer()
    given = {name: tracer.input(name, v.type) for name, v in inner.inputs.items()}
    found = OPS["call"](*given.values(), graph=inner)
    graph = Graph(
        {k: s.value for k, s in given.items()},
        {f"y{i + 1}": s.value for i, s in enumerate(found)},
    )
    agree(verify(graph), inner, 0.0)
    with pytest.raises(ShapeError, match="not what the graph takes"):
        OPS["call"](*reversed(given.values()), graph=inner)


def test_a_body_whose_carry_changes_shape_is_refused() -> None:
    tracer = Tracer()
    h, xs = tracer.input("h", Type((2,), "float64")), tracer.input("xs", Type((3, 2), "float64"))
    with pytest.raises(ShapeError, match="changes its type"):
        write_scan(lambda c, h, x: ([h[0].sum()], []), [], [h], [xs], length=3)


def test_a_sequence_of_another_length_is_refused() -> None:
    tracer = Tracer()
    h, xs = tracer.input("h", Type((2,), "float64")), tracer.input("xs", Type((3, 2), "float64"))
    with pytest.raises(ShapeError, match="does not fit its body"):
        write_scan(lambda c, h, x: ([h[0] + x[0]], []), [], [h], [xs], length=4)
