"""Everything a run is between two steps, as plain data: taken out of a trainer and put back.

What is random is a function of the seed and of counters, so nothing of it is here but these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np

from glassgrad.errors import FormatError, GlassgradError, ResumeError, UsageError, shown
from glassgrad.files.strict_json import read_json, write_json
from glassgrad.files.weights import read_tensors, write_tensors
from glassgrad.tensors.tensor import Parameter, Tensor

from .callbacks import Callback, keeps
from .packing import Arrays, pack, unpack

if TYPE_CHECKING:
    from .trainer import Trainer

VERSION = 1
_BY_NAME = {str: np.ndarray}
_SHAPE: dict[str, Any] = {  # of what is kept: a kind, one of several, a list or a dict of these
    "version": int, "identity": dict, "seed": int, "step": int,
    "run": {"epoch": int, "loss": float, "stop": bool, "changed": int, "before": float},
    "updates": int, "rate": float, "rates": [[int, float]], "added": [int],
    "under_way": {"sums": [float], "seen": int, "batches": int},
    "given": (np.ndarray, NoneType), "last_batch": (str, NoneType),
    "epoch_step": int, "kept": (int, NoneType), "kept_at": int, "unwritable": str,
    "partial": bool, "trained": (int, NoneType), "history": _BY_NAME, "seconds": np.ndarray,
    "memory": dict, "weights": np.ndarray, "buffers": _BY_NAME, "moments": _BY_NAME,
    "fixed": _BY_NAME, "initial": _BY_NAME, "callbacks": list,
}  # fmt: skip
ABOUT, ARRAYS = "state.json", "state.safetensors"
_NEVER_CHANGED = ("initial/", "fixed/")  # in a run: they need no copy


@dataclass(slots=True)
class Snapshot:
    """A run at one moment: plain data, and the arrays it names."""

    step: int
    about: Any
    arrays: Arrays

    @property
    def finite(self) -> bool:
        """Whether all that training moves is finite."""
        moved = [a for n, a in self.arrays.items() if n == "weights" or n.startswith(_MOVED)]
        return all(bool(np.isfinite(a).all()) for a in moved if a.dtype.kind == "f")

    def members(self) -> dict[str, bytes]:
        """The files of a checkpoint."""
        return {ABOUT: write_json(self.about), ARRAYS: write_tensors(self.arrays)}


_MOVED = ("buffers/", "moments/")


def taken(trainer: Trainer, callbacks: Sequence[Callback], identity: Any) -> Snapshot:
    """A copy of a run as it is now, between two steps. Raises NonFiniteError where it is not finite."""
    trainer.look()
    record, run, history = trainer.record, trainer.seen, trainer.history
    sums, seen, batches = trainer.under_way
    value = {
        "version": VERSION,
        "identity": identity,
        "seed": record.seed,
        "step": run.step,
        "run": run.place(),
        "updates": trainer.updates,
        "rate": trainer.rate,
        "rates": [list(change) for change in record.rates],
        "added": list(trainer.added),
        "under_way": {"sums": sums, "seen": seen, "batches": batches},
        "given": np.concatenate(trainer.given) if trainer.given else None,
        "last_batch": None if record.stream is None else record.stream.last(),
        "epoch_step": trainer.epoch_step,
        "kept": record.kept,
        "kept_at": trainer.kept_at,
        "unwritable": record.unwritable,
        "partial": record.partial,
        "trained": record.trained,
        "history": {name: np.array(v, np.float64) for name, v in history.columns.items()},
        "seconds": np.array(history.seconds, np.float64),
        "memory": trainer.memory,
        "weights": trainer.weights,
        "buffers": trainer.buffers,
        "moments": trainer.moments,
        "fixed": trainer.frozen,
        "initial": record.initial,
        "callbacks": [[type(c).__name__, c.state()] for c in callbacks if keeps(c)],
    }
    arrays: Arrays = {}
    about = pack(value, arrays)
    copies = {n: a if n.startswith(_NEVER_CHANGED) else a.copy() for n, a in arrays.items()}
    return Snapshot(run.step, about, copies)


def read(members: Mapping[str, bytes], what: str) -> dict[str, Any]:
    """What `taken` took, from the files of a checkpoint. Raises FormatError for anything else."""
    if set(members) != {ABOUT, ARRAYS}:
        raise FormatError(
            "this is no checkpoint of a training run",
            where=what,
            expected=f"{ABOUT} and {ARRAYS}",
            received=", ".join(members),
        )
    arrays = read_tensors(members[ARRAYS], f"{what}, {ARRAYS}")
    found = unpack(read_json(members[ABOUT], f"{what}, {ABOUT}"), arrays, f"{what}, {ABOUT}")
    version = found.get("version") if isinstance(found, dict) else None
    if version != VERSION:
        raise FormatError(
            "a checkpoint of another version",
            where=what,
            expected=f"version {VERSION}",
            received=f"{version}",
        )
    _check_shape(found, what)
    return dict(found)


def _check_shape(state: dict[str, Any], what: str) -> None:
    """Every part is there and of its kind, and nothing else is."""
    names = dict.fromkeys([*_SHAPE, *state])
    wrong = [n for n in names if n not in state or not _fits(state[n], _SHAPE.get(n, ()))]
    wrong += [n for n in ("seconds", "weights") if not wrong and state[n].ndim != 1]
    wrong += ["history"] * (not wrong and not _is_history(state["history"], state["seconds"]))
    wrong += ["callbacks"] * (not wrong and not all(map(_is_callbacks, state["callbacks"])))
    if wrong:
        raise FormatError(
            "a checkpoint has a value that no run has",
            where=f"{what}, {shown(wrong[0])[1:-1]}",
            received=shown(state[wrong[0]]) if wrong[0] in state else "nothing",
        )


def _is_history(columns: Mapping[str, Any], seconds: Any) -> bool:
    """Whether each column has one number for each epoch."""
    return all(c.shape == seconds.shape and c.dtype.kind == "f" for c in columns.values())


def _fits(value: Any, shape: Any) -> bool:
    if isinstance(shape, tuple):
        return any(_fits(value, each) for each in shape)
    if isinstance(shape, list):
        each = shape[0]
        if isinstance(each, list):  # a list of lists, each with a value for every kind
            rows = isinstance(value, list) and all(isinstance(v, list) for v in value)
            return rows and all(list(map(type, row)) == each for row in value)
        return isinstance(value, list) and all(_fits(v, each) for v in value)
    if shape is _BY_NAME:
        return isinstance(value, dict) and all(isinstance(v, np.ndarray) for v in value.values())
    if isinstance(shape, dict):
        known = isinstance(value, dict) and set(value) == set(shape)
        return known and all(_fits(value[k], each) for k, each in shape.items())
    return type(value) is shape


def _is_callbacks(value: Any) -> bool:
    """A callback's name and what it kept."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def put(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Make a fresh trainer what the run was. What it was begun with has been compared before.

    Raises FormatError for a state that no run has.
    """
    try:
        _put(trainer, state)
    except GlassgradError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FormatError(
            "a checkpoint has a value that no run has", received=shown(error, 200)
        ) from error


def _check_counts(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Raises FormatError for counts, columns and rates that no run of this trainer has."""
    record, columns = trainer.record, 1 + len(trainer.plan.metrics)
    epochs, given, under_way = len(state["seconds"]), state["given"], state["under_way"]
    seen, batches = under_way["seen"], under_way["batches"]
    # Of rows in memory it is known how many so many batches have.
    most, cut = 2**53, max(seen, 0)
    if record.stream is None:
        most, cut = record.steps_per_epoch, min(batches * record.batch_rows, record.rows)
    fine = {
        "updates": 0 <= state["updates"] < 2**53,
        "rate": 0 <= state["rate"] < math.inf,
        "rates": all(update >= 1 and 0 < rate < math.inf for update, rate in state["rates"]),
        "added": len(state["added"]) == 2 and min(state["added"]) >= 0,
        "under_way": len(under_way["sums"]) == columns and 0 <= batches <= most and seen == cut,
        "given": given is None or (given.ndim == 2 and given.shape[1] == columns),
        "epoch_step": 0 <= state["epoch_step"] <= state["step"],
        "kept": state["kept"] is None or 1 <= state["kept"] <= epochs,
        "trained": state["trained"] is None or 0 <= state["trained"] <= epochs,
        "history": list(state["history"]) == list(trainer.history.columns),
        "initial": set(state["initial"]) == set(record.initial),
    }
    wrong = next((name for name, good in fine.items() if not good), None)
    if wrong is not None:
        raise FormatError(
            "a checkpoint has a value that no run has", where=wrong, received=shown(state[wrong])
        )


def _put(trainer: Trainer, state: Mapping[str, Any]) -> None:
    record, run = trainer.record, trainer.seen
    _check_counts(trainer, state)
    _fill({"weights": trainer.weights}, {"weights": state["weights"]})
    _fill(trainer.buffers, state["buffers"])
    _fill(trainer.moments, state["moments"])
    record.initial.update({name: array.copy() for name, array in state["initial"].items()})
    frozen = {name: np.empty_like(array) for name, array in trainer.frozen.items()}
    _fill(frozen, state["fixed"])
    trainer.memory.update(state["memory"])
    trainer.updated(state["updates"], state["rate"])
    record.rates[:] = [(update, rate) for update, rate in state["rates"]]
    batches, rows = state["added"]
    trainer.added = (batches, rows)
    under_way = state["under_way"]
    trainer.under_way = (under_way["sums"], under_way["seen"], under_way["batches"])
    trainer.given = [] if state["given"] is None else [state["given"]]
    trainer.epoch_step, trainer.kept_at = state["epoch_step"], state["kept_at"]
    record.kept, record.unwritable = state["kept"], state["unwritable"]
    record.partial, record.trained = state["partial"], state["trained"]
    trainer.history.columns = {name: v.tolist() for name, v in state["history"].items()}
    trainer.history.seconds = state["seconds"].tolist()
    run.go_to(state["step"], state["run"])
    if record.stream is not None:
        whole = not trainer.under_way[2]
        record.stream.go_to(trainer.history.epochs, whole, state["last_batch"])
    for name, array in frozen.items():  # the last, as it changes the model
        held = trainer.held[name]
        held.assign(Tensor(array, held.array_type))
        trainer.frozen[name] = held.numpy()


def _fill(arrays: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Numbers into arrays that are there already: native plans hold on to them."""
    for name, array in arrays.items():
        if name not in found or (found[name].shape, found[name].dtype) != (
            array.shape, array.dtype,
        ):  # fmt: skip
            raise FormatError(
                "an array of the checkpoint does not fit the network",
                where=name,
                expected=f"{array.dtype} {array.shape}",
                received=f"{found[name].dtype} {found[name].shape}" if name in found else "none",
            )
        array[...] = found[name]


def check_fits(state: Any, held: Mapping[str, Parameter]) -> None:
    """Raises UsageError unless there is an array for each of these parameters and buffers."""
    for name, own in held.items():
        array = state.get(name) if isinstance(state, Mapping) else None
        received = shown(array)
        if isinstance(array, np.ndarray):
            if array.shape == own.shape and np.can_cast(array.dtype, own.dtype, "same_kind"):
                continue
            received = f"{array.dtype} {array.shape}"
        raise UsageError(
            "these are not the numbers of this network",
            where=name,
            expected=f"an array of {own.dtype} {own.shape}",
            received=received,
            hint="run.restore(state), with state = run.state() of the same run",
        )


def put_callbacks(callbacks: Sequence[Callback], states: Sequence[tuple[str, Any]]) -> None:
    """Give callbacks back what they kept. Raises ResumeError where they are others than before."""
    with_state = [c for c in callbacks if keeps(c)]
    now, before = [type(c).__name__ for c in with_state], [name for name, _ in states]
    if now != before:
        raise ResumeError(
            "the run had other callbacks",
            where="callbacks",
            expected=", ".join(before) or "none that keeps anything",
            received=", ".join(now) or "none that keeps anything",
            hint="those that keep something, in the same order; others may come and go",
        )
    for callback, (_, state) in zip(with_state, states, strict=True):
        callback.restore(state)


def differing(a: Any, b: Any, path: str = "") -> list[str]:
    """Where two states differ in any bit; how many seconds epochs took is left out."""
    if isinstance(a, dict) and isinstance(b, dict):
        names = [n for n in dict.fromkeys([*a, *b]) if n != "seconds"]
        pairs = [(a.get(n), b.get(n), f"{path}/{n}" if path else n) for n in names]
        return [line for x, y, p in pairs for line in differing(x, y, p)]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        parts = enumerate(zip(a, b, strict=True))
        return [line for i, (x, y) in parts for line in differing(x, y, f"{path}/{i}")]
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        equal = (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    else:
        equal = type(a) is type(b) and (a == b or repr(a) == repr(b) == "nan")
    return [] if equal else [path]
