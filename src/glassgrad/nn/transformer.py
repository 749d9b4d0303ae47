"""Transformers: attention and two dense layers, each with a way around it, and stacks of such."""

from __future__ import annotations

from typing import Any

from glassgrad.errors import ConfigError, shown, unknown_name
from glassgrad.ops import named

from . import activations
from .attention import MultiheadAttention
from .checks import flag, units
from .init import How
from .layers import Dropout, Linear
from .module import Module
from .norms import LayerNorm

ACTIVATIONS = {
    "relu": activations.ReLU,
    "gelu": activations.GELU,
    "silu": activations.SiLU,
    "elu": activations.ELU,
    "tanh": activations.Tanh,
}


def _activation(given: Any) -> Module:
    if isinstance(given, Module):
        return given
    if not isinstance(given, str) or given not in ACTIVATIONS:
        raise unknown_name("activation", given, tuple(ACTIVATIONS))
    found: Module = ACTIVATIONS[given]()
    return found


class _Layer(Module):
    """What both kinds of layer share: sublayers with a norm and a way around them."""

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int | None = None,
        *,
        dropout: float = 0.1,
        activation: str | Module = "relu",
        norm_first: bool = False,
        eps: float = 1e-5,
        causal: bool = False,
        init: How = "glorot",
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        self.width = units(width, "width")
        self.norm_first = flag(norm_first, "norm_first")
        self._given: Any = (eps, init, dtype, dropout)
        self.attention = MultiheadAttention(
            width, heads, dropout=dropout, causal=causal, init=init, dtype=dtype
        )
        self.hidden = 4 * self.width if hidden is None else units(hidden, "hidden")
        self.linear1 = Linear(self.width, self.hidden, init=init, dtype=dtype)
        self.activation = _activation(activation)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(self.hidden, self.width, init=init, dtype=dtype)

    def _norm(self) -> LayerNorm:
        eps, _, dtype, _ = self._given
        return LayerNorm(self.width, eps, dtype=dtype)

    def _around(self, x: Any, norm: Module, dropout: Module, sublayer: Any, name: str) -> Any:
        """The sublayer with a way around it; the norm before the sublayer, or after the sum."""
        if self.norm_first:
            return named(x + dropout(sublayer(norm(x))), name)
        return norm(named(x + dropout(sublayer(x)), name))

    def _feed(self, x: Any) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def settings(self) -> str:
        text = f"{self.width}, {self.attention.heads}, {self.hidden}"
        text += f", dropout={self.dropout.p:g}" if self.dropout.p != 0.1 else ""
        kind = type(self.activation).__name__
        text += f", activation={kind.lower()!r}" if kind != "ReLU" else ""
        return text + (", norm_first=True" if self.norm_first else "")


class TransformerEncoderLayer(_Layer):
    """Attention to the sequence itself, then two dense layers on each position.

    x = norm1(x + attention(x)), y = norm2(x + linear2(activation(linear1(x)))); with
    `norm_first` x + attention(norm1(x)) and x + ...(norm2(x)) (Vaswani et al. 2017; Xiong et al.
    2020). Shapes: (n, time, width) to the same; `layer(x, key_padding_mask, attn_mask)` as
    `MultiheadAttention`. PyTorch's layer, batch first, with the same defaults but `hidden`, which
    is 4 width where PyTorch has 2048; `causal` is a setting of the layer. `activation` is a name
    (relu, gelu, silu, elu, tanh) or a module. Raises ConfigError for settings out of range.

    >>> from glassgrad import nn
    >>> nn.TransformerEncoderLayer(64, 4)
    TransformerEncoderLayer(64, 4, 256)
    """

    def __init__(self, width: int, heads: int, hidden: int | None = None, **settings: Any) -> None:
        super().__init__(width, heads, hidden, **settings)
        p = self._given[3]
        self.norm1, self.norm2 = self._norm(), self._norm()
        self.dropout1, self.dropout2 = Dropout(p), Dropout(p)

    def forward(self, x: Any, key_padding_mask: Any = None, attn_mask: Any = None) -> Any:
        def attend(x: Any) -> Any:
            return self.attention(x, None, None, key_padding_mask, attn_mask)

        x = self._around(x, self.norm1, self.dropout1, attend, "attended")
        return self._around(x, self.norm2, self.dropout2, self._feed, "fed")

    def settings(self) -> str:
        return super().settings() + (", causal=True" if self.attention.causal else "")


class TransformerDecoderLayer(_Layer):
    """Attention to the sequence itself, then to a memory, then two dense layers.

    As `TransformerEncoderLayer` with `cross_attention`, whose keys and values are the memory's,
    and its norm between the two. Shapes: x (n, time, width), memory (n, keys, features) to
    (n, time, width); `layer(x, memory, key_padding_mask, memory_key_padding_mask)`. PyTorch's
    layer, batch first, but causal unless `causal=False` is said: a decoder does not see what it
    is to say next.

    >>> from glassgrad import nn
    >>> nn.TransformerDecoderLayer(64, 4)
    TransformerDecoderLayer(64, 4, 256)
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int | None = None,
        *,
        causal: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(width, heads, hidden, causal=causal, **settings)
        _, init, dtype, p = self._given
        self.cross_attention = MultiheadAttention(width, heads, dropout=p, init=init, dtype=dtype)
        self.norm1, self.norm2, self.norm3 = self._norm(), self._norm(), self._norm()
        self.dropout1, self.dropout2, self.dropout3 = Dropout(p), Dropout(p), Dropout(p)

    def forward(
        self,
        x: Any,
        memory: Any,
        key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
    ) -> Any:
        def attend(x: Any) -> Any:
            return self.attention(x, None, None, key_padding_mask)

        def read(x: Any) -> Any:
            return self.cross_attention(x, memory, memory, memory_key_padding_mask)

        x = self._around(x, self.norm1, self.dropout1, attend, "attended")
        x = self._around(x, self.norm2, self.dropout2, read, "informed")
        return self._around(x, self.norm3, self.dropout3, self._feed, "fed")

    def settings(self) -> str:
        return super().settings() + ("" if self.attention.causal else ", causal=False")


class _Stack(Module):
    kind: type[_Layer]

    def __init__(self, *layers: _Layer, norm: Module | None = None) -> None:
        super().__init__()
        if not layers or not all(isinstance(layer, self.kind) for layer in layers):
            raise ConfigError(
                f"a {type(self).__name__} is made of layers",
                expected=f"one or more nn.{self.kind.__name__}",
                received=shown(layers),
            )
        if norm is not None and not isinstance(norm, Module):
            raise ConfigError("norm is a module", expected="nn.LayerNorm()", received=shown(norm))
        self.layer = list(layers)
        self.norm = norm

    def forward(self, x: Any, *context: Any) -> Any:
        for layer in self.layer:
            x = layer(x, *context)
        return x if self.norm is None else self.norm(x)

    def settings(self) -> str:
        norm = "" if self.norm is None else f", norm={self.norm!r}"
        return ", ".join(map(repr, self.layer)) + norm


class TransformerEncoder(_Stack):
    """Encoder layers one after another, and a last norm if one is given.

    `encoder(x, key_padding_mask, attn_mask)`; every layer gets the masks. Where PyTorch copies
    one layer, here each is given.

    >>> from glassgrad import nn
    >>> layers = [nn.TransformerEncoderLayer(64, 4, norm_first=True) for _ in range(2)]
    >>> len(list(nn.TransformerEncoder(*layers, norm=nn.LayerNorm(64)).parameters()))
    34
    """

    kind = TransformerEncoderLayer


class TransformerDecoder(_Stack):
    """Decoder layers one after another, and a last norm if one is given.

    `decoder(x, memory, key_padding_mask, memory_key_padding_mask)`; every layer gets them all.

    >>> from glassgrad import nn
    >>> len(list(nn.TransformerDecoder(nn.TransformerDecoderLayer(64, 4)).parameters()))
    26
    """

    kind = TransformerDecoderLayer
