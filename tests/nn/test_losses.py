"""Losses against PyTorch and Keras in float64, and the shapes, labels and settings they refuse."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.special

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import ConfigError, DataError, DTypeError, ShapeError, UsageError
from glassgrad.nn import losses
from tests.conftest import require_keras, require_torch

RNG = np.random.default_rng(5)
SCORES, IMAGES = RNG.normal(size=(6, 4)) * 3, RNG.normal(size=(3, 4, 2, 5))
NUMBERS, OTHERS, THIRDS = RNG.normal(size=(3, 6, 4)) * 2
P, Q = RNG.uniform(0.01, 0.99, (2, 6, 4))
SHARES, SHARED = RNG.dirichlet(np.ones(4), 6), RNG.dirichlet(np.ones(4), (3, 2, 5))
CLASSES, PIXELS = RNG.integers(0, 4, 6), RNG.integers(0, 4, (3, 2, 5))
CLASSES[0], PIXELS[0, 0, 0], CLASSES[1], PIXELS[0, 0, 1] = 2, 2, 1, 1  # some to ignore, and not all
SIGNS = np.where(RNG.random((6, 4)) < 0.5, -1.0, 1.0)
BITS = (SIGNS + 1) / 2
COUNTS = RNG.poisson(2.0, (6, 4)).astype(float)
W4, W6 = RNG.uniform(0.2, 3.0, 4), RNG.uniform(0.2, 3.0, (6, 1))
HOWS = ("mean", "sum", "none")
# Settings for PyTorch and for us, the same words: arrays are tensors for PyTorch.
Each = dict[str, Any]


def grid(**choices: tuple[Any, ...]) -> list[Each]:
    """Every choice with every other."""
    rows = itertools.product(*choices.values())
    return [{k: v for k, v in zip(choices, row, strict=True) if v is not None} for row in rows]


CLASS_SETTINGS = grid(
    weight=(None, W4), label_smoothing=(None, 0.1), ignore_index=(None, 2), reduction=HOWS
)
SHARE_SETTINGS = grid(weight=(None, W4), label_smoothing=(None, 0.3), reduction=HOWS)
ONE = grid(reduction=HOWS)

# Our name, PyTorch's, the operands, and all settings.
CASES: list[tuple[str, str, tuple[Any, ...], list[Each]]] = [
    ("mse", "mse_loss", (NUMBERS, OTHERS), ONE),
    ("mae", "l1_loss", (NUMBERS, OTHERS), ONE),
    ("huber", "huber_loss", (NUMBERS, OTHERS), grid(delta=(None, 0.3, 2.5), reduction=HOWS)),
    ("smooth_l1", "smooth_l1_loss", (NUMBERS, OTHERS), grid(beta=(None, 0, 0.3), reduction=HOWS)),
    (
        "poisson_nll",
        "poisson_nll_loss",
        (NUMBERS, COUNTS),
        grid(full=(False, True), log_input=(True,), reduction=HOWS),
    ),
    (
        "poisson_nll",
        "poisson_nll_loss",
        (P, COUNTS),
        grid(full=(False, True), log_input=(False,), eps=(None, 1e-3), reduction=HOWS),
    ),
    (
        "gaussian_nll",
        "gaussian_nll_loss",
        (NUMBERS, OTHERS, P * 3),
        grid(full=(False, True), eps=(None, 0.5), reduction=HOWS),
    ),
    ("gaussian_nll", "gaussian_nll_loss", (NUMBERS, OTHERS, P[:, :1]), ONE),
    ("gaussian_nll", "gaussian_nll_loss", (NUMBERS, OTHERS, P[:, 0]), ONE),
    (
        "binary_cross_entropy",
        "binary_cross_entropy",
        (P, Q),
        grid(weight=(None, W4, W6), reduction=HOWS),
    ),
    (
        "binary_cross_entropy_with_logits",
        "binary_cross_entropy_with_logits",
        (SCORES * 20, Q),
        grid(weight=(None, W4, W6), pos_weight=(None, W4), reduction=HOWS),
    ),
    ("cross_entropy", "cross_entropy", (SCORES * 50, CLASSES), CLASS_SETTINGS),
    ("cross_entropy", "cross_entropy", (IMAGES, PIXELS), CLASS_SETTINGS),
    ("cross_entropy", "cross_entropy", (SCORES, SHARES), SHARE_SETTINGS),
    ("cross_entropy", "cross_entropy", (SCORES, np.eye(4)[CLASSES]), SHARE_SETTINGS),
    (
        "cross_entropy",
        "cross_entropy",
        (IMAGES, np.moveaxis(SHARED, -1, 1).copy()),
        SHARE_SETTINGS,
    ),
    (
        "nll",
        "nll_loss",
        (np.log(SHARES), CLASSES),
        grid(weight=(None, W4), ignore_index=(None, 1), reduction=HOWS),
    ),
    (
        "nll",
        "nll_loss",
        (np.log(np.moveaxis(SHARED, -1, 1)).copy(), PIXELS),
        grid(weight=(None, W4), ignore_index=(None, 1), reduction=HOWS),
    ),
    (
        "kl_div",
        "kl_div",
        (np.log(SHARES), SHARES[::-1].copy()),
        grid(log_target=(False,), reduction=(*HOWS, "batchmean")),
    ),
    (
        "kl_div",
        "kl_div",
        (np.log(SHARES), np.log(SHARES[::-1])),
        grid(log_target=(True,), reduction=(*HOWS, "batchmean")),
    ),
    ("soft_margin", "soft_margin_loss", (NUMBERS, SIGNS), ONE),
    (
        "hinge_embedding",
        "hinge_embedding_loss",
        (P * 2, SIGNS),
        grid(margin=(None, 0.7), reduction=HOWS),
    ),
    (
        "multi_margin",
        "multi_margin_loss",
        (NUMBERS, CLASSES),
        grid(p=(1, 2), margin=(None, 0.3), weight=(None, W4), reduction=HOWS),
    ),
    (
        "multilabel_soft_margin",
        "multilabel_soft_margin_loss",
        (NUMBERS, BITS),
        grid(weight=(None, W4), reduction=HOWS),
    ),
    (
        "margin_ranking",
        "margin_ranking_loss",
        (NUMBERS, OTHERS, SIGNS),
        grid(margin=(None, 0.5, -0.5), reduction=HOWS),
    ),
    (
        "cosine_embedding",
        "cosine_embedding_loss",
        (NUMBERS, OTHERS, SIGNS[:, 0]),
        grid(margin=(None, 0.4), reduction=HOWS),
    ),
    (
        "cosine_embedding",
        "cosine_embedding_loss",
        (NUMBERS[0], OTHERS[0], np.float64(-1.0)),
        ONE,
    ),
    (
        "triplet_margin",
        "triplet_margin_loss",
        (NUMBERS, OTHERS, THIRDS),
        grid(margin=(None, 3.0), p=(None, 1, 3.0), swap=(False, True), reduction=HOWS),
    ),
]


def told(settings: Each) -> str:
    return ",".join(f"{k}={'...' if isinstance(v, np.ndarray) else v}" for k, v in settings.items())


@pytest.mark.parametrize(
    ("ours", "theirs", "operands", "settings"),
    [
        pytest.param(ours, theirs, operands, settings, id=f"{ours}-{i}-{told(settings)}")
        for i, (ours, theirs, operands, every) in enumerate(CASES)
        for settings in every
    ],
)
@pytest.mark.filterwarnings("ignore:reduction. .mean. divides")  # PyTorch's, on kl_div
def test_values_and_gradients_are_pytorchs(
    ours: str, theirs: str, operands: tuple[Any, ...], settings: Each
) -> None:
    torch = require_torch()
    moved = [isinstance(a, np.ndarray) and a.dtype == np.float64 for a in operands]
    if theirs in ("multilabel_soft_margin_loss", "soft_margin_loss", "hinge_embedding_loss",
                  "margin_ranking_loss", "cosine_embedding_loss", "binary_cross_entropy",
                  "poisson_nll_loss"):  # fmt: skip
        moved[-1] = False  # PyTorch has no derivative there, or not everywhere
    a = [gg.tensor(x, requires_grad=m) for x, m in zip(operands, moved, strict=True)]
    b = [torch.tensor(x, requires_grad=m) for x, m in zip(operands, moved, strict=True)]
    one = getattr(losses, ours)(*a, **settings)
    two = getattr(torch.nn.functional, theirs)(
        *b, **{k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in settings.items()}
    )
    assert one.shape == tuple(two.shape)
    np.testing.assert_allclose(one.numpy(), two.detach().numpy(), rtol=1e-11, atol=1e-13)
    each = np.random.default_rng(1).normal(size=one.shape)
    (one * gg.tensor(each)).sum().backward()
    (two * torch.tensor(each)).sum().backward()
    for x, y, m in zip(a, b, moved, strict=True):
        if m:
            assert x.grad is not None
            np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-9, atol=1e-13)


def keras_value(loss: str, target: Any, prediction: Any, **settings: Any) -> Any:
    keras, torch = require_keras(), require_torch()
    found = getattr(keras.losses, loss)(torch.tensor(target), torch.tensor(prediction), **settings)
    return found.numpy()


def test_losses_that_keras_alone_has_are_its() -> None:
    """To the digits of float32, in which Keras takes its means; tests/oracles.py has all digits."""

    def ours(name: str, *operands: Any, **settings: Any) -> Any:
        tensors = [gg.tensor(a) for a in operands]
        found = getattr(losses, name)(*tensors, reduction="none", **settings).numpy()
        return found.mean(axis=-1) if found.ndim > 1 else found  # Keras: first over the last axis

    def same(name: str, target: Any, mine: Any = None, theirs: str = "", **settings: Any) -> None:
        found = ours(name, NUMBERS, target if mine is None else mine, **settings)
        if name == "focal":
            settings["apply_class_balancing"] = True
        if "focal" in name:
            settings["from_logits"] = True
        expected = keras_value(theirs or name, target, NUMBERS, **settings)
        np.testing.assert_allclose(found, expected, rtol=1e-6)

    same("log_cosh", OTHERS)
    same("hinge", SIGNS)
    same("squared_hinge", SIGNS)
    same("cosine_similarity", OTHERS)
    one_hot = np.eye(4)[CLASSES]
    for gamma, alpha in ((2.0, 0.25), (1.5, 0.7), (0.0, 0.4)):
        set_to: Each = {"gamma": gamma, "alpha": alpha}
        same("focal", BITS, theirs="binary_focal_crossentropy", **set_to)
        theirs = "categorical_focal_crossentropy"
        same("categorical_focal", one_hot, theirs=theirs, **set_to)
        same("categorical_focal", one_hot, CLASSES, theirs=theirs, **set_to)


def test_focal_losses_by_hand() -> None:
    """Per number a (1 - q)^gamma (-log q), q the share of the right answer, by SciPy's sigmoid."""
    for z, bit in itertools.product((-3.0, -0.1, 0.0, 2.0), (0.0, 1.0)):
        q = scipy.special.expit(z if bit else -z)
        expected = (0.3 if bit else 0.7) * (1 - q) ** 1.7 * -np.log(q)
        found = losses.focal(
            gg.tensor([z], "float64"), gg.tensor([bit], "float64"), alpha=0.3, gamma=1.7
        )
        assert found.item() == pytest.approx(expected, rel=1e-13)
    q = scipy.special.softmax(NUMBERS, axis=1)[np.arange(6), CLASSES]
    found = losses.categorical_focal(gg.tensor(NUMBERS), CLASSES, alpha=0.6, gamma=1.7)
    assert found.item() == pytest.approx(-(0.6 * (1 - q) ** 1.7 * np.log(q)).mean(), rel=1e-13)


def test_contrastive_is_the_papers() -> None:
    y = BITS[:, 0]
    d = np.sqrt(((NUMBERS - OTHERS) ** 2).sum(1))
    expected = (1 - y) * d**2 / 2 + y * np.maximum(0, 6.0 - d) ** 2 / 2
    a, b = gg.tensor(NUMBERS, requires_grad=True), gg.tensor(OTHERS)
    found = losses.contrastive(a, b, y, margin=6.0, reduction="none")
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-13)
    found.sum().backward()
    pull = (1 - y - y * np.maximum(0, 6.0 - d) / d)[:, None] * (NUMBERS - OTHERS)
    assert a.grad is not None
    np.testing.assert_allclose(a.grad.numpy(), pull, rtol=1e-12)


def test_pairs_that_coincide_have_finite_derivatives() -> None:
    same, zero = gg.tensor(NUMBERS, requires_grad=True), np.zeros((6, 4))
    for loss in (
        losses.contrastive(same, NUMBERS, np.ones(6)),
        losses.triplet_margin(same, NUMBERS, NUMBERS),
        losses.cosine_embedding(same, zero, SIGNS[:, 0]),
        losses.cosine_similarity(same * 0, zero),
    ):
        same.grad = None
        loss.backward()
        assert np.isfinite(loss.item())
        assert same.grad is not None
        assert np.isfinite(same.grad.numpy()).all()


LOG2 = float(np.log(2))
LARGE = np.array([[1e4, -1e4, 0.0]])
EXTREMES: list[tuple[str, Any, Any, Each, float]] = [
    ("log_cosh", LARGE, np.zeros((1, 3)), {"reduction": "sum"}, 2e4 - 2 * LOG2),
    (
        "binary_cross_entropy_with_logits",
        LARGE,
        [[0.0, 1.0, 0.0]],
        {"reduction": "sum"},
        2e4 + LOG2,
    ),
    ("binary_cross_entropy_with_logits", LARGE, [[1.0, 0.0, 1.0]], {"reduction": "sum"}, LOG2),
    ("cross_entropy", LARGE, [1], {}, 2e4),
    ("cross_entropy", LARGE, [0], {"label_smoothing": 0.3}, 0.1 * 3e4),
    ("kl_div", np.log([[0.25, 0.75]]), [[0.0, 1.0]], {"reduction": "sum"}, -np.log(0.75)),
    ("soft_margin", LARGE, [[-1.0, 1.0, 1.0]], {"reduction": "sum"}, 2e4 + LOG2),
    ("focal", LARGE, [[0.0, 1.0, 0.0]], {"alpha": None, "reduction": "sum"}, 2e4 + LOG2 / 4),
    ("focal", LARGE, [[1.0, 0.0, 0.0]], {"gamma": 0.5, "reduction": "sum"}, 0.75 * 0.5**0.5 * LOG2),
    ("categorical_focal", LARGE, [1], {"alpha": 1.0}, 2e4),
    ("categorical_focal", LARGE, [0], {"alpha": 1.0, "gamma": 0.5}, 0.0),
    ("multi_margin", LARGE, [1], {"p": 1}, (2e4 + 1e4 + 2) / 3),
    ("huber", LARGE * 1e150, np.zeros((1, 3)), {"reduction": "sum"}, 2e154),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "scores", "target", "settings", "value"), EXTREMES)
def test_extreme_predictions_have_finite_losses_and_gradients(
    name: str, scores: Any, target: Any, settings: Each, value: float, dtype: str
) -> None:
    if value > 1e30 and dtype == "float32":
        scores, value = scores / 1e120, value / 1e120
    t = np.asarray(target)
    z = gg.tensor(scores, dtype, requires_grad=True)
    loss = getattr(losses, name)(z, t.astype(dtype) if t.dtype.kind == "f" else t, **settings)
    assert loss.item() == pytest.approx(value, rel=1e-6)
    loss.backward()
    assert z.grad is not None
    assert np.isfinite(z.grad.numpy()).all()


def test_a_small_error_keeps_its_digits_in_log_cosh() -> None:
    e = gg.tensor([1e-3, 0.0], "float64")
    found = losses.log_cosh(e, gg.tensor([0.0, 0.0], "float64"), reduction="none").numpy()
    assert found[0] == pytest.approx(1e-6 / 2 - 1e-12 / 12, rel=1e-12)
    assert found[1] == 0


def test_probabilities_of_exactly_0_and_1_are_clipped_as_the_article_does() -> None:
    for dtype, eps in (("float64", 1e-15), ("float32", 1e-7)):
        p = gg.tensor([0.0, 1.0], dtype, requires_grad=True)
        loss = losses.binary_cross_entropy(p, gg.tensor([1.0, 0.0], dtype))
        assert loss.item() == pytest.approx(-np.log(eps), rel=2e-2)
        loss.backward()
        assert p.grad is not None
        assert np.isfinite(p.grad.numpy()).all()


def test_what_is_ignored_counts_nothing_whatever_it_is() -> None:
    z = gg.tensor([[1.0, 2.0], [np.nan, np.inf]], "float64", requires_grad=True)
    losses.cross_entropy(z, [0, -100], ignore_index=-100).backward()
    assert z.grad is not None
    np.testing.assert_array_equal(z.grad.numpy()[1], 0)
    with np.errstate(invalid="ignore"):
        assert np.isnan(losses.cross_entropy(z, [-1, -1], ignore_index=-1).item())  # as PyTorch's


# -- objects with settings ----------------------------------------------------------------------


@pytest.mark.parametrize("record", losses.RECORDS, ids=lambda r: r.name)
def test_every_loss_has_a_class_that_does_what_its_function_does(record: Any) -> None:
    made = getattr(nn, record.made)
    assert issubclass(made, losses.Loss)
    assert repr(made()) == f"{record.made}()"
    assert made().settings == record.defaults
    assert made.__doc__
    assert record.by_rows == (record.name in losses.NAMED)
    operands, _ = next(
        (operands, settings) for name, _, operands, settings in [*CASES, *OWN]
        if name == record.function.__name__
    )  # fmt: skip
    tensors = [gg.tensor(a) for a in operands]
    assert made()(*tensors).item() == record.function(*tensors).item()
    np.testing.assert_array_equal(
        made(reduction="none")(*tensors).numpy(),
        record.function(*tensors, reduction="none").numpy(),
    )
    if record.by_rows:
        unreduced = made()(*tensors, reduction="none")
        assert unreduced.shape[0] == len(operands[0])
        assert losses.find(record.name) == (record.name, record.function)
        assert losses.find(record.function) == (record.name, record.function)
        made_now = made()
        assert losses.find(made_now) == (record.name, made_now)
    else:
        with pytest.raises(ConfigError, match="is not of"):
            losses.find(made())


OWN: list[tuple[str, str, tuple[Any, ...], list[Each]]] = [
    ("log_cosh", "", (NUMBERS, OTHERS), []),
    ("hinge", "", (NUMBERS, SIGNS), []),
    ("squared_hinge", "", (NUMBERS, SIGNS), []),
    ("cosine_similarity", "", (NUMBERS, OTHERS), []),
    ("focal", "", (NUMBERS, BITS), []),
    ("categorical_focal", "", (NUMBERS, CLASSES), []),
    ("contrastive", "", (NUMBERS, OTHERS, BITS[:, 0]), []),
]


def test_objects_show_and_keep_their_settings() -> None:
    loss = nn.CrossEntropyLoss(weight=[1, 2.5], label_smoothing=0.1, reduction="mean")
    assert repr(loss) == "CrossEntropyLoss(weight=[1.0, 2.5], label_smoothing=0.1)"
    assert repr(loss.but(reduction="sum", label_smoothing=0.0)) == (
        "CrossEntropyLoss(weight=[1.0, 2.5], reduction='sum')"
    )
    assert repr(nn.CrossEntropyLoss(weight=np.ones(20))) == "CrossEntropyLoss(weight=<20 numbers>)"
    given = np.array([1.0, 2.0])
    loss = nn.CrossEntropyLoss(weight=given)
    z = gg.tensor([[1.0, 2.0], [0.5, 0.0]])
    before = loss(z, [0, 1]).item()
    given[:] = 7  # a loss copies what it is given
    assert loss(z, [0, 1]).item() == before
    with pytest.raises(ValueError, match="read-only"):
        loss.settings["weight"][0] = 3


def test_a_function_with_weights_compiles() -> None:
    w, z, y = np.array([1.0, 2.0, 3.0, 4.0]), gg.tensor(SCORES, "float64"), gg.tensor(CLASSES)
    both: list[Any] = [
        nn.CrossEntropyLoss(weight=w, label_smoothing=0.2),
        lambda z, y: losses.cross_entropy(z, y, weight=w.tolist(), label_smoothing=0.2),
    ]
    for loss in both:
        assert gg.compile(loss)(z, y).item() == pytest.approx(loss(z, y).item(), rel=1e-15)
    bits = gg.tensor(BITS)
    for each in (nn.BCEWithLogitsLoss(weight=w, pos_weight=w), nn.BCELoss(weight=w)):
        p = gg.tensor(P)
        assert gg.compile(each)(p, bits).item() == pytest.approx(each(p, bits).item(), rel=1e-15)


def test_the_loss_of_rows_as_vectors_is_less_pytorchs_similarity() -> None:
    torch = require_torch()
    theirs = torch.nn.functional.cosine_similarity(torch.tensor(NUMBERS), torch.tensor(OTHERS))
    found = losses.cosine_similarity(gg.tensor(NUMBERS), gg.tensor(OTHERS), reduction="none")
    np.testing.assert_allclose(found.numpy(), -theirs.numpy(), rtol=1e-13)


# -- what is refused ---------------------------------------------------------------------------

Z, Z64 = gg.tensor([[1.0, 2.0], [3.0, 4.0]]), gg.tensor([[1.0, 2.0]], "float64")
V = gg.tensor([1.0, 2.0])


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: losses.mse(gg.tensor([1.0, 2.0]), [[1.0], [2.0]]), ShapeError, "never stretches"),
        (lambda: losses.mse(gg.tensor([1.0, 2.0]), 1.0), ShapeError, "different shapes"),
        (
            lambda: losses.binary_cross_entropy(Z, gg.tensor([1.0, 0.0])),
            ShapeError,
            "different shapes",
        ),
        (
            lambda: losses.binary_cross_entropy_with_logits(Z, [[1.0]]),
            ShapeError,
            "different shapes",
        ),
        (
            lambda: losses.binary_cross_entropy_with_logits(Z, [[1.0]], pos_weight=[1.0]),
            ShapeError,
            "different shapes",
        ),
        (lambda: losses.mse(Z, np.ones((2, 2))), DTypeError, "different kinds of number"),
        (lambda: losses.cross_entropy(gg.tensor([1.0]), [0]), ShapeError, "two axes"),
        (lambda: losses.cross_entropy(Z, [0, 1, 1]), ShapeError, "one class for each row"),
        (lambda: losses.cross_entropy(Z, [[0], [1]]), ShapeError, r"y.reshape\(-1\)"),
        (lambda: losses.cross_entropy(Z, [0.0, 1.0]), DTypeError, "whole numbers"),
        (lambda: losses.cross_entropy(Z, [0, 2]), DataError, "row 1 of the target"),
        (lambda: losses.cross_entropy(Z, [-1, 0]), DataError, "0 to 1, for 2 outputs"),
        (lambda: losses.cross_entropy(Z, np.array([0, 7])), DataError, "row 1 of the target"),
        (lambda: losses.cross_entropy(Z, [[1.0, 0.0]]), ShapeError, "different shapes"),
        (lambda: losses.cross_entropy(Z, [0, -1], ignore_index=-2), DataError, "or -2"),
        (lambda: losses.cross_entropy(Z, [0, 1], weight=[1.0]), ShapeError, "each class"),
        (lambda: losses.cross_entropy(Z, [0, 1], weight=["a"]), ConfigError, "finite numbers"),
        (
            lambda: losses.cross_entropy(Z, [0, 1], weight=[1.0, np.nan]),
            ConfigError,
            "finite numbers",
        ),
        (lambda: losses.cross_entropy(Z, [0, 1], label_smoothing=1.5), ConfigError, "from 0 to 1"),
        (lambda: losses.cross_entropy(Z, Z, ignore_index=1), ConfigError, "no index to ignore"),
        (lambda: losses.cross_entropy(Z, [0, 1], reduction="average"), ConfigError, "mean, sum"),
        (lambda: losses.nll(Z, [0, 10]), DataError, "row 1 of the target"),
        (lambda: losses.nll(Z, Z), ShapeError, "one class for each row"),
        (lambda: losses.multi_margin(Z, [0, 2]), DataError, "row 1 of the target"),
        (lambda: losses.multi_margin(Z, [0, 1], p=3), ConfigError, "1 or 2"),
        (lambda: losses.categorical_focal(Z, [0, 2]), DataError, "row 1 of the target"),
        (lambda: losses.hinge(V, [1.0, 0.0]), DataError, "row 1 of the target"),
        (lambda: losses.squared_hinge(Z, [[1.0, 1.0], [2.0, 1.0]]), DataError, "row 1"),
        (lambda: losses.soft_margin(V, [[1.0], [-1.0]]), ShapeError, "different shapes"),
        (lambda: losses.huber(V, [1.0, 0.0], delta=0.0), ConfigError, "above 0"),
        (lambda: losses.binary_cross_entropy(V, [1.0, 0.0], weight=Z), ShapeError, "do not fit"),
        (lambda: losses.gaussian_nll(V, [1.0, 0.0], [1.0, -1.0]), DataError, "below 0"),
        (lambda: losses.gaussian_nll(Z, Z, [[1.0, 2.0]]), ShapeError, "different shapes"),
        (lambda: losses.kl_div(V, V, reduction="rows"), ConfigError, "batchmean"),
        (lambda: losses.kl_div(gg.tensor(1.0), 1.0, reduction="batchmean"), ShapeError, "no rows"),
        (lambda: losses.margin_ranking(V, V, [1.0]), ShapeError, "different shapes"),
        (lambda: losses.cosine_embedding(Z, Z, [1.0]), ShapeError, "one target for each"),
        (lambda: losses.cosine_embedding(Z, Z, [1.0, 1.0], margin=2), ConfigError, "-1 to 1"),
        (lambda: losses.cosine_embedding(Z, Z, [1.0, 0.0]), DataError, "row 1 of the target"),
        (lambda: losses.triplet_margin(Z, Z, V), ShapeError, "different shapes"),
        (lambda: losses.triplet_margin(Z, Z, Z, p=0), ConfigError, "a number from 1"),
        (lambda: losses.contrastive(Z, Z, [[1.0, 0.0]]), ShapeError, "one target for each"),
        (lambda: nn.HuberLoss(dleta=2.0), ConfigError, "delta"),
        (lambda: nn.HuberLoss(delta=-2.0), ConfigError, "above 0"),
        (lambda: nn.MSELoss(reduction="avg"), ConfigError, "mean, sum, none"),
        (lambda: nn.CrossEntropyLoss(weight="balanced"), ConfigError, "finite numbers"),
        (lambda: nn.MSELoss()(V), UsageError, "prediction, target"),
        (lambda: losses.find("mes"), ConfigError, "mse"),
        (lambda: losses.find(nn.MSELoss), ConfigError, r"MSELoss\(\)"),
        (lambda: losses.find("triplet_margin"), ConfigError, "unknown loss"),
        (lambda: losses.find(losses.triplet_margin), ConfigError, "anchor, positive, negative"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        call()
