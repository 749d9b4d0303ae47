"""docs/adding-an-op.md is true: a record and one oracle line are all it takes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def block(page: str, mark: str) -> str:
    found = re.search(rf"<!-- {mark} -->\n```python\n(.*?)```", page, re.DOTALL)
    assert found is not None, f"the page has no block {mark!r}"
    return found.group(1)


@pytest.mark.slow
def test_the_record_and_the_oracle_line_of_the_page_make_an_op(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "adding-an-op.md").read_text(encoding="utf-8")
    for folder in ("src", "tests", "scripts"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    records = tmp_path / "src" / "glassgrad" / "ops" / "elementwise.py"
    text = records.read_text(encoding="utf-8")
    assert text.count("\ntanh = unary(") == 1
    records.write_text(
        text.replace("\ntanh = unary(", f"\n{block(page, 'record')}tanh = unary("), "utf-8"
    )
    oracles = tmp_path / "tests" / "oracles.py"
    text = oracles.read_text(encoding="utf-8")
    line = next(x for x in text.splitlines(keepends=True) if x.startswith('    "tanh":'))
    oracles.write_text(text.replace(line, block(page, "oracle") + line), "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src"), "GLASSGRAD_CI": ""}

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    run("scripts/generate_functions.py")
    shown = run("-c", "import glassgrad as gg; print(gg.arctan(gg.tensor([0.0, 1.0], 'float64')))")
    assert "0.78539816" in shown
    out = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/ops", "-k", "arctan")
    passed = re.search(r"(\d+) passed", out)
    assert passed is not None
    assert int(passed.group(1)) > 50, out
