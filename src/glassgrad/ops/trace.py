"""Tracing: arrays that write down what is done to them."""

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from glassgrad.errors import DTypeError, TraceError, real_number, shown
from glassgrad.ir import (
    FLOATS,
    INPUT,
    Dim,
    Graph,
    Node,
    Op,
    Origin,
    Ratio,
    Scope,
    Shape,
    Type,
    Value,
    reachable,
)

from .array import Array
from .elementwise import constant

PACKAGE = __name__.split(".")[0]


class Symbol(Array):
    """A value of a graph that is being written."""

    __slots__ = ("tracer", "value")
    emit_rank = 20

    def __init__(self, value: Value, tracer: Tracer) -> None:
        self.value = value
        self.tracer = tracer

    @property
    def shape(self) -> Shape:
        return self.value.type.shape

    @property
    def dtype(self) -> str:
        return self.value.type.dtype

    def emit(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
        return self.tracer.emit(op, inputs, attributes)

    def __bool__(self) -> bool:
        raise TraceError(
            "a decision on a value that is not known while the program is being written",
            where=user_line(),
            expected="code that does the same for every batch",
            received=f"a truth value asked of {self!r}",
            hint="choose element by element: gg.select(condition, a, b)",
        )

    def _unknown(self, what: str) -> TraceError:
        return TraceError(
            f"{what} asked of a value that is not known while the program is being written",
            where=user_line(),
            expected="work with tensors only",
            received=repr(self),
            hint="keep working with tensors; numbers are there after the step has run",
        )

    def __float__(self) -> float:
        raise self._unknown("a number")

    def __int__(self) -> int:
        raise self._unknown("a number")

    __index__ = __int__

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise self._unknown("a NumPy array")

    def numpy(self) -> Any:
        raise self._unknown("a NumPy array")

    def detach(self) -> Any:
        """Refused: a program has no value without derivatives yet."""
        raise TraceError(
            "detach has no meaning while the program is being written",
            where=user_line(),
            expected="values whose derivatives are all wanted",
            received=repr(self),
            hint="set requires_grad = False on what is not to be trained",
        )

    def __iter__(self) -> Iterator[Any]:
        for i in range(len(self)):
            yield self[i]

    def __repr__(self) -> str:
        return f"Symbol({self.value.type})"


class Tracer:
    """Writes nodes: knows the layer, the phase and the node a derivative belongs to.

    `lift` turns a foreign operand (a parameter, say) into a Symbol or refuses it.
    """

    def __init__(self, lift: Callable[[Any], Symbol] | None = None, lines: bool = False) -> None:
        self.scope = ""
        self.phase = "forward"
        self.scopes: dict[str, Scope] = {}
        self.lift = lift
        self.lines = lines
        self.seq = 0
        self.hosts: dict[str, Symbol] = {}
        self.streams: dict[str, int] = {}
        self.declared: list[Symbol] = []  # the inputs, in order
        self.declared_names: set[str] = set()
        self.updates: list[tuple[Any, Symbol]] = []  # (buffer, its next value)
        self.assumed: list[tuple[Any, str, Any]] = []  # what was read once: (object, name, value)

    def emit(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
        values = [x.value if type(x) is Symbol and x.tracer is self else None for x in inputs]
        if None in values:
            self._lift(op, inputs, values)
        found = self.node(op, tuple(values), attributes)  # type: ignore[arg-type]  # all lifted
        symbols = tuple([Symbol(v, self) for v in found])
        return symbols[0] if len(symbols) == 1 else symbols

    def node(
        self, op: Op, values: tuple[Value, ...], attributes: dict[str, Any]
    ) -> tuple[Value, ...]:
        """A new node on values of this graph."""
        self.seq += 1
        origin = Origin(scope=self.scope, phase=self.phase, seq=self.seq)
        if self.lines:
            origin.line = user_line()
        return Node(op, values, attributes, None, origin).values

    def symbol(self, value: Value) -> Symbol:
        """The value as an array that goes on writing here."""
        return Symbol(value, self)

    def input(self, name: str, type: Type, role: str = "data") -> Symbol:
        """A new input."""
        self.seq += 1
        node = Node(
            INPUT,
            (),
            {"name": name, "type": type, "role": role},
            (type,),
            Origin(name=name, scope=self.scope, seq=self.seq),
        )
        self.declared.append(Symbol(node.values[0], self))
        self.declared_names.add(name)
        return self.declared[-1]

    def host(self, name: str, dtype: str) -> Symbol:
        """A number that the host hands in with every step, such as the step itself."""
        if name not in self.hosts:
            self.hosts[name] = self.input(name, Type((), dtype), "host")
        return self.hosts[name]

    def stream(self, name: str) -> str:
        """A stream of random numbers; one that is read a second time is another."""
        count = self.streams[name] = self.streams.get(name, 0) + 1
        return name if count == 1 else f"{name}#{count}"

    def constant(self, value: Any, dtype: str) -> Symbol:
        """A number, typed by its neighbours."""
        return Symbol(self.node(constant, (), {"value": value, "dtype": dtype})[0], self)

    def _lift(self, op: Op, inputs: tuple[Any, ...], values: list[Value | None]) -> None:
        for i, operand in enumerate(inputs):
            if values[i] is None and isinstance(operand, Array):
                values[i] = self.foreign(operand).value
        dtype = number_dtype([v.type.dtype for v in values if v is not None])
        for i, given in enumerate(inputs):
            if values[i] is None:
                operand = plain_number(given)
                if not isinstance(operand, int | float | Dim | Ratio):
                    raise TraceError(
                        f"{op.name}: this operand cannot become part of a program",
                        where=user_line(),
                        expected="a traced value, a parameter, a buffer or a number",
                        received=f"{type(operand).__name__} {shown(operand)}",
                        hint="pass data as arguments; keep what is trained as a Parameter",
                    )
                values[i] = self.constant(checked_number(operand, dtype), dtype).value

    def foreign(self, operand: Any) -> Symbol:
        """A tensor from outside as a symbol, or an error."""
        for held, new in reversed(self.updates):
            if held is operand:  # assigned to while tracing: from then on, its next value
                return self.symbol(new.value)
        if isinstance(operand, Symbol):
            raise TraceError(
                "a value of another program",
                where=user_line(),
                expected="what this function, or this step of a scan, is given",
                received=repr(operand),
                hint="the body of a scan sees only its arguments: scan(step, carry, xs, w)",
            )
        if self.lift is None:
            raise TraceError(
                "a tensor from outside cannot become part of a program",
                where=user_line(),
                expected="arguments, parameters and buffers",
                received=f"{type(operand).__name__} of shape {operand.shape}",
                hint="pass it as an argument, or keep it as a buffer of a module",
            )
        return self.lift(operand)

    @contextmanager
    def inside(self, scope: Scope) -> Iterator[None]:
        """Nodes made meanwhile belong to this layer."""
        before, self.scope = self.scope, scope.path
        known = self.scopes.setdefault(scope.path, scope)
        if not known.title:
            self.scopes[scope.path] = scope
        try:
            yield
        finally:
            self.scope = before

    @contextmanager
    def during(self, phase: str, scope: str | None = None) -> Iterator[None]:
        """Nodes made meanwhile belong to this phase, and to this layer if one is given."""
        before = self.phase, self.scope
        self.phase = phase
        if scope is not None:
            self.scope = scope
        try:
            yield
        finally:
            self.phase, self.scope = before


def plain_number(given: Any) -> Any:
    """A NumPy scalar as the Python number it is; anything else as it came.

    A NumPy float64 would keep its own dtype beside float32, in a program as anywhere.
    """
    scalar = type(given).__module__ == "numpy" and getattr(given, "shape", None) == ()
    return given.item() if scalar else given


def number_dtype(dtypes: list[str]) -> str:
    """The dtype a Python number takes beside tensors of these dtypes."""
    for dtype in dtypes:
        if dtype in FLOATS:
            return dtype
    for dtype in dtypes:
        if dtype not in ("bool", "loop"):
            return dtype
    return "bool" if dtypes else "int64"


_RANGES = {"uint8": (0, 2**8 - 1), "uint32": (0, 2**32 - 1), "int64": (-(2**63), 2**63 - 1)}


def checked_number(number: Any, dtype: str) -> Any:
    """The number, if this dtype can hold its kind and its size."""
    if isinstance(number, bool):
        return number
    if dtype in FLOATS:
        if isinstance(number, int) and real_number(number) is None:
            raise DTypeError(
                f"a number that {dtype} cannot hold",
                expected="up to 1.8e308",
                received=shown(number),
            )
        return number
    if isinstance(number, float | Ratio) or dtype == "bool":
        raise DTypeError(
            f"a {dtype} tensor and the number {number} do not go together",
            expected="whole numbers" if dtype != "bool" else "True or False",
            received=shown(number),
            hint='cast the tensor first: x.astype("float32")',
        )
    low, high = _RANGES[dtype]
    if isinstance(number, int) and not low <= number <= high:
        raise DTypeError(
            f"a number that {dtype} cannot hold",
            expected=f"{low} to {high}",
            received=shown(number),
        )
    return number


def user_line() -> str:
    """`file:line` of the innermost frame outside glassgrad."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").split(".")[0] != PACKAGE:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        if frame.f_back is None:
            break
        frame = frame.f_back
    return ""


def name_by_lines(outputs: Iterable[Value]) -> None:
    """Name values after the user's variables: `h = x @ w` names the product `h`.

    The last node made on a line takes the name, if it has none of its own.
    """
    last: dict[str, Node] = {}
    for node in reachable(outputs):
        line = node.origin.line
        if line and (line not in last or node.origin.seq > last[line].origin.seq):
            last[line] = node
    for line, node in last.items():
        name = _assigned_name(line)
        if name and (not node.origin.name or node.origin.inner) and node.op is not INPUT:
            node.origin.name, node.origin.inner = name, False


@lru_cache(4096)
def _assigned_name(line: str) -> str:
    """The name that `file:line` gives to what it computes, or nothing."""
    file, _, number = line.rpartition(":")
    try:
        (statement,) = ast.parse(linecache.getline(file, int(number)).strip()).body
    except (SyntaxError, ValueError):
        return ""
    targets: list[ast.expr]
    if isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    elif isinstance(statement, ast.Assign):
        targets = statement.targets
    else:
        return ""
    computed = isinstance(statement.value, ast.BinOp | ast.UnaryOp | ast.Call | ast.Compare)
    (target, *others) = targets
    return target.id if isinstance(target, ast.Name) and computed and not others else ""


def traced_graph(
    function: Callable[..., Any], types: dict[str, Type], roles: dict[str, str] | None = None
) -> Graph:
    """The graph of a function of arrays that returns one array, several, or a dict of them."""
    tracer = Tracer()
    inputs = {
        name: tracer.input(name, t, (roles or {}).get(name, "data")) for name, t in types.items()
    }
    found = function(*inputs.values())
    if isinstance(found, Array):
        found = {"out": found}
    elif isinstance(found, tuple | list):
        found = {f"out{i + 1}": value for i, value in enumerate(found)}
    return Graph(
        {name: s.value for name, s in inputs.items()},
        {name: s.value for name, s in found.items()},
        scopes=tracer.scopes,
    )
