"""Hostile `.glass` files: refused with a FormatError that names the file, or equal to the original."""

from __future__ import annotations

import json
import pickle
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.data.preparation import Categorical, Numeric, TablePreparation, Target
from glassgrad.errors import FormatError
from glassgrad.files.archive import pack, unpack
from glassgrad.files.model import MEMBERS, from_bytes, to_bytes
from glassgrad.files.strict_json import write_json
from glassgrad.files.weights import read_tensors, write_tensors

MODEL = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Dropout(0.1), nn.Linear(3, 2))
GOOD = to_bytes(MODEL, x=(2,), labels={"classes": ["no", "yes"], "task": "classification"})
PARTS = {name: bytes(part) for name, part in unpack(GOOD, MEMBERS).items()}
TABLE = TablePreparation((Numeric("age"), Categorical("town", ("Bonn", "Ulm"))), Target("price"))
Change = Callable[[], bytes]


def with_part(name: str, data: bytes) -> bytes:
    return pack({**PARTS, name: data})


def description(**changes: Any) -> bytes:
    return with_part("graph.json", write_json({**json.loads(PARTS["graph.json"]), **changes}))


def graph(old: str, new: str) -> bytes:
    lines = "\n".join(json.loads(PARTS["graph.json"])["graph"])
    assert old in lines
    return description(graph=lines.replace(old, new).split("\n"))


def raw_graph(old: bytes, new: bytes) -> bytes:
    assert old in PARTS["graph.json"]
    return with_part("graph.json", PARTS["graph.json"].replace(old, new, 1))


def tensors(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return with_part("weights.safetensors", struct.pack("<Q", len(text)) + text + body)


def arrays(**changes: Any) -> bytes:
    found = dict(read_tensors(PARTS["weights.safetensors"], "weights"))
    for name, value in changes.items():
        found[name.replace("__", ".")] = value
    return with_part(
        "weights.safetensors", write_tensors({k: v for k, v in found.items() if v is not None})
    )


def by_zipfile(
    compress: int = zipfile.ZIP_STORED, extra: dict[str, bytes] | None = None, comment: bytes = b""
) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", compress) as archive:
        for name, part in [*PARTS.items(), *(extra or {}).items()]:
            archive.writestr(name, part)
        archive.comment = comment
    return out.getvalue()


def twice() -> bytes:
    """Two members of one name: the second's name, of the same length, replaced afterwards."""
    return pack({"graph.json": PARTS["graph.json"], "graph.jsoo": b"{}"}).replace(
        b"graph.jsoo", b"graph.json"
    )


def patched(offset_from_end: int, value: bytes) -> bytes:
    changed = bytearray(GOOD)
    at = len(changed) - offset_from_end
    changed[at : at + len(value)] = value
    return bytes(changed)


ARCHIVES: dict[str, Change] = {
    "empty": lambda: b"",
    "text": lambda: b"this is not a model",
    "half": lambda: GOOD[: len(GOOD) // 2],
    "last byte missing": lambda: GOOD[:-1],
    "byte before": lambda: b"\0" + GOOD,
    "byte after": lambda: GOOD + b"\0",
    "page of bytes after": lambda: GOOD + GOOD,
    "comment": lambda: by_zipfile(comment=b"hello"),
    "dates, as other programs write them": by_zipfile,
    "compressed": lambda: by_zipfile(zipfile.ZIP_DEFLATED),
    "compressed otherwise": lambda: by_zipfile(zipfile.ZIP_BZIP2),
    "a member too many": lambda: pack({**PARTS, "evil.py": b"import os"}),
    "a parent folder": lambda: pack({**PARTS, "../graph.json": b"{}"}),
    "an absolute path": lambda: pack({**PARTS, "/etc/passwd": b"root"}),
    "a member missing": lambda: pack({n: PARTS[n] for n in MEMBERS[:2]}),
    "another order": lambda: pack({n: PARTS[n] for n in reversed(MEMBERS)}),
    "a member twice": twice,
    "no member": lambda: pack({}),
    "an empty zip": lambda: b"PK\5\6" + b"\0" * 18,
    "count lies": lambda: patched(14, b"\2\0\2\0"),
    "directory size lies": lambda: patched(10, b"\xff\xff\xff\xff"),
    "directory offset lies": lambda: patched(6, b"\0\0\0\0"),
    "encrypted flag": lambda: GOOD.replace(b"PK\3\4\x14\0\0\0", b"PK\3\4\x14\0\1\0", 1),
    "encrypted in the directory": lambda: GOOD.replace(b"PK\1\2\x14\0\x14\0\0\0", b"PK\1\2\x14\0\x14\0\1\0", 1),
    "stored size lies": lambda: GOOD.replace(
        struct.pack("<L", len(PARTS["labels.json"])) * 2, struct.pack("<2L", 2**31, 2**31), 2
    ),
    "weights damaged": lambda: GOOD.replace(
        PARTS["weights.safetensors"][-4:], bytes(b ^ 1 for b in PARTS["weights.safetensors"][-4:]), 1
    ),
}  # fmt: skip
DESCRIPTIONS: dict[str, Change] = {
    "not JSON": lambda: with_part("graph.json", b"{"),
    "a list": lambda: with_part("graph.json", b"[]"),
    "null": lambda: with_part("graph.json", b"null"),
    "no bytes": lambda: with_part("graph.json", b""),
    "not UTF-8": lambda: with_part("graph.json", b'{"format": "\xff"}'),
    "a byte order mark": lambda: with_part("graph.json", b"\xef\xbb\xbf" + PARTS["graph.json"]),
    "half a character": lambda: description(title="\ud800"),
    "deep nesting": lambda: with_part("graph.json", b"[" * 200_000 + b"]" * 200_000),
    "a key twice": lambda: raw_graph(b'"version": 0', b'"version": 0,\n "version": 0'),
    "NaN": lambda: raw_graph(b'"version": 0', b'"version": NaN'),
    "infinity by overflow": lambda: raw_graph(b'"version": 0', b'"version": 1e999'),
    "5,000 digits": lambda: raw_graph(b'"version": 0', b'"version": ' + b"9" * 5000),
    "a newer version": lambda: description(version=1),
    "version true": lambda: description(version=False),
    "version a float": lambda: description(version=0.0),
    "another format": lambda: description(format="pickle"),
    "a key too many": lambda: description(code="import os"),
    "written otherwise": lambda: with_part(
        "graph.json", json.dumps(json.loads(PARTS["graph.json"])).encode()
    ),
    "modules not a list": lambda: description(modules={}),
    "a module a text": lambda: description(modules=["linear1"]),
    "a module twice": lambda: description(modules=json.loads(PARTS["graph.json"])["modules"] * 2),
    "a hole in the tree": lambda: description(
        modules=[{"path": "a.b", "title": "", "parameters": []}]
    ),
    "a path without a name": lambda: description(
        modules=[{"path": "", "title": "", "parameters": []}]
    ),
    "a deep path": lambda: description(
        modules=[{"path": ".".join("a" * 300), "title": "", "parameters": []}]
    ),
    "a module's parameter unknown": lambda: description(
        modules=[{"path": "a", "title": "", "parameters": ["b"]}]
    ),
    "parameters left out": lambda: description(parameters=["linear1.weight"]),
    "parameters numbers": lambda: description(parameters=[1, 2, 3, 4]),
    "a parameter twice": lambda: description(
        parameters=["linear1.weight"] * 4
    ),
    "trainable a number": lambda: description(trainable=1),
    "labels a list": lambda: with_part("labels.json", b"[]"),
    "labels unknown": lambda: with_part("labels.json", write_json({"colour": "red"})),
    "classes numbers": lambda: with_part("labels.json", write_json({"classes": [1]})),
    "classes a text": lambda: with_part("labels.json", write_json({"classes": "ab"})),
    "an unknown task": lambda: with_part("labels.json", write_json({"task": "rm"})),
    "a preparation by zero": lambda: with_part(
        "labels.json", write_json({"preparation": {"shift": [0.0], "scale": [0.0]}})
    ),
    "a preparation of texts": lambda: with_part(
        "labels.json", write_json({"preparation": {"shift": ["0"], "scale": [1.0]}})
    ),
}  # fmt: skip
GRAPHS: dict[str, Change] = {
    "no graph": lambda: description(graph=[]),
    "graph of numbers": lambda: description(graph=[1]),
    "a line in a line": lambda: description(graph=["graph\nend"]),
    "an unknown op": lambda: graph("= relu(", "= system("),
    "a value not there": lambda: graph("relu(%5)", "relu(%99)"),
    "a cycle": lambda: graph("relu(%5)", "relu(%6)"),
    "one operand too many": lambda: graph("relu(%5)", "relu(%5, %5)"),
    "a setting that is code": lambda: graph("relu(%5) {}", 'relu(%5) {x="__import__(1)"}'),
    "spaces more": lambda: graph("relu(%5) {}", "relu(%5)  {}"),
    "another phase": lambda: graph("forward 5", "backward 5"),
    "a number in another order": lambda: graph("forward 5", "forward 1"),
    "no output": lambda: graph('output "prediction" %7\n', ""),
    "another output": lambda: graph('output "prediction"', 'output "loss"'),
    "a second output": lambda: graph(
        'output "prediction" %7', 'output "prediction" %7\noutput "b" %7'
    ),
    "state": lambda: graph("\nend", '\nstate "linear1.weight" "prediction"\nend'),
    "a guard": lambda: graph("\nend", '\nguard "prediction"\nend'),
    "after the end": lambda: graph("\nend", "\nend\nend"),
    "x of another shape": lambda: graph("float32[n, 2]", "float32[n, 3]"),
    "a fixed number of rows": lambda: graph("float32[n, 2]", "float32[5, 2]"),
    "another named size": lambda: graph("float32[n, 2]", "float32[m, 2]"),
    "a huge size": lambda: graph("float32[n, 2]", "float32[n, 99999999999999]"),
    "x a parameter": lambda: graph('role="data"', 'role="parameter"'),
    "a host number": lambda: graph('role="data"', 'role="host"'),
    "an unknown role": lambda: graph('role="data"', 'role="root"'),
    "an input twice": lambda: graph('name="linear1.bias"', 'name="linear1.weight"'),
    "an unknown dtype": lambda: graph("float32[n, 2]", "complex64[n, 2]"),
    "many brackets": lambda: graph("relu(%5) {}", "relu(%5) {x=" + "(" * 5000 + "}"),
}  # fmt: skip


def renamed(new: str) -> bytes:
    """A consistent file in which a parameter has another name."""
    parts = {n: p.replace(b"linear1.bias", new.encode()) for n, p in PARTS.items()}
    found = dict(read_tensors(PARTS["weights.safetensors"], "weights"))
    named = {new if k == "linear1.bias" else k: v for k, v in found.items()}
    return pack({**parts, "weights.safetensors": write_tensors(named)})


NAMES: dict[str, Change] = {
    "code": lambda: renamed("x]; import os"),
    "empty": lambda: renamed(""),
    "a point too many": lambda: renamed("linear1..bias"),
    "a parent folder": lambda: renamed("../../etc/passwd"),
    "too long": lambda: renamed("a" * 500),
    "markup": lambda: renamed("<img src=x onerror=alert>"),
}
WEIGHTS: dict[str, Change] = {
    "no header": lambda: with_part("weights.safetensors", b""),
    "7 bytes": lambda: with_part("weights.safetensors", b"\0" * 7),
    "length 2^64 - 1": lambda: with_part("weights.safetensors", b"\xff" * 8 + b"{}"),
    "length 0": lambda: with_part("weights.safetensors", b"\0" * 8),
    "a list": lambda: tensors(b"[]"),
    "no tensor": lambda: tensors({}),
    "a parameter missing": lambda: arrays(linear1__bias=None),
    "a parameter too many": lambda: arrays(extra=np.zeros(1, np.float32)),
    "another shape": lambda: arrays(linear1__bias=np.zeros(4, np.float32)),
    "another dtype": lambda: arrays(linear1__bias=np.zeros(3, np.float64)),
    "transposed": lambda: arrays(linear1__weight=np.zeros((3, 2), np.float32)),
}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(change, id=f"{kind}: {name}")
        for kind, cases in (
            ("archive", ARCHIVES), ("description", DESCRIPTIONS), ("graph", GRAPHS), ("weights", WEIGHTS), ("names", NAMES),
        )
        for name, change in cases.items()
    ],
)  # fmt: skip
def test_a_hostile_file_is_refused(change: Change, tmp_path: Path) -> None:
    path = tmp_path / "hostile.glass"
    data = change()
    assert data != GOOD
    path.write_bytes(data)
    began = time.perf_counter()
    with pytest.raises(FormatError) as caught:
        gg.load(path)
    assert time.perf_counter() - began < 2
    assert str(path) in caught.value.where
    assert caught.value.expected or caught.value.received
    assert all(c.isprintable() or c == "\n" for c in str(caught.value))


def test_two_thousand_mutations_are_refused_or_equal() -> None:
    rng = np.random.default_rng(1)
    x = np.array([[1.0, 2.0], [-1.0, 0.5]], np.float32)
    wanted = gg.predict(MODEL, x).tobytes()
    refused = 0
    for number in range(2000):
        changed = bytearray(GOOD)
        kind = number % 5
        at = int(rng.integers(len(changed)))
        if kind == 0:
            changed[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del changed[at : at + int(rng.integers(1, 20))]
        elif kind == 2:
            changed[at:at] = rng.integers(0, 256, int(rng.integers(1, 20)), np.uint8).tobytes()
        elif kind == 3:
            other = int(rng.integers(len(changed)))
            changed[at], changed[other] = changed[other], changed[at]
        else:
            # Consistent in itself: a member changed and packed anew, checksums right.
            name = MEMBERS[int(rng.integers(3))]
            part = bytearray(PARTS[name])
            spot = int(rng.integers(len(part)))
            part[spot] = int(rng.integers(256))
            changed = bytearray(with_part(name, bytes(part)))
        try:
            model = from_bytes(bytes(changed))
        except FormatError:
            refused += 1
            continue
        if bytes(changed) == GOOD:
            continue
        assert kind == 4  # only whole, consistent files may be read: names or numbers differ
        assert to_bytes(model) == bytes(changed)
        assert gg.predict(model, x).shape == (2, 2)
    assert gg.predict(from_bytes(GOOD), x).tobytes() == wanted
    assert refused > 1500


def test_a_renamed_parameter_is_only_another_name() -> None:
    """The change by which the names above are made gives a file that loads where the name is one."""
    assert "linear1.shift" in from_bytes(renamed("linear1.shift")).state_dict()


def test_declared_sizes_are_not_believed(tmp_path: Path) -> None:
    """A file that claims gigabytes costs no more than a few times its own size."""
    path = tmp_path / "big.glass"
    path.write_bytes(tensors({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}))
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            gg.load(path)
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("m.pkl", pickle.dumps([1]), "pickle"),
        ("m.glass", pickle.dumps([1]), "pickle"),
        ("m.pt", b"", "PyTorch"),
        ("m.pth", b"PK\3\4" + b"\0" * 26 + b"archive/data.pkl", "PyTorch"),
        ("m.glass", b"PK\3\4" + b"\0" * 26 + b"archive/data.pkl", "PyTorch"),
        ("m.h5", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("m.glass", b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "HDF5"),
        ("m.joblib", b"", "joblib"),
        ("m.npy", b"\x93NUMPY\1\0", "NumPy"),
        ("m.glass", b"\x93NUMPY\1\0" + b" " * 100, "NumPy"),
        ("m.keras", b"PK\3\4" + b"\0" * 26 + b"metadata.json", "Keras"),
        ("m.glass", write_tensors({"a": np.zeros(1, np.float32)}), "safetensors"),
        ("m.safetensors", write_tensors({"a": np.zeros(1, np.float32)}), "safetensors"),
        ("m.onnx", b"\x08\x07", "ONNX"),
        ("m.pkl", GOOD, "pickle"),
    ],
)  # fmt: skip
def test_other_formats_are_refused_with_what_to_do(
    name: str, data: bytes, said: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(FormatError, match="refused") as caught:
        gg.load(path)
    error = caught.value
    assert said in error.what
    assert error.where == str(path)
    assert error.expected
    assert error.received
    assert error.hint


def test_a_newer_pickle_is_never_opened(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "touched",))

    for name in ("a.glass", "a.pkl", "a.pt"):
        (tmp_path / name).write_bytes(pickle.dumps(Evil()))
        with pytest.raises(FormatError):
            gg.load(tmp_path / name)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"numeric"', b'"numbers"'), (b'"median": 0.0', b'"median": 0'),
        (b'"median": 0.0', b'"median": 1e999'), (b'"median": 0.0', b'"median": 0.00'),
        (b'"deviation": 1.0', b'"deviation": -1.0'), (b'"town"', b'"age"'),
        (b'"Ulm"', b'"Bonn"'), (b'"indicator": false', b'"indicator": 0'),
        (b'"rare": []', b'"rare": ["Ulm"]'), (b'"rare": []', b'"rare": {}'),
        (b'"price"', b'"age"'), (b'"price"', b'""'), (b'"target"', b'"targets"'),
        (b'"Ulm"', b'"' + b"x" * 1001 + b'"'), (b'"mean": 0.0,', b''),
    ],
)  # fmt: skip
def test_a_preparation_of_tables_is_read_strictly(old: bytes, new: bytes) -> None:
    labels = write_json({"preparation": TABLE.plain()})
    assert from_bytes(with_part("labels.json", labels)).labels.preparation == TABLE
    assert old in labels
    with pytest.raises(FormatError, match=r"labels\.json"):
        from_bytes(with_part("labels.json", labels.replace(old, new, 1)))
