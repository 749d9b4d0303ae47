"""Names from outside: each of 10,000 is refused, or gives programs that pass the allow-list."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.backends.numpy_source.check import check_program
from glassgrad.engine import step_source
from glassgrad.errors import GlassgradError, InternalError
from glassgrad.inspect.source import about, whole_program
from glassgrad.train.fit import prepared
from glassgrad.train.trainer import Record, Trainer
from tests.hostile_names import hostile_names

NAMES = hostile_names(10_000)
X = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(7, 3)).astype(np.float32)


class Net(nn.Module):
    """Whatever is put into `order` one after another, and every parameter added."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []
        self.added: list[str] = []

    def forward(self, x: Any) -> Any:
        for name in self.order:
            x = getattr(self, name)(x)
        for name in self.added:
            x = x + getattr(self, name)
        return x


def _in_sequential(name: str) -> None:
    nn.Sequential(**{name: nn.ReLU()})


def _as_attribute(name: str) -> None:
    setattr(Net(), name, nn.Linear(3))


def _as_parameter(name: str) -> None:
    setattr(Net(), name, gg.Parameter(np.zeros(3, np.float32)))


def _as_buffer(name: str) -> None:
    setattr(Net(), name, gg.Buffer(np.zeros(3, np.float32)))


def _as_class(name: str) -> None:
    type(name, (nn.ReLU,), {})


def _as_metric(name: str) -> None:
    prepared(_plain(), X, Y, loss="mse", optimizer="sgd", metrics=_function(name))


def _function(name: str) -> Callable[[Any, Any], Any]:
    def metric(prediction: Any, target: Any) -> Any:
        return abs(prediction - target).mean()

    metric.__name__ = name
    return metric


def _plain() -> nn.Module:
    return nn.Sequential(output=nn.Linear(3, 3))


REFUSALS: list[GlassgradError] = []
ROUTES: dict[str, Callable[[str], None]] = {
    "sequential": _in_sequential,
    "attribute": _as_attribute,
    "parameter": _as_parameter,
    "buffer": _as_buffer,
    "class": _as_class,
    "metric": _as_metric,
}


def accepted(route: str, name: str) -> bool:
    """Whether a name gets in by a route; it is refused with our error, or by Python itself."""
    try:
        ROUTES[route](name)
    except InternalError:
        raise
    except GlassgradError as error:
        REFUSALS.append(error)
        return False
    except (ValueError, TypeError, UnicodeError):
        if route == "class":  # Python itself makes no class of this name
            return False
        raise
    return True


def build(group: list[tuple[str, str]], plain: bool) -> tuple[nn.Module, dict[str, Any]]:
    """A network with these names, or one of the same structure with plain ones."""
    net, metrics, kind = Net(), [], "Net"
    inner: dict[str, nn.Module] = {}
    for i, (route, hostile) in enumerate(group):
        name = f"plain{i}" if plain else hostile
        if route == "sequential":
            inner[name] = (nn.Linear(3, bias=False), nn.Dropout(0.25), nn.Tanh())[i % 3]
        elif route == "attribute":
            if name not in vars(net):
                setattr(net, name, nn.Linear(3))
                net.order.append(name)
        elif route in ("parameter", "buffer"):
            if name not in vars(net):
                zeros = np.zeros(3, np.float32)
                made = gg.Parameter(zeros) if route == "parameter" else gg.Buffer(zeros)
                setattr(net, name, made)
                net.added.append(name)
        elif route == "class":
            kind = name
        else:
            metrics.append(_function(name))
    net.__class__ = type(kind, (Net,), {})
    if inner:
        own = type(kind, (nn.Sequential,), {"settings": lambda self: kind})
        net.inner_part = own(**inner)
        net.order.append("inner_part")
    net.output_part = nn.Linear(3)
    net.order.append("output_part")
    own_loss = _function("plain_loss" if plain else group[0][1])
    settings = {"loss": own_loss, "metrics": tuple(metrics), "optimizer": optim.Adam(1e-2)}
    return net, {**settings, "batch_size": 3, "epochs": 2, "validation_data": (X[:2], Y[:2])}


def texts(record: Record) -> tuple[str, str]:
    step = step_source(record.plan.step, about(record, "One training step, as NumPy."))
    return step, whole_program(record)


def check_texts(record: Record) -> None:
    """Raise unless both programs pass the allow-list."""
    step, whole = texts(record)
    check_program(ast.parse(step))
    check_program(ast.parse(whole), whole=True)


def trained(model: nn.Module, settings: dict[str, Any]) -> tuple[Record, list[np.ndarray], str]:
    """The numbers after training from given ones, whatever the parameters are called."""
    record = prepared(model, X, Y, **settings)
    r = np.random.default_rng(5)
    for parameter in model.named_state().values():
        parameter.assign(r.normal(size=parameter.shape).astype(np.float32))
    history = Trainer(record).run(())
    numbers = "\n".join(history.to_csv(seconds=False).split("\n")[1:])
    return record, [p.numpy().copy() for p in model.named_state().values()], numbers


def groups(size: int, names: list[str] = NAMES) -> list[list[tuple[str, str]]]:
    """All accepted pairs of a route and a name, in groups that make one network each."""
    routes = list(ROUTES)
    pairs = [(routes[i % len(routes)], name) for i, name in enumerate(names)]
    kept = [(route, name) for route, name in pairs if accepted(route, name)]
    return [kept[i : i + size] for i in range(0, len(kept), size)]


@pytest.fixture(scope="module")
def networks() -> list[list[tuple[str, str]]]:
    return groups(16)


def _prepared(group: list[tuple[str, str]]) -> tuple[nn.Module, dict[str, Any], Record] | None:
    """The group without what `fit` refuses: those names go one by one."""
    while group:
        model, settings = build(group, plain=False)
        try:
            return model, settings, prepared(model, X, Y, **settings)
        except InternalError:
            raise  # the allow-list is the last line: names never get so far
        except GlassgradError as error:
            at = [
                i
                for i, (_, name) in enumerate(group)
                if name and (repr(name)[1:-1][:40] in f"{error.received} {error.where}")
            ]
            if not at:
                raise
            if error.what.startswith("two columns"):
                at = [i for i, (route, _) in enumerate(group) if route == "metric"][-1:]
            del group[at[-1]]
    return None


def wrong_programs(names: list[str]) -> list[str]:
    """Which of these names, in networks of sixteen, give programs that are not on the list."""
    wrong = []
    for group in groups(16, names):
        try:
            found = _prepared(group)
            if found is not None:
                check_texts(found[2])
        except Exception as error:  # noqa: BLE001  # every one is the failure
            wrong.append(f"{type(error).__name__}: {error}: {group}")
    return wrong


@pytest.mark.slow
def test_ten_thousand_names(networks: list[list[tuple[str, str]]]) -> None:
    assert len(NAMES) == 10_000
    in_programs = 0
    for group in networks:
        found = _prepared(group)
        assert found is not None
        check_texts(found[2])
        in_programs += len(group)
    assert in_programs > 2_000  # not everything is refused
    assert len(REFUSALS) > 2_000
    assert all(e.what and e.expected and e.received for e in REFUSALS)


def test_hostile_names_change_no_number(networks: list[list[tuple[str, str]]]) -> None:
    for group in networks[::20]:
        without_dropout = [p for i, p in enumerate(group) if p[0] != "sequential"]
        if not without_dropout or _prepared(without_dropout) is None:
            continue
        _, hostile, table = trained(*build(without_dropout, plain=False))
        _, plain, plain_table = trained(*build(without_dropout, plain=True))
        assert table == plain_table
        for a, b in zip(hostile, plain, strict=True):
            assert a.tobytes() == b.tobytes()


def test_programs_with_hostile_names_run(
    networks: list[list[tuple[str, str]]], tmp_path: Path
) -> None:
    for i, group in enumerate(networks[3::150]):
        found = _prepared(group)
        assert found is not None
        model, settings, _ = found
        record, _, _ = trained(model, settings)
        folder = tmp_path / str(i)
        folder.mkdir()
        (folder / "program.py").write_text(whole_program(record), encoding="utf-8")
        np.savez(folder / "initial.npz", **record.initial)  # type: ignore[arg-type]
        np.savez(folder / "data.npz", **record.stored)  # type: ignore[arg-type]
        command = [sys.executable, "-I", "-X", "utf8", str(folder / "program.py")]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()[-1500:]
        with np.load(folder / "replayed.npz") as final:
            state = model.named_state()
            for name in final.files:
                assert final[name].tobytes() == state[name].numpy().tobytes(), name


@pytest.mark.parametrize("name", ["file", "allow_pickle", "x", "y", "step", "seed"])
def test_names_that_a_run_has_a_use_for(name: str) -> None:
    net = Net()
    setattr(net, name, gg.Parameter(np.zeros(3, np.float32)))
    net.added.append(name)
    with pytest.raises(GlassgradError, match="name"):
        prepared(net, X, Y, loss="mse", optimizer="sgd")


@pytest.mark.parametrize("name", ["weights", "rate", "grad_mean", "grad_square"])
def test_a_trained_parameter_may_be_called_this(name: str) -> None:
    net = Net()
    setattr(net, name, gg.Parameter(np.zeros(3, np.float32)))
    net.added.append(name)
    history = gg.fit(net, X, Y, loss="mse", optimizer="adam", epochs=3, verbose=False)
    assert history["loss"][-1] < history["loss"][0]
    whole_program(history.record)
    getattr(net, name).requires_grad = False
    net.output_part = nn.Linear(3)
    net.order.append("output_part")
    with pytest.raises(GlassgradError, match="variable of this name"):
        prepared(net, X, Y, loss="mse", optimizer="adam")
