"""Who may act between two steps of a run: what keeps checkpoints, what records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from .callbacks import Callback
    from .signals import Noted
    from .trainer import Trainer

NEVER = 2**62
Change = Literal["rate", "weights"]


class Between(Protocol):
    """Asked by a trainer: where steps must end, and whether there is something to do."""

    @property
    def path(self) -> Path | None:
        """The last checkpoint, where there is one."""

    def begin(self, trainer: Trainer, callbacks: tuple[Callback, ...]) -> None:
        """Before anything else: the trainer may be made what another run was."""

    def begun(self, trainer: Trainer) -> None:
        """After `on_begin` of the callbacks."""

    def written(self) -> Path | None:
        """The last checkpoint; one that is being written is waited for."""

    def until(self, step: int) -> int:
        """The next step after which there may be something to do."""

    def due(self, step: int) -> bool:
        """Whether there is something to do after this step."""

    def pause(self, trainer: Trainer, noted: Noted) -> None:
        """Do it; `noted` are signals that ask for an end."""

    def changed(self, trainer: Trainer, what: Change) -> None:
        """A callback has set the rate or put weights back."""

    def save(self, trainer: Trainer) -> None:
        """After the last step."""

    def finish(self) -> None:
        """Everything that was saved is safe after this."""


class Together:
    """Several of them; the last one heeds the signals."""

    def __init__(self, each: Sequence[Between]) -> None:
        self.each = each

    @property
    def path(self) -> Path | None:
        return next((b.path for b in self.each if b.path is not None), None)

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
            if between.due(trainer.seen.step) or (noted and between is self.each[-1]):
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
