"""How many threads OpenBLAS uses while a program runs.

NumPy's matrix products go through OpenBLAS, which takes all cores for any product but the tiniest.
For the products of small networks that gains nothing on a quiet machine, and on a busy one its
threads wait for each other: a step of half a millisecond then takes twenty. So small work stays on
one thread. OpenBLAS is asked directly, in the library that NumPy's own wheel brings; where that is
not what NumPy uses, nothing happens.

A number of threads that the user has chosen (OPENBLAS_NUM_THREADS or OMP_NUM_THREADS) stands, and
GLASSGRAD_BLAS_THREADS=0 switches this off. This is the one place that makes the call.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from glassgrad.ir import Graph, bind, product
from glassgrad.passes.rewrite import scheduled

SMALL = 30e6  # floating-point operations of one product, about a quarter of a millisecond
_LOCK = threading.Lock()
_INSIDE: list[int] = []  # the number of threads before, then one entry for each that is inside
_PREFIXES = ("scipy_openblas_", "openblas_")
_SUFFIXES = ("64_", "_64", "")


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The OpenBLAS that NumPy's own wheel brings, if that is what NumPy uses."""
    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for path in sorted(folder.glob("*openblas*")) if folder.is_dir() else ():
            try:
                return ctypes.CDLL(str(path))  # loaded already; this only finds it
            except OSError:
                continue
    return None


def _function(name: str) -> Any:
    """A function of OpenBLAS, under whatever name this build gives it."""
    for prefix in _PREFIXES:
        for suffix in _SUFFIXES:
            found = getattr(_library(), f"{prefix}{name}{suffix}", None)
            if found is not None:
                return found
    return None


@functools.cache
def _controls() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """How to read and set the number of threads; None where they are not ours to set."""
    chosen = {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"} & os.environ.keys()
    if chosen or os.environ.get("GLASSGRAD_BLAS_THREADS") == "0":
        return None
    read, write = _function("get_num_threads"), _function("set_num_threads")
    if read is None or write is None:
        return None
    read.restype, read.argtypes = ctypes.c_int, ()
    write.restype, write.argtypes = None, (ctypes.c_int,)
    return read, write


def kernel() -> str:
    """The processor OpenBLAS chose its kernels for; empty where it cannot be asked."""
    core = _function("get_corename")
    if core is None:
        return ""
    core.restype, core.argtypes = ctypes.c_char_p, ()
    return str(core().decode("ascii", "replace"))


def blas_threads() -> int | None:
    """The threads OpenBLAS uses now; None where it cannot be asked."""
    controls = _controls()
    return None if controls is None else controls[0]()


@contextmanager
def one_thread(wanted: bool) -> Iterator[None]:
    """OpenBLAS on one thread meanwhile, if that is wanted and can be had."""
    controls = _controls() if wanted else None
    if controls is None:
        yield
        return
    read, write = controls
    with _LOCK:  # several threads may train at once: the first sets it, the last puts it back
        if not _INSIDE:
            _INSIDE.append(read())
            write(1)
        _INSIDE.append(1)
    try:
        yield
    finally:
        with _LOCK:
            _INSIDE.pop()
            if len(_INSIDE) == 1:
                write(_INSIDE.pop())


@functools.lru_cache(256)
def small(graph: Graph, rows: int) -> bool:
    """Whether most of the work in matrix products, for so many rows, is best left to one thread."""
    work = _work(graph, dict.fromkeys(graph.sizes, rows))
    return work is not None and work[1] <= work[0] / 2


def _work(graph: Graph, sizes: dict[str, int]) -> tuple[float, float] | None:
    """Operations in all matrix products, and in those that gain by threads; None if not known."""
    total = gaining = 0.0
    for node in scheduled(graph):
        body = node.attributes.get("body")
        if isinstance(body, Graph):
            inner, times = _work(body, sizes), bind(node.attributes["length"], sizes)
            if inner is None or not isinstance(times, int):
                return None
            total, gaining = total + times * inner[0], gaining + times * inner[1]
        if node.op.name in ("matmul", "linear"):
            a, b = node.inputs[0].type.shape, node.inputs[1].type.shape
            many = product(bind(s, sizes) for s in node.values[0].type.shape[:-2])
            m, k, n = (bind(s, sizes) for s in (a[-2], a[-1], b[-1]))
            each = 2 * m * k * n
            if not isinstance(each, int) or not isinstance(many, int):
                return None
            total += many * each  # NumPy multiplies the matrices of a batch one by one
            gaining += many * each if each > SMALL else 0
    return total, gaining
