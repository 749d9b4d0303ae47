"""Networks that tests train natively, and one number for all that training made of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad import engine, nn, optim
from glassgrad.train import known, step

Array = NDArray[Any]
STEPS_PER_EPOCH = 10


def forget() -> None:
    """Let the next run write its plan itself: those that are kept were made for other settings."""
    step._PLANS.clear()
    known._FOUND.clear()
    engine._COMPILED.clear()


def dense(dtype: str = "float32") -> tuple[nn.Module, Array, int]:
    return (
        nn.Sequential(nn.Linear(784, 128, dtype=dtype), nn.ReLU(), nn.Linear(128, 10, dtype=dtype)),
        np.random.default_rng(1).normal(size=(1250, 784)),
        128,
    )


def recurrent(dtype: str = "float32") -> tuple[nn.Module, Array, int]:
    return (
        nn.Sequential(nn.LSTM(16, 64, dtype=dtype), nn.Linear(64, 10, dtype=dtype)),
        np.random.default_rng(2).normal(size=(310, 32, 16)),
        32,
    )


def norms(dtype: str = "float32") -> tuple[nn.Module, Array, int]:
    layers = (
        nn.Linear(64, 256, dtype=dtype),
        nn.BatchNorm1d(256, dtype=dtype),
        nn.Tanh(),
        nn.Dropout(0.3),
        nn.LayerNorm(256, dtype=dtype),
        nn.GELU(),
        nn.Linear(256, 10, dtype=dtype),
    )
    return nn.Sequential(*layers), np.random.default_rng(3).normal(size=(2500, 64)), 256


def attention(dtype: str = "float32") -> tuple[nn.Module, Array, int]:
    layers = (
        nn.TransformerEncoderLayer(16, 2, dropout=0.0, activation="gelu", causal=True, dtype=dtype),
        nn.Flatten(),
        nn.Linear(24 * 16, 10, dtype=dtype),
    )
    return nn.Sequential(*layers), np.random.default_rng(5).normal(size=(150, 24, 16)), 16


def small(dtype: str = "float32") -> tuple[nn.Module, Array, int]:
    """So small that the whole step is one kernel."""
    return (
        nn.Sequential(nn.Linear(2, 2, dtype=dtype), nn.Tanh(), nn.Linear(2, 1, dtype=dtype)),
        np.random.default_rng(4).normal(size=(10, 2)),
        1,
    )


def few_channels(dtype: str = "float32") -> tuple[nn.Module, Array, int]:
    """Images with samples innermost."""
    layers = (
        nn.Conv2d(1, 4, 5, dtype=dtype),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, stride=2, dtype=dtype),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(54, 10, dtype=dtype),
    )
    return nn.Sequential(*layers), np.random.default_rng(5).normal(size=(390, 1, 12, 11)), 40


def many_channels(dtype: str = "float32") -> tuple[nn.Module, Array, int]:
    """Images with channels innermost; strided, depthwise and transposed convolutions."""
    layers = (
        nn.Conv2d(3, 16, 3, padding=1, dtype=dtype),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, groups=16, dtype=dtype),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1, dtype=dtype),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 20, 2, stride=2, dtype=dtype),
        nn.GlobalAvgPool(),
        nn.Linear(20, 10, dtype=dtype),
    )
    return nn.Sequential(*layers), np.random.default_rng(6).normal(size=(77, 3, 9, 10)), 8


# The last batch of an epoch has fewer rows, but for `small`, and there are ten of them.
def bent(dtype: str = "float32") -> tuple[nn.Module, Array, int]:
    gelu = nn.GELU(approximate="tanh")
    return (
        nn.Sequential(nn.Linear(16, 64, dtype=dtype), gelu, nn.Linear(64, 10, dtype=dtype)),
        np.random.default_rng(1).normal(size=(640, 16)),
        64,
    )


NETWORKS: dict[str, Callable[[str], tuple[nn.Module, Array, int]]] = {
    "mlp": dense,
    "lstm": recurrent,
    "norms": norms,
    "attention": attention,
    "small": small,
    "bent": bent,
    "few channels": few_channels,
    "many channels": many_channels,
}


def trained(name: str, epochs: int, seed: int = 0, **settings: Any) -> tuple[nn.Module, gg.History]:
    """The network after ten times so many steps."""
    dtype: str = settings.pop("dtype", "float32")
    model, x, batch = NETWORKS[name](dtype)
    x = x.astype(dtype)
    rows = len(x)
    y: Array = x[:, :1] * 0.5 if name == "small" else np.arange(rows) * 7 % 10
    usual: dict[str, Any] = {
        "loss": "mse" if name == "small" else "cross_entropy",
        "optimizer": optim.Adam(1e-3),
        "batch_size": batch,
        "backend": "native",
        "verbose": False,
    }
    history = gg.fit(model, x, y, epochs=epochs, seed=seed, **{**usual, **settings})
    return model, history


def made(model: nn.Module, history: gg.History) -> str:
    """A hash of all parameters and buffers, and of the losses."""
    found = hashlib.blake2b(digest_size=8)
    for name, value in model.state_dict().items():
        found.update(name.encode())
        found.update(np.ascontiguousarray(value).tobytes())
    found.update(np.array(history["loss"]).tobytes())
    return found.hexdigest()
