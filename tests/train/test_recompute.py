"""recompute: activations are made again instead of kept. Less memory, the same bits, and it is said."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.backends import native
from glassgrad.engine import plan_lines
from glassgrad.errors import ConfigError
from glassgrad.passes import formulas, fuse, image_order
from tests.backends.native.training import forget

ENGINES = ("native", "numpy") if native.available() else ("numpy",)
RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((20, 3, 8, 8))
SEQUENCES = IMAGES.reshape(20, 24, 8)
CLASSES = RNG.integers(0, 4, 20)


class Block(nn.Module):
    """A residual block of images, with a norm."""

    def __init__(self, norm: Callable[[], nn.Module], dtype: str) -> None:
        super().__init__()
        self.first = nn.Conv2d(8, 3, padding=1, dtype=dtype)
        self.norm = norm()
        self.second = nn.Conv2d(8, 3, padding=1, dtype=dtype)

    def forward(self, x: Any) -> Any:
        return nn.relu(x + self.second(nn.relu(self.norm(self.first(x)))))


class Attending(nn.Module):
    """A block of a transformer, with dropout."""

    def __init__(self, dtype: str) -> None:
        super().__init__()
        self.before, self.after = nn.LayerNorm(dtype=dtype), nn.RMSNorm(dtype=dtype)
        self.attention = nn.MultiheadAttention(8, 2, causal=True, dtype=dtype)
        self.wide, self.narrow = nn.Linear(16, dtype=dtype), nn.Linear(8, dtype=dtype)
        self.dropout = nn.Dropout(0.2)

    def forward(self, x: Any) -> Any:
        x = x + self.dropout(self.attention(self.before(x)))
        return x + self.narrow(nn.gelu(self.wide(self.after(x))))


def _mlp(dtype: str) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for act in (nn.ReLU, nn.Tanh, nn.GELU, nn.SiLU, nn.ReLU, nn.ELU):
        layers += [nn.Linear(24, dtype=dtype), nn.BatchNorm1d(dtype=dtype), act(), nn.Dropout(0.2)]
    return nn.Sequential(*layers, nn.Linear(4, dtype=dtype))


def _resnet(norm: Callable[..., nn.Module], dtype: str) -> nn.Module:
    first, last = nn.Conv2d(8, 3, padding=1, dtype=dtype), nn.Linear(4, dtype=dtype)
    blocks = [Block(lambda: norm(dtype=dtype), dtype) for _ in range(3)]
    return nn.Sequential(first, *blocks, nn.GlobalAvgPool(), last)


def _pooled(dtype: str) -> nn.Module:
    layers: list[nn.Module] = []
    for act in (nn.ReLU, nn.Tanh, nn.ReLU):
        layers += [nn.Conv2d(8, 3, padding=1, dtype=dtype), act(), nn.MaxPool2d(2)]
    layers += [nn.Flatten(), nn.Linear(16, dtype=dtype), nn.ReLU(), nn.Linear(4, dtype=dtype)]
    return nn.Sequential(*layers)


def _gpt(dtype: str) -> nn.Module:
    return nn.Sequential(
        nn.Linear(8, dtype=dtype), *[Attending(dtype) for _ in range(3)],
        nn.Flatten(), nn.Linear(4, dtype=dtype),
    )  # fmt: skip


def _lstm(dtype: str) -> nn.Module:
    layers: list[nn.Module] = [nn.Linear(12, dtype=dtype), nn.Tanh()]
    layers += [nn.LSTM(8, sequences=True, dtype=dtype), nn.LSTM(8, dtype=dtype)]
    for _ in range(4):
        layers += [nn.Linear(16, dtype=dtype), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(4, dtype=dtype))


def _group(dtype: str) -> nn.Module:
    return nn.GroupNorm(4, dtype=dtype)


NETWORKS: dict[str, Callable[[str], nn.Module]] = {
    "dense, batch norm, dropout": _mlp,
    "residual, batch norm": lambda dtype: _resnet(nn.BatchNorm2d, dtype),
    "residual, group norm": lambda dtype: _resnet(_group, dtype),
    "max pooling": _pooled,
    "attention, layer norm, dropout": _gpt,
    "recurrent": _lstm,
}


def fitted(network: str, dtype: str, recompute: bool, engine: str, **settings: Any) -> Any:
    """History and final state; the last batch is a smaller one."""
    model = NETWORKS[network](dtype)
    x = SEQUENCES if network in ("attention, layer norm, dropout", "recurrent") else IMAGES
    given = {"optimizer": "adam", "epochs": 2, "batch_size": 16, **settings}
    history = gg.fit(
        model, x.astype(dtype), CLASSES, loss="cross_entropy", recompute=recompute,
        backend=engine, verbose=False, **given,
    )  # fmt: skip
    return history, model.state_dict()


def same(one: Any, other: Any) -> bool:
    (history, state), (history2, state2) = one, other
    equal = all(np.array_equal(state[name], state2[name]) for name in state)
    return equal and history.columns == history2.columns


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("network", NETWORKS)
def test_what_is_done_again_has_the_same_bits(network: str, dtype: str, engine: str) -> None:
    kept, again = (fitted(network, dtype, asked, engine) for asked in (False, True))
    step = again[0].record.plan.step
    graphs = step.native.graphs[1:] if step.native is not None else [step.graph]
    done = [n.op.name for graph in graphs for n in graph.nodes() if n.origin.again]
    assert done  # something was done again, or this would show nothing
    assert not {"scan", "last", "stack"} & {*done}  # a loop never is
    assert same(kept, again)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": optim.LBFGS(0.1), "batch_size": None},
        {"optimizer": optim.SGD(0.1, gradient_accumulation_steps=2)},
        {"optimizer": optim.AdamW(1e-3, global_clipnorm=0.5), "batch_size": 1},
    ],
    ids=["L-BFGS", "accumulated", "clipped, one sample at a time"],
)
def test_every_way_of_training_keeps_its_bits(settings: Any, engine: str) -> None:
    kept, again = (
        fitted("max pooling", "float32", asked, engine, **settings) for asked in (False, True)
    )
    assert same(kept, again)


@pytest.mark.skipif(not native.available(), reason="no native executor")
@pytest.mark.parametrize("off", [(fuse,), (formulas,), (image_order,), (fuse, formulas)])
def test_bits_stay_where_other_passes_are_off(
    off: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in off:
        monkeypatch.setattr(module, "ENABLED", False)
    forget()
    for network in ("residual, group norm", "max pooling"):
        kept, again = (fitted(network, "float32", asked, "native") for asked in (False, True))
        assert same(kept, again)
    forget()


# ------------------------------------------------------------------------------------ memory, cost


def _deep() -> nn.Module:
    return nn.Sequential(*[layer for _ in range(16) for layer in (nn.Linear(32), nn.Tanh())])


def _trained(recompute: bool, engine: str, **settings: Any) -> Any:
    x = np.linspace(-1, 1, 512 * 32, dtype=np.float32).reshape(512, 32)
    return gg.fit(
        _deep(), x, x, loss="mse", optimizer="sgd", recompute=recompute, backend=engine,
        **{"verbose": False, **settings},
    )  # fmt: skip


@pytest.mark.skipif(not native.available(), reason="no native executor")
def test_the_cost_is_that_of_the_two_plans() -> None:
    kept, again = (_trained(asked, "native") for asked in (False, True))
    cost = again.record.recompute_cost()
    plans = [plan_lines(h.record.plan.step, 512) for h in (kept, again)]
    arenas = [about["arena"] for _, about in plans]
    flop = [sum(line.flop * line.times for line in lines) for lines, _ in plans]
    assert (cost.rows, [cost.memory_kept, cost.memory]) == (512, arenas)
    assert [cost.flop_kept, cost.flop] == flop
    assert cost.memory < cost.memory_kept / 2
    assert 1 < cost.flop / cost.flop_kept < 4 / 3  # at most the way forward once more
    assert 0 < cost.again < cost.forward
    assert kept.record.recompute_cost() is None


def test_numpy_text_frees_what_it_does_again() -> None:
    def peak(recompute: bool) -> int:
        _trained(recompute, "numpy")  # compiled
        tracemalloc.start()
        _trained(recompute, "numpy")
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(True) < peak(False) / 2
    cost = _trained(True, "numpy").record.recompute_cost()
    assert str(cost).endswith("how much memory NumPy takes is not known")


def test_a_program_that_frees_is_still_text_to_read() -> None:
    x = np.zeros((4, 32), np.float32)
    text = gg.source(_deep(), x, x, loss="mse", optimizer="sgd", recompute=True)
    assert "# linear2 again" in text
    assert "    del linear1" in text.replace("linear1,", "linear1")
    assert "del" not in gg.source(_deep(), x, x, loss="mse", optimizer="sgd").split()


@pytest.mark.parametrize("engine", ENGINES)
def test_where_nothing_is_saved_nothing_is_done_again(engine: str) -> None:
    model = nn.Sequential(nn.Linear(3), nn.Tanh(), nn.Linear(1))
    history = gg.fit(
        model, np.ones((4, 2)), np.ones((4, 1)), loss="mse", optimizer="sgd", recompute=True,
        backend=engine, verbose=False,
    )  # fmt: skip
    cost = history.record.recompute_cost()
    assert (cost.again, cost.memory) == (0, cost.memory_kept)
    assert str(cost) == "no memory to save for 4 rows, nothing is done again"


@pytest.mark.parametrize("engine", ENGINES)
def test_training_says_first_what_it_saves_and_costs(
    engine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    history = _trained(True, engine, verbose=True)
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"recompute: {history.record.recompute_cost()}"
    assert second.startswith("epoch 1/1")
    _trained(False, engine, verbose=True)
    assert "recompute" not in capsys.readouterr().err


def test_recompute_is_yes_or_no() -> None:
    with pytest.raises(ConfigError, match="recompute is a choice"):
        gg.fit(_deep(), [[1.0]], [[1.0]], loss="mse", optimizer="sgd", recompute=2)  # type: ignore[arg-type]
