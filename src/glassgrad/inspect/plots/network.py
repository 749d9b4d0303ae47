"""A network of dense layers as circles and lines, and one of its neurons with all its numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from glassgrad.errors import ConfigError, ShapeError, UsageError, shown
from glassgrad.inspect.svg import (
    Picture,
    coordinate,
    fitted,
    linear,
    picture,
    text,
    width_of,
    words,
)
from glassgrad.nn.layers import Linear
from glassgrad.nn.module import Module
from glassgrad.tensors import functions
from glassgrad.tensors.tensor import tensor

from .raster import numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["network", "neuron"]

_MOST_UNITS = 12  # of a layer that is drawn whole
_FEW = 5  # at each end of one that is not
_MOST_NUMBERS = 24  # weights of a network whose numbers stand beside its lines
_NO_PARAMETERS = ("linear", "identity")


@dataclass(slots=True)
class _Layer:
    """A column of circles: what it is, how many units, which of them are drawn and where."""

    name: str
    notes: list[str]
    units: int
    bias: Any = None
    names: Sequence[str] = ()
    drawn: list[int] = field(default_factory=list)
    at: dict[int, tuple[float, float]] = field(default_factory=dict)


def network(
    model: Module,
    title: str = "",
    *,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
) -> Picture:
    """A network of dense layers: a circle for each unit, a line for each weight.

    Lines are blue above 0 and orange below, the wider the larger the weight is beside the largest
    one of the picture. Of a layer with more than twelve units the first and last five are drawn, and
    the picture says how many are not. Up to 24 weights stand beside their lines; a circle names
    its bias then.

    Parameters
    ----------
    model : Module
        Its `Linear` layers, one after the other; what stands between them is named.
    title : str
        Any text; the model's own title by default.
    inputs, outputs : sequence of str
        Names of the units at both ends.

    Raises
    ------
    UsageError
        There are no dense layers, or one does not follow the other: `graph` draws any network.

    Examples
    --------
    >>> from glassgrad import nn
    >>> model = nn.Sequential(hidden=nn.Linear(2, 3), relu=nn.ReLU(), output=nn.Linear(3, 1))
    >>> svg = network(model, "2-3-1")
    >>> svg.count("<circle"), svg.count('class="gg-edge')
    (6, 9)
    """
    if not isinstance(model, Module):
        raise UsageError("this is not a model", expected="an nn.Module", received=shown(model))
    layers, weights = _layers(model, inputs, outputs)
    largest = max([float(np.abs(_finite(w)).max(initial=0.0)) for w in weights]) or 1.0
    written = sum(w.size for w in weights) <= _MOST_NUMBERS
    wide, high = _place(layers, written)
    body = [words("gg-soft", 20, 50, fitted(_about(layers, weights, largest), wide - 40))]
    for (before, after), w in zip(pairwise(layers), weights, strict=True):
        body += _edges(before, after, w, largest)
        body += _labels(before, after, w) if written else []
    for number, layer in enumerate(layers):
        body += _circles(layer, number, len(layers), written)
        body += _named(layer, high - 48)
    about = f"{len(layers)} layers of " + ", ".join(str(layer.units) for layer in layers)
    return picture(wide, high, title or model.title(), about, body, colours=2, shapes=True)


def _layers(
    model: Module, inputs: Sequence[str], outputs: Sequence[str]
) -> tuple[list[_Layer], list[Any]]:
    found: list[_Layer] = []
    weights: list[Any] = []
    for path, module in model.modules():
        if isinstance(module, Linear):
            w = numbers(module.weight, path)
            if weights and len(w) != found[-1].units:
                raise _not_a_chain(
                    f"{path} takes {len(w)} numbers, {found[-1].units} come before it"
                )
            if not weights:
                found.append(_Layer("input", [], len(w), names=inputs))
            bias = None if module.bias is None else numbers(module.bias, path)
            found.append(_Layer(path or "output", [], w.shape[1], bias))
            weights.append(w)
        elif not any(True for _ in module.children()) and path:
            if not found and any(True for _ in module.parameters()):
                raise _not_a_chain(f"{path}: {module.title()}")
            if found:
                found[-1].notes.append(module.title())
    if not found:
        raise _not_a_chain("none")
    found[-1].names = outputs
    return found, weights


def _not_a_chain(received: str) -> UsageError:
    return UsageError(
        "circles and lines are for dense layers, one after the other",
        where="network",
        expected="nn.Linear layers, each of which takes what the one before it gives",
        received=received[:200],
        hint="gg.inspect.graph(model) draws any network",
    )


def _place(layers: list[_Layer], written: bool) -> tuple[int, int]:
    """Where each circle stands; gives the size of the picture."""
    for layer in layers:
        n = layer.units
        whole = n <= _MOST_UNITS
        layer.drawn = list(range(n)) if whole else [*range(_FEW), *range(n - _FEW, n)]
    rows = max([len(layer.drawn) + (layer.units > len(layer.drawn)) for layer in layers])
    gap = 72.0 if written else 46.0 if rows <= 8 else 34.0
    apart, left, top = (240.0 if written or len(layers) <= 3 else 170.0), 110.0, 84.0
    for column, layer in enumerate(layers):
        hidden = layer.units > len(layer.drawn)
        count = len(layer.drawn) + hidden
        begin = top + (rows - count) * gap / 2
        for place, unit in enumerate(layer.drawn):
            row = place + (1 if hidden and place >= _FEW else 0)
            layer.at[unit] = (left + column * apart, begin + row * gap)
    low = top + (rows - 1) * gap + (42 if written else 32)
    return int(2 * left + (len(layers) - 1) * apart), int(low + 48)


def _finite(array: Any) -> Any:
    return np.where(np.isfinite(array), array, 0.0)


def _about(layers: list[_Layer], weights: list[Any], largest: float) -> str:
    count = sum(w.size for w in weights)
    seen = sum(len(a.drawn) * len(b.drawn) for a, b in pairwise(layers))
    part = "" if seen == count else f", {seen:,} drawn"
    return f"{count:,} weights{part}: blue above 0, orange below, the widest is {largest:.3g}"


def _edges(before: _Layer, after: _Layer, w: Any, largest: float) -> list[str]:
    c, out = coordinate, []
    for i in before.drawn:
        for k in after.drawn:
            weight = float(w[i, k])
            part = abs(weight) / largest if np.isfinite(weight) else 0.0
            colour = 0 if weight >= 0 else 1
            (x1, y1), (x2, y2) = before.at[i], after.at[k]
            look = f'class="gg-edge gg-s{colour}" stroke-width="{c(0.3 + 4.2 * part)}"'
            seen = f'stroke-opacity="{c(0.35 + 0.55 * part)}"'
            out.append(f'<path {look} {seen} d="M{c(x1)} {c(y1)}L{c(x2)} {c(y2)}"/>')
    return out


def _labels(before: _Layer, after: _Layer, w: Any) -> list[str]:
    """Each weight on its own line, where it lies on no other label and far from the other lines."""
    lines = [(i, k) for i in before.drawn for k in after.drawn]
    said = {(i, k): _weight(float(w[i, k])) for i, k in lines}
    half = {line: width_of(said[line]) / 2 + 3 for line in lines}
    (left, _), (right, _) = before.at[before.drawn[0]], after.at[after.drawn[0]]
    biases = [
        *((left, y) for _, y in before.at.values()),
        *((right, y) for _, y in after.at.values()),
    ]
    spots: dict[tuple[int, int], tuple[float, float]] = {}

    def cost(line: tuple[int, int], along: float) -> float:
        x, y = left + (right - left) * along, _height(before, after, line, along)
        others = [
            (abs(x - a) - half[line] - half[o], abs(y - b))
            for o, (a, b) in spots.items()
            if o != line
        ]
        meets = any(dx < 0 and dy < 14 for dx, dy in others)
        near = any(dx < 0 and dy < 22 for dx, dy in others)
        on_bias = any(abs(x - a) < half[line] + 36 and 0 < y - b < 40 for a, b in biases)
        clear = min(
            [abs(y - _height(before, after, o, along)) for o in lines if o != line], default=12.0
        )
        return 1000 * meets + 100 * on_bias + 4 * near + max(0.0, 12 - clear) + abs(along - 0.4)

    places = np.linspace(0.12, 0.86, 50).tolist()
    for _ in range(2):  # the second time each knows where all others are
        for line in lines:
            costs = [cost(line, along) for along in places]
            best = places[costs.index(min(costs))]
            spots[line] = left + (right - left) * best, _height(before, after, line, best)
    return [_label(*spots[line], said[line]) for line in lines]


def _height(before: _Layer, after: _Layer, line: tuple[int, int], along: float) -> float:
    """How high a line is, part of its way along."""
    start, end = before.at[line[0]][1], after.at[line[1]][1]
    return start + (end - start) * along


def _weight(value: float) -> str:
    """In the room of seven letters, with a real minus."""
    digits = ".2f" if abs(value) < 100 else ".4g" if abs(value) < 1e4 else ".2g"
    return f"{value:{digits}}".replace("-", "−")


def _label(x: float, y: float, shown_: str) -> str:
    """A number on a line, on a patch of the page."""
    c, wide = coordinate, width_of(shown_)
    patch = f'<rect class="gg-page" x="{c(x - wide / 2)}" y="{c(y - 8)}" width="{c(wide)}" height="14" rx="3"/>'
    return patch + words("gg-ink", x, y + 3.5, text(shown_), "middle")


def _circles(layer: _Layer, number: int, layers: int, written: bool) -> list[str]:
    c, out = coordinate, []
    for unit in layer.drawn:
        x, y = layer.at[unit]
        out.append(f'<circle class="gg-node" cx="{c(x)}" cy="{c(y)}" r="11"/>')
        if written and layer.bias is not None:
            out.append(_label(x, y + 21, f"b {_weight(float(layer.bias[unit]))}"))
        if number in (0, layers - 1):
            name = (
                layer.names[unit]
                if unit < len(layer.names)
                else ("x" if number == 0 else "y") + str(unit + 1)
            )
            side = ("end", x - 18) if number == 0 else ("start", x + 18)
            out.append(words("gg-ink", side[1], y + 4, fitted(name, 84), side[0]))
    x = layer.at[0][0]
    if layer.units > len(layer.drawn):
        y = (layer.at[_FEW - 1][1] + layer.at[layer.units - _FEW][1]) / 2
        out += [
            f'<circle class="gg-soft" cx="{c(x)}" cy="{c(y + d)}" r="1.8"/>' for d in (-8, 0, 8)
        ]
        more = f"{layer.units - len(layer.drawn):,} more"
        out.append(_label(x + 12 + width_of(more) / 2, y, more))
    return out


def _named(layer: _Layer, low: float) -> list[str]:
    """What a column is, below all lines."""
    x = layer.at[0][0]
    units = f"{layer.units:,} unit{'s' * (layer.units != 1)}"
    out = [
        words("gg-ink gg-head", x, low, fitted(layer.name, 160, 13), "middle"),
        words("gg-soft", x, low + 15, units, "middle"),
    ]
    if layer.notes:
        out.append(words("gg-soft", x, low + 29, fitted(", ".join(layer.notes), 160), "middle"))
    return out


# ------------------------------------------------------------------------------------------ neuron


def neuron(
    inputs: Any,
    weights: Any,
    bias: float = 0.0,
    activation: str = "sigmoid",
    title: str = "one neuron",
    *,
    names: Sequence[str] = (),
) -> Picture:
    r"""One neuron with its numbers: $a(\sum_i w_i x_i + b)$.

    From left to right the inputs, each times its weight, the sum with the bias, and the activation,
    whose curve is drawn with the place where the sum stands.

    Parameters
    ----------
    inputs, weights : array (n,)
        At most twelve numbers each.
    bias : float
    activation : str
        A function of one number in `gg`, such as "relu", "sigmoid" or "tanh"; "linear" is none.
    title : str
        Any text; it is escaped.
    names : sequence of str
        Names of the inputs.

    Raises
    ------
    ShapeError
        Inputs and weights differ in number, or there are none or more than twelve.
    ConfigError
        There is no such activation, or a number is not finite.

    Examples
    --------
    >>> "0.9991" in neuron([2, 3], [0, 1], 4, "sigmoid")
    True
    """
    x, w, b = _checked(inputs, weights, bias)
    total, result = _answer(x, w, b, activation)
    named = [str(names[i]) if i < len(names) else f"x{i + 1}" for i in range(len(x))]
    wide = max(46.0, *[width_of(_number(v)) + 14 for v in x])  # of an input's circle
    room = min(130.0, max(map(width_of, named)))
    shift = max(0.0, room + wide - 109)  # to the right, for long names and numbers
    high = max(270.0, 90 + 54.0 * len(x))
    middle = 66 + (high - 60) / 2
    terms = " + ".join(f"{_number(v)} × {_number(u)}" for v, u in zip(x[:4], w[:4], strict=True))
    more = " + …" if len(x) > 4 else ""
    line = f"{terms}{more} + {_number(b)} = {_number(total)}, then {activation}: {_number(result)}"
    body = [
        words("gg-soft", 20, 50, fitted(line, 680 + shift)),
        f'<g transform="translate({coordinate(shift)} 0)">',
        *_inputs(x, w, named, middle, wide, room),
        *_sum(total, b, middle),
        *_curve(activation, total, result, 420.0, middle - 75),
        f'<path class="gg-line gg-dots" d="M580 {coordinate(middle)}H612"/>',
        words("gg-ink gg-title", 622, middle + 5, _number(result)),
        "</g>",
    ]
    about = f"{len(x)} inputs, sum {total:.6g}, {activation} {result:.6g}"
    whole = shift + max(720.0, 642 + width_of(_number(result), 16.5))
    return picture(int(whole), int(high + 40), title, about, body, colours=3, shapes=True)


def _checked(inputs: Any, weights: Any, bias: Any) -> tuple[Any, Any, float]:
    """Inputs, weights and bias of a neuron that can be drawn."""
    x, w, b = numbers(inputs, "inputs"), numbers(weights, "weights"), numbers(bias, "bias")
    if x.ndim != 1 or x.shape != w.shape or not 1 <= len(x) <= _MOST_UNITS:
        raise ShapeError(
            "a neuron has a weight for each input",
            where="neuron",
            expected="1 to 12 inputs and as many weights",
            received=f"{x.shape} and {w.shape}",
        )
    if b.shape or not (np.isfinite(x).all() and np.isfinite(w).all() and np.isfinite(b)):
        raise ConfigError(
            "a neuron is drawn with finite numbers",
            where="neuron",
            expected="finite inputs and weights, and one number as bias",
            received=shown(bias) if b.shape or not np.isfinite(b) else "inf or nan",
        )
    return x, w, float(b)


def _answer(x: Any, w: Any, b: float, activation: Any) -> tuple[float, float]:
    """The sum, and what the activation makes of it."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(x @ w + b)
        result = float(_activated(activation, np.array([total]))[0])
    if not (abs(total) < 1e300 and abs(result) < 1e300):
        raise ConfigError(
            "the numbers are too large to be drawn",
            where="neuron",
            expected="a sum, and a number from the activation, below 1e300",
            received=f"the sum {total:.6g}, {activation} {result:.6g}",
        )
    return total, result


def _inputs(x: Any, w: Any, named: list[str], middle: float, wide: float, room: float) -> list[str]:
    """Each input with its name, and the line of its weight to the sum."""
    c, out, largest = coordinate, [], float(np.abs(w).max()) or 1.0
    for i in range(len(x)):
        y = middle + (i - (len(x) - 1) / 2) * 54
        part, colour = abs(w[i]) / largest, 0 if w[i] >= 0 else 1
        look = f'class="gg-edge gg-s{colour}" stroke-width="{c(0.6 + 4 * part)}"'
        out.append(f'<path {look} d="M134 {c(y)}L320 {c(middle)}"/>')
        place = f'x="{c(139 - wide)}" y="{c(y - 23)}" width="{c(wide)}" height="46"'
        out.append(f'<rect class="gg-node" {place} rx="23"/>')
        out.append(words("gg-ink", 139 - wide / 2, y + 4, _number(x[i]), "middle"))
        out.append(words("gg-soft", 132 - wide, y + 4, fitted(named[i], room + 1), "end"))
        at = y + (middle - y) * 0.4
        out.append(_label(130 + 190 * 0.4, at, f"× {_number(w[i])}"))
    return out


def _sum(total: float, b: float, middle: float) -> list[str]:
    """The sum, with the bias that goes into it and the way to the activation."""
    c, wide = coordinate, max(60.0, width_of(_number(total), 13) + 14)
    place = f'x="{c(346 - wide / 2)}" y="{c(middle - 30)}" width="{c(wide)}" height="60"'
    return [
        f'<path class="gg-line gg-dots" d="M354 {c(middle)}H410"/>',
        f'<path class="gg-line gg-dots" d="M346 {c(middle + 78)}V{c(middle + 36)}"/>',
        f'<rect class="gg-node" {place} rx="30"/>',
        words("gg-soft", 346, middle - 7, "sum", "middle"),
        words("gg-ink gg-head", 346, middle + 10, _number(total), "middle"),
        words("gg-ink", 346, middle + 94, f"bias {_number(b)}", "middle"),
    ]


def _number(value: float, digits: int = 4) -> str:
    """Four digits, and a real minus."""
    return f"{value + 0.0:.{digits}g}".replace("-", "−")


def _activated(name: Any, values: Any) -> Any:
    if isinstance(name, str) and name in _NO_PARAMETERS:
        return values
    function = getattr(functions, name, None) if isinstance(name, str) else None
    try:
        if function is None or name.startswith("_"):
            raise TypeError
        found = function(tensor(values, dtype="float64")).numpy()
        if found.shape != values.shape:
            raise TypeError
    except TypeError:
        raise ConfigError(
            "there is no such activation",
            where="neuron",
            expected='a function of one number, such as "relu", "sigmoid", "tanh" or "linear"',
            received=shown(name),
        ) from None
    return found


def _curve(activation: str, total: float, result: float, left: float, top: float) -> list[str]:
    """The activation around the sum, with the place where it stands."""
    reach = max(4.0, 1.25 * abs(total))
    xs = np.linspace(-reach, reach, 161)
    with np.errstate(over="ignore", invalid="ignore"):
        ys = _activated(activation, xs)
    ok = np.isfinite(ys)
    low, high = float(ys[ok].min(initial=result)), float(ys[ok].max(initial=result))
    across, up = (
        linear(-reach, reach, left + 12, left + 148),
        linear(low, high, top + 128, top + 22),
    )
    c = coordinate
    points = "L".join(f"{c(across(x))} {c(up(y))}" for x, y in zip(xs[ok], ys[ok], strict=True))
    return [
        f'<path class="gg-node" d="M{c(left)} {c(top)}h160v150h-160z"/>',
        f'<path class="gg-axis" d="M{c(left + 12)} {c(up(min(max(0.0, low), high)))}h136M{c(across(0))} {c(top + 22)}v106"/>',
        f'<path class="gg-line gg-s2" d="M{points}"/>',
        f'<circle class="gg-f1" cx="{c(across(total))}" cy="{c(up(result))}" r="4.5"/>',
        words("gg-ink gg-head", left + 80, top + 16, text(activation, 20), "middle"),
        words("gg-soft", left + 12, top + 144, _number(-reach, 2 if reach >= 1e4 else 4)),
        words("gg-soft", left + 148, top + 144, _number(reach, 2 if reach >= 1e4 else 4), "end"),
        words("gg-soft", left + 80, top + 167, "the dot: this sum", "middle"),
    ]
