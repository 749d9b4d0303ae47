"""Eager tensors: what they hold, what they refuse, and how they remember."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad.errors import DataError, DTypeError, ShapeError, UsageError


def t(*numbers: float, **settings: Any) -> Any:
    return gg.tensor(list(numbers), **settings)


# -- immutable ---------------------------------------------------------------------------------


def test_a_tensor_copies_its_data_and_gives_out_arrays_that_cannot_be_written() -> None:
    data = np.array([1.0, 2.0])
    x = gg.tensor(data)
    data[0] = 9
    assert x.numpy().tolist() == [1, 2]
    for view in (x.numpy(), np.asarray(x)):
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 5
    copy = np.array(x)
    copy[0] = 5
    assert x.numpy().tolist() == [1, 2]


def test_augmented_assignment_makes_a_new_tensor() -> None:
    x = y = t(1.0, 2.0)
    y += 1
    y *= 2
    assert x.numpy().tolist() == [1, 2]
    assert y.numpy().tolist() == [4, 6]


def test_views_of_a_parameter_keep_their_numbers_when_it_is_assigned_to() -> None:
    w = gg.Parameter([[1.0, 2.0]])
    before, array = w.T, w.numpy()
    w.assign([[5.0, 6.0]])
    assert before.numpy().tolist() == [[1], [2]]
    assert array.tolist() == [[1, 2]]
    assert w.numpy().tolist() == [[5, 6]]


def test_assigning_asks_for_the_same_shape_and_dtype() -> None:
    w = gg.Parameter([1.0, 2.0], name="w")
    with pytest.raises(ShapeError, match=r"do not fit\n.*w"):
        w.assign([1.0])
    with pytest.raises(DTypeError, match="do not fit"):
        w.assign(gg.tensor([1.0, 2.0], "float64"))
    assert not hasattr(t(1.0), "assign")


def test_a_derivative_through_an_outdated_parameter_is_an_error() -> None:
    w = gg.Parameter([1.0, 2.0], name="w")
    loss = (w * w).sum()
    w.assign([3.0, 4.0])
    with pytest.raises(UsageError, match=r"changed since\n.*parameter w") as error:
        loss.backward()
    assert "version 1, used in version 0" in str(error.value)


# -- derivatives -------------------------------------------------------------------------------


def test_backward_adds_to_grad_and_zero_grad_forgets() -> None:
    w = gg.Parameter([1.0, 2.0])
    for times in (1, 2, 3):
        (w * w).sum().backward()
        assert w.grad is not None
        assert w.grad.numpy().tolist() == [2 * times, 4 * times]


def test_a_shared_part_is_walked_once_and_counts_for_every_use() -> None:
    x = t(2.0, requires_grad=True)
    y = x * x
    for _ in range(40):  # 2**40 paths, 40 steps
        y = y + y
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.item() == 4 * 2**40


def test_backward_twice_through_one_graph_is_allowed() -> None:
    x = t(3.0, requires_grad=True)
    y = (x * x).sum()
    y.backward()
    y.backward()
    assert x.grad is not None
    assert x.grad.item() == 12


def test_a_derivative_starts_from_one_number_or_a_given_gradient() -> None:
    x = t(1.0, 2.0, requires_grad=True)
    with pytest.raises(UsageError, match="starts from one number"):
        (x * x).backward()
    (x * x).backward(np.array([1.0, 10.0], np.float32))
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [2, 40]
    with pytest.raises(ShapeError, match="gradient given"):
        (x * x).backward(t(1.0))
    with pytest.raises(UsageError, match="nothing here requires"):
        t(1.0).sum().backward()


def test_no_grad_and_detach_leave_no_past() -> None:
    x = t(1.0, requires_grad=True)
    with gg.no_grad():
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad
    assert not (x * 2).detach().requires_grad
    assert not x.argmax().requires_grad
    assert not (x > 0).requires_grad


def test_only_real_numbers_can_require_a_gradient() -> None:
    with pytest.raises(DTypeError, match="only real numbers"):
        gg.tensor([1, 2], requires_grad=True)


def test_a_finished_graph_is_freed_without_the_garbage_collector() -> None:
    w = gg.Parameter([1.0, 2.0])
    gc.disable()
    try:
        hidden = gg.exp(w)
        gone = weakref.ref(hidden)
        loss = (hidden * hidden).sum()
        loss.backward()
        del hidden, loss
        assert gone() is None
    finally:
        gc.enable()


def test_derivatives_of_a_dozen_expressions_are_those_of_pytorch() -> None:
    from tests.conftest import require_torch

    torch = require_torch()
    rng = np.random.default_rng(3)
    a, b = rng.uniform(0.5, 2, (3, 4)), rng.uniform(0.5, 2, (4,))
    cases: list[Any] = [
        lambda m, x, y: (x * y + x / y - y).sum(),
        lambda m, x, y: (m.exp(x) * m.sin(y)).mean(),
        lambda m, x, y: (x**y).sum(),
        lambda m, x, y: (x**3 / (1 + x) ** 2).sum(),
        lambda m, x, y: (x.reshape(4, 3).T[1:, ::2] * 3).sum(),
        lambda m, x, y: (x[:, 1] * x[..., -1]).sum() + y[2],
        lambda m, x, y: m.maximum(x, y).sum() - m.minimum(x, y * y).sum(),
        lambda m, x, y: m.tanh(x @ x.T).sum(),
        lambda m, x, y: m.log(x).sum() + m.sqrt(y).sum() * abs(-y).sum(),
        lambda m, x, y: m.where(x > y, x * y, y - x).sum(),
        lambda m, x, y: (1 / x - 2**y).sum(),
        lambda m, x, y: m.softmax(x, -1).max() + m.erf(y).sum(),
    ]
    for case in cases:
        ours = [gg.tensor(a, requires_grad=True), gg.tensor(b, requires_grad=True)]
        theirs = [torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)]
        if cases.index(case) == 4:
            theirs_value = (theirs[0].reshape(4, 3).T[1:, ::2] * 3).sum()
        else:
            theirs_value = case(torch, *theirs)
        value = case(gg, *ours)
        value.backward()
        theirs_value.backward()
        assert abs(value.item() - theirs_value.item()) <= 1e-12 * abs(theirs_value.item())
        for x, y in zip(ours, theirs, strict=True):
            if y.grad is not None:
                assert x.grad is not None
                np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-12, atol=1e-13)


# -- kinds of number ---------------------------------------------------------------------------


def test_python_numbers_take_the_tensors_dtype() -> None:
    for dtype in ("float32", "float64"):
        x: Any = gg.tensor([1.0, 2.0], dtype)
        for y in (
            x * 2,
            2.5 - x,
            x / 3,
            x**2,
            np.float64(2) * x,
            x + np.float32(1),
            2**x,
            x * True,
        ):
            assert y.dtype == dtype
    assert (gg.tensor([1, 2]) * 2).dtype == "int64"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: t(1.0) + gg.tensor([1.0], "float64"), "different kinds of number"),
        (lambda: t(1.0) + np.ones(1), "different kinds of number"),
        (lambda: gg.tensor([1, 2]) * 0.5, "do not go together"),
        (lambda: gg.tensor([1, 2]) / 2, "real numbers"),
        (lambda: gg.tensor([True]) + 1, "do not go together"),
        (lambda: gg.tensor([1], "uint8") + 300, "cannot hold"),
        (lambda: gg.tensor([1]) + 2**63, "cannot hold"),
        (lambda: gg.tensor([300], "uint8"), "not all uint8"),
        (lambda: gg.tensor([1.5], "int64"), "not all int64"),
        (lambda: gg.tensor("text"), "not numbers"),
        (lambda: gg.tensor(None), "not numbers"),
        (lambda: gg.tensor(1j), "not numbers"),
        (lambda: gg.tensor(2**70), "not numbers"),
        (lambda: gg.tensor([1.0], "float16"), "not numbers"),
        (lambda: t(1.0).astype("float16"), "unknown dtype"),
    ],
)
def test_kinds_of_number_that_do_not_go_together_are_refused(call: Any, says: str) -> None:
    with pytest.raises(DTypeError, match=says):
        call()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: t(1.0, 2.0) + t(1.0, 2.0, 3.0), "do not broadcast"),
        (lambda: gg.tensor([[1.0], [1.0, 2.0]]), "different lengths"),
        (lambda: t(1.0, 2.0).reshape(3), "do not fill"),
        (lambda: t(1.0, 2.0).sum(axis=1), "no such axis"),
        (lambda: t(1.0, 2.0)[2], "outside the axis"),
        (lambda: t(1.0, 2.0)[0, 0], "too many indices"),
        (lambda: t(1.0, 2.0)["a"], "not supported"),
        (lambda: t(1.0, 2.0)[True], "not supported"),
        (lambda: t(1.0, 2.0)[::-1], "too small"),
        (lambda: t(1.0, 2.0).swapaxes(0, 5), "no such axis"),
        (lambda: gg.tensor([[1.0]]).transpose(0, 0), "not an order"),
        (lambda: t(1.0) @ t(1.0), "needs matrices"),
        (lambda: gg.tensor(np.ones((32, 10))) @ gg.tensor(np.ones((20, 5))), "inner sizes differ"),
        (lambda: float(t(1.0, 2.0)), "one number"),
        (lambda: bool(t(1.0, 2.0)), "one number"),
        (lambda: len(gg.tensor(1.0)), "no length"),
        (lambda: t(1.0) + "a", "not a tensor"),
        (lambda: t(1.0) + None, "not a tensor"),
    ],
)
def test_calls_that_cannot_be_meant_are_refused_in_four_parts(call: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        call()


def test_positions_outside_an_axis_are_refused_and_never_wrap() -> None:
    x = gg.tensor([[1.0, 2.0], [3.0, 4.0]])
    for index in ([2], [-1], np.array([0, 5])):
        with pytest.raises(DataError, match="outside the axis"):
            x[gg.tensor(index)]
    with pytest.raises(DataError, match="outside the axis"):
        gg.pick(x, gg.tensor([0, 2]))
    with pytest.raises(DataError, match="outside the axis"):
        gg.put_at(gg.tensor([-1]), gg.tensor([1.0]), 3)


# -- with NumPy --------------------------------------------------------------------------------


def test_numpy_arrays_are_operands_on_both_sides() -> None:
    a: Any = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    x = gg.tensor(a * 2, requires_grad=True)
    pairs: list[tuple[gg.Tensor, Any]] = [
        (a + x, a + a * 2),
        (x - a, a),
        (a - x, -a),
        (a * x, a * a * 2),
        (a / x, a / (a * 2)),
        (a @ x, a @ (a * 2)),
        (x @ a, (a * 2) @ a),
        (x**a, (a * 2) ** a),
        (a**x, a ** (a * 2)),
    ]
    for have, want in pairs:
        assert isinstance(have, gg.Tensor)
        assert have.requires_grad
        np.testing.assert_allclose(have.numpy(), want, rtol=1e-6)
    assert isinstance(a < x, gg.Tensor)
    with pytest.raises(TypeError, match="ufunc"):
        np.exp(x)  # would lose the past without a word


def test_indexing_is_numpys() -> None:
    rng = np.random.default_rng(5)
    a = rng.normal(size=(4, 5, 3))
    x = gg.tensor(a)
    keys: list[Any] = [
        0,
        -1,
        slice(1, 3),
        slice(None, None, 2),
        slice(-2, None),
        slice(3, 1),
        Ellipsis,
        None,
        (0, 1),
        (slice(1, 3), 2),
        (..., 0),
        (0, ..., slice(1, 2)),
        (None, 1),
        (slice(None), None, 1),
        (1, 2, 0),
        (..., None),
        (slice(0, 9, 3), slice(4, None), -1),
        np.array([0, 3, 3]),
        np.array([[0], [2]]),
    ]
    for key in keys:
        np.testing.assert_array_equal(x[key].numpy(), a[key], err_msg=str(key))
    assert [row.shape for row in x] == [(5, 3)] * 4
    assert [1, 2, 3][gg.tensor(1)] == 2


def test_tensors_are_told_apart_by_identity_and_compared_number_by_number() -> None:
    x, y = t(1.0, 2.0), t(1.0, 2.0)
    assert len({x, y}) == 2
    assert (x == y).numpy().tolist() == [True, True]
    assert (x != y).numpy().tolist() == [False, False]


def test_narrow_numpy_dtypes_widen_and_others_are_kept() -> None:
    for given, kept in (
        ("int32", "int64"),
        ("int8", "int64"),
        ("uint8", "uint8"),
        ("bool", "bool"),
    ):
        assert gg.tensor(np.zeros(2, given)).dtype == kept
    assert gg.tensor(np.float64(1)).dtype == "float64"
    assert gg.tensor([1.0]).dtype == "float32"
    assert gg.tensor([1]).dtype == "int64"
    assert gg.tensor(gg.tensor([1.0], "float64")).dtype == "float64"
