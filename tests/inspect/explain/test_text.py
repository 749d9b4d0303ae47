"""The text of an explanation: what is told in which order, and that what is printed adds up."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import ConfigError, FormatError
from glassgrad.inspect.explain import forms, formulas
from glassgrad.inspect.explain.cards import Cards
from glassgrad.inspect.explain.derivations import Derivation, derived
from glassgrad.inspect.explain.explanation import Explanation
from glassgrad.inspect.explain.expressions import Expression, named, parsed
from glassgrad.inspect.explain.story import story
from glassgrad.inspect.explain.words import visible
from glassgrad.ops import OPS
from tests.inert import inert_line
from tests.inspect.explain.test_forms import network


def spiral(rows: int = 3, activation: nn.Module | None = None, **given: Any) -> Explanation:
    x, y = gg.data.spiral(classes=3, points_per_class=5, seed=0)
    model = nn.Sequential(nn.Linear(2, 6), activation or nn.ReLU(), nn.Linear(6, 3))
    found: Explanation = gg.explain(model, x[-rows:], y[-rows:], loss="cross_entropy", **given)
    return found


def test_data_stand_first_and_parameters_with_the_layer_that_uses_them() -> None:
    told = story(spiral().cards)
    names = {s.path or s.title: [e.name for e in s.entries] for s in told.sections}
    assert names == {
        "data": ["x"],
        "linear1": ["linear1_weight", "linear1_bias", "linear1"],
        "relu1": ["relu1"],
        "linear2": ["linear2_weight", "linear2_bias", "linear2"],
        "loss": ["y", "loss"],
    }


def test_a_layer_whose_nodes_come_in_two_stretches_is_told_once() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    found = gg.explain(model, np.ones((1, 1, 4, 4)), [1], loss="cross_entropy")
    headings = [line for line in found.text().split("\n") if line and not line.startswith(" ")]
    assert len(headings) == len(set(headings))
    assert "d_conv = d_conv2d1" in found.text()


class Scaled(nn.Module):
    """What people write: layers, and between them functions, in a block of its own and outside."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter([2.0, 3.0])
        self.block = nn.Residual(nn.Linear(2, 2), nn.Tanh())
        self.last = nn.Linear(2, 1)

    def forward(self, x: gg.Tensor) -> gg.Tensor:
        return nn.sigmoid(self.last(nn.relu(self.block(x * self.scale))))


def test_what_stands_between_layers_is_told_between_them() -> None:
    found = gg.explain(Scaled(), [[1.0, -2.0]], [[1.0]], loss="mse")
    assert [
        (s.path or s.title, [e.name for e in s.entries]) for s in story(found.cards).sections
    ] == [
        ("data", ["x"]),
        ("in the network itself", ["scale", "multiply"]),
        ("block.linear1", ["block_linear1_weight", "block_linear1_bias", "linear1"]),
        ("block.tanh1", ["tanh1"]),
        ("block", ["block"]),
        ("in the network itself", ["relu"]),
        ("last", ["last_weight", "last_bias", "last"]),
        ("in the network itself", ["sigmoid"]),
        ("loss", ["y", "loss"]),
    ]


def test_a_layer_that_runs_again_is_told_where_it_does() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: gg.Tensor) -> gg.Tensor:
            return nn.tanh(self.layer(nn.tanh(self.layer(x))))

    told = story(gg.explain(Twice(), [[1.0, 2.0]], [[1.0, 0.0]], loss="mse").cards)
    entries = [[e.name for e in s.entries] for s in told.sections]
    assert entries[1:4] == [["layer_weight", "layer_bias", "layer"], ["tanh"], ["layer2"]]
    assert told.sections[1].path == told.sections[3].path
    assert told.sections[1].formulas
    assert not told.sections[3].formulas


def test_what_stands_between_layers_has_the_same_name_in_the_program() -> None:
    program = gg.source(Scaled(), [[1.0, -2.0]], [[1.0]], loss="mse", optimizer="sgd", metrics=())
    assert "    multiply = x * scale\n" in program
    assert "    relu = np.maximum(block, 0)\n" in program
    assert "    d_block = d_relu * (block > 0)\n" in program


def test_known_composites_stand_in_one_line_and_in_steps_where_asked() -> None:
    found = spiral(activation=nn.Sigmoid())
    (line,) = [i for i in found.text(200).split("\n") if i.strip().startswith("sigmoid1[")]
    assert re.search(r"= 1 / \(1 \+ exp\(-linear1\[\d, \d\]\)\) = 1 / \(1 \+ exp\(-", line)
    assert found.text().count("steps") == 0
    assert found.text(steps=True).count("subtract1[") > 5


def test_what_takes_many_steps_is_told_in_the_last_and_in_all_where_asked() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    x = np.random.default_rng(0).normal(size=(8, 2))
    found = gg.explain(model, x, x[:, :1] ** 2, loss="huber")
    told = [story(found.cards, steps=steps) for steps in (False, True)]
    short_of, whole_of = [
        {m.of: m for s in each.sections for e in s.entries for m in e.forward} for each in told
    ]
    many = [m for m in short_of.values() if not m.whole]
    assert {m.of.partition("[")[0] for m in many} >= {"loss"}
    assert len(many) > 1
    for short in many:
        whole = whole_of[short.of]
        last = [d.of for d in short.inner() if d.expression is not None]
        every = [d.of for d in whole.inner() if d.expression is not None]
        assert 3 < len(last) <= 8
        assert len(every) > 16
        assert last[-1] == every[-1]
        assert set(last) <= set(every)
        assert short.many == f", in many steps, the last {len(last)} here"
        assert whole.many == f", in {len(every)} steps"
        for document in (found.text(200), found.to_markdown(), found.to_latex(), found.to_html()):
            assert short.many in document


def test_of_many_steps_only_those_that_are_told_are_looked_into(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []

    def counted(*given: Any) -> forms.Form:
        made.append(given)
        return form(*given)

    form = forms.form
    monkeypatch.setattr(forms, "form", counted)
    model = nn.Sequential(nn.Embedding(5, 8), nn.MultiheadAttention(8, 2))
    found = gg.explain(model, np.arange(12)[None] % 5, np.ones((1, 12, 8)), loss="mse")
    assert ", in many steps, the last 8 here" in found.text()
    few = len(made)
    assert few < 1000 < len(found.text(steps=True).split("\n"))
    assert len(made) > 10 * few


@pytest.mark.parametrize("seed", range(0, 40, 5))
def test_no_number_is_told_without_a_reason(seed: int) -> None:
    for section in story(Cards(network(seed, "float32"))).sections:
        for entry in section.entries:
            for made in [*entry.forward, *entry.backward]:
                for each in [made, *made.inner()]:
                    assert each.expression is not None or each.steps, each.of


def test_inner_values_read_as_what_they_are() -> None:
    text = spiral().text(120)
    assert re.search(r"= d_relu1\[\d, \d\] \* \(linear1\[\d, \d\] > 0\) = ", text)
    assert "greater" not in text
    assert "subtract_one_at" not in text


def test_a_chosen_row_is_the_one_whose_numbers_are_derived() -> None:
    found = spiral(3)
    for row in range(3):
        text = found.text(row=row)
        assert f"numbers of row {row}" in text
        derived = re.findall(r"^    (?:d_)?(?:x|relu1|linear1|linear2)\[(\d)", text, re.MULTILINE)
        assert set(derived) == {str(row)}
    for wrong in (3, -1, True, 0.5, "a"):
        with pytest.raises(ConfigError, match="no such row"):
            found.text(row=wrong)  # type: ignore[arg-type]


def test_a_weight_has_no_rows_though_it_has_as_many() -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2)

        def forward(self, x: gg.Tensor) -> Any:
            return self.inner(x) @ self.inner.weight.T

    model, y = Turned(), [[1.0, 0.0], [0.0, 5.0]]
    step = gg.explain(model, [[3.0, 2.0], [1.0, 0.5]], y, loss="mse")
    slopes = step["permute"].gradient
    assert slopes is not None
    largest = np.unravel_index(int(np.abs(slopes).argmax()), (2, 2))
    for row in range(2):
        assert f"    permute[{largest[0]}, {largest[1]}] = inner_weight" in step.text(row=row)
        assert f"    inner[{row}, " in step.text(row=row)


def test_a_line_does_not_end_within_an_index() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(18, 2))
    x = np.random.default_rng(1).random((2, 1, 5, 5))
    text = gg.explain(model, x, [0, 1], loss="cross_entropy").text(100)
    assert len(re.findall(r"\w\[[0-9, ]*\]", text)) > 200
    assert not re.search(r"\w\[[0-9, ]*$", text, re.MULTILINE)


@pytest.mark.parametrize("width", [72, 100, 132])
def test_lines_are_as_wide_as_asked(width: int) -> None:
    for seed in (4, 11):
        lines = Explanation(network(seed, "float32"), (), {}).text(width).split("\n")
        wide = [line for line in lines if len(line) > width]
        assert all(" " not in line.strip() for line in wide), wide[:3]


def test_conditions_are_printed_as_python_reads_them() -> None:
    leaves = {n: named(n, v) for n, v in (("x", 0.5), ("y", -2.0), ("z", 3.0))}
    for text in (
        "(x > -3) & (x < 3)", "(x > y) | (x > z) & (y > z)", "((x > y) | (x > z)) & (y > z)",
        "(x > y) ^ (z > x) | (y < z)", "(x < y) < z", "x < (y < z)", "(x & y) + z", "x & y + z",
        "where((x > y) & (y > z), x + y, z) * (x > 0)", "-(x > y)", "(x > y) / z", "2 ** (x > y)",
    ):  # fmt: skip
        made = parsed(text, leaves)
        for printed in (made.in_names(), made.in_numbers(5)):
            again = parsed(printed, leaves)
            assert again.evaluated() == made.evaluated(), (text, printed)
        assert parsed(made.in_names(), leaves) == made, (text, made.in_names())


def test_a_small_number_that_nothing_was_added_to_is_printed_as_it_is() -> None:
    exp = Expression("call", (named("x[0, 0]", -32.0),), "exp")
    made = derived("y", Expression("*", (exp, named("w", 1.0))), math.exp(-32.0))
    assert made.result == "1.2664e-14"
    lost = Expression("-", (named("a", 0.3), named("b", 0.3)))
    assert derived("y", lost, 5.6e-17).result == "0"


def test_long_sums_show_the_largest_terms_and_the_rest_as_one_number() -> None:
    model = nn.Linear(500, 1)
    x = np.random.default_rng(0).normal(size=(1, 500))
    found = gg.explain(model, x, [[1.0]], loss="mse")
    entries = [e for s in story(found.cards).sections for e in s.entries]
    (made,) = next(e.forward for e in entries if e.op == "linear")
    assert made.expression is not None
    *shown, rest = made.expression.parts
    sizes = [abs(t.evaluated()) for t in shown]
    products = np.abs(x[0] * model.weight.numpy()[:, 0])
    assert sizes == sorted(sizes, reverse=True)
    np.testing.assert_allclose(sizes, np.sort(products)[::-1][: len(sizes)], rtol=1e-6)
    assert rest.kind == "rest"
    assert rest.name == f"{501 - len(shown)} more"


def test_every_op_has_a_formula_that_is_text_and_mathml() -> None:
    for op in OPS.values():
        assert inert_line(formulas.plain(op.formula))
        assert "\\" not in formulas.plain(op.formula)
        assert "{" not in formulas.plain(op.formula)
        root = ET.fromstring(formulas.mathml(op.formula))
        assert root.tag == "math"
        assert len(list(root.iter())) > 1


@pytest.mark.parametrize(
    "latex",
    [
        *(r"\input{x}", r"\href{x}{y}", "{x", "x}", "x_1_2", "_x", r"\text{<b>}", r"\left(x", "&"),
        *("é", "x^", "\\", r"\frac{1}", "{" * 100 + "x" + "}" * 100, "$x$", "\x1b", "`"),
    ],
)
def test_latex_that_no_record_uses_is_refused(latex: str) -> None:
    with pytest.raises(FormatError):
        formulas.parsed(latex)


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\nb", "\u202ex", "\x9b31m", "\r", "\ud800"])
def test_what_a_user_wrote_is_one_inert_line(name: str) -> None:
    assert inert_line(visible(name))


def test_no_line_says_a_number_twice() -> None:
    model = nn.Sequential(nn.GRU(2, 2), nn.Linear(2, 1), nn.SiLU())
    step = gg.explain(model, [[[1.0, 2.0], [0.5, 0.0]]], [[1.0]], loss="mse")
    found = step.text(200, steps=True).split("\n")
    parts = [line.split(" = ") for line in found]
    assert sum(len(p) > 2 for p in parts) > 50
    assert [p for p in parts if len(p) > 2 and p[-1] == p[-2]] == []


@pytest.mark.parametrize("steps", [False, True])
def test_a_name_in_the_steps_of_an_op_is_that_of_no_other_value(steps: bool) -> None:
    model = nn.Sequential(nn.MultiheadAttention(4, 2), nn.LayerNorm(4))
    x = np.random.default_rng(2).normal(size=(1, 3, 4))
    step = gg.explain(model, x, x * 0, loss="huber")
    outer = set(step.recording.names.values())
    told = story(step.cards, steps=steps)

    def inner(made: Derivation, known: set[str]) -> int:
        names = {each.of.partition("[")[0] for each in made.steps}
        assert not names & known, names & known
        return len(names) + sum(inner(each, known | names) for each in made.steps)

    every = [m for s in told.sections for e in s.entries for m in (*e.forward, *e.backward)]
    assert sum(inner(made, outer) for made in every) > 20
