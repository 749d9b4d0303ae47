# mypy: allow-untyped-defs, allow-untyped-calls, disable-error-code="index"
# ruff: noqa: B008, B905  (defaults computed once are meant; `strict=` would say little)

"""The short functions that a printed program may begin with.

The source text of each function is copied as it stands, with the helpers it calls, into programs
that run with NumPy alone. So the text uses only `np`, `math`, `hashlib`, `sliding_window_view`
and other functions of this file, and it is written for the reader of that program: no type
annotations, and what only we need to know stands in comments above a function.

All of them keep the dtype, take any number of rows (none too) and never write to their inputs;
`add_at` alone is there to write, into `out`. Images are (n, c, w), (n, c, h, w) or
(n, c, d, h, w): `kernel`, `stride` and `dilation` are tuples with one entry per image dimension.
Padding is an operation of its own. Sizes are not checked again: a window fits into its image.

Nothing here knows which axis counts the rows of a batch. Read as (1, c, h, w, n) with a window
of (k, k, 1), a batch is one three-dimensional image whose innermost axis is long, and the same
functions are mostly two to six times as fast (not where columns far exceed the cache).

Times in comments: one thread of a shared 2-core AMD EPYC, NumPy 2.4, best of several.
"""

import gzip
import hashlib
import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# -- convolution -----------------------------------------------------------------------------

# 128 images, 5 x 5 windows, float32: columns 0.7 ms from 1 x 28 x 28 and 1.2 from 6 x 12 x 12,
# uncolumns 2.3 and 3.6; with the batch innermost 0.3 and 0.2, 0.35 and 0.6 (memory kept).


def taps(image, kernel, stride, dilation=(1, 1, 1)):
    """For each place in a window, row by row: the index of what all windows of x have there."""
    lines = [
        [slice(i * d, size - (k - 1 - i) * d, s) for i in range(k)]
        for size, k, s, d in zip(image, kernel, stride, dilation)
    ]
    return [(..., *[line[i] for line, i in zip(lines, place)]) for place in np.ndindex(*kernel)]


def columns(x, kernel, stride, dilation):
    """Every window of x as one column: (n, c, *image) -> (n, c * prod(kernel), prod(out))."""
    axes = range(2, x.ndim)
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    windows = sliding_window_view(x, span, axis=tuple(axes))
    every = (..., *[slice(None, None, step) for step in (*stride, *dilation)])
    windows = windows[every]
    out = windows.shape[2 : x.ndim]
    windows = np.moveaxis(windows, axes, range(-len(axes), 0))
    return windows.reshape(len(x), x.shape[1] * math.prod(kernel), math.prod(out))


def uncolumns(cols, shape, kernel, stride, dilation):
    """Each column added back where its window lay; adjoint of columns, gives an array of shape."""
    x = np.zeros(shape, cols.dtype)
    places = taps(shape[2:], kernel, stride, dilation)
    out = x[places[0]].shape[2:]
    cols = cols.reshape(*shape[:2], len(places), *out)
    for i, place in enumerate(places):
        x[place] += cols[:, :, i]
    return x


# -- pooling ---------------------------------------------------------------------------------

# `d * first` makes nan of inf beside a winner (inf * 0); np.where would not, at twice the time of
# the whole function. A program stops at either before its update, so no weight sees a difference.
# No number equals a nan, so unpool gives nothing to a window that has one.
#
# 128 x 6 x 24 x 24 by 2 x 2, float32: max_pool 0.30 ms, unpool 1.1, mean_pool 0.3, mean_unpool
# 0.6; with the batch innermost max_pool 0.12, unpool 0.5.


def max_pool(x, kernel, stride):
    """The largest number of each window."""
    place, *others = taps(x.shape[2:], kernel, stride)
    y = x[place].copy()
    for place in others:
        np.maximum(y, x[place], out=y)
    return y


def unpool(d, x, y, kernel, stride):
    """Gradient of max pooling y of x: each window's first maximum takes all of it."""
    d_x, free = np.zeros(x.shape, d.dtype), np.ones(y.shape, bool)
    for place in taps(x.shape[2:], kernel, stride):
        first = (x[place] == y) & free
        d_x[place] += d * first
        free &= ~first  # this window has given its gradient away
    return d_x


def pool_take(v, x, y, kernel, stride):
    """What v has at the first maximum of each window of x; adjoint of unpool."""
    out, free = np.zeros(y.shape, v.dtype), np.ones(y.shape, bool)
    for place in taps(x.shape[2:], kernel, stride):
        first = (x[place] == y) & free
        out += v[place] * first
        free &= ~first
    return out


def mean_pool(x, kernel, stride):
    """The mean of each window."""
    place, *others = taps(x.shape[2:], kernel, stride)
    y = x[place].copy()
    for place in others:
        y += x[place]
    y /= math.prod(kernel)
    return y


def mean_unpool(d, shape, kernel, stride):
    """Gradient of mean pooling: each number of a window takes an equal share of its d."""
    share, d_x = d / math.prod(kernel), np.zeros(shape, d.dtype)
    for place in taps(shape[2:], kernel, stride):
        d_x[place] += share
    return d_x


# -- embedding -------------------------------------------------------------------------------

# 4,096 rows into 10,000 x 64: 0.6 ms; np.add.at by rows takes 2.8.


def add_at(out, index, values):
    """out[index] += values, row by row, where a row named twice is added to twice."""
    if out.flags.c_contiguous:  # the same number by number, which NumPy does much faster
        row = math.prod(out.shape[1:])
        index = (np.asarray(index, np.intp).reshape(-1, 1) * row + np.arange(row)).reshape(-1)
        out, values = out.reshape(-1), values.reshape(-1)
    np.add.at(out, index, values)


def add_rows(shape, index, values):
    """Gradient of x[index]: zeros of shape with each row of values added at its index."""
    out = np.zeros(shape, values.dtype)
    add_at(out, index, values)
    return out


# -- randomness ------------------------------------------------------------------------------

# The counter is an array, never a list: NumPy reads a list with an integer of 2**63 or more and
# smaller ones beside it as float64, and the low bits of the stream are gone. NumPy adds one to
# the counter before the first block, so the first four words belong to (1, 0, stream, step).
#
# 128 x 128: 68 microseconds in float32, 26 of them to make a Philox; 113 in float64.


def random_words(count, seed, name, step):
    """64-bit words of NumPy's own Philox: the seed is the key, name and step say where to start."""
    stream = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
    counter = np.array([0, 0, stream, step], np.uint64)
    return np.random.Philox(key=seed, counter=counter).random_raw(count)


def random_bits(shape, seed, name, step):
    """32-bit words: the two halves of each 64-bit word, low half first."""
    size = math.prod(shape)
    words = random_words((size + 1) // 2, seed, name, step)
    return words.astype("<u8", copy=False).view("<u4")[:size].reshape(shape)


def uniform(shape, dtype, seed, name, step):
    """Numbers in [0, 1): the top 24 of 32 random bits, for float64 the top 53 of 64."""
    if dtype == np.float64:
        words = random_words(math.prod(shape), seed, name, step).reshape(shape)
        return (words >> 11) * 2.0**-53
    return (random_bits(shape, seed, name, step) >> 8).astype(np.float32) * 2.0**-24


# -- the error function ----------------------------------------------------------------------

# Within 1.4 units in the last place for float64 (against mpmath) and 1.9 for float32; 260 and 190
# microseconds for 128 x 128 numbers, where math.erf on each takes 1,600. The known points lie
# below |x|, so height and strip add up and nothing cancels. 512 points to a unit: with 256, five
# terms of the series leave 5 units in the last place.


def erf(
    x,
    height=np.array([*map(math.erf, np.arange(3073) / 512)]),
    slope=2 / math.sqrt(math.pi) * np.exp(-((np.arange(3073) / 512) ** 2)),
):
    """The error function: a Taylor series from the nearest k / 512 below |x|, where it is known."""
    z = np.minimum(np.abs(x), 6)  # from 6 on erf is 1
    k = np.fmin(512 * z, 3072).astype(np.int32)  # fmin: nan reads the last entry and stays nan
    t = (k / 512).astype(x.dtype)
    h, t2 = z - t, t * t
    strip = slope.astype(x.dtype)[k] * h
    bend = (2 * t2 - 1) / 3 - h * (t * (2 * t2 - 3) / 6 - h * (4 * t2 * t2 - 12 * t2 + 3) / 30)
    return np.copysign(height.astype(x.dtype)[k] + (strip - strip * h * (t - h * bend)), x)


# -- activations ------------------------------------------------------------------------------


def sigmoid(x):
    """1 / (1 + exp(-x)), written so that exp never overflows."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


# -- files ------------------------------------------------------------------------------------


def read_idx(path, digest):
    """The numbers of a gzipped IDX file of bytes, if it is the very file the run was made with."""
    packed = path.read_bytes()
    if hashlib.sha256(packed).hexdigest() != digest:
        raise SystemExit(str(path) + " is not the file this run was made with")
    raw = gzip.decompress(packed)
    shape = np.frombuffer(raw, ">i4", raw[3], 4)
    return np.frombuffer(raw, np.uint8, -1, 4 + 4 * raw[3]).reshape(shape)
