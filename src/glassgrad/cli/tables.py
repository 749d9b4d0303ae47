"""A model that takes tables, at work: rows from a CSV file, scores in the target's own units."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.cli.screen import columns, name, note, say
from glassgrad.data.preparation import Numeric, TablePreparation, Target
from glassgrad.data.table import Table, listed, read_csv
from glassgrad.data.target import Question, answers_in
from glassgrad.errors import DataError, ShapeError, UsageError, told
from glassgrad.files import GraphModule
from glassgrad.nn.module import Module
from glassgrad.train.fit import evaluate, predict

LOSS_OF = {"classification": "cross_entropy", "binary": "bce_logits", "regression": "mse"}


def takes_tables(model: GraphModule) -> bool:
    """Whether a model knows how to prepare the columns of a table."""
    return isinstance(model.labels.preparation, TablePreparation)


def rows_of(model: GraphModule, text: str) -> tuple[NDArray[np.float32], list[str] | None]:
    """Prepared rows of a CSV file, and the true answers where the target is one of its columns."""
    table, how = _table_and_preparation(model, text)
    x = _prepared(how, table)
    target = how.target
    return x, table.cells(target.name) if target and target.name in table.names else None


def rows_and_answers(
    model: GraphModule, text: str, *, needed: bool
) -> tuple[NDArray[np.float32], NDArray[Any] | None]:
    """Prepared rows of a CSV file, and what is right for each as the loss takes it.

    Without its target column: None, or a DataError where that is `needed`.
    """
    table, how = _table_and_preparation(model, text)
    x = _prepared(how, table)
    target = how.target
    if target is None or model.labels.task not in LOSS_OF:
        return x, None
    if not needed and target.name not in table.names:
        return x, None
    return x, answers_in(table, target, Question(model.labels.task, model.labels.classes))


def evaluate_table(model: GraphModule, path: Path, text: str, as_json: bool) -> None:
    """Loss and scores of a model on the rows of a CSV file that has the target."""
    from glassgrad.cli.train import score_table

    table, how = _table_and_preparation(model, text)
    if how.target is None or model.labels.task not in LOSS_OF:
        raise UsageError(
            "the model does not say which column it has learnt",
            where=name(path),
            expected="a model made by: glassgrad train FILE.csv --target COLUMN",
            received=f"task {model.labels.task!r}",
        )
    asked = Question(model.labels.task, model.labels.classes)
    y = answers_in(table, how.target, asked)
    scores = scored(model, _prepared(how, table), y, asked, how.target, model.labels.loss)
    if as_json:
        say(json.dumps({"dataset": text, "model": str(path), "rows": len(table), **scores}))
        return
    say(f"{name(path)} on {name(text)}, {how.target.name if asked.classes else units(how.target)}")
    for line in score_table({"rows": scores}, {"rows": len(table)}):
        say(line)


def scored(
    model: Module,
    x: NDArray[Any],
    y: NDArray[Any],
    asked: Question,
    target: Target,
    loss: str = "",
) -> dict[str, float | None]:
    """Loss with accuracy, or with errors in the target's own units and R squared.

    R squared is 1 - (sum of squared errors) / (sum of squared distances from these rows' mean);
    None where these rows are all the same.
    """
    loss = loss or LOSS_OF[asked.task]
    with np.errstate(all="ignore"):
        if asked.classes:
            return dict(evaluate(model, x, y, loss=loss, metrics=("accuracy",)))
        found: dict[str, float | None] = dict(evaluate(model, x, y, loss=loss))
        # Standardised, so that no square leaves the range; their own units come last.
        errors = predict(model, x).astype(np.float64) - y
        spread = float(((y - y.mean(dtype=np.float64)) ** 2).sum())
        found["mae"] = float(np.abs(errors).mean()) * target.deviation
        found["rmse"] = float(np.sqrt((errors**2).mean())) * target.deviation
        found["r2"] = 1 - float((errors**2).sum()) / spread if spread > 0 else None
    return found


def in_units(model: GraphModule, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A regression's outputs in the target's own units."""
    how = model.labels.preparation
    if not isinstance(how, TablePreparation) or how.target is None:
        return values
    return values * how.target.deviation + how.target.mean


def digits(model: GraphModule) -> int:
    """How many digits a printed value needs: seven of it, or seven of the target's deviation."""
    how = model.labels.preparation
    if not isinstance(how, TablePreparation) or how.target is None or not how.target.mean:
        return 7
    more = math.log10(abs(how.target.mean)) - math.log10(how.target.deviation)
    return min(17, 7 + max(0, math.ceil(more)))


def units(target: Target) -> str:
    """A target, and how the loss relates to its numbers."""
    return f"{name(target.name)}: errors in its own units, loss where its deviation is 1"


def described(how: TablePreparation, task: str, most: int = 40) -> list[str]:
    """What becomes of each column, and of the target."""
    kinds = {True: "numbers", False: "classes"}
    lines = [
        [name(c.name), kinds[isinstance(c, Numeric)], name(str(c))] for c in how.columns[:most]
    ]
    if len(how.columns) > most:
        lines.append(["...", f"{len(how.columns) - most:,} more", ""])
    if how.target is not None:
        t = how.target
        scale = "" if task != "regression" else f"mean {t.mean:.6g}, deviation {t.deviation:.6g}"
        lines.append([name(t.name), "target", scale])
    short = [[cell if len(cell) <= 90 else f"{cell[:87]}..." for cell in line] for line in lines]
    return ["", "columns of a table it takes", *columns(short, indent="  ")]


def say_notes(notes: tuple[str, ...]) -> None:
    """Remarks about rows, a line each on standard error."""
    for remark in notes:
        note(f"note: {name(remark)}")


def _table_and_preparation(model: GraphModule, text: str) -> tuple[Table, TablePreparation]:
    how = model.labels.preparation
    assert isinstance(how, TablePreparation)
    if "\0" in text or not Path(text).exists():
        raise DataError(
            "there is no file of this name",
            where=told(text),
            expected="a CSV file with the columns " + listed([c.name for c in how.columns]),
            received="nothing there; the model was trained on a table, and takes no data set",
        )
    shape = model.graph.inputs["x"].type.shape[1:]
    if shape != (len(how.features),):
        raise ShapeError(
            "the model and its preparation do not fit",
            where=model.title(),
            expected=f"rows of {shape}",
            received=f"{len(how.features)} features",
        )
    return read_csv(text), how


def _prepared(how: TablePreparation, table: Table) -> NDArray[np.float32]:
    """The inputs; what was ignored or never seen is said."""
    prepared = how.apply(table)
    used = {c.name for c in how.columns} | ({how.target.name} if how.target else set())
    extra = [n for n in table.names if n not in used]
    if extra:
        note(f"note: not used: {name(listed(extra))}")
    say_notes(prepared.notes)
    return prepared.x
