"""`glassgrad train FILE.txt --model gpt|lstm` and `glassgrad sample`: character models."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from glassgrad import nn
from glassgrad.cli.config import in_effect
from glassgrad.cli.recipes import guard_of, optimizer_of, put_optimizer
from glassgrad.cli.saving import Saving
from glassgrad.cli.screen import columns, engine_lines, name, number, plain, progress, say
from glassgrad.cli.train import extra_flags, in_json, result_of, written
from glassgrad.cli.use import find_model
from glassgrad.data.text import Text, read_text
from glassgrad.errors import ConfigError, UsageError, shown, unknown_name
from glassgrad.files.labels import Labels
from glassgrad.nn.checks import checked_dtype
from glassgrad.train.fit import evaluate, fit, prepared
from glassgrad.train.sampling import sampled

MODELS = ("gpt", "lstm")
ONLY_HERE = ("context", "width", "depth", "heads")
VALIDATION = 0.1


@dataclass(frozen=True, slots=True)
class Recipe:
    """A character model and how it is trained; all of it is printed."""

    model: str
    context: int
    width: int
    depth: int
    heads: int
    optimizer: str
    lr: float
    batch_size: int | None
    epochs: int
    seed: int = 0
    dtype: str = "float32"
    recompute: bool = False
    no_guard: str = ""


# Chosen by the loss on the last tenth of the first 100 kB of tiny Shakespeare.
_TABLE = {
    "gpt": Recipe("gpt", 64, 128, 4, 4, "adam", 1e-3, 16, 5),
    "lstm": Recipe("lstm", 64, 128, 1, 1, "adam", 5e-3, 16, 5),
}


def is_text(dataset: str, given: dict[str, Any]) -> bool:
    """Whether `train` is asked for a character model: by its name, or by the file's."""
    if given.get("model") in MODELS:
        return True
    if Path(dataset).suffix.lower() == ".txt":
        return True
    foreign = [k for k in ONLY_HERE if given.get(k) is not None]
    if foreign:
        raise ConfigError(
            f"--{foreign[0]} belongs to character models",
            expected="--model gpt or --model lstm, and a text file",
            received=shown(dataset),
        )
    return False


def recipe_for(given: dict[str, Any]) -> Recipe:
    """The recipe of a model with what the user asked for put in."""
    chosen = {k: v for k, v in given.items() if v is not None}
    model = chosen.get("model", "gpt")
    if model not in MODELS:
        raise unknown_name("character model", model, MODELS)
    found = _TABLE[model]
    unknown = sorted(set(chosen) - set(Recipe.__dataclass_fields__))
    if model == "lstm" and "heads" in chosen:
        unknown.append("heads")
    if unknown:
        raise ConfigError(
            f"--{unknown[0].replace('_', '-')} does not belong to --model {model}",
            expected="--context, --width, --depth" + ", --heads" * (model == "gpt"),
            received=shown(chosen[unknown[0]]),
        )
    put_optimizer(chosen, found.optimizer)
    if chosen.get("batch_size") == "all":
        chosen["batch_size"] = None
    return replace(found, **chosen)


def network_of(recipe: Recipe, tokens: int) -> nn.Module:
    """The network a recipe describes."""
    if recipe.model == "gpt":
        return nn.GPT(
            tokens, recipe.width, recipe.depth, recipe.heads, recipe.context, dtype=recipe.dtype
        )
    return nn.CharLSTM(tokens, recipe.width, recipe.depth, dtype=recipe.dtype)


def train_text(
    file: str, saving: Saving, backend: str, as_json: bool, given: dict[str, Any]
) -> None:
    """Train a character model on a text file, write the run's folder, say how it went."""
    recipe = recipe_for(given)
    checked_dtype(recipe.dtype)
    saving.check()
    began = time.perf_counter()
    text = read_text(file)
    x, y, x_val, y_val = text.windows(recipe.context, validation=VALIDATION)
    settings: dict[str, Any] = {
        "loss": "cross_entropy",
        "optimizer": optimizer_of(recipe.optimizer, recipe.lr),
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "validation_data": (x_val, y_val),
        "seed": recipe.seed,
        "recompute": recipe.recompute,
        "guard": guard_of(recipe.no_guard),
        "backend": backend,
    }
    model = network_of(recipe, len(text.vocabulary))
    record = prepared(model, x, y, **settings)
    if not as_json:
        for line in _heading(text, recipe, record, len(x), len(x_val)):
            say(line)
    words = _command(file, recipe, backend)
    about: dict[str, Any] = {
        "source": text.source, "command": shlex.join(words), **in_effect(words),
    }  # fmt: skip
    steps = -(-len(x) // min(recipe.batch_size or len(x), len(x)))
    with progress(text.name, steps, recipe.epochs, as_json) as listeners:
        keeping = saving.begin(text.name, about, record)
        callbacks = (*listeners, *keeping.pop("callbacks", ()))
        history = fit(model, x, y, callbacks=callbacks, verbose=False, **settings, **keeping)
    with np.errstate(all="ignore"):
        scores = {
            part: evaluate(model, a, b, loss="cross_entropy", metrics=("accuracy",))
            for part, a, b in (("train", x, y), ("validation", x_val, y_val))
        }
    seconds = time.perf_counter() - began
    about["result"] = result_of(seconds, scores)
    place = saving.end(
        history,
        settings=about,
        labels=Labels(text.vocabulary, (), "text", "cross_entropy", text.name),
    )
    if as_json:
        say(in_json(text.source, history, seconds, scores, place))
        return
    for line in _report(place, scores, seconds, text, file):
        say(line)


def _command(file: str, recipe: Recipe, backend: str) -> list[str]:
    """The command that does this again, nothing left to defaults."""
    words = ["glassgrad", "train", file, "--model", recipe.model]
    for option in ("context", "width", "depth", "heads", "epochs", "optimizer", "seed", "dtype"):
        if option != "heads" or recipe.model == "gpt":
            words += [f"--{option}", str(getattr(recipe, option))]
    batch = "all" if recipe.batch_size is None else str(recipe.batch_size)
    words += ["--batch-size", batch, "--lr", repr(recipe.lr), "--backend", backend]
    return [*words, *extra_flags(recipe)]


def _heading(text: Text, recipe: Recipe, record: Any, windows: int, held: int) -> list[str]:
    about = f"{len(text.tokens):,} characters, {len(text.vocabulary)} different"
    cut = f"{windows:,} windows of {recipe.context} to train on, {held:,} to validate with"
    network = f"{record.task.model!r}: {record.plan.size:,} parameters, {recipe.dtype}"
    batch = "all rows at once" if recipe.batch_size is None else f"batches of {recipe.batch_size}"
    epochs = f"{recipe.epochs} epoch" + "s" * (recipe.epochs != 1)
    parts = [
        ("data", f"{text.source}: {about}"),
        ("", cut),
        ("network", network),
        ("training", f"{epochs}, {batch}, {record.optimizer!r}, cross-entropy, seed {recipe.seed}"),
        *engine_lines(record),
    ]
    return [click.style(f"{head:<9}", bold=True) + name(line) for head, line in parts]


def _report(
    place: Path, scores: dict[str, Any], seconds: float, text: Text, file: str
) -> list[str]:
    table = [("", "loss", "accuracy")]
    table += [
        (part, number(s["loss"]), f"{100 * s['accuracy']:.2f} %") for part, s in scores.items()
    ]
    shell = shlex.quote(str(place))
    prompt = "".join(text.vocabulary[t] for t in text.tokens[:12].tolist()).split("\n")[0]
    steps = [
        (
            f"glassgrad sample {name(shell)} --prompt {name(shlex.quote(prompt or 'a'))}",
            "let it write",
        ),
        (f"python {name(shell)}/program.py", "the run again, with NumPy alone"),
        (
            f"glassgrad explain {name(shell)} {name(shlex.quote(file))} --row 0",
            "every number of one window's step, derived",
        ),
    ]
    head, *lines = columns(table, right=(1, 2))
    out = ["", click.style(head, dim=True), *lines, *written(place, seconds, True), "", "next"]
    return out + columns([(f"  {c}", click.style(about, dim=True)) for c, about in steps])


def sample_command(
    model_text: str,
    prompt: str | None,
    length: int,
    temperature: float,
    top_k: int | None,
    seed: int,
) -> None:
    """The prompt and what a character model makes of it, on standard output."""
    model, path = find_model(model_text)
    if model.labels.task != "text":
        raise UsageError(
            "this is not a character model",
            where=name(path),
            expected="a model that glassgrad train FILE.txt wrote",
            received=model.labels.task or "a model without a task",
            hint="glassgrad predict is for other models",
        )
    classes = model.labels.classes
    given = prompt if prompt is not None else ("\n" if "\n" in classes else classes[0])
    characters = sampled(model, given, length, temperature=temperature, top_k=top_k, seed=seed)
    click.echo(plain(given), nl=False)
    for character in characters:
        click.echo(plain(character), nl=False)
        sys.stdout.flush()
    click.echo()
