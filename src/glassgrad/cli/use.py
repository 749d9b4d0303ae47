"""`glassgrad predict` and `evaluate`: a saved model at work."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad import data as data_sets
from glassgrad.cli import tables
from glassgrad.cli.screen import name, note, say
from glassgrad.cli.table import read_table
from glassgrad.cli.train import score_table
from glassgrad.data.table import FORMULA, NUMBER
from glassgrad.errors import (
    DataError,
    FormatError,
    ShapeError,
    UsageError,
    shown,
    told,
    unknown_name,
)
from glassgrad.files import GraphModule, Preparation, load
from glassgrad.nn import losses
from glassgrad.train.fit import evaluate, predict


def find_model(text: str) -> tuple[GraphModule, Path]:
    """The model in a file, or in a run's folder, and where it is."""
    path, missing = Path(text), "nothing there"
    if "\0" in text:
        raise FormatError("not a file's name", where=shown(text))
    if path.is_dir():
        path, missing = path / "model.glass", "a folder without model.glass"
    if not path.exists():
        raise FormatError(
            "there is no such model",
            where=told(text),
            expected="a .glass file, or the folder of a run that ended",
            received=missing,
            hint=_latest_run(),
        )
    return load(path), path


def _latest_run() -> str:
    found = sorted(Path("runs").glob("*/model.glass"), key=lambda p: p.stat().st_mtime)
    if found:
        return f"the last run here is {name(found[-1].parent)}"
    return "glassgrad train digits makes one"


def row_model(model: GraphModule, path: Path) -> None:
    """A character model reads a text, not rows."""
    if model.labels.task == "text":
        raise UsageError(
            "this is a character model",
            where=name(path),
            expected="a model of rows",
            received=f"one that continues a text, trained on {name(model.labels.dataset)}",
            hint=f"glassgrad sample {name(path)}",
        )


def predict_command(model_text: str, rows_text: str, folder: Path | None) -> None:
    """A line of CSV for each row."""
    model, path = find_model(model_text)
    row_model(model, path)
    x, truth = rows_of(model, rows_text, folder)
    with np.errstate(all="ignore"):
        outputs = predict(model, x)
    header, lines = answers(model, outputs)
    digits = tables.digits(model)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if truth is not None:
        header = ["true", *header]
    writer.writerow([inert(cell) for cell in header])
    for i, line in enumerate(lines):
        cells = [] if truth is None else [inert(truth[i])]
        writer.writerow(
            [*cells, *[inert(c) if isinstance(c, str) else f"{c:.{digits}g}" for c in line]]
        )


def rows_of(
    model: GraphModule, text: str, folder: Path | None
) -> tuple[NDArray[Any], list[str] | None]:
    """Prepared rows, and the true classes where they are known."""
    if tables.takes_tables(model):
        return tables.rows_of(model, text)
    shape = tuple([int(str(s)) for s in model.graph.inputs["x"].type.shape[1:]])
    path = Path(text)
    known = text.strip().lower().replace("_", "-")
    if known in data_sets.NAMES:
        found = data_sets.load(known, folder)
        if found.x.shape[1:] != shape:
            raise other_rows(model, known, found.x.shape[1:], shape)
        x, y = (found.x, found.y) if found.x_test is None else (found.x_test, found.y_test)
        if found.x_test is None:
            note(f"{known} has no test rows: these are the training rows")
        assert y is not None
        numbers = y.reshape(len(y), -1)[:, 0]
        return x, [_class(found.classes, v) for v in numbers.tolist()]
    if path.suffix.lower() in (".npy", ".npz"):
        raise FormatError(
            "rows are read as CSV",
            where=shown(text)[1:-1],
            expected="a CSV file of numbers",
            received="a NumPy file",
            hint="np.savetxt('rows.csv', x, delimiter=',')",
        )
    if not path.is_file():
        error = unknown_name("data set", text, data_sets.NAMES)
        raise DataError(
            "there is no file and no data set of this name",
            expected=f"a CSV file of numbers, or {error.expected}",
            received=error.received,
            hint=error.hint or _latest_rows(),
        )
    table = read_table(path, model.labels.features, prod(shape))
    how = model.labels.preparation
    if isinstance(how, Preparation):
        table = how(table, model.dtype())
    return table.reshape(len(table), *shape), None


def _latest_rows() -> str:
    found = sorted(Path().glob("*.csv"))[:3]
    return "here are " + ", ".join(name(p) for p in found) if found else ""


def _class(classes: Sequence[str], value: float) -> str:
    return classes[int(value)] if classes and 0 <= value < len(classes) else f"{value:g}"


def other_rows(
    model: GraphModule, dataset: str, given: tuple[int, ...], wanted: tuple[int, ...]
) -> ShapeError:
    """Rows of another shape than the model takes."""
    trained_on = f", trained on {name(model.labels.dataset)}" if model.labels.dataset else ""
    return ShapeError(
        "these rows do not fit the model",
        where=dataset,
        expected=f"rows of {' x '.join(map(str, wanted))}{trained_on}",
        received=f"rows of {' x '.join(map(str, given))}",
    )


def answers(model: GraphModule, outputs: NDArray[Any]) -> tuple[list[str], list[list[str | float]]]:
    """What the outputs mean: classes and probabilities, or values."""
    labels = model.labels
    flat = outputs.reshape(len(outputs), -1).astype(np.float64)
    count = flat.shape[1]
    loss = losses.known(labels.loss or tables.LOSS_OF.get(labels.task, ""))
    if labels.task == "classification" and loss and loss.outputs == "logits" and count > 1:
        shares = np.exp(flat - flat.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        names = labels.classes if len(labels.classes) == count else tuple(map(str, range(count)))
        best = flat.argmax(axis=1)
        header = ["class", *[f"p({n})" for n in names]]
        return header, [[names[b], *row] for b, row in zip(best, shares.tolist(), strict=True)]
    if labels.task == "binary" and count == 1:
        z = flat[:, 0]
        small = np.exp(-np.abs(z))
        p = z if loss and loss.outputs != "logits" else np.where(z >= 0, 1, small) / (1 + small)
        names = labels.classes if len(labels.classes) == 2 else ("0", "1")
        header = ["class", f"p({names[1]})"]
        return header, [[names[int(v > 0.5)], v] for v in p.tolist()]
    if labels.task == "regression":
        flat = tables.in_units(model, flat)
    header = ["value"] if count == 1 else [f"value{i + 1}" for i in range(count)]
    return header, [list(row) for row in flat.tolist()]


def inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula, and no terminal for a command."""
    text = name(cell)
    return f"'{text}" if text.startswith(FORMULA) and not NUMBER.fullmatch(text) else text


def download_command(dataset: str, folder: Path | None) -> None:
    """Fetch a data set, its progress on standard error."""
    last = [("", -1)]

    def progress(file: str, count: int, total: int) -> None:
        tenth = (file, 10 * count // total)
        if tenth != last[0]:
            note(f"{name(file)}: {count / 1e6:,.1f} of {total / 1e6:,.1f} MB")
            last[0] = tenth

    place = data_sets.download(dataset, folder, progress=progress)
    say(f"{dataset} is in {name(place)}")


def evaluate_command(model_text: str, dataset: str, folder: Path | None, as_json: bool) -> None:
    """Loss and scores on the rows of a data set, or of a table like the one of training."""
    model, path = find_model(model_text)
    row_model(model, path)
    if tables.takes_tables(model):
        tables.evaluate_table(model, path, dataset, as_json)
        return
    if dataset not in data_sets.NAMES:
        raise unknown_name("data set", dataset, data_sets.NAMES)
    found = data_sets.load(dataset, folder)
    shape = tuple([int(str(s)) for s in model.graph.inputs["x"].type.shape[1:]])
    if found.x.shape[1:] != shape:
        raise other_rows(model, dataset, found.x.shape[1:], shape)
    outputs = model.graph.outputs["prediction"].type.shape[1:]
    wanted = (len(found.classes),) if found.task == "classification" else found.y.shape[1:]
    if tuple(outputs) != wanted:
        raise DataError(
            "the model answers another question",
            where=dataset,
            expected=f"outputs of shape {wanted} for its {found.task}",
            received=str(outputs),
        )
    same = model.labels.task in ("", found.task)
    loss = (model.labels.loss if same else "") or tables.LOSS_OF[found.task]
    scores: dict[str, dict[str, float] | None] = {}
    for part, x, y in (("train", found.x, found.y), ("test", found.x_test, found.y_test)):
        with np.errstate(all="ignore"):
            scores[part] = (
                None if x is None else evaluate(model, x, y, loss=loss, metrics=("accuracy",))
            )
    if as_json:
        say(json.dumps({"dataset": dataset, "model": str(path), **scores}))
        return
    rows = {
        part: len(x) for part, x in (("train", found.x), ("test", found.x_test)) if x is not None
    }
    say(f"{name(path)} on {dataset}", bold=True)
    for line in score_table(scores, rows):
        say(line)
