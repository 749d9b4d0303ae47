"""`glassgrad explain`: one row's step through a saved model, every number derived."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad import data as data_sets
from glassgrad.cli import tables
from glassgrad.cli.config import check_new
from glassgrad.cli.screen import name, note, say
from glassgrad.cli.use import find_model, other_rows, row_model, rows_of
from glassgrad.errors import ConfigError, DataError, UsageError, shown
from glassgrad.files import GraphModule
from glassgrad.files.atomic import write_atomically
from glassgrad.inspect.explain.explanation import Explanation, Place, explain

FORMATS = ("text", "html", "markdown", "latex")
_ENDINGS = {".html": "html", ".htm": "html", ".md": "markdown", ".tex": "latex"}
_PLACE = re.compile(r"([a-z][a-z0-9_]*)(?:\[([0-9, ]*)\])?")


def explain_command(
    model_text: str,
    data_text: str,
    row: int,
    folder: Path | None,
    answer: str | None,
    follow: str | None,
    form: str | None,
    out: Path | None,
    steps: bool,
) -> None:
    """The step on standard output, or in a new file."""
    form = _format(form, out)
    if out is not None:
        check_new(out)
    model, path = find_model(model_text)
    row_model(model, path)
    x, y = _row_of(model, data_text, folder, row, answer)
    loss = model.labels.loss or tables.LOSS_OF.get(model.labels.task, "")
    if not loss:
        raise UsageError(
            "the model does not say which loss it was trained with",
            where=name(path),
            expected="a model made by glassgrad train",
            hint="gg.explain(gg.load(FILE), x, y, loss=...) takes any",
        )
    place = _place(follow)
    # As the model is used: nothing is dropped, and norms have the statistics they have learnt.
    found = explain(model, x, y, loss=loss, training=False)
    text = _written(found, form, steps, place)
    if out is None:
        say(text.rstrip("\n"))
    else:
        write_atomically(out, f"{text.rstrip()}\n".encode())
        note(f"written to {name(out)}", dim=True)


def _format(form: str | None, out: Path | None) -> str:
    if form is None:
        return _ENDINGS.get(out.suffix.lower(), "text") if out is not None else "text"
    if form not in FORMATS:
        raise ConfigError(
            "no such format", where="--format", expected=", ".join(FORMATS), received=shown(form)
        )
    return form


def _written(found: Explanation, form: str, steps: bool, place: Place | None) -> str:
    if form == "html":
        return found.to_html(steps=steps, follow=place)
    if form == "markdown":
        return found.to_markdown(steps=steps, follow=place)
    if form == "latex":
        return found.to_latex(steps=steps, follow=place)
    width = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100
    return found.text(width, steps=steps, follow=place)


def _place(follow: str | None) -> Place | None:
    """A name and an index, from `linear1_weight[0, 3]`."""
    if follow is None:
        return None
    match = _PLACE.fullmatch(follow.strip())
    if match is None:
        raise ConfigError(
            "--follow names one number of the step",
            expected="such as linear1_weight[0,3]",
            received=shown(follow),
        )
    each = [i.strip() for i in (match[2] or "").split(",") if i.strip()]
    if any(not i.isdigit() or len(i) > 9 for i in each):
        raise ConfigError(
            "an index is whole numbers from 0", where="--follow", received=shown(follow)
        )
    return match[1], tuple([int(i) for i in each])


def _row_of(
    model: GraphModule, text: str, folder: Path | None, row: int, answer: str | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """One prepared row and what is right for it, as the model's loss takes it."""
    known = text.strip().lower().replace("_", "-")
    x: NDArray[Any]
    y: NDArray[Any] | None = None
    if tables.takes_tables(model):
        x, y = tables.rows_and_answers(model, text, needed=answer is None)
    elif known in data_sets.NAMES:
        found = data_sets.load(known, folder)
        x, y = (found.x, found.y) if found.x_test is None else (found.x_test, found.y_test)
        shape = tuple([int(str(s)) for s in model.graph.inputs["x"].type.shape[1:]])
        if x.shape[1:] != shape:
            raise other_rows(model, known, x.shape[1:], shape)
    else:
        x, _ = rows_of(model, text, folder)
    if row >= len(x):
        raise ConfigError(
            "there is no such row",
            where="--row",
            expected=f"a whole number from 0 to {len(x) - 1}" if len(x) else "a row",
            received=str(row),
        )
    if answer is not None:
        return x[row : row + 1], _answer(model, answer)
    if y is None:
        raise UsageError(
            "these rows do not say what is right",
            where=shown(text, 200)[1:-1],
            expected="--answer, a class or a number, for the loss to be of",
            received="rows of inputs",
        )
    return x[row : row + 1], y[row : row + 1]


def _answer(model: GraphModule, text: str) -> NDArray[Any]:
    labels = model.labels
    if labels.classes:
        classes = [*labels.classes]
        if text not in classes:
            raise DataError(
                "the model has no such class",
                where="--answer",
                expected=name(", ".join(classes[:12])),
                received=shown(text),
            )
        place = classes.index(text)
        return np.array([place]) if labels.task == "classification" else np.array([[place]], "f4")
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise DataError(
            "not an answer", where="--answer", expected="a finite number", received=shown(text)
        )
    how = model.labels.preparation
    target = getattr(how, "target", None)
    if target is not None and labels.task == "regression":
        value = (value - target.mean) / target.deviation
    shape = tuple([int(str(s)) for s in model.graph.outputs["prediction"].type.shape[1:]])
    if labels.task == "classification":
        if value != int(value) or not 0 <= value < shape[-1]:
            raise DataError(
                "the model has no such class",
                where="--answer",
                expected=f"a whole number from 0 to {shape[-1] - 1}",
                received=shown(text),
            )
        return np.array([int(value)])
    return np.full((1, *shape), value, model.dtype())
