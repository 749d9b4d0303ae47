"""Every loss in fit: the eager loop's numbers, weights that are kept with the run, refused targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.errors import ConfigError, DataError, DTypeError, GlassgradError, TraceError
from glassgrad.inspect.run import write_run
from glassgrad.nn import losses
from tests.programs.cases import Case
from tests.programs.test_replay import replay

RNG = np.random.default_rng(3)
X = RNG.normal(size=(30, 4))
CLASSES = RNG.integers(0, 3, 30)
SOME = np.where(np.arange(30) % 5 == 2, -100, CLASSES)
NUMBERS = RNG.normal(size=(30, 3))
SIGNS = np.where(NUMBERS > 0, 1, -1)
W3 = np.array([0.5, 2.0, 1.25])
TARGETS: dict[str, Any] = {
    "bce": NUMBERS > 0, "bce_logits": NUMBERS > 0, "focal": NUMBERS > 0,
    "multilabel_soft_margin": NUMBERS > 0, "poisson_nll": np.abs(NUMBERS), "kl_div": NUMBERS**2,
}  # fmt: skip


def net(loss: str = "") -> nn.Module:
    """A linear network, ending in what the loss takes."""
    last: dict[str, list[nn.Module]] = {
        "bce": [nn.Sigmoid()],
        "nll": [nn.LogSoftmax()],
        "kl_div": [nn.LogSoftmax()],
    }
    gg.seed(0)
    return nn.Sequential(nn.Linear(4, 3, dtype="float64"), *last.get(loss, []))


def targets(record: losses.LossRecord) -> Any:
    kinds = {"classes": CLASSES, "signs": SIGNS, "numbers": NUMBERS}
    return np.asarray(TARGETS.get(record.name, kinds[record.target]))


def fitted(model: nn.Module, y: Any, loss: Any, **settings: Any) -> Any:
    settings = {"epochs": 2, "batch_size": 8, "shuffle": False, "metrics": (), **settings}
    return gg.fit(model, X, y, loss=loss, optimizer=optim.SGD(0.1), verbose=False, **settings)


def by_hand(model: nn.Module, y: Any, loss: Any) -> list[float]:
    """The same, eagerly."""
    optimizer = optim.SGD(0.1).bind(model)
    history = []
    for _ in range(2):
        total = 0.0
        for start in range(0, 30, 8):
            rows = slice(start, start + 8)
            found = loss(model(gg.tensor(X[rows])), gg.tensor(y[rows]))
            total += found.item() * len(X[rows])
            found.backward()
            optimizer.step()
            optimizer.zero_grad()
        history.append(total / 30)
    return history


def check_same(loss: Any, y: Any, name: str = "", own: Any = None) -> None:
    one, two = net(name), net(name)
    history = fitted(one, y, loss)
    eager = np.asarray(y) if np.asarray(y).dtype == np.int64 else np.asarray(y, np.float64)
    np.testing.assert_allclose(history["loss"], by_hand(two, eager, own or loss), rtol=1e-12)
    for key, array in one.state_dict().items():
        np.testing.assert_allclose(array, two.state_dict()[key], rtol=1e-11, atol=1e-14)
    scored = gg.evaluate(one, X, y, loss=loss, metrics=())["loss"]
    expected = (own or loss)(one(gg.tensor(X)), gg.tensor(eager)).item()
    assert scored == pytest.approx(expected, rel=1e-12)


NAMED = [r for r in losses.RECORDS if r.by_rows]


@pytest.mark.parametrize("record", NAMED, ids=lambda r: r.name)
def test_every_loss_trains_by_name_as_by_hand(record: losses.LossRecord) -> None:
    y = targets(record)
    y = y.astype(np.float64) if record.target != "classes" else y
    check_same(record.name, y, record.name, own=record.function)


@pytest.mark.parametrize("record", NAMED, ids=lambda r: r.name)
def test_rows_of_every_loss_can_be_weighted(record: losses.LossRecord) -> None:
    """Rows of weight 0 and 2 train as the rows that are left, each twice, over all of them."""
    y, weights = targets(record), np.where(np.arange(30) % 2 == 0, 2.0, 0.0)
    one, two = net(record.name), net(record.name)
    fitted(one, y, record.name, batch_size=None, sample_weight=weights)
    gg.fit(
        two, X[::2], y[::2], loss=getattr(nn, record.made)(), optimizer=optim.SGD(0.1), epochs=2,
        verbose=False,
    )  # fmt: skip
    for key, array in one.state_dict().items():
        np.testing.assert_allclose(array, two.state_dict()[key], rtol=1e-11, atol=1e-14)


WITH_SETTINGS: list[tuple[Any, Any]] = [
    (nn.CrossEntropyLoss(weight=W3), CLASSES),
    (nn.CrossEntropyLoss(weight=W3.tolist(), label_smoothing=0.1, ignore_index=-100), SOME),
    (nn.CrossEntropyLoss(ignore_index=-100), SOME),
    (nn.CrossEntropyLoss(weight=W3, label_smoothing=0.2), np.eye(3)[CLASSES]),
    (nn.MultiMarginLoss(p=2, weight=W3), CLASSES),
    (nn.BCEWithLogitsLoss(weight=W3, pos_weight=2 * W3), (NUMBERS > 0).astype(float)),
    (nn.HuberLoss(delta=0.3), NUMBERS),
    (nn.MSELoss(reduction="sum"), NUMBERS / 10),
    (nn.HingeLoss(margin=0.5), SIGNS.astype(float)),
]


@pytest.mark.parametrize(("loss", "y"), WITH_SETTINGS, ids=lambda v: repr(v)[:40])
def test_losses_with_settings_train_as_by_hand(loss: Any, y: Any) -> None:
    check_same(loss, y)


@pytest.mark.usefixtures("numpy_engine")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_run_with_weighted_losses_replays_bit_for_bit(dtype: str, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 3, dtype=dtype))
    settings = {
        "loss": nn.CrossEntropyLoss(weight=W3, label_smoothing=0.1, ignore_index=-100),
        "optimizer": optim.Adam(1e-2), "epochs": 3, "batch_size": 8,
        "validation_data": (X[:9], SOME[:9]),
    }  # fmt: skip
    history, table, final, _ = replay(Case(model, X, SOME, settings), tmp_path)
    assert table.decode() == history.to_csv(seconds=False)
    for name, array in model.state_dict().items():
        assert final[name].tobytes() == array.tobytes()
    with np.load(tmp_path / "initial.npz") as file:
        np.testing.assert_array_equal(file["loss.weight"], W3.astype(dtype))


def test_a_users_loss_may_hold_several_weighted_ones() -> None:
    first, second = nn.CrossEntropyLoss(weight=W3), nn.CrossEntropyLoss(weight=[3.0, 1.0, 2.0])
    scale = nn.Buffer(np.array(0.25))

    def both(z: Any, y: Any) -> Any:
        return first(z, y) + scale * second(2 * z, y) + losses.nll(z, y, weight=[1, 2, 3])

    check_same(both, CLASSES)


def test_the_words_of_a_run_say_the_settings(tmp_path: Path) -> None:
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    history = fitted(net(), CLASSES, loss)
    place = write_run(history, tmp_path / "run")
    config = (place / "config.toml").read_text()
    assert 'loss = "CrossEntropyLoss(label_smoothing=0.1)"' in config
    text = gg.source(net(), X, CLASSES, loss=loss, optimizer="sgd")
    assert "loss       cross-entropy of softmax, label_smoothing=0.1, mean over the batch" in text
    assert "# loss: cross-entropy, label_smoothing=0.1\n" in text  # the formula would not hold
    text = gg.source(net(), X, NUMBERS, loss=nn.HuberLoss(reduction="sum"), optimizer="sgd")
    assert "Huber's loss, sum over the batch" in text
    assert "L = sum of m * (|p - t| - m / 2), where m = min(|p - t|, delta)" in text
    assert "dp = (p - t, cut to -delta .. delta)\n" in text
    assert "loss       mean squared error, mean over the batch" in gg.source(
        net(), X, NUMBERS, loss="mean_squared_error", optimizer="sgd"
    )


def test_accuracy_is_of_the_losses_that_classify() -> None:
    for name, y in (("hinge", SIGNS), ("multi_margin", CLASSES), ("nll", CLASSES)):
        model = net(name)
        found = gg.evaluate(model, X, y, loss=name)
        p = gg.predict(model, X)
        right = (p > 0) == (y > 0) if name == "hinge" else p.argmax(1) == y
        if name == "hinge":  # of several columns the largest is meant
            right = p.argmax(1) == y.argmax(1)
        assert found["accuracy"] == pytest.approx(right.mean())
    one = nn.Sequential(nn.Linear(4, 1, dtype="float64"))
    y = SIGNS[:, :1]
    found = gg.evaluate(one, X, y, loss="squared_hinge")
    assert found["accuracy"] == pytest.approx(((gg.predict(one, X) > 0) == (y > 0)).mean())


def _own(z: Any, y: Any) -> Any:
    return losses.cross_entropy(z, y, ignore_index=-100)


@pytest.mark.parametrize(
    ("loss", "y", "error", "says"),
    [
        ("cross_entropy", SOME, DataError, "row 2 of y"),
        (nn.CrossEntropyLoss(ignore_index=-1), SOME, DataError, "row 2 of y"),
        (nn.CrossEntropyLoss(weight=W3), SOME, DataError, "row 2 of y"),
        (nn.CrossEntropyLoss(ignore_index=-100), SOME + 1, DataError, r"row \d+ of y"),
        (_own, SOME - (SOME == 0), DataError, "or -100, which is ignored"),
        ("nll", CLASSES + 10, DataError, "row 0 of y"),
        ("multi_margin", SOME, DataError, "row 2 of y"),
        ("categorical_focal", SOME, DataError, "row 2 of y"),
        ("nll", CLASSES + 0.5, DTypeError, "classes are whole numbers"),
        ("hinge", NUMBERS > 0, DataError, r"2 \* y - 1"),
        ("squared_hinge", np.where(NUMBERS > 5, 1, SIGNS * 2), DataError, "row 0 of y"),
        (nn.SoftMarginLoss(), NUMBERS, DataError, "row 0 of y"),
        ("huber", NUMBERS[:, :1], GlassgradError, "different shapes"),
        (nn.CrossEntropyLoss(weight=W3[:2]), CLASSES, GlassgradError, "one weight for each class"),
        (nn.MSELoss(reduction="none"), NUMBERS, TraceError, "one number"),
        (nn.TripletMarginLoss(), NUMBERS, ConfigError, "is not of"),
        (nn.MSELoss, NUMBERS, ConfigError, "make it"),
    ],
)
def test_targets_and_losses_that_do_not_fit_are_refused(
    loss: Any, y: Any, error: Any, says: str
) -> None:
    with pytest.raises(error, match=says):
        fitted(net(), y, loss)
    with pytest.raises(error, match=says):
        gg.evaluate(net(), X, y, loss=loss, metrics=())


def test_a_batch_of_nothing_but_ignored_rows_stops_with_a_name() -> None:
    with pytest.raises(GlassgradError, match="not finite"):
        fitted(net(), np.full(30, -1), nn.CrossEntropyLoss(ignore_index=-1))
