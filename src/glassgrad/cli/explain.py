"""`glassgrad explain`: one row's step through a saved model, every number derived."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from glassgrad import data as data_sets
from glassgrad.cli import tables
from glassgrad.cli.config import check_new
from glassgrad.cli.screen import name, note, say
from glassgrad.cli.use import answers, find_model, other_rows, rows_of
from glassgrad.data.preparation import TablePreparation
from glassgrad.data.text import encode, read_text
from glassgrad.errors import ConfigError, DataError, GlassgradError, UsageError, shown
from glassgrad.files import GraphModule
from glassgrad.files.atomic import write_atomically
from glassgrad.inspect.explain.explanation import Explanation, explain
from glassgrad.nn import losses
from glassgrad.train.objective import Objective, objective_of

FORMATS = ("text", "html", "markdown", "latex")
_ENDINGS = {".html": "html", ".htm": "html", ".md": "markdown", ".tex": "latex"}
_MOST_COLUMNS = 12  # of a table, that are named

Array = NDArray[Any]


def explain_command(
    model_text: str,
    data_text: str,
    row: int,
    folder: Path | None,
    answer: str | None,
    loss: str | None,
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
    _one_way(model, path)
    objective, how = _objective(model, path, loss)
    x, y = _row_of(model, data_text, folder, row, answer, objective.loss)
    objective.penalise(model)
    # As the model is used: nothing is dropped, and norms have the statistics they have learnt.
    found = explain(
        model,
        x,
        y,
        loss=objective.loss,
        loss_weights=objective.loss_weights,
        sample_weight=objective.weights_of(y),
        training=False,
    )
    found.about = tuple(
        _about(model, found, f"row {row} of {Path(data_text).name}", y, objective, how)
    )
    try:
        text = _written(found, form, steps, follow)
    except GlassgradError as error:
        raise error.at("--follow") from None
    if out is None:
        say(_headed(text.rstrip("\n")) if form == "text" else text.rstrip("\n"))
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


def _headed(text: str) -> str:
    """The same with bold headings, which stand after an empty line; `say` knows where not."""
    lines = text.split("\n")
    pairs = zip(["", *lines], lines, strict=False)
    return "\n".join([click.style(b, bold=True) if b and not a else b for a, b in pairs])


def _written(found: Explanation, form: str, steps: bool, follow: str | None) -> str:
    if form == "html":
        return found.to_html(steps=steps, follow=follow)
    if form == "markdown":
        return found.to_markdown(steps=steps, follow=follow)
    if form == "latex":
        return found.to_latex(steps=steps, follow=follow)
    width = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100
    return found.text(width, steps=steps, follow=follow)


def _one_way(model: GraphModule, path: Path) -> None:
    """Rows of a file are one input, and there is one answer to each."""
    data = [n for n, v in model.graph.inputs.items() if v.node.attributes["role"] == "data"]
    outputs = list(model.graph.outputs)
    if data == ["x"] and outputs == ["prediction"]:
        return
    raise UsageError(
        "the command explains models of one input, x, and one output",
        where=name(path),
        expected="x and prediction",
        received=name(f"{', '.join(data)} and {', '.join(outputs)}"),
        hint="gg.explain(gg.load(FILE), {...}, {...}, loss=...) takes any, in Python",
    )


def _objective(model: GraphModule, path: Path, loss: str | None) -> tuple[Objective, str]:
    """What is explained, the loss that was asked for or that of training; and which of these."""
    if loss is not None:
        return Objective(losses.find(loss)[0]), "as --loss asks"
    try:
        found = objective_of(model)
    except UsageError as error:
        error.hint = "--loss NAME explains another; gg.explain(gg.load(FILE), x, y, loss=...) any"
        error.where = f"{name(path)}, {error.where}"
        raise
    if found is not None:
        return found, "as in training"
    if model.labels.loss:
        return Objective(losses.find(model.labels.loss)[0]), "as the file names it"
    raise UsageError(
        "the model does not say which loss it was trained with",
        where=name(path),
        expected="a model that was trained by fit or glassgrad train",
        received="numbers alone",
        hint=f"--loss {tables.LOSS_OF.get(model.labels.task, 'NAME')}",
    )


def _about(
    model: GraphModule, found: Explanation, row: str, y: Array, objective: Objective, how: str
) -> Iterator[str]:
    """Which row, what is right for it, what the model says; and what the loss is."""
    labels, recording = model.labels, found.recording
    if labels.task == "text":
        read, after = [
            shown("".join([labels.classes[t] for t in tokens[0]]), 200)
            for tokens in (recording.arguments["x"], y)
        ]
        yield f"{row}: the model reads {read}, right is {after}: after each character the next."
    elif labels.task:
        says = _said(model, recording.arrays[recording.predictions[0]])
        yield f"{row}: right is {_right(model, y)}; the model says {says}."
    else:
        yield f"{row}."
    prepared = model.labels.preparation
    columns = prepared.features if isinstance(prepared, TablePreparation) else ()
    if 1 < len(columns) <= _MOST_COLUMNS:
        yield f"columns of x, as they were prepared: {', '.join(columns)}"
    head, weight = recording.task.heads[0], objective.weights_of(y)
    more = [f"times {head.weight:g}"] if head.weight != 1 else []
    more += [f"times {float(weight[0]):g}, the weight of its class"] if weight is not None else []
    more += ["and the penalties of weights"] if objective.penalties else []
    yield ", ".join([f"loss: {losses.described(head.loss_name, objective.loss)}", *more, how])
    for unknown in objective.unknown:
        yield f"other than in training: {unknown}"


def _said(model: GraphModule, prediction: Array) -> str:
    """What the model says about a row, and how sure it is."""
    header, (line,) = answers(model, prediction)
    if not isinstance(line[0], str):
        return ", ".join([f"{v:.6g}" for v in line if not isinstance(v, str)])
    shares = dict(zip(header[1:], line[1:], strict=True))
    called = f"p({line[0]})"
    if called not in shares and len(shares) == 1:  # of two classes the other one has the rest
        shares = {called: 1.0 - float(next(iter(shares.values())))}
    return f"{line[0]}, {called} = {shares[called]:.4g}" if called in shares else line[0]


def _right(model: GraphModule, y: Array) -> str:
    labels = model.labels
    value = float(y.reshape(-1)[0])
    if labels.task == "regression":
        return f"{tables.in_units(model, np.array([value]))[0]:.6g}"
    index = int(value > 0) if labels.task == "binary" else int(value)
    return labels.classes[index] if 0 <= index < len(labels.classes) else f"{value:g}"


# ---------------------------------------------------------------------------------------------- rows


def _row_of(
    model: GraphModule, text: str, folder: Path | None, row: int, answer: str | None, loss: Any
) -> tuple[Array, Array]:
    """One prepared row and what is right for it, as the model's loss takes it."""
    x, y = _rows(model, text, folder, needed=answer is None)
    if row >= len(x):
        raise ConfigError(
            "there is no such row",
            where="--row",
            expected=f"a whole number from 0 to {len(x) - 1:,}" if len(x) else "a row",
            received=f"{row:,}",
        )
    if answer is not None:
        return x[row : row + 1], _answer(model, answer, loss)
    if y is None:
        raise UsageError(
            "these rows do not say what is right",
            where=shown(text, 200)[1:-1],
            expected="--answer, a class or a number, for the loss to be of",
            received="rows of inputs",
            hint=f"--answer {_example(model)}",
        )
    return x[row : row + 1], y[row : row + 1]


def _rows(
    model: GraphModule, text: str, folder: Path | None, *, needed: bool
) -> tuple[Array, Array | None]:
    """Prepared rows, and what is right for each where that is known."""
    if model.labels.task == "text":
        return _windows(model, text)
    if tables.takes_tables(model):
        return tables.rows_and_answers(model, text, needed=needed)
    known = text.strip().lower().replace("_", "-")
    if known not in data_sets.NAMES:
        return rows_of(model, text, folder)[0], None
    found = data_sets.load(known, folder)
    shape = _shape(model, "x")
    if found.x.shape[1:] != shape:
        raise other_rows(model, known, found.x.shape[1:], shape)
    return (found.x, found.y) if found.x_test is None else (found.x_test, found.y_test)


def _windows(model: GraphModule, file: str) -> tuple[Array, Array]:
    """A text in windows as long as the model's, each with the characters that come next."""
    read = read_text(file)
    tokens = encode(read.decode(read.tokens), model.labels.classes)
    (context,) = _shape(model, "x")
    if len(tokens) <= context:
        raise DataError(
            "the text is too short",
            where=name(file),
            expected=f"more than {context:,} characters, as many as the model reads at once",
            received=f"{len(tokens):,}",
        )
    places = np.arange(0, len(tokens) - context, context)[:, None] + np.arange(context)
    return tokens[places], tokens[places + 1]


def _shape(model: GraphModule, of: str) -> tuple[int, ...]:
    """The sizes of a row, or of what comes of it."""
    value = model.graph.outputs[of] if of == "prediction" else model.graph.inputs[of]
    return tuple([int(str(s)) for s in value.type.shape[1:]])


def _example(model: GraphModule) -> str:
    classes = model.labels.classes
    return shown(classes[0], 40)[1:-1] if classes else "0"


def _answer(model: GraphModule, text: str, loss: Any) -> Array:
    """What `--answer` says, as the loss takes it."""
    labels, kind = model.labels, losses.known(losses.find(loss)[0])
    target = kind.target if kind is not None else "numbers"
    shape = _shape(model, "prediction")
    if labels.task == "text":
        raise UsageError(
            "in a text each character is the answer to those before it",
            where="--answer",
            expected="a text file alone",
            received=shown(text),
        )
    if labels.classes and labels.task != "regression":
        if text not in labels.classes:
            raise DataError(
                "the model has no such class",
                where="--answer",
                expected=name(", ".join(labels.classes[:_MOST_COLUMNS])),
                received=shown(text),
            )
        value: float = labels.classes.index(text)
        value = 2 * value - 1 if target == "signs" else value
    else:
        value = _number(model, text)
    if target != "classes":
        return np.full((1, *shape), value, model.dtype())
    if value != int(value) or not 0 <= value < shape[0]:
        raise DataError(
            "the model has no such class",
            where="--answer",
            expected=f"a whole number from 0 to {shape[0] - 1}",
            received=shown(text),
        )
    return np.full((1, *shape[1:]), int(value))


def _number(model: GraphModule, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise DataError(
            "not an answer", where="--answer", expected="a finite number", received=shown(text)
        )
    target = getattr(model.labels.preparation, "target", None)
    if target is not None and model.labels.task == "regression":
        value = (value - target.mean) / target.deviation
    return value
