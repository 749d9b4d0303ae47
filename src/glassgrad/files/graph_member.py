"""`graph.json`: the module tree and the forward graph, written in one form and read strictly."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from math import prod
from typing import Any

from glassgrad.errors import ConfigError, FormatError, shown
from glassgrad.ir import (
    INPUT,
    Dim,
    Graph,
    Type,
    Value,
    attribute_key,
    parse_graph,
    print_graph,
)
from glassgrad.nn.module import LONGEST_NAME
from glassgrad.ops import OPSET, Spelled, Symbol, Tracer, find
from glassgrad.tensors.tensor import Buffer, Parameter

from .loaded import Place
from .manifest import MEMBERS
from .strict_json import read_json, written
from .weights import AnyArray

# Of the lines together: a graph within them is read in less than two seconds and some 60 MB.
_MOST_LINES = 15_000
_MOST_REFERENCES = 100_000  # to values
_LONGEST_LINE = 2**16
MOST_ROW = 2**31  # numbers that one row may become on its way
_ROWS = Dim.named("n")
_OUTPUT = re.compile(r"prediction_[A-Za-z0-9_]{1,64}")
_FIELDS = {
    "opset": int, "title": str, "trainable": bool, "modules": list, "parameters": list,
    "graph": list,
}  # fmt: skip


def graph_json(
    title: str, trainable: bool, places: list[Place], parameters: list[str], graph: Graph
) -> bytes:
    """The member's bytes."""
    lines = print_graph(graph).split("\n")
    if found := _too_much(lines):
        raise ConfigError("the network is too large for a file", where="graph.json", received=found)
    try:
        _check_nodes(graph)
    except FormatError as error:
        raise ConfigError(
            f"this network cannot be kept in a file: {error.what}",
            where=error.where,
            expected=error.expected,
            received=error.received,
        ) from None
    description = {
        "opset": OPSET,
        "title": title,
        "trainable": trainable,
        "modules": [
            {"path": p.path, "title": p.title, "parameters": list(p.parameters)} for p in places
        ],
        "parameters": parameters,
        "graph": lines,
    }
    return written(description, "graph.json")


@dataclass(frozen=True, slots=True)
class Described:
    """What `graph.json` says."""

    graph: Graph
    title: str
    trainable: bool
    places: list[Place]
    parameters: list[str]  # and buffers, in the order of construction


def read_graph_json(data: bytes) -> Described:
    """The inverse of `graph_json`. Raises FormatError, or what the graph's own checks raise."""
    description = read_json(data, "graph.json", MEMBERS["graph.json"])
    if not isinstance(description, dict) or list(description) != list(_FIELDS):
        raise FormatError(
            "the description has other parts",
            where="graph.json",
            expected=", ".join(_FIELDS),
            received=shown(list(description) if isinstance(description, dict) else description),
        )
    for name, kind in _FIELDS.items():
        if type(description[name]) is not kind:
            raise FormatError(
                f"{name} is not a {kind.__name__}",
                where="graph.json",
                received=shown(description[name]),
            )
    if not 1 <= description["opset"] <= OPSET:
        raise FormatError(
            "the graph is written in another vocabulary",
            where="graph.json",
            expected=f"an op-set from 1 to {OPSET}",
            received=shown(description["opset"]),
            hint="a newer glassgrad reads it" if description["opset"] > OPSET else "",
        )
    lines = _texts(description["graph"], "graph")
    if any("\n" in line for line in lines):
        raise FormatError(
            "a line of the graph holds another", where="graph.json", expected="a line for each node"
        )
    if found := _too_much(lines):
        raise FormatError("the graph is too long", where="graph.json", received=found)
    return Described(
        _graph("\n".join(lines)),
        description["title"],
        description["trainable"],
        [_place(entry) for entry in description["modules"]],
        _texts(description["parameters"], "parameters"),
    )


def _too_much(lines: list[str]) -> str:
    """What of a graph is more than is read; nothing where all is well."""
    amounts = {
        "lines": (len(lines), _MOST_LINES),
        "references": (sum(line.count("%") for line in lines), _MOST_REFERENCES),
        "characters in a line": (max(map(len, lines), default=0), _LONGEST_LINE),
    }
    return ", ".join(f"{n:,} {k}, at most {most:,}" for k, (n, most) in amounts.items() if n > most)


def _texts(value: list[Any], name: str) -> list[str]:
    if not all(isinstance(v, str) for v in value):
        raise FormatError(f"{name} is not made of texts", where="graph.json", received=shown(value))
    return value


def _place(entry: Any) -> Place:
    if not isinstance(entry, dict) or list(entry) != ["path", "title", "parameters"]:
        raise FormatError(
            "a module is described otherwise", where="graph.json", received=shown(entry)
        )
    path, title, parameters = entry.values()
    if not (isinstance(path, str) and isinstance(title, str) and isinstance(parameters, list)):
        raise FormatError(
            "a module is described otherwise", where="graph.json", received=shown(entry)
        )
    if not _named(path):
        raise FormatError("this is no module's path", where="graph.json", received=shown(path))
    return Place(path, title, tuple(_texts(parameters, "parameters")))


def _named(path: str) -> bool:
    """Whether a path is made of names that modules and parameters can have."""
    parts = path.split(".")
    return len(parts) <= 50 and all(p.isidentifier() and len(p) <= LONGEST_NAME + 9 for p in parts)


def _graph(text: str) -> Graph:
    graph = parse_graph(text, find, Spelled)
    if print_graph(graph) != text:
        raise FormatError(
            "the graph is not written as we write it",
            expected="one form only, character by character",
        )
    outputs = [name.removeprefix("prediction_") for name in graph.outputs]
    several = "prediction" not in graph.outputs and all(
        _OUTPUT.fullmatch(name) for name in graph.outputs
    )
    if graph.state or graph.guard or not (outputs == ["prediction"] or (outputs and several)):
        raise FormatError(
            "a model gives predictions and changes nothing",
            expected="prediction, or several such as prediction_a",
            received=shown([*graph.outputs, *graph.state, *graph.guard]),
        )
    roles = {name: v.node.attributes["role"] for name, v in graph.inputs.items()}
    data = [name for name, role in roles.items() if role not in ("parameter", "buffer")]
    if not data or any(roles[name] != "data" or not _is_name(name) for name in data):
        raise FormatError(
            "a model has inputs of data beside its parameters",
            expected="x, or several by name",
            received=shown({name: roles[name] for name in data}),
        )
    for name in data:
        if not _fits(graph.inputs[name].type):
            raise FormatError(
                f"{name} is not rows",
                expected="any number of rows (n) of a fixed shape",
                received=repr(graph.inputs[name].type),
            )
    _check_nodes(graph)
    return graph


def _is_name(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name) and len(name) <= LONGEST_NAME


def _fits(kind: Type) -> bool:
    rows, *rest = kind.shape or (0,)
    return rows == _ROWS and all(isinstance(s, int) and s >= 1 for s in rest)


def _check_nodes(graph: Graph) -> None:
    """Settings in their one form, sizes that can be meant, an order that can be computed."""
    tracer = Tracer()
    for node in graph.nodes():
        for value in node.values:
            _check_size(value)
        if node.op is INPUT:
            continue
        operands = tuple([Symbol(v, tracer) for v in node.inputs])
        normal = node.op.normal(operands, node.attributes)
        for name, attribute in node.attributes.items():
            if attribute_key(normal[name]) != attribute_key(attribute):
                raise FormatError(
                    "a setting is not in its one form",
                    where=f"{node.op.name}, {name}",
                    expected=shown(normal[name]),
                    received=shown(attribute),
                )
            if isinstance(attribute, Graph):
                _check_nodes(attribute)
        if any(v.node.origin.seq >= node.origin.seq for v in node.inputs if v.node.op is not INPUT):
            raise FormatError(
                "a node stands before one it uses",
                where=node.op.name,
                expected="numbers that rise from each node to those that use it",
            )
        if node.origin.phase != "forward":
            raise FormatError("a model is only a forward pass", received=node.origin.phase)


def _check_size(value: Value) -> None:
    shape = value.type.shape
    sizes = [s if isinstance(s, int) else sum(abs(c) for _, c in s.terms) for s in shape]
    named = {name for s in shape if isinstance(s, Dim) for name in s.names}
    degree = max((len(p) for s in shape if isinstance(s, Dim) for p, _ in s.terms), default=0)
    if len(shape) > 32 or prod(sizes) > MOST_ROW or not named <= {"n"} or degree > 4:
        raise FormatError(
            "a value of the graph is too large to be meant",
            where=value.node.op.name,
            expected=f"at most {MOST_ROW:,} numbers for one row",
            received=shown(repr(value.type), 120),
        )


def state_of(graph: Graph, arrays: dict[str, AnyArray], order: list[str]) -> dict[str, Parameter]:
    """Parameters and buffers by name, if the arrays are those of the graph."""
    wanted = {n: v for n, v in graph.inputs.items() if v.node.attributes["role"] != "data"}
    wrong = []
    for name in sorted({*wanted, *arrays}):
        if name not in wanted or name not in arrays:
            wrong.append(
                f"{shown(name)} {'is missing' if name in wanted else 'is not in the graph'}"
            )
            continue
        stored = Type(arrays[name].shape, arrays[name].dtype.name)
        if stored != wanted[name].type:
            wrong.append(f"{shown(name)} is {stored}, not {wanted[name].type}")
    if wrong:
        raise FormatError(
            "weights and graph do not agree",
            expected=f"the graph's {len(wanted)} parameters",
            received="; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" * (len(wrong) > 5)),
        )
    if sorted(order) != sorted(wanted):
        raise FormatError(
            "the list of parameters differs from the graph's",
            expected=shown(sorted(wanted)),
            received=shown(sorted(order)),
        )
    bad = next((name for name in order if not _named(name)), None)
    if bad is not None:
        raise FormatError(
            "a parameter cannot have this name",
            expected="Python identifiers joined by points",
            received=shown(bad),
        )
    found: dict[str, Parameter] = {}
    for name in order:
        kind, array = wanted[name].type, arrays[name]
        if wanted[name].node.attributes["role"] == "buffer":
            found[name] = Buffer(array, kind, name)
        else:
            found[name] = Parameter(array, kind, array.dtype.kind == "f", name)
    return found
