"""Text from a character model, one character after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.data.text import decode, encode
from glassgrad.engine import compiled, is_small, on_one_thread
from glassgrad.errors import ConfigError, DataError, UsageError, shown
from glassgrad.ir import Type
from glassgrad.nn.checks import real, units
from glassgrad.nn.module import Module
from glassgrad.nn.tracing import forward_graph
from glassgrad.tensors import random

from .task import ROWS


def sample(
    model: Module,
    prompt: str,
    length: int = 200,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int | None = 0,
    vocabulary: Sequence[str] | None = None,
) -> str:
    """How a character model continues a prompt.

    Each next token is drawn from softmax(scores / temperature), of the `top_k` likeliest only if
    that is said (1 takes the likeliest). The draws are a function of `seed` and the number of the
    character. The model gives scores (n, tokens, time) and looks at no later token, as `nn.GPT`
    and `nn.CharLSTM` do; it sees the last `context` tokens. `vocabulary` is the text's own; a
    loaded model has it in its labels. Gives the `length` characters after the prompt. Raises
    DataError for a prompt that is empty or has other characters, ConfigError for settings out of
    range, UsageError for a model that does not fit.

    >>> from glassgrad import nn
    >>> model = nn.GPT(2, width=8, layers=1, heads=2, context=4)
    >>> len(sample(model, "ab", 5, vocabulary=("a", "b")))
    5
    """
    return "".join(
        sampled(
            model, prompt, length, temperature=temperature, top_k=top_k, seed=seed,
            vocabulary=vocabulary,
        )
    )  # fmt: skip


def sampled(
    model: Module,
    prompt: str,
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int | None = 0,
    vocabulary: Sequence[str] | None = None,
) -> Iterator[str]:
    """What `sample` gives, a character at a time; everything is checked before the first."""
    number = random.checked_seed(seed)
    real(temperature, "temperature", 1e-6, 1e6)
    if top_k is not None:
        units(top_k, "top_k")
    if isinstance(length, bool) or not isinstance(length, int) or not 0 <= length <= 10**9:
        raise ConfigError(
            "length is out of range",
            expected="a whole number from 0 to 1,000,000,000",
            received=shown(length),
        )
    known = _vocabulary(model, vocabulary)
    if not isinstance(prompt, str) or not prompt:
        raise DataError(
            "a model needs something to continue",
            where="prompt",
            expected="at least one character",
            received=shown(prompt),
        )
    tokens = encode(prompt, known).tolist()
    return _drawn(_scores(model, len(known)), tokens, length, temperature, top_k, number, known)


def _drawn(
    scores: tuple[Callable[..., NDArray[Any]], int],
    tokens: list[int],
    length: int,
    temperature: float,
    top_k: int | None,
    seed: int,
    vocabulary: Sequence[str],
) -> Iterator[str]:
    function, context = scores
    row = np.zeros((1, context), np.int64)
    for step in range(1, length + 1):
        seen = tokens[-context:]
        # What stands after the last token is never looked at, so anything may stand there.
        row[0, : len(seen)] = seen
        z = function(row)[0, :, len(seen) - 1].astype(np.float64)
        if not np.isfinite(z).all():
            raise DataError(
                "the model gives scores that are not finite",
                where=f"character {step}",
                expected="finite scores",
                received=shown(z[~np.isfinite(z)][0].item()),
            )
        best = (-z).argsort(kind="stable")[:top_k]
        shares = np.exp((z[best] - z[best[0]]) / temperature)
        (u,) = random.uniform(1, seed, "sample", step)
        place = int(np.searchsorted(shares.cumsum(), u * shares.sum(), side="right"))
        tokens.append(int(best[min(place, len(best) - 1)]))
        yield decode(tokens[-1:], vocabulary)


def _vocabulary(model: Module, given: Sequence[str] | None) -> tuple[str, ...]:
    found = given if given is not None else getattr(getattr(model, "labels", None), "classes", ())
    known = tuple(found)
    single = all(isinstance(c, str) and len(c) == 1 for c in known)
    if not known or not single or len(set(known)) != len(known):
        raise UsageError(
            "the characters of the model are not known",
            where="vocabulary",
            expected="different characters, one for each score",
            received=shown(known),
            hint="vocabulary=text.vocabulary, or a model saved with labels",
        )
    return known


def _scores(model: Module, count: int) -> tuple[Callable[..., NDArray[Any]], int]:
    """The model compiled for rows of tokens, and how long these are."""
    context = getattr(model, "context", None)
    kinds = model.input_types
    if kinds:
        tokens = len(kinds) == 1 and kinds[0].dtype == "int64" and len(kinds[0].shape) == 2
        context = kinds[0].shape[1] if tokens else None
    if not isinstance(context, int):
        raise UsageError(
            "this model does not read rows of tokens, or has not been called yet",
            where=model.title(),
            expected="a model of (n, time) int64, such as nn.GPT or nn.CharLSTM, trained",
            received=", ".join(map(repr, kinds)) or "no input known",
        )
    graph = forward_graph(model, {"x": Type((ROWS, context), "int64")})
    shape = graph.outputs["prediction"].type.shape
    if shape != (ROWS, count, context):
        raise UsageError(
            "the model does not give a score for each character",
            where=model.title(),
            expected=f"(n, {count}, {context}): {count} characters at each of {context} places",
            received=str(shape),
        )
    step = compiled(graph)
    held = model.named_state()
    rest = {name: held[name].numpy() for name in graph.inputs if name != "x"}
    small = is_small(step, 1)

    def scores(row: NDArray[Any]) -> NDArray[Any]:
        with on_one_thread(small):
            found: NDArray[Any] = step.function(
                *[row if name == "x" else rest[name] for name in graph.inputs]
            )
        return found

    return scores, context
