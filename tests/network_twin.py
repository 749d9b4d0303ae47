"""Random networks in PyTorch: what a spec of `tests.networks` describes, on the same numbers."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, TypeAlias

from glassgrad.tensors import random

Spec: TypeAlias = "tuple[str, dict[str, Any]]"  # a module's class and settings


class Twin:
    """The same network as PyTorch's functions on the same numbers."""

    def __init__(self, torch: Any, leaves: dict[str, Any], training: bool, seed: int) -> None:
        self.torch, self.f = torch, torch.nn.functional
        self.leaves, self.training, self.seed = leaves, training, seed
        self.step = 0

    def forward(self, spec: Spec, path: str, x: Any) -> Any:
        kind, given = spec

        def at(name: str) -> str:
            return f"{path}.{name}" if path else name

        if kind == "Sequential":
            count: Counter[str] = Counter()
            for part in given["modules"]:
                label = part[0].lower()
                count[label] += 1
                x = self.forward(part, at(f"{label}{count[label]}"), x)
            return x
        if kind == "Residual":
            return x + self.forward(("Sequential", given), path, x)
        if kind == "Gated":
            left = self.forward(given["left"], at("left"), x)
            right = self.forward(given["right"], at("right"), x)
            return left * self.torch.sigmoid(right) * self.leaves[at("scale")]
        name, rank = re.fullmatch(r"(\w+?)([123]d)?", kind).groups()  # type: ignore[union-attr]  # it matches
        function = getattr(self, f"do_{name.lower()}", None)
        if function is None:  # nothing is learnt: PyTorch's own module of this name
            settings = {k: v for k, v in given.items() if k != "sizes"}
            return getattr(self.torch.nn, kind)(*given.get("sizes", ()), **settings)(x)
        return function(x, path, *[rank] * bool(rank), **given)

    def get(self, path: str, name: str) -> Any:
        return self.leaves.get(f"{path}.{name}" if path else name)

    def do_linear(self, x: Any, path: str, **_: Any) -> Any:
        return self.f.linear(x, self.get(path, "weight").T, self.get(path, "bias"))

    def do_conv(self, x: Any, path: str, rank: str, **given: Any) -> Any:
        kept = {k: given[k] for k in ("stride", "padding", "dilation", "groups")}
        function = getattr(self.f, f"conv{rank}")
        return function(x, self.get(path, "weight"), self.get(path, "bias"), **kept)

    def do_convtranspose(self, x: Any, path: str, rank: str, **given: Any) -> Any:
        names = ("stride", "padding", "output_padding", "dilation", "groups")
        kept = {k: given[k] for k in names}
        function = getattr(self.f, f"conv_transpose{rank}")
        return function(x, self.get(path, "weight"), self.get(path, "bias"), **kept)

    def do_globalavgpool(self, x: Any, path: str) -> Any:
        return x.flatten(2).mean(2)

    def do_globalmaxpool(self, x: Any, path: str) -> Any:
        return x.flatten(2).max(2).values

    def do_reshape(self, x: Any, path: str, sizes: Any) -> Any:
        return x.reshape(len(x), *sizes)

    def do_dropout(self, x: Any, path: str, sizes: tuple[float]) -> Any:
        if not self.training:
            return x
        (p,) = sizes
        self.step += 1
        draws = random.uniform(x.numel(), self.seed, path, self.step).reshape(tuple(x.shape))
        return x * self.torch.tensor((draws >= p) / (1 - p))

    def do_batchnorm(self, x: Any, path: str, rank: str, sizes: Any = (), eps: float = 1e-5) -> Any:
        return self.f.batch_norm(
            x,
            self.get(path, "running_mean"),
            self.get(path, "running_var"),
            self.get(path, "weight"),
            self.get(path, "bias"),
            training=self.training,
            eps=eps,
        )

    def do_instancenorm(
        self, x: Any, path: str, rank: str, sizes: Any = (), eps: float = 1e-5, **given: bool
    ) -> Any:
        return self.f.instance_norm(
            x,
            self.get(path, "running_mean"),
            self.get(path, "running_var"),
            self.get(path, "weight"),
            self.get(path, "bias"),
            use_input_stats=self.training or not given["track_running_stats"],
            eps=eps,
        )

    def do_groupnorm(self, x: Any, path: str, sizes: Any, eps: float = 1e-5) -> Any:
        weight, bias = self.get(path, "weight"), self.get(path, "bias")
        return self.f.group_norm(x, sizes[0], weight, bias, eps)

    def do_rmsnorm(self, x: Any, path: str, sizes: Any = (), eps: float | None = None) -> Any:
        weight = self.get(path, "weight")
        return self.f.rms_norm(x, tuple(weight.shape), weight, eps)

    def do_layernorm(self, x: Any, path: str, sizes: Any = (), eps: float = 1e-5) -> Any:
        weight = self.get(path, "weight")
        return self.f.layer_norm(x, tuple(weight.shape), weight, self.get(path, "bias"), eps)

    def do_embedding(self, x: Any, path: str, **_: Any) -> Any:
        return self.f.embedding(x, self.get(path, "weight"))

    def do_rnn(self, x: Any, path: str, **given: Any) -> Any:
        return self._recurrent(x, path, self.torch.nn.RNN, **given)

    def do_lstm(self, x: Any, path: str, **given: Any) -> Any:
        return self._recurrent(x, path, self.torch.nn.LSTM, **given)

    def do_gru(self, x: Any, path: str, **given: Any) -> Any:
        return self._recurrent(x, path, self.torch.nn.GRU, **given)

    def _recurrent(
        self, x: Any, path: str, kind: Any, sequences: bool, reverse: bool, **_: Any
    ) -> Any:
        weight, recurrent = self.get(path, "weight"), self.get(path, "recurrent")
        own = self.get(path, "recurrent_bias")
        sizes = (weight.shape[0], recurrent.shape[0])
        cell = kind(*sizes, batch_first=True, dtype=weight.dtype)
        second = self.torch.zeros_like(self.get(path, "bias"))
        if own is not None:
            second = self.torch.cat([second[len(own) :], own])
        given = {
            "weight_ih_l0": weight.T,
            "weight_hh_l0": recurrent.T,
            "bias_ih_l0": self.get(path, "bias"),
            "bias_hh_l0": second,
        }
        x = x.flip(1) if reverse else x
        states, _last = self.torch.func.functional_call(cell, given, (x,))
        if not sequences:
            return states[:, -1]
        return states.flip(1) if reverse else states

    def _dense(self, x: Any, path: str) -> Any:
        return x @ self.get(path, "weight") + self.get(path, "bias")

    def do_multiheadattention(
        self, x: Any, path: str, sizes: tuple[int, int], causal: bool, dropout: float
    ) -> Any:
        n, time, width = x.shape
        q, k, v = (
            self._dense(x, f"{path}.{part}").reshape(n, time, sizes[1], -1).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        scores = q @ k.transpose(-1, -2) / (width // sizes[1]) ** 0.5
        if causal:
            later = self.torch.ones(time, time, dtype=self.torch.bool).triu(1)
            scores = scores.masked_fill(later, -self.torch.inf)
        shares = scores.softmax(-1)
        if dropout:
            shares = self.do_dropout(shares, f"{path}.dropout", (dropout,))
        return self._dense((shares @ v).transpose(1, 2).reshape(n, time, width), f"{path}.out")

    def do_transformerencoderlayer(
        self, x: Any, path: str, sizes: tuple[int, int], hidden: int, norm_first: bool,
        activation: str, **given: Any,
    ) -> Any:  # fmt: skip
        p = given["dropout"]

        def dropped(y: Any, name: str) -> Any:
            return self.do_dropout(y, f"{path}.{name}", (p,)) if p else y

        def attend(y: Any) -> Any:
            return self.do_multiheadattention(y, f"{path}.attention", sizes, **given)

        def feed(y: Any) -> Any:
            inner = getattr(self.f, activation)(self._dense(y, f"{path}.linear1"))
            return self._dense(dropped(inner, "dropout"), f"{path}.linear2")

        for i, part in enumerate((attend, feed), 1):
            if norm_first:
                x = x + dropped(part(self.do_layernorm(x, f"{path}.norm{i}")), f"dropout{i}")
            else:
                x = self.do_layernorm(x + dropped(part(x), f"dropout{i}"), f"{path}.norm{i}")
        return x

    def do_hardsigmoid(self, x: Any, path: str) -> Any:
        return self.f.relu6(x + 3) / 6  # its own derivative has 1/6 in single precision

    def do_prelu(self, x: Any, path: str) -> Any:
        return self.f.prelu(x, self.get(path, "weight"))

    def do_softmin(self, x: Any, path: str, sizes: tuple[int] = (-1,)) -> Any:
        return self.torch.softmax(-x, sizes[0])

    def do_softmax(self, x: Any, path: str, sizes: tuple[int] = (-1,)) -> Any:
        return self.torch.softmax(x, sizes[0])

    def do_logsoftmax(self, x: Any, path: str, sizes: tuple[int] = (-1,)) -> Any:
        return self.torch.log_softmax(x, sizes[0])
