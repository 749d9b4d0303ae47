"""The pictures of the pages: activations with their derivatives, schedules. Same bytes everywhere.

A curve is drawn through its points rounded to hundredths of a pixel, without those that lie on the
straight line between their neighbours, and with a gap where it jumps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.errors import GlassgradError
from glassgrad.inspect.svg import Scale, axes, coordinate, linear, picture, text, words

WIDTH, HEIGHT = 440, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 48.0, 424.0, 76.0, 226.0
_STEP = 1 / 32  # between the points of a curve: an exact number, so that kinks are hit
_NEAR = 0.15  # of a pixel: a point as near to the line as this is left out
Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """A curve with its label, dashed or not."""

    label: str
    x: Curve
    y: Curve
    dashed: bool = False


# -- activations -------------------------------------------------------------------------------


def activation(make: Callable[[], nn.Module], name: str) -> str:
    """A layer that works on every number by itself, and its derivative; or one along an axis."""
    module = _in_doubles(make())
    wide = _is_wide(module)
    if wide is None:
        return _along_axis(module, name)
    x = _grid(8.0 if wide else 4.0)
    y, slope = _values(module, x[:, None])
    lines = (Line("f(x)", x, y), Line("its derivative f′(x)", x, slope, dashed=True))
    return _plot(name, f"{name} and its derivative from {x[0]:g} to {x[-1]:g}", lines, "x")


def _in_doubles(module: nn.Module) -> nn.Module:
    """The layer with float64 parameters: hundredths of a pixel are then the same everywhere."""
    for name, value in list(vars(module).items()):
        if isinstance(value, gg.Parameter):
            setattr(module, name, gg.Parameter(value.numpy().astype(np.float64)))
    return module


def _grid(end: float) -> Curve:
    return np.arange(-end, end + _STEP / 2, _STEP)


def _values(module: nn.Module, x: Curve) -> tuple[Curve, Curve]:
    """The first number of each row's result, and its derivative in the first of the row."""
    given = gg.tensor(x, requires_grad=True)
    with np.errstate(all="ignore"):
        y = module(given)[:, 0]
        y.sum().backward()
    assert given.grad is not None
    return y.numpy(), given.grad.numpy()[:, 0]


def _is_wide(module: nn.Module) -> bool | None:
    """Whether something still happens beyond 4; None for layers that need several numbers."""
    try:
        x = _grid(8.0)
        y, _ = _values(module, x[:, None])
        pair, _ = _values(module, np.stack([x, x + 1], axis=1))
    except GlassgradError:
        return None
    if not np.array_equal(y, pair):
        return None
    outer = x >= 4
    straight = np.linspace(y[outer][0], y[-1], int(outer.sum()))
    return bool(np.abs(y[outer] - straight).max() > 0.25)


def _along_axis(module: nn.Module, name: str) -> str:
    """The first number of the result for rows (x, c): one curve for each c."""
    x = _grid(4.0)
    lines = []
    for second in (-1.0, 0.0, 1.0):
        y, _ = _values(module, np.stack([x, np.full_like(x, second)], axis=1))
        lines.append(Line(f"of (x, {second:g})".replace("-", "−"), x, y))
    about = f"the first number that {name} gives of (x, c), for c = -1, 0 and 1"
    return _plot(name, about, lines, "x, the first of two numbers")


# -- schedules ---------------------------------------------------------------------------------


def schedule(rate: optim.Schedule, call: str, name: str) -> str:
    """A rate from step to step: dots where it is asked for, a line between them."""
    end = _until(rate)
    t = np.arange(0.0, end + 1e-9, 1 / 32)
    lines = (Line(call, t, np.array([_at(rate, v) for v in t.tolist()])),)
    dots = [(float(i), _at(rate, i)) for i in range(end + 1)]
    return _plot(name, f"{call} for t = 0 to {end}", lines, f"t: {rate.per}s done", dots)


def _at(rate: optim.Schedule, t: float) -> float:
    return float(rate(t))  # type: ignore[arg-type]  # its text is good for any number


def _until(rate: optim.Schedule) -> int:
    """Until the schedule is at rest, as far as an eye can tell; 14 steps where it never is."""
    values = [_at(rate, t) for t in range(61)]
    least = 0.01 * max(values)
    last = max((t + 1 for t in range(60) if abs(values[t] - values[t + 1]) > least), default=4)
    return max(6, last + 2) if last < 40 else 14


# -- drawing -----------------------------------------------------------------------------------


def _plot(
    name: str,
    about: str,
    lines: Sequence[Line],
    below: str,
    dots: Sequence[tuple[float, float]] = (),
) -> str:
    values = np.concatenate([line.y for line in lines])
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    x = linear(float(lines[0].x[0]), float(lines[0].x[-1]), _LEFT, _RIGHT, whole=bool(dots))
    y = linear(low, high, _BOTTOM, _TOP, round_ends=True)
    body = [*axes(x, y, below), *_zero(x, y)]
    c = coordinate
    place = 20.0
    for number, line in enumerate(lines):
        dashed = " gg-val" if line.dashed else ""
        body.append(f'<path class="gg-line gg-s{number}{dashed}" d="{_path(line, x, y)}"/>')
        body.append(
            f'<path class="gg-line gg-s{number}{dashed}" d="M{c(place)} 52h22"/>'
            + words("gg-ink", place + 28, 56, text(line.label))
        )
        place += 28 + 6.2 * len(line.label) + 20
    body += [f'<circle class="gg-f0" cx="{c(x(t))}" cy="{c(y(v))}" r="3"/>' for t, v in dots]
    return picture(WIDTH, HEIGHT, name, about, body, colours=len(lines))


def _zero(x: Scale, y: Scale) -> list[str]:
    """The axes through 0, where they are inside."""
    c = coordinate
    found = ""
    if x.low < 0 < x.high:
        found += f"M{c(round(x(0)) + 0.5)} {c(y.end)}V{c(y.start)}"
    if y.low < 0 < y.high:
        found += f"M{c(x.start)} {c(round(y(0)) + 0.5)}H{c(x.end)}"
    return [f'<path class="gg-axis" d="{found}"/>'] if found else []


def _path(line: Line, x: Scale, y: Scale) -> str:
    points = [
        (round(x(float(a)), 2), round(y(float(b)), 2)) for a, b in zip(line.x, line.y, strict=True)
    ]
    return "".join(
        "M" + "L".join(f"{coordinate(a)} {coordinate(b)}" for a, b in _straightened(piece))
        for piece in _pieces(points)
    )


def _pieces(points: list[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """The curve cut where it jumps: a rise far from that on both sides."""
    rises = [abs(b[1] - a[1]) for a, b in pairwise(points)]
    cuts = [
        i + 1
        for i, rise in enumerate(rises)
        if rise > 4 and rise > 4 * max([*rises[max(0, i - 2) : i], *rises[i + 1 : i + 3]])
    ]
    edges = [0, *cuts, len(points)]
    return [points[a:b] for a, b in pairwise(edges)]


def _straightened(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points without those on the line between their neighbours (Douglas and Peucker 1973)."""
    if len(points) < 3:
        return points
    (ax, ay), (bx, by) = points[0], points[-1]
    length = ((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5 or 1.0
    off = [abs((bx - ax) * (ay - py) - (ax - px) * (by - ay)) / length for px, py in points]
    far = max(range(len(points)), key=lambda i: (round(off[i], 4), -i))
    if off[far] <= _NEAR:
        return [points[0], points[-1]]
    return [*_straightened(points[: far + 1])[:-1], *_straightened(points[far:])]
