"""The allow-list refuses whatever a program has no use for: in a step, and in a whole run."""

from __future__ import annotations

import ast
import itertools

import pytest

from glassgrad.backends.numpy_source.build import helper_sources
from glassgrad.backends.numpy_source.check import check_program
from glassgrad.errors import InternalError
from tests.programs.cases import GOLDEN

BUILTINS = (
    "__import__('os')", "eval('1')", "exec('1')", "compile('1', '', 'eval')", "open('/etc/passwd')",
    "globals()", "locals()", "vars(x)", "dir(x)", "getattr(x, 'T')", "setattr(x, 'T', 1)",
    "delattr(x, 'T')", "hasattr(x, 'T')", "type(x)", "object()", "super()", "input()", "print(x)",
    "breakpoint()", "help()", "memoryview(x)", "bytearray(9)", "bytes(9)", "id(x)", "hash(x)",
    "iter(x)", "next(x)", "callable(x)", "isinstance(x, float)", "classmethod(x)", "property(x)",
    "staticmethod(x)", "exit()", "quit()", "chr(1)", "ord('a')", "format(x, '1')", "repr(x)",
    "str(x)", "map(f, x)", "filter(f, x)", "__builtins__", "__name__", "__file__", "__spec__",
    "__loader__", "__doc__", "BaseException()", "SystemExit(1)", "read_idx(x, '')", "Path('/')",
    "sys.exit()", "os.system('x')", "hashlib.md5()", "gzip.open('x')", "help", "aiter(x)",
)  # fmt: skip
ATTRIBUTES = (
    "x.__class__", "x.__class__.__base__.__subclasses__()", "x.__array_interface__", "x.__dict__",
    "np.__builtins__", "np.__dict__['load']", "np.os.system('x')", "np.sys.modules", "np.lib",
    "np.load('x')", "np.save('x', x)", "np.savez('x', x)", "np.savetxt('x', x)", "np.loadtxt('x')",
    "np.fromfile('x')", "np.memmap('x')", "np.genfromtxt('x')", "np.ctypeslib", "np.f2py",
    "np.testing", "np.random.seed(0)", "np.random.default_rng()", "np.random.Philox(0)",
    "np.frompyfunc(x, 1, 1)", "np.vectorize(x)", "np.apply_along_axis(x, 0, x)", "np.require(x)",
    "np.fromstring('1')", "np.frombuffer(x)", "np.fromiter(x, float)", "np.DataSource()",
    "np.set_printoptions()", "np.setbufsize(1)", "np.seterr(all='raise')", "np.core", "np._core",
    "np.exp.__globals__", "np.exp.__self__", "np.add.__call__", "x.tofile('x')", "x.dump('x')",
    "x.tobytes()", "x.dumps()", "x.data", "x.ctypes.data", "x.base", "x.flags", "x.strides",
    "x.setflags(write=True)", "x.resize(9)", "x.itemset(0, 1)", "x.byteswap()", "x.view('O')",
    "x.getfield('O')", "x.item()", "x.tolist()", "x.newbyteorder()", "x.format(x)", "x.encode()",
    "'{0.__class__}'.format(x)", "'{0[0].__class__}'.format(x)", "'%s' .join(x)", "''.join(x)",
    "'a'.format_map(x)", "train_step.__globals__", "train_step.__code__", "train_step.func_globals",
    "math.__loader__", "math.os", "math.inf.real", "x.T.__class__", "x[0].__class__",
    "(x + x).__reduce__()", "x.copy.__self__", "().__class__", "''.__class__", "(1).__class__",
    "[].__class__", "{}.keys()", "np.sqrt.types", "np.float32.__mro__", "np.sum.__wrapped__",
    "np.exp.at.__self__", "np.where.__module__", "x.sort()", "x.fill(0)", "x.put(0, 1)",
    "np.copyto(x, x)", "np.put(x, 0, 1)", "np.place(x, x, 1)", "np.fill_diagonal(x, 0)",
    "np.einsum('i', x)", "np.lookfor('x')", "np.show_config()", "np.info(x)", "np.source(x)",
)  # fmt: skip
SYNTAX = (
    "lambda: 0", "(lambda: 0)()", "(y := x)", "[i for i in x]", "{i for i in x}", "{i: i for i in x}",
    "(i for i in x)", "f'{x}'", "f'{x.__class__}'", "f'{x!r}'", "{1: 2}", "{1, 2}", "b'x'", "1j",
    "x if x else y", "x is y", "x is not y", "x in y", "x not in y", "(yield)", "(yield from x)",
    "print", "[*(lambda: x)()]", "x(**y)", "np.exp(*x, where=x)", "np.exp(x, casting='unsafe')",
    "np.exp(x, signature='O->O')", "np.exp(x, subok=True)", "np.sum(x, initial=1, where=x)",
    "[[i for i in j] for j in x]", "[i for i in x if exec('1')]", "[open for open in x]",
    "x[__import__('os')]", "x[(lambda: 0)():]", "'a' 'b' .join", "not __import__", "undefined",
    "undefined()", "undefined.T", "x + undefined", "_", "_x", "__x",
)  # fmt: skip
STATEMENTS = (
    "import os", "import numpy", "import numpy as np, os", "from os import path", "from os import *",
    "from numpy import *", "import sys", "from pathlib import Path", "import gzip", "import math as np",
    "from . import x", "from numpy.lib.stride_tricks import as_strided", "import os as np",
    "global x", "nonlocal x", "del x", "del x[0]", "del x.T", "del np", "del undefined", "del (x, y)", "assert x", "raise x", "raise SystemExit", "while True:\n        pass",
    "while x:\n        x = 0", "with x:\n        pass", "with open('x') as f:\n        pass",
    "try:\n        pass\n    except Exception:\n        pass", "try:\n        pass\n    finally:\n        pass",
    "class A:\n        pass", "def inner():\n        pass", "async def inner():\n        pass",
    "for i in x:\n        pass\n    else:\n        import os", "match x:\n        case 1:\n            pass",
    "x.T = 1", "x.T += 1", "np.exp = 1", "np.exp += 1", "np = x", "np += 1", "math = x", "math.pi = 3",
    "np[0] = 1", "x.T[0] = 1", "f(x)[0] = 1", "(x + x)[0] = 1", "x: int = 1", "x: exec('1') = 1",
    "len = x", "range = x", "open = x", "sum += x", "float, y = x, y", "hashlib = x", "sys = x",
    "Path = x", "sliding_window_view = x", "map = x", "print = x", "repr = x", "uniform = x",
    "columns = x", "sigmoid = x", "add_at = x", "for np in x:\n        pass", "for len in x:\n        pass",
    "for x.T in y:\n        pass", "for x.T[0] in y:\n        pass", "a, x.T = y", "a, *b.c = y",
    "[a, b] = x", "__builtins__ = x", "__name__ = x", "_hidden = exec", "x", "1", "x + x", "x.T",
    "lambda: 0", "[x.T]", "return (yield)", "return await x", "if exec('1'):\n        pass",
    "for i in exec('1'):\n        pass", "x[exec('1')] = 1", "x += exec('1')", "return lambda: 0",
    "y = x = exec", "break", "continue", "type X = int",
)  # fmt: skip
DEFINITIONS = (
    "@np.exp\ndef f(x):\n    return x", "@exec\ndef f(x):\n    return x", "def f(x=1):\n    return x",
    "def f(x=exec('1')):\n    return x", "def f(*x):\n    return x", "def f(**x):\n    return x",
    "def f(x, *, y):\n    return x", "def f(x, /):\n    return x", "def f(x: exec('1')):\n    return x",
    "def f(x) -> exec('1'):\n    return x", "async def f(x):\n    return x", "class f:\n    pass",
    "def np(x):\n    return x", "def len(x):\n    return x", "def open(x):\n    return x",
    "def __import__(x):\n    return x", "def __getattr__(x):\n    return x", "def sigmoid(x):\n    return x",
    "def uniform(x):\n    return x", "def f(np):\n    return np", "def f(len):\n    return len",
    "def f(sigmoid):\n    return sigmoid", "def f(__builtins__):\n    return 1", "f = lambda x: x",
    "f = 1", "print(1)", "train_step(1, 2)", "for i in range(3):\n    pass", "if True:\n    pass",
    "import os", "from os import *", "__all__ = []", "np.exp", "x: int", "del np", "1", "'later text'",
    "if __name__ == '__main__':\n    main()", "with open('x') as f:\n    pass", "while True:\n    pass",
    "raise SystemExit", "assert True", "def f(x):\n    def g(y):\n        return y\n    return g(x)",
    "def f(x):\n    'text'\n    exec('1')\n    return x", "import numpy", "import sys", "import gzip",
    "from pathlib import Path", "os.environ['OPENBLAS_NUM_THREADS'] = '1'", "match 1:\n    case 1:\n        pass",
)  # fmt: skip

HEAD = "import math\n\nimport numpy as np\n\n\n"


def step(statement: str) -> str:
    return f"{HEAD}def train_step(x, y):\n    {statement}\n    return x\n"


CORPUS = [
    *(step(f"y = {text}") for text in (*BUILTINS, *ATTRIBUTES, *SYNTAX)),
    *(step(text) for text in STATEMENTS),
    *(f"{HEAD}{text}\n\n\n{step('pass').removeprefix(HEAD)}" for text in DEFINITIONS),
]
# What a whole run may do that a step may not, and nothing more.
WHOLE_ONLY = {
    step(f"y = {text}")
    for text in (
        "print(x)", "repr(x)", "str(x)", "f'{x}'", "f'{x!r}'", "[i for i in x]", "{i: i for i in x}",
        "x if x else y", "x is y", "SystemExit(1)", "''.join(x)", "'%s' .join(x)", "__file__",
        "print", "[[i for i in j] for j in x]", "'a' 'b' .join",
    )
} | {step("raise x"), step("raise SystemExit")}  # fmt: skip
WHOLE_ONLY |= {
    f"{HEAD}{text}\n\n\n{step('pass').removeprefix(HEAD)}"
    for text in (
        "import os", "import sys", "import gzip", "from pathlib import Path",
        "os.environ['OPENBLAS_NUM_THREADS'] = '1'",
    )
}  # fmt: skip


def refused(text: str, whole: bool) -> bool:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return True
    try:
        check_program(tree, whole=whole)
    except InternalError as error:
        return "not on the list" in error.what and "line" in error.where
    return False


def test_the_corpus_is_large_and_its_frame_is_fine() -> None:
    assert len(set(CORPUS)) >= 200
    assert not refused(step("pass"), whole=False)
    assert not refused(step("y = np.exp(x) + math.sqrt(2)"), whole=False)


@pytest.mark.parametrize("text", CORPUS, ids=itertools.count())
def test_a_step_may_not(text: str) -> None:
    assert refused(text, whole=False), text


@pytest.mark.parametrize("text", CORPUS, ids=itertools.count())
def test_a_whole_run_may_not(text: str) -> None:
    assert text in WHOLE_ONLY or refused(text, whole=True), text


FILES = (
    "open('x')", "open(here / 'replayed.csv', 'r')", "open(here / 'other.csv', 'w', encoding='utf-8')",
    "open(here / '../replayed.csv', 'w', encoding='utf-8', newline='\\n')", "open(0, 'w')",
    "np.load('x')", "np.load(here / 'initial.npz', allow_pickle=True)", "np.load(here / 'x.npz')",
    "np.savez(here / 'data.npz', **final)", "np.savez(here / 'replayed.npz', final)", "np.savez('/x')",
    "Path('/')", "Path('/').parent", "Path(__file__, 'x')", "Path(sys.argv[1])", "sys.argv", "sys.modules",
    "sys.exit()", "np.load", "np.savez", "open", "Path", "(open)", "[open]", "x.open()", "x.unlink()",
    "x.write_text('x')", "x.read_text()", "x.read_bytes()", "x.rename('y')", "x.mkdir()", "x.rmdir()",
    "x.iterdir()", "x.resolve()", "__builtins__", "f'{exec}'", "f'{x.__class__}'", "'{0.a}'.format(x)",
    "gzip.open('x')", "hashlib.new('x')", "os.environ", "os.system('x')", "os.environ['HOME']",
)  # fmt: skip


@pytest.mark.parametrize("text", FILES)
def test_a_whole_run_reaches_only_its_own_files(text: str) -> None:
    assert refused(step(f"y = {text}"), whole=True)


@pytest.mark.parametrize(
    "text",
    [
        "os.environ['OPENBLAS_NUM_THREADS'] = '2'",
        "os.environ['LD_PRELOAD'] = '1'",
        "if __name__ == '__main__':\n    train_step()",
        "if __name__ != '__main__':\n    main()",
        "with x as y:\n    pass",
    ],
)
def test_a_whole_run_does_only_these_things_outside_functions(text: str) -> None:
    assert refused(step("pass") + "\n\n" + text + "\n", whole=True)


@pytest.mark.parametrize("name", helper_sources())
def test_a_helper_is_allowed_word_for_word_only(name: str) -> None:
    text = HEAD + "\n\n\n".join(helper_sources().values()) + "\n"
    assert not refused(text, whole=False)
    source = helper_sources()[name]
    changed = source.replace("    return ", "    exec('1')\n    return ", 1)
    if changed == source:
        changed = source + "\n    exec('1')"
    assert refused(text.replace(source, changed), whole=True)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_changed_program_is_refused(name: str) -> None:
    """Anything hostile put in for any name of a golden program."""
    text = GOLDEN[name]().text()
    whole = "def main():" in text
    assert not refused(text, whole)
    body = text.index("def train_step")
    for old, new in (
        ("np.", "np.os."),
        ("_weight.T", "_weight.__class__"),
        ("len(x)", "eval('1')"),
        ("    return loss", "    import os\n    return loss"),
        ("np.isfinite", "np.load"),
        ("def train_step(", "@np.load\ndef train_step("),
        ("n = len(x)", "n = len(x.__class__)"),
    ):
        changed = text[:body] + text[body:].replace(old, new, 1)
        assert changed != text
        assert refused(changed, whole)
