"""Before a program runs, its syntax is held against a short list of what a program may be.

Generated text is the one thing we execute. Names reach it from users, files and columns, so the
check does not trust the writer: only these kinds of syntax, these modules' functions, and names
that the program itself defines.
"""

from __future__ import annotations

import ast

from ...errors import InternalError

_NODES: tuple[type[ast.AST], ...] = (
    ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assign, ast.AugAssign,
    ast.For, ast.If, ast.Expr, ast.Import, ast.ImportFrom, ast.alias, ast.Name, ast.Load,
    ast.Store, ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.Subscript, ast.Slice, ast.Starred,
    ast.Attribute, ast.Call, ast.keyword, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare,
    ast.IfExp, ast.ListComp, ast.GeneratorExp, ast.comprehension, ast.operator, ast.unaryop,
    ast.boolop, ast.cmpop, ast.While, ast.With, ast.withitem, ast.JoinedStr, ast.FormattedValue,
)
_IMPORTS = {
    "import numpy as np", "import math", "import hashlib",
    "from numpy.lib.stride_tricks import sliding_window_view",
    "import csv",
}
_NP = frozenset(
    """abs add all any arange argmax array asarray bool_ broadcast_to concatenate copy cos copysign
    empty empty_like equal exp expm1 float32 float64 full frompyfunc indices inf int64 intp isfinite
    load log log1p max maximum minimum moveaxis nan ndindex negative ones prod ravel savez sign sin
    sqrt square sum tanh uint32 uint64 uint8 where zeros zeros_like errstate lexsort argsort
    mean ascontiguousarray multiply subtract divide einsum array_equal""".split()
)
_NP_PATHS = frozenset({"np.maximum.reduce", "np.add.at", "np.random.Philox", "np.random"})
_METHODS = frozenset(
    """T all any argmax astype at c_contiguous copy digest encode flags from_bytes isdecimal max
    mean ndim random_raw ravel reduce reshape shape size sum swapaxes transpose dtype view append
    items keys values bit_generator blake2b digest_size writerow writerows lib sqrt erf prod pi
    ctypes itemsize flat fill""".split()
)
_CALLS = frozenset(
    """abs all any bool dict enumerate float int len list max min print range reversed slice sum
    tuple zip repr open str sorted""".split()
)


def check_program(tree: ast.Module, known: frozenset[str] = frozenset()) -> None:
    """Raise InternalError for syntax, attributes or names a program has no use for.

    `known` are functions that are there already (the helpers, where they are not copied).
    """
    defined = known | {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    bound = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    bound |= {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    modules = {"np", "math", "hashlib", "sliding_window_view", "csv"}
    for node in ast.walk(tree):
        if not isinstance(node, _NODES):
            raise _refused(type(node).__name__, node)
        if isinstance(node, ast.Import | ast.ImportFrom) and ast.unparse(node) not in _IMPORTS:
            raise _refused("an import", node)
        if isinstance(node, ast.Attribute):
            _check_attribute(node)
        if isinstance(node, ast.Name):
            name = node.id
            if name.startswith("__") or (
                name not in bound | defined | modules | _CALLS
            ):
                raise _refused(f"the name {name}", node)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            if node.id in modules | _CALLS:
                raise _refused(f"binding {node.id}", node)


def _check_attribute(node: ast.Attribute) -> None:
    path = ast.unparse(node)
    if path.startswith("np.") and path.count(".") == 1:
        if node.attr in _NP or path in _NP_PATHS:
            return
        raise _refused(path, node)
    if path in _NP_PATHS or node.attr in _METHODS:
        return
    raise _refused(f"the attribute {node.attr}", node)


def _refused(what: str, node: ast.AST) -> InternalError:
    return InternalError(
        f"a generated program contains {what}, which is not on the list of what it may contain",
        where=f"line {getattr(node, 'lineno', '?')}",
    )
