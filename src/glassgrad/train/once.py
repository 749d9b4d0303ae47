"""What is looked at once in a run: its first loss, and its derivatives when there is time for it."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from glassgrad.errors import GlassgradError, GradientError
from glassgrad.nn import losses
from glassgrad.nn.structure import add_loss

from .gradients import AT_ONCE, check_gradients, cost, is_due

if TYPE_CHECKING:
    from .history import History
    from .trainer import Record

_FAR = 3  # times what guessing costs
_SAME = 1e-6
_OF_TWO = ("bce", "bce_logits")


class Once:
    """Asked between two steps, from step number `next` on."""

    def __init__(self, record: Record, history: History) -> None:
        self.record = record
        self.history = history
        self.next: float = math.inf
        self._chance = False
        self._start = 0
        self._began = 0.0

    def begin(self, step: int) -> None:
        """Before the step after this one: what others wrote is checked now, if that is quick."""
        record = self.record
        self._start = step
        self._chance = record.guards.chance and step == 0
        if self._waiting() and _is_foreign(record) and cost(record, 0.0) <= AT_ONCE:
            self._check(0.0, AT_ONCE)
        self._began = time.perf_counter()
        if self._chance or self._waiting():
            self.next = step + 1

    def look(self, step: int, loss: float) -> None:
        """After so many steps; `loss` is that of the first one where this is the first look."""
        if self._chance:
            self._chance = False
            if note := note_of_chance(self.record, loss):
                self.history.notes.append(note)
        self.next = math.inf
        if not self._waiting():
            return
        seconds = time.perf_counter() - self._began
        done = step - self._start
        if is_due(self.record, seconds / done, seconds):
            self._check(seconds / done)
        else:
            self.next = step + min(done, 1000)

    def _waiting(self) -> bool:
        return self.record.guards.gradients and not self.record.plan.checked

    def _check(self, step: float, seconds: float = math.inf) -> None:
        try:
            check_gradients(self.record, step, seconds)
        except GradientError:
            raise
        except (GlassgradError, MemoryError) as error:
            self.history.notes.append(f"the derivatives were not checked: {error.args[0]}")


def _is_foreign(record: Record) -> bool:
    """Whether somebody else wrote a part of the network or its loss."""
    task = record.task
    return task.structure is None or not all(add_loss(head.loss, []) for head in task.heads)


def note_of_chance(record: Record, loss: float) -> str:
    """What the first loss of a classifier says, beside that of guessing; "" where it says nothing."""
    classes = _classes(record)
    if not classes or not math.isfinite(loss):
        return ""
    chance = math.log(classes)
    far, same = loss > _FAR * chance, abs(loss - chance) <= _SAME * chance
    if not (far or same) or not _is_plain(record):
        return ""
    said = f"loss {loss:.4g} after one batch; guessing evenly among {classes} classes costs {chance:.4g}"
    if far:
        return f"{said}: inputs that are not scaled, or first weights that are too large"
    return f"{said}: the network gives every class the same, as where weights begin at zero"


def _classes(record: Record) -> int:
    """Among how many classes the only loss decides; 0 where it does not."""
    (head, *others), plan = record.task.heads, record.plan
    if others or losses.known(head.loss_name) is None:
        return 0
    if head.loss_name in _OF_TWO:
        return 2
    known = head.loss_name == "cross_entropy" and head.target in plan.classes
    return plan.classes[head.target][0] if known else 0


def _is_plain(record: Record) -> bool:
    """Whether the value of the loss is the mean over rows, and nothing beside it."""
    task = record.task
    (head,) = task.heads
    penalised = any(p.regularizer is not None for p in task.state().values())
    settled = head.weight == 1 and not task.weighted and not losses.settings_of(head.loss)
    return settled and not penalised
