"""grad, value_and_grad, compile: against closed forms, against each other, and what they refuse."""

# mypy: disable-error-code="arg-type"

# ruff: noqa: PLW0108  # a lambda for each case, also where a name would do

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import DataError, DTypeError, TraceError, UsageError

# -- grad --------------------------------------------------------------------------------------

#   name, f, f', f'', f'''
CLOSED: list[tuple[str, Callable[[Any], Any], tuple[Callable[[float], float], ...]]] = [
    ("cube", lambda x: x * x * x, (lambda x: 3 * x * x, lambda x: 6 * x, lambda _: 6)),
    ("power", lambda x: x**4, (lambda x: 4 * x**3, lambda x: 12 * x**2, lambda x: 24 * x)),
    ("exp", gg.exp, (math.exp, math.exp, math.exp)),
    ("sin", gg.sin, (math.cos, lambda x: -math.sin(x), lambda x: -math.cos(x))),
    ("log", gg.log, (lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3)),
    ("inverse", lambda x: 1 / x, (lambda x: -1 / x**2, lambda x: 2 / x**3, lambda x: -6 / x**4)),
    (
        "tanh",
        gg.tanh,
        (
            lambda x: 1 - math.tanh(x) ** 2,
            lambda x: -2 * math.tanh(x) * (1 - math.tanh(x) ** 2),
            lambda x: (1 - math.tanh(x) ** 2) * (6 * math.tanh(x) ** 2 - 2),
        ),
    ),
    (
        "base",
        lambda x: 2**x,
        (
            lambda x: math.log(2) * 2**x,
            lambda x: math.log(2) ** 2 * 2**x,
            lambda x: math.log(2) ** 3 * 2**x,
        ),
    ),
]


@pytest.mark.parametrize(("name", "f", "forms"), CLOSED, ids=[c[0] for c in CLOSED])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_first_second_and_third_derivatives_are_the_closed_forms(
    name: str, f: Callable[[Any], Any], forms: tuple[Callable[[float], float], ...], compiled: bool
) -> None:
    derivative = f
    for form in forms:
        derivative = gg.grad(derivative)
        run = gg.compile(derivative) if compiled else derivative
        for x in (0.3, 1.7):
            found = run(gg.tensor(x, "float64"))
            assert found.item() == pytest.approx(form(x), rel=1e-12)
            assert not found.requires_grad


def test_hessian_of_a_quadratic_form_is_its_matrix() -> None:
    matrix = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 4.0]])

    def energy(x: Any) -> Any:
        return 0.5 * (x.reshape(1, 3) @ matrix @ x.reshape(3, 1)).sum()

    for i in range(3):
        row = gg.grad(lambda x, i=i: gg.grad(energy)(x)[i])(np.array([1.0, -2.0, 0.5]))
        np.testing.assert_allclose(row.numpy(), matrix[i], rtol=1e-14, atol=1e-14)


def test_an_inner_derivative_is_not_confused_with_an_outer_one() -> None:
    # d/dx x * (d/dy (x + y)) = 1, not 2
    f = gg.grad(lambda x: x * gg.grad(lambda y: x + y)(gg.tensor(1.0)))
    assert f(gg.tensor(3.0)).item() == 1
    g = gg.grad(lambda x: x * gg.grad(lambda y: x + y)(0 * x + 1))
    assert g(3.0).item() == gg.compile(g)(gg.tensor(3.0)).item() == 1
    # the same tensor passed twice is two arguments
    product = gg.grad(lambda a, b: a * b * b, argnums=(0, 1))
    x = gg.tensor(3.0)
    assert [g.item() for g in product(x, x)] == [9, 18]


def test_value_and_grad_gives_both_and_leaves_no_trace_on_its_arguments() -> None:
    w, x = gg.tensor([1.0, 2.0]), np.array([3.0, 4.0], np.float32)
    value, gradient = gg.value_and_grad(lambda w, x: (w * x).sum())(w, x)
    assert value.item() == 11
    assert gradient.numpy().tolist() == [3, 4]
    for tensor in (value, gradient, w):
        assert not tensor.requires_grad
    assert w.grad is None
    value, gradients = gg.value_and_grad(lambda w, x: (w * x).sum(), argnums=(1, 0))(w, x)
    assert [g.numpy().tolist() for g in gradients] == [[1, 2], [3, 4]]


def test_a_gradient_may_itself_be_part_of_what_is_trained() -> None:
    w = gg.Parameter(np.array([0.5, -1.0]))

    def penalty(x: Any) -> Any:  # |d f / d x|^2, f = sum(w x^3)
        slope = gg.grad(lambda v: (w * v * v * v).sum())(x)
        return (slope * slope).sum()

    x = gg.tensor([2.0, 3.0], "float64")
    for loss in (penalty(x), gg.compile(penalty)(x)):
        w.grad = None
        loss.backward()
        expected = 2 * w.numpy() * (3 * x.numpy() ** 2) ** 2
        assert w.grad is not None
        np.testing.assert_allclose(w.grad.numpy(), expected, rtol=1e-13)


def test_grad_works_inside_no_grad_and_of_what_does_not_matter_is_zero() -> None:
    with gg.no_grad():
        assert gg.grad(lambda x: x * x)(3.0).item() == 6
    assert gg.grad(lambda x, y: y * y)(
        gg.tensor([1.0, 2.0]), 3.0 * gg.tensor(1.0)
    ).numpy().tolist() == [0, 0]
    assert gg.compile(gg.grad(lambda x: (x * 0 + 1).sum()))(gg.tensor([1.0])).numpy().tolist() == [
        0
    ]


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: gg.grad(lambda x: x * x)(gg.tensor([1.0, 2.0])), UsageError, "one number"),
        (lambda: gg.grad(lambda x: 3.0)(1.0), UsageError, "one number"),
        (lambda: gg.grad(lambda x: x.argmax())(gg.tensor([1.0])), UsageError, "one number"),
        (lambda: gg.grad(lambda x: x * x)(3), DTypeError, "only real numbers"),
        (lambda: gg.grad(lambda x: x, argnums=1)(3.0), UsageError, "no such argument"),
        (lambda: gg.grad(lambda x: x, argnums=()), UsageError, "argnums"),
        (lambda: gg.grad(lambda x: x, argnums="x"), UsageError, "argnums"),
        (lambda: gg.grad(lambda x: x, argnums=(0, 0)), UsageError, "argnums"),
        (
            lambda: gg.compile(gg.grad(lambda x: x * x))(gg.tensor([1.0, 2.0])),
            UsageError,
            "one number",
        ),
    ],
)
def test_grad_refuses_what_has_no_derivative(call: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        call()


# -- compile: the same bits --------------------------------------------------------------------


def expression(seed: int) -> tuple[Callable[..., Any], list[Any]]:
    """A random function of three matrices, and its arguments."""
    rng = np.random.default_rng([17, seed])
    dtype = ("float32", "float64")[seed % 2]
    arguments = [gg.tensor(rng.normal(size=(4, 4)).astype(dtype)) for _ in range(3)]
    plan = rng.integers(0, 1 << 30, 12)

    forms: list[Callable[[Any, Any, int], Any]] = [
        lambda a, b, _: a + b,
        lambda a, b, _: a * b - 0.5,
        lambda a, b, _: gg.tanh(a @ b),
        lambda a, b, _: a / (1 + b * b),
        lambda a, b, _: gg.maximum(a, b.T),
        lambda a, _b, axis: gg.softmax(a, axis=axis),
        lambda a, b, _: gg.where(a > b, gg.sigmoid(a), b),
        lambda a, b, _: a[::2].sum(axis=0, keepdims=True) + b,
        lambda a, b, _: gg.concatenate([a[:2], b[2:]]) * 0.7,
        lambda a, b, _: a.reshape(2, 8).T.reshape(4, 4) - b.mean(axis=1, keepdims=True),
        lambda a, b, _: gg.gelu(a) + gg.elu(b),
    ]

    def run(*matrices: Any) -> Any:
        values = list(matrices)
        for code in plan:
            a = values[code % len(values)]
            b = values[(code >> 8) % len(values)]
            values.append(forms[(code >> 16) % 11](a, b, int(code >> 4) % 2))
        return {"sum": values[-1].sum(), "last": (values[-1], values[-2])}

    return run, arguments


@pytest.mark.parametrize("seed", range(50))
def test_compiled_is_eager_bit_for_bit_and_so_are_its_gradients(seed: int) -> None:
    run, arguments = expression(seed)
    one, two = run(*arguments), gg.compile(run)(*arguments)
    for a, b in ((one["sum"], two["sum"]), *zip(one["last"], two["last"], strict=True)):
        np.testing.assert_array_equal(a.numpy(), b.numpy())

    def loss(*args: Any) -> Any:
        return run(*args)["sum"]

    eager = gg.grad(loss, (0, 1, 2))(*arguments)
    inside = gg.compile(gg.grad(loss, (0, 1, 2)))(*arguments)
    through = gg.grad(gg.compile(loss), (0, 1, 2))(*arguments)
    for a, b, c in zip(eager, inside, through, strict=True):
        scale = max(1.0, float(np.max(np.abs(a.numpy()))))
        tolerance = 1e-5 if a.dtype == "float32" else 1e-13  # the order in which parts add up
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=tolerance * scale)
        np.testing.assert_allclose(a.numpy(), c.numpy(), rtol=0, atol=tolerance * scale)


# -- compile: arguments and results ------------------------------------------------------------


def test_one_program_for_each_kind_of_arguments() -> None:
    calls = []

    @gg.compile
    def scaled(x: Any, times: Any, *, shift: Any = 0) -> Any:
        calls.append(x)
        return x * times + shift

    for x in (np.ones(2, np.float32), gg.tensor([2.0, 3.0])):
        assert scaled(x, 3).shape == (2,)
    assert len(calls) == 1
    scaled(np.ones(3, np.float32), 3)
    scaled(np.ones(2), 3)
    scaled(np.ones(2, np.float32), 4)
    scaled(np.ones(2, np.float32), 4.0)
    scaled(np.ones(2, np.float32), 3, shift=1)
    scaled(np.ones(2, np.float32), 3, shift=np.ones(2, np.float32))
    assert len(calls) == 7
    with pytest.raises(UsageError, match="cannot take this argument"):
        scaled(np.ones(2), [1, 2])


def test_results_keep_their_structure_and_never_alias_what_can_change() -> None:
    @gg.compile
    def parts(x: Any) -> Any:
        return {"a": x, "b": (x.T, {"c": x[0]})}

    data = np.ones((2, 2), np.float32)
    found = parts(data)
    data[:] = 5
    for value in (found["a"], *found["b"][:1], found["b"][1]["c"]):
        assert value.numpy().max() == 1
    with pytest.raises(TraceError, match="gives tensors"):
        gg.compile(lambda x: 3)(data)


def test_captured_parameters_and_buffers_are_read_anew_at_every_call() -> None:
    w, b = gg.Parameter([1.0, 2.0]), gg.Buffer([0.0, 0.0])
    run = gg.compile(lambda x: x * w + b)
    x = gg.tensor([1.0, 1.0])
    assert run(x).numpy().tolist() == [1, 2]
    w.assign([5.0, 6.0])
    b.assign([1.0, 1.0])
    assert run(x).numpy().tolist() == [6, 7]


def test_what_only_parameters_make_is_computed_anew_too() -> None:
    w = gg.Parameter([[1.0, 2.0], [3.0, 4.0]])
    run = gg.compile(lambda x: x @ (w * 2).T)
    x = gg.tensor([[1.0, 1.0]])
    assert run(x).numpy().tolist() == [[6, 14]]
    w.assign(np.ones((2, 2)))
    assert run(x).numpy().tolist() == [[4, 4]]


def test_assigning_to_a_buffer_inside_is_a_change_of_state_after_each_call() -> None:
    steps, total = gg.Buffer(0.0, name="steps"), gg.Buffer([0.0, 0.0], name="total")

    @gg.compile
    def count(x: Any) -> Any:
        steps.assign(steps + 1)
        steps.assign(steps + 1)  # reads what was assigned
        total.assign(total + x)
        return x * steps

    x = gg.tensor([1.0, 2.0])
    assert [count(x).numpy().tolist() for _ in range(3)] == [[2, 4], [4, 8], [6, 12]]
    assert steps.item() == 6
    assert total.numpy().tolist() == [3, 6]
    assert "new_total = total + x" in count.source


def test_a_compiled_training_step_trains() -> None:
    w = gg.Parameter([0.0, 0.0], name="w")

    @gg.compile
    def step(x: Any, y: Any) -> Any:
        loss, slope = gg.value_and_grad(lambda v: ((x @ v.reshape(2, 1) - y) ** 2).mean())(w)
        w.assign(w - 0.1 * slope)
        return loss

    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 2)).astype(np.float32)
    y = x @ np.array([[1.5], [-0.5]], np.float32)
    losses = [step(x, y).item() for _ in range(100)]
    assert losses[-1] < 1e-5 < losses[0]
    np.testing.assert_allclose(w.numpy(), [1.5, -0.5], atol=1e-2)


def test_fixed_numbers_assigned_inside_are_refused() -> None:
    b = gg.Buffer([0.0])
    with pytest.raises(TraceError, match="fixed numbers assigned"):
        gg.compile(lambda x: b.assign([1.0]) * x)(gg.tensor([1.0]))


def test_errors_while_tracing_name_the_users_line() -> None:
    outside = gg.tensor([1.0, 2.0])

    def captures(x: Any) -> Any:
        return x + outside

    def decides(x: Any) -> Any:
        return x if x.sum() > 0 else -x

    def converts(x: Any) -> Any:
        return x * float(x.sum())

    for function, says in (
        (captures, "outside"),
        (decides, "decision"),
        (converts, "a number asked"),
    ):
        line = f"test_transforms.py:{function.__code__.co_firstlineno + 1}"
        with pytest.raises(TraceError, match=says) as error:
            gg.compile(function)(gg.tensor([1.0, 2.0]))
        assert line in str(error.value)
        assert error.value.hint


def test_a_failed_trace_leaves_eager_work_as_it_was() -> None:
    with pytest.raises(ZeroDivisionError):
        gg.compile(lambda x: x * (1 // 0))(gg.tensor([1.0]))
    assert (gg.tensor([1.0]) + 1).numpy().tolist() == [2]


# -- compile: with layers ----------------------------------------------------------------------


def test_a_compiled_layer_follows_train_and_eval_and_running_statistics() -> None:
    eager = nn.Sequential(nn.Linear(3, 4, dtype="float64"), nn.BatchNorm1d(4, dtype="float64"))
    twin = nn.Sequential(nn.Linear(3, 4, dtype="float64"), nn.BatchNorm1d(4, dtype="float64"))
    twin.load_state_dict(eager.state_dict())
    run = gg.compile(lambda x: twin(x))
    rng = np.random.default_rng(1)
    for training in (True, True, False, True, False):
        x = gg.tensor(rng.normal(size=(8, 3)))
        eager.train(training)
        twin.train(training)
        one, two = eager(x), run(x)
        np.testing.assert_array_equal(one.numpy(), two.numpy())
        for name, value in eager.state_dict().items():
            np.testing.assert_array_equal(value, twin.state_dict()[name])
        one.sum().backward()
        two.sum().backward()
        for p, q in zip(eager.parameters(), twin.parameters(), strict=True):
            assert p.grad is not None
            assert q.grad is not None
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-12, atol=1e-12)


def test_dropout_inside_is_drawn_anew_at_every_call_from_the_visible_counter() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))
    shared = nn.Dropout(0.5)
    run = gg.compile(lambda x: model(x))
    twice = gg.compile(lambda x: (shared(x), shared(x)))
    x = gg.tensor(np.ones((20, 20), np.float32))
    gg.seed(3)
    one, two = run(x).numpy(), run(x).numpy()
    assert not np.array_equal(one, two)
    gg.seed(3)
    np.testing.assert_array_equal(run(x).numpy(), one)
    first, second = twice(x)
    assert not np.array_equal(first.numpy(), second.numpy())


def test_scan_inside_and_around_a_compiled_function() -> None:
    w = gg.Parameter(np.array([[0.5, 0.1], [-0.2, 0.3]]))
    xs, h0 = gg.tensor(np.ones((5, 1, 2))), gg.tensor(np.zeros((1, 2)))

    def run(xs: Any, h: Any) -> Any:
        last, _ = gg.scan(lambda w, h, x: (gg.tanh(h @ w + x), h), h, xs, w)
        return (last * last).sum()

    assert run(xs, h0).item() == gg.compile(run)(xs, h0).item()
    for function in (run, gg.compile(run)):
        w.grad = None
        function(xs, h0).backward()
        assert w.grad is not None
        step = np.array([[0.3, -0.7], [0.2, 0.9]])
        before, h = w.numpy().copy(), 1e-6
        sides = []
        for sign in (1, -1):
            w.assign(before + sign * h * step)
            sides.append(run(xs, h0).item())
        w.assign(before)
        slope = (sides[0] - sides[1]) / (2 * h)
        assert float((w.grad.numpy() * step).sum()) == pytest.approx(slope, rel=1e-7)


def test_the_body_of_a_scan_sees_only_its_arguments() -> None:
    w = gg.tensor([[1.0, 2.0], [3.0, 4.0]])
    xs, h0 = gg.tensor([[[1.0, 2.0]]]), gg.tensor([[0.0, 0.0]])
    for call in (
        lambda: gg.scan(lambda h, x: (h @ w + x, h), h0, xs),
        lambda: gg.compile(lambda v, xs, h: gg.scan(lambda h, x: (h @ v + x, h), h, xs)[0])(
            w, xs, h0
        ),
    ):
        with pytest.raises(TraceError, match="program"):
            call()


def test_the_program_is_named_after_the_users_variables() -> None:
    @gg.compile
    def network(x: Any, weight: Any) -> Any:
        hidden = gg.tanh(x @ weight)
        scores = hidden * 2
        return scores  # noqa: RET504  # its name is what is tested

    with pytest.raises(UsageError, match="no program yet"):
        network.source  # noqa: B018  # reading it is the test
    assert "no call yet" in repr(network)
    network(np.ones((2, 3), np.float32), np.ones((3, 4), np.float32))
    assert repr(network) == network.source
    assert network.source.split("\n")[3:] == [
        "def network(x, weight):",
        "    hidden = np.tanh(x @ weight)",
        "    scores = hidden * 2",
        "    return scores",
        "",
    ]


def test_a_method_can_be_compiled_and_compiled_functions_nest() -> None:
    class Model:
        scale = 3.0

        @gg.compile
        def run(self, x: Any) -> Any:
            return x * self.scale

    model = Model()
    assert model.run(gg.tensor([2.0])).item() == 6
    outer = gg.compile(lambda x: model.run(x) + 1)
    assert outer(gg.tensor([2.0])).item() == 7
    with pytest.raises(UsageError, match="only a function"):
        gg.compile(3)


@pytest.mark.parametrize("wrong", [-1, 3])
def test_a_compiled_function_refuses_a_position_outside_its_axis(wrong: int) -> None:
    """NumPy would take -1 from the end and give a number."""
    scores, labels = np.zeros((4, 3)), np.array([0, 1, 2, wrong])
    loss = gg.compile(lambda z, y: gg.nn.losses.cross_entropy(z, y.reshape(-1)))
    table = gg.compile(lambda w, i: gg.take(w, i))
    for run in (loss, table):
        for _ in range(2):  # the trace of the first call serves the second
            with pytest.raises(DataError, match=str(wrong)):
                run(np.zeros((3, 3)) if run is table else scores, labels)
    ignoring = gg.compile(lambda z, y: gg.nn.losses.cross_entropy(z, y, ignore_index=wrong))
    assert ignoring(scores, labels).item() == pytest.approx(np.log(3))
