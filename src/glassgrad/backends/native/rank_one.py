"""The gradient of a dense layer for one sample is a product of two vectors: it need not be written.

Where only the guard and the update of the parameters read such a gradient, the update multiplies
itself, and the guard asks whether the largest numbers' product is finite. For one sample at a time
that gradient is most of what a step would move through memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from glassgrad.passes.layout import Ints, Lay, Memory, Sizes, count, sliced

from .program import Program
from .step import Step

if TYPE_CHECKING:
    from .planner import Planner

ENABLED = True  # the off switch
_WORTH = 4096  # numbers from which on memory is what counts


@dataclass(frozen=True, slots=True)
class _Product:
    """a b, where a is a column and b a row, that would lie in a gradient from `begin` on."""

    step: Step
    a: Lay
    b: Lay
    begin: int

    @property
    def shape(self) -> Ints:
        return self.step.writes[0].shape

    @property
    def end(self) -> int:
        return self.begin + count(self.shape)


def fold(planner: Planner) -> None:
    """Take such products out of the planner's steps."""
    if not ENABLED:
        return
    for memory in {s.writes[0].memory.whole()[0]: None for s in planner.steps if _product(s)}:
        _fold_one(planner, memory)


def _product(step: Step) -> _Product | None:
    if step.kernel != "matmul" or step.ints != [0, 1, 0, 0, 1, 0] or len(step.reads) != 2:
        return None
    (a, b), (out,) = step.reads, step.writes
    memory, start = out.memory.whole()
    plain = a.shape[-1] == 1 and out.contiguous and max(a.loop, b.loop, out.loop) < 0
    if not plain or memory.base or out.size < _WORTH:
        return None
    return _Product(step, a, b, out.offset + start // _bytes(out))


def _bytes(lay: Lay) -> int:
    return 8 if lay.dtype == "float64" else 4


def _fold_one(planner: Planner, memory: Memory) -> None:
    steps = planner.steps
    products = [
        p for p in map(_product, steps) if p and p.step.writes[0].memory.whole()[0] is memory
    ]
    products.sort(key=lambda p: p.begin)
    readers = [s for s in steps if any(x.memory.whole()[0] is memory for x in s.reads)]
    if not readers or not all(_can_take(s, memory) for s in readers):
        return
    made: list[Step] = []
    for step in steps:
        if any(p.step is step for p in products):
            continue
        if step not in readers:
            made.append(step)
        elif step.kernel == "guard":
            made += _guarded(planner, step, memory, products)
        else:
            made += _split(step, memory, products, planner.operations)
    planner.steps[:] = made


def _can_take(step: Step, memory: Memory) -> bool:
    """The guard, or an update number by number, that reads the whole gradient as one row."""
    found = [x for x in step.reads if x.memory.whole()[0] is memory]
    flat = all(len(x.shape) == 1 and x.contiguous and x.offset == 0 and x.loop < 0 for x in found)
    if step.kernel == "guard":
        return flat
    lays = [*step.reads, *step.writes]
    alike = all(x.shape == found[0].shape and x.strides in ((0,), (1,)) for x in lays)
    return step.kernel == "map" and flat and len(found) == 1 and alike


def _guarded(
    planner: Planner, guard: Step, memory: Memory, products: Sequence[_Product]
) -> list[Step]:
    """The guard over what is left of the gradient, and over the largest number of each product."""
    before, planner.steps = planner.steps, []
    reads: list[Lay] = []
    for lay in guard.reads:
        if lay.memory.whole()[0] is not memory:
            reads.append(lay)
            continue
        for begin, end, product in _pieces(lay.size, products):
            if product is None:
                reads.append(sliced(lay, [(begin, end, 1)]))
            else:
                reads.append(_largest(planner, product))
    made, planner.steps = planner.steps, before
    return [*made, replace(guard, reads=reads)]


def _largest(planner: Planner, product: _Product) -> Lay:
    """Max |a| max |b|: finite where all products are, NaN where a number is."""
    found = []
    for lay in (product.a, product.b):
        program = Program(planner.operations, Sizes())
        result = program.do("absolute", lay.dtype, program.input(lay))
        one = planner.fresh((1, 1), lay.dtype)
        axes = (0, 1)
        planner.reduce("max", program, result, lay.shape, axes, one, 1.0, product.step.about)
        found.append(one)
    program = Program(planner.operations, Sizes())
    a, b = (program.input(lay) for lay in found)
    out = planner.fresh((1, 1), found[0].dtype)
    result = program.do("multiply", out.dtype, a, b)
    planner.map(program, found, [result], [out], product.step.about)
    return out


def _pieces(size: int, products: Sequence[_Product]) -> list[tuple[int, int, _Product | None]]:
    found: list[tuple[int, int, _Product | None]] = []
    at = 0
    for product in products:
        if product.begin > at:
            found.append((at, product.begin, None))
        found.append((product.begin, product.end, product))
        at = product.end
    if at < size:
        found.append((at, size, None))
    return found


def _split(
    step: Step, memory: Memory, products: Sequence[_Product], operations: Mapping[str, int]
) -> list[Step]:
    """An update, piece by piece; where a product belongs it follows that in registers."""
    no_values = frozenset([operations["cast"]])  # whose third operand is a dtype
    which = next(i for i, x in enumerate(step.reads) if x.memory.whole()[0] is memory)
    made = []
    for begin, end, product in _pieces(step.reads[which].size, products):
        reads = [_part(x, begin, end) for x in step.reads]
        writes = [_part(x, begin, end) for x in step.writes]
        if product is None:
            ints = [1, end - begin, *step.ints[2:]]
            made.append(replace(step, reads=reads, writes=writes, ints=ints))
            continue
        shape = product.shape
        others = [_folded(x, shape) for i, x in enumerate(reads) if i != which]
        writes = [_folded(x, shape) for x in writes]
        ints = [0, *_of_product(step.ints[2:], which, no_values)]
        reads = [product.a, product.b, *others]
        about = f"{product.step.about}; {step.about}"
        made.append(Step("matmul", reads, writes, ints, [], product.step.split, about))
    return made


def _part(lay: Lay, begin: int, end: int) -> Lay:
    return sliced(lay, [(begin, end, 1)])


def _folded(lay: Lay, shape: Ints) -> Lay:
    strides = (0, 0) if lay.strides == (0,) else (shape[1], 1)
    return replace(lay, shape=shape, strides=strides)


def _of_product(code: Sequence[int], which: int, no_values: frozenset[int]) -> list[int]:
    """A program (native/README.md) whose input `which` comes first: it is what a product gives."""
    inputs, constants, steps, outputs = code[:4]
    values, rest = code[4 : 4 + 2 * constants], code[4 + 2 * constants :]

    def moved(value: int) -> int:
        return 0 if value == which else value + (0 <= value < which)

    found = [inputs, constants, steps, outputs, *values]
    for i in range(steps):
        operation, kind, a, b, c = rest[5 * i : 5 * i + 5]
        third = c if operation in no_values else moved(c)
        found += [operation, kind, moved(a), moved(b), third]
    return found + [moved(v) for v in rest[5 * steps :]]
