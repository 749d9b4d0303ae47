"""What is planted is named first, what is sound raises no alarm, and nothing of the user's changes."""

from __future__ import annotations

import copy
import io
import itertools
import random
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.errors import ConfigError, DataError, UsageError
from glassgrad.inspect.diagnose import bounds
from glassgrad.inspect.diagnose.diagnosis import Diagnosis
from glassgrad.inspect.diagnose.faults import BY_NAME
from glassgrad.inspect.diagnose.watching import Watching

from .harness import counted
from .healthy import HEALTHY
from .planted import FAULTS, FIVE, Case, planted, where

# Two networks of each fault with one seed here, other ones from fault to fault; all five networks
# and three seeds are a run of `scripts/soak.py diagnoses`.
_PAIRS = [
    (fault, where(fault)[(i + k) % len(FIVE)]) for i, fault in enumerate(FAULTS) for k in (0, 2)
]


def _diagnosed(case: Case, **more: Any) -> Diagnosis:
    return gg.diagnose(case.model, case.x, case.y, **case.settings, **more)


@pytest.mark.parametrize(("fault", "network"), _PAIRS)
def test_a_planted_fault_is_named_first(fault: str, network: str) -> None:
    found = _diagnosed(planted(fault, network, 0))
    assert [f.name for f in found.findings][:1] == [fault]


@pytest.mark.parametrize("network", HEALTHY)
def test_a_sound_training_raises_no_alarm(network: str) -> None:
    found = _diagnosed(HEALTHY[network](3))
    assert found.healthy, str(found)


def test_every_fault_of_the_harness_is_one_that_can_be_named() -> None:
    assert set(FAULTS) <= set(BY_NAME)


@pytest.mark.parametrize("fault", ["missing activation", "rate too high", "dropout in evaluation"])
def test_model_optimiser_and_data_stay_as_they_are(fault: str) -> None:
    case = planted(fault, "spiral", 1)
    before = case.model.state_dict()
    settings, x, y = copy.deepcopy(repr(case.settings)), case.x.copy(), case.y.copy()
    paths = [(path, type(m), m.training) for path, m in case.model.modules()]
    _diagnosed(case)
    after = case.model.state_dict()
    assert list(before) == list(after)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert repr(case.settings) == settings
    assert np.array_equal(case.x, x)
    assert np.array_equal(case.y, y)
    assert [(path, type(m)) for path, m in case.model.modules()] == [p[:2] for p in paths]


def test_every_bit_of_the_callers_stays_as_it_is() -> None:
    case = planted("", "spiral", 2)
    case.model.eval()
    case.x.flags.writeable = False
    batches = data.Batches((case.x, case.y), batch_size=16)

    def everything() -> tuple[Any, ...]:
        state = {
            n: (p.numpy().tobytes(), p.requires_grad) for n, p in case.model.named_state().items()
        }
        modules = [(path, type(m), m.training) for path, m in case.model.modules()]
        draws = random.getstate(), copy.deepcopy(vars(gg.tensors.random.STATE))
        data = case.x.tobytes(), case.y.tobytes(), batches.epoch
        return state, modules, draws, data, repr(case.settings["optimizer"])

    before = everything()
    _diagnosed(case, steps=20)
    settings = {k: v for k, v in case.settings.items() if k != "batch_size"}
    gg.diagnose(case.model, batches, steps=20, **settings)
    assert everything() == before


def test_batches_are_looked_at_as_arrays_are() -> None:
    case = planted("leaking column", "kinds", 0)
    settings = {k: v for k, v in case.settings.items() if k != "batch_size"}
    batches = data.Batches((case.x, case.y), batch_size=32)
    found = gg.diagnose(case.model, batches, **settings)
    assert [f.name for f in found.findings] == ["leaking column"]


def test_an_undrawn_model_stays_undrawn() -> None:
    x, y = data.spiral(seed=0)
    model = nn.Sequential(nn.Linear(8), nn.ReLU(), nn.Linear(3))
    gg.diagnose(model, x, y, loss="cross_entropy", optimizer="adam", steps=5)
    assert next(model.parameters()).sizes == (None, 8)  # type: ignore[attr-defined]


@pytest.mark.parametrize("what", ["x", "y", "both"])
def test_data_that_never_change_are_no_trouble(what: str) -> None:
    case = planted("", "table", 0)
    x = case.x if what == "y" else np.ones_like(case.x)
    y = case.y if what == "x" else np.ones_like(case.y)
    assert gg.diagnose(case.model, x, y, steps=20, **case.settings).healthy


def test_what_takes_too_long_is_cut_short_and_said() -> None:
    found = _diagnosed(planted("", "table", 0), seconds=1e-6)
    assert found.steps == 1
    assert "200 steps would have taken too long" in " ".join(
        str(found).split()
    )  # wherever it wraps


def test_a_large_network_is_recorded_on_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "KEPT", 20_000)
    case = planted("dead units", "kinds", 0)
    (found, *_) = _diagnosed(case).findings
    assert found.name == "dead units"
    assert "for all 256 rows" not in found.evidence


def test_a_last_batch_of_one_row_is_no_matter() -> None:
    case = planted("", "kinds", 0)
    case.layers.insert(1, nn.BatchNorm1d())
    rows = 132  # of which 99 are trained on: two batches of 49, and one row
    settings = case.settings | {"batch_size": 49}
    assert gg.diagnose(case.model, case.x[:rows], case.y[:rows], steps=5, **settings).steps == 5


def test_a_training_that_explodes_at_once_does_not_cut_the_others_short() -> None:
    case = planted("", "table", 0)
    case.settings["optimizer"] = optim.SGD(1e4)
    found = _diagnosed(case)
    assert found.steps < 20
    (first, *_) = found.findings
    assert first.name == "rate too high"
    assert first.trial is not None
    assert first.trial.steps == 200


def test_a_schedule_that_explodes_is_found() -> None:
    case = planted("", "spiral", 0)
    case.settings["optimizer"] = optim.SGD(optim.CosineAnnealing(300.0, 500))
    (found, *_) = _diagnosed(case).findings
    assert found.name == "rate too high"
    assert "times its schedule" in found.fix


def test_labels_that_are_ignored_or_many_are_no_trouble() -> None:
    rng = np.random.default_rng(0)
    x = np.asarray(rng.standard_normal((200, 6)), np.float32)
    many = nn.Sequential(nn.Linear(8), nn.ReLU(), nn.Linear(30_000))
    y = rng.integers(0, 30_000, 200)
    gg.diagnose(many, x, y, loss="cross_entropy", optimizer="adam", steps=3, batch_size=50)
    loss = nn.CrossEntropyLoss(ignore_index=-100)
    few = nn.Sequential(nn.Linear(8), nn.ReLU(), nn.Linear(3))
    y = np.where(x[:, 0] > 1, -100, x[:, 1] > 0)
    assert gg.diagnose(few, x, y, loss=loss, optimizer=optim.Adam(1e-2)).healthy


def test_a_fault_from_outside_is_a_function() -> None:
    def far_too_high(case: Case, seed: int) -> None:
        case.settings["optimizer"] = optim.SGD(1e3)

    counts = counted([0], {"rate too high": far_too_high}, {})
    assert counts.found("rate too high") == counts.cases == 5, counts.table()
    assert counts.failures == 0


def test_equal_calls_find_equal_things() -> None:
    texts = {str(_diagnosed(planted("rate too high", "table", 1))) for _ in range(2)}
    assert len(texts) == 1


def test_a_fix_that_is_offered_lowers_the_loss_on_rows_held_out() -> None:
    found = _diagnosed(planted("softmax applied twice", "kinds", 0)).findings[0]
    assert found.offered
    assert found.trial is not None
    assert found.trial.after < found.trial.before


def test_a_fix_that_changes_nothing_is_not_offered() -> None:
    text = str(_diagnosed(planted("missing activation", "risk", 0)))
    assert "Tried without effect" in text
    assert "Fix:" not in text


def test_a_fix_that_cannot_be_tried_says_why() -> None:
    for fault in ("leaking column", "shuffled labels"):
        (found, *_) = _diagnosed(planted(fault, "table", 2)).findings
        assert found.trial is None
        assert found.untried
        assert not found.offered


def test_without_trying_no_fix_is_tried() -> None:
    (found,) = _diagnosed(planted("frozen layer", "spiral", 0), try_fixes=False).findings
    assert found.trial is None
    assert found.untried == "try_fixes is False"


def test_suspicious_rows_are_mostly_the_wrong_ones() -> None:
    sound, wrong = planted("", "kinds", 0), planted("noisy labels", "kinds", 0)
    (found, *_) = _diagnosed(wrong).findings
    really = sound.y != wrong.y
    named = np.asarray(found.rows)
    assert really[named].mean() > 0.9
    assert really[named].sum() > 0.8 * really.sum()


def test_the_leaking_and_the_unscaled_column_are_named() -> None:
    assert _diagnosed(planted("leaking column", "table", 0)).findings[0].where == "column 6"
    assert _diagnosed(planted("unscaled column", "table", 2)).findings[0].where == "column 2"
    named = _diagnosed(planted("unscaled column", "table", 2), columns=list("abcdef"))
    assert named.findings[0].where == "column 'c'"


@pytest.mark.parametrize(
    ("columns", "where"),
    [([2, 0], "columns 0 and 2"), (range(1, 8), "columns 1, 2, 3, 4, 5 and 2 more")],
)
def test_several_columns_are_named_as_one_would_say_it(columns: Any, where: str) -> None:
    x = np.random.default_rng(0).standard_normal((80, 9)).astype(np.float32)
    y = np.asarray(x[:, 0] > 0, np.int64)
    x[:, list(columns)] *= 1000
    model = nn.Sequential(nn.Linear(8), nn.ReLU(), nn.Linear(2))
    found = gg.diagnose(model, x, y, loss="cross_entropy", optimizer="adam", steps=5)
    assert where in [f.where for f in found.findings if f.name == "unscaled column"]


def test_the_size_of_the_other_column_is_its_own() -> None:
    x = np.random.default_rng(0).standard_normal((80, 2)).astype(np.float32) * (5, 5000)
    x /= np.sqrt((x**2).mean(0)) / (5, 5000)
    model = nn.Sequential(nn.Linear(8), nn.ReLU(), nn.Linear(2))
    y = np.asarray(x[:, 0] + x[:, 1] / 1000 > 0, np.int64)
    found = gg.diagnose(model, x, y, loss="cross_entropy", optimizer="adam", steps=5)
    (unscaled,) = [f for f in found.findings if f.name == "unscaled column"]
    assert unscaled.evidence.endswith("of the others is 5")


def test_where_every_column_leaks_no_others_are_spoken_of() -> None:
    rng = np.random.default_rng(0)
    y = rng.standard_normal((300, 1))
    x = np.hstack([y, 2 * y]) + 0.01 * rng.standard_normal((300, 2))
    model = nn.Sequential(nn.Linear(8), nn.ReLU(), nn.Linear(1))
    x, y = np.asarray(x, np.float32), np.asarray(y, np.float32)
    found = gg.diagnose(model, x, y, loss="mse", optimizer="adam", steps=5).findings[0]
    assert (found.name, found.where) == ("leaking column", "columns 0 and 1")
    assert "others" not in found.evidence
    assert "by giving all rows the same: R squared 0.0000" in found.evidence


@pytest.mark.parametrize("optimizer", [optim.Adam(1e-3), optim.SGD(1e-2)])
@pytest.mark.parametrize(("scale", "offset"), [(20, 2000), (1e5, 3e5)])
def test_targets_of_another_size_are_found(
    optimizer: optim.Optimizer, scale: float, offset: float
) -> None:
    case = planted("", "table", 0)
    case.settings["optimizer"] = optimizer
    y = case.y * np.float32(scale) + np.float32(offset)  # years, prices
    found = gg.diagnose(case.model, case.x, y, **case.settings).findings[0]
    assert (found.name, found.where) == ("unscaled column", "y")
    assert found.trial is not None
    assert found.trial.after < 2 * y.var()  # in the units of the targets


def test_large_targets_that_are_learned_are_no_fault() -> None:
    case = planted("", "table", 0)
    case.settings["optimizer"] = optim.Adam(5e-2)
    found = gg.diagnose(case.model, case.x, case.y * 50, **case.settings)
    assert found.healthy, str(found)


def test_large_targets_in_no_order_are_only_in_no_order() -> None:
    case = planted("shuffled labels", "table", 0)
    case.settings["optimizer"] = optim.Adam(5e-2)
    found = gg.diagnose(case.model, case.x, (case.y - case.y.mean()) * 50, **case.settings)
    assert [f.name for f in found.findings] == ["shuffled labels"]


def test_a_training_that_learns_nothing_is_not_called_healthy() -> None:
    case = planted("", "spiral", 0)
    case.settings["optimizer"] = optim.SGD(0.1, clipnorm=1e-7)
    found = _diagnosed(case)
    assert found.healthy
    assert "healthy" not in str(found)
    assert "giving all rows the same has" in " ".join(str(found).split())
    assert "healthy" in str(_diagnosed(planted("", "table", 0)))


def _xor(optimizer: optim.Optimizer) -> Diagnosis:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    model = nn.Sequential(nn.Linear(8), nn.Tanh(), nn.Linear(1))
    y = np.array([[0], [1], [1], [0]], np.float32)
    return gg.diagnose(model, x, y, loss="bce_logits", optimizer=optimizer)


def test_of_four_rows_none_is_held_out() -> None:
    found = _xor(optim.Adam(0.05))
    assert found.healthy
    assert not found.apart
    assert "healthy" in str(found)
    assert "on the same rows (too few to hold some out)" in " ".join(str(found).split())


def test_a_rate_too_low_for_four_rows_is_found() -> None:
    found = _xor(optim.SGD(1e-4))
    assert [f.name for f in found.findings] == ["rate too low"]
    assert found.findings[0].offered
    assert "held out" not in str(found).replace("hold some out", "")


def test_the_rate_that_is_offered_leaves_less_than_there_was() -> None:
    found = _xor(optim.SGD(1e5))
    assert found.findings[0].trial is not None
    assert found.findings[0].trial.after < found.before


@pytest.mark.parametrize(("loss", "kinds"), [("bce_logits", (-1, 1)), ("focal", (1, 2))])
def test_targets_that_a_loss_cannot_mean_are_found(loss: str, kinds: tuple[float, float]) -> None:
    case = planted("", "risk", 0)
    case.settings["loss"] = loss
    wrong = np.asarray(np.where(case.y > 0, kinds[1], kinds[0]), np.float32)
    found = gg.diagnose(case.model, case.x, wrong, **case.settings).findings[0]
    assert found.name == "loss does not fit"
    assert found.fix.startswith("In the targets, write 0 for ")
    assert found.trial is not None
    sound = _diagnosed(case)
    assert "loss does not fit" not in [f.name for f in sound.findings]


def test_a_large_column_that_never_changes_is_found() -> None:
    case = planted("", "table", 0)
    case.x[:, 3] = 1e5
    found = _diagnosed(case).findings[0]
    assert (found.name, found.where) == ("unscaled column", "column 3")
    assert "has mean 1e+05 and standard deviation 0" in found.evidence
    assert found.fix.startswith("Leave out what never changes")
    assert found.offered


def test_where_all_targets_are_the_same_nothing_can_be_learned() -> None:
    x, y = data.spiral(seed=0)
    model = nn.Sequential(nn.Linear(8), nn.ReLU(), nn.Linear(3))
    found = gg.diagnose(model, x, y * 0, loss="cross_entropy", optimizer="adam", steps=20)
    text = " ".join(str(found).split())
    assert "no fault found" in text
    assert "all targets are the same" in text
    assert "healthy" not in text


def test_a_reason_not_to_try_a_fix_is_the_true_one() -> None:
    (found, *_) = _diagnosed(planted("leaking column", "table", 0), try_fixes=False).findings
    assert "rows held out have the column too" in found.untried


def test_a_series_that_moves_slowly_leaks_nothing() -> None:
    wave = np.cumsum(np.random.default_rng(0).standard_normal(620)) / 10
    x = np.lib.stride_tricks.sliding_window_view(np.asarray(wave, np.float32), 10)[:-1]
    model = nn.Sequential(nn.Linear(16), nn.ReLU(), nn.Linear(1))
    settings: dict[str, Any] = {"loss": "mse", "optimizer": optim.Adam(3e-3), "batch_size": 32}
    found = gg.diagnose(model, x, np.asarray(wave[10:, None], np.float32), **settings)
    assert found.healthy, str(found)


def test_validation_data_are_what_fixes_are_measured_on() -> None:
    case = planted("rate too high", "spiral", 0)
    held = data.spiral(points_per_class=40, seed=9)
    found = _diagnosed(case, validation_data=held)
    assert found.findings[0].name == "rate too high"
    assert found.findings[0].offered


class _Attends(nn.Module):
    """Layers directly before and after attention, and no activation but its softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.out, self.head = nn.Linear(8), nn.Linear(8), nn.Linear(3)
        self.query, self.key, self.value = nn.Linear(8), nn.Linear(8), nn.Linear(8)

    def forward(self, x: Any) -> Any:
        x = self.wide(x)
        scores = self.query(x) @ self.key(x).transpose(0, 2, 1)
        mixed = gg.softmax(scores, axis=-1) @ self.value(x)
        return self.head(gg.relu(self.out(mixed)).mean(1))


def test_layers_beside_a_product_of_data_with_data_miss_no_activation() -> None:
    case = planted("", "sequence", 0)
    found = gg.diagnose(_Attends(), case.x, case.y, steps=20, **case.settings)
    assert "missing activation" not in [f.name for f in found.findings]


def test_derivatives_that_vanish_over_depth_are_found() -> None:
    case = planted("", "risk", 0)
    case.layers = [m for _ in range(12) for m in (nn.Linear(24), nn.Sigmoid())]
    case.layers.append(nn.Linear(1))
    assert [f.name for f in _diagnosed(case).findings] == ["vanishing gradients"]


def _exploding(optimizer: optim.Optimizer) -> Diagnosis:
    """Thirty layers with weights five times as large, each of which makes derivatives larger."""
    case = planted("", "risk", 0)
    case.layers = [m for _ in range(30) for m in (nn.Linear(24), nn.Tanh())]
    case.layers.append(nn.Linear(1))
    for p in case.model.parameters():
        if p.ndim > 1 and p.shape[1] > 1:
            p.assign(p.numpy() * 5)
    case.settings["optimizer"] = optimizer
    return _diagnosed(case, steps=10)


def test_derivatives_that_explode_over_depth_are_found_and_clipping_is_tried() -> None:
    schedule = optim.CosineAnnealing(0.02, 500)
    for optimizer in (optim.Adam(0.02), optim.Adam(schedule)):
        (found,) = [f for f in _exploding(optimizer).findings if f.name == "exploding gradients"]
        assert found.trial is not None


def test_clipping_is_not_tried_where_the_optimiser_clips() -> None:
    found = _exploding(optim.Adam(0.02, clipnorm=1.0)).findings
    (finding,) = [f for f in found if f.name == "exploding gradients"]
    assert finding.untried == "the optimiser clips already"


def test_networks_of_several_inputs_and_outputs_are_looked_at() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.out = nn.Linear(8), nn.Linear(8), nn.Linear(1)

        def forward(self, left: Any, right: Any) -> Any:
            hidden = gg.relu(self.a(left) + self.b(right))
            return {"sum": self.out(hidden), "hidden": hidden}

    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((2, 80, 3)).astype(np.float32)
    y = {"sum": left[:, :1] + right[:, :1], "hidden": np.zeros((80, 8), np.float32)}
    found = gg.diagnose(Two(), (left, right), y, loss="mse", optimizer=optim.Adam(1e-2), steps=40)
    assert found.healthy, str(found)


def test_the_text_fits_its_width() -> None:
    found = _diagnosed(planted("noisy labels", "spiral", 0))
    text = found.text(width=72)
    findings = itertools.takewhile(lambda line: not line.startswith("parameter"), text.split("\n"))
    assert all(len(line) <= 72 for line in findings)


def test_the_callback_leaves_the_training_as_it_is() -> None:
    x, y = data.spiral(seed=0)
    ends = []
    stream = io.StringIO()
    for watched in (False, True):
        model = nn.Sequential(nn.Linear(16), nn.Linear(16), nn.ReLU(), nn.Linear(3))
        callbacks = (Watching(every=4, steps=10, stream=stream),) if watched else ()
        settings: dict[str, Any] = {"loss": "cross_entropy", "optimizer": optim.Adam(1e-2)}
        gg.fit(model, x, y, epochs=2, batch_size=50, callbacks=callbacks, verbose=False, **settings)
        ends.append(model.state_dict())
    assert all(np.array_equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert stream.getvalue().count("missing activation: linear1 to linear2") == 1


def test_the_callback_refuses_rows_that_are_not_kept() -> None:
    case = planted("", "spiral", 0)
    batches = data.Batches((case.x, case.y), batch_size=32)
    with pytest.raises(UsageError, match="rows of an iterable are not kept"):
        gg.fit(
            case.model, batches, loss="cross_entropy", optimizer="adam", callbacks=(Watching(),),
            verbose=False,
        )  # fmt: skip


def test_mistakes_are_errors_that_say_so() -> None:
    x, y = data.spiral(seed=0)
    model = nn.Linear(3)
    settings: dict[str, Any] = {"loss": "cross_entropy", "optimizer": "adam"}
    with pytest.raises(UsageError, match="not a model"):
        gg.diagnose("model", x, y, **settings)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="steps"):
        gg.diagnose(model, x, y, steps=0, **settings)
    with pytest.raises(DataError):
        gg.diagnose(model, x, y[:5], **settings)
    with pytest.raises(ConfigError, match="columns"):
        gg.diagnose(model, x, y, columns=["a"], **settings)
    with pytest.raises(DataError, match="too few rows"):
        gg.diagnose(model, x[:3], y[:3], **settings)
