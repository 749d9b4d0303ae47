"""Whatever is drawn can be read: no text lies on another or leaves its picture, and bytes are few."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from glassgrad import nn
from glassgrad.inspect import (
    Picture,
    confusion_matrix,
    curves,
    decision_boundary,
    feature_maps,
    filters,
    graph,
    histograms,
    images,
    network,
    neuron,
    overlaid,
    scatter,
)
from glassgrad.inspect.svg import fitted, text, width_of
from tests.inert import inert_svg
from tests.inspect.any_picture import wrong
from tests.inspect.laid_out import SVG, Box, clipped, meeting, texts

LONG = (
    "A class whose name is forty letters long",
    "日本語の非常に長い名前です漢字かな交じり文",
    "שלום עולם זה שם ארוך מאוד בעברית",
    "مرحبا بالعالم هذا اسم طويل",
    "plain",
)
RNG = np.random.default_rng(0)


class Block(nn.Module):
    """Of a ResNet."""

    def __init__(self, ins: int, outs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(ins, outs, 3, stride=stride, padding=1)
        self.norm1 = nn.BatchNorm2d(outs)
        self.conv2 = nn.Conv2d(outs, outs, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(outs)
        self.short = None
        if stride != 1:
            self.short = nn.Sequential(nn.Conv2d(ins, outs, 1, stride=stride), nn.BatchNorm2d(outs))

    def forward(self, x: Any) -> Any:
        h = self.norm2(self.conv2(nn.relu(self.norm1(self.conv1(x)))))
        return nn.relu(h + (x if self.short is None else self.short(x)))


def resnet(depth: int) -> nn.Module:
    blocks, ins = [], 16
    for outs, stride in ((16, 1), (32, 2), (64, 2)):
        for k in range((depth - 2) // 6):
            blocks.append(Block(ins, outs, 1 if k else stride))
            ins = outs
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), *blocks,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def mlp(*sizes: int) -> nn.Module:
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers)


def guesses(classes: int, rows: int) -> tuple[Any, Any]:
    y = RNG.integers(0, classes, rows)
    return y, np.where(RNG.random(rows) < 0.7, y, RNG.integers(0, classes, rows))


def spread(layers: int, steps: int) -> dict[str, dict[int, Any]]:
    return {
        f"layer{i}.weight": {t * 10**6: RNG.normal(0, 1 + t, 999) for t in range(steps)}
        for i in range(layers)
    }


def odd() -> dict[str, dict[int, Any]]:
    return {
        "constant": {0: np.ones(5), 100_000: np.ones(5)},
        "huge": {0: RNG.normal(size=9) * 1e25},
        "tiny": {t: RNG.normal(size=100) * 1e-30 for t in (0, 1)},
        "nan": {0: [np.nan]},
        "one": {5: [3.0]},
    }


PLANE = RNG.normal(size=(100_000, 2))
QUARTERS = (PLANE[:, 0] > 0) + 2 * (PLANE[:, 1] > 0)
MAPS = {
    "a very long layer name": RNG.normal(size=(64, 28, 28)),
    "small": RNG.normal(size=(64, 1, 1)),
    "flat": RNG.normal(size=(3, 2, 200)),
    "dead": np.zeros((4, 5, 5)),
    "nan": np.full((2, 3, 3), np.nan),
}
KINDS: dict[str, tuple[int, Callable[[], Picture]]] = {  # thousands of bytes at most, the picture
    "784-300-10": (30, lambda: network(mlp(784, 300, 10), "wide", outputs=LONG)),
    "five layers": (60, lambda: network(mlp(64, 64, 64, 64, 64), "deep")),
    "24 weights": (15, lambda: network(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)))),
    "12-2": (15, lambda: network(nn.Linear(12, 2), inputs=LONG)),
    "ResNet-20": (50, lambda: graph(resnet(20), (3, 32, 32))),
    "ResNet-56": (90, lambda: graph(resnet(56), (3, 32, 32))),
    "64 channels": (300, lambda: feature_maps(MAPS, "maps")),
    "20 layers": (200, lambda: histograms(spread(20, 20), "spread")),
    "odd numbers": (20, lambda: histograms(odd(), "odd")),
    "100 classes": (100, lambda: confusion_matrix(*guesses(100, 5000), "100")),
    "40 long names": (100, lambda: confusion_matrix(*guesses(40, 5000), "40", classes=LONG * 8)),
    "many rows": (20, lambda: confusion_matrix(*guesses(5, 10**6), "5", classes=LONG)),
    "no rows": (10, lambda: confusion_matrix([], [], "none")),
    "one epoch": (10, lambda: curves({"loss": [0.7], "val_loss": [0.8], "r2": [0.5]}, "one")),
    "nan": (10, lambda: curves({"loss": [0.7, np.nan], "r2": [np.nan] * 2}, "nan")),
    "constant": (10, lambda: curves({"loss": [0.7] * 50, "val_loss": [0.7] * 50}, "constant")),
    "nearly": (10, lambda: curves({"loss": [1e6 + 1e-5 * i for i in range(50)]}, "nearly")),
    "close": (10, lambda: curves({"loss": [0.1] * 9, "r2": [1 - 1e-7 * i for i in range(9)]}, "r")),
    "10^5 epochs": (
        60, lambda: curves({n: RNG.random(10**5).tolist() for n in ("loss", "val_loss", *LONG)}, "long"),
    ),
    "30 metrics": (20, lambda: curves({f"metric {i}": [i, i + 1] for i in range(30)}, "30")),
    "15 groups": (
        60, lambda: overlaid({f"{n}{i}": [{"loss": RNG.random(40).tolist()}] * 2 for i in range(3) for n in LONG}, "15"),
    ),
    "10^5 points": (
        200, lambda: scatter(PLANE, QUARTERS, "many", classes=LONG, feature_names=LONG[:2]),
    ),
    "far from 0": (10, lambda: scatter(1e8 + PLANE[:20] / 9, QUARTERS[:20], "far")),
    "wide steps": (10, lambda: histograms({"w": {0: PLANE[:90] * 1e13}}, "wide")),
    "a large result": (10, lambda: neuron([3e67], [1.5], 0, "linear")),
    "30 classes": (60, lambda: scatter(PLANE[:300], RNG.integers(0, 30, 300), "30")),
    "noise": (250, lambda: decision_boundary(lambda p: RNG.random((len(p), 3)), PLANE[:9], QUARTERS[:9], "n")),
    "long names": (
        250,
        lambda: images(RNG.random((30, 28, 28)), np.arange(30) % 5, "i", y=np.arange(30) % 4, classes=LONG),
    ),
    "photographs": (700, lambda: images(RNG.random((30, 3, 224, 224)), np.arange(30), "large")),
    "a wide image": (20, lambda: images(RNG.random((1, 2, 40)), [1], "wide")),
    "64 filters": (300, lambda: filters(RNG.normal(size=(64, 3, 11, 11)), "many")),
    "12 inputs": (
        20, lambda: neuron(RNG.normal(size=12) * 1e5, RNG.normal(size=12) * 1e-7, -1e-9, "tanh", names=LONG),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_large_and_odd_pictures_stay_legible_and_small(kind: str) -> None:
    most, draw = KINDS[kind]
    svg = draw()
    assert inert_svg(svg)
    assert len(svg.encode()) < 1000 * most
    assert not meeting(texts(svg))
    assert not clipped(svg)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("784-300-10", "238,200 weights, 200 drawn"),
        ("ResNet-56", "the first 120 drawn"),
        ("64 channels", "the first 12"),
        ("20 layers", "14 more not drawn"),
        ("100 classes", "one class of 3 is named"),
        ("30 metrics", "16 more not drawn"),
        ("15 groups", "1 more not drawn"),
        ("10^5 points", "2,000 of 100,000 points"),
        ("30 classes", "6 more"),
        ("photographs", "the first 24 drawn, as means of 50 by 50 parts"),
        ("64 filters", "32 and 3 drawn"),
    ],
)
def test_what_is_left_out_is_said(kind: str, said: str) -> None:
    assert any(said in t.shown for t in texts(KINDS[kind][1]()))


@pytest.mark.parametrize("seed", range(12))
def test_weights_beside_their_lines_do_not_lie_on_each_other(seed: int) -> None:
    r = np.random.default_rng(seed)
    sizes = [int(r.integers(1, 5)) for _ in range(r.integers(2, 5))]
    while sum(a * b for a, b in pairwise(sizes)) > 24:
        sizes.pop()
    layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    for layer in layers:
        layer.load_state_dict(
            {
                "weight": r.normal(size=(layer.state_dict()["weight"].shape)) * 10.0 ** r.integers(-3, 6),
                "bias": r.normal(size=layer.state_dict()["bias"].shape) * 100,
            }
        )  # fmt: skip
    svg = network(nn.Sequential(*layers))
    assert not meeting(texts(svg)), sizes
    assert not clipped(svg)


def arrows(svg: str) -> list[tuple[float, float]]:
    """Points along the curves of a graph."""
    found = []
    for path in ET.fromstring(svg).iter(f"{SVG}path"):
        for curve in re.findall(
            r"M(\S+) (\S+)C(\S+) (\S+) (\S+) (\S+) (\S+) (\S+?)[vM]", path.get("d", "")
        ):
            a, b, c, d, e, f, g, h = map(float, curve)
            for t in np.linspace(0, 1, 60).tolist():
                weights = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
                x = sum(w * v for w, v in zip(weights, (a, c, e, g), strict=True))
                y = sum(w * v for w, v in zip(weights, (b, d, f, h), strict=True))
                found.append((x, y))
    return found


def test_shapes_stand_beside_arrows_and_boxes_not_on_them() -> None:
    svg = KINDS["ResNet-20"][1]()
    points = arrows(svg)
    assert len(points) > 60 * 70
    for label in texts(svg)[2:]:
        assert not [(x, y) for x, y in points if label.meets(Box("", x - 1, y - 1, x + 1, y + 1))]
    rects = [e for e in ET.fromstring(svg).iter(f"{SVG}rect") if "gg-node" in e.get("class", "")]
    ends = [e for e in rects if "gg-end" in e.get("class", "")]
    assert [e.get("rx") for e in ends] == ["20", "20"], "the input and the result"
    boxes = []
    for e in rects:
        x, y, wide, high = (float(e.get(k, "")) for k in ("x", "y", "width", "height"))
        boxes.append(Box("", x, y, x + wide, y + high))
    assert not meeting(boxes)
    for label in texts(svg)[2:]:
        assert all(label.inside(box) for box in boxes if label.meets(box)), label


def test_classes_of_one_colour_have_other_shapes() -> None:
    svg = scatter([[0.0, 0.0]], [23], "24 classes")
    marks = [e for e in ET.fromstring(svg).iter(f"{SVG}path") if "gg-f" in e.get("class", "")]
    looks = {(e.get("class"), e.get("d", "").partition("m")[2]) for e in marks}
    assert len(looks) == 24


def test_names_are_cut_to_their_room() -> None:
    for name in LONG:
        for room in (20, 60, 120, 300):
            shown = fitted(name, room)
            assert width_of(shown) <= max(room, 22)
            assert shown == name or shown.endswith("…")
    assert fitted("a" * 10**6, 50).endswith("…")
    assert fitted("<&>", 100) == "&lt;&amp;&gt;"
    assert len(text(LONG[1], 20)) == 10, "a wide letter takes the room of two"


@pytest.mark.parametrize("first", range(0, 120, 30))
def test_any_picture_is_legible_or_refused(first: int) -> None:
    """In many more: `scripts/soak.py pictures`."""
    for seed in range(first, first + 30):
        assert wrong(seed) == [], seed
