"""`.glass` files: what is saved comes back, bit for bit, without its class."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.errors import (
    ConfigError,
    DataError,
    DTypeError,
    FormatError,
    ShapeError,
    UsageError,
)
from glassgrad.files import GraphModule, Labels, Preparation
from glassgrad.files.manifest import MANIFEST, MEMBERS
from glassgrad.files.model import from_bytes, to_bytes
from tests.networks import random_network

RNG = np.random.default_rng(0)


class Net(nn.Module):
    """A user's own: lists of layers, a bare parameter, a buffer, one that nothing reads."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = [nn.Linear(8), nn.Linear(8)]
        self.inner = nn.Sequential(nn.Linear(4), nn.Tanh())
        self.scale = gg.Parameter([2.0])
        self.shift = gg.Buffer([1.0])
        self.unused = gg.Parameter([1.0, 2.0])

    def forward(self, x: Any) -> Any:
        h = nn.tanh(self.blocks[0](x)) * self.scale + self.shift
        return self.inner(h + self.blocks[1](x))


def floats(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


CASES: dict[str, tuple[nn.Module, Any]] = {
    "dense": (nn.Sequential(nn.Linear(64), nn.ReLU(), nn.Linear(3)), floats(1500, 2)),
    "dropout and batch norm": (
        nn.Sequential(nn.Linear(6), nn.Dropout(0.3), nn.BatchNorm1d(), nn.SiLU(), nn.Linear(2)),
        floats(40, 5),
    ),
    "convolution": (
        nn.Sequential(
            nn.Conv2d(6, 3, padding=1),
            nn.BatchNorm2d(),
            nn.GELU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 3, groups=2, bias=False),
            nn.LeakyReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.LayerNorm(),
            nn.Linear(10),
            nn.Softmax(),
        ),
        floats(9, 1, 12, 12),
    ),
    "signals": (
        nn.Sequential(nn.Conv1d(3, 5, stride=2), nn.ELU(), nn.Flatten(), nn.Linear(1)),
        floats(7, 2, 20),
    ),
    "up and down": (
        nn.Sequential(
            nn.Conv2d(4, 3, stride=2),
            nn.InstanceNorm2d(affine=True, track_running_stats=True),
            nn.Residual(nn.Conv2d(4, 3, padding=1), nn.GroupNorm(2), nn.ReLU()),
            nn.MaxPool2d(2, stride=1, dilation=2),
            nn.ConvTranspose2d(4, 3, stride=2, output_padding=1),
            nn.AvgPool2d(3, padding=1, count_include_pad=False),
            nn.LocalResponseNorm(2),
            nn.AdaptiveMaxPool2d((3, 2)),
            nn.BatchNorm2d(momentum=None, affine=False),
            nn.GlobalAvgPool(),
            nn.RMSNorm(),
            nn.Linear(2),
        ),
        floats(9, 1, 12, 11),
    ),
    "volumes": (
        nn.Sequential(
            nn.Conv3d(2, 2),
            nn.BatchNorm3d(),
            nn.ConvTranspose3d(2, 2, stride=2),
            nn.AdaptiveAvgPool3d((2, 3, 1)),
            nn.Flatten(),
            nn.Linear(2),
        ),
        floats(5, 1, 4, 3, 5),
    ),
    "recurrent": (nn.Sequential(nn.RNN(16), nn.Linear(3), nn.LogSoftmax()), floats(7, 5, 4)),
    "tokens": (
        nn.Sequential(nn.Embedding(65, 8), nn.RNN(6, sequences=True), nn.Linear(3)),
        RNG.integers(0, 65, (7, 5)),
    ),
    "float64": (nn.Sequential(nn.Linear(4, dtype="float64"), nn.Softplus()), floats(5, 3)),
    "own module": (Net(), floats(30, 5)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_saved_network_predicts_the_same_bits(name: str, tmp_path: Path) -> None:
    model, x = CASES[name]
    wanted = gg.predict(model, x)
    path = gg.save(model, tmp_path / "m.glass")
    loaded = gg.load(path)
    assert isinstance(loaded, GraphModule)
    found = gg.predict(loaded, x)
    assert found.dtype == wanted.dtype
    assert found.tobytes() == wanted.tobytes()
    assert list(loaded.state_dict()) == list(model.state_dict())
    for key, value in model.state_dict().items():
        assert value.tobytes() == loaded.state_dict()[key].tobytes()
    before = [(p, m.title()) for p, m in model.modules()]
    assert [(p, m.title()) for p, m in loaded.modules()] == before
    again = gg.save(loaded, tmp_path / "again.glass")
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_come_back(seed: int) -> None:
    network = random_network(seed)
    wanted = gg.predict(network.model, network.x)
    data_ = to_bytes(network.model)
    loaded = from_bytes(data_)
    found = gg.predict(loaded, network.x)
    several = isinstance(wanted, tuple)
    for a, b in zip(*[(w if several else (w,)) for w in (found, wanted)], strict=True):
        assert a.tobytes() == b.tobytes()
    assert to_bytes(loaded) == data_


@pytest.mark.parametrize("name", CASES)
def test_a_loaded_network_can_be_called_with_any_number_of_rows(name: str) -> None:
    model, x = CASES[name]
    gg.predict(model, x)
    loaded = from_bytes(to_bytes(model))
    model.eval()
    for rows in (1, 3):
        part = x[:rows] if x.dtype.kind == "i" else x[:rows].astype(model.dtype())
        np.testing.assert_array_equal(
            loaded(gg.tensor(part)).numpy(), model(gg.tensor(part)).numpy()
        )
    model.train()


def test_a_loaded_network_evaluates_and_has_derivatives() -> None:
    d = data.digits()
    model = nn.Sequential(nn.Flatten(), nn.Linear(16), nn.ReLU(), nn.Linear(10))
    gg.fit(model, d.x, d.y, loss="cross_entropy", optimizer="adam", batch_size=64, verbose=False)
    loaded = from_bytes(to_bytes(model, labels=d))
    settings: dict[str, Any] = {"loss": "cross_entropy", "metrics": ("accuracy",)}
    assert gg.evaluate(loaded, d.x_test, d.y_test, **settings) == gg.evaluate(
        model, d.x_test, d.y_test, **settings
    )
    assert loaded.labels.classes == tuple("0123456789")
    nn.losses.cross_entropy(loaded(gg.tensor(d.x[:5])), gg.tensor(d.y[:5])).backward()
    assert all(p.grad is not None for p in loaded.parameters())


def test_it_can_be_trained_further_where_training_is_the_same() -> None:
    x, y = data.spiral()
    model = nn.Sequential(nn.Linear(8), nn.ReLU(), nn.Linear(3))
    how: dict[str, Any] = {"loss": "cross_entropy", "epochs": 3, "verbose": False}
    gg.fit(model, x, y, optimizer=optim.SGD(0.1), **how)
    loaded = from_bytes(to_bytes(model))
    first = gg.fit(model, x, y, optimizer=optim.SGD(0.1), **how)
    second = gg.fit(loaded, x, y, optimizer=optim.SGD(0.1), **how)
    assert first["loss"] == second["loss"]


def test_it_is_not_trained_where_dropout_would_be_missing() -> None:
    x, y = data.spiral()
    model = nn.Sequential(nn.Linear(8), nn.Dropout(), nn.Linear(3))
    loaded = from_bytes(to_bytes(model, x=x))
    with pytest.raises(UsageError, match="cannot be trained"):
        gg.fit(loaded, x, y, loss="cross_entropy", optimizer="sgd", verbose=False)


def test_rows_that_do_not_fit_are_refused() -> None:
    loaded = from_bytes(to_bytes(nn.Linear(10, 3), x=(10,)))
    with pytest.raises(ShapeError, match="x has 9 features, the model expects 10 features"):
        gg.predict(loaded, floats(2, 9))
    with pytest.raises(DTypeError, match="another kind"):
        loaded(gg.tensor(np.zeros((2, 10), np.float64)))
    with pytest.raises(UsageError, match="alone"):
        dict(from_bytes(to_bytes(nn.Sequential(nn.Linear(2, 1)), x=(2,))).modules())["linear1"](
            gg.tensor([[1.0, 2.0]])
        )


def test_tokens_outside_the_table_are_refused() -> None:
    model, x = CASES["tokens"]
    gg.predict(model, x)
    with pytest.raises(gg.errors.DataError, match="token"):
        gg.predict(from_bytes(to_bytes(model)), np.full((1, 5), 65))


def test_what_goes_in_must_be_known() -> None:
    model = nn.Sequential(nn.Linear(3))
    with pytest.raises(UsageError, match="not known yet"):
        to_bytes(model)
    assert to_bytes(model, x=(2,)) == to_bytes(model)
    assert to_bytes(nn.Sequential(nn.Linear(3)), x=floats(5, 2)) == to_bytes(model)
    with pytest.raises(UsageError):
        to_bytes(nn.Linear(3), x="rows")
    with pytest.raises(UsageError, match="not a model"):
        to_bytes("model")  # type: ignore[arg-type]  # the point


@pytest.mark.parametrize(
    "x",
    [
        (0,), (-1,), (True,), (3.0,), (2**40,), (2**20, 2**20), np.zeros((2, 0)), [[1, 2], [3]],
        np.zeros((2, 3), np.int8), np.zeros((2, 3), np.uint16), np.zeros((2, 3), "M8[s]"),
    ],
    ids=str,
)  # fmt: skip
def test_an_input_that_no_file_can_describe_is_refused_when_it_is_saved(x: Any) -> None:
    with pytest.raises(UsageError):
        to_bytes(nn.Flatten(), x=x)


def test_a_network_that_would_not_be_read_is_not_written() -> None:
    with pytest.raises(ConfigError, match="cannot be kept in a file"):
        to_bytes(nn.Reshape(*[1] * 33), x=(1,))


def test_a_shape_may_be_of_numpys_whole_numbers() -> None:
    assert to_bytes(nn.Linear(3), x=(np.int64(2),)) == to_bytes(nn.Linear(3), x=(2,))


@pytest.mark.parametrize("path", [None, 12, b"m.glass", 1.5, ["m.glass"]])
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(UsageError, match="no path"):
        gg.save(nn.Linear(2, 3), path, x=(2,))
    with pytest.raises(UsageError, match="no path"):
        gg.load(path)


def test_names_of_files_may_be_as_long_as_the_system_takes_them(tmp_path: Path) -> None:
    path = tmp_path / ("\U0001f600" * 62 + ".glass")
    assert gg.save(nn.Linear(2, 3), path, x=(2,)) == path
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert isinstance(gg.load(path), nn.Module)


def test_a_name_in_a_message_is_one_line_of_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        gg.save(nn.Linear(2, 3), tmp_path / "a\x1b[31m\nb" / "m.glass", x=(2,))
    assert str(caught.value).replace("\n", "").isprintable()
    assert r"a\x1b[31m\nb" in str(caught.value)


def test_the_same_model_is_the_same_bytes_and_a_zip_that_others_read(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 3))
    path = gg.save(model, tmp_path / "m.glass", x=(2,), labels={"classes": ["a", "b", "c"]})
    assert path.read_bytes() == to_bytes(model, labels={"classes": ("a", "b", "c")})
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [MANIFEST, *MEMBERS]
        assert {i.compress_type for i in archive.infolist()} == {zipfile.ZIP_STORED}


def test_labels_come_back(tmp_path: Path) -> None:
    labels = Labels(
        ("[red]", "=1+1", "a\nb", "\x1b[31m"), ("kg",), "classification", "cross_entropy", "mine",
        Preparation((1.5,), (2.0,)),
    )  # fmt: skip
    loaded = from_bytes(to_bytes(nn.Linear(1, 4), x=(1,), labels=labels))
    assert loaded.labels == labels
    for wrong in (
        {"colour": 1},
        {"task": "magic"},
        {"classes": [1]},
        7,
        {"preparation": {"shift": [1]}},
    ):
        with pytest.raises(ConfigError):
            to_bytes(nn.Linear(1, 4), x=(1,), labels=wrong)
    with pytest.raises(ConfigError):
        Preparation((1.0,), (0.0,))
    with pytest.raises(ShapeError):
        Preparation((1.0, 2.0), (1.0, 1.0))([[1.0, 2.0, 3.0]])


@pytest.mark.parametrize("name", ["m.pkl", "m", "m.glass.txt", "m.onnx"])
def test_a_model_file_ends_in_glass(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.glass"):
        gg.save(nn.Linear(1, 1), tmp_path / name, x=(1,))
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = gg.save(nn.Linear(1, 1), tmp_path / "m.glass", x=(1,))
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="cannot be written") as caught:
        gg.save(nn.Linear(1, 2), path, x=(1,))
    assert "No space left" in str(caught.value)
    assert str(path) in str(caught.value)

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gg.save(nn.Linear(1, 2), path, x=(1,))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UsageError, match="cannot be written"):
        gg.save(nn.Linear(1, 1), tmp_path / "no" / "folder" / "m.glass", x=(1,))


def test_missing_files_folders_and_pipes_are_format_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "no.glass", tmp_path, Path("a\0b.glass")):
        with pytest.raises(FormatError) as caught:
            gg.load(path)
        assert caught.value.where
    os.mkfifo(tmp_path / "pipe.glass")
    with pytest.raises(FormatError, match="regular"):
        gg.load(tmp_path / "pipe.glass")


def test_hostile_titles_come_back_as_text_and_never_as_code() -> None:
    class Hostile(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = gg.Parameter([[2.0]])

        def forward(self, x: Any) -> Any:
            return x @ self.weight

        def title(self) -> str:
            return 'net"""\n\x1b[31m; import os #'

    model = nn.Sequential(inner=Hostile())
    gg.predict(model, [[3.0]])
    loaded = from_bytes(to_bytes(model))
    assert gg.predict(loaded, [[3.0]]).tolist() == [[6.0]]
    assert dict(loaded.modules())["inner"].title() == Hostile().title()
    text = gg.source(loaded, [[3.0]], [[1.0]], loss="mse", optimizer="sgd")
    assert "import os" not in [line.strip() for line in text.split("\n")]
    compile(text, "step", "exec")


class _TwoWays(nn.Module):
    """Two inputs (one of tokens), and outputs as a tuple or by name."""

    def __init__(self, named: bool) -> None:
        super().__init__()
        self.named = named
        self.words = nn.Embedding(7, 4)
        self.numbers = nn.Linear(3, 4)
        self.kind = nn.Linear(4, 3)
        self.size = nn.Linear(4, 1)

    def forward(self, token: Any, row: Any) -> Any:
        both = nn.tanh(self.words(token) + self.numbers(row))
        found = (self.kind(both), self.size(both))
        return {"kind": found[0], "size": found[1]} if self.named else found


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("by", ["call", "example", "shapes"])
def test_several_inputs_and_outputs_come_back(named: bool, by: str, tmp_path: Path) -> None:
    token, row = np.arange(5) % 7, np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    model = _TwoWays(named)
    given: Any = {"call": None, "example": [token, row], "shapes": {"token": token, "row": (3,)}}
    if by == "call":
        model(gg.tensor(token), gg.tensor(row))
    path = gg.save(model, tmp_path / "two.glass", x=given[by])
    back = gg.load(path)
    for x in ((token, row), {"token": token, "row": row}):
        ours, theirs = gg.predict(model, x), gg.predict(back, x)
        assert list(ours) == list(theirs) if named else len(ours) == len(theirs) == 2
        for key in ours if named else (0, 1):
            assert ours[key].tobytes() == theirs[key].tobytes()
    eager = back(gg.tensor(token), gg.tensor(row))
    assert isinstance(eager, dict) == named
    again = gg.save(back, tmp_path / "again.glass")
    assert again.read_bytes() == path.read_bytes()
    with pytest.raises(UsageError, match="another number of inputs"):
        back(gg.tensor(token))
    with pytest.raises(ShapeError, match="different numbers of rows"):
        back(gg.tensor(token), gg.tensor(row[:3]))
    with pytest.raises(DataError, match="not in the table"):
        gg.predict(back, (token + 7, row))
    for wrong in (token - 1, token + 7):
        with pytest.raises(DataError, match="outside the axis"):
            back(gg.tensor(wrong), gg.tensor(row))


def test_an_input_that_is_no_example_is_refused(tmp_path: Path) -> None:
    for wrong in ({"row": (3,)}, {"token": (1,), "other": (3,)}, (3,), "abc"):
        with pytest.raises(UsageError, match="no example"):
            gg.save(_TwoWays(False), tmp_path / "two.glass", x=wrong)
