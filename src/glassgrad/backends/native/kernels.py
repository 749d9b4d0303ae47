"""Kernels that are not programs or products: how their instructions are written.

The whole numbers and reals of each are laid down in native/README.md.
"""

from __future__ import annotations

import hashlib

from glassgrad.passes.layout import Lay, reshaped

# From so much work on an instruction is divided among threads: numbers times instructions, and flop.
MAP_SHARED = 16_384
PRODUCT_SHARED = 200_000


def as_rows(lay: Lay) -> Lay | None:
    """All axes but the last as one, where they lie at one stride."""
    rows = 1
    for size in lay.shape[:-1]:
        rows *= size
    return reshaped(lay, (rows, lay.shape[-1]))


def stream_number(stream: str) -> int:
    """The 64 bits that stand for a stream of random numbers, as a signed number."""
    found = hashlib.blake2b(stream.encode(), digest_size=8).digest()
    return int.from_bytes(found, "little", signed=True)
