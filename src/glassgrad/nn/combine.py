"""Modules made of modules."""

from __future__ import annotations

from typing import Any

from glassgrad.errors import ShapeError, UsageError, shown

from .module import Module, Sequential


class Residual(Sequential):
    """What comes in, plus what the modules make of it: y = x + f(x).

    Modules are given and named as in Sequential. Where they change the shape, `shortcut` is a
    module that changes x in the same way: y = shortcut(x) + f(x). Raises ShapeError where the two
    have different shapes (He et al. 2015).

    >>> from glassgrad import nn
    >>> nn.Residual(nn.Linear(4, 4), nn.Tanh())
    Residual(linear1=Linear(4, 4), tanh1=Tanh())
    """

    formula = ("y = x + f(x)", "dx = dy, and dy back through f")
    shortcut: Module | None = None

    def __init__(self, *modules: Module, shortcut: Module | None = None, **named: Module) -> None:
        super().__init__(*modules, **named)
        if not len(self):
            raise UsageError(
                "nothing to add", expected="Residual(module, ...)", received="no modules"
            )
        if shortcut is not None and not isinstance(shortcut, Module):
            raise UsageError(
                "a shortcut is a module",
                expected="a module such as nn.Linear(64), or None",
                received=shown(shortcut),
            )
        self.shortcut = shortcut

    def forward(self, x: Any) -> Any:
        short = x if self.shortcut is None else self.shortcut(x)
        y = super().forward(x)
        if short.shape != y.shape:
            raise ShapeError(
                "a residual block adds arrays of one shape",
                expected=f"modules that give {short.shape}",
                received=str(y.shape),
                hint="shortcut=nn.Linear(...) or nn.Conv2d(...) gives x the shape of f(x)",
            )
        return short + y

    def __repr__(self) -> str:
        inner = super().__repr__().removeprefix("Sequential(").removesuffix(")")
        return f"Residual({inner}" + (f", shortcut={self.shortcut!r})" if self.shortcut else ")")

    def title(self) -> str:
        return "Residual"
