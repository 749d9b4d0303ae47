"""How weights, activations and derivatives are spread, and how that changes while a network learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from glassgrad.errors import ConfigError, shown, whole_number
from glassgrad.inspect.svg import (
    Picture,
    Scale,
    coordinate,
    fitted,
    linear,
    picture,
    text,
    width_of,
    words,
)

from .raster import numbers

__all__ = ["histograms"]

_BINS = 49  # at most; an odd number, so that there is one in the middle
_MOST_TIMES = 14
_MOST_PANELS = 6


def histograms(over: Mapping[str, Mapping[int, Any]], title: str) -> Picture:
    """Histograms at several steps, one behind the other: the first at the back, the last in front.

    Each name has a panel with its own horizontal axis; the area under each curve is the same within a
    panel. Where a tenth or more are exactly 0, as after a ReLU, the curves are those of the others and
    the share of zeros stands beside each. Numbers that are not finite are left out and counted. At most
    six panels and fourteen steps of each.

    Parameters
    ----------
    over : mapping from name to {step: array}
        Such as the weights of a layer at steps 0, 100, 200; a `gg.Tape` has them.
    title : str
        Any text; it is escaped.

    Raises
    ------
    ConfigError
        A step is not a whole number.
    DataError
        What is given is not made of numbers.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> svg = histograms({"weights": {t: rng.normal(0, 1 + t, 200) for t in (0, 1, 2)}}, "wider")
    >>> svg.count("gg-ridge")
    3

    Of a recorded run, each step explained on the same rows:

    >>> import glassgrad as gg
    >>> from glassgrad import data, nn
    >>> x, y = data.spiral(seed=0)
    >>> tape, model = gg.Tape(), nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> settings = dict(loss="cross_entropy", optimizer="adam", epochs=50, verbose=False)
    >>> history = gg.fit(model, x, y, tape=tape, **settings)
    >>> step = {t: tape.explain(t, range(0, 300, 10)) for t in (0, 20, 40)}
    >>> svg = histograms({"relu1": {t: step[t]["relu1"].array for t in step}}, "spiral")
    >>> "are 0" in svg
    True
    """
    body = []
    panels = list(over.items())[:_MOST_PANELS]
    wide, high = 250.0, 270.0
    across = min(3, max(1, len(panels)))
    shown_ = [_Panel(str(name), _arrays(str(name), given)) for name, given in panels]
    steps = [f"{step:,}" for panel in shown_ for step in panel.arrays]
    right = 44 * any(panel.sparse for panel in shown_)  # room for the shares of zeros
    gap = 26 + max([width_of("step"), *map(width_of, steps)]) + right
    for number, panel in enumerate(shown_):
        left = 12 + gap - right + number % across * (wide + gap)
        top = 98 + number // across * (high + 74)
        body += _drawn(panel, left, top, wide, high)
    rows = -(-max(1, len(panels)) // across)
    size = int(max(520, 50 + across * (wide + gap))), int(98 + rows * (high + 74) - 14)
    about = "across the numbers, upwards how many of them; a curve for each step, the last in front"
    left_out = len(over) - len(panels)
    about += f"; {left_out} more not drawn" if left_out else ""
    body.insert(0, words("gg-soft", 20, 50, fitted(about, size[0] - 40)))
    return picture(*size, title, f"{len(panels)} panels: {about}", body, colours=1)


class _Panel:
    """What one panel shows: by step the numbers of its curve and the share of zeros beside it."""

    def __init__(self, name: str, given: dict[int, Any]) -> None:
        self.name = name
        ok = {t: a[np.isfinite(a) & (np.abs(a) < 1e30)] for t, a in given.items()}
        self.lost = sum(len(given[t]) - len(a) for t, a in ok.items())
        self.zeros = {t: float((a == 0).mean()) if len(a) else 0.0 for t, a in ok.items()}
        count = sum(map(len, ok.values()))
        zeros = sum(int((a == 0).sum()) for a in ok.values())
        self.sparse = 0.1 * count <= zeros < count and count > 0
        self.arrays = {t: a[a != 0] if self.sparse else a for t, a in ok.items()}


def _arrays(name: str, given: Mapping[int, Any]) -> dict[int, Any]:
    """Numbers by step, an even choice of steps."""
    for step in given:
        if whole_number(step) is None:
            raise ConfigError(
                "histograms stand at steps",
                where=text(name),
                expected="whole numbers",
                received=shown(step),
            )
    steps = sorted(int(step) for step in given)
    if len(steps) > _MOST_TIMES:
        chosen = np.linspace(0, len(steps) - 1, _MOST_TIMES).round().astype(int)
        steps = [steps[i] for i in chosen]
    return {step: numbers(given[step], name).ravel() for step in steps}


def _drawn(panel: _Panel, left: float, top: float, wide: float, high: float) -> list[str]:
    arrays = panel.arrays
    out = [words("gg-ink gg-head", left, top - 10, fitted(panel.name, wide, 13))]
    every = [a for a in arrays.values() if len(a)]
    if not every:
        return [*out, words("gg-soft", left, top + 30, "no numbers")]
    together = np.concatenate(every)
    low, most = _range(together)
    across = linear(low, most, left, left + wide)
    bins = int(min(_BINS, max(12, 2 * len(every[0]) ** 0.5))) | 1
    density = {s: np.histogram(a, bins, (low, most))[0] / max(1, len(a)) for s, a in arrays.items()}
    tallest = max(float(d.max()) for d in density.values()) or 1.0
    step_down = (high - 90) / max(1, len(arrays) - 1)
    edges = np.linspace(low, most, bins + 1)
    tall = min(84.0, 2.5 * step_down)  # so that one does not hide all behind it
    first = top + 90 if len(arrays) > 1 else top + high
    out.append(words("gg-soft", left - 6, first - 16, "step", "end"))
    if panel.sparse:
        out.append(words("gg-soft", left + wide + 6, first - 16, "are 0"))
    for place, (step, heights) in enumerate(density.items()):
        base = first + place * step_down
        out.append(
            _ridge(heights / tallest * tall, edges, across, base, place / max(1, len(arrays) - 1))
        )
        out.append(words("gg-soft", left - 6, base + 3, f"{step:,}", "end"))
        if panel.sparse:
            out.append(words("gg-soft", left + wide + 6, base + 3, f"{panel.zeros[step]:.0%}"))
    c, bottom = coordinate, top + high
    marks = "".join(f"M{c(round(across(v)) + 0.5)} {c(bottom)}v4" for v, _ in across.ticks)
    out.append(f'<path class="gg-axis" d="M{c(left)} {c(bottom + 0.5)}h{c(wide)}{marks}"/>')
    out += [
        words("gg-soft", across(v), bottom + 18, label, "middle") for v, label in across.below()
    ]
    outside = int(((together < low) | (together > most)).sum())
    notes = [f"{outside:,} of {len(together):,} numbers beyond"] if outside else []
    notes += [f"{panel.lost:,} not finite"] if panel.lost else []
    return [*out, *([words("gg-soft", left, bottom + 34, ", ".join(notes))] if notes else [])]


def _range(values: Any) -> tuple[float, float]:
    """From the lowest to the highest, without a few that are far off."""
    low, high = float(values.min()), float(values.max())
    a, b = (float(v) for v in np.quantile(values, (0.005, 0.995)))
    if b > a and high - low > 3 * (b - a):
        low, high = max(low, a - (b - a) / 4), min(high, b + (b - a) / 4)
    if not high > low:
        pad = abs(low) * 0.1 or 0.5
        low, high = low - pad, high + pad
    return low, high


def _ridge(heights: Any, edges: Any, across: Scale, base: float, part: float) -> str:
    c = coordinate
    points = [
        f"{c(across(float(x)))} {c(base - float(h))}"
        for x, h in zip((edges[:-1] + edges[1:]) / 2, heights, strict=True)
    ]
    line = f"M{c(across.start)} {c(base)}L{'L'.join(points)}L{c(across.end)} {c(base)}"
    strength = c(0.25 + 0.6 * part)
    look = f'class="gg-ridge gg-many gg-f0 gg-s0" fill-opacity="{strength}"'
    return f'<path class="gg-page" d="{line}z"/><path {look} d="{line}"/>'
