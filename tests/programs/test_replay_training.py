"""Every way of training replays: the run's program gives its history and weights, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.data import spiral
from glassgrad.inspect.source import whole_program
from glassgrad.train import Callback, Run
from tests.programs.cases import Case, spiral_net
from tests.programs.test_replay import check, replay

X, Y = spiral(seed=0)
COMMON: dict[str, Any] = {"loss": "cross_entropy", "epochs": 3, "batch_size": 64}


def _case(optimizer: optim.Optimizer, **settings: Any) -> Case:
    return Case(spiral_net(), X, Y, {**COMMON, "optimizer": optimizer, **settings})


@pytest.mark.parametrize("name", sorted(set(optim.NAMED) - {"lbfgs"}))
def test_every_optimiser(name: str, tmp_path: Path) -> None:
    check(_case(optim.find(name)), tmp_path)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs(search: str | None, tmp_path: Path) -> None:
    optimizer = optim.LBFGS(max_iter=5, line_search_fn=search, lr=0.1 if search is None else 1.0)
    case = _case(optimizer, batch_size=None, epochs=4)
    check(case, tmp_path)
    assert gg.evaluate(case.model, X, Y, loss="cross_entropy")["loss"] < 1.0


OPTIONS: dict[str, Callable[[], optim.Optimizer]] = {
    "clipvalue": lambda: optim.SGD(0.1, clipvalue=1e-3),
    "clipnorm": lambda: optim.SGD(0.1, clipnorm=1e-2),
    "global_clipnorm": lambda: optim.Adam(1e-2, global_clipnorm=1e-2),
    "averages": lambda: optim.Adam(1e-2, use_ema=True, ema_momentum=0.9),
    "accumulation": lambda: optim.Adam(1e-2, gradient_accumulation_steps=2),
    "accumulation of averages, on a schedule": lambda: optim.SGD(
        optim.WarmUp(2, then=optim.CosineAnnealing(0.1, steps=6)),
        momentum=0.9,
        gradient_accumulation_steps=3,
        use_ema=True,
        clipnorm=0.5,
    ),
    "groups": lambda: optim.AdamW(
        1e-2, groups=[optim.Group("*.bias", weight_decay=0.0), optim.Group("output.*", lr=1e-3)]
    ),
    "groups with a state of their own": lambda: optim.NAdam(
        optim.Exponential(1e-2, 0.99), groups=[optim.Group("*.bias", momentum_decay=1e-2)]
    ),
    "a group with more state": lambda: optim.SGD(
        0.1, groups=[optim.Group("output.*", momentum=0.9)]
    ),
    "groups with a beginning of their own": lambda: optim.Rprop(
        0.01, groups=[optim.Group("*.bias", lr=0.002)]
    ),
    "a schedule of epochs": lambda: optim.Adam(optim.Step(1e-2, 2, per="epoch")),
    "a schedule of steps": lambda: optim.Adam(optim.OneCycle(1e-2, steps=20)),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_of_an_optimiser(option: str, tmp_path: Path) -> None:
    check(_case(OPTIONS[option](), validation_split=0.2), tmp_path)


def test_accumulation_over_full_batches(tmp_path: Path) -> None:
    check(_case(OPTIONS["accumulation"](), batch_size=None), tmp_path)


def test_penalties_and_constraints(tmp_path: Path) -> None:
    case = _case(optim.SGD(0.5))
    nn.regularize(case.model, "*.weight", nn.L1L2(1e-4, 1e-3))
    nn.constrain(case.model, "hidden.weight", nn.MaxNorm(0.5))
    check(case, tmp_path)
    columns = np.sqrt((case.model.state_dict()["hidden.weight"] ** 2).sum(axis=0))
    assert columns.max() <= 0.5 * (1 + 1e-5)


class _Halving(Callback):
    """Halves the rate after every epoch."""

    def on_interval(self, run: Run) -> None:
        run._trainer.rate = run._trainer.rate / 2


@pytest.mark.parametrize("steps", [None, 2])
def test_a_rate_that_a_callback_changed(steps: int | None, tmp_path: Path) -> None:
    optimizer = optim.SGD(0.5, gradient_accumulation_steps=steps)
    case = _case(optimizer, callbacks=[_Halving()])
    plain = Case(spiral_net(), X, Y, {k: v for k, v in case.settings.items() if k != "callbacks"})
    plain.fit()
    check(case, tmp_path)
    ours, other = case.model.state_dict(), plain.model.state_dict()
    assert not np.array_equal(ours["output.weight"], other["output.weight"])


class _Second(Callback):
    """Puts the weights of the second epoch back at the end."""

    def on_interval(self, run: Run) -> None:
        if run.epoch == 2:
            self.held = run._trainer.state()

    def on_end(self, run: Run) -> None:
        run._trainer.restore(self.held)


@pytest.mark.parametrize("averages", [False, True])
def test_weights_of_an_earlier_epoch_that_were_put_back(averages: bool, tmp_path: Path) -> None:
    model = nn.Sequential(
        hidden=nn.Linear(2, 8), norm=nn.BatchNorm1d(), relu=nn.ReLU(), output=nn.Linear(3)
    )
    settings = {**COMMON, "callbacks": [_Second()]}
    check(
        Case(model, X, Y, {**settings, "optimizer": optim.Adam(1e-2, use_ema=averages)}), tmp_path
    )


class _TwoWays(nn.Module):
    """Two inputs, two outputs, a layer that both share."""

    def __init__(self, named: bool) -> None:
        super().__init__()
        self.named = named
        self.first = nn.Linear(2, 8)
        self.shared = nn.Linear(8, 8)
        self.kind = nn.Linear(8, 3)
        self.size = nn.Linear(8, 1)

    def forward(self, left: Any, right: Any) -> Any:
        a = nn.relu(self.shared(nn.relu(self.first(left))))
        b = nn.relu(self.shared(nn.relu(self.first(right))))
        outputs = (self.kind(a + b), self.size(a - b))
        return {"kind": outputs[0], "size": outputs[1]} if self.named else outputs


@pytest.mark.parametrize("named", [False, True])
def test_several_inputs_and_outputs(named: bool, tmp_path: Path) -> None:
    size = (X[:, :1] * X[:, 1:]).astype(np.float32)
    y: Any = {"kind": Y, "size": size} if named else (Y, size)
    x: Any = {"left": X, "right": X[::-1].copy()} if named else (X, X[::-1].copy())
    settings = {
        **COMMON,
        "loss": {"kind": "cross_entropy", "size": "mse"} if named else ("cross_entropy", "mse"),
        "loss_weights": {"kind": 1.0, "size": 0.5} if named else (1.0, 0.5),
        "optimizer": optim.Adam(1e-2),
        "validation_split": 0.1,
    }
    case = Case(_TwoWays(named), x, y, settings)
    check(case, tmp_path)
    history = case.fit()
    first, second = ("kind", "size") if named else ("out1", "out2")
    assert set(history) == {
        f"{tail}{name}"
        for name in ("loss", f"{first}_loss", f"{second}_loss", f"{first}_accuracy")
        for tail in ("", "val_")
    }
    for i in range(history.epochs):
        parts = history[f"{first}_loss"][i] + 0.5 * history[f"{second}_loss"][i]
        assert history["loss"][i] == pytest.approx(parts, rel=1e-6)
    found = gg.predict(case.model, x)
    assert found[first if named else 0].shape == (len(X), 3)
    assert found[second if named else 1].shape == (len(X), 1)


def test_a_run_that_no_program_can_repeat_says_so() -> None:
    case = _case(optim.SGD(optim.Lambda(0.1, lambda t: 1 / (t + 1))))
    with pytest.raises(gg.errors.UsageError, match="a function of the user"):
        whole_program(case.fit().record)
    batches = [(X[:10], Y[:10]), (X[10:30], Y[10:30])]
    history = gg.fit(
        spiral_net(), batches, loss="cross_entropy", optimizer="sgd", epochs=2, verbose=False
    )
    with pytest.raises(gg.errors.UsageError, match="an iterable"):
        whole_program(history.record)


@pytest.mark.parametrize("bytes_", [False, True])
@pytest.mark.parametrize("batch_size", [None, 7])
def test_images_that_are_changed_in_every_epoch(
    bytes_: bool, batch_size: int | None, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 2, 6, 5)).astype(np.uint8)
    x = images if bytes_ else (images / 255).astype(np.float32)
    model = nn.Sequential(nn.Conv2d(3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3))
    change = data.Augment(flip=True, shift=2, brightness=0.3, cutout=2)
    settings = {
        **COMMON,
        "optimizer": optim.Adam(1e-3),
        "batch_size": batch_size,
        "augment": change,
        "validation_split": 0.2,
    }
    check(Case(model, x, np.arange(20) % 3, settings), tmp_path)


def test_rows_changed_by_a_function_of_the_user_train_but_have_no_program() -> None:
    seen = []

    def smaller(rows: Any, numbers: Any, *, seed: int, epoch: int) -> Any:
        seen.append((numbers.tolist(), seed, epoch))
        return rows / epoch

    case = _case(optim.SGD(0.1), augment=smaller, epochs=2, batch_size=None)
    history = case.fit()
    assert seen[1:] == [(list(range(len(X))), 0, 1), (list(range(len(X))), 0, 2)]
    with pytest.raises(gg.errors.UsageError, match="a function of the user"):
        whole_program(history.record)


@pytest.mark.parametrize("weighted", [(False, True), (True, False), (True, True)])
def test_weights_of_the_rows_to_train_on_or_to_test_on(
    weighted: tuple[bool, bool], tmp_path: Path
) -> None:
    weights = np.linspace(0, 2, len(X))
    tested = (X[:50], Y[:50], weights[:50]) if weighted[1] else (X[:50], Y[:50])
    given = {"sample_weight": weights} if weighted[0] else {}
    check(_case(optim.SGD(0.1), **given, validation_data=tested), tmp_path)


def test_a_rate_that_a_callback_changed_for_l_bfgs(tmp_path: Path) -> None:
    optimizer = optim.LBFGS(1.0, max_iter=3, line_search_fn="strong_wolfe")
    check(_case(optimizer, batch_size=None, callbacks=[_Halving()]), tmp_path)


def test_weights_of_a_metric(tmp_path: Path) -> None:
    case = _case(
        optim.SGD(0.1),
        loss=nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0]),
        metrics=("accuracy", nn.MultiMarginLoss(weight=[3.0, 2.0, 1.0])),
        validation_split=0.2,
    )
    history, table, final, _ = replay(case, tmp_path)
    assert table.decode() == history.to_csv(seconds=False)
    for name, array in case.model.state_dict().items():
        assert array.tobytes() == final[name].tobytes(), name


class _PutBack(Callback):
    """Puts the weights of the first epoch back at a step, or at the end of the last epoch."""

    def __init__(self, step: int | None) -> None:
        self.step = step
        self.every = "epoch" if step is None else 1

    def on_interval(self, run: Run) -> None:
        if run.step == 5:  # the end of the first epoch
            self.held = run.state()
        last = run.epoch == run.epochs if self.step is None else run.step == self.step
        if last:
            run.restore(self.held)


@pytest.mark.parametrize(("step", "averages"), [(12, False), (None, True)])
def test_weights_that_were_put_back_before_the_end_have_no_program(
    step: int | None, averages: bool
) -> None:
    case = _case(optim.SGD(0.1, use_ema=averages), callbacks=[_PutBack(step)])
    with pytest.raises(gg.errors.UsageError, match="put back"):
        whole_program(case.fit().record)


def test_weights_that_were_put_back_at_the_end_of_the_last_epoch(tmp_path: Path) -> None:
    check(_case(optim.SGD(0.1), callbacks=[_PutBack(None)]), tmp_path)


def test_averages_that_were_put_back_have_no_program() -> None:
    class Again(Callback):
        def on_end(self, run: Run) -> None:
            run.restore(run.state())

    case = _case(optim.SGD(0.1, use_ema=True), callbacks=[Again()])
    with pytest.raises(gg.errors.UsageError, match="put back"):
        whole_program(case.fit().record)
