"""What the native executor has for each op: a kernel, an operation of a program, or a reason why not."""

from __future__ import annotations

from glassgrad.ir import Node, Op

# Ops whose name is that of an operation of a program: number by number.
OPERATIONS = frozenset(
    """add subtract multiply divide negative power exp expm1 log log2 log10 log1p tanh sigmoid erf
    sqrt sin cos tan arcsin arccos sinh cosh absolute sign maximum minimum less less_equal greater
    greater_equal equal not_equal select cast logical_and logical_or logical_xor logical_not floor
    ceil trunc round remainder""".split()
)
_IN_PROGRAMS = OPERATIONS | {"relu", "scalar"}  # and those that are written with others
VIEWS = frozenset({"reshape", "permute", "broadcast_to", "slice", "flip", "last", "stack"})
REDUCTIONS = {"sum": "sum", "mean": "sum", "prod": "prod", "max": "max", "min": "min"} | {
    "any": "any",
    "all": "all",
}
PRODUCTS = frozenset({"matmul", "linear"})
CONVOLUTIONS = frozenset({"conv", "conv_dx"})
ATTENTION = frozenset({"attention", "attention_dq", "attention_dk", "attention_dv"})
ATTENTION_WHOLE = True  # the off switch: attention is then products, sums and maps
MOVES = frozenset({"concatenate", "pad", "roll", "scan"})  # written as copies, or as loops
KERNELS = frozenset(
    """log_softmax softmax take add_at pick put_at subtract_one_at take_along_axis add_along_axis
    arange argmax argmin argsort cumsum uniform conv_dw""".split()
)
WINDOWS = frozenset("columns uncolumns max_pool max_unpool max_pick mean_pool mean_unpool".split())

UNSUPPORTED: dict[str, str] = {}  # the name of an op that has no cell, and why


def has_cell(op: Op) -> bool:
    """Whether the planner takes the op as it is; others are expanded."""
    return kind_of_op(op) is not None or op.name in UNSUPPORTED


def kind_of_op(op: Op) -> str | None:
    """What an op becomes; None for one that is expanded, or that there is nothing for."""
    name = op.name
    if name in _IN_PROGRAMS:
        return "map"
    if name in VIEWS:
        return "view"
    if name in REDUCTIONS:
        return "reduce"
    if name in PRODUCTS:
        return "matmul"
    if name in CONVOLUTIONS:
        return "conv"
    if name in WINDOWS:
        return "windows"
    if name in ATTENTION:
        return name if ATTENTION_WHOLE else None
    if name in ("input", "constant") or name in MOVES or name in KERNELS:
        return name
    return None


def kind(node: Node) -> str:
    """What a node of a lowered graph becomes."""
    return kind_of_op(node.op) or "unsupported"


def is_view(node: Node) -> bool:
    """Whether a node only shows what another made."""
    return node.op.name in VIEWS


def missing(nodes: list[Node]) -> str:
    """The first op that has no native cell, and why; empty where all have."""
    for node in nodes:
        body = node.attributes.get("body")
        inner = missing(body.nodes()) if body is not None else ""
        if inner:
            return inner
        if kind(node) == "unsupported":
            return f"{node.op.name}: {UNSUPPORTED.get(node.op.name, 'no native kernel')}"
    return ""
