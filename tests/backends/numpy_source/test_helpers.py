"""The functions a printed program may begin with, against naive loops and PyTorch."""

from __future__ import annotations

import ast
import hashlib
import inspect
import itertools
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from glassgrad.backends.numpy_source import helpers
from tests.conftest import require, require_torch

Array = np.ndarray[Any, Any]
Sizes = tuple[int, ...]

FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: value
    for name, value in vars(helpers).items()
    if inspect.isfunction(value) and value.__module__ == helpers.__name__
}
call = FUNCTIONS.__getitem__

# Each: the shape, rows and channels first; then the window's size, its step, its spread.
WINDOWS: list[tuple[Sizes, Sizes, Sizes, Sizes]] = [
    ((2, 3, 7), (3,), (1,), (1,)),
    ((2, 1, 8), (2,), (3,), (2,)),
    ((2, 3, 6, 5), (2, 2), (2, 2), (1, 1)),  # 5 is no multiple of 2: a column is left over
    ((2, 2, 7, 9), (3, 2), (1, 2), (1, 1)),  # overlapping, uneven
    ((1, 2, 9, 8), (3, 3), (2, 1), (2, 3)),
    ((2, 2, 4, 4), (1, 1), (3, 2), (1, 1)),
    ((2, 2, 3, 4), (3, 4), (1, 1), (1, 1)),  # one window
    ((0, 2, 5, 5), (2, 2), (2, 2), (1, 1)),  # no rows
    ((2, 1, 4, 5, 4), (2, 3, 2), (2, 1, 1), (1, 1, 2)),
]
POOLS = [
    (shape, kernel, stride) for shape, kernel, stride, dilation in WINDOWS if set(dilation) == {1}
]
DTYPES = [np.float32, np.float64, np.complex128]


def numbers(shape: Sizes, dtype: Any = np.float64, seed: int = 0) -> Array:
    """Read-only numbers that are not contiguous, so that every use tests both."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((*shape[::-1], 2))
    array = (
        values[..., 0] + 1j * values[..., 1] if np.dtype(dtype).kind == "c" else values[..., 0]
    ).T
    array = array.astype(dtype, order="K")
    array.flags.writeable = False
    return array


def tied(shape: Sizes, dtype: Any = np.float64, seed: int = 0) -> Array:
    """Numbers of which many are equal: 0, 1 and 2."""
    array = np.random.default_rng(seed).integers(0, 3, shape[::-1]).T.astype(dtype, order="K")
    array.flags.writeable = False
    return array


def output(image: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Sizes:
    four = zip(image, kernel, stride, dilation, strict=True)
    return tuple((size - d * (k - 1) - 1) // s + 1 for size, k, s, d in four)


def windows(
    shape: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes
) -> Iterator[tuple[Sizes, list[Sizes]]]:
    """For each window, where it stands and the pixels it sees, one by one: the slow oracle."""
    for where in itertools.product(*map(range, output(shape[2:], kernel, stride, dilation))):
        pixels = []
        for offset in itertools.product(*map(range, kernel)):
            four = zip(where, stride, offset, dilation, strict=True)
            pixels.append(tuple(o * s + i * d for o, s, i, d in four))
        yield where, pixels


def naive_columns(x: Array, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Array:
    found = list(windows(x.shape, kernel, stride, dilation))
    cols = np.zeros((len(x), x.shape[1], math.prod(kernel), len(found)), x.dtype)
    for n, c in np.ndindex(*x.shape[:2]):
        for i, (_, pixels) in enumerate(found):
            for k, pixel in enumerate(pixels):
                cols[n, c, k, i] = x[(n, c, *pixel)]
    return cols.reshape(len(x), x.shape[1] * math.prod(kernel), len(found))


def naive_pool(x: Array, kernel: Sizes, stride: Sizes) -> tuple[Array, dict[Sizes, Sizes], Array]:
    """The maxima, for each the pixel of the first one, and the means."""
    ones = (1,) * len(kernel)
    size = (*x.shape[:2], *output(x.shape[2:], kernel, stride, ones))
    most, mean, first = np.zeros(size, x.dtype), np.zeros(size, x.dtype), {}
    for n, c in np.ndindex(*x.shape[:2]):
        for where, pixels in windows(x.shape, kernel, stride, ones):
            seen = [x[(n, c, *pixel)] for pixel in pixels]
            best = max(range(len(seen)), key=lambda i: seen[i].real)  # max keeps the first
            most[(n, c, *where)], mean[(n, c, *where)] = seen[best], sum(seen) / len(seen)
            first[(n, c, *where)] = (n, c, *pixels[best])
    return most, first, mean


def inner(a: Array, b: Array) -> Any:
    """<a, b> without conjugation: what "adjoint" means for a linear function and its transpose."""
    return (a * b).sum()


def close(a: Array, b: Array) -> None:
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    np.testing.assert_allclose(
        a,
        b,
        rtol=1e-5 if a.dtype == np.float32 else 1e-13,
        atol=1e-5 if a.dtype == np.float32 else 1e-13,
    )


# -- convolution -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "kernel", "stride", "dilation"), WINDOWS)
def test_columns_holds_each_window_as_a_column(
    shape: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes, dtype: Any
) -> None:
    x = numbers(shape, dtype)
    got = call("columns")(x, kernel, stride, dilation)
    want = naive_columns(x, kernel, stride, dilation)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "kernel", "stride", "dilation"), WINDOWS)
def test_uncolumns_is_the_adjoint_of_columns(
    shape: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes, dtype: Any
) -> None:
    x = numbers(shape, dtype)
    cols = call("columns")(x, kernel, stride, dilation)
    w = numbers(cols.shape, dtype, seed=1)
    back = call("uncolumns")(w, shape, kernel, stride, dilation)
    assert back.dtype == dtype
    assert back.shape == shape
    left, right = inner(cols, w), inner(x, back)
    assert abs(left - right) <= (1e-13 if dtype != np.float32 else 1e-5) * (
        1 + np.abs(cols * w).sum()
    )


@pytest.mark.parametrize(("shape", "kernel", "stride", "dilation"), WINDOWS)
def test_uncolumns_adds_each_number_back_where_it_came_from(
    shape: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes
) -> None:
    places = naive_columns(np.arange(math.prod(shape)).reshape(shape), kernel, stride, dilation)
    w = numbers(places.shape, seed=1)
    want = np.zeros(math.prod(shape))
    for place, value in zip(places.reshape(-1), w.reshape(-1), strict=True):
        want[place] += value
    close(call("uncolumns")(w, shape, kernel, stride, dilation), want.reshape(shape))


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "dilation"),
    [case for case in WINDOWS if len(case[0]) == 4 and case[0][0]],
)
def test_columns_and_uncolumns_agree_with_torch(
    shape: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes
) -> None:
    torch = require_torch()
    x = numbers(shape)
    settings = {"dilation": dilation, "stride": stride}
    want = torch.nn.functional.unfold(torch.tensor(x), kernel, **settings).numpy()
    np.testing.assert_array_equal(call("columns")(x, kernel, stride, dilation), want)
    w = numbers(want.shape, seed=1)
    back = torch.nn.functional.fold(torch.tensor(w), shape[2:], kernel, **settings).numpy()
    close(call("uncolumns")(w, shape, kernel, stride, dilation), back)


def test_a_batch_may_be_the_innermost_axis_of_one_image() -> None:
    x, kernel, stride, dilation = numbers((4, 3, 7, 6)), (3, 2), (2, 1), (1, 2)
    one = x.transpose(1, 2, 3, 0)[None]
    inside = [(*size, 1) for size in (kernel, stride, dilation)]
    cols, cols1 = call("columns")(x, kernel, stride, dilation), call("columns")(one, *inside)
    np.testing.assert_array_equal(cols1.reshape(*cols.shape[1:], 4).transpose(2, 0, 1), cols)
    back = call("uncolumns")(cols, x.shape, kernel, stride, dilation)
    back1 = call("uncolumns")(cols1, one.shape, *inside)
    np.testing.assert_array_equal(back1[0].transpose(3, 0, 1, 2), back)


# -- pooling -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [numbers, tied])
@pytest.mark.parametrize(("shape", "kernel", "stride"), POOLS)
def test_the_first_maximum_of_a_window_takes_all_of_the_gradient(
    shape: Sizes, kernel: Sizes, stride: Sizes, make: Callable[..., Array], dtype: Any
) -> None:
    x = make(shape, dtype)
    most, first, _ = naive_pool(x, kernel, stride)
    y = call("max_pool")(x, kernel, stride)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, most)
    d, v = numbers(y.shape, dtype, seed=1), numbers(shape, dtype, seed=2)
    want, taken = np.zeros(shape, dtype), np.zeros(y.shape, dtype)
    for where, pixel in first.items():
        want[pixel] += d[where]
        taken[where] = v[pixel]
    close(call("unpool")(d, x, y, kernel, stride), want)
    np.testing.assert_array_equal(call("pool_take")(v, x, y, kernel, stride), taken)


@pytest.mark.parametrize(("shape", "kernel", "stride"), POOLS)
def test_pool_take_is_the_adjoint_of_unpool(shape: Sizes, kernel: Sizes, stride: Sizes) -> None:
    x = tied(shape)
    y = call("max_pool")(x, kernel, stride)
    d, v = numbers(y.shape, seed=1), numbers(shape, seed=2)
    left = inner(call("unpool")(d, x, y, kernel, stride), v)
    right = inner(d, call("pool_take")(v, x, y, kernel, stride))
    assert abs(left - right) <= 1e-13 * (1 + np.abs(d).sum())


@pytest.mark.parametrize("make", [numbers, tied])
@pytest.mark.parametrize(
    ("kernel", "stride"), [((2, 2), (2, 2)), ((3, 2), (2, 1)), ((3, 3), (1, 1))]
)
def test_pooling_agrees_with_torch_on_ties_and_overlaps(
    kernel: Sizes, stride: Sizes, make: Callable[..., Array]
) -> None:
    torch = require_torch()
    x = make((2, 3, 7, 6))
    tx = torch.tensor(x).requires_grad_()
    ty = torch.nn.functional.max_pool2d(tx, kernel, stride)
    y = call("max_pool")(x, kernel, stride)
    np.testing.assert_array_equal(y, ty.detach().numpy())
    d = numbers(y.shape, seed=1)
    ty.backward(torch.tensor(d))
    close(call("unpool")(d, x, y, kernel, stride), tx.grad.numpy())
    tx = torch.tensor(x).requires_grad_()
    ty = torch.nn.functional.avg_pool2d(tx, kernel, stride)
    close(call("mean_pool")(x, kernel, stride), ty.detach().numpy())
    ty.backward(torch.tensor(d))
    close(call("mean_unpool")(d, x.shape, kernel, stride), tx.grad.numpy())


def test_a_nan_in_a_window_is_its_maximum() -> None:
    x = np.array([[[1.0, np.nan, 2.0, 3.0]]])
    np.testing.assert_array_equal(call("max_pool")(x, (2,), (2,)), [[[np.nan, 3.0]]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "kernel", "stride"), POOLS)
def test_mean_pool_averages_and_mean_unpool_is_its_adjoint(
    shape: Sizes, kernel: Sizes, stride: Sizes, dtype: Any
) -> None:
    x = numbers(shape, dtype)
    y = call("mean_pool")(x, kernel, stride)
    _, _, mean = naive_pool(x, kernel, stride)
    close(y, mean)
    d = numbers(y.shape, dtype, seed=1)
    back = call("mean_unpool")(d, shape, kernel, stride)
    assert back.dtype == dtype
    assert back.shape == shape
    size = 1 + np.abs(y * d).sum() + np.abs(x * back).sum()
    assert abs(inner(y, d) - inner(x, back)) <= (1e-13 if dtype != np.float32 else 1e-5) * size


# -- embedding ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("counted", [np.uint8, np.int32, np.int64])
@pytest.mark.parametrize(
    ("shape", "index"),
    [
        ((50,), (9,)),
        ((50, 6), (3, 40)),
        ((50, 3, 2), (4,)),
        ((50, 6), ()),
        ((50, 6), (0,)),
        ((50, 0), (3,)),
    ],
)
def test_a_row_named_twice_is_added_to_twice(
    shape: Sizes, index: Sizes, counted: Any, dtype: Any
) -> None:
    rows = np.random.default_rng(3).integers(0, shape[0], index).astype(counted)
    values = numbers((*index, *shape[1:]), dtype)
    want = np.zeros(shape, dtype)
    for where in np.ndindex(*index):
        want[rows[where]] += values[where]
    close(call("add_rows")(shape, rows, values), want)


def test_add_at_adds_to_what_is_there_in_any_memory_order() -> None:
    index, values = np.array([[2, -1], [2, 0]]), numbers((2, 2, 5))
    want = np.ones((3, 5))
    np.add.at(want, index, values)
    for order in ("C", "F"):
        out = np.ones((3, 5), order=order)
        call("add_at")(out, index, values)
        close(out, want)


@pytest.mark.parametrize("row", [3, -4])
def test_a_row_out_of_range_is_an_error(row: int) -> None:
    with pytest.raises(IndexError):
        call("add_rows")((3, 2), np.array([row]), np.ones((1, 2)))


# -- randomness --------------------------------------------------------------------------------


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x64-10 as its paper has it: ten rounds of two multiplications."""
    mask = 2**64 - 1
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        p, q = 0xD2E7470EE14C6C93 * a, 0xCA5A826395121157 * c
        a, b, c, d = (q >> 64) ^ b ^ k0, q & mask, (p >> 64) ^ d ^ k1, p & mask
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & mask, (k1 + 0xBB67AE8584CAA73B) & mask
    return [a, b, c, d]


# Random123, kat_vectors, philox4x64 10: counter, key, answer.
KNOWN_ANSWERS = [
    ([0] * 4, [0] * 2, "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b"),
    (
        [2**64 - 1] * 4,
        [2**64 - 1] * 2,
        "87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0",
    ),
    (
        [0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89],
        [0x452821E638D01377, 0xBE5466CF34E90C6C],
        "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6",
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_numpys_philox_gives_random123s_known_answers(
    counter: list[int], key: list[int], answer: str
) -> None:
    want = [int(word, 16) for word in answer.split()]
    assert philox(counter, key) == want
    whole = sum(word << (64 * i) for i, word in enumerate(counter))
    before = (whole - 1) % 2**256  # NumPy adds one before the first block
    made = np.random.Philox(counter=before, key=key[0] + (key[1] << 64))
    assert made.random_raw(4).tolist() == want


STREAMS = [
    (0, "", 0),
    (7, "hidden/dropout", 3),
    (2**64 - 1, "block.2.größe", 2**63),
    (1, "z", 2**32),
]


@pytest.mark.parametrize(("seed", "name", "step"), STREAMS)
def test_random_words_are_philox_at_a_counter_of_name_and_step(
    seed: int, name: str, step: int
) -> None:
    stream = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
    want = [word for i in (1, 2, 3) for word in philox([i, 0, stream, step], [seed, 0])]
    assert call("random_words")(11, seed, name, step).tolist() == want[:11]
    halves = [half for word in want for half in (word % 2**32, word >> 32)]
    bits = call("random_bits")((3, 5), seed, name, step)
    assert bits.dtype == np.uint32
    assert bits.reshape(-1).tolist() == halves[:15]
    single = call("uniform")((3, 5), np.float32, seed, name, step)
    assert single.dtype == np.float32
    assert single.reshape(-1).tolist() == [(half >> 8) / 2**24 for half in halves[:15]]
    double = call("uniform")((2, 1, 5), np.float64, seed, name, step)
    assert double.dtype == np.float64
    assert double.reshape(-1).tolist() == [(word >> 11) / 2**53 for word in want[:10]]


def test_streams_of_2_to_the_63_and_more_keep_their_low_bits() -> None:
    names = [f"layer{i}" for i in range(64)]
    first = [call("random_words")(1, 0, name, 5).item() for name in names]
    assert len(set(first)) == len(names)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_uniform_numbers_are_numpys_own(dtype: Any) -> None:
    stream = int.from_bytes(hashlib.blake2b(b"a", digest_size=8).digest(), "little")
    counter = np.array([0, 0, stream, 9], np.uint64)
    generator = np.random.Generator(np.random.Philox(key=3, counter=counter))
    want = generator.random((128, 64), dtype)
    got = call("uniform")((128, 64), dtype, 3, "a", 9)
    np.testing.assert_array_equal(got, want)
    assert got.min() >= 0
    assert got.max() < 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (5,)])
def test_uniform_has_any_shape(shape: Sizes, dtype: Any) -> None:
    got = call("uniform")(shape, dtype, 0, "a", 0)
    assert got.shape == shape
    assert got.dtype == dtype
    again = call("uniform")(shape, dtype, 0, "a", 0)
    np.testing.assert_array_equal(got, again)


# -- the error function ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_erf_is_within_two_units_in_the_last_place(dtype: Any) -> None:
    mpmath = require("mpmath")
    rng = np.random.default_rng(0)
    points = [rng.uniform(0, 6.2, 3000), rng.uniform(0, 0.2, 3000), 10 ** rng.uniform(-30, 0, 1000)]
    nodes = np.arange(0, 3073, 7) / 512
    x = np.concatenate([*points, nodes, np.nextafter(nodes[1:], 0)]).astype(dtype)
    with mpmath.workprec(120):
        for z, got in zip(x.tolist(), call("erf")(x).tolist(), strict=True):
            want = mpmath.erf(mpmath.mpf(z))
            assert abs(mpmath.mpf(got) - want) <= 2 * float(np.spacing(dtype(want))), z


def test_erf_is_within_two_units_everywhere_in_float32() -> None:
    x = np.concatenate([np.linspace(0, 4.2, 400_001), np.logspace(-37, 0.7, 200_001)])
    x = x.astype(np.float32)
    want = np.array([math.erf(z) for z in x.tolist()])
    unit = np.spacing(want.astype(np.float32)).astype(np.float64)
    assert (np.abs(call("erf")(x) - want) / unit).max() <= 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_erf_is_odd_bounded_and_right_at_the_ends(dtype: Any) -> None:
    ends = np.array([0, -0.0, np.inf, -np.inf, 1e30, -1e30, 6, np.nan], dtype)
    got = call("erf")(ends)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.array([0, 0, 1, -1, 1, -1, 1, np.nan], dtype))
    assert np.signbit(got).tolist()[:4] == [False, True, False, True]
    tiny = np.finfo(dtype).smallest_subnormal
    assert call("erf")(np.array([tiny]))[0] == tiny
    x = numbers((50, 70), dtype) * dtype(3)
    got = call("erf")(x)
    assert got.dtype == dtype
    assert got.shape == x.shape
    assert np.abs(got).max() <= 1
    np.testing.assert_array_equal(call("erf")(-x), -got)
    assert call("erf")(x[:0]).shape == (0, 70)


# -- the text ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_helper_is_short_and_reads_well(name: str) -> None:
    text = inspect.getsource(FUNCTIONS[name])
    (function,) = ast.parse(text).body
    assert isinstance(function, ast.FunctionDef)
    doc = inspect.getdoc(FUNCTIONS[name])
    assert doc is not None
    assert len(doc.splitlines()) <= 2
    assert len(text.splitlines()) <= 15
    assert max(map(len, text.splitlines())) <= 100
    assert not re.search(r"\d{7}|\d\.\d{7}", text)


def test_helpers_run_with_only_numpy_beside_them() -> None:
    header = (
        "import hashlib\nimport math\nimport numpy as np\n"
        "from numpy.lib.stride_tricks import sliding_window_view\n"
    )
    use = """
x = np.arange(32.0, dtype=np.float32).reshape(2, 1, 4, 4)
cols = columns(x, (2, 2), (1, 1), (1, 1))
assert (uncolumns(cols, x.shape, (2, 2), (1, 1), (1, 1))[0, 0, 1, 1]) == 4 * x[0, 0, 1, 1]
y = max_pool(x, (2, 2), (2, 2))
assert (pool_take(x, x, y, (2, 2), (2, 2)) == y).all()
assert unpool(y, x, y, (2, 2), (2, 2)).sum() == y.sum()
assert mean_unpool(mean_pool(x, (2, 2), (2, 2)), x.shape, (2, 2), (2, 2)).sum() == x.sum() / 4
assert erf(uniform((3,), np.float32, 0, "a", 0)).dtype == np.float32
assert add_rows((3, 2), np.array([1, 1]), np.ones((2, 2))).sum() == 4
"""
    text = header + "\n\n".join(map(inspect.getsource, FUNCTIONS.values())) + use
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", text], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
