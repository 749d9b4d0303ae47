"""What others make of an explanation: LaTeX is compiled, Markdown is read by a CommonMark library."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt

import glassgrad as gg
from glassgrad import nn
from glassgrad.inspect.explain.explanation import Explanation
from glassgrad.inspect.explain.latex import latex
from glassgrad.inspect.explain.markdown import markdown, plain
from glassgrad.inspect.explain.story import Story, story
from glassgrad.ir import Op
from glassgrad.ops import OPS
from tests.hostile_names import MARKUP, hostile_names

from .test_outputs import is_inert

NAMES = [*MARKUP, *hostile_names(250, seed=3)]


@pytest.fixture(scope="module")
def explained() -> Explanation:
    model = nn.Sequential(
        nn.Unflatten(1, (1, 6, 6)), nn.Conv2d(4, 3), nn.BatchNorm2d(4), nn.GELU(), nn.Flatten(),
        nn.Linear(40), nn.LayerNorm(40), nn.SiLU(), nn.Linear(12), nn.Softplus(), nn.Linear(3),
    )  # fmt: skip
    x = np.random.default_rng(0).normal(size=(3, 36))
    found: Explanation = gg.explain(model, x, [0, 2, 1], loss="cross_entropy")
    return found


@pytest.fixture(scope="module")
def hostile(explained: Explanation) -> Story:
    """A story with a section for each name, and nothing in it that is not that name."""
    told = story(explained.cards)
    one = told.sections[0]
    each = [replace(one, path=n, title=n + n, formulas=(n, n)) for n in NAMES]
    lines = "\n".join(NAMES)
    return replace(told, title=NAMES[0], sections=tuple(each), followed=lines, about=tuple(NAMES))


def compiled(document: str, place: Path) -> str:
    """What pdflatex says about a document."""
    program = shutil.which("pdflatex")
    if program is None:
        pytest.skip("pdflatex is not installed")
    (place / "step.tex").write_text(document, encoding="utf-8")
    flags = ["-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape"]
    done = subprocess.run(
        [program, *flags, "step.tex"], cwd=place, capture_output=True, timeout=120, check=False
    )
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said[-3000:]
    return said


def test_latex_compiles_and_no_formula_leaves_the_page(
    explained: Explanation, tmp_path: Path
) -> None:
    document = explained.to_latex(steps=True, follow=("linear1_weight", (0, 1)))
    assert "Overfull" not in compiled(document, tmp_path)


def test_latex_with_hostile_names_compiles_and_reads_no_file(
    hostile: Story, tmp_path: Path
) -> None:
    said = compiled(latex(hostile), tmp_path)
    assert "x.tex" not in said  # what \input{x} would ask for
    assert {p.suffix for p in tmp_path.iterdir()} == {".tex", ".log", ".aux", ".pdf"}


def test_markdown_gives_headings_code_and_formulas(explained: Explanation) -> None:
    found = MarkdownIt().render(explained.to_markdown())
    told = story(explained.cards)
    assert found.count("<h2>") == len(told.sections)
    entries = [e for s in told.sections for e in s.entries]
    assert found.count("<pre>") == len(entries)
    for entry in entries:
        assert f"<strong><code>{entry.name}</code></strong>" in found
        assert not entry.formula or html.escape(f"${plain(entry.formula)}$") in found


@pytest.mark.parametrize("op", [op for op in OPS.values() if op.formula], ids=lambda op: op.name)
def test_no_formula_is_taken_for_marks_of_markdown(op: Op) -> None:
    line = f"**`y`** (3), {op.name}: ${plain(op.formula)}$"
    assert html.escape(f"${plain(op.formula)}$") in MarkdownIt().render(line)


def test_hostile_names_are_inert_in_the_html_that_markdown_becomes(hostile: Story) -> None:
    found = MarkdownIt().render(markdown(hostile))
    assert set(re.findall(r"<([a-z0-9]+)", found)) <= {
        "h1", "h2", "p", "ul", "li", "code", "strong", "pre"
    }  # fmt: skip
    assert is_inert(re.sub(r"</?(ul|li|pre|strong)\b[^>]*>", "", found))
    assert found.count("<h2>") == len(NAMES)
