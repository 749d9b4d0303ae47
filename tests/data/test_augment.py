"""Augmentation: the same row, seed and epoch give the same image, whatever is around it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from glassgrad import data
from glassgrad.data.augment import Augment, mixup
from glassgrad.engine import image_changes
from glassgrad.errors import ConfigError, DataError, GlassgradError, ShapeError

plain = image_changes()

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 7)).astype("u1")
ALL = Augment(flip=True, shift=2, brightness=0.3, cutout=3)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 39), max_size=20), st.integers(0, 2**64 - 1), st.integers(0, 99))
def test_a_row_is_the_same_in_any_batch_and_order(rows: list[int], seed: int, epoch: int) -> None:
    for images in (IMAGES, IMAGES.astype(np.float32) / 255):
        whole = Augment(flip=True, shift=2, brightness=0.3, cutout=3)(
            images, range(40), seed=seed, epoch=epoch
        )
        part = ALL(images[np.array(rows, int)], rows, seed=seed, epoch=epoch)
        assert (part.dtype, part.shape) == (images.dtype, (len(rows), 3, 8, 7))
        np.testing.assert_array_equal(part, whole[np.array(rows, int)])


def test_threads_do_not_disturb_each_other() -> None:
    shared = Augment(flip=True, shift=2, cutout=2)
    jobs = [(seed, epoch) for seed in range(4) for epoch in range(8)] * 3

    def work(job: tuple[int, int]) -> NDArray[Any]:
        return shared(IMAGES, range(40), seed=job[0], epoch=job[1])

    with ThreadPoolExecutor(4) as pool:
        for job, found in zip(jobs, pool.map(work, jobs), strict=True):
            again = Augment(flip=True, shift=2, cutout=2)
            np.testing.assert_array_equal(
                found, again(IMAGES, range(40), seed=job[0], epoch=job[1])
            )


def test_seeds_and_epochs_differ_and_the_input_is_left_alone() -> None:
    before = IMAGES.copy()
    a, b, c = (ALL(IMAGES, range(40), seed=s, epoch=e) for s, e in ((0, 1), (0, 2), (1, 1)))
    assert (a != b).any()
    assert (a != c).any()
    np.testing.assert_array_equal(IMAGES, before)
    np.testing.assert_array_equal(Augment()(IMAGES, range(40)), IMAGES)


def test_one_setting_more_changes_no_other_draw() -> None:
    flipped = Augment(flip=True)(IMAGES, range(40), seed=3)
    both = Augment(flip=True, cutout=1)(IMAGES, range(40), seed=3)
    changed = (both != flipped).any(axis=1).sum(axis=(1, 2))
    assert changed.max() <= 1
    assert changed.sum() > 30


# The plain functions against loops, pixel by pixel.


def test_flipped_is_flipped() -> None:
    u = np.array([0.0, 0.499, 0.5, 0.99])
    found = plain.flipped_images(IMAGES[:4], u)
    for i, swap in enumerate([True, True, False, False]):
        for x in range(7):
            wanted = IMAGES[i, :, :, 6 - x if swap else x]
            np.testing.assert_array_equal(found[i, :, :, x], wanted)


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_shifted_is_shifted(dtype: str) -> None:
    images = IMAGES[:25].astype(dtype)
    moves = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]
    u = np.array([(dy + 2) / 5 + 0.1 for dy, _ in moves])
    v = np.array([(dx + 2) / 5 + 0.1 for _, dx in moves])
    found = plain.shifted_images(images, u, v, 2)
    assert found.dtype == dtype
    for i, (dy, dx) in enumerate(moves):
        for y in range(8):
            for x in range(7):
                inside = 0 <= y - dy < 8 and 0 <= x - dx < 7
                wanted = images[i, :, y - dy, x - dx] if inside else np.zeros(3)
                np.testing.assert_array_equal(found[i, :, y, x], wanted)


def test_brightened_stays_in_range() -> None:
    found = plain.brightened_images(IMAGES[:3], np.array([0.0, 0.5, 1 - 2**-53]), 0.5)
    for i, factor in enumerate([0.5, 1.0, 1.5]):
        for value, got in zip(IMAGES[i].ravel().tolist(), found[i].ravel().tolist(), strict=True):
            assert got == min(int(value * factor + 0.5), 255)
    real = plain.brightened_images(np.full((1, 1, 2, 2), -2.0), np.array([0.75]), 0.5)
    np.testing.assert_allclose(real, -2.5)


def test_a_hole_is_a_square_about_a_pixel() -> None:
    images = np.ones((56, 2, 8, 7), np.float32)
    at = [(y, x) for y in range(8) for x in range(7)]
    u = np.array([(y + 0.5) / 8 for y, _ in at])
    v = np.array([(x + 0.5) / 7 for _, x in at])
    for size in (1, 2, 3, 20):
        found = plain.images_with_hole(images, u, v, size)
        for i, (cy, cx) in enumerate(at):
            first_y, first_x = cy - size // 2, cx - size // 2
            for y in range(8):
                for x in range(7):
                    gone = first_y <= y < first_y + size and first_x <= x < first_x + size
                    assert (found[i, :, y, x] == (0 if gone else 1)).all()


def test_what_is_drawn_is_about_uniform() -> None:
    images = np.zeros((4000, 1, 9, 9), np.uint8)
    images[:, :, 4, 4] = 1
    moved = Augment(shift=2)(images, range(4000), seed=5)
    counts = moved.sum(axis=(0, 1))[2:7, 2:7]
    assert counts.sum() == 4000
    assert counts.min() > 100  # 160 each are expected; deviation 12
    assert counts.max() < 220


def test_what_was_drawn_once_is_drawn_for_ever() -> None:
    images = np.arange(96, dtype=np.uint8).reshape(6, 1, 4, 4)
    found = Augment(flip=True, shift=3)(images, range(6), seed=7, epoch=3)
    assert found.astype(int).sum(axis=(1, 2, 3)).tolist() == [0, 123, 129, 306, 64, 330]


def test_mixup_mixes_targets_as_inputs() -> None:
    x = np.arange(30.0)[:, None] * np.ones((1, 4))
    mixed, target = mixup(x, np.eye(30), range(30), seed=1, epoch=2)
    assert (mixed.dtype.name, target.dtype.name) == ("float32", "float32")
    np.testing.assert_allclose(target.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(target @ np.arange(30.0), mixed[:, 0], rtol=1e-5, atol=1e-5)
    assert (np.count_nonzero(target, axis=1) <= 2).all()
    part = mixup(x, np.eye(30), [7, 3], seed=1, epoch=2)
    np.testing.assert_array_equal(part[0], mixed[[7, 3]])
    np.testing.assert_array_equal(part[1], target[[7, 3]])


ANY: Any = Augment  # what callers without a type checker may write


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda: ANY(flip=1), ConfigError), (lambda: Augment(shift=-1), ConfigError),
        (lambda: ANY(shift=1.5), ConfigError), (lambda: Augment(cutout=True), ConfigError),
        (lambda: Augment(brightness=1.5), ConfigError), (lambda: ANY(brightness="a"), ConfigError),
        (lambda: Augment(brightness=float("nan")), ConfigError),
        (lambda: ALL(IMAGES[0], [0]), ShapeError), (lambda: ALL(IMAGES, [0]), ShapeError),
        (lambda: ALL(IMAGES.astype("i8"), range(40)), ShapeError),
        (lambda: Augment(shift=7)(IMAGES, range(40)), ShapeError),
        (lambda: ALL(IMAGES[:1], [-1]), DataError), (lambda: ALL(IMAGES[:1], [0.5]), DataError),
        (lambda: ALL(IMAGES[:1], [2**40]), DataError),
        (lambda: ALL(IMAGES[:1], [0], epoch=-1), ConfigError),
        (lambda: ALL(IMAGES[:1], [0], seed=-1), ConfigError),
        (lambda: mixup(IMAGES, np.zeros(40), [0]), ShapeError),
        (lambda: mixup(IMAGES, np.zeros((39, 2)), [0]), ShapeError),
        (lambda: mixup(IMAGES, np.zeros((40, 2)), [40]), DataError),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(call: Any, kind: type[GlassgradError]) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.expected
    assert caught.value.received


def test_batches_are_augmented_by_row_and_epoch() -> None:
    batches = data.Batches((IMAGES, np.arange(40)), 7, seed=2, augment=ALL)
    for epoch in (1, 2):
        whole = ALL(IMAGES, range(40), seed=2, epoch=epoch)
        for x, rows in batches:
            np.testing.assert_array_equal(x, whole[rows])
