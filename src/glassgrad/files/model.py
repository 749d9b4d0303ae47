"""`.glass`, version 0: a network as data. `save` writes it, `load` reads it back.

A zip of stored members, these three and no other: `graph.json` (the module tree and the forward
graph, in evaluation, any number of rows), `weights.safetensors` (parameters and buffers by path)
and `labels.json` (what the numbers mean). Nothing in it is code.
"""

from __future__ import annotations

import keyword
import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from glassgrad.errors import ConfigError, FormatError, GlassgradError, UsageError, shown
from glassgrad.ir import (
    INPUT,
    Dim,
    Graph,
    Node,
    Type,
    Value,
    attribute_key,
    parse_graph,
    print_graph,
)
from glassgrad.nn.module import LONGEST_NAME, Module
from glassgrad.nn.tracing import forward_graph, input_names
from glassgrad.ops import Spelled, Symbol, Tracer, find
from glassgrad.tensors.tensor import Buffer, Parameter, Tensor

from .archive import pack, unpack
from .atomic import write_atomically
from .labels import Labels
from .loaded import GraphModule, Place
from .strict_json import read_json, write_json
from .weights import AnyArray, read_tensors, write_tensors

VERSION = 0
MEMBERS = ("graph.json", "weights.safetensors", "labels.json")
MOST_BYTES = 2**32
_MOST_GRAPH = 8 * 2**20
_MOST_NODES = 50_000
_MOST_ROW = 2**31  # numbers that one row may become on its way
_ROWS = Dim.named("n")
_OUTPUT = re.compile(r"prediction_[A-Za-z0-9_]{1,64}")

_REFUSED = {
    ".pkl": "pickle", ".pickle": "pickle", ".pt": "PyTorch", ".pth": "PyTorch", ".ckpt": "PyTorch",
    ".bin": "PyTorch", ".h5": "HDF5", ".hdf5": "HDF5", ".keras": "Keras", ".joblib": "joblib",
    ".npy": "NumPy", ".npz": "NumPy", ".onnx": "ONNX", ".safetensors": "safetensors",
}  # fmt: skip
_RUNS_CODE = ("pickle", "PyTorch", "HDF5", "Keras", "joblib")


def save(
    model: Module,
    path: str | os.PathLike[str],
    *,
    x: Any = None,
    labels: Any = None,
) -> Path:
    """Write a network as a `.glass` file, whole or not at all.

    Parameters
    ----------
    model : Module
        Any module; its forward pass is traced in evaluation, so that `load` needs no
        class.
    path : path
        Ends in `.glass`; a file there is replaced.
    x : array or tuple of int, optional
        An example of the input, or its shape with the rows left out; of several inputs a dict by
        name, or a list. Needed only where the model has not been called or fitted yet.
    labels : Labels, Dataset or mapping, optional
        Classes, columns, task, loss, data set, preparation.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    UsageError
        The model's input is not known, or the file cannot be written.
    ConfigError
        The path does not end in `.glass`, or the labels are none.

    Examples
    --------
    >>> import tempfile, glassgrad as gg
    >>> from glassgrad import nn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = gg.save(nn.Linear(2, 3), f"{folder}/small.glass", x=(2,))
    ...     gg.load(path)
    Linear(2, 3)
    """
    file = Path(path)
    if file.suffix != ".glass":
        raise ConfigError(
            "a model file ends in .glass",
            where=shown(str(path)),
            expected=f"{file.stem}.glass",
            received=file.suffix or "no ending",
        )
    write_atomically(file, to_bytes(model, x=x, labels=labels))
    return file


def to_bytes(model: Module, *, x: Any = None, labels: Any = None) -> bytes:
    """The bytes of a `.glass` file; the same model gives the same bytes."""
    if not isinstance(model, Module):
        raise UsageError("this is not a model", expected="an nn.Module", received=shown(model))
    given = getattr(model, "labels", None) if labels is None else labels
    state = model.named_state()
    if isinstance(model, GraphModule):
        graph, trainable, places = model.graph, model.trainable, list(model.places)
    else:
        kinds = _input_types(model, x)
        graph = forward_graph(model, kinds)
        _keep_unread(graph, state)
        trainable = _trainable(model, kinds, graph)
        places = _places(model, state)
    title = model.title()
    description = {
        "format": "glassgrad model",
        "version": VERSION,
        "title": title,
        "trainable": trainable,
        "modules": [
            {"path": p.path, "title": p.title, "parameters": list(p.parameters)} for p in places
        ],
        "parameters": list(state),
        "graph": print_graph(graph).split("\n"),
    }
    return pack(
        {
            "graph.json": write_json(description),
            "weights.safetensors": write_tensors({n: p.numpy() for n, p in state.items()}),
            "labels.json": write_json(Labels.of(given).plain()),
        }
    )


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
        kinds = [Type((_ROWS, *t.shape[1:]), t.dtype) for t in known]
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
    if isinstance(x, tuple) and all(isinstance(s, int) for s in x):
        return Type((_ROWS, *x), dtype)
    example = x.numpy() if isinstance(x, Tensor) else np.asarray(x)
    if example.ndim < 1 or example.dtype.kind not in "iuf":
        raise _no_example(("x",), x)
    kind = dtype if example.dtype.kind == "f" else example.dtype.name
    return Type((_ROWS, *example.shape[1:]), kind)


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


def _trainable(model: Module, kinds: dict[str, Type], graph: Graph) -> bool:
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


# ------------------------------------------------------------------------------------------- load


def load(path: str | os.PathLike[str]) -> GraphModule:
    """Read a network from a `.glass` file: a module that predicts, with no class behind it.

    The file is taken to be hostile: nothing in it is run, and every size it declares is compared
    with the bytes there are. Raises FormatError, naming the file, for anything that `save` would
    not have written.
    """
    file = Path(path)
    try:
        return from_bytes(_read(file))
    except FormatError as error:
        error.where = _inside(file, error.where)
        raise


def _inside(file: Path, where: str) -> str:
    name = shown(str(file), 200)[1:-1]
    return f"{name}, {where}" if where and name not in where else name


def _read(file: Path) -> bytes:
    kind = _REFUSED.get(file.suffix.lower())
    try:
        # Asked before opening: opening a pipe would wait for a writer.
        if not stat.S_ISREG(file.stat().st_mode):
            hint = "give the model.glass in it" if file.is_dir() else ""
            raise FormatError("not a regular file", expected="a .glass file", hint=hint)
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            start = stream.read(64)
            kind = _foreign(start) or kind
            if kind is not None:
                raise _refusal(kind, file)
            if size > MOST_BYTES:
                raise FormatError(
                    "the file is too large",
                    expected=f"at most {MOST_BYTES:,} bytes",
                    received=f"{size:,}",
                )
            return start + stream.read(size - len(start))
    except OSError as error:
        raise FormatError(
            "the model file cannot be read",
            expected="a .glass file",
            received=error.strerror or str(error),
        ) from error
    except ValueError as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError("not a file's name", received=str(error)) from error


def _foreign(start: bytes) -> str | None:
    """The format that some first bytes belong to, if it is one we know and do not read."""
    if start[:1] == b"\x80" and start[1:2] and start[1] <= 5:
        return "pickle"
    if start[:8] == b"\x89HDF\r\n\x1a\n":
        return "HDF5"
    if start[:6] == b"\x93NUMPY":
        return "NumPy"
    if start[:4] == b"PK\3\4" and not start[30:].startswith(b"graph.json"):
        name = start[30:].split(b"\0", 1)[0]
        if b"/data.pkl" in name or b"/.format_version" in name or b"/.data/" in name:
            return "PyTorch"
        if name.partition(b".npy")[1]:
            return "NumPy"
        if name.startswith((b"metadata.json", b"config.json")):
            return "Keras"
    if start[8:10] == b'{"' and int.from_bytes(start[:8], "little") < 2**32:
        return "safetensors"
    return None


def _refusal(kind: str, file: Path) -> FormatError:
    hints = {
        "safetensors": "it holds numbers without a network: build the network, then "
        'model.load_state_dict(safetensors.numpy.load_file("..."))',
        "NumPy": "it holds numbers without a network: build the network, then "
        "model.load_state_dict(dict(numpy.load(...)))",
        "ONNX": "reading ONNX is not part of this version",
    }
    run = "it can run code when it is opened, so it is not"
    return FormatError(
        f"refused: this is a {kind} file" + (f"; {run}" if kind in _RUNS_CODE else ""),
        expected="a .glass file, written by gg.save or glassgrad train",
        received=shown(file.name),
        hint=hints.get(
            kind,
            "in the program that made it, write the numbers as safetensors or the network as ONNX",
        ),
    )


def from_bytes(data: bytes) -> GraphModule:
    """The network in the bytes of a `.glass` file. Raises FormatError for anything else."""
    members = unpack(data, MEMBERS)
    description = read_json(bytes(members["graph.json"]), "graph.json", _MOST_GRAPH)
    labels = _guarded("labels.json", lambda: _labels(bytes(members["labels.json"])))
    fields = {
        "format": str, "version": int, "title": str, "trainable": bool, "modules": list,
        "parameters": list, "graph": list,
    }  # fmt: skip
    if not isinstance(description, dict) or list(description) != list(fields):
        raise FormatError(
            "the description has other parts",
            where="graph.json",
            expected=", ".join(fields),
            received=shown(list(description) if isinstance(description, dict) else description),
        )
    if description["format"] != "glassgrad model" or description["version"] is not VERSION:
        raise FormatError(
            "another format or version",
            where="graph.json",
            expected=f"glassgrad model, version {VERSION}",
            received=f"{shown(description['format'])}, version {shown(description['version'])}",
            hint="a newer glassgrad may read it",
        )
    for name, kind in fields.items():
        if type(description[name]) is not kind:
            raise FormatError(
                f"{name} is not a {kind.__name__}",
                where="graph.json",
                received=shown(description[name]),
            )
    order = _texts(description["parameters"], "parameters")
    lines = _texts(description["graph"], "graph")
    if any("\n" in line for line in lines):
        raise FormatError(
            "a line of the graph holds another", where="graph.json", expected="a line for each node"
        )
    places = [_place(entry) for entry in description["modules"]]
    graph = _guarded("graph.json", lambda: _graph("\n".join(lines)))
    arrays = read_tensors(members["weights.safetensors"], "weights.safetensors")
    state = _guarded("weights.safetensors", lambda: _state(graph, arrays, order))
    unknown = [n for p in places for n in p.parameters if n not in state]
    if unknown:
        raise FormatError(
            "a module holds a parameter that is not there",
            where="graph.json",
            received=shown(unknown[0]),
        )
    model: GraphModule = _guarded(
        "graph.json",
        lambda: GraphModule(
            graph, state, places, description["title"], labels, description["trainable"]
        ),
    )
    return model


def _guarded(where: str, read: Callable[[], Any]) -> Any:
    """What a reader gives; any complaint of the code it calls is the file's fault."""
    try:
        return read()
    except FormatError as error:
        error.where = f"{where}, {error.where}" if error.where else where
        raise
    except GlassgradError as error:
        raise FormatError(
            f"this is not what a model holds: {error.what}",
            where=f"{where}, {error.where}" if error.where else where,
            expected=error.expected,
            received=error.received,
        ) from None
    except (
        ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError,
        RecursionError, AssertionError, MemoryError,
    ) as error:  # fmt: skip
        raise FormatError(
            "this is not what a model holds",
            where=where,
            received=f"{type(error).__name__}: {shown(str(error))}",
        ) from None


def _labels(data: bytes) -> Labels:
    plain = read_json(data, "labels.json")
    labels = Labels.from_plain(plain)
    if write_json(labels.plain()) != data:
        raise FormatError("the labels are not as we write them", received=shown(plain))
    return labels


def _texts(value: list[Any], name: str) -> list[str]:
    if not all(isinstance(v, str) for v in value):
        raise FormatError(f"{name} is not made of texts", where="graph.json", received=shown(value))
    return value


def _place(entry: Any) -> Place:
    if not isinstance(entry, dict) or list(entry) != ["path", "title", "parameters"]:
        raise FormatError(
            "a module is described otherwise", where="graph.json", received=shown(entry)
        )
    path, title, parameters = entry.values()
    if not (isinstance(path, str) and isinstance(title, str) and isinstance(parameters, list)):
        raise FormatError(
            "a module is described otherwise", where="graph.json", received=shown(entry)
        )
    if not _named(path):
        raise FormatError("this is no module's path", where="graph.json", received=shown(path))
    return Place(path, title, tuple(_texts(parameters, "parameters")))


def _named(path: str) -> bool:
    """Whether a path is made of names that modules and parameters can have."""
    parts = path.split(".")
    return len(parts) <= 50 and all(p.isidentifier() and len(p) <= LONGEST_NAME + 9 for p in parts)


def _graph(text: str) -> Graph:
    if text.count("\n") > _MOST_NODES:
        raise FormatError("the graph is too long", expected=f"at most {_MOST_NODES:,} lines")
    graph = parse_graph(text, find, Spelled)
    if print_graph(graph) != text:
        raise FormatError(
            "the graph is not written as we write it",
            expected="one form only, character by character",
        )
    outputs = [name.removeprefix("prediction_") for name in graph.outputs]
    several = "prediction" not in graph.outputs and all(
        _OUTPUT.fullmatch(name) for name in graph.outputs
    )
    if graph.state or graph.guard or not (outputs == ["prediction"] or (outputs and several)):
        raise FormatError(
            "a model gives predictions and changes nothing",
            expected="prediction, or several such as prediction_a",
            received=shown([*graph.outputs, *graph.state, *graph.guard]),
        )
    roles = {name: v.node.attributes["role"] for name, v in graph.inputs.items()}
    data = [name for name, role in roles.items() if role not in ("parameter", "buffer")]
    if not data or any(roles[name] != "data" or not _is_name(name) for name in data):
        raise FormatError(
            "a model has inputs of data beside its parameters",
            expected="x, or several by name",
            received=shown({name: roles[name] for name in data}),
        )
    for name in data:
        if not _fits(graph.inputs[name].type):
            raise FormatError(
                f"{name} is not rows",
                expected="any number of rows (n) of a fixed shape",
                received=repr(graph.inputs[name].type),
            )
    _check_nodes(graph)
    return graph


def _is_name(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name) and len(name) <= LONGEST_NAME


def _fits(kind: Type) -> bool:
    rows, *rest = kind.shape or (0,)
    return rows == _ROWS and all(isinstance(s, int) and s >= 1 for s in rest)


def _check_nodes(graph: Graph) -> None:
    """Settings in their one form, sizes that can be meant, an order that can be computed."""
    tracer = Tracer()
    for node in graph.nodes():
        for value in node.values:
            _check_size(value)
        if node.op is INPUT:
            continue
        operands = tuple([Symbol(v, tracer) for v in node.inputs])
        normal = node.op.normal(operands, node.attributes)
        for name, attribute in node.attributes.items():
            if attribute_key(normal[name]) != attribute_key(attribute):
                raise FormatError(
                    "a setting is not in its one form",
                    where=f"{node.op.name}, {name}",
                    expected=shown(normal[name]),
                    received=shown(attribute),
                )
            if isinstance(attribute, Graph):
                _check_nodes(attribute)
        if any(v.node.origin.seq >= node.origin.seq for v in node.inputs if v.node.op is not INPUT):
            raise FormatError(
                "a node stands before one it uses",
                where=node.op.name,
                expected="numbers that rise from each node to those that use it",
            )
        if node.origin.phase != "forward":
            raise FormatError("a model is only a forward pass", received=node.origin.phase)


def _check_size(value: Value) -> None:
    shape = value.type.shape
    sizes = [s if isinstance(s, int) else sum(abs(c) for _, c in s.terms) for s in shape]
    named = {name for s in shape if isinstance(s, Dim) for name in s.names}
    degree = max((len(p) for s in shape if isinstance(s, Dim) for p, _ in s.terms), default=0)
    if len(shape) > 32 or prod(sizes) > _MOST_ROW or not named <= {"n"} or degree > 4:
        raise FormatError(
            "a value of the graph is too large to be meant",
            where=value.node.op.name,
            expected=f"at most {_MOST_ROW:,} numbers for one row",
            received=shown(repr(value.type), 120),
        )


def _state(graph: Graph, arrays: dict[str, AnyArray], order: list[str]) -> dict[str, Parameter]:
    wanted = {n: v for n, v in graph.inputs.items() if v.node.attributes["role"] != "data"}
    wrong = []
    for name in sorted({*wanted, *arrays}):
        if name not in wanted or name not in arrays:
            wrong.append(
                f"{shown(name)} {'is missing' if name in wanted else 'is not in the graph'}"
            )
            continue
        stored = Type(arrays[name].shape, arrays[name].dtype.name)
        if stored != wanted[name].type:
            wrong.append(f"{shown(name)} is {stored}, not {wanted[name].type}")
    if wrong:
        raise FormatError(
            "weights and graph do not agree",
            expected=f"the graph's {len(wanted)} parameters",
            received="; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" * (len(wrong) > 5)),
        )
    if sorted(order) != sorted(wanted):
        raise FormatError(
            "the list of parameters differs from the graph's",
            expected=shown(sorted(wanted)),
            received=shown(sorted(order)),
        )
    bad = next((name for name in order if not _named(name)), None)
    if bad is not None:
        raise FormatError(
            "a parameter cannot have this name",
            expected="Python identifiers joined by points",
            received=shown(bad),
        )
    found: dict[str, Parameter] = {}
    for name in order:
        kind, array = wanted[name].type, arrays[name]
        if wanted[name].node.attributes["role"] == "buffer":
            found[name] = Buffer(array, kind, name)
        else:
            found[name] = Parameter(array, kind, array.dtype.kind == "f", name)
    return found
