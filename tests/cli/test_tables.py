"""`glassgrad train FILE.csv --target COLUMN`, and what its model does with other files."""

from __future__ import annotations

import csv
import json
import re
import shlex
import subprocess
import sys
import tomllib
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad.cli.tables import digits
from glassgrad.data.preparation import Numeric, TablePreparation, Target
from glassgrad.data.table import read_csv
from glassgrad.files import Labels
from tests.conftest import replay


def table_of(path: str, rows: int, seed: int = 0, target: bool = True, twist: bool = False) -> None:
    """Numbers and classes, some empty, of which a price and a verdict can be learnt."""
    rng = np.random.default_rng(seed)
    size, age = rng.normal(100, 30, rows), rng.integers(0, 80, rows)
    town = rng.choice(["Ulm", "Bonn", "Köln, am Rhein"], rows)
    heating = rng.choice(["gas", "oil", ""], rows)
    price = 3 * size - age + 100 * (town == "Ulm") + 50 * (heating == "") + rng.normal(0, 5, rows)
    verdict = np.where(price > 330, "dear", "cheap")
    gone = rng.random(rows) < 0.1
    price = price - 300 * gone  # an empty size means something
    names = ["size", "age", "town", "heating", *(["price", "verdict"] if target else [])]
    with Path(path).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        for i in range(rows):
            strange = twist and i % 10 == 0
            row = [
                "" if gone[i] else f"{size[i]:.2f}", "" if strange else age[i],
                "Rom" if strange else town[i], heating[i],
            ]  # fmt: skip
            writer.writerow([*row, *([f"{price[i]:.2f}", verdict[i]] if target else [])])


QUICK = ("--epochs", "3", "--batch-size", "64")


def test_the_first_screen_says_what_was_made_of_the_table(run: Any) -> None:
    table_of("homes.csv", 600)
    said = run("train", "homes.csv", "--target", "price", "--drop", "verdict", *QUICK)
    assert said.code == 0
    for part in (
        "homes.csv: 480 rows to train on, 120 to test on", "seed 0", "separated by commas",
        "2 of numbers (1 with empty cells), 2 of classes: 9 inputs", "price, regression: mean",
        "size", "empty cells marked", "town", "3 classes: Bonn, Köln, am Rhein, Ulm",
        "3 classes: empty, gas, oil", "64-relu, 32-relu, 1 output", "mean squared error of the",
        "standardised target", "mean error", "root mean square error", "R^2",
        "runs/homes-csv-1", "glassgrad predict runs/homes-csv-1 homes.csv",
    ):  # fmt: skip
        assert part in said, part
    config = tomllib.loads(Path("runs/homes-csv-1/config.toml").read_text())
    told = {k: config["train"][k] for k in ("dataset", "target", "task", "drop", "epochs")}
    assert told == {
        "dataset": "homes.csv", "target": "price", "task": "regression", "drop": ["verdict"],
        "epochs": 3,
    }  # fmt: skip
    assert run(*shlex.split(config["command"])[1:]).code == 0
    assert run("train", "--config", "runs/homes-csv-1/config.toml").code == 0
    models = [Path(f"runs/homes-csv-{i}/model.glass").read_bytes() for i in (1, 2, 3)]
    assert models[0] == models[1] == models[2]


def test_regression_is_scored_and_predicted_in_the_targets_own_units(run: Any) -> None:
    table_of("homes.csv", 600)
    said = run("train", "homes.csv", "--target", "price", "--drop", "verdict", "--json")
    found = json.loads(said)
    assert said.err == ""
    assert found["task"] == "regression"
    assert set(found["test"]) == {"loss", "mae", "rmse", "r2"}
    assert found["test"]["r2"] > 0.9
    table_of("new.csv", 300, seed=1)
    answers = list(csv.DictReader(StringIO(run("predict", found["run"], "new.csv"))))
    true = np.array([float(a["true"]) for a in answers])
    value = np.array([float(a["value"]) for a in answers])
    scores = json.loads(run("evaluate", found["run"], "new.csv", "--json"))
    assert scores["rows"] == 300
    assert scores["mae"] == pytest.approx(np.abs(true - value).mean(), rel=1e-4)
    assert scores["rmse"] == pytest.approx(np.sqrt(((true - value) ** 2).mean()), rel=1e-4)
    ratio = ((true - value) ** 2).sum() / ((true - true.mean()) ** 2).sum()
    assert scores["r2"] == pytest.approx(1 - ratio, abs=1e-4)
    shown = run("evaluate", found["model"], "new.csv")
    assert "R^2" in shown
    assert "300" in shown


def test_classes_are_counted_and_predicted_by_name(run: Any) -> None:
    table_of("homes.csv", 600)
    found = json.loads(
        run("train", "homes.csv", "--target", "verdict", "--drop", "price", "--json",
            "--validation-split", "0.1")
    )  # fmt: skip
    assert found["task"] == "binary"
    assert found["test"]["accuracy"] > 0.85
    assert set(found["validation"]) == {"loss", "accuracy"}
    history = (Path(found["run"]) / "history.csv").read_text().split("\n")
    assert history[0] == "epoch,loss,accuracy,val_loss,val_accuracy,seconds"
    answers = list(csv.DictReader(StringIO(run("predict", found["run"], "homes.csv"))))
    right = sum(a["true"] == a["class"] for a in answers) / 600
    assert json.loads(run("evaluate", found["run"], "homes.csv", "--json"))["accuracy"] == right
    several = json.loads(
        run("train", "homes.csv", "--target", "town", "--drop", "price", "--json", *QUICK)
    )
    assert several["task"] == "classification"
    head = run("predict", several["run"], "homes.csv").split("\n")[0]
    assert head == 'true,class,p(Bonn),"p(Köln, am Rhein)",p(Ulm)'
    forced = json.loads(
        run("train", "homes.csv", "--target", "town", "--drop", "price", "--json", *QUICK,
            "--categorical", "age", "--task", "classification", "--seed", "3")
    )  # fmt: skip
    model = gg.load(forced["model"])
    how = model.labels.preparation
    assert isinstance(how, TablePreparation)
    assert {c.name for c in how.columns if isinstance(c, Numeric)} == {"size"}


def test_predict_takes_columns_by_name_and_says_what_it_makes_of_them(run: Any) -> None:
    table_of("homes.csv", 400)
    assert run("train", "homes.csv", "--target", "price", "--drop", "verdict", *QUICK).code == 0
    Path("new.csv").write_text(
        'heating;note;age;town;size\n;"=1";30;Rom;\noil;x;;Ulm;90\ngas;x;;Rom;90\n'
    )
    said = run("predict", "runs/homes-csv-1", "new.csv")
    assert said.code == 0
    assert len(said.split()) == 4
    for part in (
        "not used: note", "'age': 2 empty cells take the median", "training rows had none",
        "'town': 'Rom' was never seen in training (2 rows)",
    ):  # fmt: skip
        assert said.err.count(part) == 1, part
    how = gg.load("runs/homes-csv-1/model.glass").labels.preparation
    assert isinstance(how, TablePreparation)
    x = how.apply(read_csv("new.csv")).x
    assert x[0, how.features.index("size is empty")] == 1
    assert x[0, how.features.index("heating = empty")] == 1
    for content, words in (
        ("size,age,town\n1,2,Ulm\n", ("1 column is missing", "heating", "new.csv")),
        ("size,age,town,heating\n1,2,Ulm,gas\n1,old,Ulm,gas\n", ("line 3", "'age'", "'old'")),
        ("size,age,town,heating\n1,2,Ulm\n", ("line 2", "expected: 4", "received: 3")),
        ("size,age,town,heating\n", ("no samples",)),
        ("size,age,town,heating\n1e300,2,Ulm,gas\n", ("too far", "line 2", "'size'")),
    ):
        Path("new.csv").write_text(content)
        said = run("predict", "runs/homes-csv-1", "new.csv")
        assert (said.code, said) == (2, "")
        assert all(word in said.err for word in words), said.err
    assert "no file of this name" in run("predict", "runs/homes-csv-1", "digits").err
    assert "no column 'price'" in run("evaluate", "runs/homes-csv-1", "new.csv").err


def test_what_was_learnt_is_data_and_is_shown(run: Any) -> None:
    table_of("homes.csv", 400)
    assert run("train", "homes.csv", "--target", "price", "--drop", "verdict", *QUICK).code == 0
    said = run("show", "runs/homes-csv-1")
    for part in (
        "trained on homes.csv: regression", "size     numbers  median", "empty cells marked",
        "heating  classes  3 classes: empty, gas, oil", "price    target   mean",
    ):  # fmt: skip
        assert part in said, part
    model = gg.load("runs/homes-csv-1/model.glass")
    gg.save(model, "again.glass")
    assert Path("again.glass").read_bytes() == Path("runs/homes-csv-1/model.glass").read_bytes()
    assert gg.load("again.glass").labels == model.labels


@pytest.mark.usefixtures("numpy_engine")
def test_the_runs_program_gives_the_run_again(run: Any) -> None:
    table_of("homes.csv", 400)
    words = ("--target", "verdict", "--validation-split", "0.2", *QUICK)
    assert run("train", "homes.csv", *words).code == 0
    place = Path("runs/homes-csv-1")
    replay(place)


BAD: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "no target": ((), ("which column", "columns size, age, town", "--target 'verdict'")),
    "15 another target": (("--target", "prize"), ("no column 'prize'", "size, age", "'price'")),
    "another column": (("--target", "price", "--drop", "x"), ("no column 'x'", "size, age")),
    "a dropped target": (("--target", "price", "--drop", "price"), ("--drop and --target",)),
    "another task": (("--target", "price", "--task", "regresion"), ("did you mean 'regression'",)),
    "text as numbers": (
        ("--target", "town", "--task", "regression"), ("homes.csv, line 2, column 'town'",),
    ),
    "three are not two": (("--target", "town", "--task", "binary"), ("3 different", "--task")),
    "a share of 1": (("--target", "price", "--validation-split", "1"), ("below 1", "'1'")),
    "a share of nan": (("--target", "price", "--validation-split", "nan"), ("below 1",)),
    "a rate of 0": (("--target", "price", "--lr", "0"), ("--lr",)),
    "unknown layers": (("--target", "price", "--layers", "64-rleu"), ("64-relu",)),
    "a model of images": (("--target", "price", "--model", "lenet"), ("28 x 28",)),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_usage_gets_its_four_parts(run: Any, name: str) -> None:
    table_of("homes.csv", 40)
    words, parts = BAD[name]
    said = run("train", "homes.csv", *words)
    assert (said.code, said) == (2, "")
    for part in parts:
        assert part in said.err, said.err
    assert not Path("runs").exists()


def test_options_of_tables_are_for_tables(run: Any) -> None:
    for words in (("--task", "regression"), ("--drop", "a"), ("--validation-split", "0.1")):
        said = run("train", "xor", *words)
        assert said.code == 2
        assert f"{words[0]} is for CSV files" in said.err
    assert "cannot be read" in run("train", "none.csv", "--target", "a").err
    assert "cannot be read" in run("train", "xor", "--target", "a").err
    Path("few.csv").write_text("a,b\n1,2\n")
    assert "one value only" in run("train", "few.csv", "--target", "b").err
    Path("few.csv").write_text("a,b\n1,2\n2,x\n")
    assert run("train", "few.csv", "--target", "b", *QUICK).code == 0


HOSTILE = (
    "=cmd|'/c calc'!A0", "@SUM(1)", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "[bold]x[/bold]",
    "<script>alert(1)</script>", '"); import os #', "a\nb", "'''", "\u202eevil", "{x}", "\\", "%s",
)  # fmt: skip


def test_hostile_headings_and_cells_do_no_harm(run: Any) -> None:
    """Formulas, escape sequences, markup and quotes, as names of columns, classes and targets."""
    rng = np.random.default_rng(0)
    with Path("a\x1b[2J<b>.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*HOSTILE, "=target()\x1b[31m"])
        for i in range(130):
            cells = [HOSTILE[rng.integers(13)] for _ in HOSTILE[:-1]]
            writer.writerow([*cells, i / 7, HOSTILE[i % 13]])
    words = (
        "a\x1b[2J<b>.csv",
        "--target",
        "=target()\x1b[31m",
        "--validation-split",
        "0.2",
        *QUICK,
    )
    said = run("train", *words)
    assert said.code == 0
    (place,) = Path("runs").iterdir()
    for file in place.iterdir():
        if file.suffix in (".svg", ".csv", ".py", ".toml"):
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", file.read_text()), file
    import xml.etree.ElementTree as ET

    picture = (place / "curves.svg").read_text()
    ET.fromstring(picture)
    assert "<b>" not in picture
    assert "<script" not in picture
    tomllib.loads((place / "config.toml").read_text())
    done = subprocess.run(
        [sys.executable, "-I", "program.py"], cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert run("show", str(place)).code == 0
    said = run("predict", str(place), words[0])
    assert said.code == 0
    cells = [cell for row in csv.reader(StringIO(said)) for cell in row]
    assert len(cells) == 131 * 15
    assert all(not c.startswith(("=", "@", "+")) for c in cells)
    assert run("evaluate", str(place), words[0]).code == 0
    long = ",".join(["1"] * 12 + ["x" * 10**6, "y"])
    Path("long.csv").write_text(Path(words[0]).read_text(encoding="utf-8") + long, encoding="utf-8")
    said = run("predict", str(place), "long.csv")
    assert said.code == 2
    assert len(said.err) < 1000


def test_a_hundred_thousand_rows_with_classes_and_empty_cells(run: Any) -> None:
    """The whole way at its size: train, load, predict, evaluate."""
    table_of("homes.csv", 100_000)
    said = run("train", "homes.csv", "--target", "price", "--drop", "verdict", "--epochs", "2")
    assert said.code == 0
    assert "80,000 rows to train on, 20,000 to test on" in said
    table_of("new.csv", 1000, seed=1, target=False, twist=True)
    said = run("predict", "runs/homes-csv-1", "new.csv")
    assert said.code == 0
    assert said.split()[0] == "value"
    assert len(said.split()) == 1001
    assert "'age': 100 empty cells take the median" in said.err
    assert "'town': 'Rom' was never seen in training (100 rows): all its inputs are 0" in said.err
    table_of("known.csv", 1000, seed=2)
    assert json.loads(run("evaluate", "runs/homes-csv-1", "known.csv", "--json"))["r2"] > 0.95
    model = gg.load("runs/homes-csv-1/model.glass")
    how = model.labels.preparation
    assert isinstance(how, TablePreparation)
    assert how.target is not None
    values = gg.predict(model, how(read_csv("known.csv")))[:, 0]
    printed = run("predict", "runs/homes-csv-1", "known.csv").split("\n")[1:-1]
    np.testing.assert_allclose(
        values * how.target.deviation + how.target.mean,
        [float(line.split(",")[1]) for line in printed],
        rtol=1e-5, atol=1e-4,
    )  # fmt: skip
    data = np.load("runs/homes-csv-1/data.npz")
    assert data["x"].shape == (80_000, len(how.features))
    assert data["x"].mean(axis=0)[0] == pytest.approx(0, abs=1e-4)


def test_a_target_far_from_0_is_printed_with_the_digits_it_has(run: Any) -> None:
    Path("a.csv").write_text("x,y\n" + "".join(f"{i},{1.7e9 + i / 4}\n" for i in range(60)))
    assert run("train", "a.csv", "--target", "y", "--out", "m", "--epochs", "1").code == 0
    model = gg.load("m/model.glass")
    how = model.labels.preparation
    assert isinstance(how, TablePreparation)
    assert how.target is not None
    mean, deviation = how.target.mean, how.target.deviation
    values = gg.predict(model, how(read_csv("a.csv")))[:, 0].astype(float)
    exact = [v * deviation + mean for v in values.tolist()]
    printed = [float(row["value"]) for row in csv.DictReader(run("predict", "m", "a.csv").split())]
    np.testing.assert_allclose(printed, exact, rtol=0, atol=1e-5)
    assert len(set(printed)) > 30


def test_the_largest_and_the_smallest_targets_have_scores(run: Any) -> None:
    for scale in ("1e300", "1e-300"):
        rows = "".join(f"{i},{i}{scale[1:]}\n" for i in range(40))
        Path("a.csv").write_text("x,y\n" + rows)
        words = ("train", "a.csv", "--target", "y", "--epochs", "1", "--json")
        said = run(*words, "--task", "regression")
        assert said.code == 0
        scores = json.loads(said)["train"]
        assert 0 < scores["mae"] / float(scale) <= scores["rmse"] / float(scale) < 100
        assert scores["r2"] == pytest.approx(1 - scores["loss"], rel=0.5)


def test_digits_follow_mean_and_deviation_whatever_they_are() -> None:
    def of(mean: float, deviation: float) -> int:
        how = TablePreparation((Numeric("x"),), Target("y", mean, deviation))
        return digits(SimpleNamespace(labels=Labels(preparation=how)))  # type: ignore[arg-type]

    assert [of(0.0, 1.0), of(3.0, 10.0), of(-1000.0, 1.0), of(5e-324, 1e308)] == [7, 7, 10, 7]
    assert of(1e308, 5e-324) == 17


def test_a_file_whose_name_begins_as_a_flag_can_be_trained_on_again(run: Any) -> None:
    Path("-x.csv").write_text("x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(40)))
    words = ("--target", "y", "--epochs", "0", "--out")
    assert run("train", *words, "m", "--", "-x.csv").code == 0
    command = tomllib.loads(Path("m/config.toml").read_text())["command"]
    assert run(*shlex.split(command)[1:], "--out", "again").code == 0
    assert Path("again/model.glass").read_bytes() == Path("m/model.glass").read_bytes()
