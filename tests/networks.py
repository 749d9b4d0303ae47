"""Random networks over all modules, each with the same network in PyTorch.

    network = random_network(7)
    loss = network.loss_of(network.model(gg.tensor(network.x)), network.target())
    twin = network.torch_loss(torch, network.torch_leaves(torch))

A network is a function of its seed alone. What it is made of is data (`spec`), from which both
models are built; `kinds` counts its modules.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad import nn
from tests.network_twin import Spec, Twin

ACTIVATIONS = tuple(
    """ReLU LeakyReLU ELU GELU SiLU Sigmoid Tanh Softplus ReLU6 SELU CELU Hardtanh Hardsigmoid
    Hardswish Softsign Mish LogSigmoid Tanhshrink Hardshrink Softshrink Threshold PReLU""".split()
)
SHARES = ("Softmax", "LogSoftmax", "Softmin")
PADS = ("Zero", "Constant", "Reflection", "Replication", "Circular")
POOLS = ("Max", "Avg", "AdaptiveAvg", "AdaptiveMax")
MODULES = (
    *ACTIVATIONS,
    *("Linear", "Flatten", "Dropout", "Embedding", "RNN", "GLU", *SHARES),
    *[f"{kind}{rank}d" for kind in ("Conv", "ConvTranspose") for rank in (1, 2, 3)],
    *[f"{kind}Pool{rank}d" for kind in POOLS for rank in (1, 2, 3)],
    *[f"{kind}Pad{rank}d" for kind in PADS for rank in (1, 2, 3)],
    *("Upsample", "PixelShuffle", "PixelUnshuffle", "Unflatten", "Reshape", "Identity"),
    *("GlobalAvgPool", "GlobalMaxPool", "LayerNorm", "GroupNorm", "RMSNorm", "LocalResponseNorm"),
    *[f"{kind}Norm{rank}d" for kind in ("Batch", "Instance") for rank in (1, 2, 3)],
    *("LSTM", "GRU", "MultiheadAttention", "TransformerEncoderLayer"),
    *("Sequential", "Residual", "Gated"),
)
# A loss with its settings, and what PyTorch calls it; the settings have the same names there.
LOSSES: dict[str, tuple[Any, str]] = {
    "mse": (nn.MSELoss(), "mse_loss"),
    "mae": (nn.L1Loss(), "l1_loss"),
    "huber": (nn.HuberLoss(delta=0.5), "huber_loss"),
    "smooth_l1": (nn.SmoothL1Loss(beta=0.5, reduction="sum"), "smooth_l1_loss"),
    "poisson_nll": (nn.PoissonNLLLoss(full=True), "poisson_nll_loss"),
    "bce": (nn.BCELoss(), "binary_cross_entropy"),
    "bce_logits": (nn.BCEWithLogitsLoss(), "binary_cross_entropy_with_logits"),
    "cross_entropy": (nn.CrossEntropyLoss(), "cross_entropy"),
    "smoothed": (nn.CrossEntropyLoss(label_smoothing=0.1), "cross_entropy"),
    "ignoring": (nn.CrossEntropyLoss(ignore_index=0), "cross_entropy"),
    "shares": (nn.CrossEntropyLoss(), "cross_entropy"),
    "nll": (nn.NLLLoss(), "nll_loss"),
    "kl_div": (nn.KLDivLoss(reduction="batchmean"), "kl_div"),
    "soft_margin": (nn.SoftMarginLoss(), "soft_margin_loss"),
    "multi_margin": (nn.MultiMarginLoss(p=2), "multi_margin_loss"),
}

WITH_PARAMETERS = re.compile(
    r"Linear|Conv.*|(Batch|Instance)Norm.*|(Layer|Group|RMS)Norm|Embedding|RNN|LSTM|GRU|PReLU"
    r"|MultiheadAttention|TransformerEncoderLayer"
)


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
        return nn.Residual(*[built(s, dtype) for s in given["modules"]])
    if kind == "Gated":
        module = Gated(built(given["left"], dtype), built(given["right"], dtype))
        module.scale = gg.Parameter(np.array(0.7, dtype))
        return module
    settings = {k: v for k, v in given.items() if k != "sizes"}
    made = getattr(nn, kind)
    if WITH_PARAMETERS.fullmatch(kind):
        settings["dtype"] = dtype
    module_: nn.Module = made(*given.get("sizes", ()), **settings)
    return module_


def kinds_of(spec: Spec) -> Counter[str]:
    """How often each module occurs."""
    kind, given = spec
    found = Counter([kind])
    if given.get("dropout"):  # the dropouts that a layer holds
        found["Dropout"] += 4 if kind == "TransformerEncoderLayer" else 1
    inner = [
        *given.get("modules", ()),
        *[given[k] for k in ("left", "right") if k in given],
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
        """A norm. Most take a bias before them away again: that one's gradient is exactly 0,
        and what any library reports is its own rounding, which cannot be compared."""
        if kind not in ("LayerNorm", "RMSNorm"):
            modules[-1] = (modules[-1][0], {**modules[-1][1], "bias": False})
        modules.append(self.norm(kind, features))

    def rows(self, width: int, out: int) -> list[Spec]:
        modules: list[Spec] = []
        for _ in range(int(self.rng.integers(1, 4))):
            wide = int(self.rng.integers(3, 9))
            modules.append(self.linear(width, wide))
            width = wide
            if self.often(0.4):
                self.norm_after(modules, self.one("BatchNorm1d", "LayerNorm", "RMSNorm"), width)
            modules.append(self.activation())
            if self.often(0.35):
                modules.append(self.dropout())
            if self.often(0.3):
                modules += [("Unflatten", {"sizes": (1, (1, width))}), ("Flatten", {})]
            if self.often(0.3):
                modules.append(("Identity", {}))
            if self.often(0.3):
                inner = [self.linear(width, width), self.activation()]
                modules.append(("Residual", {"modules": inner}))
            if self.often(0.3):
                modules.append((self.one(*SHARES), {}))
            if self.often(0.2):
                modules += [self.linear(width, 2 * width), ("GLU", {})]
            if self.often(0.2):
                gate = {"left": self.linear(width, width), "right": self.linear(width, width)}
                modules.append(("Gated", gate))
        return [*modules, self.linear(width, out)]

    def images(self, shape: tuple[int, ...], out: int) -> list[Spec]:
        """For signals, images and volumes: `shape` is (channels, *size)."""
        rank = len(shape) - 1
        modules: list[Spec] = []
        for _ in range(int(self.rng.integers(1 if rank == 2 else 2, 4))):
            if self.often(0.9):
                shape = self.resized(modules, shape, rank)
            if self.often(0.25 if rank < 3 else 0.4):
                shape = self.spread(modules, shape, rank)
            else:
                shape = self.convolution(modules, shape, rank)
            if self.often(0.6):
                self.norm_of_channels(modules, shape, rank)
            modules.append(self.activation())
            if min(shape[1:]) >= 2 and self.often(0.7 if rank < 3 else 0.95):
                shape = self.pool(modules, shape)
            if self.often(0.2):
                modules.append(self.dropout())
            if shape[-1] >= 3 and self.often(0.25):
                modules.append(self.norm(self.one("LayerNorm", "RMSNorm"), shape[-1]))
        if self.often(0.4):
            modules.append((self.one("GlobalAvgPool", "GlobalMaxPool"), {}))
            return [*modules, self.linear(shape[0], out)]
        count = int(np.prod(shape))
        flat: Spec = ("Reshape", {"sizes": (count,)}) if self.often(0.3) else ("Flatten", {})
        return [*modules, flat, self.linear(count, out)]

    def resized(self, modules: list[Spec], shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
        """A border, or images made larger."""
        channels, *size = shape
        pixels = ("PixelShuffle", "PixelUnshuffle") if rank == 2 else ()
        kind = self.one(*PADS, "Upsample", *pixels)
        if kind == "Upsample":
            times = tuple(int(self.one(1, 2)) if s < 5 else 1 for s in size)
            return self.added(modules, (kind, {"scale_factor": times}), shape)
        if kind == "PixelShuffle":
            given = {"sizes": self.sizes(channels, 4), "kernel_size": 1, "stride": 2}
            given |= {"padding": 0, "dilation": 1, "groups": 1}
            shape = self.added(modules, ("Conv2d", given), shape)
        if kind == "PixelUnshuffle":
            odd = tuple(v for s in reversed(size) for v in (0, s % 2))
            shape = self.added(modules, ("ReplicationPad2d", {"sizes": (odd,)}), shape)
        if kind in pixels:
            return self.added(modules, (kind, {"sizes": (2,)}), shape)
        widths = tuple(int(self.rng.integers(0, min(s, 2))) for s in reversed(size) for _ in "12")
        value = (0.5,) if kind == "Constant" else ()
        return self.added(modules, (f"{kind}Pad{rank}d", {"sizes": (widths, *value)}), shape)

    def norm_of_channels(self, modules: list[Spec], shape: tuple[int, ...], rank: int) -> None:
        channels, numbers = shape[0], int(np.prod(shape[1:]))
        batch, instance = f"BatchNorm{rank}d", f"InstanceNorm{rank}d"
        kind = self.one(batch, batch, instance, instance, "GroupNorm", "Local")
        if numbers < 4 or kind.startswith("BatchNorm"):
            self.norm_after(modules, f"BatchNorm{rank}d", channels)
        elif kind == "Local":
            size, alpha = int(self.rng.integers(1, 4)), float(self.one(0.1, 1.0))
            modules.append(("LocalResponseNorm", {"sizes": (size,), "alpha": alpha}))
        elif kind == "GroupNorm":
            self.norm_after(modules, kind, channels)
            groups = int(self.one(*[g for g in range(1, channels + 1) if channels % g == 0]))
            modules[-1][1]["sizes"] = (groups, *modules[-1][1]["sizes"])
        else:
            self.norm_after(modules, kind, channels)
            settings = {k: self.often(0.5) for k in ("affine", "track_running_stats")}
            modules[-1][1].update(settings)

    def spread(self, modules: list[Spec], shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
        """A transposed convolution."""
        channels, *size = shape
        groups = self.one(1, 1, channels)
        out = groups * int(self.rng.integers(1, 3)) if groups > 1 else int(self.rng.integers(2, 5))
        stride, dilation = (tuple(int(self.one(1, 1, 2)) for _ in size) for _ in range(2))
        steps = list(zip(stride, dilation, strict=True))
        given = {
            "sizes": self.sizes(channels, out),
            "kernel_size": tuple(int(self.rng.integers(1, 4)) for _ in size),
            "stride": stride,
            "padding": tuple(int(self.one(0, 0, s >= 3)) for s in size),
            "output_padding": tuple(int(self.rng.integers(0, max(s))) for s in steps),
            "dilation": dilation,
            "groups": int(groups),
            "bias": self.often(0.8),
        }
        return self.added(modules, (f"ConvTranspose{rank}d", given), shape)

    def added(self, modules: list[Spec], spec: Spec, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The module, and the shape of what it gives."""
        modules.append(spec)
        with gg.no_grad():
            found = built(spec, "float64")(gg.tensor(np.zeros((1, *shape))))
        return tuple(int(s) for s in found.shape[1:])

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
        return self.added(modules, (f"Conv{rank}d", given), shape)

    def pool(self, modules: list[Spec], shape: tuple[int, ...]) -> tuple[int, ...]:
        rank = len(shape) - 1
        kind = self.one(*POOLS)
        if kind.startswith("Adaptive"):
            wanted = tuple(int(self.rng.integers((s + 1) // 2, s + 1)) for s in shape[1:])
            given: dict[str, Any] = {"sizes": (wanted,)}
            return self.added(modules, (f"{kind}Pool{rank}d", given), shape)
        kernel = int(self.one(2, 3)) if min(shape[1:]) > 2 else 2
        given = {
            "sizes": (kernel,),
            "stride": int(self.one(kernel, kernel, 1, 2)),
            "padding": int(self.one(0, 0, 1)),
            "ceil_mode": self.often(0.4),
        }
        if kind == "Avg":
            given["count_include_pad"] = self.often(0.5)
        elif kernel == 2 < min(shape[1:]):
            given["dilation"] = int(self.one(1, 2))
        return self.added(modules, (f"{kind}Pool{rank}d", given), shape)

    def sequences(self, width: int, time: int, out: int) -> list[Spec]:
        modules: list[Spec] = []
        if self.often(0.4):
            modules.append(self.norm("LayerNorm", width))
        if self.often(0.3):
            wide = int(self.rng.integers(2, 6))
            modules += [self.linear(width, wide), self.activation()]
            width = wide
        if self.often(0.4):
            width = self.attending(modules, width)
        if self.often(0.8):
            for deeper in range(int(self.rng.integers(0, 2)), -1, -1):
                wide = int(self.rng.integers(2, 7))
                last = deeper == 0 and self.often(0.7)
                kind = self.one("RNN", "LSTM", "GRU")
                given = {"sizes": self.sizes(width, wide), "sequences": not last}
                modules.append((kind, given | {"reverse": self.often(0.3)}))
                width = wide
                if last:
                    return [*modules, self.linear(width, out)]
        if self.often(0.3):
            modules.append(self.dropout())
        return [*modules, ("Flatten", {}), self.linear(width * time, out)]

    def attending(self, modules: list[Spec], width: int) -> int:
        """Attention or an encoder layer, of an even width."""
        if width % 2:
            modules.append(self.linear(width, width + 1))
            width += 1
        given: dict[str, Any] = {"sizes": (width, self.one(1, 2)), "causal": self.often(0.5)}
        given["dropout"] = float(self.one(0.0, 0.2))
        if self.often(0.5):
            inner: Spec = ("MultiheadAttention", given)
            modules.append(("Residual", {"modules": [inner]}))
        else:
            given |= {"hidden": int(self.rng.integers(2, 8)), "norm_first": self.often(0.5)}
            given["activation"] = str(self.one("relu", "gelu"))
            modules.append(("TransformerEncoderLayer", given))
        return width


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
        return LOSSES[self.loss][0](prediction, target)

    def torch_leaves(self, torch: Any) -> dict[str, Any]:
        """The parameters and buffers as PyTorch tensors; parameters require gradients."""
        learnt = {p.name for p in self.model.parameters()}
        return {
            name: torch.tensor(value, requires_grad=name in learnt)
            for name, value in self.model.state_dict().items()
        }

    def torch_loss(self, torch: Any, leaves: dict[str, Any], seed: int = 0) -> Any:
        """The loss in PyTorch; dropout as `gg.seed(seed)` makes it. Running statistics move."""
        twin = Twin(torch, leaves, self.training, seed)
        z = twin.forward(self.spec, "", torch.tensor(self.x))
        y = torch.tensor(self.y)
        ours, theirs = LOSSES[self.loss]
        return getattr(torch.nn.functional, theirs)(z, y, **ours.changed)


FAMILIES = ("rows", "images", "signals", "sequences", "dense images", "volumes")


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
            modules = [m for m in modules[:-2] if m[0] not in ("LayerNorm", "RMSNorm")]
            channels = [int(m[1]["sizes"][-1]) for m in modules if m[0].startswith("Conv")][-1]
            given = {"sizes": draw.sizes(channels, out), "kernel_size": 1, "stride": 1}
            modules.append(("Conv2d", {**given, "padding": 0, "dilation": 1, "groups": 1}))
    elif family == "volumes":
        shape = (int(rng.integers(1, 3)), *[int(s) for s in rng.integers(3, 7, 3)])
        x = rng.normal(0, 1, (n, *shape))
        modules = draw.images(shape, out)
    elif family == "signals":
        shape = (int(rng.integers(1, 4)), int(rng.integers(6, 13)))
        x = rng.normal(0, 1, (n, *shape))
        modules = draw.images(shape, out)
    else:
        tokens, features, time = (int(rng.integers(*r)) for r in ((4, 9), (2, 6), (2, 7)))
        x = rng.integers(0, tokens, (n, time))
        modules = [("Embedding", {"sizes": (tokens, features)})]
        modules += draw.sequences(features, time, out)
    loss = str(draw.one("cross_entropy", *LOSSES))
    if loss == "bce":
        modules.append(("Sigmoid", {}))
    # Over the classes: over the width of an image, what a bias adds would change nothing.
    over = {"sizes": (1,)} if family == "dense images" else {}
    if loss in ("nll", "kl_div"):
        modules.append(("LogSoftmax", over))
    elif loss in ("mse", "mae", "huber") and draw.often(0.8):
        modules.append((draw.one(*SHARES), over))
    spec: Spec = ("Sequential", {"modules": modules})
    probe = built(spec, "float64").eval()
    with gg.no_grad():
        shape_out = tuple(int(s) for s in probe(gg.tensor(x)).shape)
    y: NDArray[Any]
    if loss == "multi_margin" and len(shape_out) > 2:
        loss = "cross_entropy"
    if loss in ("mse", "mae", "huber", "smooth_l1"):
        y = rng.normal(0, 1, shape_out)
    elif loss in ("bce", "bce_logits"):
        y = rng.uniform(0, 1, shape_out)
    elif loss == "soft_margin":
        y = rng.choice([-1.0, 1.0], shape_out)
    elif loss == "poisson_nll":
        y = rng.poisson(2.0, shape_out).astype(float)
    elif loss in ("cross_entropy", "smoothed", "ignoring", "nll", "multi_margin"):
        y = rng.integers(0, shape_out[1], (shape_out[0], *shape_out[2:]))
        y.reshape(-1)[0] = 1  # the one that stays where 0 is ignored
    else:
        y = rng.dirichlet(np.ones(shape_out[1]), (shape_out[0], *shape_out[2:]))
        y = np.ascontiguousarray(np.moveaxis(y, -1, 1))
    return spec, x, y, loss, family
