"""Arithmetic in named sizes is arithmetic in numbers, whatever the names turn out to be."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st

from glassgrad.errors import ShapeError, TraceError
from glassgrad.ir import Dim, Ratio, Shape, Size, bind, broadcast, product

NAMES = ("n", "t", "k")
n, t = Dim.named("n"), Dim.named("t")
values = st.fixed_dictionaries({name: st.integers(0, 50) for name in NAMES})
Pair = tuple[Size, Callable[[dict[str, int]], int]]
leaves: st.SearchStrategy[Pair] = st.one_of(
    st.integers(-20, 20).map(lambda i: (i, lambda v: i)),
    st.sampled_from(NAMES).map(lambda name: (Dim.named(name), lambda v: v[name])),
)


def _both(op: Any) -> Any:
    return lambda pair: (
        op(pair[0][0], pair[1][0]),
        lambda v: op(pair[0][1](v), pair[1][1](v)),
    )


def _sums(inner: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    two = st.tuples(inner, inner)
    return st.one_of(*[two.map(_both(op)) for op in (operator.add, operator.sub, operator.mul)])


expressions = st.recursive(leaves, _sums, max_leaves=8)


@given(expressions, values)
def test_a_bound_expression_is_the_number_it_would_have_been(pair: Pair, v: dict[str, int]) -> None:
    size, number = pair
    found = bind(size, v)
    assert type(found) is int
    assert found == number(v)


@given(expressions, expressions, values)
def test_equal_sizes_are_equal_numbers_and_have_one_hash(
    a: Pair, b: Pair, v: dict[str, int]
) -> None:
    if a[0] == b[0]:
        assert hash(a[0]) == hash(b[0])
        assert a[1](v) == b[1](v)


@given(expressions, st.integers(1, 6), values)
def test_what_was_multiplied_divides_back(pair: Pair, by: int, v: dict[str, int]) -> None:
    size, number = pair
    for factor in (by, Dim.named("k"), Dim.named("k") * by):
        assert (size * factor) // factor == size
    found: Size | None
    try:
        found = size // by
    except ShapeError:
        return  # not known to be divisible: refused, never guessed
    assert bind(found, v) == number(v) // by


@given(expressions, values)
def test_the_text_of_a_size_is_python_that_gives_its_number(pair: Pair, v: dict[str, int]) -> None:
    assert eval(repr(pair[0]), {}, dict(v)) == pair[1](v)


@given(expressions, expressions, values)
def test_the_text_of_a_ratio_is_python_that_gives_its_quotient(
    a: Pair, b: Pair, v: dict[str, int]
) -> None:
    below = b[1](v)
    if below:
        text = repr(Ratio(a[0], b[0]))
        assert eval(text, {}, dict(v)) == a[1](v) / below


@given(st.lists(expressions, max_size=4), values)
def test_a_product_of_sizes_is_the_product_of_their_numbers(
    pairs: list[Pair], v: dict[str, int]
) -> None:
    wanted = 1
    for _, number in pairs:
        wanted *= number(v)
    assert bind(product(size for size, _ in pairs), v) == wanted


def test_names_that_are_left_stay_names() -> None:
    assert bind(n * t + 1, {"t": 3}) == n * 3 + 1
    assert bind(n * 2 - t, {}) == n * 2 - t


def test_sizes_print_as_a_person_writes_them() -> None:
    texts = [n, n + 1, 2 * n, n * 3 - 1, n * t, -n, 1 - n, n + t * 2, n * n]
    assert [repr(s) for s in texts] == [
        "n", "n + 1", "2 * n", "3 * n - 1", "n * t", "-n", "-n + 1", "n + 2 * t", "n * n",
    ]  # fmt: skip
    assert repr(n / 2) == "n / 2"
    assert repr((n + 1) / (t * 2)) == "(n + 1) / (2 * t)"


def test_what_cancels_is_a_plain_number() -> None:
    assert type(n - n) is int
    assert n - n == 0
    assert (n + 2) - n == 2
    assert n * 0 == 0
    assert n // n == 1
    assert 0 // n == 0


@pytest.mark.parametrize("use", [bool, int, range, lambda s: s < 3, lambda s: [0] * s, len])
def test_a_decision_on_a_size_that_has_only_a_name_is_refused(use: Callable[[Any], Any]) -> None:
    with pytest.raises((TraceError, ShapeError, TypeError)):
        use(n)


def test_a_division_that_is_not_known_to_be_exact_is_refused() -> None:
    pairs: list[tuple[Size, Size]] = [(n, 2), (n + 1, n), (5, n), (n, 0)]
    for top, below in pairs:
        with pytest.raises((ShapeError, ZeroDivisionError)):
            top // below


def test_shapes_stretch_by_numpys_rule() -> None:
    assert broadcast((4, 1), (3,)) == (4, 3)
    assert broadcast((n, 1), (3,)) == (n, 3)
    assert broadcast((n, 3), (n, 1), ()) == (n, 3)
    assert broadcast((0, 1), (3,)) == (0, 3)
    wrong: list[tuple[Shape, Shape]] = [((n,), (3,)), ((n,), (t,)), ((2,), (3,)), ((0,), (2,))]
    for shapes in wrong:
        with pytest.raises(ShapeError, match="do not broadcast"):
            broadcast(*shapes)
