r"""Formulas of op records: the LaTeX they are written in, as MathML for a page and as plain text.

Only what the records use is known; anything else is refused, so that no formula is ever shown
half. Text and symbols are escaped: nothing in a formula becomes markup.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass

from glassgrad.errors import FormatError, shown

_FUNCTIONS = frozenset(
    "ln log exp tanh sin cos tan sinh cosh arcsin arccos max min".split()
)  # fmt: skip
_SYMBOLS: Mapping[str, str] = {
    "pi": "π", "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "lambda": "λ", "mu": "μ",
    "sigma": "σ", "varepsilon": "ε", "ell": "ℓ",
}  # fmt: skip
_OPERATORS: Mapping[str, str] = {
    "le": "≤", "ge": "≥", "ne": "≠", "land": "∧", "lor": "∨", "oplus": "⊕", "lnot": "¬",
    "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "dots": "…", "bmod": "mod",
    "cdot": "·",
}  # fmt: skip
_LARGE: Mapping[str, str] = {"sum": "∑", "prod": "∏", "int": "∫", "bigvee": "⋁", "bigwedge": "⋀"}
_SPACES: Mapping[str, str] = {",": "0.17em", "quad": "1em", " ": "0.25em"}
_OVER: Mapping[str, tuple[str, str]] = {"bar": ("¯", "\u0304"), "overline": ("¯", "\u0304")}
_TOKEN = re.compile(r"\\([a-zA-Z]+|.)|([0-9]+(?:\.[0-9]+)?)|([a-zA-Z])|(\s+)|(.)")
_PLAIN = "+-=<>/()[],:|.;"
_DEEPEST = 30


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a formula: a MathML element's name, its text, and the pieces in it."""

    kind: str
    text: str = ""
    parts: tuple[Part, ...] = ()


def parsed(latex: str) -> Part:
    """A formula in pieces. Raises FormatError for LaTeX that no record uses."""
    reader = _Reader(latex)
    found = reader.row(0)
    if reader.peek() is not None:
        raise reader.refused()
    return found


def mathml(latex: str) -> str:
    r"""A formula as a MathML element, without any script or link.

    >>> mathml(r"\frac{1}{x}")
    '<math><mrow><mfrac><mn>1</mn><mi>x</mi></mfrac></mrow></math>'
    """
    return f"<math>{_element(parsed(latex))}</math>"


def plain(latex: str) -> str:
    r"""A formula as a line of text.

    >>> plain(r"\frac{1}{1 + e^{-x}}")
    '1 / (1 + e^(-x))'
    """
    return re.sub(r"\s+", " ", _text(parsed(latex))).strip()


class _Reader:
    """Tokens from left to right, and the pieces that they make."""

    def __init__(self, latex: str) -> None:
        self.latex = latex
        self.tokens = [t for t in _tokens(latex) if t[0] != "space"]
        self.at = 0

    def peek(self) -> tuple[str, str] | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def next(self) -> tuple[str, str]:
        found = self.peek()
        if found is None:
            raise self.refused("its end")
        self.at += 1
        return found

    def refused(self, received: str = "") -> FormatError:
        rest = self.peek()
        return FormatError(
            "a formula is written in LaTeX that is not known",
            where=shown(self.latex),
            expected="what the records of ops use",
            received=received or shown(rest[1] if rest else ""),
        )

    def row(self, depth: int, ends: tuple[tuple[str, str], ...] = ()) -> Part:
        if depth > _DEEPEST:
            raise self.refused("too many brackets")
        parts: list[Part] = []
        while (token := self.peek()) is not None and token not in ends:
            if token in (("mark", "_"), ("mark", "^")):
                if not parts:
                    raise self.refused()
                parts[-1] = self.script(parts[-1], depth)
            else:
                parts.append(self.piece(depth))
        return Part("mrow", parts=tuple(parts))

    def script(self, base: Part, depth: int) -> Part:
        """One or both of an index below and one above."""
        found: dict[str, Part] = {}
        while (token := self.peek()) in (("mark", "_"), ("mark", "^")) and token is not None:
            if token[1] in found:
                raise self.refused()
            self.at += 1
            found[token[1]] = self.piece(depth + 1)
        low, high = found.get("_"), found.get("^")
        under = base.kind == "mo" and base.text in (*_LARGE.values(), "max", "min")
        kind = {(True, True): "msubsup", (True, False): "msub", (False, True): "msup"}[
            low is not None, high is not None
        ]
        if under and base.text != "∫":
            kind = {"msubsup": "munderover", "msub": "munder", "msup": "mover"}[kind]
        return Part(kind, parts=tuple([p for p in (base, low, high) if p is not None]))

    def piece(self, depth: int) -> Part:
        """One symbol, group or command."""
        if depth > _DEEPEST:
            raise self.refused("too many brackets")
        kind, text = self.next()
        if kind == "number":
            return Part("mn", text)
        if kind == "letter":
            return Part("mi", text)
        if kind == "command":
            return self.command(text, depth)
        if text == "{":
            found = self.row(depth + 1, (("mark", "}"),))
            self.next()
            return found.parts[0] if len(found.parts) == 1 else found
        if text in _PLAIN:
            return Part("mo", text)
        self.at -= 1
        raise self.refused()

    def command(self, name: str, depth: int) -> Part:
        if name in _FUNCTIONS:
            return Part("mo" if name in ("max", "min") else "mi", name)
        for kind, table in (("mi", _SYMBOLS), ("mo", _OPERATORS), ("mo", _LARGE)):
            if name in table:
                return Part(kind, table[name])
        if name in _SPACES:
            return Part("mspace", _SPACES[name])
        if name in ("frac", "tfrac"):
            return Part("mfrac", parts=(self.piece(depth + 1), self.piece(depth + 1)))
        if name == "sqrt":
            return Part("msqrt", parts=(self.piece(depth + 1),))
        if name in _OVER:
            return Part("mover", name, (self.piece(depth + 1), Part("mo", _OVER[name][0])))
        if name in ("operatorname", "text", "mathsf"):
            word = self.word()
            return Part("mtext" if name == "text" else "mi", word)
        if name == "left":
            opening = self.piece(depth + 1)
            inside = self.row(depth + 1, (("command", "right"),))
            self.next()
            return Part("mrow", parts=(opening, *inside.parts, self.piece(depth + 1)))
        self.at -= 1
        raise self.refused()

    def word(self) -> str:
        """The letters of an operator's name, or a text with its spaces."""
        kind, text = self.next()
        if kind == "letter":
            return text
        if (kind, text) == ("word", text):
            return text
        self.at -= 1
        raise self.refused()


def _tokens(latex: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(latex):
        match = _TOKEN.match(latex, at)
        if match is None:  # a line end after a backslash
            raise FormatError("a formula is not one line", received=shown(latex))
        at = match.end()
        for kind, text in zip(
            ("command", "number", "letter", "space", "mark"), match.groups(), strict=True
        ):
            if text is not None:
                found.append((kind, text))
        if found[-1] in (("command", "operatorname"), ("command", "text")):
            word = re.compile(r"\{([a-zA-Z ]+)\}").match(latex, at)
            if word is not None:
                found.append(("word", word[1]))
                at = word.end()
    return found


def _element(part: Part) -> str:
    if part.kind == "mspace":
        return f'<mspace width="{part.text}"/>'
    if part.parts:
        accent = ' accent="true"' if part.kind == "mover" and part.text else ""
        inside = "".join([_element(p) for p in part.parts])
        return f"<{part.kind}{accent}>{inside}</{part.kind}>"
    limits = ' movablelimits="true"' if part.text in (*_LARGE.values(), "max", "min") else ""
    return f"<{part.kind}{limits}>{html.escape(part.text)}</{part.kind}>"


def _text(part: Part) -> str:
    match part.kind:
        case "mrow":
            return _joined(part.parts)
        case "mspace":
            return " "
        case "mfrac":
            return f"{_one(part.parts[0])} / {_one(part.parts[1])}"
        case "msqrt":
            return f"√{_one(part.parts[0])}"
        case "mover" if part.text:
            inner = _text(part.parts[0])
            return inner + _OVER[part.text][1] if len(inner) == 1 else f"mean({inner})"
        case "msub" | "munder":
            return f"{_text(part.parts[0])}_{_one(part.parts[1])}"
        case "msup" | "mover":
            return f"{_text(part.parts[0])}^{_one(part.parts[1])}"
        case "msubsup" | "munderover":
            return f"{_text(part.parts[0])}_{_one(part.parts[1])}^{_one(part.parts[2])}"
    return part.text


def _one(part: Part) -> str:
    """In brackets where it is more than one symbol."""
    text = _text(part)
    return text if re.fullmatch(r"[^\W_]+", text) else f"({text})"


_SPACED = frozenset("+=<>≤≥≠∧∨⊕/·") | {"mod"}


def _joined(parts: tuple[Part, ...]) -> str:
    """Pieces in a row, with spaces where a reader expects them."""
    out = ""
    for i, part in enumerate(parts):
        text = _text(part)
        before = parts[i - 1] if i else None
        after = parts[i + 1] if i + 1 < len(parts) else None
        if part.kind == "mfrac" and after is not None and (_is_factor(after) or _is_word(after)):
            text = f"({text})"
        sign = text == "-" and (
            before is None or (before.kind == "mo" and before.text not in ")]⌋⌉|")
        )
        if part.kind == "mo" and (text in _SPACED or text == "-") and not sign:
            out += f" {text} "
        elif text == ",":
            out += ", " if part.kind == "mo" else text
        elif before is not None and _apart(before, part, text, out):
            out += f" {text}"
        else:
            out += text
    return out


def _apart(before: Part, part: Part, text: str, out: str) -> bool:
    """Whether a space stands between two pieces: around words, and between factors."""
    if _is_word(before):
        return part.kind != "mspace" and text not in "()[],"
    if _is_word(part):
        return out[-1:] not in " (|-"
    return _is_factor(before) and _is_factor(part)


def _is_word(part: Part | None) -> bool:
    """A function's name, a large operator, or either with an index."""
    if part is None:
        return False
    if part.kind in ("munder", "munderover", "msub", "msup", "msubsup") and part.parts:
        return _is_word(part.parts[0])
    return part.text in _LARGE.values() or (part.kind in ("mi", "mo") and len(part.text) > 1)


def _is_factor(part: Part) -> bool:
    if part.kind in ("msub", "msup", "msubsup") and part.parts[0].kind == "mo":
        return False  # a bracket that has an index
    return part.kind in ("mi", "mn", "mfrac", "msub", "msup", "msubsup", "mover", "msqrt", "mrow")
