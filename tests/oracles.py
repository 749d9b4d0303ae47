"""What every op must give, by other arithmetic than its NumPy text: one line for each op.

Element-wise functions are taken in 40 digits by mpmath, sums and products exactly by fractions or
`fsum`, and movements number by number over Python lists. Nothing here is quick, and nothing here
is written as the op itself is. `EXEMPT` says where the proof of an op without a line is.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
from mpmath import mp, mpf
from numpy.typing import NDArray

mp.dps = 40
Array = NDArray[Any]
Oracle = Callable[..., Any]


# -- ways to compute --------------------------------------------------------------------------


def digits(f: Callable[..., Any]) -> Oracle:
    """Number by number, in 40 digits."""

    def oracle(*arrays: Any, **settings: Any) -> Array:
        count = len(arrays)
        one = np.frompyfunc(lambda *a: f(*[mpf(float(v)) for v in a], **settings), count, 1)
        return np.asarray(one(*arrays)).astype(np.float64)

    return oracle


def exact(f: Callable[..., Any], kind: type = float) -> Oracle:
    """Number by number, as fractions: the only rounding is the last one."""

    def oracle(*arrays: Any) -> Array:
        one = np.frompyfunc(lambda *a: kind(f(*map(_fraction, a))), len(arrays), 1)
        return np.asarray(one(*arrays)).astype(kind)

    return oracle


def _fraction(value: Any) -> Any:
    return bool(value) if isinstance(value, bool | np.bool_) else Fraction(float(value))


def at(shape: tuple[int, ...], f: Callable[..., Any]) -> Array:
    """An array whose number at (i, j, ...) is f(i, j, ...)."""
    return np.array([float(f(*i)) for i in np.ndindex(*shape)], float).reshape(shape)


def over(x: Array, axis: Any, keepdims: bool, f: Callable[[list[Any]], Any]) -> Array:
    """f of the list of numbers that a reduction takes together, for each of its results."""
    gone = set(range(x.ndim)) if axis is None else set(np.atleast_1d(axis).tolist())
    shape = [s for i, s in enumerate(x.shape) if i not in gone]
    kept = [1 if i in gone else s for i, s in enumerate(x.shape)]
    groups: dict[tuple[int, ...], list[Any]] = {i: [] for i in np.ndindex(*shape)}
    for i in np.ndindex(*x.shape):
        groups[tuple(v for a, v in enumerate(i) if a not in gone)].append(x[i].item())
    return np.array([f(g) for g in groups.values()], float).reshape(kept if keepdims else shape)


def rows(f: Callable[[list[Any]], list[Any]]) -> Oracle:
    """A function of the rows along an axis, in 40 digits."""

    def oracle(x: Array, *, axis: int) -> Array:
        last = np.moveaxis(x, axis, -1)
        out = np.array(
            [
                list(map(float, f([mpf(float(v)) for v in last[i]])))
                for i in np.ndindex(*last.shape[:-1])
            ],
            float,
        )
        return np.moveaxis(out.reshape(last.shape), -1, axis)

    return oracle


def reduced(terms: list[Any], shape: tuple[int, ...], reduction: str, count: Any = None) -> Array:
    """Terms of a loss, summed exactly; `count` is what the mean divides by."""
    if reduction == "none":
        return np.array([float(v) for v in terms]).reshape(shape)
    total = mp.fsum(terms)
    if reduction != "sum":
        total /= shape[0] if reduction == "batchmean" else len(terms) if count is None else count
    return np.array(float(total))


def lost(f: Callable[..., Any]) -> Oracle:
    """A loss of corresponding numbers, in 40 digits."""

    def oracle(*arrays: Array, reduction: str, **settings: Any) -> Array:
        pairs = zip(*[a.reshape(-1).tolist() for a in arrays], strict=True)
        return reduced([f(*map(mpf, p), **settings) for p in pairs], arrays[0].shape, reduction)

    return oracle


def lost_rows(f: Callable[..., Any]) -> Oracle:
    """A loss of rows, each with its index or its own row, in 40 digits; None for one left out."""

    def oracle(z: Array, t: Array, reduction: str, **settings: Any) -> Array:
        found = [
            f([mpf(v) for v in row], target, **settings)
            for row, target in zip(z.tolist(), t.tolist(), strict=True)
        ]
        kept = [mpf(0) if v is None else v for v in found]
        return reduced(kept, (len(z),), reduction, len(found) - found.count(None))

    return oracle


# -- contraction and windows, as loops --------------------------------------------------------


def matmul(a: Array, b: Array) -> Array:
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = np.broadcast_to(a, (*batch, *a.shape[-2:])).astype(float)
    b = np.broadcast_to(b, (*batch, *b.shape[-2:])).astype(float)
    inner = range(a.shape[-1])
    return at(
        (*batch, a.shape[-2], b.shape[-1]),
        lambda *i: math.fsum(a[(*i[:-1], k)] * b[(*i[:-2], k, i[-1])] for k in inner),
    )


def taps(
    x: tuple[int, ...],
    w: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Iterator[tuple[Any, Any, Any]]:
    """Every product of a convolution: where in y, where in w, where in x."""
    size = [
        (s + 2 * p - d * (k - 1) - 1) // t + 1
        for s, k, t, p, d in zip(x[2:], w[2:], stride, padding, dilation, strict=True)
    ]
    for n, o in itertools.product(range(x[0]), range(w[0])):
        group = o // (w[0] // groups)
        for place in itertools.product(*map(range, size)):
            for c, *k in itertools.product(range(w[1]), *map(range, w[2:])):
                q = [
                    p * t + i * d - b
                    for p, t, i, d, b in zip(place, stride, k, dilation, padding, strict=True)
                ]
                if all(0 <= v < s for v, s in zip(q, x[2:], strict=True)):
                    yield (n, o, *place), (o, c, *k), (n, group * w[1] + c, *q)


def conv(x: Array, w: Array, **settings: Any) -> Array:
    size = [
        (s + 2 * p - d * (k - 1) - 1) // t + 1
        for s, k, t, p, d in zip(
            x.shape[2:],
            w.shape[2:],
            settings["stride"],
            settings["padding"],
            settings["dilation"],
            strict=True,
        )
    ]
    y = np.zeros((x.shape[0], w.shape[0], *size))
    for i, j, k in taps(x.shape, w.shape, **settings):
        y[i] += float(w[j]) * float(x[k])
    return y


def conv_dx(g: Array, w: Array, *, size: tuple[int, ...], **settings: Any) -> Array:
    x = np.zeros((g.shape[0], w.shape[1] * settings["groups"], *size))
    for i, j, k in taps(x.shape, w.shape, **settings):
        x[k] += float(w[j]) * float(g[i])
    return x


def conv_transpose(x: Array, w: Array, *, output_padding: Any, **settings: Any) -> Array:
    """Every number adds its kernel to a large image, of which a border is cut off."""
    stride, padding, dilation = (settings[k] for k in ("stride", "padding", "dilation"))
    count, each = settings["groups"], len(w) // settings["groups"]
    large = [
        s * t + d * k + o
        for s, t, d, k, o in zip(
            x.shape[2:], stride, dilation, w.shape[2:], output_padding, strict=True
        )
    ]
    y = np.zeros((len(x), w.shape[1] * count, *large))
    for n, c, *p in np.ndindex(*x.shape):
        for o, *k in np.ndindex(*w.shape[1:]):
            q = [a * t + d * b for a, t, d, b in zip(p, stride, dilation, k, strict=True)]
            y[(n, c // each * w.shape[1] + o, *q)] += float(w[(c, o, *k)]) * float(x[(n, c, *p)])
    cuts = [
        slice(p, (s - 1) * t + d * (k - 1) + 1 - p + o)
        for s, t, p, d, k, o in zip(
            x.shape[2:], stride, padding, dilation, w.shape[2:], output_padding, strict=True
        )
    ]
    return y[(slice(None), slice(None), *cuts)]


def conv_dw(g: Array, x: Array, *, kernel: tuple[int, ...], **settings: Any) -> Array:
    w = np.zeros((g.shape[1], x.shape[1] // settings["groups"], *kernel))
    for i, j, k in taps(x.shape, w.shape, **settings):
        w[j] += float(g[i]) * float(x[k])
    return w


def windows(
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...] | None = None,
) -> Iterator[tuple[tuple[int, ...], list[tuple[int, ...]]]]:
    """Each window of images: its place in the pooled image, and the places it looks at."""
    d = dilation or (1,) * len(kernel)
    size = [
        (s - e * (k - 1) - 1) // t + 1
        for s, k, t, e in zip(shape[2:], kernel, stride, d, strict=True)
    ]
    for n, c, *place in itertools.product(*map(range, [*shape[:2], *size])):
        yield (
            (n, c, *place),
            [
                (n, c, *[p * t + i * e for p, t, i, e in zip(place, stride, k, d, strict=True)])
                for k in itertools.product(*map(range, kernel))
            ],
        )


def pooled(x: Array, kernel: Any, stride: Any, f: Callable[[list[float]], float]) -> Array:
    found = {p: f([float(x[q]) for q in look]) for p, look in windows(x.shape, kernel, stride)}
    size = [(s - k) // t + 1 for s, k, t in zip(x.shape[2:], kernel, stride, strict=True)]
    return at((*x.shape[:2], *size), lambda *p: found[p])


def spread(
    d: Array, shape: tuple[int, ...], kernel: Any, stride: Any, share: Callable[..., Any]
) -> Array:
    """Each number of d given to the places its window looks at, in shares."""
    x = np.zeros(shape)
    for place, look in windows(shape, kernel, stride):
        for q, part in zip(look, share(look), strict=True):
            x[q] += float(d[place]) * part
    return x


def first_largest(x: Array) -> Callable[[list[tuple[int, ...]]], list[float]]:
    def share(look: list[tuple[int, ...]]) -> list[float]:
        values = [float(x[q]) for q in look]
        return [float(i == values.index(max(values))) for i in range(len(look))]

    return share


def columns(x: Array, *, kernel: Any, stride: Any, dilation: Any) -> Array:
    n, c = x.shape[:2]
    cells: dict[tuple[int, int], list[list[float]]] = {}
    for (i, j, *_), look in windows(x.shape, kernel, stride, dilation):
        cells.setdefault((i, j), []).append([float(x[q]) for q in look])
    positions = int(
        np.prod(
            [
                (s - d * (k - 1) - 1) // t + 1
                for s, k, t, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)
            ]
        )
    )
    count = math.prod(kernel)
    return at((n, c * count, positions), lambda i, row, p: cells[i, row // count][p][row % count])


def uncolumns(cols: Array, *, shape: Any, kernel: Any, stride: Any, dilation: Any) -> Array:
    x = np.zeros((cols.shape[0], *shape))
    position: dict[tuple[int, int], int] = {}
    for (n, c, *_), look in windows(x.shape, kernel, stride, dilation):
        p = position[n, c] = position.get((n, c), -1) + 1
        for k, q in enumerate(look):
            x[q] += float(cols[n, c * len(look) + k, p])
    return x


# -- movement and index, number by number ------------------------------------------------------


def padded(x: Array, *, widths: Any, value: float) -> Array:
    shape = [
        b + a + (max(s - 1, 0) * (g + 1) + min(s, 1))
        for s, (b, a, g) in zip(x.shape, widths, strict=True)
    ]
    out = dict.fromkeys(np.ndindex(*shape), value)
    for i in np.ndindex(*x.shape):
        place = tuple(b + v * (g + 1) for v, (b, _, g) in zip(i, widths, strict=True))
        out[place] = x[i].item()
    return at(tuple(shape), lambda *i: out[i])


def sliced(x: Array, *, spans: Any) -> Array:
    places = [list(range(size))[a:b:s] for size, (a, b, s) in zip(x.shape, spans, strict=True)]
    return at(
        tuple(map(len, places)), lambda *i: x[tuple(p[v] for p, v in zip(places, i, strict=True))]
    )


def joined(*xs: Array, axis: int) -> Array:
    parts = [row for x in xs for row in np.moveaxis(x, axis, 0).tolist()]
    rest = [s for i, s in enumerate(xs[0].shape) if i != axis]
    return np.moveaxis(np.array(parts, float).reshape(len(parts), *rest), 0, axis)


def stretched(x: Array, *, shape: tuple[int, ...]) -> Array:
    lead = len(shape) - x.ndim
    return at(
        shape,
        lambda *i: x[tuple(0 if s == 1 else v for v, s in zip(i[lead:], x.shape, strict=True))],
    )


def taken(x: Array, index: Array) -> Array:
    found = [x[int(i)].tolist() for i in index.reshape(-1)]
    return np.array(found, float).reshape(*index.shape, *x.shape[1:])


def added_at(x: Array, index: Array, values: Array) -> Array:
    width = math.prod(x.shape[1:])
    out = [[Fraction(v) for v in row] for row in x.reshape(len(x), width).tolist()]
    for i, row in zip(
        index.reshape(-1).tolist(), values.reshape(index.size, width).tolist(), strict=True
    ):
        out[i] = [a + Fraction(b) for a, b in zip(out[i], row, strict=True)]
    return np.array([[float(v) for v in row] for row in out]).reshape(x.shape)


def added_along(index: Array, values: Array, *, size: int, axis: int) -> Array:
    sizes = (*index.shape[:axis], size, *index.shape[axis + 1 :])
    found = {place: Fraction(0) for place in np.ndindex(*sizes)}
    for i in np.ndindex(*index.shape):
        found[(*i[:axis], int(index[i]), *i[axis + 1 :])] += Fraction(float(values[i]))
    return at(sizes, lambda *i: found[i])


def where_index(index: Array, size: int, f: Callable[[tuple[int, ...], int, bool], Any]) -> Array:
    """f(row, column, whether the row's position is this column)."""
    return at((*index.shape, size), lambda *i: f(i[:-1], i[-1], int(index[i[:-1]]) == i[-1]))


# -- norms and losses -------------------------------------------------------------------------


def standard(numbers: list[Any], eps: float) -> list[Any]:
    """Numbers less their mean, over the root of their variance, as moments in 40 digits."""
    found = [mpf(float(v)) for v in numbers]
    mean = mp.fsum(found) / len(found)
    variance = mp.fsum(v * v for v in found) / len(found) - mean * mean
    return [(v - mean) / mp.sqrt(variance + mpf(eps)) for v in found]


def layer_norm(x: Array, w: Array, b: Array, *, eps: float) -> Array:
    flat = x.reshape(-1, w.size)
    found = [
        [
            float(v * mpf(float(s)) + mpf(float(t)))
            for v, s, t in zip(
                standard(row.tolist(), eps), w.reshape(-1), b.reshape(-1), strict=True
            )
        ]
        for row in flat
    ]
    return np.array(found, float).reshape(x.shape)


def batch_norm(x: Array, w: Array, b: Array, *, eps: float) -> Array:
    last = np.moveaxis(x, 1, 0)
    found = [
        [
            float(v * mpf(float(w[c])) + mpf(float(b[c])))
            for v in standard(last[c].reshape(-1).tolist(), eps)
        ]
        for c in range(len(last))
    ]
    return np.moveaxis(np.array(found).reshape(last.shape), 0, 1)


def each_over(x: Array, axis: Any, f: Callable[[list[float]], list[Any]]) -> Array:
    """f of the numbers that lie along some axes, put back where they were."""
    out: dict[tuple[int, ...], float] = {}
    axis = range(x.ndim) if axis is None else axis
    for kept in np.ndindex(*[1 if a in axis else s for a, s in enumerate(x.shape)]):
        cut = [range(s) if a in axis else [kept[a]] for a, s in enumerate(x.shape)]
        places = list(itertools.product(*cut))
        out.update(zip(places, map(float, f([float(x[p]) for p in places])), strict=True))
    return at(x.shape, lambda *i: out[i])


def by_size(numbers: list[float], eps: float) -> list[Any]:
    """Numbers over the root of their mean square, in 40 digits."""
    total = mp.fsum([mpf(v) ** 2 for v in numbers])
    return [mpf(v) * mp.sqrt(len(numbers) / (total + mpf(eps) * len(numbers))) for v in numbers]


def variance(numbers: list[Any], correction: int) -> Fraction:
    """Mean of squares less square of mean, in fractions, scaled by the count less a correction."""
    found, n = [Fraction(v) for v in numbers], len(numbers)
    mean = sum(found, Fraction(0)) / n
    squares = sum((v * v for v in found), Fraction(0)) / n
    return (squares - mean * mean) * n / (n - correction)


def gated(x: Array, axis: int) -> Array:
    half = x.shape[-1] // 2
    found = at(
        (*x.shape[:-1], half),
        lambda *i: mpf(float(x[i])) * (1 + mp.tanh(mpf(float(x[(*i[:-1], i[-1] + half)])) / 2)) / 2,
    )
    return np.moveaxis(found, -1, axis)


def logarithms(z: list[Any]) -> list[Any]:
    total = mp.fsum(mp.exp(v) for v in z)
    return [v - mp.log(total) for v in z]


def attention_weights(q: Array, k: Array, *masks: Array, causal: bool) -> Array:
    """The shares of the keys that a query may attend to, in 40 digits; the others have none."""
    scores = matmul(q, np.swapaxes(k, -1, -2))
    found = np.zeros(scores.shape)
    for i in np.ndindex(*scores.shape[:-1]):
        keys = range(i[-1] + 1 if causal else k.shape[-2])
        allowed = [np.broadcast_to(m, scores.shape)[i] for m in masks]
        open_ = [j for j in keys if j < k.shape[-2] and all(m[j] for m in allowed)]
        products = [mpf(float(scores[(*i, j)])) / mp.sqrt(q.shape[-1]) for j in open_]
        for j, v in zip(open_, logarithms(products), strict=True):
            found[(*i, j)] = float(mp.exp(v))
    return found


def slope_of(which: int) -> Oracle:
    """By how much g * attention grows with each number of an operand: differences in 40 digits."""

    def total(matrices: list[Any], masks: list[Any], causal: bool) -> Any:
        g, q, k, v = matrices
        found = mpf(0)
        for i in np.ndindex(*g.shape[:-1]):
            keys = range(i[-1] + 1 if causal else k.shape[-2])
            open_ = [j for j in keys if j < k.shape[-2] and all(m[i][j] for m in masks)]
            products = [mp.fdot(q[i], k[(*i[:-1], j)]) / mp.sqrt(q.shape[-1]) for j in open_]
            for j, share in zip(open_, logarithms(products), strict=True):
                found += mp.exp(share) * mp.fdot(map(mpf, g[i].tolist()), v[(*i[:-1], j)])
        return found

    def oracle(g: Array, *operands: Array, causal: bool) -> Array:
        batch, queries, keys = g.shape[:-2], g.shape[-2], operands[1].shape[-2]
        matrices = [np.broadcast_to(m, (*batch, *m.shape[-2:])).astype(float) for m in operands[:3]]
        exact_ = [np.frompyfunc(mpf, 1, 1)(m).astype(object) for m in matrices]
        masks = [np.broadcast_to(m, (*batch, queries, keys)) for m in operands[3:]]
        step, moved = mpf(10) ** -13, exact_[which]

        def grown(i: tuple[int, ...], by: Any) -> Any:
            """Only the batch that the number is in."""
            b, before = i[:-2], moved[i]
            moved[i] = before + by
            here = [m[b] for m in (g, *exact_)]
            found = total(here, [m[b] for m in masks], causal)
            moved[i] = before
            return found

        def slope(*i: int) -> Any:
            """Differences are good for 24 digits behind the point."""
            return mp.nint((grown(i, step) - grown(i, -step)) / (2 * step) * 10**24) / 10**24

        return at(moved.shape, slope)

    return oracle


def cross_entropy(z: list[Any], k: int, label_smoothing: float, ignore_index: int | None) -> Any:
    shares = [
        mpf(label_smoothing) / len(z) + (1 - mpf(label_smoothing)) * (i == k) for i in range(len(z))
    ]
    return None if k == ignore_index else shared_entropy(z, shares)


def shared_entropy(z: list[Any], shares: list[Any]) -> Any:
    return -mp.fsum(mpf(t) * v for t, v in zip(shares, logarithms(z), strict=True))


def focal(z: Any, t: Any, alpha: float | None, gamma: float) -> Any:
    """As a mean over the two answers: each right one's cross-entropy counts (1 - its share)^gamma."""
    p, q = 1 / (1 + mp.exp(-z)), 1 / (1 + mp.exp(z))
    balance = 1 if alpha is None else mpf(alpha) * t + (1 - mpf(alpha)) * (1 - t)
    return (
        -balance * (1 - p * t - q * (1 - t)) ** mpf(gamma) * (t * mp.log(p) + (1 - t) * mp.log(q))
    )


def categorical_focal(z: list[Any], ts: list[float], alpha: float, gamma: float) -> Any:
    return -mpf(alpha) * mp.fsum(
        mpf(t) * (1 - mp.exp(v)) ** mpf(gamma) * v for t, v in zip(ts, logarithms(z), strict=True)
    )


def huber(p: Any, t: Any, delta: float) -> Any:
    size, d = abs(p - t), mpf(delta)
    return size * size / 2 if size <= d else size * d - d * d / 2


def poisson(x: Any, t: Any, log_input: bool, full: bool, eps: float) -> Any:
    terms = mp.exp(x) - t * x if log_input else x - t * mp.log(x + mpf(eps))
    return terms + (mp.log(t**t * mp.sqrt(2 * mp.pi * t)) - t if full and t > 1 else 0)


def multi_margin(z: list[Any], k: int, p: int, margin: float) -> Any:
    near = [mpf(margin) - (z[k] - v) for i, v in enumerate(z) if i != k]
    return mp.fsum(v**p for v in near if v > 0) / len(z)


def one_hot(index: Array, classes: int) -> Array:
    return where_index(index, classes, lambda row, column, here: float(here))


def philox(shape: Any, seed: Any, step: Any, stream: str, dtype: str) -> Array:
    """NumPy's own uniform numbers, from a generator put at the place that the stream names."""

    name = int.from_bytes(hashlib.blake2b(stream.encode(), digest_size=8).digest(), "little")
    counter = np.array([0, 0, name, int(step)], np.uint64)
    generator = np.random.Generator(np.random.Philox(key=int(seed), counter=counter))
    return np.asarray(generator.random(shape, np.float64 if dtype == "float64" else np.float32))


def dropped(x: Array, seed: Any, step: Any, *, p: float, stream: str) -> Array:
    draws = philox(x.shape, seed, step, stream, x.dtype.name)
    return at(x.shape, lambda *i: Fraction(float(x[i])) / (1 - Fraction(p)) * (draws[i] >= p))


def _or(bound: float | None, otherwise: Any) -> Any:
    return otherwise if bound is None else mpf(bound)


def clip(p: Any, eps: float) -> Any:
    return min(max(p, mpf(eps)), 1 - mpf(eps))


# -- one line for each op ---------------------------------------------------------------------

ORACLES: dict[str, Oracle] = {
    "add": exact(lambda x, y: x + y),
    "subtract": exact(lambda x, y: x - y),
    "multiply": exact(lambda x, y: x * y),
    "divide": exact(lambda x, y: x / y),
    "negative": exact(lambda x: 0 - x),
    "power": digits(lambda x, y: mp.exp(y * mp.log(abs(x))) * (-1 if x < 0 and y % 2 else 1)),
    "exp": digits(lambda x: 1 / mpmath.nsum(lambda k: (-x) ** k / mp.factorial(k), [0, 60])),
    "expm1": digits(lambda x: mp.exp(x) - 1),
    "log": digits(lambda x: mp.findroot(lambda y: mp.exp(y) - x, float(mp.log(x)))),
    "log1p": digits(lambda x: mp.log(1 + x)),
    "tanh": digits(lambda x: (mp.exp(2 * x) - 1) / (mp.exp(2 * x) + 1)),
    "sqrt": digits(lambda x: mp.exp(mp.log(x) / 2)),
    "sin": digits(lambda x: (mp.expj(x) - mp.expj(-x)).imag / 2),
    "cos": digits(lambda x: (mp.expj(x) + mp.expj(-x)).real / 2),
    "tan": digits(lambda x: mp.sin(x) / mp.cos(x)),
    "arcsin": digits(lambda x: mp.findroot(lambda y: mp.sin(y) - x, float(mp.asin(x)))),
    "arccos": digits(lambda x: mp.findroot(lambda y: mp.cos(y) - x, float(mp.acos(x)))),
    "sinh": digits(lambda x: (mp.exp(x) - mp.exp(-x)) / 2),
    "cosh": digits(lambda x: (mp.exp(x) + mp.exp(-x)) / 2),
    "log2": digits(lambda x: mp.log(x) / mp.log(2)),
    "log10": digits(lambda x: mp.log(x) / mp.log(10)),
    "erf": digits(lambda x: 2 / mp.sqrt(mp.pi) * mp.quad(lambda t: mp.exp(-t * t), [0, x])),
    "absolute": exact(lambda x: max(x, -x)),
    "sign": exact(lambda x: (x > 0) - (x < 0)),
    "maximum": exact(lambda x, y: (x + y + abs(x - y)) / 2),
    "minimum": exact(lambda x, y: (x + y - abs(x - y)) / 2),
    "less": exact(lambda x, y: (y - x).numerator > 0, bool),
    "less_equal": exact(lambda x, y: (y - x).numerator >= 0, bool),
    "greater": exact(lambda x, y: (x - y).numerator > 0, bool),
    "greater_equal": exact(lambda x, y: (x - y).numerator >= 0, bool),
    "equal": exact(lambda x, y: (x - y).numerator == 0, bool),
    "not_equal": exact(lambda x, y: (x - y).numerator != 0, bool),
    "select": exact(lambda c, x, y: (y, x)[c]),
    "logical_and": exact(lambda x, y: x * y == 1, bool),
    "logical_or": exact(lambda x, y: x + y > 0, bool),
    "logical_xor": exact(lambda x, y: x + y == 1, bool),
    "logical_not": exact(lambda x: 1 - x, bool),
    "floor": exact(lambda x: x.numerator // x.denominator),
    "ceil": exact(lambda x: -(-x.numerator // x.denominator)),
    "trunc": exact(int),
    "round": exact(round),
    "remainder": exact(lambda x, y: x - y * math.floor(x / y)),
    "clip": digits(lambda x, low, high: sorted([_or(low, -mp.inf), x, _or(high, mp.inf)])[1]),
    "cast": lambda x, *, dtype: at(x.shape, lambda *i: np.dtype(dtype).type(x[i].item())),
    "sum": lambda x, *, axis, keepdims: over(x, axis, keepdims, math.fsum),
    "mean": lambda x, *, axis, keepdims: over(
        x, axis, keepdims, lambda v: sum(map(Fraction, v)) / len(v)
    ),
    "max": lambda x, *, axis, keepdims: over(x, axis, keepdims, max),
    "argmax": lambda x, *, axis: over(x, axis, False, lambda v: v.index(max(v))),
    "min": lambda x, *, axis, keepdims: over(x, axis, keepdims, min),
    "argmin": lambda x, *, axis: over(x, axis, False, lambda v: v.index(min(v))),
    "prod": lambda x, *, axis, keepdims: over(
        x, axis, keepdims, lambda v: math.prod(map(Fraction, v))
    ),
    "any": lambda x, *, axis, keepdims: over(x, axis, keepdims, lambda v: max(v, default=0)),
    "all": lambda x, *, axis, keepdims: over(x, axis, keepdims, lambda v: min(v, default=1)),
    "var": lambda x, *, axis, correction, keepdims: over(
        x, axis, keepdims, lambda v: variance(v, correction)
    ),
    "standard_deviation": lambda x, *, axis, correction, keepdims: over(
        x, axis, keepdims, lambda v: mp.sqrt(mpf(float(variance(v, correction))))
    ),
    "logsumexp": lambda x, *, axis, keepdims: over(
        x, axis, keepdims, lambda v: mp.log(mp.fsum(mp.exp(mpf(a)) for a in v))
    ),
    "cumsum": rows(lambda v: [mp.fsum(v[: i + 1]) for i in range(len(v))]),
    "flip": lambda x, *, axis: at(
        x.shape,
        lambda *i: x[tuple(-1 - v if axis is None or a in axis else v for a, v in enumerate(i))],
    ),
    "roll": lambda x, *, shift, axis: at(
        x.shape,
        lambda *i: x[tuple((v - shift) % x.shape[a] if a == axis else v for a, v in enumerate(i))],
    ),
    "tril": lambda x, *, diagonal: at(x.shape, lambda *i: 0 if i[-1] - i[-2] > diagonal else x[i]),
    "triu": lambda x, *, diagonal: at(x.shape, lambda *i: 0 if i[-1] - i[-2] < diagonal else x[i]),
    "sort": lambda x, *, axis, descending: rows(lambda v: sorted(v, reverse=descending))(
        x, axis=axis
    ),
    "argsort": lambda x, *, axis, descending: rows(
        lambda v: sorted(range(len(v)), key=v.__getitem__, reverse=descending)
    )(x, axis=axis),
    "reshape": lambda x, *, shape: np.array([v.item() for v in x.flat], float).reshape(shape),
    "permute": lambda x, *, axes: at(
        tuple(x.shape[a] for a in axes),
        lambda *i: x[tuple(i[axes.index(a)] for a in range(x.ndim))],
    ),
    "broadcast_to": stretched,
    "slice": sliced,
    "pad": padded,
    "concatenate": joined,
    "matmul": matmul,
    "conv": conv,
    "conv_dx": conv_dx,
    "conv_dw": conv_dw,
    "conv_transpose": conv_transpose,
    "columns": columns,
    "uncolumns": uncolumns,
    "max_pool": lambda x, *, kernel, stride: pooled(x, kernel, stride, max),
    "max_unpool": lambda d, x, y, *, kernel, stride: spread(
        d, x.shape, kernel, stride, first_largest(x)
    ),
    "max_pick": lambda v, x, y, *, kernel, stride: pooled_at(v, x, kernel, stride),
    "mean_pool": lambda x, *, kernel, stride: pooled(
        x, kernel, stride, lambda v: math.fsum(v) / len(v)
    ),
    "mean_unpool": lambda d, *, shape, kernel, stride: spread(
        d, (*d.shape[:2], *shape), kernel, stride, lambda look: [1 / len(look)] * len(look)
    ),
    "take": taken,
    "add_at": added_at,
    "pick": lambda x, index: at(index.shape, lambda *i: x[i].tolist()[int(index[i])]),
    "put_at": lambda index, values, *, size: where_index(
        index, size, lambda row, column, here: values[row] if here else 0
    ),
    "take_along_axis": lambda x, index, *, axis: at(
        index.shape,
        lambda *i: np.moveaxis(x, axis, 0)[int(index[i])][i[:axis] + i[axis + 1 :]],
    ),
    "add_along_axis": added_along,
    "one_hot": lambda index, *, classes, dtype: one_hot(index, classes),
    "subtract_one_at": lambda x, index: where_index(
        index, x.shape[-1], lambda row, column, here: Fraction(float(x[(*row, column)])) - here
    ),
    "uniform": lambda seed, step, *, shape, stream, dtype: philox(shape, seed, step, stream, dtype),
    "relu": exact(lambda x: (x + abs(x)) / 2),
    "leaky_relu": digits(lambda x, slope: max(x, 0) + mpf(slope) * min(x, 0)),
    "elu": digits(lambda x, alpha: max(x, 0) + min(0, mpf(alpha) * (mp.exp(x) - 1))),
    "sigmoid": digits(lambda x: (1 + mp.tanh(x / 2)) / 2),
    "silu": digits(lambda x: x * (1 + mp.tanh(x / 2)) / 2),
    "gelu": digits(lambda x: x * mp.ncdf(x)),
    "softplus": digits(lambda x, beta: mp.log(1 + mp.exp(mpf(beta) * x)) / mpf(beta)),
    "relu6": exact(lambda x: (abs(x) - abs(x - 6) + 6) / 2),
    "hardtanh": digits(lambda x, min_val, max_val: sorted([mpf(min_val), x, mpf(max_val)])[1]),
    "hardsigmoid": exact(lambda x: (abs(x + 3) - abs(x - 3) + 6) / 12),
    "hardswish": exact(lambda x: x * (abs(x + 3) - abs(x - 3) + 6) / 12),
    "threshold": digits(lambda x, threshold, value: x if x > threshold else mpf(value)),
    "hardshrink": digits(lambda x, lambd: x * (abs(x) > lambd)),
    "softshrink": digits(lambda x, lambd: mp.sign(x) * max(abs(x) - mpf(lambd), 0)),
    "prelu": lambda x, w: at(
        x.shape, lambda *i: max(x[i], 0) + float(w[i[1] % len(w)]) * min(float(x[i]), 0)
    ),
    "selu": digits(
        lambda x: (
            mpf("1.0507009873554804934193349852946")
            * (max(x, 0) + mpf("1.6732632423543772848170429916717") * min(0, mp.exp(x) - 1))
        )
    ),
    "celu": digits(lambda x, alpha: max(x, 0) + min(0, mpf(alpha) * mp.expm1(x / mpf(alpha)))),
    "softsign": exact(lambda x: x / (1 + max(x, -x))),
    "log_sigmoid": digits(lambda x: -mp.log(1 + mp.exp(-x))),
    "tanhshrink": digits(lambda x: x - (mp.exp(2 * x) - 1) / (mp.exp(2 * x) + 1)),
    "mish": digits(lambda x: x * (1 - 2 / ((1 + mp.exp(x)) ** 2 + 1))),
    "gelu_tanh": digits(
        lambda x: x / (1 + mp.exp(-2 * mp.sqrt(2 / mp.pi) * (x + mpf("0.044715") * x**3)))
    ),
    "glu": lambda x, *, axis: gated(np.moveaxis(x, axis, -1), axis),
    "softmin": rows(lambda z: [mp.exp(v) for v in logarithms([-v for v in z])]),
    "log_softmax": rows(logarithms),
    "softmax": rows(lambda z: [mp.exp(v) for v in logarithms(z)]),
    "attention_weights": attention_weights,
    "attention": lambda q, k, v, *masks, causal: matmul(
        attention_weights(q, k, *masks, causal=causal), v
    ),
    "attention_dq": slope_of(0),
    "attention_dk": slope_of(1),
    "attention_dv": slope_of(2),
    "linear": lambda x, w, b: matmul(x, w) + b.astype(float),
    "layer_norm": layer_norm,
    "batch_norm": batch_norm,
    "normalise": lambda x, *, axis, eps: each_over(x, axis, lambda v: standard(v, eps)),
    "rms_norm": lambda x, *, axis, eps: each_over(x, axis, lambda v: by_size(v, eps)),
    "channel_bias": lambda x, b: at(
        x.shape, lambda *i: Fraction(float(x[i])) + Fraction(float(b[i[1]]))
    ),
    "dropout": dropped,
    "mse": lost(lambda p, t: p * p - 2 * p * t + t * t),
    "mae": lost(lambda p, t: mp.sqrt((p - t) ** 2)),
    "huber": lost(huber),
    "smooth_l1": lost(lambda p, t, beta: huber(p, t, beta) / mpf(beta)),
    "log_cosh": lost(lambda p, t: mp.log(mp.cosh(p - t))),
    "kl_div": lost(
        lambda x, t, log_target: mp.exp(t) * (t - x) if log_target else t * mp.log(t / mp.exp(x))
    ),
    "poisson_nll": lost(poisson),
    "gaussian_nll": lost(
        lambda p, t, v, full, eps: (
            -mp.log(mp.npdf(t, p, mp.sqrt(v))) - (0 if full else mp.log(2 * mp.pi) / 2)
        )
    ),
    "bce": lost(lambda p, t, eps: -t * mp.log(clip(p, eps)) - (1 - t) * mp.log(1 - clip(p, eps))),
    "bce_logits": lost(lambda z, t: t * mp.log(1 + mp.exp(-z)) + (1 - t) * mp.log(1 + mp.exp(z))),
    "focal": lost(focal),
    "hinge": lost(lambda p, t, margin: margin - t * p if t * p < margin else mpf(0)),
    "squared_hinge": lost(lambda p, t: 1 - 2 * t * p + (t * p) ** 2 if t * p < 1 else mpf(0)),
    "soft_margin": lost(lambda p, t: -mp.log(1 / (1 + mp.exp(-t * p)))),
    "hinge_embedding": lost(lambda p, t, margin: p if t > 0 else max(mpf(0), margin - p)),
    "cross_entropy": lost_rows(cross_entropy),
    "nll": lost_rows(lambda x, k, ignore_index: None if k == ignore_index else -x[k]),
    "multi_margin": lost_rows(multi_margin),
    "cross_entropy_shares": lost_rows(shared_entropy),
    "categorical_focal": lost_rows(categorical_focal),
}


def pooled_at(v: Array, x: Array, kernel: Any, stride: Any) -> Array:
    """Of v, the number where x has the first largest of each window."""
    share = first_largest(x)
    found = {
        place: sum(float(v[q]) * part for q, part in zip(look, share(look), strict=True))
        for place, look in windows(x.shape, kernel, stride)
    }
    size = [(s - k) // t + 1 for s, k, t in zip(x.shape[2:], kernel, stride, strict=True)]
    return at((*x.shape[:2], *size), lambda *p: found[p])


EXEMPT: dict[str, str] = {
    "arange": "has no operand: tests/ops/test_conventions.py",
    "constant": "has no operand; every sample with a plain number writes one",
    "scan": "is a loop: tests/ops/test_scan.py holds it against the unrolled program",
    "last": "reads a scan: tests/ops/test_scan.py",
    "stack": "reads a scan: tests/ops/test_scan.py",
    "call": "is its graph: tests/ops/test_scan.py",
    "scalar": "leaves a number of the host as it is: tests/ops/test_conventions.py",
}
