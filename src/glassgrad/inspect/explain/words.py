"""Forms as lines of text: the op in names, the same in numbers, and the number it gives.

Digits are chosen so that whoever computes with what is printed gets what is printed: operands
are shown with as many as that takes.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from glassgrad.ir import Value

from .forms import Form, Index, Number, Term, applied

_MOST_TERMS = 10  # of a sum that are shown one by one
_DIGITS = 5  # significant ones of a result
_LOST = 1e-12  # of what is added: a result below this is what rounding left


@dataclass(frozen=True, slots=True)
class Line:
    """One derivation: what is derived, in names, in numbers, its value, and how many are left out.

    `rest` is the sum of the terms that are not shown, 0 where all are.
    """

    of: str
    symbols: str
    numbers: str
    value: str
    hidden: int = 0
    rest: float = 0.0


class Labels:
    """What numbers are called: by their values' names, or by where they were copied from."""

    def __init__(
        self,
        names: Mapping[Value, str],
        source: Callable[[Value, Index], tuple[Value, Index]] = lambda value, index: (value, index),
    ) -> None:
        self.names = names
        self.source = source

    def of(self, value: Value, index: Index) -> str:
        """A name with its index: `w[0, 3]`."""
        value, index = self.source(value, index)
        return place(self.names.get(value, value.node.op.name), index)


def line(form: Form, names: Labels) -> Line:
    """A form in words."""
    label = names.of(form.node.values[form.output], form.index)
    if form.kind == "sum":
        return _sum(form, label, names)
    if form.kind == "apply":
        return _applied(form, label, names)
    return Line(label, form.node.op.name, "", number(form.value))


def place(name: str, index: tuple[int, ...]) -> str:
    """A name with an index: `w[0, 3]`."""
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def number(value: float, digits: int = _DIGITS) -> str:
    """A number with so many significant digits, as Python reads it."""
    if math.isfinite(value) and value == int(value) and abs(value) < 10**digits:
        return str(int(value))
    return f"{value:.{digits}g}"


def visible(text: str) -> str:
    """One line that a terminal only shows, whatever a user wrote."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text
    )


# -- sums ---------------------------------------------------------------------------------------


def _sum(form: Form, label: str, names: Labels) -> Line:
    ordered = list(form.terms)
    if len(ordered) > _MOST_TERMS:
        largest = sorted(ordered, key=lambda t: -abs(t.value))[:_MOST_TERMS]
        chosen = set(map(id, largest))
        ordered = [t for t in ordered if id(t) in chosen]
    hidden = len(form.terms) - len(ordered)
    rest = math.fsum([t.value for t in form.terms]) - math.fsum([t.value for t in ordered])
    symbols = [_product(t, form, names) for t in ordered] or ["0"]
    if hidden:
        symbols.append(f"{hidden} more")

    def write(digits: int) -> tuple[str, float]:
        each = [_factors(t, digits) for t in ordered]
        values = [math.prod([float(f) for f in factors]) for factors in each]
        texts = [_times(factors) for factors in each] or ["0"]
        if hidden:
            texts.append(number(rest, digits))
            values.append(float(texts[-1]))
        return _plus(texts), math.fsum(values)

    text, result = _with_digits(form, write)
    return Line(label, _plus(symbols), text, result, hidden, rest if hidden else 0.0)


def _product(term: Term, form: Form, names: Labels) -> str:
    factors = [_name(n, form, names) for n in term.numbers]
    if term.coefficient != 1 or not factors:
        factors.append(number(term.coefficient))
    return _times(factors)


def _factors(term: Term, digits: int) -> list[str]:
    found = [number(n.value, digits) for n in term.numbers]
    if term.coefficient != 1 or not found:
        found.append(number(term.coefficient, digits))
    return found


def _times(factors: Sequence[str]) -> str:
    return " * ".join(factors)


def _plus(terms: Sequence[str]) -> str:
    text = terms[0]
    for term in terms[1:]:
        text += f" - {term[1:]}" if term.startswith("-") else f" + {term}"
    return text


def _with_digits(form: Form, write: Callable[[int], tuple[str, float]]) -> tuple[str, str]:
    """The text with the fewest digits that gives the value, and the value."""
    exact = form.value if abs(form.value) > _LOST * form.scale else 0.0
    for result in (_DIGITS, _DIGITS - 1, _DIGITS - 2):
        wanted = number(exact, result)
        last = 10.0 ** (math.floor(math.log10(abs(exact))) - result + 1) if exact else form.scale
        for digits in range(_DIGITS, 18):
            text, value = write(digits)
            if abs(value - float(wanted)) <= (0.49 * last if exact else _LOST * last):
                return text, wanted
    return write(17)[0], repr(exact)


# -- functions of numbers -----------------------------------------------------------------------


def _applied(form: Form, label: str, names: Labels) -> Line:
    node = form.node
    symbols = _filled(form, [_name(n, form, names) for n in form.numbers])

    def write(digits: int) -> tuple[str, float]:
        each = [number(n.value, digits) for n in form.numbers]
        return _filled(form, each), applied(node, [float(e) for e in each])

    text, result = _with_digits(form, write)
    return Line(label, symbols, text, result)


def _filled(form: Form, operands: Sequence[str]) -> str:
    """The op's own text with operands put in."""
    op = form.node.op
    if not isinstance(op.numpy, str) or op.name in _WORDS:
        return _WORDS.get(op.name, f"{op.name}({{}})").replace("{}", ", ".join(operands))
    tree = ast.parse(op.numpy, mode="eval")
    given = dict(zip([n.lstrip("*") for n in op.inputs], operands, strict=False))
    return ast.unparse(ast.fix_missing_locations(_Fill(given).visit(tree)))


_WORDS = {"negative": "-({})", "cast": "{}", "scalar": "{}", "erf": "erf({})"}


class _Fill(ast.NodeTransformer):
    """Names of operands become texts, functions lose their `np.`."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.given = given

    def visit_Name(self, node: ast.Name) -> ast.expr:  # as ast calls it
        text = self.given.get(node.id)
        return node if text is None else ast.parse(text, mode="eval").body

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        own = isinstance(node.value, ast.Name) and node.value.id == "np"
        return ast.Name(node.attr) if own else node


def _name(n: Number, form: Form, names: Labels) -> str:
    value = form.node.inputs[n.operand]
    if "constant" in value.node.op.roles:
        return number(n.value)
    return names.of(value, n.index)
