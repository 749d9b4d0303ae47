"""`scan`: a step repeated over a sequence, for tensors and for symbols of a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from glassgrad.errors import ShapeError
from glassgrad.ir import Graph, Type
from glassgrad.ops import OPS, Array, Symbol, Tracer
from glassgrad.ops.control import write_scan

from .tensor import tracing


def scan(
    step: Callable[..., Any], carry: Any, xs: Any, *constants: Any, reverse: bool = False
) -> tuple[Any, Any]:
    """Run `step(*constants, *carry, *xs) -> (carry, y)` for each step of sequences, time first.

    h_t, y_t = step(c, h_{t-1}, x_t). `carry` and `xs` are one tensor or a tuple of them, and so
    are the carry and y that step gives. Returns the last carry and the ys of all steps, stacked
    in the order of the sequence. The body sees only its arguments. With `reverse` the sequence
    is walked from its end. Raises ShapeError where sequences differ in length or the carry
    changes its shape.

    >>> import glassgrad as gg
    >>> xs = gg.tensor([1.0, 2.0, 3.0])
    >>> total, sums = gg.scan(lambda h, x: (h + x, h + x), gg.tensor(0.0), xs)
    >>> sums
    tensor([1., 3., 6.])
    """
    many_carry, many_xs = isinstance(carry, tuple | list), isinstance(xs, tuple | list)
    carries = tuple(carry) if many_carry else (carry,)
    sequences = tuple(xs) if many_xs else (xs,)
    lengths = {x.shape[0] if x.shape else 0 for x in sequences}
    if len(lengths) != 1 or any(not x.shape for x in sequences):
        raise ShapeError(
            "sequences of one length are needed",
            where="scan",
            expected="the first axis of every sequence is time",
            received=", ".join(str(x.shape) for x in sequences),
        )
    (length,) = lengths
    shape: dict[str, bool] = {}

    def body(*operands: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        with tracing(operands[0].tracer):
            new, y = step(*operands)
        shape["many"] = isinstance(y, tuple | list)
        news = tuple(new) if isinstance(new, tuple | list) else (new,)
        return news, tuple(y) if shape["many"] else (y,)

    def write(operands: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
        c, k = len(constants), len(carries)
        loop, values = write_scan(
            lambda *parts: body(*[a for part in parts for a in part]),
            operands[:c],
            operands[c : c + k],
            operands[c + k :],
            length=length,
            reverse=reverse,
        )
        return [loop.last(i) for i in range(k)], [loop.stack(v) for v in values]

    operands: tuple[Any, ...] = (*constants, *carries, *sequences)
    tracer = next((a.tracer for a in operands if isinstance(a, Symbol)), None)
    if tracer is not None:
        last, ys = write(tuple([_lifted(a, tracer) for a in operands]))
    else:
        inner = Tracer()
        symbols = tuple(
            [inner.input(f"x{i + 1}", Type(a.shape, a.dtype)) for i, a in enumerate(operands)]
        )
        last, ys = write(symbols)
        graph = Graph(
            {f"x{i + 1}": s.value for i, s in enumerate(symbols)},
            {f"out{i + 1}": s.value for i, s in enumerate([*last, *ys])},
        )
        found = OPS["call"](*operands, graph=graph)
        results = list(found) if isinstance(found, tuple) else [found]
        last, ys = results[: len(last)], results[len(last) :]
    return (
        tuple(last) if many_carry else last[0],
        tuple(ys) if shape["many"] else ys[0],
    )


def _lifted(array: Array, tracer: Tracer) -> Any:
    return array if isinstance(array, Symbol) else tracer.foreign(array)
