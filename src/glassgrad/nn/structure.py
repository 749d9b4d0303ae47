"""What a network of the library's own modules is, as a key: equal keys, equal programs.

The program of such a network follows from its modules' classes, settings and places, and from the
kinds of its parameters, so that two networks with one key need not both be traced. What somebody
else wrote may do anything each time it is called; a network with such a part has no key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from glassgrad.tensors.tensor import Parameter

from .losses.records import CLASSES, RECORDS
from .module import Module, Weight

_PACKAGE = f"{__name__.split('.', maxsplit=1)[0]}."
_RULES = f"{_PACKAGE}nn.penalties"
_PLAIN = frozenset({type(None), bool, int, str})
# What calls set, and a trace sets itself before it calls; what is said about a network.
_OF_CALLS = frozenset({"training", "_rooted", "input_types", "_fitted", "labels"})


@dataclass(slots=True)
class Structure:
    """A network without its numbers: a key that all equal ones share, but for open sizes."""

    modules: list[Module]
    state: dict[str, Parameter]  # as `named_state` gives it
    key: tuple[Any, ...]

    @property
    def sizes(self) -> tuple[tuple[Any, ...], ...]:
        """The sizes of all parameters; None for those that the first input decides."""
        return tuple([p.sizes if isinstance(p, Weight) else p.shape for p in self.state.values()])


def structure(model: Module) -> Structure | None:
    """The structure of a network; None where a part of it is not the library's own."""
    every = model._settle_names()
    places = {id(module): i for i, (_, module) in enumerate(every)}
    state: dict[str, Parameter] = {}
    known: dict[int, int] = {}
    key: list[Any] = []
    for path, module in every:
        kind = type(module)
        if not ours(kind, kind.forward):
            return None
        key += (kind, kind.forward)
        for name, value in vars(module).items():
            if name in _OF_CALLS:
                continue
            key.append(name)
            if isinstance(value, Parameter):
                place = known.setdefault(id(value), len(state))
                key.append(place)
                if place == len(state):
                    state[f"{path}.{name}" if path else name] = value
                    if not _parameter(value, key):
                        return None
            elif not _setting(value, key, places):
                return None
    return Structure([module for _, module in every], state, tuple(key))


def add_settings(settings: Mapping[str, Any], key: list[Any]) -> bool:
    """Add plain settings to a key; False where one of them is something else."""
    for name, value in settings.items():
        key.append(name)
        if not _setting(value, key, {}):
            return False
    return True


def _setting(value: Any, key: list[Any], places: Mapping[int, int]) -> bool:
    """Add a setting to a key. Its class goes first: 1, 1.0 and True are not the same."""
    kind = type(value)
    if kind in _PLAIN:
        key += (kind, value)
    elif kind is float:
        key += (kind, repr(value))  # 0.0 and -0.0 differ, nan is equal to itself
    elif kind is tuple or kind is list:
        key += (kind, len(value))
        return all(_setting(item, key, places) for item in value)
    elif id(value) in places:
        key += (Module, places[id(value)])
    else:
        return False
    return True


def _parameter(parameter: Parameter, key: list[Any]) -> bool:
    """Add all of a parameter but its sizes and numbers to a key."""
    kind = type(parameter)
    key += (kind, parameter.name, parameter.dtype, bool(parameter.requires_grad))
    rules = (parameter.regularizer, parameter.constraint)
    return ours(kind, kind.assign) and all(add_rule(rule, key) for rule in rules)


def add_rule(rule: Callable[..., Any] | None, key: list[Any]) -> bool:
    """Add a penalty or a bound to a key; False where it is not the library's own."""
    kind = type(rule)
    key.append(kind)
    if rule is None:
        return True
    known = kind.__module__ == _RULES and ours(kind, kind.__call__)
    return known and add_settings(vars(rule), key)


def add_loss(loss: Any, key: list[Any]) -> bool:
    """Add a loss to a key; False where it is a user's own, or holds arrays."""
    kind = type(loss)
    key.append(kind)
    if CLASSES.get(kind.__name__) is kind:
        return add_settings(loss.settings, key)
    key.append(loss)
    return any(loss is record.function for record in RECORDS)


def ours(kind: type, function: Any) -> bool:
    """Whether a class is the library's own, and so is the method that it works by."""
    if not kind.__module__.startswith(_PACKAGE):
        return False
    return (getattr(function, "__module__", None) or "").startswith(_PACKAGE)
