"""`gg.explain`: one step of a network on a few rows, every number of it derived."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from glassgrad.errors import ConfigError, UsageError, shown, unknown_name, whole_number
from glassgrad.inspect.svg import Picture
from glassgrad.ir import Value
from glassgrad.nn.module import Module

from .cards import Card, Cards
from .diagram import MOST, drawn
from .forms import Index
from .latex import latex
from .markdown import markdown
from .page import fragment, page
from .paths import Ways, ways
from .recording import Recording, recorded
from .samples import Samples, by_sample
from .scalars import how_many
from .story import Story, story
from .text import NARROWEST, text
from .uses import Uses, uses
from .words import read_place

Place = tuple[str, Index] | str  # a value's name and which number of it, also as "w[0, 3]"


class Explanation:
    """A step that was run once, all of it kept; `str()` is `text()`.

    Iterating gives a card for each value in the order of the way forward, `explanation["w"]` the
    card of one, `explanation["w[0, 3]"]` that of one of its numbers. Values have the names that are
    printed; a parameter may be called by its path, too, as in `state_dict()`. `recording` holds
    every array. Lines in `about` are told below the heading.

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> model, x = nn.Linear(2, 1, init=0.5), [[1.0, 2.0]]
    >>> step = gg.explain(model, x, [[1.0]], loss="mse")
    >>> step.names
    ['x', 'weight', 'bias', 'linear', 'y', 'loss']
    >>> print(step.text(width=80))
    One step of Linear(2, 1) on 1 row: loss 0.25
    ...
    """

    def __init__(self, recording: Recording, given: tuple[Any, ...], settings: dict[str, Any]):
        self.recording = recording
        self.cards = Cards(recording)
        self.about: tuple[str, ...] = ()
        self._given = given
        self._settings = settings

    def __iter__(self) -> Iterator[Card]:
        return iter(self.cards)

    def __len__(self) -> int:
        return len(self.cards)

    def __getitem__(self, name: str) -> Card:
        value, index = self._place(name)
        return self.cards.card(value, self._checked(value, index) if index else None)

    @property
    def names(self) -> list[str]:
        """What the values are called."""
        return list(self.cards.by_name)

    def card(self, name: str, index: Index = ()) -> Card:
        """The card of a value, both of its derivations at this number of it.

        Raises UsageError for an unknown name, ConfigError for a place that it does not have.
        """
        return self.cards.card(*self._number(name, index))

    def follow(self, name: str, index: Index = (), most: int = 10) -> Ways:
        """The ways from one number to the loss, the `most` largest after each op, and the rest.

        The number is named as in `follow("w", (0, 3))` or `follow("w[0, 3]")`. Raises UsageError for
        an unknown name, ConfigError for a place that is not there or a `most` below 1.

        >>> import glassgrad as gg
        >>> from glassgrad import nn
        >>> model = nn.Sequential(nn.Linear(1, 2, init=1.0), nn.Linear(2, 1, init=1.0))
        >>> found = gg.explain(model, [[1.0]], [[0.0]], loss="mse").follow("x", (0, 0))
        >>> [way.part for way in found.ways], found.rest, found.total
        ([4.0, 4.0], 0.0, 8.0)
        """
        count = whole_number(most)
        if count is None or count < 1:
            raise ConfigError(
                "most is out of range", expected="a whole number from 1", received=shown(most)
            )
        return ways(self.cards, *self._number(name, index), count)

    def uses(self, name: str, index: Index = ()) -> Uses:
        """The derivative in one number of a parameter, as the products it is the sum of.

        >>> import glassgrad as gg
        >>> from glassgrad import nn
        >>> found = gg.explain(
        ...     nn.Linear(1, 1, init=1.0), [[1.0], [2.0]], [[0.0], [0.0]], loss="mse"
        ... )
        >>> found.uses("weight[0, 0]")
        d loss / d weight[0, 0] = 5, the sum of 2 products:
          4  x[1, 0] * d_linear[1, 0]
          1  x[0, 0] * d_linear[0, 0]
        """
        return uses(self.cards, *self._number(name, index))

    def samples(self, *names: str) -> dict[str, Samples]:
        """Each row's own part of the derivative in these parameters, by default in all.

        Raises UsageError for a name that no parameter with a derivative has, and for a loss that has
        no term for each row.

        >>> import glassgrad as gg
        >>> from glassgrad import nn
        >>> found = gg.explain(
        ...     nn.Linear(1, 1, init=1.0), [[1.0], [2.0]], [[0.0], [0.0]], loss="mse"
        ... )
        >>> found.samples("weight")["weight"].parts.ravel()
        array([1., 4.])
        """
        inputs, called = self.recording.graph.inputs, self.recording.names
        trained = {
            v: path
            for path, v in inputs.items()
            if v in self.recording.gradients and v.node.attributes["role"] == "parameter"
        }
        values = [self.cards.find(name) for name in names] or list(trained)
        for value in values:
            if value not in trained:
                known = tuple([called[v] for v in trained])
                raise unknown_name("parameter with a derivative", called[value], known)
        paths = tuple([trained[v] for v in values])
        found = by_sample(self.recording, *self._given, names=paths, **self._settings)
        named = {path: called[inputs[path]] for path in found}
        return {named[path]: replace(each, name=named[path]) for path, each in found.items()}

    def text(
        self,
        width: int = 100,
        row: int | None = None,
        *,
        steps: bool = False,
        follow: Place | None = None,
    ) -> str:
        """The whole step for a terminal so wide.

        Of each value one number is derived: that of the largest derivative, in this `row` if one is
        given. Composites whose closed form says it all stand in one line, others in their steps, of
        more than 16 the last 8; with `steps` all stand in all of theirs. `follow` adds one number's
        ways to the loss. Raises ConfigError for a row that is not there, and what `follow` raises.
        """
        return text(self._told(row, steps, follow, max(NARROWEST, width)), width)

    def to_markdown(
        self, row: int | None = None, *, steps: bool = False, follow: Place | None = None
    ) -> str:
        """The whole step as Markdown, formulas as LaTeX between dollars."""
        return markdown(self._told(row, steps, follow))

    def to_latex(
        self, row: int | None = None, *, steps: bool = False, follow: Place | None = None
    ) -> str:
        """The whole step as a LaTeX document of its own."""
        return latex(self._told(row, steps, follow))

    def to_html(
        self, row: int | None = None, *, steps: bool = False, follow: Place | None = None
    ) -> str:
        """The whole step as a page of its own, formulas as MathML; no script, links within it alone."""
        return page(self._told(row, steps, follow), self._small_picture(row))

    def picture(self, row: int | None = None) -> Picture:
        """Every number of a small network as a node with its value and derivative, as SVG.

        Of several rows one may be chosen. Raises ConfigError for more than 60 numbers.
        """
        return drawn(self.cards, row)

    def _small_picture(self, row: int | None) -> str:
        small = how_many(self.cards, row) <= MOST
        return f'<div class="scroll">{drawn(self.cards, row)}</div>' if small else ""

    def _repr_html_(self) -> str:
        return fragment(self._told(), self._small_picture(None))

    def _told(
        self,
        row: int | None = None,
        steps: bool = False,
        follow: Place | None = None,
        width: int | None = None,
    ) -> Story:
        place = (follow,) if isinstance(follow, str) else follow
        if place is not None and not (isinstance(place, tuple | list) and len(place) in (1, 2)):
            raise UsageError(
                "this does not say which number is followed",
                where="follow",
                expected='a name and an index, as "w[0, 3]" or ("w", (0, 3))',
                received=shown(follow),
            )
        followed = "" if place is None else self.follow(*place).text(width)
        return story(self.cards, row, steps=steps, followed=followed, about=self.about)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<explanation of a step: {len(self)} values; print it, or follow one of them>"

    def _place(self, name: str, index: Any = ()) -> tuple[Value, Any]:
        """A value, and which of its numbers: said apart, or together as in "w[0, 3]"."""
        if isinstance(name, str) and index == () and not self.cards.knows(name):
            name, index = read_place(name)
        return self.cards.find(name), index

    def _number(self, name: str, index: Any) -> tuple[Value, Index]:
        value, index = self._place(name, index)
        return value, self._checked(value, index)

    def _checked(self, value: Value, index: Any) -> Index:
        shape = self.recording.arrays[value].shape
        place = tuple(index) if isinstance(index, tuple | list) else (index,)
        found = tuple([i for i in map(whole_number, place) if i is not None])
        fits = len(found) == len(place) == len(shape)
        if not fits or not all(0 <= i < s for i, s in zip(found, shape, strict=True)):
            raise ConfigError(
                f"{self.recording.names[value]} has no such number",
                expected=f"{len(shape)} whole numbers from 0, below {shape}",
                received=shown(index),
            )
        return found


def explain(
    model: Module,
    x: Any,
    y: Any,
    *,
    loss: Any,
    loss_weights: Any = None,
    sample_weight: Any = None,
    training: bool = True,
    seed: int | None = 0,
    step: int = 1,
) -> Explanation:
    """Run one training step of a model on these rows and keep every number of it, derived.

    Every value has a card: its formula, the same with numbers, its array, the derivative of the
    loss in it, and how that came from those behind it. Sums of many terms show the largest ones
    and the rest as one number. The model stays as it is. Loss and weights are those of `fit`. With
    `training` False, it is a step in evaluation. Dropout draws what it does in step number `step`
    of a run with this `seed`.

    Raises what `fit` raises for data, losses and networks that do not fit, NoMemoryError for more rows
    than there is room for.

    >>> import glassgrad as gg
    >>> from glassgrad import nn
    >>> found = gg.explain(nn.Linear(2, 1, init=0.5), [[1.0, 2.0]], [[1.0]], loss="mse")
    >>> found["weight"].gradient
    array([[1.],
           [2.]])
    """
    settings = {
        "loss": loss, "loss_weights": loss_weights, "sample_weight": sample_weight,
        "training": training, "seed": seed, "step": step,
    }  # fmt: skip
    return Explanation(recorded(model, x, y, **settings), (model, x, y), settings)
