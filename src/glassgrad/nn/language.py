"""Character models: the scores of the next token at every position of a text."""

from __future__ import annotations

from typing import Any

from glassgrad.errors import ShapeError

from .attention import LearnedPositions
from .checks import units
from .layers import Dropout, Embedding, Linear
from .module import Module
from .norms import LayerNorm
from .recurrent import LSTM
from .transformer import TransformerEncoderLayer


def _scores(x: Any) -> Any:
    """(n, time, tokens) as cross-entropy takes them: (n, tokens, time)."""
    return x.transpose(0, 2, 1)


def _check_tokens(module: Module, x: Any) -> None:
    if x.ndim != 2:
        raise ShapeError(
            "a language model reads rows of tokens",
            where=module.path,
            expected="(n, time) int64",
            received=str(x.shape),
        )


class GPT(Module):
    """A decoder-only transformer: each position sees itself and what stands before it.

    Token and position embeddings, `layers` encoder layers (causal, norm first, GELU), a last
    norm and a dense layer (Radford et al. 2019). Shapes: tokens (n, time) int64, time at most
    `context`, to scores of the next token (n, tokens, time), as cross-entropy takes them.
    Raises ShapeError for longer sequences.

    >>> from glassgrad import nn
    >>> nn.GPT(65)
    GPT(65, width=128, layers=4, heads=4, context=64)
    """

    def __init__(
        self,
        tokens: int,
        width: int = 128,
        layers: int = 4,
        heads: int = 4,
        context: int = 64,
        dropout: float = 0.0,
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        self.context = units(context, "context")
        self.embedding = Embedding(tokens, width, dtype=dtype)
        self.positions = LearnedPositions(context, width, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.block = [
            TransformerEncoderLayer(
                width,
                heads,
                dropout=dropout,
                activation="gelu",
                norm_first=True,
                causal=True,
                dtype=dtype,
            )
            for _ in range(units(layers, "layers", 1000))
        ]
        self.norm = LayerNorm(width, dtype=dtype)
        self.head = Linear(width, tokens, init="glorot", dtype=dtype)

    def prepare(self, x: Any) -> None:
        _check_tokens(self, x)

    def forward(self, x: Any) -> Any:
        x = self.dropout(self.positions(self.embedding(x)))
        for block in self.block:
            x = block(x)
        return _scores(self.head(self.norm(x)))

    def settings(self) -> str:
        first = self.block[0]
        text = f"{self.embedding.tokens}, width={first.width}, layers={len(self.block)}"
        text += f", heads={first.attention.heads}, context={self.context}"
        return text + (f", dropout={self.dropout.p:g}" if self.dropout.p else "")


class CharLSTM(Module):
    """LSTM layers over token embeddings: the state carries what stood before.

    Embedding, `layers` LSTM layers, dropout, a dense layer (Graves 2013). Shapes: tokens (n, time)
    int64 to scores of the next token (n, tokens, time), as cross-entropy takes them.

    >>> from glassgrad import nn
    >>> nn.CharLSTM(65)
    CharLSTM(65, width=128, layers=1)
    """

    def __init__(
        self,
        tokens: int,
        width: int = 128,
        layers: int = 1,
        dropout: float = 0.0,
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        self.embedding = Embedding(tokens, width, dtype=dtype)
        self.lstm = [
            LSTM(width, width, sequences=True, dtype=dtype)
            for _ in range(units(layers, "layers", 1000))
        ]
        self.dropout = Dropout(dropout)
        self.head = Linear(width, tokens, init="glorot", dtype=dtype)

    def prepare(self, x: Any) -> None:
        _check_tokens(self, x)

    def forward(self, x: Any) -> Any:
        x = self.embedding(x)
        for lstm in self.lstm:
            x = lstm(x)
        return _scores(self.head(self.dropout(x)))

    def settings(self) -> str:
        text = f"{self.embedding.tokens}, width={self.lstm[0].units}, layers={len(self.lstm)}"
        return text + (f", dropout={self.dropout.p:g}" if self.dropout.p else "")
