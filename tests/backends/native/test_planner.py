"""The planner: what a plan computes is what the graph's NumPy text computes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from glassgrad.backends.native.build import HOST, lowered, planned, why_not
from glassgrad.engine import compile_graph
from tests.backends.native.interpreter import Interpreter
from tests.graphs import random_graph

CATALOGUE_FILE = Path(__file__).parents[3] / "native" / "core" / "catalogue.def"


def catalogue() -> dict[str, dict[str, int]]:
    text = CATALOGUE_FILE.read_text()
    return {
        f"{kind.lower()}s": {n: i for i, n in enumerate(re.findall(rf"GG_{kind}\((\w+)\)", text))}
        for kind in ("KERNEL", "OPERATION", "REDUCTION")
    }


@pytest.mark.parametrize("seed", range(150))
def test_a_plan_computes_what_the_text_computes(seed: int) -> None:
    graph = random_graph(seed)
    low = lowered(graph)
    if why_not(low):
        pytest.skip(why_not(low))
    rng = np.random.default_rng(seed)
    arrays = [
        rng.standard_normal(tuple(int(str(s)) for s in v.type.shape)).astype(v.type.dtype)
        for v in graph.inputs.values()
    ]
    with np.errstate(all="ignore"):
        wanted = compile_graph(graph)(*arrays)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    plan = planned(low, {}, catalogue(), returns=list(graph.outputs), results=False)
    assert HOST not in [p.name for p in plan.ports]
    outs = [np.empty(p.shape, p.dtype) for p in plan.ports if p.name.startswith("out ")]
    assert Interpreter(plan.encoded, catalogue()).run([*arrays, *outs])
    for found, want in zip(outs, wanted, strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-10, atol=1e-12)
