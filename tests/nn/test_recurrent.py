"""Recurrent layers against PyTorch in float64, in all their settings; states; what is refused."""

# mypy: disable-error-code="arg-type"
# What cannot be meant is what is passed here.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import GlassgradError
from tests.conftest import require_torch

Array = NDArray[Any]
D: dict[str, Any] = {"dtype": "float64"}
KINDS = ("RNN", "LSTM", "GRU")


def made(kind: str, **settings: Any) -> nn.Module:
    """A layer with biases that are not 0."""
    layer: nn.Module = getattr(nn, kind)(3, 4, **D, **settings)
    moved(layer)
    return layer


def moved(layer: nn.Module) -> None:
    layer(gg.tensor(np.zeros((1, 1, 3))))
    rng = np.random.default_rng(3)
    for p in layer.parameters():
        p.assign(p.numpy() + rng.normal(0, 0.3, p.shape))


def fill(theirs: Any, ours: nn.Module, torch: Any, suffix: str = "_l0") -> None:
    """PyTorch's numbers from ours: transposed weights, and our biases where they belong."""
    state = {k.rpartition(".")[2]: v for k, v in ours.state_dict().items()}
    second = np.zeros_like(state["bias"])
    if "recurrent_bias" in state:
        second[-len(state["recurrent_bias"]) :] = state["recurrent_bias"]
    with torch.no_grad():
        for name, value in (
            ("weight_ih", state["weight"].T),
            ("weight_hh", state["recurrent"].T),
            ("bias_ih", state["bias"]),
            ("bias_hh", second),
        ):
            getattr(theirs, name + suffix).copy_(torch.tensor(value.copy()))


def wanted(theirs: Any, ours: nn.Module, suffix: str = "_l0") -> dict[str, Array]:
    """PyTorch's gradients under our names."""
    found = {
        "weight": getattr(theirs, "weight_ih" + suffix).grad.numpy().T,
        "recurrent": getattr(theirs, "weight_hh" + suffix).grad.numpy().T,
        "bias": getattr(theirs, "bias_ih" + suffix).grad.numpy(),
    }
    if hasattr(ours, "recurrent_bias"):
        found["recurrent_bias"] = getattr(theirs, "bias_hh" + suffix).grad.numpy()[-4:]
    return found


def close(found: Any, want: Any) -> None:
    scale = float(np.max(np.abs(want), initial=0))
    np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-12 * max(scale, 1))


def data(time: int = 6) -> Array:
    return np.random.default_rng(5).normal(size=(5, time, 3))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_states_and_all_gradients_are_pytorchs(
    kind: str, sequences: bool, reverse: bool
) -> None:
    torch = require_torch()
    ours = made(kind, sequences=sequences, reverse=reverse, return_state=True)
    theirs = getattr(torch.nn, kind)(3, 4, batch_first=True).double()
    fill(theirs, ours, torch)
    rng = np.random.default_rng(7)
    start = [rng.normal(size=(5, 4)) for _ in range(2 if kind == "LSTM" else 1)]
    x = gg.tensor(data(), requires_grad=True)
    starts = [gg.tensor(s, requires_grad=True) for s in start]
    y, *state = ours(x, *starts)
    tx = torch.tensor(data(), requires_grad=True)
    ts = [torch.tensor(s, requires_grad=True) for s in start]
    first = tuple(t[None] for t in ts)
    z, last = theirs(tx.flip(1) if reverse else tx, first if kind == "LSTM" else first[0])
    lasts = [s[0] for s in last] if kind == "LSTM" else [last[0]]
    z = (z.flip(1) if reverse else z) if sequences else lasts[0]
    close(y.numpy(), z.detach().numpy())
    for a, b in zip(state, lasts, strict=True):
        close(a.numpy(), b.detach().numpy())
    c = rng.normal(size=y.shape)
    total = (y * gg.tensor(c)).sum()
    theirs_total = (z * torch.tensor(c)).sum()
    for a, b in zip(state, lasts, strict=True):
        d = rng.normal(size=a.shape)
        total, theirs_total = (
            total + (a * gg.tensor(d)).sum(),
            theirs_total + (b * torch.tensor(d)).sum(),
        )
    total.backward()
    theirs_total.backward()
    for found, want in zip((x, *starts), (tx, *ts), strict=True):
        assert found.grad is not None
        close(found.grad.numpy(), want.grad.numpy())
    for name, want in wanted(theirs, ours).items():
        close(getattr(ours, name).grad.numpy(), want)


def test_a_relu_layer_is_pytorchs() -> None:
    torch = require_torch()
    ours = made("RNN", nonlinearity="relu", sequences=True)
    theirs = torch.nn.RNN(3, 4, batch_first=True, nonlinearity="relu").double()
    fill(theirs, ours, torch)
    x, tx = gg.tensor(data(), requires_grad=True), torch.tensor(data(), requires_grad=True)
    y, z = ours(x), theirs(tx)[0]
    close(y.numpy(), z.detach().numpy())
    (y * y).sum().backward()
    (z * z).sum().backward()
    assert x.grad is not None
    close(x.grad.numpy(), tx.grad.numpy())
    for name, want in wanted(theirs, ours).items():
        close(getattr(ours, name).grad.numpy(), want)


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_both_directions_side_by_side_are_pytorchs(kind: str, sequences: bool) -> None:
    torch = require_torch()
    ours = nn.Bidirectional(
        lambda reverse: getattr(nn, kind)(3, 4, sequences=sequences, reverse=reverse, **D)
    )
    moved(ours)
    theirs = getattr(torch.nn, kind)(3, 4, batch_first=True, bidirectional=True).double()
    fill(theirs, ours.forwards, torch)
    fill(theirs, ours.backwards, torch, "_l0_reverse")
    x, tx = gg.tensor(data(), requires_grad=True), torch.tensor(data(), requires_grad=True)
    y, (z, last) = ours(x), theirs(tx)
    last = last[0] if kind == "LSTM" else last
    z = z if sequences else torch.cat([last[0], last[1]], -1)
    close(y.numpy(), z.detach().numpy())
    (y * y).sum().backward()
    (z * z).sum().backward()
    assert x.grad is not None
    close(x.grad.numpy(), tx.grad.numpy())
    for layer, suffix in ((ours.forwards, "_l0"), (ours.backwards, "_l0_reverse")):
        for name, want in wanted(theirs, layer, suffix).items():
            close(getattr(layer, name).grad.numpy(), want)


@pytest.mark.parametrize("kind", KINDS)
def test_two_halves_with_the_state_handed_on_are_the_whole(kind: str) -> None:
    whole = made(kind, sequences=True)
    part = made(kind, sequences=True, return_state=True)
    x = data(8)
    first, *state = part(gg.tensor(x[:, :3]))
    second, *_ = part(gg.tensor(x[:, 3:]), *state)
    joined = np.concatenate([first.numpy(), second.numpy()], axis=1)
    np.testing.assert_array_equal(joined, whole(gg.tensor(x)).numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_layers_give_the_bits_of_eager_ones(kind: str) -> None:
    layer, x = made(kind, reverse=True), gg.tensor(data())
    eager = layer(x)
    np.testing.assert_array_equal(gg.compile(layer)(x).numpy(), eager.numpy())
    assert made(kind)(gg.tensor(np.zeros((2, 0, 3)))).numpy().tolist() == [[0] * 4] * 2


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (nn.LSTM, "one or two sizes"),
        (lambda: nn.GRU(3, 0), "units is out of range"),
        (lambda: nn.LSTM(3, reverse=1), "reverse is a choice"),
        (lambda: nn.RNN(3, nonlinearity="rleu"), "did you mean 'relu'"),
        (lambda: nn.LSTM(4)(np.zeros((2, 3), "float32")), "needs sequences"),
        (lambda: nn.LSTM(3, 4)(np.zeros((2, 3, 5), "float32")), "does not fit the layer"),
        (lambda: nn.GRU(4)(np.zeros((2, 3, 5), "int64")), "real numbers"),
        (
            lambda: nn.LSTM(4)(np.zeros((2, 3, 5), "float32"), np.zeros((2, 4), "float32")),
            "missing or too many",
        ),
        (
            lambda: nn.GRU(4)(np.zeros((2, 3, 5), "float32"), np.zeros((3, 4), "float32")),
            "does not fit",
        ),
        (lambda: nn.Bidirectional(nn.LSTM(3)), "one for each direction"),
        (lambda: nn.Bidirectional(lambda reverse: nn.LSTM(3)), "one for each direction"),
        (
            lambda: nn.Bidirectional(
                lambda reverse: nn.LSTM(3, reverse=reverse, return_state=True)
            ),
            "gives back no state",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(GlassgradError, match=says):
        call()
