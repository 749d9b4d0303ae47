"""What networks are made of: specs, the modules they stand for, and what a user would write."""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import glassgrad as gg
from glassgrad import nn


class Spec(NamedTuple):
    """A module's class and settings; `sizes` and `modules` are given by position."""

    kind: str
    given: dict[str, Any]

    def inner(self) -> Iterator[Spec]:
        """The specs among the settings."""
        for value in self.given.values():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, Spec):
                    yield one

    def kinds(self) -> Counter[str]:
        """How often each module occurs."""
        return sum((part.kinds() for part in self.inner()), Counter([self.kind]))


def line(*modules: Spec) -> Spec:
    """One after another."""
    return Spec("Sequential", {"modules": list(modules)})


# -- modules that a user would write --------------------------------------------------------------


class Gated(nn.Module):
    """Two branches and a parameter of its own."""

    def __init__(self, left: nn.Module, right: nn.Module, dtype: str = "float64") -> None:
        super().__init__()
        self.left, self.right = left, right
        self.scale = gg.Parameter(np.array(0.7, dtype))

    def forward(self, x: Any) -> Any:
        return self.left(x) * nn.sigmoid(self.right(x)) * self.scale


class Handed(nn.Module):
    """A recurrent layer that starts where another one ended."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Any) -> Any:
        _, *state = self.first(x)
        return self.second(x, *state)


class Masked(nn.Module):
    """Tokens, of which 0 is padding, and 0 in `seen` (n, 1, time, time) for what is not seen."""

    def __init__(self, embedding: nn.Module, layer: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.embedding, self.layer, self.head = embedding, layer, head

    def forward(self, tokens: Any, seen: Any) -> Any:
        x, masks = self.embedding(tokens), (tokens == 0, seen == 0)
        rest = (None, None) if isinstance(self.layer, nn.MultiheadAttention) else ()
        return self.head(self.layer(x, *rest, *masks))


class Translator(nn.Module):
    """An encoder for one text, a decoder for another; both share the embedding."""

    def __init__(
        self, embedding: nn.Module, encoder: nn.Module, decoder: nn.Module, head: nn.Module
    ) -> None:
        super().__init__()
        self.embedding, self.encoder, self.decoder, self.head = embedding, encoder, decoder, head

    def forward(self, source: Any, target: Any) -> Any:
        padding = source == 0
        memory = self.encoder(self.embedding(source), padding)
        return self.head(self.decoder(self.embedding(target), memory, target == 0, padding))


class Reader(nn.Module):
    """One sequence attends to another: queries of one input, keys and values of the second."""

    def __init__(self, attention: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.attention, self.head = attention, head

    def forward(self, x: Any, memory: Any) -> Any:
        return self.head(self.attention(x, memory))


class Siblings(nn.Module):
    """One network for every input: as many outputs as inputs."""

    def __init__(self, each: nn.Module) -> None:
        super().__init__()
        self.each = each

    def forward(self, a: Any, b: Any, c: Any = None) -> Any:
        return tuple([self.each(x) for x in (a, b, c) if x is not None])


class Ways(nn.Module):
    """Two inputs, a network for each, layers that both share, several outputs."""

    def __init__(
        self, left: nn.Module, right: nn.Module, shared: nn.Module, heads: list[nn.Module]
    ) -> None:
        super().__init__()
        self.left, self.right, self.shared, self.head = left, right, shared, heads

    def forward(self, a: Any, b: Any) -> Any:
        one, two = self.shared(self.left(a)), self.shared(self.right(b))
        joined = gg.concatenate([one * two, one - two], axis=1)
        return tuple([head(joined) for head in self.head])


OWN = {m.__name__: m for m in (Gated, Handed, Masked, Translator, Reader, Siblings, Ways)}
# Whatever nn has joins the list by itself: what is never drawn fails the test. Module is the base
# of all, and nothing by itself.
MODULES = tuple(
    sorted(
        {n for n, v in vars(nn).items() if isinstance(v, type) and issubclass(v, nn.Module)}
        - {"Module"}
        | set(OWN)
    )
)


@functools.cache
def _has_dtype(made: type) -> bool:
    return any("dtype" in inspect.signature(c).parameters for c in made.__mro__[:-1])


def built(spec: Spec, dtype: str) -> nn.Module:
    """The module of a spec."""

    def one(value: Any) -> Any:
        if isinstance(value, Spec):
            return built(value, dtype)
        return [one(v) for v in value] if isinstance(value, list) else value

    kind, given = spec
    if kind == "Bidirectional":
        of: Spec = given["of"]
        return nn.Bidirectional(
            lambda reverse: built(Spec(of.kind, {**of.given, "reverse": reverse}), dtype)
        )
    made = OWN[kind] if kind in OWN else getattr(nn, kind)
    settings = {k: one(v) for k, v in given.items() if k not in ("sizes", "modules")}
    if _has_dtype(made):
        settings["dtype"] = dtype
    module: nn.Module = made(*given.get("sizes", ()), *one(given.get("modules", [])), **settings)
    return module
