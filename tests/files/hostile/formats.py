"""The readers of the library: valid files of each, how it reads, how the slow reader reads."""

from __future__ import annotations

import gzip
import os
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import glassgrad as gg
from glassgrad import nn
from glassgrad.cli.table import read_table
from glassgrad.data.cifar import read_cifar10
from glassgrad.data.idx import read_idx
from glassgrad.data.preparation import Categorical, Numeric, TablePreparation, Target
from glassgrad.data.table import read_csv
from glassgrad.data.text import read_text
from glassgrad.errors import DataError
from glassgrad.files import load
from glassgrad.files.checkpoint import read_checkpoint
from glassgrad.files.model import to_bytes
from glassgrad.files.strict_json import read_json
from glassgrad.files.toml import read_toml
from glassgrad.files.weights import DTYPES, read_tensors, write_tensors
from glassgrad.inspect.run import read_run

from . import mutate, readers, sealed
from .toml_reader import toml


@dataclass(frozen=True)
class Format:
    """One reader, and the slow one beside it.

    Where `deep`, the slow one knows only that every sum is right; the library may still refuse.
    """

    name: str
    seeds: tuple[bytes, ...]
    read: Callable[[bytes], Any]
    reference: Callable[[bytes], Any]
    aware: tuple[mutate.Change, ...]
    unaware: mutate.Change = mutate.anywhere
    deep: bool = False

    def mutated(self, number: int) -> bytes:
        """The file of this number."""
        return mutate.mutated(self.seeds, self.aware, self.unaware, number)


@lru_cache(None)
def scratch() -> Path:
    """A folder of this process, in memory where there is one."""
    memory = Path("/dev/shm")
    place = str(memory) if memory.is_dir() and os.access(memory, os.W_OK) else None
    folder = tempfile.TemporaryDirectory(prefix="glassgrad-hostile-", dir=place)
    _KEPT.append(folder)
    (Path(folder.name) / "config.toml").write_bytes(b"")
    return Path(folder.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def placed(name: str, data: bytes) -> Path:
    """The bytes as a file."""
    path = scratch() / name
    path.write_bytes(data)
    return path


# ------------------------------------------------------------------------------------------ seeds


def _tensor_files() -> tuple[bytes, ...]:
    r = np.random.default_rng(0)
    return (
        write_tensors({"a": r.normal(size=(2, 3)).astype(np.float32), "b": np.arange(2)}),
        write_tensors({"flags": np.array([True, False]), "n": np.array(7, np.uint32), "é\n": np.zeros((0, 2))}),
        write_tensors({}),
        struct.pack("<Q", 96)
        + b'{"__metadata__":{"format":"np"},"w":{"dtype":"U8","shape":[2,2],"data_offsets":[0,4]}}'.ljust(96)
        + b"abcd",
    )  # fmt: skip


_JSON = (
    b'{"format": "glassgrad", "version": 1, "shape": [2, 3], "rate": 0.125, "none": null, "on": true}',
    b'[1, -2.5e-3, "a\\u00e9\\ud83d\\ude00\\n\\"", {"a": {"b": [[], {}]}}, "\xc3\xa9", 0, -0, 1E+2]',
    b' { "a" : [ ] ,\n\t"b":{} } ',
    b'"text"',
    b"12345678901234567890",
)
_PLAIN_VALUES = (
    {"format": "glassgrad", "version": 1, "shape": [2, 3], "rate": 0.125, "none": None, "on": True},
    [1, -2.5e-3, 'aé\U0001f600\n"\x7f', {"a": {"b": [[], {}]}}, 0, 1e100],
    {"classes": ["no", "yes"], "preparation": {"shift": [0.0], "scale": [16.0]}},
)
_TOML = (
    b'[train]\ndataset = "xor"\nepochs = 30\nlr = 0.125\nlayers = ["64-relu", "32-relu"]\nshuffle = true\n',
    (b"a.b.c = 1\na.b.d = [1, 2.5e3, # note\n 'x', ]\n[t]\nx = {y = 1, z.w = \"\\u00e9\\n\"}\n[t.u.v]\nk = -inf\n"
    b"[t.u]\n'q.r' = nan\n"),
    (b"# first\n[[runs]]\nat = 1979-05-27T07:32:00.5-07:00\nday = 1979-05-27\nclock = 07:32:00.125\n"
    b"[runs.more]\nx = 0xFF\n[[runs]]\nat = 1979-05-27 07:32:00Z\n[runs.more]\ny = 0b1_0\nz = 1_000\n"),
    b'm = """\nfirst \\\n   second "" \\"""" \nn = \'\'\'a\'b\'\'\'\r\no = """"quoted""""\np = +1e-2\nq = 0o17\n',
    b"a = []\n\"b\" = {}\n\t'c' = [[1], [[\"x\"]], {}]\n",
)  # fmt: skip
_CSV = (
    b"age,town,income\n31,Ulm,1.5\n,Bonn,-2e3\n45,\"K\xc3\xb6ln, Deutz\",.5\n",
    b"\xef\xbb\xbfage;town\r\n31;\"Ulm\"\r\n\r\n7;\"two\r\nlines\"\r\n",
    b"x\ty\n1\t2\n3\t4",
    b'name\n"a ""quoted"" word"\n" space "\nplain "quote\n',
    b"a,b\n1,=1+1\n2,nan\n3,1e999\n",
)  # fmt: skip
_FEATURES = ("a", "b", "c")
_ROWS = (
    b"1,2,3\n4,5,6\n",
    b"c,b,a\n1,2.5,-3e-2\n.5,+6,7\n",
    b"\xef\xbb\xbfx;y;z\r\n1;2;3\r\n\r\n ;;\r\n\"4\";5;6",
    b"a,note,c,b\n1,0,3,4\n",
)  # fmt: skip
_HISTORY = (
    b"epoch,loss,val_loss,seconds\n1,0.5,0.75,0.001000\n2,0.25,nan,0.002000\n3,1e-05,-inf,0.001000\n",
    b'epoch,"a,b",accuracy\n1,0.5,1.0\n',
    b"epoch,loss\n",
)


def _idx_files() -> tuple[bytes, ...]:
    whole = struct.pack(">HBB2I", 0, 8, 2, 3, 4) + bytes(range(12))
    real = struct.pack(">HBB3I", 0, 0x0D, 3, 1, 2, 2) + struct.pack(">4f", 1.5, -2, 0, 1e30)
    shorts = struct.pack(">HBBI", 0, 0x0B, 1, 3) + struct.pack(">3h", -1, 0, 300)
    return (
        whole, real, shorts,
        gzip.compress(whole, 9, mtime=0), gzip.compress(real, 0, mtime=0), gzip.compress(shorts, 1, mtime=0),
    )  # fmt: skip


def _cifar_files() -> tuple[bytes, ...]:
    r = np.random.default_rng(1)
    first = bytes([3]) + r.integers(0, 256, 3072, np.uint8).tobytes()
    second = bytes([9]) + bytes(3072)
    return first, second + first, gzip.compress(second, 1, mtime=0)


_TEXT = (b"to be or not to be\n", "\ufeffÄ 变 \U0001f600\r\n\x1b".encode(), b"a")


# ---------------------------------------------------------------------------------------- reading


def _tensors(data: bytes) -> Any:
    codes = {v: k for k, v in DTYPES.items()}
    return {
        name: (codes[a.dtype.name], a.shape, a.tobytes())
        for name, a in read_tensors(data, "w.safetensors").items()
    }


def _table(data: bytes) -> Any:
    found = read_csv(placed("table.csv", data))
    columns: dict[str, tuple[list[str], list[str] | None]] = {}
    for name in found.names:
        try:
            numbers = [v.hex() for v in found.numbers(name).tolist()]
        except DataError:
            columns[name] = (found.cells(name), None)
        else:
            columns[name] = (found.cells(name), numbers)
    lines = [int(found.line(i).rpartition(" ")[2]) for i in range(len(found))]
    return {"lines": lines, "columns": columns}


def _rows(data: bytes) -> Any:
    found = read_table(placed("rows.csv", data), _FEATURES, len(_FEATURES))
    return [[v.hex() for v in row] for row in found.tolist()]


def _history(data: bytes) -> Any:
    _, found = read_run(placed("history.csv", data).parent)
    return {name: [v.hex() for v in values] for name, values in found.items()}


def _idx(data: bytes) -> Any:
    found = read_idx(placed("values.idx", data))
    return found.dtype.name, found.shape, found.astype(found.dtype.newbyteorder(">")).tobytes()


def _cifar(data: bytes) -> Any:
    images, labels = read_cifar10(placed("batch.bin", data))
    return labels.tolist(), images.tobytes()


def _text(data: bytes) -> Any:
    found = read_text(placed("text.txt", data))
    return found.decode(found.tokens)


def _sorted(value: Any) -> str:
    """A value as a text that tells 1 from 1.0 and true, whatever the order of keys."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{k!r}:{_sorted(value[k])}" for k in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_sorted, value)) + "]"
    return repr(value)


def _glass_files() -> tuple[bytes, ...]:
    x, y = np.array([[0, 1], [1, 0], [1, 1]], np.float32), np.array([0, 1, 1])
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    settings: dict[str, Any] = {"loss": "cross_entropy", "optimizer": "adam", "verbose": False}
    gg.fit(model, x, y, epochs=2, backend="numpy", **settings)
    how = TablePreparation((Numeric("age"), Categorical("town", ("Bonn",))), Target("price"))
    labels = {"classes": ["no", "yes"], "task": "classification"}
    return (
        to_bytes(nn.Linear(1, 1), x=(1,)),
        to_bytes(model, labels=labels),
        to_bytes(model, labels={**labels, "preparation": how.plain()}),
    )


def _glass(data: bytes) -> Any:
    """What stands in the file, as the model that was read of it is written again."""
    model = load(placed("model.glass", data))
    return sealed.glass(to_bytes(model))


_SAVED = [
    ("history.csv", b"epoch,loss\n1,1.5\n"), ("state.json", b"{}"), ("state.safetensors", bytes(range(40))),
]  # fmt: skip


def _checkpoint(data: bytes) -> Any:
    folder = scratch() / "step-00000500"
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    for name, content in sealed.apart(data):
        (folder / name).write_bytes(content)
    found = read_checkpoint(folder)
    return found.step, found.finite, found.members


_TABLE = mutate.words(b";", b'""', b"\t", b'"a\nb"', b"x" * 1001)
FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format(
            "safetensors", _tensor_files(), _tensors, readers.tensors,
            (mutate.tensor_header, mutate.tensor_header, mutate.tensor_entries, mutate.tensor_entries),
        ),
        Format(
            "json", _JSON, lambda data: repr(read_json(data, "a.json", canonical=False)),
            lambda data: repr(readers.json_value(data)), (mutate.json_words,),
        ),
        Format(
            "canonical-json", tuple(readers.json_text(v).encode() for v in _PLAIN_VALUES),
            lambda data: repr(read_json(data, "a.json")),
            lambda data: repr(readers.canonical_json(data)), (mutate.json_words, mutate.lines),
        ),
        Format(
            "toml", _TOML, lambda data: _sorted(read_toml(placed("a.toml", data))),
            lambda data: _sorted(toml(data)),
            (
                mutate.words(
                    b"[t]", b"[[t]]", b"[t.u]", b"a.b", b"a.b = 1\n", b"x = {}", b"x = []", b'"""', b"'''", b"\\u0041", b"\\U00110000",
                    b"1979-05-27", b"07:32:00", b"1979-02-30", b"24:00:00", b"T", b"Z", b"+01:00", b"-24:00", b"0b1", b"0o8",
                    b"\\\n", b"\\ ", b"++1", b"1__0", b"_1",
                ),
                mutate.lines,
            ),
        ),
        Format(
            "csv", _CSV, _table, readers.table,
            (_TABLE, mutate.lines, mutate.cells, mutate.cells, mutate.separated),
        ),
        Format(
            "rows", _ROWS, _rows, lambda data: readers.rows(data, _FEATURES),
            (_TABLE, mutate.lines, mutate.cells, mutate.cells, mutate.separated),
        ),
        Format(
            "history", _HISTORY, _history, readers.history,
            (mutate.words(b"epoch", b"seconds", b"1e-05"), mutate.lines, mutate.cells, mutate.cells),
        ),
        Format(
            "idx", _idx_files(), _idx, readers.idx,
            (mutate.idx_header, mutate.idx_header, mutate.inside, mutate.gzip_header),
        ),
        Format(
            "cifar", _cifar_files(), _cifar, readers.cifar,
            (mutate.cifar_record, mutate.cifar_record, mutate.inside, mutate.gzip_header),
        ),
        Format(
            "glass", _glass_files(), _glass, sealed.glass,
            (mutate.anywhere, sealed.glass_header, sealed.glass_header, sealed.glass_archive, sealed.glass_member),
            deep=True,
        ),
        Format(
            "checkpoint", (sealed.signed(_SAVED), sealed.signed(_SAVED[:1], finite=False)), _checkpoint, sealed.checkpoint,
            (sealed.checkpoint_signed,), unaware=sealed.checkpoint_file,
        ),
        Format("text", _TEXT, _text, readers.text, (mutate.words(b"\xc3", b"\xe2\x82"),)),
    )
}  # fmt: skip
