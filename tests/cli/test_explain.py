"""`glassgrad explain`: a row through a saved model, in every format."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.cli import main
from glassgrad.files import Labels


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
    made(gg.tensor(np.zeros((1, 1, 8, 8), np.float32)))
    classes = tuple(map(str, range(10)))
    labels = Labels(classes=classes, task="classification", loss="cross_entropy", dataset="digits")
    file = tmp_path_factory.mktemp("explain") / "model.glass"
    gg.save(made, file, labels=labels)
    return file


def test_a_row_of_a_data_set_is_explained(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    follow = ["--follow", "linear1_weight[20, 3]"]
    assert main(["explain", str(model), "digits", "--row", "17", *follow]) == 0
    out = capsys.readouterr().out
    assert out.startswith("One step of ")
    assert "linear2  Linear(8, 10)" in out
    assert "together: d loss / d linear1_weight[20, 3]" in out


@pytest.mark.parametrize(
    ("ending", "begins"),
    [("html", "<!DOCTYPE html>"), ("md", "# One step"), ("tex", "\\documentclass"), ("txt", "One")],
)
def test_a_new_file_is_written_in_the_format_of_its_name(
    model: Path, tmp_path: Path, ending: str, begins: str
) -> None:
    out = tmp_path / f"row.{ending}"
    assert main(["explain", str(model), "digits", "--out", str(out)]) == 0
    assert out.read_text(encoding="utf-8").startswith(begins)
    before = out.read_bytes()
    assert main(["explain", str(model), "digits", "--row", "1", "--out", str(out)]) == 2
    assert out.read_bytes() == before


def test_rows_without_an_answer_need_one(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.csv"
    np.savetxt(rows, np.arange(64.0).reshape(1, 64) / 64, delimiter=",")
    assert main(["explain", str(model), str(rows)]) == 2
    assert "--answer" in capsys.readouterr().err
    assert main(["explain", str(model), str(rows), "--answer", "7"]) == 0
    said = capsys.readouterr().out
    assert "y (1) = [7]" in said
    assert "right is 7; the model says " in said


@pytest.mark.parametrize(
    "given",
    [["--row", "999999"], ["--format", "pdf"], ["--follow", "x; y"], ["--follow", "nothing[0]"],
     ["--follow", "linear1_weight[99,0]"], ["--answer", "eleven"], ["--row", "-1"]],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_in_four_parts(
    model: Path, given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(model), "digits", *given]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "received:" in said
    assert "expected:" in said
    assert "--follow" not in given or "where:    --follow" in said


def fitted(place: Path, loss: Any, **more: Any) -> str:
    """A model of two columns and three classes, trained for two steps and written."""
    made = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))
    x, y = np.array([[0.5, 1.0], [-0.4, 0.2], [0.9, -0.7]], "f4"), np.array([0, 1, 2])
    gg.fit(made, x, y, loss=loss, optimizer="sgd", epochs=2, verbose=False, **more)
    labels = Labels(classes=("a", "b", "c"), task="classification", loss="cross_entropy")
    np.savetxt(place / "rows.csv", x, delimiter=",")
    return str(gg.save(made, place / "model.glass", labels=labels))


def test_the_loss_is_that_of_training_with_its_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loss = nn.CrossEntropyLoss(weight=[0.5, 2.0, 3.0], label_smoothing=0.3, reduction="sum")
    file = fitted(tmp_path, loss)
    rows = [str(tmp_path / "rows.csv"), "--row", "1", "--answer", "c"]
    assert main(["explain", file, *rows]) == 0
    said = capsys.readouterr().out
    once = gg.fit(
        gg.load(file), [[-0.4, 0.2]], [2], loss=loss, optimizer="sgd", verbose=False
    )["loss"][0]  # fmt: skip
    assert float(said.split("loss ", 1)[1].split("\n")[0]) == pytest.approx(once, rel=1e-4)
    about = "loss: cross-entropy of softmax, weight=[0.5, 2.0, 3.0], label_smoothing=0.3"
    assert f"{about}, as in training" in " ".join(said.split())
    assert main(["explain", file, *rows, "--loss", "cross_entropy"]) == 0
    assert "cross-entropy of softmax, as --loss asks" in capsys.readouterr().out


def test_weights_of_classes_and_penalties_are_part_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = fitted(tmp_path, "cross_entropy", class_weight=[1.0, 2.0, 8.0])
    rows = [str(tmp_path / "rows.csv"), "--answer", "c"]
    assert main(["explain", file, *rows]) == 0
    assert "times 8, the weight of its class, as in training" in capsys.readouterr().out
    file = fitted(tmp_path, "cross_entropy", sample_weight=[1.0, 2.0, 8.0])
    assert main(["explain", file, *rows]) == 0
    assert "other than in training: rows had weights of their own" in capsys.readouterr().out


def test_no_other_loss_is_explained_in_the_place_of_an_unknown_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def ours(prediction: Any, target: Any) -> Any:
        return nn.losses.cross_entropy(prediction, target) * 2

    file = fitted(tmp_path, ours)
    rows = [str(tmp_path / "rows.csv"), "--answer", "c"]
    assert main(["explain", file, *rows]) == 2
    said = capsys.readouterr().err
    assert "the user's own" in said
    assert "--loss NAME" in said
    plain = tmp_path / "plain.glass"
    gg.save(nn.Linear(2, 3), plain, x=(2,), labels={"task": "classification"})
    assert main(["explain", str(plain), rows[0], "--answer", "2"]) == 2
    assert "try:      --loss cross_entropy" in capsys.readouterr().err
    assert main(["explain", str(plain), rows[0], "--answer", "2", "--loss", "cross_entropy"]) == 0


def test_a_row_of_a_table_has_its_columns_and_its_units(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"{a},{'Bern' if a % 3 else 'Ulm'},{a * 3 + 100},{'no' if a < 50 else 'yes'}" for a in range(20, 80)]  # fmt: skip
    Path("people.csv").write_text("\n".join(["age,city,price,kind", *lines]))
    train = ["train", "people.csv", "--epochs", "1", "--layers", "4-relu", "-q"]
    assert main([*train, "--target", "price", "--drop", "kind", "--out", "price"]) == 0
    assert main([*train, "--target", "kind", "--drop", "price", "--out", "kind"]) == 0
    capsys.readouterr()
    assert main(["explain", "price", "people.csv", "--row", "2"]) == 0
    said = capsys.readouterr().out
    assert "row 2 of people.csv: right is 166; the model says " in said
    assert "columns of x, as they were prepared: age, city" in said
    assert main(["explain", "price", "people.csv", "--row", "2", "--answer", "166"]) == 0
    assert capsys.readouterr().out == said
    assert main(["explain", "kind", "people.csv"]) == 0
    said = capsys.readouterr().out
    found = re.search(r"right is no; the model says (\w+), p\((\w+)\) = (0?[.0-9]*[0-9])", said)
    assert found is not None
    assert found[1] == found[2]
    assert float(found[3]) >= 0.5
    (tmp_path / "empty").mkdir()
    assert main(["explain", "empty", "people.csv"]) == 2
    assert "a folder without model.glass" in capsys.readouterr().err


@pytest.mark.parametrize("network", ["gpt", "lstm"])
def test_a_window_of_a_text_is_explained(
    network: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("play.txt").write_text("to be or not to be, that is the question:\n" * 9)
    size = ["--context", "4", "--width", "4", "--depth", "1", "--epochs", "1"]
    heads = ["--heads", "2"] * (network == "gpt")
    train = ["train", "play.txt", "--model", network, *size, *heads, "-q", "--out", "run"]
    assert main(train) == 0
    capsys.readouterr()
    assert main(["explain", "run", "play.txt", "--row", "2"]) == 0
    said = capsys.readouterr().out
    assert "row 2 of play.txt: the model reads ' not', right is 'not '" in said
    x, y = gg.data.read_text("play.txt").windows(4)[:2]
    once = gg.fit(
        gg.load("run/model.glass"), x[2:3], y[2:3], loss="cross_entropy", optimizer="sgd",
        verbose=False,
    )["loss"][0]  # fmt: skip
    assert float(said.split("loss ", 1)[1].split("\n")[0]) == pytest.approx(once, rel=1e-4)
    Path("other.txt").write_text("XYZ XYZ XYZ")
    for wrong in (["other.txt"], ["play.txt", "--row", "999"], ["play.txt", "--answer", "x"],
                  ["nowhere.txt"], ["digits"]):  # fmt: skip
        assert main(["explain", "run", *wrong]) == 2
        assert capsys.readouterr().err.startswith("error: ")


def test_models_of_several_inputs_are_for_python(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 1)

        def forward(self, left: Any, right: Any) -> Any:
            return self.linear(left + right)

    file = gg.save(Both(), tmp_path / "both.glass", x={"left": (2,), "right": (2,)})
    assert main(["explain", str(file), "rows.csv", "--loss", "mse"]) == 2
    said = capsys.readouterr().err
    assert "left, right" in said
    assert "gg.explain(" in said
