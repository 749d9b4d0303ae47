"""PyTorch eager, at its best here: no DataLoader, gradients set to None, Adam fused."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  # its usual name

from benchmarks.inputs import Array, inputs
from benchmarks.sweeps import LEARNING_RATE as SLOW, Language, point
from benchmarks.workloads import LEARNING_RATE

from . import Job


def about() -> str:
    """PyTorch's version."""
    return f"PyTorch {torch.__version__}"


def _dense(*widths: int) -> nn.Module:
    each = [layer for sizes in pairwise(widths) for layer in (nn.Linear(*sizes), nn.ReLU())]
    return nn.Sequential(*each[:-1])


def _norms() -> nn.Module:
    return nn.Sequential(
        nn.Linear(2, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 64), nn.LayerNorm(64),
        nn.ReLU(), nn.Linear(64, 3),
    )  # fmt: skip


def _neuron() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1), nn.Sigmoid())


def _article() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 1, 3), nn.Tanh(), nn.Conv2d(1, 1, 3), nn.Tanh(), nn.Flatten(),
        nn.Linear(576, 100), nn.Tanh(), nn.Linear(100, 10), nn.Softmax(1),
    )  # fmt: skip


def _lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84),
        nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


class _Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], units: int) -> None:
        super().__init__()
        self.recurrent = kind(8, units, batch_first=True)
        self.output = nn.Linear(units, 3)
        nn.init.zeros_(self.recurrent.bias_hh_l0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.recurrent(x)[0][:, -1])


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.two = nn.Conv2d(outputs, outputs, 3, 1, 1)
        changed = inputs != outputs
        self.short = nn.Conv2d(inputs, outputs, 1, stride) if changed else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.two(F.relu(self.one(x))) + self.short(x))


def _resnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1), nn.ReLU(), _Residual(16, 16, 1), _Residual(16, 32, 2),
        _Residual(32, 64, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.norm1 = heads, nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, time, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(n, time, 3, self.heads, width // self.heads)
        mixed = F.scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4), is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(n, time, width))
        return x + self.narrow(F.gelu(self.wide(self.norm2(x)), approximate="tanh"))


class _Language(nn.Module):
    def __init__(self, tokens: int = 65, width: int = 128, context: int = 128) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, width)
        self.positions = nn.Parameter(torch.zeros(context, width))
        self.blocks = nn.Sequential(*[_Block(width, 4) for _ in range(4)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, tokens, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.embedding(x) + self.positions)
        return self.head(self.norm(x)).transpose(1, 2)


def _double(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU(),
    )  # fmt: skip


class _UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = _double(3, 32), _double(32, 64), _double(64, 128)
        self.up2, self.wide2 = nn.ConvTranspose2d(128, 64, 2, 2), _double(128, 64)
        self.up1, self.wide1 = nn.ConvTranspose2d(64, 32, 2, 2), _double(64, 32)
        self.output = nn.Conv2d(32, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        c = self.bottom(F.max_pool2d(b, 2))
        d = self.wide2(torch.cat([self.up2(c), b], 1))
        return self.output(self.wide1(torch.cat([self.up1(d), a], 1)))


def _separable() -> nn.Module:
    def pair(a: int, b: int, stride: int) -> list[nn.Module]:
        depth = nn.Conv2d(a, a, 3, stride, 1, groups=a)
        return [depth, nn.ReLU(), nn.Conv2d(a, b, 1), nn.ReLU()]

    return nn.Sequential(
        nn.Conv2d(3, 32, 3, 1, 1), nn.ReLU(), *pair(32, 64, 1), *pair(64, 128, 2),
        *pair(128, 128, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip


Parameters = list[nn.Parameter]


def _sgd(parameters: Parameters, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr)


def _momentum(parameters: Parameters, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr, momentum=0.9)


def _adam(parameters: Parameters, lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr, fused=True)


def _adamw(parameters: Parameters, lr: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr, fused=True)


_Recipe = tuple[Callable[[], nn.Module], Any, Any]
_NETWORKS: dict[str, _Recipe] = {
    "neuron": (_neuron, F.mse_loss, _sgd),
    "circles": (lambda: _dense(2, 8, 1), F.binary_cross_entropy_with_logits, _sgd),
    "spiral": (lambda: _dense(2, 64, 3), F.cross_entropy, _adam),
    "mlp": (lambda: _dense(784, 128, 10), F.cross_entropy, _adam),
    "infer": (lambda: _dense(784, 128, 10), None, None),
    "rnn": (lambda: _Recurrent(nn.RNN, 16), F.cross_entropy, _sgd),
    "lstm": (lambda: _Recurrent(nn.LSTM, 64), F.cross_entropy, _adam),
    "norms": (_norms, F.cross_entropy, _adam),
    "articlecnn": (_article, F.mse_loss, _sgd),
    "lenet": (_lenet, F.cross_entropy, _adam),
    "infer1": (_lenet, None, None),
    "resnet": (_resnet, F.cross_entropy, _momentum),
    "gpt": (_Language, F.cross_entropy, _adamw),
    "unet": (_UNet, F.cross_entropy, _sgd),
    "dwsep": (_separable, F.cross_entropy, _sgd),
}


def _recipe(name: str) -> _Recipe:
    """Of a workload, or of a point of a sweep."""
    if name in _NETWORKS:
        return _NETWORKS[name]
    match point(name):
        case Language(context):
            return lambda: _Language(context=context), F.cross_entropy, _adam
        case grown:
            return lambda: _dense(*grown.widths), F.cross_entropy, _adam


def _one_projection(weights: dict[str, Array]) -> dict[str, Array]:
    """Queries, keys and values from one product, as PyTorch's users write it."""
    joined: dict[str, Array] = {}
    for name, array in weights.items():
        before, _, last = name.rpartition(".")
        if before.endswith(("attention.key", "attention.value")):
            continue
        if before.endswith("attention.query"):
            base = before.removesuffix("query")
            parts = [weights[f"{base}{part}.{last}"] for part in ("query", "key", "value")]
            joined[name] = np.concatenate(parts, axis=-1)
        else:
            joined[name] = array
    return joined


# Of a recurrent layer's two biases only the sum matters. The second starts at 0; it is trained where
# time is measured, as users do, and rests where losses are compared, as nobody else has it.
SECOND_BIAS = "recurrent.bias_hh_l0"


def _load(model: nn.Module, weights: dict[str, Array]) -> nn.Module:
    """The common first weights: matrices turned, but for those of embeddings and positions."""
    trained = [p for n, p in model.named_parameters() if n != SECOND_BIAS]
    if any("attention" in name for name in weights):
        weights = _one_projection(weights)
        trained = sorted(trained, key=lambda p: p is not model.embedding.weight)  # it comes first
    with torch.no_grad():
        for (name, array), parameter in zip(weights.items(), trained, strict=True):
            kept = array.ndim != 2 or name.startswith(("embedding", "positions"))
            parameter.copy_(torch.from_numpy(array if kept else array.T.copy()))
    return model


class _Train(Job):
    def __init__(self, name: str, prepared: Callable[[nn.Module], Any]) -> None:
        self.name, self.prepared, self.inputs = name, prepared, inputs(name)
        at = self.inputs
        x, y = torch.from_numpy(at.x), torch.from_numpy(at.y)
        size = at.size or len(x)
        self.batches = list(zip(x.split(size), y.split(size), strict=True))
        self.steps = len(self.batches)
        self.reset()

    def reset(self, resting: str = "") -> None:
        make, self.loss, optimizer = _recipe(self.name)
        model = _load(make(), self.inputs.weights)
        trained = [p for n, p in model.named_parameters() if n != resting]
        self.optimizer = optimizer(trained, LEARNING_RATE.get(self.name, SLOW))
        self.model = self.prepared(model)

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss

    def call(self) -> None:
        for x, y in self.batches:
            self.step(x, y)

    def losses(self, passes: int) -> list[float]:
        self.reset(resting=SECOND_BIAS)
        found = []
        for _ in range(passes):
            each = [self.step(x, y).item() for x, y in self.batches]
            found.append(float(np.mean(each)))
        return found


class _Predict(Job):
    steps = 20

    def __init__(self, name: str, prepared: Callable[[nn.Module], Any]) -> None:
        at = inputs(name)
        self.model = prepared(_load(_NETWORKS[name][0](), at.weights).eval())
        self.x = torch.from_numpy(at.x)

    def call(self) -> None:
        with torch.inference_mode():
            for _ in range(self.steps):
                self.model(self.x)

    def losses(self, passes: int) -> list[float]:
        with torch.inference_mode():
            return [float(v) for v in self.model(self.x).numpy().ravel()]


class _Product(Job):
    def __init__(self, a: Array, b: Array, bias: Array | None) -> None:
        self.a, self.b = torch.from_numpy(a), torch.from_numpy(b)
        self.bias = None if bias is None else torch.from_numpy(bias)

    def product(self) -> torch.Tensor:
        if self.bias is None:
            return torch.mm(self.a, self.b)
        return torch.addmm(self.bias, self.a, self.b).relu_()

    def call(self) -> None:
        with torch.inference_mode():
            self.product()

    def losses(self, passes: int) -> list[float]:
        return [float(v) for v in self.product().numpy().ravel()[:50]]


def product(a: Array, b: Array, bias: Array | None) -> Job:
    """A matrix product made ready."""
    return _Product(a, b, bias)


def as_it_is(model: nn.Module) -> nn.Module:
    """What is done to a network before it runs: nothing."""
    return model


def job(name: str, threads: int, prepared: Callable[[nn.Module], Any] = as_it_is) -> Job:
    """A workload made ready."""
    torch.set_num_threads(threads)
    return (_Predict if name.startswith("infer") else _Train)(name, prepared)
