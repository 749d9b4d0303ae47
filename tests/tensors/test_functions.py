"""The generated public functions: committed, fresh, and all that `glassgrad` says it has."""

# mypy: disable-error-code="arg-type"

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import generate_functions as script
import glassgrad as gg
from glassgrad.errors import DTypeError, TraceError, UsageError
from glassgrad.ops import OPS
from glassgrad.tensors import functions


def test_the_committed_functions_are_what_the_script_writes() -> None:
    committed = Path(str(functions.__file__))
    assert committed.read_text(encoding="utf-8") == script.generate()
    assert (committed.parents[1] / "_names.py").read_text(encoding="utf-8") == script.names()


def test_every_op_of_a_public_family_is_a_function_or_says_why_not() -> None:
    for op in OPS.values():
        if op.family in script.FAMILIES and op.name not in script.PRIVATE:
            function = getattr(functions, script.name_of(op))
            assert op.says[1:] in function.__doc__
            assert op.formula in function.__doc__
            assert "Raises" in function.__doc__
            assert ">>> gg." in function.__doc__


def test_glassgrad_names_every_generated_function_and_nothing_that_is_not_there() -> None:
    assert set(functions.__all__) <= set(gg.__all__)
    assert dir(gg) == gg.__all__
    assert len(set(gg.__all__)) == len(gg.__all__)
    for name in gg.__all__:
        assert getattr(gg, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        gg.nothing  # noqa: B018  # reading it is the test


def test_operands_may_be_tensors_arrays_lists_and_numbers() -> None:
    x = gg.tensor([1.0, 2.0])
    for other in (x, x.numpy(), [1.0, 2.0]):
        np.testing.assert_array_equal(gg.exp(other).numpy(), gg.exp(x).numpy())
    assert gg.add(1.0, 2.0).item() == 3.0
    assert gg.add(x.numpy(), x).shape == gg.add(2, x).shape == (2,)
    assert gg.add(np.ones(2), 1.0).dtype == "float64"
    np.testing.assert_array_equal(gg.where([True, False], x, 0.0).numpy(), [1, 0])
    with pytest.raises(DTypeError, match="different kinds of number"):
        gg.add(x, np.ones(2))


def test_attributes_have_the_defaults_of_their_records_and_bad_ones_are_refused() -> None:
    x = gg.tensor([[1.0, 5.0], [7.0, 2.0]])
    assert gg.max(x).item() == 7
    assert gg.sum(x, axis=1, keepdims=True).shape == (2, 1)
    assert gg.argmax(x).numpy().tolist() == [1, 0]
    with pytest.raises(UsageError, match="no such axis"):
        gg.softmax(x, axis=2)
    with pytest.raises(UsageError, match="whole number"):
        gg.sum(x, axis=1.5)


def test_functions_write_nodes_inside_a_program_and_refuse_arrays_from_outside() -> None:
    outside = np.ones(2, np.float32)
    assert gg.compile(lambda x: gg.log1p(gg.exp(x)))(outside).shape == (2,)
    with pytest.raises(TraceError, match="cannot become part"):
        gg.compile(lambda x: gg.add(x, outside))(outside)
