"""From one number to the loss: the ways by which it acts, and how much goes by each."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.engine import compiled
from glassgrad.ir import FLOATS, Graph, Node, Type, Value
from glassgrad.ops import Symbol, Tracer
from glassgrad.passes.differentiate import continuing, pull_back_values
from glassgrad.passes.lower import open_up

from .cards import Cards
from .forms import Index, sum_of
from .noughts import End, ends
from .recording import Recording
from .words import broken, cut, number, place

Array = NDArray[Any]
_KEPT = 10  # ways that are followed on; what the others carry is in the rest


@dataclass(frozen=True, slots=True)
class Way:
    """A way from a number to the loss: the numbers it passes, and its part of the derivative.

    `places` begins with the number itself and ends with the loss. `part` is the product of the
    derivatives along the way.

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> model, x = nn.Linear(2, 1, init=0.5), [[1.0, 2.0]]
    >>> ways = gg.explain(model, x, [[1.0]], loss="mse").follow("weight[1, 0]")
    >>> [ways.called(*place) for place in ways.ways[0].places], ways.ways[0].part
    (['weight[1, 0]', 'linear[0, 0]', 'loss'], 2.0)
    """

    places: tuple[tuple[Value, Index], ...]
    part: float


@dataclass(frozen=True, slots=True, repr=False)
class Ways:
    """The largest ways from a number to the loss, the rest in one sum, and all of it: the derivative.

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> model, x = nn.Linear(2, 1, init=0.5), [[1.0, 2.0]]
    >>> gg.explain(model, x, [[1.0]], loss="mse").follow("weight[1, 0]")
    How weight[1, 0] acts on the loss, by every way:
      2  weight[1, 0] -> linear[0, 0] -> loss
      0  nothing else
      2  together: d loss / d weight[1, 0]
    """

    value: Value
    index: Index
    ways: tuple[Way, ...]
    rest: float
    total: float
    scale: float  # the sum of the sizes of all parts, of those in the rest, too
    ends: tuple[End, ...] = ()  # where its ways end, if it does not act
    more: int | None = 0  # ends beside these; None: some, not counted
    names: Mapping[Value, str] = field(default_factory=dict, repr=False, compare=False)

    def __repr__(self) -> str:
        return self.text(100)

    def text(self, width: int | None = None) -> str:
        """The ways, the largest first, then the rest, which is exact, and the sum.

        Each is one line, or as many as it takes where there is a `width`.
        """
        of = self.called(self.value, self.index)
        if self.ends:
            left = "and others" if self.more is None else f"and {self.more:,} more"
            reasons = [e.words for e in self.ends] + [left] * (self.more != 0)
            told = [f"{of} does not act on the loss: its derivative is 0.", *reasons]
            indents = ["", *["  "] * len(reasons)]
            both = zip(told, indents, strict=True)
            return "\n".join([c for t, i in both for c in cut(i + t, width or sys.maxsize, i)])
        lines = [[number(w.part), self._along(w)] for w in self.ways]
        # Other ways may come to 0 together: then there are some, all the same.
        more = self.rest != 0 or self.scale > sum_of([abs(w.part) for w in self.ways])
        lines.append([number(self.rest), "all other ways" if more else "nothing else"])
        lines.append([number(self.total), f"together: d loss / d {of}"])
        wide = max([len(line[0]) for line in lines])
        count = len(self.ways)
        some = f"the {count} largest ways" if count > 1 else "the largest way"
        largest = some if more else "every way"
        out = [f"How {of} acts on the loss, by {largest}:"]
        for part, words in lines:
            first, *others = words.split(" -> ")
            pieces = [first, *[f"-> {o}" for o in others]]
            indent = " " * (wide + 6)
            out += broken(pieces, width or sys.maxsize, f"  {part:>{wide}}  ", indent)
        return "\n".join(out)

    def called(self, value: Value, index: Index) -> str:
        """A number's name with its index."""
        return place(self.names.get(value, value.node.op.name), index)

    def _along(self, way: Way) -> str:
        return " -> ".join([self.called(*p) for p in way.places])

    @property
    def error(self) -> float:
        """How far ways and rest together are from the derivative."""
        return abs(sum_of([w.part for w in self.ways]) + self.rest - self.total)


@dataclass(slots=True)
class _Open:
    """A way that has not come to the loss yet: `slope` is the product of derivatives so far."""

    places: list[tuple[Value, Index]] = field(default_factory=list)
    slope: float = 1.0


def ways(cards: Cards, value: Value, index: Index, most: int = _KEPT) -> Ways:
    """Split the derivative of the loss in one number by the ways it takes, layer by layer.

    After each op the `most` ways that carry most go on; what the others carry goes to the rest,
    which is exact: part by part it is a derivative so far times one that is known already.
    """
    recording = cards.recording
    order = recording.forward()
    position = {n: i for i, n in enumerate(order)}
    readers = recording.readers()
    gradient = recording.gradient(value)
    total = 0.0 if gradient is None else float(gradient[index])
    open_ = [_Open([(value, index)])]
    done: list[Way] = []
    rest: list[float] = []
    while open_:
        # The way that is furthest back moves on, so that ways meet the same op together.
        at = min(
            range(len(open_)),
            key=lambda i: position.get(open_[i].places[-1][0].node, -1),
        )
        way = open_.pop(at)
        last, where = way.places[-1]
        if last is recording.loss:
            done.append(Way(tuple(way.places), way.slope))
            continue
        for node in readers.get(last, []):
            if not any(w in recording.gradients for w in node.values):
                continue
            for result, slopes in _slopes(recording, node, last, where):
                known = recording.gradient(result)
                if known is None:
                    continue
                for each in np.argwhere(slopes != 0):
                    k = tuple(int(i) for i in each)
                    slope = way.slope * float(slopes[k])
                    open_.append(_Open([*way.places, (result, k)], slope))
        if len(open_) > most:
            parts = [_carried(recording, w) for w in open_]
            kept = sorted(range(len(open_)), key=lambda i: -abs(parts[i]))[:most]
            rest += [parts[i] for i in range(len(open_)) if i not in set(kept)]
            open_ = [open_[i] for i in sorted(kept)]
    done.sort(key=lambda w: -abs(w.part))
    scale = sum_of([*[abs(w.part) for w in done], *map(abs, rest)])
    stopped = ends(cards, value, index) if not done and scale == total == 0 else ((), 0)
    return Ways(
        value, index, tuple(done), sum_of(rest), total, scale,
        *stopped, recording.names,
    )  # fmt: skip


def _carried(recording: Recording, way: _Open) -> float:
    """What a way carries: the derivatives so far, times that of the loss in where it has come."""
    value, index = way.places[-1]
    gradient = recording.gradient(value)
    return way.slope * (float(gradient[index]) if gradient is not None else 0.0)


def _slopes(
    recording: Recording, node: Node, value: Value, index: Index
) -> list[tuple[Value, Array]]:
    """How every number of a node's results changes with one number of an operand.

    A derivative rule is linear in the derivative it is given, so its own derivative in that is
    the way forward: no op needs another rule.
    """
    operands = [recording.arrays[v] for v in node.inputs]
    one = np.zeros(recording.arrays[value].shape)
    one[index] = 1.0
    found = []
    for result in node.values:
        if result.type.dtype not in FLOATS:
            continue
        graph = forward_slope(node, result, value)
        if graph is None:
            continue
        arrays = [x.astype(np.float64) if x.dtype.kind == "f" else x for x in operands]
        zero = np.zeros(recording.arrays[result].shape)
        with np.errstate(all="ignore"):  # the step has met it before
            slopes = compiled(graph, "numpy").function(*arrays, zero, one)
        array = np.asarray(slopes, np.float64)
        found.append((result, np.broadcast_to(array, recording.arrays[result].shape)))
    return found


def forward_slope(node: Node, result: Value, value: Value) -> Graph | None:
    """Inputs: the operands, any derivative of the result, a direction. Output: the change."""
    tracer = Tracer()
    inputs = [tracer.input(f"x{i}", _wide(v.type)) for i, v in enumerate(node.inputs)]
    made = tracer.node(node.op, tuple([s.value for s in inputs]), node.attributes)
    alone = Graph({f"x{i}": s.value for i, s in enumerate(inputs)}, {"y": made[result.index]})
    opened = open_up(alone)
    y, tracer = opened.outputs["y"], continuing(opened)
    start = tracer.input("u", y.type)
    wrt = [opened.inputs[f"x{i}"] for i, v in enumerate(node.inputs) if v is value]
    back = pull_back_values(tracer, [(y, start.value)], wrt)
    pulled = [back[v] for v in wrt if v in back]
    if not pulled:
        return None
    total: Symbol = tracer.symbol(pulled[0])
    with tracer.during("backward"):
        for more in pulled[1:]:
            total = total + tracer.symbol(more)
    direction = tracer.input("t", total.value.type)
    second = open_up(
        Graph({**opened.inputs, "u": start.value, "t": direction.value}, {"y": total.value})
    )
    again = pull_back_values(
        continuing(second), [(second.outputs["y"], second.inputs["t"])], [second.inputs["u"]]
    )
    change = again.get(second.inputs["u"])
    return None if change is None else Graph(dict(second.inputs), {"change": change})


def _wide(kind: Type) -> Type:
    return Type(kind.shape, "float64") if kind.dtype in FLOATS else kind
