"""Attention: every position takes a weighted mean of what others offer."""

from __future__ import annotations

import math
from typing import Any

from glassgrad.errors import ConfigError, DTypeError, ShapeError
from glassgrad.ops import OPS, Array, Spelled, named
from glassgrad.ops.index import positions
from glassgrad.tensors.functions import concatenate, cos, exp, sin
from glassgrad.tensors.tensor import tensor

from .checks import check_array, check_float, checked_dtype, flag, known_size, units
from .init import How
from .layers import Dropout, Linear
from .module import Module, Weight


def scaled_dot_product_attention(
    q: Any, k: Any, v: Any, mask: Any = None, *, causal: bool = False
) -> Any:
    """Each query's mean of the values, weighted by its likeness to their keys.

    softmax(q k^T / sqrt(d)) v, the softmax along the keys (Vaswani et al. 2017). Shapes: q
    (..., queries, d), k (..., keys, d), v (..., keys, width) to (..., queries, width). `mask` is
    bool and stretches to (..., queries, keys), True where a query may attend to a key, as in
    PyTorch's function of this name; with `causal` query i attends to keys 0 to i only. A query
    that may attend to nothing gives zeros, where PyTorch gives nan. Raises ShapeError for sizes
    that do not fit, DTypeError for a mask that is not bool.

    >>> import glassgrad as gg
    >>> x = gg.tensor([[[1.0], [3.0]]])
    >>> gg.nn.scaled_dot_product_attention(0 * x, x, x, causal=True)
    tensor([[[1.],
             [2.]]])
    """
    q, k, v = (a if isinstance(a, Array) else tensor(a) for a in (q, k, v))
    masks = () if mask is None else (mask if isinstance(mask, Array) else tensor(mask),)
    return OPS["attention"](q, k, v, *masks, causal=flag(causal, "causal"))


class MultiheadAttention(Module):
    """Attention in several heads, each with its own part of the width (Vaswani et al. 2017).

    Queries, keys and values are dense layers of the inputs, cut into heads; the heads' results,
    side by side, go through another dense layer. Shapes: query (n, queries, features), key and
    value (n, keys, ...) to (n, queries, width); `attention(x)` attends to x itself, and
    `attention(x, memory)` to memory. `causal`: position i attends to positions 0 to i.

    `key_padding_mask` (n, keys) and `attn_mask`, which stretches to (n, heads, queries, keys),
    are bool and mean what they do in PyTorch's module: True where a key is ignored. A query for
    which all are ignored gets zeros from the heads. In training a share `dropout` of the weights
    is dropped. The result is one tensor; `weights(...)`, called as the layer is, gives the
    weights (n, heads, queries, keys). PyTorch's `in_proj_weight` is the transposed weights of
    query, key and value on top of each other. Raises ShapeError for inputs that do not fit,
    DTypeError for a mask that is not bool, ConfigError for heads that do not divide the width.

    >>> from glassgrad import nn
    >>> nn.MultiheadAttention(64, 4)
    MultiheadAttention(64, 4)
    """

    formula = OPS["attention"].plain

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        dropout: float = 0.0,
        bias: bool = True,
        causal: bool = False,
        init: How = "glorot",
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        self.width, self.heads = units(width, "width"), units(heads, "heads")
        if self.width % self.heads:
            raise ConfigError(
                "the heads do not divide the width",
                expected=f"heads that divide {self.width}",
                received=f"{self.heads} heads",
            )
        self.causal = flag(causal, "causal")

        def projection() -> Linear:
            return Linear(self.width, bias=bias, init=init, dtype=dtype)

        self.query, self.key, self.value = projection(), projection(), projection()
        self.out = projection()
        self.dropout = Dropout(dropout)

    def prepare(self, query: Any, key: Any = None, value: Any = None, *_: Any) -> None:
        for given in (query, key, value):
            if given is None:
                continue
            check_array(given)
            if given.ndim != 3:
                raise ShapeError(
                    "attention needs sequences",
                    where=self.path,
                    expected="(n, time, features)",
                    received=str(given.shape),
                )

    def forward(
        self,
        query: Any,
        key: Any = None,
        value: Any = None,
        key_padding_mask: Any = None,
        attn_mask: Any = None,
    ) -> Any:
        key = query if key is None else key
        wide = self.query(query), self.key(key), self.value(key if value is None else value)
        q, k, v = (self._heads(x, name) for x, name in zip(wide, "qkv", strict=True))
        masks = self._masks(key_padding_mask, attn_mask)
        if self.training and self.dropout.p:
            shares = OPS["attention_weights"](q, k, *masks, causal=self.causal)
            mixed = self.dropout(shares) @ v
        else:
            mixed = OPS["attention"](q, k, v, *masks, causal=self.causal)
        mixed = named(mixed, "by_head").transpose(0, 2, 1, 3).reshape(*query.shape[:2], self.width)
        return self.out(named(mixed, "mixed"))

    def weights(
        self,
        query: Any,
        key: Any = None,
        key_padding_mask: Any = None,
        attn_mask: Any = None,
    ) -> Any:
        """How much each query attends to each key: (n, heads, queries, keys), no dropout."""
        query = query if isinstance(query, Array) else tensor(query)
        key = query if key is None else key
        q, k = self._heads(self.query(query), "q"), self._heads(self.key(key), "k")
        masks = self._masks(key_padding_mask, attn_mask)
        return OPS["attention_weights"](q, k, *masks, causal=self.causal)

    def _heads(self, x: Any, name: str) -> Any:
        """(n, time, width) as (n, heads, time, width of a head)."""
        cut = x.reshape(*x.shape[:2], self.heads, self.width // self.heads)
        return named(cut.transpose(0, 2, 1, 3), name)

    @staticmethod
    def _masks(key_padding_mask: Any, attn_mask: Any) -> list[Any]:
        found = []
        for name, mask in (("keys", key_padding_mask), ("", attn_mask)):
            if mask is None:
                continue
            array = mask if isinstance(mask, Array) else tensor(mask)
            if array.dtype != "bool":
                raise DTypeError(
                    "a mask says which keys are ignored",
                    expected="bool, True where a key is ignored",
                    received=f"{array.dtype} {array.shape}",
                    hint="a mask of numbers, added to the scores elsewhere, is mask < 0 here",
                )
            if name:
                if array.ndim != 2:
                    raise ShapeError(
                        "a padding mask has a row for each sequence",
                        expected="(n, keys)",
                        received=str(array.shape),
                    )
                array = array.reshape(array.shape[0], 1, 1, array.shape[1])
            found.append(named(array == False, "allowed"))  # noqa: E712  # an op, not a question
        return found

    def settings(self) -> str:
        text = f"{self.width}, {self.heads}" + (", causal=True" if self.causal else "")
        return text + (f", dropout={self.dropout.p:g}" if self.dropout.p else "")


class PositionalEncoding(Module):
    """Sines and cosines of the position added to each row (Vaswani et al. 2017).

    y[t, 2i] = x[t, 2i] + sin(t / 10000^(2i / width)), y[t, 2i + 1] = x[t, 2i + 1] + cos(the same).
    Shapes: (n, time, width) to the same, any time, even width. Nothing is learnt or stored.
    Raises ShapeError for an odd width.

    >>> import numpy as np
    >>> from glassgrad import nn
    >>> nn.PositionalEncoding()(np.zeros((1, 2, 2), "float32"))
    tensor([[[0.       , 1.       ],
             [0.841471 , 0.5403023]]])
    """

    formula = ("y = x + sin or cos of t / 10000^(2i / width)", "dx = dy")
    looked_through = True

    def prepare(self, x: Any) -> None:
        _check_positions(self, x)
        if x.shape[2] % 2:
            raise ShapeError(
                "sines and cosines come in pairs",
                where=self.path,
                expected="an even width",
                received=str(x.shape),
            )

    def forward(self, x: Any) -> Any:
        time, width = x.shape[1], x.shape[2]
        pair = positions(width // 2, x).astype(x.dtype)
        rate = Spelled(-2 * math.log(1e4) / width, f"-2 * math.log(1e4) / {width}")
        t = positions(time, x).astype(x.dtype).reshape(time, 1)
        angle = named(t * named(exp(pair * rate), "frequency"), "angle")
        sides = [part.reshape(time, width // 2, 1) for part in (sin(angle), cos(angle))]
        pairs = named(concatenate(sides, axis=2), "pairs")
        return x + named(pairs.reshape(time, width), "waves")


class LearnedPositions(Module):
    """A learnt row added to each position: y[t] = x[t] + W[t] (Gehring et al. 2017).

    Shapes: (n, time, width) to the same, time at most `length`; weight (length, width) starts
    normal with standard deviation 1, as an `Embedding`. Raises ShapeError for longer sequences.

    >>> from glassgrad import nn
    >>> nn.LearnedPositions(64)
    LearnedPositions(64)
    """

    formula = ("y = x + W, row by row", "dW = sum of dy over n   dx = dy")
    looked_through = True

    def __init__(
        self, length: int, width: int | None = None, init: How = "normal", dtype: str = "float32"
    ) -> None:
        super().__init__()
        self.length = units(length, "length")
        inner = None if width is None else units(width, "width")
        self.weight = Weight(self.length, inner, how=init, dtype=checked_dtype(dtype))

    def prepare(self, x: Any) -> None:
        _check_positions(self, x)
        if not isinstance(x.shape[1], int) or x.shape[1] > self.length:
            raise ShapeError(
                "a sequence is longer than the positions that are learnt",
                where=self.path,
                expected=f"at most {self.length}",
                received=str(x.shape),
            )
        self.weight.settle(self.length, known_size(x.shape[2], self.path))

    def forward(self, x: Any) -> Any:
        time = x.shape[1]
        return x + (self.weight if time == self.length else self.weight[:time])

    def settings(self) -> str:
        width = self.weight.sizes[1]
        return f"{self.length}" if width is None else f"{self.length}, {width}"


def _check_positions(module: Module, x: Any) -> None:
    check_array(x)
    check_float(module, x)
    if x.ndim != 3:
        raise ShapeError(
            "positions belong to sequences",
            where=module.path,
            expected="(n, time, width)",
            received=str(x.shape),
        )
