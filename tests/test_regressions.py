"""One test for each bug that a reader found and the tests had not."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.backends.numpy_source import threads
from glassgrad.errors import TraceError, UsageError
from glassgrad.inspect.source import whole_program

X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(6, 1)).astype(np.float32)


def fit(model: nn.Module, **settings: Any) -> Any:
    given = {"loss": "mse", "optimizer": optim.SGD(0.1), "verbose": False, **settings}
    return gg.fit(model, X, Y, **given)


class Keeps(nn.Module):
    """Keeps what its weight was in this step."""

    def __init__(self) -> None:
        super().__init__()
        self.w = gg.Parameter(np.ones((4, 1), np.float32))
        self.before = gg.Buffer(np.zeros((4, 1), np.float32))

    def forward(self, x: Any) -> Any:
        self.before.assign(self.w * 1)
        return x @ self.w


def test_a_buffer_keeps_the_value_it_was_given_when_the_weights_move_on() -> None:
    model = Keeps()
    fit(model)
    assert np.array_equal(model.before.numpy(), np.ones((4, 1)))
    assert not np.array_equal(model.w.numpy(), np.ones((4, 1)))


class Entangled(optim.Optimizer):
    """A rule whose states need each other's old values."""

    title = "Entangled"
    formula = ""
    state_names = ("a", "b")

    def rule(self, w: Any, g: Any, state: Any, rate: Any, step: Any) -> Any:
        v = state[1] * state[0]
        return v, (g * w, 0.5 * w + 0.25 * v)


def test_states_that_need_each_others_old_values_get_them() -> None:
    first = np.full((4, 1), 0.5)
    eager, traced = nn.Linear(4, 1, bias=False, init=first), nn.Linear(4, 1, bias=False, init=first)
    optimizer = Entangled(0.1).bind(eager)
    for _ in range(4):
        optimizer.zero_grad()
        nn.losses.mse(eager(gg.tensor(X)), gg.tensor(Y)).backward()
        optimizer.step()
    fit(traced, optimizer=Entangled(0.1), epochs=4)
    np.testing.assert_allclose(eager.weight.numpy(), traced.weight.numpy(), rtol=1e-3, atol=1e-8)


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, x: Any) -> Any:
        return gg.leaky_relu(self.layer(x) * np.sqrt(2.0), slope=np.float64(0.2))


def test_a_numpy_scalar_in_forward_is_a_plain_number(tmp_path: Path) -> None:
    model = Scaled()
    fit(model)
    found = gg.predict(model, X)
    assert found.dtype == np.float32
    assert "np.float64" not in gg.source(model, X, Y, loss="mse", optimizer=optim.SGD(0.1))
    gg.save(model, tmp_path / "scaled.glass")
    assert np.array_equal(gg.predict(gg.load(tmp_path / "scaled.glass"), X), found)


class Counts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)
        self.count = gg.Buffer(np.zeros((), np.float32))

    def forward(self, x: Any) -> Any:
        self.count.assign(self.count + 1)
        return self.layer(x)


def test_evaluation_changes_no_buffer(tmp_path: Path) -> None:
    model = Counts()
    fit(model, validation_data=(X, Y), epochs=3)
    assert model.count.item() == 3
    gg.predict(model, X)
    gg.evaluate(model, X, Y, loss="mse")
    assert model.count.item() == 3
    gg.save(model, tmp_path / "counts.glass")
    gg.load(tmp_path / "counts.glass")


@pytest.mark.parametrize("name", ["gelu", "silu", "elu", "leaky_relu", "softplus"])
def test_a_composite_inside_an_eager_loop_runs(name: str) -> None:
    f = getattr(gg, name)
    xs = gg.tensor([0.5, -0.5])
    last, _ = gg.scan(lambda h, x: (f(h + x), h), gg.tensor(0.0), xs)
    assert last.item() == pytest.approx(f(f(gg.tensor(0.5)) - 0.5).item())


def test_a_result_that_is_a_plain_number_has_the_dtype_it_should() -> None:
    assert gg.compile(gg.grad(lambda s: s * 3.0))(gg.tensor(1.0)).numpy().dtype == np.float32
    assert gg.compile(gg.grad(lambda x: x))(gg.tensor(2.0)).dtype == "float32"


def test_adding_into_a_row_that_was_taken_leaves_the_table_alone() -> None:
    x = gg.tensor(np.ones((3, 2), np.float32))
    k, i = gg.tensor(1), gg.tensor(np.array([0]))
    gg.compile(lambda x, k, i, v: gg.add_at(gg.take(x, k), i, v))(x, k, i, gg.tensor([5.0]))
    assert np.array_equal(x.numpy(), np.ones((3, 2)))


def test_loading_a_state_copies_it_and_is_all_or_nothing() -> None:
    weight, bias = np.ones((4, 1), np.float32), np.zeros(1, np.float32)
    model = nn.Linear(4, 1)
    model.load_state_dict({"weight": weight, "bias": bias})
    weight[:] = 7
    assert model.weight.numpy().max() == 1
    with pytest.raises(gg.errors.ConfigError, match="nothing was changed"):
        model.load_state_dict({"weight": weight, "bias": np.array(["a"])})
    assert model.weight.numpy().max() == 1


class StopAt(gg.train.Callback):
    def on_interval(self, run: gg.train.Run) -> None:
        run.stop = run.epoch == 2


class StopInTheMiddle(StopAt):
    every = 1

    def on_interval(self, run: gg.train.Run) -> None:
        run.stop = True


def test_the_program_of_a_stopped_run_has_its_epochs() -> None:
    history = fit(nn.Linear(4, 1), epochs=9, callbacks=[StopAt()])
    assert "range(1, 3)" in whole_program(history.record)
    history = fit(nn.Linear(4, 1), epochs=9, batch_size=2, callbacks=[StopInTheMiddle()])
    with pytest.raises(UsageError, match="middle of an epoch"):
        whole_program(history.record)


@pytest.mark.skipif(threads.blas_threads() is None, reason="OpenBLAS cannot be asked here")
def test_two_threads_that_leave_in_the_order_they_came_put_the_number_back() -> None:
    before = threads.blas_threads()
    first, second = threads.one_thread(True), threads.one_thread(True)
    first.__enter__()
    other = threading.Thread(target=second.__enter__)
    other.start()
    other.join()
    first.__exit__(None, None, None)
    assert threads.blas_threads() == 1
    second.__exit__(None, None, None)
    assert threads.blas_threads() == before


class Hides(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.held = {"w": gg.Parameter(np.ones((4, 1), np.float32))}

    def forward(self, x: Any) -> Any:
        return x @ self.held["w"]


class Assigns(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = gg.Parameter(np.ones((4, 1), np.float32))

    def forward(self, x: Any) -> Any:
        y = x @ self.w
        self.w.assign(self.w * 0.5)
        return y


class Freezes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(3, 1)

    def forward(self, x: Any) -> Any:
        with gg.no_grad():
            h = self.a(x)
        return self.b(h)


@pytest.mark.parametrize("kind", [Hides, Assigns, Freezes])
def test_what_a_program_cannot_do_as_eager_work_does_is_refused(kind: Any) -> None:
    with pytest.raises((UsageError, TraceError)) as caught:
        fit(kind())
    for part in ("where:", "expected:", "received:", "try:"):
        assert part in str(caught.value)


def test_predict_inside_no_grad_is_plain_prediction() -> None:
    model = nn.Linear(4, 1)
    with gg.no_grad():
        assert gg.predict(model, X).shape == (6, 1)


def test_zero_and_minus_zero_are_two_programs() -> None:
    f = gg.compile(lambda x, k: x / k)
    with np.errstate(divide="ignore"):
        assert f(gg.tensor([1.0]), 0.0).item() == np.inf
        assert f(gg.tensor([1.0]), -0.0).item() == -np.inf


@pytest.mark.parametrize("dtype", ["uint8", "uint32"])
def test_a_sum_of_small_whole_numbers_has_room(dtype: str) -> None:
    found = gg.tensor(np.full(300, 200, dtype)).sum()
    assert (found.dtype, found.numpy().dtype.name, found.item()) == ("int64", "int64", 60_000)


class TwoTables(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.word, self.kind = nn.Embedding(100, 4), nn.Embedding(5, 4)
        self.output = nn.Linear(4, 1)

    def forward(self, x: Any) -> Any:
        return self.output(self.word(x[:, 0]) + self.kind(x[:, 1]))


def test_two_tables_of_different_sizes_each_take_their_own_tokens() -> None:
    model, good = TwoTables(), np.array([[42, 1], [99, 4], [0, 0]] * 2)
    gg.fit(model, good, Y, loss="mse", optimizer=optim.SGD(0.1), verbose=False)
    assert gg.predict(model, good).shape == (6, 1)
    for call in (lambda x: gg.predict(model, x), lambda x: gg.evaluate(model, x, Y, loss="mse")):
        with pytest.raises(gg.errors.DataError, match="outside the table"):
            call(good[:, ::-1])
    with pytest.raises(gg.errors.DataError, match="outside the table"):
        gg.fit(model, good[:, ::-1], Y, loss="mse", optimizer=optim.SGD(0.1), verbose=False)


class Pairs(nn.Module):
    def forward(self, a: Any, b: Any) -> Any:
        return nn.losses.cosine_similarity(a, b, reduction="none")


def test_a_model_with_a_number_that_is_spelled_comes_back_from_its_file(tmp_path: Path) -> None:
    for model, x in ((nn.PositionalEncoding(), X[:, None]), (Pairs(), (X, X[::-1].copy()))):
        wanted = gg.predict(model, x)
        found = gg.predict(gg.load(gg.save(model, tmp_path / f"{len(x)}.glass")), x)
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("norm", [nn.RMSNorm, nn.LayerNorm])
@pytest.mark.parametrize("scaled", [False, True])
def test_a_norm_whose_derivative_is_the_same_all_along_learns_on_every_engine(
    norm: Any, scaled: bool
) -> None:
    """What goes back from a global mean is stretched: a fused norm took it for the whole image."""
    x = np.random.default_rng(2).normal(size=(4, 3, 5, 6)).astype(np.float32)
    found = []
    for backend in ("auto", "numpy"):
        middle = norm(6, elementwise_affine=scaled)
        model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ELU(), middle, nn.GlobalAvgPool())
        gg.fit(
            model, x, np.ones((4, 3), np.float32), loss="huber", optimizer=optim.SGD(0.5), epochs=5,
            backend=backend, verbose=False,
        )  # fmt: skip
        found.append(gg.predict(model, x))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-5)
