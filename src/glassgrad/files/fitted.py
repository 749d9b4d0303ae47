"""How a model was trained, as plain data: `training.json` and `history.csv`."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glassgrad import __version__
from glassgrad.errors import FormatError, shown

_PARTS: dict[str, Any] = {
    "settings": dict, "epochs": int, "partial": bool, "kept": (int, type(None)), "versions": dict,
    "verified": (dict, type(None)),
}  # fmt: skip
# What every run says; a file may say more, and that is kept.
_SETTINGS: dict[str, Any] = {
    "losses": list, "metrics": list, "optimizer": dict, "schedule": (dict, type(None)),
    "epochs": int, "batch_size": (int, type(None)), "shuffle": bool, "seed": int, "dtype": str,
    "backend": str, "recompute": bool, "weighted": bool, "augment": (dict, type(None)),
    "rows": (int, type(None)), "steps_per_epoch": (int, type(None)), "validation_rows": int,
}  # fmt: skip
_LOSS: dict[str, Any] = {"output": str, "name": str, "loss": dict, "weight": float}
_VERIFIED: dict[str, Any] = {
    "steps": int, "largest_difference": (float, int, type(None)), "parameter": (str, type(None)),
    "reason": str,
}  # fmt: skip


def versions() -> dict[str, str]:
    """Of what trains here."""
    return {
        "glassgrad": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


@dataclass(slots=True)
class Fitted:
    """The run that a model's numbers come from: what `fit` leaves on the model.

    `settings` is what was asked for (see `train.settings`), `history` the columns of its epochs,
    `kept` the epoch whose weights were put back at the end, `partial` whether the last epoch was
    not a whole one, `verified` how far the engine and NumPy differed in the first steps.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    history: dict[str, list[float]] = field(default_factory=dict)
    partial: bool = False
    kept: int | None = None
    versions: dict[str, str] = field(default_factory=versions)
    verified: dict[str, Any] | None = None

    @property
    def epochs(self) -> int:
        """How many epochs are in the history."""
        return len(next(iter(self.history.values()), ()))

    def plain(self) -> dict[str, Any]:
        """All but the history, as JSON holds it."""
        return {
            "settings": self.settings,
            "epochs": self.epochs,
            "partial": self.partial,
            "kept": self.kept,
            "versions": self.versions,
            "verified": self.verified,
        }


def fitted_from(plain: Any, history: dict[str, list[float]] | None) -> Fitted | None:
    """The inverse of `plain`. Raises FormatError where it is none, or not of this history."""
    if plain is None and history is None:
        return None
    if plain is None or history is None:
        raise FormatError(
            "a run has settings and a history",
            where="training.json, history.csv",
            expected="both, or neither",
            received="a history alone" if plain is None else "settings alone",
        )
    if not isinstance(plain, dict) or list(plain) != list(_PARTS):
        raise FormatError(
            "a run is described by other parts",
            where="training.json",
            expected=", ".join(_PARTS),
            received=shown(plain),
        )
    _check(plain, _PARTS, "a run")
    _check(plain["settings"], _SETTINGS, "the settings of a run")
    for each in plain["settings"]["losses"]:
        _check(each, _LOSS, "a loss of a run")
    _check(plain["versions"], dict.fromkeys(versions(), str), "the versions of a run")
    if plain["verified"] is not None:
        _check(plain["verified"], _VERIFIED, "what was verified of a run")
    found = Fitted(**{k: v for k, v in plain.items() if k != "epochs"}, history=history)
    kept = 0 if found.kept is None else found.kept
    if found.epochs != plain["epochs"] or not (found.kept is None or 1 <= kept <= found.epochs):
        raise FormatError(
            "settings and history are of different runs",
            where="training.json, history.csv",
            expected=f"{shown(plain['epochs'])} epochs, of which {shown(plain['kept'])} was kept",
            received=f"{found.epochs} epochs",
        )
    return found


def _check(found: Any, parts: dict[str, Any], what: str) -> None:
    """Raise FormatError unless these parts are there, each of its kind; others may be, too."""
    for name, kind in parts.items():
        kinds = kind if isinstance(kind, tuple) else (kind,)
        value = found.get(name, ...) if isinstance(found, dict) else ...
        if type(value) not in kinds:
            raise FormatError(
                f"{what} is described otherwise",
                where=f"training.json, {name}",
                expected=" or ".join(k.__name__ for k in kinds),
                received="nothing" if value is ... else shown(value),
            )
