"""glassgrad: neural networks you can see through.

>>> import glassgrad as gg
>>> gg.tensor([1.0, 2.0]) * 3
tensor([3., 6.])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._names import FUNCTIONS

if TYPE_CHECKING:  # what is loaded when it is first asked for, with its types
    from . import (
        data as data,
        errors as errors,
        inspect as inspect,
        ir as ir,
        nn as nn,
        ops as ops,
        optim as optim,
        train as train,
    )
    from .engine import get_threads as get_threads, set_threads as set_threads
    from .files.model import load as load, save as save
    from .inspect.compare import compare as compare
    from .inspect.diagnose.diagnosis import diagnose as diagnose
    from .inspect.explain.attribution import attribute as attribute
    from .inspect.explain.explanation import explain as explain
    from .inspect.profile import profile as profile
    from .inspect.source import source as source
    from .inspect.summary import summary as summary
    from .inspect.tape import Tape as Tape
    from .tensors.functions import *  # noqa: F403  # it lists its names
    from .tensors.loops import scan as scan
    from .tensors.order import topk as topk
    from .tensors.random import seed as seed
    from .tensors.tensor import (
        Buffer as Buffer,
        Parameter as Parameter,
        Tensor as Tensor,
        no_grad as no_grad,
        tensor as tensor,
    )
    from .tensors.transforms import (
        compile as compile,  # noqa: A004  # the word PyTorch uses
        grad as grad,
        value_and_grad as value_and_grad,
    )
    from .train.fit import evaluate as evaluate, fit as fit, predict as predict
    from .train.predictor import Predictor as Predictor
    from .train.sampling import sample as sample
    from .train.verify import verify as verify

__version__ = "0.1.0"

_MODULES = ("data", "errors", "inspect", "ir", "nn", "ops", "optim", "train")
_NAMES = {
    "Buffer": "tensors.tensor",
    "Parameter": "tensors.tensor",
    "Predictor": "train.predictor",
    "Tape": "inspect.tape",
    "Tensor": "tensors.tensor",
    "attribute": "inspect.explain.attribution",
    "compare": "inspect.compare",
    "diagnose": "inspect.diagnose.diagnosis",
    "evaluate": "train.fit",
    "explain": "inspect.explain.explanation",
    "load": "files.model",
    "save": "files.model",
    "fit": "train.fit",
    "get_threads": "engine",
    "set_threads": "engine",
    "compile": "tensors.transforms",
    "grad": "tensors.transforms",
    "no_grad": "tensors.tensor",
    "scan": "tensors.loops",
    "seed": "tensors.random",
    "value_and_grad": "tensors.transforms",
    "predict": "train.fit",
    "profile": "inspect.profile",
    "sample": "train.sampling",
    "source": "inspect.source",
    "summary": "inspect.summary",
    "tensor": "tensors.tensor",
    "topk": "tensors.order",
    "verify": "train.verify",
}
_NAMES.update(dict.fromkeys(FUNCTIONS, "tensors.functions"))

__all__ = sorted([*_MODULES, *_NAMES, "__version__"])  # noqa: PLE0605  # a list all the same


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        found = getattr(import_module(f".{_NAMES[name]}", __name__), name)
    elif name in _MODULES:
        found = import_module(f".{name}", __name__)
    else:
        from glassgrad.errors import did_you_mean

        hint = did_you_mean(name, __all__)
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}{'; ' + hint if hint else ''}"
        )
    globals()[name] = found
    return found
