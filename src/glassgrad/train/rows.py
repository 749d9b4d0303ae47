"""Where batches come from: arrays in memory, or anything that can be iterated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.errors import DataError, ResumeError, UsageError, shown

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

    def epoch(self, epoch: int, first: int = 0) -> Iterator[list[AnyArray]]:
        """The batches of one epoch, counted from 1; `first` of them are left out."""
        arrays, size = self.arrays, self.size
        count = len(arrays[0])
        order = None
        if self.shuffle and size < count:
            order = batches.order_of_rows(count, self.seed, epoch)
        elif self.augment is not None:
            order = np.arange(count)
        for start in range(first * size, count, size):
            rows = slice(start, start + size)
            chosen = rows if order is None else order[rows]
            batch = list(map(itemgetter(chosen), arrays))
            if order is not None and self.augment is not None:
                batch[0] = augmented(self.augment, batch[0], order[rows], self.seed, epoch)
            yield batch


def augmented(augment: Any, rows: AnyArray, numbers: AnyArray, seed: int, epoch: int) -> AnyArray:
    """Rows as `augment` changes them. Raises DataError where they are of another kind then."""
    kind = (rows.dtype, rows.shape)
    found: AnyArray = augment(rows, numbers, seed=seed, epoch=epoch)
    if not isinstance(found, np.ndarray) or (found.dtype, found.shape) != kind:
        raise DataError(
            "augment changes the kind of the rows",
            where=f"epoch {epoch}, {len(numbers)} rows from row {numbers[0]}",
            expected=f"{kind[0]} of shape {kind[1]}",
            received=f"{found.dtype} of shape {found.shape}"
            if isinstance(found, np.ndarray)
            else type(found).__name__,
        )
    return found


class Source:
    """Something to iterate over, whose first batch was looked at and is not lost."""

    def __init__(self, batches: Iterable[Any]) -> None:
        begun = iter(batches)
        try:
            self.first = next(begun)
        except StopIteration:
            raise DataError(
                "the iterable has no batches", expected="at least one", received="none"
            ) from None
        self._begun: Iterator[Any] | None = chain([self.first], begun)
        self._again = None if begun is batches else batches

    @property
    def once(self) -> bool:
        """Whether it can be read only once."""
        return self._again is None

    def pass_over(self, times: int) -> Any:
        """Go by so many times round; gives the last batch, None where it was not read."""
        from glassgrad.data.batches import Batches

        last = None
        if isinstance(self._again, Batches) and times:  # it can be told where to go on
            self._again.epoch += times - 1
            self._begun = None
            return None
        for _ in range(times):
            for last in self:  # noqa: B007  # the last one counts
                pass
        return last

    def __iter__(self) -> Iterator[Any]:
        """From the first batch; the first time, what was begun goes on."""
        begun, self._begun = self._begun, None
        return begun if begun is not None else iter(self._again or ())


class Stream:
    """Batches of a source: each is (x, y) or (x, y, sample_weight), checked as it comes."""

    def __init__(
        self,
        source: Source,
        check: Callable[[Any], Sequence[AnyArray]],
        steps: int | None,
        epochs: int,
    ) -> None:
        self.source = source
        self.check = check
        self.steps = steps
        self._endless = self._on_and_on()
        self._given: Sequence[AnyArray] | None = None
        self._before = ""
        if source.once and steps is None and epochs > 1:
            raise UsageError(
                "these batches can be read only once",
                expected="an iterable that starts anew in every epoch, such as data.Batches",
                received=f"an iterator and {epochs} epochs",
                hint="give steps_per_epoch, and it is read on and on",
            )

    def _on_and_on(self) -> Iterator[Any]:
        found = True
        while found:
            found = False
            for batch in self.source:
                found = True
                yield batch

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Sequence[AnyArray]]:
        """The batches of one epoch; `first` of them are read and left out."""
        given = self.source if self.steps is None else islice(self._endless, self.steps)
        count = 0
        for batch in given:
            count += 1
            if count < first:
                continue
            try:
                checked = self.check(batch)
            except DataError as error:
                place = f"epoch {epoch}, batch {count}"
                error.where = f"{place}, {error.where}" if error.where else place
                raise
            if count == first:
                self._check_last(checked)
                continue
            self._given = checked
            yield checked
        if count < max(first, self.steps or 1):
            raise DataError(
                "the batches ended early",
                where=f"epoch {epoch}",
                expected=f"{self.steps or first} batches" if self.steps or first else _ONE,
                received=str(count),
            )

    def last(self) -> str:
        """A fingerprint of the batch that was given last; "" before the first."""
        return _fingerprint(self._given) if self._given is not None else self._before

    def go_to(self, epochs: int, whole: bool, last: str) -> None:
        """Go by whole epochs, to the place of a run whose last batch had this fingerprint.

        `whole` says that it was the last one of these.
        """
        self._before = last
        read = None
        if self.steps is None:
            read = self.source.pass_over(epochs)
        else:
            for read in islice(self._endless, epochs * self.steps):  # noqa: B007  # the last counts
                pass
        if whole and read is not None:
            self._check_last(self.check(read))

    def _check_last(self, batch: Sequence[AnyArray]) -> None:
        if self._before and _fingerprint(batch) != self._before:
            raise ResumeError(
                "the iterable gives other batches than before",
                where="the last batch that the run has seen",
                expected="the same batches in the same order, each time the program runs",
                received="other numbers",
            )


_ONE = "at least one batch"


def _fingerprint(batch: Sequence[AnyArray]) -> str:
    from glassgrad.files.fingerprint import of_array

    return " ".join([of_array(each) for each in batch])


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
