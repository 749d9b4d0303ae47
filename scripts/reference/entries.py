"""What the pages say of one thing: an op, a layer, a loss, an optimiser, a schedule, a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import generate_functions as functions
from glassgrad import nn, optim
from glassgrad.backends.numpy_source import build
from glassgrad.errors import InternalError
from glassgrad.ir import Op, Type
from glassgrad.nn import losses
from glassgrad.ops import OPS
from glassgrad.tensors import functions as public
from glassgrad.train.between import Between

from . import pictures, programs
from .documented import Doc, first_call, made_in_example, read, signature
from .words import block, code, details, joined, link, math, prose, table

MOST_LINES = 150  # of a program on a page
_MOST_SHAPES = 6
_GIVEN = {  # classes of which users have what they are given, and by what
    "Explanation": "step = gg.explain(model, x, y, loss=...)",
    "Card": 'step["hidden.weight[0, 3]"]',
    "Ways": 'step.follow("hidden.weight[0, 3]")',
    "Way": 'step.follow("hidden.weight[0, 3]").ways[0]',
    "Uses": 'step.uses("hidden.weight[0, 3]")',
    "Use": 'step.uses("hidden.weight[0, 3]")[0]',
    "Samples": 'step.samples("hidden.weight")["hidden_weight"]',
    "Attribution": "gg.attribute(model, row)",
    "Diagnosis": "found = gg.diagnose(model, x, y, loss=..., optimizer=...)",
    "Finding": "found.findings[0]",
    "Moment": "tape.at(step)",
}


@dataclass
class Entry:
    """A heading, what stands below it, and the public names that it explains."""

    heading: str
    markdown: str
    names: tuple[str, ...] = ()
    pictures: dict[str, str] = field(default_factory=dict)
    comparisons: tuple[str, ...] = ()


def hole(what: str, where: str) -> InternalError:
    """Something public that nobody has described."""
    return InternalError(
        f"the reference has nothing to say: {what}",
        where=where,
        expected="a sentence, a formula and an example of every public op and layer",
        received="none",
        hint="write it where the thing is defined; the page follows",
    )


class Writer:
    """Writes entries; knows where every other entry is, once all are listed.

    `place` gives the page and anchor of an op, a class or a function, as a link's target, "" where
    it has none.
    """

    def __init__(self, names: Mapping[int, tuple[str, ...]]) -> None:
        self.names = names
        # What users call where the op is no function: `gg.scan`, `nn.losses.mse`.
        self.called = {
            name.removeprefix(prefix): name
            for held in names.values()
            for name in held
            for prefix in ("gg.", "nn.losses.")
        }
        self.place: Callable[[Any], str] = lambda thing: ""
        self.targets: dict[str, str] = {}  # of public names
        self.used_by: dict[str, list[type]] = {}

    # -- words that several kinds share --------------------------------------------------------

    def linked(self, things: Sequence[Any], shown: Callable[[Any], str]) -> str:
        """Things with links to where they are explained."""
        return ", ".join(
            link(code(shown(t)), self.place(t)) if self.place(t) else code(shown(t)) for t in things
        )

    def _called(self, thing: Any, names: Sequence[str]) -> str:
        other = f"\n\nAlso {', '.join(map(code, names[1:]))}." if len(names) > 1 else ""
        return block(signature(names[0], thing)) + other

    def _given(self, thing: Any, names: Sequence[str]) -> str:
        by = _GIVEN.get(thing.__name__)
        return f"{code(names[0])}, what {code(by)} gives." if by else ""

    def _program(self, program: programs.Program, said: str) -> str:
        lines = program.text.count("\n")
        if lines > MOST_LINES:
            return f"Its program has {lines} lines; `gg.source(model, x, y, ...)` prints it."
        helpers = ""
        if program.helpers:
            called = ", ".join(link(code(h), f"helpers.md#{h}") for h in program.helpers)
            helpers = f"\n\nIt calls {called}."
        return details(said, block(program.text) + helpers)

    def _example(self, doc: Doc) -> str:
        return block(doc.example, "pycon") if doc.example else ""

    # -- ops -----------------------------------------------------------------------------------

    def op(self, op: Op) -> Entry:
        """A record: what it is, what it takes, its program forward and back, what it refuses."""
        heading = functions.name_of(op)
        function = getattr(public, heading, None) if _is_public(op) else None
        if not op.says or not op.formula:
            raise hole("an op without a sentence or a formula", op.name)
        says = op.says[0].upper() + op.says[1:]
        doc = read(function) if function else Doc(says, "", "")
        if function and not doc.example:
            raise hole("a public op without an example", op.name)
        names = self.names.get(id(function), ()) if function else ()
        sample = programs.plain_sample(op)
        parts = [
            prose(says if says.endswith(".") else f"{says}."),
            math(op.formula),
            self._called(function, names) if function else self._private(op),
            _without_formula(doc, op),
            self._example(doc),
            self._layers(op),
        ]
        if sample is not None:
            parts += [self._shapes(op), self._op_programs(op, sample)]
        parts += [self._kinks(op), self._refused(op)]
        return Entry(heading, joined(parts), names, comparisons=tuple(doc.comparisons))

    def _private(self, op: Op) -> str:
        operands = ", ".join([*op.inputs, *[f"{a.name}=..." for a in op.attributes]])
        why = functions.PRIVATE.get(op.name)
        note = f": {why}" if why else ", but a part of other things"
        said = f"{code(f'{op.name}({operands})')} is no function of its own{note}."
        name = self.called.get(op.name, "")
        if name not in self.targets:
            return said
        return f"{said} Users call {link(code(name), self.targets[name])}."

    def _layers(self, op: Op) -> str:
        layers = self.used_by.get(op.name, [])
        if not layers:
            return ""
        word = "a layer" if len(layers) == 1 else "layers"
        return f"As {word}: {self.linked(layers, lambda c: f'nn.{c.__name__}')}."

    def _shapes(self, op: Op) -> str:
        rows: dict[tuple[str, str], str] = {}
        for sample in op.samples:
            if any(getattr(d, "order", "C") != "C" for d in sample.operands):
                continue
            names = programs.operand_names(op, len(sample.operands))
            kinds = programs.types_of(sample)
            given = ", ".join(f"{n} {_shape(k)}" for n, k in zip(names, kinds, strict=True))
            usual = {a.name: a.default for a in op.attributes}
            told = {k: v for k, v in sample.attributes.items() if usual.get(k, ...) != v}
            settings = ", ".join(f"{k}={v!r}" for k, v in told.items())
            rows.setdefault((given, settings), _shape(programs.result_type(op, sample)))
        kept = list(rows.items())[:_MOST_SHAPES]
        if not any(settings for (_, settings), _ in kept):
            lines = [[code(given) or "nothing", code(result)] for (given, _), result in kept]
            return table(("operands", "result"), lines)
        lines = [
            [code(given), code(settings) if settings else "", code(result)]
            for (given, settings), result in kept
        ]
        return table(("operands", "settings", "result"), lines)

    def _op_programs(self, op: Op, sample: Any) -> str:
        program = programs.op_program(op, sample)
        seed = f"d_{programs.result_name(op)}"
        names = programs.operand_names(op, len(sample.operands))
        constant = [n for n in names if n not in program.derived]
        said, none = "As NumPy", " It has no derivative."
        if program.derived:
            said = f"As NumPy, with the derivatives ({code(seed)} is that of the result)"
            none = f" There is none in {_listed(constant)}." if constant else ""
            if program.same:
                none = f" In {_listed(program.same)} it is {code(seed)} itself.{none}"
        helpers = ", ".join(link(code(h), f"helpers.md#{h}") for h in program.helpers)
        calls = f" It calls {helpers}." if helpers else ""
        note = (none + calls).strip()
        parts = [f"{said}:", block(program.text), note]
        made = programs.made_of(op, sample)
        if made:
            records = self.linked([OPS[n] for n in made], functions.name_of)
            parts.append(f"A composite of {records}.")
        if op.expand is not None and op.numpy is not None:
            inner = programs.expansion(op, sample)
            if inner.text.count("\n") > 3:
                parts.append(details("What it expands to", block(inner.text)))
        return joined(parts)

    def _kinks(self, op: Op) -> str:
        if not op.kinks:
            return ""
        return f"Kinks: {prose(op.kinks)}."

    def _refused(self, op: Op) -> str:
        lines = []
        for call, error in programs.refusals(op):
            parts = [f"expected {error.expected}" if error.expected else ""]
            parts.append(f"received {error.received}" if error.received else "")
            told = "; ".join(p for p in parts if p)
            said = f"{error.what}" + (f" ({told})" if told else "")
            lines.append(f"- {code(call)}: {type(error).__name__}, {prose(said)}")
        return "Refused:\n\n" + "\n".join(lines) if lines else ""

    # -- layers --------------------------------------------------------------------------------

    def layer(self, thing: type[nn.Module]) -> Entry:
        """A layer: how it is made, its formula, parameters, shapes, program, example."""
        doc, names = read(thing), self.names[id(thing)]
        if not doc.sentence or not doc.example:
            raise hole("a layer without a sentence or an example", names[0])
        make = partial(_made, thing, doc)
        model = make()
        found = programs.layer(make)
        if found is None:
            raise hole("a layer whose example takes no input that was tried", names[0])
        op = next((o for o in found.ops if any(o.plain) and o.plain == model.formula), None)
        if op is not None:
            self.used_by.setdefault(op.name, []).append(thing)
        shown: dict[str, str] = {}
        if op is not None and (op.family == "activation" or "elementwise" in op.roles):
            call = first_call(thing, doc).removeprefix("nn.").removesuffix("()")
            shown[f"{thing.__name__.lower()}.svg"] = pictures.activation(make, call)
        parts = [
            prose(doc.sentence),
            *[f"![{thing.__name__} and its derivative](pictures/{name})" for name in shown],
            math(op.formula) if op is not None else "",
            self._called(thing, names),
            self._formula(model, op, found, names[0]),
            _without_formula(doc, op),
            self._parameters(make, found),
            self._methods(thing),
            self._example(doc),
            f"{code(first_call(thing, doc))} takes {_arrow(found.inputs, found.outputs)}.",
            self._program(found.program, "What runs: forward and backward as NumPy"),
        ]
        return Entry(thing.__name__, joined(parts), names, shown, tuple(doc.comparisons))

    def _formula(self, model: nn.Module, op: Op | None, found: programs.Layer, where: str) -> str:
        forward, backward = model.formula
        lines = [f"- forward: {code(forward)}"] if forward else []
        lines += [f"- backward: {code(backward)}"] if backward else []
        if op is not None:
            lines.append(f"- op: {self.linked([op], functions.name_of)}")
            return "\n".join(lines)
        if not forward and not any(model.children()) and not found.only_moves:
            raise hole("a layer without a formula", where)
        if not forward:
            lines.append(
                "- forward and backward: those of its parts"
                if any(model.children())
                else "- forward: the same numbers in other places; backward: each one back"
            )
        if found.ops:
            lines.append(f"- made of: {self.linked(found.ops, functions.name_of)}")
        return "\n".join(lines)

    def _parameters(self, make: Callable[[], nn.Module], found: programs.Layer) -> str:
        model = make()
        how = {n: getattr(p, "how", "") for n, p in model.named_state().items()}
        kept = {id(b) for b in model.buffers()}
        rows = [
            [
                code(name),
                code(str(found.held[name].shape)),
                code(f'"{how[name]}"') if isinstance(how[name], str) else code(repr(how[name])),
                "kept, not learnt" if id(p) in kept else "learnt",
            ]
            for name, p in model.named_state().items()
        ]
        if len(rows) > 12:
            return f"It has {len(rows)} parameters; `gg.summary` lists them."
        return (
            table(("parameter", "shape", link("at first", "initialisers.md"), ""), rows)
            if rows
            else ""
        )

    # -- losses --------------------------------------------------------------------------------

    def loss(self, record: losses.LossRecord) -> Entry:
        """A loss: as a function, an object and a name for fit."""
        function, made = record.function, losses.CLASSES[record.made]
        doc = read(function)
        names = (*self.names[id(function)], *self.names[id(made)])
        if not doc.sentence or not doc.example:
            raise hole("a loss without a sentence or an example", record.name)
        op = OPS[record.op] if record.op else None
        settings = ", ".join(f"{k}={v!r}" for k, v in record.defaults.items())
        ways = [f"- as an object: `{self.names[id(made)][0]}({settings})`"]
        if record.by_rows:
            told = ", ".join(code(f'"{n}"') for n in (record.name, *record.aliases))
            ways.append(f"- in `gg.fit`: {told}")
            targets = {
                "numbers": "real numbers",
                "classes": "class indices, or rows of shares",
                "signs": "1 and -1",
            }
            ways.append(f"- targets: {targets[record.target]}; predictions: {record.outputs}")
        if op is not None:
            ways += [f"- forward: {code(op.plain[0])}", f"- backward: {code(op.plain[1])}"]
            ways.append(f"- op: {self.linked([op], functions.name_of)}")
        parts = [
            prose(doc.sentence),
            math(op.formula) if op is not None else "",
            block(signature(names[0], function)),
            "\n".join(ways),
            doc.markdown,
            self._example(doc),
        ]
        heading = function.__name__
        return Entry(heading, joined(parts), names, comparisons=tuple(doc.comparisons))

    # -- optimisers and schedules --------------------------------------------------------------

    def optimizer(self, thing: type[optim.Optimizer]) -> Entry:
        """An optimiser: its rule as a formula and as the lines that run."""
        doc, names = read(thing), self.names[id(thing)]
        made = made_in_example(thing, doc)
        if not doc.sentence or made is None:
            raise hole("an optimiser without a sentence or an example", names[0])
        program = programs.update_program(made)
        states = (*made.state_names, *made.scalar_state_names)
        told = [n for n, c in optim.NAMED.items() if c is thing]
        lines = [f"- rule: {code(made.formula)}"]
        lines += [f"- keeps: {', '.join(map(code, states))}"] if states else []
        lines += [f'- in `gg.fit`: `"{n}"`, rate {optim.RATES[n]:g}' for n in told]
        if "options" in inspect.signature(thing).parameters:
            base = self.linked([optim.Optimizer], lambda c: c.__name__)
            lines.append(f"- options: those of every {base}")
        parts = [
            prose(doc.sentence),
            self._called(thing, names),
            "\n".join(lines),
            doc.markdown,
            self._methods(thing),
            self._example(doc),
        ]
        if program is not None:
            parts += [f"What runs, for {code(repr(made))}:", block(program.text)]
        else:
            name = thing.__name__.lower()
            parts.append(f"What runs is {link(code(name), f'helpers.md#{name}')}.")
        return Entry(thing.__name__, joined(parts), names, comparisons=tuple(doc.comparisons))

    def schedule(self, thing: type[optim.Schedule]) -> Entry:
        """A schedule: its picture and its text."""
        doc, names = read(thing), self.names[id(thing)]
        made = made_in_example(thing, doc)
        if not doc.sentence or made is None:
            raise hole("a schedule without a sentence or an example", names[0])
        call = first_call(thing, doc)
        file = f"schedule-{thing.__name__.lower()}.svg"
        source = made.source("rate")
        parts = [
            prose(doc.sentence),
            f"![The rate of {thing.__name__}](pictures/{file})",
            self._called(thing, names),
            doc.markdown,
            self._example(doc),
            joined([f"What runs, for {code(call)}:", block(source)]) if source else "",
        ]
        drawn = pictures.schedule(made, call, thing.__name__)
        return Entry(thing.__name__, joined(parts), names, {file: drawn}, tuple(doc.comparisons))

    # -- anything else -------------------------------------------------------------------------

    def thing(self, thing: Any) -> Entry:
        """A function or a class as its docstring has it."""
        doc, names = read(thing), self.names[id(thing)]
        if not doc.sentence:
            raise hole("a public name without a sentence", names[0])
        is_error = isinstance(thing, type) and issubclass(thing, Exception)
        parts = [
            prose(doc.sentence),
            "" if is_error else self._given(thing, names) or self._called(thing, names),
            doc.markdown,
            self._methods(thing) if isinstance(thing, type) else "",
            self._example(doc),
        ]
        return Entry(thing.__name__, joined(parts), names, comparisons=tuple(doc.comparisons))

    def helper(self, name: str) -> Entry:
        """A function that programs bring with them."""
        return Entry(name, block(build.helper_sources()[name]))

    def _methods(self, thing: type) -> str:
        """What a class can do, a sentence each; what its base says it can is told there."""
        classes = [c for c in thing.__mro__ if c.__module__.startswith("glassgrad")]
        framework = [c for c in classes[1:] if id(c) in self.names]
        told = [*framework, *[c for c in classes[1:] if c is Between]]  # which a trainer asks
        found: dict[str, str] = {}
        for owner in classes[:1] if framework else classes:
            for name, value in vars(owner).items():
                if name.startswith("_") or any(hasattr(b, name) for b in told):
                    continue
                target = value.fget if isinstance(value, property) else value
                target = getattr(target, "__func__", target)
                if not inspect.isfunction(target) or not target.__doc__:
                    continue
                shown = name if isinstance(value, property) else _short_call(name, target)
                found.setdefault(name, f"- {code(shown)}: {prose(read(target).sentence)}")
        return "\n".join(found.values())


def _listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: `a`, `b` and `c`."""
    *first, last = map(code, names)
    return f"{', '.join(first)} and {last}" if first else last


def _short_call(name: str, function: Any) -> str:
    parameters = [
        ("*" * (p.kind is p.VAR_POSITIONAL) + "**" * (p.kind is p.VAR_KEYWORD)) + p.name
        for p in inspect.signature(function).parameters.values()
        if p.name not in ("self", "cls")
    ]
    return f"{name}({', '.join(parameters)})"


def _without_formula(doc: Doc, op: Op | None) -> str:
    """What a docstring says, but for the formula that stands above it already."""
    said = f"Formula: {op.formula}." if op is not None else ""
    text = doc.text.replace(said, "").strip() if said else doc.text
    return replace(doc, text=text).markdown


def _is_public(op: Op) -> bool:
    return op.family in functions.FAMILIES and op.name not in functions.PRIVATE


def _made(thing: type, doc: Doc) -> Any:
    made = made_in_example(thing, doc)
    if made is None:
        raise hole("a layer whose example makes none", thing.__name__)
    return made


def _shape(kind: Type | float) -> str:
    if not isinstance(kind, Type):
        return repr(kind)
    sizes = f"({', '.join(map(str, kind.shape))}{',' if len(kind.shape) == 1 else ''})"
    return sizes if kind.dtype == programs.DTYPE else f"{sizes} {kind.dtype}"


def _arrow(inputs: Sequence[Type], outputs: Sequence[Type]) -> str:
    given, back = [" and ".join(code(_shape(k)) for k in kinds) for kinds in (inputs, outputs)]
    return f"{given} to {back}"
