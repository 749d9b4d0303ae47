"""A graph's promises: verify finds each one that is broken."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from glassgrad.errors import DTypeError, InternalError, ShapeError, UsageError
from glassgrad.ir import (
    INPUT,
    Graph,
    Node,
    Origin,
    Type,
    Value,
    attribute_key,
    node_key,
    reachable,
    verify,
)
from glassgrad.ops import OPS, Tracer, traced_graph
from glassgrad.ops.control import write_scan

F = Type((3,), "float32")


def pair() -> tuple[Tracer, Any]:
    tracer = Tracer()
    return tracer, tracer.input("x", F)


def refused(graph: Graph, match: str) -> None:
    with pytest.raises(InternalError, match=match):
        verify(graph)


def test_a_graph_that_was_traced_is_good() -> None:
    graph = traced_graph(lambda x: {"y": x * 2, "z": x + 1}, {"x": F})
    assert verify(graph) is graph
    assert list(graph.outputs) == ["y", "z"]


def test_an_input_that_is_not_declared_is_found() -> None:
    _, x = pair()
    refused(Graph({}, {"y": (x * 2).value}), "not declared")


def test_an_input_under_another_name_is_found() -> None:
    _, x = pair()
    refused(Graph({"z": x.value}, {"y": (x * 2).value}), "not an input node of that name")


def test_an_input_that_is_no_input_is_found() -> None:
    _, x = pair()
    refused(Graph({"x": (x * 2).value}, {}), "not an input node")


def test_types_that_the_op_would_not_give_are_found() -> None:
    _, x = pair()
    node = Node(OPS["exp"], (x.value,), {}, (Type((4,), "float32"),))
    refused(Graph({"x": x.value}, {"y": node.values[0]}), "types differ")


def test_settings_in_another_order_or_missing_are_found() -> None:
    _, x = pair()
    for settings in ({"keepdims": False, "axis": None}, {"axis": None}):
        node = Node(OPS["sum"], (x.value,), settings, (Type((), "float32"),))
        refused(Graph({"x": x.value}, {"y": node.values[0]}), "attributes")


def test_a_wrong_number_of_operands_is_found() -> None:
    _, x = pair()
    for name, operands in (("add", (x.value,)), ("exp", (x.value, x.value))):
        node = Node(OPS[name], operands, {}, (F,))
        refused(Graph({"x": x.value}, {"y": node.values[0]}), "operands for")


def test_state_that_is_not_there_or_changes_its_type_is_found() -> None:
    _, x = pair()
    outputs = {"y": (x * 2).value, "total": x.sum().value}
    inputs = {"x": x.value}
    verify(Graph(inputs, outputs, {"x": "y"}))
    refused(Graph(inputs, outputs, {"x": "z"}), "state pair names")
    refused(Graph(inputs, outputs, {"w": "y"}), "state pair names")
    refused(Graph(inputs, outputs, {"x": "total"}), "another type")


def test_a_guard_of_nothing_is_found() -> None:
    _, x = pair()
    refused(Graph({"x": x.value}, {"y": (x * 2).value}, guard=("loss",)), "guarded")


def scan() -> tuple[dict[str, Value], Any]:
    tracer = Tracer()
    h, xs = tracer.input("h", F), tracer.input("xs", Type((4, 3), "float32"))
    loop, _ = write_scan(lambda c, h, x: ([h[0] + x[0]], []), [], [h], [xs], length=4)
    return {"h": h.value, "xs": xs.value}, loop


def test_a_scan_itself_is_no_output() -> None:
    inputs, loop = scan()
    verify(Graph(inputs, {"y": loop.last(0).value}))
    refused(Graph(inputs, {"y": loop.symbol.value}), "scan itself")


def test_a_reader_that_asks_for_what_a_loop_does_not_have_is_found() -> None:
    inputs, loop = scan()
    value = loop.symbol.value
    for name, settings in (
        ("last", {"which": 1, "type": F}),
        ("last", {"which": -1, "type": F}),
        ("last", {"which": 0, "type": Type((4,), "float32")}),
        ("stack", {"value": 9, "type": Type((4, 3), "float32")}),
        ("stack", {"value": 0, "type": F}),
    ):
        node = Node(OPS[name], (value,), settings)
        refused(Graph(inputs, {"y": node.values[0]}), "reader of a loop")


def test_a_broken_body_is_found() -> None:
    inputs, loop = scan()
    (carry,) = list(loop.body.outputs)
    lies = Node(OPS["exp"], (loop.body.outputs[carry],), {}, (Type((9,), "float32"),))
    loop.body.outputs["y1"] = lies.values[0]
    refused(Graph(inputs, {"y": loop.last(0).value}), "types differ")


def test_nodes_come_after_what_they_use_however_deep() -> None:
    _, x = pair()
    y = x
    for _ in range(5000):
        y = y + x
    order = reachable([y.value])
    place = {node: i for i, node in enumerate(order)}
    assert all(place[v.node] < place[n] for n in order for v in n.inputs)


def test_where_a_node_came_from_does_not_make_it_another() -> None:
    _, x = pair()
    first = Node(OPS["exp"], (x.value,), {}, None, Origin(name="a", scope="b", seq=1))
    second = Node(OPS["exp"], (x.value,), {}, None, Origin(name="c", phase="backward", seq=2))
    keys = [node_key(n.op, n.inputs, n.attributes) for n in (first, second)]
    assert keys[0] == keys[1]


def test_an_origin_that_moves_keeps_all_else() -> None:
    _, x = pair()
    full = Origin("a", "b", "update", "c", 1, x.value, inner=True, again=True)
    assert full.moved(7) == dataclasses.replace(full, seq=7)
    defaults = Origin()
    unlike = [f.name for f in dataclasses.fields(full)]
    assert all(getattr(full, name) != getattr(defaults, name) for name in unlike)


def test_numbers_of_different_kinds_are_different_settings() -> None:
    keys = [attribute_key(v) for v in (1, 1.0, True, "1", (1,), (1.0,), -0.0, 0.0, None)]
    assert len(set(keys)) == len(keys)


def test_equal_structures_share_a_text_and_others_do_not() -> None:
    def graph(number: float, name: str) -> Graph:
        tracer = Tracer()
        x = tracer.input("x", F)
        y = x * number
        y.value.node.origin.name = name
        return Graph({"x": x.value}, {"y": y.value})

    assert graph(2, "a").structure() == graph(2, "b").structure()
    assert graph(2, "a").structure() != graph(2.0, "a").structure()


def test_a_setting_that_is_missing_or_unknown_is_refused_by_name() -> None:
    _, x = pair()
    with pytest.raises(UsageError, match="'shape' is missing"):
        OPS["reshape"](x)
    with pytest.raises(UsageError, match="unknown setting keep"):
        OPS["sum"](x, keep=True)
    with pytest.raises(ShapeError, match="no such axis"):
        OPS["sum"](x, axis=3)


def test_an_op_of_nothing_but_numbers_is_refused() -> None:
    with pytest.raises(UsageError, match="no operand is a tensor"):
        OPS["add"](1, 2)


def test_a_shape_or_dtype_mistake_is_said_where_it_is_made() -> None:
    tracer, x = pair()
    with pytest.raises(ShapeError) as error:
        x + tracer.input("y", Type((4,), "float32"))
    for part in ("where:", "add(", "expected:", "received:", "(3,)", "(4,)"):
        assert part in str(error.value)
    with pytest.raises(DTypeError, match="different kinds of number"):
        x + tracer.input("z", Type((3,), "float64"))


def test_an_input_node_has_the_type_it_declares() -> None:
    node = Node(INPUT, (), {"name": "x", "type": F, "role": "data"}, (Type((4,), "float32"),))
    refused(Graph({"x": node.values[0]}, {"y": node.values[0]}), "another type than it declares")
