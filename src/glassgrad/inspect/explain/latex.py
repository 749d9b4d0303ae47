r"""An explanation as a LaTeX document of its own, which needs amsmath and nothing else.

Names pass `escaped`: no command reaches the document but those written here and in op records.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from .derivations import Derivation
from .expressions import Expression
from .story import Entry, Section, Story
from .words import number, visible

_START = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{amsmath,amssymb}
\usepackage[margin=2cm]{geometry}
\setlength{\parindent}{0pt}
\allowdisplaybreaks
\begin{document}
"""
_ESCAPED: Mapping[str, str] = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "^": r"\textasciicircum{}", "_": r"\_", "%": r"\%", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}", "'": r"\textquotesingle{}", "-": "{-}",
}  # fmt: skip
_CALLED: Mapping[str, str] = {
    "log": r"\ln", "maximum": r"\max", "minimum": r"\min", "tanh": r"\tanh", "sin": r"\sin",
    "cos": r"\cos", "tan": r"\tan", "arcsin": r"\arcsin", "arccos": r"\arccos",
}  # fmt: skip
_COMPARED: Mapping[str, str] = {
    "<": "<", "<=": r"\le", ">": ">", ">=": r"\ge", "==": "=", "!=": r"\ne", "&": r"\land",
    "|": r"\lor", "^": r"\oplus",
}  # fmt: skip
_IN_A_LINE = 3  # terms of a sum


def latex(told: Story) -> str:
    """The whole step."""
    out = [_START, rf"\section*{{{escaped(told.heading)}}}", ""]
    out += [rf"{escaped(line)}\\" for line in told.about]
    for section in told.sections:
        out += _section(section)
    for line in told.followed.split("\n") if told.followed else []:
        out += [rf"\texttt{{{escaped(line)}}}\\"]
    return "\n".join([*out, r"\end{document}", ""])


def escaped(text: str) -> str:
    """What a user wrote, as text: nothing in it is a command. Far letters stand as their numbers."""
    return "".join(
        _ESCAPED.get(c, c) if ord(c) < 128 or 160 < ord(c) < 256 else f"U+{ord(c):04X}"
        for c in visible(text)
    )


def _section(section: Section) -> Iterator[str]:
    both = (section.path, section.title) if section.title != section.path else (section.path,)
    yield rf"\subsection*{{{escaped(', '.join([b for b in both if b]))}}}"
    for formula in section.formulas:
        yield rf"\texttt{{{escaped(formula)}}}\\"
    for entry in section.entries:
        yield from _entry(entry)


def _entry(entry: Entry) -> Iterator[str]:
    product = r" \times ".join(map(str, entry.shape))
    sizes = f" (${product}$)" if entry.shape else ""
    formula = f", {escaped(entry.op)}: ${entry.formula}$" if entry.formula else ""
    yield rf"\paragraph{{{escaped(entry.name)}}}{sizes}{formula}: {escaped(entry.numbers)}"
    yield from _lines(entry.forward)
    if entry.gradient:
        also = f" = {name(entry.shared)}" if entry.shared else ""
        yield rf"Derivative ${name(f'd_{entry.name}')}{also}$: {escaped(entry.gradient)}"
        yield from _lines(entry.backward)
    yield ""


def _lines(found: tuple[Derivation, ...]) -> Iterator[str]:
    each = [line for made in found for line in _derivation(made)]
    if each:
        yield r"\begin{align*}"
        yield " \\\\\n".join(each)
        yield r"\end{align*}"


def _derivation(made: Derivation) -> Iterator[str]:
    of, value = name(made.of), _number(made.result)
    if made.expression is None:
        many = rf"\quad\text{{in {made.count:,} steps}}" if made.count else ""
        yield f"{of} &= {value}{many}"
    else:
        digits = made.digits
        yield from _sums(f"{of} &=", made.expression, lambda e: name(e.name))
        if made.expression.parts:
            yield from _sums("&=", made.expression, lambda e: _number(number(e.value, digits)))
        yield f"&= {value}"
    for step in made.steps:
        yield from _derivation(step)


def _sums(first: str, e: Expression, leaf: Callable[[Expression], str]) -> Iterator[str]:
    """A sum in lines of a few terms."""
    each = _terms(e, leaf) if e.kind == "sum" else [written(e, leaf)]
    for i in range(0, len(each), _IN_A_LINE):
        start = first if i == 0 else r"&\quad"
        yield f"{start} {' '.join(each[i : i + _IN_A_LINE])}"


def name(label: str) -> str:
    r"""A value's name with its index: `w[0, 3]` is \mathit{w}_{0,3}."""
    match = re.fullmatch(r"(.*?)\[([0-9, ]+)\]", label)
    word, index = (match[1], match[2]) if match else (label, "")
    if re.fullmatch(r"-?[0-9.e+-]+|inf|nan", word):
        return _number(word)
    below = f"_{{{index.replace(' ', '')}}}" if index else ""
    return rf"\mathit{{{escaped(word).replace(' ', '~')}}}{below}"


def _number(text: str) -> str:
    base, _, power = text.partition("e")
    base = {"inf": r"\infty", "-inf": r"-\infty", "nan": r"\mathrm{nan}"}.get(base, base)
    return rf"{base} \cdot 10^{{{int(power)}}}" if power else base


def _terms(e: Expression, leaf: Callable[[Expression], str]) -> list[str]:
    found = [_latex(p, leaf, 1) for p in e.parts]
    return [found[0], *[f"- {t[1:]}" if t.startswith("-") else f"+ {t}" for t in found[1:]]]


def written(e: Expression, leaf: Callable[[Expression], str]) -> str:
    """The expression, its leaves as `leaf` writes them."""
    return _latex(e, leaf, 0)


def _latex(e: Expression, leaf: Callable[[Expression], str], binds: int) -> str:
    if not e.parts:
        text = leaf(e)
        loose = text.startswith("-") or (r"\cdot" in text and binds > 2)
        return rf"\left({text}\right)" if loose and binds > 1 else text
    if e.kind == "/":
        return rf"\frac{{{_latex(e.parts[0], leaf, 0)}}}{{{_latex(e.parts[1], leaf, 0)}}}"
    if e.kind == "**":
        return f"{{{_latex(e.parts[0], leaf, 4)}}}^{{{_latex(e.parts[1], leaf, 0)}}}"
    if e.kind == "call":
        return _called(e.name, [_latex(p, leaf, 0) for p in e.parts])
    if e.kind in _COMPARED:
        left, right = [_latex(p, leaf, 0) for p in e.parts]
        return rf"\left[{left} {_COMPARED[e.kind]} {right}\right]"
    if e.kind == "sum":
        text, own = " ".join(_terms(e, leaf)), 1
    elif e.kind == "-":
        text, own = f"{_latex(e.parts[0], leaf, 1)} - {_latex(e.parts[1], leaf, 2)}", 1
    elif e.kind == "neg":
        text, own = f"-{_latex(e.parts[0], leaf, 2)}", 1
    else:
        first, *rest = e.parts
        each = [
            _latex(first, leaf, 1 if not first.parts else 2),
            *[_latex(p, leaf, 2) for p in rest],
        ]
        text, own = r" \cdot ".join(each), 2
    return rf"\left({text}\right)" if own < binds else text


def _called(function: str, given: list[str]) -> str:
    if function == "exp":
        return f"e^{{{given[0]}}}"
    if function == "sqrt":
        return rf"\sqrt{{{given[0]}}}"
    if function == "abs":
        return rf"\left|{given[0]}\right|"
    called = _CALLED.get(function) or rf"\operatorname{{{escaped(function)}}}"
    return rf"{called}\left({', '.join(given)}\right)"
