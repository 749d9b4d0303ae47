"""Passes, the chosen backend and a cache: graphs in, functions out.

The only module that names a backend.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from .errors import unknown_name
from .ir import INPUT, Graph, Node

BACKENDS = ("auto", "numpy")


@dataclass(slots=True)
class Step:
    """A compiled graph: its function, the text the function came from, and what the text says."""

    function: Callable[..., Any]
    text: Any  # the backend's own form of it: lines, arguments, identifiers
    graph: Graph  # lowered


_COMPILED: dict[str, Step] = {}
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
    return compiled(graph, backend).function


def compiled(graph: Graph, backend: str = "auto") -> Step:
    """A graph compiled, with what it was lowered to."""
    chosen_backend(backend)
    key = graph.structure()
    found = _COMPILED.get(key)
    if found is None:
        if len(_COMPILED) >= _LIMIT:
            _COMPILED.pop(next(iter(_COMPILED)))
        found = _COMPILED[key] = _compiled(graph, "program", None, banners=False)
    return found


def compile_step(graph: Graph, name: str, *, returns: tuple[str, ...]) -> Step:
    """A step with its readable text; the function is exactly that text."""
    from .backends.numpy_source.memory import keep_memory

    keep_memory()
    return _compiled(graph, name, returns, banners=True)


def _compiled(graph: Graph, name: str, returns: tuple[str, ...] | None, banners: bool) -> Step:
    from .backends.numpy_source.build import compile_written, lowered, write_function

    low = lowered(graph)
    written = write_function(low, name, returns=returns, banners=banners)
    return Step(compile_written(written), written, low)


def is_small(step: Step, rows: int) -> bool:
    """Whether a step, for so many rows, runs on one thread: no product of it gains by more."""
    from .backends.numpy_source.threads import blas_threads, small

    return blas_threads() is not None and small(step.graph, rows)


def on_one_thread(wanted: bool) -> AbstractContextManager[None]:
    """Matrix products on one thread meanwhile, if that is wanted."""
    from .backends.numpy_source.threads import one_thread

    return one_thread(wanted)


def first_not_finite(graph: Graph, arguments: list[Any]) -> str:
    """Run a graph op by op and describe the first value that is not finite, if there is one."""
    import numpy as np

    from .backends.numpy_source.build import lowered
    from .passes.rewrite import scheduled

    low = lowered(graph)
    known: dict[Any, Any] = dict(zip(low.inputs.values(), arguments, strict=True))
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
            if any(
                r.dtype.kind == "f" and not np.isfinite(r).all() for r in map(np.asarray, results)
            ):
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


def step_source(step: Step, about: list[tuple[str, str]]) -> str:
    """The text of a step, with the helpers it uses."""
    from .backends.numpy_source.program import step_program

    return step_program(step.text, about)


def program_source(step: Step, evaluate: Step | None, recipe: dict[str, Any]) -> str:
    """The text of a whole run; `recipe` holds the settings of `program.Recipe`."""
    from .backends.numpy_source.program import IdxFiles, Recipe, whole_program

    if recipe.get("data") is not None:
        recipe = {**recipe, "data": IdxFiles(**recipe["data"])}
    return whole_program(step.text, None if evaluate is None else evaluate.text, Recipe(**recipe))


def graph_source(graph: Graph, name: str = "program") -> str:
    """The text of a graph as one function."""
    from .backends.numpy_source.build import assemble, function_text, lowered, write_function

    return assemble([function_text(write_function(lowered(graph), name))])
