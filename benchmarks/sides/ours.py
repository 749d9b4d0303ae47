"""glassgrad, as a user writes it: `gg.fit`, `gg.Predictor`; products as plans bound to arrays."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import glassgrad as gg
from benchmarks.inputs import Array, inputs
from benchmarks.sweeps import LEARNING_RATE as SLOW, Language, point
from benchmarks.workloads import LEARNING_RATE
from glassgrad import nn, optim
from glassgrad.backends import native
from glassgrad.engine import executor, peak_flop

from . import Job
from .plans import KERNELS, Plan, beside_reference

BACKEND = os.environ.get("BENCHMARKS_BACKEND", "auto")


def about() -> str:
    """The version, and what runs: the instruction set, or why it is NumPy text."""
    engine, why = (BACKEND, "as asked") if BACKEND != "auto" else executor()
    return f"glassgrad {gg.__version__}, {engine} ({why})"


def peak(threads: int) -> float | None:
    """GFLOP/s in fused multiply-adds on registers, measured now; None without native code."""
    if not native.available():
        return None
    end, found = time.perf_counter() + 0.3, 0.0
    while time.perf_counter() < end:
        found = max(found, peak_flop("float32", threads))
    return found / 1e9


def _dense(hidden: int, outputs: int) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(
        hidden=nn.Linear(hidden), relu=nn.ReLU(), output=nn.Linear(outputs)
    )


def _norms() -> nn.Module:
    return nn.Sequential(
        hidden=nn.Linear(64), norm1=nn.BatchNorm1d(), relu=nn.ReLU(), second=nn.Linear(64),
        norm2=nn.LayerNorm(), relu2=nn.ReLU(), output=nn.Linear(3),
    )  # fmt: skip


def _neuron() -> nn.Module:
    return nn.Sequential(
        hidden=nn.Linear(2), sigmoid=nn.Sigmoid(), output=nn.Linear(1), chance=nn.Sigmoid()
    )


def _article() -> nn.Module:
    return nn.Sequential(
        conv1=nn.Conv2d(1, 3), tanh1=nn.Tanh(), conv2=nn.Conv2d(1, 3), tanh2=nn.Tanh(),
        flat=nn.Flatten(), hidden=nn.Linear(100), tanh3=nn.Tanh(), output=nn.Linear(10),
        shares=nn.Softmax(),
    )  # fmt: skip


def _lenet() -> nn.Module:
    return nn.Sequential(
        conv1=nn.Conv2d(6, 5), relu1=nn.ReLU(), pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(16, 5), relu2=nn.ReLU(), pool2=nn.MaxPool2d(2), flat=nn.Flatten(),
        dense1=nn.Linear(120), relu3=nn.ReLU(), dense2=nn.Linear(84), relu4=nn.ReLU(),
        output=nn.Linear(10),
    )  # fmt: skip


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
        self.two = nn.Conv2d(outputs, outputs, 3, padding=1)
        changed = inputs != outputs
        self.short = nn.Conv2d(inputs, outputs, 1, stride=stride) if changed else nn.Identity()

    def forward(self, x: Any) -> Any:
        return nn.relu(self.two(nn.relu(self.one(x))) + self.short(x))


def _resnet() -> nn.Module:
    return nn.Sequential(
        first=nn.Conv2d(3, 16, 3, padding=1), relu=nn.ReLU(), block1=_Residual(16, 16, 1),
        block2=_Residual(16, 32, 2), block3=_Residual(32, 64, 2), pool=nn.GlobalAvgPool(),
        output=nn.Linear(10),
    )  # fmt: skip


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, causal=True)
        self.norm2 = nn.LayerNorm(width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Any) -> Any:
        x = x + self.attention(self.norm1(x))
        return x + self.narrow(gg.gelu_tanh(self.wide(self.norm2(x))))


class _Language(nn.Module):
    def __init__(self, tokens: int = 65, width: int = 128, context: int = 128) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, width)
        self.positions = nn.LearnedPositions(context, width)
        self.block = [_Block(width, 4) for _ in range(4)]
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, tokens, bias=False)

    def forward(self, x: Any) -> Any:
        x = self.positions(self.embedding(x))
        for block in self.block:
            x = block(x)
        return self.head(self.norm(x)).transpose(0, 2, 1)


class _Double(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(outputs, 3, padding=1)
        self.two = nn.Conv2d(outputs, 3, padding=1)

    def forward(self, x: Any) -> Any:
        return nn.relu(self.two(nn.relu(self.one(x))))


class _UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = _Double(32), _Double(64), _Double(128)
        self.up2 = nn.ConvTranspose2d(64, 2, stride=2)
        self.wide2 = _Double(64)
        self.up1 = nn.ConvTranspose2d(32, 2, stride=2)
        self.wide1, self.output = _Double(32), nn.Conv2d(2, 1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Any) -> Any:
        a = self.down1(x)
        b = self.down2(self.pool(a))
        c = self.bottom(self.pool(b))
        d = self.wide2(gg.concatenate([self.up2(c), b], axis=1))
        return self.output(self.wide1(gg.concatenate([self.up1(d), a], axis=1)))


def _separable() -> nn.Module:
    layers: dict[str, nn.Module] = {"first": nn.Conv2d(32, 3, padding=1), "relu": nn.ReLU()}
    for k, (a, b, stride) in enumerate(((32, 64, 1), (64, 128, 2), (128, 128, 1)), 1):
        layers[f"depth{k}"] = nn.Conv2d(a, 3, stride=stride, padding=1, groups=a)
        layers[f"relu{k}"] = nn.ReLU()
        layers[f"point{k}"] = nn.Conv2d(b, 1)
        layers[f"after{k}"] = nn.ReLU()
    return nn.Sequential(**layers, pool=nn.GlobalAvgPool(), output=nn.Linear(10))


# Network, loss, optimiser.
_Recipe = tuple[Callable[[], nn.Module], str, Callable[[float], optim.Optimizer]]
_NETWORKS: dict[str, _Recipe] = {
    "neuron": (_neuron, "mse", optim.SGD),
    "circles": (_dense(8, 1), "bce_logits", optim.SGD),
    "fits": (_dense(16, 1), "bce_logits", optim.Adam),
    "spiral": (_dense(64, 3), "cross_entropy", optim.Adam),
    "mlp": (_dense(128, 10), "cross_entropy", optim.Adam),
    "infer": (_dense(128, 10), "", optim.Adam),
    "rnn": (
        lambda: nn.Sequential(recurrent=nn.RNN(16), output=nn.Linear(3)),
        "cross_entropy",
        optim.SGD,
    ),
    "lstm": (
        lambda: nn.Sequential(recurrent=nn.LSTM(64), output=nn.Linear(3)),
        "cross_entropy",
        optim.Adam,
    ),
    "norms": (_norms, "cross_entropy", optim.Adam),
    "articlecnn": (_article, "mse", optim.SGD),
    "lenet": (_lenet, "cross_entropy", optim.Adam),
    "infer1": (_lenet, "", optim.Adam),
    "resnet": (_resnet, "cross_entropy", lambda lr: optim.SGD(lr, momentum=0.9)),
    "gpt": (_Language, "cross_entropy", optim.AdamW),
    "unet": (_UNet, "cross_entropy", optim.SGD),
    "dwsep": (_separable, "cross_entropy", optim.SGD),
}


def _tower(*widths: int) -> nn.Module:
    """Dense layers, the first of which finds its inputs out, with ReLU between them."""
    layers: dict[str, nn.Module] = {}
    for k, width in enumerate(widths, 1):
        layers |= {f"dense{k}": nn.Linear(width), f"relu{k}": nn.ReLU()}
    layers.popitem()
    return nn.Sequential(**layers)


def _recipe(name: str) -> _Recipe:
    """Of a workload, or of a point of a sweep."""
    if name in _NETWORKS:
        return _NETWORKS[name]
    match point(name):
        case Language(context):
            return lambda: _Language(context=context), "cross_entropy", optim.Adam
        case grown:
            return lambda: _tower(*grown.widths[1:]), "cross_entropy", optim.Adam


def _model(name: str, weights: dict[str, Array]) -> nn.Module:
    model = _recipe(name)[0]()
    state = model.named_state()
    for path, array in weights.items():
        state[path].assign(array)
    return model


class _Fit(Job):
    """One `gg.fit` for a call, its epochs so many that a step's cost is what is measured."""

    scales = True
    guard = True
    tape: gg.Tape | None = None

    def __init__(self, name: str) -> None:
        self.name, self.inputs = name, inputs(name)
        self.steps = self.inputs.batches
        self.reset()

    def reset(self) -> None:
        self.model = _model(self.name, self.inputs.weights)

    def fit(self, epochs: int) -> gg.train.History:
        _, loss, optimizer = _recipe(self.name)
        return gg.fit(
            self.model,
            self.inputs.x,
            self.inputs.y,
            loss=loss,
            optimizer=optimizer(LEARNING_RATE.get(self.name, SLOW)),
            epochs=epochs,
            batch_size=self.inputs.size,
            shuffle=False,
            metrics=(),  # the peers count no hits either
            guard=self.guard,
            backend=BACKEND,
            tape=self.tape,
            verbose=False,
        )

    def call(self) -> None:
        self.fit(self.epochs)

    def losses(self, passes: int) -> list[float]:
        self.reset()
        found = self.fit(passes)
        self.engine = found.record.backend
        return list(found["loss"])

    def fixed(self) -> float:
        """Seconds that one `fit` costs beside its steps: the least of several."""
        return min(_beside_steps(lambda: self.fit(5)) for _ in range(10))


class _Grown(_Fit):
    """A point of a sweep: an epoch is a step.

    A step of more than a millisecond is timed by the history, as what a fit costs by itself grows
    with the network, too: with millions of weights to hand over it is longer than some steps.
    """

    epochs = 3

    def timed(self) -> float:
        began = time.perf_counter()
        step = median(self.fit(self.epochs).seconds)
        whole = (time.perf_counter() - began) / self.epochs
        return step if step > 1e-3 else whole


class _Fits(Job):
    """A new network of equal structure fitted 50 times: a small grid, or cross-validation."""

    steps = 50

    def __init__(self) -> None:
        self.one = _Fit("fits")

    def call(self) -> None:
        for _ in range(self.steps):
            self.one.model = _NETWORKS["fits"][0]()
            self.one.fit(20)

    def losses(self, passes: int) -> list[float]:
        return self.one.losses(passes)


class _Predict(Job):
    """A prediction bound once, as a session of ONNX Runtime is."""

    steps = 20

    def __init__(self, name: str) -> None:
        self.inputs = inputs(name)
        self.predictor = gg.Predictor(_model(name, self.inputs.weights), backend=BACKEND)

    def call(self) -> None:
        for _ in range(self.steps):
            self.predictor(self.inputs.x)

    def losses(self, passes: int) -> list[float]:
        return [float(v) for v in self.predictor(self.inputs.x).ravel()]


class _Product(Job):
    """A matrix product as a plan bound to its arrays; with a bias and relu where `fused`."""

    def __init__(self, a: Array, b: Array, bias: Array | None) -> None:
        fused = [] if bias is None else [bias]
        function = _rectified if fused else _multiplied
        if executor()[0] == "native" and BACKEND != "numpy":
            plan = Plan(function, [a, b, *fused])
            self.run, self.out = plan.run, plan.out
            return
        program, operands = gg.compile(function), [gg.tensor(v) for v in (a, b, *fused)]
        self.out = program(*operands).numpy()
        self.run = lambda: program(*operands)

    def call(self) -> None:
        self.run()

    def losses(self, passes: int) -> list[float]:
        self.run()
        return [float(v) for v in self.out.ravel()[:50]]


def _multiplied(a: Any, b: Any) -> Any:
    return a @ b


def _rectified(a: Any, b: Any, bias: Any) -> Any:
    return gg.relu(a @ b + bias)


def product(a: Array, b: Array, bias: Array | None) -> Job:
    """A matrix product made ready."""
    return _Product(a, b, bias)


def kernels() -> tuple[str, ...]:
    """What is measured beside the reference kernels: nothing where there is no native code."""
    return tuple(KERNELS) if native.available() else ()


def kernel(name: str, runs: int, seconds: float) -> dict[str, Any]:
    """One of them."""
    return beside_reference(name, runs, seconds)


def job(name: str, threads: int) -> Job:
    """A workload made ready."""
    gg.set_threads(threads)
    if name == "fits":
        return _Fits()
    if name not in _NETWORKS:
        return _Grown(name)
    return _Predict(name) if name.startswith("infer") else _Fit(name)


def _beside_steps(fit: Callable[[], gg.train.History]) -> float:
    """Seconds of a fit outside its epochs, and those the first takes longer than a later one."""
    began = time.perf_counter()
    epochs = fit().seconds
    return time.perf_counter() - began - sum(epochs[1:]) - min(epochs[1:])


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


class _Own(nn.Module):
    """A user's module: traced at each fit, as its forward may depend on anything."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.output = nn.Linear(2, width), nn.Linear(width, 3)

    def forward(self, x: Any) -> Any:
        return self.output(nn.relu(self.hidden(x)))


def _deep(width: int) -> nn.Module:
    return nn.Sequential(*[m for _ in range(12) for m in (nn.Linear(width), nn.GELU())], nn.Linear(3))  # fmt: skip


def _lenet_of(width: int) -> nn.Module:
    model = _lenet()
    model.dense2 = nn.Linear(width)
    return model


def _dropped(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width), nn.BatchNorm1d(), nn.ReLU(), nn.Dropout(0.2), nn.Linear(3))  # fmt: skip


# The network by a width, the width, and the workload whose data it sees.
_STARTS: dict[str, tuple[Callable[[int], nn.Module], int, str]] = {
    "spiral": (lambda w: _dense(w, 3)(), 64, "spiral"),
    "mlp": (lambda w: _dense(w, 10)(), 128, "mlp"),
    "a user's module, 2-16-3": (_Own, 16, "spiral"),
    "batch norm, dropout": (_dropped, 64, "spiral"),
    "12 x (dense, GELU)": (_deep, 32, "spiral"),
    "RNN of 16": (lambda w: nn.Sequential(nn.RNN(w), nn.Linear(3)), 16, "rnn"),
    "lenet": (_lenet_of, 84, "lenet"),
}


def first_steps(name: str, repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of a `fit` of one step: of a structure new to this process, and again.

    A structure is new by a hidden width nobody had before. The second is another instance of the
    structure, its weights drawn before: what it costs beside its steps.
    """
    network, base, of = _STARTS[name]
    at = inputs(of)
    x, y = at.x[: at.size], at.y[: at.size]

    def fit(model: nn.Module, epochs: int = 1) -> gg.train.History:
        settings: dict[str, Any] = {"loss": "cross_entropy", "optimizer": optim.Adam(1e-3)}
        settings |= {"epochs": epochs, "metrics": (), "backend": BACKEND, "verbose": False}
        return gg.fit(model, x, y, **settings)

    fit(network(base + repeats + 1))  # the process is warm
    first, again = [], []
    for k in range(repeats):
        known = network(base + k)
        first.append(_seconds(lambda model=known: fit(model)))
        other = network(base + k).load_state_dict(known.state_dict())
        again.append(min(_beside_steps(lambda model=other: fit(model, 5)) for _ in range(3)))
    return first, again
