"""`glassgrad diagnose`: what would keep a training from learning, before it is trained."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from glassgrad.cli.saving import Saving
from glassgrad.cli.screen import plain, say
from glassgrad.inspect.diagnose.diagnosis import Diagnosis, diagnose, settings_of
from glassgrad.inspect.diagnose.faults import Finding
from glassgrad.train.trainer import Record

_FOUND = 1  # the exit code where anything was


class Diagnosing(Saving):
    """In the place of a run's folder: the run is not kept but diagnosed, and the command ends."""

    def __init__(self, steps: int, seconds: float, as_json: bool) -> None:
        super().__init__(None, None)
        self.steps, self.seconds, self.as_json = steps, seconds, as_json

    def begin(self, title: str, settings: Mapping[str, Any], record: Record) -> dict[str, Any]:
        model = record.task.model
        found = diagnose(
            model, columns=self.features, steps=self.steps, seconds=self.seconds,
            **settings_of(record),
        )  # fmt: skip
        if self.as_json:
            say(in_json(title, found))
        else:
            say()
            for line in styled(found):
                say(line)
        raise click.exceptions.Exit(0 if found.healthy else _FOUND)


def styled(found: Diagnosis) -> list[str]:
    """The text for a terminal: what was found stands out, figures step back."""
    wide = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100
    first, rest = plain(found.text(wide)).split("\n\n", 1)
    out = [
        click.style(line, fg="green" if found.healthy else "red", bold=True)
        for line in first.split("\n")
    ]
    return ["\n".join(out), "", *[_styled(line) for line in rest.split("\n")]]


def _styled(line: str) -> str:
    if line[:1].isdigit():
        return click.style(line, bold=True)
    if line.strip().startswith("Fix:"):
        return click.style(line, fg="green")
    return click.style(line, dim=True) if line.startswith("parameter ") else line


def in_json(title: str, found: Diagnosis) -> str:
    """The diagnosis for machines; a loss that left the finite numbers is null."""
    about = {
        "dataset": title, "healthy": found.healthy, "steps": found.steps,
        "seconds": round(found.seconds, 3), "loss_before": found.before,
        "loss_after": found.after, "loss_held_out": found.held,
        "loss_of_guessing": found.guess,
        "findings": [_in_json(f) for f in found.findings],
    }  # fmt: skip
    return json.dumps(_finite(about))


def _in_json(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name, "where": finding.where, "says": finding.says,
        "evidence": finding.evidence, "fix": finding.fix, "offered": finding.offered,
        "tried": asdict(finding.trial) if finding.trial else None,
        "untried": finding.untried, "rows": list(finding.rows),
    }  # fmt: skip


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
