"""Trainings without a fault, of as many kinds of network as may raise a false alarm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import glassgrad as gg
from glassgrad import data, nn, optim

from .planted import NETWORKS, Array, Case, planted


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


def _rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def _overlap(seed: int) -> Case:
    """Two classes that one cannot tell apart in a quarter of the rows, whatever one does."""
    rng = _rng(seed)
    y = rng.integers(0, 2, 900)
    x = np.asarray(rng.standard_normal((900, 4)), np.float32)
    x[:, 0] += 1.4 * y
    layers = [nn.Linear(16), nn.ReLU(), nn.Linear(2)]
    return Case(layers, x, y, _adam("cross_entropy"))


def _raw(seed: int) -> Case:
    """Columns of all sizes, and a norm that scales them first."""
    case = planted("", "kinds", seed)
    sizes = np.array([1, 20, 700, 0.01, 3000, 5], np.float32)
    layers = [nn.BatchNorm1d(), nn.Linear(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(5)]
    return Case(layers, case.x * sizes + sizes, case.y, _adam("cross_entropy", 1e-2))


def _backbone(seed: int) -> Case:
    """The layers of a network that was trained for something else, frozen, and a new last one."""
    case = planted("", "images", seed)
    at = _adam("cross_entropy", 1e-2)
    gg.fit(case.model, case.x, case.y % 2, epochs=4, seed=seed, verbose=False, **at)  # type: ignore[arg-type]
    layers = [*case.layers[:-1], nn.Linear(4)]
    found = Case(layers, case.x, case.y, at)
    found.after.append(lambda model: model.freeze("conv*"))
    return found


def _words(seed: int) -> Case:
    """Fifteen of a thousand words, most of which hardly ever occur."""
    rng = _rng(seed)
    share = 1 / np.arange(1, 1001)
    x = rng.choice(1000, (600, 15), p=share / share.sum())
    y = (x[..., None] == [2, 6, 11]).any((1, 2)).astype(np.int64)

    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.out = nn.Embedding(1000, 16), nn.Linear(2)

        def forward(self, x):  # type: ignore[no-untyped-def]
            return self.out(self.words(x).mean(1))

    case = Case([], x, y, _adam("cross_entropy", 2e-2))
    case.made = Mean()
    return case


def _pixels(seed: int) -> Case:
    """Pictures to themselves, through a sigmoid."""
    found = data.digits()
    x = found.x.reshape(len(found.x), -1)[_rng(seed).permutation(len(found.x))[:600]]
    layers = [
        nn.Linear(32), nn.ReLU(), nn.Linear(12), nn.ReLU(), nn.Linear(64), nn.Sigmoid(),
    ]  # fmt: skip
    return Case(layers, x, x, _adam("bce"))


def _several(seed: int) -> Case:
    """Six questions for each row, each answered with yes in a fifth of them."""
    rng = _rng(seed)
    x = np.asarray(rng.standard_normal((600, 10)), np.float32)
    y = x @ rng.standard_normal((10, 6)) + 0.3 * rng.standard_normal((600, 6))
    layers = [nn.Linear(32), nn.SiLU(), nn.Linear(6)]
    return Case(layers, x, np.asarray(y > 2.5, np.float32), _adam("bce_logits", 5e-3))


def _rare(seed: int) -> Case:
    """One row in fifty is of the class that is looked for."""
    rng = _rng(seed)
    x = np.asarray(rng.standard_normal((2000, 8)), np.float32)
    risk = x[:, :1] + x[:, 1:2] * x[:, 2:3] / 2 + 0.5 * rng.standard_normal((2000, 1))
    layers = [nn.Linear(32), nn.ReLU(), nn.Linear(1)]
    y = np.asarray(risk > np.quantile(risk, 0.98), np.float32)
    return Case(layers, x, y, _adam("bce_logits"))


def _series(seed: int) -> tuple[Array, Array]:
    """Twenty moments of a wave, and the next one."""
    rng = _rng(seed)
    t = np.arange(420)
    wave = np.sin(0.2 * t + rng.uniform(0, 6)) + np.sin(0.057 * t) / 2
    wave = np.asarray(wave + 0.05 * rng.standard_normal(420), np.float32)
    return np.lib.stride_tricks.sliding_window_view(wave, 20)[:-1, :, None], wave[20:, None]


def _forecast(seed: int) -> Case:
    x, y = _series(seed)
    settings = {"loss": "huber", "optimizer": optim.Adam(5e-3), "batch_size": 32}
    return Case([nn.LSTM(16), nn.Linear(1)], x, y, settings)


def _warm(seed: int) -> Case:
    """A rate that begins at 0."""
    case = planted("", "spiral", seed)
    schedule = optim.WarmUp(100, then=optim.CosineAnnealing(1e-2, 900))
    case.settings["optimizer"] = optim.AdamW(schedule, weight_decay=1e-2)
    return case


def _few(seed: int) -> Case:
    """Twenty rows, all of them in every step, in float64."""
    rng = _rng(seed)
    x = rng.standard_normal((20, 3))
    layers = [nn.Linear(8, dtype="float64"), nn.Mish(), nn.Linear(1, dtype="float64")]
    return Case(layers, x, x[:, :1] - x[:, 1:2], {"loss": "mse", "optimizer": optim.Adam(1e-2)})


def _signs(seed: int) -> Case:
    """Classes that are called 1 and -1, one row at a time."""
    x, y = data.moons(seed=seed)
    settings = {"loss": "hinge", "optimizer": optim.SGD(0.02, momentum=0.9), "batch_size": 1}
    return Case([nn.Linear(16), nn.ReLU(), nn.Linear(1)], x, 2 * y - 1, settings)


def _tuned(seed: int) -> Case:
    """A network that has learned its task, with a rate for the last touches."""
    case = planted("", "spiral", seed)
    gg.fit(case.model, case.x, case.y, epochs=40, seed=seed, verbose=False, **case.settings)
    case.settings["optimizer"] = optim.Adam(1e-4)
    return case


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
    "overlap": _overlap,
    "raw": _raw,
    "backbone": _backbone,
    "words": _words,
    "pixels": _pixels,
    "several": _several,
    "rare": _rare,
    "forecast": _forecast,
    "warm": _warm,
    "few": _few,
    "signs": _signs,
    "tuned": _tuned,
}
