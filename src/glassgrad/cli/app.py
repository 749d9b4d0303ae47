"""The commands and their options. Only click is imported here: `--help` must be quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click

from glassgrad import __version__
from glassgrad.cli.config import CONFIG, SAVE_CONFIG, Place, flags_first
from glassgrad.cli.saving import CHECKPOINT_EVERY, INTERRUPTED, RESUME, Saving
from glassgrad.cli.screen import QUIET, complain, note
from glassgrad.errors import ConfigError, GlassgradError, UsageError, shown, told

SETS = "digits, spiral, circles, moons, xor, people, mnist, fashion-mnist, cifar10, and, or, nand, nor, xnor"


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command; every error is a message and an exit code, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a character the terminal lacks is escaped
            stream.reconfigure(errors="backslashreplace")
    try:
        code = command.main(arguments, prog_name="glassgrad", standalone_mode=False)
        sys.stdout.flush()  # a full disk is found here, not when Python ends
        if isinstance(code, int):  # of a command that ended early, as click gives it
            return code
    except click.exceptions.Exit as found:
        return found.exit_code
    except click.UsageError as error:
        complain(_usage(error))
        return 2
    except click.ClickException as error:
        complain(UsageError(error.format_message()))
        return 2
    except GlassgradError as error:
        complain(error)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        note("\ninterrupted: nothing was saved")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        _leave_output()
        return 0
    except OSError as error:  # a name that is too long, a folder that is shut, a full disk
        complain(_system(error))
        _leave_output()
        return 1
    except MemoryError:
        complain(
            UsageError(
                "there is not enough memory",
                expected="a network and batches that fit",
                hint="fewer units, or a smaller --batch-size",
            )
        )
        return 1
    return 0


def _leave_output() -> None:
    """What cannot be written any more is dropped, so that Python does not try again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _system(error: OSError) -> UsageError:
    return UsageError(
        "the system refuses",
        where=told(error.filename or ""),
        expected="files and folders that can be read and written",
        received=error.strerror or told(error),
    )


def _usage(error: click.UsageError) -> UsageError:
    context = error.ctx
    where = context.command_path if context is not None else "glassgrad"
    what = error.format_message().rstrip(".")
    missing = isinstance(error, click.MissingParameter) and "DATASET" in what
    return UsageError(
        what[:1].lower() + what[1:],
        where=where,
        expected=f"one of {SETS}" if missing else "",
        hint=f"{where} digits" if missing else f"{where} --help",
    )


class _Whole(click.ParamType[int]):
    """A whole number of a range; the complaint has the library's four parts."""

    name = "number"

    def __init__(self, low: int, high: int, special: str = "") -> None:
        self.low, self.high, self.special = low, high, special

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, int) or (self.special and value == self.special):
            return value
        text = str(value)
        if text.isascii() and text.isdigit() and len(text) <= 20:
            number = int(text)
            if self.low <= number <= self.high:
                return number
        high = f" to {self.high:,}" if self.high < 2**60 else ""
        special = f", or {self.special}" if self.special else ""
        raise ConfigError(
            f"{_flag(param)} is out of range",
            expected=f"a whole number from {self.low}{high}{special}",
            received=shown(value),
        )


class _Real(click.ParamType[float]):
    """A real number of a range."""

    def __init__(self, name: str, fine: Callable[[float], bool], expected: str) -> None:
        self.name, self.fine, self.expected = name, fine, expected

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            number = float(value) if "_" not in str(value) else float("nan")
        except ValueError:
            number = float("nan")
        if not self.fine(number):
            raise ConfigError(
                f"{_flag(param)} is out of range", expected=self.expected, received=shown(value)
            )
        return number


_RATE = _Real("rate", lambda v: 0 < v < float("inf"), "a number above 0, such as 0.01")
_SHARE = _Real("share", lambda v: 0 <= v < 1, "a share from 0 to below 1, such as 0.1")


def _flag(param: click.Parameter | None) -> str:
    return max(param.opts, key=len) if param is not None else "the number"


_NETWORK = (
    click.option(
        "--layers",
        metavar="TEXT",
        help="Such as 64-relu,32-relu,dropout:0.1; none for no hidden layer.",
    ),
    click.option(
        "--model", metavar="mlp|lenet|cnn|gpt|lstm", help="A ready-made network: mlp is 128-relu."
    ),
    click.option("--dtype", metavar="float32|float64", help="The kind of number."),
)
_TRAINING = (
    click.option("--epochs", type=_Whole(0, 10**7), help="How often all rows are seen."),
    click.option("--batch-size", type=_Whole(1, 10**9, "all"), help="Rows per step, or all."),
    click.option(
        "--optimizer", metavar="NAME", help="sgd, momentum, adam, adamw, rmsprop, lion, lbfgs, ..."
    ),
    click.option("--lr", type=_RATE, help="The learning rate."),
    click.option(
        "--seed", type=_Whole(0, 2**64 - 1), help="Decides first weights, order, dropout.  [0]"
    ),
)
_RECOMPUTE = click.option(
    "--recompute",
    is_flag=True,
    default=None,
    help="Less memory, more work: do parts of the way forward again.",
)
_GUARD = click.option(
    "--no-guard", metavar="NAMES", help="Checks to leave out: all, or such as gradients,chance."
)
_BACKEND = click.option(
    "--backend", metavar="auto|numpy|native", default="auto", help="What computes.  [auto]"
)
_LANGUAGE = (
    click.option("--context", type=_Whole(1, 10**6), help="Characters a model sees.  [64]"),
    click.option("--width", type=_Whole(1, 10**6), help="Numbers for each character.  [128]"),
    click.option("--depth", type=_Whole(1, 1000), help="Layers.  [gpt 4, lstm 1]"),
    click.option("--heads", type=_Whole(1, 10**4), help="Heads of attention.  [4]"),
)
_TABLE = (
    click.option("--target", metavar="COLUMN", help="For a CSV file: the column to learn."),
    click.option(
        "--task",
        metavar="TEXT",
        help="For a CSV file: classification, binary or regression.  [from the target]",
    ),
    click.option(
        "--categorical", multiple=True, metavar="COLUMN", help="A column of classes, not numbers."
    ),
    click.option("--drop", multiple=True, metavar="COLUMN", help="A column to leave out."),
    click.option(
        "--validation-split", type=_SHARE, help="For a CSV file: rows to watch, such as 0.1."
    ),
)
_DATA = click.option(
    "--data",
    type=Place(),
    metavar="DIR",
    envvar="GLASSGRAD_DATA",
    help="Where MNIST, Fashion-MNIST or CIFAR-10 is (or GLASSGRAD_DATA).",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for machines.")


def _options(*groups: Any) -> Callable[[Any], Any]:
    flat = [o for group in groups for o in (group if isinstance(group, tuple) else (group,))]

    def add(function: Any) -> Any:
        for option in reversed(flat):
            function = option(function)
        return function

    return add


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.version_option(__version__, message="glassgrad %(version)s")
@click.pass_context
def command(context: click.Context) -> None:
    """Neural networks you can see through.

    \b
    Start here:
      glassgrad train digits      train a network on handwritten digits, in seconds
      glassgrad source digits     print the NumPy program of one training step
      glassgrad show digits       its layers, shapes, parameters
    """  # noqa: D301  # click wants the character itself
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@command.command(epilog=f"Data sets: {SETS}.")
@click.argument("dataset")
@_options(_TABLE, _DATA, _NETWORK, _LANGUAGE, _TRAINING, _RECOMPUTE)
@_options(_GUARD, _BACKEND)
@click.option(
    "--out",
    type=Place(),
    metavar="DIR",
    help="The run's folder, empty or new.  [runs/DATASET-N]",
)
@_options(CHECKPOINT_EVERY, RESUME, CONFIG, SAVE_CONFIG, QUIET, _JSON)
def train(
    dataset: str,
    data: Path | None,
    out: Path | None,
    backend: str,
    checkpoint_every: int | str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Train a network, and write it all down.

    DATASET is a name; a CSV file with a heading, whose column --target is learnt from the others;
    or a text file (FILE.txt) for a character model, --model gpt or lstm. Every setting left out
    has a default for the data set, and is printed. The run's folder holds the model, its history,
    curves, settings, and the whole run as one NumPy program.
    """
    given = flags_first(given)
    saving = Saving(out, checkpoint_every)
    if dataset.startswith("-"):  # a file: the command that is written down must not read a flag
        dataset = f"./{dataset}"
    with saving.telling():
        _train(dataset, data, saving, backend, as_json, given)


@command.command(name="check-resume", epilog=f"Data sets: {SETS}.")
@click.argument("dataset")
@_options(_TABLE, _DATA, _NETWORK, _LANGUAGE, _TRAINING, _RECOMPUTE, _GUARD, _BACKEND, CONFIG)
def check_resume(dataset: str, data: Path | None, backend: str, **given: Any) -> None:
    """Prove that a run goes on exactly.

    Takes what `glassgrad train` takes. Trains for a few steps, then again, stopped after some of
    them and resumed, and compares everything the run is, bit for bit. Nothing is kept.
    """
    from glassgrad.cli.checking import Checking

    given = flags_first(given)
    dataset = f"./{dataset}" if dataset.startswith("-") else dataset
    _train(dataset, data, Checking(), backend, False, given)


@command.command(epilog=f"Data sets: {SETS}.")
@click.argument("dataset")
@_options(_TABLE, _DATA, _NETWORK, _LANGUAGE, _TRAINING, _RECOMPUTE, _GUARD, _BACKEND, CONFIG)
@click.option("--steps", type=_Whole(1, 100_000), default=200, help="Of each copy.  [200]")
@click.option(
    "--seconds", type=_RATE, metavar="NUMBER", default=120.0, help="Of the processor, about.  [120]"
)
@_options(_JSON)
def diagnose(
    dataset: str, data: Path | None, backend: str, as_json: bool, steps: int, seconds: float,
    **given: Any,
) -> None:  # fmt: skip
    """Look for what keeps a training from learning.

    Takes what `glassgrad train` takes, or a run's settings with --config RUN/config.toml. Trains
    copies for a few steps and keeps nothing. Each finding has its evidence, and its fix was tried,
    or says why not. The exit code is 1 where anything was found.
    """
    from glassgrad.cli.diagnose import Diagnosing

    given = flags_first(given)
    dataset = f"./{dataset}" if dataset.startswith("-") else dataset
    _train(dataset, data, Diagnosing(steps, seconds, as_json), backend, as_json, given)


def _train(
    dataset: str,
    data: Path | None,
    saving: Saving,
    backend: str,
    as_json: bool,
    given: dict[str, Any],
) -> None:
    """Text, table or a data set by name."""
    from glassgrad.cli.language import ONLY_HERE, is_text, train_text
    from glassgrad.cli.train_table import train_table, what_is_asked

    text = is_text(dataset, given)
    asked = what_is_asked(given, _is_table(dataset), dataset)
    if asked is None and text:
        train_text(dataset, saving, backend, as_json, given)
        return
    for key in ONLY_HERE:
        del given[key]
    if asked is not None:
        train_table(dataset, saving, backend, as_json, given, asked)
        return
    from glassgrad.cli.train import train_command

    train_command(_text(dataset), data, saving, backend, as_json, given)


@command.command()
@click.argument("model")
@click.argument("rows")
@_options(_DATA)
def predict(model: str, rows: str, data: Path | None) -> None:
    """Predict test rows of a data set, or rows of a CSV file.

    A model trained on a CSV file takes another with columns of the same names.

    MODEL is a .glass file or a run's folder. A line of CSV on standard output for each row. The
    numbers of a CSV file are raw: pixels from 0 to 16 or 255, centimetres, whatever the data set
    was made from; the model knows how to prepare them.
    """
    from glassgrad.cli.use import predict_command

    predict_command(model, rows, data)


@command.command()
@click.argument("model")
@click.option("--prompt", metavar="TEXT", help="What it continues.  [an empty line]")
@click.option("--length", type=_Whole(0, 10**9), default=500, help="How many characters.  [500]")
@click.option("--temperature", type=_RATE, default=1.0, help="Below 1 safer, above 1 wilder.  [1]")
@click.option("--top-k", type=_Whole(1, 10**6), help="Only the K likeliest characters.  [all]")
@click.option("--seed", type=_Whole(0, 2**64 - 1), default=0, help="Decides the draws.  [0]")
def sample(model: str, **given: Any) -> None:
    """Let a character model write.

    MODEL is a .glass file or a run's folder that `glassgrad train FILE.txt` made.
    """
    from glassgrad.cli.language import sample_command

    sample_command(model, **given)


@command.command(epilog=f"Data sets: {SETS}.")
@click.argument("model")
@click.argument("dataset")
@_options(_DATA, _JSON)
def evaluate(model: str, dataset: str, data: Path | None, as_json: bool) -> None:
    """Loss and scores of a saved model.

    DATASET is a name, or a CSV file with the target column for a model trained on such a file.
    """
    from glassgrad.cli.use import evaluate_command

    evaluate_command(model, _text(dataset), data, as_json)


@command.command(epilog=f"Data sets: {SETS}.")
@click.argument("model")
@click.argument("rows", metavar="DATA")
@click.option("--row", type=_Whole(0, 10**9), default=0, help="Which row of DATA, from 0.  [0]")
@click.option(
    "--answer", metavar="TEXT", help="What is right for it, where DATA does not say so, or else."
)
@click.option("--loss", metavar="NAME", help="Another loss, such as mse.  [that of training]")
@click.option(
    "--follow",
    metavar="NAME[I,J]",
    help="One number's ways to the loss, such as linear1_weight[0,3].",
)
@click.option("--format", "form", metavar="text|html|markdown|latex", help="[by --out, or text]")
@click.option("--steps", is_flag=True, help="All steps, also those behind closed forms.")
@click.option("--out", type=Place(), metavar="FILE", help="Write it into a new file.")
@_options(_DATA)
def explain(model: str, rows: str, data: Path | None, **given: Any) -> None:
    """Derive every number of a step on one row.

    MODEL is a .glass file or a run's folder, DATA a data set (its test rows) or a CSV file, as
    `glassgrad predict` takes them; for a character model a text file, whose rows are windows. The
    loss is that of training, with all its settings. In Python `gg.explain` takes many rows and tells
    them apart, and `gg.attribute` says which inputs an output comes from.
    """
    from glassgrad.cli.explain import explain_command

    explain_command(model, rows, folder=data, **given)


@command.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--svg", type=Place(), metavar="FILE", help="Draw the curves overlaid, into a new file."
)
@_options(_JSON)
def compare(runs: tuple[str, ...], svg: Path | None, as_json: bool) -> None:
    """Runs side by side: what differs, last and best values.

    RUN is a run's folder. Those that differ in the seed alone are taken together: mean and standard
    deviation.
    """
    from glassgrad.cli.compare import compare_command

    compare_command(runs, svg, as_json)


@command.command()
@click.argument("target")
@click.option(
    "--plan", is_flag=True, help="The kernels of a training step, as the native executor runs it."
)
@_options(_NETWORK, _RECOMPUTE)
def show(target: str, plan: bool, recompute: bool | None, **given: Any) -> None:
    """Layers, shapes, parameters and multiply-adds.

    TARGET is a .glass file, a run's folder, or the name of a data set, whose default network (or
    the one --layers or --model describe) is shown.
    """
    from glassgrad.cli.show import show_command

    show_command(target, plan, bool(recompute), given)


@command.command(epilog=f"Data sets: {SETS}.")
@click.argument("dataset")
@_options(_DATA, _NETWORK, _TRAINING, _RECOMPUTE)
@click.option("--whole", is_flag=True, help="The whole run, not one step.")
@_options(CONFIG)
def source(dataset: str, data: Path | None, whole: bool, **given: Any) -> None:
    """Print the NumPy program that trains a network.

    One step; with --whole the program that `glassgrad train` leaves in the run's folder.
    """
    from glassgrad.cli.show import source_command

    source_command(_text(dataset), data, whole, flags_first(given))


@command.command()
@click.argument("name")
@click.option(
    "--data",
    type=Place(),
    metavar="DIR",
    help="Where its folder is made.  [GLASSGRAD_CACHE, or the user's folder for caches]",
)
def download(name: str, data: Path | None) -> None:
    """Fetch a public data set.

    NAME is mnist, fashion-mnist, cifar10 or tinyshakespeare. Over HTTPS, compared with the published SHA-256. Other commands find it then; nothing is ever
    downloaded by any of them.
    """
    from glassgrad.cli.use import download_command

    download_command(_text(name), data)


@command.command()
@_options(_DATA)
def info(data: Path | None) -> None:
    """Versions, engine, threads, and where data are found."""
    from glassgrad.cli.show import info_command

    info_command(data)


def _is_table(dataset: str) -> bool:
    return dataset.lower().endswith((".csv", ".tsv"))


def _text(dataset: str) -> str:
    """A data set's name, however it was typed; a file's name stays as it is."""
    if _is_table(dataset):
        return dataset
    return dataset.strip().lower().replace("_", "-")
