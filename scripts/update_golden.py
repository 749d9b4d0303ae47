"""Write tests/programs/golden/*.py: the programs that the tests hold fixed.

    python scripts/update_golden.py

The test tests/programs/test_golden.py fails when a committed file is not what this writes. Read
the difference before you commit it: these texts are what people read.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.programs.cases import GOLDEN  # noqa: E402  # the tests stand beside us

FOLDER = ROOT / "tests" / "programs" / "golden"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.py"):
        if old.stem not in GOLDEN:
            old.unlink()
    for name, make in GOLDEN.items():
        path = FOLDER / f"{name}.py"
        text = make().text()
        changed = not path.exists() or path.read_text(encoding="utf-8") != text
        path.write_text(text, encoding="utf-8")
        print(
            f"{path.relative_to(ROOT)}  {len(text.splitlines())} lines{'  changed' if changed else ''}"
        )


if __name__ == "__main__":
    main()
