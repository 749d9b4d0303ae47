"""Eager tensors: NumPy arrays that remember how they came about.

Eager work runs op by op the same NumPy text that a program runs whole. What is done to a tensor
that requires a gradient is noted on it as a step; `backward` walks the steps back with the same
rules and the same walk as a graph.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from glassgrad.engine import compile_graph
from glassgrad.errors import DataError, DTypeError, ShapeError, TraceError, UsageError, shown
from glassgrad.ir import DTYPES, FLOATS, Graph, Op, Shape, Type, Value, attribute_key
from glassgrad.ops import Array, Symbol, Tracer, checked_number, number_dtype, user_line
from glassgrad.passes.differentiate import Step, pull_back
from glassgrad.passes.positions import positions_of

AnyArray = NDArray[Any]
_WIDER = {"int8": "int64", "int16": "int64", "int32": "int64", "uint16": "int64"}


class _Mode(threading.local):
    recording = True
    tracer: Tracer | None = None


_PLAIN = (int, float, bool)
_MODE = _Mode()
_COUNT = itertools.count()


class _Cell:
    """An op compiled for operands of certain types."""

    __slots__ = ("differentiable", "positions", "run", "types")

    def __init__(self, op: Op, types: tuple[Type, ...], attributes: dict[str, Any]) -> None:
        tracer = Tracer()
        operands = tuple(
            [
                tracer.input(f"x{i + 1}", t, "host" if not t.shape else "data").value
                for i, t in enumerate(types)
            ]
        )
        values = tracer.node(op, operands, attributes)
        self.types = tuple([v.type for v in values])
        self.positions = positions_of(values[0].node)
        self.differentiable = (op.vjp is not None or "call" in op.roles) and any(
            t.dtype in FLOATS for t in self.types
        )
        inputs: dict[str, Value] = {f"x{i + 1}": v for i, v in enumerate(operands)}
        outputs = {f"out{i + 1}": v for i, v in enumerate(values)}
        self.run: Callable[..., Any] = compile_graph(Graph(inputs, outputs))


def check_positions(where: str, index: Any, size: int, ignored: int | None = None) -> None:
    """Raise DataError for a position outside its axis; NumPy would wrap a negative one."""
    index = np.asarray(index)
    if not index.size or (index.min() >= 0 and index.max() < size):
        return
    outside = (index < 0) | (index >= size)
    if ignored is not None:
        outside &= index != ignored
    if outside.any():
        raise DataError(
            "a position outside the axis",
            where=where,
            expected=f"0 to {size - 1}" if size else "no position: the axis is empty",
            received=str(index[outside].flat[0]),
        )


_CELLS: dict[Any, _Cell] = {}
_CELL_LIMIT = 8192


class Tensor(Array):
    """An immutable array of numbers; make one with `gg.tensor`.

    >>> import glassgrad as gg
    >>> x = gg.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad.numpy()
    array([2., 4.], dtype=float32)
    """

    __slots__ = ("__weakref__", "_data", "_step", "_type", "grad", "requires_grad", "version")
    emit_rank = 10

    def __init__(self, data: Any, type: Type, requires_grad: bool = False) -> None:  # noqa: A002  # the IR's word
        # A program gives a number that depends on no array as a plain one, without a dtype.
        self._data = np.asarray(data, type.dtype) if data.__class__ in _PLAIN else data
        self._type = type
        self._step: _Done | None = None
        self.requires_grad = requires_grad
        self.grad: Tensor | None = None
        self.version = 0

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        """What copies and pickles keep: the numbers, not the steps that led to them."""
        names = {n for kind in type(self).__mro__ for n in getattr(kind, "__slots__", ())}
        held = {n: getattr(self, n) for n in names - {"__weakref__"} if hasattr(self, n)}
        return None, {**held, "_step": None}

    @property
    def shape(self) -> Shape:
        return self._type.shape

    @property
    def dtype(self) -> str:
        return self._type.dtype

    @property
    def array_type(self) -> Type:
        """Shape and dtype as one value."""
        return self._type

    def numpy(self) -> AnyArray:
        """The numbers as a NumPy array that cannot be written to."""
        view: AnyArray = np.asarray(self._data).view()
        view.flags.writeable = False
        return view

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)  # uncopied, it cannot be written to

    def item(self) -> float | int | bool:
        """The only number, as a Python number."""
        if self.size != 1:
            raise ShapeError(
                "only a tensor of one number is a number", received=f"shape {self.shape}"
            )
        found: float | int | bool = np.asarray(self._data).item()
        return found

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __index__(self) -> int:
        if self.dtype not in ("int64", "uint8", "uint32"):
            raise DTypeError("only a whole number can be an index", received=repr(self))
        return int(self.item())

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        text = np.array2string(np.asarray(self._data), separator=", ", prefix="tensor(")
        extra = "" if self.dtype == "float32" else f", dtype={self.dtype}"
        return f"tensor({text}{extra}{', requires_grad=True' if self.requires_grad else ''})"

    def detach(self) -> Tensor:
        """The same numbers, without a past."""
        return Tensor(self._data, self._type)

    # -- ops -----------------------------------------------------------------------------------

    def emit(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
        if _MODE.tracer is not None:
            return _MODE.tracer.emit(op, inputs, attributes)
        if "constant" in op.roles:  # no operand gives it a dtype, and a program writes `0`
            return full((), attributes["value"], attributes["dtype"])
        types: list[Type | None] = [None] * len(inputs)
        arrays = list(inputs)
        tracked = False
        numbers = False
        for i, operand in enumerate(inputs):
            if isinstance(operand, Tensor):
                arrays[i] = operand._data
                types[i] = operand._type
                tracked = tracked or operand.requires_grad
            else:
                numbers = True
        if numbers:
            inputs = _with_numbers(op, inputs, types, arrays)
        if attributes:
            key: Any = (op.name, *types, *[attribute_key(v) for v in attributes.values()])
        else:
            key = (op.name, *types)
        cell = _CELLS.get(key)
        if cell is None:
            if len(_CELLS) >= _CELL_LIMIT:
                _CELLS.pop(next(iter(_CELLS)))
            cell = _CELLS[key] = _Cell(op, tuple(types), attributes)  # type: ignore[arg-type]  # all filled
        if cell.positions is not None:
            at = cell.positions
            check_positions(op.name, arrays[at.operand], int(str(at.size)), at.ignored)
        found = cell.run(*arrays)
        results = found if len(cell.types) > 1 else (found,)
        outputs = tuple([Tensor(d, t) for d, t in zip(results, cell.types, strict=True)])
        if tracked and _MODE.recording and cell.differentiable:
            done = _Done(op, inputs, outputs, attributes)
            for tensor in outputs:
                if tensor.dtype in FLOATS:
                    tensor.requires_grad = True
                    tensor._step = done
        return outputs[0] if len(outputs) == 1 else outputs

    # -- derivatives ---------------------------------------------------------------------------

    def backward(self, gradient: Tensor | AnyArray | float | None = None) -> None:
        """Add the derivative of this number to the `grad` of every tensor it came from.

        Raises UsageError if nothing before it requires a gradient, if it is not one number and
        no `gradient` is given, or if a parameter has been assigned to since.
        """
        if gradient is not None and not isinstance(gradient, Tensor):
            gradient = tensor(gradient, self.dtype)
        for leaf, found in derivatives(self, gradient).items():
            leaf.grad = found if leaf.grad is None else leaf.grad + found


class _Done(Step):
    """A step of eager work: when it was done, and on which versions.

    A result holds its step, so a step only points at its results: no cycle keeps arrays alive.
    One that is gone was not needed on the way to what is differentiated.
    """

    __slots__ = ("_results", "at", "versions")

    def __init__(
        self,
        op: Op,
        inputs: tuple[Any, ...],
        outputs: tuple[Tensor, ...],
        attributes: dict[str, Any],
    ) -> None:
        super().__init__(op, inputs, outputs, attributes)
        self.at = next(_COUNT)
        self.versions = tuple([x.version if isinstance(x, Tensor) else 0 for x in inputs])

    @property
    def outputs(self) -> tuple[Any, ...]:
        """The results that are still there, None for others."""
        return tuple([result() for result in self._results])

    @outputs.setter
    def outputs(self, results: tuple[Tensor, ...]) -> None:
        self._results = tuple([weakref.ref(result) for result in results])

    def check(self) -> None:
        """Refuse a derivative through numbers that are no longer there."""
        for operand, version in zip(self.inputs, self.versions, strict=True):
            if isinstance(operand, Tensor) and operand.version != version:
                name = getattr(operand, "name", "") or f"of shape {operand.shape}"
                raise UsageError(
                    "a derivative through a parameter that has changed since",
                    where=f"{self.op.name}, parameter {name}",
                    expected="backward before the parameter is assigned to",
                    received=f"version {operand.version}, used in version {version}",
                    hint="compute the loss again, then call backward",
                )


def derivatives(
    result: Tensor,
    gradient: Tensor | None = None,
    create_graph: bool = False,
    wrt: Sequence[Tensor] | None = None,
) -> dict[Tensor, Tensor]:
    """The derivative of a result in every leaf it came from, or in the tensors of `wrt`."""
    if not result.requires_grad:
        raise UsageError(
            "nothing here requires a gradient",
            expected="a result of tensors made with requires_grad=True, or of parameters",
            received=repr(result.array_type),
        )
    if gradient is None:
        if result.size != 1:
            raise UsageError(
                "a derivative starts from one number",
                expected="a scalar, such as a mean or a sum",
                received=f"shape {result.shape}",
                hint="reduce it first: y.sum().backward()",
            )
        gradient = full(result.shape, 1, result.dtype)
    elif gradient.shape != result.shape:
        raise ShapeError(
            "the gradient given does not fit the result",
            expected=repr(result.array_type),
            received=repr(gradient.array_type),
        )
    gradient = gradient.astype(result.dtype)
    done, leaves = history(result, wrt or ())
    if wrt is not None:
        leaves = list(wrt)
    reached = {id(leaf) for leaf in leaves}
    for step in done:
        if any(id(x) in reached for x in step.inputs):
            reached.update(id(y) for y in step.outputs)
    with recording() if create_graph else no_grad():
        found = pull_back(
            done,
            [(result, gradient)],
            lambda x: isinstance(x, Tensor) and x.requires_grad and id(x) in reached,
            id,
            lambda step: nullcontext(),
        )
    return {leaf: found[id(leaf)] for leaf in leaves if id(leaf) in found}


def history(result: Tensor, stops: Sequence[Tensor] = ()) -> tuple[list[_Done], list[Tensor]]:
    """The steps that led to a result, in their order, and the tensors it all came from."""
    ends = {id(tensor) for tensor in stops}
    steps: dict[int, _Done] = {}
    leaves: dict[int, Tensor] = {}
    todo = [result]
    while todo:
        tensor = todo.pop()
        done = None if id(tensor) in ends else tensor._step
        if done is None:
            leaves[id(tensor)] = tensor
        elif done.at not in steps:
            done.check()
            steps[done.at] = done
            todo += [x for x in done.inputs if isinstance(x, Tensor) and x.requires_grad]
    return [steps[at] for at in sorted(steps)], list(leaves.values())


@contextmanager
def recording() -> Iterator[None]:
    """What is done meanwhile is remembered, also inside `no_grad`."""
    before, _MODE.recording = _MODE.recording, True
    try:
        yield
    finally:
        _MODE.recording = before


@contextmanager
def no_grad() -> Iterator[None]:
    """Nothing done meanwhile is remembered.

    >>> import glassgrad as gg
    >>> x = gg.tensor([1.0], requires_grad=True)
    >>> with gg.no_grad():
    ...     (x * 2).requires_grad
    False
    """
    before, _MODE.recording = _MODE.recording, False
    try:
        yield
    finally:
        _MODE.recording = before


@contextmanager
def tracing(tracer: Tracer) -> Iterator[None]:
    """What is done to tensors meanwhile is written down instead: parameters become inputs."""
    before = _MODE.tracer, _MODE.recording
    _MODE.tracer, _MODE.recording = tracer, True
    try:
        yield
    finally:
        _MODE.tracer, _MODE.recording = before


def is_recording() -> bool:
    """Whether what is done now will have derivatives."""
    return _MODE.recording


def _with_numbers(
    op: Op, inputs: tuple[Any, ...], types: list[Type | None], arrays: list[Any]
) -> tuple[Any, ...]:
    """Operands that are plain numbers, typed by their neighbours; arrays become tensors."""
    found = list(inputs)
    for i, operand in enumerate(found):
        if isinstance(operand, np.ndarray):
            found[i] = tensor(operand)
            arrays[i], types[i] = found[i]._data, found[i]._type
    dtype = number_dtype([t.dtype for t in types if t is not None])
    for i, given in enumerate(found):
        if types[i] is None:
            operand = given.item() if isinstance(given, np.generic) else given
            if not isinstance(operand, int | float):
                raise UsageError(
                    f"{op.name}: this operand is not a tensor",
                    expected="a tensor, a NumPy array or a number",
                    received=shown(operand),
                )
            found[i] = checked_number(operand, dtype)
            # A plain number takes its neighbours' dtype; NumPy lets no subclass of float do so.
            arrays[i] = float(found[i]) if isinstance(found[i], float) else found[i]
            types[i] = Type((), dtype)
    return tuple(found)


def full(shape: Shape, value: Any, dtype: str) -> Tensor:
    """A tensor of one number everywhere."""
    return Tensor(np.full(shape, value, dtype), Type(shape, dtype))


def tensor(data: Any, dtype: str | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor of these numbers, copied.

    Python numbers become float32 or int64; a NumPy array keeps its dtype (narrower whole numbers
    widen to int64). Raises DTypeError for anything that is not numbers.

    >>> import glassgrad as gg
    >>> gg.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]], dtype=int64)
    """
    if isinstance(data, Tensor):
        data = data._data
    try:
        array = np.array(data)
    except ValueError:
        raise ShapeError(
            "rows of different lengths are not a tensor", received=shown(data)
        ) from None
    name = array.dtype.name
    if not isinstance(data, np.ndarray | np.generic) and name == "float64":
        name = "float32"
    wanted = dtype or _WIDER.get(name, name)
    if wanted not in DTYPES or (name not in DTYPES and name not in _WIDER):
        raise DTypeError(
            "these are not numbers a tensor can hold",
            expected="one of " + ", ".join(DTYPES),
            received=f"{name} {shown(data)}" if dtype is None else shown(dtype),
        )
    kept = np.ascontiguousarray(array.astype(wanted)).reshape(array.shape)
    if wanted not in FLOATS and name != wanted and not np.array_equal(kept, array):
        raise DTypeError(
            f"these numbers are not all {wanted}",
            expected=f"numbers that {wanted} can hold",
            received=shown(data),
            hint="round or cut them first",
        )
    array = kept
    if requires_grad and wanted not in FLOATS:
        raise DTypeError("only real numbers have derivatives", received=wanted)
    return Tensor(array, Type(array.shape, wanted), requires_grad)


class Parameter(Tensor):
    """A tensor that training changes; its numbers are replaced with `assign`.

    >>> import glassgrad as gg
    >>> w = gg.Parameter([1.0, 2.0])
    >>> w.assign(w.detach() * 2)
    tensor([2., 4.], requires_grad=True)
    """

    __slots__ = ("constraint", "name", "regularizer")

    def __init__(
        self,
        data: Any,
        type: Type | None = None,  # noqa: A002  # the IR's word
        requires_grad: bool = True,
        name: str = "",
    ) -> None:
        if type is None:
            made = tensor(data, requires_grad=requires_grad)
            data, type = made._data, made._type  # noqa: A001  # likewise
        super().__init__(data, type, requires_grad)
        self.name = name
        self.regularizer: Callable[[Any], Any] | None = None  # w -> its penalty, for training
        self.constraint: Callable[[Any], Any] | None = None  # w -> w, after each update

    def assign(self, data: Any) -> Self:
        """Replace the numbers: same shape, same dtype. Raises ShapeError or DTypeError.

        While a program is being written, a traced value becomes the next value of this state;
        what is read of it afterwards is that value.
        """
        new: Any = data if isinstance(data, Array) else tensor(data, self.dtype)
        if new.shape != self.shape or new.dtype != self.dtype:
            wrong = ShapeError if new.shape != self.shape else DTypeError
            raise wrong(
                "these numbers do not fit",
                where=self.name,
                expected=repr(self._type),
                received=repr(Type(new.shape, new.dtype)),
            )
        if isinstance(new, Symbol):
            new.tracer.updates.append((self, new))
            return self
        if _MODE.tracer is not None:
            raise TraceError(
                "fixed numbers assigned while the program is being written",
                where=user_line(),
                expected="a traced value, which every step computes anew",
                received=f"{type(data).__name__} {shown(data)}",
                hint="assign what is computed from arguments, parameters and buffers",
            )
        self._data = np.array(new._data)
        self.version += 1
        return self


class Buffer(Parameter):
    """A tensor a layer keeps but training does not learn, such as a running mean.

    >>> import glassgrad as gg
    >>> steps = gg.Buffer(0.0)
    >>> steps.assign(steps + 1)
    tensor(1.)
    """

    __slots__ = ()

    def __init__(self, data: Any, type: Type | None = None, name: str = "") -> None:  # noqa: A002  # likewise
        super().__init__(data, type, requires_grad=False, name=name)
