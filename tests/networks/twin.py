"""The network of a spec in PyTorch: its functions on the same numbers."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from glassgrad.tensors import random

from .specs import Spec


class Twin:
    """One pass through a network; dropout as `gg.seed(seed)` makes it, running statistics move.

    A module without a method here has nothing to learn and is PyTorch's module of that name.
    """

    def __init__(self, torch: Any, leaves: dict[str, Any], training: bool, seed: int) -> None:
        self.torch, self.f = torch, torch.nn.functional
        self.leaves, self.training, self.seed = leaves, training, seed
        self.step = 0

    def forward(self, spec: Spec, path: str, *inputs: Any) -> Any:
        kind, given = spec
        name, rank = re.fullmatch(r"(\w+?)([123]d)?", kind).groups()  # type: ignore[union-attr]
        do = getattr(self, f"do_{name.lower()}", None)
        if do is None:
            rest = {k: v for k, v in given.items() if k != "sizes"}
            return getattr(self.torch.nn, kind)(*given.get("sizes", ()), **rest)(*inputs)
        return do(*inputs, path=path, **({"rank": rank} if rank else {}), **given)

    def at(self, path: str, name: str) -> str:
        return f"{path}.{name}" if path else name

    def get(self, path: str, name: str) -> Any:
        return self.leaves.get(self.at(path, name))

    def inside(self, path: str, name: str, given: Any, *inputs: Any) -> Any:
        """A module that another one holds by this name."""
        return self.forward(given[name], self.at(path, name), *inputs)

    # -- modules of modules ------------------------------------------------------------------------

    def do_sequential(self, x: Any, path: str, modules: list[Spec]) -> Any:
        count: Counter[str] = Counter()
        for part in modules:
            label = part.kind.lower()
            count[label] += 1
            x = self.forward(part, self.at(path, f"{label}{count[label]}"), x)
        return x

    def do_residual(
        self, x: Any, path: str, modules: list[Spec], shortcut: Spec | None = None
    ) -> Any:
        short = x if shortcut is None else self.forward(shortcut, self.at(path, "shortcut"), x)
        return short + self.do_sequential(x, path, modules)

    def do_gated(self, x: Any, path: str, **given: Spec) -> Any:
        left, right = (self.inside(path, name, given, x) for name in ("left", "right"))
        return left * right.sigmoid() * self.get(path, "scale")

    def do_masked(self, tokens: Any, seen: Any, path: str, **given: Spec) -> Any:
        x = self.inside(path, "embedding", given, tokens)
        rest = (None, None) if given["layer"].kind == "MultiheadAttention" else ()
        x = self.inside(path, "layer", given, x, *rest, tokens == 0, seen == 0)
        return self.inside(path, "head", given, x)

    def do_translator(self, source: Any, target: Any, path: str, **given: Spec) -> Any:
        x = self.inside(path, "embedding", given, source)
        memory = self.inside(path, "encoder", given, x, source == 0)
        x = self.inside(path, "embedding", given, target)
        x = self.inside(path, "decoder", given, x, memory, target == 0, source == 0)
        return self.inside(path, "head", given, x)

    def do_reader(self, x: Any, memory: Any, path: str, **given: Spec) -> Any:
        x = self.inside(path, "attention", given, x, memory)
        return self.inside(path, "head", given, x)

    def do_siblings(self, *inputs: Any, path: str, **given: Spec) -> Any:
        return tuple([self.inside(path, "each", given, x) for x in inputs])

    def do_ways(self, a: Any, b: Any, path: str, heads: list[Spec], **given: Spec) -> Any:
        one, two = (
            self.inside(path, "shared", given, self.inside(path, name, given, x))
            for name, x in (("left", a), ("right", b))
        )
        joined = self.torch.cat([one * two, one - two], 1)
        return tuple(
            [self.forward(h, self.at(path, f"head{i}"), joined) for i, h in enumerate(heads, 1)]
        )

    # -- layers that learn -------------------------------------------------------------------------

    def do_linear(self, x: Any, path: str, **_: Any) -> Any:
        return self.f.linear(x, self.get(path, "weight").T, self.get(path, "bias"))

    def do_conv(
        self, x: Any, path: str, rank: str, sizes: Any, kernel_size: Any, **given: Any
    ) -> Any:
        given.pop("bias", None)
        function = getattr(self.f, f"conv{rank}")
        return function(x, self.get(path, "weight"), self.get(path, "bias"), **given)

    def do_convtranspose(
        self, x: Any, path: str, rank: str, sizes: Any, kernel_size: Any, bias: bool, **given: Any
    ) -> Any:
        function = getattr(self.f, f"conv_transpose{rank}")
        return function(x, self.get(path, "weight"), self.get(path, "bias"), **given)

    def do_embedding(self, x: Any, path: str, **_: Any) -> Any:
        return self.f.embedding(x, self.get(path, "weight"))

    def do_prelu(self, x: Any, path: str, **_: Any) -> Any:
        return self.f.prelu(x, self.get(path, "weight"))

    # -- norms -------------------------------------------------------------------------------------

    def do_batchnorm(
        self,
        x: Any,
        path: str,
        rank: str,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        **_: Any,
    ) -> Any:
        names = ("running_mean", "running_var", "weight", "bias")
        mean, var, weight, bias = (self.get(path, name) for name in names)
        count = self.get(path, "num_batches_tracked")
        if count is not None and self.training:
            count += 1
            momentum = 1 / float(count)
        training = self.training or mean is None
        return self.f.batch_norm(x, mean, var, weight, bias, training, momentum or 0.0, eps)

    def do_instancenorm(self, x: Any, path: str, rank: str, **_: Any) -> Any:
        names = ("running_mean", "running_var", "weight", "bias")
        state = [self.get(path, name) for name in names]
        return self.f.instance_norm(x, *state, self.training or state[0] is None)

    def do_groupnorm(self, x: Any, path: str, sizes: Any) -> Any:
        return self.f.group_norm(x, sizes[0], self.get(path, "weight"), self.get(path, "bias"))

    def do_layernorm(self, x: Any, path: str, sizes: Any = (), eps: float = 1e-5, **_: Any) -> Any:
        weight, bias = self.get(path, "weight"), self.get(path, "bias")
        return self.f.layer_norm(x, self.axes(weight, sizes), weight, bias, eps)

    def do_rmsnorm(
        self, x: Any, path: str, sizes: Any = (), eps: float | None = None, **_: Any
    ) -> Any:
        weight = self.get(path, "weight")
        return self.f.rms_norm(x, self.axes(weight, sizes), weight, eps)

    def axes(self, weight: Any, sizes: Any) -> tuple[int, ...]:
        return sizes[0] if weight is None else tuple(weight.shape)  # type: ignore[no-any-return]

    # -- what PyTorch has not, or not in this way --------------------------------------------------

    def do_dropout(self, x: Any, path: str, sizes: tuple[float]) -> Any:
        (p,) = sizes
        if not self.training or not p:
            return x
        self.step += 1
        draws = random.uniform(x.numel(), self.seed, path, self.step).reshape(tuple(x.shape))
        return x * self.torch.tensor((draws >= p) / (1 - p))

    def do_reshape(self, x: Any, path: str, sizes: tuple[int, ...]) -> Any:
        return x.reshape(len(x), *sizes)

    def do_globalavgpool(self, x: Any, path: str) -> Any:
        return x.flatten(2).mean(2)

    def do_globalmaxpool(self, x: Any, path: str) -> Any:
        return x.flatten(2).max(2).values

    def do_hardsigmoid(self, x: Any, path: str) -> Any:
        return self.f.relu6(x + 3) / 6  # its own derivative has 1/6 in single precision

    def do_glu(self, x: Any, path: str, sizes: tuple[int] = (-1,)) -> Any:
        return self.f.glu(x, *sizes)

    def do_softmin(self, x: Any, path: str, sizes: tuple[int] = (-1,)) -> Any:
        return (-x).softmax(*sizes)

    def do_softmax(self, x: Any, path: str, sizes: tuple[int] = (-1,)) -> Any:
        return x.softmax(*sizes)

    def do_logsoftmax(self, x: Any, path: str, sizes: tuple[int] = (-1,)) -> Any:
        return x.log_softmax(*sizes)

    # -- recurrent layers --------------------------------------------------------------------------

    def do_rnn(self, x: Any, *state: Any, path: str, **given: Any) -> Any:
        return self.recurrent(self.torch.nn.RNN, x, *state, path=path, **given)

    def do_lstm(self, x: Any, *state: Any, path: str, **given: Any) -> Any:
        return self.recurrent(self.torch.nn.LSTM, x, *state, path=path, **given)

    def do_gru(self, x: Any, *state: Any, path: str, **given: Any) -> Any:
        return self.recurrent(self.torch.nn.GRU, x, *state, path=path, **given)

    def recurrent(
        self, kind: Any, x: Any, *state: Any, path: str, sequences: bool, reverse: bool = False,
        return_state: bool = False, sizes: Any = (), **given: Any,
    ) -> Any:  # fmt: skip
        weight, recurrent = self.get(path, "weight"), self.get(path, "recurrent")
        own = self.get(path, "recurrent_bias")
        shape = (weight.shape[0], recurrent.shape[0])
        cell = kind(*shape, batch_first=True, dtype=weight.dtype, **given)
        second = self.torch.zeros_like(self.get(path, "bias"))
        if own is not None:
            second = self.torch.cat([second[len(own) :], own])
        leaves = {
            "weight_ih_l0": weight.T,
            "weight_hh_l0": recurrent.T,
            "bias_ih_l0": self.get(path, "bias"),
            "bias_hh_l0": second,
        }
        start = tuple([s[None] for s in state])
        inputs = (
            x.flip(1) if reverse else x,
            *[start if len(start) == 2 else s for s in start[:1]],
        )
        states, last = self.torch.func.functional_call(cell, leaves, inputs)
        found = (states.flip(1) if reverse else states) if sequences else states[:, -1]
        ends = [s[0] for s in (last if isinstance(last, tuple) else (last,))]
        return (found, *ends) if return_state else found

    def do_handed(self, x: Any, path: str, **given: Spec) -> Any:
        _, *state = self.inside(path, "first", given, x)
        return self.inside(path, "second", given, x, *state)

    def do_bidirectional(self, x: Any, path: str, of: Spec) -> Any:
        sides = [("forwards", False), ("backwards", True)]
        found = [
            self.forward(Spec(of.kind, {**of.given, "reverse": back}), self.at(path, name), x)
            for name, back in sides
        ]
        return self.torch.cat(found, -1)

    # -- attention ---------------------------------------------------------------------------------

    def dense(self, x: Any, path: str) -> Any:
        return self.do_linear(x, path)

    def do_multiheadattention(
        self, x: Any, key: Any = None, value: Any = None, padding: Any = None, unseen: Any = None,
        *, path: str, sizes: tuple[int, int], causal: bool, dropout: float, **_: Any,
    ) -> Any:  # fmt: skip
        key = x if key is None else key
        q, k, v = (
            self.dense(a, f"{path}.{part}").unflatten(2, (sizes[1], -1)).transpose(1, 2)
            for a, part in ((x, "query"), (key, "key"), (key if value is None else value, "value"))
        )
        hidden = self.torch.zeros(1, 1, x.shape[1], key.shape[1], dtype=self.torch.bool)
        if causal:
            hidden = hidden | self.torch.ones(hidden.shape[2:], dtype=self.torch.bool).triu(1)
        if padding is not None:
            hidden = hidden | padding[:, None, None]
        if unseen is not None:
            hidden = hidden | unseen
        if dropout and self.training:
            scores = q @ k.mT / q.shape[-1] ** 0.5
            shares = scores.masked_fill(hidden, -self.torch.inf).softmax(-1)
            mixed = self.do_dropout(shares, f"{path}.dropout", (dropout,)) @ v
        else:
            mixed = self.f.scaled_dot_product_attention(q, k, v, ~hidden)
        return self.dense(mixed.transpose(1, 2).flatten(2), f"{path}.out")

    def layer(self, x: Any, parts: list[Any], path: str, norm_first: bool, dropout: float) -> Any:
        """Sublayers, each with a way around it, a norm and a dropout of its own."""
        for i, part in enumerate(parts, 1):

            def normed(y: Any, i: int = i) -> Any:
                return self.do_layernorm(y, f"{path}.norm{i}")

            made = part(normed(x) if norm_first else x)
            x = x + self.do_dropout(made, f"{path}.dropout{i}", (dropout,))
            x = x if norm_first else normed(x)
        return x

    def feed(self, path: str, activation: str, dropout: float) -> Any:
        def run(y: Any) -> Any:
            inner = getattr(self.f, activation)(self.dense(y, f"{path}.linear1"))
            inner = self.do_dropout(inner, f"{path}.dropout", (dropout,))
            return self.dense(inner, f"{path}.linear2")

        return run

    def do_transformerencoderlayer(
        self, x: Any, padding: Any = None, unseen: Any = None, *, path: str, norm_first: bool,
        activation: str, hidden: int = 0, **given: Any,
    ) -> Any:  # fmt: skip
        def attend(y: Any) -> Any:
            masks = (padding, unseen)
            return self.do_multiheadattention(
                y, None, None, *masks, path=f"{path}.attention", **given
            )

        parts = [attend, self.feed(path, activation, given["dropout"])]
        return self.layer(x, parts, path, norm_first, given["dropout"])

    def do_transformerdecoderlayer(
        self, x: Any, memory: Any, padding: Any = None, of_memory: Any = None, *, path: str,
        norm_first: bool, activation: str, hidden: int = 0, **given: Any,
    ) -> Any:  # fmt: skip
        def attend(y: Any) -> Any:
            return self.do_multiheadattention(
                y, None, None, padding, path=f"{path}.attention", **given
            )

        def read(y: Any) -> Any:
            settings = {**given, "causal": False}
            return self.do_multiheadattention(
                y, memory, memory, of_memory, path=f"{path}.cross_attention", **settings
            )

        parts = [attend, read, self.feed(path, activation, given["dropout"])]
        return self.layer(x, parts, path, norm_first, given["dropout"])

    def stack(self, x: Any, *context: Any, path: str, modules: list[Spec], **given: Spec) -> Any:
        for i, part in enumerate(modules, 1):
            x = self.forward(part, self.at(path, f"layer{i}"), x, *context)
        return self.inside(path, "norm", given, x) if given else x

    do_transformerencoder = do_transformerdecoder = stack

    def do_positionalencoding(self, x: Any, path: str) -> Any:
        time, width = x.shape[1:]
        t = self.torch.arange(time, dtype=x.dtype)[:, None]
        rates = 10000.0 ** (-self.torch.arange(0, width, 2, dtype=x.dtype) / width)
        waves = self.torch.stack([(t * rates).sin(), (t * rates).cos()], 2)
        return x + waves.flatten(1)

    def do_learnedpositions(self, x: Any, path: str, sizes: Any) -> Any:
        return x + self.get(path, "weight")[: x.shape[1]]

    # -- language ----------------------------------------------------------------------------------

    def do_gpt(self, x: Any, path: str, sizes: Any, width: int, **given: Any) -> Any:
        x = self.do_embedding(x, self.at(path, "embedding"))
        x = self.do_learnedpositions(x, self.at(path, "positions"), ())
        x = self.do_dropout(x, self.at(path, "dropout"), (given["dropout"],))
        for i in range(given["layers"]):
            x = self.do_transformerencoderlayer(
                x, path=self.at(path, f"block{i + 1}"), norm_first=True, activation="gelu",
                sizes=(width, given["heads"]), causal=True, dropout=given["dropout"],
            )  # fmt: skip
        x = self.do_layernorm(x, self.at(path, "norm"))
        return self.dense(x, self.at(path, "head")).mT

    def do_charlstm(
        self, x: Any, path: str, sizes: Any, width: int, layers: int, dropout: float
    ) -> Any:
        x = self.do_embedding(x, self.at(path, "embedding"))
        for i in range(layers):
            x = self.do_lstm(x, path=self.at(path, f"lstm{i + 1}"), sequences=True)
        x = self.do_dropout(x, self.at(path, "dropout"), (dropout,))
        return self.dense(x, self.at(path, "head")).mT
