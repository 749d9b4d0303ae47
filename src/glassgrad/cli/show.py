"""`glassgrad show`, `source` and `info`: what there is, without training."""

from __future__ import annotations

import os
import platform
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from glassgrad import __version__, data as data_sets
from glassgrad.cli import tables
from glassgrad.cli.recipes import Recipe, data_files, network_of, recipe_for
from glassgrad.cli.screen import columns, name, say
from glassgrad.cli.train import record_of
from glassgrad.cli.use import find_model
from glassgrad.data.preparation import TablePreparation
from glassgrad.data.table import listed
from glassgrad.engine import executor, get_threads, matrix_products, step_source
from glassgrad.errors import DataError, FormatError, UsageError, shown, unknown_name
from glassgrad.files import Fitted, GraphModule
from glassgrad.files.model import fitted_of
from glassgrad.files.signature import signature
from glassgrad.inspect.profile import plan
from glassgrad.inspect.source import about, whole_program
from glassgrad.inspect.summary import Summary, summary
from glassgrad.nn.checks import checked_dtype


def show_command(target: str, plan: bool, recompute: bool, given: dict[str, Any]) -> None:
    """A table of the layers, or of the kernels of the native plan."""
    known = target.strip().lower().replace("_", "-")
    if known in data_sets.NAMES:
        recipe = recipe_for(known, given)
        checked_dtype(recipe.dtype)
        if plan:
            _print_plan(known, replace(recipe, recompute=recompute))
            return
        found = summary(network_of(recipe), recipe.shape)
        say(f"the network for {known}: {recipe.model or recipe.layers}", bold=True)
        _print(found)
        return
    asked = [f"--{k}" for k, v in given.items() if v is not None]
    if not Path(target.replace("\0", "?")).exists() and asked:
        raise unknown_name("data set", target, data_sets.NAMES)
    try:
        model, path = find_model(target)
    except FormatError as error:
        if error.received == "nothing there":
            error.expected += ", or a data set: " + ", ".join(data_sets.NAMES)
        raise
    if asked:
        raise DataError(
            "a saved model has its layers already",
            where=name(path),
            expected="no " + " or ".join(asked),
            received=" ".join(asked),
        )
    if plan:
        dataset, recipe = _recipe_of_run(path)
        _print_plan(dataset, replace(recipe, recompute=recompute or recipe.recompute))
        return
    labels = model.labels
    say(name(path), bold=True)
    if labels.dataset:
        classes = f", {len(labels.classes)} classes" if labels.classes else ""
        say(f"trained on {name(labels.dataset)}: {labels.task}{classes}")
    _print(summary(model))
    for head, text in [*_ends(model), *_training(fitted_of(model))]:
        say(click.style(f"{head:<9}", bold=True) + name(text))
    if isinstance(labels.preparation, TablePreparation):
        for line in tables.described(labels.preparation, labels.task):
            say(line)


def _ends(model: GraphModule) -> list[tuple[str, str]]:
    """What goes in and what comes out, as the signature says."""
    found = signature(model.graph, model.labels)
    lines = []
    for head, each in (("takes", found["inputs"]), ("gives", found["outputs"])):
        for end in each:
            text = f"{end['name']}: {end['dtype']} ({', '.join(map(str, end['shape']))})"
            said = end.get("columns") or end.get("categories") or []
            units = end.get("units") or [""] * len(said)
            named = [f"{n} [{u}]" if u else n for n, u in zip(said, units, strict=True)]
            unit = f" in {end['unit']}" if end.get("unit") else ""
            lines.append((head, text + unit + (f": {listed(named, 8)}" if named else "")))
    return lines


def _training(run: Fitted | None) -> list[tuple[str, str]]:
    """How its numbers came to be."""
    if run is None:
        return [("training", "never")]
    asked = run.settings
    optimizer, schedule, batch = asked["optimizer"], asked["schedule"], asked["batch_size"]
    rate = f", rate {_word(optimizer.get('lr'))}"
    if schedule is not None:
        rate = f", rate by {_word(schedule.get('kind'))}"
    parts = [
        f"{run.epochs} epoch" + "s" * (run.epochs != 1) + (", the last in part" * run.partial),
        "all rows at once" if batch is None else f"batches of {batch}",
        f"{_word(optimizer.get('kind'))}{rate}",
        listed(dict.fromkeys(each["name"] for each in asked["losses"]), 8),
        f"seed {asked['seed']}",
        *([] if run.kept is None else [f"the weights of epoch {run.kept} kept"]),
    ]
    made = ", ".join(f"{k} {_word(v)}" for k, v in run.versions.items())
    lines = [("training", ", ".join(parts)), ("by", f"{_word(asked['backend'])}; {made}")]
    last = {k: v[-1] for k, v in run.history.items() if v}
    if last:
        lines.append(("last", listed([f"{k} {v:.6g}" for k, v in last.items()])))
    if run.verified is not None and run.verified["largest_difference"] is not None:
        far, steps = run.verified["largest_difference"], run.verified["steps"]
        said = f"the engines differ by at most {far:.2g} in its first {steps} steps"
        lines.append(("verified", said))
    return lines


def _word(value: Any) -> str:
    """A setting from a file, which may be anything: one short line."""
    return shown(value)[1:-1] if isinstance(value, str) else shown(value)


def _print(found: Summary) -> None:
    head, *lines = columns([[name(c) for c in line] for line in found.table()], right=(3, 4))
    say(head, dim=True)
    for line in lines[:-1]:
        say(line)
    say(lines[-1], bold=True)
    size = found.parameters * np.dtype(found.dtype).itemsize
    kept = f", {found.buffers:,} numbers kept but not trained" if found.buffers else ""
    say(f"multiply-adds are for one row, forward{kept}", dim=True)
    if size >= 2**20:
        say(f"the parameters take {size / 2**20:,.1f} MB", dim=True)


def _recipe_of_run(model: Path) -> tuple[str, Recipe]:
    """The data set and the settings of the run that a model comes from."""
    config, received = model.parent / "config.toml", "no config.toml beside it"
    if config.exists():
        from glassgrad.cli.app import command

        group = click.Context(command)
        words = ["--config", os.fspath(config)]
        given = command.commands["source"].make_context("source", words, parent=group).params
        dataset = given["dataset"]
        if dataset in data_sets.NAMES:
            kept = {k: v for k, v in given.items() if k not in ("dataset", "data", "whole")}
            return dataset, recipe_for(dataset, kept)
        received = f"a run on {name(dataset)}"
    raise UsageError(
        "there is no plan to show for this model",
        where=name(model),
        expected="the folder of a run on a data set, or its name: " + ", ".join(data_sets.NAMES),
        received=received,
        hint="gg.profile(model, x, y, ...) shows the plan of any network, with times",
    )


def _print_plan(dataset: str, recipe: Recipe) -> None:
    """The kernels of a training step, in order."""
    record = record_of(recipe, _stand_ins(recipe))
    rows = recipe.batch_size or len(data_sets.load(dataset).x)
    text = plan(record, rows).text(shutil.get_terminal_size().columns)
    cost = record.recompute_cost(rows)
    say(f"a training step on {rows} rows of {dataset}, kernel by kernel", bold=True)
    if cost is not None:
        say(f"recompute: {cost}")
    for i, line in enumerate(text.split("\n")):
        say(name(line), dim=i < 4, bold=bool(line) and line[0] != " " and i >= 4)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows that stand for a data set's: what a step is written for."""

    x: NDArray[Any]
    y: NDArray[Any]


def source_command(dataset: str, folder: Path | None, whole: bool, given: dict[str, Any]) -> None:
    """The program, on standard output."""
    if Path(dataset).suffix.lower() in (".csv", ".tsv", ".txt"):
        raise UsageError(
            "a file's program is written when it is trained on",
            where=name(dataset),
            expected="the name of a data set",
            received="a file",
            hint=f"glassgrad train {name(dataset)} leaves program.py in the run's folder",
        )
    recipe = recipe_for(dataset, given)
    if whole:
        rows = data_sets.load(dataset, folder)
        record = record_of(recipe, rows)
        large = sum(a.nbytes for a in record.stored.values()) > 2**26 and recipe.dtype == "float32"
        text = whole_program(record, data_files(rows) if large else None)
    else:
        record = record_of(recipe, _stand_ins(recipe))
        text = step_source(record.plan.step, about(record, "One training step, as NumPy."))
    click.echo(text.rstrip("\n"))


def _stand_ins(recipe: Recipe) -> _Rows:
    """Two rows of the right shape: one step is written for any number of them."""
    x = np.zeros((2, *recipe.shape), np.uint8 if recipe.coloured else np.float32)
    if recipe.loss == "cross_entropy":
        return _Rows(x, np.zeros(2, np.int64))
    return _Rows(x, np.zeros((2, recipe.outputs), np.float32))


# ------------------------------------------------------------------------------------------- info


def info_command(folder: str | os.PathLike[str] | None) -> None:
    """Versions, engine, threads, kernels, data."""
    from importlib.metadata import version

    kernel, blas = _openblas()
    versions = [
        f"glassgrad {__version__}", f"Python {platform.python_version()}", f"NumPy {np.__version__}",
        f"safetensors {version('safetensors')}",
    ]  # fmt: skip
    engine, why = executor()
    own = [f"native code: up to {get_threads()}"] if engine == "native" else []
    rest = ["what has an op without a native kernel runs as NumPy text"] if own else []
    lines = [
        ("versions", [", ".join(versions)]),
        ("machine", [f"{platform.system()} {platform.machine()}, {_cores()} cores for us"]),
        ("engine", [f"{engine}; {why}", *rest]),
        ("threads", [*own, f"NumPy's products: {blas}"]),
        ("NumPy", [f"products by {_blas()}{kernel}"]),
        ("data", _data(folder)),
        ("library", [os.fspath(Path(__file__).parent.parent)]),
    ]
    for head, texts in lines:
        for i, text in enumerate(texts):
            say(click.style(f"{head if i == 0 else '':<9}", bold=True) + name(text))


def _cores() -> int:
    with suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _blas() -> str:
    with suppress(AttributeError, KeyError, TypeError):
        build: Any = np.show_config(mode="dicts")
        found = build["Build Dependencies"]["blas"]
        return f"{found['name']} {found['version']}"
    return "unknown"


def _openblas() -> tuple[str, str]:
    """The kernels in use and the number of threads, as far as they can be known."""
    kernel, threads = matrix_products()
    made_for = f", kernels for {kernel}" if kernel else ""
    if threads is not None:
        return made_for, f"up to {threads}, 1 where they are small"
    asked = next((v for v in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS") if os.environ.get(v)), "")
    return made_for, "as NumPy decides" + (f" ({asked}={os.environ[asked]})" if asked else "")


def _data(folder: str | os.PathLike[str] | None) -> list[str]:
    found = [os.fspath(folder) if folder else "GLASSGRAD_DATA is not set, and no --data DIR given"]
    for known in ("mnist", "fashion-mnist", "cifar10"):
        try:
            found.append(f"{known} in {data_sets.sets.find_folder(known, folder)}")
        except DataError as error:
            found.append(f"no {known} ({error.received})")
    return found
