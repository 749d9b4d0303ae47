"""What is trained, from the words of a user: the inputs, the outputs and what each is to learn."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.errors import ConfigError, DataError, UsageError, shown, whole_number
from glassgrad.ir import Dim, Type
from glassgrad.nn import losses
from glassgrad.nn.layers import Embedding
from glassgrad.nn.module import Module, one_dtype
from glassgrad.nn.structure import Structure, structure
from glassgrad.nn.tracing import input_names
from glassgrad.tensors.tensor import Parameter, Tensor

from . import batches, metrics as metric_list
from .metrics import Metric

AnyArray = NDArray[Any]
ROWS = Dim.named("n")
WEIGHT = "sample_weight"


@dataclass(frozen=True, slots=True)
class Head:
    """One output of a network, and what it is to learn."""

    output: str  # "" for the only one
    target: str  # what the program calls it: y, or y_out1, y_out2, ...
    type: Type  # of the target
    loss_name: str
    loss: Callable[..., Any]
    weight: float  # of this loss in the sum
    metrics: tuple[Metric, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """What is trained: the model, the types of its data, losses and metrics."""

    model: Module
    inputs: dict[str, Type]  # with the number of rows as a name
    heads: tuple[Head, ...]
    weighted: bool = False  # whether every row has a weight
    structure: Structure | None = None  # of the model, where it has one
    held: dict[str, Parameter] = field(default_factory=dict)  # by the model, once that is known
    constants: dict[str, Parameter] = field(default_factory=dict)  # of losses, such as weights

    def state(self) -> dict[str, Parameter]:
        """What the model holds, and what the losses do."""
        return {**(self.held or self.model.named_state()), **self.constants}

    @property
    def loss_name(self) -> str:
        """The loss, or the losses one after the other."""
        return " + ".join(dict.fromkeys(h.loss_name for h in self.heads))

    @property
    def loss_label(self) -> str:
        """As `loss_name`, with what the losses' settings change."""
        return " + ".join(dict.fromkeys(losses.label(h.loss_name, h.loss) for h in self.heads))

    @property
    def data(self) -> tuple[str, ...]:
        """The names of everything that has rows."""
        weight = (WEIGHT,) if self.weighted else ()
        return (*self.inputs, *[h.target for h in self.heads], *weight)


@dataclass(frozen=True, slots=True)
class Wish:
    """Losses and metrics as a user gave them, spread over the outputs."""

    outputs: tuple[str, ...]
    losses: tuple[tuple[str, Callable[..., Any]], ...]
    weights: tuple[float, ...]
    metrics: tuple[tuple[Metric, ...], ...]

    @property
    def targets(self) -> tuple[str, ...]:
        """What the program calls the targets."""
        return tuple([f"y_{name}" if name else "y" for name in self.outputs])


def wish(y: Any, loss: Any, loss_weights: Any, metrics: Any) -> Wish:
    """One output or several, each with its loss, its weight and its metrics.

    Several targets are a dict by output, or a tuple (a list, where the losses are one) in order.
    """
    outputs = _outputs(y, loss)
    _check_columns(outputs)
    found = tuple([losses.find(each) for each in _spread(loss, outputs, "loss")])
    weights = _spread(loss_weights, outputs, "loss_weights") if loss_weights is not None else None
    numbers = tuple([1.0] * len(outputs) if weights is None else map(_checked_weight, weights))
    wanted = _spread(metrics, outputs, "metrics") if isinstance(metrics, Mapping) else None
    chosen = tuple(
        [
            metric_list.find(_default(name, each, metrics if wanted is None else wanted[i]))
            for i, (name, each) in enumerate(found)
        ]
    )
    return Wish(outputs, found, numbers, chosen)


def _outputs(y: Any, loss: Any) -> tuple[str, ...]:
    if isinstance(y, Mapping):
        if not y or not all(isinstance(k, str) and k for k in y):
            raise DataError(
                "targets by output are a dict of names",
                expected='{"name": array, ...}',
                received=shown(y),
            )
        return tuple(y)
    several = isinstance(y, tuple | list) and (
        isinstance(loss, tuple | list)
        or (isinstance(y, tuple) and bool(y) and all(_is_array(each) for each in y))
    )
    return tuple([f"out{i + 1}" for i in range(len(y))]) if several else ("",)


def _check_columns(outputs: Sequence[str]) -> None:
    """In the history, val_ is what a column of the validation rows begins with."""
    for name in outputs:
        if name == "val" or name.startswith("val_"):
            raise ConfigError(
                "an output cannot have this name",
                where="y",
                expected="one that does not begin with val, as columns of validation rows do",
                received=name,
                hint="rename it in forward and in y",
            )


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | Tensor) and value.ndim > 0


def _spread(value: Any, outputs: Sequence[str], what: str) -> list[Any]:
    """One value for each output: by name, in order, or the same for all."""
    if isinstance(value, Mapping):
        if set(value) != set(outputs):
            raise ConfigError(
                f"{what} and targets have different names",
                expected=", ".join(outputs),
                received=", ".join(map(str, value)),
            )
        return [value[name] for name in outputs]
    if isinstance(value, tuple | list):
        if len(value) != len(outputs):
            raise ConfigError(
                f"{what} and targets differ in number",
                expected=f"{len(outputs)}, one for each output",
                received=str(len(value)),
            )
        return list(value)
    return [value] * len(outputs)


def _checked_weight(value: Any, what: str = "loss weight") -> float:
    number = -1.0
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):  # a whole number past 1e308
            number = float(value)
    if not 0 <= number < math.inf:
        raise ConfigError(
            f"a {what} is out of range", expected="a number from 0", received=shown(value)
        )
    return number


def _default(name: str, loss: Any, metrics: Any) -> Any:
    ours = losses.known(name)
    ignoring = losses.settings_of(loss).get("ignore_index") is not None
    if metrics is None:
        return ("accuracy",) if ours and ours.classifies and not ignoring else ()
    given = (metrics,) if isinstance(metrics, str) or callable(metrics) else metrics
    if ignoring and any("accuracy" in each for each in given if isinstance(each, str)):
        raise ConfigError(
            "accuracy is a share of all rows, and this loss ignores some",
            where="metrics",
            expected="other metrics, or a loss without ignore_index",
            received=f"accuracy and {loss!r}",
            hint="count them from gg.predict",
        )
    return metrics


_dtype_name = lru_cache(64)(operator.attrgetter("name"))  # of a NumPy dtype, slow to read


def make_task(taken: Intake, wished: Wish, data: Mapping[str, AnyArray]) -> Task:
    """The types of the data with the number of rows left open."""
    kinds = {name: Type((ROWS, *a.shape[1:]), _dtype_name(a.dtype)) for name, a in data.items()}
    heads = tuple(
        [
            Head(output, target, kinds[target], *loss, weight, metrics)
            for output, target, loss, weight, metrics in zip(
                wished.outputs,
                wished.targets,
                wished.losses,
                wished.weights,
                wished.metrics,
                strict=True,
            )
        ]
    )
    inputs = {n: t for n, t in kinds.items() if n not in (*wished.targets, WEIGHT)}
    if WEIGHT in data:
        for name, function in wished.losses:
            if "reduction" not in inspect.signature(function).parameters:
                raise UsageError(
                    "this loss cannot be weighted row by row",
                    where=f"loss {name}",
                    expected="a loss that takes reduction='none' and then gives one for each row",
                    received="sample_weight or class_weight",
                    hint="put the weights into the loss, or use one of nn.losses",
                )
    return Task(taken.model, inputs, heads, WEIGHT in data, taken.structure)


# -- data -------------------------------------------------------------------------------------


class Intake:
    """What a network takes: the names of its inputs, its dtype, the size of its largest table."""

    def __init__(self, model: Module) -> None:
        self.model = model
        self.structure = structure(model)
        if self.structure is None:
            modules, self.dtype = [m for _, m in model.modules()], model.dtype()
        else:
            modules, self.dtype = self.structure.modules, one_dtype(self.structure.state)
        self.names, self.needed = input_names(model)
        self.table: int | None = max(
            [m.tokens for m in modules if isinstance(m, Embedding)], default=None
        )


def named_inputs(taken: Intake, x: Any) -> dict[str, Any]:
    """What goes into a network, by the names its forward gives it.

    Several inputs are a tuple or a list in the order of the forward's arguments, or a dict.
    """
    names, needed = taken.names, taken.needed
    if isinstance(x, Mapping):
        order = [name for name in names if name in x]
        if set(x) != set(order) or len(order) < needed or list(names[: len(order)]) != order:
            raise DataError(
                "the inputs are not those of the network",
                where=f"{type(taken.model).__name__}.forward",
                expected=", ".join(names),
                received=", ".join(map(str, x)),
            )
        return {name: x[name] for name in order}
    if needed < 2:
        return {"x": x}
    if not isinstance(x, tuple | list) or not needed <= len(x) <= len(names):
        raise DataError(
            "the network takes several inputs",
            where=f"{type(taken.model).__name__}.forward",
            expected=f"a tuple or dict of {needed}: {', '.join(names)}",
            received=f"{len(x)} in a {type(x).__name__}"
            if isinstance(x, tuple | list)
            else type(x).__name__,
        )
    return dict(zip(names, x, strict=False))


def checked_data(
    taken: Intake,
    x: Any,
    y: Any,
    wished: Wish,
    *,
    sample_weight: Any = None,
    what: str = "",
) -> dict[str, AnyArray]:
    """Inputs, targets and weights of rows as arrays by name. `what` begins their names in errors."""
    inputs = checked_inputs(taken, x, what)
    for name in inputs:
        if name in (*wished.targets, WEIGHT):
            raise taken_name(f"argument {name} of {type(taken.model).__name__}.forward", name)
    rows = len(next(iter(inputs.values())))
    targets = checked_targets(y, wished, taken.dtype, rows, what)
    found = inputs | targets
    if sample_weight is not None:
        found[WEIGHT] = _row_weights(sample_weight, rows, taken.dtype, f"{what}{WEIGHT}")
    return found


def taken_name(where: str, name: str) -> ConfigError:
    """A name of the user's that a step has for something of its own."""
    return ConfigError(
        "a training step has a variable of this name already",
        where=where,
        expected="another name",
        received=name,
        hint=f"call it {name}_ or my_{name}",
    )


def checked_inputs(taken: Intake, x: Any, what: str = "") -> dict[str, AnyArray]:
    """The inputs as arrays, each checked, all with as many rows. `what` begins their names."""
    named = named_inputs(taken, x)
    found = {
        name: batches.inputs(given, taken.dtype, taken.table, f"{what}{name}", len(named) > 1)
        for name, given in named.items()
    }
    first, *rest = found
    for name in rest:
        if len(found[name]) != len(found[first]):
            raise DataError(
                "the inputs have different numbers of rows",
                expected=f"{len(found[first])} rows, as {what}{first}",
                received=f"{what}{name} with {len(found[name])}",
            )
    return found


def checked_targets(
    y: Any, wished: Wish, dtype: str, rows: int, what: str = ""
) -> dict[str, AnyArray]:
    """The targets as arrays, each checked against its loss and the number of rows."""
    if wished.outputs == ("",):
        each = [y]
    else:
        each = _spread(y, wished.outputs, f"{what}targets")
    return {
        name: batches.targets(given, loss, dtype, rows, f"{what}{name}")
        for name, given, (loss, _) in zip(wished.targets, each, wished.losses, strict=True)
    }


def _row_weights(given: Any, rows: int, dtype: str, what: str) -> AnyArray:
    weights = batches.as_array(given, what)
    if weights.shape != (rows,):
        raise DataError(
            "there is one weight for each row",
            where=what,
            expected=f"({rows},)",
            received=str(weights.shape),
        )
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            "a weight is negative or not finite",
            where=f"{what}, row {row}",
            expected="numbers from 0",
            received=f"{weights[row]}",
        )
    return _some_weight(weights, dtype, what)


def _some_weight(weights: AnyArray, dtype: str, what: str) -> AnyArray:
    found = batches.real_numbers(weights, dtype, what)
    if not found.any():
        raise DataError(
            "every row has the weight 0",
            where=what,
            expected="some weight above 0",
            received=f"0 in all of {len(found):,} rows",
        )
    return found


def with_class_weights(
    data: Mapping[str, AnyArray], wished: Wish, class_weight: Any, dtype: str
) -> tuple[dict[str, AnyArray], AnyArray]:
    """The data with each row's weight times that of its class, and the weight of each class.

    `class_weight` is a dict or a list of a weight for each class, or "balanced": rows / (classes
    * rows of the class), so that every class weighs the same (as in scikit-learn).
    """
    classes, table = _class_weights(class_weight, {name: data[name] for name in wished.targets})
    weights = table[classes]
    if WEIGHT in data:
        weights = weights * data[WEIGHT]
    return {**data, WEIGHT: _some_weight(weights, dtype, "class_weight")}, table


def _class_weights(given: Any, targets: Mapping[str, AnyArray]) -> tuple[AnyArray, AnyArray]:
    """The class of each row, and the weight of each class."""
    (name, y), *others = targets.items()
    if others:
        raise ConfigError(
            "class weights need one output",
            expected="sample_weight, where a network has several",
            received=f"{len(targets)} outputs",
        )
    labels = y.reshape(len(y), -1)
    whole = labels.shape[1] == 1 and bool((labels == np.round(labels)).all())
    if not whole or labels.min() < 0:
        raise DataError(
            "class weights need one class for each row",
            where=name,
            expected="classes from 0",
            received=f"{y.dtype} {y.shape}",
        )
    classes = labels[:, 0].astype(np.int64)
    if isinstance(given, str) and given == "balanced":
        counts = np.bincount(classes)
        table = len(classes) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        return classes, table
    if isinstance(given, Mapping):
        missing = sorted(set(classes.tolist()) - set(given))
        wrong = [k for k in given if whole_number(k) is None]
        if missing or wrong:
            raise ConfigError(
                "class weights and classes differ",
                expected="a weight for every class, by its number",
                received=f"none for class {missing[0]}" if missing else f"the class {wrong[0]!r}",
            )
        table = np.zeros(int(classes.max()) + 1)
        for k, value in given.items():
            if 0 <= int(k) < len(table):
                table[int(k)] = _checked_weight(value, "class weight")
        return classes, table
    if isinstance(given, str):
        raise ConfigError(
            "class_weight is not known", expected="balanced, a dict or a list", received=given
        )
    each = np.asarray(given, dtype=object).reshape(-1).tolist()
    numbers = [_checked_weight(v, "class weight") for v in each]
    if len(numbers) <= classes.max():
        raise ConfigError(
            "class weights and classes differ",
            expected=f"at least {int(classes.max()) + 1} weights",
            received=str(len(numbers)),
        )
    return classes, np.asarray(numbers)
