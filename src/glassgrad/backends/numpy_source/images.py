"""Images changed a little: plain NumPy on images (n, c, h, w) and uniform numbers in [0, 1).

These functions stand word for word in printed programs; `data.Augment` says which of them are
used, and how much.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

import numpy as np

from .helpers import random_words


def augment_numbers(rows, seed, epoch):
    """Eight uniform numbers for each row: a function of seed, epoch and row alone."""
    bits = random_words(8 * rows, seed, "augment", epoch) >> np.uint64(11)
    return (bits.astype(np.float64) * 2.0**-53).reshape(rows, 8)


def flipped_images(images, u):
    """Left and right swapped where u is below a half."""
    return np.where((u < 0.5)[:, None, None, None], images[:, :, :, ::-1], images)


def shifted_images(images, u, v, most):
    """Moved by whole pixels, -most to most, down by u and right by v; what comes in is 0."""
    n, _, height, width = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (most, most), (most, most)))
    top = np.floor(u * (2 * most + 1)).astype(np.int64)
    left = np.floor(v * (2 * most + 1)).astype(np.int64)
    rows = 2 * most - top[:, None] + np.arange(height)
    columns = 2 * most - left[:, None] + np.arange(width)
    image = np.arange(n)[:, None, None]
    moved = padded[image, :, rows[:, :, None], columns[:, None, :]]
    return np.moveaxis(moved, 3, 1)


def brightened_images(images, u, by):
    """Times a factor from 1 - by to 1 + by; whole numbers are rounded and stay in 0 to 255."""
    factor = (1 + by * (2 * u - 1)).astype(np.float32)[:, None, None, None]
    lit = images * factor
    if images.dtype == np.uint8:
        lit = np.minimum(np.floor(lit + np.float32(0.5)), 255)
    return lit.astype(images.dtype)


def images_with_hole(images, u, v, size):
    """A square of zeros, size by size, about a pixel drawn by u and v; cut off at the border."""
    _, _, height, width = images.shape
    top = np.floor(u * height)[:, None] - size // 2
    left = np.floor(v * width)[:, None] - size // 2
    y, x = np.arange(height), np.arange(width)
    rows = (y >= top) & (y < top + size)
    columns = (x >= left) & (x < left + size)
    hole = rows[:, None, :, None] & columns[:, None, None, :]
    return np.where(hole, np.zeros((), images.dtype), images)
