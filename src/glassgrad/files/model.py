"""`.glass`: a network as data. `save` writes it, `load` reads it back.

A zip of stored members, a closed list of them: `manifest.json` says what the others must be, byte
for byte; `graph.json` is the module tree and the forward graph, in evaluation, for any number of
rows; `weights.safetensors` holds parameters and buffers by path; `training.json` and `history.csv`
say how they came to be, `signature.json` and `preparation.json` what goes in and what comes out;
`check.safetensors` is three rows to try it with. Nothing in it is code. docs/model-file.md is the
format in full.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from glassgrad.data.preparation import TablePreparation
from glassgrad.errors import ConfigError, FormatError, GlassgradError, UsageError, shown, told
from glassgrad.nn.module import Module

from .atomic import write_atomically
from .check_rows import check_rows, checked_rows, compare
from .fitted import Fitted, fitted_from
from .foreign import read_model_file
from .graph_member import graph_json, read_graph_json, state_of
from .history import read_history, write_history
from .labels import Labels, preparation_from
from .loaded import GraphModule
from .manifest import MEMBERS, opened, sealed
from .signature import labels_in, signature
from .strict_json import read_json, write_json, written
from .traced import traced
from .weights import AnyArray, header, read_tensors, write_tensors


def save(
    model: Module,
    path: str | os.PathLike[str],
    *,
    x: Any = None,
    labels: Any = None,
) -> Path:
    """Write a network as a `.glass` file, whole or not at all.

    Parameters
    ----------
    model : Module
        Any module; its forward pass is traced in evaluation, so that `load` needs no
        class.
    path : path
        Ends in `.glass`; a file there is replaced.
    x : array or tuple of int, optional
        An example of the input, or its shape with the rows left out; of several inputs a dict by
        name, or a list. Needed only where the model has not been called or fitted yet.
    labels : Labels, Dataset or mapping, optional
        Classes, columns, task, loss, data set, preparation.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    UsageError
        The model's input is not known, or the file cannot be written.
    ConfigError
        The path does not end in `.glass`, or the labels are none.

    Examples
    --------
    >>> import tempfile, glassgrad as gg
    >>> from glassgrad import nn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = gg.save(nn.Linear(2, 3), f"{folder}/small.glass", x=(2,))
    ...     gg.load(path)
    Linear(2, 3)
    """
    file = _file(path)
    if file.suffix != ".glass":
        raise ConfigError(
            "a model file ends in .glass",
            where=told(path),
            expected=f"{told(file.stem, 80)}.glass",
            received=told(file.suffix, 80) or "no ending",
        )
    write_atomically(file, to_bytes(model, x=x, labels=labels))
    return file


def to_bytes(model: Module, *, x: Any = None, labels: Any = None) -> bytes:
    """The bytes of a `.glass` file; the same model gives the same bytes."""
    if not isinstance(model, Module):
        raise UsageError("this is not a model", expected="an nn.Module", received=shown(model))
    about = Labels.of(getattr(model, "labels", None) if labels is None else labels)
    state = model.named_state()
    graph, trainable, places = traced(model, x)
    run = fitted_of(model)
    how = None if about.preparation is None else about.preparation.plain()
    training = {"dataset": about.dataset, "loss": about.loss, "run": run and run.plain()}
    history = "" if run is None else write_history(run.history)
    return sealed(
        {
            "graph.json": graph_json(model.title(), trainable, places, list(state), graph),
            "weights.safetensors": write_tensors({n: p.numpy() for n, p in state.items()}),
            "training.json": written(training, "training.json"),
            "signature.json": written(signature(graph, about), "signature.json"),
            "preparation.json": written(how, "preparation.json"),
            "history.csv": history.encode(),
            "check.safetensors": write_tensors(check_rows(graph, state)),
        }
    )


def fitted_of(model: Module) -> Fitted | None:
    """The run that a model's numbers come from, None where it was never fitted."""
    found = model._fitted
    return found if isinstance(found, Fitted) else None


# ------------------------------------------------------------------------------------------- load


def load(path: str | os.PathLike[str], *, check: bool = False) -> GraphModule:
    """Read a network from a `.glass` file: a module that predicts, with no class behind it.

    The file is taken to be hostile: nothing in it is run, and every size it declares is compared
    with the bytes there are. Raises FormatError, naming the file, for anything that `save` would
    not have written; with `check`, also where the network does not give for the file's three rows
    what it gave when it was saved, to 1e-4 of 1 + the largest number (float64: 1e-10).
    """
    file = _file(path)
    try:
        return from_bytes(read_model_file(file), check=check)
    except FormatError as error:
        error.where = _inside(file, error.where)
        raise


def _file(path: Any) -> Path:
    try:
        return Path(path)
    except TypeError:
        raise UsageError(
            "this is no path", expected="the name of a .glass file", received=shown(path)
        ) from None


def _inside(file: Path, where: str) -> str:
    name = told(file)
    return f"{name}, {where}" if where and name not in where else name


def from_bytes(data: bytes, *, check: bool = False) -> GraphModule:
    """The network in the bytes of a `.glass` file. Raises FormatError for anything else."""
    members = opened(data)

    def json(name: str) -> Any:
        return read_json(bytes(members[name]), name, MEMBERS[name])

    about = _guarded("graph.json", lambda: read_graph_json(bytes(members["graph.json"])))
    weights = _tensors(members, "weights.safetensors")
    state = _guarded(
        "weights.safetensors", lambda: state_of(about.graph, weights, about.parameters)
    )
    unknown = [n for p in about.places for n in p.parameters if n not in state]
    if unknown:
        raise FormatError(
            "a module holds a parameter that is not there",
            where="graph.json",
            received=shown(unknown[0]),
        )
    training = _training(json("training.json"))
    labels = _labels(json("signature.json"), json("preparation.json"), training)
    said = _guarded("signature.json", lambda: signature(about.graph, labels))
    if write_json(said) != members["signature.json"]:
        raise FormatError(
            "the signature is not that of the graph",
            where="signature.json",
            expected=shown(said, 200),
            received=shown(json("signature.json"), 200),
        )
    model: GraphModule = _guarded(
        "graph.json",
        lambda: GraphModule(about.graph, state, about.places, about.title, labels, about.trainable),
    )
    model._fitted = _fitted(training["run"], bytes(members["history.csv"]))
    found = _tensors(members, "check.safetensors")
    rows = _guarded("check.safetensors", lambda: checked_rows(about.graph, found))
    if check:
        _guarded("check.safetensors", lambda: compare(about.graph, state, rows))
    return model


def _tensors(members: Mapping[str, memoryview], name: str) -> dict[str, AnyArray]:
    found = read_tensors(members[name], name)
    before = header(found)
    if members[name][: len(before)] != before:
        raise FormatError(
            "the numbers are described in another way than we do it",
            where=name,
            expected=f"one form only, {len(before):,} bytes before the numbers",
            received=shown(bytes(members[name][:60]), 100),
        )
    return found


def _training(plain: Any) -> dict[str, Any]:
    parts = ("dataset", "loss", "run")
    if not isinstance(plain, dict) or tuple(plain) != parts:
        raise FormatError(
            "the training is described by other parts",
            where="training.json",
            expected=", ".join(parts),
            received=shown(plain),
        )
    return plain


def _fitted(run: Any, history: bytes) -> Fitted | None:
    columns = read_history(history, "history.csv") if history else None
    found = fitted_from(run, columns)
    if history != (b"" if found is None else write_history(found.history).encode()):
        raise FormatError(
            "the history is not as we write it", where="history.csv", expected="one form only"
        )
    return found


def _labels(found: Any, how: Any, training: dict[str, Any]) -> Labels:
    """What the numbers mean, from the three members that say it."""
    known = labels_in(found)
    preparation = _guarded("preparation.json", lambda: preparation_from(how))
    if preparation is not None and write_json(preparation.plain()) != write_json(how):
        raise FormatError(
            "the preparation is not as we write it",
            where="preparation.json",
            expected="one form only",
        )
    if isinstance(preparation, TablePreparation):
        known["features"] = ()  # those that the preparation makes
    texts = {"loss": training["loss"], "dataset": training["dataset"]}
    labels: Labels = _guarded(
        "signature.json", lambda: Labels(**known, **texts, preparation=preparation)
    )
    return labels


def _guarded(where: str, read: Callable[[], Any]) -> Any:
    """What a reader gives; any complaint of the code it calls is the file's fault."""
    try:
        return read()
    except FormatError as error:
        error.where = f"{where}, {error.where}" if error.where else where
        raise
    except GlassgradError as error:
        raise FormatError(
            f"this is not what a model holds: {error.what}",
            where=f"{where}, {error.where}" if error.where else where,
            expected=error.expected,
            received=error.received,
        ) from None
    except (
        ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError,
        RecursionError, AssertionError, MemoryError,
    ) as error:  # fmt: skip
        raise FormatError(
            "this is not what a model holds",
            where=where,
            received=f"{type(error).__name__}: {shown(str(error))}",
        ) from None
