"""Character models: they learn, they write what their seed decides, and come back from a file."""

# mypy: disable-error-code="arg-type"
# What cannot be meant is what is passed here.

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.data import Text
from glassgrad.engine import on_one_thread
from glassgrad.errors import GlassgradError
from glassgrad.files import Labels
from tests.conftest import data_dir

WORDS = "the quick brown fox jumps over the lazy dog\n"


def shakespeare() -> Text:
    """The first 100 kB of tiny Shakespeare."""
    packed = data_dir("tinyshakespeare") / "tinyshakespeare" / "input.txt.gz"
    return Text.of(gzip.decompress(packed.read_bytes())[:100_000].decode(), "tinyshakespeare")


def small(kind: str, tokens: int) -> nn.Module:
    if kind == "gpt":
        return nn.GPT(tokens, width=16, layers=2, heads=2, context=8)
    return nn.CharLSTM(tokens, width=16, layers=2)


def trained(kind: str) -> tuple[nn.Module, Text]:
    text = Text.of(WORDS * 12)
    model = small(kind, len(text.vocabulary))
    x, y, _, _ = text.windows(8, validation=0, stride=3)
    gg.fit(
        model, x, y, loss="cross_entropy", optimizer=optim.Adam(1e-2), epochs=20, batch_size=16,
        verbose=False,
    )  # fmt: skip
    return model, text


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gpt", "lstm"])
def test_the_loss_on_shakespeare_falls_below_2_6_in_a_small_budget(kind: str) -> None:
    """4 layers of width 128: 90 steps of 16 windows; the mean of the last 20 before each update."""
    text = shakespeare()
    x, y, x_val, y_val = text.windows(64)
    tokens = len(text.vocabulary)
    model = nn.GPT(tokens) if kind == "gpt" else nn.CharLSTM(tokens)
    steps: list[float] = []

    class Losses(gg.train.Callback):
        every = 1

        def on_interval(self, run: gg.train.Run) -> None:
            steps.append(run.loss)
            run.stop = len(steps) == 90

    rate = 2e-3 if kind == "gpt" else 5e-3
    with on_one_thread(True):  # on a busy machine several wait for each other
        gg.fit(
            model, x, y, loss="cross_entropy", optimizer=optim.Adam(rate), epochs=2, batch_size=16,
            callbacks=[Losses()], verbose=False,
        )  # fmt: skip
        held = gg.evaluate(model, x_val[:32], y_val[:32], loss="cross_entropy")["loss"]
    print(f"{kind}: first {steps[0]:.3f}, last 20 {np.mean(steps[-20:]):.3f}, held out {held:.3f}")  # noqa: T201  # the figures
    assert steps[0] > 3.5
    assert np.mean(steps[-20:]) < 2.6
    assert held < 2.6


@pytest.mark.parametrize("kind", ["gpt", "lstm"])
def test_scores_never_look_at_a_later_character(kind: str) -> None:
    model = small(kind, 5)
    x = np.random.default_rng(0).integers(0, 5, (3, 8))
    before = gg.predict(model, x)
    assert before.shape == (3, 5, 8)
    for t in range(1, 8):
        changed = x.copy()
        changed[:, t:] = (changed[:, t:] + 1) % 5
        after = gg.predict(model, changed)
        np.testing.assert_array_equal(after[:, :, :t], before[:, :, :t])
        assert not np.allclose(after[:, :, t], before[:, :, t])


@pytest.mark.parametrize("kind", ["gpt", "lstm"])
def test_a_trained_model_writes_what_it_learnt_also_from_a_file(kind: str, tmp_path: Path) -> None:
    model, text = trained(kind)
    greedy = gg.sample(model, "the q", 39, top_k=1, vocabulary=text.vocabulary)
    assert "the q" + greedy == WORDS
    labels = Labels(text.vocabulary, (), "text", "cross_entropy", "words")
    again = gg.load(gg.save(model, tmp_path / "words.glass", labels=labels))
    assert again.labels.classes == text.vocabulary
    for seed in (0, 1, 2**64 - 1):
        settings: dict[str, Any] = {"temperature": 0.8, "top_k": 7, "seed": seed}
        ours = gg.sample(model, "dog", 60, vocabulary=text.vocabulary, **settings)
        assert gg.sample(again, "dog", 60, **settings) == ours
    wild = {gg.sample(again, "dog", 60, temperature=3.0, seed=seed) for seed in range(4)}
    assert len(wild) == 4
    long = WORDS * 3
    ends = {gg.sample(again, long[-n:], 5, top_k=1) for n in (8, 9, 40, len(long))}
    assert len(ends) == 1  # only the last `context` characters are seen


def test_draws_follow_the_shares_of_softmax_and_top_k_keeps_the_likeliest() -> None:
    class Fixed(nn.Module):
        """The same scores everywhere, whatever came before."""

        context = 2

        def __init__(self, scores: list[float]) -> None:
            super().__init__()
            self.embedding = nn.Embedding(len(scores), len(scores), init=[scores] * len(scores))

        def forward(self, x: Any) -> Any:
            return self.embedding(x).transpose(0, 2, 1)

    shares = np.array([0.5, 0.3, 0.15, 0.05])
    model = Fixed(np.log(shares).tolist())
    count = 4000
    for temperature, top_k in ((1.0, None), (0.5, None), (2.0, 3), (1.0, 2)):
        text = gg.sample(model, "a", count, temperature=temperature, top_k=top_k, vocabulary="abcd")
        want = shares ** (1 / temperature) * (np.arange(4) < (top_k or 4))
        want /= want.sum()
        found = np.array([text.count(c) for c in "abcd"]) / count
        assert (np.abs(found - want) <= 4.5 * np.sqrt(want * (1 - want) / count)).all()


NET = nn.GPT(3, width=4, layers=1, heads=1, context=4)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: gg.sample(NET, "", vocabulary="abc"), "something to continue"),
        (lambda: gg.sample(NET, "abx", vocabulary="abc"), "not in the vocabulary"),
        (lambda: gg.sample(NET, "a"), "characters of the model are not known"),
        (lambda: gg.sample(NET, "a", vocabulary=("a", "bc", "d")), "are not known"),
        (lambda: gg.sample(NET, "a", vocabulary="aab"), "are not known"),
        (lambda: gg.sample(NET, "a", vocabulary="abcd"), "a score for each character"),
        (lambda: gg.sample(NET, "a", -1, vocabulary="abc"), "length is out of range"),
        (lambda: gg.sample(NET, "a", temperature=0, vocabulary="abc"), "temperature"),
        (lambda: gg.sample(NET, "a", temperature=float("nan"), vocabulary="abc"), "temperature"),
        (lambda: gg.sample(NET, "a", top_k=0, vocabulary="abc"), "top_k is out of range"),
        (lambda: gg.sample(NET, "a", seed=-1, vocabulary="abc"), "seed is out of range"),
        (lambda: gg.sample(nn.Linear(2, 3), "a", vocabulary="abc"), "rows of tokens"),
        (lambda: gg.sample(nn.CharLSTM(3), "a", vocabulary="abc"), "rows of tokens"),
        (lambda: NET(np.zeros((2, 5), "int64")), "longer than the positions"),
        (lambda: NET(np.zeros(5, "int64")), "rows of tokens"),
        (lambda: NET(np.zeros((2, 4), "float32")), "whole numbers"),
        (lambda: nn.GPT(3, width=5, heads=2), "do not divide the width"),
        (lambda: nn.GPT(3, layers=0), "layers is out of range"),
    ],
)
def test_what_cannot_be_meant_is_refused(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(GlassgradError, match=says):
        call()
