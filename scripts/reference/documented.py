"""What a docstring says, in parts: its sentence, its text as Markdown, its example."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
import sys
import textwrap
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .words import prose

_WIDE = 88
_UNSAID = ("Any", "Operand")  # kinds that say nothing: any tensor, array, list or number
_UNDERLINED = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.MULTILINE)
_NAMED = re.compile(r"\*{0,2}\w+(, \*{0,2}\w+)* : \S")  # it may say nothing more
_OTHERS = re.compile(r"PyTorch|torch\.|torchvision|Keras|keras\.|scikit-learn|sklearn")


@dataclass(frozen=True)
class Doc:
    """A docstring, taken apart."""

    sentence: str
    text: str  # what follows the sentence, without the example
    example: str  # as at Python's prompt, with what it prints

    @property
    def markdown(self) -> str:
        """The text as Markdown."""
        return _sections(self.text)

    @property
    def comparisons(self) -> list[str]:
        """The sentences that speak of another library."""
        blocks = [self.sentence, *re.split(r"\n\s*\n|\n(?=- )", self.text)]
        sentences = [
            sentence
            for flat in (re.sub(r"\s+", " ", block).removeprefix("- ") for block in blocks)
            for sentence in re.split(r"(?<=[.;])\s+(?=[A-Z`])", flat)
        ]
        return [s for s in sentences if _OTHERS.search(s)]


def read(thing: Any) -> Doc:
    """The parts of something's own docstring."""
    found = inspect.cleandoc(getattr(thing, "__doc__", None) or "")
    return taken_apart(found)


@lru_cache(None)
def taken_apart(docstring: str) -> Doc:
    """The parts of a docstring."""
    text: list[str] = []
    example: list[str] = []
    for piece in doctest.DocTestParser().parse(docstring):
        if isinstance(piece, str):
            text.append(piece)
            if example and not piece.strip():
                example.append("")
            continue
        first, *more = piece.source.rstrip("\n").split("\n")
        example += [f">>> {first}", *[f"... {line}".rstrip() for line in more]]
        example += piece.want.rstrip("\n").split("\n") if piece.want else []
    sentence, _, rest = "".join(text).strip("\n").partition("\n\n")
    shown = re.sub(r"\n{2,}(?=>>>)", "\n", "\n".join(example)).strip("\n")
    rest = re.sub(r"\n*^Examples?\n-+\s*\Z", "", rest.strip("\n").rstrip(), flags=re.MULTILINE)
    return Doc(re.sub(r"\s+", " ", sentence), rest, shown)


def _sections(text: str) -> str:
    """Text whose sections, if it has some, are in NumPy's style."""
    parts = _UNDERLINED.split(text)
    found = [_paragraphs(parts[0])]
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        entries, after = _entries(body)
        found.append(f"**{title}**\n\n{entries}" if entries else f"**{title}**")
        found.append(_paragraphs(after))
    return "\n\n".join(part for part in found if part)


def _paragraphs(text: str) -> str:
    """Prose, its indented blocks as code."""
    found = []
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        if paragraph.startswith("    "):
            found.append("```\n" + textwrap.dedent(paragraph) + "\n```")
        elif paragraph.strip():
            found.append(prose(paragraph))
    return "\n\n".join(found)


def _entries(body: str) -> tuple[str, str]:
    """The names of a section with what is said of them; and the paragraphs that follow."""
    found: list[str] = []
    lines = body.strip("\n").split("\n")
    while lines:
        if not lines[0].strip():
            lines.pop(0)
        elif _NAMED.match(lines[0]) or (len(lines) > 1 and lines[1].startswith(" ")):
            name, _, kind = lines.pop(0).partition(" : ")
            end = next((i for i, line in enumerate(lines) if line[:1].strip()), len(lines))
            said = prose(" ".join(line.strip() for line in lines[:end]).strip())
            lines = lines[end:]
            told = f"- `{name}`" + (f" ({prose(kind)})" if kind else "")
            found.append(f"{told}: {said}" if said else told)
        else:  # no name with its indented text: prose again
            break
    return "\n".join(found), "\n".join(lines)


# -- calls -------------------------------------------------------------------------------------


def signature(name: str, thing: Any) -> str:
    """How something is called, with kinds and defaults, on as many lines as it needs."""
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return f"{name}(...)"
    parameters = [p.replace(annotation=_plain(p.annotation)) for p in _passed_on(thing, found)]
    words = _words(parameters)
    line = f"{name}({', '.join(words)})"
    if len(line) <= _WIDE:
        return line
    return f"{name}(\n" + "".join(f"    {word},\n" for word in words) + ")"


def _passed_on(thing: Any, found: inspect.Signature) -> list[inspect.Parameter]:
    """The parameters; for `**settings` that a class hands to its base, those of the base."""
    given = list(found.parameters.values())
    if not inspect.isclass(thing) or not given or given[-1].kind is not given[-1].VAR_KEYWORD:
        return given
    owner = next(c for c in thing.__mro__ if "__init__" in vars(c))
    base = next((c for c in owner.__mro__[1:] if "__init__" in vars(c)), object)
    if base is object or given[-1].annotation not in (given[-1].empty, "Any"):
        return given
    names = [p.name for p in given]
    more = [
        p
        for p in _passed_on(base, inspect.signature(base))
        if p.name not in names and p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD)
    ]
    return [*given[:-1], *more] if more else given


def _plain(annotation: Any) -> Any:
    """A type as its source has it."""
    if annotation is inspect.Parameter.empty or not isinstance(annotation, str):
        return annotation
    return ast.unparse(ast.parse(annotation.strip("'\""), mode="eval"))


def _words(parameters: list[inspect.Parameter]) -> list[str]:
    """The parameters one by one, with `/` and `*` where they stand."""
    found: list[str] = []
    starred = False
    for before, p in zip([None, *parameters], parameters, strict=False):
        if before and before.kind is p.POSITIONAL_ONLY and p.kind is not p.POSITIONAL_ONLY:
            found.append("/")
        if p.kind is p.KEYWORD_ONLY and not starred:
            found.append("*")
            starred = True
        starred = starred or p.kind is p.VAR_POSITIONAL
        text = p.name if p.kind is not p.VAR_POSITIONAL else f"*{p.name}"
        text = f"**{p.name}" if p.kind is p.VAR_KEYWORD else text
        kind = p.annotation
        if kind is not p.empty and kind not in _UNSAID and not str(kind).startswith("Unpack"):
            shown = kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
            text += f": {shown}"
        if p.default is not p.empty:
            value = getattr(p.default, "__name__", None) or _value(p.default)
            text += f" = {value}" if ":" in text else f"={value}"
        found.append(text)
    return found


def _value(default: Any) -> str:
    return f'"{default}"' if isinstance(default, str) and default.isprintable() else repr(default)


# -- examples ----------------------------------------------------------------------------------


def made_in_example(thing: type, doc: Doc) -> Any:
    """What the example makes of a class, with the first call of it; None if it makes nothing.

    The statements before that call are carried out first: they may make what it is given. As in a
    doctest, the names of the class's module are known.
    """
    space = {**vars(sys.modules[thing.__module__]), thing.__name__: thing}
    for example in doctest.DocTestParser().get_examples(doc.example):
        tree = ast.parse(example.source)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _is(node.func, thing, space):
                return eval(compile(ast.Expression(node), "<example>", "eval"), space)
        exec(compile(tree, "<example>", "exec"), space)
    return None


def first_call(thing: type, doc: Doc) -> str:
    """The text of the first call of a class in its example."""
    for example in doctest.DocTestParser().get_examples(doc.example):
        for node in ast.walk(ast.parse(example.source)):
            if isinstance(node, ast.Call) and _last(node.func) == thing.__name__:
                return ast.unparse(node)
    return ""


def _is(function: ast.expr, thing: type, space: dict[str, Any]) -> bool:
    if _last(function) != thing.__name__:
        return False
    try:
        return eval(compile(ast.Expression(function), "<example>", "eval"), space) is thing
    except (NameError, AttributeError):
        return False


def _last(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""
