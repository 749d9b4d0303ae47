"""Add to the corpus of model files that every later version must read.

    python scripts/write_corpus.py            # those in MODELS that are not there yet
    python scripts/write_corpus.py lstm       # this one

Each `tests/files/corpus/NAME.glass` is written with the format of today, `NAME.safetensors` holds
rows and what the model predicted for them, and `sums.txt` the SHA-256 of both. A file that is there
is never written again: what changes with a newer format is a new name, such as `v2-mlp`.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.data.preparation import TablePreparation, Target
from glassgrad.data.table import Table
from glassgrad.files import Labels, Preparation
from glassgrad.files.atomic import write_atomically
from glassgrad.files.weights import write_tensors

FOLDER = Path(__file__).parent.parent / "tests" / "files" / "corpus"
R = np.random.default_rng(0)
Saved = tuple[nn.Module, Any, Any]  # the model, rows to predict, labels


def _fit(model: nn.Module, x: Any, y: Any, loss: Any = "cross_entropy", **how: Any) -> None:
    usual = {"optimizer": optim.Adam(1e-2), "epochs": 3, "batch_size": 16, "backend": "numpy"}
    gg.fit(model, x, y, loss=loss, verbose=False, **{**usual, **how})


def _floats(*shape: int) -> Any:
    return R.standard_normal(shape).astype(np.float32)


def mlp() -> Saved:
    """Labels, a schedule, validation, the average of the weights, an early stop put back."""
    x, y = data.spiral(points_per_class=20, seed=0)
    model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))
    rate = optim.WarmUp(3, then=optim.CosineAnnealing(0.1, steps=20))
    how = optim.SGD(rate, momentum=0.9, groups=[optim.Group("*.bias", weight_decay=0.1)])
    stop = gg.train.EarlyStopping("loss", patience=1, min_delta=9.0, restore_best_weights=True)
    _fit(model, x, y, optimizer=how, validation_split=0.2, callbacks=(stop,))
    return model, x[:5], Labels(
        ("first", "second", "third"), ("x", "y"), "classification", "cross_entropy", "spiral",
        units=("cm", "cm"),
    )  # fmt: skip


def unfitted() -> Saved:
    """No run, no labels; parameters that training leaves as they are."""
    model = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.LayerNorm(6), nn.Linear(6, 2))
    return model.freeze("linear1.*"), _floats(5, 4), None


def cnn() -> Saved:
    """Convolutions, batch norm's running statistics, dropout, bytes as pixels, classes by name."""
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, groups=2, bias=False), nn.SiLU(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Dropout(0.25), nn.Linear(3),
    )  # fmt: skip
    x = R.integers(0, 256, (48, 1, 12, 12), dtype=np.uint8)
    _fit(model, x, np.arange(48) % 3, loss=nn.CrossEntropyLoss(label_smoothing=0.1),
         augment=data.Augment(flip=True, shift=1))  # fmt: skip
    return model, x[:5], {"classes": ["cat", "dog", "=1+1"], "task": "classification"}


def lstm() -> Saved:
    """Tokens, a loop, the characters of a text as classes."""
    model = nn.CharLSTM(7, width=6)
    x = R.integers(0, 7, (32, 5))
    _fit(model, x, (x + 1) % 7)
    return (
        model,
        x[:5],
        Labels(tuple("\nab\u00e4\u8a9e<\x1b"), (), "text", "cross_entropy", "a text"),
    )


def gpt() -> Saved:
    """Attention, positions, layer norms."""
    model = nn.GPT(5, width=8, layers=1, heads=2, context=6)
    x = R.integers(0, 5, (16, 6))
    _fit(model, x, (x + 1) % 5, epochs=1)
    return model, x[:5], Labels(tuple("abcde"), (), "text", "cross_entropy")


class TwoWays(nn.Module):
    """Two inputs, one of tokens, and two outputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(7, 4)
        self.numbers = nn.Linear(3, 4)
        self.kind = nn.Linear(4, 3)
        self.size = nn.Linear(4, 1)

    def forward(self, token: Any, row: Any) -> Any:
        both = nn.tanh(self.words(token) + self.numbers(row))
        return {"kind": self.kind(both), "size": self.size(both)}


def several() -> Saved:
    """A dict of inputs and of outputs, a loss and a weight for each, weights of rows."""
    model, token, row = TwoWays(), R.integers(0, 7, 40), _floats(40, 3)
    y = {"kind": token % 3, "size": row[:, :1]}
    _fit(model, {"token": token, "row": row}, y, {"kind": "cross_entropy", "size": "mse"},
         loss_weights={"kind": 1.0, "size": 0.5}, sample_weight=np.linspace(0.5, 1.5, 40))  # fmt: skip
    return model, {"token": token[:5], "row": row[:5]}, None


def table() -> Saved:
    """A table: medians, categories, a target in its own units."""
    cells = {
        "age": [str(i) if i % 7 else "" for i in range(20, 60)],
        "town": [("Ulm", "Bonn", "", "<b>", "=1+1")[i % 5] for i in range(40)],
        "price": [str(10 * i + i % 3) for i in range(40)],
    }
    rows = Table(cells)
    price = rows.numbers("price")
    target = Target("price", float(price.mean()), float(price.std()))
    how = TablePreparation.fit(rows, target=target)
    x = how(rows)
    y = ((price - target.mean) / target.deviation).astype(np.float32).reshape(-1, 1)
    model = nn.Sequential(nn.Linear(8), nn.ReLU(), nn.Linear(1))
    _fit(model, x, y, "mse", metrics=("mae",))
    return model, x[:5], Labels((), (), "regression", "mse", "homes.csv", how, unit="EUR")


class Net(nn.Module):
    """A user's own: lists of layers, a bare parameter, a buffer, a parameter that nothing reads."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = [nn.Linear(3, 4), nn.Linear(3, 4)]
        self.inner = nn.Sequential(nn.Linear(4, 2), nn.Tanh())
        self.scale = gg.Parameter([2.0])
        self.shift = gg.Buffer([1.0])
        self.unused = gg.Parameter([1.0, 2.0])

    def forward(self, x: Any) -> Any:
        h = nn.tanh(self.blocks[0](x)) * self.scale + self.shift
        return self.inner(h + self.blocks[1](x))


def own() -> Saved:
    """A user's own module: a graph without its class."""
    model, x = Net().freeze("unused"), _floats(24, 3)
    _fit(model, x, x[:, :2], lambda p, t: ((p - t) ** 2).mean())
    return model, x[:5], Labels(preparation=Preparation((0.5, 0.0, 1.0), (2.0, 1.0, 4.0)))


def float64() -> Saved:
    """Everything in float64, one output of two classes, batches added up, an average kept."""
    x, y = data.moons(40, seed=0)
    model = nn.Sequential(
        nn.Linear(2, 6, dtype="float64"), nn.Softplus(), nn.Linear(6, 1, dtype="float64")
    )
    how = optim.AdamW(1e-2, use_ema=True, gradient_accumulation_steps=2)
    _fit(model, x, y.reshape(-1, 1), "bce_logits", optimizer=how, class_weight=[1.0, 2.0])
    return model, x[:5].astype(np.float64), {"classes": ["no", "yes"], "task": "binary"}


MODELS: dict[str, Callable[[], Saved]] = {
    f"v1-{make.__name__}": make
    for make in (mlp, unfitted, cnn, lstm, gpt, several, table, own, float64)
}


def main(names: list[str]) -> None:
    """Write those that are asked for, or all that are not there yet."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in MODELS.items():
        wanted = name in names or name.split("-", 1)[1] in names or not names
        file = FOLDER / f"{name}.glass"
        if not wanted or file.exists():
            continue
        model, x, labels = make()
        found = gg.predict(model, x)
        rows = x if isinstance(x, dict) else {"x": x}
        outputs = found if isinstance(found, dict) else {"": found}
        kept = {f"input.{k}": v for k, v in rows.items()}
        kept.update({f"output.{k}": v for k, v in outputs.items()})
        gg.save(model, file, labels=labels, x=None if model.input_types else x)
        write_atomically(file.with_suffix(".safetensors"), write_tensors(kept))
        print(f"{file.name}: {file.stat().st_size:,} bytes")
    files = sorted([*FOLDER.glob("*.glass"), *FOLDER.glob("*.safetensors")])
    sums = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in files]
    write_atomically(FOLDER / "sums.txt", "".join(sums).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
