"""Passes, the chosen backend and a cache: graphs in, functions out.

The only module that names a backend.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import unknown_name
from .ir import INPUT, Graph, Node

BACKENDS = ("auto", "numpy")
_COMPILED: dict[str, Callable[..., Any]] = {}
_LIMIT = 1024


def chosen_backend(name: str) -> str:
    """The backend that a request means: "auto" is the fastest that is complete."""
    if name not in BACKENDS:
        raise unknown_name("backend", name, BACKENDS)
    return "numpy"


def compile_graph(graph: Graph, backend: str = "auto") -> Callable[..., Any]:
    """A graph as a function of NumPy arrays, in the order of its inputs.

    Equal structures share one function. The result is what the graph's outputs hold, one value
    or a tuple; state is changed in place.
    """
    chosen_backend(backend)
    key = graph.structure()
    found = _COMPILED.get(key)
    if found is None:
        from .backends.numpy_source.build import compile_function

        if len(_COMPILED) >= _LIMIT:
            _COMPILED.pop(next(iter(_COMPILED)))
        found = _COMPILED[key] = compile_function(graph)
    return found


@dataclass(slots=True)
class Step:
    """A step of training or evaluation: its function, and the text the function came from."""

    function: Callable[..., Any]
    lines: list[str]
    arguments: list[str]
    name: str
    graph: Graph  # lowered: what the text says


def compile_step(graph: Graph, name: str, *, returns: tuple[str, ...]) -> Step:
    """A step with its readable text; the function is exactly that text."""
    from .backends.numpy_source.build import compile_written, lowered, write_function
    from .backends.numpy_source.memory import keep_memory

    keep_memory()
    low = lowered(graph)
    written = write_function(low, name, returns=returns, banners=True)
    return Step(compile_written(written), written.lines, written.arguments, name, low)


def first_not_finite(graph: Graph, arguments: list[Any]) -> str:
    """Run a graph op by op and describe the first value that is not finite, if there is one."""
    import numpy as np

    from .backends.numpy_source.build import lowered
    from .passes.rewrite import scheduled

    low = lowered(graph)
    known: dict[Any, Any] = {
        value: argument for value, argument in zip(low.inputs.values(), arguments, strict=True)
    }
    with np.errstate(all="ignore"):
        for node in scheduled(low):
            if node.values[0] in known or "loop" in node.op.roles:
                continue
            origin = node.origin
            if origin.phase == "update":
                break
            if "reader" in node.op.roles or any(v not in known for v in node.inputs):
                continue
            found = _one_op(node)(*[known[v] for v in node.inputs])
            results = found if isinstance(found, tuple) else (found,)
            known.update(zip(node.values, results, strict=True))
            if any(r.dtype.kind == "f" and not np.isfinite(r).all() for r in map(np.asarray, results)):
                layer = origin.scope or "the network"
                return f"first in {layer}, {origin.phase}, op {node.op.name}"
    return ""


def _one_op(node: Node) -> Callable[..., Any]:
    """The op of a node on its own."""
    inputs = {
        f"x{i + 1}": Node(
            INPUT, (), {"name": f"x{i + 1}", "type": v.type, "role": "data"}, (v.type,)
        ).values[0]
        for i, v in enumerate(node.inputs)
    }
    alone = Node(node.op, tuple(inputs.values()), node.attributes, node.types)
    return compile_graph(Graph(inputs, {f"out{i}": v for i, v in enumerate(alone.values)}))
