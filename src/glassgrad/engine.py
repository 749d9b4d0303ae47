"""Passes, the chosen backend and a cache: graphs in, functions out.

The only module that names a backend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import unknown_name
from .ir import Graph

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
