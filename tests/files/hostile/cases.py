"""Hostile files made by hand, by reader and name, and whether each is refused or read.

The lists are those of the formats' known attacks: lengths that lie, products that wrap, names twice,
gaps and overlaps, bombs, nesting, encodings, numbers that only look like some.
"""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from functools import lru_cache
from typing import Any

REFUSED, READ = False, True
Cases = dict[str, tuple[bytes, bool]]


def _refused(files: dict[str, bytes]) -> Cases:
    return {name: (data, REFUSED) for name, data in files.items()}


def _read(files: dict[str, bytes]) -> Cases:
    return {name: (data, READ) for name, data in files.items()}


# ------------------------------------------------------------------------------------ safetensors


def tensors(header: Any, body: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with this header, whatever it is, and this length of it, true or not."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(dtype: Any = "F32", shape: Any = (1,), offsets: Any = (0, 4), **more: Any) -> Any:
    """What a header says of one tensor."""
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}


def _without(field: str) -> Any:
    return {k: v for k, v in entry().items() if k != field}


_A = b'{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
_FOUR = bytes(4)
SAFETENSORS: Cases = {
    **_refused({
        "length: an empty file": b"",
        "length: 7 bytes": bytes(7),
        "length: nothing after it": struct.pack("<Q", 2),
        "length: 0": bytes(8),
        "length: 0, and a header": tensors({}, length=0),
        "length: 1": tensors({}, length=1),
        "length: 2^64 - 1": tensors({}, length=2**64 - 1),
        "length: 2^63": tensors({}, length=2**63),
        "length: 100 MB and 1": tensors({}, length=100 * 2**20 + 1),
        "length: beyond the file": tensors({}, length=3),
        "header: a list": tensors(b"[]"),
        "header: null": tensors(b"null"),
        "header: not UTF-8": tensors(b'{"\xff":' + _A + b"}", _FOUR),
        "header: an overlong slash": tensors(b'{"\xc0\xaf":' + _A + b"}", _FOUR),
        "header: cut short": tensors(b'{"a":'),
        "header: text after it": tensors(b"{}x"),
        "header: zeros after it": tensors(b"{}\0\0"),
        "header: tabs after it": tensors(b"{}\t\t"),
        "header: space before it": tensors(b" {}"),
        "header: a byte order mark": tensors(b"\xef\xbb\xbf{}"),
        "header: UTF-16": tensors("{}".encode("utf-16")),
        "header: NaN": tensors(b'{"a":NaN}'),
        "header: 200,000 levels": tensors(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
        "header: half a character": tensors(b'{"\\ud800":' + _A + b"}", _FOUR),
        "header: half a character, as bytes": tensors(b'{"\xed\xa0\x80":' + _A + b"}", _FOUR),
        "header: a comment": tensors(b"{/**/}"),
        "header: a comma too many": tensors(b'{"a":' + _A + b",}", _FOUR),
        "keys: a tensor twice": tensors(b'{"a":' + _A + b',"a":' + _A + b"}", _FOUR),
        "keys: a tensor twice, once escaped": tensors(b'{"a":' + _A + b',"\\u0061":' + _A + b"}", _FOUR),
        "keys: a tensor twice, the last one covers": tensors(
            b'{"a":' + _A + b',"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', _FOUR * 2
        ),
        "keys: a field twice": tensors(b'{"a":{"dtype":"F32",' + _A[1:] + b"}", _FOUR),
        "keys: metadata twice": tensors(b'{"__metadata__":{},"__metadata__":{}}'),
        "keys: metadata's key twice": tensors(b'{"__metadata__":{"a":"","a":""}}'),
        "keys: metadata of numbers": tensors({"__metadata__": {"a": 1}}),
        "keys: metadata a list": tensors({"__metadata__": []}),
        "keys: metadata null": tensors({"__metadata__": None}),
        "keys: metadata nested": tensors({"__metadata__": {"a": {"b": "c"}}}),
        "keys: an unknown field": tensors({"a": entry(code="x")}, _FOUR),
        "keys: no dtype": tensors({"a": _without("dtype")}, _FOUR),
        "keys: no shape": tensors({"a": _without("shape")}, _FOUR),
        "keys: no offsets": tensors({"a": _without("data_offsets")}, _FOUR),
        "keys: null for a tensor": tensors({"a": None}),
        "keys: a list for a tensor": tensors({"a": ["F32", [1], [0, 4]]}, _FOUR),
        "offsets: overlap": tensors({"a": entry(), "b": entry()}, _FOUR),
        "offsets: partial overlap": tensors({"a": entry(shape=[2], offsets=[0, 8]), "b": entry(offsets=[4, 8])}, _FOUR * 2),
        "offsets: a gap": tensors({"a": entry(), "b": entry(offsets=[8, 12])}, _FOUR * 3),
        "offsets: not from 0": tensors({"a": entry(offsets=[4, 8])}, _FOUR * 2),
        "offsets: inverted": tensors({"a": entry(offsets=[4, 0])}, _FOUR),
        "offsets: negative": tensors({"a": entry(offsets=[-4, 0])}, _FOUR),
        "offsets: fractions": tensors({"a": entry(offsets=[0.0, 4.0])}, _FOUR),
        "offsets: texts": tensors({"a": entry(offsets=["0", "4"])}, _FOUR),
        "offsets: three": tensors({"a": entry(offsets=[0, 2, 4])}, _FOUR),
        "offsets: truth values": tensors({"a": entry("U8", [1], [False, True])}, b"\0"),
        "offsets: of the whole machine": tensors({"a": entry("U8", [2**61], [0, 2**61])}, b"\0"),
        "offsets: bytes after the last": tensors({"a": entry()}, _FOUR + b"\0"),
        "offsets: a byte too few": tensors({"a": entry()}, _FOUR[:3]),
        "offsets: an empty one beyond": tensors({"a": entry(), "z": entry("U8", [0], [9, 9])}, _FOUR),
        "shape: negative": tensors({"a": entry(shape=[-1])}, _FOUR),
        "shape: two negatives": tensors({"a": entry(shape=[-1, -1])}, _FOUR),
        "shape: product beyond 64 bits": tensors({"a": entry(shape=[2**32, 2**32, 1])}, _FOUR),
        "shape: bytes beyond 64 bits": tensors({"a": entry("F64", [2**61], [0, 0])}),
        "shape: wraps to 4 bytes": tensors({"a": entry(shape=[2**62 + 1])}, _FOUR),
        "shape: a product hidden by 0": tensors({"a": entry(shape=[2**63, 0], offsets=[0, 0])}),
        "shape: huge beside 0": tensors({"a": entry(shape=[2**61, 0], offsets=[0, 0])}),
        "shape: 33 axes": tensors({"a": entry(shape=[1] * 33)}, _FOUR),
        "shape: 65 axes": tensors({"a": entry(shape=[1] * 65)}, _FOUR),
        "shape: 100,000 axes": tensors({"a": entry(shape=[1] * 100_000)}, _FOUR),
        "shape: another size than the offsets": tensors({"a": entry(shape=[2])}, _FOUR),
        "shape: a number": tensors({"a": entry(shape=1)}, _FOUR),
        "100,000 tensors": tensors({f"t{i}": entry(shape=[0], offsets=[0, 0]) for i in range(100_000)}),
        "shape: 5,000 digits": tensors(b'{"a":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,4]}}', _FOUR),
        "dtype: unknown": tensors({"a": entry("C64")}, _FOUR),
        "dtype: lower case": tensors({"a": entry("f32")}, _FOUR),
        "dtype: half a byte": tensors({"a": entry("F4", [1], [0, 1])}, b"\0"),
        "dtype: a list": tensors({"a": entry(["F32"])}, _FOUR),
        "values: a truth value of 2": tensors({"a": entry("BOOL", [1], [0, 1])}, b"\2"),
        "name: 1,001 characters": tensors({"a" * 1001: entry()}, _FOUR),
    }),
    **_read({
        "no tensor": tensors({}),
        "metadata": tensors({"__metadata__": {"format": "pt"}}),
        "spaces after the header": tensors(b"{}    "),
        "name: empty": tensors({"": entry()}, _FOUR),
        "name: a zero": tensors({"a\0b": entry()}, _FOUR),
        "name: a path": tensors({"../../etc/passwd": entry()}, _FOUR),
        "not aligned": tensors({"a": entry("U8", [1], [0, 1]), "b": entry("F64", [1], [1, 9])}, bytes(9)),
        "no axis": tensors({"a": entry(shape=[])}, _FOUR),
        "20,000 tensors": tensors({f"t{i}": entry(shape=[0], offsets=[0, 0]) for i in range(20_000)}),
        "another order than the offsets'": tensors({"b": entry(offsets=[4, 8]), "a": entry()}, _FOUR * 2),
    }),
}  # fmt: skip


# ----------------------------------------------------------------------------- IDX, gzip, CIFAR-10


def idx(
    kind: int = 8, sizes: tuple[int, ...] = (3,), body: bytes = b"abc", rank: int | None = None
) -> bytes:
    """An IDX file with this header."""
    head = bytes([0, 0, kind, len(sizes) if rank is None else rank])
    return head + b"".join(s.to_bytes(4, "big") for s in sizes) + body


_MEGABYTE = bytes(2**20)


def bomb(head: bytes, megabytes: int = 128, tail: bytes = b"") -> bytes:
    """gzip of some bytes, many megabytes of zeros, and some more: a block, compressed once, repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(_MEGABYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    check = zlib.crc32(head)
    for _ in range(megabytes):
        check = zlib.crc32(_MEGABYTE, check)
    sizes = (zlib.crc32(tail, check), len(head) + megabytes * 2**20 + len(tail))
    last = packer.compress(tail) + packer.flush()
    return (
        bytes([31, 139, 8, 0, 0, 0, 0, 0, 2, 255])
        + first
        + block * megabytes
        + last
        + struct.pack("<2L", *sizes)
    )


_IDX = idx()
_ZIPPED = gzip.compress(_IDX, mtime=0)


def _idx_cases() -> Cases:
    return {
        **_refused({
            "empty": b"",
            "three bytes": b"\0\0\x08",
            "wrong magic": b"\0\1" + _IDX[2:],
            "unknown type": idx(7),
            "type of a struct": idx(0x0A),
            "no dimension": idx(sizes=(), body=b""),
            "a dimension of 0": idx(sizes=(0,), body=b""),
            "nine dimensions": idx(sizes=(1,) * 9, body=b"a"),
            "255 dimensions": idx(rank=255, sizes=(1,) * 255, body=b"a"),
            "sizes cut short": b"\0\0\x08\2\0\0\0\1\0",
            "product beyond 64 bits": idx(sizes=(2**32 - 1,) * 8),
            "product wraps to 0": idx(sizes=(2**16,) * 4),
            "4 GB of a 11-byte file": idx(sizes=(2**32 - 1,)),
            "cut short": _IDX[:-1],
            "a byte more": _IDX + b"\0",
            "half a value": idx(0x0B, (2,), b"abc"),
            "gzip: wrong checksum": _ZIPPED[:-8] + bytes([_ZIPPED[-8] ^ 1]) + _ZIPPED[-7:],
            "gzip: wrong length": _ZIPPED[:-1] + b"\1",
            "gzip: cut short": _ZIPPED[:-9],
            "gzip: no trailer": _ZIPPED[:-8],
            "gzip: header alone": _ZIPPED[:10],
            "gzip: two members": _ZIPPED + _ZIPPED,
            "gzip: two members make one file": gzip.compress(_IDX[:9], mtime=0) + gzip.compress(_IDX[9:], mtime=0),
            "gzip: zeros after it": _ZIPPED + bytes(512),
            "gzip: a bomb of 128 MB": bomb(b""),
            "gzip: a bomb behind a header": bomb(_IDX),
            "gzip: 128 MB, a byte too few": bomb(idx(sizes=(2**27 + 1,), body=b"")),
            "gzip: 128 MB, a byte too many": bomb(idx(sizes=(2**27 - 1,), body=b"")),
            "gzip: 128 MB, damaged at the end": bomb(idx(sizes=(2**27,), body=b""))[:-1] + b"x",
            "gzip: promises 1 GB": gzip.compress(idx(sizes=(2**30,)), mtime=0),
            "gzip: more than can be in it": gzip.compress(idx(sizes=(2**20,)), mtime=0),
            "gzip: reserved flags": _ZIPPED[:3] + b"\xe0" + _ZIPPED[4:],
            "gzip: another method": _ZIPPED[:2] + b"\7" + _ZIPPED[3:],
            "gzip in gzip": gzip.compress(_ZIPPED, mtime=0),
            "zlib, not gzip": zlib.compress(_IDX),
        }),
        **_read({
            "as it is": _IDX,
            "gzip with a name and a comment": _ZIPPED[:3] + b"\x18" + _ZIPPED[4:10] + b"a\0b\0" + _ZIPPED[10:],
            "eight dimensions": idx(sizes=(1,) * 8, body=b"a"),
        }),
    }  # fmt: skip


_RECORD = bytes([9]) + bytes(3072)


def _cifar_cases() -> Cases:
    return {
        **_refused({
            "empty": b"",
            "a byte too few": _RECORD[:-1],
            "a byte more": _RECORD + b"\0",
            "label 10": b"\x0a" + _RECORD[1:],
            "label 255 in the last": _RECORD * 3 + b"\xff" + _RECORD[1:],
            "CIFAR-100's records": (b"\1" + _RECORD) * 2,
            "as text": b"label,pixels\n",
            "a pickle": b"\x80\x04\x95" + _RECORD,
            "gzip: cut short": gzip.compress(_RECORD, mtime=0)[:-1],
            "gzip: a bomb": bomb(b""),
            "gzip: 130 MB, a label of 10 in the last": bomb(b"", 130, bytes(130 * 2**20 % 3073 and 3073 - 130 * 2**20 % 3073) + b"\x0a" + bytes(3072)),
            "gzip: 100,001 records and more": bomb(b"", 294),
            "gzip: two members": gzip.compress(_RECORD, mtime=0) * 2,
        }),
        **_read({"as it is": _RECORD, "gzip": gzip.compress(_RECORD, mtime=0)}),
    }  # fmt: skip


# -------------------------------------------------------------------------------- JSON, TOML, text

_FORMS = {
    "empty": b"", "spaces": b"  ", "cut short": b'{"a": 1', "text after it": b"{} {}", "not UTF-8": b'"\xff"',
    "UTF-16": '{"a": 1}'.encode("utf-16"), "UTF-32": '{"a": 1}'.encode("utf-32-le"), "byte order mark": b"\xef\xbb\xbf{}",
    "a key twice": b'{"a": 1, "a": 1}', "a key twice, once escaped": b'{"a": 1, "\\u0061": 1}',
    "a key twice, deep": b'[{"b": {"a": 1, "a": 2}}]', "NaN": b"NaN", "Infinity": b"[-Infinity]",
    "beyond the numbers": b"1e999", "5,000 digits": b"9" * 5000, "5,000 digits and a fraction": b"9" * 5000 + b".5",
    "200,000 lists": b"[" * 200_000 + b"]" * 200_000, "200,000 objects": b'{"a":' * 200_000,
    "17 levels": b"[" * 17 + b"]" * 17, "half a character": b'"\\ud800"', "the other half": b'"\\udc00\\ud800"',
    "half a character as a key": b'{"\\ud83d": 1}', "half a character as bytes": b'"\xed\xa0\x80"',
    "an overlong zero": b'"\xc0\x80"', "beyond Unicode": b'"\xf4\x90\x80\x80"', "a comment": b"{} // a",
    "one quote": b"{'a': 1}", "a comma too many": b"[1,]", "no quotes": b"{a: 1}", "a zero in front": b"01",
    "a plus": b"+1", "a point at the end": b"1.", "a point in front": b".5", "underscores": b"1_000", "hexadecimal": b"0x10",
    "digits of another script": "[\u0661]".encode(), "True": b"True", "a line end in a text": b'"a\nb"',
    "a zero byte in a text": b'"a\0b"', "an unknown escape": b'"\\x41"', "an escape without end": b'"\\u12',
    "a form feed": b"[1,\x0c2]", "another space": b"[1,\xc2\xa02]", "a zero at the end": b"{}\0",
    "5,000,000 lists": b"[" + b",".join([b"[]"] * 5_000_000) + b"]", "250,001 values": b"[" + b"0," * 250_000 + b"0]",
    "a key twice among 200,000": b"{" + b",".join(b'"%d":0' % i for i in range(200_000)) + b',"199999":1}',
}  # fmt: skip
JSON: Cases = {
    **_refused(_FORMS),
    **_read({
        "16 levels": b"[" * 16 + b"]" * 16, "brackets in a text": b'"' + b"[" * 100 + b'"', "a pair": b'"\\ud83d\\ude00"',
        "a large number": b"123456789012345678901234567890", "minus zero": b"-0.0", "too small to be told from 0": b"1e-999",
    }),
}  # fmt: skip
TOML: Cases = {
    **_refused({
        "no TOML": b"epochs: 3\n", "a key twice": b"a = 1\na = 2", "a table twice": b"[a]\n[b]\n[a]", "a key and a table": b"a = 1\n[a]",
        "a table within a value": b"a = 1\n[a.b]", "a list of tables and a table": b"[[a]]\n[a]", "a list and tables": b"a = []\n[[a]]",
        "dots into another table": b"[a.b]\nc = 1\n[a]\nb.d = 2", "dots into braces": b"a = {b = 1}\na.c = 2", "a table into braces": b"a = {}\n[a.b]",
        "an open text": b'a = "b\n', "an open list": b"a = [1,", "open braces": b"a = {b = 1", "a comma in braces": b"a = {b = 1,}",
        "a line end in braces": b"a = {b = 1\n}", "two pairs in a line": b"a = 1 b = 2", "a zero byte": b"a = 1\0\n", "a zero byte in a text": b'a = "\0"',
        "an escape character in a comment": b"# \x1b[31m", "old line ends": b"a = 1\rb = 2\r", "not UTF-8": b'a = "\xff"', "UTF-16": "a = 1".encode("utf-16"),
        "two marks": b"\xef\xbb\xbf\xef\xbb\xbfa = 1", "half a character": b'a = "\\ud800"', "beyond Unicode": b'a = "\\U00110000"', "an unknown escape": b'a = "\\x41"',
        "a zero in front": b"a = 01", "two underscores": b"a = 1__0", "an underscore at the end": b"a = 1_", "a point at the end": b"a = 1.",
        "digits of another script": "a = \u0661".encode(), "no such day": b"a = 2023-02-30", "no such hour": b"a = 24:00:00", "no such zone": b"a = 1979-05-27T00:00:00+24:00",
        "100,000 lists": b"a = " + b"[" * 100_000, "33 levels": b"a = " + b"[" * 33 + b"]" * 33, "100,000 braces": b"a = " + b"{a = " * 100_000,
        "10,000 digits": b"a = " + b"9" * 10_000, "257 bits": b"a = 0x1" + b"0" * 64, "20,000 bits": b"a = 0x" + b"F" * 5000,
        "a key of 20,000 parts": b".".join([b"a"] * 20_000) + b" = 1", "a table of 20,000 parts": b"[" + b".".join([b"a"] * 20_000) + b"]",
        "500 keys of 990 parts": b"".join(b"a%d" % i + b".a" * 990 + b" = 1\n" for i in range(500)),
        "500 tables of 990 parts": b"".join(b"[a%d" % i + b".a" * 990 + b"]\n" for i in range(500)),
        "14,000 keys of 30 parts": b"".join(b"a%d" % i + b".a" * 30 + b" = 1\n" for i in range(14_000)),
        "100,000 tables": b"".join(b"[a%d]\n" % i for i in range(100_000)),
        "braces of 20,000 parts": b"a = {" + b".".join([b"a"] * 20_000) + b" = 1}", "more than 1 MB": b"#" * (2**20 + 1),
    }),
    **_read({
        "empty": b"", "a mark": b"\xef\xbb\xbfa = 1", "256 bits": b"a = 0xF" + b"F" * 63, "32 levels": b"a = " + b"[" * 31 + b"]" * 31,
        "nan and inf": b"a = [nan, -inf, 1e999]", "an empty key": b'"" = 1', "tables around a table": b"[a.b.c]\n[a]\nx = 1\n[a.b]",
    }),
}  # fmt: skip
TEXT: Cases = {
    **_refused({
        "empty": b"", "a mark alone": b"\xef\xbb\xbf", "a zero byte": b"a\0b", "not UTF-8": b"caf\xe9", "UTF-16": "ab".encode("utf-16"),
        "cut in a character": "é".encode()[:1], "half a character": b"\xed\xa0\x80", "an overlong slash": b"\xc0\xaf", "beyond Unicode": b"\xf4\x90\x80\x80",
    }),
    **_read({"an escape": b"\x1b[31m", "a mark": b"\xef\xbb\xbfa", "two marks": b"\xef\xbb\xbf\xef\xbb\xbf"}),
}  # fmt: skip

# -------------------------------------------------------------------------------------------- CSV

CSV: Cases = {
    **_refused({
        "empty": b"", "a mark alone": b"\xef\xbb\xbf", "a heading only": b"a,b\n", "line ends only": b"\n\r\n\n", "a row too short": b"a,b\n1\n",
        "a row too long": b"a,b\n1,2,3\n", "a cell of 131,073 characters": b"a\n" + b"x" * 131_073, "quoted, of 131,073": b'a\n"' + b"x" * 131_073 + b'"',
        "a zero byte": b"a\n\0\n", "UTF-16": "a,b\n1,2\n".encode("utf-16"), "Latin-1": b"a\nK\xf6ln\n", "old line ends": b"a,b\r1,2\r",
        "a quote over the whole file": b'a,b\n"1,2\n' + b"3,4\n" * 1000, "text after a quote": b'a\n"1"x\n', "a space after a quote": b'a\n"1" \n',
        "1,000,000 columns": b"," * 999_999 + b"\n" + b"," * 999_999, "10,001 columns": b",".join(b"c%d" % i for i in range(10_001)) + b"\n1\n",
        "a name twice": b"a,b,a\n1,2,3\n", "a name twice but for a space": b"a, a\n1,2\n", "no name": b"a,,b\n1,2,3\n", "a name of 1,001": b"x" * 1001 + b"\n1\n",
        "no heading": b"1,2\n3,4\n", "a line of 17 MB": b"a\n" + b"," * (17 * 2**20),
    }),
    **_read({
        "mixed line ends": b"a,b\r\n1,2\n3,4\r\n", "numbers that are none": b"a,b,c,d\n1_0,0x1F,nan,inf\n1,1,1,1\n", "a decimal comma": b'a;b\n1,5;2\n',
        "400 digits": b"a\n" + b"9" * 400 + b"\n", "formulas": b"a\n=1+1\n+1\n-1\n@SUM(A1)\n", "no line end at the end": b"a,b\n1,2", "a quote within a cell": b'a\nx"y\n',
        "a cell of 131,072 characters": b"a\n" + b"x" * 131_072, "digits of another script": "a\n\u0661\n".encode(), "control characters": b"a\x1b[31m\n\x07\n",
    }),
}  # fmt: skip
ROWS: Cases = {
    **_refused({
        "empty": b"", "a heading only": b"a,b,c\n", "two columns": b"1,2\n", "four columns": b"1,2,3,4\n", "other names, too many": b"a,b,d,e\n1,2,3,4\n",
        "a name twice": b"a,b,a\n1,2,3\n", "1,000,000 columns": b",".join(b"a%d" % i for i in range(1_000_000)) + b"\n1\n", "a word": b"1,2,3\n1,x,3\n", "an empty cell": b"1,,3\n", "nan": b"a,b,c\n1,nan,3\n", "infinity": b"a,b,c\n1,1e999,3\n",
        "underscores": b"a,b,c\n1_0,2,3\n", "hexadecimal": b"a,b,c\n0x1,2,3\n", "a decimal comma": b'a;b;c\n1,5;2;3\n', "a zero byte": b"1,2,\0\n", "an open quote": b'"1,2,3\n',
    }),
    **_read({"no heading": b"1,2,3\n", "another order": b"c,a,b\n1,2,3\n", "columns more": b"x,a,b,c\nword,1,2,3\n", "other names": b"x,y,z\n1,2,3\n"}),
}  # fmt: skip
HISTORY: Cases = {
    **_refused({
        "empty": b"", "another first column": b"step,loss\n", "a column twice": b"epoch,loss,loss\n", "no name": b"epoch,\n", "a name of 71": b"epoch," + b"x" * 71 + b"\n",
        "an escape in a name": b"epoch,\x1b[31m\n", "a zero in a name": b"epoch,a\0\n", "a mark": b"\xef\xbb\xbfepoch\n", "a row too short": b"epoch,loss\n1\n",
        "a row too long": b"epoch,loss\n1,2,3\n", "epochs from 0": b"epoch\n0\n", "an epoch left out": b"epoch\n1\n3\n", "an epoch with a zero": b"epoch\n01\n", "a line left empty": b"epoch\n1\n\n2\n",
        "a word": b"epoch,loss\n1,x\n", "no number": b"epoch,loss\n1,\n", "a space": b"epoch,loss\n1, 0.5\n", "a plus": b"epoch,loss\n1,+0.5\n", "underscores": b"epoch,loss\n1,1_0\n",
        "hexadecimal": b"epoch,loss\n1,0x1\n", "infinity written out": b"epoch,loss\n1,Infinity\n", "digits of another script": "epoch\n\u0661\n".encode(), "41 digits": b"epoch,loss\n1," + b"9" * 41,
        "an exponent of 5 digits": b"epoch,loss\n1,1e99999\n", "a line of 1 MB": b"epoch\n1" + b" " * 2**20, "1,001 columns": b"epoch," + b",".join(b"c%d" % i for i in range(1000)),
        "an open quote": b'epoch,"loss\n1,2\n', "not UTF-8": b"epoch,\xff\n", "old line ends": b"epoch\r1\r",
    }),
    **_read({"no epoch": b"epoch,loss\n", "formulas": b"epoch,=1+1\n1,0.5\n", "infinities": b"epoch,loss\n1,inf\n2,-inf\n3,nan\n", "other line ends": b"epoch,loss\r\n1,0.5\r\n"}),
}  # fmt: skip

_KNOWN = {
    "safetensors": SAFETENSORS, "json": JSON, "toml": TOML, "csv": CSV, "rows": ROWS, "history": HISTORY, "text": TEXT,
}  # fmt: skip


def _glass_cases() -> Cases:
    from tests.files.glass_cases import cases

    return _refused(cases())


_MADE = {"idx": _idx_cases, "cifar": _cifar_cases, "glass": _glass_cases}
READERS = (*_KNOWN, *_MADE)


@lru_cache(None)
def cases_of(reader: str) -> Cases:
    """The cases of one of `READERS`, which are named as in `FORMATS`."""
    return _MADE[reader]() if reader in _MADE else _KNOWN[reader]
