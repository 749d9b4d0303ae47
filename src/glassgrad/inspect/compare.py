"""Runs side by side: which settings differ, how well each went, over several seeds."""

from __future__ import annotations

import html
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from glassgrad.errors import ConfigError, UsageError, shown, whole_number
from glassgrad.inspect.plots import overlaid
from glassgrad.inspect.run import effective, read_run
from glassgrad.nn.module import Module
from glassgrad.tensors.random import checked_seed
from glassgrad.train.fit import fit
from glassgrad.train.history import History
from glassgrad.train.metrics import NAMED

_UNSEEN = ("epochs_done", "rows")  # what a run was asked, not how it went


@dataclass(frozen=True)
class Group:
    """Runs that differ in the seed alone: their settings, and a history for each seed."""

    name: str
    settings: Mapping[str, Any]
    seeds: tuple[Any, ...]
    runs: tuple[Mapping[str, Sequence[float]], ...]
    folders: tuple[str, ...] = ()

    def last(self, column: str) -> tuple[float, float]:
        """Mean and standard deviation (n - 1) over the seeds of the last epoch's value."""
        return _mean_and_spread([run[column][-1] for run in self.runs if run[column]])

    def best(self, column: str, direction: str) -> tuple[float, float]:
        """Mean and standard deviation (n - 1) over the seeds of each run's best value."""
        choose = max if direction == "up" else min
        finite = [[v for v in run[column] if math.isfinite(v)] for run in self.runs]
        return _mean_and_spread([choose(values) for values in finite if values])


def _mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    if not values or not all(map(math.isfinite, values)):
        return math.nan, math.nan
    try:
        return fmean(values), stdev(values) if len(values) > 1 else math.nan
    except OverflowError:
        return math.nan, math.nan


@dataclass(frozen=True)
class Comparison:
    """Groups of runs side by side; `print` shows a table, `svg()` draws their curves.

    `differ` has the settings in which the groups differ, `directions` whether a column is better
    "down" or "up" ("": nobody has said; then no best is told).
    """

    groups: tuple[Group, ...]
    directions: Mapping[str, str]

    @property
    def differ(self) -> dict[str, list[Any]]:
        """The settings that differ, each with a value for each group (None: it has none)."""
        names = dict.fromkeys(n for g in self.groups for n in g.settings)
        rows = {n: [g.settings.get(n) for g in self.groups] for n in names}
        return {n: row for n, row in rows.items() if any(v != row[0] for v in row[1:])}

    @property
    def columns(self) -> list[str]:
        """The columns that every run has."""
        runs = [run for g in self.groups for run in g.runs]
        return [n for n in runs[0] if all(n in run for run in runs)] if runs else []

    def svg(self, title: str = "") -> str:
        """The curves overlaid, as an SVG document: means, and bands from lowest to highest."""
        names = ", ".join(g.name for g in self.groups[:3])
        more = len(self.groups) - 3
        heading = title or names + (f" and {more} more" if more > 0 else "")
        return overlaid({g.name: g.runs for g in self.groups}, heading)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON; what is not finite is None."""

        def pair(values: tuple[float, float]) -> dict[str, float | None]:
            mean, spread = (v if math.isfinite(v) else None for v in values)
            return {"mean": mean, "deviation": spread}

        return {
            "differ": {n: [_plain(v) for v in row] for n, row in self.differ.items()},
            "groups": [
                {
                    "name": g.name,
                    "settings": {n: _plain(v) for n, v in g.settings.items()},
                    "seeds": [_plain(s) for s in g.seeds],
                    "runs": list(g.folders),
                    "epochs": [_epochs(run) for run in g.runs],
                    "last": {c: pair(g.last(c)) for c in self.columns},
                    "best": {
                        c: pair(g.best(c, self.directions[c]))
                        for c in self.columns
                        if self.directions[c]
                    },
                }
                for g in self.groups
            ],
        }

    def tables(self) -> list[tuple[str, list[list[str]]]]:
        """What is printed: titled tables of texts, the heading first."""
        out = []
        if self.differ:
            head = ["", *map(_short, self.differ)]
            lines = [
                [_short(g.name), *["-" if g.settings.get(n) is None else _short(g.settings[n]) for n in self.differ]]
                for g in self.groups
            ]  # fmt: skip
            out.append(("settings that differ", [head, *lines]))
        for column in self.columns:
            direction = self.directions[column]
            lines = [["", "runs", "epochs", "last", *(["best"] if direction else [])]]
            for g in self.groups:
                epochs = sorted({_epochs(run) for run in g.runs})
                span = f"{epochs[0]}" if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]}"
                cells = [_short(g.name), str(len(g.runs)), span, _pair(*g.last(column))]
                lines.append([*cells, *([_pair(*g.best(column, direction))] if direction else [])])
            out.append((column, lines))
        return out

    def __str__(self) -> str:
        blocks = []
        for title, lines in self.tables():
            widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
            rows = [
                "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines
            ]
            blocks.append("\n".join([title, *["  " + row.rstrip() for row in rows]]))
        return "\n\n".join(blocks)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        parts = []
        for title, (head, *lines) in self.tables():
            cells = "".join(f"<th>{html.escape(c)}</th>" for c in head)
            rows = "".join(
                f"<tr>{''.join(f'<td>{html.escape(c)}</td>' for c in line)}</tr>" for line in lines
            )
            caption = f"<caption>{html.escape(title)}</caption>"
            parts.append(f"<table>{caption}<tr>{cells}</tr>{rows}</table>")
        return "".join(parts) + self.svg()


def _plain(value: Any) -> Any:
    """A setting as JSON has it."""
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _epochs(run: Mapping[str, Sequence[float]]) -> int:
    return max((len(values) for values in run.values()), default=0)


def _pair(mean: float, spread: float) -> str:
    if not math.isfinite(mean):
        return "-"
    return _number(mean) + (f" ± {_number(spread)}" if math.isfinite(spread) else "")


def _number(value: float) -> str:
    plain = value == 0 or 5e-4 <= abs(value) < 1e4
    return f"{value:.4f}" if plain else f"{value:.3g}"


def _short(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= 48 else text[:45] + "..."


# ------------------------------------------------------------------------------------------ entries


def compare(
    entries: Mapping[str, Any] | Sequence[Any],
    x: Any = None,
    y: Any = None,
    *,
    seeds: int | Iterable[int] = 5,
    **common: Any,
) -> Comparison:
    """Train each entry once for each seed, or read runs that are there, and set them side by side.

    An entry is

    - settings of `gg.fit`, as a mapping; those that all share are given once, as keywords. `model` is
      a function without arguments that makes a new model, called anew for each seed;
    - or a function of the seed that gives a History, for anything else;
    - or a History, or the folder of a run. These that differ in the seed alone are one group;
      the same run given again, or a copy of it, counts once.

    `seeds` is a number n (0 to n - 1) or the seeds themselves. In a mapping the keys name the groups;
    in a list they are named by the settings in which they differ. Raises UsageError for what is no
    entry, ConfigError for no seeds, and whatever `fit` raises.

    Example: mean and standard deviation of two optimisers over three seeds.

    >>> import glassgrad as gg
    >>> from glassgrad import data, nn, optim
    >>> x, y = data.spiral(seed=0)
    >>> found = gg.compare(
    ...     {"sgd": dict(optimizer=optim.SGD(0.1)), "adam": dict(optimizer=optim.Adam(0.01))},
    ...     x,
    ...     y,
    ...     seeds=3,
    ...     epochs=20,
    ...     loss="cross_entropy",
    ...     model=lambda: nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 3)),
    ... )
    >>> found.differ
    {'optimizer': ['SGD', 'Adam'], 'lr': [0.1, 0.01]}
    >>> sgd, adam = found.groups
    >>> adam.best("loss", "down")[0] < sgd.best("loss", "down")[0]
    True
    """
    if isinstance(entries, str | os.PathLike | History) or not isinstance(
        entries, Mapping | Sequence
    ):
        raise _no_entry("compare", entries, "a list or a mapping of entries")
    named = isinstance(entries, Mapping)
    pairs = list(entries.items()) if isinstance(entries, Mapping) else [("", e) for e in entries]
    if not pairs:
        raise _no_entry("compare", entries, "at least one entry")
    numbers = _seeds(seeds)
    for number, (name, entry) in enumerate(pairs):
        _check(f"entry {shown(name) if named else number + 1}", entry, common)
    groups: dict[str, list[Group]] = {}
    for number, (name, entry) in enumerate(pairs):
        found = _one(entry, x, y, numbers, common)
        loose = isinstance(entry, History | str | os.PathLike) and not named and found.settings
        alike = repr(sorted(found.settings.items())) if loose else f"entry {number}"
        if any(_same_run(found, other) for other in groups.get(alike, ())):
            continue
        groups.setdefault(alike, []).append(replace(found, name=str(name) or found.name))
    return _side_by_side(
        [same[0] if len(same) == 1 else _together(same) for same in groups.values()]
    )


def _same_run(one: Group, other: Group) -> bool:
    """Whether a run is there already: counted twice, it would make the spread too small."""
    return one.seeds == other.seeds != (None,) and repr(one.runs) == repr(other.runs)


def _no_entry(where: str, entry: Any, expected: str) -> UsageError:
    return UsageError(
        "this cannot be compared", where=where, expected=expected, received=shown(entry)
    )


def _seeds(seeds: Any) -> tuple[int, ...]:
    count = whole_number(seeds)
    found = range(count) if count is not None and 0 < count <= 10**6 else seeds
    try:
        numbers = tuple(checked_seed(s) for s in found)
    except TypeError:
        numbers = ()
    if not numbers or len(set(numbers)) != len(numbers):
        raise ConfigError(
            "these are no seeds",
            where="compare",
            expected="a number of them from 1, or seeds that differ",
            received=shown(seeds),
        )
    return numbers


def _check(where: str, entry: Any, common: Mapping[str, Any]) -> None:
    """Everything that can be said before anything is trained."""
    if isinstance(entry, History | str | os.PathLike) or (
        callable(entry) and not isinstance(entry, Module)
    ):
        return
    if not isinstance(entry, Mapping):
        expected = "settings of fit, a function of the seed, a History, or the folder of a run"
        raise _no_entry(where, entry, expected)
    given = {**common, **entry}
    if "seed" in given:
        raise ConfigError(
            "compare gives each run its seed",
            where=where,
            expected="seeds=5, or seeds=[1, 2, 3]",
            received=f"seed={shown(given['seed'])}",
        )
    model = given.get("model")
    if isinstance(model, Module) or not callable(model):
        raise UsageError(
            "each seed needs a new model",
            where=where,
            expected="model=, a function without arguments that makes one",
            received=shown(model),
            hint="model=lambda: nn.Sequential(...)",
        )


def _one(entry: Any, x: Any, y: Any, seeds: Sequence[int], common: Mapping[str, Any]) -> Group:
    if isinstance(entry, History):
        return _of_history(entry)
    if isinstance(entry, str | os.PathLike):
        return _of_folder(Path(entry))
    train = entry if callable(entry) else _trainer({**common, **entry}, x, y)
    groups = []
    models: list[Any] = []  # held, so that no two can have one address
    for seed in seeds:
        history = train(seed)
        if not isinstance(history, History):
            raise _no_entry("compare", history, "a function of the seed that gives a History")
        model = history.record.task.model
        if any(model is other for other in models):
            raise UsageError(
                "the same model was trained twice",
                where="compare",
                expected="a new model for each seed",
                received=f"the one of seed {seeds[len(models) - 1]} again, for seed {seed}",
                hint="make it inside of the function",
            )
        models.append(model)
        groups.append(replace(_of_history(history), seeds=(seed,)))
    return _together(groups)


def _trainer(given: dict[str, Any], x: Any, y: Any) -> Callable[[int], History]:
    make = given.pop("model")
    x, y = given.pop("x", x), given.pop("y", y)
    given.setdefault("verbose", False)
    return lambda seed: fit(make(), x, y, seed=seed, **given)


def _of_history(history: History) -> Group:
    settings: dict[str, Any] = {}
    seed = None
    if history.record is not None:
        record = history.record
        settings = settings_of(effective(history, record))
        seed = settings.pop("seed", None)
    return Group("", settings, (seed,), (dict(history),))


def _of_folder(folder: Path) -> Group:
    config, columns = read_run(folder)
    settings = settings_of(config)
    seed = settings.pop("seed", None)
    name = os.fspath(folder)
    return Group(folder.name or name, settings, (seed,), (columns,), (name,))


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run's `config.toml` as one mapping; what came out of the run is left out."""
    flat: dict[str, Any] = {}
    tables = {k: v for k, v in config.items() if isinstance(v, Mapping) and k != "result"}
    flat.update(tables.pop("train", {}))
    flat.update({k: v for k, v in config.items() if not isinstance(v, Mapping)})
    for word in ("command", "source"):
        flat.pop(word, None)
    optimizer = dict(tables.pop("optimizer", {}))
    if "name" in optimizer:
        flat["optimizer"] = optimizer.pop("name")
    flat.update(optimizer)
    flat.update(tables.pop("training", {}))
    flat.update(tables.pop("engine", {}))
    for table, inner in tables.items():
        flat.update({f"{table}.{k}": v for k, v in inner.items() if k not in flat})
    if "layers" in flat or "model" in flat:  # which say the same
        flat.pop("network", None)
    return {k: v for k, v in flat.items() if k not in _UNSEEN}


# ------------------------------------------------------------------------------------------- groups


def _side_by_side(groups: Sequence[Group]) -> Comparison:
    """The groups, each with a name of its own."""
    draft = Comparison(tuple(groups), {})
    used: set[str] = set()
    final = []
    for number, group in enumerate(groups):
        differs = {n: row[number] for n, row in draft.differ.items() if row[number] is not None}
        name = group.name or (
            f"{Path(group.folders[0]).name} +{len(group.folders) - 1}"
            if group.folders
            else ", ".join(
                v if isinstance(v, str) else f"{n} {_short(v)}" for n, v in differs.items()
            )
        )
        name = name[:48] or f"run {number + 1}"
        plain, count = name, number + 1
        while name in used:
            name, count = f"{plain} ({count})", count + 1
        used.add(name)
        final.append(replace(group, name=name))
    columns = {n for g in groups for run in g.runs for n in run}
    return Comparison(tuple(final), {n: _direction(n) for n in columns})


def _together(groups: Sequence[Group]) -> Group:
    """The runs of several as one group; a setting that is not the same in all is left out."""
    first = groups[0].settings
    settings = {k: v for k, v in first.items() if all(g.settings.get(k) == v for g in groups)}
    return Group(
        "",
        settings,
        tuple(s for g in groups for s in g.seeds),
        tuple(r for g in groups for r in g.runs),
        tuple(f for g in groups for f in g.folders),
    )


def _direction(column: str) -> str:
    """Whether less or more is better, by the column's name; of several outputs, by its ending."""
    plain = column.removeprefix("val_")
    if plain == "loss" or plain.endswith("_loss"):
        return "down"
    return next(
        (m.direction for n, m in NAMED.items() if plain == n or plain.endswith(f"_{n}")), ""
    )
