"""L-BFGS with a strong Wolfe line search, as PyTorch defines them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.engine import lbfgs_function
from glassgrad.errors import ConfigError, NonFiniteError, UsageError, shown
from glassgrad.tensors.tensor import Tensor, no_grad, recording

from .base import Optimizer
from .checks import positive, whole


class LBFGS(Optimizer):
    """Newton's method from the last steps: for full batches, and losses without noise.

    d = -H g with H from the last `history_size` steps (Nocedal 1980), w <- w + t d. t is lr (in
    the first step min(1, 1 / sum |g|) lr), or with `line_search_fn="strong_wolfe"` what meets the
    strong Wolfe conditions with c1 = 1e-4 and c2 = 0.9. One `step` makes up to `max_iter` such
    steps and evaluates the loss up to `max_eval` times (1.25 max_iter by default); it ends early
    where the largest |g| is at most `tolerance_grad`, or step or loss change by less than
    `tolerance_change`. As in PyTorch, but for trial steps to a loss that is not finite, which are
    halved. It has no clipping, averages, accumulation or groups.

    Raises ConfigError for what cannot be meant, NonFiniteError in `step` (the weights stay).

    >>> import glassgrad as gg
    >>> from glassgrad import optim
    >>> w = gg.Parameter([3.0, -2.0])
    >>> optimizer = optim.LBFGS(line_search_fn="strong_wolfe").bind([w])
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (w * w).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item(), abs(w).max().item() < 1e-6
    (13.0, True)
    """

    title = "LBFGS"
    formula = "d = -H * dL/dw with H from the last steps, w <- w + t * d"

    def __init__(
        self,
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        super().__init__(lr)
        if self.schedule is not None:
            raise ConfigError(
                "L-BFGS finds its steps itself",
                expected="a rate that is a number",
                received=shown(lr),
            )
        self.max_iter = whole("max_iter", max_iter)
        self.max_eval = None if max_eval is None else whole("max_eval", max_eval)
        self.tolerance_grad = positive("tolerance_grad", tolerance_grad, inclusive=True)
        self.tolerance_change = positive("tolerance_change", tolerance_change, inclusive=True)
        self.history_size = whole("history_size", history_size)
        if line_search_fn not in (None, "strong_wolfe"):
            raise ConfigError(
                "unknown line search",
                expected='"strong_wolfe" or None',
                received=shown(line_search_fn),
            )
        self.line_search_fn = line_search_fn
        self._memory: dict[str, Any] = {}

    def _forget(self) -> None:
        super()._forget()
        self._memory = {}

    def arguments(self) -> tuple[Any, ...]:
        """What follows `memory` and the rate in a call of `lbfgs`."""
        most = self.max_iter * 5 // 4 if self.max_eval is None else self.max_eval
        tolerances = (self.tolerance_grad, self.tolerance_change)
        wolfe = self.line_search_fn is not None
        return (self.max_iter, most, *tolerances, self.history_size, wolfe)

    def advance(
        self,
        evaluate: Callable[[NDArray[Any]], tuple[Any, NDArray[Any]]],
        w: NDArray[Any],
        memory: dict[str, Any],
        rate: float,
    ) -> tuple[NDArray[Any], float]:
        """The weights after one step, and the loss before it (nan if it met one not finite)."""
        lbfgs = lbfgs_function()
        found: tuple[NDArray[Any], float] = lbfgs(evaluate, w, memory, rate, *self.arguments())
        return found

    def rule(self, w: Any, g: Any, state: tuple[Any, ...], rate: Any, step: Any) -> Any:
        raise UsageError(
            "L-BFGS evaluates the loss several times in a step, and has no rule of one gradient",
            where="LBFGS.rule",
            expected="advance(evaluate, w, memory, rate)",
            received="a gradient",
        )

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Up to `max_iter` steps; `closure` computes the loss and its gradients, as in PyTorch."""
        self._need_bound()
        if closure is None:
            raise UsageError(
                "L-BFGS evaluates the loss several times",
                where="LBFGS.step",
                expected="a function that clears the gradients, calls backward and returns the loss",
                received="none",
                hint="optimizer.step(closure)",
            )
        trained = [p for p in self._bound if p.requires_grad]
        losses: list[Tensor] = []

        def put(w: NDArray[Any]) -> None:
            start = 0
            for p in trained:
                count = int(p.size)
                p.assign(w[start : start + count].reshape(p.numpy().shape).astype(p.dtype))
                start += count

        def evaluate(w: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
            if losses:
                put(w)
            with recording():
                losses.append(closure())
            found = [
                np.zeros(int(p.size), p.dtype) if p.grad is None else p.grad.numpy().ravel()
                for p in trained
            ]
            return losses[-1].item(), np.concatenate(found)

        start = np.concatenate([p.numpy().ravel() for p in trained])
        with no_grad():
            w, loss = self.advance(evaluate, start, self._memory, self.lr)
            put(w)
        if not math.isfinite(loss):
            raise NonFiniteError(
                "L-BFGS met a number that is not finite; the weights are as they were",
                where="LBFGS.step",
                expected="finite loss and gradients",
                received="inf or nan",
                hint='line_search_fn="strong_wolfe", a smaller lr, or scaled inputs',
            )
        return losses[0]
