"""Before a program runs, its syntax is held against a short list of what a program may be.

Generated text is the one thing we execute. Names reach it from users, files and columns, so the
check does not trust the writer. A program is: imports of a fixed list, helpers that stand in it
word for word as we wrote them, and functions made of arithmetic, indexing, loops, NumPy's
functions and the program's own names. Only a whole program touches files, and only those beside
it, in the very words listed here.
"""

from __future__ import annotations

import ast
import re
from functools import lru_cache

from glassgrad.errors import InternalError
from glassgrad.ops import OPS

_NODES: frozenset[type[ast.AST]] = frozenset(
    {
        *(ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assign),
        *(ast.AugAssign, ast.For, ast.If, ast.Expr, ast.Name, ast.Load, ast.Store),
        *(ast.Constant, ast.Tuple, ast.List, ast.Subscript),
        *(ast.Slice, ast.Starred, ast.Attribute, ast.Call, ast.keyword, ast.BinOp, ast.UnaryOp),
        *(ast.BoolOp, ast.Compare, ast.Pass, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv),
        *(ast.Mod, ast.Pow, ast.MatMult, ast.RShift, ast.LShift, ast.BitAnd, ast.BitOr),
        *(ast.BitXor, ast.USub, ast.UAdd, ast.Not, ast.Invert, ast.And, ast.Or, ast.Eq),
        *(ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Delete, ast.Del),
    }
)
# A whole program also reads and writes the files beside it.
_WHOLE_NODES = frozenset(
    {ast.With, ast.withitem, ast.Raise, ast.ListComp, ast.DictComp, ast.comprehension, ast.Is}
    | {ast.IfExp, ast.JoinedStr, ast.FormattedValue}
)
_IMPORTS = frozenset(
    {"import numpy as np", "import math", "import hashlib"}
    | {"from numpy.lib.stride_tricks import sliding_window_view"}
)
_WHOLE_IMPORTS = frozenset({"from pathlib import Path", "import gzip", "import sys"})
_NP = frozenset(
    """abs add all any arange argmax argsort asarray ascontiguousarray bool_ broadcast_to concatenate cos cumsum empty
    empty_like exp expm1 flip float32 float64 full full_like indices inf int32 int64 isfinite log
    log1p max maximum minimum nan ones repeat sign sin sort sqrt sum tanh uint32 uint64 uint8 where zeros
    zeros_like""".split()
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
_MATH = frozenset("cos erf exp isfinite log pi prod sqrt".split())
_METHODS = frozenset(
    """T all any argmax argmin argsort astype at copy dtype max mean min ndim prod ravel reduce
    reshape shape size sum swapaxes transpose""".split()
)
_WHOLE_METHODS = frozenset("append argv join parent write".split())
_KEYWORDS = frozenset("axis keepdims kind out dtype copy".split())
_WHOLE_KEYWORDS = frozenset("encoding sep".split())
_CALLS = frozenset("abs bool float int len max min range reversed slice sum".split())
_WHOLE_CALLS = frozenset("dict enumerate print repr str zip SystemExit __file__".split())
# How a whole program reaches files, word for word (`folder` is a text).
_REACH = re.compile(
    "|".join(
        (
            r"open\(here / 'replayed\.csv', 'w', encoding='utf-8', newline='\\n'\)",
            r"np\.load\(here / '(initial|data)\.npz'\)",
            r"np\.savez\(here / 'replayed\.npz', \*\*final\)",
            r"Path\(__file__\)",
            r"Path\(sys\.argv\[1\] if len\(sys\.argv\) > 1 else folder\)",
        )
    )
)
_REACHING = frozenset({"open", "np.load", "np.savez", "Path"})
_ONE_THREAD = "os.environ['OPENBLAS_NUM_THREADS'] = '1'"
_MAIN = "if __name__ == '__main__':\n    main()"
_MODULES = frozenset({"np", "math"})
_TAKEN = frozenset({"hashlib", "sliding_window_view", "Path", "gzip", "os", "sys", "open", "map"})


@lru_cache(1)
def _helpers() -> dict[str, str]:
    """The syntax of every helper as it stands in its file."""
    from .build import helper_sources

    return {name: ast.dump(ast.parse(text).body[0]) for name, text in helper_sources().items()}


def check_program(
    tree: ast.Module, known: frozenset[str] = frozenset(), whole: bool = False
) -> None:
    """Raise InternalError for syntax, attributes or names a program has no use for.

    `known` are functions that are there already (the helpers, where they are not copied);
    a `whole` program may read and write files beside it.
    """
    own, copied = _top_level(tree, whole)
    nodes = [node for statement in own for node in ast.walk(statement)]
    defined = {node.name for node in nodes if type(node) is ast.FunctionDef}
    stored = {node.id for node in nodes if type(node) is ast.Name and type(node.ctx) is ast.Store}
    given = {node.arg for node in nodes if type(node) is ast.arg}
    own_names = stored - given
    stored |= given
    callable_ = {*known, *copied} - (set() if whole else {"read_idx"})
    fixed = {*_MODULES, *_CALLS, *(_WHOLE_CALLS if whole else ())}
    for name in sorted(stored | defined):
        if name in fixed | _TAKEN | _WHOLE_CALLS or name in _helpers() or name.startswith("__"):
            raise _refused(f"a new meaning of {name}", tree)
    names = {*stored, *defined, *callable_, *fixed}
    reached = _reached(nodes) if whole else set()
    kinds = _NODES | _WHOLE_NODES if whole else _NODES
    for node in nodes:
        if type(node) not in kinds:
            raise _refused(type(node).__name__, node)
        if id(node) in reached:
            continue
        if isinstance(node, ast.Name):
            _check_name(node, names, whole)
        elif isinstance(node, ast.Attribute):
            _check_attribute(node, whole)
        elif isinstance(node, ast.FunctionDef):
            _check_function(node, [*own, *(inner for main in own for inner in _inner(main, whole))])
        elif isinstance(node, ast.keyword):
            if node.arg not in _KEYWORDS and not (whole and node.arg in _WHOLE_KEYWORDS):
                raise _refused(f"the argument {node.arg}", node)
        elif isinstance(node, ast.Constant):
            if not isinstance(node.value, int | float | str | None | type(...)):
                raise _refused("a constant of another kind", node)
        elif isinstance(node, ast.Assign | ast.AugAssign | ast.For):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                _check_target(target)
        elif isinstance(node, ast.withitem):
            if id(node.context_expr) not in reached:
                raise _refused("a block with something", node)
        elif isinstance(node, ast.Expr):
            _check_statement(node)
        elif isinstance(node, ast.Delete):
            _check_deletion(node, own_names)


def _top_level(tree: ast.Module, whole: bool) -> tuple[list[ast.stmt], set[str]]:
    """The statements that are the program's own, and the helpers copied word for word."""
    imports = _IMPORTS | _WHOLE_IMPORTS if whole else _IMPORTS
    if whole and any(ast.unparse(statement) == _ONE_THREAD for statement in tree.body):
        imports |= {"import os"}
    own: list[ast.stmt] = []
    copied: set[str] = set()
    for i, statement in enumerate(tree.body):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            if ast.unparse(statement) not in imports:
                raise _refused("an import", statement)
        elif isinstance(statement, ast.FunctionDef):
            if statement.name not in _helpers():
                own.append(statement)
            elif ast.dump(statement) == _helpers()[statement.name]:
                copied.add(statement.name)
            else:
                raise _refused(f"another {statement.name}", statement)
        elif (i == 0 and _is_text(statement)) or (whole and ast.unparse(statement) == _ONE_THREAD):
            continue
        elif not (whole and i == len(tree.body) - 1 and ast.unparse(statement) == _MAIN):
            raise _refused(f"{type(statement).__name__} outside functions", statement)
    return own, copied


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _reached(nodes: list[ast.AST]) -> set[int]:
    """The nodes of calls that reach files, which are in the very words listed."""
    found: set[int] = set()
    for node in nodes:
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _REACHING:
            text = ast.unparse(node)
            for inner in ast.walk(node):
                if isinstance(inner, ast.IfExp) and isinstance(inner.orelse, ast.Constant):
                    text = text.replace(ast.unparse(inner.orelse), "folder")
            if not _REACH.fullmatch(text):
                raise _refused(f"another use of {ast.unparse(node.func)}", node)
            found |= {id(inner) for inner in ast.walk(node)}
    return found


def _check_name(node: ast.Name, names: set[str], whole: bool) -> None:
    dunder = node.id.startswith("_") and node.id != "_" and not (whole and node.id == "__file__")
    if node.id not in names or dunder:
        raise _refused(f"the name {node.id}", node)


def _check_attribute(node: ast.Attribute, whole: bool) -> None:
    of = node.value.id if isinstance(node.value, ast.Name) else ""
    if of == "np":
        allowed = _NP | ({"divide"} if whole else set())
    elif of == "math":
        allowed = _MATH
    else:
        allowed = _METHODS | _WHOLE_METHODS if whole else _METHODS
    if node.attr not in allowed:
        raise _refused(f"the attribute {node.attr}", node)
    if type(node.ctx) is not ast.Load:
        raise _refused(f"a change of {node.attr}", node)


def _inner(statement: ast.stmt, whole: bool) -> list[ast.stmt]:
    """Functions that a whole program's main may define: what L-BFGS asks for a loss."""
    if not whole or not isinstance(statement, ast.FunctionDef) or statement.name != "main":
        return []
    return [s for s in statement.body if isinstance(s, ast.FunctionDef) and s.name == "objective"]


def _check_function(node: ast.FunctionDef, own: list[ast.stmt]) -> None:
    given = node.args
    plain = not (
        node.decorator_list
        or node.returns
        or getattr(node, "type_params", None)
        or given.posonlyargs
        or given.kwonlyargs
        or given.vararg
        or given.kwarg
        or given.defaults
        or any(a.annotation for a in given.args)
    )
    if not plain or node not in own:
        raise _refused(f"a function like {node.name}", node)


def _check_target(target: ast.expr) -> None:
    """Names, places in named arrays, and rows of such."""
    if isinstance(target, ast.Tuple):
        for item in target.elts:
            _check_target(item)
        return
    held = target.value if isinstance(target, ast.Subscript) else target
    if not isinstance(held, ast.Name):
        raise _refused("a change of something without a name", target)
    if held.id in _MODULES | _TAKEN:
        raise _refused(f"a change of {held.id}", target)


def _check_deletion(node: ast.Delete, names: set[str]) -> None:
    if not all(isinstance(target, ast.Name) and target.id in names for target in node.targets):
        raise _refused("a deletion of what is not its own", node)


def _check_statement(node: ast.Expr) -> None:
    if not isinstance(node.value, ast.Call) and not _is_text(node):
        raise _refused("an expression that does nothing", node)


def _refused(what: str, node: ast.AST) -> InternalError:
    return InternalError(
        f"a generated program contains {what}, which is not on the list of what it may contain",
        where=f"line {getattr(node, 'lineno', '?')}",
    )
