"""Optimisers: how a parameter follows its gradient.

A rule is written once, in the library's own ops, on a parameter `w`, its gradient `g` and its
state; the training step applies it to all parameters at once, as parts of one vector, and
`step()` to each in eager work. Numbers that change from step to step (the rate, Adam's bias
corrections) are scalars of the host.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar, Self

from glassgrad.errors import ConfigError, UsageError, shown
from glassgrad.ops import OPS, Array, Spelled, Symbol, named
from glassgrad.tensors.tensor import Parameter, Tensor, full, no_grad


def _positive(name: str, value: Any, low: float = 0.0, inclusive: bool = False) -> float:
    fine = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not fine or value < low or (value == low and not inclusive):
        raise ConfigError(
            f"{name} is out of range",
            expected=f"a number {'from' if inclusive else 'above'} {low:g}",
            received=shown(value),
        )
    return float(value)


def _share(name: str, value: Any) -> float:
    number = _positive(name, value, 0.0, inclusive=True)
    if number >= 1:
        raise ConfigError(
            f"{name} is out of range", expected="0 up to below 1", received=shown(value)
        )
    return number


def one_minus(value: float) -> Spelled:
    """`1 - 0.9`, spelled so."""
    return Spelled(1 - value, f"1 - {value!r}")


class Optimizer:
    """Base of all optimisers."""

    title: ClassVar[str]
    formula: ClassVar[str]
    state_names: tuple[str, ...] = ()

    def __init__(self, lr: float) -> None:
        self.lr = _positive("the learning rate", lr)
        self._bound: list[Parameter] = []
        self._state: dict[int, tuple[int, tuple[Tensor, ...]]] = {}  # steps so far, state

    def rule(
        self, w: Any, g: Any, state: tuple[Any, ...], rate: Any, step: Any
    ) -> tuple[Any, tuple[Any, ...]]:
        """The next value of a parameter and of its state. `step` counts from 1."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """Everything but the rate that the rule depends on."""
        return {}

    def __repr__(self) -> str:
        rest = "".join(f", {k}={v!r}" for k, v in self.settings().items())
        return f"{self.title}({self.lr!r}{rest})"

    # -- eager ---------------------------------------------------------------------------------

    def bind(self, model: Any) -> Self:
        """Take over the parameters of a module, or of any iterable, for `step`."""
        parameters = model.parameters() if hasattr(model, "parameters") else model
        if not isinstance(parameters, Iterable):
            raise UsageError(
                "nothing to bind", expected="a module or parameters", received=shown(model)
            )
        bound = list(parameters)
        if not bound or not all(isinstance(p, Parameter) for p in bound):
            raise UsageError(
                "nothing to bind",
                expected="a module with parameters, or some gg.Parameter",
                received=shown(bound),
            )
        self._bound = bound
        self._state = {}
        return self

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self._bound:
            parameter.grad = None

    def step(self) -> None:
        """Move every parameter that has a gradient. Raises UsageError if none is bound."""
        if not self._bound:
            raise UsageError(
                "this optimiser has no parameters",
                expected="optimizer.bind(model) first",
                received="step()",
            )
        with no_grad():
            for parameter in self._bound:
                if parameter.grad is None or not parameter.requires_grad:
                    continue
                steps, state = self._state.get(id(parameter)) or (
                    0,
                    tuple([full(parameter.shape, 0, parameter.dtype) for _ in self.state_names]),
                )
                w, state = self.rule(parameter.detach(), parameter.grad, state, self.lr, steps + 1)
                parameter.assign(w)
                self._state[id(parameter)] = (steps + 1, state)


def host(number: Any, like: Array) -> Any:
    """A host number beside tensors; plain numbers already are."""
    return OPS["scalar"](number, dtype=like.dtype) if isinstance(number, Symbol) else number


class SGD(Optimizer):
    """Stochastic gradient descent: w <- w - rate v, v <- momentum v + g.

    Without momentum v is the gradient g itself. `weight_decay` adds weight_decay w to g, as in
    PyTorch. Raises ConfigError for a rate that is not above 0.

    >>> from glassgrad import optim
    >>> optim.SGD(0.1, momentum=0.9)
    SGD(0.1, momentum=0.9)
    """

    title = "SGD"

    def __init__(self, lr: float, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        super().__init__(lr)
        self.momentum = _share("momentum", momentum)
        self.weight_decay = _positive("weight_decay", weight_decay, inclusive=True)
        self.state_names = ("velocity",) if self.momentum else ()

    @property
    def formula(self) -> str:  # type: ignore[override]  # depends on the momentum
        return (
            "v <- momentum * v + g, w <- w - rate * v" if self.momentum else "w <- w - rate * dL/dw"
        )

    def settings(self) -> dict[str, Any]:
        given = {"momentum": self.momentum, "weight_decay": self.weight_decay}
        return {k: v for k, v in given.items() if v}

    def rule(
        self, w: Any, g: Any, state: tuple[Any, ...], rate: Any, step: Any
    ) -> tuple[Any, tuple[Any, ...]]:
        if self.weight_decay:
            g = named(g + self.weight_decay * w, "decayed")
        if not self.momentum:
            return w - host(rate, w) * g, ()
        velocity = self.momentum * state[0] + g
        return w - host(rate, w) * velocity, (velocity,)


class Adam(Optimizer):
    """Adam: steps of about the rate, whatever the size of the gradient (Kingma and Ba 2015).

    mean <- b1 mean + (1 - b1) g, square <- b2 square + (1 - b2) g^2,
    w <- w - rate (mean / (1 - b1^t)) / (sqrt(square / (1 - b2^t)) + eps).
    `weight_decay` adds weight_decay w to g, as in PyTorch.

    >>> from glassgrad import optim
    >>> optim.Adam(1e-2)
    Adam(0.01)
    """

    title = "Adam"
    formula = "w <- w - rate * mean / (sqrt(square) + eps), each divided by its weight so far"
    state_names = ("grad_mean", "grad_square")

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(lr)
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise ConfigError(
                "betas are two numbers", expected="such as (0.9, 0.999)", received=shown(betas)
            )
        self.betas = (_share("beta1", betas[0]), _share("beta2", betas[1]))
        self.eps = _positive("eps", eps)
        self.weight_decay = _positive("weight_decay", weight_decay, inclusive=True)

    def settings(self) -> dict[str, Any]:
        usual = {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": self.usual_decay}
        return {k: getattr(self, k) for k, v in usual.items() if getattr(self, k) != v}

    usual_decay: ClassVar[float] = 0.0

    def rule(
        self, w: Any, g: Any, state: tuple[Any, ...], rate: Any, step: Any
    ) -> tuple[Any, tuple[Any, ...]]:
        if self.weight_decay:
            g = named(g + self.weight_decay * w, "decayed")
        return self.move(w, g, state, rate, step)

    def move(
        self, w: Any, g: Any, state: tuple[Any, ...], rate: Any, step: Any
    ) -> tuple[Any, tuple[Any, ...]]:
        """The step itself, once weight decay has had its say."""
        first, second = self.betas
        mean = first * state[0] + one_minus(first) * g
        square = second * state[1] + one_minus(second) * (g * g)
        # The corrections are numbers of the host: one division of all weights less.
        scaled_rate = host(named(rate / (1 - first**step), "scaled_rate"), w)
        square_weight = host(named(1 - second**step, "square_weight"), w)
        size = OPS["sqrt"](square / square_weight) + self.eps
        return w - scaled_rate * mean / size, (mean, square)


class AdamW(Adam):
    """Adam with decoupled weight decay: w shrinks by rate weight_decay (Loshchilov 2019).

    >>> from glassgrad import optim
    >>> optim.AdamW(1e-3)
    AdamW(0.001)
    """

    title = "AdamW"
    formula = "w <- w * (1 - rate * decay), then as Adam"
    usual_decay = 0.01

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay)

    def rule(
        self, w: Any, g: Any, state: tuple[Any, ...], rate: Any, step: Any
    ) -> tuple[Any, tuple[Any, ...]]:
        kept = named(1 - rate * self.weight_decay, "kept")
        return self.move(w * host(kept, w), g, state, rate, step)
