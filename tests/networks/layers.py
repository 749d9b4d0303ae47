"""Lines of layers, drawn: for rows, for signals, images and volumes, for sequences."""

from __future__ import annotations

from typing import Any

import numpy as np

import glassgrad as gg

from .specs import Spec, built, line

ACTIVATIONS = tuple(
    """ReLU LeakyReLU ELU GELU SiLU Sigmoid Tanh Softplus ReLU6 SELU CELU Hardtanh Hardsigmoid
    Hardswish Softsign Mish LogSigmoid Tanhshrink Hardshrink Softshrink Threshold PReLU""".split()
)
SHARES = ("Softmax", "LogSoftmax", "Softmin")
POOLS = ("Max", "Avg", "AdaptiveAvg", "AdaptiveMax")
BORDERS = ("Zero", "Constant", "Reflection", "Replication", "Circular")
NUMBERS: dict[str, tuple[tuple[float, ...], ...]] = {  # settings of activations, by position
    "LeakyReLU": ((), (0.2,)),
    "ELU": ((), (0.5,)),
    "CELU": ((), (0.5,)),
    "Softplus": ((), (2.0,)),
    "Hardshrink": ((), (0.3,)),
    "Softshrink": ((), (0.3,)),
    "Hardtanh": ((), (-0.5, 1.5)),
    "Threshold": ((0.1, -0.3),),
}


class Line:
    """Modules one after another, and the shape of a row of what they give."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...], lazy: bool) -> None:
        self.rng, self.shape, self.lazy = rng, shape, lazy  # lazy: the input settles the sizes
        self.modules: list[Spec] = []

    def one(self, *choices: Any) -> Any:
        return choices[self.rng.integers(len(choices))]

    def often(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def count(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def sizes(self, inputs: int, *rest: int) -> tuple[int, ...]:
        return rest if self.lazy else (inputs, *rest)

    def spec(self) -> Spec:
        return line(*self.modules)

    def keep(self, kind: str, *sizes: Any, **given: Any) -> None:
        """A module that keeps the shape."""
        self.modules.append(Spec(kind, {"sizes": sizes, **given} if sizes else given))

    def add(self, kind: str, *sizes: Any, **given: Any) -> None:
        """A module whose shape is found by running it."""
        self.keep(kind, *sizes, **given)
        with gg.no_grad():
            found = built(self.modules[-1], "float64").eval()(gg.tensor(np.zeros((1, *self.shape))))
        self.shape = tuple([int(s) for s in found.shape[1:]])

    # -- what every line may have ------------------------------------------------------------------

    def dense(self, out: int, bias: bool | None = None) -> Line:
        given = {"bias": self.often(0.85) if bias is None else bias}
        self.keep("Linear", *self.sizes(self.shape[-1], out), **given)
        self.shape = (*self.shape[:-1], out)
        return self

    def activation(self) -> Line:
        kind = self.one(*ACTIVATIONS)
        self.keep(kind, *self.one(*NUMBERS.get(kind, ((),))))
        if kind == "PReLU" and self.often(0.5):
            self.modules[-1] = Spec(kind, {"sizes": (self.shape[0],)})
        if kind == "GELU" and self.often(0.5):
            self.modules[-1] = Spec(kind, {"approximate": "tanh"})
        return self

    def seldom(self) -> Line:
        """What may stand anywhere."""
        if self.often(0.25):
            self.keep("Dropout", self.one(0.1, 0.3, 0.5))
        if self.often(0.08):
            self.keep("Identity")
        return self

    def same(self) -> Line:
        """A new line from where this one is, for a branch."""
        return Line(self.rng, self.shape, self.lazy)

    def norm_of_last(self) -> None:
        """Over the last axis, or all of them."""
        kind = self.one("LayerNorm", "RMSNorm")
        given: dict[str, Any] = {"eps": 1e-3} if self.often(0.3) else {}
        if self.often(0.2) and len(self.shape) > 1:
            self.keep(kind, self.shape, **given)
        elif self.often(0.2):
            self.keep(kind, (self.shape[-1],), elementwise_affine=False, **given)
        else:
            self.keep(kind, *self.sizes(self.shape[-1]), **given)

    def norm_of_batch(self, kind: str) -> None:
        given: dict[str, Any] = {"eps": 1e-3} if self.often(0.3) else {}
        if self.often(0.3):
            given["momentum"] = self.one(0.3, None)
        for name in ("affine", "track_running_stats", "bias"):
            given |= {name: False} if self.often(0.1) else {}
        self.unbiased()
        self.keep(kind, *self.sizes(self.shape[0]), **given)

    def unbiased(self) -> None:
        """Most norms take a bias before them away again: that one's gradient is exactly 0, and
        what any library reports is its own rounding, which cannot be compared."""
        kind, given = self.modules[-1] if self.modules else ("", {})
        if "bias" in given:
            self.modules[-1] = Spec(kind, {**given, "bias": False})

    # -- rows ----------------------------------------------------------------------------------------

    def rows(self, out: int) -> Line:
        for _ in range(self.count(1, 3)):
            self.dense(self.count(3, 8))
            if self.often(0.4):
                if self.often(0.4):
                    self.norm_of_batch("BatchNorm1d")
                else:
                    self.norm_of_last()
            self.activation().seldom()
            if self.often(0.3):
                self.residual()
            if self.often(0.25):
                self.keep(self.one(*SHARES))
            if self.often(0.15):
                self.dense(2 * self.shape[0]).add("GLU")
            if self.often(0.2):
                width = self.shape[0]
                left, right = (self.same().dense(width).spec() for _ in range(2))
                self.keep("Gated", left=left, right=right)
        if self.often(0.25):
            channels, length = self.count(1, 3), self.count(3, 6)
            self.dense(channels * length).folded((channels, length))
            return self.images(out, blocks=1)
        return self.dense(out)

    def residual(self) -> None:
        inner = self.same()
        if self.often(0.4):
            wide = self.count(3, 7)
            inner.dense(wide).activation()
            short = self.same().dense(wide).modules[0]
            self.keep("Residual", modules=inner.modules, shortcut=short)
            self.shape = inner.shape
        else:
            inner.dense(self.shape[0]).activation()
            self.keep("Residual", modules=inner.modules)

    def folded(self, shape: tuple[int, ...]) -> None:
        """Numbers of a row as an image; one of the sizes may be left open."""
        given = (-1, *shape[1:]) if self.often(0.3) else shape
        if self.often(0.5):
            self.add("Reshape", *given)
        else:
            self.add("Unflatten", 1, given)

    # -- signals, images and volumes -----------------------------------------------------------------

    @property
    def rank(self) -> int:
        return len(self.shape) - 1

    def images(self, out: int, blocks: int = 0, dense: bool = True) -> Line:
        """For rows of shape (channels, *size); without `dense` a class for each pixel."""
        rank = self.rank
        for _ in range(blocks or self.count(1 + (rank == 3), 2)):
            if self.often(0.4 if rank < 3 else 0.5):
                self.border()
            if self.often(0.35):
                self.transposed_convolution()
            else:
                self.convolution()
            if self.often(0.6):
                self.norm_of_channels()
            self.activation()
            if self.often(0.6 if rank < 3 else 0.85) and min(self.shape[1:]) >= 2:
                self.pool()
            if self.often(0.15) and np.prod(self.shape[1:]) <= 40:
                self.larger()
            if rank == 2 and self.often(0.3):
                self.pixels()
            self.seldom()
            if dense and self.shape[-1] >= 3 and self.often(0.25):
                self.norm_of_last()
            if self.shape[0] > 1 and self.often(
                0.1
            ):  # the share of one channel is 1, whatever it is
                self.keep(self.one(*SHARES), 1)
            if self.shape[0] % 2 == 0 and self.often(0.1):
                self.add("GLU", 1)
        if not dense:
            self.keep(f"Conv{rank}d", *self.sizes(self.shape[0], out), kernel_size=1)
            self.shape = (out, *self.shape[1:])
            return self
        self.add(self.one("GlobalAvgPool", "GlobalMaxPool") if self.often(0.4) else "Flatten")
        return self.dense(out)

    def border(self) -> None:
        kind, rank = self.one(*BORDERS), self.rank
        most = [min(2 if rank < 3 else 1, s - 1) for s in self.shape[1:]]
        if self.often(0.5):
            padding: Any = int(min(most))
        else:
            padding = tuple([self.count(0, m) for m in reversed(most) for _ in range(2)])
        value = (float(self.one(-0.5, 1.0)),) if kind == "Constant" else ()
        self.add(f"{kind}Pad{rank}d", padding, *value)

    def larger(self) -> None:
        if self.often(0.5):
            factor: Any = self.one(2, tuple([self.count(1, 2) for _ in self.shape[1:]]))
            self.add("Upsample", scale_factor=factor)
        else:
            self.add("Upsample", size=tuple([s * self.count(1, 2) for s in self.shape[1:]]))

    def pixels(self) -> None:
        """Channels to pixels, or back."""
        if all(s % 2 == 0 for s in self.shape[1:]) and self.often(0.7):
            self.add("PixelUnshuffle", 2)
        elif np.prod(self.shape) <= 150:
            self.keep("Conv2d", *self.sizes(self.shape[0], 4), kernel_size=1)
            self.shape = (4, *self.shape[1:])
            self.add("PixelShuffle", 2)

    def norm_of_channels(self) -> None:
        (channels, *size), rank = self.shape, self.rank
        kind = self.one("Batch", "Batch", "Instance", "Instance", "Group", "Local")
        if np.prod(size) < 4 or kind == "Batch":
            self.norm_of_batch(f"BatchNorm{rank}d")
        elif kind == "Local":
            self.keep("LocalResponseNorm", self.count(1, 3), alpha=self.one(0.1, 1.0))
        elif kind == "Group":
            self.unbiased()
            groups = self.one(*[g for g in range(1, channels + 1) if channels % g == 0])
            self.keep("GroupNorm", groups, *self.sizes(channels))
        else:
            self.unbiased()
            settings = {k: self.often(0.5) for k in ("affine", "track_running_stats")}
            self.keep(f"InstanceNorm{rank}d", *self.sizes(channels), **settings)

    def channels(self) -> tuple[int, int]:
        """Groups and output channels of a convolution."""
        groups = self.one(1, 1, self.shape[0])
        return groups, groups * self.count(1, 2) if groups > 1 else self.count(2, 4)

    def convolution(self) -> None:
        channels, *size = self.shape
        groups, out = self.channels()
        kernel = tuple([self.count(1, min(s, 3)) for s in size])
        stride = tuple([self.one(1, 1, 2) for _ in size])
        padding: Any = tuple([self.count(0, 1) for _ in size])
        dilation = tuple(
            [self.one(1, 1, 2) if 2 * (k - 1) < s else 1 for k, s in zip(kernel, size, strict=True)]
        )
        if set(stride) == {1} and all(k % 2 for k in kernel):
            padding = self.one(padding, "same")
        self.add(
            f"Conv{self.rank}d", *self.sizes(channels, out), kernel_size=kernel, stride=stride,
            padding=padding, dilation=dilation, groups=groups, bias=self.often(0.8),
        )  # fmt: skip

    def transposed_convolution(self) -> None:
        channels, *size = self.shape
        groups, out = self.channels()
        stride, dilation = (tuple([self.one(1, 1, 2) for _ in size]) for _ in range(2))
        steps = [max(pair) for pair in zip(stride, dilation, strict=True)]
        self.add(
            f"ConvTranspose{self.rank}d", *self.sizes(channels, out),
            kernel_size=tuple([self.count(1, 3 if self.rank < 3 else 2) for _ in size]),
            stride=stride,
            padding=tuple([int(self.one(0, 0, s >= 3)) for s in size]),
            output_padding=tuple([self.count(0, s - 1) for s in steps]),
            dilation=dilation, groups=groups, bias=self.often(0.8),
        )  # fmt: skip

    def pool(self) -> None:
        size, rank = self.shape[1:], self.rank
        kind = self.one(*POOLS)
        if kind.startswith("Adaptive"):
            wanted = tuple([self.count((s + 1) // 2, s) for s in size])
            self.add(f"{kind}Pool{rank}d", wanted)
            return
        kernel = self.one(2, 3) if min(size) > 2 else 2
        given: dict[str, Any] = {
            "stride": self.one(kernel, kernel, 1, 2),
            "padding": self.one(0, 0, 1),
            "ceil_mode": self.often(0.4),
        }
        if kind == "Avg":
            given["count_include_pad"] = self.often(0.5)
        elif kernel == 2 < min(size):
            given["dilation"] = self.one(1, 2)
        self.add(f"{kind}Pool{rank}d", kernel, **given)

    # -- sequences -----------------------------------------------------------------------------------

    def sequences(self, out: int) -> Line:
        """For rows of shape (time, features)."""
        if self.often(0.3) and self.shape[1] > 2:
            self.norm_of_last()
        if self.often(0.3):
            self.dense(self.count(2, 5)).activation()
        if self.often(0.2):
            self.even()
            self.keep("PositionalEncoding")
        elif self.often(0.25):
            self.keep(
                "LearnedPositions", self.shape[0] + self.one(0, 2), *self.sizes(self.shape[1])
            )
        if self.often(0.4):
            self.attention()
        while self.often(0.7) and len(self.shape) > 1:
            self.recurrent()
        self.seldom()
        if len(self.shape) > 1:
            self.add("Flatten")
        return self.dense(out)

    def even(self) -> None:
        if self.shape[1] % 2:
            self.dense(self.shape[1] + 1)

    def recurrent(self) -> None:
        (time, features), units = self.shape, self.count(2, 5)
        kind, last = self.one("RNN", "LSTM", "GRU"), self.often(0.6)
        given: dict[str, Any] = {"sizes": self.sizes(features, units), "sequences": not last}
        if kind == "RNN" and self.often(0.4):
            given["nonlinearity"] = "relu"
        if self.often(0.25):
            self.keep("Bidirectional", of=Spec(kind, given))
            units *= 2
        elif self.often(0.25):
            first = Spec(kind, {**given, "return_state": True, "reverse": self.often(0.3)})
            self.keep("Handed", first=first, second=Spec(kind, given))
        else:
            self.keep(kind, **given, reverse=self.often(0.3))
        self.shape = (units,) if last else (time, units)

    def attention(self) -> None:
        self.even()
        if self.often(0.4):
            inner = self.same()
            inner.keep("MultiheadAttention", **self.heads())
            self.keep("Residual", modules=inner.modules)
        else:
            self.modules.append(self.encoder())

    def heads(self) -> dict[str, Any]:
        """Settings of attention of an even width."""
        return {
            "sizes": (self.shape[1], self.one(1, 2)),
            "causal": self.often(0.5),
            "dropout": self.one(0.0, 0.2),
        }

    def transformer_layer(self, kind: str) -> Spec:
        given = self.heads() | {"hidden": self.count(2, 7), "norm_first": self.often(0.5)}
        return Spec(kind, given | {"activation": self.one("relu", "gelu", "silu", "elu", "tanh")})

    def encoder(self) -> Spec:
        """A layer, or several."""
        layer = "TransformerEncoderLayer"
        return (
            self.transformer_layer(layer) if self.often(0.5) else self.stack("TransformerEncoder")
        )

    def stack(self, kind: str) -> Spec:
        layers = [self.transformer_layer(f"{kind}Layer") for _ in range(self.count(1, 2))]
        norm = {"norm": Spec("LayerNorm", {"sizes": (self.shape[1],)})} if self.often(0.5) else {}
        return Spec(kind, {"modules": layers, **norm})
