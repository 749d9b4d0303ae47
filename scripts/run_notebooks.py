"""Run the notebooks of docs/notebooks and store what their cells print, Jupyter or not.

    python scripts/run_notebooks.py

Only printed text is stored, so that the files stay small and a test can compare it; pictures
appear when a notebook is run. A cell tagged "unstored" prints more than a reader of the file needs.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parents[1] / "docs" / "notebooks"


def run(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Each code cell of a notebook, in order and in one namespace, with what it printed."""
    names: dict[str, Any] = {"__name__": path.stem}
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"], 1):
        if cell["cell_type"] == "code":
            code = compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec", 0, True)
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(code, names)
            yield cell, out.getvalue()


def refreshed(path: Path) -> str:
    """The text of a notebook with what its cells print now."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    codes = (cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    for cell, (_, printed) in zip(codes, run(path), strict=True):
        text = "" if "unstored" in cell["metadata"].get("tags", ()) else printed
        stream = {"name": "stdout", "output_type": "stream", "text": text.splitlines(True)}
        cell["outputs"] = [stream] if text else []
        cell["execution_count"] = None
    return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    for found in sorted(NOTEBOOKS.glob("*.ipynb")):
        found.write_text(refreshed(found), encoding="utf-8")
        print(found)
