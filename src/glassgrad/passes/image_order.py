"""In which order the axes of images lie in memory: chosen once for a graph, by what its convolutions are.

Vectors go along the axis whose numbers are neighbours. With few channels that is the batch: no lane is
empty and windows need no shuffling. With many it is the channels. One image alone stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from glassgrad.ir import Node, Value

from .layout import Ints, Sizes, count

ENABLED = True  # the off switch: images then lie as they are written, batch first and rows last
_FEW = 16  # channels that would leave lanes empty; and as many samples fill them
_CONVOLUTIONS = frozenset({"conv", "conv_dx", "conv_dw"})
_WINDOWS = frozenset({"max_pool", "max_unpool", "max_pick", "mean_pool", "mean_unpool"})
_KEEPS = frozenset({"concatenate", "pad", "roll", "slice", "flip"})

BATCH, CHANNEL = "batch", "channel"


def innermost(nodes: Sequence[Node], sizes: Sizes) -> str | None:
    """The axis that should lie innermost, by the work of all convolutions; None to leave them."""
    votes: dict[str | None, int] = {}
    for node in nodes:
        if node.op.name not in _CONVOLUTIONS or node.origin.again:
            continue  # what is done again lies as it lay
        x, w = (v.type for v in _images_and_kernels(node))
        shape, kernel = sizes.of(x.shape), sizes.of(w.shape)
        vote = _vote(shape[0], shape[1], kernel[0])
        votes[vote] = votes.get(vote, 0) + count(shape[2:]) * count(kernel)
    return max(votes, key=lambda v: votes[v]) if ENABLED and votes else None


def _images_and_kernels(node: Node) -> tuple[Value, Value]:
    if node.op.name == "conv":
        return node.inputs[0], node.inputs[1]
    if node.op.name == "conv_dx":
        return node.values[0], node.inputs[1]
    return node.inputs[1], node.values[0]


def _vote(n: int, channels: int, made: int) -> str | None:
    if min(channels, made) >= _FEW:
        return CHANNEL
    if n >= _FEW:
        return BATCH
    return CHANNEL if min(channels, made) >= _FEW // 2 else None


def images(nodes: Sequence[Node], kind: Callable[[Node], str]) -> frozenset[Value]:
    """The values that are images: what convolutions and pools make, and what is made of those."""
    found: set[Value] = set()
    for node in nodes:
        name, value = node.op.name, node.values[0]
        if name in _CONVOLUTIONS - {"conv_dw"} or name in _WINDOWS:
            found.add(value)
        elif name in _KEEPS or kind(node) == "map":
            shape = value.type.shape
            alike = name in _KEEPS or any(v.type.shape == shape for v in node.inputs if v in found)
            if alike and len(shape) >= 3 and any(v in found for v in node.inputs):
                found.add(value)
    return frozenset(found)


def strides(shape: Ints, axis: str) -> Ints:
    """Strides of images whose numbers along `axis` are neighbours."""
    rank = len(shape)
    order = [*range(1, rank), 0] if axis == BATCH else [0, *range(2, rank), 1]
    found, step = [0] * rank, 1
    for i in reversed(order):
        found[i] = step
        step *= max(shape[i], 1)
    return tuple(found)
