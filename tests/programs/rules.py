"""What every printed program keeps to: `broken(text, case)` gives each rule that it breaks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from glassgrad.backends.numpy_source.build import helper_sources
from glassgrad.backends.numpy_source.check import check_program
from glassgrad.backends.numpy_source.names import plain
from glassgrad.nn import Module
from glassgrad.ops import OPS
from glassgrad.ops.activation import SELU_ALPHA, SELU_SCALE

# Every book and library writes the two numbers of SELU digit by digit.
_BY_DIGITS = frozenset({SELU_SCALE, SELU_ALPHA})
_VIEWS = frozenset({"reshape", "ravel", "swapaxes", "transpose", "T", "view"})


def own_functions(tree: ast.Module) -> list[ast.FunctionDef]:
    """The functions that are written for this program: not the helpers, not `main`."""
    helpers = {*helper_sources(), "main"}
    return [s for s in tree.body if isinstance(s, ast.FunctionDef) and s.name not in helpers]


def broken(text: str, model: Module) -> list[str]:
    """Every rule that a program breaks, in words."""
    tree = ast.parse(text)
    whole = "def main():" in text
    check_program(tree, whole=whole)
    found = [*_lines(text), *_numbers(tree), *_scalars(tree)]
    for function in own_functions(tree):
        found += [*_joined(function, model), *_unused(function), *_writes_to_data(function)]
        found += [
            f"{function.name}: fallback name {name}"
            for name in sorted(_assigned(function))
            if re.search(r"_part\d*$", name)
        ]
    return found


def _lines(text: str) -> Iterator[str]:
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > 120:
            yield f"line {number} has {len(line)} characters"
        if line != line.rstrip():
            yield f"line {number} ends in a space"


def _numbers(tree: ast.Module) -> Iterator[str]:
    """Numbers with more than six digits, however they are written, sizes of vectors left out.

    So are the numbers that are known by their digits.
    """
    places = {id(n) for s in ast.walk(tree) if isinstance(s, ast.Slice) for n in ast.walk(s)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            digits = re.sub(r"e.*|\D", "", repr(node.value)).strip("0")
            if len(digits) > 6 and id(node) not in places and node.value not in _BY_DIGITS:
                yield f"line {node.lineno}: the number {node.value!r}"


def _scalars(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and re.fullmatch(
            r"np\.(u?int|float|bool)(\d+|_)?", ast.unparse(node.func)
        ):
            yield f"line {node.lineno}: a NumPy scalar, {ast.unparse(node)}"


def _assigned(function: ast.FunctionDef) -> set[str]:
    names = (n for n in ast.walk(function) if isinstance(n, ast.Name))
    return {n.id for n in names if isinstance(n.ctx, ast.Store)}


def _joined(function: ast.FunctionDef, model: Module) -> Iterator[str]:
    """Names that join a layer's name to an op's: `norm_d_sub`, `conv2_reshape`."""
    layers = {plain(path.rsplit(".", 1)[-1]) for path, _ in model.modules() if path}
    layers |= {plain(path) for path, _ in model.modules() if path} | {"loss", "update"}
    paths = {plain(name) for name in model.named_state()}
    ops = {*OPS, "sub", "mul", "div", "neg", "put", "dot"}
    for name in sorted(_assigned(function)):
        bare = re.sub(r"_?\d+$", "", name.removeprefix("d_"))
        for layer in layers:
            short = re.sub(r"\d+$", "", layer)
            for start in {layer, short}:
                rest = bare.removeprefix(f"{start}_").removeprefix("d_")
                joined = bare.startswith(f"{start}_") and rest in ops
                if joined and name.removeprefix("d_") not in paths | layers:
                    yield f"{function.name}: {name} joins layer {layer} to op {rest}"


def _unused(function: ast.FunctionDef) -> Iterator[str]:
    arguments = {a.arg for a in function.args.args}
    loaded = {
        n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
    }
    for name in sorted(_assigned(function) - loaded - arguments - {"_"}):
        yield f"{function.name}: {name} is assigned and never used"


def _root(node: ast.expr) -> str:
    """The name whose array an expression is a view of, or nothing."""
    while True:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Subscript) or (
            isinstance(node, ast.Attribute) and node.attr in _VIEWS
        ):
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            node = node.func
        else:
            return ""


def _writes_to_data(function: ast.FunctionDef) -> Iterator[str]:
    data = {"x", "y"}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and _root(node.value) in data:
            data |= {t.id for t in node.targets if isinstance(t, ast.Name)}
    for node in ast.walk(function):
        targets: list[ast.expr] = []
        if isinstance(node, ast.AugAssign):
            targets = [node.target]
        elif isinstance(node, ast.Assign):
            targets = [t for t in node.targets if isinstance(t, ast.Subscript)]
        elif isinstance(node, ast.Call):
            targets = [k.value for k in node.keywords if k.arg == "out"]
            targets += node.args[:1] * (ast.unparse(node.func) in ("add_at", "np.add.at"))
        for target in targets:
            if _root(target) in data:
                yield f"{function.name}, line {target.lineno}: writes to {ast.unparse(target)}"
