"""Rows as a table for the terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .results import Row, not_met
from .sides import TITLES
from .workloads import Bound

HEADINGS = {
    "workloads": "times as fast as (median; the worst run), microseconds, share of the machine's peak",
    "peak": "share of the measured peak, products only",
    "fixed cost": "what one fit costs beside its steps",
    "products": "matrix products, float32: times as fast as",
    "kernels": "our kernels on one thread: times as fast as the portable reference kernels",
    "starts": "a network that is new to a warm process, and an equal one again",
    "import": "import, beside an interpreter that imports nothing",
    "memory": "peak memory of a process that trains the mlp, 40 batches",
    "wheel": "wheel",
}
_NO_AIM = {"aim": "met", "not met": "NOT MET", "": ""}  # where a must is all that is asked
_MARKS = {"aim": "met, aim too", "must": "met", "not met": "NOT MET", "": ""}


def number(value: float | None) -> str:
    """Three digits at least, no more than help."""
    if value is None:
        return ""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if size >= 100 else f"{value:.3g}" if size >= 1 else f"{value:.2g}"


def _value(row: Row, value: float | None) -> str:
    if value is None:
        return ""
    if row.unit == "of peak":
        return f"{100 * value:.0f} %"
    return f"{number(value)}x" if row.unit == "x" else f"{number(value)} {row.unit}"


def _asked(row: Row) -> str:
    if row.bound is None:
        return ""
    must, aim = row.bound.must, row.bound.aim
    each = [must] if must == aim else [must, aim]
    if row.unit == "of peak":
        each = [100 * v for v in each]
    sign = "<= " if row.less else ""
    return sign + " / ".join(f"{v:g}" for v in each)


def _cells(row: Row) -> list[str]:
    threads = "" if row.threads is None else f"{row.threads[0]}, {row.threads[1]}"
    share = "" if row.share is None else f"{100 * row.share:.1f} %"
    worst = "" if row.worst is None else f"({_value(row, row.worst)})"
    marks = _NO_AIM if row.bound and row.bound.must == row.bound.aim else _MARKS
    return [
        row.work, TITLES.get(row.peer, row.peer), number(row.ours), number(row.theirs), threads,
        _value(row, row.value), worst, share, _asked(row), marks[row.verdict], row.note,
    ]  # fmt: skip


_HEADS = [
    "", "beside", "ours us", "theirs us", "threads", "", "worst", "of peak", "must / aim", "", "",
]  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """All groups, each with its heading; columns that a group leaves empty are left out."""
    parts = []
    for group, heading in HEADINGS.items():
        cells = [_cells(row) for row in rows if row.group == group]
        if not cells:
            continue
        used = [i for i in range(len(_HEADS)) if any(line[i] for line in cells)]
        lines = [[line[i] for i in used] for line in ([_HEADS] if any(_HEADS[i] for i in used) else []) + cells]  # fmt: skip
        widths = [max(len(line[k]) for line in lines) for k in range(len(used))]
        shown = ["  ".join(_aligned(used[k], c, widths[k]) for k, c in enumerate(line)).rstrip() for line in lines]  # fmt: skip
        parts.append("\n".join([f"{group}: {heading}", *(f"  {line}" for line in shown)]))
    return "\n\n".join(parts)


def _aligned(column: int, cell: str, width: int) -> str:
    return cell.rjust(width) if column in (2, 3, 5, 6, 7) else cell.ljust(width)


def summary(rows: Sequence[Row]) -> str:
    """One line of what is met, and the musts that are not."""
    judged = [row for row in rows if row.verdict]
    missed = not_met(rows)
    lines = [f"{len(judged) - len(missed)} of {len(judged)} musts met"]
    lines += [f"  not met: {row.work} {TITLES.get(row.peer, row.peer)}".rstrip() + f": {_value(row, row.value)}, asked {_asked(row)}" for row in missed]  # fmt: skip
    wrong = [row for row in rows if "differ" in row.note or "not the same" in row.note]
    lines += [f"  not the same work: {row.work} {TITLES[row.peer]}: {row.note}" for row in wrong]
    return "\n".join(lines)


def as_json(
    rows: Iterable[Row], raw: Mapping[str, Any], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything: where and with what it was measured, the rows, each run of each side."""
    return {"format": 1, "about": dict(about), "rows": [r.as_json() for r in rows], "runs": raw}


def from_json(document: Mapping[str, Any]) -> list[Row]:
    """The rows of a document, to draw or print them again."""
    found = []
    for each in document["rows"]:
        known = {k: v for k, v in each.items() if k != "verdict"}
        if "bound" in known:
            known["bound"] = Bound(**known["bound"])
        if "threads" in known:
            known["threads"] = tuple(known["threads"])
        found.append(Row(**known))
    return found
