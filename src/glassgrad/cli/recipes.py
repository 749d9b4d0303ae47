"""What is trained when nothing is said: for each data set, layers, optimiser, rate, epochs.

One table, printed by every `glassgrad train`. Nothing in it was chosen by test rows: digits by a
quarter of its training rows held out (four ways, three seeds: 0.981 for this network, 0.983 for
the best and twice as wide; this one's products are small enough for one thread each, so that a
busy machine does not slow it down), MNIST by its last 10,000 training rows (0.975 dense, 0.987
LeNet; Fashion-MNIST takes the same), the drawn sets by rows of other seeds, the gates by training
each from 20 starts.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from glassgrad.errors import ConfigError, shown, unknown_name

if TYPE_CHECKING:
    from glassgrad.files import Labels
    from glassgrad.nn.module import Module
    from glassgrad.optim import Optimizer


@dataclass(frozen=True, slots=True)
class Recipe:
    """A network and how it is trained; `batch_size` None is all rows at once."""

    layers: str
    optimizer: str
    lr: float
    batch_size: int | None
    epochs: int
    loss: str
    shape: tuple[int, ...]  # of one row
    outputs: int
    model: str = ""
    seed: int = 0
    dtype: str = "float32"
    recompute: bool = False
    no_guard: str = ""

    @property
    def coloured(self) -> bool:
        """Whether rows are colour images: bytes, which a norm brings to a common scale."""
        return len(self.shape) == 3 and self.shape[0] == 3


_TABLE: dict[str, Recipe] = {
    "digits": Recipe("128-relu,64-relu", "adam", 3e-3, 32, 30, "cross_entropy", (1, 8, 8), 10),
    "spiral": Recipe("64-relu", "adam", 1e-2, None, 300, "cross_entropy", (2,), 3),
    "circles": Recipe("16-relu", "adam", 3e-2, 64, 30, "bce_logits", (2,), 1),
    "moons": Recipe("16-relu", "adam", 3e-2, 64, 30, "bce_logits", (2,), 1),
    "people": Recipe("2-sigmoid", "adam", 0.1, None, 200, "bce_logits", (2,), 1),
    "mnist": Recipe("128-relu", "adam", 1e-3, 64, 5, "cross_entropy", (1, 28, 28), 10),
    "fashion-mnist": Recipe("128-relu", "adam", 1e-3, 64, 5, "cross_entropy", (1, 28, 28), 10),
    "cifar10": Recipe("cnn", "adam", 1e-3, 64, 5, "cross_entropy", (3, 32, 32), 10, "cnn"),
}
_GATE = Recipe("4-tanh", "momentum", 0.5, None, 300, "bce_logits", (2,), 1)

MOMENTUM = 0.05  # its rate: every other optimiser has one in `optim.RATES`
MODELS = ("mlp", "lenet", "cnn")
MODEL_EPOCHS = {"lenet": 3}
ACTIVATIONS = {
    "relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid", "gelu": "GELU", "silu": "SiLU",
    "elu": "ELU", "leakyrelu": "LeakyReLU", "softplus": "Softplus",
    "relu6": "ReLU6", "selu": "SELU", "celu": "CELU", "mish": "Mish", "hardswish": "Hardswish",
    "hardsigmoid": "Hardsigmoid", "hardtanh": "Hardtanh", "softsign": "Softsign",
    "logsigmoid": "LogSigmoid", "hardshrink": "Hardshrink", "softshrink": "Softshrink",
    "tanhshrink": "Tanhshrink",
}  # fmt: skip
_OTHERS = ("dropout", "batchnorm", "layernorm")
_MOST_LAYERS = 1000


def recipe_for(dataset: str, given: dict[str, Any]) -> Recipe:
    """The recipe of a data set with what the user asked for put in."""
    from glassgrad.data import GATES, NAMES

    if dataset not in NAMES:
        raise unknown_name("data set", dataset, NAMES)
    return with_given(_GATE if dataset in GATES else _TABLE[dataset], dataset, given)


def with_given(found: Recipe, dataset: str, given: dict[str, Any]) -> Recipe:
    """A recipe with what the user asked for put in."""
    chosen = {k: v for k, v in given.items() if v is not None}
    model = chosen.get("model", "")
    if model and "layers" in chosen:
        raise ConfigError(
            "--layers and --model are both given",
            expected="one of them",
            received=f"--layers {chosen['layers']} --model {model}",
        )
    if model:
        if model not in MODELS:
            raise unknown_name("model", model, MODELS)
        if model == "lenet" and found.shape[1:] != (28, 28):
            raise ConfigError(
                "lenet reads images of 28 x 28 pixels",
                where=f"--model {model}",
                expected="mnist or fashion-mnist",
                received=f"{dataset}, rows of {found.shape}",
                hint="--model mlp, or --layers 64-relu,32-relu",
            )
        if model == "cnn" and (len(found.shape) != 3 or min(found.shape[1:]) < 8):
            raise ConfigError(
                "cnn reads images",
                where=f"--model {model}",
                expected="images of 8 x 8 pixels or more",
                received=f"{dataset}, rows of {found.shape}",
                hint="--model mlp, or --layers 64-relu,32-relu",
            )
        chosen["layers"] = "128-relu" if model == "mlp" else model
        chosen.setdefault("epochs", MODEL_EPOCHS.get(model, found.epochs))
    elif "layers" in chosen:
        chosen["model"] = ""
    put_optimizer(chosen, found.optimizer)
    if chosen.get("batch_size") == "all":
        chosen["batch_size"] = None
    return replace(found, **chosen)


def guard_of(no_guard: str) -> Any:
    """What `fit` takes as guard where these checks are to be left out."""
    from glassgrad.train.guards import checked_guards

    if no_guard == "all":
        return False
    names = [name.strip() for name in no_guard.split(",") if name.strip()]
    try:
        return checked_guards(dict.fromkeys(names, False))
    except ConfigError as error:
        raise error.at("--no-guard") from None


def put_optimizer(chosen: dict[str, Any], usual: str) -> None:
    """Check the name that was asked for, and give another optimiser than the usual its own rate."""
    from glassgrad import optim

    name = chosen.get("optimizer", usual)
    known = ("momentum", *optim.NAMED)
    if name not in known:
        raise unknown_name("optimiser", name, known)
    if name != usual:
        chosen.setdefault("lr", optim.RATES.get(name, MOMENTUM))
    if name == "lbfgs":  # it is for full batches
        chosen.setdefault("batch_size", "all")


def optimizer_of(name: str, rate: float) -> Optimizer:
    """The optimiser a recipe names."""
    from glassgrad import optim

    if name == "momentum":
        return optim.SGD(rate, momentum=0.9)
    return optim.find(name, rate)


def network_of(recipe: Recipe) -> Module:
    """The network a recipe describes, from the rows' shape to the outputs."""
    from glassgrad import nn

    kind: dict[str, Any] = {"dtype": recipe.dtype}
    if recipe.model == "lenet":
        return nn.Sequential(
            nn.Conv2d(6, 5, **kind), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 5, **kind), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(120, **kind), nn.ReLU(), nn.Linear(84, **kind), nn.ReLU(),
            nn.Linear(recipe.outputs, **kind),
        )  # fmt: skip
    if recipe.model == "cnn":  # it begins with a norm: pixels may be bytes
        same: dict[str, Any] = {"padding": 1, **kind}
        return nn.Sequential(
            nn.BatchNorm2d(**kind),
            nn.Conv2d(16, 3, **same), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 3, **same), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(64, **kind), nn.ReLU(), nn.Linear(recipe.outputs, **kind),
        )  # fmt: skip
    layers: list[Module] = [nn.BatchNorm2d(**kind)] if recipe.coloured else []
    layers += [nn.Flatten()] if len(recipe.shape) > 1 else []
    for layer in parse_layers(recipe.layers):
        if layer.kind == "units":
            layers.append(nn.Linear(int(layer.value), **kind))
        elif layer.kind == "dropout":
            layers.append(nn.Dropout(layer.value))
        elif layer.kind == "batchnorm":
            layers.append(nn.BatchNorm1d(**kind))
        elif layer.kind == "layernorm":
            layers.append(nn.LayerNorm(**kind))
        else:
            layers.append(getattr(nn, ACTIVATIONS[layer.kind])())
    return nn.Sequential(*layers, nn.Linear(recipe.outputs, **kind))


@dataclass(frozen=True, slots=True)
class Layer:
    """One word of `--layers`: "units" with a number, an activation, "dropout" with a share, ..."""

    kind: str
    value: float = 0


def parse_layers(text: str) -> list[Layer]:
    """The layers between input and output that a text such as `64-relu,dropout:0.1` means.

    `UNITS-ACTIVATION`, `UNITS` alone, `dropout:SHARE`, `batchnorm`, `layernorm`, separated by
    commas; `none` for no layer at all. Raises ConfigError, with the place and the nearest word.

    >>> [layer.kind for layer in parse_layers("64-relu,dropout:0.1")]
    ['units', 'relu', 'dropout']
    """
    if text.strip() == "none":
        return []
    found: list[Layer] = []
    words = text.split(",")
    if len(words) > _MOST_LAYERS:
        raise ConfigError(
            "there are too many layers",
            where="--layers",
            expected=f"at most {_MOST_LAYERS}",
            received=f"{len(words):,}",
        )
    for number, word in enumerate(words, 1):
        where = f"--layers, layer {number} of {len(words)}"
        found += _layer(word.strip().lower(), where)
    return found


def _layer(word: str, where: str) -> list[Layer]:
    grammar = "UNITS-ACTIVATION such as 64-relu, or dropout:0.1, batchnorm, layernorm"
    if re.fullmatch(r"batch_?norm(1d)?|layer_?norm", word):
        return [Layer("batchnorm" if word.startswith("batch") else "layernorm")]
    name, colon, value = word.partition(":")
    if name == "dropout" and colon:
        if not re.fullmatch(r"0?\.[0-9]{1,12}|0", value):
            raise ConfigError(
                "dropout takes a share",
                where=where,
                expected="dropout:0.1, from 0 to below 1",
                received=shown(word),
            )
        return [Layer("dropout", float(value))]
    units, dash, activation = word.partition("-")
    if not re.fullmatch(r"[0-9]{1,18}", units):
        raise ConfigError(
            "a layer of a kind that is not known",
            where=where,
            expected=grammar,
            received=shown(word),
            hint=_nearest(word),
        )
    if not 1 <= int(units) <= 10**6:
        raise ConfigError(
            "the number of units is out of range",
            where=where,
            expected="1 to 1,000,000",
            received=f"{int(units):,}",
            hint=f"{int(units) * 4 / 1e9:,.1f} GB for one number each" if int(units) else "",
        )
    if dash and activation not in ACTIVATIONS:
        error = unknown_name("activation", activation, tuple(ACTIVATIONS))
        near = get_close_matches(activation, ACTIVATIONS, n=1)
        if near:
            error.hint = f"did you mean '{int(units)}-{near[0]}'?"
        raise error.at(where)
    layers = [Layer("units", int(units))]
    return [*layers, Layer(activation)] if dash else layers


def _nearest(word: str) -> str:
    """What may have been meant: the parts the other way round, or a word spelt so."""
    swapped = re.fullmatch(r"([a-z]+)-?([0-9]{1,9})", word)
    if swapped and (near := get_close_matches(swapped[1], ACTIVATIONS, n=1)):
        return f"did you mean '{int(swapped[2])}-{near[0]}'?"
    joined = re.fullmatch(r"([0-9]{1,9})[ :_]?([a-z]+)", word)
    if joined and (near := get_close_matches(joined[2], ACTIVATIONS, n=1)):
        return f"did you mean '{int(joined[1])}-{near[0]}'?"
    near = get_close_matches(word.partition(":")[0], [*_OTHERS, *MODELS], n=1)
    if near and near[0] == "dropout":
        return "did you mean 'dropout:0.1'?"
    if near and near[0] in MODELS:
        return f"did you mean --model {near[0]}?"
    if near:
        return f"did you mean {near[0]!r}?"
    if get_close_matches(word, ACTIVATIONS, n=1):
        return f"did you mean '64-{get_close_matches(word, ACTIVATIONS, n=1)[0]}'?"
    return "--layers 64-relu,32-relu"


# ------------------------------------------------------------------------------------------- data


def labels_of(dataset: Any, recipe: Recipe) -> Labels:
    """What a model trained on this set says about its numbers, with the way from raw rows."""
    from glassgrad import data
    from glassgrad.files import Labels, Preparation

    how, features = None, tuple(dataset.feature_names)
    if dataset.name in ("mnist", "fashion-mnist"):
        how = Preparation((0.0,), (255.0,))
    elif dataset.name == "digits":
        how = Preparation((0.0,), (16.0,))
    elif dataset.name == "people":
        how = Preparation((135.0, 66.0), (1.0, 1.0))
        features = ("weight in lb", "height in in")
    elif dataset.name in ("circles", "moons"):
        x, y = data.circles(seed=0) if dataset.name == "circles" else data.moons(noise=0.1, seed=0)
        train = data.split(x, y, test=0.2, seed=0)[0].astype("float64")
        mean, deviation = train.mean(axis=0).tolist(), train.std(axis=0).tolist()
        how = Preparation(tuple(mean), tuple(deviation))
        features = ("x1", "x2")
    return Labels(tuple(dataset.classes), features, dataset.task, recipe.loss, dataset.name, how)


def data_files(dataset: Any) -> dict[str, Any] | None:
    """Where a run's program can read a large set again: its packed files, by name and hash.

    None where there are none, or where they are not packed: then the run copies its rows.
    """
    import hashlib
    from pathlib import Path

    place = re.search(r", read from (.*)\Z", dataset.source, re.DOTALL)
    if dataset.name not in ("mnist", "fashion-mnist") or place is None:
        return None
    top = Path(place[1])
    found = []
    for stem, kind in (("train-images", "idx3-ubyte"), ("train-labels", "idx1-ubyte")):
        names = [f"{stem}{dot}{kind}{end}" for end in ("", ".gz") for dot in ("-", ".")]
        name = next((n for n in names if (top / n).is_file()), "")
        if not name.endswith(".gz"):
            return None
        found.append((name, hashlib.sha256((top / name).read_bytes()).hexdigest()))
    return {"folder": os.fspath(top.resolve()), "files": tuple(found), "shape": dataset.x.shape[1:]}
