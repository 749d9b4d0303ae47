"""Who may act between two steps of a run: what keeps checkpoints, what records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .callbacks import Callback
    from .signals import Noted
    from .trainer import Trainer

NEVER = 2**62
Change = Literal["rate", "weights"]


class Between:
    """Asked by a trainer: where steps must end, and whether there is something to do. By default nothing."""

    def begin(self, trainer: Trainer, callbacks: tuple[Callback, ...]) -> None:
        """Before anything else: the trainer may be made what another run was."""

    def begun(self, trainer: Trainer) -> None:
        """After `on_begin` of the callbacks."""

    def written(self) -> Path | None:
        """The last checkpoint; one that is being written is waited for."""
        return None

    def until(self, step: int) -> int:
        """The next step after which there may be something to do."""
        return NEVER

    def due(self, step: int) -> bool:
        """Whether there is something to do after this step."""
        return False

    def pause(self, trainer: Trainer, noted: Noted) -> None:
        """Do it; `noted` are signals that ask for an end, which the trainer heeds after this."""

    def changed(self, trainer: Trainer, what: Change) -> None:
        """A callback has set the rate or put weights back."""

    def save(self, trainer: Trainer) -> None:
        """After the last step."""

    def finish(self) -> None:
        """Everything that was saved is safe after this."""

    def over(self, trainer: Trainer) -> None:
        """However the run ended: the trainer stands after the last step that was done."""


class Together(Between):
    """Several of them, one after the other."""

    def __init__(self, each: Sequence[Between]) -> None:
        self.each = each

    def begin(self, trainer: Trainer, callbacks: tuple[Callback, ...]) -> None:
        for between in self.each:
            between.begin(trainer, callbacks)

    def begun(self, trainer: Trainer) -> None:
        for between in self.each:
            between.begun(trainer)

    def written(self) -> Path | None:
        return next((p for p in [b.written() for b in self.each] if p is not None), None)

    def until(self, step: int) -> int:
        return min(b.until(step) for b in self.each)

    def due(self, step: int) -> bool:
        return any(b.due(step) for b in self.each)

    def pause(self, trainer: Trainer, noted: Noted) -> None:
        for between in self.each:
            if noted or between.due(trainer.seen.step):
                between.pause(trainer, noted)

    def changed(self, trainer: Trainer, what: Change) -> None:
        for between in self.each:
            between.changed(trainer, what)

    def save(self, trainer: Trainer) -> None:
        for between in self.each:
            between.save(trainer)

    def finish(self) -> None:
        for between in self.each:
            between.finish()

    def over(self, trainer: Trainer) -> None:
        for between in self.each:
            between.over(trainer)
