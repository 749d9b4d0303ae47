"""A picture of random kind, numbers and names: inert, legible, finite and small, or refused."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.random import Generator

from glassgrad import inspect, nn
from glassgrad.errors import GlassgradError
from tests.hostile_names import hostile_names
from tests.inert import inert_svg
from tests.inspect.laid_out import clipped, finite, meeting, texts

NAMES = hostile_names(2500)
_ODD = (np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324)
_MOST_BYTES = 500_000


def wrong(seed: int) -> list[str]:
    """What is wrong with one picture; nothing where it is refused in so many words."""
    r = np.random.default_rng(seed)
    kind = list(KINDS)[r.integers(len(KINDS))]
    try:
        svg = KINDS[kind](r)
    except GlassgradError as error:
        return [] if error.what and error.expected else [f"{kind}: refused without a word"]
    found = ["not inert"] if not inert_svg(svg) else []
    found += ["a coordinate that is not finite"] if not finite(svg) else []
    found += [f"{a!r} lies on {b!r}" for a, b in meeting(texts(svg))]
    found += [f"{shown!r} is cut off" for shown in clipped(svg)]
    found += [f"{len(svg):,} bytes"] if len(svg) > _MOST_BYTES else []
    return [f"{kind}: {each}" for each in found]


def array(r: Generator, *shape: int) -> Any:
    """Numbers of every size, some of them odd."""
    a, kind = r.normal(size=shape), r.integers(7)
    if kind == 0:
        a *= 10.0 ** r.integers(-300, 300)
    elif kind == 1:
        a = np.round(a)
    elif kind == 2:
        a[r.random(shape) < 0.3] = r.choice(_ODD)
    elif kind == 3:
        a[...] = r.normal() * 10.0 ** r.integers(-20, 20)
    elif kind == 4:
        a += 10.0 ** r.integers(0, 15)
    return a


def names(r: Generator, count: int) -> list[str]:
    return [str(name) for name in r.choice(NAMES, count)]


def title(r: Generator) -> str:
    return names(r, 1)[0]


def up_to(r: Generator, most: int, least: int = 1) -> int:
    return int(r.integers(least, most))


def _curves(r: Generator) -> str:
    columns = ["loss", "val_loss", *names(r, up_to(r, 20, 0))][up_to(r, 2, 0) :]
    return inspect.curves({n: array(r, up_to(r, 60)).tolist() for n in columns}, title(r))


def _overlaid(r: Generator) -> str:
    groups = {
        n: [{"loss": array(r, 9).tolist(), "mae": array(r, 5).tolist()} for _ in range(up_to(r, 3))]
        for n in names(r, up_to(r, 20))
    }
    return inspect.overlaid(groups, title(r))


def _plane(r: Generator) -> tuple[Any, Any, str, dict[str, list[str]]]:
    rows = up_to(r, 50, 0)
    named = {"classes": names(r, up_to(r, 6, 0)), "feature_names": names(r, 2)}
    return array(r, rows, 2), r.integers(0, up_to(r, 40), rows), title(r), named


def _scatter(r: Generator) -> str:
    x, y, heading, named = _plane(r)
    return inspect.scatter(x, y, heading, **named)


def _boundary(r: Generator) -> str:
    (x, y, heading, named), count = _plane(r), up_to(r, 5)
    return inspect.decision_boundary(lambda p: array(r, len(p), count), x, y, heading, **named)


def _network(r: Generator) -> str:
    layers = []
    for a, b in pairwise(r.integers(1, 15, up_to(r, 5, 2)).tolist()):
        weights = array(r, a, b) if r.random() < 0.3 else r.normal(size=(a, b))
        state = {"weight": np.clip(weights, -1e30, 1e30), "bias": r.normal(size=b)}
        layers.append(nn.Linear(a, b).load_state_dict(state))
    return inspect.network(
        nn.Sequential(*layers), title(r), inputs=names(r, 3), outputs=names(r, 3)
    )


def _neuron(r: Generator) -> str:
    count = up_to(r, 13)
    activation = str(r.choice(["tanh", "sigmoid", "relu", "linear", "gelu", "exp"]))
    return inspect.neuron(
        array(r, count),
        array(r, count),
        float(array(r, 1)[0]),
        activation,
        title(r),
        names=names(r, up_to(r, 13, 0)),
    )


def _images(r: Generator) -> str:
    count = up_to(r, 30)
    said = array(r, count) if r.random() < 0.3 else r.integers(0, 9, count)
    x = array(r, count, *r.integers(1, 40, 2))
    return inspect.images(x, said, title(r), y=r.integers(0, 9, count), classes=names(r, 9))


def _confusion(r: Generator) -> str:
    rows, classes = up_to(r, 90, 0), up_to(r, 101)
    y, said = r.integers(0, classes, (2, rows))
    return inspect.confusion_matrix(y, said, title(r), classes=names(r, up_to(r, classes + 1, 0)))


def _histograms(r: Generator) -> str:
    def steps() -> list[int]:
        return [int(t) for t in r.integers(0, 10 ** up_to(r, 10), up_to(r, 20))]

    return inspect.histograms(
        {n: {t: array(r, *r.integers(1, 40, 2)) for t in steps()} for n in names(r, up_to(r, 9))},
        title(r),
    )


def _filters(r: Generator) -> str:
    return inspect.filters(array(r, *r.integers(1, 12, 4)), title(r))


def _maps(r: Generator) -> str:
    maps = {n: array(r, *r.integers(1, 20, 3)) for n in names(r, up_to(r, 6))}
    return inspect.feature_maps(maps, title(r))


KINDS: dict[str, Callable[[Generator], str]] = {
    "curves": _curves, "overlaid": _overlaid, "scatter": _scatter, "decision_boundary": _boundary,
    "network": _network, "neuron": _neuron, "images": _images, "confusion_matrix": _confusion,
    "histograms": _histograms, "filters": _filters, "feature_maps": _maps,
}  # fmt: skip
