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

# Formulas are inline, in lines that end early, for TeX breaks those at signs; a display it does not.
# Latin Modern, where it is installed, has outlines for every letter; else those of T1 are bitmaps.
_START = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
\usepackage{amsmath,amssymb}
\usepackage[margin=2cm]{geometry}
\setlength{\parindent}{0pt}
\setlength{\parskip}{2pt}
\setcounter{secnumdepth}{-1}
\raggedright
\emergencystretch=4em
\newcommand{\told}[1]{\par{\ttfamily\small\hangindent=1.5em #1\par}}
\newcommand{\given}[1]{\par\smallskip #1\par}
\newcommand{\derived}[2]{\par{\small\leftskip=#1em\hangindent=2.5em\hangafter=1 $\displaystyle #2$\par}}
\begin{document}
"""
_ESCAPED: Mapping[str, str] = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "^": r"\textasciicircum{}", "_": r"\_", "%": r"\%", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}", "'": r"\textquotesingle{}", "-": "{-}",
}  # fmt: skip
_CALLED: Mapping[str, str] = {
    "log": r"\ln", "exp": r"\exp", "maximum": r"\max", "minimum": r"\min", "tanh": r"\tanh", "sin": r"\sin",
    "cos": r"\cos", "tan": r"\tan", "arcsin": r"\arcsin", "arccos": r"\arccos",
}  # fmt: skip
_COMPARED: Mapping[str, str] = {
    "<": "<", "<=": r"\le", ">": ">", ">=": r"\ge", "==": "=", "!=": r"\ne", "&": r"\land",
    "|": r"\lor", "^": r"\oplus",
}  # fmt: skip
_LINE = 84  # signs of a formula that fit into a line, about
_TALL = 40  # signs of what is put under a root, in a fraction or between growing brackets, at most


def latex(told: Story) -> str:
    """The whole step."""
    out = [_START, rf"\section{{{escaped(told.heading)}}}", ""]
    out += [rf"\given{{{escaped(line)}}}" for line in told.about]
    for section in told.sections:
        out += _section(section)
    out += [_line(line) for line in told.followed.split("\n") if line]
    return "\n".join([*out, r"\end{document}", ""])


def escaped(text: str) -> str:
    """What a user wrote, as text: nothing in it is a command. Far letters stand as their numbers."""
    return "".join(
        _ESCAPED.get(c, c) if ord(c) < 128 or 160 < ord(c) < 256 else f"U+{ord(c):04X}"
        for c in visible(text)
    )


def _line(text: str) -> str:
    """A line of code, its wide spaces kept."""
    spaced = escaped(text).replace("  ", r"\quad ")
    return rf"\told{{{spaced}}}"


def _section(section: Section) -> Iterator[str]:
    both = (section.path, section.title) if section.title != section.path else (section.path,)
    yield rf"\subsection{{{escaped(', '.join([b for b in both if b]))}}}"
    for formula in section.formulas:
        yield _line(formula)
    for entry in section.entries:
        yield from _entry(entry)


def _entry(entry: Entry) -> Iterator[str]:
    product = r" \times ".join(map(str, entry.shape))
    sizes = f" (${product}$)" if entry.shape else ""
    formula = f", {escaped(entry.op)}: ${entry.formula}$" if entry.formula else ""
    yield rf"\given{{\textbf{{{escaped(entry.name)}}}{sizes}{formula}: {escaped(entry.numbers)}}}"
    for made in entry.forward:
        yield from _derivation(made)
    if entry.gradient:
        also = f" = {name(entry.shared)}" if entry.shared else ""
        yield rf"\given{{Derivative ${name(f'd_{entry.name}')}{also}$: {escaped(entry.gradient)}}}"
        for made in entry.backward:
            yield from _derivation(made)
    yield ""


def _derivation(made: Derivation, deep: int = 0) -> Iterator[str]:
    """In one line where it fits, else a line or more for the names, the numbers and the result."""
    lines, result = [name(made.of)], _number(made.result)
    if made.expression is not None:
        digits = made.digits
        lines.append(written(made.expression, lambda e: name(e.name)))
        if made.expression.parts:
            lines.append(written(made.expression, lambda e: _number(number(e.value, digits))))
    lines = [line for line in lines if line != result]
    many = rf"\text{{{made.many}}}" if made.many else ""
    lines.append(result + many)
    together = " = ".join(lines)
    if _signs(together) <= _LINE:
        yield rf"\derived{{{2 * deep + 1}}}{{{together}}}"
    else:
        yield rf"\derived{{{2 * deep + 1}}}{{{lines[0]}}}"
        for line in lines[1:]:
            yield rf"\derived{{{2 * deep + 2}}}{{= {line}}}"
    for step in made.steps:
        yield from _derivation(step, deep + 1)


def _signs(formula: str) -> int:
    """How long a formula is, about."""
    return len(re.sub(r"\\([a-zA-Z]+|.)|[{}_^ ]", "", formula)) + formula.count(r"\cdot")


def name(label: str) -> str:
    r"""A value's name with its index: `w[0, 3]` is \mathsf{w}_{0,3}."""
    match = re.fullmatch(r"(.*?)\[([0-9, ]+)\]", label)
    word, index = (match[1], match[2]) if match else (label, "")
    if re.fullmatch(r"-?[0-9.e+-]+|inf|nan", word):
        return _number(word)
    if " " in word:  # such as: 58 more
        return rf"\text{{{escaped(label)}}}"
    below = f"_{{{index.replace(' ', '')}}}" if index else ""
    return rf"\mathsf{{{escaped(word)}}}{below}"


def _number(text: str) -> str:
    base, _, power = text.partition("e")
    base = {"inf": r"\infty", "-inf": r"-\infty", "nan": r"\mathrm{nan}"}.get(base, base)
    minus, size = ("-", base[1:]) if base.startswith("-") else ("", base)
    return rf"{minus}{{{size} \cdot 10^{{{int(power)}}}}}" if power else base


def written(e: Expression, leaf: Callable[[Expression], str]) -> str:
    """The expression, its leaves as `leaf` writes them."""
    return _latex(e, leaf, 0)


def _latex(e: Expression, leaf: Callable[[Expression], str], binds: int) -> str:
    if not e.parts:
        text = leaf(e)
        loose = text.startswith("-") or (r"\cdot" in text and binds > 2)
        return f"({text})" if loose and binds > 1 else text
    if e.kind == "/":
        above, below = [_latex(p, leaf, 0) for p in e.parts]
        if max(_signs(above), _signs(below)) <= _TALL:
            return rf"\frac{{{above}}}{{{below}}}"
        text, own = f"{_latex(e.parts[0], leaf, 2)} / {_latex(e.parts[1], leaf, 3)}", 2
    elif e.kind == "**":
        return f"{{{_latex(e.parts[0], leaf, 4)}}}^{{{_latex(e.parts[1], leaf, 0)}}}"
    elif e.kind == "call":
        return _called(e.name, [_latex(p, leaf, 0) for p in e.parts])
    elif e.kind in _COMPARED:
        left, right = [_latex(p, leaf, 0) for p in e.parts]
        return _bracketed(f"{left} {_COMPARED[e.kind]} {right}", "[]")
    elif e.kind == "sum":
        text, own = " ".join(_added([_latex(p, leaf, 1) for p in e.parts])), 1
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
    return _bracketed(text, "()") if own < binds else text


def _added(terms: list[str]) -> Iterator[str]:
    """Terms with their signs; a line ends before a short product, not within it."""
    for i, term in enumerate(terms):
        sign, size = ("-", term[1:]) if term.startswith("-") else ("+" if i else "", term)
        whole = r"\cdot" in size and _signs(size) <= _LINE // 2
        yield f"{sign} {{{size}}}".strip() if whole else f"{sign} {size}".strip()


def _bracketed(text: str, pair: str) -> str:
    """Between brackets that grow with what is tall; a line may end between those that do not."""
    left, right = pair[0], pair[1]
    tall = r"\frac" in text or r"\sqrt" in text or "^" in text
    if tall and _signs(text) <= _TALL:
        return rf"\left{left}{text}\right{right}"
    return f"{left}{text}{right}"


def _called(function: str, given: list[str]) -> str:
    inside = ", ".join(given)
    short = _signs(inside) <= _TALL
    if function == "exp" and short and not any(c in inside for c in (r"\frac", "^")):
        return f"e^{{{inside}}}"
    if function == "sqrt" and short:
        return rf"\sqrt{{{inside}}}"
    if function == "abs":
        return rf"\lvert {inside} \rvert"
    called = _CALLED.get(function) or rf"\operatorname{{{escaped(function)}}}"
    return f"{called}{_bracketed(inside, '()')}"
