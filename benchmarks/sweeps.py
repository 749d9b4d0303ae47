"""What grows in docs/pictures/growth.svg: four sweeps, the network of each point, its products.

Only the standard library: every process of a run reads this file, also in a peer's interpreter.
A point has a name as a workload has one: "width 64", "sequence 1024".
"""

from __future__ import annotations

from dataclasses import dataclass

from .workloads import Workload, dense_flop

TOKENS, MODEL, BLOCKS = 65, 128, 4  # of the language model: its alphabet, width, layers
# So small that a network hardly changes in all the steps of a measurement: one that has learnt its
# batch has gradients below what float32 holds in full, which some processors add up slowly.
LEARNING_RATE = 1e-5


@dataclass(frozen=True)
class Dense:
    """Dense layers with ReLU between them, on a batch of so many rows."""

    widths: tuple[int, ...]
    rows: int

    @property
    def flop(self) -> float:
        """Products of one training step."""
        return dense_flop(self.rows, *self.widths)


@dataclass(frozen=True)
class Language:
    """The benchmark's GPT on so many texts of `context` characters."""

    context: int
    rows: int

    @property
    def flop(self) -> float:
        """Products of one training step; of attention only what lies below the diagonal."""
        dense = BLOCKS * 12 * MODEL * MODEL + MODEL * TOKENS
        attention = BLOCKS * MODEL * (self.context + 1)  # scores and mixing, for each character
        return 3 * 2.0 * self.rows * self.context * (dense + attention)


@dataclass(frozen=True)
class Sweep:
    """One panel: what grows, what stays, and the sizes."""

    name: str
    about: str
    axis: str
    sizes: tuple[int, ...]

    def points(self, few: bool) -> list[Workload]:
        """What is measured; `few` leaves most sizes out, and the largest: a look takes a minute."""
        names = [f"{self.name} {size}" for size in (self.sizes[:-2:3] if few else self.sizes)]
        return [
            Workload(name, self.about, ("torch",), flop=point(name).flop, passes=2)
            for name in names
        ]


def _doubled(first: int, last: int) -> tuple[int, ...]:
    return tuple(first << k for k in range((last // first).bit_length()))


SWEEPS = (
    Sweep(
        "width", "64 inputs, three hidden layers, 10 classes; 64 rows",
        "width of each hidden layer", _doubled(8, 4096),
    ),
    Sweep(
        "depth", "64 inputs, hidden layers of 128, 10 classes; 64 rows",
        "hidden layers", _doubled(1, 64),
    ),
    Sweep(
        "batch", "784 inputs, one hidden layer of 256, 10 classes",
        "rows in a batch", _doubled(1, 8192),
    ),
    Sweep(
        "sequence", "GPT, four layers of width 128; 4 texts at once",
        "characters in each text", _doubled(16, 1024),
    ),
)  # fmt: skip


def point(name: str) -> Dense | Language:
    """The network and batch of a point. Raises KeyError where the name is none of one."""
    sweep, _, size = name.partition(" ")
    n = int(size) if size.isdecimal() else 0
    if not n:
        raise KeyError(name)
    match sweep:
        case "width":
            return Dense((64, n, n, n, 10), 64)
        case "depth":
            return Dense((64, *[128] * n, 10), 64)
        case "batch":
            return Dense((784, 256, 10), n)
        case "sequence":
            return Language(n, 4)
    raise KeyError(name)
