"""Plans that are known: a network with the structure of one that was traced has its plan.

Only where everything that decides the program can be read off: modules, losses, metrics, penalties,
bounds and rules of the library's own. With anything else the network is traced each time.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glassgrad.errors import GlassgradError
from glassgrad.ir import Type
from glassgrad.nn.module import Module, Weight
from glassgrad.nn.structure import add_loss, add_settings, ours, structure
from glassgrad.nn.tracing import ModuleTracer
from glassgrad.optim import Optimizer

from . import metrics
from .task import Head, Task

if TYPE_CHECKING:
    from .step import Plan


@dataclass(frozen=True, slots=True)
class _Found:
    """A plan, and what a trace does to the network beside."""

    plan: Plan
    sizes: tuple[tuple[int | None, ...], ...]
    drawn: tuple[int, ...]  # the places of the parameters that are drawn
    input_types: tuple[tuple[int, tuple[Type, ...]], ...]  # of modules, by their places


_FOUND: OrderedDict[tuple[Any, ...], _Found] = OrderedDict()
_LIMIT = 64


class Known:
    """The plan of a task, if one of its structure was traced; otherwise where to keep it.

    `rest` is what the plan depends on beside the task.
    """

    def __init__(self, task: Task, *rest: Any, optimizer: Optimizer | None = None) -> None:
        self.task = task
        self.structure = task.structure
        self.key: tuple[Any, ...] | None = None
        key = [*rest]
        if self.structure is not None and _task(task, key) and _optimizer(optimizer, key):
            self.key = (*key, self.structure.sizes, self.structure.key)

    def plan(self) -> Plan | None:
        """The plan; the network is then as if it had been traced."""
        found = None if self.key is None else _FOUND.pop(self.key, None)
        if found is None or self.key is None or self.structure is None:
            return None
        _FOUND[self.key] = found  # the last to be dropped
        parameters, modules = [*self.structure.state.values()], self.structure.modules
        try:
            for parameter, sizes in zip(parameters, found.sizes, strict=True):
                if isinstance(parameter, Weight) and parameter.sizes != sizes:
                    parameter.settle(*sizes)  # type: ignore[arg-type]  # a trace leaves none open
            for place in found.drawn:
                parameters[place].draw()  # type: ignore[attr-defined]  # a Weight
        except GlassgradError:
            return None  # a trace meets it again, and says in which layer
        for place, types in found.input_types:
            modules[place].input_types = types
        self.task.held.update(self.structure.state)
        return found.plan

    def keep(self, plan: Plan, tracer: ModuleTracer) -> None:
        """Keep what a trace led to, unless it changed more of the network than open sizes."""
        before, after = self.structure, structure(self.task.model)
        if self.key is None or before is None or after is None or before.key != after.key:
            return
        called = {id(module) for module, _, _ in tracer.assumed}
        drawn = {
            id(value)
            for module in after.modules
            if id(module) in called
            for value in vars(module).values()
            if isinstance(value, Weight)
        }
        if len(_FOUND) >= _LIMIT:
            _FOUND.popitem(last=False)
        _FOUND[self.key] = _Found(
            plan,
            after.sizes,
            tuple([i for i, p in enumerate(after.state.values()) if id(p) in drawn]),
            tuple([(i, m.input_types) for i, m in enumerate(after.modules) if _at_top(m, called)]),
        )


def _at_top(module: Module, called: set[int]) -> bool:
    return id(module) in called and not module.path


def _task(task: Task, key: list[Any]) -> bool:
    """Add data, losses and metrics to a key; False where one of them is not the library's."""
    for name, kind in task.inputs.items():
        key += (name, kind.shape, kind.dtype)
    key.append(task.weighted)
    return all(_head(head, key) for head in task.heads)


def _head(head: Head, key: list[Any]) -> bool:
    key += (head.output, head.target, head.type.shape, head.type.dtype)
    key += (head.loss_name, repr(head.weight), tuple([m.name for m in head.metrics]))
    return add_loss(head.loss, key) and all(map(metrics.ours, head.metrics))


def _optimizer(optimizer: Optimizer | None, key: list[Any]) -> bool:
    """Add the rule of an optimiser to a key; the rate is handed in with every step."""
    if optimizer is None:
        return True
    kind = type(optimizer)
    key.append(kind)
    apart = ("schedule", "groups")
    own = {k: v for k, v in vars(optimizer).items() if k not in apart and k[0] != "_"}
    if not ours(kind, kind.rule) or not add_settings(own, key):
        return False
    for group in optimizer.groups:
        if not isinstance(group.pattern, str):
            return False  # parameters themselves
        key += (group.pattern, repr(optimizer.lr))
        if not add_settings(group.overrides, key):
            return False
    return True
