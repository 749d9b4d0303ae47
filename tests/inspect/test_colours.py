"""Letters can be read in both schemes, and colours told apart with any colour vision.

Contrast is WCAG 2's ratio of luminances. Dichromats are simulated as Machado, Oliveira and Fernandes
did (2009, doi:10.1109/TVCG.2009.113), distances are those in CIE Lab: 2.3 is just noticeable.
"""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from glassgrad.inspect import confusion_matrix
from glassgrad.inspect.explain.page import _STYLE
from glassgrad.inspect.svg import COLOURS, SCHEMES

VISIONS = {
    "all three cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}  # fmt: skip
SIDES = pytest.mark.parametrize("side", [0, 1], ids=["light", "dark"])


def linear(colour: str) -> Any:
    """Light of red, green and blue, 0 to 1."""
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def mixed(over: str, part: float, page: str) -> str:
    """A colour of this opacity on a page, as a browser mixes them."""
    a, b = ([int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in (over, page))
    return "#" + "".join(
        f"{round(part * u + (1 - part) * v):02x}" for u, v in zip(a, b, strict=True)
    )


def contrast(a: str, b: str) -> float:
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (a, b))
    return (high + 0.05) / (low + 0.05)


def lab(light: Any) -> Any:
    xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    ) @ np.clip(light, 0, 1) / np.array([0.95047, 1, 1.08883])  # fmt: skip
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_the_measures_are_right() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert lab(linear("#ffffff")) == pytest.approx([100, 0, 0], abs=0.1)
    assert lab(linear("#ff0000")) == pytest.approx([53.2, 80.1, 67.2], abs=0.1)
    for matrix in VISIONS.values():
        assert matrix.sum(axis=1) == pytest.approx(1, abs=1e-4), "grey stays grey"


@SIDES
def test_letters_have_contrast(side: int) -> None:
    page, ink, soft, grid = SCHEMES[side]
    for letters in (ink, soft, *[both[side] for both in COLOURS]):
        assert contrast(letters, page) >= 4.5, letters
    for letters in (ink, soft):
        assert contrast(letters, grid) >= 4.5, "the boxes of inputs and results"


@SIDES
@pytest.mark.parametrize("vision", VISIONS)
def test_colours_are_told_apart(side: int, vision: str) -> None:
    seen = [lab(VISIONS[vision] @ linear(both[side])) for both in COLOURS]
    for i, k in combinations(range(len(seen)), 2):
        least = 19.5 if k < 4 else 11.5
        assert np.linalg.norm(seen[i] - seen[k]) >= least, (i, k)
    assert np.linalg.norm(seen[0] - seen[1]) > 60, "above and below 0, train and validation"


@SIDES
def test_numbers_in_a_confusion_matrix_have_contrast(side: int) -> None:
    svg = confusion_matrix([0] * 9 + [1] * 9, [0] * 9 + [1] * 4 + [0] * 5, "all, some and none")
    page, ink, *_ = SCHEMES[side]
    found = re.findall(r'class="gg-f(\d)" fill-opacity="([\d.]+)"', svg)
    assert len(found) == 3
    for colour, part in [*found, *((c, "0.5") for c in "01")]:
        assert float(part) <= 0.5
        assert contrast(ink, mixed(COLOURS[int(colour)][side], float(part), page)) >= 4.5


@SIDES
def test_letters_of_an_explanation_have_contrast(side: int) -> None:
    light, _, dark = _STYLE.partition("@media (prefers-color-scheme:dark)")
    known = dict(re.findall(r"--(\w+):(#\w+)", (light, dark)[side]))
    full = {n: c if len(c) == 7 else "#" + "".join(2 * d for d in c[1:]) for n, c in known.items()}
    for name in ("ink", "soft"):
        assert contrast(full[name], full["page"]) >= 4.5
        assert contrast(full[name], full["card"]) >= 4.5
    shades = dict(re.findall(r"--(up|down):(\d+,\d+,\d+)", (light, dark)[side]))
    for rgb in shades.values():
        colour = "#" + "".join(f"{int(v):02x}" for v in rgb.split(","))
        assert contrast(full["ink"], mixed(colour, 0.48, full["card"])) >= 4.5, "the strongest cell"
