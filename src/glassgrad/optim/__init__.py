"""Optimisers, schedules of their rate, clipping, groups of parameters."""

from __future__ import annotations

from typing import Any

from glassgrad.errors import ConfigError, shown, unknown_name

from .base import Group as Group, Optimizer as Optimizer
from .clipping import clip_grad_norm_ as clip_grad_norm_, clip_grad_value_ as clip_grad_value_
from .lbfgs import LBFGS as LBFGS
from .optimizers import (
    SGD as SGD,
    Adadelta as Adadelta,
    Adagrad as Adagrad,
    Adam as Adam,
    Adamax as Adamax,
    AdamW as AdamW,
    Lion as Lion,
    NAdam as NAdam,
    RAdam as RAdam,
    RMSprop as RMSprop,
    Rprop as Rprop,
)
from .schedules import (
    Constant as Constant,
    CosineAnnealing as CosineAnnealing,
    CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts,
    Cyclic as Cyclic,
    Exponential as Exponential,
    InverseTime as InverseTime,
    Lambda as Lambda,
    Linear as Linear,
    MultiStep as MultiStep,
    OneCycle as OneCycle,
    PiecewiseConstant as PiecewiseConstant,
    Polynomial as Polynomial,
    Schedule as Schedule,
    Sequential as Sequential,
    Step as Step,
    WarmUp as WarmUp,
)

NAMED: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "adamax": Adamax,
    "nadam": NAdam,
    "radam": RAdam,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "lion": Lion,
    "rprop": Rprop,
    "lbfgs": LBFGS,
}
RATES = {
    "sgd": 0.1,
    "adam": 1e-3,
    "adamw": 1e-3,
    "adamax": 2e-3,
    "nadam": 2e-3,
    "radam": 1e-3,
    "rmsprop": 1e-2,
    "adagrad": 1e-2,
    "adadelta": 1.0,
    "lion": 1e-4,
    "rprop": 1e-2,
    "lbfgs": 1.0,
}


def find(optimizer: Any, lr: float | Schedule | None = None) -> Optimizer:
    """An optimiser from its name (and a rate or schedule), or as it is."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, str):
        name = optimizer.lower()
        if name not in NAMED:
            raise unknown_name("optimiser", optimizer, tuple(NAMED))
        return NAMED[name](RATES[name] if lr is None else lr)
    raise ConfigError(
        "this is not an optimiser",
        expected="a name or an object such as optim.Adam(1e-3)",
        received=shown(optimizer),
    )


def __getattr__(name: str) -> object:
    from glassgrad.errors import did_you_mean

    hint = did_you_mean(name, [n for n in globals() if not n.startswith("_")])
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}{'; ' + hint if hint else ''}"
    )
