"""Where batches come from: arrays in memory, or anything that can be iterated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.errors import DataError, UsageError, shown

from . import batches

AnyArray = NDArray[Any]


@dataclass(slots=True)
class Rows:
    """Arrays in memory, cut into batches in an order that seed and epoch decide.

    `augment`, if there is one, changes the first array's rows: (images, rows, seed, epoch) to
    images, the same for a row whatever the batch.
    """

    arrays: Sequence[AnyArray]
    size: int
    shuffle: bool
    seed: int
    augment: Any = None

    def epoch(self, epoch: int) -> Iterator[list[AnyArray]]:
        """The batches of one epoch, counted from 1."""
        rows = len(self.arrays[0])
        gathers = self.shuffle and self.size < rows
        order = batches.order_of_rows(rows, self.seed, epoch) if gathers else None
        if order is None and self.augment is not None:
            order = np.arange(rows)
        for start in range(0, rows, self.size):
            if order is None:
                yield [a[start : start + self.size] for a in self.arrays]
                continue
            chosen = order[start : start + self.size]
            batch = [a[chosen] for a in self.arrays]
            if self.augment is not None:
                batch[0] = self.augment(batch[0], chosen, seed=self.seed, epoch=epoch)
            yield batch


class Stream:
    """Batches from an iterable: each is (x, y) or (x, y, sample_weight), checked as it comes."""

    def __init__(
        self,
        source: Iterable[Any],
        check: Callable[[Any], Sequence[AnyArray]],
        steps: int | None,
        epochs: int,
    ) -> None:
        self.source = source
        self.check = check
        self.steps = steps
        self._endless = iter(source) if steps is not None else None
        once = steps is None and iter(source) is source
        if once and epochs > 1:
            raise UsageError(
                "these batches can be read only once",
                expected="an iterable that starts anew in every epoch, such as data.Batches",
                received=f"an iterator and {epochs} epochs",
                hint="give steps_per_epoch, and it is read on and on",
            )

    def epoch(self, epoch: int) -> Iterator[Sequence[AnyArray]]:
        """The batches of one epoch."""
        given = iter(self.source) if self._endless is None else islice(self._endless, self.steps)
        count = 0
        for batch in given:
            count += 1
            try:
                yield self.check(batch)
            except DataError as error:
                error.where = f"epoch {epoch}, batch {count}" + f", {error.where}" * bool(
                    error.where
                )
                raise
        if count < (self.steps or 1):
            raise DataError(
                "the batches ended early",
                where=f"epoch {epoch}",
                expected=f"{self.steps} batches" if self.steps else "at least one batch",
                received=str(count),
            )


def parts_of(batch: Any) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight or None) of a batch."""
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        raise DataError(
            "a batch is a pair",
            expected="(x, y) or (x, y, sample_weight)",
            received=shown(batch) if isinstance(batch, tuple | list) else type(batch).__name__,
        )
    x, y, *weight = batch
    return x, y, weight[0] if weight else None
