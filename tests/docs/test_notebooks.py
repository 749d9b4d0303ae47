"""The notebooks are true: their cells run in order, and print what is stored in them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import run_notebooks

EVERY = sorted(run_notebooks.NOTEBOOKS.glob("*.ipynb"))


def named(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", EVERY, ids=named)
def test_the_cells_print_what_is_stored(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == run_notebooks.refreshed(path)


@pytest.mark.parametrize("path", EVERY, ids=named)
def test_what_a_notebook_points_at_exists(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    texts = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "markdown"]
    for target in re.findall(r"\]\(([^)]+)\)", "\n".join(texts)):
        assert (path.parent / target).exists(), target


def test_there_is_one_that_ends_with_one_weight() -> None:
    assert "from-data-to-one-weight" in [path.stem for path in EVERY]
