"""Bad inputs, and the error each gets: where, what was expected, what was received, what to do.

The numbers are the rows of the table of bad inputs that this is a part of; the others are ours.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import data, nn, optim, train
from glassgrad.errors import ConfigError, GlassgradError, InternalError, shown

R = np.random.default_rng(0)
X = R.normal(size=(30, 10)).astype(np.float32)
Y = R.integers(0, 3, 30)
VALUES = R.normal(size=(30, 2)).astype(np.float32)
IMAGES = R.normal(size=(30, 1, 8, 8)).astype(np.float32)


def net(outputs: int = 3) -> nn.Sequential:
    return nn.Sequential(hidden=nn.Linear(8), relu=nn.ReLU(), output=nn.Linear(outputs))


def fit(model: Any = None, x: Any = X, y: Any = Y, **settings: Any) -> Any:
    given: dict[str, Any] = {"loss": "cross_entropy", "optimizer": "sgd", "verbose": False}
    return gg.fit(net() if model is None else model, x, y, **{**given, **settings})


def changed(array: Any, place: Any, value: Any) -> Any:
    copy = np.array(array)
    copy[place] = value
    return copy


def fitted() -> nn.Module:
    model = net()
    fit(model)
    return model


class Own(nn.Module):
    """A network whose forward is a function of itself and x."""

    def __init__(self, forward: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.layer = nn.Linear(3)
        self._forward = forward

    def forward(self, x: Any) -> Any:
        return self._forward(self, x)


def idx(folder: Path, images: int, labels: int, cut: int = 0) -> Path:
    pixels = struct.pack(">HBB3I", 0, 8, 3, images, 4, 4) + bytes(images * 16)
    classes = struct.pack(">HBBI", 0, 8, 1, labels) + bytes(labels)
    for name, raw in (("images", pixels), ("labels", classes)):
        (folder / name).write_bytes(gzip.compress(raw[: len(raw) - cut]))
    return folder


def _linear(size: Any) -> Callable[[], Any]:
    return lambda: nn.Linear(size)


def _sgd(rate: Any) -> Callable[[], Any]:
    return lambda: optim.SGD(rate)


def _labels(value: int) -> Callable[[], Any]:
    return lambda: fit(y=changed(Y, 7, value))


class Frame:
    """What is asked of a table of pandas or polars: its numbers, and what its columns are called."""

    def __init__(self, numbers: Any, columns: list[str]) -> None:
        self.numbers, self.columns = numbers, columns

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self.numbers, dtype)


# what takes a whole number
COUNTED: dict[str, Callable[[Any], Any]] = {
    "epochs": lambda n: fit(epochs=n),
    "batch_size": lambda n: fit(batch_size=n),
    "seed": lambda n: fit(seed=n),
    "steps": lambda n: gg.verify(fit(), steps=n),
    "patience": lambda n: gg.train.EarlyStopping("loss", patience=n),
    "units": nn.Linear,
    "kernel_size": lambda n: nn.Conv2d(3, n),
    "axis": lambda n: gg.sum([[1.0]], axis=n),
    "a tape's every": lambda n: gg.Tape(every=n),
    "an explained step": lambda n: gg.explain(
        nn.Linear(2), [[1.0, 2.0]], [[1.0, 0.0]], loss="mse", step=n
    ),
    "gradient_accumulation_steps": lambda n: optim.SGD(0.1, gradient_accumulation_steps=n),
}
# what takes a real number, for which a whole one may be too large
MEASURED: dict[str, Callable[[Any], Any]] = {
    "the rate": optim.SGD,
    "momentum": lambda n: optim.SGD(0.1, momentum=n),
    "a slope": nn.LeakyReLU,
    "min_delta": lambda n: gg.train.EarlyStopping("loss", min_delta=n),
    "a shift": lambda n: gg.files.Preparation((n,)),
    "a prepared cell": lambda n: gg.files.Preparation()([[n]]),
    "a class's weight": lambda n: fit(class_weight={0: n, 1: 1.0, 2: 1.0}),
    "a new rate": lambda n: fit(
        callbacks=gg.train.LambdaCallback(on_interval=lambda run: setattr(run, "rate", n))
    ),
    "a scale of initial numbers": nn.init.variance_scaling,
    "an operand": lambda n: gg.tensor([1.0]) * n,
    "a bound": lambda n: gg.clip([1.0], 0, n),
    "units": nn.Linear,
}
# name, what is done, words that the message has
CASES: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "1 nan in x": (lambda: fit(x=changed(X, (17, 2), np.nan)), ("row 17", "column 2", "nan")),
    "1 three that are not finite": (
        lambda: fit(x=changed(X, (slice(17, 20), 2), np.inf)), ("3 values", "row 17"),
    ),
    "1 nan in y": (
        lambda: fit(net(2), y=changed(VALUES, (4, 1), np.nan), loss="mse"), ("y", "row 4", "nan"),
    ),
    "1 nan in validation": (
        lambda: fit(validation_data=(changed(X, (3, 0), np.nan), Y)), ("validation", "row 3"),
    ),
    "1 nan in prediction": (lambda: gg.predict(net(), changed(X, (3, 0), np.nan)), ("row 3",)),
    "3 fewer features": (lambda: gg.predict(fitted(), X[:, :9]), ("hidden", "10", "9")),
    "3 fewer features in evaluation": (
        lambda: gg.evaluate(fitted(), X[:, :9], Y, loss="cross_entropy"), ("hidden", "10", "9"),
    ),
    "3 a second fit with fewer features": (lambda: fit(fitted(), x=X[:, :9]), ("10", "9")),
    "5 a label below 0": (_labels(-1), ("row 7", "0 to 2", "-1")),
    "1 not a number in a named column": (
        lambda: fit(x=Frame(changed(X.astype(float), (17, 1), np.nan), ["age", "in\x1bcome", *"abcdefgh"])),
        ("first at row 17", "column 'in\\x1bcome'"),
    ),
    "5 a label above the outputs": (_labels(3), ("row 7", "0 to 2", "3", "one unit")),
    "5 a label in validation": (
        lambda: fit(validation_data=(X, changed(Y, 7, 3))), ("validation y", "row 7", "0 to 2"),
    ),
    "5 a label in evaluation": (
        lambda: gg.evaluate(net(), X, changed(Y, 7, 9), loss="cross_entropy"), ("row 7", "9"),
    ),
    "7 dense after convolution": (
        lambda: fit(nn.Sequential(conv=nn.Conv2d(4, 3), output=nn.Linear(3)), x=IMAGES),
        ("(n,", "30" if False else "n"),
    ),
    "7 product that does not fit": (
        lambda: fit(Own(lambda self, x: self.layer(x) @ gg.Parameter(np.zeros((5, 2))))),
        ("3",),
    ),
    "7 sizes that were given": (
        lambda: fit(nn.Sequential(a=nn.Linear(10, 8), b=nn.Linear(5, 3))), ("b", "5", "8"),
    ),
    "7 an image for a dense network": (lambda: fit(nn.Sequential(nn.Conv2d(4, 3))), ("Conv2d",)),
    "7 a window larger than the image": (
        lambda: fit(nn.Sequential(nn.Conv2d(4, 9), nn.Flatten(), nn.Linear(3)), x=IMAGES),
        ("9", "8"),
    ),
    "8 no units": (_linear(0), ("units", "1 to", "0")),
    "8 negative units": (_linear(-3), ("units", "-3")),
    "8 half a unit": (_linear(2.5), ("units", "2.5")),
    "8 units that are a truth value": (_linear(True), ("units", "True")),
    "8 a million million units": (_linear(10**12), ("units", "GB")),
    "8 units as text": (_linear("64"), ("units", "'64'")),
    "9 unknown loss": (lambda: fit(loss="cross_entorpy"), ("cross_entropy", "did you mean")),
    "9 unknown optimiser": (lambda: fit(optimizer="adma"), ("adam", "did you mean")),
    "9 unknown metric": (lambda: fit(metrics="acuracy"), ("accuracy", "did you mean")),
    "9 unknown initialiser": (lambda: nn.Linear(3, init="glorto"), ("glorot", "did you mean")),
    "9 unknown backend": (lambda: fit(backend="nunpy"), ("numpy", "did you mean")),
    "10 rate 0": (_sgd(0), ("learning rate", "0")),
    "10 negative rate": (_sgd(-0.1), ("learning rate", "-0.1")),
    "10 rate nan": (_sgd(float("nan")), ("learning rate", "nan")),
    "10 infinite rate": (_sgd(float("inf")), ("learning rate", "inf")),
    "10 rate as text": (_sgd("fast"), ("learning rate", "'fast'")),
    "10 rate as truth value": (_sgd(True), ("learning rate", "True")),
    "10 rate of Adam": (lambda: optim.Adam(0), ("learning rate",)),
    "11 loss that overflows": (
        lambda: fit(nn.Linear(2), x=X * 1e30, y=VALUES, loss="mse"), ("step 1", "loss", "rate"),
    ),
    "12 no rows": (lambda: fit(x=X[:0], y=Y[:0]), ("no rows", "(0, 10)")),
    "12 no rows to predict": (lambda: gg.predict(net(), X[:0]), ("no rows",)),
    "12 no rows to evaluate": (
        lambda: gg.evaluate(net(), X[:0], Y[:0], loss="cross_entropy"), ("no rows",),
    ),
    "12 batches of 0 rows": (lambda: fit(batch_size=0), ("batch_size", "0")),
    "rows differ": (lambda: fit(y=Y[:29]), ("30 rows", "(29,)")),
    "one axis": (lambda: fit(x=X[:, 0]), ("(30,)", "reshape(-1, 1)")),
    "a number for x": (lambda: fit(x=3.0), ("rows", "()")),
    "text for x": (lambda: fit(x=[["a"], ["b"]], y=[0, 1]), ("not made of numbers", "'a'")),
    "objects for x": (lambda: fit(x=[[None], [3]], y=[0, 1]), ("not made of numbers", "None")),
    "complex x": (lambda: fit(x=X * 1j), ("complex", "real")),
    "ragged x": (lambda: fit(x=[[1.0], [1.0, 2.0]], y=[0, 1]), ("different lengths",)),
    "dates for x": (lambda: fit(x=np.zeros((3, 1), "M8[s]"), y=[0, 1, 2]), ("datetime64",)),
    "nothing for x": (lambda: fit(x=None), ("None",)),
    "nothing for y": (lambda: fit(y=None), ("targets are missing", "fit(model, x, y)")),
    "text labels": (lambda: fit(y=["cat"] * 30), ("not made of numbers", "cat")),
    "real labels": (lambda: fit(y=Y.astype(float)), ("int64", "whole numbers")),
    "a column of labels": (lambda: fit(y=Y.reshape(-1, 1)), ("(n, 1)", "reshape(-1)")),
    "numbers too large for float32": (
        lambda: fit(x=changed(X.astype(np.float64), (5, 1), 1e300)), ("row 5", "float32", "1e+300"),
    ),
    "a target that would stretch": (
        lambda: fit(net(1), y=VALUES[:, 0], loss="mse"), ("(n, 1)", "(n,)", "reshape"),
    ),
    "a target of another width": (lambda: fit(net(3), y=VALUES, loss="mse"), ("(n, 3)", "(n, 2)")),
    "one-hot rows of another width": (lambda: fit(y=np.eye(4)[Y]), ("(n, 3)", "(n, 4)")),
    "scores without classes": (
        lambda: fit(nn.Sequential(nn.Linear(3), nn.Flatten()), y=np.zeros((30, 2, 2), int)),
        ("(n, 3)",),
    ),
    "no model": (lambda: fit("net"), ("model", "'net'")),
    "a class for a model": (lambda: fit(nn.ReLU), ("model", "ReLU")),
    "nothing to train": (lambda: fit(nn.Sequential(nn.ReLU())), ("nothing to train",)),
    "negative epochs": (lambda: fit(epochs=-1), ("epochs", "-1")),
    "half an epoch": (lambda: fit(epochs=0.5), ("epochs", "0.5")),
    "epochs as text": (lambda: fit(epochs="10"), ("epochs", "'10'")),
    "a batch size as text": (lambda: fit(batch_size="all"), ("batch_size", "'all'")),
    "a seed below 0": (lambda: fit(seed=-1), ("seed", "-1")),
    "a seed as text": (lambda: fit(seed="0"), ("seed", "'0'")),
    "a seed of 65 bits": (lambda: fit(seed=2**64 + 1), ("seed",)),
    "a share of 1 for validation": (lambda: fit(validation_split=1.0), ("validation_split", "1.0")),
    "a negative share": (lambda: fit(validation_split=-0.1), ("validation_split", "-0.1")),
    "a share of nan": (lambda: fit(validation_split=float("nan")), ("validation_split", "nan")),
    "validation twice": (
        lambda: fit(validation_split=0.2, validation_data=(X, Y)), ("validation", "one of them"),
    ),
    "validation without y": (lambda: fit(validation_data=X), ("validation_data", "(x, y)")),
    "validation of another width": (
        lambda: fit(validation_data=(X[:, :9], Y)), ("validation", "(10,)", "(9,)"),
    ),
    "validation of no rows": (lambda: fit(validation_data=(X[:0], Y[:0])), ("validation", "no rows")),
    "one row and a split": (
        lambda: fit(x=X[:1], y=Y[:1], validation_split=0.5), ("too few rows", "1"),
    ),
    "no callback": (lambda: fit(callbacks=[print]), ("callback", "print")),
    "no loss": (lambda: fit(loss=3), ("loss", "3")),
    "a loss of many numbers": (lambda: fit(loss=lambda p, t: p), ("scalar", "(n, 3)", "mean()")),
    "a loss of nothing": (lambda: fit(loss=lambda p, t: None), ("scalar", "None")),
    "a metric of many numbers": (lambda: fit(metrics=lambda p, t: p), ("one number",)),
    "momentum of 1": (lambda: optim.SGD(0.1, momentum=1.0), ("momentum", "1.0")),
    "betas of one number": (lambda: optim.Adam(0.1, betas=0.9), ("betas", "0.9")),  # type: ignore[arg-type]
    "eps of 0": (lambda: optim.Adam(0.1, eps=0), ("eps", "0")),
    "an optimiser's class": (lambda: fit(optimizer=optim.SGD), ("optim", "SGD")),
    "everything dropped": (lambda: nn.Dropout(1.0), ("1.0", "p < 1")),
    "a kernel of 0": (lambda: nn.Conv2d(3, 0), ("kernel_size", "0")),
    "groups that do not divide": (lambda: nn.Conv2d(3, 4, 3, groups=2), ("groups",)),
    "padding larger than the window": (lambda: nn.MaxPool2d(2, padding=2), ("padding",)),
    "a token outside": (
        lambda: gg.predict(nn.Sequential(nn.Embedding(5, 2), nn.Flatten()), [[0, 5]]), ("5", "0 to 4"),
    ),
    "real tokens": (
        lambda: gg.predict(nn.Sequential(nn.Embedding(5, 2), nn.Flatten()), [[0.5]]), ("float64",),
    ),
    "one row left for a batch norm": (
        lambda: fit(nn.Sequential(nn.Linear(4), nn.BatchNorm1d(), nn.Linear(3)), batch_size=29),
        ("batchnorm1d1", "at least 2 rows", "batches of 29"),
    ),
    "a batch norm and one sample at a time": (
        lambda: fit(nn.Sequential(nn.Linear(4), nn.BatchNorm1d(), nn.Linear(3)), batch_size=1),
        ("at least 2 rows",),
    ),
    **{
        f"{name} of {value!r}": (partial(run, value), (repr(value),))
        for value in (np.array([1, 2]), np.array(2.5), 2.0, "2", True)
        for name, run in COUNTED.items()
    },
    **{
        f"{name} of 10**400": (partial(run, 10**400), ("1000",)) for name, run in MEASURED.items()
    },
    "a preparation of one number": (lambda: gg.files.Preparation(1.0), ("a tuple", "1.0")),  # type: ignore[arg-type]
    "something that is no module": (lambda: nn.Sequential(nn.Linear(3), "relu"), ("'relu'",)),  # type: ignore[arg-type]
    "named and unnamed modules": (
        lambda: nn.Sequential(nn.Linear(3), output=nn.Linear(3)), ("all named or all unnamed",),
    ),
    "a network that gives two tensors": (
        lambda: fit(Own(lambda self, x: (self.layer(x), x))), ("one output", "out1, output out2"),
    ),
    "a network that gives a number": (lambda: fit(Own(lambda self, x: 3)), ("a tensor", "int")),
    "a network that mixes the rows": (
        lambda: fit(Own(lambda self, x: self.layer(x).sum(axis=0))), ("each row",),
    ),
    "a decision on data": (
        lambda: fit(Own(lambda self, x: self.layer(x) if x.sum() > 0 else x)),
        ("test_bad_inputs.py", "decision"),
    ),
    "a number asked for": (
        lambda: fit(Own(lambda self, x: self.layer(x) * float(x.sum()))), ("test_bad_inputs.py",),
    ),
    "NumPy in a network": (
        lambda: fit(Own(lambda self, x: np.tanh(self.layer(x)))), ("test_bad_inputs.py", "NumPy"),
    ),
    "a tensor from outside": (
        lambda: fit(Own(lambda self, x: self.layer(x) + gg.tensor([1.0, 2.0, 3.0]))),
        ("outside", "Buffer"),
    ),
    "a layer without forward": (lambda: fit(nn.Module()), ("forward",)),
    "two kinds of real numbers": (
        lambda: fit(nn.Sequential(nn.Linear(4), nn.Linear(3, dtype="float64"))),
        ("float32", "float64"),
    ),
    "integers for a layer": (
        lambda: nn.Linear(3)(gg.tensor(np.zeros((2, 4), np.int64))), ("int64", "astype"),
    ),
    "state that does not fit": (
        lambda: fitted().load_state_dict({"hidden.weight": np.zeros((3, 3))}), ("hidden.weight", "(3, 3)"),
    ),
}  # fmt: skip


def checked(error: GlassgradError, words: tuple[str, ...]) -> None:
    """Four parts: what it is about and what was received always; what was wanted or what to do."""
    assert not isinstance(error, InternalError)
    text = str(error)
    assert error.what
    assert error.expected, text
    assert error.received, text
    assert error.where or error.hint or error.exit_code == 2
    for word in words:
        assert word in text, f"{word!r} is missing in:\n{text}"
    assert "Traceback" not in text
    assert max(map(len, text.split("\n"))) < 300
    assert text.isprintable() or "\n" in text


@pytest.mark.parametrize("name", CASES)
def test_a_bad_input_gets_its_error(name: str) -> None:
    run, words = CASES[name]
    with pytest.raises(GlassgradError) as caught:
        run()
    checked(caught.value, words)


def test_16_labels_and_images_of_different_counts(tmp_path: Path) -> None:
    folder = idx(tmp_path, 3, 4)
    with pytest.raises(GlassgradError) as caught:
        fit(nn.Linear(3), data.read_idx(folder / "images"), data.read_idx(folder / "labels"))
    checked(caught.value, ("3 rows", "(4,)"))


@pytest.mark.parametrize("name", ["images", "labels"])
def test_16_a_file_that_is_cut_short(tmp_path: Path, name: str) -> None:
    folder = idx(tmp_path, 3, 3, cut=1)
    with pytest.raises(GlassgradError) as caught:
        data.read_idx(folder / name)
    checked(caught.value, (name,))


def test_a_bad_input_changes_nothing() -> None:
    model = fitted()
    before = model.state_dict()
    for run in (
        lambda: fit(model, y=changed(Y, 0, 7)),
        lambda: fit(model, x=changed(X, (0, 0), np.nan)),
        lambda: fit(model, x=X[:, :9]),
        lambda: fit(model, epochs=-1),
        lambda: model.load_state_dict({"hidden.weight": np.zeros((10, 8))}),
    ):
        with pytest.raises(GlassgradError):
            run()
    assert all((before[k] == v).all() for k, v in model.state_dict().items())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n3,4,5\n", ("line 3", "2", "3")),  # 13: a line with a field too many
        ("a,b\n1,2\n3\n", ("line 3", "2", "1")),
        ('a,b\n1,"1,234"\n', ("line 2", "b", "1,234")),  # 14: what is not a number
        ("a,b\n1,abc\n", ("line 2", "b", "abc")),
        ("a,b\n1,\x1b[31m\n", ("line 2", "b", "x1b")),
        ("a,b\n1,nan\n", ("line 2", "b")),
        ("a\n1\n", ("b",)),  # 15: a column that is missing
        ("a,b\n", ("no samples",)),
        ("", ("no samples", "empty")),
    ],
)
def test_13_to_15_a_table(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    from glassgrad.cli.table import read_table

    path = tmp_path / "rows.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(GlassgradError) as caught:
        read_table(path, ("a", "b"), 2)
    checked(caught.value, ("rows.csv", *words))


# 8 to 10 and 9's unknown names, from a file of settings: the rest of the line, words of the message
SETTINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "8 no units": ('layers = "0-relu"', ("units", "1 to", "0")),
    "8 negative units": ('layers = "-3-relu"', ("layer 1", "-3")),
    "8 half a unit": ('layers = "2.5-relu"', ("layer 1", "2.5")),
    "8 units that are a truth value": ("layers = true", ("a.toml", "layers", "True")),
    "8 a million million units": ('layers = "1000000000000-relu"', ("units", "GB")),
    "9 unknown activation": ('layers = "64-rleu"', ("did you mean '64-relu'",)),
    "9 unknown optimiser": ('optimizer = "adma"', ("did you mean 'adam'",)),
    "9 unknown model": ('model = "lent"', ("did you mean 'lenet'",)),
    "9 unknown setting": ('activaton = "relu"', ("a.toml, [train] activaton", "one of")),
    "10 rate 0": ("lr = 0.0", ("a.toml, [train] lr", "above 0", "0.0")),
    "10 negative rate": ("lr = -0.1", ("a.toml, [train] lr", "above 0", "-0.1")),
    "10 rate nan": ("lr = nan", ("a.toml, [train] lr", "above 0", "nan")),
    "10 infinite rate": ("lr = inf", ("a.toml, [train] lr", "above 0", "inf")),
    "10 rate as text": ('lr = "fast"', ("a.toml, [train] lr", "above 0", "'fast'")),
    "10 rate as truth value": ("lr = true", ("a.toml, [train] lr", "a number", "True")),
    "12 batches of 0 rows": ("batch_size = 0", ("a.toml, [train] batch_size", "from 1", "0")),
    "a seed of 65 bits": ("seed = 18446744073709551616", ("a.toml, [train] seed", "range")),
    "a line that is no TOML": ("epochs: 3", ("a.toml", "TOML", "line 3")),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_8_to_10_a_bad_setting_in_a_file(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from glassgrad.cli import main

    line, words = SETTINGS[name]
    file = tmp_path / "a.toml"
    file.write_text(f'[train]\ndataset = "xor"\n{line}\n', encoding="utf-8")
    assert main(["train", "--config", str(file), "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert all(word in said.err for word in words), said.err
    heads = {part[:11].strip() for part in said.err.split("\n")[1:]}
    assert {"expected:", "received:"} <= heads
    assert "Traceback" not in said.err
    assert not (tmp_path / "run").exists()


CALLBACKS: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "9 unknown column": (lambda: train.EarlyStopping("acuracy"), ("accuracy", "did you mean")),
    "9 unknown mode": (lambda: train.EarlyStopping("loss", mode="mni"), ("min", "did you mean")),
    "10 rate 0 of a schedule": (
        lambda: train.LearningRateScheduler(lambda epoch: 0), ("learning rate", "epoch 0", "above 0"),
    ),
    "10 rate nan of a schedule": (
        lambda: train.LearningRateScheduler(lambda epoch: float("nan")), ("learning rate", "nan"),
    ),
    "10 a factor above 1": (lambda: train.ReduceLROnPlateau("loss", factor=2), ("factor", "2")),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLBACKS)
def test_9_and_10_a_bad_callback(name: str) -> None:
    make, words = CALLBACKS[name]
    with pytest.raises(GlassgradError) as caught:
        fit(callbacks=[make()])
    checked(caught.value, words)


# Rows of tables, and other data: name, the file, what is done with it, words of the message.
def _fitted_to(text: str, target: str = "y") -> Callable[[Path], Any]:
    def run(path: Path) -> Any:
        path.write_text(text, encoding="utf-8")
        table = data.read_csv(path)
        asked = data.question(table, target)
        return asked, data.TablePreparation.fit(table, target=data.Target(target))

    return run


def _prepared_as(text: str) -> Callable[[Path], Any]:
    """A second table, for what was learnt of one with an age and a town."""
    how = data.TablePreparation.fit(data.Table({"age": ["1", "2"], "town": ["a", "b"]}))

    def run(path: Path) -> Any:
        path.write_text(text, encoding="utf-8")
        return how(data.read_csv(path))

    return run


TABLES: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "1 nan in a column": (
        _prepared_as("age,town\n" + "1,a\n" * 17 + "nan,b\n"), ("line 19", "'age'", "'nan'"),
    ),
    "2 one class": (_fitted_to("x,y\n1,a\n2,a\n"), ("'y'", "one value only", "'a'")),
    "2 a class without its name": (_fitted_to("x,y\n1,a\n2,\n"), ("line 3", "'y'", "no target")),
    "3 fewer columns": (_prepared_as("age\n1\n"), ("1 column is missing", "town", "columns age")),
    "5 a class that is none of the model's": (
        lambda _: data.answers_in(
            data.Table({"y": ["a", "c"]}), data.Target("y"), data.Question("binary", ("a", "b"))
        ),
        ("row 1", "'y'", "one of a, b", "'c'"),
    ),
    "9 unknown column": (_fitted_to("age,y\n1,2\n", "agee"), ("'agee'", "did you mean 'age'")),
    "9 unknown task": (
        lambda _: data.question(data.Table({"y": ["1"]}), "y", "regresion"), ("did you mean",),
    ),
    "9 unknown data set": (lambda _: data.load("mnits"), ("did you mean 'mnist'",)),
    "9 unknown download": (lambda _: data.download("mnits"), ("did you mean 'mnist'",)),
    "12 a heading without rows": (_fitted_to("x,y\n"), ("no samples", "table.csv")),
    "12 batches of nothing": (lambda _: data.Batches((X[:0], Y[:0])), ("no samples",)),
    "12 a split of nothing": (lambda _: data.split(X[:0], Y[:0]), ("too few rows",)),
    "13 a row of 7 for 8": (
        _fitted_to("a,b,c,d,e,f,g,y\n" + "1,2,3,4,5,6,7,8\n" * 810 + "1,2,3,4,5,6,7\n"),
        ("table.csv, line 812", "expected: 8", "received: 7"),
    ),
    "14 a separator in a number": (
        _fitted_to('x,y\n1,1\n"1,234",2\n3,4\n'), ("line 3", "'x'", "'1,234'"),
    ),
    "14 a word in a number": (
        _fitted_to('x,y\n"\n1\n",1\nabc\x1b,2\n3,4\n'), ("line 5", "'x'", "'abc\\x1b'"),
    ),
    "15 no target": (_fitted_to("x,z\n1,2\n"), ("no column 'y'", "the columns x, z")),
    "16 half a record": (
        lambda path: (path.write_bytes(bytes(3072)), data.read_cifar10(path)),
        ("table.csv", "3,073", "3,072"),
    ),
    "17 gzip that goes on": (
        lambda path: (
            path.write_bytes(gzip.compress(struct.pack(">HBBI", 0, 8, 1, 9) + bytes(10**7))),
            data.read_idx(path),
        ),
        ("table.csv", "goes on past the size its header declares", "17 bytes", "reading stopped"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_bad_data_gets_its_error(tmp_path: Path, name: str) -> None:
    run, words = TABLES[name]
    with pytest.raises(GlassgradError) as caught:
        run(tmp_path / "table.csv")
    checked(caught.value, words)


def test_a_number_too_long_to_show_is_said_to_be_so() -> None:
    assert "too long" in shown(10**5000)
    with pytest.raises(ConfigError):
        gg.fit(nn.Linear(1), [[1.0]], [[1.0]], loss="mse", optimizer="sgd", epochs=-(10**5000))
