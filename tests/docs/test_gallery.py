"""The gallery is what its script writes, and nothing in it acts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import make_pictures
from glassgrad.backends import native
from tests.inert import inert_svg
from tests.inspect.laid_out import clipped, meeting, texts

ROOT = Path(__file__).parents[2]
ARTICLES = ("spiral-data", "circles", "neuron", "network", "curves", "digits")


@pytest.mark.skipif(not native.available(), reason="the runs of the gallery are native")
def test_the_committed_gallery_is_what_the_script_writes() -> None:
    files = make_pictures.files()
    assert len(files) > 12
    for path, content in files.items():
        assert (ROOT / path).read_text("utf-8") == content, f"run scripts/make_pictures.py: {path}"


def test_the_gallery_shows_the_pictures_of_the_articles_and_each_is_there() -> None:
    page = (ROOT / "docs/gallery.md").read_text("utf-8")
    shown = re.findall(r"!\[([^\]]+)\]\((pictures/([\w-]+)\.svg)\)", page)
    assert {*ARTICLES} <= {name for _, _, name in shown}
    assert len(shown) == page.count("\n## ")
    for says, path, _ in shown:
        assert len(says) > 40
        svg = (ROOT / "docs" / path).read_text("utf-8")
        assert inert_svg(svg)
        assert not meeting(texts(svg))
        assert not clipped(svg)
