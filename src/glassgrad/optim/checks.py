"""What settings may be: each check gives the number back or a ConfigError that says what was meant."""

from __future__ import annotations

import inspect
from typing import Any

from glassgrad.errors import ConfigError, real_number, shown, whole_number


def real(name: str, value: Any) -> float:
    """A finite number."""
    number = real_number(value)
    if number is None:
        raise ConfigError(
            f"{name} is out of range", expected="a finite number", received=shown(value)
        )
    return number


def positive(name: str, value: Any, low: float = 0.0, inclusive: bool = False) -> float:
    """A finite number above a bound, or from it."""
    number = real_number(value)
    if number is None or number < low or (number == low and not inclusive):
        raise ConfigError(
            f"{name} is out of range",
            expected=f"a number {'from' if inclusive else 'above'} {low:g}",
            received=shown(value),
        )
    return number


def share(name: str, value: Any) -> float:
    """A number from 0 to below 1."""
    number = positive(name, value, 0.0, inclusive=True)
    if number >= 1:
        raise ConfigError(
            f"{name} is out of range", expected="0 up to below 1", received=shown(value)
        )
    return number


def pair(name: str, value: Any, usual: tuple[float, float]) -> tuple[Any, Any]:
    """Two of something."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ConfigError(
            f"{name} are two numbers", expected=f"such as {usual}", received=shown(value)
        )
    return value[0], value[1]


def betas(value: Any) -> tuple[float, float]:
    """How much of each mean is kept from step to step."""
    first, second = pair("betas", value, (0.9, 0.999))
    return share("beta1", first), share("beta2", second)


def whole(name: str, value: Any, low: int = 1) -> int:
    """A whole number from a bound on."""
    number = whole_number(value)
    if number is None or number < low:
        raise ConfigError(
            f"{name} is out of range",
            expected=f"a whole number from {low}",
            received=shown(value),
        )
    return number


def flag(name: str, value: Any) -> bool:
    """True or False, and nothing that merely counts as one."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name} is a choice", expected="True or False", received=shown(value))
    return value


_USUAL: dict[type, dict[str, Any]] = {}  # what signatures say is slow to read


def usual_settings(kind: type) -> dict[str, Any]:
    """The arguments that a class is made with, the first (the rate) left out: their defaults."""
    if kind not in _USUAL:
        found = list(inspect.signature(kind).parameters.values())[1:]
        _USUAL[kind] = {p.name: p.default for p in found if p.kind is not p.VAR_KEYWORD}
    return _USUAL[kind]


def call_text(kind: str, first: Any, settings: dict[str, Any]) -> str:
    """`SGD(0.1, momentum=0.9)`."""
    return f"{kind}({first!r}{''.join(f', {k}={v!r}' for k, v in settings.items())})"
