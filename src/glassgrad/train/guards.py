"""The checks of a run, each with a name by which it is switched off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from glassgrad.errors import ConfigError, shown, unknown_name


@dataclass(frozen=True, slots=True)
class Guards:
    """Which checks are on.

    `reach`: every trainable parameter reaches the loss. `labels`: classes are in range. `memory`:
    what the step needs is there. `gradients`: derivatives are those of the loss. `chance`: a note,
    where the first loss is far above that of guessing. `finite`: loss, gradients and parameters
    are finite, before every update.
    """

    reach: bool = True
    labels: bool = True
    memory: bool = True
    gradients: bool = True
    chance: bool = True
    finite: bool = True


ALL = Guards()
NAMES = tuple([field.name for field in fields(Guards)])


def checked_guards(guard: Any) -> Guards:
    """What a user asked for: all or none, some by name, or a dict that says so for single ones.

    Raises ConfigError for an unknown name, and for anything else.
    """
    if isinstance(guard, Guards):
        return guard
    if isinstance(guard, bool):
        return Guards(**dict.fromkeys(NAMES, guard))
    if isinstance(guard, Mapping):
        for name, on in guard.items():
            _check(name)
            if not isinstance(on, bool):
                raise ConfigError(
                    "a guard is on or off",
                    where=f"guard, {name}",
                    expected="True or False",
                    received=shown(on),
                )
        return Guards(**guard)
    if isinstance(guard, Iterable) and not isinstance(guard, str | bytes):
        names = [*guard]
        for name in names:
            _check(name)
        return Guards(**{name: name in names for name in NAMES})
    raise ConfigError(
        "guard says which checks are on",
        where="guard",
        expected='True, False, {"gradients": False}, or the names of those that are on',
        received=shown(guard),
    )


def _check(name: Any) -> None:
    if name not in NAMES:
        raise unknown_name("guard", name, NAMES)
