"""A module as a graph: its forward, traced, with parameters and buffers as named inputs."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import FunctionType, MethodType
from typing import Any

from glassgrad.errors import TraceError, shown
from glassgrad.ir import Graph, Op, Type
from glassgrad.ops import Array, Symbol, Tracer, named, user_line
from glassgrad.tensors.tensor import Buffer, Parameter, is_recording, tracing

from .module import Module

_MODES = threading.RLock()


class ModuleTracer(Tracer):
    """Writes what modules do; a parameter or buffer that is met becomes an input of its name."""

    def __init__(self) -> None:
        super().__init__(lift=self._held)
        self.held: dict[str, Parameter] = {}
        self.names: dict[int, str] = {}  # of parameters, where a model says what they are called
        self._symbols: dict[int, Symbol] = {}

    def _held(self, operand: Any) -> Symbol:
        if not isinstance(operand, Parameter):
            raise TraceError(
                "a tensor from outside cannot become part of a program",
                where=user_line(),
                expected="arguments, and parameters and buffers of modules",
                received=f"a tensor of shape {operand.shape}",
                hint="pass it as an argument, or keep it in the module as nn.Buffer(tensor)",
            )
        known = self._symbols.get(id(operand))
        if known is None:
            name = self.names.get(id(operand), "") or operand.name
            name = name or f"parameter{len(self.held) + 1}"
            if isinstance(operand, Buffer) and id(operand) not in self.names:
                name = self._free(name)  # a loss's weights: nothing is saved under their name
            if name in self.held or name in self.declared_names:
                raise _one_name(name)
            role = "buffer" if isinstance(operand, Buffer) else "parameter"
            known = self.input(name, operand.array_type, role)
            known.value.node.origin.scope = ""
            self._symbols[id(operand)] = known
            self.held[name] = operand
        return known

    def _free(self, name: str) -> str:
        """The name, with a number if it is taken."""
        fresh, count = name, 1
        while fresh in self.held or fresh in self.names.values():
            count += 1
            fresh = f"{name}{count}"
        return fresh

    def emit(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
        if not is_recording():
            raise TraceError(
                "a part without derivatives cannot be written into a program yet",
                where=user_line(),
                expected="forward without gg.no_grad()",
                received="no_grad inside forward",
                hint="set requires_grad = False on what is not to be trained",
            )
        return super().emit(op, inputs, attributes)

    def graph(self, outputs: dict[str, Any], training: bool = True) -> Graph:
        """What was written; in training, with the buffers' next values as state."""
        found = {name: s.value for name, s in outputs.items()}
        state = {}
        for buffer, new in self.updates if training else ():
            name = self.held_name(buffer)
            found[f"{name}.next"] = new.value
            state[name] = f"{name}.next"
        inputs = dict(self.inputs_by_name())
        if len(inputs) < len(self.declared):
            names = [name for name, _ in self.inputs_by_name()]
            raise _one_name(next(name for name in names if names.count(name) > 1))
        return Graph(inputs, found, state, self.scopes)

    def held_name(self, parameter: Parameter) -> str:
        """The input that a parameter became."""
        name: str = self._held(parameter).value.node.attributes["name"]
        return name

    def inputs_by_name(self) -> Iterator[tuple[str, Any]]:
        """Every input, in the order in which they were met."""
        return ((s.value.node.attributes["name"], s.value) for s in self.declared)


def _place(error: BaseException) -> str:
    """`file:line` of the innermost frame of an error."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def _one_name(name: str) -> TraceError:
    return TraceError(
        "two inputs of one program have the same name",
        where=f"parameter {name}",
        expected="names that differ from each other and from x, y, step and seed",
        received=name,
        hint="rename the attribute that holds the parameter",
    )


@contextmanager
def in_mode(model: Module, training: bool) -> Iterator[None]:
    """The model in training or evaluation meanwhile, each module as it was afterwards."""
    with _MODES:  # the mode is the modules' own: one trace at a time
        changed = [module for _, module in model.modules() if module.training != training]
        for module in changed:
            module.training = training
        try:
            yield
        finally:
            for module in changed:
                module.training = not training


def input_names(model: Module) -> tuple[tuple[str, ...], int]:
    """What a network's forward takes, and how many of them it cannot do without.

    One input is called x whatever the forward calls it.
    """
    if model.input_order:
        return model.input_order, len(model.input_order)
    method = model.forward
    if isinstance(method, MethodType) and isinstance(method.__func__, FunctionType):
        return _arguments(method.__func__, 1)
    return _arguments.__wrapped__(method, 0)


@lru_cache(256)
def _arguments(function: Callable[..., Any], given: int) -> tuple[tuple[str, ...], int]:
    """As `input_names`, of a function whose first arguments are `given`; slow to read."""
    every = inspect.signature(function).parameters.values()
    places = [p for p in every if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][given:]
    needed = sum(p.default is p.empty for p in places)
    names = tuple([p.name for p in places])
    return (("x", *names[1:]) if needed < 2 else names), max(needed, 1)


def trace_forward(
    tracer: ModuleTracer, model: Module, inputs: dict[str, Type], training: bool
) -> tuple[tuple[Symbol, ...], dict[str, Symbol]]:
    """The module applied to new inputs; the inputs, and what comes out by name.

    A single output has the name "", those of a tuple are out1, out2, ..., those of a dict have
    its keys.
    """
    tracer.names = {id(p): name for name, p in model.named_state().items()}
    symbols = tuple([tracer.input(name, t) for name, t in inputs.items()])
    # Pixels stay bytes in memory and become real numbers in the step.
    given = [named(s.astype(model.dtype()), "pixels") if s.dtype == "uint8" else s for s in symbols]
    with in_mode(model, training), tracing(tracer):
        try:
            found = model(*given)
        except TypeError as error:
            if "__array_ufunc__" not in str(error):
                raise
            raise TraceError(
                "a NumPy function in a network",
                where=_place(error),
                expected="operations of tensors, which are written down",
                received=str(error),
                hint="use gg.tanh for np.tanh, and so on",
            ) from error
    return symbols, _named_outputs(model, found)


def _named_outputs(model: Module, found: Any) -> dict[str, Symbol]:
    if isinstance(found, dict):
        outputs = dict(found)
    elif isinstance(found, tuple | list):
        outputs = {f"out{i + 1}": value for i, value in enumerate(found)}
    else:
        outputs = {"": found}
    where = f"{type(model).__name__}.forward"
    for name, value in outputs.items():
        if not isinstance(value, Symbol):
            raise TraceError(
                "the network gives something else than tensors",
                where=where,
                expected="a tensor computed from the input, or a tuple or dict of them",
                received=type(value).__name__ if not isinstance(value, Array) else "a fixed tensor",
            )
        if not isinstance(name, str) or not re.fullmatch(r"\w{0,64}", name, re.ASCII):
            raise TraceError(
                "an output of the network cannot have this name",
                where=where,
                expected="letters, digits and _, at most 64",
                received=shown(name),
            )
    if not outputs:
        raise TraceError("the network gives nothing", where=where, expected="a tensor")
    return outputs


def prediction_name(output: str) -> str:
    """What an output is called in a graph: `prediction`, or `prediction_out1` of several."""
    return f"prediction_{output}" if output else "prediction"


def gathered(outputs: dict[str, Any]) -> Any:
    """What a network gives, from `prediction` or several of its kind: one, a tuple or a dict."""
    if list(outputs) == ["prediction"]:
        return outputs["prediction"]
    found = {name.removeprefix("prediction_"): value for name, value in outputs.items()}
    in_order = [f"out{i + 1}" for i in range(len(found))]
    return tuple(found.values()) if list(found) == in_order else found


def forward_graph(model: Module, inputs: dict[str, Type], training: bool = False) -> Graph:
    """The module's forward as a graph with the output `prediction`, or several."""
    tracer = ModuleTracer()
    _, found = trace_forward(tracer, model, inputs, training)
    return tracer.graph({prediction_name(k): v for k, v in found.items()}, training)
