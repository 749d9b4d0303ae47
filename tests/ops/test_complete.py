"""A hole in a record fails here: no op without oracle, samples, mistakes, sentence and formula."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from glassgrad.ir import Op
from glassgrad.ops import OPS, Draw, Sample
from tests.oracles import EXEMPT, ORACLES

RECORDS = [pytest.param(op, id=op.name) for op in OPS.values() if op.name not in EXEMPT]
IMAGES = "works on images (n, channels, *size)"
ROWS = "works along an axis"
SCORES = "works on rows of scores"
DRAWS = "its operands are two whole numbers; its result has all of the shape classes"
STATISTICS = "takes statistics over a batch, which must not be empty"

# Where an op cannot have a sample of a shape class, and why.
CLASSES: dict[str, tuple[Callable[[Sample], bool], dict[str, str]]] = {
    "scalar": (
        lambda s: all(d.shape == () for d in drawn(s)),
        {
            "argmax": ROWS, "argmin": ROWS, "cumsum": ROWS, "sort": ROWS, "argsort": ROWS,
            "roll": ROWS, "take_along_axis": ROWS, "add_along_axis": ROWS,
            "tril": "works on matrices", "triu": "works on matrices",
            "var": "one number does not spread",
            "standard_deviation": "one number does not spread",
            "glu": ROWS, "softmin": ROWS, "prelu": "has a slope for each channel",
            "concatenate": ROWS, "take": ROWS, "add_at": ROWS, "pick": ROWS,
            "subtract_one_at": ROWS, "log_softmax": ROWS, "softmax": ROWS,
            "attention": "works on matrices", "attention_weights": "works on matrices",
            "attention_dq": "works on matrices", "attention_dk": "works on matrices",
            "attention_dv": "works on matrices",
            "matmul": "works on matrices", "linear": "works on matrices",
            "conv": IMAGES, "conv_dx": IMAGES, "conv_dw": IMAGES, "conv_transpose": IMAGES, "columns": IMAGES,
            "uncolumns": IMAGES, "max_pool": IMAGES, "max_unpool": IMAGES, "max_pick": IMAGES,
            "mean_pool": IMAGES, "mean_unpool": IMAGES, "channel_bias": IMAGES,
            "layer_norm": ROWS, "rms_norm": ROWS, "batch_norm": STATISTICS,
            "cross_entropy": SCORES, "cross_entropy_shares": SCORES, "nll": SCORES,
            "multi_margin": SCORES, "categorical_focal": SCORES,
        },
    ),
    "empty": (
        lambda s: any(0 in d.shape for d in drawn(s)),
        {
            "batch_norm": STATISTICS, "uniform": DRAWS,
        },
    ),
    "size-1 axes": (lambda s: any(1 in d.shape for d in drawn(s)), {"uniform": DRAWS}),
    "non-contiguous": (lambda s: any(d.order != "C" for d in drawn(s)), {"uniform": DRAWS}),
}  # fmt: skip


def drawn(sample: Sample) -> list[Draw]:
    """The operands that are arrays."""
    return [d for d in sample.operands if isinstance(d, Draw)]


@pytest.mark.parametrize("op", RECORDS)
def test_an_op_has_an_oracle_and_says_what_it_is(op: Op) -> None:
    assert op.name in ORACLES, "tests/oracles.py needs a line for it"
    assert op.says.endswith(".")
    assert op.says[:-1].strip()
    assert op.formula
    assert op.family
    assert op.errors, "a record shows how the op is misused"
    assert op.numpy is not None or op.expand is not None
    if op.vjp is not None:
        assert len(op.vjp) == len(op.inputs)


@pytest.mark.parametrize("op", RECORDS)
@pytest.mark.parametrize("name", CLASSES)
def test_an_op_has_samples_of_every_shape_class(op: Op, name: str) -> None:
    holds, exempt = CLASSES[name]
    found = any(holds(sample) for sample in op.samples)
    if op.name in exempt:
        assert not found, f"has a sample of this class: take it off the list ({exempt[op.name]})"
    else:
        assert found


@pytest.mark.parametrize("op", [p for p in RECORDS if len(p.values[0].inputs) > 1])  # type: ignore[union-attr]
def test_an_op_of_several_operands_that_stretch_has_samples_that_do(op: Op) -> None:
    if "elementwise" in op.roles:
        assert any(len({d.shape for d in drawn(s)}) > 1 for s in op.samples)


def test_exemptions_and_oracles_are_of_ops_that_exist() -> None:
    assert set(ORACLES) | set(EXEMPT) == set(OPS)
    assert not set(ORACLES) & set(EXEMPT)
    for reasons in [EXEMPT, *[exempt for _, exempt in CLASSES.values()]]:
        assert set(reasons) <= set(OPS)
        assert all(reasons.values())


def test_an_op_with_a_kink_says_where() -> None:
    choosing = {"min", "argmin", "sort", "argsort", "clip", "floor", "ceil", "trunc", "round",
                "remainder", "absolute", "sign", "maximum", "minimum", "max", "argmax", "max_pool", "relu",
                "leaky_relu", "elu", "relu6", "hardtanh", "hardsigmoid", "hardswish", "threshold",
                "hardshrink", "softshrink", "prelu", "selu", "bce", "max_unpool", "max_pick"}  # fmt: skip
    assert {name for name in choosing if not OPS[name].kinks} == set()


def test_the_composites_with_a_derivative_have_their_formulas_as_headings() -> None:
    unsaid = {
        op.name
        for op in OPS.values()
        if op.family in ("layer", "loss", "activation") and op.vjp is not None and not op.plain[0]
    }
    assert unsaid <= {"channel_bias"}
