"""The way of the data through a recorded step: its layers, and what lies in a straight line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from glassgrad.inspect.explain.recording import Recording
from glassgrad.ir import INPUT, Node, Value

CONTRACTIONS = ("linear", "matmul", "conv")
# What changes no number's size against another's, beside ops with the role "movement".
SAME = ("cast", "dropout")
STRAIGHT = (*SAME, "negative", "channel_bias", "mean", "sum", "mean_pool", "batch_norm")


@dataclass(frozen=True, slots=True)
class Layer:
    """A contraction with weights: its node, the parameter, and the value that it reads."""

    node: Node
    weight: Value
    reads: Value

    @property
    def path(self) -> str:
        """The module it belongs to."""
        return self.node.origin.scope

    @property
    def parameter(self) -> str:
        """What its weights are called."""
        return str(self.weight.node.attributes["name"])


class Walk:
    """The forward graph of a recording, with what depends on the data."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.moving: set[Value] = set()  # all that depends on the data
        self.layers: dict[Node, Layer] = {}
        for node in recording.forward():
            if node.op is INPUT:
                if node.attributes.get("role", "data") == "data":
                    self.moving.update(node.values)
            elif any(v in self.moving for v in node.inputs):
                self.moving.update(node.values)
                layer = self._layer(node)
                if layer is not None:
                    self.layers[node] = layer

    def _layer(self, node: Node) -> Layer | None:
        if node.op.name not in CONTRACTIONS:
            return None
        first, second = node.inputs[:2]
        if first in self.moving and second not in self.moving:
            reads, held = first, second
        elif second in self.moving and first not in self.moving:
            reads, held = second, first
        else:
            return None
        while held.node.op is not INPUT and held.node.inputs:
            held = held.node.inputs[0]
        ours = held.node.op is INPUT and held.node.attributes.get("role") == "parameter"
        return Layer(node, held, reads) if ours else None

    def back(self, value: Value, names: tuple[str, ...]) -> Iterator[Value]:
        """The values before this one, as long as each is made of the next by linear steps alone.

        `names` are the ops that count; an addition or a scaling counts where one operand is data.
        """
        while True:
            yield value
            node = value.node
            moving = [v for v in node.inputs if v in self.moving]
            name = node.op.name
            if len(moving) != 1 or node in self.layers:
                return
            scaled = names is STRAIGHT and (
                name in ("add", "subtract", "multiply")
                or (name == "divide" and node.inputs[0] is moving[0])
            )
            if not (scaled or name in names or "movement" in node.op.roles):
                return
            value = moving[0]

    def ends(self) -> list[Node]:
        """What made each prediction, but for changes of shape."""
        return [list(self.back(p, SAME))[-1].node for p in self.recording.predictions]

    def before(self, layer: Layer) -> tuple[Layer | None, int]:
        """The layer that this one continues in a straight line, and the fewest numbers between."""
        fewest, last = 1 << 62, layer.reads
        for value in self.back(layer.reads, STRAIGHT):
            fewest, last = min(fewest, count(value)), value
        return self.layers.get(last.node), fewest

    def mixed(self) -> set[Node]:
        """Layers before and after a product of data with data, as queries and outputs of attention.

        That they stand directly beside another layer is the usual design.
        """
        products = {
            node
            for node in self.recording.forward()
            if node.op.name in ("attention", *CONTRACTIONS)
            and sum(v in self.moving for v in node.inputs) > 1
        }
        found = {list(self.back(v, STRAIGHT))[-1].node for node in products for v in node.inputs}
        after = {
            layer.node
            for layer in self.layers.values()
            if list(self.back(layer.reads, STRAIGHT))[-1].node in products
        }
        return found | after

    def reads_data(self) -> list[Layer]:
        """The layers that read an input as it is."""
        return [
            layer
            for layer in self.layers.values()
            if list(self.back(layer.reads, SAME))[-1].node.op is INPUT
        ]


def count(value: Value) -> int:
    """How many numbers a value has for all rows."""
    return math.prod([int(str(s)) for s in value.type.shape])
