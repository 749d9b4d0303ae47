"""Modules: what has parameters, and a `forward` made of ops and other modules.

Parameters are drawn at first use (a call, `state_dict()` or `fit`), each keyed by the seed and
its own path, so that neither the order of construction nor other layers change them. Sizes that
are left open are read from the first input.
"""

from __future__ import annotations

import keyword
import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from glassgrad.errors import (
    ConfigError,
    DTypeError,
    GlassgradError,
    ShapeError,
    UsageError,
    did_you_mean,
    shown,
)
from glassgrad.ir import Scope, Type
from glassgrad.ops import Array, Symbol
from glassgrad.tensors import random
from glassgrad.tensors.room import check_room
from glassgrad.tensors.tensor import Buffer, Parameter, Tensor, tensor

from . import init

MOST_NUMBERS = 10**10
LONGEST_NAME = 64
_OF_MODULE = frozenset({"training", "path", "_rooted"})
_NO_MODULES = frozenset({type(None), bool, int, float, str})  # attributes that need no look


class _Drawing(threading.local):
    seed: int | None = None


_DRAWING = _Drawing()


@contextmanager
def drawing_with(seed: int) -> Iterator[None]:
    """Parameters drawn meanwhile use this seed instead of that of `gg.seed`."""
    before, _DRAWING.seed = _DRAWING.seed, seed
    try:
        yield
    finally:
        _DRAWING.seed = before


class Weight(Parameter):
    """A parameter that a layer declares; drawn when it is first needed.

    `sizes` may hold None for a size that the first input decides.
    """

    __slots__ = ("_drawn", "how", "sizes")

    def __init__(
        self,
        *sizes: int | None,
        how: init.How = "auto",
        dtype: str = "float32",
    ) -> None:
        self.sizes = tuple(sizes)
        self.how = how
        init.find(how)  # an unknown name is an error here, not at first use
        self._check_count()
        super().__init__(None, Type(tuple([s or 0 for s in sizes]), dtype))

    @property
    def _data(self) -> Any:  # drawn when first asked for
        if self._drawn is None:
            self.draw()
        return self._drawn

    @_data.setter
    def _data(self, data: Any) -> None:
        self._drawn = data

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        """What copies and pickles keep: the numbers that are drawn. Nothing is drawn for them."""
        names = {n for kind in type(self).__mro__ for n in getattr(kind, "__slots__", ())}
        names -= {"__weakref__", "_data"}
        return None, {n: getattr(self, n) for n in names if hasattr(self, n)}

    @property
    def drawn(self) -> bool:
        """Whether the numbers are there."""
        return self._drawn is not None

    def settle(self, *sizes: int) -> None:
        """Fill in what was left open, or check what was given."""
        self.sizes = fitting(self.sizes, sizes)
        self._check_count()
        self._type = Type(sizes, self._type.dtype)

    def _check_count(self) -> None:
        count = math.prod([s for s in self.sizes if s is not None])
        if count > MOST_NUMBERS:
            raise ConfigError(
                "a parameter this large cannot be meant",
                expected=f"at most {MOST_NUMBERS:,} numbers",
                received=f"sizes {self.sizes}: {count:,} numbers",
                hint=f"it would take {count * 4 / 1e9:,.1f} GB",
            )

    def draw(self) -> None:
        """Draw the numbers, if they are not there yet."""
        if self.drawn:
            return
        if None in self.sizes:
            raise UsageError(
                "the size of a parameter is not known yet",
                where=self.name,
                expected="a first call with data, or the input size given to the layer",
                received=f"sizes {self.sizes}",
                hint="call the model once: model(x)",
            )
        count = math.prod([s for s in self.sizes if s is not None])
        each = 8 + np.dtype(self._type.dtype).itemsize  # drawn in float64, then kept
        check_room(count * each, self.name, "a parameter")
        seed = random.STATE.seed if _DRAWING.seed is None else _DRAWING.seed
        sizes: tuple[Any, ...] = self.sizes
        numbers = np.asarray(init.find(self.how)(sizes, seed, self.name))
        if numbers.shape != sizes or not np.logical_and.reduce(np.isfinite(numbers), axis=None):
            raise ConfigError(
                "an initialiser gave numbers that cannot be used",
                where=self.name,
                expected=f"finite numbers of shape {sizes}",
                received=f"shape {numbers.shape}" if numbers.shape != sizes else "inf or nan",
            )
        self._drawn = np.asarray(numbers, dtype=self._type.dtype, order="C")

    def assign(self, data: Any) -> Self:
        """Replace the numbers: same shape, same dtype."""
        if not self.drawn:
            new = np.asarray(data.numpy() if isinstance(data, Tensor) else data)
            if new.ndim != len(self.sizes):
                raise ShapeError(
                    "these numbers do not fit",
                    where=self.name,
                    expected=f"shape {self.sizes}",
                    received=str(new.shape),
                )
            self.settle(*new.shape)
            self._type = Type(new.shape, self._type.dtype)
            self._data = np.array(new, dtype=self._type.dtype, order="C")
            self.version += 1
            return self
        return super().assign(data)


def fitting(known: tuple[int | None, ...], sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes, if they are what is known of them."""
    for one, size in zip(known, sizes, strict=True):
        if one is not None and one != size:
            raise ShapeError(
                "the input does not fit the layer",
                expected=f"{one}, as the layer was made",
                received=f"{size}",
                hint="leave the input size out and it is read from the data",
            )
    return tuple(sizes)


class Module:
    """Base of all layers and networks.

    >>> from glassgrad import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = nn.Linear(2, 4)
    ...         self.output = nn.Linear(4, 1)
    ...
    ...     def forward(self, x):
    ...         return self.output(nn.relu(self.hidden(x)))
    >>> [p.name for p in Net().parameters()]
    ['hidden.weight', 'hidden.bias', 'output.weight', 'output.bias']
    """

    formula: tuple[str, str] = ("", "")  # forward and backward, as program headings
    relu_like: ClassVar[bool] = False
    looked_through: ClassVar[bool] = False  # by init="auto", on the way to an activation
    # Of the last call of a whole network, with their names where a file gives them: what a file
    # is written for.
    input_types: tuple[Type, ...] = ()
    input_order: tuple[str, ...] = ()
    _fitted: Any = None  # how `fit` came to its numbers, as plain data: a `files.Fitted`

    def __init__(self) -> None:
        self.training = True
        self.path = ""
        self._rooted = False

    def __setattr__(self, name: str, value: Any) -> None:
        if type(value) not in _NO_MODULES and isinstance(value, (Module, Parameter)):
            _check_name(name, self)
        super().__setattr__(name, value)

    # -- what is inside ------------------------------------------------------------------------

    def children(self) -> Iterator[tuple[str, Module]]:
        """Modules held directly, with the names they are held by."""
        for name, value in vars(self).items():
            kind = type(value)
            if kind in _NO_MODULES:
                continue
            if isinstance(value, Module):
                yield name, value
            elif kind is list or kind is tuple:
                for i, item in enumerate(value):
                    if isinstance(item, Module):
                        yield f"{name}{i + 1}", item

    def modules(self) -> Iterator[tuple[str, Module]]:
        """The module and all below it, each once, with their paths."""
        seen: set[int] = set()
        found: list[tuple[str, Module]] = []
        todo: list[tuple[str, Module]] = [("", self)]
        while todo:
            path, module = todo.pop()
            if id(module) not in seen:
                seen.add(id(module))
                found.append((path, module))
                before = f"{path}." if path else ""
                todo += [(before + name, child) for name, child in module.children()][::-1]
        return iter(found)

    def _held(self, kind: type[Parameter]) -> Iterator[tuple[str, Parameter]]:
        seen: set[int] = set()
        for path, module in self.modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    if isinstance(value, Buffer) != (kind is Buffer):
                        continue
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def parameters(self) -> Iterator[Parameter]:
        """What training changes, in the order of construction."""
        self._settle_names()
        return (p for _, p in self._held(Parameter))

    def buffers(self) -> Iterator[Parameter]:
        """What layers keep but training does not learn."""
        self._settle_names()
        return (b for _, b in self._held(Buffer))

    def _settle_names(self) -> list[tuple[str, Module]]:
        """Give every module and parameter below its path; whoever comes first is the root."""
        every = list(self.modules())
        fresh = [(path, module) for path, module in every if not module._rooted]
        if not fresh:
            return every
        for path, module in fresh:
            module.path = path
            module._rooted = True
        for _, module in fresh:
            module._settled()
        for path, module in every:
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and not value.name:
                    value.name = f"{path}.{name}" if path else name
        return every

    def _settled(self) -> None:
        """Hook: the module has its place and may look at its children."""

    # -- use -----------------------------------------------------------------------------------

    def forward(self, *args: Any) -> Any:
        """What the module computes; written by every subclass."""
        raise UsageError(
            "a module without forward cannot be called",
            where=type(self).__name__,
            expected="a method forward(self, x) in the class",
            received="none",
        )

    def prepare(self, *args: Any) -> None:
        """Hook: read open sizes from the first input."""

    def __call__(self, *args: Any) -> Any:
        try:
            return self._called(args)
        except GlassgradError as error:
            if not error.layer:  # the innermost layer is where it happened
                error.layer = f"{self.path}: {self.title()}" if self.path else self.title()
                inner = error.where if error.where not in ("", self.path) else ""
                error.where = f"{error.layer}, in {inner}" if inner else error.layer
            raise

    def _called(self, args: tuple[Any, ...]) -> Any:
        if not self._rooted:
            self._settle_names()
        arrays = tuple([tensor(a) if isinstance(a, np.ndarray | list) else a for a in args])
        if not self.path and all(map(is_array, arrays)):
            self.input_types = tuple([Type(a.shape, a.dtype) for a in arrays])
        self.prepare(*arrays)
        for value in vars(self).values():
            if isinstance(value, Weight):
                value.draw()
        tracer = next((a.tracer for a in arrays if isinstance(a, Symbol)), None)
        if tracer is None:
            return self.forward(*arrays)
        tracer.assumed.append((self, "training", self.training))
        scope = Scope(self.path, self.title(), *self.formula)
        if not self.path:
            return self.forward(*arrays)
        with tracer.inside(scope):
            found = self.forward(*arrays)
        if isinstance(found, Symbol) and not any(
            found.value is getattr(a, "value", 0) for a in arrays
        ):
            origin = found.value.node.origin
            if not origin.name or origin.inner:
                origin.name, origin.inner = self.path.rsplit(".", 1)[-1], False
        return found

    def title(self) -> str:
        """The module with its settings, as a heading shows it: `Linear(2, 64)`."""
        return repr(self).removesuffix("()")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.settings()})"

    def settings(self) -> str:
        """What stands between the brackets of the repr."""
        return ""

    def train(self, mode: bool = True) -> Self:
        """Switch dropout and batch statistics on (or off)."""
        for _, module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch dropout off and use running statistics."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def freeze(self, pattern: str = "*") -> Self:
        """Leave the parameters whose path fits the pattern as they are: training skips them.

        * stands for anything, as in `model.freeze("embedding.*")`. Raises ConfigError for a
        pattern that fits nothing.

        >>> from glassgrad import nn
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)).freeze("linear1.*")
        >>> [p.name for p in model.parameters() if p.requires_grad]
        ['linear2.weight', 'linear2.bias']
        """
        for parameter in self.matching(pattern):
            parameter.requires_grad = False
        return self

    def unfreeze(self, pattern: str = "*") -> Self:
        """Let training change them again."""
        for parameter in self.matching(pattern):
            parameter.requires_grad = True
        return self

    def matching(self, pattern: str) -> list[Parameter]:
        """The parameters whose path fits a pattern such as "*.weight"."""
        self._settle_names()
        every = dict(self._held(Parameter))
        found = [p for path, p in every.items() if fnmatchcase(path, str(pattern))]
        if not found:
            raise ConfigError(
                "this pattern fits no parameter",
                where=type(self).__name__,
                expected="a pattern that fits one of " + (", ".join(every) or "none"),
                received=shown(pattern),
                hint=did_you_mean(pattern, every),
            )
        return found

    # -- state ---------------------------------------------------------------------------------

    def named_state(self) -> dict[str, Parameter]:
        """Parameters and buffers by name, in the order of construction."""
        found: dict[str, Parameter] = {}
        seen: set[int] = set()
        for path, module in self._settle_names():
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    found[f"{path}.{name}" if path else name] = value
        return found

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Copies of all parameters and buffers, by path.

        >>> from glassgrad import nn
        >>> {k: v.shape for k, v in nn.Linear(2, 3).state_dict().items()}
        {'weight': (2, 3), 'bias': (3,)}
        """
        return {name: p.numpy().copy() for name, p in self.named_state().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> Self:
        """Assign all parameters and buffers; nothing changes unless all of them fit."""
        own = self.named_state()
        wrong = []
        for name in sorted({*own, *state}):
            if name not in state or name not in own:
                wrong.append(f"{name}: {'missing' if name in own else 'not in the model'}")
                continue
            given = np.asarray(state[name])
            if given.dtype.kind not in "biuf":
                wrong.append(f"{name}: {given.dtype} is not made of real numbers")
                continue
            parameter = own[name]
            sizes = getattr(parameter, "sizes", None)
            shape: tuple[Any, ...] = parameter.shape if sizes is None else sizes
            fits = len(shape) == given.ndim and all(
                a is None or a == b for a, b in zip(shape, given.shape, strict=True)
            )
            if not fits:
                wrong.append(f"{name}: {given.shape} given, {shape} in the model")
        if wrong:
            raise ConfigError(
                "these parameters do not fit the model; nothing was changed",
                expected=", ".join(own),
                received="; ".join(wrong),
            )
        new = {name: np.array(state[name], dtype=p.dtype) for name, p in own.items()}
        for name, parameter in own.items():
            parameter.assign(new[name])
        return self

    def dtype(self) -> str:
        """The float dtype of the parameters."""
        return one_dtype(self.named_state())


def one_dtype(state: Mapping[str, Parameter]) -> str:
    """The float dtype of the parameters of a network, from its named state."""
    kinds = {p.dtype for p in state.values() if not isinstance(p, Buffer)}
    if len(kinds) > 1:
        raise DTypeError(
            "the parameters have different dtypes",
            expected="one dtype in the whole network",
            received=" and ".join(sorted(kinds)),
            hint="give every layer the same dtype",
        )
    return kinds.pop() if kinds else "float32"


def _check_name(name: str, module: Module) -> None:
    """Raise ConfigError for an attribute whose name cannot be part of a path."""
    if wanted := _wanted(name):
        raise _wrong_name(name, module, wanted)


@lru_cache(1024)
def _wanted(name: str) -> str:
    """What a name should be instead; nothing where it can be part of a path."""
    if not name.isidentifier() or keyword.iskeyword(name) or len(name) > LONGEST_NAME:
        return f"a Python identifier of at most {LONGEST_NAME} characters"
    if hasattr(Module, name) or name in _OF_MODULE:
        return "a name that means nothing else on a module"
    return ""


def _wrong_name(name: str, module: Module, wanted: str) -> ConfigError:
    return ConfigError(
        "a module or parameter cannot have this name",
        where=shown(type(module).__name__)[1:-1],
        expected=wanted,
        received=shown(name),
        hint="rename the attribute",
    )


class Sequential(Module):
    """Modules one after another; name them with keywords, or they are named and numbered.

    >>> from glassgrad import nn
    >>> [name for name, _ in nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1)).children()]
    ['linear1', 'relu1', 'linear2']
    >>> [name for name, _ in nn.Sequential(hidden=nn.Linear(2, 4), output=nn.Linear(1)).children()]
    ['hidden', 'output']
    """

    def __init__(self, *modules: Module, **named: Module) -> None:
        super().__init__()
        if modules and named:
            raise UsageError(
                "modules are either all named or all unnamed",
                expected="Sequential(a, b) or Sequential(first=a, second=b)",
                received=f"{len(modules)} unnamed and {len(named)} named",
            )
        if len(modules) == 1 and isinstance(modules[0], list | tuple):
            modules = tuple(modules[0])
        count: Counter[str] = Counter()
        items: dict[str, Module] = dict(named)
        for module in modules:
            if not isinstance(module, Module):
                raise UsageError(
                    "a Sequential is made of modules",
                    expected="modules such as nn.Linear(64) or nn.ReLU()",
                    received=shown(module),
                )
            kind = type(module).__name__.lower()
            count[kind] += 1
            items[f"{kind}{count[kind]}"] = module
        for name, module in items.items():
            if hasattr(self, name):
                raise _wrong_name(name, self, "a name that means nothing else on a module")
            setattr(self, name, module)
        self._order = tuple(items)

    def __iter__(self) -> Iterator[Module]:
        return (getattr(self, name) for name in self._order)

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, at: int) -> Module:
        found: Module = getattr(self, self._order[at])
        return found

    def forward(self, x: Any) -> Any:
        for module in self:
            x = module(x)
        return x

    def _settled(self) -> None:
        """He's scale where a layer feeds a ReLU-like activation, Glorot's elsewhere."""
        flat = list(_flat(self))
        for i, module in enumerate(flat):
            weight = getattr(module, "weight", None)
            if isinstance(weight, Weight) and isinstance(weight.how, str) and weight.how == "auto":
                after = next((m for m in flat[i + 1 :] if not m.looked_through), None)
                if after is not None:
                    weight.how = "he" if after.relu_like else "glorot"

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._order)
        return f"Sequential({inner})"

    def title(self) -> str:
        return "Sequential"


def _flat(module: Sequential) -> Iterator[Module]:
    for child in module:
        if isinstance(child, Sequential):
            yield from _flat(child)
        else:
            yield child


def is_array(value: Any) -> bool:
    """Whether a value can go through a module."""
    return isinstance(value, Array)
