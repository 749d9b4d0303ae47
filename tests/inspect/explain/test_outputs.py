"""Markdown, LaTeX and the page: complete, and whatever users wrote is only text in them."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import ConfigError, UsageError
from glassgrad.inspect.explain import latex, markdown, page
from glassgrad.inspect.explain.attribution import attribute
from glassgrad.inspect.explain.explanation import Explanation
from glassgrad.inspect.explain.story import Story, story
from glassgrad.inspect.explain.text import text
from glassgrad.inspect.explain.words import visible
from tests.browser import ACTING, opened
from tests.hostile_names import SIX, hostile_names
from tests.inert import inert_line

TAGS = frozenset(
    "html head meta title style body div main nav a h1 h2 h3 small section article p code span table tbody tr td "
    "details summary math mrow mi mn mo mtext mspace mfrac msqrt msub msup msubsup munder mover "
    "munderover svg desc rect text tspan path circle g line".split()
)


@pytest.fixture(scope="module")
def explained() -> Explanation:
    model = nn.Sequential(nn.Linear(2, 5), nn.Sigmoid(), nn.Linear(5, 3))
    x = np.array([[0.5, -1.0], [2.0, 0.25]])
    found: Explanation = gg.explain(model, x, [0, 2], loss="cross_entropy")
    return found


class Reader(HTMLParser):
    """What a browser would find: tags, attributes and the text between them."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.comments: list[str] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def is_inert(document: str) -> bool:
    found = Reader(document)
    links = {"href", "src", "srcset", "action", "data", "xlink:href", "formaction"}
    within = re.compile("#(s[0-9]+|followed)")  # to a section, by a number of ours
    inside = [n == "href" and within.fullmatch(v or "") is not None for n, v in found.attributes]
    bad = [
        n
        for (n, _), fine in zip(found.attributes, inside, strict=True)
        if n.startswith("on") or (n in links and not fine)
    ]
    return set(found.tags) <= TAGS and not bad and not found.comments


def hostile(explained: Explanation, name: str) -> Story:
    """A story in which everything that users write is this name."""
    told = story(explained.cards)
    sections = tuple(
        [replace(s, path=name, title=name + name, formulas=(name, name)) for s in told.sections]
    )
    return replace(told, title=name, sections=sections, followed=f"{name!r}", about=(name,))


@pytest.mark.parametrize("name", SIX)
def test_hostile_names_are_only_text_in_a_page(explained: Explanation, name: str) -> None:
    told = hostile(explained, name)
    for document in (page.page(told), page.fragment(told)):
        assert is_inert(document)
        assert "<script" not in document
        shown = visible(name)
        assert sum(shown in t for t in Reader(document).texts) >= 2 * len(told.sections)


def test_hostile_names_by_the_hundred_are_only_text_everywhere(explained: Explanation) -> None:
    for name in hostile_names(700):
        told = hostile(explained, name)
        short = replace(told, sections=tuple([replace(s, entries=()) for s in told.sections[:2]]))
        assert is_inert(page.page(short)), name
        assert all(inert_line(line) for line in text(short).split("\n")), name
        document = latex.latex(short)
        body = document.partition("\\begin{document}")[2]
        known = {
            "section",
            "subsection",
            "told",
            "given",
            "quad",
            "end",
            "textbackslash",
            "textasciicircum",
        }
        known |= {"textasciitilde", "textless", "textgreater", "textbar", "textquotedbl"}
        known |= {"textasciigrave", "textquotesingle"}
        bare = body.replace("\\\\", "")
        assert set(re.findall(r"\\([a-zA-Z]+)", bare)) <= known, name
        assert not re.search(r"(?<!\\)[$&#%^~]", bare), name
        for line in markdown.markdown(replace(short, followed="")).split("\n"):
            if not line.startswith("- `"):
                marks = re.sub(r"\\.", "", line.removeprefix("## ").removeprefix("# "))
                assert not re.search(r"[<>\[\]`*_&!#]", marks), name


def test_a_page_holds_no_script_and_forbids_any(explained: Explanation) -> None:
    document = explained.to_html()
    assert is_inert(document)
    assert "default-src 'none'" in document
    assert "prefers-color-scheme:dark" in document
    assert document.count("<math>") == sum(
        1 for s in story(explained.cards).sections for e in s.entries if e.formula
    )
    notebook = explained._repr_html_()
    assert "<nav>" not in notebook
    assert " id=" not in notebook
    for place in re.findall('href="#([^"]*)"', document):
        assert document.count(f'id="{place}"') == 1


def test_a_large_array_is_pictured_and_a_small_one_a_table(explained: Explanation) -> None:
    model = nn.Sequential(nn.Conv2d(8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2))
    x = np.random.default_rng(0).random((3, 1, 9, 9)).astype("f4")
    found = gg.explain(model, x, [0, 1, 1], loss="cross_entropy")
    document = found.to_html(row=1)
    assert is_inert(document)
    given = document.split("<article>")[1]
    assert given.count("<svg") == 2  # the chosen row alone, and its derivative
    assert "6 of 8" in document
    assert "<svg" not in explained.to_html().split("<article>")[2]
    empty = gg.explain(model, x * 0, [0, 1, 1], loss="cross_entropy").to_html()
    assert is_inert(empty)


def test_every_output_has_every_value_and_derivation(explained: Explanation) -> None:
    every = explained.to_markdown(), explained.to_latex(), explained.to_html(), explained.text()
    for name in explained.names:
        for document in every:
            assert name in document or latex.escaped(name) in document
    for document in every:
        assert "0.5" in document
    md, tex = every[:2]
    assert md.count("```") % 2 == 0
    assert r"$\frac{1}{1 + e^{-x}}$" in md
    assert tex.count(r"\derived{") > 10
    assert tex.count("{") - tex.count(r"\{") == tex.count("}") - tex.count(r"\}")
    assert re.search(r"\\frac\{1\}\{1 \+ e\^\{-\\mathsf\{linear1\}_\{\d,\d\}\}\}", tex)


def test_what_is_followed_is_printed_to_the_loss(explained: Explanation) -> None:
    ways = explained.follow("linear1_weight", (0, 1))
    lines = str(ways).split("\n")
    assert len(lines) == len(ways.ways) + 3
    assert all("linear1_weight[0, 1] -> linear1[" in line for line in lines[1:-2])
    assert all(line.endswith("-> loss") for line in lines[1:-2])
    parts = [float(line.split()[0]) for line in lines[1:]]
    assert sum(parts[:-1]) == pytest.approx(parts[-1], rel=1e-3)
    for document in (
        explained.text(follow=("linear1_weight", (0, 1))),
        explained.to_html(follow=("linear1_weight", (0, 1))),
        explained.to_markdown(follow=("linear1_weight", (0, 1))),
        explained.to_latex(follow=("linear1_weight", (0, 1))),
    ):
        assert "together" in document


def test_a_number_has_one_name_however_it_is_written(explained: Explanation) -> None:
    same = [explained.follow("linear1_weight", (0, 1)), explained.follow("linear1_weight[0, 1]")]
    same += [explained.follow("linear1.weight", (0, 1)), explained.follow("linear1.weight[0,1]")]
    assert all(ways == same[0] for ways in same)
    assert explained["linear1.weight[1, 0]"].index == (1, 0)
    assert explained.text(follow="linear1.weight[0, 1]").endswith(same[0].text(100))
    assert list(explained.samples("linear1.weight")) == ["linear1_weight"]
    for wrong in ("linear1_weight[9, 0]", "linear1_weight[-1, 0]", "linear1_weight[0]"):
        with pytest.raises(ConfigError, match="linear1_weight has no such number"):
            explained[wrong]
    for unknown in ("linear1_wieght", "linear1_weight[0, x]", "", 3):
        with pytest.raises(UsageError, match="no value of this name"):
            explained[unknown]  # type: ignore[index]


def test_what_is_found_out_about_a_number_is_what_a_prompt_shows(explained: Explanation) -> None:
    card = repr(explained["linear1_weight[0, 1]"]).split("\n")
    (own,) = [line for line in card if line.startswith("  linear1_weight[0, 1] = ")]
    value, slope = (float(line.split("=")[-1]) for line in (own, card[-1]))
    of = explained["linear1_weight"]
    assert value == pytest.approx(of.array[0, 1], rel=1e-4)
    assert of.gradient is not None
    assert slope == pytest.approx(of.gradient[0, 1], rel=1e-4)
    uses = explained.uses("linear1_weight[0, 1]")
    lines = repr(uses).split("\n")
    assert sum(float(line.split()[0]) for line in lines[1:]) == pytest.approx(slope, rel=1e-3)
    assert uses.total == pytest.approx(of.gradient[0, 1], rel=1e-12)
    assert all(" * d_linear1[" in line or "that are 0" in line for line in lines[1:])
    ways = explained.follow("linear1_weight[0, 1]")
    assert max(map(len, ways.text(60).split("\n"))) <= 60
    assert " ".join(ways.text(60).split()) == " ".join(ways.text().split())


def test_a_number_that_reaches_no_loss_is_said_to() -> None:
    model = nn.Sequential(nn.Linear(1, 1, init=-1.0), nn.ReLU(), nn.Linear(1, 1))
    ways = gg.explain(model, [[1.0]], [[1.0]], loss="mse").follow("x[0, 0]")
    assert str(ways).startswith("x[0, 0] does not act on the loss: its derivative is 0.\n")


def test_rows_and_attributions_print_what_is_left(explained: Explanation) -> None:
    printed = str(explained.samples("linear1_weight").popitem()[1])
    assert printed.count("  row ") == 2
    assert "the parts sum to the derivative" in printed
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    lines = str(attribute(model, [[0.2, -0.4, 1.0]], output=1)).split("\n")
    assert "the gap" in lines[-2]
    parts = [float(line.split()[0]) for line in lines[1:]]
    assert sum(parts[:-1]) == pytest.approx(parts[-1], rel=1e-3, abs=1e-6)


@pytest.mark.slow
def test_hostile_names_do_nothing_in_a_real_browser(explained: Explanation, tmp_path: Path) -> None:
    for name in ("".join(SIX), "".join(ACTING)):
        told = hostile(explained, name)
        # Without its policy, so that the names have to be inert by themselves.
        document = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.page(told))
        seen = opened({"/page.html": document}, tmp_path)
        found, wanted = Reader(seen.dom), Reader(document)
        assert is_inert(seen.dom)
        assert seen.asked == ("/page.html",)
        assert found.tags == wanted.tags
        assert "".join("".join(found.texts).split()) == "".join("".join(wanted.texts).split())
