"""The command, run inside this process: results, exit codes, messages, files."""

from __future__ import annotations

import csv
import json
import tomllib
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.engine import executor
from glassgrad.files import Labels, Preparation
from tests.conftest import replay

QUICK = ("--epochs", "2")


def test_the_first_screen_says_what_how_well_and_where(run: Any) -> None:
    said = run("train", "digits", "--layers", "64-relu,32-relu,dropout:0.1", *QUICK)
    assert said.code == 0
    for part in (
        "1,437 training rows", "360 test rows", "10 classes", "64-relu, 32-relu, dropout:0.1",
        "6,570 parameters", "2 epochs", "batches of 32", "Adam(0.003)", "cross-entropy", "seed 0",
        "program.py", "train", "test", "accuracy", "runs/digits-1", "program.py", "curves.svg",
        "model.glass", "glassgrad predict runs/digits-1 digits",
        "glassgrad explain runs/digits-1 digits --row 0",
    ):  # fmt: skip
        assert part in said, part
    assert "epoch 1/2" in said.err
    assert "epoch" not in said.replace("epochs", "").replace("epoch by epoch", "").replace(
        "every epoch", ""
    )
    place = Path("runs/digits-1")
    assert {p.name for p in place.iterdir()} >= {"model.glass", "program.py", "config.toml"}
    config = tomllib.loads((place / "config.toml").read_text())
    assert config["train"]["dataset"] == "digits"
    assert config["train"]["layers"] == "64-relu,32-relu,dropout:0.1"
    again = config["command"].split()
    assert run(*again[1:]).code == 0
    assert (place / "history.csv").read_text().split(",")[:3] == Path(
        "runs/digits-2/history.csv"
    ).read_text().split(",")[:3]
    assert (place / "model.glass").read_bytes() == Path("runs/digits-2/model.glass").read_bytes()


@pytest.mark.parametrize("name", ["digits", "circles", "moons", "spiral", "people", "xor", "nand"])
def test_json_is_one_object_with_these_keys(run: Any, name: str) -> None:
    said = run("train", name, "--json", *QUICK)
    assert said.code == 0
    found = json.loads(said)
    assert list(found) == [
        "dataset", "backend", "epochs", "seconds", "train", "test", "model", "run",
    ]  # fmt: skip
    assert found["dataset"] == name
    assert found["backend"] == executor()[0]
    assert found["epochs"] == 2
    assert isinstance(found["seconds"], float)
    assert set(found["train"]) == {"loss", "accuracy"}
    held = data.load(name).x_test is not None
    assert (found["test"] is not None) == held
    if held:
        assert set(found["test"]) == {"loss", "accuracy"}
    assert Path(found["model"]).is_file()
    assert Path(found["run"]).is_dir()
    assert said.err == ""


def test_predict_gives_the_models_own_numbers(run: Any) -> None:
    assert run("train", "digits", *QUICK).code == 0
    said = run("predict", "runs/digits-1", "digits")
    assert said.code == 0
    rows = list(csv.DictReader(StringIO(said)))
    d = data.digits()
    model = gg.load("runs/digits-1/model.glass")
    scores = gg.predict(model, d.x_test)
    assert [int(r["class"]) for r in rows] == scores.argmax(1).tolist()
    assert [int(r["true"]) for r in rows] == np.asarray(d.y_test).tolist()
    shares = np.exp(scores - scores.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    found = np.array([[float(r[f"p({c})"]) for c in range(10)] for r in rows])
    np.testing.assert_allclose(found, shares, rtol=1e-5, atol=1e-12)


def test_predict_reads_raw_rows(run: Any) -> None:
    assert run("train", "digits", *QUICK).code == 0
    d = data.digits()
    pixels = np.round(np.asarray(d.x_test)[:5].reshape(5, 64) * 16)
    np.savetxt("rows.csv", pixels, delimiter=",", fmt="%d")
    wanted = list(csv.reader(StringIO(run("predict", "runs/digits-1", "digits"))))[1:6]
    found = list(csv.reader(StringIO(run("predict", "runs/digits-1/model.glass", "rows.csv"))))[1:]
    assert [row[1] for row in wanted] == [row[0] for row in found]
    # Other numbers of rows, other sums in the BLAS: the same up to rounding.
    np.testing.assert_allclose(
        np.array([row[2:] for row in wanted], float), np.array([row[1:] for row in found], float),
        rtol=1e-4, atol=1e-9,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "heading"),
    [("circles", "x1,x2"), ("moons", "x1,x2"), ("people", "weight in lb,height in in")],
)
def test_preparation_makes_raw_rows_the_data_sets_own(run: Any, name: str, heading: str) -> None:
    assert run("train", name, *QUICK).code == 0
    loaded = gg.load(f"runs/{name}-1/model.glass")
    d = data.load(name)
    how = loaded.labels.preparation
    assert isinstance(how, Preparation)
    raw = d.x.astype(np.float64) * how.scale + how.shift
    np.testing.assert_allclose(how(raw), d.x, atol=1e-6)
    if name == "circles":
        np.testing.assert_array_equal(how(data.split(*data.circles(seed=0))[0]), d.x)
    first, second = heading.split(",")
    # Columns are found by name: another order, and one more.
    Path("rows.csv").write_text(f"{second},extra,{first}\n2,7,1\n")
    swapped = run("predict", f"runs/{name}-1", "rows.csv")
    Path("rows.csv").write_text("1,2\n")
    assert swapped.code == 0
    assert run("predict", f"runs/{name}-1", "rows.csv") == swapped


def test_evaluate_says_what_train_said(run: Any) -> None:
    trained = json.loads(run("train", "moons", "--json"))
    found = json.loads(run("evaluate", "runs/moons-1", "moons", "--json"))
    assert found["train"] == trained["train"]
    assert found["test"] == trained["test"]
    said = run("evaluate", "runs/moons-1/model.glass", "moons")
    assert f"{100 * trained['test']['accuracy']:.2f} %" in said


def test_show_and_source_and_info(run: Any) -> None:
    said = run("show", "mnist", "--model", "lenet")
    assert "44,426" in said
    assert "281,640" in said
    assert run("train", "xor", *QUICK).code == 0
    assert "Linear(2, 4)" in run("show", "runs/xor-1")
    assert "trained on xor" in run("show", "runs/xor-1/model.glass")
    step = run("source", "digits", "--layers", "16-tanh", "--optimizer", "sgd")
    assert "def train_step" in step
    assert "np.tanh" in step
    compile(step, "step", "exec")
    assert "def train_step" in run("source", "mnist", "--model", "lenet")
    whole = run("source", "xor", "--whole", *QUICK)
    assert whole.strip() == Path("runs/xor-1/program.py").read_text().strip()
    info = run("info")
    for part in ("glassgrad 0", "NumPy", executor()[0], "threads", "GLASSGRAD_DATA"):
        assert part in info
    assert "no mnist" in run("info", "--data", "/no/such")
    assert "train digits" in run()
    assert run("--version").startswith("glassgrad ")


@pytest.mark.skipif(executor()[0] != "native", reason="the native executor is not in use here")
def test_a_plan_is_shown_of_a_data_set_and_of_a_run_with_its_own_settings(run: Any) -> None:
    assert run("train", "moons", "--layers", "24-tanh", "--batch-size", "17", *QUICK).code == 0
    said = run("show", "--plan", "runs/moons-1")
    assert "17 rows of moons" in said
    assert "17 x 2 @ 2 x 24" in said
    assert "32 rows of digits" in run("show", "--plan", "digits")
    deep = ("--layers", ",".join(["32-tanh"] * 12), "--recompute")
    assert "more work" in run("show", "--plan", "digits", *deep)
    Path("alone.glass").write_bytes(Path("runs/moons-1/model.glass").read_bytes())
    alone = run("show", "--plan", "alone.glass")
    assert alone.code == 2
    assert "no config.toml" in alone.err


def test_nothing_is_overwritten(run: Any) -> None:
    for number in (1, 2, 3):
        assert json.loads(run("train", "xor", "--json", *QUICK))["run"] == f"runs/xor-{number}"
    before = {p: p.read_bytes() for p in Path("runs").rglob("*") if p.is_file()}
    said = run("train", "xor", "--out", "runs/xor-1", *QUICK)
    assert said.code == 2
    assert "not empty" in said.err
    assert run("train", "xor", "--out", "mine/here", *QUICK).code == 0
    assert {p: p.read_bytes() for p in Path("runs").rglob("*") if p.is_file()} == before


def test_an_interrupted_run_leaves_nothing(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from glassgrad.train.callbacks import ProgressLines

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ProgressLines, "on_interval", interrupt)
    said = run("train", "xor", *QUICK)
    assert said.code == 130
    assert "nothing was saved" in said.err
    assert not Path("runs").exists()


def test_numbers_that_explode_end_with_1_and_a_message(run: Any) -> None:
    said = run("train", "spiral", "--optimizer", "sgd", "--lr", "1e30", "--layers", "8-elu")
    assert said.code == 1
    for part in ("not finite", "step", "smaller learning rate"):
        assert part in said.err
    assert not Path("runs").exists()


def test_hostile_names_are_shown_as_text(run: Any) -> None:
    hostile = ("[red]", "=1+1", "\x1b[31mred", '"a",\n', "<img src=x onerror=alert(1)>", "@x")
    model = nn.Sequential(nn.Linear(1, 6))
    labels = Labels(hostile, ("[bold]c\x07",), "classification", "cross_entropy", "\x1b]0;x\x07")
    Path("a\x1b[1mb").mkdir()
    gg.save(model, "a\x1b[1mb/m.glass", x=(1,), labels=labels)
    Path("rows.csv").write_text("1\n2\n")
    said = run("predict", "a\x1b[1mb/m.glass", "rows.csv")
    assert said.code == 0
    cells = [cell for row in csv.reader(StringIO(said)) for cell in row]
    assert "p([red])" in cells
    assert all(not c.startswith(("=", "@")) for c in cells)
    assert run("show", "a\x1b[1mb/m.glass").code == 0
    for words in (
        ("train", "\x1b[31m"), ("show", "\x1b[2J"), ("predict", "[red]x", "y"), ("\x1b[31m",),
        ("train", "xor", "--\x1b[31m"), ("train", "xor", "--layers", "[red]64\x07"),
        ("evaluate", "a\x1b[1mb/m.glass", "digits"), ("train", "xor", "--out", "a\x1b[1mb"),
    ):  # fmt: skip
        said = run(*words)
        assert said.code == 2, words
    assert run("train", "xor", "--out", "b\x1b[1mc", *QUICK).code == 0


def test_an_own_model_without_labels_gives_values(run: Any) -> None:
    gg.save(nn.Linear(2, 2), "m.glass", x=(2,))
    Path("rows.csv").write_text("1,2\n")
    assert run("predict", "m.glass", "rows.csv").startswith("value1,value2\n")
    gg.save(nn.Linear(2, 1), "m.glass", x=(2,))
    assert run("predict", "m.glass", "spiral").split("\n")[0] == "true,value"


BAD: dict[str, tuple[tuple[str, ...], str, str]] = {
    "no data set": (("train",), "DATASET", "digits"),
    "unknown data set": (("train", "digts"), "unknown data set", "did you mean 'digits'?"),
    "unknown command": (("trian",), "trian", "glassgrad --help"),
    "unknown option": (("train", "digits", "--epoch", "3"), "--epoch", "glassgrad train --help"),
    "unknown activation": (("train", "digits", "--layers", "64-rleu"), "rleu", "did you mean '64-relu'?"),
    "the wrong way round": (("train", "digits", "--layers", "relu-64"), "relu-64", "'64-relu'"),
    "joined": (("train", "digits", "--layers", "64relu"), "64relu", "'64-relu'"),
    "no units": (("train", "digits", "--layers", "64-relu,relu"), "layer 2 of 2", "'64-relu'"),
    "empty layer": (("train", "digits", "--layers", "64-relu,,3"), "layer 2 of 3", "--layers"),
    "0 units": (("train", "digits", "--layers", "0-relu"), "out of range", "1 to 1,000,000"),
    "-3 units": (("train", "digits", "--layers", "-3-relu"), "-3-relu", "UNITS-ACTIVATION"),
    "2.5 units": (("train", "digits", "--layers", "2.5-relu"), "2.5-relu", "UNITS-ACTIVATION"),
    "True units": (("train", "digits", "--layers", "True"), "true", "UNITS-ACTIVATION"),
    "10^12 units": (("train", "digits", "--layers", "1000000000000-relu"), "1,000,000,000,000", "GB"),
    "other digits": (("train", "digits", "--layers", "\u0664-relu"), "layer 1", "UNITS-ACTIVATION"),
    "dropout 1.5": (("train", "digits", "--layers", "8-relu,dropout:1.5"), "dropout", "below 1"),
    "dropuot": (("train", "digits", "--layers", "8-relu,dropuot:0.1"), "dropuot", "dropout:0.1"),
    "100,000 layers": (("train", "digits", "--layers", ",".join(["1"] * 100_000)), "too many", "1000"),
    "layers and model": (("train", "digits", "--layers", "8", "--model", "mlp"), "both", "one of them"),
    "unknown model": (("train", "digits", "--model", "lent"), "lent", "did you mean 'lenet'?"),
    "lenet on digits": (("train", "digits", "--model", "lenet"), "28 x 28", "--model mlp"),
    "unknown optimiser": (("train", "xor", "--optimizer", "adma"), "adma", "did you mean 'adam'?"),
    "the program of a file": (("source", "a.csv"), "a file's program", "glassgrad train a.csv"),
    "rate 0": (("train", "xor", "--lr", "0"), "--lr", "above 0"),
    "rate negative": (("train", "xor", "--lr", "-1"), "--lr", "above 0"),
    "rate NaN": (("train", "xor", "--lr", "nan"), "--lr", "above 0"),
    "rate a word": (("train", "xor", "--lr", "fast"), "'fast'", "above 0"),
    "rate with _": (("train", "xor", "--lr", "1_0"), "1_0", "above 0"),
    "epochs -1": (("train", "xor", "--epochs", "-1"), "--epochs", "from 0"),
    "epochs 2.5": (("train", "xor", "--epochs", "2.5"), "'2.5'", "whole number"),
    "batch 0": (("train", "xor", "--batch-size", "0"), "--batch-size", "or all"),
    "seed -1": (("train", "xor", "--seed", "-1"), "--seed", "whole number"),
    "seed too large": (("train", "xor", "--seed", str(2**64)), "--seed", "whole number"),
    "unknown backend": (("train", "xor", "--backend", "cuda"), "'cuda'", "numpy"),
    "unknown dtype": (("train", "xor", "--dtype", "float16"), "float16", "float64"),
    "no mnist": (("train", "mnist"), "mnist is not there", "--data DIR"),
    "no mnist there": (("train", "mnist", "--data", "/no/such"), "/no/such", "--data DIR"),
    "no model": (("predict", "nothing", "digits"), "no such model", "glassgrad train digits"),
    "no rows": (("predict", "m.glass", "rows.scv"), "rows.scv", "CSV"),
    "no argument": (("predict", "m.glass"), "ROWS", "--help"),
    "a NumPy file": (("predict", "m.glass", "x.npy"), "NumPy", "savetxt"),
    "another data set": (("predict", "m.glass", "digits"), "do not fit", "rows of 2"),
    "evaluate another": (("evaluate", "m.glass", "digits"), "do not fit", "rows of 2"),
    "evaluate another task": (("evaluate", "m.glass", "spiral"), "another question", "(3,)"),
    "evaluate nothing": (("evaluate", "m.glass", "digts"), "digts", "did you mean"),
    "show nothing": (("show", "nothing"), "nothing", "data set"),
    "show with layers": (("show", "m.glass", "--layers", "3"), "layers already", "--layers"),
    "show a pickle": (("show", "m.pkl"), "can run code", "safetensors"),
    "show text": (("show", "rows.csv"), "not a whole .glass file", "copy it again"),
    "out a file": (("train", "xor", "--out", "rows.csv"), "a file of this name", "another folder"),
    "out below a file": (("train", "xor", "--out", "rows.csv/run"), "cannot be used", "folder"),
    "zero byte": (("predict", "a\0b", "digits"), "file's name", "where"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_usage_gets_its_four_parts(run: Any, name: str) -> None:
    Path("rows.csv").write_text("1,2\n")
    Path("m.pkl").write_bytes(b"\x80\x04N.")
    Path("x.npy").touch()
    gg.save(nn.Linear(2, 1), "m.glass", x=(2,), labels=data.load("xor"))
    words, first, second = BAD[name]
    said = run(*words)
    assert said.code == 2
    assert said == ""
    assert said.err.startswith("error: ")
    assert first in said.err
    assert second in said.err
    heads = {line[:11].strip() for line in said.err.split("\n")[1:] if line}
    assert len(heads & {"where:", "expected:", "received:", "try:"}) >= 2 or name == "zero byte"
    assert len(said.err) < 1500


@pytest.mark.parametrize("command", ["predict", "evaluate", "show", "sample", "download"])
def test_a_name_that_the_system_refuses_is_no_traceback(run: Any, command: str) -> None:
    more = {"predict": ["digits"], "evaluate": ["digits"]}.get(command, [])
    words = ["mnist", "--data", "a" * 5000] if command == "download" else ["a" * 5000, *more]
    said = run(command, *words)
    assert (said.code, said) == (1, "")
    assert "name too long" in said.err
    assert len(said.err) < 1500


def test_download_refuses_a_zero_byte_in_the_folder(run: Any) -> None:
    said = run("download", "mnist", "--data", "a\0b")
    assert said.code == 2
    assert "zero byte" in said.err


TABLES: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "no samples", "empty file"),
    "heading only": (b"x1,x2\n", "no samples", "heading"),
    "ragged": (b"1,2\n3,4\n5\n", "line 3", "expected: 2"),
    "too many": (b"1,2\n3,4,5\n", "line 2", "received: 3"),
    "9 for 10": (b"1\n2\n", "1 column,", "model expects 2"),
    "thousands": (b'1,2\n"1,234",5\n', "line 2, column 1", "'1,234'"),
    "a word": (b"x1,x2\n1,abc\n", "line 2, column 'x2'", "'abc'"),
    "a comma for a point": (b'1,2\n"1,5",2\n', "line 2", "a point before the decimals"),
    "an empty cell": (b"1,2\n3,\n", "a cell is empty", "line 2, column 2"),
    "NaN": (b"x1,x2\n1,2\n3,nan\n", "not finite", "line 3, column 'x2'"),
    "infinity": (b"1,2\n-inf,4\n", "not finite", "line 2, column 1"),
    "overflow": (b"1,2\n1e999,4\n", "not finite", "line 2"),
    "underscore": (b"1,2\n1_0,4\n", "'1_0'", "line 2"),
    "hexadecimal": (b"1,2\n0x10,4\n", "'0x10'", "line 2"),
    "other digits": ("1,2\n\u0663,4\n".encode(), "line 2", "not a number"),
    "a zero byte": (b"1,2\n\0,4\n", "zero byte", "UTF-8"),
    "UTF-16": ("1,2\n".encode("utf-16"), "UTF-8", "byte 0"),
    "an open quote": (b'1,2\n"3,4\n5,6\n', "CSV", "line"),
    "a long field": (b"1,2\n" + b"9" * 200_000 + b",2\n", "line 2", "rows.csv"),
    "a column twice": (b"x1,x1\n1,2\n", "two columns", "'x1'"),
    "columns missing": (b"x1,y,z\n1,2,3\n", "3 columns", "missing: ['x2']"),
    "an escape sequence": (b"1,2\n\x1b[31m,2\n", "line 2", "\\x1b"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_bad_table_is_refused_by_line_and_column(run: Any, name: str) -> None:
    labels = {"features": ("x1", "x2")}
    gg.save(nn.Linear(2, 1), "m.glass", x=(2,), labels=labels)
    content, first, second = TABLES[name]
    Path("rows.csv").write_bytes(content)
    said = run("predict", "m.glass", "rows.csv")
    assert said.code == 2
    assert said == ""
    assert "rows.csv" in said.err
    assert first in said.err
    assert second in said.err
    assert len(said.err) < 1500


@pytest.mark.parametrize(
    "content", [b"1,2\n3,4\n", b"\xef\xbb\xbfx1,x2\r\n1,2\r\n3,4", b'x2,x1\n"2",1\n 4 ,3\n\n']
)
def test_good_tables_are_read(run: Any, content: bytes) -> None:
    gg.save(nn.Linear(2, 1, init=1.0), "m.glass", x=(2,), labels={"features": ("x1", "x2")})
    Path("rows.csv").write_bytes(content)
    assert run("predict", "m.glass", "rows.csv") == "value\n3\n7\n"


def test_a_cut_idx_file_is_refused(run: Any) -> None:
    folder = Path("mnist")
    folder.mkdir()
    images = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (2, 28, 28))
    labels = bytes([0, 0, 8, 1, 0, 0, 0, 2, 3, 4])
    for part in ("train", "t10k"):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(images + bytes(2 * 784))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    said = run("train", "mnist", "--data", ".", *QUICK)
    assert said.code == 0  # unpacked files: the run copies its rows
    assert Path("runs/mnist-1/data.npz").is_file()
    (folder / "train-images-idx3-ubyte").write_bytes(images + bytes(784))
    said = run("train", "mnist", "--data", ".", *QUICK)
    assert said.code == 2
    assert "shorter than its header says" in said.err
    (folder / "train-images-idx3-ubyte").write_bytes(images + bytes(2 * 784))
    (folder / "train-labels-idx1-ubyte").write_bytes(labels[:7] + b"\1\3")
    assert "differ in number" in run("train", "mnist", "--data", ".").err


@pytest.mark.usefixtures("numpy_engine")
@pytest.mark.parametrize("layers", ["16-relu,dropout:0.1,8-tanh", "256-relu,batchnorm"])
def test_the_runs_program_gives_the_run_again(run: Any, layers: str) -> None:

    assert run("train", "digits", "--layers", layers, *QUICK).code == 0
    place = Path("runs/digits-1")
    replay(place)


def test_a_full_disk_is_a_run_time_failure(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    said = run("train", "xor", *QUICK)
    assert said.code == 1
    assert "No space left" in said.err
    assert not list(Path("runs").iterdir())


@pytest.mark.parametrize("name", optim.NAMED)
def test_every_optimiser_of_the_library_is_one_of_the_command(run: Any, name: str) -> None:
    said = run("train", "xor", "--optimizer", name, *QUICK)  # whose own is momentum
    assert said.code == 0, said.err
    assert f"{optim.NAMED[name].__name__}({optim.RATES[name]!r})" in said


def test_lbfgs_takes_all_rows_unless_told_otherwise(run: Any) -> None:
    assert "all rows at once, LBFGS(1.0)" in run("train", "circles", "--optimizer", "lbfgs", *QUICK)
    said = run("train", "circles", "--optimizer", "lbfgs", "--batch-size", "64")
    assert said.code == 2
    assert "L-BFGS needs all rows" in said.err


def test_the_first_help_is_laid_out_as_it_was_written(run: Any) -> None:
    said = run()
    assert "\n    glassgrad train digits      train a network" in said
    assert "..." not in said.split("Commands:")[1]  # no line of it is cut
