"""Derivatives split by ways, uses and rows: the parts sum to the whole."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import ConfigError, DataError, UsageError
from glassgrad.inspect.explain.attribution import METHODS, attribute


def test_a_row_under_batch_norm_has_the_derivative_of_its_own_term() -> None:
    model = nn.Sequential(
        nn.Linear(2, 4, dtype="float64"),
        nn.BatchNorm1d(4, dtype="float64"),
        nn.Linear(4, 1, dtype="float64"),
    )
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(5, 2)), rng.normal(size=(5, 1))
    samples = gg.explain(model, x, y, loss="mse").samples("linear1_weight")["linear1_weight"]
    weight = model.named_state()["linear1.weight"]
    for row in range(5):
        for at in np.ndindex(2, 4):
            h, sides = 1e-6, []
            for sign in (1, -1):
                moved = weight.numpy().copy()
                moved[at] += sign * h
                kept = weight.numpy().copy()
                weight.assign(gg.tensor(moved))
                out = model.train()(gg.tensor(x)).numpy()
                weight.assign(gg.tensor(kept))
                sides.append(float((out[row, 0] - y[row, 0]) ** 2) / 5)
            assert samples.parts[(row, *at)] == pytest.approx(
                (sides[0] - sides[1]) / (2 * h), abs=1e-8
            )


def test_rows_are_those_of_the_step_though_the_model_and_its_data_have_changed_since() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 1))
    x, y = np.array([[1.0, 2.0], [0.5, -1.0], [2.0, 0.0]]), np.ones((3, 1))
    step = gg.explain(model, x, y, loss="mse")
    before = step.samples("linear1_weight")["linear1_weight"]
    gg.fit(model, x, y, loss="mse", optimizer="sgd", epochs=2, verbose=False)
    x *= 3
    after = step.samples("linear1_weight")["linear1_weight"]
    np.testing.assert_array_equal(after.parts, before.parts)
    np.testing.assert_array_equal(after.total, step["linear1_weight"].gradient)
    np.testing.assert_allclose(after.parts.sum(axis=0), after.total, rtol=1e-12, atol=1e-15)


def test_the_largest_ways_of_a_small_network_are_all_of_it() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    found = gg.explain(model, [[0.5, -1.0]], [[1.0]], loss="mse").follow("x", (0, 1))
    assert len(found.ways) == 3
    assert found.rest == 0
    assert found.error < 1e-7


def test_one_way_of_several_is_called_the_largest() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    found = gg.explain(model, [[0.5, -1.0]], [[1.0]], loss="mse").follow("x[0, 1]", most=1)
    assert repr(found).startswith("How x[0, 1] acts on the loss, by the largest way:\n")


def test_ways_that_cancel_are_not_nothing() -> None:
    model = nn.Sequential(nn.Linear(1, 3), nn.Linear(3, 1))
    model.load_state_dict(
        {
            "linear1.weight": [[4.0, 1.0, -1.0]],
            "linear1.bias": [0.0, 0.0, 0.0],
            "linear2.weight": [[1.0], [1.0], [1.0]],
            "linear2.bias": [0.0],
        }
    )
    step = gg.explain(model, [[1.0]], [[0.0]], loss="mse")
    some = repr(step.follow("x[0, 0]", most=1))
    assert "by the largest way:" in some
    assert " 0  all other ways" in some
    every = repr(step.follow("x[0, 0]"))
    assert "by every way:" in every
    assert " 0  nothing else" in every


@pytest.mark.parametrize("method", METHODS)
def test_attributions_say_what_they_leave_unexplained(method: str) -> None:
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
    found = attribute(model, [[0.2, -0.4, 1.0]], output=1, method=method)
    both = gg.predict(model, np.array([[0.2, -0.4, 1.0], [0, 0, 0]], np.float32))
    assert found.difference == pytest.approx(both[0, 1] - both[1, 1], abs=1e-6)
    assert found.gap == pytest.approx(found.difference - found.parts.sum(), abs=1e-6)
    if method == "integrated":
        assert abs(found.gap) < 1e-5


def test_a_thing_has_one_name_wherever_it_is_asked_for() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    found = gg.explain(model, [[1.0, 2.0]], [[1.0]], loss="mse")
    samples = found.samples()
    assert set(samples) == {n for n in found.names if n.endswith(("weight", "bias"))}
    for name, each in samples.items():
        assert each.name == name == found[name].name
        assert [*found.samples(name)] == [name]
        assert found.follow(name, (0,) * found[name].array.ndim).names


def test_a_name_that_is_not_there_is_answered_with_the_nearest_one() -> None:
    model = nn.Sequential(*[nn.Linear(2, 2) for _ in range(60)])
    found = gg.explain(model, [[1.0, 2.0]], [[1.0, 1.0]], loss="mse")
    asked: list[Callable[[str], object]] = [
        *(found.__getitem__, found.card, found.follow, found.uses, found.samples),
        lambda name: found.text(follow=(name, (0, 0))),
    ]
    for ask in asked:
        for wrong, near in (
            ("linear7_weigt", "linear7_weight"),
            ("liner12_bias", "linear12_bias"),
        ):
            with pytest.raises(UsageError) as caught:
                ask(wrong)
            text = str(caught.value)
            assert f"did you mean '{near}'?" in text
            assert repr(wrong) in text
            assert " more" in text
            assert len(text) < 600
    with pytest.raises(ConfigError, match="unknown parameter with a derivative"):
        found.samples("x")


def test_questions_that_cannot_be_meant_are_refused() -> None:
    model = nn.Linear(2, 1)
    found = gg.explain(model, [[1.0, 2.0]], [[1.0]], loss="mse")
    with pytest.raises(UsageError, match="no value of this name"):
        found["nothing"]
    with pytest.raises(ConfigError, match="no such number"):
        found.follow("weight", (2, 0))
    for most in (0, -1, 2.5, True, "ten", None):
        with pytest.raises(ConfigError, match="most is out of range"):
            found.follow("weight[0, 0]", most=most)  # type: ignore[arg-type]
    for place in (5, (), ("weight", (0, 0), 3)):
        with pytest.raises(UsageError, match="which number is followed"):
            found.text(follow=place)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="of one row"):
        attribute(model, [[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(ConfigError, match="no such number in the output"):
        attribute(model, [[1.0, 2.0]], output=7)


def test_a_kernel_is_split_by_the_places_of_an_image() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, dtype="float64"), nn.Flatten())
    x, y = np.random.default_rng(4).normal(size=(3, 1, 5, 6)), np.zeros((3, 24))
    step = gg.explain(model, x, y, loss="mse")
    found = step.uses("conv2d1_weight[1, 0, 2, 0]").by_place(2, 3)
    slopes = step["conv2d1"].gradient
    assert slopes is not None
    for row, column in np.ndindex(3, 4):
        each = slopes[:, 1, row, column] @ x[:, 0, row + 2, column]
        assert found.pop(("conv2d1", (row, column))) == pytest.approx(each, rel=1e-12, abs=1e-15)
    assert not found


def test_a_weight_is_split_by_the_places_of_a_sequence() -> None:
    model = nn.Sequential(nn.RNN(2, 3, sequences=True), nn.Linear(3, 1))
    x, y = np.random.default_rng(5).normal(size=(2, 4, 2)), np.ones((2, 4, 1))
    step = gg.explain(model, x, y, loss="mse")
    inputs, slopes = step["rnn1"].array, step["linear1"].gradient
    assert slopes is not None
    found = step.uses("linear1_weight[1, 0]")
    for at, part in found.by_place(1).items():
        (time,) = at[1]
        assert part == pytest.approx(inputs[:, time, 1] @ slopes[:, time, 0], rel=1e-9)
    assert [*found.by_place(1)] == [("linear1", (time,)) for time in range(4)]
    # What an RNN makes of all its inputs at once has its steps first.
    driven = step["driven"].gradient
    assert driven is not None
    by_step = step.uses("rnn1_weight[0, 2]").by_place(0)
    for time in range(4):
        each = step["x"].array[:, time, 0] @ driven[time, :, 2]
        assert by_step.pop(("driven", (time,))) == pytest.approx(each, rel=1e-9)
    assert not by_step
    # The same weight at each step: a value of its own for each.
    steps = step.uses("rnn1_recurrent[0, 2]").by_place(1)
    assert [*sorted(steps)] == [(f"z_{time}", (2,)) for time in (1, 2, 3, 4)]
    assert sum(steps.values()) == pytest.approx(step.uses("rnn1_recurrent[0, 2]").total)


def test_a_penalty_has_a_place_of_its_own() -> None:
    model = nn.Linear(2, 1, init=0.5)
    model.weight.regularizer = nn.L2(0.1)
    found = gg.explain(model, [[1.0, 2.0]], [[1.0]], loss="mse").uses("weight[1, 0]")
    assert found.by_place() == {
        ("linear", (0, 0)): pytest.approx(2.0),
        ("multiply", (1, 0)): pytest.approx(2 * 0.1 * 0.5),
    }
    for axes in ((2,), (-1,), (0, 5), (1.5,), ("x",), (True,)):
        with pytest.raises(ConfigError, match="no such axis"):
            found.by_place(*axes)


def test_a_product_of_two_numbers_is_shown_as_one() -> None:
    model = nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 1))
    step = gg.explain(model, [[1.0, 2.0, -1.0]], [[1.0]], loss="mse")
    (use,) = step.uses("layernorm1_weight[0]")
    assert use.product
    assert len(use.numbers) == 2


def test_what_belongs_to_no_row_is_printed_beside_the_rows() -> None:
    model = nn.Linear(2, 1, init=0.5)
    model.weight.regularizer = nn.L2(0.1)
    step = gg.explain(model, [[1.0, 2.0], [0.0, 1.0]], [[1.0], [0.0]], loss="mse")
    printed = repr(step.samples("weight")["weight"])
    shares = [float(line.split()[-2]) for line in printed.split("\n") if line.endswith(" %")]
    assert len(shares) == 3
    assert sum(shares) == pytest.approx(100, abs=0.2)
    assert "of no row" in printed
    assert "of no row" not in repr(step.samples("bias")["bias"])
