"""What a docstring says, in parts: its sentence, its text as Markdown, its example."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .words import prose

_WIDE = 88
_UNDERLINED = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.MULTILINE)
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
        flat = re.sub(r"\s+", " ", f"{self.sentence} {self.text}")
        pieces = re.split(r"(?<=[.;])\s+(?=[A-Z`])", flat)
        return [s for s in pieces if _OTHERS.search(s)]


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
    sentence, _, rest = "".join(text).strip().partition("\n\n")
    shown = re.sub(r"\n{2,}(?=>>>)", "\n", "\n".join(example)).strip("\n")
    rest = re.sub(r"\n*^Examples?\n-+\s*\Z", "", rest.strip(), flags=re.MULTILINE)
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
            found.append("```python\n" + inspect.cleandoc(paragraph) + "\n```")
        elif paragraph.strip():
            found.append(prose(paragraph))
    return "\n\n".join(found)


def _entries(body: str) -> tuple[str, str]:
    """The names of a section with what is said of them; and the paragraphs that follow."""
    found: list[str] = []
    lines = body.strip("\n").split("\n")
    while lines:
        if not lines[0].strip():
            later = next((i for i, line in enumerate(lines) if line.strip()), len(lines))
            rest = lines[later:]
            if rest and (len(rest) == 1 or not rest[1].startswith(" ")):
                break  # no name with its indented text: prose again
            lines = rest
            continue
        name, _, kind = lines.pop(0).partition(" : ")
        said = []
        while lines and (lines[0].startswith(" ") or not lines[0].strip()):
            said.append(lines.pop(0).strip())
        title = f"`{name}`" + (f" ({prose(kind)})" if kind else "")
        words = prose(" ".join(said).strip())
        found.append(f"- {title}: {words}" if words else f"- {title}")
    return "\n".join(found), "\n".join(lines)


# -- calls -------------------------------------------------------------------------------------


def signature(name: str, thing: Any) -> str:
    """How something is called, with kinds and defaults, on as many lines as it needs."""
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return f"{name}(...)"
    parameters = [
        p.replace(annotation=_plain(p.annotation))
        for p in found.parameters.values()
        if p.name != "self"
    ]
    words = _words(parameters)
    line = f"{name}({', '.join(words)})"
    if len(line) <= _WIDE:
        return line
    return f"{name}(\n" + "".join(f"    {word},\n" for word in words) + ")"


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
        if kind is not p.empty and kind != "Any":
            shown = kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
            text += f": {shown}"
        if p.default is not p.empty:
            value = getattr(p.default, "__name__", None) or repr(p.default)
            text += f" = {value}" if ":" in text else f"={value}"
        found.append(text)
    return found


# -- examples ----------------------------------------------------------------------------------


def made_in_example(thing: type, doc: Doc, space: dict[str, Any]) -> Any:
    """What the example makes of a class, with the first call of it; None if it makes nothing.

    The statements before that call are carried out first: they may make what it is given.
    """
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
