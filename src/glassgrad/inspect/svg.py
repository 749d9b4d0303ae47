"""The words all pictures are written in: escaped text, colours, scales, axes.

Every name in a picture comes from somewhere else (titles, metrics, columns, classes), so it passes
`text`. The style follows the reader's light or dark scheme; there is no script and no link.
"""

from __future__ import annotations

import html
import math
import unicodedata
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "COLOURS", "SCHEMES", "Picture", "Scale", "axes", "coordinate", "fitted", "linear", "picture", "text", "upwards", "value_scale",
    "width_of", "words",
]  # fmt: skip

# After Okabe and Ito's colours (https://jfly.uni-koeln.de/color/), each moved as little as makes it fit
# for text and told apart from all others with any colour vision; a test computes both. (On light, on
# dark.) The first two are train and validation.
COLOURS = (
    ("#0072b2", "#56b4e9"),
    ("#c55100", "#ff9248"),
    ("#01592c", "#55edbe"),
    ("#ad5889", "#cf8aaf"),
    ("#966d32", "#e6b002"),
    ("#3b4f77", "#9cc9e8"),
    ("#565200", "#f0e443"),
    ("#646463", "#b2aca2"),
)
SCHEMES = (  # light and dark: the page, letters, lesser letters, grid lines
    ("#ffffff", "#1f2328", "#5c646d", "#e6e8eb"),
    ("#14171b", "#e6e9ed", "#9aa4af", "#2a2f36"),
)
_FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue','DejaVu Sans',sans-serif"


class Picture(str):
    """An SVG document as text; a notebook shows it."""

    __slots__ = ()

    def save(self, path: str | Path) -> None:
        """Write it to a file. Raises OSError where that cannot be done."""
        Path(path).write_text(self, encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self


# ------------------------------------------------------------------------------------ text, style


def text(name: object, limit: int = 60) -> str:
    """A name as it may stand in the picture: one line, visible characters, escaped, short.

    `limit` counts Latin letters; a Chinese, Japanese or Korean one takes the room of two.
    """
    plain = "".join(
        c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}"
        for c in str(name)
    )
    return html.escape(_cut(plain, limit, _columns), quote=True)


def fitted(name: object, pixels: float, size: float = 11.0) -> str:
    """The same, as much of it as has room in so many pixels; bold letters count as a tenth larger."""
    limit = max(2.0, pixels / size)
    return text(_cut(str(name)[:400], limit, lambda c: width_of(c, 1.0)), 400)


def _cut(plain: str, limit: float, wide: Callable[[str], float]) -> str:
    """The line, or its beginning and an ellipsis."""
    if len(plain) <= 400 and sum(map(wide, plain)) <= limit:
        return plain
    room, end = limit - wide("…"), 0
    while end < len(plain) and wide(plain[end]) <= room:
        room -= wide(plain[end])
        end += 1
    return plain[:end] + "…"


def _columns(c: str) -> int:
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


_NARROW = frozenset(" .,:;'|!()[]iIljtfr-")
_BROAD = frozenset("mwMW%@…−+=<>")


def width_of(shown: str, size: float = 11.0) -> float:
    """About how many pixels a line is wide, in a broad font such as DejaVu Sans; not yet escaped."""
    return size * sum(
        1.0 if _columns(c) == 2 or c in _BROAD else 0.42 if c in _NARROW
        else 0.79 if c.isupper() else 0.64
        for c in shown
    )  # fmt: skip


def _style(colours: int, shapes: bool) -> str:
    """The picture's own rules; classes begin with `gg-` so that pictures may share a page."""

    def scheme(side: int, page: str, ink: str, soft: str, grid: str) -> str:
        rules = [
            f".gg-page{{fill:{page}}}",
            f".gg-ink{{fill:{ink}}}",
            f".gg-soft{{fill:{soft}}}",
            f".gg-grid{{stroke:{grid}}}",
            f".gg-axis{{stroke:{soft}}}",
            f".gg-rim{{stroke:{page}}}",
        ]
        if shapes:
            rules.append(f".gg-node{{fill:{page};stroke:{soft}}}.gg-end{{fill:{grid}}}")
            rules.append(f".gg-dots{{stroke:{soft}}}")
        for number, both in enumerate(COLOURS[:colours]):
            rules.append(f".gg-s{number}{{stroke:{both[side]}}}.gg-f{number}{{fill:{both[side]}}}")
        return "".join(rules)

    fixed = (
        f".gg text{{font-family:{_FONT};font-size:11px}}"
        ".gg .gg-title{font-size:15px;font-weight:600}.gg .gg-head{font-size:12px;font-weight:600}"
        ".gg .gg-note{font-weight:400}"
        ".gg-line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}"
        ".gg-many{stroke-width:1.2}.gg-val{stroke-dasharray:5 3.5}"
        ".gg-grid,.gg-axis{stroke-width:1;fill:none;shape-rendering:crispEdges}"
    )
    fixed += ".gg-edge{fill:none}.gg-node{stroke-width:1.4}" * shapes
    light, dark = scheme(0, *SCHEMES[0]), scheme(1, *SCHEMES[1])
    return f"<style>{fixed}{light}@media (prefers-color-scheme:dark){{{dark}}}</style>"


def picture(
    width: int,
    height: int,
    title: str,
    about: str,
    body: Iterable[str],
    colours: int = len(COLOURS),
    shapes: bool = False,
) -> Picture:
    """The whole document: its size, what it is for those who cannot see it, its style, its body.

    `colours` says how many of them the body uses: rules for others are left out. `shapes` are those
    of networks: nodes, edges.
    """
    size = f'width="{width}" height="{height}"'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" class="gg" {size}'
    heading = fitted(title, width - 40, 16.5)  # bold letters
    parts = [
        f'{opening} viewBox="0 0 {width} {height}" role="img">',
        f"<title>{text(title, 200)}</title>",
        f"<desc>{text(about, 400)}</desc>",
        _style(colours, shapes),
        f'<rect class="gg-page" {size} rx="6"/>',
        f'<text class="gg-title gg-ink" x="20" y="29">{heading}</text>',
        *body,
        "</svg>\n",
    ]
    return Picture("\n".join(parts))


def words(look: str, x: float, y: float, shown: str, anchor: str = "start") -> str:
    """A `text` element; `shown` is escaped already."""
    at = f'x="{coordinate(x)}" y="{coordinate(y)}"'
    anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{look}" {at}{anchored}>{shown}</text>'


def upwards(look: str, x: float, y: float, shown: str, anchor: str = "start") -> str:
    """The same, read from below."""
    place = f'transform="translate({coordinate(x)} {coordinate(y)}) rotate(-90)"'
    return f"<g {place}>{words(look, 0, 0, shown, anchor)}</g>"


def coordinate(value: float) -> str:
    """A coordinate: two decimals at most, no trailing zeros, no minus zero."""
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".")


# ------------------------------------------------------------------------------------------ scales


@dataclass(frozen=True)
class Scale:
    """From values to pixels, linear or logarithmic, with its ticks."""

    low: float
    high: float
    start: float  # the pixel of `low`
    end: float  # the pixel of `high`
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel where a value stands."""
        a, b, v = self.low, self.high, value
        if self.log:
            a, b, v = math.log10(a), math.log10(b), math.log10(v)
        return self.start + (v - a) / (b - a) * (self.end - self.start)

    def below(self) -> tuple[tuple[float, str], ...]:
        """Those ticks, evenly chosen, whose labels have room side by side."""
        for every in range(1, len(self.ticks)):
            some = self.ticks[::every]
            if all(
                abs(self(b) - self(a)) >= (width_of(said_a) + width_of(said_b)) / 2 + 5
                for (a, said_a), (b, said_b) in pairwise(some)
            ):
                return some
        return self.ticks[:1]

    def room(self) -> float:
        """The width of the widest label."""
        return max([width_of(label) for _, label in self.ticks], default=0.0)


def _nice_step(span: float, count: int) -> float:
    """The smallest of 1, 2, 2.5 and 5 times a power of ten that makes at most `count` steps."""
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    return next(
        step * power for step in (1.0, 2.0, 2.5, 5.0, 10.0) if step * power >= rough * 0.999
    )


def _number(value: float, step: float) -> str:
    """A tick's number with as many decimals as its step needs; thousands as k, millions as M."""
    unit, sign = (1e6, "M") if step >= 1e6 else (1e3, "k") if step >= 1e3 else (1.0, "")
    if value and sign and step < 1e8:
        shown = f"{value / unit:.12g}{sign}"
    elif value and (abs(value) >= 1e6 or step < 1e-5):
        digits = math.floor(math.log10(abs(value))) - math.floor(math.log10(step)) + 2
        shown = f"{value:.{max(1, digits)}g}"
    else:
        decimals = next((d for d in range(8) if abs(step * 10**d - round(step * 10**d)) < 1e-6), 7)
        shown = f"{value:.{decimals}f}"
    return shown.replace("-", "−")


def _padded(low: float, high: float, part: float) -> tuple[float, float]:
    """The range, or one around it where it is a point as far as a picture can tell."""
    if high - low > 1e-9 * max(abs(low), abs(high)):
        return low, high
    pad = max(abs(low), abs(high)) * part or 0.5
    return low - pad, high + pad


def linear(
    low: float,
    high: float,
    start: float,
    end: float,
    *,
    whole: bool = False,
    round_ends: bool = False,
) -> Scale:
    """A linear scale over the range, its ticks at round numbers; `round_ends` widens it to them."""
    low, high = _padded(low, high, 0.1)
    step = _nice_step(high - low, 5)
    if whole:
        step = max(1.0, round(step))
    if round_ends:
        low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = tuple((k * step, _number(k * step, step)) for k in range(first, last + 1))
    return Scale(low, high, start, end, ticks)


def value_scale(values: NDArray[np.float64], start: float, end: float, log: bool) -> Scale:
    """The vertical scale for these finite values: round ends, no room wasted."""
    low, high = float(values.min()), float(values.max())
    if log:
        first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
        every = max(1, math.ceil((last - first) / 7))
        ticks = tuple((10.0**k, _power(k)) for k in range(first, last + 1, every))
        return Scale(10.0**first, 10.0**last, start, end, ticks, log=True)
    low, high = _padded(low, high, 0.1)
    if 0 <= low < 0.5 * high:
        low = 0.0
    return linear(low, high, start, end, round_ends=True)


def _power(k: int) -> str:
    if -4 <= k <= 4:
        return f"{10.0**k:.{max(0, -k)}f}"
    return "10" + str(k).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def axes(x: Scale, y: Scale, below: str, beside: str = "", *, grid: bool = True) -> list[str]:
    """Tick marks or grid lines, tick numbers, the axes' names."""
    bottom, top, left, right = y.start, y.end, x.start, x.end
    c = coordinate
    out = []
    levels = [round(y(v)) + 0.5 for v, _ in y.ticks]
    marks = "".join(f"M{c(round(x(v)) + 0.5)} {c(bottom)}v4" for v, _ in x.ticks)
    if grid:
        rules = "".join(f"M{c(left)} {c(at)}H{c(right)}" for at in levels if at < bottom - 1)
        out.append(f'<path class="gg-grid" d="{rules}"/>')
    else:
        marks += "".join(f"M{c(left)} {c(at)}h-4" for at in levels)
    out.append(f'<path class="gg-axis" d="M{c(left)} {c(round(bottom) + 0.5)}H{c(right)}{marks}"/>')
    out += [words("gg-soft", left - 8, y(v) + 4, label, "end") for v, label in y.ticks]
    out += [words("gg-soft", x(v), bottom + 18, label, "middle") for v, label in x.below()]
    out.append(words("gg-soft", (left + right) / 2, bottom + 36, text(below, 40), "middle"))
    if beside:
        edge = left - max(42.0, y.room() + 16)
        out.append(upwards("gg-soft", edge, (top + bottom) / 2, text(beside, 40), "middle"))
    return out
