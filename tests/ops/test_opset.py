"""The vocabulary of model files: what a file may say does not change without a new number."""

from __future__ import annotations

from pathlib import Path

from glassgrad.ops import OPS, OPSET


def test_the_vocabulary_changes_only_with_its_number() -> None:
    """Files hold graphs of these ops: whoever changes one raises OPSET, and adds opset-N.txt.

    What an op means stands in its oracles; that a meaning stays, in the corpus of model files.
    """
    lines = []
    for name in sorted(OPS):
        op = OPS[name]
        settings = " ".join(a.name for a in op.attributes)
        lines.append(f"{name}({', '.join(op.inputs)}) {{{settings}}}")
    wanted = Path(__file__).with_name(f"opset-{OPSET}.txt").read_text().splitlines()
    assert lines == wanted
