"""Before a program runs, its syntax is held against a short list of what a program may be.

Generated text is the one thing we execute. Names reach it from users, files and columns, so the
check does not trust the writer: only these kinds of syntax, these modules' functions, and names
that the program itself defines.
"""

from __future__ import annotations

import ast
import re

from glassgrad.errors import InternalError
from glassgrad.ops import OPS

_NODES: frozenset[type[ast.AST]] = frozenset(
    {
        ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assign,
        ast.AugAssign, ast.For, ast.If, ast.Expr, ast.Import, ast.ImportFrom, ast.alias,
        ast.Name, ast.Load, ast.Store, ast.Constant, ast.Tuple, ast.List, ast.Subscript,
        ast.Slice, ast.Starred, ast.Attribute, ast.Call, ast.keyword, ast.BinOp, ast.UnaryOp,
        ast.BoolOp, ast.Compare, ast.ListComp, ast.GeneratorExp, ast.comprehension, ast.Pass,
        ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.MatMult,
        ast.RShift, ast.LShift, ast.BitAnd, ast.BitOr, ast.BitXor, ast.USub, ast.UAdd, ast.Not,
        ast.Invert, ast.And, ast.Or, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Is,
        ast.IsNot, ast.In, ast.IfExp,
    }
)
# A whole program also reads and writes the files beside it.
_WHOLE_NODES = frozenset(
    {ast.With, ast.withitem, ast.Raise, ast.DictComp, ast.Dict, ast.JoinedStr, ast.FormattedValue}
)
_IMPORTS = frozenset(
    {
        "import numpy as np", "import math", "import hashlib",
        "from numpy.lib.stride_tricks import sliding_window_view",
    }
)
_WHOLE_IMPORTS = frozenset({"from pathlib import Path", "import gzip", "import sys"})
_NP = frozenset(
    """abs add all any arange argmax array asarray bool_ broadcast_to concatenate copysign cos
    empty empty_like exp expm1 float32 float64 fmin full indices inf int32 int64 intp isfinite log
    log1p max maximum minimum moveaxis nan ndindex ones random sign sin sqrt sum tanh uint32
    uint64 uint8 where zeros zeros_like add maximum""".split()
)
# What records name in their texts may be called, too; these never, whatever a record says.
_NEVER = frozenset("load loadtxt save savez savetxt fromfile memmap lib ctypeslib f2py".split())
_NP |= frozenset(
    name
    for op in OPS.values()
    if isinstance(op.numpy, str)
    for name in re.findall(r"\bnp\.(\w+)", op.numpy)
    if name not in _NEVER
)
_WHOLE_NP = frozenset("load savez frombuffer divide".split())
_METHODS = frozenset(
    """T all any argmax argsort astype at c_contiguous copy digest encode flags from_bytes max
    mean ndim Philox random_raw ravel reduce reshape shape size sum swapaxes transpose dtype view
    blake2b sqrt erf prod pi append""".split()
)
_WHOLE_METHODS = frozenset(
    """parent write format join read open sha256 hexdigest argv exit read_bytes decompress
    newbyteorder""".split()
)
_CALLS = frozenset(
    """abs all any bool dict enumerate float int len list max min range reversed slice sum
    tuple zip None True False Ellipsis""".split()
)
_WHOLE_CALLS = frozenset("open print repr str SystemExit __file__ __name__".split())
_MODULES = frozenset({"np", "math", "hashlib", "sliding_window_view"})
_WHOLE_MODULES = frozenset({"Path", "gzip", "sys"})


def check_program(
    tree: ast.Module, known: frozenset[str] = frozenset(), whole: bool = False
) -> None:
    """Raise InternalError for syntax, attributes or names a program has no use for.

    `known` are functions that are there already (the helpers, where they are not copied);
    a `whole` program may read and write files beside it.
    """
    nodes = list(ast.walk(tree))
    kinds = _NODES | _WHOLE_NODES if whole else _NODES
    numpy_names = _NP | _WHOLE_NP if whole else _NP
    methods = _METHODS | _WHOLE_METHODS if whole else _METHODS
    imports = _IMPORTS | _WHOLE_IMPORTS if whole else _IMPORTS
    fixed = _MODULES | _CALLS | (_WHOLE_MODULES | _WHOLE_CALLS if whole else frozenset())
    own = known | {n.name for n in nodes if type(n) is ast.FunctionDef}
    own |= {n.arg for n in nodes if type(n) is ast.arg}
    stored = {n.id for n in nodes if type(n) is ast.Name and type(n.ctx) is ast.Store}
    names = own | stored | fixed
    for node in nodes:
        kind = type(node)
        if kind not in kinds:
            raise _refused(kind.__name__, node)
        if kind is ast.Name:
            assert isinstance(node, ast.Name)
            if node.id not in names or (node.id.startswith("_") and node.id not in fixed | {"_"}):
                raise _refused(f"the name {node.id}", node)
        elif kind is ast.Attribute:
            assert isinstance(node, ast.Attribute)
            of_numpy = type(node.value) is ast.Name and node.value.id == "np"
            if node.attr not in (numpy_names if of_numpy else methods):
                raise _refused(f"the attribute {node.attr}", node)
            if type(node.ctx) is not ast.Load:
                raise _refused(f"a change of {node.attr}", node)
        elif kind in (ast.Import, ast.ImportFrom):
            if ast.unparse(node) not in imports:
                raise _refused("an import", node)
        elif kind is ast.FunctionDef:
            assert isinstance(node, ast.FunctionDef)
            if node.decorator_list or node.name in fixed:
                raise _refused(f"the function {node.name}", node)
    for name in (stored | {n.arg for n in nodes if type(n) is ast.arg}) & fixed:
        raise _refused(f"a new meaning of {name}", tree)


def _refused(what: str, node: ast.AST) -> InternalError:
    return InternalError(
        f"a generated program contains {what}, which is not on the list of what it may contain",
        where=f"line {getattr(node, 'lineno', '?')}",
    )
