"""The programs that are kept as files are what is printed today, and keep to the rules of reading."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from glassgrad.train.trainer import Trainer
from tests.programs.cases import GOLDEN, drawn
from tests.programs.rules import broken, own_functions

FOLDER = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_program_is_what_is_printed(name: str) -> None:
    kept = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert GOLDEN[name]().text() == kept, "python scripts/update_golden.py, and read the difference"


def test_every_golden_file_has_its_case() -> None:
    assert {p.stem for p in FOLDER.glob("*.py")} == set(GOLDEN)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_program_keeps_to_the_rules(name: str) -> None:
    case = GOLDEN[name]()
    assert broken(case.text(), case.model) == []


@pytest.mark.parametrize("seed", range(30))
def test_a_drawn_program_keeps_to_the_rules(seed: int) -> None:
    case = drawn(seed)
    assert broken(case.text(), case.model) == []


@pytest.mark.parametrize("seed", range(0, 30, 3))
def test_a_step_never_writes_to_its_data(seed: int) -> None:
    case = drawn(seed)
    record = case.record()
    trainer = Trainer(record)
    arguments = trainer.arguments(record.plan.graph.inputs)
    names = list(record.plan.graph.inputs)
    for name in ("x", "y"):
        record.data[name].flags.writeable = False  # NumPy itself objects to a write
        arguments[names.index(name)] = record.data[name]
    if "step" in names:
        arguments[names.index("step")] = 1
    with np.errstate(all="ignore"):
        assert record.plan.step.function(*arguments) is not None


RULES = {
    "joins layer": ("hidden_reshape", "x @ weights"),
    "the number": ("hidden", "x * 0.09999999999999998"),
    "fallback name": ("hidden_part", "x + 1"),
    "a NumPy scalar": ("hidden", "x * np.float32(2)"),
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_looked_at(rule: str) -> None:
    name, text = RULES[rule]
    case = GOLDEN["spiral_sgd"]()
    program = f"import numpy as np\n\n\ndef train_step(x, weights):\n    {name} = {text}\n    return {name}\n"
    assert any(rule in found for found in broken(program, case.model))


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("h = x + 1", "never used"),
        ("x += 1", "writes to x"),
        ("v = x.reshape(2, -1)\n    v[0] = 1", "writes to v"),
        ("add_at(y, x, x)", "writes to y"),
        ("h = " + " + ".join(["x"] * 40) + "\n    x = h", "characters"),
    ],
)
def test_each_rule_about_lines_is_looked_at(line: str, rule: str) -> None:
    program = f"import numpy as np\n\n\ndef train_step(x, y):\n    {line}\n    return y\n"
    if "add_at" in line:  # the helper it calls stands in the program
        from glassgrad.backends.numpy_source.build import helper_sources

        program = program.replace("def train", helper_sources()["add_at"] + "\n\n\ndef train")
        program = program.replace("import numpy", "import math\n\nimport numpy")
    assert any(rule in found for found in broken(program, GOLDEN["spiral_sgd"]().model))


def test_own_functions_leave_helpers_out() -> None:
    tree = ast.parse(GOLDEN["batch_norm_dropout_adam"]().text())
    assert [f.name for f in own_functions(tree)] == ["train_step", "evaluate"]
