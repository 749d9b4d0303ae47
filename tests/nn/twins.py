"""A layer beside PyTorch's: the same numbers in, and everything that comes out compared."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad import nn
from glassgrad.ops import OPS

Array = NDArray[Any]


def normal(*shape: int, seed: int = 0) -> Array:
    """Numbers for an input."""
    return np.random.default_rng([17, seed, *shape]).normal(size=shape)


def agree(ours: nn.Module, theirs: Any, x: Array, torch: Any, steps: str = "tte") -> None:
    """Results, gradients and running statistics for batches like x: "t" in training, "e" after.

    Parameters have PyTorch's names and shapes. They are moved away from 0 and 1 first.
    """
    theirs = theirs.double()
    with gg.no_grad():
        ours(gg.tensor(x))
    for i, (name, value) in enumerate([*theirs.named_parameters(), *theirs.named_buffers()]):
        if value.dtype == torch.float64:
            with torch.no_grad():
                value.add_(torch.tensor(0.2 * abs(normal(*value.shape, seed=i))))
        held = ours.named_state().get(name)
        if held is not None:
            held.assign(value.detach().numpy().astype("float64"))
    assert {n for n, _ in theirs.named_parameters()} == {p.name for p in ours.parameters()}
    for step, mode in enumerate(steps):
        ours.train(mode == "t")
        theirs.train(mode == "t")
        batch = x + 0.1 * normal(*x.shape, seed=step) if step else x
        a, b = gg.tensor(batch, requires_grad=True), torch.tensor(batch, requires_grad=True)
        y, z = ours(a), theirs(b)
        assert y.shape == tuple(z.shape)
        close(y.numpy(), z.detach().numpy())
        weight = normal(*y.shape, seed=90 + step)
        ours.zero_grad()
        theirs.zero_grad()
        (y * gg.tensor(weight)).sum().backward()
        (z * torch.tensor(weight)).sum().backward()
        assert a.grad is not None
        close(a.grad.numpy(), b.grad.numpy())
        for name, parameter in theirs.named_parameters():
            mine = ours.named_state()[name].grad
            assert mine is not None, name
            close(mine.numpy(), parameter.grad.numpy(), name)
        for name, buffer in theirs.named_buffers():
            if name in ours.named_state():
                close(ours.named_state()[name].numpy(), buffer.numpy(), name)


def close(found: Array, wanted: Array, about: str = "") -> None:
    """Equal to 1e-9 of what is largest."""
    assert found.shape == wanted.shape, about
    scale = float(np.max(np.abs(wanted[np.isfinite(wanted)]), initial=0.0)) or 1.0
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12 * scale, err_msg=about)


def compiled_is_eager(layer: nn.Module, x: Array) -> None:
    """The same bits from a program as from eager work, value and gradient of the input."""
    with gg.no_grad():
        layer.eval()(gg.tensor(x))

    def value(v: Any) -> Any:
        y = layer(v)
        return OPS["sum"](y * y)

    loss, slope = gg.value_and_grad(value)(gg.tensor(x))
    found, gradient = gg.compile(gg.value_and_grad(value))(gg.tensor(x))
    np.testing.assert_array_equal(loss.numpy(), found.numpy())
    np.testing.assert_array_equal(slope.numpy(), gradient.numpy())


def learns(layer: nn.Module, shape: tuple[int, ...]) -> str:
    """Train a network with this layer in it by `gg.fit`, and give its program back."""
    x, y = normal(12, *shape).astype("float32"), np.arange(12) % 2
    model = nn.Sequential(layer, nn.Flatten(), nn.Linear(2))
    settings: dict[str, Any] = {"loss": "cross_entropy", "optimizer": gg.optim.Adam(0.01)}
    history = gg.fit(model, x, y, **settings, epochs=8, batch_size=5, verbose=False)
    losses = history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert gg.predict(model, x).shape == (12, 2)
    return gg.source(model, x, y, **settings)
