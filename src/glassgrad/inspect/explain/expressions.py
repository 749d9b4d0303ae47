"""What a number is computed from, as an expression: evaluated, and written as text.

A number in it has a name and a value, so that the same expression stands once in names and once
in numbers.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .forms import sum_of
from .words import number

_COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    "<": lambda x, y: x < y, "<=": lambda x, y: x <= y, ">": lambda x, y: x > y,
    ">=": lambda x, y: x >= y, "==": lambda x, y: x == y, "!=": lambda x, y: x != y,
    "&": lambda x, y: bool(x) and bool(y), "|": lambda x, y: bool(x) or bool(y),
    "^": lambda x, y: bool(x) != bool(y),
}  # fmt: skip
_LOOSEST = -3  # as Python reads it, where `&` binds more tightly than what it stands between
_BINDS = {
    **dict.fromkeys(_COMPARED, _LOOSEST), "|": -2, "^": -1, "&": 0,
    "sum": 1, "-": 1, "*": 2, "/": 2, "neg": 2, "**": 3,
}  # fmt: skip
_ATOM = 4
_MOST_TERMS = 10  # of a sum that are shown one by one
_LARGEST = 6  # that are, of a longer sum
_IN_STEPS = frozenset(("sign", "floor", "ceil", "trunc", "round", "logical_not"))
_NEAR = 1e-9  # of a scale: near enough for a derivative
_OPERATORS: Mapping[type[ast.AST], str] = {
    ast.Add: "sum", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.Lt: "<",
    ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.BitAnd: "&",
    ast.BitOr: "|", ast.BitXor: "^",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expression:
    """A number ("number", with a name), a constant, what is left of a sum ("rest"), or an operation.

    The kinds of operations are "sum", "-", "*", "/", "**", "neg", comparisons, and "call" of the
    function in `name`.
    """

    kind: str
    parts: tuple[Expression, ...] = ()
    name: str = ""
    value: float = 0.0

    def leaves(self) -> Iterator[Expression]:
        """The numbers in it, from left to right."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()

    def evaluated(self, digits: int | None = None) -> float:
        """What it gives, with numbers as they are or as they are printed with so many digits."""
        if not self.parts:
            return self.value if digits is None else float(self.in_numbers(digits))
        values = [p.evaluated(digits) for p in self.parts]
        try:
            return _computed(self.kind, self.name, values)
        except (OverflowError, ZeroDivisionError, ValueError):
            return math.nan

    @property
    def scale(self) -> float:
        """The sum of the sizes of what is added: what rounding is measured by."""
        if self.kind in ("sum", "-"):
            return sum_of([p.scale for p in self.parts])
        if self.kind == "neg":
            return self.parts[0].scale
        if self.kind == "*":
            return math.prod([p.scale for p in self.parts])
        if self.kind == "/" and (below := abs(self.parts[1].evaluated())):
            return self.parts[0].scale / below * (self.parts[1].scale / below)
        own = self.evaluated()
        if not math.isfinite(own):
            return 0.0
        if self.kind in _COMPARED or self.name in _IN_STEPS:
            return abs(own)
        # A function of numbers is as exact as they are; one of a sum moves where the sum does.
        inner = [i for i, p in enumerate(self.parts) if p.parts and p.kind not in _COMPARED]
        return max([abs(own), *[self._moved(i) for i in inner]])

    def _moved(self, i: int) -> float:
        """How far this changes with one of its parts, for one of that part's scale."""
        values = [p.evaluated() for p in self.parts]
        own = _computed(self.kind, self.name, values)
        sizes = []
        for side in (_NEAR, -_NEAR):
            moved = [*values[:i], values[i] + side * self.parts[i].scale, *values[i + 1 :]]
            try:
                sizes.append(abs(_computed(self.kind, self.name, moved) - own) / _NEAR)
            except (OverflowError, ZeroDivisionError, ValueError):  # beyond where it is defined
                sizes.append(0.0)
        return max(s if math.isfinite(s) else 0.0 for s in sizes)

    def in_names(self) -> str:
        """The expression with what its numbers are called."""
        return written(self, lambda e: e.name)

    def in_numbers(self, digits: int) -> str:
        """The expression with its numbers, each with so many significant digits."""
        return written(self, lambda e: number(e.value, digits))


def named(name: str, value: float) -> Expression:
    """A number with a name."""
    return Expression("number", name=name, value=value)


def constant(value: float) -> Expression:
    """A number that is its own name."""
    return Expression("constant", name=number(value), value=value)


def product(*factors: Expression) -> Expression:
    """Factors without those that are a constant 1."""
    kept = tuple([f for f in factors if f.kind != "constant" or f.value != 1])
    if not kept:
        return constant(1)
    return kept[0] if len(kept) == 1 else Expression("*", kept)


def total(terms: Sequence[Expression]) -> Expression:
    """A sum of terms; of many only the largest one by one, the rest as one number."""
    return summed([t.evaluated() for t in terms], lambda i: terms[i])


def summed(values: Sequence[float], term: Callable[[int], Expression]) -> Expression:
    """The same of terms with these values, each made where it is shown."""
    if len(values) <= _MOST_TERMS:
        each = tuple([term(i) for i in range(len(values))])
        return each[0] if len(each) == 1 else Expression("sum", each) if each else constant(0)
    order = sorted(range(len(values)), key=lambda i: (not math.isnan(values[i]), -abs(values[i])))
    some = [i for i in order if values[i] != 0 or math.isnan(values[i])]
    kept = some if len(some) <= _MOST_TERMS else some[:_LARGEST]
    left = sum_of([values[i] for i in set(range(len(values))) - set(kept)])
    # Terms that are 0 all are counted, and need no number.
    count = len(values) - len(kept)
    words = f"{count:,} more" if len(kept) < len(some) else f"{count:,} that are 0"
    return Expression("sum", (*[term(i) for i in kept], Expression("rest", name=words, value=left)))


def parsed(text: str, given: Mapping[str, Expression]) -> Expression:
    """An expression from Python text, such as `1 / (1 + exp(-x))`, its names replaced."""
    return _of_tree(ast.parse(text, mode="eval").body, given)


def _of_tree(node: ast.expr, given: Mapping[str, Expression]) -> Expression:
    match node:
        case ast.Name(id=name):
            return given[name] if name in given else named(name, getattr(math, name))
        case ast.Constant(value=value):
            return constant(float(value))  # type: ignore[arg-type]  # the templates are our own
        case ast.UnaryOp(operand=operand):
            return Expression("neg", (_of_tree(operand, given),))
        case (
            ast.BinOp(left=left, op=op, right=right)
            | ast.Compare(left=left, ops=[op], comparators=[right])
        ):
            parts = _of_tree(left, given), _of_tree(right, given)
            kind = _OPERATORS[type(op)]
            if kind == "/" and parts[1].kind == "constant" and parts[1].value == 1:
                return parts[0]
            return product(*parts) if kind == "*" else Expression(kind, parts)
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args):
            return Expression("call", tuple([_of_tree(a, given) for a in args]), name)
    raise ValueError(ast.dump(node))


# -- evaluated ----------------------------------------------------------------------------------

_CALLED: Mapping[str, Callable[..., float]] = {
    **{name: getattr(math, name) for name in (
        "expm1", "log", "log2", "log10", "log1p", "tanh", "sqrt", "sin", "cos", "tan", "sinh",
        "cosh", "erf", "floor", "ceil", "trunc",
    )},
    "exp": lambda x: math.exp(x) if x < 709 else math.inf,
    "arcsin": math.asin, "arccos": math.acos, "abs": abs, "maximum": max, "minimum": min,
    "sign": lambda x: float((x > 0) - (x < 0)), "round": lambda x: float(round(x)),
    "where": lambda c, x, y: x if c else y, "logical_not": lambda x: float(not x),
    "remainder": lambda x, y: x - y * math.floor(x / y),
}  # fmt: skip


def _computed(kind: str, name: str, values: Sequence[float]) -> float:
    if kind == "sum":
        return sum_of(values)
    if kind == "*":
        return math.prod(values)
    if kind == "neg":
        return -values[0]
    if kind == "call":
        return float(_CALLED[name](*values))
    x, y = values
    if kind == "-":
        return x - y
    if kind == "/":
        return x / y
    if kind == "**":
        return math.pow(x, y)
    return float(_COMPARED[kind](x, y))


# -- written ------------------------------------------------------------------------------------


def written(e: Expression, leaf: Callable[[Expression], str]) -> str:
    """The expression as Python reads it, its leaves as `leaf` writes them."""
    return _text(e, leaf, _LOOSEST)


def terms(e: Expression, leaf: Callable[[Expression], str]) -> list[str]:
    """The same in pieces between which a line may end: each term of a sum with its sign."""
    if e.kind != "sum":
        return [written(e, leaf)]
    found = [_text(p, leaf, 1) for p in e.parts]
    return [found[0], *[f"- {t[1:]}" if t.startswith("-") else f"+ {t}" for t in found[1:]]]


def _text(e: Expression, leaf: Callable[[Expression], str], binds: int) -> str:
    """Inside something that binds so tightly: in brackets where it binds less."""
    own = _BINDS.get(e.kind, _ATOM)
    if not e.parts:
        text = leaf(e)
        return f"({text})" if text.startswith("-") and binds > 2 else text
    if e.kind == "sum":
        text = " ".join(terms(e, leaf))
    elif e.kind == "*":
        text = " * ".join(
            [leaf(p) if not p.parts else _text(p, leaf, 2 + (i > 0)) for i, p in enumerate(e.parts)]
        )
    elif e.kind == "neg":
        inner = _text(e.parts[0], leaf, 2)
        text = f"-({inner})" if inner.startswith("-") else f"-{inner}"
    elif e.kind == "call":
        return f"{e.name}({', '.join([_text(p, leaf, _LOOSEST) for p in e.parts])})"
    else:
        left, right = (
            _text(e.parts[0], leaf, own + (e.kind == "**" or own == _LOOSEST)),
            _text(e.parts[1], leaf, own + 1),
        )
        if right.startswith("-") and e.kind in ("-", "/"):
            right = f"({right})"
        text = f"{left} {e.kind} {right}"
    return f"({text})" if own < binds else text
