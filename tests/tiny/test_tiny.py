"""The one-minute suite: the shortest way through every room of the house.

    pytest tests/tiny

Run before every commit; whatever fails here fails everywhere.
"""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.ir import Graph, Type, parse_graph, print_graph, verify
from glassgrad.nn.tracing import forward_graph
from glassgrad.ops import Spelled, find
from glassgrad.train.task import ROWS


def central(f: object, x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    found = np.zeros_like(x)
    for i in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        found[i] = (f(up) - f(down)) / (2 * step)  # type: ignore[operator]
    return found


def small_net() -> nn.Sequential:
    return nn.Sequential(
        conv=nn.Conv2d(3, 3, padding=1, dtype="float64"),
        act=nn.Tanh(),
        pool=nn.MaxPool2d(2),
        flat=nn.Flatten(),
        norm=nn.LayerNorm(dtype="float64"),
        output=nn.Linear(3, dtype="float64"),
    )


def test_the_gradient_of_a_network_is_the_central_difference() -> None:
    gg.seed(0)
    rng = np.random.default_rng(0)
    model, x = small_net(), rng.normal(size=(2, 1, 4, 4))
    y = gg.tensor(np.array([0, 2]))
    loss = nn.losses.cross_entropy(model(gg.tensor(x)), y)
    loss.backward()
    weight = model[0].weight  # type: ignore[attr-defined]
    start = weight.numpy().copy()

    def of(values: np.ndarray) -> float:
        weight.assign(values)
        return float(nn.losses.cross_entropy(model(gg.tensor(x)), y))

    assert np.allclose(weight.grad.numpy(), central(of, start), rtol=1e-6, atol=1e-9)


def test_fit_learns_the_spiral_and_is_the_same_twice() -> None:
    x, y = data.spiral(seed=0)

    def run() -> list[float]:
        model = nn.Sequential(hidden=nn.Linear(64), relu=nn.ReLU(), output=nn.Linear(3))
        history = gg.fit(
            model,
            x,
            y,
            loss="cross_entropy",
            optimizer=optim.Adam(1e-2),
            epochs=150,
            batch_size=128,
            verbose=False,
        )
        return history["accuracy"]

    first = run()
    assert first[-1] > 0.9
    assert first == run()


def test_the_program_of_a_step_is_a_program() -> None:
    model = nn.Sequential(
        hidden=nn.Linear(4), norm=nn.BatchNorm1d(), drop=nn.Dropout(0.5), output=nn.Linear(1)
    )
    text = gg.source(
        model, np.ones((4, 2)), np.ones((4, 1)), loss="mse", optimizer=optim.Adam(1e-2)
    )
    names = {n.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)}
    assert "train_step" in names


def test_a_graph_reads_back_as_it_was_written() -> None:
    graph: Graph = forward_graph(small_net(), {"x": Type((ROWS, 1, 4, 4), "float64")})
    text = print_graph(graph)
    again = parse_graph(text, find, Spelled)
    assert print_graph(verify(again)) == text


def test_the_second_derivative_is_there() -> None:
    f = gg.grad(gg.grad(lambda x: (x * x * x).sum()))
    assert f(gg.tensor(2.0)).item() == pytest.approx(12.0)


def test_a_scan_is_the_loop_it_says() -> None:
    xs = gg.tensor(np.arange(5.0), "float64")
    last, all_sums = gg.scan(lambda h, x: (h * 0.5 + x, h * 0.5 + x), gg.tensor(0.0, "float64"), xs)
    h, expected = 0.0, []
    for value in range(5):
        h = h * 0.5 + value
        expected.append(h)
    assert all_sums.numpy().tolist() == expected
    assert last.item() == expected[-1]


def test_a_model_comes_back_from_its_file(tmp_path: Path) -> None:
    x, y = data.gate("xor")
    model = nn.Sequential(hidden=nn.Linear(4), tanh=nn.Tanh(), output=nn.Linear(1))
    gg.fit(model, x, y, loss="bce_logits", optimizer=optim.Adam(0.1), epochs=50, verbose=False)
    gg.save(model, tmp_path / "xor.glass")
    loaded = gg.load(tmp_path / "xor.glass")
    assert np.array_equal(gg.predict(loaded, x), gg.predict(model, x))


def test_a_wrong_shape_is_said_in_four_parts() -> None:
    with pytest.raises(gg.errors.ShapeError) as caught:
        nn.Linear(3, 2)(gg.tensor(np.ones((2, 4), "f")))
    assert "expected:" in str(caught.value)
    assert "received:" in str(caught.value)
