"""Every op, on every sample, in both float dtypes, holds what its record says."""

from __future__ import annotations

import numpy as np
import pytest

from glassgrad.errors import GlassgradError
from glassgrad.ir import Op
from glassgrad.ops import OPS, Mistake, Tracer
from glassgrad.tensors.tensor import Tensor, derivatives, tensor
from tests.ops.harness import (
    AnyArray,
    Case,
    by_operand,
    cases,
    differentiable,
    directions,
    dot,
    eager,
    gradient_graph,
    moved,
    op_graph,
    run,
    run_complex,
    second_graph,
)
from tests.oracles import ORACLES

SMOOTH = cases("float64", only=differentiable)


def close(found: AnyArray, wanted: AnyArray, relative: float, floor: float) -> None:
    """Each number within `relative` of the wanted one, or within `floor` of the largest."""
    assert found.shape == wanted.shape
    scale = np.max(np.abs(wanted), initial=0.0)
    np.testing.assert_allclose(found, wanted, rtol=relative, atol=floor * max(scale, 1e-30))


def near(found: AnyArray, wanted: AnyArray, share: float) -> None:
    """The difference within a share of the norm."""
    assert found.shape == wanted.shape
    assert np.linalg.norm(found - wanted) <= share * (np.linalg.norm(wanted) + 1e-30)


@pytest.mark.parametrize("case", cases("float64", "float32"))
def test_value_is_the_oracles_and_eager_gives_the_same_bits(case: Case) -> None:
    found = run(op_graph(case), *case.arrays)["y"]
    y = op_graph(case).outputs["y"]
    assert found.dtype.name == y.type.dtype
    assert found.shape == y.type.shape
    wanted = np.asarray(ORACLES[case.op.name](*case.operands, **case.attributes))
    if found.dtype.kind in "bui":
        np.testing.assert_array_equal(found, wanted)
    elif found.dtype == np.float64:
        # A few roundings, each half of 2.2e-16 of the largest term that meets it.
        close(found, wanted, 2e-14, 1e-14)
    else:
        near(found, wanted, 1e-5)
    plain = [np.ascontiguousarray(a).reshape(a.shape) for a in case.arrays]
    _, result = eager(case)
    np.testing.assert_array_equal(result.numpy(), run(op_graph(case), *plain)["y"])
    assert result.dtype == y.type.dtype


@pytest.mark.parametrize("case", SMOOTH)
def test_gradient_is_the_central_difference(case: Case) -> None:
    if case.op.name == "cast" and case.attributes["dtype"] == "float32":
        return  # rounds to steps larger than any difference: see test_conventions
    arrays, c, h = case.arrays, case.cotangent, 6e-6
    gradient = by_operand(run(gradient_graph(case), *arrays, c))
    for step in directions(arrays, case.floats, case.seed):
        up = run(op_graph(case), *moved(arrays, step, h))["y"]
        down = run(op_graph(case), *moved(arrays, step, -h))["y"]
        slope = np.sum((up - down) * c) / (2 * h)
        scale = max(1.0, float(np.max(np.abs(up * c), initial=0.0)))
        assert abs(dot(gradient, step) - slope) <= 1e-6 * abs(slope) + 1e-8 * scale
    for i, g in gradient.items():
        assert g.shape == arrays[i].shape
        assert g.dtype == arrays[i].dtype


@pytest.mark.parametrize("case", SMOOTH)
def test_gradient_is_the_complex_step(case: Case) -> None:
    if case.op.name == "cast":
        return  # knows no complex numbers
    arrays, c, h = case.arrays, case.cotangent, 1e-30
    gradient = by_operand(run(gradient_graph(case), *arrays, c))
    for step in directions(arrays, case.floats, case.seed):
        terms = run_complex(op_graph(case), *moved(arrays, step, h * 1j))["y"].imag / h * c
        scale = float(np.max(np.abs(terms), initial=0.0))
        slope = float(np.sum(terms))
        assert abs(dot(gradient, step) - slope) <= 1e-12 * abs(slope) + 1e-13 * max(scale, 1.0)


@pytest.mark.parametrize("case", cases("float64", "float32", only=differentiable))
def test_eager_backward_gives_the_bits_of_the_graphs_gradient(case: Case) -> None:
    plain = [np.ascontiguousarray(a).reshape(a.shape) for a in case.arrays]
    wanted = by_operand(run(gradient_graph(case), *plain, case.cotangent))
    tensors, result = eager(case, requires_grad=True)
    found = derivatives(result, tensor(case.cotangent))
    for i, leaf in enumerate(tensors):
        if i in wanted:
            np.testing.assert_array_equal(found[leaf].numpy(), wanted[i])
        else:
            assert leaf not in found


@pytest.mark.parametrize("case", SMOOTH)
def test_second_derivative_is_the_complex_step_and_the_central_difference_of_the_first(
    case: Case,
) -> None:
    if case.op.name == "cast":
        return  # linear, and knows no complex numbers
    first, second = gradient_graph(case), second_graph(case)
    rng = np.random.default_rng([13, case.seed])
    arrays, c = case.arrays, case.cotangent
    us = [rng.standard_normal(arrays[int(k[1:]) - 1].shape) for k in first.outputs]
    found = by_operand(run(second, *arrays, c, *us))
    for step in directions(arrays, case.floats, case.seed)[:4]:
        ahead = run_complex(first, *moved(arrays, step, 1e-30j), c).values()
        terms = [g.imag / 1e-30 * u for g, u in zip(ahead, us, strict=True)]
        slope = sum(float(np.sum(t)) for t in terms)
        scale = max([1.0, *[float(np.max(np.abs(t), initial=0.0)) for t in terms]])
        assert abs(dot(found, step) - slope) <= 1e-11 * abs(slope) + 1e-12 * scale
        h = 6e-6
        up = run(first, *moved(arrays, step, h), c).values()
        down = run(first, *moved(arrays, step, -h), c).values()
        slope = sum(float(np.sum((a - b) * u)) for a, b, u in zip(up, down, us, strict=True)) / (
            2 * h
        )
        assert abs(dot(found, step) - slope) <= 1e-6 * abs(slope) + 1e-8 * scale


@pytest.mark.parametrize("case", cases("float32", only=differentiable))
def test_float32_gradient_is_the_float64_gradient(case: Case) -> None:
    if case.op.name == "dropout":
        return  # draws other numbers in float32
    narrow = by_operand(run(gradient_graph(case), *case.arrays, case.cotangent))
    double = Case(case.op, case.sample, "float64", case.seed)
    weights = case.cotangent.astype(np.float64)
    wide = by_operand(run(gradient_graph(double), *double.arrays, weights))
    assert narrow.keys() == wide.keys()
    for i, g in narrow.items():
        assert g.dtype == np.float32
        near(g, wide[i], 1e-5)


@pytest.mark.parametrize(
    "case",
    cases("float64", only=lambda op: op.expand is not None and differentiable(op)),
)
def test_own_derivative_is_that_of_the_expansion(case: Case) -> None:
    own = by_operand(run(gradient_graph(case), *case.arrays, case.cotangent))
    composed = by_operand(run(gradient_graph(case, opened=True), *case.arrays, case.cotangent))
    assert own.keys() == composed.keys()
    for i, g in own.items():
        close(g, composed[i], 1e-12, 1e-12)


# Operands in which an op is linear (or linear but for a constant), the others held fixed.
LINEAR = {
    "max_unpool": (0,), "max_pick": (0,),
    "add": (0, 1), "subtract": (0, 1), "multiply": (0, 1), "divide": (0,), "negative": (0,),
    "select": (1, 2), "cast": (0,), "sum": (0,), "mean": (0,), "reshape": (0,), "permute": (0,),
    "broadcast_to": (0,), "slice": (0,), "pad": (0,), "concatenate": (0, 1, 2), "matmul": (0, 1),
    "conv": (0, 1), "conv_dx": (0, 1), "conv_dw": (0, 1), "columns": (0,), "uncolumns": (0,),
    "mean_pool": (0,), "mean_unpool": (0,), "take": (0,), "add_at": (0, 2), "pick": (0,),
    "put_at": (1,), "subtract_one_at": (0,), "linear": (0, 1, 2), "channel_bias": (0, 1),
    "flip": (0,), "roll": (0,), "cumsum": (0,), "tril": (0,), "triu": (0,),
    "take_along_axis": (0,), "add_along_axis": (1,), "prelu": (1,),
    "layer_norm": (1, 2), "batch_norm": (1, 2), "dropout": (0,),
}  # fmt: skip


@pytest.mark.parametrize("case", cases("float64", only=lambda op: op.name in LINEAR))
def test_gradient_of_a_linear_op_is_its_transpose(case: Case) -> None:
    if case.op.name == "cast" and case.attributes["dtype"] == "float32":
        return  # linear but for rounding
    rng = np.random.default_rng([17, case.seed])
    w = case.cotangent
    for i in set(LINEAR[case.op.name]) & set(case.floats):
        arrays = list(case.arrays)
        arrays[i] = rng.standard_normal(arrays[i].shape)
        there = run(op_graph(case), *arrays)["y"]
        back = by_operand(run(gradient_graph(case), *arrays, w))[i]
        here = arrays[i]
        arrays[i] = np.zeros_like(here)
        there = there - run(op_graph(case), *arrays)["y"]
        scale = float(np.sum(np.abs(there * w))) + float(np.sum(np.abs(here * back)))
        assert abs(float(np.sum(there * w)) - float(np.sum(here * back))) <= 1e-13 * scale


@pytest.mark.parametrize("case", cases("float64"))
def test_layout_in_memory_changes_no_value(case: Case) -> None:
    arrays = case.arrays
    wanted = run(op_graph(case), *[np.ascontiguousarray(a).reshape(a.shape) for a in arrays])["y"]
    for order in ("F", "strided", "reversed"):
        from tests.ops.harness import laid_out

        found = run(op_graph(case), *[laid_out(a, order) for a in arrays])["y"]
        if found.dtype.kind in "bui":
            np.testing.assert_array_equal(found, wanted)
        else:
            close(found, wanted, 1e-13, 1e-14)  # a sum may be taken in another order


@pytest.mark.parametrize("case", cases("float64", only=lambda op: op.result == "fresh"))
def test_a_fresh_result_shares_no_memory_with_an_operand(case: Case) -> None:
    if case.op.name == "cast" and case.attributes["dtype"] == "float64":
        return  # float64 to float64 is left out of programs
    found = run(op_graph(case), *case.arrays)["y"]
    assert not any(np.shares_memory(found, a) for a in case.arrays)


def mistakes() -> list[object]:
    """Every declared mistake of every op."""
    return [
        pytest.param(op, mistake, id=f"{op.name}-{mistake.says.replace(' ', '_')}")
        for op in OPS.values()
        for mistake in op.errors
    ]


@pytest.mark.parametrize(("op", "mistake"), mistakes())
def test_a_mistake_is_refused_in_words_that_name_the_op(op: Op, mistake: Mistake) -> None:
    tracer = Tracer()
    symbols = [tracer.input(f"x{i}", t) for i, t in enumerate(mistake.types)]
    tensors = [Tensor(np.zeros(tuple(map(int, t.shape)), t.dtype), t) for t in mistake.types]
    for operands in (symbols, tensors):
        with pytest.raises(GlassgradError) as error:
            op(*operands, **mistake.attributes)
        assert mistake.says in str(error.value)
        assert op.name in str(error.value)
