"""The command `glassgrad`. Heavy parts are imported by the commands that need them."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and give its exit code: 0, 1 run-time, 2 usage and data, 130 interrupted."""
    from glassgrad.cli.app import run

    return run(arguments)
