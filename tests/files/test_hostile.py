"""Hostile `.glass` files: refused with a FormatError that names the file, or equal to the original."""

from __future__ import annotations

import pickle
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn
from glassgrad.errors import FormatError
from glassgrad.files.archive import unpack
from glassgrad.files.manifest import MEMBERS
from glassgrad.files.model import from_bytes, to_bytes
from glassgrad.files.strict_json import written
from glassgrad.files.weights import write_tensors
from tests.files.glass_cases import GOOD, MODEL, PARTS, WITH_TABLE, cases, part, renamed, tensors


@pytest.mark.parametrize("name", cases())
def test_a_hostile_file_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.glass"
    path.write_bytes(cases()[name])
    began = time.process_time()
    with pytest.raises(FormatError) as caught:
        gg.load(path)
    assert time.process_time() - began < 2
    assert str(path) in caught.value.where
    assert caught.value.expected or caught.value.received
    assert all(c.isprintable() or c == "\n" for c in str(caught.value))
    assert len(str(caught.value)) < 3000


def test_every_case_differs_from_the_good_file_and_from_every_other() -> None:
    from_bytes(GOOD, check=True)
    from_bytes(WITH_TABLE, check=True)
    assert len({GOOD, WITH_TABLE, *cases().values()}) >= 280


def test_every_single_bit_of_a_file_counts() -> None:
    """A bit flipped anywhere, and the file is refused."""
    small = to_bytes(nn.Linear(1, 1), x=(1,))
    for at in range(8 * len(small)):
        changed = bytearray(small)
        changed[at >> 3] ^= 1 << (at & 7)
        with pytest.raises(FormatError):
            from_bytes(bytes(changed))


def test_a_file_cut_anywhere_is_refused() -> None:
    for size in range(len(GOOD)):
        with pytest.raises(FormatError):
            from_bytes(GOOD[:size])


def test_two_thousand_mutations_are_refused_or_equal() -> None:
    rng = np.random.default_rng(1)
    x = np.array([[1.0, 2.0], [-1.0, 0.5]], np.float32)
    refused, names = 0, list(MEMBERS)
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
            # Consistent in itself: a member changed and sealed anew, checksums right.
            name = names[int(rng.integers(len(names)))]
            member = bytearray(PARTS[name])
            spot = int(rng.integers(len(member)))
            member[spot] = int(rng.integers(256))
            changed = bytearray(part(name, bytes(member)))
        try:
            model = from_bytes(bytes(changed))
        except FormatError:
            refused += 1
            continue
        if bytes(changed) == GOOD:
            continue
        assert kind == 4  # only whole, consistent files may be read: names or numbers differ
        # And what is read is written as it was; what the network gives follows from the rest.
        ours, theirs = unpack(to_bytes(model)), unpack(bytes(changed))
        assert all(ours[n] == theirs[n] for n in list(MEMBERS)[:-1])
        assert gg.predict(model, x).shape == (2, 2)
    assert gg.predict(from_bytes(GOOD), x).tobytes() == gg.predict(MODEL, x).tobytes()
    assert refused > 1500


def test_a_renamed_parameter_is_only_another_name() -> None:
    """The change by which names are made hostile gives a file that loads where the name is one."""
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


@pytest.mark.parametrize("value", [{"a": [[[]]] * 3}, {'\\"[': "]}"}, [], "[[[[[[[[[[[[[[[[[[[["])
def test_brackets_in_texts_are_no_depth(value: Any) -> None:
    assert written(value, "a member")


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
)
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
