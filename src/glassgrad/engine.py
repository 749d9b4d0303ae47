"""Passes, the chosen backend and a cache: graphs in, functions out.

The only module that names a backend.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .errors import ConfigError, UsageError, shown, unknown_name
from .ir import INPUT, Graph

if TYPE_CHECKING:
    from .backends.native.function import NativeFunction
    from .backends.numpy_source.replay import NotFinite as NotFinite  # noqa: PLC0414  # for `train`

BACKENDS = ("auto", "numpy", "native")


class Step:
    """A compiled graph: a function of arrays, in the order of the graph's inputs.

    What it gives is what the outputs hold, one value or a tuple, or those that `returns` names;
    state is changed in place, and None says that a guarded value was not finite. `engine` says
    what runs; `why` why the native executor does not, where "auto" would have liked to.
    """

    def __init__(
        self,
        source: Graph,
        name: str,
        returns: tuple[str, ...] | None,
        backend: str,
        banners: bool = False,
        recompute: bool = False,
    ) -> None:
        self.source = source
        self.recompute = recompute
        self.inputs = tuple(source.inputs)
        self.memory: dict[tuple[int, bool], StepMemory] = {}  # what `step_memory` found
        self._writing = (name, returns, banners)
        self._others: dict[str, Step] = {}
        self.native, self.why = _native(source, returns, check_backend(backend), recompute)
        self.engine = "numpy" if self.native is None else "native"
        self.function: Callable[..., Any]
        if self.native is not None:
            self.function = self.native
        else:
            from .backends.numpy_source.build import compile_written

            self.function = compile_written(self.text)

    def on(self, engine: str) -> Step:
        """The same step for an engine, "numpy" or "native"; itself, where it runs there.

        Raises ConfigError where the engine is not there, or has no kernel for an op.
        """
        if engine == self.engine:
            return self
        found = self._others.get(engine)
        if found is None:
            name, returns, banners = self._writing
            found = Step(self.source, name, returns, engine, banners, self.recompute)
            self._others[engine] = found
        return found

    @cached_property
    def count(self) -> int:
        """How many nodes the graph has."""
        return len(self.source.nodes())

    def is_ready(self, engine: str) -> bool:
        """Whether nothing is left to compile for an engine."""
        return engine == self.engine or engine in self._others

    @cached_property
    def graph(self) -> Graph:
        """The graph in ops that have NumPy text."""
        from .backends.numpy_source.build import lowered, recomputed

        low = lowered(self.source)
        return recomputed(low) if self.recompute else low

    def profile(self, rows: int, on: bool) -> None:
        """Begin or end measuring the kernels of the native plan for so many rows."""
        if self.native is not None:
            self.native.plan(rows).plan.profile(on)

    @cached_property
    def text(self) -> Any:
        """The NumPy text: lines, arguments, identifiers. On the NumPy backend it is what runs."""
        from .backends.numpy_source.build import write_function

        name, returns, banners = self._writing
        return write_function(self.graph, name, returns=returns, banners=banners)


_COMPILED: dict[tuple[str, str], Step] = {}
_LIMIT = 1024
_FEW = 64  # numbers of rows of one step


def check_backend(name: str) -> str:
    """The backend that is meant, "auto" for the fastest that is complete for a graph.

    What "auto" means can be said by the environment, too: GLASSGRAD_BACKEND=numpy. Raises
    ConfigError for an unknown backend, and for one that is not there.
    """
    if name == "auto":
        name = os.environ.get("GLASSGRAD_BACKEND") or name
    if name not in BACKENDS:
        raise unknown_name("backend", name, BACKENDS)
    if name == "native":
        from .backends import native

        if not native.available():
            raise ConfigError(
                "the native executor is not there",
                where="backend",
                expected="a processor and a build of glassgrad that have it",
                received=native.why(),
                hint='backend="numpy" runs the same graph; `glassgrad info` says more',
            )
    return name


def executor() -> tuple[str, str]:
    """The engine that "auto" means where it has all ops, and why it is that one."""
    from .backends import native

    if check_backend("auto") == "numpy":
        return "numpy", "GLASSGRAD_BACKEND=numpy"
    if native.available():
        return "native", f"{native.isa()}: {native.why()}"
    return "numpy", f"the native executor is not there: {native.why()}"


def set_threads(count: int) -> None:
    """Let the native executor use at most `count` threads; 0 goes back to the default.

    The default is what GLASSGRAD_NUM_THREADS says, else the CPUs this process may use, and never
    more than OMP_NUM_THREADS. Small work stays on one thread, and results have the same bits for
    any number. Products in NumPy's text follow OPENBLAS_NUM_THREADS instead.

    Raises ConfigError for anything but a whole number from 0 to 256.

    >>> set_threads(2)
    >>> set_threads(0)
    """
    from .backends import native

    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= 256:
        raise ConfigError(
            "not a number of threads",
            where="set_threads",
            expected="a whole number from 1 to 256, or 0 for the default",
            received=shown(count),
        )
    native.set_threads(count)


def get_threads() -> int:
    """How many threads the native executor may use; 1 where it is not there.

    >>> get_threads() >= 1
    True
    """
    from .backends import native

    return native.get_threads()


_TOLD: set[str] = set()  # of which ops users were told that they have no kernel


def _native(
    graph: Graph, returns: tuple[str, ...] | None, backend: str, recompute: bool
) -> tuple[NativeFunction | None, str]:
    """The graph for the native executor, or why it is not for it."""
    if backend == "numpy":
        return None, ""
    from .backends import native

    if not native.available():
        return None, native.why()
    from .backends.native.function import NativeFunction

    found = NativeFunction(graph, returns, recompute)
    if found.missing and backend == "native":
        raise ConfigError(
            "the native executor has no kernel for an op of this network",
            where="backend",
            expected="ops that have one",
            received=found.missing,
            hint='backend="auto" runs the whole network as NumPy text',
        )
    if not found.missing:
        return found, ""
    if found.missing not in _TOLD:
        _TOLD.add(found.missing)
        warnings.warn(
            f"this network runs as NumPy text: the native executor has no kernel for an op of it"
            f' ({found.missing}); backend="numpy" says that this is meant',
            stacklevel=2,
        )
    return None, found.missing


def compile_graph(graph: Graph, backend: str = "numpy") -> Callable[..., Any]:
    """A graph as a function of NumPy arrays, in the order of its inputs.

    Equal structures share one function. The result is what the graph's outputs hold, one value
    or a tuple; state is changed in place.
    """
    return compiled(graph, backend).function


def compiled(graph: Graph, backend: str = "auto") -> Step:
    """A graph compiled; equal structures share one."""
    key = (graph.structure(), check_backend(backend))
    found = _COMPILED.get(key)
    if found is None:
        if len(_COMPILED) >= _LIMIT:
            _COMPILED.pop(next(iter(_COMPILED)))
        found = _COMPILED[key] = Step(graph, "program", None, backend)
    return found


def compile_step(
    graph: Graph,
    name: str,
    *,
    returns: tuple[str, ...],
    backend: str = "numpy",
    recompute: bool = False,
) -> Step:
    """A step with its readable text; on the NumPy backend the function is exactly that text.

    With `recompute` it keeps less of the way forward, and does it again on the way back.
    """
    from .backends.numpy_source.memory import keep_memory

    keep_memory()
    return Step(graph, name, returns, backend, banners=True, recompute=recompute)


@dataclass(frozen=True, slots=True)
class KernelLine:
    """One kernel of a plan: its variant, shapes, work of one run of it, and where it came from."""

    kernel: str
    variant: str
    shapes: str
    flop: float
    bytes: float
    times: int  # how often a step runs it
    seconds: float  # in a step, where it was measured
    about: str


@dataclass(frozen=True, slots=True)
class RecomputeCost:
    """What doing the way forward again saves, and what it costs, in a step on so many rows.

    `memory` in bytes and `flop` are those of the native plan, `memory_kept` and `flop_kept` those
    of the plan that keeps all activations. Where NumPy text runs, all four are 0. `again` is how
    many of the `forward` operations are done twice.
    """

    rows: int
    memory: int
    memory_kept: int
    flop: float
    flop_kept: float
    again: int
    forward: int

    def __str__(self) -> str:
        if not self.again:
            return f"no memory to save for {self.rows} rows, nothing is done again"
        if not self.memory:
            twice = f"{self.again} of {self.forward} operations of the way forward are done again"
            return f"{twice}; how much memory NumPy takes is not known"
        more = 100 * (self.flop / self.flop_kept - 1) if self.flop_kept else 0
        now, kept = _megabytes(self.memory), _megabytes(self.memory_kept)
        return f"{now} instead of {kept} for {self.rows} rows, {more:.0f} % more work"


def _megabytes(size: int) -> str:
    if size < 1e6:
        return f"{size / 1e3:.{0 if size >= 1e4 else 1}f} kB"
    return f"{size / 1e6:.{0 if size >= 1e7 else 1}f} MB"


def recompute_cost(step: Step, rows: int) -> RecomputeCost:
    """The cost of a step compiled with `recompute`, for so many rows."""
    weights, graph = ((0, 0.0), (0, 0.0)), step.graph
    if step.native is not None:
        from .backends.native.describe import weighed

        weights, graph = weighed(step.native, rows), step.native.plan(rows).graph
    (memory, flop), (memory_kept, flop_kept) = weights
    nodes = [n for n in graph.nodes() if n.op is not INPUT and n.op.result == "fresh"]
    again = sum(n.origin.again for n in nodes)
    forward = sum(n.origin.phase == "forward" for n in nodes)
    return RecomputeCost(rows, memory, memory_kept, flop, flop_kept, again, forward)


@dataclass(frozen=True, slots=True)
class StepMemory:
    """The memory that a step takes beside data, weights and moments, and its arrays, largest first.

    On the native engine its arena, to the byte; of NumPy text an upper bound.
    """

    bytes: int
    arrays: tuple[tuple[int, str], ...]  # bytes, and what it is


def step_memory(step: Step, rows: int, called: bool = False) -> StepMemory:
    """What a step needs for so many rows, found out without asking for any of it.

    `called` says that it is called batch by batch, not run in a loop.
    """
    key = (rows, called)
    if key not in step.memory:
        if len(step.memory) >= _FEW:
            step.memory.clear()
        step.memory[key] = _step_memory(step, rows, called)
    return step.memory[key]


def _step_memory(step: Step, rows: int, called: bool) -> StepMemory:
    if step.native is not None:
        total, pieces = step.native.arena(rows, called)
        each = [(size, lay.shape, about) for size, lay, about in pieces]
    else:
        from .backends.numpy_source import footprint

        total, found = footprint.arrays(step.text, dict.fromkeys(step.graph.sizes, rows))
        each = [(a.bytes, a.shape, a.about) for a in found]
    told = [(size, f"{about} ({' x '.join(map(str, shape))})") for size, shape, about in each]
    return StepMemory(total, tuple(sorted(told, key=lambda a: -a[0])))


def plan_lines(step: Step, rows: int) -> tuple[list[KernelLine], dict[str, Any]]:
    """The kernels of a native step for so many rows, and `arena`, `isa` and `threads`.

    Raises UsageError for a step that runs as NumPy text.
    """
    if step.native is None:
        raise UsageError(
            "this step has no native plan",
            expected="the native executor, and kernels for all its ops",
            received=step.why or "a step that runs as NumPy text",
            hint="gg.source prints the text",
        )
    from .backends.native.describe import described

    lines, about = described(step.native, rows)
    return [KernelLine(**line) for line in lines], about


def peak_flop(dtype: str, threads: int) -> float:
    """Flop a second in fused multiply-adds on registers, measured now."""
    from .backends.native import _native

    return _native.peak(dtype, threads)


def lbfgs_function() -> Callable[..., Any]:
    """L-BFGS on one vector, the very function that programs print."""
    from .backends.numpy_source.lbfgs import lbfgs

    return lbfgs


def image_changes() -> Any:
    """What `data.Augment` does to images, the very functions that programs print."""
    from .backends.numpy_source import images

    return images


def is_small(step: Step, rows: int) -> bool:
    """Whether a NumPy step, for so many rows, runs on one thread: no product gains by more."""
    if step.engine != "numpy":
        return False
    from .backends.numpy_source.threads import blas_threads, small

    return blas_threads() is not None and small(step.graph, rows)


def matrix_products() -> tuple[str, int | None]:
    """The processor that NumPy's products are made for, and their threads, where these are known."""
    from .backends.numpy_source.threads import blas_threads, kernel

    return kernel(), blas_threads()


def on_one_thread(wanted: bool) -> AbstractContextManager[None]:
    """Matrix products on one thread meanwhile, if that is wanted."""
    from .backends.numpy_source.threads import one_thread

    return one_thread(wanted)


def first_not_finite(graph: Graph, arguments: Sequence[Any]) -> NotFinite | None:
    """Where a step's state, loss or gradient first stops being finite, op by op on NumPy."""
    from .backends.numpy_source import replay

    return replay.first_not_finite(graph, arguments)


def step_source(step: Step, about: list[tuple[str, str]]) -> str:
    """The text of a step, with the helpers it uses."""
    from .backends.numpy_source.program import step_program

    return step_program(step.text, about)


def program_source(
    step: Step, update: Step | None, evaluate: Step | None, recipe: dict[str, Any]
) -> str:
    """The text of a whole run; `recipe` holds the settings of `program.Recipe`."""
    from .backends.numpy_source.program import IdxFiles, Recipe, whole_program

    if recipe.get("data") is not None:
        recipe = {**recipe, "data": IdxFiles(**recipe["data"])}
    texts = [None if each is None else each.text for each in (update, evaluate)]
    return whole_program(step.text, texts[0], texts[1], Recipe(**recipe))


def fresh_names() -> Any:
    """What hands out identifiers, each once, whatever the user called things."""
    from .backends.numpy_source.names import Names

    return Names()


def graph_source(graph: Graph, name: str = "program") -> str:
    """The text of a graph as one function."""
    from .backends.numpy_source.build import assemble, function_text, lowered, write_function

    return assemble([function_text(write_function(lowered(graph), name))])
