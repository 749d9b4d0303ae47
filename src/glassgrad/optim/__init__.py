"""Optimisers."""

from __future__ import annotations

from typing import Any

from glassgrad.errors import ConfigError, shown, unknown_name

from .optimizers import SGD as SGD, Adam as Adam, AdamW as AdamW, Optimizer as Optimizer

NAMED: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
RATES = {"sgd": 0.1, "adam": 1e-3, "adamw": 1e-3}


def find(optimizer: Any, lr: float | None = None) -> Optimizer:
    """An optimiser from its name (and a rate), or as it is."""
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
