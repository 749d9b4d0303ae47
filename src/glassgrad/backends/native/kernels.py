"""Kernels that are not programs or products: how their instructions are written.

The whole numbers and reals of each are laid down in native/README.md.
"""

from __future__ import annotations

import hashlib

from glassgrad.ir import Node
from glassgrad.passes.layout import Lay, count, reshaped

from .program import DTYPES
from .step import Step

# From so much work on an instruction is divided among threads: numbers times instructions, and flop.
MAP_SHARED = 16_384
PRODUCT_SHARED = 200_000
NUMBERS_SHARED = 8_192

_ALONG_AXIS = frozenset(
    "log_softmax softmax argmax argmin cumsum take_along_axis add_along_axis".split()
)


def encoded(node: Node, reads: list[Lay], writes: list[Lay]) -> Step:
    """The instruction of a node that is a kernel by itself: operands, then the result."""
    name, a = node.op.name, node.attributes
    ints: list[int] = []
    if name in _ALONG_AXIS:
        ints = [a["axis"]]
    elif name == "argsort":
        ints = [a["axis"], int(a["descending"])]
    elif name == "uniform":
        ints = [stream_number(a["stream"]), DTYPES[a["dtype"]]]
    numbers = max(count(lay.shape) for lay in (*reads, *writes))
    return Step(name, reads, writes, ints, split=numbers >= NUMBERS_SHARED)


def as_rows(lay: Lay) -> Lay | None:
    """All axes but the last as one, where they lie at one stride."""
    return reshaped(lay, (count(lay.shape[:-1]), lay.shape[-1]))


def stream_number(stream: str) -> int:
    """The 64 bits that stand for a stream of random numbers, as a signed number."""
    found = hashlib.blake2b(stream.encode(), digest_size=8).digest()
    return int.from_bytes(found, "little", signed=True)
