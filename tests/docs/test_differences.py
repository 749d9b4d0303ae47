"""The list of differences names what there is, and forgets nothing that a docstring says."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import glassgrad as gg
from glassgrad import data, nn, optim, train
from glassgrad.nn import init, losses
from glassgrad.optim.base import Options

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "differences.md").read_text(encoding="utf-8")
FIRST = [
    name
    for line in TEXT.splitlines()
    if line.startswith("| `")
    for name in re.findall(r"`([a-z0-9_.]+)[^`]*`", line.split(" | ")[0], re.IGNORECASE)
]
SETTINGS = {*Options.__annotations__, *inspect.signature(gg.fit).parameters, "weight"}
HOMES: tuple[Any, ...] = (gg, nn, losses, optim, train, data, init, gg.Tensor)


def known(name: str) -> bool:
    """Whether a name is public here, or a setting of training or of an optimiser."""
    *_, last = name.split(".")
    every = inspect.signature(optim.Adam).parameters
    return (
        last in SETTINGS or last in every or last == "init" or any(hasattr(h, last) for h in HOMES)
    )


@pytest.mark.parametrize("name", sorted(set(FIRST)))
def test_what_the_list_names_exists(name: str) -> None:
    assert known(name), name


def said_to_differ() -> set[str]:
    """The names whose docstring says that PyTorch or Keras does something else."""
    other = re.compile(
        r"(where|but) (PyTorch|Keras|causal|for|`hidden`)|would take|no use for|"
        r"(PyTorch|torchvision)[^.]*(instead|cuts them|promises no|has to be asked)|without its|"
        r"whose default|we do neither"
    )
    lines = (DOCS / "reference" / "comparison.md").read_text(encoding="utf-8").splitlines()
    pairs = [re.match(r"- \[`(\w+)`\]\S+ (.*)", line) for line in lines]
    return {found[1] for found in pairs if found and other.search(found[2])}


def test_no_difference_that_a_docstring_admits_is_forgotten() -> None:
    names = said_to_differ()
    assert {"hinge", "LBFGS", "OneCycle", "scaled_dot_product_attention", "Softplus"} <= names
    missing = sorted(n for n in names - {"Optimizer"} if f"`{n}" not in TEXT.replace("data.", ""))
    assert missing == []
