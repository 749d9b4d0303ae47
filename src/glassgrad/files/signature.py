"""`signature.json`: what goes into a model and what comes out, and what the numbers are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glassgrad.data.preparation import TablePreparation
from glassgrad.errors import ConfigError, FormatError, shown
from glassgrad.ir import Graph, Type

from .labels import Labels

_FIELDS = {"task": str, "inputs": list, "outputs": list}
_INPUT = {"name": str, "dtype": str, "shape": list, "columns": list, "units": list}
_OUTPUT = {"name": str, "dtype": str, "shape": list, "categories": list, "unit": str}


def signature(graph: Graph, labels: Labels) -> dict[str, Any]:
    """Inputs and outputs in the graph's order; what labels say belongs to the first of each."""
    columns, units = list(_columns(labels)), list(labels.units)
    _check_width(graph, labels)
    categories, unit = list(labels.classes), labels.unit
    inputs, outputs = [], []
    for name, value in graph.inputs.items():
        if value.node.attributes["role"] == "data":
            inputs.append({**_kind(name, value.type), "columns": columns, "units": units})
            columns, units = [], []
    for name, value in graph.outputs.items():
        outputs.append({**_kind(name, value.type), "categories": categories, "unit": unit})
        categories, unit = [], ""
    return {"task": labels.task, "inputs": inputs, "outputs": outputs}


def labels_in(found: Any) -> dict[str, Any]:
    """The parts of labels that a signature holds. Raises FormatError where it is none."""
    _check(found, _FIELDS, "the signature")
    for name, parts in (("inputs", _INPUT), ("outputs", _OUTPUT)):
        for entry in found[name]:
            _check(entry, parts, f"one of the {name}")
    if not found["inputs"] or not found["outputs"]:
        raise FormatError(
            "a signature has inputs and outputs",
            where="signature.json",
            expected="at least one of each",
            received=shown({k: len(found[k]) for k in ("inputs", "outputs")}),
        )
    first, last = found["inputs"][0], found["outputs"][0]
    return {
        "task": found["task"],
        "features": tuple(first["columns"]),
        "units": tuple(first["units"]),
        "classes": tuple(last["categories"]),
        "unit": last["unit"],
    }


def _columns(labels: Labels) -> tuple[str, ...]:
    """Names of the columns: given, or those that a preparation makes."""
    if not labels.features and isinstance(labels.preparation, TablePreparation):
        return labels.preparation.features
    return labels.features


def _check_width(graph: Graph, labels: Labels) -> None:
    """Raise ConfigError where rows that were prepared would not fit the network."""
    if isinstance(labels.preparation, TablePreparation):
        first = next(v for v in graph.inputs.values() if v.node.attributes["role"] == "data")
        made = len(labels.preparation.features)
        if first.type.shape[1:] != (made,):
            raise ConfigError(
                "what the preparation makes does not fit the network",
                where="preparation of labels",
                expected=f"rows of {first.type.shape[1:]}",
                received=f"{made} features",
            )


def _kind(name: str, kind: Type) -> dict[str, Any]:
    sizes = [s if isinstance(s, int) else str(s) for s in kind.shape]
    return {"name": name, "dtype": kind.dtype, "shape": sizes}


def _check(found: Any, parts: Mapping[str, type], what: str) -> None:
    fine = isinstance(found, dict) and list(found) == list(parts)
    if not fine or any(type(found[name]) is not kind for name, kind in parts.items()):
        raise FormatError(
            f"{what} is described otherwise",
            where="signature.json",
            expected=", ".join(f"{k} ({v.__name__})" for k, v in parts.items()),
            received=shown(found, 120),
        )
