"""A network of dense layers as circles and lines, and one of its neurons with all its numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from glassgrad.errors import ConfigError, ShapeError, UsageError, shown
from glassgrad.inspect.svg import Picture, coordinate, linear, picture, text, words
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
    body = [words("gg-soft", 20, 50, text(_about(layers, weights, largest), 120))]
    for (before, after), w in zip(pairwise(layers), weights, strict=True):
        body += _edges(before, after, w, largest, written)
    for number, layer in enumerate(layers):
        body += _circles(layer, number, len(layers), written)
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
    apart, left, top = (230.0 if len(layers) <= 3 else 170.0), 110.0, 84.0
    for column, layer in enumerate(layers):
        hidden = layer.units > len(layer.drawn)
        count = len(layer.drawn) + hidden
        begin = top + (rows - count) * gap / 2
        for place, unit in enumerate(layer.drawn):
            row = place + (1 if hidden and place >= _FEW else 0)
            layer.at[unit] = (left + column * apart, begin + row * gap)
    return int(2 * left + (len(layers) - 1) * apart), int(top + rows * gap + 46)


def _finite(array: Any) -> Any:
    return np.where(np.isfinite(array), array, 0.0)


def _about(layers: list[_Layer], weights: list[Any], largest: float) -> str:
    count = sum(w.size for w in weights)
    seen = sum(len(a.drawn) * len(b.drawn) for a, b in pairwise(layers))
    part = "" if seen == count else f", {seen:,} drawn"
    return f"{count:,} weights{part}: blue above 0, orange below, the widest is {largest:.3g}"


def _edges(before: _Layer, after: _Layer, w: Any, largest: float, written: bool) -> list[str]:
    c, out, labels = coordinate, [], []
    for i in before.drawn:
        for k in after.drawn:
            weight = float(w[i, k])
            part = abs(weight) / largest if np.isfinite(weight) else 0.0
            colour = 0 if weight >= 0 else 1
            (x1, y1), (x2, y2) = before.at[i], after.at[k]
            look = f'class="gg-edge gg-s{colour}" stroke-width="{c(0.3 + 4.2 * part)}"'
            seen = f'stroke-opacity="{c(0.25 + 0.6 * part)}"'
            out.append(f'<path {look} {seen} d="M{c(x1)} {c(y1)}L{c(x2)} {c(y2)}"/>')
            if written:
                along = 0.25 + 0.17 * (i % 3) * (len(before.drawn) > 1)
                x, y = x1 + (x2 - x1) * along, y1 + (y2 - y1) * along
                labels.append(_label(x, y, f"{weight:.2f}"))
    return out + labels


def _label(x: float, y: float, shown_: str) -> str:
    """A number on a line, on a patch of the page."""
    c, wide = coordinate, 6.2 * len(shown_) + 4
    patch = f'<rect class="gg-page" x="{c(x - wide / 2)}" y="{c(y - 8)}" width="{c(wide)}" height="14" rx="3"/>'
    return patch + words("gg-ink", x, y + 3.5, text(shown_.replace("-", "−")), "middle")


def _circles(layer: _Layer, number: int, layers: int, written: bool) -> list[str]:
    c, out = coordinate, []
    for unit in layer.drawn:
        x, y = layer.at[unit]
        out.append(f'<circle class="gg-node" cx="{c(x)}" cy="{c(y)}" r="11"/>')
        if written and layer.bias is not None:
            out.append(
                words("gg-soft", x, y + 24, f"b {layer.bias[unit]:.2f}".replace("-", "−"), "middle")
            )
        if number in (0, layers - 1):
            name = (
                layer.names[unit]
                if unit < len(layer.names)
                else ("x" if number == 0 else "y") + str(unit + 1)
            )
            side = ("end", x - 18) if number == 0 else ("start", x + 18)
            out.append(words("gg-ink", side[1], y + 4, text(name, 13), side[0]))
    x = layer.at[0][0]
    if layer.units > len(layer.drawn):
        y = (layer.at[_FEW - 1][1] + layer.at[layer.units - _FEW][1]) / 2
        out += [
            f'<circle class="gg-soft" cx="{c(x)}" cy="{c(y + d)}" r="1.8"/>' for d in (-8, 0, 8)
        ]
        out.append(words("gg-soft", x + 12, y + 4, f"{layer.units - len(layer.drawn):,} more"))
    low = max(y for _, y in layer.at.values()) + (42 if written else 32)
    out.append(words("gg-ink gg-head", x, low, text(layer.name, 20), "middle"))
    note = ", ".join([f"{layer.units:,} unit{'s' * (layer.units != 1)}", *layer.notes])
    out.append(words("gg-soft", x, low + 15, text(note, 30), "middle"))
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
    r"""One neuron with its numbers: $a(\\sum_i w_i x_i + b)$.

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
    x, w = numbers(inputs, "inputs"), numbers(weights, "weights")
    if x.ndim != 1 or x.shape != w.shape or not 1 <= len(x) <= _MOST_UNITS:
        raise ShapeError(
            "a neuron has a weight for each input",
            where="neuron",
            expected="1 to 12 inputs and as many weights",
            received=f"{x.shape} and {w.shape}",
        )
    b = numbers(bias, "bias")
    if b.shape or not (np.isfinite(x).all() and np.isfinite(w).all() and np.isfinite(b)):
        raise ConfigError(
            "a neuron is drawn with finite numbers",
            where="neuron",
            expected="finite inputs and weights, and one number as bias",
            received=shown(bias) if b.shape or not np.isfinite(b) else "inf or nan",
        )
    total = float(x @ w + b)
    result = float(_activated(activation, np.array([total]))[0])
    high = max(270.0, 90 + 54.0 * len(x))
    middle = 66 + (high - 60) / 2
    c, body, largest = coordinate, [], float(np.abs(w).max()) or 1.0
    for i in range(len(x)):
        y = middle + (i - (len(x) - 1) / 2) * 54
        part, colour = abs(w[i]) / largest, 0 if w[i] >= 0 else 1
        look = f'class="gg-edge gg-s{colour}" stroke-width="{c(0.6 + 4 * part)}"'
        body.append(f'<path {look} d="M134 {c(y)}L320 {c(middle)}"/>')
        name = names[i] if i < len(names) else f"x{i + 1}"
        body.append(f'<circle class="gg-node" cx="116" cy="{c(y)}" r="23"/>')
        body.append(words("gg-ink", 116, y + 4, _number(x[i]), "middle"))
        body.append(words("gg-soft", 86, y + 4, text(name, 11), "end"))
        at = y + (middle - y) * 0.4
        body.append(_label(130 + 190 * 0.4, at, f"× {_number(w[i])}"))
    body.append(f'<path class="gg-line gg-dots" d="M354 {c(middle)}H410"/>')
    body.append(f'<path class="gg-line gg-dots" d="M346 {c(middle + 78)}V{c(middle + 36)}"/>')
    body.append(f'<circle class="gg-node" cx="346" cy="{c(middle)}" r="30"/>')
    body.append(words("gg-soft", 346, middle - 7, "sum", "middle"))
    body.append(words("gg-ink gg-head", 346, middle + 10, _number(total), "middle"))
    body.append(words("gg-ink", 346, middle + 94, f"bias {_number(float(b))}", "middle"))
    body += _curve(activation, total, result, 420.0, middle - 75)
    body.append(f'<path class="gg-line gg-dots" d="M580 {c(middle)}H612"/>')
    body.append(words("gg-ink gg-title", 622, middle + 5, _number(result)))
    terms = " + ".join(f"{_number(v)} × {_number(u)}" for v, u in zip(x[:4], w[:4], strict=True))
    more = " + …" if len(x) > 4 else ""
    line = f"{terms}{more} + {_number(float(b))} = {_number(total)}, then {activation}: {_number(result)}"
    body.append(words("gg-soft", 20, 50, text(line, 110)))
    about = f"{len(x)} inputs, sum {total:.6g}, {activation} {result:.6g}"
    return picture(720, int(high + 40), title, about, body, colours=3, shapes=True)


def _number(value: float) -> str:
    """Four digits, and a real minus."""
    return f"{value + 0.0:.4g}".replace("-", "−")


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
        words("gg-soft", left + 12, top + 144, _number(-reach)),
        words("gg-soft", left + 148, top + 144, _number(reach), "end"),
    ]
