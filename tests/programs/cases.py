"""Training runs whose programs the tests read and run: seven fixed ones, and any number drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np

from glassgrad import nn, optim
from glassgrad.data import spiral
from glassgrad.engine import step_source
from glassgrad.inspect.source import about, whole_program
from glassgrad.train.fit import fit, prepared
from glassgrad.train.history import History
from glassgrad.train.trainer import Record


@dataclass
class Case:
    """A model, its data and the settings of `fit`."""

    model: nn.Module
    x: Any
    y: Any
    settings: dict[str, Any] = field(default_factory=dict)
    whole: bool = True

    def record(self) -> Record:
        """Everything prepared, nothing trained."""
        return prepared(self.model, self.x, self.y, **self.settings)

    def fit(self) -> History:
        """Trained."""
        return fit(self.model, self.x, self.y, verbose=False, **self.settings)

    def text(self) -> str:
        """The program: of the run if `whole`, of one step otherwise."""
        record = self.record()
        if self.whole:
            # Whatever number of threads is chosen where the tests run, the text is one.
            with mock.patch("glassgrad.inspect.source.is_small", return_value=True):
                return whole_program(record)
        return step_source(record.plan.step, about(record, "One training step, as NumPy."))


def spiral_net() -> nn.Module:
    """2-64-3."""
    return nn.Sequential(hidden=nn.Linear(2, 64), relu=nn.ReLU(), output=nn.Linear(64, 3))


def lenet() -> nn.Module:
    """LeNet for images of 28 x 28."""
    return nn.Sequential(
        conv1=nn.Conv2d(6, 5),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(16, 5),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),
        flat=nn.Flatten(),
        dense1=nn.Linear(120),
        relu3=nn.ReLU(),
        dense2=nn.Linear(84),
        relu4=nn.ReLU(),
        output=nn.Linear(10),
    )


def _spiral(optimizer: optim.Optimizer, **settings: Any) -> Case:
    x, y = spiral(seed=0)
    settings = {"loss": "cross_entropy", "optimizer": optimizer, **settings}
    return Case(spiral_net(), x, y, settings)


def _lenet() -> Case:
    x, y = np.zeros((8, 1, 28, 28), np.float32), np.zeros(8, np.int64)
    settings = {"loss": "cross_entropy", "optimizer": optim.Adam(1e-3)}
    return Case(lenet(), x, y, settings, whole=False)


def _normed() -> Case:
    x, y = spiral(seed=0)
    model = nn.Sequential(
        hidden=nn.Linear(2, 32),
        norm=nn.BatchNorm1d(),
        relu=nn.ReLU(),
        dropout=nn.Dropout(0.2),
        output=nn.Linear(3),
    )
    settings = {
        "loss": "cross_entropy",
        "optimizer": optim.Adam(1e-2),
        "epochs": 20,
        "batch_size": 64,
        "validation_data": (x[::7], y[::7]),
    }
    return Case(model, x, y, settings)


def _recurrent() -> Case:
    x, y = np.zeros((8, 12, 8), np.float32), np.zeros(8, np.int64)
    model = nn.Sequential(rnn=nn.RNN(16), output=nn.Linear(3))
    settings = {"loss": "cross_entropy", "optimizer": optim.SGD(0.1)}
    return Case(model, x, y, settings, whole=False)


def _transformer() -> Case:
    x, y = np.zeros((8, 16), np.int64), np.zeros((8, 16), np.int64)
    model = nn.GPT(12, width=32, layers=1, heads=4, context=16)
    settings = {"loss": "cross_entropy", "optimizer": optim.SGD(0.1)}
    return Case(model, x, y, settings, whole=False)


def _lstm() -> Case:
    x, y = np.zeros((8, 12, 8), np.float32), np.zeros(8, np.int64)
    model = nn.Sequential(lstm=nn.LSTM(16), output=nn.Linear(3))
    settings = {"loss": "cross_entropy", "optimizer": optim.SGD(0.1)}
    return Case(model, x, y, settings, whole=False)


GOLDEN = {
    "spiral_sgd": lambda: _spiral(optim.SGD(0.1), epochs=300),
    "spiral_adam": lambda: _spiral(optim.Adam(1e-2), epochs=300, batch_size=32),
    "lenet_adam": _lenet,
    "batch_norm_dropout_adam": _normed,
    "recurrent_sgd": _recurrent,
    "lstm_sgd": _lstm,
    "transformer_sgd": _transformer,
}

# -- drawn networks -----------------------------------------------------------------------------

_ACTIVATIONS = (
    nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Softplus,
    nn.ReLU6, nn.SELU, nn.CELU, nn.PReLU, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Softsign,
    nn.Mish, nn.LogSigmoid, nn.Tanhshrink, nn.Hardshrink, nn.Softshrink,
)  # fmt: skip


def drawn(seed: int, *, dtype: str = "float32") -> Case:
    """A small network with data, drawn from a seed; every third has images, every fifth time."""
    r = np.random.default_rng(seed)
    rows = int(r.integers(20, 40))
    kind = ("dense", "images", "dense", "signal", "sequence", "tokens")[seed % 6]
    layers: list[nn.Module] = []
    x: Any
    if kind == "dense":
        x = r.normal(size=(rows, int(r.integers(2, 6))))
    elif kind == "images":
        x = r.normal(size=(rows, int(r.integers(1, 3)), 8, 8))
        layers += _image_layers(r, dtype)
    elif kind == "signal":
        x = r.normal(size=(rows, 2, 12))
        layers.append(
            nn.Conv1d(
                4, 3, stride=int(r.integers(1, 3)), padding=int(r.integers(0, 2)), dtype=dtype
            )
        )
        layers += [nn.BatchNorm1d(dtype=dtype)] * int(r.integers(0, 2))
        layers += [_activation(r, dtype), nn.Flatten()]
    elif kind == "sequence":
        x = r.normal(size=(rows, 5, 3))
        first, last = (_RECURRENT[int(i)] for i in r.integers(0, 3, 2))
        layers += [first(4, sequences=True, dtype=dtype)] * int(r.integers(0, 2))
        layers += [last(6, reverse=bool(r.integers(0, 2)), dtype=dtype)]
    else:
        x = r.integers(0, 7, size=(rows, 4))
        layers += [nn.Embedding(7, 4, dtype=dtype)]
        if seed % 3 == 2:
            layers += [nn.PositionalEncoding(), _encoder_layer(r, dtype)]
        layers += [nn.Flatten()] if seed % 4 else [nn.RNN(4, dtype=dtype)]
    for _ in range(int(r.integers(1, 3))):
        layers.append(nn.Linear(int(r.integers(2, 9)), bias=bool(r.integers(0, 4)), dtype=dtype))
        layers += [nn.BatchNorm1d(dtype=dtype)] * int(r.integers(0, 2))
        layers += [nn.LayerNorm(dtype=dtype)] * int(r.integers(0, 2))
        layers.append(_activation(r, dtype))
        layers += [nn.Dropout(float(r.choice([0.1, 0.3, 0.5])))] * int(r.integers(0, 2))
    if kind != "tokens":
        x = x.astype(dtype)
    outputs = int(r.integers(2, 5))
    loss = str(r.choice(["cross_entropy", "shares", "mse", "bce_logits", "bce"]))
    y: Any
    if loss == "cross_entropy":
        y = r.integers(0, outputs, size=rows)
    elif loss == "shares":
        y = np.eye(outputs)[r.integers(0, outputs, size=rows)]
    elif loss == "mse":
        y = r.normal(size=(rows, outputs))
    else:
        y = r.integers(0, 2, size=(rows, outputs)).astype(dtype)
    layers.append(nn.Linear(outputs, dtype=dtype))
    layers += [nn.Sigmoid()] * (loss == "bce")
    settings: dict[str, Any] = {
        "loss": "cross_entropy" if loss == "shares" else loss,
        "optimizer": _optimizer(r),
        "epochs": int(r.integers(1, 4)),
        "batch_size": (None, 7, 8, 1)[int(r.integers(0, 4))],
        "shuffle": bool(r.integers(0, 4)),
        "seed": int(r.integers(0, 100)),
    }
    if any(isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) for layer in layers):
        size = settings["batch_size"] or rows
        while size == 1 or rows % size == 1:  # a batch norm needs two rows
            size += 1
        settings["batch_size"] = size
    if loss == "mse":
        settings["metrics"] = (("mae",), ("mse", "mae"), ())[int(r.integers(0, 3))]
    if r.integers(0, 2):
        settings["validation_data"] = (x[:6], y[:6])
    return Case(nn.Sequential(*layers), x, y, settings)


_RECURRENT = (nn.RNN, nn.LSTM, nn.GRU)


def _encoder_layer(r: np.random.Generator, dtype: str) -> nn.Module:
    settings = {"norm_first": bool(r.integers(0, 2)), "causal": bool(r.integers(0, 2))}
    return nn.TransformerEncoderLayer(4, 2, 6, dropout=0.1, dtype=dtype, **settings)


def _activation(r: np.random.Generator, dtype: str) -> nn.Module:
    made = _ACTIVATIONS[int(r.integers(0, len(_ACTIVATIONS)))]
    return nn.PReLU(dtype=dtype) if made is nn.PReLU else made()


def _image_layers(r: np.random.Generator, dtype: str) -> list[nn.Module]:
    settings: list[dict[str, Any]] = [
        {},
        {"padding": 1},
        {"stride": 2},
        {"dilation": 2},
        {"padding": "same"},
    ]
    chosen: dict[str, Any] = settings[int(r.integers(0, len(settings)))]
    layers: list[nn.Module] = [nn.Conv2d(4, 3, dtype=dtype, **chosen)]
    layers += [nn.BatchNorm2d(dtype=dtype)] * int(r.integers(0, 2))
    layers.append(_activation(r, dtype))
    layers += [(nn.MaxPool2d, nn.AvgPool2d)[int(r.integers(0, 2))](2)]
    layers += [nn.Conv2d(4, 1, groups=2, dtype=dtype)] * int(r.integers(0, 2))
    return [*layers, nn.Flatten()]


def _optimizer(r: np.random.Generator) -> optim.Optimizer:
    made = (
        optim.SGD(0.1),
        optim.SGD(0.05, momentum=0.9),
        optim.SGD(0.05, momentum=0.9, weight_decay=1e-3),
        optim.Adam(1e-2),
        optim.Adam(1e-2, betas=(0.8, 0.99), weight_decay=1e-2),
        optim.AdamW(1e-2),
    )
    return made[int(r.integers(0, len(made)))]
