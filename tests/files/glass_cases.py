"""Hostile `.glass` files made by hand: every one of them is refused with a FormatError.

`cases()` gives them all by name. Those that change a member are sealed anew, so that archive and
manifest are in order and the member's own reader has to refuse.
"""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import lru_cache, partial
from io import BytesIO
from typing import Any

import numpy as np

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.data.preparation import Categorical, Numeric, TablePreparation, Target
from glassgrad.files.archive import pack, unpack
from glassgrad.files.manifest import MANIFEST, MEMBERS, manifest, sealed
from glassgrad.files.model import to_bytes
from glassgrad.files.strict_json import write_json
from glassgrad.files.weights import read_tensors, write_tensors
from glassgrad.ops import OPSET

Change = Callable[[], bytes]


def _fitted() -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Dropout(0.1), nn.Linear(3, 2))
    x, y = np.array([[0, 1], [1, 0], [1, 1]], np.float32), np.array([0, 1, 1])
    gg.fit(
        model, x, y, loss="cross_entropy", optimizer=optim.Adam(optim.Step(0.1, every=2)), epochs=2,
        backend="numpy", verbose=False,
    )  # fmt: skip
    return model


MODEL = _fitted()
TABLE = TablePreparation((Numeric("age"), Categorical("town", ("Bonn",))), Target("price"))
GOOD = to_bytes(MODEL, labels={"classes": ["no", "yes"], "task": "classification"})
PARTS = {name: bytes(found) for name, found in unpack(GOOD).items() if name != MANIFEST}
WITH_TABLE = to_bytes(MODEL, labels={"classes": ["no", "yes"], "preparation": TABLE.plain()})
TABLE_PARTS = {name: bytes(found) for name, found in unpack(WITH_TABLE).items() if name != MANIFEST}


def part(name: str, data: bytes) -> bytes:
    """The good file with another member in the place of its own, all sums right."""
    return sealed({**PARTS, name: data})


def swapped(name: str, old: bytes, new: bytes, parts: dict[str, bytes] = PARTS) -> bytes:
    """The good file with one place of a member changed, all sums right."""
    assert old in parts[name], (name, old)
    return sealed({**parts, name: parts[name].replace(old, new, 1)})


def json_part(name: str, **changes: Any) -> bytes:
    """The good file with some keys of a member of JSON changed."""
    return part(name, write_json({**json.loads(PARTS[name]), **changes}))


def description(**changes: Any) -> bytes:
    """The good file with another graph.json."""
    return json_part("graph.json", **changes)


def run(**changes: Any) -> bytes:
    """The good file with another account of its training."""
    training = json.loads(PARTS["training.json"])
    return json_part("training.json", run={**training["run"], **changes})


def settings(**changes: Any) -> bytes:
    """The good file with other settings of its training."""
    training = json.loads(PARTS["training.json"])
    return run(settings={**training["run"]["settings"], **changes})


def signature(which: str, **changes: Any) -> bytes:
    """The good file with another first input or output in its signature."""
    found = json.loads(PARTS["signature.json"])[which]
    return json_part("signature.json", **{which: [{**found[0], **changes}, *found[1:]]})


def graph(old: str, new: str) -> bytes:
    """The good file with one place of its graph changed."""
    lines = "\n".join(json.loads(PARTS["graph.json"])["graph"])
    assert old in lines, old
    return description(graph=lines.replace(old, new).split("\n"))


def raw_graph(old: bytes, new: bytes) -> bytes:
    """The good file with one place of the bytes of graph.json changed."""
    return swapped("graph.json", old, new)


def tensors(header: Any, body: bytes = b"", name: str = "weights.safetensors") -> bytes:
    """The good file with these numbers in the place of its own."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return part(name, struct.pack("<Q", len(text)) + text + body)


def arrays(name: str = "weights.safetensors", **changes: Any) -> bytes:
    """The good file with some arrays of a member changed or, where None, left out."""
    found = dict(read_tensors(PARTS[name], name))
    found.update({k.replace("__", "."): v for k, v in changes.items()})
    return part(name, write_tensors({k: v for k, v in found.items() if v is not None}))


def renamed(new: str) -> bytes:
    """A consistent file in which a parameter has another name."""
    name = "weights.safetensors"
    parts = {n: p.replace(b"linear1.bias", new.encode()) for n, p in PARTS.items()}
    found = dict(read_tensors(PARTS[name], name))
    numbers = {new if k == "linear1.bias" else k: v for k, v in found.items()}
    return sealed({**parts, name: write_tensors(numbers)})


def by_zipfile(
    compress: int = zipfile.ZIP_STORED,
    comment: bytes = b"",
    change: Callable[[zipfile.ZipInfo], None] = lambda _: None,
) -> bytes:
    """The good members in a zip as Python's own module writes it."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in unpack(GOOD).items():
            about = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            about.compress_type = compress
            about.create_system = about.external_attr = 0
            change(about)
            archive.writestr(about, bytes(data))
        archive.comment = comment
    return out.getvalue()


def _linked(about: zipfile.ZipInfo) -> None:
    if about.filename == "graph.json":
        about.create_system, about.external_attr = 3, 0o120777 << 16


def _extra(about: zipfile.ZipInfo) -> None:
    about.extra = struct.pack("<HH", 0x7075, 0)


def _big(about: zipfile.ZipInfo) -> None:
    about.extra = struct.pack("<HHQQ", 1, 16, 2**40, 2**40)  # sizes of the 64-bit extension


def streamed() -> bytes:
    """Sizes not in front of the members but behind them, as a zip that is piped has them."""

    class Pipe(BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    out = Pipe()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in unpack(GOOD).items():
            archive.writestr(zipfile.ZipInfo(name), bytes(data))
    return out.getvalue()


def without(name: str) -> bytes:
    """All members but one."""
    return pack({n: bytes(data) for n, data in unpack(GOOD).items() if n != name})


def twice(name: str) -> bytes:
    """Two members of one name."""
    both = {}
    for n, data in unpack(GOOD).items():
        both[n] = bytes(data)
        if n == name:
            both[n[:-1] + "#"] = bytes(data)
    return pack(both).replace((name[:-1] + "#").encode(), name.encode())


def at_end(offset: int, value: bytes) -> bytes:
    """The good file with other bytes so far from its end."""
    changed = bytearray(GOOD)
    at = len(changed) - offset
    changed[at : at + len(value)] = value
    return bytes(changed)


def header(where: int, value: bytes, *, central: bool | None = None) -> bytes:
    """The good file with other bytes in the headers of graph.json, `where` as in the local one.

    In the local one, in the directory's, or, by default, in both.
    """
    changed = bytearray(GOOD)
    local = GOOD.index(b"graph.json", GOOD.index(b"PK\3\4", 4)) - 30
    entry = GOOD.rindex(b"graph.json") - 46
    for at in ([local] if not central else []) + ([entry + 2] if central is not False else []):
        changed[at + where : at + where + len(value)] = value
    return bytes(changed)


def unsealed(name: str, data: bytes) -> bytes:
    """Another member, the manifest as it was."""
    return pack({MANIFEST: bytes(unpack(GOOD)[MANIFEST]), **PARTS, name: data})


def manifested(change: Callable[[dict[str, Any]], Any]) -> bytes:
    """The good members under another manifest."""
    about = json.loads(manifest(PARTS))
    found = change(about)
    about = about if found is None else found
    data = about if isinstance(about, bytes) else write_json(about)
    return pack({MANIFEST: data, **PARTS})


def _with(**changes: Any) -> Change:
    return lambda: manifested(lambda m: m.update(changes))


def _member(name: str, **changes: Any) -> Change:
    return lambda: manifested(lambda m: m["members"][name].update(changes))


def _good(**members: bytes | None) -> dict[str, bytes]:
    return {MANIFEST: manifest(PARTS), **PARTS, **{k: v for k, v in members.items() if v}}


def _order(*names: str) -> bytes:
    every = _good()
    return pack({n: every[n] for n in names})


def _gap() -> bytes:
    """A byte between the first two members, the directory knowing of it."""
    at = GOOD.index(b"PK\3\4", 4)
    moved = bytearray(GOOD[:at] + b"\0" + GOOD[at:])
    end = len(moved) - 22
    start = int.from_bytes(moved[end + 16 : end + 20], "little") + 1
    moved[end + 16 : end + 20] = struct.pack("<L", start)
    entry = start
    for i in range(len(MEMBERS) + 1):
        name, offset = struct.unpack_from("<H", moved, entry + 28)[0], entry + 42
        if i:
            old = struct.unpack_from("<L", moved, offset)[0]
            struct.pack_into("<L", moved, offset, old + 1)
        entry += 46 + name
    return bytes(moved)


ARCHIVES: dict[str, Change] = {
    "empty": lambda: b"",
    "one byte": lambda: b"P",
    "text": lambda: b"this is not a model",
    "half": lambda: GOOD[: len(GOOD) // 2],
    "last byte missing": lambda: GOOD[:-1],
    "first byte missing": lambda: GOOD[1:],
    "byte before": lambda: b"\0" + GOOD,
    "a program before": lambda: b"#!/usr/bin/env python\n" + GOOD,
    "byte after": lambda: GOOD + b"\0",
    "itself after": lambda: GOOD + GOOD,
    "a byte between members": _gap,
    "a byte before the directory": lambda: GOOD.replace(b"PK\1\2", b"\0PK\1\2", 1),
    "comment": lambda: by_zipfile(comment=b"hello"),
    "length of a comment lies": lambda: at_end(2, b"\1\0"),
    "a comment that is there": lambda: at_end(2, b"\5\0") + b"hello",
    "as other programs write it": by_zipfile,
    "compressed": lambda: by_zipfile(zipfile.ZIP_DEFLATED),
    "compressed by bzip2": lambda: by_zipfile(zipfile.ZIP_BZIP2),
    "compressed by lzma": lambda: by_zipfile(zipfile.ZIP_LZMA),
    "a bomb": lambda: by_zipfile(zipfile.ZIP_DEFLATED).replace(b"\0\0", b"\0\xff", 1),
    "a link": lambda: by_zipfile(change=_linked),
    "extra fields": lambda: by_zipfile(change=_extra),
    "sizes of 64 bits that lie": lambda: by_zipfile(change=_big),
    "sizes behind the members": streamed,
    "a member too many": lambda: pack({**_good(), "evil.py": b"import os"}),
    "a parent folder": lambda: pack({**_good(), "../graph.json": b"{}"}),
    "an absolute path": lambda: pack({**_good(), "/etc/passwd": b"root"}),
    "a device's name": lambda: pack({**_good(), "NUL": b""}),
    "a folder": lambda: pack({**_good(), "graph/": b""}),
    "an empty name": lambda: pack({**_good(), "": b""}),
    "a zero byte in a name": lambda: GOOD.replace(b"history.csv", b"history\0csv"),
    "a name in other case": lambda: GOOD.replace(b"graph.json", b"Graph.json"),
    "a name that is not ASCII": lambda: GOOD.replace(b"graph.json", b"gr\xc3\xa4h.json"),
    "two names for one member": lambda: GOOD[: GOOD.rindex(b"graph.json")]
    + b"graph.jso_" + GOOD[GOOD.rindex(b"graph.json") + 10 :],
    "a newer file's member": lambda: pack({**_good(), "notes.json": b"{}"}),
    **{f"{name} missing": partial(without, name) for name in (MANIFEST, *MEMBERS)},
    **{f"{name} twice": partial(twice, name) for name in (MANIFEST, *MEMBERS)},
    "another order": lambda: _order(MANIFEST, *reversed(MEMBERS)),
    "the manifest last": lambda: _order(*MEMBERS, MANIFEST),
    "version 0": lambda: pack({n: PARTS[n] for n in ("graph.json", "weights.safetensors")}
                              | {"labels.json": b"{}"}),
    "no member": lambda: pack({}),
    "an empty zip": lambda: b"PK\5\6" + b"\0" * 18,
    "one member too few, they say": lambda: at_end(14, b"\7\0\7\0"),
    "one member too many, they say": lambda: at_end(14, b"\x09\0\x09\0"),
    "65,535 members, they say": lambda: at_end(14, b"\xff\xff\xff\xff"),
    "other disks": lambda: at_end(18, b"\1\0"),
    "directory size lies": lambda: at_end(10, b"\xff\xff\xff\xff"),
    "directory offset lies": lambda: at_end(6, b"\0\0\0\0"),
    "directory offset of 64 bits": lambda: at_end(6, b"\xff\xff\xff\xff"),
    "needs a newer reader": lambda: header(4, b"\x3f\0"),
    "encrypted": lambda: header(6, b"\1\0"),
    "encrypted in the member's header": lambda: header(6, b"\1\0", central=False),
    "encrypted in the directory": lambda: header(6, b"\1\0", central=True),
    "strongly encrypted": lambda: header(6, b"\x41\0"),
    "flag of sizes behind": lambda: header(6, b"\x08\0"),
    "flag of UTF-8": lambda: header(6, b"\0\x08"),
    "said to be compressed": lambda: header(8, b"\x08\0"),
    "said to be compressed in one place": lambda: header(8, b"\x08\0", central=True),
    "another time": lambda: header(10, b"\1\0"),
    "another date": lambda: header(12, b"\x22\0"),
    "another checksum": lambda: header(14, b"\1\2\3\4"),
    "another checksum in the directory": lambda: header(14, b"\1\2\3\4", central=True),
    "another stored size": lambda: header(18, b"\1\0\0\0"),
    "another size": lambda: header(22, b"\1\0\0\0"),
    "sizes of 4 GB": lambda: header(18, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
    "sizes of 4 GB in the directory": lambda: header(18, b"\xff" * 8, central=True),
    "another length of the name": lambda: header(26, b"\xff\xff"),
    "a longer name in the directory": lambda: header(26, b"\x0b\0", central=True),
    "weights damaged": lambda: GOOD.replace(
        PARTS["weights.safetensors"][-4:], bytes(b ^ 1 for b in PARTS["weights.safetensors"][-4:]), 1
    ),
    "weights damaged, with a checksum": lambda: unsealed(
        "weights.safetensors", PARTS["weights.safetensors"][:-1] + b"\0"
    ),
}  # fmt: skip
MANIFESTS: dict[str, Change] = {
    "no bytes": lambda: manifested(lambda m: b""),
    "not JSON": lambda: manifested(lambda m: b"{"),
    "a list": lambda: manifested(lambda m: [m]),
    "null": lambda: manifested(lambda m: b"null"),
    "deep": lambda: manifested(lambda m: b"[" * 20_000 + b"]" * 20_000),
    "large": lambda: manifested(lambda m: b" " * 2**17),
    "written otherwise": lambda: manifested(lambda m: json.dumps(m).encode()),
    "a line feed at the end": lambda: manifested(lambda m: write_json(m) + b"\n"),
    "a key twice": lambda: manifested(
        lambda m: write_json(m).replace(b'"version": 1', b'"version": 1,\n "version": 1')
    ),
    "another format": _with(format="pickle"),
    "format a number": _with(format=1),
    "a newer version": _with(version=2),
    "an older version": _with(version=0),
    "version true": _with(version=True),
    "version a float": _with(version=1.0),
    "version a text": _with(version="1"),
    "version NaN": lambda: manifested(
        lambda m: write_json(m).replace(b'"version": 1', b'"version": NaN')
    ),
    "version of 5,000 digits": lambda: manifested(
        lambda m: write_json(m).replace(b'"version": 1', b'"version": ' + b"9" * 5000)
    ),
    "a key too many": _with(code="import os"),
    "no members": _with(members={}),
    "members a list": _with(members=[]),
    "members null": _with(members=None),
    "members texts": _with(members=dict.fromkeys(MEMBERS, "")),
    "another order": lambda: manifested(lambda m: {k: m[k] for k in reversed(m)}),
    "members in another order": lambda: manifested(
        lambda m: {**m, "members": {n: m["members"][n] for n in reversed(m["members"])}}
    ),
    "a member too many": lambda: manifested(
        lambda m: m["members"].update({"a": {"bytes": 0, "sha256": "0" * 64}})
    ),
    "itself": lambda: manifested(lambda m: m["members"].update({MANIFEST: m["members"]["graph.json"]})),
    "a member missing": lambda: manifested(lambda m: m["members"].pop("history.csv") and None),
    "another size": _member("graph.json", bytes=1),
    "a huge size": _member("graph.json", bytes=2**62),
    "a negative size": _member("graph.json", bytes=-1),
    "a size that is a float": _member("graph.json", bytes=float(len(PARTS["graph.json"]))),
    "a size that is true": _member("preparation.json", bytes=True),
    "another hash": _member("weights.safetensors", sha256="0" * 64),
    "a hash in capitals": lambda: manifested(
        lambda m: m["members"]["graph.json"].update(
            sha256=m["members"]["graph.json"]["sha256"].upper()
        )
    ),
    "a hash cut short": _member("graph.json", sha256="0" * 63),
    "a hash that is a number": _member("graph.json", sha256=0),
    "a field more": _member("graph.json", crc32=zlib.crc32(PARTS["graph.json"])),
    "a member changed": lambda: unsealed("history.csv", b"epoch\n"),
    "a member from another file": lambda: unsealed("graph.json", TABLE_PARTS["graph.json"] + b" "),
}  # fmt: skip
DESCRIPTIONS: dict[str, Change] = {
    "not JSON": lambda: part("graph.json", b"{"),
    "a list": lambda: part("graph.json", b"[]"),
    "null": lambda: part("graph.json", b"null"),
    "no bytes": lambda: part("graph.json", b""),
    "not UTF-8": lambda: part("graph.json", b'{"format": "\xff"}'),
    "a byte order mark": lambda: part("graph.json", b"\xef\xbb\xbf" + PARTS["graph.json"]),
    "half a character": lambda: description(title="\ud800"),
    "deep nesting": lambda: part("graph.json", b"[" * 200_000 + b"]" * 200_000),
    "a key twice": lambda: raw_graph(b'"opset": 1', b'"version": 0,\n "opset": 1'),
    "NaN": lambda: raw_graph(b'"opset": 1', b'"opset": NaN'),
    "infinity by overflow": lambda: raw_graph(b'"opset": 1', b'"opset": 1e999'),
    "5,000 digits": lambda: raw_graph(b'"opset": 1', b'"opset": ' + b"9" * 5000),
    "a newer op-set": lambda: description(opset=OPSET + 1),
    "op-set 0": lambda: description(opset=0),
    "op-set true": lambda: description(opset=True),
    "op-set a float": lambda: description(opset=1.0),
    "a key too many": lambda: description(code="import os"),
    "written otherwise": lambda: part(
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
}


NAMES: dict[str, Change] = {
    "code": lambda: renamed("x]; import os"),
    "empty": lambda: renamed(""),
    "a point too many": lambda: renamed("linear1..bias"),
    "a parent folder": lambda: renamed("../../etc/passwd"),
    "too long": lambda: renamed("a" * 500),
    "markup": lambda: renamed("<img src=x onerror=alert>"),
}
WEIGHTS: dict[str, Change] = {
    "no header": lambda: part("weights.safetensors", b""),
    "7 bytes": lambda: part("weights.safetensors", b"\0" * 7),
    "length 2^64 - 1": lambda: part("weights.safetensors", b"\xff" * 8 + b"{}"),
    "length 0": lambda: part("weights.safetensors", b"\0" * 8),
    "a list": lambda: tensors(b"[]"),
    "no tensor": lambda: tensors({}),
    "a terabyte": lambda: tensors({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
    "a parameter missing": lambda: arrays(linear1__bias=None),
    "a parameter too many": lambda: arrays(extra=np.zeros(1, np.float32)),
    "another shape": lambda: arrays(linear1__bias=np.zeros(4, np.float32)),
    "another dtype": lambda: arrays(linear1__bias=np.zeros(3, np.float64)),
    "transposed": lambda: arrays(linear1__weight=np.zeros((3, 2), np.float32)),
    "metadata": lambda: swapped("weights.safetensors", PARTS["weights.safetensors"][:9],
        struct.pack("<Q", struct.unpack("<Q", PARTS["weights.safetensors"][:8])[0] + 24)
        + b'{"__metadata__":{"a":""},'),
    "spaces before the numbers": lambda: part(
        "weights.safetensors",
        struct.pack("<Q", struct.unpack("<Q", PARTS["weights.safetensors"][:8])[0] + 8)
        + PARTS["weights.safetensors"][8:].replace(b"}}", b"}}        ", 1),
    ),
    "another order": lambda: _reordered("weights.safetensors"),
}  # fmt: skip
TRAINING: dict[str, Change] = {
    "not JSON": lambda: part("training.json", b"{"),
    "null": lambda: part("training.json", b"null"),
    "a list": lambda: part("training.json", b"[]"),
    "a key too many": lambda: json_part("training.json", code="import os"),
    "a key missing": lambda: part("training.json", write_json({"dataset": "", "loss": ""})),
    "the data set a number": lambda: json_part("training.json", dataset=1),
    "the loss a list": lambda: json_part("training.json", loss=["mse"]),
    "no run, but a history": lambda: json_part("training.json", run=None),
    "a run that is a text": lambda: json_part("training.json", run="yesterday"),
    "a run with a key too many": lambda: run(code="import os"),
    "settings a list": lambda: run(settings=[]),
    "no settings": lambda: run(settings={}),
    "an optimiser that is a list": lambda: settings(optimizer=[]),
    "a schedule that is a text": lambda: settings(schedule="Step"),
    "losses numbers": lambda: settings(losses=[1]),
    "a loss without its name": lambda: settings(losses=[{"output": "", "loss": {}, "weight": 1.0}]),
    "a weight that is a whole number": lambda: settings(
        losses=[{"output": "", "name": "mse", "loss": {}, "weight": 1}]
    ),
    "a batch size that is true": lambda: settings(batch_size=True),
    "a seed that is a float": lambda: settings(seed=0.0),
    "an engine that is null": lambda: settings(backend=None),
    "verified without its steps": lambda: run(verified={}),
    "a difference that is a text": lambda: run(
        verified={"steps": 1, "largest_difference": "none", "parameter": None, "reason": ""}
    ),
    "versions without NumPy": lambda: run(versions={"glassgrad": "1", "python": "3"}),
    "epochs that are not in the history": lambda: run(epochs=3),
    "epochs a float": lambda: run(epochs=2.0),
    "epochs true": lambda: run(epochs=True),
    "partial a number": lambda: run(partial=0),
    "kept 0": lambda: run(kept=0),
    "kept after the end": lambda: run(kept=3),
    "kept true": lambda: run(kept=True),
    "versions a list": lambda: run(versions=[]),
    "versions numbers": lambda: run(versions={"numpy": 2}),
    "verified a number": lambda: run(verified=1),
    "NaN": lambda: swapped("training.json", b'"partial": false', b'"partial": NaN'),
    "an infinite number": lambda: swapped("training.json", b'"kept": null', b'"kept": 1e999'),
    "a key twice": lambda: swapped("training.json", b'"kept": null', b'"kept": null,\n  "kept": null'),
    "half a character": lambda: run(settings={"a": "\ud800"}),
    "deep": lambda: run(settings=json.loads('{"a":' * 20 + "1" + "}" * 20)),
    "large": lambda: pack({MANIFEST: b"", **PARTS, "training.json": b'"' + b"a" * 2**21 + b'"'}),
}  # fmt: skip
SIGNATURES: dict[str, Change] = {
    "not JSON": lambda: part("signature.json", b"nul"),
    "null": lambda: part("signature.json", b"null"),
    "a key too many": lambda: json_part("signature.json", colour="red"),
    "no inputs": lambda: json_part("signature.json", inputs=[]),
    "no outputs": lambda: json_part("signature.json", outputs=[]),
    "an input too many": lambda: json_part(
        "signature.json", inputs=json.loads(PARTS["signature.json"])["inputs"] * 2
    ),
    "an input that is a text": lambda: json_part("signature.json", inputs=["x"]),
    "another name": lambda: signature("inputs", name="y"),
    "another dtype": lambda: signature("inputs", dtype="float64"),
    "another shape": lambda: signature("inputs", shape=["n", 3]),
    "a fixed number of rows": lambda: signature("inputs", shape=[1, 2]),
    "an output of another shape": lambda: signature("outputs", shape=["n", 3]),
    "an output of another name": lambda: signature("outputs", name="loss"),
    "categories numbers": lambda: signature("outputs", categories=[1]),
    "categories a text": lambda: signature("outputs", categories="ab"),
    "a unit that is a number": lambda: signature("outputs", unit=1),
    "units numbers": lambda: signature("inputs", units=[1, 2]),
    "columns null": lambda: signature("inputs", columns=None),
    "an unknown task": lambda: json_part("signature.json", task="rm"),
    "a task that is a number": lambda: json_part("signature.json", task=1),
    "half a character": lambda: signature("outputs", categories=["\ud800", "b"]),
}
PREPARATIONS: dict[str, Change] = {
    "not JSON": lambda: part("preparation.json", b"{"),
    "a list": lambda: part("preparation.json", b"[]"),
    "false": lambda: part("preparation.json", b"false"),
    "empty": lambda: part("preparation.json", b"{}"),
    "divided by zero": lambda: part("preparation.json", write_json({"shift": [0.0], "scale": [0.0]})),
    "texts": lambda: part("preparation.json", write_json({"shift": ["0"], "scale": [1.0]})),
    "whole numbers": lambda: part("preparation.json", write_json({"shift": [0], "scale": [1]})),
    "lengths that differ": lambda: part(
        "preparation.json", write_json({"shift": [0.0], "scale": [1.0, 1.0]})
    ),
    "a field more": lambda: part(
        "preparation.json", write_json({"shift": [0.0], "scale": [1.0], "code": "x"})
    ),
    **{
        f"table: {old.decode()} as {new[:30].decode()}": partial(swapped, "preparation.json", old, new, TABLE_PARTS)
        for old, new in (
            (b'"numeric"', b'"numbers"'), (b'"median": 0.0', b'"median": 0'),
            (b'"median": 0.0', b'"median": 1e999'), (b'"median": 0.0', b'"median": 0.00'),
            (b'"deviation": 1.0', b'"deviation": -1.0'), (b'"town"', b'"age"'),
            (b'"Bonn"', b'"Ulm"'), (b'"indicator": false', b'"indicator": 0'),
            (b'"indicator": false', b'"indicator": true'),
            (b'"rare": []', b'"rare": ["Bonn"]'), (b'"rare": []', b'"rare": {}'),
            (b'"price"', b'"age"'), (b'"price"', b'""'), (b'"target"', b'"targets"'),
            (b'"Bonn"', b'"' + b"x" * 1001 + b'"'), (b'"mean": 0.0,', b''),
        )
    },
}  # fmt: skip
_CSV = PARTS["history.csv"]
HISTORIES: dict[str, Change] = {
    "none, but a run": lambda: part("history.csv", b""),
    "an epoch missing": lambda: part("history.csv", b"".join(_CSV.splitlines(True)[:-1])),
    "an epoch too many": lambda: part("history.csv", _CSV + b"3,0.1,0.1\n"),
    "the last line cut": lambda: part("history.csv", _CSV[:-1]),
    "other line ends": lambda: part("history.csv", _CSV.replace(b"\n", b"\r\n")),
    "another number": lambda: part("history.csv", _CSV.replace(b"\n1,", b"\n1,0", 1)),
    "spaces": lambda: part("history.csv", _CSV.replace(b"\n1,", b"\n1, ", 1)),
    "quotes": lambda: part("history.csv", _CSV.replace(b"loss", b'"loss"', 1)),
    "a column twice": lambda: part("history.csv", _CSV.replace(b"accuracy", b"loss", 1)),
    "no column of epochs": lambda: part("history.csv", _CSV.replace(b"epoch", b"epoche", 1)),
    "a text": lambda: part("history.csv", _CSV.replace(b"\n1,", b"\n1,a", 1)),
    "a formula": lambda: part("history.csv", _CSV.replace(b"\n1,", b"\n1,=1+", 1)),
    "epochs in another order": lambda: part("history.csv", _CSV.replace(b"\n1,", b"\n2,", 1)),
    "the time of each epoch": lambda: part("history.csv", b"epoch,loss,seconds\n1,0.5,1.0\n2,0.5,1.0\n"),
    "not UTF-8": lambda: part("history.csv", b"epoch,\xff\n"),
    "a zero byte": lambda: part("history.csv", _CSV.replace(b"loss", b"lo\0s", 1)),
    "a long line": lambda: part("history.csv", b"epoch," + b"a" * 200_000),
}  # fmt: skip
_ROWS = "check.safetensors"
CHECKS: dict[str, Change] = {
    "no header": lambda: part(_ROWS, b""),
    "an input missing": lambda: arrays(_ROWS, input__x=None),
    "an output missing": lambda: arrays(_ROWS, output__prediction=None),
    "an array more": lambda: arrays(_ROWS, extra=np.zeros(1, np.float32)),
    "two rows": lambda: arrays(_ROWS, input__x=np.zeros((2, 2), np.float32)),
    "another dtype": lambda: arrays(_ROWS, input__x=np.zeros((3, 2), np.float64)),
    "an output of another shape": lambda: arrays(_ROWS, output__prediction=np.zeros((3, 3), np.float32)),
    "a terabyte": lambda: tensors(
        {"input.x": {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}}, name=_ROWS
    ),
}  # fmt: skip


def _reordered(name: str) -> bytes:
    """The same numbers under a header whose entries stand in another order."""
    data = PARTS[name]
    size = struct.unpack("<Q", data[:8])[0]
    entries = json.loads(data[8 : 8 + size])
    text = json.dumps({k: entries[k] for k in reversed(entries)}, separators=(",", ":")).encode()
    return part(name, data[:8] + text.ljust(size) + data[8 + size :])


KINDS: dict[str, dict[str, Change]] = {
    "archive": ARCHIVES, "manifest": MANIFESTS, "description": DESCRIPTIONS, "graph": GRAPHS,
    "names": NAMES, "weights": WEIGHTS, "training": TRAINING, "signature": SIGNATURES,
    "preparation": PREPARATIONS, "history": HISTORIES, "check": CHECKS,
}  # fmt: skip


@lru_cache(1)
def cases() -> dict[str, bytes]:
    """Every file by name; each is refused with a FormatError."""
    return {
        f"{kind}: {name}": make() for kind, found in KINDS.items() for name, make in found.items()
    }
