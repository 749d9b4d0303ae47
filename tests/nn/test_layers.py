"""Every layer against PyTorch in float64, and what layers refuse."""

# mypy: disable-error-code="arg-type"
# What cannot be meant is what is passed here.

# ruff: noqa: PLW0108  # a lambda for each case, also where a name would do

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import (
    ConfigError,
    DataError,
    DTypeError,
    GlassgradError,
    ShapeError,
    UsageError,
)
from tests.conftest import require_torch

D: dict[str, Any] = {"dtype": "float64"}


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng([11, seed, *shape]).normal(size=shape)


def linear(ours: nn.Module, theirs: Any, torch: Any) -> None:
    state = ours.state_dict()
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor(state["weight"].T))
        if theirs.bias is not None:
            theirs.bias.copy_(torch.tensor(state["bias"]))


def same(ours: nn.Module, theirs: Any, torch: Any) -> None:
    state = ours.state_dict()
    with torch.no_grad():
        for name, value in [*theirs.named_parameters(), *theirs.named_buffers()]:
            if name in state:
                value.copy_(torch.tensor(state[name]))


def recurrent(ours: nn.Module, theirs: Any, torch: Any) -> None:
    state = ours.state_dict()
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(torch.tensor(state["weight"].T))
        theirs.weight_hh_l0.copy_(torch.tensor(state["recurrent"].T))
        theirs.bias_ih_l0.copy_(torch.tensor(state["bias"]))
        theirs.bias_hh_l0.zero_()


RENAMED = {"weight_ih_l0": "weight", "weight_hh_l0": "recurrent", "bias_ih_l0": "bias"}
Case = tuple[str, Callable[[], nn.Module], Callable[[Any], Any], Any, Any]

LAYERS: list[Case] = [
    ("Linear", lambda: nn.Linear(3, 4, **D), lambda t: t.nn.Linear(3, 4), normal(5, 3), linear),
    ("Linear, lazy", lambda: nn.Linear(4, **D), lambda t: t.nn.Linear(3, 4), normal(5, 3), linear),
    (
        "Linear, sequence",
        lambda: nn.Linear(3, 4, **D),
        lambda t: t.nn.Linear(3, 4),
        normal(2, 5, 3),
        linear,
    ),
    (
        "Linear, no bias",
        lambda: nn.Linear(3, 4, bias=False, **D),
        lambda t: t.nn.Linear(3, 4, bias=False),
        normal(5, 3),
        linear,
    ),
    (
        "Conv1d",
        lambda: nn.Conv1d(2, 3, 4, stride=2, padding=3, dilation=2, **D),
        lambda t: t.nn.Conv1d(2, 3, 4, 2, 3, 2),
        normal(4, 2, 9),
        same,
    ),
    (
        "Conv2d",
        lambda: nn.Conv2d(2, 3, 3, **D),
        lambda t: t.nn.Conv2d(2, 3, 3),
        normal(4, 2, 6, 5),
        same,
    ),
    (
        "Conv2d, groups",
        lambda: nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=1, groups=2, **D),
        lambda t: t.nn.Conv2d(4, 6, (3, 2), (2, 1), 1, groups=2),
        normal(2, 4, 7, 5),
        same,
    ),
    (
        "Conv2d, same",
        lambda: nn.Conv2d(5, 3, padding="same", dilation=2, **D),
        lambda t: t.nn.Conv2d(2, 5, 3, padding="same", dilation=2),
        normal(2, 2, 7, 6),
        same,
    ),
    (
        "MaxPool2d",
        lambda: nn.MaxPool2d(3, stride=2, padding=1),
        lambda t: t.nn.MaxPool2d(3, 2, 1),
        normal(2, 3, 8, 7),
        same,
    ),
    (
        "AvgPool2d",
        lambda: nn.AvgPool2d((2, 3), stride=2, padding=1),
        lambda t: t.nn.AvgPool2d((2, 3), 2, 1),
        normal(2, 3, 8, 7),
        same,
    ),
    ("Flatten", nn.Flatten, lambda t: t.nn.Flatten(), normal(2, 3, 4, 5), same),
    (
        "BatchNorm1d",
        lambda: nn.BatchNorm1d(3, **D),
        lambda t: t.nn.BatchNorm1d(3),
        normal(8, 3),
        same,
    ),
    (
        "BatchNorm1d, signals",
        lambda: nn.BatchNorm1d(eps=1e-3, momentum=0.3, **D),
        lambda t: t.nn.BatchNorm1d(3, 1e-3, 0.3),
        normal(8, 3, 5),
        same,
    ),
    (
        "BatchNorm2d",
        lambda: nn.BatchNorm2d(3, **D),
        lambda t: t.nn.BatchNorm2d(3),
        normal(8, 3, 4, 5),
        same,
    ),
    ("LayerNorm", lambda: nn.LayerNorm(4, **D), lambda t: t.nn.LayerNorm(4), normal(5, 4), same),
    (
        "LayerNorm, two axes",
        lambda: nn.LayerNorm((3, 4), eps=1e-3, **D),
        lambda t: t.nn.LayerNorm((3, 4), 1e-3),
        normal(5, 3, 4),
        same,
    ),
    (
        "RNN",
        lambda: nn.RNN(3, 4, sequences=True, **D),
        lambda t: t.nn.RNN(3, 4, batch_first=True),
        normal(5, 6, 3),
        recurrent,
    ),
    ("ReLU", nn.ReLU, lambda t: t.nn.ReLU(), normal(4, 5), same),
    ("LeakyReLU", lambda: nn.LeakyReLU(0.2), lambda t: t.nn.LeakyReLU(0.2), normal(4, 5), same),
    ("ELU", lambda: nn.ELU(0.7), lambda t: t.nn.ELU(0.7), normal(4, 5), same),
    ("GELU", nn.GELU, lambda t: t.nn.GELU(), normal(4, 5), same),
    ("SiLU", nn.SiLU, lambda t: t.nn.SiLU(), normal(4, 5), same),
    ("Sigmoid", nn.Sigmoid, lambda t: t.nn.Sigmoid(), 30 * normal(4, 5), same),
    ("Tanh", nn.Tanh, lambda t: t.nn.Tanh(), normal(4, 5), same),
    ("Softplus", nn.Softplus, lambda t: t.nn.Softplus(), normal(4, 5), same),
    ("Softplus, beta", lambda: nn.Softplus(3), lambda t: t.nn.Softplus(3, 1e9), normal(4, 5), same),
    ("GELU, tanh", lambda: nn.GELU("tanh"), lambda t: t.nn.GELU("tanh"), normal(4, 5), same),
    ("ReLU6", nn.ReLU6, lambda t: t.nn.ReLU6(), 5 * normal(4, 5), same),
    ("SELU", nn.SELU, lambda t: t.nn.SELU(), normal(4, 5), same),
    ("CELU", lambda: nn.CELU(0.5), lambda t: t.nn.CELU(0.5), normal(4, 5), same),
    ("Hardtanh", nn.Hardtanh, lambda t: t.nn.Hardtanh(), normal(4, 5), same),
    (
        "Hardtanh, bounds",
        lambda: nn.Hardtanh(-0.3, 2),
        lambda t: t.nn.Hardtanh(-0.3, 2),
        normal(4, 5),
        same,
    ),
    ("Hardswish", nn.Hardswish, lambda t: t.nn.Hardswish(), 3 * normal(4, 5), same),
    ("Softsign", nn.Softsign, lambda t: t.nn.Softsign(), normal(4, 5), same),
    ("Mish", nn.Mish, lambda t: t.nn.Mish(), 5 * normal(4, 5), same),
    ("LogSigmoid", nn.LogSigmoid, lambda t: t.nn.LogSigmoid(), 30 * normal(4, 5), same),
    ("Tanhshrink", nn.Tanhshrink, lambda t: t.nn.Tanhshrink(), normal(4, 5), same),
    ("Hardshrink", nn.Hardshrink, lambda t: t.nn.Hardshrink(), normal(4, 5), same),
    ("Softshrink", lambda: nn.Softshrink(0.2), lambda t: t.nn.Softshrink(0.2), normal(4, 5), same),
    ("Threshold", lambda: nn.Threshold(0.1, 3), lambda t: t.nn.Threshold(0.1, 3), normal(4), same),
    ("PReLU", lambda: nn.PReLU(**D), lambda t: t.nn.PReLU(), normal(4, 5), same),
    ("PReLU, rows", lambda: nn.PReLU(5, 0.1, **D), lambda t: t.nn.PReLU(5), normal(4, 5), same),
    ("PReLU, images", lambda: nn.PReLU(3, **D), lambda t: t.nn.PReLU(3), normal(2, 3, 4, 5), same),
    ("GLU", lambda: nn.GLU(1), lambda t: t.nn.GLU(1), normal(4, 6, 2), same),
    ("Softmin", nn.Softmin, lambda t: t.nn.Softmin(-1), normal(4, 5), same),
    ("Softmax", lambda: nn.Softmax(1), lambda t: t.nn.Softmax(1), normal(4, 5, 2), same),
    ("LogSoftmax", nn.LogSoftmax, lambda t: t.nn.LogSoftmax(-1), 50 * normal(4, 5), same),
]


@pytest.mark.parametrize(("name", "make", "twin", "x", "fill"), LAYERS, ids=[c[0] for c in LAYERS])
def test_outputs_gradients_and_running_statistics_are_pytorchs(
    name: str, make: Any, twin: Any, x: Any, fill: Any
) -> None:
    torch = require_torch()
    ours, theirs = make(), twin(torch).double()
    ours(gg.tensor(x))
    if name.startswith("BatchNorm"):
        for b in ours.buffers():
            b.assign(np.zeros(b.shape) if b.name.endswith("mean") else np.ones(b.shape))
    for p in ours.parameters():
        p.assign(p.numpy() + 0.1 * normal(*p.shape, seed=3))
    fill(ours, theirs, torch)
    for step, training in enumerate((True, True, False)):
        batch = x + 0.1 * normal(*x.shape, seed=step)
        ours.train(training)
        theirs.train(training)
        a = gg.tensor(batch, requires_grad=True)
        b = torch.tensor(batch, requires_grad=True)
        ya, yb = ours(a), theirs(b)
        yb = yb[0] if isinstance(yb, tuple) else yb
        weight = normal(*ya.shape, seed=9)
        np.testing.assert_allclose(ya.numpy(), yb.detach().numpy(), rtol=1e-10, atol=1e-12)
        ours.zero_grad()
        theirs.zero_grad()
        (ya * weight).sum().backward()
        (yb * torch.tensor(weight)).sum().backward()
        assert a.grad is not None
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-11)
        grads = {
            RENAMED.get(n, n): p.grad.numpy()
            for n, p in theirs.named_parameters()
            if p.grad is not None
        }
        for p in ours.parameters():
            assert p.grad is not None
            want = grads[p.name]
            want = want.T if fill in (linear, recurrent) and want.ndim == 2 else want
            np.testing.assert_allclose(p.grad.numpy(), want, rtol=1e-9, atol=1e-11)
        moved = dict(theirs.named_buffers())
        for buffer in ours.buffers():
            np.testing.assert_allclose(buffer.numpy(), moved[buffer.name].numpy(), rtol=1e-12)


def test_embedding_adds_up_the_gradients_of_repeated_tokens() -> None:
    torch = require_torch()
    ours, theirs = nn.Embedding(5, 3, **D), torch.nn.Embedding(5, 3).double()
    same(ours, theirs, torch)
    tokens = np.array([[1, 1, 4], [0, 1, 4]])
    weight = normal(2, 3, 3)
    (ours(gg.tensor(tokens)) * weight).sum().backward()
    (theirs(torch.tensor(tokens)) * torch.tensor(weight)).sum().backward()
    assert ours.weight.grad is not None
    np.testing.assert_allclose(ours.weight.grad.numpy(), theirs.weight.grad.numpy(), rtol=1e-12)


def test_rnn_gives_the_last_state_or_all_and_knows_no_steps_at_all() -> None:
    all_states, last = nn.RNN(3, 4, sequences=True, **D), nn.RNN(3, 4, **D)
    x = gg.tensor(normal(2, 6, 3))
    last.load_state_dict(all_states.state_dict())
    np.testing.assert_array_equal(all_states(x).numpy()[:, -1], last(x).numpy())
    assert last(gg.tensor(np.zeros((2, 0, 3)))).numpy().tolist() == [[0] * 4] * 2


# -- dropout -----------------------------------------------------------------------------------


def test_dropout_keeps_the_mean_scales_what_it_keeps_and_is_off_in_evaluation() -> None:
    layer = nn.Dropout(0.3)
    x = gg.tensor(np.ones((200, 500), np.float32), requires_grad=True)
    gg.seed(1)
    y = layer(x)
    values = y.numpy()
    kept = np.unique(values)
    np.testing.assert_allclose(kept, [0, 1 / 0.7], rtol=1e-6)
    share = float(np.mean(values == 0))
    assert abs(share - 0.3) < 4 * np.sqrt(0.3 * 0.7 / values.size)
    y.sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), values)  # the same mask on the way back
    layer.eval()
    assert layer(x) is x


def test_dropout_is_a_function_of_seed_path_and_count() -> None:
    x = gg.tensor(np.ones((50, 50), np.float32))
    model = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))
    first, second = model

    def draws() -> list[Any]:
        gg.seed(4)
        return [first(x).numpy(), first(x).numpy(), second(x).numpy()]

    model.modules()
    list(model.parameters())  # gives the modules their paths
    one, two = draws(), draws()
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one[0], one[1])
    gg.seed(4)
    assert not np.array_equal(one[0], second(x).numpy())
    gg.seed(5)
    assert not np.array_equal(one[0], first(x).numpy())


# -- refused -----------------------------------------------------------------------------------

UNITS = [0, -3, 2.5, True, 10**12, "64", None]


@pytest.mark.parametrize("value", UNITS, ids=repr)
@pytest.mark.parametrize(
    "make",
    [
        lambda v: nn.Linear(v),
        lambda v: nn.Linear(v, 3),
        lambda v: nn.Linear(3, v),
        lambda v: nn.Conv1d(v, 3),
        lambda v: nn.Conv2d(v, 2, 3),
        lambda v: nn.Conv2d(3, kernel_size=v) if v is not None else nn.Conv2d(3),
        lambda v: nn.Conv2d(2, 3, stride=v),
        lambda v: nn.Conv2d(2, 3, dilation=v),
        lambda v: nn.Conv2d(2, 3, groups=v),
        lambda v: nn.MaxPool2d(v),
        lambda v: nn.AvgPool2d(v),
        lambda v: nn.BatchNorm1d("x" if v is None else v),
        lambda v: nn.BatchNorm2d("x" if v is None else v),
        lambda v: nn.LayerNorm((v, 3) if v is not None else ()),
        lambda v: nn.Embedding(v, 3),
        lambda v: nn.Embedding(3, v),
        lambda v: nn.RNN(v),
        lambda v: nn.RNN(3, v),
    ],
    ids=range(18),
)
def test_sizes_that_cannot_be_meant_are_refused(make: Any, value: Any) -> None:
    with pytest.raises(ConfigError) as error:
        make(value)
    assert error.value.received or error.value.expected


def test_a_layer_too_large_is_refused_with_the_memory_it_would_take() -> None:
    with pytest.raises(ConfigError, match=r"4,000\.0 GB"):
        nn.Linear(10**12)
    with pytest.raises(ConfigError, match=r"4,000,000,000\.0 GB"):
        nn.Linear(10**9, 10**9)
    with pytest.raises(ConfigError, match=r"GB"):
        nn.Linear(10**9)(np.ones((1, 1000), np.float32))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: nn.Linear(), "one or two sizes"),
        (lambda: nn.Linear(1, 2, 3), "one or two sizes"),
        (lambda: nn.Linear(3, bias="no"), "bias is a choice"),
        (lambda: nn.Linear(3, init="hee"), "did you mean 'he'"),
        (lambda: nn.Linear(3, init=object()), "not an initialiser"),
        (lambda: nn.Linear(3, init=True), "not an initialiser"),
        (lambda: nn.Linear(2, 3, init=np.ones((3, 2))).state_dict(), "do not fit the parameter"),
        (lambda: nn.Linear(2, 3, init=lambda s, k, n: np.ones(3)).state_dict(), "cannot be used"),
        (lambda: nn.Linear(2, 3, init=float("nan")).state_dict(), "cannot be used"),
        (lambda: nn.Linear(3, dtype="int64"), "layers have real numbers"),
        (lambda: nn.Linear(3, dtype="float16"), "layers have real numbers"),
        (lambda: nn.Conv2d(3), "channels and a kernel size"),
        (lambda: nn.Conv2d(1, 2, 3, 4), "channels and a kernel size"),
        (lambda: nn.Conv2d(3, (2,)), "needs 2 numbers"),
        (lambda: nn.Conv2d(3, 3, padding=-1), "padding is out of range"),
        (lambda: nn.Conv2d(3, 3, padding="smae"), "padding is out of range"),
        (lambda: nn.Conv2d(3, 2, padding="same"), "odd kernels"),
        (lambda: nn.Conv2d(4, 3, groups=3), "groups must divide"),
        (lambda: nn.Conv2d(4, 6, 3, groups=3), "groups must divide"),
        (lambda: nn.MaxPool2d(2, padding=2), "half the window"),
        (lambda: nn.MaxPool2d((1, 2, 3)), "needs 2 numbers"),
        (lambda: nn.Dropout(1.0), "share to drop"),
        (lambda: nn.Dropout(-0.1), "share to drop"),
        (lambda: nn.Dropout(float("nan")), "share to drop"),
        (lambda: nn.Dropout("half"), "share to drop"),
        (lambda: nn.BatchNorm1d(3, eps=0), "eps is out of range"),
        (lambda: nn.BatchNorm1d(3, eps="small"), "eps is out of range"),
        (lambda: nn.BatchNorm1d(3, momentum=2), "momentum is out of range"),
        (lambda: nn.LayerNorm(3, eps=float("nan")), "eps is out of range"),
        (lambda: nn.LayerNorm(()), "needs an axis"),
        (lambda: nn.LeakyReLU("a"), "slope is out of range"),
        (lambda: nn.ELU(float("inf")), "alpha is out of range"),
        (lambda: nn.CELU(0), "cannot be 0"),
        (lambda: nn.Hardtanh(1, -1), "between these bounds"),
        (lambda: nn.Softshrink(-0.1), "lambd is out of range"),
        (lambda: nn.Threshold("a", 1), "threshold is out of range"),
        (lambda: nn.Softplus(0), "beta is out of range"),
        (lambda: nn.GELU("sigmoid"), "approximation"),
        (lambda: nn.PReLU(0), "num_parameters"),
        (lambda: nn.PReLU(1, float("nan")), "init is out of range"),
        (lambda: nn.GLU("last"), "axis must be a whole number"),
        (lambda: nn.Softmax(1.5), "axis must be a whole number"),
        (lambda: nn.LogSoftmax(True), "axis must be a whole number"),
        (lambda: nn.RNN(3, sequences=1), "sequences is a choice"),
        (lambda: nn.Sequential(3), "made of modules"),
        (lambda: nn.Sequential(nn.ReLU(), a=nn.ReLU()), "all named or all unnamed"),
        (lambda: nn.Sequential(forward=nn.ReLU()), "cannot have this name"),
        (lambda: nn.Sequential(**{"a b": nn.ReLU()}), "cannot have this name"),
        (lambda: nn.Sequential(**{"class": nn.ReLU()}), "cannot have this name"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(make: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make()


@pytest.mark.parametrize(
    ("layer", "x", "error", "says"),
    [
        (nn.Linear(3, 2), np.ones((4, 5), "f"), ShapeError, "does not fit the layer"),
        (nn.Linear(3, 2), np.ones(3, "f"), ShapeError, "needs rows"),
        (nn.Linear(3, 2), np.ones((4, 3), int), DTypeError, "needs real numbers"),
        (nn.Linear(3, 2), np.ones((4, 3)), DTypeError, "different kinds of number"),
        (nn.Linear(3, 2), "text", UsageError, "takes a tensor"),
        (nn.Linear(3, 2), None, UsageError, "takes a tensor"),
        (nn.Conv2d(2, 3), np.ones((4, 5), "f"), ShapeError, "add a channel axis"),
        (nn.Conv2d(1, 2, 3), np.ones((4, 3, 5, 5), "f"), ShapeError, "does not fit the layer"),
        (nn.Conv2d(1, 2, 3), np.ones((4, 1, 2, 2), "f"), ShapeError, "larger than the image"),
        (nn.Conv2d(4, 3, groups=2), np.ones((4, 3, 5, 5), "f"), ShapeError, "groups must divide"),
        (nn.MaxPool2d(3), np.ones((1, 1, 2, 2), "f"), ShapeError, "larger than the image"),
        (nn.MaxPool2d(3), np.ones((1, 2, 2), "f"), ShapeError, "MaxPool2d needs images of 4 axes"),
        (nn.BatchNorm1d(3), np.ones((4, 2), "f"), ShapeError, "does not fit the layer"),
        (nn.BatchNorm1d(3), np.ones((1, 3), "f"), ShapeError, "more than one row"),
        (nn.BatchNorm2d(3), np.ones((4, 3), "f"), ShapeError, "does not take this"),
        (nn.LayerNorm(3), np.ones((4, 2), "f"), ShapeError, "does not fit the layer"),
        (nn.LayerNorm((3, 3)), np.ones(3, "f"), ShapeError, "more axes than there are"),
        (nn.Embedding(3, 2), np.array([3]), DataError, "outside the axis"),
        (nn.Embedding(3, 2), np.array([-1]), DataError, "outside the axis"),
        (nn.Embedding(3, 2), np.array([1.0]), DTypeError, "whole numbers"),
        (nn.RNN(3, 2), np.ones((4, 3), "f"), ShapeError, "needs sequences"),
        (nn.RNN(3, 2), np.ones((4, 2, 5), "f"), ShapeError, "does not fit the layer"),
        (nn.PReLU(2), np.ones((4, 3), "f"), ShapeError, "one slope for all"),
        (nn.PReLU(), np.ones((4, 3), int), DTypeError, "needs real numbers"),
        (nn.GLU(), np.ones((4, 3), "f"), ShapeError, "two halves"),
        (nn.Softmax(2), np.ones((4, 3), "f"), ShapeError, "no such axis"),
        (nn.ReLU(), np.ones((4, 3), int), DTypeError, "real numbers"),
        (nn.Flatten(), np.ones((), "f"), ShapeError, "no rows"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_and_the_layer_is_named(
    layer: nn.Module, x: Any, error: type[GlassgradError], says: str
) -> None:
    model = nn.Sequential(first=nn.Dropout(0.0), second=layer)
    with pytest.raises(error, match=says) as caught:
        model(x)
    assert caught.value.where.startswith("second: "), caught.value.where
    assert type(layer).__name__ in caught.value.where


def test_a_dense_layer_after_images_says_both_shapes() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3), nn.ReLU(), nn.Linear(18, 5))
    with pytest.raises(ShapeError) as error:
        model(np.ones((4, 1, 5, 5), "f"))
    assert "linear1: Linear(18, 5)" in str(error.value)
    assert "18, as the layer was made" in str(error.value)


def test_unknown_names_say_what_was_meant() -> None:
    for call, meant in (
        (lambda: nn.rleu, "relu"),
        (lambda: nn.Liner, "Linear"),
        (lambda: gg.opitm, "optim"),
    ):
        with pytest.raises(AttributeError, match=f"did you mean '{meant}'"):
            call()
    with pytest.raises(ConfigError, match="did you mean 'mse'"):
        nn.losses.find("mes")
