"""Random networks over all modules, each with the same network in PyTorch.

    network = random_network(7)
    loss = network.loss_of(network.model(gg.tensor(network.x)), network.target())
    twin = network.torch_loss(torch, network.torch_leaves(torch))

A network is a function of its seed alone. What it is made of is data (`spec`), from which both
models are built; `kinds` counts its modules.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad import nn
from glassgrad.nn import losses
from glassgrad.tensors import random

Spec: TypeAlias = "tuple[str, dict[str, Any]]"  # a module's class and settings

ACTIVATIONS = tuple(
    """ReLU LeakyReLU ELU GELU SiLU Sigmoid Tanh Softplus ReLU6 SELU CELU Hardtanh Hardsigmoid
    Hardswish Softsign Mish LogSigmoid Tanhshrink Hardshrink Softshrink Threshold PReLU""".split()
)
SHARES = ("Softmax", "LogSoftmax", "Softmin")
MODULES = (
    *ACTIVATIONS,
    *("Linear", "Conv1d", "Conv2d", "MaxPool2d", "AvgPool2d", "Flatten", "Dropout"),
    *("BatchNorm1d", "BatchNorm2d", "LayerNorm", "Embedding", "RNN", "GLU", *SHARES),
    *("Sequential", "Residual", "Gated"),
)

WITH_PARAMETERS = frozenset(
    "Linear Conv1d Conv2d BatchNorm1d BatchNorm2d LayerNorm Embedding RNN PReLU".split()
)


class Residual(nn.Module):
    """A user's own module: what comes in, plus what is made of it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return x + self.inner(x)


class Gated(nn.Module):
    """A user's own module with a parameter of its own and two branches."""

    def __init__(self, left: nn.Module, right: nn.Module) -> None:
        super().__init__()
        self.left, self.right = left, right
        self.scale = gg.Parameter(np.float64(0.7))

    def forward(self, x: Any) -> Any:
        return self.left(x) * nn.sigmoid(self.right(x)) * self.scale


def built(spec: Spec, dtype: str) -> nn.Module:
    """The module of a spec."""
    kind, given = spec
    if kind == "Sequential":
        return nn.Sequential(*[built(s, dtype) for s in given["modules"]])
    if kind == "Residual":
        return Residual(built(given["inner"], dtype))
    if kind == "Gated":
        module = Gated(built(given["left"], dtype), built(given["right"], dtype))
        module.scale = gg.Parameter(np.array(0.7, dtype))
        return module
    settings = {k: v for k, v in given.items() if k != "sizes"}
    made = getattr(nn, kind)
    if kind in WITH_PARAMETERS:
        settings["dtype"] = dtype
    module_: nn.Module = made(*given.get("sizes", ()), **settings)
    return module_


def kinds_of(spec: Spec) -> Counter[str]:
    """How often each module occurs."""
    kind, given = spec
    found = Counter([kind])
    inner = [
        *given.get("modules", ()),
        *[given[k] for k in ("inner", "left", "right") if k in given],
    ]
    for part in inner:
        found += kinds_of(part)
    return found


# -- drawing -----------------------------------------------------------------------------------


class _Draw:
    """Draws a spec and keeps track of the shape of what flows through it."""

    def __init__(self, rng: np.random.Generator, lazy: bool) -> None:
        self.rng = rng
        self.lazy = lazy  # input sizes left open, for the first input to settle

    def one(self, *choices: Any) -> Any:
        return choices[self.rng.integers(len(choices))]

    def often(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def sizes(self, inputs: int, *rest: int) -> tuple[int, ...]:
        return rest if self.lazy else (inputs, *rest)

    def activation(self) -> Spec:
        kind = ACTIVATIONS[self.rng.integers(len(ACTIVATIONS))]
        if kind == "LeakyReLU":
            return kind, {"sizes": (float(self.one(0.01, 0.2)),)}
        if kind == "ELU":
            return kind, {"sizes": (float(self.one(1.0, 0.5)),)}
        numbers = {"CELU": (0.5,), "Hardtanh": (-0.5, 1.5), "Threshold": (0.1, -0.3)}
        return kind, {"sizes": numbers[kind]} if kind in numbers else {}

    def linear(self, inputs: int, out: int) -> Spec:
        return "Linear", {"sizes": self.sizes(inputs, out), "bias": self.often(0.85)}

    def dropout(self) -> Spec:
        return "Dropout", {"sizes": (float(self.one(0.1, 0.3, 0.5)),)}

    def norm(self, kind: str, features: int) -> Spec:
        given: dict[str, Any] = {"sizes": () if self.lazy else (features,)}
        if self.often(0.3):
            given["eps"] = 1e-3
        return kind, given

    def norm_after(self, modules: list[Spec], kind: str, features: int) -> None:
        """A norm. Batch norm takes a bias before it away again: that one's gradient is exactly
        0, and what any library reports is its own rounding, which cannot be compared."""
        if kind.startswith("BatchNorm"):
            modules[-1] = (modules[-1][0], {**modules[-1][1], "bias": False})
        modules.append(self.norm(kind, features))

    def rows(self, width: int, out: int) -> list[Spec]:
        modules: list[Spec] = []
        for _ in range(int(self.rng.integers(1, 4))):
            wide = int(self.rng.integers(3, 9))
            modules.append(self.linear(width, wide))
            width = wide
            if self.often(0.4):
                self.norm_after(modules, self.one("BatchNorm1d", "LayerNorm"), width)
            modules.append(self.activation())
            if self.often(0.35):
                modules.append(self.dropout())
            if self.often(0.3):
                inner = [self.linear(width, width), self.activation()]
                modules.append(("Residual", {"inner": ("Sequential", {"modules": inner})}))
            if self.often(0.3):
                modules.append((self.one(*SHARES), {}))
            if self.often(0.2):
                modules += [self.linear(width, 2 * width), ("GLU", {})]
            if self.often(0.2):
                gate = {"left": self.linear(width, width), "right": self.linear(width, width)}
                modules.append(("Gated", gate))
        return [*modules, self.linear(width, out)]

    def images(self, shape: tuple[int, ...], out: int) -> list[Spec]:
        """For images and signals: `shape` is (channels, *size)."""
        rank = len(shape) - 1
        modules: list[Spec] = []
        for _ in range(int(self.rng.integers(1, 4))):
            shape = self.convolution(modules, shape, rank)
            if self.often(0.45):
                self.norm_after(modules, f"BatchNorm{rank}d", shape[0])
            modules.append(self.activation())
            if rank == 2 and min(shape[1:]) >= 3 and self.often(0.7):
                shape = self.pool(modules, shape)
            if self.often(0.2):
                modules.append(self.dropout())
            if shape[-1] >= 3 and self.often(0.25):
                modules.append(self.norm("LayerNorm", shape[-1]))
        return [*modules, ("Flatten", {}), self.linear(int(np.prod(shape)), out)]

    def convolution(
        self, modules: list[Spec], shape: tuple[int, ...], rank: int
    ) -> tuple[int, ...]:
        channels, *size = shape
        groups = self.one(1, 1, channels)
        out = groups * int(self.rng.integers(1, 4)) if groups > 1 else int(self.rng.integers(2, 5))
        kernel = tuple(int(self.rng.integers(1, min(s, 3) + 1)) for s in size)
        stride = tuple(int(self.one(1, 1, 2)) for _ in size)
        padding = tuple(int(self.rng.integers(0, 2)) for _ in size)
        dilation = tuple(
            int(self.one(1, 1, 2)) if 2 * (k - 1) < s else 1
            for k, s in zip(kernel, size, strict=True)
        )
        given = {
            "sizes": self.sizes(channels, out),
            "kernel_size": kernel,
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "groups": int(groups),
            "bias": self.often(0.8),
        }
        modules.append((f"Conv{rank}d", given))
        after = [
            (s + 2 * p - d * (k - 1) - 1) // t + 1
            for s, p, d, k, t in zip(size, padding, dilation, kernel, stride, strict=True)
        ]
        return (out, *after)

    def pool(self, modules: list[Spec], shape: tuple[int, ...]) -> tuple[int, ...]:
        channels, *size = shape
        kernel = int(self.one(2, 3))
        stride = int(self.one(kernel, kernel, 1, 2))
        padding = int(self.one(0, 0, 1))
        kind = self.one("MaxPool2d", "AvgPool2d")
        modules.append((kind, {"sizes": (kernel,), "stride": stride, "padding": padding}))
        return (channels, *[(s + 2 * padding - kernel) // stride + 1 for s in size])

    def sequences(self, width: int, time: int, out: int) -> list[Spec]:
        modules: list[Spec] = []
        if self.often(0.4):
            modules.append(self.norm("LayerNorm", width))
        if self.often(0.3):
            wide = int(self.rng.integers(2, 6))
            modules += [self.linear(width, wide), self.activation()]
            width = wide
        if self.often(0.8):
            for deeper in range(int(self.rng.integers(0, 2)), -1, -1):
                wide = int(self.rng.integers(2, 7))
                last = deeper == 0 and self.often(0.7)
                modules.append(("RNN", {"sizes": self.sizes(width, wide), "sequences": not last}))
                width = wide
                if last:
                    return [*modules, self.linear(width, out)]
        if self.often(0.3):
            modules.append(self.dropout())
        return [*modules, ("Flatten", {}), self.linear(width * time, out)]


# -- a network ---------------------------------------------------------------------------------


@dataclass
class Network:
    """A model with data, and what PyTorch needs to be the same."""

    seed: int
    spec: Spec
    model: nn.Module
    x: NDArray[Any]
    y: NDArray[Any]
    loss: str
    training: bool
    family: str
    kinds: Counter[str] = field(default_factory=Counter)

    def target(self) -> gg.Tensor:
        """The target as a tensor."""
        return gg.tensor(self.y)

    def loss_of(self, prediction: Any, target: Any) -> Any:
        """The loss in glassgrad."""
        return losses.find(self.loss)[1](prediction, target)

    def torch_leaves(self, torch: Any) -> dict[str, Any]:
        """The parameters and buffers as PyTorch tensors; parameters require gradients."""
        learnt = {p.name for p in self.model.parameters()}
        return {
            name: torch.tensor(value, requires_grad=name in learnt)
            for name, value in self.model.state_dict().items()
        }

    def torch_loss(self, torch: Any, leaves: dict[str, Any], seed: int = 0) -> Any:
        """The loss in PyTorch; dropout as `gg.seed(seed)` makes it. Running statistics move."""
        twin = _Twin(torch, leaves, self.training, seed)
        z = twin.forward(self.spec, "", torch.tensor(self.x))
        y = torch.tensor(self.y)
        f = torch.nn.functional
        if self.loss == "mse":
            return f.mse_loss(z, y)
        if self.loss == "bce":
            return f.binary_cross_entropy(z, y)
        if self.loss == "bce_logits":
            return f.binary_cross_entropy_with_logits(z, y)
        return f.cross_entropy(z, y)


class _Twin:
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
            return x + self.forward(given["inner"], at("inner"), x)
        if kind == "Gated":
            left = self.forward(given["left"], at("left"), x)
            right = self.forward(given["right"], at("right"), x)
            return left * self.torch.sigmoid(right) * self.leaves[at("scale")]
        return getattr(self, f"do_{kind.lower()}")(x, path, **given)

    def get(self, path: str, name: str) -> Any:
        return self.leaves.get(f"{path}.{name}" if path else name)

    def do_linear(self, x: Any, path: str, **_: Any) -> Any:
        return self.f.linear(x, self.get(path, "weight").T, self.get(path, "bias"))

    def _conv(self, x: Any, path: str, function: Any, given: dict[str, Any]) -> Any:
        kept = {k: given[k] for k in ("stride", "padding", "dilation", "groups")}
        return function(x, self.get(path, "weight"), self.get(path, "bias"), **kept)

    def do_conv1d(self, x: Any, path: str, **given: Any) -> Any:
        return self._conv(x, path, self.f.conv1d, given)

    def do_conv2d(self, x: Any, path: str, **given: Any) -> Any:
        return self._conv(x, path, self.f.conv2d, given)

    def do_maxpool2d(self, x: Any, path: str, sizes: Any, stride: int, padding: int) -> Any:
        return self.f.max_pool2d(x, sizes[0], stride, padding)

    def do_avgpool2d(self, x: Any, path: str, sizes: Any, stride: int, padding: int) -> Any:
        return self.f.avg_pool2d(x, sizes[0], stride, padding)

    def do_flatten(self, x: Any, path: str) -> Any:
        return self.torch.flatten(x, 1)

    def do_dropout(self, x: Any, path: str, sizes: tuple[float]) -> Any:
        if not self.training:
            return x
        (p,) = sizes
        self.step += 1
        draws = random.uniform(x.numel(), self.seed, path, self.step).reshape(tuple(x.shape))
        return x * self.torch.tensor((draws >= p) / (1 - p))

    def _batch_norm(self, x: Any, path: str, eps: float = 1e-5) -> Any:
        return self.f.batch_norm(
            x,
            self.get(path, "running_mean"),
            self.get(path, "running_var"),
            self.get(path, "weight"),
            self.get(path, "bias"),
            training=self.training,
            eps=eps,
        )

    def do_batchnorm1d(self, x: Any, path: str, sizes: Any = (), **given: Any) -> Any:
        return self._batch_norm(x, path, **given)

    def do_batchnorm2d(self, x: Any, path: str, sizes: Any = (), **given: Any) -> Any:
        return self._batch_norm(x, path, **given)

    def do_layernorm(self, x: Any, path: str, sizes: Any = (), eps: float = 1e-5) -> Any:
        weight = self.get(path, "weight")
        return self.f.layer_norm(x, tuple(weight.shape), weight, self.get(path, "bias"), eps)

    def do_embedding(self, x: Any, path: str, **_: Any) -> Any:
        return self.f.embedding(x, self.get(path, "weight"))

    def do_rnn(self, x: Any, path: str, sequences: bool, **_: Any) -> Any:
        weight, recurrent = self.get(path, "weight"), self.get(path, "recurrent")
        cell = self.torch.nn.RNN(*weight.shape, batch_first=True, dtype=weight.dtype)
        given = {
            "weight_ih_l0": weight.T,
            "weight_hh_l0": recurrent.T,
            "bias_ih_l0": self.get(path, "bias"),
            "bias_hh_l0": self.torch.zeros_like(self.get(path, "bias")),
        }
        states, _last = self.torch.func.functional_call(cell, given, (x,))
        return states if sequences else states[:, -1]

    def do_relu(self, x: Any, path: str) -> Any:
        return self.f.relu(x)

    def do_leakyrelu(self, x: Any, path: str, sizes: tuple[float]) -> Any:
        return self.f.leaky_relu(x, sizes[0])

    def do_elu(self, x: Any, path: str, sizes: tuple[float]) -> Any:
        return self.f.elu(x, sizes[0])

    def do_gelu(self, x: Any, path: str) -> Any:
        return self.f.gelu(x)

    def do_silu(self, x: Any, path: str) -> Any:
        return self.f.silu(x)

    def do_sigmoid(self, x: Any, path: str) -> Any:
        return self.torch.sigmoid(x)

    def do_tanh(self, x: Any, path: str) -> Any:
        return self.torch.tanh(x)

    def do_softplus(self, x: Any, path: str) -> Any:
        return self.f.softplus(x)

    def do_relu6(self, x: Any, path: str) -> Any:
        return self.f.relu6(x)

    def do_selu(self, x: Any, path: str) -> Any:
        return self.f.selu(x)

    def do_celu(self, x: Any, path: str, sizes: tuple[float]) -> Any:
        return self.f.celu(x, *sizes)

    def do_hardtanh(self, x: Any, path: str, sizes: tuple[float, float]) -> Any:
        return self.f.hardtanh(x, *sizes)

    def do_hardsigmoid(self, x: Any, path: str) -> Any:
        return self.f.relu6(x + 3) / 6  # its own derivative has 1/6 in single precision

    def do_hardswish(self, x: Any, path: str) -> Any:
        return self.f.hardswish(x)

    def do_softsign(self, x: Any, path: str) -> Any:
        return self.f.softsign(x)

    def do_mish(self, x: Any, path: str) -> Any:
        return self.f.mish(x)

    def do_logsigmoid(self, x: Any, path: str) -> Any:
        return self.f.logsigmoid(x)

    def do_tanhshrink(self, x: Any, path: str) -> Any:
        return self.f.tanhshrink(x)

    def do_hardshrink(self, x: Any, path: str) -> Any:
        return self.f.hardshrink(x)

    def do_softshrink(self, x: Any, path: str) -> Any:
        return self.f.softshrink(x)

    def do_threshold(self, x: Any, path: str, sizes: tuple[float, float]) -> Any:
        return self.f.threshold(x, *sizes)

    def do_prelu(self, x: Any, path: str) -> Any:
        return self.f.prelu(x, self.get(path, "weight"))

    def do_glu(self, x: Any, path: str) -> Any:
        return self.f.glu(x)

    def do_softmin(self, x: Any, path: str, sizes: tuple[int] = (-1,)) -> Any:
        return self.torch.softmax(-x, sizes[0])

    def do_softmax(self, x: Any, path: str, sizes: tuple[int] = (-1,)) -> Any:
        return self.torch.softmax(x, sizes[0])

    def do_logsoftmax(self, x: Any, path: str, sizes: tuple[int] = (-1,)) -> Any:
        return self.torch.log_softmax(x, sizes[0])


FAMILIES = ("rows", "images", "signals", "sequences", "dense images")


def random_network(
    seed: int, *, rows: int | None = None, containing: tuple[str, ...] = (), dtype: str = "float64"
) -> Network:
    """The network of a seed, with `rows` rows of data; at least one of each module wanted.

    Its parameters are drawn, biases and scales moved away from 0 and 1. In evaluation mode (one
    network in four) running statistics are random, too.
    """
    attempt = 0
    while True:
        rng = np.random.default_rng([seed, attempt])
        spec, x, y, loss, family = _drawn(rng, rows)
        kinds = kinds_of(spec)
        if all(kinds[kind] for kind in containing):
            break
        attempt += 1
    model = built(spec, dtype)
    x = x.astype(dtype) if x.dtype == np.float64 else x
    y = y.astype(dtype) if y.dtype == np.float64 else y
    gg.seed(seed)
    with gg.no_grad():
        model.eval()(gg.tensor(x[:2]))
    training = bool(rng.random() < 0.75)
    model.train(training)
    for p in [*model.parameters(), *model.buffers()]:
        values = p.numpy()
        if p.name.endswith("running_var"):
            p.assign(rng.uniform(0.5, 2.0, values.shape).astype(dtype))
        elif values.ndim < 2:
            p.assign((values + rng.normal(0, 0.2, values.shape)).astype(dtype))
    return Network(seed, spec, model, x, y, loss, training, family, kinds)


def _drawn(
    rng: np.random.Generator, rows: int | None
) -> tuple[Spec, NDArray[Any], NDArray[Any], str, str]:
    draw = _Draw(rng, lazy=bool(rng.random() < 0.4))
    n = rows or int(rng.integers(8, 13))
    family = FAMILIES[rng.integers(len(FAMILIES))]
    out = int(rng.integers(2, 5))
    x: NDArray[Any]
    if family == "rows":
        width = int(rng.integers(2, 7))
        x = rng.normal(0, 1, (n, width))
        modules = draw.rows(width, out)
    elif family in ("images", "dense images"):
        shape = (int(rng.integers(1, 4)), *[int(s) for s in rng.integers(5, 9, 2)])
        x = rng.normal(0, 1, (n, *shape))
        modules = draw.images(shape, out)
        if family == "dense images":  # a class for each pixel: no dense layer at the end
            modules = [m for m in modules[:-2] if m[0] != "LayerNorm"]
            channels = [int(m[1]["sizes"][-1]) for m in modules if m[0] == "Conv2d"][-1]
            given = {"sizes": draw.sizes(channels, out), "kernel_size": 1, "stride": 1}
            modules.append(("Conv2d", {**given, "padding": 0, "dilation": 1, "groups": 1}))
    elif family == "signals":
        shape = (int(rng.integers(1, 4)), int(rng.integers(6, 13)))
        x = rng.normal(0, 1, (n, *shape))
        modules = draw.images(shape, out)
    else:
        tokens, features, time = (int(rng.integers(*r)) for r in ((4, 9), (2, 6), (2, 7)))
        x = rng.integers(0, tokens, (n, time))
        modules = [("Embedding", {"sizes": (tokens, features)})]
        modules += draw.sequences(features, time, out)
    loss = str(draw.one("mse", "bce", "bce_logits", "cross_entropy", "cross_entropy", "shares"))
    if loss == "bce":
        modules.append(("Sigmoid", {}))
    elif loss == "mse" and draw.often(0.8):
        # Over the classes: over the width of an image, what a bias adds would change nothing.
        over = {"sizes": (1,)} if family == "dense images" else {}
        modules.append((draw.one(*SHARES), over))
    spec: Spec = ("Sequential", {"modules": modules})
    probe = built(spec, "float64").eval()
    with gg.no_grad():
        shape_out = tuple(int(s) for s in probe(gg.tensor(x)).shape)
    y: NDArray[Any]
    if loss == "mse":
        y = rng.normal(0, 1, shape_out)
    elif loss in ("bce", "bce_logits"):
        y = rng.uniform(0, 1, shape_out)
    elif loss == "cross_entropy":
        y = rng.integers(0, shape_out[1], (shape_out[0], *shape_out[2:]))
    else:
        y = rng.dirichlet(np.ones(shape_out[1]), (shape_out[0], *shape_out[2:]))
        y = np.ascontiguousarray(np.moveaxis(y, -1, 1))
    return spec, x, y, "cross_entropy" if loss == "shares" else loss, family
