"""Every long run is described beside its log."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_every_long_run_is_described() -> None:
    tree = ast.parse((ROOT / "scripts" / "soak.py").read_text(encoding="utf-8"))
    modes = {
        ast.literal_eval(key)
        for node in tree.body
        if isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(node.value, ast.Dict)
        for key in node.value.keys
        if key is not None
    }
    assert {"networks", "hostile"} < modes
    text = (ROOT / "docs" / "soak" / "README.md").read_text(encoding="utf-8")
    bullets = set(re.findall(r"^- `(\w+)`: ", text.partition("\n## ")[0], re.MULTILINE))
    assert bullets == modes | {"functions"}  # of another script, as it says
    shown = ast.get_docstring(tree) or ""
    assert set(re.findall(r"scripts/soak\.py (\w+)", shown)) == modes
