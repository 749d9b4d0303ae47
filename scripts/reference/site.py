"""Which pages there are, what stands on each, and where everything is.

Everything on a page comes from the registries: the op records, the exports of the packages, the
records of losses, optimisers and metrics. What this file adds is which page a module is told on.
"""

from __future__ import annotations

import ast
import inspect
import sys
import types
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import generate_functions as functions
import glassgrad as gg
from glassgrad import data, errors, inspect as looking, nn, optim, train
from glassgrad.backends.numpy_source import build
from glassgrad.nn import init, losses
from glassgrad.ops import OPS
from glassgrad.train import metrics

from .documented import taken_apart
from .entries import Entry, Writer, hole
from .words import Anchors, code, joined, link, math, prose, table

# The packages whose public names are explained, and how users write them.
PUBLIC: dict[str, types.ModuleType] = {
    "gg": gg,
    "nn": nn,
    "nn.losses": losses,
    "nn.init": init,
    "optim": optim,
    "data": data,
    "train": train,
    "gg.inspect": looking,
    "gg.errors": errors,
}


@dataclass
class Page:
    """A page: its file, its title, and the modules whose public names it explains."""

    file: str
    title: str
    modules: tuple[str, ...] = ()
    intro: str = ""
    entries: list[Entry] = field(default_factory=list)


def _pages() -> list[Page]:
    """Headings, and the module that each page is about; a new module needs a place here."""
    return [
        Page(
            "tensors.md",
            "Tensors and derivatives",
            ("tensors.tensor", "tensors.transforms", "tensors.loops", "tensors.order",
             "tensors.random"),
        ),
        Page("layers.md", "Layers", ("nn.module", "nn.layers", "nn.combine")),
        Page("layers-activations.md", "Activations", ("nn.activations",)),
        Page("layers-convolution.md", "Convolutions", ("nn.convolution",)),
        Page("layers-pooling.md", "Pooling", ("nn.pooling",)),
        Page("layers-resizing.md", "Borders and resizing", ("nn.resizing",)),
        Page("layers-norms.md", "Norms", ("nn.norms",)),
        Page("layers-recurrent.md", "Recurrent layers", ("nn.recurrent",)),
        Page(
            "layers-attention.md",
            "Attention and transformers",
            ("nn.attention", "nn.transformer", "nn.language"),
        ),
        Page("losses.md", "Losses", ("nn.losses",)),
        Page(
            "optimisers.md",
            "Optimisers",
            ("optim.base", "optim.optimizers", "optim.lbfgs", "optim.clipping", "optim"),
        ),
        Page("schedules.md", "Schedules", ("optim.schedules",)),
        Page("initialisers.md", "Initialisers", ("nn.init",)),
        Page("penalties.md", "Penalties and constraints", ("nn.penalties",)),
        Page(
            "training.md",
            "Training",
            ("train.fit", "train.history", "train.predictor", "train.sampling", "train.trouble", "train.verify", "engine"),
        ),
        Page("callbacks.md", "Callbacks", ("train.callbacks", "train.monitors", "train.loggers")),
        Page("metrics.md", "Metrics"),
        Page(
            "data.md",
            "Data sets and readers",
            ("data.sets", "data.toys", "data.idx", "data.cifar", "data.table", "data.text",
             "data.fetch"),
        ),
        Page(
            "preparation.md",
            "Between data and training",
            ("data.splits", "data.prepare", "data.preparation", "data.target", "data.batches",
             "data.augment"),
        ),
        Page(
            "explaining.md",
            "Every number of a step",
            ("inspect.explain.explanation", "inspect.explain.cards", "inspect.explain.paths",
             "inspect.explain.uses", "inspect.explain.samples", "inspect.explain.attribution"),
        ),
        Page(
            "diagnosing.md",
            "What keeps a network from learning", ("inspect.diagnose.diagnosis", "inspect.diagnose.faults", "inspect.diagnose.watching"),
        ),
        Page("recording.md", "Going back in a run", ("inspect.tape",)),
        Page("pictures.md", "Pictures", ("inspect.plots", "inspect.svg")),
        Page(
            "looking.md",
            "Looking at networks, saving them",
            ("inspect.source", "inspect.summary", "inspect.profile", "inspect.compare", "files.model"),
        ),
        Page("errors.md", "Errors", ("errors",)),
    ]  # fmt: skip


def family_file(family: str) -> str:
    return f"ops-{family}.md"


# -- what is public ----------------------------------------------------------------------------


def names_in(module: types.ModuleType) -> list[str]:
    """The public names of a module: `__all__`, or what it defines or passes on as `x as x`."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return [name for name in listed if not name.startswith("__")]
    found: list[str] = []
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ImportFrom):
            found += [a.asname for a in node.names if a.asname == a.name]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign):
            found += [t.id for t in node.targets if isinstance(t, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.append(node.target.id)
    return [name for name in dict.fromkeys(found) if not name.startswith("_")]


def every_name() -> dict[str, Any]:
    """Every public name as users write it, with what it is."""
    found = {}
    for prefix, module in PUBLIC.items():
        for name in names_in(module):
            found[f"{prefix}.{name}"] = getattr(module, name)
    return found


def _names_of_things(names: dict[str, Any]) -> dict[int, tuple[str, ...]]:
    """The names of each function or class."""
    found: dict[int, tuple[str, ...]] = {}
    for name, thing in names.items():
        if _has_docstring(thing):
            found[id(thing)] = (*found.get(id(thing), ()), name)
    return found


def _has_docstring(thing: Any) -> bool:
    return inspect.isfunction(thing) or inspect.isclass(thing)


# -- pages -------------------------------------------------------------------------------------


@dataclass
class Site:
    """All pages, and where every name is explained: name -> (file, anchor)."""

    pages: list[Page]
    files: dict[str, str]  # everything below docs/reference, by its path there
    where: dict[str, tuple[str, str]]


def build_site() -> Site:
    """The whole reference."""
    names = every_name()
    writer = Writer(_names_of_things(names))
    pages = _pages()
    owners = {m: page for page in pages for m in page.modules}
    families = list(dict.fromkeys(op.family for op in OPS.values()))
    op_pages = [Page(family_file(f), f"Ops: {f}") for f in families]
    things = _by_page(names, owners)
    _settle_places(writer, pages, things, op_pages)
    for page in pages:  # before the ops, which say what layers they are
        page.intro = _intro(page)
        page.entries = [_entry(writer, thing) for thing in things[page.file]]
    for page, family in zip(op_pages, families, strict=True):
        page.intro = _module_text(f"ops.{family}")
        page.entries = [writer.op(op) for op in OPS.values() if op.family == family]
    _special(pages)
    helpers = Page("helpers.md", "Helpers of programs", intro=_HELPERS)
    helpers.entries = [writer.helper(name) for name in build.helper_sources()]
    pages += [*op_pages, helpers]
    return _finished(pages, names)


_HELPERS = """The functions that programs bring with them, as they stand at the top of a program that
needs them. The pages of ops and layers say which are called where."""


def _by_page(names: dict[str, Any], owners: dict[str, Page]) -> dict[str, list[Any]]:
    """The things each page explains, in the order their modules define them."""
    found: dict[str, dict[int, Any]] = {page.file: {} for page in owners.values()}
    found |= {page.file: {} for page in _pages() if page.file not in found}
    order: dict[int, tuple[int, int]] = {}
    modules = list(owners)
    records = {id(losses.CLASSES[r.made]) for r in losses.RECORDS}
    for name, thing in names.items():
        if not _has_docstring(thing) or thing.__module__.endswith("tensors.functions"):
            continue  # a generated function is explained with its op
        if id(thing) in records:
            continue  # explained with its function
        home = thing.__module__.removeprefix("glassgrad.")
        owner = _owner(home, owners)
        if owner is None:
            raise hole(f"no page is about glassgrad.{home}", name)
        found[owner.file][id(thing)] = thing
        places = list(vars(sys.modules[thing.__module__]).values())
        at = next((i for i, value in enumerate(places) if value is thing), len(places))
        order[id(thing)] = (modules.index(_module_key(home, owners)), at)
    for i, record in enumerate(losses.RECORDS):
        order[id(record.function)] = (-1, i)  # before what the package has beside the losses
    return {
        file: sorted(held.values(), key=lambda thing: order[id(thing)])
        for file, held in found.items()
    }


def _module_key(home: str, owners: dict[str, Page]) -> str:
    """The longest listed module that this one is, or lies in; "" if none."""
    fits = [m for m in owners if home == m or home.startswith(f"{m}.")]
    return max(fits, key=len, default="")


def _owner(home: str, owners: dict[str, Page]) -> Page | None:
    return owners.get(_module_key(home, owners))


def _settle_places(
    writer: Writer, pages: list[Page], things: dict[str, list[Any]], op_pages: list[Page]
) -> None:
    """Where everything will be, before any of it is written."""
    place: dict[int, str] = {}
    for page in pages:
        anchors = Anchors()
        for thing in things[page.file]:
            place[id(thing)] = f"{page.file}#{anchors.take(thing.__name__)}"
    for page in op_pages:
        anchors = Anchors()
        for op in OPS.values():
            if family_file(op.family) == page.file:
                place[id(op)] = f"{page.file}#{anchors.take(functions.name_of(op))}"
    writer.place = lambda thing: place.get(id(thing), "")
    writer.targets = {n: place[i] for i, ns in writer.names.items() for n in ns if i in place}


def _entry(writer: Writer, thing: Any) -> Entry:
    record = next((r for r in losses.RECORDS if r.function is thing), None)
    if record is not None:
        return writer.loss(record)
    if inspect.isclass(thing) and thing not in (nn.Module, optim.Schedule, optim.Optimizer):
        if issubclass(thing, nn.Module):
            return writer.layer(thing)
        if issubclass(thing, optim.Schedule):
            return writer.schedule(thing)
        if issubclass(thing, optim.Optimizer):
            return writer.optimizer(thing)
    return writer.thing(thing)


def _module_text(name: str) -> str:
    """The docstring of a module, but for its examples."""
    module = sys.modules.get(f"glassgrad.{name}")
    doc = taken_apart(inspect.cleandoc(getattr(module, "__doc__", None) or ""))
    return joined([prose(doc.sentence), doc.markdown])


def _intro(page: Page) -> str:
    return joined([_module_text(name) for name in page.modules])


def _special(pages: list[Page]) -> None:
    """What comes from registries that are not of functions and classes."""
    by_file = {page.file: page for page in pages}
    known = metrics.find([*metrics.NAMED, "top_5_accuracy"])
    if not all(m.says and m.formula for m in known):
        raise hole("a metric without a sentence or a formula", "train.metrics")
    rows = [[code(f'"{m.name}"'), prose(m.says), math(m.formula), m.direction] for m in known]
    others = ", ".join(code(f'"{name}"') for name in losses.NAMED)
    loss = "Every [loss](losses.md) of (prediction, target) is one, too"
    by_file["metrics.md"].intro = joined(
        [
            _module_text("train.metrics"),
            table(("name", "what it is", "formula", "better"), rows),
            f"Any other number stands where `top_5_accuracy` has its 5. {loss}: {others}.",
        ]
    )
    by_file["initialisers.md"].intro += "\n\n" + _drawn()


def _drawn() -> str:
    """What each named initialiser makes of a weight of a dense layer."""
    rows = []
    shape = (64, 32)
    for name, how in init.NAMED.items():
        w = how(shape, 0, "weight")
        rows.append([code(f'"{name}"'), *[f"{v:.3f}" for v in (w.min(), w.max(), w.std())]])
    said = f"By name, with what each makes of a weight {shape} (inputs, outputs), seed 0:"
    return f"{said}\n\n{table(('name', 'smallest', 'largest', 'deviation'), rows)}"


# -- the text of it all ------------------------------------------------------------------------


def _finished(pages: list[Page], names: dict[str, Any]) -> Site:
    files: dict[str, str] = {}
    where: dict[str, tuple[str, str]] = {}
    compared: list[str] = []
    compared_on: list[str] = []
    for page in pages:
        anchors = Anchors()
        anchors.take(page.title)
        contents = []
        parts = []
        for entry in page.entries:
            anchor = anchors.take(entry.heading)
            contents.append(link(code(entry.heading), f"#{anchor}"))
            parts.append(f"## {entry.heading}\n\n{entry.markdown}")
            for name in entry.names:
                if name in where:
                    raise hole("a name that two entries explain", name)
                where[name] = (page.file, anchor)
            for file, drawn in entry.pictures.items():
                files[f"pictures/{file}"] = drawn
            if entry.comparisons:
                if page.title not in compared_on:
                    compared_on.append(page.title)
                    compared.append(f"\n## {page.title}\n")
                target = f"{page.file}#{anchor}"
                told = prose(" ".join(entry.comparisons))
                compared.append(f"- {link(code(entry.heading), target)}: {told}")
        constants = _constants(page, names, where)
        files[page.file] = _document(
            page.title,
            [page.intro, " · ".join(contents), *parts, constants],
        )
    missing = [n for n, t in names.items() if n not in where and not inspect.ismodule(t)]
    if missing:
        raise hole("a public name that is on no page", ", ".join(missing))
    title = "Compared with PyTorch and Keras"
    files["comparison.md"] = _document(title, [_COMPARED, "\n".join(compared)])
    files["README.md"] = _index(pages, where)
    return Site(pages, files, where)


def _constants(page: Page, names: dict[str, Any], where: dict[str, tuple[str, str]]) -> str:
    """The public names that are neither functions nor classes, in a table."""
    rows = []
    for name, thing in names.items():
        prefix = name.rpartition(".")[0]
        if _has_docstring(thing) or inspect.ismodule(thing) or name in where:
            continue
        home = PUBLIC[prefix].__name__.removeprefix("glassgrad.")
        if any(f"{module}.".startswith(f"{home}.") for module in page.modules):
            rows.append([code(name), _held(thing)])
            where[name] = (page.file, "names-and-lists")
    return f"## Names and lists\n\n{table(('name', 'what it holds'), rows)}" if rows else ""


def _held(thing: Any) -> str:
    if isinstance(thing, dict):
        return ", ".join(code(str(key)) for key in thing)
    if isinstance(thing, tuple):
        told = [getattr(item, "name", item) for item in thing]
        return ", ".join(code(str(item)) for item in told)
    return code(str(thing).replace("collections.abc.", "").replace("typing.", ""))


def _document(title: str, parts: Iterable[str]) -> str:
    note = "<!-- Written by scripts/generate_reference.py from the code; do not edit. -->"
    return joined([f"# {title}", note, *parts]) + "\n"


def _index(pages: list[Page], where: dict[str, tuple[str, str]]) -> str:
    rows = []
    for page in pages:
        headings = [entry.heading for entry in page.entries] or list(metrics.NAMED)
        more = f", and {len(headings) - 6} more" if len(headings) > 6 else ""
        rows.append([link(page.title, page.file), f"{', '.join(headings[:6])}{more}"])
    lists = []
    for prefix in PUBLIC:
        held = {n: w for n, w in where.items() if n.rpartition(".")[0] == prefix}
        shown = " · ".join(
            link(code(n.removeprefix(f"{prefix}.")), f"{file}#{anchor}")
            for n, (file, anchor) in sorted(held.items(), key=lambda item: item[0].lower())
        )
        lists.append(f"### {prefix}\n\n{shown}")
    return _document(
        "Reference",
        [
            _INDEX,
            table(("page", "about"), rows),
            "- [Compared with PyTorch and Keras](comparison.md)",
            "## Every public name",
            *lists,
        ],
    )


_COMPARED = """What the docstrings say of other libraries: where a definition is theirs, and where it
differs."""

_INDEX = """Every layer, loss, optimiser, schedule and op: its formula, its shapes, an example, and the
NumPy program that runs, forward and backward, as the library itself writes it. In the programs
`d_v` is the derivative of the loss in `v`.

The pages are written by `python scripts/generate_reference.py` from the same records that the code
uses; a test fails when they are not fresh. Names stand as after

```python
import glassgrad as gg
from glassgrad import data, nn, optim, train
```"""
