"""Trainings without a fault, of as many kinds of network as may raise a false alarm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glassgrad import data, nn, optim

from .planted import NETWORKS, Case, planted


def _adam(loss: str, lr: float = 3e-3) -> dict[str, object]:
    return {"loss": loss, "optimizer": optim.Adam(lr), "batch_size": 32}


def _residual(seed: int) -> Case:
    """Convolutions with batch norm in residual blocks, and depthwise ones."""
    case = planted("", "images", seed)
    block = nn.Residual(
        nn.Conv2d(8, 3, padding=1), nn.BatchNorm2d(), nn.ReLU(),
        nn.Conv2d(8, 3, padding=1), nn.BatchNorm2d(),
    )  # fmt: skip
    layers = [
        nn.Conv2d(8, 3, padding=1), nn.BatchNorm2d(), nn.ReLU(), block, nn.ReLU(),
        nn.Conv2d(8, 3, padding=1, groups=8), nn.Conv2d(16, 1), nn.BatchNorm2d(), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4),
    ]  # fmt: skip
    return Case(layers, case.x, case.y, _adam("cross_entropy", 1e-2))


def _lstm(seed: int) -> Case:
    case = planted("", "sequence", seed)
    layers = [nn.LSTM(16, sequences=True), nn.LSTM(16), nn.Linear(3)]
    return Case(layers, case.x, case.y, _adam("cross_entropy", 1e-2))


def _autoencoder(seed: int) -> Case:
    """Two numbers between encoder and decoder, with no activation on either side of them."""
    rng = np.random.Generator(np.random.Philox(seed))
    x = rng.standard_normal((400, 2)) @ rng.standard_normal((2, 12))
    x = np.asarray(np.tanh(x), np.float32)
    layers = [
        nn.Linear(16), nn.ReLU(), nn.Linear(2), nn.Linear(16), nn.ReLU(), nn.Linear(12),
    ]  # fmt: skip
    return Case(layers, x, x, _adam("mse", 1e-2))


class _Language(nn.Module):
    """The next letter, by attention to those before."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(12, 16)
        self.block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1)
        self.head = nn.Linear(12)

    def forward(self, x):  # type: ignore[no-untyped-def]
        return self.head(self.block(self.embedding(x))).transpose(0, 2, 1)


def _language(seed: int) -> Case:
    rng = np.random.Generator(np.random.Philox(seed))
    start, step = rng.integers(0, 12, (300, 1)), rng.integers(1, 4, (300, 1))
    text = (start + step * np.arange(9)) % 12
    case = Case([], text[:, :-1], text[:, 1:], _adam("cross_entropy"))
    case.made = _Language()
    return case


def _dropout(seed: int) -> Case:
    case = planted("", "kinds", seed)
    layers = [
        nn.Linear(48), nn.BatchNorm1d(), nn.ReLU(), nn.Dropout(0.3),
        nn.Linear(48), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5),
    ]  # fmt: skip
    return Case(layers, case.x, case.y, _adam("cross_entropy"))


def _circles(seed: int) -> Case:
    x, y = data.circles(seed=seed)
    layers = [nn.Linear(16), nn.Tanh(), nn.Linear(1), nn.Sigmoid()]
    return Case(layers, x, y, _adam("bce", 5e-2))


def _line(seed: int) -> Case:
    x, y = data.noisy_line(seed=seed)
    return Case([nn.Linear(1)], x, y, {"loss": "mse", "optimizer": optim.SGD(0.1)})


def _moons(seed: int) -> Case:
    """The last layer begins at zero, which keeps nothing equal."""
    x, y = data.moons(seed=seed)
    layers = [nn.Linear(32), nn.GELU(), nn.Linear(32), nn.GELU(), nn.Linear(1, init="zeros")]
    return Case(layers, x, y, _adam("bce_logits", 1e-2))


def _digits(seed: int) -> Case:
    found = data.digits()
    at = np.random.Generator(np.random.Philox(seed)).permutation(len(found.x))[:600]
    layers = [
        nn.Conv2d(8, 3), nn.ReLU(), nn.Conv2d(16, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(10),
    ]  # fmt: skip
    return Case(layers, found.x[at], found.y[at], _adam("cross_entropy"))


HEALTHY: dict[str, Callable[[int], Case]] = {
    **NETWORKS,
    "residual": _residual,
    "lstm": _lstm,
    "autoencoder": _autoencoder,
    "language": _language,
    "dropout": _dropout,
    "circles": _circles,
    "digits": _digits,
    "line": _line,
    "moons": _moons,
}
