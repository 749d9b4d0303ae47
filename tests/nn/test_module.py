"""Modules: names, paths, state, lazy sizes, shared parts."""

# ruff: noqa: PLW0108  # a lambda for each case, also where a name would do

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import ConfigError, ShapeError, UsageError
from glassgrad.nn.module import Weight


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(3, 3), nn.Linear(3, 3)]
        self.head = nn.Sequential(nn.Linear(2), nn.BatchNorm1d())
        self.scale = gg.Parameter(np.float32(2.0))
        self.calls = gg.Buffer(0.0)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = nn.relu(layer(x))
        self.calls.assign(self.calls + 1)
        return self.head(x) * self.scale


def test_names_are_paths_in_the_order_of_construction_weight_before_bias() -> None:
    model = Block()
    assert [p.name for p in model.parameters()] == [
        "scale",
        "layers1.weight",
        "layers1.bias",
        "layers2.weight",
        "layers2.bias",
        "head.linear1.weight",
        "head.linear1.bias",
        "head.batchnorm1d1.weight",
        "head.batchnorm1d1.bias",
    ]
    assert [b.name for b in model.buffers()] == [
        "calls",
        "head.batchnorm1d1.running_mean",
        "head.batchnorm1d1.running_var",
    ]
    assert [path for path, _ in model.modules()] == [
        "",
        "layers1",
        "layers2",
        "head",
        "head.linear1",
        "head.batchnorm1d1",
    ]


def test_state_dict_goes_round_and_is_a_copy() -> None:
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("f")
    one, two = Block(), Block()
    one(x)
    state = one.state_dict()
    assert all(isinstance(v, np.ndarray) for v in state.values())
    state["scale"][...] = 7
    assert one.scale.item() == 2
    two.load_state_dict(state)  # also where sizes are not known yet
    for name, value in two.state_dict().items():
        np.testing.assert_array_equal(value, state[name])
    one.scale.assign(7.0)
    np.testing.assert_array_equal(one.eval()(x).numpy(), two.eval()(x).numpy())


def test_loading_what_does_not_fit_lists_everything_and_changes_nothing() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    before = model.state_dict()
    state = dict(before)
    del state["linear2.bias"]
    state["other"] = np.ones(2, np.float32)
    state["linear1.weight"] = np.ones((3, 2), np.float32)
    state["linear1.bias"] = np.ones(3, np.float32)
    with pytest.raises(ConfigError, match="nothing was changed") as error:
        model.load_state_dict(state)
    for part in (
        "linear2.bias: missing",
        "other: not in the model",
        "linear1.weight: (3, 2) given, (2, 3) in the model",
    ):
        assert part in str(error.value)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_open_sizes_are_read_from_the_first_input_and_checked_afterwards() -> None:
    model = nn.Sequential(nn.Linear(4), nn.BatchNorm1d(), nn.ReLU(), nn.Linear(2))
    with pytest.raises(UsageError, match="not known yet"):
        model.state_dict()
    model(np.ones((3, 5), "f"))
    assert repr(model[0]) == "Linear(5, 4)"
    assert model.state_dict()["linear2.weight"].shape == (4, 2)
    with pytest.raises(ShapeError, match="does not fit the layer"):
        model(np.ones((3, 6), "f"))


def test_a_shared_module_is_one_set_of_parameters_whose_gradients_add_up() -> None:
    layer = nn.Linear(3, 3, bias=False, dtype="float64")
    model = nn.Sequential(layer, nn.Tanh(), layer)
    assert len(list(model.parameters())) == 1
    x = gg.tensor(np.random.default_rng(0).normal(size=(4, 3)))
    model(x).sum().backward()
    w = layer.weight.numpy()
    h = np.tanh(x.numpy() @ w)
    g = np.ones((4, 3))
    want = h.T @ g + x.numpy().T @ ((g @ w.T) * (1 - h**2))
    assert layer.weight.grad is not None
    np.testing.assert_allclose(layer.weight.grad.numpy(), want, rtol=1e-12)


def test_tied_weights_work_eager_and_compiled() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(5, 3, dtype="float64")

        def forward(self, tokens: Any) -> Any:
            return self.embedding(tokens) @ self.embedding.weight.T

    model = Tied()
    tokens = gg.tensor([[0, 1, 4]])
    one, two = model(tokens), gg.compile(lambda t: model(t))(tokens)
    np.testing.assert_array_equal(one.numpy(), two.numpy())
    assert one.shape == (1, 3, 5)


def test_train_and_eval_reach_every_module_and_zero_grad_every_parameter() -> None:
    model = Block()
    model(np.random.default_rng(0).normal(size=(4, 3)).astype("f")).sum().backward()
    assert any(p.grad is not None for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    model.eval()
    assert not any(m.training for _, m in model.modules())


def test_a_module_without_forward_and_a_weight_used_before_a_call() -> None:
    with pytest.raises(UsageError, match="without forward"):
        nn.Module()(gg.tensor([1.0]))
    layer = nn.Linear(2, 3)
    assert (layer.weight * 2).shape == (2, 3)  # drawn when it is first asked for
    with pytest.raises(UsageError, match="not known yet"):
        nn.Linear(3).weight * 2


def test_a_sequential_is_indexed_and_walked_in_order() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    assert [type(m).__name__ for m in model] == ["Linear", "ReLU", "Linear"]
    assert len(model) == 3
    assert model[-1] is list(model)[2]
    assert repr(model) == "Sequential(linear1=Linear(2, 4), relu1=ReLU(), linear2=Linear(4, 1))"


def test_a_copy_of_a_network_that_has_seen_nothing_learns_its_sizes_like_the_original() -> None:
    """And draws the same numbers: copying draws none."""
    made = nn.Sequential(nn.Linear(4), nn.LayerNorm(), nn.Linear(2, 3))
    for copied in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert all(not w.drawn for w in copied.parameters() if isinstance(w, Weight))
    made = nn.Sequential(nn.Linear(4), nn.LayerNorm(), nn.Linear(3))
    copied = copy.deepcopy(made)
    x = np.ones((2, 5), np.float32)
    np.testing.assert_array_equal(made(x).numpy(), copied(x).numpy())
    assert made.state_dict().keys() == copied.state_dict().keys()
