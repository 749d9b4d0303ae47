"""A graph as a function that the native executor runs, and as a loop over batches of rows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.errors import DataError, InternalError
from glassgrad.ir import Graph
from glassgrad.passes.layout import Lay, Memory

from .build import HOST, RESULTS, Planned, lowered, planned, recomputed, why_not

AnyArray = NDArray[Any]
_KEPT = 8  # plans of one function, each for other numbers of rows
DONE, NOT_FINITE, OUTSIDE = 0, 1, 2  # how a run ends


class NativeFunction:
    """Called with the graph's inputs in order; `missing` says what there is no kernel for.

    `again` says to keep less of the way forward, and to do it again on the way back.
    """

    def __init__(self, graph: Graph, returns: Sequence[str] | None, again: bool = False) -> None:
        self.graph = lowered(graph)
        self.missing = why_not(self.graph)
        self.returns = tuple(graph.outputs if returns is None else returns)
        # They have the same results: the one runs whose plan needs least memory.
        self.graphs = [self.graph]
        if again and not self.missing:
            self.graphs.append(recomputed(self.graph, self.returns))
        # What a training step gives is single numbers, which a loop collects in one table.
        self.numbers = returns is not None and all(
            self.graph.outputs[name].type.shape == () for name in self.returns
        )
        self._plans: OrderedDict[Any, _Bound] = OrderedDict()
        self._names = list(self.graph.inputs)
        self._sizes = [
            (size, self._names.index(name), axis) for size, (name, axis) in self.graph.sizes.items()
        ]

    def __call__(self, *arguments: Any) -> Any:
        shapes = tuple([np.shape(arguments[at])[axis] for _, at, axis in self._sizes])
        return self._bound(shapes, False).call(arguments)

    def _bound(self, shapes: tuple[int, ...], results: bool) -> _Bound:
        key = (shapes, results)
        found = self._plans.get(key)
        if found is None:
            names = [name for name, _, _ in self._sizes]
            sizes = dict(zip(names, shapes, strict=True))
            found = _Bound(self.graphs, sizes, self.returns, results)
            if len(self._plans) >= _KEPT:
                self._plans.popitem(last=False)
            self._plans[key] = found
        self._plans.move_to_end(key)
        return found

    def plan(self, rows: int) -> _Bound:
        """The plan for so many rows, as a loop or a call runs it."""
        return self._bound((rows,) * len(self._sizes), self.numbers)

    def arena(self, rows: int, called: bool) -> tuple[int, list[tuple[int, Lay, str]]]:
        """Bytes of the arena for so many rows, and its pieces; no memory is asked for.

        `called` says that the function will be called, not run in a loop: that is another plan.
        """
        of = self._bound((rows,) * len(self._sizes), self.numbers and not called)
        pieces: dict[Memory, tuple[int, Lay, str]] = {}
        for step in of.planned.steps:
            for lay in step.writes:
                memory = lay.memory.whole()[0]
                if memory.base == 0:
                    pieces.setdefault(memory, (memory.bytes, lay, step.about))
        return of.planned.encoded.arena, [*pieces.values()]

    def bound(
        self, name: str, rows: int, arrays: Mapping[str, AnyArray]
    ) -> Callable[[AnyArray], AnyArray] | None:
        """The plan for so many rows as a function of one input, all others being fixed.

        It takes arrays of the input's own dtype and shape, contiguous, and looks at neither. None
        where the graph asks more of the host.
        """
        if len(self._sizes) != 1 or len(self.returns) != 1:
            return None
        of = self.plan(rows)
        if of.planned.hosts:
            return None
        ports = of.planned.ports
        at = next((i for i, p in enumerate(ports) if p.name == name), None)
        if at is None:
            return None
        out = ports[-1]
        first = [
            np.zeros(p.shape, p.dtype) if p.name not in arrays else arrays[p.name] for p in ports
        ]
        call = of.plan.bind(first).call
        plan, base, result = of.plan, at + 1, len(ports)
        empty, shape, dtype = np.empty, out.shape, np.dtype(out.dtype)

        def run(x: AnyArray) -> AnyArray:
            found = empty(shape, dtype)
            if status := call(base, x, result, found):
                check(plan, status)
            return found

        return run

    def loop(
        self, arrays: Mapping[str, AnyArray], data: Sequence[str], batch: int, seed: int
    ) -> NativeLoop | None:
        """Steps on batches of the rows of `data`; `arrays` has these and all state.

        None where the graph has sizes beside the number of rows, or gives more than numbers.
        """
        if len(self._sizes) != 1 or not self.numbers:
            return None
        return NativeLoop(self, arrays, data, batch, seed)


class _Bound:
    """A plan, and how arguments become its bases."""

    def __init__(
        self,
        graphs: Sequence[Graph],
        sizes: dict[str, int],
        returns: tuple[str, ...],
        results: bool,
    ) -> None:
        from . import _native

        every = [
            planned(graph, sizes, _native.catalogue(), returns=returns, results=results)
            for graph in graphs
        ]
        best = min(range(len(every)), key=lambda i: every[i].encoded.arena)
        self.graph = graphs[best]
        self.planned: Planned = every[best]
        self.plain: Planned = every[0]
        names = list(graphs[0].inputs)
        self._takes = [
            (names.index(port.name), port) for port in self.planned.ports if port.name in names
        ]
        self._hosts = [(names.index(name), dtype) for name, dtype in self.planned.hosts]
        self._outs = [port for port in self.planned.ports if port.name.startswith("out ")]

    @cached_property
    def plan(self) -> Any:
        """Verified and ready, the memory of its arena asked for."""
        return made(self.planned)

    def call(self, arguments: Sequence[Any]) -> Any:
        """Run once; None where a guarded value was not finite."""
        arrays: list[AnyArray] = []
        for at, port in self._takes:
            array = arguments[at]
            if not port.written:
                array = np.ascontiguousarray(array, port.dtype)
            arrays.append(array)
        if self._hosts:
            host = np.zeros(len(self._hosts))
            for i, (at, dtype) in enumerate(self._hosts):
                write_host(host, i, dtype, arguments[at])
            arrays.append(host)
        outs = [np.empty(port.shape, port.dtype) for port in self._outs]
        status = self.plan.run([*arrays, *outs])
        if status == NOT_FINITE:
            return None
        check(self.plan, status)
        found = [out[()] for out in outs]
        return found[0] if len(found) == 1 else tuple(found)


def made(planned: Planned) -> Any:
    """A plan, verified and ready."""
    from . import _native

    numbers = planned.encoded
    return _native.Plan(numbers.bases, numbers.slots, numbers.code, numbers.reals)


def write_host(host: AnyArray, at: int, dtype: str, value: Any) -> None:
    """A number of the host in its eight bytes; whole ones up to 2**64 keep their bits."""
    if dtype == "float64":
        host[at] = value
    else:
        host.view(np.uint64)[at] = int(value) & (2**64 - 1)


def check(plan: Any, status: int) -> None:
    """Raise DataError where a position was outside its table."""
    if status == OUTSIDE:
        position, size = plan.fault or ("a position", "the size of its own table")
        raise DataError(
            "a position is outside the table it is looked up in",
            where="a row of this batch",
            expected=f"tokens and labels from 0 to below {size}",
            received=str(position),
            hint="compare each column of x with the table (nn.Embedding) it goes to",
        )
    if status != DONE:
        raise InternalError("the native executor stopped", received=str(status))


class NativeLoop:
    """Many steps in one call: rows are cut into batches, chosen by an order where there is one."""

    def __init__(
        self,
        function: NativeFunction,
        arrays: Mapping[str, AnyArray],
        data: Sequence[str],
        batch: int,
        seed: int,
    ) -> None:
        from . import _native

        rows = len(arrays[data[0]])
        main = function.plan(batch)
        rest = function.plan(rows % batch) if rows % batch else None
        ports = main.planned.ports
        self.columns = len(function.returns)
        self._hosts = main.planned.hosts
        self._seed = seed
        bases: list[Any] = []
        of_rows: list[int] = []
        tables: list[int] = []
        for base, port in enumerate(ports, 1):
            if port.name in (HOST, RESULTS):
                tables.append(base)  # the host's numbers come first
                bases.append(None)
                continue
            bases.append(np.ascontiguousarray(arrays[port.name]))
            if port.name in data:
                of_rows.append(base)
        self._plan = main.plan
        self._loop = _native.Loop(
            main.plan, None if rest is None else rest.plan, bases, of_rows, tables, rows, batch
        )

    def advance(
        self,
        orders: AnyArray | None,
        first: int,
        rates: AnyArray,
        step: int,
        out: AnyArray,
        budget: float,
    ) -> tuple[int, bool]:
        """As many steps as there are rates, or as the budget of seconds allows; what each gave.

        Batches are counted through the epochs of `orders` from 0, `first` is where to begin, and
        `step` the number of that step. Gives how many steps were done, and whether all were
        finite. Raises DataError for a position outside its table.
        """
        count = len(rates)
        tables = [out]
        if self._hosts:
            hosts = np.zeros((count, len(self._hosts)))
            for i, (name, dtype) in enumerate(self._hosts):
                if name == "rate":
                    hosts[:, i] = rates
                elif name == "step":
                    hosts.view(dtype)[:, i] = np.arange(step, step + count)
                else:
                    hosts.view(np.uint64)[:, i] = self._seed
            tables = [hosts, out]
        done, status = self._loop.advance(orders, first, count, tables, budget)
        if status != NOT_FINITE:
            check(self._plan, status)
        return done, status != NOT_FINITE
