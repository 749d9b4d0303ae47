"""Whether names come out as mere text wherever we write them: terminal, CSV, HTML, SVG, TOML, files."""

from __future__ import annotations

import ast
import csv
import io
import re
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from glassgrad import nn
from glassgrad.backends.numpy_source.check import check_program
from glassgrad.cli import main, screen, tables, use
from glassgrad.data.preparation import TablePreparation, Target
from glassgrad.data.table import Table
from glassgrad.errors import GlassgradError, InternalError, shown
from glassgrad.files import Labels
from glassgrad.files.history import read_history, write_history
from glassgrad.files.model import from_bytes, to_bytes
from glassgrad.files.toml import write_toml
from glassgrad.inspect import Picture, plots
from glassgrad.inspect.compare import Comparison, Group
from glassgrad.inspect.explain.explanation import explain
from glassgrad.inspect.run import check_free, next_free
from glassgrad.train.metrics import find
from tests.files.hostile.formats import placed, scratch

CONTROL = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
FORMULA = re.compile(r"[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
NUMBER = re.compile(r"[+-]?([0-9.]+(e[+-]?[0-9]+)?|inf|nan)", re.ASCII | re.IGNORECASE)
_SVG = {"svg", "title", "desc", "style", "rect", "text", "tspan", "path", "circle", "g"}
_ATTRIBUTES = {
    "class", "cx", "cy", "d", "dx", "fill", "fill-opacity", "height", "r", "role", "rx",
    "shape-rendering", "stroke-dasharray", "stroke-opacity", "stroke-width", "style", "text-anchor",
    "transform", "viewBox", "width", "x", "y",
}  # fmt: skip
_HTML = {"table", "caption", "tr", "th", "td", *_SVG}


class RefusedError(Exception):
    """The name is not taken."""


def inert_line(text: str) -> bool:
    """One line that a terminal only shows."""
    return not CONTROL.search(text) and "\n" not in text


def inert_svg(text: str) -> bool:
    """A picture of shapes and text: no script, no link, nothing from elsewhere."""
    root = ET.fromstring(text)
    for element in root.iter():
        tag = element.tag.rpartition("}")[2]
        if tag not in _SVG or not element.attrib.keys() <= _ATTRIBUTES:
            return False
        if any(re.search(r"url|[<>&\"']", value) for value in element.attrib.values()):
            return False
        if tag != "style" and CONTROL.search(element.text or ""):
            return False
        if tag == "style" and re.search(r"@import|url\(|<", element.text or ""):
            return False
    return True


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.found |= {f"{tag} {k}" for k, _ in attrs if k.startswith("on") or k in ("href", "src")}

    def handle_comment(self, data: str) -> None:
        self.found.add("a comment")


def inert_html(text: str) -> bool:
    """A page of tables and pictures, and nothing that acts."""
    page = _Page()
    page.feed(text)
    page.close()
    return page.found <= _HTML


def inert_cell(cell: str) -> bool:
    """A cell of CSV that no spreadsheet takes for a formula and no terminal for a command."""
    return inert_line(cell) and (not FORMULA.match(cell) or bool(NUMBER.fullmatch(cell)))


def _csv(cells: Sequence[str]) -> list[str]:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    (row,) = csv.reader(io.StringIO(out.getvalue()), strict=True)
    return row


def terminal(name: str) -> bool:
    several = f"{name}\n{name}"
    return (
        inert_line(screen.name(name))
        and inert_line(shown(name))
        and not CONTROL.search(screen.plain(several))
    )


def predicted(name: str) -> bool:
    return all(map(inert_cell, _csv([use.inert(name), use.inert(f"p({name})")])))


def metric(name: str) -> bool:
    """Heading of a column of history.csv and of a line on the terminal."""

    def function(prediction: Any, target: Any) -> Any:
        return abs(prediction - target).mean()

    function.__name__ = name
    (found,) = find((function,))
    columns = {"loss": [0.5], found.name: [0.25], f"val_{found.name}": [0.5]}
    text = write_history(columns, [0.1])
    heading = next(csv.reader(io.StringIO(text), strict=True))
    group = Group(name, {"training.loss": name}, (0,), (columns,))
    table = Comparison((group, group), dict.fromkeys(columns, "down"))
    return (
        all(map(inert_cell, heading))
        and read_history(text.encode(), "history.csv") == columns
        and inert_html(table._repr_html_())
        and all(map(inert_line, str(table).split("\n")))
    )


def _text_of(name: str) -> str:
    """A name without halves of characters, which no file in UTF-8 can hold."""
    return "".join("\ufffd" if 0xD800 <= ord(c) < 0xE000 else c for c in name)


def setting(name: str) -> bool:
    """A value and a key of config.toml."""
    plain = _text_of(name)
    text = write_toml({"a value": name, plain + "!": [name], "a table": {plain or "c": name}})
    found = tomllib.loads(text)
    return (
        found["a value"] == plain
        and found["a table"] == {plain or "c": plain}
        and not CONTROL.search(text)
    )


def column(name: str) -> bool:
    """A column of a table and a class of another, as the model file keeps them and a page shows them."""
    table = Table(
        {name: ["1", "2", "3"], f"{name}!": [name or "x", "a", "b"], "price!": ["1", "2", "4"]}
    )
    how = TablePreparation.fit(table, target=Target("price!"))
    lines = tables.described(how, "regression")
    again = TablePreparation.from_plain(how.plain())
    return all(map(inert_line, lines)) and again == how


def labels(names: Sequence[str]) -> bool:
    """Classes, a column and a data set in a model file."""
    given = Labels(
        classes=tuple(names), features=(names[0],), task="classification", dataset=names[-1]
    )
    found = from_bytes(to_bytes(nn.Linear(1, len(names)), x=(1,), labels=given)).labels
    return found == given


def configured(name: str) -> bool:
    """A value in a file of settings: refused in so many words, or a program that passes the list."""
    text = _text_of(name)
    for key in ("dataset", "layers", "optimizer"):
        given = {"dataset": "xor", key: text}
        placed("a.toml", write_toml({"train": given}).encode())
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main(["source", "--config", str(scratch() / "a.toml")])
        said = out.getvalue() + err.getvalue()
        if CONTROL.search(said) or "Traceback" in said or code not in (0, 2):
            return False
        if not code:
            check_program(ast.parse(out.getvalue()))
    return True


def folder(name: str) -> bool:
    """A run's folder: as it is, or refused; and the stem that a data set's name gives."""
    stem = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-") or "run"
    free = next_free(Path("/nowhere"), stem)
    check_free(Path("/tmp") / name)
    return free.parent == Path("/nowhere") and bool(re.fullmatch(r"[a-z0-9-]+-1", free.name))


SINKS: dict[str, Callable[[str], bool]] = {
    "terminal": terminal, "predicted": predicted, "metric": metric, "setting": setting, "column": column,
    "folder": folder, "configured": configured,
}  # fmt: skip


def wrong(names: Sequence[str]) -> list[str]:
    """Where names are more than text; nothing where they are only text, or refused as names are."""
    found = [
        f"{sink}: {n!r}" for sink, check in SINKS.items() for n in names if not _fine(check, n)
    ]
    together = list(dict.fromkeys(names))
    if not _accepted(labels, together):
        found += [f"labels: {n!r}" for n in together if not _fine(labels, [n, f"{n}!"])]
    return found + wrong_pictures(together)


def _accepted(check: Callable[[Any], bool], given: Any) -> bool:
    try:
        return check(given)
    except GlassgradError:
        return False


def _fine(check: Callable[[Any], bool], given: Any) -> bool:
    try:
        return check(given)
    except InternalError:
        return False
    except GlassgradError as error:
        return bool(error.what and error.received) and not CONTROL.search(str(error))


def wrong_pictures(names: Sequence[str]) -> list[str]:
    """Which pictures are more than shapes and text, with all these names in them."""
    return [kind for kind, picture in pictures(names).items() if not inert_svg(picture)]


def pictures(names: Sequence[str]) -> dict[str, Picture]:
    """Every kind of picture with these names wherever it takes one."""
    different = list(dict.fromkeys(names))
    first, few = names[0], list(names[:3])
    history = {"loss": [1.0, 0.5], **{n: [1.0, 2.0] for n in different}}
    run = {"loss": [1.0, 2.0]}
    points, classes = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 1, 2])
    plane: dict[str, Any] = {"classes": few, "feature_names": [*names[-2:]]}
    model = type(_text_of(first).replace("\0", ""), (nn.Linear,), {})(1, 1)
    groups = tuple([Group(n, {}, (0,), (run,)) for n in different[:6]])
    return {
        "curves": plots.curves(history, first),
        "overlaid": plots.overlaid({n: [run] for n in different[:6]}, first),
        "groups": Picture(Comparison(groups, {"loss": "down"}).svg(first)),
        "decision_boundary": plots.decision_boundary(
            lambda x: np.abs(np.column_stack([x, x[:, :1]])), points, classes, first, **plane
        ),
        "scatter": plots.scatter(points, classes, first, **plane),
        "network": plots.network(nn.Linear(2, 3), first, inputs=few, outputs=few),
        "neuron": plots.neuron([1.0, 2.0], [0.5, 1.0], title=first, names=few),
        "graph": plots.graph(nn.Linear(2, 3), (2,), first),
        "images": plots.images(points[:, None], classes, first, y=classes[::-1], classes=few),
        "filters": plots.filters(points[:, None, None], first),
        "feature_maps": plots.feature_maps(dict.fromkeys(different[:6], points), first),
        "confusion_matrix": plots.confusion_matrix(classes, classes[::-1], first, classes=few),
        "histograms": plots.histograms({n: {0: points} for n in different[:6]}, first),
        "every_number": explain(model, [[1.0]], [[0.0]], loss="mse").picture(),
    }
