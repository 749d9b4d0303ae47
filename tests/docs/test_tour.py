"""docs/tour.md is true: its blocks are one program, and each prints what stands under it."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim

PAGE = Path(__file__).parents[2] / "docs" / "tour.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def told() -> tuple[dict[str, Any], list[str]]:
    """What the page's program defines, and what each of its blocks prints."""
    names: dict[str, Any] = {"__name__": "tour"}
    printed = []
    for number, (code, _) in enumerate(BLOCKS, 1):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(code, f"tour.md, block {number}", "exec", dont_inherit=True), names)
        printed.append(out.getvalue())
    return names, printed


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_prints_what_stands_under_it(
    told: tuple[dict[str, Any], list[str]], number: int
) -> None:
    assert told[1][number] == BLOCKS[number][1]


def test_every_block_shows_something() -> None:
    assert len(BLOCKS) == TEXT.count("```python\n")
    assert all(printed for _, printed in BLOCKS)


def test_it_is_about_300_lines_and_none_is_long() -> None:
    lines = [line for code, _ in BLOCKS for line in code.splitlines() if line.strip()]
    assert 250 <= len(lines) <= 330
    assert max(len(line) for line in lines) <= 100


def test_what_it_points_at_exists() -> None:
    headings = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        else:
            assert (PAGE.parent / target).exists(), target


def test_the_small_simplifier_keeps_every_bit(told: tuple[dict[str, Any], list[str]]) -> None:
    names, _ = told
    random = np.random.default_rng(0)
    arguments = random.normal(size=(7, 2)), random.normal(size=(7, 1)), random.normal(size=(2, 1))
    long = names["build"](names["line"], "long")(*arguments)
    short = names["build"](names["simplify"](names["line"]), "short")(*arguments)
    for one, other in zip(long, short, strict=True):
        assert np.array_equal(one, other)


def test_the_small_writer_refuses_a_weight_that_has_moved_on(
    told: tuple[dict[str, Any], list[str]],
) -> None:
    names, _ = told
    graph = names["Graph"]({}, {})
    w = graph.input("w", ("n",))
    names["becomes"](graph, "w", w - 0.1 * w)
    graph.outputs["late"] = (w * 2).named("late")
    with pytest.raises(ValueError, match="w is read after it has changed"):
        names["emit"](graph, "step")


def test_the_small_adam_computes_its_rate_once(told: tuple[dict[str, Any], list[str]]) -> None:
    text = told[0]["adam_text"]
    assert text.count("scaled_rate =") == text.count("square_weight =") == 1
    assert text.count("-= scaled_rate *") == 4


def test_the_small_adam_trains_as_the_real_one_does(
    told: tuple[dict[str, Any], list[str]],
) -> None:
    names, _ = told
    start = names["first_weights"]()
    model = nn.Sequential(
        nn.Linear(2, 8, init=start["hidden_weight"], dtype="float64"),
        nn.ReLU(),
        nn.Linear(8, 1, init=start["output_weight"], dtype="float64"),
    )
    history = gg.fit(
        model, names["x"], names["y"], loss="binary_cross_entropy_with_logits",
        optimizer=optim.Adam(0.03), epochs=1000, batch_size=None, verbose=False,
    )  # fmt: skip
    assert names["loss"] == pytest.approx(history["loss"][-1], rel=1e-9)
