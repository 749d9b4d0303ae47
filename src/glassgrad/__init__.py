"""glassgrad: neural networks you can see through.

>>> import glassgrad as gg
>>> gg.tensor([1.0, 2.0]) * 3
tensor([3., 6.])
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ._names import FUNCTIONS

__version__ = "0.1.0"

_MODULES = ("data", "errors", "ir", "nn", "ops", "optim", "train")
_NAMES = {
    "Buffer": "tensors.tensor",
    "Parameter": "tensors.tensor",
    "Tensor": "tensors.tensor",
    "evaluate": "train.fit",
    "load": "files.model",
    "save": "files.model",
    "fit": "train.fit",
    "compile": "tensors.transforms",
    "grad": "tensors.transforms",
    "no_grad": "tensors.tensor",
    "scan": "tensors.loops",
    "seed": "tensors.random",
    "value_and_grad": "tensors.transforms",
    "predict": "train.fit",
    "source": "inspect.source",
    "tensor": "tensors.tensor",
}
_NAMES.update(dict.fromkeys(FUNCTIONS, "tensors.functions"))

__all__ = sorted([*_MODULES, *_NAMES, "__version__"])


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        found = getattr(import_module(f".{_NAMES[name]}", __name__), name)
    elif name in _MODULES:
        found = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found
