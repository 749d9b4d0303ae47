"""What is written of a model: its forward pass in evaluation as a graph, and its tree of modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from glassgrad.errors import UsageError, shown, whole_number
from glassgrad.ir import DTYPES, INPUT, Dim, Graph, Node, Type
from glassgrad.nn.module import Module
from glassgrad.nn.tracing import forward_graph, input_names
from glassgrad.tensors.tensor import Buffer, Parameter, Tensor

from .graph_member import MOST_ROW
from .loaded import GraphModule, Place
from .weights import AnyArray

ROWS = Dim.named("n")
_KINDS = tuple(kind for kind in DTYPES if kind != "bool")


def traced(model: Module, x: Any) -> tuple[Graph, bool, list[Place]]:
    """The graph for any number of rows, whether training would do the same, the modules.

    `x` is an example of the input or its shape, as in `save`. Raises UsageError where the input is
    not known.
    """
    if isinstance(model, GraphModule):
        return model.graph, model.trainable, list(model.places)
    kinds = _input_types(model, x)
    state = model.named_state()
    graph = forward_graph(model, kinds)
    _keep_unread(graph, state)
    return graph, _trains_the_same(model, kinds, graph), _places(model, state)


def _input_types(model: Module, x: Any) -> dict[str, Type]:
    """What goes in by name, the number of rows left open."""
    names, needed = input_names(model)
    dtype = model.dtype()
    if x is None:
        known = model.input_types
        if not known:
            raise UsageError(
                "what goes into the model is not known yet",
                where=type(model).__name__,
                expected="a model that was called or fitted, or x=...",
                received="neither",
                hint="an example row or a shape: gg.save(model, path, x=(2,))",
            )
        kinds = [Type((ROWS, *t.shape[1:]), t.dtype) for t in known]
        return dict(zip(names, kinds, strict=False))
    if isinstance(x, Mapping):
        given = {name: x[name] for name in names if name in x}
        if set(given) != set(x) or list(given) != list(names[: len(given)]):
            raise _no_example(names, x)
    elif isinstance(x, list) and needed > 1:
        given = dict(zip(names, x, strict=False))
    else:
        given = {names[0]: x}
    if len(given) < needed:
        raise _no_example(names, x)
    return {name: _example_type(each, dtype) for name, each in given.items()}


def _example_type(x: Any, dtype: str) -> Type:
    """Rows of a shape, or like those of an example."""
    if isinstance(x, tuple) and all(np.ndim(s) == 0 for s in x):
        shape, kind = tuple([whole_number(s) or 0 for s in x]), dtype
    else:
        example = _array(x)
        shape, kind = example.shape[1:], example.dtype.name
        kind = dtype if example.dtype.kind == "f" else kind
    if not all(s >= 1 for s in shape) or prod(shape) > MOST_ROW or kind not in _KINDS:
        raise _no_example(("x",), x)
    return Type((ROWS, *shape), kind)


def _array(x: Any) -> AnyArray:
    try:
        example = x.numpy() if isinstance(x, Tensor) else np.asarray(x)
    except ValueError as error:  # rows of different lengths
        raise _no_example(("x",), x) from error
    if example.ndim < 1:
        raise _no_example(("x",), x)
    return example


def _no_example(names: Sequence[str], x: Any) -> UsageError:
    many = f", by name: {', '.join(names)}" if len(names) > 1 else ""
    return UsageError(
        "this is no example of an input",
        expected=f"rows of numbers, or a shape such as (2,){many}",
        received=shown(x),
    )


def _keep_unread(graph: Graph, state: dict[str, Parameter]) -> None:
    """Parameters that the forward pass does not read stay with the model, too."""
    for name, held in state.items():
        if name not in graph.inputs:
            role = "buffer" if isinstance(held, Buffer) else "parameter"
            kind = {"name": name, "type": Type(held.shape, held.dtype), "role": role}
            graph.inputs[name] = Node(INPUT, (), kind).values[0]


def _trains_the_same(model: Module, kinds: dict[str, Type], graph: Graph) -> bool:
    """Whether the network does the same in training."""
    in_training = forward_graph(model, kinds, training=True)
    _keep_unread(in_training, model.named_state())
    return in_training.structure() == graph.structure()


def _places(model: Module, state: dict[str, Parameter]) -> list[Place]:
    names = {id(p): name for name, p in state.items()}
    found = []
    for path, module in model.modules():
        held = [names[id(v)] for v in vars(module).values() if id(v) in names]
        if path:
            found.append(Place(path, module.title(), tuple(held)))
    return found
