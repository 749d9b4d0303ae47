"""The strict safetensors reader beside the package's own."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import load as official, save as official_save

from glassgrad.errors import DTypeError, FormatError
from glassgrad.files.weights import read_tensors, write_tensors

RNG = np.random.default_rng(0)


def file(header: Any, body: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(
    dtype: str = "F32", shape: Any = (1,), offsets: Any = (0, 4), **more: Any
) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}


FOUR = b"\0\0\0\0"
HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "7 bytes": b"\0" * 7,
    "prefix only": struct.pack("<Q", 2),
    "zero": struct.pack("<Q", 0),
    "2^64 - 1": struct.pack("<Q", 2**64 - 1) + b"{}",
    "beyond the file": file({}, length=100),
    "list": file(b"[]"),
    "null": file(b"null"),
    "not UTF-8": file(b'{"\xff": 1}'),
    "cut": file(b'{"a": '),
    "trailing text": file(b"{}x"),
    "NUL padding": file(b"{}\0\0"),
    "tab padding": file(b"{}\t"),
    "byte order mark": file(b"\xef\xbb\xbf{}"),
    "NaN": file(b'{"a": NaN}'),
    "deep": file(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    "half a character": file(b'{"\\ud800": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', FOUR),
    "twice": file(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', FOUR
    ),
    "field twice": file(b'{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', FOUR),
    "metadata twice": file(b'{"__metadata__":{},"__metadata__":{}}'),
    "metadata numbers": file({"__metadata__": {"a": 1}}),
    "metadata a list": file({"__metadata__": []}),
    "unknown field": file({"a": entry(code="x")}, FOUR),
    "missing field": file({"a": {"dtype": "F32", "shape": [1]}}, FOUR),
    "null tensor": file({"a": None}),
    "overlap": file({"a": entry(), "b": entry()}, FOUR),
    "partial overlap": file({"a": entry(shape=[2], offsets=[0, 8]), "b": entry(offsets=[4, 8])}, FOUR * 2),
    "gap": file({"a": entry(), "b": entry(offsets=[8, 12])}, FOUR * 3),
    "not from 0": file({"a": entry(offsets=[4, 8])}, FOUR * 2),
    "inverted": file({"a": entry(shape=[0], offsets=[4, 0])}, FOUR),
    "negative": file({"a": entry(offsets=[-4, 0])}, FOUR),
    "float": file({"a": entry(offsets=[0.0, 4.0])}, FOUR),
    "string": file({"a": entry(offsets=["0", "4"])}, FOUR),
    "three": file({"a": entry(offsets=[0, 2, 4])}, FOUR),
    "true": file({"a": entry(shape=[True])}, FOUR),
    "tail": file({"a": entry()}, FOUR + b"\0"),
    "short": file({"a": entry()}, b"\0\0\0"),
    "negative shape": file({"a": entry(shape=[-1])}, FOUR),
    "product overflow": file({"a": entry(shape=[2**32, 2**32])}, FOUR),
    "wraps to small": file({"a": entry(shape=[2**62, 4, 1])}, FOUR),
    "hidden by zero": file({"a": entry(shape=[2**63, 0], offsets=[0, 0])}),
    "huge beside a zero": file({"a": entry(shape=[2**61, 0], offsets=[0, 0])}),
    "rank 65": file({"a": entry(shape=[1] * 65)}, FOUR),
    "mismatch": file({"a": entry(shape=[2])}, FOUR),
    "unknown dtype": file({"a": entry("C64")}, FOUR),
    "lower case": file({"a": entry("f32")}, FOUR),
    "truth value 2": file({"a": entry("BOOL", [1], [0, 1])}, b"\2"),
}  # fmt: skip
WE_ARE_STRICTER = {"twice", "field twice", "metadata twice", "unknown field", "truth value 2",
                   "tab padding", "hidden by zero", "huge beside a zero", "rank 65"}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_refused(name: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_tensors(HOSTILE[name], "w.safetensors")
    assert "w.safetensors" in caught.value.where
    if name not in WE_ARE_STRICTER:
        with pytest.raises((SafetensorError, ValueError, KeyError, UnicodeDecodeError)):
            official(HOSTILE[name])


@pytest.mark.parametrize("number", range(30))
def test_what_the_package_writes_is_read_alike(number: int) -> None:
    rng = np.random.default_rng(number)
    arrays = {}
    for i in range(int(rng.integers(0, 8))):
        shape = tuple(int(s) for s in rng.integers(0, 5, int(rng.integers(0, 4))))
        dtype = rng.choice(["float32", "float64", "int64", "uint32", "uint8", "bool"])
        arrays[f"name {i} \u00e4\n"] = rng.integers(0, 2, shape).astype(dtype)
    data = write_tensors(arrays)
    found, oracle = read_tensors(data, "w"), official(data)
    assert set(found) == set(oracle) == set(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == oracle[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], oracle[name])
        assert found[name].shape == array.shape
        assert found[name].flags.writeable
        assert found[name].flags.aligned


def test_mutations_are_refused_or_read_as_the_package_reads_them() -> None:
    good = write_tensors({"a": RNG.standard_normal((2, 3)).astype(np.float32), "b": np.arange(4)})
    read = 0
    for _ in range(1500):
        changed = bytearray(good)
        changed[int(RNG.integers(len(good)))] = int(RNG.integers(256))
        try:
            found = read_tensors(bytes(changed), "w")
        except FormatError:
            continue
        read += 1
        oracle = official(bytes(changed))
        assert set(found) == set(oracle)
        for name in found:
            assert found[name].tobytes() == oracle[name].tobytes()
    assert read > 100


def test_metadata_is_accepted_and_left_out() -> None:
    assert read_tensors(file({"__metadata__": {"format": "np"}}), "w") == {}


@pytest.mark.parametrize("seed", range(30))
def test_it_is_written_as_the_package_writes_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [
        "a",
        "b.weight",
        "B",
        "\u00e4",
        "\u8a9e",
        '"',
        "\\",
        "\n",
        "\x7f",
        "\U0001f600",
        "x" * 99,
    ]
    arrays: dict[str, Any] = {}
    for name in rng.permutation(names)[: rng.integers(0, len(names) + 1)]:
        shape = tuple(rng.integers(0, 4, rng.integers(0, 4)).tolist())
        kind = rng.choice(["float32", "float64", "int64", "uint32", "uint8", "bool"])
        arrays[str(name)] = rng.integers(0, 2, shape).astype(kind)
    data = write_tensors(arrays)
    assert data == official_save(arrays)
    assert read_tensors(data, "file").keys() == arrays.keys()


def test_arrays_in_any_layout_are_written_alike() -> None:
    a = RNG.standard_normal((3, 4))
    wanted = write_tensors({"a": a})
    for other in (
        np.asfortranarray(a),
        a.astype(">f8"),
        a[::-1][::-1],
        np.lib.stride_tricks.as_strided(a, a.shape, a.strides),
    ):
        assert write_tensors({"a": other}) == wanted
    with pytest.raises(DTypeError, match="no place"):
        write_tensors({"a": a.astype(np.complex128)})
