"""Functions of functions: `grad`, `value_and_grad`, `compile`.

All three work on plain functions of tensors, and on each other: a gradient of a gradient, the
gradient of a compiled function, a gradient inside one.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator, Sequence
from functools import update_wrapper
from typing import Any

import numpy as np

from glassgrad.engine import compile_graph, graph_source
from glassgrad.errors import DTypeError, TraceError, UsageError, shown
from glassgrad.ir import FLOATS, Graph, Type, Value, attribute_key, reachable
from glassgrad.ops import OPS, Array, Symbol, Tracer, user_line
from glassgrad.ops.trace import name_by_lines
from glassgrad.passes.differentiate import pull_back_values
from glassgrad.passes.positions import index_limits

from .random import next_draw
from .tensor import (
    _MODE,
    Buffer,
    Parameter,
    Tensor,
    _Done,
    check_positions,
    derivatives,
    full,
    history,
    recording,
    tensor,
    tracing,
)

# -- derivatives of functions ------------------------------------------------------------------


def grad(fn: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """The derivative of a function that gives one number: another function, of equal arguments.

    `argnums` says in which argument, or in which several; then the result is a tuple. What the
    function does not depend on has the derivative 0. Gradients of gradients are possible, and
    `grad` can be used inside `gg.compile`. Raises UsageError where the function gives something
    else than one real number, DTypeError where the argument is not real.

    >>> import glassgrad as gg
    >>> cube = lambda x: x * x * x
    >>> gg.grad(cube)(2.0), gg.grad(gg.grad(cube))(2.0)
    (tensor(12.), tensor(12.))
    """
    both = value_and_grad(fn, argnums)

    def gradient(*args: Any, **settings: Any) -> Any:
        return both(*args, **settings)[1]

    return _documented(gradient, fn, "gradient")


def value_and_grad(
    fn: Callable[..., Any], argnums: int | tuple[int, ...] = 0
) -> Callable[..., tuple[Any, Any]]:
    """A function that gives (value, gradient); arguments and errors as with `grad`.

    >>> import glassgrad as gg
    >>> gg.value_and_grad(lambda w, x: (w * x).sum())(gg.tensor([1.0, 2.0]), 3.0)
    (tensor(9.), tensor([3., 3.]))
    """
    many = isinstance(argnums, tuple | list)
    chosen: tuple[Any, ...] = tuple(argnums) if isinstance(argnums, tuple | list) else (argnums,)
    if not chosen or not all(type(i) is int for i in chosen) or len(set(chosen)) < len(chosen):
        raise UsageError(
            "argnums says in which arguments to differentiate",
            expected="the position of one argument, or a tuple of different ones",
            received=shown(argnums),
        )

    def value_and_gradient(*args: Any, **settings: Any) -> tuple[Any, Any]:
        if not all(-len(args) <= i < len(args) for i in chosen):
            raise UsageError(
                "there is no such argument to differentiate in",
                where=_name(fn),
                expected=f"argnums below {len(args)}",
                received=shown(argnums),
            )
        at = [i % len(args) for i in chosen]
        tracer = next((a.tracer for a in args if isinstance(a, Symbol)), None) or _MODE.tracer
        pull = _traced_gradient if tracer is not None else _eager_gradient
        value, gradients = pull(fn, args, settings, at)
        return value, tuple(gradients) if many else gradients[0]

    return _documented(value_and_gradient, fn, "value and gradient")


def _documented(made: Callable[..., Any], fn: Callable[..., Any], what: str) -> Callable[..., Any]:
    made.__name__ = made.__qualname__ = f"{what.replace(' ', '_')}_of_{_name(fn)}"
    made.__doc__ = f"The {what} of {_name(fn)}."
    return made


def _name(fn: Callable[..., Any]) -> str:
    name = str(getattr(fn, "__name__", type(fn).__name__))
    return name if name.isidentifier() else "function"


def _checked(fn: Callable[..., Any], result: Any) -> Any:
    """The result, if it is a number that has a derivative."""
    if not isinstance(result, Array) or result.size != 1 or result.dtype not in FLOATS:
        received = (
            f"{result.dtype}{list(result.shape)}" if isinstance(result, Array) else shown(result)
        )
        raise UsageError(
            "a derivative starts from one number",
            where=_name(fn),
            expected="a function that gives one real number",
            received=received,
            hint="reduce it first: y.sum()",
        )
    return result


def _real(argument: Any, fn: Callable[..., Any], position: int) -> Any:
    made = argument if isinstance(argument, Array) else tensor(argument)
    if made.dtype not in FLOATS:
        raise DTypeError(
            "only real numbers have derivatives",
            where=f"argument {position + 1} of {_name(fn)}",
            expected="float32 or float64",
            received=made.dtype,
            hint='cast first: x.astype("float32")',
        )
    return made


def _eager_gradient(
    fn: Callable[..., Any], args: tuple[Any, ...], settings: dict[str, Any], at: list[int]
) -> tuple[Any, list[Any]]:
    given = [tensor(a) if isinstance(a, np.ndarray) else a for a in args]
    fresh: list[Tensor] = []
    for i in at:
        source = _real(given[i], fn, i)
        # A tensor of its own for each argument, even where the same one is passed twice. It
        # hangs on the old one, so that an outer derivative finds its way through.
        copy = Tensor(source._data, source.array_type, requires_grad=True)
        if source.requires_grad and _MODE.recording:
            copy._step = _Done(OPS["reshape"], (source,), (copy,), {"shape": source.shape})
        given[i] = copy
        fresh.append(copy)
    with recording():
        value = _checked(fn, fn(*given, **settings))
    if not isinstance(value, Tensor):
        raise TraceError("a derivative of what is only being written", where=user_line())
    outer = False
    found: dict[Tensor, Tensor] = {}
    if value.requires_grad:
        _, leaves = history(value, fresh)
        inside = {id(t) for t in fresh}
        outer = _MODE.recording and (
            any(t._step is not None for t in fresh) or any(id(t) not in inside for t in leaves)
        )
        found = derivatives(value, create_graph=outer, wrt=fresh)
    gradients = [found[t] if t in found else full(t.shape, 0, t.dtype) for t in fresh]
    return value if outer else value.detach(), gradients


def _traced_gradient(
    fn: Callable[..., Any], args: tuple[Any, ...], settings: dict[str, Any], at: list[int]
) -> tuple[Any, list[Any]]:
    tracer = next((a.tracer for a in args if isinstance(a, Symbol)), None) or _MODE.tracer
    assert tracer is not None
    given = list(args)
    wrt: list[Value] = []
    for i in at:
        source = given[i]
        if not isinstance(source, Array):
            source = tracer.constant(float(source), "float32")
        elif not isinstance(source, Symbol):
            source = tracer.foreign(source)
        _real(source, fn, i)
        # Nodes of their own: derivatives are taken in these, not in equal values around them.
        given[i] = tracer.emit(OPS["reshape"], (source,), {"shape": source.shape})
        wrt.append(given[i].value)
    value = _checked(fn, fn(*given, **settings))
    if not isinstance(value, Symbol):
        value = tracer.foreign(value)
    before = tracer.seq
    origin = value.value.node.origin
    with tracer.during("backward", origin.scope):
        one = tracer.constant(1, value.dtype)
        seed = one.value if not value.shape else OPS["broadcast_to"](one, shape=value.shape).value
        found = pull_back_values(tracer, [(value.value, seed)], wrt)
        gradients = [found[v] if v in found else _zeros(tracer, v.type) for v in wrt]
    # To whoever called, this is part of going forward, or of whatever was being written.
    for node in reachable(gradients):
        if node.origin.seq > before:
            node.origin.phase = tracer.phase
            node.origin.line = ""
    if len(gradients) == 1 and tracer.lines:
        gradients[0].node.origin.line = user_line()
    return value, [tracer.symbol(v) for v in gradients]


def _zeros(tracer: Tracer, like: Type) -> Value:
    zero = tracer.constant(0, like.dtype)
    return OPS["broadcast_to"](zero, shape=like.shape).value if like.shape else zero.value


# -- compiled functions ------------------------------------------------------------------------


class Captures(Tracer):
    """Writes what a function does; parameters and buffers it captures become inputs."""

    def __init__(self) -> None:
        super().__init__(lift=self._captured, lines=True)
        self.held: list[Parameter] = []
        self._symbols: dict[int, Symbol] = {}
        self._names: set[str] = set()

    def argument(self, name: str, like: Type, role: str = "data") -> Symbol:
        """A new input, under its own name or one with a number."""
        fresh, count = name, 1
        while fresh in self._names:
            count += 1
            fresh = f"{name}{count}"
        self._names.add(fresh)
        return self.input(fresh, like, role)

    def _captured(self, operand: Any) -> Symbol:
        if not isinstance(operand, Parameter):
            raise TraceError(
                "a tensor from outside cannot become part of a program",
                where=user_line(),
                expected="arguments, parameters and buffers",
                received=f"a tensor of shape {operand.shape}",
                hint="pass it as an argument, or keep it as gg.Buffer or gg.Parameter",
            )
        known = self._symbols.get(id(operand))
        if known is None:
            role = "buffer" if isinstance(operand, Buffer) else "parameter"
            name = operand.name or f"{role}{len(self.held) + 1}"
            known = self.argument(name, operand.array_type, role)
            known.value.node.origin.scope = ""
            self._symbols[id(operand)] = known
            self.held.append(operand)
        return known


class _Trace:
    """One program: a function for arguments of certain types."""

    def __init__(self, fn: Callable[..., Any], args: _Arguments) -> None:
        tracer = Captures()
        given = args.given(
            [
                tracer.argument(n, t.array_type)
                for n, t in zip(args.names, args.tensors, strict=True)
            ]
        )
        self.arguments = len(args.tensors)
        with tracing(tracer):
            found = fn(*given[0], **given[1])
        self.outputs: list[Symbol] = []
        self.shape = self._structure(found, tracer, fn)
        self.labels = [str(k) for k in found] if isinstance(found, dict) else []
        self.count = len(self.outputs)
        latest = {id(held): (held, new) for held, new in tracer.updates}
        self.updated = [held for held, _ in latest.values()]
        names = self.labels or ["result"] * len(self.outputs)
        outputs = {f"out{i + 1}": s.value for i, s in enumerate(self.outputs)}
        for held, new in latest.values():
            outputs[f"next{len(outputs) + 1}"] = new.value
            origin = new.value.node.origin
            origin.name = origin.name or f"new_{held.name.rpartition('.')[2] or 'state'}"
        self.held = list(tracer.held)
        self.hosts = list(tracer.hosts)
        self.assumed = list(tracer.assumed)
        inputs = {s.value.node.attributes["name"]: s.value for s in tracer.declared}
        self.kinds = [s.value.node.attributes["role"] for s in tracer.declared]
        for node in reachable(outputs.values()):
            node.origin.phase = "forward"
        name_by_lines([s.value for s in self.outputs])
        for name, symbol in zip(names, self.outputs, strict=False):
            origin = symbol.value.node.origin
            origin.name = origin.name or name
        self.graph = Graph(inputs, outputs, scopes=tracer.scopes)
        self.name = _name(fn)
        self.limits = index_limits(self.graph)
        self.run = compile_graph(self.graph) if outputs else None

    def fits(self) -> bool:
        """Whether what the trace took for granted still holds, such as a layer's mode."""
        return all(getattr(owner, name) == value for owner, name, value in self.assumed)

    def _structure(self, found: Any, tracer: Tracer, fn: Callable[..., Any]) -> Any:
        if isinstance(found, Array):
            symbol = found if isinstance(found, Symbol) else tracer.foreign(found)
            self.outputs.append(symbol)
            return len(self.outputs) - 1
        if isinstance(found, tuple | list):
            return tuple([self._structure(item, tracer, fn) for item in found])
        if isinstance(found, dict):
            return {key: self._structure(item, tracer, fn) for key, item in found.items()}
        raise TraceError(
            "a compiled function gives tensors",
            where=_name(fn),
            expected="a tensor, or a tuple or dict of tensors",
            received=shown(found),
            hint="give plain numbers back outside the compiled part",
        )

    def __call__(self, tensors: list[Tensor]) -> Any:
        if self.run is None:
            return self._built(self.shape, ())
        waiting, captured = iter(tensors), iter(self.held)
        hosts = dict(zip(("seed", "step"), next_draw(), strict=True)) if self.hosts else {}
        operands: list[Tensor] = []
        names = iter(self.hosts)
        for kind, value in zip(self.kinds, self.graph.inputs.values(), strict=True):
            if kind == "data":
                operands.append(next(waiting))
            elif kind == "host":  # a plain number, as a program gets it
                operands.append(Tensor(hosts[next(names)], value.type))
            else:
                held = next(captured)  # a buffer as it is now, since this call may assign to it
                operands.append(held if held.requires_grad else held.detach())
        for (name, _), operand in zip(self.graph.inputs.items(), operands, strict=True):
            if name in self.limits:
                check_positions(f"{self.name}, {name}", operand._data, *self.limits[name])
        if _MODE.recording and any(t.requires_grad for t in operands):
            made = OPS["call"](*operands, graph=self.graph)
            results = made if isinstance(made, tuple) else (made,)
        else:
            raw = self.run(*[t._data for t in operands])
            kinds = [v.type for v in self.graph.outputs.values()]
            results = tuple(
                [
                    Tensor(d, t)
                    for d, t in zip(raw if len(kinds) > 1 else (raw,), kinds, strict=True)
                ]
            )
        for held, new in zip(self.updated, results[self.count :], strict=True):
            held.assign(new.detach())
        return self._built(self.shape, results)

    def _built(self, shape: Any, results: Sequence[Any]) -> Any:
        if isinstance(shape, tuple):
            return tuple([self._built(item, results) for item in shape])
        if isinstance(shape, dict):
            return {key: self._built(item, results) for key, item in shape.items()}
        return results[shape]


POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class _Arguments:
    """The arguments of a call, taken apart: tensors with their names, and a key for the rest."""

    def __init__(
        self,
        name: str,
        signature: inspect.Signature | None,
        args: tuple[Any, ...],
        settings: dict[str, Any],
    ) -> None:
        self.args, self.settings = args, settings
        self.tensors: list[Tensor] = []
        key: list[Any] = []
        for label, value in [*(("", a) for a in args), *settings.items()]:
            item = value
            if isinstance(item, np.ndarray | np.generic):
                item = tensor(item)
            if isinstance(item, Tensor):
                self.tensors.append(item)
                key.append((label, item.array_type))
                continue
            try:
                hash(item)
            except TypeError:
                raise UsageError(
                    "a compiled function cannot take this argument",
                    where=name,
                    expected="tensors, NumPy arrays, or fixed values such as numbers and texts",
                    received=f"{type(item).__name__} {shown(item)}",
                    hint="make it an array, or pass its parts one by one",
                ) from None
            # 0.0 and -0.0, 1 and True are different programs
            plain = isinstance(item, bool | int | float | tuple)
            key.append((label, type(item), attribute_key(item) if plain else item))
        self.key = tuple(key)
        self._signature = signature

    @property
    def names(self) -> list[str]:
        """A name for each tensor: that of the parameter it is passed for."""
        count = len(self.args)
        labels = [f"x{i + 1}" for i in range(count)] + list(self.settings)
        if self._signature is not None:
            for at, parameter in enumerate(self._signature.parameters.values()):
                if parameter.kind is parameter.VAR_POSITIONAL:
                    labels[at:count] = [f"{parameter.name}{i + 1}" for i in range(count - at)]
                if parameter.kind not in POSITIONAL or at >= count:
                    break
                labels[at] = parameter.name
        dynamic = [_is_tensor(v) for v in (*self.args, *self.settings.values())]
        return [name for name, is_one in zip(labels, dynamic, strict=True) if is_one]

    def given(self, symbols: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with these in the places of the tensors."""
        left: Iterator[Any] = iter(symbols)
        args = tuple([next(left) if _is_tensor(a) else a for a in self.args])
        return args, {k: next(left) if _is_tensor(v) else v for k, v in self.settings.items()}


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor | np.ndarray | np.generic)


class Compiled:
    """A function as a program for each kind of arguments it meets; made by `gg.compile`."""

    LIMIT = 256

    def __init__(self, fn: Callable[..., Any]) -> None:
        if not callable(fn):
            raise UsageError("only a function can be compiled", received=shown(fn))
        self.fn = fn
        self._traces: dict[Any, list[_Trace]] = {}
        self._last: _Trace | None = None
        try:
            self._signature: inspect.Signature | None = inspect.signature(fn)
        except (TypeError, ValueError):
            self._signature = None
        update_wrapper(self, fn)

    def __call__(self, *args: Any, **settings: Any) -> Any:
        inside = any(isinstance(v, Symbol) for v in (*args, *settings.values()))
        if inside or _MODE.tracer is not None:
            return self.fn(*args, **settings)  # part of a larger program
        given = _Arguments(_name(self.fn), self._signature, args, settings)
        traces = self._traces.get(given.key, [])
        trace = next((t for t in traces if t.fits()), None)
        if trace is None:
            trace = _Trace(self.fn, given)
            if len(self._traces) >= self.LIMIT:
                self._traces.pop(next(iter(self._traces)))
            self._traces.setdefault(given.key, []).append(trace)
        self._last = trace
        return trace(given.tensors)

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        return self if owner is None else types.MethodType(self, owner)

    @property
    def source(self) -> str:
        """The program of the last call, as text."""
        if self._last is None:
            raise UsageError(
                "this function has no program yet",
                where=_name(self.fn),
                expected="a first call, which says the shapes and dtypes",
                received="no call",
            )
        return graph_source(self._last.graph, self._last.name)

    def __repr__(self) -> str:
        if self._last is None:
            return f"<compiled {_name(self.fn)}: no call yet>"
        return self.source


def compile(fn: Callable[..., Any]) -> Compiled:  # noqa: A001  # the word PyTorch uses
    """A function as one NumPy program, written at the first call with arguments of a kind.

    Arguments are tensors and NumPy arrays (one program for each choice of shapes and dtypes) or
    fixed values (one for each value). The result is a tensor, or a tuple or dict of tensors.
    Parameters and buffers that the function captures are read anew at every call, and may be
    assigned to; any other captured tensor is a TraceError, as is an `if` on a traced value.
    Other Python values count as they were at the first call. The result can be differentiated.

    >>> import glassgrad as gg
    >>> @gg.compile
    ... def energy(x, k):
    ...     return 0.5 * k * ((x - 1) * (x - 1)).sum()
    >>> energy(gg.tensor([1.0, 3.0]), 10.0)
    tensor(20.)
    >>> print(energy.source)
    import numpy as np
    <BLANKLINE>
    <BLANKLINE>
    def energy(x):
    ...
    """
    return Compiled(fn)
