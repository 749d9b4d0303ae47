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
    wrong = [n for n, kind in _PARTS.items() if not isinstance(plain[n], kind)]
    wrong += [n for n in ("epochs", "kept") if isinstance(plain[n], bool)]
    if not all(isinstance(v, str) for v in dict(plain["versions"] or {}).values()):
        wrong.append("versions")
    if wrong:
        raise FormatError(
            f"{wrong[0]} of a run is not of its kind",
            where="training.json",
            received=shown(plain[wrong[0]]),
        )
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
