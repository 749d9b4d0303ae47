"""Places in one arena: what is needed at the same time lies apart, the rest shares."""

from __future__ import annotations

from collections.abc import Iterable

from .layout import Memory

ALIGN = 64
SHARING = True  # the off switch: every value then has a place of its own


def plan_memory(pieces: Iterable[Memory]) -> int:
    """Give every piece of the arena its start; the bytes of the arena.

    Pieces are placed by size, the largest first, each at the lowest place that is free from its
    first to its last step: https://arxiv.org/abs/2001.03288 calls this greedy by size.
    """
    placed: list[Memory] = []
    end = 0
    for piece in sorted(pieces, key=lambda p: (-p.bytes, p.first)):
        taken = [
            (other.start, other.start + other.bytes)
            for other in placed
            if not SHARING or (other.first <= piece.last and piece.first <= other.last)
        ]
        start = 0
        for low, high in sorted(taken):
            if start + piece.bytes <= low:
                break
            start = max(start, _aligned(high))
        piece.start = start
        placed.append(piece)
        end = max(end, _aligned(start + piece.bytes))
    return end


def _aligned(size: int) -> int:
    return -(-size // ALIGN) * ALIGN
