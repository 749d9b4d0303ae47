"""Random draws whose values never change.

NumPy promises that its bit generators keep their bits, not that `Generator.normal` or
`Generator.permutation` keep their values. Data sets must not move under a reader's feet, so they
take the raw 64-bit numbers of Philox4x64-10 and do the few lines of arithmetic here.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import numpy as np

from glassgrad.errors import ConfigError, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Draws"]


class Draws:
    """A stream of draws, named by a seed and a short word: the same two, the same numbers.

    The key of Philox4x64-10 is (seed, the stream's name as a number), its counter starts at 0.

    Parameters
    ----------
    seed : int
        From 0 to 2**64 - 1.
    stream : str
        At most eight ASCII characters: draws for different purposes never meet.

    Raises
    ------
    ConfigError
        The seed is no whole number in that range.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).

    Examples
    --------
    >>> Draws(0, "example").uniform(3).round(3).tolist()
    [0.921, 0.658, 0.77]
    >>> Draws(0, "example").permutation(5).tolist()
    [1, 3, 2, 4, 0]
    """

    def __init__(self, seed: int, stream: str) -> None:
        from numpy.random import Philox  # 15 ms that `import glassgrad` need not pay

        try:
            number = -1 if isinstance(seed, bool) else operator.index(seed)
        except TypeError:
            number = -1
        if not 0 <= number < 2**64:
            raise ConfigError(
                "the seed is not usable",
                expected="a whole number from 0 to 2**64 - 1",
                received=shown(seed),
            )
        name = int.from_bytes(stream.encode("ascii"), "big")
        self._bits = Philox(key=np.array([number, name], dtype=np.uint64))

    def raw(self, count: int) -> NDArray[np.uint64]:
        """`count` whole numbers of 64 random bits."""
        return np.asarray(self._bits.random_raw(count), dtype=np.uint64)

    def uniform(self, count: int) -> NDArray[np.float64]:
        """`count` numbers in [0, 1): the upper 53 bits times 2**-53, every one exact."""
        return (self.raw(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def normal(self, count: int) -> NDArray[np.float64]:
        """`count` standard normal numbers, by Box and Muller (1958).

        sqrt(-2 ln u) cos(2 pi v) for the first half, the same with sin for the second.
        """
        half = (count + 1) // 2
        u = 1.0 - self.uniform(half)  # in (0, 1]: the logarithm is finite
        v = self.uniform(half)
        radius = np.sqrt(-2.0 * np.log(u))
        angle = 2.0 * np.pi * v
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]

    def permutation(self, count: int) -> NDArray[np.int64]:
        """The numbers 0 to count - 1 in random order: the order that sorts `count` raw draws."""
        return np.argsort(self.raw(count), kind="stable").astype(np.int64)
