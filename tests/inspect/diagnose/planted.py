"""Networks that train well, and faults planted into them: what `gg.diagnose` has to find.

    case = planted("symmetric start", "spiral", seed=0)
    found = gg.diagnose(case.model, case.x, case.y, **case.settings)

`NETWORKS` are sound trainings by name, `FAULTS` changes of one by the name they are to be found by.
`where(fault)` are the five networks that a fault is planted in; where it cannot exist in one,
another takes its place. `harness.counted` plants what it is given: a fault of one's own is a
function of (case, seed) that changes the case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad import data, nn, optim

Array = NDArray[Any]
FIVE = ("spiral", "images", "table", "sequence", "risk")
SPARE = ("kinds",)


@dataclass(slots=True)
class Case:
    """A training: layers in a row, or a model, with data and settings."""

    layers: list[nn.Module]
    x: Array
    y: Array
    settings: dict[str, Any]
    made: nn.Module | None = None
    after: list[Callable[[nn.Module], object]] = field(default_factory=list)

    @property
    def model(self) -> nn.Module:
        """The network, with its parameters drawn and what was planted in them."""
        if self.made is None:
            self.made = nn.Sequential(*self.layers)
            self.made(self.x[:2])
            for change in self.after:
                change(self.made)
        return self.made


def _rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def _single(numbers: Array) -> Array:
    return np.asarray(numbers, np.float32)


def _spiral(seed: int) -> Case:
    x, y = data.spiral(points_per_class=120, seed=seed)
    layers = [nn.Linear(32), nn.ReLU(), nn.Linear(32), nn.ReLU(), nn.Linear(3)]
    return Case(layers, x, y, _settings("cross_entropy", optim.Adam(1e-2)))


def _images(seed: int) -> Case:
    """Crosses, bars and frames of 8 by 8, somewhere in the picture, with noise."""
    rng = _rng(seed)
    shapes = np.zeros((4, 5, 5))
    shapes[0, 2], shapes[1, :, 2] = 1, 1
    shapes[2, 2], shapes[2, :, 2] = 1, 1
    shapes[3, [0, 4]], shapes[3, :, 0], shapes[3, :, 4] = 1, 1, 1
    y = rng.integers(0, 4, 480)
    x = 0.15 * rng.standard_normal((480, 1, 8, 8))
    for i, (row, column) in enumerate(rng.integers(1, 3, (480, 2))):
        x[i, 0, row : row + 5, column : column + 5] += shapes[y[i]]
    layers = [
        nn.Conv2d(8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4),
    ]  # fmt: skip
    return Case(layers, _single(x), y, _settings("cross_entropy", optim.Adam(3e-3)))


def _table(seed: int) -> Case:
    rng = _rng(seed)
    x = rng.standard_normal((480, 6))
    y = np.sin(1.5 * x[:, 0]) + x[:, 1] * x[:, 2] / 2 + x[:, 3] + 0.1 * rng.standard_normal(480)
    layers = [nn.Linear(32), nn.ReLU(), nn.Linear(32), nn.ReLU(), nn.Linear(1)]
    return Case(layers, _single(x), _single(y)[:, None], _settings("mse", optim.Adam(5e-3)))


def _sequence(seed: int) -> Case:
    """Waves of three speeds, three channels, each with its own phase, and noise."""
    rng = _rng(seed)
    y = rng.integers(0, 3, 480)
    t = np.arange(10)
    phase = rng.uniform(0, 1, (480, 1))
    wave = np.sin(np.array([0.4, 0.9, 1.5])[y][:, None] * t + phase)
    x = wave[:, :, None] * np.array([1.0, -0.7, 0.5]) + 0.25 * rng.standard_normal((480, 10, 3))
    layers = [nn.GRU(16), nn.Linear(16), nn.ReLU(), nn.Linear(3)]
    return Case(layers, _single(x), y, _settings("cross_entropy", optim.Adam(1e-2)))


def _risk(seed: int) -> Case:
    rng = _rng(seed)
    x = rng.standard_normal((480, 6))
    y = x[:, 0] * 1.5 + x[:, 1] ** 2 - 1 + x[:, 2] > 0.2 * rng.standard_normal(480)
    layers = [nn.Linear(24), nn.Tanh(), nn.Linear(24), nn.Sigmoid(), nn.Linear(1)]
    settings = _settings("bce_logits", optim.Adam(2e-2))
    return Case(layers, _single(x), _single(y)[:, None], settings)


def _kinds(seed: int) -> Case:
    """Five clouds of two parts each, in six columns."""
    rng = _rng(seed)
    y = rng.integers(0, 5, 480)
    middles = 2.2 * rng.standard_normal((5, 2, 6))
    x = middles[y, rng.integers(0, 2, 480)] + 0.8 * rng.standard_normal((480, 6))
    layers = [nn.Linear(32), nn.ReLU(), nn.Linear(32), nn.ReLU(), nn.Linear(5)]
    settings = _settings("cross_entropy", optim.SGD(0.05, momentum=0.9))
    return Case(layers, _single(x / 2), y, settings)


def _settings(loss: str, optimizer: optim.Optimizer) -> dict[str, Any]:
    return {"loss": loss, "optimizer": optimizer, "batch_size": 32}


NETWORKS: dict[str, Callable[[int], Case]] = {
    "spiral": _spiral,
    "images": _images,
    "table": _table,
    "sequence": _sequence,
    "risk": _risk,
    "kinds": _kinds,
}

# -- faults --------------------------------------------------------------------------------------


def _weights(change: Callable[[Array], Array]) -> Callable[[nn.Module], object]:
    """A change of all matrices of weights."""

    def apply(model: nn.Module) -> None:
        for p in model.parameters():
            if p.ndim > 1:
                p.assign(np.asarray(change(p.numpy()), p.dtype))

    return apply


def _symmetric(case: Case, seed: int) -> None:
    value = (0.0, 0.1, 0.5)[seed % 3]
    case.after.append(_weights(lambda w: np.full(w.shape, value)))


def _activations(case: Case) -> list[int]:
    kinds = (nn.ReLU, nn.Tanh, nn.Sigmoid)
    return [i for i, layer in enumerate(case.layers) if isinstance(layer, kinds)]


def _no_activation(case: Case, seed: int) -> None:
    places = _activations(case)
    if isinstance(case.layers[places[0] + 1], nn.MaxPool2d):
        del places[0]  # a largest number is no linear step
    del case.layers[places[seed % len(places)]]


def _softmax(case: Case, _: int) -> None:
    binary = case.settings["loss"] == "bce_logits"
    case.layers.append(nn.Sigmoid() if binary else nn.Softmax())


def _other_loss(case: Case, seed: int) -> None:
    loss = case.settings["loss"]
    if loss == "bce_logits":
        case.settings["loss"] = "bce"
    elif loss == "mse":
        case.layers.append((nn.Sigmoid, nn.Tanh, nn.Sigmoid)[seed % 3]())
    elif seed % 2:
        case.settings["loss"] = "nll"
    else:
        case.layers[-1] = nn.Linear(1)
        case.settings["loss"] = "mse"
        case.y = _single(case.y)[:, None]


def _off_by_one(case: Case, seed: int) -> None:
    if case.settings["loss"] == "cross_entropy":
        classes = int(case.y.max()) + 1
        case.y = case.y + 1
        case.layers[-1] = nn.Linear(classes + 1)
    else:
        case.y = np.roll(case.y, 1 if seed % 2 else -1, 0)


def _shuffled(case: Case, seed: int) -> None:
    case.y = case.y[_rng(seed + 50).permutation(len(case.y))]


def _noisy(case: Case, seed: int) -> None:
    """Every fifth label is that of another class."""
    rng = _rng(seed + 60)
    wrong = rng.permutation(len(case.y))[: len(case.y) // 5]
    classes = int(case.y.max()) + 1
    y = case.y.copy()
    by = rng.integers(1, classes, len(wrong)).reshape(y[wrong].shape)
    y[wrong] = (y[wrong] + by) % classes
    case.y = y


def _unscaled(case: Case, seed: int) -> None:
    if case.x.ndim == 4:
        case.x = case.x * np.float32(255)
        return
    scale, offset = ((1000, 0), (300, 5000), (5000, 20000))[seed % 3]
    case.x = case.x.copy()
    column = seed % case.x.shape[-1]
    case.x[..., column] = case.x[..., column] * scale + offset


def _leaking(case: Case, seed: int) -> None:
    """The target, scaled and with a little noise, in a column (or pixel) of the input."""
    rng = _rng(seed + 70)
    y = np.float64(case.y).ravel()
    told = (y - y.mean()) / y.std() + 0.01 * rng.standard_normal(len(y))
    if case.x.ndim == 2:
        case.x = np.hstack([case.x, _single(told)[:, None]])
        return
    case.x = case.x.copy()
    if case.x.ndim == 4:
        case.x[:, 0, 0, 0] = told
    else:
        case.x[:, -1, 0] = told


def _rate(factor: float) -> Callable[[Case, int], None]:
    def plant(case: Case, _: int) -> None:
        given = case.settings["optimizer"]
        case.settings["optimizer"] = given.changed({"lr": given.lr * factor})

    return plant


def _dead(case: Case, seed: int) -> None:
    """Biases so far below 0 that no ReLU of a layer lets anything through."""
    at = [i for i in _activations(case) if isinstance(case.layers[i], nn.ReLU)]
    place = at[seed % len(at)] - 1

    def apply(model: nn.Module) -> None:
        bias = list(model)[place].bias  # type: ignore[call-overload]
        bias.assign(np.full_like(bias.numpy(), -20.0))

    case.after.append(apply)


def _saturated(case: Case, seed: int) -> None:
    """Sigmoids, or tanhs, after weights that are fifty times too large."""
    for i in _activations(case):
        case.layers[i] = nn.Sigmoid() if seed % 2 == 0 else nn.Tanh()
    case.after.append(_weights(lambda w: w * 50))


def _frozen(case: Case, seed: int) -> None:
    def apply(model: nn.Module) -> None:
        paths = [n for n, m in model.modules() if n and list(m.parameters())]
        model.freeze(f"{paths[seed % len(paths)]}.*")

    case.after.append(apply)


class AlwaysDropout(nn.Dropout):
    """Dropout that does not ask whether it is training."""

    def forward(self, x: Any) -> Any:
        self.training = True
        return super().forward(x)


def _dropping(case: Case, seed: int) -> None:
    places = _activations(case)
    case.layers.insert(places[seed % len(places)] + 1, AlwaysDropout(0.3))


Plant = Callable[[Case, int], object]
FAULTS: dict[str, Plant] = {
    "symmetric start": _symmetric,
    "missing activation": _no_activation,
    "softmax applied twice": _softmax,
    "loss does not fit": _other_loss,
    "labels off by one": _off_by_one,
    "shuffled labels": _shuffled,
    "noisy labels": _noisy,
    "unscaled column": _unscaled,
    "leaking column": _leaking,
    "rate too high": _rate(100),
    "rate too low": _rate(1e-3),
    "dead units": _dead,
    "saturated units": _saturated,
    "frozen layer": _frozen,
    "dropout in evaluation": _dropping,
}
NOT_IN = {
    "softmax applied twice": "table",  # numbers, no classes
    "noisy labels": "table",
    "dead units": "risk",  # it has no ReLU
}


def where(fault: str) -> tuple[str, ...]:
    """The five networks that a fault is planted in."""
    return tuple([SPARE[0] if name == NOT_IN.get(fault) else name for name in FIVE])


def planted(fault: str | Plant, network: str, seed: int) -> Case:
    """A training with a fault in it, by its name or as a function; "" is none."""
    case = NETWORKS[network](seed)
    if fault:
        plant = FAULTS[fault] if isinstance(fault, str) else fault
        plant(case, seed)
    return case
