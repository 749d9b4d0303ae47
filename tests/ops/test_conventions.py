"""What holds where mathematics leaves a choice, or where numbers end: said in plain words."""

from __future__ import annotations

import math
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import glassgrad as gg
from glassgrad.engine import compile_graph, graph_source
from glassgrad.errors import ConfigError, DataError, DTypeError, GlassgradError, ShapeError
from glassgrad.ir import Dim, Graph, Type
from glassgrad.ops import OPS, Tracer, index, traced_graph
from glassgrad.tensors.tensor import Tensor, tensor

Array = NDArray[Any]
INF, NAN = math.inf, math.nan


def slope(name: str, *values: Any, wrt: int = 0, **attributes: Any) -> Any:
    """The derivative of the sum of an op's result in one operand, done eagerly."""
    operands = [
        tensor(np.array(v, np.float64), requires_grad=i == wrt) if _real(v) else tensor(np.array(v))
        for i, v in enumerate(values)
    ]
    OPS[name](*operands, **attributes).sum().backward()
    grad = operands[wrt].grad
    assert grad is not None
    return grad.numpy().tolist()


def _real(value: Any) -> bool:
    return np.asarray(value).dtype.kind == "f"


def value(name: str, *values: Any, dtype: str = "float64", **attributes: Any) -> Array:
    operands = [tensor(np.array(v, dtype) if _real(v) else np.array(v)) for v in values]
    found: Array = OPS[name](*operands, **attributes).numpy()
    return found


# -- kinks ------------------------------------------------------------------------------------


def test_relu_has_slope_0_at_0() -> None:
    assert slope("relu", [-1.0, 0.0, -0.0, 2.0]) == [0, 0, 0, 1]


def test_leaky_relu_has_its_small_slope_at_0() -> None:
    assert slope("leaky_relu", [-1.0, 0.0, 1.0], slope=0.1) == [0.1, 0.1, 1]


def test_elu_has_slope_alpha_at_0() -> None:
    assert slope("elu", [0.0, 1.0], alpha=0.7) == [0.7, 1]


def test_absolute_and_sign_are_0_at_0() -> None:
    assert slope("absolute", [-2.0, 0.0, 3.0]) == [-1, 0, 1]
    assert value("sign", [-2.0, 0.0, 3.0]).tolist() == [-1, 0, 1]


def test_a_tie_of_two_operands_goes_to_the_first() -> None:
    for name in ("maximum", "minimum"):
        assert slope(name, [1.0, 1.0], [1.0, 1.0], wrt=0) == [1, 1]
        assert slope(name, [1.0, 1.0], [1.0, 1.0], wrt=1) == [0, 0]


@pytest.mark.parametrize("axis", [None, 0, (0, 1), -1])
def test_a_tie_within_a_maximum_goes_to_the_first_in_reading_order(axis: Any) -> None:
    x = [[3.0, 1.0, 3.0], [3.0, 3.0, 2.0]]
    wanted = {
        None: [[1, 0, 0], [0, 0, 0]],
        0: [[1, 0, 1], [0, 1, 0]],
        (0, 1): [[1, 0, 0], [0, 0, 0]],
        -1: [[1, 0, 0], [1, 0, 0]],
    }
    assert slope("max", x, axis=axis, keepdims=False) == wanted[axis]


def test_argmax_is_the_first_of_equals() -> None:
    assert value("argmax", [[2.0, 5.0, 5.0], [7.0, 7.0, 7.0]], axis=1).tolist() == [1, 0]


def test_a_tie_within_a_pooling_window_goes_to_the_first() -> None:
    flat = np.ones((1, 1, 4, 4))
    found = slope("max_pool", flat, kernel=(2, 2), stride=(2, 2))
    assert found == [[[[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]]]


def test_overlapping_windows_each_give_their_share_to_one_number() -> None:
    found = slope("max_pool", [[[1.0, 3.0, 2.0, 3.0]]], kernel=(2,), stride=(1,))
    assert found == [[[0, 2, 0, 1]]]


def test_the_root_of_0_is_0_and_its_slope_infinite() -> None:
    with np.errstate(divide="ignore"):
        assert slope("sqrt", [0.0, 4.0]) == [INF, 0.25]


def test_anything_to_the_power_0_is_1_with_slope_0_also_at_0() -> None:
    assert value("power", [0.0, 2.0], [0.0, 0.0]).tolist() == [1, 1]
    assert slope("power", [0.0, 2.0], [0.0, 0.0], wrt=0) == [0, 0]
    with np.errstate(divide="ignore"):
        assert slope("power", [0.0, 2.0], [2.0, 3.0], wrt=1) == [0, 8 * math.log(2)]


def test_a_written_exponent_keeps_its_simple_slope_at_0() -> None:
    for exponent, wanted in ((0, [0, 0]), (1, [1, 1]), (2, [0, 6]), (3, [0, 27])):
        x = tensor(np.array([0.0, 3.0]), requires_grad=True)
        (x**exponent).sum().backward()
        assert x.grad is not None
        assert x.grad.numpy().tolist() == wanted


def test_the_branch_not_taken_may_be_nan_or_infinite() -> None:
    chosen = [True, False]
    assert value("select", chosen, [1.0, NAN], [INF, 2.0]).tolist() == [1, 2]
    assert slope("select", chosen, [1.0, NAN], [INF, 2.0], wrt=1) == [1, 0]
    x = tensor(np.array([4.0, -1.0]), requires_grad=True)
    with np.errstate(invalid="ignore"):
        OPS["select"](x > 0, x, x * 0.0 + 2.0).sum().backward()
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [1, 0]


# -- numbers at their end ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_activation_overflows_or_warns_for_huge_numbers(dtype: str) -> None:
    x = [-1e4, -1000.0, -100.0, 0.0, 100.0, 1000.0, 1e4]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert value("sigmoid", x, dtype=dtype)[[0, 3, 6]].tolist() == [0, 0.5, 1]
        assert value("softplus", x, dtype=dtype)[[0, 6]].tolist() == [0, 1e4]
        assert value("elu", x, dtype=dtype, alpha=1.0)[[0, 6]].tolist() == [-1, 1e4]
        assert value("silu", x, dtype=dtype)[[0, 6]].tolist() == [0, 1e4]
        assert value("gelu", x, dtype=dtype)[[0, 6]].tolist() == [0, 1e4]
        assert value("tanh", x, dtype=dtype)[[0, 6]].tolist() == [-1, 1]
        assert value("erf", x, dtype=dtype)[[0, 6]].tolist() == [-1, 1]
        for name in ("sigmoid", "softplus", "silu", "gelu", "tanh"):
            assert np.isfinite(slope(name, x)).all()
        assert np.isfinite(slope("elu", x, alpha=1.0)).all()


def test_softmax_of_huge_scores_is_right_and_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        z = [[1e4, 1e4 - 1, -1e4], [-1e300, -1e300, -1e300]]
        found = value("log_softmax", z, axis=1)
        np.testing.assert_allclose(found[0], [-0.31326168751822286, -1.3132616875182228, -20000.3],
                                   rtol=1e-4)  # fmt: skip
        np.testing.assert_allclose(found[1], [-math.log(3)] * 3)
        assert value("softmax", z, axis=1)[0, 2] == 0
        np.testing.assert_allclose(value("cross_entropy", z, [2, 0]), 10000.7059, rtol=1e-6)
        assert value("bce_logits", [1e4, -1e4], [0.0, 1.0]).tolist() == 1e4


def test_softmax_of_a_row_of_minus_infinities_is_nan_not_a_plausible_number() -> None:
    with np.errstate(invalid="ignore"):
        assert np.isnan(value("softmax", [[-INF, -INF]], axis=1)).all()
        assert value("softmax", [[-INF, 0.0]], axis=1).tolist() == [[0, 1]]


def test_binary_cross_entropy_clips_probabilities_of_0_and_1() -> None:
    found = value("bce", [0.0, 1.0], [1.0, 0.0], eps=1e-15)
    assert 34 < found < 35
    assert slope("bce", [0.0, 1.0], [1.0, 0.0], eps=1e-15) == [0, 0]


UNARY = sorted(
    op.name
    for op in OPS.values()
    if "elementwise" in op.roles
    and op.inputs == ("x",)
    and op.name not in ("cast", "scalar", "logical_not")
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", UNARY)
def test_nan_in_is_nan_out(name: str, dtype: str) -> None:
    defaults = {
        "leaky_relu": {"slope": 0.1},
        "elu": {"alpha": 1.0},
        "clip": {"low": 0.0},
        "threshold": {"threshold": 0.0, "value": 1.0},
    }
    with np.errstate(all="ignore"):
        assert np.isnan(value(name, [NAN, 1.0], dtype=dtype, **defaults.get(name, {}))[0])


@pytest.mark.parametrize("name", ["add", "multiply", "divide", "maximum", "minimum", "power"])
def test_nan_in_either_operand_is_nan_out(name: str) -> None:
    assert np.isnan(value(name, [NAN, 0.5], [0.5, NAN])).all()


def test_nan_in_a_reduction_is_nan_out() -> None:
    for name in ("sum", "mean", "max"):
        assert np.isnan(value(name, [[1.0, NAN], [2.0, 3.0]], axis=1, keepdims=False)[0])
    assert np.isnan(value("max_pool", [[[1.0, NAN, 2.0, 3.0]]], kernel=(2,), stride=(2,))[0, 0, 0])


# -- nothing to add ---------------------------------------------------------------------------


def test_a_sum_of_no_numbers_is_0() -> None:
    assert value("sum", np.zeros((0, 3)), axis=0, keepdims=False).tolist() == [0, 0, 0]
    assert value("sum", np.zeros((0,)), axis=None, keepdims=False) == 0
    assert slope("sum", np.zeros((0, 3)), axis=None, keepdims=False) == []


def test_no_numbers_have_no_mean_and_no_largest() -> None:
    for name in ("mean", "max"):
        with pytest.raises(ShapeError, match="no numbers"):
            value(name, np.zeros((0, 3)), axis=0, keepdims=False)
    for name in ("mse", "bce_logits"):
        with pytest.raises(ShapeError, match="no numbers"):
            value(name, np.zeros((0, 3)), np.zeros((0, 3)))


def test_a_product_over_no_numbers_is_0() -> None:
    assert value("matmul", np.zeros((2, 0)), np.zeros((0, 3))).tolist() == [[0] * 3] * 2


# -- kinds of number --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
def test_a_python_number_takes_the_dtype_of_the_tensor(dtype: str) -> None:
    x = tensor(np.array([1, 2]), dtype=dtype)
    for y in (x + 1, 1 + x, x * 2, x - 1):
        assert y.dtype == dtype
        assert y.numpy().dtype == dtype


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_numbers_that_rules_write_take_the_dtype_of_the_tensor(dtype: str) -> None:
    x = tensor(np.array([0.3, 0.5]), dtype=dtype, requires_grad=True)
    for name in ("erf", "gelu", "sigmoid", "silu", "softplus", "tanh"):
        y = OPS[name](x)
        assert y.numpy().dtype == dtype
        x.grad = None
        y.sum().backward()
        assert x.grad is not None
        assert x.grad.numpy().dtype == dtype


def test_two_kinds_of_real_number_do_not_mix() -> None:
    a, b = tensor(np.ones(2, np.float32)), tensor(np.ones(2))
    with pytest.raises(DTypeError, match="different kinds"):
        a + b
    with pytest.raises(DTypeError, match="do not go together"):
        tensor(np.array([1, 2])) * 0.5


def test_whole_numbers_have_exact_arithmetic() -> None:
    big = tensor(np.array([2**53 + 1]))
    assert (big + 1 - 2).numpy().tolist() == [2**53]
    assert OPS["sum"](big, axis=None, keepdims=False).item() == 2**53 + 1


def test_a_mask_times_a_number_is_the_number_or_nothing() -> None:
    mask = tensor(np.array([True, False]))
    x = tensor(np.array([2.0, 3.0]), requires_grad=True)
    (x * mask).sum().backward()
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [1, 0]
    with pytest.raises(GlassgradError):
        mask + mask


def test_casting_down_rounds_and_its_gradient_is_cast_back() -> None:
    x = tensor(np.array([0.1, 1e-300]), requires_grad=True)
    y = x.astype("float32")
    assert y.numpy().tolist() == np.array([0.1, 1e-300], np.float32).tolist()
    (y * 3.0).sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == "float64"
    assert x.grad.numpy().tolist() == [3, 3]


def test_casting_to_whole_numbers_ends_the_derivative() -> None:
    x = tensor(np.array([1.7, -1.7]), requires_grad=True)
    y = OPS["cast"](x, dtype="int64")
    assert y.numpy().tolist() == [1, -1]
    assert not y.requires_grad


def test_a_number_of_the_host_takes_the_dtype_of_its_neighbours() -> None:
    tracer = Tracer()
    x = tracer.input("x", Type((3,), "float32"))
    rate = tracer.input("rate", Type((), "float64"), "host")
    y = x * OPS["scalar"](rate, dtype="float32")
    graph = Graph({"x": x.value, "rate": rate.value}, {"y": y.value})
    found = compile_graph(graph)(np.ones(3, np.float32), 0.1)
    assert found.dtype == np.float32
    assert found.tolist() == [np.float32(0.1)] * 3


# -- positions --------------------------------------------------------------------------------


def test_a_position_named_twice_adds_up() -> None:
    found = value("add_at", [[0.0], [10.0]], [1, 1, 0], [[1.0], [2.0], [4.0]])
    assert found.tolist() == [[4], [13]]
    assert slope("take", [[1.0], [2.0]], [1, 1, 1]) == [[0], [3]]


def test_a_label_outside_the_classes_is_an_error_not_another_class() -> None:
    with pytest.raises((IndexError, GlassgradError)):
        value("cross_entropy", [[1.0, 2.0]], [2])


def test_operands_stay_as_they_are() -> None:
    x = np.arange(6.0).reshape(2, 3)
    held: Tensor = tensor(x)
    for name in ("subtract_one_at", "add_at"):
        index = tensor(np.array([1, 0]))
        rest = [tensor(np.ones((2, 3)))] if name == "add_at" else []
        OPS[name](held, index, *rest)
    assert held.numpy().tolist() == x.tolist()


def test_one_text_serves_every_number_of_rows() -> None:
    from glassgrad.ir import Dim

    n = Dim.named("n")
    graph = traced_graph(
        OPS["cross_entropy"], {"x": Type((n, 3), "float64"), "y": Type((n,), "int64")}
    )
    program = compile_graph(graph)
    rng = np.random.default_rng(0)
    for rows in (1, 2, 7):
        x, y = rng.standard_normal((rows, 3)), rng.integers(0, 3, rows)
        np.testing.assert_allclose(program(x, y), value("cross_entropy", x, y), rtol=1e-15)


# -- positions --------------------------------------------------------------------------------


def test_arange_counts_from_0_eagerly_in_programs_and_in_loops() -> None:
    assert gg.arange(4).numpy().tolist() == [0, 1, 2, 3]
    assert gg.arange(0).shape == (0,)
    assert gg.arange(2).dtype == "int64"
    ramp = gg.compile(lambda x: x * gg.arange(x.shape[1]).astype(x.dtype))
    assert ramp(np.ones((2, 3))).numpy().tolist() == [[0, 1, 2]] * 2
    last, _ = gg.scan(
        lambda h, x: (h + (gg.arange(3) * x).sum(), h), gg.tensor(0), gg.tensor([1, 10])
    )
    assert last.item() == 33
    with pytest.raises(ConfigError, match="too small"):
        gg.arange(-1)


def test_arange_of_a_named_size_counts_the_rows_of_any_batch() -> None:
    rows = Type((Dim.named("n"), 2), "int64")
    graph = traced_graph(lambda x: x + index.positions(x.shape[0], x).reshape(-1, 1), {"x": rows})
    run = compile_graph(graph)
    for n in (0, 1, 3):
        found = run(np.zeros((n, 2), np.int64))
        assert found.tolist() == [[i, i] for i in range(n)]
    assert "np.arange(n)" in graph_source(graph, "count")


def test_positions_outside_an_axis_are_refused() -> None:
    calls: tuple[Callable[[Any], Any], ...] = (
        lambda i: gg.take_along_axis(np.ones((2, 3)), i, 1),
        lambda i: gg.add_along_axis(i, np.ones((2, 1)), 3, 1),
        lambda i: gg.one_hot(i, 3),
    )
    for call in calls:
        for wrong in (-1, 3):
            with pytest.raises(DataError, match="outside the axis"):
                call(np.array([[0], [wrong]]))


# -- order ------------------------------------------------------------------------------------


def test_equal_numbers_keep_their_order_either_way() -> None:
    x = [2.0, 1.0, 2.0, 1.0]
    assert gg.argsort(x).numpy().tolist() == [1, 3, 0, 2]
    assert gg.argsort(x, descending=True).numpy().tolist() == [0, 2, 1, 3]
    assert gg.topk(x, 1)[1].numpy().tolist() == [0]
    assert gg.topk(x, 1, largest=False)[1].numpy().tolist() == [1]
    assert gg.argsort([5, -(2**63), 7], descending=True).numpy().tolist() == [2, 0, 1]


def test_a_sort_sends_each_gradient_back_to_its_number() -> None:
    x = tensor(np.array([3.0, 1.0, 1.0]), requires_grad=True)
    (x.sort() * np.array([10.0, 20.0, 30.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [30, 10, 20]


def test_topk_takes_at_most_what_is_there() -> None:
    values, where = gg.topk([[3.0, 1.0]], 2)
    assert values.numpy().tolist() == [[3, 1]]
    assert gg.topk([3.0, 1.0], 0)[0].shape == (0,)
    assert where.dtype == "int64"
    with pytest.raises(ShapeError, match="not so many"):
        gg.topk([3.0, 1.0], 3)
    with pytest.raises(ConfigError, match="too small"):
        gg.topk([3.0, 1.0], -1)


# -- products, rounding, bounds ---------------------------------------------------------------


def test_a_product_has_its_derivative_where_factors_are_0() -> None:
    settings: Any = {"axis": None, "keepdims": False}
    assert slope("prod", [2.0, 3.0, 4.0], **settings) == [12, 8, 6]
    assert slope("prod", [2.0, 0.0, 4.0], **settings) == [0, 8, 0]
    assert slope("prod", [0.0, 0.0, 4.0], **settings) == [0, 0, 0]
    assert value("prod", np.zeros((0, 2)), axis=0, keepdims=False).tolist() == [1, 1]
    assert gg.prod(np.array([200, 200], np.uint8)).item() == 40000


def test_the_least_of_equals_is_the_first() -> None:
    assert slope("min", [2.0, 1.0, 1.0], axis=None, keepdims=False) == [0, 1, 0]


def test_halves_round_to_even_and_rounding_has_no_derivative() -> None:
    halves = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]
    assert value("round", halves).tolist() == [-2, -2, 0, 0, 2, 2]
    x = tensor(np.array([0.5, 1.7]), requires_grad=True)
    (x * 3 - x.round()).sum().backward()
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [3, 3]


def test_remainder_has_the_sign_of_the_divisor() -> None:
    x = gg.tensor([-1.0, 1.0])
    assert (x % 3).numpy().tolist() == [2, 1]
    assert (x % -3).numpy().tolist() == [-1, -2]


def test_a_bound_passes_the_derivative_on_and_hardtanh_does_not() -> None:
    assert slope("clip", [-2.0, -1.0, 0.0, 1.0, 2.0], low=-1, high=1) == [0, 1, 1, 1, 0]
    assert slope("hardtanh", [-2.0, -1.0, 0.0, 1.0, 2.0]) == [0, 0, 1, 0, 0]
    assert gg.clip([1, 5, 9], 2, 6).numpy().tolist() == [2, 5, 6]


def test_truth_values_have_operators() -> None:
    a, b = gg.tensor([True, True, False]), gg.tensor([True, False, False])
    assert (a & b).numpy().tolist() == [True, False, False]
    assert (a | b).numpy().tolist() == [True, True, False]
    assert (a ^ b).numpy().tolist() == [False, True, False]
    assert (~a).numpy().tolist() == [False, False, True]
    assert (a & True).numpy().tolist() == a.numpy().tolist()
    assert bool(a.any())
    assert not bool(a.all())
    with pytest.raises(DTypeError, match="truth values are needed"):
        gg.tensor([1, 2]) & gg.tensor([1, 2])


def test_the_derivative_of_a_long_product_is_right_and_takes_little_memory() -> None:
    rng = np.random.default_rng(0)
    for shape, axis in (((33,), 0), ((2, 100), 1), ((70, 3), 0), ((40, 30), None), ((1025, 2), 0)):
        x = rng.choice([1.0, -1.0, 0.5, 2.0], shape)
        x.flat[7] = 0.0
        slopes = gg.grad(lambda v, axis=axis: gg.prod(v, axis=axis).sum())(gg.tensor(x)).numpy()
        long = x.size if axis is None else shape[axis]
        rows, found = (
            (np.moveaxis(a, axis, -1) if axis is not None else a).reshape(-1, long)
            for a in (x, slopes)
        )
        wanted = [[math.prod(np.delete(r, i)) for i in range(len(r))] for r in rows]
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
    many = gg.tensor(np.ones(20_000))
    tracemalloc.start()
    assert gg.grad(gg.prod)(many).numpy().sum() == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * many.numpy().nbytes
