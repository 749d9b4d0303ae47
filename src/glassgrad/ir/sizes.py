"""Sizes of axes: whole numbers, or expressions in sizes that have only a name yet.

A batch of rows has as many rows as it has: its size is the name `n`, and arithmetic on it stays
exact, so that one graph, and one text, serves every batch. A `Dim` is a polynomial in such names
with whole coefficients; one that turns out to be a plain number becomes an `int` at once.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from glassgrad.errors import ShapeError, TraceError

Size: TypeAlias = "int | Dim"
Shape: TypeAlias = "tuple[int | Dim, ...]"
_Powers: TypeAlias = tuple[str, ...]  # a product of names, sorted; () is the constant term


class Dim:
    """A size with a name, or sums and products of such sizes.

    >>> n = Dim.named("n")
    >>> n * 3 - n, n * 4 // 2, n == 5
    (2 * n, 2 * n, False)
    """

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: tuple[tuple[_Powers, int], ...]) -> None:
        self.terms = terms
        self._hash = hash(terms)

    @staticmethod
    def named(name: str) -> Dim:
        """The size called `name`."""
        return Dim((((name,), 1),))

    @property
    def names(self) -> frozenset[str]:
        """Every name that occurs in this size."""
        return frozenset(name for powers, _ in self.terms for name in powers)

    def __add__(self, other: Size) -> Size:
        return _size(_merge([*self.terms, *_terms(other)]))

    __radd__ = __add__

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: Size) -> Size:
        return self + other * -1

    def __rsub__(self, other: int) -> Size:
        return self * -1 + other

    def __mul__(self, other: Size) -> Size:
        return _size(
            _merge(
                (tuple(sorted((*a, *b))), p * q) for a, p in self.terms for b, q in _terms(other)
            )
        )

    __rmul__ = __mul__

    def __floordiv__(self, other: Size) -> Size:
        divisor = _terms(other)
        if len(divisor) == 1:
            (powers, count) = divisor[0]
            quotient = [_divide(term, powers, count) for term in self.terms]
            if count and all(term is not None for term in quotient):
                return _size(_merge(term for term in quotient if term is not None))
        if self == other:
            return 1
        raise ShapeError(f"{self} is not known to be divisible by {other}")

    def __rfloordiv__(self, other: int) -> Size:
        if other == 0:
            return 0
        raise ShapeError(f"{other} is not known to be divisible by {self}")

    def __truediv__(self, other: Size | float) -> Ratio:
        return Ratio(self, other)

    def __rtruediv__(self, other: float) -> Ratio:
        return Ratio(other, self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and self.terms == other.terms

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        text = ""
        for powers, count in self.terms:
            factors = [str(abs(count))] if abs(count) != 1 or not powers else []
            term = " * ".join([*factors, *powers])
            if not text:
                text = f"-{term}" if count < 0 else term
            else:
                text += f" - {term}" if count < 0 else f" + {term}"
        return text

    def _unknown(self) -> TraceError:
        return TraceError(
            f"the size {self} has no value while the program is being written",
            expected="code that does not depend on how many rows there are",
            received=f"a decision or a plain number made from {self}",
            hint="use gg.compile, which writes a program for each size, or work with shapes as given",
        )

    def __index__(self) -> int:
        raise self._unknown()

    def __bool__(self) -> bool:
        raise self._unknown()

    def __lt__(self, other: object) -> bool:
        raise self._unknown()

    __gt__ = __le__ = __ge__ = __lt__


class Ratio:
    """A quotient of two sizes: a Python float once the names have values."""

    __slots__ = ("divisor", "top")

    def __init__(self, top: Size | float, divisor: Size | float) -> None:
        self.top = top
        self.divisor = divisor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ratio) and (self.top, self.divisor) == (other.top, other.divisor)

    def __hash__(self) -> int:
        return hash((self.top, self.divisor))

    def __repr__(self) -> str:
        def factor(size: Size | float) -> str:
            return f"({size})" if isinstance(size, Dim) and " " in repr(size) else repr(size)

        return f"{factor(self.top)} / {factor(self.divisor)}"


def bind(size: Size, values: Mapping[str, int]) -> Size:
    """The size with values put in for names.

    >>> bind(Dim.named("n") * 2 + 1, {"n": 10})
    21
    """
    if not isinstance(size, Dim):
        return size
    total: Size = 0
    for powers, count in size.terms:
        term: Size = count
        for name in powers:
            term = term * values[name] if name in values else Dim.named(name) * term
        total = term + total
    return total


def product(sizes: Iterable[Size]) -> Size:
    """The product of sizes, 1 for none."""
    total: Size = 1
    for size in sizes:
        total = total * size
    return total


def broadcast(*shapes: Shape) -> Shape:
    """The shape that several shapes stretch to, by NumPy's rule.

    A size that has only a name is taken to be more than 1.

    >>> broadcast((Dim.named("n"), 1), (3,))
    (n, 3)
    """
    first = shapes[0]
    for other in shapes[1:]:
        if other != first:
            break
    else:
        return first
    rank = max(len(shape) for shape in shapes)
    result: list[Size] = []
    for axis in range(-rank, 0):
        wide: Size = 1
        for shape in shapes:
            if -axis > len(shape) or shape[axis] == 1:
                continue
            if wide != 1 and shape[axis] != wide:
                raise ShapeError(
                    "shapes do not broadcast",
                    expected="equal sizes, or 1, counted from the last axis",
                    received=" and ".join(str(s) for s in shapes),
                    hint=f"axis {axis} has {wide} in one and {shape[axis]} in another",
                )
            wide = shape[axis]
        result.append(wide)
    return tuple(result)


def _terms(size: Size) -> tuple[tuple[_Powers, int], ...]:
    if isinstance(size, Dim):
        return size.terms
    try:
        count = operator.index(size)
    except TypeError:
        raise ShapeError(
            f"the size and {size!r} have no common arithmetic",
            expected="whole numbers and sizes, or a quotient such as 0.5 / n",
            received=type(size).__name__,
            hint="do the arithmetic on tensors: x / n rather than x * (1 / n)",
        ) from None
    return (((), count),) if count else ()


def _merge(terms: Iterable[tuple[_Powers, int]]) -> list[tuple[_Powers, int]]:
    total: dict[_Powers, int] = {}
    for powers, count in terms:
        total[powers] = total.get(powers, 0) + count
    # Longest products first, the plain number last: the order a person writes.
    return sorted(((p, c) for p, c in total.items() if c), key=lambda t: (-len(t[0]), t[0]))


def _size(terms: list[tuple[_Powers, int]]) -> Size:
    if not terms:
        return 0
    if len(terms) == 1 and not terms[0][0]:
        return terms[0][1]
    return Dim(tuple(terms))


def _divide(term: tuple[_Powers, int], powers: _Powers, count: int) -> tuple[_Powers, int] | None:
    names = list(term[0])
    for name in powers:
        if name not in names:
            return None
        names.remove(name)
    if count == 0 or term[1] % count:
        return None
    return tuple(names), term[1] // count
