"""`glassgrad train FILE.csv --target COLUMN`."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from glassgrad import data
from glassgrad.cli.config import in_effect
from glassgrad.cli.language import ONLY_HERE
from glassgrad.cli.recipes import Recipe, guard_of, network_of, optimizer_of, with_given
from glassgrad.cli.saving import Saving
from glassgrad.cli.screen import columns, engine_lines, name, number, say
from glassgrad.cli.tables import LOSS_OF, say_notes, scored
from glassgrad.cli.train import command_of, in_json, report, result_of, trained
from glassgrad.data.preparation import Numeric, TablePreparation, Target, chosen_columns
from glassgrad.data.table import Table, listed, read_csv
from glassgrad.data.target import Question, answers_in, learnt_target, question
from glassgrad.errors import ConfigError, DataError, UsageError, shown
from glassgrad.files import Labels
from glassgrad.nn import losses
from glassgrad.nn.checks import checked_dtype
from glassgrad.train.fit import prepared
from glassgrad.train.trainer import Record

TEST = 0.2
# By the number of training rows: (fewer than, batch size, epochs, rate of Adam). The network is
# 64-relu,32-relu for any table. docs/settings.md says how they were chosen.
SIZES = (
    (200, 16, 60, 1e-3),
    (1_000, 16, 20, 1e-3),
    (10_000, 32, 20, 3e-3),
    (50_000, 64, 20, 3e-3),
    (2**62, 256, 10, 3e-3),
)


@dataclass(frozen=True, slots=True)
class Rows:
    """A table in parts: what trains, what is watched, what is tested; prepared alike."""

    table: Table
    asked: Question
    how: TablePreparation
    parts: dict[str, tuple[NDArray[np.float32], NDArray[Any]]]
    notes: tuple[str, ...]


def what_is_asked(given: dict[str, Any], named_so: bool, dataset: str) -> dict[str, Any] | None:
    """The options of tables, taken out of what was given; None where this is no table.

    It is one where its name says so, or where a target is given. Raises ConfigError for options of
    tables with something else, and for options of character models with a table.
    """
    asked = {k: given.pop(k) for k in ("target", "task", "categorical", "drop", "validation_split")}
    table = named_so or asked["target"] is not None
    wrong = [k for k in ONLY_HERE if given.get(k)] if table else [k for k, v in asked.items() if v]
    if wrong:
        expected = "--layers and the like" if table else "a file that ends in .csv or .tsv"
        raise ConfigError(
            f"--{wrong[0].replace('_', '-')} is for {'texts' if table else 'CSV files'}",
            expected=expected,
            received=shown(dataset),
        )
    return asked if table else None


def train_table(
    file: str,
    saving: Saving,
    backend: str,
    as_json: bool,
    given: dict[str, Any],
    asked: dict[str, Any],
) -> None:
    """Train on a table, write the run's folder, say how it went."""
    saving.check()
    began = time.perf_counter()
    if "\0" in file:
        raise DataError(
            "not a file's name", where=shown(file), expected="a CSV file", received="a zero byte"
        )
    table = read_csv(file)
    if asked["target"] is None:
        raise UsageError(
            "which column is to be learnt?",
            where=table.where,
            expected="--target COLUMN",
            received="columns " + listed(table.names),
            hint=f"--target {shown(table.names[-1])}",
        )
    seed = given.get("seed") or 0
    rows = divided(table, asked, seed)
    title = Path(file).name
    recipe = recipe_of(rows, title, given)
    record = record_of(rows, recipe, backend)
    target = rows.how.target
    assert target is not None
    if not as_json:
        for line in heading(rows, title, recipe, record):
            say(line)
    say_notes(rows.notes)
    words = [*command_of(file, recipe, backend), *_flags(asked, rows.asked.task)]
    settings: dict[str, Any] = {
        "source": str(Path(file).absolute()), "command": shlex.join(words), **in_effect(words),
    }  # fmt: skip
    saving.features = rows.how.features
    history = trained(record, title, as_json, **saving.begin(title, settings, record))
    scores = {
        part: scored(record.task.model, x, y, rows.asked, target)
        for part, (x, y) in rows.parts.items()
    }
    seconds = time.perf_counter() - began
    settings["result"] = result_of(seconds, scores)
    labels = Labels(rows.asked.classes, (), rows.asked.task, recipe.loss, title, rows.how)
    place = saving.end(history, settings=settings, labels=labels)
    if as_json:
        parts = {"validation": None, **scores}
        task = rows.asked.task
        say(in_json(title, history, seconds, parts, place, target=target.name, task=task))
        return
    for line in report(shlex.quote(name(file)), place, scores, seconds):
        say(line)


def _flags(asked: dict[str, Any], task: str) -> list[str]:
    """What was asked of the table, as words of a command."""
    flags = ["--target", asked["target"], "--task", task]
    flags += [w for k in ("categorical", "drop") for c in asked[k] for w in (f"--{k}", c)]
    if asked["validation_split"]:
        flags += ["--validation-split", repr(asked["validation_split"])]
    return flags


def divided(table: Table, asked: dict[str, Any], seed: int) -> Rows:
    """The rows in two or three parts, prepared by what the training part teaches."""
    name_ = asked["target"]
    chosen_columns(table, name_, asked["categorical"], asked["drop"])  # names are checked first
    what = question(table, name_, asked["task"], classes=name_ in asked["categorical"])
    strata = np.zeros(len(table), np.int64)
    if what.classes:
        strata = answers_in(table, Target(name_), what).reshape(-1).astype(np.int64)

    def held(rows: NDArray[np.int64], share: float, number: int) -> tuple[Any, Any]:
        kept, out, _, _ = data.split(
            rows, strata[rows], test=share, seed=number, stratify=bool(what.classes)
        )
        return kept, out

    train, test = held(np.arange(len(table)), TEST, seed)
    parts = {"train": train, "test": test}
    if asked["validation_split"]:
        train, watched = held(train, asked["validation_split"], (seed + 1) % 2**64)
        parts = {"train": train, "validation": watched, "test": test}
    target = learnt_target(table, name_, what, train)
    how = TablePreparation.fit(
        table, rows=train, target=target, categorical=asked["categorical"], drop=asked["drop"]
    )
    every = how.apply(table)
    y = answers_in(table, target, what)
    found = {part: (every.x[rows], y[rows]) for part, rows in parts.items()}
    return Rows(table, what, how, found, every.notes)


def recipe_of(rows: Rows, title: str, given: dict[str, Any]) -> Recipe:
    """The settings for a table of this size and task, with what the user asked for put in."""
    x, _ = rows.parts["train"]
    batch, epochs, rate = next(found for limit, *found in SIZES if len(x) < limit)
    task = rows.asked.task
    found = Recipe(
        "64-relu,32-relu", "adam", rate, int(batch), int(epochs), LOSS_OF[task], (x.shape[1],),
        len(rows.asked.classes) if task == "classification" else 1,
    )  # fmt: skip
    recipe = with_given(found, title, given)
    checked_dtype(recipe.dtype)
    return recipe


def record_of(rows: Rows, recipe: Recipe, backend: str) -> Record:
    """A recipe and its rows, checked and compiled."""
    return prepared(
        network_of(recipe),
        *rows.parts["train"],
        loss=recipe.loss,
        optimizer=optimizer_of(recipe.optimizer, recipe.lr),
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        validation_data=rows.parts.get("validation"),
        seed=recipe.seed,
        recompute=recipe.recompute,
        guard=guard_of(recipe.no_guard),
        backend=backend,
    )


def heading(rows: Rows, title: str, recipe: Recipe, record: Record) -> list[str]:
    """What is trained, on what, how: every choice that was made for the user."""
    how, asked = rows.how, rows.asked
    counts = ", ".join([f"{len(x):,} {_PARTS[part]}" for part, (x, _) in rows.parts.items()])
    numeric = [c for c in how.columns if isinstance(c, Numeric)]
    marked = sum(c.indicator for c in numeric)
    kinds = [f"{len(numeric)} of numbers" + (f" ({marked} with empty cells)" if marked else "")]
    kinds.append(f"{len(how.columns) - len(numeric)} of classes")
    inputs = f"{len(how.features)} input" + "s" * (len(how.features) != 1)
    target = how.target
    assert target is not None
    if asked.classes:
        aim = f"{asked.task}: {asked.why}: {listed(asked.classes, 8)}"
    else:
        aim = f"{asked.task}: mean {number(target.mean)}, deviation {number(target.deviation)}"
    outputs = f"{recipe.outputs} output" + "s" * (recipe.outputs != 1)
    batch = "all rows at once" if recipe.batch_size is None else f"batches of {recipe.batch_size}"
    epochs = f"{recipe.epochs} epoch" + "s" * (recipe.epochs != 1)
    loss = losses.NAMED[recipe.loss].title + (
        "" if asked.classes else " of the standardised target"
    )
    parts = [
        (
            "data",
            f"{title}: {counts}, drawn with seed {recipe.seed}; cells separated by {rows.table.separator}",
        ),
        ("columns", f"{', '.join(kinds)}: {inputs}"),
        ("target", f"{target.name}, {aim}"),
        (
            "network",
            f"{recipe.layers.replace(',', ', ')}, {outputs}: {record.plan.size:,} parameters, {recipe.dtype}",
        ),
        ("training", f"{epochs}, {batch}, {record.optimizer!r}, {loss}, seed {recipe.seed}"),
        *engine_lines(record),
    ]
    lines = [click.style(f"{head:<9}", bold=True) + name(text) for head, text in parts]
    detail = [[f"  {name(c.name)}", name(str(c))] for c in how.columns[:12]]
    short = [[c if len(c) <= 90 else f"{c[:87]}..." for c in line] for line in detail]
    lines[2:2] = [click.style(line, dim=True) for line in columns(short)]
    return lines


_PARTS = {"train": "rows to train on", "validation": "to watch", "test": "to test on"}
