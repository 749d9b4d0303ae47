"""Arrays by name as safetensors: written as the safetensors package writes, read more strictly.

The package keeps the last of two tensors with one name and accepts unknown fields and bytes that
are no truth values; here they are refused. Source of the format:
https://github.com/huggingface/safetensors, "Format".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.errors import DTypeError, FormatError, shown

from .strict_json import read_json

AnyArray = NDArray[Any]
DTYPES = {
    "F32": "float32", "F64": "float64", "I64": "int64", "U32": "uint32", "U8": "uint8",
    "BOOL": "bool",
}  # fmt: skip
_WIDEST = {  # the order in which the package writes them
    name: short for short in ("I64", "F64", "F32", "U32", "U8", "BOOL") for name in [DTYPES[short]]
}
_MOST_HEADER = 16 * 2**20
_MOST_AXES = 32
_MOST_NAME = 1000


def write_tensors(arrays: Mapping[str, AnyArray]) -> bytes:
    """The arrays as the bytes of a safetensors file: one form only, that of the package.

    Wide dtypes first, then by name; the numbers begin at a multiple of 8.
    """
    order = _order(arrays)
    little = [np.asarray(arrays[n], arrays[n].dtype.newbyteorder("<"), order="C") for n in order]
    return b"".join([header(arrays), *[a.tobytes() for a in little]])


def header(arrays: Mapping[str, AnyArray]) -> bytes:
    """What stands before the numbers of these arrays."""
    entries, at = {}, 0
    for name in _order(arrays):
        array = arrays[name]
        places = [at, at := at + array.nbytes]
        shape = list(array.shape)
        entries[name] = {
            "dtype": _WIDEST[array.dtype.name], "shape": shape, "data_offsets": places,
        }  # fmt: skip
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text = text.ljust(-(-len(text) // 8) * 8)
    return len(text).to_bytes(8, "little") + text


def _order(arrays: Mapping[str, AnyArray]) -> list[str]:
    rank = {dtype: i for i, dtype in enumerate(_WIDEST)}
    for name, array in arrays.items():
        if array.dtype.name not in rank:
            raise DTypeError(
                "a file has no place for this kind of number",
                where=shown(name),
                expected=", ".join(rank),
                received=array.dtype.name,
            )
    return sorted(arrays, key=lambda name: (rank[arrays[name].dtype.name], name))


def read_tensors(data: bytes | memoryview, what: str) -> dict[str, AnyArray]:
    """Arrays from the bytes of a safetensors file, as fresh arrays.

    Raises FormatError unless the header is JSON with unique keys and known dtypes, and the
    tensors cover the bytes exactly: no gap, no overlap, nothing left.
    """
    view = memoryview(data)
    size = int.from_bytes(view[:8], "little")
    if len(view) < 8 or size > min(len(view) - 8, _MOST_HEADER) or size < 2:
        raise FormatError(
            "the header's length is wrong",
            where=f"{what}, byte 0",
            expected=f"8 bytes that say 2 to {max(2, min(len(view) - 8, _MOST_HEADER)):,}",
            received=f"{size:,} in {len(view):,} bytes",
        )
    text = bytes(view[8 : 8 + size])
    if text[:1] != b"{" or text.rstrip(b" ")[-1:] != b"}":
        raise FormatError(
            "the header is no object", where=f"{what}, byte 8", received=shown(text[:20])
        )
    header = read_json(text.rstrip(b" "), f"{what}, header", _MOST_HEADER, canonical=False)
    note = header.pop("__metadata__", {})
    if not isinstance(note, dict) or not all(isinstance(v, str) for v in note.values()):
        raise FormatError("metadata is not texts by name", where=what, received=shown(note))
    body = view[8 + size :]
    places = sorted(
        (_entry(name, entry, what) for name, entry in header.items()), key=lambda p: (p[3], p[4])
    )
    at = 0
    found = {}
    for name, _, _, begin, end in places:
        if begin != at:
            raise FormatError(
                "tensors overlap" if begin < at else "a gap between tensors",
                where=f"{what}, tensor {shown(name)}",
                expected=f"data from offset {at:,}",
                received=f"{begin:,} to {end:,}",
            )
        at = end
    if at != len(body):
        raise FormatError(
            "the tensors do not fill the file" if at < len(body) else "the file is cut short",
            where=what,
            expected=f"{at:,} bytes of numbers, as the header says",
            received=f"{len(body):,}",
        )
    for name, dtype, shape, begin, end in places:
        raw = np.frombuffer(body[begin:end], np.uint8)
        if dtype == "bool" and raw.size and raw.max() > 1:
            raise FormatError(
                "a truth value is neither 0 nor 1",
                where=f"{what}, tensor {shown(name)}",
                received=str(raw.max()),
            )
        little = raw.copy().view(np.dtype(dtype).newbyteorder("<")).reshape(shape)
        found[name] = little.astype(dtype, copy=False)
    return {name: found[name] for name in header}


def _entry(name: str, entry: Any, what: str) -> tuple[str, str, tuple[int, ...], int, int]:
    where = f"{what}, tensor {shown(name)}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise FormatError(
            "a tensor is described by other fields",
            where=where,
            expected="dtype, shape, data_offsets",
            received=shown(entry),
        )
    if len(name) > _MOST_NAME:
        raise FormatError("a name is too long", where=where, expected=f"{_MOST_NAME} characters")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise FormatError(
            "a dtype we do not know", where=where, expected=", ".join(DTYPES), received=shown(dtype)
        )
    if not _counts(shape) or len(shape) > _MOST_AXES:
        raise FormatError(
            "this is not a shape",
            where=where,
            expected=f"at most {_MOST_AXES} whole numbers from 0",
            received=shown(shape),
        )
    if not _counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise FormatError(
            "these are not offsets",
            where=where,
            expected="two whole numbers, begin and end",
            received=shown(offsets),
        )
    width = np.dtype(DTYPES[dtype]).itemsize
    if prod(size for size in shape if size) * width >= 2**63:  # NumPy counts past a size of 0
        raise FormatError(
            "a tensor is too large to be meant",
            where=where,
            expected="sizes whose product, zeros aside, is below 2**63 bytes",
            received=shown(shape),
        )
    wanted = prod(shape) * width
    if wanted != offsets[1] - offsets[0]:
        raise FormatError(
            "shape and offsets do not agree",
            where=where,
            expected=f"{wanted:,} bytes for {shown(shape)} of {dtype}",
            received=f"{offsets[1] - offsets[0]:,}",
        )
    return name, DTYPES[dtype], tuple(shape), offsets[0], offsets[1]


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(v) is int and 0 <= v < 2**62 for v in value)
