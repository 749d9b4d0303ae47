"""What happened in each epoch, as columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from glassgrad.files.history import write_history


class History(Mapping[str, list[float]]):
    """Columns by name: `history["loss"]` is the row-weighted mean of the losses before each update.

    `seconds` holds the time of each epoch, `notes` what is worth a look and no error, in words;
    `record` what a run folder is written from, with the
    data and the compiled step: a pickle or a copy goes without it.
    """

    def __init__(self, columns: tuple[str, ...] = ()) -> None:
        self.columns: dict[str, list[float]] = {name: [] for name in columns}
        self.seconds: list[float] = []
        self.notes: list[str] = []
        self.record: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "record": None}

    def extend(self, columns: Mapping[str, list[float]], seconds: list[float]) -> None:
        """More epochs: their values by name, and how long each took."""
        for name, values in columns.items():
            self.columns.setdefault(name, []).extend(values)
        self.seconds.extend(seconds)

    @property
    def epochs(self) -> int:
        """How many epochs were trained."""
        return len(self.seconds)

    @property
    def last(self) -> dict[str, float]:
        """The last epoch's values."""
        return {name: values[-1] for name, values in self.columns.items() if values}

    def __getitem__(self, name: str) -> list[float]:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def to_csv(self, seconds: bool = True) -> str:
        """The table as CSV, numbers in full; the time of each epoch last."""
        return write_history(self.columns, self.seconds if seconds else None)

    def __repr__(self) -> str:
        last = ", ".join(f"{k} {v:.4g}" for k, v in self.last.items())
        return f"History({self.epochs} epochs: {last})" if self.epochs else "History(0 epochs)"
