"""Plans run in NumPy, number by number as native/README.md says: what the executor has to agree with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.backends.native.encode import Encoded
from glassgrad.backends.numpy_source import helpers as _helpers

Array = NDArray[Any]
helpers: Any = _helpers  # text for programs, without types
DTYPES = [np.float32, np.float64, np.int64, np.uint32, np.uint8, np.bool_]


def _sigmoid(x: Array) -> Array:
    return np.where(
        x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x)))
    )


def _erf(x: Array) -> Array:
    from scipy.special import erf

    found: Array = erf(x)
    return found


DO: dict[str, Callable[..., Any]] = {
    "sigmoid": _sigmoid,
    "erf": _erf,
    "select": np.where,
    "round": np.rint,
    "multiply_add": lambda a, b, c: a * b + c,
    "gate": lambda a, b, c: a * (b > c),
}
FOLDS: dict[str, Callable[..., Any]] = {
    "sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min, "any": np.any, "all": np.all,
}  # fmt: skip


class Instruction:
    """One instruction, read from the numbers."""

    def __init__(self, numbers: Iterator[int], reals: Iterator[float]) -> None:
        self.kernel, self.split, operands, ints, real = (next(numbers) for _ in range(5))
        self.operands = []
        for _ in range(operands):
            slot, dtype, rank = (next(numbers) for _ in range(3))
            shape = [next(numbers) for _ in range(rank)]
            strides = [next(numbers) for _ in range(rank)]
            self.operands.append((slot, DTYPES[dtype], shape, strides))
        self.ints = [next(numbers) for _ in range(ints)]
        self.reals = [next(reals) for _ in range(real)]


class Interpreter:
    """Runs a plan on arrays of the caller, base after base from 1."""

    def __init__(self, plan: Encoded, catalogue: Mapping[str, Mapping[str, int]]) -> None:
        self.plan = plan
        names = {number: name for name, number in catalogue["kernels"].items()}
        self.operations = {n: name for name, n in catalogue["operations"].items()}
        self.reductions = {n: name for name, n in catalogue["reductions"].items()}
        numbers, reals = iter(plan.code.tolist()), iter(plan.reals.tolist())
        self.code: list[Instruction] = []
        while True:
            try:
                self.code.append(Instruction(numbers, reals))
            except (StopIteration, RuntimeError):
                break
        self.names = [names[i.kernel] for i in self.code]

    def run(self, arrays: Sequence[Array]) -> bool:
        """Whether every guard was passed."""
        size = int(self.plan.bases[0, 1])
        self.memory = [np.full(size, 0xA5, np.uint8)]
        self.memory += [a.reshape(-1).view(np.uint8) for a in arrays]
        self.round = dict[int, int]()
        return self._walk(0, len(self.code))

    def _view(self, operand: Any) -> Array:
        slot, dtype, shape, strides = operand
        base, start, loop, step = self.plan.slots[slot].tolist()
        start += self.round[loop] * step if loop >= 0 else 0
        memory = self.memory[base]
        item = np.dtype(dtype).itemsize
        low = start + sum(min(0, (n - 1) * s * item) for n, s in zip(shape, strides, strict=True))
        high = (
            start
            + item
            + sum(max(0, (n - 1) * s * item) for n, s in zip(shape, strides, strict=True))
        )
        if 0 not in shape:
            assert low >= 0, "before the beginning"
            assert high <= len(memory), "past the end"
        return np.ndarray(
            shape, dtype, memory.data, start if 0 not in shape else 0, [s * item for s in strides]
        )

    def _walk(self, begin: int, end: int) -> bool:
        at = begin
        while at < end:
            instruction, name = self.code[at], self.names[at]
            if name == "loop":
                number, rounds, _, body = instruction.ints
                for i in range(rounds):
                    self.round[number] = i
                    if not self._walk(at + 1, at + 1 + body):
                        return False
                at += 1 + body
                continue
            views = [self._view(o) for o in instruction.operands]
            if name == "tiny":
                if not self._tiny(views, instruction):
                    return False
            elif name == "guard":
                if not all(np.isfinite(v).all() for v in views):
                    return False
            else:
                with np.errstate(all="ignore"):
                    getattr(self, f"_{name}")(views, instruction)
            at += 1
        return True

    def _program(self, ints: list[int], inputs: list[Array]) -> list[Array]:
        numbers = iter(ints)
        n_in, n_const, n_do, n_out = (next(numbers) for _ in range(4))
        assert n_in == len(inputs)
        values: list[Any] = [v.copy() for v in inputs]
        for _ in range(n_const):
            dtype, bits = next(numbers), next(numbers)
            raw = int(bits).to_bytes(8, "little", signed=True)
            values.append(np.frombuffer(raw, DTYPES[dtype], 1)[0])
        for _ in range(n_do):
            operation, dtype, a, b, c = (next(numbers) for _ in range(5))
            name = self.operations[operation]
            if name == "cast":
                values.append(np.asarray(values[a]).astype(DTYPES[c]))
                continue
            given = [values[i] for i in (a, b, c) if i >= 0]
            typed = given[1] if name == "select" else given[0]
            assert np.asarray(typed).dtype == DTYPES[dtype], name
            values.append(DO.get(name, getattr(np, name, None))(*given))  # type: ignore[misc]
        return [values[next(numbers)] for _ in range(n_out)]

    def _map(self, views: list[Array], instruction: Instruction) -> None:
        rank = instruction.ints[0]
        program = instruction.ints[1 + rank :]
        results = self._program(program, views[: program[0]])
        for view, result in zip(views[program[0] :], results, strict=True):
            assert list(view.shape) == instruction.ints[1 : 1 + rank]
            view[...] = result

    def _reduce(self, views: list[Array], instruction: Instruction) -> None:
        kind, rank = instruction.ints[:2]
        shape = instruction.ints[2 : 2 + rank]
        n = instruction.ints[2 + rank]
        axes = tuple(instruction.ints[3 + rank : 3 + rank + n])
        *inputs, out = views
        (value,) = self._program(instruction.ints[3 + rank + n :], inputs)
        whole = np.broadcast_to(value, shape)
        found = FOLDS[self.reductions[kind]](whole, axis=axes, keepdims=True)
        (divisor,) = instruction.reals
        out[...] = found if divisor == 1 else found / found.dtype.type(divisor)

    def _matmul(self, views: list[Array], instruction: Instruction) -> None:
        program = instruction.ints[1:]
        a, b, *rest = views
        others = rest[: program[0] - 1]
        for out, result in zip(
            rest[program[0] - 1 :], self._program(program, [a @ b, *others]), strict=True
        ):
            out[...] = result

    def _tiny(self, views: list[Array], instruction: Instruction) -> bool:
        numbers = iter(instruction.ints)
        registers, reads, writes, n_const, n_do, n_guard = (next(numbers) for _ in range(6))
        assert reads + writes == len(views)
        held: list[Any] = [None] * registers
        for view in views[:reads]:
            begin = next(numbers)
            held[begin : begin + view.size] = list(view.ravel())
        for _ in range(n_const):
            dtype, bits, register = (next(numbers) for _ in range(3))
            raw = int(bits).to_bytes(8, "little", signed=True)
            held[register] = np.frombuffer(raw, DTYPES[dtype], 1)[0]
        with np.errstate(all="ignore"):
            for _ in range(n_do):
                operation, dtype, to, a, b, c = (next(numbers) for _ in range(6))
                name = self.operations[operation]
                if name == "cast":
                    held[to] = DTYPES[c](held[a])
                    continue
                given = [held[i] for i in (a, b, c) if i >= 0]
                held[to] = DO.get(name, getattr(np, name, None))(*given)  # type: ignore[misc]
        if not all(np.isfinite(held[next(numbers)]) for _ in range(n_guard)):
            return False
        for view in views[reads:]:
            view[...] = np.array([held[next(numbers)] for _ in range(view.size)]).reshape(
                view.shape
            )
        return True

    def _softmax(self, views: list[Array], instruction: Instruction) -> None:
        x, out = views
        (axis,) = instruction.ints
        powers = np.exp(x - x.max(axis=axis, keepdims=True))
        out[...] = powers / powers.sum(axis=axis, keepdims=True)

    def _log_softmax(self, views: list[Array], instruction: Instruction) -> None:
        x, out = views
        (axis,) = instruction.ints
        shifted = x - x.max(axis=axis, keepdims=True)
        out[...] = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))

    def _argmax(self, views: list[Array], instruction: Instruction) -> None:
        views[1][...] = views[0].argmax(axis=instruction.ints[0])

    def _argmin(self, views: list[Array], instruction: Instruction) -> None:
        views[1][...] = views[0].argmin(axis=instruction.ints[0])

    def _argsort(self, views: list[Array], instruction: Instruction) -> None:
        axis, falling = instruction.ints
        x = np.flip(views[0], axis) if falling else views[0]
        order = x.argsort(axis=axis, kind="stable")
        views[1][...] = np.flip(x.shape[axis] - 1 - order, axis) if falling else order

    def _cumsum(self, views: list[Array], instruction: Instruction) -> None:
        views[1][...] = views[0].cumsum(axis=instruction.ints[0])

    def _arange(self, views: list[Array], _: Instruction) -> None:
        views[0][...] = np.arange(len(views[0]))

    def _take(self, views: list[Array], _: Instruction) -> None:
        views[2][...] = views[0][views[1]]

    def _add_at(self, views: list[Array], _: Instruction) -> None:
        x, index, values, out = views
        out[...] = x
        np.add.at(out, index, values)

    def _pick(self, views: list[Array], _: Instruction) -> None:
        x, index, out = views
        out[...] = np.take_along_axis(x, index[..., None], -1)[..., 0]

    def _put_at(self, views: list[Array], _: Instruction) -> None:
        index, values, out = views
        out[...] = 0
        np.put_along_axis(out, index[..., None], values[..., None], -1)

    def _subtract_one_at(self, views: list[Array], _: Instruction) -> None:
        x, index, out = views
        out[...] = x - (np.arange(x.shape[-1]) == index[..., None])

    def _take_along_axis(self, views: list[Array], instruction: Instruction) -> None:
        views[2][...] = np.take_along_axis(views[0], views[1], instruction.ints[0])

    def _add_along_axis(self, views: list[Array], instruction: Instruction) -> None:
        index, values, out = views
        out[...] = 0
        axis = instruction.ints[0]
        where = list(np.ogrid[tuple([slice(s) for s in index.shape])])
        where[axis] = index
        np.add.at(out, tuple(where), values)

    def _windows(self, instruction: Instruction) -> list[tuple[int, ...]]:
        n, *ints = instruction.ints
        return [tuple(ints[i : i + n]) for i in range(0, len(ints) // n * n, n)]

    def _note(self, x: Array, y: Array, places: Array, instruction: Instruction) -> None:
        kernel, stride = self._windows(instruction)[:2]
        places[...] = np.iinfo(places.dtype).max
        every = helpers.taps(x.shape[2:], kernel, stride)
        for place in range(len(every) - 1, -1, -1):
            here = x[every[place]] == y
            if instruction.ints[-1]:
                here &= y > 0
            places[here] = place

    def _max_pool(self, views: list[Array], instruction: Instruction) -> None:
        x, y, *places = views
        y[...] = helpers.max_pool(x, *self._windows(instruction)[:2])
        if places:
            self._note(x, y, places[0], instruction)

    def _max_place(self, views: list[Array], instruction: Instruction) -> None:
        self._note(views[0], views[1], views[2], instruction)

    def _max_unpool(self, views: list[Array], instruction: Instruction) -> None:
        d, places, out = views
        kernel, stride = self._windows(instruction)
        out[...] = 0
        for i, place in enumerate(helpers.taps(out.shape[2:], kernel, stride)):
            out[place] += d * (places == i)

    def _max_pick(self, views: list[Array], instruction: Instruction) -> None:
        v, places, out = views
        kernel, stride = self._windows(instruction)
        out[...] = 0
        for i, place in enumerate(helpers.taps(v.shape[2:], kernel, stride)):
            out += v[place] * (places == i)

    def _mean_pool(self, views: list[Array], instruction: Instruction) -> None:
        views[1][...] = helpers.mean_pool(views[0], *self._windows(instruction))

    def _mean_unpool(self, views: list[Array], instruction: Instruction) -> None:
        views[1][...] = helpers.mean_unpool(views[0], views[1].shape, *self._windows(instruction))

    def _uncolumns(self, views: list[Array], instruction: Instruction) -> None:
        views[1][...] = helpers.uncolumns(views[0], views[1].shape, *self._windows(instruction))

    def _uniform(self, views: list[Array], instruction: Instruction) -> None:
        seed, step, out = views
        stream, dtype = instruction.ints
        start = np.array([0, 0, stream % 2**64, int(step)], np.uint64)
        draw = np.random.Philox(key=int(seed) % 2**64, counter=start)
        if DTYPES[dtype] is np.float64:
            found = (draw.random_raw(out.size) >> np.uint64(11)) * 2.0**-53
        else:
            words = draw.random_raw((out.size + 1) // 2).view(np.uint32)[: out.size]
            found = (words >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
        out[...] = found.reshape(out.shape)
