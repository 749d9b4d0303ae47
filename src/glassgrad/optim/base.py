"""What all optimisers share: the rate, clipping, averages of the weights, groups, eager steps.

A rule is written once, in the library's own ops, on a parameter `w`, its gradient `g` and its
state; the training step applies it to all parameters at once, as parts of one vector, and
`step()` to each in eager work. Numbers that change from step to step (the rate, Adam's bias
corrections) are scalars of the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Self, TypedDict, Unpack

from glassgrad.errors import ConfigError, UsageError, did_you_mean, shown, unknown_name
from glassgrad.ops import OPS, Array, Spelled, Symbol, named
from glassgrad.tensors.tensor import Parameter, Tensor, full, no_grad, recording

from .checks import call_text, flag, positive, share, usual_settings, whole
from .clipping import clip_values, scale_to_norm
from .schedules import Schedule


class Options(TypedDict, total=False):
    """What every optimiser can be given beside its own settings, in Keras's words."""

    clipvalue: float | None
    clipnorm: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    gradient_accumulation_steps: int | None
    groups: Sequence[Group]


_USUAL: dict[str, Any] = {
    "clipvalue": None,
    "clipnorm": None,
    "global_clipnorm": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "gradient_accumulation_steps": None,
    "groups": (),
}


class Group:
    """Parameters with settings of their own: `optim.Group("*.bias", weight_decay=0.0)`.

    `pattern` is matched against the parameter's path, where * stands for anything, or is a list
    of parameters. `lr` and all settings of the optimiser can be given. Of several groups the
    first that matches counts; a group's rate keeps its ratio to the main rate in a schedule.

    >>> from glassgrad import optim
    >>> optim.AdamW(1e-3, groups=[optim.Group("*.bias", weight_decay=0.0)])
    AdamW(0.001, groups=(Group('*.bias', weight_decay=0.0),))
    """

    def __init__(self, pattern: str | Iterable[Parameter], **overrides: Any) -> None:
        self.pattern: str | tuple[Parameter, ...] = (
            pattern if isinstance(pattern, str) else _parameters(pattern)
        )
        if not overrides:
            raise ConfigError(
                "a group changes nothing",
                expected="a rate or a setting, such as weight_decay=0.0",
                received=shown(pattern),
            )
        self.overrides = overrides

    def has(self, name: str, parameter: Parameter | None = None) -> bool:
        """Whether a parameter is matched: by its path, or by what it is."""
        if isinstance(self.pattern, str):
            return fnmatchcase(name, self.pattern)
        if parameter is not None:
            return any(p is parameter for p in self.pattern)
        return any(p.name == name for p in self.pattern)

    def __repr__(self) -> str:
        names = (
            self.pattern if isinstance(self.pattern, str) else [p.name or "?" for p in self.pattern]
        )
        return call_text("Group", names, self.overrides)


def _parameters(given: Any) -> tuple[Parameter, ...]:
    """The parameters of a module, or of any iterable."""
    parameters = given.parameters() if hasattr(given, "parameters") else given
    if not isinstance(parameters, Iterable) or isinstance(parameters, str | Tensor):
        raise UsageError(
            "nothing to bind", expected="a module or parameters", received=shown(given)
        )
    found = tuple(parameters)
    if not found or not all(isinstance(p, Parameter) for p in found):
        raise UsageError(
            "nothing to bind",
            expected="a module with parameters, or some gg.Parameter",
            received=shown(list(found)),
        )
    return found


def host(number: Any, like: Array) -> Any:
    """A host number beside tensors; plain numbers already are."""
    return OPS["scalar"](number, dtype=like.dtype) if isinstance(number, Symbol) else number


def given(number: Any, condition: Any) -> Any:
    """A host number where a condition on host numbers holds, 0 elsewhere."""
    if isinstance(condition, Symbol) and not isinstance(number, Symbol):
        number = condition.tracer.constant(number, "float64")
    return number * condition


def one_minus(value: float) -> Spelled:
    """`1 - 0.9`, spelled so."""
    return Spelled(1 - value, f"1 - {value!r}")


def moved_average(average: Any, w: Any, momentum: float, step: Any) -> Any:
    """The average of the weights after step number `step`, in ops; the first is the weights.

    average <- momentum average + (1 - momentum) w, as Keras's `use_ema`.
    """
    kept = named(given(momentum, step > 1), "kept")
    return host(kept, w) * average + host(1 - kept, w) * w


class Optimizer:
    """Base of all optimisers.

    `lr` is a rate or a schedule. Every optimiser takes these by keyword, in Keras's words:

    - `clipvalue`: every number of the gradient is cut to [-clipvalue, clipvalue];
    - `clipnorm`: the gradient of each parameter is no longer than this;
    - `global_clipnorm`: all gradients together are (one of the three, as in Keras; lengths are
      shortened as PyTorch's `clip_grad_norm_` does);
    - `use_ema`, `ema_momentum`: averages of the weights are kept, average <- m average +
      (1 - m) w after each update, the first being the weights themselves; `finalize()` puts
      them in the place of the weights. Where Keras counts batches that only accumulate, and
      averages before constraints are applied, we do neither;
    - `gradient_accumulation_steps`: k batches make one update, with the mean of their gradients;
    - `groups`: an `optim.Group` for each part of the network with settings of its own.

    Raises ConfigError for what cannot be meant.
    """

    title: ClassVar[str]
    formula: ClassVar[str]
    state_names: tuple[str, ...] = ()
    scalar_state_names: tuple[str, ...] = ()  # those that are one number, after the others

    def __init__(self, lr: float | Schedule, **options: Unpack[Options]) -> None:
        self.schedule = lr if isinstance(lr, Schedule) else None
        self._lr = lr.base if isinstance(lr, Schedule) else positive("the learning rate", lr)
        held: dict[str, Any] = {**_USUAL, **options}
        for name in options:
            if name not in _USUAL:
                known = ("lr", *usual_settings(type(self)), *_USUAL)
                raise unknown_name(f"setting of {type(self).__name__}", name, known)
        clips = ("clipvalue", "clipnorm", "global_clipnorm")
        for name in clips:
            held[name] = None if held[name] is None else positive(name, held[name])
        if sum(held[name] is not None for name in clips) > 1:
            raise ConfigError(
                "gradients are clipped in more than one way",
                expected="one of clipvalue, clipnorm and global_clipnorm",
                received=", ".join(f"{n}={held[n]:g}" for n in clips if held[n] is not None),
            )
        self.clipvalue: float | None = held["clipvalue"]
        self.clipnorm: float | None = held["clipnorm"]
        self.global_clipnorm: float | None = held["global_clipnorm"]
        self.use_ema = flag("use_ema", held["use_ema"])
        self.ema_momentum = share("ema_momentum", held["ema_momentum"])
        every = held["gradient_accumulation_steps"]
        self.gradient_accumulation_steps: int | None = (
            None if every is None else whole("gradient_accumulation_steps", every)
        )
        self.groups = _checked_groups(held["groups"])
        self._forget()

    def _forget(self) -> None:
        self._bound: tuple[Parameter, ...] = ()
        self._rules: list[tuple[Optimizer, float]] = []  # one for each bound parameter
        self._state: dict[int, tuple[int, tuple[Tensor, ...]]] = {}  # steps so far, state
        self._sums: dict[int, Tensor] = {}  # gradients of batches that wait for the others
        self._waiting = 0
        self._averages: dict[int, Tensor] = {}
        self._updates = 0
        self._epochs = 0

    # -- the rule ------------------------------------------------------------------------------

    def rule(
        self, w: Any, g: Any, state: tuple[Any, ...], rate: Any, step: Any
    ) -> tuple[Any, tuple[Any, ...]]:
        """The next value of a parameter and of its state. `step` counts from 1."""
        raise NotImplementedError

    def initial(self, name: str) -> float:  # for those with another beginning
        """What a state begins as, everywhere."""
        return 0.0

    def clipped(self, parts: Sequence[Any]) -> list[Any]:
        """The gradients of all parameters, kept as small as the settings say."""
        if self.clipvalue is not None:
            return [clip_values(g, self.clipvalue) for g in parts]
        if self.clipnorm is not None:
            return [scale_to_norm([g], self.clipnorm)[0] for g in parts]
        if self.global_clipnorm is not None:
            return scale_to_norm(parts, self.global_clipnorm)
        return list(parts)

    # -- settings ------------------------------------------------------------------------------

    @property
    def lr(self) -> float:
        """The rate now; that which a schedule starts from, where there is one."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        if self.schedule is not None:
            raise UsageError(
                "the rate of this optimiser follows a schedule",
                where=f"{type(self).__name__}.lr",
                expected="a rate that is a number, to be changed by hand",
                received=shown(self.schedule),
                hint="leave the schedule out, or write the change into it",
            )
        self._lr = positive("the learning rate", value)

    def rate_at(self, steps: int, epochs: int = 0) -> float:
        """The rate of the next step, when so many steps and epochs are done."""
        if self.schedule is None:
            return self._lr
        rate = self.schedule(epochs if self.schedule.per == "epoch" else steps)
        return positive("the rate of a schedule", rate, inclusive=True)

    def settings(self) -> dict[str, Any]:
        """Everything but the rate that is not as it usually is."""
        usual = {**usual_settings(type(self)), **_USUAL}
        return {k: getattr(self, k) for k, v in usual.items() if getattr(self, k, v) != v}

    def __repr__(self) -> str:
        return call_text(self.title, self.schedule or self.lr, self.settings())

    def changed(self, overrides: dict[str, Any]) -> Optimizer:
        """An optimiser like this one with other settings, as a group has it."""
        known = usual_settings(type(self))
        for name in overrides:
            if name not in known and name != "lr":
                raise unknown_name(f"setting of {type(self).__name__}", name, ("lr", *known))
        shared = [name for name in _USUAL if name != "groups"]
        kept: dict[str, Any] = {name: getattr(self, name) for name in (*known, *shared)}
        return type(self)(**{"lr": self.lr, **kept, **overrides})

    def grouped(
        self, names: Sequence[str], parameters: Sequence[Parameter] | None = None
    ) -> list[tuple[Optimizer, float, list[str]]]:
        """For each group in use, the rest last: its rule, its share of the rate, the names in it.

        Raises ConfigError for a group that matches none of the names.
        """
        given_ = list(parameters) if parameters is not None else [None] * len(names)
        left = dict(zip(names, given_, strict=True))
        found: list[tuple[Optimizer, float, list[str]]] = []
        for group in self.groups:
            if not any(group.has(name, p) for name, p in zip(names, given_, strict=True)):
                near = did_you_mean(group.pattern, names) if isinstance(group.pattern, str) else ""
                raise ConfigError(
                    "a group of the optimiser matches no parameter",
                    where=repr(group),
                    expected="a pattern that fits one of " + ", ".join(names),
                    received=shown(group.pattern),
                    hint=near,
                )
            chosen = [name for name, p in left.items() if group.has(name, p)]
            if chosen:
                rule = self.changed(group.overrides)
                found.append((rule, rule.lr / self.lr, chosen))
            left = {name: p for name, p in left.items() if name not in chosen}
        if left:
            found.append((self, 1.0, list(left)))
        return found

    # -- eager ---------------------------------------------------------------------------------

    def bind(self, model: Any) -> Self:
        """Take over the parameters of a module, or of any iterable, for `step`."""
        bound = _parameters(model)
        names = [p.name or f"parameter{i + 1}" for i, p in enumerate(bound)]
        if len(set(names)) < len(names):  # parameters of several models
            names = [f"{name}#{i + 1}" for i, name in enumerate(names)]
        rules = {n: (r, f) for r, f, chosen in self.grouped(names, bound) for n in chosen}
        self._forget()
        self._bound = bound
        self._rules = [rules[name] for name in names]
        return self

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self._bound:
            parameter.grad = None

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Move every parameter that has a gradient, by the rule, then into its constraint.

        With `gradient_accumulation_steps` every k-th call moves; call `zero_grad` after each.
        A `closure` computes the loss and its gradients first, and its loss is given back.
        Raises UsageError if nothing is bound.
        """
        self._need_bound()
        loss = None
        if closure is not None:
            with recording():
                loss = closure()
        with no_grad():
            gradients = self._gathered()
            if gradients:
                self._move(gradients)
        return loss

    def _need_bound(self) -> None:
        if not self._bound:
            raise UsageError(
                "this optimiser has no parameters",
                expected="optimizer.bind(model) first",
                received="step()",
            )

    def _gathered(self) -> dict[int, Tensor]:
        """The gradients to move by, by position; nothing while batches are still awaited."""
        now = {
            i: p.grad for i, p in enumerate(self._bound) if p.grad is not None and p.requires_grad
        }
        every = self.gradient_accumulation_steps
        if every is None or every == 1:
            return now
        for i, gradient in now.items():
            self._sums[i] = self._sums[i] + gradient if i in self._sums else gradient
        self._waiting += 1
        if self._waiting < every:
            return {}
        sums, self._sums, self._waiting = self._sums, {}, 0
        return {i: sums[i] / every for i in sorted(sums)}

    def _move(self, gradients: dict[int, Tensor]) -> None:
        rate = self.rate_at(self._updates, self._epochs)
        for i, g in zip(gradients, self.clipped(list(gradients.values())), strict=True):
            parameter = self._bound[i]
            rule, factor = self._rules[i]
            steps, state = self._state.get(i) or (0, rule.first_state(parameter))
            w, state = rule.rule(parameter.detach(), g, state, rate * factor, steps + 1)
            parameter.assign(w if parameter.constraint is None else parameter.constraint(w))
            self._state[i] = (steps + 1, state)
        self._updates += 1
        if self.use_ema:
            for i, parameter in enumerate(self._bound):
                w = parameter.detach()
                self._averages[i] = moved_average(
                    self._averages.get(i, w), w, self.ema_momentum, self._updates
                )

    def first_state(self, like: Tensor) -> tuple[Tensor, ...]:
        """The states that a parameter begins with."""
        whole_ = [full(like.shape, self.initial(n), like.dtype) for n in self.state_names]
        single = [full((), self.initial(n), like.dtype) for n in self.scalar_state_names]
        return (*whole_, *single)

    def epoch_done(self) -> None:
        """Say that an epoch is over, for a schedule that counts them (per="epoch")."""
        self._epochs += 1

    # -- averages ------------------------------------------------------------------------------

    def average(self, parameter: Parameter) -> Tensor:
        """The average of a bound parameter's weights; before the first step, the weights.

        >>> import glassgrad as gg
        >>> from glassgrad import optim
        >>> w = gg.Parameter([1.0])
        >>> optimizer = optim.SGD(1.0, use_ema=True, ema_momentum=0.5).bind([w])
        >>> for _ in range(2):
        ...     w.grad = gg.tensor([1.0])
        ...     optimizer.step()
        >>> w.numpy(), optimizer.average(w).numpy()
        (array([-1.], dtype=float32), array([-0.5], dtype=float32))
        """
        self._need_bound()
        if not self.use_ema:
            raise UsageError(
                "this optimiser keeps no averages",
                where=f"{type(self).__name__}.average",
                expected="an optimiser made with use_ema=True",
                received=repr(self),
            )
        at = next((i for i, p in enumerate(self._bound) if p is parameter), None)
        if at is None:
            raise UsageError(
                "this parameter is not bound to the optimiser",
                expected="one of those given to bind",
                received=shown(getattr(parameter, "name", parameter)),
            )
        return self._averages.get(at, parameter.detach())

    def swap(self) -> None:
        """Exchange the weights and their averages; a second call puts them back."""
        for i, parameter in enumerate(self._bound):
            average, w = self.average(parameter), parameter.detach()
            parameter.assign(average)
            self._averages[i] = w

    def finalize(self) -> None:
        """Put the averages in the place of the weights, as Keras does at the end of training."""
        if self.use_ema:
            for parameter in self._bound:
                parameter.assign(self.average(parameter))


def _checked_groups(groups: Any) -> tuple[Group, ...]:
    if isinstance(groups, Group):
        return (groups,)
    if not isinstance(groups, tuple | list) or not all(isinstance(g, Group) for g in groups):
        raise ConfigError(
            "these are not groups of parameters",
            expected='such as [optim.Group("*.bias", weight_decay=0.0)]',
            received=shown(groups),
        )
    return tuple(groups)
