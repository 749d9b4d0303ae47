"""Pictures in Chromium: hostile names do nothing there, and no text lies on another."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest

from glassgrad.inspect import plots
from tests.browser import ACTING, RAN, WATCH, opened
from tests.hostile_names import SIX
from tests.inert import pictures
from tests.inspect.laid_out import Box, meeting
from tests.inspect.test_layout import KINDS

PICTURES = Path(__file__).parents[2] / "docs/pictures"
_MEASURED = """<script>addEventListener("load", () => {
  const found = [...document.querySelectorAll("svg")].map(svg => {
    const page = svg.getBoundingClientRect();
    return [...svg.querySelectorAll("text")].map(text => {
      const b = text.getBoundingClientRect();
      return [text.textContent, b.left - page.left, b.top - page.top, b.right - page.left, b.bottom - page.top,
              page.width, page.height];
    });
  });
  document.body.innerHTML = "<pre></pre>";
  document.querySelector("pre").textContent = JSON.stringify(found);
})</script>"""


def sheet(svgs: list[str], head: str = WATCH) -> str:
    return f"<!DOCTYPE html><meta charset=utf-8><body>{head}{''.join(svgs)}"


def test_every_kind_of_picture_has_hostile_names_in_it() -> None:
    kinds = {n for n in dir(plots) if callable(getattr(plots, n)) and not n.startswith("_")}
    assert kinds | {"every_number", "groups"} == set(pictures(SIX))


@pytest.mark.slow
def test_what_acts_is_seen(tmp_path: Path) -> None:
    """The names are not harmless by themselves, and the harness notices."""
    acting = [name for name in ACTING if name.startswith(("<img", "<script>", "<svg"))]
    for name in acting:
        seen = opened({"/a.html": sheet([f"<p>{name}</p>"])}, tmp_path)
        assert seen.asked == ("/a.html", RAN), name
    svg = pictures(["a", "b", "c"])["scatter"].replace(">a<", "><script>fetch('/ran')</script><")
    frame = sheet(['<iframe src="/p.svg"></iframe>'])
    assert RAN in opened({"/a.html": frame, "/p.svg": svg}, tmp_path).asked
    assert "/dialog" in opened({"/a.html": sheet(["<img src=x onerror=alert(1)>"])}, tmp_path).asked


@pytest.mark.slow
def test_hostile_names_do_nothing_in_a_browser(tmp_path: Path) -> None:
    made = {}
    for first in range(0, len(ACTING), 4):
        names = [*ACTING[first:], *ACTING[:first], *SIX]
        made.update({f"/{kind}{first}.svg": str(svg) for kind, svg in pictures(names).items()})
    assert sum(RAN in html.unescape(svg) for svg in made.values()) == len(made)
    inlined = opened({"/a.html": sheet(list(made.values()))}, tmp_path)
    assert inlined.asked == ("/a.html",)
    assert inlined.dom.count("<svg") == len(made)
    assert inlined.dom.count("<script") == 1, "the one that watches"
    frames = [f'<iframe src="{path}"></iframe>' for path in made]
    alone = opened({"/a.html": sheet(frames), **made}, tmp_path)
    assert sorted(alone.asked) == sorted(["/a.html", *made])
    (path, svg), *_ = made.items()
    seen = opened({path: svg}, tmp_path)
    assert seen.asked == (path,)
    assert re.findall(r"<(\w+)", seen.dom) == re.findall(r"<(\w+)", svg)


@pytest.mark.slow
def test_texts_do_not_lie_on_each_other_as_a_browser_sets_them(tmp_path: Path) -> None:
    """Letters are as wide as the fonts of this machine have them, not as `width_of` supposes."""
    drawn = {path.name: path.read_text("utf-8") for path in sorted(PICTURES.glob("*.svg"))}
    drawn |= {kind: str(draw()) for kind, (_, draw) in KINDS.items()}
    seen = opened({"/a.html": sheet(list(drawn.values()), _MEASURED)}, tmp_path)
    measured = json.loads(html.unescape(seen.dom.partition("<pre>")[2].partition("</pre>")[0]))
    assert len(measured) == len(drawn)
    for name, found in zip(drawn, measured, strict=True):
        # A line's box is taller than its letters: 0.22 of it above and below are room between lines.
        boxes = []
        for shown, left, top, right, bottom, *_ in found:
            upright = bottom - top > right - left and len(shown) > 1
            x, y = (0.22 * (right - left), 0.0) if upright else (0.0, 0.22 * (bottom - top))
            boxes.append(Box(shown, left + x, top + y, right - x, bottom - y))
        assert not meeting(boxes), name
        for shown, left, top, right, bottom, wide, high in found:
            assert left >= 0, (name, shown)
            assert top >= 0, (name, shown)
            assert right <= wide, (name, shown)
            assert bottom <= high, (name, shown)
