"""Graphs as text that reads back: one line per node, in the order they are computed.

    graph
    %0 = input {name="x", type=float32[n, 2], role="data"}
    %1 = leaky_relu(%0) {slope=0.01} @ "hidden" "layer1" forward 2
    output "out" %1
    end

`parse_graph` needs a way to find ops by name, and accepts exactly what `print_graph` writes.
"""

from __future__ import annotations

import ast
import builtins
import json
import keyword
import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from glassgrad.errors import FormatError, GlassgradError

from .graph import (
    DTYPES,
    INPUT,
    Graph,
    Node,
    Op,
    Origin,
    Scope,
    Type,
    Value,
    attribute_key,
    reachable,
    verify,
)
from .sizes import Dim, Ratio, Size

_quoted = lru_cache(4096)(json.dumps)  # the same few texts, again and again


def print_graph(graph: Graph, origins: bool = True) -> str:
    """The graph as text; without origins, a text that equal structures share."""
    lines = ["graph"]
    number: dict[Value, str] = {}
    if origins:
        for path, scope in graph.scopes.items():
            parts = [path, scope.title, scope.forward, scope.backward]
            lines.append("scope " + " ".join(_quoted(p) for p in parts))
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
            marks = [_quoted(o.name), _quoted(o.scope), o.phase, str(o.seq)]
            line += f" @ {' '.join(marks)}"
        lines.append(line)
    for name, value in graph.outputs.items():
        lines.append(f"output {_quoted(name)} {number[value]}")
    for source, target in graph.state.items():
        lines.append(f"state {_quoted(source)} {_quoted(target)}")
    lines += [f"guard {_quoted(name)}" for name in graph.guard]
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
        return written if spelled == written else f"{written}~{_quoted(spelled)}"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _quoted(value)
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
_LONGEST_SIZE = 200  # a product of many names takes long
_SIZE = re.compile(r"[-+*/() a-z0-9_]*")
# A size's name becomes a variable of a program.
_NOT_A_NAME = frozenset({*keyword.kwlist, *dir(builtins), "np", "math", "hashlib", "t"})
_REFUSED = (GlassgradError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError)


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
                name = self.string(tokens[1][1])
                if name in graph.outputs:
                    raise self.wrong("an output is named twice")
                graph.outputs[name] = self.value(tokens[2][1], values)
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
        try:
            op = INPUT if op_name == "input" else self.find(op_name)
        except GlassgradError as error:
            raise self.wrong(f"{error.what} {op_name}") from None
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
                seq=self.whole(take("number")),
            )
            if origin.phase not in ("forward", "backward", "update"):
                raise self.wrong("unknown phase")
        if position != len(tokens):
            raise self.wrong("something follows")
        if [*attributes] != [a.name for a in op.attributes]:
            raise self.wrong(f"{op.name} has the settings {[a.name for a in op.attributes]}")
        if op is INPUT:
            self.check_input(**attributes)
        try:
            self.check_settings(op, tuple([v.type for v in operands]), attributes)
            types = (attributes["type"],) if op is INPUT else None
            node = Node(op, tuple(operands), attributes, types, origin)
        except FormatError:
            raise
        except _REFUSED as error:
            raise self.wrong(f"{op.name} does not take this: {error}") from None
        if len(node.values) != len(names):
            raise self.wrong(f"{op.name} gives {len(node.values)} values")
        values += node.values
        if op is INPUT:
            if attributes["name"] in graph.inputs:
                raise self.wrong("an input is named twice")
            graph.inputs[attributes["name"]] = node.values[0]

    def check_input(self, name: Any, type: Any, role: Any) -> None:
        if not isinstance(name, str) or not isinstance(role, str) or not isinstance(type, Type):
            raise self.wrong("an input has a name, a type and a role")
        if type.dtype == "loop":
            raise self.wrong("an input cannot be a loop")

    def check_settings(self, op: Op, kinds: tuple[Type, ...], attributes: dict[str, Any]) -> None:
        """Every setting must be in the one form that calling the op would have given it."""
        for setting in op.attributes:
            value = attributes[setting.name]
            if not isinstance(value, Graph) and attribute_key(
                setting.normal(value, kinds)
            ) != attribute_key(value):
                raise self.wrong(f"{setting.name} is not in the form that {op.name} keeps")

    def whole(self, text: str) -> int:
        if not re.fullmatch(r"-?\d{1,18}", text):
            raise self.wrong(f"a whole number is needed, not {text}")
        return int(text)

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
            if at + 1 < len(tokens) and tokens[at + 1] == ("mark", "~"):
                if at + 2 >= len(tokens) or tokens[at + 2][0] != "string":
                    raise self.wrong("how the number is spelled is missing")
                return self.spelled(float(number), self.string(tokens[at + 2][1])), at + 3
            return number, at + 1
        if kind == "type":
            name, _, sizes = text.partition("[")
            if name not in (*DTYPES, "loop"):
                raise self.wrong("unknown dtype")
            inner = sizes[:-1].strip()
            shape = tuple(self.size(s) for s in inner.split(", ")) if inner else ()
            if any(isinstance(s, int) and s < 0 for s in shape):
                raise self.wrong("a size is negative")
            return Type(shape, name), at + 1
        if kind == "size":
            inner = text[1:-1]
            if " / " in inner:
                top, _, below = inner.partition(" / ")
                return Ratio(self.term(top), self.term(below)), at + 1
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
        # A spelling is printed into programs: only arithmetic that gives this number may stand
        # there.
        try:
            found = _arithmetic(ast.parse(text, mode="eval").body) if len(text) <= 60 else math.nan
        except (SyntaxError, *_REFUSED):
            found = math.nan
        if not math.isclose(found, value, rel_tol=1e-9):
            raise self.wrong("this is not how the number is spelled")
        return self.spell(value, text)

    def term(self, text: str) -> Any:
        inner = text.removeprefix("(").removesuffix(")")
        plain = re.fullmatch(r"-?\d+\.\d*(?:e[+-]?\d+)?", inner)
        return float(inner) if plain else self.size(inner)

    def size(self, text: str) -> Size:
        if len(text) > _LONGEST_SIZE or not _SIZE.fullmatch(text) or not text.strip():
            raise self.wrong(f"{text[:80]!r} is not a size")
        total: Size = 0
        for sign, term in re.findall(r"(^-|[-+] |^)\s*([^-+]+)", text.strip()):
            factor: Size = 1
            for part in term.strip().split("*"):
                word = part.strip()
                if word.isdigit():
                    factor = factor * int(word)
                elif re.fullmatch(r"[a-z][a-z0-9_]*", word) and word not in _NOT_A_NAME:
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
    try:
        graph = reader.graph()
        if reader.at != len(reader.lines):
            raise reader.wrong("something follows the end")
        return verify(graph)
    except FormatError:
        raise
    except (RecursionError, *_REFUSED) as error:
        raise reader.wrong(str(getattr(error, "what", error))) from None


def _arithmetic(node: ast.expr) -> float:
    """The number that a spelling gives; raises ValueError for anything but plain arithmetic."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return float(node.value)
        raise ValueError("not a number")
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_arithmetic(node.operand)
    if isinstance(node, ast.BinOp):
        left, right = _arithmetic(node.left), _arithmetic(node.right)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.Div):
            return left / right
        if isinstance(node.op, ast.Pow):
            return math.pow(left, right)
    if ast.unparse(node) == "math.pi":
        return math.pi
    if isinstance(node, ast.Call) and not node.keywords:
        functions = {"math.sqrt": math.sqrt, "math.log": math.log}
        (operand,) = node.args
        return functions[ast.unparse(node.func)](_arithmetic(operand))
    raise ValueError("not plain arithmetic")
