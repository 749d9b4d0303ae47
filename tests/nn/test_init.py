"""First numbers: their variance, what they depend on, and what "auto" chooses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import ConfigError
from glassgrad.nn import init
from tests.conftest import require_torch


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
        ("lecun", 0, 1 / 400),
        ("lecun_normal", 0, 1 / 400),
        ("lecun_uniform", 0, 1 / 400),
        (init.lecun("truncated_normal"), 0, 1 / 400),
        (init.glorot(gain=3.0), 0, 18 / 700),
        (init.he(slope=1.0), 0, 1 / 400),
        (init.he("uniform", mode="fan_out"), 0, 2 / 300),
        (init.variance_scaling(), 0, 1 / 400),
        (init.variance_scaling(5.0, "fan_avg", "normal"), 0, 5 / 350),
        (init.variance_scaling(5.0, "fan_out", "uniform"), 0, 5 / 300),
        (init.truncated_normal(0, 1, -50, 50), 0, 1),  # as good as untruncated
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


def drawn(how: Any, *shape: int) -> Any:
    return init.find(how)(shape, 3, "weight")


@pytest.mark.parametrize(
    ("mean", "std", "low", "high"),
    [(0, 1, -2, 2), (1, 3, -2, 2), (0, 1, 1.5, 4), (0, 1, -40, -7), (0, 1, 7, 40), (5, 0.1, 4, 5)],
)
def test_truncated_normals_lie_as_scipys_do(
    mean: float, std: float, low: float, high: float
) -> None:
    from scipy import stats

    found = drawn(init.truncated_normal(mean, std, low, high), 200, 300).ravel()
    wanted = stats.truncnorm((low - mean) / std, (high - mean) / std, mean, std)
    assert found.min() >= low
    assert found.max() <= high
    assert stats.kstest(found, wanted.cdf).pvalue > 1e-3


def test_truncated_normals_are_within_pytorchs_bounds() -> None:
    torch = require_torch()
    theirs = torch.nn.init.trunc_normal_(torch.empty(100_000), 0.5, 2.0, -1.0, 3.0).numpy()
    ours = drawn(init.truncated_normal(0.5, 2.0, -1.0, 3.0), 100_000)
    for share in (0.01, 0.25, 0.5, 0.75, 0.99):
        assert np.quantile(ours, share) == pytest.approx(np.quantile(theirs, share), abs=0.03)


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (6, 2, 3), (2, 3, 4, 5), (1, 4)])
def test_orthogonal_rows_or_columns_are_at_right_angles(shape: tuple[int, ...]) -> None:
    flat = drawn(init.orthogonal(gain=3.0), *shape).reshape(shape[0], -1)
    product = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
    np.testing.assert_allclose(product, 9 * np.eye(len(product)), atol=1e-12)


def test_orthogonal_matrices_favour_no_sign_and_no_direction() -> None:
    many = np.stack([init.orthogonal()((2, 2), seed, "w") for seed in range(400)])
    assert abs(many.mean(axis=0)).max() < 5 * np.sqrt(0.5 / 400)
    assert 150 < (np.linalg.det(many) > 0).sum() < 250


def test_identity_gives_back_what_comes_in() -> None:
    x = np.random.default_rng(0).normal(size=(2, 4)).astype("f")
    np.testing.assert_array_equal(nn.Linear(4, 4, init="identity")(gg.tensor(x)).numpy(), x)
    assert drawn(init.identity(2.0), 2, 3).tolist() == [[2, 0, 0], [0, 2, 0]]
    torch = require_torch()
    for shape in ((3, 2, 5), (2, 4, 3, 3), (3, 3, 2, 3, 4)):
        wanted = torch.nn.init.dirac_(torch.empty(shape)).numpy()
        np.testing.assert_array_equal(drawn("identity", *shape), wanted)


def test_sparse_leaves_the_same_share_of_each_inputs_weights() -> None:
    found = drawn(init.sparse(0.3, std=2.0), 200, 11)
    assert ((found == 0).sum(axis=1) == 4).all()
    assert found[found != 0].std() == pytest.approx(2.0, rel=0.1)
    assert len({tuple(row) for row in (found == 0).tolist()}) > 50


def test_gains_are_pytorchs() -> None:
    torch = require_torch()
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    wanted = torch.nn.init.calculate_gain("leaky_relu", 0.3)
    assert init.calculate_gain("leaky_relu", 0.3) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: init.truncated_normal(0, 0), "needs room"),
        (lambda: init.truncated_normal(0, 1, 2, -2), "needs room"),
        (lambda: init.truncated_normal(0, float("nan")), "needs room"),
        (lambda: init.truncated_normal(0, 1, 100, 101), "almost nothing"),
        (lambda: init.variance_scaling(0), "scale"),
        (lambda: init.variance_scaling(1.0, "fan"), "did you mean 'fan_"),
        (lambda: init.variance_scaling(1.0, "fan_in", "gauss"), "unknown distribution"),
        (lambda: init.sparse(1.5), "sparsity"),
        (lambda: drawn(init.sparse(0.5), 3), "matrices"),
        (lambda: drawn("orthogonal", 3), "two axes and more"),
        (lambda: drawn("identity", 3), "two axes and more"),
        (lambda: init.calculate_gain("rleu"), "did you mean 'relu'"),
    ],
)
def test_initialisers_that_cannot_be_meant_are_refused(call: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        call()
    assert caught.value.expected
    assert caught.value.received


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
