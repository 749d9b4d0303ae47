"""The compiled part of the native executor. Arrays are NumPy's, contiguous; `Buffer` is any of them.

Whatever does not fit (a plan that does not hold together, an array of another size) raises
`glassgrad.errors.InternalError`, an argument of another kind TypeError. A run ends with a status: 0
done, 1 a guard found a number that is not finite, 2 a position was outside its table, or a row
outside the data.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

Buffer: TypeAlias = NDArray[Any]

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
def peak(dtype: str, threads: int, isa: str | None = None) -> float:
    """Flop a second in fused multiply-adds on registers, measured now: about a millisecond."""

def unary(isa: str, operation: int, x: NDArray[Any], out: NDArray[Any]) -> None:
    """One elementwise function over contiguous numbers, both float32 or both float64."""

class Bound:
    """A plan with the arrays of its bases."""

    def run(self) -> int:
        """Run the plan; the status."""

    def call(self, base: int, array: Buffer, other: int, result: Buffer, /) -> int:
        """Other arrays for two bases, and a run."""

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
    def run(self, arrays: Iterable[Buffer]) -> int:
        """Run once, with an array for each base but the arena; the status."""

    def bind(self, arrays: Iterable[Buffer]) -> Bound: ...
    def describe(self) -> list[Described]: ...
    def profile(self, on: bool) -> None:
        """Begin to measure instructions, from zero, or stop to."""

    def times(self) -> list[int]:
        """Nanoseconds spent in each instruction since the profile began; 0 for loops."""

    @property
    def isa(self) -> str: ...
    @property
    def fault(self) -> tuple[int, int] | None:
        """With status 2: the position that was outside, and the size of what it was outside of."""

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
    """A plan run step after step.

    `arrays`: one for each base but the arena. Those of the bases in `data` have `rows` rows, of
    which a step gets those of its batch. Those of the bases in `tables` are given to `advance`
    instead (None here). `rest` is the plan of the last, smaller batch of an epoch; without it
    those rows are left out. `casts`: for data of bytes, by base, the dtype they become (0 float32,
    1 float64) and what they are multiplied by.
    """

    def __init__(
        self,
        plan: Plan,
        rest: Plan | None,
        arrays: Sequence[Buffer | None],
        data: Sequence[int],
        tables: Sequence[int],
        rows: int,
        batch: int,
        casts: Mapping[int, tuple[int, float]] = ...,
    ) -> None: ...
    def advance(
        self,
        order: Buffer | None,
        first: int,
        count: int,
        tables: Sequence[Buffer],
        budget: float = 0.04,
    ) -> tuple[int, int]:
        """Steps `first` to `first + count`; how many were completed, and the status.

        `order`: int64, the rows of one epoch after the other; None: as they lie. Steps are counted
        from the start of its first epoch. `tables`: for each base in `tables` an array of `count`
        rows, of which step i reads or writes row i: what the host says (rates, the step, seeds) and
        what a step gives back (losses). Comes back early, with status 0, after `budget` seconds (0:
        never), and where a step does not end well, which then is not counted.
        """

    @property
    def steps_per_epoch(self) -> int: ...
