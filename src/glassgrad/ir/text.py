"""Graphs as text that reads back: one line per node, in the order they are computed.

    graph
    %0 = input {name="x", type=float32[n, 2], role="data"}
    %1 = relu(%0) {} : float32[n, 2] @"relu"
    outputs out=%1

`parse_graph` needs a way to find ops by name, and accepts exactly what `print_graph` writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from glassgrad.errors import FormatError

from .graph import DTYPES, INPUT, Graph, Node, Op, Origin, Scope, Type, Value, reachable, verify
from .sizes import Dim, Ratio, Size


def print_graph(graph: Graph, origins: bool = True) -> str:
    """The graph as text; without origins, a text that equal structures share."""
    lines = ["graph"]
    number: dict[Value, str] = {}
    if origins:
        for path, scope in graph.scopes.items():
            parts = [path, scope.title, scope.forward, scope.backward]
            lines.append("scope " + " ".join(json.dumps(p) for p in parts))
    for node in reachable(graph.outputs.values(), [v.node for v in graph.inputs.values()]):
        start = len(number)
        for i, value in enumerate(node.values):
            number[value] = f"%{start + i}"
        names = ", ".join(number[v] for v in node.values)
        operands = f"({', '.join(number[v] for v in node.inputs)})" if node.inputs else ""
        settings = ", ".join(
            f"{k}={print_attribute(v, origins)}" for k, v in node.attributes.items()
        )
        line = f"{names} = {node.op.name}{operands} {{{settings}}}"
        if origins:
            o = node.origin
            marks = [json.dumps(o.name), json.dumps(o.scope), o.phase, str(o.seq)]
            line += f" @ {' '.join(marks)}"
        lines.append(line)
    for name, value in graph.outputs.items():
        lines.append(f"output {json.dumps(name)} {number[value]}")
    for source, target in graph.state.items():
        lines.append(f"state {json.dumps(source)} {json.dumps(target)}")
    for name in graph.guard:
        lines.append(f"guard {json.dumps(name)}")
    lines.append("end")
    return "\n".join(lines)


def print_attribute(value: Any, origins: bool = True) -> str:
    """An attribute as text: numbers, texts, sizes, types, tuples and graphs."""
    if isinstance(value, Graph):
        return "<\n" + print_graph(value, origins) + "\n>"
    if isinstance(value, Type):
        return repr(value)
    if isinstance(value, tuple):
        return f"({' '.join(print_attribute(v, origins) for v in value)})"
    if isinstance(value, Dim | Ratio):
        return f"[{value!r}]"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        spelled = repr(value)
        written = float.__repr__(value)
        return written if spelled == written else f"{written}~{json.dumps(spelled)}"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value)
    raise FormatError("an attribute cannot be written as text", received=repr(value))


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<type>(?:float32|float64|int64|uint32|uint8|bool|loop)\[[^\]]*\])
    | (?P<number>-?(?:\d+\.?\d*(?:e[+-]?\d+)?|inf|nan)\b)
    | (?P<word>[a-z_][a-z0-9_]*)
    | (?P<value>%\d+)
    | (?P<size>\[[^\]]*\])
    | (?P<mark>[(){}=,@~<>])
    )""",
    re.VERBOSE,
)
_SIZE = re.compile(r"[-+*/() a-z0-9_]*")


class _Reader:
    """Reads one graph; every complaint says the line."""

    def __init__(
        self, text: str, find: Callable[[str], Op], spell: Callable[[float, str], float]
    ) -> None:
        self.lines = text.split("\n")
        self.at = 0
        self.find = find
        self.spell = spell

    def wrong(self, what: str) -> FormatError:
        line = self.lines[self.at - 1] if 0 < self.at <= len(self.lines) else ""
        return FormatError(
            f"this is not the text of a graph: {what}",
            where=f"line {self.at}",
            received=repr(line[:80]),
        )

    def next_line(self) -> str:
        if self.at >= len(self.lines):
            raise self.wrong("it ends too soon")
        self.at += 1
        return self.lines[self.at - 1]

    def tokens(self, line: str) -> list[tuple[str, str]]:
        found = []
        position = 0
        while position < len(line):
            match = _TOKEN.match(line, position)
            if match is None:
                raise self.wrong(f"column {position + 1}")
            position = match.end()
            assert match.lastgroup is not None
            found.append((match.lastgroup, match.group(match.lastgroup)))
        return found

    def graph(self, depth: int = 0) -> Graph:
        if self.next_line() != "graph" or depth > 8:
            raise self.wrong("'graph' is missing")
        values: list[Value] = []
        graph = Graph({}, {})
        while (line := self.next_line()) != "end":
            kind = line.split(" ", 1)[0]
            if kind == "scope":
                path, title, forward, backward = self.strings(line, 4)
                graph.scopes[path] = Scope(path, title, forward, backward)
            elif kind == "output":
                tokens = self.tokens(line)
                if [k for k, _ in tokens] != ["word", "string", "value"]:
                    raise self.wrong("an output needs a name and a value")
                graph.outputs[self.string(tokens[1][1])] = self.value(tokens[2][1], values)
            elif kind == "state":
                source, target = self.strings(line, 2)
                graph.state[source] = target
            elif kind == "guard":
                graph.guard = (*graph.guard, *self.strings(line, 1))
            else:
                self.node(line, values, graph, depth)
        return graph

    def strings(self, line: str, count: int) -> list[str]:
        tokens = self.tokens(line)[1:]
        if len(tokens) != count or any(k != "string" for k, _ in tokens):
            raise self.wrong(f"{count} texts are needed")
        return [self.string(t) for _, t in tokens]

    def string(self, text: str) -> str:
        try:
            found = json.loads(text)
        except ValueError:
            raise self.wrong("a text is not closed") from None
        return str(found)

    def value(self, text: str, values: list[Value]) -> Value:
        number = int(text[1:])
        if number >= len(values):
            raise self.wrong(f"{text} is not known yet")
        return values[number]

    def node(self, line: str, values: list[Value], graph: Graph, depth: int) -> None:
        tokens = self.tokens(line)
        position = 0

        def take(kind: str, text: str | None = None) -> str:
            nonlocal position
            if position >= len(tokens):
                raise self.wrong(f"{text or kind} is missing")
            k, t = tokens[position]
            if k != kind or (text is not None and t != text):
                raise self.wrong(f"{text or kind} is needed, not {t}")
            position += 1
            return t

        def peek(text: str) -> bool:
            return position < len(tokens) and tokens[position][1] == text

        names = [take("value")]
        while peek(","):
            take("mark", ",")
            names.append(take("value"))
        if names != [f"%{len(values) + i}" for i in range(len(names))]:
            raise self.wrong("values are not numbered in order")
        take("mark", "=")
        op_name = take("word")
        op = INPUT if op_name == "input" else self.find(op_name)
        operands: list[Value] = []
        if peek("("):
            take("mark", "(")
            while not peek(")"):
                operands.append(self.value(take("value"), values))
                if not peek(")"):
                    take("mark", ",")
            take("mark", ")")
        take("mark", "{")
        attributes: dict[str, Any] = {}
        while not peek("}"):
            name = take("word")
            take("mark", "=")
            if name in attributes:
                raise self.wrong(f"{name} is given twice")
            if peek("<"):
                attributes[name] = self.graph(depth + 1)
                rest = self.next_line()
                if not rest.startswith(">"):
                    raise self.wrong("a graph inside is not closed")
                tokens[position:] = self.tokens(rest[1:])
            else:
                attributes[name], position = self.attribute(tokens, position)
            if not peek("}"):
                take("mark", ",")
        take("mark", "}")
        origin = Origin()
        if peek("@"):
            take("mark", "@")
            origin = Origin(
                name=self.string(take("string")),
                scope=self.string(take("string")),
                phase=take("word"),
                seq=int(take("number")),
            )
            if origin.phase not in ("forward", "backward", "update"):
                raise self.wrong("unknown phase")
        if position != len(tokens):
            raise self.wrong("something follows")
        if [*attributes] != [a.name for a in op.attributes]:
            raise self.wrong(f"{op.name} has the settings {[a.name for a in op.attributes]}")
        try:
            types = (attributes["type"],) if op is INPUT else None
            node = Node(op, tuple(operands), attributes, types, origin)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            raise self.wrong(f"{op.name} does not take this: {error}") from None
        if len(node.values) != len(names):
            raise self.wrong(f"{op.name} gives {len(node.values)} values")
        values += node.values
        if op is INPUT:
            if attributes["name"] in graph.inputs:
                raise self.wrong("an input is named twice")
            graph.inputs[attributes["name"]] = node.values[0]

    def attribute(self, tokens: list[tuple[str, str]], at: int) -> tuple[Any, int]:
        if at >= len(tokens):
            raise self.wrong("a setting is missing")
        kind, text = tokens[at]
        if kind == "string":
            return self.string(text), at + 1
        if kind == "word" and text in ("true", "false", "null", "none"):
            return {"true": True, "false": False}.get(text), at + 1
        if kind == "number":
            number: int | float = int(text) if re.fullmatch(r"-?\d+", text) else float(text)
            if at + 1 < len(tokens) and tokens[at + 1][1] == "~":
                return self.spelled(float(number), self.string(tokens[at + 2][1])), at + 3
            return number, at + 1
        if kind == "type":
            name, _, sizes = text.partition("[")
            if name not in (*DTYPES, "loop"):
                raise self.wrong("unknown dtype")
            inner = sizes[:-1].strip()
            return Type(tuple(self.size(s) for s in inner.split(", ")) if inner else (), name), at + 1
        if kind == "size":
            inner = text[1:-1]
            if " / " in inner:
                top, _, below = inner.partition(" / ")
                return Ratio(self.size(top.strip("()")), self.size(below.strip("()"))), at + 1
            return self.size(inner), at + 1
        if text == "(":
            items = []
            at += 1
            while at < len(tokens) and tokens[at][1] != ")":
                item, at = self.attribute(tokens, at)
                items.append(item)
            if at >= len(tokens):
                raise self.wrong("a bracket is not closed")
            return tuple(items), at + 1
        raise self.wrong(f"a setting is needed, not {text}")

    def spelled(self, value: float, text: str) -> float:
        # A spelling is printed into programs: only arithmetic of numbers may stand there.
        if "**" in text or len(text) > 60 or not re.fullmatch(r"(?:math\.(?:sqrt|pi)|[-+*/(). 0-9]|e-\d)+", text):
            raise self.wrong("this is not how a number is spelled")
        return self.spell(value, text)

    def size(self, text: str) -> Size:
        if not _SIZE.fullmatch(text) or not text.strip():
            raise self.wrong(f"{text!r} is not a size")
        total: Size = 0
        for sign, term in re.findall(r"(^-|[-+] |^)\s*([^-+]+)", text.strip()):
            factor: Size = 1
            for part in term.strip().split("*"):
                word = part.strip()
                if word.isdigit():
                    factor = factor * int(word)
                elif re.fullmatch(r"[a-z][a-z0-9_]*", word):
                    factor = Dim.named(word) * factor
                else:
                    raise self.wrong(f"{text!r} is not a size")
            total = total + factor * (-1 if sign.strip() == "-" else 1)
        return total


def parse_graph(
    text: str,
    find: Callable[[str], Op],
    spell: Callable[[float, str], float] = lambda value, _: value,
) -> Graph:
    """Read a graph back. Raises FormatError, with the line, for anything else."""
    reader = _Reader(text, find, spell)
    graph = reader.graph()
    if reader.at != len(reader.lines):
        raise reader.wrong("something follows the end")
    return verify(graph)
