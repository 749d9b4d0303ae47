"""Graphs as plans for the native executor, where its compiled module is there.

The module `_native` is optional: without it, or on a processor it was not made for, everything
runs as NumPy text instead.
"""

from __future__ import annotations

import functools
import os
from importlib.util import find_spec
from types import ModuleType
from typing import Any


@functools.cache
def module() -> ModuleType | None:
    """The compiled module, where it is there and loads."""
    try:
        from . import _native
    except ImportError:
        return None
    return _native


def available() -> bool:
    """Whether the native executor runs here."""
    return isa() != ""


def isa() -> str:
    """The instruction set in use: avx512, avx2, neon, reference; empty where there is none."""
    native = module()
    return "" if native is None else native.isa() or ""


def why() -> str:
    """Why the native executor runs here, or why not, in a few words."""
    native = module()
    if native is None:
        built = find_spec(f"{__name__}._native") is not None
        return (
            "built, but it does not load here" if built else "not built: this is the pure package"
        )
    asked = os.environ.get("GLASSGRAD_ISA")
    if asked:
        can = "" if isa() else f", and this machine has only {', '.join(native.isas())}"
        return f"GLASSGRAD_ISA={asked}{can}"
    return f"the best of {', '.join(native.isas())}" if isa() else "no AVX2, AVX-512 or NEON here"


def set_threads(count: int) -> None:
    """At most so many threads from now on; 0: the default."""
    native = module()
    if native is not None:
        native.set_threads(count)


def get_threads() -> int:
    """How many threads a plan may have."""
    native = module()
    return 1 if native is None else int(native.get_threads())


def unary(isa_name: str, operation: str, x: Any) -> Any:
    """One elementwise function of contiguous numbers, as plans compute it."""
    import numpy as np

    native = module()
    assert native is not None
    flat = np.ascontiguousarray(x).reshape(-1)
    out = np.empty_like(flat)
    native.unary(isa_name, native.catalogue()["operations"][operation], flat, out)
    return out.reshape(np.shape(x))
