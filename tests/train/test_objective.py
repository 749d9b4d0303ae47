"""The loss of training, read off a model file: no setting of it is lost, and no other is put in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import DataError, FormatError, UsageError
from glassgrad.files import GraphModule
from glassgrad.files.model import fitted_of
from glassgrad.nn import losses
from glassgrad.train.objective import objective_of

NUMBERS, SIGNS = np.array([[0.7, 2.0, 0.1]]), np.array([[1.0, -1.0, -1.0]])
SHARES, CLASS = np.array([[0.2, 0.7, 0.1]]), np.array([1])
BY_CLASS = [0.5, 2.0, 3.0]
# A loss with all its settings changed, and what is right for a row.
CASES: tuple[tuple[losses.Loss, Any], ...] = (
    (nn.MSELoss(reduction="sum"), NUMBERS),
    (nn.L1Loss(reduction="sum"), NUMBERS),
    (nn.HuberLoss(delta=0.25), NUMBERS),
    (nn.SmoothL1Loss(beta=0.25, reduction="sum"), NUMBERS),
    (nn.LogCoshLoss(reduction="sum"), NUMBERS),
    (nn.PoissonNLLLoss(log_input=False, full=True, eps=0.1), NUMBERS),
    (nn.CosineSimilarityLoss(axis=1, eps=10.0), NUMBERS),
    (nn.BCELoss(weight=BY_CLASS), SHARES),
    (nn.BCEWithLogitsLoss(weight=BY_CLASS, pos_weight=[4.0, 5.0, 6.0]), SHARES),
    (nn.CrossEntropyLoss(weight=BY_CLASS, label_smoothing=0.3, reduction="sum"), CLASS),
    (nn.CrossEntropyLoss(ignore_index=2, label_smoothing=0.1), CLASS),
    (nn.NLLLoss(weight=BY_CLASS, ignore_index=0, reduction="sum"), CLASS),
    (nn.KLDivLoss(log_target=True), NUMBERS),
    (nn.FocalLoss(alpha=0.6, gamma=1.5), SHARES),
    (nn.CategoricalFocalLoss(alpha=0.6, gamma=1.5), CLASS),
    (nn.HingeLoss(margin=0.5), SIGNS),
    (nn.SquaredHingeLoss(reduction="sum"), SIGNS),
    (nn.SoftMarginLoss(reduction="sum"), SIGNS),
    (nn.HingeEmbeddingLoss(margin=3.0), SIGNS),
    (nn.MultiMarginLoss(p=2, margin=3.0, weight=BY_CLASS), CLASS),
    (nn.MultiLabelSoftMarginLoss(weight=BY_CLASS), SHARES),
)
ROW = np.array([[0.3, -1.2]])


def network() -> nn.Module:
    """Its outputs are shares, which every loss can take."""
    return nn.Sequential(
        nn.Linear(2, 4, dtype="float64"), nn.Tanh(), nn.Linear(4, 3, dtype="float64"), nn.Sigmoid()
    )


def trained(model: nn.Module, y: Any, place: Path, loss: Any, **more: Any) -> GraphModule:
    """A model after two steps, written and read back."""
    x = np.array([[0.5, 1.0], [-0.4, 0.2], [0.9, -0.7]])
    gg.fit(
        model, x, y, loss=loss, optimizer="sgd", metrics=(), epochs=2, guard=False, verbose=False,
        **more,
    )  # fmt: skip
    return gg.load(gg.save(model, place / "model.glass"))


def one_step(model: nn.Module, y: Any, loss: Any, **more: Any) -> float:
    """The loss of a training step with the row."""
    history = gg.fit(
        model, ROW, y, loss=loss, optimizer="sgd", metrics=(), guard=False, verbose=False, **more
    )
    return float(history["loss"][0])


def quartic(w: Any) -> Any:
    return (w**4).sum()


def explained(model: GraphModule, y: Any) -> float:
    """The same, from nothing but the file."""
    found = objective_of(model)
    assert found is not None
    found.penalise(model)
    record = gg.explain(
        model, ROW, y, loss=found.loss, loss_weights=found.loss_weights,
        sample_weight=found.weights_of(y), training=False,
    ).recording  # fmt: skip
    return float(record.arrays[record.loss])


def test_every_loss_and_every_setting_is_among_the_cases() -> None:
    for record in losses.RECORDS:
        if record.by_rows:
            changed = {k for loss, _ in CASES if loss.record is record for k in loss.changed}
            assert changed | {"reduction"} == {*record.defaults, "reduction"}, record.name


@pytest.mark.parametrize(("loss", "y"), CASES, ids=[repr(loss)[:30] for loss, _ in CASES])
def test_the_explained_loss_is_that_of_a_training_step(
    loss: losses.Loss, y: Any, tmp_path: Path
) -> None:
    model = trained(network(), np.repeat(y, 3, axis=0), tmp_path, loss)
    found = objective_of(model)
    assert found is not None
    assert repr(found.loss) == repr(loss)
    assert not found.unknown
    known = explained(model, y)
    assert known == pytest.approx(one_step(model, y, loss), rel=1e-12)


def test_a_weight_of_a_loss_is_kept(tmp_path: Path) -> None:
    model = trained(network(), np.repeat(NUMBERS, 3, 0), tmp_path, "mse", loss_weights=0.25)
    assert explained(model, NUMBERS) == pytest.approx(
        one_step(model, NUMBERS, "mse", loss_weights=0.25), rel=1e-12
    )


@pytest.mark.parametrize("weight", [{0: 1.0, 1: 4.0, 2: 0.5}, [1.0, 4.0, 0.5], "balanced"])
def test_weights_of_classes_are_kept(weight: Any, tmp_path: Path) -> None:
    y = np.array([0, 1, 1])
    model = trained(network(), y, tmp_path, "cross_entropy", class_weight=weight)
    found = objective_of(model)
    assert found is not None
    assert not found.unknown
    known, of_row = explained(model, CLASS), {"balanced": 0.75}.get(str(weight), 4.0)
    once = one_step(model, CLASS, "cross_entropy", sample_weight=[of_row])
    assert known == pytest.approx(once, rel=1e-12)
    with pytest.raises(DataError, match="no weight in training"):
        found.weights_of(np.array([7]))


def test_weights_of_rows_are_said_to_be_unknown(tmp_path: Path) -> None:
    y = np.array([0, 1, 2])
    weights: dict[str, Any] = {"sample_weight": [1.0, 2.0, 3.0]}
    for more in (weights, {**weights, "class_weight": "balanced"}):
        found = objective_of(trained(network(), y, tmp_path, "cross_entropy", **more))
        assert found is not None
        assert "rows had weights" in found.unknown[0]
        assert found.weights_of(CLASS) is None


def test_penalties_are_kept(tmp_path: Path) -> None:
    model = network()
    nn.regularize(model, "linear1.*", nn.L2(0.5))
    nn.regularize(model, "linear2.weight", nn.L1L2(l1=0.25, l2=0.125))
    loaded = trained(model, np.repeat(NUMBERS, 3, axis=0), tmp_path, "mse")
    model.load_state_dict(loaded.state_dict())
    assert explained(loaded, NUMBERS) == pytest.approx(one_step(model, NUMBERS, "mse"), rel=1e-12)


def test_a_penalty_of_the_users_own_is_said_to_be_unknown(tmp_path: Path) -> None:
    model = nn.regularize(network(), "linear1.weight", quartic)
    found = objective_of(trained(model, np.repeat(NUMBERS, 3, axis=0), tmp_path, "mse"))
    assert found is not None
    assert "quartic" in found.unknown[0]
    assert "linear1.weight" in found.unknown[0]


def test_no_other_loss_takes_the_place_of_one_that_no_file_holds(tmp_path: Path) -> None:
    def mse(prediction: Any, target: Any) -> Any:
        return ((prediction - target) ** 4).mean()

    wanted = np.repeat(NUMBERS, 3, axis=0)
    with pytest.raises(UsageError, match="of the user's own"):
        objective_of(trained(network(), wanted, tmp_path, mse))
    many = nn.Sequential(nn.Linear(2, 100), nn.Sigmoid())
    loss = nn.BCELoss(weight=np.linspace(1, 2, 100))
    with pytest.raises(UsageError, match="more numbers than a file keeps"):
        objective_of(trained(many, np.ones((3, 100)), tmp_path, loss))


def test_a_model_that_was_never_trained_says_nothing(tmp_path: Path) -> None:
    assert objective_of(nn.Linear(2, 1)) is None
    assert objective_of(gg.load(gg.save(nn.Linear(2, 1), tmp_path / "m.glass", x=(2,)))) is None


def test_several_outputs_have_their_losses_and_weights(tmp_path: Path) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(2, 3, dtype="float64"), nn.Linear(2, 3, dtype="float64")

        def forward(self, x: Any) -> Any:
            return {"number": self.a(x), "kind": self.b(x)}

    wanted: dict[str, Any] = {"number": NUMBERS, "kind": CLASS}
    loss = {"number": nn.HuberLoss(delta=0.25), "kind": nn.CrossEntropyLoss(label_smoothing=0.1)}
    of_each = {"number": 0.5, "kind": 2.0}
    y = {k: np.repeat(v, 3, axis=0) for k, v in wanted.items()}
    model = trained(Two(), y, tmp_path, loss, loss_weights=of_each)
    found = explained(model, wanted)
    assert found == pytest.approx(one_step(model, wanted, loss, loss_weights=of_each), rel=1e-12)


@pytest.mark.parametrize(
    "said",
    [[], [{}], [{"output": "", "name": "mse", "loss": {}, "weight": 1.0}], None, [None],
     [{"output": "", "name": "huber", "loss": {"kind": "HuberLoss", "delta": [1]}, "weight": 1.0}],
     [{"output": "", "name": "bce", "weight": 1.0,
       "loss": {"kind": "BCELoss", "weight": {"values": [1.0], "shape": [3]}}}]],
)  # fmt: skip
def test_what_fit_does_not_leave_is_refused(said: Any, tmp_path: Path) -> None:
    model = trained(network(), np.repeat(NUMBERS, 3, axis=0), tmp_path, "mse")
    run = fitted_of(model)
    assert run is not None
    run.settings["losses"] = said
    with pytest.raises((FormatError, gg.errors.ConfigError)):
        objective_of(model)
