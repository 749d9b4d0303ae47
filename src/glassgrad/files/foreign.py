"""Reading a model file's bytes; files of other formats are known, and refused with what to do."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from glassgrad.errors import FormatError, shown

MOST_BYTES = 2**32

_REFUSED = {
    ".pkl": "pickle", ".pickle": "pickle", ".pt": "PyTorch", ".pth": "PyTorch", ".ckpt": "PyTorch",
    ".bin": "PyTorch", ".h5": "HDF5", ".hdf5": "HDF5", ".keras": "Keras", ".joblib": "joblib",
    ".npy": "NumPy", ".npz": "NumPy", ".onnx": "ONNX", ".safetensors": "safetensors",
}  # fmt: skip
_RUNS_CODE = ("pickle", "PyTorch", "HDF5", "Keras", "joblib")


def read_model_file(file: Path) -> bytes:
    """All bytes of a regular file, unless its name or its first bytes are of another format.

    Raises FormatError, for a file that cannot be read, too.
    """
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
    if start[:4] == b"PK\3\4" and not start[30:].startswith(b"manifest.json"):
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
