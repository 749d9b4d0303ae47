"""`glassgrad train`."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from glassgrad import data as data_sets
from glassgrad.cli.config import in_effect
from glassgrad.cli.recipes import (
    Recipe,
    data_files,
    guard_of,
    labels_of,
    network_of,
    optimizer_of,
    recipe_for,
)
from glassgrad.cli.saving import Saving
from glassgrad.cli.screen import columns, duration, engine_lines, name, number, progress, say
from glassgrad.nn import losses
from glassgrad.nn.checks import checked_dtype
from glassgrad.train.batches import checked_batch_size
from glassgrad.train.fit import evaluate, fit, prepared
from glassgrad.train.history import History
from glassgrad.train.trainer import Record

TITLES = {"r2": "R^2", "mae": "mean error", "rmse": "root mean square error"}


def train_command(
    dataset: str,
    folder: Path | None,
    saving: Saving,
    backend: str,
    as_json: bool,
    given: dict[str, Any],
) -> None:
    """Train, write the run's folder, say how it went."""
    recipe = recipe_for(dataset, given)
    saving.check()
    began = time.perf_counter()
    rows = data_sets.load(dataset, folder)
    record = record_of(recipe, rows, backend)
    if not as_json:
        for line in heading(rows, recipe, record):
            say(line)
    words = command_of(dataset, recipe, backend)
    settings: dict[str, Any] = {
        "source": rows.source, "command": shlex.join(words), **in_effect(words),
    }  # fmt: skip
    history = trained(record, dataset, as_json, **saving.begin(dataset, settings, record))
    scores = {
        "train": scored(record, rows.x, rows.y),
        "test": None if rows.x_test is None else scored(record, rows.x_test, rows.y_test),
    }
    seconds = time.perf_counter() - began
    settings["result"] = result_of(seconds, scores)
    place = saving.end(
        history,
        settings=settings,
        labels=labels_of(rows, recipe),
        data_files=data_files(rows) if recipe.dtype == "float32" else None,
    )
    if as_json:
        say(in_json(dataset, history, seconds, scores, place))
        return
    for line in report(dataset, place, scores, seconds):
        say(line)


def result_of(
    seconds: float, scores: Mapping[str, Mapping[str, float | None] | None]
) -> dict[str, float]:
    """What a run came to, as its config.toml has it."""
    return {
        "seconds": round(seconds, 3),
        **{
            f"{part}_{name}": value
            for part, found in scores.items()
            for name, value in (found or {}).items()
            if value is not None
        },
    }


def in_json(
    title: str,
    history: History,
    seconds: float,
    scores: Mapping[str, Any],
    place: Path,
    **more: str,
) -> str:
    """What a run came to, for machines."""
    found = {
        "dataset": title, **more, "backend": history.record.backend, "epochs": history.epochs,
        "seconds": round(seconds, 3), **scores, "model": str(place / "model.glass"),
        "run": str(place),
    }  # fmt: skip
    return json.dumps(found)


def record_of(recipe: Recipe, rows: Any, backend: str = "auto") -> Record:
    """A recipe and its rows, checked and compiled."""
    checked_dtype(recipe.dtype)
    return prepared(
        network_of(recipe),
        rows.x,
        rows.y,
        loss=recipe.loss,
        optimizer=optimizer_of(recipe.optimizer, recipe.lr),
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        recompute=recipe.recompute,
        guard=guard_of(recipe.no_guard),
        backend=backend,
    )


def trained(record: Record, title: str, quiet: bool = False, **keeping: Any) -> Any:
    """The run itself, with its progress on standard error; `keeping` is of its checkpoints."""
    total = record.rows
    steps = -(-total // checked_batch_size(record.batch_size, total))
    with progress(title, steps, record.epochs, quiet) as listeners:
        callbacks = (*listeners, *keeping.pop("callbacks", ()))
        return fitted(record, callbacks=callbacks, **keeping)


def fitted(record: Record, **more: Any) -> Any:
    """What `fit` gives for a run that was prepared."""
    held = record.validation
    return fit(
        record.task.model,
        record.data["x"],
        record.data["y"],
        loss=record.task.loss_name,
        optimizer=record.optimizer,
        epochs=record.epochs,
        batch_size=record.batch_size,
        validation_data=(held["x"], held["y"]) if held else None,
        seed=record.seed,
        recompute=record.recompute,
        guard=record.guards,
        backend=record.backend,
        verbose=False,
        **more,
    )


def scored(record: Record, x: Any, y: Any) -> dict[str, float]:
    """Loss and accuracy, in evaluation."""
    with np.errstate(all="ignore"):
        return evaluate(record.task.model, x, y, loss=record.task.loss_name, metrics=("accuracy",))


def command_of(dataset: str, recipe: Recipe, backend: str) -> list[str]:
    """The command that does this again, nothing left to defaults."""
    network = ["--model", recipe.model] if recipe.model else ["--layers", recipe.layers]
    return [
        "glassgrad", "train", dataset, *network, "--epochs", str(recipe.epochs), "--batch-size",
        "all" if recipe.batch_size is None else str(recipe.batch_size), "--optimizer",
        recipe.optimizer, "--lr", repr(recipe.lr), "--seed", str(recipe.seed), "--dtype",
        recipe.dtype, "--backend", backend, *extra_flags(recipe),
    ]  # fmt: skip


def extra_flags(recipe: Any) -> list[str]:
    """The words of a command for what is left out unless it is asked for."""
    guard = ["--no-guard", recipe.no_guard] if recipe.no_guard else []
    return [*(["--recompute"] if recipe.recompute else []), *guard]


def heading(rows: Any, recipe: Recipe, record: Record) -> list[str]:
    """What is trained, on what, how."""
    shape = rows.x.shape[2:] if rows.x.shape[1] == 1 else rows.x.shape[1:]  # one channel: left out
    size = " x ".join(map(str, shape))
    held = "no test rows" if rows.x_test is None else f"{len(rows.x_test):,} test rows"
    each = f"{size} pixels" if len(rows.x.shape) > 2 else f"{size} columns"
    classes = f", {len(rows.classes)} classes" if rows.classes else ""
    if part := re.search(r"\d of \d training batches", rows.source):
        classes += f" ({part[0]})"
    network = recipe.model or recipe.layers.replace(",", ", ")
    outputs = f"{recipe.outputs} output" + "s" * (recipe.outputs != 1)
    batch = "all rows at once" if recipe.batch_size is None else f"batches of {recipe.batch_size}"
    epochs = f"{recipe.epochs} epoch" + "s" * (recipe.epochs != 1)
    loss = losses.NAMED[recipe.loss].title
    how = f"{epochs}, {batch}, {record.optimizer!r}, {loss}, seed {recipe.seed}"
    parts = [
        ("data", f"{rows.name}: {len(rows.x):,} training rows, {held}, {each}{classes}"),
        ("network", f"{network}, {outputs}: {record.plan.size:,} parameters, {recipe.dtype}"),
        ("training", how),
        *engine_lines(record),
    ]
    return [click.style(f"{head:<9}", bold=True) + name(text) for head, text in parts]


def score_table(scores: dict[str, Any], rows: dict[str, int] | None = None) -> list[str]:
    """A line for each part of the data, a column for each score; the heading first."""
    titles = list(next(s for s in scores.values() if s is not None))
    table = [["", *(["rows"] if rows else []), *[TITLES.get(t, t) for t in titles]]]
    for part, found in scores.items():
        if found is not None:
            cells = [f"{100 * v:.2f} %" if t == "accuracy" else number(v) for t, v in found.items()]
            table.append([part, *([f"{rows[part]:,}"] if rows else []), *cells])
    return columns(table, right=range(1, len(table[0])))


def written(place: Path, seconds: float, classifies: bool) -> list[str]:
    """How long it took, and what lies in the run's folder."""
    where = click.style(f"{name(place)}/", bold=True)
    curves = "loss and accuracy" if classifies else "the loss"
    files = [
        ("program.py", "the whole run as one NumPy program"),
        ("curves.svg", f"{curves}, epoch by epoch"),
        ("model.glass", "the trained network"),
        ("history.csv, config.toml", "every epoch, every setting"),
    ]
    lines = columns([(f"  {f}", click.style(about, dim=True)) for f, about in files])
    return ["", f"{duration(seconds)}, written to {where}", *lines]


def report(dataset: str, place: Path, scores: dict[str, Any], seconds: float) -> list[str]:
    """How well it went, where everything is, what to type next."""
    head, *lines = score_table(scores)
    out = ["", click.style(head, dim=True)]
    out += [
        click.style(line, fg="green", bold=True) if line.startswith("test") else line
        for line in lines
    ]
    if scores["test"] is None:
        out.append(click.style(f"       {dataset} has no rows to test on", dim=True))
    out += written(place, seconds, "accuracy" in head)
    where = name(place)
    quoted = where if all(c.isalnum() or c in "-_./" for c in where) else f"'{where}'"
    steps = [
        (f"python {quoted}/program.py", "the run again, with NumPy alone"),
        (f"glassgrad show {quoted}", "layers, shapes, parameters"),
        (f"glassgrad predict {quoted} {dataset}", "a line for each row"),
        (
            f"glassgrad explain {quoted} {dataset} --row 0",
            "every number of one row's step, derived",
        ),
    ]
    out += ["", "next"]
    out += columns([(f"  {c}", click.style(about, dim=True)) for c, about in steps])
    return out
