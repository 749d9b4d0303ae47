"""The optimisers: each a rule of a few lines. Definitions are PyTorch's, Lion's the paper's."""

from __future__ import annotations

from typing import Any, TypeAlias, Unpack

from glassgrad.errors import ConfigError, shown
from glassgrad.ops import OPS, Spelled, named

from .base import Optimizer, Options, given, host, one_minus
from .checks import betas as checked_betas, flag, pair, positive, share
from .schedules import Schedule

Rate: TypeAlias = float | Schedule
Moved: TypeAlias = tuple[Any, tuple[Any, ...]]


class Decayed(Optimizer):
    """Those with weight decay: w joins its gradient, or shrinks by itself where `decoupled`."""

    weight_decay: float
    decoupled_weight_decay: bool = False

    def rule(self, w: Any, g: Any, state: tuple[Any, ...], rate: Any, step: Any) -> Moved:
        if self.weight_decay and self.decoupled_weight_decay:
            w = w * host(named(1 - rate * self.weight_decay, "kept"), w)
        elif self.weight_decay:
            g = named(g + self.weight_decay * w, "decayed")
        return self.move(w, g, state, rate, step)

    def move(self, w: Any, g: Any, state: tuple[Any, ...], rate: Any, step: Any) -> Moved:
        """The step itself, once weight decay has had its say."""
        raise NotImplementedError


def _decay(value: Any) -> float:
    return positive("weight_decay", value, inclusive=True)


class SGD(Decayed):
    """Stochastic gradient descent: w <- w - rate v, v <- momentum v + (1 - dampening) g.

    Without momentum v is the gradient g itself; the first v is g, undampened. `nesterov` moves by
    g + momentum v instead (Nesterov 1983, in PyTorch's form). `weight_decay` adds weight_decay w
    to g. Raises ConfigError for a rate that is not above 0, and for nesterov without momentum or
    with dampening.

    >>> from glassgrad import optim
    >>> optim.SGD(0.1, momentum=0.9)
    SGD(0.1, momentum=0.9)
    """

    title = "SGD"

    def __init__(
        self,
        lr: Rate,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(lr, **options)
        self.momentum = share("momentum", momentum)
        self.weight_decay = _decay(weight_decay)
        self.dampening = share("dampening", dampening)
        self.nesterov = flag("nesterov", nesterov)
        self.state_names = ("velocity",) if self.momentum else ()
        if self.nesterov and (not self.momentum or self.dampening):
            raise ConfigError(
                "Nesterov's step looks ahead along the momentum",
                expected="momentum above 0 and no dampening",
                received=f"momentum={self.momentum:g}, dampening={self.dampening:g}",
            )

    @property
    def formula(self) -> str:  # type: ignore[override]  # depends on the momentum
        if not self.momentum:
            return "w <- w - rate * dL/dw"
        if self.dampening:
            return "v <- momentum * v + (1 - dampening) * g, w <- w - rate * v"
        step = "(g + momentum * v)" if self.nesterov else "v"
        return f"v <- momentum * v + g, w <- w - rate * {step}"

    def move(self, w: Any, g: Any, state: tuple[Any, ...], rate: Any, step: Any) -> Moved:
        if not self.momentum:
            return w - host(rate, w) * g, ()
        fresh = g
        if self.dampening:
            fresh = host(named(1 - given(self.dampening, step > 1), "undampened"), w) * g
        velocity = self.momentum * state[0] + fresh
        if self.nesterov:
            return w - host(rate, w) * (g + self.momentum * velocity), (velocity,)
        return w - host(rate, w) * velocity, (velocity,)


class Adam(Decayed):
    """Adam: steps of about the rate, whatever the size of the gradient (Kingma and Ba 2015).

    mean <- b1 mean + (1 - b1) g, square <- b2 square + (1 - b2) g^2,
    w <- w - rate (mean / (1 - b1^t)) / (sqrt(square / (1 - b2^t)) + eps).
    `weight_decay` adds weight_decay w to g; `amsgrad` divides by the largest square so far (Reddi
    et al. 2018). As in PyTorch.

    >>> from glassgrad import optim
    >>> optim.Adam(1e-2)
    Adam(0.01)
    """

    title = "Adam"
    formula = "w <- w - rate * mean / (sqrt(square) + eps), each divided by its weight so far"

    def __init__(
        self,
        lr: Rate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(lr, **options)
        self.betas = checked_betas(betas)
        self.eps = positive("eps", eps)
        self.weight_decay = _decay(weight_decay)
        self.amsgrad = flag("amsgrad", amsgrad)
        largest = ("largest_square",) if self.amsgrad else ()
        self.state_names = ("grad_mean", "grad_square", *largest)

    def move(self, w: Any, g: Any, state: tuple[Any, ...], rate: Any, step: Any) -> Moved:
        first, second = self.betas
        mean = first * state[0] + one_minus(first) * g
        square = second * state[1] + one_minus(second) * (g * g)
        largest: tuple[Any, ...] = ()
        if self.amsgrad:
            largest = (named(OPS["maximum"](state[2], square), "largest_now"),)
        # The corrections are numbers of the host: one division of all weights less.
        scaled_rate = host(named(rate / (1 - first**step), "scaled_rate"), w)
        square_weight = host(named(1 - second**step, "square_weight"), w)
        size = OPS["sqrt"]((*largest, square)[0] / square_weight) + self.eps
        return w - scaled_rate * mean / size, (mean, square, *largest)


class AdamW(Adam):
    """Adam with decoupled weight decay: w shrinks by rate weight_decay (Loshchilov 2019).

    >>> from glassgrad import optim
    >>> optim.AdamW(1e-3)
    AdamW(0.001)
    """

    title = "AdamW"
    formula = "w <- w * (1 - rate * decay), then as Adam"
    decoupled_weight_decay = True

    def __init__(
        self,
        lr: Rate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay, amsgrad, **options)


class Adamax(Decayed):
    """Adam with the largest gradient so far in place of the square (Kingma and Ba 2015).

    mean <- b1 mean + (1 - b1) g, largest <- max(b2 largest, |g| + eps),
    w <- w - rate / (1 - b1^t) mean / largest. As in PyTorch.

    >>> from glassgrad import optim
    >>> optim.Adamax(2e-3)
    Adamax(0.002)
    """

    title = "Adamax"
    formula = "w <- w - rate * mean / largest, the mean divided by its weight so far"
    state_names = ("grad_mean", "largest")

    def __init__(
        self,
        lr: Rate = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(lr, **options)
        self.betas = checked_betas(betas)
        self.eps = positive("eps", eps)
        self.weight_decay = _decay(weight_decay)

    def move(self, w: Any, g: Any, state: tuple[Any, ...], rate: Any, step: Any) -> Moved:
        first, second = self.betas
        mean = first * state[0] + one_minus(first) * g
        largest = named(OPS["maximum"](second * state[1], abs(g) + self.eps), "largest_now")
        scaled_rate = host(named(rate / (1 - first**step), "scaled_rate"), w)
        return w - scaled_rate * mean / largest, (mean, largest)


class NAdam(Decayed):
    """Adam with Nesterov's look ahead (Dozat 2016), as in PyTorch.

    mu_t = b1 (1 - 0.96^(t momentum_decay) / 2), and m_t the product of mu_1 to mu_t;
    w <- w - rate ((1 - mu_t) / (1 - m_t) g + mu_(t+1) / (1 - m_(t+1)) mean) / size, with mean and
    size of Adam (the mean not divided). `decoupled_weight_decay` as in AdamW.

    >>> from glassgrad import optim
    >>> optim.NAdam(2e-3)
    NAdam(0.002)
    """

    title = "NAdam"
    formula = "w <- w - rate * (now * g + ahead * mean) / (sqrt(square) + eps)"
    state_names = ("grad_mean", "grad_square")
    scalar_state_names = ("mu_product",)

    def __init__(
        self,
        lr: Rate = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(lr, **options)
        self.betas = checked_betas(betas)
        self.eps = positive("eps", eps)
        self.weight_decay = _decay(weight_decay)
        self.momentum_decay = positive("momentum_decay", momentum_decay, inclusive=True)
        self.decoupled_weight_decay = flag("decoupled_weight_decay", decoupled_weight_decay)

    def initial(self, name: str) -> float:
        return 1.0 if name == "mu_product" else 0.0

    def move(self, w: Any, g: Any, state: tuple[Any, ...], rate: Any, step: Any) -> Moved:
        first, second = self.betas
        after = named(step + 1, "next_step")
        mu = named(first * (1 - 0.5 * 0.96 ** (step * self.momentum_decay)), "mu")
        mu_next = named(first * (1 - 0.5 * 0.96 ** (after * self.momentum_decay)), "mu_next")
        mean = first * state[0] + one_minus(first) * g
        square = second * state[1] + one_minus(second) * (g * g)
        product = state[2] * host(mu, w)
        square_weight = host(named(1 - second**step, "square_weight"), w)
        size = named(OPS["sqrt"](square / square_weight) + self.eps, "size")
        now = named(host(rate * (1 - mu), w) / (1 - product), "now")
        ahead = named(host(rate * mu_next, w) / (1 - product * host(mu_next, w)), "ahead")
        return w - (now * g + ahead * mean) / size, (mean, square, product)


class RAdam(Decayed):
    """Adam whose division waits until the square is known well enough (Liu et al. 2020).

    rho_inf = 2 / (1 - b2) - 1, rho = rho_inf - 2 t b2^t / (1 - b2^t). Up to rho = 5 w moves by
    rate mean; then by rate mean r / size, r^2 = (rho - 4) (rho - 2) rho_inf /
    ((rho_inf - 4) (rho_inf - 2) rho), with mean and size of Adam. As in PyTorch.
    `decoupled_weight_decay` as in AdamW.

    >>> from glassgrad import optim
    >>> optim.RAdam(1e-3)
    RAdam(0.001)
    """

    title = "RAdam"
    formula = "w <- w - rate * mean / size, the size left out while it is not known well"
    state_names = ("grad_mean", "grad_square")

    def __init__(
        self,
        lr: Rate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(lr, **options)
        self.betas = checked_betas(betas)
        self.eps = positive("eps", eps)
        self.weight_decay = _decay(weight_decay)
        self.decoupled_weight_decay = flag("decoupled_weight_decay", decoupled_weight_decay)

    def move(self, w: Any, g: Any, state: tuple[Any, ...], rate: Any, step: Any) -> Moved:
        first, second = self.betas
        mean = first * state[0] + one_minus(first) * g
        square = second * state[1] + one_minus(second) * (g * g)
        scaled_rate = named(rate / (1 - first**step), "scaled_rate")
        most = 2 / (1 - second) - 1
        if most <= 5:  # rho never gets there
            return w - host(scaled_rate, w) * mean, (mean, square)
        left = named(second**step, "square_left")
        square_weight = named(1 - left, "square_weight")
        rho_inf = Spelled(most, f"2 / (1 - {second!r}) - 1")
        rho = named(rho_inf - 2 * step * left / square_weight, "rho")
        # A choice between numbers of the host, without a branch: one of the two rates is 0.
        share_known = (rho - 4) * (rho - 2) / rho * (most / ((most - 4) * (most - 2)))
        known = named(share_known * (rho > 5), "known")
        adaptive = named(scaled_rate * (known * square_weight) ** 0.5, "adaptive_rate")
        plain = named(scaled_rate * (rho <= 5), "plain_rate")
        size = OPS["sqrt"](square) + self.eps
        return w - (host(plain, w) + host(adaptive, w) / size) * mean, (mean, square)


class RMSprop(Decayed):
    """Steps divided by the root of the mean square of the gradient (Tieleman and Hinton 2012).

    square <- alpha square + (1 - alpha) g^2, step = g / (sqrt(square) + eps), w <- w - rate step.
    `centered` takes the mean's square off first, `momentum` moves by v <- momentum v + step.
    As in PyTorch; a centred square that rounding makes negative counts as 0.

    >>> from glassgrad import optim
    >>> optim.RMSprop(1e-2)
    RMSprop(0.01)
    """

    title = "RMSprop"
    formula = "w <- w - rate * g / (sqrt(square) + eps)"

    def __init__(
        self,
        lr: Rate = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(lr, **options)
        self.alpha = share("alpha", alpha)
        self.eps = positive("eps", eps)
        self.weight_decay = _decay(weight_decay)
        self.momentum = share("momentum", momentum)
        self.centered = flag("centered", centered)
        mean = ("grad_mean",) if self.centered else ()
        self.state_names = ("grad_square", *mean, *(("velocity",) if self.momentum else ()))

    def move(self, w: Any, g: Any, state: tuple[Any, ...], rate: Any, step: Any) -> Moved:
        square = self.alpha * state[0] + one_minus(self.alpha) * (g * g)
        after: tuple[Any, ...] = (square,)
        spread = square
        if self.centered:
            mean = self.alpha * state[1] + one_minus(self.alpha) * g
            after = (square, mean)
            spread = OPS["maximum"](square - mean * mean, 0.0)
        size = named(OPS["sqrt"](spread) + self.eps, "size")
        if not self.momentum:
            return w - host(rate, w) * g / size, after
        velocity = self.momentum * state[-1] + g / size
        return w - host(rate, w) * velocity, (*after, velocity)


class Adagrad(Decayed):
    """Steps divided by the root of the sum of all squares so far (Duchi et al. 2011).

    total <- total + g^2, w <- w - rate / (1 + (t - 1) lr_decay) g / (sqrt(total) + eps).
    As in PyTorch.

    >>> from glassgrad import optim
    >>> optim.Adagrad(1e-2)
    Adagrad(0.01)
    """

    title = "Adagrad"
    formula = "total <- total + g^2, w <- w - rate * g / (sqrt(total) + eps)"
    state_names = ("square_total",)

    def __init__(
        self,
        lr: Rate = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(lr, **options)
        self.lr_decay = positive("lr_decay", lr_decay, inclusive=True)
        self.weight_decay = _decay(weight_decay)
        self.initial_accumulator_value = positive(
            "initial_accumulator_value", initial_accumulator_value, inclusive=True
        )
        self.eps = positive("eps", eps)

    def initial(self, name: str) -> float:  # there is one
        return self.initial_accumulator_value

    def move(self, w: Any, g: Any, state: tuple[Any, ...], rate: Any, step: Any) -> Moved:
        if self.lr_decay:
            rate = named(rate / (1 + (step - 1) * self.lr_decay), "decayed_rate")
        total = state[0] + g * g
        return w - host(rate, w) * g / (OPS["sqrt"](total) + self.eps), (total,)


class Adadelta(Decayed):
    """Steps of the size of those before, times gradient over its size (Zeiler 2012).

    square <- rho square + (1 - rho) g^2, d = sqrt(moved + eps) / sqrt(square + eps) g,
    moved <- rho moved + (1 - rho) d^2, w <- w - rate d. As in PyTorch.

    >>> from glassgrad import optim
    >>> optim.Adadelta(1.0)
    Adadelta(1.0)
    """

    title = "Adadelta"
    formula = "d = sqrt(moved + eps) / sqrt(square + eps) * g, w <- w - rate * d"
    state_names = ("grad_square", "moved_square")

    def __init__(
        self,
        lr: Rate = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(lr, **options)
        self.rho = share("rho", rho)
        self.eps = positive("eps", eps)
        self.weight_decay = _decay(weight_decay)

    def move(self, w: Any, g: Any, state: tuple[Any, ...], rate: Any, step: Any) -> Moved:
        root = OPS["sqrt"]
        square = self.rho * state[0] + one_minus(self.rho) * (g * g)
        delta = named(root(state[1] + self.eps) / root(square + self.eps) * g, "delta")
        moved = self.rho * state[1] + one_minus(self.rho) * (delta * delta)
        return w - host(rate, w) * delta, (square, moved)


class Lion(Decayed):
    """Steps of exactly the rate, in the direction of the sign of a mean (Chen et al. 2023).

    w <- w (1 - rate weight_decay) - rate sign(b1 mean + (1 - b1) g), then
    mean <- b2 mean + (1 - b2) g. As in the paper and in Keras; a rate three to ten times smaller
    than Adam's is usual.

    >>> from glassgrad import optim
    >>> optim.Lion(1e-4)
    Lion(0.0001)
    """

    title = "Lion"
    formula = "w <- w - rate * sign(b1 * mean + (1 - b1) * g)"
    state_names = ("grad_mean",)
    decoupled_weight_decay = True

    def __init__(
        self,
        lr: Rate = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(lr, **options)
        self.betas = checked_betas(betas)
        self.weight_decay = _decay(weight_decay)

    def move(self, w: Any, g: Any, state: tuple[Any, ...], rate: Any, step: Any) -> Moved:
        first, second = self.betas
        ahead = named(first * state[0] + one_minus(first) * g, "ahead")
        mean = second * state[0] + one_minus(second) * g
        return w - host(rate, w) * OPS["sign"](ahead), (mean,)


class Rprop(Optimizer):
    """Steps that grow while the sign of the gradient stays, for full batches (Riedmiller 1993).

    Where g and the gradient before have the same sign, the step is multiplied by etas[1], where
    they differ by etas[0] and g counts as 0; it stays within step_sizes; w <- w - step sign(g).
    The first step is the rate, later ones do not depend on it. As in PyTorch.

    >>> from glassgrad import optim
    >>> optim.Rprop(1e-2)
    Rprop(0.01)
    """

    title = "Rprop"
    formula = "w <- w - size * sign(g), the size growing while the sign stays"
    state_names = ("previous", "step_size")

    def __init__(
        self,
        lr: Rate = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        **options: Unpack[Options],
    ) -> None:
        super().__init__(lr, **options)
        less, more = pair("etas", etas, (0.5, 1.2))
        less, more = positive("etas[0]", less), positive("etas[1]", more, 1.0)
        low, high = pair("step_sizes", step_sizes, (1e-6, 50.0))
        low, high = positive("step_sizes[0]", low), positive("step_sizes[1]", high)
        if less >= 1 or low > high:
            raise ConfigError(
                "steps shrink where the sign changes, between two bounds",
                expected="0 < etas[0] < 1 < etas[1] and step_sizes[0] <= step_sizes[1]",
                received=shown({"etas": etas, "step_sizes": step_sizes}),
            )
        self.etas = (less, more)
        self.step_sizes = (low, high)

    def initial(self, name: str) -> float:
        return self.lr if name == "step_size" else 0.0

    def rule(self, w: Any, g: Any, state: tuple[Any, ...], rate: Any, step: Any) -> Moved:
        maximum, minimum, select = OPS["maximum"], OPS["minimum"], OPS["select"]
        (less, more), (low, high) = self.etas, self.step_sizes
        agrees = named(g * state[0], "agreement")
        turned = named(agrees < 0.0, "turned")
        grown = select(agrees > 0.0, state[1] * more, state[1])
        size = named(select(turned, state[1] * less, grown), "wished")
        size = named(minimum(maximum(size, low), high), "size")
        now = named(select(turned, 0.0, g), "now")
        return w - OPS["sign"](now) * size, (now, size)
