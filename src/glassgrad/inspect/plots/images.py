"""Images with what a network says about them, filters, and what filters make of an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from glassgrad.errors import ShapeError
from glassgrad.inspect.svg import Picture, fitted, picture, text, width_of, words

from .raster import cells, check_axes, frame, most_side, numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["feature_maps", "filters", "images"]

_MOST_IMAGES = 24
_ACROSS = 6
_MOST_FILTERS = 32
_MOST_INPUTS = 8


def images(
    x: Any,
    predicted: Any,
    title: str,
    *,
    y: Any = None,
    classes: Sequence[str] = (),
) -> Picture:
    """Images with the class that a network gives each, and the true one where that is another.

    The first 24 are drawn, light where a number is 0 and dark where it is largest (in a dark scheme
    the other way round); of several channels the mean.

    Parameters
    ----------
    x : array (n, h, w) or (n, channels, h, w)
    predicted : array (n,) or (n, k)
        Classes, or a score for each class: the highest one counts.
    title : str
        Any text; it is escaped.
    y : array (n,)
        The true classes.
    classes : sequence of str
        Names of the classes; their numbers by default.

    Raises
    ------
    ShapeError
        An array has another shape.
    DataError
        What is given is not made of numbers.

    Examples
    --------
    >>> svg = images([[[0.0, 1.0]], [[1.0, 0.0]]], [1, 0], "two", y=[1, 1])
    >>> "says 0, is 1" in svg, "1 of 2 right" in svg
    (True, True)
    """
    pixels = numbers(x, "x")
    if pixels.ndim == 4:
        pixels = pixels.mean(axis=1)
    check_axes(pixels, 3, "x", "(n, h, w) or (n, channels, h, w)")
    said = _classes(predicted, len(pixels), "predicted")
    true = said if y is None else _classes(y, len(pixels), "y")
    count = min(len(pixels), _MOST_IMAGES)
    side, wide, high, top = 84.0, 126.0, 138.0, 64.0
    most, body = most_side(count), []
    for i in range(count):
        left, above = 20 + i % _ACROSS * wide, top + i // _ACROSS * high
        body.append(cells(pixels[i], left, above, side, most=most))
        body.append(_framed(left, above, side, pixels.shape[1:]))
        right = said[i] == true[i]
        look = "gg-ink" if right else "gg-f1 gg-head"
        lines = _lines(_name(said[i], classes), "" if right else _name(true[i], classes), wide - 6)
        body += [words(look, left, above + side + 16 + 15 * k, a) for k, a in enumerate(lines)]
    right = int((said == true).sum())
    about = f"{len(pixels)} images" if y is None else f"{right} of {len(pixels)} right"
    about += "" if count == len(pixels) else f", the first {count} drawn"
    about += f", as means of {most} by {most} parts" if max(pixels.shape[1:]) > most else ""
    body.insert(0, words("gg-soft", 20, 50, text(about)))
    rows = -(-count // _ACROSS)
    across = max(3, min(count, _ACROSS))
    return picture(int(20 + across * wide), int(top + rows * high), title, about, body, colours=2)


def _lines(said: str, true: str, room: float) -> list[str]:
    """What a network says and what it is, in one line where that has room."""
    size = 13.0 if true else 11.0
    both = f"says {said}, is {true}" if true else f"says {said}"
    if not true or width_of(both, size) <= room:
        return [fitted(both, room, size)]
    return [fitted(f"says {said}", room, size), fitted(f"is {true}", room, size)]


def _classes(given: Any, rows: int, where: str) -> Any:
    found = numbers(given, where)
    if found.ndim == 2:
        found = found.argmax(axis=1) if found.shape[1] > 1 else found[:, 0]
    if found.shape != (rows,):
        raise ShapeError(
            "images and classes differ in number",
            where=where,
            expected=f"({rows},)",
            received=str(found.shape),
        )
    return found


def _name(number: float, classes: Sequence[str]) -> str:
    whole = number >= 0 and number == int(number) if np.isfinite(number) else False
    known = whole and number < len(classes)
    return str(classes[int(number)]) if known else f"{number:g}"


def filters(weights: Any, title: str) -> Picture:
    """The weights of a convolution as small pictures: blue above 0, orange below, strong where large.

    One row for each filter where it looks at several channels (the first eight), otherwise one
    picture for each; the first 32 filters.

    Parameters
    ----------
    weights : array (out, in, h, w)
        Such as `model.conv1.weight`.
    title : str
        Any text; it is escaped.

    Raises
    ------
    ShapeError
        The weights have another shape.

    Examples
    --------
    >>> from glassgrad import nn
    >>> filters(nn.Conv2d(1, 4, 3).weight, "four filters").count("filter ")
    4
    """
    array = numbers(weights, "weights")
    check_axes(array, 4, "weights", "(out, in, h, w)")
    outs, ins = array.shape[:2]
    some, channels = min(outs, _MOST_FILTERS), min(ins, _MOST_INPUTS)
    finite = array[np.isfinite(array)]
    largest = float(np.abs(finite).max(initial=0.0))
    parts = [
        f"{outs} filters of {array.shape[2]} x {array.shape[3]} on {ins} channel{'s' * (ins > 1)}"
    ]
    if some < outs or channels < ins:
        parts.append(f"{some} and {channels} drawn")
    about = ", ".join([*parts, f"the strongest colour is {largest:.3g}"])
    side, gap, top, body = 64.0 if channels == 1 else 44.0, 14.0, 68.0, []
    across, most = 8 if channels == 1 else 1, most_side(some * channels)
    for i in range(some):
        for k in range(channels):
            column, row = (i % across, i // across) if channels == 1 else (k, i)
            left = (20 if channels == 1 else 84) + column * (side + gap)
            above = top + row * (side + (24 if channels == 1 else gap))
            body.append(cells(array[i, k], left, above, side, high=largest, most=most))
            body.append(_framed(left, above, side, array.shape[2:]))
            if channels == 1:
                body.append(words("gg-soft", left, above + side + 14, f"filter {i}"))
            elif k == 0:
                body.append(words("gg-soft", 20, above + side / 2 + 4, f"filter {i}"))
    columns = min(some, across) if channels == 1 else channels
    wide = max(580, int((20 if channels == 1 else 84) + columns * (side + gap) + 10))
    body += _signs(20, 50, about, wide)
    rows = -(-some // across)
    high = int(top + rows * (side + (24 if channels == 1 else gap)) + 14)
    return picture(wide, high, title, about, body, colours=2)


def _framed(left: float, top: float, side: float, shape: Sequence[int]) -> str:
    most = max(shape)
    return frame(left, top, side * shape[1] / most, side * shape[0] / most)


def _signs(left: float, y: float, about: str, wide: float) -> list[str]:
    """What the two colours mean, and a line of text behind it."""
    return [
        f'<path class="gg-f0" d="M{left} {y - 9}h10v10h-10z"/>',
        words("gg-soft", left + 15, y, "above 0"),
        f'<path class="gg-f1" d="M{left + 68} {y - 9}h10v10h-10z"/>',
        words("gg-soft", left + 83, y, "below 0"),
        words("gg-soft", left + 140, y, fitted(about, wide - left - 150)),
    ]


def feature_maps(maps: Mapping[str, Any], title: str) -> Picture:
    """What layers make of one image: for each layer a row, for each of its channels a picture.

    Each map is as strong as its own largest number; the first twelve channels of a layer.

    Parameters
    ----------
    maps : mapping from name to array (channels, h, w)
        In the order of the layers; (h, w) is one channel.
    title : str
        Any text; it is escaped.

    Raises
    ------
    ShapeError
        An array has another shape.

    Examples
    --------
    >>> from glassgrad import nn
    >>> x = np.ones((1, 1, 8, 8), np.float32)
    >>> conv = nn.Conv2d(1, 4, 3)
    >>> feature_maps({"image": x[0], "conv": conv(x)[0]}, "one image").count("<g shape")
    5
    """
    top, left, gap, body = 68.0, 130.0, 10.0, []
    signed, widest = False, 1
    most = most_side(12 * len(maps))
    for name, given in maps.items():
        array = numbers(given, str(name))
        array = array[None] if array.ndim == 2 else array
        check_axes(array, 3, text(name), "(channels, h, w)")
        drawn = array[:12]
        widest, signed = max(widest, len(drawn)), signed or bool((drawn < 0).any())
        side = 96.0 if len(drawn) <= 2 else 60.0
        for i, channel in enumerate(drawn):
            at = left + i * (side + gap)
            body.append(cells(channel, at, top, side, most=most))
            body.append(_framed(at, top, side, array.shape[1:]))
        body.append(words("gg-ink gg-head", 20, top + 14, fitted(name, left - 28, 13)))
        shape = " x ".join(map(str, array.shape))
        body.append(words("gg-soft", 20, top + 30, shape))
        if len(drawn) < len(array):
            body.append(words("gg-soft", 20, top + 46, f"the first {len(drawn)}"))
        top += side + 22
    about = "each map is as strong as its own largest number"
    wide = max(520, int(left + widest * 70 + 20), 130 + 2 * 106)
    body += _signs(20, 50, about, wide) if signed else [words("gg-soft", 20, 50, about)]
    return picture(wide, int(top + 4), title, f"{len(maps)} layers on one image", body, colours=2)
