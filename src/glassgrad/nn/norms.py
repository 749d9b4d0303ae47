"""Normalisation over the batch or over each row."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, ClassVar

from glassgrad.errors import ConfigError, ShapeError
from glassgrad.ops import OPS, Symbol, named
from glassgrad.ops.layer import batch_statistics, channels
from glassgrad.tensors.tensor import Buffer

from .checks import check_array, check_float, known_size
from .init import How
from .module import Module, Weight, checked_dtype, real, units


class _BatchNorm(Module):
    ranks: ClassVar[tuple[int, ...]]
    looked_through = True
    formula = OPS["batch_norm"].plain

    def __init__(
        self,
        features: int | None = None,
        eps: float = 1e-5,
        momentum: float = 0.1,
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        count = None if features is None else units(features, "features")
        self.eps = real(eps, "eps", 1e-300)
        self.momentum = real(momentum, "momentum", 0, 1)
        self.weight = Weight(count, how="ones", dtype=checked_dtype(dtype))
        self.bias = Weight(count, how="zeros", dtype=dtype)
        self.running_mean = Statistic(count, how="zeros", dtype=dtype)
        self.running_var = Statistic(count, how="ones", dtype=dtype)

    def prepare(self, x: Any) -> None:
        check_array(x)
        if x.ndim not in self.ranks:
            raise ShapeError(
                f"{type(self).__name__} does not take this",
                where=self.path,
                expected=" or ".join(f"{r} axes" for r in self.ranks),
                received=str(x.shape),
            )
        check_float(self, x)
        channels = known_size(x.shape[1], self.path)
        for held in (self.weight, self.bias, self.running_mean, self.running_var):
            held.settle(channels)
            held.draw()

    def forward(self, x: Any) -> Any:
        if not self.training:
            mean, variance = channels(self.running_mean, x), channels(self.running_var, x)
            std = named(OPS["sqrt"](variance + self.eps), "std")
            normalised = named((x - mean) / std, "normalised")
            return normalised * channels(self.weight, x) + channels(self.bias, x)
        if x.shape[0] == 1 and x.size == x.shape[1]:
            raise ShapeError(
                "batch norm in training needs more than one row",
                expected="at least 2 numbers for each feature",
                received=str(x.shape),
                hint="model.eval() uses the running statistics",
            )
        y = OPS["batch_norm"](x, self.weight, self.bias, eps=self.eps)
        rows = x.size // x.shape[1]
        mean, variance = batch_statistics(x)
        # The running variance is the unbiased one, as in PyTorch.
        scale = rows / (rows - 1) if rows != 1 else 1.0
        with x.tracer.during("update") if isinstance(x, Symbol) else nullcontext():
            self.running_mean.follow(mean.reshape(-1), self.momentum)
            self.running_var.follow(variance.reshape(-1) * scale, self.momentum)
        return y

    def settings(self) -> str:
        return "" if self.weight.sizes[0] is None else f"{self.weight.sizes[0]}"


class Statistic(Weight, Buffer):
    """A running mean that a norm keeps: (1 - momentum) old + momentum new, after each step."""

    __slots__ = ()

    def __init__(self, *sizes: int | None, how: How, dtype: str) -> None:
        Weight.__init__(self, *sizes, how=how, dtype=dtype)
        self.requires_grad = False

    def follow(self, new: Any, momentum: float) -> None:
        """Take a step towards a new value: at once in eager work, after the step in a program."""
        from glassgrad.ops import Spelled

        kept = Spelled(1 - momentum, f"1 - {momentum!r}")
        if isinstance(new, Symbol):
            following: Any = self * kept + new * momentum
            new.tracer.updates.append((self, following))
        else:
            self.assign((self * kept + new.detach() * momentum).detach())


class BatchNorm1d(_BatchNorm):
    """Each feature brought to mean 0 and variance 1 over the batch, then scaled and shifted.

    Shapes: (n, features) or (n, features, length). In training the batch's own mean and biased
    variance are used, and running ones (unbiased variance) kept for evaluation: (1 - momentum)
    old + momentum new (Ioffe and Szegedy 2015).

    >>> from glassgrad import nn
    >>> nn.BatchNorm1d(64)
    BatchNorm1d(64)
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Each channel brought to mean 0 and variance 1 over the batch, then scaled and shifted.

    Shapes: (n, channels, height, width). As BatchNorm1d otherwise.

    >>> from glassgrad import nn
    >>> nn.BatchNorm2d(16)
    BatchNorm2d(16)
    """

    ranks = (4,)


class LayerNorm(Module):
    """Each row brought to mean 0 and variance 1 over its last axes, then scaled and shifted.

    Shapes: (..., *shape) to the same. `LayerNorm()` takes the last axis (Ba et al. 2016).

    >>> from glassgrad import nn
    >>> nn.LayerNorm(64)
    LayerNorm(64)
    """

    formula = OPS["layer_norm"].plain
    looked_through = True

    def __init__(
        self,
        shape: int | tuple[int, ...] | None = None,
        eps: float = 1e-5,
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        many = isinstance(shape, tuple | list)
        given: Any = (None,) if shape is None else (shape if many else (shape,))
        if not given:
            raise ConfigError("a norm needs an axis", expected="LayerNorm(64)", received="()")
        sizes = tuple([None if s is None else units(s, "features") for s in given])
        self.eps = real(eps, "eps", 1e-300)
        self.weight = Weight(*sizes, how="ones", dtype=checked_dtype(dtype))
        self.bias = Weight(*sizes, how="zeros", dtype=dtype)

    def prepare(self, x: Any) -> None:
        check_array(x)
        rank = len(self.weight.sizes)
        check_float(self, x)
        if x.ndim < rank:
            raise ShapeError("a norm over more axes than there are", received=str(x.shape))
        sizes = [known_size(s, self.path) for s in x.shape[-rank:]]
        self.weight.settle(*sizes)
        self.bias.settle(*sizes)

    def forward(self, x: Any) -> Any:
        return OPS["layer_norm"](x, self.weight, self.bias, eps=self.eps)

    def settings(self) -> str:
        sizes = self.weight.sizes
        if sizes == (None,):
            return ""
        return f"{sizes[0]}" if len(sizes) == 1 else str(sizes)
