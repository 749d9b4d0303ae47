"""Program text, checked and compiled."""

from __future__ import annotations

import ast
import hashlib
import math
import types
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from glassgrad.ir import Graph
from glassgrad.passes.fuse import reuse_relu
from glassgrad.passes.lower import lower
from glassgrad.passes.recompute import recompute
from glassgrad.passes.simplify import simplify

from . import helpers, images, lbfgs
from .cells import has_cell
from .check import check_program
from .emit import Function, Writer
from .layout import wrapped

_STRIDE_TRICKS = "from numpy.lib.stride_tricks import sliding_window_view"


@lru_cache(1)
def helper_sources() -> dict[str, str]:
    """Name and source text of every helper, in the order of their files."""
    found = {}
    for module in (helpers, lbfgs, images):
        text = Path(str(module.__file__)).read_text(encoding="utf-8")
        lines = text.split("\n")
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef):
                found[node.name] = "\n".join(lines[node.lineno - 1 : node.end_lineno])
    return found


def helpers_used(text: str) -> list[str]:
    """The helpers a text calls, with those they call, in the order of their file."""
    sources = helper_sources()
    wanted: set[str] = set()
    todo = [text]
    while todo:
        words = ast_words(todo.pop())
        for name in sources:
            if name in words and name not in wanted:
                wanted.add(name)
                todo.append(sources[name])
    return [name for name in sources if name in wanted]


@lru_cache(512)
def ast_words(text: str) -> frozenset[str]:
    """Every name that code reads."""
    return frozenset(n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name))


def lowered(graph: Graph) -> Graph:
    """The graph in ops that have NumPy text, equals merged."""
    return simplify(lower(graph, has_cell))


def recomputed(graph: Graph) -> Graph:
    """A lowered graph that keeps less of its way forward, and does it again on the way back."""
    return recompute(reuse_relu(graph))


def write_function(
    graph: Graph, name: str, *, returns: Sequence[str] | None = None, banners: bool = False
) -> Function:
    """The function of an already lowered graph."""
    reserved = [*helper_sources(), name]
    return Writer(graph, name, returns=returns, reserved=reserved, banners=banners).write()


def function_text(function: Function, docstring: str = "") -> str:
    """`def name(arguments): ...`."""
    head = wrapped("", f"def {function.name}({', '.join(function.arguments)}):")
    body = list(function.lines) or ["    pass"]
    if docstring:
        body = [f'    """{docstring}"""', *body]
    return "\n".join([*head, *body]) + "\n"


def assemble(
    texts: Sequence[str], docstring: str = "", whole: bool = False, first: str = ""
) -> str:
    """A module: imports, the helpers the functions use, the functions.

    `first` is what must happen before NumPy is loaded.
    """
    body = "\n\n".join(texts)
    used = helpers_used(body)
    parts = [helper_sources()[name] + "\n" for name in used]
    words = set(ast_words("\n".join([body, *parts])))
    imports = ["import numpy as np"]
    words |= {"os"} if first else set()
    standard = [f"import {m}" for m in ("gzip", "hashlib", "math", "os", "sys") if m in words]
    standard += ["from pathlib import Path"] if whole else []
    if "sliding_window_view" in words:
        imports.append(_STRIDE_TRICKS)
    head = f'"""{docstring}"""\n' if docstring else ""
    before = ["", *first.rstrip("\n").split("\n"), ""] if first else [""] if standard else []
    top = "\n".join([*standard, *before, *imports])
    return head + top + "\n\n\n" + "\n\n".join([*parts, *texts])


_HELPERS: dict[str, Any] = {
    "np": np,
    "math": math,
    "hashlib": hashlib,
    "sliding_window_view": np.lib.stride_tricks.sliding_window_view,
}


def compile_function(graph: Graph, name: str = "program") -> Callable[..., Any]:
    """A graph as a Python function of its inputs, compiled afresh."""
    return compile_written(write_function(lowered(graph), name))


def compile_written(function: Function) -> Callable[..., Any]:
    """The text as a function; helpers are shared, not copied."""
    name = function.name
    tree = ast.parse(function_text(function))
    shared = {k: v for k, v in vars(helpers).items() if isinstance(v, types.FunctionType)}
    check_program(tree, known=frozenset(shared))
    namespace: dict[str, Any] = {**_HELPERS, **shared}
    # The text was checked above; this is the one place where a graph's text becomes code.
    exec(compile(tree, f"<glassgrad {name}>", "exec"), namespace)  # noqa: S102  # see above
    found: Callable[..., Any] = namespace[name]
    return found
