"""The guide tells each thing once, and its list of contents leads to every section."""

from __future__ import annotations

import re
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)


def test_every_section_stands_once_and_in_the_list_of_contents() -> None:
    anchors = [re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in SECTIONS]
    contents, _, _ = TEXT.partition("\n## ")
    assert anchors == re.findall(r"\]\(#([^)]+)\)", contents)
