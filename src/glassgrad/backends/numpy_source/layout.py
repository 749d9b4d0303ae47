"""How lines of a program are laid out: comments on one line, long lines broken."""

from __future__ import annotations

import io
import itertools
import re
import tokenize
from collections.abc import Sequence

WIDTH = 100  # a golden program has no line over 120; most stay under this
LONGEST = 112
COMMENT = 104  # what a comment or a line of the docstring may say
_WORD = re.compile(r"[a-z]\w*")
_ASSIGNED = re.compile(r"    ([a-z]\w*) = ")
_TEXT = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")


def comment(text: str) -> str:
    r"""Text as it may stand in a comment or a docstring: printable ASCII on one line.

    >>> comment("a\nb # \u202e'''")
    'a b # ?...'
    """
    flat = str(text).replace("\n", " ").replace("\t", " ").strip()
    safe = "".join(c if " " <= c <= "~" and c != "\\" else "?" for c in flat)
    safe = safe.replace("'''", "...").replace('"""', "...")
    return safe if len(safe) <= COMMENT else safe[: COMMENT - 4] + " ..."


def heading(indent: str, label: str, formula: str) -> list[str]:
    """`# hidden: Linear(2, 64)     z = x W + b`, on two lines where one is too short."""
    start = f"{indent}# {comment(label)}"
    if not formula:
        return [start]
    line = f"{start.ljust(38)} {comment(formula)}"
    if len(line) <= LONGEST and len(start) < 38:
        return [line]
    return [start, f"{indent}#     {comment(formula)}"]


def with_deletions(lines: Sequence[str], places: Sequence[int], names: set[str]) -> list[str]:
    """Lines of a function, names deleted at the first of the places after they were read last.

    Only what a line of the function itself assigns: the body of a loop may never run.
    """
    last: dict[str, int] = {}
    own: set[str] = set()
    for i, line in enumerate(lines):
        if line.lstrip().startswith("#"):
            continue
        last.update(dict.fromkeys(names.intersection(_WORD.findall(line)), i))
        if found := _ASSIGNED.match(line):
            own.add(found[1])
    out: list[str] = []
    start = 0
    for place in sorted(set(places)):
        out += lines[start:place]
        gone = [n for n, i in last.items() if n in own and start <= i < place]
        if gone:
            out += [f"    del {', '.join(part)}" for part in _fitting(gone)]
        start = place
    return out + list(lines[start:])


def _fitting(names: Sequence[str]) -> list[list[str]]:
    """Names in parts that fit on a line."""
    parts: list[list[str]] = [[]]
    for name in names:
        if parts[-1] and sum(len(n) + 2 for n in [*parts[-1], name]) > WIDTH - 8:
            parts.append([])
        parts[-1].append(name)
    return parts


def wrapped(indent: str, text: str) -> list[str]:
    """A statement as lines that fit, broken at commas and operators inside brackets."""
    lines: list[str] = []
    for line in text.split("\n"):
        short = line if "'" in line else re.sub(r"\b(\d(?:\.\d+)?e-)0(\d)\b", r"\1\2", line)
        lines += _broken(indent, short)
    return lines


def _broken(indent: str, line: str) -> list[str]:
    if len(indent) + len(line) <= LONGEST:
        return [indent + line]
    opened = _after_bracket(indent, line)
    if opened:
        return opened
    tokens = list(tokenize.generate_tokens(io.StringIO(line.strip()).readline))
    pad = indent + line[: len(line) - len(line.lstrip())]
    depth = 0
    best: tuple[int, bool, int] | None = None  # depth, whether inside an item, column
    room = LONGEST - len(pad)
    for token, following in itertools.pairwise(tokens):
        if token.string in "([{" and token.string:
            depth += 1
            at = token.end[1]
        elif token.string in ")]}" and token.string:
            depth -= 1
            continue
        elif token.string == ",":
            at = following.start[1]
        elif token.string in ("+", "-", "*", "/", "@", "and"):
            at = token.start[1]
        else:
            continue
        if depth < 1 or at > room or at < room // 3:
            continue
        inside = token.string not in (",", "(", "[", "{")
        if best is None or (depth, inside, -at) < (best[0], best[1], -best[2]):
            best = (depth, inside, at)
    text = line.strip()
    if best is None:
        return _bracketed(pad, text)
    head, tail = text[: best[2]].rstrip(), text[best[2] :]
    return [pad + head, *_continued(pad + "    ", tail)]


def _bracketed(pad: str, text: str) -> list[str]:
    """`name = (` and the value on lines of its own, where the value has no bracket to break in."""
    name, equals, value = text.partition(" = ")
    if not equals or not name.isidentifier() or "'" in value or " = " in value:
        return [pad + text]
    return [f"{pad}{name} = (", *_continued(pad + "    ", f"{value})")]


def _after_bracket(indent: str, line: str) -> list[str]:
    """The line broken once, after the first bracket of a call, if the rest then fits."""
    pad = indent + line[: len(line) - len(line.lstrip())]
    text = line.strip()
    masked = _TEXT.sub(lambda found: "_" * len(found[0]), text)
    for cut in (masked.find("([") + 2, masked.find("(") + 1):
        if 1 < cut < 60 and text[cut - 2].isalnum() | (text[cut - 2] == "("):
            rest = text[cut:]
            if len(pad) + 4 + len(rest) <= LONGEST:
                return [pad + text[:cut], f"{pad}    {rest}"]
    return []


def _continued(pad: str, tail: str) -> list[str]:
    if len(pad) + len(tail) <= LONGEST:
        return [pad + tail]
    masked = _TEXT.sub(lambda found: "_" * len(found[0]), tail)  # no break inside a text
    cut = masked.rfind(", ", 0, LONGEST - len(pad))
    if cut < 0:
        cut = masked.rfind(" ", 0, LONGEST - len(pad))
    if cut <= 0:
        return [pad + tail]
    step = 1 if tail[cut] == "," else 0
    return [pad + tail[: cut + step], *_continued(pad, tail[cut + step :].lstrip())]


def banner(indent: str, text: str) -> str:
    """`# -- forward ------`."""
    return f"{indent}# -- {comment(text)} ".ljust(WIDTH - 20, "-").rstrip()


def mentions(line: str, size: str) -> bool:
    """Whether code on this line reads the name."""
    code = line.split("#", 1)[0]
    return any(
        word == size
        for word in "".join(c if c.isalnum() or c == "_" else " " for c in code).split()
    )
