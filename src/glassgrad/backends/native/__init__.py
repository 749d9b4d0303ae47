"""Graphs as plans for the native executor, where its compiled module is there.

The module `_native` is optional: without it, or on a processor it was not made for, everything
runs as NumPy text instead.
"""

from __future__ import annotations

import os
from types import ModuleType

try:
    from . import _native
except ImportError as error:
    _module: ModuleType | None = None
    _reason = f"not loaded ({error})" if "_native" not in str(error) else "not built"
else:
    _module, _reason = _native, ""


def available() -> bool:
    """Whether the native executor runs here."""
    return _module is not None and _module.isa() is not None


def isa() -> str:
    """The instruction set in use: avx512, avx2, neon, reference; empty where there is none."""
    return "" if _module is None else _module.isa() or ""


def why() -> str:
    """Why the native executor runs here, or why not, in a few words."""
    if _module is None:
        return _reason
    asked = os.environ.get("GLASSGRAD_ISA")
    if asked:
        can = "" if isa() else f", which is none of {', '.join(_module.isas())}"
        return f"GLASSGRAD_ISA={asked}{can}"
    return "the best this processor has" if isa() else "this processor has neither AVX2 nor NEON"
