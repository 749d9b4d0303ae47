"""The README stays true: its excerpt is what is printed, its files exist."""

from __future__ import annotations

import re
from pathlib import Path

import glassgrad as gg
from glassgrad import data, nn, optim

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_excerpt_is_what_source_prints() -> None:
    x, y = data.spiral(seed=0)
    model = nn.Sequential(hidden=nn.Linear(64), relu=nn.ReLU(), output=nn.Linear(3))
    program = gg.source(model, x, y, loss="cross_entropy", optimizer=optim.Adam(1e-2), metrics=())
    found = re.search(r"<!-- excerpt: spiral.*?-->\n```python\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    assert found.group(1) in program


def test_what_the_readme_points_at_exists() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        if "://" not in target:
            assert (ROOT / target).exists(), target


def test_the_two_commands_stand_in_the_readme() -> None:
    assert "pip install . && glassgrad train digits" in TEXT
    assert "pip install '.[test]' && pytest" in TEXT
