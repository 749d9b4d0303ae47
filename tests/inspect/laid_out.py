"""Where the texts of a picture stand, as far as that can be told without a browser."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations
from xml.etree import ElementTree as ET

from glassgrad.inspect.svg import width_of

SVG = "{http://www.w3.org/2000/svg}"
_MOVED = re.compile(r"translate\((\S+) (\S+)\)( rotate\(-90\))?")


@dataclass(frozen=True)
class Box:
    """A rectangle of a picture, and what stands in it."""

    shown: str
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether they share more than an edge."""
        return (
            min(self.right, other.right) - max(self.left, other.left) > 0.01
            and min(self.bottom, other.bottom) - max(self.top, other.top) > 0.01
        )

    def inside(self, other: Box) -> bool:
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.top <= self.top
            and self.bottom <= other.bottom
        )


def size_of(element: ET.Element) -> float:
    """The size of a text's letters, as the style of all pictures says."""
    own = re.search(r"font-size:(\d+)px", element.get("style", ""))
    if own:
        return float(own[1])
    look = element.get("class", "").split()
    return 15.0 if "gg-title" in look else 12.0 if "gg-head" in look else 11.0


def texts(svg: str) -> list[Box]:
    """A box for each line of text: letters reach 0.76 of their size up and 0.2 down."""
    return _texts(ET.fromstring(svg), None)


def _texts(parent: ET.Element, moved: re.Match[str] | None) -> list[Box]:
    found: list[Box] = []
    for element in parent:
        if element.tag != f"{SVG}text":
            found += _texts(element, _MOVED.search(element.get("transform", "")) or moved)
            continue
        shown, size = "".join(element.itertext()), size_of(element)
        wide = width_of(shown, size) * (1.0 if size <= 11 else 1.06)  # larger ones are bold
        x, y = float(element.get("x", "")), float(element.get("y", ""))
        x -= {"middle": wide / 2, "end": wide}.get(element.get("text-anchor", ""), 0.0)
        up, down = 0.76 * size, 0.2 * size
        dx, dy = (float(moved[1]), float(moved[2])) if moved else (0.0, 0.0)
        if moved and moved[3]:
            found.append(Box(shown, dx + y - up, dy - x - wide, dx + y + down, dy - x))
        else:
            found.append(Box(shown, dx + x, dy + y - up, dx + x + wide, dy + y + down))
    return found


def finite(svg: str) -> bool:
    """Whether every coordinate is a number."""
    values = [v for e in ET.fromstring(svg).iter() for v in e.attrib.values()]
    return not any(re.search(r"nan|inf", v) for v in values)


def page(svg: str) -> Box:
    root = ET.fromstring(svg)
    return Box("", 0.0, 0.0, float(root.get("width", "")), float(root.get("height", "")))


def meeting(boxes: list[Box]) -> list[tuple[str, str]]:
    """Which of them lie on each other."""
    return [(a.shown, b.shown) for a, b in combinations(boxes, 2) if a.meets(b)]


def clipped(svg: str) -> list[str]:
    """Texts that do not stand wholly in the picture."""
    whole = page(svg)
    return [box.shown for box in texts(svg) if not box.inside(whole)]
