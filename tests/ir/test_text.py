"""A graph's text reads back to the same graph; every other text is refused with its line."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from glassgrad.errors import FormatError
from glassgrad.ir import Dim, Graph, Ratio, Type, parse_graph, print_graph, verify
from glassgrad.ir.graph import attribute_key
from glassgrad.ir.text import _Reader, print_attribute
from glassgrad.ops import OPS, Spelled, Tracer, find, traced_graph
from tests.graphs import random_graph
from tests.ops.harness import Case, cases, gradient_graph, op_graph, second_graph

n = Dim.named("n")
EXAMPLE = print_graph(random_graph(3))


def same(graph: Graph) -> None:
    """Both texts read back, to a graph with the same texts."""
    for origins in (True, False):
        text = print_graph(graph, origins)
        back = parse_graph(text, find, Spelled)
        assert print_graph(back, origins) == text
        assert back.structure() == graph.structure()
        assert list(back.inputs) == list(graph.inputs)
        assert list(back.outputs) == list(graph.outputs)
        assert back.state == graph.state
        assert back.guard == graph.guard


@pytest.mark.parametrize("case", cases("float32"))
def test_every_op_reads_back(case: Case) -> None:
    same(op_graph(case))


@pytest.mark.parametrize("case", cases("float64", only=lambda op: op.family in
                                       ("index", "window", "loss", "layer")))  # fmt: skip
def test_derivatives_read_back(case: Case) -> None:
    if OPS[case.op.name].vjp is not None and any(OPS[case.op.name].vjp or ()):
        same(gradient_graph(case))
        same(second_graph(case))


@pytest.mark.parametrize("seed", range(300))
def test_a_random_graph_reads_back(seed: int) -> None:
    same(random_graph(seed))


def test_names_of_any_kind_read_back() -> None:
    tracer = Tracer()
    hostile = ['a"b', "line\nbreak", "\\", "%0 = relu", "é\u202e\u0000", "end", "", " ", "}{", "@"]
    inputs = {name: tracer.input(name, Type((2,), "float32"), "data").value for name in hostile}
    for name, value in inputs.items():
        value.node.origin.name = name
        value.node.origin.scope = name
    outputs = {name: tracer.symbol(v).__neg__().value for name, v in inputs.items()}
    same(Graph(inputs, outputs, {"end": "end"}, guard=("@",)))


def test_named_sizes_read_back() -> None:
    def rows(x: Any) -> Any:
        return (x.reshape(-1, 1)[1:] * (1.0 / x.size)).sum()

    graph = traced_graph(rows, {"x": Type((n, 3), "float32")})
    same(graph)
    text = print_graph(graph)
    assert "float32[n, 3]" in text


ATTRIBUTES = [
    0, -7, 2**70, 0.5, -0.0, 1e300, 1e-300, 5e-324, float("inf"), float("-inf"), 0.1, 1.0,
    True, False, None, "", "text \"quoted\" \n", (), (1,), (1, (2.5, "x")), ((),),
    n, n * 3 - 1, 2 * n * n + 5, -n, Ratio(1, n), Ratio(n + 1, n * 2), Ratio(n, 3),
    Type((), "bool"), Type((n, 3), "float32"), Type((2,), "int64"),
    Spelled(0.9, "1 - 0.1"), Spelled(2.5066282746310002, "math.sqrt(2 * math.pi)"),
    Spelled(-9.210340371976184, "-2 * math.log(1e4) / 2"), Spelled(1e-16, "1e-08 ** 2"),
]  # fmt: skip


@pytest.mark.parametrize("value", ATTRIBUTES, ids=repr)
def test_every_kind_of_attribute_reads_back(value: Any) -> None:
    reads_back(value)


def reads_back(value: Any) -> None:
    reader = _Reader("", find, Spelled)
    tokens = reader.tokens(print_attribute(value))
    found, used = reader.attribute(tokens, 0)
    assert used == len(tokens)
    assert attribute_key(found) == attribute_key(value)
    assert repr(found) == repr(value)


@given(st.recursive(
    st.integers() | st.floats(allow_nan=False) | st.text() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=10,
))  # fmt: skip
def test_any_attribute_of_numbers_and_texts_reads_back(value: Any) -> None:
    reads_back(value)


WRONG = {
    "": "line",
    "graph": "line 1",
    "grap": "line 1",
    "graph\nend\n": "line",
    "graph\nend\nend": "line",
    "graph\n%0 = relu(%0) {}\nend": "line 2",
    "graph\n%1 = input {name=\"x\", type=float32[2], role=\"data\"}\nend": "line 2",
    "graph\n%0 = input {name=\"x\", type=float16[2], role=\"data\"}\nend": "line 2",
    "graph\n%0 = input {name=\"x\", type=float32[-2], role=\"data\"}\nend": "line 2",
    "graph\n%0 = input {name=\"x\", type=3, role=\"data\"}\nend": "line 2",
    "graph\n%0 = input {name=3, type=float32[2], role=\"data\"}\nend": "line 2",
    "graph\n%0 = input {type=float32[2], name=\"x\", role=\"data\"}\nend": "line 2",
    "graph\n%0 = constant {value=\"__import__('os')\", dtype=\"float32\"}\nend": "line 2",
    "graph\n%0 = constant {value=1.0~\"__import__('os')\", dtype=\"float32\"}\nend": "line 2",
    "graph\n%0 = constant {value=1.0~, dtype=\"float32\"}\nend": "line 2",
    "graph\n%0 = constant {value=1.0~3, dtype=\"float32\"}\nend": "line 2",
    "graph\n%0 = constant {value=1, dtype=\"complex128\"}\nend": "line 2",
    "graph\n%0 = constant {value=1}\nend": "line 2",
    "graph\n%0 = constant {value=1, value=1, dtype=\"float32\"}\nend": "line 2",
    "graph\n%0 = constant {value=1, dtype=\"float32\"} @\nend": "line 2",
    "graph\n%0 = constant {value=1, dtype=\"float32\"} @ \"\" \"\" sideways 0\nend": "line 2",
    "graph\n%0 = constant {value=1, dtype=\"float32\"} @ \"\" \"\" forward 1.5\nend": "line 2",
    "graph\noutput \"y\" %0\nend": "line 2",
    "graph\nstate \"a\"\nend": "line 2",
    "graph\nscope \"a\" \"b\" 3 \"d\"\nend": "line 2",
    "graph\nrm -rf\nend": "line 2",
    "graph\n\nend": "line 2",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG, ids=repr)
def test_another_text_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(FormatError) as error:
        parse_graph(text, find, Spelled)
    assert WRONG[text] in str(error.value)


HEAD = 'graph\n%0 = input {name="x", type=float32[4, 3], role="data"}\n'
LIES = [
    "%1 = nonsense(%0) {}",
    "%1 = relu {}",
    "%1 = relu(%0, %0) {}",
    "%1, %2 = relu(%0) {}",
    "%1 = sum(%0) {axis=(9), keepdims=false}",
    "%1 = sum(%0) {axis=(-1), keepdims=false}",
    "%1 = sum(%0) {axis=(0 0), keepdims=false}",
    "%1 = sum(%0) {axis=\"0\", keepdims=false}",
    "%1 = sum(%0) {axis=1, keepdims=false}",
    "%1 = sum(%0) {axis=(1), keepdims=7}",
    "%1 = argmax(%0) {axis=5}",
    "%1 = reshape(%0) {shape=(5 5)}",
    "%1 = reshape(%0) {shape=(-1 3)}",
    "%1 = reshape(%0) {shape=(4.0 3.0)}",
    "%1 = permute(%0) {axes=(0 0)}",
    "%1 = permute(%0) {axes=(3 2)}",
    "%1 = broadcast_to(%0) {shape=(4)}",
    "%1 = slice(%0) {spans=((0 9 1) (0 3 1))}",
    "%1 = slice(%0) {spans=((3 1 1) (0 3 1))}",
    "%1 = slice(%0) {spans=((-2 4 1) (0 3 1))}",
    "%1 = slice(%0) {spans=((0 4 0) (0 3 1))}",
    "%1 = slice(%0) {spans=((0 4 -1) (0 3 1))}",
    "%1 = slice(%0) {spans=((0 4) (0 3 1))}",
    "%1 = slice(%0) {spans=((\"0\" 4 1) (0 3 1))}",
    "%1 = slice(%0) {spans=(\"abc\" (0 3 1))}",
    "%1 = pad(%0) {widths=((-1 0 0) (0 0 0)), value=0}",
    "%1 = pad(%0) {widths=((1.5 0 0) (0 0 0)), value=0}",
    "%1 = pad(%0) {widths=((1 0 0) (0 0 0)), value=\"0\"}",
    "%1 = pad(%0) {widths=((1 0 -1) (0 0 0)), value=0}",
    "%1 = concatenate {axis=0}",
    "%1 = concatenate(%0, %0) {axis=2}",
    "%1 = cast(%0) {dtype=\"float16\"}",
    "%1 = leaky_relu(%0) {slope=\"1; import os\"}",
    "%1 = last(%0) {which=0, type=float32[9]}",
    "%1 = stack(%0) {value=0, type=float32[9]}",
    "%1 = constant {value=(1 2), dtype=\"float32\"}",
    "%1 = constant {value=3, dtype=\"bool\"}",
    "%1 = constant {value=1.5, dtype=\"int64\"}",
]  # fmt: skip


@pytest.mark.parametrize("line", LIES)
def test_a_node_that_its_own_op_would_not_make_is_refused(line: str) -> None:
    with pytest.raises(FormatError):
        parse_graph(f'{HEAD}{line}\noutput "y" %1\nend', find, Spelled)


def test_broken_promises_of_the_whole_graph_are_refused() -> None:
    two = HEAD + "%1 = sum(%0) {axis=null, keepdims=false}\n"
    for tail in (
        'output "y" %1\nstate "x" "y"\nend',  # another type
        'output "y" %0\nstate "z" "y"\nend',  # no such input
        'output "y" %0\nstate "x" "z"\nend',  # no such output
        'output "y" %1\nguard "z"\nend',  # no such output
        'output "y" %0\noutput "y" %1\nend',  # named twice
    ):
        with pytest.raises(FormatError):
            parse_graph(two + tail, find, Spelled)


def scan_text() -> str:
    from glassgrad.ops.control import write_scan

    tracer = Tracer()
    h = tracer.input("h", Type((2,), "float32"))
    xs = tracer.input("xs", Type((3, 2), "float32"))
    loop, ys = write_scan(lambda c, h, x: ([h[0] + x[0]], [x[0]]), [], [h], [xs], length=3)
    return print_graph(
        Graph({"h": h.value, "xs": xs.value},
              {"a": loop.last(0).value, "b": loop.stack(ys[0]).value})
    )  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("which=0, type=float32[2]", "which=0, type=float32[3]"),
        ("which=0, type=float32[2]", "which=1, type=float32[2]"),
        ("which=0, type=float32[2]", "which=-1, type=float32[2]"),
        ("type=float32[3, 2]}", "type=float32[9, 9]}"),
        ("value=1", "value=99"),
        ("value=1", "value=-1"),
        ("length=3", "length=4"),
        ("length=3", "length=-3"),
        ("carry=1", "carry=0"),
        ("carry=1", "carry=2"),
        ("constants=0", "constants=-1"),
        ("constants=0", "constants=2"),
        ("reverse=false", 'reverse="no"'),
    ],
)
def test_a_loop_that_lies_about_itself_is_refused(old: str, new: str) -> None:
    text = scan_text()
    parse_graph(text, find, Spelled)
    position = text.rfind(old) if old.startswith("type") else text.find(old)
    assert position >= 0, text
    changed = text[:position] + new + text[position + len(old) :]
    with pytest.raises(FormatError):
        parse_graph(changed, find, Spelled)


def test_loops_within_loops_have_an_end() -> None:
    deep = "graph\n%0 = scan {body=<\n" * 100
    with pytest.raises(FormatError):
        parse_graph(deep, find, Spelled)


def mutated(text: str, chance: random.Random) -> str:
    """The text with something cut, doubled, exchanged or put in."""
    for _ in range(chance.randint(1, 3)):
        a, b = sorted(chance.randrange(len(text) + 1) for _ in range(2))
        b = min(b, a + chance.randint(0, 12))
        kind = chance.randrange(6)
        if kind == 0:
            text = text[:a] + text[b:]
        elif kind == 1:
            text = text[:a] + chance.choice(PIECES) + text[a:]
        elif kind == 2:
            text = text[:a] + chance.choice(PIECES) + text[b:]
        elif kind == 3:
            text = text[:b] + text[a:]
        elif kind == 4:
            lines = text.split("\n")
            i, j = chance.randrange(len(lines)), chance.randrange(len(lines))
            lines[i], lines[j] = lines[j], lines[i]
            text = "\n".join(lines)
        else:
            digits = [i for i, c in enumerate(text) if c.isdigit()]
            if digits:
                i = chance.choice(digits)
                text = text[:i] + chance.choice("0123456789-") + text[i + 1 :]
    return text


PIECES = [
    "%0",
    "%99",
    "(",
    ")",
    "{",
    "}",
    "<",
    ">",
    '"',
    "\\",
    "~",
    "@",
    "-1",
    "1e999",
    "nan",
    "n",
    "[",
    "]",
    "[n / 0]",
    "float32[",
    "graph\n",
    "\nend",
    "\n",
    ",",
    "=",
    "null",
    "true",
    "relu",
    "scan",
    "input",
    "0",
    "999999999999",
    "\u0000",
    "é",
    " / ",
    "axis=(9)",
    "1.0~",
]


def read_or_refused(text: str) -> Graph | None:
    """The graph of a text, None where it was refused with its line; any other error is a bug."""
    try:
        return parse_graph(text, find, Spelled)
    except FormatError as refusal:
        if not refusal.where.startswith("line"):
            raise
        return None


@pytest.mark.parametrize("seed", range(24))
def test_hostile_text_is_refused_or_is_a_graph_that_reads_back(seed: int) -> None:
    chance = random.Random(seed)
    start = scan_text() if seed % 4 == 0 else print_graph(random_graph(seed), origins=seed % 2 == 0)
    for _ in range(120):
        text = mutated(start, chance)
        graph = read_or_refused(text)
        if graph is None:
            continue
        verify(graph)
        again = print_graph(graph)
        assert print_graph(parse_graph(again, find, Spelled)) == again


@settings(max_examples=300)
@given(st.text())
def test_any_text_is_refused_or_read(text: str) -> None:
    for whole in (text, f"graph\n{text}\nend"):
        try:
            parse_graph(whole, find, Spelled)
        except FormatError:
            continue
