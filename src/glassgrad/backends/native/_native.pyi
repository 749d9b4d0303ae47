"""The compiled part of the native executor. Arrays are NumPy's, contiguous; `Buffer` is any of them.

Whatever does not fit (a plan that does not hold together, an array of another size) raises
`glassgrad.errors.InternalError`; a position outside its axis raises `DataError`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

class Described(TypedDict):
    kernel: str  # as in the catalogue
    name: str  # of the variant that was chosen
    flop: float
    bytes: float  # read and written
    units: int  # how many shares the work has
    split: bool  # among all threads
    meet: bool  # threads wait for each other before it
    times: int  # how often a run comes here

def catalogue() -> dict[str, dict[str, int]]:
    """Numbers by name: "kernels", "operations", "reductions", "dtypes"."""

def isas() -> list[str]:
    """The instruction sets this machine runs, the best first, "reference" last."""

def isa() -> str | None:
    """The one in use; None where there is none but the reference."""

def set_threads(count: int) -> None:
    """At most so many threads from now on; 0: the default."""

def get_threads() -> int: ...
def usable_cpus() -> int: ...
def unary(isa: str, operation: int, x: NDArray[Any], out: NDArray[Any]) -> None:
    """One elementwise function over contiguous numbers, both float32 or both float64."""

class Bound:
    """A plan with the arrays of its bases."""

    def run(self) -> bool:
        """Run the plan; False where a guard found a number that is not finite."""

    def set(self, base: int, array: Buffer) -> None:
        """Another array for one base (1 is the first after the arena)."""

class Plan:
    """A plan (native/README.md), verified and ready. One run at a time: others wait.

    `careful` makes threads wait for each other before every instruction, needed or not.
    """

    def __init__(
        self,
        bases: NDArray[np.int64],
        slots: NDArray[np.int64],
        code: NDArray[np.int64],
        reals: NDArray[np.float64],
        isa: str | None = None,
        careful: bool = False,
    ) -> None: ...
    def run(self, *arrays: Buffer) -> bool:
        """Run once, with an array for each base but the arena."""

    def bind(self, arrays: Iterable[Buffer]) -> Bound: ...
    def describe(self) -> list[Described]: ...
    def profile(self, on: bool) -> None:
        """Begin to measure instructions, from zero, or stop to."""

    def times(self) -> list[int]:
        """Nanoseconds spent in each instruction since the profile began; 0 for loops."""

    @property
    def isa(self) -> str: ...
    @property
    def runs(self) -> int:
        """Completed runs since the profile began, or since the plan was made."""

    @property
    def seconds(self) -> float:
        """A rough estimate of one run on one thread."""

    @property
    def arena(self) -> int:
        """Bytes of the plan's own memory."""

class Loop:
    """A plan run step after step: bases that stay, bases that are the rows of a batch, tables.

    `fixed`: arrays by base. `data`: arrays of `rows` rows by base; the base is those of the batch.
    `tables`: bases that are row i of an array in step i, which `advance` is given: what the host
    says (rates, the step, seeds) and what a step gives back (losses). `rest` is the plan of the
    last, smaller batch of an epoch; without it those rows are left out. `casts`: for data of
    bytes, by base, the dtype they become (0 float32, 1 float64) and what they are multiplied by.
    """

    def __init__(
        self,
        plan: Plan,
        fixed: Mapping[int, Buffer],
        data: Mapping[int, Buffer],
        tables: Sequence[int],
        *,
        rows: int,
        batch: int,
        rest: Plan | None = None,
        casts: Mapping[int, tuple[int, float]] = ...,
    ) -> None: ...
    def advance(
        self,
        first: int,
        count: int,
        tables: Sequence[Buffer],
        order: Buffer | None = None,
        budget: float = 0.04,
    ) -> tuple[int, bool]:
        """Steps `first` to `first + count`, counted from the start of the first epoch in `order`.

        `tables`: an array of `count` rows for each base in `tables`. `order`: int64, the rows of
        one epoch after the other; None: as they lie. Comes back after `budget` seconds (0: never)
        with the number of steps completed, and False where a guard stopped the next one.
        """

    @property
    def steps_per_epoch(self) -> int: ...
