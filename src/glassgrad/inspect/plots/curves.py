"""A run's curves, and those of several runs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from glassgrad.errors import ShapeError, shown
from glassgrad.inspect.svg import (
    COLOURS,
    Picture,
    Scale,
    axes,
    coordinate,
    fitted,
    linear,
    picture,
    text,
    value_scale,
    width_of,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["curves", "overlaid"]

_MOST_LINES = 14  # of a panel: as many labels have room at their ends
_TOP, _BOTTOM = 88.0, 304.0
_TOO_LARGE = 1e300  # drawn as a gap: differences would overflow (and 1e-300 counts as 0)


@dataclass(frozen=True)
class _Series:
    label: str  # not yet escaped
    values: NDArray[np.float64]
    colour: int
    validation: bool
    low: NDArray[np.float64] | None = None  # the edges of a band around the line
    high: NDArray[np.float64] | None = None


_NOT_CURVES = frozenset({"epoch", "step", "seconds", "time", "lr", "learning_rate"})


def curves(history: Mapping[str, Sequence[float]], title: str) -> Picture:
    """A run's history as a picture: loss on the left, its metrics, if any, on the right.

    Training lines are solid and blue, validation lines (`val_...`) dashed and orange; each ends in its
    name and last value. Of more than 14 metrics the first 14 are drawn. Loss has a logarithmic axis where it is positive and spans more than two
    decades. Values that are None or not finite are gaps.

    Parameters
    ----------
    history : mapping from name to numbers
        `loss` and `val_loss` on the left, any other name on the right, one number an epoch. `epoch`
        gives the horizontal axis where it is there (otherwise 1, 2, ...); `step`, `seconds`,
        `time`, `lr` and `learning_rate` are not drawn. Lengths may differ; empty is allowed.
    title : str
        Any text; it is escaped.

    Returns
    -------
    Picture
        An SVG document, 860 by 354 (500 by 354 without metrics) CSS pixels.

    Raises
    ------
    ShapeError
        A value of `history` is not a list of numbers.

    Source: colours by Okabe and Ito; direct labels after Tufte.

    Examples
    --------
    >>> svg = curves({"loss": [0.9, 0.4, 0.2], "accuracy": [0.5, 0.8, 0.9]}, "spiral & co")
    >>> svg.startswith("<svg"), "spiral &amp; co" in svg, svg.count('class="gg-line')
    (True, True, 2)
    """
    columns = {str(name): _numbers(str(name), values) for name, values in history.items()}
    loss: list[str] = [name for name in ("loss", "val_loss") if name in columns]
    metrics = [name for name in columns if name not in loss and name not in _NOT_CURVES]
    length = max((len(columns[name]) for name in [*loss, *metrics]), default=0)
    epochs = columns.get("epoch", np.array([]))
    if len(epochs) < length or not np.isfinite(epochs).all() or (np.diff(epochs) <= 0).any():
        epochs = np.arange(1.0, length + 1)

    panels = [("loss", _as_series(loss, columns), True)] if loss or not metrics else []
    if metrics:
        stems = {name.removeprefix("val_") for name in metrics}
        heading = stems.pop() if len(stems) == 1 else "metrics"
        panels.append((heading, _as_series(metrics, columns), False))
    about = f"{length} epochs of " + ", ".join([*loss, *metrics])
    note = (
        "solid: training, dashed: validation" if any(n.startswith("val_") for n in columns) else ""
    )
    return _panels(panels, epochs, title, about if length else "no epochs yet", note)


def overlaid(groups: Mapping[str, Sequence[Mapping[str, Sequence[float]]]], title: str) -> Picture:
    """Several runs in one picture: loss on the left, the first metric they share, if any, on the right.

    Each group has a colour: a line for the mean of its runs and, around it, a band from their lowest
    to their highest value. A run that ended earlier leaves the mean to the others. Validation is drawn
    where every run has it, training otherwise; the heading says which. Of more than 14 groups the
    first 14 are drawn.

    Parameters
    ----------
    groups : mapping from name to runs
        A run maps names to numbers, one an epoch, as a History does. Names are escaped.
    title : str
        Any text; it is escaped.

    Returns
    -------
    Picture
        An SVG document, 860 by 354 (500 by 354 without a common metric) CSS pixels.

    Raises
    ------
    ShapeError
        A column of a run is not a list of numbers.

    Source: colours by Okabe and Ito; direct labels after Tufte.

    Examples
    --------
    >>> runs = {"sgd": [{"loss": [0.9, 0.5]}, {"loss": [0.7, 0.3]}], "adam": [{"loss": [0.8, 0.1]}]}
    >>> svg = overlaid(runs, "two optimisers")
    >>> svg.count('class="gg-line'), svg.count("fill-opacity")
    (2, 1)
    """
    runs = [run for group in groups.values() for run in group]
    panels, longest = [], 0
    for heading, column in shared_columns(runs):
        series = []
        for number, (label, group) in enumerate(groups.items()):
            values = _stacked([_numbers(column, run[column]) for run in group])
            longest = max(longest, values.shape[1])
            colour, many = number % len(COLOURS), len(values) > 1
            mean, low, high = (_over_runs(f, values) for f in (np.mean, np.min, np.max))
            series.append(
                _Series(label, mean, colour, False, low if many else None, high if many else None)
            )
        panels.append((heading, series, column.endswith("loss")))
    about = f"{len(runs)} runs of {', '.join(groups)}: mean, lowest and highest"
    epochs = np.arange(1.0, longest + 1)
    many = any(len(group) > 1 for group in groups.values())
    note = "line: the mean of a group's runs, band: lowest to highest" if many else ""
    return _panels(panels[:2] or [("loss", [], True)], epochs, title, about, note)


def shared_columns(runs: Sequence[Mapping[str, Sequence[float]]]) -> list[tuple[str, str]]:
    """What every run has, loss first: a heading, and the column, validation where all have it."""
    common = [n for n in runs[0] if all(n in run for run in runs)] if runs else []
    stems = [n for n in common if n not in _NOT_CURVES and not n.startswith("val_")]
    stems.sort(key=lambda n: n != "loss")
    return [(f"validation {n}", f"val_{n}") if f"val_{n}" in common else (n, n) for n in stems]


def _stacked(columns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """A row for each run, those that ended earlier filled with gaps."""
    table = np.full((len(columns), max((len(c) for c in columns), default=0)), np.nan)
    for row, column in zip(table, columns, strict=True):
        row[: len(column)] = column
    return table


def _over_runs(reduce: Callable[..., Any], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """One number for each epoch, of the runs that have one there."""
    return np.array(
        [reduce(c[np.isfinite(c)]) if np.isfinite(c).any() else np.nan for c in values.T]
    )


def _panels(
    panels: list[tuple[str, list[_Series], bool]],
    epochs: NDArray[np.float64],
    title: str,
    about: str,
    note: str,
) -> Picture:
    """One or two pairs of axes side by side; the truth value is whether a scale may be logarithmic."""
    width = 860 if len(panels) == 2 else 500
    each = (width - 20) / len(panels)
    every = [one for _, series, _ in panels for one in series[:_MOST_LINES]]
    longest = max([width_of(f"{one.label} {_last(one)}") for one in every], default=0.0)
    room = min(max(longest + 22, 60), 176)  # pixels to the right for the labels
    left_out = max(len(series) for _, series, _ in panels) - _MOST_LINES
    note += "; " * bool(note and left_out > 0)
    note += f"{left_out} more not drawn" if left_out > 0 else ""
    body = [words("gg-soft", 20, 48, note)] if note else []
    panels = [(heading, series[:_MOST_LINES], log) for heading, series, log in panels]
    for number, (heading, series, may_be_log) in enumerate(panels):
        left = 10 + number * each
        x0, x1 = left + 48, left + each - room
        body.append(_panel(heading, series, epochs, x0, x1, room - 8, may_be_log))
    return picture(width, 354, title, about, body)


def _numbers(name: str, values: Sequence[float]) -> NDArray[np.float64]:
    try:
        column = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        column = np.zeros((0, 0))
    if column.ndim != 1:
        raise ShapeError(
            "a column of the history is not a list of numbers",
            where=f"column {shown(name)}",
            expected="one number an epoch",
            received=shown(values),
        )
    column[~(np.abs(column) < _TOO_LARGE)] = np.nan
    column[np.abs(column) < 1 / _TOO_LARGE] = 0.0
    return column


def _as_series(names: list[str], columns: dict[str, NDArray[np.float64]]) -> list[_Series]:
    """One quantity: blue for train, orange for validation. Several: a colour each, dashes for validation."""
    stems = list(dict.fromkeys(name.removeprefix("val_") for name in names))
    out = []
    for name in names:
        validation, stem = name.startswith("val_"), name.removeprefix("val_")
        if len(stems) == 1:
            colour, label = int(validation), "val" if validation else "train"
        else:
            colour, label = stems.index(stem) % len(COLOURS), f"val {stem}" if validation else stem
        out.append(_Series(label, columns[name], colour, validation))
    return out


def _last(one: _Series) -> str:
    """The last value of a line."""
    there = np.flatnonzero(np.isfinite(one.values))
    return f"{one.values[there[-1]]:.4g}" if len(there) else ""


def _end_label(one: _Series, room: float) -> str:
    """What stands at the end of a line: its name and its last value, escaped."""
    value = _last(one)
    return f"{fitted(one.label, room - width_of(f' {value}'))} {value}"


def _panel(
    heading: str,
    series: list[_Series],
    epochs: NDArray[np.float64],
    x0: float,
    x1: float,
    room: float,
    may_be_log: bool,
) -> str:
    """One pair of axes from pixel x0 to x1 with its lines; labels have so much room right of x1."""
    top, bottom = _TOP, _BOTTOM
    drawn = [one for one in series if np.isfinite(one.values).any()]
    if not drawn:
        line = f"M{coordinate(x0)} {coordinate(bottom + 0.5)}H{coordinate(x1)}"
        return (
            words("gg-head gg-ink", x0, top - 14, text(heading, 40))
            + f'<path class="gg-axis" d="{line}"/>'
            + words("gg-soft", (x0 + x1) / 2, (top + bottom) / 2, "nothing to draw yet", "middle")
        )
    drawn_values = [a for o in drawn for a in (o.values, o.low, o.high) if a is not None]
    finite = np.concatenate([a[np.isfinite(a)] for a in drawn_values])
    log = bool(may_be_log and finite.min() > 0 and finite.max() > 100 * finite.min())
    y = value_scale(finite, bottom, top, log)
    longest = max(len(one.values) for one in series)
    x0 += max(0.0, y.room() - 40)
    x = linear(float(epochs[0]), float(epochs[longest - 1]), x0, x1, whole=True)
    note = '<tspan class="gg-soft gg-note" dx="6">log scale</tspan>' if log else ""
    out = [words("gg-head gg-ink", x0, top - 14, text(heading, 40) + note), *axes(x, y, "epoch")]
    out += [_band(one, epochs, x, y) for one in drawn if one.low is not None]
    out += [_line(one, epochs, x, y) for one in drawn]
    ends = [y(float(one.values[np.isfinite(one.values)][-1])) for one in drawn]
    for one, height in zip(drawn, _spread(ends, top, bottom), strict=True):
        out.append(words(f"gg-f{one.colour}", x1 + 8, height + 4, _end_label(one, room)))
    return "\n".join(out)


def _line(one: _Series, epochs: NDArray[np.float64], x: Scale, y: Scale) -> str:
    """One series: a path for each stretch without gaps, a dot where a stretch is one point."""
    pixels = int(abs(x.end - x.start))
    path, dots = [], []
    for begin, end in _stretches(np.isfinite(one.values)):
        rows = _thinned(one.values, begin, end, pixels)
        points = [(coordinate(x(epochs[row])), coordinate(y(one.values[row]))) for row in rows]
        if len(points) == 1:
            ((cx, cy),) = points
            dots.append(f'<circle class="gg-f{one.colour}" cx="{cx}" cy="{cy}" r="3"/>')
        else:
            path.append("M" + "L".join(f"{px} {py}" for px, py in points))
    look = f"gg-line gg-s{one.colour}" + (" gg-val" if one.validation else "")
    look += " gg-many" if len(one.values) > pixels else ""
    return (f'<path class="{look}" d="{"".join(path)}"/>' if path else "") + "".join(dots)


def _band(one: _Series, epochs: NDArray[np.float64], x: Scale, y: Scale) -> str:
    """The area between `low` and `high`, a piece for each stretch without gaps."""
    assert one.low is not None
    assert one.high is not None
    pixels = int(abs(x.end - x.start))
    pieces = []
    for begin, end in _stretches(np.isfinite(one.low) & np.isfinite(one.high)):
        over = [(r, one.high[r]) for r in _thinned(one.high, begin, end, pixels)]
        under = [(r, one.low[r]) for r in reversed(_thinned(one.low, begin, end, pixels))]
        points = [f"{coordinate(x(epochs[r]))} {coordinate(y(float(v)))}" for r, v in over + under]
        pieces.append(f"M{'L'.join(points)}z")
    return f'<path class="gg-f{one.colour}" fill-opacity="0.16" d="{"".join(pieces)}"/>'


def _stretches(there: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The half-open ranges of rows where `there` holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _thinned(values: NDArray[np.float64], begin: int, end: int, pixels: int) -> list[int]:
    """All rows, or the lowest and highest of each of `pixels` groups, so that no peak is lost."""
    if end - begin <= 3 * pixels:
        return list(range(begin, end))
    rows = {begin, end - 1}
    cuts = np.linspace(begin, end, pixels + 1).astype(int)
    for a, b in pairwise(cuts):
        rows |= {a + int(values[a:b].argmin()), a + int(values[a:b].argmax())}
    return sorted(int(row) for row in rows)


def _spread(wanted: list[float], top: float, bottom: float, gap: float = 15.0) -> list[float]:
    """Heights near the wanted ones, at least `gap` apart where there is room."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    gap = min(gap, (bottom - top) / max(1, len(wanted) - 1))
    placed = list(wanted)
    floor = top - gap
    for i in order:
        floor = placed[i] = max(wanted[i], floor + gap)
    ceiling = bottom + gap
    for i in reversed(order):
        ceiling = placed[i] = min(placed[i], ceiling - gap)
    return placed
