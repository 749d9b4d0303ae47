"""Random numbers without hidden state: a function of seed, stream and step.

`words` is the one generator (NumPy's Philox4x64-10); everything random in glassgrad, from the
first weights to the order of the rows, comes from it by arithmetic that is written out here.
"""

from __future__ import annotations

import hashlib
import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.errors import ConfigError, shown, whole_number

Doubles = NDArray[np.float64]


_ELEVEN = np.uint64(11)


_HELD = threading.local()  # one generator for each thread, and its state at the beginning


def _generator() -> tuple[np.random.Philox, Any]:
    """The thread's generator, set anew for each use: a new one asks for entropy first."""
    try:
        found: tuple[np.random.Philox, Any] = _HELD.philox
    except AttributeError:
        philox = np.random.Philox(key=0)
        found = _HELD.philox = (philox, philox.state)
    return found


def words(count: int, seed: int, stream: str, step: int = 0) -> NDArray[np.uint64]:
    """64-bit words of Philox4x64-10: the seed is the key, stream and step say where to start.

    As `np.random.Philox(key=seed, counter=[0, 0, number of the stream, step])` gives them.
    """
    number = int.from_bytes(hashlib.blake2b(stream.encode(), digest_size=8).digest(), "little")
    philox, state = _generator()
    state["state"]["key"] = np.array([seed, 0], np.uint64)
    state["state"]["counter"] = np.array([0, 0, number, step], np.uint64)
    philox.state = state
    return philox.random_raw(count)


def uniform(count: int, seed: int, stream: str, step: int = 0) -> Doubles:
    """Numbers in [0, 1), 53 bits each."""
    whole = words(count, seed, stream, step)
    whole >>= _ELEVEN
    found: Doubles = whole.astype(np.float64)
    found *= 2.0**-53
    return found


def normal(count: int, seed: int, stream: str, step: int = 0) -> Doubles:
    """Numbers of a standard normal distribution, by Box and Muller's transform."""
    half = (count + 1) // 2
    u = uniform(2 * half, seed, stream, step)
    # In place: for many numbers, fresh memory takes longer than the arithmetic.
    radius, angle = u[:half], u[half:]
    np.log1p(np.negative(radius, out=radius), out=radius)  # 1 - u is never 0
    radius *= -2
    np.sqrt(radius, out=radius)
    angle *= 2 * math.pi
    pairs = np.empty(2 * half)
    np.cos(angle, out=pairs[:half])
    np.sin(angle, out=pairs[half:])
    pairs[:half] *= radius
    pairs[half:] *= radius
    return pairs[:count]


def order_of_rows(rows: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of the rows in an epoch: the numbers that sort as many random words."""
    return words(rows, seed, "shuffle", epoch).argsort(kind="stable")


def checked_seed(seed: Any) -> int:
    """A seed from 0 to 2**64 - 1; None draws one."""
    if seed is None:
        import secrets

        return secrets.randbits(32)
    number = whole_number(seed)
    if number is None:
        raise ConfigError(
            "a seed must be a whole number",
            expected="0 to 2**64 - 1, or None",
            received=shown(seed),
        )
    if not 0 <= number < 2**64:
        raise ConfigError("a seed is out of range", expected="0 to 2**64 - 1", received=str(seed))
    return number


class _State(threading.local):
    seed = 0
    step = 0


STATE = _State()


def seed(number: int | None) -> int:
    """Set the seed of eager work: first weights, and dropout, whose draws are counted from 0.

    >>> import glassgrad as gg
    >>> gg.seed(7)
    7
    """
    STATE.seed = checked_seed(number)
    STATE.step = 0
    return STATE.seed


def next_draw() -> tuple[int, int]:
    """Seed and number of the next eager draw."""
    STATE.step += 1
    return STATE.seed, STATE.step
