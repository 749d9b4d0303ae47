"""First numbers: their variance, what they depend on, and what "auto" chooses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.nn import init


@pytest.fixture(autouse=True)
def _seed() -> None:
    gg.seed(0)


@pytest.mark.parametrize(
    ("how", "mean", "variance"),
    [
        ("glorot", 0, 2 / 700),
        ("glorot_uniform", 0, 2 / 700),
        ("glorot_normal", 0, 2 / 700),
        ("he", 0, 2 / 400),
        ("he_normal", 0, 2 / 400),
        ("he_uniform", 0, 2 / 400),
        ("normal", 0, 1),
        ("uniform", 0.5, 1 / 12),
        (init.normal(2, 3), 2, 9),
        (init.uniform(-1, 3), 1, 16 / 12),
    ],
)
def test_mean_and_variance_are_within_sampling_error(
    how: Any, mean: float, variance: float
) -> None:
    values = nn.Linear(400, 300, init=how, dtype="float64").state_dict()["weight"]
    n = values.size
    assert abs(values.mean() - mean) < 5 * np.sqrt(variance / n)
    fourth = np.mean((values - values.mean()) ** 4)
    assert abs(values.var() - variance) < 5 * np.sqrt((fourth - variance**2) / n)


def test_fans_follow_the_layouts_of_dense_layers_and_convolutions() -> None:
    assert init.fans((3, 5)) == (3, 5)
    assert init.fans((8, 2, 3, 4)) == (24, 96)
    conv = nn.Conv2d(100, 200, 3, init="he", dtype="float64").state_dict()["weight"]
    assert conv.var() == pytest.approx(2 / 900, rel=0.02)


def test_constants_arrays_and_functions_are_taken_as_they_are() -> None:
    assert np.unique(nn.Linear(2, 3, init=0.25).state_dict()["weight"]).tolist() == [0.25]
    table = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(nn.Linear(2, 3, init=table).state_dict()["weight"], table)
    made = nn.Linear(2, 3, init=lambda shape, seed, name: np.full(shape, len(name)))
    assert np.unique(made.state_dict()["weight"]).tolist() == [6]


# -- keyed by seed and path --------------------------------------------------------------------


class Two(nn.Module):
    def __init__(self, extra: bool = False, swapped: bool = False) -> None:
        super().__init__()
        if swapped:
            self.b = nn.Linear(4, 5)
            self.a = nn.Linear(3, 4)
        else:
            self.a = nn.Linear(3, 4)
            if extra:
                self.new = nn.Linear(7, 7)
            self.b = nn.Linear(4, 5)


def test_neither_other_layers_nor_the_order_of_construction_change_a_parameter() -> None:
    plain = Two().state_dict()
    for other in (Two(extra=True).state_dict(), Two(swapped=True).state_dict()):
        for name in plain:
            np.testing.assert_array_equal(plain[name], other[name])
    nn.Linear(50, 50).state_dict()  # drawing elsewhere changes nothing either
    for name, value in Two().state_dict().items():
        np.testing.assert_array_equal(plain[name], value)


def test_the_seed_and_the_path_do_change_it() -> None:
    one = Two().state_dict()
    gg.seed(1)
    assert not np.array_equal(one["a.weight"], Two().state_dict()["a.weight"])
    gg.seed(0)
    same = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)).state_dict()
    assert not np.array_equal(same["linear1.weight"], same["linear2.weight"])


def test_float32_draws_are_the_float64_draws_rounded() -> None:
    one = nn.Linear(3, 4).state_dict()["weight"]
    two = nn.Linear(3, 4, dtype="float64").state_dict()["weight"]
    np.testing.assert_array_equal(one, two.astype(np.float32))


def test_what_is_drawn_is_drawn_once() -> None:
    layer = nn.Linear(3)
    gg.seed(5)
    layer(np.ones((1, 3), "f"))
    first = layer.state_dict()["weight"]
    gg.seed(6)
    layer(np.ones((1, 3), "f"))
    np.testing.assert_array_equal(first, layer.state_dict()["weight"])


# -- auto --------------------------------------------------------------------------------------


def chosen(*modules: nn.Module) -> list[str]:
    model = nn.Sequential(*modules)
    list(model.parameters())
    return [
        str(m.weight.how)
        for _, m in model.modules()
        if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)
    ]


@pytest.mark.parametrize(
    "after",
    [
        *[nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus],
        *[nn.ReLU6, nn.CELU, nn.Hardswish, nn.Mish, nn.PReLU],
    ],
)
def test_auto_is_he_before_relu_likes(after: Any) -> None:
    assert chosen(nn.Linear(3, 4), after(), nn.Linear(4, 2))[0] == "he"


@pytest.mark.parametrize("after", [nn.Sigmoid, nn.Tanh, nn.Softmax, nn.SELU, nn.Hardtanh])
def test_auto_is_glorot_before_others_and_at_the_end(after: Any) -> None:
    assert "he" not in chosen(nn.Linear(3, 4), after(), nn.Linear(4, 2))


def test_auto_looks_through_norms_pooling_dropout_and_flatten_and_nested_sequentials() -> None:
    found = chosen(
        nn.Conv2d(4, 3),
        nn.BatchNorm2d(),
        nn.MaxPool2d(2),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.LayerNorm(),
        nn.ReLU(),
        nn.Sequential(nn.Linear(5), nn.BatchNorm1d()),
        nn.Sequential(nn.Tanh(), nn.Linear(3)),
    )
    assert found[0] == "he"
    assert found[1] == "glorot"
    model = nn.Sequential(nn.Linear(400, 300, dtype="float64"), nn.Dropout(0.1), nn.ReLU())
    assert model.state_dict()["linear1.weight"].var() == pytest.approx(2 / 400, rel=0.05)
    assert chosen(nn.Linear(3, 4, init="glorot"), nn.ReLU()) == ["glorot"]


def test_first_numbers_given_as_an_array_work_inside_a_sequential() -> None:
    """Regression: `how == "auto"` was asked of the array, number by number."""
    first = np.array([[1.0, 2.0], [3.0, 4.0]])
    model = nn.Sequential(hidden=nn.Linear(2, 2, init=first), relu=nn.ReLU())
    assert model.state_dict()["hidden.weight"].tolist() == first.tolist()
