"""Networks, drawn: their inputs, what they are made of, and which losses they have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .goals import ABOVE_0, PAIRS, SINGLE, TAILS
from .layers import Line
from .specs import Spec, line

Array = NDArray[Any]
PLAIN = ("rows", "signals", "images", "volumes", "sequences", "tokens")
FAMILIES = (
    *PLAIN,
    *("dense images", "masked", "language", "translation", "reading", "siblings", "ways"),
)


@dataclass
class Wish:
    """A loss that is wanted of some outputs; settings and target wait for their shapes."""

    name: str
    outputs: tuple[int, ...] = (0,)
    share: float = 1.0
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class Drawn:
    """A network before it is built."""

    spec: Spec
    inputs: tuple[Array, ...]
    wishes: list[Wish]
    family: str
    fit: bool  # only what `fit` takes: losses of one output, reduced


class Draw:
    """Draws one network of n rows."""

    def __init__(self, rng: np.random.Generator, n: int, fit: bool) -> None:
        self.rng, self.n, self.fit = rng, n, fit
        self.lazy = bool(rng.random() < 0.4)
        self.out = int(rng.integers(2, 5))

    def one(self, *choices: Any) -> Any:
        return choices[self.rng.integers(len(choices))]

    def line(self, *shape: int) -> Line:
        return Line(self.rng, shape, self.lazy)

    def normal(self, *shape: int) -> Array:
        return self.rng.normal(0, 1, (self.n, *shape))

    def tokens(self, count: int, time: int) -> Array:
        """Rows of tokens; the first one is never 0, which may stand for padding."""
        found = self.rng.integers(0, count, (self.n, time))
        found[:, 0] = self.rng.integers(1, count, self.n)
        return found

    def size(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def embedding(self, count: int, width: int) -> Spec:
        return Spec("Embedding", {"sizes": (count, width)})

    # -- one input, one output -----------------------------------------------------------------------

    def plain(self, family: str, out: int) -> tuple[Array, list[Spec]]:
        """An input and a line of layers with `out` outputs for it."""
        if family == "rows":
            width = self.size(2, 6)
            return self.normal(width), self.line(width).rows(out).modules
        if family == "sequences":
            time, features = self.size(2, 5), self.size(2, 5)
            return self.normal(time, features), self.line(time, features).sequences(out).modules
        if family == "tokens":
            count, time, features = self.size(4, 8), self.size(2, 5), self.size(2, 5)
            inner = self.line(time, features).sequences(out).modules
            return self.tokens(count, time), [self.embedding(count, features), *inner]
        shape = self.shape(family)
        return self.normal(*shape), self.line(*shape).images(out).modules

    def shape(self, family: str) -> tuple[int, ...]:
        """Channels and sizes of an image."""
        rank, low, high = {"signals": (1, 5, 10), "volumes": (3, 3, 4)}.get(family, (2, 4, 7))
        return (self.size(1, 3), *[self.size(low, high) for _ in range(rank)])

    # -- families ------------------------------------------------------------------------------------

    def network(self, family: str) -> Drawn:
        if family == "siblings":
            return self.siblings()
        if family == "ways":
            return self.ways()
        single = [name for name in SINGLE if name != "multi_margin" or family != "dense images"]
        wish = Wish(self.one("cross_entropy", "mse", *single))
        inputs: tuple[Array, ...]
        if family in PLAIN:
            x, modules = self.plain(family, self.out)
            inputs, spec = (x,), line(*modules)
        elif family == "dense images":
            shape = self.shape(self.one("images", "images", "signals"))
            inputs = (self.normal(*shape),)
            spec = self.line(*shape).images(self.out, dense=False).spec()
        elif family == "language":
            inputs, spec = self.language()
            wish = Wish(self.one("cross_entropy", "cross_entropy", "categorical_focal", "nll"))
        else:
            inputs, spec = getattr(self, family)()
        if "head" in spec.given:
            head = self.ended(spec.given["head"], wish)
            spec = Spec(spec.kind, {**spec.given, "head": head})
        else:
            spec = self.ended(spec, wish)
        return Drawn(spec, inputs, [wish], family, self.fit)

    def ended(self, spec: Spec, wish: Wish) -> Spec:
        """With a last module that makes what the loss takes."""
        tail = TAILS.get(wish.name)
        if wish.name == "poisson_nll" and self.rng.random() < 0.5:
            wish.settings["log_input"], tail = False, ABOVE_0
        flat = spec.given["modules"] if spec.kind == "Sequential" else [spec]
        return spec if tail is None else line(*flat, tail)

    def head(self, *shape: int) -> Spec:
        """Dense layers to the outputs."""
        found = self.line(*shape)
        if len(shape) > 1:
            found.add("Flatten")
        return found.dense(self.out).spec()

    def masked(self) -> tuple[tuple[Array, ...], Spec]:
        count, time, width = self.size(4, 8), self.size(2, 5), self.one(2, 4)
        at = self.line(time, width)
        layer = self.one(Spec("MultiheadAttention", at.heads()), at.encoder())
        seen = (self.rng.random((self.n, 1, time, time)) < 0.7).astype(np.int64)
        seen[..., 0] = 1
        given = {"embedding": self.embedding(count, width), "layer": layer}
        return (self.tokens(count, time), seen), Spec(
            "Masked", {**given, "head": self.head(time, width)}
        )

    def translation(self) -> tuple[tuple[Array, ...], Spec]:
        count, width = self.size(4, 8), self.one(2, 4)
        times = self.size(2, 5), self.size(2, 4)
        at = self.line(times[1], width)
        place = self.one(
            Spec("PositionalEncoding", {}), Spec("LearnedPositions", {"sizes": (max(times),)})
        )
        one_layer = at.transformer_layer("TransformerDecoderLayer")
        given = {
            "embedding": line(self.embedding(count, width), place),
            "encoder": at.encoder(),
            "decoder": self.one(one_layer, at.stack("TransformerDecoder")),
            "head": self.head(times[1], width),
        }
        return (self.tokens(count, times[0]), self.tokens(count, times[1])), Spec(
            "Translator", given
        )

    def reading(self) -> tuple[tuple[Array, ...], Spec]:
        width, times = self.one(2, 4), (self.size(1, 4), self.size(2, 4))
        inputs = self.normal(times[0], width), self.normal(times[1], self.size(2, 5))
        settings = self.line(times[0], width).heads() | {"causal": False}
        attention = Spec("MultiheadAttention", settings | {"bias": self.one(True, False)})
        head = self.head(times[0], width)
        return inputs, Spec("Reader", {"attention": attention, "head": head})

    def language(self) -> tuple[tuple[Array, ...], Spec]:
        count, time = self.size(4, 7), self.size(2, 5)
        given: dict[str, Any] = {"sizes": (count,), "width": self.one(2, 4)}
        given |= {"layers": self.size(1, 2), "dropout": self.one(0.0, 0.2)}
        kind = self.one("GPT", "CharLSTM")
        if kind == "GPT":
            given |= {"heads": self.size(1, 2), "context": time + self.one(0, 3)}
        return (self.tokens(count, time),), Spec(kind, given)

    def siblings(self) -> Drawn:
        """Two or three inputs of one kind, and a loss of how near their outputs are."""
        loss = self.one("triplet_margin", *PAIRS)
        count = 3 if loss == "triplet_margin" else 2
        x, modules = self.plain(self.one("rows", "signals", "images", "tokens"), self.out)
        inputs = [x]
        for _ in range(count - 1):
            order = self.rng.permutation(self.n)
            moved = 0 if x.dtype.kind == "i" else self.rng.normal(0, 0.3, x.shape)
            inputs.append(x[order] + moved)
        spec = Spec("Siblings", {"each": line(*modules)})
        return Drawn(spec, tuple(inputs), [Wish(loss, tuple(range(count)))], "siblings", self.fit)

    def ways(self) -> Drawn:
        width = self.size(3, 5)
        (a, left), (b, right) = (
            self.plain(self.one("rows", "signals", "sequences", "tokens"), width) for _ in range(2)
        )
        shared = self.line(width)
        shared.dense(width).activation().seldom()
        wishes: list[Wish] = []
        heads: list[Spec] = []
        for _ in range(self.size(2, 3)):
            name = self.one(*SINGLE, *["gaussian_nll"] * (0 if self.fit else 8))
            outputs = (len(heads), len(heads) + 1) if name == "gaussian_nll" else (len(heads),)
            wishes.append(Wish(name, outputs, float(self.one(1.0, 0.5, 2.0))))
            head, variance = (self.line(2 * width).dense(self.out).spec() for _ in range(2))
            heads.append(self.ended(head, wishes[-1]))
            if len(outputs) == 2:
                heads.append(line(*variance.given["modules"], ABOVE_0))
        given = {"left": line(*left), "right": line(*right)}
        spec = Spec("Ways", {**given, "shared": shared.spec(), "heads": heads})
        return Drawn(spec, (a, b), wishes, "ways", self.fit)


def drawn(seed: int, *, rows: int | None = None, fit: bool = False) -> tuple[Drawn, Any]:
    """What a seed draws, and the generator for what follows.

    With `fit` only what `fit` takes: one loss for each output, reduced.
    """
    rng = np.random.default_rng([seed, int(fit)])
    families = [f for f in FAMILIES if not fit or f != "siblings"]
    family = families[rng.integers(len(families))]
    # Mostly the same number: an op on a shape that it has had is not compiled again.
    n = 8 if rng.random() < 0.8 else 6
    return Draw(rng, rows or n, fit).network(family), rng
